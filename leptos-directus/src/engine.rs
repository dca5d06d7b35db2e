//! Connection, live queries and streams as one state machine without I/O: what the driver runs, and what tests run without one.
//!
//! All live queries of a collection share three subscriptions, one per kind of event, without a filter and with the key as
//! their only field: they are registered before they are acknowledged (hazard H1), no limit cuts them (H6), and a row that
//! leaves a filter is announced all the same (H3).
//!
//! # Example
//! One live query from its being attached to its first rows, without a network and on a clock that is turned by hand:
//! ```
//! use codee::Decoder;
//! use leptos_directus::{
//!     Error, Page,
//!     connection::{ConnectionConfig, SubscriptionSpec, Wake},
//!     engine::{Counts, Engine, Output, QueryId, QuerySpec, StreamId},
//!     live::{self, LiveStatus, ReadScope},
//!     protocol::{DirectusCodec, Leads},
//! };
//! use serde_json::{Value, json};
//!
//! let mut engine = Engine::new(ConnectionConfig::default());
//! let outputs = |engine: &mut Engine| std::iter::from_fn(|| engine.next_output()).collect::<Vec<_>>();
//! let posts = QueryId(1);
//! let spec = QuerySpec { collection: "posts".to_owned(), ..QuerySpec::default() };
//! engine.attach(0, posts, spec, None);
//! assert!(outputs(&mut engine).contains(&Output::Open(1)));
//!
//! // Its collection's three subscriptions are sent, and acknowledged.
//! engine.opened(5, 1);
//! for output in outputs(&mut engine) {
//!     if let Output::Send(message) = output {
//!         let uid = serde_json::to_value(message).unwrap()["uid"].clone();
//!         let frame = json!({ "type": "subscription", "event": "init", "uid": uid, "data": [] }).to_string();
//!         engine.frame(6, DirectusCodec::decode(frame.as_str()).unwrap());
//!     }
//! }
//!
//! // Now, and not before, the rows are read.
//! let read = outputs(&mut engine).into_iter().find_map(|output| match output {
//!     Output::Read(QueryId(1), read, ReadScope::Window) => Some(read),
//!     _ => None,
//! });
//! let rows: Vec<Value> = vec![json!({ "id": 1, "title": "one" })];
//! engine.reply(7, posts, read.unwrap(), Ok(Page { items: rows, meta: None }));
//! assert!(outputs(&mut engine).contains(&Output::Live(posts, live::Output::Status(LiveStatus::Live, None))));
//!
//! // Somebody wants to be sure; the network comes and goes; the visitor logs in, and Directus is not there for a while.
//! engine.refetch(8, posts);
//! engine.touch(8, "posts", &["1".into()]);
//! engine.wake(9, Wake::Online);
//! engine.unreadable(10);
//! engine.closed(11, 1, "the server went away");
//! engine.identity_changed(12);
//! engine.refused(13, 2, &Error::network("nobody is there"));
//! engine.connect(14);
//!
//! // It is found out that its rows show something of their authors: what happens to those is announced from now on, too.
//! engine.find(15, posts, &Leads { to: ["authors".to_owned()].into(), is_all: true });
//! assert_eq!(engine.counts().subscriptions, 6);
//!
//! // A stream of raw events beside it.
//! let everything =
//!     SubscriptionSpec { collection: "posts".to_owned(), event: None, query: None, label: "feed".to_owned() };
//! engine.subscribe(15, StreamId(2), everything);
//! assert_eq!((engine.counts().queries, engine.counts().streams), (1, 1));
//! engine.unsubscribe(16, StreamId(2));
//!
//! // Nobody shows the query any more, somebody comes back, and goes: it lingers, then it ends.
//! engine.release(17, posts);
//! engine.retain(posts);
//! engine.release(18, posts);
//! while !outputs(&mut engine).contains(&Output::Expired(posts)) {
//!     engine.tick(engine.deadline().unwrap());
//! }
//! engine.detach(60_000, posts);
//! engine.disconnect(60_001);
//! assert_eq!(engine.counts(), Counts::default());
//! ```

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    connection::{
        self, ConnectionConfig, ConnectionStatus, Machine, Millis, Notice, SubscriptionId, SubscriptionSpec, Wake,
    },
    error::Error,
    live::{self, Feed, LiveConfig, LiveQuery, ReadId, ReadScope},
    protocol::{ClientMessage, EventKind, Key, Leads, ServerMessage, SubscriptionEvent},
    rest::Page,
};

