//! Whom the server reads for.

use crate::{
    protocol::Secret,
    rest::Rest,
    transport::{Credentials, HttpClient},
};

/// The visitor of one request, as the server knows them: where Directus is, and their session, if they have one.
///
/// `leptos_directus::server::DirectusServer::provide_context` puts it into the context of each request, and
/// [`use_directus`](crate::use_directus) finds it there, in components and in `#[server]` functions alike.
///
/// # Example
/// In a server that is not axum's, for each request:
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{Secret, Visitor};
///
/// fn as_visitor(session: Option<&str>, user_agent: &str) {
///     let session = session.map(|value| ("directus_session_token".to_owned(), Secret::new(value)));
///     let visitor = Visitor::new(Default::default(), "https://cms.example", session)
///         .described_by([("user-agent".to_owned(), user_agent.to_owned())]);
///     provide_context(visitor);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Visitor {
    pub(crate) rest: Rest,
}

impl Visitor {
    /// Reads from `upstream` (`https://cms.example`, no slash at the end), with the value of the visitor's session cookie.
    #[must_use]
    pub fn new(http: HttpClient, upstream: &str, session: Option<(String, Secret)>) -> Self {
        let credentials = session.map_or(Credentials::Ambient, |(name, value)| Credentials::Session(name, value));
        Self { rest: Rest::new(http, upstream, credentials) }
    }

    /// Tells Directus on whose behalf is asked, by these headers (`User-Agent`, `X-Forwarded-For`): its rules for addresses and
    /// its rate limit are to meet the visitor, and not all of them our server.
    #[must_use]
    pub fn described_by(self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { rest: self.rest.on_behalf_of(headers) }
    }

    pub(crate) fn rest(&self) -> Rest {
        self.rest.clone()
    }
}
