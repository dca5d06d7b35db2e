//! A live query behind links that are cut, silent, slow, refused or torn, be it those to Directus or to our server; our server
//! that begins anew, a Directus that is killed, limits how often it may be asked, or says what it never says, and a database that
//! somebody else writes: no blank, no row twice, no old state after a newer one, a true status, and right again as soon as there
//! is a link.
#![cfg(feature = "ssr")]

#[path = "real/history.rs"]
mod history;
#[path = "real/meddler.rs"]
mod meddler;
#[path = "real/mortal.rs"]
mod mortal;
#[path = "real/ours.rs"]
mod ours;
mod real;
#[path = "real/relay.rs"]
mod relay;
mod server;

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use any_spawner::Executor;
use history::History;
use leptos::{
    prelude::{Effect, Get, GetUntracked, Owner},
    reactive::computed::ScopedFuture,
};
use leptos_directus::{
    ConnectionStatus, Directus, LiveRows, LiveStatus, NativeOptions, Query, Snapshot, UseRealtimeCollectionOptions,
    connection::ConnectionConfig, engine::Counts,
};
use meddler::Meddler;
use mortal::{Mortal, Undisturbed};
use ours::Ours;
use real::{Admin, PATIENCE, counting_key, eventually, field};
use relay::{Fault, Frames, Relay, Tap, Way};
use serde_json::{Value, json};
use server::{App, patiently};
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_tungstenite::tungstenite::{
    Bytes, Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

/// What is promised after the next connection that comes about.
const SOON: Duration = Duration::from_secs(2);
/// By then the next try is made: the longest delay is half a minute.
const NEXT_TRY: Duration = Duration::from_secs(35);
/// By then a status must say that a link is lost.
const NOTICED: Duration = Duration::from_secs(5);
/// By then, where nobody says so: packets vanish.
const NOTICED_SILENCE: Duration = Duration::from_secs(20);

/// One collection for all tests, each with rows of its own in it: a Directus has room for few collections.
static ROWS: OnceCell<String> = OnceCell::const_new();

async fn collection(admin: &Admin) -> (String, Undisturbed) {
    let undisturbed = mortal::undisturbed().await;
    let make = async || {
        admin.remove_collections(&["faulty"]).await;
        admin.collection("faulty", counting_key(), fields()).await
    };
    (ROWS.get_or_init(make).await.clone(), undisturbed)
}

fn fields() -> Vec<Value> {
    vec![field("owner", "string"), field("version", "integer"), field("text", "text")]
}

impl History<Snapshot> {
    fn check(&self) {
        let mut newest: HashMap<i64, i64> = HashMap::new();
        let mut had_rows = false;
        for (_, snapshot) in self.all() {
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
    /// When the last change was sent.
    written: Instant,
    directus: Directus,
    history: History<Snapshot>,
    connection: History<ConnectionStatus>,
    reader: JoinHandle<()>,
    scope: Owner,
    /// What it holds while nothing is wrong.
    held: Counts,
    _undisturbed: Option<Undisturbed>,
}

impl Stand {
    async fn new(admin: Admin, collection: &str, owner: &str, options: NativeOptions) -> Self {
        Self::with(admin, collection, owner, options, UseRealtimeCollectionOptions::default()).await
    }

    async fn with(
        admin: Admin,
        collection: &str,
        owner: &str,
        options: NativeOptions,
        list: UseRealtimeCollectionOptions,
    ) -> Self {
        // Whoever comes second finds the executor there.
        let _ = Executor::init_tokio();
        let path = format!("/items/{collection}");
        let row = json!({ "owner": owner, "version": 0, "text": "x" });
        let made = admin.ok("POST", &path, Some(json!([row, row, row]))).await;
        let keys = made.as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        let query = json!({ "filter": { "owner": { "_eq": owner } }, "sort": ["-version", "id"], "limit": -1 });
        let scope = Owner::new();
        let directus = scope.with(|| Directus::native(options));
        let connection = History::<ConnectionStatus>::default();
        let statuses = connection.clone();
        scope.with(|| {
            let status = directus.status();
            Effect::new_isomorphic(move |_| statuses.push(status.get()));
        });
        let parsed = Query::from_json(&query.to_string()).unwrap();
        let (history, reader) = History::of(scope.with(|| directus.watch(collection, parsed, list)));
        let mut stand = Self {
            admin,
            path,
            query,
            keys,
            version: 0,
            written: Instant::now(),
            directus,
            history,
            connection,
            reader,
            scope,
            held: Counts::default(),
            _undisturbed: None,
        };
        stand.is_right("the first rows").await;
        stand.held = stand.counts().await;
        stand
    }

    /// Nobody starts or stops a Directus until it ends.
    fn and(self, undisturbed: Undisturbed) -> Self {
        Self { _undisturbed: Some(undisturbed), ..self }
    }

    /// Another list of the same rows.
    fn watch(&self, options: UseRealtimeCollectionOptions) -> LiveRows {
        let query = Query::from_json(&self.query.to_string()).unwrap();
        self.scope.with(|| self.directus.watch(self.collection(), query, options))
    }

    fn collection(&self) -> &str {
        self.path.trim_start_matches("/items/")
    }

    async fn truth(&self) -> Vec<Value> {
        self.admin.read(self.collection(), &self.query).await
    }

    /// Changes every row, one after the other, past whatever is on the way.
    async fn change(&mut self) {
        for key in &self.keys {
            self.version += 1;
            let row = json!({ "version": self.version });
            self.written = Instant::now();
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

    /// It shows the truth, at latest `SOON` after the first connection that comes about after `since`; or after `since`, where
    /// what was known to be lost was on its way back just before. What is written after that can't be shown before.
    async fn is_right_soon(&self, what: &str, since: Instant) {
        let live = || self.history.last().status == LiveStatus::Live;
        let was_live = live();
        let came_back = || !was_live && live() && self.connection.last().is_connected();
        let connected =
            || self.connection.first(since, ConnectionStatus::is_connected).or_else(|| came_back().then_some(since));
        let connected = eventually_within(NEXT_TRY, "the next connection", connected).await;
        self.is_right(what).await;
        let expected = self.truth().await;
        let right = |shown: &Snapshot| shown.rows == expected && shown.status == LiveStatus::Live;
        let connected = connected.max(self.written);
        // It may have been right before it was known that there is a connection.
        let took = self.history.first(connected, right).unwrap_or(connected) - connected;
        println!("{what}: right {took:?} after the connection");
        assert!(took <= SOON, "{what}: {took:?}");
    }

    /// The status no longer says that the rows are kept right; at latest `within` from `since`. And when it said so.
    async fn is_noticed(&self, what: &str, since: Instant, within: Duration) -> Instant {
        let not_live = |shown: &Snapshot| shown.status != LiveStatus::Live;
        let at = eventually_within(within + SOON, what, || self.history.first(since, not_live)).await;
        println!("{what}: noticed after {:?}", at - since);
        assert!(at - since <= within, "{what}: noticed after {:?}", at - since);
        at
    }

    /// Where there are several of these, a handle is that of its own scope only there.
    async fn counts(&self) -> Counts {
        self.scope.with(|| ScopedFuture::new_untracked(self.directus.counts())).await
    }

    /// Nothing of what went wrong stays behind, and nothing of the list once it goes.
    async fn end(self) {
        self.history.check();
        eventually("as much to be held as before", async || match self.counts().await {
            counts if counts == self.held => Ok(()),
            counts => Err((counts, self.held)),
        })
        .await;
        self.reader.abort();
        eventually("everything to be gone", async || match self.counts().await {
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

/// How often something came over a relay.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    /// Sockets that opened.
    fn sockets() -> (Self, Box<Tap>) {
        Self::of(|bytes| bytes.starts_with(b"HTTP/1.1 101"))
    }

    /// Updates that were announced; those that come in one piece are one.
    fn updates() -> (Self, Box<Tap>) {
        Self::of(|bytes| bytes.windows(8).any(|eight| eight == b"\"update\""))
    }

    /// Sockets that our server closed with 1001.
    fn goodbyes() -> (Self, Box<Tap>) {
        const GOODBYE: &[u8] = b"\x03\xe9this server is going away";
        Self::of(|bytes| bytes.windows(GOODBYE.len()).any(|some| some == GOODBYE))
    }

    fn of(is_one: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> (Self, Box<Tap>) {
        let count = Self::default();
        let counted = count.clone();
        let tap: Box<Tap> = Box::new(move |_, way, bytes| {
            if way == Way::Down && is_one(bytes) {
                counted.0.fetch_add(1, Ordering::SeqCst);
            }
        });
        (count, tap)
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A list, the relay between it and what it is connected to, and the sockets that opened over that.
type Behind = (Stand, Relay, Count);

/// Where something stands in the way.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Between a client and Directus.
    Direct,
    /// Between a client and our server.
    BeforeOurServer,
    /// Between our server and Directus.
    BehindOurServer,
}

/// Everything, sockets and reads, goes through one relay to Directus.
async fn behind_a_relay(name: &str, config: ConnectionConfig) -> Behind {
    let admin = Admin::new();
    let (rows, undisturbed) = collection(&admin).await;
    let (sockets, tap) = Count::sockets();
    let relay = Relay::tapped(&admin.url, Some(tap)).unwrap();
    let options = NativeOptions::new(relay.url()).token(&admin.token).connection(config);
    let stand = Stand::new(admin, &rows, name, options).await.and(undisturbed);
    (stand, relay, sockets)
}

/// Everything goes through one relay to our server, and from there to Directus.
async fn before_our_server(name: &str, config: ConnectionConfig) -> Behind {
    let admin = Admin::new();
    let (rows, undisturbed) = collection(&admin).await;
    let app = App::at(&admin.url, |_| {}).await;
    let (sockets, tap) = Count::sockets();
    let relay = Relay::tapped(&app.origin(), Some(tap)).unwrap();
    let stand = Stand::new(admin, &rows, name, through(&relay.url(), config)).await.and(undisturbed);
    (stand, relay, sockets)
}

/// Everything goes to our server, and from there through one relay to Directus.
async fn behind_our_server(name: &str, config: ConnectionConfig) -> Behind {
    let admin = Admin::new();
    let (rows, undisturbed) = collection(&admin).await;
    let (sockets, tap) = Count::sockets();
    let relay = Relay::tapped(&admin.url, Some(tap)).unwrap();
    let app = App::at(&relay.url(), |_| {}).await;
    let stand = Stand::new(admin, &rows, name, through(&app.origin(), config)).await.and(undisturbed);
    (stand, relay, sockets)
}

/// As a page reaches Directus through our server at this address.
fn through(server: &str, config: ConnectionConfig) -> NativeOptions {
    let ws = format!("{}/directus-ws", server.replacen("http://", "ws://", 1));
    NativeOptions::new(format!("{server}/directus")).ws_url(ws).connection(config)
}

/// Tries come quickly one after the other: what is tested is not how long one waits.
fn hasty() -> ConnectionConfig {
    ConnectionConfig { longest_delay: Duration::from_millis(100), ..quick_end() }
}

fn quick_end() -> ConnectionConfig {
    ConnectionConfig { linger: Duration::from_millis(50), ..ConnectionConfig::default() }
}

/// Links that are there are cut so many bytes on; new ones are good.
async fn cut_anywhere((mut stand, relay, sockets): Behind) {
    // An event, and how the next one begins.
    for bytes in 0..130 {
        let (before, cut) = (sockets.get(), Instant::now());
        relay.cut_after(bytes);
        stand.change().await;
        // Three events are longer.
        eventually(&format!("a new socket after a cut {bytes} bytes on"), async || match sockets.get() {
            now if now > before => Ok(()),
            now => Err(now),
        })
        .await;
        let what = format!("cut {bytes} bytes on");
        stand.is_noticed(&what, cut, NOTICED).await;
        stand.is_right_soon(&what, cut).await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_at_any_byte_of_an_event_or_an_answer_is_made_good() {
    cut_anywhere(behind_a_relay("cut", hasty()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_our_server_that_is_cut_at_any_byte_is_made_good() {
    cut_anywhere(before_our_server("cut before our server", hasty()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_behind_our_server_that_is_cut_at_any_byte_is_made_good() {
    cut_anywhere(behind_our_server("cut behind our server", hasty()).await).await;
}

/// Links to come are cut, too. Two lists, each behind a relay of its own, share the bytes: most of the time they wait.
async fn cut_early(name: &str, behind: impl AsyncFn(&str, ConnectionConfig) -> Behind) {
    const LISTS: usize = 2;
    // The upgrade's answer (129 bytes from Directus, some 166 from our server), an acknowledgement, a read.
    let bounds = [1, 50, 128, 166, 200];
    let bytes: Vec<usize> = (0..=300).filter(|bytes| bytes % 3 == 0 || bounds.contains(bytes)).collect();
    let lists = (0..LISTS).map(async |first| {
        let list = behind(&format!("{name}, {first}"), hasty()).await;
        each_cut_early(list, bytes.iter().skip(first).step_by(LISTS)).await;
    });
    futures::future::join_all(lists).await;
}

async fn each_cut_early((mut stand, relay, _): Behind, bytes: impl Iterator<Item = &usize>) {
    for &bytes in bytes {
        let cut = Instant::now();
        relay.set(Fault::CutAfter(bytes)).unwrap();
        relay.cut();
        stand.change().await;
        let tries = relay.accepted();
        eventually("some tries", async || if relay.accepted() > tries + 5 { Ok(()) } else { Err(relay.accepted()) })
            .await;
        let what = format!("cut after {bytes} bytes of each answer");
        let noticed = stand.is_noticed(&what, cut, NOTICED).await;
        let live = stand.history.first(noticed, |shown| shown.status == LiveStatus::Live);
        assert_eq!(live, None, "{what}: no link was good");
        relay.set(Fault::Pass).unwrap();
        // One that came about before is not the next one, nor is one that is said to be there and was lost with these.
        relay.cut();
        let healed = Instant::now();
        stand.is_right_soon(&what, healed).await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_while_it_opens_is_tried_again() {
    cut_early("cut early", behind_a_relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_our_server_that_is_cut_while_it_opens_is_tried_again() {
    cut_early("cut early before our server", before_our_server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_behind_our_server_that_is_cut_while_it_opens_is_tried_again() {
    cut_early("cut early behind our server", behind_our_server).await;
}

/// Packets vanish until that is noticed; then the link is there again.
async fn half_open(mut stand: Stand, relay: &Relay) {
    // Connections that are kept open for reads, and die with the socket's.
    let items = stand.directus.items::<Value>(stand.collection());
    futures::future::join_all((0..6).map(|_| items.read(Query::new().limit(1)))).await;
    // A read on its way when packets begin to vanish is part of it: it must not hold up those that come after.
    stand.change().await;
    let silent = Instant::now();
    relay.set(Fault::HalfOpen).unwrap();
    stand.change().await;
    stand.is_noticed("half-open", silent, NOTICED_SILENCE).await;
    let healed = Instant::now();
    relay.set(Fault::Pass).unwrap();
    stand.is_right_soon("half-open", healed).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_is_noticed_within_twenty_seconds_and_made_good_at_once() {
    let (stand, relay, _) = behind_a_relay("half-open", quick_end()).await;
    half_open(stand, &relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_to_our_server_is_noticed_within_twenty_seconds_and_made_good_at_once() {
    let (stand, relay, _) = before_our_server("half-open before our server", quick_end()).await;
    half_open(stand, &relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_behind_the_server_is_made_good_at_once_too() {
    let (stand, relay, _) = behind_our_server("half-open behind our server", quick_end()).await;
    half_open(stand, &relay).await;
}

/// A visitor of our server, which keeps connections open to a Directus behind a relay.
struct Visitor {
    relay: Relay,
    app: App,
    client: reqwest::Client,
    url: String,
    _undisturbed: Undisturbed,
}

impl Visitor {
    async fn with_kept_connections() -> Self {
        let admin = Admin::new();
        let (rows, undisturbed) = collection(&admin).await;
        let relay = Relay::to(&admin.url).unwrap();
        let app = App::at(&relay.url(), |_| {}).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/directus/items/{rows}?limit=1", app.origin());
        let this = Self { relay, app, client, url, _undisturbed: undisturbed };
        for answer in futures::future::join_all((0..6).map(|_| this.read())).await {
            assert_eq!(answer.unwrap(), 200);
        }
        this
    }

    async fn read(&self) -> reqwest::Result<u16> {
        let answer = self.client.get(&self.url).send().await?;
        let status = answer.status().as_u16();
        // Who lets go of an answer before its end ends the connection.
        answer.bytes().await?;
        Ok(status)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_who_came_while_the_way_to_directus_was_silent_is_answered_when_it_is_back() {
    let visitor = Visitor::with_kept_connections().await;
    visitor.relay.set(Fault::HalfOpen).unwrap();
    let opened = tokio_tungstenite::connect_async(format!("ws://{}/directus-ws", visitor.app.address)).await;
    assert!(opened.is_err(), "nobody can be let in without Directus");
    visitor.relay.set(Fault::Pass).unwrap();
    let answer = tokio::time::timeout(SOON, visitor.read()).await;
    assert_eq!(answer.expect("an answer over a new connection").unwrap(), 200);
}

/// It failed: where no socket notices it, each connection that had died took the patience of one request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gave_up_waiting_on_a_dead_connection_is_answered_over_a_new_one() {
    let visitor = Visitor::with_kept_connections().await;
    visitor.relay.set(Fault::HalfOpen).unwrap();
    visitor.relay.set(Fault::Pass).unwrap();
    // The server counts from when it sent the request.
    let given_up = tokio::time::timeout(Duration::from_secs(4), visitor.read()).await;
    assert!(given_up.is_err(), "one dies at least, or nothing is shown here");
    eventually("the server to let go of all that has died", async || match visitor.relay.has_silent() {
        false => Ok(()),
        silent => Err(silent),
    })
    .await;
    let answer = tokio::time::timeout(SOON, visitor.read()).await;
    assert_eq!(answer.expect("an answer over a new connection").unwrap(), 200);
}

/// Everything takes long.
async fn slow((mut stand, relay, sockets): Behind) {
    // Our server asks Directus for one to find out its mode.
    let before = sockets.get();
    relay.set(Fault::Slow(1_000)).unwrap();
    let began = Instant::now();
    // Longer than it takes to find a dead one.
    while began.elapsed() < NOTICED_SILENCE + Duration::from_secs(8) {
        stand.change().await;
        stand.is_right("the rows over a slow link").await;
        assert_eq!(stand.history.last().error, None);
    }
    assert_eq!(sockets.get(), before, "the socket was given up");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_is_not_taken_for_dead() {
    slow(behind_a_relay("slow", quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_to_our_server_is_not_taken_for_dead() {
    slow(before_our_server("slow before our server", quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_of_our_server_is_not_taken_for_dead() {
    slow(behind_our_server("slow behind our server", quick_end()).await).await;
}

/// What is sent arrives, but not as it was sent, or not alone.
async fn late_or_in_pieces((mut stand, relay, sockets): Behind) {
    let millis = Duration::from_millis;
    let before = sockets.get();
    for fault in [
        Fault::Split(1),
        Fault::Split(7),
        Fault::Merge(millis(80)),
        Fault::Delay(millis(50), millis(200)),
        Fault::Delay(millis(300), millis(1)),
        Fault::Twice,
        Fault::Strange,
    ] {
        relay.set(fault).unwrap();
        for _ in 0..3 {
            stand.change().await;
            stand.is_right(&format!("the rows: {fault:?}")).await;
        }
    }
    assert_eq!(sockets.get(), before, "none of these loses the socket");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_comes_late_or_in_other_pieces_is_the_same() {
    late_or_in_pieces(behind_a_relay("pieces", quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_our_server_that_comes_late_or_in_other_pieces_is_the_same() {
    late_or_in_pieces(before_our_server("pieces before our server", quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_of_our_server_that_comes_late_or_in_other_pieces_is_the_same() {
    late_or_in_pieces(behind_our_server("pieces behind our server", quick_end()).await).await;
}

/// A fault that whoever connects is told of.
async fn told_at_once(name: &str, fault: Fault, (mut stand, relay, _): Behind) {
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
        let healed = Instant::now();
        relay.set(Fault::Pass).unwrap();
        stand.is_right_soon(&format!("{name}, round {round}"), healed).await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_told_and_made_good_when_it_is_back() {
    told_at_once("refused", Fault::Refuse, behind_a_relay("refused", quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_to_our_server_is_told_and_made_good_when_it_is_back() {
    let name = "refused before our server";
    told_at_once(name, Fault::Refuse, before_our_server(name, quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_of_our_server_is_told_and_made_good_when_it_is_back() {
    let name = "refused behind our server";
    told_at_once(name, Fault::Refuse, behind_our_server(name, quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_502_of_a_proxy_on_the_way_is_told_and_made_good_when_it_is_over() {
    told_at_once("bad gateway", Fault::BadGateway, behind_a_relay("bad gateway", quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_502_of_a_proxy_before_our_server_is_told_and_made_good_when_it_is_over() {
    let name = "bad gateway before our server";
    told_at_once(name, Fault::BadGateway, before_our_server(name, quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_502_of_a_proxy_behind_our_server_is_told_and_made_good_when_it_is_over() {
    let name = "bad gateway behind our server";
    told_at_once(name, Fault::BadGateway, behind_our_server(name, quick_end()).await).await;
}

/// What is sent arrives, and what comes back costs the connection: because nothing does, or what is no text.
async fn lost_by_what_comes_back(name: &str, fault: Fault, (mut stand, relay, _): Behind) {
    for round in 0..2 {
        let began = Instant::now();
        relay.set(fault).unwrap();
        stand.change().await;
        stand.is_noticed(name, began, NOTICED).await;
        let healed = Instant::now();
        relay.set(Fault::Pass).unwrap();
        stand.is_right_soon(&format!("{name}, round {round}"), healed).await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_none_costs_the_socket_to_our_server_and_nothing_else() {
    let name = "garbled before our server";
    lost_by_what_comes_back(name, Fault::Garbled, before_our_server(name, quick_end()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_none_costs_the_socket_of_our_server_and_nothing_else() {
    let name = "garbled behind our server";
    lost_by_what_comes_back(name, Fault::Garbled, behind_our_server(name, quick_end()).await).await;
}

/// Nobody is there for a minute, and the waits between tries have grown.
async fn refused_for_a_minute(name: &str, (mut stand, relay, _): Behind) {
    const MINUTE: Duration = Duration::from_secs(60);
    let began = Instant::now();
    relay.set(Fault::Refuse).unwrap();
    stand.is_noticed(name, began, NOTICED).await;
    stand.change().await;
    eventually_within(MINUTE + NOTICED, "the end of the minute", || {
        assert_ne!(stand.history.last().status, LiveStatus::Live);
        (began.elapsed() >= MINUTE).then_some(())
    })
    .await;
    let healed = Instant::now();
    relay.set(Fault::Pass).unwrap();
    stand.is_right_soon(name, healed).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_refused_for_a_minute_is_made_good_at_once_when_it_is_back() {
    let [direct, before, behind] = ["a minute", "a minute before our server", "a minute behind our server"];
    // One minute for all.
    tokio::join!(
        refused_for_a_minute(direct, behind_a_relay(direct, quick_end()).await),
        refused_for_a_minute(before, before_our_server(before, quick_end()).await),
        refused_for_a_minute(behind, behind_our_server(behind, quick_end()).await),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_on_the_way_back_are_asked_for_again() {
    let name = "answers lost";
    lost_by_what_comes_back(name, Fault::AnswersLost, behind_a_relay(name, hasty()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_on_the_way_back_from_our_server_are_asked_for_again() {
    let name = "answers lost before our server";
    lost_by_what_comes_back(name, Fault::AnswersLost, before_our_server(name, hasty()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_on_the_way_back_to_our_server_are_asked_for_again() {
    let name = "answers lost behind our server";
    lost_by_what_comes_back(name, Fault::AnswersLost, behind_our_server(name, hasty()).await).await;
}

/// Our server ends, saying so many goodbyes; rows are changed meanwhile, and it begins anew at the same port.
async fn begun_anew(name: &str, end: impl AsyncFnOnce(Ours), goodbyes: usize) {
    let admin = Admin::new();
    let (rows, undisturbed) = collection(&admin).await;
    let directus = admin.url.clone();
    let ours = Ours::begin(&directus, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
    let address = ours.address;
    let (said, tap) = Count::goodbyes();
    let relay = Relay::tapped(&address.to_string(), Some(tap)).unwrap();
    let mut stand = Stand::new(admin, &rows, name, through(&relay.url(), hasty())).await.and(undisturbed);
    let ended = Instant::now();
    end(ours).await;
    stand.is_noticed(name, ended, NOTICED).await;
    assert_eq!(said.get(), goodbyes);
    stand.change().await;
    assert_ne!(stand.history.last().status, LiveStatus::Live);
    let begun = Instant::now();
    let _anew = Ours::begin(&directus, address).await;
    stand.is_right_soon(name, begun).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_server_may_be_ended_and_begun_anew() {
    begun_anew("ended", async |ours: Ours| patiently("the end of our server", ours.end()).await, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_server_may_be_killed_and_begun_anew() {
    begun_anew("server killed", async |ours: Ours| drop(ours), 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directus_that_is_killed_among_its_events_is_made_good_when_it_is_back() {
    let mortal = Mortal::new().await;
    let admin = &mortal.admin;
    admin.remove_collections(&["mortal"]).await;
    let rows = admin.collection("mortal", counting_key(), fields()).await;
    let (updates, tap) = Count::updates();
    let relay = Relay::tapped(&admin.url, Some(tap)).unwrap();
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
    eventually("the first event", async || if updates.get() > 0 { Ok(()) } else { Err(()) }).await;
    let began = Instant::now();
    mortal.control("stop?signal=KILL").await;
    stand.is_noticed("killed", began, NOTICED).await;
    writing.await.unwrap();
    is_back("killed", stand, &relay, &mortal).await;
}

/// A Directus that was killed begins anew.
async fn is_back(name: &str, stand: Stand, relay: &Relay, mortal: &Mortal) {
    assert_ne!(stand.history.last().status, LiveStatus::Live);
    // How long a Directus takes that has just begun is its own business.
    relay.set(Fault::Refuse).unwrap();
    mortal.control("start").await;
    for _ in 0..3 {
        stand.truth().await;
    }
    let begun = Instant::now();
    relay.set(Fault::Pass).unwrap();
    stand.is_right_soon(name, begun).await;
    stand.end().await;
}

/// The frames down the connections of a relay.
#[derive(Clone, Default)]
struct Down(Arc<Mutex<HashMap<u64, Frames>>>);

impl Down {
    fn tap() -> (Self, Box<Tap>) {
        let down = Self::default();
        let seen = down.clone();
        let tap: Box<Tap> = Box::new(move |number, way, bytes| {
            if way == Way::Down {
                seen.0.lock().unwrap().entry(number).or_default().push(bytes);
            }
        });
        (down, tap)
    }

    /// Of the longest frame that is not whole so many bytes are there.
    fn begun(&self) -> usize {
        self.0.lock().unwrap().values().map(Frames::begun).max().unwrap_or_default()
    }
}

/// Directus is killed when a part of an event's frame has left it, and the rest never will.
async fn killed_within_a_frame(name: &str, place: Place) {
    /// Keys of 250 bytes: more than the kernel holds for whoever reads slowly, less than is too long, and SQLite takes no more.
    const MANY: usize = 30_000;
    /// No other frame is that long.
    const PART: usize = 4096;
    let mortal = Mortal::new().await;
    let admin = &mortal.admin;
    admin.remove_collections(&["mortal", "batch"]).await;
    let rows = admin.collection("mortal", counting_key(), fields()).await;
    let key = json!({ "field": "id", "type": "string", "meta": {}, "schema": { "is_primary_key": true } });
    let batch = admin.collection("batch", key, vec![field("version", "integer")]).await;
    // Of each of them Directus would write down that it is gone.
    let unrecorded = json!({ "meta": { "accountability": null } });
    admin.change_schema("PATCH", &format!("/collections/{batch}"), Some(unrecorded)).await;
    let numbers = format!("SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MANY}");
    let keys = format!("SELECT '{}' || n FROM numbers", "k".repeat(245));
    mortal.sql_meanwhile(&format!("INSERT INTO {batch} (id) WITH RECURSIVE numbers (n) AS ({numbers}) {keys}")).await;
    let (down, tap) = Down::tap();
    let relay = Relay::tapped(&admin.url, Some(tap)).unwrap();
    let options = match place {
        // In mode `strict` nobody is let in without a login, and whoever has one is asked for an origin.
        Place::BehindOurServer => {
            let app = App::at(&relay.url(), |config| config.directus_allow_missing_origin = true).await;
            through(&app.origin(), hasty()).session("directus_session_token", &admin.token)
        }
        _ => NativeOptions::new(relay.url()).token(&admin.token).connection(hasty()),
    };
    let watching = UseRealtimeCollectionOptions::default().watch([batch.clone()]);
    let mut stand = Stand::with(admin.clone(), &rows, name, options, watching).await;
    relay.set(Fault::Slow(100_000)).unwrap();
    let deleting = {
        let (admin, path) = (admin.clone(), format!("/items/{batch}"));
        // Whether it is answered is not the point.
        tokio::spawn(async move { admin.try_send("DELETE", &path, Some(json!({ "query": { "limit": -1 } }))).await })
    };
    eventually("a part of a frame", async || match down.begun() {
        begun if begun > PART => Ok(()),
        begun => Err(begun),
    })
    .await;
    // What is announced behind that frame is lost with it.
    let shown = stand.history.last();
    stand.change().await;
    let killed = Instant::now();
    mortal.control("stop?signal=KILL").await;
    let begun = down.begun();
    assert!(begun > PART, "the frame was whole before the end: {begun}");
    assert_eq!(stand.history.last().rows, shown.rows, "it heard of what is behind the frame");
    // What the kernel still holds arrives, and then nothing more.
    relay.set(Fault::Pass).unwrap();
    stand.is_noticed(name, killed, NOTICED).await;
    let begun = down.begun();
    println!("{name}: {begun} bytes of a frame that was never whole");
    assert!(begun > PART, "the frame was whole: {begun}");
    deleting.await.unwrap();
    is_back(name, stand, &relay, &mortal).await;
    mortal.admin.remove_collections(&["batch"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directus_that_is_killed_in_the_middle_of_a_frame_is_made_good_when_it_is_back() {
    killed_within_a_frame("killed within a frame", Place::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directus_that_is_killed_in_the_middle_of_a_frame_to_our_server_is_made_good_when_it_is_back() {
    killed_within_a_frame("killed within a frame to our server", Place::BehindOurServer).await;
}

/// Hazard H11: Directus knows nothing of what somebody else writes into its database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_past_directus_is_seen_within_the_interval_and_not_before() {
    const EVERY: Duration = Duration::from_secs(1);
    let every = |time| UseRealtimeCollectionOptions::default().revalidate_every(time);
    let mortal = Mortal::new().await;
    let admin = mortal.admin.clone();
    admin.remove_collections(&["past"]).await;
    let rows = admin.collection("past", counting_key(), fields()).await;
    let (updates, tap) = Count::updates();
    let relay = Relay::tapped(&admin.url, Some(tap)).unwrap();
    let options = NativeOptions::new(relay.url()).token(&admin.token).connection(quick_end());
    let mut stand = Stand::with(admin, &rows, "past", options, every(EVERY)).await;
    let never = stand.watch(every(Duration::MAX));
    let never_read_again = |what: &'static str, rows: Vec<Value>| {
        let never = &never;
        eventually(what, move || {
            let shown = never.snapshot();
            let is_right = shown.rows == rows && shown.status == LiveStatus::Live;
            std::future::ready(if is_right { Ok(()) } else { Err(shown) })
        })
    };
    let before = stand.truth().await;
    never_read_again("its first rows", before.clone()).await;
    stand.version += 1;
    let sql = format!("UPDATE {rows} SET version = {} WHERE id = {}", stand.version, stand.keys[0]);
    mortal.sql_meanwhile(&sql).await;
    let written = Instant::now();
    stand.is_right("what was written past Directus").await;
    let rows = stand.truth().await;
    let seen = stand.history.first(written, |shown| shown.rows == rows).unwrap_or(written);
    assert!(seen - written <= EVERY + SOON, "{:?}", seen - written);
    assert_eq!(updates.get(), 0, "somebody announced it");
    assert_eq!(never.snapshot().rows, before, "it was read for another reason than that the interval was over");
    // What is announced reaches both.
    stand.change().await;
    stand.is_right("what was announced").await;
    never_read_again("what was announced", stand.truth().await).await;
    assert!(updates.get() > 0, "the relay does not see what is announced");
    drop(never);
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
        assert!(began.elapsed() < 3 * PATIENCE, "each change makes for a read, and yet too few were too many");
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

async fn behind_a_meddler(
    name: &str,
    place: Place,
    config: ConnectionConfig,
    meddle: impl Fn(Message) -> Vec<Message> + Send + Sync + 'static,
) -> (Stand, Meddler) {
    let admin = Admin::new();
    let (rows, undisturbed) = collection(&admin).await;
    let server = match place {
        Place::BeforeOurServer => App::at(&admin.url, |_| {}).await.origin(),
        Place::Direct | Place::BehindOurServer => admin.url.clone(),
    };
    let meddler = Meddler::to(&server, meddle).await;
    let options = match place {
        Place::Direct => NativeOptions::new(&meddler.url).token(&admin.token).connection(config),
        Place::BeforeOurServer => through(&meddler.url, config),
        Place::BehindOurServer => through(&App::at(&meddler.url, |_| {}).await.origin(), config),
    };
    let stand = Stand::new(admin, &rows, &format!("{name}, {place:?}"), options).await.and(undisturbed);
    (stand, meddler)
}

async fn never_init(place: Place) {
    /// What became of the acknowledgements.
    #[derive(Clone, Copy, Default)]
    struct Inits {
        are_swallowed: bool,
        heard: u32,
        swallowed: u32,
    }
    let inits = Arc::new(Mutex::new(Inits::default()));
    let (all, now) = (Arc::clone(&inits), || *inits.lock().unwrap());
    let (mut stand, meddler) = behind_a_meddler("no init", place, hasty(), move |message| {
        if !message.to_text().is_ok_and(|text| text.contains("\"init\"")) {
            return vec![message];
        }
        let mut inits = all.lock().unwrap();
        if inits.are_swallowed {
            inits.swallowed += 1;
            return Vec::new();
        }
        inits.heard += 1;
        vec![message]
    })
    .await;
    inits.lock().unwrap().are_swallowed = true;
    // Over a new socket: pings are answered, subscriptions are not.
    let closed = Instant::now();
    meddler.say(&Message::Close(None));
    let noticed = stand.is_noticed("no init", closed, NOTICED).await;
    stand.change().await;
    // A socket that has heard none of them is given up: the next one is the first good one.
    eventually_within(NOTICED_SILENCE, "another try, over which nothing is heard, either", || {
        let Inits { heard, swallowed, .. } = now();
        (swallowed >= 2 * heard && swallowed.is_multiple_of(heard)).then_some(())
    })
    .await;
    let live = stand.history.first(noticed, |shown| shown.status == LiveStatus::Live);
    assert_eq!(live, None, "no subscription had begun");
    inits.lock().unwrap().are_swallowed = false;
    let healed = Instant::now();
    stand.change().await;
    stand.is_right_soon("no init", healed).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_and_never_sends_init_is_not_called_live_and_is_tried_again() {
    never_init(Place::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_server_that_never_passes_on_init_is_not_called_live_and_is_tried_again() {
    never_init(Place::BeforeOurServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directus_that_never_sends_init_to_our_server_is_not_called_live_and_is_tried_again() {
    never_init(Place::BehindOurServer).await;
}

async fn bad_frames(place: Place) {
    let (mut stand, meddler) = behind_a_meddler("bad frames", place, hasty(), |message| vec![message]).await;
    let long = format!(r#"{{"type":"subscription","event":"update","data":["{}"]}}"#, "x".repeat(70 << 20));
    let broken = Frame::message(Bytes::from_static(b"{\"type\":\"\xff\xfe\"}"), OpCode::Data(Data::Text), true);
    for (what, message) in [("oversized", Message::text(long)), ("broken UTF-8", Message::Frame(broken))] {
        let (sockets, said) = (meddler.sockets(), Instant::now());
        meddler.say(&message);
        // Some of it is announced to nobody.
        stand.change().await;
        stand.is_noticed(what, said, NOTICED).await;
        eventually("another socket", async || if meddler.sockets() > sockets { Ok(()) } else { Err(()) }).await;
        stand.is_right_soon(what, said).await;
        stand.change().await;
        stand.is_right("what changes after that").await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_too_long_or_no_text_costs_the_socket_and_nothing_else() {
    bad_frames(Place::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_our_server_that_is_too_long_or_no_text_costs_the_socket_and_nothing_else() {
    bad_frames(Place::BeforeOurServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_to_our_server_that_is_too_long_or_no_text_costs_the_socket_and_nothing_else() {
    bad_frames(Place::BehindOurServer).await;
}

async fn unknown_frames(place: Place) {
    let (mut stand, meddler) = behind_a_meddler("unknown", place, quick_end(), |message| vec![message]).await;
    // Our server asks Directus for one to find out its mode.
    let before = meddler.sockets();
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
    assert_eq!(meddler.sockets(), before, "nothing of that is worth a new socket");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_directus_may_say_in_years_to_come_is_passed_over() {
    unknown_frames(Place::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_our_server_may_say_in_years_to_come_is_passed_over() {
    unknown_frames(Place::BeforeOurServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_directus_may_say_to_our_server_in_years_to_come_is_passed_over() {
    unknown_frames(Place::BehindOurServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_come_twice_change_nothing() {
    let twice = |message: Message| vec![message.clone(), message];
    let (mut stand, meddler) = behind_a_meddler("twice", Place::Direct, quick_end(), twice).await;
    for _ in 0..3 {
        stand.change().await;
        stand.is_right("the rows").await;
    }
    assert_eq!(meddler.sockets(), 1);
    stand.end().await;
}
