//! The three modes in which Directus runs its sockets, and how the running one is found out.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::tungstenite::Message;

use super::upstream::{Caller, OpenError, Upstream, UpstreamSocket};

/// Directus's `WEBSOCKETS_REST_AUTH`.
///
/// ```
/// # use leptos_directus::server::Mode;
/// assert_eq!(Mode::Handshake.to_string(), "handshake");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mode {
    /// Anonymous sockets have the rights of the public role.
    Public,
    /// A socket without a session must send an `auth` frame first.
    Handshake,
    /// A socket without a session is refused.
    Strict,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Handshake => "handshake",
            Self::Strict => "strict",
        })
    }
}

/// How long a mode that lets anonymous visitors in is believed.
const TRUST_OPEN: Duration = Duration::from_secs(60);
/// How long one that refuses them is: somebody may be mending it right now.
const TRUST_REFUSING: Duration = Duration::from_secs(5);
/// How long a failed try stands, so that a crowd does not queue for one time-out each.
const TRUST_FAILURE: Duration = Duration::from_secs(1);

/// What was found out last, shared by all visitors.
#[derive(Debug, Default)]
pub(super) struct FoundMode(Arc<Memory>);

#[derive(Debug, Default)]
struct Memory {
    last: Mutex<Option<Found>>,
    generation: AtomicU64,
}

#[derive(Debug, Clone)]
struct Found {
    result: Result<Mode, OpenError>,
    at: Instant,
    generation: u64,
}

impl Found {
    fn is_fresh(&self, generation: u64) -> bool {
        let trust = match self.result {
            Ok(Mode::Public) => TRUST_OPEN,
            Ok(Mode::Handshake | Mode::Strict) => TRUST_REFUSING,
            Err(_) => TRUST_FAILURE,
        };
        self.generation == generation && self.at.elapsed() < trust
    }
}

impl FoundMode {
    /// Forgets: Directus went away, and may come back in another mode.
    pub(super) fn forget(&self) {
        self.0.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a mode, but not a failure: that stands for its moment, however many visitors meet it.
    pub(super) fn forget_success(&self) {
        // A probe that holds the lock will replace what it found anyway.
        if self.0.last.try_lock().is_ok_and(|last| last.as_ref().is_some_and(|found| found.result.is_ok())) {
            self.forget();
        }
    }

    /// The mode of the running Directus; one probe at a time, the others wait for its answer.
    ///
    /// In a task of its own: a visitor who gives up, and takes the request along, must not take the answer from the others,
    /// nor from the next request, by which the page asks why.
    pub(super) async fn get(&self, upstream: &Arc<Upstream>) -> Result<Mode, OpenError> {
        let (memory, upstream) = (Arc::clone(&self.0), Arc::clone(upstream));
        let asked = tokio::spawn(async move { memory.find(&upstream).await });
        asked.await.unwrap_or_else(|_| Err(OpenError::Broken("the look at it was cut short".to_owned())))
    }
}

impl Memory {
    async fn find(&self, upstream: &Upstream) -> Result<Mode, OpenError> {
        let mut last = self.last.lock().await;
        let generation = self.generation.load(Ordering::Relaxed);
        if let Some(found) = last.as_ref().filter(|found| found.is_fresh(generation)) {
            return found.result.clone();
        }
        let result = probe(upstream).await;
        *last = Some(Found { result: result.clone(), at: Instant::now(), generation });
        result
    }
}

/// Opens a socket without a session and looks what Directus makes of a JSON ping; both within one time-out.
async fn probe(upstream: &Upstream) -> Result<Mode, OpenError> {
    let deadline = Instant::now() + upstream.connect_timeout();
    let mut socket = match upstream.open(None, &Caller::default()).await {
        Ok(socket) => socket,
        Err(OpenError::Refused { status: 401, .. }) => return Ok(Mode::Strict),
        Err(error) => return Err(error),
    };
    let answer = timeout_at(deadline, ping(&mut socket)).await.unwrap_or(Err(OpenError::Timeout));
    // The probe has its answer; that Directus hears of the end is only politeness.
    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
    answer
}

async fn ping(socket: &mut UpstreamSocket) -> Result<Mode, OpenError> {
    socket.send(Message::text(r#"{"type":"ping"}"#)).await.map_err(|error| OpenError::from_socket(&error))?;
    while let Some(message) = socket.next().await {
        let message = message.map_err(|error| OpenError::from_socket(&error))?;
        let Message::Text(text) = message else { continue };
        match serde_json::from_str::<Answer>(&text) {
            Ok(answer) if answer.kind == "pong" => return Ok(Mode::Public),
            Ok(answer) if answer.kind == "auth" => return Ok(Mode::Handshake),
            _ => {}
        }
    }
    Err(OpenError::Broken("it closed the socket without an answer to a ping".to_owned()))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: String,
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures::FutureExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::DirectusConfig;

    #[tokio::test]
    async fn a_visitor_who_gives_up_leaves_the_answer_to_the_others() {
        // Something that takes connections and never says a word, as Directus does at a wrong path.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = DirectusConfig {
            directus_url: format!("http://{}", listener.local_addr().unwrap()),
            directus_connect_timeout: Duration::from_millis(300),
            ..DirectusConfig::default()
        };
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                held.push(stream);
            }
        });
        let upstream = Arc::new(Upstream::new(&config.validate().unwrap()).unwrap());
        let mode = FoundMode::default();
        {
            let mut given_up = pin!(mode.get(&upstream));
            assert!(given_up.as_mut().now_or_never().is_none());
            while tries.load(Ordering::Relaxed) == 0 {
                assert!(given_up.as_mut().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(mode.get(&upstream).await, Err(OpenError::Timeout));
        assert_eq!(mode.get(&upstream).await, Err(OpenError::Timeout), "a failure stands for its moment");
        assert_eq!(tries.load(Ordering::Relaxed), 1, "it was tried anew");
    }
}
