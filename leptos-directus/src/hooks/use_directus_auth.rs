//! Who the visitor is: login and logout by Directus's session cookie.

use std::{sync::Arc, time::Duration};

use leptos::{prelude::*, reactive::computed::ArcAsyncDerived};
use serde::{Deserialize, Serialize};

use super::{
    identity::who,
    signal::SharedSignal,
    use_directus::{Core, Directus, Mode, use_directus},
};
use crate::{
    client::{Client, IdentityHold, Session},
    error::Error,
    live::Who,
    rest::Rest,
    transport::{self, Credentials},
};

/// The visitor, as Directus knows them.
///
/// ```
/// use leptos_directus::User;
///
/// let user = User { id: "1".to_owned(), first_name: Some("Ada".to_owned()), last_name: None, email: None };
/// assert_eq!(user.display_name(), "Ada");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The key in `directus_users`.
    pub id: String,
    /// First name, if given and readable.
    #[serde(default)]
    pub first_name: Option<String>,
    /// Last name, if given and readable.
    #[serde(default)]
    pub last_name: Option<String>,
    /// E-mail address, if readable.
    #[serde(default)]
    pub email: Option<String>,
}

/// A logout waits so long for a word on whose session it ends.
const PATIENCE_BEFORE_LOGOUT: Duration = Duration::from_millis(2_500);

impl User {
    /// The name for greetings: first and last name, else the address, else the key.
    #[must_use]
    pub fn display_name(&self) -> String {
        let names: Vec<&str> = [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        if names.is_empty() { self.email.clone().unwrap_or_else(|| self.id.clone()) } else { names.join(" ") }
    }
}

/// The visitor's login.
///
/// Who the visitor is, is asked once after hydration if the server could not say, and again whenever it is in doubt: after
/// each reconnect, and when Directus tells that the session has ended. A question that nobody answers is asked until somebody
/// does.
///
/// # Example
/// ```
/// use leptos::{prelude::*, task::spawn_local};
/// use leptos_directus::use_directus_auth;
///
/// #[component]
/// fn Greeting() -> impl IntoView {
///     let auth = use_directus_auth();
///     let name = move || auth.user().get().map(|user| user.display_name());
///     view! {
///         <Suspense>
///             <p>{move || name().unwrap_or_else(|| "Not logged in".to_owned())}</p>
///         </Suspense>
///         <button on:click=move |_| spawn_local(async move { _ = auth.logout().await })>"Log out"</button>
///     }
/// }
/// ```
///
/// # Server-side rendering
/// The user is read with the visitor's session and comes with the HTML; read it under `<Suspense>`. Login and logout are the
/// browser's business: the cookie is set by the answer to its request.
#[must_use]
pub fn use_directus_auth() -> UseDirectusAuthReturn {
    let directus = use_directus();
    let core = directus.core();
    let first = server_user(&core);
    if let Mode::Live(client) = &core.mode {
        core.identity.follow(client.rest().clone());
        let (identity, client) = (core.identity.clone(), client.clone());
        // Who comes or goes by a login in another tab is found out only here. What is there at first is no answer: it may have
        // been in doubt for long.
        Effect::new_isomorphic(move |before: Option<Option<Who>>| {
            let who = identity.last_known();
            match (before, &who) {
                (None, _) => client.listen(),
                (Some(before), Some(who)) => client.found_visitor(before, who.clone()),
                (Some(_), None) => {}
            }
            who
        });
    }
    let is_server = matches!(core.mode, Mode::Server(_));
    UseDirectusAuthReturn {
        directus,
        first: StoredValue::new(first.filter(|_| is_server)),
        pending: SharedSignal::new(false),
    }
}

/// Who the server found the visitor to be. A struct, because JSON has one `null` for `Some(None)` and `None`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Known {
    user: Option<User>,
}

/// The user that the server reads and the browser finds in the HTML.
fn server_user(core: &Arc<Core>) -> Option<ArcResource<Option<Known>>> {
    let request = match &core.mode {
        Mode::Server(rest) => Some((rest.clone(), core.reads.clone(), core.identity.clone())),
        Mode::Live(_) if transport::is_browser() => None,
        Mode::Live(_) => return None,
    };
    let resource = ArcResource::<Option<Known>>::new_with_options(
        || (),
        move |()| {
            let request = request.clone();
            async move {
                let (rest, reads, identity) = request?;
                let rest = rest.ok()?;
                // Without a session there is nobody to ask for.
                let found = if rest.has_session() { reads.who(rest).await.ok()? } else { None };
                identity.settle(identity.begin(), found.clone());
                Some(Known { user: found })
            }
        },
        true,
    );
    let data: &ArcAsyncDerived<Option<Known>> = &resource;
    let found = data.try_read_untracked().and_then(|value| value.clone()).flatten().map(|known| known.user);
    if let Some(found) = found
        && !core.identity.is_known()
    {
        core.identity.settle(core.identity.begin(), found);
    }
    Some(resource)
}

