//! The program in front of the real Directus, in each of its three modes.
#![cfg(unix)]

mod program;
#[path = "../../leptos-directus/tests/real/mod.rs"]
mod real;

use std::time::Duration;

use program::{Door, Program, run, within};
use real::{Admin, eventually};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Directus in each mode, and how `cargo xtask test directus` names it.
const MODES: [(&str, &str); 3] = [
    ("public", "DIRECTUS_TEST_URL"),
    ("handshake", "DIRECTUS_TEST_URL_HANDSHAKE"),
    ("strict", "DIRECTUS_TEST_URL_STRICT"),
];

/// The administrator of the Directus that runs in `mode`.
fn admin(mode: &str) -> Admin {
    let (_, variable) = MODES.into_iter().find(|(name, _)| *name == mode).unwrap();
    let mut admin = Admin::new();
    admin.url = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: `cargo xtask test directus` starts that Directus and sets it")
    });
    admin
}

/// A post, by its key; whoever makes one removes it.
async fn create_post(admin: &Admin, title: &str, status: &str) -> Value {
    let post = json!({ "title": title, "status": status, "body": "Written by a test." });
    admin.ok("POST", "/items/posts", Some(post)).await["id"].take()
}

async fn delete_post(admin: &Admin, id: &Value) {
    admin.ok("DELETE", &format!("/items/posts/{id}"), None).await;
}

/// Other tests write posts at the same time: only this one is waited for.
fn is_event(uid: &str, event: &str, data: Value) -> impl Fn(&Value) -> bool {
    move |frame| frame["uid"] == uid && frame["event"] == event && frame["data"] == data
}

#[tokio::test]
async fn a_logged_in_visitor_s_socket_is_theirs_in_all_three_modes() {
    for (mode, _) in MODES {
        let admin = admin(mode);
        let server = Program::start(&admin.url, &[]).await;
        let session = server.ada().await;
        let mut socket = server.socket(Some(&session)).await.unwrap_or_else(|refusal| panic!("{mode}: {refusal:?}"));
        // Only who has logged in may read users.
        let users = socket.subscribe("directus_users", "users", &["id"]).await;
        assert_eq!(users["event"], "init", "{mode}: {users}");
        let posts = socket.subscribe("posts", "posts", &["id", "title"]).await;
        assert_eq!(posts["event"], "init", "{mode}: {posts}");
        let id = create_post(&admin, &format!("Seen in mode {mode}"), "published").await;
        let row = json!([{ "id": id, "title": format!("Seen in mode {mode}") }]);
        socket.frame("the post", is_event("posts", "create", row)).await;
        delete_post(&admin, &id).await;
        socket.frame("its end", is_event("posts", "delete", json!([id.to_string()]))).await;

        let (status, verdict) = server.send("GET", "/directus-ws", Some(&session), None).await;
        assert_eq!(status, 200);
        assert_eq!(
            (&verdict["admitted"], &verdict["identity"], &verdict["mode"]),
            (&json!(true), &json!("session"), &json!(mode))
        );
        let secret = session.split('=').nth(1).unwrap();
        assert!(!server.log().contains(secret), "the session is in the log:\n{server:?}");
    }
}

