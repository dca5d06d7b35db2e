//! A real Directus, and collections of one's own in it.
//!
//! `cargo xtask test directus` starts one in each mode and names them in the environment. By hand: `DIRECTUS_TEST_URL` (mode
//! `public`) and `DIRECTUS_TEST_ADMIN_TOKEN`; CONTRIBUTING.md says which tests need more.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::{
    fmt::Debug,
    future::Future,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: `cargo xtask test directus` starts a Directus and sets it"))
}

/// Longer than anything here takes on a busy machine, and short enough to end a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Directus as the administrator.
#[derive(Clone)]
pub(crate) struct Admin {
    client: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Admin {
    pub(crate) fn new() -> Self {
        Self::at(variable("DIRECTUS_TEST_URL"))
    }

    /// Of another Directus than the one in mode `public`.
    pub(crate) fn at(url: String) -> Self {
        // Whoever comes second finds the same provider there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            url,
            token: variable("DIRECTUS_TEST_ADMIN_TOKEN"),
        }
    }

    /// One request; its status and body.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.try_send(method, path, body).await.expect("Directus answers")
    }

    /// One request to a Directus that may be gone; its status and body, if there was an answer.
    pub(crate) async fn try_send(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        static REQUESTS: AtomicU32 = AtomicU32::new(0);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let [_, b, c, d] = REQUESTS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        // Each from an address of its own: a Directus that limits how often one may ask does not mean us.
        request = request.header("x-forwarded-for", format!("10.{b}.{c}.{d}"));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// One request that has to work; `data` of its body.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, mut answer) = self.send(method, path, body.clone()).await;
        assert!(status < 300, "{method} {path} {body:?}: {status} {answer}");
        answer["data"].take()
    }

    /// One request that changes the schema and has to work; `data` of its body.
    ///
    /// Directus reads the schema in several steps, keeps the outcome in its memory, and forgets that once a change is done. Who
    /// began to read before, because another test had changed something, may be done after, and would leave there what was never
    /// true: the collection missing (403), or its key as one that does not count (400). So: a request, which is answered when
    /// such a reading is over (one at a time reads, the others wait for it), and then all is forgotten once more. Source:
    /// `getSchema` in Directus 12.4.1's `api/src/utils/get-schema.ts`.
    pub(crate) async fn change_schema(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let data = self.ok(method, path, body).await;
        self.ok("GET", "/users/me?fields=id", None).await;
        self.ok("POST", "/utils/cache/clear?system", None).await;
        data
    }

    /// What REST returns for a query now.
    pub(crate) async fn read(&self, collection: &str, query: &Value) -> Vec<Value> {
        let path = match collection.strip_prefix("directus_") {
            Some(own) => format!("/{own}"),
            None => format!("/items/{collection}"),
        };
        let data = self.ok("SEARCH", &path, Some(json!({ "query": query }))).await;
        data.as_array().cloned().unwrap_or_else(|| vec![data])
    }

    /// Removes what earlier tests left: without a licence key, Directus 12 has room for 25 collections.
    pub(crate) async fn remove_collections(&self, stems: &[&str]) {
        let collections = self.ok("GET", "/collections?limit=-1", None).await;
        for collection in collections.as_array().into_iter().flatten() {
            let name = collection["collection"].as_str().unwrap_or_default();
            if stems.iter().any(|stem| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with("_t"))) {
                self.change_schema("DELETE", &format!("/collections/{name}"), None).await;
            }
        }
    }

    /// A collection with these fields, under a name that begins with `stem`. The public role may read it.
    pub(crate) async fn collection(&self, stem: &str, key: Value, fields: Vec<Value>) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{stem}_t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut all = vec![key];
        all.extend(fields);
        let collection = json!({ "collection": name, "schema": {}, "meta": {}, "fields": all });
        self.change_schema("POST", "/collections", Some(collection)).await;
        self.public_reads(&name, Some(json!({}))).await;
        name
    }

    /// The public role may read this of the collection: all for an empty rule, else as `permissions` (a filter) and `fields`
    /// say; nothing without a rule.
    pub(crate) async fn public_reads(&self, collection: &str, rule: Option<Value>) {
        let filter = format!("filter[collection][_eq]={collection}&filter[action][_eq]=read&fields=id");
        let there = self.ok("GET", &format!("/permissions?{filter}"), None).await;
        let id = there[0]["id"].as_i64();
        let Some(rule) = rule else {
            if let Some(id) = id {
                self.ok("DELETE", &format!("/permissions/{id}"), None).await;
            }
            return;
        };
        let policies = self.ok("GET", "/policies?limit=-1", None).await;
        let public = policies.as_array().unwrap().iter().find(|policy| policy["name"] == "$t:public_label");
        let mut permission = json!({
            "policy": public.expect("there is a public policy")["id"],
            "collection": collection, "action": "read", "fields": ["*"], "permissions": {}, "validation": {},
        });
        permission.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        match id {
            Some(id) => self.ok("PATCH", &format!("/permissions/{id}"), Some(permission)).await,
            None => self.ok("POST", "/permissions", Some(permission)).await,
        };
    }

    /// The public role may do this with the collection, and nothing else.
    pub(crate) async fn public_may(&self, collection: &str, actions: &[&str]) {
        let given =
            self.ok("GET", &format!("/permissions?filter[collection][_eq]={collection}&fields=id,policy"), None).await;
        let policy = given[0]["policy"].clone();
        for permission in given.as_array().unwrap() {
            self.ok("DELETE", &format!("/permissions/{}", permission["id"]), None).await;
        }
        for action in actions {
            let permission = json!({
                "policy": policy, "collection": collection, "action": action,
                "fields": ["*"], "permissions": {}, "validation": {},
            });
            self.ok("POST", "/permissions", Some(permission)).await;
        }
    }
}

