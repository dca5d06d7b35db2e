//! The provider and the handle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leptos::prelude::*;

use super::{SubscribeOptions, Subscribing, identity::Identity, page_reads::PageReads, signal::ArcSharedSignal};
use crate::{
    client::{Client, ClientEvent},
    connection::{ConnectionConfig, ConnectionStatus},
    engine::Counts,
    error::Error,
    live::{PendingWrite, RefusedWrite},
    rest::{Items, Rest, Visitor},
    transport::{self, Credentials, HttpClient, SocketTarget},
};

/// Where the page finds Directus, and with how much patience. Made by value:
///
/// ```
/// use leptos_directus::DirectusOptions;
/// use std::time::Duration;
///
/// let options = DirectusOptions::default().rest_path("/cms").ws_path("/cms-ws").linger(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DirectusOptions {
    rest_path: String,
    ws_path: String,
    linger: Duration,
}

impl Default for DirectusOptions {
    fn default() -> Self {
        let linger = ConnectionConfig::default().linger;
        Self { rest_path: "/directus".to_owned(), ws_path: "/directus-ws".to_owned(), linger }
    }
}

impl DirectusOptions {
    /// The path of the HTTP proxy on the page's own server. `/directus` by default.
    pub fn rest_path(mut self, path: impl Into<String>) -> Self {
        self.rest_path = path.into();
        self
    }

    /// The path of the WebSocket proxy on the page's own server. `/directus-ws` by default.
    pub fn ws_path(mut self, path: impl Into<String>) -> Self {
        self.ws_path = path.into();
        self
    }

    /// How long a live query, and after it the socket, outlives the last component that used it, so that going from page to
    /// page does not end and renew them. 5 s by default.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }
}

/// What all handles of one provider share.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) mode: Mode,
    pub(crate) status: ArcSharedSignal<ConnectionStatus>,
    /// When the status became what it is.
    status_since: Arc<AtomicU64>,
    pub(crate) identity: Identity,
    /// Writes of live lists that are not done yet, in order.
    pub(crate) pending: ArcSharedSignal<Vec<PendingWrite>>,
    /// Those that were refused while nobody was there to be told.
    refused: ArcSharedSignal<Vec<RefusedWrite>>,
    /// What the server reads for this page; nothing where there is a connection.
    pub(crate) reads: PageReads,
}

/// Whether there is a connection to be had.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// A browser, or a native handle: one socket, opened when first needed.
    Live(Client),
    /// A page is being rendered, or a server function runs: reads and writes only, as the visitor.
    Server(Result<Rest, Error>),
}

impl Core {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            status: ArcSharedSignal::new(ConnectionStatus::Idle),
            status_since: Arc::default(),
            identity: Identity::unknown(),
            pending: ArcSharedSignal::default(),
            refused: ArcSharedSignal::default(),
            reads: PageReads::default(),
        }
    }

    pub(crate) fn live(rest: Rest, target: SocketTarget, config: ConnectionConfig) -> Self {
        let mut core = Self::new(Mode::Server(Err(unprovided())));
        let (status, since, identity) = (core.status.clone(), Arc::clone(&core.status_since), core.identity.clone());
        let (pending, refused) = (core.pending.clone(), core.refused.clone());
        let sink = Box::new(move |event| match event {
            ClientEvent::Status(value) => {
                since.store(transport::now(), Ordering::Relaxed);
                status.set(value);
            }
            ClientEvent::IdentityInDoubt => identity.doubt(),
            ClientEvent::Pending(writes) => pending.set(writes),
            ClientEvent::Refused(writes) => refused.set(writes),
        });
        core.mode = Mode::Live(Client::new(rest, target, config, sink));
        core
    }

    fn server() -> Self {
        Self::new(Mode::Server(
            use_context::<Visitor>().map(|visitor| visitor.rest().for_rendering()).ok_or_else(unprovided),
        ))
    }

    pub(crate) fn rest(&self) -> Result<Rest, Error> {
        match &self.mode {
            Mode::Live(client) => Ok(client.rest().clone()),
            Mode::Server(rest) => rest.clone(),
        }
    }

    pub(crate) fn client(&self) -> Option<&Client> {
        match &self.mode {
            Mode::Live(client) => Some(client),
            Mode::Server(_) => None,
        }
    }
}

