//! One visitor's socket and its upstream: messages pass both ways unchanged and in order until either end is gone.
//!
//! There is no queue: a message is read from one side when the one before it has been written to the other, so a
//! slow reader slows its own sender down and nobody else.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::client_auth;

/// What a relay has to keep to.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) allow_client_auth: bool,
    pub(super) ping_interval: Duration,
    pub(super) pong_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
}

/// How long a side may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what a refused sender still sends is thrown away, so that it can read why.
const LINGER: Duration = Duration::from_secs(2);
/// How long an answer of Directus may be owed before the way to it is suspected. A visitor whose ping is not answered gives up
/// after 8 s.
const SUSPICIOUS: Duration = Duration::from_secs(5);
/// Most of a reason that fits into a close frame.
const LONGEST_REASON: usize = 123;

/// Why a relay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The visitor closed, with this code and reason.
    ClientClosed(Option<(u16, String)>),
    /// The visitor's connection broke.
    ClientLost,
    /// The visitor answered no ping.
    ClientDead,
    /// The visitor read nothing for too long.
    ClientSlow,
    /// The visitor sent a message over the limit.
    ClientTooBig,
    /// The visitor sent text that is no UTF-8.
    ClientInvalid,
    /// The visitor broke the protocol.
    ClientBroken,
    /// Directus closed, with this code and reason.
    UpstreamClosed(Option<(u16, String)>),
    /// The connection to Directus broke.
    UpstreamLost,
    /// Directus answered no ping.
    UpstreamDead,
    /// Directus read nothing for too long.
    UpstreamSlow,
    /// Directus sent a message over the limit.
    UpstreamTooBig,
    /// Directus broke the protocol.
    UpstreamBroken,
    /// This server is ending.
    Draining,
}

impl Ended {
    /// Whether Directus may run in another mode now: it went away and may come back as another, or it closed with an
    /// empty frame, as it does in mode `handshake` with a socket that does not log in.
    pub(super) fn puts_mode_in_doubt(&self) -> bool {
        matches!(
            self,
            Self::UpstreamLost
                | Self::UpstreamDead
                | Self::UpstreamSlow
                | Self::UpstreamBroken
                | Self::UpstreamClosed(None)
        )
    }

    fn client_error(error: &Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::ClientTooBig,
            Error::Utf8(_) => Self::ClientInvalid,
            Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
                Self::ClientLost
            }
            Error::Protocol(_) => Self::ClientBroken,
            _ => Self::ClientLost,
        }
    }

    fn upstream_error(error: &Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::UpstreamTooBig,
            Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
                Self::UpstreamLost
            }
            Error::Protocol(_) | Error::Utf8(_) => Self::UpstreamBroken,
            _ => Self::UpstreamLost,
        }
    }

    /// What the visitor is told.
    fn to_client(&self) -> Goodbye {
        match self {
            Self::ClientClosed(_) => Goodbye::Answer,
            Self::ClientLost | Self::ClientDead | Self::ClientSlow => Goodbye::Drop,
            Self::ClientTooBig => close(CloseCode::Size, "the message is longer than this server takes"),
            Self::ClientInvalid => close(CloseCode::Invalid, "the text is not UTF-8"),
            Self::ClientBroken => close(CloseCode::Protocol, "that is not the WebSocket protocol"),
            Self::UpstreamClosed(frame) => Goodbye::Close(frame.as_ref().map(passed_on)),
            Self::UpstreamLost => close(CloseCode::Restart, "the connection to Directus was lost"),
            Self::UpstreamDead | Self::UpstreamSlow => close(CloseCode::Error, "Directus does not answer"),
            Self::UpstreamTooBig => close(CloseCode::Error, "a message of Directus is longer than this server takes"),
            Self::UpstreamBroken => close(CloseCode::Error, "Directus does not speak the WebSocket protocol"),
            Self::Draining => close(CloseCode::Away, "this server is going away"),
        }
    }

    /// What Directus is told.
    fn to_upstream(&self) -> Goodbye {
        match self {
            Self::ClientClosed(frame) => Goodbye::Close(frame.as_ref().map(passed_on)),
            Self::UpstreamClosed(_) => Goodbye::Answer,
            Self::UpstreamLost | Self::UpstreamDead | Self::UpstreamSlow => Goodbye::Drop,
            Self::UpstreamBroken => close(CloseCode::Protocol, "that is not the WebSocket protocol"),
            Self::UpstreamTooBig => close(CloseCode::Size, "the message is longer than the proxy takes"),
            Self::ClientLost
            | Self::ClientDead
            | Self::ClientSlow
            | Self::ClientTooBig
            | Self::ClientInvalid
            | Self::ClientBroken
            | Self::Draining => close(CloseCode::Away, "the visitor is gone"),
        }
    }
}

