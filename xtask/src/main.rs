//! `cargo xtask`: gets what is missing, starts Directus, builds, serves, tests.

mod bench;
mod cli;
mod dev;
mod directus;
mod failure;
mod http;
mod mutants;
mod process;
mod relay;
mod reload;
mod report;
mod site;
mod soak;
mod test;
mod toolchain;
mod variables;
mod watch;
mod workspace;

use cli::Command;
use directus::{Directus, Installation, LOGINS};
use failure::Result;
use process::pause;
use report::{Steps, Ticker};
use site::{Profile, Site};
use std::{io::Write, process::ExitCode, time::Duration};
use toolchain::WasmToolchain;
use workspace::Workspace;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(argument) if argument == process::GUARD_ARGUMENT => {
            process::guard(std::io::stdin().lock());
            return ExitCode::SUCCESS;
        }
        Some(argument) if argument == test::RUNNER_ARGUMENT => return test::run_in_folder(std::env::args_os().skip(2)),
        _ => {}
    }
    match run() {
        Ok(code) => code,
        // Ctrl-C is how `dev` ends; for a test run it is no success.
        Err(failure) if failure.is_interrupted() => ExitCode::from(130),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let command = cli::parse(std::env::args_os().skip(1))?;
    if let Command::Help(text) = command {
        // Whoever reads only the first lines (`| head`) has what they wanted.
        let _ = writeln!(std::io::stdout(), "{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::find()?;
    process::catch_interrupts()?;
    match command {
        Command::Help(_) => Ok(ExitCode::SUCCESS),
        Command::Dev(options) => dev::dev(&workspace, &options).map(|()| ExitCode::SUCCESS),
        Command::Directus(options) => only_directus(&workspace, &options).map(|()| ExitCode::SUCCESS),
        Command::Build { release, wasm } => {
            let profile = if release { Profile::Release } else { Profile::Debug };
            let root = workspace.target.join(if release { "site-release" } else { "site" });
            let mut steps = Steps::new(4);
            let toolchain = steps.run("compiler for wasm32", |step| WasmToolchain::get(wasm, step))?;
            let site =
                steps.run("wasm-bindgen", |step| Site::new(&workspace, profile, root.clone(), toolchain, step))?;
            steps.run("build the page (wasm)", |step| {
                site.copy_assets()?;
                site.build_wasm(step)
            })?;
            let binary = steps.run("build the server", |step| site.build_server(step))?;
            println!("{}\n{}", binary.display(), site.root().display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(options) => bench::bench(&workspace, &options),
        Command::Soak(options) => soak::soak(&workspace, &options),
        Command::Mutants(options) => mutants::mutants(&workspace, &options),
        Command::Test(options) => test::test(&workspace, &options),
    }
}

/// `cargo xtask directus`: only that, in the foreground.
fn only_directus(workspace: &Workspace, options: &cli::DirectusOptions) -> Result<()> {
    http::check_port(options.port, "Directus", "choose another one by --port, or stop it")?;
    let mut steps = Steps::new(2);
    let installation =
        steps.run(&format!("Directus {}", options.version), |step| Installation::get(&options.version, step))?;
    let mut directus = steps.run("start Directus", |_| {
        Directus::kept(workspace, &installation, options.port, options.mode, &mut Ticker::new("Directus starts"))
    })?;
    println!("\n  Directus   {0}   (its admin app: {0}/admin; log: {1})", directus.url(), directus.log().display());
    println!("  WEBSOCKETS_REST_AUTH={}", options.mode);
    println!("  for our server: DIRECTUS_SCHEMA_TOKEN={}", directus::SCHEMA_TOKEN);
    for (role, email, password) in LOGINS {
        println!("    {role:<8} {email:<20} {password}");
    }
    println!("\n  Ctrl-C ends it.\n");
    loop {
        if let Some(failure) = directus.ended() {
            return Err(failure);
        }
        pause(Duration::from_millis(250))?;
    }
}
