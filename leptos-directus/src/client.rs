//! The driver: does what the engine decides, and the handle by which everybody else reaches it.

use std::{
    any::Any,
    collections::HashMap,
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
    future::{AbortHandle, Aborted, abortable},
    select_biased,
    stream::FuturesUnordered,
};
use serde_json::Value;

use crate::{
    connection::{ConnectionConfig, ConnectionStatus, Millis, Notice, SubscriptionSpec, Wake},
    engine::{Counts, Engine, Output, QueryId, QuerySpec, StreamId},
    error::Error,
    live::{self, ReadId},
    protocol::{DirectusCodec, Query, ServerMessage},
    rest::{Page, Rest},
    transport::{self, Socket, SocketEvent, SocketTarget, WakeEvents},
};

/// Where rows and states of a live query go.
pub(crate) type LiveSink = Box<dyn FnMut(live::Output) + Send>;
/// Where the events of a stream go.
pub(crate) type StreamSink = Box<dyn FnMut(Notice) + Send>;
/// Who is told of the connection's state.
pub(crate) type StatusSink = Box<dyn FnMut(ClientEvent) + Send>;

/// What concerns the whole page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClientEvent {
    Status(ConnectionStatus),
    IdentityInDoubt,
}

/// What a live query reads.
#[derive(Clone, Debug)]
pub(crate) struct LiveRequest {
    pub(crate) spec: QuerySpec,
    pub(crate) query: Query,
    pub(crate) initial: Option<Page<Value>>,
}

enum Command {
    Attach { id: QueryId, request: Box<LiveRequest>, sink: LiveSink },
    Release(QueryId),
    Retain(QueryId),
    Refetch(QueryId),
    Subscribe { id: StreamId, spec: SubscriptionSpec, sink: StreamSink },
    Unsubscribe(StreamId),
    UnsubscribeAll,
    Connect,
    Disconnect,
    IdentityChanged,
    Wake(Wake),
    Inspect(oneshot::Sender<Counts>),
}

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
    next: AtomicU64,
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
            next: AtomicU64::new(0),
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

    pub(crate) fn identity_changed(&self) {
        self.send(Command::IdentityChanged);
    }

    pub(crate) async fn inspect(&self) -> Counts {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Inspect(sender));
        receiver.await.unwrap_or_default()
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
    key_field: String,
    query: Query,
    sink: LiveSink,
}

struct Driver {
    engine: Engine,
    rest: Rest,
    target: SocketTarget,
    registry: Registry,
    status: StatusSink,
    queries: HashMap<QueryId, Reader>,
    streams: HashMap<StreamId, StreamSink>,
}

/// What came of a read.
type Answer = (QueryId, ReadId, Result<Page<Value>, Error>);

async fn read(rest: Rest, id: QueryId, read: ReadId, collection: String, query: Query) -> Answer {
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
        loop {
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
                    Output::Status(status) => (self.status)(ClientEvent::Status(status)),
                    Output::IdentityInDoubt => (self.status)(ClientEvent::IdentityInDoubt),
                    Output::Read(id, number, scope) => {
                        if let Some(reader) = self.queries.get_mut(&id) {
                            let (collection, query) =
                                (reader.collection.clone(), scope.query(&reader.query, &reader.key_field));
                            let (read, handle) = abortable(read(self.rest.clone(), id, number, collection, query));
                            reads.push(read);
                            // One that was lost with its link is not waited for any more.
                            if let Some(lost) = on_their_way.insert(id, handle) {
                                lost.abort();
                            }
                            // Whoever counts the reads is told.
                            (reader.sink)(live::Output::Read(number, scope));
                        }
                    }
                    Output::Live(id, output) => {
                        if let Some(reader) = self.queries.get_mut(&id) {
                            (reader.sink)(output);
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
            let pause = self.engine.deadline().map(|at| at.saturating_sub(transport::now()));
            let happened = select_biased! {
                command = commands.next() => match command {
                    Some(command) => Happened::Command(command),
                    None => return,
                },
                event = or_never(socket.as_mut().map(Socket::next)).fuse() => Happened::Socket(event),
                opened = or_never(opening.as_mut()).fuse() => Happened::Opened(opened),
                reply = reads.select_next_some() => Happened::Reply(reply),
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
                Happened::Reply(Ok((id, read, result))) => self.engine.reply(now, id, read, result),
                Happened::Reply(Err(Aborted)) => {}
                Happened::Wake(wake) => self.engine.wake(now, wake),
                Happened::Tick => self.engine.tick(now),
            }
        }
    }

    fn command(&mut self, now: Millis, command: Command) {
        match command {
            Command::Attach { id, request, sink } => {
                let mut request = *request;
                // Not before: what is shared goes by the configuration, and no two pages should try again in one instant.
                request.spec.config.seed = transport::seed();
                let reader = Reader {
                    collection: request.spec.collection.clone(),
                    key_field: request.spec.config.key_field.clone(),
                    query: request.query,
                    sink,
                };
                self.queries.insert(id, reader);
                self.engine.attach(now, id, request.spec, request.initial);
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
            Command::IdentityChanged => self.engine.identity_changed(now),
            Command::Wake(wake) => self.engine.wake(now, wake),
            // Nobody may be waiting any more.
            Command::Inspect(sender) => drop(sender.send(self.engine.counts())),
        }
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
    Reply(Result<Answer, Aborted>),
    Wake(Wake),
    Tick,
}
