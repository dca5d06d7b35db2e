//! Where relations lead: what a page is told, whom Directus is asked for, how often, and that nobody sees the token.
#![cfg(feature = "ssr")]

mod server;

use leptos_directus::server::DirectusConfig;
use serde_json::{Value, json};
use server::{App, Asked, Log, Play, SESSION, StandIn, client};

const TOKEN: &str = "s3cret-schema-token";
const ASKED: &str = "/directus-ws?relations_of=posts&path=author.name&path=title";

fn with_token(config: &mut DirectusConfig) {
    config.directus_schema_token = Some(TOKEN.into());
}

/// A page's question, on its way. It says where it comes from, as browsers do.
fn ask(app: &App, query: &str, headers: &[(&'static str, &str)]) -> tokio::task::JoinHandle<(u16, Value)> {
    let mut request = client().get(format!("{}{query}", app.origin())).header("sec-fetch-site", "same-origin");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    tokio::spawn(async move {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    })
}

fn who(asked: &Asked) -> &str {
    asked.head.get("authorization").or_else(|| asked.head.get("cookie")).unwrap_or("nobody")
}

async fn tell(asked: Asked) {
    assert_eq!(asked.head.word(), "/relations");
    let relations = json!({ "data": [
        { "collection": "posts", "field": "author", "related_collection": "authors", "meta": null },
        { "collection": "secrets", "field": "post", "related_collection": "posts", "meta": { "one_field": "secrets" } },
    ] });
    asked.answer("200 OK", "", &relations.to_string()).await;
}

async fn refuse(asked: Asked) {
    let body = r#"{"errors":[{"message":"no","extensions":{"code":"FORBIDDEN"}}]}"#;
    asked.answer("403 Forbidden", "", body).await;
}

fn known(collections: &[&str]) -> (u16, Value) {
    (200, json!({ "leads": { "to": collections, "is_all": true } }))
}

fn unknown() -> (u16, Value) {
    (200, json!("unknown"))
}

/// It is worth asking again.
fn later() -> (u16, Value) {
    (200, json!("not_asked"))
}

#[tokio::test]
async fn a_page_is_told_only_what_its_paths_lead_to_and_directus_is_asked_once() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let first = ask(&app, ASKED, &[("cookie", SESSION)]);
    let second = ask(&app, ASKED, &[("cookie", SESSION)]);
    let asked = directus.asked().await;
    assert_eq!(who(&asked), SESSION);
    tell(asked).await;
    assert_eq!(first.await.unwrap(), known(&["authors"]));
    assert_eq!(second.await.unwrap(), known(&["authors"]));
    let other = ask(&app, "/directus-ws?relations_of=posts&path=title", &[("cookie", SESSION)]);
    assert_eq!(other.await.unwrap(), known(&[]));
    directus.assert_untouched();
    // Another visitor may be told something else.
    let other = ask(&app, ASKED, &[("cookie", "directus_session_token=another")]);
    let asked = directus.asked().await;
    assert_eq!(who(&asked), "directus_session_token=another");
    refuse(asked).await;
    assert_eq!(other.await.unwrap(), unknown());
}

#[tokio::test]
async fn a_refusal_is_no_error_and_stands_for_a_while() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let first = ask(&app, ASKED, &[]);
    let asked = directus.asked().await;
    assert_eq!(who(&asked), "nobody");
    refuse(asked).await;
    assert_eq!(first.await.unwrap(), unknown());
    assert_eq!(ask(&app, ASKED, &[]).await.unwrap(), unknown());
    directus.assert_untouched();
}

#[tokio::test]
async fn whom_directus_tells_nothing_our_token_is_asked_for_once_for_all() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, with_token).await;
    let cookies = ["directus_session_token=one", "directus_session_token=two"];
    for (number, cookie) in cookies.into_iter().enumerate() {
        let answer = ask(&app, ASKED, &[("cookie", cookie)]);
        let asked = directus.asked().await;
        assert_eq!(who(&asked), cookie);
        refuse(asked).await;
        if number == 0 {
            let asked = directus.asked().await;
            assert_eq!(who(&asked), format!("Bearer {TOKEN}"));
            assert!(asked.head.get("x-forwarded-for").is_none(), "it is nobody's question");
            tell(asked).await;
        }
        assert_eq!(answer.await.unwrap(), known(&["authors"]));
    }
    directus.assert_untouched();
}

