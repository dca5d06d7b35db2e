//! How often and how much memory is asked for to apply one change to a live list, and a burst of them: `cargo bench --features
//! native --bench live_allocations`. Without `--bench`, as `cargo test` runs it, only whether a row in place costs the same in
//! lists of any size, whoever changes it.

mod scenario;

use std::alloc::System;

use scenario::{BURST, Change, SIZES, Scenario, Way, Write};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What some work has asked for.
#[derive(Debug, Default, PartialEq)]
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

/// What it takes to apply a change the second time: for what grows only once.
fn cost_of(change: Change, size: usize, way: Way) -> Cost {
    let mut scenario = Scenario::new(size, way);
    let prepared = scenario.prepare(change);
    drop(scenario.apply(prepared));
    scenario.restore(change);
    let prepared = scenario.prepare(change);
    let mut cost = Cost::default();
    drop(cost.count(|| scenario.apply(prepared)));
    cost
}

/// The same for a write of the visitor.
fn cost_of_own(write: Write, size: usize) -> Cost {
    let mut scenario = Scenario::new(size, Way::Keys);
    let layer = scenario.own(write);
    drop(scenario.write_own(layer));
    let layer = scenario.own(write);
    let mut cost = Cost::default();
    drop(cost.count(|| scenario.write_own(layer)));
    cost
}

fn one_row_in_place_costs_the_same_in_any_list() {
    let theirs = SIZES.map(|size| cost_of(Change::InPlace, size, Way::Keys));
    let own = SIZES.map(|size| cost_of_own(Write::Update, size));
    for costs in [theirs, own] {
        assert!(costs.iter().all(|cost| *cost == costs[0]), "of {SIZES:?} rows: {costs:?}");
    }
}

fn one_change() {
    println!("{:10} {:12} {:>8} {:>12} {:>14}", "one row", "", "rows", "allocations", "bytes");
    for change in Change::ALL {
        for size in SIZES {
            for way in Way::ALL {
                let Cost { allocations, bytes } = cost_of(change, size, way);
                println!("{:10} {:12} {size:>8} {allocations:>12} {bytes:>14}", change.name(), way.name());
            }
        }
    }
    for write in Write::ALL {
        for size in SIZES {
            let Cost { allocations, bytes } = cost_of_own(write, size);
            println!("{:10} {:12} {size:>8} {allocations:>12} {bytes:>14}", write.name(), "here");
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
    one_row_in_place_costs_the_same_in_any_list();
    if std::env::args().any(|argument| argument == "--bench") {
        one_change();
        burst();
    }
}
