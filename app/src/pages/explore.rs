//! Any collection, any query.

use std::{num::NonZeroU32, time::Duration};

use leptos::prelude::*;
use leptos_directus::{
    Query, RowKey, UseRealtimeCollectionOptions, UseRealtimeCollectionReturn, use_realtime_collection_with_options,
};
use leptos_router::{components::Form, hooks::use_query_map};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    attributes::{data_field, data_key},
    components::{LiveNotice, PageMeta},
};

/// Queries to start from.
const SAMPLES: [(&str, &str, &str); 4] = [
    (
        "Newest posts",
        "posts",
        r#"{"fields":["id","title","status","author.name"],"sort":["-date_created"],"limit":10}"#,
    ),
    (
        "Drafts and reviews",
        "posts",
        r#"{"filter":{"status":{"_in":["draft","review"]}},"fields":["id","title","status"]}"#,
    ),
    ("Wires by priority", "wires", r#"{"sort":["-priority","code"]}"#),
    ("Authors", "authors", r#"{"fields":["id","name","bio"],"sort":["name"]}"#),
];

/// `/explore?collection=…&query=…`: any collection, any query, live. The address holds all there is to know: the key
/// field (`&key=code`), where it is not `id`, and how often to read whatever is announced (`&revalidate=60`, in seconds).
#[component]
pub fn ExplorePage() -> impl IntoView {
    let address = use_query_map();
    let parameter = move |name: &'static str| {
        address.with(|address| address.get(name)).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let collection = Memo::new(move |_| parameter("collection").unwrap_or_else(|| "posts".to_owned()));
    let given_key = Memo::new(move |_| parameter("key").unwrap_or_default());
    let key_field = Memo::new(move |_| {
        let given = given_key.get();
        if given.is_empty() { key_field_of(&collection.get()).to_owned() } else { given }
    });
    let text = Memo::new(move |_| parameter("query").unwrap_or_else(|| "{}".to_owned()));
    let query = Memo::new(move |_| read_query(&text.get()));
    let revalidate = Memo::new(move |_| parameter("revalidate").and_then(|seconds| seconds.parse().ok()));
    let source = Memo::new(move |_| (collection.get(), key_field.get(), revalidate.get()));
    let problem = move || query.get().err().map(|problem| view! { <p class="notice notice--bad">{problem}</p> });
    view! {
        <PageMeta title="Explore" description="Any collection, any query, live: ask Directus and watch the answer change." />
        <div class="page-head">
            <div>
                <h1>"Explore"</h1>
                <p>"Any collection and any Directus query. The rows below stay equal to what REST would answer."</p>
            </div>
        </div>
        <div class="explore">
            <Form method="GET" action="/explore" attr:class="explore__form">
                <div class="field">
                    <label for="collection">"Collection"</label>
                    <input
                        class="input"
                        id="collection"
                        name="collection"
                        list="collections"
                        autocomplete="off"
                        spellcheck="false"
                        value=collection.get_untracked()
                        prop:value=collection
                    />
                    <datalist id="collections">
                        {["posts", "authors", "comments", "topics", "wires"]
                            .map(|collection| view! { <option value=collection></option> })}
                    </datalist>
                </div>
                <div class="field">
                    <label for="query">"Query (JSON)"</label>
                    <textarea class="input code" id="query" name="query" rows="3" spellcheck="false" prop:value=text>
                        {text.get_untracked()}
                    </textarea>
                </div>
                <div class="field">
                    <label for="key">"Key field"</label>
                    <input
                        class="input code"
                        id="key"
                        name="key"
                        autocomplete="off"
                        spellcheck="false"
                        placeholder=key_field
                        value=given_key.get_untracked()
                        prop:value=given_key
                    />
                </div>
                {move || {
                    let seconds: NonZeroU32 = revalidate.get()?;
                    Some(view! { <input type="hidden" name="revalidate" value=seconds.get() /> })
                }}
                <button class="button button--primary" type="submit">
                    "Show"
                </button>
            </Form>
            <p class="samples">
                <span class="hint">"For example:"</span>
                {SAMPLES
                    .map(|(name, collection, query)| {
                        view! { <a href=address_of(collection, query)>{name}</a> }
                    })}
            </p>
            <div role="status" aria-live="polite">
                {problem}
            </div>
            // Another collection is another hook; another query is not.
            {move || {
                let (name, key_field, revalidate) = source.get();
                view! { <Rows collection=name key_field=key_field revalidate=revalidate query=query /> }
            }}
        </div>
    }
}

/// Directus tells the public nothing about its schema: the one collection of the demo whose key is not `id` is known here.
fn key_field_of(collection: &str) -> &'static str {
    if collection == "wires" { "code" } else { "id" }
}

/// Reads the text of the address, or says what is wrong with it.
fn read_query(text: &str) -> Result<Query, String> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| format!("The query is not JSON: {error}."))?;
    Query::from_json(text).map_err(|error| format!("The query is not one that Directus knows: {error}."))
}

