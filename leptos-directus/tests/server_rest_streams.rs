//! `/directus/…`: bodies stream both ways, and one that stalls or breaks off is not taken for whole.
#![cfg(feature = "ssr")]

mod server;

use std::{io, time::Duration};

use futures::channel::mpsc;
use reqwest::Body;
use serde_json::Value;
use server::{App, Play, SESSION, StandIn, client, patiently};

const SHORT: Duration = Duration::from_secs(1);

fn upload(app: &App) -> reqwest::RequestBuilder {
    client().post(format!("{}/directus/files", app.origin())).header("origin", app.origin()).header("cookie", SESSION)
}

fn download(app: &App) -> reqwest::RequestBuilder {
    client().get(format!("{}/directus/assets/1", app.origin())).header("cookie", SESSION)
}

async fn code(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let errors: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, errors["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_upload_arrives_chunk_by_chunk_while_it_is_sent() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let (chunks, body) = mpsc::unbounded::<Result<Vec<u8>, io::Error>>();
    let sending = tokio::spawn(upload(&app).body(Body::wrap_stream(body)).send());
    let mut asked = directus.asked().await;
    for number in 0..50_u8 {
        chunks.unbounded_send(Ok(vec![number; 1000])).unwrap();
        // The next one is only sent when this one is there: nothing collects them.
        assert_eq!(asked.chunk().await, vec![number; 1000]);
    }
    drop(chunks);
    assert!(asked.chunk().await.is_empty());
    asked.answer("200 OK", "", "stored").await;
    assert_eq!(sending.await.unwrap().unwrap().text().await.unwrap(), "stored");
}

#[tokio::test]
async fn a_download_arrives_chunk_by_chunk_while_it_is_sent() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let sending = tokio::spawn(download(&app).send());
    let mut asked = directus.asked().await;
    asked.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut response = patiently("the head", sending).await.unwrap().unwrap();
    for number in 0..50 {
        let chunk = format!("chunk {number:04}");
        asked.write(format!("a\r\n{chunk}\r\n")).await;
        let received = patiently("the chunk", response.chunk()).await.unwrap().unwrap();
        assert_eq!(received, chunk.as_bytes());
    }
    asked.write("0\r\n\r\n").await;
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn large_bodies_pass_whole_both_ways() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let large: Vec<u8> = (0..20_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sending = tokio::spawn(upload(&app).body(large.clone()).send());
    let mut asked = directus.asked().await;
    assert_eq!(asked.head.get("content-length"), Some(large.len().to_string().as_str()));
    let body = asked.body().await;
    assert!(body == large, "{} of {} bytes, or others", body.len(), large.len());
    asked.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    let writing = tokio::spawn(async move { asked.write(body).await });
    let response = patiently("the answer", sending).await.unwrap().unwrap();
    assert_eq!(response.headers()["content-length"], large.len().to_string().as_str());
    assert!(patiently("the body", response.bytes()).await.unwrap() == large);
    writing.await.unwrap();
}

#[tokio::test]
async fn a_slow_upload_is_no_silent_directus() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::with(&directus, |config| config.directus_timeout = SHORT).await;
    let (chunks, body) = mpsc::unbounded::<Result<Vec<u8>, io::Error>>();
    let sending = tokio::spawn(upload(&app).body(Body::wrap_stream(body)).send());
    let mut asked = directus.asked().await;
    // Twice as long as Directus may be silent, with a sign of life in each tick.
    let mut ticks = tokio::time::interval(Duration::from_millis(40));
    for number in 0..50_u8 {
        ticks.tick().await;
        chunks.unbounded_send(Ok(vec![number])).unwrap();
        assert_eq!(asked.chunk().await, vec![number]);
    }
    drop(chunks);
    assert!(asked.chunk().await.is_empty());
    asked.answer("200 OK", "", "stored").await;
    assert_eq!(sending.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_directus_that_never_answers_is_a_504_and_is_let_go() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::with(&directus, |config| config.directus_timeout = SHORT).await;
    for request in [download(&app), upload(&app).body("{}")] {
        let (response, mut asked) = tokio::join!(request.send(), directus.asked());
        assert_eq!(code(response.unwrap()).await, (504, "UPSTREAM_TIMEOUT".to_owned()));
        asked.gone().await;
    }
}

#[tokio::test]
async fn an_answer_that_stalls_or_breaks_off_is_not_taken_for_whole() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::with(&directus, |config| config.directus_timeout = SHORT).await;
    for (head, chunk) in [("Content-Length: 1000", "x"), ("Transfer-Encoding: chunked", "1\r\nx\r\n")] {
        for is_silent in [true, false] {
            let sending = tokio::spawn(download(&app).send());
            let mut asked = directus.asked().await;
            asked.write(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{chunk}")).await;
            let mut response = patiently("the head", sending).await.unwrap().unwrap();
            assert_eq!(response.chunk().await.unwrap().unwrap(), "x");
            if is_silent {
                assert!(patiently("the end", response.chunk()).await.is_err(), "{head}, silent");
                asked.gone().await;
            } else {
                drop(asked);
                assert!(patiently("the end", response.chunk()).await.is_err(), "{head}, broken off");
            }
        }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_taken_for_whole() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let (chunks, body) = mpsc::unbounded::<Result<Vec<u8>, io::Error>>();
    let sending = tokio::spawn(upload(&app).body(Body::wrap_stream(body)).send());
    let mut asked = directus.asked().await;
    chunks.unbounded_send(Ok(b"half".to_vec())).unwrap();
    assert_eq!(asked.chunk().await, b"half");
    sending.abort();
    // No last chunk: the connection is cut instead.
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut asked.stream, &mut rest);
    let _ = patiently("the connection to be cut", read).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_is_passed_on() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let (chunks, body) = mpsc::unbounded::<Result<Vec<u8>, io::Error>>();
    let sending = tokio::spawn(upload(&app).body(Body::wrap_stream(body)).send());
    let mut asked = directus.asked().await;
    chunks.unbounded_send(Ok(b"too much".to_vec())).unwrap();
    asked.chunk().await;
    asked.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    assert_eq!(patiently("the answer", sending).await.unwrap().unwrap().status(), 413);
}

#[tokio::test]
async fn a_visitor_that_leaves_ends_what_directus_is_asked_for() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    // Before the answer begins, and within it.
    let waiting = tokio::spawn(download(&app).send());
    let mut asked = directus.asked().await;
    waiting.abort();
    asked.gone().await;
    let sending = tokio::spawn(download(&app).send());
    let mut asked = directus.asked().await;
    asked.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx").await;
    let mut response = patiently("the head", sending).await.unwrap().unwrap();
    response.chunk().await.unwrap();
    drop(response);
    asked.gone().await;
}

