//! What must not be seen is not seen: not in logs, not in `Debug`, not in what is answered.
#![cfg(feature = "ssr")]

mod server;

use futures::SinkExt;
use server::{Answer, App, Log, Play, StandIn, client, next, opened, text};

const SECRETS: [&str; 6] = [
    "s3cret.session.token",
    "s3cret.query.token",
    "s3cret.bearer",
    "s3cret-password",
    "s3cret-reason",
    "s3cret-filter",
];

#[track_caller]
fn assert_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {what}:\n{text}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_or_debugged() {
    let (log, _guard) = Log::capture();
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::with(&directus, |config| config.directus_allow_client_auth = true).await;
    let upgrade = || {
        app.upgrade()
            .target("/directus-ws?access_token=s3cret.query.token")
            .header("cookie", "directus_session_token=s3cret.session.token")
            .header("authorization", "Bearer s3cret.bearer")
    };
    // A whole life of a socket, with a reason that is the peer's own text.
    let stream = upgrade().send().await;
    let mut upstream = directus.asked().await.accept().await;
    let mut visitor = opened(stream).await;
    visitor.send(text(r#"{"type":"auth","email":"a@example.com","password":"s3cret-password"}"#)).await.unwrap();
    next(&mut upstream).await;
    let reason = Some(tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 4000.into(),
        reason: "s3cret-reason".into(),
    });
    upstream.close(reason).await.unwrap();
    server::closed(&mut visitor).await;
    drop((visitor, upstream));
    app.empty().await;
    // Refusals.
    for status in ["403 s3cret-reason", "500 s3cret-reason", "599 s3cret-reason"] {
        let mut stream = upgrade().send().await;
        directus.asked().await.answer(status, "X-Why: s3cret-reason\r\n", "s3cret-reason").await;
        let refused = Answer::read(&mut stream).await;
        assert_no_secret("an answer", &format!("{refused:?}"));
    }
    // Requests, good and failed.
    for is_answered in [true, false] {
        let request = client()
            .post(format!("{}/directus/auth/login?access_token=s3cret.query.token&filter=s3cret-filter", app.origin()))
            .header("origin", app.origin())
            .header("cookie", "directus_session_token=s3cret.session.token")
            .bearer_auth("s3cret.bearer")
            .body(r#"{"password":"s3cret-password"}"#)
            .send();
        let answer = async {
            let mut asked = directus.asked().await;
            asked.body().await;
            if is_answered {
                let cookie = "Set-Cookie: directus_session_token=s3cret.session.token; HttpOnly\r\n";
                asked.answer("200 OK", cookie, "{}").await;
            }
        };
        let (answer, ()) = tokio::join!(request, answer);
        let status = answer.unwrap().status().as_u16();
        assert_eq!(status, if is_answered { 200 } else { 502 });
    }
    let logged = log.text();
    for expected in ["socket opens", "socket closed", "Directus closed (4000)"] {
        assert!(logged.contains(expected), "{expected} is not logged:\n{logged}");
    }
    let ours: String = logged.lines().filter(|line| line.contains("leptos_directus")).collect();
    assert!(!ours.is_empty());
    assert_no_secret("the log", &ours);
    assert_no_secret("Debug", &format!("{:?}", app.server));
}
