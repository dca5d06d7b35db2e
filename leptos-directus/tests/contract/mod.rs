//! The contract: what a list shows after each step of sixteen short stories. The same stories are told to the engine over a
//! simulated Directus (`model/contract.rs`), to `mirror` over the real one (`real_mirror.rs`), and to the hooks in Chromium
//! (`end2end/specs/contract.spec.ts`).

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Story {
    pub(crate) promise: String,
    pub(crate) query: Value,
    /// What is there before; a field that is not named is null.
    pub(crate) rows: Vec<Map<String, Value>>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The link is lost before, and back after.
    #[serde(default)]
    pub(crate) without_a_link: bool,
    /// One after the other, without a pause.
    pub(crate) writes: Vec<Write>,
    /// The keys of the list, from top to bottom.
    pub(crate) shows: Vec<u64>,
    /// The same where PostgreSQL has another order: nulls are the highest there, and the lowest in SQLite.
    shows_on_postgresql: Option<Vec<u64>>,
}

impl Step {
    /// Whether a list that shows these keys shows what one of the databases gives.
    pub(crate) fn is_kept_by(&self, shown: &[u64]) -> bool {
        shown == self.shows || self.shows_on_postgresql.as_deref() == Some(shown)
    }
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
