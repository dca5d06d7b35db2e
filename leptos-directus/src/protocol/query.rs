use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::Filter;

/// What to read: a Directus query, the same for WebSocket and REST.
///
/// ```
/// # use leptos_directus::protocol::{Filter, Query};
/// let query = Query::new()
///     .fields(["id", "title", "author.name"])
///     .filter(Filter::field("status").eq("published"))
///     .sort("-date_created")
///     .limit(20);
/// assert_eq!(
///     query.to_query_string(),
///     "fields=id,title,author.name&filter=%7B%22status%22:%7B%22_eq%22:%22published%22%7D%7D\
///      &sort=-date_created&limit=20",
/// );
/// assert_eq!(Query::from_json(&query.to_json().to_string()), Ok(query));
/// ```
///
/// Whatever Directus's queries can say:
///
/// ```
/// # use leptos_directus::protocol::{Filter, Query, QueryError};
/// let page = Query::new()
///     .fields(["id", "latest.text"])
///     .alias("latest", "comments")
///     .search("rust")
///     .and_filter(Filter::field("status").eq("published"))
///     .limit(20)
///     .page(2)
///     .meta("filter_count")
///     .backlink(false)
///     .version("draft");
/// assert_eq!(Query::from_value(page.to_json()), Ok(page.clone()));
/// assert!(page.fits_url() && page.to_params().iter().any(|(name, value)| name == "page" && value == "2"));
/// // Longer ones go into the body of a `SEARCH`.
/// assert_eq!(page.to_search_body()["query"], page.to_json());
///
/// let per_author = Query::new().aggregate("count", "*").group_by(["author"]).offset(10);
/// assert!(per_author.is_aggregate());
/// assert!(matches!(Query::from_json(r#"{"fitler": {}}"#), Err(QueryError::UnknownMember { .. })));
/// ```
///
/// The fields are open to look at; setting goes by the methods of the same names.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct Query {
    /// The fields to read; none means all of the collection's own (`*`).
    pub fields: Vec<String>,
    /// Which rows.
    pub filter: Filter,
    /// In which order, `-` in front for descending.
    pub sort: Vec<String>,
    /// How many rows at most; -1 is all. `None` leaves it to Directus, which then gives 100.
    pub limit: Option<i64>,
    /// How many rows to leave out at the beginning.
    pub offset: Option<u64>,
    /// Which page of `limit` rows, counted from 1.
    pub page: Option<u64>,
    /// A text that one of the rows' own fields contains.
    pub search: Option<String>,
    /// Queries for related rows, as Directus writes them: `{"comments": {"_limit": 3}}`.
    pub deep: Map<String, Value>,
    /// Other names for fields: new name, field.
    pub alias: BTreeMap<String, String>,
    /// Functions and the fields that they gather: `count`, `["*"]`.
    pub aggregate: BTreeMap<String, Vec<String>>,
    /// What an aggregate is grouped by.
    pub group_by: Vec<String>,
    /// Counts to get with the rows: `total_count`, `filter_count`, or `*` for both.
    pub meta: Vec<String>,
    /// Whether `*.*` also goes back from where it came; Directus's default is yes.
    pub backlink: Option<bool>,
    /// The content version to read.
    pub version: Option<String>,
}

/// The longest query string that [`Query::fits_url`] lets into a URL.
///
/// Node takes 16 KiB for a request's line and headers together, proxies in front of it often 8 KiB or less, and cookies
/// and tracing headers want their part: 2000 passes everywhere.
const LONGEST_QUERY_STRING: usize = 2000;

/// What stays readable in a query string: what no URL and no `qs` parser (Directus's) takes for anything else.
pub(crate) const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b',')
    .remove(b':')
    .remove(b'*')
    .remove(b'(')
    .remove(b')');

impl Query {
    const MEMBERS: &'static str =
        "fields, filter, sort, limit, offset, page, search, deep, alias, aggregate, groupBy, meta, backlink, version";

    /// A query for every row, all fields, in Directus's own order.
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields to read: `"title"`, `"author.name"`, `"comments.*"`, `"item:pages.title"` (m2a), `"year(date)"`.
    ///
    /// One text may name several, with commas. Replaces what was set before.
    pub fn fields(mut self, fields: impl FieldNames) -> Self {
        self.fields = fields.into_names();
        self
    }

