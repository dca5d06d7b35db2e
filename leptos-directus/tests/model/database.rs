//! The rows of the simulated Directus, and what its REST answers: filters, order, windows, counts, rights.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use leptos_directus::{Error, Key, Page, connection::Millis, live::Change, protocol::EventKind};
use serde_json::{Map, Value, json};

pub(crate) type Row = Map<String, Value>;

/// What there is to read. All have the fields `title`, `rank`, `day`, `flag`, `author` (a row of `Authors`), `parent` (a row of the same) and `v`, which
/// is another number after each write to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Collection {
    /// Keys are integers.
    Articles,
    /// Keys are texts, in a field that is not `id`; without a sort the order is that of `rank` (`sort_field`).
    Tags,
    /// Keys are uuids.
    Notes,
    /// What the others relate to.
    Authors,
}

impl Collection {
    pub(crate) const ALL: [Self; 4] = [Self::Articles, Self::Tags, Self::Notes, Self::Authors];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Articles => "articles",
            Self::Tags => "tags",
            Self::Notes => "notes",
            Self::Authors => "authors",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.name() == name)
    }

    pub(crate) fn key_field(self) -> &'static str {
        if self == Self::Tags { "slug" } else { "id" }
    }

    /// A key as the database has it.
    fn key(self, key: &Key) -> Value {
        match self {
            Self::Articles | Self::Authors => key.as_str().parse::<u64>().map_or_else(|_| key.into(), Value::from),
            Self::Tags | Self::Notes => key.into(),
        }
    }
}

/// What somebody may read of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Full,
    Nothing,
    /// Rows with `flag` only.
    Flagged,
    /// Not the field `title`.
    NoTitle,
}

/// Somebody: 0 is the public.
pub(crate) type Who = u8;
pub(crate) const PEOPLE: Who = 3;

#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    /// Rows are shared with the copies of the database that older HTML is made of.
    tables: HashMap<Collection, Vec<Arc<Row>>>,
    rights: HashMap<(Who, Collection), Right>,
    made: u64,
    version: u64,
    /// `QUERY_LIMIT_MAX`: no answer has more rows, and none says so.
    pub(crate) limit_max: Option<usize>,
    /// When the row with this version was deleted.
    pub(crate) deaths: HashMap<u64, Millis>,
}

pub(crate) fn forbidden() -> Error {
    Error::answer(403, "FORBIDDEN", "You don't have permission to access this.")
}

