//! The frames that a real Directus (12.4.1 and 11.17.4) and its clients exchanged, as this crate reads them.
//!
//! `transcripts/*.jsonl` are recordings, one frame or HTTP message a line. `transcripts/meanings.txt` says what each
//! line means; it was written from the raw JSON, not by this crate.

// A browser has no folder to read them from.
#![cfg(not(target_arch = "wasm32"))]

use std::{collections::BTreeSet, fs, path::Path};

use codee::{Decoder, Encoder};
use leptos_directus::{
    connection::{ConnectionConfig, Machine, Notice, Output, SubscriptionSpec},
    protocol::{
        AuthCredentials, ClientMessage, DirectusCodec, ErrorBody, ErrorCode, EventKind, ProtocolError, Query, RestBody,
        ServerMessage, SubscriptionEvent, SubscriptionFrame,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// A recorded line.
struct Line {
    direction: String,
    http: bool,
    frame: Value,
}

impl Line {
    /// The frame as it went over the wire: where it was not JSON, the recording has its text.
    fn text(&self) -> String {
        match &self.frame {
            Value::String(text) => text.clone(),
            frame => frame.to_string(),
        }
    }
}

fn transcripts() -> Vec<(String, Vec<Line>)> {
    let mut transcripts: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| {
            let lines = fs::read_to_string(&path).unwrap();
            let lines = lines.lines().map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                Line {
                    direction: line["dir"].as_str().unwrap().to_owned(),
                    http: line["conn"] == "http",
                    frame: line["frame"].clone(),
                }
            });
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), lines.collect())
        })
        .collect();
    transcripts.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(transcripts.len(), 50);
    transcripts
}

/// Every line that was received over a WebSocket (`"recv"`) or sent over one (`"send"`).
fn frames(direction: &str) -> Vec<Line> {
    let lines = transcripts().into_iter().flat_map(|(_, lines)| lines);
    lines.filter(|line| line.direction == direction && !line.http).collect()
}

fn server(text: &str) -> Result<ServerMessage, ProtocolError> {
    DirectusCodec::decode(text)
}

fn client(text: &str) -> Result<ClientMessage, ProtocolError> {
    DirectusCodec::decode(text)
}

fn texts<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.into_iter().map(text).collect::<Vec<_>>().join(",")
}

fn ids<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let unknown = json!("-");
    texts(rows.into_iter().map(|row| row.get("id").unwrap_or(&unknown)))
}

fn with_uid(meaning: String, uid: Option<&str>) -> String {
    match uid {
        Some(uid) => format!("{meaning} uid={uid}"),
        None => meaning,
    }
}

fn meaning_of_received(text: &str) -> String {
    match server(text).unwrap() {
        ServerMessage::Auth { uid, refresh_token } => {
            with_uid(format!("auth ok{}", refresh_token.map_or("", |_| " refresh_token")), uid.as_deref())
        }
        ServerMessage::Subscription(frame) => {
            let mut meaning = frame.event.as_str().to_owned();
            if frame.event == SubscriptionEvent::Delete {
                let keys: Vec<_> = frame.keys().iter().map(ToString::to_string).collect();
                meaning += &format!(" keys={}", keys.join(","));
                assert_eq!(frame.rows(), Vec::<Value>::new());
            } else if frame.data.is_some() {
                meaning += &format!(" rows={}", ids(&frame.rows()));
                assert_eq!(frame.keys(), []);
            }
            if frame.meta.is_some() {
                meaning += " meta";
            }
            with_uid(meaning, frame.uid.as_deref())
        }
        ServerMessage::Items(frame) => {
            let mut meaning = match &frame.data {
                Value::Array(values) if values.iter().any(|value| !value.is_object()) => {
                    format!("items keys={}", texts(values))
                }
                Value::Array(_) | Value::Object(_) => format!("items rows={}", ids(&frame.clone().into_rows())),
                key => format!("items keys={}", texts([key])),
            };
            if frame.meta.is_some() {
                meaning += " meta";
            }
            with_uid(meaning, frame.uid.as_deref())
        }
        ServerMessage::Ping { uid } => with_uid("ping".to_owned(), uid.as_deref()),
        ServerMessage::Pong { uid } => with_uid("pong".to_owned(), uid.as_deref()),
        ServerMessage::Error(frame) => {
            assert!(ErrorCode::KNOWN.contains(&frame.code), "{text}");
            assert!(!frame.message.is_empty());
            with_uid(format!("error {} {}", frame.kind, frame.code), frame.uid.as_deref())
        }
        other => panic!("{other:?}"),
    }
}

