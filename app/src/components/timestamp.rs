//! Points in time.

use leptos::prelude::*;

use crate::date::format_date;

/// A date of Directus, for people and, in `datetime`, for machines.
#[component]
pub fn Timestamp(
    /// The text that Directus sent; empty for none.
    #[prop(into)]
    iso: Signal<String>,
) -> impl IntoView {
    view! { <time datetime=move || iso.get()>{move || format_date(&iso.get())}</time> }
}
