//! A list that stays equal to what REST would return.

use std::time::Duration;

use leptos::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::{
    live_view::{IntoQuery, LiveView, RowType, Target},
    use_directus::use_directus,
    write::Write,
};
use crate::{
    error::Error,
    live::{LiveConfig, LiveStatus, NewRows, PendingWrite, RowKey},
    protocol::Key,
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
/// waits for them. Hooks of a page that ask the same question are read once, and their rows are in the HTML once. Nothing
/// connects.
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
    let immediate = options.immediate;
    let target = move || Ok(Target::new::<T>(&collection, &options, query.get()));
    UseRealtimeCollectionReturn { view: LiveView::new(&use_directus().core(), target, immediate) }
}

/// How a live list goes about it. Made by value:
///
/// ```
/// use leptos_directus::UseRealtimeCollectionOptions;
/// use std::time::Duration;
///
/// let options = UseRealtimeCollectionOptions::default().key_field("code").revalidate_every(Duration::from_secs(60));
/// // For lists that are written to: keys are made here, new rows show below, what waits outlives the page.
/// let options = options.client_keys(true).new_rows(leptos_directus::NewRows::Last).persist("drafts");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UseRealtimeCollectionOptions {
    pub(crate) config: LiveConfig,
    pub(crate) watch: Vec<String>,
    pub(crate) watch_relations: bool,
    pub(crate) immediate: bool,
    pub(crate) new_rows: NewRows,
    pub(crate) client_keys: bool,
    pub(crate) persist: Option<String>,
}