fn meaning_of_sent(text: &str) -> String {
    let Ok(message) = client(text) else { return "send broken".to_owned() };
    let (meaning, uid) = match message {
        ClientMessage::Auth { credentials, uid } => {
            let kind = match credentials {
                AuthCredentials::Email { .. } => "email",
                AuthCredentials::AccessToken(_) => "access_token",
                AuthCredentials::RefreshToken(_) => "refresh_token",
            };
            (format!("send auth {kind}"), uid)
        }
        ClientMessage::Subscribe { collection, event, item, uid, .. } => {
            let event = event.map(|event| format!(" event={event}")).unwrap_or_default();
            let item = item.map(|item| format!(" item={item}")).unwrap_or_default();
            (format!("send subscribe {collection}{event}{item}"), uid)
        }
        ClientMessage::Unsubscribe { uid } => ("send unsubscribe".to_owned(), uid),
        ClientMessage::Items { action, collection, id, ids, uid, .. } => {
            let id = id.map(|id| format!(" id={id}")).unwrap_or_default();
            let ids = ids.map(|ids| {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                format!(" ids={}", ids.join(","))
            });
            (format!("send items {} {collection}{id}{}", action.as_str(), ids.unwrap_or_default()), uid)
        }
        ClientMessage::Ping { uid } => ("send ping".to_owned(), uid),
        ClientMessage::Pong => ("send pong".to_owned(), None),
    };
    with_uid(meaning, uid.as_ref().map(|uid| uid.as_str()))
}

fn meaning_of_response(frame: &Value) -> String {
    let body = &frame["body"];
    let meaning = if let Some(body) = ErrorBody::parse(&body.to_string()) {
        assert!(ErrorCode::KNOWN.contains(&body.errors[0].code), "{body:?}");
        body.errors[0].code.to_string()
    } else if let Ok(body) = serde_json::from_value::<RestBody>(body.clone()) {
        let data = match &body.data {
            Value::Array(rows) => format!("array {}", rows.len()),
            Value::Object(_) => "object".to_owned(),
            Value::Null => "null".to_owned(),
            _ => "value".to_owned(),
        };
        format!("data {data}{}", body.meta.map_or("", |_| " meta"))
    } else if body.is_null() {
        "empty".to_owned()
    } else {
        "other".to_owned()
    };
    format!("http {} {meaning}", frame["status"])
}

/// What happened on the connection, besides frames.
fn meaning_of_event(frame: &Value) -> Option<String> {
    if let Some(note) = frame["note"].as_str() {
        let line = note.lines().next().unwrap_or_default();
        return Some(format!("# {}", line.chars().take(80).collect::<String>().trim()));
    }
    if let Some(close) = frame.get("close") {
        return Some(format!("closed {}", close["code"]));
    }
    if let Some(status) = frame.get("handshake_refused") {
        return Some(format!("refused {status}"));
    }
    frame.get("nothing_received_for_ms").map(|_| "silence".to_owned())
}

#[test]
fn every_recorded_line_has_its_meaning() {
    let expected = fs::read_to_string(folder().join("meanings.txt")).unwrap();
    let mut expected = expected.lines();
    for (name, lines) in transcripts() {
        assert_eq!(expected.next(), Some(format!("== {name}").as_str()));
        for (number, line) in (1..).zip(lines) {
            let meaning = match (line.direction.as_str(), line.http) {
                ("recv", false) => meaning_of_received(&line.text()),
                ("send", false) => meaning_of_sent(&line.text()),
                ("recv", true) => meaning_of_response(&line.frame),
                ("send", true) => {
                    let text = |name: &str| line.frame[name].as_str().unwrap();
                    format!("http {} {}", text("method"), text("path"))
                }
                _ => match meaning_of_event(&line.frame) {
                    Some(meaning) => meaning,
                    None => continue,
                },
            };
            let meaning = format!("{number} {meaning}");
            assert_eq!(expected.next(), Some(meaning.as_str()), "{name}, line {number}: {}", line.frame);
        }
    }
    assert_eq!(expected.next(), None);
}