/// The two fixed readings of a query: no limit means all rows, and equal rows are ordered by their key. Read anew here, so that
/// the library's own reading is compared with something. Lists in these tests name what they sort by as an array.
pub(crate) fn as_rest(query: &Value, key: &str) -> Value {
    let mut query = query.clone();
    if query["limit"].is_null() {
        query["limit"] = json!(-1);
    }
    if query["aggregate"].is_null()
        && let Some(sort) = query.get_mut("sort").and_then(Value::as_array_mut)
        && ![key, &format!("-{key}")].iter().any(|name| sort.contains(&json!(name)))
    {
        sort.push(json!(key));
    }
    query
}

/// An integer key that counts by itself.
pub(crate) fn counting_key() -> Value {
    json!({ "field": "id", "type": "integer", "meta": {}, "schema": { "is_primary_key": true, "has_auto_increment": true } })
}

pub(crate) fn field(name: &str, kind: &str) -> Value {
    json!({ "field": name, "type": kind, "meta": {}, "schema": {} })
}

/// Waits until `probe` gives something, and says what it last saw if it never does.
#[track_caller]
pub(crate) fn eventually<T, Seen: Debug, F: Future<Output = Result<T, Seen>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let mut last = None;
        let poll = async {
            let mut interval = tokio::time::interval(Duration::from_millis(10));
            loop {
                interval.tick().await;
                match probe().await {
                    Ok(found) => break found,
                    Err(seen) => last = Some(seen),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, poll).await {
            Ok(found) => found,
            Err(_) => panic!("{place}: waited {PATIENCE:?} for {what}; last seen: {last:?}"),
        }
    }
}

/// What is announced sooner after a connect may be the rest of a batch: then everything is read, and once more a second later.
pub(crate) async fn past_the_first_seconds(connected: Instant) {
    eventually("the end of the first ten seconds", async || match connected.elapsed() {
        passed if passed > Duration::from_secs(11) => Ok(()),
        passed => Err(passed),
    })
    .await;
}
