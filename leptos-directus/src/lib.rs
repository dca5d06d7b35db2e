//! Realtime hooks for Leptos over Directus.

#[cfg(all(feature = "native", not(target_arch = "wasm32")))]
mod native;
#[cfg(all(feature = "ssr", not(target_arch = "wasm32")))]
pub mod server;
