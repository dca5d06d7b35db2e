//! The end of the server: sockets are told, nobody new comes in, and nobody is waited for without a bound.
#![cfg(feature = "ssr")]

mod server;

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use server::{App, Play, SESSION, StandIn, closed, eventually, patiently};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn open_sockets_get_1001_and_the_end_waits_for_them() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let mut pairs = Vec::new();
    for _ in 0..20 {
        pairs.push(app.pair(&mut directus).await);
    }
    let ended = patiently("the end", app.server.shutdown());
    let heard = async {
        for (visitor, upstream) in &mut pairs {
            assert_eq!(closed(visitor).await, (1001, "this server is going away".to_owned()));
            // The answer to the close frame goes out.
            while let Some(Ok(_)) = visitor.next().await {}
            assert_eq!(closed(upstream).await.0, 1001);
            while let Some(Ok(_)) = upstream.next().await {}
        }
    };
    tokio::join!(ended, heard);
    assert_eq!(app.server.open_sockets(), 0);
}

#[tokio::test]
async fn the_end_without_sockets_is_at_once_and_can_be_asked_for_twice() {
    let directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_shutdown_timeout = Duration::from_secs(600)).await;
    patiently("the end", app.server.shutdown()).await;
    patiently("the end", app.server.shutdown()).await;
}

#[tokio::test]
async fn a_visitor_that_does_not_answer_holds_the_end_up_for_the_configured_time_only() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_shutdown_timeout = Duration::from_millis(100)).await;
    let (_deaf, _upstream) = app.pair(&mut directus).await;
    let started = Instant::now();
    app.server.shutdown().await;
    assert!(started.elapsed() >= Duration::from_millis(100), "it did not wait at all");
    // The answer to a close frame has five.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    // And later it is gone all the same: the answer to a close frame is not waited for without a bound either.
    app.empty().await;
}

#[tokio::test]
async fn nobody_new_comes_in_while_the_others_leave() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let (mut visitor, _upstream) = app.pair(&mut directus).await;
    let server = app.server.clone();
    let ending = tokio::spawn(async move { server.shutdown().await });
    assert_eq!(closed(&mut visitor).await.0, 1001);
    for upgrade in [app.upgrade(), app.upgrade().header("cookie", SESSION)] {
        let refused = upgrade.refused().await;
        assert_eq!((refused.status, refused.code()), (503, "SHUTTING_DOWN"));
        assert!(refused.head.get("retry-after").is_some());
    }
    assert_eq!(app.verdict(&[]).await.code(), "SHUTTING_DOWN");
    directus.assert_untouched();
    ending.abort();
}

#[tokio::test]
async fn a_socket_that_was_just_being_opened_is_ended_too() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let upgrade = app.upgrade().header("cookie", SESSION).send().await;
    let asked = directus.asked().await;
    let server = app.server.clone();
    let ending = tokio::spawn(async move { server.shutdown().await });
    eventually("the end to begin", async || match app.upgrade().refused().await.code() {
        "SHUTTING_DOWN" => Ok(()),
        other => Err(other.to_owned()),
    })
    .await;
    let mut upstream = asked.accept().await;
    let mut visitor = server::opened(upgrade).await;
    assert_eq!(closed(&mut visitor).await.0, 1001);
    assert_eq!(closed(&mut upstream).await.0, 1001);
    drop((visitor, upstream));
    patiently("the end", ending).await.unwrap();
}

#[tokio::test]
async fn a_visitor_that_is_being_flooded_is_ended_too() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_shutdown_timeout = Duration::from_millis(100)).await;
    let (visitor, mut upstream) = app.pair(&mut directus).await;
    let flood = tokio::spawn(async move { while upstream.send(Message::binary(vec![0; 64 << 10])).await.is_ok() {} });
    patiently("the end", app.server.shutdown()).await;
    // The visitor still reads nothing, and is not waited for.
    patiently("the flood to end", flood).await.unwrap();
    app.empty().await;
    drop(visitor);
}
