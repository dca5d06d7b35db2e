//! One write of a live list, and what is asked when its answer does not say all.

use serde::Deserialize;
use serde_json::Value;

use super::Rest;
use crate::{
    error::Error,
    live::{Change, Intent, Who},
    protocol::{Filter, Key, Query, collection_path, item_path},
};

impl Rest {
    /// Makes a write; `key` is its row's, as far as it has one. Answers the row, or null.
    pub(crate) async fn write(&self, intent: &Intent, key: Option<&Key>) -> Result<Value, Error> {
        let collection = &intent.collection;
        let asked = if intent.fields.is_empty() { String::new() } else { asked_back(fields(intent)) };
        // Without a row it is the one item of a singleton.
        if key.is_none() && intent.layer.row.is_some() && !matches!(intent.layer.change, Change::Create(_)) {
            return Err(Error::conflict("the key of the row is not known, so it can't be changed or deleted"));
        }
        let path = key.map_or_else(|| collection_path(collection), |key| item_path(collection, key));
        let (data, _) = match &intent.layer.change {
            Change::Create(row) => {
                let (path, what) = (collection_path(collection), format!("creating in `{collection}`"));
                self.request("POST", &format!("{path}{asked}"), Some(row), &what).await?
            }
            Change::Update(patch) => {
                let (patch, what) = (Value::Object((**patch).clone()), format!("updating `{collection}`"));
                self.request("PATCH", &format!("{path}{asked}"), Some(&patch), &what).await?
            }
            Change::Delete => self.request("DELETE", &path, None, &format!("deleting from `{collection}`")).await?,
        };
        Ok(data)
    }

    /// The row with this key, if there is one for this visitor.
    pub(crate) async fn row(&self, intent: &Intent, key: &Key) -> Result<Option<Value>, Error> {
        self.row_of(intent, key, fields(intent)).await
    }

    /// These fields of the row with this key.
    pub(crate) async fn fields_of_row(
        &self,
        intent: &Intent,
        key: &Key,
        fields: &[String],
    ) -> Result<Option<Value>, Error> {
        self.row_of(intent, key, Query::new().fields(fields)).await
    }

    async fn row_of(&self, intent: &Intent, key: &Key, query: Query) -> Result<Option<Value>, Error> {
        let query = query.filter(Filter::field(&intent.key_field).eq(key.clone())).limit(1);
        Ok(self.read_page(&intent.collection, &query).await?.items.into_iter().next())
    }

    /// What became of an update that Directus accepted without a row in its answer. For whoever may write and not read, that is
    /// how it answers; administrators are answered so for a row that is gone.
    pub(crate) async fn row_after_update(&self, intent: &Intent, key: &Key) -> Result<Option<Value>, Error> {
        #[derive(Deserialize)]
        struct Globals {
            #[serde(default)]
            admin_access: bool,
        }
        match self.row(intent, key).await {
            Ok(Some(row)) => return Ok(Some(row)),
            Ok(None) => {}
            Err(error) if error.is_forbidden() => {}
            Err(error) => return Err(error),
        }
        let globals =
            self.get::<Globals>("/policies/me/globals", &Query::new(), "reading what the visitor may do").await;
        match globals {
            Ok(globals) => Ok((!globals.admin_access).then_some(Value::Null)),
            // Administrators may ask.
            Err(error) if error.is_forbidden() || error.is_unauthorized() => Ok(Some(Value::Null)),
            Err(error) => Err(error),
        }
    }

    /// Who the visitor is, as far as Directus can be asked.
    pub(crate) async fn who(&self) -> Result<Who, Error> {
        #[derive(Deserialize)]
        struct Me {
            id: String,
        }
        Ok(self.me::<Me>(&["id"]).await?.map(|me| me.id))
    }
}

/// What an address says of the row that is to come back. There is no other place for it: of what is too long for one, the next read
/// brings the rest.
fn asked_back(query: Query) -> String {
    let query = if query.fits_url() { query } else { Query::new().fields("*") };
    format!("?{}", query.to_query_string())
}

fn fields(intent: &Intent) -> Query {
    Query { alias: intent.alias.clone(), deep: intent.deep.clone(), ..Query::new().fields(&intent.fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It failed: Directus refuses an address of 16 KB, and so every write of a list that read well.
    #[test]
    fn what_is_too_long_for_an_address_is_not_asked_back() {
        let with = |keys: i64| {
            let some = Query::new().filter(Filter::field("id").in_((0..keys).map(|key| key + 1_000_000)));
            asked_back(Query::new().fields("title,comments.text").deep("comments", some))
        };
        assert!(with(3).contains("1000002") && with(3).contains("comments.text"), "{}", with(3));
        assert_eq!(with(3_000), "?fields=*");
    }
}
