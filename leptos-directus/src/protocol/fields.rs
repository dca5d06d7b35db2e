use std::cell::RefCell;

use serde::{
    Deserializer, de,
    de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
};

/// How many names a field path has at most: `author.country.name`.
const DEPTH: usize = 3;

/// The fields that a type names, in Directus's notation, asked of serde.
///
/// ```
/// # use leptos_directus::protocol::fields_of;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Post {
///     id: i64,
///     title: String,
///     author: Option<Author>,
///     comments: Vec<Comment>,
/// }
///
/// #[derive(Deserialize)]
/// struct Author {
///     name: String,
/// }
///
/// #[derive(Deserialize)]
/// struct Comment {
///     id: String,
/// }
///
/// assert_eq!(fields_of::<Post>().unwrap(), ["id", "title", "author.name", "comments.id"]);
/// assert_eq!(fields_of::<serde_json::Value>(), None);
/// ```
///
/// `None` for what names no fields: maps, `Value`, enums, and structs with `#[serde(flatten)]`. Read `*` for them.
///
/// Structs behind `Option`, `Vec`, `Box` and newtypes are followed, up to three names in a path; a struct that lies
/// deeper is left out, which is how a type that holds itself ends. Everything else is one field: numbers, texts, dates,
/// enums, maps, `Value`, tuples. A map or a struct with `flatten` that stands for a *related* row therefore gets that
/// row's key only: give the fields yourself.
///
/// serde tells an `#[serde(alias = "…")]` like a field of its own, and Directus refuses a query for a field that does
/// not exist: with aliases, too, give the fields yourself. `rename` is fine.
pub fn fields_of<T: DeserializeOwned>() -> Option<Vec<String>> {
    let found = RefCell::new(None);
    let mut fields = Vec::new();
    visit::<T>(&mut Vec::new(), &found, &mut fields).then_some(fields).filter(|fields| !fields.is_empty())
}

/// Collects the fields of the struct at `path`; false if there is no struct.
fn visit<T: DeserializeOwned>(path: &mut Vec<&'static str>, found: &Found, fields: &mut Vec<String>) -> bool {
    found.replace(None);
    // The probe answers with an error as soon as it knows; what matters is what it has found by then.
    let _ = T::deserialize(Probe { path, found });
    let Some(names) = found.take().filter(|names| !names.is_empty()) else { return false };
    if path.len() == DEPTH {
        return true;
    }
    for name in names {
        path.push(name);
        if !visit::<T>(path, found, fields) {
            fields.push(path.join("."));
        }
        path.pop();
    }
    true
}

type Found = RefCell<Option<&'static [&'static str]>>;

/// A deserializer that holds one field of one field of …, and finds out whether a struct is asked for at its end.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'static str],
    found: &'a Found,
}

/// The end of a probe: not a failure, and seen by nobody.
#[derive(Debug, thiserror::Error)]
#[error("probed")]
struct Probed;

impl de::Error for Probed {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
        Err(Probed)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Probed> {
        match self.path {
            [] => {
                self.found.replace(Some(fields));
                Err(Probed)
            }
            path => visitor.visit_map(OneField { path, found: self.found }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Probed> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Probed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Probed> {
        visitor.visit_seq(OneElement(self))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct map enum identifier ignored_any
    }
}

/// A map with the first name of a path in it.
struct OneField<'a> {
    path: &'a [&'static str],
    found: &'a Found,
}

impl<'de> MapAccess<'de> for OneField<'_> {
    type Error = Probed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Probed> {
        match self.path.first() {
            Some(name) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Probed> {
        let (_, path) = self.path.split_first().ok_or(Probed)?;
        seed.deserialize(Probe { path, found: self.found })
    }
}

/// A sequence that begins with what a probe holds; no element is ever finished.
struct OneElement<'a>(Probe<'a>);

impl<'de> SeqAccess<'de> for OneElement<'_> {
    type Error = Probed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Probed> {
        seed.deserialize(self.0).map(Some)
    }
}

#[cfg(test)]
mod tests {
    #![expect(dead_code, reason = "the types are asked for their fields only")]

    use std::{collections::HashMap, marker::PhantomData};

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn check<T: DeserializeOwned>(expected: &[&str]) {
        assert_eq!(fields_of::<T>().as_deref().unwrap_or_default(), expected);
    }

    #[derive(Deserialize)]
    struct Author {
        id: i64,
        name: String,
    }

    #[derive(Deserialize)]
    struct Comment {
        id: String,
        author: Box<Author>,
    }

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Transparent(Option<Author>);