#[test]
fn frames_that_were_received_are_written_back_as_they_came() {
    for line in frames("recv") {
        let mut frame = line.frame.clone();
        // `uid` is text in a message, whatever it was.
        if let Some(uid) = frame.get_mut("uid") {
            *uid = texts([&*uid]).into();
        }
        assert_eq!(serde_json::to_value(server(&line.text()).unwrap()).unwrap(), frame);
    }
}

#[test]
fn frames_that_were_sent_are_written_back_as_they_came() {
    // Sent to see how Directus refuses, or ignores, them.
    let broken: BTreeSet<_> = [
        "",
        "hello",
        "not json",
        "garbage",
        "[]",
        "123",
        "null",
        "\"str\"",
        r#"{"no":"type"}"#,
        r#"{"type":"foo","uid":"f"}"#,
        r#"{"type":"foo"}"#,
        r#"{"type":5}"#,
        r#"{"type":"PING"}"#,
        r#"{"type":"auth"}"#,
        r#"{"type":"auth","uid":"W"}"#,
        r#"{"type":"auth","access_token":5}"#,
        r#"{"type":"subscribe","uid":"x"}"#,
        r#"{"type":"subscribe","collection":5,"uid":"x10"}"#,
        r#"{"type":"subscribe","collection":"posts","event":"foo","uid":"x3"}"#,
        r#"{"type":"subscribe","collection":"posts","query":"str","uid":"x4"}"#,
        r#"{"type":"subscribe","collection":"posts","uid":true}"#,
        r#"{"type":"subscribe","collection":"posts","uid":null}"#,
        r#"{"type":"subscribe","collection":"posts","uid":{"a":1}}"#,
        r#"{"type":"items","action":"read","uid":"e6"}"#,
        r#"{"type":"items","action":"frobnicate","collection":"posts","uid":"e5"}"#,
        // Not frames: the recording's stand-ins for long ones.
        r#"{"note":"1 MiB ping frame"}"#,
        r#"{"note":"20 MiB ping frame"}"#,
        r#"{"note":"101 MiB ping frame"}"#,
    ]
    .map(str::to_owned)
    .into();
    // Sent with members that Directus ignores, and that are not kept.
    let lossy: BTreeSet<_> = [
        r#"{"type":"subscribe","collection":"posts","extra":"field","uid":"x9","query":{"limit":1,"fields":["id"],"unknownopt":5}}"#,
        r#"{"type":"unsubscribe","collection":"posts"}"#,
    ]
    .map(str::to_owned)
    .into();

    let (mut seen_broken, mut seen_lossy) = (BTreeSet::new(), BTreeSet::new());
    for line in frames("send") {
        let text = line.text();
        match client(&text) {
            Err(_) => drop(seen_broken.insert(text)),
            Ok(message) => {
                let written = DirectusCodec::encode(&message).unwrap();
                if serde_json::from_str::<Value>(&written).unwrap() != line.frame {
                    seen_lossy.insert(text);
                }
                assert_eq!(client(&written).unwrap(), message);
            }
        }
    }
    assert_eq!(seen_broken, broken);
    assert_eq!(seen_lossy, lossy);
}

#[test]
fn recorded_queries_are_queries() {
    let mut count = 0;
    for line in frames("send") {
        let Some(query) = line.frame.get("query").filter(|query| query.is_object()) else { continue };
        let strange = query.get("unknownopt").is_some()
            || query["limit"] == -5
            || query["filter"] == "notjson"
            || query["limit"] == "abc";
        assert_eq!(Query::from_value(query.clone()).is_err(), strange, "{query}");
        count += 1;
    }
    assert!(count > 100);
}

