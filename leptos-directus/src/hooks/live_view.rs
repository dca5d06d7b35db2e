//! What the hooks for rows have in common: one signal for each row, and a query that may change.

use std::{
    any::TypeId,
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use leptos::{prelude::*, reactive::computed::ArcAsyncDerived};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::use_directus::{Core, Mode};
use crate::{
    client::{Client, Held, LiveRequest, LiveSink},
    connection::ConnectionStatus,
    engine::QuerySpec,
    error::Error,
    live::{LiveConfig, LiveStatus, Output, Reading, RowChanges, Window, as_asked},
    protocol::{Key, Query},
    rest::{Page, decode, with_fields_of},
    transport,
};

/// What a row has to be: readable by serde, and what a signal asks of its values. Implemented for all such types.
///
/// ```
/// use leptos_directus::RowType;
///
/// #[derive(Clone, PartialEq, serde::Deserialize)]
/// struct Post {
///     title: String,
/// }
///
/// fn is_row<T: RowType>() {}
/// is_row::<Post>();
/// is_row::<serde_json::Value>();
/// ```
pub trait RowType: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {}

impl<T: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static> RowType for T {}

/// The identity of a row on the page: what a keyed `<For>` goes by.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Key, Query, RowKey, use_realtime_collection};
/// use serde_json::Value;
///
/// #[component]
/// fn Titles() -> impl IntoView {
///     let posts = use_realtime_collection::<Value>("posts", Query::new());
///     let row = move |key: RowKey| {
///         let address = format!("/posts/{key}");
///         let post = posts.item(key);
///         view! { <a href=address>{move || post.get().map(|post| post["title"].to_string())}</a> }
///     };
///     view! {
///         <Suspense>
///             <For each=move || posts.keys().get() key=|key| key.clone() children=row />
///         </Suspense>
///     }
/// }
///
/// assert_eq!(RowKey::from(7).key(), &Key::from("7"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Key);

impl RowKey {
    /// The key that the row has in Directus.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<Key> for RowKey {
    fn from(key: Key) -> Self {
        Self(key)
    }
}

impl From<&str> for RowKey {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl From<i64> for RowKey {
    fn from(key: i64) -> Self {
        Self(key.into())
    }
}

impl From<RowKey> for Key {
    fn from(key: RowKey) -> Self {
        key.0
    }
}

/// A query that is fixed, a signal, or a closure: with the latter two the list follows what they read.
///
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Query, use_realtime_collection};
/// use serde_json::Value;
///
/// #[component]
/// fn ThreeWays(asked: RwSignal<Query>, limit: Signal<u64>) -> impl IntoView {
///     let fixed = use_realtime_collection::<Value>("posts", Query::new().limit(3));
///     let by_signal = use_realtime_collection::<Value>("posts", asked);
///     let by_closure = use_realtime_collection::<Value>("posts", move || Query::new().limit(limit.get()));
///     let rows = move || [fixed, by_signal, by_closure].map(|posts| posts.keys().get().len());
///     view! { <Suspense><p>{move || format!("{:?}", rows())}</p></Suspense> }
/// }
/// ```
pub trait IntoQuery {
    /// The query as a signal.
    fn into_query(self) -> Signal<Query>;
}

impl IntoQuery for Query {
    fn into_query(self) -> Signal<Query> {
        Signal::stored(self)
    }
}

impl IntoQuery for Signal<Query> {
    fn into_query(self) -> Signal<Query> {
        self
    }
}

impl IntoQuery for RwSignal<Query> {
    fn into_query(self) -> Signal<Query> {
        self.into()
    }
}

impl IntoQuery for Memo<Query> {
    fn into_query(self) -> Signal<Query> {
        self.into()
    }
}

impl<F: Fn() -> Query + Send + Sync + 'static> IntoQuery for F {
    fn into_query(self) -> Signal<Query> {
        Signal::derive(self)
    }
}

/// The rows of one live query, as signals: one for the order, one for each row.
pub(crate) struct View<T> {
    collection: String,
    /// Fields that are read only because we need them: rows must come out as the query says.
    unasked: Vec<String>,
    order: RwLock<Order>,
    pub(crate) keys: ArcRwSignal<Vec<RowKey>>,
    rows: RwLock<HashMap<RowKey, ArcRwSignal<Option<T>>>>,
    pub(crate) status: ArcRwSignal<LiveStatus>,
    error: ArcRwSignal<Option<Error>>,
    unfit: ArcRwSignal<Option<Error>>,
    pub(crate) meta: ArcRwSignal<Option<Value>>,
}

