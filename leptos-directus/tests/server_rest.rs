//! `/directus/…`: what goes on to Directus, as whom, and what comes back.
#![cfg(feature = "ssr")]

mod server;

use leptos_directus::server::HttpsSetting;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use server::{Answer, App, Asked, Play, SESSION, StandIn, client, patiently};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const STALE: &str = "directus_session_token=stale.session.token";

fn request(app: &App, method: &str, path: &str) -> RequestBuilder {
    client().request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", app.origin()))
}

/// A request of one of the app's own pages, by a logged-in visitor.
fn own(app: &App, method: &str, path: &str) -> RequestBuilder {
    request(app, method, path).header("origin", app.origin()).header("cookie", SESSION)
}

/// Sends a request, and lets the test answer what of it arrives at Directus.
async fn through(directus: &mut StandIn, request: RequestBuilder, answer: impl AsyncFnOnce(Asked)) -> Response {
    let (response, ()) = tokio::join!(patiently("an answer", request.send()), async {
        answer(directus.asked().await).await;
    });
    response.expect("an answer")
}

async fn errors(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn code(errors: &Value) -> &str {
    errors["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn methods_paths_queries_and_bodies_pass() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "SEARCH"] {
        let request = own(&app, method, "/directus/items/posts?filter[title][_eq]=%C3%A4%20b&sort=-id&limit=-1")
            .header("content-type", "application/json")
            .body(r#"{"title":"ä"}"#);
        let response = through(&mut directus, request, async |mut asked| {
            let target = "/items/posts?filter[title][_eq]=%C3%A4%20b&sort=-id&limit=-1";
            assert_eq!(asked.head.first, format!("{method} {target} HTTP/1.1"));
            assert_eq!(asked.head.get("content-type"), Some("application/json"));
            assert_eq!(asked.body().await, r#"{"title":"ä"}"#.as_bytes(), "{method}");
            asked.answer("200 OK", "Content-Type: application/json\r\n", r#"{"data":{"id":1}}"#).await;
        })
        .await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.text().await.unwrap(), r#"{"data":{"id":1}}"#);
    }
    for method in ["GET", "OPTIONS"] {
        let response = through(&mut directus, own(&app, method, "/directus/items/posts/1"), async |asked| {
            assert_eq!(asked.head.first, format!("{method} /items/posts/1 HTTP/1.1"));
            asked.answer("200 OK", "", "row").await;
        })
        .await;
        assert_eq!(response.text().await.unwrap(), "row");
    }
}

#[tokio::test]
async fn a_head_has_the_length_and_no_body() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let response = through(&mut directus, own(&app, "HEAD", "/directus/assets/1"), async |mut asked| {
        assert_eq!(asked.head.first, "HEAD /assets/1 HTTP/1.1");
        asked.write("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nContent-Type: image/png\r\n\r\n").await;
    })
    .await;
    assert_eq!(response.headers()["content-length"], "12345");
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(response.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn tunnels_and_traces_are_not_passed_on() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let response = own(&app, "TRACE", "/directus/items/posts").send().await.unwrap();
    assert_eq!(response.status(), 405);
    directus.assert_untouched();
}

#[tokio::test]
async fn directuss_own_path_is_kept_and_not_left() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::at(&format!("{}/cms/", directus.url()), |_| {}).await;
    for path in [
        "/directus/../admin",
        "/directus/items/../../../admin",
        "/directus/%2e%2e/admin",
        "/directus/items/%2E%2e%2f%2e%2e/admin",
        "/directus/..%5cadmin",
        "/directus/items/posts/..",
    ] {
        // By hand: clients tidy such paths up before they send them.
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", app.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = Answer::read(&mut stream).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
    directus.assert_untouched();
    let response = through(&mut directus, own(&app, "GET", "/directus/items/a%2Fb"), async |asked| {
        assert_eq!(asked.head.word(), "/cms/items/a%2Fb");
        asked.answer("204 No Content", "", "").await;
    })
    .await;
    assert_eq!(response.status(), 204);
}

#[tokio::test]
async fn of_the_request_only_what_directus_needs_goes_on() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let request = request(&app, "GET", "/directus/items/posts")
        .header("origin", app.origin())
        .header("referer", format!("{}/board", app.origin()))
        .header("cookie", format!("theme=dark; {SESSION}; directus_refresh_token=refresh; app_session=ours"))
        .header("authorization", "Bearer token")
        .header("accept", "application/json")
        .header("accept-language", "de")
        .header("user-agent", "A browser")
        .header("if-none-match", "\"1\"")
        .header("x-forwarded-for", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6")
        .header("x-real-ip", "6.6.6.6")
        .header("x-csrf-token", "ours")
        .header("sec-fetch-site", "same-origin")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic x")
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "hop")
        .header("upgrade-insecure-requests", "1");
    through(&mut directus, request, async |asked| {
        assert_eq!(asked.head.get("cookie"), Some(SESSION));
        assert_eq!(asked.head.get("host"), directus_host(&asked));
        assert_eq!(asked.head.get("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(asked.head.get("x-forwarded-host"), Some(app.address.to_string().as_str()));
        let names = [
            "accept",
            "accept-language",
            "cookie",
            "host",
            "if-none-match",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
        ];
        assert_eq!(asked.head.names(), names);
        asked.answer("200 OK", "", "").await;
    })
    .await;
}

/// The stand-in is spoken to by name: this is the only `Host` that begins so.
fn directus_host(asked: &Asked) -> Option<&str> {
    asked.head.get("host").filter(|host| host.starts_with("localhost:"))
}

#[tokio::test]
async fn a_token_in_the_query_is_dropped_and_one_in_a_header_passes_by_option_only() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let strict = request(&app, "GET", "/directus/items/posts?access_token=stolen&limit=1&access%5Ftoken=stolen");
    through(&mut directus, strict.bearer_auth("token"), async |asked| {
        assert_eq!(asked.head.word(), "/items/posts?limit=1");
        assert_eq!(asked.head.get("authorization"), None);
        asked.answer("200 OK", "", "").await;
    })
    .await;
    let lenient = App::with(&directus, |config| config.directus_allow_client_auth = true).await;
    through(&mut directus, request(&lenient, "GET", "/directus/items/posts").bearer_auth("token"), async |asked| {
        assert_eq!(asked.head.get("authorization"), Some("Bearer token"));
        asked.answer("200 OK", "", "").await;
    })
    .await;
}

#[tokio::test]
async fn of_the_answer_all_comes_back_but_what_speaks_of_directuss_own_connection() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let response = through(&mut directus, own(&app, "GET", "/directus/items/posts"), async |asked| {
        let headers = "Content-Type: application/json\r\nETag: \"1\"\r\nContent-Disposition: inline\r\nVary: Accept\r\n\
                       Cache-Control: max-age=60\r\nX-Total: 7\r\n\
                       Server: nginx\r\nX-Powered-By: Directus\r\nKeep-Alive: timeout=5\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
                       Strict-Transport-Security: max-age=1\r\nAlt-Svc: h3\r\nAccess-Control-Allow-Origin: *\r\n\
                       Access-Control-Allow-Credentials: true\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\n";
        asked.answer("200 OK", headers, "{}").await;
    })
    .await;
    let mut names: Vec<&str> = response.headers().keys().map(reqwest::header::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "cache-control",
        "content-disposition",
        "content-length",
        "content-type",
        "date",
        "etag",
        "vary",
        "x-content-type-options",
        "x-total",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn directuss_errors_come_back_as_they_are() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    for status in [400, 403, 404, 429, 500, 503] {
        let body = r#"{"errors":[{"message":"m","extensions":{"code":"THEIRS"}}]}"#;
        let response = through(&mut directus, own(&app, "GET", "/directus/items/posts"), async |asked| {
            asked.answer(&format!("{status} X"), "Retry-After: 3\r\n", body).await;
        })
        .await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (status, &"3".parse().unwrap()));
        assert_eq!(response.text().await.unwrap(), body);
    }
}

#[tokio::test]
async fn the_session_cookie_is_rewritten_for_our_host_and_no_other_comes_back() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let login = async |app: &App, directus: &mut StandIn| -> Vec<String> {
        let request = request(app, "POST", "/directus/auth/login").header("origin", app.origin()).body("{}");
        let response = through(directus, request, async |mut asked| {
            asked.body().await;
            let headers = "Set-Cookie: directus_session_token=new; Domain=cms.example; Path=/cms; HttpOnly; Secure; \
                           SameSite=None; Max-Age=60\r\nSet-Cookie: directus_refresh_token=refresh; HttpOnly\r\n\
                           Set-Cookie: other=1\r\n";
            asked.answer("200 OK", headers, "{}").await;
        })
        .await;
        let cookies = response.headers().get_all("set-cookie").iter();
        cookies.map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
    };
    let cookies = login(&app, &mut directus).await;
    assert_eq!(cookies, ["directus_session_token=new; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"]);

    let secure = App::with(&directus, |config| config.directus_served_over_https = HttpsSetting::Always).await;
    let request = request(&secure, "POST", "/directus/auth/refresh");
    let response = through(&mut directus, request, async |asked| {
        asked.answer("200 OK", "Set-Cookie: directus_session_token=new; HttpOnly\r\n", "{}").await;
    })
    .await;
    assert_eq!(response.headers()["set-cookie"], "directus_session_token=new; HttpOnly; SameSite=Lax; Secure; Path=/");
}

#[tokio::test]
async fn writes_and_logins_from_foreign_pages_are_refused_before_directus_is_asked() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let port = app.address.port();
    let look_alikes =
        ["https://evil.example", "null", &format!("http://127.0.0.1:{port}.evil.example")].map(str::to_owned);
    for origin in look_alikes {
        for (method, path) in [
            ("POST", "/directus/items/posts"),
            ("PATCH", "/directus/items/posts/1"),
            ("PUT", "/directus/items/posts/1"),
            ("DELETE", "/directus/items/posts/1"),
            ("POST", "/directus/auth/login"),
            ("POST", "/directus/auth/logout"),
            ("PROPFIND", "/directus/items/posts"),
        ] {
            for cookie in [SESSION, "theme=dark"] {
                let request = request(&app, method, path).header("origin", &origin).header("cookie", cookie);
                let response = request.body("{}").send().await.unwrap();
                assert_eq!(response.status(), 403, "{method} {path} {origin}");
                assert_eq!(code(&errors(response).await), "ORIGIN_REFUSED");
            }
        }
    }
    // A form of another page in a browser that sends no origin: the session alone is no proof.
    let response = request(&app, "POST", "/directus/items/posts").header("cookie", SESSION).send().await.unwrap();
    assert_eq!(response.status(), 403);
    let cross =
        request(&app, "POST", "/directus/items/posts").header("cookie", SESSION).header("sec-fetch-site", "cross-site");
    assert_eq!(cross.send().await.unwrap().status(), 403);
    directus.assert_untouched();

    let programs = request(&app, "POST", "/directus/items/posts").body("{}");
    let own = request(&app, "POST", "/directus/items/posts")
        .header("cookie", SESSION)
        .header("sec-fetch-site", "same-origin");
    for allowed in [programs, own] {
        let response =
            through(&mut directus, allowed, async |asked| asked.answer("204 No Content", "", "").await).await;
        assert_eq!(response.status(), 204);
    }
}

#[tokio::test]
async fn a_read_with_a_dead_session_is_repeated_without_it_and_the_cookie_is_cleared() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let dead = |method| request(&app, method, "/directus/items/posts?limit=1").header("cookie", STALE);
    let search = dead("SEARCH").body(r#"{"query":{}}"#);
    for (request, body) in [(dead("GET"), ""), (search, r#"{"query":{}}"#)] {
        let (response, ()) = tokio::join!(request.send(), async {
            for expected in [Some(STALE), None] {
                let mut asked = directus.asked().await;
                assert_eq!(asked.head.word(), "/items/posts?limit=1");
                assert_eq!(asked.head.get("cookie"), expected);
                assert_eq!(String::from_utf8(asked.body().await).unwrap(), body);
                match expected {
                    Some(_) => asked.answer("401 Unauthorized", "", r#"{"errors":[]}"#).await,
                    None => asked.answer("200 OK", "", "rows for anybody").await,
                }
            }
        });
        let response = response.unwrap();
        let cleared = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cleared.starts_with("directus_session_token=;") && cleared.contains("Max-Age=0"), "{cleared}");
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, "rows for anybody"));
    }
}

