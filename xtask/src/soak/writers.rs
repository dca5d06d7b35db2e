//! Who writes: over REST, over a WebSocket, and in raw batches, all at once and without regard for each other.

use super::{patiently, random::Random, websocket::WebSocket};
use crate::{
    failure::{Context, Failure, Result},
    http::Client,
    process::pause,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

/// So many posts there are at most, or about so many: above, more is deleted than created.
const MANY: usize = 160;
/// So many there are at least: some shapes must always have rows.
const FEW: usize = 40;
/// How long a writer waits for a Directus that is not there.
const AWAY: Duration = Duration::from_millis(100);

/// How the three write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Rest,
    WebSocket,
    Batches,
}

impl Manner {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::WebSocket => "websocket",
            Self::Batches => "batches",
        }
    }
}

/// A Directus, directly and not through a relay, and the keys that are there.
#[derive(Debug, Clone)]
pub(super) struct Database {
    port: u16,
    token: String,
    client: Client,
    /// Without a login.
    anybody: Client,
    keys: Arc<Mutex<BTreeMap<&'static str, Vec<Value>>>>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Writes that were acknowledged.
    pub(super) operations: u64,
    /// Rows that they created, changed or deleted.
    pub(super) rows: u64,
    /// Writes that were refused, or of which nobody knows: Directus was gone.
    pub(super) failed: u64,
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.rows += other.rows;
        self.failed += other.failed;
    }
}

impl Database {
    pub(super) fn new(port: u16, token: &str) -> Self {
        let client = Client::new(port, Some(token));
        Self { port, token: token.to_owned(), client, anybody: Client::new(port, None), keys: Arc::default() }
    }

    /// As the administrator.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// What REST gives the administrator, as a list: a singleton is one row.
    pub(super) fn read(&self, collection: &str, query: &Value) -> Result<Vec<Value>> {
        let data = self.client.data("SEARCH", &format!("/items/{collection}"), Some(&json!({ "query": query })))?;
        Ok(as_list(data))
    }

    /// What REST gives whoever has no login; nothing if it refuses.
    pub(super) fn read_as_anybody(&self, collection: &str, query: &Value) -> Result<Option<Vec<Value>>> {
        let path = format!("/items/{collection}");
        let body = json!({ "query": query });
        let reply = self.anybody.send("SEARCH", &path, Some(&body)).context(|| format!("SEARCH {path} failed"))?;
        match reply.status {
            200 => {
                let mut value: Value =
                    serde_json::from_slice(&reply.body).context(|| "Directus's answer".to_owned())?;
                Ok(Some(as_list(value["data"].take())))
            }
            403 => Ok(None),
            status => Err(Failure::new(format!("Directus answered SEARCH {path} with {status}"))),
        }
    }

    /// Learns the keys anew: writes whose answer was lost may have made some.
    pub(super) fn learn(&self) -> Result<()> {
        let read = |collection, key: &str| -> Result<Vec<Value>> {
            let mut rows = self.read(collection, &json!({ "fields": [key], "limit": -1 }))?;
            Ok(rows.iter_mut().map(|row| row[key].take()).collect())
        };
        let (posts, comments, wires) = (read("posts", "id")?, read("comments", "id")?, read("wires", "code")?);
        *self.keys() = BTreeMap::from([("posts", posts), ("comments", comments), ("wires", wires)]);
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<&'static str, Vec<Value>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, collection: &str) -> usize {
        self.keys().get(collection).map_or(0, Vec::len)
    }

    fn add(&self, collection: &'static str, keys: impl IntoIterator<Item = Value>) {
        self.keys().entry(collection).or_default().extend(keys);
    }

    /// Some keys, which stay where they are; others may delete them meanwhile.
    fn some(&self, random: &mut Random, collection: &str, many: usize) -> Vec<Value> {
        let keys = self.keys();
        let Some(keys) = keys.get(collection).filter(|keys| !keys.is_empty()) else { return Vec::new() };
        let start = random.index(keys.len());
        keys.iter().cycle().skip(start).take(many.min(keys.len())).cloned().collect()
    }

