//! What the public may read, changed while everybody watches: rules with filters and lists of fields, and no rule at all.
//!
//! Directus 12 refuses filters and lists of fields without a licence key: there a collection is readable as a whole, or not at all.

use super::{patiently, random::Random};
use crate::{directus::PUBLIC_POLICY, failure::Result, http::Client};
use serde_json::{Value, json};

/// How often those who watch as the public read again: nobody tells them of a rule, nor of a row that leaves what a rule
/// lets through.
pub(super) const SECONDS: u64 = 3;

/// What Directus knows of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Filters and lists of fields.
    Fine,
    /// A collection as a whole, or not at all.
    Whole,
}

impl Kind {
    /// The collections whose rules change. Who watches one of them as the public reads it again every few seconds, so that what is
    /// announced is judged by the others, and by those who watch as the administrator.
    fn collections(self) -> &'static [&'static str] {
        match self {
            Self::Fine => &["posts", "comments"],
            Self::Whole => &["comments", "masthead"],
        }
    }

    /// Whether the rules for this collection change.
    pub(super) fn concerns(self, collection: &str) -> bool {
        self.collections().contains(&collection)
    }
}

/// The administrator's hand on the public's permissions.
#[derive(Debug)]
pub(super) struct Rules {
    kind: Kind,
    client: Client,
    random: Random,
}

impl Rules {
    pub(super) fn new(kind: Kind, client: Client, random: Random) -> Self {
        Self { kind, client, random }
    }

    /// Another rule for some collection; says which.
    pub(super) fn change(&mut self) -> Result<String> {
        let collection = self.random.pick(self.kind.collections());
        let rule = match self.kind {
            Kind::Fine => rule(&mut self.random, collection),
            Kind::Whole => (!self.random.once_in(3)).then(everything),
        };
        patiently(|| self.set(collection, rule.as_ref()))?;
        Ok(match rule {
            Some(rule) => format!("the public may read of {collection}: {rule}"),
            None => format!("the public may read nothing of {collection}"),
        })
    }

    fn set(&self, collection: &str, rule: Option<&Value>) -> Result<()> {
        let filter = format!(
            "filter[policy][_eq]={PUBLIC_POLICY}&filter[collection][_eq]={collection}&filter[action][_eq]=read&fields=id"
        );
        let there = self.client.data("GET", &format!("/permissions?limit=-1&{filter}"), None)?;
        let path = there[0]["id"].as_u64().map(|id| format!("/permissions/{id}"));
        match (path, rule) {
            (Some(path), Some(rule)) => self.client.data("PATCH", &path, Some(rule)).map(drop),
            (Some(path), None) => self.client.data("DELETE", &path, None).map(drop),
            (None, Some(rule)) => {
                let mut permission = rule.clone();
                permission["policy"] = json!(PUBLIC_POLICY);
                permission["collection"] = json!(collection);
                permission["action"] = json!("read");
                self.client.data("POST", "/permissions", Some(&permission)).map(drop)
            }
            (None, None) => Ok(()),
        }
    }
}

fn everything() -> Value {
    json!({ "permissions": {}, "fields": ["*"] })
}

/// A rule for a collection: everything, some rows, some fields, both, or nothing at all.
fn rule(random: &mut Random, collection: &str) -> Option<Value> {
    let (filters, fields) = match collection {
        "posts" => (
            vec![
                json!({ "status": { "_neq": "draft" } }),
                json!({ "views": { "_lt": 60 } }),
                json!({ "author": { "name": { "_nnull": true } } }),
            ],
            [
                json!(["id", "title", "status", "author", "published_at", "sort", "tags", "body"]),
                json!(["id", "status", "views", "author", "published_at", "sort", "tags", "body"]),
            ],
        ),
        _ => (
            vec![json!({ "author_name": { "_neq": "Apfel" } }), json!({ "text": { "_contains": "a" } })],
            [json!(["id", "text", "post"]), json!(["id", "author_name", "post"])],
        ),
    };
    let mut rule = everything();
    let kind = random.index(8);
    if kind == 7 {
        return None;
    }
    if matches!(kind, 2..=4 | 6) {
        rule["permissions"] = filters[random.index(filters.len())].clone();
    }
    if matches!(kind, 5 | 6) {
        rule["fields"] = fields[random.index(fields.len())].clone();
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_rules_of_every_kind_for_every_collection_and_each_keeps_the_key() {
        let mut random = Random::new(1);
        for collection in Kind::Fine.collections() {
            let mut kinds = std::collections::BTreeSet::new();
            for _ in 0..200 {
                let Some(rule) = rule(&mut random, collection) else {
                    kinds.insert((false, false, false));
                    continue;
                };
                let is_whole = rule["fields"] == json!(["*"]);
                assert!(
                    is_whole || rule["fields"].as_array().is_some_and(|fields| fields.contains(&json!("id"))),
                    "{rule}"
                );
                kinds.insert((true, is_whole, rule["permissions"] == json!({})));
            }
            assert_eq!(kinds.len(), 5, "{collection}");
        }
    }
}
