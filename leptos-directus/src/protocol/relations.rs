//! What Directus says of relations, and which collections a query's paths lead to.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    filter::segments,
    query::{Query, function_and_argument},
};

/// More collections than this are not found for one query: each costs three subscriptions.
const MOST: usize = 24;

/// The relations of a Directus, as its `GET /relations` tells them to whoever asks.
///
/// ```
/// # use leptos_directus::protocol::{Query, Relations};
/// # use serde_json::json;
/// let relations = Relations::from_rows(&json!([
///     { "collection": "posts", "field": "author", "related_collection": "authors", "meta": null },
///     { "collection": "comments", "field": "post", "related_collection": "posts", "meta": { "one_field": "comments" } },
/// ]));
/// let query = Query::new().fields(["title", "author.name", "count(comments)"]);
/// assert!(relations.lead_from("posts", query.paths()).to.into_iter().eq(["authors", "comments"]));
/// // The keys of related rows are a part of the answer, too.
/// assert!(relations.lead_from("posts", Query::new().paths()).to.into_iter().eq(["comments"]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations(Vec<Relation>);

/// Rows of `collection` point to others by `field`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Relation {
    collection: String,
    field: String,
    /// To which collections: one, or for m2a several.
    related: Vec<String>,
    /// Whether it is an m2a: visitors are told of those collections only that they may read.
    to_any: bool,
    /// What the rows that are pointed to call the rows that point to them (o2m, m2m, m2a), if they do.
    back: Option<String>,
}

impl Relation {
    fn read(row: &Value) -> Option<Self> {
        let meta = &row["meta"];
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let related = match text(&row["related_collection"]) {
            Some(related) => vec![related],
            None => meta["one_allowed_collections"].as_array().into_iter().flatten().filter_map(text).collect(),
        };
        let (back, to_any) = (text(&meta["one_field"]), row["related_collection"].is_null());
        Some(Self { collection: text(&row["collection"])?, field: text(&row["field"])?, related, to_any, back })
    }

    /// Whether the rows of `collection` show by this relation who points to them.
    fn shows_in(&self, collection: &str) -> bool {
        self.back.is_some() && self.related.iter().any(|related| related == collection)
    }
}

/// Where a query's relations lead.
///
/// ```
/// # use leptos_directus::protocol::{Leads, Relations};
/// # use serde_json::json;
/// let relations = Relations::from_rows(&json!([
///     { "collection": "posts", "field": "author", "related_collection": "authors" },
/// ]));
/// let authors = Leads { to: ["authors".to_owned()].into(), is_all: true };
/// assert_eq!(relations.lead_from("posts", ["title", "author.name"]), authors);
/// // Nobody said what an editor is.
/// assert_eq!(relations.lead_from("posts", ["author.name", "editor.name"]), Leads { is_all: false, ..authors });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leads {
    /// The collections in which a change can change what the query gives. Its own is among them only if rows of it show
    /// others of it.
    pub to: BTreeSet<String>,
    /// Whether every path was followed to its end, so that the query certainly leads nowhere else.
    pub is_all: bool,
}

impl Relations {
    /// The `data` of an answer. What is no relation is skipped.
    #[must_use]
    pub fn from_rows(data: &Value) -> Self {
        Self(data.as_array().into_iter().flatten().filter_map(Relation::read).collect())
    }

    /// Where a query for rows of `collection` with these [`paths`](Query::paths) leads; to 24 collections at most.
    #[must_use]
    pub fn lead_from<'r>(&'r self, collection: &'r str, paths: impl IntoIterator<Item = impl AsRef<str>>) -> Leads {
        let leads = Leads { to: BTreeSet::new(), is_all: true };
        let mut walk = Walk { relations: &self.0, from: collection, seen: HashSet::new(), leads };
        for path in paths {
            let path = segments(path.as_ref());
            walk.go(collection, &path);
            walk.seen.clear();
        }
        walk.leads
    }
}

struct Walk<'r> {
    relations: &'r [Relation],
    from: &'r str,
    /// Where a path was with how much of it still to go: `*.*.*` goes round in circles.
    seen: HashSet<(&'r str, usize)>,
    leads: Leads,
}