/// What came over WebSocket connections after the note `note` and before the next one; and whether silence was noted.
fn after(transcript: &str, note: &str) -> (Vec<ServerMessage>, bool) {
    let (_, lines) = transcripts().into_iter().find(|(name, _)| name == transcript).unwrap();
    let mut lines = lines.into_iter().skip_while(|line| line.frame["note"].as_str() != Some(note));
    assert!(lines.next().is_some(), "{transcript} has no note {note:?}");
    let mut silence = false;
    let mut messages = Vec::new();
    for line in lines.take_while(|line| line.frame.get("note").is_none()) {
        silence |= line.frame.get("nothing_received_for_ms").is_some();
        if line.direction == "recv" && !line.http {
            messages.push(server(&line.text()).unwrap());
        }
    }
    (messages, silence)
}

/// The only message after a note, which is an event or acknowledgement of a subscription.
fn frame_after(transcript: &str, note: &str) -> SubscriptionFrame {
    let (mut messages, _) = after(transcript, note);
    assert_eq!(messages.len(), 1, "{transcript}, {note}: {messages:?}");
    match messages.remove(0) {
        ServerMessage::Subscription(frame) => frame,
        other => panic!("{transcript}, {note}: {other:?}"),
    }
}

/// Runs a check on the recordings of both versions.
fn in_both(transcript: &str, check: impl Fn(&str)) {
    for version in ["v11", "v12"] {
        check(&format!("{version}-{transcript}"));
    }
}

#[test]
fn a_row_that_leaves_the_filter_is_not_announced_and_one_that_enters_is_an_update() {
    in_both("filter-stale", |transcript| {
        let (messages, silence) = after(transcript, "update: item STOPS matching (published -> draft)");
        assert_eq!((messages, silence), (vec![], true));
        let frame = frame_after(transcript, "update: item STARTS matching (draft -> published)");
        assert_eq!((frame.event, frame.rows()[0]["id"].as_i64()), (SubscriptionEvent::Update, Some(14)));
    });
}

#[test]
fn a_delete_is_announced_whatever_the_filter_with_its_key_as_text() {
    in_both("filter-stale", |transcript| {
        let frame = frame_after(transcript, "delete a NON-matching item: is the delete sent?");
        assert_eq!((frame.event, frame.data.clone()), (SubscriptionEvent::Delete, Some(json!(["16"]))));
        assert_eq!(frame.keys(), [16.into()]);
    });
}

#[test]
fn keys_of_a_batch_delete_are_numbers() {
    in_both("subscribe-crud", |transcript| {
        let frame = frame_after(transcript, "REST delete many: array of ids");
        let data = frame.data.clone().unwrap();
        assert!(data.as_array().unwrap().iter().all(Value::is_number), "{data}");
        assert_eq!(frame.keys().len(), data.as_array().unwrap().len());
    });
}

#[test]
fn a_subscription_to_one_event_is_acknowledged_without_rows_and_with_its_uid_as_text() {
    in_both("subscribe-uid-event", |transcript| {
        let (messages, _) = after(transcript, "three subscriptions with uid + event (number uid for one)");
        let inits: Vec<_> = messages
            .iter()
            .filter_map(|message| match message {
                ServerMessage::Subscription(frame) if frame.event == SubscriptionEvent::Init => {
                    assert_eq!((&frame.data, frame.rows().len()), (&None, 0));
                    frame.uid.as_deref()
                }
                _ => None,
            })
            .collect();
        assert_eq!(inits, ["cr", "2", "de"]);
    });
}

