//! What was announced, and may not have been there yet when it was read.
//!
//! Directus announces the rows of a batch (`PATCH /items/…` with an array of rows) one by one while its transaction is still
//! open (`ItemsService.updateBatch` of @directus/api 39.2.1). Where reads have a connection of their own, as with PostgreSQL, a
//! read that follows such an event at once finds the row as it was before (hazard H18). So what did not change when it was read
//! is read once more, when nothing was announced for a moment; where there never is such a moment, twice, ten seconds apart.

use std::{collections::BTreeMap, time::Duration};

use super::{doubt::Doubt, query::ReadId};
use crate::{
    connection::{Millis, after},
    protocol::Key,
};

/// Between the last event of a transaction and its end there is nothing but the end.
const STILL: Duration = Duration::from_secs(1);
/// Where something is announced all the time, it is read again this often.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event of a key.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The last read that was sent before it.
    after: ReadId,
    /// Another one came for the same key: a change that shows may be that of the other.
    twice: bool,
    /// It was read at an interval, because it was never still.
    was_read: bool,
}

/// What is to be read once more.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// By key, as long as they are few.
    keys: BTreeMap<Key, Told>,
    /// Whatever it may be; whether everything was read at an interval.
    all: Option<bool>,
    /// When something was announced last, and since when there has been no second read.
    last: Millis,
    since: Millis,
}

impl Settling {
    /// Something was announced after this read was sent; without keys, it may be about anything.
    pub(super) fn told(&mut self, now: Millis, after: ReadId, keys: &[Key], bound: usize) {
        if !self.is_any() {
            self.since = now;
        }
        self.last = now;
        if keys.is_empty() {
            self.all = Some(false);
        }
        for key in keys {
            if let Some(told) = self.keys.get_mut(key) {
                *told = Told { after, twice: true, was_read: false };
            } else if self.keys.len() < bound {
                self.keys.insert(key.clone(), Told { after, twice: false, was_read: false });
            } else {
                self.all = Some(false);
            }
        }
    }

    /// A read shows that this row changed: so what was announced of it before that had happened by then.
    pub(super) fn changed(&mut self, key: &Key, read: ReadId) {
        if self.keys.get(key).is_some_and(|told| !told.twice && told.after < read) {
            self.keys.remove(key);
        }
    }

    /// What was announced, as far as it is known by its key.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.keys()
    }

    fn is_any(&self) -> bool {
        self.all.is_some() || !self.keys.is_empty()
    }

    /// When to read once more.
    pub(super) fn due(&self) -> Option<Millis> {
        self.is_any().then(|| after(self.last, STILL).min(after(self.since, PATIENCE)))
    }

    /// A read is sent: what it is to be of, besides what is in doubt anyway.
    pub(super) fn take(&mut self, now: Millis, bound: usize) -> Doubt {
        if self.due().is_none_or(|due| now < due) {
            return Doubt::default();
        }
        let mut doubt = if self.all.is_some() { Doubt::All } else { Doubt::default() };
        doubt.add(self.keys.keys(), bound);
        if now >= after(self.last, STILL) {
            *self = Self::default();
        } else {
            // Its transaction may not have ended yet. Another interval later it has: it would be read for ever otherwise.
            self.since = now;
            self.keys.retain(|_, told| !std::mem::replace(&mut told.was_read, true));
            self.all = self.all.filter(|was_read| !was_read).map(|_| true);
        }
        doubt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: usize = 3;

    fn keys(keys: &[i64]) -> Vec<Key> {
        keys.iter().copied().map(Key::from).collect()
    }

    /// Events at their times, each after as many reads.
    fn told(events: &[(Millis, u64, &[i64])]) -> Settling {
        let mut settling = Settling::default();
        for (at, reads, told) in events {
            settling.told(*at, ReadId(*reads), &keys(told), BOUND);
        }
        settling
    }

    fn of(doubted: &[i64]) -> Doubt {
        Doubt::Keys(keys(doubted).into_iter().collect())
    }

    #[test]
    fn what_was_announced_is_read_once_more_when_all_is_still() {
        let mut settling = told(&[(0, 0, &[1]), (900, 0, &[2])]);
        assert_eq!(settling.due(), Some(1_900));
        assert_eq!(settling.take(1_899, BOUND), Doubt::default());
        assert_eq!(settling.take(1_900, BOUND), of(&[1, 2]));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn what_showed_is_not_read_again() {
        let mut settling = told(&[(0, 0, &[1]), (0, 1, &[2, 3])]);
        settling.changed(&1.into(), ReadId(1));
        settling.changed(&2.into(), ReadId(1));
        assert_eq!(settling.take(2_000, BOUND), of(&[2, 3]), "of 2 it was announced after the read was sent");
        // One of two changes showed, and nobody knows which.
        let mut settling = told(&[(0, 0, &[1]), (0, 0, &[1])]);
        settling.changed(&1.into(), ReadId(1));
        assert_eq!(settling.take(2_000, BOUND), of(&[1]));
    }

    /// What is read when hints about a key come all the time.
    fn reads_beside(settling: &mut Settling, key: i64, until: Millis) -> Vec<(Millis, Doubt)> {
        let mut reads = Vec::new();
        for at in (500..=until).step_by(500) {
            settling.told(at, ReadId(0), &keys(&[key]), BOUND);
            let read = settling.take(at, BOUND);
            reads.extend(read.is_any().then_some((at, read)));
        }
        reads
    }

    #[test]
    fn where_it_is_never_still_it_is_read_twice_at_intervals() {
        let mut settling = told(&[(0, 0, &[1])]);
        let reads = reads_beside(&mut settling, 2, 35_000);
        assert_eq!(reads, [(10_000, of(&[1, 2])), (20_000, of(&[1, 2])), (30_000, of(&[2]))]);
        assert_eq!(settling.take(36_000, BOUND), of(&[2]));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn where_it_is_never_still_everything_is_read_twice_and_not_for_ever() {
        let mut settling = told(&[(0, 0, &[])]);
        let reads = reads_beside(&mut settling, 1, 35_000);
        assert_eq!(reads, [(10_000, Doubt::All), (20_000, Doubt::All), (30_000, of(&[1]))]);
        // More keys than are kept, and then few again.
        let mut settling = told(&[(0, 0, &[1, 2, 3, 4])]);
        let reads = reads_beside(&mut settling, 1, 35_000);
        assert_eq!(reads, [(10_000, Doubt::All), (20_000, Doubt::All), (30_000, of(&[1]))]);
    }

    #[test]
    fn what_is_announced_again_after_it_was_read_is_read_twice_again() {
        let mut settling = told(&[(0, 0, &[])]);
        settling.told(9_500, ReadId(0), &keys(&[1]), BOUND);
        assert_eq!(settling.take(10_000, BOUND), Doubt::All);
        settling.told(19_500, ReadId(0), &[], BOUND);
        assert_eq!(settling.take(20_000, BOUND), Doubt::All);
        settling.told(29_500, ReadId(0), &keys(&[2]), BOUND);
        assert_eq!(settling.take(30_000, BOUND), Doubt::All);
        settling.told(39_500, ReadId(0), &keys(&[2]), BOUND);
        assert_eq!(settling.take(40_000, BOUND), of(&[2]));
    }

    #[test]
    fn many_keys_are_everything() {
        let mut settling = told(&[(0, 0, &[1, 2, 3, 4])]);
        assert_eq!(settling.take(1_000, BOUND), Doubt::All);
        let mut settling = told(&[(0, 0, &[])]);
        assert_eq!(settling.take(1_000, BOUND), Doubt::All);
    }
}