#[tokio::test]
async fn a_directus_that_fails_is_asked_again_later_and_no_error() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::new(&directus).await;
    let answer = ask(&app, ASKED, &[]);
    directus.asked().await.answer("503 Service Unavailable", "", "").await;
    assert_eq!(answer.await.unwrap(), later());
    let nowhere = App::at("http://127.0.0.1:1", |_| {}).await;
    assert_eq!(ask(&nowhere, ASKED, &[]).await.unwrap(), later());
}

#[tokio::test]
async fn questions_from_elsewhere_and_endless_ones_do_not_reach_directus() {
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, with_token).await;
    let (status, answer) = ask(&app, ASKED, &[("origin", "https://foreign.example")]).await.unwrap();
    assert_eq!((status, &answer["code"], &answer["collections"]), (403, &json!("ORIGIN_REFUSED"), &Value::Null));
    let (status, answer) = ask(&app, ASKED, &[("referer", "https://foreign.example/")]).await.unwrap();
    assert_eq!((status, &answer["code"], &answer["collections"]), (200, &json!("ORIGIN_REFUSED"), &Value::Null));
    let endless = format!("/directus-ws?relations_of=posts{}", "&path=a".repeat(201));
    assert_eq!(ask(&app, &endless, &[]).await.unwrap(), unknown());
    let deep = format!("/directus-ws?relations_of=posts&path={}", "*.".repeat(20));
    assert_eq!(ask(&app, &deep, &[]).await.unwrap(), unknown());
    assert_eq!(ask(&app, "/directus-ws?relations_of=posts", &[]).await.unwrap(), unknown());
    directus.assert_untouched();
}

#[tokio::test]
async fn our_token_goes_to_relations_only_and_is_in_no_log() {
    let (log, _guard) = Log::capture();
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, with_token).await;
    let answer = ask(&app, ASKED, &[]);
    refuse(directus.asked().await).await;
    let asked = directus.asked().await;
    assert_eq!(who(&asked), format!("Bearer {TOKEN}"));
    refuse(asked).await;
    let (_, answer) = answer.await.unwrap();
    // A read of the visitor's and a socket go without.
    let read = tokio::spawn(client().get(format!("{}/directus/items/posts", app.origin())).send());
    let asked = directus.asked().await;
    assert_eq!(who(&asked), "nobody");
    asked.answer("200 OK", "", r#"{"data":[]}"#).await;
    let read = read.await.unwrap().unwrap();
    let _visitor = app.upgrade().open().await;
    let (head, _upstream) = directus.socket().await;
    assert!(head.get("authorization").is_none());
    let logged = log.text();
    assert!(logged.contains("Directus does not accept DIRECTUS_SCHEMA_TOKEN"), "{logged}");
    let ours: String = logged.lines().filter(|line| line.contains("leptos_directus")).collect();
    for seen in [ours, format!("{:?}", app.server), answer.to_string(), format!("{read:?}")] {
        assert!(!seen.contains(TOKEN), "{seen}");
    }
}

#[tokio::test]
async fn an_administrator_s_token_is_warned_of() {
    let (log, _guard) = Log::capture();
    let mut directus = StandIn::new(Play::Public).await;
    let app = App::with(&directus, with_token).await;
    let answer = ask(&app, ASKED, &[]);
    refuse(directus.asked().await).await;
    let relations = json!({ "data": [
        { "collection": "directus_access", "field": "policy", "related_collection": "directus_policies", "meta": null },
    ] });
    directus.asked().await.answer("200 OK", "", &relations.to_string()).await;
    assert_eq!(answer.await.unwrap(), (200, json!({ "leads": { "to": [], "is_all": false } })));
    let logged = log.text();
    assert!(logged.contains("DIRECTUS_SCHEMA_TOKEN is an administrator's"), "{logged}");
}
