//! No such page.

use leptos::prelude::*;

use crate::{components::PageMeta, response::say_found};

/// There is no such page: the server says 404.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    say_found(false);
    view! {
        <PageMeta title="Not found" description="There is no such page in The Signal." />
        <div class="page-head">
            <div>
                <h1>"Not found"</h1>
                <p>"There is no page at this address. The " <a href="/">"front page"</a> " has what is new."</p>
            </div>
        </div>
    }
}
