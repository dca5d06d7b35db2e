//! Where things are: the workspace, its target folder, the per-user cache.

use crate::{
    failure::{Context, Failure, Result},
    process, report,
};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The clone that we work in.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Cargo's target folder, which `CARGO_TARGET_DIR` may have put elsewhere.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace that this xtask belongs to.
    ///
    /// # Errors
    ///
    /// If it is not run by cargo and the current folder is not inside the workspace.
    pub(crate) fn find() -> Result<Self> {
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_dir().context(|| "no current folder".to_owned())?,
        };
        let root = start
            .ancestors()
            .find(|folder| folder.join("Cargo.lock").is_file() && folder.join("xtask/Cargo.toml").is_file())
            .ok_or_else(|| Failure::new("this is not the workspace").mend("call `cargo xtask` inside the clone"))?
            .to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            // Cargo reads a relative one from where it was called.
            Some(folder) => std::path::absolute(folder).context(|| "CARGO_TARGET_DIR".to_owned())?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// Cargo in the root of the workspace, as the user's own cargo: what cargo has set for xtask does not leak.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_BIN_NAME" {
                command.env_remove(&name);
            }
        }
        command
    }

    /// The version of `package` that Cargo.lock names.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn locked_version(&self, package: &str) -> Result<String> {
        let path = self.root.join("Cargo.lock");
        let text = fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
        locked_version(&text, package).ok_or_else(|| Failure::new(format!("Cargo.lock names no {package}")))
    }
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.next()?;
    let version = lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_owned())
}

/// The per-user cache, which all clones share.
///
/// # Errors
///
/// If there is no home folder.
pub(crate) fn cache() -> Result<PathBuf> {
    cache_in(|name| std::env::var_os(name).map(PathBuf::from), cfg!(target_os = "macos"))
        .ok_or_else(|| Failure::new("there is no folder for caches").mend("set HOME or XDG_CACHE_HOME"))
}

fn cache_in(variable: impl Fn(&str) -> Option<PathBuf>, is_macos: bool) -> Option<PathBuf> {
    // The XDG specification: a relative path is to be ignored.
    let xdg = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let home = variable("HOME").filter(|path| path.is_absolute());
    let caches = xdg.or_else(|| home.map(|home| home.join(if is_macos { "Library/Caches" } else { ".cache" })))?;
    Some(caches.join("leptos-directus"))
}

/// The folder `name` of the cache, made by `install` if it is not there.
///
/// `install` works in a temporary folder beside, which gets the name when all of it is there: an interrupted
/// installation is never taken for a complete one. A lock keeps two runs apart.
///
/// # Errors
///
/// What `install` reports, or what the file system does.
pub(crate) fn install_once(name: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    install_in(&cache()?, name, install)
}

fn install_in(cache: &Path, name: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = cache.join(name);
    if path.is_dir() {
        return Ok(path);
    }
    fs::create_dir_all(cache).context(|| format!("cannot make {}", cache.display()))?;
    let _lock = lock(&cache.join(format!("{name}.lock")), &format!("the installation of {name}"))?;
    if path.is_dir() {
        return Ok(path);
    }
    let begun = cache.join(format!("{name}.incomplete"));
    // Ours alone while we hold the lock: what is there was left by a run that did not end well.
    remove_folder(&begun)?;
    fs::create_dir_all(&begun).context(|| format!("cannot make {}", begun.display()))?;
    if let Err(failure) = install(&begun) {
        remove_folder(&begun)?;
        return Err(failure);
    }
    fs::rename(&begun, &path).context(|| format!("cannot rename {}", begun.display()))?;
    Ok(path)
}

/// Waits until nobody else holds the lock at `path`; held until dropped.
///
/// # Errors
///
/// If the file cannot be made, or somebody wants us to stop.
pub(crate) fn lock(path: &Path, what: &str) -> Result<Flock<File>> {
    let open = || File::create(path).context(|| format!("cannot make {}", path.display()));
    let mut file = open()?;
    let mut told = false;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            Err((_, error)) => return Err(Failure::new(format!("cannot lock {}: {error}", path.display()))),
        }
        if !told {
            eprintln!("      {what} is under way: waiting for it");
            told = true;
        }
        process::pause(Duration::from_millis(200))?;
    }
}

