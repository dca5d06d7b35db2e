//! One row that stays equal to what REST would return.

use leptos::prelude::*;
use serde::Serialize;

use super::{
    live_view::{LiveView, RowType, Target},
    use_directus::use_directus,
    use_realtime_collection::UseRealtimeCollectionOptions,
    write::Write,
};
use crate::{
    error::Error,
    live::{LiveStatus, PendingWrite},
    protocol::{Filter, Key, Query},
};

/// A key that is fixed, a signal of one, or a closure: with the latter two the hook follows what they read.
///
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Key, use_realtime_item};
/// use serde_json::Value;
///
/// #[component]
/// fn ThreeWays(id: Signal<i64>) -> impl IntoView {
///     let fixed = use_realtime_item::<Value>("posts", 7);
///     let by_signal = use_realtime_item::<Value>("posts", id);
///     let by_closure = use_realtime_item::<Value>("posts", move || Key::from(id.get() + 1));
///     move || (fixed.item().get().is_some(), by_signal.item().get().is_some(), by_closure.item().get().is_some()).0
/// }
/// ```
pub trait IntoKey {
    /// The key as a signal.
    fn into_key(self) -> Signal<Key>;
}

macro_rules! fixed_key {
    ($($kind:ty),*) => {
        $(impl IntoKey for $kind {
            fn into_key(self) -> Signal<Key> {
                Signal::stored(self.into())
            }
        })*
    };
}

fixed_key!(Key, &Key, &str, String, i32, u32, i64, u64);

macro_rules! key_signal {
    ($($signal:ident),*) => {
        $(impl<K: Into<Key> + Clone + Send + Sync + 'static> IntoKey for $signal<K> {
            fn into_key(self) -> Signal<Key> {
                Signal::derive(move || self.get().into())
            }
        })*
    };
}

key_signal!(Signal, RwSignal, ReadSignal, Memo);

impl<F: Fn() -> Key + Send + Sync + 'static> IntoKey for F {
    fn into_key(self) -> Signal<Key> {
        Signal::derive(self)
    }
}

/// One row by its key, kept equal to what REST would return now; `None` where there is none, or none for this visitor.
///
/// `key` is a key, a signal of one, or a closure (`move || params.read().get("id")…`); see [`IntoKey`]. It is a query with a filter, not
/// Directus's `item` subscription, which misses changes of rows with integer keys.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::use_realtime_item;
/// # #[derive(Clone, PartialEq, serde::Deserialize)]
/// # struct Post { title: String }
///
/// #[component]
/// fn PostTitle(id: i64) -> impl IntoView {
///     let post = use_realtime_item::<Post>("posts", id);
///     view! { <Suspense><h1>{move || post.item().get().map(|post| post.title)}</h1></Suspense> }
/// }
/// ```
///
/// # Server-side rendering
/// As with [`use_realtime_collection`](crate::use_realtime_collection): the row is in the HTML.
pub fn use_realtime_item<T: RowType>(collection: impl Into<String>, key: impl IntoKey) -> UseRealtimeItemReturn<T> {
    use_realtime_item_with_options(collection, key, UseRealtimeCollectionOptions::default())
}

/// [`use_realtime_item`] with options.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{UseRealtimeCollectionOptions, use_realtime_item_with_options};
/// use serde_json::Value;
///
/// #[component]
/// fn Country(code: String) -> impl IntoView {
///     let options = UseRealtimeCollectionOptions::default().key_field("code");
///     let country = use_realtime_item_with_options::<Value>("countries", code, options);
///     view! { <Suspense><p>{move || country.item().get().map(|country| country["name"].to_string())}</p></Suspense> }
/// }
/// ```
pub fn use_realtime_item_with_options<T: RowType>(
    collection: impl Into<String>,
    key: impl IntoKey,
    options: UseRealtimeCollectionOptions,
) -> UseRealtimeItemReturn<T> {
    let (collection, key) = (collection.into(), key.into_key());
    let immediate = options.immediate;
    let target = move || {
        let key = key.get();
        let mut options = options.clone();
        let query = Query::new().filter(Filter::field(&options.config.key_field).eq(key.clone())).limit(1);
        options.config.only_key = Some(key);
        Ok(Target::new::<T>(&collection, &options, query))
    };
    UseRealtimeItemReturn { view: LiveView::new(&use_directus().core(), target, immediate) }
}

/// The one item of a singleton collection, kept equal to what REST would return now.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::use_realtime_singleton;
/// # #[derive(Clone, PartialEq, serde::Deserialize)]
/// # struct Masthead { headline: String }
///
/// #[component]
/// fn Headline() -> impl IntoView {
///     let masthead = use_realtime_singleton::<Masthead>("masthead");
///     view! { <Suspense><p>{move || masthead.item().get().map(|masthead| masthead.headline)}</p></Suspense> }
/// }
/// ```
///
/// # Server-side rendering
/// As with [`use_realtime_collection`](crate::use_realtime_collection): the item is in the HTML.
pub fn use_realtime_singleton<T: RowType>(collection: impl Into<String>) -> UseRealtimeItemReturn<T> {
    use_realtime_singleton_with_options(collection, UseRealtimeCollectionOptions::default())
}

/// [`use_realtime_singleton`] with options.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{UseRealtimeCollectionOptions, use_realtime_singleton_with_options};
/// use serde_json::Value;
/// use std::time::Duration;
///
/// #[component]
/// fn Rates() -> impl IntoView {
///     // A script writes them past Directus, and nobody announces it.
///     let options = UseRealtimeCollectionOptions::default().revalidate_every(Duration::from_secs(60));
///     let rates = use_realtime_singleton_with_options::<Value>("rates", options);
///     view! { <Suspense><p>{move || rates.item().get().map(|rates| rates["usd"].to_string())}</p></Suspense> }
/// }
/// ```
pub fn use_realtime_singleton_with_options<T: RowType>(
    collection: impl Into<String>,
    options: UseRealtimeCollectionOptions,
) -> UseRealtimeItemReturn<T> {
    let collection = collection.into();
    let immediate = options.immediate;
    let target = move || Ok(Target::new::<T>(&collection, &options, Query::new()));
    UseRealtimeItemReturn { view: LiveView::new(&use_directus().core(), target, immediate) }
}

