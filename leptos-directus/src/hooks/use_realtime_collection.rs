//! A list that stays equal to what REST would return.

use std::time::Duration;

use leptos::prelude::*;
use serde_json::Value;

use super::{
    live_view::{IntoQuery, LiveView, RowKey, RowType, Target},
    use_directus::use_directus,
};
use crate::{
    error::Error,
    live::{LiveConfig, LiveStatus},
};

/// The rows of a query, kept equal to what REST would return now.
///
/// The first rows come with the server's HTML; the socket opens after hydration, and from then on every change in the
/// collection, by whomever, reaches the list: rows enter, leave and move as the query's filter, sort and limit say. Losing
/// the socket keeps the last rows on the page; it is opened again by itself, and what was missed is made good.
///
/// `query` is a [`Query`](crate::Query), a signal of one, or a closure; when it changes, the old rows stay until the new ones
/// are there. Without `fields`, those that `T` names are asked for; without a limit, all rows.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Filter, Query, use_realtime_collection};
/// use serde::Deserialize;
///
/// #[derive(Clone, PartialEq, Deserialize)]
/// struct Post {
///     title: String,
/// }
///
/// #[component]
/// fn FrontPage() -> impl IntoView {
///     let query = Query::new().filter(Filter::field("status").eq("published")).sort(["-date_created"]).limit(20);
///     let posts = use_realtime_collection::<Post>("posts", query);
///     view! {
///         <Suspense>
///             <ul>
///                 <For each=move || posts.keys().get() key=|key| key.clone() let:key>
///                     {
///                         let post = posts.item(key);
///                         view! { <li>{move || post.get().map(|post| post.title)}</li> }
///                     }
///                 </For>
///             </ul>
///         </Suspense>
///     }
/// }
/// ```
///
/// # Server-side rendering
/// The server reads the rows with the visitor's own session and puts them into the HTML; read them under `<Suspense>`, which
/// waits for them. Nothing connects.
pub fn use_realtime_collection<T: RowType>(
    collection: impl Into<String>,
    query: impl IntoQuery,
) -> UseRealtimeCollectionReturn<T> {
    use_realtime_collection_with_options(collection, query, UseRealtimeCollectionOptions::default())
}

/// [`use_realtime_collection`] with options.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Query, UseRealtimeCollectionOptions, use_realtime_collection_with_options};
/// use serde_json::Value;
/// use std::time::Duration;
///
/// #[component]
/// fn Stock() -> impl IntoView {
///     let options = UseRealtimeCollectionOptions::default()
///         .key_field("sku")
///         .watch(["suppliers"])
///         .revalidate_every(Duration::from_secs(60))
///         .poll_every(Duration::from_secs(10))
///         .immediate(false);
///     let stock = use_realtime_collection_with_options::<Value>("stock", Query::new().sort("sku"), options);
///     view! {
///         <button on:click=move |_| stock.connect()>"Follow"</button>
///         <Suspense><p>{move || stock.items().get().len()}</p></Suspense>
///     }
/// }
/// ```
pub fn use_realtime_collection_with_options<T: RowType>(
    collection: impl Into<String>,
    query: impl IntoQuery,
    options: UseRealtimeCollectionOptions,
) -> UseRealtimeCollectionReturn<T> {
    let (collection, query) = (collection.into(), query.into_query());
    let UseRealtimeCollectionOptions { config, watch, immediate } = options;
    let target = move || Ok(Target::new::<T>(&collection, &watch, &config, query.get()));
    UseRealtimeCollectionReturn { view: LiveView::new(&use_directus().core(), target, immediate) }
}

/// How a live list goes about it. Made by value:
///
/// ```
/// use leptos_directus::UseRealtimeCollectionOptions;
/// use std::time::Duration;
///
/// let options = UseRealtimeCollectionOptions::default().key_field("code").revalidate_every(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UseRealtimeCollectionOptions {
    pub(crate) config: LiveConfig,
    pub(crate) watch: Vec<String>,
    pub(crate) immediate: bool,
}

impl Default for UseRealtimeCollectionOptions {
    fn default() -> Self {
        Self { config: LiveConfig::default(), watch: Vec::new(), immediate: true }
    }
}

impl UseRealtimeCollectionOptions {
    /// The field that holds the collection's primary key. `id` by default.
    pub fn key_field(mut self, field: impl Into<String>) -> Self {
        self.config.key_field = field.into();
        self
    }

    /// Whether the list is live from the start; if not, it shows the server's rows until `connect`. `true` by default.
    pub fn immediate(mut self, immediate: bool) -> Self {
        self.immediate = immediate;
        self
    }

