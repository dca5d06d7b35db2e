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
                            let text = format!("{reason} What you see are the last known rows; the page keeps trying.");
                            let action = view! { <Button name="Try now" does=move || directus.retry_now() /> };
                            view! { <Notice head="Connection lost. " text=text>{action}</Notice> }.into_any()
                        }
                        Trouble::NeedsAuth(reason) => {
                            let action = view! { <a class="button button--small" href="/login">"Log in"</a> };
                            view! { <Notice head="Live updates need a login. " text=reason>{action}</Notice> }.into_any()
                        }
                        Trouble::Closed => {
                            let text = "Changes come by half-minutes now.".to_owned();
                            let action = view! { <Button name="Connect" does=move || directus.connect() /> };
                            view! { <Notice head="Connection closed. " text=text>{action}</Notice> }.into_any()
                        }
                    })
            }}
            {move || {
                let text = refused.with(|refused| unsaved(refused))?;
                let action = view! { <Button name="I have seen that" does=move || directus.forget_refused() /> };
                Some(view! { <Notice head="Not saved. " text=text>{action}</Notice> })
            }}
        </div>
    }
}

/// What is the matter, and what to do about it.
#[component]
fn Notice(head: &'static str, text: String, children: Children) -> impl IntoView {
    view! {
        <div class="banner__box width">
            <p>
                <b>{head}</b>
                {text}
            </p>
            {children()}
        </div>
    }
}

#[component]
fn Button(name: &'static str, does: impl Fn() + 'static) -> impl IntoView {
    view! {
        <button class="button button--small" on:click=move |_| does()>
            {name}
        </button>
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
