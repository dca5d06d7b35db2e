use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::live::{Splice, WriteId};

#[cfg(feature = "native")]
mod native;

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
    view.keys().get_untracked().iter().map(ToString::to_string).collect()
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
            let (keys, told) = (view.keys().clone(), Arc::clone(&told));
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

/// One of them may hold what the others see: a write of any of them is that of all.
#[test]
fn lists_that_are_shared_show_each_other_s_writes() {
    let options = UseRealtimeCollectionOptions::default();
    let target = |query: Query| Target::new::<Value>("posts", &options, query);
    let by = |sort: &str| Query::new().sort(sort);
    let alike = [[by("-date"), by("-date,id")], [by("title").offset(2), by("title").offset(2).all()]];
    for queries in alike {
        let [one, other] = queries.map(target);
        assert_eq!(one.name, other.name);
        assert_eq!(one.origin, other.origin);
    }
    assert_ne!(target(by("title")).origin, target(by("-title")).origin);
}

/// It failed: what waited for another write hid it, and so did a row that does not fit.
#[test]
fn what_was_refused_is_told_until_the_next_write_is_made() {
    let target = Target::new::<Post>("posts", &UseRealtimeCollectionOptions::default(), Query::new());
    let view = View::<Post>::new(&target, LiveStatus::Live);
    let news = |number: u64, progress: Progress| {
        let layer = Layer { write: WriteId(number), row: Some(Key::from(1).into()), key: None, change: Change::Delete };
        let intent = Intent {
            collection: "posts".to_owned(),
            key_field: "id".to_owned(),
            origin: target.origin.clone().unwrap(),
            fields: Vec::new(),
            alias: BTreeMap::new(),
            deep: Map::new(),
            store: None,
            layer,
            before: Map::new(),
        };
        view.news(News::Write(Box::new(intent), progress));
        view.error().map(|error| error.message().to_owned())
    };
    news(1, Progress::Waiting);
    news(2, Progress::Waiting);
    let told = Some("no".to_owned());
    assert_eq!(news(1, Progress::Refused(Error::conflict("no"))), told);
    assert_eq!(news(2, Progress::Waiting), told, "one that waits again");
    view.unfit.set(Some(Error::usage("a row does not fit")));
    assert_eq!(view.error().map(|error| error.message().to_owned()), told);
    assert_eq!(news(3, Progress::Waiting), None);
    // Nor is it told to whoever comes after them.
    assert_eq!(news(3, Progress::Refused(Error::conflict("no"))), told);
    view.news(News::AnotherVisitor);
    assert_eq!(view.error(), None);
}

/// It failed: the error is told to be over only afterwards, and the age of the rows was that of before the outage.
#[test]
fn a_read_that_ends_an_error_says_how_old_the_rows_are() {
    let view = view();
    view.news(News::Live(Output::Status(LiveStatus::Stale, Some(Error::network("nobody is there")))));
    let read = |is_answer| {
        view.news(News::Read { confirmed: 0, scope: ReadScope::Window, is_answer });
        view.synced.get_untracked().is_some()
    };
    assert!(!read(false));
    assert!(read(true));
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
