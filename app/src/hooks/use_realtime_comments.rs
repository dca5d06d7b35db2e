use leptos::prelude::*;
use leptos_directus::{
    NewRows, UseRealtimeCollectionOptions, UseRealtimeCollectionReturn, use_realtime_collection_with_options,
};

use crate::model::{Comment, comments_of};

/// The comments below a post, kept live. Every component that shows something of them calls it: they are read once for all.
#[must_use]
pub fn use_realtime_comments(post: Memo<i64>) -> UseRealtimeCollectionReturn<Comment> {
    // A comment's key is a UUID: made here, so that a comment is saved once, whatever becomes of the connection or the page.
    let options = UseRealtimeCollectionOptions::default().client_keys(true).new_rows(NewRows::Last).persist("comments");
    use_realtime_collection_with_options("comments", move || comments_of(post.get()), options)
}
