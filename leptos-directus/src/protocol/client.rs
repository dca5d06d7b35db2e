use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::{Query, Secret, StringOrNumber};

/// A frame from a client to Directus.
///
/// ```
/// # use leptos_directus::protocol::{ClientMessage, EventKind, Query};
/// let message = ClientMessage::Subscribe {
///     collection: "posts".to_owned(),
///     event: Some(EventKind::Update),
///     item: None,
///     query: Some(Query::new().fields(["id"]).to_json()),
///     uid: Some("front".into()),
/// };
/// assert_eq!(
///     serde_json::to_string(&message).unwrap(),
///     r#"{"type":"subscribe","collection":"posts","event":"update","query":{"fields":["id"]},"uid":"front"}"#,
/// );
/// ```
///
/// The ones that are written most often have a short form:
///
/// ```
/// # use leptos_directus::protocol::{ClientMessage, EventKind, Query};
/// let front = Query::new().fields(["id"]);
/// let texts = [
///     ClientMessage::auth("a static token"),
///     ClientMessage::subscribe("posts", Some(EventKind::Update), &front, "front"),
///     ClientMessage::read("posts", &front, "once"),
///     ClientMessage::unsubscribe("front"),
/// ]
/// .map(|message| serde_json::to_value(message).unwrap()["type"].clone());
/// assert_eq!(texts, ["auth", "subscribe", "items", "unsubscribe"]);
/// ```
///
/// Deserializing one (proxies and simulated servers do) takes what Directus takes and is silent about members that
/// Directus ignores; those are not kept.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// Logs in, or again with newer credentials.
    Auth {
        /// Who.
        credentials: AuthCredentials,
        /// Comes back in the answer.
        uid: Option<StringOrNumber>,
    },
    /// Asks for a collection's events.
    Subscribe {
        /// Whose events.
        collection: String,
        /// Only these events. Such a subscription is acknowledged without rows; without it, `init` carries them.
        event: Option<EventKind>,
        /// One item only. Unreliable where keys are integers (seen in 11.17.4 and 12.4.1): a filter on the key is not.
        item: Option<StringOrNumber>,
        /// A query as an object: [`Query::to_json`].
        query: Option<Value>,
        /// The name of the subscription. A second one of the same name replaces the first, even if it is then refused.
        uid: Option<StringOrNumber>,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// Which; `None` ends every subscription of the connection.
        uid: Option<StringOrNumber>,
    },
    /// Reads or writes items.
    Items {
        /// What to do.
        action: ItemsAction,
        /// Where; not a system collection, those are refused.
        collection: String,
        /// What to write: an object or an array of objects.
        data: Option<Value>,
        /// One key. Directus takes the number 0 for "no key".
        id: Option<StringOrNumber>,
        /// Several keys.
        ids: Option<Vec<StringOrNumber>>,
        /// A query as an object: [`Query::to_json`].
        query: Option<Value>,
        /// Comes back in the answer.
        uid: Option<StringOrNumber>,
    },
    /// Asks for a `pong`: Directus does not answer the WebSocket protocol's own pings.
    Ping {
        /// Comes back in the `pong`.
        uid: Option<StringOrNumber>,
    },
    /// Answers Directus's `ping`.
    Pong,
}

impl ClientMessage {
    /// Logs in with an access token: a JWT, a static token or a session token.
    pub fn auth(access_token: impl Into<Secret>) -> Self {
        Self::Auth { credentials: AuthCredentials::AccessToken(access_token.into()), uid: None }
    }

    /// Subscribes to one kind of event of a collection.
    pub fn subscribe(
        collection: impl Into<String>,
        event: Option<EventKind>,
        query: &Query,
        uid: impl Into<StringOrNumber>,
    ) -> Self {
        Self::Subscribe {
            collection: collection.into(),
            event,
            item: None,
            query: Some(query.to_json()),
            uid: Some(uid.into()),
        }
    }

    /// Ends the subscription `uid`.
    pub fn unsubscribe(uid: impl Into<StringOrNumber>) -> Self {
        Self::Unsubscribe { uid: Some(uid.into()) }
    }

    /// Reads items by a query.
    pub fn read(collection: impl Into<String>, query: &Query, uid: impl Into<StringOrNumber>) -> Self {
        Self::Items {
            action: ItemsAction::Read,
            collection: collection.into(),
            data: None,
            id: None,
            ids: None,
            query: Some(query.to_json()),
            uid: Some(uid.into()),
        }
    }

