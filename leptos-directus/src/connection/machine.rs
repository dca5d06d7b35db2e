//! The socket's state machine.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{Backoff, ConnectionStatus, Millis, after};
use crate::{
    error::Error,
    protocol::{ClientMessage, ErrorFrame, EventKind, ServerMessage, SubscriptionEvent, SubscriptionFrame},
};

/// What the machine goes by. Times are from the moment of the last event of their kind.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// A try that has not opened by then is given up: 15 s. Long enough for the proxy to find out that Directus does not answer,
    /// twice (`DIRECTUS_CONNECT_TIMEOUT`, 5 s): for the upgrade, and for the plain request that asks why it was refused.
    pub connect_timeout: Duration,
    /// A subscription that is not answered by then has failed; if none was on this socket, the link is dead: 10 s.
    pub acknowledge_timeout: Duration,
    /// After this long without a frame, a JSON ping asks whether anybody is there: 10 s.
    pub ping_after: Duration,
    /// Without any frame this long after a ping, the link is dead: 8 s.
    pub pong_timeout: Duration,
    /// How long the socket stays open after the last subscription left: 5 s.
    pub linger: Duration,
    /// A connection that lasted this long makes the next delay a short one: 1 min.
    pub stable_after: Duration,
    /// How soon a refused login or subscription is asked for again: 30 s.
    pub refused_retry: Duration,
    /// Directus drops what exceeds 50 frames a second and says so without telling which. So no more than 24 frames, `unsubscribe`,
    /// `ping` and `pong` among them, within any second: those of two seconds may arrive in one.
    pub subscribes_per_second: u32,
    /// Ceiling of the first delay, doubling afterwards: 100 ms.
    pub first_delay: Duration,
    /// Ceiling of all delays: 30 s.
    pub longest_delay: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            acknowledge_timeout: Duration::from_secs(10),
            ping_after: Duration::from_secs(10),
            pong_timeout: Duration::from_secs(8),
            linger: Duration::from_secs(5),
            stable_after: Duration::from_secs(60),
            refused_retry: Duration::from_secs(30),
            subscribes_per_second: 24,
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(30),
            seed: 0,
        }
    }
}

/// One subscription, for as long as somebody holds it, over any number of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(u64);

/// What is subscribed to.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionSpec {
    /// The collection.
    pub collection: String,
    /// One kind of event only; such subscriptions are registered before they are acknowledged (hazard H1).
    pub event: Option<EventKind>,
    /// The query, as Directus takes it.
    pub query: Option<serde_json::Value>,
    /// The start of the uid on the wire, for people who watch frames. It is made unique by a number (hazard H8).
    pub label: String,
}

/// What happened to a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Directus acknowledged it: from here on, what is announced arrives. Rows are there unless an `event` was given.
    Acknowledged(SubscriptionFrame),
    /// A create, an update or a delete.
    Changed(SubscriptionFrame),
    /// Directus refused it, or could not read what it had to announce. A refused one is tried again.
    Failed {
        /// Whether the subscription is alive all the same: an event happened, and its rows could not be read.
        alive: bool,
        /// What Directus said.
        error: Error,
    },
    /// Something went wrong, and Directus did not say for whom (Directus 11): an event of this one may have been lost with it.
    Doubted,
    /// The socket is gone, and with it what happens until the next acknowledgement.
    Lost,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Begin to connect; what comes of it is reported with this number.
    Open(u64),
    /// Drop the socket, or the try.
    Close,
    /// The link died without saying so, and what else was on its way with it.
    Silent,
    /// Send a frame on the open socket.
    Send(ClientMessage),
    /// Tell the subscriber.
    Event(SubscriptionId, Notice),
    /// Tell the page.
    Status(ConnectionStatus),
    /// Directus no longer takes the socket's login for what it was: who the visitor is may have changed.
    IdentityInDoubt,
}

/// What the platform noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The network is back.
    Online,
    /// The network is said to be gone. Only a ping tells.
    Offline,
    /// The page is seen again after this long out of sight.
    Visible {
        /// How long it was hidden.
        hidden: Duration,
    },
    /// Somebody asked for a try now.
    Asked,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Connecting { since: Millis },
    Open { since: Millis, last_frame: Millis, ping_deadline: Option<Millis> },
    Waiting { retry_at: Millis },
}