impl<'r> Walk<'r> {
    fn go(&mut self, collection: &str, path: &[String]) {
        let Some((name, rest)) = path.split_first() else { return };
        if let Some(argument) = name.strip_prefix("$FOLLOW(") {
            self.leads.is_all = false;
            // The one relation that says itself where it leads: `$FOLLOW(comments,post)`.
            if let Some((many, _)) = argument.split_once(',') {
                self.reach_named(many.trim(), rest);
            }
            return;
        }
        let (name, scope) = name.split_once(':').map_or((name.as_str(), None), |(name, scope)| (name, Some(scope)));
        // A field of the row itself, and a list of keys, may end a path.
        let mut is_followed = rest.is_empty();
        for relation in self.relations {
            let is_named = relation.collection == collection && (name == "*" || name == relation.field);
            // The keys of its own rows: the database itself may set them to null.
            self.leads.is_all &= !(is_named && rest.is_empty() && relation.related.iter().any(|to| to == self.from));
            // A field that holds a key is a row's own: only what lies behind it is somebody else's.
            if is_named && !rest.is_empty() {
                is_followed |= name != "*" && !relation.to_any;
                for related in &relation.related {
                    if scope.is_none_or(|scope| scope == related) {
                        self.reach(related, rest);
                    }
                }
            }
            if relation.shows_in(collection) && (name == "*" || Some(name) == relation.back.as_deref()) {
                is_followed |= name != "*";
                self.reach(&relation.collection, rest);
            }
        }
        self.leads.is_all &= is_followed;
    }

    fn reach(&mut self, collection: &'r str, rest: &[String]) {
        if self.note(collection) && self.seen.insert((collection, rest.len())) {
            self.go(collection, rest);
        }
    }

    fn reach_named(&mut self, collection: &str, rest: &[String]) {
        if self.note(collection) {
            self.go(collection, rest);
        }
    }

    /// Whether there was room for it, or it is there.
    fn note(&mut self, collection: &str) -> bool {
        if self.leads.to.contains(collection) {
            return true;
        }
        let has_room = self.leads.to.len() < MOST;
        self.leads.is_all &= has_room;
        has_room && self.leads.to.insert(collection.to_owned())
    }
}

impl Query {
    /// Every field that the query names, in fields, filter, sort, groups and deep, with the way to it: what
    /// [`Relations::lead_from`] goes by. Functions, aliases and operators are taken off.
    ///
    /// ```
    /// # use leptos_directus::protocol::{Filter, Query};
    /// let query = Query::new()
    ///     .fields(["id", "author.name", "count(comments)", "item:pages.title"])
    ///     .filter(Filter::some("topics", Filter::field("topics_id.name").eq("rust")))
    ///     .sort("-author.country.name");
    /// assert!(query.paths().into_iter().eq([
    ///     "author.country.name", "author.name", "comments", "id", "item:pages.title",
    ///     "topics", "topics.topics_id", "topics.topics_id.name",
    /// ]));
    /// assert!(Query::new().paths().into_iter().eq(["*"]));
    /// ```
    #[must_use]
    pub fn paths(&self) -> BTreeSet<String> {
        let mut paths = Paths { alias: self, found: BTreeSet::new() };
        if self.fields.is_empty() && !self.is_aggregate() {
            paths.add(&[], "*");
        }
        for name in self.fields.iter().chain(&self.group_by).chain(&self.sort) {
            paths.add(&[], name);
        }
        if let Value::Object(filter) = self.filter.to_json() {
            paths.add_filter(&[], &filter);
        }
        paths.add_deep(&[], &self.deep);
        paths.found
    }
}

struct Paths<'q> {
    alias: &'q Query,
    found: BTreeSet<String>,
}

