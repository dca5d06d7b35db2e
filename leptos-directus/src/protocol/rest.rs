//! Bodies and paths of Directus's REST interface.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ErrorCode, Key};

/// What stays in a path segment as it is: RFC 3986's unreserved characters.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The body of an answer.
///
/// ```
/// # use leptos_directus::protocol::RestBody;
/// let body: RestBody<Vec<serde_json::Value>> =
///     serde_json::from_str(r#"{"data": [{"id": 1}], "meta": {"filter_count": 1}}"#).unwrap();
/// assert_eq!(body.data.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestBody<T = Value> {
    /// What was asked for.
    pub data: T,
    /// The counts that the query's `meta` asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
}

/// The body of a refusal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, the first thing first.
    pub errors: Vec<RestError>,
}

impl ErrorBody {
    /// The errors of a body, if it is Directus's: what stands between may answer with HTML or with nothing.
    ///
    /// ```
    /// # use leptos_directus::protocol::{ErrorBody, ErrorCode};
    /// let body = r#"{"errors":[{"message":"No.","extensions":{"code":"INVALID_QUERY","reason":"\"limit\" …"}}]}"#;
    /// let error = &ErrorBody::parse(body).unwrap().errors[0];
    /// assert_eq!(error.code, ErrorCode::InvalidQuery);
    /// assert_eq!(error.reason(), Some("\"limit\" …"));
    /// assert_eq!((error.field(), error.collection()), (None, None));
    /// assert_eq!(ErrorBody::parse("<html>502</html>"), None);
    /// ```
    pub fn parse(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok().filter(|body: &Self| !body.errors.is_empty())
    }
}

/// One error of a refusal.
///
/// ```
/// # use leptos_directus::protocol::{ErrorCode, RestError};
/// let error: RestError = serde_json::from_str(
///     r#"{"message":"Taken.","extensions":{"code":"RECORD_NOT_UNIQUE","collection":"posts","field":"slug"}}"#,
/// )
/// .unwrap();
/// assert_eq!(error.code, ErrorCode::RecordNotUnique);
/// assert_eq!((error.collection(), error.field()), (Some("posts"), Some("slug")));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "WireError", into = "WireError")]
pub struct RestError {
    /// What went wrong.
    pub code: ErrorCode,
    /// What went wrong, in Directus's words.
    pub message: String,
    /// What else Directus says about it, after the kind of error: see [`reason`](Self::reason),
    /// [`field`](Self::field), [`collection`](Self::collection).
    pub extensions: Map<String, Value>,
}

impl RestError {
    /// Why, in Directus's words.
    pub fn reason(&self) -> Option<&str> {
        self.extension("reason")
    }

    /// The field that is at fault.
    pub fn field(&self) -> Option<&str> {
        self.extension("field")
    }

    /// The collection that is at fault.
    pub fn collection(&self) -> Option<&str> {
        self.extension("collection")
    }

    fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.get(name).and_then(Value::as_str)
    }
}

#[derive(Serialize, Deserialize)]
struct WireError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: Map<String, Value>,
}

impl From<WireError> for RestError {
    fn from(wire: WireError) -> Self {
        let mut extensions = wire.extensions;
        let code = extensions.remove("code");
        let code = code.as_ref().and_then(Value::as_str).unwrap_or_default().into();
        Self { code, message: wire.message, extensions }
    }
}

impl From<RestError> for WireError {
    fn from(error: RestError) -> Self {
        let mut extensions = Map::from_iter([("code".to_owned(), Value::from(error.code.as_str()))]);
        extensions.extend(error.extensions);
        Self { message: error.message, extensions }
    }
}

/// The system collections that have a path of their own in 12.4.1. The others (sessions, migrations, …) are not to be
/// had by REST: `/items/directus_sessions` answers `FORBIDDEN`.
const SYSTEM_COLLECTIONS: [&str; 25] = [
    "access",
    "activity",
    "collections",
    "comments",
    "dashboards",
    "deployments",
    "extensions",
    "fields",
    "files",
    "flows",
    "folders",
    "notifications",
    "operations",
    "panels",
    "permissions",
    "policies",
    "presets",
    "relations",
    "revisions",
    "roles",
    "settings",
    "shares",
    "translations",
    "users",
    "versions",
];

