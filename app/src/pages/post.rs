//! A live row with its own live list.

use leptos::{prelude::*, task::spawn_local};
use leptos_directus::{LiveStatus, UseRealtimeCollectionReturn, use_realtime_item};
use leptos_router::hooks::use_params_map;

use crate::{
    attributes::data_key,
    components::{LiveNotice, PageMeta, Timestamp},
    hooks::{use_hydrated, use_realtime_comments},
    model::{Comment, NewComment, Post},
    pages::NotFoundPage,
    response::say_found,
};

/// `/posts/:id`: one live post with its comments, two collections on one socket.
#[component]
pub fn PostPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").and_then(|id| id.parse::<i64>().ok())));
    // The hooks follow the key by themselves; only an address without one is another page.
    let key = Memo::new(move |_| id.get().unwrap_or_default());
    let is_number = Memo::new(move |_| id.get().is_some());
    move || {
        if is_number.get() { view! { <Article id=key /> }.into_any() } else { view! { <NotFoundPage /> }.into_any() }
    }
}

#[component]
fn Article(id: Memo<i64>) -> impl IntoView {
    let post = use_realtime_item::<Post>("posts", move || id.get().into());
    let comments = use_realtime_comments(id);
    let text =
        move |read: fn(&Post) -> String| move || post.item().with(|post| post.as_ref().map(read).unwrap_or_default());
    let is_there = Signal::derive(move || post.item().with(Option::is_some));
    let is_missing = move || {
        let is_missing = !is_there.get() && post.error().get().is_none() && post.status().get() != LiveStatus::Loading;
        // Said on each run: on the server the first one comes before the row, and only the last one counts.
        say_found(!is_missing);
        is_missing
    };
    let title = move || if is_there.get() { text(Post::headline)() } else { "Story".to_owned() };
    view! {
        <div class="article">
            <CommentCount post=id />
            <Suspense fallback=|| view! { <p class="empty">"Loading the story…"</p> }>
                // Made anew with each title: a title's text is otherwise read when the page is put together, outside of `<Suspense>`.
                {move || {
                    let title = title();
                    view! { <PageMeta title=title description="A story in The Signal, with its readers' comments, live." /> }
                }}
                <LiveNotice status=post.status() error=post.error() />
                <Show when=move || is_there.get()>
                    <article>
                        <p class="kicker">{text(Post::kicker)}</p>
                        <h1>{text(Post::headline)}</h1>
                        <p class="byline">{text(Post::byline)} <Timestamp iso=Signal::derive(text(Post::date)) /></p>
                        <div class="prose">{text(|post| post.body.clone().unwrap_or_default())}</div>
                    </article>
                </Show>
                <Show when=is_missing>
                    <h1>"This story is not here"</h1>
                    <p class="empty">
                        "It was deleted, or it never was. The " <a href="/">"front page"</a> " has what is new."
                    </p>
                </Show>
                <section class="comments" aria-labelledby="comments">
                    <h2 id="comments">
                        "Comments " <span class="hint">{move || comments.keys().with(Vec::len)}</span>
                    </h2>
                    <LiveNotice status=comments.status() error=comments.error() />
                    <ol class="comment-list" aria-labelledby="comments">
                        <For each=move || comments.keys().get() key=|key| key.clone() let:key>
                            <CommentItem
                                key=key.to_string()
                                comment=comments.item(key.clone())
                                is_pending=comments.is_pending(key)
                            />
                        </For>
                    </ol>
                    <Show when=move || comments.keys().with(Vec::is_empty)>
                        <p class="empty">"Nobody has commented yet."</p>
                    </Show>
                </section>
            </Suspense>
            <CommentForm post=id comments=comments />
        </div>
    }
}

/// The way down to the comments, with how many there are. It asks for them itself, as the list below does: both are one read
/// and one live query.
#[component]
fn CommentCount(post: Memo<i64>) -> impl IntoView {
    let comments = use_realtime_comments(post);
    let count = move || comments.keys().with(Vec::len);
    let is_any = move || count() > 0;
    let words = move || match count() {
        1 => "1 comment".to_owned(),
        count => format!("{count} comments"),
    };
    view! {
        <p class="article__jump">
            <Suspense>
                <Show when=is_any>
                    <a href="#comments">{words}</a>
                </Show>
            </Suspense>
        </p>
    }
}

#[component]
fn CommentItem(key: String, comment: Signal<Option<Comment>>, is_pending: Signal<bool>) -> impl IntoView {
    let text = move |read: fn(&Comment) -> Option<String>| {
        move || comment.with(|comment| comment.as_ref().and_then(read).unwrap_or_default())
    };
    view! {
        <li class="comment" {..data_key(&key)}>
            <div class="comment__head">
                <b>{text(|comment| comment.author_name.clone())}</b>
                <Timestamp iso=Signal::derive(text(|comment| comment.date_created.clone())) />
                <Show when=move || is_pending.get()>
                    <span class="hint">"On its way…"</span>
                </Show>
            </div>
            <p class="comment__text">{text(|comment| comment.text.clone())}</p>
        </li>
    }
}

/// Sends a comment. It is in the list above at once, and on every other page that shows the story as soon as it is saved;
/// without a connection it waits for one.
#[component]
fn CommentForm(post: Memo<i64>, comments: UseRealtimeCollectionReturn<Comment>) -> impl IntoView {
    let hydrated = use_hydrated();
    let (name, text) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let outcome = RwSignal::new(Ok::<_, String>(""));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let comment = NewComment {
            post: post.get(),
            author_name: name.get().trim().to_owned(),
            text: text.get().trim().to_owned(),
        };
        if comment.author_name.is_empty() || comment.text.is_empty() {
            outcome.set(Err("Please give a name and a comment.".to_owned()));
            return;
        }
        let sending = comments.create(&comment);
        text.set(String::new());
        let is_offline = !comments.connected().get();
        outcome.set(Ok(if is_offline { "Your comment is sent when the connection is back." } else { "Sending…" }));
        spawn_local(async move {
            // The page may have been left meanwhile: then there is nobody to tell.
            match sending.await {
                Ok(comment) => {
                    // Where the visitor may not read it: somebody looks at it first.
                    let is_shown = comment.is_some();
                    outcome.try_set(Ok(if is_shown { "Your comment is there." } else { "Thank you: it was sent." }));
                }
                Err(error) => {
                    // Nothing that somebody wrote is lost, unless they have begun anew.
                    text.try_update(|text| {
                        if text.is_empty() {
                            text.clone_from(&comment.text);
                        }
                    });
                    outcome.try_set(Err(format!("Your comment was not sent: {error}.")));
                }
            }
        });
    };
    view! {
        <noscript>
            <p class="notice notice--quiet">"Commenting needs JavaScript. Reading does not."</p>
        </noscript>
        <form class="form needs-script" method="post" on:submit=send aria-label="Comment on this story">
            <div class="field">
                <label for="comment-name">"Your name"</label>
                <input
                    class="input"
                    id="comment-name"
                    name="author_name"
                    autocomplete="name"
                    maxlength="100"
                    required
                    bind:value=name
                />
            </div>
            <div class="field">
                <label for="comment-text">"Your comment"</label>
                <textarea class="input" id="comment-text" name="text" maxlength="2000" required bind:value=text></textarea>
            </div>
            <div class="buttons">
                <button class="button button--primary" disabled=move || !hydrated.get()>
                    "Send comment"
                </button>
            </div>
            <p class="status-line" role="status">
                {move || outcome.get().unwrap_or("")}
            </p>
            <p class="form-error" role="status">
                {move || outcome.get().err()}
            </p>
        </form>
    }
}
