//! The driver: does what the engine decides, and the handle by which everybody else reaches it.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use codee::{Decoder, Encoder};
use futures::{
    FutureExt, StreamExt,
    channel::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    future::{AbortHandle, Aborted, BoxFuture, abortable},
    select_biased,
    stream::FuturesUnordered,
};
use serde_json::Value;

use crate::{
    connection::{ConnectionConfig, ConnectionStatus, Millis, Notice, SubscriptionSpec, Wake},
    engine::{Counts, Engine, Output, QueryId, QuerySpec, StreamId},
    error::Error,
    live::{
        self, Change, Intent, Layer, Outbox, OutboxConfig, OutboxOutput, PendingWrite, Progress, ReadId, ReadScope,
        RefusedWrite, RowKey, Who, WriteId,
    },
    protocol::{DirectusCodec, Key, Leads, Query, ServerMessage},
    rest::{Page, Question, Rest, Seen},
    transport::{self, Socket, SocketEvent, SocketTarget, Store, WakeEvents},
};

mod sight;

use sight::{Informant, Look, Sight, Word};

/// So many writes that were refused are remembered for whoever is to be told; the oldest are dropped.
const REFUSED_AT_MOST: usize = 256;

/// Where rows and states of a live query go.
pub(crate) type LiveSink = Box<dyn FnMut(News) + Send>;
/// Where the events of a stream go.
pub(crate) type StreamSink = Box<dyn FnMut(Notice) + Send>;
/// Who is told of the connection's state.
pub(crate) type StatusSink = Box<dyn FnMut(ClientEvent) + Send>;

/// What concerns the whole page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClientEvent {
    Status(ConnectionStatus),
    IdentityInDoubt,
    /// The writes that are not done yet.
    Pending(Vec<PendingWrite>),
    /// The writes that were refused while nobody was there to be told.
    Refused(Vec<RefusedWrite>),
}

/// What a live query's view is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    Live(live::Output),
    /// Something became of a write to the collection.
    Write(Box<Intent>, Progress),
    /// A read has come back, and what it changed was told. It was sent when so many writes were done.
    Read {
        confirmed: u64,
        scope: ReadScope,
        /// What Directus said, be it that it refuses: not that it could not be asked.
        is_answer: bool,
    },
    /// Somebody else is here now.
    AnotherVisitor,
}

/// What a live query reads.
#[derive(Clone, Debug)]
pub(crate) struct LiveRequest {
    pub(crate) spec: QuerySpec,
    pub(crate) query: Query,
    pub(crate) initial: Option<Page<Value>>,
    /// What lists share that are to show the same new rows; `None` where this page's writes are not to show.
    pub(crate) origin: Option<String>,
    /// Where its relations lead is to be found out.
    pub(crate) question: Option<Arc<Question>>,
    /// What the HTML says of that.
    pub(crate) seen: Seen,
}

enum Command {
    Attach {
        id: QueryId,
        request: Box<LiveRequest>,
        sink: LiveSink,
    },
    Release(QueryId),
    Retain(QueryId),
    Refetch(QueryId),
    Subscribe {
        id: StreamId,
        spec: SubscriptionSpec,
        sink: StreamSink,
    },
    Unsubscribe(StreamId),
    UnsubscribeAll,
    Connect,
    Disconnect,
    Write {
        intent: Box<Intent>,
        who: Option<Who>,
        answer: Answer,
    },
    Keep {
        store: String,
        who: Option<Who>,
    },
    /// A login or a logout begins.
    IdentityHeld,
    /// It ended, and nothing is known to have changed by it.
    IdentityDoubted,
    /// It ended, and the session is another one.
    IdentityChanged(Option<Who>),
    /// It was given up, and nobody knows what came of it.
    IdentityLost,
    /// The page found out who is here, and whom it had taken them for.
    Visitor {
        before: Option<Who>,
        who: Who,
    },
    /// The visitor logs out: nothing is kept for them.
    ForgetStores(Session),
    /// Whoever was to be told of what was refused has been.
    ForgetRefused,
    /// The driver is there: that is all.
    Listen,
    Wake(Wake),
    Inspect(oneshot::Sender<Counts>),
}

/// Where the answer to a write goes.
type Answer = oneshot::Sender<Result<Value, Error>>;

/// A live query that is shared by everybody who asks for the same.
struct Shared {
    id: QueryId,
    holders: usize,
    state: Arc<dyn Any + Send + Sync>,
}

/// Locks, whatever happened to a thread that held the lock: the data behind these locks is valid between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Registry = Arc<Mutex<HashMap<String, Shared>>>;

/// A driver that was not started yet.
struct Dormant {
    commands: UnboundedReceiver<Command>,
    config: ConnectionConfig,
    status: StatusSink,
}

struct Inner {
    rest: Rest,
    target: SocketTarget,
    commands: UnboundedSender<Command>,
    dormant: Mutex<Option<Dormant>>,
    registry: Registry,
    next: Arc<AtomicU64>,
}

