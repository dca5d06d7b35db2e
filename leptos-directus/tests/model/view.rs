//! What a page shows of a live query, built from the engine's outputs alone, and what may never be seen on it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use leptos_directus::{
    Error, Key, LiveStatus, Page,
    connection::Millis,
    live::{self, RowChanges},
};
use serde_json::Value;

#[derive(Debug, Default)]
pub(crate) struct View {
    order: Vec<Key>,
    rows: HashMap<Key, Arc<Value>>,
    pub(crate) meta: Option<Value>,
    pub(crate) status: LiveStatus,
    pub(crate) error: Option<Error>,
    /// The newest version that was seen of a row, and of the authors in rows.
    newest: HashMap<(bool, Key), u64>,
    /// Rows that left: their version, and when.
    left: HashMap<Key, (u64, Millis)>,
}

fn version(row: &Value) -> Option<u64> {
    row.get("v").and_then(Value::as_u64)
}

impl View {
    /// With the rows of the server's HTML.
    pub(crate) fn new(key_field: &str, first: Option<&Page<Value>>) -> Self {
        let mut view = Self::default();
        for (place, row) in first.into_iter().flat_map(|page| &page.items).enumerate() {
            let key = row.get(key_field).and_then(Key::from_value).unwrap_or_else(|| Key::from(place.to_string()));
            view.order.push(key.clone());
            view.rows.insert(key.clone(), Arc::new(row.clone()));
            view.newest.extend(version(row).map(|version| ((false, key), version)));
        }
        view.meta = first.and_then(|page| page.meta.clone());
        view
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.rows.contains_key(key)
    }

    /// The rows from top to bottom.
    pub(crate) fn shown(&self) -> Vec<&Value> {
        self.order.iter().filter_map(|key| self.rows.get(key)).map(|row| &**row).collect()
    }

    /// Takes over a change.
    pub(crate) fn apply(
        &mut self,
        now: Millis,
        output: live::Output,
        deaths: &HashMap<u64, Millis>,
    ) -> Result<(), String> {
        match output {
            live::Output::Rows(changes) => self.rows(now, changes, deaths)?,
            live::Output::Meta(meta) => self.meta = meta,
            live::Output::Status(status, error) => {
                if (status, &error) == (self.status, &self.error) && status != LiveStatus::Loading {
                    return Err(format!("the status {status:?} is told again"));
                }
                (self.status, self.error) = (status, error);
            }
            live::Output::Shown(_) => {}
            live::Output::Read(..) => return Err("a read is no change".to_owned()),
        }
        Ok(())
    }

    fn rows(&mut self, now: Millis, changes: RowChanges, deaths: &HashMap<u64, Millis>) -> Result<(), String> {
        if changes.is_empty() {
            return Err("a change that changes nothing".to_owned());
        }
        // The rows are taken out of it below.
        let order =
            RowChanges { order: changes.order.clone(), splices: changes.splices.clone(), ..RowChanges::default() };
        let reorders = changes.reorders();
        for key in &changes.removed {
            let Some(row) = self.rows.remove(key) else { return Err(format!("{key} leaves and was not there")) };
            self.left.extend(version(&row).map(|version| (key.clone(), (version, now))));
        }
        for (key, row) in changes.changed {
            if self.rows.get(&key) == Some(&row) {
                return Err(format!("{key} is told to have changed and has not"));
            }
            self.not_backwards(false, &key, &row)?;
            if let Some(author) = row.get("author").filter(|author| author.is_object()) {
                let id = author.get("id").and_then(Key::from_value).ok_or("an author without a key")?;
                self.not_backwards(true, &id, author)?;
            }
            if let (Some(shown), Some((version, left))) = (version(&row), self.left.get(&key))
                && shown == *version
                && deaths.get(version).is_some_and(|died| died <= left)
            {
                return Err(format!("{key} was deleted, left the page, and comes back"));
            }
            self.rows.insert(key, row);
        }
        if reorders {
            let before = self.order.clone();
            order.apply_order(&mut self.order);
            if before == self.order {
                return Err("the order is told to have changed and has not".to_owned());
            }
        }
        let keys: HashSet<&Key> = self.order.iter().collect();
        if keys.len() != self.order.len() {
            return Err(format!("a row is shown twice: {:?}", self.order));
        }
        if let Some(key) = self.order.iter().find(|key| !self.rows.contains_key(*key)) {
            return Err(format!("{key} is shown and has no content"));
        }
        if let Some(key) = self.rows.keys().find(|key| !keys.contains(key)) {
            return Err(format!("{key} has content and is not shown"));
        }
        Ok(())
    }

    fn not_backwards(&mut self, author: bool, key: &Key, row: &Value) -> Result<(), String> {
        let Some(version) = version(row) else { return Ok(()) };
        let newest = self.newest.entry((author, key.clone())).or_insert(version);
        if version < *newest {
            return Err(format!("{key} goes back from version {newest} to {version}"));
        }
        *newest = version;
        Ok(())
    }
}
