//! Writes of live lists, natively under an `Owner`, on a real Directus.
#![cfg(feature = "native")]

mod real;
#[path = "real/relay.rs"]
mod relay;

use std::{future::Future, time::Duration};

use any_spawner::Executor;
use leptos::prelude::*;
use leptos_directus::{
    ConnectionStatus, Directus, DirectusOptions, Filter, NativeOptions, NewRows, Query, RowKey,
    UseRealtimeCollectionOptions, UseRealtimeCollectionReturn, provide_directus, use_realtime_collection,
    use_realtime_collection_with_options, use_realtime_item, use_realtime_singleton,
};
use real::{Admin, counting_key, eventually, field};
use relay::{Fault, Relay};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Post {
    title: Option<String>,
    status: Option<String>,
}

struct Page {
    admin: Admin,
    posts: String,
    directus: Directus,
    link: Relay,
    owner: Owner,
    _turn: MutexGuard<'static, ()>,
}

/// One test at a time: each begins by removing the collections of the one before.
static TURN: Mutex<()> = Mutex::const_new(());

fn uuid_key() -> Value {
    json!({ "field": "id", "type": "uuid", "meta": {}, "schema": { "is_primary_key": true } })
}

impl Page {
    async fn open() -> Self {
        Self::with(counting_key(), true).await
    }

    /// With this key, as an administrator or as nobody.
    async fn with(key: Value, is_admin: bool) -> Self {
        // Whoever comes second finds the executor there.
        let _ = Executor::init_tokio();
        let turn = TURN.lock().await;
        let admin = Admin::new();
        admin.remove_collections(&["writes", "masthead"]).await;
        let mut title = field("title", "string");
        title["schema"] = json!({ "is_unique": true });
        let posts = admin.collection("writes", key, vec![title, field("status", "string")]).await;
        let link = Relay::to(&admin.url).unwrap();
        let owner = Owner::new();
        owner.set();
        let mut options = NativeOptions::new(link.url()).linger(Duration::from_millis(20));
        if is_admin {
            options = options.token(&admin.token);
        }
        let directus = Directus::native(options);
        directus.provide();
        Self { admin, posts, directus, link, owner, _turn: turn }
    }

    /// The posts by title, newest last, and their rows before anything is written.
    async fn list(&self, rows: &[&str]) -> UseRealtimeCollectionReturn<Post> {
        self.list_with(rows, UseRealtimeCollectionOptions::default().new_rows(NewRows::Last)).await
    }

    async fn list_with(
        &self,
        rows: &[&str],
        options: UseRealtimeCollectionOptions,
    ) -> UseRealtimeCollectionReturn<Post> {
        let posts = use_realtime_collection_with_options::<Post>(&self.posts, Query::new().sort("title"), options);
        shows("the first rows", posts, rows).await;
        eventually("the list to be live", async || match posts.is_stale().get_untracked() {
            false => Ok(()),
            stale => Err(stale),
        })
        .await;
        posts
    }

    async fn create(&self, title: &str) -> i64 {
        let row = json!({ "title": title });
        self.admin.ok("POST", &format!("/items/{}", self.posts), Some(row)).await["id"].as_i64().unwrap()
    }

    async fn update(&self, id: i64, patch: Value) {
        self.admin.ok("PATCH", &format!("/items/{}/{id}", self.posts), Some(patch)).await;
    }

    /// The titles that Directus has, in order.
    async fn saved(&self) -> Vec<String> {
        let rows = self.admin.read(&self.posts, &json!({})).await;
        let mut titles: Vec<String> =
            rows.iter().map(|row| row["title"].as_str().unwrap_or_default().to_owned()).collect();
        titles.sort();
        titles
    }

    async fn becomes_offline(&self) {
        self.link.set(Fault::Refuse).unwrap();
        eventually("the loss to be noticed", async || match self.directus.status().get_untracked() {
            ConnectionStatus::Reconnecting { .. } => Ok(()),
            other => Err(other),
        })
        .await;
    }
}

fn titles(posts: UseRealtimeCollectionReturn<Post>) -> Vec<String> {
    posts.items().get_untracked().into_iter().map(|post| post.title.unwrap_or_default()).collect()
}

#[track_caller]
fn shows(what: &str, posts: UseRealtimeCollectionReturn<Post>, expected: &[&str]) -> impl Future<Output = ()> {
    let expected: Vec<String> = expected.iter().map(|title| (*title).to_owned()).collect();
    eventually(what, move || {
        let shown = titles(posts);
        std::future::ready(if shown == expected { Ok(()) } else { Err(shown) })
    })
}

