use std::{fmt, hash::Hash};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Number, Value};

use super::Key;

/// What Directus takes as `uid`, `item`, `id` and in `ids`: a string or a number.
///
/// It keeps what it was, so that a frame that passes through is written as it came. Two of them are equal when their
/// texts are, because Directus, too, answers a subscription with `uid: 7` by frames with `uid: "7"`.
///
/// ```
/// # use leptos_directus::protocol::StringOrNumber;
/// let uid = StringOrNumber::from(7);
/// assert_eq!(uid.as_str(), "7");
/// assert_eq!(uid, StringOrNumber::from("7"));
/// assert_eq!(serde_json::to_string(&uid).unwrap(), "7");
/// ```
#[derive(Clone)]
pub struct StringOrNumber {
    text: String,
    number: bool,
}

impl StringOrNumber {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self { text, number: false }),
            Value::Number(number) => Some(Self { text: number.to_string(), number: true }),
            _ => None,
        }
    }
}

impl PartialEq for StringOrNumber {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StringOrNumber {}

impl Hash for StringOrNumber {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for StringOrNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.number { f.write_str(&self.text) } else { write!(f, "{:?}", self.text) }
    }
}

impl fmt::Display for StringOrNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl From<&str> for StringOrNumber {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), number: false }
    }
}

impl From<String> for StringOrNumber {
    fn from(text: String) -> Self {
        Self { text, number: false }
    }
}

impl From<i64> for StringOrNumber {
    fn from(number: i64) -> Self {
        Self { text: number.to_string(), number: true }
    }
}

impl From<Key> for StringOrNumber {
    fn from(key: Key) -> Self {
        Self::from(key.as_str())
    }
}

impl From<&Key> for StringOrNumber {
    fn from(key: &Key) -> Self {
        Self::from(key.as_str())
    }
}

impl Serialize for StringOrNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<Number>(&self.text) {
            Ok(number) if self.number => number.serialize(serializer),
            _ => serializer.serialize_str(&self.text),
        }
    }
}

impl<'de> Deserialize<'de> for StringOrNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("neither a string nor a number"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_as_it_came() {
        for value in [json!(7), json!("7"), json!(-7), json!(1.5), json!("07"), json!("")] {
            let read = StringOrNumber::from_value(value.clone());
            assert_eq!(serde_json::to_value(read).ok(), Some(value));
        }
        for value in [json!(null), json!(true), json!([7])] {
            assert_eq!(StringOrNumber::from_value(value.clone()), None, "{value}");
        }
    }
}
