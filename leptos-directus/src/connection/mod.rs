//! One socket, many subscriptions: when to open, what to send, what a silence means.
//!
//! Everything here decides and nothing here acts: [`Machine`] takes what happened (with the time at which it happened) and
//! gives back what is to be done. The driver in `client` does it.
//!
//! ```
//! use leptos_directus::connection::Millis;
//! use std::time::Duration;
//!
//! let a_minute_after = |now: Millis| now + Duration::from_secs(60).as_millis() as Millis;
//! assert_eq!(a_minute_after(1_000), 61_000);
//! ```

mod backoff;
mod machine;
mod status;

pub use backoff::Backoff;
pub use machine::{ConnectionConfig, Machine, Notice, Output, SubscriptionId, SubscriptionSpec, Wake};
pub use status::ConnectionStatus;

/// Milliseconds on a clock that never goes back; where it starts is nobody's business.
pub type Millis = u64;

/// This long after that; never, if it is too long.
pub(crate) fn after(since: Millis, wait: std::time::Duration) -> Millis {
    since.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}