    /// Which rows. Replaces what was set before; [`and_filter`](Self::and_filter) adds to it.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// A condition more.
    pub fn and_filter(mut self, filter: Filter) -> Self {
        self.filter = self.filter.and(filter);
        self
    }

    /// In which order: `"title"`, `"-date_created"` (descending), `["author.name", "-id"]`.
    pub fn sort(mut self, sort: impl FieldNames) -> Self {
        self.sort = sort.into_names();
        self
    }

    /// How many rows at most.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(i64::try_from(limit).unwrap_or(i64::MAX));
        self
    }

    /// All rows (`limit: -1`).
    pub fn all(mut self) -> Self {
        self.limit = Some(-1);
        self
    }

    /// How many rows to leave out at the beginning.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Which page of [`limit`](Self::limit) rows, counted from 1.
    pub fn page(mut self, page: u64) -> Self {
        self.page = Some(page);
        self
    }

    /// Rows of which a text or number field of their own contains `text`.
    pub fn search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into()).filter(|text| !text.is_empty());
        self
    }

    /// A query for the related rows of `path`: their filter, sort, limit and so on.
    ///
    /// ```
    /// # use leptos_directus::protocol::Query;
    /// let query = Query::new().deep("author.posts", Query::new().sort("-id").limit(3));
    /// assert_eq!(query.to_json().to_string(), r#"{"deep":{"author":{"posts":{"_sort":["-id"],"_limit":3}}}}"#);
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "builders are passed on by value")]
    pub fn deep(mut self, path: &str, query: Query) -> Self {
        let mut level = &mut self.deep;
        for segment in path.split('.') {
            let next = level.entry(segment).or_insert_with(|| json!({}));
            if !next.is_object() {
                *next = json!({});
            }
            let Value::Object(next) = next else { return self };
            level = next;
        }
        for (name, value) in query.members() {
            match value {
                // Deeper levels stand beside the underscored members, not among them.
                Value::Object(deeper) if name == "deep" => level.extend(deeper),
                value => drop(level.insert(format!("_{name}"), value)),
            }
        }
        self
    }

    /// Another name for a field, to read a relation twice: `.alias("latest", "comments")`.
    pub fn alias(mut self, name: impl Into<String>, field: impl Into<String>) -> Self {
        self.alias.insert(name.into(), field.into());
        self
    }

    /// A number over all rows, or over each group, instead of rows: `.aggregate("count", "*")`.
    ///
    /// The functions are `count`, `countDistinct`, `countAll`, `sum`, `sumDistinct`, `avg`, `avgDistinct`, `min`, `max`.
    pub fn aggregate(mut self, function: impl Into<String>, fields: impl FieldNames) -> Self {
        self.aggregate.insert(function.into(), fields.into_names());
        self
    }

    /// What an aggregate is grouped by: `"status"`, `"year(date_created)"`.
    pub fn group_by(mut self, fields: impl FieldNames) -> Self {
        self.group_by = fields.into_names();
        self
    }

    /// Counts to get with the rows: `"total_count"`, `"filter_count"`, or `"*"` for both.
    pub fn meta(mut self, meta: impl FieldNames) -> Self {
        self.meta = meta_names(meta.into_names());
        self
    }

    /// Whether `*.*` also goes back from where it came; Directus's default is yes.
    pub fn backlink(mut self, backlink: bool) -> Self {
        self.backlink = Some(backlink);
        self
    }

    /// The content version to read, by its key.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Whether the answer holds numbers over rows, not rows.
    pub fn is_aggregate(&self) -> bool {
        !self.aggregate.is_empty() || !self.group_by.is_empty()
    }

    /// The relations that the query names, in fields, filter, sort, deep and alias, by their first name: a change in
    /// what they lead to can change the answer without a word from Directus.
    ///
    /// ```
    /// # use leptos_directus::protocol::{Filter, Query};
    /// let query = Query::new()
    ///     .fields(["id", "author.name", "count(comments)"])
    ///     .filter(Filter::some("topics", Filter::field("topics_id.name").eq("rust")));
    /// assert_eq!(query.relations().into_iter().collect::<Vec<_>>(), ["author", "comments", "topics"]);
    /// ```
    ///
    /// What hides in wildcards (`*.*`) does not show. [`paths`](Self::paths) are what is followed to the collections.
    pub fn relations(&self) -> BTreeSet<String> {
        let mut relations = BTreeSet::new();
        let paths = self.fields.iter().chain(&self.group_by).map(String::as_str);
        let sort = self.sort.iter().map(|path| path.strip_prefix('-').unwrap_or(path));
        for path in paths.chain(sort) {
            let (function, path) = function_and_argument(path).unwrap_or(("", path));
            let path = if function == "json" { path.split(',').next().unwrap_or(path) } else { path };
            match path.split_once('.') {
                Some((relation, _)) => drop(relations.insert(relation.to_owned())),
                None if function == "count" => drop(relations.insert(path.to_owned())),
                None => {}
            }
        }
        self.filter.add_relations(&mut relations);
        relations.extend(self.deep.keys().cloned());
        let mut relations: BTreeSet<_> = relations
            .into_iter()
            .map(|relation| match relation.split_once(':') {
                // "item:pages" is the m2a field "item".
                Some((field, _)) => field.to_owned(),
                None => relation,
            })
            .map(|relation| self.alias.get(&relation).cloned().unwrap_or(relation))
            .collect();
        relations.remove("*");
        relations
    }

    /// The query that reads what this one means, for rows with the primary key `key_field`.
    ///
    /// - No limit means all rows: `limit: -1`, with an offset as well. With a `page` and no limit Directus counts pages
    ///   of its default limit (100), and it would ignore the page at `limit: -1`: then the limit is left out.
    /// - A sort without the key gets the key appended, because rows that are equal in it have no order otherwise.
    ///   Without a sort the order is Directus's own, and stays so.
    /// - The key is read even if the fields do not name it.
    ///
    /// A query for aggregates gets the limit only: it has no rows that could be told by a key.
    ///
    /// ```
    /// # use leptos_directus::protocol::Query;
    /// let query = Query::new().fields(["title"]).sort("-date_created");
    /// assert_eq!(
    ///     query.for_reading("id"),
    ///     Query::new().fields(["title", "id"]).sort(["-date_created", "id"]).all(),
    /// );
    /// ```
    pub fn for_reading(&self, key_field: &str) -> Query {
        let mut query = self.clone();
        if query.limit.is_none() && query.page.is_none_or(|page| page == 0) {
            query.limit = Some(-1);
        }
        if query.is_aggregate() {
            return query;
        }
        let is_key = |field: &String| field.strip_prefix('-').unwrap_or(field) == key_field;
        if !query.sort.is_empty() && !query.sort.iter().any(is_key) {
            query.sort.push(key_field.to_owned());
        }
        // "*.*" holds the own fields as well.
        let is_read = |field: &String| field == key_field || field == "*" || field.starts_with("*.");
        if !query.fields.is_empty() && !query.fields.iter().any(is_read) {
            query.fields.push(key_field.to_owned());
        }
        query
    }

    /// A text that is equal for queries that ask for the same, whatever order their members and fields were written
    /// in: to find out who can share an answer.
    ///
    /// ```
    /// # use leptos_directus::protocol::Query;
    /// assert_eq!(
    ///     Query::from_json(r#"{"fields": "title,id,id", "limit": 5}"#).unwrap().canonical(),
    ///     Query::new().limit(5).fields(["id", "title"]).canonical(),
    /// );
    /// ```
    pub fn canonical(&self) -> String {
        let mut query = self.clone();
        for names in [&mut query.fields, &mut query.meta] {
            names.sort_unstable();
            names.dedup();
        }
        let mut value = query.to_json();
        value.sort_all_objects();
        value.to_string()
    }

    /// The query as an object, for frames and bodies. Members that are not set are left out.
    pub fn to_json(&self) -> Value {
        Value::Object(self.members())
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        if !self.fields.is_empty() {
            set("fields", json!(self.fields));
        }
        if !self.filter.is_empty() {
            set("filter", self.filter.to_json());
        }
        if !self.sort.is_empty() {
            set("sort", json!(self.sort));
        }
        if let Some(limit) = self.limit {
            set("limit", limit.into());
        }
        if let Some(offset) = self.offset {
            set("offset", offset.into());
        }
        if let Some(page) = self.page {
            set("page", page.into());
        }
        if let Some(search) = &self.search {
            set("search", search.as_str().into());
        }
        if !self.deep.is_empty() {
            set("deep", self.deep.clone().into());
        }
        if !self.alias.is_empty() {
            set("alias", json!(self.alias));
        }
        if !self.aggregate.is_empty() {
            set("aggregate", json!(self.aggregate));
        }
        if !self.group_by.is_empty() {
            set("groupBy", json!(self.group_by));
        }
        if !self.meta.is_empty() {
            // Directus takes `"*"` as a text only, and the counts as a text as well as in an array.
            set("meta", self.meta.join(",").into());
        }
        if let Some(backlink) = self.backlink {
            set("backlink", backlink.into());
        }
        if let Some(version) = &self.version {
            set("version", version.as_str().into());
        }
        members
    }

    /// The query of people who have one already, as JSON text.
    ///
    /// It is read as Directus reads it: `fields`, `sort`, `groupBy` and `meta` as an array or as one text with commas;
    /// `filter`, `deep`, `alias` and `aggregate` as objects or as JSON texts; numbers as numbers or texts.
    ///
    /// # Errors
    /// If it is not JSON, or no object, if a member has a value that Directus could not take, and if there is a member
    /// that no Directus query has: Directus ignores such a one, and a misspelt `filter` would give every row.
    pub fn from_json(json: &str) -> Result<Self, QueryError> {
        Self::from_value(serde_json::from_str(json).map_err(|error| QueryError::NotJson { reason: error.to_string() })?)
    }

    /// The same as [`from_json`](Self::from_json), for JSON that is parsed already.
    ///
    /// # Errors
    /// See [`from_json`](Self::from_json).
    pub fn from_value(value: Value) -> Result<Self, QueryError> {
        let Value::Object(members) = value else { return Err(QueryError::NotAnObject) };
        let mut query = Self::new();
        for (name, value) in members {
            if value.is_null() && Self::MEMBERS.split(", ").any(|known| known == name) {
                continue;
            }
            let result = match name.as_str() {
                "fields" => names(value).map(|names| query.fields = names),
                "filter" => object(value).map(|members| query.filter = Filter::raw(members.into())),
                "sort" => names(value).map(|names| query.sort = names),
                "limit" => integer(&value).and_then(|limit| match limit {
                    -1.. => {
                        query.limit = Some(limit);
                        Ok(())
                    }
                    _ => Err("expected -1 for all rows, or a number of rows"),
                }),
                "offset" => count(&value).map(|offset| query.offset = Some(offset)),
                "page" => count(&value).map(|page| query.page = Some(page)),
                "search" => text(value).map(|search| query.search = Some(search).filter(|search| !search.is_empty())),
                "deep" => object(value).map(|members| query.deep = members),
                "alias" => object(value).and_then(|members| {
                    query.alias = members.into_iter().map(|(name, field)| Ok((name, text(field)?))).collect::<Result<
                        _,
                        &'static str,
                    >>(
                    )?;
                    Ok(())
                }),
                "aggregate" => object(value).and_then(|members| {
                    query.aggregate = members
                        .into_iter()
                        .map(|(function, fields)| Ok((function, names(fields)?)))
                        .collect::<Result<_, &'static str>>()?;
                    Ok(())
                }),
                "groupBy" | "group_by" | "group" => names(value).map(|names| query.group_by = names),
                "meta" => names(value).map(|names| query.meta = meta_names(names)),
                "backlink" => match &value {
                    Value::Bool(backlink) => Ok(*backlink),
                    Value::String(text) if text == "true" => Ok(true),
                    Value::String(text) if text == "false" => Ok(false),
                    _ => Err("expected true or false"),
                }
                .map(|backlink| query.backlink = Some(backlink)),
                "version" => text(value).map(|version| query.version = Some(version)),
                _ => return Err(QueryError::UnknownMember { name }),
            };
            result.map_err(|reason| QueryError::Invalid { member: name, reason })?;
        }
        Ok(query)
    }

    /// The query as the parameters of a URL, not yet percent-encoded.
    ///
    /// `filter` and `deep` go as JSON texts, lists with commas, `aggregate[…]`, `alias[…]` and `groupBy[]` as `qs`
    /// wants them. Measured on 12.4.1 with 66 queries (quotes, `&`, `#`, `+`, `%`, umlauts, emoji, backslashes, relations,
    /// functions, groups, 60 fields, 25 groups): `GET`, `SEARCH`, `subscribe` and `items` gave the same rows, counts
    /// and errors for each.
    pub fn to_params(&self) -> Vec<(String, String)> {
        let mut params = Vec::new();
        for (name, value) in self.members() {
            match (name.as_str(), value) {
                ("aggregate", _) => {
                    let functions = self.aggregate.iter();
                    params.extend(functions.map(|(name, fields)| (format!("aggregate[{name}]"), fields.join(","))));
                }
                ("alias", _) => {
                    params.extend(self.alias.iter().map(|(name, field)| (format!("alias[{name}]"), field.clone())));
                }
                ("fields", _) => params.push((name, self.fields.join(","))),
                ("sort", _) => params.push((name, self.sort.join(","))),
                ("groupBy", _) => params.extend(self.group_by.iter().map(|field| ("groupBy[]".into(), field.clone()))),
                (_, Value::String(text)) => params.push((name, text)),
                (_, value) => params.push((name, value.to_string())),
            }
        }
        params
    }

    /// The query as the part of a URL after the question mark, percent-encoded; empty for the empty query.
    pub fn to_query_string(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.to_params() {
            if !text.is_empty() {
                text.push('&');
            }
            text.extend(utf8_percent_encode(&name, IN_QUERY));
            text.push('=');
            text.extend(utf8_percent_encode(&value, IN_QUERY));
        }
        text
    }

    /// The body of a `SEARCH` request: for a query that does not fit into a URL.
    pub fn to_search_body(&self) -> Value {
        json!({"query": self.to_json()})
    }

    /// Whether the query may go as a `GET`: its query string is at most 2000 characters long. Else it goes as a
    /// `SEARCH` with [`to_search_body`](Self::to_search_body), which gives the same rows.
    pub fn fits_url(&self) -> bool {
        self.to_query_string().len() <= LONGEST_QUERY_STRING
    }
}

impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl From<Query> for Value {
    fn from(query: Query) -> Self {
        query.to_json()
    }
}

/// `"year(date_created)"` as `("year", "date_created")`; for a function behind relations (`"a.count(b)"`) the function
/// and the whole path (`"a.b"`).
pub(super) fn function_and_argument(path: &str) -> Option<(&str, &str)> {
    let (before, argument) = path.split_once('(')?;
    let argument = argument.strip_suffix(')')?;
    match before.rsplit_once('.') {
        // A relation in front is what matters then, whatever the function does.
        Some(_) => Some(("", before)),
        None => Some((before, argument)),
    }
}

/// One name or several: what [`Query::fields`], [`Query::sort`] and others take.
///
/// There for `&str`, `String`, arrays, slices and `Vec`s of them. A text may hold several names with commas between.
///
/// ```
/// # use leptos_directus::protocol::FieldNames;
/// assert_eq!("title, author.name".into_names(), ["title", "author.name"]);
/// assert_eq!(["title", "author.name"].into_names(), ["title", "author.name"]);
/// ```
pub trait FieldNames {
    /// The names, one by one, trimmed, without empty ones.
    fn into_names(self) -> Vec<String>;
}

/// Splits at commas, except those in a function's parentheses.
fn split_names(text: &str) -> impl Iterator<Item = String> {
    let mut depth = 0_usize;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(|name| name.trim().to_owned())
    .filter(|name| !name.is_empty())
}

