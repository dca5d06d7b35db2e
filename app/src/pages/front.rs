//! A live list and a singleton.

use leptos::prelude::*;
use leptos_directus::use_realtime_singleton;

use crate::{
    attributes::data_key,
    components::{LiveNotice, PageMeta, Timestamp},
    hooks::{RealtimePosts, use_hydrated, use_realtime_posts},
    model::{Masthead, Post},
};

/// `/`: published posts, newest first, and the line above them: a collection and a singleton on one socket.
#[component]
pub fn FrontPage() -> impl IntoView {
    let masthead = use_realtime_singleton::<Masthead>("masthead");
    let RealtimePosts { posts, connected, connect, disconnect } = use_realtime_posts();
    let hydrated = use_hydrated();
    let headline = move || masthead.item().get().and_then(|masthead| masthead.headline).unwrap_or_default();
    let breaking = move || masthead.item().get().is_some_and(|masthead| masthead.breaking == Some(true));
    // One notice for the page: the stories' own trouble first.
    let error = Signal::derive(move || posts.error().get().or_else(|| masthead.error().get()));
    let paused = RwSignal::new(false);
    let pause = move |_| {
        if paused.get() {
            connect.run(())
        } else {
            disconnect.run(())
        }
        paused.update(|paused| *paused = !*paused);
    };
    view! {
        <PageMeta title="Front page" description="The newest stories of The Signal, live from Directus." />
        <Suspense fallback=|| view! { <p class="empty">"Loading the front page…"</p> }>
            <div class="masthead">
                <Show when=breaking>
                    <p class="breaking">"Breaking"</p>
                </Show>
                <h1>{headline}</h1>
            </div>
            <LiveNotice status=posts.status() error=error />
            <ol class="stories" aria-label="Stories, newest first">
                <For each=move || posts.keys().get() key=|key| key.clone() let:key>
                    <Story key=key.to_string() post=posts.item(key) />
                </For>
            </ol>
            <Show when=move || posts.keys().with(Vec::is_empty)>
                <p class="empty">"No story is published yet."</p>
            </Show>
        </Suspense>
        <div class="page-foot needs-script">
            <button class="button button--small" disabled=move || !hydrated.get() on:click=pause>
                {move || if paused.get() { "Resume live updates" } else { "Pause live updates" }}
            </button>
            <p class="hint" role="status">
                {move || if connected.get() { "New stories appear by themselves." } else { "" }}
            </p>
        </div>
    }
}

/// One story of the front page. Each text follows its own row only.
#[component]
fn Story(key: String, post: Signal<Option<Post>>) -> impl IntoView {
    let text = move |read: fn(&Post) -> String| move || post.with(|post| post.as_ref().map(read).unwrap_or_default());
    let href = format!("/posts/{key}");
    view! {
        <li class="story" {..data_key(&key)}>
            <article>
                <p class="kicker">{text(Post::kicker)}</p>
                <h2>
                    <a href=href>{text(Post::headline)}</a>
                </h2>
                <p class="standfirst">{text(|post| post.body.clone().unwrap_or_default())}</p>
                <p class="byline">{text(Post::byline)} <Timestamp iso=Signal::derive(text(Post::date)) /></p>
            </article>
        </li>
    }
}