impl Paths<'_> {
    /// Notes a path below another one, and gives it.
    fn add(&mut self, below: &[String], path: &str) -> Vec<String> {
        let mut whole = below.to_vec();
        whole.extend(segments(path.strip_prefix('-').unwrap_or(path)));
        if let Some(last) = whole.last_mut()
            && !last.starts_with('$')
            && let Some((function, argument)) = function_and_argument(last)
        {
            let argument = if function == "json" { argument.split(',').next().unwrap_or(argument) } else { argument };
            *last = argument.trim().to_owned();
        }
        if let Some(first) = whole.first_mut() {
            let (name, scope) = first.split_once(':').map_or((first.as_str(), ""), |(name, scope)| (name, scope));
            if let Some(field) = self.alias.alias.get(name) {
                let field = function_and_argument(field).map_or(field.as_str(), |(_, argument)| argument);
                *first = if scope.is_empty() { field.to_owned() } else { format!("{field}:{scope}") };
            }
        }
        self.found.insert(whole.join("."));
        whole
    }

    fn add_filter(&mut self, below: &[String], filter: &Map<String, Value>) {
        for (name, value) in filter {
            match value {
                Value::Array(filters) if name == "_and" || name == "_or" => {
                    for filter in filters.iter().filter_map(Value::as_object) {
                        self.add_filter(below, filter);
                    }
                }
                Value::Object(filter) if name == "_some" || name == "_none" => self.add_filter(below, filter),
                _ if name.starts_with('_') => {}
                Value::Object(filter) => {
                    let path = self.add(below, name);
                    self.add_filter(&path, filter);
                }
                _ => drop(self.add(below, name)),
            }
        }
    }

    fn add_deep(&mut self, below: &[String], deep: &Map<String, Value>) {
        for (name, value) in deep {
            match (name.as_str(), value) {
                ("_filter", Value::Object(filter)) => self.add_filter(below, filter),
                ("_sort", Value::String(fields)) => {
                    for field in fields.split(',') {
                        self.add(below, field.trim());
                    }
                }
                ("_sort", Value::Array(fields)) => {
                    for field in fields.iter().filter_map(Value::as_str) {
                        self.add(below, field);
                    }
                }
                (name, Value::Object(deeper)) if !name.starts_with('_') => {
                    let path = self.add(below, name);
                    self.add_deep(&path, deeper);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::Filter;

    /// What Directus 12.4.1 answered an administrator, about the collections of the demo and some for this test: pages with a
    /// country, a parent and blocks (m2a: heroes and quotes), heroes with a picture.
    fn recorded() -> Relations {
        let answer: Value = serde_json::from_str(include_str!("relations/recorded-12.4.1.json")).unwrap();
        Relations::from_rows(&answer["data"])
    }

    #[expect(clippy::needless_pass_by_value, reason = "the cases are easier to read")]
    #[track_caller]
    fn check(collection: &str, query: Query, expected: &str) {
        let found = recorded().lead_from(collection, query.paths()).to;
        assert_eq!(found.into_iter().collect::<Vec<_>>().join(" "), expected, "{:?}", query.paths());
    }

    #[test]
    fn each_kind_of_relation_is_followed_from_the_fields() {
        let q = |fields: &str| Query::new().fields(fields);
        check("posts", q("id,title,author"), "");
        check("posts", q("author.name"), "authors");
        check("posts", q("author.user.email"), "authors directus_users");
        check("posts", q("author.user"), "authors");
        check("posts", q("comments.text"), "comments");
        check("comments", q("post.author.name"), "authors posts");
        check("posts", q("topics.id"), "posts_topics");
        check("posts", q("topics.topics_id.name"), "posts_topics topics");
        check("pages", q("blocks.item.title"), "heroes pages_blocks quotes");
        check("pages", q("blocks.item:heroes.title"), "heroes pages_blocks");
        check("pages", q("blocks.item:heroes.picture.title"), "directus_files heroes pages_blocks");
        check("pages", q("country.name"), "countries");
        check("countries", q("pages.title"), "pages");
        check("posts", q("nothing.of.the.kind"), "");
        check("nowhere", q("*.*"), "");
    }

    #[test]
    fn lists_of_keys_are_somebody_else_s_rows() {
        check("posts", Query::new().fields("comments"), "comments");
        check("posts", Query::new().fields("topics"), "posts_topics");
        check("posts", Query::new(), "comments posts_topics");
        check("posts", Query::new().fields("*"), "comments posts_topics");
        check("authors", Query::new(), "");
        check("posts", Query::new().fields("count(comments)"), "comments");
        check("comments", Query::new().fields("post.count(topics)"), "posts posts_topics");
        check("comments", Query::new().fields("count(post.topics)"), "posts posts_topics");
    }

    #[test]
    fn wildcards_are_all_relations_of_their_level() {
        check("comments", Query::new().fields("*.*"), "comments posts posts_topics");
        check("authors", Query::new().fields("*.*"), "directus_users");
        check("posts", Query::new().fields("author.*"), "authors");
        check("posts", Query::new().fields("*.name"), "authors comments posts_topics");
        // Round and round, and it ends.
        check(
            "comments",
            Query::new().fields("*.*.*.*.*.*.*.*.*.*"),
            "authors comments directus_files directus_folders directus_roles directus_users posts posts_topics topics",
        );
    }

    #[test]
    fn rows_that_show_others_of_their_own_collection_are_told() {
        check("pages", Query::new().fields("parent.title"), "pages");
        check("pages", Query::new().fields("children"), "pages");
        check("pages", Query::new().fields("parent"), "");
    }

    #[test]
    fn each_part_of_a_query_is_looked_at() {
        let q = || Query::new().fields("id");
        let f = Filter::field;
        check("posts", q().sort(["-author.name", "id"]), "authors");
        check("posts", q().filter(f("author").eq(1)), "");
        check("posts", q().filter(f("author.name").eq("a")), "authors");
        check("posts", q().filter(f("id").eq(1).and(f("title").eq("a").or(f("author.name").eq("b")))), "authors");
        check("posts", q().filter(Filter::raw(json!({ "author": { "_or": [{ "name": { "_eq": 1 } }] } }))), "authors");
        check("posts", q().filter(Filter::some("comments", f("text").eq("a"))), "comments");
        check("posts", q().filter(Filter::none("topics", f("topics_id.name").eq("a"))), "posts_topics topics");
        check("posts", q().filter(f("count(comments)").gt(1)), "comments");
        check("pages", q().filter(f("blocks.item:quotes.title").eq("a")), "pages_blocks quotes");
        check("posts", q().filter(f("year(date_created)").eq(2026)), "");
        check("posts", q().filter(f("$FOLLOW(comments,post).text").eq("a")), "comments");
        check("posts", q().deep("comments", Query::new().limit(1)), "comments");
        check("posts", q().deep("comments", Query::new().sort("post.author.name")), "authors comments posts");
        check(
            "posts",
            q().deep("comments", Query::new().filter(f("post.author.name").eq(1))),
            "authors comments posts",
        );
        check("posts", q().deep("topics.topics_id", Query::new().limit(1)), "posts_topics");
        check("posts", Query::new().fields("few.text,t").alias("few", "comments").alias("t", "title"), "comments");
        check("posts", Query::new().fields("few").alias("few", "comments"), "comments");
        check("posts", Query::new().fields("json(tags, a.b)"), "");
        check("posts", Query::new().aggregate("count", "*").group_by("author.name"), "authors");
        check("posts", Query::new().aggregate("count", "*"), "");
    }

    #[test]
    fn what_is_found_has_a_bound() {
        let rows: Vec<Value> = (0..100)
            .map(|number| {
                let (field, related) = (format!("field_{number}"), format!("other_{number:02}"));
                json!({ "collection": "hub", "field": field, "related_collection": related })
            })
            .collect();
        let relations = Relations::from_rows(&Value::Array(rows));
        assert_eq!(relations.lead_from("hub", ["*.*"]).to.len(), MOST);
    }

    #[test]
    fn what_is_no_relation_is_skipped() {
        let odd = json!([null, 5, {}, { "collection": "a" }, { "collection": "a", "field": 5 }, {
            "collection": "a", "field": "b", "related_collection": null, "meta": { "one_allowed_collections": "x" },
        }]);
        assert_eq!(Relations::from_rows(&odd).lead_from("a", ["*.*.*", "b.c"]), Leads::default());
        assert_eq!(Relations::from_rows(&Value::Null), Relations::default());
    }

    #[test]
    fn whether_all_is_known_is_told() {
        let leads = |paths: &[&str]| recorded().lead_from("posts", paths);
        let is_all = |path: &str| leads(&[path]).is_all;
        for path in ["title", "*", "author", "author.name", "comments", "comments.text", "comments.post.author.name"] {
            assert!(is_all(path), "{path}");
        }
        for path in
            ["nobody.name", "author.nobody.name", "*.*", "author.*.name", "comments.*.text", "$FOLLOW(comments,post)"]
        {
            assert!(!is_all(path), "{path}");
        }
        // Posts, by their keys.
        assert!(!is_all("comments.post") && !is_all("comments.*"));
        assert!(!recorded().lead_from("pages", ["title", "parent"]).is_all);
        assert!(!leads(&["author.name", "nobody.name"]).is_all);
        // An m2a may lead to collections of which this visitor is not told.
        assert!(!recorded().lead_from("pages_blocks", ["item:heroes.title"]).is_all);
        assert!(!Relations::default().lead_from("posts", ["author.name"]).is_all);
    }
}
