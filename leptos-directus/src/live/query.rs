//! When a live query reads, and what it makes of the reply.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    doubt::Doubt,
    reply::{KeyReply, Sight, may_be_cut},
    settling::Settling,
    shape::{ReadScope, WindowShape},
    window::{RowChanges, Window},
};
use crate::{
    connection::{Backoff, Millis, after},
    error::Error,
    protocol::Key,
    rest::Page,
};

/// How often a query is read again whatever is announced, if nothing else is said.
const EVERY: Duration = Duration::from_secs(300);
/// The same for a query whose filter names the time (`$NOW`).
const TIMED_EVERY: Duration = Duration::from_secs(60);

/// Windows of no more rows than this are read whole, if nothing else is said.
pub(super) const SMALL: usize = 50;

/// No interval is shorter than this, whatever the app says: nothing would ever be still.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is announced so soon after the first rows under announcements came may be the rest of a batch whose beginning nobody told.
const FRESH: Duration = Duration::from_secs(10);

/// A read that has been on its way for this long when the link comes back is taken for lost with the old one.
const LOST_WITH_THE_LINK: Millis = 1_000;

/// What a live query goes by.
///
/// ```
/// use leptos_directus::live::LiveConfig;
/// use std::time::Duration;
///
/// let config = LiveConfig { key_field: "code".to_owned(), ..LiveConfig::default() };
/// assert_eq!(config.poll_every, Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// The field that holds the key: `id`.
    pub key_field: String,
    /// Nothing is read for hints about other keys, unless it was announced too early; only for queries for one row, by its key.
    pub only_key: Option<Key>,
    /// What there is to know of the query. Nothing, by default: then its window is read whole at every hint.
    pub window: WindowShape,
    /// Windows of no more rows than this are read whole at every hint: 50. That costs about as much as reading one row.
    pub small: usize,
    /// If more keys than this are in doubt, or more than a quarter of the window, the window is read whole: 500.
    pub keys_at_most: usize,
    /// Read again this often, whatever is announced, for what nobody announces (hazards H9, H11, H15). By default every
    /// 5 minutes, and every 60 s where the query's filter names the time (`$NOW`); never for `Duration::MAX`, and no more often
    /// than once a second.
    pub revalidate_every: Option<Duration>,
    /// While there is no socket, read at least this often: 30 s. Never for `Duration::MAX`, and no more often than once a second.
    pub poll_every: Duration,
    /// Without rows from the server, and without a socket by then, read all the same: 1 s.
    pub first_read_after: Duration,
    /// How soon a refused read is asked for again, should nothing hint at it before: 30 s, or `revalidate_every` if that is less.
    pub refused_retry: Duration,
    /// Seed of the jitter after failed reads and of that of `poll_every`, which takes up to a quarter of it away: a thousand pages
    /// that lost the same socket do not read in the same instant.
    pub seed: u64,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            key_field: "id".to_owned(),
            only_key: None,
            window: WindowShape::default(),
            small: SMALL,
            keys_at_most: 500,
            revalidate_every: None,
            poll_every: Duration::from_secs(30),
            first_read_after: Duration::from_secs(1),
            refused_retry: Duration::from_secs(30),
            seed: 0,
        }
    }
}

impl LiveConfig {
    /// How soon what was refused is asked for again.
    fn asks_again(&self) -> Duration {
        self.revalidates().map_or(self.refused_retry, |every| every.min(self.refused_retry)).max(SHORTEST)
    }

    /// How often to read again, whatever is announced.
    fn revalidates(&self) -> Option<Duration> {
        let default = if self.window.moves_with_time() { TIMED_EVERY } else { EVERY };
        self.revalidate_every.map_or(Some(default), interval)
    }
}

/// Pages that lost the same socket do not poll in the same instant: each waits for up to a quarter less than it might.
#[derive(Debug)]
struct Haste {
    random: fastrand::Rng,
    /// Of a quarter of the interval.
    share: f64,
}

impl Haste {
    fn new(seed: u64) -> Self {
        let mut haste = Self { random: fastrand::Rng::with_seed(seed), share: 0.0 };
        haste.draw();
        haste
    }

