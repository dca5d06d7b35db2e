//! The rows that a live query shows, and the difference that a newer read makes.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use crate::protocol::Key;

/// The rows of a query, in REST's order, each under its key.
///
/// # Example
/// ```
/// use leptos_directus::{Key, live::{RowChanges, Window}};
/// use serde_json::json;
///
/// let mut window = Window::default();
/// window.replace("id", vec![json!({ "id": 1, "title": "one" }), json!({ "id": 2, "title": "two" })]);
/// // A newer read: the first row has left, the second has changed, a third has come.
/// let changes: RowChanges =
///     window.replace("id", vec![json!({ "id": 2, "title": "TWO" }), json!({ "id": 3, "title": "three" })]);
/// assert!(changes.reorders() && !changes.is_empty());
/// assert_eq!(changes.removed, [Key::from(1)]);
/// assert_eq!(changes.changed.len(), 2);
/// assert_eq!((window.len(), window.keys()), (2, &[Key::from(2), Key::from(3)][..]));
/// assert_eq!(window.get(&2.into()).unwrap()["title"], "TWO");
/// assert!(window.rows().all(|(key, row)| Key::from_value(&row["id"]).as_ref() == Some(key)));
/// assert!(!window.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Window {
    order: Vec<Key>,
    rows: HashMap<Key, Arc<Value>>,
}

/// One step from an order of keys to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Splice {
    /// The key at this place goes.
    Remove(usize),
    /// This key comes in at this place, before the one that is there.
    Insert(usize, Key),
}

/// What a newer read changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowChanges {
    /// All keys in order, if rows entered, left or moved and the whole window was read.
    pub order: Option<Vec<Key>>,
    /// How the order changed, step by step, if rows entered, left or moved and only some were read. Never beside `order`.
    pub splices: Vec<Splice>,
    /// Rows that are new or not what they were.
    pub changed: Vec<(Key, Arc<Value>)>,
    /// Keys of the rows that left.
    pub removed: Vec<Key>,
}

impl RowChanges {
    /// Whether nothing changed at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_none() && self.splices.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Whether rows entered, left or moved.
    #[must_use]
    pub fn reorders(&self) -> bool {
        self.order.is_some() || !self.splices.is_empty()
    }

    /// Brings somebody's list of the keys, which was right before, to what it is now.
    ///
    /// ```
    /// # use leptos_directus::live::{RowChanges, Splice};
    /// # use leptos_directus::protocol::Key;
    /// let mut changes = RowChanges::default();
    /// changes.splices = vec![Splice::Remove(2), Splice::Insert(0, "c".into())];
    /// let mut keys: Vec<Key> = vec!["a".into(), "b".into(), "c".into()];
    /// changes.apply_order(&mut keys);
    /// assert_eq!(keys, ["c", "a", "b"].map(Key::from));
    /// ```
    pub fn apply_order<K: From<Key>>(&self, keys: &mut Vec<K>) {
        if let Some(order) = &self.order {
            *keys = order.iter().cloned().map(K::from).collect();
        }
        for splice in &self.splices {
            match splice {
                Splice::Remove(at) if *at < keys.len() => drop(keys.remove(*at)),
                Splice::Insert(at, key) => keys.insert((*at).min(keys.len()), K::from(key.clone())),
                Splice::Remove(_) => {}
            }
        }
    }
}

