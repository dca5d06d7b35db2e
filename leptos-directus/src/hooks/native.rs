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
    live::{LiveStatus, Output, RowChanges},
    protocol::{Key, Query, Secret},
    rest::Rest,
    transport::{Credentials, HttpClient, SocketTarget},
};

/// Where Directus is, and as whom. Made by value:
///
/// ```
/// use leptos_directus::NativeOptions;
///
/// let options = NativeOptions::new("https://cms.example").token("a static token");
/// assert!(!format!("{options:?}").contains("static token"));
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
        let target = Target::new::<Value>(&collection, &options, query);
        let core = self.core();
        let Some(client) = core.client() else { return LiveRows { held: None, board: Arc::default() } };
        let unasked_key = target.unasked_key().map(str::to_owned);
        let (held, board) = client.hold(&client.own_name(), || {
            let board = Arc::new(Board::default());
            let sink: LiveSink = Box::new({
                let board = Arc::clone(&board);
                let mut mirror = Mirror { unasked_key, order: Vec::new(), rows: HashMap::new() };
                move |news| match news {
                    News::Live(output) => board.output(&mut mirror, output),
                    News::Write(..) | News::Read { .. } => {}
                }
            });
            let request =
                LiveRequest { spec: target.spec.clone(), query: target.query().clone(), initial: None, origin: None };
            (board, sink, request)
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

/// The rows as changes make them.
struct Mirror {
    unasked_key: Option<String>,
    order: Vec<Key>,
    rows: HashMap<Key, Arc<Value>>,
}

impl Mirror {
    fn apply(&mut self, changes: RowChanges) {
        for key in &changes.removed {
            self.rows.remove(key);
        }
        self.rows.extend(changes.changed);
        if let Some(order) = changes.order {
            self.order = order;
        }
    }

    /// The rows in order, without a key that was asked for only because we need it.
    fn rows(&self) -> Vec<Value> {
        let rows = self.order.iter().filter_map(|key| self.rows.get(key));
        rows.map(|row| {
            let mut row = (**row).clone();
            if let (Some(field), Value::Object(fields)) = (&self.unasked_key, &mut row) {
                fields.shift_remove(field);
            }
            row
        })
        .collect()
    }
}

/// The latest snapshot, for one reader.
#[derive(Default)]
struct Board(Mutex<Posted>);

#[derive(Default)]
struct Posted {
    snapshot: Snapshot,
    is_new: bool,
    reader: Option<Waker>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn output(&self, mirror: &mut Mirror, output: Output) {
        let mut posted = self.lock();
        match output {
            Output::Rows(changes) => {
                mirror.apply(changes);
                posted.snapshot.rows = mirror.rows();
            }
            Output::Status(status, error) => {
                posted.snapshot.status = status;
                posted.snapshot.error = error;
            }
            Output::Meta(_) | Output::Read(_) => return,
        }
        posted.is_new = true;
        if let Some(reader) = posted.reader.take() {
            reader.wake();
        }
    }
}

/// The stream of [`Directus::watch`]; dropping it ends the query after the linger.
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
        self.board.lock().snapshot.clone()
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
            return Poll::Ready(Some(posted.snapshot.clone()));
        }
        posted.reader = Some(context.waker().clone());
        Poll::Pending
    }
}
