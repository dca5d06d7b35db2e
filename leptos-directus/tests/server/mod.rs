//! The router of `directus_routes` on a port of its own, a visitor in front of it and a stand-in for Directus behind it.
//!
//! What a real Directus does is tried in `server/tests/real_server.rs`.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, unused_imports, reason = "see above")]

mod head;
mod log;
mod stand_in;

use std::{fmt::Debug, future::Future, net::SocketAddr, panic::Location, time::Duration};

use axum::Router;
use futures::StreamExt;
pub(crate) use head::Head;
use leptos_directus::server::{DirectusConfig, DirectusServer, directus_routes};
pub(crate) use log::Log;
use serde_json::Value;
pub(crate) use stand_in::{Asked, Play, SESSION, Socket, StandIn};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role},
    },
};

/// Longer than anything here takes on a busy machine, and short enough to end a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The socket as a visitor holds it.
pub(crate) type Visitor = WebSocketStream<TcpStream>;

/// The server under test.
pub(crate) struct App {
    pub(crate) server: DirectusServer,
    pub(crate) address: SocketAddr,
}

impl App {
    /// In front of `directus`, with the defaults.
    pub(crate) async fn new(directus: &StandIn) -> Self {
        Self::with(directus, |_| {}).await
    }

    /// In front of `directus`, configured.
    pub(crate) async fn with(directus: &StandIn, change: impl FnOnce(&mut DirectusConfig)) -> Self {
        Self::at(&directus.url(), change).await
    }

    pub(crate) async fn at(url: &str, change: impl FnOnce(&mut DirectusConfig)) -> Self {
        let mut config = DirectusConfig::default();
        config.directus_url = url.to_owned();
        change(&mut config);
        let server = DirectusServer::new(config).unwrap();
        let routes: Router = directus_routes(&server);
        let app = routes.into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { server, address }
    }

    /// The origin of the app's own pages.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An upgrade as a page of the app sends it, without a session.
    pub(crate) fn upgrade(&self) -> Upgrade {
        Upgrade {
            address: self.address,
            target: "/directus-ws".to_owned(),
            origin: Some(self.origin()),
            headers: Vec::new(),
        }
    }

    /// A logged-in visitor's socket with its upstream.
    pub(crate) async fn pair(&self, directus: &mut StandIn) -> (Visitor, Socket) {
        let visitor = self.upgrade().header("cookie", SESSION).open().await;
        let (_, upstream) = directus.socket().await;
        (visitor, upstream)
    }

    /// What a plain `GET` of the socket's path says.
    pub(crate) async fn verdict(&self, headers: &[(&str, &str)]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("GET /directus-ws HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        Answer::read(&mut stream).await
    }

    /// Waits until no socket is open or being opened any more.
    pub(crate) async fn empty(&self) {
        eventually("all sockets to be gone", async || match self.server.open_sockets() {
            0 => Ok(()),
            open => Err(open),
        })
        .await;
    }
}

/// An upgrade that is not sent yet.
pub(crate) struct Upgrade {
    address: SocketAddr,
    target: String,
    origin: Option<String>,
    headers: Vec<(String, String)>,
}

impl Upgrade {
    pub(crate) fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(crate) fn origin(mut self, origin: Option<&str>) -> Self {
        self.origin = origin.map(str::to_owned);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it and does not wait for the answer.
    pub(crate) async fn send(self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        self.send_over(stream).await
    }

    pub(crate) async fn send_over(self, mut stream: TcpStream) -> TcpStream {
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n",
            self.target, self.address
        );
        let origin = self.origin.map(|origin| ("Origin".to_owned(), origin));
        for (name, value) in origin.into_iter().chain(self.headers) {
            head.extend([&name, ": ", &value, "\r\n"]);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Sends it; it has to be granted.
    pub(crate) async fn open(self) -> Visitor {
        opened(self.send().await).await
    }

    /// Sends it; it has to be refused.
    pub(crate) async fn refused(self) -> Answer {
        let answer = Answer::read(&mut self.send().await).await;
        assert_ne!(answer.status, 101, "let in");
        answer
    }
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The socket behind an upgrade that was sent.
pub(crate) async fn opened(mut stream: TcpStream) -> Visitor {
    let head = patiently("the answer to an upgrade", Head::read(&mut stream)).await.expect("an answer");
    assert_eq!(head.word(), "101", "{head:?}");
    assert_eq!(head.get("sec-websocket-accept"), Some(derive_accept_key(KEY.as_bytes()).as_str()));
    assert_eq!(head.get("sec-websocket-extensions"), None, "nobody offered one");
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// An answer that is not 101.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let read = async {
            let head = Head::read(stream).await.expect("an answer");
            let length = head.get("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let status = head.word().parse().unwrap();
            Self { status, head, json: serde_json::from_slice(&body).unwrap_or(Value::Null) }
        };
        patiently("an answer", read).await
    }

    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

/// A client for requests that follows no redirect, undoes no compression, and does not wait for ever.
pub(crate) fn client() -> reqwest::Client {
    // Whoever comes second finds the same provider there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build().unwrap()
}

pub(crate) fn text(text: &str) -> Message {
    Message::text(text.to_owned())
}

/// The next message; the end of the stream is no message.
#[track_caller]
pub(crate) fn next<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> impl Future<Output = Message> {
    let message = patiently("a message", socket.next());
    async move { message.await.expect("the stream goes on").expect("the stream is whole") }
}

/// The code and the reason with which a socket is closed, after whatever else comes. 1005: a close frame without a
/// code; 1006: no close frame.
#[track_caller]
pub(crate) fn closed<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> impl Future<Output = (u16, String)> {
    let end = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    break (u16::from(code), reason.as_str().to_owned());
                }
                Some(Ok(Message::Close(None))) => break (1005, String::new()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break (1006, String::new()),
            }
        }
    };
    patiently("the socket to be closed", end)
}

/// Waits, but not for ever.
#[track_caller]
pub(crate) fn patiently<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = Location::caller();
    let what = what.to_owned();
    async move {
        match timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{place}: waited {PATIENCE:?} for {what}"),
        }
    }
}

/// Waits until `probe` gives something, and says what it last saw if it never does.
#[track_caller]
pub(crate) fn eventually<T, Seen: Debug, F: Future<Output = Result<T, Seen>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let place = Location::caller();
    let what = what.to_owned();
    async move {
        let mut last = None;
        let poll = async {
            let mut interval = tokio::time::interval(Duration::from_millis(5));
            loop {
                interval.tick().await;
                match probe().await {
                    Ok(found) => break found,
                    Err(seen) => last = Some(seen),
                }
            }
        };
        match timeout(PATIENCE, poll).await {
            Ok(found) => found,
            Err(_) => panic!("{place}: waited {PATIENCE:?} for {what}; last seen: {last:?}"),
        }
    }
}