fn unprovided() -> Error {
    Error::usage(
        "Directus is not provided here: call `provide_directus(…)` in `App`, and on the server \
         `DirectusServer::provide_context` for each request",
    )
}

/// Gives every component below a connection to Directus. Called once, in `App`, in the browser and on the server alike.
///
/// Nothing is opened by it: the first hook that needs the socket opens it, after hydration.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{DirectusOptions, provide_directus};
///
/// #[component]
/// fn App() -> impl IntoView {
///     provide_directus(DirectusOptions::default());
///     view! { <main>"…"</main> }
/// }
/// ```
///
/// # Server-side rendering
/// Reads go to Directus directly, with the visitor's own session, which the server has put into the context
/// (`DirectusServer::provide_context`).
pub fn provide_directus(options: DirectusOptions) {
    let core = if transport::is_browser() {
        let rest = Rest::new(HttpClient::default(), &options.rest_path, Credentials::Ambient);
        let target = SocketTarget { url: options.ws_path, credentials: Credentials::Ambient };
        Core::live(rest, target, ConnectionConfig { linger: options.linger, ..ConnectionConfig::default() })
    } else {
        Core::server()
    };
    provide_context(Directus { core: StoredValue::new(Arc::new(core)) });
}

/// The connection that [`provide_directus`] gave.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::use_directus;
///
/// #[component]
/// fn Badge() -> impl IntoView {
///     let directus = use_directus();
///     view! {
///         <p role="status">{move || directus.status().get().as_str()}</p>
///         <button on:click=move |_| directus.retry_now()>"Try now"</button>
///     }
/// }
/// ```
///
/// Where nothing was provided, every call on the handle fails with an [`Error`] that says so; nothing panics.
///
/// # Server-side rendering
/// Works in components and in `#[server]` functions: reads and writes run as the visitor of the request; the status is
/// [`ConnectionStatus::Idle`], and nothing connects.
#[must_use]
pub fn use_directus() -> Directus {
    use_context::<Directus>().unwrap_or_else(|| Directus { core: StoredValue::new(Arc::new(Core::server())) })
}

/// A handle to the page's connection; `Copy`, so that it goes into every closure. Made by [`use_directus`].
///
/// # Example
/// ```
/// use leptos::{prelude::*, task::spawn_local};
/// use leptos_directus::{Directus, Query, use_directus};
/// use serde_json::Value;
///
/// #[component]
/// fn Connection() -> impl IntoView {
///     let directus: Directus = use_directus();
///     let toggle = move |_| if directus.connected().get() { directus.disconnect() } else { directus.connect() };
///     let count = RwSignal::new(None);
///     let look = move |_| {
///         // `Copy`: the handle goes into the task, too.
///         spawn_local(async move { count.set(directus.items::<Value>("posts").read(Query::new()).await.ok().map(|p| p.len())) });
///     };
///     view! {
///         <p role="status">{move || directus.status().get().as_str()}</p>
///         <button on:click=toggle>"Connect or disconnect"</button>
///         <button on:click=move |_| directus.retry_now()>"Try now"</button>
///         <button on:click=move |_| directus.unsubscribe_all()>"End all streams"</button>
///         <button on:click=look>"Count"</button>
///         <p>{count}</p>
///     }
/// }
///
/// /// In a test, when everything is unmounted.
/// async fn nothing_is_left(directus: Directus) -> bool {
///     directus.counts().await == Default::default()
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Directus {
    core: StoredValue<Arc<Core>>,
}

impl Directus {
    #[cfg(feature = "native")]
    pub(crate) fn from_core(core: Core) -> Self {
        Self { core: StoredValue::new(Arc::new(core)) }
    }

