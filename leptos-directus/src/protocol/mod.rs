//! Shim.
#![allow(missing_docs, dead_code)]
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::{fmt, sync::Arc};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(Arc<str>);
impl Key {
    pub fn from_value(v: &Value) -> Option<Self> {
        match v {
            Value::String(s) => Some(Self(s.as_str().into())),
            Value::Number(n) if !n.is_f64() => Some(Self(n.to_string().into())),
            _ => None,
        }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl From<&str> for Key {
    fn from(s: &str) -> Self {
        Self(s.into())
    }
}
impl From<String> for Key {
    fn from(s: String) -> Self {
        Self(s.into())
    }
}
impl From<i64> for Key {
    fn from(s: i64) -> Self {
        Self(s.to_string().into())
    }
}
impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    Create,
    Update,
    Delete,
}
impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    Subscribe {
        collection: String,
        event: Option<EventKind>,
        item: Option<Value>,
        query: Option<Value>,
        uid: Option<String>,
    },
    Unsubscribe {
        uid: Option<String>,
    },
    Ping,
    Pong,
}
impl ClientMessage {
    pub fn ping() -> Self {
        Self::Ping
    }
    pub fn pong() -> Self {
        Self::Pong
    }
    pub fn unsubscribe(uid: String) -> Self {
        Self::Unsubscribe { uid: Some(uid) }
    }
}
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    Ping { uid: Option<Value> },
    Pong,
    Subscription(SubscriptionFrame),
    Error(ErrorFrame),
    Unknown,
}
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SubscriptionFrame {
    pub event: String,
    pub uid: Option<String>,
    pub data: Option<Value>,
    pub meta: Option<Value>,
}
impl SubscriptionFrame {
    pub fn is_init(&self) -> bool {
        self.event == "init"
    }
    pub fn is_unsubscribe(&self) -> bool {
        self.event == "unsubscribe"
    }
    pub fn is_delete(&self) -> bool {
        self.event == "delete"
    }
    pub fn is_create(&self) -> bool {
        self.event == "create"
    }
    pub fn rows(&self) -> Vec<Value> {
        match &self.data {
            Some(Value::Array(a)) => a.clone(),
            Some(v @ Value::Object(_)) => vec![v.clone()],
            _ => vec![],
        }
    }
    pub fn keys(&self) -> Vec<Key> {
        match &self.data {
            Some(Value::Array(a)) => a.iter().filter_map(Key::from_value).collect(),
            Some(v) => Key::from_value(v).into_iter().collect(),
            _ => vec![],
        }
    }
}
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorCode(String);
impl ErrorCode {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorFrame {
    pub kind: String,
    pub code: ErrorCode,
    pub message: String,
    pub uid: Option<Value>,
}
impl ErrorFrame {
    pub fn uid_text(&self) -> Option<String> {
        self.uid.as_ref().and_then(|u| u.as_str().map(str::to_owned))
    }
}

pub struct DirectusCodec;
impl codee::Encoder<ClientMessage> for DirectusCodec {
    type Error = serde_json::Error;
    type Encoded = String;
    fn encode(m: &ClientMessage) -> Result<String, serde_json::Error> {
        let mut v = match m {
            ClientMessage::Ping => json!({"type":"ping"}),
            ClientMessage::Pong => json!({"type":"pong"}),
            ClientMessage::Unsubscribe { uid } => json!({"type":"unsubscribe","uid":uid}),
            ClientMessage::Subscribe { collection, event, query, uid, .. } => {
                json!({"type":"subscribe","collection":collection,"event":event,"query":query,"uid":uid})
            }
        };
        if let Value::Object(o) = &mut v {
            o.retain(|_, v| !v.is_null());
        }
        serde_json::to_string(&v)
    }
}
impl codee::Decoder<ServerMessage> for DirectusCodec {
    type Error = serde_json::Error;
    type Encoded = str;
    fn decode(t: &str) -> Result<ServerMessage, serde_json::Error> {
        let v: Value = serde_json::from_str(t)?;
        if v["status"] == "error" {
            return Ok(ServerMessage::Error(ErrorFrame {
                kind: v["type"].as_str().unwrap_or("").into(),
                code: ErrorCode(v["error"]["code"].as_str().unwrap_or("").into()),
                message: v["error"]["message"].as_str().unwrap_or("").into(),
                uid: v.get("uid").cloned(),
            }));
        }
        Ok(match v["type"].as_str() {
            Some("ping") => ServerMessage::Ping { uid: None },
            Some("pong") => ServerMessage::Pong,
            Some("subscription") => ServerMessage::Subscription(serde_json::from_value(v)?),
            _ => ServerMessage::Unknown,
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Query(Map<String, Value>);
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Value);
pub struct FieldFilter(String);
impl Filter {
    pub fn field(n: impl Into<String>) -> FieldFilter {
        FieldFilter(n.into())
    }
    pub fn raw(v: Value) -> Self {
        Self(v)
    }
}
impl FieldFilter {
    pub fn eq(self, v: impl Serialize) -> Filter {
        Filter(json!({ self.0: {"_eq": v} }))
    }
    pub fn in_(self, v: Vec<Key>) -> Filter {
        Filter(json!({ self.0: {"_in": v} }))
    }
}
impl Query {
    pub fn new() -> Self {
        Self::default()
    }
    fn set(mut self, k: &str, v: Value) -> Self {
        self.0.insert(k.into(), v);
        self
    }
    pub fn fields<S: Into<String>>(self, f: impl IntoIterator<Item = S>) -> Self {
        let v: Vec<String> = f.into_iter().map(Into::into).collect();
        self.set("fields", json!(v))
    }
    pub fn sort<S: Into<String>>(self, f: impl IntoIterator<Item = S>) -> Self {
        let v: Vec<String> = f.into_iter().map(Into::into).collect();
        self.set("sort", json!(v))
    }
    pub fn filter(self, f: Filter) -> Self {
        self.set("filter", f.0)
    }
    pub fn and_filter(self, f: Filter) -> Self {
        match self.0.get("filter").cloned() {
            Some(o) => self.set("filter", json!({"_and":[o,f.0]})),
            None => self.filter(f),
        }
    }
    pub fn limit(self, n: u64) -> Self {
        self.set("limit", json!(n))
    }
    pub fn all(self) -> Self {
        self.set("limit", json!(-1))
    }
    pub fn has_fields(&self) -> bool {
        self.0.contains_key("fields")
    }
    pub fn has_limit(&self) -> bool {
        self.0.contains_key("limit")
    }
    pub fn is_aggregate(&self) -> bool {
        self.0.contains_key("aggregate") || self.0.contains_key("groupBy")
    }
    fn list(&self, k: &str) -> Vec<String> {
        match self.0.get(k) {
            Some(Value::Array(a)) => a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            Some(Value::String(s)) => s.split(',').map(str::to_owned).collect(),
            _ => vec![],
        }
    }
    pub fn lacks_field(&self, key: &str) -> bool {
        self.has_fields() && !self.list("fields").iter().any(|f| f == "*" || f == key)
    }
    pub fn for_reading(&self, key: &str) -> Self {
        let mut q = self.clone();
        if q.is_aggregate() {
            return q;
        }
        if !q.has_limit() {
            q = q.all();
        }
        if q.lacks_field(key) {
            let mut f = q.list("fields");
            f.push(key.into());
            q = q.fields(f);
        }
        let mut s = q.list("sort");
        if !s.is_empty() && !s.iter().any(|x| x.trim_start_matches('-') == key) {
            s.push(key.into());
            q = q.sort(s);
        }
        q
    }
    pub fn canonical(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
    pub fn fits_url(&self) -> bool {
        false
    }
    pub fn to_query_string(&self) -> String {
        self.0
            .iter()
            .map(|(k, v)| {
                format!(
                    "{k}={}",
                    percent_encoding::utf8_percent_encode(
                        &match v {
                            Value::Array(_) => self.list(k).join(","),
                            Value::String(s) => s.clone(),
                            v => v.to_string(),
                        },
                        percent_encoding::NON_ALPHANUMERIC
                    )
                )
            })
            .collect::<Vec<_>>()
            .join("&")
    }
    pub fn to_search_body(&self) -> Value {
        json!({"query": self.0})
    }
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }
    pub fn from_json(t: &str) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::from_str(t)?))
    }
}
pub fn fields_of<T: DeserializeOwned>() -> Option<Vec<String>> {
    None
}
pub fn collection_path(c: &str) -> String {
    format!("/items/{c}")
}
pub fn item_path(c: &str, k: &Key) -> String {
    format!("/items/{c}/{k}")
}
pub struct RestError {
    pub code: ErrorCode,
    pub message: String,
}
impl RestError {
    pub fn from_body(b: &str) -> Option<Self> {
        let v: Value = serde_json::from_str(b).ok()?;
        let e = v["errors"].get(0)?;
        Some(Self {
            code: ErrorCode(e["extensions"]["code"].as_str().unwrap_or("").into()),
            message: e["message"].as_str().unwrap_or("").into(),
        })
    }
}
