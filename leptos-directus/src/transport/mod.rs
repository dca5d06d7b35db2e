//! The platform: sockets, HTTP, clock and tasks, once for the browser and once for everything else.
//!
//! Each file has the same signatures; this is the only place that chooses. Without the features `native` and `ssr` there is
//! no network outside a browser, and `absent` says so.

#![allow(dead_code, reason = "each platform uses its own part of what is written here for all of them")]

use std::time::Duration;

use futures::future::{Either, select};
use serde::Deserialize;

use crate::{error::Error, protocol::Secret};

#[cfg(all(not(target_arch = "wasm32"), not(feature = "native")))]
#[path = "absent.rs"]
mod platform;
#[cfg(target_arch = "wasm32")]
#[path = "browser.rs"]
mod platform;
#[cfg(all(not(target_arch = "wasm32"), feature = "native"))]
#[path = "native.rs"]
mod platform;

pub(crate) use platform::HttpClient;
pub(crate) use platform::{
    Socket, Store, WakeEvents, is_browser, is_from_history, now, seed, sleep, spawn, unix_millis,
};

/// What comes of it within this time.
pub(crate) async fn in_time<T>(wait: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(std::pin::pin!(work), std::pin::pin!(sleep(wait))).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// A new random UUID (version 4).
pub(crate) fn uuid() -> String {
    uuid_of(platform::random())
}

/// Random bits as a UUID.
fn uuid_of(random: u128) -> String {
    let bits = random & !(0xF000_u128 << 64) & !(0xC000_u128 << 48) | (0x4000_u128 << 64) | (0x8000_u128 << 48);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// With what a request or a socket says who it is for.
#[derive(Clone, Debug, Default)]
pub(crate) enum Credentials {
    /// What the browser adds by itself: the cookies of the page's own origin.
    #[default]
    Ambient,
    /// A static token or an access token.
    Token(Secret),
    /// The visitor's session cookie, by name and value.
    Session(String, Secret),
}

/// One HTTP request to Directus or to the proxy before it.
#[derive(Clone, Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    pub(crate) credentials: Credentials,
    pub(crate) patience: Patience,
}

/// How long an answer is waited for: a slow one is not a lost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For its head.
    pub(crate) head: Duration,
    /// For each part of its body after that.
    pub(crate) silence: Duration,
    /// For all of it.
    pub(crate) whole: Duration,
}

impl Patience {
    /// For all of it, however it comes.
    pub(crate) const fn of(whole: Duration) -> Self {
        Self { head: whole, silence: whole, whole }
    }
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: String,
}

/// Where a socket goes.
#[derive(Clone, Debug)]
pub(crate) struct SocketTarget {
    pub(crate) url: String,
    pub(crate) credentials: Credentials,
}

/// What a socket reports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SocketEvent {
    /// A text frame, or a binary one that holds text.
    Text(String),
    /// A frame that is not text.
    Unreadable,
    /// It is over; one sentence says how.
    Closed(String),
}

/// `Retry-After` in seconds, as Directus gives it.
pub(crate) fn retry_after(header: Option<&str>) -> Option<Duration> {
    header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs)
}

/// What a close code means to people.
pub(crate) fn close_reason(code: u16, reason: &str) -> String {
    let meaning = match code {
        1000 => "closed",
        1001 => "the server is going away",
        1005 => "closed without a reason",
        1006 => "the connection was lost",
        1009 => "a message was too long",
        1011 => "the server had a problem",
        1012 => "the server restarts",
        1013 => "the server is overloaded",
        _ => "closed by the other side",
    };
    if reason.is_empty() { format!("{meaning} ({code})") } else { format!("{meaning} ({code}: {reason})") }
}

/// An answer's body as text. One that ends within a character was cut.
pub(crate) fn text(body: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(body).map_err(|error| match error.utf8_error().error_len() {
        None => cut_error(),
        Some(_) => Error::decode("Directus answered with something that is not text"),
    })
}

/// The error for an answer of which a part is missing.
pub(crate) fn cut_error() -> Error {
    Error::network("the connection was lost before the whole answer was there")
}

/// The error for an HTTP request that nobody answered.
pub(crate) fn unreachable_error() -> Error {
    Error::network("Directus can't be reached")
}

/// The error of an upgrade that was refused, from the proxy's answer (the same for the upgrade and for the plain request).
pub(crate) fn refused_upgrade(status: u16, body: &str) -> Error {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(default)]
        admitted: bool,
        status: Option<u16>,
        code: Option<String>,
        message: Option<String>,
    }
    match serde_json::from_str::<Probe>(body) {
        Ok(Probe { admitted: true, .. }) => Error::network(
            "the WebSocket did not open, though the server would let it in: something on the way blocks it",
        ),
        Ok(Probe { status: told, code: Some(code), message: Some(message), .. }) => {
            Error::answer(told.unwrap_or(status), code, message)
        }
        _ => match status {
            401 => Error::answer(status, "AUTH_REQUIRED", "Directus asks for a login before it opens a WebSocket"),
            403 => Error::answer(status, "FORBIDDEN", "the WebSocket was refused: its origin, or too many connections"),
            404 => Error::answer(
                status,
                "ROUTE_NOT_FOUND",
                "there is no WebSocket at this address: is WEBSOCKETS_ENABLED=true set in Directus?",
            ),
            _ => Error::answer(
                status,
                format!("HTTP_{status}"),
                format!("the WebSocket was refused with status {status}"),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::uuid_of;

    #[test]
    fn random_bits_make_a_uuid_of_version_four() {
        assert_eq!(uuid_of(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_of(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid_of(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-4def-8123-456789abcdef");
    }
}