    /// What the handle stands for; an empty shell once the provider is gone, so that late callers get an error and no panic.
    pub(crate) fn core(self) -> Arc<Core> {
        self.core.try_get_value().unwrap_or_else(|| {
            Arc::new(Core::new(Mode::Server(Err(Error::closed("the page's connection to Directus has ended")))))
        })
    }

    /// The state of the socket.
    ///
    /// # Server-side rendering
    /// Always [`ConnectionStatus::Idle`], and so in the browser until the page is hydrated.
    #[must_use]
    pub fn status(self) -> Signal<ConnectionStatus> {
        self.core().status.clone().into()
    }

    /// How long it is until the next try to connect, counted from now; `None` where none is waited for.
    ///
    /// [`ConnectionStatus`] tells it as of the moment in which the status was set: who comes later asks here. It follows the
    /// status; a countdown asks again each second.
    ///
    /// # Example
    /// ```
    /// use leptos::prelude::*;
    /// use leptos_directus::use_directus;
    ///
    /// #[component]
    /// fn NextTry(second: Signal<u32>) -> impl IntoView {
    ///     let directus = use_directus();
    ///     move || {
    ///         second.track();
    ///         directus.retry_in().map(|wait| format!("Next try in {} s", wait.as_secs()))
    ///     }
    /// }
    /// ```
    ///
    /// # Server-side rendering
    /// Always `None`.
    #[must_use]
    pub fn retry_in(self) -> Option<Duration> {
        let core = self.core();
        let (ConnectionStatus::Reconnecting { retry_in, .. } | ConnectionStatus::NeedsAuth { retry_in, .. }) =
            core.status.get()
        else {
            return None;
        };
        if retry_in.is_zero() {
            // A try is under way.
            return None;
        }
        let passed = transport::now().saturating_sub(core.status_since.load(Ordering::Relaxed));
        Some(retry_in.saturating_sub(Duration::from_millis(passed)))
    }

    /// Whether the socket is open.
    #[must_use]
    pub fn connected(self) -> Signal<bool> {
        let status = self.core().status.clone();
        Signal::derive(move || status.with(|status| status.is_connected()))
    }

    /// Opens the socket, if it is not open, and keeps it open, whether or not anybody subscribes.
    pub fn connect(self) {
        if let Some(client) = self.core().client() {
            client.connect();
        }
    }

    /// Closes the socket for all hooks of the page, until [`connect`](Self::connect). Lists keep
    /// their last rows and are read at intervals, as wherever there is no socket; pausing a list ends that, too.
    pub fn disconnect(self) {
        if let Some(client) = self.core().client() {
            client.disconnect();
        }
    }

    /// If the page waits for its next try to connect: tries now.
    pub fn retry_now(self) {
        if let Some(client) = self.core().client() {
            client.retry_now();
        }
    }

    /// Subscribes to the events of a collection, as Directus sends them.
    ///
    /// The future ends with Directus's acknowledgement and gives a stream of typed messages. Called in a component or in
    /// one of its handlers, the subscription ends with the component; dropping the stream ends it too. For a list that is
    /// kept right by itself use [`use_realtime_collection`](crate::use_realtime_collection).
    ///
    /// # Example
    /// ```
    /// use futures::StreamExt;
    /// use leptos::{prelude::*, task::spawn_local};
    /// use leptos_directus::{Message, Query, SubscribeOptions, use_directus};
    /// # #[derive(serde::Deserialize)]
    /// # struct Post { title: String }
    ///
    /// #[component]
    /// fn Titles() -> impl IntoView {
    ///     let titles = RwSignal::new(Vec::new());
    ///     let options = SubscribeOptions::new().query(Query::new().fields(["title"])).uid("titles");
    ///     let subscribing = use_directus().subscribe::<Post>("posts", options);
    ///     spawn_local(async move {
    ///         let Ok(mut posts) = subscribing.await else { return };
    ///         while let Some(message) = posts.next().await {
    ///             if let Message::Create { data, .. } = message {
    ///                 titles.update(|titles| titles.extend(data.into_iter().map(|post| post.title)));
    ///             }
    ///         }
    ///     });
    ///     view! { <p>{move || titles.get().join(", ")}</p> }
    /// }
    /// ```
    ///
    /// # Errors
    /// The future fails with what Directus said when it refused the subscription.
    ///
    /// # Server-side rendering
    /// Nothing connects: the future fails at once.
    pub fn subscribe<T>(self, collection: impl Into<String>, options: SubscribeOptions) -> Subscribing<T>
    where
        T: serde::de::DeserializeOwned,
    {
        Subscribing::new(self.core().client(), collection.into(), options)
    }

