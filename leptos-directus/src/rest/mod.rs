//! Directus over HTTP: reads and writes of items, and login.
//!
//! In the browser every request goes to the page's own server, which passes it on (`/directus`); the session cookie is the
//! browser's business. On the server the visitor's session is sent to Directus directly. [`Rest`] holds that difference.

mod items;
pub(crate) mod sight;
mod visitor;
mod writes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use items::Items;
pub(crate) use items::with_fields_of;
pub(crate) use sight::{Question, Seen};
pub use visitor::Visitor;

use crate::{
    error::Error,
    protocol::{ErrorBody, Query, collection_path},
    transport::{Credentials, HttpClient, HttpRequest, HttpResponse, Patience, cut_error},
};

/// How long nothing may come of a read or a write before it is given up; one that comes slowly may take longer.
const PATIENCE: Patience =
    Patience { head: Duration::from_secs(15), silence: Duration::from_secs(5), whole: Duration::from_secs(300) };

/// How long the first load may hold up a page that the server renders.
const RENDER_PATIENCE: Patience = Patience::of(Duration::from_secs(5));

/// The rows of a query, and the counts that it asked for with `meta`.
///
/// # Example
/// ```
/// use leptos_directus::Page;
///
/// let page = Page { items: vec!["a", "b"], meta: None };
/// assert_eq!(page.items.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows, in REST's order.
    pub items: Vec<T>,
    /// `total_count` and `filter_count`, if the query asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
}

/// What a Directus answer holds when all is well.
#[derive(Deserialize)]
struct Envelope {
    data: Value,
    meta: Option<Value>,
}

/// The status of an answer without a body.
const NO_CONTENT: u16 = 204;

/// Requests to one Directus for one visitor. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    http: HttpClient,
    /// `/directus` in the browser, `https://cms.example` elsewhere; no slash at the end.
    base: Arc<str>,
    credentials: Credentials,
    /// What else is said of whom the requests are for: their address and browser, where we ask on their behalf.
    caller: Arc<[(String, String)]>,
    /// Directus knows the visitor's session no longer: reads go on without it, as the public role (a stale cookie must not
    /// keep a visitor from public data).
    session_ended: Arc<AtomicBool>,
    patience: &'static Patience,
    /// Who knows where relations lead, where pages are rendered.
    pub(crate) guide: Option<Arc<dyn sight::Guide>>,
}

impl Rest {
    pub(crate) fn new(http: HttpClient, base: &str, credentials: Credentials) -> Self {
        Self {
            http,
            base: base.trim_end_matches('/').into(),
            credentials,
            caller: Arc::default(),
            session_ended: Arc::default(),
            patience: &PATIENCE,
            guide: None,
        }
    }

    /// With headers that say on whose behalf is asked.
    pub(crate) fn on_behalf_of(mut self, caller: impl IntoIterator<Item = (String, String)>) -> Self {
        self.caller = caller.into_iter().collect();
        self
    }