#[tokio::test]
async fn a_visitor_that_does_not_read_stalls_directus() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let sending = tokio::spawn(download(&app).send());
    let mut asked = directus.asked().await;
    const CHUNK: usize = 64 << 10;
    const COUNT: usize = 1024;
    asked.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", CHUNK * COUNT)).await;
    let response = patiently("the head", sending).await.unwrap().unwrap();
    let (progress, mut written) = tokio::sync::watch::channel(0);
    let writer = tokio::spawn(async move {
        for number in 0..COUNT {
            tokio::io::AsyncWriteExt::write_all(&mut asked.stream, &[number as u8; CHUNK]).await.unwrap();
            progress.send_replace(number + 1);
        }
    });
    let moves = async { while let Ok(Ok(())) = tokio::time::timeout(SHORT * 5, written.changed()).await {} };
    patiently("the writer to stall", moves).await;
    let before = *written.borrow();
    assert!(before * CHUNK < 32 << 20, "{before} of {COUNT} chunks were taken although nobody reads");
    let body = patiently("the body", response.bytes()).await.unwrap();
    assert!(body.chunks(CHUNK).enumerate().all(|(number, chunk)| chunk.iter().all(|byte| *byte == number as u8)));
    assert_eq!(body.len(), CHUNK * COUNT);
    writer.await.unwrap();
}
