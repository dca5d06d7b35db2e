//! Who gets a socket at `/directus-ws`, as whom, and what is said to those who do not.
#![cfg(feature = "ssr")]

mod server;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use leptos_directus::server::ModeSetting;
use serde_json::json;
use server::{Answer, App, Play, SESSION, StandIn, eventually, next, opened, patiently, text};
use tokio::net::TcpStream;

const STALE: &str = "directus_session_token=stale.session.token";

#[tokio::test]
async fn the_socket_is_at_exactly_its_path() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    for target in
        ["/directus-ws/", "/directus-ws/x", "/directus-wsx", "//directus-ws", "/Directus-ws", "/x/directus-ws"]
    {
        let answer = app.upgrade().target(target).refused().await;
        assert_eq!(answer.status, 404, "{target}");
    }
    directus.assert_untouched();
    app.upgrade().target("/directus-ws?page=1").open().await;
}

#[tokio::test]
async fn the_path_can_be_another_one() {
    let directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_socket_path = "/live/socket".into()).await;
    app.upgrade().target("/live/socket").open().await;
    assert_eq!(app.upgrade().refused().await.status, 404);
}

#[tokio::test]
async fn a_foreign_page_is_refused_before_directus_is_asked() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let port = app.address.port();
    for origin in [
        "https://evil.example".to_owned(),
        format!("https://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://127.0.0.1.evil.example:{port}"),
        format!("http://evil-127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{port}0"),
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{port}@evil.example"),
        format!("http://127.0.0.1:{port}/"),
        "null".to_owned(),
        String::new(),
    ] {
        for session in [None, Some(SESSION)] {
            let mut upgrade = app.upgrade().origin(Some(&origin));
            if let Some(session) = session {
                upgrade = upgrade.header("cookie", session);
            }
            let answer = upgrade.refused().await;
            assert_eq!((answer.status, answer.code()), (403, "ORIGIN_REFUSED"), "{origin}");
        }
        let verdict = app.verdict(&[("origin", &origin)]).await;
        assert_eq!((verdict.json["status"].as_u64(), verdict.code()), (Some(403), "ORIGIN_REFUSED"), "{origin}");
    }
    let twice = app.upgrade().header("origin", "https://evil.example").refused().await;
    assert_eq!(twice.status, 403, "two origins are nobody");
    directus.assert_untouched();
}

#[tokio::test]
async fn a_configured_origin_is_let_in() {
    let directus = StandIn::new(Play::Public).await;
    let app =
        App::with(&directus, |config| config.directus_allowed_origins = vec!["https://desk.example".into()]).await;
    app.upgrade().origin(Some("https://desk.example")).open().await;
    app.upgrade().open().await;
    assert_eq!(app.upgrade().origin(Some("https://desk.example.evil.example")).refused().await.status, 403);
}

#[tokio::test]
async fn a_missing_origin_is_let_in_without_a_session_and_refused_with_one() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let answer = app.upgrade().origin(None).header("cookie", SESSION).refused().await;
    assert_eq!((answer.status, answer.code()), (403, "ORIGIN_REFUSED"));
    directus.assert_untouched();
    app.upgrade().origin(None).open().await;
    app.upgrade().origin(None).header("cookie", "theme=dark").open().await;

    let lenient = App::with(&directus, |config| config.directus_allow_missing_origin = true).await;
    lenient.upgrade().origin(None).header("cookie", SESSION).open().await;
}

#[tokio::test]
async fn directus_is_told_of_the_visitor_the_session_and_nothing_else() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let cookies = format!("theme=dark; {SESSION}; directus_refresh_token=refresh; app_session=ours");
    app.upgrade()
        .header("cookie", &cookies)
        .header("user-agent", "A browser")
        .header("authorization", "Bearer token")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-secret", "secret")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("sec-websocket-protocol", "graphql-transport-ws")
        .open()
        .await;
    let (head, _) = directus.socket().await;
    assert_eq!(head.first, "GET /websocket HTTP/1.1");
    assert_eq!(head.get("cookie"), Some(SESSION));
    assert_eq!(head.get("user-agent"), Some("A browser"));
    assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.get("x-forwarded-host"), Some(app.address.to_string().as_str()));
    assert_eq!(head.get("host"), directus.url().strip_prefix("http://"));
    let names = [
        "connection",
        "cookie",
        "host",
        "sec-websocket-key",
        "sec-websocket-version",
        "upgrade",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    ];
    assert_eq!(head.names(), names);
}

#[tokio::test]
async fn a_visitor_without_a_session_is_anonymous_whatever_other_cookies_it_has() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    app.upgrade().header("cookie", "directus_refresh_token=refresh; app_session=ours").open().await;
    let (head, _) = directus.socket().await;
    assert_eq!(head.get("cookie"), None);
}

