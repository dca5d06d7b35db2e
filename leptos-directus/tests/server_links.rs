//! Slow, silent and dead links: nobody is flooded, nobody waits for ever, and whoever only pauses stays.
#![cfg(feature = "ssr")]

mod server;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use server::{App, Play, SESSION, StandIn, closed, next, opened, patiently, text};
use tokio::{net::TcpSocket, sync::watch, time::timeout};
use tokio_tungstenite::tungstenite::Message;

const SHORT: Duration = Duration::from_millis(100);

/// One message, of which more are sent than all buffers on the way together can hold.
const SIZE: usize = 64 << 10;
const COUNT: usize = 1024;

fn numbered(number: usize) -> Message {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Message::binary(bytes)
}

/// Waits until `sent` has not moved for a while; how far it came.
async fn stalled(sent: &mut watch::Receiver<usize>) -> usize {
    let moves = async { while let Ok(Ok(())) = timeout(Duration::from_millis(500), sent.changed()).await {} };
    patiently("the sender to stall", moves).await;
    *sent.borrow()
}

#[tokio::test]
async fn a_visitor_that_does_not_read_stalls_directus_and_loses_nothing() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    // What waits in the kernel is no memory of ours, but would hide what is.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let stream = socket.connect(app.address).await.unwrap();
    let mut visitor = opened(app.upgrade().header("cookie", SESSION).send_over(stream).await).await;
    let (_, mut upstream) = directus.socket().await;
    let (progress, mut sent) = watch::channel(0);
    let sender = tokio::spawn(async move {
        for number in 0..COUNT {
            upstream.send(numbered(number)).await.unwrap();
            progress.send_replace(number + 1);
        }
        upstream
    });
    let before = stalled(&mut sent).await;
    assert!(before * SIZE < 24 << 20, "{before} of {COUNT} messages were taken although nobody reads");
    for number in 0..COUNT {
        assert!(next(&mut visitor).await == numbered(number), "message {number}");
    }
    let mut upstream = sender.await.unwrap();
    upstream.send(text("and on")).await.unwrap();
    assert_eq!(next(&mut visitor).await, text("and on"));
}

#[tokio::test]
async fn a_directus_that_does_not_read_stalls_the_visitor_and_loses_nothing() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    let (progress, mut sent) = watch::channel(0);
    let sender = tokio::spawn(async move {
        for number in 0..COUNT {
            visitor.send(numbered(number)).await.unwrap();
            progress.send_replace(number + 1);
        }
        visitor
    });
    let before = stalled(&mut sent).await;
    assert!(before * SIZE < 32 << 20, "{before} of {COUNT} messages were taken although nobody reads");
    for number in 0..COUNT {
        assert!(next(&mut upstream).await == numbered(number), "message {number}");
    }
    let mut visitor = sender.await.unwrap();
    visitor.send(text("and on")).await.unwrap();
    assert_eq!(next(&mut upstream).await, text("and on"));
}

#[tokio::test]
async fn a_slow_visitor_slows_nobody_else() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (_slow, mut for_slow) = app.pair(&mut directus).await;
    let (progress, mut sent) = watch::channel(0);
    let sender = tokio::spawn(async move {
        for number in 0..COUNT {
            for_slow.send(numbered(number)).await.unwrap();
            progress.send_replace(number + 1);
        }
    });
    assert!(stalled(&mut sent).await < COUNT);
    let (mut quick, mut for_quick) = app.pair(&mut directus).await;
    for number in 0..10 {
        for_quick.send(numbered(number)).await.unwrap();
        assert!(next(&mut quick).await == numbered(number));
    }
    sender.abort();
}

#[tokio::test]
async fn a_visitor_that_never_reads_is_let_go() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_write_timeout = SHORT).await;
    let (_visitor, upstream) = app.pair(&mut directus).await;
    let (mut sink, mut stream) = upstream.split();
    let flood = async {
        let mut number = 0;
        while sink.send(numbered(number)).await.is_ok() {
            number += 1;
        }
    };
    let told = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    };
    let code = patiently("the end", async {
        tokio::select! {
            code = told => code,
            () = flood => panic!("the connection broke without a word"),
        }
    })
    .await;
    assert_eq!(code, Some(1001));
    drop((sink, stream));
    app.empty().await;
}

#[tokio::test]
async fn a_directus_that_never_reads_is_given_up() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_write_timeout = SHORT).await;
    let (visitor, _upstream) = app.pair(&mut directus).await;
    let (mut sink, mut stream) = visitor.split();
    let flood = async {
        let mut number = 0;
        while sink.send(numbered(number)).await.is_ok() {
            number += 1;
        }
        std::future::pending::<()>().await;
    };
    let told = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    };
    let code = patiently("the end", async {
        tokio::select! {
            code = told => code,
            () = flood => None,
        }
    })
    .await;
    assert_eq!(code, Some(1011));
}

#[tokio::test]
async fn a_visitor_that_answers_no_ping_is_let_go() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| {
        config.directus_ping_interval = SHORT;
        config.directus_pong_timeout = SHORT;
    })
    .await;
    // As a laptop that was closed: the connection is there, and nobody at its end.
    let (_visitor, mut upstream) = app.pair(&mut directus).await;
    assert_eq!(closed(&mut upstream).await.0, 1001);
    drop(upstream);
    app.empty().await;
}

#[tokio::test]
async fn a_visitor_that_answers_pings_stays() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| {
        config.directus_ping_interval = Duration::from_millis(20);
        // Long enough for a busy machine: shorter than all pings together is what counts.
        config.directus_pong_timeout = Duration::from_secs(1);
    })
    .await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    for number in 0..80 {
        // Reading it answers it.
        assert_eq!(next(&mut visitor).await, Message::Ping(Vec::new().into()), "ping {number}");
    }
    visitor.send(text("still here")).await.unwrap();
    assert_eq!(next(&mut upstream).await, text("still here"), "and Directus saw none of them");
}

#[tokio::test]
async fn a_silent_directus_is_asked_and_given_up_when_it_does_not_answer() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| {
        config.directus_idle_timeout = SHORT;
        config.directus_pong_timeout = SHORT;
    })
    .await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    let asked: Value = serde_json::from_str(next(&mut upstream).await.to_text().unwrap()).unwrap();
    assert_eq!(asked["type"], "ping");
    let (code, reason) = closed(&mut visitor).await;
    assert_eq!((code, reason.as_str()), (1011, "Directus does not answer"));
    drop(visitor);
    app.empty().await;
}

#[tokio::test]
async fn a_silent_directus_that_answers_stays_and_the_visitor_hears_nothing_of_it() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| {
        config.directus_idle_timeout = Duration::from_millis(20);
        config.directus_pong_timeout = Duration::from_secs(10);
    })
    .await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    for _ in 0..20 {
        let asked: Value = serde_json::from_str(next(&mut upstream).await.to_text().unwrap()).unwrap();
        let uid = asked["uid"].as_str().unwrap();
        upstream.send(Message::text(format!(r#"{{"type":"pong","uid":"{uid}"}}"#))).await.unwrap();
    }
    upstream.send(text(r#"{"type":"pong","uid":"the visitor's own"}"#)).await.unwrap();
    assert_eq!(next(&mut visitor).await, text(r#"{"type":"pong","uid":"the visitor's own"}"#));
}
