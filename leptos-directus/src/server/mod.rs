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
mod relay;
mod rest;
mod socket;
mod upstream;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, routing::any};
use http::HeaderMap;
use reqwest::Url;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use self::{
    admission::{Code, Verdict},
    config::Settings,
    mode::FoundMode,
    origin::OwnHost,
    upstream::Upstream,
};
pub use self::{
    config::{ConfigError, DirectusConfig, HttpsSetting, ModeSetting},
    doctor::{Finding, Health},
    mode::Mode,
};
use crate::{protocol::Secret, rest::Visitor, transport::HttpClient};

/// The way to one Directus, shared by all visitors. Cloning is cheap, and clones are the same server.
#[derive(Debug, Clone)]
pub struct DirectusServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    upstream: Upstream,
    mode: FoundMode,
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
        let upstream = Upstream::new(&settings)?;
        Ok(Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(settings.config.directus_max_sockets as usize)),
            upstream,
            settings,
            mode: FoundMode::default(),
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
    /// Outside a request nothing is provided.
    pub fn provide_context(&self) {
        let Some(parts) = leptos::prelude::use_context::<http::request::Parts>() else { return };
        let upstream = &self.0.upstream;
        let http = HttpClient::new(upstream.http().clone(), upstream.tls());
        let cookie = &self.0.settings.config.directus_session_cookie;
        let session = self.session_from_cookies(&parts.headers).map(|session| (cookie.clone(), session));
        leptos::prelude::provide_context(Visitor::new(http, upstream.base().as_str(), session));
    }

    /// The shared HTTP client: system roots and the configured ones, no proxy, no redirects.
    pub(crate) fn http(&self) -> &reqwest::Client {
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