/// Reaches the driver of one connection. When the last clone goes, the driver ends, and with it the socket.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Nothing runs until somebody wants something.
    pub(crate) fn new(rest: Rest, target: SocketTarget, mut config: ConnectionConfig, status: StatusSink) -> Self {
        let (commands, receiver) = mpsc::unbounded();
        config.seed = transport::seed();
        let dormant = Dormant { commands: receiver, config, status };
        Self(Arc::new(Inner {
            rest,
            target,
            commands,
            dormant: Mutex::new(Some(dormant)),
            registry: Registry::default(),
            next: Arc::default(),
        }))
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.0.rest
    }

    fn send(&self, command: Command) {
        if let Some(dormant) = lock(&self.0.dormant).take() {
            let driver = Driver {
                engine: Engine::new(dormant.config),
                rest: self.0.rest.clone(),
                target: self.0.target.clone(),
                registry: Arc::clone(&self.0.registry),
                status: dormant.status,
                queries: HashMap::new(),
                streams: HashMap::new(),
                outbox: Outbox::new(OutboxConfig { seed: transport::seed(), ..OutboxConfig::default() }),
                answers: HashMap::new(),
                refused: VecDeque::new(),
                doing: FuturesUnordered::new(),
                stores: BTreeMap::new(),
                reopened: Reopened::default(),
                sight: Sight::new(if transport::is_browser() {
                    Informant::Server(self.0.target.url.clone())
                } else {
                    Informant::Directus
                }),
                visitor: Visitor::Unknown,
                next: Arc::clone(&self.0.next),
            };
            transport::spawn(driver.run(dormant.commands));
        }
        // The driver lives as long as we do; it is gone only where the whole runtime is.
        let _ = self.0.commands.unbounded_send(command);
    }

    fn number(&self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A name that no other query has: for what is not to be shared.
    #[cfg(feature = "native")]
    pub(crate) fn own_name(&self) -> String {
        format!("own {}", self.number())
    }

    /// Shows a live query: the one that is there under this name, or a new one.
    ///
    /// `make` gives the state of a new one, where its rows go, and what it reads.
    pub(crate) fn hold<S: Any + Send + Sync>(
        &self,
        name: &str,
        make: impl FnOnce() -> (Arc<S>, LiveSink, LiveRequest),
    ) -> (Held, Arc<S>) {
        let mut registry = lock(&self.0.registry);
        if let Some(shared) = registry.get_mut(name)
            && let Ok(state) = Arc::clone(&shared.state).downcast::<S>()
        {
            shared.holders += 1;
            let id = shared.id;
            drop(registry);
            self.send(Command::Retain(id));
            return (Held { client: self.clone(), name: name.to_owned(), id }, state);
        }
        let (state, sink, request) = make();
        let id = QueryId(self.number());
        registry.insert(name.to_owned(), Shared { id, holders: 1, state: Arc::<S>::clone(&state) });
        drop(registry);
        self.send(Command::Attach { id, request: Box::new(request), sink });
        (Held { client: self.clone(), name: name.to_owned(), id }, state)
    }

    pub(crate) fn subscribe(&self, spec: SubscriptionSpec, sink: StreamSink) -> HeldStream {
        let id = StreamId(self.number());
        self.send(Command::Subscribe { id, spec, sink });
        HeldStream { client: self.clone(), id }
    }

    pub(crate) fn unsubscribe_all(&self) {
        self.send(Command::UnsubscribeAll);
    }

    pub(crate) fn connect(&self) {
        self.send(Command::Connect);
    }

    pub(crate) fn disconnect(&self) {
        self.send(Command::Disconnect);
    }

    pub(crate) fn retry_now(&self) {
        self.send(Command::Wake(Wake::Asked));
    }

    /// A login or a logout begins: nothing is written until it is told how it ended.
    pub(crate) fn hold_identity(&self) -> IdentityHold {
        self.send(Command::IdentityHeld);
        IdentityHold(Some(self.clone()))
    }

    /// The page found out who is here, and whom it had taken them for, if it had: if that is news here, too, the socket is opened
    /// anew, and everything is read again.
    pub(crate) fn found_visitor(&self, before: Option<Who>, who: Who) {
        self.send(Command::Visitor { before, who });
    }

    /// What waits is dropped with the session, and kept for nobody; nor is anything else that was kept for its user.
    pub(crate) fn forget_stores(&self, session: Session) {
        self.send(Command::ForgetStores(session));
    }

    /// Hears of what the platform notices from now on, be there nothing that is kept live.
    pub(crate) fn listen(&self) {
        self.send(Command::Listen);
    }

    /// What was refused has been told.
    pub(crate) fn forget_refused(&self) {
        self.send(Command::ForgetRefused);
    }

    /// Takes up the writes that were kept under this name, and keeps those to come; `who` is the visitor, if known.
    pub(crate) fn keep(&self, store: &str, who: Option<Who>) {
        self.send(Command::Keep { store: store.to_owned(), who });
    }

    /// The number of a write to be made.
    pub(crate) fn write_id(&self) -> WriteId {
        WriteId(self.number())
    }

    /// Makes a write, now or when Directus can be reached; its answer, when there is one.
    pub(crate) fn write(&self, intent: Intent, who: Option<Who>) -> oneshot::Receiver<Result<Value, Error>> {
        let (answer, receiver) = oneshot::channel();
        self.send(Command::Write { intent: Box::new(intent), who, answer });
        receiver
    }

    pub(crate) async fn inspect(&self) -> Counts {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Inspect(sender));
        receiver.await.unwrap_or_default()
    }
}

/// A login or a logout that is under way. One that is given up has ended, too: nobody knows how.
pub(crate) struct IdentityHold(Option<Client>);