#[tokio::test]
async fn a_write_with_a_dead_session_is_not_repeated() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let write = request(&app, "POST", "/directus/items/posts").header("origin", app.origin()).header("cookie", STALE);
    let response = through(&mut directus, write.body("{}"), async |asked| {
        asked.answer("401 Unauthorized", "", r#"{"errors":[]}"#).await;
    })
    .await;
    assert_eq!(response.status(), 401);
    directus.assert_untouched();
}

#[tokio::test]
async fn a_dead_session_does_not_keep_anybody_from_logging_in() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    for path in ["auth/login", "auth/login/keycloak", "auth/password/request"] {
        let login =
            request(&app, "POST", &format!("/directus/{path}")).header("origin", app.origin()).header("cookie", STALE);
        through(&mut directus, login.body("{}"), async |asked| {
            assert_eq!(asked.head.get("cookie"), None, "{path}");
            asked.answer("200 OK", "", "{}").await;
        })
        .await;
    }
    let logout = own(&app, "POST", "/directus/auth/logout").body("{}");
    through(&mut directus, logout, async |asked| {
        assert_eq!(asked.head.get("cookie"), Some(SESSION));
        asked.answer("204 No Content", "", "").await;
    })
    .await;
}

#[tokio::test]
async fn parts_of_assets_and_what_did_not_change_pass() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let part = own(&app, "GET", "/directus/assets/1?width=20").header("range", "bytes=2-5").header("if-range", "\"1\"");
    let response = through(&mut directus, part, async |asked| {
        assert_eq!(asked.head.word(), "/assets/1?width=20");
        assert_eq!((asked.head.get("range"), asked.head.get("if-range")), (Some("bytes=2-5"), Some("\"1\"")));
        let headers = "Content-Range: bytes 2-5/10\r\nAccept-Ranges: bytes\r\nContent-Type: image/png\r\n";
        asked.answer("206 Partial Content", headers, "2345").await;
    })
    .await;
    assert_eq!(response.status(), 206);
    assert_eq!(response.headers()["content-range"], "bytes 2-5/10");
    assert_eq!(response.headers()["accept-ranges"], "bytes");
    assert!(!response.headers().contains_key("content-security-policy"), "a picture runs nothing");
    assert_eq!(response.text().await.unwrap(), "2345");

    let known = own(&app, "GET", "/directus/assets/1").header("if-none-match", "\"1\"");
    let response = through(&mut directus, known, async |mut asked| {
        assert_eq!(asked.head.get("if-none-match"), Some("\"1\""));
        asked.write("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nConnection: close\r\n\r\n").await;
    })
    .await;
    assert_eq!((response.status().as_u16(), &response.headers()["etag"]), (304, &"\"1\"".parse().unwrap()));
}

