//! A visitor without a login, or with one, and lists of theirs.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::time::Duration;

use leptos::prelude::Owner;
use leptos_directus::{Directus, LiveRows, LiveStatus, NativeOptions, Query, Snapshot, UseRealtimeCollectionOptions};
use serde_json::Value;

use crate::real::{Admin, eventually};

/// For lists that nothing but an announcement makes read again within the time of a test.
pub(crate) const ANNOUNCED: Duration = Duration::from_secs(300);
/// For what nobody announces.
pub(crate) const SOON: Duration = Duration::from_millis(500);

pub(crate) struct Visitor {
    pub(crate) directus: Directus,
    owner: Owner,
}

impl Visitor {
    pub(crate) fn of(admin: &Admin) -> Self {
        Self::with(NativeOptions::new(&admin.url))
    }

    pub(crate) fn with(options: NativeOptions) -> Self {
        let owner = Owner::new();
        let directus = owner.with(|| Directus::native(options));
        Self { directus, owner }
    }

    pub(crate) fn list(&self, collection: &str, query: &Value, every: Duration) -> LiveRows {
        let query = Query::from_json(&query.to_string()).unwrap();
        let options = UseRealtimeCollectionOptions::default().revalidate_every(every);
        self.owner.with(|| self.directus.watch(collection, query, options))
    }
}

/// The list is live, with these rows.
#[track_caller]
pub(crate) fn shows(what: &str, list: &LiveRows, rows: &[Value]) -> impl Future<Output = ()> {
    let rows = rows.to_vec();
    becomes(what, list, move |shown| shown.status == LiveStatus::Live && shown.error.is_none() && shown.rows == rows)
}

/// The list shows nothing, and says that Directus refuses it.
#[track_caller]
pub(crate) fn is_refused(what: &str, list: &LiveRows) -> impl Future<Output = ()> {
    becomes(what, list, |shown| {
        let is_forbidden = shown.error.as_ref().is_some_and(|error| error.is_forbidden());
        shown.status == LiveStatus::Refused && is_forbidden && shown.rows.is_empty()
    })
}

#[track_caller]
pub(crate) fn becomes(what: &str, list: &LiveRows, is_wanted: impl Fn(&Snapshot) -> bool) -> impl Future<Output = ()> {
    eventually(what, move || {
        let shown = list.snapshot();
        std::future::ready(if is_wanted(&shown) { Ok(()) } else { Err(shown) })
    })
}