#[tokio::test]
async fn a_token_in_the_query_is_dropped() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    app.upgrade().target("/directus-ws?access_token=stolen&page=1").open().await;
    let (head, _) = directus.socket().await;
    assert_eq!(head.first, "GET /websocket HTTP/1.1");
}

#[tokio::test]
async fn a_stale_session_falls_back_to_what_anybody_may_see() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    app.upgrade().header("cookie", STALE).open().await;
    let (head, _) = directus.socket().await;
    assert_eq!(head.get("cookie"), None);
    let verdict = app.verdict(&[("origin", &app.origin()), ("cookie", STALE)]).await;
    assert_eq!(verdict.json["identity"], "anonymous");
    assert_eq!(verdict.json["session_dropped"], true);
}

#[tokio::test]
async fn a_stale_session_where_nobody_is_anonymous_is_told_to_log_in() {
    for play in [Play::Handshake, Play::Strict] {
        let directus = StandIn::new(play).await;
        let app = App::new(&directus).await;
        let answer = app.upgrade().header("cookie", STALE).refused().await;
        assert_eq!((answer.status, answer.code()), (401, "AUTH_REQUIRED"), "{play:?}");
        assert_eq!(answer.json["session_dropped"], true);
        assert!(answer.json["message"].as_str().unwrap().contains("expired"), "{answer:?}");
        app.empty().await;
    }
}

/// What an upgrade and a plain `GET` say in one of Directus's modes.
#[tokio::test]
async fn each_mode_lets_in_whom_it_lets_in_and_says_so() {
    for (play, name) in [(Play::Public, "public"), (Play::Handshake, "handshake"), (Play::Strict, "strict")] {
        let mut directus = StandIn::new(play).await;
        let app = App::new(&directus).await;
        app.upgrade().header("cookie", SESSION).open().await;
        assert_eq!(directus.socket().await.0.get("cookie"), Some(SESSION), "{name}");
        let verdict = app.verdict(&[("origin", &app.origin()), ("cookie", SESSION)]).await;
        assert_eq!(verdict.status, 200);
        assert_eq!(verdict.head.get("cache-control"), Some("no-store"));
        assert_eq!(
            verdict.json,
            json!({ "admitted": true, "status": 101, "code": "OK", "mode": name, "identity": "session",
                    "session_dropped": false, "message": "The socket opens as the logged-in user." })
        );
        // It was opened to see whether it would, and is let go.
        assert_eq!(server::closed(&mut directus.socket().await.1).await.0, 1005, "{name}");

        let verdict = app.verdict(&[("origin", &app.origin())]).await;
        assert_eq!((verdict.status, verdict.json["mode"].as_str()), (200, Some(name)));
        if play == Play::Public {
            directus.socket().await;
            app.upgrade().open().await;
            directus.socket().await;
            assert_eq!(verdict.json["identity"], "anonymous");
            assert_eq!(verdict.json["admitted"], true);
        } else {
            let answer = app.upgrade().refused().await;
            assert_eq!((answer.status, answer.code()), (401, "AUTH_REQUIRED"), "{name}");
            assert_eq!(answer.json, verdict.json, "the plain GET says what the upgrade says");
            let message = answer.json["message"].as_str().unwrap();
            assert!(message.contains(name) && message.contains("WEBSOCKETS_REST_AUTH"), "{message}");
        }
        app.empty().await;
    }
}

