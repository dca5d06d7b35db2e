//! How often and how much memory is asked for to apply one change to a live list, and a burst of them: `cargo bench --features
//! native --bench live_allocations`.

mod scenario;

use std::alloc::System;

use scenario::{BURST, Change, SIZES, Scenario, Way};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What some work has asked for.
#[derive(Default)]
struct Cost {
    allocations: usize,
    bytes: usize,
}

impl Cost {
    fn count<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let region = Region::new(ALLOCATOR);
        let made = work();
        let used = region.change();
        self.allocations += used.allocations + used.reallocations;
        self.bytes += used.bytes_allocated;
        made
    }
}

fn one_change() {
    println!("{:9} {:12} {:>8} {:>12} {:>14}", "one row", "", "rows", "allocations", "bytes");
    for change in Change::ALL {
        for size in SIZES {
            for way in Way::ALL {
                let mut scenario = Scenario::new(size, way);
                // Once before, for what grows only once.
                let prepared = scenario.prepare(change);
                drop(scenario.apply(prepared));
                scenario.restore(change);
                let prepared = scenario.prepare(change);
                let mut cost = Cost::default();
                drop(cost.count(|| scenario.apply(prepared)));
                let Cost { allocations, bytes } = cost;
                println!("{:9} {:12} {size:>8} {allocations:>12} {bytes:>14}", change.name(), way.name());
            }
        }
    }
}

/// Hints and answers, without what the answers themselves are made of.
fn burst() {
    println!("\n{BURST} hints\n{:12} {:>12} {:>8} {:>12} {:>14}", "", "answer after", "reads", "allocations", "bytes");
    for way in Way::ALL {
        let mut scenario = Scenario::new(10_003, way);
        let keys = scenario.burst_keys();
        for answer_after in [1_000, BURST] {
            // Once before, for what grows only once.
            scenario.burst(&keys, answer_after, |work| work());
            let mut cost = Cost::default();
            let reads = scenario.burst(&keys, answer_after, |work| cost.count(work));
            let Cost { allocations, bytes } = cost;
            println!("{:12} {answer_after:>12} {reads:>8} {allocations:>12} {bytes:>14}", way.name());
        }
    }
}

fn main() {
    one_change();
    burst();
}