    /// With the shorter patience of somebody who renders a page.
    pub(crate) fn for_rendering(mut self) -> Self {
        self.patience = &RENDER_PATIENCE;
        self
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The link died silently, and with it what connections were kept open: from now on over new ones.
    pub(crate) fn renew_connections(&mut self) {
        self.http = self.http.renewed();
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// One request, whatever its status.
    async fn send(&self, method: &'static str, path: &str, body: Option<String>) -> Result<HttpResponse, Error> {
        let is_read = matches!(method, "GET" | "SEARCH");
        let mut headers = self.caller.to_vec();
        if is_read {
            // A read that answers from a cache would show the state before the event that it follows.
            headers.push(("cache-control".to_owned(), "no-store".to_owned()));
        }
        let mut request = HttpRequest {
            method,
            url: format!("{}{path}", self.base),
            headers,
            body,
            credentials: self.credentials.clone(),
            patience: *self.patience,
        };
        let has_session = matches!(self.credentials, Credentials::Session(..));
        if has_session && is_read && self.session_ended.load(Ordering::Relaxed) {
            request.credentials = Credentials::Ambient;
        }
        let response = self.http.send(request.clone()).await?;
        if response.status == 401 && is_read && matches!(request.credentials, Credentials::Session(..)) {
            self.session_ended.store(true, Ordering::Relaxed);
            request.credentials = Credentials::Ambient;
            return self.http.send(request).await;
        }
        Ok(response)
    }

    /// One request; `data` and `meta` of its answer. `what` is for the error: "reading `posts`".
    pub(crate) async fn request(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<(Value, Option<Value>), Error> {
        let response = self.send(method, path, body.map(Value::to_string)).await?;
        answered(&response, what)
    }

    /// These fields of the visitor; `None` for nobody.
    pub(crate) async fn me<T: DeserializeOwned>(&self, fields: &[&str]) -> Result<Option<T>, Error> {
        match self.get("/users/me", &Query::new().fields(fields), "reading who is logged in").await {
            Ok(me) => Ok(Some(me)),
            Err(error) if error.is_refusal() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET`, or `SEARCH` where the query is too long for an address.
    async fn query(&self, path: &str, query: &Query, what: &str) -> Result<(Value, Option<Value>), Error> {
        if query.fits_url() {
            let text = query.to_query_string();
            let path = if text.is_empty() { path.to_owned() } else { format!("{path}?{text}") };
            self.request("GET", &path, None, what).await
        } else {
            self.request("SEARCH", path, Some(&query.to_search_body()), what).await
        }
    }

    /// The rows of a query. A singleton is one row.
    pub(crate) async fn read_page(&self, collection: &str, query: &Query) -> Result<Page<Value>, Error> {
        let what = format!("reading `{collection}`");
        let (data, meta) = self.query(&collection_path(collection), query, &what).await?;
        let items = match data {
            Value::Array(rows) => rows,
            Value::Null => Vec::new(),
            row => vec![row],
        };
        Ok(Page { items, meta })
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<(), Error> {
        let body = json!({ "email": email, "password": password, "mode": "session" });
        self.request("POST", "/auth/login", Some(&body), "login").await.map(drop)
    }

    pub(crate) async fn logout(&self) -> Result<(), Error> {
        self.request("POST", "/auth/logout", Some(&json!({ "mode": "session" })), "logout").await.map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &Query, what: &str) -> Result<T, Error> {
        let (data, _) = self.query(path, query, what).await?;
        decode(data, what)
    }
}

/// `data` and `meta` of an answer.
fn answered(response: &HttpResponse, what: &str) -> Result<(Value, Option<Value>), Error> {
    if !(200..300).contains(&response.status) {
        return Err(refused(response, what));
    }
    if response.status == NO_CONTENT {
        return Ok((Value::Null, None));
    }
    let envelope: Envelope = serde_json::from_str(&response.body).map_err(|error| {
        // Without TLS, a browser takes headers that were cut for whole ones, and so an answer for an empty one that is no error.
        if error.is_eof() { cut_error() } else { Error::decode(format!("{what}: the answer is not one of Directus's")) }
    })?;
    Ok((envelope.data, envelope.meta))
}

fn refused(response: &HttpResponse, what: &str) -> Error {
    let told = ErrorBody::parse(&response.body).and_then(|body| body.errors.into_iter().next());
    let (code, message) = match told {
        Some(error) => (error.code.as_str().to_owned(), error.message),
        None => (format!("HTTP_{}", response.status), format!("the server answered with status {}", response.status)),
    };
    Error::answer(response.status, code, format!("{what}: {message}")).with_retry_after(response.retry_after)
}

/// Reads a value as `T`; the error names the field.
pub(crate) fn decode<T: DeserializeOwned>(value: Value, what: &str) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        // A `.` is all that is said of a row that fails as a whole: a field that is missing is named by the text.
        let place = if path == "." { String::new() } else { format!("field `{path}`: ") };
        Error::decode(format!("{what}: {place}{}", error.into_inner()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::text;

    fn answer(status: u16, body: &str) -> Result<(Value, Option<Value>), Error> {
        answered(&HttpResponse { status, retry_after: None, body: body.to_owned() }, "reading `posts`")
    }

    #[test]
    fn an_answer_that_was_cut_is_a_lost_connection_and_no_empty_list() {
        let whole = r#"{"data":[{"id":1,"title":"ä"}],"meta":{"total_count":1}}"#;
        assert_eq!(answer(200, whole), Ok((json!([{ "id": 1, "title": "ä" }]), Some(json!({ "total_count": 1 })))));
        for (end, _) in whole.char_indices() {
            let error = answer(200, &whole[..end]).unwrap_err();
            assert!(error.is_network() && error.is_transient(), "{end}: {error}");
        }
        assert_eq!(answer(204, ""), Ok((Value::Null, None)));
    }

    #[test]
    fn a_body_that_ends_within_a_character_was_cut_as_well() {
        assert_eq!(text("ä".into()), Ok("ä".to_owned()));
        assert!(text("ä".as_bytes()[..1].to_vec()).unwrap_err().is_network());
        assert!(text(vec![b'a', 0xff, b'a']).unwrap_err().is_decode());
    }

    #[test]
    fn an_answer_that_is_not_one_of_directus_s_says_so() {
        for body in ["<!doctype html>", "{}", r#"{"rows":[]}"#, "[]"] {
            assert!(answer(200, body).unwrap_err().is_decode(), "{body}");
        }
    }
}
