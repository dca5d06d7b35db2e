//! What was announced, and may not have been there yet when it was read.
//!
//! Directus announces the rows of a batch (`PATCH /items/…` with an array of rows) one by one while its transaction is still
//! open (`ItemsService.updateBatch` of @directus/api 39.2.1). Where reads have a connection of their own, as with PostgreSQL, a
//! read that follows such an event at once finds the row as it was before (hazard H18). So what did not change when it was read
//! is read once more, when nothing was announced for a moment; where there never is such a moment, every ten seconds.
//!
//! Such a moment may also be one in which the transaction waits for another one that changes a row of it, too. It announces that
//! row when it goes on. So for half a minute what was announced is read again together with whatever is announced later, or ten
//! seconds after it was read last.

use std::{collections::BTreeMap, time::Duration};

use super::{
    doubt::Doubt,
    query::{ReadId, SMALL},
};
use crate::{
    connection::{Millis, after},
    protocol::Key,
};

/// Between the last event of a transaction and its end there is nothing but the end.
const STILL: Duration = Duration::from_secs(1);
/// Where something is announced all the time, it is read again this often.
const PATIENCE: Duration = Duration::from_secs(10);
/// A few keys more cost no read: keys are read of windows that have four times as many rows, and more.
const FEW: usize = SMALL / 4;
/// A transaction that is open for longer after an event is not waited for.
const LONGEST: Duration = Duration::from_secs(30);

/// An event of a key, or of anything.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// From then on later events say nothing of its transaction.
    until: Millis,
    /// The last read that was sent before it.
    after: ReadId,
    /// Another one came for the same key: a change that shows may be that of the other.
    twice: bool,
    /// When it was read once more, and whether all was still then.
    read: Option<(Millis, bool)>,
}

impl Told {
    /// When it was read after its transaction had had the time to end, had that said all it had to say.
    fn settled(&self) -> Option<Millis> {
        self.read.filter(|(_, still)| *still).map(|(at, _)| at)
    }

    /// Whether it was read after whatever was announced until then.
    fn is_over(&self, now: Millis, heard: Millis) -> bool {
        now >= self.until && self.read.is_some_and(|(at, _)| at >= heard.min(self.until))
    }
}

/// What is to be read once more.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// By key, as long as they are few.
    keys: BTreeMap<Key, Told>,
    /// Whatever it may be.
    all: Option<Told>,
    /// When something was announced last, and since when there has been no second read.
    last: Millis,
    since: Millis,
    /// When something was announced last, these or other rows.
    heard: Millis,
}

impl Settling {
    /// Something was announced after this read was sent. Without keys it may be about anything.
    pub(super) fn told(&mut self, now: Millis, after_read: ReadId, keys: &[Key], bound: usize) {
        if self.all.iter().chain(self.keys.values()).all(|told| told.settled().is_some()) {
            self.forget(now);
            // What is due anyway is not put off by this.
            let due = self.due().unwrap_or(Millis::MAX);
            self.since = now.min(due.saturating_sub(PATIENCE.as_secs() * 1_000));
        }
        (self.last, self.heard) = (now, now);
        let told = Told { until: after(now, LONGEST), after: after_read, twice: false, read: None };
        if keys.is_empty() {
            self.all = Some(told);
        }
        for key in keys {
            if let Some(known) = self.keys.get_mut(key) {
                *known = Told { twice: true, ..told };
            } else if self.keys.len() < bound {
                self.keys.insert(key.clone(), told);
            } else {
                self.keys.clear();
                self.all = Some(told);
            }
        }
    }