    /// Some keys, which nobody else gets: they are to be deleted.
    fn take(&self, random: &mut Random, collection: &str, many: usize, least: usize) -> Vec<Value> {
        let mut keys = self.keys();
        let Some(keys) = keys.get_mut(collection) else { return Vec::new() };
        let many = many.min(keys.len().saturating_sub(least));
        (0..many).map(|_| keys.swap_remove(random.index(keys.len()))).collect()
    }
}

fn as_list(data: Value) -> Vec<Value> {
    match data {
        Value::Array(rows) => rows,
        row => vec![row],
    }
}

/// Writes until it is told to stop.
pub(super) struct Writer {
    manner: Manner,
    database: Database,
    random: Random,
    socket: Option<WebSocket>,
    asked: u64,
}

impl Writer {
    pub(super) fn new(manner: Manner, database: Database, random: Random) -> Self {
        Self { manner, database, random, socket: None, asked: 0 }
    }

    /// Rows enough for every shape.
    pub(super) fn fill(mut self) -> Result<()> {
        for (collection, many) in [("posts", FEW * 2), ("comments", 20)] {
            let rows: Vec<Value> = (0..many).map(|_| self.row(collection)).collect();
            patiently(|| self.database.client.data("POST", &format!("/items/{collection}"), Some(&json!(rows))))?;
        }
        Ok(())
    }

    pub(super) fn run(mut self, stop: &AtomicBool) -> Written {
        let mut written = Written::default();
        while !stop.load(Ordering::SeqCst) {
            match self.write() {
                Ok(0) => {}
                Ok(rows) => {
                    written.operations += 1;
                    written.rows += rows;
                }
                Err(_) => {
                    written.failed += 1;
                    self.socket = None;
                    // Directus may be starting. What became of the write is seen at the next pause: REST knows.
                    if pause(AWAY).is_err() {
                        break;
                    }
                }
            }
        }
        written
    }

    /// One write, or a breath of them; how many rows it touched.
    fn write(&mut self) -> Result<u64> {
        match self.manner {
            Manner::Batches => self.batch(),
            Manner::Rest | Manner::WebSocket => match self.random.index(10) {
                0..=5 => self.single("posts"),
                6 | 7 => self.single("comments"),
                8 => self.single("wires"),
                _ => self.others(),
            },
        }
    }

    fn row(&mut self, collection: &str) -> Value {
        let random = &mut self.random;
        let titles = ["Zebra", "äpfel", "Apfel", "10", "9", "ß", "zebra", "Ärger", "apfel", "Éclair", "_", "Åland"];
        match collection {
            "posts" => json!({
                "title": random.pick(&titles),
                "status": random.pick(&["draft", "review", "published"]),
                "views": random.between(0, 100),
                "author": if random.once_in(3) { Value::Null } else { json!(random.between(1, 3)) },
                "published_at": if random.once_in(4) { Value::Null } else { json!(near_now(random)) },
                "sort": if random.once_in(2) { Value::Null } else { json!(random.between(0, 9)) },
                "tags": if random.once_in(2) { Value::Null } else { json!([random.pick(&titles), "x"]) },
                "body": random.pick(&["apart", "beside", "maps"]),
            }),
            "comments" => json!({ "author_name": random.pick(&titles), "text": random.pick(&titles) }),
            _ => json!({ "text": random.pick(&titles), "priority": random.between(0, 5) }),
        }
    }