    /// The message that a JSON value is.
    pub(super) fn from_value(value: Value) -> Result<Self, String> {
        let Value::Object(mut members) = value else { return Err("not an object".to_owned()) };
        let kind = match members.remove("type") {
            Some(Value::String(kind)) => kind,
            _ => return Err("no `type`".to_owned()),
        };
        let uid = match members.remove("uid") {
            None => None,
            Some(uid) => Some(StringOrNumber::from_value(uid).ok_or("`uid` is neither a string nor a number")?),
        };
        match kind.as_str() {
            "auth" => Ok(Self::Auth { credentials: AuthCredentials::from_members(&mut members)?, uid }),
            "subscribe" => Ok(Self::Subscribe {
                collection: text(&mut members, "collection")?.ok_or("no `collection`")?,
                event: match text(&mut members, "event")? {
                    None => None,
                    Some(event) => Some(EventKind::from_text(&event).ok_or("`event` is none of Directus's")?),
                },
                item: id(&mut members, "item")?,
                query: query(&mut members)?,
                uid,
            }),
            "unsubscribe" => Ok(Self::Unsubscribe { uid }),
            "items" => {
                let action = match text(&mut members, "action")?.as_deref() {
                    Some("create") => ItemsAction::Create,
                    Some("read") => ItemsAction::Read,
                    Some("update") => ItemsAction::Update,
                    Some("delete") => ItemsAction::Delete,
                    _ => return Err("`action` is none of Directus's".to_owned()),
                };
                Ok(Self::Items {
                    action,
                    collection: text(&mut members, "collection")?.ok_or("no `collection`")?,
                    data: members.remove("data"),
                    id: id(&mut members, "id")?,
                    ids: match members.remove("ids") {
                        None => None,
                        Some(Value::Array(ids)) => Some(
                            ids.into_iter()
                                .map(StringOrNumber::from_value)
                                .collect::<Option<_>>()
                                .ok_or("`ids` holds something that is neither a string nor a number")?,
                        ),
                        Some(_) => return Err("`ids` is not an array".to_owned()),
                    },
                    query: query(&mut members)?,
                    uid,
                })
            }
            "ping" => Ok(Self::Ping { uid }),
            "pong" => Ok(Self::Pong),
            _ => Err("`type` is none of a client's".to_owned()),
        }
    }
}

fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is not a string")),
    }
}

fn id(members: &mut Map<String, Value>, name: &str) -> Result<Option<StringOrNumber>, String> {
    match members.remove(name) {
        None => Ok(None),
        Some(value) => match StringOrNumber::from_value(value) {
            Some(id) => Ok(Some(id)),
            None => Err(format!("`{name}` is neither a string nor a number")),
        },
    }
}

fn query(members: &mut Map<String, Value>) -> Result<Option<Value>, String> {
    match members.remove("query") {
        None => Ok(None),
        Some(query) if query.is_object() => Ok(Some(query)),
        Some(_) => Err("`query` is not an object".to_owned()),
    }
}

