//! Page, network and Directus together, in virtual time; and what must hold at every moment.

mod own;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt::{self, Write as _},
    time::Duration,
};

use leptos_directus::{
    ConnectionStatus, Error, Key, LiveStatus, Page,
    connection::{ConnectionConfig, Millis, Notice, SubscriptionSpec, Wake},
    engine::{Engine, Output, QueryId, QuerySpec, StreamId},
    live::{self, LiveConfig, NewRows, ReadId, ReadScope, WindowShape, WriteId},
    protocol::{ClientMessage, EventKind, Leads, ServerMessage, SubscriptionEvent},
};
use serde_json::{Value, json};

use self::own::{Desk, List, Request};
use super::{
    clock::Agenda,
    database::{Collection, Database, Field, Right, Who},
    directus::{Announcement, Answer, Directus, FRAMES_A_SECOND, Subscription},
    script::{First, Odd, Opening, Reading},
    shapes::{Shape, shape},
    view::View,
};

/// A link that is dead, or half-open, shows as such within this time.
const NOTICED: Millis = 20_000;

/// A subscription that is not answered by then is done without.
const ACKNOWLEDGED: Millis = 10_000;

#[derive(Debug)]
enum Event {
    Opens(u64),
    Arrives(u64, ClientMessage),
    Executes(u64, ClientMessage),
    /// A subscription whose rows were read a moment ago (hazard H1).
    Registers(u64, ServerMessage, Subscription),
    Delivers(u64, Packet),
    Dispatches(Announcement),
    /// A transaction ends, and with it these rows are changed.
    Commits(Collection, Vec<Value>, Field, u8),
    Storms(Storm),
    Gone(u64),
    Reads(Flight),
    Replies(Flight, Result<Page<Value>, Error>),
    Heartbeat,
    /// An echo of a socket that the page has given up.
    Echo(u64),
    /// It is found out where the query's relations lead.
    Finds(QueryId),
    // What the page writes itself, and who it asks for.
    Writes(Request),
    Written(WriteId, Result<Value, Error>),
    Looks(Request),
    Looked(WriteId, Result<Option<Value>, Error>),
    Found(Result<live::Who, Error>),
    LoggedIn(u64),
}

#[derive(Clone, Debug)]
enum Packet {
    Frame(ServerMessage),
    Unreadable,
    Closed(&'static str),
}

/// Events that follow one another within a second.
#[derive(Clone, Copy, Debug)]
struct Storm {
    at: Collection,
    since: Millis,
    events: u16,
    /// So many were before.
    number: u16,
}

/// A read on its way.
#[derive(Clone, Debug)]
struct Flight {
    query: QueryId,
    read: ReadId,
    scope: ReadScope,
    who: Who,
    sent: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Socket {
    None,
    Opening(u64),
    Open(u64),
}

/// The wire of one socket: frames keep their order.
#[derive(Debug, Default)]
struct Wire {
    up: Millis,
    down: Millis,
    half_open: bool,
    /// What was announced over it when it became half open.
    announced: Vec<Collection>,
    cut: bool,
}

/// What the page holds of one live query.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) shape: Shape,
    /// Windows of no more rows are read whole.
    small: usize,
    pub(crate) view: View,
    /// The same rows with the page's own writes over them.
    list: List,
    pub(crate) held: bool,
    /// The one read that counts.
    flight: Option<ReadId>,
    /// When it was sent, how often Directus had acknowledged something by then, and how many of the page's writes were done.
    sent: (Millis, u64),
    confirmed: u64,
    scope: ReadScope,
    last_read: Option<ReadId>,
    /// The link died without saying so, and may have taken a read with it.
    distrusts: bool,
    /// The server asked for a pause until then.
    pause: Millis,
    /// Why a read may be made: each hint, each answer of the socket, each wish.
    allowed: u64,
    /// While a read is on its way, all hints together are one reason for another one.
    hinted: bool,
    pub(crate) reads: u64,
    born: Millis,
    /// Something changed that nobody told: only a read for another reason shows it.
    pub(crate) untold: bool,
    /// Something changed that the next event will tell.
    pub(crate) hushed: bool,
    /// What is shown was read for the visitor before.
    of_another: bool,
}

impl Watched {
    /// Whether each hint reads all of it, where the table has so many rows.
    fn is_short(&self, rows: usize) -> bool {
        rows.max(self.view.shown().len()) <= self.small
    }
}

/// A stream of raw events.
#[derive(Debug)]
struct Stream {
    collection: Collection,
    refused: bool,
}

/// Why the engine was called: decides what it may put out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    Good(QueryId),
    Refusal(QueryId),
    Failure(QueryId),
    Dropped(QueryId),
    Frame,
    Other,
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    engine: Engine,
    agenda: Agenda<Event>,
    random: fastrand::Rng,
    pub(crate) directus: Directus,
    before: Database,
    /// Whose the session is.
    pub(crate) who: Who,
    desk: Desk,
    socket: Socket,
    wires: BTreeMap<u64, Wire>,
    pub(crate) slow: Millis,
    pub(crate) opening: Opening,
    pub(crate) reading: Reading,
    /// How often Directus acknowledged a subscription, or refused one, or a whole socket was given up because it did neither: the
    /// second in a row is as good as a refusal.
    acknowledged: u64,
    twice: u32,
    /// Directus took fewer frames than usual, or the link was slow, once.
    pub(crate) limited: bool,
    /// Subscriptions that were asked for over this socket and are not answered, and when; and whether one was asked for again meanwhile: an
    /// error for it may be its refusal, or an event's.
    unanswered: HashMap<String, Millis>,
    is_asked_twice: bool,
    asleep_until: Millis,
    status: ConnectionStatus,
    /// When the socket was last seen to be good, and since when it is.
    good_at: Millis,
    good_since: Option<Millis>,
    sent: VecDeque<Millis>,
    pub(crate) watched: BTreeMap<QueryId, Watched>,
    pub(crate) slots: BTreeMap<u8, QueryId>,
    streams: BTreeMap<StreamId, Stream>,
    /// The queries that have ended, and when.
    gone: HashMap<QueryId, Millis>,
    next: u64,
    pub(crate) disconnected: bool,
    pub(crate) held_open: bool,
    /// Calls of the engine so far.
    pub(crate) steps: u64,
    pub(crate) rows_written: u64,
    /// When all is shown that a transaction announced before it waited, and the last storm is over.
    pub(crate) settles_at: Millis,
    /// Tags that were written to since the last check; and the one that was put elsewhere by hand, if nothing else happened
    /// to it.
    touched: HashSet<Value>,
    sorted: Option<Value>,
    pub(crate) all_reads: u64,
    pub(crate) key_reads: u64,
    log: VecDeque<String>,
    logs: bool,
}

type Verdict = Result<(), String>;