    fn single(&mut self, collection: &'static str) -> Result<u64> {
        let mut row = self.row(collection);
        let (key, least, many) = match collection {
            "posts" => ("id", FEW, MANY),
            "wires" => ("code", 4, 20),
            _ => ("id", 4, 60),
        };
        let count = self.database.count(collection);
        match self.random.index(10) {
            0..=2 if count < many => {
                if collection == "wires" {
                    // Few enough that a key which was deleted comes again.
                    row[key] = json!(format!("W-{}", self.random.between(0, 30)));
                }
                let made = self.create(collection, &row)?;
                self.database.add(collection, [made[key].clone()]);
                Ok(1)
            }
            choice @ 0..=4 if choice < 4 || count > many => {
                let Some(key) = self.database.take(&mut self.random, collection, 1, least).pop() else { return Ok(0) };
                self.delete(collection, &key)?;
                Ok(1)
            }
            _ => {
                let Some(key) = self.database.some(&mut self.random, collection, 1).pop() else { return Ok(0) };
                if self.random.once_in(2) {
                    // One field, as people edit.
                    let field = match collection {
                        "posts" => self.random.pick(&["title", "status", "views", "author", "published_at"]),
                        "comments" => "author_name",
                        _ => "priority",
                    };
                    row = json!({ field: row[field] });
                }
                self.update(collection, &key, &row)?;
                Ok(1)
            }
        }
    }

    fn others(&mut self) -> Result<u64> {
        if self.random.once_in(2) {
            let name = self.random.pick(&["Ada", "ada", "Zoë", "Ömer", "Émile", "Noah"]);
            let name = format!("{name} {}", self.random.between(0, 9));
            let author = json!(self.random.between(1, 3));
            self.update("authors", &author, &json!({ "name": name }))?;
        } else {
            let headline = format!("Headline {}", self.random.between(0, 1_000));
            let body = json!({ "headline": headline, "breaking": self.random.once_in(2) });
            self.database.client.data("PATCH", "/items/masthead", Some(&body))?;
        }
        Ok(1)
    }

    fn create(&mut self, collection: &str, row: &Value) -> Result<Value> {
        match self.manner {
            Manner::WebSocket => {
                self.ask(json!({ "type": "items", "action": "create", "collection": collection, "data": row }))
            }
            _ => self.database.client.data("POST", &format!("/items/{collection}"), Some(row)),
        }
    }

    fn update(&mut self, collection: &str, key: &Value, row: &Value) -> Result<Value> {
        match self.manner {
            Manner::WebSocket => self
                .ask(json!({ "type": "items", "action": "update", "collection": collection, "id": key, "data": row })),
            _ => {
                let path = format!("/items/{collection}/{}", in_path(key));
                self.database.client.data("PATCH", &path, Some(row))
            }
        }
    }

    fn delete(&mut self, collection: &str, key: &Value) -> Result<Value> {
        match self.manner {
            Manner::WebSocket => {
                self.ask(json!({ "type": "items", "action": "delete", "collection": collection, "id": key }))
            }
            _ => {
                let path = format!("/items/{collection}/{}", in_path(key));
                self.database.client.data("DELETE", &path, None)
            }
        }
    }

    fn ask(&mut self, mut command: Value) -> Result<Value> {
        self.asked += 1;
        command["uid"] = json!(self.asked.to_string());
        let failed = |error: std::io::Error| Failure::new(format!("the writer's socket: {error}"));
        if self.socket.is_none() {
            self.socket = Some(WebSocket::open(self.database.port, &self.database.token).map_err(failed)?);
        }
        let Some(socket) = &mut self.socket else { return Ok(Value::Null) };
        let mut answer = socket.ask(&command).map_err(failed)?;
        if answer["status"] == "error" {
            return Err(Failure::new(answer["error"].to_string()));
        }
        Ok(answer["data"].take())
    }