#[derive(Debug, PartialEq)]
enum Stage {
    /// To be sent, not before the given time.
    Unsent { not_before: Millis },
    /// Sent, not acknowledged.
    Pending { since: Millis },
    /// Acknowledged.
    Live,
    /// Refused; asked for again at the given time.
    Failed { retry_at: Millis },
    /// Nobody wants it any more, but it was sent and its acknowledgement is still to come. An `unsubscribe` sent now would be
    /// answered first and leave the subscription alive (directus.md 3.4).
    Leaving { since: Millis },
}

/// An `unsubscribe`: told until Directus has said that the subscription is gone, because it drops frames of those in a hurry.
#[derive(Debug)]
struct Farewell {
    uid: String,
    stage: Telling,
}

#[derive(Debug, PartialEq)]
enum Telling {
    /// To be sent, not before the given time.
    Unsent { not_before: Millis },
    /// Sent, not answered.
    Sent { since: Millis },
}

/// A refusal that did not say which subscription it is for (Directus 11).
#[derive(Debug)]
struct Nameless {
    /// The collection that its text names.
    collection: Option<String>,
    error: Error,
}

#[derive(Debug)]
struct Entry {
    spec: SubscriptionSpec,
    uid: String,
    stage: Stage,
    /// Directus has said nothing to it the last time.
    was_ignored: bool,
    /// It was asked for anew on this socket before it was answered: there may be two answers, and a refusal is the second one.
    is_asked_twice: bool,
}

impl Entry {
    fn is_overdue(&self, now: Millis, patience: Duration) -> bool {
        match self.stage {
            Stage::Pending { since } | Stage::Leaving { since } => now >= after(since, patience),
            _ => false,
        }
    }
}

/// One socket and its subscriptions, as decisions.
///
/// Call a method for what happened, then take the [`Output`]s with [`next_output`](Self::next_output) until there are none, and
/// call [`tick`](Self::tick) at [`deadline`](Self::deadline).
///
/// # Example
/// A socket that opens, a subscription that is acknowledged, and the loss of both:
/// ```
/// use codee::Decoder;
/// use leptos_directus::{
///     ConnectionStatus, Error,
///     connection::{ConnectionConfig, Machine, Notice, Output, SubscriptionId, SubscriptionSpec, Wake},
///     protocol::{DirectusCodec, EventKind},
/// };
/// use serde_json::json;
///
/// let mut machine = Machine::new(ConnectionConfig::default());
/// let outputs = |machine: &mut Machine| std::iter::from_fn(|| machine.next_output()).collect::<Vec<_>>();
///
/// let spec = SubscriptionSpec {
///     collection: "posts".to_owned(),
///     event: Some(EventKind::Update),
///     query: Some(json!({ "fields": ["id"] })),
///     label: "front".to_owned(),
/// };
/// let posts: SubscriptionId = machine.subscribe(0, spec);
/// assert!(outputs(&mut machine).contains(&Output::Open(1)));
///
/// machine.opened(10, 1);
/// assert!(machine.is_open());
/// let sent = outputs(&mut machine).into_iter().find_map(|output| match output {
///     Output::Send(message) => serde_json::to_value(message).ok(),
///     _ => None,
/// });
/// let uid = &sent.unwrap()["uid"];
/// let frame = json!({ "type": "subscription", "event": "init", "uid": uid, "data": [] }).to_string();
/// machine.frame(20, DirectusCodec::decode(frame.as_str()).unwrap());
/// assert!(matches!(outputs(&mut machine)[..], [Output::Event(id, Notice::Acknowledged(_))] if id == posts));
///
/// // A frame that cannot be read is a sign of life all the same; silence is asked about.
/// machine.unreadable(30);
/// machine.tick(machine.deadline().unwrap());
/// assert!(matches!(outputs(&mut machine)[..], [Output::Send(_)]));
///
/// machine.closed(20_000, 1, "the server went away");
/// assert!(outputs(&mut machine).contains(&Output::Event(posts, Notice::Lost)));
/// assert!(matches!(machine.status(), ConnectionStatus::Reconnecting { .. }));
/// machine.wake(20_001, Wake::Asked);
/// assert!(outputs(&mut machine).contains(&Output::Open(2)));
/// machine.refused(20_002, 2, &Error::network("nobody is there"));
/// machine.reopen(20_003);
///
/// machine.disconnect(20_004);
/// assert_eq!(machine.status(), &ConnectionStatus::Closed);
/// machine.connect(20_005);
/// machine.unsubscribe(20_006, posts);
/// assert_eq!(machine.subscriptions(), 0);
/// ```
#[derive(Debug)]
pub struct Machine {
    config: ConnectionConfig,
    phase: Phase,
    /// The number of the try, so that the end of an older socket is not taken for the end of this one.
    socket: u64,
    enabled: bool,
    held: bool,
    idle_since: Option<Millis>,
    backoff: Backoff,
    entries: BTreeMap<SubscriptionId, Entry>,
    farewells: BTreeMap<SubscriptionId, Farewell>,
    next_id: u64,
    /// Refusals that did not say which subscription they are for (Directus 11).
    nameless: Vec<Nameless>,
    /// When the frames of the last second were sent that count for the rate.
    sent: VecDeque<Millis>,
    status: ConnectionStatus,
    outputs: VecDeque<Output>,
}

