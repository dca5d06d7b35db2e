//! What the engine knows of a query: as much as it takes to decide whether a change can be told by the changed rows alone.

use serde_json::Value;

use crate::protocol::{Key, Query};

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadScope {
    /// The query's whole window.
    Window,
    /// Of the query's rows those with these keys, as far as there are any; never none of them, and none twice.
    Keys(Vec<Key>),
}

impl ReadScope {
    /// The query that reads this, where `window` is the query that reads the whole window.
    ///
    /// For keys it asks for the same fields under the same conditions, without limit, place, order and counts.
    ///
    /// ```
    /// # use leptos_directus::{live::ReadScope, protocol::{Filter, Query}};
    /// let window = Query::new().fields(["id", "title"]).filter(Filter::field("status").eq("published")).sort("title").limit(5);
    /// assert_eq!(
    ///     ReadScope::Keys(vec![7.into()]).query(&window, "id").to_json().to_string(),
    ///     r#"{"fields":["id","title"],"filter":{"_and":[{"status":{"_eq":"published"}},{"id":{"_in":["7"]}}]},"limit":-1}"#,
    /// );
    /// assert_eq!(ReadScope::Window.query(&window, "id"), window);
    /// ```
    pub fn query(&self, window: &Query, key_field: &str) -> Query {
        let Self::Keys(keys) = self else { return window.clone() };
        let mut query = window.clone().all();
        query.offset = None;
        query.page = None;
        query.sort.clear();
        query.meta.clear();
        // A field as it is called, be there a dot in it or not.
        let condition = serde_json::json!({ key_field: { "_in": keys } });
        query.and_filter(crate::protocol::Filter::raw(condition))
    }
}

/// A field that rows are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SortField {
    pub(super) name: String,
    pub(super) descending: bool,
}

/// What matters of a query for telling a change by the changed rows alone. The default knows nothing: then windows are
/// read whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowShape {
    /// Why never to read keys, or by what the rows are ordered.
    order: Option<Vec<SortField>>,
    limit: Option<usize>,
    starts_later: bool,
    filtered: bool,
    timed: bool,
    /// It names relations, which may lead back to the collection: its rows show in one another then.
    relates: bool,
    /// Fields that hold related rows.
    nested: Vec<String>,
}

impl WindowShape {
    /// Of the query that reads the window: one that went through [`Query::for_reading`].
    ///
    /// ```
    /// # use leptos_directus::{live::WindowShape, protocol::Query};
    /// let shape = |query: Query| WindowShape::of(&query.for_reading("id"), "id");
    /// assert!(shape(Query::new().sort("-date_created")).reads_keys());
    /// // Directus's own order is known to Directus only.
    /// assert!(!shape(Query::new()).reads_keys());
    /// // Other rows of the collection may show in these: keys are read once it is known that they don't.
    /// let related = shape(Query::new().sort("title").fields(["title", "author.name"]));
    /// assert!(related.reads_keys() && related.relates());
    /// let recent = leptos_directus::Filter::field("date_created").gte("$NOW(-1 hour)");
    /// assert!(shape(Query::new().filter(recent)).moves_with_time());
    /// ```
    #[must_use]
    pub fn of(query: &Query, key_field: &str) -> Self {
        Self {
            order: order(query, key_field),
            limit: query.limit.and_then(|limit| usize::try_from(limit).ok()),
            relates: !query.relations().is_empty(),
            nested: nested(query),
            starts_later: query.offset.is_some_and(|offset| offset > 0) || query.page.is_some_and(|page| page > 1),
            filtered: !query.filter.is_empty() || query.search.is_some(),
            timed: names_the_time(&query.filter.to_json()) || query.deep.values().any(names_the_time),
        }
    }

    /// No change may be told by the changed rows alone.
    #[must_use]
    pub(super) fn always_whole(self) -> Self {
        Self { order: None, ..self }
    }

