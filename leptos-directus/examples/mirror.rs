//! Keeps a query live in the terminal: one JSON line at the start and after each change.
//!
//! ```sh
//! cargo run -p leptos-directus --example mirror --features native -- \
//!     --directus http://127.0.0.1:8055 posts '{"sort": ["-date_created"], "limit": 5}'
//! ```
//!
//! `--token T` (or the environment's `DIRECTUS_TOKEN`, which no process list shows) reads as somebody, `--ws URL` names the
//! WebSocket where it is not Directus's own (`ws://host/directus-ws` with `--directus http://host/directus`), `--key FIELD`
//! the key where it is not `id`, `--watch COLLECTION,COLLECTION` others whose changes show in the rows, `--revalidate SECONDS`
//! how often to read whatever is announced. A line is `{"status": …, "error": …, "rows": […]}`, with the rows that REST would
//! give.

use std::{io::Write, process::ExitCode, time::Duration};

use futures::StreamExt;
use leptos_directus::{Directus, NativeOptions, Query, UseRealtimeCollectionOptions};
use serde_json::json;

const USAGE: &str = "usage: mirror --directus URL [--ws URL] [--token T] [--key FIELD] [--watch COLLECTIONS] \
                     [--revalidate SECONDS] COLLECTION ['QUERY JSON']";

struct Arguments {
    options: NativeOptions,
    list: UseRealtimeCollectionOptions,
    collection: String,
    query: Query,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut directus, mut ws, mut token, mut key) = (None, None, std::env::var("DIRECTUS_TOKEN").ok(), None);
    let (mut watch, mut revalidate) = (None, None);
    let mut rest = Vec::new();
    while let Some(word) = words.next() {
        let slot = match word.as_str() {
            "--directus" => &mut directus,
            "--ws" => &mut ws,
            "--token" => &mut token,
            "--key" => &mut key,
            "--watch" => &mut watch,
            "--revalidate" => &mut revalidate,
            "-h" | "--help" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            option if option.starts_with("--") => return Err(format!("there is no option {option}")),
            _ => {
                rest.push(word);
                continue;
            }
        };
        *slot = Some(words.next().ok_or_else(|| format!("{word} needs a value"))?);
    }
    let mut options = NativeOptions::new(directus.ok_or("--directus is missing")?);
    if let Some(ws) = ws {
        options = options.ws_url(ws);
    }
    if let Some(token) = token {
        options = options.token(token);
    }
    let mut list = UseRealtimeCollectionOptions::default();
    if let Some(key) = key {
        list = list.key_field(key);
    }
    if let Some(collections) = watch {
        list = list.watch(collections.split(','));
    }
    if let Some(seconds) = revalidate {
        let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0);
        list = list.revalidate_every(Duration::from_secs(seconds.ok_or("--revalidate needs a number of seconds")?));
    }
    let mut rest = rest.into_iter();
    let collection = rest.next().ok_or("the collection is missing")?;
    let query = match rest.next() {
        Some(text) => Query::from_json(&text).map_err(|error| error.to_string())?,
        None => Query::new(),
    };
    match rest.next() {
        Some(word) => Err(format!("`{word}` is one argument too many: is the query quoted?")),
        None => Ok(Arguments { options, list, collection, query }),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { options, list, collection, query } = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let owner = leptos::prelude::Owner::new();
    let mut snapshots = owner.with(|| Directus::native(options).watch(collection, query, list));
    while let Some(snapshot) = snapshots.next().await {
        let line = json!({ "status": snapshot.status.as_str(), "error": snapshot.error.map(|error| error.to_string()), "rows": snapshot.rows });
        let mut out = std::io::stdout().lock();
        // Whoever reads has gone away: nobody is left to mirror for.
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
