//! Child processes that end with us: each in a process group of its own, watched by a guard process.
//!
//! The guard is this binary once more, with a pipe as its standard input. When we go, by whatever signal, the pipe
//! closes and the guard ends the groups that we still had.

use crate::failure::{Context, Failure, Result};
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs::File,
    io::{BufRead, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a child may take to end by itself after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(40);

static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
static GUARD: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();

/// Turns SIGINT, SIGTERM and SIGHUP into [`interrupted`]; a second one ends everything at once.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTS.fetch_add(1, Ordering::SeqCst) > 0 {
            // The guard sees its pipe close and kills what is left.
            std::process::exit(130);
        }
        eprintln!("\nstopping …");
        thread::spawn(|| {
            thread::sleep(PATIENCE * 3);
            std::process::exit(130);
        });
    })
    .context(|| "cannot catch Ctrl-C".to_owned())
}

/// Whether somebody wants us to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTS.load(Ordering::SeqCst) > 0
}

/// Sleeps a moment; an error if somebody wants us to stop.
pub(crate) fn pause(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    loop {
        if interrupted() {
            return Err(Failure::interrupted());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(POLL));
    }
}

/// Asks `condition` again and again until it gives a value; `None` once `limit` is over.
pub(crate) fn wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(Some(value));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        pause(POLL)?;
    }
}

/// Where the output of a child goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Output<'a> {
    /// To our own terminal.
    Shown,
    /// To a file, which is begun anew.
    Logged(&'a Path),
}

/// A running child and everything that it started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    log: Option<PathBuf>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` in a process group of its own, without standard input.
    ///
    /// # Errors
    ///
    /// If the program is not there or the log cannot be written.
    pub(crate) fn start(command: &mut Command, output: Output<'_>) -> Result<Self> {
        let log = match output {
            Output::Shown => None,
            Output::Logged(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
                }
                let file = File::create(path).context(|| format!("cannot write {}", path.display()))?;
                let other = file.try_clone().context(|| format!("cannot write {}", path.display()))?;
                command.stdout(file).stderr(other);
                Some(path.to_owned())
            }
        };
        Self::spawn(command, log)
    }

    /// As [`Process::start`], but the caller has said where the output goes.
    pub(crate) fn spawn(command: &mut Command, log: Option<PathBuf>) -> Result<Self> {
        Self::spawn_with(command, Stdio::null(), log)
    }

    /// As [`Process::spawn`], and the child can be told something.
    pub(crate) fn spawn_with(command: &mut Command, input: Stdio, log: Option<PathBuf>) -> Result<Self> {
        start_guard();
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(input).process_group(0).spawn().context(|| format!("cannot start `{program}`"))?;
        let group = Pid::from_raw(child.id().cast_signed());
        tell_guard('+', group);
        Ok(Self { child, group, log, ended: None })
    }

    pub(crate) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// The exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for the end; stops it when `limit` is over or somebody wants us to stop.
    pub(crate) fn wait(&mut self, limit: Duration, mut meanwhile: impl FnMut()) -> Result<ExitStatus> {
        let status = wait_for(limit, || {
            meanwhile();
            Ok(self.ended())
        });
        match status {
            Ok(Some(status)) => Ok(status),
            Ok(None) => {
                self.stop();
                let failure = Failure::new(format!("it took longer than {} s and was stopped", limit.as_secs()));
                Err(self.with_log(failure))
            }
            Err(failure) => {
                self.stop();
                Err(failure)
            }
        }
    }

    /// SIGTERM to the whole group, SIGKILL to what is left of it after a bounded wait.
    pub(crate) fn stop(&mut self) {
        self.stop_with(Signal::SIGTERM);
    }

    /// As [`Process::stop`], beginning with another signal.
    pub(crate) fn stop_with(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // ESRCH only says that it was quicker.
            let _ = killpg(self.group, signal);
            let end = Instant::now() + PATIENCE;
            while self.ended().is_none() && Instant::now() < end {
                thread::sleep(POLL);
            }
        }
        // What the child itself had started goes with it; without a member left the group is gone (ESRCH).
        let _ = killpg(self.group, Signal::SIGKILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
        tell_guard('-', self.group);
    }

    /// It stands still, or goes on, as whatever it is that a laptop's lid closes.
    pub(crate) fn set_asleep(&self, is_asleep: bool) {
        // ESRCH only says that it has ended, which is seen elsewhere.
        let _ = killpg(self.group, if is_asleep { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    /// Adds the end of our log, if we have one.
    pub(crate) fn with_log(&self, failure: Failure) -> Failure {
        match &self.log {
            Some(path) => failure.log(path),
            None => failure,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start_guard() {
    GUARD.get_or_init(|| {
        let started = std::env::current_exe().and_then(|program| {
            Command::new(program)
                .arg(GUARD_ARGUMENT)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
        });
        started.ok().and_then(|mut child| child.stdin.take()).map(Mutex::new)
    });
}

fn tell_guard(sign: char, group: Pid) {
    if let Some(Some(pipe)) = GUARD.get()
        && let Ok(mut pipe) = pipe.lock()
    {
        // A guard that is gone cannot be told; our own `Drop` still ends the group.
        let _ = writeln!(pipe, "{sign}{group}");
    }
}

/// The hidden subcommand that makes this binary the guard.
pub(crate) const GUARD_ARGUMENT: &str = "__guard";

/// The guard: remembers the groups it is told, and ends them when the pipe closes.
pub(crate) fn guard(lines: impl BufRead) {
    let groups = groups_left(lines.lines().map_while(std::result::Result::ok));
    let alive = |group: &&Pid| killpg(**group, None) != Err(Errno::ESRCH);
    for group in &groups {
        let _ = killpg(*group, Signal::SIGTERM);
    }
    let end = Instant::now() + PATIENCE;
    while groups.iter().any(|group| alive(&group)) && Instant::now() < end {
        thread::sleep(POLL);
    }
    for group in &groups {
        let _ = killpg(*group, Signal::SIGKILL);
    }
}

fn groups_left(lines: impl Iterator<Item = String>) -> Vec<Pid> {
    let mut groups = Vec::new();
    for line in lines {
        let Some((sign, id)) = line.split_at_checked(1) else { continue };
        let Ok(id) = id.parse() else { continue };
        let group = Pid::from_raw(id);
        groups.retain(|known| *known != group);
        if sign == "+" {
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_keeps_the_groups_that_were_not_taken_back() {
        let lines = ["+10", "+11", "-10", "nonsense", "", "+12", "+11"].map(str::to_owned);
        let left: Vec<i32> = groups_left(lines.into_iter()).into_iter().map(Pid::as_raw).collect();
        assert_eq!(left, [12, 11]);
    }

    #[test]
    fn a_child_that_ignores_sigterm_ends_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sleep 600 & echo $!; wait; wait"]).stdout(Stdio::piped());
        // The guard would be the test runner's own binary: spawn without it.
        GUARD.get_or_init(|| None);
        let mut process = Process::spawn(&mut command, None).expect("sh");
        let mut line = String::new();
        std::io::BufReader::new(process.stdout().expect("piped")).read_line(&mut line).expect("pid of the grandchild");
        let grandchild = Pid::from_raw(line.trim().parse().expect("a pid"));
        process.stop();
        let gone = wait_for(Duration::from_secs(5), || {
            // A zombie that nobody reaps in this container still has a pid, but no command line.
            let state = std::fs::read_to_string(format!("/proc/{grandchild}/cmdline")).unwrap_or_default();
            Ok(state.is_empty().then_some(()))
        });
        assert_eq!(gone, Ok(Some(())));
        assert!(process.ended().is_some());
    }
}
