//! The one error type of the crate, with predicates instead of public variants.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Why something did not work: one type for REST, sockets and rows.
///
/// The text names the cause and, where there is one, the mend. It never holds a token, a cookie or a URL, so that it can
/// be shown on a page and travels in the HTML. Decisions are made with the predicates, not by matching text.
///
/// # Example
/// ```
/// use leptos_directus::Error;
///
/// fn advice(error: &Error) -> &'static str {
///     if error.is_forbidden() { "ask for access" } else if error.is_transient() { "it heals by itself" } else { "see the text" }
/// }
/// assert_eq!(advice(&Error::timeout("reading `posts`")), "it heals by itself");
/// ```
///
/// Each predicate answers one question:
///
/// ```
/// use leptos_directus::Error;
/// use std::time::Duration;
///
/// let busy = Error::answer(429, "REQUESTS_EXCEEDED", "slowly").with_retry_after(Some(Duration::from_secs(2)));
/// assert!(busy.is_rate_limited() && busy.is_transient());
/// assert_eq!((busy.status(), busy.retry_after()), (Some(429), Some(Duration::from_secs(2))));
///
/// let twice = Error::answer(400, "RECORD_NOT_UNIQUE", "the slug is taken");
/// assert!(twice.is_validation() && !twice.is_transient());
/// assert_eq!(twice.code(), Some("RECORD_NOT_UNIQUE"));
/// assert_eq!(twice.to_string(), "the slug is taken (RECORD_NOT_UNIQUE)");
///
/// assert!(Error::answer(403, "FORBIDDEN", "no").is_forbidden());
/// assert!(Error::answer(401, "TOKEN_EXPIRED", "log in again").is_unauthorized());
/// assert!(Error::answer(404, "ROUTE_NOT_FOUND", "no such route").is_not_found());
/// assert!(Error::network("nobody is there").is_network());
/// assert!(Error::timeout("reading `posts`").is_timeout());
/// assert!(Error::decode("field `title`: missing").is_decode());
/// assert!(Error::closed("unmounted").is_closed());
/// assert!(Error::conflict("somebody deleted it meanwhile").is_conflict());
/// assert!(Error::uncertain("the answer was lost").is_uncertain());
/// assert_eq!(Error::usage("call it in `App`").message(), "call it in `App`");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    kind: Kind,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Network,
    Timeout,
    Answer,
    Decode,
    Usage,
    Closed,
    Conflict,
    Uncertain,
}

impl Error {
    /// The request did not reach Directus, or its answer did not come back.
    #[must_use]
    pub fn network(message: impl Into<String>) -> Self {
        Self::new(Kind::Network, message)
    }

    /// No answer in time; `what` is what was tried, as in "reading `posts`".
    #[must_use]
    pub fn timeout(what: impl fmt::Display) -> Self {
        Self::new(Kind::Timeout, format!("{what} took too long and was given up"))
    }

    /// Directus, or the proxy before it, answered with an error.
    ///
    /// `status` is the HTTP status, or 0 where the answer came over the WebSocket; `code` is Directus's, as in `FORBIDDEN`.
    #[must_use]
    pub fn answer(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(Kind::Answer, message);
        error.status = (status != 0).then_some(status);
        error.code = Some(code.into());
        error
    }

    /// A row or an answer does not fit the type that it is read as.
    #[must_use]
    pub fn decode(message: impl Into<String>) -> Self {
        Self::new(Kind::Decode, message)
    }

    /// The call itself can't work as it was made.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// What was waited for has ended: the hook was unmounted, or the page's connection was closed by the app.
    #[must_use]
    pub fn closed(message: impl Into<String>) -> Self {
        Self::new(Kind::Closed, message)
    }

    /// A write of this page met what somebody else did meanwhile.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// The answer to a write was lost, and it can't be repeated.
    #[must_use]
    pub fn uncertain(message: impl Into<String>) -> Self {
        Self::new(Kind::Uncertain, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, status: None, retry_after_ms: None }
    }

    /// The same error, with the time that the server asked us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Directus's error code, as in `FORBIDDEN`; absent where Directus did not answer.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The HTTP status of the answer; absent for answers over the WebSocket and where nobody answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How long the server asked us to wait (`Retry-After`).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// The identity in force may not do this, or the thing does not exist: Directus tells these two apart for nobody.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.status == Some(403) || self.code() == Some("FORBIDDEN")
    }

    /// The visitor is not, or no longer, who they said they are.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.status == Some(401)
            || matches!(
                self.code(),
                Some("INVALID_CREDENTIALS" | "INVALID_TOKEN" | "TOKEN_EXPIRED" | "AUTH_FAILED" | "AUTH_REQUIRED")
            )
    }

    /// No route, or no such row behind a key that was read.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status == Some(404) || self.code() == Some("ROUTE_NOT_FOUND")
    }

    /// Directus refused the values: validation, uniqueness, a foreign key, a payload that it can't read.
    #[must_use]
    pub fn is_validation(&self) -> bool {
        matches!(
            self.code(),
            Some(
                "FAILED_VALIDATION"
                    | "RECORD_NOT_UNIQUE"
                    | "INVALID_FOREIGN_KEY"
                    | "INVALID_PAYLOAD"
                    | "NOT_NULL_VIOLATION"
                    | "VALUE_OUT_OF_RANGE"
                    | "VALUE_TOO_LONG"
                    | "CONTAINS_NULL_VALUES"
            )
        )
    }

    /// Too many requests at once; [`retry_after`](Self::retry_after) says how long to wait.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        self.status == Some(429) || self.code() == Some("REQUESTS_EXCEEDED")
    }

    /// Nobody answered.
    #[must_use]
    pub fn is_network(&self) -> bool {
        self.kind == Kind::Network
    }

    /// Nobody answered in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::Timeout
    }

    /// A row or an answer does not fit the type that it is read as.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        self.kind == Kind::Decode
    }

    /// The call was cut short because its hook or the page's connection was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// A write of this page met what somebody else did meanwhile: the row is gone, or the login is another one.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }

    /// The answer to a write was lost: it may have been saved or not. The list shows which.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.kind == Kind::Uncertain
    }

    /// Trying again later may well work: the network, a time-out, 429, and 5xx. The hooks do so by themselves.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_network() || self.is_timeout() || self.is_rate_limited() || self.status.is_some_and(|code| code >= 500)
    }

    /// Directus's word that the visitor may not see this: the rows leave the page (401 and 403 of a read).
    #[must_use]
    pub(crate) fn is_refusal(&self) -> bool {
        !self.is_transient() && !self.is_of_a_proxy() && (self.is_forbidden() || self.is_unauthorized())
    }

    /// No word of Directus, whose errors have codes of their own: somebody on the way has answered.
    pub(crate) fn is_of_a_proxy(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("HTTP_"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {}
