//! The simulated Directus: sockets, subscriptions and what is announced when, with the races of the real one.

use std::collections::BTreeMap;

use leptos_directus::{
    connection::Millis,
    protocol::{ClientMessage, EventKind, ServerMessage},
};
use serde_json::{Value, json};

use super::database::{Collection, Database, Who};

/// Frames in a second that one socket may send; the real one takes 50. The engine is told to subscribe at 9 a second.
pub(crate) const FRAMES_A_SECOND: usize = 20;

#[derive(Debug)]
pub(crate) struct Subscription {
    uid: Option<String>,
    pub(crate) collection: Collection,
    pub(crate) event: Option<EventKind>,
    query: Value,
    /// When it was registered.
    pub(crate) since: Millis,
}

/// A socket, as Directus sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    who: Who,
    pub(crate) subscriptions: Vec<Subscription>,
    /// Since when frames are counted, and how many came.
    budget: (Millis, usize),
    /// It gave a sign of life since the last ping.
    lives: bool,
    /// All uids that were ever subscribed with, and for what.
    names: BTreeMap<String, (String, Option<EventKind>)>,
}

/// What comes of a frame.
#[derive(Debug)]
pub(crate) enum Answer {
    Nothing,
    Now(ServerMessage),
    /// The subscription is registered a moment later, and acknowledged then.
    Later(ServerMessage, Subscription),
}

/// Something that was written, and is to be told.
#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    pub(crate) collection: Collection,
    pub(crate) event: EventKind,
    pub(crate) keys: Vec<Value>,
    /// `DELETE /items/c/7` announces `"7"`, `DELETE /items/c` with `[7]` announces `7`.
    pub(crate) as_text: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Directus {
    pub(crate) database: Database,
    pub(crate) peers: BTreeMap<u64, Peer>,
    /// Errors name no subscription, as in 11.17.4.
    pub(crate) is_old: bool,
    /// New subscriptions are refused.
    pub(crate) refuses: bool,
}

fn frame(value: Value) -> ServerMessage {
    serde_json::from_value(value).expect("the simulated Directus speaks the protocol")
}

fn event_name(event: EventKind) -> &'static str {
    event.as_str()
}

impl Directus {
    pub(crate) fn accept(&mut self, now: Millis, socket: u64, who: Who) {
        let peer = Peer { who, subscriptions: Vec::new(), budget: (now, 0), lives: true, names: BTreeMap::new() };
        self.peers.insert(socket, peer);
    }

    /// In the words that tell, where there is no uid, which collection it is about.
    fn forbidden(&self, collection: &str, uid: Option<&str>) -> ServerMessage {
        let message = format!(
            "You don't have permission to access collection \"{collection}\" or it does not exist. Queried in root."
        );
        self.error("subscribe", "FORBIDDEN", &message, uid)
    }

    fn error(&self, kind: &str, code: &str, message: &str, uid: Option<&str>) -> ServerMessage {
        let mut value = json!({ "type": kind, "status": "error", "error": { "code": code, "message": message } });
        if let Some(uid) = uid.filter(|_| !self.is_old) {
            value["uid"] = uid.into();
        }
        frame(value)
    }

    /// A frame arrives. What it does happens later; a frame too many does nothing and is answered at once.
    pub(crate) fn arrives(&mut self, now: Millis, socket: u64) -> Option<ServerMessage> {
        let peer = self.peers.get_mut(&socket)?;
        if now >= peer.budget.0 + 1_000 {
            peer.budget = (now, 0);
        }
        peer.budget.1 += 1;
        if peer.budget.1 > FRAMES_A_SECOND {
            return Some(self.error("server", "REQUESTS_EXCEEDED", "Too many messages.", None));
        }
        peer.lives = true;
        None
    }

    /// Somebody uses up what the socket may send in this second.
    pub(crate) fn use_up(&mut self, now: Millis) {
        for peer in self.peers.values_mut() {
            peer.budget = (now, FRAMES_A_SECOND);
        }
    }

