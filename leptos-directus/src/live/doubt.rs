//! What may have changed since it was last asked for.

use std::collections::BTreeSet;

use crate::protocol::Key;

/// Nothing, the rows with some keys, or everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// These rows, as far as they are or were rows of the query. No key: nothing.
    Keys(BTreeSet<Key>),
    /// Everything.
    All,
}

impl Default for Doubt {
    fn default() -> Self {
        Self::Keys(BTreeSet::new())
    }
}

impl Doubt {
    /// Some keys more; everything if these are more than `bound` then, or if one of them can't be asked for.
    pub(super) fn add<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>, bound: usize) {
        for key in keys {
            let Self::Keys(doubted) = self else { return };
            if !may_be_asked_for(key) {
                *self = Self::All;
            } else if !doubted.contains(key) {
                if doubted.len() < bound {
                    doubted.insert(key.clone());
                } else {
                    *self = Self::All;
                }
            }
        }
    }

    /// What the other one doubts, too.
    pub(super) fn merge(&mut self, other: Self, bound: usize) {
        match other {
            Self::Keys(keys) => self.add(&keys, bound),
            Self::All => *self = Self::All,
        }
    }

    pub(super) fn is_any(&self) -> bool {
        match self {
            Self::Keys(keys) => !keys.is_empty(),
            Self::All => true,
        }
    }
}

/// Directus takes some texts in a filter for something else: see [`FieldFilter`](crate::protocol::FieldFilter).
fn may_be_asked_for(key: &Key) -> bool {
    let text = key.as_str();
    !matches!(text, "" | "true" | "false" | "null" | "NULL") && !text.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(keys: &[&str], bound: usize) -> Doubt {
        let mut doubt = Doubt::default();
        doubt.add(&keys.iter().map(|key| Key::from(*key)).collect::<Vec<_>>(), bound);
        doubt
    }

    #[test]
    fn keys_are_collected_up_to_a_bound() {
        assert!(!Doubt::default().is_any());
        assert_eq!(doubt(&["1", "2", "1"], 2), Doubt::Keys(["1", "2"].map(Key::from).into()));
        assert_eq!(doubt(&["1", "2", "3"], 2), Doubt::All);
    }

    #[test]
    fn keys_that_a_filter_would_misread_put_everything_in_doubt() {
        for key in ["", "true", "null", "NULL", "false", "$NOW", "$CURRENT_USER"] {
            assert_eq!(doubt(&["1", key], 9), Doubt::All, "{key:?}");
        }
    }
}
