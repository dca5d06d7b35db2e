//! Lists that follow the relations which their queries name, without a `watch`, on a real Directus.
//!
//! Nothing here is read again by the clock: what shows was announced.
#![cfg(feature = "native")]

mod real;

use std::time::Duration;

use any_spawner::Executor;
use leptos::prelude::*;
use leptos_directus::{
    Directus, Filter, LiveRows, LiveStatus, NativeOptions, Query, UseRealtimeCollectionOptions,
    use_realtime_collection_with_options,
};
use real::{Admin, counting_key, eventually, field};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: each begins by removing the collections of the one before.
static TURN: Mutex<()> = Mutex::const_new(());

/// Articles with an author (m2o; the author's `articles`), tags (m2m) and blocks (m2a).
struct Desk {
    admin: Admin,
    articles: String,
    authors: String,
    tags: String,
    tagged: String,
    heroes: String,
    blocks: String,
    owner: Owner,
    _turn: MutexGuard<'static, ()>,
}

impl Desk {
    async fn open() -> Self {
        // Whoever comes second finds the executor there.
        let _ = Executor::init_tokio();
        let turn = TURN.lock().await;
        let admin = Admin::new();
        // What others point to goes last.
        admin.remove_collections(&["rtagged", "rblocks"]).await;
        admin.remove_collections(&["rarticles", "rheroes", "rtags"]).await;
        admin.remove_collections(&["rauthors"]).await;
        let integer = |name: &str| field(name, "integer");
        let text = |name: &str| field(name, "string");
        let authors = admin.collection("rauthors", counting_key(), vec![text("name")]).await;
        let articles = admin.collection("rarticles", counting_key(), vec![text("title"), integer("author")]).await;
        let tags = admin.collection("rtags", counting_key(), vec![text("name")]).await;
        let tagged = admin.collection("rtagged", counting_key(), vec![integer("article"), integer("tag")]).await;
        let heroes = admin.collection("rheroes", counting_key(), vec![text("title")]).await;
        let fields = vec![integer("article"), text("item"), text("collection")];
        let blocks = admin.collection("rblocks", counting_key(), fields).await;
        let alias = |name: &str, kind: &str| json!({ "field": name, "type": "alias", "schema": null, "meta": { "special": [kind] } });
        for (collection, name, kind) in
            [(&authors, "articles", "o2m"), (&articles, "tags", "m2m"), (&articles, "blocks", "m2a")]
        {
            admin.change_schema("POST", &format!("/fields/{collection}"), Some(alias(name, kind))).await;
        }
        for (collection, name, related, meta) in [
            (&articles, "author", Some(&authors), json!({ "one_field": "articles" })),
            (&tagged, "article", Some(&articles), json!({ "one_field": "tags", "junction_field": "tag" })),
            (&tagged, "tag", Some(&tags), json!({ "junction_field": "article" })),
            (&blocks, "article", Some(&articles), json!({ "one_field": "blocks", "junction_field": "item" })),
            (
                &blocks,
                "item",
                None,
                json!({
                    "one_collection_field": "collection", "one_allowed_collections": [heroes],
                    "junction_field": "article",
                }),
            ),
        ] {
            let schema = related.map(|_| json!({ "on_delete": "SET NULL" }));
            let relation = json!({
                "collection": collection, "field": name, "related_collection": related, "schema": schema, "meta": meta,
            });
            admin.change_schema("POST", "/relations", Some(relation)).await;
        }
        let owner = Owner::new();
        owner.set();
        let desk = Self { admin, articles, authors, tags, tagged, heroes, blocks, owner, _turn: turn };
        for name in ["Ada", "Bob"] {
            desk.create(&desk.authors, json!({ "name": name })).await;
        }
        for (title, author) in [("one", 1), ("two", 2)] {
            desk.create(&desk.articles, json!({ "title": title, "author": author })).await;
        }
        desk
    }

    fn directus(&self) -> Directus {
        Directus::native(NativeOptions::new(&self.admin.url).token(&self.admin.token))
    }

    fn options() -> UseRealtimeCollectionOptions {
        UseRealtimeCollectionOptions::default().revalidate_every(Duration::MAX)
    }

    /// The articles of a query, once everything that it names is followed: so many collections.
    async fn watch(&self, query: Query, collections: usize) -> LiveRows {
        let directus = self.directus();
        let rows = directus.watch(&self.articles, query, Self::options());
        follows(directus, collections).await;
        rows
    }

    async fn create(&self, collection: &str, row: Value) -> Value {
        self.admin.ok("POST", &format!("/items/{collection}"), Some(row)).await
    }