/// The number after the last `#` is ours; the text before it only has to fit.
fn number_in(uid: &str) -> Option<SubscriptionId> {
    uid.rsplit_once('#')?.1.parse().ok().map(SubscriptionId)
}

/// The subscribed collection that a refusal is about, as far as its text says: Directus 11 names the subscription nowhere else.
/// `… access field "name" in collection "authors" … Queried in author.` is about a relation, whosever it is.
fn collection_named_by(message: &str) -> Option<String> {
    let (name, rest) = message.split_once("collection \"")?.1.split_once('"')?;
    (!rest.contains("Queried in ") || rest.contains("Queried in root")).then(|| name.to_owned())
}

/// An opening that takes longer than this may have got lost: whoever asks for a try then gets a new one.
const HANDSHAKE: Duration = Duration::from_secs(2);

impl Machine {
    /// Idle, with nothing subscribed.
    #[must_use]
    pub fn new(config: ConnectionConfig) -> Self {
        let backoff = Backoff::new(config.first_delay, config.longest_delay, config.seed);
        Self {
            config,
            phase: Phase::Idle,
            socket: 0,
            enabled: true,
            held: false,
            idle_since: None,
            backoff,
            entries: BTreeMap::new(),
            farewells: BTreeMap::new(),
            next_id: 0,
            nameless: Vec::new(),
            sent: VecDeque::new(),
            status: ConnectionStatus::Idle,
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The state that was told last.
    #[must_use]
    pub fn status(&self) -> &ConnectionStatus {
        &self.status
    }

    /// Whether the socket is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Subscriptions that somebody holds, or whose end Directus has not been told.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        let untold = |farewell: &&Farewell| matches!(farewell.stage, Telling::Unsent { .. });
        self.entries.len() + self.farewells.values().filter(untold).count()
    }

    /// When [`tick`](Self::tick) wants to be called; never, if nothing is to come.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let mut earliest = self.idle_since.map(|since| after(since, self.config.linger));
        let mut consider = |at: Millis| earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
        match &self.phase {
            Phase::Idle => return None,
            Phase::Connecting { since } => consider(after(*since, self.config.connect_timeout)),
            Phase::Waiting { retry_at } => consider(*retry_at),
            Phase::Open { last_frame, ping_deadline, .. } => {
                consider(ping_deadline.unwrap_or(after(*last_frame, self.config.ping_after)));
                for entry in self.entries.values() {
                    match entry.stage {
                        Stage::Unsent { not_before } => consider(not_before.max(self.rate_from())),
                        Stage::Pending { since } | Stage::Leaving { since } => {
                            consider(after(since, self.config.acknowledge_timeout));
                        }
                        Stage::Failed { retry_at } => consider(retry_at),
                        Stage::Live => {}
                    }
                }
                for farewell in self.farewells.values() {
                    if let Telling::Unsent { not_before } = farewell.stage {
                        consider(not_before.max(self.rate_from()));
                    }
                }
            }
        }
        earliest
    }

    /// Somebody wants a subscription.
    pub fn subscribe(&mut self, now: Millis, spec: SubscriptionSpec) -> SubscriptionId {
        self.next_id += 1;
        let id = SubscriptionId(self.next_id);
        let uid = format!("{}#{}", spec.label, self.next_id);
        self.entries.insert(
            id,
            Entry { spec, uid, stage: Stage::Unsent { not_before: 0 }, was_ignored: false, is_asked_twice: false },
        );
        self.settle(now);
        id
    }

    /// Nobody wants it any more.
    pub fn unsubscribe(&mut self, now: Millis, id: SubscriptionId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match entry.stage {
            Stage::Pending { since } => entry.stage = Stage::Leaving { since },
            Stage::Leaving { .. } => {}
            Stage::Live => self.bid_farewell(id, 0),
            // What was taken for a refusal may have been an event's error.
            Stage::Failed { .. } if entry.is_asked_twice => self.bid_farewell(id, 0),
            Stage::Unsent { .. } | Stage::Failed { .. } => {
                self.entries.remove(&id);
            }
        }
        self.settle(now);
    }

