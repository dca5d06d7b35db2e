use leptos::prelude::*;
use leptos_directus::{UseRealtimeCollectionReturn, use_realtime_collection};

use crate::model::{Post, published_posts};

/// What [`use_realtime_posts`] returns.
#[derive(Clone, Copy)]
pub struct RealtimePosts {
    /// The published posts, newest first.
    pub posts: UseRealtimeCollectionReturn<Post>,
    /// Whether changes arrive at once.
    pub connected: Signal<bool>,
    /// Goes on after `disconnect`.
    pub connect: Callback<()>,
    /// Pauses this list.
    pub disconnect: Callback<()>,
}

/// The front page's posts, kept live: the pattern for reusable hooks.
#[must_use]
pub fn use_realtime_posts() -> RealtimePosts {
    let posts = use_realtime_collection("posts", published_posts());
    RealtimePosts {
        posts,
        connected: posts.connected(),
        connect: Callback::new(move |()| posts.connect()),
        disconnect: Callback::new(move |()| posts.disconnect()),
    }
}
