use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// A primary key, normalised to text.
///
/// Directus writes the key of one and the same row now as a number, now as a string: rows carry `7`, a `delete` event
/// after `DELETE /items/posts/7` carries `"7"`. As a `Key` they are equal.
///
/// ```
/// # use leptos_directus::protocol::Key;
/// use serde_json::json;
///
/// assert_eq!(Key::from_value(&json!(7)), Key::from_value(&json!("7")));
/// assert_eq!(Key::from(7), Key::from("7"));
/// assert_eq!(Key::from(7).as_str(), "7");
/// assert_eq!(Key::from_value(&json!(null)), None);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key that a JSON value stands for: a string or an integer; anything else is no key.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::from(text.as_str())),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(Self::from(number.to_string())),
            _ => None,
        }
    }

    /// The key as text, as it stands in a URL before percent-encoding.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is not as the database would write it, if it is the key of a row: a number (`007`), or a UUID (`AB…`).
    pub(crate) fn may_be_spelled_otherwise(&self) -> bool {
        let text = self.as_str();
        let is_uuid = || text.contains('-') && text.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
        if text.trim().parse::<f64>().is_ok() {
            let as_written =
                [text.parse::<i64>().map(|it| it.to_string()), text.parse::<u64>().map(|it| it.to_string())];
            !as_written.iter().flatten().any(|written| written == text)
        } else {
            text.trim() != text || (is_uuid() && text.contains(|letter: char| letter.is_ascii_uppercase()))
        }
    }

    /// Whether a filter for the one may find the row of the other: databases take `07` for `7`, and a UUID in whatever case.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let number = |key: &Self| key.as_str().trim().parse::<f64>().ok();
        self.as_str().trim().eq_ignore_ascii_case(other.as_str().trim())
            || number(self).is_some_and(|one| number(other) == Some(one))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", &*self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

macro_rules! key_from_integer {
    ($($integer:ty),*) => {
        $(impl From<$integer> for Key {
            fn from(number: $integer) -> Self {
                Self::from(number.to_string())
            }
        })*
    };
}

key_from_integer!(i32, u32, i64, u64);

impl From<Key> for Value {
    fn from(key: Key) -> Self {
        Value::from(&*key.0)
    }
}

impl From<&Key> for Value {
    fn from(key: &Key) -> Self {
        Value::from(&*key.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl de::Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a primary key: a string or an integer")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key::from(text))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Key, E> {
                Ok(Key::from(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Key, E> {
                Ok(Key::from(number))
            }
        }

        deserializer.deserialize_any(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_strings_and_integers_are_keys() {
        for (value, key) in [
            (json!("7"), Some("7")),
            (json!(7), Some("7")),
            (json!(-7), Some("-7")),
            (json!(u64::MAX), Some("18446744073709551615")),
            (json!(""), Some("")),
            (json!("4f0e8b5c"), Some("4f0e8b5c")),
            (json!(null), None),
            (json!(true), None),
            (json!(1.5), None),
            (json!([7]), None),
            (json!({"id": 7}), None),
        ] {
            assert_eq!(Key::from_value(&value).as_ref().map(Key::as_str), key, "{value}");
            assert_eq!(serde_json::from_value::<Key>(value.clone()).ok().as_ref().map(Key::as_str), key, "{value}");
        }
    }

    #[test]
    fn a_key_as_the_database_writes_it_is_not_spelled_otherwise() {
        for key in ["7", "-7", "0", "18446744073709551615", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "Seven", "AB", ""] {
            assert!(!Key::from(key).may_be_spelled_otherwise(), "{key:?}");
        }
        for key in ["07", "+7", "7.0", " 7", "7e0", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "seven "] {
            assert!(Key::from(key).may_be_spelled_otherwise(), "{key:?}");
        }
    }

    #[test]
    fn a_filter_takes_other_spellings_for_the_same_key() {
        for (one, other, may_be) in [
            ("7", "7", true),
            ("07", "7", true),
            ("7.0", "7", true),
            (" 7", "7", true),
            ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", true),
            ("70", "7", false),
            ("seven", "7", false),
            ("", "0", false),
        ] {
            assert_eq!(Key::from(one).may_be(&Key::from(other)), may_be, "{one:?} {other:?}");
        }
    }

    #[test]
    fn is_written_as_a_string() {
        assert_eq!(serde_json::to_value(Key::from(7)).ok(), Some(json!("7")));
        assert_eq!(format!("{:>3}|{:?}", Key::from(7), Key::from("a\"b")), r#"  7|Key("a\"b")"#);
    }
}
