//! What `cargo leptos build` does, by hand: the wasm, its JavaScript, styles and assets, and the server.

use crate::{
    failure::{Context, Failure, Result},
    process::{Output, Process, wait_for},
    report::{Step, Ticker},
    toolchain::{WasmToolchain, wasm_bindgen, wasm_opt},
    workspace::{Workspace, copy_folder, lock, remove_folder},
};
use nix::fcntl::Flock;
use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

/// As in `[[workspace.metadata.leptos]]`.
const OUTPUT_NAME: &str = "demo";
/// A release build on a slow, busy machine.
const LIMIT: Duration = Duration::from_secs(60 * 60);
/// What wasm-opt must be allowed: all that rustc emits for wasm32 by default.
const WASM_FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-simd",
];

/// The two ways to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

impl Profile {
    fn wasm(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Debug => (&[], "debug"),
            Self::Release => (&["--profile", "wasm-release"], "wasm-release"),
        }
    }

    fn server(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Debug => (&[], "debug"),
            Self::Release => (&["--release"], "release"),
        }
    }
}

/// One folder that the server serves from, and what is needed to fill it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    workspace: Workspace,
    profile: Profile,
    root: PathBuf,
    toolchain: WasmToolchain,
    bindgen: PathBuf,
    optimiser: Option<PathBuf>,
}

impl Site {
    /// Gets the tools; builds nothing yet.
    ///
    /// # Errors
    ///
    /// If wasm-bindgen cannot be had.
    pub(crate) fn new(
        workspace: &Workspace,
        profile: Profile,
        root: PathBuf,
        toolchain: WasmToolchain,
        step: &Step,
    ) -> Result<Self> {
        let bindgen = wasm_bindgen(workspace, step)?;
        let optimiser = if profile == Profile::Release { wasm_opt(step)? } else { None };
        Ok(Self { workspace: workspace.clone(), profile, root, toolchain, bindgen, optimiser })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The wasm and its JavaScript.
    ///
    /// # Errors
    ///
    /// If a step fails; what was served before is still there then.
    pub(crate) fn build_wasm(&self, step: &Step) -> Result<()> {
        let (arguments, folder) = self.profile.wasm();
        let mut cargo = self.workspace.cargo();
        cargo.args(["build", "--package", "frontend", "--lib", "--target", "wasm32-unknown-unknown"]).args(arguments);
        self.toolchain.apply(&mut cargo, &[]);
        step.shown(&mut cargo, LIMIT).map_err(compiler_mend)?;

        let built = self.workspace.target.join("wasm32-unknown-unknown").join(folder).join("frontend.wasm");
        let package = self.root.join("pkg");
        let wasm = package.join(format!("{OUTPUT_NAME}.wasm"));
        if is_newer(&wasm, &built) {
            return Ok(());
        }
        // Beside, and renamed when whole: a page that is loaded meanwhile gets the old ones.
        let next = self.root.join("pkg.next");
        remove_folder(&next)?;
        fs::create_dir_all(&package).context(|| format!("cannot make {}", package.display()))?;
        let mut bindgen = Command::new(self.bindgen.join("wasm-bindgen"));
        bindgen.args(["--target", "web", "--no-typescript", "--out-name", OUTPUT_NAME, "--out-dir"]).arg(&next);
        bindgen.arg(&built);
        step.shown(&mut bindgen, Duration::from_secs(600))?;
        let raw = next.join(format!("{OUTPUT_NAME}_bg.wasm"));
        if let Some(folder) = &self.optimiser {
            let mut optimiser = Command::new(folder.join("wasm-opt"));
            optimiser.args(["-Oz", "--strip-debug", "--strip-producers"]).args(WASM_FEATURES);
            optimiser.arg(&raw).arg("-o").arg(&raw);
            step.shown(&mut optimiser, Duration::from_secs(1200))?;
        }
        // The page asks for either name: which one was decided when the leptos crate was compiled, by whether
        // LEPTOS_OUTPUT_NAME was set then, and cargo does not compile it again when that changes.
        let other = next.join(format!("{OUTPUT_NAME}.wasm"));
        fs::hard_link(&raw, &other)
            .or_else(|_| fs::copy(&raw, &other).map(drop))
            .context(|| format!("cannot write {}", other.display()))?;
        for entry in fs::read_dir(&next).context(|| format!("cannot read {}", next.display()))?.flatten() {
            let to = package.join(entry.file_name());
            if entry.path().is_dir() {
                remove_folder(&to)?;
            }
            rename(&entry.path(), &to)?;
        }
        remove_folder(&next)
    }

    /// Styles and assets, which are copied as they are.
    ///
    /// # Errors
    ///
    /// If a file cannot be copied.
    pub(crate) fn copy_assets(&self) -> Result<()> {
        let package = self.root.join("pkg");
        fs::create_dir_all(&package).context(|| format!("cannot make {}", package.display()))?;
        let style = self.workspace.root.join("style/main.css");
        fs::copy(&style, package.join(format!("{OUTPUT_NAME}.css")))
            .context(|| format!("cannot copy {}", style.display()))?;
        let public = self.workspace.root.join("public");
        if public.is_dir() { copy_folder(&public, &self.root, &[]) } else { Ok(()) }
    }

    /// The server's binary.
    ///
    /// # Errors
    ///
    /// If it does not compile.
    pub(crate) fn build_server(&self, step: &Step) -> Result<PathBuf> {
        let (arguments, folder) = self.profile.server();
        let mut cargo = self.workspace.cargo();
        let build = cargo.args(["build", "--package", "server", "--bin", "server"]).args(arguments);
        step.shown(build, LIMIT).map_err(compiler_mend)?;
        Ok(self.workspace.target.join(folder).join("server"))
    }
}

/// The release build, in a folder of its own.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) site: PathBuf,
    pub(crate) server: PathBuf,
}