impl IdentityHold {
    /// The session is another one now: the visitor's, if it is known whose; else nothing is written until it is.
    pub(crate) fn changed(mut self, who: Option<Who>) {
        if let Some(client) = self.0.take() {
            client.send(Command::IdentityChanged(who));
        }
    }

    /// It was refused: the session should be what it was.
    pub(crate) fn doubted(mut self) {
        if let Some(client) = self.0.take() {
            client.send(Command::IdentityDoubted);
        }
    }
}

impl Drop for IdentityHold {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            client.send(Command::IdentityLost);
        }
    }
}

/// One holder's share of a live query; dropping it gives the share back.
#[derive(Debug)]
pub(crate) struct Held {
    client: Client,
    name: String,
    id: QueryId,
}

impl Held {
    pub(crate) fn refetch(&self) {
        self.client.send(Command::Refetch(self.id));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut was_last = false;
        if let Some(shared) = lock(&self.client.0.registry).get_mut(&self.name)
            && shared.id == self.id
        {
            shared.holders -= 1;
            was_last = shared.holders == 0;
        }
        if was_last {
            self.client.send(Command::Release(self.id));
        }
    }
}

/// A stream's subscription; dropping it unsubscribes.
#[derive(Debug)]
pub(crate) struct HeldStream {
    client: Client,
    id: StreamId,
}

impl Drop for HeldStream {
    fn drop(&mut self) {
        self.client.send(Command::Unsubscribe(self.id));
    }
}

struct Reader {
    collection: String,
    query: Query,
    sink: LiveSink,
    /// The read that was sent last, as only its reply counts; and how many writes were done by then.
    sent: Option<(ReadId, u64, ReadScope)>,
    /// Whether the last reply was an answer of Directus.
    is_answered: bool,
    key_field: String,
    only_key: Option<Key>,
    origin: Option<String>,
    question: Option<Arc<Question>>,
}

impl Reader {
    /// Whether a write may show in this list.
    fn takes(&self, intent: &Intent) -> bool {
        let is_create = matches!(intent.layer.change, Change::Create(_));
        let is_it = |row: &RowKey, only: &Key| row.as_key().is_some_and(|key| key.may_be(only));
        let is_other = |only: &Key| intent.layer.row.as_ref().is_some_and(|row| !is_it(row, only));
        self.collection == intent.collection
            && self.key_field == intent.key_field
            && self.origin.as_ref().is_some_and(|origin| !is_create || *origin == intent.origin)
            && !self.only_key.as_ref().is_some_and(is_other)
    }
}

/// Whether a socket that opens may be somebody else's than the page thinks: where there was none for a while, the session may
/// have ended meanwhile, or have begun in another tab. A first one that opens at once is the one of the visitor whom the server
/// saw, and one that replaces another at once is that of a login or logout of our own.
#[derive(Default)]
struct Reopened {
    is_in_doubt: bool,
}

impl Reopened {
    fn notices(&mut self, status: &ConnectionStatus) -> bool {
        match status {
            ConnectionStatus::Connected => std::mem::take(&mut self.is_in_doubt),
            ConnectionStatus::Connecting { .. } => false,
            _ => {
                self.is_in_doubt = true;
                false
            }
        }
    }
}

struct Driver {
    engine: Engine,
    rest: Rest,
    target: SocketTarget,
    registry: Registry,
    status: StatusSink,
    queries: HashMap<QueryId, Reader>,
    streams: HashMap<StreamId, StreamSink>,
    outbox: Outbox,
    answers: HashMap<WriteId, Answer>,
    /// What this visitor is still to be told was refused.
    refused: VecDeque<RefusedWrite>,
    doing: FuturesUnordered<BoxFuture<'static, Done>>,
    stores: BTreeMap<String, Keeping>,
    reopened: Reopened,
    sight: Sight,
    visitor: Visitor,
    next: Arc<AtomicU64>,
}

/// Who was said to be here last.
enum Visitor {
    /// Nobody has said so.
    Unknown,
    /// Somebody logged in, and it is not known yet who: all that follows from it has been done.
    Untold,
    Is(Who),
}

impl Visitor {
    /// Whether somebody else is here now; `before` is whom somebody had taken them for.
    fn is_news(&self, before: Option<&Who>, who: &Who) -> bool {
        match self {
            Self::Unknown => before.is_some_and(|before| before != who),
            Self::Untold => false,
            Self::Is(known) => known != who,
        }
    }
}

/// Whose session ends with a logout.
pub(crate) enum Session {
    /// Directus said so.
    Of(String),
    /// Nobody said so now; this user was the last one who was named.
    MaybeOf(Who),
}

/// A store of writes: none until it is ours.
#[derive(Default)]
struct Keeping {
    store: Option<Store>,
    /// When it was asked for.
    since: Millis,
    /// Whether it was another page's until now: whoever was here before may have logged out there.
    is_handed_on: bool,
    /// Whose writes were taken up.
    open: Option<Who>,
    /// Theirs, and those of visitors who were here before, as long as there is anything in them.
    drawers: Vec<Drawer>,
}

/// What is kept for one visitor.
struct Drawer {
    who: Who,
    text: Option<String>,
    /// Whether the store has taken it.
    is_stored: bool,
}

