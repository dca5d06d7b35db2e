//! The browser's transport on a real Directus: sockets that open, carry rows, are lost and come back.
//!
//! `cargo xtask test wasm` starts a Directus that takes this page's origin, and names it when this file is compiled.
#![cfg(target_arch = "wasm32")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use any_spawner::Executor;
use futures::StreamExt;
use js_sys::Function;
use leptos::{mount::mount_to, prelude::*};
use leptos_directus::{
    ConnectionStatus, Directus, DirectusOptions, Filter, LiveStatus, Message, Query, SubscribeOptions,
    UseRealtimeCollectionReturn,
    engine::Counts,
    protocol::{number, optional_number},
    provide_directus, use_directus, use_realtime_aggregate, use_realtime_collection, use_realtime_infinite,
};
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const NOT_SET: &str = "`cargo xtask test wasm` starts a Directus and says where it is";

/// What was set when this file was compiled; it is compiled without, too, where it is only looked at.
fn set(variable: Option<&'static str>) -> &'static str {
    variable.expect(NOT_SET)
}

fn directus_url() -> &'static str {
    set(option_env!("DIRECTUS_TEST_URL"))
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Post {
    title: String,
}

/// A page with a connection of its own; nobody stands between it and Directus.
fn page() -> (Owner, Directus) {
    // Whoever comes second finds the executor there.
    let _ = Executor::init_wasm_bindgen();
    let owner = Owner::new();
    owner.set();
    let socket = format!("{}/websocket", directus_url().replacen("http", "ws", 1));
    let options = DirectusOptions::default().rest_path(directus_url()).ws_path(socket);
    provide_directus(options.linger(Duration::from_millis(50)));
    (owner, use_directus())
}

/// Looks again at each of the browser's frames until it is so; the test runner's own limit ends what never is.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        gloo_timers::future::TimeoutFuture::new(10).await;
    }
}

/// Writes as the administrator, from the same page and by other means.
async fn write(method: &str, path: &str, body: &Value) -> Value {
    let send = "(async (url, method, token, body) => { \
        const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }; \
        const answer = await fetch(url, { method, headers, body }); \
        if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`); \
        return answer.text(); })";
    let token = set(option_env!("DIRECTUS_TEST_ADMIN_TOKEN"));
    let arguments = [&format!("{}{path}", directus_url()), method, token, &body.to_string()].map(JsValue::from);
    let send: Function = js_sys::eval(send).unwrap().unchecked_into();
    let promise = send.apply(&JsValue::NULL, &arguments.into_iter().collect()).unwrap();
    let answer = JsFuture::from(js_sys::Promise::from(promise)).await.unwrap().as_string().unwrap();
    serde_json::from_str::<Value>(&answer).map_or(Value::Null, |mut answer| answer["data"].take())
}

async fn delete_titled(beginning: &str) {
    let filter = json!({ "title": { "_starts_with": beginning } });
    write("DELETE", "/items/posts", &json!({ "query": { "filter": filter, "limit": -1 } })).await;
}

/// The sockets that this page opens, from now until it is dropped.
struct Sockets(Function);

impl Sockets {
    fn watch() -> Self {
        let watch = "(() => { const before = window.WebSocket; window.sockets = []; \
            window.WebSocket = class extends before { \
                constructor(...a) { super(...a); window.sockets.push(this); } }; \
            return () => { window.WebSocket = before; }; })()";
        Self(js_sys::eval(watch).unwrap().unchecked_into())
    }

    fn number(&self, which: &str) -> f64 {
        js_sys::eval(&format!("window.sockets.filter((socket) => {which}).length")).unwrap().as_f64().unwrap()
    }

    fn lose(&self) {
        js_sys::eval("window.sockets.forEach((socket) => socket.close())").unwrap();
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = self.0.call0(&JsValue::NULL);
    }
}

