//! The identity of a row on the page.

use std::fmt;

use crate::protocol::Key;

/// Number of a write, given by whoever makes it; later writes have greater ones.
///
/// ```
/// use leptos_directus::{RowKey, live::WriteId};
///
/// let (first, second) = (WriteId(1), WriteId(2));
/// assert!(first < second);
/// assert_ne!(RowKey::created_by(first), RowKey::created_by(second));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// The identity of a row on the page: what a keyed `<For>` goes by.
///
/// A row that came from Directus goes by its key there. One that was created on this page goes by a name of its own, before
/// and after Directus gave it a key, so that its DOM node is not replaced: `key_of` of the hook gives the key.
///
/// ```
/// use leptos_directus::RowKey;
///
/// assert_eq!(RowKey::from(7), RowKey::from("7"));
/// assert_eq!(RowKey::from(7).to_string(), "7");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Identity);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Identity {
    Key(Key),
    Created(WriteId),
}

impl RowKey {
    /// The row that this write creates.
    #[must_use]
    pub fn created_by(write: WriteId) -> Self {
        Self(Identity::Created(write))
    }

    /// The key in Directus, where the identity is the key.
    pub(crate) fn as_key(&self) -> Option<&Key> {
        match &self.0 {
            Identity::Key(key) => Some(key),
            Identity::Created(_) => None,
        }
    }

    /// The write that made the row, where it was made here.
    pub(crate) fn as_created(&self) -> Option<WriteId> {
        match self.0 {
            Identity::Key(_) => None,
            Identity::Created(write) => Some(write),
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Identity::Key(key) => fmt::Display::fmt(key, f),
            Identity::Created(write) => write!(f, "new-{}", write.0),
        }
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Identity::Key(key) => write!(f, "RowKey({:?})", key.as_str()),
            Identity::Created(write) => write!(f, "RowKey(new-{})", write.0),
        }
    }
}

impl<K: Into<Key>> From<K> for RowKey {
    fn from(key: K) -> Self {
        Self(Identity::Key(key.into()))
    }
}
