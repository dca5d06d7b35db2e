//! Rows that leave one filter and enter another.

use leptos::{ev::DragEvent, html, prelude::*, task::spawn_local};
use leptos_directus::{RowKey, UseRealtimeCollectionReturn, use_directus_auth, use_realtime_collection};

use crate::{
    attributes::{data_key, data_moving, data_over, data_stage},
    components::{LiveNotice, PageMeta},
    hooks::use_hydrated,
    model::{Card, Move, Stage, posts_in},
};

/// `/board`: posts on their way from draft to published. A card that is moved shows so at once; that it leaves one lane and
/// enters another is the filters' doing, for everybody who looks.
#[component]
pub fn BoardPage() -> impl IntoView {
    let auth = use_directus_auth();
    let hydrated = use_hydrated();
    let is_editor = Signal::derive(move || auth.user().with(Option::is_some));
    let desk = Desk {
        can_move: Signal::derive(move || hydrated.get() && is_editor.get()),
        dragged: RwSignal::new(None),
        follow: RwSignal::new(None),
        said: RwSignal::new(String::new()),
        problem: RwSignal::new(None),
    };
    view! {
        <PageMeta title="Board" description="The Signal's posts between draft, review and published, live." />
        <div class="page-head">
            <div>
                <h1>"Board"</h1>
                <p>"Drag a post to another lane, or use its buttons. Everybody who looks sees it move."</p>
            </div>
        </div>
        <noscript>
            <p class="notice notice--quiet">"Moving posts needs JavaScript. Reading the board does not."</p>
        </noscript>
        <p class="form-error" role="status">
            {move || desk.problem.get()}
        </p>
        <Suspense fallback=|| view! { <p class="empty">"Loading the board…"</p> }>
            <Show when=move || !is_editor.get()>
                <p class="notice notice--quiet">
                    "You may look, but not move: Directus's public role reads posts and does not change them. "
                    <a href="/login">"Log in"</a> " as an editor to move them."
                </p>
            </Show>
        </Suspense>
        <div class="board">{Stage::ALL.map(|stage| view! { <Lane stage=stage desk=desk /> })}</div>
        <p class="status-line" role="status">
            {move || desk.said.get()}
        </p>
    }
}

/// What the lanes share.
#[derive(Clone, Copy)]
struct Desk {
    can_move: Signal<bool>,
    dragged: RwSignal<Option<(RowKey, Stage)>>,
    /// The card whose button was pressed: the keyboard's focus goes with it.
    follow: RwSignal<Option<RowKey>>,
    said: RwSignal<String>,
    problem: RwSignal<Option<String>>,
}

impl Desk {
    /// Moves a card: by the list of the lane where that was said, which may be where it comes from or where it goes.
    fn send(self, posts: UseRealtimeCollectionReturn<Card>, key: RowKey, to: Stage) {
        self.problem.set(None);
        let moving = posts.update(key, &Move { status: to });
        spawn_local(async move {
            match moving.await {
                Ok(card) => {
                    let post = card.map_or_else(|| "The post".to_owned(), |card| format!("“{}”", card.headline()));
                    self.said.try_set(format!("{post} is in {} now.", to.title()));
                }
                Err(error) => {
                    let mend =
                        if error.is_forbidden() || error.is_unauthorized() { " Log in as an editor." } else { "" };
                    self.problem.try_set(Some(format!("The post was not moved: {error}.{mend}")));
                    self.follow.try_set(None);
                }
            }
        });
    }
}

#[component]
fn Lane(stage: Stage, desk: Desk) -> impl IntoView {
    let posts = use_realtime_collection::<Card>("posts", posts_in(stage));
    let is_over = RwSignal::new(false);
    let welcome = move || desk.dragged.with(|dragged| dragged.as_ref().is_some_and(|(_, from)| *from != stage));
    let over = move |event: DragEvent| {
        if welcome() {
            event.prevent_default();
            is_over.set(true);
        }
    };
    let drop = move |event: DragEvent| {
        event.prevent_default();
        is_over.set(false);
        if let Some((key, from)) = desk.dragged.try_update(Option::take).flatten()
            && from != stage
        {
            desk.send(posts, key, stage);
        }
    };
    let heading = StoredValue::new(format!("lane-{}", stage.as_str()));
    view! {
        <section
            class="lane"
            aria-labelledby=heading.get_value()
            {..data_stage(stage.as_str())}
            {..data_over(move || is_over.get().to_string())}
            on:dragover=over
            on:dragleave=move |_| is_over.set(false)
            on:drop=drop
        >
            <Suspense fallback=|| view! { <p class="empty">"Loading…"</p> }>
                <div class="lane__head">
                    <h2 id=heading.get_value()>{stage.title()}</h2>
                    <p class="lane__count">
                        {move || posts.keys().with(Vec::len)} <span class="visually-hidden">" posts"</span>
                    </p>
                </div>
                <LiveNotice status=posts.status() error=posts.error() />
                <ol class="cards" aria-labelledby=heading.get_value()>
                    <For each=move || posts.keys().get() key=|key| key.clone() let:key>
                        <CardItem key=key stage=stage posts=posts desk=desk />
                    </For>
                </ol>
            </Suspense>
        </section>
    }
}

#[component]
fn CardItem(key: RowKey, stage: Stage, posts: UseRealtimeCollectionReturn<Card>, desk: Desk) -> impl IntoView {
    let card = posts.item(key.clone());
    let is_pending = posts.is_pending(key.clone());
    let link = NodeRef::<html::A>::new();
    let key = StoredValue::new(key);
    let headline = move || card.with(|card| card.as_ref().map(Card::headline).unwrap_or_default());
    // On its way, or there already for everybody but this list, which is about to say so.
    let is_elsewhere = move || card.with(|card| card.as_ref().is_some_and(|card| card.status != stage));
    let is_moving = move || is_pending.get() || is_elsewhere();
    // A card that came here because its button was pressed elsewhere takes the focus with it.
    Effect::new(move |_| {
        let Some(link) = link.get() else { return };
        if desk.follow.with_untracked(|follow| follow.as_ref() == Some(&key.get_value())) {
            desk.follow.set(None);
            // A link that can't be focused is no reason to fail.
            let _ = link.focus();
        }
    });
    let start = move |event: DragEvent| {
        if !desk.can_move.get() {
            event.prevent_default();
            return;
        }
        // Some browsers drag nothing that carries no data.
        if let Some(data) = event.data_transfer() {
            let _ = data.set_data("text/plain", &key.get_value().to_string());
        }
        desk.dragged.set(Some((key.get_value(), stage)));
    };
    let buttons = Stage::ALL.into_iter().filter(|to| *to != stage).map(move |to| {
        let press = move |_| {
            desk.follow.set(Some(key.get_value()));
            desk.send(posts, key.get_value(), to);
        };
        view! {
            <button
                class="button button--small"
                disabled=move || !desk.can_move.get() || is_moving()
                on:click=press
                aria-label=move || format!("Move “{}” to {}", headline(), to.title())
            >
                {to.title()}
            </button>
        }
    });
    view! {
        <li
            class="card"
            {..data_key(&key.get_value())}
            {..data_moving(move || is_moving().to_string())}
            draggable=move || desk.can_move.get().to_string()
            on:dragstart=start
            on:dragend=move |_| desk.dragged.set(None)
        >
            <h3>
                <a href=format!("/posts/{}", key.get_value()) draggable="false" node_ref=link>
                    {headline}
                </a>
            </h3>
            <div class="buttons needs-script">{buttons.collect_view()}</div>
        </li>
    }
}