/// The visitor's login. `Copy`.
///
/// # Example
/// ```
/// use leptos::{prelude::*, task::spawn_local};
/// use leptos_directus::{UseDirectusAuthReturn, use_directus_auth};
///
/// #[component]
/// fn LogIn(email: RwSignal<String>, password: RwSignal<String>) -> impl IntoView {
///     let auth: UseDirectusAuthReturn = use_directus_auth();
///     let problem = RwSignal::new(String::new());
///     let log_in = move |_| {
///         spawn_local(async move {
///             problem.set(match auth.login(email.get_untracked(), password.get_untracked()).await {
///                 Ok(_) => String::new(),
///                 Err(error) if error.is_unauthorized() => "That is not the password.".to_owned(),
///                 Err(error) => error.to_string(),
///             });
///         });
///     };
///     let log_out = move |_| spawn_local(async move { _ = auth.logout().await });
///     view! {
///         <Suspense><p>{move || auth.user().get().map(|user| user.display_name())}</p></Suspense>
///         <button disabled=auth.pending() on:click=log_in>"Log in"</button>
///         <button disabled=auth.pending() on:click=log_out>"Log out"</button>
///         <p role="alert">{problem}</p>
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UseDirectusAuthReturn {
    directus: Directus,
    first: StoredValue<Option<ArcResource<Option<Known>>>>,
    pending: SharedSignal<bool>,
}

impl UseDirectusAuthReturn {
    /// The user who is logged in; `None` for an anonymous visitor, and until it is known.
    #[must_use]
    pub fn user(self) -> Signal<Option<User>> {
        let identity = self.directus.core().identity.clone();
        Signal::derive(move || {
            if let Some(Some(first)) = self.first.try_get_value() {
                first.with(|_| ());
            }
            identity.user()
        })
    }

    /// Whether a login or a logout is under way.
    #[must_use]
    pub fn pending(self) -> Signal<bool> {
        Signal::derive(move || self.pending.try_get().unwrap_or_default())
    }

    /// Logs in: Directus sets its session cookie, the socket is opened anew with it, and every live list follows.
    ///
    /// # Errors
    /// [`Error::is_unauthorized`] for a wrong address or password; else that nobody answered. If the login worked and only the
    /// question who the visitor is did not, the error says so, the socket is opened anew all the same, and
    /// [`user`](Self::user) follows as soon as there is an answer.
    pub async fn login(self, email: impl Into<String>, password: impl Into<String>) -> Result<User, Error> {
        let (email, password) = (email.into(), password.into());
        self.change(async move |core, client| {
            let rest = client.rest();
            let hold = client.hold_identity();
            if let Err(error) = rest.login(&email, &password).await {
                may_have_changed(core, hold, &error);
                return Err(error);
            }
            // The cookie has changed, whatever comes of the question who that is.
            hold.changed(None);
            let number = core.identity.begin();
            let found = who(rest).await.inspect_err(|_| core.identity.doubt())?;
            core.identity.settle(number, found.clone());
            client.found_visitor(None, found.as_ref().map(|user| user.id.clone()));
            found.ok_or_else(|| {
                Error::usage(
                    "Directus accepted the login, but its session cookie did not come back: is the page served over the \
                     same host as /directus, and over https if the cookie is Secure?",
                )
            })
        })
        .await
    }

    /// Logs out: the session ends in Directus, the socket is opened anew without it, and every live list follows.
    ///
    /// # Errors
    /// That nobody answered; the visitor is still logged in then.
    pub async fn logout(self) -> Result<(), Error> {
        self.change(async move |core, client| {
            let hold = client.hold_identity();
            // It may be somebody else's by now: of whoever logged in in another tab.
            let session = match transport::in_time(PATIENCE_BEFORE_LOGOUT, who(client.rest())).await {
                Some(Ok(Some(user))) => Session::Of(user.id),
                Some(Ok(None) | Err(_)) | None => Session::MaybeOf(untrack(|| core.identity.last_known()).flatten()),
            };
            match client.rest().logout().await {
                // The session is over already, as Directus says: what was asked for is so.
                Err(error)
                    if error.is_of_a_proxy() || !error.is_unauthorized() && error.code() != Some("INVALID_PAYLOAD") =>
                {
                    may_have_changed(core, hold, &error);
                    return Err(error);
                }
                _ => {}
            }
            client.forget_stores(session);
            hold.changed(Some(None));
            core.identity.settle(core.identity.begin(), None);
            Ok(())
        })
        .await
    }

    async fn change<T>(self, work: impl AsyncFnOnce(&Core, &Client) -> Result<T, Error>) -> Result<T, Error> {
        let core = self.directus.core();
        let Some(client) = core.client() else {
            return Err(Error::usage(
                "login and logout are done in the browser: Directus sets the cookie on its answer",
            ));
        };
        self.pending.set(true);
        let result = work(&core, client).await;
        self.pending.set(false);
        result
    }
}

/// A login or a logout failed. If Directus refused it, the session is what it was; if the answer was lost, nobody knows.
fn may_have_changed(core: &Core, hold: IdentityHold, error: &Error) {
    if error.status().is_some_and(|status| (400..500).contains(&status)) {
        hold.doubted();
    } else {
        hold.changed(None);
        core.identity.doubt();
    }
}

impl Rest {
    /// Whether requests are made for somebody who is, or was, logged in.
    fn has_session(&self) -> bool {
        !matches!(self.credentials(), Credentials::Ambient)
    }
}
