//! This page's writes on their way to Directus: in what order they are sent, and what becomes of them.
//!
//! A write waits for all that were made before it, except that updates of different rows go side by side: so whoever creates
//! an author and then their post, or deletes a post's comments and then the post, needs not wait in between.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    overlay::{Change, Layer},
    row::{RowKey, WriteId},
    saved,
};
use crate::{
    connection::{Backoff, Millis},
    error::Error,
    protocol::Key,
};

mod compare;

use compare::{compared_fields, has_changed, is_another};

/// Writes on their way at once, at most.
const SIDE_BY_SIDE: usize = 4;
/// A write that was sent so often, while Directus answered other questions, and never answered, is given up.
const UNANSWERED_AT_MOST: u32 = 8;
/// Whether somebody else changed its row is asked so often in vain; then Directus is to judge.
const LOOKS_AT_MOST: u32 = 3;

/// How the outbox goes about it.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// So many writes wait at most; the next one is refused: 256.
    pub capacity: usize,
    /// Seed of the jitter between tries.
    pub seed: u64,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { capacity: 256, seed: 0 }
    }
}

/// A write to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The collection.
    pub collection: String,
    /// The field that holds its key.
    pub key_field: String,
    /// The list that it was made in, as a text that equal lists share.
    pub origin: String,
    /// The fields that the answer is to have.
    pub fields: Vec<String>,
    /// The names that these go by, where the query gives them others.
    pub alias: BTreeMap<String, String>,
    /// What is asked of the rows that these lead to.
    pub deep: Map<String, Value>,
    /// Where it is kept until it is done, should the page end before.
    pub store: Option<String>,
    /// What is done to which row.
    pub layer: Layer,
    /// For an update: what the list showed of the row when it was made. Should it have to wait, it is looked first whether
    /// somebody else has changed the same fields meanwhile.
    pub before: Map<String, Value>,
}

/// Who the visitor is: a user's key, or nobody who logged in.
pub type Who = Option<String>;

/// What has become of a write so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It waits, be it for the first time or again.
    Waiting,
    /// It was sent.
    Sent,
    /// Directus did it; `confirmed` counts all that it did, this one included.
    Confirmed {
        /// How many are done.
        confirmed: u64,
        /// The row's key, where it is known.
        key: Option<Key>,
        /// The row, as far as the visitor may read it.
        answer: Option<Arc<Value>>,
    },
    /// It is not to be, and why.
    Refused(Error),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum OutboxOutput {
    /// Send it; what comes of it is reported by [`Outbox::answered`].
    Send(WriteId),
    /// Look whether its row is there; what is found is reported by [`Outbox::checked`].
    Check(WriteId),
    /// It had to wait: look what its row is now, as far as [`Outbox::compares`] says; what is found is reported by
    /// [`Outbox::checked`], too.
    Compare(WriteId),
    /// Ask Directus who the visitor is, and so whether it can be reached at all; reported by [`Outbox::found`].
    Ask,
    /// Tell the lists, and whoever waits for the write.
    Tell(Box<Intent>, Progress),
    /// Tell them that it is refused because somebody else is here now. That is nothing to be told to whoever that is.
    Disown(Box<Intent>, Error),
    /// The row, or some row, of the collection is to be read again.
    Touch(String, Option<Key>),
}

/// A write that was refused while nothing on the page told of it: no list that it was made in was shown, and nobody awaited it.
///
/// ```
/// use leptos_directus::RefusedWrite;
///
/// fn words(write: &RefusedWrite) -> String {
///     format!("A change of {} was not saved: {}. ", write.collection, write.error)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedWrite {
    /// Its number: later ones are greater.
    pub id: WriteId,
    /// The collection.
    pub collection: String,
    /// The row; none for a singleton.
    pub row: Option<RowKey>,
    /// What it was to do.
    pub change: Change,
    /// Why it is not to be.
    pub error: Error,
}

/// A write that is not done yet.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingWrite {
    /// Its number: later ones are greater.
    pub id: WriteId,
    /// The collection.
    pub collection: String,
    /// The row; none for a singleton.
    pub row: Option<RowKey>,
    /// What it does.
    pub change: Change,
    /// Whether it was sent, and its answer is waited for.
    pub is_sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    /// It is about to be sent: whether somebody else has changed the row meanwhile is looked at first.
    Comparing,
    Sent,
    /// What was answered says one thing or another, depending on whether the row is there.
    Checking,
}

impl State {
    fn is_sent(self) -> bool {
        matches!(self, Self::Sent | Self::Checking)
    }
}

#[derive(Debug)]
struct Entry {
    intent: Intent,
    state: State,
    /// It was sent, and nobody knows what became of it.
    uncertain: bool,
    /// There was a time when it could not be sent.
    has_waited: bool,
    /// What earlier updates of the row set of which nobody knows whether they were done.
    ours: Vec<Arc<Map<String, Value>>>,
    /// How often its row was looked at since, and Directus, which could be reached, did not answer.
    looks: u32,
    /// What it is refused with, should the check find nothing better.
    refusal: Option<Error>,
    who: Option<Who>,
    generation: u64,
    /// The generation in which it was looked whether its row is there.
    looked_in: u64,
    /// How often it was sent and nobody answered.
    unanswered: u32,
    /// It was made on an earlier page.
    restored: bool,
}

impl Entry {
    /// When it was made, among all others.
    fn made(&self) -> (bool, WriteId) {
        (!self.restored, self.intent.layer.write)
    }
}

