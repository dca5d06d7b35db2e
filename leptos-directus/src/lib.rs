//! Realtime hooks for Leptos over Directus.

pub mod protocol;
