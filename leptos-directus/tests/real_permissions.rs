//! What happens to lists of a visitor whose rights to a whole collection end and return while they watch.
#![cfg(feature = "native")]

mod real;
#[path = "real/visitor.rs"]
mod visitor;

use leptos_directus::{LiveStatus, Query, SubscribeOptions};
use real::{Admin, counting_key, field};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use visitor::{ANNOUNCED, SOON, Visitor, becomes, is_refused, shows};

/// One test at a time: each begins by removing the collections of the one before.
static TURN: Mutex<()> = Mutex::const_new(());

async fn collection(admin: &Admin, stem: &str, titles: &[&str]) -> String {
    let name = admin.collection(stem, counting_key(), vec![field("title", "string")]).await;
    let rows: Vec<Value> = titles.iter().map(|title| json!({ "title": title })).collect();
    admin.ok("POST", &format!("/items/{name}"), Some(json!(rows))).await;
    name
}

async fn retitle(admin: &Admin, collection: &str, id: i64, title: &str) {
    admin.ok("PATCH", &format!("/items/{collection}/{id}"), Some(json!({ "title": title }))).await;
}

#[tokio::test]
async fn a_collection_that_is_lost_leaves_with_the_next_event_and_returns_with_one() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    admin.remove_collections(&["rights", "beside"]).await;
    let (rights, beside) =
        (collection(&admin, "rights", &["one", "two"]).await, collection(&admin, "beside", &["other"]).await);
    let visitor = Visitor::of(&admin);
    let query = json!({ "fields": ["id", "title"], "sort": ["id"] });
    let list = visitor.list(&rights, &query, ANNOUNCED);
    let untouched = visitor.list(&beside, &query, ANNOUNCED);
    shows("the first rows", &list, &[json!({ "id": 1, "title": "one" }), json!({ "id": 2, "title": "two" })]).await;
    shows("the first rows beside", &untouched, &[json!({ "id": 1, "title": "other" })]).await;

    // Directus says nothing of it. The next event is an error, in 11.17.4 one that does not say whose.
    admin.public_reads(&rights, None).await;
    retitle(&admin, &rights, 1, "ONE").await;
    is_refused("the rows to leave", &list).await;
    shows("the rows beside", &untouched, &[json!({ "id": 1, "title": "other" })]).await;

    admin.public_reads(&rights, Some(json!({}))).await;
    retitle(&admin, &rights, 2, "TWO").await;
    shows("the rows again", &list, &[json!({ "id": 1, "title": "ONE" }), json!({ "id": 2, "title": "TWO" })]).await;
}

#[tokio::test]
async fn a_collection_that_is_lost_leaves_and_returns_within_the_interval_if_nothing_is_announced() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    admin.remove_collections(&["rights", "beside"]).await;
    let rights = collection(&admin, "rights", &["one"]).await;
    let list = Visitor::of(&admin).list(&rights, &json!({ "fields": ["title"] }), SOON);
    shows("the first row", &list, &[json!({ "title": "one" })]).await;
    for _ in 0..2 {
        admin.public_reads(&rights, None).await;
        is_refused("the row to leave", &list).await;
        admin.public_reads(&rights, Some(json!({}))).await;
        shows("the row again", &list, &[json!({ "title": "one" })]).await;
    }
}

#[tokio::test]
async fn a_refused_stream_hears_it_though_others_are_live_and_they_stay_so() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    admin.remove_collections(&["rights", "beside"]).await;
    let (rights, beside) =
        (collection(&admin, "rights", &["one"]).await, collection(&admin, "beside", &["other"]).await);
    admin.public_reads(&beside, None).await;
    let visitor = Visitor::of(&admin);
    let list = visitor.list(&rights, &json!({ "fields": ["title"] }), ANNOUNCED);
    shows("the first row", &list, &[json!({ "title": "one" })]).await;
    // Two at once on one socket, of which one is refused: in 11.17.4 without a word whose refusal it is.
    let query = || SubscribeOptions::new().query(Query::new().fields(["title"]));
    let (good, bad) =
        (visitor.directus.subscribe::<Value>(&rights, query()), visitor.directus.subscribe::<Value>(&beside, query()));
    let (good, bad) = tokio::time::timeout(real::PATIENCE, async { tokio::join!(good, bad) }).await.expect("answers");
    assert!(good.is_ok(), "{good:?}");
    assert!(bad.err().is_some_and(|error| error.is_forbidden()));
    retitle(&admin, &rights, 1, "ONE").await;
    becomes("the change", &list, |shown| shown.status == LiveStatus::Live && shown.rows == [json!({ "title": "ONE" })])
        .await;
}
