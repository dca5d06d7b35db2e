//! What the builds need beside cargo: a wasm32 target, wasm-bindgen, wasm-opt, a browser.

mod browser;
mod debian;
mod wasm;

pub(crate) use browser::Browser;
pub(crate) use wasm::{WasmChoice, WasmToolchain};

use crate::{
    directus::npm,
    failure::{Context, Failure, Result},
    report::Step,
    workspace::{Workspace, cache, find_program, install_once, lock},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// npm's package of wasm-opt; Debian's own is too old for what rustc emits today.
const BINARYEN: &str = "132.0.0";

/// The folder with `wasm-bindgen` and `wasm-bindgen-test-runner` of exactly the version in Cargo.lock.
///
/// # Errors
///
/// If they cannot be compiled.
pub(crate) fn wasm_bindgen(workspace: &Workspace, step: &Step) -> Result<PathBuf> {
    let version = workspace.locked_version("wasm-bindgen")?;
    if let Some(folder) = wasm_bindgen_in_path(&version) {
        return Ok(folder);
    }
    let name = format!("wasm-bindgen-{version}");
    let folder = install_once(&name, |folder| {
        let log = cache()?.join(format!("{name}.install.log"));
        step.note(&format!("compiling {name} once for all clones (3 to 5 minutes); log: {}", log.display()));
        let build = folder.join("build");
        let mut install = Command::new("cargo");
        install
            .current_dir(folder)
            .args(["install", "wasm-bindgen-cli", "--version", &version, "--no-default-features", "--root"])
            .arg(folder)
            .env("CARGO_TARGET_DIR", &build)
            // Half the time of the release profile's own optimisation, and still quick on a debug build's wasm.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        step.logged(&mut install, &log, Duration::from_secs(40 * 60)).map_err(|failure| {
            failure.mend("can the registry of crates be reached? Then call the same command again")
        })?;
        fs::remove_dir_all(&build).context(|| format!("cannot remove {}", build.display()))
    })?;
    Ok(folder.join("bin"))
}

fn wasm_bindgen_in_path(version: &str) -> Option<PathBuf> {
    let program = find_program("wasm-bindgen")?;
    find_program("wasm-bindgen-test-runner")?;
    let output = Command::new(&program).arg("--version").output().ok()?;
    let found = String::from_utf8_lossy(&output.stdout);
    (found.split_whitespace().nth(1) == Some(version)).then(|| program.parent().map(Path::to_owned))?
}

/// The folder with `wasm-opt`; `None`, with a note, where npm does not give it: the wasm is bigger then, nothing else.
///
/// # Errors
///
/// Only if somebody wants us to stop.
pub(crate) fn wasm_opt(step: &Step) -> Result<Option<PathBuf>> {
    let installed = install_once(&format!("binaryen-{BINARYEN}"), |folder| {
        let log = cache()?.join(format!("binaryen-{BINARYEN}.install.log"));
        let manifest = folder.join("package.json");
        fs::write(&manifest, "{\"private\":true}\n").context(|| format!("cannot write {}", manifest.display()))?;
        step.logged(npm(folder).args(["install", &format!("binaryen@{BINARYEN}")]), &log, Duration::from_secs(600))
    });
    match installed {
        Ok(folder) => Ok(Some(folder.join("node_modules/.bin"))),
        Err(failure) if failure.is_interrupted() => Err(failure),
        Err(failure) => {
            step.note(&format!("without wasm-opt: {}", failure.cause()));
            Ok(None)
        }
    }
}

/// The folder with Playwright: `npm ci` in `end2end`, unless what is installed is what the lock file names.
///
/// # Errors
///
/// If npm cannot install it.
pub(crate) fn playwright(workspace: &Workspace, step: &Step, log: &Path) -> Result<PathBuf> {
    let folder = workspace.root.join("end2end");
    let _lock = lock(&workspace.root.join("target/npm-ci.lock"), "the installation of Playwright")?;
    let wanted =
        fs::read(folder.join("package-lock.json")).context(|| "cannot read end2end/package-lock.json".to_owned())?;
    let wanted = sha1_smol::Sha1::from(wanted).digest().to_string();
    let stamp = folder.join("node_modules/.installed-by-xtask");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    let mut npm = npm(&folder);
    npm.arg("ci").env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    step.logged(&mut npm, log, Duration::from_secs(15 * 60)).map_err(|failure| {
        failure.mend("Playwright cannot be installed: is the npm registry reachable (`npm ping`)?")
    })?;
    fs::write(&stamp, wanted).context(|| format!("cannot write {}", stamp.display()))?;
    Ok(folder)
}

/// The version of a program as it says itself, or why it cannot be asked.
pub(crate) fn version_of(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output().context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{program} --version` failed ({})", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
