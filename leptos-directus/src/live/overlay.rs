//! Writes of this page, laid over what the server said, until the server says the same.
//!
//! The rows that a read gave are never changed: what is shown is those rows with the pending writes applied. So a write that
//! is refused leaves no trace, and somebody else's change of another field shows through.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{
    outbox::Progress,
    row::{RowKey, WriteId},
    window::{RowChanges, Splice},
};
use crate::protocol::Key;

/// Where a row shows that was created here, as long as its place is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewRows {
    /// Above all others, the newest first.
    #[default]
    First,
    /// Below all others.
    Last,
}

/// What a write does to its row.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A row that is new.
    Create(Arc<Value>),
    /// These fields are set.
    Update(Arc<Map<String, Value>>),
    /// The row goes.
    Delete,
}

/// One write over a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its number.
    pub write: WriteId,
    /// The row; for a singleton none, which is the first one.
    pub row: Option<RowKey>,
    /// The key of a row to be created, where it is ours to give.
    pub key: Option<Key>,
    /// What it does.
    pub change: Change,
}

impl Layer {
    /// Whether rows enter or leave by it. An update's row stays where it is until the server says otherwise.
    fn moves_rows(&self) -> bool {
        !matches!(self.change, Change::Update(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Waiting,
    /// Sent: what it creates may come back by a read at any time.
    Sent,
    /// Done, as the one with this number. It stays until a read that was sent afterwards has come back.
    Confirmed(u64),
}

#[derive(Debug)]
struct Laid {
    layer: Layer,
    stage: Stage,
}

impl Laid {
    /// Whether a read may bring this row under a key that nobody can tell to be its.
    fn is_anonymous(&self) -> bool {
        self.stage == Stage::Sent && self.layer.key.is_none() && matches!(self.layer.change, Change::Create(_))
    }
}

/// A row as it is to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRow {
    /// With all pending writes.
    pub value: Arc<Value>,
    /// Without them, if there is such a row: for views that can't read it with them.
    pub plain: Option<Arc<Value>>,
}

/// What is to be changed on the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// All rows in order, if rows entered, left or moved.
    pub order: Option<Vec<RowKey>>,
    /// The same step by step, where that is known: a row goes from its place, or comes in there. Never beside `order`.
    pub splices: Vec<(usize, Option<RowKey>)>,
    /// Rows that are new or not what they were.
    pub changed: Vec<(RowKey, ShownRow)>,
    /// Rows that left.
    pub removed: Vec<RowKey>,
    /// Whether rows got their keys.
    pub named: bool,
}

impl Shown {
    /// Whether rows entered, left or moved.
    #[must_use]
    pub fn reorders(&self) -> bool {
        self.order.is_some() || !self.splices.is_empty()
    }