    /// The app wants the socket, whether or not anybody subscribes.
    pub fn connect(&mut self, now: Millis) {
        self.enabled = true;
        self.held = true;
        if let Phase::Waiting { .. } = self.phase {
            self.open(now);
        }
        self.settle(now);
    }

    /// The app wants no socket, whoever subscribes, until [`connect`](Self::connect).
    pub fn disconnect(&mut self, now: Millis) {
        self.enabled = false;
        self.held = false;
        if !matches!(self.phase, Phase::Idle) {
            self.outputs.push_back(Output::Close);
            self.lose_all();
            self.phase = Phase::Idle;
        }
        self.backoff.reset();
        self.settle(now);
    }

    /// Who the visitor is has changed: the socket is opened anew, at once.
    pub fn reopen(&mut self, now: Millis) {
        self.backoff.reset();
        if !matches!(self.phase, Phase::Idle) {
            self.outputs.push_back(Output::Close);
            self.lose_all();
            self.phase = Phase::Idle;
        }
        self.settle(now);
    }

    /// The platform noticed something.
    pub fn wake(&mut self, now: Millis, wake: Wake) {
        match (&mut self.phase, wake) {
            (Phase::Waiting { .. }, Wake::Online | Wake::Visible { .. } | Wake::Asked) => {
                self.backoff.reset();
                self.open(now);
            }
            // It may have set out while there was no network, and would be waited for until its time is out.
            (Phase::Connecting { since }, Wake::Online | Wake::Visible { .. } | Wake::Asked)
                if now >= after(*since, HANDSHAKE) =>
            {
                self.outputs.push_back(Output::Close);
                self.backoff.reset();
                self.open(now);
            }
            // Whatever was said of the network: only an answer tells. The ping's deadline is short, because a socket that
            // survived a sleep looks open for many minutes. Where nothing was said of the network, and somebody has only looked
            // away, a frame that is long on its way has as long as ever.
            (Phase::Open { last_frame, ping_deadline, .. }, wake) => {
                let silence = self.config.ping_after + self.config.pong_timeout;
                let soon = after(now, self.config.pong_timeout / 2);
                let soon = match wake {
                    Wake::Visible { hidden } if hidden >= silence => soon,
                    Wake::Visible { .. } | Wake::Asked => soon.max(after(*last_frame, silence)),
                    Wake::Online | Wake::Offline => soon,
                };
                // One ping is enough, however often somebody looks.
                let is_asked = ping_deadline.is_some();
                *ping_deadline = Some(ping_deadline.map_or(soon, |deadline| deadline.min(soon)));
                if !is_asked {
                    self.send(now, ClientMessage::Ping { uid: None });
                }
            }
            _ => {}
        }
        if let (Phase::Open { .. }, Wake::Online | Wake::Visible { .. } | Wake::Asked) = (&self.phase, wake) {
            for entry in self.entries.values_mut() {
                if let Stage::Failed { .. } = entry.stage {
                    entry.stage = Stage::Unsent { not_before: 0 };
                }
            }
        }
        self.settle(now);
    }

    /// The try with this number came through.
    pub fn opened(&mut self, now: Millis, socket: u64) {
        if socket != self.socket || !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        self.phase = Phase::Open { since: now, last_frame: now, ping_deadline: None };
        self.sent.clear();
        self.set_status(ConnectionStatus::Connected);
        self.settle(now);
    }

    /// The try with this number failed.
    pub fn refused(&mut self, now: Millis, socket: u64, error: &Error) {
        if socket != self.socket || !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        if error.is_unauthorized() {
            let retry_in =
                self.config.refused_retry.mul_f64(0.75) + self.backoff.next_delay().min(Duration::from_secs(5));
            self.phase = Phase::Waiting { retry_at: after(now, retry_in) };
            self.set_status(ConnectionStatus::NeedsAuth { reason: error.message().to_owned(), retry_in });
        } else {
            self.wait(now, error.message(), error.retry_after());
        }
        self.settle(now);
    }

    /// The socket with this number is closed, by whomever.
    pub fn closed(&mut self, now: Millis, socket: u64, reason: &str) {
        if socket != self.socket || !matches!(self.phase, Phase::Open { .. }) {
            return;
        }
        self.drop_link(now, reason);
        self.settle(now);
    }

