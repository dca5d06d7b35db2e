//! What is wrong with one list.

use leptos::prelude::*;
use leptos_directus::{Error, LiveStatus};

/// What is wrong with a list, and what happens next. Takes no room while all is well.
#[component]
pub fn LiveNotice(
    /// The list's status.
    status: Signal<LiveStatus>,
    /// The list's error.
    error: Signal<Option<Error>>,
) -> impl IntoView {
    let notice = move || {
        let next = match status.get() {
            LiveStatus::Refused => {
                Some(("notice notice--bad", "What is asked for is not for you to see with the login you have."))
            }
            LiveStatus::Polling => Some((
                "notice",
                "Changes do not arrive by themselves here; the list is asked for again every half minute.",
            )),
            LiveStatus::Paused => Some(("notice notice--quiet", "Paused: changes are shown when you resume.")),
            _ => None,
        };
        match (error.get(), next) {
            // A change of the visitor's own that was refused: the rows themselves are as they should be.
            (Some(error), None) if status.get() == LiveStatus::Live => {
                Some(view! { <p class="notice notice--bad">{format!("{error}.")}</p> })
            }
            (Some(error), next) => {
                let next = next.map_or(
                    if error.is_transient() {
                        "What you see are the last known rows; the page keeps trying."
                    } else {
                        "What you see are the last known rows; the page asks again in half a minute."
                    },
                    |(_, text)| text,
                );
                Some(view! { <p class="notice notice--bad">{format!("{error}. {next}")}</p> })
            }
            (None, Some((class, text))) => Some(view! { <p class=class>{text.to_owned()}</p> }),
            (None, None) => None,
        }
    };
    view! { <div role="status" aria-live="polite" data-live=move || status.get().as_str()>{notice}</div> }
}
