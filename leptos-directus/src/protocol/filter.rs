use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value, json};

use super::query::function_and_argument;

/// Which rows: a Directus filter.
///
/// ```
/// # use leptos_directus::protocol::{Filter, Variable};
/// use serde_json::json;
///
/// let filter = Filter::field("status")
///     .eq("published")
///     .and(Filter::field("author.name").starts_with("A"))
///     .and(Filter::field("date_created").gt(Variable::now_adjusted("-1 hour")));
/// assert_eq!(
///     filter.to_json(),
///     json!({"_and": [
///         {"status": {"_eq": "published"}},
///         {"author": {"name": {"_starts_with": "A"}}},
///         {"date_created": {"_gt": "$NOW(-1 hour)"}},
///     ]}),
/// );
/// ```
///
/// Either of two, none of the related rows, and what Directus has and this crate has not:
///
/// ```
/// # use leptos_directus::protocol::Filter;
/// # use serde_json::json;
/// let urgent = Filter::field("priority").gte(3).or(Filter::none("replies", Filter::field("id").nnull()));
/// let all = urgent.and(Filter::raw(json!({ "place": { "_near": "Bonn" } })));
/// assert!(!all.is_empty() && Filter::default().is_empty());
/// ```
///
/// The default filter is empty: every row.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
#[must_use]
pub struct Filter(Map<String, Value>);

impl Filter {
    /// Begins a condition on a field: `"title"`, or through relations `"author.country.name"`.
    ///
    /// A function goes around the last name, as Directus wants it: `"year(date_created)"`, `"author.count(posts)"`;
    /// `"count(author.posts)"` is understood as well.
    pub fn field(path: impl AsRef<str>) -> FieldFilter {
        FieldFilter { path: segments(path.as_ref()) }
    }

    /// Rows for which every one of `filters` holds.
    ///
    /// ```
    /// # use leptos_directus::protocol::Filter;
    /// # use serde_json::json;
    /// let filter = Filter::all([Filter::field("sort").gte(1), Filter::field("sort").lt(9)]);
    /// assert_eq!(filter.to_json(), json!({"_and": [{"sort": {"_gte": 1}}, {"sort": {"_lt": 9}}]}));
    /// ```
    pub fn all(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut filters: Vec<_> = filters.into_iter().filter(|filter| !filter.is_empty()).collect();
        match filters.len() {
            0 => Self::default(),
            1 => filters.swap_remove(0),
            _ => Self::logical("_and", filters),
        }
    }

    /// Rows for which one of `filters` holds, or several.
    ///
    /// Of no filters at all Directus makes none (`_or: []` restricts nothing, measured on 12.4.1).
    ///
    /// ```
    /// # use leptos_directus::protocol::Filter;
    /// # use serde_json::json;
    /// let filter = Filter::any([Filter::field("sort").null(), Filter::field("sort").lt(9)]);
    /// assert_eq!(filter.to_json(), json!({"_or": [{"sort": {"_null": true}}, {"sort": {"_lt": 9}}]}));
    /// ```
    pub fn any(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut filters: Vec<_> = filters.into_iter().collect();
        match filters.len() {
            1 => filters.swap_remove(0),
            _ => Self::logical("_or", filters),
        }
    }

    /// Rows for which this and `other` hold. An empty filter adds nothing.
    pub fn and(self, other: Filter) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => self.join("_and", other),
        }
    }

    /// Rows for which this or `other` holds, or both. An empty filter is every row, and so is this then.
    pub fn or(self, other: Filter) -> Self {
        if self.is_empty() || other.is_empty() {
            return Self::default();
        }
        self.join("_or", other)
    }

    /// Rows of which at least one related row (`o2m`, `m2m`, `m2a`) meets `filter`.
    ///
    /// ```
    /// # use leptos_directus::protocol::Filter;
    /// # use serde_json::json;
    /// let filter = Filter::some("comments", Filter::field("text").icontains("rust"));
    /// assert_eq!(filter.to_json(), json!({"comments": {"_some": {"text": {"_icontains": "rust"}}}}));
    /// ```
    pub fn some(path: impl AsRef<str>, filter: Filter) -> Self {
        Self::field(path).operator("_some", filter)
    }

    /// Rows of which no related row (`o2m`, `m2m`, `m2a`) meets `filter`: also those without related rows.
    pub fn none(path: impl AsRef<str>, filter: Filter) -> Self {
        Self::field(path).operator("_none", filter)
    }

    /// A filter as Directus writes it, unchecked. What is not an object makes an empty filter.
    pub fn raw(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members),
            _ => Self::default(),
        }
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The filter as Directus writes it.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    fn logical(operator: &str, filters: Vec<Filter>) -> Self {
        Self(Map::from_iter([(operator.to_owned(), Value::Array(filters.into_iter().map(Value::from).collect()))]))
    }

    fn join(mut self, operator: &str, other: Filter) -> Self {
        // One array is longer instead of one more nested: chains stay readable, and Directus walks fewer levels.
        if self.0.len() == 1
            && let Some(Value::Array(filters)) = self.0.get_mut(operator)
        {
            filters.push(other.into());
            return self;
        }
        Self::logical(operator, vec![self, other])
    }

    /// Adds the relations that conditions go through, by their first name.
    pub(super) fn add_relations(&self, relations: &mut BTreeSet<String>) {
        add_relations(&self.0, relations);
    }
}

