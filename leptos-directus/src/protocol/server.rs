use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::{ErrorCode, Key, Secret, StringOrNumber, client::EventKind};

/// A frame from Directus to a client.
///
/// `uid` is text here, whatever it was on the wire: Directus itself writes a numeric `uid` as a number in errors and as
/// a string in events.
///
/// ```
/// # use leptos_directus::protocol::{Key, ServerMessage, SubscriptionEvent};
/// let frame = r#"{"type":"subscription","event":"delete","data":["7"],"uid":"front"}"#;
/// let ServerMessage::Subscription(frame) = serde_json::from_str(frame).unwrap() else { unreachable!() };
/// assert_eq!(frame.event, SubscriptionEvent::Delete);
/// assert_eq!(frame.keys(), [Key::from(7)]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// An `auth` frame was accepted.
    Auth {
        /// The `uid` of the `auth` frame.
        uid: Option<String>,
        /// What to log in with next; there after e-mail and password, and after a refresh token.
        refresh_token: Option<Secret>,
    },
    /// An acknowledgement or an event of a subscription.
    Subscription(SubscriptionFrame),
    /// The answer to an `items` frame.
    Items(ItemsFrame),
    /// Directus wants a sign of life.
    Ping {
        /// Directus sends none.
        uid: Option<String>,
    },
    /// The answer to a `ping`.
    Pong {
        /// The `uid` of the `ping`.
        uid: Option<String>,
    },
    /// Something was refused or went wrong; a connection mostly stays open.
    Error(ErrorFrame),
    /// A message of a kind that this crate does not know: to be reported and skipped.
    Unknown {
        /// Its `type`.
        kind: String,
        /// The whole of it.
        raw: Value,
    },
}

/// What a [`SubscriptionFrame`] says.
///
/// ```
/// # use leptos_directus::protocol::{EventKind, SubscriptionEvent};
/// assert_eq!(SubscriptionEvent::from(EventKind::Update), SubscriptionEvent::Update);
/// assert_eq!(SubscriptionEvent::Init.as_str(), "init");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionEvent {
    /// The subscription is there.
    Init,
    /// Rows were made.
    Create,
    /// Rows were changed, or started to match the filter.
    Update,
    /// Rows were removed.
    Delete,
    /// The subscription is gone, as asked.
    Unsubscribe,
}

impl SubscriptionEvent {
    /// As Directus writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Create => EventKind::Create.as_str(),
            Self::Update => EventKind::Update.as_str(),
            Self::Delete => EventKind::Delete.as_str(),
            Self::Unsubscribe => "unsubscribe",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "init" => Some(Self::Init),
            "unsubscribe" => Some(Self::Unsubscribe),
            other => EventKind::from_text(other).map(Self::from),
        }
    }
}

impl From<EventKind> for SubscriptionEvent {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Create => Self::Create,
            EventKind::Update => Self::Update,
            EventKind::Delete => Self::Delete,
        }
    }
}

/// An acknowledgement or an event of a subscription.
///
/// ```
/// # use leptos_directus::protocol::{ServerMessage, SubscriptionFrame};
/// # use serde_json::json;
/// let text = r#"{"type":"subscription","event":"create","data":[{"id":7}],"uid":"front"}"#;
/// let ServerMessage::Subscription(frame) = serde_json::from_str(text).unwrap() else { unreachable!() };
/// let SubscriptionFrame { uid, .. } = &frame;
/// assert_eq!((uid.as_deref(), frame.rows()), (Some("front"), vec![json!({ "id": 7 })]));
/// assert!(frame.keys().is_empty(), "rows carry their keys themselves");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionFrame {
    /// What it says.
    pub event: SubscriptionEvent,
    /// Which subscription.
    pub uid: Option<String>,
    /// Rows or keys as they came: an array, or one alone in an `item` subscription. `init` of a subscription to one
    /// kind of event has none.
    pub data: Option<Value>,
    /// The counts that the query's `meta` asked for.
    pub meta: Option<Value>,
}

impl SubscriptionFrame {
    /// The rows that `init`, `create` and `update` carry, in their order. Empty for `delete`: see [`keys`](Self::keys).
    pub fn rows(&self) -> Vec<Value> {
        match &self.data {
            Some(Value::Array(rows)) => rows.iter().filter(|row| row.is_object()).cloned().collect(),
            Some(row @ Value::Object(_)) => vec![row.clone()],
            _ => Vec::new(),
        }
    }

