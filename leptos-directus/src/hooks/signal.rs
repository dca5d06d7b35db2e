//! Signals that one thread may read while another one writes them.
//!
//! Those of reactive_graph (0.2.16) may not: `Plain::try_new` and `UntrackedWriteGuard::try_new` give up where the lock is taken, so
//! that who reads a signal during a write panics ("already been disposed"), and what is set in a `StoredValue` during a read is
//! dropped. A browser has one thread; natively the connection writes from any.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError, RwLock},
};

use leptos::prelude::*;

/// As `ArcRwSignal`, but whoever comes meanwhile waits. Clones are the same.
pub(crate) struct ArcSharedSignal<T> {
    value: Arc<RwLock<T>>,
    changed: Changed,
}

/// Who is to be told. Not an `ArcTrigger`: that forgets those whom it tells, since they are to come again; but a memo that is just
/// being computed takes no notice, and would never be told of anything any more.
pub(super) type Changed = ArcRwSignal<()>;

// By hand, because `Clone` must not ask for `T: Clone`.
impl<T> Clone for ArcSharedSignal<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), changed: self.changed.clone() }
    }
}

impl<T> fmt::Debug for ArcSharedSignal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArcSharedSignal").finish_non_exhaustive()
    }
}

impl<T: Default> Default for ArcSharedSignal<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> ArcSharedSignal<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self { value: Arc::new(RwLock::new(value)), changed: Changed::new(()) }
    }

    #[track_caller]
    pub(crate) fn track(&self) {
        self.changed.track();
    }

    pub(crate) fn notify(&self) {
        self.changed.notify();
    }

    /// What is called must neither write it nor read it again: it could wait for itself.
    pub(crate) fn with_untracked<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tracked first: a change that comes in between is one that it is told of.
    #[track_caller]
    pub(crate) fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.track();
        self.with_untracked(look)
    }

    pub(crate) fn get_untracked(&self) -> T
    where
        T: Clone,
    {
        self.with_untracked(T::clone)
    }

    #[track_caller]
    pub(crate) fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Nobody is told.
    fn update_untracked<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.value.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = self.update_untracked(change);
        // Not under the lock: whoever is told may read at once.
        self.notify();
        result
    }

    pub(crate) fn set(&self, value: T) {
        // What goes may look at anything.
        drop(self.update(|now| mem::replace(now, value)));
    }

    /// Gives what was there, if it was something else. Nobody is told.
    pub(crate) fn replace_untracked(&self, value: T) -> Option<T>
    where
        T: PartialEq,
    {
        let mut value = value;
        let is_other = self.update_untracked(|now| {
            let is_other = *now != value;
            if is_other {
                mem::swap(now, &mut value);
            }
            is_other
        });
        is_other.then_some(value)
    }

    /// Nobody is told where it is the same.
    pub(crate) fn set_if_other(&self, value: T)
    where
        T: PartialEq,
    {
        if self.replace_untracked(value).is_some() {
            self.notify();
        }
    }
}

impl<T: Clone + Send + Sync + 'static> From<ArcSharedSignal<T>> for Signal<T> {
    fn from(signal: ArcSharedSignal<T>) -> Self {
        Self::derive(move || signal.get())
    }
}

/// As `RwSignal`: `Copy`, and gone with its owner. Then there is nothing to read, and a write does nothing.
pub(crate) struct SharedSignal<T: Send + Sync + 'static>(StoredValue<ArcSharedSignal<T>>);

// By hand, because `Clone` must not ask for `T: Copy`.
impl<T: Send + Sync + 'static> Clone for SharedSignal<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for SharedSignal<T> {}

impl<T: Send + Sync + 'static> fmt::Debug for SharedSignal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSignal").finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> SharedSignal<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(StoredValue::new(ArcSharedSignal::new(value)))
    }

    pub(crate) fn try_with_untracked<R>(self, look: impl FnOnce(&T) -> R) -> Option<R> {
        Some(self.0.try_get_value()?.with_untracked(look))
    }

    #[track_caller]
    pub(crate) fn try_with<R>(self, look: impl FnOnce(&T) -> R) -> Option<R> {
        Some(self.0.try_get_value()?.with(look))
    }

    pub(crate) fn try_get_untracked(self) -> Option<T>
    where
        T: Clone,
    {
        self.try_with_untracked(T::clone)
    }

    #[track_caller]
    pub(crate) fn try_get(self) -> Option<T>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    pub(crate) fn try_update<R>(self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        Some(self.0.try_get_value()?.update(change))
    }

    /// Nobody is told.
    pub(crate) fn try_update_untracked<R>(self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        Some(self.0.try_get_value()?.update_untracked(change))
    }

    pub(crate) fn set(self, value: T) {
        if let Some(signal) = self.0.try_get_value() {
            signal.set(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use leptos::reactive::computed::ArcMemo;

    use super::*;

    /// Looks again and again on another thread, while the signal is written a hundred thousand times.
    fn look_meanwhile(signal: &ArcSharedSignal<u32>, mut look: impl FnMut() + Send) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    look();
                }
            });
            (1..=100_000).for_each(|number| signal.set(number));
            is_over.store(true, Ordering::Relaxed);
        });
    }

    /// It failed with `ArcRwSignal`: the reader panicked.
    #[test]
    fn who_reads_it_while_it_is_written_waits() {
        let signal = ArcSharedSignal::new(0);
        let mut last = 0;
        look_meanwhile(&signal, || {
            let now = signal.get();
            assert!(now >= last);
            last = now;
        });
        assert_eq!(signal.get(), 100_000);
    }

    /// It failed with `ArcTrigger`.
    #[test]
    fn a_memo_that_is_computed_while_it_is_written_follows_it_afterwards() {
        let signal = ArcSharedSignal::new(0);
        let seen = signal.clone();
        let memo = ArcMemo::new(move |_| seen.get());
        look_meanwhile(&signal, || _ = memo.get_untracked());
        signal.set(0);
        assert_eq!(memo.get_untracked(), 0);
    }

    #[test]
    fn whoever_follows_it_is_told_of_what_is_other() {
        let owner = Owner::new();
        owner.with(|| {
            let signal = ArcSharedSignal::new(1);
            let seen: Signal<u32> = signal.clone().into();
            let runs =
                Memo::new(move |before: Option<&(u32, u32)>| (before.map_or(1, |(runs, _)| runs + 1), seen.get()));
            assert_eq!(runs.get_untracked(), (1, 1));
            signal.set_if_other(1);
            assert_eq!(runs.get_untracked(), (1, 1));
            signal.set_if_other(2);
            assert_eq!(runs.get_untracked(), (2, 2));
            assert_eq!(signal.update(|value| mem::replace(value, 3)), 2);
            assert_eq!(runs.get_untracked(), (3, 3));
        });
    }

    #[test]
    fn a_copy_whose_owner_is_gone_is_empty() {
        let owner = Owner::new();
        let signal = owner.with(|| SharedSignal::new(1));
        assert_eq!((signal.try_get(), signal.try_update(|value| *value += 1)), (Some(1), Some(())));
        assert_eq!(signal.try_get_untracked(), Some(2));
        owner.cleanup();
        signal.set(3);
        assert_eq!((signal.try_get(), signal.try_update(|value| *value += 1)), (None, None));
    }
}
