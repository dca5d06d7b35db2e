//! tokio: reqwest for HTTP, tokio-tungstenite for the socket.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry, hash_map::RandomState},
    future::Future,
    hash::BuildHasher,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use futures::{
    SinkExt, StreamExt,
    channel::{
        mpsc::{self, UnboundedSender},
        oneshot,
    },
};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::{
    Connector,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};

use super::{
    Credentials, HttpRequest, HttpResponse, Patience, SocketEvent, SocketTarget, close_reason, retry_after, text,
    unreachable_error,
};
use crate::{
    connection::{Millis, Wake},
    error::Error,
    native,
};

/// Makes HTTP requests; clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct HttpClient(Result<Outfit, Error>);

#[derive(Clone, Debug)]
struct Outfit {
    client: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
}

impl Default for HttpClient {
    /// The client that all of a process's [`Directus::native`](crate::Directus::native) handles share.
    fn default() -> Self {
        static SHARED: OnceLock<HttpClient> = OnceLock::new();
        let unusable = |error: &dyn std::error::Error| Error::usage(format!("no HTTP client can be set up: {error}"));
        SHARED
            .get_or_init(|| {
                let outfit = native::tls_config(None).map_err(|error| unusable(&error)).and_then(|tls| {
                    let client = native::http_client(&tls).map_err(|error| unusable(&error))?;
                    Ok(Outfit { client, tls })
                });
                Self(outfit)
            })
            .clone()
    }
}

impl HttpClient {
    /// Uses a client and a TLS configuration that are there already.
    #[cfg(feature = "ssr")]
    pub(crate) fn new(client: reqwest::Client, tls: Arc<rustls::ClientConfig>) -> Self {
        Self(Ok(Outfit { client, tls }))
    }

    /// The same with new connections: those that were kept open may have died silently, together with a socket.
    pub(crate) fn renewed(&self) -> Self {
        let renew = |outfit: &Outfit| {
            let client = native::http_client(&outfit.tls).ok()?;
            Some(Self(Ok(Outfit { client, tls: Arc::clone(&outfit.tls) })))
        };
        // One that cannot be made anew, which was made before, is used on.
        self.0.as_ref().ok().and_then(renew).unwrap_or_else(|| self.clone())
    }

    pub(crate) fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, Error>> + Send + 'static {
        let outfit = self.0.clone();
        async move {
            let client = outfit?.client;
            let method = reqwest::Method::from_bytes(request.method.as_bytes())
                .map_err(|_| Error::usage(format!("`{}` is no HTTP method", request.method)))?;
            let mut builder = client.request(method, &request.url).timeout(request.patience.whole);
            match &request.credentials {
                Credentials::Ambient => {}
                Credentials::Token(token) => builder = builder.bearer_auth(token.expose()),
                Credentials::Session(name, value) => {
                    builder = builder.header(header::COOKIE, format!("{name}={}", value.expose()));
                }
            }
            for (name, value) in &request.headers {
                builder = builder.header(name, value);
            }
            if let Some(body) = request.body {
                builder = builder.header(header::CONTENT_TYPE, "application/json").body(body);
            }
            // reqwest's errors name the URL: they are told apart here and not passed on.
            let failed = |error: reqwest::Error| {
                if error.is_timeout() {
                    Error::timeout("the request to Directus")
                } else if error.is_builder() {
                    Error::usage("the address of Directus is not one that can be asked")
                } else {
                    unreachable_error()
                }
            };
            let Patience { head, silence, .. } = request.patience;
            let late = |_| Error::timeout("the request to Directus");
            let mut response = timeout(head, builder.send()).await.map_err(late)?.map_err(failed)?;
            let status = response.status().as_u16();
            let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait = retry_after(wait);
            let mut body = Vec::new();
            while let Some(part) = timeout(silence, response.chunk()).await.map_err(late)?.map_err(failed)? {
                body.extend_from_slice(&part);
            }
            Ok(HttpResponse { status, retry_after: wait, body: text(body)? })
        }
    }
}

/// An open socket. A task of its own carries it, so that a peer that does not read blocks nobody else; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Socket {
    outgoing: UnboundedSender<String>,
    incoming: mpsc::Receiver<SocketEvent>,
}

/// Frames read ahead of the driver; beyond that the socket is not read, and TCP holds the sender back.
const READ_AHEAD: usize = 64;

