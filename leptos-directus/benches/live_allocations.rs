//! How often and how much memory is asked for to apply one change to a live list: `cargo bench --features native --bench
//! live_allocations`.

mod scenario;

use std::alloc::System;

use scenario::{Change, SIZES, Scenario, Way};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
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
                let region = Region::new(ALLOCATOR);
                let outputs = scenario.apply(prepared);
                let used = region.change();
                drop(outputs);
                println!(
                    "{:9} {:12} {size:>8} {:>12} {:>14}",
                    change.name(),
                    way.name(),
                    used.allocations + used.reallocations,
                    used.bytes_allocated,
                );
            }
        }
    }
}