    /// A frame came in.
    pub fn frame(&mut self, now: Millis, frame: ServerMessage) {
        let Phase::Open { last_frame, ping_deadline, .. } = &mut self.phase else { return };
        *last_frame = now;
        *ping_deadline = None;
        match frame {
            ServerMessage::Ping { .. } => self.send(now, ClientMessage::Pong),
            ServerMessage::Subscription(frame) => self.subscription(now, frame),
            ServerMessage::Error(frame) => self.error(now, &frame),
            // Answers to what we do not send, and what Directus may say in years to come: the driver reports them.
            _ => {}
        }
        self.settle(now);
    }

    /// A frame came in that nobody can read: it proves that the link is alive, and no more.
    pub fn unreadable(&mut self, now: Millis) {
        if let Phase::Open { last_frame, ping_deadline, .. } = &mut self.phase {
            *last_frame = now;
            *ping_deadline = None;
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        match &mut self.phase {
            Phase::Idle => {}
            Phase::Connecting { since } if now >= after(*since, self.config.connect_timeout) => {
                self.outputs.extend([Output::Close, Output::Silent]);
                let seconds = self.config.connect_timeout.as_secs();
                self.wait(now, &format!("no answer to the socket's opening within {seconds} s"), None);
            }
            Phase::Connecting { .. } => {}
            Phase::Waiting { retry_at } if now >= *retry_at => self.open(now),
            Phase::Waiting { .. } => {}
            Phase::Open { since, last_frame, ping_deadline } => {
                if now >= after(*since, self.config.stable_after) {
                    self.backoff.reset();
                }
                if ping_deadline.is_some_and(|deadline| now >= deadline) {
                    self.outputs.extend([Output::Close, Output::Silent]);
                    self.drop_link(now, "the link is dead: a ping was not answered");
                } else if ping_deadline.is_none() && now >= after(*last_frame, self.config.ping_after) {
                    *ping_deadline = Some(after(now, self.config.pong_timeout));
                    self.send(now, ClientMessage::Ping { uid: None });
                } else {
                    self.miss_answers(now);
                }
            }
        }
        if self.idle_since.is_some_and(|since| now >= after(since, self.config.linger)) {
            self.idle_since = None;
            if !matches!(self.phase, Phase::Idle) {
                self.outputs.push_back(Output::Close);
                self.lose_all();
                self.phase = Phase::Idle;
            }
            self.set_status(ConnectionStatus::Idle);
        }
        self.settle(now);
    }

    /// Directus says nothing at all where something went wrong within it: 11.17.4 to an administrator who asks for a collection
    /// that is not there. If it has answered others on this socket, that is the subscription's trouble, once it was asked for twice.
    fn miss_answers(&mut self, now: Millis) {
        let patience = self.config.acknowledge_timeout;
        let overdue = self.ids(None, |entry| entry.is_overdue(now, patience));
        if overdue.is_empty() {
            return;
        }
        let answers = self.entries.values().any(|entry| entry.stage == Stage::Live);
        if !answers {
            self.outputs.extend([Output::Close, Output::Silent]);
            self.drop_link(now, "Directus did not acknowledge a subscription");
        }
        for id in overdue {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let error = Error::timeout(format!("subscribing to `{}`", entry.spec.collection));
            let is_told = std::mem::replace(&mut entry.was_ignored, true);
            if answers && !is_told && matches!(entry.stage, Stage::Pending { .. }) {
                // One answer may be lost. Under the same name it replaces what may be there after all.
                entry.stage = Stage::Unsent { not_before: 0 };
                entry.is_asked_twice = true;
            } else if answers {
                // What was said to nobody by name may have been said to it.
                let collection = entry.spec.collection.clone();
                self.nameless.retain(|nameless| nameless.collection.as_ref() != Some(&collection));
                self.fail_perhaps(now, id, error);
            } else if is_told {
                // It goes on trying, over new sockets: whoever waits for it hears that it may be in vain.
                self.outputs.push_back(Output::Event(id, Notice::Failed { alive: false, error }));
            }
        }
    }

    /// Makes good what follows from any event: opens when needed, starts the linger when not, sends what is to be sent.
    fn settle(&mut self, now: Millis) {
        if !self.enabled {
            self.idle_since = None;
            self.set_status(ConnectionStatus::Closed);
            return;
        }
        let is_wanted = |entry: &Entry| !matches!(entry.stage, Stage::Leaving { .. });
        let needed = self.held || self.entries.values().any(is_wanted);
        match (&self.phase, needed) {
            (Phase::Idle, true) => {
                self.idle_since = None;
                self.open(now);
            }
            (Phase::Idle, false) => {
                self.idle_since = None;
                self.set_status(ConnectionStatus::Idle);
            }
            (_, true) => self.idle_since = None,
            (_, false) => {
                self.idle_since.get_or_insert(now);
            }
        }
        if let Phase::Open { .. } = self.phase {
            self.send_farewells(now);
            self.send_subscribes(now);
        }
    }

    fn open(&mut self, now: Millis) {
        self.socket += 1;
        self.phase = Phase::Connecting { since: now };
        self.outputs.push_back(Output::Open(self.socket));
        let attempt = self.backoff.attempt();
        let status = match &self.status {
            ConnectionStatus::Reconnecting { reason, .. } => ConnectionStatus::Reconnecting {
                attempt: attempt.max(1),
                retry_in: Duration::ZERO,
                reason: reason.clone(),
            },
            // Who is refused for want of a login stays so until let in: no flicker at each try.
            ConnectionStatus::NeedsAuth { reason, .. } => {
                ConnectionStatus::NeedsAuth { reason: reason.clone(), retry_in: Duration::ZERO }
            }
            _ => ConnectionStatus::Connecting { attempt: attempt + 1 },
        };
        self.set_status(status);
    }

    fn drop_link(&mut self, now: Millis, reason: &str) {
        if let Phase::Open { since, .. } = self.phase
            && now >= after(since, self.config.stable_after)
        {
            self.backoff.reset();
        }
        self.lose_all();
        self.wait(now, reason, None);
    }

    fn wait(&mut self, now: Millis, reason: &str, at_least: Option<Duration>) {
        let delay = self.backoff.next_delay();
        let retry_in = at_least.map_or(delay, |least| least.min(self.config.longest_delay) + delay);
        self.phase = Phase::Waiting { retry_at: after(now, retry_in) };
        let attempt = self.backoff.attempt();
        self.set_status(ConnectionStatus::Reconnecting { attempt, retry_in, reason: reason.to_owned() });
    }

    /// The socket took all its subscriptions with it.
    fn lose_all(&mut self) {
        self.nameless.clear();
        self.farewells.clear();
        self.entries.retain(|_, entry| !matches!(entry.stage, Stage::Leaving { .. }));
        for (id, entry) in &mut self.entries {
            entry.is_asked_twice = false;
            if !matches!(entry.stage, Stage::Unsent { .. }) {
                entry.stage = Stage::Unsent { not_before: 0 };
                self.outputs.push_back(Output::Event(*id, Notice::Lost));
            }
        }
    }

    /// When the next frame may go: now (0), or once the oldest of the last second is a second old.
    fn rate_from(&self) -> Millis {
        let oldest = self.sent.len().checked_sub(self.config.subscribes_per_second.max(1) as usize);
        oldest.and_then(|place| self.sent.get(place)).map_or(0, |sent| sent + 1_000)
    }

    /// Takes one frame out of what may be sent within a second; whether there was one.
    fn spend(&mut self, now: Millis) -> bool {
        while self.sent.front().is_some_and(|sent| now >= sent + 1_000) {
            self.sent.pop_front();
        }
        if self.sent.len() >= self.config.subscribes_per_second.max(1) as usize {
            return false;
        }
        self.sent.push_back(now);
        true
    }

    /// Sends what can't wait; it counts all the same.
    fn send(&mut self, now: Millis, message: ClientMessage) {
        self.spend(now);
        self.outputs.push_back(Output::Send(message));
    }

    /// Nobody wants it any more: Directus is to be told.
    fn bid_farewell(&mut self, id: SubscriptionId, not_before: Millis) {
        if let Some(entry) = self.entries.remove(&id) {
            self.farewells.insert(id, Farewell { uid: entry.uid, stage: Telling::Unsent { not_before } });
        }
    }

    fn send_farewells(&mut self, now: Millis) {
        let patience = self.config.acknowledge_timeout;
        // One that was never answered is let go: at worst its events are nobody's.
        self.farewells.retain(|_, farewell| match farewell.stage {
            Telling::Sent { since } => now < after(since, patience),
            Telling::Unsent { .. } => true,
        });
        let due: Vec<_> = self
            .farewells
            .iter()
            .filter(|(_, farewell)| matches!(farewell.stage, Telling::Unsent { not_before } if now >= not_before))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if !self.spend(now) {
                return;
            }
            if let Some(farewell) = self.farewells.get_mut(&id) {
                farewell.stage = Telling::Sent { since: now };
                self.outputs.push_back(Output::Send(ClientMessage::unsubscribe(farewell.uid.clone())));
            }
        }
    }