fn add_relations(members: &Map<String, Value>, relations: &mut BTreeSet<String>) {
    for (name, value) in members {
        match value {
            Value::Array(filters) if name == "_and" || name == "_or" => {
                filters.iter().filter_map(Value::as_object).for_each(|filter| add_relations(filter, relations));
            }
            _ if name.starts_with('_') => {}
            Value::Object(inner) => {
                if let Some(("count", argument)) = function_and_argument(name) {
                    relations.insert(argument.to_owned());
                } else if goes_on(inner) {
                    relations.insert(name.clone());
                }
            }
            _ => {}
        }
    }
}

/// Whether conditions for a field are about fields of related rows. `{"author": {"_or": [{"name": …}]}}`: Directus takes the logic
/// inside as well.
fn goes_on(conditions: &Map<String, Value>) -> bool {
    conditions.iter().any(|(name, value)| match value {
        Value::Array(filters) if name == "_and" || name == "_or" => {
            filters.iter().filter_map(Value::as_object).any(goes_on)
        }
        _ => !name.starts_with('_') || matches!(name.as_str(), "_some" | "_none"),
    })
}

impl From<Filter> for Value {
    fn from(filter: Filter) -> Self {
        Value::Object(filter.0)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(de::Error::custom("a filter is an object")),
        }
    }
}

/// Splits a path at its dots, except those in a function's parentheses, and moves a function to the last name.
pub(super) fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut depth = 0_usize;
    for character in path.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => {
                segments.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(segment) = segments.last_mut() {
            segment.push(character);
        }
    }
    // "count(author.posts)" is "author.count(posts)".
    if let Some(last) = segments.pop() {
        let (function, relations, rest) = match last.split_once('(') {
            Some((function, argument)) => {
                let first = argument.find([',', ')']).unwrap_or(argument.len());
                match argument[..first].rfind('.') {
                    Some(dot) if function != "$FOLLOW" => (function, &argument[..dot], &argument[dot + 1..]),
                    _ => ("", "", ""),
                }
            }
            None => ("", "", ""),
        };
        if relations.is_empty() {
            segments.push(last);
        } else {
            segments.extend(relations.split('.').map(|relation| relation.trim().to_owned()));
            segments.push(format!("{function}({rest}"));
        }
    }
    segments
}

/// A field that waits for its operator: [`Filter::field`].
///
/// ```
/// # use leptos_directus::protocol::{FieldFilter, Filter};
/// # use serde_json::json;
/// let views: FieldFilter = Filter::field("views");
/// assert_eq!(views.between(1, 9).to_json(), json!({ "views": { "_between": [1, 9] } }));
/// assert_eq!(Filter::field("views").nbetween(1, 9).to_json(), json!({ "views": { "_nbetween": [1, 9] } }));
/// assert_eq!(Filter::field("place").operator("_near", "Bonn").to_json(), json!({ "place": { "_near": "Bonn" } }));
/// ```
///
/// The operators are those of 12.4.1. What surprises there (measured, the same by `GET`, `SEARCH` and WebSocket):
///
/// - The texts `"true"`, `"false"`, `"null"` and `"NULL"` as values become true, false and null.
/// - The empty text is refused (`INVALID_QUERY`): use [`empty`](Self::empty) and [`nempty`](Self::nempty).
/// - `%` and `_` in the text of `contains` and its kin stand for anything, as in SQL.
/// - A row without a value meets neither `neq` nor `nin`.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a field alone is no condition"]
pub struct FieldFilter {
    path: Vec<String>,
}

