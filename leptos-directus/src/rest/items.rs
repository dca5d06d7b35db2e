//! Items of one collection: read, create, update, delete.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Page, Rest, decode};
use crate::{
    error::Error,
    protocol::{Filter, Key, Query, collection_path, fields_of, item_path},
};

/// The items of one collection, read as `T`. Made by [`Directus::items`](crate::Directus::items).
///
/// One, many, and by query:
///
/// ```
/// use leptos_directus::{Error, Filter, Query, use_directus};
/// use serde_json::{Value, json};
///
/// async fn housekeeping() -> Result<(), Error> {
///     let posts = use_directus().items::<Value>("posts");
///     let drafts = Query::new().filter(Filter::field("status").eq("draft"));
///
///     let one = posts.read_one(7, Query::new().fields(["title", "author.name"])).await?;
///     let some = posts.read_many([7, 8], Query::new().sort("title")).await?;
///     let page = posts.read_with_meta(drafts.clone().limit(10).meta("filter_count")).await?;
///     let per_author = posts.aggregate(Query::new().aggregate("count", "*").group_by(["author"])).await?;
///     println!("{one}, {} rows, {:?}, {} authors", some.len(), page.meta, per_author.len());
///
///     posts.create_many(&[json!({ "title": "one" }), json!({ "title": "two" })]).await?;
///     posts.update_many([7, 8], &json!({ "status": "published" })).await?;
///     posts.update_by_query(drafts.clone(), &json!({ "status": "archived" })).await?;
///     posts.delete(7).await?;
///     posts.delete_many([8, 9]).await?;
///     posts.delete_by_query(drafts).await?;
///
///     let masthead = use_directus().items::<Value>("masthead");
///     println!("{}", masthead.read_singleton(Query::new()).await?["headline"]);
///     masthead.update_singleton(&json!({ "headline": "Good morning" })).await?;
///     Ok(())
/// }
/// ```
///
/// # Writing without reading
/// Who may create but not read (a contact form, comments that wait for a moderator) gets `Ok`, as the write has worked, and
/// no row: [`create`](Self::create), [`update`](Self::update) and [`update_singleton`](Self::update_singleton) then answer
/// `None`, the calls for many an empty list.
///
/// # Reading
/// Where a query names no `fields`, those that `T` names are asked for, nested ones too; `*` if `T` names none (as
/// `serde_json::Value` does). Without a limit all rows are read.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Error, Filter, Query, use_directus};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// struct Post {
///     id: i64,
///     title: String,
/// }
///
/// #[derive(Serialize)]
/// struct NewPost<'a> {
///     title: &'a str,
/// }
///
/// async fn publish() -> Result<Vec<Post>, Error> {
///     let posts = use_directus().items::<Post>("posts");
///     // `None`: it is there, and this visitor may not read it.
///     if let Some(created) = posts.create(&NewPost { title: "Hello" }).await? {
///         posts.update(created.id, &serde_json::json!({ "status": "published" })).await?;
///     }
///     posts.read(Query::new().filter(Filter::field("status").eq("published")).sort(["-date_created"])).await
/// }
/// ```
///
/// # Errors
/// Every call fails with an [`Error`] that says what was tried: Directus's refusal with its code, or that nobody answered.
///
/// # Server-side rendering
/// The same calls work on the server, in components and `#[server]` functions, as the visitor of the request.
pub struct Items<T> {
    rest: Result<Rest, Error>,
    collection: String,
    key_field: String,
    row: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Items").field("collection", &self.collection).finish_non_exhaustive()
    }
}

impl<T> Clone for Items<T> {
    fn clone(&self) -> Self {
        let (rest, collection, key_field) = (self.rest.clone(), self.collection.clone(), self.key_field.clone());
        Self { rest, collection, key_field, row: PhantomData }
    }
}

/// What is asked for where the query does not say: the fields that `T` names.
pub(crate) fn with_fields_of<T: DeserializeOwned>(query: Query) -> Query {
    if !query.fields.is_empty() || query.is_aggregate() {
        return query;
    }
    match fields_of::<T>() {
        Some(fields) => query.fields(fields),
        None => query,
    }
}

impl<T: DeserializeOwned> Items<T> {
    pub(crate) fn new(rest: Result<Rest, Error>, collection: String) -> Self {
        Self { rest, collection, key_field: "id".to_owned(), row: PhantomData }
    }

