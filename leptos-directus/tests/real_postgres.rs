//! What Directus announces before it is there (hazard H18): the rows of a batch, where reads have a connection of their own. So
//! this is run with PostgreSQL only.
#![cfg(feature = "native")]

#[path = "real/mortal.rs"]
mod mortal;
mod real;

use std::time::{Duration, Instant};

use leptos::prelude::Owner;
use leptos_directus::{Directus, LiveRows, LiveStatus, NativeOptions, Query, UseRealtimeCollectionOptions};
use mortal::Mortal;
use real::{Admin, as_rest, counting_key, eventually, field, past_the_first_seconds};
use serde_json::{Value, json};

/// Rows, and lists of them; of the first one only the rows in doubt are read. Nothing but the events and what follows from them
/// reads here.
async fn batches(owner: &Owner, admin: &Admin) -> (String, Vec<(Value, LiveRows)>) {
    admin.remove_collections(&["batches"]).await;
    let fields = vec![field("views", "integer"), field("held", "integer"), field("title", "string")];
    let batches = admin.collection("batches", counting_key(), fields).await;
    let rows: Vec<Value> = (1..=205).map(|id| json!({ "views": 10 * id })).collect();
    admin.ok("POST", &format!("/items/{batches}"), Some(rows.into())).await;
    let queries = [
        json!({ "fields": ["id", "views", "title"], "sort": ["views"] }),
        json!({ "fields": ["id", "views", "title"], "sort": ["-views"], "limit": 10 }),
        json!({ "fields": ["id", "views", "title"], "filter": { "views": { "_gte": 3000 } } }),
        json!({ "fields": ["id", "views", "title"], "filter": { "id": { "_eq": 7 } } }),
    ];
    let lists = owner.with(|| {
        let directus = Directus::native(NativeOptions::new(&admin.url).token(&admin.token));
        let watch = |query: Value| {
            let parsed = Query::from_json(&query.to_string()).unwrap();
            let options = UseRealtimeCollectionOptions::default().revalidate_every(Duration::MAX);
            (query, directus.watch(&batches, parsed, options))
        };
        queries.map(watch).into()
    });
    past_the_first_seconds(Instant::now()).await;
    (batches, lists)
}

async fn all_are_right(admin: &Admin, batches: &str, lists: &[(Value, LiveRows)], when: &str) {
    for (query, list) in lists {
        let expected = admin.read(batches, &as_rest(query, "id")).await;
        eventually(&format!("{query} to equal REST {when}"), async || {
            let shown = list.snapshot();
            let is_right = shown.rows == expected && shown.status == LiveStatus::Live;
            if is_right { Ok(()) } else { Err((expected.clone(), shown)) }
        })
        .await;
    }
}

/// On PostgreSQL, whoever reads at once reads what was before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_batch_that_were_announced_too_early_are_right_soon() {
    let (mortal, owner) = (Mortal::new().await, Owner::new());
    let admin = mortal.admin.clone();
    let (batches, lists) = batches(&owner, &admin).await;
    let (mut written, mut slowest) = (Instant::now(), Duration::ZERO);
    for round in 0..5 {
        all_are_right(&admin, &batches, &lists, &format!("in round {round}")).await;
        slowest = slowest.max(if round == 0 { Duration::ZERO } else { written.elapsed() });
        let batch: Vec<Value> = (1..=30).map(|id| json!({ "id": id, "views": 3000 * (round % 2) + id })).collect();
        admin.ok("PATCH", &format!("/items/{batches}"), Some(batch.into())).await;
        written = Instant::now();
    }
    println!("all were right {slowest:?} after a batch at latest");
    // Else it is settled after ten seconds, or never.
    assert!(slowest < Duration::from_secs(9), "a second after the last event, and a read: {slowest:?}");
}

/// Between two of its events a transaction waits for another one, as where two of them wait for each other, until PostgreSQL ends
/// one of them. What it announced before is read twice by then. No row moves, and it is no number that changes: the list might
/// be read whole for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_announced_before_their_transaction_waited_are_right_when_it_goes_on() {
    let (mortal, owner) = (Mortal::new().await, Owner::new());
    let admin = mortal.admin.clone();
    let (batches, lists) = batches(&owner, &admin).await;
    let path = format!("/items/{batches}");
    for round in 1..=3 {
        let waited_for = 100 + round;
        // Nothing that a list shows.
        let hold = format!("UPDATE {batches} SET held = {round} WHERE id = {waited_for};");
        let holds = format!("{hold} BEGIN; {hold} SELECT pg_sleep(4); COMMIT;");
        let holds = mortal.sql_meanwhile(&holds);
        let writes = async {
            let held = json!({ "filter": { "held": { "_eq": round } } });
            eventually("the row to be held", async || match admin.read(&batches, &held).await {
                rows if rows.is_empty() => Err(rows),
                _ => Ok(()),
            })
            .await;
            let began = Instant::now();
            let changed = (1..=20).chain([waited_for]).map(|id| json!({ "id": id, "title": format!("round {round}") }));
            admin.ok("PATCH", &path, Some(changed.collect())).await;
            began.elapsed()
        };
        let ((), took) = futures::future::join(holds, writes).await;
        assert!(took > Duration::from_secs(2), "it waited for nothing: {took:?}");
        all_are_right(&admin, &batches, &lists, &format!("in round {round}")).await;
    }
}