impl fmt::Display for Ended {
    /// For the log: the code, never a reason, which is the peer's own text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |frame: &Option<(u16, String)>| frame.as_ref().map_or(1005, |(code, _)| *code);
        match self {
            Self::ClientClosed(frame) => write!(f, "the visitor closed ({})", code(frame)),
            Self::UpstreamClosed(frame) => write!(f, "Directus closed ({})", code(frame)),
            Self::ClientLost => f.write_str("the visitor's connection broke"),
            Self::ClientDead => f.write_str("the visitor answered no ping"),
            Self::ClientSlow => f.write_str("the visitor read nothing for too long"),
            Self::ClientTooBig => f.write_str("the visitor's message was over the limit"),
            Self::ClientInvalid => f.write_str("the visitor's text was no UTF-8"),
            Self::ClientBroken => f.write_str("the visitor broke the protocol"),
            Self::UpstreamLost => f.write_str("the connection to Directus broke"),
            Self::UpstreamDead => f.write_str("Directus answered no ping"),
            Self::UpstreamSlow => f.write_str("Directus read nothing for too long"),
            Self::UpstreamTooBig => f.write_str("the message of Directus was over the limit"),
            Self::UpstreamBroken => f.write_str("Directus broke the protocol"),
            Self::Draining => f.write_str("this server is ending"),
        }
    }
}

/// How one side is taken leave of.
enum Goodbye {
    /// By a close frame of ours.
    Close(Option<CloseFrame>),
    /// By the answer to its own.
    Answer,
    /// Without a word: it would not hear.
    Drop,
}

fn close(code: CloseCode, reason: &'static str) -> Goodbye {
    Goodbye::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
}

/// A close frame for the other side: codes that must not be sent become 1011, and the reason fits.
fn passed_on((code, reason): &(u16, String)) -> CloseFrame {
    let code = match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => CloseCode::from(*code),
        _ => CloseCode::Error,
    };
    // tungstenite knows no 1014 and would not take it for a code that may be sent.
    let code = if code.is_allowed() { code } else { CloseCode::Error };
    CloseFrame { code, reason: cut(reason).into() }
}

/// The longest beginning of `reason` that fits and ends between two characters.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(LONGEST_REASON)]
}

/// When something was last heard of a side, and whether we are listening at all.
#[derive(Debug)]
struct Heard(Mutex<Option<Instant>>);

impl Heard {
    fn now() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Whether it has been silent since `then` although we listened.
    fn is_silent_since(&self, then: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|last| last < then)
    }
}

/// Since when Directus has said nothing, although something was said to it.
#[derive(Debug, Default)]
struct Owed(Mutex<Option<Instant>>);

