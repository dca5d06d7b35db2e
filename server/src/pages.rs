//! What is served: the app's pages, its files, and Directus.

use app::{App, shell};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use leptos::config::{Env, LeptosOptions};
use leptos_axum::{LeptosRoutes, file_and_error_handler_with_context, generate_route_list};
use leptos_directus::server::{DirectusServer, directus_routes};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{DefaultPredicate, NotForContentType},
    },
};

/// The whole app.
pub(crate) fn routes(options: LeptosOptions, directus: &DirectusServer) -> Router {
    // The one line that makes `use_directus()` work on the server, as the visitor.
    let context = {
        let directus = directus.clone();
        move || directus.provide_context()
    };
    let document = {
        let options = options.clone();
        move || shell(options.clone())
    };
    // Unoptimised, compressing a wasm file of ten megabytes takes longer than anybody waits: not while developing.
    let is_developing = matches!(options.env, Env::DEV);
    let worthwhile = DefaultPredicate::new()
        .and(NotForContentType::const_new("image/"))
        .and(move |_: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| !is_developing);
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    // Directus does not compress its rows. What comes compressed from a proxy before it stays so; files and sockets pass as
    // they are.
    let rows =
        worthwhile.clone().and(|_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| is_json(headers));
    let directus_routes = directus_routes(directus).layer(compression.clone().compress_when(rows));
    let pages = Router::new()
        .leptos_routes_with_context(&options, generate_route_list(App), context.clone(), document)
        .fallback(file_and_error_handler_with_context(context, shell))
        .with_state(options)
        .layer(compression.compress_when(worthwhile))
        .layer(middleware::from_fn(guard));
    let health = Router::new().route("/healthz", get(health)).with_state(directus.clone());
    Router::new().merge(pages).merge(health).merge(directus_routes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"))
}

/// Says that the server lives, and how Directus is; a Directus that is down does not make us unwell.
async fn health(State(directus): State<DirectusServer>) -> Json<serde_json::Value> {
    let health = directus.health().await;
    Json(serde_json::json!({
        "status": if health.shutting_down { "ending" } else { "ok" },
        "directus_reachable": health.directus_reachable,
        "open_sockets": health.open_sockets,
    }))
}

/// Headers that keep a page from being misread, framed, or from telling others where its reader came from.
async fn guard(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    let is_page = !request.uri().path().starts_with("/pkg/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Pages hold the visitor's rows; files of the build keep their name from build to build: both are asked for again.
    let cache = if is_page { "private, no-cache" } else { "no-cache" };
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(cache));
    response
}