/// What is shown from now on, each time that it changes.
fn history<T: Clone + Send + Sync + 'static>(signal: Signal<T>) -> StoredValue<Vec<T>> {
    let seen = StoredValue::new(Vec::new());
    Effect::new_isomorphic(move |_| {
        let value = signal.get();
        seen.update_value(|seen| seen.push(value));
    });
    seen
}

#[tokio::test]
async fn a_created_row_shows_at_once_and_keeps_its_identity_when_it_gets_its_key() {
    let page = Page::open().await;
    page.create("b").await;
    let posts = page.list(&["b"]).await;
    let seen = history(posts.keys());
    let write = posts.create(&json!({ "title": "a" }));
    let row = write.row().unwrap().clone();
    assert_eq!(posts.key_of(row.clone()).get_untracked(), None);
    let created = write.await.unwrap();
    assert_eq!(created.unwrap().title.as_deref(), Some("a"));
    // It was shown below, as told, and then went where it belongs: the same row all the time.
    shows("the row in its place", posts, &["a", "b"]).await;
    assert_eq!(posts.keys().get_untracked()[0], row);
    let key = posts.key_of(row.clone()).get_untracked().expect("a key");
    assert_eq!(posts.item(key.clone()).get_untracked(), posts.item(row.clone()).get_untracked());
    eventually("nothing to be pending", async || match posts.pending().get_untracked() {
        writes if writes.is_empty() => Ok(()),
        writes => Err(writes),
    })
    .await;
    let seen = seen.get_value();
    assert!(seen.iter().all(|rows| rows.iter().collect::<std::collections::HashSet<_>>().len() == rows.len()));
    assert!(!seen.iter().flatten().any(|shown| *shown == RowKey::from(&key)), "shown by two names: {seen:?}");
    // By its key or by its identity, it can be written on.
    posts.update(key, &json!({ "status": "by key" })).await.unwrap();
    posts.update(row.clone(), &json!({ "status": "by identity" })).await.unwrap();
    eventually("the status", async || match posts.item(row.clone()).get_untracked() {
        Some(post) if post.status.as_deref() == Some("by identity") => Ok(()),
        other => Err(other),
    })
    .await;
    posts.delete(row).await.unwrap();
    shows("the row to leave", posts, &["b"]).await;
    assert_eq!(page.saved().await, ["b"]);
}

#[tokio::test]
async fn a_row_can_be_written_before_it_has_its_key() {
    let page = Page::open().await;
    let posts = page.list(&[]).await;
    let create = posts.create(&json!({ "title": "one" }));
    let row = create.row().unwrap().clone();
    posts.update(row.clone(), &json!({ "title": "two" }));
    let last = posts.update(row, &json!({ "title": "three" }));
    shows("the last title at once", posts, &["three"]).await;
    last.await.unwrap();
    assert_eq!(page.saved().await, ["three"]);
    shows("the last title", posts, &["three"]).await;
}

#[tokio::test]
async fn an_update_never_shows_the_old_value_again() {
    let page = Page::open().await;
    let id = page.create("a0").await;
    let posts = page.list(&["a0"]).await;
    let seen = history(posts.item(id));
    for number in 1..=10 {
        posts.update(id, &json!({ "title": format!("a{number}") })).await.unwrap();
        page.update(id, json!({ "status": number.to_string() })).await;
    }
    eventually("the last of both", async || match posts.item(id).get_untracked() {
        Some(Post { title, status }) if title.as_deref() == Some("a10") && status.as_deref() == Some("10") => Ok(()),
        other => Err(other),
    })
    .await;
    let titles: Vec<u32> =
        seen.get_value().into_iter().flatten().filter_map(|post| post.title?[1..].parse().ok()).collect();
    assert!(titles.is_sorted(), "{titles:?}");
}