#[tokio::test]
async fn an_anonymous_visitor_gets_a_socket_in_mode_public_and_a_cause_in_the_others() {
    for (mode, _) in MODES {
        let admin = admin(mode);
        let server = Program::start(&admin.url, &[]).await;
        let (status, verdict) = server.send("GET", "/directus-ws", None, None).await;
        assert_eq!((status, &verdict["mode"], &verdict["identity"]), (200, &json!(mode), &json!("anonymous")));
        match server.socket(None).await {
            Ok(mut socket) => {
                assert_eq!((mode, &verdict["admitted"]), ("public", &json!(true)));
                let posts = socket.subscribe("posts", "posts", &["id"]).await;
                assert_eq!(posts["event"], "init", "{posts}");
                let users = socket.subscribe("directus_users", "users", &["id"]).await;
                assert_eq!(users["error"]["code"], "FORBIDDEN", "{users}");
                let id = create_post(&admin, "Seen by anybody", "published").await;
                socket.frame("the post", is_event("posts", "create", json!([{ "id": id }]))).await;
                delete_post(&admin, &id).await;
            }
            Err((status, refusal)) => {
                assert_ne!(mode, "public", "{refusal}");
                assert_eq!((status, &refusal["code"]), (401, &json!("AUTH_REQUIRED")));
                assert_eq!(refusal, verdict, "the plain GET says what the upgrade says");
                assert!(refusal["message"].as_str().unwrap().contains(mode), "{refusal}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_has_ended_falls_back_to_what_anybody_may_see() {
    for (mode, _) in MODES {
        let admin = admin(mode);
        let server = Program::start(&admin.url, &[]).await;
        let session = server.ada().await;
        let (status, me) = server.send("GET", "/directus/users/me?fields=first_name", Some(&session), None).await;
        assert_eq!((status, &me["data"]["first_name"]), (200, &json!("Ada")), "{mode}");
        let logout = Some(json!({ "mode": "session" }));
        let (status, answer) = server.send("POST", "/directus/auth/logout", Some(&session), logout).await;
        assert_eq!(status, 204, "{answer}");

        let (status, _) = server.send("GET", "/directus/users/me", Some(&session), None).await;
        assert_eq!(status, 401, "{mode}");
        let (status, posts) = server.send("GET", "/directus/items/posts?limit=1", Some(&session), None).await;
        assert_eq!((status, posts["data"].as_array().map(Vec::len)), (200, Some(1)), "{mode}");
        let me = server.page("/me", Some(&session), 200).await;
        assert!(me.contains("You are not logged in"), "{mode}: {me}");
        let (_, verdict) = server.send("GET", "/directus-ws", Some(&session), None).await;
        assert_eq!(verdict["session_dropped"], true, "{mode}: {verdict}");
        match server.socket(Some(&session)).await {
            Ok(mut socket) => {
                assert_eq!(mode, "public");
                assert_eq!(socket.subscribe("posts", "posts", &["id"]).await["event"], "init");
                let users = socket.subscribe("directus_users", "users", &["id"]).await;
                assert_eq!(users["error"]["code"], "FORBIDDEN", "{users}");
            }
            Err((status, refusal)) => {
                assert_ne!(mode, "public");
                assert_eq!((status, &refusal["code"]), (401, &json!("AUTH_REQUIRED")));
                assert!(refusal["message"].as_str().unwrap().contains("expired"), "{refusal}");
            }
        }
    }
}

#[tokio::test]
async fn rows_are_in_the_html_as_the_visitor_may_see_them() {
    for (mode, _) in MODES {
        let admin = admin(mode);
        let server = Program::start(&admin.url, &[]).await;
        let shown = create_post(&admin, "A title that a test has published", "published").await;
        let hidden = create_post(&admin, "A title that a test keeps", "draft").await;
        let session = server.ada().await;
        for session in [None, Some(session.as_str())] {
            let html = server.page("/", session, 200).await;
            assert!(html.contains("A title that a test has published"), "{mode}: {html}");
            assert!(html.contains(&format!("/posts/{shown}\"")), "{mode}: {html}");
            assert!(!html.contains("A title that a test keeps"), "{mode}: {html}");
        }
        let me = server.page("/me", Some(&session), 200).await;
        assert!(me.contains("Ada") && !me.contains("You are not logged in"), "{mode}: {me}");
        assert!(!me.contains(session.split('=').nth(1).unwrap()), "the session is in the page");
        let me = server.page("/me", None, 200).await;
        assert!(me.contains("You are not logged in") && !me.contains("Lovelace"), "{mode}: {me}");
        delete_post(&admin, &shown).await;
        delete_post(&admin, &hidden).await;
    }
}

#[tokio::test]
async fn reads_and_writes_pass_as_the_visitor() {
    let admin = admin("public");
    let server = Program::start(&admin.url, &[]).await;
    let session = server.ada().await;
    let post = json!({ "title": "Written through the server", "status": "draft" });
    let (status, refused) = server.send("POST", "/directus/items/posts", None, Some(post.clone())).await;
    assert_eq!((status, &refused["errors"][0]["extensions"]["code"]), (403, &json!("FORBIDDEN")), "the public role");
    let (status, mut created) = server.send("POST", "/directus/items/posts", Some(&session), Some(post)).await;
    assert_eq!(status, 200, "{created}");
    let id = created["data"]["id"].take();
    let query = json!({ "query": { "filter": { "id": { "_eq": id } }, "fields": ["title"] } });
    let (status, found) = server.send("SEARCH", "/directus/items/posts", None, Some(query)).await;
    assert_eq!((status, found), (200, json!({ "data": [{ "title": "Written through the server" }] })));
    let path = format!("/directus/items/posts/{id}?fields=status");
    let (status, changed) = server.send("PATCH", &path, Some(&session), Some(json!({ "status": "review" }))).await;
    assert_eq!((status, changed), (200, json!({ "data": { "status": "review" } })));
    let (status, _) = server.send("DELETE", &format!("/directus/items/posts/{id}"), Some(&session), None).await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn a_server_that_starts_while_directus_is_down_says_so_and_heals() {
    let admin = admin("public");
    let door = Door::to(&admin.url).await;
    let server = Program::start(&door.url, &[]).await;
    let html = server.page("/", None, 200).await;
    assert!(html.contains("the page keeps trying"), "{html}");
    let (status, health) = server.send("GET", "/healthz", None, None).await;
    assert_eq!((status, &health["status"], &health["directus_reachable"]), (200, &json!("ok"), &json!(false)));
    let refusal = server.socket(None).await.unwrap_err();
    assert_eq!((refusal.0, &refusal.1["code"]), (502, &json!("UPSTREAM_UNREACHABLE")));
    let (status, refused) = server.send("GET", "/directus/items/posts", None, None).await;
    assert_eq!((status, &refused["errors"][0]["extensions"]["code"]), (502, &json!("UPSTREAM_UNREACHABLE")));

    door.open();
    let html = server.page("/", None, 200).await;
    let id = create_post(&admin, "Published after the start", "published").await;
    assert!(server.page("/", None, 200).await.contains("Published after the start"));
    delete_post(&admin, &id).await;
    assert!(!html.contains("the page keeps trying"), "{html}");
    let mut socket = eventually("a socket", async || server.socket(None).await).await;
    assert_eq!(socket.subscribe("posts", "posts", &["id"]).await["event"], "init");
    let (_, health) = server.send("GET", "/healthz", None, None).await;
    assert_eq!(health, json!({ "status": "ok", "directus_reachable": true, "open_sockets": 1 }));
}

#[tokio::test]
async fn sigterm_tells_the_sockets_and_ends_the_program_in_bounded_time() {
    let admin = admin("public");
    let mut server = Program::start(&admin.url, &[]).await;
    let session = server.ada().await;
    let mut sockets = Vec::new();
    for session in [None, Some(session.as_str()), None] {
        sockets.push(server.socket(session).await.unwrap());
    }
    let mut deaf = server.socket(None).await.unwrap();
    server.terminate();
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, Some(1001), "{server:?}");
    }
    // One more reads nothing and answers nothing; requests and sockets have ten seconds.
    let status = within(Duration::from_secs(13), "the end", server.ended()).await;
    assert!(status.success(), "{status}: {server:?}");
    assert_eq!(deaf.closed().await, Some(1001));
}

#[tokio::test]
async fn sigterm_without_anybody_there_ends_the_program_at_once() {
    let admin = admin("public");
    let mut server = Program::start(&admin.url, &[]).await;
    server.page("/", None, 200).await;
    server.terminate();
    let status = within(Duration::from_secs(5), "the end", server.ended()).await;
    assert!(status.success(), "{status}: {server:?}");
}

/// A read of posts that has reached `directus`, whose answer is the test's to write.
async fn read_of_posts(directus: &TcpListener) -> TcpStream {
    let (mut stream, _) = directus.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"GET /items/posts HTTP/1.1"), "{}", String::from_utf8_lossy(&head));
    stream
}

#[tokio::test]
async fn sigterm_lets_a_request_finish_whose_answer_has_not_come_or_not_all_of_it() {
    // The real one can't be told when to answer.
    let directus = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", directus.local_addr().unwrap());
    let rows = json!({ "data": (0..10_000).map(|id| json!({ "id": id })).collect::<Vec<_>>() });
    let body = rows.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    for come in [0, answer.len() / 2] {
        let mut server = Program::start(&url, &[]).await;
        let address = server.url.strip_prefix("http://").unwrap().to_owned();
        let held = async {
            let mut read = within(real::PATIENCE, "the read", read_of_posts(&directus)).await;
            let (before, after) = answer.as_bytes().split_at(come);
            read.write_all(before).await.unwrap();
            server.terminate();
            eventually("nobody new to be let in", async || match TcpStream::connect(&address).await {
                Ok(_) => Err("somebody was"),
                Err(_) => Ok(()),
            })
            .await;
            read.write_all(after).await.unwrap();
        };
        let (answered, ()) = tokio::join!(server.send("GET", "/directus/items/posts", None, None), held);
        assert!(answered == (200, rows.clone()), "{come}: {} {:.200}", answered.0, answered.1.to_string());
        // Sooner than it would give up.
        let status = within(Duration::from_secs(5), "the end", server.ended()).await;
        assert!(status.success(), "{status}: {server:?}");
    }
}

#[tokio::test]
async fn a_wrong_setting_stops_the_start_with_its_name() {
    for (name, value) in [
        ("DIRECTUS_URL", "127.0.0.1:8055"),
        ("DIRECTUS_URL", "http://user:s3cret@127.0.0.1"),
        ("DIRECTUS_MODE", "open"),
        ("DIRECTUS_TIMEOUT", "soon"),
        ("DIRECTUS_PING_INTERVAL", "0s"),
        ("DIRECTUS_ALLOWED_ORIGINS", "news.example"),
        ("DIRECTUS_CA_FILE", "/nowhere/ca.pem"),
        ("DIRECTUS_MAX_SOCKETS", "many"),
    ] {
        let output = run(&[], &[(name, value)]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {said}");
        assert!(said.contains(name), "{name}={value}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
        assert!(output.stdout.is_empty(), "it listened");
    }
    let place = run(&[], &[("LEPTOS_SITE_ADDR", "everywhere")]).await;
    let said = String::from_utf8_lossy(&place.stderr);
    assert!(!place.status.success() && said.contains("LEPTOS_SITE_ADDR") && said.contains("127.0.0.1:3000"), "{said}");
    let flag = run(&["--directus-max-message", "1"], &[]).await;
    let said = String::from_utf8_lossy(&flag.stderr);
    assert!(said.contains("DIRECTUS_MAX_MESSAGE") && said.contains("1024"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&[], &[("LEPTOS_SITE_ADDR", &address)]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("LEPTOS_SITE_ADDR"), "{said}");
}

#[tokio::test]
async fn doctor_finds_nothing_to_mend_in_any_mode_and_names_it() {
    for (mode, _) in MODES {
        let url = admin(mode).url;
        for variables in
            [vec![("DIRECTUS_URL", url.as_str())], vec![("DIRECTUS_URL", url.as_str()), ("DIRECTUS_MODE", mode)]]
        {
            let output = run(&["doctor"], &variables).await;
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{said}");
            assert!(!said.contains("FAIL"), "{said}");
            for expected in
                [format!("Directus answers at {url}"), format!("`{mode}` mode"), "directus_session_token".into()]
            {
                assert!(said.contains(&expected), "{expected}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn doctor_says_what_is_wrong_and_how_to_mend_it() {
    let url = admin("strict").url;
    let shut = Door::to(&url).await;
    for (variables, expected) in [
        ([("DIRECTUS_URL", shut.url.as_str()), ("DIRECTUS_MODE", "auto")], "set DIRECTUS_URL to where it is"),
        ([("DIRECTUS_URL", &url), ("DIRECTUS_MODE", "public")], "set DIRECTUS_MODE=strict"),
        ([("DIRECTUS_URL", &url), ("DIRECTUS_SESSION_COOKIE", "another")], "set DIRECTUS_SESSION_COOKIE"),
    ] {
        let output = run(&["doctor"], &variables).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("FAIL") && said.contains(expected), "{expected}: {said}");
    }
}

#[tokio::test]
async fn doctor_tries_the_schema_token_and_shows_none() {
    let admin = admin("public");
    let powerless = format!("powerless-{}", std::process::id());
    let user = json!({ "email": format!("{powerless}@example.com"), "token": powerless });
    let user = admin.ok("POST", "/users", Some(user)).await["id"].take();
    for (token, code, expected) in [
        ("schema-static-token", 0, "ok   Directus tells DIRECTUS_SCHEMA_TOKEN where relations lead"),
        (&admin.token, 0, "warn DIRECTUS_SCHEMA_TOKEN is an administrator's"),
        (&powerless, 1, "FAIL Directus does not accept DIRECTUS_SCHEMA_TOKEN, or its user may not read"),
        ("nobody-s-token", 1, "FAIL Directus does not accept DIRECTUS_SCHEMA_TOKEN, or its user may not read"),
    ] {
        let output = run(&["doctor"], &[("DIRECTUS_URL", &admin.url), ("DIRECTUS_SCHEMA_TOKEN", token)]).await;
        let (said, logged) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
        assert_eq!(said.contains("set DIRECTUS_SCHEMA_TOKEN to"), !expected.starts_with("ok"), "{said}");
        assert!(!said.contains(token) && !logged.contains(token), "the token is shown: {said}{logged}");
    }
    let output = run(&["doctor"], &[("DIRECTUS_URL", &admin.url)]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("DIRECTUS_SCHEMA_TOKEN"), "there is none: {said}");
    admin.ok("DELETE", &format!("/users/{}", user.as_str().unwrap()), None).await;
}
