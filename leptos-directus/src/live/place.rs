//! Where a row stands, as far as that can be known here for certain.
//!
//! The order is the database's. It is the same everywhere for numbers, for `true` and `false`, for dates and times that are
//! written alike and for uuids; it is not for text, and null comes first in one database and last in another. So a window
//! is looked at first: only if every two rows that follow one another in it stand as they would by our own comparison is a
//! row placed by it, and null goes where it is seen to go.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::shape::SortField;

/// Integers above this are not exact in JavaScript, and Directus is written in it.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What comparing two values gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// This is how every database has it.
    Certain(Ordering),
    /// They look alike, and the database may know more of them than it shows: parts of a second.
    Alike,
    /// One of them is null: the first (`Less`) or the second.
    Null(Ordering),
    /// Nobody here knows.
    Unsure,
}

/// Texts whose order is that of their bytes in every collation, because they have the same signs at the same places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    Uuid,
    /// With a time of the day: an instant is told apart more finely than it is shown.
    Time(&'static str),
}

fn kind(text: &str) -> Option<Kind> {
    const TIMES: [&str; 3] = ["0000-00-00T00:00:00.000Z", "0000-00-00T00:00:00", "00:00:00"];
    let follows = |pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
                _ => byte == wanted,
            })
    };
    if follows("0000-00-00") {
        Some(Kind::Date)
    } else if is_uuid(text, &follows) {
        Some(Kind::Uuid)
    } else {
        TIMES.into_iter().find(|pattern| follows(pattern)).map(Kind::Time)
    }
}

fn is_uuid(text: &str, follows: &dyn Fn(&str) -> bool) -> bool {
    text.len() == 36 && follows("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

fn exact(number: &Number) -> Option<f64> {
    number.as_f64().filter(|float| float.abs() <= EXACT)
}

fn verdict(one: &Value, other: &Value) -> Verdict {
    let certain = |ordering: Option<Ordering>| ordering.map_or(Verdict::Unsure, Verdict::Certain);
    match (one, other) {
        (Value::Null, Value::Null) => Verdict::Certain(Ordering::Equal),
        (Value::Null, _) => Verdict::Null(Ordering::Less),
        (_, Value::Null) => Verdict::Null(Ordering::Greater),
        (Value::Bool(one), Value::Bool(other)) => Verdict::Certain(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => {
            certain(exact(one).zip(exact(other)).and_then(|(one, other)| one.partial_cmp(&other)))
        }
        (Value::String(one), Value::String(other)) => match (kind(one), kind(other)) {
            (Some(kind), Some(same)) if kind == same => match (one.cmp(other), kind) {
                (Ordering::Equal, Kind::Time(_)) => Verdict::Alike,
                (ordering, _) => Verdict::Certain(ordering),
            },
            _ => Verdict::Unsure,
        },
        _ => Verdict::Unsure,
    }
}

/// What a value of a field tells, if it is what it was, about the row's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sameness {
    /// That it is the same.
    Same,
    /// That it is the same among rows that differ in more than a moment.
    SameMoment,
    /// That it is the same if null is null: a field that a visitor may read in some rows only is null in the others.
    SameNull,
    /// Nothing.
    Unknown,
}

/// What it tells of a row's place that its value is still this one.
pub(super) fn sameness(value: &Value) -> Sameness {
    match value {
        Value::Null => Sameness::SameNull,
        Value::Bool(_) => Sameness::Same,
        Value::Number(number) => exact(number).map_or(Sameness::Unknown, |_| Sameness::Same),
        Value::String(text) => match kind(text) {
            Some(Kind::Time(_)) => Sameness::SameMoment,
            // What Directus conceals looks like this, whatever it is.
            None if !text.is_empty() && text.bytes().all(|byte| byte == b'*') => Sameness::Unknown,
            _ => Sameness::Same,
        },
        // JSON, lists, relations: what they are ordered by is not what is seen.
        Value::Array(_) | Value::Object(_) => Sameness::Unknown,
    }
}

/// Whether null comes before everything else where the order ascends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    Low,
    High,
}

/// The order of a window, as learnt from its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranking {
    fields: Vec<SortField>,
    nulls: Option<Nulls>,
}

impl Ranking {
    /// Looks at rows in their order; nothing if one pair of them does not stand as it would by our comparison.
    pub(super) fn learn<'a>(fields: &[SortField], rows: impl Iterator<Item = &'a Value>) -> Option<Self> {
        let mut ranking = Self { fields: fields.to_vec(), nulls: None };
        let mut before: Option<&Value> = None;
        for row in rows {
            if let Some(before) = before
                && !ranking.agrees(before, row)
            {
                return None;
            }
            before = Some(row);
        }
        Some(ranking)
    }

    /// Whether the two rows may follow one another; notes where null goes.
    fn agrees(&mut self, one: &Value, other: &Value) -> bool {
        for SortField { name, descending } in &self.fields {
            let (Some(one), Some(other)) = (one.get(name), other.get(name)) else { return false };
            match verdict(one, other) {
                Verdict::Certain(Ordering::Equal) => {}
                Verdict::Certain(ordering) => return (ordering == Ordering::Less) != *descending,
                Verdict::Alike => return true,
                Verdict::Null(which) => {
                    let seen = if (which == Ordering::Less) == *descending { Nulls::High } else { Nulls::Low };
                    return *self.nulls.get_or_insert(seen) == seen;
                }
                Verdict::Unsure => return false,
            }
        }
        false
    }

    /// Which of two rows comes first; nothing where that is not certain.
    pub(super) fn compare(&self, one: &Value, other: &Value) -> Option<Ordering> {
        for SortField { name, descending } in &self.fields {
            let ordering = match verdict(one.get(name)?, other.get(name)?) {
                Verdict::Certain(Ordering::Equal) => continue,
                Verdict::Certain(ordering) => ordering,
                Verdict::Null(which) => match self.nulls? {
                    Nulls::Low => which,
                    Nulls::High => which.reverse(),
                },
                Verdict::Alike | Verdict::Unsure => return None,
            };
            return Some(if *descending { ordering.reverse() } else { ordering });
        }
        None
    }

    /// How many of the window's `len` rows come before this one; nothing where that is not certain.
    ///
    /// By halving: a row whose place is uncertain is compared with one of those that make it so, because these stand
    /// together and the search ends between two rows that both were compared.
    pub(super) fn place<'a>(&self, len: usize, at: impl Fn(usize) -> Option<&'a Value>, row: &Value) -> Option<usize> {
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low.midpoint(high);
            match self.compare(at(middle)?, row)? {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        Some(low)
    }
}

#[cfg(test)]
mod tests;