    fn draw(&mut self) {
        self.share = self.random.f64();
    }

    fn within(&self, interval: Duration) -> Duration {
        (interval - (interval / 4).mul_f64(self.share)).max(SHORTEST.min(interval))
    }
}

/// Number of a read, so that the reply to one that is no longer wanted is told from the one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub(super) u64);

/// What the socket says of the collections that the query depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Nothing that happens now will be announced.
    Down,
    /// Every create, update and delete will be announced.
    Up,
    /// The socket is there, but Directus refused some of the announcements: the rest is polled.
    Partial,
}

/// How true the rows on the screen are.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{LiveStatus, UseRealtimeCollectionReturn};
/// use serde_json::Value;
///
/// fn words(status: LiveStatus) -> &'static str {
///     match status {
///         LiveStatus::Live => "up to date",
///         LiveStatus::Stale | LiveStatus::Polling => "a moment behind",
///         LiveStatus::Refused => "not for you",
///         // `loading`, `paused`, and what may be added.
///         other => other.as_str(),
///     }
/// }
///
/// #[component]
/// fn Freshness(posts: UseRealtimeCollectionReturn<Value>) -> impl IntoView {
///     view! { <p role="status">{move || words(posts.status().get())}</p> }
/// }
/// # assert_eq!(words(LiveStatus::Paused), "paused");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LiveStatus {
    /// There are no rows yet.
    #[default]
    Loading,
    /// The rows equal what REST would return now, and are kept so.
    Live,
    /// The last good rows: they come from the server's HTML or from before the socket was lost, and are about to be read again.
    Stale,
    /// There is no socket, or not all of it: the rows are read at intervals.
    Polling,
    /// This query was paused by the app; its rows stay as they are.
    Paused,
    /// Directus refuses these rows to this visitor (401, 403): they have left the page; `error` says why. Where the query has
    /// just changed, the rows of the query before are still there.
    Refused,
}

impl LiveStatus {
    /// A short word for badges and logs: `loading`, `live`, `stale`, `polling`, `paused`, `refused`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Polling => "polling",
            Self::Paused => "paused",
            Self::Refused => "refused",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Read this; the reply is reported with this number.
    Read(ReadId, ReadScope),
    /// Rows changed.
    Rows(RowChanges),
    /// The read with this number was the last that was sent, and what it found is in the rows.
    Shown(ReadId),
    /// The counts that were asked for with `meta` changed.
    Meta(Option<Value>),
    /// The status or the error changed.
    Status(LiveStatus, Option<Error>),
}

/// Rows that something was announced of, before a read's answer is taken over.
struct Announced {
    rows: Vec<(Key, Option<Arc<Value>>)>,
    all_are_there: bool,
}

/// Whether a field has another value that is neither a list nor an object, as related rows are.
fn differs_itself(before: &Value, after: &Value) -> bool {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return false };
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    after.iter().any(|(field, after)| {
        is_plain(after) && before.get(field).is_some_and(|before| is_plain(before) && before != after)
    })
}

/// A read on its way.
#[derive(Debug)]
struct Flight {
    id: ReadId,
    scope: ReadScope,
    since: Millis,
    /// It was sent after everything was announced, and nothing was lost since.
    covered: bool,
}

