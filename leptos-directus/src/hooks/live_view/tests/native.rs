//! Lists that read, or try to, on tokio.

use std::time::Duration;

use super::*;
use crate::{
    User,
    connection::ConnectionConfig,
    protocol::Filter,
    rest::Rest,
    transport::{Credentials, HttpClient, SocketTarget},
};

/// A page whose Directus is not there.
fn lonely() -> Core {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rest = Rest::new(HttpClient::default(), &format!("http://{free}"), Credentials::Ambient);
    let target = SocketTarget { url: format!("ws://{free}/websocket"), credentials: Credentials::Ambient };
    Core::live(rest, target, ConnectionConfig { linger: Duration::from_millis(1), ..ConnectionConfig::default() })
}

/// Such a page, as the current one.
fn lonely_page() -> (Owner, Arc<Core>) {
    // Whoever comes second finds the executor there.
    let _ = any_spawner::Executor::init_tokio();
    let owner = Owner::new();
    owner.set();
    (owner, Arc::new(lonely()))
}

/// A list as it stands before it is connected, with one row in the HTML, of the query as it was then.
fn from_html(core: &Arc<Core>, query: RwSignal<Query>) -> LiveView<Post> {
    let target = move || Target::new::<Post>("posts", &UseRealtimeCollectionOptions::default(), query.get());
    from_html_of(core, Arc::new(target))
}