impl Database {
    pub(crate) fn rows(&self, collection: Collection) -> &[Arc<Row>] {
        self.tables.get(&collection).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn right(&self, who: Who, collection: Collection) -> Right {
        self.rights.get(&(who, collection)).copied().unwrap_or(Right::Full)
    }

    pub(crate) fn set_right(&mut self, who: Who, collection: Collection, right: Right) {
        self.rights.insert((who, collection), right);
    }

    /// The key of the row at this place, counted around.
    pub(crate) fn pick(&self, collection: Collection, pick: u8) -> Option<Value> {
        let rows = self.rows(collection);
        let row = rows.get(usize::from(pick).checked_rem(rows.len())?)?;
        row.get(collection.key_field()).cloned()
    }

    /// A new row of values that `kind` chooses; under a key that was not there yet, or under this one.
    pub(crate) fn insert(&mut self, collection: Collection, kind: u8, key: Option<Value>) -> Value {
        self.made += 1;
        let n = self.made;
        let key = key.unwrap_or_else(|| match collection {
            // Around 10, where numbers and texts are not ordered alike.
            Collection::Articles | Collection::Authors => json!(n + 6),
            Collection::Tags => json!(format!("{}{n}", ["ä", "B", "a", "Z", "ö"][usize::from(kind) % 5])),
            Collection::Notes => {
                let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                json!(format!("{:08x}-0000-4000-8000-{:012x}", mixed >> 32, mixed & 0xffff_ffff_ffff))
            }
        });
        let mut row = Row::from_iter([(collection.key_field().to_owned(), key.clone())]);
        row.extend(self.draft(collection, kind));
        row.insert("v".to_owned(), self.next_version());
        self.tables.entry(collection).or_default().push(Arc::new(row));
        key
    }

    /// No rows any more, as if there had never been any.
    pub(crate) fn clear(&mut self, collection: Collection) {
        self.tables.remove(&collection);
    }

    /// A new row of these values; what is not among them is null.
    pub(crate) fn put(&mut self, collection: Collection, values: &Row) {
        let mut row: Row = Field::ALL.iter().map(|field| (field.name().to_owned(), Value::Null)).collect();
        row.extend(values.clone());
        row.insert("v".to_owned(), self.next_version());
        self.tables.entry(collection).or_default().push(Arc::new(row));
    }

    /// Changes a row to these values.
    pub(crate) fn set(&mut self, collection: Collection, key: &Value, values: &Row) {
        let version = self.next_version();
        let Some(row) = self.row_mut(collection, key) else { return };
        row.extend(values.clone());
        row.insert("v".to_owned(), version);
    }

    /// The values of a row that is to be made.
    pub(crate) fn draft(&self, collection: Collection, kind: u8) -> Row {
        Field::ALL.into_iter().map(|field| (field.name().to_owned(), self.value(collection, field, kind))).collect()
    }

    fn next_version(&mut self) -> Value {
        self.version += 1;
        json!(self.version)
    }

    /// One of a few awkward values.
    pub(crate) fn value(&self, collection: Collection, field: Field, kind: u8) -> Value {
        let kind = usize::from(kind);
        match field {
            Field::Title => {
                let titles = [
                    json!("Äpfel"),
                    json!("apfel"),
                    json!("Zebra"),
                    json!("ofen"),
                    json!("Öl"),
                    Value::Null,
                    json!(""),
                    json!("zebra"),
                ];
                titles[kind % titles.len()].clone()
            }
            Field::Rank => {
                let ranks = [json!(2), json!(10), json!(-1), Value::Null, json!(3), json!(0)];
                ranks[kind % ranks.len()].clone()
            }
            Field::Day => {
                let days = [json!("2024-01-31"), json!("2023-12-01"), Value::Null, json!("2024-11-02")];
                days[kind % days.len()].clone()
            }
            Field::Flag => json!(!kind.is_multiple_of(3)),
            Field::Author if collection == Collection::Authors => Value::Null,
            Field::Parent => {
                let rows = self.rows(collection);
                let row = rows.get(kind % (rows.len() + 1));
                row.and_then(|row| row.get(collection.key_field())).cloned().unwrap_or_default()
            }
            Field::Author => {
                let rows = self.rows(Collection::Authors);
                rows.get(kind % (rows.len() + 1)).and_then(|row| row.get("id")).cloned().unwrap_or_default()
            }
        }
    }

    /// Changes one field of a row; whether there was such a row.
    pub(crate) fn update(&mut self, collection: Collection, key: &Value, field: Field, kind: u8) -> bool {
        let (value, version) = (self.value(collection, field, kind), self.next_version());
        let Some(row) = self.row_mut(collection, key) else { return false };
        row.insert(field.name().to_owned(), value);
        row.insert("v".to_owned(), version);
        true
    }

    /// What a row has in the field that the order by hand is kept in.
    pub(crate) fn rank(&self, collection: Collection, key: &Value) -> Option<&Value> {
        let row = self.rows(collection).iter().find(|row| row.get(collection.key_field()) == Some(key))?;
        row.get(Field::Rank.name())
    }

    /// `POST /utils/sort`: puts a row where another one is, and counts those in between anew; before that all of them, if two have
    /// the same number. What notes a write elsewhere, as `v` does, notes none of it.
    pub(crate) fn sort(&mut self, collection: Collection, item: &Value, to: &Value) {
        let (field, key_field) = (Field::Rank.name(), collection.key_field());
        let Some(rows) = self.tables.get_mut(&collection) else { return };
        let place = |key: &Value| rows.iter().position(|row| row.get(key_field) == Some(key));
        let (Some(item), Some(to)) = (place(item), place(to)) else { return };
        let numbered = |row: &Arc<Row>| row.get(field).and_then(Value::as_i64);
        let mut last = rows.iter().filter_map(numbered).max().unwrap_or_default();
        let mut next = || {
            last += 1;
            last
        };
        let mut ranks: Vec<i64> = rows.iter().map(|row| numbered(row).unwrap_or_else(&mut next)).collect();
        let mut order: Vec<usize> = (0..ranks.len()).collect();
        order.sort_by_key(|at| ranks[*at]);
        if order.windows(2).any(|two| ranks[two[0]] == ranks[two[1]]) {
            (1..).zip(order).for_each(|(rank, at)| ranks[at] = rank);
        }
        let (from, target) = (ranks[item], ranks[to]);
        for rank in &mut ranks {
            if (from + 1..=target).contains(rank) {
                *rank -= 1;
            } else if (target..from).contains(rank) {
                *rank += 1;
            }
        }
        ranks[item] = target;
        for (row, rank) in rows.iter_mut().zip(ranks) {
            if numbered(row) != Some(rank) {
                Arc::make_mut(row).insert(field.to_owned(), json!(rank));
            }
        }
    }

    /// Deletes a row; whoever relates to it relates to nothing (`ON DELETE SET NULL`).
    pub(crate) fn delete(&mut self, now: Millis, collection: Collection, key: &Value) {
        let Some(rows) = self.tables.get_mut(&collection) else { return };
        let Some(place) = rows.iter().position(|row| row.get(collection.key_field()) == Some(key)) else { return };
        let version = rows.remove(place).get("v").and_then(Value::as_u64).unwrap_or_default();
        self.deaths.insert(version, now);
        if collection != Collection::Authors {
            return;
        }
        let mut version = self.version;
        for (_, rows) in self.tables.iter_mut().filter(|(child, _)| **child != Collection::Authors) {
            for row in rows.iter_mut().filter(|row| row.get("author") == Some(key)) {
                version += 1;
                let row = Arc::make_mut(row);
                row.insert("author".to_owned(), Value::Null);
                row.insert("v".to_owned(), json!(version));
            }
        }
        self.version = version;
    }

    /// A write as REST takes it: what it answers, and what was done to which row, if anything was.
    #[expect(clippy::too_many_arguments, reason = "a request is all of this")]
    pub(crate) fn write(
        &mut self,
        now: Millis,
        who: Who,
        is_admin: bool,
        collection: Collection,
        key: Option<&Key>,
        change: &Change,
        fields: &[String],
    ) -> (Result<Value, Error>, Option<(EventKind, Value)>) {
        let right = self.right(who, collection);
        let key = key.map(|key| collection.key(key));
        let is_hidden = |title: bool| right == Right::Nothing || (title && right == Right::NoTitle);
        let is_orphan = |row: &Row| {
            let author = row.get("author").filter(|author| !author.is_null());
            author.is_some_and(|key| !self.rows(Collection::Authors).iter().any(|row| row.get("id") == Some(key)))
        };
        let no_author = || Error::answer(400, "INVALID_FOREIGN_KEY", "there is no such author");
        let is_there = key.as_ref().is_some_and(|key| self.sees(who, collection, key));
        let event = match change {
            Change::Create(data) => {
                let Some(data) = data.as_object() else { return (Ok(Value::Null), None) };
                if is_hidden(data.contains_key("title")) {
                    return (Err(forbidden()), None);
                }
                let field = collection.key_field();
                if self.rows(collection).iter().any(|row| key.is_some() && row.get(field) == key.as_ref()) {
                    return (Err(Error::answer(400, "RECORD_NOT_UNIQUE", "the key is there")), None);
                }
                if is_orphan(data) {
                    return (Err(no_author()), None);
                }
                let made = self.insert(collection, 0, key);
                if let Some(row) = self.row_mut(collection, &made) {
                    row.extend(data.clone());
                    row.insert(field.to_owned(), made.clone());
                }
                (EventKind::Create, made)
            }
            _ if !is_there && is_admin => return (Ok(Value::Null), None),
            _ if !is_there => return (Err(forbidden()), None),
            Change::Update(patch) => {
                if is_hidden(patch.contains_key("title")) {
                    return (Err(forbidden()), None);
                }
                if is_orphan(patch) {
                    return (Err(no_author()), None);
                }
                let (key, version) = (key.unwrap_or_default(), self.next_version());
                if let Some(row) = self.row_mut(collection, &key) {
                    row.extend((**patch).clone());
                    row.insert("v".to_owned(), version);
                }
                (EventKind::Update, key)
            }
            Change::Delete => {
                let key = key.unwrap_or_default();
                self.delete(now, collection, &key);
                return (Ok(Value::Null), Some((EventKind::Delete, key)));
            }
        };
        let key = Key::from_value(&event.1);
        // Whoever may write and not read is answered nothing.
        let answer = key.and_then(|key| self.row(who, collection, &key, fields).ok().flatten());
        (Ok(answer.unwrap_or_default()), Some(event))
    }

    /// The row with this key, if there is one for this visitor.
    pub(crate) fn row(
        &self,
        who: Who,
        collection: Collection,
        key: &Key,
        fields: &[String],
    ) -> Result<Option<Value>, Error> {
        let filter = json!({ (collection.key_field()): { "_eq": key } });
        let page = self.read(who, collection, &json!({ "fields": fields, "filter": filter, "limit": 1 }))?;
        Ok(page.items.into_iter().next())
    }

    /// Whether there is such a row for this visitor.
    fn sees(&self, who: Who, collection: Collection, key: &Value) -> bool {
        let right = self.right(who, collection);
        let row = self.rows(collection).iter().find(|row| row.get(collection.key_field()) == Some(key));
        right != Right::Nothing
            && row.is_some_and(|row| right != Right::Flagged || row.get("flag") == Some(&json!(true)))
    }

    /// Whether there is a row with this key for this visitor.
    pub(crate) fn is_seen(&self, who: Who, collection: Collection, key: &Key) -> bool {
        self.sees(who, collection, &collection.key(key))
    }

    pub(crate) fn version_of(&self, collection: Collection, key: &Value) -> Option<u64> {
        let row = self.rows(collection).iter().find(|row| row.get(collection.key_field()) == Some(key))?;
        row.get("v").and_then(Value::as_u64)
    }

    fn row_mut(&mut self, collection: Collection, key: &Value) -> Option<&mut Row> {
        self.tables
            .get_mut(&collection)?
            .iter_mut()
            .find(|row| row.get(collection.key_field()) == Some(key))
            .map(Arc::make_mut)
    }

    fn related(&self, row: &Row, who: Option<Who>) -> Option<&Row> {
        let key = row.get("author")?;
        let author = self.rows(Collection::Authors).iter().find(|author| author.get("id") == Some(key))?;
        let hidden = who.is_some_and(|who| self.right(who, Collection::Authors) == Right::Flagged);
        (!hidden || author.get("flag") == Some(&json!(true))).then_some(author)
    }

    /// What REST answers.
    pub(crate) fn read(
        &self,
        who: Who,
        collection: Collection,
        query: &Value,
    ) -> Result<Page<serde_json::Value>, Error> {
        let named = named(query);
        let title_and_author = |path: &String| match path.strip_prefix("author.") {
            None => (path == "title", false),
            Some(field) => (field == "title", true),
        };
        for path in &named {
            let (title, of_author) = title_and_author(path);
            let right = self.right(who, if of_author { Collection::Authors } else { collection });
            if right == Right::Nothing || (title && right == Right::NoTitle) {
                return Err(forbidden());
            }
        }
        let right = self.right(who, collection);
        if right == Right::Nothing {
            return Err(forbidden());
        }
        let visible = self
            .rows(collection)
            .iter()
            .filter(|row| right != Right::Flagged || row.get("flag") == Some(&json!(true)))
            .map(Arc::as_ref)
            .collect::<Vec<_>>();
        let total = visible.len();
        let filter = query.get("filter").and_then(Value::as_object).cloned().unwrap_or_default();
        let search = query.get("search").and_then(Value::as_str).map(str::to_lowercase);
        let mut rows: Vec<&Row> = visible
            .into_iter()
            .filter(|row| self.matches(row, &filter, who))
            .filter(|row| {
                let title = row.get("title").and_then(Value::as_str).unwrap_or_default().to_lowercase();
                search.as_ref().is_none_or(|search| title.contains(search))
            })
            .collect();
        let found = rows.len();
        let number = |name: &str| query.get(name).and_then(Value::as_i64);
        let limit = usize::try_from(number("limit").unwrap_or(100)).unwrap_or(usize::MAX);
        let limit = limit.min(self.limit_max.unwrap_or(usize::MAX));
        if query.get("aggregate").is_some() {
            let groups = groups(&rows, &texts(query, "groupBy")).into_iter();
            return Ok(Page { items: groups.take(limit).collect(), meta: None });
        }
        let mut sort = texts(query, "sort");
        if sort.is_empty() {
            sort = vec![if collection == Collection::Tags { "rank" } else { "id" }.to_owned()];
        }
        rows.sort_by(|a, b| {
            sort.iter().fold(Ordering::Equal, |order, path| {
                order.then_with(|| {
                    let (path, down) = path.strip_prefix('-').map_or((path.as_str(), false), |path| (path, true));
                    let order = compare(&self.at(a, path, who), &self.at(b, path, who));
                    if down { order.reverse() } else { order }
                })
            })
        });
        let page = usize::try_from(number("page").unwrap_or(1)).unwrap_or(1).max(1);
        let skip = match number("offset") {
            Some(offset) => usize::try_from(offset).unwrap_or_default(),
            None => limit.saturating_mul(page - 1),
        };
        let fields = texts(query, "fields");
        let items = rows.into_iter().skip(skip).take(limit);
        let items = items.map(|row| self.shown(collection, row, &fields, who)).collect();
        let wanted = query.get("meta").and_then(Value::as_str);
        let meta = wanted.map(|_| json!({ "total_count": total, "filter_count": found }));
        Ok(Page { items, meta })
    }

    fn shown(&self, collection: Collection, row: &Row, fields: &[String], who: Who) -> Value {
        let mut shown = Row::new();
        for field in fields {
            if field == "children" {
                let key = row.get(collection.key_field());
                let children = self.rows(collection).iter().filter(|child| child.get("parent") == key);
                let keys = children.filter_map(|child| child.get(collection.key_field()).cloned());
                shown.insert(field.clone(), Value::Array(keys.collect()));
                continue;
            }
            match field.split_once('.') {
                None => drop(shown.insert(field.clone(), row.get(field).cloned().unwrap_or_default())),
                Some((relation, field)) => match self.related(row, Some(who)) {
                    None => drop(shown.insert(relation.to_owned(), Value::Null)),
                    Some(author) => {
                        let nested = shown.entry(relation).or_insert_with(|| json!({}));
                        nested[field] = author.get(field).cloned().unwrap_or_default();
                    }
                },
            }
        }
        Value::Object(shown)
    }

    fn at(&self, row: &Row, path: &str, who: Who) -> Value {
        if let Some(field) = path.strip_prefix("year(").and_then(|rest| rest.strip_suffix(')')) {
            let year = row.get(field).and_then(Value::as_str).and_then(|day| day.get(..4)?.parse::<i64>().ok());
            return year.map_or(Value::Null, Value::from);
        }
        match path.split_once('.') {
            None => row.get(path).cloned().unwrap_or_default(),
            Some((_, field)) => {
                self.related(row, Some(who)).and_then(|author| author.get(field)).cloned().unwrap_or_default()
            }
        }
    }

    fn matches(&self, row: &Row, filter: &Row, who: Who) -> bool {
        filter.iter().all(|(name, condition)| match (name.as_str(), condition) {
            ("_and", Value::Array(all)) => {
                all.iter().filter_map(Value::as_object).all(|one| self.matches(row, one, who))
            }
            ("_or", Value::Array(any)) => {
                any.is_empty() || any.iter().filter_map(Value::as_object).any(|one| self.matches(row, one, who))
            }
            (field, Value::Object(conditions)) => conditions.iter().all(|(name, operand)| {
                if name.starts_with('_') {
                    return meets(row.get(field).unwrap_or(&Value::Null), name, operand);
                }
                let nested = Row::from_iter([(name.clone(), operand.clone())]);
                self.related(row, Some(who)).is_some_and(|author| self.matches(author, &nested, who))
            }),
            _ => false,
        })
    }
}

/// The fields that people write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Title,
    Rank,
    Day,
    Flag,
    Author,
    /// Another row of the collection, which shows this one among its `children`.
    Parent,
}