/// A page that was out of sight for this long reads its live queries again, whatever the socket says.
const LONG_HIDDEN: Duration = Duration::from_secs(30);

const KINDS: [EventKind; 3] = [EventKind::Create, EventKind::Update, EventKind::Delete];

/// A live query; numbers are given by whoever attaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// A stream of raw events; numbers are given by whoever subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// What a live query depends on.
#[derive(Clone, Debug, Default)]
pub struct QuerySpec {
    /// The collection that it reads.
    pub collection: String,
    /// Other collections whose changes may change its rows (hazard H12).
    pub watch: Vec<String>,
    /// The same, but nobody asked for them by name: the query's relations lead to them. Where Directus does not announce them
    /// to this visitor, the query is live without. Nothing where nobody knows.
    pub found: Option<Leads>,
    /// What it goes by.
    pub config: LiveConfig,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Begin to connect; what comes of it is reported with this number.
    Open(u64),
    /// Drop the socket, or the try.
    Close,
    /// The link died without saying so: connections that are kept open for reads may have died with it.
    Silent,
    /// Send a frame on the open socket.
    Send(ClientMessage),
    /// Tell the page.
    Status(ConnectionStatus),
    /// Who the visitor is may have changed.
    IdentityInDoubt,
    /// Read this of the query; the reply is reported with both numbers.
    Read(QueryId, ReadId, ReadScope),
    /// Rows, counts or the status of a live query changed.
    Live(QueryId, live::Output),
    /// Nobody held the query for as long as the linger: `detach` it, or `retain` it if somebody came back meanwhile.
    Expired(QueryId),
    /// Something came for a stream.
    Stream(StreamId, Notice),
}

/// How many of what there are; all zero once nothing is mounted any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Live queries, lingering ones too.
    pub queries: usize,
    /// Streams.
    pub streams: usize,
    /// Subscriptions at Directus, or on their way there.
    pub subscriptions: usize,
    /// Open sockets: 0 or 1.
    pub sockets: usize,
    /// Whether something is timed.
    pub timers: usize,
    /// Writes of live lists that are not done yet. None here: they are the driver's.
    pub writes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hint {
    Awaited,
    Acknowledged,
    Refused,
}

/// The three subscriptions of a collection, and who lives on them.
#[derive(Debug)]
struct Group {
    subscriptions: [SubscriptionId; 3],
    hints: [Hint; 3],
    members: Vec<QueryId>,
}

/// What a query has to do with a collection's announcements.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tie {
    /// It can't be live without.
    Asked,
    /// It waits for them with the others, and does without if Directus refuses them.
    Found,
    /// They were found while it was live: it stays so until they come, and is then read once.
    Joining,
}

impl Group {
    fn is_refused(&self) -> bool {
        self.hints.contains(&Hint::Refused)
    }

    fn feed(&self) -> Feed {
        if self.hints.contains(&Hint::Awaited) {
            Feed::Down
        } else if self.is_refused() {
            Feed::Partial
        } else {
            Feed::Up
        }
    }
}

/// Collection and the one field that is asked for.
type GroupKey = (String, String);

#[derive(Debug)]
struct Member {
    live: LiveQuery,
    /// Its own collection first.
    groups: Vec<(GroupKey, Tie)>,
    /// Its rows show others of its own collection.
    shows_itself: bool,
    /// Whether all of its relations lead elsewhere, where that is known.
    leads_elsewhere: Option<bool>,
    /// What it was told last.
    fed: Feed,
    leaves_at: Option<Millis>,
}

impl Member {
    /// What was about to join belongs to it.
    fn bind(&mut self) {
        for (_, tie) in &mut self.groups {
            if *tie == Tie::Joining {
                *tie = Tie::Found;
            }
        }
    }

