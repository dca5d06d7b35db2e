//! wasm32 where rustup's servers are out of reach: Debian ships one whole compiler with the source of its standard
//! library. That is built for wasm32 once; the toolchain is a folder of links and wrappers, and /usr stays untouched.

use super::{version_of, wasm::TARGET};
use crate::{
    failure::{Context, Failure, Result},
    report::Step,
    workspace::{apt_install, cache, install_once},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const PACKAGES: [&str; 6] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "rust-web-clippy", "lld-22"];

/// A package that has the shape of `std` for cargo, and nothing in it. Its profile is that of the shipped library.
const SEED: &str = r#"[package]
name = "sysroot-seed"
version = "0.0.0"
edition = "2024"
[profile.release]
codegen-units = 1
debug = false
debug-assertions = false
overflow-checks = false
[profile.release.package.compiler_builtins]
codegen-units = 10000
[profile.release.package.panic_abort]
[workspace]
"#;

/// The `bin` folder of the toolchain.
///
/// # Errors
///
/// If Debian's packages are missing and not ours to install, or the library cannot be built.
pub(super) fn toolchain(step: &Step) -> Result<PathBuf> {
    if missing_packages() {
        apt_install(step, "Debian's Rust compiler", &PACKAGES)?;
    }
    let version = version_of("/usr/bin/rustc")?;
    let version = version.split_whitespace().nth(1).unwrap_or("unknown").to_owned();
    let name = format!("debian-rust-{version}-wasm32");
    let place = cache()?.join(&name);
    let folder = install_once(&name, |folder| {
        step.note("building the standard library for wasm32 once (about 1.5 minutes)");
        build_library(folder, step)?;
        lay_out(folder, &place)
    })?;
    Ok(folder.join("bin"))
}

fn missing_packages() -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}\n"]).args(PACKAGES).output();
    !query.is_ok_and(|output| {
        output.status.success() && String::from_utf8_lossy(&output.stdout).lines().all(|status| status == "installed")
    })
}

fn build_library(folder: &Path, step: &Step) -> Result<()> {
    let work = folder.join("build");
    let sources = work.join("src");
    fs::create_dir_all(&sources).context(|| format!("cannot make {}", sources.display()))?;
    write(&work.join("Cargo.toml"), SEED)?;
    write(&sources.join("lib.rs"), "")?;
    let log = cache()?.join("debian-rust.install.log");
    let target = work.join("target");
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo
        .current_dir(&work)
        .args(["build", "--release", "--target", TARGET])
        .arg("-Zbuild-std=core,alloc,std,proc_macro,panic_abort,panic_unwind,test")
        .env("PATH", "/usr/bin:/bin")
        // A stable compiler may build its own library, no other code: this is how Debian itself does it.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_DEFAULT_LIB_METADATA", "stablestd")
        .env("RUSTFLAGS", "-Cembed-bitcode=yes -Zforce-unstable-if-unmarked")
        .env("CARGO_TARGET_DIR", &target);
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC", "RUSTC_WRAPPER", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    step.logged(&mut cargo, &log, Duration::from_secs(1200))?;

    let library = folder.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&library).context(|| format!("cannot make {}", library.display()))?;
    let built = target.join(TARGET).join("release/deps");
    for file in fs::read_dir(&built).context(|| format!("cannot read {}", built.display()))?.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.contains("sysroot_seed") {
            fs::copy(file.path(), library.join(&name)).context(|| format!("cannot copy {name}"))?;
        }
    }
    fs::remove_dir_all(&work).context(|| format!("cannot remove {}", work.display()))
}

/// Links and wrappers in `folder`, which will be at `place` when they are used.
fn lay_out(folder: &Path, place: &Path) -> Result<()> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).context(|| format!("cannot make {}", bin.display()))?;
    for shared in fs::read_dir("/usr/lib/rustlib").context(|| "cannot read /usr/lib/rustlib".to_owned())?.flatten() {
        let link = folder.join("lib/rustlib").join(shared.file_name());
        if !link.exists() {
            symlink(shared.path(), &link).context(|| format!("cannot link {}", link.display()))?;
        }
    }
    // Debian's rustc takes /usr for its sysroot; the wrappers name ours instead.
    let quoted = format!("'{}'", place.display().to_string().replace('\'', r"'\''"));
    for tool in ["rustc", "rustdoc"] {
        program(&bin.join(tool), &format!("#!/bin/sh\nexec /usr/bin/{tool} --sysroot {quoted} \"$@\"\n"))?;
    }
    // clippy-driver's first argument is the compiler's path: it takes its sysroot from the environment.
    program(&bin.join("clippy-driver"), &format!("#!/bin/sh\nSYSROOT={quoted} exec /usr/bin/clippy-driver \"$@\"\n"))?;
    symlink("/usr/bin/cargo", bin.join("cargo")).context(|| "cannot link cargo".to_owned())?;
    // cargo-clippy looks for clippy-driver beside its own file, links resolved.
    fs::copy("/usr/bin/cargo-clippy", bin.join("cargo-clippy")).context(|| "cannot copy cargo-clippy".to_owned())?;
    Ok(())
}

fn program(path: &Path, text: &str) -> Result<()> {
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .context(|| format!("cannot make {} executable", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}
