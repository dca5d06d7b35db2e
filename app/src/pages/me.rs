//! Rows by `$CURRENT_USER`.

use leptos::{prelude::*, task::spawn_local};
use leptos_directus::{use_directus_auth, use_realtime_collection};

use crate::{
    attributes::{data_key, data_stage},
    components::{LiveNotice, PageMeta},
    hooks::use_hydrated,
    model::{Author, Card, my_authors, my_posts},
};

/// `/me`: who Directus says the visitor is, and what is theirs by a `$CURRENT_USER` filter.
#[component]
pub fn MePage() -> impl IntoView {
    let auth = use_directus_auth();
    let hydrated = use_hydrated();
    let authors = use_realtime_collection::<Author>("authors", my_authors());
    let posts = use_realtime_collection::<Card>("posts", my_posts());
    let is_known = Signal::derive(move || {
        // Read before anything is decided: on the server the page waits for what is read in the first run.
        authors.keys().track();
        posts.keys().track();
        auth.user().with(Option::is_some)
    });
    let name = move || auth.user().get().map(|user| user.display_name()).unwrap_or_default();
    let email = move || auth.user().get().and_then(|user| user.email).unwrap_or_default();
    let problem = RwSignal::new(None::<String>);
    let log_out = move |_| {
        spawn_local(async move {
            let problem_now = auth.logout().await.err().map(|error| format!("The logout did not work: {error}."));
            problem.try_set(problem_now);
        });
    };
    view! {
        <PageMeta title="Me" description="Your author record and your posts in The Signal." />
        <Suspense fallback=|| view! { <p class="empty">"Loading…"</p> }>
            <Show
                when=move || is_known.get()
                fallback=|| {
                    view! {
                        <div class="page-head">
                            <div>
                                <h1>"You are not logged in"</h1>
                                <p>"This page shows the author record and the posts of whoever is."</p>
                            </div>
                        </div>
                        <p>
                            <a class="button button--primary" href="/login">
                                "Log in"
                            </a>
                        </p>
                    }
                }
            >
                <div class="page-head">
                    <div>
                        <h1>{name}</h1>
                        <p>{email}</p>
                    </div>
                    <button
                        class="button needs-script"
                        disabled=move || !hydrated.get() || auth.pending().get()
                        on:click=log_out
                    >
                        "Log out"
                    </button>
                </div>
                <div class="columns">
                    <section aria-labelledby="my-authors">
                        <h2 id="my-authors">"You as an author"</h2>
                        <LiveNotice status=authors.status() error=authors.error() />
                        <ul class="people">
                            <For each=move || authors.keys().get() key=|key| key.clone() let:key>
                                <Person key=key.to_string() author=authors.item(key) />
                            </For>
                        </ul>
                        <Show when=move || authors.keys().with(Vec::is_empty)>
                            <p class="empty">"No author record is tied to your account."</p>
                        </Show>
                    </section>
                    <section aria-labelledby="my-posts">
                        <h2 id="my-posts">"Your posts"</h2>
                        <LiveNotice status=posts.status() error=posts.error() />
                        <ul class="post-list">
                            <For each=move || posts.keys().get() key=|key| key.clone() let:key>
                                <MyPost key=key.to_string() post=posts.item(key) />
                            </For>
                        </ul>
                        <Show when=move || posts.keys().with(Vec::is_empty)>
                            <p class="empty">"You have not written anything yet."</p>
                        </Show>
                    </section>
                </div>
            </Show>
        </Suspense>
        <p class="form-error" role="status">
            {move || problem.get()}
        </p>
    }
}

#[component]
fn Person(key: String, author: Signal<Option<Author>>) -> impl IntoView {
    let text = move |read: fn(&Author) -> Option<String>| {
        move || author.with(|author| author.as_ref().and_then(read).unwrap_or_default())
    };
    view! {
        <li class="person" {..data_key(&key)}>
            <h3>{text(|author| author.name.clone())}</h3>
            <p>{text(|author| author.bio.clone())}</p>
        </li>
    }
}

#[component]
fn MyPost(key: String, post: Signal<Option<Card>>) -> impl IntoView {
    let text = move |read: fn(&Card) -> String| move || post.with(|post| post.as_ref().map(read).unwrap_or_default());
    view! {
        <li {..data_key(&key)}>
            <a href=format!("/posts/{key}")>{text(Card::headline)}</a>
            <span class="stage" {..data_stage(text(|post| post.status.as_str().to_owned()))}>
                {text(|post| post.status.title().to_owned())}
            </span>
        </li>
    }
}
