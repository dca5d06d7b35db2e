//! Who gets a socket: the own limits, then Directus's own word, with a cause that can be read when the answer is no.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Shared,
    mode::Mode,
    upstream::{Caller, OpenError, UpstreamSocket},
};
use crate::protocol::Secret;

/// Why a socket was given or not, as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Code {
    Ok,
    OriginRefused,
    AuthRequired,
    MethodNotAllowed,
    BadUpgrade,
    Limit,
    ShuttingDown,
    ModeMismatch,
    WebsocketsDisabled,
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamTls,
    UpstreamForbidden,
    UpstreamUnavailable,
    UpstreamError,
}

/// As whom a socket is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Identity {
    Anonymous,
    Session,
}

/// What a plain `GET` answers, and what the body of a refused upgrade says.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    admitted: bool,
    status: u16,
    code: Code,
    mode: Option<Mode>,
    identity: Identity,
    session_dropped: bool,
    message: String,
    #[serde(skip)]
    retry_after: Option<HeaderValue>,
}

/// A visitor who gets a socket.
pub(super) struct Admitted {
    pub(super) socket: UpstreamSocket,
    pub(super) identity: Identity,
    pub(super) session_dropped: bool,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Admitted {
    pub(super) fn verdict(&self, mode: Option<Mode>) -> Verdict {
        let message = match (self.identity, self.session_dropped) {
            (Identity::Session, _) => "The socket opens as the logged-in user.",
            (Identity::Anonymous, false) => "The socket opens with the rights of the public role.",
            (Identity::Anonymous, true) => {
                "The session has expired: the socket opens with the rights of the public role."
            }
        };
        Verdict {
            admitted: true,
            status: 101,
            code: Code::Ok,
            mode,
            identity: self.identity,
            session_dropped: self.session_dropped,
            message: message.to_owned(),
            retry_after: None,
        }
    }
}

impl Verdict {
    pub(super) fn refused(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            admitted: false,
            status: status.as_u16(),
            code,
            mode: None,
            identity: Identity::Anonymous,
            session_dropped: false,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(super) fn foreign_origin() -> Self {
        Self::refused(
            StatusCode::FORBIDDEN,
            Code::OriginRefused,
            "The page's origin is neither this server's own nor one of DIRECTUS_ALLOWED_ORIGINS. Behind a proxy that ends \
             HTTPS or changes the host, set DIRECTUS_TRUST_PROXY=true or name the public origin in DIRECTUS_ALLOWED_ORIGINS.",
        )
    }

    pub(super) fn missing_origin() -> Self {
        Self::refused(
            StatusCode::FORBIDDEN,
            Code::OriginRefused,
            "A session cookie came without an Origin header: browsers always send one for a socket. For other clients set \
             DIRECTUS_ALLOW_MISSING_ORIGIN=true.",
        )
    }

    pub(super) fn code(&self) -> Code {
        self.code
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn in_mode(mut self, mode: Option<Mode>) -> Self {
        self.mode = mode;
        self
    }

    fn without_session(mut self, dropped: bool) -> Self {
        self.session_dropped = dropped;
        self
    }

    fn retry_after(mut self, value: Option<HeaderValue>) -> Self {
        self.retry_after = value;
        self
    }

    fn auth_required(mode: Mode, session_dropped: bool) -> Self {
        let cause = if session_dropped { "The session has expired, and " } else { "" };
        let message = format!(
            "{cause}Directus runs its WebSockets in `{mode}` mode, which lets no anonymous visitor in: log in, or set \
             WEBSOCKETS_REST_AUTH=public in Directus."
        );
        Self::refused(StatusCode::UNAUTHORIZED, Code::AuthRequired, message)
            .in_mode(Some(mode))
            .without_session(session_dropped)
    }

    fn mismatch(configured: Mode, found: Mode) -> Self {
        let message = format!(
            "DIRECTUS_MODE is `{configured}`, but Directus runs its WebSockets in `{found}` mode: set DIRECTUS_MODE={found} \
             (or auto), or WEBSOCKETS_REST_AUTH={configured} in Directus."
        );
        Self::refused(StatusCode::BAD_GATEWAY, Code::ModeMismatch, message).in_mode(Some(found))
    }

    /// What Directus's refusal means for the visitor.
    pub(super) fn of(error: OpenError) -> Self {
        match error {
            OpenError::Unreachable => Self::refused(
                StatusCode::BAD_GATEWAY,
                Code::UpstreamUnreachable,
                "Directus can't be reached: is it running, and is DIRECTUS_URL right?",
            ),
            OpenError::Timeout => Self::refused(
                StatusCode::GATEWAY_TIMEOUT,
                Code::UpstreamTimeout,
                "Directus did not answer the WebSocket upgrade in time. A wrong DIRECTUS_WS_PATH looks like this too: it \
                 must be Directus's WEBSOCKETS_REST_PATH, and WEBSOCKETS_ENABLED=true must be set there.",
            ),
            OpenError::Tls(reason) => Self::refused(
                StatusCode::BAD_GATEWAY,
                Code::UpstreamTls,
                format!(
                    "The certificate of Directus was not accepted ({reason}): for a private authority set DIRECTUS_CA_FILE."
                ),
            ),
            OpenError::Broken(reason) => Self::refused(
                StatusCode::BAD_GATEWAY,
                Code::UpstreamError,
                format!("What answers at DIRECTUS_URL is no WebSocket server ({reason})."),
            ),
            OpenError::Refused { status, retry_after } => Self::of_status(status).retry_after(retry_after),
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            401 => Self::refused(
                StatusCode::UNAUTHORIZED,
                Code::AuthRequired,
                "Directus refused the socket without a valid session: log in.",
            ),
            403 => Self::refused(
                StatusCode::FORBIDDEN,
                Code::UpstreamForbidden,
                "Directus refused the socket: its WEBSOCKETS_REST_CONN_LIMIT is reached, or its licence is locked.",
            ),
            404 => Self::refused(
                StatusCode::BAD_GATEWAY,
                Code::WebsocketsDisabled,
                "Directus has no WebSocket at this path: set WEBSOCKETS_ENABLED=true in Directus, and DIRECTUS_WS_PATH to its \
                 WEBSOCKETS_REST_PATH.",
            ),
            429 => Self::refused(
                StatusCode::TOO_MANY_REQUESTS,
                Code::Limit,
                "Directus takes no more requests for now: try again later.",
            ),
            503 => Self::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::UpstreamUnavailable,
                "Directus is not ready to take sockets: try again later.",
            ),
            status => Self::refused(
                StatusCode::BAD_GATEWAY,
                Code::UpstreamError,
                format!("Directus answered the WebSocket upgrade with status {status}."),
            ),
        }
    }

    /// The answer to a plain `GET`: always readable, whatever it says.
    pub(super) fn as_answer(&self) -> Response {
        ([(header::CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}

impl IntoResponse for Verdict {
    /// The answer to an upgrade that is refused.
    fn into_response(self) -> Response {
        let mut response = self.as_answer();
        *response.status_mut() = self.status();
        if let Some(value) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// Opens a socket to Directus for a visitor whose origin is in order, or says why not: all of it within one time-out, so that
/// the visitor hears the cause before giving up.
pub(super) async fn admit(
    shared: &Shared,
    session: Option<&Secret>,
    caller: &Caller,
    needs_mode: bool,
) -> Result<(Admitted, Option<Mode>), Verdict> {
    let patience = shared.settings.config.directus_connect_timeout;
    let admitted = timeout(patience, admit_at_leisure(shared, session, caller, needs_mode)).await;
    admitted.unwrap_or_else(|_| Err(lost(shared, OpenError::Timeout)))
}

async fn admit_at_leisure(
    shared: &Shared,
    session: Option<&Secret>,
    caller: &Caller,
    needs_mode: bool,
) -> Result<(Admitted, Option<Mode>), Verdict> {
    if *shared.draining.borrow() {
        return Err(Verdict::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::ShuttingDown,
            "This server is ending: try again in a moment.",
        )
        .retry_after(Some(HeaderValue::from_static("5"))));
    }
    let Ok(permit) = shared.permits.clone().try_acquire_owned() else {
        return Err(Verdict::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Limit,
            "As many sockets are open as DIRECTUS_MAX_SOCKETS allows: try again later.",
        )
        .retry_after(Some(HeaderValue::from_static("30"))));
    };
    check_mode(shared).await?;
    let mut session_dropped = false;
    if let Some(session) = session {
        match shared.upstream.open(Some(session), caller).await {
            Ok(socket) => {
                shared.log_well();
                // A session is let in whatever the mode is, so it is asked for only by who wants to read it.
                let mode = if needs_mode { shared.mode.get(&shared.upstream).await.ok() } else { None };
                return Ok((Admitted { socket, identity: Identity::Session, session_dropped, permit }, mode));
            }
            // The session is dead; public data need none.
            Err(OpenError::Refused { status: 401, .. }) => session_dropped = true,
            Err(error) => return Err(lost(shared, error)),
        }
    }
    let mode = shared.mode.get(&shared.upstream).await.map_err(|error| lost(shared, error))?;
    let is_open = match mode {
        Mode::Public => true,
        Mode::Handshake => shared.settings.config.directus_allow_client_auth,
        Mode::Strict => false,
    };
    if !is_open {
        return Err(Verdict::auth_required(mode, session_dropped));
    }
    match shared.upstream.open(None, caller).await {
        Ok(socket) => {
            shared.log_well();
            Ok((Admitted { socket, identity: Identity::Anonymous, session_dropped, permit }, Some(mode)))
        }
        Err(OpenError::Refused { status: 401, .. }) => {
            // Not the mode that we remember.
            shared.mode.forget();
            Err(Verdict::auth_required(Mode::Strict, session_dropped))
        }
        Err(error) => Err(lost(shared, error).in_mode(Some(mode)).without_session(session_dropped)),
    }
}

/// A configured mode must be the one that Directus runs in: better no socket than one with other rights than meant.
async fn check_mode(shared: &Shared) -> Result<(), Verdict> {
    let Some(configured) = shared.settings.config.directus_mode.expected() else { return Ok(()) };
    let found = shared.mode.get(&shared.upstream).await.map_err(|error| lost(shared, error))?;
    if found == configured {
        return Ok(());
    }
    let verdict = Verdict::mismatch(configured, found);
    shared.log_once(&verdict);
    Err(verdict)
}

/// Directus can't be reached as it could before: what was known of it is in doubt.
fn lost(shared: &Shared, error: OpenError) -> Verdict {
    if error == OpenError::Timeout {
        // Nothing comes back: what is kept open for requests may be as dead, and would be waited for when the way is back.
        shared.upstream.renew_connections();
    }
    let is_loss = !matches!(error, OpenError::Refused { .. });
    let verdict = Verdict::of(error);
    if is_loss {
        shared.mode.forget_success();
    }
    if verdict.code() != Code::AuthRequired {
        shared.log_once(&verdict);
    }
    verdict
}