#[wasm_bindgen_test]
async fn a_list_is_live_over_a_real_socket_and_makes_good_what_a_lost_one_missed() {
    let (owner, directus) = page();
    let sockets = Sockets::watch();
    let component = owner.child();
    let query = Query::new().filter(Filter::field("title").starts_with("In a browser")).sort("title");
    let posts = component.with(|| use_realtime_collection::<Post>("posts", query));
    let shows = async |titles: &[&str]| {
        until(async || {
            let items = posts.items().get_untracked();
            items.iter().map(|post| post.title.as_str()).eq(titles.iter().copied())
        })
        .await;
    };
    until(async || posts.status().get_untracked() == LiveStatus::Live).await;
    assert_eq!(posts.error().get_untracked(), None);
    let first = write("POST", "/items/posts", &json!({ "title": "In a browser: one", "status": "draft" })).await;
    shows(&["In a browser: one"]).await;
    sockets.lose();
    // Back within an instant, maybe: only the second socket tells that there was a loss.
    until(async || sockets.number("true") > 1.0).await;
    assert_eq!(posts.items().get_untracked().len(), 1, "the rows stay");
    let second = write("POST", "/items/posts", &json!({ "title": "In a browser: two", "status": "draft" })).await;
    shows(&["In a browser: one", "In a browser: two"]).await;
    until(async || posts.status().get_untracked() == LiveStatus::Live).await;
    assert_eq!(sockets.number("true"), 2.0, "one for each time");
    assert_eq!(directus.status().get_untracked(), ConnectionStatus::Connected);
    write("DELETE", "/items/posts", &json!([first["id"], second["id"]])).await;
    shows(&[]).await;
    component.cleanup();
    until(async || directus.counts().await == Counts::default()).await;
    until(async || sockets.number("socket.readyState < WebSocket.CLOSED") == 0.0).await;
}

#[wasm_bindgen_test]
async fn a_stream_over_a_real_socket_tells_what_happens() {
    let (_owner, directus) = page();
    let query = Query::new().filter(Filter::field("title").starts_with("In a stream"));
    let subscribing = directus.subscribe::<Post>("posts", SubscribeOptions::new().uid("stream").query(query));
    let mut stream = subscribing.await.unwrap();
    let told = stream.next().await;
    assert!(
        matches!(&told, Some(Message::Init { uid, data, .. }) if uid.as_deref() == Some("stream") && data.is_empty())
    );
    let row = write("POST", "/items/posts", &json!({ "title": "In a stream: one", "status": "draft" })).await;
    let told = stream.next().await;
    assert!(matches!(&told, Some(Message::Create { data, .. }) if data[0].title == "In a stream: one"), "{told:?}");
    let path = format!("/items/posts/{}", row["id"]);
    write("PATCH", &path, &json!({ "title": "In a stream: ONE" })).await;
    let told = stream.next().await;
    assert!(matches!(&told, Some(Message::Update { data, .. }) if data[0].title == "In a stream: ONE"), "{told:?}");
    write("DELETE", "/items/posts", &json!([row["id"]])).await;
    let told = stream.next().await;
    assert!(matches!(&told, Some(Message::Delete { keys, .. }) if keys.len() == 1), "{told:?}");
    stream.unsubscribe();
    assert!(stream.next().await.is_none());
}

/// How often rows of a list are made, and how often their texts are rendered.
#[derive(Clone, Default)]
struct Renders {
    rows: Arc<AtomicU32>,
    texts: Arc<AtomicU32>,
}

impl Renders {
    fn counts(&self) -> (u32, u32) {
        (self.rows.load(Relaxed), self.texts.load(Relaxed))
    }

    fn list(self, posts: UseRealtimeCollectionReturn<Post>) -> impl IntoView {
        let row = move |key| {
            self.rows.fetch_add(1, Relaxed);
            let (post, texts) = (posts.item(key), Arc::clone(&self.texts));
            let text = move || {
                texts.fetch_add(1, Relaxed);
                post.get().map(|post| post.title)
            };
            view! { <li>{text}</li> }
        };
        view! { <ul id="counted"><For each=move || posts.keys().get() key=|key| key.clone() children=row /></ul> }
    }
}

/// What changes in the list's part of the page, from now on.
struct Changes(Function);

