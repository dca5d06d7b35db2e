//! A live list that grows page by page.

use leptos::prelude::*;

use super::{
    live_view::{IntoQuery, RowType},
    signal::SharedSignal,
    use_realtime_collection::{
        UseRealtimeCollectionOptions, UseRealtimeCollectionReturn, use_realtime_collection_with_options,
    },
};
use crate::live::RowKey;

/// A live list of the query's first rows, `page_size` of them, and as many more with each
/// [`load_more`](UseRealtimeInfiniteReturn::load_more).
///
/// All rows that were loaded are one live query: those of the first page are as true as those of the last, and a row that
/// enters above moves the others on. The query's own limit does not count. When the query changes, the list begins again with
/// one page; the old rows stay until the new ones are there.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Query, use_realtime_infinite};
/// # #[derive(Clone, PartialEq, serde::Deserialize)]
/// # struct Post { title: String }
///
/// #[component]
/// fn Archive() -> impl IntoView {
///     let posts = use_realtime_infinite::<Post>("posts", Query::new().sort("-date_created"), 20);
///     view! {
///         <Suspense>
///             <For each=move || posts.keys().get() key=|key| key.clone() let:key>
///                 {
///                     let post = posts.item(key);
///                     view! { <h2>{move || post.get().map(|post| post.title)}</h2> }
///                 }
///             </For>
///             <Show when=move || posts.has_more().get()>
///                 <button on:click=move |_| posts.load_more() disabled=move || posts.is_loading_more().get()>"More"</button>
///             </Show>
///         </Suspense>
///     }
/// }
/// ```
///
/// # Server-side rendering
/// As with [`use_realtime_collection`](crate::use_realtime_collection): the first page is in the HTML.
pub fn use_realtime_infinite<T: RowType>(
    collection: impl Into<String>,
    query: impl IntoQuery,
    page_size: u32,
) -> UseRealtimeInfiniteReturn<T> {
    use_realtime_infinite_with_options(collection, query, page_size, UseRealtimeInfiniteOptions::default())
}

/// [`use_realtime_infinite`] with options.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{
///     Query, UseRealtimeCollectionOptions, UseRealtimeInfiniteOptions, use_realtime_infinite_with_options,
/// };
/// use serde_json::Value;
///
/// #[component]
/// fn Archive() -> impl IntoView {
///     let options = UseRealtimeInfiniteOptions::default().list(UseRealtimeCollectionOptions::default().watch(["authors"]));
///     let posts = use_realtime_infinite_with_options::<Value>("posts", Query::new().sort("-id"), 20, options);
///     view! { <Suspense><p>{move || posts.items().get().len()} " posts"</p></Suspense> }
/// }
/// ```
pub fn use_realtime_infinite_with_options<T: RowType>(
    collection: impl Into<String>,
    query: impl IntoQuery,
    page_size: u32,
    options: UseRealtimeInfiniteOptions,
) -> UseRealtimeInfiniteReturn<T> {
    let query = query.into_query();
    // Of which query how many pages are shown.
    let pages = SharedSignal::new((String::new(), 1));
    let asked = move || {
        let query = query.get();
        let name = query.canonical();
        // Whoever asks is told of more pages, and not of a query that begins anew.
        pages.try_with(|_| ());
        let count = pages.try_update_untracked(|pages| {
            // A query that comes again begins anew, too.
            if pages.0 != name {
                *pages = (name, 1);
            }
            pages.1
        });
        let count = count.unwrap_or(1);
        let size = u64::from(page_size.max(1));
        let mut query = query;
        // From there on, however many pages there are to be.
        if let Some(page) = query.page.take() {
            query.offset.get_or_insert(size.saturating_mul(page.saturating_sub(1)).min(MOST));
        }
        // One row more than is shown says whether there are more.
        query.limit(size.saturating_mul(count).saturating_add(1).min(MOST))
    };
    let list = use_realtime_collection_with_options(collection, asked, options.list);
    UseRealtimeInfiniteReturn { list, pages }
}

/// More rows than this are not asked for: it is more than any page can show, and fits everywhere.
const MOST: u64 = 1 << 31;

/// How a growing list goes about it. Made by value:
///
/// ```
/// use leptos_directus::{UseRealtimeCollectionOptions, UseRealtimeInfiniteOptions};
///
/// let options = UseRealtimeInfiniteOptions::default().list(UseRealtimeCollectionOptions::default().key_field("code"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct UseRealtimeInfiniteOptions {
    list: UseRealtimeCollectionOptions,
}

impl UseRealtimeInfiniteOptions {
    /// The options of the live list behind it.
    pub fn list(mut self, options: UseRealtimeCollectionOptions) -> Self {
        self.list = options;
        self
    }
}

/// A live list that grows. `Copy`; signals can be asked for as often as one likes.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::UseRealtimeInfiniteReturn;
/// use serde_json::Value;
///
/// #[component]
/// fn More(posts: UseRealtimeInfiniteReturn<Value>) -> impl IntoView {
///     let label = move || if posts.is_loading_more().get() { "Loading…" } else { "More" };
///     view! {
///         <p>{move || posts.items().get().len()} " rows, " {move || posts.list().status().get().as_str()}</p>
///         <Show when=move || posts.has_more().get()>
///             <button on:click=move |_| posts.load_more()>{label}</button>
///         </Show>
///     }
/// }
/// ```
pub struct UseRealtimeInfiniteReturn<T: RowType> {
    list: UseRealtimeCollectionReturn<T>,
    pages: SharedSignal<(String, u64)>,
}

handle!(UseRealtimeInfiniteReturn);

impl<T: RowType> UseRealtimeInfiniteReturn<T> {
    /// All rows that were loaded, in order. Changes with every row; where one row is to cost one row, use
    /// [`keys`](Self::keys) and [`item`](Self::item).
    #[must_use]
    pub fn items(self) -> Signal<Vec<T>> {
        Signal::derive(move || self.list.view().shown_items())
    }

    /// The rows' keys, in order. Changes only when rows enter, leave or move.
    #[must_use]
    pub fn keys(self) -> Signal<Vec<RowKey>> {
        Signal::derive(move || self.list.view().shown_keys())
    }

    /// One row. Changes only when that row does; `None` when it has left.
    #[must_use]
    pub fn item(self, key: impl Into<RowKey>) -> Signal<Option<T>> {
        self.list.item(key)
    }

    /// Whether there are more rows than were loaded.
    #[must_use]
    pub fn has_more(self) -> Signal<bool> {
        Signal::derive(move || self.list.view().has_more())
    }

    /// Whether more rows were asked for, and are not there yet.
    #[must_use]
    pub fn is_loading_more(self) -> Signal<bool> {
        self.list.view().is_changing()
    }

    /// Loads one page more, if there is one. The rows that are there stay meanwhile. Does nothing while the list is paused.
    ///
    /// # Server-side rendering
    /// Does nothing.
    pub fn load_more(self) {
        // What holds still loads nothing, however often it is asked.
        let is_idle =
            !self.is_loading_more().get_untracked() && self.list.view().is_asked_for() && !self.list.view().is_paused();
        if is_idle && untrack(|| self.has_more().get()) {
            self.pages.try_update(|(_, count)| *count += 1);
        }
    }

    /// The live list behind it: its status and error, and its writes. It holds one row more than is shown, if there are
    /// more; a row that is created with `NewRows::Last` is one of those that are not shown then.
    #[must_use]
    pub fn list(self) -> UseRealtimeCollectionReturn<T> {
        self.list
    }
}
