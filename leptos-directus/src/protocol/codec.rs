use codee::{Decoder, Encoder};
use serde_json::Value;
use thiserror::Error;

use super::{ClientMessage, ServerMessage};

/// Directus's WebSocket protocol as a [`codee`] codec: messages to and from the text of frames.
///
/// It encodes what a client sends and decodes what a client receives; and the other way round, for servers in tests and
/// for proxies.
///
/// ```
/// use codee::{Decoder, Encoder};
/// # use leptos_directus::protocol::{ClientMessage, DirectusCodec, ProtocolError, ServerMessage};
///
/// assert_eq!(DirectusCodec::encode(&ClientMessage::Pong).unwrap(), r#"{"type":"pong"}"#);
/// let received: Result<ServerMessage, ProtocolError> = DirectusCodec::decode(r#"{"type":"ping"}"#);
/// assert_eq!(received, Ok(ServerMessage::Ping { uid: None }));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DirectusCodec;

impl Encoder<ClientMessage> for DirectusCodec {
    type Error = ProtocolError;
    type Encoded = String;

    fn encode(message: &ClientMessage) -> Result<String, ProtocolError> {
        serde_json::to_string(message).map_err(ProtocolError::not_encoded)
    }
}

impl Decoder<ServerMessage> for DirectusCodec {
    type Error = ProtocolError;
    type Encoded = str;

    fn decode(frame: &str) -> Result<ServerMessage, ProtocolError> {
        ServerMessage::from_value(parse(frame)?).map_err(|reason| ProtocolError::not_a_message(reason, frame))
    }
}

impl Encoder<ServerMessage> for DirectusCodec {
    type Error = ProtocolError;
    type Encoded = String;

    fn encode(message: &ServerMessage) -> Result<String, ProtocolError> {
        serde_json::to_string(message).map_err(ProtocolError::not_encoded)
    }
}

impl Decoder<ClientMessage> for DirectusCodec {
    type Error = ProtocolError;
    type Encoded = str;

    fn decode(frame: &str) -> Result<ClientMessage, ProtocolError> {
        ClientMessage::from_value(parse(frame)?).map_err(|reason| ProtocolError::not_a_message(reason, frame))
    }
}

fn parse(frame: &str) -> Result<Value, ProtocolError> {
    // serde_json's syntax errors name a place and what was expected there, never the text that was found.
    serde_json::from_str(frame)
        .map_err(|error| ProtocolError::NotJson { reason: error.to_string(), excerpt: excerpt(frame) })
}

/// A frame that is none of Directus's protocol. It is reported and skipped; the connection is not at fault.
///
/// It shows the beginning of the frame, at most 200 characters; and nothing of a frame in which there may be
/// credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Not JSON at all.
    #[error("a frame that is not JSON ({reason}): {excerpt}")]
    NotJson {
        /// What is wrong with it.
        reason: String,
        /// How it begins.
        excerpt: String,
    },
    /// JSON, but not a message.
    #[error("a frame that is no Directus message ({reason}): {excerpt}")]
    NotAMessage {
        /// What is wrong with it.
        reason: String,
        /// How it begins.
        excerpt: String,
    },
    /// A message that cannot be written as JSON.
    #[error("a message that cannot be written as JSON ({reason})")]
    NotEncoded {
        /// Why.
        reason: String,
    },
}

impl ProtocolError {
    #[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
    fn not_encoded(error: serde_json::Error) -> Self {
        Self::NotEncoded { reason: error.to_string() }
    }

    fn not_a_message(reason: String, frame: &str) -> Self {
        Self::NotAMessage { reason, excerpt: excerpt(frame) }
    }
}

fn excerpt(frame: &str) -> String {
    const LENGTH: usize = 200;
    // `eyJ` begins a JWT; the others are how Directus and people name what must not be shown.
    const TELLING: [&str; 6] = ["token", "password", "otp", "secret", "credential", "eyj"];

    let lowercase = frame.to_ascii_lowercase();
    if TELLING.iter().any(|word| lowercase.contains(word)) {
        return "(not shown: there may be credentials in it)".to_owned();
    }
    match frame.char_indices().nth(LENGTH - 1) {
        Some((end, _)) if frame.chars().nth(LENGTH).is_some() => format!("{}…", &frame[..end]),
        _ => frame.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(frame: &str) -> Result<ServerMessage, ProtocolError> {
        DirectusCodec::decode(frame)
    }

    #[test]
    fn broken_frames_are_told_apart() {
        assert!(matches!(decode("hello"), Err(ProtocolError::NotJson { excerpt, .. }) if excerpt == "hello"));
        for frame in ["[]", "123", "null", "\"text\"", "{}", r#"{"type":5}"#, r#"{"type":"auth","status":"error"}"#] {
            assert!(
                matches!(decode(frame), Err(ProtocolError::NotAMessage { excerpt, .. }) if excerpt == frame),
                "{frame}"
            );
        }
        assert!(matches!(decode(r#"{"type":"news"}"#), Ok(ServerMessage::Unknown { kind, .. }) if kind == "news"));
        assert!(matches!(decode(r#"{"type":"subscription","event":"moved"}"#), Ok(ServerMessage::Unknown { .. })));
    }

    #[test]
    fn an_excerpt_is_short_and_cut_between_characters() {
        let Err(ProtocolError::NotJson { excerpt, .. }) = decode(&"ä".repeat(500)) else { panic!("decoded") };
        assert_eq!(excerpt, format!("{}…", "ä".repeat(199)));
        let Err(ProtocolError::NotJson { excerpt, .. }) = decode(&"ä".repeat(200)) else { panic!("decoded") };
        assert_eq!(excerpt.chars().count(), 200);
    }

    #[test]
    fn no_error_and_no_debug_shows_credentials() {
        for frame in [
            r#"{"type":"auth","status":"ok","refresh_token":"hush-hush""#,
            r#"["Token","hush-hush"]"#,
            r#"{"type":"auth","email":"a@example.com","password":["hush-hush"]}"#,
            r#"{"access_token":"hush-hush"}"#,
        ] {
            let server: Result<ServerMessage, _> = DirectusCodec::decode(frame);
            let client: Result<ClientMessage, _> = DirectusCodec::decode(frame);
            let shown =
                format!("{server:?} {client:?} {} {}", server.as_ref().unwrap_err(), client.as_ref().unwrap_err());
            assert!(!shown.contains("hush"), "{shown}");
        }
        for frame in [
            r#"{"type":"auth","access_token":"hush-hush"}"#,
            r#"{"type":"auth","refresh_token":"hush-hush"}"#,
            r#"{"type":"auth","email":"hush@example.com","password":"hush-hush","otp":"hush"}"#,
        ] {
            let client: ClientMessage = DirectusCodec::decode(frame).unwrap();
            assert!(!format!("{client:?}").contains("hush"), "{client:?}");
            assert_eq!(DirectusCodec::encode(&client).unwrap(), frame);
        }
        let frame = r#"{"type":"auth","status":"ok","refresh_token":"hush-hush","uid":"7"}"#;
        let server: ServerMessage = DirectusCodec::decode(frame).unwrap();
        assert!(!format!("{server:?}").contains("hush"), "{server:?}");
        assert_eq!(DirectusCodec::encode(&server).unwrap(), frame);
    }
}