#[tokio::test]
async fn a_refused_write_is_rolled_back_with_directus_s_error() {
    let page = Page::open().await;
    page.create("a").await;
    let id = page.create("b").await;
    let posts = page.list(&["a", "b"]).await;
    let update = posts.update(id, &json!({ "title": "a" }));
    let create = posts.create(&json!({ "title": "a" }));
    shows("both at once", posts, &["a", "a", "a"]).await;
    let error = update.await.unwrap_err();
    assert_eq!((error.code(), error.is_validation()), (Some("RECORD_NOT_UNIQUE"), true), "{error}");
    assert!(create.await.unwrap_err().is_validation());
    shows("the rows as they were", posts, &["a", "b"]).await;
    assert!(posts.error().get_untracked().is_some_and(|error| error.is_validation()));
    posts.update(id, &json!({ "title": "c" })).await.unwrap();
    shows("the next write", posts, &["a", "c"]).await;
    assert_eq!(posts.error().get_untracked(), None);
}

#[tokio::test]
async fn values_that_directus_validates_and_refuses_are_rolled_back() {
    let page = Page::open().await;
    let rule = json!({ "_and": [{ "title": { "_regex": "^[a-z]" } }] });
    let field = json!({ "meta": { "validation": rule } });
    page.admin.change_schema("PATCH", &format!("/fields/{}/title", page.posts), Some(field)).await;
    let id = page.create("a").await;
    let posts = page.list(&["a"]).await;
    let update = posts.update(id, &json!({ "title": "1" }));
    let create = posts.create(&json!({ "title": "2" }));
    shows("both at once", posts, &["1", "2"]).await;
    for error in [update.await.unwrap_err(), create.await.unwrap_err()] {
        assert_eq!((error.code(), error.is_validation()), (Some("FAILED_VALIDATION"), true), "{error}");
    }
    shows("the rows as they were", posts, &["a"]).await;
    assert!(posts.error().get_untracked().is_some_and(|error| error.is_validation()));
    assert_eq!(page.saved().await, ["a"]);
    posts.update(id, &json!({ "title": "b" })).await.unwrap();
    shows("a value that fits", posts, &["b"]).await;
    assert_eq!(posts.error().get_untracked(), None);
}

#[tokio::test]
async fn who_may_not_write_gets_the_row_back() {
    let page = Page::with(counting_key(), false).await;
    let id = page.create("a").await;
    let posts = page.list(&["a"]).await;
    assert!(posts.update(id, &json!({ "title": "b" })).await.unwrap_err().is_forbidden());
    let delete = posts.delete(id);
    shows("the row to be hidden at once", posts, &[]).await;
    assert!(delete.await.unwrap_err().is_forbidden());
    shows("the row to come back", posts, &["a"]).await;
    assert!(posts.create(&json!({ "title": "c" })).await.unwrap_err().is_forbidden());
    shows("the rows as they were", posts, &["a"]).await;
}

#[tokio::test]
async fn without_a_connection_writes_queue_and_are_sent_in_order_when_it_is_back() {
    let page = Page::open().await;
    let (a, b) = (page.create("a").await, page.create("b").await);
    let posts = page.list(&["a", "b"]).await;
    page.becomes_offline().await;
    posts.update(a, &json!({ "title": "A1" }));
    posts.create(&json!({ "title": "c" }));
    posts.delete(b);
    let last = posts.update(a, &json!({ "title": "A2" }));
    shows("all of it at once", posts, &["A2", "c"]).await;
    let rows: Vec<_> = posts.pending().get_untracked().into_iter().map(|write| write.row.unwrap()).collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert_eq!((&rows[0], &rows[2], &rows[3]), (&RowKey::from(a), &RowKey::from(b), &RowKey::from(a)));
    assert!(posts.is_pending(a).get_untracked());
    assert_eq!(page.saved().await, ["a", "b"]);
    page.link.set(Fault::Pass).unwrap();
    last.await.unwrap();
    assert_eq!(page.saved().await, ["A2", "c"]);
    shows("what is saved", posts, &["A2", "c"]).await;
    assert_eq!(posts.pending().get_untracked(), []);
}

#[tokio::test]
async fn a_row_that_somebody_deletes_under_a_waiting_update_leaves_and_the_update_says_so() {
    // Once as the administrator, who is not told by Directus, and once as somebody who may only read.
    for is_admin in [true, false] {
        let page = Page::with(counting_key(), is_admin).await;
        let id = page.create("a").await;
        let posts = page.list(&["a"]).await;
        page.becomes_offline().await;
        let update = posts.update(id, &json!({ "title": "b" }));
        shows("the update at once", posts, &["b"]).await;
        page.admin.ok("DELETE", &format!("/items/{}/{id}", page.posts), None).await;
        page.link.set(Fault::Pass).unwrap();
        let error = update.await.unwrap_err();
        assert!(error.is_conflict(), "{error}");
        shows("the row to leave", posts, &[]).await;
        assert_eq!(posts.error().get_untracked(), Some(error));
    }
}