/// What a visitor's writes are kept under.
fn drawer(who: &Who) -> String {
    who.as_ref().map_or_else(|| "anonymous".to_owned(), |who| format!("user {who}"))
}

/// Who comes back to a page sooner than this has logged in nowhere else.
const LONG_ENOUGH_TO_LOG_IN: Duration = Duration::from_secs(1);

/// Who waits longer for a store has waited for another page.
const HANDED_ON_AFTER: Millis = 1_000;

/// How often a read that nobody answered is taken for a sign that connections have died.
const SUSPECTED_AT_MOST_EVERY: Millis = 60_000;

/// What came of something that the outbox wanted done.
enum Done {
    Written(WriteId, Result<Value, Error>),
    Checked(WriteId, Result<Option<Value>, Error>),
    Found(Result<Who, Error>),
    Told(u64, Arc<Question>, Result<Word, Error>),
    Claimed(String, Option<Store>),
}

/// What came of a read.
type Replied = (QueryId, ReadId, Result<Page<Value>, Error>);

async fn read(rest: Rest, id: QueryId, read: ReadId, collection: String, query: Query) -> Replied {
    (id, read, rest.read_page(&collection, &query).await)
}

/// What the future gives; nothing ever, where there is none.
async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

impl Driver {
    /// Runs until the last handle is gone.
    async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let mut wakes = WakeEvents::listen();
        let mut reads = FuturesUnordered::new();
        let mut on_their_way: HashMap<QueryId, AbortHandle> = HashMap::new();
        let mut socket: Option<Socket> = None;
        let mut socket_number = 0;
        let mut opening = None;
        // What is kept open may be dead, and is not used once the link is back.
        let mut died_silently = false;
        let mut suspected: Option<Millis> = None;
        if transport::is_from_history() {
            // Its HTML may be older than the session.
            self.outbox.identity_doubted(transport::now());
            (self.status)(ClientEvent::IdentityInDoubt);
        }
        loop {
            self.open_stores();
            self.outbox_outputs();
            while let Some(output) = self.engine.next_output() {
                match output {
                    Output::Open(number) => {
                        socket = None;
                        socket_number = number;
                        let (http, target) = (self.rest.http().clone(), self.target.clone());
                        opening = Some(Box::pin(Socket::open(http, target)));
                    }
                    Output::Silent => died_silently = true,
                    Output::Close => {
                        socket = None;
                        opening = None;
                    }
                    Output::Send(message) => {
                        if let (Some(socket), Ok(text)) = (&mut socket, DirectusCodec::encode(&message)) {
                            socket.send(text);
                        }
                    }
                    Output::Status(status) => self.connection(status),
                    Output::IdentityInDoubt => {
                        self.identity_changed(transport::now(), None);
                        self.outbox_outputs();
                        (self.status)(ClientEvent::IdentityInDoubt);
                    }
                    Output::Read(id, number, scope) => {
                        if let Some(reader) = self.queries.get_mut(&id) {
                            reader.sent = Some((number, self.outbox.confirmed(), scope.clone()));
                            let (collection, query) =
                                (reader.collection.clone(), scope.query(&reader.query, &reader.key_field));
                            let (read, handle) = abortable(read(self.rest.clone(), id, number, collection, query));
                            reads.push(read);
                            // One that was lost with its link is not waited for any more.
                            if let Some(lost) = on_their_way.insert(id, handle) {
                                lost.abort();
                            }
                            // Whoever counts the reads is told.
                            (reader.sink)(News::Live(live::Output::Read(number, scope)));
                        }
                    }
                    Output::Live(id, live::Output::Shown(read)) => {
                        if let Some(reader) = self.queries.get_mut(&id)
                            && let Some((_, confirmed, scope)) = reader.sent.take_if(|(sent, ..)| *sent == read)
                        {
                            (reader.sink)(News::Read { confirmed, scope, is_answer: reader.is_answered });
                        }
                    }
                    Output::Live(id, output) => {
                        if let Some(reader) = self.queries.get_mut(&id) {
                            (reader.sink)(News::Live(output));
                        }
                    }
                    Output::Expired(id) => {
                        self.expired(id);
                        on_their_way.retain(|id, _| self.queries.contains_key(id));
                    }
                    Output::Stream(id, event) => {
                        if let Some(sink) = self.streams.get_mut(&id) {
                            sink(event);
                        }
                    }
                }
            }
            let sight = self.sight.deadline().filter(|_| !self.queries.is_empty());
            let pause = [self.engine.deadline(), self.outbox.deadline(), sight]
                .into_iter()
                .flatten()
                .min()
                .map(|at| at.saturating_sub(transport::now()));
            let happened = select_biased! {
                command = commands.next() => match command {
                    Some(command) => Happened::Command(command),
                    None => return,
                },
                event = or_never(socket.as_mut().map(Socket::next)).fuse() => Happened::Socket(event),
                opened = or_never(opening.as_mut()).fuse() => Happened::Opened(opened),
                reply = reads.select_next_some() => Happened::Reply(reply),
                done = self.doing.select_next_some() => Happened::Done(done),
                wake = wakes.next().fuse() => Happened::Wake(wake),
                () = or_never(pause.map(|millis| transport::sleep(Duration::from_millis(millis)))).fuse() => Happened::Tick,
            };
            let now = transport::now();
            match happened {
                Happened::Command(command) => self.command(now, command),
                Happened::Socket(SocketEvent::Text(text)) => match DirectusCodec::decode(text.as_str()) {
                    Ok::<ServerMessage, _>(frame) => {
                        if let Some(oddity) = frame.oddity() {
                            leptos::logging::warn!("Directus sent {oddity}");
                        }
                        self.engine.frame(now, frame);
                    }
                    Err(error) => {
                        leptos::logging::warn!("a frame of Directus was skipped: {error}");
                        self.engine.unreadable(now);
                    }
                },
                Happened::Socket(SocketEvent::Unreadable) => {
                    leptos::logging::warn!("a frame of Directus was skipped: it is not text");
                    self.engine.unreadable(now);
                }
                Happened::Socket(SocketEvent::Closed(reason)) => {
                    socket = None;
                    self.engine.closed(now, socket_number, &reason);
                }
                Happened::Opened(result) => {
                    opening = None;
                    match result {
                        Ok(open) => {
                            if std::mem::take(&mut died_silently) {
                                self.rest.renew_connections();
                            }
                            socket = Some(open);
                            self.engine.opened(now, socket_number);
                        }
                        Err(error) => self.engine.refused(now, socket_number, &error),
                    }
                }
                Happened::Reply(Ok((id, read, result))) => {
                    // Its connection may have died while there was no socket to notice; others that are kept open, too. Or Directus
                    // is slow, and needs no more work than it has.
                    if result.as_ref().is_err_and(Error::is_timeout)
                        && suspected.is_none_or(|at| now >= at.saturating_add(SUSPECTED_AT_MOST_EVERY))
                    {
                        suspected = Some(now);
                        self.rest.renew_connections();
                    }
                    if let Some(reader) = self.queries.get_mut(&id) {
                        reader.is_answered = result.as_ref().err().is_none_or(Error::is_refusal);
                    }
                    self.engine.reply(now, id, read, result);
                }
                Happened::Reply(Err(Aborted)) => {}
                Happened::Done(Done::Written(write, result)) => self.outbox.answered(now, write, result),
                Happened::Done(Done::Checked(write, result)) => self.outbox.checked(now, write, result),
                Happened::Done(Done::Found(who)) => self.found(now, who),
                Happened::Done(Done::Told(era, question, word)) => {
                    if self.sight.told(now, era, &question, word) {
                        self.look_for_all(now);
                    }
                }
                Happened::Done(Done::Claimed(name, store)) => {
                    if let Some(keeping) = self.stores.get_mut(&name) {
                        keeping.store = store;
                        keeping.is_handed_on = now >= keeping.since.saturating_add(HANDED_ON_AFTER);
                    }
                }
                Happened::Wake(wake) => self.wake(now, wake),
                Happened::Tick => {
                    self.engine.tick(now);
                    self.outbox.tick(now);
                    if self.sight.tick(now) {
                        self.look_for_all(now);
                    }
                }
            }
        }
    }

    /// Does what the outbox decides.
    fn outbox_outputs(&mut self) {
        let mut is_pending_news = false;
        while let Some(output) = self.outbox.next_output() {
            match output {
                OutboxOutput::Send(write) => {
                    let Some(intent) = self.outbox.intent(write).cloned() else { continue };
                    let (rest, key) = (self.rest.clone(), self.outbox.key(&intent));
                    let work = async move { Done::Written(write, rest.write(&intent, key.as_ref()).await) };
                    self.doing.push(work.boxed());
                }
                OutboxOutput::Compare(write) => {
                    let Some(intent) = self.outbox.intent(write).cloned() else { continue };
                    let (rest, key, fields) =
                        (self.rest.clone(), self.outbox.key(&intent), self.outbox.compares(write));
                    let work = async move {
                        let found = match key {
                            Some(key) => rest.fields_of_row(&intent, &key, &fields).await,
                            None => Ok(None),
                        };
                        Done::Checked(write, found)
                    };
                    self.doing.push(work.boxed());
                }
                OutboxOutput::Check(write) => {
                    let Some(intent) = self.outbox.intent(write).cloned() else { continue };
                    let (rest, key) = (self.rest.clone(), self.outbox.key(&intent));
                    let is_accepted = self.outbox.is_accepted(write);
                    let work = async move {
                        let found = match key {
                            Some(key) if is_accepted => rest.row_after_update(&intent, &key).await,
                            Some(key) => rest.row(&intent, &key).await,
                            None => Ok(None),
                        };
                        Done::Checked(write, found)
                    };
                    self.doing.push(work.boxed());
                }
                OutboxOutput::Ask => {
                    let rest = self.rest.clone();
                    self.doing.push(async move { Done::Found(rest.who().await) }.boxed());
                }
                OutboxOutput::Tell(intent, progress) => {
                    is_pending_news = true;
                    let is_told = self.tell(&intent, &progress);
                    if let (Progress::Refused(error), false) = (progress, is_told) {
                        self.remember_refused(*intent, error);
                    }
                }
                OutboxOutput::Disown(intent, error) => {
                    is_pending_news = true;
                    self.tell(&intent, &Progress::Refused(error));
                }
                OutboxOutput::Touch(collection, key) => {
                    let keys: Vec<Key> = key.into_iter().collect();
                    self.engine.touch(transport::now(), &collection, &keys);
                }
            }
        }
        self.fill_stores();
        if is_pending_news {
            (self.status)(ClientEvent::Pending(self.outbox.pending().collect()));
        }
    }

    /// Takes up what was kept for this visitor, once it is known who they are: nobody else is to see it.
    fn open_stores(&mut self) {
        let is_known = self.outbox.who().cloned();
        for (name, Keeping { store, open, drawers, is_handed_on, .. }) in &mut self.stores {
            let (Some(who), now) = (&is_known, transport::now()) else { continue };
            if open.as_ref() == Some(who) {
                continue;
            }
            let Some(store) = store else {
                // There is none, or it is not this page's turn yet.
                self.outbox.take_up(now, name, who);
                continue;
            };
            let kept = store.load(&drawer(who));
            match drawers.iter_mut().find(|drawer| drawer.who == *who) {
                Some(theirs) => {
                    if kept.is_none() && std::mem::take(&mut theirs.is_stored) {
                        // They logged out in another tab meanwhile.
                        theirs.text = None;
                        self.outbox.forget_store(name, who);
                    }
                    self.outbox.take_up(now, name, who);
                }
                None => {
                    self.outbox.take_up(now, name, who);
                    // What an earlier page kept goes before.
                    let next = || WriteId(self.next.fetch_add(1, Ordering::Relaxed));
                    self.outbox.restore(now, kept.as_deref().unwrap_or_default(), name, who, next);
                    drawers.push(Drawer { who: who.clone(), is_stored: kept.is_some(), text: kept });
                }
            }
            // What was put aside before this store was ours is kept in it, where nothing of an earlier page is. Not what may be of
            // somebody who logged out where it was: it stays in memory.
            let absent = if *is_handed_on { BTreeSet::new() } else { self.outbox.absent(name) };
            for absent in absent {
                if drawers.iter().all(|drawer| drawer.who != absent) && store.load(&drawer(&absent)).is_none() {
                    drawers.push(Drawer { who: absent, text: None, is_stored: false });
                }
            }
            *open = Some(who.clone());
        }
    }

    /// Keeps what is not done yet, for whoever wrote it.
    fn fill_stores(&mut self) {
        for (name, Keeping { store, open, drawers, .. }) in &mut self.stores {
            let Some(store) = store else { continue };
            for Drawer { who, text, is_stored } in drawers.iter_mut() {
                let mut now = self.outbox.saved(name, who);
                if now != *text && *is_stored && store.load(&drawer(who)).is_none() {
                    // They logged out in another tab: what it has removed stays so.
                    self.outbox.forget_store(name, who);
                    now = self.outbox.saved(name, who);
                }
                if now != *text {
                    *is_stored = store.save(&drawer(who), now.as_deref());
                    *text = now;
                }
            }
            drawers.retain(|drawer| drawer.text.is_some() || open.as_ref() == Some(&drawer.who));
        }
    }

    /// The visitor logs out: nothing that they wrote is anybody's to find, on whichever page it was kept. Where nobody said whose
    /// session it was, it is that of whoever was here last.
    fn forget_stores(&mut self, session: Session) {
        let gone: BTreeSet<Who> = match session {
            Session::Of(user) => [Some(user)].into(),
            Session::MaybeOf(user) => {
                let open = self.stores.values().filter_map(|keeping| keeping.open.as_ref());
                let known = open.chain(self.outbox.last_known()).cloned();
                known.chain([user]).filter(Option::is_some).collect()
            }
        };
        self.outbox.forget_stores(&gone);
        self.fill_stores();
        gone.iter().for_each(|who| Store::forget(&drawer(who)));
    }

    /// Tells the lists, and whoever waits for the write; whether one of them shows what became of it.
    fn tell(&mut self, intent: &Intent, progress: &Progress) -> bool {
        let mut is_told = false;
        for (id, reader) in self.queries.iter_mut().filter(|(_, reader)| reader.takes(intent)) {
            is_told |= reader.origin.as_ref() == Some(&intent.origin) && self.engine.is_shown(*id);
            (reader.sink)(News::Write(Box::new(intent.clone()), progress.clone()));
        }
        let result = match progress {
            Progress::Waiting | Progress::Sent => return is_told,
            Progress::Confirmed { answer, .. } => Ok(answer.as_ref().map_or(Value::Null, |row| (**row).clone())),
            Progress::Refused(error) => Err(error.clone()),
        };
        // Nobody may be waiting: a write goes on without.
        let answer = self.answers.remove(&intent.layer.write);
        is_told | answer.is_some_and(|answer| answer.send(result).is_ok())
    }

    fn remember_refused(&mut self, intent: Intent, error: Error) {
        if self.refused.len() == REFUSED_AT_MOST {
            self.refused.pop_front();
        }
        let Layer { write: id, row, change, .. } = intent.layer;
        self.refused.push_back(RefusedWrite { id, collection: intent.collection, row, change, error });
        self.tell_refused();
    }

    /// Somebody else is here now: what was refused was not theirs.
    fn forget_refused_of_another(&mut self) {
        for reader in self.queries.values_mut() {
            (reader.sink)(News::AnotherVisitor);
        }
        self.forget_refused();
    }

    fn forget_refused(&mut self) {
        if !self.refused.is_empty() {
            self.refused.clear();
            self.tell_refused();
        }
    }

    fn tell_refused(&mut self) {
        (self.status)(ClientEvent::Refused(self.refused.iter().cloned().collect()));
    }

    fn connection(&mut self, status: ConnectionStatus) {
        let now = transport::now();
        let is_in_doubt = self.reopened.notices(&status);
        if is_in_doubt {
            self.outbox.identity_doubted(now);
            self.want_who(now);
        }
        if is_in_doubt {
            self.sight.hope();
        }
        match status {
            ConnectionStatus::Connected => {
                self.outbox.link_up(now);
                self.look_for_all(now);
            }
            ConnectionStatus::Reconnecting { .. } => self.outbox.link_lost(now),
            _ => {}
        }
        (self.status)(ClientEvent::Status(status));
        if is_in_doubt {
            (self.status)(ClientEvent::IdentityInDoubt);
        }
        self.outbox_outputs();
    }

    /// The visitor is somebody else now, or may be; what was kept for whoever it is, is to be taken up.
    fn identity_changed(&mut self, now: Millis, who: Option<Who>) {
        self.forget_refused_of_another();
        self.outbox.identity_changed(now, who);
        self.want_who(now);
        self.sight.doubt();
        self.look_for_all(now);
    }

    /// Finds out where the relations of this query lead: what is known of it now.
    fn look(&mut self, question: &Arc<Question>) -> Option<Leads> {
        match self.sight.look(question) {
            Look::Seen(leads) => Some(leads),
            Look::Ask(era) => {
                let (informant, rest) = (self.sight.informant(), self.rest.clone());
                let question = Arc::clone(question);
                let work = async move {
                    let word = informant.ask(rest, Arc::clone(&question)).await;
                    Done::Told(era, question, word)
                };
                self.doing.push(work.boxed());
                None
            }
            Look::Nothing => None,
        }
    }

    fn look_for_all(&mut self, now: Millis) {
        let asking = self.queries.iter().filter_map(|(id, reader)| Some((*id, reader.question.clone()?)));
        for (id, question) in asking.collect::<Vec<_>>() {
            if let Some(leads) = self.look(&question) {
                self.engine.find(now, id, &leads);
            }
        }
    }

    /// Directus says who the visitor is; somebody else than was thought makes all that is shown doubtful.
    fn found(&mut self, now: Millis, who: Result<Who, Error>) {
        let before = self.outbox.last_known().cloned();
        self.outbox.found(now, who);
        let Some(who) = self.outbox.last_known().cloned() else { return };
        let is_news = self.visitor.is_news(before.as_ref(), &who);
        // Where nobody was named before, the page may know better whom this follows upon.
        if is_news || !matches!(self.visitor, Visitor::Unknown) {
            self.visitor = Visitor::Is(who);
        }
        if is_news {
            self.forget_refused_of_another();
            self.sight.doubt();
            self.look_for_all(now);
            self.engine.identity_changed(now);
            (self.status)(ClientEvent::IdentityInDoubt);
        }
    }

    fn want_who(&mut self, now: Millis) {
        if !self.stores.is_empty() {
            self.outbox.want_who(now, None);
        }
    }

    fn wake(&mut self, now: Millis, wake: Wake) {
        self.engine.wake(now, wake);
        match wake {
            // Before anything is sent, it is asked whether Directus can be reached: what fails on its way may have arrived.
            Wake::Offline => self.outbox.link_lost(now),
            // Somebody may have logged in or out in the tab that was seen meanwhile.
            Wake::Visible { hidden } => {
                if hidden >= LONG_ENOUGH_TO_LOG_IN {
                    self.outbox.identity_doubted(now);
                    (self.status)(ClientEvent::IdentityInDoubt);
                }
                self.outbox.wake(now);
            }
            Wake::Online | Wake::Asked => self.outbox.wake(now),
        }
    }

    fn command(&mut self, now: Millis, command: Command) {
        match command {
            Command::Attach { id, request, sink } => {
                let mut request = *request;
                // Not before: what is shared goes by the configuration, and no two pages should try again in one instant.
                request.spec.config.seed = transport::seed();
                let mut reader = Reader {
                    collection: request.spec.collection.clone(),
                    query: request.query,
                    sink,
                    sent: None,
                    is_answered: false,
                    key_field: request.spec.config.key_field.clone(),
                    only_key: request.spec.config.only_key.clone(),
                    origin: request.origin,
                    question: request.question,
                };
                if let Some(question) = reader.question.clone() {
                    self.sight.learn(&question, request.seen);
                    request.spec.found = self.look(&question);
                }
                // What waits shows in lists that come into being meanwhile, too.
                for (intent, is_sent) in self.outbox.intents() {
                    if !reader.takes(intent) {
                        continue;
                    }
                    for stage in [Some(Progress::Waiting), is_sent.then_some(Progress::Sent)].into_iter().flatten() {
                        (reader.sink)(News::Write(Box::new(intent.clone()), stage));
                    }
                }
                self.queries.insert(id, reader);
                // Rows of HTML that may be older than the session are not shown for as long as a socket takes.
                let are_old = request.initial.is_some() && transport::is_from_history();
                self.engine.attach(now, id, request.spec, request.initial);
                if are_old {
                    self.engine.refetch(now, id);
                }
            }
            Command::Release(id) => self.engine.release(now, id),
            Command::Retain(id) => self.engine.retain(id),
            Command::Refetch(id) => self.engine.refetch(now, id),
            Command::Subscribe { id, spec, sink } => {
                self.streams.insert(id, sink);
                self.engine.subscribe(now, id, spec);
            }
            Command::Unsubscribe(id) => {
                self.streams.remove(&id);
                self.engine.unsubscribe(now, id);
            }
            Command::UnsubscribeAll => {
                for (id, _) in self.streams.drain() {
                    self.engine.unsubscribe(now, id);
                }
            }
            Command::Connect => self.engine.connect(now),
            Command::Disconnect => self.engine.disconnect(now),
            Command::Write { intent, who, answer } => {
                self.answers.insert(intent.layer.write, answer);
                self.outbox.push(now, *intent, who);
            }
            Command::Keep { store, who } => {
                if !self.stores.contains_key(&store) {
                    self.stores.insert(store.clone(), Keeping { since: now, ..Keeping::default() });
                    let claim = Store::claim(store.clone());
                    self.doing.push(async move { Done::Claimed(store, claim.await) }.boxed());
                }
                self.outbox.want_who(now, who);
            }
            Command::IdentityHeld => self.outbox.hold(),
            Command::IdentityDoubted => {
                self.outbox.release();
                self.outbox.identity_doubted(now);
            }
            Command::ForgetStores(session) => self.forget_stores(session),
            Command::ForgetRefused => self.forget_refused(),
            Command::Listen => {}
            Command::Visitor { before, who } => {
                // Where the page knew nobody, whoever waits to write may have been named.
                let before = before.or_else(|| self.outbox.last_known().cloned());
                let is_news = self.visitor.is_news(before.as_ref(), &who);
                self.visitor = Visitor::Is(who.clone());
                if is_news {
                    // They logged in or out elsewhere.
                    self.identity_changed(now, Some(who));
                    self.engine.identity_changed(now);
                }
            }
            Command::IdentityChanged(who) => self.logged_in_or_out(now, who),
            Command::IdentityLost => {
                self.logged_in_or_out(now, None);
                (self.status)(ClientEvent::IdentityInDoubt);
            }
            Command::Wake(wake) => self.wake(now, wake),
            Command::Inspect(sender) => {
                let counts = self.engine.counts();
                let timers = counts.timers.max(usize::from(self.outbox.deadline().is_some()));
                let writes = self.outbox.pending().count();
                // Nobody may be waiting any more.
                let _ = sender.send(Counts { writes, timers, ..counts });
            }
        }
    }

    /// On this page; nothing if it is not known yet who is here now.
    fn logged_in_or_out(&mut self, now: Millis, who: Option<Who>) {
        self.visitor = who.clone().map_or(Visitor::Untold, Visitor::Is);
        self.outbox.release();
        self.identity_changed(now, who);
        self.engine.identity_changed(now);
    }

    fn expired(&mut self, id: QueryId) {
        let mut registry = lock(&self.registry);
        let held = registry.values().any(|shared| shared.id == id && shared.holders > 0);
        if held {
            self.engine.retain(id);
        } else {
            registry.retain(|_, shared| shared.id != id);
            drop(registry);
            self.queries.remove(&id);
            self.engine.detach(transport::now(), id);
        }
    }
}