    fn is_own(&self, key: &GroupKey) -> bool {
        self.groups.first().is_some_and(|(own, _)| own == key)
    }
}

#[derive(Debug)]
enum Holder {
    Group(GroupKey, usize),
    Stream(StreamId),
}

/// Everything that a page's connection decides.
#[derive(Debug)]
pub struct Engine {
    machine: Machine,
    linger: Millis,
    groups: BTreeMap<GroupKey, Group>,
    queries: BTreeMap<QueryId, Member>,
    streams: BTreeMap<StreamId, SubscriptionId>,
    holders: HashMap<SubscriptionId, Holder>,
    outputs: VecDeque<Output>,
}

impl Engine {
    /// Idle, with nothing attached.
    #[must_use]
    pub fn new(config: ConnectionConfig) -> Self {
        let linger = u64::try_from(config.linger.as_millis()).unwrap_or(u64::MAX);
        Self {
            machine: Machine::new(config),
            linger,
            groups: BTreeMap::new(),
            queries: BTreeMap::new(),
            streams: BTreeMap::new(),
            holders: HashMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`tick`](Self::tick) wants to be called; never, if nothing is to come.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let queries = self.queries.values().flat_map(|member| [member.live.deadline(), member.leaves_at]);
        queries.chain([self.machine.deadline()]).flatten().min()
    }