#[tokio::test]
async fn a_handshake_is_the_clients_own_where_auth_frames_are_allowed() {
    let mut directus = StandIn::new(Play::Handshake).await;
    let app = App::with(&directus, |config| config.directus_allow_client_auth = true).await;
    let mut visitor = app.upgrade().open().await;
    let (_, mut upstream) = directus.socket().await;
    let auth = text(r#"{"type":"auth","access_token":"token"}"#);
    visitor.send(auth.clone()).await.unwrap();
    assert_eq!(next(&mut upstream).await, auth);
}

#[tokio::test]
async fn a_configured_mode_that_is_not_directuss_is_a_clear_error() {
    let modes = [
        (ModeSetting::Public, Play::Public, "public"),
        (ModeSetting::Handshake, Play::Handshake, "handshake"),
        (ModeSetting::Strict, Play::Strict, "strict"),
    ];
    for (setting, _, configured) in modes {
        for (_, play, found) in modes {
            let directus = StandIn::new(play).await;
            let app = App::with(&directus, |config| config.directus_mode = setting).await;
            if configured == found {
                app.upgrade().header("cookie", SESSION).open().await;
                continue;
            }
            for cookie in [SESSION, "theme=dark"] {
                let answer = app.upgrade().header("cookie", cookie).refused().await;
                assert_eq!((answer.status, answer.code()), (502, "MODE_MISMATCH"), "{configured} {found}");
                let message = answer.json["message"].as_str().unwrap();
                assert!(message.contains(&format!("DIRECTUS_MODE={found}")), "{message}");
                assert!(message.contains(&format!("WEBSOCKETS_REST_AUTH={configured}")), "{message}");
            }
            app.empty().await;
        }
    }
}

/// An upgrade and a plain `GET` of a logged-in visitor, each answered by the test: both say the same, and no 101.
async fn refusals(app: &App, directus: &mut StandIn, answer: impl AsyncFn(server::Asked)) -> Answer {
    let mut upgrade = app.upgrade().header("cookie", SESSION).send().await;
    answer(directus.asked().await).await;
    let refused = Answer::read(&mut upgrade).await;
    assert_ne!(refused.status, 101);
    let origin = app.origin();
    let cookies = [("origin", origin.as_str()), ("cookie", SESSION)];
    let (verdict, ()) = tokio::join!(app.verdict(&cookies), async { answer(directus.asked().await).await });
    assert_eq!(verdict.status, 200, "a verdict can always be read");
    assert_eq!(verdict.json, refused.json);
    assert_eq!(refused.json["admitted"], false);
    assert_eq!(refused.json["status"], refused.status);
    assert!(!refused.json["message"].as_str().unwrap().is_empty());
    app.empty().await;
    refused
}

#[tokio::test]
async fn directuss_refusal_is_passed_on_as_a_status_with_its_cause() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    for (theirs, ours, code) in [
        ("403 Forbidden", 403, "UPSTREAM_FORBIDDEN"),
        ("404 Not Found", 502, "WEBSOCKETS_DISABLED"),
        ("429 Too Many Requests", 429, "LIMIT"),
        ("503 Service Unavailable", 503, "UPSTREAM_UNAVAILABLE"),
        ("500 Internal Server Error", 502, "UPSTREAM_ERROR"),
        ("200 OK", 502, "UPSTREAM_ERROR"),
    ] {
        let refused = refusals(&app, &mut directus, async |asked| asked.refuse(theirs).await).await;
        assert_eq!((refused.status, refused.code()), (ours, code), "{theirs}");
    }
    let busy = async |asked: server::Asked| asked.answer("503 Service Unavailable", "Retry-After: 7\r\n", "").await;
    let refused = refusals(&app, &mut directus, busy).await;
    assert_eq!(refused.head.get("retry-after"), Some("7"));
    // Whatever else is said in Directus's name stays there.
    assert_eq!(refused.head.names(), ["cache-control", "content-length", "content-type", "date", "retry-after"]);
}

#[tokio::test]
async fn what_is_no_websocket_server_is_told_from_one_that_is_not_there() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let refused = refusals(&app, &mut directus, async |mut asked| asked.write("SSH-2.0-x\r\n\r\n").await).await;
    assert_eq!((refused.status, refused.code()), (502, "UPSTREAM_ERROR"));
    let refused = refusals(&app, &mut directus, async |asked| drop(asked)).await;
    assert_eq!((refused.status, refused.code()), (502, "UPSTREAM_UNREACHABLE"));
}

#[tokio::test]
async fn a_directus_that_is_not_there_is_a_502_for_everybody() {
    // Nobody listens on a port that was just given back.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let app = App::at(&format!("http://127.0.0.1:{port}"), |_| {}).await;
    for upgrade in [app.upgrade(), app.upgrade().header("cookie", SESSION)] {
        let refused = upgrade.refused().await;
        assert_eq!((refused.status, refused.code()), (502, "UPSTREAM_UNREACHABLE"));
        assert!(refused.json["message"].as_str().unwrap().contains("DIRECTUS_URL"));
    }
    let verdict = app.verdict(&[]).await;
    assert_eq!((verdict.status, verdict.code()), (200, "UPSTREAM_UNREACHABLE"));
    app.empty().await;
}

#[tokio::test]
async fn a_directus_that_never_answers_is_given_up_in_time() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::with(&directus, |config| config.directus_connect_timeout = Duration::from_millis(100)).await;
    let refused = refusals(&app, &mut directus, async |mut asked| asked.gone().await).await;
    assert_eq!((refused.status, refused.code()), (504, "UPSTREAM_TIMEOUT"));
    assert!(refused.json["message"].as_str().unwrap().contains("DIRECTUS_WS_PATH"));
}