    fn send_subscribes(&mut self, now: Millis) {
        let due: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| match entry.stage {
                Stage::Unsent { not_before } => now >= not_before,
                Stage::Failed { retry_at } => now >= retry_at,
                _ => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let is_affordable = self.spend(now);
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if !is_affordable {
                entry.stage = Stage::Unsent { not_before: 0 };
                continue;
            }
            entry.is_asked_twice &= !matches!(entry.stage, Stage::Failed { .. });
            entry.stage = Stage::Pending { since: now };
            self.outputs.push_back(Output::Send(ClientMessage::Subscribe {
                collection: entry.spec.collection.clone(),
                event: entry.spec.event,
                item: None,
                query: entry.spec.query.clone(),
                uid: Some(entry.uid.clone().into()),
            }));
        }
    }

    fn leaving_by_uid(&self, uid: &str) -> Option<SubscriptionId> {
        let id = number_in(uid)?;
        self.farewells.get(&id).is_some_and(|farewell| farewell.uid == uid).then_some(id)
    }

    fn by_uid(&self, uid: &str) -> Option<SubscriptionId> {
        let id = number_in(uid)?;
        self.entries.get(&id).is_some_and(|entry| entry.uid == uid).then_some(id)
    }

    fn subscription(&mut self, now: Millis, frame: SubscriptionFrame) {
        if let Some(id) = frame.uid.as_deref().and_then(|uid| self.leaving_by_uid(uid)) {
            match frame.event {
                SubscriptionEvent::Unsubscribe => drop(self.farewells.remove(&id)),
                // It came into being after all, and perhaps after we had said goodbye: once more.
                SubscriptionEvent::Init => {
                    if let Some(farewell) = self.farewells.get_mut(&id) {
                        farewell.stage = Telling::Unsent { not_before: 0 };
                    }
                }
                _ => {}
            }
            return;
        }
        let Some(id) = frame.uid.as_deref().and_then(|uid| self.by_uid(uid)) else {
            self.disown(frame);
            return;
        };
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if frame.event == SubscriptionEvent::Unsubscribe {
            return;
        }
        if frame.event != SubscriptionEvent::Init {
            if entry.stage == Stage::Live {
                self.outputs.push_back(Output::Event(id, Notice::Changed(frame)));
            }
            return;
        }
        if let Stage::Leaving { .. } = entry.stage {
            self.bid_farewell(id, 0);
        } else {
            entry.is_asked_twice &= !matches!(entry.stage, Stage::Unsent { .. });
            entry.stage = Stage::Live;
            entry.was_ignored = false;
            self.outputs.push_back(Output::Event(id, Notice::Acknowledged(frame)));
        }
        self.match_nameless(now);
    }