fn from_html_of(core: &Arc<Core>, target: Arc<dyn Fn() -> Target + Send + Sync>) -> LiveView<Post> {
    let read = untrack(|| target());
    let page = Page { items: vec![json!({ "id": 1, "title": "in the HTML" })], meta: None };
    let view = View::new(&read, LiveStatus::Paused);
    view.load("id", Ok(page.clone()));
    let this = LiveView {
        connection: core.status.clone().into(),
        first: StoredValue::new(None),
        shown: SharedSignal::new(Arc::new(view)),
        row_readers: StoredValue::default(),
        wait_readers: StoredValue::default(),
        coming: SharedSignal::new(None),
        held: SharedSignal::new(None),
        paused: SharedSignal::new(true),
        core: StoredValue::new(Arc::clone(core)),
        asked: SharedSignal::new(Ok(read.clone())),
        now: StoredValue::new(Arc::new(move || Ok(target()))),
    };
    this.follow(core.client().unwrap().clone(), Some((read.name, page, Seen::NotAsked)));
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
    let (_owner, core) = lonely_page();
    for (asked, is_same) in [(Query::new().sort("title"), true), (Query::new().sort("-title"), false)] {
        let query = RwSignal::new(Query::new().sort("title"));
        let posts = from_html(&core, query);
        query.set(asked.clone());
        posts.connect();
        until(|| posts.held.try_with_untracked(Option::is_some).unwrap()).await;
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

fn user(id: &str) -> Option<User> {
    serde_json::from_value(json!({ "id": id })).unwrap()
}

/// It failed: whoever logged in after somebody who had paused a list saw their rows.
#[tokio::test]
async fn a_paused_list_keeps_no_rows_of_a_visitor_who_is_gone() {
    let (_owner, core) = lonely_page();
    let is = |who: Option<User>| core.identity.settle(core.identity.begin(), who);
    is(user("ada"));
    let query = RwSignal::new(Query::new());
    let posts = from_html(&core, query);
    any_spawner::Executor::tick().await;
    let count = || untrack(|| posts.items().get()).len();
    is(user("ada"));
    any_spawner::Executor::tick().await;
    assert_eq!(count(), 1, "it is still her");
    is(None);
    until(|| count() == 0).await;
    assert_eq!(untrack(|| posts.status().get()), LiveStatus::Paused);
    // Nor do they come back where nothing can be read.
    posts.connect();
    until(|| untrack(|| posts.error().get()).is_some_and(|error| error.is_network())).await;
    assert_eq!(count(), 0);
}

/// It failed: once it was to be live again, nobody held what was shown until the new rows came, and they never did.
#[tokio::test]
async fn nor_does_one_that_is_on_its_way_to_be_live() {
    let (_owner, core) = lonely_page();
    let is = |who: Option<User>| core.identity.settle(core.identity.begin(), who);
    is(user("ada"));
    let posts = from_html(&core, RwSignal::new(Query::new()));
    any_spawner::Executor::tick().await;
    let count = || untrack(|| posts.items().get()).len();
    let client = core.client().unwrap();
    for is_live in [true, false] {
        if is_live {
            posts.connect()
        } else {
            posts.disconnect()
        }
        while client.inspect().await.queries != usize::from(is_live) {
            tokio::task::yield_now().await;
        }
    }
    posts.connect();
    until(|| untrack(|| posts.is_changing().get())).await;
    assert_eq!(count(), 1, "what was there stays until the new rows come");
    is(None);
    until(|| count() == 0).await;
}

/// It failed: the row that was deleted was not the one on the page.
#[tokio::test]
async fn an_item_is_written_only_where_it_is_the_one_that_is_shown() {
    let (_owner, core) = lonely_page();
    let key = RwSignal::new(Key::from("01"));
    let target = move || {
        let mut options = UseRealtimeCollectionOptions::default();
        options.config.only_key = Some(key.get());
        Target::new::<Post>("posts", &options, Query::new().filter(Filter::field("id").eq(key.get())))
    };
    let post = from_html_of(&core, Arc::new(target));
    let pending = || untrack(|| post.pending().get()).len();
    post.connect();
    assert!(post.update_only(&json!({ "title": "new" })).is_ok(), "another spelling of the same key");
    until(|| pending() == 1).await;
    until(|| untrack(|| post.items().get()).iter().any(|post| post.title == "new")).await;
    // Keys that are text may differ by no more: as long as the row of before is shown, what is asked for is written to.
    key.set("1.0".into());
    assert!(post.update_only(&json!({ "title": "newer" })).is_ok());
    until(|| pending() == 2).await;
    let rows = untrack(|| post.pending().get()).into_iter().map(|write| write.row).collect::<Vec<_>>();
    assert_eq!(rows, [Some(RowKey::from(1)), Some(RowKey::from("1.0"))]);
    key.set(2.into());
    for made in [post.update_only(&json!({ "title": "new" })), post.delete_only()] {
        let Err(error) = made else { panic!("it was written to a row that is not there") };
        assert!(error.message().contains("item 2") && error.message().contains("still shows 1"), "{error}");
    }
    assert_eq!(pending(), 2);
}

#[tokio::test]
async fn what_is_stale_says_so_in_both_ways() {
    let (_owner, core) = lonely_page();
    let query = RwSignal::new(Query::new().sort("title"));
    let posts = from_html(&core, query);
    posts.connect();
    query.set(Query::new().sort("-title"));
    until(|| untrack(|| posts.error().get()).is_some()).await;
    // The rows of the query before are kept true; they are not those that are asked for.
    posts.shown.try_get_untracked().unwrap().status.set(LiveStatus::Live);
    assert_eq!(untrack(|| (posts.status().get(), posts.is_stale().get())), (LiveStatus::Stale, true));
}

/// It failed: with a row that does not fit, or one that was deleted here and not there yet, there seemed to be no more.
#[tokio::test]
async fn there_is_more_as_long_as_the_server_gives_more() {
    let (_owner, core) = lonely_page();
    // Pages of two rows.
    let posts = from_html(&core, RwSignal::new(Query::new().limit(3)));
    let gives = |rows: serde_json::Value| {
        let changes = Window::default().replace("id", serde_json::from_value(rows).unwrap());
        posts.shown.try_get_untracked().unwrap().server(changes);
        untrack(|| (posts.items().get().len(), posts.has_more()))
    };
    let (good, bad) = (json!({ "id": 1, "title": "a" }), json!({ "id": 2, "title": 5 }));
    assert_eq!(gives(json!([good, bad, { "id": 3, "title": "c" }])), (2, true));
    assert_eq!(gives(json!([good, bad])), (1, false));
}

/// Those who read one row each, and how often each of them was told.
fn readers<R: Clone + PartialEq + Send + Sync + 'static>(
    read: impl Fn(&'static str) -> Signal<R>,
) -> (Owner, [Memo<(usize, R)>; 2]) {
    let owner = Owner::new();
    let memos = owner.with(|| {
        ["1", "2"].map(|key| {
            let row = read(key);
            Memo::new(move |before: Option<&(usize, R)>| (before.map_or(1, |(runs, _)| runs + 1), row.get()))
        })
    });
    (owner, memos)
}

/// It failed: whoever read a row hung on what all rows hang on, for as long as the list showed the same query.
#[tokio::test]
async fn who_reads_one_row_goes_with_its_component() {
    let (_owner, core) = lonely_page();
    let posts = from_html(&core, RwSignal::new(Query::new()));
    let count = || (posts.row_readers.get_value().count(), posts.wait_readers.get_value().count());
    for _ in 0..3 {
        let (item, _) = readers(|key| posts.item(key.into()));
        let (key, _) = readers(|key| posts.key_of(key.into()));
        let (pending, _) = readers(|key| posts.is_pending(key.into()));
        assert_eq!(count(), (4, 2));
        // As a component does that asks for another row each time.
        let (again, memos) = readers(|_| Signal::derive(move || posts.item(posts.keys().get()[0].clone()).get()));
        for _ in 0..3 {
            posts.show(posts.shown.try_get_untracked().unwrap());
            assert!(memos.iter().all(|memo| memo.get_untracked().1.is_some()));
            assert_eq!(count(), (6, 2));
        }
        for owner in [item, key, pending, again] {
            owner.cleanup();
        }
        assert_eq!(count(), (0, 0));
    }
}

#[tokio::test]
async fn who_reads_one_row_is_told_of_it_and_of_another_list_only() {
    let (_owner, core) = lonely_page();
    let posts = from_html(&core, RwSignal::new(Query::new()));
    let (_items, items) = readers(|key| posts.item(key.into()));
    let seen = || items.map(|item| item.get_untracked()).map(|(runs, post)| (runs, post.map(|post| post.title)));
    let shows = |title: &str| Some(title.to_owned());
    assert_eq!(seen(), [(1, shows("in the HTML")), (1, None)]);
    let load = |view: &View<Post>, rows: Value| {
        view.server(Window::default().replace("id", serde_json::from_value(rows).unwrap()));
    };
    let first = posts.shown.try_get_untracked().unwrap();
    load(&first, json!([{ "id": 1, "title": "in the HTML" }, { "id": 2, "title": "new" }]));
    assert_eq!(seen(), [(1, shows("in the HTML")), (2, shows("new"))]);
    load(&first, json!([{ "id": 1, "title": "changed" }, { "id": 2, "title": "new" }]));
    assert_eq!(seen(), [(2, shows("changed")), (2, shows("new"))]);
    // It hangs on nothing that all rows hang on.
    posts.shown.set(posts.shown.try_get_untracked().unwrap());
    assert_eq!(seen(), [(2, shows("changed")), (2, shows("new"))]);
    // The rows of another query.
    let other = view();
    load(&other, json!([{ "id": 2, "title": "another's" }]));
    posts.show(Arc::new(other));
    assert_eq!(seen(), [(3, None), (3, shows("another's"))]);
}

#[tokio::test]
async fn who_asks_whether_a_row_waits_is_told_of_that_row_only() {
    let (_owner, core) = lonely_page();
    let posts = from_html(&core, RwSignal::new(Query::new()));
    let (_waits, waits) = readers(|key| posts.is_pending(key.into()));
    let seen = || waits.map(|wait| wait.get_untracked());
    assert_eq!(seen(), [(1, false), (1, false)]);
    let write = |number: u64, collection: &str, row: &str| PendingWrite {
        id: WriteId(number),
        collection: collection.to_owned(),
        row: Some(row.into()),
        change: Change::Delete,
        is_sent: false,
    };
    let of_both = [write(1, "posts", "1"), write(2, "authors", "1")];
    core.pending.set(of_both.to_vec());
    // Whoever asks now need not wait until the others are told.
    assert!(untrack(|| posts.is_pending("1".into()).get()));
    until(|| seen() == [(2, true), (1, false)]).await;
    core.pending.set([of_both[0].clone(), of_both[1].clone(), write(3, "posts", "2")].to_vec());
    until(|| seen() == [(2, true), (2, true)]).await;
    core.pending.set(vec![of_both[1].clone()]);
    until(|| seen() == [(3, false), (3, false)]).await;
    // Another list with the same rows, be it that it holds still: nothing is else.
    let view = posts.shown.try_get_untracked().unwrap();
    posts.show(Arc::new(view.frozen()));
    any_spawner::Executor::tick().await;
    assert_eq!(seen(), [(3, false), (3, false)]);
    // What is asked of another collection's list is another matter.
    core.pending.set(vec![of_both[0].clone()]);
    until(|| seen() == [(4, true), (3, false)]).await;
    posts.show(Arc::new(View { collection: "authors".to_owned(), ..view.frozen() }));
    until(|| seen() == [(5, false), (3, false)]).await;
}

/// It failed: what was over before those who ask were told had been seen by one of them, who was never told that it was over.
#[tokio::test]
async fn who_saw_a_write_that_is_soon_over_is_told_that_it_is() {
    let (_owner, core) = lonely_page();
    let posts = from_html(&core, RwSignal::new(Query::new()));
    let (_waits, [early, late]) = {
        let waits = posts.is_pending("1".into());
        readers(move |_| waits)
    };
    assert_eq!(early.get_untracked(), (1, false));
    any_spawner::Executor::tick().await;
    let write = PendingWrite {
        id: WriteId(1),
        collection: "posts".to_owned(),
        row: Some("1".into()),
        change: Change::Delete,
        is_sent: false,
    };
    core.pending.set(vec![write]);
    assert_eq!(late.get_untracked(), (1, true));
    core.pending.set(Vec::new());
    until(|| !late.get_untracked().1).await;
    assert!(!early.get_untracked().1);
}

/// It failed, with Leptos's own signals below: the reader panicked.
#[test]
fn a_list_can_be_read_while_its_rows_come_and_move() {
    let view = loaded(&[("1", json!("a")), ("2", json!("b"))]);
    let owner = Owner::new();
    let shown = owner.with(|| SharedSignal::new(Arc::new(view.clone())));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            owner.with(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(titles(&shown.try_get_untracked().unwrap()).len(), 2);
                }
            });
        });
        for number in 1..=20_000 {
            let changed = vec![row("2", &json!(format!("number {number}")))];
            let order = Some([["1", "2"], ["2", "1"]][number % 2].map(Key::from).to_vec());
            view.server(RowChanges { order, changed, ..RowChanges::default() });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(titles(&view), ["a", "number 20000"]);
}

