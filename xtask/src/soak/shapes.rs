//! What is watched: queries that go wrong where rows are kept by hand.

use serde_json::{Value, json};

/// A query, and how it is watched.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) collection: &'static str,
    pub(super) key: &'static str,
    pub(super) query: Value,
    /// Other collections whose changes show in it.
    pub(super) watch: &'static [&'static str],
    /// In seconds, where rows change without a word: with time, or with what the public may read.
    pub(super) revalidate: Option<u64>,
    /// Whether there are always rows, whatever is written: one that shows none has blanked.
    pub(super) never_empty: bool,
}

impl Shape {
    /// Whether time alone changes the rows.
    pub(super) fn moves_with_time(&self) -> bool {
        self.query.to_string().contains("$NOW")
    }

    /// As somebody watches it whose rights change.
    pub(super) fn under_rules(mut self, seconds: u64) -> Self {
        self.revalidate.get_or_insert(seconds);
        self.never_empty = false;
        self
    }

    /// The two fixed readings of a query: no limit means all rows, and equal rows are ordered by their key.
    pub(super) fn as_rest(&self) -> Value {
        let mut query = self.query.clone();
        if query["limit"].is_null() {
            query["limit"] = json!(-1);
        }
        if let Some(sort) = query.get_mut("sort").and_then(Value::as_array_mut) {
            let key = json!(self.key);
            if !sort.contains(&key) && !sort.contains(&json!(format!("-{}", self.key))) {
                sort.push(key);
            }
        }
        query
    }
}

/// All shapes for mirrors.
pub(super) fn mirrored() -> Vec<Shape> {
    let posts = |name, query| Shape {
        name,
        collection: "posts",
        key: "id",
        query,
        watch: &[],
        revalidate: None,
        never_empty: false,
    };
    let full = |name, query| Shape { never_empty: true, ..posts(name, query) };
    vec![
        full(
            "several fields, one of them text",
            json!({ "fields": ["id", "title", "status", "views"], "sort": ["-views", "title"], "limit": 20 }),
        ),
        full("offset in text order", json!({ "fields": ["id", "title"], "sort": ["title"], "limit": 7, "offset": 3 })),
        full(
            "the second page",
            json!({ "fields": ["id", "published_at", "status"], "sort": ["-published_at", "status"], "limit": 5, "page": 2 }),
        ),
        posts(
            "a filter that rows enter and leave",
            json!({ "fields": ["id", "title", "status", "views"], "filter": { "status": { "_eq": "published" } }, "sort": ["-views"], "limit": 10 }),
        ),
        Shape {
            watch: &["authors"],
            ..posts(
                "a related field in filter, fields and sort",
                json!({ "fields": ["id", "author.name"], "filter": { "author": { "name": { "_nnull": true } } }, "sort": ["author.name", "-id"], "limit": 25 }),
            )
        },
        posts("search", json!({ "fields": ["id", "title", "body"], "search": "ap", "sort": ["-id"], "limit": 30 })),
        full("no sort, json inside", json!({ "fields": ["id", "title", "tags"] })),
        full("a long list", json!({ "fields": ["id", "views", "status"], "sort": ["-views"] })),
        full("a long list by its key", json!({ "fields": ["id", "title", "sort"], "sort": ["-id"] })),
        posts(
            "_or, with nulls",
            json!({ "fields": ["id", "author", "views"], "filter": { "_or": [{ "author": { "_null": true } }, { "views": { "_gt": 80 } }] }, "sort": ["author", "-views"] }),
        ),
        Shape {
            revalidate: Some(2),
            ..posts(
                "time alone changes it",
                json!({ "fields": ["id", "published_at"], "filter": { "published_at": { "_lte": "$NOW" } }, "sort": ["-published_at"], "limit": 8 }),
            )
        },
        posts("counts", json!({ "aggregate": { "count": "*" }, "groupBy": ["status"] })),
        Shape {
            collection: "comments",
            // A post takes its comments with it, by a cascade of the database, which announces nothing (hazard H15).
            watch: &["posts"],
            ..posts(
                "uuid keys",
                json!({ "fields": ["id", "author_name", "text"], "sort": ["author_name"], "limit": 15 }),
            )
        },
        Shape {
            collection: "wires",
            key: "code",
            never_empty: true,
            ..posts(
                "text keys that come again",
                json!({ "fields": ["code", "text", "priority"], "sort": ["-priority", "text"], "limit": 12 }),
            )
        },
        Shape {
            collection: "masthead",
            never_empty: true,
            ..posts("singleton", json!({ "fields": ["id", "headline", "breaking"] }))
        },
    ]
}

/// The shapes for the two pages: no more than `/explore` can ask for, which watches nothing but what the query itself names.
pub(super) fn on_pages() -> [Shape; 2] {
    let mut shapes = mirrored();
    let mut take = |name| {
        let place = shapes.iter().position(|shape| shape.name == name).unwrap_or(0);
        Shape { watch: &[], ..shapes.swap_remove(place) }
    };
    [take("a related field in filter, fields and sort"), take("text keys that come again")]
}

/// What `/explore` shows of rows: a key and the text of each cell.
pub(super) fn as_table(shape: &Shape, rows: &[Value]) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |row: &Value| {
        let cells = row.as_object().into_iter().flatten().map(|(field, value)| (field.clone(), json!(text(value))));
        json!({ "key": text(&row[shape.key]), "cells": cells.collect::<serde_json::Map<_, _>>() })
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_differ_and_the_pages_have_shapes_of_their_own() {
        let names: BTreeSet<&str> = mirrored().iter().map(|shape| shape.name).collect();
        assert_eq!(names.len(), mirrored().len());
        let [related, other] = on_pages();
        assert!(related.query["fields"].to_string().contains("author.name") && related.watch.is_empty());
        assert_eq!(other.key, "code");
        assert!(other.never_empty, "no page would be found out that blanks");
    }

    #[test]
    fn one_shape_moves_with_time_and_under_rules_all_are_read_again() {
        let moving: Vec<_> = mirrored().into_iter().filter(Shape::moves_with_time).collect();
        assert_eq!(moving.len(), 1);
        assert_eq!(moving[0].clone().under_rules(9).revalidate, moving[0].revalidate);
        assert!(
            mirrored()
                .into_iter()
                .map(|shape| shape.under_rules(9))
                .all(|shape| shape.revalidate.is_some() && !shape.never_empty)
        );
    }

    #[test]
    fn a_sort_gets_the_key_and_no_limit_is_all_rows() {
        let shape = |query| Shape { query, ..mirrored().swap_remove(0) };
        let read = |query| shape(query).as_rest();
        assert_eq!(read(json!({ "sort": ["-views"] })), json!({ "sort": ["-views", "id"], "limit": -1 }));
        assert_eq!(read(json!({ "sort": ["-id"], "limit": 3 })), json!({ "sort": ["-id"], "limit": 3 }));
        assert_eq!(read(json!({})), json!({ "limit": -1 }));
    }

    #[test]
    fn a_table_has_text_as_it_is_and_everything_else_as_json() {
        let [shape, _] = on_pages();
        let rows = [json!({ "id": 7, "title": "ä", "views": null, "tags": ["a"] })];
        let cells = json!({ "id": "7", "title": "ä", "views": "null", "tags": "[\"a\"]" });
        assert_eq!(as_table(&shape, &rows), json!([{ "key": "7", "cells": cells }]));
    }
}
