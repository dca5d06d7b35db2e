use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{
    connection::ConnectionConfig,
    live::Splice,
    rest::Rest,
    transport::{Credentials, HttpClient, SocketTarget},
};

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Post {
    title: String,
}

fn view() -> View<Post> {
    let target = Target::new::<Post>("posts", &UseRealtimeCollectionOptions::default(), Query::new().sort("-views"));
    View::new(&target, LiveStatus::Live)
}

fn row(id: &str, title: &Value) -> (Key, Arc<Value>) {
    (id.into(), Arc::new(json!({ "id": id, "views": 1, "title": title })))
}

fn loaded(rows: &[(&str, Value)]) -> View<Post> {
    let view = view();
    view.server(RowChanges {
        order: Some(rows.iter().map(|(id, _)| Key::from(*id)).collect()),
        changed: rows.iter().map(|(id, title)| row(id, title)).collect(),
        ..RowChanges::default()
    });
    view
}

fn keys(view: &View<Post>) -> Vec<String> {
    view.keys.get_untracked().iter().map(ToString::to_string).collect()
}

fn titles(view: &View<Post>) -> Vec<String> {
    untrack(|| view.items()).into_iter().map(|post| post.title).collect()
}

#[test]
fn a_row_that_changes_in_place_leaves_the_keys_alone() {
    let owner = Owner::new();
    owner.with(|| {
        let view = loaded(&[("1", json!("a")), ("2", json!("b"))]);
        let told = Arc::new(AtomicUsize::new(0));
        let memo = Memo::new({
            let (keys, told) = (view.keys.clone(), Arc::clone(&told));
            move |_| {
                told.fetch_add(1, Ordering::Relaxed);
                keys.get()
            }
        });
        memo.get_untracked();
        view.server(RowChanges { changed: vec![row("2", &json!("c"))], ..RowChanges::default() });
        memo.get_untracked();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        assert_eq!(titles(&view), ["a", "c"]);
        view.server(RowChanges {
            splices: vec![Splice::Remove(0)],
            removed: vec!["1".into()],
            ..RowChanges::default()
        });
        memo.get_untracked();
        assert_eq!(told.load(Ordering::Relaxed), 2);
        assert_eq!(titles(&view), ["c"]);
    });
}

#[test]
fn rows_enter_leave_and_move_step_by_step() {
    let owner = Owner::new();
    owner.with(|| {
        let view = loaded(&[("1", json!("a")), ("2", json!("b")), ("3", json!("c"))]);
        view.server(RowChanges {
            splices: vec![
                Splice::Remove(2),
                Splice::Remove(0),
                Splice::Insert(0, "3".into()),
                Splice::Insert(2, "4".into()),
            ],
            changed: vec![row("4", &json!("d"))],
            removed: vec!["1".into()],
            ..RowChanges::default()
        });
        assert_eq!(
            (keys(&view), titles(&view)),
            (vec!["3".into(), "2".into(), "4".into()], vec!["c".to_owned(), "b".to_owned(), "d".to_owned()])
        );
    });
}

#[test]
fn places_count_the_rows_that_do_not_fit_too() {
    let owner = Owner::new();
    owner.with(|| {
        let view = loaded(&[("1", json!(1)), ("2", json!("b"))]);
        assert_eq!(keys(&view), ["2"]);
        let enter = |at: usize, id: &str, title: Value| RowChanges {
            splices: vec![Splice::Insert(at, id.into())],
            changed: vec![row(id, &title)],
            ..RowChanges::default()
        };
        view.server(enter(1, "3", json!("c")));
        assert_eq!(keys(&view), ["3", "2"]);
        // It fits now, and shows, without anybody's saying that the order changed.
        view.server(RowChanges { changed: vec![row("1", &json!("a"))], ..RowChanges::default() });
        assert_eq!(
            (keys(&view), titles(&view)),
            (vec!["1".into(), "3".into(), "2".into()], vec!["a".to_owned(), "c".to_owned(), "b".to_owned()])
        );
        assert_eq!(view.error(), None);
        view.server(enter(3, "4", json!(4)));
        assert_eq!(keys(&view), ["1", "3", "2"]);
        assert!(view.error().is_some());
    });
}

