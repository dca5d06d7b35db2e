//! Lists that read, or try to, on tokio.

use super::*;
use crate::{
    connection::ConnectionConfig,
    rest::Rest,
    transport::{Credentials, HttpClient, SocketTarget},
};

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
    this.follow(core.client().unwrap().clone(), move || Ok(target()), Some((read.name, page, Seen::NotAsked)));
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
