//! Who reads one row each, so that a thousand of them do not hang on one signal.
//!
//! A signal keeps its readers in order: whenever one reads it again, reactive_graph (0.2.16, `SubscriberSet::unsubscribe`) moves
//! all that follow, which is a million moves where a thousand rows change at once. And it keeps those that are gone. So each reader
//! has a trigger of its own here, that goes with its owner.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use leptos::prelude::*;

use super::signal::Changed;

/// With what is to be known of each.
#[derive(Debug)]
pub(super) struct Readers<S>(Mutex<All<S>>);

#[derive(Debug)]
struct All<S> {
    next: u64,
    /// In the order in which they came.
    by_number: BTreeMap<u64, (Changed, S)>,
}

impl<S> Default for Readers<S> {
    fn default() -> Self {
        Self(Mutex::new(All { next: 0, by_number: BTreeMap::new() }))
    }
}

impl<S: Send + 'static> Readers<S> {
    fn lock(&self) -> MutexGuard<'_, All<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody is to track, until its owner is cleaned up; nothing where there is none that would be.
    pub(super) fn join(self: &Arc<Self>, state: S) -> Option<Changed> {
        let _owner = Owner::current()?;
        let trigger = Changed::new(());
        let number = {
            let mut all = self.lock();
            all.next += 1;
            let number = all.next;
            all.by_number.insert(number, (trigger.clone(), state));
            number
        };
        let this = Arc::clone(self);
        on_cleanup(move || drop(this.lock().by_number.remove(&number)));
        Some(trigger)
    }

    /// Tells those for whom it is.
    pub(super) fn tell(&self, mut is_for: impl FnMut(&mut S) -> bool) {
        let mut told = Vec::new();
        for (trigger, state) in self.lock().by_number.values_mut() {
            if is_for(state) {
                told.push(trigger.clone());
            }
        }
        // Not under the lock: whoever is told may come and go at once.
        for trigger in told {
            trigger.notify();
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().by_number.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_its_own_until_its_owner_is_cleaned_up() {
        let root = Owner::new();
        root.with(|| {
            let readers = Arc::new(Readers::<u32>::default());
            let owners = [1, 2].map(|number| {
                let owner = Owner::new();
                let trigger = owner.with(|| readers.join(number)).expect("there is an owner");
                let runs = owner.with(|| {
                    Memo::new(move |before: Option<&u32>| {
                        trigger.track();
                        before.map_or(1, |before| before + 1)
                    })
                });
                assert_eq!(runs.get_untracked(), 1);
                (owner, runs)
            });
            let runs = || owners.each_ref().map(|(_, runs)| runs.get_untracked());
            readers.tell(|number| *number == 2);
            assert_eq!(runs(), [1, 2]);
            readers.tell(|number| {
                *number += 1;
                true
            });
            assert_eq!(runs(), [2, 3]);
            readers.tell(|number| *number == 2);
            assert_eq!(runs(), [3, 3], "what is known of each is kept");
            assert_eq!(readers.count(), 2);
            owners[0].0.cleanup();
            assert_eq!(readers.count(), 1);
            owners[1].0.cleanup();
            assert_eq!(readers.count(), 0);
        });
    }

    #[test]
    fn nobody_stays_without_an_owner_who_could_go() {
        let readers = Arc::new(Readers::<()>::default());
        assert!(readers.join(()).is_none());
        assert_eq!(readers.count(), 0);
    }
}
