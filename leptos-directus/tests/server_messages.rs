//! What passes through an open socket, and how it ends: as if nobody stood in between.
#![cfg(feature = "ssr")]

mod server;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use server::{App, Play, SESSION, StandIn, closed, next, opened, patiently, text};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() }))
}

#[tokio::test]
async fn messages_of_both_types_pass_unchanged_and_in_order_both_ways() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    let messages: Vec<Message> = (0..300)
        .flat_map(|number| {
            let bytes: Vec<u8> = (0..number * 7).map(|byte| (byte % 256) as u8).collect();
            [Message::text(format!("{number} ä€🦀 \u{0} {}", "x".repeat(number * 11))), Message::binary(bytes)]
        })
        .chain([text(""), Message::binary(Vec::new()), Message::text("ß".repeat(400_000))])
        .collect();
    let (up, down) = (messages.clone(), messages.clone());
    let visitor_side = async {
        let (mut sink, mut stream) = (&mut visitor).split();
        let send = async {
            for message in up {
                sink.send(message).await.unwrap();
            }
        };
        let receive = async {
            for expected in &messages {
                assert!(stream.next().await.unwrap().unwrap() == *expected, "downward");
            }
        };
        tokio::join!(send, receive);
    };
    let upstream_side = async {
        let (mut sink, mut stream) = (&mut upstream).split();
        let send = async {
            for message in down {
                sink.send(message).await.unwrap();
            }
        };
        let receive = async {
            for expected in &messages {
                assert!(stream.next().await.unwrap().unwrap() == *expected, "upward");
            }
        };
        tokio::join!(send, receive);
    };
    patiently("all messages", async { tokio::join!(visitor_side, upstream_side) }).await;
}

#[tokio::test]
async fn a_message_in_fragments_arrives_whole_with_a_ping_in_between() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    let fragments = |opcode: Data| {
        let frame =
            |bytes: &'static [u8], opcode, last| Message::Frame(Frame::message(bytes, OpCode::Data(opcode), last));
        // The euro sign is cut in two.
        [
            frame(b"one \xe2\x82", opcode, false),
            frame(b"\xac two", Data::Continue, false),
            Message::Ping(b"between".as_slice().into()),
            frame(b"", Data::Continue, false),
            frame(b" three", Data::Continue, true),
        ]
    };
    let whole = "one € two three";
    for (opcode, expected) in [(Data::Text, text(whole)), (Data::Binary, Message::binary(whole.as_bytes()))] {
        for fragment in fragments(opcode) {
            visitor.send(fragment).await.unwrap();
        }
        assert_eq!(next(&mut upstream).await, expected);
        assert_eq!(next(&mut visitor).await, Message::Pong(b"between".as_slice().into()));
        for fragment in fragments(opcode) {
            upstream.send(fragment).await.unwrap();
        }
        assert_eq!(next(&mut visitor).await, expected);
        assert_eq!(next(&mut upstream).await, Message::Pong(b"between".as_slice().into()));
    }
}

#[tokio::test]
async fn pings_of_a_visitor_are_answered_here_because_directus_answers_none() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    visitor.send(Message::Ping(b"you there?".as_slice().into())).await.unwrap();
    assert_eq!(next(&mut visitor).await, Message::Pong(b"you there?".as_slice().into()));
    visitor.send(text("after")).await.unwrap();
    assert_eq!(next(&mut upstream).await, text("after"));
}