    /// One of ours that nobody holds has come into being: a refusal without a name had been taken for its own.
    fn disown(&mut self, frame: SubscriptionFrame) {
        if frame.event == SubscriptionEvent::Init
            && let Some(uid) = frame.uid
            && let Some(id) = number_in(&uid).filter(|id| id.0 <= self.next_id && !self.entries.contains_key(id))
        {
            self.farewells.insert(id, Farewell { uid, stage: Telling::Unsent { not_before: 0 } });
        }
    }

    fn error(&mut self, now: Millis, frame: &ErrorFrame) {
        let error = Error::answer(0, frame.code.as_str(), frame.message.clone());
        if frame.kind == "auth" {
            // The login that the socket was opened with has ended (hazard H10): a new socket gets the cookie as it is now.
            self.outputs.push_back(Output::IdentityInDoubt);
            self.outputs.push_back(Output::Close);
            self.drop_link(now, "the login has expired");
        } else if error.is_rate_limited() {
            // Which frame was dropped, nobody says: all that were not answered go again, a little later.
            let not_before = now + 2_000;
            self.nameless.clear();
            let mut leaving = Vec::new();
            for (id, entry) in &mut self.entries {
                match entry.stage {
                    Stage::Pending { .. } => {
                        entry.stage = Stage::Unsent { not_before };
                        entry.is_asked_twice = true;
                    }
                    Stage::Leaving { .. } => leaving.push(*id),
                    _ => {}
                }
            }
            // Whether their `subscribe` was dropped or not: a goodbye to what never was does no harm.
            for id in leaving {
                self.bid_farewell(id, not_before);
            }
            for farewell in self.farewells.values_mut() {
                if let Telling::Sent { .. } = farewell.stage {
                    farewell.stage = Telling::Unsent { not_before };
                }
            }
        } else if let Some(id) = frame.uid.as_deref().and_then(|uid| self.by_uid(uid)) {
            self.fail(now, id, error);
        } else if frame.kind == "subscribe" && frame.uid.is_none() {
            let collection = collection_named_by(&frame.message)
                .filter(|name| self.entries.values().any(|entry| entry.spec.collection == *name));
            let nameless = Nameless { collection, error };
            if !self.unanswered(nameless.collection.as_deref()).is_empty() {
                self.tell_live(nameless.collection.as_deref(), &Notice::Doubted);
            }
            self.nameless.push(nameless);
            self.match_nameless(now);
        }
    }