    /// Brings somebody's list of the rows, which was right before, to what it is now.
    pub fn apply_order(&self, rows: &mut Vec<RowKey>) {
        if let Some(order) = &self.order {
            rows.clone_from(order);
        }
        for (at, row) in &self.splices {
            match row {
                Some(row) => rows.insert((*at).min(rows.len()), row.clone()),
                None if *at < rows.len() => drop(rows.remove(*at)),
                None => {}
            }
        }
    }
}

/// A live query's rows, and this page's writes over them.
///
/// # Example
/// ```
/// use leptos_directus::{
///     Key, RowKey,
///     live::{Change, Layer, NewRows, Overlay, Progress, Shown, ShownRow, Window, WriteId},
/// };
/// use serde_json::{Value, json};
/// use std::sync::Arc;
///
/// let mut window = Window::default();
/// let mut list = Overlay::new(NewRows::Last);
/// list.server(window.replace("id", vec![json!({ "id": 1, "title": "one" })]));
///
/// // A row is created, and there at once, by a name of its own.
/// let write = WriteId(1);
/// let row = RowKey::created_by(write);
/// let data = Arc::new(json!({ "title": "two" }));
/// let create = Layer { write, row: Some(row.clone()), key: None, change: Change::Create(data) };
/// let shown: Shown = list.add(create);
/// assert!(shown.reorders() && !list.is_bare());
/// let mut rows = vec![RowKey::from(1)];
/// shown.apply_order(&mut rows);
/// assert_eq!(rows, [RowKey::from(1), row.clone()]);
///
/// // Directus did it. It has a key now, and keeps its name, also in another list that adopts it.
/// list.sent(write, true);
/// list.confirm(write, 1, Some(2.into()), Some(Arc::new(json!({ "id": 2, "title": "two" }))));
/// assert_eq!((list.key(&row), list.name(&2.into())), (Some(Key::from(2)), row.clone()));
/// assert_eq!(list.resolve(&RowKey::from(2)), row);
/// assert_eq!(list.value(&RowKey::from(2)).unwrap()["title"], "two");
/// let mut other = Overlay::new(NewRows::First);
/// other.adopt(&list);
/// assert_eq!(other.name(&2.into()), row);
///
/// // A read that was sent afterwards has it.
/// list.server(window.replace("id", vec![json!({ "id": 1, "title": "one" }), json!({ "id": 2, "title": "two" })]));
/// list.read(1, None);
/// assert!(list.is_bare());
/// assert_eq!(list.given(), 2);
///
/// // A change that is refused leaves no trace.
/// let patch = Arc::new(json!({ "title": "TWO" }).as_object().unwrap().clone());
/// let update = Layer { write: WriteId(2), row: Some(row), key: None, change: Change::Update(patch) };
/// list.progress(&update, Progress::Waiting);
/// let titles = |list: &Overlay| {
///     list.shown().map(|(_, row): (_, &ShownRow)| row.value["title"].clone()).collect::<Vec<Value>>()
/// };
/// assert_eq!(titles(&list), ["one", "TWO"]);
/// list.remove(WriteId(2));
/// assert_eq!(titles(&list), ["one", "two"]);
/// ```
#[derive(Debug, Default)]
pub struct Overlay {
    new_rows: NewRows,
    order: Vec<Key>,
    rows: HashMap<Key, Arc<Value>>,
    /// Rows that were created here, by their keys, and the other way round.
    names: HashMap<Key, RowKey>,
    keys: HashMap<RowKey, Key>,
    laid: Vec<Laid>,
    /// Keys that came while a row was being created whose key is not known yet: one of them may be it. They wait for the
    /// answer, so that no row is ever shown twice.
    held: HashSet<Key>,
    shown_order: Vec<RowKey>,
    shown: HashMap<RowKey, ShownRow>,
}

impl Overlay {
    /// Nothing yet.
    #[must_use]
    pub fn new(new_rows: NewRows) -> Self {
        Self { new_rows, ..Self::default() }
    }

    /// The name that the row with this key goes by.
    #[must_use]
    pub fn name(&self, key: &Key) -> RowKey {
        self.names.get(key).cloned().unwrap_or_else(|| RowKey::from(key))
    }

    /// The same row, by the name that it goes by here.
    #[must_use]
    pub fn resolve(&self, row: &RowKey) -> RowKey {
        self.key(row).map_or_else(|| row.clone(), |key| self.name(&key))
    }

    /// A row as it is shown, with all pending writes.
    #[must_use]
    pub fn value(&self, row: &RowKey) -> Option<&Arc<Value>> {
        self.shown.get(&self.resolve(row)).map(|shown| &shown.value)
    }

    /// The key in Directus; `None` as long as it has none.
    #[must_use]
    pub fn key(&self, row: &RowKey) -> Option<Key> {
        row.as_key().cloned().or_else(|| self.keys.get(row).cloned())
    }

    /// Rows go by the same names as in another list of the same collection.
    pub fn adopt(&mut self, other: &Self) {
        for (key, row) in &other.names {
            if !self.rows.contains_key(key) && !self.names.contains_key(key) {
                self.names.insert(key.clone(), row.clone());
                self.keys.insert(row.clone(), key.clone());
            }
        }
    }

    /// Whether any writes lie over the rows.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.laid.is_empty()
    }

    /// How many rows the last read gave, whatever lies over them.
    #[must_use]
    pub fn given(&self) -> usize {
        self.order.len()
    }

    /// The rows as the last one who was told knows them.
    pub fn shown(&self) -> impl Iterator<Item = (&RowKey, &ShownRow)> {
        self.shown_order.iter().filter_map(|row| self.shown.get_key_value(row))
    }