/// The queue.
///
/// # Example
/// ```
/// use leptos_directus::{
///     Error, Key, RowKey,
///     live::{Change, Intent, Layer, Outbox, OutboxConfig, OutboxOutput, PendingWrite, Progress, Who, WriteId},
/// };
/// use serde_json::json;
/// use std::sync::Arc;
///
/// let mut outbox = Outbox::new(OutboxConfig { capacity: 100, seed: 7 });
/// let outputs = |outbox: &mut Outbox| std::iter::from_fn(|| outbox.next_output()).collect::<Vec<_>>();
/// let update = |number, key: i64| Intent {
///     collection: "posts".to_owned(),
///     key_field: "id".to_owned(),
///     origin: "posts".to_owned(),
///     fields: Vec::new(),
///     alias: Default::default(),
///     deep: Default::default(),
///     store: Some("drafts".to_owned()),
///     layer: Layer {
///         write: WriteId(number),
///         row: Some(RowKey::from(key)),
///         key: None,
///         change: Change::Update(Arc::new(json!({ "title": "new" }).as_object().unwrap().clone())),
///     },
///     before: json!({ "title": "old" }).as_object().unwrap().clone(),
/// };
///
/// // Somebody wants to know who the visitor is; then two changes of one row: the second one waits for the first.
/// let ada: Who = Some("ada".to_owned());
/// outbox.want_who(0, None);
/// assert_eq!(outputs(&mut outbox), [OutboxOutput::Ask]);
/// outbox.found(1, Ok(ada.clone()));
/// assert_eq!((outbox.who(), outbox.last_known()), (Some(&ada), Some(&ada)));
/// outbox.push(2, update(1, 7), None);
/// outbox.push(3, update(2, 7), None);
/// assert!(outputs(&mut outbox).contains(&OutboxOutput::Send(WriteId(1))));
/// let pending: Vec<PendingWrite> = outbox.pending().collect();
/// assert_eq!((pending[0].is_sent, pending[1].is_sent), (true, false));
/// assert_eq!(outbox.intents().count(), 2);
/// assert_eq!(outbox.key(outbox.intent(WriteId(2)).unwrap()), Some(Key::from(7)));
///
/// // Directus did it.
/// outbox.answered(4, WriteId(1), Ok(json!({ "id": 7, "title": "new" })));
/// assert_eq!(outbox.confirmed(), 1);
/// let told = outputs(&mut outbox);
/// assert!(told.iter().any(|output| matches!(output, OutboxOutput::Tell(_, Progress::Confirmed { .. }))));
/// assert!(told.contains(&OutboxOutput::Send(WriteId(2))));
///
/// // The other one is kept meanwhile, and taken up by the next page.
/// let kept = outbox.saved("drafts", &ada).unwrap();
/// let mut next = Outbox::new(OutboxConfig::default());
/// next.restore(5, &kept, "drafts", &ada, || WriteId(1));
/// assert_eq!(next.pending().count(), 1);
///
/// // An answer that refuses it; whether the row is there is looked at first, where that may be the reason.
/// outbox.answered(6, WriteId(2), Err(Error::answer(403, "FORBIDDEN", "no")));
/// assert!(outputs(&mut outbox).contains(&OutboxOutput::Check(WriteId(2))) && !outbox.is_accepted(WriteId(2)));
/// outbox.checked(7, WriteId(2), Ok(None));
/// assert!(outputs(&mut outbox).contains(&OutboxOutput::Touch("posts".to_owned(), Some(Key::from(7)))));
///
/// // The network goes and comes; whose session it is then is asked before anything is sent.
/// outbox.link_lost(8);
/// outbox.push(9, update(3, 8), None);
/// outbox.identity_doubted(10);
/// outbox.link_up(10);
/// outbox.wake(11);
/// assert!(outputs(&mut outbox).contains(&OutboxOutput::Ask));
/// outbox.found(12, Ok(ada.clone()));
/// outbox.tick(13);
/// assert_eq!(outputs(&mut outbox), [OutboxOutput::Ask], "that answer was older than the doubt");
/// assert_eq!(outbox.deadline(), None);
/// outbox.found(14, Ok(ada.clone()));
/// // It had to wait: is the row still as it was?
/// assert_eq!(outputs(&mut outbox), [OutboxOutput::Compare(WriteId(3))]);
/// assert_eq!(outbox.compares(WriteId(3)), ["title"]);
/// outbox.checked(15, WriteId(3), Ok(Some(json!({ "title": "old" }))));
/// assert!(outputs(&mut outbox).contains(&OutboxOutput::Send(WriteId(3))));
///
/// // Somebody else logs in, and what waits is put aside. It is taken up again when its author is back, unless it was forgotten.
/// outbox.hold();
/// outbox.push(16, update(4, 9), None);
/// outbox.release();
/// outbox.identity_changed(16, Some(Some("bob".to_owned())));
/// assert!(outbox.intent(WriteId(4)).is_none() && outbox.saved("drafts", &ada).is_some());
/// outbox.identity_changed(17, Some(ada.clone()));
/// outbox.take_up(17, "drafts", &ada);
/// assert!(outbox.intent(WriteId(4)).is_some());
/// outbox.forget_store("drafts", &ada);
/// assert!(outbox.absent("drafts").is_empty());
///
/// // A logout: kept for nobody.
/// outbox.forget_stores(&[ada.clone()].into());
/// assert_eq!(outbox.saved("drafts", &ada), None);
/// ```
#[derive(Debug)]
pub struct Outbox {
    config: OutboxConfig,
    entries: VecDeque<Entry>,
    /// Keys of the rows that were created here.
    created: HashMap<WriteId, Key>,
    confirmed: u64,
    /// The last try did not get through: when the next one is due.
    blocked: Option<Millis>,
    /// Directus asked for no request before this (`Retry-After`).
    not_before: Option<Millis>,
    asking: bool,
    /// Who the visitor is has changed since it was asked.
    asked_too_early: bool,
    /// The visitor, once known.
    who: Option<Who>,
    /// Counts the moments at which who the visitor is came into doubt.
    generation: u64,
    in_doubt: bool,
    /// So many logins and logouts are under way: whose the session is may change at any moment.
    held: u32,
    /// Somebody waits to learn who the visitor is.
    is_wanted: bool,
    /// Kept writes of visitors who are not here now: not sent because somebody else came, and put aside until they are back.
    parked: Vec<Entry>,
    backoff: Backoff,
    outputs: VecDeque<OutboxOutput>,
}

