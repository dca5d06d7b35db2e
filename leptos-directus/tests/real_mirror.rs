//! The `mirror` example as people run it: after each pause its last line's rows equal REST, directly and through the
//! server, as somebody and as anybody.
#![cfg(feature = "ssr")]

mod contract;
mod real;
#[path = "real/relay.rs"]
mod relay;
mod server;

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use contract::{Step, Write, keys, stories};
use real::{Admin, as_rest, counting_key, eventually, field, past_the_first_seconds};
use relay::{Fault, Relay, Way};
use serde_json::{Value, json};
use server::App;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The example that cargo built beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples/mirror");
    assert!(path.exists(), "{} is not there: build it with `--example mirror`", path.display());
    path
}

/// A running mirror, and all that it has said.
struct Mirror {
    lines: Arc<Mutex<Vec<String>>>,
    said: Arc<Mutex<Vec<String>>>,
    _child: Child,
}

impl Mirror {
    fn start(options: &[&str], token: Option<&str>, collection: &str, query: &Value) -> Self {
        let mut command = Command::new(program());
        command.args(options).arg(collection).arg(query.to_string()).env_remove("DIRECTUS_TOKEN");
        if let Some(token) = token {
            command.env("DIRECTUS_TOKEN", token);
        }
        command.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (lines, said) = (Arc::default(), Arc::default());
        collect(child.stdout.take().unwrap(), Arc::clone(&lines));
        collect(child.stderr.take().unwrap(), Arc::clone(&said));
        Self { lines, said, _child: child }
    }

    /// The last line, which is JSON as all of them.
    fn last(&self) -> Option<Value> {
        let lines = self.lines.lock().unwrap();
        lines.last().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} is no JSON")))
    }

    async fn line(&self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || match self.last() {
            Some(line) if is_wanted(&line) => Ok(line),
            other => Err(other),
        })
        .await
    }

    /// Everything that it has said, for what must not be in it.
    fn all(&self) -> String {
        [&self.lines, &self.said].map(|lines| lines.lock().unwrap().join("\n")).join("\n")
    }
}

fn collect(stream: impl AsyncRead + Send + Unpin + 'static, into: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            into.lock().unwrap().push(line);
        }
    });
}