    /// A frame is carried out.
    ///
    /// # Errors
    /// If a uid is used for something else than before: two subscriptions could not be told apart.
    pub(crate) fn executes(&mut self, now: Millis, socket: u64, message: &ClientMessage) -> Result<Answer, String> {
        let refuses = self.refuses;
        let Some(peer) = self.peers.get_mut(&socket) else { return Ok(Answer::Nothing) };
        match message {
            ClientMessage::Subscribe { collection: name, event, query, uid, .. } => {
                let uid = uid.as_ref().map(|uid| uid.as_str().to_owned());
                if let Some(uid) = &uid {
                    let what = (name.clone(), *event);
                    if *peer.names.entry(uid.clone()).or_insert_with(|| what.clone()) != what {
                        return Err(format!("the uid {uid} was used for something else before"));
                    }
                }
                // Also if the new one is then refused.
                let replaced = peer.subscriptions.iter().position(|known| uid.is_some() && known.uid == uid);
                let replaced = replaced.map(|place| peer.subscriptions.remove(place));
                let Some(collection) = Collection::named(name).filter(|_| !refuses) else {
                    return Ok(Answer::Now(self.forbidden(name, uid.as_deref())));
                };
                let query = query.clone().unwrap_or_else(|| json!({}));
                let mut answer = json!({ "type": "subscription", "event": "init", "uid": uid });
                if event.is_none() {
                    match self.database.read(peer.who, collection, &query) {
                        Ok(page) => answer["data"] = page.items.into(),
                        Err(_) => return Ok(Answer::Now(self.forbidden(name, uid.as_deref()))),
                    }
                }
                // A by-event subscription that replaces its like misses nothing.
                let since = replaced.filter(|_| event.is_some()).map_or(now, |replaced| replaced.since);
                let subscription = Subscription { uid, collection, event: *event, query, since };
                if event.is_none() {
                    return Ok(Answer::Later(frame(answer), subscription));
                }
                peer.subscriptions.push(subscription);
                Ok(Answer::Now(frame(answer)))
            }
            ClientMessage::Unsubscribe { uid } => {
                let uid = uid.as_ref().map(|uid| uid.as_str().to_owned());
                peer.subscriptions.retain(|known| uid.is_some() && known.uid != uid);
                Ok(Answer::Now(frame(json!({ "type": "subscription", "event": "unsubscribe", "uid": uid }))))
            }
            ClientMessage::Ping { uid } => {
                Ok(Answer::Now(frame(json!({ "type": "pong", "uid": uid.as_ref().map(|uid| uid.as_str()) }))))
            }
            _ => Ok(Answer::Nothing),
        }
    }

    /// A subscription that was read before is there from now on: what was written in between is told to nobody.
    pub(crate) fn registers(&mut self, now: Millis, socket: u64, subscription: Subscription) {
        if let Some(peer) = self.peers.get_mut(&socket) {
            peer.subscriptions.push(Subscription { since: now, ..subscription });
        }
    }

    /// Whether all that happens in a collection is told over this socket.
    pub(crate) fn announces(&self, number: u64, collection: Collection) -> bool {
        self.peers.get(&number).is_some_and(|peer| {
            let has = |event: &EventKind| {
                peer.subscriptions.iter().any(|known| known.collection == collection && known.event == Some(*event))
            };
            EventKind::ALL.iter().all(has)
        })
    }

    /// A write is told: the rows are read now, for each subscription by its own query and rights.
    pub(crate) fn dispatches(&self, announcement: &Announcement) -> Vec<(u64, ServerMessage)> {
        let mut frames = Vec::new();
        for (socket, peer) in &self.peers {
            for subscription in &peer.subscriptions {
                let wanted = subscription.event.is_none_or(|event| event == announcement.event);
                if subscription.collection == announcement.collection && wanted {
                    let told = self.told(peer.who, subscription, announcement);
                    frames.extend(told.map(|frame| (*socket, frame)));
                }
            }
        }
        frames
    }

    fn told(&self, who: Who, subscription: &Subscription, announcement: &Announcement) -> Option<ServerMessage> {
        let collection = announcement.collection;
        let uid = subscription.uid.as_deref();
        let event = event_name(announcement.event);
        // Whatever the filter, and whatever the rights.
        if announcement.event == EventKind::Delete {
            let keys = announcement.keys.iter().map(|key| match key {
                Value::Number(number) if announcement.as_text => json!(number.to_string()),
                key => key.clone(),
            });
            let keys: Vec<Value> = keys.collect();
            return Some(frame(json!({ "type": "subscription", "event": event, "data": keys, "uid": uid })));
        }
        let mut query = subscription.query.clone();
        let own = query.get("filter").cloned().unwrap_or_else(|| json!({}));
        query["filter"] = json!({ "_and": [own, { (collection.key_field()): { "_in": announcement.keys } }] });
        match self.database.read(who, collection, &query) {
            // Rows that are gone again, that do not match, or that may not be read: nothing at all.
            Ok(page) if page.items.is_empty() => None,
            Ok(page) => Some(frame(json!({ "type": "subscription", "event": event, "data": page.items, "uid": uid }))),
            Err(_) => Some(self.forbidden(collection.name(), uid)),
        }
    }

    /// The login of every socket ends: it is the public's from now on, and told so.
    pub(crate) fn expire(&mut self) -> Vec<(u64, ServerMessage)> {
        let message = self.error("auth", "TOKEN_EXPIRED", "Token expired.", None);
        let sockets = self.peers.iter_mut().filter(|(_, peer)| peer.who != 0);
        sockets
            .map(|(socket, peer)| {
                peer.who = 0;
                (*socket, message.clone())
            })
            .collect()
    }

    /// The heartbeat: who gave no sign of life since the last one is ended, the others are pinged.
    pub(crate) fn heartbeat(&mut self) -> (Vec<u64>, Vec<u64>) {
        let silent: Vec<u64> = self.peers.iter().filter(|(_, peer)| !peer.lives).map(|(socket, _)| *socket).collect();
        self.peers.retain(|_, peer| peer.lives);
        for peer in self.peers.values_mut() {
            peer.lives = false;
        }
        (silent, self.peers.keys().copied().collect())
    }
}

impl Subscription {
    /// Its uid, or nothing.
    pub(crate) fn name(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
    }
}
