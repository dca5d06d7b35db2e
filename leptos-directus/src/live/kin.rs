//! Rows that show in one another.
//!
//! A list of keys in a row (`children: [4, 7]`) may be the other end of a relation within the collection. Then a change of one
//! row changes others, of which nobody hears. JSON lists and tags look the same until one holds what is no key.

use std::collections::BTreeSet;

use serde_json::Value;

/// Fields of which it was seen that their lists hold no keys of the collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strangers(BTreeSet<String>);

impl Strangers {
    /// Looks at rows, and at the related rows in those fields; nothing if a list in one of them may hold keys of others.
    pub(super) fn learn<'a>(key_field: &str, nested: &[String], rows: impl Iterator<Item = &'a Value>) -> Option<Self> {
        let mut strangers = BTreeSet::new();
        let mut suspects = BTreeSet::new();
        for row in rows {
            visit_lists(row, nested, &mut |way, items| {
                if strangers.contains(way) {
                    return;
                }
                if holds_no_keys(row.get(key_field), items) {
                    suspects.remove(way);
                    strangers.insert(way.to_owned());
                } else if !suspects.contains(way) {
                    suspects.insert(way.to_owned());
                }
            });
        }
        suspects.is_empty().then_some(Self(strangers))
    }

    /// Whether the lists of this row hold no keys for certain.
    pub(super) fn clear(&self, key_field: &str, nested: &[String], row: &Value) -> bool {
        let mut is_clear = true;
        visit_lists(row, nested, &mut |way, items| {
            is_clear &= self.0.contains(way) || holds_no_keys(row.get(key_field), items);
        });
        is_clear
    }
}

/// Calls with each list of a row, and of the related rows in it, and with the way there: what is below other objects is JSON.
fn visit_lists<'a>(row: &'a Value, nested: &[String], found: &mut dyn FnMut(&str, &'a [Value])) {
    visit_fields(row, nested, &mut String::new(), found);
}

fn visit_fields<'a>(row: &'a Value, nested: &[String], way: &mut String, found: &mut dyn FnMut(&str, &'a [Value])) {
    for (name, value) in row.as_object().into_iter().flatten() {
        if !value.is_object() && !value.is_array() {
            continue;
        }
        let before = way.len();
        if before > 0 {
            way.push('.');
        }
        way.push_str(name);
        let holds_related = nested.iter().any(|known| known == way);
        match value {
            Value::Object(_) if holds_related => visit_fields(value, nested, way, found),
            Value::Array(items) if holds_related && items.iter().all(Value::is_object) => {
                items.iter().for_each(|item| visit_fields(item, nested, way, found));
            }
            Value::Array(items) => found(way, items),
            _ => {}
        }
        way.truncate(before);
    }
}

/// An empty list says nothing.
fn holds_no_keys(key: Option<&Value>, items: &[Value]) -> bool {
    items.iter().any(|item| match (key, item) {
        (Some(Value::Number(_)), Value::Number(item)) => item.is_f64(),
        (Some(Value::String(key)), Value::String(item)) => is_uuid(key) && !is_uuid(item),
        (None, _) => false,
        _ => true,
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(rows: &[Value], is_clear: bool) {
        assert_eq!(Strangers::learn("id", &[], rows.iter()).is_some(), is_clear);
    }

    #[test]
    fn a_list_that_may_hold_the_keys_of_other_rows_is_suspect() {
        let uuid = "6f0e8b5c-0000-4000-8000-000000000001";
        check(&[json!({ "id": 1, "children": [2, 3] })], false);
        check(&[json!({ "id": 1, "children": [] })], false);
        check(&[json!({ "id": uuid, "children": [uuid] })], false);
        check(&[json!({ "id": "de", "children": ["at"] })], false);
        check(&[json!({ "id": 1, "children": [] }), json!({ "id": 2, "children": [1] })], false);
    }

    #[test]
    fn lists_of_anything_else_are_not() {
        let uuid = "6f0e8b5c-0000-4000-8000-000000000001";
        check(&[json!({ "id": 1, "payload": { "list": [1] } })], true);
        check(&[json!({ "id": 1, "tags": ["a"] }), json!({ "id": 2, "tags": [] })], true);
        check(&[json!({ "id": 1, "tags": [] }), json!({ "id": 2, "tags": ["a"] })], true);
        check(&[json!({ "id": uuid, "comments": [1, 2], "tags": ["a"] })], true);
        check(&[json!({ "id": 1, "repeater": [{ "a": 1 }] })], true);
    }

    #[test]
    fn a_row_is_clear_by_itself_or_by_what_was_seen() {
        let strangers = Strangers::learn("id", &[], [json!({ "id": 1, "tags": ["a"] })].iter()).unwrap();
        assert!(strangers.clear("id", &[], &json!({ "id": 2, "tags": [] })));
        assert!(strangers.clear("id", &[], &json!({ "id": 2, "others": ["x"] })));
        assert!(!strangers.clear("id", &[], &json!({ "id": 2, "children": [] })));
    }

    #[test]
    fn a_related_row_may_hold_the_keys_of_other_rows() {
        let nested = ["author", "author.country", "comments"].map(str::to_owned);
        let is_clear = |row: Value| Strangers::learn("id", &nested, [row].iter()).is_some();
        assert!(!is_clear(json!({ "id": 1, "author": { "edited": [2, 3] } })));
        assert!(!is_clear(json!({ "id": 1, "author": { "country": { "posts": [2] } } })));
        assert!(!is_clear(json!({ "id": 1, "comments": [{ "id": 5, "posts": [2] }] })));
        assert!(is_clear(json!({ "id": 1, "comments": [{ "id": 5, "text": "x" }], "author": null })));
        assert!(is_clear(json!({ "id": 1, "comments": [], "author": { "tags": ["a"] } })));
        // JSON, and a point on the map.
        assert!(is_clear(json!({ "id": 1, "author": { "social": { "numbers": [1, 2] }, "place": [7.5, 50.5] } })));
    }
}