impl FieldNames for &str {
    fn into_names(self) -> Vec<String> {
        split_names(self).collect()
    }
}

macro_rules! field_names {
    ($([$($generics:tt)*] $names:ty;)*) => {
        $(impl<$($generics)*> FieldNames for $names {
            fn into_names(self) -> Vec<String> {
                self.iter().flat_map(|names| split_names(names.as_ref())).collect()
            }
        })*
    };
}

field_names! {
    [S: AsRef<str>, const N: usize] [S; N];
    [S: AsRef<str>] Vec<S>;
    [S: AsRef<str>] &[S];
    [S: AsRef<str>] &Vec<S>;
    [S: AsRef<str>] &BTreeSet<S>;
}

impl FieldNames for String {
    fn into_names(self) -> Vec<String> {
        split_names(&self).collect()
    }
}

impl FieldNames for &String {
    fn into_names(self) -> Vec<String> {
        split_names(self).collect()
    }
}

fn names(value: Value) -> Result<Vec<String>, &'static str> {
    match value {
        Value::String(text) => Ok(text.into_names()),
        Value::Array(names) => {
            let mut all = Vec::new();
            for name in names {
                let Value::String(name) = name else { return Err("expected texts in the array") };
                all.extend(split_names(&name));
            }
            Ok(all)
        }
        _ => Err("expected an array of texts, or a text with commas"),
    }
}

