//! The connection's state, in words.

use std::time::Duration;

use leptos::prelude::*;
use leptos_directus::{ConnectionStatus, Directus, use_directus};

/// The state of the page's connection, in words, and while it waits, when the next try is.
///
/// The text in the HTML and at the first render in the browser is the same, and the widest text has room: hydration
/// moves nothing. The seconds stand beside what a screen reader announces: it hears the state, finds the seconds when it is
/// asked for them, and reads out no countdown.
#[component]
pub fn StatusBadge() -> impl IntoView {
    let directus = use_directus();
    let status = directus.status();
    let seconds = use_countdown(directus);
    let countdown = move || seconds.get().map(|seconds| status.with(|status| next_try(status, seconds)));
    view! {
        <p class="badge needs-script" data-status=move || status.with(ConnectionStatus::as_str)>
            <span>
                <span role="status" aria-live="polite">
                    <span class="visually-hidden">"Connection: "</span>
                    {move || status.with(words)}
                </span>
                <span role="timer" aria-live="off" title="Until the next try">
                    {countdown}
                </span>
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

/// The seconds, as what follows the words.
fn next_try(status: &ConnectionStatus, seconds: u64) -> String {
    match status {
        ConnectionStatus::NeedsAuth { .. } => format!(" · {seconds} s"),
        _ => format!(" in {seconds} s"),
    }
}

/// Whole seconds until the next try; `None` where none is waited for.
fn use_countdown(directus: Directus) -> Signal<Option<u64>> {
    let seconds = RwSignal::new(None);
    Effect::new(move |_| {
        let left = directus.retry_in().map(whole_seconds);
        seconds.set(left.filter(|left| *left > 0));
        if left.is_none() {
            return;
        }
        // Read from the clock each time: a timer of a page out of sight is late.
        let tick = move || {
            let left = untrack(|| directus.retry_in()).map(whole_seconds);
            seconds.set(left.filter(|left| *left > 0));
        };
        if let Ok(timer) = set_interval_with_handle(tick, Duration::from_secs(1)) {
            on_cleanup(move || timer.clear());
        }
    });
    seconds.into()
}

/// Rounded up: the last second counts as one.
fn whole_seconds(left: Duration) -> u64 {
    left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
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

    #[test]
    fn seconds_are_whole_and_the_last_one_counts() {
        for (left, expected) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (29_400, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(left)), expected, "{left} ms");
        }
    }

    #[test]
    fn a_login_that_is_needed_is_not_said_to_come_by_itself() {
        let lost = ConnectionStatus::Reconnecting { attempt: 1, retry_in: Duration::ZERO, reason: String::new() };
        let refused = ConnectionStatus::NeedsAuth { reason: String::new(), retry_in: Duration::ZERO };
        assert_eq!((next_try(&lost, 3).as_str(), next_try(&refused, 22).as_str()), (" in 3 s", " · 22 s"));
    }
}
