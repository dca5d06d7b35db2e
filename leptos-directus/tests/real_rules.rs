//! What happens to lists of a visitor whose permission gets a filter or a list of fields while they watch.
//!
//! On Directus 11: without a licence key, 12 refuses such rules. `cargo xtask test directus-11` runs them.
#![cfg(feature = "native")]

mod real;
#[path = "real/visitor.rs"]
mod visitor;

use std::time::Duration;

use leptos::prelude::{GetUntracked, Owner};
use leptos_directus::{
    Directus, NativeOptions, Query, SubscribeOptions, UseRealtimeCollectionOptions, connection::ConnectionConfig,
};
use real::{Admin, counting_key, field};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use visitor::{ANNOUNCED, SOON, Visitor, becomes, is_refused, shows};

/// One test at a time: each begins by removing the collections of the one before.
static TURN: Mutex<()> = Mutex::const_new(());

/// A collection with so many rows, published and draft in turn, the first of them published.
async fn articles(admin: &Admin, rows: i64) -> String {
    admin.remove_collections(&["ruled"]).await;
    let fields = ["title", "status", "secret"].map(|name| field(name, "string"));
    let name = admin.collection("ruled", counting_key(), fields.into()).await;
    let all: Vec<Value> =
        (1..=rows).map(|id| json!({ "title": format!("t{id}"), "status": status(id), "secret": "s" })).collect();
    admin.ok("POST", &format!("/items/{name}"), Some(json!(all))).await;
    name
}

fn status(id: i64) -> &'static str {
    if id % 2 == 1 { "published" } else { "draft" }
}

async fn update(admin: &Admin, collection: &str, id: i64, patch: Value) {
    admin.ok("PATCH", &format!("/items/{collection}/{id}"), Some(patch)).await;
}

fn published() -> Value {
    json!({ "permissions": { "status": { "_eq": "published" } } })
}

fn titles(titles: &[&str]) -> Vec<Value> {
    titles.iter().map(|title| json!({ "title": title })).collect()
}

#[tokio::test]
async fn rows_that_a_filter_no_longer_lets_through_leave_and_return_when_it_is_widened() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    let articles = articles(&admin, 4).await;
    let visitor = Visitor::of(&admin);
    let query = json!({ "fields": ["title"], "sort": ["id"] });
    let (soon, announced) = (visitor.list(&articles, &query, SOON), visitor.list(&articles, &query, ANNOUNCED));
    for list in [&soon, &announced] {
        shows("the first rows", list, &titles(&["t1", "t2", "t3", "t4"])).await;
    }
    admin.public_reads(&articles, Some(published())).await;
    shows("the drafts to leave within the interval", &soon, &titles(&["t1", "t3"])).await;
    update(&admin, &articles, 3, json!({ "title": "T3" })).await;
    shows("the drafts to leave with the next event", &announced, &titles(&["t1", "T3"])).await;

    admin.public_reads(&articles, Some(json!({}))).await;
    shows("the drafts to return within the interval", &soon, &titles(&["t1", "t2", "T3", "t4"])).await;
    update(&admin, &articles, 2, json!({ "title": "T2" })).await;
    shows("the drafts to return with the next event", &announced, &titles(&["t1", "T2", "T3", "t4"])).await;
}

#[tokio::test]
async fn a_row_that_leaves_what_a_permission_lets_through_leaves_within_the_interval() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    let articles = articles(&admin, 3).await;
    admin.public_reads(&articles, Some(published())).await;
    let list = Visitor::of(&admin).list(&articles, &json!({ "fields": ["title"], "sort": ["id"] }), SOON);
    shows("the first rows", &list, &titles(&["t1", "t3"])).await;
    // Nobody is told of it.
    update(&admin, &articles, 3, json!({ "status": "draft" })).await;
    shows("the row to leave", &list, &titles(&["t1"])).await;
    update(&admin, &articles, 2, json!({ "status": "published" })).await;
    shows("the row that comes in", &list, &titles(&["t1", "t2"])).await;
}

