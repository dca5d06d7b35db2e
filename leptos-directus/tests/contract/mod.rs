//! The contract: what a list shows after each step of twenty-three short stories. The same stories are told to the engine over a
//! simulated Directus (`model/contract.rs`), to `mirror` over the real one (`real_mirror.rs`), and to the hooks in Chromium
//! (`end2end/specs/contract.spec.ts`).

use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Story {
    pub(crate) promise: String,
    pub(crate) query: Value,
    /// So many rows are there before, besides `rows`: with the keys from 1 on, and of each key ten times as much as `rank` and
    /// `row 1` as `title`.
    #[serde(default)]
    many: u64,
    /// What is there before; a field that is not named is null.
    rows: Vec<Map<String, Value>>,
    pub(crate) steps: Vec<Step>,
}

impl Story {
    /// Whether its list is so long that rows are read by their keys.
    pub(crate) fn is_long(&self) -> bool {
        self.many > 0
    }

    /// All that is there before.
    pub(crate) fn rows(&self) -> Vec<Map<String, Value>> {
        let many = (1..=self.many).map(|key| {
            let row = json!({ "id": key, "title": format!("row {key}"), "rank": key * 10 });
            row.as_object().cloned().unwrap_or_default()
        });
        many.chain(self.rows.clone()).collect()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The link is lost before, and back after.
    #[serde(default)]
    pub(crate) without_a_link: bool,
    /// One after the other, without a pause.
    pub(crate) writes: Vec<Write>,
    /// The keys of the list, from top to bottom; groups have none.
    shows: Option<Vec<Keys>>,
    /// The same where PostgreSQL has another order: nulls are the highest there, and the lowest in SQLite.
    shows_on_postgresql: Option<Vec<Keys>>,
    /// Rows as they are, with all their fields: some of those whose keys are told, or else all, from top to bottom.
    shows_rows: Option<Vec<Value>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Keys {
    One(u64),
    /// From the first to the last, up or down.
    Span([u64; 2]),
}

impl Keys {
    fn all(self) -> Vec<u64> {
        match self {
            Self::One(key) => vec![key],
            Self::Span([first, last]) if first <= last => (first..=last).collect(),
            Self::Span([first, last]) => (last..=first).rev().collect(),
        }
    }
}

impl Step {
    /// Whether a list that shows these rows shows what one of the databases gives.
    pub(crate) fn is_kept_by(&self, shown: &[&Value]) -> bool {
        let shown: Vec<Value> = shown.iter().map(|row| counted(row)).collect();
        let keys = keys(&shown);
        let is = |told: &Vec<Keys>| told.iter().flat_map(|keys| keys.all()).eq(keys.iter().copied());
        match (&self.shows, &self.shows_rows) {
            (None, None) => false,
            (None, Some(rows)) => shown == *rows,
            (Some(told), rows) => {
                (is(told) || self.shows_on_postgresql.as_ref().is_some_and(is))
                    && rows.iter().flatten().all(|row| shown.contains(row))
            }
        }
    }
}

/// A row with its count as a number: PostgreSQL gives a text.
fn counted(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(count) = row["count"].as_str().and_then(|count| count.parse::<u64>().ok()) {
        row["count"] = count.into();
    }
    row
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Write {
    Create { create: Vec<Map<String, Value>> },
    Update { update: Vec<u64>, set: Map<String, Value> },
    Delete { delete: Vec<u64> },
}

pub(crate) fn stories() -> Vec<Story> {
    serde_json::from_str(include_str!("stories.json")).expect("the stories are as described here")
}

/// The keys of rows.
pub(crate) fn keys<'a>(rows: impl IntoIterator<Item = &'a Value>) -> Vec<u64> {
    rows.into_iter().filter_map(|row| row["id"].as_u64()).collect()
}
