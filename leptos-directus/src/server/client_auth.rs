//! `auth` frames of clients: not let through unless the operator allows it.
//!
//! Behind this proxy the session cookie is the login. An `auth` frame would change the identity of a socket behind
//! the page's back, and is the one frame that carries a password. It is answered as Directus answers a failed one,
//! and Directus does not see it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// The answer to a frame that must not pass; `None` for all others.
pub(super) fn refusal(message: &Message) -> Option<String> {
    let bytes: &[u8] = match message {
        Message::Text(text) => text.as_bytes(),
        // Directus reads binary frames as text, with what is no UTF-8 replaced.
        Message::Binary(bytes) => bytes,
        _ => return None,
    };
    // In JSON the four letters can be written out or as `\u…`: a frame with neither can be no `auth` frame.
    if !contains(bytes, b"auth") && !contains(bytes, b"\\u") {
        return None;
    }
    match serde_json::from_str::<Frame>(&String::from_utf8_lossy(bytes)) {
        Ok(frame) if frame.is_auth => Some(auth_failed(frame.uid)),
        Ok(_) => None,
        // JavaScript reads some texts that serde does not, such as halves of surrogate pairs in a name. What can't be
        // read here can't be judged either: Directus's answer to what it can't read fits.
        Err(_) => Some(unreadable()),
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn auth_failed(uid: Option<Value>) -> String {
    let mut frame = json!({
        "type": "auth",
        "status": "error",
        "error": {
            "code": "AUTH_FAILED",
            "message": "This proxy takes no auth frames: log in through its REST interface, which sets the session cookie, \
                        or set DIRECTUS_ALLOW_CLIENT_AUTH=true.",
        },
    });
    if let (Some(uid @ (Value::String(_) | Value::Number(_))), Some(frame)) = (uid, frame.as_object_mut()) {
        frame.insert("uid".to_owned(), uid);
    }
    frame.to_string()
}

fn unreadable() -> String {
    json!({
        "type": "server",
        "status": "error",
        "error": { "code": "INVALID_PAYLOAD", "message": "Unable to parse the incoming message." },
    })
    .to_string()
}

/// A frame, as far as it matters here. Names may be repeated, and JavaScript takes the last: here any counts.
struct Frame {
    is_auth: bool,
    uid: Option<Value>,
}

impl<'de> Deserialize<'de> for Frame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Frame;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Frame, A::Error> {
                let mut frame = Frame { is_auth: false, uid: None };
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "type" => frame.is_auth |= map.next_value::<Value>()? == "auth",
                        "uid" => frame.uid = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(frame)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &[u8], expected: Option<&str>) {
        for message in [Message::binary(frame.to_vec()), Message::text(String::from_utf8_lossy(frame).into_owned())] {
            let code = refusal(&message).map(|answer| {
                let answer: Value = serde_json::from_str(&answer).unwrap();
                answer["error"]["code"].as_str().unwrap().to_owned()
            });
            assert_eq!(code.as_deref(), expected, "{}", String::from_utf8_lossy(frame));
        }
    }

    #[test]
    fn an_auth_frame_is_refused_however_it_is_written() {
        for frame in [
            br#"{"type":"auth","access_token":"t"}"#.as_slice(),
            br#" {"uid":1, "type" : "auth"}"#,
            br#"{"type":"\u0061uth"}"#,
            br#"{"\u0074ype":"auth"}"#,
            br#"{"\u0074ype":"\u0061\u0075\u0074\u0068"}"#,
            br#"{"type":"ping","type":"auth"}"#,
            br#"{"type":"auth","type":"ping"}"#,
            b"{\"type\":\"auth\",\"x\":\"\xff\"}",
            br#"{"type":"auth","x":"\ud800"}"#,
            br#"{"type":"auth","x":1e999}"#,
        ] {
            check(frame, Some("AUTH_FAILED"));
        }
        let deep = [br#"{"type":"auth","x":"#.as_slice(), &[b'['; 10_000], &[b']'; 10_000], b"}"].concat();
        check(&deep, Some("AUTH_FAILED"));
    }

    #[test]
    fn what_only_javascript_can_read_does_not_pass_as_something_else() {
        check(br#"{"\ud800":1,"type":"auth"}"#, Some("INVALID_PAYLOAD"));
        check(br#"{"uid":1e999,"type":"auth"}"#, Some("INVALID_PAYLOAD"));
        check(br#"[{"type":"auth"}]"#, Some("INVALID_PAYLOAD"));
        check(br#"{"type":"auth""#, Some("INVALID_PAYLOAD"));
    }

    #[test]
    fn everything_else_passes() {
        check(br#"{"type":"subscribe","collection":"authors"}"#, None);
        check(br#"{"type":"items","data":{"type":"auth"}}"#, None);
        check(br#"{"type":"AUTH"}"#, None);
        check(br#"{"type":["auth"]}"#, None);
        check(br#"{"type":"items","data":{"title":"\u00e4"}}"#, None);
        check(b"not json", None);
        check(b"", None);
        assert_eq!(refusal(&Message::Ping(b"auth".as_slice().into())), None);
    }

    #[test]
    fn the_answer_carries_the_uid_as_it_came() {
        let answer = |frame: &str| -> Value {
            serde_json::from_str(&refusal(&Message::text(frame.to_owned())).unwrap()).unwrap()
        };
        assert_eq!(answer(r#"{"type":"auth","uid":"a"}"#)["uid"], "a");
        assert_eq!(answer(r#"{"type":"auth","uid":7}"#)["uid"], 7);
        assert!(answer(r#"{"type":"auth","uid":[]}"#).get("uid").is_none());
    }
}