    /// A read gave other rows. Costs what it touches, as long as no writes are over them.
    pub fn server(&mut self, changes: RowChanges) -> Shown {
        let mut touched: HashSet<RowKey> = HashSet::new();
        changes.apply_order(&mut self.order);
        for key in &changes.removed {
            touched.insert(self.name(key));
            self.rows.remove(key);
            self.held.remove(key);
        }
        if self.laid.iter().any(Laid::is_anonymous) {
            let is_new = |key: &&Key| !self.shown.contains_key(&self.name(key)) && !self.names.contains_key(*key);
            let new: Vec<Key> = changes.changed.iter().map(|(key, _)| key).filter(is_new).cloned().collect();
            self.held.extend(new);
        }
        for (key, row) in changes.changed {
            touched.insert(self.name(&key));
            self.rows.insert(key, row);
        }
        let touched = touched.into_iter().collect();
        if self.laid.is_empty() {
            let order = changes.order.map(|order| order.iter().map(|key| self.name(key)).collect());
            let splices = changes.splices.into_iter().map(|splice| match splice {
                Splice::Remove(at) => (at, None),
                Splice::Insert(at, key) => (at, Some(self.name(&key))),
            });
            let moves = Shown { order, splices: splices.collect(), ..Shown::default() };
            moves.apply_order(&mut self.shown_order);
            let shown = self.render(touched, false);
            Shown { order: moves.order, splices: moves.splices, ..shown }
        } else {
            let moved = changes.order.is_some() || !changes.splices.is_empty();
            self.render(touched, moved)
        }
    }

    /// Something became of a write.
    pub fn progress(&mut self, layer: &Layer, progress: Progress) -> Shown {
        match progress {
            Progress::Waiting if self.find(layer.write).is_none() => self.add(layer.clone()),
            Progress::Waiting => self.sent(layer.write, false),
            Progress::Sent => self.sent(layer.write, true),
            Progress::Confirmed { confirmed, key, answer } => self.confirm(layer.write, confirmed, key, answer),
            Progress::Refused(_) => self.remove(layer.write),
        }
    }

    /// A write was made.
    pub fn add(&mut self, mut layer: Layer) -> Shown {
        layer.row = layer.row.map(|row| self.resolve(&row));
        let mut named = false;
        let mut touched = Vec::new();
        if let (Change::Create(_), Some(row), Some(key)) = (&layer.change, &layer.row, &layer.key) {
            // By a read; or by a create only, whose row no read has yet.
            let is_there = self.rows.contains_key(key) || self.shown.contains_key(&RowKey::from(key));
            if is_there || self.names.contains_key(key) {
                // It is there already: a write that was kept over a reload, say. So may others be of it.
                let name = self.name(key);
                self.keys.insert(row.clone(), key.clone());
                layer.row = Some(name);
            } else {
                touched.push(self.give_key(row, key));
                named = true;
            }
        }
        let may_move = named || layer.moves_rows();
        self.laid.push(Laid { layer, stage: Stage::Waiting });
        touched.extend(self.row_of(self.laid.len() - 1));
        Shown { named, ..self.render(touched, may_move) }
    }

    /// A row that was created here gets its key: it has no other name any more. Gives the one that it had by its key.
    fn give_key(&mut self, row: &RowKey, key: &Key) -> RowKey {
        let before = RowKey::from(key);
        for laid in &mut self.laid {
            if laid.layer.row.as_ref() == Some(&before) {
                laid.layer.row = Some(row.clone());
            }
        }
        self.names.insert(key.clone(), row.clone());
        self.keys.insert(row.clone(), key.clone());
        before
    }

    /// A write was sent, or waits again.
    pub fn sent(&mut self, write: WriteId, sent: bool) -> Shown {
        let Some(at) = self.find(write) else { return Shown::default() };
        self.laid[at].stage = if sent { Stage::Sent } else { Stage::Waiting };
        self.unhold()
    }