/// How long a polite end may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl Socket {
    pub(crate) async fn open(http: HttpClient, target: SocketTarget) -> Result<Self, Error> {
        let mut url = target.url;
        // In the query, because that is the one form that Directus takes in each of its modes (directus.md 3.1).
        if let Credentials::Token(token) = &target.credentials {
            let token = percent_encoding::utf8_percent_encode(token.expose(), percent_encoding::NON_ALPHANUMERIC);
            url = format!("{url}{}access_token={token}", if url.contains('?') { '&' } else { '?' });
        }
        let mut request = url
            .into_client_request()
            .map_err(|_| Error::usage("the address of Directus's WebSocket must begin with ws:// or wss://"))?;
        if let Credentials::Session(name, value) = &target.credentials {
            let cookie = HeaderValue::from_str(&format!("{name}={}", value.expose()))
                .map_err(|_| Error::usage("the session cookie holds characters that no header can carry"))?;
            request.headers_mut().insert(header::COOKIE, cookie);
        }
        let config = WebSocketConfig::default().read_buffer_size(16 * 1024);
        let connector = Connector::Rustls(http.0?.tls);
        let opened =
            tokio_tungstenite::connect_async_tls_with_config(request, Some(config), true, Some(connector)).await;
        let (socket, _) = opened.map_err(refusal)?;
        let (outgoing, mut to_send) = mpsc::unbounded::<String>();
        let (mut received, incoming) = mpsc::channel(READ_AHEAD);
        tokio::spawn(async move {
            let (mut sink, mut stream) = socket.split();
            let read = async {
                loop {
                    let event = match stream.next().await {
                        Some(Ok(Message::Text(text))) => SocketEvent::Text(text.as_str().to_owned()),
                        Some(Ok(Message::Binary(bytes))) => match String::from_utf8(bytes.into()) {
                            Ok(text) => SocketEvent::Text(text),
                            Err(_) => SocketEvent::Unreadable,
                        },
                        Some(Ok(Message::Close(frame))) => SocketEvent::Closed(match frame {
                            Some(frame) => close_reason(frame.code.into(), &frame.reason),
                            None => close_reason(1005, ""),
                        }),
                        Some(Ok(_)) => continue,
                        Some(Err(tungstenite::Error::Utf8(_))) => SocketEvent::Closed(close_reason(1007, "")),
                        Some(Err(_)) | None => SocketEvent::Closed(close_reason(1006, "")),
                    };
                    let over = matches!(event, SocketEvent::Closed(_));
                    if received.send(event).await.is_err() || over {
                        break;
                    }
                }
            };
            let write = async {
                while let Some(text) = to_send.next().await {
                    if sink.send(Message::text(text)).await.is_err() {
                        break;
                    }
                }
                // The handle is gone: say goodbye, but do not wait for somebody who does not listen.
                let _ = timeout(CLOSE_TIMEOUT, sink.close()).await;
            };
            futures::future::select(std::pin::pin!(read), std::pin::pin!(write)).await;
        });
        Ok(Self { outgoing, incoming })
    }

    pub(crate) fn send(&mut self, text: String) {
        // A socket that has ended says so through `next`.
        let _ = self.outgoing.unbounded_send(text);
    }

    pub(crate) async fn next(&mut self) -> SocketEvent {
        self.incoming.next().await.unwrap_or_else(|| SocketEvent::Closed(close_reason(1006, "")))
    }
}

/// What a failed upgrade says; its body is the probe's JSON where our own proxy answered.
fn refusal(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => {
            let status = response.status().as_u16();
            let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait = retry_after(wait);
            let body = response.body().as_deref().unwrap_or_default();
            super::refused_upgrade(status, &String::from_utf8_lossy(body)).with_retry_after(wait)
        }
        tungstenite::Error::Url(_) => {
            Error::usage("the address of Directus's WebSocket must begin with ws:// or wss://")
        }
        tungstenite::Error::Tls(_) => Error::network("the certificate of Directus's WebSocket was not accepted"),
        _ => Error::network("Directus's WebSocket can't be reached"),
    }
}

/// No browser, no such events.
#[derive(Debug)]
pub(crate) struct WakeEvents;

impl WakeEvents {
    pub(crate) fn listen() -> Self {
        Self
    }

    pub(crate) async fn next(&mut self) -> Wake {
        std::future::pending().await
    }
}

/// Texts that are kept as long as the process lives: there is no page that could end before. One handle at a time holds them:
/// the others wait for it to end, so that no two of them send the same.
#[derive(Debug)]
pub(crate) struct Store(String);

static KEPT: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
/// Stores that are held, and who waits for them.
static CLAIMED: Mutex<BTreeMap<String, VecDeque<oneshot::Sender<Store>>>> = Mutex::new(BTreeMap::new());

impl Store {
    pub(crate) fn claim(name: String) -> impl Future<Output = Option<Self>> + Send + 'static {
        let turn = match CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()) {
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                None
            }
            Entry::Occupied(mut held) => {
                let (sender, turn) = oneshot::channel();
                held.get_mut().push_back(sender);
                Some(turn)
            }
        };
        let free = turn.is_none().then(|| Self(name));
        async move {
            match turn {
                Some(turn) => turn.await.ok(),
                None => free,
            }
        }
    }

    pub(crate) fn load(&self, key: &str) -> Option<String> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).get(&format!("{} {key}", self.0)).cloned()
    }

    /// Whether it is kept from now on.
    pub(crate) fn save(&self, key: &str, text: Option<&str>) -> bool {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{} {key}", self.0);
        match text {
            Some(text) => drop(kept.insert(key, text.to_owned())),
            None => drop(kept.remove(&key)),
        }
        text.is_some()
    }

    /// Removes what is kept under this key, in whichever store.
    pub(crate) fn forget(key: &str) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|name, _| !name.ends_with(&format!(" {key}")));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        loop {
            let next = {
                let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(waiting) = claimed.get_mut(&self.0) else { return };
                let Some(next) = waiting.pop_front() else {
                    claimed.remove(&self.0);
                    return;
                };
                next
            };
            // Who does not wait any more gives it back.
            match next.send(Self(std::mem::take(&mut self.0))) {
                Ok(()) => return,
                Err(mut back) => self.0 = std::mem::take(&mut back.0),
            }
        }
    }
}

/// Nothing is older than the program.
pub(crate) fn is_from_history() -> bool {
    false
}

pub(crate) fn is_browser() -> bool {
    false
}

pub(crate) fn now() -> Millis {
    static START: OnceLock<Instant> = OnceLock::new();
    Millis::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(Millis::MAX)
}

/// Milliseconds since 1970, by this machine's clock.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// From the keys of two hash maps, which the standard library draws at random.
pub(crate) fn random() -> u128 {
    u128::from(seed()) << 64 | u128::from(RandomState::new().hash_one(1))
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