    /// Changes in these collections put the rows in doubt, too: Directus does not announce a post when its author's name
    /// changes. None by default.
    pub fn watch(mut self, collections: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.watch = collections.into_iter().map(Into::into).collect();
        self
    }

    /// Reads again this often, for what Directus does not announce at all: raw SQL, database cascades, permission rules that
    /// change, `$NOW` in a filter. By default never, and every 60 s where the filter names `$NOW`.
    pub fn revalidate_every(mut self, every: Duration) -> Self {
        self.config.revalidate_every = Some(every);
        self
    }

    /// While there is no socket, reads this often. 30 s by default.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.config.poll_every = every;
        self
    }
}

/// A live list. `Copy`; signals can be asked for as often as one likes.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Query, UseRealtimeCollectionReturn, use_realtime_collection};
/// use serde_json::Value;
///
/// /// Whatever the list, as one line.
/// #[component]
/// fn Summary(list: UseRealtimeCollectionReturn<Value>) -> impl IntoView {
///     let pause = move |_| if list.connected().get() { list.disconnect() } else { list.connect() };
///     let total = move || Some(list.meta().get()?["filter_count"].to_string());
///     view! {
///         <p role="status">{move || list.status().get().as_str()} " " {move || list.error().get().map(|e| e.to_string())}</p>
///         <Suspense>
///             <p>
///                 {move || if list.is_loading().get() { "…".to_owned() } else { list.items().get().len().to_string() }}
///                 " of " {total}
///             </p>
///         </Suspense>
///         <button on:click=pause>{move || if list.connected().get() { "Pause" } else { "Go on" }}</button>
///         <button on:click=move |_| list.refetch()>"Read again"</button>
///     }
/// }
///
/// #[component]
/// fn Posts() -> impl IntoView {
///     let posts = use_realtime_collection::<Value>("posts", Query::new().limit(20).meta("filter_count"));
///     let first = move || posts.keys().get().first().cloned().and_then(|key| posts.item(key).get());
///     view! {
///         <Suspense><h2>{move || first().map(|post| post["title"].to_string())}</h2></Suspense>
///         <Summary list=posts />
///     }
/// }
/// ```
pub struct UseRealtimeCollectionReturn<T: RowType> {
    view: LiveView<T>,
}

// By hand, because deriving would ask for `T: Copy`.
impl<T: RowType> Clone for UseRealtimeCollectionReturn<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: RowType> Copy for UseRealtimeCollectionReturn<T> {}

impl<T: RowType> std::fmt::Debug for UseRealtimeCollectionReturn<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UseRealtimeCollectionReturn").finish_non_exhaustive()
    }
}

impl<T: RowType> UseRealtimeCollectionReturn<T> {
    /// All rows, in order. Changes with every row; where one row is to cost one row, use [`keys`](Self::keys) and
    /// [`item`](Self::item).
    #[must_use]
    pub fn items(self) -> Signal<Vec<T>> {
        self.view.items()
    }

    /// The rows' keys, in order. Changes only when rows enter, leave or move.
    #[must_use]
    pub fn keys(self) -> Signal<Vec<RowKey>> {
        self.view.keys()
    }

    /// One row. Changes only when that row does; `None` when it has left.
    #[must_use]
    pub fn item(self, key: impl Into<RowKey>) -> Signal<Option<T>> {
        self.view.item(key.into())
    }

    /// The counts that the query asked for by `meta`.
    #[must_use]
    pub fn meta(self) -> Signal<Option<Value>> {
        self.view.meta()
    }

    /// How true the rows are. [`LiveStatus::Stale`] on the server and until the page is hydrated.
    #[must_use]
    pub fn status(self) -> Signal<LiveStatus> {
        self.view.status()
    }

    /// What is wrong, if anything is. The rows stay meanwhile, unless Directus says that the visitor may not see them. A row
    /// that does not fit `T` is left out and named here.
    #[must_use]
    pub fn error(self) -> Signal<Option<Error>> {
        self.view.error()
    }

    /// Whether the socket is open, and this list not paused.
    #[must_use]
    pub fn connected(self) -> Signal<bool> {
        self.view.connected()
    }

    /// Whether there are no rows yet, only because they have not been read.
    #[must_use]
    pub fn is_loading(self) -> Signal<bool> {
        self.view.is_loading()
    }

    /// Makes the list live again after [`disconnect`](Self::disconnect).
    pub fn connect(self) {
        self.view.connect();
    }

    /// Pauses this list, and no other: its rows stay as they are until [`connect`](Self::connect).
    pub fn disconnect(self) {
        self.view.disconnect();
    }

    /// Reads the rows again now, with or without a socket.
    pub fn refetch(self) {
        self.view.refetch();
    }
}
