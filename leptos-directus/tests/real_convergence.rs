//! `items == REST`: live queries against a real Directus under random writes from several connections.
#![cfg(feature = "native")]

mod real;

use std::time::{Duration, Instant};

use leptos::prelude::Owner;
use leptos_directus::{Directus, LiveRows, LiveStatus, NativeOptions, Query, UseRealtimeCollectionOptions};
use real::{Admin, as_rest, counting_key, eventually, field, past_the_first_seconds};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// One test at a time: what one of them measures is not what the other one costs.
static TURN: Mutex<()> = Mutex::const_new(());

/// Queries that go wrong where rows are kept by hand: filters that rows leave, windows, text order, nulls, relations. The
/// first of them are long lists, of which only the rows in doubt are read where that can be enough.
fn queries() -> Vec<Value> {
    vec![
        json!({ "sort": ["-views"] }),
        json!({ "sort": ["rank"], "fields": ["title"] }),
        json!({ "sort": ["-at"], "fields": ["id", "at", "title"] }),
        json!({ "sort": ["day", "-rank"], "filter": { "status": { "_neq": "draft" } } }),
        json!({ "sort": ["title"], "fields": ["id", "views"] }),
        json!({ "sort": ["title"], "filter": { "status": { "_eq": "published" } } }),
        json!({ "sort": ["-id"], "limit": 500, "search": "e" }),
        json!({ "sort": ["views"], "limit": 70 }),
        json!({ "sort": ["id"], "limit": 60, "offset": 5, "fields": ["id", "status"] }),
        json!({}),
        json!({ "filter": { "status": { "_eq": "published" } }, "sort": ["-views"], "limit": 5 }),
        json!({ "sort": ["title"], "limit": 7, "fields": ["title"] }),
        json!({ "sort": ["-rank", "title"], "limit": 4, "offset": 3 }),
        json!({ "filter": { "_or": [{ "views": { "_gt": 50 } }, { "title": { "_contains": "ä" } }] }, "sort": ["-id"] }),
        json!({ "filter": { "rank": { "_null": true } }, "fields": ["id", "title", "rank"] }),
        json!({ "fields": ["id", "author.name"], "filter": { "author": { "name": { "_nnull": true } } }, "sort": ["author.name"] }),
        json!({ "aggregate": { "count": "*" }, "groupBy": ["status"] }),
        json!({ "sort": ["title"], "limit": 3, "page": 2 }),
    ]
}

/// Writes many rows at once. Of two such writers who wait for each other's rows, PostgreSQL ends one after a second, Directus
/// lets it try again a few times, and says then that it wrote nothing.
async fn write_many(admin: &Admin, method: &str, path: &str, body: Value) {
    let (status, answer) = admin.send(method, path, Some(body)).await;
    let is_postgres = std::env::var("DIRECTUS_TEST_DB_CLIENT").is_ok_and(|client| client == "pg");
    let is_deadlock = is_postgres && status == 500 && answer.to_string().contains("Transaction failed");
    assert!(status < 300 || is_deadlock, "{method} {path}: {status} {answer}");
}

struct Writer {
    admin: Admin,
    posts: String,
    random: fastrand::Rng,
}

impl Writer {
    fn post(&mut self) -> Value {
        let titles = ["Zebra", "äpfel", "Apfel", "10", "9", "", "ß", "zebra", "Ärger", "apfel"];
        json!({
            "title": self.random.choice(titles),
            "status": self.random.choice(["draft", "review", "published"]),
            "views": self.random.i32(0..100),
            "rank": if self.random.bool() { json!(self.random.f64()) } else { Value::Null },
            "author": if self.random.bool() { json!(self.random.i32(1..4)) } else { Value::Null },
            "at": if self.random.bool() { json!(format!("2026-01-01T10:00:{:02}.{:03}Z", self.random.u8(0..60), self.random.u16(0..1000))) } else { Value::Null },
            "day": format!("2026-{:02}-{:02}", self.random.u8(1..13), self.random.u8(1..29)),
            "payload": { "tags": [self.random.u8(..), "x"] },
        })
    }

    async fn key(&mut self) -> Option<i64> {
        let rows = self.admin.read(&self.posts, &json!({ "fields": ["id"], "limit": -1 })).await;
        self.random.choice(rows).and_then(|row| row["id"].as_i64())
    }

