//! What stands above every page.

use leptos::prelude::*;
use leptos_directus::use_directus_auth;
use leptos_router::components::A;

use super::StatusBadge;

/// Name of the paper, connection, navigation.
#[component]
pub fn SiteHeader() -> impl IntoView {
    let auth = use_directus_auth();
    let account = move || match auth.user().get() {
        Some(user) => {
            view! { <A href="/me">{user.first_name.clone().unwrap_or_else(|| user.display_name())}</A> }.into_any()
        }
        None => view! { <A href="/login">"Log in"</A> }.into_any(),
    };
    view! {
        <header class="site-header width">
            <div class="site-header__top">
                <a class="brand" href="/">
                    "The Signal"
                </a>
                <StatusBadge />
            </div>
            <nav class="site-nav" aria-label="Main">
                <ul>
                    <li>
                        <A href="/" exact=true>
                            "Front page"
                        </A>
                    </li>
                    <li>
                        <A href="/board">"Board"</A>
                    </li>
                    <li>
                        <A href="/feed">"Feed"</A>
                    </li>
                    <li>
                        <A href="/explore">"Explore"</A>
                    </li>
                    <li>
                        <Suspense fallback=|| ()>{account}</Suspense>
                    </li>
                </ul>
            </nav>
        </header>
    }
}