    /// The field that holds the collection's key, where that is not `id`: reads are sorted by it at last, and rows are asked
    /// for by it.
    ///
    /// ```
    /// use leptos_directus::{Error, Query, use_directus};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Country {
    ///     code: String,
    ///     name: String,
    /// }
    ///
    /// async fn neighbours() -> Result<Vec<Country>, Error> {
    ///     let countries = use_directus().items::<Country>("countries").key_field("code");
    ///     countries.read_many(["at", "ch"], Query::new().sort("name")).await
    /// }
    /// ```
    #[must_use]
    pub fn key_field(mut self, field: impl Into<String>) -> Self {
        self.key_field = field.into();
        self
    }

    fn rest(&self) -> Result<&Rest, Error> {
        self.rest.as_ref().map_err(Clone::clone)
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} `{}`", self.collection)
    }

    fn rows(&self, data: Value, what: &str) -> Result<Vec<T>, Error> {
        let rows = match data {
            Value::Array(rows) => rows,
            Value::Null => Vec::new(),
            row => vec![row],
        };
        rows.into_iter().map(|row| decode(row, what)).collect()
    }

    /// Asks for the fields of `T` in the answer to a write, too.
    fn answer_fields(&self) -> String {
        let text = with_fields_of::<T>(Query::new()).to_query_string();
        if text.is_empty() { text } else { format!("?{text}") }
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or a row that does not fit `T`.
    pub async fn read(&self, query: Query) -> Result<Vec<T>, Error> {
        Ok(self.read_with_meta(query).await?.items)
    }

    /// The rows of a query, with the counts that it asks for by `meta`.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or a row that does not fit `T`.
    pub async fn read_with_meta(&self, query: Query) -> Result<Page<T>, Error> {
        let asked = with_fields_of::<T>(query);
        let mut query = asked.for_reading(&self.key_field);
        // Nobody here needs the key.
        query.fields = asked.fields;
        let page = self.rest()?.read_page(&self.collection, &query).await?;
        Ok(Page { items: self.rows(Value::Array(page.items), &self.what("reading"))?, meta: page.meta })
    }

    /// One row by its key. Directus answers `FORBIDDEN` for a row that does not exist.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or a row that does not fit `T`. A query too long for an address (some 60 nested fields)
    /// is asked as a filter by the [`key_field`](Self::key_field).
    pub async fn read_one(&self, key: impl Into<Key>, query: Query) -> Result<T, Error> {
        let (key, what) = (key.into(), self.what("reading"));
        let query = with_fields_of::<T>(query);
        if query.fits_url() {
            return self.rest()?.get(&item_path(&self.collection, &key), &query, &what).await;
        }
        // Directus knows `SEARCH` for collections only.
        let query = query.and_filter(Filter::field(&self.key_field).eq(key)).limit(1);
        let page = self.rest()?.read_page(&self.collection, &query).await?;
        let row = page.items.into_iter().next().ok_or_else(|| {
            Error::answer(403, "FORBIDDEN", format!("{what}: there is no such row, or none for this visitor"))
        })?;
        decode(row, &what)
    }

    /// The rows with these keys, as far as there are any, in the query's order.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or a row that does not fit `T`. The key is `id`, or the [`key_field`](Self::key_field).
    pub async fn read_many(
        &self,
        keys: impl IntoIterator<Item = impl Into<Key>>,
        query: Query,
    ) -> Result<Vec<T>, Error> {
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        if keys.is_empty() {
            // Directus takes an empty `_in` for an invalid query.
            return Ok(Vec::new());
        }
        self.read(query.and_filter(Filter::field(&self.key_field).in_(keys))).await
    }

    /// Creates one item and answers it as Directus made it; `None` if it was made and the visitor may not read it.
    ///
    /// ```
    /// use leptos_directus::{Error, use_directus};
    /// use serde_json::{Value, json};
    ///
    /// async fn send(text: &str) -> Result<(), Error> {
    ///     // Whether or not the visitor may read it: it was sent.
    ///     use_directus().items::<Value>("messages").create(&json!({ "text": text })).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Directus's refusal (see [`Error::is_validation`]), no answer, or an answer that does not fit `T`.
    pub async fn create(&self, item: &impl Serialize) -> Result<Option<T>, Error> {
        let what = self.what("creating in");
        let path = format!("{}{}", collection_path(&self.collection), self.answer_fields());
        let (data, _) = self.rest()?.request("POST", &path, Some(&encode(item, &what)?), &what).await?;
        written(data, &what)
    }

    /// Creates several items in one request: all of them or none. Empty if they were made and the visitor may not read them.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or an answer that does not fit `T`.
    pub async fn create_many(&self, items: &[impl Serialize]) -> Result<Vec<T>, Error> {
        let what = self.what("creating in");
        let path = format!("{}{}", collection_path(&self.collection), self.answer_fields());
        let (data, _) = self.rest()?.request("POST", &path, Some(&encode(&items, &what)?), &what).await?;
        self.rows(data, &what)
    }

    /// Changes the given fields of one item and answers it whole; `None` if it was changed and the visitor may not read it.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or an answer that does not fit `T`.
    pub async fn update(&self, key: impl Into<Key>, patch: &impl Serialize) -> Result<Option<T>, Error> {
        let what = self.what("updating");
        let path = format!("{}{}", item_path(&self.collection, &key.into()), self.answer_fields());
        let (data, _) = self.rest()?.request("PATCH", &path, Some(&encode(patch, &what)?), &what).await?;
        written(data, &what)
    }

    /// Changes the given fields of several items alike.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or an answer that does not fit `T`.
    pub async fn update_many(
        &self,
        keys: impl IntoIterator<Item = impl Into<Key>>,
        patch: &impl Serialize,
    ) -> Result<Vec<T>, Error> {
        let what = self.what("updating");
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        self.update_all(&json!({ "keys": keys, "data": encode(patch, &what)? }), &what).await
    }

    /// Changes the given fields of every item that the query finds.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or an answer that does not fit `T`.
    pub async fn update_by_query(&self, query: Query, patch: &impl Serialize) -> Result<Vec<T>, Error> {
        let what = self.what("updating");
        let query = query.for_reading(&self.key_field).to_json();
        self.update_all(&json!({ "query": query, "data": encode(patch, &what)? }), &what).await
    }

    async fn update_all(&self, body: &Value, what: &str) -> Result<Vec<T>, Error> {
        let path = format!("{}{}", collection_path(&self.collection), self.answer_fields());
        let (data, _) = self.rest()?.request("PATCH", &path, Some(body), what).await?;
        self.rows(data, what)
    }

    /// Deletes one item.
    ///
    /// # Errors
    /// Directus's refusal, or no answer.
    pub async fn delete(&self, key: impl Into<Key>) -> Result<(), Error> {
        let path = item_path(&self.collection, &key.into());
        self.rest()?.request("DELETE", &path, None, &self.what("deleting from")).await.map(drop)
    }

    /// Deletes several items: all of them or none.
    ///
    /// # Errors
    /// Directus's refusal, or no answer.
    pub async fn delete_many(&self, keys: impl IntoIterator<Item = impl Into<Key>>) -> Result<(), Error> {
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        self.delete_all(&json!(keys)).await
    }

    /// Deletes every item that the query finds.
    ///
    /// # Errors
    /// Directus's refusal, or no answer.
    pub async fn delete_by_query(&self, query: Query) -> Result<(), Error> {
        self.delete_all(&json!({ "query": query.for_reading(&self.key_field).to_json() })).await
    }

    async fn delete_all(&self, body: &Value) -> Result<(), Error> {
        let path = collection_path(&self.collection);
        self.rest()?.request("DELETE", &path, Some(body), &self.what("deleting from")).await.map(drop)
    }

    /// The one item of a singleton.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or an item that does not fit `T`.
    pub async fn read_singleton(&self, query: Query) -> Result<T, Error> {
        let path = collection_path(&self.collection);
        self.rest()?.get(&path, &with_fields_of::<T>(query), &self.what("reading")).await
    }

    /// Changes the given fields of a singleton; `None` if it was changed and the visitor may not read it.
    ///
    /// # Errors
    /// Directus's refusal, no answer, or an answer that does not fit `T`.
    pub async fn update_singleton(&self, patch: &impl Serialize) -> Result<Option<T>, Error> {
        let what = self.what("updating");
        let path = format!("{}{}", collection_path(&self.collection), self.answer_fields());
        let (data, _) = self.rest()?.request("PATCH", &path, Some(&encode(patch, &what)?), &what).await?;
        written(data, &what)
    }

    /// Counts, sums and the like: what `aggregate` and `group_by` of the query give, one object for each group. Without a limit
    /// all groups.
    ///
    /// # Errors
    /// Directus's refusal, or no answer.
    pub async fn aggregate(&self, query: Query) -> Result<Vec<Value>, Error> {
        Ok(self.rest()?.read_page(&self.collection, &query.for_reading(&self.key_field)).await?.items)
    }
}

/// The row that a write answers with. None of it means that all went well and the row may not be read: Directus says so by
/// an empty answer (204).
fn written<T: DeserializeOwned>(data: Value, what: &str) -> Result<Option<T>, Error> {
    if data.is_null() { Ok(None) } else { decode(data, what).map(Some) }
}

fn encode(value: &impl Serialize, what: &str) -> Result<Value, Error> {
    serde_json::to_value(value)
        .map_err(|error| Error::usage(format!("{what}: the value can't be written as JSON: {error}")))
}