    /// What there is; for tests that nothing is left behind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            queries: self.queries.len(),
            streams: self.streams.len(),
            subscriptions: self.machine.subscriptions(),
            sockets: usize::from(self.machine.is_open()),
            timers: usize::from(self.deadline().is_some()),
            writes: 0,
        }
    }

    /// A live query comes into being, with the rows of the server's HTML or without.
    pub fn attach(&mut self, now: Millis, id: QueryId, spec: QuerySpec, initial: Option<Page<Value>>) {
        let QuerySpec { collection, watch, found, config } = spec;
        let own = (collection, config.key_field.clone());
        let mut live = LiveQuery::new(config, initial, now);
        tell(self.machine.status(), &mut live, now);
        let member = Member {
            live,
            groups: Vec::new(),
            shows_itself: false,
            leads_elsewhere: None,
            fed: Feed::Down,
            leaves_at: None,
        };
        self.queries.insert(id, member);
        self.tie(now, id, &own, Tie::Asked);
        for collection in watch {
            if collection == own.0 {
                // Whoever asks for it says that its rows change one another.
                self.shows_itself(id);
            } else {
                self.tie(now, id, &(collection, "id".to_owned()), Tie::Asked);
            }
        }
        if let Some(found) = found {
            self.follow(now, id, &found, Tie::Found);
        }
        self.feed(now, id);
        self.settle(now);
    }

    /// It was found out where the query's relations lead: see [`QuerySpec::found`]. What is known already changes nothing; what
    /// is new is followed by one read, once it is announced.
    pub fn find(&mut self, now: Millis, id: QueryId, leads: &Leads) {
        let Some(member) = self.queries.get(&id) else { return };
        // Who waits for announcements anyway waits for these, too, and reads but once.
        let tie = if member.fed == Feed::Down { Tie::Found } else { Tie::Joining };
        let showed_itself = member.shows_itself;
        self.follow(now, id, leads, tie);
        let has_joined = self.join(id);
        if let Some(member) = self.queries.get_mut(&id)
            && (has_joined || member.shows_itself != showed_itself)
        {
            member.live.suspect(now, &[]);
        }
        self.feed(now, id);
        self.settle(now);
    }

    fn shows_itself(&mut self, id: QueryId) {
        if let Some(member) = self.queries.get_mut(&id) {
            member.shows_itself = true;
        }
    }

    fn follow(&mut self, now: Millis, id: QueryId, leads: &Leads, tie: Tie) {
        for collection in &leads.to {
            let Some(member) = self.queries.get_mut(&id) else { return };
            if member.groups.first().is_some_and(|((own, _), _)| own == collection) {
                member.shows_itself = true;
            } else {
                self.tie(now, id, &(collection.clone(), "id".to_owned()), tie);
            }
        }
        if let Some(member) = self.queries.get_mut(&id) {
            member.leads_elsewhere = Some(leads.is_all && !member.shows_itself);
        }
    }

    /// Ties a query to a collection's announcements, if it is not; they are subscribed to, if they are not.
    fn tie(&mut self, now: Millis, id: QueryId, key: &GroupKey, tie: Tie) {
        let Some(member) = self.queries.get_mut(&id) else { return };
        if member.groups.iter().any(|(known, _)| known == key) {
            return;
        }
        member.groups.push((key.clone(), tie));
        if !self.groups.contains_key(key) {
            let mut place = 0;
            let subscriptions = KINDS.map(|event| {
                let id = self.machine.subscribe(
                    now,
                    SubscriptionSpec {
                        collection: key.0.clone(),
                        event: Some(event),
                        query: Some(json!({ "fields": [key.1], "limit": -1 })),
                        label: format!("{}:{}", key.0, event.as_str()),
                    },
                );
                self.holders.insert(id, Holder::Group(key.clone(), place));
                place += 1;
                id
            });
            self.groups.insert(key.clone(), Group { subscriptions, hints: [Hint::Awaited; 3], members: Vec::new() });
        }
        if let Some(group) = self.groups.get_mut(key) {
            group.members.push(id);
        }
    }

    /// What was found while the query was live belongs to it as soon as all of it is answered. Whether some of it is announced
    /// from now on: then everything is in doubt once, as nobody told what happened before.
    fn join(&mut self, id: QueryId) -> bool {
        let Some(member) = self.queries.get_mut(&id) else { return false };
        let joining = member.groups.iter().filter(|(_, tie)| *tie == Tie::Joining);
        let feeds: Vec<Feed> = joining.map(|(key, _)| self.groups.get(key).map_or(Feed::Down, Group::feed)).collect();
        if feeds.is_empty() || feeds.contains(&Feed::Down) {
            return false;
        }
        member.bind();
        feeds.contains(&Feed::Up)
    }

    /// The last one who showed the query is gone: it lingers, so that going back costs nothing.
    pub fn release(&mut self, now: Millis, id: QueryId) {
        if let Some(member) = self.queries.get_mut(&id) {
            member.leaves_at = Some(now.saturating_add(self.linger));
        }
        self.settle(now);
    }

    /// Whether anybody shows it: it does not linger.
    pub(crate) fn is_shown(&self, id: QueryId) -> bool {
        self.queries.get(&id).is_some_and(|member| member.leaves_at.is_none())
    }

    /// Somebody came back for it.
    pub fn retain(&mut self, id: QueryId) {
        if let Some(member) = self.queries.get_mut(&id) {
            member.leaves_at = None;
        }
    }

    /// The query ends.
    pub fn detach(&mut self, now: Millis, id: QueryId) {
        let Some(member) = self.queries.remove(&id) else { return };
        for (key, _) in member.groups {
            let Some(group) = self.groups.get_mut(&key) else { continue };
            group.members.retain(|member| *member != id);
            if group.members.is_empty() {
                for subscription in group.subscriptions {
                    self.holders.remove(&subscription);
                    self.machine.unsubscribe(now, subscription);
                }
                self.groups.remove(&key);
            }
        }
        self.settle(now);
    }

    /// The query is to be read, whatever is announced.
    pub fn refetch(&mut self, now: Millis, id: QueryId) {
        if let Some(member) = self.queries.get_mut(&id) {
            member.live.refetch(now);
        }
        self.settle(now);
    }

    /// This page wrote something itself: whoever shows it reads again, with or without a socket.
    pub fn touch(&mut self, now: Millis, collection: &str, keys: &[Key]) {
        for member in self.queries.values_mut() {
            let mut groups = member.groups.iter().map(|((group, _), _)| group == collection);
            if groups.next() == Some(true) {
                member.live.touch(now, keys);
            } else if groups.any(|is_watched| is_watched) && member.live.status() != live::LiveStatus::Live {
                // Who is live will be told.
                member.live.touch(now, &[]);
            }
        }
        self.settle(now);
    }

    /// A read came back.
    pub fn reply(&mut self, now: Millis, id: QueryId, read: ReadId, result: Result<Page<Value>, Error>) {
        if let Some(member) = self.queries.get_mut(&id) {
            member.live.reply(now, read, result);
        }
        self.settle(now);
    }

    /// A stream of raw events comes into being.
    pub fn subscribe(&mut self, now: Millis, id: StreamId, spec: SubscriptionSpec) {
        let subscription = self.machine.subscribe(now, spec);
        self.holders.insert(subscription, Holder::Stream(id));
        self.streams.insert(id, subscription);
        self.settle(now);
    }

    /// A stream ends.
    pub fn unsubscribe(&mut self, now: Millis, id: StreamId) {
        if let Some(subscription) = self.streams.remove(&id) {
            self.holders.remove(&subscription);
            self.machine.unsubscribe(now, subscription);
        }
        self.settle(now);
    }

    /// The app wants the socket.
    pub fn connect(&mut self, now: Millis) {
        self.machine.connect(now);
        self.settle(now);
    }

    /// The app wants no socket.
    pub fn disconnect(&mut self, now: Millis) {
        self.machine.disconnect(now);
        self.settle(now);
    }

    /// Who the visitor is has changed: a new socket, and every query anew.
    pub fn identity_changed(&mut self, now: Millis) {
        self.machine.reopen(now);
        for member in self.queries.values_mut() {
            member.leads_elsewhere = None;
            member.live.change_identity(now);
        }
        self.settle(now);
    }

    /// The platform noticed something.
    pub fn wake(&mut self, now: Millis, wake: Wake) {
        self.machine.wake(now, wake);
        let in_doubt = match wake {
            Wake::Online => true,
            Wake::Visible { hidden } => hidden >= LONG_HIDDEN,
            Wake::Offline | Wake::Asked => false,
        };
        for member in self.queries.values_mut() {
            if wake != Wake::Offline {
                member.live.hurry(now);
            }
            if in_doubt {
                member.live.suspect(now, &[]);
            }
        }
        self.settle(now);
    }

    /// The try with this number came through.
    pub fn opened(&mut self, now: Millis, socket: u64) {
        self.machine.opened(now, socket);
        self.settle(now);
    }

    /// The try with this number failed.
    pub fn refused(&mut self, now: Millis, socket: u64, error: &Error) {
        self.machine.refused(now, socket, error);
        self.settle(now);
    }

    /// The socket with this number is closed.
    pub fn closed(&mut self, now: Millis, socket: u64, reason: &str) {
        self.machine.closed(now, socket, reason);
        self.settle(now);
    }

    /// A frame came in.
    pub fn frame(&mut self, now: Millis, frame: ServerMessage) {
        self.machine.frame(now, frame);
        self.settle(now);
    }

    /// A frame came in that nobody can read.
    pub fn unreadable(&mut self, now: Millis) {
        self.machine.unreadable(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        self.machine.tick(now);
        for (id, member) in &mut self.queries {
            member.live.tick(now);
            if member.leaves_at.is_some_and(|at| now >= at) {
                // Told once; whoever is told answers with `detach` or `retain`.
                member.leaves_at = None;
                self.outputs.push_back(Output::Expired(*id));
            }
        }
        self.settle(now);
    }

    /// Passes on what the parts want done, and to the queries what the socket brought.
    fn settle(&mut self, now: Millis) {
        while let Some(output) = self.machine.next_output() {
            match output {
                connection::Output::Open(socket) => self.outputs.push_back(Output::Open(socket)),
                connection::Output::Close => self.outputs.push_back(Output::Close),
                connection::Output::Silent => {
                    self.queries.values_mut().for_each(|member| member.live.distrust());
                    self.outputs.push_back(Output::Silent);
                }
                connection::Output::Send(message) => self.outputs.push_back(Output::Send(message)),
                connection::Output::Status(status) => {
                    for member in self.queries.values_mut() {
                        tell(&status, &mut member.live, now);
                    }
                    self.outputs.push_back(Output::Status(status));
                }
                connection::Output::IdentityInDoubt => {
                    self.outputs.push_back(Output::IdentityInDoubt);
                    for member in self.queries.values_mut() {
                        member.live.invalidate(now);
                    }
                }
                connection::Output::Event(subscription, event) => self.event(now, subscription, event),
            }
        }
        for (id, member) in &mut self.queries {
            while let Some(output) = member.live.next_output() {
                self.outputs.push_back(match output {
                    live::Output::Read(read, scope) => Output::Read(*id, read, scope),
                    output => Output::Live(*id, output),
                });
            }
        }
    }

    fn event(&mut self, now: Millis, subscription: SubscriptionId, event: Notice) {
        let (key, place) = match self.holders.get(&subscription) {
            None => return,
            Some(Holder::Stream(id)) => {
                self.outputs.push_back(Output::Stream(*id, event));
                return;
            }
            Some(Holder::Group(key, place)) => (key.clone(), *place),
        };
        let Some(group) = self.groups.get_mut(&key) else { return };
        let before = group.feed();
        // Which keys a hint is about; nothing where that is not known.
        let hint: Option<Vec<Key>> = match event {
            Notice::Acknowledged(_) => {
                group.hints[place] = Hint::Acknowledged;
                None
            }
            Notice::Failed { alive: false, .. } => {
                group.hints[place] = Hint::Refused;
                None
            }
            Notice::Lost => {
                group.hints[place] = Hint::Awaited;
                None
            }
            Notice::Failed { alive: true, .. } | Notice::Doubted => Some(Vec::new()),
            Notice::Changed(frame) => Some(if frame.event == SubscriptionEvent::Delete {
                frame.keys()
            } else {
                frame.rows().iter().filter_map(|row| row.get(&key.1).and_then(Key::from_value)).collect()
            }),
        };
        let after = group.feed();
        let members = group.members.clone();
        for id in members {
            if after != before {
                // Announced now, to somebody who was live without: nobody told what happened before.
                let is_news = self.join(id) || (before == Feed::Partial && after == Feed::Up);
                let is_in_doubt = self.feed(now, id);
                if is_news
                    && !is_in_doubt
                    && let Some(member) = self.queries.get_mut(&id)
                {
                    member.live.suspect(now, &[]);
                }
            }
            // A change in a collection that is only watched says nothing of the query's own keys.
            let Some(keys) = &hint else { continue };
            if let Some(member) = self.queries.get_mut(&id) {
                let tells = member.is_own(&key) && !member.shows_itself;
                member.live.hint(now, if tells { keys } else { &[] });
            }
        }
    }

    /// Tells a query what its collections' announcements add up to. Whether that is something else than before: then
    /// everything is in doubt anyway.
    fn feed(&mut self, now: Millis, id: QueryId) -> bool {
        let Some(member) = self.queries.get_mut(&id) else { return false };
        let mut feed = Feed::Up;
        for (key, tie) in &member.groups {
            match (self.groups.get(key).map_or(Feed::Down, Group::feed), tie) {
                (_, Tie::Joining) | (Feed::Up, _) | (Feed::Partial, Tie::Found) => {}
                (Feed::Down, _) => feed = Feed::Down,
                (Feed::Partial, Tie::Asked) if feed == Feed::Up => feed = Feed::Partial,
                (Feed::Partial, Tie::Asked) => {}
            }
        }
        if feed == Feed::Down {
            // What it waits for now, it may as well wait for together.
            member.bind();
        }
        // What is found and not announced shows with the next read of all, and not with one of keys.
        let hears_all =
            member.groups.iter().all(|(key, _)| self.groups.get(key).is_some_and(|group| !group.is_refused()));
        member.live.set_stands_alone(member.leads_elsewhere.map(|elsewhere| elsewhere && hears_all));
        let is_other = std::mem::replace(&mut member.fed, feed) != feed;
        member.live.feed(now, feed);
        is_other
    }
}

/// Lets a query know what the state of the connection means for its rows.
fn tell(status: &ConnectionStatus, live: &mut LiveQuery, now: Millis) {
    if matches!(
        status,
        ConnectionStatus::Reconnecting { .. } | ConnectionStatus::NeedsAuth { .. } | ConnectionStatus::Closed
    ) {
        live.unfed(now);
    }
}

#[cfg(test)]
mod tests;