macro_rules! operators {
    ($($(#[$doc:meta])* $method:ident = $operator:literal;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("(`", $operator, "`)")]
            pub fn $method(self, value: impl Into<Value>) -> Filter {
                self.operator($operator, value)
            }
        )*
    };
}

macro_rules! list_operators {
    ($($(#[$doc:meta])* $method:ident = $operator:literal;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("(`", $operator, "`)")]
            pub fn $method<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Filter {
                let values: Vec<Value> = values.into_iter().map(Into::into).collect();
                self.operator($operator, values)
            }
        )*
    };
}

macro_rules! flag_operators {
    ($($(#[$doc:meta])* $method:ident = $operator:literal;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("(`", $operator, "`)")]
            pub fn $method(self) -> Filter {
                self.operator($operator, true)
            }
        )*
    };
}

impl FieldFilter {
    operators! {
        /// Equal.
        eq = "_eq";
        /// Not equal. A row without a value does not match.
        neq = "_neq";
        /// Less than.
        lt = "_lt";
        /// Less than or equal.
        lte = "_lte";
        /// Greater than.
        gt = "_gt";
        /// Greater than or equal.
        gte = "_gte";
        /// Contains the text; the database decides about case (SQLite: `a` is `A`, `ä` is not `Ä`).
        contains = "_contains";
        /// Does not contain the text.
        ncontains = "_ncontains";
        /// Contains the text, whatever the case of letters.
        icontains = "_icontains";
        /// Begins with the text.
        starts_with = "_starts_with";
        /// Does not begin with the text.
        nstarts_with = "_nstarts_with";
        /// Begins with the text, whatever the case of letters.
        istarts_with = "_istarts_with";
        /// Does not begin with the text, whatever the case of letters.
        nistarts_with = "_nistarts_with";
        /// Ends with the text.
        ends_with = "_ends_with";
        /// Does not end with the text.
        nends_with = "_nends_with";
        /// Ends with the text, whatever the case of letters.
        iends_with = "_iends_with";
        /// Does not end with the text, whatever the case of letters.
        niends_with = "_niends_with";
        /// The geometry (GeoJSON) has points in common with this one.
        intersects = "_intersects";
        /// The geometry (GeoJSON) has no point in common with this one.
        nintersects = "_nintersects";
        /// The geometry's bounding box has points in common with this one's.
        intersects_bbox = "_intersects_bbox";
        /// The geometry's bounding box has no point in common with this one's.
        nintersects_bbox = "_nintersects_bbox";
        /// Matches the regular expression: for validation rules; reads refuse it (`INVALID_QUERY`).
        regex = "_regex";
        /// Conditions on paths inside a JSON field: `{"address.city": {"_eq": "Bonn"}}`.
        json = "_json";
    }

    list_operators! {
        /// One of the values. Directus refuses an empty list (`INVALID_QUERY`).
        in_ = "_in";
        /// None of the values. Directus refuses an empty list (`INVALID_QUERY`).
        nin = "_nin";
    }

    flag_operators! {
        /// Has no value.
        null = "_null";
        /// Has a value.
        nnull = "_nnull";
        /// Has no value, or the empty text.
        empty = "_empty";
        /// Has a value, and not the empty text.
        nempty = "_nempty";
    }

    /// From `from` to `to`, both included. (`_between`)
    pub fn between(self, from: impl Into<Value>, to: impl Into<Value>) -> Filter {
        self.operator("_between", [from.into(), to.into()])
    }

    /// Outside of `from` to `to`. (`_nbetween`)
    pub fn nbetween(self, from: impl Into<Value>, to: impl Into<Value>) -> Filter {
        self.operator("_nbetween", [from.into(), to.into()])
    }

    /// An operator by its name in Directus, with the underscore: for one that is not here.
    pub fn operator(self, operator: &str, value: impl Into<Value>) -> Filter {
        let condition = json!({ operator: value.into() });
        Filter::raw(self.path.into_iter().rev().fold(condition, |inner, segment| json!({ segment: inner })))
    }
}

/// A value that Directus puts in: the time, or the user who asks.
///
/// ```
/// # use leptos_directus::protocol::{Filter, Variable};
/// let mine = Filter::field("author.user").eq(Variable::current_user());
/// assert_eq!(mine.to_json().to_string(), r#"{"author":{"user":{"_eq":"$CURRENT_USER"}}}"#);
///
/// let texts = [
///     Variable::now(),
///     Variable::current_user_field("avatar.id"),
///     Variable::current_role(),
///     Variable::current_roles(),
///     Variable::current_policies(),
/// ];
/// assert_eq!(
///     texts.each_ref().map(Variable::as_str),
///     ["$NOW", "$CURRENT_USER.avatar.id", "$CURRENT_ROLE", "$CURRENT_ROLES", "$CURRENT_POLICIES"],
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variable(String);

impl Variable {
    /// The time of the question. A subscription's `$NOW` is the time at which it was made, and stays so.
    pub fn now() -> Self {
        Self("$NOW".to_owned())
    }

    /// The time of the question, moved: `"-1 hour"`, `"+2 days"`, `"-1 year"`.
    pub fn now_adjusted(adjustment: &str) -> Self {
        Self(format!("$NOW({adjustment})"))
    }

    /// The key of the user who asks; for anonymous visitors null.
    pub fn current_user() -> Self {
        Self("$CURRENT_USER".to_owned())
    }

    /// A field of the user who asks, also through relations: `"location"`, `"avatar.id"`.
    pub fn current_user_field(path: &str) -> Self {
        Self(format!("$CURRENT_USER.{path}"))
    }

    /// The key of that user's role.
    pub fn current_role() -> Self {
        Self("$CURRENT_ROLE".to_owned())
    }

    /// The keys of that user's role and of its parents: for `in_([..])`.
    pub fn current_roles() -> Self {
        Self("$CURRENT_ROLES".to_owned())
    }

    /// The keys of that user's policies: for `in_([..])`.
    pub fn current_policies() -> Self {
        Self("$CURRENT_POLICIES".to_owned())
    }

    /// The variable as Directus writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Variable> for Value {
    fn from(variable: Variable) -> Self {
        Value::String(variable.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &Filter, expected: &str) {
        assert_eq!(filter.to_json().to_string(), expected);
    }

    #[test]
    fn every_operator_has_its_name() {
        let f = || Filter::field("f");
        check(&f().eq(1), r#"{"f":{"_eq":1}}"#);
        check(&f().neq("a"), r#"{"f":{"_neq":"a"}}"#);
        check(&f().lt(1.5), r#"{"f":{"_lt":1.5}}"#);
        check(&f().lte(1), r#"{"f":{"_lte":1}}"#);
        check(&f().gt(1), r#"{"f":{"_gt":1}}"#);
        check(&f().gte(1), r#"{"f":{"_gte":1}}"#);
        check(&f().in_([1, 2]), r#"{"f":{"_in":[1,2]}}"#);
        check(&f().nin(["a"]), r#"{"f":{"_nin":["a"]}}"#);
        check(&f().null(), r#"{"f":{"_null":true}}"#);
        check(&f().nnull(), r#"{"f":{"_nnull":true}}"#);
        check(&f().contains("a"), r#"{"f":{"_contains":"a"}}"#);
        check(&f().ncontains("a"), r#"{"f":{"_ncontains":"a"}}"#);
        check(&f().icontains("a"), r#"{"f":{"_icontains":"a"}}"#);
        check(&f().starts_with("a"), r#"{"f":{"_starts_with":"a"}}"#);
        check(&f().nstarts_with("a"), r#"{"f":{"_nstarts_with":"a"}}"#);
        check(&f().istarts_with("a"), r#"{"f":{"_istarts_with":"a"}}"#);
        check(&f().nistarts_with("a"), r#"{"f":{"_nistarts_with":"a"}}"#);
        check(&f().ends_with("a"), r#"{"f":{"_ends_with":"a"}}"#);
        check(&f().nends_with("a"), r#"{"f":{"_nends_with":"a"}}"#);
        check(&f().iends_with("a"), r#"{"f":{"_iends_with":"a"}}"#);
        check(&f().niends_with("a"), r#"{"f":{"_niends_with":"a"}}"#);
        check(&f().between(1, 2), r#"{"f":{"_between":[1,2]}}"#);
        check(&f().nbetween("a", "b"), r#"{"f":{"_nbetween":["a","b"]}}"#);
        check(&f().empty(), r#"{"f":{"_empty":true}}"#);
        check(&f().nempty(), r#"{"f":{"_nempty":true}}"#);
        check(&f().intersects(json!({"type": "Point"})), r#"{"f":{"_intersects":{"type":"Point"}}}"#);
        check(&f().nintersects(json!({})), r#"{"f":{"_nintersects":{}}}"#);
        check(&f().intersects_bbox(json!({})), r#"{"f":{"_intersects_bbox":{}}}"#);
        check(&f().nintersects_bbox(json!({})), r#"{"f":{"_nintersects_bbox":{}}}"#);
        check(&f().regex("^a"), r#"{"f":{"_regex":"^a"}}"#);
        check(&f().json(json!({"a.b": {"_eq": 1}})), r#"{"f":{"_json":{"a.b":{"_eq":1}}}}"#);
    }

    #[test]
    fn functions_go_around_the_last_name() {
        check(&Filter::field("year(date_created)").eq(2026), r#"{"year(date_created)":{"_eq":2026}}"#);
        for path in ["author.count(posts)", "count(author.posts)"] {
            check(&Filter::field(path).gt(2), r#"{"author":{"count(posts)":{"_gt":2}}}"#);
        }
        check(&Filter::field("a.year(b.c.d)").eq(1), r#"{"a":{"b":{"c":{"year(d)":{"_eq":1}}}}}"#);
        check(&Filter::field("json(meta, a.b)").eq(1), r#"{"json(meta, a.b)":{"_eq":1}}"#);
        check(&Filter::field("json(x.meta, a.b)").eq(1), r#"{"x":{"json(meta, a.b)":{"_eq":1}}}"#);
        check(&Filter::field("item:pages.title").eq(1), r#"{"item:pages":{"title":{"_eq":1}}}"#);
        // Nothing sensible, but no panic either.
        for path in ["", ".", "(", ")", "a(", "a(.", "a.)b(", "ä(ö.ü", "a(b.,c)"] {
            let _ = Filter::field(path).null();
        }
    }

    #[test]
    fn logic_nests_no_more_than_it_must() {
        let (a, b, c) = (Filter::field("a").null(), Filter::field("b").null(), Filter::field("c").null());
        check(
            &a.clone().and(b.clone()).and(c.clone()),
            r#"{"_and":[{"a":{"_null":true}},{"b":{"_null":true}},{"c":{"_null":true}}]}"#,
        );
        check(
            &a.clone().or(b.clone()).and(c.clone()),
            r#"{"_and":[{"_or":[{"a":{"_null":true}},{"b":{"_null":true}}]},{"c":{"_null":true}}]}"#,
        );
        assert_eq!(Filter::default().and(a.clone()), a);
        assert_eq!(a.clone().and(Filter::default()), a);
        assert_eq!(a.clone().or(Filter::default()), Filter::default());
        assert_eq!(Filter::default().or(a.clone()), Filter::default());
        assert_eq!(Filter::all([]), Filter::default());
        assert_eq!(Filter::all([Filter::default(), a.clone()]), a);
        assert_eq!(Filter::any([a.clone()]), a);
        check(&Filter::any([]), r#"{"_or":[]}"#);
        check(&Filter::none("posts.comments", b), r#"{"posts":{"comments":{"_none":{"b":{"_null":true}}}}}"#);
        check(&Filter::raw(json!({"x": 1})).and(c.clone()), r#"{"_and":[{"x":1},{"c":{"_null":true}}]}"#);
        // What stands beside an `_or` holds for that only.
        check(
            &Filter::raw(json!({"_or": [{"x": 1}], "y": 1})).or(c),
            r#"{"_or":[{"_or":[{"x":1}],"y":1},{"c":{"_null":true}}]}"#,
        );
    }

    #[test]
    fn variables_are_written_as_directus_knows_them() {
        for (variable, text) in [
            (Variable::now(), "$NOW"),
            (Variable::now_adjusted("-1 hour"), "$NOW(-1 hour)"),
            (Variable::current_user(), "$CURRENT_USER"),
            (Variable::current_user_field("avatar.id"), "$CURRENT_USER.avatar.id"),
            (Variable::current_role(), "$CURRENT_ROLE"),
            (Variable::current_roles(), "$CURRENT_ROLES"),
            (Variable::current_policies(), "$CURRENT_POLICIES"),
        ] {
            assert_eq!(Value::from(variable), Value::from(text));
        }
    }
}
