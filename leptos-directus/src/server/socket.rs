//! `/directus-ws`: the upgrade, and the plain `GET` that tells what an upgrade would meet.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use super::{
    DirectusServer,
    admission::{Admitted, Code, Verdict, admit},
    caller::{caller, peer},
    origin::{Source, source, source_of_a_read},
    relations,
    relay::{Accepted, Rules, relay},
    upstream::socket_config,
};

/// What a request to the socket's path wants.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// To know what an upgrade would meet.
    Verdict,
    /// A socket; the answer to its key.
    Socket(String),
    /// Something that is not there.
    Wrong { status: StatusCode, code: Code, message: &'static str },
}

impl Wanted {
    fn read(method: &Method, version: Version, headers: &HeaderMap) -> Self {
        let wrong = |status, code, message| Self::Wrong { status, code, message };
        if method != Method::GET {
            return wrong(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::MethodNotAllowed,
                "Only GET is served here: with an upgrade it opens a socket, without one it tells whether one would open.",
            );
        }
        let has = |name, token: &str| {
            headers
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .any(|value: &str| value.split(',').any(|found| found.trim().eq_ignore_ascii_case(token)))
        };
        if !has(header::UPGRADE, "websocket") {
            return Self::Verdict;
        }
        let bad = |message| wrong(StatusCode::BAD_REQUEST, Code::BadUpgrade, message);
        if version != Version::HTTP_11 {
            return bad("A WebSocket upgrade needs HTTP/1.1.");
        }
        if !has(header::CONNECTION, "upgrade") {
            return bad("A WebSocket upgrade needs `Connection: Upgrade`; a proxy in between may have removed it.");
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return wrong(
                StatusCode::UPGRADE_REQUIRED,
                Code::BadUpgrade,
                "Only version 13 of the WebSocket protocol is spoken here.",
            );
        }
        let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
        match (keys.next(), keys.next()) {
            // 16 bytes in base 64.
            (Some(key), None) if key.len() == 24 && key.as_bytes().ends_with(b"==") => {
                Self::Socket(derive_accept_key(key.as_bytes()))
            }
            _ => bad("A WebSocket upgrade needs one Sec-WebSocket-Key of 16 bytes."),
        }
    }
}

/// Answers a request to the socket's path.
pub(super) async fn answer(State(server): State<DirectusServer>, mut request: Request) -> Response {
    let shared = &server.0;
    let config = &shared.settings.config;
    let own = shared.own_host(request.headers());
    let session = server.session_from_cookies(request.headers());
    // The origin first: a foreign page learns nothing, not even whether Directus is there.
    let said = source(request.headers(), &own, &shared.settings.allowed_origins);
    if said == Source::Foreign {
        return Verdict::foreign_origin().into_response();
    }
    let wanted = Wanted::read(request.method(), request.version(), request.headers());
    let is_read = wanted == Wanted::Verdict;
    let from = if is_read { source_of_a_read(request.headers(), &own, &shared.settings.allowed_origins) } else { said };
    let verdict = match (&wanted, from) {
        (Wanted::Wrong { status, code, message }, _) => Some(Verdict::refused(*status, *code, *message)),
        (_, Source::Foreign) => Some(Verdict::foreign_origin()),
        (_, Source::Missing) if session.is_some() && !config.directus_allow_missing_origin => {
            Some(Verdict::missing_origin())
        }
        _ => None,
    };
    if let Some(verdict) = verdict {
        let mut response = if is_read { verdict.as_answer() } else { verdict.into_response() };
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        return response;
    }
    let peer = peer(request.extensions());
    let caller = caller(request.headers(), peer, &own, config.directus_trust_proxy);
    if is_read && let Some(asked) = relations::asked(request.uri().query()) {
        return relations::answer(&server, session.as_ref(), caller, asked).await;
    }
    let admitted = admit(shared, session.as_ref(), &caller, is_read).await;
    let accept = match (wanted, admitted) {
        (Wanted::Socket(accept), Ok((admitted, _))) => {
            let upgrade = hyper::upgrade::on(&mut request);
            tracing::info!(
                peer = peer.map(tracing::field::display),
                identity = ?admitted.identity,
                session_dropped = admitted.session_dropped,
                "socket opens"
            );
            tokio::spawn(serve(server.clone(), upgrade, admitted));
            accept
        }
        (_, Ok((mut admitted, mode))) => {
            let verdict = admitted.verdict(mode);
            // It was opened only to see whether it would.
            tokio::spawn(async move {
                let goodbye = admitted.socket.close(None);
                let _ = tokio::time::timeout(PROBE_GOODBYE, goodbye).await;
            });
            return verdict.as_answer();
        }
        (Wanted::Socket(_), Err(verdict)) => return verdict.into_response(),
        (_, Err(verdict)) => return verdict.as_answer(),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// How long the goodbye of a socket that was opened for a look may take.
const PROBE_GOODBYE: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs one socket to its end. The permit is given back when this returns: that is how open sockets are counted.
async fn serve(server: DirectusServer, upgrade: OnUpgrade, admitted: Admitted) {
    let Admitted { mut socket, permit, .. } = admitted;
    let config = &server.0.settings.config;
    let started = Instant::now();
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::info!(%error, "the visitor left before the socket was open");
            let _ = tokio::time::timeout(PROBE_GOODBYE, socket.close(None)).await;
            return;
        }
    };
    let accepted = Accepted::default();
    let stream = Counted { inner: TokioIo::new(upgraded), accepted: accepted.clone() };
    let limits = socket_config(config.directus_max_message, config.directus_max_upstream_message);
    let client = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits)).await;
    let rules = Rules {
        allow_client_auth: config.directus_allow_client_auth,
        ping_interval: config.directus_ping_interval,
        pong_timeout: config.directus_pong_timeout,
        idle_timeout: config.directus_idle_timeout,
        write_timeout: config.directus_write_timeout,
    };
    let suspect = || server.0.upstream.renew_connections();
    let ended = relay(client, socket, &rules, &accepted, server.0.draining.subscribe(), suspect).await;
    if ended.puts_mode_in_doubt() {
        server.0.mode.forget();
    }
    tracing::info!(
        cause = %ended,
        seconds = started.elapsed().as_secs(),
        bytes_sent = accepted.load(Ordering::Relaxed),
        "socket closed"
    );
    drop(permit);
}

/// A stream that counts what its reader accepts.
struct Counted<S> {
    inner: S,
    accepted: Accepted,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.accepted.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        self.accepted.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
