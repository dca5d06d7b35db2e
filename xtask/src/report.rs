//! What people see while long steps run.

use crate::{
    failure::{Failure, Result},
    process::{self, Output, Process},
};
use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Without a terminal nothing can be overwritten: a line now and then says that it still runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// Numbered steps of one task.
#[derive(Debug)]
pub(crate) struct Steps {
    next: usize,
    total: usize,
}

impl Steps {
    pub(crate) fn new(total: usize) -> Self {
        Self { next: 1, total }
    }

    /// Runs `work` as the next step; shows what, how far and how long.
    pub(crate) fn run<T>(&mut self, what: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        if process::interrupted() {
            return Err(Failure::interrupted());
        }
        let label = format!("({}/{}) {what}", self.next, self.total);
        self.next += 1;
        let step = Step { label, started: Instant::now(), aside: None };
        eprintln!("{} …", step.label);
        let result = work(&step);
        let end = if result.is_ok() { "done" } else { "failed" };
        eprintln!("{}: {end}, {}", step.label, seconds(step.started.elapsed()));
        result
    }
}

/// A step that is running.
#[derive(Debug)]
pub(crate) struct Step {
    label: String,
    started: Instant,
    aside: Option<Aside>,
}

/// Where the output of a step goes that runs beside others.
#[derive(Debug)]
struct Aside {
    logs: PathBuf,
    commands: AtomicU32,
}

impl Step {
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), started: Instant::now(), aside: None }
    }

    /// A step beside others: its commands get what those leave of the processors, and what they say goes to files in `logs`.
    pub(crate) fn aside(label: impl Into<String>, logs: PathBuf) -> Self {
        Self { aside: Some(Aside { logs, commands: AtomicU32::new(1) }), ..Self::new(label) }
    }

    /// One line about something inside the step.
    pub(crate) fn note(&self, text: &str) {
        eprintln!("      {text}");
    }

    /// Runs a command whose own output shows its progress.
    pub(crate) fn shown(&self, command: &mut Command, limit: Duration) -> Result<()> {
        if let Some(Aside { logs, commands }) = &self.aside {
            let number = commands.fetch_add(1, Ordering::Relaxed);
            return self.logged(command, &logs.join(format!("aside-{number}.log")), limit);
        }
        let text = describe(command);
        let mut process = Process::start(command, Output::Shown)?;
        let status = process.wait(limit, || {}).map_err(|failure| name_it(&text, failure))?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("`{text}` failed ({status})"))) }
    }

    /// Runs a command quietly, its output in `log`; the elapsed seconds show that it runs.
    pub(crate) fn logged(&self, command: &mut Command, log: &Path, limit: Duration) -> Result<()> {
        let text = describe(command);
        let mut process = match &self.aside {
            Some(_) => Process::start(&mut last_of_all(command), Output::Logged(log)),
            None => Process::start(command, Output::Logged(log)),
        }?;
        let mut ticker = Ticker::new(&self.label);
        let waited = process.wait(limit, || ticker.tick());
        ticker.clear();
        let status = waited.map_err(|failure| name_it(&text, failure))?;
        if status.success() {
            return Ok(());
        }
        Err(process.with_log(Failure::new(format!("`{text}` failed ({status})"))))
    }
}

/// The same command, which waits for a processor until nobody else of this run wants one.
fn last_of_all(command: &Command) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => nice.env(name, value),
            None => nice.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        nice.current_dir(folder);
    }
    nice
}

fn name_it(text: &str, failure: Failure) -> Failure {
    if failure.is_interrupted() {
        return failure;
    }
    Failure::new(format!("`{text}`: {failure}"))
}

/// The elapsed time of one step, on one line.
#[derive(Debug)]
pub(crate) struct Ticker {
    label: String,
    started: Instant,
    shown: u64,
    on_a_terminal: bool,
}

impl Ticker {
    pub(crate) fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            started: Instant::now(),
            shown: 0,
            on_a_terminal: std::io::stderr().is_terminal(),
        }
    }

    pub(crate) fn tick(&mut self) {
        let elapsed = self.started.elapsed().as_secs();
        let every = if self.on_a_terminal { 1 } else { SIGN_OF_LIFE.as_secs() };
        if elapsed < self.shown + every {
            return;
        }
        self.shown = elapsed;
        if self.on_a_terminal {
            eprint!("\r{} … {elapsed} s ", self.label);
            // A terminal that cannot be written to has nothing to show.
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{} … {elapsed} s", self.label);
        }
    }

    pub(crate) fn clear(&self) {
        if self.on_a_terminal && self.shown > 0 {
            eprint!("\r\x1b[2K");
        }
    }
}

/// The command as one would type it, less its environment.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::iter::once(program)
        .chain(command.get_args().map(|argument| argument.to_string_lossy().into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A duration for people.
pub(crate) fn seconds(duration: Duration) -> String {
    let all = duration.as_secs();
    match all {
        0..=9 => format!("{:.1} s", duration.as_secs_f32()),
        10..=59 => format!("{all} s"),
        _ => format!("{} min {:02} s", all / 60, all % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Scratch;

    #[test]
    fn durations_are_short() {
        assert_eq!(seconds(Duration::from_millis(1240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(59)), "59 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn a_step_aside_runs_the_same_command_after_all_others() {
        let scratch = Scratch::new("aside").expect("a folder");
        let logs = scratch.path().canonicalize().expect("its path");
        let mut command = Command::new("sh");
        command.args(["-c", "echo $GIVEN; pwd; nice"]).env("GIVEN", "kept").current_dir(&logs);
        let step = Step::aside("aside", logs.clone());
        assert_eq!(step.shown(&mut command, Duration::from_secs(60)), Ok(()));
        let text = std::fs::read_to_string(logs.join("aside-1.log")).expect("its output");
        assert_eq!(text, format!("kept\n{}\n19\n", logs.display()));
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("/usr/bin/npm");
        command.args(["ci", "--no-audit"]).env("SECRET", "hidden");
        assert_eq!(describe(&command), "npm ci --no-audit");
    }
}
