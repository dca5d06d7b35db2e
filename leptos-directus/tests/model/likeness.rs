//! Whether the simulated Directus does what the real one was seen to do.

use leptos_directus::{
    Query,
    protocol::{ClientMessage, EventKind, ServerMessage},
};
use serde_json::{Value, json};

use super::{
    database::{Collection, Database, Field, Right},
    directus::{Announcement, Answer, Directus, FRAMES_A_SECOND},
};

fn directus() -> Directus {
    let mut directus = Directus::default();
    directus.accept(0, 1, 1);
    for kind in 0..3 {
        directus.database.insert(Collection::Articles, kind, None);
    }
    directus
}

fn subscribe(directus: &mut Directus, event: Option<EventKind>, query: &Query, uid: &str) -> Value {
    let message = ClientMessage::subscribe("articles", event, query, uid);
    match directus.executes(0, 1, &message).expect("the uid is new") {
        Answer::Now(frame) => serde_json::to_value(frame).expect("a frame"),
        Answer::Later(frame, subscription) => {
            directus.registers(0, 1, subscription);
            serde_json::to_value(frame).expect("a frame")
        }
        Answer::Nothing => Value::Null,
    }
}

fn told(directus: &Directus, event: EventKind, keys: &[u64], as_text: bool) -> Vec<Value> {
    let keys = keys.iter().map(|key| json!(key)).collect();
    let announcement = Announcement { collection: Collection::Articles, event, keys, as_text };
    let frames = directus.dispatches(&announcement);
    frames.into_iter().map(|(_, frame)| serde_json::to_value(frame).expect("a frame")).collect()
}

fn query() -> Query {
    Query::new().fields(["id"])
}

#[test]
fn a_subscription_to_one_kind_of_event_is_acknowledged_without_rows() {
    let mut directus = directus();
    let answer = subscribe(&mut directus, Some(EventKind::Update), &query(), "a");
    assert_eq!(answer, json!({ "type": "subscription", "event": "init", "uid": "a" }));
    let answer = subscribe(&mut directus, None, &query(), "b");
    assert_eq!(answer["data"], json!([{ "id": 7 }, { "id": 8 }, { "id": 9 }]));
}

#[test]
fn a_row_that_leaves_the_filter_is_not_told_and_a_delete_is_told_to_everybody() {
    let mut directus = directus();
    let filter = leptos_directus::Filter::field("rank").eq(2);
    subscribe(&mut directus, Some(EventKind::Update), &query().filter(filter.clone()), "a");
    subscribe(&mut directus, Some(EventKind::Delete), &query().filter(filter), "b");
    assert_eq!(told(&directus, EventKind::Update, &[7], false).len(), 1);
    directus.database.update(Collection::Articles, &json!(7), Field::Rank, 1);
    assert_eq!(told(&directus, EventKind::Update, &[7], false), Vec::<Value>::new());
    assert_eq!(told(&directus, EventKind::Delete, &[7, 99], true)[0]["data"], json!(["7", "99"]));
    assert_eq!(told(&directus, EventKind::Delete, &[7], false)[0]["data"], json!([7]));
}

#[test]
fn a_limit_cuts_a_batch_and_rows_that_are_gone_are_told_to_nobody() {
    let mut directus = directus();
    subscribe(&mut directus, Some(EventKind::Update), &query().limit(2), "a");
    assert_eq!(told(&directus, EventKind::Update, &[7, 8, 9], false)[0]["data"], json!([{ "id": 7 }, { "id": 8 }]));
    directus.database.delete(0, Collection::Articles, &json!(8));
    assert_eq!(told(&directus, EventKind::Update, &[8], false), Vec::<Value>::new());
}

#[test]
fn a_lost_right_is_an_error_for_each_event_with_a_name_or_without() {
    let mut directus = directus();
    subscribe(&mut directus, Some(EventKind::Update), &query(), "a");
    directus.database.set_right(1, Collection::Articles, Right::Nothing);
    let error = told(&directus, EventKind::Update, &[7], false);
    assert_eq!((&error[0]["error"]["code"], &error[0]["uid"]), (&json!("FORBIDDEN"), &json!("a")));
    directus.is_old = true;
    assert_eq!(told(&directus, EventKind::Update, &[7], false)[0]["uid"], Value::Null);
    directus.database.set_right(1, Collection::Articles, Right::Full);
    assert!(told(&directus, EventKind::Update, &[7], false)[0]["data"].is_array());
}