    /// Directus 11 does not say which subscription an error is for, but mostly which collection. Each `subscribe` gets exactly one
    /// answer: once as many are unanswered as errors came, the errors are theirs. With none unanswered, it was an event that could
    /// not be read.
    fn match_nameless(&mut self, now: Millis) {
        let mut scopes: Vec<Option<String>> =
            self.nameless.iter().map(|nameless| nameless.collection.clone()).collect();
        // Those without a collection last: they are for whoever is left.
        scopes.sort_by_key(Option::is_none);
        scopes.dedup();
        for scope in scopes {
            let scope = scope.as_deref();
            let unanswered = self.unanswered(scope);
            let is_in = |nameless: &Nameless| scope.is_none() || nameless.collection.as_deref() == scope;
            if self.nameless.iter().filter(|nameless| is_in(nameless)).count() < unanswered.len() {
                continue;
            }
            let (mut errors, others) = std::mem::take(&mut self.nameless).into_iter().partition::<Vec<_>, _>(is_in);
            self.nameless = others;
            for id in unanswered {
                let collection = self.entries.get(&id).map(|entry| entry.spec.collection.as_str());
                let place = errors.iter().position(|nameless| nameless.collection.as_deref() == collection);
                let place = place.or_else(|| errors.iter().position(|nameless| nameless.collection.is_none()));
                self.fail_perhaps(now, id, errors.remove(place.unwrap_or(0)).error);
            }
            if let Some(Nameless { error, .. }) = errors.pop() {
                self.tell_live(scope, &Notice::Failed { alive: true, error });
            }
        }
    }

    /// Those of a collection, or of all, that are still to be answered.
    fn unanswered(&self, collection: Option<&str>) -> Vec<SubscriptionId> {
        let is_unanswered = |entry: &Entry| matches!(entry.stage, Stage::Pending { .. } | Stage::Leaving { .. });
        self.ids(collection, is_unanswered)
    }

    fn ids(&self, collection: Option<&str>, is_meant: impl Fn(&Entry) -> bool) -> Vec<SubscriptionId> {
        let is_in = |entry: &Entry| collection.is_none_or(|collection| entry.spec.collection == collection);
        self.entries.iter().filter(|(_, entry)| is_in(entry) && is_meant(entry)).map(|(id, _)| *id).collect()
    }

    fn tell_live(&mut self, collection: Option<&str>, notice: &Notice) {
        for id in self.ids(collection, |entry| entry.stage == Stage::Live) {
            self.outputs.push_back(Output::Event(id, notice.clone()));
        }
    }

    /// It was refused, as far as can be told: should its acknowledgement come after all, that counts.
    fn fail_perhaps(&mut self, now: Millis, id: SubscriptionId, error: Error) {
        match self.entries.get(&id).map(|entry| &entry.stage) {
            // A goodbye to what never was does no harm.
            Some(Stage::Leaving { .. }) => self.bid_farewell(id, 0),
            _ => self.fail(now, id, error),
        }
    }

    fn fail(&mut self, now: Millis, id: SubscriptionId, error: Error) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let is_second_answer = entry.is_asked_twice;
        let alive = match entry.stage {
            Stage::Live if !is_second_answer => true,
            Stage::Leaving { .. } => {
                self.entries.remove(&id);
                return;
            }
            _ => {
                entry.stage = Stage::Failed { retry_at: after(now, self.config.refused_retry) };
                false
            }
        };
        self.outputs.push_back(Output::Event(id, Notice::Failed { alive, error }));
    }

    fn set_status(&mut self, status: ConnectionStatus) {
        if self.status != status {
            self.status = status.clone();
            self.outputs.push_back(Output::Status(status));
        }
    }
}

#[cfg(test)]
mod tests;
