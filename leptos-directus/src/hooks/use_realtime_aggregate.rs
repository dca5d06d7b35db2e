//! Counts and sums that stay equal to what REST would return.

use leptos::prelude::*;

use super::{
    live_view::{IntoQuery, LiveView, RowType, Target},
    use_directus::use_directus,
    use_realtime_collection::UseRealtimeCollectionOptions,
};
use crate::{error::Error, live::LiveStatus};

/// What `aggregate` and `group_by` of a query give, kept equal to what REST would return now.
///
/// Directus sends nothing of use here (a subscription counts the changed rows only), so the groups are read again with every
/// change in the collection. `T` is one group, as Directus gives it: `{"status": "draft", "count": 3}`, or with a field's name
/// `{"sum": {"views": 7}}`. With PostgreSQL it gives such numbers as text: [`number`](crate::protocol::number) reads both.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Query, protocol::number, use_realtime_aggregate};
/// use serde::Deserialize;
///
/// #[derive(Clone, PartialEq, Deserialize)]
/// struct Lane {
///     status: Option<String>,
///     #[serde(deserialize_with = "number")]
///     count: u64,
/// }
///
/// #[component]
/// fn Lanes() -> impl IntoView {
///     let lanes = use_realtime_aggregate::<Lane>("posts", Query::new().aggregate("count", "*").group_by("status"));
///     let text = move || {
///         let lanes = lanes.groups().get();
///         lanes.into_iter().map(|lane| format!("{}: {}", lane.status.unwrap_or_default(), lane.count)).collect::<Vec<_>>()
///     };
///     view! { <Suspense><p>{move || text().join(", ")}</p></Suspense> }
/// }
/// ```
///
/// # Server-side rendering
/// As with [`use_realtime_collection`](crate::use_realtime_collection): the groups are in the HTML.
pub fn use_realtime_aggregate<T: RowType>(
    collection: impl Into<String>,
    query: impl IntoQuery,
) -> UseRealtimeAggregateReturn<T> {
    use_realtime_aggregate_with_options(collection, query, UseRealtimeAggregateOptions::default())
}

/// [`use_realtime_aggregate`] with options.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{
///     Query, UseRealtimeAggregateOptions, UseRealtimeCollectionOptions, use_realtime_aggregate_with_options,
/// };
/// use serde_json::Value;
/// use std::time::Duration;
///
/// #[component]
/// fn Total() -> impl IntoView {
///     let list = UseRealtimeCollectionOptions::default().revalidate_every(Duration::from_secs(60));
///     let options = UseRealtimeAggregateOptions::default().list(list);
///     let posts = use_realtime_aggregate_with_options::<Value>("posts", Query::new().aggregate("count", "*"), options);
///     view! { <Suspense><p>{move || posts.first().get().map(|total| total["count"].to_string())}</p></Suspense> }
/// }
/// ```
pub fn use_realtime_aggregate_with_options<T: RowType>(
    collection: impl Into<String>,
    query: impl IntoQuery,
    options: UseRealtimeAggregateOptions,
) -> UseRealtimeAggregateReturn<T> {
    let (collection, query, options) = (collection.into(), query.into_query(), options.list);
    let immediate = options.immediate;
    let target = move || {
        let query = query.get();
        if query.is_aggregate() {
            Ok(Target::new::<T>(&collection, &options, query))
        } else {
            Err(Error::usage("the query of `use_realtime_aggregate` needs `aggregate` or `group_by`"))
        }
    };
    UseRealtimeAggregateReturn { view: LiveView::new(&use_directus().core(), target, immediate) }
}

/// How live groups go about it. Made by value:
///
/// ```
/// use leptos_directus::{UseRealtimeAggregateOptions, UseRealtimeCollectionOptions};
///
/// let options = UseRealtimeAggregateOptions::default().list(UseRealtimeCollectionOptions::default().watch(["authors"]));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct UseRealtimeAggregateOptions {
    list: UseRealtimeCollectionOptions,
}

impl UseRealtimeAggregateOptions {
    /// Those of a live list, as far as they are about reading.
    pub fn list(mut self, options: UseRealtimeCollectionOptions) -> Self {
        self.list = options;
        self
    }
}

/// Live groups. `Copy`; signals can be asked for as often as one likes.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::UseRealtimeAggregateReturn;
/// use serde_json::Value;
///
/// #[component]
/// fn Sums(sums: UseRealtimeAggregateReturn<Value>) -> impl IntoView {
///     let pause = move |_| if sums.connected().get() { sums.disconnect() } else { sums.connect() };
///     let age = move || sums.last_synced().get().map(|read| format!("as of {read} ms since 1970"));
///     view! {
///         <Show when=move || !sums.is_loading().get()>
///             <p class:old=move || sums.is_stale().get()>{move || sums.groups().get().len()} " groups " {age}</p>
///         </Show>
///         <p role="status">
///             {move || sums.status().get().as_str()} " " {move || sums.error().get().map(|error| error.to_string())}
///         </p>
///         <button on:click=pause>"Pause or go on"</button>
///         <button on:click=move |_| sums.refetch()>"Read again"</button>
///     }
/// }
/// ```
pub struct UseRealtimeAggregateReturn<T: RowType> {
    view: LiveView<T>,
}

handle!(UseRealtimeAggregateReturn);

impl<T: RowType> UseRealtimeAggregateReturn<T> {
    /// All groups, in Directus's order.
    #[must_use]
    pub fn groups(self) -> Signal<Vec<T>> {
        self.view.items()
    }

    /// The first group: the only one, where the query has no `group_by`.
    #[must_use]
    pub fn first(self) -> Signal<Option<T>> {
        self.view.first_item()
    }

    /// How true the groups are. [`LiveStatus::Stale`] on the server and until the page is hydrated.
    #[must_use]
    pub fn status(self) -> Signal<LiveStatus> {
        self.view.status()
    }

    /// What is wrong, if anything is.
    #[must_use]
    pub fn error(self) -> Signal<Option<Error>> {
        self.view.error()
    }

    /// Whether the socket is open, and this query not paused.
    #[must_use]
    pub fn connected(self) -> Signal<bool> {
        self.view.connected()
    }

    /// Whether there are no groups yet, only because they have not been read.
    #[must_use]
    pub fn is_loading(self) -> Signal<bool> {
        self.view.is_loading()
    }

    /// Whether the groups on the page may have changed since they were read.
    #[must_use]
    pub fn is_stale(self) -> Signal<bool> {
        self.view.is_stale()
    }

    /// When Directus last answered a read of the groups: milliseconds since 1970 by the visitor's clock.
    #[must_use]
    pub fn last_synced(self) -> Signal<Option<u64>> {
        self.view.last_synced()
    }

    /// Makes the groups live again after [`disconnect`](Self::disconnect).
    pub fn connect(self) {
        self.view.connect();
    }

    /// Pauses these groups, and nothing else.
    pub fn disconnect(self) {
        self.view.disconnect();
    }

    /// Reads the groups again now, with or without a socket.
    pub fn refetch(self) {
        self.view.refetch();
    }
}