    /// One random write; how many rows it touched at most.
    async fn write(&mut self) -> usize {
        let path = format!("/items/{}", self.posts);
        let body = self.post();
        match self.random.u8(0..11) {
            0..=2 => drop(self.admin.ok("POST", &path, Some(body)).await),
            3 => {
                let batch: Vec<Value> = (0..4).map(|_| self.post()).collect();
                self.admin.ok("POST", &path, Some(json!(batch))).await;
                return 4;
            }
            4 | 5 => {
                if let Some(key) = self.key().await {
                    // Another writer may have deleted it: a refusal is as good as a write here.
                    self.admin.send("PATCH", &format!("{path}/{key}"), Some(body)).await;
                }
            }
            6 => {
                let query = json!({ "filter": { "views": { "_lt": self.random.i32(0..30) } }, "limit": -1 });
                let data = json!({ "status": body["status"] });
                write_many(&self.admin, "PATCH", &path, json!({ "query": query, "data": data })).await;
                return 10;
            }
            7 => {
                if let Some(key) = self.key().await {
                    self.admin.send("DELETE", &format!("{path}/{key}"), None).await;
                }
            }
            8 => {
                // Each row is announced before the transaction ends (hazard H18).
                let rows =
                    self.admin.read(&self.posts, &json!({ "fields": ["id"], "sort": ["title"], "limit": 12 })).await;
                let change = |row: Value| {
                    let mut post = self.post();
                    post["id"] = row["id"].clone();
                    post
                };
                let batch: Vec<Value> = rows.into_iter().map(change).collect();
                let count = batch.len();
                // Another writer may have deleted one of them: a refusal is as good as a write here.
                self.admin.send("PATCH", &path, Some(batch.into())).await;
                return count;
            }
            9 => {
                let query = json!({ "filter": { "views": { "_gt": 96 } }, "limit": -1 });
                write_many(&self.admin, "DELETE", &path, json!({ "query": query })).await;
                return 5;
            }
            _ => {
                // Created and deleted in one breath.
                let row = self.admin.ok("POST", &path, Some(body)).await;
                self.admin.send("DELETE", &format!("{path}/{}", row["id"]), None).await;
                return 2;
            }
        }
        1
    }
}

async fn newsroom(admin: &Admin) -> String {
    let authors = admin.collection("authors", counting_key(), vec![field("name", "string")]).await;
    admin
        .ok(
            "POST",
            &format!("/items/{authors}"),
            Some(json!([{ "name": "Ada" }, { "name": "ada" }, { "name": "Zoë" }])),
        )
        .await;
    let fields = ["title", "status"].map(|name| field(name, "string"));
    let mut fields: Vec<Value> = fields.into();
    fields.extend([
        field("views", "integer"),
        field("rank", "float"),
        field("at", "timestamp"),
        field("day", "date"),
        field("payload", "json"),
        field("author", "integer"),
    ]);
    let posts = admin.collection("posts", counting_key(), fields).await;
    let relation = json!({ "collection": posts, "field": "author", "related_collection": authors });
    admin.change_schema("POST", "/relations", Some(relation)).await;
    posts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_rows_equal_rest_after_each_pause_under_random_writes() {
    let _turn = TURN.lock().await;
    let admin = Admin::new();
    // Posts first: they refer to authors.
    admin.remove_collections(&["posts"]).await;
    admin.remove_collections(&["authors"]).await;
    let posts = newsroom(&admin).await;
    let seed = std::env::var("LEPTOS_DIRECTUS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed} (LEPTOS_DIRECTUS_SEED)");
    let mut first = Writer { admin: admin.clone(), posts: posts.clone(), random: fastrand::Rng::with_seed(seed) };
    let rows: Vec<Value> = (0..120).map(|_| first.post()).collect();
    admin.ok("POST", &format!("/items/{posts}"), Some(json!(rows))).await;
    let owner = Owner::new();
    let lists: Vec<(Value, LiveRows)> = owner.with(|| {
        let options = NativeOptions::new(&admin.url).token(&admin.token);
        let directus = Directus::native(options);
        let watch = |query: Value| {
            let parsed = Query::from_json(&query.to_string()).unwrap();
            let rows = directus.watch(&posts, parsed, UseRealtimeCollectionOptions::default());
            (query, rows)
        };
        queries().into_iter().map(watch).collect()
    });
    let connected = Instant::now();
    let all_equal_rest = async |when: &str| {
        for (query, list) in &lists {
            let expected = admin.read(&posts, &as_rest(query, "id")).await;
            eventually(&format!("{query} to equal REST {when} (seed {seed})"), async || {
                let shown = list.snapshot();
                if shown.rows == expected && shown.status == LiveStatus::Live {
                    Ok(())
                } else {
                    Err((expected.clone(), shown))
                }
            })
            .await;
        }
    };
    let (mut changed, mut slowest) = (0, Duration::ZERO);
    for round in 0..8 {
        let writers = (0..3).map(|number| {
            let random = fastrand::Rng::with_seed(seed ^ (round * 10 + number));
            let mut writer = Writer { admin: admin.clone(), posts: posts.clone(), random };
            tokio::spawn(async move {
                let mut changed = 0;
                for _ in 0..12 {
                    changed += writer.write().await;
                }
                changed
            })
        });
        for writer in futures::future::join_all(writers).await {
            changed += writer.unwrap();
        }
        let pause = Instant::now();
        all_equal_rest(&format!("in round {round}")).await;
        slowest = slowest.max(pause.elapsed());
    }
    let keys_read = || lists.iter().map(|(_, list)| list.reads().keys).sum::<u64>();
    past_the_first_seconds(connected).await;
    let before = keys_read();
    for number in 1..=4 {
        let (key, body) = (&admin.read(&posts, &json!({ "limit": 1, "sort": ["id"] })).await[0]["id"], first.post());
        admin.ok("PATCH", &format!("/items/{posts}/{key}"), Some(body)).await;
        all_equal_rest(&format!("after change {number} of one row")).await;
    }
    for (query, list) in &lists {
        let reads = list.reads();
        println!("{:4} windows and {:4} times keys read: {query}", reads.windows, reads.keys);
    }
    assert!(keys_read() >= before + 4, "a long list is read by its keys where one row changes");
    println!("{changed} rows changed at most, all {} lists equal to REST; slowest round {slowest:?}", lists.len());
}
