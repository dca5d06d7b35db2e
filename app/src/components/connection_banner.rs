//! Why nothing arrives, what was not saved, and what to do.

use leptos::prelude::*;
use leptos_directus::{ConnectionStatus, RefusedWrite, use_directus};

/// Says below the page why nothing arrives, what was not saved where no list says so, and what to do. Covers nothing and asks for nothing.
#[component]
pub fn ConnectionBanner() -> impl IntoView {
    let directus = use_directus();
    let status = directus.status();
    let trouble = Memo::new(move |_| status.with(trouble));
    let refused = directus.refused();
    view! {
        <div class="banner" role="status" aria-live="polite">
            {move || {
                trouble
                    .get()
                    .map(|trouble| match trouble {
                        Trouble::Lost(reason) => {
                            view! {
                                <div class="banner__box width">
                                    <p>
                                        <b>"Connection lost. "</b>
                                        {reason}
                                        " What you see are the last known rows; the page keeps trying."
                                    </p>
                                    <button class="button button--small" on:click=move |_| directus.retry_now()>
                                        "Try now"
                                    </button>
                                </div>
                            }
                                .into_any()
                        }
                        Trouble::NeedsAuth(reason) => {
                            view! {
                                <div class="banner__box width">
                                    <p>
                                        <b>"Live updates need a login. "</b>
                                        {reason}
                                    </p>
                                    <a class="button button--small" href="/login">
                                        "Log in"
                                    </a>
                                </div>
                            }
                                .into_any()
                        }
                        Trouble::Closed => {
                            view! {
                                <div class="banner__box width">
                                    <p>
                                        <b>"Connection closed. "</b>
                                        "Changes come by half-minutes now."
                                    </p>
                                    <button class="button button--small" on:click=move |_| directus.connect()>
                                        "Connect"
                                    </button>
                                </div>
                            }
                                .into_any()
                        }
                    })
            }}
            {move || {
                let unsaved = refused.with(|refused| unsaved(refused))?;
                Some(
                    view! {
                        <div class="banner__box width">
                            <p>
                                <b>"Not saved. "</b>
                                {unsaved}
                            </p>
                            <button class="button button--small" on:click=move |_| directus.forget_refused()>
                                "I have seen that"
                            </button>
                        </div>
                    },
                )
            }}
        </div>
    }
}

/// The changes that were refused, and why; nothing if there are none.
fn unsaved(refused: &[RefusedWrite]) -> Option<String> {
    let words =
        |write: &RefusedWrite| format!("A change of {}: {}", write.collection, sentence(&write.error.to_string()));
    (!refused.is_empty()).then(|| refused.iter().map(words).collect::<Vec<_>>().join(" "))
}

/// What the visitor should know about; the attempts in between are for the badge.
#[derive(Clone, PartialEq)]
enum Trouble {
    Lost(String),
    NeedsAuth(String),
    Closed,
}

fn trouble(status: &ConnectionStatus) -> Option<Trouble> {
    match status {
        ConnectionStatus::Reconnecting { reason, .. } => Some(Trouble::Lost(sentence(reason))),
        ConnectionStatus::NeedsAuth { reason, .. } => Some(Trouble::NeedsAuth(sentence(reason))),
        ConnectionStatus::Closed => Some(Trouble::Closed),
        _ => None,
    }
}

/// A reason as a sentence among others.
fn sentence(reason: &str) -> String {
    let mut letters = reason.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_reason_becomes_a_sentence() {
        for (reason, expected) in [("it broke", "It broke."), ("It broke.", "It broke."), ("", "")] {
            assert_eq!(sentence(reason), expected);
        }
    }
}