    /// Something was announced about other rows: perhaps by the transaction that announced one of these.
    pub(super) fn told_of_others(&mut self, now: Millis) {
        self.forget(now);
        self.heard = now;
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

    /// What was read for the last time.
    fn forget(&mut self, now: Millis) {
        let heard = self.heard;
        self.keys.retain(|_, told| !told.is_over(now, heard));
        self.all.take_if(|told| told.is_over(now, heard));
    }

    /// When this is to be read once more. What was settled already, not at every event of something else.
    fn due_of(&self, told: &Told) -> Option<Millis> {
        match told.settled() {
            None => Some(after(self.last, STILL).min(after(self.since, PATIENCE))),
            Some(read) => (read < after(self.heard, STILL)).then(|| after(read, PATIENCE)),
        }
    }

    /// When to read once more.
    pub(super) fn due(&self) -> Option<Millis> {
        let mut earliest = None;
        for told in self.all.iter().chain(self.keys.values()) {
            let due = self.due_of(told);
            if told.settled().is_none() {
                // Nothing has to be read before that, and this is asked at every event.
                return due;
            }
            earliest = earliest.into_iter().chain(due).min();
        }
        earliest
    }

    /// A read is sent: what it is to be of, besides what is in doubt anyway.
    pub(super) fn take(&mut self, now: Millis, bound: usize) -> Doubt {
        if self.due().is_none_or(|due| now < due) {
            return Doubt::default();
        }
        let still = now >= after(self.last, STILL);
        let all_due = self.all.and_then(|all| self.due_of(&all)).is_some_and(|due| now >= due);
        let mut doubt = if all_due { Doubt::All } else { Doubt::default() };
        let few = self.keys.len() <= FEW;
        for (key, told) in &mut self.keys {
            if few || told.settled().is_none_or(|read| now >= after(read, PATIENCE)) {
                doubt.add([key], bound);
                told.read = Some((now, still));
            }
        }
        if let Some(all) = self.all.as_mut().filter(|_| all_due) {
            all.read = Some((now, still));
        }
        self.since = now;
        self.forget(now);
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
    fn where_it_is_never_still_it_is_read_at_intervals_for_half_a_minute() {
        let mut settling = told(&[(0, 0, &[1])]);
        let reads = reads_beside(&mut settling, 2, 45_000);
        let both = |at| (at, of(&[1, 2]));
        assert_eq!(reads, [both(10_000), both(20_000), both(30_000), (40_000, of(&[2]))]);
        assert_eq!(settling.take(46_000, BOUND), of(&[2]));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn what_may_be_about_anything_is_read_once_more_when_all_is_still() {
        let mut settling = told(&[(0, 0, &[]), (900, 0, &[])]);
        assert_eq!(settling.due(), Some(1_900));
        assert_eq!(settling.take(1_900, BOUND), Doubt::All);
        assert_eq!(settling.due(), None, "not by itself");
    }

    #[test]
    fn more_keys_than_are_kept_are_everything_for_half_a_minute() {
        let mut settling = told(&[(0, 0, &[1, 2, 3, 4])]);
        let reads = reads_beside(&mut settling, 1, 45_000);
        let whole = |at| (at, Doubt::All);
        assert_eq!(reads, [whole(10_000), whole(20_000), whole(30_000), (40_000, of(&[1]))]);
        // The same of what may be about anything.
        let mut settling = told(&[(0, 0, &[])]);
        let reads = reads_beside(&mut settling, 1, 45_000);
        assert_eq!(reads, [whole(10_000), whole(20_000), whole(30_000), (40_000, of(&[1]))]);
    }

    /// Its transaction waited for another one, and goes on.
    #[test]
    fn what_was_read_when_all_was_still_is_read_again_with_what_comes_later() {
        let mut settling = told(&[(0, 0, &[1])]);
        assert_eq!(settling.take(1_000, BOUND), of(&[1]));
        assert_eq!(settling.due(), None, "not by itself");
        settling.told(1_050, ReadId(0), &keys(&[2]), BOUND);
        assert_eq!(settling.due(), Some(2_050));
        assert_eq!(settling.take(2_050, BOUND), of(&[1, 2]));
        settling.told(29_000, ReadId(0), &keys(&[3]), BOUND);
        assert_eq!(settling.take(30_000, BOUND), of(&[1, 2, 3]));
        // Half a minute is over for the first one, and then for the second.
        settling.told(31_049, ReadId(0), &keys(&[4]), BOUND);
        settling.told(31_051, ReadId(0), &keys(&[4]), BOUND);
        assert_eq!(settling.take(32_051, BOUND), of(&[2, 3, 4]));
        settling.told(33_000, ReadId(0), &keys(&[5]), BOUND);
        assert_eq!(settling.take(34_000, BOUND), of(&[3, 4, 5]));
    }

    #[test]
    fn everything_is_read_again_with_what_comes_later_but_every_ten_seconds() {
        let mut settling = told(&[(0, 0, &[1, 2, 3, 4])]);
        assert_eq!(settling.take(1_000, BOUND), Doubt::All);
        settling.told(2_000, ReadId(0), &keys(&[5]), BOUND);
        assert_eq!(settling.take(3_000, BOUND), of(&[5]));
        assert_eq!(settling.due(), Some(11_000));
        settling.told(10_000, ReadId(0), &keys(&[6]), BOUND);
        assert_eq!(settling.take(11_000, BOUND), Doubt::All);
        assert_eq!(settling.due(), None);
    }

    /// It goes on for longer than an interval.
    #[test]
    fn what_was_read_at_an_interval_is_read_when_all_is_still() {
        let mut settling = told(&[(0, 0, &[1, 2, 3, 4])]);
        assert_eq!(reads_beside(&mut settling, 1, 12_000), [(10_000, Doubt::All)]);
        assert_eq!(settling.due(), Some(13_000));
        assert_eq!(settling.take(13_000, BOUND), Doubt::All);
    }

    #[test]
    fn what_is_due_is_not_put_off_by_what_comes_later() {
        let mut settling = told(&[(0, 0, &[1])]);
        assert_eq!(settling.take(1_000, BOUND), of(&[1]));
        settling.told_of_others(2_000);
        assert_eq!(settling.due(), Some(11_000));
        for at in (10_500..11_500).step_by(500) {
            settling.told(at, ReadId(0), &keys(&[2]), BOUND);
        }
        assert_eq!(settling.due(), Some(11_000));
        assert_eq!(settling.take(11_000, BOUND), of(&[1, 2]));
    }

    /// Else the window would be read at every event for half a minute.
    #[test]
    fn many_that_were_read_when_all_was_still_are_not_read_at_every_event() {
        let many: Vec<Key> = (0..20_i64).map(Key::from).collect();
        let mut settling = Settling::default();
        settling.told(0, ReadId(0), &many, 500);
        assert!(settling.take(1_000, 500).is_any());
        settling.told(2_000, ReadId(0), &keys(&[50]), 500);
        assert_eq!(settling.take(3_000, 500), of(&[50]));
        assert_eq!(settling.due(), Some(11_000));
        settling.told(10_900, ReadId(0), &keys(&[51]), 500);
        assert_eq!(settling.take(11_000, 500), Doubt::Keys(many.into_iter().chain(keys(&[51])).collect()));
    }

    #[test]
    fn what_is_announced_of_others_has_it_read_again_every_ten_seconds() {
        let mut settling = told(&[(0, 0, &[1])]);
        settling.told_of_others(500);
        assert_eq!(settling.due(), Some(1_000), "others are no reason to wait");
        assert_eq!(settling.take(1_000, BOUND), of(&[1]));
        let mut reads = Vec::new();
        for at in (1_500..60_000).step_by(500) {
            settling.told_of_others(at);
            reads.extend(settling.take(at, BOUND).is_any().then_some(at));
        }
        assert_eq!(reads, [11_000, 21_000, 31_000]);
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn what_is_announced_again_after_it_was_read_is_read_again() {
        let mut settling = told(&[(0, 0, &[])]);
        settling.told(9_500, ReadId(0), &keys(&[1]), BOUND);
        assert_eq!(settling.take(10_000, BOUND), Doubt::All);
        settling.told(19_500, ReadId(0), &[], BOUND);
        assert_eq!(settling.take(20_000, BOUND), Doubt::All);
        settling.told(29_500, ReadId(0), &keys(&[2]), BOUND);
        assert_eq!(settling.take(30_000, BOUND), Doubt::All);
        settling.told(39_500, ReadId(0), &keys(&[2]), BOUND);
        assert_eq!(settling.take(40_000, BOUND), Doubt::All);
        settling.told(49_500, ReadId(0), &keys(&[2]), BOUND);
        assert_eq!(settling.take(50_000, BOUND), Doubt::All);
        settling.told(59_500, ReadId(0), &keys(&[2]), BOUND);
        assert_eq!(settling.take(60_000, BOUND), of(&[2]));
    }

    #[test]
    fn many_keys_are_everything() {
        let mut settling = told(&[(0, 0, &[1, 2, 3, 4])]);
        assert_eq!(settling.take(1_000, BOUND), Doubt::All);
        let mut settling = told(&[(0, 0, &[])]);
        assert_eq!(settling.take(1_000, BOUND), Doubt::All);
    }
}
