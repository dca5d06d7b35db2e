//! How long to wait before the next try: full jitter over a doubling ceiling.

use std::time::Duration;

/// Delays before tries, for ever.
///
/// The n-th delay is drawn evenly from nothing to `first * 2^n`, never more than `longest` ("full jitter"), so that a
/// thousand pages that lost the same server do not come back in the same instant.
///
/// # Example
/// ```
/// use leptos_directus::connection::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30), 7);
/// assert!(backoff.next_delay() <= Duration::from_millis(100));
/// assert!(backoff.next_delay() <= Duration::from_millis(200));
/// assert_eq!(backoff.attempt(), 2);
/// backoff.reset();
/// assert!(backoff.next_delay() <= Duration::from_millis(100));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempt: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// From `first`, doubling up to `longest`; equal seeds give equal delays.
    #[must_use]
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, attempt: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// Tries since the last [`reset`](Self::reset).
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Counts one more try and says how long to wait before it.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.first.saturating_mul(1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX)).min(self.longest);
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(self.random.f64())
    }

    /// All is well again: the next delay is a short one.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(Duration::from_millis(100), Duration::from_secs(30), seed)
    }

    #[test]
    fn delays_stay_below_a_doubling_ceiling_and_never_end() {
        let mut delays = backoff(1);
        for attempt in 0..200_u32 {
            let ceiling = 100_u64.saturating_mul(2_u64.saturating_pow(attempt)).min(30_000);
            assert!(delays.next_delay() <= Duration::from_millis(ceiling), "attempt {attempt}");
        }
    }

    #[test]
    fn a_thousand_pages_do_not_come_back_in_one_instant() {
        let mut slots = [0_u32; 10];
        for seed in 0..1_000 {
            let mut delays = backoff(seed);
            for _ in 0..4 {
                delays.next_delay();
            }
            // The fifth delay: anywhere below 1.6 s.
            let slot = usize::try_from(delays.next_delay().as_millis() / 160).unwrap().min(9);
            slots[slot] += 1;
        }
        assert!(slots.iter().all(|count| (50..=200).contains(count)), "uneven: {slots:?}");
    }

    #[test]
    fn a_reset_starts_small_again() {
        let mut delays = backoff(7);
        for _ in 0..20 {
            delays.next_delay();
        }
        delays.reset();
        assert!(delays.next_delay() <= Duration::from_millis(100));
        assert_eq!(delays.attempt(), 1);
    }
}