/// A live row. `Copy`; signals can be asked for as often as one likes.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{UseRealtimeItemReturn, use_realtime_item};
/// use serde_json::Value;
///
/// #[component]
/// fn Story(id: i64) -> impl IntoView {
///     let story: UseRealtimeItemReturn<Value> = use_realtime_item("posts", id);
///     let title = move || match story.item().get() {
///         Some(story) => story["title"].to_string(),
///         None if story.is_loading().get() => "…".to_owned(),
///         None => "There is no such story".to_owned(),
///     };
///     let pause = move |_| if story.connected().get() { story.disconnect() } else { story.connect() };
///     view! {
///         <Suspense><h1>{title}</h1></Suspense>
///         <p role="status">
///             {move || story.status().get().as_str()} " " {move || story.error().get().map(|error| error.to_string())}
///         </p>
///         <button on:click=pause>"Pause or go on"</button>
///         <button on:click=move |_| story.refetch()>"Read again"</button>
///     }
/// }
/// ```
pub struct UseRealtimeItemReturn<T: RowType> {
    view: LiveView<T>,
}

handle!(UseRealtimeItemReturn);

impl<T: RowType> UseRealtimeItemReturn<T> {
    /// The row; `None` where there is none, or none for this visitor.
    #[must_use]
    pub fn item(self) -> Signal<Option<T>> {
        self.view.first_item()
    }

    /// How true the row is. [`LiveStatus::Stale`] on the server and until the page is hydrated.
    #[must_use]
    pub fn status(self) -> Signal<LiveStatus> {
        self.view.status()
    }

    /// What is wrong, if anything is.
    #[must_use]
    pub fn error(self) -> Signal<Option<Error>> {
        self.view.error()
    }

    /// Whether the socket is open, and this row not paused.
    #[must_use]
    pub fn connected(self) -> Signal<bool> {
        self.view.connected()
    }

    /// Whether the row is not there, only because it has not been read.
    #[must_use]
    pub fn is_loading(self) -> Signal<bool> {
        self.view.is_loading()
    }

    /// Whether the row on the page may have changed since it was read: the status is [`LiveStatus::Stale`],
    /// [`LiveStatus::Polling`] or [`LiveStatus::Paused`].
    ///
    /// # Server-side rendering
    /// `true`, and so in the browser until the page is hydrated.
    #[must_use]
    pub fn is_stale(self) -> Signal<bool> {
        self.view.is_stale()
    }

    /// When Directus last answered a read of the row: milliseconds since 1970 by the visitor's clock, as `Date.now()` gives
    /// them. Says nothing of how true the row is meanwhile: a live row is not read again while nothing changes.
    ///
    /// # Server-side rendering
    /// `None`, and so in the browser until the first read of its own: the server's clock is another one.
    #[must_use]
    pub fn last_synced(self) -> Signal<Option<u64>> {
        self.view.last_synced()
    }

    /// Changes the given fields: on the page at once, and in Directus as soon as can be. More about it at
    /// [`UseRealtimeCollectionReturn::update`](crate::UseRealtimeCollectionReturn::update).
    ///
    /// ```
    /// use leptos::prelude::*;
    /// use leptos_directus::use_realtime_item;
    /// use serde_json::{Value, json};
    ///
    /// #[component]
    /// fn Switch(id: i64) -> impl IntoView {
    ///     let lamp = use_realtime_item::<Value>("lamps", id);
    ///     let age = move || lamp.last_synced().get().map(|read| format!("as of {read} ms since 1970"));
    ///     view! {
    ///         <p class:old=move || lamp.is_stale().get()>{age}</p>
    ///         <button on:click=move |_| drop(lamp.update(&json!({ "is_on": true })))>"On"</button>
    ///         <button on:click=move |_| drop(lamp.delete())>"Remove"</button>
    ///         <p>{move || lamp.pending().get().len()} " changes wait"</p>
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The future's: see [`Write`].
    ///
    /// # Server-side rendering
    /// Fails at once.
    pub fn update(self, patch: &impl Serialize) -> Write<Option<T>> {
        Write::of_row(self.view.update_only(patch), self.view.what("updating"), self.view.unasked())
    }

    /// Deletes the row: it leaves the page at once, and comes back if Directus refuses. More about it at
    /// [`UseRealtimeCollectionReturn::delete`](crate::UseRealtimeCollectionReturn::delete).
    ///
    /// # Errors
    /// The future's: see [`Write`]. A singleton can't be deleted.
    ///
    /// # Server-side rendering
    /// Fails at once.
    pub fn delete(self) -> Write<()> {
        Write::of_nothing(self.view.delete_only(), self.view.what("deleting from"))
    }

    /// The writes to this collection that Directus has not done yet, in order.
    #[must_use]
    pub fn pending(self) -> Signal<Vec<PendingWrite>> {
        self.view.pending()
    }

    /// Makes the row live again after [`disconnect`](Self::disconnect).
    pub fn connect(self) {
        self.view.connect();
    }

    /// Pauses this row, and nothing else.
    pub fn disconnect(self) {
        self.view.disconnect();
    }

    /// Reads the row again now, with or without a socket.
    pub fn refetch(self) {
        self.view.refetch();
    }
}