#[tokio::test]
async fn what_somebody_else_changed_under_a_waiting_update_stays_and_the_update_says_so() {
    // Once as the administrator, and once as somebody who may only read.
    for is_admin in [true, false] {
        let page = Page::with(counting_key(), is_admin).await;
        let id = page.create("a").await;
        let posts = page.list(&["a"]).await;
        page.becomes_offline().await;
        let update = posts.update(id, &json!({ "title": "ours" }));
        shows("the update at once", posts, &["ours"]).await;
        page.update(id, json!({ "title": "theirs" })).await;
        page.link.set(Fault::Pass).unwrap();
        let error = update.await.unwrap_err();
        assert!(error.is_conflict() && error.to_string().contains("`title`"), "{error}");
        shows("what they wrote", posts, &["theirs"]).await;
        assert_eq!(posts.error().get_untracked(), Some(error));
        assert_eq!(page.saved().await, ["theirs"]);
    }
}

#[tokio::test]
async fn a_waiting_update_is_sent_where_somebody_else_changed_another_field() {
    let page = Page::open().await;
    let id = page.create("a").await;
    let posts = page.list(&["a"]).await;
    page.becomes_offline().await;
    let first = posts.update(id, &json!({ "title": "first" }));
    let second = posts.update(id, &json!({ "title": "second" }));
    page.update(id, json!({ "status": "theirs" })).await;
    page.link.set(Fault::Pass).unwrap();
    first.await.unwrap();
    second.await.unwrap();
    let both = Post { title: Some("second".to_owned()), status: Some("theirs".to_owned()) };
    eventually("both", async || match posts.item(id).get_untracked() {
        Some(post) if post == both => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(page.saved().await, ["second"]);
}

#[tokio::test]
async fn a_create_with_a_key_of_our_own_is_saved_once_though_its_answer_was_lost() {
    let page = Page::with(uuid_key(), true).await;
    let options = UseRealtimeCollectionOptions::default().client_keys(true);
    let posts = page.list_with(&[], options).await;
    page.link.set(Fault::AnswersLost).unwrap();
    let write = posts.create(&json!({ "title": "a" }));
    let row = write.row().unwrap().clone();
    eventually("it to be saved", async || match page.saved().await {
        titles if titles == ["a"] => Ok(()),
        titles => Err(titles),
    })
    .await;
    assert!(!posts.pending().get_untracked().is_empty(), "nobody can know yet");
    page.link.set(Fault::Pass).unwrap();
    assert_eq!(write.await.unwrap().unwrap().title.as_deref(), Some("a"));
    assert_eq!(page.saved().await, ["a"]);
    shows("one row", posts, &["a"]).await;
    assert_eq!(posts.keys().get_untracked(), [row]);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_told_to_be_uncertain_and_not_sent_again() {
    let page = Page::open().await;
    let posts = page.list(&[]).await;
    page.link.set(Fault::AnswersLost).unwrap();
    let write = posts.create(&json!({ "status": "once" }));
    let error = write.await.unwrap_err();
    assert!(error.is_uncertain(), "{error}");
    page.link.set(Fault::Pass).unwrap();
    eventually("the row, which was saved", async || match posts.items().get_untracked() {
        rows if rows.len() == 1 && rows[0].status.as_deref() == Some("once") => Ok(()),
        rows => Err(rows),
    })
    .await;
    // What is made afterwards is sent after whatever was to be sent before.
    posts.create(&json!({ "title": "b" })).await.unwrap();
    assert_eq!(page.saved().await, ["", "b"]);
}

#[tokio::test]
async fn two_lists_of_one_collection_show_each_other_s_updates_and_not_each_other_s_new_rows() {
    let page = Page::open().await;
    let id = page.create("a").await;
    let posts = page.list(&["a"]).await;
    let other = use_realtime_collection::<Post>(&page.posts, Query::new().sort("-title").limit(5));
    let item = use_realtime_item::<Post>(&page.posts, move || id.into());
    let item_is = |expected: &'static str| {
        eventually("the one row", move || {
            let title = item.item().get_untracked().and_then(|post| post.title);
            std::future::ready(if title.as_deref() == Some(expected) { Ok(()) } else { Err(title) })
        })
    };
    shows("the other list", other, &["a"]).await;
    item_is("a").await;
    page.becomes_offline().await;
    posts.update(id, &json!({ "title": "b" }));
    posts.create(&json!({ "title": "c" }));
    shows("both at once", posts, &["b", "c"]).await;
    shows("the update at once", other, &["b"]).await;
    item_is("b").await;
    // A list that comes into being meanwhile knows what waits.
    let late = use_realtime_collection::<Post>(&page.posts, Query::new().sort("title").limit(7));
    page.link.set(Fault::Pass).unwrap();
    shows("both here", other, &["c", "b"]).await;
    shows("both there", late, &["b", "c"]).await;
}

#[tokio::test]
async fn one_row_and_a_singleton_are_updated() {
    let page = Page::open().await;
    let id = page.create("a").await;
    let item = use_realtime_item::<Post>(&page.posts, move || id.into());
    item.update(&json!({ "title": "b" })).await.unwrap();
    assert_eq!(page.saved().await, ["b"]);
    eventually("the row", async || match item.item().get_untracked() {
        Some(post) if post.title.as_deref() == Some("b") => Ok(()),
        other => Err(other),
    })
    .await;
    let masthead = page.admin.collection("masthead", counting_key(), vec![field("title", "string")]).await;
    page.admin
        .change_schema("PATCH", &format!("/collections/{masthead}"), Some(json!({ "meta": { "singleton": true } })))
        .await;
    page.admin.ok("PATCH", &format!("/items/{masthead}"), Some(json!({ "title": "a" }))).await;
    let singleton = use_realtime_singleton::<Value>(&masthead);
    let title = move || singleton.item().get_untracked().and_then(|row| Some(row["title"].as_str()?.to_owned()));
    let is = |expected: &'static str| {
        eventually("the singleton", move || {
            let shown = title();
            std::future::ready(if shown.as_deref() == Some(expected) { Ok(()) } else { Err(shown) })
        })
    };
    is("a").await;
    page.becomes_offline().await;
    let write = singleton.update(&json!({ "title": "b" }));
    is("b").await;
    page.link.set(Fault::Pass).unwrap();
    write.await.unwrap();
    is("b").await;
    assert_eq!(page.admin.ok("GET", &format!("/items/{masthead}"), None).await["title"], "b");
}

#[tokio::test]
async fn what_waits_outlives_the_page_if_it_is_to() {
    let page = Page::with(uuid_key(), true).await;
    let options = || UseRealtimeCollectionOptions::default().new_rows(NewRows::Last).client_keys(true);
    let kept = options().persist(&page.posts);
    let posts = page.list_with(&[], kept.clone()).await;
    let first = posts.create(&json!({ "title": "a" }));
    let row = first.row().unwrap().clone();
    first.await.unwrap();
    page.becomes_offline().await;
    posts.update(row, &json!({ "status": "kept" }));
    posts.create(&json!({ "title": "b" }));
    shows("all of it", posts, &["a", "b"]).await;
    // The page ends, and another one begins.
    page.owner.cleanup();
    let owner = Owner::new();
    owner.set();
    let directus = Directus::native(NativeOptions::new(&page.admin.url).token(&page.admin.token));
    directus.provide();
    let posts = use_realtime_collection_with_options::<Post>(&page.posts, Query::new().sort("title"), kept);
    shows("what was kept", posts, &["a", "b"]).await;
    eventually("it to be saved", async || match page.saved().await {
        titles if titles == ["a", "b"] => Ok(()),
        titles => Err(titles),
    })
    .await;
    eventually("nothing to wait any more", async || match posts.pending().get_untracked() {
        writes if writes.is_empty() => Ok(()),
        writes => Err(writes),
    })
    .await;
    assert_eq!(posts.items().get_untracked()[0].status.as_deref(), Some("kept"));
}

/// It failed: nobody was told, and the change that was made meanwhile stayed unseen by whoever had made the other one.
#[tokio::test]
async fn what_an_earlier_page_kept_and_is_refused_is_told_where_no_list_of_this_page_made_it() {
    let page = Page::open().await;
    let id = page.create("a").await;
    let kept = UseRealtimeCollectionOptions::default().persist(&page.posts);
    let posts = page.list_with(&["a"], kept.clone()).await;
    page.becomes_offline().await;
    posts.update(id, &json!({ "title": "b" }));
    shows("it at once", posts, &["b"]).await;
    // The page ends, somebody else changes the same field, and another page shows something else.
    page.owner.cleanup();
    page.update(id, json!({ "title": "c" })).await;
    let owner = Owner::new();
    owner.set();
    let directus = Directus::native(NativeOptions::new(&page.admin.url).token(&page.admin.token));
    directus.provide();
    let another = Query::new().filter(Filter::field("status").eq("none"));
    let others = use_realtime_collection_with_options::<Post>(&page.posts, another, kept);
    let refused = directus.refused();
    eventually("it to be told", async || match refused.get_untracked() {
        told if told.len() == 1 && told[0].error.is_conflict() => Ok(()),
        told => Err(told),
    })
    .await;
    let told = refused.get_untracked().remove(0);
    assert_eq!((told.collection, told.row), (page.posts.clone(), Some(RowKey::from(id))));
    assert_eq!(others.error().get_untracked(), None, "it was not made there");
    assert_eq!(page.saved().await, ["c"]);
    directus.forget_refused();
    eventually("it to be forgotten", async || match refused.get_untracked() {
        told if told.is_empty() => Ok(()),
        told => Err(told),
    })
    .await;
    // Whoever is told by the list, or awaits the write, is not told twice.
    page.create("d").await;
    others.update(id, &json!({ "title": "d" })).await.unwrap_err();
    drop(others.update(id, &json!({ "title": "d" })));
    eventually("the list to tell", async || others.error().get_untracked().map(|_| ()).ok_or(())).await;
    assert_eq!(refused.get_untracked(), []);
}

#[tokio::test]
async fn what_is_no_row_and_what_is_written_on_the_server_fails_at_once() {
    let page = Page::open().await;
    let posts = page.list(&[]).await;
    assert!(posts.create(&"text").await.is_err());
    assert_eq!(posts.pending().get_untracked(), []);
    // As where a page is rendered.
    provide_directus(DirectusOptions::default());
    let posts = use_realtime_collection::<Post>(&page.posts, Query::new());
    for error in [
        posts.create(&json!({})).await.unwrap_err(),
        posts.update(1, &json!({})).await.unwrap_err(),
        posts.delete(1).await.unwrap_err(),
        use_realtime_item::<Post>(&page.posts, || 1.into()).update(&json!({})).await.unwrap_err(),
    ] {
        assert!(error.message().contains("browser"), "{error}");
    }
    assert_eq!(posts.pending().get_untracked(), []);
}

#[tokio::test]
async fn a_change_that_worked_is_no_error_for_whoever_may_not_read_the_row() {
    let page = Page::with(counting_key(), false).await;
    let id = page.create("a").await;
    page.admin.public_may(&page.posts, &["create", "update"]).await;
    let post = use_realtime_item::<Post>(&page.posts, id);
    assert_eq!(post.update(&json!({ "title": "b" })).await.unwrap(), None);
    assert_eq!(page.saved().await, ["b"]);
    let posts = use_realtime_collection::<Post>(&page.posts, Query::new());
    assert_eq!(posts.create(&json!({ "title": "c" })).await.unwrap(), None);
    assert_eq!(page.saved().await, ["b", "c"]);
    assert!(post.delete().await.unwrap_err().is_forbidden(), "a refusal stays one");
}

/// It failed: the answer was asked for without the alias, and a write that had worked was called refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_fields_go_by_other_names_is_written() {
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Headed {
        heading: String,
    }
    let page = Page::open().await;
    let id = page.create("a").await;
    let query = Query::new().fields(["id", "heading"]).alias("heading", "title").sort("title");
    let options = UseRealtimeCollectionOptions::default().new_rows(NewRows::Last);
    let posts = use_realtime_collection_with_options::<Headed>(&page.posts, query, options);
    let headings = || posts.items().get_untracked().into_iter().map(|post| post.heading).collect::<Vec<_>>();
    let show = async |wanted: &[&str]| {
        eventually("the headings", async || if headings() == wanted { Ok(()) } else { Err(headings()) }).await;
    };
    show(&["a"]).await;
    assert_eq!(posts.update(id, &json!({ "title": "b" })).await.unwrap().unwrap().heading, "b");
    show(&["b"]).await;
    assert_eq!(posts.create(&json!({ "title": "c" })).await.unwrap().unwrap().heading, "c");
    show(&["b", "c"]).await;
    assert_eq!(page.saved().await, ["b", "c"]);
}
