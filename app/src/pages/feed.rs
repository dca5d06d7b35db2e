//! Raw events.

use std::collections::{BTreeMap, VecDeque};

use futures::{
    StreamExt,
    future::{AbortHandle, abortable},
};
use leptos::{ev, prelude::*, task::spawn_local};
use leptos_directus::{Directus, Message, Query, SubscribeOptions, use_directus};
use serde_json::{Value, json};

use crate::{components::PageMeta, hooks::use_hydrated};

/// The collections that can be chosen.
const COLLECTIONS: [&str; 6] = ["posts", "comments", "authors", "topics", "masthead", "wires"];
/// What is listened to when the page opens.
const AT_FIRST: [&str; 2] = ["posts", "comments"];
/// Older events leave the list.
const KEPT: usize = 200;
/// A longer event is cut: the feed is for looking, not for storing.
const LONGEST: usize = 4_000;

/// `/feed`: the events of chosen collections as Directus sends them. Several subscriptions on one socket.
#[component]
pub fn FeedPage() -> impl IntoView {
    let feed = Feed::new(use_directus());
    let hydrated = use_hydrated();
    Effect::new(move |_| AT_FIRST.into_iter().for_each(|collection| feed.start(collection)));
    on_cleanup(move || feed.stop_all());
    view! {
        <PageMeta title="Feed" description="The raw realtime events of Directus, as they come." />
        <div class="page-head">
            <div>
                <h1>"Feed"</h1>
                <p>"What Directus says over the WebSocket, word for word, newest first."</p>
            </div>
        </div>
        <noscript>
            <p class="notice notice--quiet">
                "The feed is made of events that arrive over a WebSocket: it needs JavaScript. The "
                <a href="/explore">"Explore"</a> " page shows the same collections without."
            </p>
        </noscript>
        <div class="feed__controls needs-script">
            <fieldset>
                <legend class="legend">"Collections"</legend>
                <div class="choices">
                    {COLLECTIONS.map(|collection| view! { <Choice collection=collection feed=feed hydrated=hydrated /> })}
                </div>
            </fieldset>
            <div class="buttons">
                <button class="button button--small" disabled=move || !hydrated.get() on:click=move |_| feed.pause_or_resume()>
                    {move || if feed.is_paused.get() { "Resume" } else { "Pause" }}
                </button>
                <button
                    class="button button--small"
                    disabled=move || feed.running.with(BTreeMap::is_empty)
                    on:click=move |_| feed.stop_all()
                >
                    "Unsubscribe all"
                </button>
                <button
                    class="button button--small"
                    disabled=move || feed.shown.with(VecDeque::is_empty)
                    on:click=move |_| feed.shown.update(VecDeque::clear)
                >
                    "Clear"
                </button>
            </div>
            <p class="status-line" role="status">
                {move || feed.summary()}
            </p>
        </div>
        <ol class="events needs-script" aria-label="Events, newest first">
            <For each=move || feed.shown.get() key=|event| event.serial let:event>
                <EventItem event=event />
            </For>
        </ol>
    }
}

#[component]
fn Choice(collection: &'static str, feed: Feed, hydrated: Signal<bool>) -> impl IntoView {
    let change = move |event: ev::Event| {
        if event_target_checked(&event) { feed.start(collection) } else { feed.stop(collection) }
    };
    view! {
        <label class="choice">
            <input
                type="checkbox"
                name=collection
                prop:checked=move || feed.running.with(|running| running.contains_key(collection))
                disabled=move || !hydrated.get()
                on:change=change
            />
            {collection}
        </label>
    }
}

#[component]
fn EventItem(event: Event) -> impl IntoView {
    let Event { collection, kind, text, .. } = event;
    view! {
        <li class="event" data-event=kind.clone() data-collection=collection>
            <p class="event__kind">{kind.clone()}</p>
            <p class="event__collection">{collection}</p>
            // A long text scrolls, so the keyboard must reach it.
            <pre tabindex="0" role="group" aria-label="The event as JSON">
                {text}
            </pre>
        </li>
    }
}

/// One event, ready to be shown.
#[derive(Clone)]
struct Event {
    serial: u64,
    collection: &'static str,
    kind: String,
    text: String,
}