/// All keys, and those whose rows do not fit `T`, with what is wrong with them.
#[derive(Clone, Default)]
struct Order {
    keys: Vec<RowKey>,
    unfit: HashMap<RowKey, Error>,
}

impl<T: RowType> View<T> {
    fn new(target: &Target, status: LiveStatus) -> Self {
        Self {
            collection: target.spec.collection.clone(),
            unasked: target.unasked.clone(),
            order: RwLock::default(),
            keys: ArcRwSignal::default(),
            rows: RwLock::default(),
            status: ArcRwSignal::new(status),
            error: ArcRwSignal::new(None),
            unfit: ArcRwSignal::new(None),
            meta: ArcRwSignal::new(None),
        }
    }

    /// With what the server read, be it rows or an error.
    fn load(&self, key_field: &str, first: Result<Page<Value>, Error>) {
        match first {
            Ok(page) => {
                self.apply(&Window::default().replace(key_field, page.items));
                self.meta.set(page.meta);
            }
            Err(error) => self.error.set(Some(error)),
        }
    }

    /// The same rows, held still.
    fn frozen(&self) -> Self {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let rows = rows.iter().map(|(key, row)| (key.clone(), ArcRwSignal::new(row.get_untracked()))).collect();
        Self {
            collection: self.collection.clone(),
            unasked: self.unasked.clone(),
            order: RwLock::new(self.order.read().unwrap_or_else(PoisonError::into_inner).clone()),
            keys: ArcRwSignal::new(self.keys.get_untracked()),
            rows: RwLock::new(rows),
            status: ArcRwSignal::new(LiveStatus::Paused),
            error: ArcRwSignal::new(None),
            unfit: ArcRwSignal::new(self.unfit.get_untracked()),
            meta: ArcRwSignal::new(self.meta.get_untracked()),
        }
    }

    fn output(&self, output: Output) {
        match output {
            Output::Rows(changes) => self.apply(&changes),
            Output::Meta(meta) => self.meta.set(meta),
            Output::Status(status, error) => {
                if *self.error.read_untracked() != error {
                    self.error.set(error);
                }
                if *self.status.read_untracked() != status {
                    self.status.set(status);
                }
            }
            // The driver makes the reads.
            Output::Read(..) => {}
        }
    }

    fn read_row(&self, key: &Key, row: &Value) -> Result<T, Error> {
        decode(as_asked(row, &self.unasked), &format!("`{}`, key {key}", self.collection))
    }

    /// Costs what the changes touch; of the other rows at most the keys are moved, and only if the order changes.
    fn apply(&self, changes: &RowChanges) {
        let mut order = self.order.write().unwrap_or_else(PoisonError::into_inner);
        let all_fitted = order.unfit.is_empty();
        let mut fresh = Vec::new();
        let mut gone: HashSet<RowKey> = HashSet::new();
        for (key, row) in &changes.changed {
            let decoded = self.read_row(key, row);
            let key = RowKey(key.clone());
            match decoded {
                Ok(row) => {
                    order.unfit.remove(&key);
                    fresh.push((key, row));
                }
                Err(error) => {
                    order.unfit.insert(key.clone(), error);
                    gone.insert(key);
                }
            }
        }
        for key in &changes.removed {
            let key = RowKey(key.clone());
            order.unfit.remove(&key);
            gone.insert(key);
        }
        changes.apply_order(&mut order.keys);
        let all_fit = all_fitted && order.unfit.is_empty();
        // Every key, only where a row may have been left out that is shown now, or the other way round.
        let shown = (!all_fit || changes.order.is_some()).then(|| {
            let shown = order.keys.iter().filter(|key| !order.unfit.contains_key(*key));
            shown.cloned().collect::<Vec<RowKey>>()
        });
        let unfit = if all_fit { None } else { order.keys.iter().find_map(|key| order.unfit.get(key)).cloned() };
        drop(order);
        // Rows first, then the order: whoever learns of a key finds its row.
        let mut updates = Vec::new();
        {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            for (key, row) in fresh {
                match rows.get(&key) {
                    Some(signal) => updates.push((signal.clone(), row)),
                    None => drop(rows.insert(key, ArcRwSignal::new(Some(row)))),
                }
            }
        }
        // Not under the lock: whoever is told may read at once.
        for (signal, row) in updates {
            if signal.read_untracked().as_ref() != Some(&row) {
                signal.set(Some(row));
            }
        }
        match shown {
            Some(shown) if *self.keys.read_untracked() != shown => self.keys.set(shown),
            None if changes.reorders() => self.keys.update(|keys| changes.apply_order(keys)),
            Some(_) | None => {}
        }
        let left: Vec<_> = {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            gone.iter().filter_map(|key| rows.remove(key)).collect()
        };
        for signal in left {
            signal.set(None);
        }
        if *self.unfit.read_untracked() != unfit {
            self.unfit.set(unfit);
        }
    }