    #[derive(Deserialize)]
    struct Newtype(Vec<Comment>);

    #[test]
    fn structs_are_followed_through_options_lists_boxes_and_newtypes() {
        #[derive(Deserialize)]
        struct Post {
            id: i64,
            title: String,
            author: Option<Author>,
            comments: Vec<Comment>,
            editor: Transparent,
            reviews: Newtype,
            chief: Option<Box<Option<Author>>>,
        }

        check::<Author>(&["id", "name"]);
        check::<Post>(&[
            "id",
            "title",
            "author.id",
            "author.name",
            "comments.id",
            "comments.author.id",
            "comments.author.name",
            "editor.id",
            "editor.name",
            "reviews.id",
            "reviews.author.id",
            "reviews.author.name",
            "chief.id",
            "chief.name",
        ]);
        check::<Vec<Option<Box<Author>>>>(&["id", "name"]);
    }

    #[test]
    fn everything_else_is_one_field() {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Status {
            Draft,
            Published,
        }

        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Relation {
            Key(i64),
            Row(Author),
        }

        #[derive(Deserialize)]
        #[serde(tag = "kind")]
        enum Tagged {
            A { x: i64 },
        }

        /// Like the types of date crates.
        struct Date(String);

        impl<'de> Deserialize<'de> for Date {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Date)
            }
        }

        #[derive(Deserialize)]
        struct Empty {}

        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "Id")]
            id: u64,
            ok: bool,
            price: f64,
            letter: char,
            status: Status,
            relation: Relation,
            tagged: Tagged,
            date: Option<Date>,
            tags: Vec<String>,
            pair: (Author, i64),
            meta: Value,
            map: HashMap<String, Author>,
            nothing: (),
            marker: PhantomData<Author>,
            empty: Empty,
            #[serde(skip)]
            skipped: i64,
            #[serde(default)]
            note: Option<String>,
        }

        check::<Row>(&[
            "Id", "ok", "price", "letter", "status", "relation", "tagged", "date", "tags", "pair", "meta", "map",
            "nothing", "marker", "empty", "note",
        ]);
    }

    #[test]
    fn what_names_no_fields_has_none() {
        #[derive(Deserialize)]
        struct Flat {
            id: i64,
            #[serde(flatten)]
            rest: HashMap<String, Value>,
        }

        #[derive(Deserialize)]
        enum Choice {
            A,
        }

        #[derive(Deserialize)]
        struct Empty {}

        assert_eq!(fields_of::<Value>(), None);
        assert_eq!(fields_of::<HashMap<String, i64>>(), None);
        assert_eq!(fields_of::<serde_json::Map<String, Value>>(), None);
        assert_eq!(fields_of::<Flat>(), None);
        assert_eq!(fields_of::<Choice>(), None);
        assert_eq!(fields_of::<Empty>(), None);
        assert_eq!(fields_of::<String>(), None);
        assert_eq!(fields_of::<i64>(), None);
        assert_eq!(fields_of::<()>(), None);
    }

    #[test]
    fn a_type_that_holds_itself_ends() {
        #[derive(Deserialize)]
        struct Category {
            id: i64,
            parent: Option<Box<Category>>,
            children: Vec<Category>,
        }

        let fields = fields_of::<Category>().unwrap();
        assert_eq!(fields.len(), 1 + 2 + 4);
        assert!(fields.contains(&"parent.children.id".to_owned()));
        assert!(fields.iter().all(|field| field.split('.').count() <= DEPTH), "{fields:?}");
    }

    #[test]
    fn aliases_look_like_fields() {
        #[derive(Deserialize)]
        struct Row {
            #[serde(alias = "headline")]
            title: String,
        }

        let mut fields = fields_of::<Row>().unwrap();
        fields.sort_unstable();
        assert_eq!(fields, ["headline", "title"]);
    }

    #[test]
    fn from_and_deserialize_with_ask_what_they_ask() {
        #[derive(Deserialize)]
        #[serde(from = "Author")]
        struct Name(String);

        impl From<Author> for Name {
            fn from(author: Author) -> Self {
                Self(author.name)
            }
        }

        fn panics_on_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
            String::deserialize(deserializer).map(|text| text.parse().unwrap())
        }

        #[derive(Deserialize)]
        struct Row {
            author: Name,
            #[serde(deserialize_with = "panics_on_nothing")]
            count: i64,
        }

        check::<Row>(&["author.id", "author.name", "count"]);
    }
}