impl Owed {
    fn asked(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    fn heard(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_overdue(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since.elapsed() >= SUSPICIOUS)
    }
}

/// How many bytes a side has accepted so far; tells a slow reader from one that reads nothing.
pub(super) type Accepted = Arc<AtomicU64>;

/// Relays until one side ends, then takes leave of both.
///
/// `suspect` is called if the way to Directus may be dead without saying so, and with it every connection that is kept open
/// there: before the leave, which takes its time on such a way, because the visitor is back at once.
pub(super) async fn relay<C, U>(
    client: WebSocketStream<C>,
    upstream: WebSocketStream<U>,
    rules: &Rules,
    accepted: &Accepted,
    mut draining: watch::Receiver<bool>,
    suspect: impl FnOnce(),
) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (mut to_client, mut from_client) = client.split();
    let (mut to_upstream, mut from_upstream) = upstream.split();
    // Between the two directions: what this server itself has to say to a side that the other direction writes to.
    let (answers, own_answers) = mpsc::channel(1);
    let (pings, own_pings) = mpsc::channel(1);
    let heard = Heard::now();
    let owed = Owed::default();
    let up = upward(&mut from_client, &mut to_upstream, answers, own_pings, (&heard, &owed), rules);
    let down = downward(&mut from_upstream, &mut to_client, own_answers, pings, (&heard, &owed), rules, accepted);
    let ended = tokio::select! {
        ended = up => ended,
        ended = down => ended,
        // An error is the server gone, which ends this as well.
        _ = draining.wait_for(|draining| *draining) => Ended::Draining,
    };
    if owed.is_overdue() || matches!(ended, Ended::UpstreamDead | Ended::UpstreamSlow) {
        suspect();
    }
    let (client_goodbye, upstream_goodbye) = (ended.to_client(), ended.to_upstream());
    let client = async {
        if let Ok(socket) = from_client.reunite(to_client) {
            finish(socket, client_goodbye).await;
        }
    };
    let upstream = async {
        if let Ok(socket) = from_upstream.reunite(to_upstream) {
            finish(socket, upstream_goodbye).await;
        }
    };
    futures::join!(client, upstream);
    ended
}

/// From the visitor to Directus.
async fn upward<C, U>(
    from: &mut SplitStream<WebSocketStream<C>>,
    to: &mut SplitSink<WebSocketStream<U>, Message>,
    answers: mpsc::Sender<Message>,
    mut pings: mpsc::Receiver<Message>,
    (heard, owed): (&Heard, &Owed),
    rules: &Rules,
) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = tokio::select! {
            message = from.next() => match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Ended::client_error(&error),
                None => return Ended::ClientLost,
            },
            Some(ping) = pings.recv() => ping,
        };
        heard.set(Some(Instant::now()));
        match message {
            // tungstenite answers pings itself; Directus would answer none.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            Message::Close(frame) => return Ended::ClientClosed(frame.as_ref().map(taken)),
            Message::Text(_) | Message::Binary(_) => {}
        }
        // While we write we do not listen, and silence of the visitor means nothing.
        heard.set(None);
        let refused = if rules.allow_client_auth { None } else { client_auth::refusal(&message) };
        if let Some(answer) = refused {
            if answers.send(Message::text(answer)).await.is_err() {
                return Ended::ClientLost;
            }
        } else {
            match timeout(rules.write_timeout, to.send(message)).await {
                Ok(Ok(())) => owed.asked(),
                Ok(Err(error)) => return Ended::upstream_error(&error),
                Err(_) => return Ended::UpstreamSlow,
            }
        }
        heard.set(Some(Instant::now()));
    }
}

/// From Directus to the visitor, and the pings to both.
async fn downward<C, U>(
    from: &mut SplitStream<WebSocketStream<U>>,
    to: &mut SplitSink<WebSocketStream<C>, Message>,
    mut answers: mpsc::Receiver<Message>,
    pings: mpsc::Sender<Message>,
    (heard, owed): (&Heard, &Owed),
    rules: &Rules,
    accepted: &Accepted,
) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut ping = interval_at(Instant::now() + rules.ping_interval, rules.ping_interval);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pinged: Option<Instant> = None;
    let mut patience = Patience::new(rules);
    loop {
        let pong_due = pinged.map_or_else(Instant::now, |at| at + rules.pong_timeout);
        let message = tokio::select! {
            message = from.next() => match message {
                Some(Ok(message)) => {
                    owed.heard();
                    let is_ours = patience.hears(&message);
                    match message {
                        Message::Close(frame) => return Ended::UpstreamClosed(frame.as_ref().map(taken)),
                        Message::Text(_) | Message::Binary(_) if !is_ours => message,
                        _ => continue,
                    }
                }
                Some(Err(error)) => return Ended::upstream_error(&error),
                None => return Ended::UpstreamLost,
            },
            Some(answer) = answers.recv() => answer,
            _ = ping.tick() => {
                pinged.get_or_insert_with(Instant::now);
                Message::Ping(bytes::Bytes::new())
            }
            () = sleep_until(pong_due), if pinged.is_some() => {
                if pinged.take().is_some_and(|at| heard.is_silent_since(at)) {
                    return Ended::ClientDead;
                }
                continue;
            }
            () = sleep_until(patience.ends) => match patience.ask() {
                // A full channel means that nothing can be written to Directus either: that has a time-out of its own.
                Some(question) => {
                    let _ = pings.try_send(question);
                    continue;
                }
                None => return Ended::UpstreamDead,
            },
        };
        if let Err(ended) = deliver(to, message, rules.write_timeout, accepted).await {
            return ended;
        }
        patience.renew();
    }
}