#[test]
fn queries_that_show_other_fields_are_not_shared() {
    let target = |fields: &str| {
        let query = Query::new().fields(fields).sort("-views");
        Target::new::<Value>("posts", &UseRealtimeCollectionOptions::default(), query)
    };
    assert_eq!(target("title").query.canonical(), target("title,id,views").query.canonical());
    assert_ne!(target("title").name, target("title,id,views").name);
    assert_eq!(target("title,status").name, target("status,title").name);
}

/// A page whose Directus is not there.
fn lonely() -> Core {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rest = Rest::new(HttpClient::default(), &format!("http://{free}"), Credentials::Ambient);
    let target = SocketTarget { url: format!("ws://{free}/websocket"), credentials: Credentials::Ambient };
    Core::live(rest, target, ConnectionConfig::default())
}

/// A list as it stands before it is connected, with one row in the HTML, of the query as it was then.
fn from_html(core: &Arc<Core>, query: RwSignal<Query>) -> LiveView<Post> {
    let target = move || Target::new::<Post>("posts", &UseRealtimeCollectionOptions::default(), query.get());
    let read = untrack(target);
    let page = Page { items: vec![json!({ "id": 1, "title": "in the HTML" })], meta: None };
    let view = View::new(&read, LiveStatus::Paused);
    view.load("id", Ok(page.clone()));
    let this = LiveView {
        connection: core.status.clone().into(),
        first: StoredValue::new(None),
        shown: RwSignal::new(Arc::new(view)),
        coming: RwSignal::new(None),
        held: StoredValue::new(None),
        paused: RwSignal::new(true),
        core: StoredValue::new(Arc::clone(core)),
        asked: StoredValue::new(Ok(read.clone())),
    };
    this.follow(core.client().unwrap().clone(), move || Ok(target()), Some((read.name, page)));
    this
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.expect("it comes to be so");
}

#[tokio::test]
async fn rows_of_the_html_are_those_of_the_query_that_they_were_read_for() {
    // Whoever comes second finds the executor there.
    let _ = any_spawner::Executor::init_tokio();
    let owner = Owner::new();
    owner.set();
    let core = Arc::new(lonely());
    for (asked, is_same) in [(Query::new().sort("title"), true), (Query::new().sort("-title"), false)] {
        let query = RwSignal::new(Query::new().sort("title"));
        let posts = from_html(&core, query);
        query.set(asked.clone());
        posts.connect();
        until(|| posts.held.with_value(Option::is_some)).await;
        // Whoever asks for the same question now gets what it has.
        let target = Target::new::<Post>("posts", &UseRealtimeCollectionOptions::default(), asked);
        let (_held, shared) = target.hold::<Post>(core.client().unwrap(), None);
        assert_eq!(titles(&shared), if is_same { vec!["in the HTML"] } else { Vec::new() });
        // The rows that are there stay, and are not called the new query's.
        assert_eq!(untrack(|| posts.items().get()).len(), 1);
        until(|| untrack(|| posts.status().get()) == LiveStatus::Stale).await;
        if !is_same {
            until(|| untrack(|| posts.error().get()).is_some_and(|error| error.is_network())).await;
        }
    }
}

#[test]
fn the_server_and_the_browser_tell_questions_apart_alike() {
    let options = UseRealtimeCollectionOptions::default();
    let mark = |collection: &str, query: Query| Target::new::<Post>(collection, &options, query).mark();
    let asked = mark("posts", Query::new().sort("title").limit(3));
    assert_eq!(asked, mark("posts", Query::new().limit(3).sort("title")));
    assert_ne!(asked, mark("pages", Query::new().sort("title").limit(3)));
    assert_ne!(asked, mark("posts", Query::new().sort("-title").limit(3)));
}
