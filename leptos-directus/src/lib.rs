//! Realtime hooks for Leptos over Directus.