/// The path of a collection under Directus's URL.
///
/// `GET` is answered at all of them. `SEARCH` is not (404, measured on 12.4.1) for `directus_extensions`,
/// `directus_fields`, `directus_relations` and `directus_settings`.
///
/// ```
/// # use leptos_directus::protocol::collection_path;
/// assert_eq!(collection_path("posts"), "/items/posts");
/// assert_eq!(collection_path("directus_users"), "/users");
/// assert_eq!(collection_path("a/b?"), "/items/a%2Fb%3F");
/// ```
pub fn collection_path(collection: &str) -> String {
    match collection.strip_prefix("directus_") {
        Some("oauth_clients") => "/mcp-oauth/clients".to_owned(),
        Some(name) if SYSTEM_COLLECTIONS.contains(&name) => format!("/{name}"),
        _ => format!("/items/{}", segment(collection)),
    }
}

/// The path of one item under Directus's URL.
///
/// ```
/// # use leptos_directus::protocol::{Key, item_path};
/// assert_eq!(item_path("posts", &Key::from(7)), "/items/posts/7");
/// assert_eq!(item_path("wires", &Key::from("BER/1 ü")), "/items/wires/BER%2F1%20%C3%BC");
/// ```
pub fn item_path(collection: &str, key: &Key) -> String {
    format!("{}/{}", collection_path(collection), segment(key.as_str()))
}

fn segment(text: &str) -> String {
    match text {
        // As segments of their own these would lead to another path.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, IN_SEGMENT).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn system_collections_have_paths_of_their_own() {
        for (collection, path) in [
            ("directus_users", "/users"),
            ("directus_files", "/files"),
            ("directus_settings", "/settings"),
            ("directus_oauth_clients", "/mcp-oauth/clients"),
            // No route is theirs, and `/items/…` says FORBIDDEN, as WebSocket does.
            ("directus_sessions", "/items/directus_sessions"),
            ("directus_", "/items/directus_"),
            ("users", "/items/users"),
            ("Größen", "/items/Gr%C3%B6%C3%9Fen"),
            ("..", "/items/%2E%2E"),
            ("a b&c#d", "/items/a%20b%26c%23d"),
        ] {
            assert_eq!(collection_path(collection), path);
        }
        assert_eq!(item_path("directus_users", &Key::from("me")), "/users/me");
        assert_eq!(item_path("wires", &Key::from("../x")), "/items/wires/..%2Fx");
        assert_eq!(item_path("wires", &Key::from(".")), "/items/wires/%2E");
    }

    #[test]
    fn an_error_keeps_what_directus_says() {
        let body = json!({"errors": [{
            "message": "Value for field \"title\" in collection \"posts\" has to be unique.",
            "extensions": {"code": "RECORD_NOT_UNIQUE", "collection": "posts", "field": "title", "value": 5},
        }]});
        let parsed = ErrorBody::parse(&body.to_string()).unwrap();
        let error = &parsed.errors[0];
        assert_eq!(error.code, ErrorCode::RecordNotUnique);
        assert_eq!((error.collection(), error.field(), error.reason()), (Some("posts"), Some("title"), None));
        assert_eq!(serde_json::to_value(&parsed).unwrap(), body);
    }

    #[test]
    fn what_is_not_directuss_is_no_error_body() {
        for body in ["", "pong", "null", "[]", "{}", r#"{"errors":[]}"#, r#"{"errors":"x"}"#, r#"{"data":null}"#] {
            assert_eq!(ErrorBody::parse(body), None, "{body}");
        }
        let bare = ErrorBody::parse(r#"{"errors":[{"message":"x"}]}"#).unwrap();
        assert_eq!(bare.errors[0].code, ErrorCode::Other(String::new()));
    }
}
