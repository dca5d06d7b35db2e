//! What is to happen when, in virtual time.

use std::collections::BTreeMap;

use leptos_directus::connection::Millis;

/// Things to come; those of one instant in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    next: u64,
    things: BTreeMap<(Millis, u64), T>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { next: 0, things: BTreeMap::new() }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn plan(&mut self, at: Millis, thing: T) {
        self.next += 1;
        self.things.insert((at, self.next), thing);
    }

    pub(crate) fn due(&self) -> Option<Millis> {
        self.things.keys().next().map(|(at, _)| *at)
    }

    /// What is due first.
    pub(crate) fn next(&self) -> Option<&T> {
        self.things.values().next()
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.things.pop_first().map(|(_, thing)| thing)
    }
}
