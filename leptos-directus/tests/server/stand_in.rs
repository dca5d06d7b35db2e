//! A stand-in for Directus, for what a real one cannot be made to do: it is silent, breaks off, floods, and lies.

use std::{fmt, net::SocketAddr, sync::Arc};

use futures::SinkExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{Head, next, patiently, text};

/// A connection, encrypted or not.
pub(crate) trait Link: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Link>>;

/// The session that a stand-in in one of Directus's modes knows.
pub(crate) const SESSION: &str = "directus_session_token=good.session.token";

/// How upgrades are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Play {
    /// As Directus in mode `public`, `handshake` or `strict`; the sockets of visitors are handed to the test.
    Public,
    Handshake,
    Strict,
    /// Not at all: every connection is handed to the test.
    Script,
}

/// One request, whose answer is the test's to write.
pub(crate) struct Asked {
    pub(crate) head: Head,
    pub(crate) stream: Box<dyn Link>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}

impl Asked {
    fn is_upgrade(&self) -> bool {
        self.head.get("upgrade").is_some()
    }

    /// The mode is found out by a socket of the server's own, which is no visitor's.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_upgrade() && self.head.get("x-forwarded-host").is_none()
    }

    /// Answers the upgrade.
    pub(crate) async fn accept(mut self) -> Socket {
        let key = self.head.get("sec-websocket-key").expect("an upgrade has a key");
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        self.stream.write_all(head.as_bytes()).await.unwrap();
        WebSocketStream::from_raw_socket(self.stream, Role::Server, None).await
    }

    /// Writes as much of an answer as this; the connection stays.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        patiently("the answer to be taken", self.stream.write_all(bytes.as_ref())).await.unwrap();
        patiently("the answer to be taken", self.stream.flush()).await.unwrap();
    }

    /// Answers with a head and a body, and closes.
    pub(crate) async fn answer(mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await;
        // Whoever still sends has nobody to read it.
        let _ = self.stream.shutdown().await;
    }

    /// Refuses an upgrade as Directus does: without headers, without a body, and the connection is gone.
    pub(crate) async fn refuse(mut self, status: &str) {
        self.write(format!("HTTP/1.1 {status}\r\n\r\n")).await;
        let _ = self.stream.shutdown().await;
    }

    /// The next chunk of a body that comes in chunks; empty at its end.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let read = async {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.stream.read_u8().await.unwrap());
            }
            let length = usize::from_str_radix(String::from_utf8(line).unwrap().trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).await.unwrap();
            chunk.truncate(length);
            chunk
        };
        patiently("a chunk of the body", read).await
    }

    /// The whole body, as its head describes it.
    pub(crate) async fn body(&mut self) -> Vec<u8> {
        if let Some(length) = self.head.get("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            patiently("the body", self.stream.read_exact(&mut body)).await.unwrap();
            return body;
        }
        let mut body = Vec::new();
        if self.head.get("transfer-encoding").is_some() {
            loop {
                let chunk = self.chunk().await;
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
        }
        body
    }

    /// Waits until the server has let go of this connection.
    pub(crate) async fn gone(&mut self) {
        let mut waste = [0; 1024];
        let gone = async { while matches!(self.stream.read(&mut waste).await, Ok(read) if read > 0) {} };
        patiently("the server to let go", gone).await;
    }
}

pub(crate) struct StandIn {
    address: SocketAddr,
    scheme: &'static str,
    asked: mpsc::UnboundedReceiver<Asked>,
    sockets: mpsc::UnboundedReceiver<(Head, Socket)>,
}

impl StandIn {
    pub(crate) async fn new(play: Play) -> Self {
        Self::start(play, None).await
    }

    /// The same behind TLS.
    pub(crate) async fn with_tls(play: Play, tls: rustls::ServerConfig) -> Self {
        Self::start(play, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn start(play: Play, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (to_asked, asked) = mpsc::unbounded_channel();
        let (to_sockets, sockets) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, to_asked, to_sockets) = (tls.clone(), to_asked.clone(), to_sockets.clone());
                tokio::spawn(async move {
                    let Some(asked) = receive(stream, tls).await else { return };
                    // A test that has ended waits for nothing more.
                    if play == Play::Script || !asked.is_upgrade() {
                        let _ = to_asked.send(asked);
                    } else if let Some(visitor) = perform(play, asked).await {
                        let _ = to_sockets.send(visitor);
                    }
                });
            }
        });
        Self { address, scheme, asked, sockets }
    }

    pub(crate) fn url(&self) -> String {
        // By name: certificates are made out for it.
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// The next connection that is the test's to answer.
    pub(crate) async fn asked(&mut self) -> Asked {
        patiently("a connection to Directus", self.asked.recv()).await.expect("the stand-in lives")
    }

    /// The next visitor's socket, and the head of its upgrade.
    pub(crate) async fn socket(&mut self) -> (Head, Socket) {
        patiently("a socket to Directus", self.sockets.recv()).await.expect("the stand-in lives")
    }

    /// Nobody has asked for anything that the test has not seen.
    #[track_caller]
    pub(crate) fn assert_untouched(&mut self) {
        self.assert_asked_for_nothing_but("");
    }

    /// The same, but for requests that begin so, if that is anything.
    #[track_caller]
    pub(crate) fn assert_asked_for_nothing_but(&mut self, begin: &str) {
        while let Ok(asked) = self.asked.try_recv() {
            let is_excused = !begin.is_empty() && asked.head.first.starts_with(begin);
            assert!(is_excused, "Directus was asked: {asked:?}");
        }
        if let Ok((head, _)) = self.sockets.try_recv() {
            panic!("Directus gave a socket: {head:?}");
        }
    }
}

async fn receive(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Asked> {
    let mut stream: Box<dyn Link> = match tls {
        // A certificate that is refused ends here.
        Some(tls) => Box::new(tls.accept(stream).await.ok()?),
        None => Box::new(stream),
    };
    let head = Head::read(&mut stream).await?;
    Some(Asked { head, stream })
}

/// Answers an upgrade as Directus in that mode; the socket, if it is a visitor's.
async fn perform(play: Play, asked: Asked) -> Option<(Head, Socket)> {
    let is_let_in = match asked.head.get("cookie") {
        Some(cookie) => cookie == SESSION,
        None => play != Play::Strict,
    };
    if !is_let_in {
        asked.refuse("401 Unauthorized").await;
        return None;
    }
    let is_probe = asked.is_probe();
    let head = asked.head.clone();
    let mut socket = asked.accept().await;
    if !is_probe {
        return Some((head, socket));
    }
    assert_eq!(next(&mut socket).await, text(r#"{"type":"ping"}"#));
    let answer = match play {
        Play::Public => r#"{"type":"pong"}"#,
        _ => {
            r#"{"type":"auth","status":"error","error":{"code":"AUTH_FAILED","message":"Authentication handshake failed."}}"#
        }
    };
    // The server hangs up as soon as it knows.
    let _ = socket.send(Message::text(answer)).await;
    let _ = socket.close(None).await;
    None
}
