//! What the hooks for rows have in common: one signal for each row, and a query that may change.

use std::{
    any::TypeId,
    collections::{HashMap, HashSet},
    iter,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::future::join;
use hydration_context::SerializedDataId;
use leptos::{prelude::*, reactive::computed::ArcAsyncDerived};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    order::{ShownOrder, way_between},
    page_reads::{Answer, Slot, question},
    readers::Readers,
    signal::{ArcSharedSignal, Changed, SharedSignal},
    use_directus::{Core, Mode},
    use_realtime_collection::UseRealtimeCollectionOptions,
    write::Made,
};
use crate::{
    client::{Client, Held, LiveRequest, LiveSink, News},
    connection::ConnectionStatus,
    engine::QuerySpec,
    error::Error,
    live::{
        Change, Intent, Layer, LiveConfig, LiveStatus, NewRows, Output, Overlay, PendingWrite, Progress, ReadScope,
        Reading, RowChanges, RowKey, Shown, ShownRow, Who, Window, as_asked,
    },
    protocol::{Key, Query},
    rest::{Page, Question, Rest, Seen, decode, with_fields_of},
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

/// The rows of one live query, as signals: one for the order, one for each row. Clones are the same.
#[derive(Clone)]
pub(crate) struct View<T> {
    collection: String,
    origin: Option<String>,
    limit: Option<i64>,
    /// Fields that are read only because we need them: rows must come out as the query says.
    unasked: Vec<String>,
    overlay: Arc<Mutex<Overlay>>,
    order: Arc<RwLock<Order>>,
    shown_order: ShownOrder,
    /// Without the last one that the query may give, where somebody shows the list so.
    but_last: OnceLock<ShownOrder>,
    rows: Arc<RwLock<HashMap<RowKey, ArcSharedSignal<Option<T>>>>>,
    /// How many rows the query gave, whether or not they are shown.
    given: ArcSharedSignal<usize>,
    /// Rows got their keys.
    named: Changed,
    pub(crate) status: ArcSharedSignal<LiveStatus>,
    error: ArcSharedSignal<Option<Error>>,
    unfit: ArcSharedSignal<Option<Error>>,
    /// Why the last write of this list was refused.
    refused: ArcSharedSignal<Option<Error>>,
    /// The number of the last one that was made.
    written: Arc<AtomicU64>,
    /// When the last read came back.
    synced: ArcSharedSignal<Option<u64>>,
    pub(crate) meta: ArcSharedSignal<Option<Value>>,
}

/// All rows, and those that do not fit `T`, with what is wrong with them; nothing is for those that were created here, and
/// are shown when Directus has completed them.
#[derive(Clone, Default)]
struct Order {
    keys: Vec<RowKey>,
    unfit: HashMap<RowKey, Option<Error>>,
}

impl Order {
    fn fitting(&self) -> impl Iterator<Item = &RowKey> {
        self.keys.iter().filter(|key| !self.unfit.contains_key(*key))
    }
}

impl<T: RowType> View<T> {
    fn new(target: &Target, status: LiveStatus) -> Self {
        Self {
            collection: target.spec.collection.clone(),
            origin: target.origin.clone(),
            limit: target.query.limit,
            unasked: target.unasked.clone(),
            overlay: Arc::new(Mutex::new(Overlay::new(target.new_rows))),
            order: Arc::default(),
            shown_order: ShownOrder::default(),
            but_last: OnceLock::new(),
            rows: Arc::default(),
            given: ArcSharedSignal::default(),
            named: Changed::new(()),
            status: ArcSharedSignal::new(status),
            error: ArcSharedSignal::new(None),
            unfit: ArcSharedSignal::new(None),
            refused: ArcSharedSignal::new(None),
            written: Arc::default(),
            synced: ArcSharedSignal::new(None),
            meta: ArcSharedSignal::new(None),
        }
    }

    /// Nothing can be shown, and why.
    fn unusable(error: Error) -> Self {
        Self {
            collection: String::new(),
            origin: None,
            limit: None,
            unasked: Vec::new(),
            overlay: Arc::default(),
            order: Arc::default(),
            shown_order: ShownOrder::default(),
            but_last: OnceLock::new(),
            rows: Arc::default(),
            given: ArcSharedSignal::default(),
            named: Changed::new(()),
            status: ArcSharedSignal::new(LiveStatus::Refused),
            error: ArcSharedSignal::new(Some(error)),
            unfit: ArcSharedSignal::new(None),
            refused: ArcSharedSignal::new(None),
            written: Arc::default(),
            synced: ArcSharedSignal::new(None),
            meta: ArcSharedSignal::new(None),
        }
    }

    fn overlay(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With what the server read, be it rows or an error.
    fn load(&self, key_field: &str, first: Answer) {
        match first {
            Ok(page) => {
                let changes = Window::default().replace(key_field, page.items);
                self.server(changes);
                self.meta.set(page.meta);
            }
            Err(error) => self.error.set(Some(error)),
        }
    }

    /// The same rows, held still.
    fn frozen(&self) -> Self {
        let mut overlay = Overlay::default();
        overlay.adopt(&self.overlay());
        // Under the lock of the order, as rows come.
        let order = self.order.read().unwrap_or_else(PoisonError::into_inner);
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let rows = rows.iter().map(|(key, row)| (key.clone(), ArcSharedSignal::new(row.get_untracked()))).collect();
        Self {
            collection: self.collection.clone(),
            origin: None,
            limit: self.limit,
            unasked: self.unasked.clone(),
            overlay: Arc::new(Mutex::new(overlay)),
            order: Arc::new(RwLock::new(order.clone())),
            shown_order: ShownOrder::new(order.fitting().cloned().collect()),
            but_last: OnceLock::new(),
            rows: Arc::new(RwLock::new(rows)),
            given: ArcSharedSignal::new(self.given.get_untracked()),
            named: Changed::new(()),
            status: ArcSharedSignal::new(LiveStatus::Paused),
            error: ArcSharedSignal::new(None),
            unfit: ArcSharedSignal::new(self.unfit.get_untracked()),
            refused: ArcSharedSignal::new(None),
            written: Arc::default(),
            synced: ArcSharedSignal::new(self.synced.get_untracked()),
            meta: ArcSharedSignal::new(self.meta.get_untracked()),
        }
    }

    /// The same list, seen as the other one can follow upon it; nothing where that can follow upon this one as it is seen.
    fn on_the_way_to(&self, other: &Self) -> Option<Self> {
        let way = |shown: &ShownOrder, other: &ShownOrder| {
            way_between(&shown.keys().get_untracked(), &other.keys().get_untracked())
        };
        let keys = way(&self.shown_order, &other.shown_order);
        let but_last = self.but_last.get().and_then(|shown| way(shown, other.but_last()));
        if keys.is_none() && but_last.is_none() {
            return None;
        }
        let shown = |keys: Option<Vec<RowKey>>, now: &ShownOrder| {
            ShownOrder::new(keys.unwrap_or_else(|| now.keys().get_untracked()))
        };
        let but_last = self.but_last.get().map(|now| shown(but_last, now).into()).unwrap_or_default();
        Some(Self { shown_order: shown(keys, &self.shown_order), but_last, ..self.clone() })
    }

    /// Whether all who follow its order have seen it as it is.
    fn is_seen(&self) -> bool {
        self.shown_orders().iter().all(ShownOrder::is_settled)
    }

    fn shown_orders(&self) -> Vec<ShownOrder> {
        iter::once(&self.shown_order).chain(self.but_last.get()).cloned().collect()
    }

    /// Rows that were created here go by the same names as in the list that was shown before.
    fn adopt(&self, other: &Self) {
        // A list that is on its way to another one shares everything with what it was.
        if self.collection == other.collection && !Arc::ptr_eq(&self.overlay, &other.overlay) {
            // Locked in one order, whichever of two adopts the other.
            let (mut own, other) = if Arc::as_ptr(&self.overlay) < Arc::as_ptr(&other.overlay) {
                let own = self.overlay();
                (own, other.overlay())
            } else {
                let other = other.overlay();
                (self.overlay(), other)
            };
            own.adopt(&other);
        }
    }

    fn news(&self, news: News) {
        match news {
            News::Live(output) => self.output(output),
            News::Write(intent, progress) => {
                if self.origin.as_ref() == Some(&intent.origin) {
                    let number = intent.layer.write.0;
                    // One that waits again was made before.
                    let is_new = self.written.fetch_max(number, Ordering::Relaxed) < number;
                    match &progress {
                        Progress::Refused(error) => self.refused.set(Some(error.clone())),
                        Progress::Waiting if is_new => self.refused.set_if_other(None),
                        _ => {}
                    }
                }
                let shown = self.overlay().progress(&intent.layer, progress);
                self.apply(&shown);
            }
            News::AnotherVisitor => self.refused.set_if_other(None),
            News::Read { confirmed, scope, is_answer } => {
                let only = match &scope {
                    ReadScope::Window => None,
                    ReadScope::Keys(keys) => Some(keys.as_slice()),
                };
                let shown = self.overlay().read(confirmed, only);
                self.apply(&shown);
                if is_answer {
                    self.synced.set(Some(transport::unix_millis()));
                }
            }
        }
    }

    fn output(&self, output: Output) {
        match output {
            Output::Rows(changes) => self.server(changes),
            Output::Meta(meta) => self.meta.set(meta),
            Output::Status(status, error) => {
                self.error.set_if_other(error);
                self.status.set_if_other(status);
            }
            // The driver makes the reads, and says how many writes were done by then.
            Output::Read(..) | Output::Shown(_) => {}
        }
    }

    fn server(&self, changes: RowChanges) {
        let (shown, given) = {
            let mut overlay = self.overlay();
            (overlay.server(changes), overlay.given())
        };
        self.apply(&shown);
        self.given.set_if_other(given);
    }

    fn read_row(&self, key: &RowKey, row: &Value) -> Result<T, Error> {
        decode(as_asked(row, &self.unasked), &format!("`{}`, key {key}", self.collection))
    }

    /// The row with the writes over it; without them, should it not fit `T` with them: a relation is written by its key.
    fn read_shown(&self, key: &RowKey, row: &ShownRow) -> Result<T, Option<Error>> {
        self.read_row(key, &row.value).or_else(|error| match &row.plain {
            Some(plain) if !Arc::ptr_eq(plain, &row.value) => self.read_row(key, plain).map_err(Some),
            Some(_) => Err(Some(error)),
            // What was given at its creation is not all that `T` asks for.
            None => Err(None),
        })
    }

    pub(crate) fn keys(&self) -> &ArcSharedSignal<Vec<RowKey>> {
        self.shown_order.keys()
    }

    /// Costs what the changes touch. If rows enter, leave or move, the keys of the others are copied and compared, too: `<For>`
    /// compares them in any case.
    fn apply(&self, shown: &Shown) {
        let mut order = self.order.write().unwrap_or_else(PoisonError::into_inner);
        let all_fitted = order.unfit.is_empty();
        let mut fresh = Vec::new();
        let mut gone: HashSet<RowKey> = HashSet::new();
        for (key, row) in &shown.changed {
            match self.read_shown(key, row) {
                Ok(row) => {
                    order.unfit.remove(key);
                    fresh.push((key.clone(), row));
                }
                Err(error) => {
                    order.unfit.insert(key.clone(), error);
                    gone.insert(key.clone());
                }
            }
        }
        for key in &shown.removed {
            order.unfit.remove(key);
            gone.insert(key.clone());
        }
        shown.apply_order(&mut order.keys);
        let all_fit = all_fitted && order.unfit.is_empty();
        // Every key, only where a row may have been left out that is shown now, or the other way round.
        let keys = (!all_fit || shown.order.is_some()).then(|| order.fitting().cloned().collect::<Vec<RowKey>>());
        let but_last = self.but_last.get().filter(|_| keys.is_some() || shown.reorders());
        let but_last = but_last.map(|shown| (shown, self.all_but_last(&order)));
        let unfit = if all_fit { None } else { order.keys.iter().find_map(|key| order.unfit.get(key)?.clone()) };
        // Rows first, then the order: whoever learns of a key finds its row.
        let mut updates = Vec::new();
        {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            for (key, row) in fresh {
                match rows.get(&key) {
                    Some(signal) => updates.push((signal.clone(), row)),
                    None => drop(rows.insert(key, ArcSharedSignal::new(Some(row)))),
                }
            }
        }
        drop(order);
        // Not under the lock: whoever is told may read at once.
        for (signal, row) in updates {
            signal.set_if_other(Some(row));
        }
        match keys {
            Some(keys) => self.shown_order.show(keys),
            None if shown.reorders() => self.shown_order.splice(shown),
            None => {}
        }
        if let Some((shown, keys)) = but_last {
            shown.show(keys);
        }
        self.forget(gone);
        self.unfit.set_if_other(unfit);
        if shown.named {
            self.named.notify();
        }
    }

    /// Those that go are there until all have been seen without them.
    fn forget(&self, mut gone: HashSet<RowKey>) {
        if gone.is_empty() {
            return;
        }
        let rows = Arc::clone(&self.rows);
        let forget = move |gone: HashSet<RowKey>| {
            let left: Vec<_> = {
                let mut rows = rows.write().unwrap_or_else(PoisonError::into_inner);
                gone.iter().filter_map(|key| rows.remove(key)).collect()
            };
            for signal in left {
                signal.set(None);
            }
        };
        if self.is_seen() {
            return forget(gone);
        }
        let (order, orders) = (Arc::clone(&self.order), self.shown_orders());
        transport::spawn(async move {
            while !orders.iter().all(ShownOrder::is_settled) {
                leptos::task::tick().await;
            }
            // Unless they are back.
            for key in order.read().unwrap_or_else(PoisonError::into_inner).fitting() {
                gone.remove(key);
            }
            forget(gone);
        });
    }

    /// The row with this key; whoever reads it is told when it changes, leaves or comes.
    pub(crate) fn row(&self, key: &RowKey) -> Option<T> {
        let look = || {
            let key = self.overlay().resolve(key);
            let signal = self.rows.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            signal?.get()
        };
        look().or_else(|| {
            self.keys().track();
            // By a key, of a row that was created here and has none yet.
            self.named.track();
            // It may have come before that was tracked.
            look()
        })
    }

    /// The keys of a list that is asked for with one row more than it shows.
    fn but_last(&self) -> &ShownOrder {
        let order = self.order.read().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: from then on it is kept true by what changes the order.
        self.but_last.get_or_init(|| ShownOrder::new(self.all_but_last(&order)))
    }

    fn all_but_last(&self, order: &Order) -> Vec<RowKey> {
        order.fitting().take(self.most()).cloned().collect()
    }

    /// How many rows are shown of a list that is asked for with one more.
    fn most(&self) -> usize {
        self.limit.and_then(|limit| usize::try_from(limit).ok()).map_or(usize::MAX, |limit| limit.saturating_sub(1))
    }

    /// The key that a row has in Directus.
    fn key_of(&self, row: &RowKey) -> Option<Key> {
        let look = || self.overlay().key(row);
        look().or_else(|| {
            self.named.track();
            // It may have got one before that was tracked.
            look()
        })
    }

    /// The rows that have writes which are not done yet, by the names that they go by here.
    fn waiting(&self, overlay: &Overlay, pending: &[PendingWrite]) -> impl Iterator<Item = RowKey> {
        let own = pending.iter().filter(|write| write.collection == self.collection);
        own.filter_map(|write| Some(overlay.resolve(write.row.as_ref()?)))
    }

    /// Whether this row is one of them.
    fn waits(&self, pending: &[PendingWrite], row: &RowKey) -> bool {
        let overlay = self.overlay();
        let row = overlay.resolve(row);
        self.waiting(&overlay, pending).any(|of| of == row)
    }

    pub(crate) fn items(&self) -> Vec<T> {
        self.keys().get().iter().filter_map(|key| self.row(key)).collect()
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.error.get().or_else(|| self.refused.get()).or_else(|| self.unfit.get())
    }

    /// Whether it has something to show: rows, or that there are none.
    fn is_settled(&self) -> bool {
        match self.status.get() {
            LiveStatus::Loading | LiveStatus::Refused => false,
            _ => self.error.with(Option::is_none) || self.keys().with(|keys| !keys.is_empty()),
        }
    }
}

/// What is on the screen already, the rows that it shows, and where their relations lead.
type FirstView<T> = (Arc<View<T>>, Option<Page<Value>>, Seen);

/// A query with everything that makes it the same as another one.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) spec: QuerySpec,
    query: Query,
    unasked: Vec<String>,
    name: String,
    new_rows: NewRows,
    client_keys: bool,
    persist: Option<String>,
    /// What lists share that show the same new rows: longer and shorter ones do.
    origin: Option<String>,
    /// Where its relations lead, if that is to be found out.
    question: Option<Arc<Question>>,
}

impl Target {
    /// What is read for rows of type `T`.
    pub(crate) fn new<T: RowType>(collection: &str, options: &UseRealtimeCollectionOptions, query: Query) -> Self {
        let UseRealtimeCollectionOptions { config, watch, watch_relations, new_rows, client_keys, persist, .. } =
            options;
        let asked = with_fields_of::<T>(query);
        let Reading { query, unasked, shape } = Reading::of(&asked, &config.key_field);
        let config = LiveConfig { window: shape, ..config.clone() };
        // Rows that were asked for with other fields come out otherwise.
        let name = format!(
            "{collection}|{}|{unasked:?}|{watch:?}|{watch_relations}|{config:?}|{new_rows:?}|{:?}",
            query.canonical(),
            TypeId::of::<T>()
        );
        // Groups have no keys that a write could go by.
        let origin = (!asked.is_aggregate()).then(|| {
            let is_first = asked.offset.is_none() && asked.page.is_none();
            // As far as they are the same, as they are read.
            let (sort, limit) = (query.sort.clone(), query.limit.filter(|_| !is_first));
            let whole = Query { sort, limit, ..asked.clone() };
            format!("{collection}|{}", whole.canonical())
        });
        let spec = QuerySpec { collection: collection.to_owned(), watch: watch.clone(), found: None, config };
        let question = watch_relations.then(|| Question::of(collection, &query));
        let question = question.filter(Question::asks_something).map(Arc::new);
        Self {
            spec,
            question,
            query,
            unasked,
            name,
            new_rows: *new_rows,
            client_keys: *client_keys,
            persist: persist.clone(),
            origin,
        }
    }

    /// What the server and the browser, two different builds, tell questions apart by.
    fn mark(&self) -> u64 {
        // FNV-1a: it is the same in every build, which `Hash` does not promise.
        question(&self.spec.collection, &self.query)
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |mark, byte| (mark ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    #[cfg(feature = "native")]
    pub(crate) fn unasked(&self) -> &[String] {
        &self.unasked
    }

    fn hold<T: RowType>(&self, client: &Client, first: Option<FirstView<T>>) -> (Held, Arc<View<T>>) {
        client.hold(&self.name, || {
            let (view, initial, seen) =
                first.unwrap_or_else(|| (Arc::new(View::new(self, LiveStatus::Loading)), None, Seen::NotAsked));
            let sink: LiveSink = Box::new({
                let view = Arc::clone(&view);
                move |news| view.news(news)
            });
            (view, sink, self.request(initial, seen))
        })
    }

    /// What the driver is to do for it, from these rows on.
    pub(crate) fn request(&self, initial: Option<Page<Value>>, seen: Seen) -> LiveRequest {
        let (spec, query) = (self.spec.clone(), self.query.clone());
        LiveRequest { spec, query, initial, origin: self.origin.clone(), question: self.question.clone(), seen }
    }

    /// Where its relations lead, as far as the server knows.
    async fn look(&self, rest: &Rest) -> Seen {
        match &self.question {
            Some(question) => rest.look((**question).clone()).await,
            None => Seen::NotAsked,
        }
    }
}

/// For which question the server read rows, where in the HTML they are, and where its relations lead; `None` where it did not
/// read (a page that the browser itself went to).
type First = Option<(u64, SerializedDataId, Seen)>;

/// What the browser found there: for which question, the answer, and where its relations lead.
type Found = (u64, Answer, Seen);

/// A hook's hold on a live query that may change, and what it shows meanwhile.
pub(crate) struct LiveView<T: RowType> {
    connection: Signal<ConnectionStatus>,
    /// On the server: what has to have been read before anything is shown.
    first: StoredValue<Option<ArcResource<First>>>,
    shown: SharedSignal<Arc<View<T>>>,
    /// Who reads one row of it.
    row_readers: StoredValue<Arc<Readers<()>>>,
    /// Who asks whether a row has writes that wait.
    wait_readers: StoredValue<Arc<Readers<Arc<Waits>>>>,
    /// What is to be shown instead, once it has something to show: the query has changed.
    coming: SharedSignal<Option<Arc<View<T>>>>,
    held: SharedSignal<Option<Held>>,
    paused: SharedSignal<bool>,
    core: StoredValue<Arc<Core>>,
    /// What was asked for when an effect last looked.
    asked: SharedSignal<Result<Target, Error>>,
    /// What is asked for now: writes go by it.
    now: StoredValue<Asked>,
}

type Asked = Arc<dyn Fn() -> Result<Target, Error> + Send + Sync>;

/// Who asks whether a row has writes that wait.
#[derive(Debug)]
struct Waits {
    row: RowKey,
    /// What all of them knew when they were told last.
    was_told: AtomicBool,
    /// Somebody has seen something else since.
    is_mixed: AtomicBool,
}

impl Waits {
    fn look(&self, waits: impl Fn() -> bool) -> bool {
        let is_so = waits();
        if is_so == self.was_told.load(Ordering::Relaxed) {
            return is_so;
        }
        self.is_mixed.store(true, Ordering::Relaxed);
        // It may have changed again before that was known, and nobody is told of it any more.
        waits()
    }

    fn is_to_be_told(&self, is_so: bool) -> bool {
        let was_told = self.was_told.swap(is_so, Ordering::Relaxed);
        let is_mixed = self.is_mixed.swap(false, Ordering::Relaxed);
        is_mixed || was_told != is_so
    }
}

// By hand, because `Clone` must not ask for `T: Copy`.
impl<T: RowType> Clone for LiveView<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: RowType> Copy for LiveView<T> {}

/// The rows that the server reads and the browser finds in the HTML: the resource, and in the browser what was read for which
/// question.
///
/// Leptos counts places in the HTML and resources to find their values again: the server and the browser take one of each, in
/// any case.
fn server_rows<T: RowType>(
    core: &Core,
    target: Option<&Target>,
    view: &Arc<View<T>>,
) -> (Option<ArcResource<First>>, Option<Found>) {
    if matches!(core.mode, Mode::Live(_)) && !transport::is_browser() {
        return (None, None);
    }
    let slot = Slot::next();
    let request = match (&core.mode, target) {
        (Mode::Server(rest), Some(target)) => {
            let (answer, place) = core.reads.rows(rest, &target.spec.collection, &target.query, &slot);
            Some((answer, place, rest.clone(), target.clone(), Arc::clone(view)))
        }
        _ => None,
    };
    let resource = ArcResource::<First>::new_with_options(
        || (),
        move |()| {
            let request = request.clone();
            async move {
                let (answer, place, rest, target, view) = request?;
                let look = async {
                    match &rest {
                        Ok(rest) => target.look(rest).await,
                        Err(_) => Seen::NotAsked,
                    }
                };
                let (answer, seen) = join(answer, look).await;
                view.load(&target.spec.config.key_field, answer);
                Some((target.mark(), place?, seen))
            }
        },
        true,
    );
    // Not `resource.get()`, which is for views: a hook's body is no place that could wait for it.
    let data: &ArcAsyncDerived<First> = &resource;
    let found = data.try_read_untracked().and_then(|value| value.clone()).flatten();
    let found = found.and_then(|(mark, place, seen)| Some((mark, slot.read(&place)?, seen)));
    if let (Some((_, first, _)), Some(target)) = (&found, target) {
        view.load(&target.spec.config.key_field, first.clone());
    }
    (Some(resource), found)
}

impl<T: RowType> LiveView<T> {
    /// To be called in a component's body, always and in the same order: it counts as one of Leptos's resources.
    pub(crate) fn new(
        core: &Arc<Core>,
        target: impl Fn() -> Result<Target, Error> + Send + Sync + 'static,
        immediate: bool,
    ) -> Self {
        let target: Asked = Arc::new(target);
        let now = untrack(|| target());
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
        } else if now.is_ok() && (!is_live || initial.is_some()) {
            view.status.set(LiveStatus::Stale);
        }
        let this = Self {
            connection: core.status.clone().into(),
            first: StoredValue::new(first.filter(|_| !is_live)),
            shown: SharedSignal::new(view),
            row_readers: StoredValue::default(),
            wait_readers: StoredValue::default(),
            coming: SharedSignal::new(None),
            held: SharedSignal::new(None),
            paused: SharedSignal::new(!immediate),
            core: StoredValue::new(Arc::clone(core)),
            asked: SharedSignal::new(now.clone()),
            now: StoredValue::new(Arc::clone(&target)),
        };
        if let Mode::Live(client) = &core.mode {
            let rows = initial.zip(now.ok()).filter(|((mark, ..), target)| *mark == target.mark());
            let rows = rows.and_then(|((_, rows, seen), target)| Some((target.name, rows.ok()?, seen)));
            this.follow(client.clone(), rows);
        }
        this
    }

    /// Holds the live query that is asked for; runs once the page is hydrated, and again when the query changes.
    fn follow(self, client: Client, initial: Option<(String, Page<Value>, Seen)>) {
        let coming = self.coming;
        // The share of what is shown while something else is awaited: what stays on the page stays true meanwhile.
        let leaving: SharedSignal<Option<Held>> = SharedSignal::new(None);
        let first = initial.zip(self.shown.try_get_untracked());
        let first = SharedSignal::new(first.map(|((name, rows, seen), view)| (name, (view, Some(rows), seen))));
        // Natively effects run at once: what one of these has seen is to be so until it has done what it does.
        let turn = Arc::new(Mutex::new(()));
        self.forget_with_the_visitor(first, Arc::clone(&turn));
        self.tell_what_waits();
        let take_hold = move |target: Result<Target, Error>, held_name: Option<String>| {
            // Paused or not: what is written is kept.
            if let Ok(Target { persist: Some(store), .. }) = &target {
                client.keep(store, self.core.try_get_value().and_then(|core| core.identity.who()));
            }
            if self.paused.try_get()? {
                if held_name.is_some() {
                    coming.set(None);
                    self.show(Arc::new(self.shown.try_get_untracked()?.frozen()));
                    self.held.set(None);
                    leaving.set(None);
                }
                return None;
            }
            let target = match target {
                Ok(target) => target,
                Err(error) => {
                    coming.set(None);
                    self.show(Arc::new(View::unusable(error)));
                    self.held.set(None);
                    leaving.set(None);
                    return None;
                }
            };
            if held_name.as_ref() == Some(&target.name) {
                return held_name;
            }
            // The first query may start from the rows that are on the screen already, if they are its own.
            let first = first.try_update(Option::take).flatten();
            let first = first.and_then(|(name, first)| (name == target.name).then_some(first));
            let (held, view) = target.hold(&client, first);
            let shown = self.shown.try_get_untracked()?;
            let is_new = !Arc::ptr_eq(&view, &shown);
            if is_new {
                view.adopt(&shown);
            }
            // The old shares go only now, so that a query that stays the same does not end in between.
            let old = self.held.try_update(|slot| slot.replace(held)).flatten();
            leaving.try_update(|leaving| *leaving = is_new.then(|| leaving.take().or(old)).flatten());
            coming.set(is_new.then_some(view));
            Some(target.name)
        };
        let turn_to_hold = Arc::clone(&turn);
        Effect::new_isomorphic(move |held_name: Option<Option<String>>| {
            let target = (self.now.try_get_value()?)();
            let _turn = turn_to_hold.lock().unwrap_or_else(PoisonError::into_inner);
            let name = take_hold(target.clone(), held_name.flatten());
            // Last: who sees that it was asked for sees what has come of it.
            self.asked.set(target);
            name
        });
        // The old rows stay until the new ones are there. Whoever shows none yet has nothing to keep, and a refusal ends what
        // nobody keeps true any more: it may be another visitor's.
        let is_ready = move |view: &View<T>| {
            let is_refused = view.status.get() == LiveStatus::Refused;
            view.is_settled()
                || self.shown.try_with_untracked(|shown| shown.status.get_untracked()) == Some(LiveStatus::Loading)
                || (is_refused && leaving.try_with_untracked(Option::is_none).unwrap_or_default())
        };
        let arrive = move |view| {
            self.show(view);
            coming.set(None);
            leaving.set(None);
        };
        let is_on_the_way = SharedSignal::new(false);
        Effect::new_isomorphic(move |_| {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(view) = coming.try_get().flatten() else { return };
            if !is_ready(&view) || is_on_the_way.try_get_untracked().unwrap_or(true) {
                return;
            }
            let Some(shown) = self.shown.try_get_untracked() else { return };
            let is_still = shown.is_seen() && view.is_seen();
            if !transport::is_browser() || (is_still && shown.on_the_way_to(&view).is_none()) {
                return arrive(view);
            }
            is_on_the_way.set(true);
            transport::spawn(async move {
                self.go_to_what_comes(is_ready, arrive).await;
                is_on_the_way.set(false);
            });
        });
    }

    /// Shows what is coming; what is shown is shown first as that can follow upon it.
    async fn go_to_what_comes(self, is_ready: impl Fn(&View<T>) -> bool, arrive: impl Fn(Arc<View<T>>)) {
        let mut before = None;
        // Everything may have gone or changed meanwhile.
        while let Some(shown) = self.shown.try_get_untracked() {
            let coming = self.coming.try_get_untracked().flatten();
            let Some(coming) = coming.filter(|coming| untrack(|| is_ready(coming))) else {
                if let Some((before, on_the_way)) = before
                    && Arc::ptr_eq(&shown, &on_the_way)
                {
                    self.show(before);
                }
                return;
            };
            if shown.is_seen() && coming.is_seen() {
                let Some(on_the_way) = shown.on_the_way_to(&coming).map(Arc::new) else { return arrive(coming) };
                let from = before.take().map_or(shown, |(from, _)| from);
                before = Some((from, Arc::clone(&on_the_way)));
                self.show(on_the_way);
            }
            // Whoever follows the keys was woken before.
            leptos::task::tick().await;
        }
    }

    /// A list that holds still is read by nobody, be it that another one is on its way: when the visitor is another one, its rows
    /// go.
    fn forget_with_the_visitor<F: Send + Sync + 'static>(self, first: SharedSignal<Option<F>>, turn: Arc<Mutex<()>>) {
        let Some(identity) = self.core.try_get_value().map(|core| core.identity.clone()) else { return };
        Effect::new_isomorphic(move |before: Option<Option<Who>>| {
            let before = before.flatten();
            let who = identity.last_known();
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            if before.is_some() && who.is_some() && before != who {
                first.set(None);
                let is_still =
                    self.shown.try_with_untracked(|shown| shown.status.get_untracked() == LiveStatus::Paused);
                if is_still == Some(true) {
                    let is_paused = self.paused.try_get_untracked() == Some(true);
                    let status = if is_paused { LiveStatus::Paused } else { LiveStatus::Loading };
                    let empty = match self.asked.try_get_untracked()? {
                        Ok(target) => View::new(&target, status),
                        Err(error) => View::unusable(error),
                    };
                    self.show(Arc::new(empty));
                }
            }
            who.or(before)
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

    /// The same, for whoever reads one row of it.
    fn shown_to_one(self) -> impl Fn() -> Option<Arc<View<T>>> + Send + Sync + 'static {
        let told = self.row_readers.try_get_value().and_then(|readers| readers.join(()));
        move || match &told {
            Some(told) => {
                told.track();
                self.shown.try_get_untracked()
            }
            None => self.shown(),
        }
    }

    fn show(self, view: Arc<View<T>>) {
        self.shown.set(view);
        if let Some(readers) = self.row_readers.try_get_value() {
            readers.tell(|()| true);
        }
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
            self.shown().map(|view| view.keys().get()).unwrap_or_default()
        })
    }

    pub(crate) fn item(self, key: RowKey) -> Signal<Option<T>> {
        let shown = self.shown_to_one();
        Signal::derive(move || {
            self.await_first();
            shown()?.row(&key)
        })
    }

    pub(crate) fn first_item(self) -> Signal<Option<T>> {
        Signal::derive(move || {
            self.await_first();
            let view = self.shown()?;
            let key = view.keys().with(|keys| keys.first().cloned())?;
            view.row(&key)
        })
    }

    pub(crate) fn meta(self) -> Signal<Option<Value>> {
        Signal::derive(move || {
            self.await_first();
            self.shown()?.meta.get()
        })
    }

    /// A count that the query asked for by `meta`: a number, or its text where a database counts further than JSON does.
    pub(crate) fn count(self, name: &'static str) -> Signal<Option<u64>> {
        let meta = self.meta();
        Signal::derive(move || {
            let meta = meta.get()?;
            let count = meta.get(name)?;
            count.as_u64().or_else(|| count.as_str()?.parse().ok())
        })
    }

    /// The keys of a list that is asked for with one row more than it shows.
    pub(crate) fn shown_keys(self) -> Vec<RowKey> {
        self.await_first();
        let Some(view) = self.shown() else { return Vec::new() };
        view.but_last().keys().get()
    }

    /// The rows of a list that is asked for with one row more than it shows.
    pub(crate) fn shown_items(self) -> Vec<T> {
        let keys = self.shown_keys();
        self.shown().map_or_else(Vec::new, |view| keys.iter().filter_map(|key| view.row(key)).collect())
    }

    /// Whether that one row more is there.
    pub(crate) fn has_more(self) -> bool {
        self.await_first();
        self.shown().is_some_and(|view| view.given.get() > view.most())
    }

    /// Whether what is asked for now is what was asked for when an effect last looked.
    pub(crate) fn is_asked_for(self) -> bool {
        let (Some(now), Some(asked)) = (self.now.try_get_value(), self.asked.try_get_untracked()) else { return false };
        matches!((untrack(|| now()), asked), (Ok(now), Ok(asked)) if now.name == asked.name)
    }

    /// Whether it holds still.
    pub(crate) fn is_paused(self) -> bool {
        self.paused.try_get_untracked().unwrap_or(true)
    }

    /// Whether another query was asked for, and its rows are not there yet.
    pub(crate) fn is_changing(self) -> Signal<bool> {
        Signal::derive(move || self.coming.try_with(Option::is_some).unwrap_or_default())
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

    pub(crate) fn is_stale(self) -> Signal<bool> {
        let status = self.status();
        Signal::derive(move || {
            self.await_first();
            matches!(status.get(), LiveStatus::Stale | LiveStatus::Polling | LiveStatus::Paused)
        })
    }

    pub(crate) fn last_synced(self) -> Signal<Option<u64>> {
        Signal::derive(move || self.shown()?.synced.get())
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

    pub(crate) fn key_of(self, row: RowKey) -> Signal<Option<Key>> {
        let shown = self.shown_to_one();
        Signal::derive(move || shown()?.key_of(&row))
    }

    /// The writes to this list's collection that are not done yet.
    pub(crate) fn pending(self) -> Signal<Vec<PendingWrite>> {
        Signal::derive(move || {
            let (Some(core), Some(Ok(target))) = (self.core.try_get_value(), self.asked.try_get_untracked()) else {
                return Vec::new();
            };
            let is_own = |write: &&PendingWrite| write.collection == target.spec.collection;
            core.pending.with(|pending| pending.iter().filter(is_own).cloned().collect())
        })
    }

    pub(crate) fn is_pending(self, row: RowKey) -> Signal<bool> {
        let waits = {
            let row = row.clone();
            move || {
                let (core, view) = (self.core.try_get_value(), self.shown.try_get_untracked());
                core.zip(view)
                    .is_some_and(|(core, view)| core.pending.with_untracked(|pending| view.waits(pending, &row)))
            }
        };
        let asks = Arc::new(Waits { row, was_told: AtomicBool::new(waits()), is_mixed: AtomicBool::new(false) });
        let told = self.wait_readers.try_get_value().and_then(|readers| readers.join(Arc::clone(&asks)));
        Signal::derive(move || {
            match &told {
                Some(told) => told.track(),
                None => {
                    self.shown();
                    self.core.try_get_value().inspect(|core| core.pending.track());
                }
            }
            asks.look(&waits)
        })
    }

    /// Those who ask of a row are told when that changes, and of no others.
    fn tell_what_waits(self) {
        Effect::new_isomorphic(move |_| {
            let (Some(core), Some(readers)) = (self.core.try_get_value(), self.wait_readers.try_get_value()) else {
                return;
            };
            let Some(view) = self.shown() else { return };
            // Whoever changes it just now wakes this once more.
            let waiting = |pending: &Vec<PendingWrite>| view.waiting(&view.overlay(), pending).collect::<HashSet<_>>();
            let waiting = core.pending.with(waiting);
            // Locked for each of them: not while those who are told may read.
            readers.tell(|asks| asks.is_to_be_told(waiting.contains(&view.overlay().resolve(&asks.row))));
        });
    }

    pub(crate) fn what(self, verb: &str) -> String {
        match self.asked.try_get_untracked() {
            Some(Ok(target)) => format!("{verb} `{}`", target.spec.collection),
            _ => verb.to_owned(),
        }
    }

    /// Fields that are read only because the engine needs them.
    pub(crate) fn unasked(self) -> Vec<String> {
        match self.asked.try_get_untracked() {
            Some(Ok(target)) => target.unasked,
            _ => Vec::new(),
        }
    }

    /// What a list that is live shows of these fields of a row: one that is paused knows of no writes.
    fn shown_of(self, row: Option<&RowKey>, patch: &Map<String, Value>) -> Map<String, Value> {
        let is_held = self.held.try_with_untracked(Option::is_some).unwrap_or_default();
        let view = self.shown.try_get_untracked();
        let view = view.filter(|view| is_held && view.status.get_untracked() != LiveStatus::Paused);
        let look = row.zip(view).and_then(|(row, view)| view.overlay().value(row).cloned());
        let fields = look.as_deref().and_then(Value::as_object);
        let shown = |field: &String| Some((field.clone(), fields?.get(field)?.clone()));
        patch.keys().filter_map(shown).collect()
    }

    /// Makes a write.
    fn write(self, make: impl FnOnce(&Client, &Target) -> Result<Layer, Error>) -> Made {
        let ended = || Error::closed("the component that showed this list has ended");
        let core = self.core.try_get_value().ok_or_else(ended)?;
        let now = self.now.try_get_value().ok_or_else(ended)?;
        let target = untrack(|| now())?;
        let client = core.client().ok_or_else(|| {
            Error::usage("lists are written in the browser; the server writes by `use_directus().items(…)`")
        })?;
        let origin = target.origin.clone().ok_or_else(|| Error::usage("groups and sums can't be written"))?;
        let mut layer = make(client, &target)?;
        // By its key, if it has one: other lists know a row that was created here by no other name.
        if !matches!(layer.change, Change::Create(_))
            && let Some(row) = &layer.row
            && let Some(key) = self.shown.try_get_untracked().and_then(|view| view.overlay().key(row))
        {
            layer.row = Some(RowKey::from(key));
        }
        let row = layer.row.clone();
        let before = match &layer.change {
            Change::Update(patch) => self.shown_of(row.as_ref(), patch),
            Change::Create(_) | Change::Delete => Map::new(),
        };
        let intent = Intent {
            collection: target.spec.collection.clone(),
            key_field: target.spec.config.key_field.clone(),
            origin,
            fields: target.query.fields.clone(),
            alias: target.query.alias.clone(),
            deep: target.query.deep.clone(),
            store: target.persist.clone(),
            layer,
            before,
        };
        Ok((row, client.write(intent, core.identity.who())))
    }

    pub(crate) fn create(self, data: &impl Serialize) -> Made {
        self.write(|client, target| {
            let write = client.write_id();
            let mut data = fields_of_value(data)?;
            let field = &target.spec.config.key_field;
            let mut key = data.get(field).and_then(Key::from_value);
            if key.is_none() && target.client_keys {
                let new = Key::from(transport::uuid());
                data.insert(field.clone(), (&new).into());
                key = Some(new);
            }
            let change = Change::Create(Arc::new(Value::Object(data)));
            Ok(Layer { write, row: Some(RowKey::created_by(write)), key, change })
        })
    }

    pub(crate) fn update(self, row: RowKey, patch: &impl Serialize) -> Made {
        self.write(|client, _| {
            let change = Change::Update(Arc::new(fields_of_value(patch)?));
            Ok(Layer { write: client.write_id(), row: Some(row), key: None, change })
        })
    }

    /// Whether what is shown is what this asks for, and not what was asked for before.
    fn shows(self, target: &Target) -> bool {
        let is_asked = |asked: &Result<Target, Error>| asked.as_ref().is_ok_and(|asked| asked.name == target.name);
        self.coming.try_with_untracked(Option::is_none).unwrap_or_default()
            && self.asked.try_with_untracked(is_asked).unwrap_or_default()
    }

    /// The one row that is asked for: by its key as Directus spells it, once that is known. Unless the key has changed and the row
    /// of the one before is still shown: whoever writes now may mean either.
    fn on_the_page(self, target: &Target, asked: &Key) -> Result<RowKey, Error> {
        // Before it is looked at: it may change meanwhile.
        let is_shown = self.shows(target);
        let view = self.shown.try_get_untracked();
        let shown = view.as_ref().and_then(|view| {
            let first = view.keys().with_untracked(|keys| keys.first().cloned());
            first.and_then(|row| view.overlay().key(&row))
        });
        match (view, shown) {
            (Some(view), Some(shown)) if !shown.may_be(asked) => Err(Error::usage(format!(
                "the item {asked} of `{}` is asked for, and the page still shows {shown}: nothing was written; write once it \
                 is there, or by `use_directus().items(…)`",
                view.collection
            ))),
            (_, Some(shown)) if is_shown => Ok(RowKey::from(shown)),
            _ => Ok(RowKey::from(asked)),
        }
    }

    /// Changes the one row that is asked for; where that is by no key, it is a singleton's.
    pub(crate) fn update_only(self, patch: &impl Serialize) -> Made {
        self.write(|client, target| {
            let change = Change::Update(Arc::new(fields_of_value(patch)?));
            let row = target.spec.config.only_key.as_ref().map(|only| self.on_the_page(target, only)).transpose()?;
            Ok(Layer { write: client.write_id(), row, key: None, change })
        })
    }

    /// Deletes the one row that is asked for.
    pub(crate) fn delete_only(self) -> Made {
        self.write(|client, target| {
            let only = target.spec.config.only_key.as_ref();
            let only = only.ok_or_else(|| Error::usage("a singleton can't be deleted"))?;
            let row = self.on_the_page(target, only)?;
            Ok(Layer { write: client.write_id(), row: Some(row), key: None, change: Change::Delete })
        })
    }

    pub(crate) fn delete(self, row: RowKey) -> Made {
        self.write(|client, _| {
            Ok(Layer { write: client.write_id(), row: Some(row), key: None, change: Change::Delete })
        })
    }

    pub(crate) fn refetch(self) {
        self.held.try_with_untracked(|held| held.as_ref().map(Held::refetch));
    }
}

/// The fields of what is to be written.
fn fields_of_value(value: &impl Serialize) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Error::usage("what is written to a list is an object with the row's fields")),
        Err(error) => Err(Error::usage(format!("what is to be written can't be written as JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests;
