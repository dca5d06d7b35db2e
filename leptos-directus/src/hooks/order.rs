//! How a list comes to another order, so that Leptos's `<For>` follows it.
//!
//! What `<For>` (tachys 0.2.19, `diff` in `view/keyed.rs`) leaves in its place is not always in order afterwards, where rows
//! moved and others came or went at once: from `a b c` to `x y c b a` it makes `b x y c a`. It is right where the same rows
//! come in another order, and where those that stay keep theirs. So such a change is made in two steps, before the browser
//! paints: first all that are there in their new order, those that go at the end; then those that stay, go and come.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::signal::ArcSharedSignal;
use crate::{
    live::{RowKey, Shown},
    transport,
};

/// The keys of a list as the page shows them.
#[derive(Clone, Default)]
pub(super) struct ShownOrder {
    keys: ArcSharedSignal<Vec<RowKey>>,
    /// Between a change and the moment when all who follow the keys have seen it.
    step: Arc<Mutex<Option<Step>>>,
}

#[derive(Default)]
struct Step {
    /// What is to come after what is shown now: nothing is changed before that was seen.
    to_come: Option<Vec<RowKey>>,
}

impl ShownOrder {
    pub(super) fn new(keys: Vec<RowKey>) -> Self {
        Self { keys: ArcSharedSignal::new(keys), step: Arc::default() }
    }

    pub(super) fn keys(&self) -> &ArcSharedSignal<Vec<RowKey>> {
        &self.keys
    }

    /// Whether what is shown has been seen, and nothing else is to come.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Step>> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what changed step by step.
    pub(super) fn splice(&self, shown: &Shown) {
        if transport::is_browser() {
            let to_come = self.lock().as_ref().and_then(|step| step.to_come.clone());
            let mut keys = to_come.unwrap_or_else(|| self.keys.get_untracked());
            shown.apply_order(&mut keys);
            self.show(keys);
        } else {
            self.keys.update(|keys| shown.apply_order(keys));
        }
    }

    /// Brings the keys to this, by two steps where that is needed.
    pub(super) fn show(&self, keys: Vec<RowKey>) {
        if !transport::is_browser() {
            return self.keys.set_if_other(keys);
        }
        let mut step = self.lock();
        if let Some(step) = &mut *step {
            step.to_come = Some(keys);
            return;
        }
        let shown = self.keys.get_untracked();
        if shown == keys {
            return;
        }
        let (next, to_come) = step_to(&shown, keys);
        *step = Some(Step { to_come });
        drop(step);
        self.keys.set(next);
        let this = self.clone();
        transport::spawn(async move { this.go_on().await });
    }

    async fn go_on(self) {
        loop {
            // Whoever follows the keys was woken before.
            leptos::task::tick().await;
            let mut step = self.lock();
            let Some(keys) = step.as_mut().and_then(|step| step.to_come.take()) else {
                *step = None;
                return;
            };
            let shown = self.keys.get_untracked();
            let (next, to_come) = step_to(&shown, keys);
            *step = Some(Step { to_come });
            drop(step);
            if shown != next {
                self.keys.set(next);
            }
        }
    }
}

/// What is to be shown next on the way to these keys, and what afterwards.
fn step_to(shown: &[RowKey], keys: Vec<RowKey>) -> (Vec<RowKey>, Option<Vec<RowKey>>) {
    match way_between(shown, &keys) {
        Some(between) => (between, Some(keys)),
        None => (keys, None),
    }
}

/// What `<For>` has to see first, if it would not have the rows in order after this change.
pub(super) fn way_between(before: &[RowKey], after: &[RowKey]) -> Option<Vec<RowKey>> {
    is_misplaced(before, after).then(|| between(before, after))
}