#[tokio::test]
async fn a_mode_is_found_out_anew_after_directus_came_back_as_another() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let first = app.upgrade().send().await;
    let pong = async |directus: &mut StandIn| {
        let asked = directus.asked().await;
        assert!(asked.is_probe());
        let mut probe = asked.accept().await;
        next(&mut probe).await;
        probe.send(text(r#"{"type":"pong"}"#)).await.unwrap();
    };
    pong(&mut directus).await;
    let upstream = directus.asked().await.accept().await;
    let mut visitor = opened(first).await;
    // Directus dies, and is `strict` when it comes back.
    drop(upstream);
    assert_eq!(server::closed(&mut visitor).await.0, 1012);
    drop(visitor);
    app.empty().await;
    let mut second = app.upgrade().send().await;
    let asked = directus.asked().await;
    assert!(asked.is_probe(), "what was known is in doubt");
    asked.refuse("401 Unauthorized").await;
    let refused = Answer::read(&mut second).await;
    assert_eq!((refused.status, refused.json["mode"].as_str()), (401, Some("strict")));
}

#[tokio::test]
async fn a_crowd_is_served_by_one_probe() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(app.upgrade().send().await);
    }
    let asked = directus.asked().await;
    assert!(asked.is_probe());
    asked.refuse("401 Unauthorized").await;
    for stream in &mut crowd {
        assert_eq!(Answer::read(stream).await.status, 401);
    }
    directus.assert_untouched();
}

#[tokio::test]
async fn more_sockets_than_configured_are_refused_until_one_has_gone() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, |config| config.directus_max_sockets = 2).await;
    let (first, second) = (app.pair(&mut directus).await, app.pair(&mut directus).await);
    assert_eq!(app.server.open_sockets(), 2);
    let refused = app.upgrade().refused().await;
    assert_eq!((refused.status, refused.code()), (503, "LIMIT"));
    assert!(refused.head.get("retry-after").is_some());
    assert_eq!(app.verdict(&[]).await.code(), "LIMIT");
    directus.assert_untouched();
    drop(first);
    eventually("the place to be free", async || match app.server.open_sockets() {
        1 => Ok(()),
        open => Err(open),
    })
    .await;
    app.upgrade().open().await;
    drop(second);
}

#[tokio::test]
async fn an_upgrade_that_is_none_is_told_what_it_lacks() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let ask = async |head: &str| {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let head = format!("{head}\r\nHost: {}\r\nUpgrade: websocket\r\n\r\n", app.address);
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
        Answer::read(&mut stream).await
    };
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let version = "Sec-WebSocket-Version: 13";
    let get = "GET /directus-ws HTTP/1.1\r\nConnection: Upgrade";
    let answer = ask(&format!("POST /directus-ws HTTP/1.1\r\nConnection: Upgrade\r\n{version}\r\n{KEY}")).await;
    assert_eq!((answer.status, answer.head.get("allow")), (405, Some("GET")));
    let answer = ask(&format!("{get}\r\nSec-WebSocket-Version: 8\r\n{KEY}")).await;
    assert_eq!((answer.status, answer.head.get("sec-websocket-version")), (426, Some("13")));
    for wrong in [
        format!("GET /directus-ws HTTP/1.1\r\n{version}\r\n{KEY}"),
        format!("{get}\r\n{version}"),
        format!("{get}\r\n{version}\r\nSec-WebSocket-Key: short"),
        format!("{get}\r\n{version}\r\n{KEY}\r\n{KEY}"),
    ] {
        let answer = ask(&wrong).await;
        assert_eq!((answer.status, answer.code()), (400, "BAD_UPGRADE"), "{wrong}");
    }
    directus.assert_untouched();
    app.empty().await;
}

#[tokio::test]
async fn a_flood_of_failures_leaves_nothing_behind() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::with(&directus, |config| config.directus_max_sockets = 40).await;
    for round in 0..10 {
        // Refused by Directus.
        let mut refused = app.upgrade().header("cookie", SESSION).send().await;
        directus.asked().await.refuse("403 Forbidden").await;
        assert_eq!(Answer::read(&mut refused).await.status, 403, "round {round}");
        // Refused by us.
        app.upgrade().origin(Some("https://evil.example")).refused().await;
        // Broken off by Directus.
        let mut broken = app.upgrade().header("cookie", SESSION).send().await;
        drop(directus.asked().await);
        assert_eq!(Answer::read(&mut broken).await.status, 502, "round {round}");
        // Left by the visitor while Directus still thinks.
        let left = app.upgrade().header("cookie", SESSION).send().await;
        let mut thinking = directus.asked().await;
        drop(left);
        thinking.gone().await;
        // Left by the visitor when Directus has just agreed.
        let left = app.upgrade().header("cookie", SESSION).send().await;
        let asked = directus.asked().await;
        drop(left);
        let mut upstream = asked.accept().await;
        patiently("the upstream to be let go", async { while let Some(Ok(_)) = upstream.next().await {} }).await;
    }
    app.empty().await;
    directus.assert_untouched();
    // All forty places are free.
    let mut full = Vec::new();
    for _ in 0..40 {
        let visitor = app.upgrade().header("cookie", SESSION).send().await;
        let upstream = directus.asked().await.accept().await;
        full.push((opened(visitor).await, upstream));
    }
    assert_eq!(app.upgrade().header("cookie", SESSION).refused().await.code(), "LIMIT");
}
