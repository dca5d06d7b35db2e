//! The same connection without a browser: for server-side consumers, tools and tests.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::Stream;
use serde_json::Value;

use super::{
    live_view::Target,
    use_directus::{Core, Directus},
    use_realtime_collection::UseRealtimeCollectionOptions,
};
use crate::{
    client::{Held, LiveRequest, LiveSink, News},
    connection::ConnectionConfig,
    error::Error,
    live::{LiveStatus, Output, ReadScope, RowChanges, as_asked},
    protocol::{Key, Query, Secret},
    rest::{Rest, Seen},
    transport::{Credentials, HttpClient, SocketTarget},
};

/// Where Directus is, and as whom. Made by value:
///
/// ```
/// use leptos_directus::NativeOptions;
///
/// let options = NativeOptions::new("https://cms.example").token("a static token");
/// assert!(!format!("{options:?}").contains("static token"));
///
/// // As somebody who logged in, through the proxy of a page's server.
/// use leptos_directus::connection::ConnectionConfig;
/// use std::time::Duration;
///
/// let as_visitor = NativeOptions::new("https://news.example/directus")
///     .ws_url("wss://news.example/directus-ws")
///     .session("directus_session_token", "their cookie")
///     .connection(ConnectionConfig { ping_after: Duration::from_secs(30), ..ConnectionConfig::default() })
///     .linger(Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NativeOptions {
    rest_url: String,
    ws_url: Option<String>,
    credentials: Credentials,
    connection: ConnectionConfig,
}

impl NativeOptions {
    /// Directus at this address, as the public role.
    pub fn new(directus_url: impl Into<String>) -> Self {
        Self {
            rest_url: directus_url.into(),
            ws_url: None,
            credentials: Credentials::Ambient,
            connection: ConnectionConfig::default(),
        }
    }

    /// The WebSocket's address, where it is not the address of Directus with `/websocket`: `ws://host/directus-ws`, say.
    pub fn ws_url(mut self, url: impl Into<String>) -> Self {
        self.ws_url = Some(url.into());
        self
    }

    /// A static token, or an access token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token(Secret::new(token));
        self
    }

    /// The session cookie of somebody who logged in, by name (`directus_session_token`) and value.
    pub fn session(mut self, cookie: impl Into<String>, value: impl Into<String>) -> Self {
        self.credentials = Credentials::Session(cookie.into(), Secret::new(value));
        self
    }

    /// How long the socket outlives its last user. 5 s by default.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.connection.linger = linger;
        self
    }

    /// All of the connection's times.
    pub fn connection(mut self, config: ConnectionConfig) -> Self {
        self.connection = config;
        self
    }
}

impl Directus {
    /// A connection on tokio, without a browser: hooks below [`provide`](Self::provide) are live, as they are in one.
    ///
    /// # Example
    /// ```no_run
    /// use leptos::prelude::*;
    /// use leptos_directus::{Directus, NativeOptions, Query, use_realtime_collection};
    /// use serde_json::Value;
    ///
    /// # async fn example() {
    /// let owner = Owner::new();
    /// owner.set();
    /// Directus::native(NativeOptions::new("http://127.0.0.1:8055")).provide();
    /// let posts = use_realtime_collection::<Value>("posts", Query::new());
    /// let rows = posts.items();
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the first subscription or read is made outside a tokio runtime.
    #[must_use]
    pub fn native(options: NativeOptions) -> Self {
        let NativeOptions { rest_url, ws_url, credentials, connection } = options;
        let ws_url = ws_url.unwrap_or_else(|| {
            let base = rest_url.trim_end_matches('/');
            let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
            format!("{}://{rest}/websocket", if scheme == "https" { "wss" } else { "ws" })
        });
        let rest = Rest::new(HttpClient::default(), &rest_url, credentials.clone());
        Self::from_core(Core::live(rest, SocketTarget { url: ws_url, credentials }, connection))
    }

    /// Makes this the connection of every hook below.
    pub fn provide(self) {
        leptos::prelude::provide_context(self);
    }

    /// Keeps a query's rows equal to what REST would return, as a stream of snapshots: the first when there is something to
    /// tell, then one after each change. A reader who is slower than the changes gets the latest.
    ///
    /// # Example
    /// ```no_run
    /// use futures::StreamExt;
    /// use leptos_directus::{Directus, NativeOptions, Query, UseRealtimeCollectionOptions};
    ///
    /// # async fn example() {
    /// let directus = Directus::native(NativeOptions::new("http://127.0.0.1:8055"));
    /// let mut posts = directus.watch("posts", Query::new().sort(["-id"]).limit(3), UseRealtimeCollectionOptions::default());
    /// while let Some(snapshot) = posts.next().await {
    ///     println!("{} rows, {}", snapshot.rows.len(), snapshot.status.as_str());
    /// }
    /// # }
    /// ```
    ///
    /// # Server-side rendering
    /// On a handle that renders a page, the stream ends at once.
    pub fn watch(self, collection: impl Into<String>, query: Query, options: UseRealtimeCollectionOptions) -> LiveRows {
        let collection = collection.into();
        // Nothing is written here that could be kept.
        let options = UseRealtimeCollectionOptions { persist: None, ..options };
        let target = Target::new::<Value>(&collection, &options, query);
        let core = self.core();
        let Some(client) = core.client() else { return LiveRows { held: None, board: Arc::default() } };
        let (held, board) = client.hold(&client.own_name(), || {
            let board = Arc::new(Board::new(target.unasked().to_vec()));
            let sink: LiveSink = Box::new({
                let board = Arc::clone(&board);
                move |news| match news {
                    News::Live(output) => board.output(output),
                    News::Write(..) | News::Read { .. } | News::AnotherVisitor => {}
                }
            });
            let request = target.request(None, Seen::NotAsked);
            (board, sink, LiveRequest { origin: None, ..request })
        });
        LiveRows { held: Some(held), board }
    }
}

