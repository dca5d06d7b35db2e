//! Pages that are rendered with a stand-in for Directus behind them: what is read for them, and what of it is in the HTML.
//!
//! What a browser makes of it is in `end2end/specs/hydration.spec.ts`.
#![cfg(feature = "ssr")]

mod server;

use std::pin::pin;

use any_spawner::Executor;
use axum::{
    body::{Body, to_bytes},
    extract::Request,
};
use leptos::prelude::*;
use leptos_directus::{
    DirectusOptions, NewRows, Query, UseRealtimeCollectionOptions, provide_directus,
    server::{DirectusConfig, DirectusServer},
    use_directus_auth, use_realtime_aggregate, use_realtime_collection, use_realtime_collection_with_options,
    use_realtime_infinite, use_realtime_item, use_realtime_singleton,
};
use serde::Deserialize;
use serde_json::{Value, json};
use server::{Asked, Head, Play, StandIn, patiently};

/// How a page comes to its reader.
#[derive(Clone, Copy, Debug)]
enum Rendering {
    Whole,
    InOrder,
    OutOfOrder,
}

/// Renders a page for a visitor, as an app's server does.
async fn render<V: IntoView + 'static>(
    url: String,
    rendering: Rendering,
    session: Option<&str>,
    page: impl Fn() -> V + Clone + Send + Sync + 'static,
) -> String {
    // Whoever comes second finds the executor there.
    let _ = Executor::init_tokio();
    let mut config = DirectusConfig::default();
    config.directus_url = url;
    let server = DirectusServer::new(config).unwrap();
    let context = move || server.provide_context();
    let app = move || {
        provide_directus(DirectusOptions::default());
        view! { <main>{page()}</main> }
    };
    let mut request = Request::get("/").header("host", "news.example");
    if let Some(session) = session {
        request = request.header("cookie", format!("directus_session_token={session}"));
    }
    let request = request.body(Body::empty()).unwrap();
    let response = match rendering {
        Rendering::Whole => leptos_axum::render_app_async_with_context(context, app)(request).await,
        Rendering::InOrder => leptos_axum::render_app_to_stream_in_order_with_context(context, app)(request).await,
        Rendering::OutOfOrder => leptos_axum::render_app_to_stream_with_context(context, app)(request).await,
    };
    let page = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(page.to_vec()).unwrap()
}

/// Lets a page come to be, and gives it with all the reads that Directus was asked for it.
async fn with_answers(
    directus: &mut StandIn,
    page: impl Future<Output = String>,
    mut answer: impl FnMut(&Head) -> (&'static str, Value),
) -> (String, Vec<Head>) {
    let mut page = pin!(patiently("the page", page));
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            html = &mut page => {
                directus.assert_asked_for_nothing_but(RELATIONS);
                return (html, seen);
            }
            asked = read(directus) => {
                let (status, body) = answer(&asked.head);
                seen.push(asked.head.clone());
                reply(asked, status, &body).await;
            }
        }
    }
}

/// Where relations lead is another matter (`server_relations.rs`), and may be asked at any time.
const RELATIONS: &str = "GET /relations ";

/// The next read. Nobody here may know where relations lead.
async fn read(directus: &mut StandIn) -> Asked {
    loop {
        let asked = directus.asked().await;
        if !asked.head.first.starts_with(RELATIONS) {
            return asked;
        }
        reply(asked, "403 Forbidden", &json!({ "errors": [] })).await;
    }
}

async fn reply(asked: Asked, status: &str, body: &Value) {
    asked.answer(status, "Content-Type: application/json\r\n", &body.to_string()).await;
}