    /// Whether a change may ever be told by the changed rows alone.
    #[must_use]
    pub fn reads_keys(&self) -> bool {
        self.order.is_some()
    }

    /// Whether rows enter and leave just because time passes (`$NOW` in the filter).
    #[must_use]
    pub fn moves_with_time(&self) -> bool {
        self.timed
    }

    /// Whether it names relations: as long as nobody knows that none of them leads back, keys are not read.
    #[must_use]
    pub fn relates(&self) -> bool {
        self.relates
    }

    /// The fields that hold related rows.
    pub(super) fn nested(&self) -> &[String] {
        &self.nested
    }

    /// By what the rows are ordered, if that is known.
    pub(super) fn order(&self) -> Option<&[SortField]> {
        self.order.as_deref()
    }

    /// How many rows there are at most.
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Whether rows were left out before the first one.
    pub(super) fn starts_later(&self) -> bool {
        self.starts_later
    }

    /// Whether a row of the collection need not be one of the query.
    pub(super) fn is_filtered(&self) -> bool {
        self.filtered
    }
}

/// By what the rows are ordered, where each of them tells it, and where what it shows of others can be found out.
fn order(query: &Query, key_field: &str) -> Option<Vec<SortField>> {
    let counts = query.is_aggregate() || !query.meta.is_empty();
    // Without a limit Directus's default cuts.
    if counts || is_vague(query) || query.version.is_some() || query.limit.is_none() || !reads(query, key_field) {
        return None;
    }
    let fields = sort_fields(query)?;
    // A related row is shown in place of its key.
    let related = query.relations();
    let is_whole = fields.iter().any(|field| field.name == key_field)
        && fields.iter().all(|field| reads(query, &field.name) && !related.contains(&field.name));
    is_whole.then_some(fields)
}

/// Whether it names others in a way that nobody can follow for certain: wildcards for relations, counts of related rows,
/// names that are given below the first level, and fields of the visitor (`$CURRENT_USER.department`).
fn is_vague(query: &Query) -> bool {
    let texts = [&query.fields, &query.sort].into_iter().flatten().chain(query.alias.values());
    let deep = Value::Object(query.deep.clone());
    query.fields.iter().any(|field| field.starts_with("*."))
        || query.alias.values().any(|field| field.contains('('))
        || texts.into_iter().any(|text| text.contains("count("))
        || has(&deep, &|name, _| name == "_alias")
        || [&query.filter.to_json(), &deep].into_iter().any(|value| {
            has(value, &|name, value| name.contains("count(") || value.is_some_and(names_a_field_of_the_visitor))
        })
}

fn names_a_field_of_the_visitor(text: &str) -> bool {
    text.split("$CURRENT_")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_uppercase()).starts_with('.'))
}

/// Whether a member of it, at whatever level, is so: by its name, and by its text where it is one. Items of lists have the
/// empty name.
fn has(value: &Value, is_so: &dyn Fn(&str, Option<&str>) -> bool) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| is_so(name, value.as_str()) || has(value, is_so)),
        Value::Array(items) => items.iter().any(|value| is_so("", value.as_str()) || has(value, is_so)),
        _ => false,
    }
}

/// The fields that hold related rows, as rows call them, with the way to them: `author` and `author.country` of
/// `author.country.name`.
fn nested(query: &Query) -> Vec<String> {
    let mut ways = Vec::new();
    for field in &query.fields {
        let mut way = String::new();
        let names: Vec<&str> = field.split('.').collect();
        for name in names.split_last().map_or(&[][..], |(_, before)| before) {
            way = if way.is_empty() { String::new() } else { way + "." } + name.split(':').next().unwrap_or(name);
            ways.push(way.clone());
        }
    }
    ways.sort();
    ways.dedup();
    ways
}

