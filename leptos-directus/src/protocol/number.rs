//! Numbers that come as text.

use std::{fmt::Display, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Number(T),
    Text(String),
}

impl<T: FromStr<Err: Display>> Written<T> {
    fn read<E: serde::de::Error>(self) -> Result<T, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => {
                text.parse().map_err(|error| E::custom(format_args!("`{text}` is no such number: {error}")))
            }
        }
    }
}

/// Reads a number, also where Directus gives it as text: with PostgreSQL it does so for counts and sums, decimals and big integers,
/// with SQLite for none of them (12.4.1).
///
/// ```
/// use leptos_directus::protocol::number;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Lane {
///     status: String,
///     #[serde(deserialize_with = "number")]
///     count: u64,
/// }
///
/// for group in [r#"{"status":"draft","count":3}"#, r#"{"status":"draft","count":"3"}"#] {
///     let lane: Lane = serde_json::from_str(group).unwrap();
///     assert_eq!((lane.status.as_str(), lane.count), ("draft", 3));
/// }
/// ```
///
/// # Errors
/// If it is neither a number of this type nor one as text; null, too: see [`optional_number`].
pub fn number<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    Written::deserialize(deserializer).map_err(|_| D::Error::custom("expected a number"))?.read()
}

/// The same where there may be none, such as the sum of no rows. A field that may be missing needs `default`, too.
///
/// ```
/// use leptos_directus::protocol::optional_number;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Views {
///     #[serde(default, deserialize_with = "optional_number")]
///     views: Option<f64>,
/// }
///
/// let views = |text| serde_json::from_str::<Views>(text).unwrap().views;
/// assert_eq!(views(r#"{"views":"7.5"}"#), Some(7.5));
/// assert_eq!((views(r#"{"views":null}"#), views("{}")), (None, None));
/// ```
///
/// # Errors
/// If it is something else.
pub fn optional_number<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let written: Option<Written<T>> =
        Option::deserialize(deserializer).map_err(|_| D::Error::custom("expected a number or null"))?;
    written.map(Written::read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        #[serde(deserialize_with = "number")]
        count: u8,
        #[serde(default, deserialize_with = "optional_number")]
        sum: Option<i64>,
    }

    #[test]
    fn what_is_no_such_number_is_told_by_name() {
        for (text, cause) in [
            (r#"{"count":"many"}"#, "`many` is no such number"),
            (r#"{"count":"256"}"#, "`256` is no such number"),
            (r#"{"count":null}"#, "expected a number"),
            (r#"{"count":1,"sum":"1.5"}"#, "`1.5` is no such number"),
            (r#"{"count":1,"sum":[]}"#, "expected a number or null"),
        ] {
            let error = serde_json::from_str::<Row>(text).unwrap_err().to_string();
            assert!(error.contains(cause), "{text}: {error}");
        }
        assert_eq!(
            serde_json::from_str::<Row>(r#"{"count":"1","sum":"-2"}"#).unwrap(),
            Row { count: 1, sum: Some(-2) }
        );
    }
}
