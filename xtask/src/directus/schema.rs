//! The newsroom's collections, rights, users and first rows, put into Directus by its own REST.

use crate::{
    failure::{Context, Failure, Result},
    http::Client,
    workspace::Workspace,
};
use serde_json::{Value, json};
use std::fs;

/// Directus's own policy for visitors without a login; its id is part of Directus's migrations.
pub(crate) const PUBLIC_POLICY: &str = "abf8a154-5b1c-4a46-ac9c-7300570f4f17";
/// Part of the fingerprint: a change in how the files are applied must not find an old template.
const FORMAT: &str = "1";

/// What `end2end/directus/*.json` says.
#[derive(Debug)]
pub(crate) struct Schema {
    schema: Value,
    access: Value,
    seeds: Value,
    text: String,
}

impl Schema {
    /// Reads the three files.
    ///
    /// # Errors
    ///
    /// If one is missing or is not JSON.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let mut text = FORMAT.to_owned();
        let mut read = |name: &str| -> Result<Value> {
            let path = workspace.root.join("end2end/directus").join(name);
            let content = fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
            text.push_str(&content);
            serde_json::from_str(&content).context(|| format!("{} is not JSON", path.display()))
        };
        let (schema, access, seeds) = (read("schema.json")?, read("access.json")?, read("seeds.json")?);
        Ok(Self { schema, access, seeds, text })
    }

    /// Changes when the outcome of [`Schema::apply`] would.
    pub(crate) fn fingerprint(&self, version: &str, token: &str) -> String {
        sha1_smol::Sha1::from(format!("{version}\n{token}\n{}", self.text)).digest().to_string()[..12].to_owned()
    }

    /// Adds what is missing; changes nothing that is there, and seeds empty collections only.
    ///
    /// # Errors
    ///
    /// What Directus refuses, in its words.
    pub(crate) fn apply(&self, directus: &Client) -> Result<()> {
        self.collections(directus)?;
        self.access(directus)?;
        self.seeds(directus)
    }

    fn collections(&self, directus: &Client) -> Result<()> {
        let there = strings(&directus.data("GET", "/collections", None)?, "collection");
        for collection in list(&self.schema["collections"]) {
            let name = text(&collection["collection"])?;
            if !there.iter().any(|known| known == name) {
                directus.data("POST", "/collections", Some(collection))?;
                continue;
            }
            let fields = strings(&directus.data("GET", &format!("/fields/{name}"), None)?, "field");
            for field in list(&collection["fields"]) {
                if !fields.contains(&text(&field["field"])?.to_owned()) {
                    directus.data("POST", &format!("/fields/{name}"), Some(field))?;
                }
            }
        }
        let relations = directus.data("GET", "/relations", None)?;
        for relation in list(&self.schema["relations"]) {
            let same =
                |known: &&Value| known["collection"] == relation["collection"] && known["field"] == relation["field"];
            if list(&relations).find(same).is_none() {
                directus.data("POST", "/relations", Some(relation))?;
            }
        }
        Ok(())
    }

    fn access(&self, directus: &Client) -> Result<()> {
        let policies = strings(&directus.data("GET", "/policies?limit=-1&fields=id", None)?, "id");
        for policy in list(&self.access["policies"]) {
            let id = text(&policy["id"])?;
            if !policies.iter().any(|known| known == id) {
                let mut new = policy.clone();
                if let Some(new) = new.as_object_mut() {
                    new.remove("permissions");
                }
                directus.data("POST", "/policies", Some(&new))?;
            }
            permissions(directus, id, &policy["permissions"])?;
        }
        permissions(directus, PUBLIC_POLICY, &self.access["public"])?;
        let roles = strings(&directus.data("GET", "/roles?limit=-1&fields=id", None)?, "id");
        for role in list(&self.access["roles"]) {
            if !roles.contains(&text(&role["id"])?.to_owned()) {
                let mut new = role.clone();
                new["policies"] = list(&role["policies"]).map(|policy| json!({ "policy": policy })).collect();
                directus.data("POST", "/roles", Some(&new))?;
            }
        }
        let users = strings(&directus.data("GET", "/users?limit=-1&fields=email", None)?, "email");
        for user in list(&self.access["users"]) {
            if !users.contains(&text(&user["email"])?.to_owned()) {
                directus.data("POST", "/users", Some(user))?;
            }
        }
        Ok(())
    }

    fn seeds(&self, directus: &Client) -> Result<()> {
        for seed in list(&self.seeds) {
            let path = format!("/items/{}", text(&seed["collection"])?);
            if seed["singleton"] == true {
                if directus.data("GET", &path, None)?["id"].is_null() {
                    directus.data("PATCH", &path, Some(&seed["rows"][0]))?;
                }
                continue;
            }
            if list(&directus.data("GET", &format!("{path}?limit=1"), None)?).next().is_some() {
                continue;
            }
            directus.data("POST", &path, Some(&seed["rows"]))?;
            // Directus writes the present into a new row's `date_created`; seeded rows are from different days.
            let key = seed["key"].as_str().unwrap_or("id");
            let dates: Vec<Value> = list(&seed["rows"])
                .filter(|row| row["date_created"].is_string())
                .map(|row| json!({ key: row[key], "date_created": row["date_created"] }))
                .collect();
            if !dates.is_empty() {
                directus.data("PATCH", &path, Some(&Value::Array(dates)))?;
            }
        }
        Ok(())
    }
}

