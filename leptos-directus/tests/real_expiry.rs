//! A visitor's login ends while lists of theirs are live (hazard H10), in each mode of a real Directus, through our server and
//! without: what only the login may read leaves though nobody writes to it, what anybody may read stays and misses nothing.
#![cfg(feature = "ssr")]

#[path = "real/history.rs"]
mod history;
mod real;
mod server;
#[path = "real/visitor.rs"]
mod visitor;

use std::time::{Duration, Instant};

use history::History;
use leptos::prelude::GetUntracked;
use leptos_directus::{ConnectionStatus, Error, LiveRows, LiveStatus, NativeOptions, Snapshot};
use real::{Admin, PATIENCE, counting_key, eventually, field, variable};
use serde_json::{Value, json};
use server::{App, client};
use tokio::task::JoinHandle;
use visitor::{ANNOUNCED, Visitor};

/// The name of Directus's session cookie.
const COOKIE: &str = "directus_session_token";
/// So long a login lasts from when it is asked for.
const LASTS: Duration = Duration::from_secs(10);
/// So much earlier it may end: Directus counts whole seconds, and may be one early.
const EARLY: Duration = Duration::from_secs(2);
/// By then the status says that the socket is lost, which ends with the login.
const NOTICED: Duration = Duration::from_secs(5);
/// How soon a list with a socket is right.
const SOON: Duration = Duration::from_secs(2);
/// By then a list without one is read again.
const POLLED: Duration = Duration::from_secs(35);

/// A list, and everything that it ever showed.
struct Watched {
    history: History<Snapshot>,
    reader: JoinHandle<()>,
}

impl Watched {
    fn of(list: LiveRows) -> Self {
        let (history, reader) = History::of(list);
        Self { history, reader }
    }

    fn last(&self) -> Snapshot {
        self.history.last()
    }

    /// When it first showed this, after it had been live.
    fn first(&self, is_wanted: impl Fn(&Snapshot) -> bool) -> Option<Instant> {
        let live = self.history.all().into_iter().find(|(_, shown)| shown.status == LiveStatus::Live)?.0;
        self.history.first(live, is_wanted)
    }

    async fn becomes(&self, what: &str, is_wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        eventually(what, async || Some(self.last()).filter(&is_wanted).ok_or_else(|| self.last())).await
    }

    async fn is_refused(&self, what: &str) -> Snapshot {
        self.becomes(what, |shown| shown.status == LiveStatus::Refused && shown.rows.is_empty()).await
    }

