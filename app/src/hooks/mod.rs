//! Hooks of the app's own: what pages share is a function.

mod use_hydrated;
mod use_realtime_comments;
mod use_realtime_posts;

pub use use_hydrated::use_hydrated;
pub use use_realtime_comments::use_realtime_comments;
pub use use_realtime_posts::{RealtimePosts, use_realtime_posts};