    /// The keys that `delete` carries, of every row that was removed from the collection. Empty for other events, whose
    /// rows carry their keys themselves.
    pub fn keys(&self) -> Vec<Key> {
        if self.event != SubscriptionEvent::Delete {
            return Vec::new();
        }
        match &self.data {
            Some(Value::Array(keys)) => keys.iter().filter_map(Key::from_value).collect(),
            Some(key) => Key::from_value(key).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

/// The answer to an `items` frame.
///
/// ```
/// # use leptos_directus::protocol::{ItemsFrame, ServerMessage};
/// # use serde_json::json;
/// let text = r#"{"type":"items","data":{"id":7},"uid":"once"}"#;
/// let ServerMessage::Items(frame) = serde_json::from_str(text).unwrap() else { unreachable!() };
/// let frame: ItemsFrame = frame;
/// assert_eq!(frame.into_rows(), [json!({ "id": 7 })]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ItemsFrame {
    /// An object, an array of objects, a key or an array of keys, after what was asked.
    pub data: Value,
    /// The counts that the query's `meta` asked for.
    pub meta: Option<Value>,
    /// The `uid` of the question.
    pub uid: Option<String>,
}

impl ItemsFrame {
    /// The rows: those of an array, or the one object.
    pub fn into_rows(self) -> Vec<Value> {
        match self.data {
            Value::Array(rows) => rows,
            row @ Value::Object(_) => vec![row],
            _ => Vec::new(),
        }
    }
}

/// A frame with `status: "error"`.
///
/// ```
/// # use leptos_directus::protocol::{ErrorCode, ErrorFrame, ServerMessage};
/// let text = r#"{"type":"subscribe","status":"error","error":{"code":"FORBIDDEN","message":"No."},"uid":"front"}"#;
/// let ServerMessage::Error(ErrorFrame { kind, code, uid, .. }) = serde_json::from_str(text).unwrap() else {
///     unreachable!()
/// };
/// assert_eq!((kind.as_str(), code, uid.as_deref()), ("subscribe", ErrorCode::Forbidden, Some("front")));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorFrame {
    /// Its `type`: `server`, `auth`, `subscribe`, `unsubscribe` or `items`.
    pub kind: String,
    /// What went wrong.
    pub code: ErrorCode,
    /// What went wrong, in Directus's words.
    pub message: String,
    /// The `uid` of the question. Not always there: never where the question could not be read, and in 11.17.4 not
    /// even where a subscription's query was refused.
    pub uid: Option<String>,
}

impl ServerMessage {
    /// What is worth a line in a log, if anything is: a message of a kind that this crate does not know, or an error that is
    /// neither a subscription's nor a login's, and so nobody's. By kind and code; nothing of what is in it.
    ///
    /// ```
    /// # use leptos_directus::protocol::ServerMessage;
    /// let message: ServerMessage = serde_json::from_str(r#"{"type": "presence", "who": "ada"}"#).unwrap();
    /// assert_eq!(message.oddity().as_deref(), Some(r#"a message of the unknown kind "presence""#));
    /// let message: ServerMessage = serde_json::from_str(r#"{"type": "pong"}"#).unwrap();
    /// assert_eq!(message.oddity(), None);
    /// ```
    pub fn oddity(&self) -> Option<String> {
        match self {
            Self::Unknown { kind, .. } => Some(format!("a message of the unknown kind {kind:?}")),
            Self::Error(error) if !matches!(error.kind.as_str(), "auth" | "subscribe") => {
                Some(format!("an error of the kind {:?} with the code {:?}", error.kind, error.code.as_str()))
            }
            _ => None,
        }
    }

    /// The message that a JSON value is.
    pub(super) fn from_value(value: Value) -> Result<Self, String> {
        let Value::Object(members) = &value else { return Err("not an object".to_owned()) };
        let Some(kind) = members.get("type").and_then(Value::as_str) else { return Err("no `type`".to_owned()) };
        let status = members.get("status").and_then(Value::as_str);
        if status == Some("error") {
            return ErrorFrame::from_members(kind, members).map(Self::Error);
        }
        Ok(match kind {
            "auth" if status == Some("ok") => Self::Auth {
                uid: uid(members),
                refresh_token: members.get("refresh_token").and_then(Value::as_str).map(Secret::from),
            },
            // Not `Unknown`, which shows all of itself: there may be credentials in it.
            "auth" => return Err("`status` is neither `ok` nor `error`".to_owned()),
            "ping" => Self::Ping { uid: uid(members) },
            "pong" => Self::Pong { uid: uid(members) },
            "subscription" => {
                match members.get("event").and_then(Value::as_str).and_then(SubscriptionEvent::from_text) {
                    Some(event) => {
                        let uid = uid(members);
                        let mut members = into_members(value);
                        Self::Subscription(SubscriptionFrame {
                            event,
                            uid,
                            data: members.remove("data").filter(|data| !data.is_null()),
                            meta: members.remove("meta").filter(|meta| !meta.is_null()),
                        })
                    }
                    None => Self::Unknown { kind: kind.to_owned(), raw: value },
                }
            }
            "items" => {
                let uid = uid(members);
                let mut members = into_members(value);
                Self::Items(ItemsFrame {
                    data: members.remove("data").unwrap_or_default(),
                    meta: members.remove("meta").filter(|meta| !meta.is_null()),
                    uid,
                })
            }
            _ => Self::Unknown { kind: kind.to_owned(), raw: value },
        })
    }