#[test]
fn a_uid_that_is_used_again_replaces() {
    let mut directus = directus();
    subscribe(&mut directus, Some(EventKind::Update), &query(), "a");
    subscribe(&mut directus, Some(EventKind::Update), &query(), "a");
    assert_eq!(told(&directus, EventKind::Update, &[7], false).len(), 1);
    directus.refuses = true;
    subscribe(&mut directus, Some(EventKind::Update), &query(), "a");
    assert_eq!(told(&directus, EventKind::Update, &[7], false).len(), 0, "the old one is gone as well");
}

#[test]
fn frames_beyond_the_limit_are_refused_until_the_second_is_over() {
    let mut directus = directus();
    assert!((0..FRAMES_A_SECOND).all(|_| directus.arrives(10, 1).is_none()));
    let Some(ServerMessage::Error(error)) = directus.arrives(20, 1) else { panic!("it is one too many") };
    assert_eq!((error.code.as_str(), error.uid), ("REQUESTS_EXCEEDED", None));
    assert!(directus.arrives(1_100, 1).is_none());
}

#[test]
fn an_expired_login_is_the_public_s_and_silence_ends_a_socket() {
    let mut directus = directus();
    subscribe(&mut directus, Some(EventKind::Update), &query(), "a");
    directus.database.set_right(0, Collection::Articles, Right::Nothing);
    assert_eq!(directus.expire().len(), 1);
    assert_eq!(told(&directus, EventKind::Update, &[7], false)[0]["error"]["code"], "FORBIDDEN");
    assert_eq!(directus.heartbeat(), (vec![], vec![1]));
    assert_eq!(directus.heartbeat(), (vec![1], vec![]));
}

#[test]
fn the_order_is_the_database_s_own() {
    let mut database = Database::default();
    for kind in 0..8 {
        database.insert(Collection::Articles, kind, None);
    }
    let read = |sort: &str| {
        let query = Query::new().fields(["title"]).sort(sort).for_reading("id").to_json();
        let page = database.read(1, Collection::Articles, &query).expect("it may be read");
        page.items.iter().map(|row| row["title"].as_str().unwrap_or("null").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(read("title"), ["null", "", "Äpfel", "apfel", "ofen", "Öl", "Zebra", "zebra"]);
    assert_eq!(read("-title"), ["Zebra", "zebra", "Öl", "ofen", "Äpfel", "apfel", "", "null"]);
}

#[test]
fn who_is_put_elsewhere_by_hand_takes_that_place_and_those_in_between_are_counted_anew() {
    let mut database = Database::default();
    for (key, rank) in [("a", json!(5)), ("b", Value::Null), ("c", json!(2)), ("d", json!(2))] {
        let row = [("slug".to_owned(), json!(key)), ("rank".to_owned(), rank)];
        database.put(Collection::Tags, &row.into_iter().collect());
    }
    let ranks = |database: &Database| {
        let rows = database.rows(Collection::Tags).iter();
        rows.map(|row| (row["rank"].as_i64().expect("a number"), row["v"].as_i64().expect("a number"))).unzip()
    };
    // None has no number, and no two have the same, before anything is moved.
    database.sort(Collection::Tags, &json!("b"), &json!("c"));
    assert_eq!(ranks(&database), (vec![4, 1, 2, 3], vec![1, 2, 3, 4]), "nothing notes it");
    database.sort(Collection::Tags, &json!("b"), &json!("d"));
    assert_eq!(ranks(&database).0, [4, 3, 1, 2]);
}

#[test]
fn no_answer_and_no_event_has_more_rows_than_the_most() {
    let mut directus = directus();
    directus.database.limit_max = Some(2);
    subscribe(&mut directus, Some(EventKind::Update), &query().for_reading("id"), "a");
    assert_eq!(told(&directus, EventKind::Update, &[7, 8, 9], false)[0]["data"], json!([{ "id": 7 }, { "id": 8 }]));
    let page = directus.database.read(1, Collection::Articles, &query().for_reading("id").meta("*").to_json());
    let page = page.expect("it may be read");
    assert_eq!((page.items.len(), page.meta), (2, Some(json!({ "total_count": 3, "filter_count": 3 }))));
}