    async fn update(&self, collection: &str, key: u64, patch: Value) {
        self.admin.ok("PATCH", &format!("/items/{collection}/{key}"), Some(patch)).await;
    }

    async fn delete(&self, collection: &str, key: u64) {
        self.admin.ok("DELETE", &format!("/items/{collection}/{key}"), None).await;
    }
}

/// Waits until so many collections are followed: three subscriptions each.
async fn follows(directus: Directus, collections: usize) {
    eventually("the relations to be followed", async || match directus.counts().await.subscriptions {
        count if count == 3 * collections => Ok(()),
        other => Err(other),
    })
    .await;
}

#[track_caller]
fn shows(rows: &LiveRows, expected: Value) -> impl Future<Output = ()> {
    eventually("the rows", move || {
        let snapshot = rows.snapshot();
        let is_right = json!(snapshot.rows) == expected && snapshot.status == LiveStatus::Live;
        std::future::ready(if is_right { Ok(()) } else { Err(snapshot) })
    })
}

#[tokio::test]
async fn an_author_s_rename_shows_in_articles_that_only_name_it() {
    let desk = Desk::open().await;
    let query = Query::new().fields(["title", "author.name"]).sort("title");
    let rows = desk.watch(query, 2).await;
    let named = |ada: &str| json!([{ "title": "one", "author": { "name": ada } }, { "title": "two", "author": { "name": "Bob" } }]);
    shows(&rows, named("Ada")).await;
    desk.update(&desk.authors, 1, json!({ "name": "Ada L." })).await;
    shows(&rows, named("Ada L.")).await;
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Author {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Signed {
    author: Author,
}

#[tokio::test]
async fn hooks_follow_the_relations_that_their_type_names() {
    let desk = Desk::open().await;
    let directus = desk.directus();
    directus.provide();
    let list = use_realtime_collection_with_options::<Signed>(&desk.articles, Query::new().limit(1), Desk::options());
    follows(directus, 2).await;
    let names = |expected: &'static str| {
        eventually("the author", move || {
            let shown = list.items().get_untracked();
            let is_right =
                shown.len() == 1 && shown[0].author.name == expected && list.error().get_untracked().is_none();
            std::future::ready(if is_right { Ok(()) } else { Err(shown) })
        })
    };
    names("Ada").await;
    eventually("the list to be live", async || match list.status().get_untracked() {
        LiveStatus::Live => Ok(()),
        other => Err(other),
    })
    .await;
    desk.update(&desk.authors, 1, json!({ "name": "Ada L." })).await;
    names("Ada L.").await;
    desk.owner.cleanup();
}

#[tokio::test]
async fn rows_enter_and_leave_by_a_change_of_what_the_filter_names() {
    let desk = Desk::open().await;
    let filter = Filter::field("author.name").starts_with("A");
    let rows = desk.watch(Query::new().fields("title").filter(filter).sort("title"), 2).await;
    shows(&rows, json!([{ "title": "one" }])).await;
    desk.update(&desk.authors, 2, json!({ "name": "Anna" })).await;
    shows(&rows, json!([{ "title": "one" }, { "title": "two" }])).await;
    desk.update(&desk.authors, 1, json!({ "name": "Bea" })).await;
    shows(&rows, json!([{ "title": "two" }])).await;
    let sorted = desk.watch(Query::new().fields("title").sort("author.name"), 2).await;
    shows(&sorted, json!([{ "title": "two" }, { "title": "one" }])).await;
    desk.update(&desk.authors, 2, json!({ "name": "Zoe" })).await;
    shows(&sorted, json!([{ "title": "one" }, { "title": "two" }])).await;
}

/// It failed: what the filter compared was read along as a key, and taken out of the rows together with what they show of it.
#[tokio::test]
async fn what_rows_show_of_others_stays_where_the_filter_names_it_too() {
    let desk = Desk::open().await;
    let query = Query::new().fields(["title", "author.name"]).filter(Filter::field("author").eq(1)).sort("title");
    let rows = desk.watch(query, 2).await;
    let one = json!({ "title": "one", "author": { "name": "Ada" } });
    shows(&rows, json!([one])).await;
    desk.update(&desk.articles, 2, json!({ "author": 1 })).await;
    shows(&rows, json!([one, { "title": "two", "author": { "name": "Ada" } }])).await;
    desk.update(&desk.articles, 1, json!({ "author": null })).await;
    shows(&rows, json!([{ "title": "two", "author": { "name": "Ada" } }])).await;
    let written = Filter::field("articles").nnull();
    let query = Query::new().fields(["name", "articles.title"]).filter(written).sort("name");
    let directus = desk.directus();
    let authors = directus.watch(&desk.authors, query, Desk::options());
    follows(directus, 2).await;
    shows(&authors, json!([{ "name": "Ada", "articles": [{ "title": "two" }] }])).await;
    desk.update(&desk.articles, 1, json!({ "author": 2 })).await;
    let bob = json!({ "name": "Bob", "articles": [{ "title": "one" }] });
    shows(&authors, json!([{ "name": "Ada", "articles": [{ "title": "two" }] }, bob])).await;
}

#[tokio::test]
async fn tags_are_followed_through_their_junction() {
    let desk = Desk::open().await;
    desk.create(&desk.tags, json!({ "name": "new" })).await;
    let query = Query::new().fields(["title", "tags.tag.name"]).sort("title").limit(1);
    let rows = desk.watch(query, 3).await;
    let tagged = |tags: Value| json!([{ "title": "one", "tags": tags }]);
    shows(&rows, tagged(json!([]))).await;
    desk.create(&desk.tagged, json!({ "article": 1, "tag": 1 })).await;
    shows(&rows, tagged(json!([{ "tag": { "name": "new" } }]))).await;
    desk.update(&desk.tags, 1, json!({ "name": "newest" })).await;
    shows(&rows, tagged(json!([{ "tag": { "name": "newest" } }]))).await;
    desk.delete(&desk.tagged, 1).await;
    shows(&rows, tagged(json!([]))).await;
}

#[tokio::test]
async fn blocks_of_any_collection_are_followed() {
    let desk = Desk::open().await;
    desk.create(&desk.heroes, json!({ "title": "big" })).await;
    let shown = format!("blocks.item:{}.title", desk.heroes);
    let rows = desk.watch(Query::new().fields(["title", &shown]).sort("title").limit(1), 3).await;
    shows(&rows, json!([{ "title": "one", "blocks": [] }])).await;
    desk.create(&desk.blocks, json!({ "article": 1, "item": "1", "collection": desk.heroes })).await;
    shows(&rows, json!([{ "title": "one", "blocks": [{ "item": { "title": "big" } }] }])).await;
    desk.update(&desk.heroes, 1, json!({ "title": "bigger" })).await;
    shows(&rows, json!([{ "title": "one", "blocks": [{ "item": { "title": "bigger" } }] }])).await;
}

#[tokio::test]
async fn keys_of_related_rows_are_followed_where_all_fields_are_read() {
    let desk = Desk::open().await;
    let directus = desk.directus();
    let authors = directus.watch(&desk.authors, Query::new().sort("id").limit(1), Desk::options());
    follows(directus, 2).await;
    shows(&authors, json!([{ "id": 1, "name": "Ada", "articles": [1] }])).await;
    desk.update(&desk.articles, 2, json!({ "author": 1 })).await;
    shows(&authors, json!([{ "id": 1, "name": "Ada", "articles": [1, 2] }])).await;
}

#[tokio::test]
async fn who_wants_no_relations_followed_has_none() {
    let desk = Desk::open().await;
    let directus = desk.directus();
    let query = || Query::new().fields(["title", "author.name"]).sort("title");
    let blind = directus.watch(&desk.articles, query(), Desk::options().watch_relations(false));
    shows(
        &blind,
        json!([{ "title": "one", "author": { "name": "Ada" } }, { "title": "two", "author": { "name": "Bob" } }]),
    )
    .await;
    follows(directus, 1).await;
    // Beside it somebody who does, on the same connection.
    let sighted = directus.watch(&desk.articles, query(), Desk::options());
    follows(directus, 2).await;
    drop((blind, sighted));
}

#[tokio::test]
async fn whom_directus_tells_nothing_has_a_live_list_and_no_error() {
    let desk = Desk::open().await;
    let (status, _) = desk.admin.send("GET", "/relations", None).await;
    assert_eq!(status, 200, "the administrator is told");
    let anybody = Directus::native(NativeOptions::new(&desk.admin.url));
    let query = Query::new().fields(["title", "author.name"]).sort("title").limit(1);
    let rows = anybody.watch(&desk.articles, query, Desk::options());
    shows(&rows, json!([{ "title": "one", "author": { "name": "Ada" } }])).await;
    desk.update(&desk.articles, 1, json!({ "title": "One" })).await;
    shows(&rows, json!([{ "title": "One", "author": { "name": "Ada" } }])).await;
    assert_eq!((rows.snapshot().error, anybody.counts().await.subscriptions), (None, 3));
}