/// The fields of the sort, if each is a plain one of the row itself.
pub(super) fn sort_fields(query: &Query) -> Option<Vec<SortField>> {
    let is_plain =
        |name: &str| !name.is_empty() && !name.contains(['.', '(', ':', '$']) && !query.alias.contains_key(name);
    let fields = query.sort.iter().map(|text| {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        is_plain(name).then(|| SortField { name: name.to_owned(), descending })
    });
    let fields: Vec<_> = fields.collect::<Option<_>>()?;
    (!fields.is_empty()).then_some(fields)
}

/// Whether the rows hold this field of their own.
pub(super) fn reads(query: &Query, name: &str) -> bool {
    !query.alias.contains_key(name)
        && (query.fields.is_empty() || query.fields.iter().any(|field| field == name || field == "*"))
}

fn names_the_time(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("$NOW"),
        Value::Array(values) => values.iter().any(names_the_time),
        Value::Object(members) => members.values().any(names_the_time),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Filter, Variable};

    fn shape(query: &Query) -> WindowShape {
        WindowShape::of(&query.for_reading("id"), "id")
    }

    #[test]
    fn keys_are_read_only_where_each_row_tells_its_own_place() {
        let q = || Query::new().sort("-views");
        for (query, reads_keys) in [
            (q(), true),
            (q().fields(["id", "views"]), true),
            (q().limit(5).offset(3), true),
            (q().filter(Filter::field("status").eq("x")).search("y"), true),
            (Query::new().sort("id"), true),
            (Query::new(), false),
            (q().fields(["id", "title"]), false),
            (q().meta("filter_count"), false),
            (q().aggregate("count", "*"), false),
            (q().page(2), false),
            (q().version("draft"), false),
            (q().alias("views", "likes"), false),
            (Query::new().sort("author.name"), false),
            (Query::new().sort("year(date)"), false),
            (Query::new().sort("count(comments)"), false),
            (q().fields("*.*"), false),
            (q().fields("*.*,id,views"), false),
            (q().fields(["id", "views", "count(children)"]), false),
            (q().filter(Filter::field("count(children)").gt(1)), false),
            (Query::new().sort("author").fields(["id", "author", "author.name"]), false),
            (q().fields(["id", "views", "n"]).alias("n", "count(children)"), false),
            (q().deep("comments", Query::new().alias("n", "count(posts)")), false),
            (q().deep("comments", Query::new().alias("few", "posts")), false),
            (q().deep("comments", Query::new().filter(Filter::field("count(posts)").gt(1))), false),
            (q().filter(Filter::field("department").eq("$CURRENT_USER.department")), false),
            (q().filter(Filter::field("department").in_(["x", "$CURRENT_ROLES.id"])), false),
            (q().filter(Filter::field("author").eq("$CURRENT_USER")), true),
        ] {
            assert_eq!(shape(&query).reads_keys(), reads_keys, "{}", query.to_json());
            assert!(!reads_keys || !shape(&query).relates(), "{}", query.to_json());
        }
    }

    #[test]
    fn where_relations_are_named_it_matters_where_they_lead() {
        let q = || Query::new().sort("-views");
        for query in [
            q().fields(["id", "views", "parent.title"]),
            q().deep("comments", Query::new().limit(1)),
            q().filter(Filter::field("parent.status").eq("x")),
            q().filter(Filter::some("comments", Filter::field("text").eq("x"))),
        ] {
            assert!(shape(&query).reads_keys() && shape(&query).relates(), "{}", query.to_json());
        }
    }

    #[test]
    fn a_filter_that_names_the_time_is_found() {
        let timed = |filter: Filter| shape(&Query::new().filter(filter)).moves_with_time();
        assert!(timed(Filter::field("date").lt(Variable::now())));
        assert!(timed(Filter::any([
            Filter::field("a").eq(1),
            Filter::field("date").between(Variable::now_adjusted("-1 day"), Variable::now()),
        ])));
        assert!(!timed(Filter::field("author").eq(Variable::current_user())));
        let deep = Query::new().deep("comments", Query::new().filter(Filter::field("date").gt(Variable::now())));
        assert!(shape(&deep).moves_with_time());
    }
}
