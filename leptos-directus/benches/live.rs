//! What it costs to apply one change to a live list, by size, for both ways of reading: `cargo bench --features native --bench live`.
//!
//! Measured is the engine's part: from the parsed answer of REST to what the page is told, own writes over it included. What the
//! answer itself costs (Directus, the network, parsing) comes on top, and grows with the rows in it: all of the list, or one.
//!
//! A row in place costs the same in lists of all sizes: valgrind's callgrind counts 21,712, 21,722 and 21,970 instructions.

mod scenario;

use std::{cell::RefCell, hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use scenario::{BURST, Change, SIZES, Scenario, WAITING, Way, Write};

fn one_change(criterion: &mut Criterion) {
    for change in Change::ALL {
        let mut group = criterion.benchmark_group(format!("one row {}", change.name()));
        group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for size in SIZES {
            for way in Way::ALL {
                let scenario = RefCell::new(Scenario::new(size, way));
                let is_first = RefCell::new(true);
                group.bench_function(BenchmarkId::new(way.name(), size), |bencher| {
                    bencher.iter_batched(
                        || {
                            let mut scenario = scenario.borrow_mut();
                            if !is_first.replace(false) {
                                scenario.restore(change);
                            }
                            scenario.prepare(change)
                        },
                        |prepared| black_box(scenario.borrow_mut().apply(prepared)),
                        BatchSize::PerIteration,
                    );
                });
            }
        }
        group.finish();
    }
}

/// The visitor writes, alone, and where as many writes wait as may.
fn own_write(criterion: &mut Criterion) {
    for write in Write::ALL {
        let mut group = criterion.benchmark_group(format!("a row {} here", write.name()));
        group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for size in SIZES {
            for (others, name) in [(0, "alone"), (WAITING, "beside 255 that wait")] {
                let mut scenario = Scenario::new(size, Way::Keys);
                scenario.wait(others);
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| {
                        let layer = scenario.own(write);
                        black_box(scenario.write_own(layer))
                    });
                });
            }
        }
        group.finish();
    }
}

/// Hints at 10,000 rows, one by one; the answers come after each thousandth, or after the last.
fn burst(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("a burst of {BURST} hints"));
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(BURST as u64));
    for way in Way::ALL {
        let mut scenario = Scenario::new(10_003, way);
        let keys = scenario.burst_keys();
        let mut run = |answer_after: usize| scenario.burst(&keys, answer_after, |work| work());
        for answer_after in [1_000, BURST] {
            println!("{}, an answer after every {answer_after}: {} reads", way.name(), run(answer_after));
        }
        group.bench_function(BenchmarkId::new(way.name(), "answers after every 1000"), |bencher| {
            bencher.iter(|| black_box(run(1_000)));
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    one_change(&mut criterion);
    own_write(&mut criterion);
    burst(&mut criterion);
    criterion.final_summary();
}