/// How often a text is shown, and how often it is in what the scripts take over.
fn counted(html: &str, text: &str) -> (usize, usize) {
    let scripts = html.split("<script").skip(1).filter_map(|script| script.split("</script>").next());
    let in_scripts = scripts.map(|script| script.matches(text).count()).sum();
    (html.matches(text).count() - in_scripts, in_scripts)
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Post {
    title: String,
}

/// Texts, each in an element of its own, and what is wrong.
#[component]
fn Texts(texts: Signal<Vec<String>>, error: Signal<Option<leptos_directus::Error>>) -> impl IntoView {
    let texts = move || texts.get().into_iter().map(|text| view! { <li>{text}</li> }).collect_view();
    view! {
        <Suspense>
            <ul>{texts}</ul>
            <p>{move || error.get().map(|error| error.to_string())}</p>
        </Suspense>
    }
}

#[component]
fn Titles(query: Query, #[prop(optional)] options: UseRealtimeCollectionOptions) -> impl IntoView {
    let posts = use_realtime_collection_with_options::<Post>("posts", query, options);
    let titles = Signal::derive(move || posts.items().get().into_iter().map(|post| post.title).collect::<Vec<_>>());
    view! { <Texts texts=titles error=posts.error() /> }
}

/// The same question, whatever order it was written in.
fn asked(text: &str) -> Query {
    Query::from_json(text).unwrap()
}

const QUERY: &str = r#"{"fields":["title","status"],"sort":"title","limit":5,"meta":"filter_count"}"#;
const SAME: &str = r#"{"meta":["filter_count"],"limit":5,"sort":["title"],"fields":"status,title"}"#;

/// Rows and a count, of four hooks that ask the same and make different things of it.
#[component]
fn FourTimes() -> impl IntoView {
    let options = UseRealtimeCollectionOptions::default().watch(["authors"]).new_rows(NewRows::Last).persist("posts");
    let untyped = use_realtime_collection::<Value>("posts", asked(SAME));
    let rows = Signal::derive(move || {
        let rows = untyped.items().get().into_iter().map(|row| format!("{} is {}", row["title"], row["status"]));
        rows.chain(untyped.filter_count().get().map(|count| format!("of {count}"))).collect()
    });
    view! {
        <Titles query=asked(QUERY) />
        <Titles query=asked(SAME) />
        <Titles query=asked(QUERY) options=options />
        <Texts texts=rows error=untyped.error() />
    }
}

#[tokio::test]
async fn equal_hooks_of_a_page_read_once_and_their_rows_are_in_the_html_once() {
    let mut directus = StandIn::new(Play::Script).await;
    for rendering in [Rendering::Whole, Rendering::InOrder, Rendering::OutOfOrder] {
        let page = render(directus.url(), rendering, None, FourTimes);
        let (html, seen) = with_answers(&mut directus, page, |_| {
            let row = json!({ "title": "A title", "status": "fine", "id": 1 });
            ("200 OK", json!({ "data": [row], "meta": { "filter_count": 71 } }))
        })
        .await;
        assert_eq!(seen.len(), 1, "{rendering:?}: {seen:?}");
        assert!(seen[0].first.starts_with("GET /items/posts?"), "{seen:?}");
        assert_eq!(counted(&html, "A title"), (4, 1), "{rendering:?}: {html}");
        assert_eq!(counted(&html, "is &quot;fine&quot;").0 + counted(&html, "is \"fine\"").0, 1, "{html}");
        assert_eq!(counted(&html, "of 71").0, 1, "{html}");
    }
}

#[tokio::test]
async fn different_questions_of_a_page_are_read_each() {
    let mut directus = StandIn::new(Play::Script).await;
    let page = || {
        let queries =
            [r#"{"limit":5}"#, r#"{"limit":6}"#, r#"{"limit":5,"sort":"title"}"#, r#"{"limit":5,"meta":"*"}"#];
        queries.map(|query| view! { <Titles query=asked(query) /> }).collect_view()
    };
    let mut number = 0;
    let page = render(directus.url(), Rendering::Whole, None, page);
    let (html, seen) = with_answers(&mut directus, page, |_| {
        number += 1;
        ("200 OK", json!({ "data": [{ "title": format!("Answer {number}."), "id": 1 }] }))
    })
    .await;
    assert_eq!(seen.len(), 4, "{seen:?}");
    for number in 1..=4 {
        assert_eq!(counted(&html, &format!("Answer {number}.")), (1, 1), "{html}");
    }
}

/// One of each kind of hook.
#[component]
fn EveryKind() -> impl IntoView {
    let one = use_realtime_item::<Post>("posts", 7);
    let only = use_realtime_singleton::<Post>("masthead");
    let groups = use_realtime_aggregate::<Value>("posts", Query::new().aggregate("count", "*").group_by("status"));
    let more = use_realtime_infinite::<Post>("posts", Query::new().sort("-title"), 2);
    let texts = Signal::derive(move || {
        let rows = [one.item().get(), only.item().get()].into_iter().flatten().chain(more.items().get());
        let groups = groups.groups().get().into_iter().map(|group| group["status"].to_string());
        rows.map(|post| post.title).chain(groups).collect()
    });
    view! { <Texts texts=texts error=more.list().error() /> }
}

#[tokio::test]
async fn rows_singletons_groups_and_growing_lists_share_their_reads_too() {
    let mut directus = StandIn::new(Play::Script).await;
    let page = || view! { <EveryKind /> <EveryKind /> <EveryKind /> };
    let page = render(directus.url(), Rendering::Whole, None, page);
    let (html, seen) = with_answers(&mut directus, page, |head| {
        let target = head.word();
        let data = if target.starts_with("/items/masthead") {
            json!({ "title": "The only one" })
        } else if target.contains("aggregate") {
            json!([{ "status": "A group" }])
        } else if target.contains("limit=3") {
            json!([{ "id": 1, "title": "A first" }, { "id": 2, "title": "A second" }, { "id": 3, "title": "A third" }])
        } else {
            json!([{ "id": 7, "title": "The seventh" }])
        };
        ("200 OK", json!({ "data": data }))
    })
    .await;
    assert_eq!(seen.len(), 4, "{seen:?}");
    for text in ["The only one", "A group", "A first", "A second", "The seventh"] {
        assert_eq!(counted(&html, text), (3, 1), "{text}: {html}");
    }
    assert_eq!(counted(&html, "A third"), (0, 1), "it only says that there are more");
}

#[tokio::test]
async fn an_error_is_every_equal_hook_s_and_is_forgotten_with_its_page() {
    let mut directus = StandIn::new(Play::Script).await;
    let page = || view! { <Titles query=asked(QUERY) /> <Titles query=asked(SAME) /> };
    let refusal = json!({ "errors": [{ "message": "No.", "extensions": { "code": "FORBIDDEN" } }] });
    let refused = render(directus.url(), Rendering::Whole, None, page);
    let (html, seen) = with_answers(&mut directus, refused, |_| ("403 Forbidden", refusal.clone())).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(counted(&html, "FORBIDDEN"), (2, 1), "{html}");
    let well = render(directus.url(), Rendering::Whole, None, page);
    let rows = json!({ "data": [{ "title": "A title", "id": 1 }] });
    let (html, seen) = with_answers(&mut directus, well, |_| ("200 OK", rows.clone())).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((counted(&html, "A title"), counted(&html, "FORBIDDEN")), ((2, 1), (0, 0)), "{html}");
}

/// It failed: the HTML said that rows were about to be read again, and the browser that there are none to be had.
#[tokio::test]
async fn what_can_t_be_asked_for_says_so_in_the_html_too() {
    let mut directus = StandIn::new(Play::Script).await;
    let page = || {
        let groups = use_realtime_aggregate::<Value>("posts", Query::new());
        view! { <Texts texts=Signal::derive(move || vec![groups.status().get().as_str().to_owned()]) error=groups.error() /> }
    };
    let page = render(directus.url(), Rendering::Whole, None, page);
    let (html, seen) = with_answers(&mut directus, page, |_| ("200 OK", json!({ "data": [] }))).await;
    assert_eq!(seen.len(), 0, "{seen:?}");
    assert!(counted(&html, "refused").0 > 0 && counted(&html, "stale").0 == 0, "{html}");
}

#[tokio::test]
async fn two_visitors_who_ask_the_same_at_once_share_nothing() {
    let mut directus = StandIn::new(Play::Script).await;
    let page = || view! { <Titles query=asked(QUERY) /> <Titles query=asked(SAME) /> };
    let (first, second, ()) = tokio::join!(
        render(directus.url(), Rendering::Whole, Some("ada"), page),
        render(directus.url(), Rendering::Whole, Some("bob"), page),
        async {
            // Both are waiting before either is answered.
            let waiting = [read(&mut directus).await, read(&mut directus).await];
            for asked in waiting {
                let of = asked.head.get("cookie").unwrap_or_default().replace("directus_session_token=", "Row of ");
                reply(asked, "200 OK", &json!({ "data": [{ "title": of, "id": 1 }] })).await;
            }
        }
    );
    directus.assert_asked_for_nothing_but(RELATIONS);
    assert_eq!((counted(&first, "Row of ada"), counted(&first, "bob")), ((2, 1), (0, 0)), "{first}");
    assert_eq!((counted(&second, "Row of bob"), counted(&second, "ada")), ((2, 1), (0, 0)), "{second}");
}

#[tokio::test]
async fn rows_are_in_the_html_for_an_island_though_the_page_around_it_asked_first() {
    let mut directus = StandIn::new(Play::Script).await;
    // As outside of islands: what is made there is not hydrated.
    let still = || {
        let owner = Owner::new();
        let view = owner.with(|| Owner::with_no_hydration(|| view! { <Titles query=asked(QUERY) /> }));
        on_cleanup(move || drop(owner));
        view
    };
    let answer = |_: &Head| ("200 OK", json!({ "data": [{ "title": "A title", "id": 1 }] }));
    let page = move || view! { {still()} <Titles query=asked(SAME) /> {still()} };
    let page = render(directus.url(), Rendering::Whole, None, page);
    let (html, seen) = with_answers(&mut directus, page, answer).await;
    assert_eq!((counted(&html, "A title"), seen.len()), ((3, 1), 1), "{html}");
    let page = render(directus.url(), Rendering::Whole, None, still);
    let (html, seen) = with_answers(&mut directus, page, answer).await;
    assert_eq!((counted(&html, "A title"), seen.len()), ((1, 0), 1), "{html}");
}

#[component]
fn Greeting() -> impl IntoView {
    let user = use_directus_auth().user();
    let names = Signal::derive(move || user.get().map(|user| user.display_name()).into_iter().collect());
    view! { <Texts texts=names error=Signal::stored(None) /> }
}

#[tokio::test]
async fn who_the_visitor_is_is_asked_once_for_a_page() {
    let mut directus = StandIn::new(Play::Script).await;
    let page = || view! { <Greeting /> <Greeting /> };
    let page = render(directus.url(), Rendering::Whole, Some("ada"), page);
    let me = json!({ "data": { "id": "1", "first_name": "Ada", "last_name": "Lovelace" } });
    let (html, seen) = with_answers(&mut directus, page, |_| ("200 OK", me.clone())).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].word().starts_with("/users/me"), "{seen:?}");
    assert_eq!(counted(&html, "Ada Lovelace").0, 2, "{html}");
}