/// Removes a folder with all that is in it; fine if it is not there.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path, skip: &[&str]) -> Result<()> {
    fs::create_dir_all(to).context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.context(|| format!("cannot read {}", from.display()))?;
        let name = entry.file_name();
        if skip.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if source.is_dir() {
            copy_folder(&source, &target, skip)?;
        } else {
            fs::copy(&source, &target).context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// A temporary folder, removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(what: &str) -> Result<Self> {
        let nanos =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let path = std::env::temp_dir().join(format!("leptos-directus-{what}-{}-{nanos}", std::process::id()));
        fs::create_dir_all(&path).context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A temporary folder that cannot be removed is the system's to sweep.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Takes away what the user's shell may say to the demo: settings for `dev` must not decide a test.
pub(crate) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_ours = text.starts_with("DIRECTUS_") || text.starts_with("LEPTOS_");
        // Tests of the library read these themselves.
        if is_ours && !text.starts_with("LEPTOS_DIRECTUS_") {
            command.env_remove(&name);
        }
    }
}

/// The first program of that name in PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// PATH with `folders` before it.
pub(crate) fn path_with(folders: &[&Path]) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().map(|folder| folder.to_path_buf()).chain(std::env::split_paths(&path));
    // Only a folder with a colon in its name cannot be joined: then PATH stays as it is.
    std::env::join_paths(all).unwrap_or(path)
}

/// How we may install system packages: as root directly, in CI by a sudo that asks for nothing, else not at all.
fn apt_shell() -> Option<Command> {
    if nix::unistd::geteuid().is_root() {
        return Some(Command::new("sh"));
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value != "false");
    (in_ci && find_program("sudo").is_some()).then(|| {
        let mut command = Command::new("sudo");
        command.args(["-n", "sh"]);
        command
    })
}

/// Debian's packages: installed where we may, else the one command is the mend.
///
/// # Errors
///
/// If it is not Debian, not ours to do, or apt fails.
pub(crate) fn apt_install(step: &report::Step, what: &str, packages: &[&str]) -> Result<()> {
    let command = format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    if find_program("apt-get").is_none() {
        return Err(Failure::new(format!("{what} is not installed, and this is not Debian"))
            .mend(format!("install {what} by your system's package manager")));
    }
    let Some(mut apt) = apt_shell() else {
        return Err(Failure::new(format!("{what} is not installed")).mend(format!("sudo sh -c '{command}'")));
    };
    let cache = cache()?;
    fs::create_dir_all(&cache).context(|| format!("cannot make {}", cache.display()))?;
    let log = cache.join("apt.log");
    step.note(&command);
    apt.args(["-c", &command]).env("DEBIAN_FRONTEND", "noninteractive");
    step.logged(&mut apt, &log, Duration::from_secs(900))
        .map_err(|failure| failure.mend(format!("try it by hand: {command}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_package_itself() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.1.0\"\n\n[[package]]\n\
                    name = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"x\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }

    #[track_caller]
    fn check_cache(variables: &[(&str, &str)], is_macos: bool, expected: Option<&str>) {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        assert_eq!(cache_in(found, is_macos), expected.map(PathBuf::from));
    }

    #[test]
    fn the_cache_is_where_the_system_keeps_caches() {
        check_cache(&[("HOME", "/h")], false, Some("/h/.cache/leptos-directus"));
        check_cache(&[("HOME", "/h")], true, Some("/h/Library/Caches/leptos-directus"));
        check_cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], false, Some("/x/leptos-directus"));
        check_cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")], false, Some("/h/.cache/leptos-directus"));
        check_cache(&[], false, None);
    }

    #[test]
    fn an_interrupted_installation_is_not_taken_for_a_complete_one() {
        let scratch = Scratch::new("install").expect("a folder");
        let failed = install_in(scratch.path(), "tool", |folder| {
            fs::write(folder.join("half"), "").expect("a file");
            Err(Failure::new("the download failed"))
        });
        assert_eq!(failed, Err(Failure::new("the download failed")));
        let path = install_in(scratch.path(), "tool", |folder| {
            assert!(!folder.join("half").exists());
            fs::write(folder.join("whole"), "").context(|| "write".to_owned())
        });
        assert_eq!(path, Ok(scratch.path().join("tool")));
        let again = install_in(scratch.path(), "tool", |_| Err(Failure::new("not asked again")));
        assert_eq!(again, path);
        assert!(scratch.path().join("tool/whole").exists());
    }
}
