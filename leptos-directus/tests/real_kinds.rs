//! `items == REST` for queries and rows of every kind: after each of a few writes, each list shows what REST gives.
#![cfg(feature = "native")]

mod real;

use std::time::{Duration, Instant};

use leptos::prelude::Owner;
use leptos_directus::{Directus, LiveRows, LiveStatus, NativeOptions, Query, UseRealtimeCollectionOptions};
use real::{Admin, as_rest, counting_key, eventually, field, past_the_first_seconds};
use serde_json::{Value, json};

/// In an order in which they can be removed: who refers to others goes first.
const STEMS: [&str; 10] =
    ["tagged", "parts", "remarks", "essays", "writers", "labels", "texts", "pictures", "ledger", "slots"];

/// Collection, key, query, and the collections that are watched. A name after `@` is that of a collection.
const QUERIES: &[(&str, &str, &str, &str, &[&str])] = &[
    ("m2m", "essays", "id", r#"{"fields":["id","title","labels.label.name"]}"#, &["tagged", "labels"]),
    (
        "filtered by m2m",
        "essays",
        "id",
        r#"{"fields":["id","title"],"filter":{"labels":{"label":{"name":{"_contains":"e"}}}},"sort":["-title"]}"#,
        &["tagged", "labels"],
    ),
    (
        "m2a",
        "essays",
        "id",
        r#"{"fields":["id","parts.collection","parts.item:@texts.body","parts.item:@pictures.width"]}"#,
        &["parts", "texts", "pictures"],
    ),
    (
        "filtered by m2a",
        "essays",
        "id",
        r#"{"fields":["id"],"filter":{"parts":{"item:@texts":{"body":{"_contains":"sea"}}}}}"#,
        &["parts", "texts", "pictures"],
    ),
    (
        "deep",
        "essays",
        "id",
        r#"{"fields":["id","remarks.text"],"deep":{"remarks":{"_sort":["-text"],"_limit":2,"_filter":{"text":{"_neq":"no"}}}}}"#,
        &["remarks"],
    ),
    (
        "alias",
        "essays",
        "id",
        r#"{"fields":["id","remarks.text","last.text"],"alias":{"last":"remarks"},"deep":{"last":{"_sort":["-id"],"_limit":1}}}"#,
        &["remarks"],
    ),
    (
        "none of o2m",
        "essays",
        "id",
        r#"{"fields":["id"],"filter":{"remarks":{"_none":{"text":{"_eq":"no"}}}}}"#,
        &["remarks"],
    ),
    ("without what leads back", "essays", "id", r#"{"fields":["id","remarks.*.*"],"backlink":false}"#, &["remarks"]),
    ("count of o2m", "essays", "id", r#"{"fields":["id","count(remarks)"]}"#, &["remarks"]),
    ("json", "essays", "id", r#"{"fields":["id","payload"],"sort":["-id"]}"#, &[]),
    ("no sort where there is a sort field", "essays", "id", r#"{"fields":["id","title"]}"#, &[]),
    ("the same, a part", "essays", "id", r#"{"fields":["title"],"limit":2,"offset":1}"#, &[]),
    ("by a function", "essays", "id", r#"{"fields":["id","day"],"sort":["-year(day)"],"limit":3}"#, &[]),
    (
        "function as a field",
        "essays",
        "id",
        r#"{"fields":["id","month(day)"],"filter":{"year(day)":{"_gte":2025}}}"#,
        &[],
    ),
    (
        "by a related field",
        "essays",
        "id",
        r#"{"fields":["title","writer.name"],"sort":["-writer.name"]}"#,
        &["writers"],
    ),
    ("search", "essays", "id", r#"{"fields":["id","title"],"search":"sea","sort":["title"]}"#, &[]),
    ("counts", "essays", "id", r#"{"aggregate":{"count":"*","sum":["sort"],"max":["day"]}}"#, &[]),
    ("groups", "essays", "id", r#"{"aggregate":{"count":"*"},"groupBy":["status"]}"#, &[]),
    ("groups by a function", "essays", "id", r#"{"aggregate":{"countDistinct":"title"},"groupBy":["year(day)"]}"#, &[]),
    ("text keys that are not called id", "labels", "code", r#"{"sort":["-name"],"limit":3}"#, &[]),
    ("the same, without their key", "labels", "code", r#"{"fields":["name"],"sort":["name"]}"#, &[]),
    ("keys beyond 2^53", "ledger", "number", r#"{}"#, &[]),
    ("the same, a long list", "ledger", "number", r#"{"fields":["number","amount"],"sort":["-amount"]}"#, &[]),
    ("the same, by their keys", "ledger", "number", r#"{"fields":["amount"],"sort":["-number"],"limit":55}"#, &[]),
    ("uuids", "slots", "id", r#"{"sort":["name"]}"#, &[]),
];

/// What is written, one after the other.
const WRITES: &[(&str, &str, &str)] = &[
    (
        "POST",
        "/items/@essays",
        r#"{"title":"By the sea","status":"draft","day":"2026-05-01","writer":1,"payload":{"b":[1,{"c":null}],"a":"ä"},
            "labels":[{"label":"r"},{"label":"ü / ?"}],"remarks":[{"text":"yes"},{"text":"no"}],
            "parts":[{"collection":"@texts","item":{"body":"sea and sand"}},{"collection":"@pictures","item":{"width":5}}]}"#,
    ),
    ("POST", "/items/@tagged", r#"{"essay":2,"label":"r"}"#),
    ("PATCH", "/items/@essays/1", r#"{"labels":{"create":[{"label":"b"}],"update":[],"delete":[]}}"#),
    ("PATCH", "/items/@labels/r", r#"{"name":"vermilion"}"#),
    ("PATCH", "/items/@labels/%C3%BC%20%2F%20%3F", r#"{"name":"green"}"#),
    ("DELETE", "/items/@tagged/1", "null"),
    ("DELETE", "/items/@labels/r", "null"),
    ("POST", "/items/@labels", r#"{"code":"A b","name":"Äther"}"#),
    ("PATCH", "/items/@texts/1", r#"{"body":"sand"}"#),
    ("PATCH", "/items/@pictures/1", r#"{"width":null}"#),
    ("POST", "/items/@parts", r#"{"essay":3,"collection":"@texts","item":{"body":"over the sea"}}"#),
    ("DELETE", "/items/@texts/1", "null"),
    ("DELETE", "/items/@parts/2", "null"),
    ("POST", "/items/@remarks", r#"[{"essay":4,"text":"zoo"},{"essay":4,"text":"yes"},{"essay":1,"text":"no"}]"#),
    ("PATCH", "/items/@remarks/2", r#"{"text":"perhaps"}"#),
    ("PATCH", "/items/@remarks/3", r#"{"essay":2}"#),
    ("DELETE", "/items/@remarks/1", "null"),
    ("PATCH", "/items/@essays/4", r#"{"payload":{"a":"ä","b":[]}}"#),
    ("PATCH", "/items/@essays/4", r#"{"payload":[1,2]}"#),
    ("PATCH", "/items/@essays/4", r#"{"payload":null}"#),
    ("PATCH", "/items/@essays/1", r#"{"day":"2027-01-01"}"#),
    ("PATCH", "/items/@essays", r#"{"keys":[1,2],"data":{"day":null,"status":"published"}}"#),
    ("POST", "/utils/sort/@essays", r#"{"item":3,"to":1}"#),
    ("PATCH", "/items/@essays/1", r#"{"sort":null}"#),
    ("PATCH", "/items/@writers/1", r#"{"name":"Zoë"}"#),
    ("DELETE", "/items/@writers/2", "null"),
    ("PATCH", "/items/@essays/2", r#"{"title":"Seaside"}"#),
    ("PATCH", "/items/@essays/4", r#"{"title":"Inland"}"#),
    ("DELETE", "/items/@essays", "[1,2]"),
    ("POST", "/items/@ledger", r#"{"number":"9007199254741194","amount":7}"#),
    ("POST", "/items/@ledger", r#"{"number":"9007199254740988","amount":700}"#),
    ("PATCH", "/items/@ledger/9007199254740994", r#"{"amount":999}"#),
    ("PATCH", "/items/@ledger/9007199254741000", r#"{"amount":null}"#),
    ("PATCH", "/items/@ledger", r#"{"query":{"filter":{"amount":{"_lt":3}}},"data":{"amount":50}}"#),
    ("PATCH", "/items/@ledger/9007199254741150", r#"{"amount":12}"#),
    ("DELETE", "/items/@ledger/9007199254740996", "null"),
    ("POST", "/items/@slots", r#"{"id":"6f9619ff-8b86-4011-b42d-00c04fc964ff","name":"b"}"#),
    ("POST", "/items/@slots", r#"[{"name":"a"},{"name":"c"}]"#),
    ("PATCH", "/items/@slots/6f9619ff-8b86-4011-b42d-00c04fc964ff", r#"{"name":"z"}"#),
    ("DELETE", "/items/@slots/6f9619ff-8b86-4011-b42d-00c04fc964ff", "null"),
];

/// Collections of Directus's own, whose rows are not among its items: the query, two rows, what is written to the first of them,
/// and what makes it leave. `@mark` tells our rows from others.
const SYSTEM: &[(&str, &str, &str, &str, &str)] = &[
    (
        "directus_users",
        r#"{"fields":["id","first_name","title"],"filter":{"last_name":{"_eq":"@mark"}},"sort":["-first_name"]}"#,
        r#"[{"first_name":"Ann","last_name":"@mark"},{"first_name":"Bob","last_name":"@mark"}]"#,
        r#"{"first_name":"Zoe","title":"Chief"}"#,
        r#"{"last_name":"Gone"}"#,
    ),
    (
        "directus_folders",
        r#"{"fields":["id","name"],"filter":{"name":{"_ends_with":"@mark"}},"sort":["name"],"limit":5}"#,
        r#"[{"name":"a @mark"},{"name":"b @mark"}]"#,
        r#"{"name":"c @mark"}"#,
        r#"{"name":"Gone"}"#,
    ),
];

/// The collections, by their stems.
struct Library {
    admin: Admin,
    names: Vec<(&'static str, String)>,
}

impl Library {
    fn name(&self, stem: &str) -> &str {
        &self.names.iter().find(|(known, _)| *known == stem).unwrap_or_else(|| panic!("no collection {stem}")).1
    }

    /// The text with the names of collections in place of their stems.
    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (stem, name)| text.replace(&format!("@{stem}"), name))
    }

    async fn add(&mut self, stem: &'static str, key: Value, fields: Vec<Value>) {
        let name = self.admin.collection(stem, key, fields).await;
        self.names.push((stem, name));
    }

    async fn relate(&self, from: &str, field: &str, to: Option<&str>, meta: Value) {
        let relation = json!({
            "collection": self.name(from), "field": field, "related_collection": to.map(|to| self.name(to)),
            "schema": to.map(|_| json!({ "on_delete": "SET NULL" })), "meta": meta,
        });
        self.admin.change_schema("POST", "/relations", Some(relation)).await;
    }

    async fn write(&self, method: &str, path: &str, body: &str) -> Value {
        let body: Value = serde_json::from_str(&self.named(body)).expect("the table holds JSON");
        self.admin.ok(method, &self.named(path), (!body.is_null()).then_some(body)).await
    }

    async fn build(admin: Admin) -> Self {
        let mut all = Self { admin, names: Vec::new() };
        let alias =
            |name: &str, special: &str| json!({ "field": name, "type": "alias", "meta": { "special": [special] } });
        let key = |name: &str, kind: &str| json!({ "field": name, "type": kind, "meta": {}, "schema": { "is_primary_key": true } });
        all.add("writers", counting_key(), vec![field("name", "string")]).await;
        all.add("labels", key("code", "string"), vec![field("name", "string")]).await;
        all.add("texts", counting_key(), vec![field("body", "text")]).await;
        all.add("pictures", counting_key(), vec![field("width", "integer")]).await;
        let mut payload = field("payload", "json");
        payload["meta"] = json!({ "special": ["cast-json"] });
        let fields = vec![
            field("title", "string"),
            field("status", "string"),
            field("day", "date"),
            field("sort", "integer"),
            field("writer", "integer"),
            payload,
            alias("remarks", "o2m"),
            alias("labels", "m2m"),
            alias("parts", "m2a"),
        ];
        all.add("essays", counting_key(), fields).await;
        let essays = format!("/collections/{}", all.name("essays"));
        all.admin.ok("PATCH", &essays, Some(json!({ "meta": { "sort_field": "sort" } }))).await;
        all.add("remarks", counting_key(), vec![field("text", "string"), field("essay", "integer")]).await;
        all.add("tagged", counting_key(), vec![field("essay", "integer"), field("label", "string")]).await;
        let parts = ["collection", "item"].map(|name| field(name, "string"));
        all.add("parts", counting_key(), [&[field("essay", "integer")], &parts[..]].concat()).await;
        all.add("ledger", key("number", "bigInteger"), vec![field("amount", "integer")]).await;
        let mut uuid = key("id", "uuid");
        uuid["meta"] = json!({ "special": ["uuid"] });
        all.add("slots", uuid, vec![field("name", "string")]).await;
        all.relate("essays", "writer", Some("writers"), json!({})).await;
        all.relate("remarks", "essay", Some("essays"), json!({ "one_field": "remarks" })).await;
        let meta = json!({ "one_field": "labels", "junction_field": "label" });
        all.relate("tagged", "essay", Some("essays"), meta).await;
        all.relate("tagged", "label", Some("labels"), json!({ "junction_field": "essay" })).await;
        let meta = json!({ "one_field": "parts", "junction_field": "item" });
        all.relate("parts", "essay", Some("essays"), meta).await;
        let meta = json!({
            "one_allowed_collections": [all.name("texts"), all.name("pictures")],
            "one_collection_field": "collection", "junction_field": "essay",
        });
        all.relate("parts", "item", None, meta).await;
        all
    }

    /// The rows that there are before anybody looks.
    async fn fill(&self) {
        self.write("POST", "/items/@writers", r#"[{"name":"Ada"},{"name":"Émile"}]"#).await;
        let labels = r#"[{"code":"r","name":"red"},{"code":"b","name":"blue"},{"code":"ü / ?","name":"grün"},{"code":"10","name":"ten"}]"#;
        self.write("POST", "/items/@labels", labels).await;
        let essays = r#"[
            {"title":"Sea","status":"draft","day":"2024-02-29","sort":3,"writer":2,"payload":{"x":1}},
            {"title":"land","status":"published","day":"2025-01-31","sort":1,"writer":1},
            {"title":"Ärger","status":"draft","day":"2025-12-31","sort":2,"remarks":[{"text":"yes"}]}
        ]"#;
        self.write("POST", "/items/@essays", essays).await;
        self.write("POST", "/items/@tagged", r#"[{"essay":1,"label":"r"},{"essay":3,"label":"10"}]"#).await;
        // Even ones: SQLite's driver rounds what lies between.
        let entries: Vec<Value> = (0..80_u64)
            .map(|n| json!({ "number": (9_007_199_254_740_994 + 2 * n).to_string(), "amount": n * 7 % 40 }))
            .collect();
        self.admin.ok("POST", &format!("/items/{}", self.name("ledger")), Some(json!(entries))).await;
    }
}

/// A list, what it is to equal, and what it is called when it does not.
struct Watched {
    about: &'static str,
    collection: String,
    query: Value,
    list: LiveRows,
}

impl Watched {
    fn of(library: &Library, directus: Directus, row: &'static (&str, &str, &str, &str, &[&str])) -> Self {
        let (about, stem, key, query, watched) = *row;
        let query: Value = serde_json::from_str(&library.named(query)).expect("the table holds JSON");
        let options = UseRealtimeCollectionOptions::default().key_field(key);
        let options = options.watch(watched.iter().map(|stem| library.name(stem).to_owned()));
        Self {
            about,
            collection: library.name(stem).to_owned(),
            list: directus.watch(library.name(stem), Query::from_json(&query.to_string()).unwrap(), options),
            query: as_rest(&query, key),
        }
    }

    async fn is_right(&self, admin: &Admin, after: &str) {
        let expected = admin.read(&self.collection, &self.query).await;
        eventually(&format!("“{}” to equal REST after {after}", self.about), async || {
            let shown = self.list.snapshot();
            if shown.rows == expected && shown.status == LiveStatus::Live {
                Ok(())
            } else {
                Err((expected.clone(), shown))
            }
        })
        .await;
    }

    /// It is right, and shows something else than before.
    async fn has_changed(&self, admin: &Admin, after: &str, before: &mut Vec<Value>) {
        self.is_right(admin, after).await;
        let shown = self.list.snapshot().rows;
        assert_ne!(shown, *before, "“{}” after {after}: that proves nothing", self.about);
        *before = shown;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_every_kind_equal_rest_after_each_write() {
    let admin = Admin::new();
    for stem in STEMS {
        admin.remove_collections(&[stem]).await;
    }
    let library = Library::build(admin.clone()).await;
    library.fill().await;
    let owner = Owner::new();
    let lists: Vec<Watched> = owner.with(|| {
        let directus = Directus::native(NativeOptions::new(&admin.url).token(&admin.token));
        QUERIES.iter().map(|row| Watched::of(&library, directus, row)).collect()
    });
    for list in &lists {
        list.is_right(&admin, "the start").await;
    }
    let first: Vec<Vec<Value>> = lists.iter().map(|list| list.list.snapshot().rows).collect();
    let mut is_touched = vec![false; lists.len()];
    for (method, path, body) in WRITES {
        library.write(method, path, body).await;
        for (place, list) in lists.iter().enumerate() {
            list.is_right(&admin, &format!("{method} {path} {body}")).await;
            is_touched[place] |= list.list.snapshot().rows != first[place];
        }
    }
    let untouched: Vec<&str> =
        lists.iter().zip(&is_touched).filter(|(_, touched)| !**touched).map(|(list, _)| list.about).collect();
    assert!(untouched.is_empty(), "no write touched {untouched:?}: that proves nothing");
    for list in lists.iter().filter(|list| list.about.starts_with("the same, by their keys")) {
        assert!(list.list.reads().keys > 0, "a long list is read by its keys: {:?}", list.list.reads());
    }
    // Directus has room for 25 collections.
    drop(lists);
    for stem in STEMS {
        admin.remove_collections(&[stem]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_directus_s_own_collections_equal_rest_after_each_write() {
    let admin = Admin::new();
    let mark = format!("kinds-{}", std::process::id());
    let read = |text: &str| -> Value { serde_json::from_str(&text.replace("@mark", &mark)).unwrap() };
    let owner = Owner::new();
    let directus = owner.with(|| Directus::native(NativeOptions::new(&admin.url).token(&admin.token)));
    for (collection, query, rows, change, farewell) in SYSTEM {
        let query = read(query);
        let list = Watched {
            about: collection,
            collection: (*collection).to_owned(),
            list: owner.with(|| {
                let query = Query::from_json(&query.to_string()).unwrap();
                directus.watch(*collection, query, UseRealtimeCollectionOptions::default())
            }),
            query: as_rest(&query, "id"),
        };
        list.is_right(&admin, "the start").await;
        let mut before = list.list.snapshot().rows;
        assert!(before.is_empty(), "{before:?}");
        let path = collection.replace("directus_", "/");
        let made = admin.ok("POST", &path, Some(read(rows))).await;
        list.has_changed(&admin, "POST", &mut before).await;
        let [first, second] = [0_usize, 1].map(|place| format!("{path}/{}", made[place]["id"].as_str().unwrap()));
        let writes =
            [("PATCH", &first, Some(read(change))), ("PATCH", &first, Some(read(farewell))), ("DELETE", &second, None)];
        for (method, path, body) in writes {
            admin.ok(method, path, body.clone()).await;
            list.has_changed(&admin, &format!("{method} {body:?}"), &mut before).await;
        }
        assert!(before.is_empty(), "{before:?}");
        admin.ok("DELETE", &first, None).await;
    }
}

/// What the database changes by itself is announced by nobody (hazard H15), and neither is what is saved in a content version.
/// An app says what to watch, or how often to look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_directus_does_not_announce_is_seen_by_what_is_watched_and_at_the_interval() {
    let admin = Admin::new();
    let fields = vec![field("title", "string"), field("part_of", "integer")];
    let books = admin.collection("books", counting_key(), fields).await;
    let chapters = admin.collection("chapters", counting_key(), vec![field("book", "integer")]).await;
    admin
        .change_schema("PATCH", &format!("/collections/{books}"), Some(json!({ "meta": { "versioning": true } })))
        .await;
    for (from, field) in [(&chapters, "book"), (&books, "part_of")] {
        let schema = json!({ "on_delete": "CASCADE" });
        let relation = json!({ "collection": from, "field": field, "related_collection": books, "schema": schema });
        admin.change_schema("POST", "/relations", Some(relation)).await;
    }
    // A long list: what leaves with another row is not read with it.
    let titles: Vec<Value> = (1..=70).map(|number| json!({ "title": format!("book {number}") })).collect();
    admin.ok("POST", &format!("/items/{books}"), Some(titles.into())).await;
    let parts = [1, 2].map(|book| json!({ "title": "a part", "part_of": book }));
    admin.ok("POST", &format!("/items/{books}"), Some(parts.to_vec().into())).await;
    let of = [1, 1, 2, 3].map(|book| json!({ "book": book }));
    admin.ok("POST", &format!("/items/{chapters}"), Some(of.to_vec().into())).await;
    let version = json!({ "key": "draft", "name": "Draft", "collection": books, "item": "3" });
    let version = admin.ok("POST", "/versions", Some(version)).await;
    let save = format!("/versions/{}/save", version["id"].as_str().expect("it has a key"));
    admin.ok("POST", &save, Some(json!({ "title": "book 3, drafted" }))).await;

    let owner = Owner::new();
    let directus = owner.with(|| Directus::native(NativeOptions::new(&admin.url).token(&admin.token)));
    let list = |about: &'static str, collection: &str, query: Query, options: UseRealtimeCollectionOptions| Watched {
        about,
        collection: collection.to_owned(),
        query: as_rest(&query.to_json(), "id"),
        list: owner.with(|| directus.watch(collection, query, options)),
    };
    let never = || UseRealtimeCollectionOptions::default().revalidate_every(Duration::MAX);
    let soon = || UseRealtimeCollectionOptions::default().revalidate_every(Duration::from_secs(1));
    let all = || Query::new().fields(["id", "book"]);
    let parts = || Query::new().fields(["id"]).sort("id");
    let seen = [
        list("chapters, with books watched", &chapters, all(), never().watch([books.clone()])),
        list("chapters, looked at each second", &chapters, all(), soon()),
        list("parts, with books watched", &books, parts(), never().watch([books.clone()])),
        list("parts, looked at each second", &books, parts(), soon()),
    ];
    let unseen = [
        list("chapters, with nothing watched", &chapters, all(), never()),
        list("parts, with nothing watched", &books, parts(), never()),
    ];
    let draft = || Query::new().fields(["id", "title"]).version("draft");
    let drafts = list("drafts, looked at each second", &books, draft(), soon());
    for list in seen.iter().chain(&unseen).chain([&drafts]) {
        list.is_right(&admin, "the start").await;
    }
    past_the_first_seconds(Instant::now()).await;
    let [chapters_before, parts_before] = unseen.each_ref().map(|list| list.list.snapshot().rows);
    let mut shown = seen.each_ref().map(|list| list.list.snapshot().rows);
    for book in [1, 2] {
        let path = format!("/items/{books}/{book}");
        admin.ok("DELETE", &path, None).await;
        for (list, shown) in seen.iter().zip(&mut shown) {
            list.has_changed(&admin, &format!("DELETE {path}"), shown).await;
        }
    }
    let [unseen_chapters, unseen_parts] = unseen.each_ref().map(|list| list.list.snapshot().rows);
    assert_eq!(unseen_chapters, chapters_before, "it was announced, or read for another reason");
    assert_eq!(unseen_parts.len(), parts_before.len() - 2, "the parts are not announced");
    let mut drafted = drafts.list.snapshot().rows;
    let info = admin.ok("GET", "/server/info", None).await;
    // Directus 11 knows of versions where one item is read by its key, and nowhere else.
    let is_there = !info["version"].as_str().expect("an administrator is told").starts_with("11.");
    assert_eq!(drafted.iter().any(|row| row["title"] == "book 3, drafted"), is_there, "{info}: {drafted:?}");
    if is_there {
        admin.ok("POST", &save, Some(json!({ "title": "book 3, drafted again" }))).await;
        drafts.has_changed(&admin, "what is saved in a version", &mut drafted).await;
    }
    drop((seen, unseen, drafts));
    // With SQLite, Directus can't remove a table that refers to itself.
    admin.remove_collections(&["chapters"]).await;
}