/// The page's subscriptions and what they brought.
#[derive(Clone, Copy)]
struct Feed {
    directus: Directus,
    /// One task for each subscription: its end drops the stream, and that unsubscribes.
    running: RwSignal<BTreeMap<&'static str, AbortHandle>>,
    shown: RwSignal<VecDeque<Event>>,
    /// What came during a pause.
    waiting: RwSignal<VecDeque<Event>>,
    is_paused: RwSignal<bool>,
    serial: StoredValue<u64>,
}

impl Feed {
    fn new(directus: Directus) -> Self {
        Self {
            directus,
            running: RwSignal::new(BTreeMap::new()),
            shown: RwSignal::new(VecDeque::new()),
            waiting: RwSignal::new(VecDeque::new()),
            is_paused: RwSignal::new(false),
            serial: StoredValue::new(0),
        }
    }

    fn start(self, collection: &'static str) {
        if self.running.with_untracked(|running| running.contains_key(collection)) {
            return;
        }
        let options = SubscribeOptions::new().query(Query::new()).uid(format!("feed-{collection}"));
        let subscribing = self.directus.subscribe::<Value>(collection, options);
        let (task, handle) = abortable(async move {
            match subscribing.await {
                Ok(mut events) => {
                    while let Some(message) = events.next().await {
                        self.show(collection, message.event().to_owned(), text_of(&message));
                    }
                }
                Err(error) => self.show(collection, "error".to_owned(), error.to_string()),
            }
            self.running.try_update(|running| running.remove(collection));
        });
        self.running.update(|running| {
            running.insert(collection, handle);
        });
        spawn_local(async move {
            // Stopped or at its end: both are fine.
            let _ = task.await;
        });
    }

    fn stop(self, collection: &'static str) {
        if let Some(handle) = self.running.try_update(|running| running.remove(collection)).flatten() {
            handle.abort();
        }
    }

    fn stop_all(self) {
        COLLECTIONS.into_iter().for_each(|collection| self.stop(collection));
    }

    fn show(self, collection: &'static str, kind: String, text: String) {
        let serial = self.serial.try_update_value(|serial| {
            *serial += 1;
            *serial
        });
        // No serial: the page was left.
        let Some(serial) = serial else { return };
        let list = if self.is_paused.get_untracked() { self.waiting } else { self.shown };
        list.update(|events| {
            events.push_front(Event { serial, collection, kind, text });
            events.truncate(KEPT);
        });
    }

    fn pause_or_resume(self) {
        self.is_paused.update(|is_paused| *is_paused = !*is_paused);
        if !self.is_paused.get_untracked() {
            let mut waited = self.waiting.try_update(std::mem::take).unwrap_or_default();
            self.shown.update(|shown| {
                waited.append(shown);
                waited.truncate(KEPT);
                *shown = waited;
            });
        }
    }

    fn summary(self) -> String {
        let running = self.running.with(|running| running.keys().copied().collect::<Vec<_>>().join(", "));
        let shown = self.shown.with(VecDeque::len);
        let waiting = self.waiting.with(VecDeque::len);
        let subscribed =
            if running.is_empty() { "Not subscribed".to_owned() } else { format!("Subscribed to {running}") };
        let paused = if self.is_paused.get() { format!(", paused with {waiting} waiting") } else { String::new() };
        format!("{subscribed}; {shown} events shown{paused}.")
    }
}

/// The event as Directus wrote it, give or take the uid, which is ours.
fn text_of(message: &Message<Value>) -> String {
    let mut text = match message {
        Message::Init { data, meta, .. } | Message::Create { data, meta, .. } | Message::Update { data, meta, .. } => {
            let mut event = json!({ "type": "subscription", "event": message.event(), "data": data });
            if let (Some(event), Some(meta)) = (event.as_object_mut(), meta) {
                event.insert("meta".to_owned(), meta.clone());
            }
            event.to_string()
        }
        Message::Delete { keys, .. } => json!({ "type": "subscription", "event": "delete", "data": keys }).to_string(),
        Message::Error { error, .. } => error.to_string(),
        _ => "The socket was lost and is back: events in between are not here.".to_owned(),
    };
    if let Some((cut, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(cut);
        text.push('…');
    }
    text
}
