//! Stands in the way of Directus's frames and does to them what somebody says; everything else goes past it.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures::{SinkExt, StreamExt, stream};
use tokio::{
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

/// What comes of a frame of Directus.
pub(crate) type Meddling = dyn Fn(Message) -> Vec<Message> + Send + Sync;

/// A WebSocket relay between a client and the real Directus.
pub(crate) struct Meddler {
    pub(crate) url: String,
    sockets: Arc<AtomicU32>,
    inject: Arc<std::sync::Mutex<Vec<mpsc::UnboundedSender<Message>>>>,
}

impl Meddler {
    pub(crate) async fn to(directus: &str, meddle: impl Fn(Message) -> Vec<Message> + Send + Sync + 'static) -> Self {
        let upstream = format!("ws://{}", directus.trim_start_matches("http://").trim_end_matches('/'));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("ws://{}/websocket", listener.local_addr().unwrap());
        let meddle: Arc<Meddling> = Arc::new(meddle);
        let (sockets, inject) = (Arc::new(AtomicU32::new(0)), Arc::<std::sync::Mutex<Vec<_>>>::default());
        let (opened, injecting) = (Arc::clone(&sockets), Arc::clone(&inject));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, injected) = mpsc::unbounded_channel();
                injecting.lock().unwrap().push(sender);
                opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(pass(stream, upstream.clone(), Arc::clone(&meddle), injected));
            }
        });
        Self { url, sockets, inject }
    }

    /// Sockets that were opened until now.
    pub(crate) fn sockets(&self) -> u32 {
        self.sockets.load(Ordering::SeqCst)
    }

    /// Puts a message before the client that Directus never sent.
    pub(crate) fn say(&self, message: &Message) {
        // Sockets that are gone hear nothing.
        self.inject.lock().unwrap().retain(|socket| socket.send(message.clone()).is_ok());
    }
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