    /// No row went once it was there.
    fn never_blanked(&self) {
        let all = self.history.all();
        for ((_, before), (_, after)) in all.iter().zip(all.iter().skip(1)) {
            assert!(before.rows.iter().all(|row| after.rows.contains(row)), "{before:?}, and then {after:?}");
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A Directus with two collections: what anybody may read, and what only somebody may who has logged in.
struct House {
    admin: Admin,
    control: String,
    open: String,
    closed: String,
    stems: [String; 2],
}

impl House {
    /// That in this mode; `name` is the test's own.
    async fn open(mode: &str, name: &str) -> Self {
        let suffix = if mode == "public" { String::new() } else { format!("_{}", mode.to_uppercase()) };
        let admin = Admin::at(variable(&format!("DIRECTUS_TEST_URL{suffix}")));
        let control = variable(&format!("DIRECTUS_TEST_CONTROL_URL{suffix}"));
        let stems = [format!("{name}_open"), format!("{name}_closed")];
        admin.remove_collections(&[&stems[0], &stems[1]]).await;
        let fields = || vec![field("title", "string")];
        let open = admin.collection(&stems[0], counting_key(), fields()).await;
        let closed = admin.collection(&stems[1], counting_key(), fields()).await;
        admin.public_reads(&closed, None).await;
        let house = Self { admin, control, open, closed, stems };
        house.write(&house.open, "the first").await;
        house.write(&house.closed, "not for everybody").await;
        house
    }

    async fn write(&self, collection: &str, title: &str) {
        self.admin.ok("POST", &format!("/items/{collection}"), Some(json!({ "title": title }))).await;
    }

    /// A login of somebody who may read everything, which ends soon: as a page has it, or as a token.
    async fn login(&self, mode: &str) -> (String, Instant) {
        let who = json!({ "email": "admin@example.com", "password": "admin-pass-1", "mode": mode });
        let login = client().post(format!("{}/auth/login", self.admin.url)).header("content-type", "application/json");
        let answer = login.body(who.to_string()).send().await.unwrap();
        let cookie = answer.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let cookie =
            cookie.as_deref().and_then(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('=')?.split(';').next());
        let login = if mode == "session" { cookie } else { body["data"]["access_token"].as_str() };
        let login = login.unwrap_or_else(|| panic!("no login: {body}")).to_owned();
        let ends = Instant::now() + LASTS;
        let soon = format!("{}/directus/login?seconds={}", self.control, LASTS.as_secs());
        let answer = client().post(soon).body(login).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        (answer.text().await.unwrap(), ends)
    }

    async fn truth(&self) -> Vec<Value> {
        self.admin.read(&self.open, &query()).await
    }

    async fn end(self) {
        self.admin.remove_collections(&[&self.stems[0], &self.stems[1]]).await;
    }
}

fn query() -> Value {
    json!({ "fields": ["id", "title"], "sort": ["id"], "limit": -1 })
}

/// Two lists of one visitor, whose login ends.
struct Story {
    house: House,
    ends: Instant,
    visitor: Visitor,
    open: Watched,
    closed: Watched,
}

impl Story {
    /// Both are live while the login lasts.
    async fn begin(house: House, options: NativeOptions, ends: Instant) -> Self {
        let visitor = Visitor::with(options);
        let watch = |collection: &str| Watched::of(visitor.list(collection, &query(), ANNOUNCED));
        let (open, closed) = (watch(&house.open), watch(&house.closed));
        for list in [&open, &closed] {
            list.becomes("the first rows", |shown| shown.status == LiveStatus::Live && shown.rows.len() == 1).await;
        }
        assert!(Instant::now() + EARLY < ends, "this machine is too slow: the login was over before it began");
        Self { house, ends, visitor, open, closed }
    }

    fn status(&self) -> ConnectionStatus {
        self.visitor.directus.status().get_untracked()
    }

    /// Writes to what anybody may read, from before the end of the login until some time after `is_over`; to the other one nobody
    /// writes.
    async fn write_until(&self, is_over: impl Fn() -> bool) {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let writing = async {
            let mut afterwards = 0;
            for number in 0.. {
                ticks.tick().await;
                self.house.write(&self.house.open, &format!("number {number}")).await;
                afterwards += usize::from(is_over());
                if afterwards == 10 {
                    return;
                }
            }
        };
        tokio::time::timeout(LASTS + PATIENCE, writing).await.expect("the login to end, and what follows upon that");
    }

    /// What only the login may read has left because that was over, and in time: what is said of it. Something more is written to
    /// both.
    async fn closed_has_left(&self) -> Error {
        let refused = self.closed.is_refused("what only the login may read to leave").await;
        let lost = self.closed.first(|shown| shown.status != LiveStatus::Live).unwrap();
        let left = self.closed.first(|shown| shown.rows.is_empty()).unwrap();
        let took = [lost, left].map(|at| at.saturating_duration_since(self.ends));
        println!("noticed {:?} after the end, gone {:?} after it", took[0], took[1]);
        assert!(took[0] <= NOTICED && took[1] <= NOTICED + SOON, "{took:?}");
        assert!(self.ends.saturating_duration_since(lost) <= EARLY, "it was lost before the end");
        self.house.write(&self.house.closed, "not for everybody, either").await;
        self.house.write(&self.house.open, "the last").await;
        refused.error.expect("it says why")
    }

    /// What anybody may read has missed nothing and is this.
    async fn open_is_right(&self, status: LiveStatus, within: Duration) {
        let (truth, written) = (self.house.truth().await, Instant::now());
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            let shown = self.open.last();
            if shown.rows == truth && shown.status == status && shown.error.is_none() {
                break;
            }
            assert!(written.elapsed() <= within, "waited {within:?} for {status:?} and {truth:?}; shown: {shown:?}");
            ticks.tick().await;
        }
        println!("right {:?} after the last write, {} rows", written.elapsed(), truth.len());
        self.open.never_blanked();
    }

    async fn end(self) {
        // Of what was written after the end of the login, nothing.
        let closed = self.closed.last();
        assert_eq!((closed.status, closed.rows), (LiveStatus::Refused, Vec::new()));
        assert!(self.closed.first(|shown| shown.rows.len() > 1).is_none());
        self.house.end().await;
    }
}

/// Through our server, where it goes on without the login: with a socket where anybody gets one.
async fn through_our_server(mode: &str) {
    let house = House::open(mode, "session").await;
    let app = App::at(&house.admin.url, |config| config.directus_allow_missing_origin = true).await;
    let (session, ends) = house.login("session").await;
    let options = NativeOptions::new(format!("{}/directus", app.origin()));
    let options = options.ws_url(format!("ws://{}/directus-ws", app.address)).session(COOKIE, session);
    let story = Story::begin(house, options, ends).await;
    let has_socket = mode == "public";
    let is_told = |status: &ConnectionStatus| match status {
        ConnectionStatus::NeedsAuth { .. } => !has_socket,
        status => has_socket && status.is_connected(),
    };
    let status = if has_socket { LiveStatus::Live } else { LiveStatus::Polling };
    story.write_until(|| story.closed.last().status == LiveStatus::Refused && is_told(&story.status())).await;
    assert!(story.closed_has_left().await.is_forbidden());
    story.open_is_right(status, if has_socket { SOON } else { POLLED }).await;
    assert!(is_told(&story.status()), "{:?}", story.status());
    eventually("one socket for a visitor, or none", async || match app.server.open_sockets() {
        open if open == usize::from(has_socket) => Ok(()),
        open => Err(open),
    })
    .await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_mode_public_a_list_of_somebody_whose_login_ends_is_live_as_anybody_s() {
    through_our_server("public").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_mode_handshake_a_list_of_somebody_whose_login_ends_is_polled_as_anybody_s() {
    through_our_server("handshake").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_mode_strict_a_list_of_somebody_whose_login_ends_is_polled_as_anybody_s() {
    through_our_server("strict").await;
}

/// Directus gives no socket to whoever comes with a session that is over, be it as anybody might.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_our_server_a_list_of_somebody_whose_session_ends_is_polled_as_anybody_s() {
    let house = House::open("public", "direct").await;
    let (session, ends) = house.login("session").await;
    let options = NativeOptions::new(&house.admin.url).session(COOKIE, session);
    let story = Story::begin(house, options, ends).await;
    let needs_login = || matches!(story.status(), ConnectionStatus::NeedsAuth { .. });
    story.write_until(|| story.closed.last().status == LiveStatus::Refused && needs_login()).await;
    assert!(story.closed_has_left().await.is_forbidden());
    story.open_is_right(LiveStatus::Polling, POLLED).await;
    assert!(needs_login(), "{:?}", story.status());
    story.end().await;
}

/// A token is what a program was given to read with: without it, it reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_token_ends_is_told_so_and_shows_no_rows_any_more() {
    let house = House::open("public", "token").await;
    let (token, ends) = house.login("json").await;
    let options = NativeOptions::new(&house.admin.url).token(token);
    let story = Story::begin(house, options, ends).await;
    let needs_login = || matches!(story.status(), ConnectionStatus::NeedsAuth { .. });
    story.write_until(|| story.closed.last().status == LiveStatus::Refused && needs_login()).await;
    assert!(story.closed_has_left().await.is_unauthorized());
    let refused = story.open.is_refused("what anybody may read to leave, too").await;
    assert!(refused.error.as_ref().is_some_and(|error| error.is_unauthorized()), "{refused:?}");
    story.end().await;
}