#[test]
fn a_limit_cuts_batches_and_a_page_swallows_events() {
    in_both("query-options", |transcript| {
        let (messages, _) =
            after(transcript, "limit 2 + sort -sort; then create / update outside the window / update 3 keys");
        let rows = messages.iter().filter_map(|message| match message {
            ServerMessage::Subscription(frame) if frame.event == SubscriptionEvent::Update => Some(frame.rows().len()),
            _ => None,
        });
        assert_eq!(rows.collect::<Vec<_>>(), [1, 2]);

        let (messages, silence) = after(transcript, "page 2, limit 2");
        let events = messages.iter().filter_map(|message| match message {
            ServerMessage::Subscription(frame) => Some(frame.event),
            _ => None,
        });
        assert_eq!(events.collect::<Vec<_>>(), [SubscriptionEvent::Init, SubscriptionEvent::Unsubscribe]);
        assert!(silence);
    });
}

#[test]
fn an_item_subscription_has_one_row_instead_of_a_list_and_misses_changes() {
    in_both("item-subscription", |transcript| {
        let frame = frame_after(transcript, "item as string");
        assert!(frame.data.as_ref().is_some_and(Value::is_object));
        assert_eq!(frame.rows(), [json!({"id": 38, "title": "it"})]);
        assert_eq!(after(transcript, "PATCH /items/posts {keys:[number]}"), (vec![], true));
    });
}

#[test]
fn an_unsubscribe_right_after_a_subscribe_is_answered_first() {
    in_both("pipelining", |transcript| {
        let (messages, _) = after(transcript, "subscribe then unsubscribe back to back");
        let events = messages.iter().filter_map(|message| match message {
            ServerMessage::Subscription(frame) => Some(frame.event),
            _ => None,
        });
        use SubscriptionEvent::{Create, Init, Unsubscribe};
        assert_eq!(events.collect::<Vec<_>>(), [Unsubscribe, Init, Create]);
    });
}

#[test]
fn a_failed_handshake_is_an_error_of_type_auth_without_uid() {
    for (transcript, note) in [
        ("v12-auth-handshake", "--- no auth, then ping"),
        ("v12-auth-handshake", "--- auth message wrong password"),
        ("v12-auth-handshake", "--- first message is not JSON"),
        ("v11-auth-handshake", "--- no auth, then ping"),
    ] {
        let (messages, _) = after(transcript, note);
        let [ServerMessage::Error(error)] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!((error.kind.as_str(), &error.code, &error.uid), ("auth", &ErrorCode::AuthFailed, &None));
    }
}

#[test]
fn a_token_that_expires_is_an_error_of_type_auth() {
    for transcript in ["v12-expiry-handshake", "v12-expiry-public", "v12-expiry-strict"] {
        let (messages, _) =
            after(transcript, "A: no re-auth after TOKEN_EXPIRED; writes every second go on; what arrives?");
        assert!(
            messages.iter().any(|message| matches!(
                message,
                ServerMessage::Error(error) if error.kind == "auth" && error.code == ErrorCode::TokenExpired
            )),
            "{transcript}: {messages:?}"
        );
    }
}

