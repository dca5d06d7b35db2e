//! The wasm32 target: rustup's where it answers, Debian's compiler otherwise.

use super::debian;
use crate::{
    failure::{Failure, Result},
    process::{Process, interrupted},
    report::Step,
    workspace::{find_program, path_with},
};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// rustup is given up after so long without a sign of life; a download that moves may take longer.
const SILENCE: Duration = Duration::from_secs(8);
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// `--wasm-toolchain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WasmChoice {
    Auto,
    Rustup,
    Debian,
}

impl FromStr for WasmChoice {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            _ => Err(Failure::new(format!("`{text}` is no wasm toolchain: expected auto, rustup or debian"))),
        }
    }
}

/// A cargo that can build for wasm32.
#[derive(Debug, Clone)]
pub(crate) struct WasmToolchain {
    /// Where its cargo and rustc are, if they are not the ones in PATH.
    bin: Option<PathBuf>,
}

impl WasmToolchain {
    /// Gets one, by the way that `choice` allows.
    ///
    /// # Errors
    ///
    /// If no allowed way leads to one.
    pub(crate) fn get(choice: WasmChoice, step: &Step) -> Result<Self> {
        if choice == WasmChoice::Debian {
            return Ok(Self { bin: Some(debian::toolchain(step)?) });
        }
        if has_target() {
            return Ok(Self { bin: None });
        }
        let failure = match rustup_target_add(step) {
            Ok(()) if has_target() => return Ok(Self { bin: None }),
            Ok(()) => Failure::new("rustup has added the target to a toolchain that is not the one in PATH"),
            Err(failure) if failure.is_interrupted() => return Err(failure),
            Err(failure) => failure,
        };
        if choice == WasmChoice::Rustup {
            return Err(failure.mend(format!("rustup target add {TARGET}")));
        }
        step.note(&format!("{}; trying Debian's compiler", failure.cause()));
        debian::toolchain(step).map(|bin| Self { bin: Some(bin) }).map_err(|debian| debian_failure(&failure, debian))
    }

    /// Makes a cargo command use this toolchain, with `folders` before everything else in its PATH.
    pub(crate) fn apply(&self, command: &mut Command, folders: &[&Path]) {
        let mut all = folders.to_vec();
        if let Some(bin) = &self.bin {
            all.push(bin);
            // Not rustup's proxies: these are whole programs.
            command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC").env_remove("RUSTDOC");
        }
        command.env("PATH", path_with(&all));
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        match &self.bin {
            Some(bin) => format!("Debian's compiler ({})", bin.display()),
            None => "the compiler in PATH".to_owned(),
        }
    }
}

fn debian_failure(rustup: &Failure, debian: Failure) -> Failure {
    if debian.is_interrupted() {
        return debian;
    }
    Failure::new(format!("there is no compiler for {TARGET}: {}; and {debian}", rustup.cause()))
        .mend(format!("`rustup target add {TARGET}` once the network is back"))
}

fn has_target() -> bool {
    let output = Command::new("rustc").args(["--print", "sysroot"]).stderr(Stdio::null()).output();
    output.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        fs::read_dir(library).is_ok_and(|mut files| files.next().is_some())
    })
}

fn rustup_target_add(step: &Step) -> Result<()> {
    if find_program("rustup").is_none() {
        return Err(Failure::new("rustup is not installed"));
    }
    step.note(&format!("rustup target add {TARGET}"));
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).stdout(Stdio::piped()).stderr(Stdio::piped());
    // rustup tries again five times, which is a minute with nothing said.
    command.env("RUSTUP_MAX_RETRIES", "1");
    let mut process = Process::spawn(&mut command, None)?;
    let heard = Arc::new(AtomicU64::new(0));
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let readers = [
        stdout.map(|pipe| count_lines(pipe, Arc::clone(&heard))),
        stderr.map(|pipe| count_lines(pipe, Arc::clone(&heard))),
    ];
    let (mut before, mut since) = ((0, 0), Instant::now());
    let status = loop {
        if let Some(status) = process.ended() {
            break status;
        }
        // While it downloads it may say nothing, but the file grows.
        let now = (heard.load(Ordering::Relaxed), downloaded());
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if interrupted() {
            return Err(Failure::interrupted());
        }
        if since.elapsed() > SILENCE {
            process.stop();
            return Err(Failure::new(format!("rustup did not answer within {} s", SILENCE.as_secs())));
        }
        thread::sleep(Duration::from_millis(100));
    };
    drop(readers);
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`rustup target add {TARGET}` failed ({status})"))) }
}

fn count_lines(pipe: impl Read + Send + 'static, heard: Arc<AtomicU64>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(std::result::Result::ok) {
            heard.fetch_add(1, Ordering::Relaxed);
            if !line.trim().is_empty() {
                eprintln!("      {line}");
            }
        }
    })
}

/// How many bytes rustup has in its folder of downloads.
fn downloaded() -> u64 {
    let home = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup")));
    let files = home.and_then(|home| fs::read_dir(home.join("downloads")).ok());
    files.into_iter().flatten().flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}