#[tokio::test]
async fn a_lost_field_is_an_error_to_who_names_it_and_is_gone_for_who_does_not() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    let articles = articles(&admin, 1).await;
    let visitor = Visitor::of(&admin);
    let naming = visitor.list(&articles, &json!({ "fields": ["id", "secret"] }), SOON);
    let any = visitor.list(&articles, &json!({ "fields": ["*"] }), SOON);
    let whole = json!({ "id": 1, "title": "t1", "status": "published", "secret": "s" });
    for _ in 0..2 {
        shows("the field", &naming, &[json!({ "id": 1, "secret": "s" })]).await;
        shows("all fields", &any, std::slice::from_ref(&whole)).await;
        admin.public_reads(&articles, Some(json!({ "fields": ["id", "title", "status"] }))).await;
        is_refused("the rows to leave", &naming).await;
        let error = naming.snapshot().error.expect("an error").to_string();
        assert!(error.contains("\"secret\""), "it says which field: {error}");
        shows("the others", &any, &[json!({ "id": 1, "title": "t1", "status": "published" })]).await;
        admin.public_reads(&articles, Some(json!({}))).await;
    }
}

#[tokio::test]
async fn a_lost_field_leaves_every_row_of_a_long_list_with_the_next_event() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    let articles = articles(&admin, 61).await;
    let list = Visitor::of(&admin).list(&articles, &json!({ "fields": ["*"], "sort": ["-id"] }), ANNOUNCED);
    let all_have = |shown: &leptos_directus::Snapshot, title: &str, has_secret: bool| {
        shown.rows.len() == 61
            && shown.rows[58]["title"] == title
            && shown.rows.iter().all(|row| row.get("secret").is_some() == has_secret)
    };
    becomes("the first rows", &list, |shown| all_have(shown, "t3", true)).await;
    update(&admin, &articles, 3, json!({ "title": "before" })).await;
    becomes("a change", &list, |shown| all_have(shown, "before", true)).await;
    assert!(list.reads().keys > 0, "it was to be read by its key");
    admin.public_reads(&articles, Some(json!({ "fields": ["id", "title", "status"] }))).await;
    update(&admin, &articles, 3, json!({ "title": "without" })).await;
    becomes("the field to leave", &list, |shown| all_have(shown, "without", false)).await;
    admin.public_reads(&articles, Some(json!({}))).await;
    update(&admin, &articles, 3, json!({ "title": "again" })).await;
    becomes("the field to return", &list, |shown| all_have(shown, "again", true)).await;
}

#[tokio::test]
async fn who_may_not_read_the_key_is_told_so_and_sees_the_rows_once_they_may() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    let articles = articles(&admin, 1).await;
    admin.public_reads(&articles, Some(json!({ "fields": ["title"] }))).await;
    let list = Visitor::of(&admin).list(&articles, &json!({ "fields": ["title"] }), ANNOUNCED);
    is_refused("the refusal", &list).await;
    let error = list.snapshot().error.expect("an error").to_string();
    assert!(error.contains("\"id\""), "{error}");
    admin.public_reads(&articles, Some(json!({ "fields": ["id", "title"] }))).await;
    update(&admin, &articles, 1, json!({ "title": "T1" })).await;
    shows("the row", &list, &titles(&["T1"])).await;
}

#[tokio::test]
async fn a_subscription_that_directus_never_answers_fails_and_costs_the_others_nothing() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    let articles = articles(&admin, 1).await;
    // 11.17.4 has not a word for an administrator who asks for what is not there.
    let owner = Owner::new();
    owner.set();
    let quick = ConnectionConfig { acknowledge_timeout: Duration::from_secs(3), ..ConnectionConfig::default() };
    let directus = Directus::native(NativeOptions::new(&admin.url).token(&admin.token).connection(quick));
    let list = directus.watch(&articles, Query::new().fields(["title"]), UseRealtimeCollectionOptions::default());
    shows("the first row", &list, &titles(&["t1"])).await;
    let subscribing = directus.subscribe::<Value>("no_such_collection", SubscribeOptions::new());
    let seen = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            let status = directus.status().get_untracked();
            assert!(status.is_connected(), "{status:?}");
        }
    };
    let error = tokio::select! {
        answer = tokio::time::timeout(real::PATIENCE, subscribing) => answer.expect("an answer").unwrap_err(),
        () = seen => unreachable!("it looks for ever"),
    };
    assert!(error.is_timeout(), "{error}");
    update(&admin, &articles, 1, json!({ "title": "T1" })).await;
    shows("the change", &list, &titles(&["T1"])).await;
}