#[test]
fn a_refused_subscription_names_itself_from_version_12_on() {
    let uid = |transcript: &str| {
        let (messages, _) = after(transcript, r#"send {"type":"subscribe","collection":"hidden","uid":"x2"}"#);
        let [ServerMessage::Error(error)] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!((error.kind.as_str(), &error.code), ("subscribe", &ErrorCode::Forbidden));
        error.uid.clone()
    };
    assert_eq!(uid("v11-errors"), None);
    assert_eq!(uid("v12-errors"), Some("x2".to_owned()));
}

/// What the connection makes of the recorded refusals of version 11, which have no uid.
#[test]
fn a_refusal_of_version_11_finds_whom_it_is_for_by_the_collection_in_its_text() {
    let refusals: Vec<ServerMessage> = transcripts()
        .into_iter()
        .filter(|(name, _)| name.starts_with("v11-"))
        .flat_map(|(_, lines)| lines)
        .filter(|line| line.direction == "recv" && !line.http && line.frame["error"]["code"] == "FORBIDDEN")
        .map(|line| server(&line.text()).unwrap())
        .collect();
    assert!(refusals.len() > 10, "{}", refusals.len());
    let (mut told, mut named) = (0, 0);
    for refusal in refusals {
        let ServerMessage::Error(error) = &refusal else { panic!("{refusal:?}") };
        let Some(collection) = error.message.split('"').rev().nth(1).filter(|_| error.uid.is_none()) else { continue };
        if error.kind != "subscribe" {
            continue;
        }
        let mut machine = Machine::new(ConnectionConfig::default());
        let mut subscribe = |collection: &str| {
            let (event, label) = (Some(EventKind::Update), collection.to_owned());
            machine.subscribe(0, SubscriptionSpec { collection: collection.to_owned(), event, query: None, label })
        };
        let (_, meant) = (subscribe("another"), subscribe(collection));
        machine.opened(1, 1);
        while machine.next_output().is_some() {}
        machine.frame(2, refusal.clone());
        let outputs: Vec<_> = std::iter::from_fn(|| machine.next_output()).collect();
        match &outputs[..] {
            [Output::Event(id, Notice::Failed { alive: false, .. })] if *id == meant => named += 1,
            // `… Queried in author.`: it is about a relation of whatever was asked for.
            [] => assert!(!error.message.ends_with("Queried in root."), "{error:?}"),
            other => panic!("{error:?}: {other:?}"),
        }
        told += 1;
    }
    assert!(named > 5, "{named} of {told}");
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that mean something to the protocol, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "type",
            "status",
            "event",
            "data",
            "meta",
            "uid",
            "error",
            "code",
            "message",
            "collection",
            "query",
            "id",
            "ids",
            "item",
            "action",
            "access_token",
            "email",
            "password",
            "filter",
            "fields",
            "sort",
            "limit",
            "_eq",
            "_and",
            "_or",
            "_some",
            "author",
            "deep",
            "alias",
            "aggregate",
            "groupBy",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

/// An object whose `type` and the like are mostly right.
fn likely_frame() -> impl Strategy<Value = Value> {
    let kinds = prop::sample::select(vec![
        "auth",
        "subscription",
        "subscribe",
        "unsubscribe",
        "items",
        "ping",
        "pong",
        "server",
        "news",
    ]);
    let events = prop::sample::select(vec!["init", "create", "update", "delete", "unsubscribe", "read", "moved"]);
    (kinds, events, prop::option::of(prop::sample::select(vec!["ok", "error"])), arbitrary_json(), arbitrary_json())
        .prop_map(|(kind, event, status, data, uid)| {
            let mut frame = json!({"type": kind, "event": event, "action": event, "data": data, "uid": uid});
            if let Some(status) = status {
                frame["status"] = status.into();
                frame["error"] = json!({"code": "FORBIDDEN", "message": "No."});
            }
            if kind == "subscribe" || kind == "items" {
                frame["collection"] = "posts".into();
            }
            frame
        })
}

/// A recorded frame with some of its bytes changed, dropped or repeated.
fn mutated_frame() -> impl Strategy<Value = String> {
    let texts: Vec<_> = frames("recv").iter().chain(&frames("send")).map(Line::text).collect();
    let mutation = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    (prop::sample::select(texts), prop::collection::vec(mutation, 1..4)).prop_map(|(text, mutations)| {
        let mut bytes = text.into_bytes();
        for (index, byte, kind) in mutations {
            let index = index.index(bytes.len() + 1);
            match kind {
                0 if index < bytes.len() => bytes[index] = byte,
                1 if index < bytes.len() => drop(bytes.remove(index)),
                2 => bytes.truncate(index),
                _ => bytes.insert(index, byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Decodes a text both ways and uses what comes out; what does, is written and read back as itself.
fn decode_and_use(text: &str) -> Result<(), TestCaseError> {
    match server(text) {
        Ok(message) => {
            if let ServerMessage::Subscription(frame) = &message {
                let _ = (frame.rows(), frame.keys());
            }
            let written: String = DirectusCodec::encode(&message).unwrap();
            prop_assert_eq!(server(&written), Ok(message));
        }
        Err(error) => check_error(&error)?,
    }
    match client(text) {
        Ok(message) => {
            let written: String = DirectusCodec::encode(&message).unwrap();
            prop_assert_eq!(client(&written), Ok(message));
        }
        Err(error) => check_error(&error)?,
    }
    Ok(())
}

fn check_error(error: &ProtocolError) -> Result<(), TestCaseError> {
    match error {
        ProtocolError::NotJson { excerpt, .. } | ProtocolError::NotAMessage { excerpt, .. } => {
            prop_assert!(excerpt.chars().count() <= 200, "{}", error);
        }
        other => prop_assert!(false, "{}", other),
    }
    Ok(())
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z*_.-]{1,6}", 0..5)
}

fn arbitrary_query() -> impl Strategy<Value = Value> {
    let member = prop_oneof![
        words().prop_map(|words| ("fields", json!(words))),
        arbitrary_json().prop_map(|json| ("filter", json!({"a": json, "_and": [{"b.c": {"_eq": 1}}]}))),
        words().prop_map(|words| ("sort", json!(words))),
        (-1_i64..).prop_map(|limit| ("limit", json!(limit))),
        (0_i64..).prop_map(|offset| ("offset", json!(offset))),
        (0_i64..).prop_map(|page| ("page", json!(page.to_string()))),
        any::<String>().prop_map(|search| ("search", json!(search))),
        arbitrary_json().prop_map(|json| ("deep", json!({"comments": json}))),
        words().prop_map(|words| {
            (
                "alias",
                words.into_iter().map(|word| (word.clone(), word.into())).collect::<serde_json::Map<_, _>>().into(),
            )
        }),
        words().prop_map(|words| ("aggregate", json!({"count": words}))),
        words().prop_map(|words| ("groupBy", json!(words.join(",")))),
        words().prop_map(|words| ("meta", json!(words))),
        any::<bool>().prop_map(|backlink| ("backlink", json!(backlink))),
        any::<String>().prop_map(|version| ("version", json!(version))),
    ];
    prop::collection::vec(member, 0..8)
        .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}

/// The same JSON with the members of every object in the opposite order.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect())
        }
        Value::Array(values) => values.iter().map(reversed).collect(),
        value => value.clone(),
    }
}

proptest! {
    // A failure prints its smallest input; a file beside the sources would be one more thing to keep.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_codec_panic(text in any::<String>()) {
        decode_and_use(&text)?;
        let _ = (Query::from_json(&text), ErrorBody::parse(&text));
    }

    #[test]
    fn no_bytes_make_the_codec_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_and_use(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn no_json_makes_the_codec_panic(json in arbitrary_json()) {
        decode_and_use(&json.to_string())?;
        if let Ok(query) = Query::from_value(json) {
            let _ = (query.relations(), query.canonical(), query.to_query_string(), query.for_reading("id"));
        }
    }

    #[test]
    fn likely_frames_are_read_and_written(frame in likely_frame()) {
        decode_and_use(&frame.to_string())?;
    }

    #[test]
    fn mutated_transcripts_are_read_or_refused(text in mutated_frame()) {
        decode_and_use(&text)?;
    }

    #[test]
    fn a_query_is_read_back_as_itself(json in arbitrary_query()) {
        let query = Query::from_value(json).unwrap();
        prop_assert_eq!(Query::from_value(query.to_json()), Ok(query.clone()));
        prop_assert_eq!(Query::from_json(&query.to_json().to_string()), Ok(query.clone()));
        let _ = (query.relations(), query.to_query_string());
        prop_assert_eq!(query.for_reading("id").for_reading("id"), query.for_reading("id"));
    }

    #[test]
    fn a_canonical_text_knows_no_order_of_members(json in arbitrary_query()) {
        let (one, other) = (Query::from_value(json.clone()).unwrap(), Query::from_value(reversed(&json)).unwrap());
        prop_assert_eq!(one.canonical(), other.canonical());
        prop_assert_eq!(Query::from_json(&one.canonical()).unwrap().canonical(), one.canonical());
        let mut fields = one.fields.clone();
        fields.reverse();
        fields.extend(one.fields.clone());
        prop_assert_eq!(one.clone().fields(fields).canonical(), one.canonical());
    }
}
