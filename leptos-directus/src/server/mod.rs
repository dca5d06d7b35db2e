//! The server side: `/directus-ws` and `/directus` for any axum app.
//!
//! A page and its sockets speak to this server only; it speaks to Directus, as the visitor: the one thing that it
//! passes on of a visitor's identity is Directus's own session cookie.
//!
//! # Example
//!
//! ```
//! use axum::Router;
//! use leptos_directus::server::{DirectusConfig, DirectusServer, directus_routes};
//!
//! # fn main() -> Result<(), leptos_directus::server::ConfigError> {
//! let directus = DirectusServer::new(DirectusConfig::default())?;
//! let app: Router = Router::new().merge(directus_routes(&directus));
//! # Ok(())
//! # }
//! ```
//!
//! Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that Directus learns the visitor's address.
//! After the server has stopped taking connections, [`DirectusServer::shutdown`] says goodbye to the sockets.
//!
//! # What does not pass
//!
//! - cookies other than the session, in either direction, and `access_token` in a query;
//! - `auth` frames and `Authorization` headers of clients, unless [`DirectusConfig::directus_allow_client_auth`] is on:
//!   the socket answers such a frame with `AUTH_FAILED`, as Directus does;
//! - sockets and writes of pages from elsewhere: see [`DirectusConfig::directus_allowed_origins`];
//! - Directus's admin app: it does not live under a path, and its pages would run with the rights of ours.

mod admission;
mod caller;
mod client_auth;
mod config;
mod cookies;
mod doctor;
mod mode;
mod origin;
mod relations;
mod relay;
mod rest;
mod socket;
mod upstream;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, routing::any};
use futures::{FutureExt, future::BoxFuture};
use http::HeaderMap;
use reqwest::Url;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use self::{
    admission::{Code, Verdict},
    caller::{caller, peer},
    config::Settings,
    mode::FoundMode,
    origin::OwnHost,
    relations::{Schema, Whose, Word},
    upstream::{Caller, Upstream},
};
pub use self::{
    config::{ConfigError, DirectusConfig, HttpsSetting, ModeSetting},
    doctor::{Finding, Health},
    mode::Mode,
};
use crate::{
    protocol::Secret,
    rest::{Question, Rest, Seen, Visitor, sight::Guide},
    transport::{Credentials, HttpClient},
};

/// The way to one Directus, shared by all visitors. Cloning is cheap, and clones are the same server.
///
/// ```
/// use leptos_directus::server::DirectusServer;
///
/// /// After the server has stopped taking connections.
/// async fn say_goodbye(directus: DirectusServer) {
///     println!("{} sockets are open", directus.open_sockets());
///     directus.shutdown().await;
/// }
/// ```
#[derive(Debug, Clone)]
pub struct DirectusServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    upstream: Arc<Upstream>,
    mode: FoundMode,
    schema: Schema,
    /// One for each socket that may be open.
    permits: Arc<Semaphore>,
    draining: watch::Sender<bool>,
    /// The last trouble that was logged: the same one is not logged for every visitor.
    logged: Mutex<Option<Code>>,
}