    /// The row with this key; whoever reads it is told when it changes, leaves or comes.
    pub(crate) fn row(&self, key: &RowKey) -> Option<T> {
        let signal = self.rows.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        match signal {
            Some(signal) => signal.get(),
            None => {
                self.keys.track();
                None
            }
        }
    }

    pub(crate) fn items(&self) -> Vec<T> {
        self.keys.get().iter().filter_map(|key| self.row(key)).collect()
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.error.get().or_else(|| self.unfit.get())
    }

    /// Whether it has something to show: rows, or that there are none.
    fn is_settled(&self) -> bool {
        match self.status.get() {
            LiveStatus::Loading | LiveStatus::Refused => false,
            _ => self.error.with(Option::is_none) || !self.keys.read().is_empty(),
        }
    }
}

/// What is on the screen already, and the rows that it shows.
type FirstView<T> = (Arc<View<T>>, Option<Page<Value>>);

/// A query with everything that makes it the same as another one.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) spec: QuerySpec,
    query: Query,
    unasked: Vec<String>,
    name: String,
}

impl Target {
    /// What is read for rows of type `T`.
    pub(crate) fn new<T: RowType>(collection: &str, watch: &[String], config: &LiveConfig, query: Query) -> Self {
        let asked = with_fields_of::<T>(query);
        let Reading { query, unasked, shape } = Reading::of(&asked, &config.key_field);
        let config = LiveConfig { window: shape, ..config.clone() };
        // Rows that were asked for with other fields come out otherwise.
        let name =
            format!("{collection}|{}|{unasked:?}|{watch:?}|{config:?}|{:?}", query.canonical(), TypeId::of::<T>());
        let spec = QuerySpec { collection: collection.to_owned(), watch: watch.to_vec(), config };
        Self { spec, query, unasked, name }
    }