    /// Many rows in one request.
    fn batch(&mut self) -> Result<u64> {
        let many = usize::try_from(self.random.between(5, 60)).unwrap_or(5);
        let posts = "/items/posts";
        let client = self.database.client.clone();
        let length = |data: &Value| data.as_array().map_or(0, Vec::len) as u64;
        match self.random.index(6) {
            0 if self.database.count("posts") < MANY => {
                let rows: Vec<Value> = (0..many).map(|_| self.row("posts")).collect();
                let made = client.data("POST", &format!("{posts}?fields=id"), Some(&json!(rows)))?;
                let keys: Vec<Value> = made.as_array().into_iter().flatten().map(|row| row["id"].clone()).collect();
                self.database.add("posts", keys);
                Ok(length(&made))
            }
            0 | 1 => {
                let keys = self.database.take(&mut self.random, "posts", many, FEW);
                if keys.is_empty() {
                    return Ok(0);
                }
                client.data("DELETE", posts, Some(&json!(keys)))?;
                Ok(keys.len() as u64)
            }
            2 => {
                let keys = self.database.some(&mut self.random, "posts", many);
                let row = self.row("posts");
                let data = json!({ "status": row["status"], "views": row["views"] });
                // A key that somebody deletes meanwhile makes the whole batch fail: that is a refusal like others.
                let changed = client.data(
                    "PATCH",
                    &format!("{posts}?fields=id"),
                    Some(&json!({ "keys": keys, "data": data })),
                )?;
                Ok(length(&changed))
            }
            3 => {
                let row = self.row("posts");
                let filter = json!({ "views": { "_lt": self.random.between(0, 60) } });
                let body = json!({ "query": { "filter": filter, "limit": -1 }, "data": { "status": row["status"], "title": row["title"] } });
                Ok(length(&client.data("PATCH", &format!("{posts}?fields=id"), Some(&body))?))
            }
            4 => {
                // Each row another change, in one request.
                let keys = self.database.some(&mut self.random, "posts", many.min(12));
                let rows: Vec<Value> = keys
                    .into_iter()
                    .map(|key| {
                        let row = self.row("posts");
                        json!({ "id": key, "views": row["views"], "published_at": row["published_at"] })
                    })
                    .collect();
                Ok(length(&client.data("PATCH", &format!("{posts}?fields=id"), Some(&json!(rows)))?))
            }
            _ => {
                // Created, deleted and created again in one breath, under the same key.
                let wire = json!({ "code": format!("B-{}", self.random.between(0, 5)), "text": "again", "priority": self.random.between(0, 9) });
                let path = format!("/items/wires/{}", in_path(&wire["code"]));
                if client.data("POST", "/items/wires", Some(&wire)).is_err() {
                    client.data("DELETE", &path, None)?;
                    return Ok(1);
                }
                client.data("DELETE", &path, None)?;
                client.data("POST", "/items/wires", Some(&wire))?;
                Ok(3)
            }
        }
    }
}

/// A moment some seconds from now, or one of long ago or of days to come; in Directus's own form.
fn near_now(random: &mut Random) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let moment = match random.index(3) {
        0 => now - 20 + random.between(0, 40),
        1 => now - random.between(3_600, 864_000),
        _ => now + random.between(3_600, 864_000),
    };
    timestamp(moment)
}

/// Seconds since 1970 as `2026-11-25T03:39:05Z`; Hinnant's civil calendar.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// A key as a part of a path.
fn in_path(key: &Value) -> String {
    let text = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_directus_reads_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_577_945, "2026-11-25T03:39:05Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn a_key_is_safe_in_a_path() {
        assert_eq!(in_path(&json!(7)), "7");
        assert_eq!(in_path(&json!("ü/1 ?&")), "%C3%BC%2F1%20%3F%26");
    }

    #[test]
    fn keys_to_delete_are_given_once_and_some_are_always_left() {
        let database = Database::new(1, "t");
        database.add("posts", (0..10).map(|key| json!(key)));
        let mut random = Random::new(1);
        let first = database.take(&mut random, "posts", 4, 5);
        let second = database.take(&mut random, "posts", 4, 5);
        assert_eq!((first.len(), second.len()), (4, 1));
        assert!(second.iter().all(|key| !first.contains(key)));
        assert_eq!(database.some(&mut random, "posts", 100).len(), 5);
    }
}