/// One step of a story, by REST.
async fn follow(admin: &Admin, collection: &str, step: &Step) {
    let path = format!("/items/{collection}");
    for write in &step.writes {
        match write {
            Write::Create { create } => admin.ok("POST", &path, Some(json!(create))).await,
            Write::Update { update, set } => {
                admin.ok("PATCH", &path, Some(json!({ "keys": update, "data": set }))).await
            }
            Write::Delete { delete } => admin.ok("DELETE", &path, Some(json!(delete))).await,
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract() {
    let admin = Admin::new();
    admin.remove_collections(&["contract"]).await;
    let fields = [("title", "string"), ("rank", "integer"), ("day", "date"), ("flag", "boolean")];
    let fields = fields.map(|(name, kind)| field(name, kind)).to_vec();
    let collection = admin.collection("contract", counting_key(), fields).await;
    let key_reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&key_reads);
    let tap = move |_, way, bytes: &[u8]| {
        if way == Way::Up && bytes.starts_with(b"GET /items/") && bytes.windows(3).any(|three| three == b"_in") {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let relay = Relay::tapped(&admin.url, Some(Box::new(tap))).unwrap();
    for story in stories() {
        let there = keys(&admin.read(&collection, &json!({ "fields": ["id"], "limit": -1 })).await);
        let path = format!("/items/{collection}");
        admin.ok("DELETE", &path, Some(json!(there))).await;
        admin.ok("POST", &path, Some(json!(story.rows()))).await;
        let mirror = Mirror::start(&["--directus", &relay.url()], Some(&admin.token), &collection, &story.query);
        mirror.line("the first rows", |line| line["status"] == "live").await;
        if story.is_long() {
            past_the_first_seconds(Instant::now()).await;
            key_reads.store(0, Ordering::Relaxed);
        }
        for step in &story.steps {
            if step.without_a_link {
                relay.set(Fault::Refuse).unwrap();
                mirror.line("no link", |line| line["status"] != "live").await;
            }
            follow(&admin, &collection, step).await;
            if step.without_a_link {
                relay.set(Fault::Pass).unwrap();
            }
            let rest = json!(admin.read(&collection, &as_rest(&story.query, "id")).await);
            let what = format!("{}: {rest}", story.promise);
            let line = mirror.line(&what, |line| line["rows"] == rest && line["status"] == "live").await;
            let shown: Vec<&Value> = line["rows"].as_array().unwrap().iter().collect();
            assert!(step.is_kept_by(&shown), "{}: {shown:?}, not {step:?}", story.promise);
        }
        let by_keys = key_reads.load(Ordering::Relaxed);
        assert!(by_keys > 0 || !story.is_long(), "{}: no row was read by its key", story.promise);
    }
    admin.remove_collections(&["contract"]).await;
}

async fn write(admin: Admin, collection: String, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let path = format!("/items/{collection}");
    for _ in 0..10 {
        let row = json!({ "title": random.choice(["b", "a", "B", "ä", ""]), "rank": random.i32(0..10) });
        let keys: Vec<Value> = admin.read(&collection, &json!({ "fields": ["id"], "limit": -1 })).await;
        let key = random.choice(keys).map(|row| row["id"].clone()).unwrap_or_default();
        match random.u8(0..5) {
            0 | 1 => drop(admin.ok("POST", &path, Some(row)).await),
            2 => drop(admin.ok("POST", &path, Some(json!([row, row]))).await),
            // Another writer may have been there first: a refusal is as good as a write here.
            3 => drop(admin.send("PATCH", &format!("{path}/{key}"), Some(row)).await),
            _ => drop(admin.send("DELETE", &format!("{path}/{key}"), None).await),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_last_line_equals_rest_after_each_pause_directly_and_through_the_server() {
    let admin = Admin::new();
    admin.remove_collections(&["mirrored"]).await;
    let rows =
        admin.collection("mirrored", counting_key(), vec![field("title", "string"), field("rank", "integer")]).await;
    let app = App::at(&admin.url, |_| {}).await;
    let (rest, ws) = (format!("{}/directus", app.origin()), format!("ws://{}/directus-ws", app.address));
    let direct = ["--directus", admin.url.as_str()];
    let through = ["--directus", rest.as_str(), "--ws", ws.as_str()];
    let queries = [
        json!({}),
        json!({ "filter": { "rank": { "_gt": 4 } }, "sort": ["-rank"], "limit": 5 }),
        json!({ "sort": ["title"], "limit": 3, "offset": 2, "fields": ["id", "title"] }),
    ];
    let mut mirrors = Vec::new();
    for query in queries {
        mirrors.push((Mirror::start(&direct, Some(&admin.token), &rows, &query), query.clone()));
        mirrors.push((Mirror::start(&through, None, &rows, &query), query));
    }
    let seed = std::env::var("LEPTOS_DIRECTUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed} (LEPTOS_DIRECTUS_SEED)");
    for round in 0..3_u64 {
        let writers =
            (0..3).map(|number| tokio::spawn(write(admin.clone(), rows.clone(), seed ^ (round * 10 + number))));
        for writer in futures::future::join_all(writers).await {
            writer.unwrap();
        }
        for (number, (mirror, query)) in mirrors.iter().enumerate() {
            let expected = json!(admin.read(&rows, &as_rest(query, "id")).await);
            let what = format!("mirror {number} of {query} to show {expected} in round {round} (seed {seed})");
            let line = mirror.line(&what, |line| line["rows"] == expected && line["status"] == "live").await;
            assert_eq!(line["error"], Value::Null);
        }
    }
    for (mirror, query) in &mirrors {
        assert!(!mirror.all().contains(&admin.token), "the token of {query} shows");
        assert!(mirror.lines.lock().unwrap().len() > 1, "{query}");
    }
    drop(mirrors);
    app.empty().await;
    admin.remove_collections(&["mirrored"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_a_line_too_and_shows_no_token() {
    let admin = Admin::new();
    const TOKEN: &str = "s3cret-token-that-nobody-has";
    let direct = ["--directus", admin.url.as_str()];
    // Not for anybody; a token that Directus does not know; a Directus that is not there.
    let refused = Mirror::start(&direct, None, "directus_users", &json!({}));
    let line = refused.line("the refusal", |line| line["error"].is_string() && line["status"] == "refused").await;
    assert_eq!(line["rows"], json!([]));
    let unknown = Mirror::start(&direct, Some(TOKEN), "posts", &json!({}));
    unknown.line("the refusal", |line| line["error"].is_string()).await;
    let nowhere = Mirror::start(&["--directus", "http://127.0.0.1:1"], Some(TOKEN), "posts", &json!({}));
    let line = nowhere.line("the trouble", |line| line["error"].is_string()).await;
    assert_ne!(line["status"], "live");
    for mirror in [&unknown, &nowhere] {
        assert!(!mirror.all().contains(TOKEN), "{}", mirror.all());
    }
}

#[tokio::test]
async fn it_ends_when_nobody_reads_it_any_more_and_says_how_it_is_called() {
    let admin = Admin::new();
    let mut command = Command::new(program());
    command.args(["--directus", &admin.url, "posts"]).env("DIRECTUS_TOKEN", &admin.token);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = timeout(real::PATIENCE, lines.next_line()).await.expect("a line").unwrap().expect("a line");
    assert!(first.starts_with('{'), "{first}");
    drop(lines);
    // A post that changes until the mirror has had to say so.
    let post = admin.ok("POST", "/items/posts", Some(json!({ "title": "Unread", "status": "draft" }))).await;
    let path = format!("/items/posts/{}", post["id"]);
    let writing = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for number in 0.. {
            ticks.tick().await;
            admin.ok("PATCH", &path, Some(json!({ "title": format!("Unread {number}") }))).await;
        }
    };
    let status = tokio::select! {
        status = timeout(real::PATIENCE, child.wait()) => status.expect("it ends").unwrap(),
        () = writing => unreachable!("it writes for ever"),
    };
    assert!(status.success(), "{status}");
    admin.ok("DELETE", &path, None).await;

    let output = Command::new(program()).arg("posts").output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--directus is missing") && said.contains("usage: mirror"), "{said}");
}