/// Where the relations lead of the queries that name one: not back to the articles.
fn to_authors() -> Leads {
    Leads { to: [Collection::Authors.name().to_owned()].into(), is_all: true }
}

impl World {
    pub(crate) fn new(seed: u64, logs: bool) -> Self {
        let connection = ConnectionConfig { subscribes_per_second: 9, seed, ..ConnectionConfig::default() };
        let mut world = Self {
            now: 1_000_000,
            engine: Engine::new(connection),
            agenda: Agenda::default(),
            random: fastrand::Rng::with_seed(seed),
            // Of its own: what is written does not change what befalls the rest.
            desk: Desk::new(&mut fastrand::Rng::with_seed(!seed)),
            directus: Directus::default(),
            before: Database::default(),
            who: 1,
            socket: Socket::None,
            wires: BTreeMap::new(),
            slow: 0,
            opening: Opening::Works,
            reading: Reading::Works,
            acknowledged: 0,
            twice: 0,
            limited: false,
            unanswered: HashMap::new(),
            is_asked_twice: false,
            asleep_until: 0,
            status: ConnectionStatus::Idle,
            good_at: 0,
            good_since: None,
            sent: VecDeque::new(),
            watched: BTreeMap::new(),
            slots: BTreeMap::new(),
            streams: BTreeMap::new(),
            gone: HashMap::new(),
            next: 0,
            disconnected: false,
            held_open: false,
            steps: 0,
            rows_written: 0,
            settles_at: 0,
            touched: HashSet::new(),
            sorted: None,
            all_reads: 0,
            key_reads: 0,
            log: VecDeque::new(),
            logs,
        };
        let many = [0, 9, 24][world.random.usize(0..3)];
        for (collection, rows) in [
            (Collection::Authors, 2),
            (Collection::Articles, 5 + many),
            (Collection::Tags, 3 + many / 2),
            (Collection::Notes, 3 + many / 2),
        ] {
            for kind in 0..rows {
                world.directus.database.insert(collection, kind, None);
            }
        }
        world.before = world.directus.database.clone();
        world.agenda.plan(world.now + 30_000, Event::Heartbeat);
        world
    }

    /// The last lines of what happened.
    pub(crate) fn log(&self) -> String {
        self.log.iter().fold(String::new(), |text, line| text + "\n      " + line)
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.logs {
            if self.log.len() > 120 {
                self.log.pop_front();
            }
            let line = format!("{:>9.3} s  {}", (self.now - 1_000_000) as f64 / 1_000.0, line());
            self.log.push_back(line);
        }
    }

    fn upto(&mut self, millis: u64) -> Millis {
        self.random.u64(0..=millis)
    }

    // Time.

    /// Lets time pass.
    pub(crate) fn pass(&mut self, millis: Millis) -> Verdict {
        let until = self.now + millis;
        let mut at_once = 0;
        loop {
            let due = self.agenda.due();
            let deadlines = [self.engine.deadline(), self.desk.outbox.deadline()];
            let deadline = deadlines.into_iter().flatten().min().map(|at| at.max(self.now).max(self.asleep_until));
            let ticks = deadline.is_some_and(|at| due.is_none_or(|due| at <= due));
            let Some(next) = (if ticks { deadline } else { due }).filter(|at| *at <= until) else { break };
            // Frames come as they come: after a sleep, a storm's in one instant.
            let comes = !ticks && self.agenda.next().is_some_and(|event| matches!(event, Event::Delivers(..)));
            at_once = if next > self.now { 0 } else { at_once + u32::from(!comes) };
            if at_once > 2_000 {
                return Err("the engine wants to be called again and again, and time stands still".to_owned());
            }
            self.now = self.now.max(next);
            if ticks {
                self.engine.tick(self.now);
                self.desk.outbox.tick(self.now);
                self.drain(Cause::Other)?;
            } else if let Some(event) = self.agenda.pop() {
                self.happens(event)?;
            }
            self.is_true()?;
        }
        self.now = until;
        self.is_true()
    }