/// One live query.
///
/// # Example
/// Rows from the HTML, the read that makes good what changed since, and one after a hint:
/// ```
/// use leptos_directus::{
///     Page,
///     live::{Feed, LiveConfig, LiveQuery, LiveStatus, Output, ReadId, ReadScope},
/// };
/// use serde_json::json;
///
/// let page = |title: &str| Page { items: vec![json!({ "id": 1, "title": title })], meta: None };
/// let mut query = LiveQuery::new(LiveConfig::default(), Some(page("old")), 0);
/// let read = |query: &mut LiveQuery| -> Option<ReadId> {
///     let reads = |output| match output {
///         Output::Read(read, ReadScope::Window) => Some(read),
///         _ => None,
///     };
///     std::iter::from_fn(|| query.next_output()).find_map(reads)
/// };
/// assert_eq!(query.status(), LiveStatus::Stale);
/// assert_eq!(read(&mut query), None, "nothing is read before everything is announced");
///
/// query.feed(10, Feed::Up);
/// let first = read(&mut query).unwrap();
/// query.hint(11, &[1.into()]);
/// assert_eq!(read(&mut query), None, "one read on its way at most");
/// query.reply(12, first, Ok(page("new")));
/// let second = read(&mut query).expect("it was sent before the hint");
/// query.reply(13, second, Ok(page("newer")));
/// assert_eq!(query.status(), LiveStatus::Live);
/// assert_eq!(query.window().get(&1.into()).unwrap()["title"], "newer");
///
/// query.refetch(20);
/// assert!(read(&mut query).is_some());
/// // The visitor is another one: what was on its way is not for them.
/// query.change_identity(21);
/// assert!(read(&mut query).is_some());
/// query.invalidate(22);
/// query.touch(22, &[2.into()]);
/// query.unfed(23);
/// query.feed(24, Feed::Down);
/// query.distrust();
/// query.hurry(25);
/// query.suspect(25, &[1.into()]);
/// query.set_stands_alone(Some(true));
/// if let Some(at) = query.deadline() {
///     query.tick(at);
/// }
/// ```
#[derive(Debug)]
pub struct LiveQuery {
    config: LiveConfig,
    window: Window,
    meta: Option<Value>,
    loaded: bool,
    feed: Feed,
    /// Since when nothing, or not everything, is announced.
    down_since: Option<Millis>,
    /// What may have changed since it was last asked for.
    doubt: Doubt,
    /// What may not have been there yet when it was read.
    settling: Settling,
    fresh_until: Millis,
    /// Reads without a feed too, once: somebody asked for it.
    asked: bool,
    /// A read that was sent while everything was announced has come back since the feed came up.
    caught_up: bool,
    /// A read has come back since the feed went down.
    polled: bool,
    flight: Option<Flight>,
    /// The link died silently and is not back: reads may go the same way.
    distrusts: bool,
    /// What the window showed about itself when it was last read whole; nothing if keys are not to be read.
    sight: Option<Sight>,
    /// Directus could not read keys: not tried again until the feed comes up anew.
    only_whole: bool,
    /// Whether the relations that it names are all known, and none leads back to its own rows; as far as anybody said.
    stands_alone: Option<bool>,
    next_read: u64,
    /// When the last read came back well.
    read_at: Option<Millis>,
    born: Millis,
    retry_at: Option<Millis>,
    backoff: Backoff,
    /// How much earlier than need be it polls.
    haste: Haste,
    error: Option<Error>,
    refused: bool,
    /// The rows on the screen are those of another visitor: they do not outlast a read that fails.
    of_another: bool,
    told: (LiveStatus, Option<Error>),
    outputs: VecDeque<Output>,
}

/// `MAX` is never.
fn interval(every: Duration) -> Option<Duration> {
    (every < Duration::MAX).then_some(every.max(SHORTEST))
}