impl Changes {
    fn watch() -> Self {
        let watch = "(() => { const list = document.getElementById('counted'); \
            const seen = []; \
            const note = (records) => seen.push(...records.map((record) => record.type)); \
            const observer = new MutationObserver(note); \
            observer.observe(list, { subtree: true, childList: true, characterData: true, attributes: true }); \
            return () => { note(observer.takeRecords()); return seen.splice(0).join(' '); }; })()";
        Self(js_sys::eval(watch).unwrap().unchecked_into())
    }

    /// The kinds of changes since it was asked last.
    fn take(&self) -> String {
        self.0.call0(&JsValue::NULL).unwrap().as_string().unwrap()
    }
}

#[wasm_bindgen_test]
async fn one_changed_row_of_a_thousand_is_one_render_and_one_text() {
    let rows: Vec<Value> =
        (0..1_000).map(|number| json!({ "title": format!("Counted: {number:04}"), "status": "draft" })).collect();
    let made = write("POST", "/items/posts?fields=id", &json!(rows)).await;
    let (owner, _directus) = page();
    let query = Query::new().filter(Filter::field("title").starts_with("Counted")).sort("id");
    let posts = owner.with(|| use_realtime_collection::<Post>("posts", query));
    until(async || posts.status().get_untracked() == LiveStatus::Live).await;
    let renders = Renders::default();
    let mounted = mount_to(document().body().unwrap(), {
        let renders = renders.clone();
        move || renders.list(posts)
    });
    assert_eq!(renders.counts(), (1_000, 1_000));
    let changes = Changes::watch();
    let path = format!("/items/posts/{}", made[500]["id"]);
    let shows = async |title: &str| {
        until(async || posts.items().get_untracked().get(500).is_some_and(|post| post.title == title)).await;
    };
    write("PATCH", &path, &json!({ "title": "Counted: another" })).await;
    shows("Counted: another").await;
    // Rendering follows the signal by a task.
    until(async || renders.counts() != (1_000, 1_000)).await;
    assert_eq!((renders.counts(), changes.take().as_str()), ((1_000, 1_001), "characterData"));
    // One that changes nothing of what is asked for, and then one that does.
    write("PATCH", &path, &json!({ "status": "review" })).await;
    write("PATCH", &path, &json!({ "title": "Counted: once more" })).await;
    shows("Counted: once more").await;
    until(async || renders.counts() != (1_000, 1_001)).await;
    assert_eq!((renders.counts(), changes.take().as_str()), ((1_000, 1_002), "characterData"));
    drop(mounted);
    delete_titled("Counted").await;
}

/// What is read, from now on.
const READS: &str = r#"
    window.realFetch ??= window.fetch;
    window.reads = [];
    window.fetch = (request, ...more) => {
        if (request.method === "GET" || request.method === "SEARCH") window.reads.push(decodeURIComponent(request.url));
        return window.realFetch(request, ...more);
    };
"#;