impl DirectusServer {
    /// Checks the configuration; reaches out to nobody, so that a server starts whether or not Directus is up.
    ///
    /// # Errors
    ///
    /// The first setting that can't be used, with its name and what was expected.
    pub fn new(config: DirectusConfig) -> Result<Self, ConfigError> {
        let settings = config.validate()?;
        let upstream = Arc::new(Upstream::new(&settings)?);
        Ok(Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(settings.config.directus_max_sockets as usize)),
            upstream,
            settings,
            mode: FoundMode::default(),
            schema: Schema::default(),
            draining: watch::Sender::new(false),
            logged: Mutex::new(None),
        })))
    }

    /// How many sockets are open or being opened.
    pub fn open_sockets(&self) -> usize {
        (self.0.settings.config.directus_max_sockets as usize).saturating_sub(self.0.permits.available_permits())
    }

    /// Ends: refuses new sockets, closes the open ones with 1001, and waits until they have gone, but not longer than
    /// [`DirectusConfig::directus_shutdown_timeout`].
    ///
    /// Requests are for the app's own graceful shutdown to wait for.
    pub async fn shutdown(&self) {
        self.0.draining.send_replace(true);
        let all = self.0.permits.acquire_many(self.0.settings.config.directus_max_sockets);
        if timeout(self.0.settings.config.directus_shutdown_timeout, all).await.is_err() {
            tracing::warn!(sockets = self.open_sockets(), "some sockets did not end in time");
        }
    }

    /// Makes [`use_directus`](crate::use_directus) work on the server, in components and in `#[server]` functions, as the
    /// visitor of the request: the one line for `leptos_routes_with_context`.
    ///
    /// ```
    /// # use leptos::prelude::*;
    /// use axum::Router;
    /// use leptos_axum::LeptosRoutes;
    /// use leptos_directus::server::{DirectusServer, directus_routes};
    ///
    /// # #[component]
    /// # fn App() -> impl IntoView { view! { <main/> } }
    /// fn app(directus: DirectusServer, options: LeptosOptions) -> Router {
    ///     let context = directus.clone();
    ///     Router::new()
    ///         .leptos_routes_with_context(&options, leptos_axum::generate_route_list(App), move || context.provide_context(), App)
    ///         .merge(directus_routes(&directus))
    ///         .with_state(options)
    /// }
    /// ```
    ///
    /// Directus learns the visitor's address and browser as with requests through the proxy: it judges addresses by it, and
    /// counts each visitor's requests by themselves.
    ///
    /// Outside a request nothing is provided.
    pub fn provide_context(&self) {
        let Some(parts) = leptos::prelude::use_context::<http::request::Parts>() else { return };
        let session = self.session_from_cookies(&parts.headers);
        let own = self.0.own_host(&parts.headers);
        let trust_proxy = self.0.settings.config.directus_trust_proxy;
        let caller = caller(&parts.headers, peer(&parts.extensions), &own, trust_proxy);
        let mut visitor = self.visitor(session.as_ref(), caller);
        visitor.rest.guide = Some(Arc::new(VisitorsGuide {
            server: self.clone(),
            whose: Whose::visitor(session.as_ref()),
            rest: visitor.rest(),
        }));
        leptos::prelude::provide_context(visitor);
    }

    /// Reads from Directus as a visitor.
    fn visitor(&self, session: Option<&Secret>, caller: Caller) -> Visitor {
        let upstream = &self.0.upstream;
        let http = HttpClient::new(upstream.http(), upstream.tls());
        let cookie = &self.0.settings.config.directus_session_cookie;
        let session = session.map(|session| (cookie.clone(), session.clone()));
        Visitor::new(http, upstream.base().as_str(), session).described_by(caller.into_pairs())
    }

    /// Where relations lead, as far as Directus tells it to this visitor, or to us.
    async fn look(&self, whose: Whose, rest: Rest, question: &Question) -> Seen {
        match self.0.schema.ask(whose, rest).await {
            Word::Told(relations) => Seen::Leads(question.answer(&relations)),
            Word::Refused => self.look_by_token(question).await.unwrap_or(Seen::Unknown),
            Word::Failed => self.look_by_token(question).await.unwrap_or(Seen::NotAsked),
        }
    }

    /// Reads from Directus by our own token, if there is one.
    fn by_token(&self) -> Option<Rest> {
        let token = self.0.settings.config.directus_schema_token.clone()?;
        let upstream = &self.0.upstream;
        let http = HttpClient::new(upstream.http(), upstream.tls());
        Some(Rest::new(http, upstream.base().as_str(), Credentials::Token(token)))
    }

    /// By our own token, if there is one that is good for it.
    async fn look_by_token(&self, question: &Question) -> Option<Seen> {
        let rest = self.by_token()?;
        match self.0.schema.ask(Whose::OurToken, rest).await {
            Word::Told(relations) => Some(Seen::Leads(question.answer(&relations))),
            Word::Refused => None,
            Word::Failed => Some(Seen::NotAsked),
        }
    }

    /// The shared HTTP client: system roots and the configured ones, no proxy, no redirects.
    pub(crate) fn http(&self) -> reqwest::Client {
        self.0.upstream.http()
    }

    /// Directus's address.
    pub(crate) fn upstream(&self) -> &Url {
        self.0.upstream.base()
    }

    /// The visitor's session, if the request has one.
    pub(crate) fn session_from_cookies(&self, headers: &HeaderMap) -> Option<Secret> {
        cookies::session(headers, &self.0.settings.config.directus_session_cookie)
    }
}

/// How long a page that is rendered waits for it, beside its rows.
const RENDER_PATIENCE: Duration = Duration::from_secs(1);

/// Knows where relations lead, for the visitor whose page is rendered.
#[derive(Debug)]
struct VisitorsGuide {
    server: DirectusServer,
    whose: Whose,
    rest: Rest,
}

impl Guide for VisitorsGuide {
    fn answer(&self, question: Question) -> BoxFuture<'static, Seen> {
        let (server, whose, rest) = (self.server.clone(), self.whose.clone(), self.rest.clone());
        async move { timeout(RENDER_PATIENCE, server.look(whose, rest, &question)).await.unwrap_or_default() }.boxed()
    }
}

impl Shared {
    fn own_host(&self, headers: &HeaderMap) -> OwnHost {
        let config = &self.settings.config;
        let https = match config.directus_served_over_https {
            HttpsSetting::Auto => None,
            HttpsSetting::Always => Some(true),
            HttpsSetting::Never => Some(false),
        };
        OwnHost::read(headers, config.directus_trust_proxy, https)
    }

