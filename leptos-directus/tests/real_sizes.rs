//! Lists of a collection with a hundred thousand rows: a short one costs what it shows, and a long one hears of all that changed.
#![cfg(feature = "native")]

#[path = "real/mortal.rs"]
mod mortal;
mod real;
#[path = "real/relay.rs"]
mod relay;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use leptos::prelude::Owner;
use leptos_directus::{Directus, LiveRows, LiveStatus, NativeOptions, Query, UseRealtimeCollectionOptions};
use mortal::Mortal;
use real::{Admin, as_rest, counting_key, eventually, field, past_the_first_seconds};
use relay::{Relay, Tap};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const ROWS: usize = 100_000;
/// Bytes of everything that goes to and fro for a short list; its collection has some millions.
const FEW: usize = 64 * 1024;

/// One collection for all tests. A row's rank is its key at first.
static CROWD: OnceCell<String> = OnceCell::const_new();

/// The rows are put in past Directus: by REST that would take a quarter of an hour.
async fn crowd(mortal: &Mortal) -> String {
    let make = async || {
        let admin = &mortal.admin;
        admin.remove_collections(&["crowd"]).await;
        let fields = vec![field("title", "string"), field("rank", "integer")];
        let name = admin.collection("crowd", counting_key(), fields).await;
        mortal.control("stop").await;
        let numbers = format!("SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ROWS}");
        let rows = "SELECT n, 'Number ' || n, n FROM numbers";
        let insert = format!("INSERT INTO {name} (id, title, rank) WITH RECURSIVE numbers (n) AS ({numbers}) {rows}");
        mortal.sql(&insert).await;
        mortal.control("start").await;
        let count = admin.read(&name, &json!({ "aggregate": { "count": "*" } })).await;
        // Text with PostgreSQL, a number with SQLite.
        assert_eq!(count[0]["count"].to_string().trim_matches('"'), ROWS.to_string());
        name
    };
    CROWD.get_or_init(make).await.clone()
}

/// The rows of the highest rank, and how many bytes they have cost.
struct Top {
    admin: Admin,
    collection: String,
    limit: usize,
    query: Value,
    list: LiveRows,
    bytes: Arc<AtomicUsize>,
    _relay: Relay,
    _owner: Owner,
}

impl Top {
    fn of(mortal: &Mortal, collection: &str, limit: usize) -> Self {
        let bytes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&bytes);
        let tap: Box<Tap> = Box::new(move |_, _, passed| {
            counted.fetch_add(passed.len(), Ordering::Relaxed);
        });
        let relay = Relay::tapped(&mortal.admin.url, Some(tap)).unwrap();
        let query = json!({ "fields": ["id", "title", "rank"], "sort": ["-rank"], "limit": limit });
        let parsed = Query::from_json(&query.to_string()).unwrap();
        let owner = Owner::new();
        let list = owner.with(|| {
            let directus = Directus::native(NativeOptions::new(relay.url()).token(&mortal.admin.token));
            // All relations that Directus knows are no part of what rows cost.
            let options = UseRealtimeCollectionOptions::default().watch_relations(false);
            directus.watch(collection, parsed, options)
        });
        let (admin, collection) = (mortal.admin.clone(), collection.to_owned());
        Self { admin, collection, limit, query, list, bytes, _relay: relay, _owner: owner }
    }

    async fn write(&self, method: &str, key: &str, body: Option<Value>) {
        self.admin.ok(method, &format!("/items/{}{key}", self.collection), body).await;
    }

    /// The keys that it shows, once it shows what REST gives.
    async fn is_right(&self, what: &str) -> Vec<i64> {
        let expected = self.admin.read(&self.collection, &as_rest(&self.query, "id")).await;
        assert_eq!(expected.len(), self.limit);
        eventually(what, async || match self.list.snapshot() {
            shown if shown.rows == expected && shown.status == LiveStatus::Live => Ok(()),
            shown => Err(shown),
        })
        .await;
        println!("{} bytes in all after {what}", self.bytes());
        expected.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_rows_of_a_hundred_thousand_cost_what_five_rows_cost() {
    let mortal = Mortal::new().await;
    let top = Top::of(&mortal, &crowd(&mortal).await, 5);
    assert_eq!(top.is_right("the first load").await, [100_000, 99_999, 99_998, 99_997, 99_996]);
    top.write("PATCH", "/99998", Some(json!({ "title": "Changed" }))).await;
    assert_eq!(top.is_right("an update of one of them").await, [100_000, 99_999, 99_998, 99_997, 99_996]);
    assert_eq!(top.list.snapshot().rows[2]["title"], "Changed");
    top.write("PATCH", "/50000", Some(json!({ "rank": 100_001 }))).await;
    assert_eq!(top.is_right("a row that enters").await, [50_000, 100_000, 99_999, 99_998, 99_997]);
    top.write("DELETE", "/100000", None).await;
    assert_eq!(top.is_right("a row that is deleted").await, [50_000, 99_999, 99_998, 99_997, 99_996]);
    assert!(top.bytes() < FEW, "{} bytes for five rows", top.bytes());
}

/// Hazard H6: a limit of the subscription cuts what an event tells, and no limit is one of a hundred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_longer_than_directus_s_limit_reaches_every_row_of_a_long_list() {
    let mortal = Mortal::new().await;
    // No round number, which might be a limit of the server's: of such a list only what changed is read.
    let top = Top::of(&mortal, &crowd(&mortal).await, 603);
    top.is_right("the first load").await;
    past_the_first_seconds(Instant::now()).await;
    let before = top.list.reads();
    let keys: Vec<usize> = (ROWS - 500..ROWS - 380).collect();
    top.write("PATCH", "", Some(json!({ "keys": keys, "data": { "title": "One of many" } }))).await;
    top.is_right("a batch").await;
    let changed = top.list.snapshot().rows.iter().filter(|row| row["title"] == "One of many").count();
    assert_eq!(changed, keys.len());
    let reads = top.list.reads();
    let by_keys = reads.keys > before.keys && reads.windows == before.windows;
    assert!(by_keys, "a list that is read whole is right anyway: {before:?}, {reads:?}");
}
