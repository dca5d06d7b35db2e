//! The way to Directus: its socket and its HTTP interface, as one visitor.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Uri, header};
use reqwest::Url;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, handshake::client::generate_key, protocol::WebSocketConfig},
};

use super::{
    config::{ConfigError, Settings},
    cookies,
};
use crate::{
    native::{http_client, tls_config},
    protocol::Secret,
};

/// A socket to Directus.
pub(super) type UpstreamSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a visitor's request describes its sender to Directus: `User-Agent` and `X-Forwarded-*`.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    pub(super) headers: HeaderMap,
}

impl Caller {
    /// The headers that are text, as pairs.
    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        let pairs =
            self.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        pairs.collect()
    }
}

/// Where Directus is and how to reach it.
#[derive(Debug)]
pub(super) struct Upstream {
    base: Url,
    socket: Url,
    host: HeaderValue,
    cookie_name: String,
    connect_timeout: Duration,
    max_message: usize,
    max_sent: usize,
    tls: Arc<rustls::ClientConfig>,
    http: Mutex<Renewable>,
}

/// The HTTP client, and since when it keeps its connections.
#[derive(Debug)]
struct Renewable {
    client: reqwest::Client,
    since: Instant,
}

/// Everybody who was on a dead link notices it in the same moment: once is enough.
const RENEWED_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Why there is no socket to Directus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Nobody is there.
    Unreachable,
    /// Somebody is there, but does not answer.
    Timeout,
    /// Its certificate was not accepted.
    Tls(String),
    /// It said no.
    Refused { status: u16, retry_after: Option<HeaderValue> },
    /// What it said makes no sense.
    Broken(String),
}

impl OpenError {
    pub(super) fn from_socket(error: &tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Http(response) => Self::Refused {
                status: response.status().as_u16(),
                retry_after: response.headers().get(header::RETRY_AFTER).cloned(),
            },
            tungstenite::Error::Tls(error) => Self::Tls(error.to_string()),
            tungstenite::Error::Io(error) => {
                match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(error) => Self::Tls(error.to_string()),
                    None => Self::Unreachable,
                }
            }
            tungstenite::Error::Protocol(tungstenite::error::ProtocolError::HandshakeIncomplete)
            | tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed => Self::Unreachable,
            error => Self::Broken(error.to_string()),
        }
    }
}

impl Upstream {
    pub(super) fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let bad_ca = |problem: String| ConfigError {
            name: "DIRECTUS_CA_FILE",
            problem,
            expected: "a readable file of PEM certificates",
        };
        let tls = tls_config(settings.config.directus_ca_file.as_deref()).map_err(|error| bad_ca(error.to_string()))?;
        let http = http_client(&tls).map_err(|error| bad_ca(error.to_string()))?;
        let bad_host = || ConfigError {
            name: "DIRECTUS_URL",
            problem: "its host can't be sent in a header".to_owned(),
            expected: "a host name or an address",
        };
        let name = settings.base.host_str().ok_or_else(bad_host)?;
        let host = match settings.base.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self {
            base: settings.base.clone(),
            socket: settings.socket.clone(),
            host: HeaderValue::try_from(host).map_err(|_| bad_host())?,
            cookie_name: settings.config.directus_session_cookie.clone(),
            connect_timeout: settings.config.directus_connect_timeout,
            max_message: settings.config.directus_max_upstream_message,
            max_sent: settings.config.directus_max_message,
            tls,
            http: Mutex::new(Renewable { client: http, since: Instant::now() }),
        })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.tls)
    }

    pub(super) fn http(&self) -> reqwest::Client {
        self.http.lock().unwrap_or_else(PoisonError::into_inner).client.clone()
    }

    /// From now on requests go over new connections: a link that has died silently is noticed by sockets, which ask, and has
    /// taken the idle connections of the client with it, which do not. Requests that are on their way go on.
    pub(super) fn renew_connections(&self) {
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if http.since.elapsed() < RENEWED_AT_MOST_EVERY {
            return;
        }
        // What could be made once can be made again; if not, the old one is used on.
        if let Ok(client) = http_client(&self.tls) {
            *http = Renewable { client, since: Instant::now() };
        }
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Opens a socket with at most the session cookie, no `Origin`, no subprotocol and no compression.
    pub(super) async fn open(&self, session: Option<&Secret>, caller: &Caller) -> Result<UpstreamSocket, OpenError> {
        let request = self.handshake(session, caller)?;
        let host = self.socket.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.socket.port_or_known_default().unwrap_or_default();
        let config = socket_config(self.max_message, self.max_sent);
        let deadline = Instant::now() + self.connect_timeout;
        let stream = timeout_at(deadline, TcpStream::connect((host, port)))
            .await
            .map_err(|_| OpenError::Timeout)?
            .map_err(|_| OpenError::Unreachable)?;
        // Frames are small and each waits for nobody. A socket that refuses this is only slower.
        let _ = stream.set_nodelay(true);
        let connector = match self.socket.scheme() {
            "wss" => Connector::Rustls(Arc::clone(&self.tls)),
            _ => Connector::Plain,
        };
        let shake = client_async_tls_with_config(request, stream, Some(config), Some(connector));
        match timeout_at(deadline, shake).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(OpenError::from_socket(&error)),
            Err(_) => Err(OpenError::Timeout),
        }
    }

    fn handshake(&self, session: Option<&Secret>, caller: &Caller) -> Result<Request<()>, OpenError> {
        let uri: Uri = self.socket.as_str().parse().map_err(|_| OpenError::Broken("its URL is unusable".to_owned()))?;
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.clone_from(&caller.headers);
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if let Ok(key) = HeaderValue::try_from(generate_key()) {
            headers.insert(header::SEC_WEBSOCKET_KEY, key);
        }
        if let Some(cookie) = session.and_then(|session| cookies::request_header(&self.cookie_name, session)) {
            headers.insert(header::COOKIE, cookie);
        }
        Ok(request)
    }
}

/// Small buffers: tungstenite's own 128 KiB each would be most of what a quiet visitor costs.
///
/// What waits to be written is bounded as well: answers to a flood of pings, which nobody reads, would pile up there.
pub(super) fn socket_config(max_message: usize, max_sent: usize) -> WebSocketConfig {
    const BUFFER: usize = 16 * 1024;
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(max_sent.saturating_add(4 * BUFFER))
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}