impl Outbox {
    /// Empty.
    #[must_use]
    pub fn new(config: OutboxConfig) -> Self {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), config.seed);
        Self {
            config,
            entries: VecDeque::new(),
            created: HashMap::new(),
            confirmed: 0,
            blocked: None,
            not_before: None,
            asking: false,
            asked_too_early: false,
            who: None,
            generation: 0,
            in_doubt: false,
            held: 0,
            is_wanted: false,
            parked: Vec::new(),
            backoff,
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next.
    pub fn next_output(&mut self) -> Option<OutboxOutput> {
        self.outputs.pop_front()
    }

    /// When [`tick`](Self::tick) wants to be called; never, if nothing waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let waits = self.is_wanted || self.entries.iter().any(|entry| entry.state == State::Waiting);
        self.blocked.filter(|_| waits && !self.asking && self.held == 0)
    }

    /// How many writes Directus has done so far.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// What is not done yet, in order.
    pub fn pending(&self) -> impl Iterator<Item = PendingWrite> {
        self.entries.iter().map(|entry| PendingWrite {
            id: entry.intent.layer.write,
            collection: entry.intent.collection.clone(),
            row: entry.intent.layer.row.clone(),
            change: entry.intent.layer.change.clone(),
            is_sent: entry.state.is_sent(),
        })
    }

    /// What is not done yet, for a list that comes into being; with whether it was sent.
    pub fn intents(&self) -> impl Iterator<Item = (&Intent, bool)> {
        self.entries.iter().map(|entry| (&entry.intent, entry.state.is_sent()))
    }

    /// A write as it was made.
    #[must_use]
    pub fn intent(&self, write: WriteId) -> Option<&Intent> {
        self.find(write).map(|at| &self.entries[at].intent)
    }

    /// The key of the row that a write is about, as far as it has one.
    #[must_use]
    pub fn key(&self, intent: &Intent) -> Option<Key> {
        let row = intent.layer.row.as_ref();
        intent
            .layer
            .key
            .clone()
            .or_else(|| row?.as_key().cloned())
            .or_else(|| self.created.get(&row?.as_created()?).cloned())
    }

    /// A write is made; by whom, if that is known.
    pub fn push(&mut self, now: Millis, mut intent: Intent, who: Option<Who>) {
        if self.entries.len() >= self.config.capacity {
            let error = Error::usage(format!(
                "{} writes wait for Directus already: this one was not taken",
                self.config.capacity
            ));
            self.outputs.push_back(OutboxOutput::Tell(Box::new(intent), Progress::Refused(error)));
            return;
        }
        // By its key, where there is one by now: lists that did not create it know no other name.
        if !matches!(intent.layer.change, Change::Create(_)) {
            let row = intent.layer.row.as_ref();
            let is_to_come = self.entries.iter().any(|entry| entry.intent.layer.row.as_ref() == row);
            match self.key(&intent) {
                Some(key) => intent.layer.row = Some(RowKey::from(key)),
                None if row.is_none() || is_to_come => {}
                None => {
                    let error = Error::conflict("the row was not created, so there is nothing to change or delete");
                    self.outputs.push_back(OutboxOutput::Tell(Box::new(intent), Progress::Refused(error)));
                    return;
                }
            }
        }
        self.inherit_before(&mut intent);
        self.outputs.push_back(OutboxOutput::Tell(Box::new(intent.clone()), Progress::Waiting));
        self.entries.push_back(Entry {
            intent,
            state: State::Waiting,
            uncertain: false,
            has_waited: false,
            ours: Vec::new(),
            looks: 0,
            refusal: None,
            who: who.or_else(|| self.who.clone()),
            generation: self.generation,
            looked_in: self.generation,
            unanswered: 0,
            restored: false,
        });
        self.pump(now);
    }

    /// Who the visitor is, if that is certain.
    #[must_use]
    pub fn who(&self) -> Option<&Who> {
        self.who.as_ref().filter(|_| !self.in_doubt)
    }

    /// Who the visitor was when that was last certain, whatever doubts came since; unknown after it changed for sure.
    #[must_use]
    pub fn last_known(&self) -> Option<&Who> {
        self.who.as_ref()
    }

    /// Somebody wants to know who the visitor is; they may know themselves.
    pub fn want_who(&mut self, now: Millis, who: Option<Who>) {
        if self.who.is_none() && !self.in_doubt {
            self.who = who;
        }
        if self.who().is_none() {
            self.is_wanted = true;
            self.pump(now);
        }
    }

    /// What this visitor's writes are to be kept as, in the store with this name; `None` where there are none. What was made while
    /// nobody knew who the visitor is is nobody's until somebody does.
    #[must_use]
    pub fn saved(&self, store: &str, who: &Who) -> Option<String> {
        saved::save(self.kept(store, who).map(|entry| {
            let key = self.key(&entry.intent).filter(|_| !matches!(entry.intent.layer.change, Change::Create(_)));
            let row = key.map(RowKey::from).or_else(|| entry.intent.layer.row.clone());
            (&entry.intent, row, entry.uncertain || entry.state.is_sent())
        }))
    }

    fn kept<'a>(&'a self, store: &'a str, who: &'a Who) -> impl Iterator<Item = &'a Entry> {
        let is_here = self.who() == Some(who);
        self.entries.iter().chain(&self.parked).filter(move |entry| {
            entry.intent.store.as_deref() == Some(store) && entry.who.as_ref().map_or(is_here, |of| of == who)
        })
    }

    /// Takes up again what this visitor had made here when somebody else came, now that they are back.
    pub fn take_up(&mut self, now: Millis, store: &str, who: &Who) {
        let is_theirs =
            |entry: &mut Entry| entry.intent.store.as_deref() == Some(store) && entry.who.as_ref() == Some(who);
        let mut theirs: Vec<Entry> = self.parked.extract_if(.., is_theirs).collect();
        if theirs.is_empty() {
            return;
        }
        // By their keys, where they have them by now.
        for Entry { intent, .. } in &mut theirs {
            if !matches!(intent.layer.change, Change::Create(_)) {
                intent.layer.row = self.row(intent);
            }
        }
        let first = self.behind_what_was_sent();
        for entry in theirs {
            // Before what was made since; what was kept in another store may be there already.
            let is_since = |at: &usize| self.entries[*at].made() > entry.made();
            let place = (first..self.entries.len()).find(is_since).unwrap_or(self.entries.len());
            self.outputs.push_back(OutboxOutput::Tell(Box::new(entry.intent.clone()), Progress::Waiting));
            let (generation, looked_in) = (self.generation, self.generation);
            self.entries.insert(place, Entry { has_waited: true, looks: 0, generation, looked_in, ..entry });
        }
        self.refuse_orphans();
        self.pump(now);
    }

    /// The place before all that waits.
    fn behind_what_was_sent(&self) -> usize {
        self.entries.iter().rposition(|entry| entry.state != State::Waiting).map_or(0, |last| last + 1)
    }

    /// Takes up what was kept for this visitor when an earlier page ended; before all that waits here.
    pub fn restore(&mut self, now: Millis, text: &str, store: &str, who: &Who, next: impl FnMut() -> WriteId) {
        let mut refused = Vec::new();
        let first = self.behind_what_was_sent();
        for (place, (intent, sent)) in saved::read(text, store, next).into_iter().enumerate() {
            let is_create = matches!(intent.layer.change, Change::Create(_));
            if sent && is_create && intent.layer.key.is_none() {
                refused.push(intent.layer.write);
            }
            self.outputs.push_back(OutboxOutput::Tell(Box::new(intent.clone()), Progress::Waiting));
            self.entries.insert(
                first + place,
                Entry {
                    state: State::Waiting,
                    uncertain: sent,
                    has_waited: true,
                    ours: Vec::new(),
                    looks: 0,
                    refusal: None,
                    who: Some(who.clone()),
                    generation: self.generation,
                    looked_in: self.generation,
                    unanswered: 0,
                    restored: true,
                    intent,
                },
            );
        }
        // Not before all are there: what was to be done to such a row goes with it.
        for write in refused {
            if let Some(at) = self.find(write) {
                self.refuse_as_uncertain(at);
            }
        }
        self.refuse_orphans();
        self.pump(now);
    }

    /// The socket came up: Directus can be reached. A wait that it asked for is kept.
    pub fn link_up(&mut self, now: Millis) {
        self.unblock(now);
        self.backoff.reset();
        self.pump(now);
    }

    /// The socket was lost: before anything is sent, it is asked whether Directus can be reached.
    pub fn link_lost(&mut self, now: Millis) {
        // Somebody may have logged in elsewhere before it was lost: an answer to what was asked by then says nothing of that.
        self.asked_too_early |= self.asking;
        self.blocked.get_or_insert(now);
        self.pump(now);
    }

    /// Somebody thinks that it may work now. A wait that Directus asked for is kept.
    pub fn wake(&mut self, now: Millis) {
        if self.blocked.is_some() {
            self.blocked = Some(self.not_before.map_or(now, |at| at.max(now)));
        }
        self.pump(now);
    }

    /// Who the visitor is has changed, or may have: what waits is sent only if it is theirs.
    pub fn identity_changed(&mut self, now: Millis, who: Option<Who>) {
        self.generation += 1;
        self.asked_too_early = self.asking;
        self.in_doubt = who.is_none();
        self.is_wanted &= who.is_none();
        self.who = who;
        self.pump(now);
    }

    /// A login or a logout begins: from now on, a request may go out as somebody else. Nothing is sent until it has
    /// [ended](Self::release), whatever is heard of the visitor meanwhile.
    pub fn hold(&mut self) {
        self.held += 1;
    }

    /// A login or a logout has ended. How is told next, by [`identity_changed`](Self::identity_changed) or
    /// [`identity_doubted`](Self::identity_doubted).
    pub fn release(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// What waits of these visitors is not kept any longer than the page: they log out, and what they wrote is nobody else's to
    /// find. Nor is what was made while nobody knew by whom.
    pub fn forget_stores(&mut self, gone: &BTreeSet<Who>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.who.as_ref().is_none_or(|who| gone.contains(who))) {
            entry.intent.store = None;
        }
        self.parked.retain(|entry| entry.who.as_ref().is_none_or(|who| !gone.contains(who)));
    }

    /// What this visitor made is not kept any longer in this store: they logged out elsewhere.
    pub fn forget_store(&mut self, store: &str, who: &Who) {
        let is_in_it = |entry: &Entry| entry.intent.store.as_deref() == Some(store) && entry.who.as_ref() == Some(who);
        self.parked.retain(|entry| !is_in_it(entry));
        for entry in self.entries.iter_mut().filter(|entry| is_in_it(entry)) {
            entry.intent.store = None;
        }
    }

    /// Those whose writes wait in this store for them to be back.
    pub fn absent(&self, store: &str) -> BTreeSet<Who> {
        let in_it = self.parked.iter().filter(|entry| entry.intent.store.as_deref() == Some(store));
        in_it.filter_map(|entry| entry.who.clone()).collect()
    }

    /// The visitor may be somebody else by now, though nothing says so: what waits is sent once it is known that they are not.
    pub fn identity_doubted(&mut self, now: Millis) {
        self.asked_too_early = self.asking;
        self.in_doubt = true;
        self.pump(now);
    }

    /// Directus said who the visitor is; or it can't be reached.
    pub fn found(&mut self, now: Millis, who: Result<Who, Error>) {
        if !std::mem::take(&mut self.asking) {
            return;
        }
        if std::mem::take(&mut self.asked_too_early) {
            self.pump(now);
            return;
        }
        match who {
            Ok(who) => {
                // Only an answered write says that the next one may go sooner.
                self.unblock(now);
                self.in_doubt = false;
                // Who the visitor is has not changed since, as far as anybody knows.
                let is_same = self.who.as_ref().is_none_or(|known| *known == who);
                if !is_same {
                    self.generation += 1;
                }
                for entry in self.entries.iter_mut().filter(|entry| is_same && entry.generation == self.generation) {
                    entry.who.get_or_insert_with(|| who.clone());
                }
                self.who = Some(who);
                self.is_wanted = false;
            }
            Err(error) => self.block(now, &error),
        }
        self.pump(now);
    }

    /// A write was answered.
    pub fn answered(&mut self, now: Millis, write: WriteId, result: Result<Value, Error>) {
        let Some(at) = self.find(write) else { return };
        let entry = &mut self.entries[at];
        match result {
            Ok(answer) => {
                let is_update = matches!(entry.intent.layer.change, Change::Update(_));
                if answer.is_null() && is_update && entry.intent.layer.row.is_some() {
                    // An administrator is answered the same for a row that is gone.
                    entry.refusal = Some(gone(&entry.intent));
                    self.check(at);
                } else {
                    self.confirm(at, answer);
                }
            }
            Err(error) => self.failed(now, at, error),
        }
        self.pump(now);
    }

    /// Whether the row of a write is there was found out.
    pub fn checked(&mut self, now: Millis, write: WriteId, result: Result<Option<Value>, Error>) {
        let Some(at) = self.find(write) else { return };
        if self.entries[at].state == State::Comparing {
            self.compared(now, at, result);
            self.pump(now);
            return;
        }
        if self.entries[at].looked_in != self.generation {
            // A login has ended meanwhile: somebody else may have looked.
            self.check(at);
            return;
        }
        let entry = &mut self.entries[at];
        let refusal = entry.refusal.clone();
        let change = entry.intent.layer.change.clone();
        // What somebody else may see says nothing of what was done.
        let is_same = match (&entry.who, &self.who) {
            (Some(who), Some(now)) => who == now,
            _ => entry.generation == self.generation,
        };
        match (result, change) {
            (Ok(Some(row)), Change::Create(_)) => match is_another(&entry.intent, &row) {
                Some(field) => {
                    let error = taken(&entry.intent, &field);
                    self.refuse(at, error);
                }
                None => self.confirm(at, row),
            },
            (Ok(None), Change::Delete) if is_same => self.confirm(at, Value::Null),
            (Ok(None), Change::Update(_)) => {
                let error = gone(&entry.intent);
                self.refuse(at, error);
            }
            // An administrator who may update it, and Directus answered nothing: it is there, so it was done. Not if a login ended since
            // it was sent, though the visitor may be the same: another tab's session may have sent it.
            (Ok(Some(row)), Change::Update(_)) if refusal.as_ref().is_some_and(Error::is_conflict) => {
                if entry.generation == self.generation {
                    self.confirm(at, row);
                } else {
                    let what =
                        "the login changed before it was known what became of this: it may have been done or not";
                    self.refuse(at, Error::uncertain(what));
                }
            }
            (Err(error), _) if error.is_transient() => {
                // Sent again, and answered again: both are safe for what is checked.
                entry.state = State::Waiting;
                entry.uncertain = true;
                self.tell(at, Progress::Waiting);
                self.block(now, &error);
            }
            // It may be the first one that made the row, and this visitor may not read it.
            (Ok(None), Change::Create(_)) if refusal.as_ref().and_then(Error::code) == Some("RECORD_NOT_UNIQUE") => {
                self.refuse_as_uncertain(at);
            }
            (Err(_), Change::Create(_)) => self.refuse_as_uncertain(at),
            (Ok(_), _) => {
                let error = refusal.unwrap_or_else(|| Error::conflict("the write was refused"));
                self.refuse(at, error);
            }
            (Err(error), _) => self.refuse(at, refusal.unwrap_or(error)),
        }
        self.pump(now);
    }

    /// What its row is now is known, or can't be: then Directus is to judge.
    fn compared(&mut self, now: Millis, at: usize, result: Result<Option<Value>, Error>) {
        let entry = &mut self.entries[at];
        entry.state = State::Waiting;
        // What somebody else may see says nothing.
        if self.in_doubt || self.held > 0 || entry.generation != self.generation {
            return;
        }
        match result {
            Err(error) if is_unanswered(&error) || is_turned_away(&error) => {
                entry.looks += u32::from(is_unanswered(&error) && !error.is_network());
                self.block(now, &error);
            }
            Ok(Some(row)) if let Some(field) = has_changed(&entry.intent, &entry.ours, &row) => {
                if entry.uncertain {
                    // By this write itself, and as Directus keeps it; or by somebody else.
                    self.refuse_as_uncertain(at);
                } else {
                    let error = changed(&entry.intent, &field);
                    self.refuse(at, error);
                }
            }
            _ => entry.has_waited = false,
        }
    }

    /// Whether two writes are about one row.
    fn are_of_one_row(&self, one: &Intent, other: &Intent) -> bool {
        one.collection == other.collection && self.row(one) == self.row(other)
    }

    /// What this page itself writes to the row before is no change of somebody else's: what was there before that is.
    fn inherit_before(&self, intent: &mut Intent) {
        for earlier in &self.entries {
            if !self.are_of_one_row(&earlier.intent, intent) {
                continue;
            }
            match &earlier.intent.layer.change {
                Change::Update(patch) => rebase(&mut intent.before, patch, |field| earlier.intent.before.get(field)),
                Change::Create(_) | Change::Delete => intent.before.clear(),
            }
        }
    }

    /// An update is done: later ones of the row are made upon what Directus answered, where it did. Or it may be done, and nobody
    /// knows: then what they find may be what it set.
    fn pass_on(&mut self, at: usize, answer: Option<&Value>) {
        let intent = &self.entries[at].intent;
        let Change::Update(patch) = &intent.layer.change else { return };
        let (patch, row) = (Arc::clone(patch), (intent.collection.clone(), self.row(intent)));
        // Not those that were made before, be they taken up behind it or put aside: their author has not seen this one.
        let made = self.entries[at].made();
        let is_upon_it =
            |later: &Entry| later.made() > made && later.intent.collection == row.0 && self.row(&later.intent) == row.1;
        let later: Vec<usize> = (at + 1..self.entries.len()).filter(|at| is_upon_it(&self.entries[*at])).collect();
        let parked: Vec<usize> = (0..self.parked.len()).filter(|at| is_upon_it(&self.parked[*at])).collect();
        let follow = |entry: &mut Entry| match answer {
            Some(answer) => rebase(&mut entry.intent.before, &patch, |field| answer.get(field)),
            None => entry.ours.push(Arc::clone(&patch)),
        };
        later.into_iter().for_each(|at| follow(&mut self.entries[at]));
        parked.into_iter().for_each(|at| follow(&mut self.parked[at]));
    }

    /// Which fields of its row are compared before it is sent.
    #[must_use]
    pub fn compares(&self, write: WriteId) -> Vec<String> {
        self.intent(write).map(|intent| compared_fields(intent).cloned().collect()).unwrap_or_default()
    }

    /// By its key, as far as it has one: a row that was created here goes by two names.
    fn row(&self, intent: &Intent) -> Option<RowKey> {
        self.key(intent).map(RowKey::from).or_else(|| intent.layer.row.clone())
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        self.pump(now);
    }

    fn is_parked(&self, write: WriteId) -> bool {
        self.parked.iter().any(|entry| entry.intent.layer.write == write)
    }

    fn find(&self, write: WriteId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.intent.layer.write == write)
    }

    fn tell(&mut self, at: usize, progress: Progress) {
        let intent = self.entries[at].intent.clone();
        self.outputs.push_back(OutboxOutput::Tell(Box::new(intent), progress));
    }

    fn ask(&mut self) {
        if !self.asking {
            self.asking = true;
            self.outputs.push_back(OutboxOutput::Ask);
        }
    }

    fn block(&mut self, now: Millis, error: &Error) {
        let after = |wait: Duration| now.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let delay = self.backoff.next_delay();
        // Not all pages at once when it is over.
        self.not_before = self.not_before.max(error.retry_after().map(|least| after(least.saturating_add(delay))));
        self.blocked = Some(after(delay)).max(self.not_before);
    }

    /// Nothing is in the way any more but what Directus asked for.
    fn unblock(&mut self, now: Millis) {
        self.not_before.take_if(|at| *at <= now);
        self.blocked = self.not_before;
    }

    fn check(&mut self, at: usize) {
        self.entries[at].state = State::Checking;
        self.entries[at].looked_in = self.generation;
        let write = self.entries[at].intent.layer.write;
        self.outputs.push_back(OutboxOutput::Check(write));
    }

    fn confirm(&mut self, at: usize, answer: Value) {
        self.confirmed += 1;
        self.pass_on(at, Some(&answer));
        let intent = &self.entries[at].intent;
        let told = answer.get(&intent.key_field).and_then(Key::from_value);
        let key = self.key(intent).or(told);
        if let (Change::Create(_), Some(write), Some(key)) =
            (&intent.layer.change, intent.layer.row.as_ref().and_then(RowKey::as_created), &key)
        {
            self.created.insert(write, key.clone());
        }
        let touch = OutboxOutput::Touch(intent.collection.clone(), key.clone());
        let answer = answer.is_object().then(|| Arc::new(answer));
        self.tell(at, Progress::Confirmed { confirmed: self.confirmed, key, answer });
        self.entries.remove(at);
        self.outputs.push_back(touch);
        self.backoff.reset();
        self.refuse_orphans();
    }

    /// Whether Directus has accepted the write, and only did not say what became of it.
    #[must_use]
    pub fn is_accepted(&self, write: WriteId) -> bool {
        self.find(write).is_some_and(|at| self.entries[at].refusal.as_ref().is_some_and(Error::is_conflict))
    }

    /// What was to be done to rows whose keys nobody will ever learn: they were created where the visitor may not read, or by
    /// a page that is gone.
    fn refuse_orphans(&mut self) {
        let is_orphan = |entry: &Entry| {
            let created = entry.intent.layer.row.as_ref().and_then(RowKey::as_created);
            !matches!(entry.intent.layer.change, Change::Create(_))
                && self.key(&entry.intent).is_none()
                && created.is_some_and(|write| self.find(write).is_none() && !self.is_parked(write))
        };
        let orphans: Vec<WriteId> =
            self.entries.iter().filter(|entry| is_orphan(entry)).map(|entry| entry.intent.layer.write).collect();
        for write in orphans {
            if let Some(at) = self.find(write) {
                self.refuse(at, Error::conflict("the key of the row is not known, so it can't be changed or deleted"));
            }
        }
    }

    fn refuse(&mut self, at: usize, error: Error) {
        if error.is_uncertain() {
            self.pass_on(at, None);
        }
        let Some(entry) = self.entries.remove(at) else { return };
        let touch = OutboxOutput::Touch(entry.intent.collection.clone(), self.key(&entry.intent));
        let text = error.message().to_owned();
        self.outputs.push_back(self.refusal(&entry, error));
        // What the server has is what is shown from now on, and it may have changed meanwhile.
        self.outputs.push_back(touch);
        let lost = self.upon_its_row(&entry);
        self.parked.retain(|entry| !lost.contains(&entry.intent.layer.write));
        for write in lost {
            if let Some(at) = self.find(write) {
                self.refuse(at, Error::conflict(format!("the row was not created: {text}")));
            }
        }
    }

    /// What was to be done to the row that this was to create, by whichever of its names. There may be somebody else's by its key.
    fn upon_its_row(&self, create: &Entry) -> Vec<WriteId> {
        let is_create = |entry: &Entry| matches!(entry.intent.layer.change, Change::Create(_));
        if !is_create(create) {
            return Vec::new();
        }
        // Where it was not known yet who somebody is, it may be them.
        let is_of_another = |entry: &Entry| entry.who.is_some() && create.who.is_some() && entry.who != create.who;
        let is_later = |entry: &&Entry| {
            entry.made() > create.made() && !is_of_another(entry) && self.are_of_one_row(&entry.intent, &create.intent)
        };
        let all = || self.entries.iter().chain(&self.parked);
        // Unless it is to be created once more.
        let again = all().filter(is_later).filter(|entry| is_create(entry)).map(Entry::made).min();
        let is_upon_it = |entry: &&Entry| {
            let is_its_own = entry.intent.layer.row.is_some() && entry.intent.layer.row == create.intent.layer.row;
            let is_by_key = is_later(entry) && again.is_none_or(|again| entry.made() < again);
            !is_create(entry) && (is_its_own || is_by_key)
        };
        all().filter(is_upon_it).map(|entry| entry.intent.layer.write).collect()
    }

    /// It is put aside for whoever made it. For whoever is here now, it is as if it had been refused.
    fn park(&mut self, at: usize, error: Error) {
        if error.is_uncertain() {
            self.pass_on(at, None);
        }
        let Some(entry) = self.entries.remove(at) else { return };
        let touch = OutboxOutput::Touch(entry.intent.collection.clone(), self.key(&entry.intent));
        self.outputs.push_back(self.refusal(&entry, error));
        self.outputs.push_back(touch);
        // One that was under way when somebody else came is put aside after those that were made upon it.
        let is_upon_it = |later: &Entry| later.who == entry.who && later.made() > entry.made();
        let place = self.parked.iter().position(is_upon_it).unwrap_or(self.parked.len());
        self.parked.insert(place, entry);
    }

    fn refuse_as_uncertain(&mut self, at: usize) {
        let collection = &self.entries[at].intent.collection;
        let what = match self.entries[at].intent.layer.change {
            Change::Create(_) => "creating in",
            Change::Update(_) => "updating",
            Change::Delete => "deleting from",
        };
        let error = Error::uncertain(format!(
            "{what} `{collection}`: the answer was lost, so it may have been done or not; it is not sent again"
        ));
        self.refuse(at, error);
    }

    fn failed(&mut self, now: Millis, at: usize, error: Error) {
        let entry = &mut self.entries[at];
        let is_create = matches!(entry.intent.layer.change, Change::Create(_));
        let is_repeatable = !is_create || entry.intent.layer.key.is_some();
        let is_given_up = is_unanswered(&error) && entry.unanswered + 1 >= UNANSWERED_AT_MOST;
        if is_unanswered(&error) && !is_repeatable || is_given_up {
            self.refuse_as_uncertain(at);
            self.blocked.get_or_insert(now);
        } else if is_unanswered(&error) || is_turned_away(&error) {
            entry.uncertain |= is_unanswered(&error);
            entry.unanswered += u32::from(is_unanswered(&error));
            entry.state = State::Waiting;
            self.tell(at, Progress::Waiting);
            self.block(now, &error);
        } else if is_create && entry.uncertain || !is_create && error.is_forbidden() && entry.intent.layer.row.is_some()
        {
            entry.refusal = Some(error);
            self.check(at);
        } else {
            self.refuse(at, error);
        }
    }

    /// Whether it was made by somebody else than who is here now.
    fn is_foreign(&self, entry: &Entry) -> bool {
        let is_known = entry.who.is_some() && self.who.is_some();
        (is_known || entry.generation != self.generation) && (entry.who.is_none() || entry.who != self.who)
    }

    /// What became of it, to be told to whom it concerns.
    fn refusal(&self, entry: &Entry, error: Error) -> OutboxOutput {
        let intent = Box::new(entry.intent.clone());
        if self.is_foreign(entry) {
            OutboxOutput::Disown(intent, error)
        } else {
            OutboxOutput::Tell(intent, Progress::Refused(error))
        }
    }

    /// What was made by somebody else than who would send it now is not sent.
    fn disown(&mut self) {
        if self.who.is_none() {
            return;
        }
        let is_foreign = |entry: &&Entry| entry.state == State::Waiting && self.is_foreign(entry);
        let foreign: BTreeSet<WriteId> =
            self.entries.iter().filter(is_foreign).map(|entry| entry.intent.layer.write).collect();
        for write in foreign {
            if let Some(at) = self.find(write) {
                let Entry { intent, who, uncertain, .. } = &self.entries[at];
                let is_kept = intent.store.is_some() && who.is_some();
                let rest = if is_kept { "; it is kept until whoever wrote it is back" } else { "" };
                let error = if *uncertain {
                    Error::uncertain(format!(
                        "the login changed before this was answered: it may have been done or not, and is not sent again as \
                         somebody else{rest}"
                    ))
                } else {
                    Error::conflict(format!(
                        "the login changed before this was sent: it was not sent as somebody else{rest}"
                    ))
                };
                if is_kept { self.park(at, error) } else { self.refuse(at, error) }
            }
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.state == State::Waiting) {
            entry.generation = self.generation;
        }
    }

    /// Whether this one may be sent while those before it are not done.
    fn may_go(&self, at: usize) -> bool {
        let entry = &self.entries[at];
        let is_update = |entry: &Entry| matches!(entry.intent.layer.change, Change::Update(_));
        let is_other = |before: &Entry| is_update(before) && !self.are_of_one_row(&before.intent, &entry.intent);
        let mut before = self.entries.iter().take(at);
        if is_update(entry) { before.all(is_other) } else { at == 0 }
    }

    fn pump(&mut self, now: Millis) {
        if self.held > 0 || self.in_doubt || self.blocked.is_some() {
            for entry in self.entries.iter_mut().filter(|entry| !entry.state.is_sent()) {
                entry.has_waited = true;
            }
        }
        if self.held > 0 {
            return;
        }
        if !self.in_doubt {
            self.disown();
        }
        let waits = self.entries.iter().any(|entry| entry.state == State::Waiting);
        let must_ask = self.is_wanted || waits && (self.in_doubt || self.blocked.is_some());
        if must_ask && self.blocked.is_none_or(|at| now >= at) {
            self.ask();
        }
        if !waits || self.in_doubt || self.blocked.is_some() {
            return;
        }
        let mut under_way = self.entries.iter().filter(|entry| entry.state != State::Waiting).count();
        for at in 0..self.entries.len() {
            if under_way >= SIDE_BY_SIDE {
                break;
            }
            if self.entries[at].state != State::Waiting || !self.may_go(at) {
                continue;
            }
            under_way += 1;
            let entry = &mut self.entries[at];
            let write = entry.intent.layer.write;
            let may_be_compared = entry.has_waited && entry.looks < LOOKS_AT_MOST;
            if may_be_compared && compared_fields(&entry.intent).next().is_some() {
                entry.state = State::Comparing;
                self.outputs.push_back(OutboxOutput::Compare(write));
                continue;
            }
            entry.state = State::Sent;
            entry.looks = 0;
            self.tell(at, Progress::Sent);
            self.outputs.push_back(OutboxOutput::Send(write));
        }
    }
}

