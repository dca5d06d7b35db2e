//! `cargo xtask mutants`: deliberate faults, one at a time, in a copy of the code that decides; the tests must find each.
//!
//! What decides needs neither Leptos nor a runtime, so the copy holds only that: it compiles in seconds, and a fault that is
//! in every hook's way is found without building them.

mod faults;

use crate::{
    failure::{Context, Failure, Result},
    process::{Output, Process},
    report::{Ticker, seconds},
    workspace::{Workspace, copy_folder, lock, remove_folder},
};
use faults::{FAULTS, Fault};
use nix::fcntl::Flock;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// A fault that makes a test run for ever is found as well. The unit tests take a second, the model a minute.
const PATIENCE_WITH_UNITS: Duration = Duration::from_secs(180);
const PATIENCE_WITH_MODEL: Duration = Duration::from_secs(900);
const BUILD: Duration = Duration::from_secs(1800);
/// The most that the long run of the model may take.
const LONG: Duration = Duration::from_secs(3600);

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) list: bool,
    /// Parts of names; all faults without any.
    pub(crate) names: Vec<String>,
}

/// Who found a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Model,
    Units,
    /// The tests would have run for ever.
    Hangs,
    Not,
}

/// How the tests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good,
    Bad,
    Stopped,
}

/// Lists the faults, or runs the tests over each that was asked for.
///
/// # Errors
/// As [`judge_all`].
pub(crate) fn mutants(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    if options.list {
        for fault in choose(&options.names)? {
            println!("{:<44} {:<24} {}", fault.name, fault.file, fault.why);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (passed, failed) = judge_all(workspace, &options.names)?;
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many faults were found, and how many were not; a table says by what.
///
/// # Errors
/// If the tests fail without any fault, if the text of a fault is no longer in the sources, and if one does not compile.
pub(crate) fn judge_all(workspace: &Workspace, names: &[String]) -> Result<(usize, usize)> {
    let chosen = choose(names)?;
    let copy = Copy::make(workspace)?;
    eprintln!("the tests without a fault, and what they need (in {})", copy.folder.display());
    let found = copy.judge()?;
    if found != Found::Not {
        return Err(Failure::new(format!("the tests fail without any fault ({found:?})"))
            .log(&copy.log)
            .mend("cargo test -p leptos-directus --features native --test model"));
    }
    let mut rows = Vec::new();
    for (index, fault) in chosen.iter().enumerate() {
        let started = Instant::now();
        eprint!("({}/{}) {} … ", index + 1, chosen.len(), fault.name);
        let found = copy.with(fault, || copy.judge())?;
        eprintln!("{}, {}", describe(found), seconds(started.elapsed()));
        rows.push((*fault, found));
    }
    println!("\n{:<44} {:<24} found by", "fault", "in");
    for (fault, found) in &rows {
        println!("{:<44} {:<24} {}", fault.name, fault.file, describe(*found));
    }
    let failed = rows.iter().filter(|(_, found)| *found == Found::Not).count();
    Ok((rows.len() - failed, failed))
}

/// Runs the model without a fault, for so many scripts in an optimised build; whether all of them ended well.
///
/// # Errors
/// If it does not compile, or is still running after [`LONG`].
pub(crate) fn run_model(workspace: &Workspace, scripts: u64, seed: u64) -> Result<bool> {
    let copy = Copy::make(workspace)?;
    let model = ["test", "--release", "--test", "model"];
    copy.build(&model)?;
    let mut run = copy.cargo(&[&model[..], &["--", "--nocapture", "a_live_list"]].concat());
    run.env("LEPTOS_DIRECTUS_MODEL_CASES", scripts.to_string()).env("LEPTOS_DIRECTUS_SEED", seed.to_string());
    // What it finds is to be read.
    run.env_remove("PROPTEST_MAX_SHRINK_ITERS");
    let mut ticker = Ticker::new(&format!("      {scripts} scripts, seed {seed}"));
    let end = copy.run(run, LONG, || ticker.tick())?;
    ticker.clear();
    let log = read(&copy.log)?;
    let is_summary = |line: &&str| line.starts_with("seed ") || end != End::Good;
    log.lines().filter(is_summary).for_each(|line| eprintln!("      {line}"));
    match end {
        End::Good => Ok(true),
        End::Bad => Ok(false),
        End::Stopped => {
            Err(Failure::new(format!("the model was still running after {}", seconds(LONG))).log(&copy.log))
        }
    }
}

fn describe(found: Found) -> &'static str {
    match found {
        Found::Model => "the model",
        Found::Units => "a unit test",
        Found::Hangs => "its never ending",
        Found::Not => "NOBODY",
    }
}

fn choose(names: &[String]) -> Result<Vec<&'static Fault>> {
    let is_chosen = |fault: &&Fault| names.is_empty() || names.iter().any(|name| fault.name.contains(name.as_str()));
    let chosen: Vec<&Fault> = FAULTS.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err(Failure::new("no fault has such a name").mend("`cargo xtask mutants --list` names them"));
    }
    Ok(chosen)
}

