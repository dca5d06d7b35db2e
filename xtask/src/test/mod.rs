//! `cargo xtask test`: parts with names, each timed, and how many tests passed and failed in all.

mod control;
mod counts;
mod parts;

use crate::{
    directus::Installation,
    failure::{Context, Failure, LOG_LINES, Result, last_lines},
    process::{Output, Process, interrupted},
    report::{Step, Ticker, describe, seconds},
    site,
    toolchain::{Browser, WasmChoice, WasmToolchain},
    workspace::{Workspace, remove_folder},
};
use counts::Counts;
use parts::PARTS;
use std::{
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The hidden subcommand by which a test binary is run in a folder that we choose.
pub(crate) const RUNNER_ARGUMENT: &str = "__in-folder";
/// So many runs keep their logs.
const KEPT_RUNS: usize = 8;

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<String>,
    pub(crate) all: bool,
    pub(crate) list: bool,
    pub(crate) wasm: WasmChoice,
    pub(crate) directus_version: String,
    pub(crate) rest: Vec<OsString>,
}

/// Installs something for all clones, unless it is there.
type Install = fn(&Options, &Step) -> Result<()>;

/// A part: what it is called, what it shows, how to run it.
struct Part {
    name: &'static str,
    about: &'static str,
    /// Runs with `--all`, or when it is named.
    long: bool,
    /// What it needs that takes minutes to install.
    installs: Option<Install>,
    /// Whether it runs the release build, which takes minutes to compile.
    is_of_release: bool,
    run: fn(&mut Run<'_>) -> Result<Counts>,
}

/// Runs what was asked for.
///
/// # Errors
///
/// If a part is named that does not exist. Failed tests are no error but an exit code.
pub(crate) fn test(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    if options.list {
        for part in PARTS {
            println!(
                "{:<13} {}{}",
                part.name,
                part.about,
                if part.long { " (long: with --all, or by name)" } else { "" }
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&options.parts, options.all)?;
    let logs = log_folder(workspace)?;
    eprintln!("logs: {}", logs.display());
    let mut run =
        Run { workspace, options, logs, part: "", wasm: None, browser: None, commands: 0, failed: Vec::new() };
    let at_first = chosen.iter().take_while(|part| part.installs.is_none()).count();
    let mut parts = chosen.iter().enumerate();
    let mut rows = Vec::new();
    // What the later parts need is downloaded, for the most part, while these compile. Not beside those that run it: they have
    // seconds for what they wait for.
    thread::scope(|scope| {
        if at_first > 0 {
            scope.spawn(|| install(&chosen[at_first..], options));
        }
        run_parts(&mut run, parts.by_ref().take(at_first), chosen.len(), &mut rows);
    });
    // The parts after these wait for the most part, for Directus and for time that must pass.
    let logs = run.logs.clone();
    thread::scope(|scope| {
        if chosen[at_first..].iter().position(|part| part.is_of_release).is_some_and(|position| position > 0) {
            scope.spawn(|| build_release(workspace, options, logs));
        }
        run_parts(&mut run, parts, chosen.len(), &mut rows);
    });
    Ok(summary(&rows, &run.failed))
}

/// Until something goes wrong: what that is says the part that needs it.
fn install(parts: &[&Part], options: &Options) {
    for part in parts {
        let step = Step::new(format!("      installing for {}", part.name));
        if part.installs.is_some_and(|install| install(options, &step).is_err()) {
            return;
        }
    }
}

/// Until something goes wrong: what that is says the part that needs it.
fn build_release(workspace: &Workspace, options: &Options, logs: PathBuf) {
    let step = Step::aside("      the release build, beside", logs);
    if let Ok(toolchain) = WasmToolchain::get(options.wasm, &step) {
        let _ = site::build_release(workspace, toolchain, &step);
    }
}

/// Adds how each part ended, and how long it took.
fn run_parts<'a>(
    run: &mut Run<'_>,
    parts: impl Iterator<Item = (usize, &'a &'static Part)>,
    total: usize,
    rows: &mut Vec<(&'static str, Counts, Duration)>,
) {
    for (index, part) in parts {
        if interrupted() {
            // What was not run has not passed.
            rows.push((part.name, Counts::one_failed(), Duration::ZERO));
            return;
        }
        eprintln!("\n({}/{total}) {}: {}", index + 1, part.name, part.about);
        let started = Instant::now();
        run.part = part.name;
        let counts = match (part.run)(run) {
            Ok(counts) => counts.or_failed_if_empty(),
            Err(failure) if failure.is_interrupted() || interrupted() => {
                eprintln!("interrupted");
                Counts::one_failed()
            }
            Err(failure) => {
                eprintln!("error: {failure}");
                Counts::one_failed()
            }
        };
        rows.push((part.name, counts, started.elapsed()));
    }
}

fn choose(names: &[String], all: bool) -> Result<Vec<&'static Part>> {
    if names.is_empty() {
        return Ok(PARTS.iter().filter(|part| all || !part.long).collect());
    }
    if let Some(unknown) = names.iter().find(|name| PARTS.iter().all(|part| part.name != **name)) {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        return Err(Failure::new(format!("there is no part `{unknown}`")).mend(format!("one of: {}", known.join(", "))));
    }
    Ok(PARTS.iter().filter(|part| names.iter().any(|name| name == part.name)).collect())
}

fn summary(rows: &[(&str, Counts, Duration)], failed: &[String]) -> ExitCode {
    let mut all = Counts::default();
    println!("\n{:<13} {:>7} {:>7} {:>8}  time", "part", "passed", "failed", "skipped");
    for (name, counts, time) in rows {
        println!("{name:<13} {:>7} {:>7} {:>8}  {}", counts.passed, counts.failed, counts.skipped, seconds(*time));
        all += *counts;
    }
    for test in failed {
        println!("failed: {test}");
    }
    println!("{} passed, {} failed", all.passed, all.failed);
    if all.failed == 0 && all.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A folder of this run's own; those of long ago go.
fn log_folder(workspace: &Workspace) -> Result<PathBuf> {
    let all = workspace.root.join("target/test-logs");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let folder = all.join(format!("{now}-{}", std::process::id()));
    fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    let mut runs: Vec<PathBuf> = fs::read_dir(&all).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    runs.sort();
    for old in &runs[..runs.len().saturating_sub(KEPT_RUNS)] {
        remove_folder(old)?;
    }
    Ok(folder)
}

/// What the parts of one run share.
struct Run<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    logs: PathBuf,
    part: &'static str,
    wasm: Option<WasmToolchain>,
    browser: Option<Browser>,
    commands: usize,
    failed: Vec<String>,
}

impl Run<'_> {
    fn step(&self) -> Step {
        Step::new(self.part)
    }

    fn wasm(&mut self) -> Result<WasmToolchain> {
        if let Some(wasm) = &self.wasm {
            return Ok(wasm.clone());
        }
        let wasm = WasmToolchain::get(self.options.wasm, &self.step())?;
        eprintln!("      wasm32 by {}", wasm.describe());
        self.wasm = Some(wasm.clone());
        Ok(wasm)
    }

    fn browser(&mut self) -> Result<Browser> {
        if let Some(browser) = &self.browser {
            return Ok(browser.clone());
        }
        let browser = Browser::get(&self.step())?;
        self.browser = Some(browser.clone());
        Ok(browser)
    }

    fn installation(&self) -> Result<Installation> {
        Installation::get(&self.options.directus_version, &self.step())
    }

    /// A command with its output in a log of its own; whether it succeeded, and the log.
    fn command(&mut self, command: &mut Command, minutes: u64) -> Result<(bool, PathBuf)> {
        self.commands += 1;
        let log = self.logs.join(format!("{:02}-{}.log", self.commands, self.part));
        let text = describe(command);
        let started = Instant::now();
        let mut process = Process::start(command, Output::Logged(&log))?;
        let mut ticker = Ticker::new(&format!("      {text}"));
        let waited = process.wait(Duration::from_secs(minutes * 60), || ticker.tick());
        ticker.clear();
        let succeeded = match waited {
            Ok(status) => status.success(),
            Err(failure) if failure.is_interrupted() => return Err(failure),
            Err(failure) => {
                eprintln!("      {text}: {}", failure.cause());
                false
            }
        };
        eprintln!("      {text}: {}, {}", if succeeded { "done" } else { "FAILED" }, seconds(started.elapsed()));
        if !succeeded {
            show(&log, 40);
        }
        Ok((succeeded, log))
    }

    /// A check that has no tests inside: it counts as one.
    fn checks(&mut self, commands: Vec<Command>, minutes: u64) -> Result<Counts> {
        let mut all_good = true;
        for mut command in commands {
            all_good &= self.command(&mut command, minutes)?.0;
        }
        Ok(if all_good { Counts::one_passed() } else { Counts::one_failed() })
    }

    /// Said at once, and again at the end of all.
    fn failed(&mut self, tests: Vec<String>) {
        for test in tests {
            eprintln!("      failed: {test}");
            self.failed.push(format!("{}: {test}", self.part));
        }
    }

    /// Commands that print libtest's lines.
    fn cargo_tests(&mut self, commands: Vec<Command>, minutes: u64) -> Result<Counts> {
        let mut all = Counts::default();
        for mut command in commands {
            let (succeeded, log) = self.command(&mut command, minutes)?;
            let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
            self.failed(counts::failed_tests(&text));
            all += Counts::of_libtest(&text).and_exit(succeeded);
        }
        Ok(all)
    }
}

/// The end of a log, for people.
fn show(log: &Path, lines: usize) {
    eprintln!("      the end of {}:", log.display());
    for line in last_lines(log, lines.max(LOG_LINES)) {
        eprintln!("        {line}");
    }
}

/// Becomes the program that the arguments name, in the folder that they name first.
pub(crate) fn run_in_folder(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(folder), Some(program)) = (arguments.next(), arguments.next()) else { return ExitCode::FAILURE };
    let error = Command::new(&program).args(arguments).current_dir(folder).exec();
    eprintln!("error: cannot run {}: {error}", Path::new(&program).display());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_name_and_unknown_ones_are_refused() {
        let names = |chosen: Vec<&'static Part>| chosen.into_iter().map(|part| part.name).collect::<Vec<_>>();
        let chosen = choose(&["unit".into(), "fmt".into()], false).map(names);
        assert_eq!(chosen, Ok(vec!["fmt", "unit"]));
        let failure = choose(&["unt".into()], false).map(names).expect_err("no such part").to_string();
        assert!(failure.contains("`unt`") && failure.contains("unit"), "{failure}");
    }

    #[test]
    fn without_names_long_parts_run_with_all_only() {
        let count = |all| choose(&[], all).map(|chosen| chosen.len()).ok();
        assert_eq!(count(true), Some(PARTS.len()));
        assert_eq!(count(false), Some(PARTS.iter().filter(|part| !part.long).count()));
    }

    #[test]
    fn parts_have_different_names() {
        let mut names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PARTS.len());
    }
}
