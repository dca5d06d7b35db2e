//! `use_directus()` inside `#[server]` functions, on a real Directus: with a session and without one.
#![cfg(feature = "ssr")]

mod real;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    routing::post,
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_directus::{
    Query,
    server::{DirectusConfig, DirectusServer, directus_routes},
    use_directus,
};
use real::{Admin, counting_key, field};
use serde_json::{Value, json};
use tower::ServiceExt;

/// What the visitor reads of a collection, and what Directus says to a row of theirs.
#[server]
async fn read_and_sign(collection: String) -> Result<String, ServerFnError> {
    let rows = use_directus().items::<Value>(collection);
    let read = rows.read(Query::new().sort("id")).await.map_err(ServerFnError::new)?;
    let read: Vec<Value> = read.into_iter().map(|row| row["title"].clone()).collect();
    let signed = match rows.create(&json!({ "title": "signed" })).await {
        Ok(row) => row.unwrap_or_default()["writer"].clone(),
        Err(error) => json!(error.code()),
    };
    Ok(json!({ "read": read, "signed": signed }).to_string())
}

/// An app with server functions, as the README says how to set one up.
fn app(admin: &Admin) -> Router {
    let mut config = DirectusConfig::default();
    config.directus_url = admin.url.clone();
    let directus = DirectusServer::new(config).unwrap();
    let context = directus.clone();
    let functions = move |request: Request| {
        let context = context.clone();
        leptos_axum::handle_server_fns_with_context(move || context.provide_context(), request)
    };
    Router::new().route("/api/{*function}", post(functions)).merge(directus_routes(&directus))
}

async fn call(app: &Router, collection: &str, cookie: Option<&str>) -> Value {
    let mut request = Request::post(ReadAndSign::url())
        .header("host", "news.example")
        .header("accept", "application/json")
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let body = Body::from(format!("collection={collection}"));
    let response = app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    let answer = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
    let text: String = serde_json::from_slice(&answer).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Somebody who may read and write the collection, logged in through the app's own `/directus`: the session's cookie.
async fn log_in(app: &Router, admin: &Admin, collection: &str) -> (Value, String) {
    let stem = format!("server-fn-{}", std::process::id());
    let policy = admin.ok("POST", "/policies", Some(json!({ "name": stem }))).await["id"].clone();
    for action in ["read", "create"] {
        let permission = json!({
            "policy": policy, "collection": collection, "action": action,
            "fields": ["*"], "permissions": {}, "validation": {},
        });
        admin.ok("POST", "/permissions", Some(permission)).await;
    }
    let (email, password) = (format!("{stem}@example.com"), "a-long-password");
    let user = json!({ "email": email, "password": password, "policies": [{ "policy": policy }] });
    let user = admin.ok("POST", "/users", Some(user)).await["id"].clone();
    let body = json!({ "email": email, "password": password, "mode": "session" });
    let request = Request::post("/directus/auth/login")
        .header("host", "news.example")
        .header("origin", "http://news.example")
        .header("content-type", "application/json");
    let response = app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    assert!(response.status().is_success(), "the login failed with {}", response.status());
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    (user, cookie.split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_server_function_reads_and_writes_as_the_visitor() {
    let admin = Admin::new();
    admin.remove_collections(&["serverfn"]).await;
    let writer = json!({ "field": "writer", "type": "uuid", "meta": { "special": ["user-created"] }, "schema": {} });
    let rows = admin.collection("serverfn", counting_key(), vec![field("title", "string"), writer]).await;
    admin.ok("POST", &format!("/items/{rows}"), Some(json!({ "title": "first" }))).await;
    let app = app(&admin);
    let (user, cookie) = log_in(&app, &admin, &rows).await;

    let anonymous = call(&app, &rows, None).await;
    assert_eq!(anonymous, json!({ "read": ["first"], "signed": "FORBIDDEN" }), "the public role may read");
    let visitor = call(&app, &rows, Some(&cookie)).await;
    assert_eq!(visitor, json!({ "read": ["first"], "signed": user }));
    let nobody = call(&app, &rows, Some("directus_session_token=not-a-session")).await;
    assert_eq!(nobody["read"], json!(["first", "signed"]), "a dead session does not keep from public data");
    assert_ne!(nobody["signed"], user);

    admin.ok("DELETE", &format!("/users/{}", user.as_str().unwrap()), None).await;
    admin.remove_collections(&["serverfn"]).await;
}
