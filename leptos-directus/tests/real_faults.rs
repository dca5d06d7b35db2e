//! A live query behind links that are cut, silent, slow, refused or torn, and a Directus that is killed, limits how often it may
//! be asked, or says what it never says: no blank, no row twice, no old state after a newer one, a true status, and right again as
//! soon as there is a link.
#![cfg(feature = "ssr")]

#[path = "real/meddler.rs"]
mod meddler;
#[path = "real/mortal.rs"]
mod mortal;
mod real;
#[path = "real/relay.rs"]
mod relay;
mod server;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::StreamExt;
use leptos::prelude::{GetUntracked, Owner};
use leptos_directus::{
    ConnectionStatus, Directus, LiveStatus, NativeOptions, Query, Snapshot, UseRealtimeCollectionOptions,
    connection::ConnectionConfig, engine::Counts,
};
use meddler::Meddler;
use mortal::Mortal;
use real::{Admin, PATIENCE, counting_key, eventually, field};
use relay::{Fault, Relay, Tap, Way};
use serde_json::{Value, json};
use server::App;
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_tungstenite::tungstenite::{
    Bytes, Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

/// What is promised after the next connection that comes about, and as much again for a machine that has other things to do.
const SOON: Duration = Duration::from_secs(4);
/// By then a status must say that a link is lost.
const NOTICED: Duration = Duration::from_secs(5);
/// By then, where nobody says so: packets vanish.
const NOTICED_SILENCE: Duration = Duration::from_secs(20);

/// One collection for all tests, each with rows of its own in it: a Directus has room for few collections.
static ROWS: OnceCell<String> = OnceCell::const_new();

async fn collection(admin: &Admin) -> String {
    let make = async || {
        admin.remove_collections(&["faulty"]).await;
        admin.collection("faulty", counting_key(), fields()).await
    };
    ROWS.get_or_init(make).await.clone()
}

fn fields() -> Vec<Value> {
    vec![field("owner", "string"), field("version", "integer"), field("text", "text")]
}

/// Everything that a list ever showed.
#[derive(Clone, Default)]
struct History(Arc<Mutex<Vec<(Instant, Snapshot)>>>);

impl History {
    fn last(&self) -> Snapshot {
        self.0.lock().unwrap().last().map(|(_, snapshot)| snapshot.clone()).unwrap_or_default()
    }

    /// When it first showed, after `since`, what is wanted.
    fn first(&self, since: Instant, is_wanted: impl Fn(&Snapshot) -> bool) -> Option<Instant> {
        let all = self.0.lock().unwrap();
        all.iter().find(|(at, snapshot)| *at >= since && is_wanted(snapshot)).map(|(at, _)| *at)
    }

    fn check(&self) {
        let mut newest: HashMap<i64, i64> = HashMap::new();
        let mut had_rows = false;
        for (_, snapshot) in self.0.lock().unwrap().iter() {
            assert!(!had_rows || !snapshot.rows.is_empty(), "it blanked: {snapshot:?}");
            had_rows |= !snapshot.rows.is_empty();
            let mut seen = Vec::new();
            for row in &snapshot.rows {
                let (key, version) = (row["id"].as_i64().unwrap(), row["version"].as_i64().unwrap());
                assert!(!seen.contains(&key), "{key} is there twice: {snapshot:?}");
                seen.push(key);
                let newest = newest.entry(key).or_insert(version);
                assert!(version >= *newest, "{key} went back from {newest}: {snapshot:?}");
                *newest = version;
            }
        }
    }
}

/// Three rows of one test, and a list of them.
struct Stand {
    admin: Admin,
    path: String,
    query: Value,
    keys: Vec<Value>,
    version: i64,
    directus: Directus,
    history: History,
    reader: JoinHandle<()>,
    _owner: Owner,
}

impl Stand {
    async fn new(admin: Admin, collection: &str, owner: &str, options: NativeOptions) -> Self {
        let path = format!("/items/{collection}");
        let row = json!({ "owner": owner, "version": 0, "text": "x" });
        let made = admin.ok("POST", &path, Some(json!([row, row, row]))).await;
        let keys = made.as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        let query = json!({ "filter": { "owner": { "_eq": owner } }, "sort": ["-version", "id"], "limit": -1 });
        let scope = Owner::new();
        let directus = scope.with(|| Directus::native(options));
        let parsed = Query::from_json(&query.to_string()).unwrap();
        let mut rows = scope.with(|| directus.watch(collection, parsed, UseRealtimeCollectionOptions::default()));
        let history = History::default();
        let all = history.clone();
        let reader = tokio::spawn(async move {
            while let Some(snapshot) = rows.next().await {
                all.0.lock().unwrap().push((Instant::now(), snapshot));
            }
        });
        let stand = Self { admin, path, query, keys, version: 0, directus, history, reader, _owner: scope };
        stand.is_right("the first rows").await;
        stand
    }

    async fn truth(&self) -> Vec<Value> {
        self.admin.read(self.path.trim_start_matches("/items/"), &self.query).await
    }

    /// Changes every row, one after the other, past whatever is on the way.
    async fn change(&mut self) {
        for key in &self.keys {
            self.version += 1;
            let row = json!({ "version": self.version });
            self.admin.ok("PATCH", &format!("{}/{key}", self.path), Some(row)).await;
        }
    }

    async fn is_right(&self, what: &str) {
        let expected = self.truth().await;
        eventually(what, async || match self.history.last() {
            shown if shown.rows == expected && shown.status == LiveStatus::Live => Ok(()),
            shown => Err(shown),
        })
        .await;
    }

    /// Since when it shows the truth; at latest `within` after `since`.
    async fn is_right_soon(&self, what: &str, since: impl Fn() -> Option<Instant>, within: Duration) {
        self.is_right(what).await;
        let expected = self.truth().await;
        let began = since().unwrap_or_else(|| panic!("{what}: no socket ever opened"));
        let right = |shown: &Snapshot| shown.rows == expected && shown.status == LiveStatus::Live;
        // It may have been right before the moment that counts.
        let at = self.history.first(began, right).unwrap_or(began);
        println!("{what}: right {:?} after it could be", at.saturating_duration_since(began));
        assert!(at.saturating_duration_since(began) <= within, "{what}: {:?}", at.saturating_duration_since(began));
    }

    /// The status no longer says that the rows are kept right; at latest `within` from `since`.
    async fn is_noticed(&self, what: &str, since: Instant, within: Duration) {
        let not_live = |shown: &Snapshot| shown.status != LiveStatus::Live;
        let at = eventually_within(within + SOON, what, || self.history.first(since, not_live)).await;
        println!("{what}: noticed after {:?}", at - since);
        assert!(at - since <= within, "{what}: noticed after {:?}", at - since);
    }

    /// The list goes, and nothing of it stays behind.
    async fn end(self) {
        self.history.check();
        self.reader.abort();
        eventually("everything to be gone", async || match self.directus.counts().await {
            counts if counts == Counts::default() => Ok(()),
            counts => Err(counts),
        })
        .await;
    }
}

async fn eventually_within<T>(within: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let mut interval = tokio::time::interval(Duration::from_millis(10));
    let end = Instant::now() + within;
    loop {
        interval.tick().await;
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited {within:?} for {what}");
    }
}

/// When sockets opened on a relay.
#[derive(Clone, Default)]
struct Sockets(Arc<Mutex<Vec<Instant>>>);

impl Sockets {
    fn tap(&self) -> Box<Tap> {
        let sockets = self.clone();
        Box::new(move |_, way, bytes| {
            if way == Way::Down && bytes.starts_with(b"HTTP/1.1 101") {
                sockets.0.lock().unwrap().push(Instant::now());
            }
        })
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn last(&self) -> Option<Instant> {
        self.0.lock().unwrap().last().copied()
    }
}

/// Everything, sockets and reads, goes through one relay.
async fn behind_a_relay(name: &str, config: ConnectionConfig) -> (Stand, Relay, Sockets) {
    let admin = Admin::new();
    let rows = collection(&admin).await;
    let sockets = Sockets::default();
    let relay = Relay::tapped(&admin.url, Some(sockets.tap())).unwrap();
    let options = NativeOptions::new(relay.url()).token(&admin.token).connection(config);
    let stand = Stand::new(admin, &rows, name, options).await;
    (stand, relay, sockets)
}

/// Tries come quickly one after the other: what is tested is not how long one waits.
fn hasty() -> ConnectionConfig {
    ConnectionConfig { longest_delay: Duration::from_millis(100), ..quick_end() }
}

fn quick_end() -> ConnectionConfig {
    ConnectionConfig { linger: Duration::from_millis(50), ..ConnectionConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_at_any_byte_of_an_event_or_an_answer_is_made_good() {
    let (mut stand, relay, sockets) = behind_a_relay("cut", hasty()).await;
    for bytes in (0..130).step_by(9) {
        let before = sockets.count();
        relay.cut_after(bytes);
        stand.change().await;
        stand.is_right(&format!("the rows after a cut {bytes} bytes on")).await;
        assert!(sockets.count() > before, "three events are longer than {bytes} bytes: the socket was cut");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_while_it_opens_is_tried_again() {
    let (mut stand, relay, sockets) = behind_a_relay("cut early", hasty()).await;
    for bytes in [0, 1, 50, 128, 129, 200, 300] {
        // Those to come are cut too: the upgrade's answer, an acknowledgement, a read.
        relay.set(Fault::CutAfter(bytes)).unwrap();
        relay.cut();
        stand.change().await;
        let tries = relay.accepted();
        eventually("some tries", async || if relay.accepted() > tries + 5 { Ok(()) } else { Err(relay.accepted()) })
            .await;
        let healed = Instant::now();
        relay.set(Fault::Pass).unwrap();
        let since = || sockets.last().map(|opened| opened.max(healed));
        stand.is_right_soon(&format!("cut after {bytes} bytes of each answer"), since, SOON).await;
    }
    stand.end().await;
}

/// Packets vanish until that is noticed; then the link is there again.
async fn half_open(mut stand: Stand, relay: &Relay, sockets: &Sockets) {
    // Connections that are kept open for reads, and die with the socket's.
    let items = stand.directus.items::<Value>(stand.path.trim_start_matches("/items/"));
    futures::future::join_all((0..6).map(|_| items.read(Query::new().limit(1)))).await;
    // A read on its way when packets begin to vanish is part of it: it must not hold up those that come after.
    stand.change().await;
    let silent = Instant::now();
    relay.set(Fault::HalfOpen).unwrap();
    stand.change().await;
    stand.is_noticed("half-open", silent, NOTICED_SILENCE).await;
    relay.set(Fault::Pass).unwrap();
    let healed = Instant::now();
    let opened = || sockets.last().filter(|opened| *opened > healed);
    eventually_within(Duration::from_secs(30), "the next socket", opened).await;
    stand.is_right_soon("half-open", opened, SOON).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_is_noticed_within_twenty_seconds_and_made_good_at_once() {
    let (stand, relay, sockets) = behind_a_relay("half-open", quick_end()).await;
    half_open(stand, &relay, &sockets).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_behind_the_server_is_made_good_at_once_too() {
    let admin = Admin::new();
    let rows = collection(&admin).await;
    let sockets = Sockets::default();
    let relay = Relay::tapped(&admin.url, Some(sockets.tap())).unwrap();
    let app = App::at(&relay.url(), |_| {}).await;
    let ws = format!("ws://{}/directus-ws", app.address);
    let options = NativeOptions::new(format!("{}/directus", app.origin())).ws_url(ws).connection(quick_end());
    let stand = Stand::new(admin, &rows, "behind the server", options).await;
    half_open(stand, &relay, &sockets).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_who_came_while_the_way_to_directus_was_silent_is_answered_when_it_is_back() {
    let admin = Admin::new();
    let rows = collection(&admin).await;
    let relay = Relay::to(&admin.url).unwrap();
    let app = App::at(&relay.url(), |_| {}).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/directus/items/{rows}?limit=1", app.origin());
    let read = async || client.get(&url).send().await.map(|answer| answer.status().as_u16());
    // Connections that the server keeps open, and that die unnoticed.
    for answer in futures::future::join_all((0..6).map(|_| read())).await {
        assert_eq!(answer.unwrap(), 200);
    }
    relay.set(Fault::HalfOpen).unwrap();
    let opened = tokio_tungstenite::connect_async(format!("ws://{}/directus-ws", app.address)).await;
    assert!(opened.is_err(), "nobody can be let in without Directus");
    relay.set(Fault::Pass).unwrap();
    let answer = tokio::time::timeout(SOON, read()).await;
    assert_eq!(answer.expect("an answer over a new connection").unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_is_not_taken_for_dead() {
    let (mut stand, relay, sockets) = behind_a_relay("slow", quick_end()).await;
    relay.set(Fault::Slow(1_000)).unwrap();
    let began = Instant::now();
    // Longer than it takes to find a dead one.
    while began.elapsed() < NOTICED_SILENCE + Duration::from_secs(8) {
        stand.change().await;
        stand.is_right("the rows over a slow link").await;
        assert_eq!(stand.history.last().error, None);
    }
    assert_eq!(sockets.count(), 1, "the socket was given up");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_comes_late_or_in_other_pieces_is_the_same() {
    let (mut stand, relay, sockets) = behind_a_relay("pieces", quick_end()).await;
    let millis = Duration::from_millis;
    for fault in [
        Fault::Split(1),
        Fault::Split(7),
        Fault::Merge(millis(80)),
        Fault::Delay(millis(50), millis(200)),
        Fault::Delay(millis(300), millis(1)),
    ] {
        relay.set(fault).unwrap();
        for _ in 0..3 {
            stand.change().await;
            stand.is_right(&format!("the rows: {fault:?}")).await;
        }
    }
    assert_eq!(sockets.count(), 1, "none of these loses the socket");
    stand.end().await;
}

/// A fault that whoever connects is told of.
async fn told_at_once(name: &str, fault: Fault) {
    let (mut stand, relay, sockets) = behind_a_relay(name, quick_end()).await;
    for round in 0..2 {
        let began = Instant::now();
        relay.set(fault).unwrap();
        stand.is_noticed(name, began, NOTICED).await;
        stand.change().await;
        // Some tries fail; what they say is not live.
        let status = stand.directus.status();
        eventually("the status to say so", async || match status.get_untracked() {
            ConnectionStatus::Reconnecting { .. } => Ok(()),
            other => Err(other),
        })
        .await;
        assert_ne!(stand.history.last().status, LiveStatus::Live);
        relay.set(Fault::Pass).unwrap();
        let healed = Instant::now();
        let opened = || sockets.last().filter(|opened| *opened > healed);
        eventually_within(Duration::from_secs(30), "the next socket", opened).await;
        stand.is_right_soon(&format!("{name}, round {round}"), opened, SOON).await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_told_and_made_good_when_it_is_back() {
    told_at_once("refused", Fault::Refuse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_502_of_a_proxy_on_the_way_is_told_and_made_good_when_it_is_over() {
    told_at_once("bad gateway", Fault::BadGateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_on_the_way_back_are_asked_for_again() {
    let (mut stand, relay, sockets) = behind_a_relay("answers lost", hasty()).await;
    let began = Instant::now();
    relay.set(Fault::AnswersLost).unwrap();
    stand.change().await;
    stand.is_noticed("answers lost", began, NOTICED).await;
    relay.set(Fault::Pass).unwrap();
    let healed = Instant::now();
    let since = || sockets.last().map(|opened| opened.max(healed));
    stand.is_right_soon("answers lost", since, SOON).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directus_that_is_killed_in_the_middle_of_an_event_is_made_good_when_it_is_back() {
    let mortal = Mortal::new().await;
    let admin = &mortal.admin;
    admin.remove_collections(&["mortal"]).await;
    let rows = admin.collection("mortal", counting_key(), fields()).await;
    let (sockets, events) = (Sockets::default(), Arc::new(Mutex::new(0_u32)));
    let (tap, seen) = (sockets.tap(), Arc::clone(&events));
    let relay = Relay::tapped(
        &admin.url,
        Some(Box::new(move |number, way, bytes| {
            tap(number, way, bytes);
            if way == Way::Down && bytes.windows(8).any(|eight| eight == b"\"update\"") {
                *seen.lock().unwrap() += 1;
            }
        })),
    )
    .unwrap();
    let options = NativeOptions::new(relay.url()).token(&admin.token).connection(hasty());
    let stand = Stand::new(admin.clone(), &rows, "killed", options).await;
    // A batch whose rows come one by one, and a kill as soon as the first of them is announced.
    let batch: Vec<Value> =
        stand.keys.iter().cycle().take(60).enumerate().map(|(n, key)| json!({ "id": key, "version": n + 1 })).collect();
    let writing = {
        let (admin, path) = (admin.clone(), stand.path.clone());
        // It is not answered: that is the point.
        tokio::spawn(async move {
            for row in batch {
                let path = format!("{path}/{}", row["id"]);
                if admin.try_send("PATCH", &path, Some(row)).await.is_none() {
                    return;
                }
            }
        })
    };
    eventually("the first event", async || match *events.lock().unwrap() {
        0 => Err(()),
        _ => Ok(()),
    })
    .await;
    let began = Instant::now();
    mortal.control("stop?signal=KILL").await;
    stand.is_noticed("killed", began, NOTICED).await;
    writing.await.unwrap();
    assert_ne!(stand.history.last().status, LiveStatus::Live);
    mortal.control("start").await;
    let started = Instant::now();
    let since = || sockets.last().map(|opened| opened.max(started));
    stand.is_right_soon("killed", since, SOON).await;
    stand.end().await;
}

/// What a Directus that limits how often one may ask has said, and whether its word was kept.
#[derive(Default)]
struct Limits {
    /// Connections whose last request is a read of rows.
    reading: HashSet<u64>,
    /// Reads that were put off by a second or more.
    reads: u32,
    /// Frames that were dropped.
    frames: u32,
    /// Before that no rows are to be read.
    not_before: Option<Instant>,
    /// By how much reads came too early.
    early: Vec<Duration>,
}

impl Limits {
    fn asked(&mut self, number: u64, bytes: &[u8]) {
        if !bytes.starts_with(b"GET /") && !bytes.starts_with(b"SEARCH /") {
            return;
        }
        if !bytes.starts_with(b"GET /items/") && !bytes.starts_with(b"SEARCH /items/") {
            self.reading.remove(&number);
            return;
        }
        self.reading.insert(number);
        let early = self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        // The list's clock counts whole milliseconds.
        if early > Duration::from_millis(5) {
            self.early.push(early);
        }
    }

    fn answered(&mut self, number: u64, bytes: &[u8]) {
        if bytes.windows(17).any(|text| text == b"Too many messages") {
            self.frames += 1;
        }
        if !bytes.starts_with(b"HTTP/1.1 429 ") || !self.reading.contains(&number) {
            return;
        }
        let head = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let seconds = head.lines().find_map(|line| line.strip_prefix("retry-after:")?.trim().parse::<u64>().ok());
        let seconds = seconds.expect("Directus says when to come back");
        self.reads += u32::from(seconds > 0);
        self.not_before = Some(Instant::now() + Duration::from_secs(seconds));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directus_that_limits_how_often_one_may_ask_is_asked_no_sooner_than_it_says() {
    let mortal = Mortal::new().await;
    let admin = &mortal.admin;
    admin.remove_collections(&["limited"]).await;
    let rows = admin.collection("limited", counting_key(), fields()).await;
    mortal.control("stop").await;
    // Over the socket, too: of the three subscriptions of a list one is too many.
    mortal.control("start?points=2&seconds=3").await;
    let limits = Arc::new(Mutex::new(Limits::default()));
    let seen = Arc::clone(&limits);
    let tap: Box<Tap> = Box::new(move |number, way, bytes| match way {
        Way::Up => seen.lock().unwrap().asked(number, bytes),
        Way::Down => seen.lock().unwrap().answered(number, bytes),
    });
    let relay = Relay::tapped(&admin.url, Some(tap)).unwrap();
    let options = NativeOptions::new(relay.url()).token(&admin.token).connection(hasty());
    let mut stand = Stand::new(admin.clone(), &rows, "limited", options).await;
    let began = Instant::now();
    while limits.lock().unwrap().reads < 3 {
        assert!(began.elapsed() < PATIENCE, "each change makes for a read, and yet too few were too many");
        stand.change().await;
    }
    stand.is_right("the rows of a list that had to wait").await;
    stand.end().await;
    {
        let limits = limits.lock().unwrap();
        println!("{} reads put off, {} frames dropped", limits.reads, limits.frames);
        assert!(limits.frames > 0, "three frames at once are more than two");
        assert!(limits.early.is_empty(), "reads came too early by {:?}", limits.early);
    }
    mortal.control("stop").await;
    mortal.control("start").await;
}

/// Frames go through a meddler, reads directly.
async fn behind_a_meddler(
    name: &str,
    config: ConnectionConfig,
    meddle: impl Fn(Message) -> Vec<Message> + Send + Sync + 'static,
) -> (Stand, Meddler) {
    let admin = Admin::new();
    let rows = collection(&admin).await;
    let meddler = Meddler::to(&admin.url, meddle).await;
    let options = NativeOptions::new(&admin.url).ws_url(&meddler.url).token(&admin.token).connection(config);
    let stand = Stand::new(admin, &rows, name, options).await;
    (stand, meddler)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_and_never_sends_init_is_not_called_live_and_is_tried_again() {
    let is_mute = Arc::new(Mutex::new(false));
    let mute = Arc::clone(&is_mute);
    let (mut stand, meddler) = behind_a_meddler("no init", hasty(), move |message| {
        let is_init = message.to_text().is_ok_and(|text| text.contains("\"init\""));
        if is_init && *mute.lock().unwrap() { Vec::new() } else { vec![message] }
    })
    .await;
    *is_mute.lock().unwrap() = true;
    // Over a new socket: pings are answered, subscriptions are not.
    let sockets = meddler.sockets();
    meddler.say(&Message::Close(None));
    stand.change().await;
    eventually_within(NOTICED_SILENCE, "another try", || (meddler.sockets() > sockets + 1).then_some(())).await;
    assert_ne!(stand.history.last().status, LiveStatus::Live);
    *is_mute.lock().unwrap() = false;
    stand.change().await;
    eventually_within(NOTICED_SILENCE, "the list to be live", || {
        (stand.history.last().status == LiveStatus::Live).then_some(())
    })
    .await;
    stand.is_right("the rows").await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_too_long_or_no_text_costs_the_socket_and_nothing_else() {
    let (mut stand, meddler) = behind_a_meddler("bad frames", hasty(), |message| vec![message]).await;
    let long = format!(r#"{{"type":"subscription","event":"update","data":["{}"]}}"#, "x".repeat(70 << 20));
    let broken = Frame::message(Bytes::from_static(b"{\"type\":\"\xff\xfe\"}"), OpCode::Data(Data::Text), true);
    for (what, message) in [("oversized", Message::text(long)), ("broken UTF-8", Message::Frame(broken))] {
        let sockets = meddler.sockets();
        meddler.say(&message);
        eventually("another socket", async || if meddler.sockets() > sockets { Ok(()) } else { Err(()) }).await;
        stand.change().await;
        stand.is_right(what).await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_directus_may_say_in_years_to_come_is_passed_over() {
    let (mut stand, meddler) = behind_a_meddler("unknown", quick_end(), |message| vec![message]).await;
    for text in [
        r#"{"type":"surprise","data":{"id":1}}"#,
        r#"{"type":"subscription","event":"archive","data":[1],"uid":"posts:update#2"}"#,
        r#"{"type":"subscription","event":"update","data":[{"id":1}],"uid":"nobody's"}"#,
        r#"{"no":"type"}"#,
        "[]",
        "not JSON",
        "",
    ] {
        meddler.say(&Message::text(text));
    }
    meddler.say(&Message::binary(vec![0xff, 0x00]));
    stand.change().await;
    stand.is_right("the rows").await;
    assert_eq!(meddler.sockets(), 1, "nothing of that is worth a new socket");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_come_twice_change_nothing() {
    let (mut stand, meddler) = behind_a_meddler("twice", quick_end(), |message| vec![message.clone(), message]).await;
    for _ in 0..3 {
        stand.change().await;
        stand.is_right("the rows").await;
    }
    assert_eq!(meddler.sockets(), 1);
    stand.end().await;
}