    /// Directus did it. `confirmed` is the number of writes done so far, this one included; the answer is its row.
    pub fn confirm(&mut self, write: WriteId, confirmed: u64, key: Option<Key>, answer: Option<Arc<Value>>) -> Shown {
        let Some(at) = self.find(write) else { return Shown::default() };
        let mut touched = self.row_of(at);
        self.laid[at].stage = Stage::Confirmed(confirmed);
        let mut named = false;
        let laid = &mut self.laid[at].layer;
        match (&mut laid.change, answer) {
            (Change::Create(row), Some(answer)) => *row = answer,
            // As Directus keeps it: trimmed, rounded, completed.
            (Change::Update(patch), Some(answer)) => {
                let mut kept = (**patch).clone();
                let shown = key.as_ref().and_then(|key| self.rows.get(key));
                for (field, value) in &mut kept {
                    // It is answered as the list asks for it that the write was made in, and this one may not: with the fields of a
                    // related row, say.
                    let is_as_here = |answered: &Value| {
                        let before = shown.and_then(|row| row.get(field));
                        are_alike(answered, value) || before.is_some_and(|before| are_alike(answered, before))
                    };
                    // Nothing is what a related row is answered as that the visitor may not read.
                    let is_told = |answered: &&Value| answered.is_null() == value.is_null() && is_as_here(answered);
                    if let Some(answered) = answer.get(field).filter(is_told) {
                        value.clone_from(answered);
                    }
                }
                *patch = Arc::new(kept);
            }
            _ => {}
        }
        let row = laid.row.clone();
        if !matches!(laid.change, Change::Create(_))
            && let (Some(row), Some(key)) = (&row, &key)
            && self.key(row).is_none()
        {
            // It was created in another list, and goes by its key here.
            self.laid[at].layer.row = Some(self.name(key));
            touched.extend(self.row_of(at));
        }
        let laid = &mut self.laid[at].layer;
        if let (Change::Create(_), Some(row), Some(key)) = (&laid.change, row, key) {
            laid.key = Some(key.clone());
            if let Some(name) = self.names.get(&key).filter(|name| **name != row).cloned() {
                // Another one that is created here was to have this key, and Directus gave it away: it goes by that name.
                for laid in self.laid.iter_mut().filter(|laid| laid.layer.row.as_ref() == Some(&row)) {
                    laid.layer.row = Some(name.clone());
                }
                self.keys.insert(row, key.clone());
                touched.push(name);
                named = true;
            } else if row.as_key() != Some(&key) && !self.names.contains_key(&key) {
                touched.push(self.give_key(&row, &key));
                named = true;
            }
            self.held.remove(&key);
        }
        let may_move = named || self.laid[at].layer.moves_rows();
        let mut shown = self.render(touched, may_move);
        shown.named = named;
        let released = self.unhold();
        join(shown, released)
    }

    /// A write is not to be: its row is again as the server says.
    pub fn remove(&mut self, write: WriteId) -> Shown {
        let Some(at) = self.find(write) else { return Shown::default() };
        let touched = self.row_of(at);
        let may_move = self.laid.remove(at).layer.moves_rows();
        let shown = self.render(touched, may_move);
        let released = self.unhold();
        join(shown, released)
    }

    /// A read has come back that was sent when so many writes were done: what they did is in it. Of these rows only, where it
    /// was a read of some.
    pub fn read(&mut self, confirmed: u64, only: Option<&[Key]>) -> Shown {
        if self.laid.is_empty() {
            return Shown::default();
        }
        let (mut touched, mut may_move) = (Vec::new(), false);
        let mut index = 0;
        while index < self.laid.len() {
            let laid = &self.laid[index];
            let is_read = match (only, &laid.layer.row) {
                (None, _) => true,
                (Some(keys), Some(row)) => self.key(row).is_some_and(|key| keys.contains(&key)),
                (Some(_), None) => false,
            };
            if is_read && matches!(laid.stage, Stage::Confirmed(number) if number <= confirmed) {
                touched.extend(self.row_of(index));
                may_move |= self.laid.remove(index).layer.moves_rows();
            } else {
                index += 1;
            }
        }
        if touched.is_empty() { Shown::default() } else { self.render(touched, may_move) }
    }

    fn find(&self, write: WriteId) -> Option<usize> {
        self.laid.iter().position(|laid| laid.layer.write == write)
    }

    /// The row that a layer is about, as far as there is one.
    fn row_of(&self, at: usize) -> Vec<RowKey> {
        match &self.laid[at].layer.row {
            Some(row) => vec![row.clone()],
            None => self.order.first().map(|key| self.name(key)).into_iter().collect(),
        }
    }

    /// Shows the rows that waited, once there is nothing to wait for.
    fn unhold(&mut self) -> Shown {
        if self.held.is_empty() || self.laid.iter().any(Laid::is_anonymous) {
            return Shown::default();
        }
        let held: Vec<Key> = self.held.drain().collect();
        let touched = held.iter().map(|key| self.name(key)).collect();
        self.render(touched, true)
    }

    /// What a row looks like now.
    fn look(&self, row: &RowKey) -> Option<ShownRow> {
        let key = self.key(row);
        if key.as_ref().is_some_and(|key| self.held.contains(key)) {
            return None;
        }
        let plain = key.and_then(|key| self.rows.get(&key).cloned());
        let first = self.order.first().map(|key| self.name(key));
        let mut value = plain.clone();
        for Laid { layer, .. } in &self.laid {
            if layer.row.as_ref().or(first.as_ref()) != Some(row) {
                continue;
            }
            match &layer.change {
                Change::Create(data) => value = value.or_else(|| Some(Arc::clone(data))),
                Change::Update(patch) => value = value.map(|value| patched(value, patch)),
                Change::Delete => value = None,
            }
        }
        value.map(|value| ShownRow { value, plain })
    }