/// What a live query shows at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// How true it is.
    pub status: LiveStatus,
    /// What is wrong, if anything is.
    pub error: Option<Error>,
    /// The rows, with the fields, values and order that REST gives them.
    pub rows: Vec<Value>,
}

/// How often a live query was read; see [`LiveRows::reads`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Reads of the whole window.
    pub windows: u64,
    /// Reads of the rows in doubt alone.
    pub keys: u64,
}

/// The rows as changes make them.
#[derive(Default)]
struct Mirror {
    /// Fields that were read only because we need them.
    unasked: Vec<String>,
    order: Vec<Key>,
    rows: HashMap<Key, Arc<Value>>,
}

impl Mirror {
    fn apply(&mut self, changes: RowChanges) {
        changes.apply_order(&mut self.order);
        for key in &changes.removed {
            self.rows.remove(key);
        }
        self.rows.extend(changes.changed);
    }

    /// The rows in order, as they were asked for.
    fn rows(&self) -> Vec<Value> {
        let rows = self.order.iter().filter_map(|key| self.rows.get(key));
        rows.map(|row| as_asked(row, &self.unasked)).collect()
    }
}

/// What the latest snapshot is made of, for one reader: made when it is read, however many changes there were.
#[derive(Default)]
struct Board(Mutex<Posted>);

#[derive(Default)]
struct Posted {
    mirror: Mirror,
    status: LiveStatus,
    error: Option<Error>,
    reads: ReadCounts,
    is_new: bool,
    reader: Option<Waker>,
}

impl Posted {
    fn snapshot(&self) -> Snapshot {
        Snapshot { status: self.status, error: self.error.clone(), rows: self.mirror.rows() }
    }
}

impl Board {
    fn new(unasked: Vec<String>) -> Self {
        Self(Mutex::new(Posted { mirror: Mirror { unasked, ..Mirror::default() }, ..Posted::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn output(&self, output: Output) {
        let mut posted = self.lock();
        match output {
            Output::Rows(changes) => posted.mirror.apply(changes),
            Output::Status(status, error) => {
                posted.status = status;
                posted.error = error;
            }
            Output::Read(_, ReadScope::Window) => {
                posted.reads.windows += 1;
                return;
            }
            Output::Read(_, ReadScope::Keys(_)) => {
                posted.reads.keys += 1;
                return;
            }
            Output::Meta(_) | Output::Shown(_) => return,
        }
        posted.is_new = true;
        if let Some(reader) = posted.reader.take() {
            reader.wake();
        }
    }
}

/// The stream of [`Directus::watch`]; dropping it ends the query after the linger.
///
/// # Example
/// ```no_run
/// use futures::StreamExt;
/// use leptos_directus::{Directus, LiveRows, LiveStatus, NativeOptions, Query, ReadCounts, Snapshot};
///
/// # async fn example() {
/// let directus = Directus::native(NativeOptions::new("http://127.0.0.1:8055"));
/// let mut posts: LiveRows = directus.watch("posts", Query::new(), Default::default());
/// while posts.snapshot().status != LiveStatus::Live {
///     posts.next().await;
/// }
/// posts.refetch();
/// let Snapshot { rows, error, .. } = posts.snapshot();
/// let ReadCounts { windows, keys } = posts.reads();
/// println!("{} rows, {error:?}, {windows} reads of all and {keys} of some", rows.len());
/// # }
/// ```
#[must_use]
pub struct LiveRows {
    held: Option<Held>,
    board: Arc<Board>,
}

impl fmt::Debug for LiveRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRows").finish_non_exhaustive()
    }
}

impl LiveRows {
    /// The latest snapshot, whether or not it was read before.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.board.lock().snapshot()
    }

    /// How often the rows were read until now, and how much of them: for measuring.
    #[must_use]
    pub fn reads(&self) -> ReadCounts {
        self.board.lock().reads
    }

    /// Reads the rows again now.
    pub fn refetch(&self) {
        if let Some(held) = &self.held {
            held.refetch();
        }
    }
}

impl Stream for LiveRows {
    type Item = Snapshot;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.held.is_none() {
            return Poll::Ready(None);
        }
        let mut posted = self.board.lock();
        if std::mem::take(&mut posted.is_new) {
            return Poll::Ready(Some(posted.snapshot()));
        }
        posted.reader = Some(context.waker().clone());
        Poll::Pending
    }
}