impl Field {
    pub(crate) const ALL: [Self; 6] = [Self::Title, Self::Rank, Self::Day, Self::Flag, Self::Author, Self::Parent];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Rank => "rank",
            Self::Day => "day",
            Self::Flag => "flag",
            Self::Author => "author",
            Self::Parent => "parent",
        }
    }
}

fn texts(query: &Value, name: &str) -> Vec<String> {
    let texts = query.get(name).and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The fields that a query names anywhere.
fn named(query: &Value) -> Vec<String> {
    fn of_filter(filter: &Value, named: &mut Vec<String>) {
        for (name, condition) in filter.as_object().into_iter().flatten() {
            match condition {
                Value::Array(filters) => filters.iter().for_each(|filter| of_filter(filter, named)),
                condition => {
                    let nested = condition.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with('_'));
                    let before = named.len();
                    named.extend(nested.map(|(field, _)| format!("{name}.{field}")));
                    if named.len() == before {
                        named.push(name.clone());
                    }
                }
            }
        }
    }
    let mut named: Vec<String> = ["fields", "sort", "groupBy"].iter().flat_map(|name| texts(query, name)).collect();
    for path in &mut named {
        *path = path.strip_prefix('-').unwrap_or(path).to_owned();
    }
    of_filter(query.get("filter").unwrap_or(&Value::Null), &mut named);
    named
}

