//! What a reply to a read of keys says about the window: which rows changed, left, entered and moved, and where to.
//!
//! All of it or nothing: where one of the rows leaves a doubt, the window is to be read, and nothing is changed before.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{
    kin::Strangers,
    place::{Ranking, Sameness, sameness},
    shape::{SortField, WindowShape},
    window::{RowChanges, Splice, Window},
};
use crate::protocol::Key;

/// What the rows of a window that was read whole tell about the query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sight {
    /// Their order, if it can be told here.
    ranking: Option<Ranking>,
    strangers: Strangers,
}

impl Sight {
    /// Nothing if keys are not to be read.
    pub(super) fn of(window: &Window, shape: &WindowShape, key_field: &str) -> Option<Self> {
        let fields = shape.order()?;
        let rows = || window.rows().map(|(_, row)| &**row);
        let strangers = Strangers::learn(key_field, shape.nested(), rows())?;
        Some(Self { ranking: Ranking::learn(fields, rows()), strangers })
    }

    /// Whether a read of these keys can be enough.
    pub(super) fn suffices<'a>(
        &self,
        window: &Window,
        shape: &WindowShape,
        mut keys: impl Iterator<Item = &'a Key>,
    ) -> bool {
        // A row that is not here may shift those that are; and it surely enters where there is no filter.
        let no_strangers = shape.starts_later() || (self.ranking.is_none() && !shape.is_filtered());
        !no_strangers || keys.all(|key| window.get(key).is_some())
    }
}

/// Directus may be told never to give more rows than a number (`QUERY_LIMIT_MAX`), and does not say so. Such numbers are
/// round: a list of so many rows may have been cut.
pub(super) fn may_be_cut(rows: usize) -> bool {
    rows > 0 && (rows.is_multiple_of(50) || (rows >= 64 && rows.is_power_of_two()))
}

/// The field that Directus's Studio offers for an order by hand (`/utils/sort`, drag and drop): the other rows are counted anew
/// then, and nothing says so.
const SORT: &str = "sort";

/// Whether the row shows its place among others.
fn is_put_by_hand(row: &Value) -> bool {
    row.get(SORT).is_some_and(Value::is_i64)
}

/// So many rows are looked at for one that has a related row, so that its fields are known.
const SEEN: usize = 100;

/// The related row that a row shows there, or the first of them.
fn related<'a>(row: &'a Value, way: &str) -> Option<&'a Map<String, Value>> {
    let mut there = row;
    for name in way.split('.') {
        there = there.get(name)?;
        if let Value::Array(rows) = there {
            there = rows.first()?;
        }
    }
    there.as_object()
}

/// Whether both name the same.
fn have_the_same_fields(known: &Map<String, Value>, row: &Map<String, Value>) -> bool {
    known.len() == row.len() && row.keys().all(|name| known.contains_key(name))
}

/// One read of keys, and what it is to be applied to.
pub(super) struct KeyReply<'a> {
    pub(super) window: &'a Window,
    pub(super) shape: &'a WindowShape,
    pub(super) sight: &'a Sight,
    pub(super) key_field: &'a str,
    /// Keys for which the sight sufficed.
    pub(super) asked: &'a [Key],
}

/// Rows that have a place to find, and places to leave.
#[derive(Default)]
struct Moves {
    /// Rows with the place that they take among the rows that are there now.
    coming: Vec<(usize, Key, Arc<Value>)>,
    /// Places that rows leave, be it for another one or for good.
    going: Vec<usize>,
    left: usize,
    entered: usize,
}

