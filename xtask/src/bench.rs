//! `cargo xtask bench`: what is compared side by side, in one run.

use crate::{
    failure::{Context, Failure, Result},
    report::Steps,
    workspace::{Workspace, without_settings},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

/// Compiling included.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) list: bool,
    /// All without any.
    pub(crate) names: Vec<String>,
}

struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &mut Steps) -> Result<()>,
}

const BENCHES: &[Bench] = &[Bench {
    name: "live",
    about: "one changed row of 100, 10k and 100k, and 10k in a burst: the window read again, or its key; own writes; allocations too",
    run: live,
}];

/// Lists the benches, or runs those that were asked for.
///
/// # Errors
///
/// If there is no such bench, or one fails.
pub(crate) fn bench(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    if let Some(name) = options.names.iter().find(|name| BENCHES.iter().all(|bench| bench.name != name.as_str())) {
        return Err(Failure::new(format!("there is no bench `{name}`")).mend("`cargo xtask bench --list` names them"));
    }
    let chosen =
        BENCHES.iter().filter(|bench| options.names.is_empty() || options.names.iter().any(|n| n == bench.name));
    for bench in chosen {
        if options.list {
            println!("{:<12} {}", bench.name, bench.about);
        } else {
            (bench.run)(workspace, &mut Steps::new(2))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The engine over lists of three sizes: from the answer of REST to what the page is told.
fn live(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let cargo = |bench: &str| {
        let mut cargo = workspace.cargo();
        cargo.args(["bench", "-p", "leptos-directus", "--features", "native", "--bench", bench]);
        without_settings(&mut cargo);
        cargo
    };
    let started = SystemTime::now();
    steps.run("time", |step| step.shown(&mut cargo("live"), PATIENCE))?;
    steps.run("allocations", |step| step.shown(&mut cargo("live_allocations"), PATIENCE))?;
    let measured = measured_since(&workspace.target.join("criterion"), started)?;
    println!("\nThe engine's part, median, in one run (what the answer itself costs comes on top):");
    print!("{}", table(&measured));
    Ok(())
}

/// The median of one way of doing something.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    /// What is done, to how much of it.
    task: (String, u64, String),
    way: String,
    nanoseconds: f64,
}

/// What criterion has left since then.
fn measured_since(folder: &Path, started: SystemTime) -> Result<Vec<Measured>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("new/benchmark.json") && is_newer(&path, started) {
                found
                    .push(measured(&read(&path)?, &read(&path.with_file_name("estimates.json"))?).ok_or_else(
                        || Failure::new(format!("{} is not as criterion 0.7 writes it", path.display())),
                    )?);
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::new(format!("nothing was measured (in {})", folder.display())));
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read {}", folder.display());
    fs::read_dir(folder).context(context)?.map(|entry| Ok(entry.context(context)?.path())).collect()
}

fn is_newer(path: &Path, started: SystemTime) -> bool {
    fs::metadata(path).and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified >= started)
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read(path).context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).context(|| format!("{} is not JSON", path.display()))
}

fn measured(benchmark: &Value, estimates: &Value) -> Option<Measured> {
    let size = benchmark["value_str"].as_str().unwrap_or_default();
    Some(Measured {
        task: (benchmark["group_id"].as_str()?.to_owned(), size.parse().unwrap_or_default(), size.to_owned()),
        way: benchmark["function_id"].as_str()?.to_owned(),
        nanoseconds: estimates["median"]["point_estimate"].as_f64()?,
    })
}

/// A line for each task, a column for each way, the slowest first; and how many times as long the slowest takes.
fn table(all: &[Measured]) -> String {
    let mut tasks: BTreeMap<_, Vec<&Measured>> = BTreeMap::new();
    for measured in all {
        tasks.entry(&measured.task).or_default().push(measured);
    }
    let mut text = String::new();
    for ((what, _, size), mut ways) in tasks {
        ways.sort_by(|one, other| other.nanoseconds.total_cmp(&one.nanoseconds));
        text += &format!("{what:<26} {size:>26}");
        for measured in &ways {
            text += &format!("  {:>12} {}", time(measured.nanoseconds), measured.way);
        }
        if let [slowest, .., fastest] = &ways[..] {
            text += &format!("  {:.0} ×", slowest.nanoseconds / fastest.nanoseconds);
        }
        text += "\n";
    }
    text
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n if n < 1e9 => format!("{:.1} ms", n / 1e6),
        n => format!("{:.1} s", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(way: &str, size: &str, nanoseconds: f64) -> Measured {
        let benchmark = json!({ "group_id": "one row moves", "function_id": way, "value_str": size });
        measured(&benchmark, &json!({ "median": { "point_estimate": nanoseconds } })).expect("it is complete")
    }

    #[test]
    fn ways_of_one_task_stand_side_by_side_and_sizes_in_their_order() {
        let all = [
            of("window read", "10003", 6e7),
            of("key read", "10003", 2e4),
            of("key read", "103", 900.0),
            of("window read", "103", 2e6),
        ];
        let table = table(&all);
        let lines: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "one row moves 103 2.0 ms window read 900 ns key read 2222 ×",
                "one row moves 10003 60.0 ms window read 20.0 µs key read 3000 ×",
            ]
        );
    }

    #[test]
    fn what_is_not_as_criterion_writes_it_is_told() {
        assert_eq!(measured(&json!({ "group_id": "x" }), &json!({})), None);
    }
}