fn address_of(collection: &str, query: &str) -> String {
    let mut parameters = leptos_router::params::ParamsMap::new();
    parameters.insert("collection", collection.to_owned());
    parameters.insert("query", query.to_owned());
    format!("/explore{}", parameters.to_query_string())
}

#[component]
fn Rows(
    collection: String,
    key_field: String,
    revalidate: Option<NonZeroU32>,
    query: Memo<Result<Query, String>>,
) -> impl IntoView {
    // While the text is no query, the table shows nothing.
    let nothing = || Query::new().limit(0);
    let mut options = UseRealtimeCollectionOptions::default().key_field(key_field);
    if let Some(seconds) = revalidate {
        options = options.revalidate_every(Duration::from_secs(seconds.get().into()));
    }
    let rows = use_realtime_collection_with_options::<Value>(
        collection.clone(),
        move || query.get().unwrap_or_else(|_| nothing()),
        options,
    );
    let columns = Memo::new(move |_| {
        let first = rows.keys().with(|keys| keys.first().cloned());
        first.and_then(|key| rows.item(key).get()).map_or_else(Vec::new, |row| field_names(&row))
    });
    let count = move || match rows.keys().with(Vec::len) {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    };
    view! {
        <div>
            <Suspense fallback=|| view! { <p class="empty">"Asking Directus…"</p> }>
                <h2 id="rows" class="explore__count">
                    {count} <span class="hint">" of " {collection.clone()}</span>
                </h2>
                <LiveNotice status=rows.status() error=rows.error() />
                <Show when=move || !rows.keys().with(Vec::is_empty)>
                    <div class="table-box" tabindex="0" role="region" aria-labelledby="rows">
                        <table class="table">
                            <thead>
                                <tr>
                                    <For each=move || columns.get() key=|name| name.clone() let:name>
                                        <th scope="col">{name}</th>
                                    </For>
                                </tr>
                            </thead>
                            <tbody>
                                <For each=move || rows.keys().get() key=|key| key.clone() let:key>
                                    <Row key=key rows=rows columns=columns />
                                </For>
                            </tbody>
                        </table>
                    </div>
                </Show>
            </Suspense>
        </div>
    }
}

#[component]
fn Row(key: RowKey, rows: UseRealtimeCollectionReturn<Value>, columns: Memo<Vec<String>>) -> impl IntoView {
    let row = rows.item(key.clone());
    let cell = move |name: String| {
        let field = name.clone();
        let text =
            Memo::new(move |_| row.with(|row| row.as_ref().map(|row| cell_text(&row[&field])).unwrap_or_default()));
        // An empty text would be a space in the server's HTML: no text at all is none.
        view! { <td {..data_field(name)}>{move || Some(text.get()).filter(|text| !text.is_empty())}</td> }
    };
    view! {
        <tr {..data_key(&key)}>
            <For each=move || columns.get() key=|name| name.clone() children=cell />
        </tr>
    }
}

fn field_names(row: &Value) -> Vec<String> {
    row.as_object().map_or_else(Vec::new, |fields| fields.keys().cloned().collect())
}

/// Text as it is, everything else as JSON.
fn cell_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_shows_text_as_it_is_and_everything_else_as_json() {
        for (value, expected) in [
            (json!("plain"), "plain"),
            (json!(""), ""),
            (json!(null), "null"),
            (json!(12), "12"),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!(["a", 1]), r#"["a",1]"#),
            (json!({"name": "Ada"}), r#"{"name":"Ada"}"#),
        ] {
            assert_eq!(cell_text(&value), expected);
        }
    }

    #[test]
    fn an_address_holds_the_whole_query() {
        let address = address_of("posts", r#"{"filter":{"title":{"_eq":"a&b=c #1 ü"}}}"#);
        assert!(address.starts_with("/explore?collection=posts&query="), "{address}");
        assert_eq!(address.matches(['&', '=', '#']).count(), 3, "{address}");
    }

    #[test]
    fn a_text_that_is_no_query_says_why() {
        assert!(read_query("{").is_err_and(|problem| problem.contains("not JSON")));
        assert!(read_query("[]").is_err());
        assert!(read_query("{}").is_ok());
    }

    #[test]
    fn the_samples_are_queries() {
        for (name, _, query) in SAMPLES {
            assert_eq!(read_query(query).err(), None, "{name}");
        }
    }
}