impl KeyReply<'_> {
    /// What changed; nothing if that can't be told without the whole window.
    pub(super) fn changes(&self, rows: Vec<Value>) -> Option<RowChanges> {
        let mut found = self.by_key(rows)?;
        let mut changes = RowChanges::default();
        let mut moves = Moves::default();
        for key in self.asked {
            match (self.window.get(key), found.remove(key)) {
                (None, None) => {
                    // A delete names the key as it was asked for: `007` for 7.
                    let is_here = || self.window.keys().iter().any(|there| there.may_be(key));
                    if key.may_be_spelled_otherwise() && is_here() {
                        return None;
                    }
                }
                (Some(before), None) if is_put_by_hand(before) => return None,
                (_, Some(row)) if self.may_be_put_elsewhere(key, &row) => return None,
                (Some(before), None) => {
                    moves.going.push(self.position(key, before)?);
                    moves.left += 1;
                    changes.removed.push(key.clone());
                }
                // A field that the visitor lost, or got back, is another one in all rows.
                (before, Some(row)) if !self.has_its_fields(before.map(|row| &**row), &row) => return None,
                (Some(before), Some(row)) => {
                    if **before == row {
                        // A moment may have changed that does not show.
                        self.keeps_place(before, &row)?;
                        continue;
                    }
                    if self.may_be_sorting(before, &row) {
                        return None;
                    }
                    let row = Arc::new(row);
                    if !self.keeps_place(before, &row)? {
                        moves.going.push(self.position(key, before)?);
                        moves.coming.push((self.place(&row)?, key.clone(), Arc::clone(&row)));
                    }
                    changes.changed.push((key.clone(), row));
                }
                (None, Some(row)) => {
                    let place = self.place(&row)?;
                    if self.is_full() && place == self.window.len() {
                        // It comes after the last row that is asked for.
                        continue;
                    }
                    let row = Arc::new(row);
                    moves.coming.push((place, key.clone(), Arc::clone(&row)));
                    moves.entered += 1;
                    changes.changed.push((key.clone(), row));
                }
            }
        }
        self.allow(&moves)?;
        changes.splices = self.splices(moves)?;
        Some(changes)
    }

    /// Whether a row has the fields that those of the window have.
    fn has_its_fields(&self, before: Option<&Value>, row: &Value) -> bool {
        let known = self.window.rows().next().and_then(|(_, known)| known.as_object());
        let (Some(known), Some(fields)) = (known, row.as_object()) else { return true };
        have_the_same_fields(known, fields)
            && self.shape.nested().iter().all(|way| {
                let known = before.into_iter().chain(self.window.rows().take(SEEN).map(|(_, row)| &**row));
                let known = { known }.find_map(|known| related(known, way));
                known.zip(related(row, way)).is_none_or(|(known, row)| have_the_same_fields(known, row))
            })
    }

    /// The rows by their keys, if these are rows that were asked for, each once, and all there are.
    fn by_key(&self, rows: Vec<Value>) -> Option<HashMap<Key, Value>> {
        let asked: HashSet<&Key> = self.asked.iter().collect();
        if rows.len() < self.asked.len() && may_be_cut(rows.len()) {
            return None;
        }
        let mut found = HashMap::with_capacity(rows.len());
        for row in rows {
            let key = row.get(self.key_field).and_then(Key::from_value)?;
            if !asked.contains(&key) || !self.sight.strangers.clear(self.key_field, self.shape.nested(), &row) {
                return None;
            }
            if found.insert(key, row).is_some() {
                return None;
            }
        }
        Some(found)
    }

    fn order(&self) -> &[SortField] {
        self.shape.order().unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.shape.limit().is_some_and(|limit| self.window.len() >= limit)
    }

    /// Whether the row is ordered by what it was ordered by; nothing where that does not show.
    fn keeps_place(&self, before: &Value, row: &Value) -> Option<bool> {
        let mut in_a_moment = false;
        for field in self.order() {
            let (before, now) = (before.get(&field.name)?, row.get(&field.name)?);
            if before != now {
                return Some(false);
            }
            match sameness(now) {
                Sameness::Same => {}
                Sameness::SameMoment => in_a_moment = true,
                Sameness::SameNull => drop(self.sight.ranking.as_ref()?),
                Sameness::Unknown => return None,
            }
        }
        if in_a_moment {
            // Its neighbours must be of other moments.
            let at = self.search(row)?;
            let neighbours = [at.checked_sub(1), at.checked_add(1)].into_iter().flatten();
            for neighbour in neighbours.filter_map(|at| self.window.row_at(at)) {
                self.sight.ranking.as_ref()?.compare(neighbour, row)?;
            }
        }
        Some(true)
    }

    /// Whether this may be the one row that is announced where rows were put into another order by hand.
    fn may_be_put_elsewhere(&self, key: &Key, row: &Value) -> bool {
        // It may be where it was, and the others are not: where two had one number, Directus counts all of them anew first.
        let differs = |before: &Arc<Value>| **before == *row || before.get(SORT) != row.get(SORT);
        is_put_by_hand(row) && self.window.get(key).is_none_or(differs)
    }

    /// The same by a field with another name: all that changed is one that rows are sorted by.
    fn may_be_sorting(&self, before: &Value, row: &Value) -> bool {
        let (Some(before), Some(row)) = (before.as_object(), row.as_object()) else { return false };
        let mut changed = row.iter().filter(|(name, value)| before.get(*name) != Some(value));
        let (Some((name, value)), None) = (changed.next(), changed.next()) else { return false };
        let is_sorted_by = self.order().iter().any(|field| field.name == *name);
        is_sorted_by && value.is_i64() && before.get(name).is_none_or(|before| before.is_i64() || before.is_null())
    }

    /// How many rows of the window come before a row that is not in it, or not as it is now.
    fn place(&self, row: &Value) -> Option<usize> {
        let at = |at: usize| self.window.row_at(at).map(|row| &**row);
        self.sight.ranking.as_ref()?.place(self.window.len(), at, row)
    }

    /// Where in the window a row with the same order fields and key stands.
    fn search(&self, row: &Value) -> Option<usize> {
        let ranking = self.sight.ranking.as_ref()?;
        let (mut low, mut high) = (0, self.window.len());
        while low < high {
            let middle = low.midpoint(high);
            let there = self.window.row_at(middle)?;
            if there.get(self.key_field) == row.get(self.key_field) {
                return Some(middle);
            }
            match ranking.compare(there, row)? {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        None
    }

    /// Where a row stands; found by looking at all of them where the order can't be told.
    fn position(&self, key: &Key, before: &Value) -> Option<usize> {
        self.search(before).or_else(|| self.window.keys().iter().position(|there| there == key))
    }

    /// Whether rows may leave, enter and move here without anybody's seeing what is outside.
    fn allow(&self, moves: &Moves) -> Option<()> {
        if moves.coming.is_empty() && moves.going.is_empty() {
            return Some(());
        }
        let (before, after) = (self.window.len(), (self.window.len() + moves.entered).checked_sub(moves.left)?);
        let most = before.max(after);
        match self.shape.limit() {
            // Not all of the rows that are asked for were there: so these are all.
            Some(limit) => (!self.shape.starts_later() && before < limit && after <= limit).then_some(()),
            None => (!self.shape.starts_later() && !(before..=most).any(may_be_cut)).then_some(()),
        }
    }

    /// The steps to the new order.
    fn splices(&self, mut moves: Moves) -> Option<Vec<Splice>> {
        moves.going.sort_unstable();
        let mut coming: Vec<(usize, Key, Arc<Value>)> = Vec::with_capacity(moves.coming.len());
        for row in moves.coming {
            let mut at = coming.len();
            while let Some((_, _, last)) = at.checked_sub(1).and_then(|before| coming.get(before)) {
                if self.sight.ranking.as_ref()?.compare(last, &row.2)? == Ordering::Less {
                    break;
                }
                at -= 1;
            }
            coming.insert(at, row);
        }
        // Where they stand once all of them are in: those that went before are gone, and those that came before are there.
        let places: Vec<(usize, Key)> = coming
            .into_iter()
            .enumerate()
            .map(|(earlier, (place, key, _))| {
                let gone = moves.going.partition_point(|going| *going < place);
                (place - gone + earlier, key)
            })
            .collect();
        let stays = places.len() == moves.going.len()
            && places
                .iter()
                .zip(&moves.going)
                .all(|((place, key), going)| place == going && self.window.keys().get(*going) == Some(key));
        if stays {
            return Some(Vec::new());
        }
        let going = moves.going.into_iter().rev().map(Splice::Remove);
        Some(going.chain(places.into_iter().map(|(place, key)| Splice::Insert(place, key))).collect())
    }
}