/// Long enough a list that rows are read by their keys, and put into their places here.
#[wasm_bindgen_test]
async fn rows_that_are_read_by_keys_come_go_and_move_in_the_page_as_in_directus() {
    const MADE: usize = 83;
    js_sys::eval(READS).unwrap();
    let mut rows: Vec<(i64, String)> = Vec::new();
    for number in 0..MADE {
        rows.push((i64::try_from(number * 100).unwrap(), format!("Placed: {number}")));
    }
    let bodies: Vec<Value> = rows.iter().map(|(views, title)| json!({ "title": title, "views": views })).collect();
    let made = write("POST", "/items/posts?fields=id", &json!(bodies)).await;
    let mut ids: Vec<i64> = made.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
    let (owner, _directus) = page();
    let query =
        Query::new().filter(Filter::field("title").starts_with("Placed")).sort("views").fields(["title", "views"]);
    let posts = owner.with(|| use_realtime_collection::<Post>("posts", query));
    until(async || posts.status().get_untracked() == LiveStatus::Live).await;
    let parent = document().create_element("div").unwrap();
    let mounted = mount_to(parent.clone().unchecked_into(), move || {
        let row = move |key| {
            let post = posts.item(key);
            view! { {move || post.get().map(|post| post.title)} "," }
        };
        view! { <For each=move || posts.keys().get() key=|key| key.clone() children=row /> }
    });
    let key_reads = || js_sys::eval(r#"window.reads.filter((url) => url.includes("_in")).length"#).unwrap().as_f64();
    let mut random = fastrand::Rng::with_seed(1);
    let mut below = |bound: usize| random.usize(..bound);
    for round in 0_i64.. {
        // In the first seconds, and now and then afterwards, the window is read.
        if key_reads() >= Some(20.0) {
            break;
        }
        let at = below(rows.len());
        let (views, title) =
            (i64::try_from(below(8_300)).unwrap() * 100 + 1 + round % 90, format!("Placed: in round {round}"));
        match below(4) {
            0 => {
                let new = write("POST", "/items/posts?fields=id", &json!({ "title": title, "views": views })).await;
                rows.push((views, title));
                ids.push(new["id"].as_i64().unwrap());
            }
            1 if rows.len() > 70 => {
                write("DELETE", "/items/posts", &json!([ids.remove(at)])).await;
                rows.remove(at);
            }
            _ => {
                let change = json!({ "title": title, "views": views });
                write("PATCH", &format!("/items/posts/{}", ids[at]), &change).await;
                rows[at] = (views, title);
            }
        }
        let mut wanted: Vec<_> = rows.iter().zip(&ids).map(|((views, title), id)| (*views, *id, title)).collect();
        wanted.sort_unstable();
        let wanted = wanted.iter().map(|(.., title)| format!("{title},")).collect::<String>();
        until(async || parent.text_content().unwrap() == wanted).await;
    }
    drop(mounted);
    delete_titled("Placed").await;
    owner.cleanup();
    js_sys::eval("window.fetch = window.realFetch").unwrap();
}

#[wasm_bindgen_test]
async fn a_growing_list_loads_more_in_the_page_and_keeps_what_is_there() {
    let titled = |title: &str| format!("Grown: {title}");
    let create =
        async |title: &str| write("POST", "/items/posts", &json!({ "title": titled(title) })).await["id"].take();
    let rows: Vec<Value> = ["a", "b", "c", "d", "e"].map(|title| json!({ "title": titled(title) })).to_vec();
    write("POST", "/items/posts", &json!(rows)).await;
    let (owner, directus) = page();
    let component = owner.child();
    let query = Query::new().filter(Filter::field("title").starts_with("Grown")).sort("title");
    let posts = component.with(|| use_realtime_infinite::<Post>("posts", query, 2));
    let parent = document().create_element("ul").unwrap();
    let mounted = mount_to(parent.clone().unchecked_into(), move || {
        let row = move |key| {
            let post = posts.item(key);
            view! { <li>{move || post.get().map(|post| post.title)}</li> }
        };
        view! { <For each=move || posts.keys().get() key=|key| key.clone() children=row /> }
    });
    let is_shown = |titles: &[&str]| {
        parent.text_content().unwrap() == titles.iter().map(|title| titled(title)).collect::<String>()
    };
    let shows = async |titles: &[&str], has_more: bool| {
        until(async || is_shown(titles) && posts.has_more().get_untracked() == has_more).await;
    };
    shows(&["a", "b"], true).await;
    until(async || posts.list().status().get_untracked() == LiveStatus::Live).await;
    let (first, keys) = (parent.first_element_child().unwrap(), posts.keys());
    let seen = StoredValue::new(Vec::<usize>::new());
    component.with(|| {
        Effect::new(move |_| {
            let count = keys.get().len();
            seen.update_value(|seen| seen.push(count));
        });
    });
    posts.load_more();
    shows(&["a", "b", "c", "d"], true).await;
    let new = create("0").await;
    shows(&["0", "a", "b", "c"], true).await;
    write("PATCH", &format!("/items/posts/{new}"), &json!({ "title": titled("cc") })).await;
    shows(&["a", "b", "c", "cc"], true).await;
    write("DELETE", "/items/posts", &json!([new])).await;
    shows(&["a", "b", "c", "d"], true).await;
    posts.load_more();
    shows(&["a", "b", "c", "d", "e"], false).await;
    posts.load_more();
    assert!(!posts.is_loading_more().get_untracked(), "there is nothing to load");
    create("f").await;
    shows(&["a", "b", "c", "d", "e", "f"], false).await;
    create("g").await;
    shows(&["a", "b", "c", "d", "e", "f"], true).await;
    posts.load_more();
    shows(&["a", "b", "c", "d", "e", "f", "g"], false).await;
    assert!(first.is_same_node(parent.first_element_child().as_deref()), "the first row is the same element");
    until(async || seen.get_value().last() == Some(&7)).await;
    assert!(seen.get_value().iter().all(|count| *count >= 2), "rows were lost: {:?}", seen.get_value());
    assert_eq!((posts.list().status().get_untracked(), posts.list().error().get_untracked()), (LiveStatus::Live, None));
    drop(mounted);
    component.cleanup();
    until(async || directus.counts().await == Counts::default()).await;
    delete_titled("Grown").await;
}

#[wasm_bindgen_test]
async fn counts_and_groups_follow_in_the_page() {
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Lane {
        status: String,
        #[serde(deserialize_with = "number")]
        count: u64,
    }
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Total {
        #[serde(deserialize_with = "number")]
        count: u64,
    }
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Views {
        #[serde(deserialize_with = "optional_number")]
        views: Option<i64>,
    }
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Sum {
        sum: Views,
    }
    let create = async |title: &str, status: &str| {
        let row = json!({ "title": format!("Tallied: {title}"), "status": status });
        write("POST", "/items/posts", &row).await["id"].take()
    };
    let one = create("one", "draft").await;
    create("two", "review").await;
    let (owner, directus) = page();
    let component = owner.child();
    let ours = || Query::new().filter(Filter::field("title").starts_with("Tallied"));
    let (posts, lanes, all, sum) = component.with(|| {
        (
            use_realtime_collection::<Post>("posts", ours().limit(1).meta("*")),
            use_realtime_aggregate::<Lane>("posts", ours().aggregate("count", "*").group_by("status").sort("status")),
            use_realtime_aggregate::<Total>("posts", Query::new().aggregate("count", "*")),
            use_realtime_aggregate::<Sum>("posts", ours().aggregate("sum", "views")),
        )
    });
    let lanes_shown = document().create_element("ul").unwrap();
    let mounted = mount_to(lanes_shown.clone().unchecked_into(), move || {
        move || lanes.groups().get().into_iter().map(|lane| format!("{} {}, ", lane.status, lane.count)).collect_view()
    });
    let are = async |count: u64, groups: &str, views: Option<i64>| {
        until(async || {
            let all = all.first().get_untracked().map(|all| all.count);
            all.is_some()
                && posts.total_count().get_untracked() == all
                && posts.filter_count().get_untracked() == Some(count)
                && lanes_shown.text_content().unwrap() == groups
                && sum.first().get_untracked().map(|sum| sum.sum.views) == Some(views)
        })
        .await;
        all.first().get_untracked().map(|all| all.count)
    };
    let first = are(2, "draft 1, review 1, ", Some(0)).await;
    let is_live = async || {
        let statuses = [posts.status(), lanes.status(), all.status(), sum.status()];
        statuses.iter().all(|status| status.get_untracked() == LiveStatus::Live)
    };
    until(is_live).await;
    create("three", "draft").await;
    let more = are(3, "draft 2, review 1, ", Some(0)).await;
    assert_eq!(more, first.map(|all| all + 1), "of all posts");
    write("PATCH", &format!("/items/posts/{one}"), &json!({ "views": 7, "status": "published" })).await;
    are(3, "draft 1, published 1, review 1, ", Some(7)).await;
    write("DELETE", "/items/posts", &json!([one])).await;
    assert_eq!(are(2, "draft 1, review 1, ", Some(0)).await, first);
    assert_eq!(posts.items().get_untracked().len(), 1, "one row, and the counts of all");
    delete_titled("Tallied").await;
    assert_eq!(are(0, "", None).await, first.map(|all| all - 2), "nothing has no sum");
    assert!(is_live().await);
    drop(mounted);
    component.cleanup();
    until(async || directus.counts().await == Counts::default()).await;
}