    fn to_value(&self) -> Value {
        let (mut value, uid) = match self {
            Self::Auth { uid, refresh_token } => {
                let mut value = json!({"type": "auth", "status": "ok"});
                if let Some(token) = refresh_token {
                    value["refresh_token"] = token.expose().into();
                }
                (value, uid)
            }
            Self::Subscription(frame) => {
                let mut value = json!({"type": "subscription", "event": frame.event.as_str()});
                if let Some(data) = &frame.data {
                    value["data"] = data.clone();
                }
                if let Some(meta) = &frame.meta {
                    value["meta"] = meta.clone();
                }
                (value, &frame.uid)
            }
            Self::Items(frame) => {
                let mut value = json!({"type": "items", "data": frame.data});
                if let Some(meta) = &frame.meta {
                    value["meta"] = meta.clone();
                }
                (value, &frame.uid)
            }
            Self::Ping { uid } => (json!({"type": "ping"}), uid),
            Self::Pong { uid } => (json!({"type": "pong"}), uid),
            Self::Error(frame) => (
                json!({
                    "type": frame.kind,
                    "status": "error",
                    "error": {"code": frame.code.as_str(), "message": frame.message},
                }),
                &frame.uid,
            ),
            Self::Unknown { raw, .. } => (raw.clone(), &None),
        };
        if let Some(uid) = uid {
            value["uid"] = uid.as_str().into();
        }
        value
    }
}

impl ErrorFrame {
    fn from_members(kind: &str, members: &Map<String, Value>) -> Result<Self, String> {
        let error = members.get("error");
        let text = |name: &str| error.and_then(|error| error.get(name)).and_then(Value::as_str);
        Ok(Self {
            kind: kind.to_owned(),
            code: text("code").ok_or("an error without `error.code`")?.into(),
            message: text("message").unwrap_or_default().to_owned(),
            uid: uid(members),
        })
    }
}

fn uid(members: &Map<String, Value>) -> Option<String> {
    let uid = StringOrNumber::from_value(members.get("uid")?.clone())?;
    Some(uid.as_str().to_owned())
}

fn into_members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

impl Serialize for ServerMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ServerMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(event: &str, data: &Value) -> SubscriptionFrame {
        let value = json!({ "type": "subscription", "event": event, "data": data, "uid": "a#1" });
        let Ok(ServerMessage::Subscription(frame)) = ServerMessage::from_value(value) else { panic!("{data}") };
        frame
    }

    /// One row's delete names its key as text, a delete of several theirs as numbers, and that of one item the key alone.
    #[test]
    fn a_delete_names_keys_in_every_way_that_directus_does() {
        for (data, keys) in [
            (json!(["7"]), vec![7]),
            (json!([2, 3]), vec![2, 3]),
            (json!(["2", 3]), vec![2, 3]),
            (json!("7"), vec![7]),
            (json!(7), vec![7]),
            (json!([null, true]), vec![]),
            (json!(null), vec![]),
        ] {
            let frame = frame("delete", &data);
            assert_eq!(frame.keys(), keys.into_iter().map(Key::from).collect::<Vec<_>>(), "{data}");
            assert!(frame.rows().is_empty(), "{data}");
        }
        assert!(frame("update", &json!([7])).keys().is_empty());
    }

    #[test]
    fn rows_come_in_a_list_or_one_alone() {
        for event in ["init", "create", "update"] {
            for (data, rows) in [
                (json!([{ "id": 7 }, { "id": 8 }]), vec![json!({ "id": 7 }), json!({ "id": 8 })]),
                (json!({ "id": 7 }), vec![json!({ "id": 7 })]),
                (json!([7, { "id": 8 }]), vec![json!({ "id": 8 })]),
                (json!(null), vec![]),
            ] {
                assert_eq!(frame(event, &data).rows(), rows, "{event} {data}");
            }
        }
    }

    /// What was asked with a number is answered with a number, or with a text.
    #[test]
    fn a_uid_is_the_same_as_number_and_as_text() {
        for uid in [json!(7), json!("7")] {
            let error = json!({ "type": "subscribe", "status": "error", "error": { "code": "FORBIDDEN" }, "uid": uid });
            let Ok(ServerMessage::Error(error)) = ServerMessage::from_value(error) else { panic!("{uid}") };
            assert_eq!(error.uid.as_deref(), Some("7"));
        }
    }
}