/// Writes to the visitor, for as long as some bytes get through.
async fn deliver<C>(
    to: &mut SplitSink<WebSocketStream<C>, Message>,
    message: Message,
    write_timeout: Duration,
    accepted: &Accepted,
) -> Result<(), Ended>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut sending = to.send(message);
    let mut before = accepted.load(Ordering::Relaxed);
    loop {
        tokio::select! {
            sent = &mut sending => return sent.map_err(|error| Ended::client_error(&error)),
            () = sleep(write_timeout) => {
                let now = accepted.load(Ordering::Relaxed);
                if now == before {
                    return Err(Ended::ClientSlow);
                }
                before = now;
            }
        }
    }
}

/// How long silence of Directus is borne: then it is asked, by a JSON ping whose answer the visitor does not see.
struct Patience<'r> {
    rules: &'r Rules,
    ends: Instant,
    is_answer_due: bool,
    uid: Option<String>,
}

impl<'r> Patience<'r> {
    fn new(rules: &'r Rules) -> Self {
        Self { rules, ends: Instant::now() + rules.idle_timeout, is_answer_due: false, uid: None }
    }

    /// Starts anew after a time in which nobody listened.
    fn renew(&mut self) {
        let patience = if self.is_answer_due { self.rules.pong_timeout } else { self.rules.idle_timeout };
        self.ends = Instant::now() + patience;
    }

    /// Takes note of a sign of life; says whether it is the answer to our own question.
    fn hears(&mut self, message: &Message) -> bool {
        self.is_answer_due = false;
        self.renew();
        match (message, &self.uid) {
            (Message::Text(text), Some(uid)) => text.contains("\"pong\"") && text.contains(uid.as_str()),
            _ => false,
        }
    }

    /// The question, or nothing when it has been asked in vain.
    fn ask(&mut self) -> Option<Message> {
        if self.is_answer_due {
            return None;
        }
        // Nobody else uses this uid, so its answer can be told from those that the visitor asked for.
        let uid = self
            .uid
            .get_or_insert_with(|| format!("leptos-directus-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)));
        let question = Message::text(format!(r#"{{"type":"ping","uid":"{uid}"}}"#));
        self.is_answer_due = true;
        self.renew();
        Some(question)
    }
}

fn taken(frame: &CloseFrame) -> (u16, String) {
    (frame.code.into(), frame.reason.as_str().to_owned())
}

/// Takes leave of one side and waits, not for ever, until it has gone.
async fn finish<S>(mut socket: WebSocketStream<S>, goodbye: Goodbye)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let farewell = async {
        match goodbye {
            Goodbye::Drop => return,
            Goodbye::Answer => {
                // The answer is queued since the close frame was read.
                if socket.flush().await.is_err() {
                    return;
                }
            }
            Goodbye::Close(frame) => {
                if socket.send(Message::Close(frame)).await.is_err() {
                    return;
                }
            }
        }
        while let Some(Ok(_)) = socket.next().await {}
        // After a refused message the stream is over while its sender is still sending: closing now would reset the
        // connection, and the sender would never read the close frame.
        linger(socket.get_mut()).await;
    };
    let _ = timeout(CLOSE_TIMEOUT, farewell).await;
}

async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    use tokio::io::AsyncWriteExt;
    let discard = async {
        let _ = stream.shutdown().await;
        let mut waste = [0; 4096];
        while matches!(stream.read(&mut waste).await, Ok(read) if read > 0) {}
    };
    let _ = timeout(LINGER, discard).await;
}