/// The code with the fault in it.
fn apply(fault: &Fault, code: &str) -> Result<String> {
    match code.matches(fault.text).count() {
        1 => Ok(code.replacen(fault.text, fault.becomes, 1)),
        count => Err(Failure::new(format!("the fault `{}`: its text is {count} times in {}", fault.name, fault.file))
            .mend("bring xtask/src/mutants/faults.rs along with the code")),
    }
}

/// The pure part of the crate, in a folder of its own.
struct Copy<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
    log: PathBuf,
    _lock: Flock<File>,
}

const PURE_FOLDERS: [&str; 4] = ["connection", "engine", "live", "protocol"];
const PURE_FILES: [&str; 2] = ["engine.rs", "error.rs"];
const DEPENDENCIES: [&str; 8] =
    ["codee", "fastrand", "futures", "percent-encoding", "serde", "serde_json", "serde_path_to_error", "thiserror"];

impl<'a> Copy<'a> {
    fn make(workspace: &'a Workspace) -> Result<Self> {
        let all = workspace.target.join("mutants");
        fs::create_dir_all(&all).context(|| format!("cannot make {}", all.display()))?;
        let lock = lock(&all.join("lock"), "the faults")?;
        let copy = Self { workspace, folder: all.join("crate"), log: all.join("last.log"), _lock: lock };
        let crate_folder = workspace.root.join("leptos-directus");
        let (source, folder) = (crate_folder.join("src"), &copy.folder);
        remove_folder(folder)?;
        for name in PURE_FOLDERS {
            copy_folder(&source.join(name), &folder.join("src").join(name), &[])?;
        }
        for name in PURE_FILES {
            copy_file(&source.join(name), &folder.join("src").join(name))?;
        }
        for name in ["contract", "model"] {
            copy_folder(&crate_folder.join("tests").join(name), &folder.join("tests").join(name), &[])?;
        }
        copy_file(&crate_folder.join("tests/model.rs"), &folder.join("tests/model.rs"))?;
        copy_file(&workspace.root.join("Cargo.lock"), &folder.join("Cargo.lock"))?;
        let manifest = read(&crate_folder.join("Cargo.toml"))?;
        write(&folder.join("Cargo.toml"), &pure_manifest(&manifest)?)?;
        write(&folder.join("src/lib.rs"), &pure_library(&read(&source.join("rest/mod.rs"))?)?)?;
        Ok(copy)
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = self.workspace.cargo();
        cargo.current_dir(&self.folder).args(arguments);
        cargo.env("CARGO_TARGET_DIR", self.folder.with_file_name("target"));
        // What is found is not made small: that it is found is enough.
        cargo.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("CARGO_INCREMENTAL", "0");
        cargo
    }

    fn run(&self, mut command: Command, limit: Duration, mut meanwhile: impl FnMut()) -> Result<End> {
        let mut process = Process::start(&mut command, Output::Logged(&self.log))?;
        match process.wait(limit, &mut meanwhile) {
            Ok(status) => Ok(if status.success() { End::Good } else { End::Bad }),
            Err(failure) if failure.is_interrupted() => Err(failure),
            Err(_) => Ok(End::Stopped),
        }
    }

    fn build(&self, tests: &[&str]) -> Result<()> {
        let mut ticker = Ticker::new("      build");
        let built = self.run(self.cargo(&[tests, &["--no-run"]].concat()), BUILD, || ticker.tick())?;
        ticker.clear();
        if built == End::Good { Ok(()) } else { Err(Failure::new("it does not compile").log(&self.log)) }
    }

