//! What a page says about itself.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};

/// Title and description of a page.
#[component]
pub fn PageMeta(
    /// Goes before the paper's name.
    #[prop(into)]
    title: Signal<String>,
    /// One sentence for search engines and previews.
    description: &'static str,
) -> impl IntoView {
    view! {
        <Title text=move || format!("{} · The Signal", title.get()) />
        <Meta name="description" content=description />
    }
}
