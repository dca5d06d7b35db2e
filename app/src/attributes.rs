//! Attributes that hydration leaves alone.
//!
//! Leptos sets `data-…` attributes again when it hydrates an element, with the value that is there already. We promise that
//! hydration touches nothing: a key with a name of its own is known to be in the server's HTML.

use leptos::attr::{
    AttributeValue,
    custom::{CustomAttr, CustomAttributeKey, custom_attribute},
};

macro_rules! keys {
    ($($key:ident = $name:literal, $meaning:literal;)*) => {$(
        #[doc = concat!("`", $name, "`: ", $meaning)]
        #[derive(Clone, Copy, Debug)]
        pub struct $key;

        impl CustomAttributeKey for $key {
            const KEY: &'static str = $name;
        }

        impl AsRef<str> for $key {
            fn as_ref(&self) -> &str {
                Self::KEY
            }
        }
    )*};
}

keys! {
    DataKey = "data-key", "a row's key.";
    DataField = "data-field", "the field that a cell shows.";
    DataStage = "data-stage", "the lane of a post.";
    DataOver = "data-over", "whether a card is held over this lane.";
    DataMoving = "data-moving", "whether a card is on its way to another lane.";
}

/// The attribute of a row, for `{..data_key(key)}` in a view.
pub fn data_key(key: &impl ToString) -> CustomAttr<DataKey, String> {
    custom_attribute(DataKey, key.to_string())
}

/// The attribute of a cell, for `{..data_field(name)}` in a view.
pub fn data_field(name: impl Into<String>) -> CustomAttr<DataField, String> {
    custom_attribute(DataField, name.into())
}

/// The attribute of a lane, and of a post that says where it is.
pub fn data_stage<V: AttributeValue>(stage: V) -> CustomAttr<DataStage, V> {
    custom_attribute(DataStage, stage)
}

/// The attribute of a lane that takes cards.
pub fn data_over<V: AttributeValue>(is_over: V) -> CustomAttr<DataOver, V> {
    custom_attribute(DataOver, is_over)
}

/// The attribute of a card that moves.
pub fn data_moving<V: AttributeValue>(is_moving: V) -> CustomAttr<DataMoving, V> {
    custom_attribute(DataMoving, is_moving)
}