    fn judge(&self) -> Result<Found> {
        // The model is built and run only for what no unit test finds.
        let units = (&["test", "--lib"][..], PATIENCE_WITH_UNITS, Found::Units);
        let model = (&["test", "--test", "model"][..], PATIENCE_WITH_MODEL, Found::Model);
        for (arguments, patience, found) in [units, model] {
            self.build(arguments)?;
            match self.run(self.cargo(arguments), patience, || {})? {
                End::Good => {}
                End::Bad => return Ok(found),
                End::Stopped => return Ok(Found::Hangs),
            }
        }
        Ok(Found::Not)
    }

    /// Puts the fault in, and takes it out again whatever comes of it.
    fn with(&self, fault: &Fault, judge: impl FnOnce() -> Result<Found>) -> Result<Found> {
        let path = self.folder.join("src").join(fault.file);
        let code = read(&path)?;
        write(&path, &apply(fault, &code)?)?;
        let found = judge().map_err(|failure| match failure.is_interrupted() {
            true => failure,
            false => Failure::new(format!("with the fault `{}`: {failure}", fault.name)),
        });
        write(&path, &code)?;
        found
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).context(|| format!("cannot copy {}", from.display()))
}

/// The crate's own lines for the dependencies that the pure part has.
fn pure_manifest(manifest: &str) -> Result<String> {
    let line = |name: &str| {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = ")));
        line.ok_or_else(|| Failure::new(format!("leptos-directus/Cargo.toml has no line for {name}")))
    };
    let dependencies = DEPENDENCIES.into_iter().map(line).collect::<Result<Vec<_>>>()?.join("\n");
    Ok(format!(
        "[package]\nname = \"leptos-directus\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{dependencies}\n\n[dev-dependencies]\n{}\n\n\
         [profile.dev]\ndebug = false\n\n[profile.dev.package.\"*\"]\nopt-level = 2\n",
        line("proptest")?
    ))
}

/// The pure modules, and the one type of REST that they know.
fn pure_library(rest: &str) -> Result<String> {
    let page = rest
        .find("pub struct Page<T> {")
        .and_then(|start| Some(&rest[start..start + rest[start..].find("\n}\n")? + 3]))
        .ok_or_else(|| Failure::new("leptos-directus/src/rest/mod.rs has no `Page`"))?;
    Ok(format!(
        "#![allow(missing_docs, dead_code, unused_imports)]\n\
         pub mod connection;\npub mod engine;\nmod error;\npub mod live;\npub mod protocol;\n\
         pub mod rest {{\nuse serde::{{Deserialize, Serialize}};\nuse serde_json::Value;\n\
         #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]\n{page}}}\n\
         pub use connection::ConnectionStatus;\npub use error::Error;\npub use live::LiveStatus;\n\
         pub use protocol::{{Filter, Key, Query, Secret}};\npub use rest::Page;\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_a_change_of_the_code_as_it_is() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../leptos-directus/src");
        assert!(FAULTS.len() >= 20);
        for fault in FAULTS {
            let code = read(&source.join(fault.file)).expect("the file of a fault");
            let changed = apply(fault, &code).unwrap_or_else(|failure| panic!("{failure}"));
            assert_ne!(changed, code, "{}", fault.name);
        }
    }

    #[test]
    fn faults_have_different_names_and_are_chosen_by_parts_of_them() {
        let mut names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAULTS.len());
        let chosen = choose(&["late".to_owned()]).expect("there is one");
        assert!(chosen.iter().all(|fault| fault.name.contains("late")));
        assert!(choose(&["nothing of the kind".to_owned()]).is_err());
    }

    #[test]
    fn a_text_that_is_gone_or_there_twice_is_an_error_that_says_so() {
        let fault = Fault { name: "f", file: "x.rs", text: "a", becomes: "b", why: "" };
        assert_eq!(apply(&fault, "cat").as_deref(), Ok("cbt"));
        for code in ["dog", "banana"] {
            let text = apply(&fault, code).expect_err(code).to_string();
            assert!(text.contains("`f`") && text.contains("x.rs"), "{text}");
        }
    }

    #[test]
    fn the_copy_stands_alone() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../leptos-directus");
        let manifest = pure_manifest(&read(&root.join("Cargo.toml")).expect("it is there")).expect("it has the lines");
        assert!(manifest.contains("preserve_order") && !manifest.contains("leptos ="), "{manifest}");
        let library = pure_library(&read(&root.join("src/rest/mod.rs")).expect("it is there")).expect("it has a page");
        assert!(library.contains("pub items: Vec<T>"), "{library}");
    }
}