/// `*` is every count: beside it the others say nothing.
fn meta_names(names: Vec<String>) -> Vec<String> {
    if names.iter().any(|name| name == "*") { vec!["*".to_owned()] } else { names }
}

fn text(value: Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("expected a text"),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, &'static str> {
    let value = match value {
        Value::String(json) => serde_json::from_str(&json).map_err(|_| "the text is not JSON")?,
        value => value,
    };
    match value {
        Value::Object(members) => Ok(members),
        _ => Err("expected an object, or an object as JSON text"),
    }
}

fn integer(value: &Value) -> Result<i64, &'static str> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
    .ok_or("expected a whole number")
}

fn count(value: &Value) -> Result<u64, &'static str> {
    u64::try_from(integer(value)?).map_err(|_| "expected a number that is not negative")
}

/// A JSON that is no query.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryError {
    /// Not JSON at all.
    #[error("the query is not JSON: {reason}")]
    NotJson {
        /// What is wrong with it, and where.
        reason: String,
    },
    /// JSON, but not an object.
    #[error("the query is not a JSON object such as {{\"limit\": 5}}")]
    NotAnObject,
    /// A member that no query has.
    #[error("a query has no member `{name}`; it has {members}", members = Query::MEMBERS)]
    UnknownMember {
        /// Its name.
        name: String,
    },
    /// A member with a value that Directus could not take.
    #[error("the query's `{member}`: {reason}")]
    Invalid {
        /// Its name.
        member: String,
        /// What was expected.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Query {
        Query::from_json(json).unwrap()
    }

    #[test]
    fn json_is_read_as_people_have_it() {
        let query = Query::new()
            .fields(["id", "json(meta, a.b)", "author.name"])
            .filter(Filter::field("a").eq(1))
            .sort(["-date", "id"])
            .limit(20)
            .offset(5)
            .page(2)
            .search("x")
            .deep("comments", Query::new().limit(3))
            .alias("t", "title")
            .aggregate("count", ["id", "author"])
            .group_by(["status", "year(date)"])
            .meta(["total_count", "filter_count"])
            .backlink(false)
            .version("draft");
        for json in [
            r#"{"fields":["id","json(meta, a.b)","author.name"],"filter":{"a":{"_eq":1}},"sort":["-date","id"],"limit":20,
                "offset":5,"page":2,"search":"x","deep":{"comments":{"_limit":3}},"alias":{"t":"title"},
                "aggregate":{"count":["id","author"]},"groupBy":["status","year(date)"],
                "meta":["total_count","filter_count"],"backlink":false,"version":"draft"}"#,
            r#"{"fields":"id, json(meta, a.b),author.name,","filter":"{\"a\":{\"_eq\":1}}","sort":"-date,id","limit":"20",
                "offset":"5","page":" 2 ","search":"x","deep":"{\"comments\":{\"_limit\":3}}","alias":"{\"t\":\"title\"}",
                "aggregate":"{\"count\":\"id,author\"}","group_by":"status,year(date)","meta":"total_count,filter_count",
                "backlink":"false","version":"draft"}"#,
        ] {
            assert_eq!(read(json), query);
        }
        assert_eq!(read(&query.to_json().to_string()), query);
        assert_eq!(read(r#"{"limit":-1}"#), Query::new().all());
        assert_eq!(read(r#"{"limit":"-1"}"#), Query::new().all());
        assert_eq!(
            read(r#"{"filter":null,"fields":null,"groupBy":null,"search":"","sort":[],"filter":{}}"#),
            Query::new()
        );
        assert_eq!(read(r#"{"aggregate":{"count":"*"}}"#), Query::new().aggregate("count", "*"));
    }

    #[test]
    fn what_directus_would_misread_is_refused_by_name() {
        for (json, message) in [
            ("nope", "the query is not JSON: expected ident at line 1 column 2"),
            ("[]", r#"the query is not a JSON object such as {"limit": 5}"#),
            (
                r#"{"filters":{}}"#,
                "a query has no member `filters`; it has fields, filter, sort, limit, offset, page, search, deep, alias, \
                 aggregate, groupBy, meta, backlink, version",
            ),
            (r#"{"unknown":null}"#, "a query has no member `unknown`; it has fields, "),
            (r#"{"limit":-2}"#, "the query's `limit`: expected -1 for all rows, or a number of rows"),
            (r#"{"limit":"abc"}"#, "the query's `limit`: expected a whole number"),
            (r#"{"limit":1.5}"#, "the query's `limit`: expected a whole number"),
            (r#"{"offset":-1}"#, "the query's `offset`: expected a number that is not negative"),
            (r#"{"page":true}"#, "the query's `page`: expected a whole number"),
            (r#"{"fields":[1]}"#, "the query's `fields`: expected texts in the array"),
            (r#"{"sort":5}"#, "the query's `sort`: expected an array of texts, or a text with commas"),
            (r#"{"filter":"notjson"}"#, "the query's `filter`: the text is not JSON"),
            (r#"{"filter":[]}"#, "the query's `filter`: expected an object, or an object as JSON text"),
            (r#"{"alias":{"a":1}}"#, "the query's `alias`: expected a text"),
            (r#"{"search":5}"#, "the query's `search`: expected a text"),
            (r#"{"backlink":1}"#, "the query's `backlink`: expected true or false"),
        ] {
            let error = Query::from_json(json).unwrap_err().to_string();
            assert!(error.starts_with(message), "{json}: {error}");
        }
    }

    #[test]
    fn parameters_are_encoded_so_that_nothing_is_taken_for_syntax() {
        let query = Query::new()
            .fields("id,few.id")
            .filter(Filter::field("t").eq("a & b + c # ü \"q\" 100% [x]"))
            .alias("few", "comments")
            .deep("few", Query::new().limit(1))
            .aggregate("count", "*")
            .aggregate("sum", ["a", "b"])
            .group_by(["status", "year(date)"])
            .meta("*")
            .search("ä=&")
            .all();
        assert_eq!(
            query.to_query_string(),
            "fields=id,few.id&filter=%7B%22t%22:%7B%22_eq%22:%22a%20%26%20b%20%2B%20c%20%23%20%C3%BC%20%5C%22q%5C%22%20100%25\
             %20%5Bx%5D%22%7D%7D&limit=-1&search=%C3%A4%3D%26&deep=%7B%22few%22:%7B%22_limit%22:1%7D%7D&\
             alias%5Bfew%5D=comments&aggregate%5Bcount%5D=*&aggregate%5Bsum%5D=a,b&groupBy%5B%5D=status&\
             groupBy%5B%5D=year(date)&meta=*",
        );
        assert_eq!(Query::new().to_query_string(), "");
        assert_eq!(query.to_search_body()["query"], query.to_json());
    }

    #[test]
    fn what_is_too_long_for_a_url_is_told() {
        let keys = |count| Query::new().filter(Filter::field("id").in_(0..count));
        assert!(keys(400).fits_url());
        assert!(!keys(600).fits_url());
    }

    #[test]
    fn reading_makes_limit_order_and_key_explicit() {
        let reading = |query: Query| query.for_reading("id");
        let q = Query::new;
        assert_eq!(reading(q()), q().all());
        assert_eq!(reading(q().limit(5)), q().limit(5));
        assert_eq!(reading(q().limit(0)), q().limit(0));
        assert_eq!(reading(q().offset(5)), q().offset(5).all());
        // Directus's default limit makes the pages; -1 would make it ignore the page.
        assert_eq!(reading(q().page(2)), q().page(2));
        assert_eq!(reading(q().page(0)), q().page(0).all());
        assert_eq!(reading(q().page(2).limit(7)), q().page(2).limit(7));

        assert_eq!(reading(q().sort("title").all()), q().sort(["title", "id"]).all());
        assert_eq!(reading(q().sort(["-id", "title"]).all()), q().sort(["-id", "title"]).all());
        assert_eq!(reading(q().sort("author.id").all()), q().sort(["author.id", "id"]).all());

        assert_eq!(reading(q().fields("title").all()), q().fields(["title", "id"]).all());
        for fields in ["id", "*", "*.*", "title,id"] {
            assert_eq!(reading(q().fields(fields).all()), q().fields(fields).all());
        }
        assert_eq!(reading(q().fields("author.*").all()), q().fields(["author.*", "id"]).all());
        assert_eq!(q().fields("text").all().for_reading("code"), q().fields(["text", "code"]).all());

        let aggregate = q().aggregate("count", "*").group_by("status").sort("status");
        assert!(aggregate.is_aggregate());
        assert_eq!(reading(aggregate.clone()), aggregate.all());
        // What is made explicit stays as it is.
        let once = reading(q().fields("title").sort("title"));
        assert_eq!(reading(once.clone()), once);
    }

    #[test]
    fn relations_are_found_wherever_they_are_named() {
        let relations = |query: Query| query.relations().into_iter().collect::<Vec<_>>().join(" ");
        let q = Query::new;
        assert_eq!(relations(q().fields(["*", "id", "title", "year(date)"])), "");
        assert_eq!(relations(q().fields(["*.*", "author.name", "comments.*"])), "author comments");
        assert_eq!(relations(q().fields("item:pages.title")), "item");
        assert_eq!(
            relations(q().fields(["count(comments)", "author.count(posts)", "json(meta, a.b)"])),
            "author comments"
        );
        assert_eq!(relations(q().fields("year(author.born)")), "author");
        assert_eq!(relations(q().sort(["-author.name", "id"])), "author");
        assert_eq!(relations(q().fields(["few.id", "t"]).alias("few", "comments").alias("t", "title")), "comments");
        assert_eq!(relations(q().deep("comments", q().limit(1))), "comments");
        let f = Filter::field;
        assert_eq!(relations(q().filter(f("a").eq(1).and(f("b").null().or(f("year(c)").eq(1))))), "");
        assert_eq!(relations(q().filter(f("a").eq(1).and(f("b").null().or(f("author.name").eq(1))))), "author");
        assert_eq!(relations(q().filter(Filter::none("comments", f("x").eq(1)))), "comments");
        assert_eq!(relations(q().filter(f("count(comments)").gt(1))), "comments");
        assert_eq!(relations(q().filter(f("item:pages.title").eq(1))), "item");
        let inside = json!({"author": {"_or": [{"name": {"_eq": 1}}]}, "n": {"_or": [{"_lt": 1}, {"_gt": 2}]}, "x": 5});
        assert_eq!(relations(q().filter(Filter::raw(inside))), "author");
    }

    #[test]
    fn deep_queries_are_underscored_at_each_level() {
        let inner = Query::new().limit(2).deep("author", Query::new().filter(Filter::field("a").eq(1)));
        assert_eq!(
            Query::new().deep("comments", inner).deep("comments.post", Query::new().sort("id")).to_json(),
            json!({"deep": {"comments": {
                "_limit": 2,
                "author": {"_filter": {"a": {"_eq": 1}}},
                "post": {"_sort": ["id"]},
            }}}),
        );
    }

    #[test]
    fn canonical_texts_are_equal_for_equal_questions_only() {
        let same = [
            r#"{"fields":["b","a","a"],"filter":{"x":{"_eq":1,"_neq":2}},"meta":"total_count,filter_count","limit":1}"#,
            r#"{"limit":"1","meta":["filter_count","total_count"],"filter":{"x":{"_neq":2,"_eq":1}},"fields":"a,b"}"#,
        ];
        assert_eq!(read(same[0]).canonical(), read(same[1]).canonical());
        for (one, other) in [
            (r#"{"sort":"a,b"}"#, r#"{"sort":"b,a"}"#),
            (r#"{"groupBy":"a,b"}"#, r#"{"groupBy":"b,a"}"#),
            (r#"{"filter":{"x":{"_between":[1,2]}}}"#, r#"{"filter":{"x":{"_between":[2,1]}}}"#),
            (r#"{"filter":{"x":{"_eq":1}}}"#, r#"{"filter":{"x":{"_eq":"1"}}}"#),
            (r#"{}"#, r#"{"limit":-1}"#),
        ] {
            assert_ne!(read(one).canonical(), read(other).canonical(), "{one} {other}");
        }
    }

    #[test]
    fn names_come_in_every_usual_shape() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(Query::new().fields("a, b"), Query::new().fields(["a", "b"]));
        assert_eq!(Query::new().fields(names.clone()), Query::new().fields(&names));
        assert_eq!(Query::new().fields(names.as_slice()), Query::new().fields("a,b".to_owned()));
        assert_eq!(Query::new().sort("f(a,b),c").sort, ["f(a,b)", "c"]);
        assert_eq!(Query::new().sort("f(a,b").sort, ["f(a,b"]);
        assert_eq!(Query::new().sort("),a").sort, [")", "a"]);
    }
}