#[tokio::test]
async fn an_uploaded_page_does_not_run_with_the_rights_of_ours() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    for kind in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "TEXT/HTML; charset=utf-8"] {
        let response = through(&mut directus, own(&app, "GET", "/directus/assets/1"), async |asked| {
            asked.answer("200 OK", &format!("Content-Type: {kind}\r\n"), "<script>").await;
        })
        .await;
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("sandbox;"), "{kind}: {policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn redirects_are_the_visitors_to_follow_and_stay_below_our_prefix() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    let url = directus.url();
    for (theirs, ours) in [
        ("/assets/2?x=1".to_owned(), "/directus/assets/2?x=1".to_owned()),
        (format!("{url}/assets/2#top"), "/directus/assets/2#top".to_owned()),
        ("https://login.example/oauth?state=1".to_owned(), "https://login.example/oauth?state=1".to_owned()),
        ("//evil.example/x".to_owned(), "//evil.example/x".to_owned()),
        ("2".to_owned(), "2".to_owned()),
    ] {
        let response = through(&mut directus, own(&app, "GET", "/directus/assets/1"), async |asked| {
            asked.answer("302 Found", &format!("Location: {theirs}\r\n"), "").await;
        })
        .await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().unwrap()),
            (302, ours.as_str())
        );
    }
    directus.assert_untouched();
}

