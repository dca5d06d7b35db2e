//! Everything that a list ever showed, or that a connection's status ever was, and when.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use futures::StreamExt;
use leptos_directus::{LiveRows, Snapshot};
use tokio::task::JoinHandle;

#[derive(Clone, Default)]
pub(crate) struct History<T>(Arc<Mutex<Vec<(Instant, T)>>>);

impl<T: Clone + Default> History<T> {
    pub(crate) fn push(&self, shown: T) {
        self.0.lock().unwrap().push((Instant::now(), shown));
    }

    pub(crate) fn all(&self) -> Vec<(Instant, T)> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> T {
        self.0.lock().unwrap().last().map(|(_, shown)| shown.clone()).unwrap_or_default()
    }

    /// When it first showed, after `since`, what is wanted.
    pub(crate) fn first(&self, since: Instant, is_wanted: impl Fn(&T) -> bool) -> Option<Instant> {
        let all = self.0.lock().unwrap();
        all.iter().find(|(at, shown)| *at >= since && is_wanted(shown)).map(|(at, _)| *at)
    }
}

impl History<Snapshot> {
    /// What this list shows from now on, for as long as the task runs.
    pub(crate) fn of(mut list: LiveRows) -> (Self, JoinHandle<()>) {
        let history = Self::default();
        let all = history.clone();
        let reader = tokio::spawn(async move {
            while let Some(snapshot) = list.next().await {
                all.push(snapshot);
            }
        });
        (history, reader)
    }
}