    /// Which rows there are, in order. Those that were created here and have no place yet stand together.
    fn arrange(&self) -> Vec<RowKey> {
        let placed = self.order.iter().map(|key| self.name(key));
        if self.laid.is_empty() {
            return placed.collect();
        }
        let is_placed = |row: &RowKey| self.key(row).is_some_and(|key| self.rows.contains_key(&key));
        // Once, also where a key is given again that a row which was created here has.
        let mut seen = HashSet::new();
        let unplaced = self.laid.iter().filter_map(|laid| match (&laid.layer.change, &laid.layer.row) {
            (Change::Create(_), Some(row)) if !is_placed(row) => seen.insert(row).then(|| row.clone()),
            _ => None,
        });
        let order: Vec<RowKey> = match self.new_rows {
            NewRows::First => {
                let unplaced: Vec<RowKey> = unplaced.collect();
                unplaced.into_iter().rev().chain(placed).collect()
            }
            NewRows::Last => placed.chain(unplaced).collect(),
        };
        let mut is_there: HashMap<RowKey, bool> = HashMap::new();
        for (at, laid) in self.laid.iter().enumerate() {
            for row in self.row_of(at) {
                let is_placed = is_placed(&row);
                let is_there = is_there.entry(row).or_insert(is_placed);
                match laid.layer.change {
                    Change::Create(_) => *is_there = true,
                    Change::Update(_) => {}
                    Change::Delete => *is_there = false,
                }
            }
        }
        is_there.extend(self.held.iter().map(|key| (self.name(key), false)));
        order.into_iter().filter(|row| is_there.get(row).copied().unwrap_or(true)).collect()
    }

    /// Takes over how these rows look now and says what that changes.
    fn render(&mut self, touched: Vec<RowKey>, arrange: bool) -> Shown {
        let mut shown = Shown::default();
        let mut done = HashSet::new();
        for row in touched {
            if !done.insert(row.clone()) {
                continue;
            }
            match self.look(&row) {
                Some(look) if self.is_listed(&row) => {
                    if self.shown.get(&row) != Some(&look) {
                        self.shown.insert(row.clone(), look.clone());
                        shown.changed.push((row, look));
                    }
                }
                _ => {
                    if self.shown.remove(&row).is_some() {
                        shown.removed.push(row);
                    }
                }
            }
        }
        if arrange {
            let order = self.arrange();
            if order != self.shown_order {
                self.shown_order.clone_from(&order);
                shown.order = Some(order);
            }
        }
        shown
    }

    /// Whether the row goes by this name: not so for a key that has another one, nor for one of two that got one key.
    fn is_listed(&self, row: &RowKey) -> bool {
        self.resolve(row) == *row
    }
}

/// One change after another, as one.
fn join(mut first: Shown, second: Shown) -> Shown {
    first
        .changed
        .retain(|(row, _)| !second.removed.contains(row) && !second.changed.iter().any(|(changed, _)| changed == row));
    first.removed.retain(|row| !second.changed.iter().any(|(changed, _)| changed == row));
    first.changed.extend(second.changed);
    first.removed.extend(second.removed);
    first.order = second.order.or(first.order);
    first.named |= second.named;
    first
}

/// Whether both are objects, or lists, or neither.
fn are_alike(one: &Value, other: &Value) -> bool {
    one.is_object() == other.is_object() && one.is_array() == other.is_array()
}

/// The row with these fields set, as far as it has them and they are of the same shape: a related row is shown by its fields
/// and written by its key.
fn patched(row: Arc<Value>, patch: &Map<String, Value>) -> Arc<Value> {
    let Value::Object(fields) = &*row else { return row };
    let fits = |before: &Value, after: &Value| before.is_null() || after.is_null() || are_alike(before, after);
    let set: Vec<(&String, &Value)> = patch
        .iter()
        .filter(|(field, after)| fields.get(*field).is_some_and(|before| before != *after && fits(before, after)))
        .collect();
    if set.is_empty() {
        return row;
    }
    let mut fields = fields.clone();
    for (field, value) in set {
        fields.insert(field.clone(), value.clone());
    }
    Arc::new(Value::Object(fields))
}

#[cfg(test)]
mod tests;