/// Whether `<For>` would not have the rows in order after this change: whether some of those that it leaves in their places
/// are not in the order that they are to be in.
fn is_misplaced(before: &[RowKey], after: &[RowKey]) -> bool {
    let same = |(one, other): &(&RowKey, &RowKey)| one == other;
    let first = before.iter().zip(after).take_while(same).count();
    let (old, new) = (&before[first..], &after[first..]);
    let last = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    if old.len() == last || new.len() == last {
        // Rows came, or went, in one place.
        return false;
    }
    let places = |keys: &[RowKey]| keys.iter().cloned().zip(0_i64..).collect::<HashMap<RowKey, i64>>();
    let (old, new) = (places(before), places(after));
    let (mut added, mut removed) = (0, 0);
    let mut last = -1;
    // Rows that move together go as one: where the next of them would be, and whether they stay.
    let mut group: Option<(i64, i64, bool)> = None;
    for (place, at) in (0..before.len().max(after.len())).zip(0_i64..) {
        let (from, to) = (before.get(place), after.get(place));
        let stays_at = if from == to {
            Some(at)
        } else {
            removed += i64::from(from.is_some_and(|from| !new.contains_key(from)));
            added += i64::from(to.is_some_and(|to| !old.contains_key(to)));
            from.and_then(|from| new.get(from)).copied().filter(|goes_to| {
                let stays = match group {
                    Some((next, next_to, stays)) if next == at && next_to == *goes_to => stays,
                    _ => goes_to - at == added - removed,
                };
                group = Some((at + 1, goes_to + 1, stays));
                stays
            })
        };
        if let Some(stays_at) = stays_at {
            if stays_at < last {
                return true;
            }
            last = stays_at;
        }
    }
    false
}

/// All that are there in their new order, and behind them those that go.
fn between(before: &[RowKey], after: &[RowKey]) -> Vec<RowKey> {
    let set = |keys: &[RowKey]| keys.iter().cloned().collect::<HashSet<RowKey>>();
    let (old, new) = (set(before), set(after));
    let stay = after.iter().filter(|key| old.contains(*key));
    stay.chain(before.iter().filter(|key| !new.contains(*key))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<RowKey> {
        text.split(' ').map(RowKey::from).collect()
    }

    #[test]
    fn rows_that_move_while_others_come_and_go_are_moved_first() {
        let (before, after) = (keys("a b c"), keys("x y c b a"));
        assert!(is_misplaced(&before, &after));
        assert_eq!(between(&before, &after), keys("c b a"));
        assert_eq!(between(&keys("a b c d"), &keys("x d b")), keys("d b a c"));
    }

    #[test]
    fn what_is_right_by_one_step_is_made_by_one() {
        for (before, after) in [
            ("a b c", "c b a"),
            ("a b c", "x a y b c z"),
            ("a b c d", "b d"),
            ("a b c d", "b d e"),
            ("a b", "b a c"),
            ("a b c", "b c a"),
        ] {
            let (before, after) = (keys(before), keys(after));
            assert!(!is_misplaced(&before, &after), "{before:?} {after:?}");
            assert!(!is_misplaced(&after, &before), "{after:?} {before:?}");
        }
        assert!(!is_misplaced(&[], &keys("a b")) && !is_misplaced(&keys("a b"), &[]));
    }

    /// Random changes: the two steps are each right.
    #[test]
    fn each_of_two_steps_is_right() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut two = 0;
        for _ in 0..200_000 {
            let some = |random: &mut fastrand::Rng| {
                let mut all: Vec<RowKey> = (0..12_i64).map(RowKey::from).collect();
                random.shuffle(&mut all);
                all.truncate(random.usize(1..9));
                all
            };
            let (before, after) = (some(&mut random), some(&mut random));
            if is_misplaced(&before, &after) {
                let between = between(&before, &after);
                assert!(!is_misplaced(&before, &between), "{before:?} {between:?}");
                assert!(!is_misplaced(&between, &after), "{between:?} {after:?}");
                two += 1;
            }
        }
        assert!(two > 10, "{two}");
    }
}