#[tokio::test]
async fn the_prefix_alone_and_paths_that_only_begin_like_it_are_not_passed_on() {
    let mut directus = StandIn::new(Play::Script).await;
    let app = App::new(&directus).await;
    for path in ["/directus", "/directusx/items", "/Directus/items", "/items/posts"] {
        assert_eq!(request(&app, "GET", path).send().await.unwrap().status(), 404, "{path}");
    }
    directus.assert_untouched();
    let elsewhere = App::with(&directus, |config| config.directus_rest_path = "/api/cms".into()).await;
    through(&mut directus, request(&elsewhere, "GET", "/api/cms/items/posts"), async |asked| {
        assert_eq!(asked.head.word(), "/items/posts");
        asked.answer("200 OK", "", "").await;
    })
    .await;
}

#[tokio::test]
async fn a_directus_that_is_down_is_a_502_in_its_own_words() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let app = App::at(&format!("http://127.0.0.1:{port}"), |_| {}).await;
    for (method, body) in [("GET", ""), ("SEARCH", "{}"), ("POST", "{}")] {
        let response = own(&app, method, "/directus/items/posts").body(body).send().await.unwrap();
        assert_eq!(response.status(), 502, "{method}");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let expected = json!({ "errors": [{
            "message": "Directus can't be reached.", "extensions": { "code": "UPSTREAM_UNREACHABLE" },
        }] });
        assert_eq!(errors(response).await, expected);
    }
}
