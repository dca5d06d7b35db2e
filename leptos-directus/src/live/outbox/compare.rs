//! Whether somebody else changed what an update is about to change, as far as values tell it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Change, Intent};
use crate::protocol::Key;

/// The fields of an update of which it can be told whether somebody else changed them.
pub(super) fn compared_fields(intent: &Intent) -> impl Iterator<Item = &String> {
    let patch = match &intent.layer.change {
        Change::Update(patch) => Some(patch),
        Change::Create(_) | Change::Delete => None,
    };
    let fields = patch.into_iter().flat_map(|patch| patch.iter());
    let is_compared =
        |(field, wanted): &(&String, &Value)| is_plain(wanted) && intent.before.get(*field).is_some_and(is_plain);
    fields.filter(is_compared).map(|(field, _)| field)
}

/// A field that the update is to change and that is neither what it was before nor what it is to be, nor what one of these
/// earlier updates made of it.
pub(super) fn has_changed(intent: &Intent, ours: &[Arc<Map<String, Value>>], row: &Value) -> Option<String> {
    let Change::Update(patch) = &intent.layer.change else { return None };
    let is_changed = |field: &&String| {
        let ours = ours.iter().map(|patch| patch.get(*field));
        let mut known = ours.chain([intent.before.get(*field), patch.get(*field)]).flatten();
        row.get(*field).is_some_and(|now| is_plain(now) && !known.any(|known| are_the_same(known, now)))
    };
    compared_fields(intent).find(is_changed).cloned()
}

/// A field of a row that was to be created, in which the one that is there by its key is another: then somebody else may have taken
/// the key. Nobody takes a uuid.
pub(super) fn is_another(intent: &Intent, row: &Value) -> Option<String> {
    let Change::Create(data) = &intent.layer.change else { return None };
    if intent.layer.key.as_ref().is_none_or(is_uuid) {
        return None;
    }
    let is_other = |(field, wanted): &(&String, &Value)| {
        let is_told = !wanted.is_null() && is_plain(wanted) && **field != intent.key_field;
        is_told && row.get(*field).is_some_and(|found| is_plain(found) && !are_the_same(wanted, found))
    };
    data.as_object()?.iter().find(is_other).map(|(field, _)| field.clone())
}

fn is_uuid(key: &Key) -> bool {
    let is_of_it = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    key.as_str().len() == 36 && key.as_str().bytes().enumerate().all(is_of_it)
}

/// Related rows are shown by their fields, which are none of the row itself.
fn is_plain(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Whether two plain values are the same, as far as that can be told: numbers may be texts, decimals end in zeros, and moments
/// may lack their seconds.
fn are_the_same(one: &Value, other: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if one == other {
        return true;
    }
    if one.is_null() || other.is_null() {
        return false;
    }
    let (first, second) = (text(one), text(other));
    let are_numbers = one.is_number() || other.is_number() || first.contains('.') && second.contains('.');
    let number = |text: &str| text.parse::<f64>().ok();
    #[expect(clippy::float_cmp, reason = "they were written as decimals, and are the same or not")]
    let are_equal_numbers = || number(&first).is_some_and(|one| number(&second).is_some_and(|other| one == other));
    first == second
        || are_numbers && are_equal_numbers()
        || moment(&first).is_some_and(|one| Some(one) == moment(&second))
}

/// A text that tells a day and a time, by the second, as if it were in no zone.
fn moment(text: &str) -> Option<String> {
    let (day, time) = text.split_once(['T', ' '])?;
    let time = time.strip_suffix('Z').unwrap_or(time);
    let (time, rest) = time.split_once('.').unwrap_or((time, ""));
    let is_one = day.len() == 10
        && [5, 8].contains(&time.len())
        && day.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit() || b"-:".contains(&byte))
        && rest.bytes().all(|byte| byte.is_ascii_digit());
    let (seconds, rest) = (if time.len() == 5 { ":00" } else { "" }, rest.trim_end_matches('0'));
    is_one.then(|| format!("{day} {time}{seconds}.{rest}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_directus_writes_in_another_way_is_the_same() {
        for (ours, now, is_same) in [
            (json!("3"), json!(3), true),
            (json!(10.0), json!(10), true),
            (json!(10.5), json!("10.50"), true),
            (json!("10.5"), json!("10.50"), true),
            (json!("2024-05-01T10:00"), json!("2024-05-01T10:00:00"), true),
            (json!("2024-05-01 10:00:00"), json!("2024-05-01T10:00:00.000Z"), true),
            (json!("2024-05-01T10:00:00"), json!("2024-05-01T10:00:01"), false),
            (json!("007"), json!("7"), false),
            (json!("a T b"), json!("a  b"), false),
            (json!(true), json!("x"), false),
            (json!(null), json!("null"), false),
        ] {
            assert_eq!(are_the_same(&ours, &now), is_same, "{ours} and {now}");
            assert_eq!(are_the_same(&now, &ours), is_same, "{now} and {ours}");
        }
    }
}