    /// What the server and the browser, two different builds, tell questions apart by.
    fn mark(&self) -> u64 {
        // FNV-1a: it is the same in every build, which `Hash` does not promise.
        let question = format!("{}|{}", self.spec.collection, self.query.canonical());
        question
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |mark, byte| (mark ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    #[cfg(feature = "native")]
    pub(crate) fn query(&self) -> &Query {
        &self.query
    }

    #[cfg(feature = "native")]
    pub(crate) fn unasked(&self) -> &[String] {
        &self.unasked
    }

    fn hold<T: RowType>(&self, client: &Client, first: Option<FirstView<T>>) -> (Held, Arc<View<T>>) {
        client.hold(&self.name, || {
            let (view, initial) = first.unwrap_or_else(|| (Arc::new(View::new(self, LiveStatus::Loading)), None));
            let sink: LiveSink = Box::new({
                let view = Arc::clone(&view);
                move |output| view.output(output)
            });
            (view, sink, LiveRequest { spec: self.spec.clone(), query: self.query.clone(), initial })
        })
    }
}

/// The rows that the server read, and for which question; `None` where it did not (a page that the browser itself went to).
type First = Option<(u64, Result<Page<Value>, Error>)>;

/// A hook's hold on a live query that may change, and what it shows meanwhile.
pub(crate) struct LiveView<T: RowType> {
    connection: Signal<ConnectionStatus>,
    /// On the server: what has to have been read before anything is shown.
    first: StoredValue<Option<ArcResource<First>>>,
    shown: RwSignal<Arc<View<T>>>,
    /// What is to be shown instead, once it has something to show: the query has changed.
    coming: RwSignal<Option<Arc<View<T>>>>,
    held: StoredValue<Option<Held>>,
    paused: RwSignal<bool>,
}

// By hand, because `Clone` must not ask for `T: Copy`.
impl<T: RowType> Clone for LiveView<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: RowType> Copy for LiveView<T> {}

/// The rows that the server reads and the browser finds in the HTML: the resource, and in the browser what it holds.
///
/// Leptos counts resources to find their values again: the server and the browser make one each, in any case.
fn server_rows<T: RowType>(
    core: &Core,
    target: Option<&Target>,
    view: &Arc<View<T>>,
) -> (Option<ArcResource<First>>, First) {
    let request = match &core.mode {
        Mode::Server(rest) => target.map(|target| (rest.clone(), target.clone(), Arc::clone(view))),
        Mode::Live(_) if transport::is_browser() => None,
        Mode::Live(_) => return (None, None),
    };
    let resource = ArcResource::<First>::new_with_options(
        || (),
        move |()| {
            let request = request.clone();
            async move {
                let (rest, target, view) = request?;
                let result = match rest {
                    Ok(rest) => rest.read_page(&target.spec.collection, &target.query).await,
                    Err(error) => Err(error),
                };
                view.load(&target.spec.config.key_field, result.clone());
                Some((target.mark(), result))
            }
        },
        true,
    );
    // Not `resource.get()`, which is for views: a hook's body is no place that could wait for it.
    let data: &ArcAsyncDerived<First> = &resource;
    let found = data.try_read_untracked().and_then(|value| value.clone()).flatten();
    if let (Some((_, first)), Some(target)) = (&found, target) {
        view.load(&target.spec.config.key_field, first.clone());
    }
    (Some(resource), found)
}

impl<T: RowType> LiveView<T> {
    /// To be called in a component's body, always and in the same order: it counts as one of Leptos's resources.
    pub(crate) fn new(
        core: &Core,
        target: impl Fn() -> Result<Target, Error> + Send + Sync + 'static,
        immediate: bool,
    ) -> Self {
        let now = untrack(&target);
        let is_live = matches!(core.mode, Mode::Live(_));
        let view = match &now {
            Ok(target) => View::new(target, LiveStatus::Loading),
            Err(error) => View::unusable(error.clone()),
        };
        let view = Arc::new(view);
        let (first, initial) = server_rows(core, now.as_ref().ok(), &view);
        // Until the hook has taken hold of its query, the server and the browser must show the same: the server's rows,
        // which are about to be read again.
        if !immediate {
            view.status.set(LiveStatus::Paused);
        } else if !is_live || initial.is_some() {
            view.status.set(LiveStatus::Stale);
        }
        let this = Self {
            connection: core.status.clone().into(),
            first: StoredValue::new(first.filter(|_| !is_live)),
            shown: RwSignal::new(view),
            coming: RwSignal::new(None),
            held: StoredValue::new(None),
            paused: RwSignal::new(!immediate),
        };
        if let Mode::Live(client) = &core.mode {
            let rows = initial.zip(now.ok()).filter(|((mark, _), target)| *mark == target.mark());
            let rows = rows.and_then(|((_, rows), target)| Some((target.name, rows.ok()?)));
            this.follow(client.clone(), target, rows);
        }
        this
    }

    /// Holds the live query that is asked for; runs once the page is hydrated, and again when the query changes.
    fn follow(
        self,
        client: Client,
        target: impl Fn() -> Result<Target, Error> + Send + Sync + 'static,
        initial: Option<(String, Page<Value>)>,
    ) {
        let coming = self.coming;
        // The share of what is shown while something else is awaited: what stays on the page stays true meanwhile.
        let leaving: StoredValue<Option<Held>> = StoredValue::new(None);
        let first = StoredValue::new(initial.map(|(name, rows)| (name, (self.shown.get_untracked(), Some(rows)))));
        Effect::new_isomorphic(move |held_name: Option<Option<String>>| {
            if self.paused.get() {
                if held_name.flatten().is_some() {
                    coming.set(None);
                    self.shown.set(Arc::new(self.shown.get_untracked().frozen()));
                    self.held.set_value(None);
                    leaving.set_value(None);
                }
                return None;
            }
            let target = match target() {
                Ok(target) => target,
                Err(error) => {
                    coming.set(None);
                    self.shown.set(Arc::new(View::unusable(error)));
                    self.held.set_value(None);
                    leaving.set_value(None);
                    return None;
                }
            };
            if held_name.flatten().as_ref() == Some(&target.name) {
                return Some(target.name);
            }
            // The first query may start from the rows that are on the screen already, if they are its own.
            let first = first.try_update_value(Option::take).flatten();
            let first = first.and_then(|(name, first)| (name == target.name).then_some(first));
            let (held, view) = target.hold(&client, first);
            let is_new = !Arc::ptr_eq(&view, &self.shown.get_untracked());
            // The old shares go only now, so that a query that stays the same does not end in between.
            let old = self.held.try_update_value(|slot| slot.replace(held)).flatten();
            leaving.update_value(|leaving| *leaving = is_new.then(|| leaving.take().or(old)).flatten());
            coming.set(is_new.then_some(view));
            Some(target.name)
        });
        // The old rows stay until the new ones are there. Whoever shows none yet has nothing to keep, and a refusal ends what
        // nobody keeps true any more: it may be another visitor's.
        Effect::new_isomorphic(move |_| {
            let Some(view) = coming.get() else { return };
            let is_refused = view.status.get() == LiveStatus::Refused;
            if view.is_settled()
                || untrack(|| self.shown.read().status.get() == LiveStatus::Loading)
                || (is_refused && leaving.with_value(Option::is_none))
            {
                self.shown.set(view);
                coming.set(None);
                leaving.set_value(None);
            }
        });
    }

    /// On the server: makes the page wait for the first rows. Under `<Suspense>`, as Leptos wants it.
    fn await_first(self) {
        if let Some(Some(first)) = self.first.try_get_value() {
            first.with(|_| ());
        }
    }

    fn shown(self) -> Option<Arc<View<T>>> {
        self.shown.try_get()
    }

    pub(crate) fn items(self) -> Signal<Vec<T>> {
        Signal::derive(move || {
            self.await_first();
            self.shown().map(|view| view.items()).unwrap_or_default()
        })
    }

    pub(crate) fn keys(self) -> Signal<Vec<RowKey>> {
        Signal::derive(move || {
            self.await_first();
            self.shown().map(|view| view.keys.get()).unwrap_or_default()
        })
    }

    pub(crate) fn item(self, key: RowKey) -> Signal<Option<T>> {
        Signal::derive(move || {
            self.await_first();
            self.shown()?.row(&key)
        })
    }

    pub(crate) fn first_item(self) -> Signal<Option<T>> {
        Signal::derive(move || {
            self.await_first();
            let view = self.shown()?;
            let key = view.keys.read().first().cloned()?;
            view.row(&key)
        })
    }

    pub(crate) fn meta(self) -> Signal<Option<Value>> {
        Signal::derive(move || {
            self.await_first();
            self.shown()?.meta.get()
        })
    }

    /// What is wrong with the rows that are awaited, and what the rows on the page are meanwhile.
    fn trouble(self) -> Option<(LiveStatus, Error)> {
        let coming = self.coming.try_get().flatten()?;
        let error = coming.error.get()?;
        match coming.status.get() {
            // There are rows: those of the query before.
            LiveStatus::Loading => Some((LiveStatus::Stale, error)),
            status => Some((status, error)),
        }
    }

    pub(crate) fn status(self) -> Signal<LiveStatus> {
        Signal::derive(move || match self.trouble() {
            Some((status, _)) => status,
            None => self.shown().map(|view| view.status.get()).unwrap_or_default(),
        })
    }

    pub(crate) fn error(self) -> Signal<Option<Error>> {
        Signal::derive(move || {
            self.await_first();
            match self.trouble() {
                Some((_, error)) => Some(error),
                None => self.shown()?.error(),
            }
        })
    }

    pub(crate) fn is_loading(self) -> Signal<bool> {
        Signal::derive(move || {
            self.await_first();
            self.shown().is_some_and(|view| view.status.get() == LiveStatus::Loading)
        })
    }

    pub(crate) fn connected(self) -> Signal<bool> {
        Signal::derive(move || {
            self.connection.try_get().is_some_and(|status| status.is_connected())
                && !self.paused.try_get().unwrap_or(true)
        })
    }

    pub(crate) fn connect(self) {
        if self.paused.try_get_untracked() == Some(true) {
            self.paused.set(false);
        }
    }

    pub(crate) fn disconnect(self) {
        if self.paused.try_get_untracked() == Some(false) {
            self.paused.set(true);
        }
    }

    pub(crate) fn refetch(self) {
        self.held.try_with_value(|held| held.as_ref().map(Held::refetch));
    }
}

impl<T: RowType> View<T> {
    /// Nothing can be shown, and why.
    fn unusable(error: Error) -> Self {
        Self {
            collection: String::new(),
            unasked: Vec::new(),
            order: RwLock::default(),
            keys: ArcRwSignal::default(),
            rows: RwLock::default(),
            status: ArcRwSignal::new(LiveStatus::Refused),
            error: ArcRwSignal::new(Some(error)),
            unfit: ArcRwSignal::new(None),
            meta: ArcRwSignal::new(None),
        }
    }
}

#[cfg(test)]
mod tests;