/// Builds page and server, and copies both to `folder`: another run may build while this one serves.
///
/// # Errors
///
/// If a step fails.
pub(crate) fn release(workspace: &Workspace, toolchain: WasmToolchain, folder: &Path, step: &Step) -> Result<Built> {
    let (site, server, _lock) = build_release(workspace, toolchain, step)?;
    let built = Built { site: folder.join("site"), server: folder.join("server") };
    copy_folder(site.root(), &built.site, &[])?;
    fs::copy(&server, &built.server).context(|| format!("cannot copy {}", server.display()))?;
    Ok(built)
}

/// Builds page and server, and keeps others from building them as long as the lock is held.
///
/// # Errors
///
/// If a step fails.
pub(crate) fn build_release(
    workspace: &Workspace,
    toolchain: WasmToolchain,
    step: &Step,
) -> Result<(Site, PathBuf, Flock<File>)> {
    let root = workspace.target.join("site-release");
    let lock = lock(&root.with_extension("lock"), "the release build")?;
    let site = Site::new(workspace, Profile::Release, root, toolchain, step)?;
    site.copy_assets()?;
    site.build_wasm(step)?;
    let server = site.build_server(step)?;
    Ok((site, server, lock))
}

fn compiler_mend(failure: Failure) -> Failure {
    if failure.is_interrupted() {
        return failure;
    }
    failure
        .mend("the compiler's own lines above say why; where a crate could not be fetched, call the same command again")
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn is_newer(output: &Path, input: &Path) -> bool {
    let time = |path: &Path| -> Option<SystemTime> { fs::metadata(path).and_then(|data| data.modified()).ok() };
    matches!((time(output), time(input)), (Some(output), Some(input)) if output >= input)
}

/// The `LEPTOS_…` that the server reads, as cargo-leptos sets them.
pub(crate) fn server_environment(
    root: &Path,
    port: u16,
    profile: Profile,
    reload: Option<u16>,
) -> Vec<(String, String)> {
    let mut variables = vec![
        ("LEPTOS_OUTPUT_NAME", OUTPUT_NAME.to_owned()),
        ("LEPTOS_SITE_ROOT", root.to_string_lossy().into_owned()),
        ("LEPTOS_SITE_PKG_DIR", "pkg".to_owned()),
        ("LEPTOS_SITE_ADDR", format!("127.0.0.1:{port}")),
        ("LEPTOS_ENV", if profile == Profile::Release { "PROD" } else { "DEV" }.to_owned()),
    ];
    if let Some(port) = reload {
        // With it the page connects to the reload server.
        variables.push(("LEPTOS_WATCH", "ON".to_owned()));
        variables.push(("LEPTOS_RELOAD_PORT", port.to_string()));
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Starts the server, and waits until it listens.
///
/// # Errors
///
/// If it ends or does not listen in time.
pub(crate) fn start_server(
    command: &mut Command,
    port: u16,
    output: Output<'_>,
    ticker: &mut Ticker,
) -> Result<Process> {
    let mut process = Process::start(command, output)?;
    let address = ([127, 0, 0, 1], port).into();
    let limit = Duration::from_secs(30);
    let listens = wait_for(limit, || {
        ticker.tick();
        if let Some(status) = process.ended() {
            return Err(process.with_log(Failure::new(format!("the server ended while it was starting ({status})"))));
        }
        Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(drop))
    });
    ticker.clear();
    match listens? {
        Some(()) => Ok(process),
        None => {
            let failure =
                Failure::new(format!("the server did not listen on port {port} within {} s", limit.as_secs()));
            Err(process.with_log(failure))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_connects_to_the_reload_server_only_where_there_is_one() {
        let names = |reload| -> Vec<String> {
            let variables = server_environment(Path::new("/site"), 3000, Profile::Release, reload);
            variables.into_iter().map(|(name, _)| name).collect()
        };
        assert!(!names(None).contains(&"LEPTOS_WATCH".to_owned()));
        assert!(names(Some(3001)).contains(&"LEPTOS_WATCH".to_owned()));
    }
}
