//! Writes that wait, as a text that outlives the page.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    outbox::Intent,
    overlay::{Change, Layer},
    row::{RowKey, WriteId},
};
use crate::protocol::Key;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    writes: Vec<SavedWrite>,
}

#[derive(Serialize, Deserialize)]
struct SavedWrite {
    number: u64,
    collection: String,
    key_field: String,
    origin: String,
    fields: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    alias: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    deep: Map<String, Value>,
    change: SavedChange,
    /// The row's key; or the write that creates it.
    row: Option<Key>,
    created_by: Option<u64>,
    /// The key of a row to be created.
    key: Option<Key>,
    sent: bool,
    /// What the row was, as far as it was shown.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    before: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedChange {
    Create(Value),
    Update(Map<String, Value>),
    Delete,
}

const VERSION: u32 = 1;

/// The text for these writes; with whether each was sent.
pub(super) fn save<'a>(writes: impl Iterator<Item = (&'a Intent, Option<RowKey>, bool)>) -> Option<String> {
    let writes = writes.map(|(intent, row, sent)| SavedWrite {
        number: intent.layer.write.0,
        collection: intent.collection.clone(),
        key_field: intent.key_field.clone(),
        origin: intent.origin.clone(),
        fields: intent.fields.clone(),
        alias: intent.alias.clone(),
        deep: intent.deep.clone(),
        change: match &intent.layer.change {
            Change::Create(row) => SavedChange::Create((**row).clone()),
            Change::Update(patch) => SavedChange::Update((**patch).clone()),
            Change::Delete => SavedChange::Delete,
        },
        row: row.as_ref().and_then(RowKey::as_key).cloned(),
        created_by: row.as_ref().and_then(RowKey::as_created).map(|write| write.0),
        key: intent.layer.key.clone(),
        sent,
        before: intent.before.clone(),
    });
    let saved = Saved { version: VERSION, writes: writes.collect() };
    if saved.writes.is_empty() { None } else { serde_json::to_string(&saved).ok() }
}

/// The writes of such a text, under numbers of this page; none of a text that is another program's.
pub(super) fn read(text: &str, store: &str, mut next: impl FnMut() -> WriteId) -> Vec<(Intent, bool)> {
    let Ok(saved) = serde_json::from_str::<Saved>(text) else { return Vec::new() };
    if saved.version != VERSION {
        return Vec::new();
    }
    let mut numbers: HashMap<u64, WriteId> = HashMap::new();
    let intents = saved.writes.into_iter().map(|saved| {
        let write = next();
        numbers.insert(saved.number, write);
        let created = saved.created_by.and_then(|number| numbers.get(&number).copied()).map(RowKey::created_by);
        let change = match saved.change {
            SavedChange::Create(row) => Change::Create(Arc::new(row)),
            SavedChange::Update(patch) => Change::Update(Arc::new(patch)),
            SavedChange::Delete => Change::Delete,
        };
        let row = match change {
            Change::Create(_) => Some(RowKey::created_by(write)),
            // Of a row that no write here creates, and that has no key: of none that there is.
            _ if saved.row.is_none() && created.is_none() && saved.created_by.is_some() => {
                Some(RowKey::created_by(next()))
            }
            _ => saved.row.map(RowKey::from).or(created),
        };
        let intent = Intent {
            collection: saved.collection,
            key_field: saved.key_field,
            origin: saved.origin,
            fields: saved.fields,
            alias: saved.alias,
            deep: saved.deep,
            store: Some(store.to_owned()),
            layer: Layer { write, row, key: saved.key, change },
            before: saved.before,
        };
        (intent, saved.sent)
    });
    intents.collect()
}