    /// What must hold at every moment.
    fn is_true(&mut self) -> Verdict {
        let is_good = match self.socket {
            Socket::Open(number) => {
                self.directus.peers.contains_key(&number)
                    && self.wires.get(&number).is_some_and(|wire| !wire.half_open && !wire.cut)
            }
            _ => false,
        };
        if is_good {
            self.good_at = self.now;
        }
        // What a slow link says is true, and late.
        if is_good && self.slow == 0 {
            self.good_since.get_or_insert(self.now);
        } else {
            self.good_since = None;
        }
        self.expect_cuts();
        if self.asleep_until > self.now {
            return Ok(());
        }
        if self.asleep_until + NOTICED < self.now
            && self.good_at + NOTICED < self.now
            && let Some((id, _)) = self.watched.iter().find(|(_, watched)| watched.view.status == LiveStatus::Live)
        {
            return Err(format!("{id:?} is said to be live, and the link is dead for long"));
        }
        if self.status.is_connected() != matches!(self.socket, Socket::Open(_)) {
            return Err(format!("the status is {:?}, the socket {:?}", self.status, self.socket));
        }
        if self.disconnected && self.status != ConnectionStatus::Closed {
            return Err(format!("the app has disconnected, the status is {:?}", self.status));
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) -> Verdict {
        let is_for_the_page = matches!(
            event,
            Event::Opens(_)
                | Event::Delivers(..)
                | Event::Replies(..)
                | Event::Echo(_)
                | Event::Written(..)
                | Event::Looked(..)
                | Event::Found(_)
                | Event::LoggedIn(_)
        );
        if is_for_the_page && self.now < self.asleep_until {
            self.agenda.plan(self.asleep_until, event);
            return Ok(());
        }
        match event {
            Event::Opens(number) => self.opens(number),
            Event::Arrives(number, message) => {
                if let Some(refusal) = self.directus.arrives(self.now, number) {
                    self.note(|| "Directus drops a frame: too many".to_owned());
                    // A link that was slow may bring at once what was sent in seconds.
                    if !self.limited {
                        return Err("more frames reach Directus in a second than it takes".to_owned());
                    }
                    self.push(number, Packet::Frame(refusal));
                    return Ok(());
                }
                // An unsubscribe overtakes a subscribe that was sent before it.
                let delay = if matches!(message, ClientMessage::Subscribe { .. }) { self.upto(30) } else { 0 };
                self.agenda.plan(self.now + delay, Event::Executes(number, message));
                Ok(())
            }
            Event::Executes(number, message) => {
                match self.directus.executes(self.now, number, &message)? {
                    Answer::Nothing => {}
                    Answer::Now(frame) => self.push(number, Packet::Frame(frame)),
                    Answer::Later(frame, subscription) => {
                        let gap = self.upto(80);
                        self.agenda.plan(self.now + gap, Event::Registers(number, frame, subscription));
                    }
                }
                Ok(())
            }
            Event::Registers(number, frame, subscription) => {
                self.directus.registers(self.now, number, subscription);
                self.push(number, Packet::Frame(frame));
                Ok(())
            }
            Event::Delivers(number, packet) => self.delivers(number, packet),
            Event::Dispatches(announcement) => {
                self.note(|| format!("Directus tells {:?} {:?}", announcement.event, announcement.keys));
                for (number, frame) in self.directus.dispatches(&announcement) {
                    self.push(number, Packet::Frame(frame));
                }
                Ok(())
            }
            Event::Commits(collection, keys, field, kind) => {
                self.note(|| format!("the batch ends: {keys:?}"));
                self.remember();
                // Of a row that is gone by then nobody is told, and that was to be the event that ends the batch.
                let is_there = |key: &Value| self.directus.database.version_of(collection, key).is_some();
                let told = keys.last().is_some_and(is_there);
                self.mark(collection, EventKind::Update, &keys, told);
                for (n, key) in (0..).zip(&keys) {
                    self.directus.database.update(collection, key, field, kind.wrapping_add(n));
                }
                Ok(())
            }
            Event::Storms(storm) => {
                self.storms(storm);
                Ok(())
            }
            Event::Finds(id) => {
                self.note(|| format!("{id:?} is found to lead to the authors"));
                if let Some(watched) = self.watched.get_mut(&id) {
                    watched.allowed += 2;
                }
                self.engine.find(self.now, id, &to_authors());
                self.drain(Cause::Other)
            }
            Event::Gone(number) => {
                self.directus.peers.remove(&number);
                Ok(())
            }
            Event::Reads(flight) => {
                let Some(watched) = self.watched.get(&flight.query) else { return Ok(()) };
                let shape = &watched.shape;
                let query = flight.scope.query(&shape.query, shape.collection.key_field()).to_json();
                let result = self.directus.database.read(flight.who, shape.collection, &query);
                let delay = match self.reading {
                    Reading::Late => self.upto(4_000),
                    _ => self.upto(150),
                };
                self.agenda.plan(self.now + delay, Event::Replies(flight, result));
                Ok(())
            }
            Event::Replies(flight, result) => self.replies(&flight, result),
            Event::Writes(request) => self.own_arrives(&request),
            Event::Written(write, answer) => self.own_written(write, answer),
            Event::Looks(request) => self.own_looked_for(&request),
            Event::Looked(write, found) => self.own_looked(write, found),
            Event::Found(who) => self.own_found(&who),
            Event::LoggedIn(number) => self.logged_in(Some(number)),
            Event::Heartbeat => {
                let (silent, alive) = self.directus.heartbeat();
                for number in silent {
                    self.push(number, Packet::Closed("no sign of life"));
                }
                for number in alive {
                    let ping = serde_json::from_value(json!({ "type": "ping" })).expect("a ping is a frame");
                    self.push(number, Packet::Frame(ping));
                }
                self.agenda.plan(self.now + 30_000, Event::Heartbeat);
                Ok(())
            }
            Event::Echo(number) => {
                if self.socket != Socket::Open(number) && self.socket != Socket::Opening(number) {
                    self.engine.closed(self.now, number, "an echo");
                    (self.is_asked_twice, self.unanswered) = (false, HashMap::new());
                    self.engine.opened(self.now, number);
                    self.engine.refused(self.now, number, &Error::network("an echo"));
                    self.drain(Cause::Other)?;
                }
                Ok(())
            }
        }
    }

    // The network.

    fn opens(&mut self, number: u64) -> Verdict {
        if self.socket != Socket::Opening(number) {
            return Ok(());
        }
        let failure = match self.opening {
            Opening::Works => {
                self.note(|| format!("socket {number} opens"));
                self.directus.accept(self.now, number, self.who);
                self.wires.insert(number, Wire::default());
                self.socket = Socket::Open(number);
                self.sent.clear();
                self.good_at = self.now;
                self.watched.values_mut().for_each(|watched| watched.allowed += 3);
                (self.is_asked_twice, self.unanswered) = (false, HashMap::new());
                self.engine.opened(self.now, number);
                return self.drain(Cause::Other);
            }
            Opening::Hangs => return Ok(()),
            Opening::Fails => Error::network("nobody is there"),
            Opening::Busy => {
                Error::answer(503, "SERVICE_UNAVAILABLE", "busy").with_retry_after(Some(Duration::from_secs(5)))
            }
            Opening::Unauthorized => Error::answer(401, "INVALID_CREDENTIALS", "who are you?"),
        };
        self.note(|| format!("socket {number} does not open: {failure}"));
        self.socket = Socket::None;
        self.engine.refused(self.now, number, &failure);
        self.drain(Cause::Other)
    }

    /// Directus sends something.
    fn push(&mut self, number: u64, packet: Packet) {
        let (delay, slow) = (self.upto(40), self.slow);
        let slow = if slow > 0 { self.random.u64(slow / 2..=slow) } else { 0 };
        let again = self.twice > 0;
        self.twice = self.twice.saturating_sub(1);
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| !wire.half_open && !wire.cut) else {
            return;
        };
        wire.down = wire.down.max(self.now + delay + slow);
        if again && matches!(packet, Packet::Frame(_)) {
            self.agenda.plan(wire.down, Event::Delivers(number, packet.clone()));
        }
        self.agenda.plan(wire.down, Event::Delivers(number, packet));
    }

    fn delivers(&mut self, number: u64, packet: Packet) -> Verdict {
        let is_closed = matches!(packet, Packet::Closed(_));
        if self.socket != Socket::Open(number)
            || self.wires.get(&number).is_some_and(|wire| wire.half_open || (wire.cut && !is_closed))
        {
            return Ok(());
        }
        match packet {
            Packet::Frame(frame) => {
                self.note(|| format!("<- {}", serde_json::to_string(&frame).unwrap_or_default()));
                let is_change = matches!(frame, ServerMessage::Subscription(_) | ServerMessage::Error(_));
                if is_change {
                    for watched in self.watched.values_mut() {
                        let is_another = watched.flight.is_none() || !std::mem::replace(&mut watched.hinted, true);
                        watched.allowed += u64::from(is_another);
                    }
                }
                if let Ok(frame) = serde_json::to_value(&frame)
                    && (frame["event"] == "init" || frame["type"] == "subscribe")
                {
                    self.acknowledged += 1;
                    if let Some(uid) = frame["uid"].as_str() {
                        self.unanswered.remove(uid);
                    }
                }
                self.engine.frame(self.now, frame);
                self.drain(Cause::Frame)
            }
            Packet::Unreadable => {
                self.engine.unreadable(self.now);
                self.drain(Cause::Other)
            }
            Packet::Closed(reason) => {
                self.note(|| format!("socket {number} is closed: {reason}"));
                self.socket = Socket::None;
                self.engine.closed(self.now, number, reason);
                self.drain(Cause::Other)
            }
        }
    }