enum Happened {
    Command(Command),
    Socket(SocketEvent),
    Opened(Result<Socket, Error>),
    Reply(Result<Replied, Aborted>),
    Done(Done),
    Wake(Wake),
    Tick,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> ConnectionStatus {
        ConnectionStatus::Reconnecting { attempt: 1, retry_in: Duration::ZERO, reason: "lost".to_owned() }
    }

    #[test]
    fn each_socket_but_a_first_that_opened_at_once_puts_the_visitor_in_doubt() {
        let mut page = Reopened::default();
        assert!(!page.notices(&ConnectionStatus::Connecting { attempt: 1 }));
        assert!(!page.notices(&ConnectionStatus::Connected), "the server has just said who it is");
        assert!(!page.notices(&lost()));
        assert!(page.notices(&ConnectionStatus::Connected));
        assert!(!page.notices(&ConnectionStatus::Connecting { attempt: 1 }));
        assert!(!page.notices(&ConnectionStatus::Connected), "its own login or logout");
        assert!(!page.notices(&ConnectionStatus::Idle));
        assert!(!page.notices(&ConnectionStatus::Connecting { attempt: 1 }));
        assert!(page.notices(&ConnectionStatus::Connected), "there was no socket for a while");
        let mut page = Reopened::default();
        assert!(!page.notices(&lost()));
        assert!(page.notices(&ConnectionStatus::Connected), "Directus was down while the page was rendered");
    }

    /// It failed: without a list, a page whose user came with the HTML never heard of a login in another tab.
    #[cfg(feature = "native")]
    #[tokio::test]
    async fn whoever_asks_who_is_here_hears_of_a_login_elsewhere_without_any_list() {
        let _ = any_spawner::Executor::init_tokio();
        let owner = leptos::prelude::Owner::new();
        owner.set();
        let directus = crate::Directus::native(crate::NativeOptions::new("http://127.0.0.1:9"));
        directus.provide();
        let core = directus.core();
        core.identity.settle(core.identity.begin(), None);
        let _auth = crate::use_directus_auth();
        let heard = async {
            while lock(&core.client().unwrap().0.dormant).is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), heard).await.expect("somebody listens");
    }
}
