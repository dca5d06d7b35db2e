//! Who the visitor is, without a browser: what is said when Directus answers in part, late, or not yet.
#![cfg(feature = "native")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use any_spawner::Executor;
use futures::{FutureExt, StreamExt};
use leptos::prelude::*;
use leptos_directus::{
    ConnectionStatus, Directus, NativeOptions, Query, UseDirectusAuthReturn, UseRealtimeCollectionOptions,
    engine::Counts, use_directus_auth, use_realtime_collection_with_options,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// As much of Directus as a login needs.
#[derive(Debug)]
struct Cms {
    /// Whether it says who somebody is; else it has a problem.
    knows_who: AtomicBool,
    asked_who: AtomicUsize,
    sockets: AtomicUsize,
    asked_for_relations: AtomicUsize,
    /// Somebody before it lets nobody through who asks.
    is_walled: AtomicBool,
    /// Who it says it is, where it says so: Ada, or Bob.
    is_bob: AtomicBool,
    /// What is written is answered when there is a permit; what was answered, as text.
    may_answer: Semaphore,
    reached: AtomicUsize,
    written: Mutex<Vec<String>>,
    /// The title of the one row that there is.
    row: Mutex<Option<String>>,
}

impl Cms {
    async fn start() -> (Arc<Self>, String) {
        let cms = Arc::new(Self {
            knows_who: AtomicBool::new(false),
            asked_who: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            asked_for_relations: AtomicUsize::new(0),
            is_walled: AtomicBool::new(false),
            is_bob: AtomicBool::new(false),
            may_answer: Semaphore::new(0),
            reached: AtomicUsize::new(0),
            written: Mutex::default(),
            row: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&cms);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        (cms, url)
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut head = vec![0; 4_096];
        let length = stream.peek(&mut head).await.unwrap_or(0);
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        if head.starts_with("GET /websocket") {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            self.sockets.fetch_add(1, Ordering::Relaxed);
            while let Some(Ok(_)) = socket.next().await {}
            return;
        }
        let body = self.read(&mut stream).await;
        if head.starts_with("PATCH /items/") {
            self.reached.fetch_add(1, Ordering::Relaxed);
            let Ok(permit) = self.may_answer.acquire().await else { return };
            permit.forget();
            let patch: Value = serde_json::from_str(&body).unwrap();
            if let Some(row) = &mut *self.row.lock().unwrap() {
                patch["title"].as_str().unwrap().clone_into(row);
            }
            self.written.lock().unwrap().push(body);
        }
        let row = self.row.lock().unwrap().as_ref().map(|title| json!({ "id": 1, "title": title }));
        let knows_who = self.knows_who.load(Ordering::Relaxed);
        let (status, body) = if head.starts_with("POST /auth/login") {
            ("200 OK", json!({ "data": { "expires": 900_000 } }))
        } else if head.starts_with("GET /relations") {
            self.asked_for_relations.fetch_add(1, Ordering::Relaxed);
            ("403 Forbidden", json!({ "errors": [{ "message": "no", "extensions": { "code": "FORBIDDEN" } }] }))
        } else if head.starts_with("PATCH /items/") || head.starts_with("GET /items/posts/1?") {
            ("200 OK", json!({ "data": row.unwrap_or_else(|| json!({ "id": 1 })) }))
        } else if head.starts_with("GET /items/") {
            ("200 OK", json!({ "data": row.into_iter().collect::<Vec<_>>() }))
        } else {
            self.asked_who.fetch_add(1, Ordering::Relaxed);
            let id = if self.is_bob.load(Ordering::Relaxed) { "bob" } else { "ada" };
            match knows_who {
                _ if self.is_walled.load(Ordering::Relaxed) && head.starts_with("POST /auth/logout") => {
                    ("401 Unauthorized", json!("<html>Who are you?</html>"))
                }
                _ if self.is_walled.load(Ordering::Relaxed) => ("403 Forbidden", json!("<html>Are you human?</html>")),
                true => ("200 OK", json!({ "data": { "id": id } })),
                false => ("503 Service Unavailable", json!({ "errors": [] })),
            }
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    /// Reads the whole request; its body.
    async fn read(&self, stream: &mut TcpStream) -> String {
        let mut request = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    return body.to_owned();
                }
            }
            if stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                continue;
            }
            return String::new();
        }
    }

    fn written(&self) -> Vec<String> {
        self.written.lock().unwrap().clone()
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let poll = async {
        let mut interval = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            interval.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

fn page(url: &str) -> (Owner, Directus, UseDirectusAuthReturn) {
    let (owner, directus) = nobody_asks(url);
    (owner, directus, use_directus_auth())
}

/// A page of which nothing asks who is here.
fn nobody_asks(url: &str) -> (Owner, Directus) {
    // Whoever comes second finds the executor there.
    let _ = Executor::init_tokio();
    let owner = Owner::new();
    owner.set();
    let directus = Directus::native(NativeOptions::new(url).linger(Duration::from_millis(20)));
    directus.provide();
    (owner, directus)
}

fn is_ada(auth: UseDirectusAuthReturn) -> bool {
    auth.user().get_untracked().is_some_and(|user| user.id == "ada")
}

#[tokio::test]
async fn who_the_visitor_is_heals_by_itself() {
    let (cms, url) = Cms::start().await;
    let (_owner, _, auth) = page(&url);
    until("the question", || cms.asked_who.load(Ordering::Relaxed) > 0).await;
    assert_eq!(auth.user().get_untracked(), None);
    cms.knows_who.store(true, Ordering::Relaxed);
    until("the answer", || is_ada(auth)).await;
}

#[tokio::test]
async fn all_hooks_of_a_page_ask_once() {
    let (cms, url) = Cms::start().await;
    cms.knows_who.store(true, Ordering::Relaxed);
    let (owner, directus, auth) = page(&url);
    let second = owner.child().with(use_directus_auth);
    until("the answer", || is_ada(auth) && is_ada(second)).await;
    assert_eq!(cms.asked_who.load(Ordering::Relaxed), 1);
    // Nor does one that comes later: a question of our own is the second.
    let third = owner.child().with(use_directus_auth);
    assert!(is_ada(third));
    directus.items::<Value>("directus_users").read_one("me", Query::new()).await.unwrap();
    assert_eq!(cms.asked_who.load(Ordering::Relaxed), 2);
    assert_eq!(directus.counts().await, Counts::default(), "who somebody is needs no socket");
}

#[tokio::test]
async fn a_login_that_worked_reopens_the_socket_whatever_follows() {
    let (cms, url) = Cms::start().await;
    let (_owner, directus, auth) = page(&url);
    directus.connect();
    until("the first socket", || cms.sockets.load(Ordering::Relaxed) == 1).await;
    let error = auth.login("ada@example.com", "secret").await.unwrap_err();
    assert_eq!(error.status(), Some(503), "{error}");
    assert!(!auth.pending().get_untracked());
    until("a socket with the new cookie", || cms.sockets.load(Ordering::Relaxed) == 2).await;
    cms.knows_who.store(true, Ordering::Relaxed);
    until("the name", || is_ada(auth)).await;
}

/// It failed: it was taken for Directus's word that nobody is logged in, and what waited to be written was dropped.
#[tokio::test]
async fn a_wall_before_directus_says_nothing_of_who_is_here() {
    let (cms, url) = Cms::start().await;
    cms.knows_who.store(true, Ordering::Relaxed);
    cms.is_walled.store(true, Ordering::Relaxed);
    let (_owner, _directus, auth) = page(&url);
    let error = auth.login("ada@example.com", "secret").await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error}");
    cms.is_walled.store(false, Ordering::Relaxed);
    until("the name", || is_ada(auth)).await;
    // Nor that she is not logged in any more.
    cms.is_walled.store(true, Ordering::Relaxed);
    assert_eq!(auth.logout().await.unwrap_err().status(), Some(401));
    assert!(is_ada(auth));
}

/// It failed: both sent it.
#[tokio::test]
async fn what_two_handles_keep_by_one_name_is_sent_by_one_of_them() {
    let (cms, url) = Cms::start().await;
    cms.knows_who.store(true, Ordering::Relaxed);
    *cms.row.lock().unwrap() = Some("old".to_owned());
    let root = Owner::new();
    root.set();
    let (first, _, auth) = page(&url);
    let options = || UseRealtimeCollectionOptions::default().persist("two_handles");
    let posts = use_realtime_collection_with_options::<Value>("posts", Query::new(), options());
    until("Ada and the row", || is_ada(auth) && posts.items().get_untracked().len() == 1).await;
    posts.update(1, &json!({ "title": "new" }));
    until("it to be on its way", || cms.reached.load(Ordering::Relaxed) == 1).await;
    root.set();
    let (_second, directus, auth) = page(&url);
    let others = use_realtime_collection_with_options::<Value>("posts", Query::new(), options());
    until("Ada and the row there", || is_ada(auth) && others.items().get_untracked().len() == 1).await;
    assert_eq!(directus.counts().await.writes, 0);
    // It is the other's turn once the first has ended; what became of it nobody knows then, and it is made again.
    first.cleanup();
    until("it to be taken up", || cms.reached.load(Ordering::Relaxed) == 2).await;
    cms.may_answer.add_permits(10);
    until("the end of it", || others.pending().get_untracked().is_empty() && !cms.written().is_empty()).await;
}

#[tokio::test]
async fn whom_directus_tells_no_relations_asks_again_after_a_login() {
    let (cms, url) = Cms::start().await;
    cms.knows_who.store(true, Ordering::Relaxed);
    let (_owner, directus, auth) = page(&url);
    let watch = |collection: &str| {
        directus.watch(collection, Query::new().fields("author.name"), UseRealtimeCollectionOptions::default())
    };
    let posts = watch("posts");
    until("the question", || cms.asked_for_relations.load(Ordering::Relaxed) == 1).await;
    until("the socket", || cms.sockets.load(Ordering::Relaxed) == 1).await;
    // The answer was for all of them.
    let pages = watch("pages");
    until("the rows", || pages.reads().windows > 0 && posts.reads().windows > 0).await;
    assert_eq!(cms.asked_for_relations.load(Ordering::Relaxed), 1);
    auth.login("ada@example.com", "secret").await.unwrap();
    until("the question again", || cms.asked_for_relations.load(Ordering::Relaxed) == 2).await;
    until("a socket with the new cookie", || cms.sockets.load(Ordering::Relaxed) == 2).await;
    assert_eq!(posts.snapshot().error, None);
}

#[tokio::test]
async fn how_long_it_is_until_the_next_try_is_counted_from_now() {
    // A port at which nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (_owner, directus, _) = page(&url);
    assert_eq!(directus.retry_in(), None);
    directus.connect();
    until("a wait that has begun to pass", || {
        let told = match directus.status().get_untracked() {
            ConnectionStatus::Reconnecting { retry_in, .. } => retry_in,
            _ => return false,
        };
        untrack(|| directus.retry_in()).is_some_and(|left| left < told)
    })
    .await;
    directus.disconnect();
    until("the end of all tries", || untrack(|| directus.retry_in()).is_none()).await;
    assert!(directus.counts().now_or_never().is_none_or(|counts| counts.sockets == 0));
}

/// It failed: it was kept as a text that nobody told what became of her first one, and was taken for a conflict with it.
#[tokio::test]
async fn what_is_kept_knows_what_became_of_what_was_sent_before() {
    let (cms, url) = Cms::start().await;
    let says = |who: &str| {
        cms.is_bob.store(who == "bob", Ordering::Relaxed);
        cms.knows_who.store(true, Ordering::Relaxed);
    };
    let is = |auth: UseDirectusAuthReturn, id: &str| auth.user().get_untracked().is_some_and(|user| user.id == id);
    *cms.row.lock().unwrap() = Some("old".to_owned());
    says("ada");
    let (_owner, _directus, auth) = page(&url);
    let options = UseRealtimeCollectionOptions::default().persist("what_is_put_aside");
    let posts = use_realtime_collection_with_options::<Value>("posts", Query::new(), options);
    until("Ada", || is(auth, "ada")).await;
    until("the row", || posts.items().get_untracked().len() == 1).await;
    posts.update(1, &json!({ "title": "hers" }));
    posts.update(1, &json!({ "title": "hers, too" }));
    until("hers on its way", || cms.reached.load(Ordering::Relaxed) == 1).await;
    says("bob");
    auth.login("bob@example.com", "secret").await.unwrap();
    cms.may_answer.add_permits(10);
    until("her first", || cms.written().len() == 1).await;
    until("the end of it", || posts.pending().get_untracked().is_empty()).await;
    says("ada");
    auth.login("ada@example.com", "secret").await.unwrap();
    until("her second", || cms.written().len() == 2).await;
    until("the end of all", || posts.pending().get_untracked().is_empty()).await;
    assert_eq!(cms.written(), [r#"{"title":"hers"}"#, r#"{"title":"hers, too"}"#]);
}

/// It failed: what was under way when somebody else logged in was sent again when its author came back, and what was written
/// before it was known who had logged in was sent twice: by them, and by the visitor before.
#[tokio::test]
async fn what_is_kept_is_sent_once_and_by_whoever_wrote_it() {
    let (cms, url) = Cms::start().await;
    let says = |who: Option<&str>| {
        cms.is_bob.store(who == Some("bob"), Ordering::Relaxed);
        cms.knows_who.store(who.is_some(), Ordering::Relaxed);
    };
    let reached = |count| cms.reached.load(Ordering::Relaxed) == count;
    let is = |auth: UseDirectusAuthReturn, id: &str| auth.user().get_untracked().is_some_and(|user| user.id == id);
    says(Some("ada"));
    let (_owner, _directus, auth) = page(&url);
    let options = UseRealtimeCollectionOptions::default().persist("what_is_kept");
    let posts = use_realtime_collection_with_options::<Value>("posts", Query::new(), options);
    until("Ada", || is(auth, "ada")).await;
    // Her first is under way, and her second waits for it.
    posts.update(1, &json!({ "title": "Ada's" }));
    posts.update(1, &json!({ "title": "Ada's other" }));
    until("hers on its way", || reached(1)).await;
    says(None);
    auth.login("bob@example.com", "secret").await.unwrap_err();
    let his = posts.update(2, &json!({ "title": "Bob's" }));
    says(Some("bob"));
    until("Bob, and his on its way", || is(auth, "bob") && reached(2)).await;
    cms.may_answer.add_permits(2);
    his.await.unwrap();
    until("both", || cms.written().len() == 2).await;
    says(Some("ada"));
    auth.login("ada@example.com", "secret").await.unwrap();
    cms.may_answer.add_permits(10);
    until("what she had not sent", || cms.written().len() == 3).await;
    until("the end of it", || posts.pending().get_untracked().is_empty()).await;
    assert_eq!(cms.written(), [r#"{"title":"Ada's"}"#, r#"{"title":"Bob's"}"#, r#"{"title":"Ada's other"}"#]);
    // And none of it is found again.
    says(Some("bob"));
    auth.login("bob@example.com", "secret").await.unwrap();
    says(Some("ada"));
    auth.login("ada@example.com", "secret").await.unwrap();
    posts.update(3, &json!({ "title": "the last" })).await.unwrap();
    assert_eq!(cms.written().len(), 4, "{:?}", cms.written());
}

/// It failed: the writes knew another visitor before the page knew any, and nobody told the lists.
#[tokio::test]
async fn whom_the_page_finds_is_news_where_the_writes_knew_somebody_else() {
    let (cms, url) = Cms::start().await;
    cms.knows_who.store(true, Ordering::Relaxed);
    *cms.row.lock().unwrap() = Some("a title".to_owned());
    let (owner, _directus) = nobody_asks(&url);
    let options = UseRealtimeCollectionOptions::default().persist("what_another_wrote");
    let posts = use_realtime_collection_with_options::<Value>("posts", Query::new(), options);
    until("the row", || posts.items().get_untracked().len() == 1).await;
    until("who writes", || cms.asked_who.load(Ordering::Relaxed) == 1).await;
    until("the socket", || cms.sockets.load(Ordering::Relaxed) == 1).await;
    // In another tab; and this page mounts something that shows who is here.
    cms.is_bob.store(true, Ordering::Relaxed);
    let component = owner.child();
    let auth = component.with(use_directus_auth);
    until("Bob", || auth.user().get_untracked().is_some_and(|user| user.id == "bob")).await;
    until("a socket of his", || cms.sockets.load(Ordering::Relaxed) == 2).await;
    cms.may_answer.add_permits(1);
    posts.update(1, &json!({ "title": "Bob's" })).await.unwrap();
    assert_eq!(cms.written(), [r#"{"title":"Bob's"}"#]);
}