    pub(crate) fn cut(&mut self, reason: &'static str) {
        if let Socket::Open(number) = self.socket {
            self.directus.peers.remove(&number);
            let delay = self.upto(50);
            if let Some(wire) = self.wires.get_mut(&number).filter(|wire| !wire.half_open) {
                wire.cut = true;
                self.agenda.plan(self.now + delay, Event::Delivers(number, Packet::Closed(reason)));
            }
        }
    }

    pub(crate) fn half_open(&mut self) {
        if let Socket::Open(number) = self.socket
            && let Some(wire) = self.wires.get_mut(&number)
            && !std::mem::replace(&mut wire.half_open, true)
        {
            let all = [Collection::Articles, Collection::Tags, Collection::Notes, Collection::Authors];
            wire.announced = all.into_iter().filter(|of| self.directus.announces(number, *of)).collect();
        }
    }

    pub(crate) fn odd(&mut self, odd: Odd) {
        let Socket::Open(number) = self.socket else { return };
        let peer = self.directus.peers.get(&number);
        let known = peer.and_then(|peer| peer.subscriptions.first()).map(|known| known.name().to_owned());
        let mut push = |value: Value| {
            let frame = serde_json::from_value(value).expect("it is a frame");
            self.push(number, Packet::Frame(frame));
        };
        match odd {
            Odd::Twice => self.twice = 4,
            Odd::Unknown => push(json!({ "type": "weather", "data": [1] })),
            Odd::Stray => {
                for uid in ["nobody", "articles:update#999999", "#", ""] {
                    push(
                        json!({ "type": "subscription", "event": "update", "data": [{ "id": 8, "v": 0 }], "uid": uid }),
                    );
                    push(json!({ "type": "subscription", "event": "init", "uid": uid }));
                }
                push(json!({ "type": "subscription", "event": "delete", "data": [8] }));
            }
            Odd::Empty => {
                if let Some(uid) = known {
                    push(json!({ "type": "subscription", "event": "update", "data": [], "uid": uid }));
                    push(json!({ "type": "subscription", "event": "delete", "data": [null, {}], "uid": uid }));
                    push(json!({ "type": "subscription", "event": "update", "uid": uid }));
                }
            }
            Odd::Error => push(json!({
                "type": "server", "status": "error", "error": { "code": "INVALID_PAYLOAD", "message": "what?" }
            })),
            Odd::Unreadable => self.push(number, Packet::Unreadable),
        }
    }

    /// All faults end. What was lost before stays lost.
    pub(crate) fn mend(&mut self) {
        (self.slow, self.opening, self.reading, self.twice) = (0, Opening::Works, Reading::Works, 0);
        self.directus.refuses = false;
        self.mend_writing();
    }

    // Reads.

    fn read(&mut self, query: QueryId, read: ReadId, scope: ReadScope) -> Verdict {
        let Some(watched) = self.watched.get_mut(&query) else { return self.is_just_gone(query) };
        let (sent, by_then) = std::mem::replace(&mut watched.sent, (self.now, self.acknowledged));
        watched.hinted = false;
        (watched.confirmed, watched.scope, watched.last_read) =
            (self.desk.outbox.confirmed(), scope.clone(), Some(read));
        if let Some(flight) = watched.flight.replace(read) {
            // One that was lost with its link, as far as anybody knows, is given up when the new one is acknowledged.
            let may_be_lost = self.now >= sent + 1_000 || std::mem::take(&mut watched.distrusts);
            // Where one is not answered at all, the query does without it.
            let is_given_up = self.unanswered.values().any(|asked| self.now >= asked + ACKNOWLEDGED);
            if by_then == self.acknowledged && !is_given_up || !may_be_lost {
                return Err(format!("{query:?} reads {read:?} while {flight:?} is on its way"));
            }
            watched.allowed += 1;
        }
        if self.now < watched.pause {
            return Err(format!("{query:?} is read, and the server asked for a pause"));
        }
        if let ReadScope::Keys(keys) = &scope
            && keys.is_empty()
        {
            return Err(format!("{query:?} reads no keys at all"));
        }
        watched.reads += 1;
        self.all_reads += 1;
        self.key_reads += u64::from(matches!(scope, ReadScope::Keys(_)));
        let every = watched.shape.revalidate.unwrap_or(30).min(30) * 1_000;
        let allowed = 2 * (watched.allowed + (self.now - watched.born) / every) + 4;
        if watched.reads > allowed {
            return Err(format!(
                "{query:?} reads for the {}th time, and there was reason for {allowed}",
                watched.reads
            ));
        }
        self.note(|| format!("{query:?} reads {read:?} {scope:?}"));
        let flight = Flight { query, read, scope, who: self.who, sent: self.now };
        let there = self.upto(150);
        let after = |seconds| Some(Duration::from_secs(seconds));
        let failure = match self.reading {
            Reading::Works => None,
            Reading::Late => {
                let late = self.upto(4_000);
                self.agenda.plan(self.now + late, Event::Reads(flight));
                return Ok(());
            }
            Reading::Lost => Some((15_000, Error::timeout("reading"))),
            Reading::Unanswered => Some((100, Error::network("cut off"))),
            Reading::Busy => {
                Some((40, Error::answer(503, "SERVICE_UNAVAILABLE", "under pressure").with_retry_after(after(7))))
            }
            Reading::Limited => {
                Some((40, Error::answer(429, "REQUESTS_EXCEEDED", "slower").with_retry_after(after(2))))
            }
            Reading::Invalid => Some((40, Error::answer(400, "INVALID_QUERY", "what?"))),
        };
        match failure {
            None => self.agenda.plan(self.now + there, Event::Reads(flight)),
            Some((delay, error)) => self.agenda.plan(self.now + delay, Event::Replies(flight, Err(error))),
        }
        Ok(())
    }

