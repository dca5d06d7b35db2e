//! A PostgreSQL of our own: in a folder that goes with it, on loopback, ended with us.

use crate::{
    failure::{Context, Failure, Result},
    http::free_port,
    process::{Output, Process, wait_for},
    report::Step,
    workspace::{apt_install, find_program},
};
use nix::{
    sys::signal::Signal,
    unistd::{Group, User, chown, geteuid},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Nobody but this machine can reach it, and its rows are demo rows.
const NAME: &str = "directus";
/// Whom root lets it run as: it refuses to run as root.
const USER: &str = "postgres";

/// One that answers.
#[derive(Debug)]
pub(crate) struct Postgres {
    process: Process,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Where its programs are, installed if they are not there.
    ///
    /// # Errors
    ///
    /// If it can't be installed here.
    pub(crate) fn get(step: &Step) -> Result<()> {
        if programs().is_none() {
            apt_install(step, "PostgreSQL", &["postgresql"])?;
        }
        Ok(())
    }

    /// A fresh one with its data in `folder`, and an empty database.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let programs = programs().ok_or_else(|| Failure::new("PostgreSQL is not installed"))?;
        fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
        give_away(folder)?;
        let data = folder.join("data");
        let log = folder.join("initdb.log");
        let mut initdb = as_its_user(&programs.join("initdb"));
        initdb.arg("-D").arg(&data).args(["--no-sync", "--encoding=UTF8", "--auth=trust"]).args(["-U", NAME]);
        let status = Process::start(&mut initdb, Output::Logged(&log))?.wait(Duration::from_secs(120), || {})?;
        if !status.success() {
            return Err(Failure::new(format!("PostgreSQL could not set up its folder ({status})")).log(&log));
        }
        let port = free_port()?;
        let log = folder.join("postgres.log");
        let mut server = as_its_user(&programs.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        // It is gone when we are: nothing has to outlive a power cut.
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"] {
            server.args(["-c", setting]);
        }
        let process = Process::start(&mut server, Output::Logged(&log))?;
        let mut postgres = Self { process, programs, port };
        let is_there = wait_for(Duration::from_secs(60), || {
            if let Some(status) = postgres.process.ended() {
                return Err(Failure::new(format!("PostgreSQL ended while it was starting ({status})")).log(&log));
            }
            Ok(postgres.sql("postgres", &format!("CREATE DATABASE {NAME}")).ok())
        })?;
        match is_there {
            Some(()) => Ok(postgres),
            None => Err(Failure::new("PostgreSQL did not answer within a minute").log(&log)),
        }
    }

    /// What Directus needs to find it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 6] {
        let text = |value: &str| value.to_owned();
        [
            ("DB_CLIENT", text("pg")),
            ("DB_HOST", text("127.0.0.1")),
            ("DB_PORT", self.port.to_string()),
            ("DB_DATABASE", text(NAME)),
            ("DB_USER", text(NAME)),
            // Asked for, and not looked at.
            ("DB_PASSWORD", text(NAME)),
        ]
    }

    /// Runs SQL on Directus's database.
    ///
    /// # Errors
    ///
    /// If it is refused.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        self.sql(NAME, sql)
    }

    fn sql(&self, database: &str, sql: &str) -> Result<()> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", NAME, "-d", database]);
        psql.args(["-p", &self.port.to_string()]);
        super::fed(psql, sql, "psql", "run SQL").map(drop)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // “Fast”: it does not wait for who is still connected.
        self.process.stop_with(Signal::SIGINT);
    }
}

/// The newest that Debian has installed, or whichever is in PATH.
fn programs() -> Option<PathBuf> {
    let version = |folder: &PathBuf| {
        let name = folder.parent()?.file_name()?.to_str()?;
        name.parse::<f64>().ok()
    };
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = installed.map(|entry| entry.path().join("bin")).filter(|folder| folder.join("initdb").is_file());
    let newest =
        installed.max_by(|one, other| version(one).partial_cmp(&version(other)).unwrap_or(std::cmp::Ordering::Equal));
    newest.or_else(|| Some(find_program("initdb")?.parent()?.to_owned()))
}

/// A folder that its user may write to.
fn give_away(folder: &Path) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let unknown = || Failure::new(format!("there is no user `{USER}`, and PostgreSQL does not run as root"));
    let user = User::from_name(USER).ok().flatten().ok_or_else(unknown)?;
    let group = Group::from_gid(user.gid).ok().flatten().ok_or_else(unknown)?;
    chown(folder, Some(user.uid), Some(group.gid)).context(|| format!("cannot give away {}", folder.display()))
}

fn as_its_user(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command
}
