//! What a page can know about its connection.

use std::time::Duration;

/// The state of the one socket that all hooks of a page share.
///
/// # Example
/// ```
/// use leptos::prelude::*;
/// use leptos_directus::{ConnectionStatus, use_directus};
///
/// fn words(status: &ConnectionStatus) -> String {
///     match status {
///         ConnectionStatus::Connected => "live".to_owned(),
///         ConnectionStatus::Reconnecting { attempt, reason, .. } => format!("{reason}; try {attempt} follows"),
///         ConnectionStatus::NeedsAuth { reason, .. } => format!("log in: {reason}"),
///         // `idle`, `connecting`, `closed`, and what may be added.
///         other => other.as_str().to_owned(),
///     }
/// }
///
/// #[component]
/// fn Badge() -> impl IntoView {
///     let status = use_directus().status();
///     view! { <p class:good=move || status.read().is_connected()>{move || status.with(words)}</p> }
/// }
/// # assert_eq!(words(&ConnectionStatus::Idle), "idle");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionStatus {
    /// Nobody needs a socket, or the page has only just been hydrated. Always so on the server.
    #[default]
    Idle,
    /// The first try, or one that follows a quiet time.
    Connecting {
        /// 1 for the first try.
        attempt: u32,
    },
    /// Open; Directus answers.
    Connected,
    /// The socket was lost or refused; it is tried again by itself, for ever.
    Reconnecting {
        /// Tries since the connection was last stable.
        attempt: u32,
        /// Until the next try, counted from the moment in which this status was set; zero while a try is under way.
        retry_in: Duration,
        /// One sentence: what happened.
        reason: String,
    },
    /// Directus lets nobody in without a login (modes `handshake` and `strict`). A login heals it at once.
    NeedsAuth {
        /// One sentence: what was answered.
        reason: String,
        /// Until the next try, should the mode change or a login come from another tab.
        retry_in: Duration,
    },
    /// Closed by the app's own [`disconnect`](crate::Directus::disconnect), until `connect`.
    Closed,
}

impl ConnectionStatus {
    /// Whether the socket is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }

    /// A short word for badges and logs: `idle`, `connecting`, `connected`, `reconnecting`, `needs-auth`, `closed`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting { .. } => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting { .. } => "reconnecting",
            Self::NeedsAuth { .. } => "needs-auth",
            Self::Closed => "closed",
        }
    }
}