    /// Ends every stream of [`subscribe`](Self::subscribe) on this page. Live lists stay.
    pub fn unsubscribe_all(self) {
        if let Some(client) = self.core().client() {
            client.unsubscribe_all();
        }
    }

    /// Reads and writes the items of a collection. System collections (`directus_users`, …) go by their own names.
    #[must_use]
    pub fn items<T: serde::de::DeserializeOwned>(self, collection: impl Into<String>) -> Items<T> {
        Items::new(self.core().rest(), collection.into())
    }

    /// The writes of all live lists of this page that Directus has not done yet, in the order in which they were made.
    ///
    /// ```
    /// use leptos::prelude::*;
    /// use leptos_directus::use_directus;
    ///
    /// #[component]
    /// fn Unsaved() -> impl IntoView {
    ///     let pending = use_directus().pending();
    ///     move || match pending.read().len() {
    ///         0 => "All is saved.".to_owned(),
    ///         waiting => format!("{waiting} changes wait for Directus."),
    ///     }
    /// }
    /// ```
    ///
    /// # Server-side rendering
    /// Always empty: lists are written in the browser.
    #[must_use]
    pub fn pending(self) -> Signal<Vec<PendingWrite>> {
        self.core().pending.clone().into()
    }

    /// The writes that were refused while nothing on the page told of it, the newest last, 256 at most: those that an earlier page
    /// kept (`persist`) and that are made in no list of this one, and those whose list has gone since. What a list of this page
    /// was refused says its `error`, and the [`Write`](crate::Write) that is awaited.
    ///
    /// They stay until they are [forgotten](Self::forget_refused), or somebody else is here.
    ///
    /// ```
    /// use leptos::prelude::*;
    /// use leptos_directus::{RefusedWrite, use_directus};
    ///
    /// fn words(write: &RefusedWrite) -> String {
    ///     format!("A change of {} was not saved: {}. ", write.collection, write.error)
    /// }
    ///
    /// #[component]
    /// fn Lost() -> impl IntoView {
    ///     let directus = use_directus();
    ///     let refused = directus.refused();
    ///     view! {
    ///         <Show when=move || !refused.read().is_empty()>
    ///             <p role="alert">{move || refused.read().iter().map(words).collect::<String>()}</p>
    ///             <button on:click=move |_| directus.forget_refused()>"I have seen that"</button>
    ///         </Show>
    ///     }
    /// }
    /// ```
    ///
    /// # Server-side rendering
    /// Always empty: lists are written in the browser.
    #[must_use]
    pub fn refused(self) -> Signal<Vec<RefusedWrite>> {
        self.core().refused.clone().into()
    }

    /// Whoever was to be told of what was [refused](Self::refused) has been. Does nothing while the server renders.
    pub fn forget_refused(self) {
        if let Some(client) = self.core().client() {
            client.forget_refused();
        }
    }

    /// How many live queries, streams, subscriptions, sockets and timers this page holds: all zero when nothing that uses
    /// Directus is mounted and the linger is over. For tests that nothing is left behind.
    pub async fn counts(self) -> Counts {
        match self.core().client() {
            Some(client) => client.inspect().await,
            None => Counts::default(),
        }
    }
}