/// It failed: what was held still had keys without rows.
#[test]
fn a_list_that_is_held_still_while_rows_come_has_a_row_for_each_key() {
    let view = loaded(&[("1", json!("a"))]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let frozen = view.frozen();
                assert_eq!(keys(&frozen).len(), titles(&frozen).len());
            }
        });
        for _ in 0..20_000 {
            let order = |keys: &[&str]| Some(keys.iter().map(|key| Key::from(*key)).collect());
            let changed = vec![row("2", &json!("b"))];
            view.server(RowChanges { order: order(&["1", "2"]), changed, ..RowChanges::default() });
            view.server(RowChanges { order: order(&["1"]), removed: vec!["2".into()], ..RowChanges::default() });
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// It failed: who looked for it just before it came, and asked to be told just afterwards, was not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_for_a_row_while_it_goes_and_comes_is_told_of_it() {
    let (_owner, _core) = lonely_page();
    let view = loaded(&[("1", json!("a"))]);
    let shown = Arc::new(Mutex::new(None));
    Effect::new_isomorphic({
        let (view, shown) = (view.clone(), Arc::clone(&shown));
        move |_| {
            let title = view.row(&"2".into()).map(|post| post.title);
            *shown.lock().unwrap() = title;
        }
    });
    let order = |keys: &[&str]| Some(keys.iter().map(|key| Key::from(*key)).collect());
    for number in 0..3_000 {
        let title = format!("number {number}");
        view.server(RowChanges { order: order(&["1"]), removed: vec!["2".into()], ..RowChanges::default() });
        let changed = vec![row("2", &json!(title))];
        view.server(RowChanges { order: order(&["1", "2"]), changed, ..RowChanges::default() });
        until(|| shown.lock().unwrap().as_ref() == Some(&title)).await;
    }
}
