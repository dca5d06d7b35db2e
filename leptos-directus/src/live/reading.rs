//! What is read for a query that was asked for, and what of it nobody asked for.

use serde_json::Value;

use super::{
    query::SMALL,
    shape::{WindowShape, reads, sort_fields},
};
use crate::protocol::Query;

/// Conditions that a list of related rows takes, too: they are about the keys then.
const OF_KEYS: [&str; 8] = ["_eq", "_neq", "_in", "_nin", "_null", "_nnull", "_empty", "_nempty"];

/// The fields of the row itself that a filter compares with what may be keys.
fn names_compared_with_keys(filter: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in filter.as_object().into_iter().flatten() {
        match value {
            Value::Array(filters) if name == "_and" || name == "_or" => {
                names.extend(filters.iter().flat_map(names_compared_with_keys));
            }
            Value::Object(conditions)
                if !name.starts_with('_')
                    && !name.contains(['.', '(', '$', ':'])
                    && conditions.keys().any(|operator| OF_KEYS.contains(&operator.as_str())) =>
            {
                names.push(name.clone());
            }
            _ => {}
        }
    }
    names
}

/// What is read for a query.
///
/// ```
/// # use leptos_directus::{live::Reading, protocol::Query};
/// let reading = Reading::of(&Query::new().fields(["title"]).sort("-views"), "id");
/// assert_eq!(reading.query, Query::new().fields(["title", "id", "views"]).sort(["-views", "id"]).all());
/// assert_eq!(reading.unasked, ["id", "views"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The query that reads the window.
    pub query: Query,
    /// Fields that are read only because the engine needs them: the key, what the rows are ordered by, and what the filter
    /// names, which may be a list of other rows. They are to be taken out of the rows again.
    pub unasked: Vec<String>,
    /// What the engine is to know of the query.
    pub shape: WindowShape,
}

impl Reading {
    /// For a query as the app wrote it, about rows with the primary key `key_field`.
    #[must_use]
    pub fn of(asked: &Query, key_field: &str) -> Self {
        let mut query = asked.for_reading(key_field);
        // Whoever may sort by a field may read it: Directus refuses the sort otherwise.
        let mut whole = query.clone();
        let ordered_by = sort_fields(&query).into_iter().flatten().map(|field| field.name);
        // A window as small as this is never read by keys.
        let is_small = query.limit.is_some_and(|limit| usize::try_from(limit).is_ok_and(|limit| limit <= SMALL));
        let may_be_lists = if is_small { Vec::new() } else { names_compared_with_keys(&query.filter.to_json()) };
        // What a name stands for instead is no help, and would be taken out of the rows with it.
        let is_hidden = may_be_lists.iter().any(|name| query.alias.contains_key(name));
        // What is shown of related rows stands in place of their keys, and says as much.
        let is_shown = |name: &str| query.fields.iter().any(|field| leads_through(field, name));
        let may_be_lists = may_be_lists.into_iter().filter(|name| !is_shown(name));
        for name in ordered_by.chain(may_be_lists) {
            if !reads(&whole, &name) {
                whole.fields.push(name);
            }
        }
        // Where it helps nothing, nothing more is read.
        let shape = WindowShape::of(&whole, key_field);
        let shape = if is_hidden { shape.always_whole() } else { shape };
        if shape.reads_keys() {
            query = whole;
        }
        let unasked = query.fields.get(asked.fields.len()..).unwrap_or_default().to_vec();
        Self { query, unasked, shape }
    }
}

/// Whether a field is one of the rows that this one relates to: `author.name`, or `item:posts.title` of `item`.
fn leads_through(field: &str, name: &str) -> bool {
    field.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ':']))
}

/// The row as the app asked for it.
#[must_use]
pub(crate) fn as_asked(row: &Value, unasked: &[String]) -> Value {
    let mut row = row.clone();
    if let Value::Object(fields) = &mut row {
        for field in unasked {
            // `remove` would move the last field to its place.
            fields.shift_remove(field);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "the cases are easier to read")]
    #[track_caller]
    fn check(asked: Query, fields: &[&str], unasked: &[&str], reads_keys: bool) {
        let reading = Reading::of(&asked, "id");
        assert_eq!(reading.query.fields, fields);
        assert_eq!(reading.unasked, unasked);
        assert_eq!(reading.shape.reads_keys(), reads_keys);
    }

    #[test]
    fn what_rows_are_ordered_by_is_read_along_and_known_as_unasked() {
        let q = Query::new;
        check(q().sort("-views"), &[], &[], true);
        check(q().fields("*").sort("-views"), &["*"], &[], true);
        check(
            q().fields("title").sort(["-views", "date"]),
            &["title", "id", "views", "date"],
            &["id", "views", "date"],
            true,
        );
        check(q().fields("id,views").sort("views"), &["id", "views"], &[], true);
    }

    #[test]
    fn what_the_filter_names_is_read_along_where_it_may_be_a_list_of_other_rows() {
        let q = || Query::new().fields("title").sort("id");
        let f = crate::protocol::Filter::field;
        check(q().filter(f("children").null()), &["title", "id", "children"], &["id", "children"], true);
        check(q().filter(f("title").eq("x")), &["title", "id"], &["id"], true);
        check(
            q().filter(f("author.name").eq("x").and(f("views").eq(1))),
            &["title", "id", "views"],
            &["id", "views"],
            true,
        );
        check(q().filter(f("body").contains("x")), &["title", "id"], &["id"], true);
        check(q().limit(20).filter(f("views").eq(1)), &["title", "id"], &["id"], true);
    }

    /// It failed: such a field was read along as a key, and taken out of the rows as a whole.
    #[test]
    fn what_the_filter_names_and_rows_show_of_others_is_not_taken_out_of_them() {
        let q = |fields: &str| Query::new().fields(fields).sort("id");
        let f = crate::protocol::Filter::field;
        check(q("author.name").filter(f("author").eq(3)), &["author.name", "id"], &["id"], true);
        check(q("id,comments.text").filter(f("comments").nnull()), &["id", "comments.text"], &[], true);
        check(q("id,item:posts.title").filter(f("item").nnull()), &["id", "item:posts.title"], &[], true);
        check(q("id,authors.x").filter(f("author").eq(3)), &["id", "authors.x", "author"], &["author"], true);
        check(q("id,title").alias("title", "headline").filter(f("title").eq("x")), &["id", "title"], &[], false);
    }

    #[test]
    fn nothing_more_is_read_where_it_helps_nothing() {
        let q = Query::new;
        check(q().fields("title"), &["title", "id"], &["id"], false);
        check(q().fields("title").sort("author.name"), &["title", "id"], &["id"], false);
        check(q().fields("title,count(children)").sort("views"), &["title", "count(children)", "id"], &["id"], false);
        check(q().fields("author.name").sort("author"), &["author.name", "id"], &["id"], false);
        check(q().aggregate("count", "*").group_by("status").sort("status"), &[], &[], false);
    }

    #[test]
    fn a_row_comes_out_as_it_was_asked_for() {
        let row = json!({ "title": "a", "id": 1, "views": 2, "status": "x", "at": "y" });
        let asked = as_asked(&row, &["id".to_owned(), "views".to_owned()]);
        assert_eq!(asked.to_string(), r#"{"title":"a","status":"x","at":"y"}"#);
    }
}