impl Serialize for ClientMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The members of all messages; a message leaves out those that it does not have.
        #[derive(Default, Serialize)]
        struct Wire<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            action: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            collection: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            event: Option<EventKind>,
            #[serde(skip_serializing_if = "Option::is_none")]
            item: Option<&'a StringOrNumber>,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a StringOrNumber>,
            #[serde(skip_serializing_if = "Option::is_none")]
            ids: Option<&'a [StringOrNumber]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            query: Option<&'a Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            email: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            password: Option<&'a Secret>,
            #[serde(skip_serializing_if = "Option::is_none")]
            otp: Option<&'a Secret>,
            #[serde(skip_serializing_if = "Option::is_none")]
            access_token: Option<&'a Secret>,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a Secret>,
            #[serde(skip_serializing_if = "Option::is_none")]
            uid: Option<&'a StringOrNumber>,
        }

        let wire = match self {
            Self::Auth { credentials, uid } => {
                let wire = Wire { kind: "auth", uid: uid.as_ref(), ..Wire::default() };
                match credentials {
                    AuthCredentials::Email { email, password, otp } => {
                        Wire { email: Some(email), password: Some(password), otp: otp.as_ref(), ..wire }
                    }
                    AuthCredentials::AccessToken(token) => Wire { access_token: Some(token), ..wire },
                    AuthCredentials::RefreshToken(token) => Wire { refresh_token: Some(token), ..wire },
                }
            }
            Self::Subscribe { collection, event, item, query, uid } => Wire {
                kind: "subscribe",
                collection: Some(collection),
                event: *event,
                item: item.as_ref(),
                query: query.as_ref(),
                uid: uid.as_ref(),
                ..Wire::default()
            },
            Self::Unsubscribe { uid } => Wire { kind: "unsubscribe", uid: uid.as_ref(), ..Wire::default() },
            Self::Items { action, collection, data, id, ids, query, uid } => Wire {
                kind: "items",
                action: Some(action.as_str()),
                collection: Some(collection),
                id: id.as_ref(),
                ids: ids.as_deref(),
                data: data.as_ref(),
                query: query.as_ref(),
                uid: uid.as_ref(),
                ..Wire::default()
            },
            Self::Ping { uid } => Wire { kind: "ping", uid: uid.as_ref(), ..Wire::default() },
            Self::Pong => Wire { kind: "pong", ..Wire::default() },
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ClientMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What an `auth` frame logs in with. `Debug` shows the kind only.
///
/// ```
/// # use leptos_directus::protocol::{AuthCredentials, ClientMessage};
/// let credentials = AuthCredentials::RefreshToken("a refresh token".into());
/// assert_eq!(format!("{credentials:?}"), "RefreshToken(…)");
/// let message = ClientMessage::Auth { credentials, uid: None };
/// assert_eq!(serde_json::to_string(&message).unwrap(), r#"{"type":"auth","refresh_token":"a refresh token"}"#);
/// ```
#[derive(Clone, PartialEq)]
pub enum AuthCredentials {
    /// A user's e-mail address and password.
    Email {
        /// The address.
        email: String,
        /// The password.
        password: Secret,
        /// The one-time password of users who have a second factor.
        otp: Option<Secret>,
    },
    /// A JWT, a static token or a session token.
    AccessToken(Secret),
    /// A refresh token, which is used up by it: the answer carries the next one.
    RefreshToken(Secret),
}

impl AuthCredentials {
    fn from_members(members: &mut Map<String, Value>) -> Result<Self, String> {
        let mut secret = |name: &str| text(members, name).map(|text| text.map(Secret::from));
        // Directus's order, where a frame has several.
        if let (Some(email), Some(password)) = (secret("email")?, secret("password")?) {
            Ok(Self::Email { email: email.expose().to_owned(), password, otp: secret("otp")? })
        } else if let Some(token) = secret("access_token")? {
            Ok(Self::AccessToken(token))
        } else if let Some(token) = secret("refresh_token")? {
            Ok(Self::RefreshToken(token))
        } else {
            Err("no credentials".to_owned())
        }
    }
}

impl fmt::Debug for AuthCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email { .. } => "Email(…)",
            Self::AccessToken(_) => "AccessToken(…)",
            Self::RefreshToken(_) => "RefreshToken(…)",
        })
    }
}

/// What happened to rows.
///
/// ```
/// # use leptos_directus::protocol::EventKind;
/// assert_eq!(EventKind::ALL.map(EventKind::as_str), ["create", "update", "delete"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Rows were made.
    Create,
    /// Rows were changed: also how a row shows up that starts to match a filter.
    Update,
    /// Rows were removed: announced to every subscriber of the collection, whatever the filter.
    Delete,
}

impl EventKind {
    /// All three.
    pub const ALL: [EventKind; 3] = [Self::Create, Self::Update, Self::Delete];

    /// As Directus writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an `items` frame does.
///
/// ```
/// # use leptos_directus::protocol::{ClientMessage, ItemsAction, Query};
/// let ClientMessage::Items { action, .. } = ClientMessage::read("posts", &Query::new(), 1) else { unreachable!() };
/// assert_eq!((action, action.as_str()), (ItemsAction::Read, "read"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemsAction {
    /// Makes one item or several.
    Create,
    /// Reads by key, keys or query.
    Read,
    /// Changes by key, keys or query, or a batch of items that carry their keys.
    Update,
    /// Removes by key, keys or query.
    Delete,
}

impl ItemsAction {
    /// As Directus writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directus ends every subscription of the socket for whoever does not say which (hazard H8).
    #[test]
    fn a_subscription_is_named_as_it_begins_and_as_it_ends() {
        let query = Query::new().fields("id").all();
        for (message, text) in [
            (
                ClientMessage::subscribe("posts", Some(EventKind::Update), &query, "a#1"),
                r#"{"type":"subscribe","collection":"posts","event":"update","query":{"fields":["id"],"limit":-1},"uid":"a#1"}"#,
            ),
            (ClientMessage::unsubscribe("a#1"), r#"{"type":"unsubscribe","uid":"a#1"}"#),
            (ClientMessage::unsubscribe(7), r#"{"type":"unsubscribe","uid":7}"#),
            (ClientMessage::Ping { uid: None }, r#"{"type":"ping"}"#),
        ] {
            assert_eq!(serde_json::to_string(&message).unwrap(), text);
            assert_eq!(ClientMessage::from_value(serde_json::from_str(text).unwrap()), Ok(message));
        }
    }
}