#[tokio::test]
async fn auth_frames_stay_here_and_are_answered_as_directus_answers_a_failed_one() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    for (uid, frame) in [
        (json!(7), text(r#"{"type":"auth","email":"a@example.com","password":"secret","uid":7}"#)),
        (json!("u"), Message::binary(r#"{"uid":"u","type":"\u0061uth"}"#.as_bytes())),
    ] {
        visitor.send(frame).await.unwrap();
        let answer: Value = serde_json::from_str(next(&mut visitor).await.to_text().unwrap()).unwrap();
        assert_eq!((&answer["type"], &answer["status"], &answer["uid"]), (&json!("auth"), &json!("error"), &uid));
        assert_eq!(answer["error"]["code"], "AUTH_FAILED");
    }
    visitor.send(text(r#"{"type":"ping"}"#)).await.unwrap();
    assert_eq!(next(&mut upstream).await, text(r#"{"type":"ping"}"#), "the socket goes on, and this comes first");
}

#[tokio::test]
async fn auth_frames_pass_where_that_is_allowed() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_allow_client_auth = true).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    let frame = text(r#"{"type":"auth","access_token":"token"}"#);
    visitor.send(frame.clone()).await.unwrap();
    assert_eq!(next(&mut upstream).await, frame);
}

#[tokio::test]
async fn close_codes_and_reasons_pass_both_ways() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let longest = "x".repeat(123);
    let cases =
        [(1000, "bye"), (1001, ""), (1003, "no"), (1011, "oh"), (1012, "later"), (3000, "ours"), (4999, &longest)];
    for (code, reason) in cases {
        let (mut visitor, mut upstream) = app.pair(&mut directus).await;
        visitor.send(text("before")).await.unwrap();
        visitor.send(close(code, reason)).await.unwrap();
        assert_eq!(next(&mut upstream).await, text("before"), "what was said before is heard");
        assert_eq!(closed(&mut upstream).await, (code, reason.to_owned()), "to Directus");
        assert_eq!(closed(&mut visitor).await, (code, reason.to_owned()), "the answer");

        let (mut visitor, mut upstream) = app.pair(&mut directus).await;
        upstream.send(text("before")).await.unwrap();
        upstream.send(close(code, reason)).await.unwrap();
        assert_eq!(next(&mut visitor).await, text("before"), "what was said before is heard");
        assert_eq!(closed(&mut visitor).await, (code, reason.to_owned()), "to the visitor");
    }
}

#[tokio::test]
async fn a_close_without_a_code_stays_one() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    visitor.send(Message::Close(None)).await.unwrap();
    assert_eq!(closed(&mut upstream).await.0, 1005);
    // As Directus ends a socket whose heart does not beat.
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    upstream.send(Message::Close(None)).await.unwrap();
    assert_eq!(closed(&mut visitor).await.0, 1005);
}

#[tokio::test]
async fn an_end_without_a_close_frame_becomes_one() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, upstream) = app.pair(&mut directus).await;
    // As Directus ends all sockets when it restarts.
    drop(upstream);
    let (code, reason) = closed(&mut visitor).await;
    assert_eq!(code, 1012);
    assert!(reason.contains("Directus"), "{reason}");
    let (visitor, mut upstream) = app.pair(&mut directus).await;
    drop(visitor);
    assert_eq!(closed(&mut upstream).await.0, 1001);
    drop(upstream);
    app.empty().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_socket_with_1009() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_max_message = 2000).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    visitor.send(Message::text("x".repeat(2000))).await.unwrap();
    assert_eq!(next(&mut upstream).await, Message::text("x".repeat(2000)), "just not too long");
    visitor.send(Message::text("x".repeat(2001))).await.unwrap();
    assert_eq!(closed(&mut visitor).await.0, 1009);
    assert_eq!(closed(&mut upstream).await.0, 1001);

    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    let frame = |opcode, last| Message::Frame(Frame::message(vec![b'x'; 1500], OpCode::Data(opcode), last));
    visitor.send(frame(Data::Text, false)).await.unwrap();
    visitor.send(frame(Data::Continue, true)).await.unwrap();
    assert_eq!(closed(&mut visitor).await.0, 1009, "together they are too long");
    assert_eq!(closed(&mut upstream).await.0, 1001);
}

#[tokio::test]
async fn who_sends_far_too_much_can_still_read_why_it_is_refused() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_max_message = 2000).await;
    let (visitor, _upstream) = app.pair(&mut directus).await;
    let (mut sink, mut stream) = visitor.split();
    // More than fits into the buffers of the way. That it cannot be sent to its end is the point.
    let send = async { drop(sink.send(Message::binary(vec![0; 32 << 20])).await) };
    let read = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    };
    let (code, ()) = patiently("the close frame", async { tokio::join!(read, send) }).await;
    assert_eq!(code, 1009);
}

#[tokio::test]
async fn a_message_of_directus_that_is_too_long_is_told_to_both() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_max_upstream_message = 2000).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    upstream.send(Message::text("x".repeat(2000))).await.unwrap();
    assert_eq!(next(&mut visitor).await, Message::text("x".repeat(2000)));
    upstream.send(Message::text("x".repeat(2001))).await.unwrap();
    let (code, reason) = closed(&mut visitor).await;
    assert_eq!(code, 1011);
    assert!(reason.contains("longer"), "{reason}");
    assert_eq!(closed(&mut upstream).await.0, 1009);
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    for (what, bytes, code) in [
        ("an unmasked frame", b"\x81\x01x".as_slice(), 1002),
        ("a reserved opcode", b"\x83\x80\0\0\0\0".as_slice(), 1002),
        ("text that is no UTF-8", b"\x81\x82\0\0\0\0\xc3\x28".as_slice(), 1007),
    ] {
        let (mut visitor, mut upstream) = app.pair(&mut directus).await;
        visitor.get_mut().write_all(bytes).await.unwrap();
        assert_eq!(closed(&mut visitor).await.0, code, "{what}");
        assert_eq!(closed(&mut upstream).await.0, 1001, "{what}");
    }
}

#[tokio::test]
async fn sockets_do_not_hear_each_other() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut ada, mut for_ada) = app.pair(&mut directus).await;
    let (mut bob, mut for_bob) = app.pair(&mut directus).await;
    for_ada.send(text("to Ada")).await.unwrap();
    for_bob.send(text("to Bob")).await.unwrap();
    assert_eq!(next(&mut bob).await, text("to Bob"));
    assert_eq!(next(&mut ada).await, text("to Ada"));
    bob.send(close(1000, "")).await.unwrap();
    assert_eq!(closed(&mut for_bob).await.0, 1000);
    ada.send(text("still here")).await.unwrap();
    assert_eq!(next(&mut for_ada).await, text("still here"));
}

#[tokio::test]
async fn what_is_sent_right_behind_the_upgrade_is_not_lost() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let mut stream = app.upgrade().header("cookie", SESSION).send().await;
    // A masked text frame `hi`, before there is an answer.
    stream.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
    let mut upstream = directus.asked().await.accept().await;
    let mut visitor = opened(stream).await;
    assert_eq!(next(&mut upstream).await, text("hi"));
    upstream.send(text("hello")).await.unwrap();
    assert_eq!(next(&mut visitor).await, text("hello"));
    drop((visitor, upstream));
    app.empty().await;
}