    /// Says once what is wrong with Directus, and says it again only when it has become something else.
    fn log_once(&self, verdict: &Verdict) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.replace(verdict.code()) != Some(verdict.code()) {
            tracing::warn!(code = ?verdict.code(), "{}", verdict.message());
        }
    }

    /// Directus is well again: the next trouble is news.
    fn log_well(&self) {
        if self.logged.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("Directus gives sockets again");
        }
    }
}

/// The routes that an app merges: the socket and the REST interface, at the configured paths.
///
/// There is no fallback among them, and they take any state.
pub fn directus_routes<S: Clone + Send + Sync + 'static>(server: &DirectusServer) -> Router<S> {
    let config = &server.0.settings.config;
    Router::new()
        .route(&config.directus_socket_path, any(socket::answer))
        .route(&format!("{}/{{*path}}", config.directus_rest_path), any(rest::answer))
        .with_state(server.clone())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{
        body::{Body, to_bytes},
        extract::{ConnectInfo, Request},
        response::IntoResponse,
    };
    use futures::{
        StreamExt,
        channel::mpsc::{self, UnboundedReceiver},
    };
    use leptos::prelude::{Owner, provide_context};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::{Items, Query, use_directus};

    /// Something in Directus's place that keeps the headers which it is sent.
    async fn listener() -> (String, UnboundedReceiver<HeaderMap>) {
        let (sender, seen) = mpsc::unbounded();
        let answer = move |request: Request| {
            let _ = sender.unbounded_send(request.headers().clone());
            std::future::ready(([("content-encoding", "gzip")], r#"{"data":[]}"#).into_response())
        };
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, Router::new().fallback(answer)).await });
        (url, seen)
    }

    fn server(url: String, trust_proxy: bool) -> DirectusServer {
        let config =
            DirectusConfig { directus_url: url, directus_trust_proxy: trust_proxy, ..DirectusConfig::default() };
        DirectusServer::new(config).unwrap()
    }

    /// What a component, or a server function, gets for the request of a visitor.
    fn items_for_a_visitor(server: &DirectusServer) -> Items<Value> {
        let request = http::Request::builder()
            .header("host", "news.example")
            .header("user-agent", "a visitor's browser")
            .header("x-forwarded-for", "6.6.6.6")
            .header("cookie", "other=1; directus_session_token=s")
            .header("authorization", "Bearer t")
            .extension(ConnectInfo(SocketAddr::from(([203, 0, 113, 9], 50_000))));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Owner::new().with(|| {
            provide_context(parts);
            server.provide_context();
            use_directus().items("posts")
        })
    }

    #[tokio::test]
    async fn directus_is_told_for_whom_a_page_is_read() {
        let (url, mut seen) = listener().await;
        let items = items_for_a_visitor(&server(url.clone(), false));
        items.read(Query::new()).await.unwrap();
        let headers = seen.next().await.unwrap();
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9", "what the visitor says does not count");
        assert_eq!(headers["user-agent"], "a visitor's browser");
        assert_eq!(headers["cookie"], "directus_session_token=s");
        assert!(!headers.contains_key("authorization"));
        let behind_a_proxy = items_for_a_visitor(&server(url, true));
        behind_a_proxy.delete(1).await.unwrap();
        assert_eq!(seen.next().await.unwrap()["x-forwarded-for"], "6.6.6.6, 203.0.113.9");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_does_not_wait_for_where_its_relations_lead() {
        // It takes connections and says nothing.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server(format!("http://{}", silent.local_addr().unwrap()), false);
        let visitor = server.visitor(None, Caller::default());
        let guide = VisitorsGuide { server, whose: Whose::Anonymous, rest: visitor.rest() };
        let begun = tokio::time::Instant::now();
        assert_eq!(guide.answer(Question::of("posts", &Query::new())).await, Seen::NotAsked);
        assert_eq!(begun.elapsed().as_secs(), RENDER_PATIENCE.as_secs());
    }

    #[tokio::test]
    async fn a_read_asks_for_no_cached_answer() {
        let (url, mut seen) = listener().await;
        let items = items_for_a_visitor(&server(url, false));
        items.read(Query::new()).await.unwrap();
        assert_eq!(seen.next().await.unwrap()["cache-control"], "no-store");
        items.create_many(&[json!({})]).await.unwrap();
        assert!(!seen.next().await.unwrap().contains_key("cache-control"));
    }

    #[tokio::test]
    async fn an_answer_that_was_compressed_for_the_browser_passes_as_it_is() {
        let (url, mut seen) = listener().await;
        let app: Router = directus_routes(&server(url, false));
        let request = Request::get("/directus/items/posts").header("accept-encoding", "gzip, br").body(Body::empty());
        let response = app.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(seen.next().await.unwrap()["accept-encoding"], "gzip, br");
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), r#"{"data":[]}"#);
    }
}