impl LiveQuery {
    /// Starts from the rows that the server put into the HTML, or from nothing.
    ///
    /// Such rows are known to whoever shows them: no [`Output::Rows`] announces them.
    #[must_use]
    pub fn new(config: LiveConfig, initial: Option<Page<Value>>, now: Millis) -> Self {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30), config.seed);
        let haste = Haste::new(config.seed);
        let mut query = Self {
            config,
            window: Window::default(),
            meta: None,
            loaded: false,
            feed: Feed::Down,
            down_since: Some(now),
            doubt: Doubt::All,
            settling: Settling::default(),
            fresh_until: now,
            asked: false,
            caught_up: false,
            polled: false,
            flight: None,
            distrusts: false,
            sight: None,
            only_whole: false,
            stands_alone: None,
            next_read: 0,
            read_at: None,
            born: now,
            retry_at: None,
            backoff,
            haste,
            error: None,
            refused: false,
            of_another: false,
            told: (LiveStatus::Loading, None),
            outputs: VecDeque::new(),
        };
        if let Some(page) = initial {
            query.window.replace(&query.config.key_field, page.items);
            query.meta = page.meta;
            query.loaded = true;
        }
        query.tell();
        query
    }

    /// What is to be done next.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The rows as they are shown.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// How true they are.
    #[must_use]
    pub fn status(&self) -> LiveStatus {
        if self.refused {
            LiveStatus::Refused
        } else if !self.loaded {
            LiveStatus::Loading
        } else {
            match self.feed {
                Feed::Up if self.caught_up && self.error.is_none() => LiveStatus::Live,
                Feed::Down | Feed::Partial if self.polled => LiveStatus::Polling,
                _ => LiveStatus::Stale,
            }
        }
    }

    /// When [`tick`](Self::tick) wants to be called; never, if nothing is to come.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        if self.flight.is_some() {
            return None;
        }
        let mut earliest = self.due();
        if let (Some(at), Some(retry_at)) = (earliest, self.retry_at) {
            earliest = Some(at.max(retry_at));
        }
        earliest
    }

    /// When the next read is due, as far as nothing else happens: now (0), later, or never.
    fn due(&self) -> Option<Millis> {
        let is_fed = self.feed != Feed::Down;
        let hinted = (self.doubt.is_any() && is_fed).then_some(0);
        let settles = self.settling.due().filter(|_| is_fed);
        // A failed or refused read is tried again, whatever the feed says.
        [hinted, settles, self.retry_at, self.whole_due()].into_iter().flatten().min()
    }

    /// When the window is due, whatever is hinted at.
    fn whole_due(&self) -> Option<Millis> {
        let mut due: Option<Millis> = None;
        let mut consider = |at: Millis| due = Some(due.map_or(at, |due| due.min(at)));
        if self.asked {
            consider(0);
        }
        if !self.loaded && !self.refused && self.doubt == Doubt::All {
            consider(after(self.born, self.config.first_read_after));
        }
        if let (Some(every), Some(since)) = (interval(self.config.poll_every), self.down_since) {
            let last = self.read_at.map_or(since, |read_at| read_at.max(since));
            consider(after(last, self.haste.within(every)));
        }
        if let (Some(every), Some(read_at)) = (self.config.revalidates(), self.read_at) {
            consider(after(read_at, every));
        }
        due
    }

    /// What to read now: the keys in doubt, if that can be enough.
    fn scope(&self, now: Millis) -> ReadScope {
        let is_seen_through = self.stands_alone.unwrap_or(!self.config.window.relates());
        let whole = self.refused
            || !self.loaded
            || self.only_whole
            || !is_seen_through
            || self.whole_due().is_some_and(|due| now >= due);
        match (&self.doubt, &self.sight) {
            (Doubt::Keys(keys), Some(sight))
                if !whole
                    && !keys.is_empty()
                    && self.window.len() > self.config.small
                    // Reading a good part of the rows one by one is no cheaper than reading all.
                    && keys.len() <= self.window.len() / 4
                    && sight.suffices(&self.window, &self.config.window, keys.iter()) =>
            {
                ReadScope::Keys(keys.iter().cloned().collect())
            }
            _ => ReadScope::Window,
        }
    }

    /// The announcements came up, went down, or came up in part.
    ///
    /// Coming up puts everything in doubt: what happened before is told by nobody (hazards H1, H13).
    pub fn feed(&mut self, now: Millis, feed: Feed) {
        if feed == self.feed {
            return;
        }
        let was_down = std::mem::replace(&mut self.feed, feed) == Feed::Down;
        self.caught_up = false;
        if let Some(flight) = &mut self.flight {
            flight.covered = false;
        }
        if was_down {
            // It would be waited for until its time is out. One more follows in any case: it goes at once, and over the new link.
            let is_distrusted = std::mem::take(&mut self.distrusts);
            self.flight.take_if(|flight| is_distrusted || now >= flight.since + LOST_WITH_THE_LINK);
        }
        self.doubt = Doubt::All;
        self.only_whole = false;
        self.fresh_until = after(now, FRESH);
        if feed == Feed::Up {
            self.down_since = None;
            // What failed before may well work now, and soon if not at once: the first read may meet a connection that died with
            // the link. A wait that the server asked for is kept.
            if self.error.as_ref().is_some_and(|error| error.retry_after().is_none()) {
                self.backoff.reset();
                self.retry_at = None;
            }
        } else {
            self.polled = false;
            self.down_since.get_or_insert(now);
        }
        self.settle(now);
    }

    /// The link died without saying so: what is on its way, or sets out before the link is back, may have died with it.
    pub fn distrust(&mut self) {
        self.distrusts = true;
    }

    /// Whether the relations that the query names are all known, and none of them leads back to its own collection: then a
    /// change of one row of it changes no other, and keys can be read. As long as nobody knows, only queries that name none are
    /// taken to stand alone.
    pub fn set_stands_alone(&mut self, stands_alone: Option<bool>) {
        self.stands_alone = stands_alone;
    }

    /// Something was announced, about these keys; an empty list means that it is not known which.
    pub fn hint(&mut self, now: Millis, keys: &[Key]) {
        let (last, bound) = (ReadId(self.next_read), self.config.keys_at_most);
        let awaits_first = self.feed == Feed::Up && !self.caught_up;
        if now < self.fresh_until || awaits_first {
            self.settling.told(now, last, &[], bound);
        } else if self.is_about_others(keys) {
            self.settling.told_of_others(now);
        } else if self.config.only_key.is_some() {
            let own: Vec<Key> = keys.iter().filter(|key| self.is_it(key)).cloned().collect();
            self.settling.told(now, last, &own, bound);
        } else {
            self.settling.told(now, last, keys, bound);
        }
        self.suspect(now, keys);
    }

    /// Rows with these keys may have changed, though nothing was announced; an empty list means any.
    pub fn suspect(&mut self, now: Millis, keys: &[Key]) {
        if self.is_about_others(keys) {
            return;
        }
        if keys.is_empty() {
            self.doubt = Doubt::All;
        } else {
            self.doubt.add(keys, self.config.keys_at_most);
        }
        // Who was refused is asked for again at once; a wait after anything else is kept.
        if self.error.as_ref().is_some_and(Error::is_refusal) {
            self.retry_at = None;
        }
        self.settle(now);
    }

    /// One row is asked for by its key, and these are others.
    fn is_about_others(&self, keys: &[Key]) -> bool {
        let is_known = !keys.is_empty() && !may_be_cut(keys.len());
        self.config.only_key.is_some() && is_known && !keys.iter().any(|key| self.is_it(key))
    }

    /// Whether this may be the key of the one row that is asked for.
    fn is_it(&self, key: &Key) -> bool {
        self.config.only_key.as_ref().is_some_and(|only| key.may_be(only)) || self.window.keys().first() == Some(key)
    }

    /// It may work now: a read that failed is tried again at once, but not before the server's own `Retry-After`.
    pub fn hurry(&mut self, now: Millis) {
        if self.error.as_ref().is_some_and(|error| error.retry_after().is_none()) {
            self.backoff.reset();
            self.retry_at = self.retry_at.map(|at| at.min(now));
        }
        self.settle(now);
    }

    /// Somebody wants to be sure, with or without a socket. A wait that the server asked for is kept.
    pub fn refetch(&mut self, now: Millis) {
        self.doubt = Doubt::All;
        self.asked = true;
        if self.error.as_ref().is_none_or(|error| error.retry_after().is_none()) {
            self.retry_at = None;
        }
        self.settle(now);
    }

    /// This page wrote something itself, about these keys: who is not live reads for that, too, but not before the server's own
    /// `Retry-After`.
    pub fn touch(&mut self, now: Millis, keys: &[Key]) {
        if self.status() == LiveStatus::Live {
            self.suspect(now, keys);
        } else {
            self.refetch(now);
        }
    }

    /// Announcements will not come up soon: the socket was refused, lost or closed. Who has no rows yet reads them now.
    pub fn unfed(&mut self, now: Millis) {
        if !self.loaded && !self.refused && self.flight.is_none() && self.read_at.is_none() && self.error.is_none() {
            self.refetch(now);
        }
    }

    /// The visitor is another one. What is on its way is not for them, and the rows on the screen stay only until a read of
    /// theirs comes back, whatever it says.
    pub fn change_identity(&mut self, now: Millis) {
        self.of_another = true;
        // They may be told of other relations.
        self.stands_alone = None;
        self.invalidate(now);
        // A wait that Directus asked for is kept, but not with the rows of somebody else.
        if self.flight.is_none() {
            self.drop_rows_of_another();
            self.tell();
        }
    }

    /// They do not outlast a read that fails, nor one that must wait.
    fn drop_rows_of_another(&mut self) {
        if std::mem::take(&mut self.of_another) {
            self.loaded = false;
            self.show(Page { items: Vec::new(), meta: None }, None);
            self.sight = None;
        }
    }

    /// Who the visitor is may have changed: what is on its way may no longer be for them.
    pub fn invalidate(&mut self, now: Millis) {
        self.flight = None;
        self.caught_up = false;
        self.refetch(now);
        self.tell();
    }

    /// A read came back.
    ///
    /// One that was sent before a hint is shown all the same: it is newer than what is there, because reads are made one
    /// after the other. What was hinted at meanwhile is read again.
    pub fn reply(&mut self, now: Millis, read: ReadId, result: Result<Page<Value>, Error>) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == read) else { return };
        self.haste.draw();
        // What changed against the rows of somebody else, or against none, tells nothing of when.
        let compares = self.loaded && !self.refused && !self.of_another;
        match (result, flight.scope) {
            (Ok(page), ReadScope::Window) => {
                self.answered();
                self.refused = false;
                self.loaded = true;
                self.read_at = Some(now);
                // If the feed came up while the read was on its way, everything is in doubt, and another one follows.
                match self.feed {
                    Feed::Up if flight.covered && !self.caught_up => {
                        self.caught_up = true;
                        self.fresh_until = after(now, FRESH);
                    }
                    Feed::Up => {}
                    Feed::Down | Feed::Partial => self.polled = true,
                }
                self.show(page, compares.then_some(read));
                self.outputs.push_back(Output::Shown(read));
                self.sight = Sight::of(&self.window, &self.config.window, &self.config.key_field);
            }
            (Ok(page), ReadScope::Keys(keys)) => {
                self.answered();
                self.show_keys(read, &keys, page.items);
            }
            // Directus can't read these keys, such as texts where the key is a number. It can read the window.
            (Err(error), ReadScope::Keys(_)) if !error.is_refusal() && !error.is_transient() => {
                self.only_whole = true;
                self.doubt = Doubt::All;
            }
            (Err(error), scope) => {
                let shows_nothing = error.is_refusal() || self.of_another;
                self.failed(now, error, scope);
                // First why: it is no read that came back.
                self.tell();
                // There are no rows for this visitor, or none yet.
                self.outputs.extend(shows_nothing.then_some(Output::Shown(read)));
            }
        }
        self.settle(now);
    }

    fn answered(&mut self) {
        self.of_another = false;
        self.backoff.reset();
        self.retry_at = None;
        self.error = None;
    }

    fn failed(&mut self, now: Millis, error: Error, scope: ReadScope) {
        self.drop_rows_of_another();
        let wait = if error.is_refusal() {
            self.refused = true;
            self.loaded = true;
            self.show(Page { items: Vec::new(), meta: None }, None);
            self.sight = None;
            // What came while it was on its way is asked for at once: it may be that the right was given back.
            if self.doubt.is_any() || self.asked { Duration::ZERO } else { self.config.asks_again() }
        } else if error.is_transient() {
            let delay = self.backoff.next_delay();
            // Not all pages at once when the time is over that they were told.
            error.retry_after().map_or(delay, |least| least.saturating_add(delay))
        } else {
            // An answer that will be the same next time, such as a query that Directus can't read.
            self.loaded = true;
            self.config.refused_retry
        };
        match scope {
            ReadScope::Keys(keys) if error.is_transient() => self.doubt.add(&keys, self.config.keys_at_most),
            _ => self.doubt = Doubt::All,
        }
        self.retry_at = Some(after(now, wait));
        self.error = Some(error);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        self.settle(now);
    }

    /// Shows what a read found, or that there is nothing to be shown. What changed by it settles what was announced before the
    /// read with this number.
    fn show(&mut self, page: Page<Value>, settles: Option<ReadId>) {
        let announced = self.announced();
        let changes = self.window.replace(&self.config.key_field, page.items);
        if let Some(read) = settles {
            self.settle_changed(&announced, read);
        }
        if !changes.is_empty() {
            self.outputs.push_back(Output::Rows(changes));
        }
        if page.meta != self.meta {
            self.meta.clone_from(&page.meta);
            self.outputs.push_back(Output::Meta(page.meta));
        }
    }

    fn show_keys(&mut self, read: ReadId, asked: &[Key], rows: Vec<Value>) {
        let LiveConfig { window: shape, key_field, .. } = &self.config;
        let changes = self
            .sight
            .as_ref()
            .and_then(|sight| KeyReply { window: &self.window, shape, sight, key_field, asked }.changes(rows));
        let Some(changes) = changes else {
            self.doubt = Doubt::All;
            return;
        };
        let announced = self.announced();
        if !changes.is_empty() {
            self.window.apply(&changes);
            self.outputs.push_back(Output::Rows(changes));
        }
        self.settle_changed(&announced, read);
        self.outputs.push_back(Output::Shown(read));
    }

    /// What was announced and may not have been there when it was read, with the rows as they are.
    fn announced(&self) -> Announced {
        let rows = self.settling.keys().map(|key| (key.clone(), self.window.get(key).cloned())).collect();
        Announced { rows, all_are_there: self.all_are_there() }
    }

    /// Whether the window has all of the query's rows, and they depend on nothing else: then none enters because another one left,
    /// a related one changed, or time passed.
    fn all_are_there(&self) -> bool {
        let shape = &self.config.window;
        let rows = self.window.len();
        !shape.relates()
            && !shape.moves_with_time()
            && !shape.starts_later()
            && !may_be_cut(rows)
            && shape.limit().is_none_or(|limit| rows < limit)
    }

    /// What was announced of a row had happened by the time of this read if it shows: by a value of its own that is another
    /// one now, and not just that of a related row, or by its coming or going, if no other row's coming or going is the cause.
    fn settle_changed(&mut self, announced: &Announced, read: ReadId) {
        let all_are_there = self.all_are_there();
        // The place of an aggregate's row is no key.
        let is_row = |row: &Value| row.get(&self.config.key_field).is_some();
        for (key, before) in &announced.rows {
            let shows = match (before, self.window.get(key)) {
                (Some(before), Some(after)) => is_row(after) && differs_itself(before, after),
                (None, Some(after)) => is_row(after) && announced.all_are_there,
                (Some(before), None) => is_row(before) && all_are_there,
                (None, None) => false,
            };
            if shows {
                self.settling.changed(key, read);
            }
        }
    }

    fn settle(&mut self, now: Millis) {
        if self.flight.is_none()
            && self.due().is_some_and(|due| now >= due)
            && self.retry_at.is_none_or(|retry_at| now >= retry_at)
        {
            self.next_read += 1;
            let id = ReadId(self.next_read);
            let settled = self.settling.take(now, self.config.keys_at_most);
            self.doubt.merge(settled, self.config.keys_at_most);
            let scope = self.scope(now);
            self.flight = Some(Flight { id, scope: scope.clone(), since: now, covered: self.feed == Feed::Up });
            self.doubt = Doubt::default();
            self.asked = false;
            self.retry_at = None;
            self.outputs.push_back(Output::Read(id, scope));
        }
        self.tell();
    }

    fn tell(&mut self) {
        let now = (self.status(), self.error.clone());
        if now != self.told {
            self.told = now.clone();
            self.outputs.push_back(Output::Status(now.0, now.1));
        }
    }
}

#[cfg(test)]
mod tests;
