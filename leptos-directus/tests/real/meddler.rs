//! Stands in the way of the frames of Directus, or of our server, and does to them what somebody says; everything else goes past
//! it.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures::{SinkExt, StreamExt, stream};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    accept_hdr_async, connect_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
    },
};

/// What comes of a frame of the server's.
pub(crate) type Meddling = dyn Fn(Message) -> Vec<Message> + Send + Sync;

/// A relay between a client and the real Directus or our server.
pub(crate) struct Meddler {
    /// Where the server is for those at this end.
    pub(crate) url: String,
    sockets: Arc<AtomicU32>,
    inject: Arc<std::sync::Mutex<Vec<mpsc::UnboundedSender<Message>>>>,
}

impl Meddler {
    pub(crate) async fn to(server: &str, meddle: impl Fn(Message) -> Vec<Message> + Send + Sync + 'static) -> Self {
        let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let meddle: Arc<Meddling> = Arc::new(meddle);
        let (sockets, inject) = (Arc::new(AtomicU32::new(0)), Arc::<std::sync::Mutex<Vec<_>>>::default());
        let (opened, injecting) = (Arc::clone(&sockets), Arc::clone(&inject));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (server, meddle) = (server.clone(), Arc::clone(&meddle));
                let (opened, injecting) = (Arc::clone(&opened), Arc::clone(&injecting));
                tokio::spawn(async move {
                    if !is_upgrade(&stream).await {
                        let Ok(mut far) = TcpStream::connect(server).await else { return };
                        // Whoever hangs up in between is none of our business.
                        let _ = copy_bidirectional(&mut stream, &mut far).await;
                        return;
                    }
                    let (sender, injected) = mpsc::unbounded_channel();
                    injecting.lock().unwrap().push(sender);
                    opened.fetch_add(1, Ordering::SeqCst);
                    pass(stream, format!("ws://{server}"), meddle, injected).await;
                });
            }
        });
        Self { url, sockets, inject }
    }

    /// Sockets that were opened until now.
    pub(crate) fn sockets(&self) -> u32 {
        self.sockets.load(Ordering::SeqCst)
    }

    /// Puts a message before the client that the server never sent.
    pub(crate) fn say(&self, message: &Message) {
        // Sockets that are gone hear nothing.
        self.inject.lock().unwrap().retain(|socket| socket.send(message.clone()).is_ok());
    }
}

/// Whether what is asked for first is a socket. Who asks for one does so in one piece.
async fn is_upgrade(stream: &TcpStream) -> bool {
    let mut head = [0; 4096];
    let Ok(length) = stream.peek(&mut head).await else { return false };
    String::from_utf8_lossy(&head[..length]).to_ascii_lowercase().contains("upgrade: websocket")
}

#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
async fn pass(
    stream: TcpStream,
    upstream: String,
    meddle: Arc<Meddling>,
    mut injected: mpsc::UnboundedReceiver<Message>,
) {
    let mut target = upstream;
    let asked = |request: &Request, response: Response| {
        target.push_str(request.uri().path_and_query().map_or("/", |path| path.as_str()));
        Ok(response)
    };
    let Ok(mut near) = accept_hdr_async(stream, asked).await else { return };
    let Ok((mut far, _)) = connect_async(target).await else { return };
    // Until one of the three has nothing more to say, or cannot be told.
    loop {
        let passed = tokio::select! {
            message = injected.recv() => match message {
                Some(message) => near.send(message).await,
                None => return,
            },
            message = near.next() => match message {
                Some(Ok(message)) => far.send(message).await,
                _ => return,
            },
            message = far.next() => match message {
                Some(Ok(message)) => near.send_all(&mut stream::iter(meddle(message).into_iter().map(Ok))).await,
                _ => return,
            },
        };
        if passed.is_err() {
            return;
        }
    }
}