impl Default for UseRealtimeCollectionOptions {
    fn default() -> Self {
        Self {
            config: LiveConfig::default(),
            watch: Vec::new(),
            watch_relations: true,
            immediate: true,
            new_rows: NewRows::First,
            client_keys: false,
            persist: None,
        }
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
    /// changes. What the query itself names is found without ([`watch_relations`](Self::watch_relations)); this is for what
    /// it does not name, and for where it can't be found. None by default.
    pub fn watch(mut self, collections: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.watch = collections.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the collections that the query's own relations lead to are watched, as if [`watch`](Self::watch) named them.
    /// `true` by default.
    ///
    /// A query names its relations in fields (`author.name`, `comments.*`, `item:pages.title`, `count(comments)`), filter,
    /// sort, groups, `deep` and `alias`; `*.*` names all of a level. The keys of related rows that `*` gives, and a query
    /// without fields, are such a relation, too (o2m, m2m, m2a).
    ///
    /// # Where its sight ends
    /// - To which collections they lead is Directus's to tell (`GET /relations`), and it tells whoever may use its app or may
    ///   read `directus_relations`. For everybody else the page's server tells, if it has a `DIRECTUS_SCHEMA_TOKEN`.
    /// - A collection that this visitor may not follow stays unseen: no error says so, and the rows are as true as without.
    /// - What no field says is not seen: relations in permissions, in `$CURRENT_USER.…`, in a flow. So is what the
    ///   database does by itself (`ON DELETE SET NULL` of a key that is shown as a key).
    /// - At most 24 collections are found for one query.
    ///
    /// What is not seen at once is seen within [`revalidate_every`](Self::revalidate_every).
    ///
    /// ```
    /// use leptos_directus::UseRealtimeCollectionOptions;
    ///
    /// // The authors' names are as old as the last read: nobody minds.
    /// let options = UseRealtimeCollectionOptions::default().watch_relations(false);
    /// ```
    ///
    /// # Server-side rendering
    /// The server looks it up beside the rows, and the page finds it in the HTML. A page that the browser itself went to
    /// asks the server once for each kind of query; the rows don't wait for it.
    pub fn watch_relations(mut self, watch_relations: bool) -> Self {
        self.watch_relations = watch_relations;
        self
    }

    /// Reads again this often, for what Directus does not announce at all: raw SQL, database cascades, permission rules that
    /// change, `$NOW` in a filter. By default every 5 minutes, and every 60 s where the filter names `$NOW`; never with
    /// `Duration::MAX`.
    pub fn revalidate_every(mut self, every: Duration) -> Self {
        self.config.revalidate_every = Some(every);
        self
    }

    /// Where a row shows that was created here, until a read says its place: [`NewRows::First`] by default.
    pub fn new_rows(mut self, place: NewRows) -> Self {
        self.new_rows = place;
        self
    }

    /// Whether rows that are created here get their key here: for collections whose key is a UUID. Such a create can be
    /// repeated, and so is saved exactly once, whatever happens on the way. `false` by default: the key is Directus's to give,
    /// unless the data hold one.
    pub fn client_keys(mut self, client_keys: bool) -> Self {
        self.client_keys = client_keys;
        self
    }

    /// Keeps writes that wait under this name in the browser's `localStorage`, so that they outlive a reload; the next page
    /// with a list that has the same name takes them up and sends them. Not kept by default.
    ///
    /// They are kept for who made them, as Directus's `/users/me` says, and taken up for nobody else. What is
    /// written while nobody knows who has logged in is kept from the moment on at which somebody does. A logout removes all that its
    /// visitor's pages have kept; another tab that holds some of it learns of the logout when it is seen again. One page at a time keeps
    /// and takes up what has one name; another one takes over when it ends, and what its visitor made meanwhile is kept from then on;
    /// what a visitor made there who has gone by then stays in memory: they may have logged out on the other page. Where
    /// the storage is full, what waits is kept as long as the page, nothing older is left in its place, and the console says so. A
    /// create that was on its way when the page ended is sent again only if its key is ours to give
    /// ([`client_keys`](Self::client_keys)); else the list's `error` says that it may have been saved. What waits under one name is
    /// sent in the order in which it was made; between two names a reload keeps no order, so lists whose rows point to each other
    /// should share one. The browser must have locks: it has over `https` and on `localhost`.
    pub fn persist(mut self, name: impl Into<String>) -> Self {
        self.persist = Some(name.into());
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

handle!(UseRealtimeCollectionReturn);

impl<T: RowType> UseRealtimeCollectionReturn<T> {
    /// All rows, in order. Changes with every row; where one row is to cost one row, use [`keys`](Self::keys) and
    /// [`item`](Self::item).
    #[must_use]
    pub fn items(self) -> Signal<Vec<T>> {
        self.view.items()
    }

    /// The rows' keys, in order. Changes only when rows enter, leave or move.
    ///
    /// In the browser, a change that Leptos's `<For>` would get wrong (rows move while others enter or leave) comes in two steps,
    /// both before the next paint: the rows that are there in their new order, those that leave at the end; then all.
    #[must_use]
    pub fn keys(self) -> Signal<Vec<RowKey>> {
        self.view.keys()
    }

    /// One row. Changes only when that row does; `None` when it has left.
    #[must_use]
    pub fn item(self, key: impl Into<RowKey>) -> Signal<Option<T>> {
        self.view.item(key.into())
    }

    pub(crate) fn view(self) -> LiveView<T> {
        self.view
    }

    /// How many rows the collection has for this visitor, kept true as the rows are. `None` unless the query asks for it by
    /// `meta("total_count")` or `meta("*")`.
    #[must_use]
    pub fn total_count(self) -> Signal<Option<u64>> {
        self.view.count("total_count")
    }

    /// How many rows the query's filter finds, without its limit, kept true as the rows are. `None` unless the query asks for
    /// it by `meta("filter_count")` or `meta("*")`.
    ///
    /// ```
    /// use leptos::prelude::*;
    /// use leptos_directus::{Query, use_realtime_collection};
    /// use serde_json::Value;
    ///
    /// #[component]
    /// fn Found(words: RwSignal<String>) -> impl IntoView {
    ///     let query = move || Query::new().search(words.get()).limit(10).meta("*");
    ///     let posts = use_realtime_collection::<Value>("posts", query);
    ///     let age = move || posts.last_synced().get().map(|read| format!("as of {read} ms since 1970"));
    ///     view! {
    ///         <Suspense>
    ///             <p>{move || posts.filter_count().get()} " of " {move || posts.total_count().get()} " posts"</p>
    ///         </Suspense>
    ///         <p class:old=move || posts.is_stale().get()>{age}</p>
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn filter_count(self) -> Signal<Option<u64>> {
        self.view.count("filter_count")
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
    /// that does not fit `T` is left out and named here. A write that was refused is told here until the next one is made.
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

    /// Whether the rows on the page may have changed since they were read: the status is [`LiveStatus::Stale`],
    /// [`LiveStatus::Polling`] or [`LiveStatus::Paused`].
    ///
    /// # Server-side rendering
    /// `true`, and so in the browser until the page is hydrated.
    #[must_use]
    pub fn is_stale(self) -> Signal<bool> {
        self.view.is_stale()
    }

    /// When Directus last answered a read of the rows: milliseconds since 1970 by the visitor's clock, as `Date.now()` gives
    /// them. Says nothing of how true the rows are meanwhile: a live list is not read again while nothing changes.
    ///
    /// # Server-side rendering
    /// `None`, and so in the browser until the first read of its own: the server's clock is another one.
    #[must_use]
    pub fn last_synced(self) -> Signal<Option<u64>> {
        self.view.last_synced()
    }

    /// The key that a row has in Directus: `None` for a row that was created here, until Directus has given it one.
    #[must_use]
    pub fn key_of(self, row: impl Into<RowKey>) -> Signal<Option<Key>> {
        self.view.key_of(row.into())
    }

    /// Creates a row: on the page at once, and in Directus as soon as can be.
    ///
    /// The row shows if the data fit `T`, where the list's option `new_rows` says; else when Directus has answered. It keeps
    /// its [`RowKey`] when it gets its key and its place. If Directus refuses, it leaves, and the error is on the future and
    /// in [`error`](Self::error). Without a connection the write waits: see [`pending`](Self::pending). A list that is paused
    /// shows it when it goes on.
    ///
    /// A row whose key is Directus's to give is sent once: if the answer is lost, the future says that it may have been
    /// saved ([`Error::is_uncertain`]), and the list is read. With the option `client_keys`, or a key in the data, it is
    /// sent until it is answered, and saved once. (If it was saved, the answer was lost, and somebody deleted the row
    /// meanwhile, it is made again.)
    ///
    /// # Example
    /// ```
    /// use leptos::{prelude::*, task::spawn_local};
    /// use leptos_directus::{Query, use_realtime_collection};
    /// use serde_json::json;
    /// # #[derive(Clone, PartialEq, serde::Deserialize)]
    /// # struct Post { title: Option<String> }
    ///
    /// #[component]
    /// fn NewPost() -> impl IntoView {
    ///     let posts = use_realtime_collection::<Post>("posts", Query::new());
    ///     let problem = RwSignal::new(None);
    ///     let create = move |_| {
    ///         let write = posts.create(&json!({ "title": "Hello" }));
    ///         spawn_local(async move { problem.set(write.await.err().map(|error| error.to_string())) });
    ///     };
    ///     view! { <button on:click=create>"New"</button> <p role="status">{problem}</p> }
    /// }
    /// ```
    ///
    /// # Errors
    /// The future's: see [`Write`].
    ///
    /// # Server-side rendering
    /// Fails at once: lists are written in the browser.
    pub fn create(self, data: &impl Serialize) -> Write<Option<T>> {
        Write::of_row(self.view.create(data), self.view.what("creating in"), self.view.unasked())
    }

    /// Changes the given fields of a row: on the page at once, and in Directus as soon as can be.
    ///
    /// ```
    /// use leptos::prelude::*;
    /// use leptos_directus::{RowKey, UseRealtimeCollectionReturn};
    /// use serde_json::{Value, json};
    ///
    /// #[component]
    /// fn Task(tasks: UseRealtimeCollectionReturn<Value>, row: RowKey) -> impl IntoView {
    ///     let key = tasks.key_of(row.clone());
    ///     let is_pending = tasks.is_pending(row.clone());
    ///     let row = StoredValue::new(row);
    ///     view! {
    ///         <p>{move || key.get().map(|key| key.to_string())} {move || is_pending.get().then_some(" is on its way")}</p>
    ///         <button on:click=move |_| drop(tasks.update(row.get_value(), &json!({ "done": true })))>"Done"</button>
    ///         <button on:click=move |_| drop(tasks.delete(row.get_value()))>"Delete"</button>
    ///         <p>{move || tasks.pending().get().len()} " changes wait"</p>
    ///     }
    /// }
    /// ```
    ///
    /// Fields that are not given show as the server has them, also if somebody else changes them meanwhile. The row stays
    /// where it is until Directus says where it belongs. A relation that the list shows by its fields and the patch gives
    /// by its key shows when Directus has answered. If Directus refuses, the row is again as the server has it; if somebody
    /// deleted it meanwhile, the future says so ([`Error::is_conflict`]).
    ///
    /// An update that had to wait for the connection, or for a Directus that was busy, overwrites nothing that it does not know
    /// of: where somebody else changed one of its fields after the list showed it, the row stays theirs, and the future says
    /// so ([`Error::is_conflict`]; [`Error::is_uncertain`] where a first try may have been done). To write it all the
    /// same, write again. Related rows, lists, JSON and singletons are not compared, a paused list compares nothing, and an
    /// update that goes at once is not compared either.
    ///
    /// # Errors
    /// The future's: see [`Write`].
    ///
    /// # Server-side rendering
    /// Fails at once: lists are written in the browser.
    pub fn update(self, row: impl Into<RowKey>, patch: &impl Serialize) -> Write<Option<T>> {
        Write::of_row(self.view.update(row.into(), patch), self.view.what("updating"), self.view.unasked())
    }

    /// Deletes a row: it leaves the page at once, and comes back if Directus refuses.
    ///
    /// # Errors
    /// The future's: see [`Write`]. A row that somebody else deleted first is no error, nor is one
    /// that the visitor may not see any more and may not delete: Directus answers the same for both.
    ///
    /// # Server-side rendering
    /// Fails at once: lists are written in the browser.
    pub fn delete(self, row: impl Into<RowKey>) -> Write<()> {
        Write::of_nothing(self.view.delete(row.into()), self.view.what("deleting from"))
    }

    /// The writes to this collection that Directus has not done yet, in the order in which they were made; 256 at most, the
    /// next one is refused. They are sent in order, except that updates of different rows go side by side. Without a
    /// connection they wait, and are sent when it is back, by whoever made them: if the login changes meanwhile they are
    /// dropped, and their futures say so. (With `persist` they are kept until whoever made them is back.)
    ///
    /// # Server-side rendering
    /// Always empty.
    #[must_use]
    pub fn pending(self) -> Signal<Vec<PendingWrite>> {
        self.view.pending()
    }

    /// Whether a row has writes that Directus has not done yet.
    #[must_use]
    pub fn is_pending(self, row: impl Into<RowKey>) -> Signal<bool> {
        self.view.is_pending(row.into())
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