fn permissions(directus: &Client, policy: &str, wanted: &Value) -> Result<()> {
    let path = format!("/permissions?limit=-1&filter[policy][_eq]={policy}");
    let there = directus.data("GET", &path, None)?;
    let has = |collection: &Value, action: &Value| {
        list(&there).any(|known| known["collection"] == *collection && known["action"] == *action)
    };
    for grant in list(wanted) {
        for action in list(&grant["actions"]) {
            if !has(&grant["collection"], action) {
                let permission = json!({
                    "policy": policy, "collection": grant["collection"], "action": action,
                    "fields": ["*"], "permissions": null, "validation": null, "presets": null,
                });
                directus.data("POST", "/permissions", Some(&permission))?;
            }
        }
    }
    Ok(())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(rows: &Value, field: &str) -> Vec<String> {
    list(rows).filter_map(|row| row[field].as_str().map(str::to_owned)).collect()
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| Failure::new(format!("expected a text in end2end/directus/*.json, found {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn schema() -> Schema {
        Schema::read(&Workspace::find().expect("the workspace")).expect("the files")
    }

    #[test]
    fn every_grant_relation_and_seed_names_a_collection_of_the_schema() {
        let schema = schema();
        let known: BTreeSet<String> = strings(&schema.schema["collections"], "collection").into_iter().collect();
        let own = |name: &String| !name.starts_with("directus_");
        let mut named = strings(&schema.access["public"], "collection");
        named.extend(strings(&schema.seeds, "collection"));
        named.extend(strings(&schema.schema["relations"], "collection"));
        named.extend(strings(&schema.schema["relations"], "related_collection").into_iter().filter(own));
        for policy in list(&schema.access["policies"]) {
            named.extend(strings(&policy["permissions"], "collection").into_iter().filter(own));
        }
        for name in named {
            assert!(known.contains(&name), "{name}");
        }
    }

    #[test]
    fn whose_token_our_server_gets_sees_what_the_public_sees() {
        let schema = schema();
        let user = list(&schema.access["users"]).find(|user| user["token"] == super::super::SCHEMA_TOKEN);
        let role = list(&schema.access["roles"]).find(|role| role["id"] == user.expect("the user")["role"]);
        let policies: Vec<&Value> = list(&role.expect("the role")["policies"]).collect();
        let own = list(&schema.access["policies"]).find(|policy| policies.contains(&&policy["id"]));
        let own = own.expect("a policy");
        assert!(policies.len() == 2 && policies.contains(&&json!(PUBLIC_POLICY)));
        let rights = json!([{ "collection": "directus_relations", "actions": ["read"] }]);
        assert_eq!(own["permissions"], rights);
        assert_eq!((&own["admin_access"], &own["app_access"]), (&json!(false), &json!(false)));
    }

    #[test]
    fn seeded_rows_use_fields_of_the_schema_only() {
        let schema = schema();
        for seed in list(&schema.seeds) {
            let collection = list(&schema.schema["collections"])
                .find(|collection| collection["collection"] == seed["collection"])
                .expect("a collection of the schema");
            let fields = strings(&collection["fields"], "field");
            for row in list(&seed["rows"]) {
                for field in row.as_object().expect("a row").keys() {
                    assert!(fields.contains(field), "{}.{field}", seed["collection"]);
                }
            }
        }
    }

    #[test]
    fn the_fingerprint_depends_on_files_version_and_token() {
        let schema = schema();
        let prints: BTreeSet<String> = [("12.4.1", "a"), ("12.4.1", "b"), ("11.17.4", "a")]
            .into_iter()
            .map(|(version, token)| schema.fingerprint(version, token))
            .collect();
        assert_eq!(prints.len(), 3);
        assert_eq!(schema.fingerprint("12.4.1", "a"), self::schema().fingerprint("12.4.1", "a"));
    }
}
