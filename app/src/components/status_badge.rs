//! The connection's state, in words.

use std::time::Duration;

use leptos::prelude::*;
use leptos_directus::{ConnectionStatus, use_directus};

/// The state of the page's connection, in words.
///
/// The text in the HTML and at the first render in the browser is the same, and the widest text has room: hydration
/// moves nothing. The seconds are for the eye only: a screen reader hears the state, not a countdown.
#[component]
pub fn StatusBadge() -> impl IntoView {
    let status = use_directus().status();
    let seconds = use_countdown(status);
    let countdown = move || match seconds.get() {
        0 => String::new(),
        seconds => format!(" in {seconds} s"),
    };
    view! {
        <p class="badge needs-script" role="status" aria-live="polite" data-status=move || status.with(ConnectionStatus::as_str)>
            <span>
                <span class="visually-hidden">"Connection: "</span>
                {move || status.with(words)}
                <span aria-hidden="true">{countdown}</span>
            </span>
        </p>
    }
}

fn words(status: &ConnectionStatus) -> &'static str {
    match status {
        ConnectionStatus::Idle => "Standing by",
        ConnectionStatus::Connecting { .. } => "Connecting",
        ConnectionStatus::Connected => "Connected",
        ConnectionStatus::Reconnecting { .. } => "Reconnecting",
        ConnectionStatus::NeedsAuth { .. } => "Needs login",
        ConnectionStatus::Closed => "Closed",
        _ => "Unknown",
    }
}

/// Whole seconds until the next try; 0 where none is set.
fn use_countdown(status: Signal<ConnectionStatus>) -> Signal<u64> {
    let seconds = RwSignal::new(0);
    Effect::new(move |_| {
        let wait = match status.get() {
            ConnectionStatus::Reconnecting { retry_in, .. } => retry_in,
            _ => Duration::ZERO,
        };
        seconds.set(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        if wait.is_zero() {
            return;
        }
        let tick = move || seconds.update(|seconds| *seconds = seconds.saturating_sub(1));
        if let Ok(timer) = set_interval_with_handle(tick, Duration::from_secs(1)) {
            on_cleanup(move || timer.clear());
        }
    });
    seconds.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_words_of_its_own() {
        let all = [
            ConnectionStatus::Idle,
            ConnectionStatus::Connecting { attempt: 1 },
            ConnectionStatus::Connected,
            ConnectionStatus::Reconnecting { attempt: 1, retry_in: Duration::ZERO, reason: String::new() },
            ConnectionStatus::NeedsAuth { reason: String::new(), retry_in: Duration::ZERO },
            ConnectionStatus::Closed,
        ];
        let words: std::collections::HashSet<_> = all.iter().map(words).collect();
        assert_eq!(words.len(), all.len());
    }
}
