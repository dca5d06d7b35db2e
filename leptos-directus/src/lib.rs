//! Realtime hooks for Leptos over [Directus](https://directus.io), and the axum proxy that carries them.
//!
//! A live list always equals what a REST read of the same query would return now: through missed events, reconnects,
//! restarts, rows that leave a filter and batches; and one changed row costs one changed DOM node. What Directus does not
//! announce, such as a change of permissions, is seen within 5 minutes, or the interval that `revalidate_every` sets.
//!
//! ```
//! use leptos::prelude::*;
//! use leptos_directus::{DirectusOptions, Filter, Query, provide_directus, use_realtime_collection};
//! use serde::Deserialize;
//!
//! #[derive(Clone, PartialEq, Deserialize)]
//! struct Post {
//!     title: String,
//! }
//!
//! #[component]
//! fn App() -> impl IntoView {
//!     provide_directus(DirectusOptions::default());
//!     view! { <FrontPage /> }
//! }
//!
//! #[component]
//! fn FrontPage() -> impl IntoView {
//!     let published = Query::new().filter(Filter::field("status").eq("published")).sort(["-date_created"]);
//!     let posts = use_realtime_collection::<Post>("posts", published);
//!     view! {
//!         <Suspense>
//!             <For each=move || posts.keys().get() key=|key| key.clone() let:key>
//!                 {
//!                     let post = posts.item(key);
//!                     view! { <h2>{move || post.get().map(|post| post.title)}</h2> }
//!                 }
//!             </For>
//!         </Suspense>
//!     }
//! }
//! ```
//!
//! # The way of the data
//! ```text
//! Directus ─ws─▶ server (/directus-ws) ─▶ transport ─▶ connection ─▶ protocol ─▶ live ─▶ signals (one per row) ─▶ <For>
//!    └─REST─▶ rest (on the server with the visitor's cookie; in the browser through /directus) ─▶ live ─┘
//! ```
//!
//! # The map
//! - Hooks: [`provide_directus`] and [`use_directus`], [`use_realtime_collection`], [`use_realtime_infinite`],
//!   [`use_realtime_item`], [`use_realtime_singleton`], [`use_realtime_aggregate`], [`use_directus_auth`].
//! - [`protocol`]: Directus's frames, queries and answers, as data.
//! - [`live`], [`connection`], [`engine`]: what is decided, without I/O and without a clock.
//! - `server` (feature `ssr`): the axum router with `/directus-ws` and `/directus`.
//!
//! # Features
//! All of them add, none takes away.
//!
//! | feature | for | brings |
//! |---|---|---|
//! | `hydrate` | the browser build | Leptos's hydration |
//! | `ssr` | the server build | `server`, first rows with the visitor's cookie; includes `native` |
//! | `native` | tools, server-side consumers, tests | `Directus::native` on tokio |

pub mod connection;
pub mod engine;
mod error;
mod hooks;
pub mod live;
pub mod protocol;
mod rest;
mod transport;

mod client;

#[cfg(all(not(target_arch = "wasm32"), feature = "native"))]
mod native;
#[cfg(all(not(target_arch = "wasm32"), feature = "ssr"))]
pub mod server;

pub use connection::ConnectionStatus;
pub use error::Error;
pub use hooks::*;
pub use live::{Change, LiveStatus, NewRows, PendingWrite, RefusedWrite, RowKey};
pub use protocol::{Filter, Key, Query, Secret};
pub use rest::{Items, Page, Visitor};

#[cfg(all(doctest, feature = "ssr"))]
#[doc = include_str!("../README.md")]
struct Readme;