impl Window {
    /// Takes over what a read gave and says what that changes.
    ///
    /// A key that comes twice counts once (a row is never shown twice). Rows without the key field, as aggregates are, go by
    /// their place.
    pub fn replace(&mut self, key_field: &str, rows: Vec<Value>) -> RowChanges {
        let mut changes = RowChanges::default();
        let mut order = Vec::with_capacity(rows.len());
        let mut kept = HashMap::with_capacity(rows.len());
        for (place, row) in rows.into_iter().enumerate() {
            let key = row.get(key_field).and_then(Key::from_value).unwrap_or_else(|| Key::from(place.to_string()));
            if kept.contains_key(&key) {
                continue;
            }
            let row = match self.rows.remove(&key) {
                Some(known) if *known == row => known,
                _ => {
                    let row = Arc::new(row);
                    changes.changed.push((key.clone(), Arc::clone(&row)));
                    row
                }
            };
            kept.insert(key.clone(), row);
            order.push(key);
        }
        changes.removed = self.order.iter().filter(|key| self.rows.contains_key(*key)).cloned().collect();
        if order != self.order {
            changes.order = Some(order.clone());
        }
        self.order = order;
        self.rows = kept;
        changes
    }

    /// Takes over changes that were made for these rows, at a cost that does not grow with their number; only a row that
    /// enters or leaves pushes the keys behind it.
    pub(super) fn apply(&mut self, changes: &RowChanges) {
        changes.apply_order(&mut self.order);
        for key in &changes.removed {
            self.rows.remove(key);
        }
        for (key, row) in &changes.changed {
            self.rows.insert(key.clone(), Arc::clone(row));
        }
    }

    /// The row with this key, if there is one.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.rows.get(key)
    }

    /// The keys in order.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.order
    }

    pub(super) fn row_at(&self, place: usize) -> Option<&Arc<Value>> {
        self.rows.get(self.order.get(place)?)
    }

    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.order.iter().filter_map(|key| self.rows.get_key_value(key))
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(keys: &[&str]) -> Vec<Key> {
        keys.iter().map(|key| Key::from(*key)).collect()
    }

    #[track_caller]
    fn check(before: Value, after: Value, order: Option<&[&str]>, changed: &[&str], removed: &[&str]) {
        let list = |value: Value| value.as_array().unwrap().clone();
        let mut window = Window::default();
        window.replace("id", list(before));
        let changes = window.replace("id", list(after.clone()));
        assert_eq!(changes.order, order.map(keys));
        assert_eq!(changes.changed.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), keys(changed));
        assert_eq!(changes.removed, keys(removed));
        let shown: Vec<_> = window.rows().map(|(_, row)| (**row).clone()).collect();
        assert_eq!(shown, list(after));
    }

    #[test]
    fn the_same_rows_change_nothing() {
        check(json!([{"id": 1, "a": 1}, {"id": 2}]), json!([{"id": 1, "a": 1}, {"id": 2}]), None, &[], &[]);
    }

    #[test]
    fn one_changed_row_is_one_change_and_no_new_order() {
        check(json!([{"id": 1, "a": 1}, {"id": 2}]), json!([{"id": 1, "a": 2}, {"id": 2}]), None, &["1"], &[]);
    }

    #[test]
    fn a_row_that_left_and_one_that_entered() {
        check(json!([{"id": 1}, {"id": 2}]), json!([{"id": 2}, {"id": 3}]), Some(&["2", "3"]), &["3"], &["1"]);
    }

    #[test]
    fn a_row_that_only_moved_is_not_a_changed_row() {
        check(json!([{"id": 1}, {"id": 2}]), json!([{"id": 2}, {"id": 1}]), Some(&["2", "1"]), &[], &[]);
    }

    #[test]
    fn text_keys_and_number_keys_are_told_by_their_text() {
        check(json!([{"id": "7"}]), json!([{"id": 7}]), None, &["7"], &[]);
    }

    #[test]
    fn rows_without_a_key_go_by_their_place() {
        check(json!([{"count": 1}]), json!([{"count": 2}]), None, &["0"], &[]);
    }

    #[test]
    fn a_key_that_comes_twice_is_shown_once() {
        let mut window = Window::default();
        let changes = window.replace("id", vec![json!({"id": 1}), json!({"id": 1}), json!({"id": 2})]);
        assert_eq!(changes.order, Some(keys(&["1", "2"])));
        assert_eq!(window.len(), 2);
    }
}
