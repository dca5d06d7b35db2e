//! Chance that a seed repeats.

/// Steele's SplitMix64: small, even, and the same on every machine.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another one, for somebody who runs beside.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both of them too.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, all: &'a [&'a T]) -> &'a T {
        all[self.index(all.len())]
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % len as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_what_is_drawn_stays_within_its_bounds() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..1_000).map(move |_| random.between(3, 7))
        };
        let drawn: Vec<u64> = draw(1).collect();
        assert_eq!(drawn, draw(1).collect::<Vec<_>>());
        assert_ne!(drawn, draw(2).collect::<Vec<_>>());
        for value in 3..=7 {
            assert!(drawn.iter().filter(|drawn| **drawn == value).count() > 120, "{value}");
        }
        assert!(drawn.iter().all(|value| (3..=7).contains(value)));
    }
}
