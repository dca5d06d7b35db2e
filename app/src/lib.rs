//! The demo newsroom: one page per capability of `leptos-directus`, on the server and in the browser alike.

pub mod attributes;
pub mod components;
pub mod date;
pub mod hooks;
pub mod model;
pub mod pages;
mod response;

use leptos::{html, prelude::*};
use leptos_directus::{DirectusOptions, provide_directus};
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    hooks::use_location,
    path,
};

use crate::{
    components::{ConnectionBanner, SiteHeader},
    pages::{BoardPage, ExplorePage, FeedPage, FrontPage, LoginPage, MePage, NotFoundPage, PostPage},
};

/// The HTML document that the server sends.
#[expect(clippy::needless_pass_by_value, reason = "leptos_axum takes a function of `LeptosOptions`")]
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let style = format!("/{}/{}.css", options.site_pkg_dir, options.output_name);
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" media="(prefers-color-scheme: light)" content="#fbfaf6" />
                <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#14151a" />
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                <link rel="stylesheet" id="leptos" href=style />
                <AutoReload options=options.clone() />
                <HydrationScripts options=options.clone() />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// The app. Rows are in the HTML, for readers without JavaScript too: hence `SsrMode::Async` on every page.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_directus(DirectusOptions::default());
    view! {
        <Router>
            <a class="skip-link" href="#main">
                "Skip to the content"
            </a>
            <SiteHeader />
            <Main>
                <Routes fallback=NotFoundPage>
                    <Route path=path!("/") view=FrontPage ssr=SsrMode::Async />
                    <Route path=path!("/posts/:id") view=PostPage ssr=SsrMode::Async />
                    <Route path=path!("/board") view=BoardPage ssr=SsrMode::Async />
                    <Route path=path!("/feed") view=FeedPage ssr=SsrMode::Async />
                    <Route path=path!("/explore") view=ExplorePage ssr=SsrMode::Async />
                    <Route path=path!("/login") view=LoginPage ssr=SsrMode::Async />
                    <Route path=path!("/me") view=MePage ssr=SsrMode::Async />
                </Routes>
            </Main>
            <ConnectionBanner />
            <footer class="site-footer">
                <p class="width">
                    "The Signal is the demo of leptos-directus: Leptos pages that Directus keeps live. "
                    <a href="/explore">"Look at the data"</a>
                </p>
            </footer>
        </Router>
    }
}

/// The landmark of the page's content. After a change of page in the browser it takes the focus, as a new document would.
#[component]
fn Main(children: Children) -> impl IntoView {
    let main = NodeRef::<html::Main>::new();
    let path = use_location().pathname;
    Effect::new(move |previous: Option<String>| {
        let path = path.get();
        if previous.is_some_and(|previous| previous != path)
            && let Some(main) = main.get_untracked()
        {
            // Focus is a courtesy; a page without it works.
            let _ = main.focus();
        }
        path
    });
    view! {
        <main id="main" class="width" tabindex="-1" node_ref=main>
            {children()}
        </main>
    }
}

/// Compiles the Rust of the repository's README.
#[cfg(all(doctest, feature = "ssr"))]
#[doc = include_str!("../../README.md")]
struct Readme;