    fn replies(&mut self, flight: &Flight, result: Result<Page<Value>, Error>) -> Verdict {
        let id = flight.query;
        let mut cause = match &result {
            Ok(_) => Cause::Good(id),
            Err(error) if matches!(error.status(), Some(401 | 403)) => Cause::Refusal(id),
            Err(_) => Cause::Failure(id),
        };
        match self.watched.get_mut(&id) {
            Some(watched) if watched.flight == Some(flight.read) => {
                watched.flight = None;
                let pause = result.as_ref().err().and_then(Error::retry_after).unwrap_or_default();
                watched.pause = self.now + u64::try_from(pause.as_millis()).expect("it is short");
                if cause != Cause::Good(id) {
                    watched.allowed += 1;
                }
            }
            _ => cause = Cause::Dropped(id),
        }
        self.note(|| match &result {
            Ok(page) => format!("{id:?} {:?} is answered: {} rows", flight.read, page.items.len()),
            Err(error) => format!("{id:?} {:?} fails: {error}", flight.read),
        });
        self.engine.reply(self.now, id, flight.read, result);
        self.covered(cause, flight)?;
        self.drain(cause)?;
        match self.watched.get(&id) {
            Some(watched) if cause == Cause::Refusal(id) => {
                if !watched.view.is_empty() || watched.view.status != LiveStatus::Refused {
                    return Err(format!("{id:?} is refused and still shows {} rows", watched.view.shown().len()));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nobody is told to be live by a read that was sent before everything was announced.
    fn covered(&mut self, cause: Cause, flight: &Flight) -> Verdict {
        let (Cause::Good(_), Socket::Open(number), Some(watched)) =
            (cause, self.socket, self.watched.get(&flight.query))
        else {
            return Ok(());
        };
        let was_live = watched.view.status == LiveStatus::Live;
        let Some(peer) = self.directus.peers.get(&number) else { return Ok(()) };
        let mut needed = watched.shape.watch();
        needed.push(watched.shape.collection);
        let is_covered = needed.iter().all(|collection| {
            EventKind::ALL.iter().all(|event| {
                peer.subscriptions.iter().any(|known| {
                    known.collection == *collection && known.event == Some(*event) && known.since <= flight.sent
                })
            })
        });
        // That one of them was refused when it was asked for once more is heard by nobody over a link that has died unnoticed.
        let deaf = self.wires.get(&number).filter(|wire| wire.half_open);
        let is_past_knowing = deaf.is_some_and(|wire| needed.iter().all(|of| wire.announced.contains(of)));
        if was_live || is_covered || is_past_knowing {
            return Ok(());
        }
        // Its status is among the outputs that come now.
        let mut outputs = Vec::new();
        while let Some(output) = self.engine.next_output() {
            if matches!(&output, Output::Live(id, live::Output::Status(LiveStatus::Live, _)) if *id == flight.query) {
                return Err(format!("{:?} is said to be live by a read from before the announcements", flight.query));
            }
            outputs.push(output);
        }
        outputs.into_iter().try_for_each(|output| self.output(output, cause))
    }

    /// What is on its way is for somebody else.
    fn forget_flights(&mut self) {
        for watched in self.watched.values_mut() {
            (watched.flight, watched.pause) = (None, 0);
            watched.allowed += 1;
        }
    }

    // The page.

    fn drain(&mut self, cause: Cause) -> Verdict {
        self.steps += 1;
        loop {
            self.outbox_outputs()?;
            let Some(output) = self.engine.next_output() else { break };
            self.output(output, cause)?;
        }
        Ok(())
    }

    /// Does what the page wants done.
    fn settle(&mut self) -> Verdict {
        self.drain(Cause::Other)
    }

    fn output(&mut self, output: Output, cause: Cause) -> Verdict {
        match output {
            Output::Open(number) => {
                if self.disconnected {
                    return Err("a socket is opened after the app has disconnected".to_owned());
                }
                self.give_up_socket();
                self.socket = Socket::Opening(number);
                let delay = 5 + self.upto(60);
                self.agenda.plan(self.now + delay, Event::Opens(number));
            }
            Output::Close => self.give_up_socket(),
            Output::Silent => self.watched.values_mut().for_each(|watched| watched.distrusts = true),
            Output::Send(message) => self.send(message)?,
            Output::Status(status) => {
                self.note(|| format!("status: {status:?}"));
                self.own_status(&status);
                let is_unanswered = |status: &ConnectionStatus| matches!(status, ConnectionStatus::Reconnecting { reason, .. } if reason.contains("acknowledge"));
                self.acknowledged += u64::from(is_unanswered(&status) && !is_unanswered(&self.status));
                self.status = status;
            }
            Output::IdentityInDoubt => {
                self.forget_flights();
                self.own_identity(None);
            }
            Output::Read(query, read, scope) => self.read(query, read, scope)?,
            Output::Live(id, output) => {
                self.note(|| format!("{id:?}: {output:?}"));
                let Some(watched) = self.watched.get_mut(&id) else { return self.is_just_gone(id) };
                if cause == Cause::Dropped(id) {
                    return Err(format!("{id:?} takes a reply that is no longer wanted: {output:?}"));
                }
                match &output {
                    live::Output::Rows(changes) => {
                        watched.list.server(changes).map_err(|what| format!("{id:?}: {what}"))?;
                    }
                    live::Output::Shown(read) => return self.own_shown(id, *read),
                    _ => {}
                }
                let before = watched.view.is_empty();
                let is_blank = !matches!(cause, Cause::Good(_) | Cause::Refusal(_) | Cause::Frame);
                watched.view.apply(self.now, output, &self.directus.database.deaths)?;
                // Rows of another visitor may leave by a read that fails.
                if is_blank && !before && watched.view.is_empty() && !watched.of_another {
                    return Err(format!("{id:?} goes blank by {cause:?}"));
                }
            }
            Output::Expired(id) => {
                let is_held = self.watched.get(&id).is_some_and(|watched| watched.held);
                if is_held {
                    return Err(format!("{id:?} is held and expires"));
                }
                self.detach(id)?;
            }
            Output::Stream(id, notice) => {
                let Some(stream) = self.streams.get_mut(&id) else { return Err(format!("{id:?} was ended and hears")) };
                match notice {
                    Notice::Acknowledged(_) | Notice::Lost => stream.refused = false,
                    Notice::Failed { alive, .. } => stream.refused |= !alive,
                    Notice::Doubted => {}
                    Notice::Changed(frame) => {
                        let key_field = stream.collection.key_field();
                        let is_delete = frame.event == SubscriptionEvent::Delete;
                        if !is_delete && frame.rows().iter().any(|row| row.get(key_field).is_none()) {
                            return Err(format!("{id:?} hears of another collection"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What the engine wanted in the moment in which a query ended is of no account.
    fn is_just_gone(&self, id: QueryId) -> Verdict {
        if self.gone.get(&id) == Some(&self.now) { Ok(()) } else { Err(format!("{id:?} has ended and goes on")) }
    }

    fn give_up_socket(&mut self) {
        if let Socket::Open(number) | Socket::Opening(number) = self.socket {
            let delay = self.upto(60);
            if self.wires.get(&number).is_none_or(|wire| !wire.half_open) {
                self.agenda.plan(self.now + delay, Event::Gone(number));
            }
            if let Some(wire) = self.wires.get_mut(&number) {
                wire.cut = true;
            }
            let delay = self.upto(3_000);
            self.agenda.plan(self.now + delay, Event::Echo(number));
        }
        self.socket = Socket::None;
    }

    fn send(&mut self, message: ClientMessage) -> Verdict {
        let Socket::Open(number) = self.socket else { return Err(format!("{message:?} is sent without a socket")) };
        self.note(|| format!("-> {}", serde_json::to_string(&message).unwrap_or_default()));
        if let ClientMessage::Subscribe { uid: Some(uid), .. } = &message {
            self.is_asked_twice |= self.unanswered.insert(uid.as_str().to_owned(), self.now).is_some();
        }
        while self.sent.front().is_some_and(|at| at + 1_000 <= self.now) {
            self.sent.pop_front();
        }
        self.sent.push_back(self.now);
        if self.sent.len() > FRAMES_A_SECOND {
            return Err(format!("{} frames are sent within a second", self.sent.len()));
        }
        let (delay, slow) = (self.upto(40), self.slow);
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| !wire.half_open && !wire.cut) else {
            return Ok(());
        };
        wire.up = wire.up.max(self.now + delay + slow);
        self.agenda.plan(wire.up, Event::Arrives(number, message));
        Ok(())
    }

    // What the app wants.

    pub(crate) fn attach(&mut self, slot: u8, number: u8, first: First) -> Verdict {
        self.attach_shape(slot, shape(number), first).map(drop)
    }

    pub(crate) fn attach_shape(&mut self, slot: u8, shape: Shape, first: First) -> Result<QueryId, String> {
        let left = self.slots.get(&slot).copied();
        if let Some(id) = left {
            self.release(id)?;
        }
        let key_field = shape.collection.key_field();
        let query = shape.query.to_json();
        let page = match first {
            First::Nothing => None,
            // HTML is there when a page begins, and what the page itself creates comes later.
            _ if self.is_creating() => None,
            First::Fresh => self.directus.database.read(self.who, shape.collection, &query).ok(),
            First::Old => self.before.read(self.who, shape.collection, &query).ok(),
        };
        self.next += 1;
        let id = QueryId(self.next);
        let small = [0, 0, 0, 2, 50][self.random.usize(0..5)];
        let config = LiveConfig {
            key_field: key_field.to_owned(),
            only_key: shape.only_key.clone(),
            revalidate_every: Some(shape.revalidate.map_or(Duration::MAX, Duration::from_secs)),
            window: WindowShape::of(&shape.query, key_field),
            small,
            keys_at_most: [1, 4, 64][self.random.usize(0..3)],
            seed: self.random.u64(..),
            ..LiveConfig::default()
        };
        let view = View::new(key_field, page.as_ref());
        let is_found_before = shape.finds_authors && self.random.bool();
        let spec = QuerySpec {
            collection: shape.collection.name().to_owned(),
            watch: shape.watch().into_iter().map(|collection| collection.name().to_owned()).collect(),
            found: is_found_before.then(to_authors),
            config,
        };
        if shape.finds_authors && !is_found_before {
            let delay = self.upto(2_000);
            self.agenda.plan(self.now + delay, Event::Finds(id));
        }
        self.note(|| format!("{id:?} is attached: {}", shape.about));
        let new_rows = if self.next.is_multiple_of(2) { NewRows::First } else { NewRows::Last };
        let left = left.and_then(|id| self.watched.get(&id));
        let left = left.filter(|left| left.shape.collection == shape.collection).map(|left| &left.list);
        let list = List::new(key_field, page.as_ref(), left, new_rows);
        let watched = Watched {
            shape,
            small,
            view,
            list,
            held: true,
            flight: None,
            sent: (0, 0),
            confirmed: 0,
            scope: ReadScope::Window,
            last_read: None,
            distrusts: false,
            pause: 0,
            allowed: 2,
            hinted: false,
            reads: 0,
            born: self.now,
            untold: false,
            hushed: false,
            of_another: false,
        };
        self.watched.insert(id, watched);
        self.slots.insert(slot, id);
        self.show_pending(id)?;
        self.engine.attach(self.now, id, spec, page);
        self.drain(Cause::Other)?;
        Ok(id)
    }

    pub(crate) fn release(&mut self, id: QueryId) -> Verdict {
        if let Some(watched) = self.watched.get_mut(&id).filter(|watched| watched.held) {
            watched.held = false;
            self.engine.release(self.now, id);
            self.drain(Cause::Other)?;
        }
        Ok(())
    }

    pub(crate) fn retain(&mut self, id: QueryId) -> Verdict {
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.held = true;
            self.engine.retain(id);
            self.drain(Cause::Other)?;
        }
        Ok(())
    }

    pub(crate) fn detach(&mut self, id: QueryId) -> Verdict {
        self.watched.remove(&id);
        self.gone.insert(id, self.now);
        self.slots.retain(|_, known| *known != id);
        self.engine.detach(self.now, id);
        self.drain(Cause::Other)
    }

    pub(crate) fn refetch(&mut self, id: QueryId) -> Verdict {
        if let Some(watched) = self.watched.get_mut(&id) {
            (watched.allowed, watched.pause) = (watched.allowed + 1, 0);
            self.engine.refetch(self.now, id);
            self.drain(Cause::Other)?;
        }
        Ok(())
    }

    pub(crate) fn stream(&mut self, plain: bool) -> Verdict {
        self.next += 1;
        let collection = Collection::ALL[self.random.usize(0..4)];
        let spec = SubscriptionSpec {
            collection: collection.name().to_owned(),
            event: (!plain).then(|| EventKind::ALL[self.random.usize(0..3)]),
            query: Some(json!({ "fields": [collection.key_field()] })),
            label: "stream".to_owned(),
        };
        self.streams.insert(StreamId(self.next), Stream { collection, refused: false });
        self.engine.subscribe(self.now, StreamId(self.next), spec);
        self.drain(Cause::Other)
    }

    pub(crate) fn end_streams(&mut self) -> Verdict {
        for id in std::mem::take(&mut self.streams).into_keys() {
            self.engine.unsubscribe(self.now, id);
            self.drain(Cause::Other)?;
        }
        Ok(())
    }

    pub(crate) fn connect(&mut self) -> Verdict {
        (self.disconnected, self.held_open) = (false, true);
        self.engine.connect(self.now);
        self.drain(Cause::Other)
    }

    pub(crate) fn disconnect(&mut self) -> Verdict {
        (self.disconnected, self.held_open) = (true, false);
        self.engine.disconnect(self.now);
        self.drain(Cause::Other)
    }

    pub(crate) fn wake(&mut self, wake: Wake) -> Verdict {
        // What nobody told may have been missed: it is looked for.
        let looks = matches!(wake, Wake::Online)
            || matches!(wake, Wake::Visible { hidden } if hidden >= Duration::from_secs(30));
        for watched in self.watched.values_mut() {
            watched.allowed += 1;
            watched.untold &= !(looks && watched.view.status == LiveStatus::Live);
        }
        self.engine.wake(self.now, wake);
        match wake {
            Wake::Offline => {}
            Wake::Visible { hidden } => {
                if hidden >= Duration::from_secs(1) {
                    self.doubt();
                }
                self.desk.outbox.wake(self.now);
            }
            Wake::Online | Wake::Asked => self.desk.outbox.wake(self.now),
        }
        self.drain(Cause::Other)
    }

    /// The machine sleeps: Directus goes on, and nothing reaches the page.
    pub(crate) fn sleep(&mut self, millis: Millis) -> Verdict {
        self.asleep_until = self.now + millis;
        self.pass(millis)
    }

    // What people write.

    /// Announces a write to everybody, or marks the queries that nobody tells.
    pub(crate) fn written(&mut self, collection: Collection, event: EventKind, keys: Vec<Value>, told: bool) {
        self.note(|| format!("{event:?} of {} {keys:?}, told: {told}", collection.name()));
        self.rows_written += keys.len() as u64;
        self.mark(collection, event, &keys, told);
        if told && !keys.is_empty() {
            let delay = 1 + self.upto(300);
            self.announce(self.now + delay, collection, event, keys);
        }
    }

    /// A transaction that announces each of its updates before it ends, and the last one right before. It may have to wait for
    /// another one in its midst.
    pub(crate) fn batch(&mut self, collection: Collection, keys: Vec<Value>, field: Field, kind: u8, waits: bool) {
        if keys.is_empty() {
            return;
        }
        self.note(|| format!("a batch updates {} {keys:?}", collection.name()));
        self.rows_written += keys.len() as u64;
        self.mark(collection, EventKind::Update, &keys, true);
        let mut ends = self.now + 1 + self.upto(200);
        let mut events: Vec<Millis> = keys.iter().map(|_| self.now + self.upto(ends - self.now)).collect();
        events.sort_unstable();
        if waits {
            let wait = 1_000 + self.upto(7_000);
            let goes_on = self.upto(keys.len() as u64) as usize;
            events.iter_mut().skip(goes_on).for_each(|at| *at += wait);
            ends += wait;
            // Who knows no key of it, or hears of others only, reads again ten seconds after they did last.
            self.settles_at = self.settles_at.max(ends + 10_000);
        }
        if let Some(last) = events.last_mut() {
            *last = ends;
        }
        for (at, key) in events.into_iter().zip(&keys) {
            self.announce(at, collection, EventKind::Update, vec![key.clone()]);
        }
        self.agenda.plan(ends, Event::Commits(collection, keys, field, kind));
    }

    fn announce(&mut self, at: Millis, collection: Collection, event: EventKind, keys: Vec<Value>) {
        let as_text = self.random.bool();
        self.agenda.plan(at, Event::Dispatches(Announcement { collection, event, keys, as_text }));
    }

    /// Events one after the other, the last one a second from now.
    pub(crate) fn storm(&mut self, at: Collection, events: u16) {
        self.note(|| format!("a storm of {events} events of {}", at.name()));
        let since = self.now;
        self.settles_at = self.settles_at.max(since + 1_000);
        self.agenda.plan(since, Event::Storms(Storm { at, since, events, number: 0 }));
    }

    /// One of its events, as many creates as deletes among them.
    fn storms(&mut self, storm: Storm) {
        let Storm { at, since, events, number } = storm;
        let (pick, kind) = (self.random.u8(..), self.random.u8(0..24));
        let database = &mut self.directus.database;
        let written = match (number % 10, database.pick(at, pick)) {
            (0, _) => Some((EventKind::Create, database.insert(at, kind, None))),
            (_, None) => None,
            (5, Some(key)) => {
                database.delete(self.now, at, &key);
                Some((EventKind::Delete, key))
            }
            (_, Some(key)) => {
                database.update(at, &key, Field::ALL[self.random.usize(0..Field::ALL.len())], kind);
                Some((EventKind::Update, key))
            }
        };
        if let Some((event, key)) = written {
            self.written(at, event, vec![key], true);
        }
        let number = number + 1;
        if number < events {
            let next = since + 1_000 * u64::from(number) / u64::from(events);
            self.agenda.plan(next, Event::Storms(Storm { number, ..storm }));
        }
    }

    /// A tag is put where another one is; only that one is announced.
    pub(crate) fn sort(&mut self, pick: u8, to: u8) {
        let at = Collection::Tags;
        let database = &mut self.directus.database;
        let (Some(item), Some(to)) = (database.pick(at, pick), database.pick(at, to)) else { return };
        let before = database.rank(at, &item).cloned();
        database.sort(at, &item, &to);
        let is_moved = database.rank(at, &item) != before.as_ref();
        // What shows is that its number changed, and nothing else: then the others may have other numbers, too.
        let shows = is_moved && self.sorted.is_none() && !self.touched.contains(&item);
        let key = Key::from_value(&item);
        let count = database.rows(at).len();
        for watched in self.watched.values_mut().filter(|watched| watched.shape.collection == at) {
            let sort = &watched.shape.query.sort;
            let is_sorted_by = sort.iter().any(|field| field.trim_start_matches('-') == Field::Rank.name());
            let is_there = key.as_ref().is_some_and(|key| watched.view.has(key));
            // Without a sort, nobody but Directus knows the order, and all is read; short lists are in any case.
            let is_told = sort.is_empty() || watched.is_short(count) || shows && is_sorted_by && is_there;
            watched.untold |= !is_told;
        }
        self.written(at, EventKind::Update, vec![item.clone()], true);
        self.sorted = Some(item);
    }

    /// Something else happened to a tag that was put elsewhere: its new number is no longer all that shows.
    fn touch(&mut self, collection: Collection, event: EventKind, keys: &[Value]) {
        if collection != Collection::Tags {
            return;
        }
        if let Some(sorted) = &self.sorted {
            let is_touched = keys.contains(sorted);
            let count = self.directus.database.rows(collection).len();
            let before = if event == EventKind::Create { count.saturating_sub(keys.len()) } else { count };
            for watched in self.watched.values_mut().filter(|watched| watched.shape.collection == collection) {
                let is_short = watched.is_short(count);
                // It may have become too long to be read whole before it was.
                let is_lost = !is_short && (is_touched || watched.is_short(before));
                watched.untold |= is_lost && !watched.shape.query.sort.is_empty();
            }
        }
        self.touched.extend(keys.iter().cloned());
    }

    /// Everything was right a moment ago, and is to be right again at the next check.
    pub(crate) fn begin_anew(&mut self) {
        for watched in self.watched.values_mut() {
            (watched.untold, watched.hushed) = (false, false);
        }
        self.touched.clear();
        self.sorted = None;
    }

    /// Lists that Directus cuts at a number that looks like none are right only when they are read for another reason.
    fn expect_cuts(&mut self) {
        let is_round = |most: usize| most.is_multiple_of(50) || (most >= 64 && most.is_power_of_two());
        let Some(most) = self.directus.database.limit_max.filter(|most| !is_round(*most)) else { return };
        for watched in self.watched.values_mut().filter(|watched| watched.small < most && !watched.untold) {
            let query = watched.shape.query.clone().meta("filter_count").to_json();
            let page = self.directus.database.read(self.who, watched.shape.collection, &query);
            let found = page.ok().and_then(|page| page.meta?["filter_count"].as_u64());
            let is_limited = watched.shape.query.limit.is_some_and(|limit| (0..=most as i64).contains(&limit));
            watched.untold = !is_limited && found.is_some_and(|found| found > most as u64);
        }
    }

    /// Marks the queries that nobody tells.
    fn mark(&mut self, collection: Collection, event: EventKind, keys: &[Value], told: bool) {
        self.touch(collection, event, keys);
        let cascades = collection == Collection::Authors && event == EventKind::Delete;
        let hides = self.directus.database.right(self.who, collection) == Right::Flagged;
        let are_found = match self.socket {
            Socket::Open(number) => self.directus.announces(number, Collection::Authors),
            _ => true,
        };
        for watched in self.watched.values_mut() {
            let shape = &watched.shape;
            let own = shape.collection == collection;
            let related = collection == Collection::Authors && shape.relates();
            let hears_authors = shape.watches_authors || (shape.finds_authors && are_found);
            let hears = own || hears_authors;
            if ((own || related) && (!told || hides || !hears)) || (cascades && !hears_authors) {
                watched.untold = true;
            }
        }
    }

    /// What the next server's HTML may hold: the rows before this write.
    pub(crate) fn remember(&mut self) {
        self.before = self.directus.database.clone();
    }

    pub(crate) fn permit(&mut self, who: Who, at: Collection, right: Right) {
        let before = self.directus.database.right(who, at);
        self.directus.database.set_right(who, at, right);
        self.demote(who);
        if who != self.who || before == right {
            return;
        }
        // Losing all of a collection, and getting it back, shows with the next event; the rest shows with nothing.
        let is_whole = matches!((before, right), (Right::Full, Right::Nothing) | (Right::Nothing, Right::Full));
        for watched in self.watched.values_mut() {
            let own = watched.shape.collection == at;
            if own && is_whole && watched.shape.only_key.is_none() {
                watched.hushed = true;
            } else if own || (at == Collection::Authors && watched.shape.relates()) {
                watched.untold = true;
            }
        }
    }

    pub(crate) fn expire(&mut self) {
        let was = std::mem::replace(&mut self.who, 0);
        self.session_ended();
        if was != 0 && !matches!(self.socket, Socket::Open(_)) {
            // There is no socket that could be told.
            self.watched.values_mut().for_each(|watched| watched.untold = true);
        }
        for (number, frame) in self.directus.expire() {
            self.push(number, Packet::Frame(frame));
        }
    }

    // Judgement.

    /// Since when the socket is good, if it is.
    pub(crate) fn good_since(&self) -> Option<Millis> {
        self.good_since
    }

    pub(crate) fn entries(&self) -> usize {
        self.engine.counts().subscriptions
    }

    /// Whether a query shows what REST answers now; and says so.
    pub(crate) fn is_right(&self, id: QueryId) -> Verdict {
        let Some(watched) = self.watched.get(&id) else { return Ok(()) };
        let (shape, view) = (&watched.shape, &watched.view);
        let rest = self.directus.database.read(self.who, shape.collection, &shape.query.to_json());
        let name = format!("{id:?} ({}), {:?}", shape.about, view.status);
        match rest {
            Ok(page) => {
                let shown = view.shown();
                if shown != page.items.iter().collect::<Vec<_>>() || view.meta != page.meta {
                    let list =
                        |rows: &[&Value]| rows.iter().fold(String::new(), |text, row| format!("{text}\n      {row}"));
                    return Err(format!(
                        "{name} is wrong.\n    shown: {:?} {}\n    REST: {:?} {}",
                        view.meta,
                        list(&shown),
                        page.meta,
                        list(&page.items.iter().collect::<Vec<_>>()),
                    ));
                }
                self.list_is_right(id, &page.items).map_err(|what| format!("{name}: {what}"))?;
                let status = if self.disconnected { LiveStatus::Polling } else { LiveStatus::Live };
                if view.status != status || view.error.is_some() {
                    return Err(format!("{name} is right, and its status should be {status:?}: {:?}", view.error));
                }
            }
            Err(error) => {
                if !view.is_empty() || view.status != LiveStatus::Refused {
                    return Err(format!("{name} shows {} rows, REST says: {error}", view.shown().len()));
                }
                if view.error.is_none() {
                    return Err(format!("{name} does not say why"));
                }
                self.list_is_right(id, &[]).map_err(|what| format!("{name}: {what}"))?;
            }
        }
        Ok(())
    }

    /// Whether Directus has exactly the subscriptions that the engine thinks it has.
    pub(crate) fn subscriptions_are_true(&self) -> Verdict {
        let (Socket::Open(number), Some(_)) = (self.socket, self.good_since) else { return Ok(()) };
        let there = self.directus.peers.get(&number).map_or(0, |peer| peer.subscriptions.len());
        let refused = self.streams.values().filter(|stream| stream.refused).count();
        let thought = self.engine.counts().subscriptions - refused;
        // Where Directus drops frames that are within its usual limit, it may have dropped an unsubscribe.
        // What was taken for a refusal may have been an event's error: then it is there.
        let may_be_there = if self.is_asked_twice { refused } else { 0 };
        if (thought..=thought + may_be_there).contains(&there) || (self.limited && there > thought) {
            Ok(())
        } else {
            Err(format!("{there} subscriptions at Directus, {thought} here"))
        }
    }

    /// Everything was detached, and every linger is over.
    pub(crate) fn nothing_is_left(&self) -> Verdict {
        let counts = self.engine.counts();
        let deadlines = (self.engine.deadline(), self.desk.outbox.deadline());
        if counts != leptos_directus::engine::Counts::default() || deadlines != (None, None) {
            return Err(format!("something is left behind: {counts:?}, deadlines {deadlines:?}"));
        }
        Ok(())
    }

    /// How much there is to remember of it all, by how much there is to say of it.
    pub(crate) fn remembered(&self) -> usize {
        struct Count(usize);
        impl fmt::Write for Count {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 += text.len();
                Ok(())
            }
        }
        let mut count = Count(0);
        write!(count, "{:?}", self.engine).map_or(0, |()| count.0)
    }

    pub(crate) fn reads(&self) -> HashMap<QueryId, u64> {
        self.watched.iter().map(|(id, watched)| (*id, watched.reads)).collect()
    }
}
