//! What an operator asks: is Directus there, and is everything set as it must be?

use std::time::Duration;

use http::header;
use serde::Serialize;

use super::{
    DirectusServer,
    admission::Verdict,
    config::ModeSetting,
    cookies,
    mode::Mode,
    relations::{TOKEN_MEND, TOKEN_OF_ADMINISTRATOR, TOKEN_REFUSED, are_administrators},
};
use crate::{protocol::Secret, rest::Rest};

/// How long Directus may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// How this server is; never a reason to stop it: it serves pages without Directus too.
///
/// ```
/// use leptos_directus::server::{DirectusServer, Health};
///
/// async fn healthz(directus: DirectusServer) -> String {
///     let health: Health = directus.health().await;
///     format!("Directus is {}", if health.directus_reachable { "there" } else { "away" })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether Directus answered just now.
    pub directus_reachable: bool,
    /// How many sockets are open.
    pub open_sockets: usize,
    /// Whether this server is ending.
    pub shutting_down: bool,
}

/// One thing that was looked at.
///
/// ```
/// use leptos_directus::server::{DirectusServer, Finding};
///
/// async fn doctor(directus: DirectusServer) -> bool {
///     let findings: Vec<Finding> = directus.diagnose().await;
///     for Finding { is_good, message, mend, .. } in &findings {
///         println!("{} {message} {}", if *is_good { "ok" } else { "!!" }, mend.as_deref().unwrap_or_default());
///     }
///     findings.iter().all(|finding| finding.is_good)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whether it works.
    pub is_good: bool,
    /// What was found.
    pub message: String,
    /// What would mend it. There is one for what works, too, if it should be otherwise: that is a warning.
    pub mend: Option<String>,
}

impl Finding {
    fn good(message: impl Into<String>) -> Self {
        Self { is_good: true, message: message.into(), mend: None }
    }

    fn warning(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { is_good: true, message: message.into(), mend: Some(mend.into()) }
    }

    fn bad(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { is_good: false, message: message.into(), mend: Some(mend.into()) }
    }
}

impl DirectusServer {
    /// Looks whether Directus answers, and how many sockets are open: for `/healthz`.
    pub async fn health(&self) -> Health {
        Health {
            directus_reachable: self.ping().await.is_ok(),
            open_sockets: self.open_sockets(),
            shutting_down: *self.0.draining.borrow(),
        }
    }

    /// Tries everything that has to be right between this server and Directus, and says how to mend what is not.
    pub async fn diagnose(&self) -> Vec<Finding> {
        let config = &self.0.settings.config;
        let mut findings = Vec::new();
        if let Err(reason) = self.ping().await {
            findings.push(Finding::bad(
                format!("Directus does not answer at {} ({reason})", self.upstream()),
                "start Directus, or set DIRECTUS_URL to where it is",
            ));
            return findings;
        }
        findings.push(Finding::good(format!("Directus answers at {}", self.upstream())));
        findings.push(match self.0.mode.get(&self.0.upstream).await {
            Ok(mode) => mode_finding(config.directus_mode, mode),
            Err(error) => Finding::bad("no WebSocket could be opened", Verdict::of(error).message()),
        });
        findings.push(self.cookie_finding().await);
        if let Some(rest) = self.by_token() {
            findings.push(schema_token_finding(&rest).await);
        }
        findings.push(Finding::good(if self.0.settings.allowed_origins.is_empty() {
            "sockets and writes are taken from pages of this server's own host only".to_owned()
        } else {
            let origins: Vec<String> = self.0.settings.allowed_origins.iter().map(ToString::to_string).collect();
            format!("sockets and writes are taken from this server's own host and from {}", origins.join(", "))
        }));
        findings
    }

    async fn ping(&self) -> Result<(), String> {
        let response = self.http().get(self.url("server/ping")).timeout(PATIENCE).send().await;
        match response {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("status {}", response.status().as_u16())),
            Err(error) if error.is_timeout() => Err("no answer in time".to_owned()),
            Err(error) => Err(innermost(&error)),
        }
    }

    /// Directus refuses a broken session in its own cookie, and does not look at any other.
    async fn cookie_finding(&self) -> Finding {
        let name = &self.0.settings.config.directus_session_cookie;
        let mut request = self.http().get(self.url("server/info")).timeout(PATIENCE);
        if let Some(cookie) = cookies::request_header(name, &Secret::new("not-a-session")) {
            request = request.header(header::COOKIE, cookie);
        }
        match request.send().await {
            Ok(response) if response.status() == 401 => Finding::good(format!("Directus's session cookie is `{name}`")),
            Ok(_) => Finding::bad(
                format!("Directus does not know a session cookie `{name}`"),
                "set DIRECTUS_SESSION_COOKIE to Directus's SESSION_COOKIE_NAME",
            ),
            Err(error) => Finding::bad("the session cookie could not be tried", innermost(&error)),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.upstream().as_str().trim_end_matches('/'))
    }
}

/// Asks Directus by the token itself what the server asks by it.
async fn schema_token_finding(rest: &Rest) -> Finding {
    match rest.relations().await {
        Ok(Some(relations)) if are_administrators(&relations) => Finding::warning(TOKEN_OF_ADMINISTRATOR, TOKEN_MEND),
        Ok(Some(_)) => Finding::good(
            "Directus tells DIRECTUS_SCHEMA_TOKEN where relations lead: the lists of all visitors follow theirs",
        ),
        Ok(None) => Finding::bad(TOKEN_REFUSED, TOKEN_MEND),
        Err(error) => Finding::bad("DIRECTUS_SCHEMA_TOKEN could not be tried", error.to_string()),
    }
}

fn mode_finding(configured: ModeSetting, found: Mode) -> Finding {
    match configured.expected() {
        Some(mode) if mode != found => Finding::bad(
            format!("DIRECTUS_MODE is `{mode}`, but Directus runs its WebSockets in `{found}` mode"),
            format!("set DIRECTUS_MODE={found} (or auto), or WEBSOCKETS_REST_AUTH={mode} in Directus"),
        ),
        _ => Finding::good(match found {
            Mode::Public => {
                "WebSockets are enabled, in `public` mode: anonymous visitors have the public role's rights".to_owned()
            }
            mode => format!("WebSockets are enabled, in `{mode}` mode: only logged-in visitors get a socket"),
        }),
    }
}

/// The cause at the bottom: what lies above it only repeats that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
