//! Where the relations of a query lead: the question, who answers it, and what is seen.

use std::{collections::BTreeSet, fmt};

use futures::future::BoxFuture;
use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Rest;
use crate::{
    error::Error,
    protocol::{IN_QUERY, Leads, Query, Relations},
    transport::{HttpRequest, cut_error},
};

/// How much of an address a question may take. Single names are the first to go: they lead nowhere, or to lists of keys.
const LONGEST_QUESTION: usize = 4000;
/// The longest question, in paths, and the longest name of a collection or path, in bytes.
pub(crate) const MOST_PATHS: usize = 200;
pub(crate) const LONGEST_NAME: usize = 255;
/// More levels than anybody means.
const DEEPEST: usize = 10;

/// Whether a path is one that is asked for, and answered.
pub(crate) fn is_path(path: &str) -> bool {
    !path.is_empty() && path.len() <= LONGEST_NAME && path.split('.').count() <= DEEPEST
}

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

    /// Whether there is anything to be told.
    pub(crate) fn asks_something(&self) -> bool {
        self.paths.iter().any(|path| is_path(path))
    }

    pub(crate) fn answer(&self, relations: &Relations) -> Leads {
        relations.lead_from(&self.collection, &self.paths)
    }

    /// The part of an address after the question mark, and whether all of the question is in it.
    fn to_query_string(&self) -> (String, bool) {
        let mut text = format!("relations_of={}", utf8_percent_encode(&self.collection, IN_QUERY));
        let paths = self.paths.iter().filter(|path| is_path(path));
        let (far, near): (Vec<_>, Vec<_>) = paths.partition(|path| path.contains('.'));
        let mut asked = 0;
        for path in far.into_iter().chain(near).take(MOST_PATHS) {
            let path = format!("&path={}", utf8_percent_encode(path, IN_QUERY));
            if text.len() + path.len() > LONGEST_QUESTION {
                break;
            }
            text.push_str(&path);
            asked += 1;
        }
        (text, asked == self.paths.len())
    }
}

/// What is known of where a query's relations lead.
///
/// In the HTML and in our server's answers: `"not_asked"`, `"unknown"` or `{"leads": {"to": ["authors"], "is_all": true}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seen {
    /// Nobody was asked, or nobody answered in time.
    #[default]
    NotAsked,
    /// Directus does not say it to this visitor.
    Unknown,
    /// It does.
    Leads(Leads),
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
    ///
    /// # Errors
    /// If nobody could be asked: then it may be asked again.
    pub(crate) async fn ask_server(&self, path: &str, question: &Question) -> Result<Seen, Error> {
        let (query, is_whole) = question.to_query_string();
        let request = HttpRequest {
            method: "GET",
            url: format!("{path}?{query}"),
            headers: Vec::new(),
            body: None,
            credentials: self.credentials.clone(),
            patience: *self.patience,
        };
        let response = self.http.send(request).await?;
        told(response.status, &response.body, is_whole)
    }
}

/// What the page's own server said.
fn told(status: u16, body: &str, is_whole: bool) -> Result<Seen, Error> {
    let nobody = || Err(Error::network("nobody could say where relations lead"));
    match serde_json::from_str(body) {
        _ if status >= 500 || status == 429 => nobody(),
        Ok(Seen::NotAsked) => nobody(),
        Ok(Seen::Leads(leads)) => Ok(Seen::Leads(Leads { is_all: leads.is_all && is_whole, ..leads })),
        Err(error) if error.is_eof() => Err(cut_error()),
        Ok(Seen::Unknown) | Err(_) => Ok(Seen::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_was_cut_is_asked_for_again() {
        let whole = serde_json::to_string(&Seen::Leads(Leads::default())).unwrap();
        assert_eq!(told(200, &whole, true), Ok(Seen::Leads(Leads::default())));
        for end in 0..whole.len() {
            assert!(told(200, &whole[..end], true).is_err(), "{end}");
        }
        assert_eq!(told(404, "<!doctype html>", true), Ok(Seen::Unknown));
    }

    #[test]
    fn a_question_is_an_address_that_passes_everywhere() {
        let query = Query::new().fields(["title", "author.name", "count(comments)", "item:pages.ä&b"]);
        assert_eq!(
            Question::of("posts", &query).to_query_string(),
            (
                "relations_of=posts&path=author.name&path=item:pages.%C3%A4%26b&path=comments&path=title".to_owned(),
                true
            ),
        );
        let many: Vec<String> = (0..900).map(|number| format!("field_{number}")).collect();
        let (text, is_whole) = Question::of("posts", &Query::new().fields(many).sort("author.name")).to_query_string();
        assert!(!is_whole);
        assert!(text.len() <= LONGEST_QUESTION && text.contains("author.name"), "{text}");
        assert!(text.matches("&path=").count() <= MOST_PATHS, "{text}");
        let odd = Query::new().fields(["a.b", &"x.".repeat(20), &"y".repeat(300)]);
        let asked = ("relations_of=posts&path=a.b".to_owned(), false);
        assert_eq!(Question::of("posts", &odd).to_query_string(), asked);
        let count = Query::new().aggregate("count", "*");
        assert!(!Question::of("posts", &count).asks_something());
    }
}
