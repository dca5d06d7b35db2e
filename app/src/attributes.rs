//! Attributes of rows that hydration leaves alone.
//!
//! Leptos sets `data-…` attributes again when it hydrates an element, with the value that is there already. For rows we promise
//! that hydration touches nothing: a key with a name of its own is known to be in the server's HTML.

use leptos::attr::custom::{CustomAttr, CustomAttributeKey, custom_attribute};

/// `data-key`: a row's key.
#[derive(Clone, Copy, Debug)]
pub struct DataKey;

impl CustomAttributeKey for DataKey {
    const KEY: &'static str = "data-key";
}

impl AsRef<str> for DataKey {
    fn as_ref(&self) -> &str {
        Self::KEY
    }
}

/// `data-field`: the field that a cell shows.
#[derive(Clone, Copy, Debug)]
pub struct DataField;

impl CustomAttributeKey for DataField {
    const KEY: &'static str = "data-field";
}

impl AsRef<str> for DataField {
    fn as_ref(&self) -> &str {
        Self::KEY
    }
}

/// The attribute of a row, for `{..data_key(key)}` in a view.
pub fn data_key(key: &impl ToString) -> CustomAttr<DataKey, String> {
    custom_attribute(DataKey, key.to_string())
}

/// The attribute of a cell, for `{..data_field(name)}` in a view.
pub fn data_field(name: impl Into<String>) -> CustomAttr<DataField, String> {
    custom_attribute(DataField, name.into())
}