/// What an earlier update sets was something else before it, or is after it, as far as that is known.
fn rebase<'v>(
    before: &mut Map<String, Value>,
    earlier: &Map<String, Value>,
    known: impl Fn(&str) -> Option<&'v Value>,
) {
    before.retain(|field, before| {
        if !earlier.contains_key(field) {
            return true;
        }
        let known = known(field);
        if let Some(known) = known {
            before.clone_from(known);
        }
        known.is_some()
    });
}

fn row_name(intent: &Intent) -> String {
    intent.layer.row.as_ref().map(RowKey::to_string).unwrap_or_default()
}

fn changed(intent: &Intent, field: &str) -> Error {
    Error::conflict(format!(
        "updating `{}`: while this waited, somebody else changed `{field}` of the row {}: nothing was overwritten",
        intent.collection,
        row_name(intent)
    ))
}

fn taken(intent: &Intent, field: &str) -> Error {
    let key = intent.layer.key.as_ref().map(Key::to_string).unwrap_or_default();
    Error::uncertain(format!(
        "creating in `{}`: the answer was lost, and the row {key} that is there now has another `{field}`: somebody else created or \
         changed it",
        intent.collection
    ))
}

fn gone(intent: &Intent) -> Error {
    let row = row_name(intent);
    Error::conflict(format!(
        "updating `{}`: the row {row} is not there any more, or not for this visitor: somebody deleted it meanwhile",
        intent.collection
    ))
}

/// Nobody knows what became of the request: there is no answer, or one of somebody on the way, who says 503 of a connection that
/// broke afterwards, too.
fn is_unanswered(error: &Error) -> bool {
    let is_of_a_proxy = error.status() >= Some(500) && error.is_of_a_proxy();
    error.is_network() || error.is_timeout() || matches!(error.status(), Some(502 | 504)) || is_of_a_proxy
}

/// Directus did not look at the request, and may look at another one.
fn is_turned_away(error: &Error) -> bool {
    error.is_rate_limited() || (error.status() == Some(503) && !is_unanswered(error))
}

#[cfg(test)]
mod tests;