fn groups(rows: &[&Row], by: &[String]) -> Vec<Value> {
    let Some(field) = by.first() else { return vec![json!({ "count": rows.len() })] };
    let mut groups: Vec<(Value, usize)> = Vec::new();
    for row in rows {
        let value = row.get(field).cloned().unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => groups.push((value, 1)),
        }
    }
    groups.sort_by(|(a, _), (b, _)| compare(a, b));
    groups.into_iter().map(|(value, count)| json!({ (field.as_str()): value, "count": count })).collect()
}

/// The database's own order, which is not Rust's: nulls first, case and umlauts do not count in texts.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        _ => 3,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
        (Value::String(a), Value::String(b)) => collated(a).cmp(&collated(b)),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn collated(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|c| match c {
            'ä' => 'a',
            'ö' => 'o',
            'ü' => 'u',
            c => c,
        })
        .collect()
}

fn meets(value: &Value, operator: &str, operand: &Value) -> bool {
    // As the database casts them: `"7"` is the integer key 7.
    let same =
        |a: &Value, b: &Value| a == b || (Key::from_value(a).is_some() && Key::from_value(a) == Key::from_value(b));
    let list = || operand.as_array().into_iter().flatten();
    match operator {
        "_null" => value.is_null() == (operand == &json!(true)),
        "_nnull" => value.is_null() != (operand == &json!(true)),
        _ if value.is_null() => false,
        "_eq" => same(value, operand),
        "_neq" => !same(value, operand),
        "_in" => list().any(|one| same(value, one)),
        "_nin" => !list().any(|one| same(value, one)),
        "_lt" => compare(value, operand) == Ordering::Less,
        "_lte" => compare(value, operand) != Ordering::Greater,
        "_gt" => compare(value, operand) == Ordering::Greater,
        "_gte" => compare(value, operand) != Ordering::Less,
        "_contains" => match (value.as_str(), operand.as_str()) {
            (Some(text), Some(part)) => text.contains(part),
            _ => false,
        },
        _ => false,
    }
}
