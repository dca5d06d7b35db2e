//! Login by session cookie.

use leptos::{prelude::*, task::spawn_local};
use leptos_directus::use_directus_auth;
use leptos_router::hooks::use_navigate;

use crate::{components::PageMeta, hooks::use_hydrated};

/// `/login`: Directus's own session cookie, through `/directus`. The socket re-opens as whoever logs in.
#[component]
pub fn LoginPage() -> impl IntoView {
    let auth = use_directus_auth();
    let navigate = use_navigate();
    let hydrated = use_hydrated();
    let (email, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let problem = RwSignal::new(None::<String>);
    let log_in = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        problem.set(None);
        let navigate = navigate.clone();
        spawn_local(async move {
            match auth.login(email.get_untracked().trim(), password.get_untracked()).await {
                Ok(_) => navigate("/me", Default::default()),
                Err(error) if error.is_unauthorized() => {
                    problem.try_set(Some("There is no such e-mail and password.".to_owned()));
                }
                Err(error) => {
                    problem.try_set(Some(format!("The login did not work: {error}.")));
                }
            }
        });
    };
    view! {
        <PageMeta title="Log in" description="Log in to The Signal's newsroom." />
        <div class="page-head">
            <div>
                <h1>"Log in"</h1>
                <p>
                    "Editors of the newsroom log in with their Directus account. "
                    <code>"cargo xtask dev"</code>
                    " prints the accounts of the demo."
                </p>
            </div>
        </div>
        <noscript>
            <p class="notice notice--quiet">"Logging in needs JavaScript. Reading does not need a login."</p>
        </noscript>
        <form class="form needs-script" method="post" on:submit=log_in aria-label="Log in">
            <div class="field">
                <label for="email">"E-mail"</label>
                <input
                    class="input"
                    id="email"
                    name="email"
                    type="email"
                    autocomplete="username"
                    required
                    bind:value=email
                />
            </div>
            <div class="field">
                <label for="password">"Password"</label>
                <input
                    class="input"
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="current-password"
                    required
                    bind:value=password
                />
            </div>
            <div class="buttons">
                <button class="button button--primary" disabled=move || !hydrated.get() || auth.pending().get()>
                    "Log in"
                </button>
            </div>
            <p class="form-error" role="status">
                {move || problem.get()}
            </p>
        </form>
    }
}
