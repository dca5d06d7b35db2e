//! Whether somebody else changed what an update is about to change, as far as values tell it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Change, Intent};

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

/// A field that a create set and that the row under its key has otherwise: so it is another row, or was changed since. `None`
/// where the key is a UUID, which nobody else draws.
pub(super) fn is_another(intent: &Intent, row: &Value) -> Option<String> {
    let Change::Create(data) = &intent.layer.change else { return None };
    if intent.layer.key.as_ref().is_some_and(|key| is_uuid(key.as_str())) {
        return None;
    }
    let is_other = |(field, wanted): &(&String, &Value)| {
        **field != intent.key_field && row.get(*field).is_some_and(|found| !may_be_kept_as(wanted, found))
    };
    data.as_object()?.iter().find(is_other).map(|(field, _)| field.clone())
}

fn is_uuid(key: &str) -> bool {
    key.len() == 36
        && key.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether Directus may have made this of what was written: it fills in what is null, trims and rounds, keeps moments in its own zone, and shows no
/// secrets.
fn may_be_kept_as(written: &Value, found: &Value) -> bool {
    if written.is_null() || !is_plain(written) || !is_plain(found) || are_the_same(written, found) {
        return true;
    }
    let truth = |value: &Value| match plain(value).as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    if written.is_boolean() || found.is_boolean() {
        return truth(written) == truth(found);
    }
    let (written, found) = (plain(written), plain(found));
    let is_secret = found.starts_with("$argon2") || !found.is_empty() && found.bytes().all(|byte| byte == b'*');
    is_secret || written.trim() == found.trim() || is_rounded(&written, &found) || are_times(&written, &found)
}

/// Whether what is found is the number that was written, with fewer decimals.
fn is_rounded(written: &str, found: &str) -> bool {
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let (before, after) = (decimals(written), decimals(found));
    let (Ok(one), Ok(other), Ok(places)) = (written.parse::<f64>(), found.parse::<f64>(), i32::try_from(after)) else {
        return false;
    };
    after < before && (one - other).abs() <= 0.501 * 10_f64.powi(-places)
}

/// Whether these are days, times or both, which may be one moment: in other zones, or as far as the field keeps it.
fn are_times(written: &str, found: &str) -> bool {
    let is_time = |text: &str| text.len() >= 5 && is_shaped(&text.as_bytes()[..5], b"00:00");
    let is_kept = written.starts_with(found) || found.starts_with(written);
    match (day(written), day(found)) {
        // No moment has days further apart than the zones of +14 and -12 hours.
        (Some(one), Some(other)) if has_zone(written) || has_zone(found) => (one - other).abs() <= 2,
        (Some(_), Some(_)) => is_kept,
        _ => is_kept && is_time(written) && is_time(found),
    }
}

/// The days from some day on to the one that the text begins with.
fn day(text: &str) -> Option<i64> {
    let text = text.get(..10).filter(|text| is_shaped(text.as_bytes(), b"0000-00-00"))?;
    let part = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // Years that begin in March, so that the day that may be missing is the last one.
    let year = year - i64::from(month <= 2);
    Some(365 * year + year / 4 - year / 100 + year / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day)
}

/// Whether a text that begins with a day tells its zone.
fn has_zone(text: &str) -> bool {
    text.bytes().skip(10).any(|byte| b"Z+-".contains(&byte))
}

/// Whether there is a digit wherever the shape has one, and else what the shape has.
fn is_shaped(text: &[u8], shape: &[u8]) -> bool {
    text.iter().zip(shape).all(|(byte, shape)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
}

/// Related rows are shown by their fields, which are none of the row itself.
fn is_plain(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Whether two plain values are the same, as far as that can be told: numbers may be texts, decimals end in zeros, and moments
/// may lack their seconds.
fn are_the_same(one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    if one.is_null() || other.is_null() {
        return false;
    }
    let (first, second) = (plain(one), plain(other));
    let are_numbers = one.is_number() || other.is_number() || first.contains('.') && second.contains('.');
    let number = |text: &str| text.parse::<f64>().ok();
    #[expect(clippy::float_cmp, reason = "they were written as decimals, and are the same or not")]
    let are_equal_numbers = || number(&first).is_some_and(|one| number(&second).is_some_and(|other| one == other));
    first == second
        || are_numbers && are_equal_numbers()
        || moment(&first).is_some_and(|one| Some(one) == moment(&second))
}

/// A plain value as it is read.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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

    #[test]
    fn what_directus_may_have_made_of_what_was_written_is_no_other_row() {
        for (written, found, may_be) in [
            (json!(" Ada "), json!("Ada"), true),
            (json!("Ada"), json!("Bob"), false),
            (json!(null), json!("Bob"), true),
            (json!(7), json!("7"), true),
            (json!(7), json!(8), false),
            (json!(10.555), json!("10.56"), true),
            (json!(10.5), json!("10.60"), false),
            (json!(0.3), json!(0.2), false),
            (json!(1), json!(true), true),
            (json!(true), json!(0), false),
            (json!("2024-05-01T10:00:00+02:00"), json!("2024-05-01T08:00:00"), true),
            (json!("2024-05-01T10:00:00Z"), json!("1999-01-01T00:00:00"), false),
            (json!("2024-05-01T10:00:00Z"), json!("2024-05-04T10:00:00Z"), false),
            (json!("2024-02-29T23:00:00-10:00"), json!("2024-03-01T09:00:00Z"), true),
            (json!("2023-12-31T23:00:00-02:00"), json!("2024-01-01"), true),
            (json!("2024-05-01T10:00"), json!("2024-05-01"), true),
            (json!("2024-05-01"), json!("2024-05-02"), false),
            (json!("10:00"), json!("10:00:00"), true),
            (json!("10:00"), json!("11:00:00"), false),
            (json!("secret"), json!("**********"), true),
            (json!("a,b"), json!(["a", "b"]), true),
            (json!(2), json!({ "id": 3 }), true),
            (json!("äöüäöü"), json!("2024-05-01"), false),
        ] {
            assert_eq!(may_be_kept_as(&written, &found), may_be, "{written} and {found}");
        }
    }

    #[test]
    fn a_uuid_is_one_by_its_look() {
        assert!(is_uuid("a0eebc99-9c0b-4ef8-BB6D-6bb9bd380a11"));
        for key in ["", "7", "own 7", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc99x9c0b-4ef8-bb6d-6bb9bd380a11"] {
            assert!(!is_uuid(key), "{key}");
        }
    }
}
