//! Where the relations of a query lead: the question, who answers it, and what is seen.

use std::{collections::BTreeSet, fmt};

use futures::future::BoxFuture;
use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Rest;
use crate::{
    error::Error,
    protocol::{IN_QUERY, Query, Relations},
    transport::HttpRequest,
};

/// How much of an address a question may take. Single names are the first to go: they lead nowhere, or to lists of keys.
const LONGEST_QUESTION: usize = 4000;

/// Which collections do these paths of a collection lead to?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) collection: String,
    pub(crate) paths: BTreeSet<String>,
}

impl Question {
    pub(crate) fn of(collection: &str, query: &Query) -> Self {
        Self { collection: collection.to_owned(), paths: query.paths() }
    }

    pub(crate) fn answer(&self, relations: &Relations) -> Vec<String> {
        relations.lead_from(&self.collection, &self.paths).into_iter().collect()
    }

    /// The part of an address after the question mark.
    fn to_query_string(&self) -> String {
        let mut text = format!("relations_of={}", utf8_percent_encode(&self.collection, IN_QUERY));
        let (far, near): (Vec<_>, Vec<_>) = self.paths.iter().partition(|path| path.contains('.'));
        for path in far.into_iter().chain(near) {
            let path = format!("&path={}", utf8_percent_encode(path, IN_QUERY));
            if text.len() + path.len() > LONGEST_QUESTION {
                break;
            }
            text.push_str(&path);
        }
        text
    }
}

/// What is known of where a query's relations lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    /// Nobody was asked, or nobody answered in time.
    #[default]
    NotAsked,
    /// Directus does not say it to this visitor.
    Unknown,
    /// To these collections.
    Collections(Vec<String>),
}

/// What our server answers a page.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    #[serde(default)]
    pub(crate) known: bool,
    #[serde(default)]
    pub(crate) collections: Vec<String>,
}

impl From<Seen> for Told {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Collections(collections) => Self { known: true, collections },
            Seen::NotAsked | Seen::Unknown => Self::default(),
        }
    }
}

/// Answers questions where pages are rendered.
pub(crate) trait Guide: fmt::Debug + Send + Sync {
    /// Soon, whatever there is to say.
    fn answer(&self, question: Question) -> BoxFuture<'static, Seen>;
}

impl Rest {
    /// For a page that is rendered: what the server knows, if it knows it soon.
    pub(crate) async fn look(&self, question: Question) -> Seen {
        let Some(guide) = &self.guide else { return Seen::Unknown };
        guide.answer(question).await
    }

    /// All relations that Directus tells this visitor of; `None` if it tells of none at all.
    pub(crate) async fn relations(&self) -> Result<Option<Relations>, Error> {
        match self.get::<Value>("/relations", &Query::new(), "reading relations").await {
            Ok(rows) => Ok(Some(Relations::from_rows(&rows))),
            Err(error) if error.is_refusal() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the page's own server, at the path of its socket: it answers without an error's status, whatever it knows.
    /// Something else that answers there knows nothing.
    pub(crate) async fn ask_server(&self, path: &str, question: &Question) -> Result<Seen, Error> {
        let request = HttpRequest {
            method: "GET",
            url: format!("{path}?{}", question.to_query_string()),
            headers: Vec::new(),
            body: None,
            credentials: self.credentials.clone(),
            timeout: self.timeout,
        };
        let response = self.http.send(request).await?;
        Ok(match serde_json::from_str::<Told>(&response.body) {
            Ok(Told { known: true, collections }) => Seen::Collections(collections),
            Ok(_) | Err(_) => Seen::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_an_address_that_passes_everywhere() {
        let query = Query::new().fields(["title", "author.name", "count(comments)", "item:pages.ä&b"]);
        assert_eq!(
            Question::of("posts", &query).to_query_string(),
            "relations_of=posts&path=author.name&path=item:pages.%C3%A4%26b&path=comments&path=title",
        );
        let many: Vec<String> = (0..900).map(|number| format!("field_{number}")).collect();
        let text = Question::of("posts", &Query::new().fields(many).sort("author.name")).to_query_string();
        assert!(text.len() <= LONGEST_QUESTION && text.contains("author.name"), "{text}");
    }
}
