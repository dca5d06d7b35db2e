//! `cargo xtask dev`: everything that is needed to see the newsroom and to work on it.

use crate::{
    directus::{Directus, Installation, LOGINS, Mode, SCHEMA_TOKEN},
    failure::{Failure, Result},
    http::{check_port, free_port},
    process::{Output, Process, interrupted, pause, wait_for},
    reload::Reloader,
    report::{Step, Steps, Ticker, seconds},
    site::{Profile, Site, server_environment, start_server},
    toolchain::{WasmChoice, WasmToolchain, wasm_bindgen},
    variables::Variables,
    watch::{Changes, Watcher},
    workspace::{Workspace, find_program},
};
use std::{
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

/// How often the disk and the children are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// cargo-leptos' and leptos' own.
const RELOAD_PORT: u16 = 3001;
/// So long cargo-leptos may serve nothing before we say a word about it.
const QUIET: Duration = Duration::from_secs(180);

/// What the command line says.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) release: bool,
    pub(crate) port: u16,
    pub(crate) directus_port: u16,
    pub(crate) directus_version: String,
    pub(crate) mode: Mode,
    pub(crate) wasm: WasmChoice,
    pub(crate) without_cargo_leptos: bool,
}

/// Runs until somebody wants us to stop.
///
/// # Errors
///
/// If something is missing and cannot be had, or the first build fails.
pub(crate) fn dev(workspace: &Workspace, options: &Options) -> Result<()> {
    let started = Instant::now();
    let variables = Variables::read(workspace);
    let foreign = variables.get("DIRECTUS_URL");
    check_port(options.port, "the demo", "choose another one by --port, or stop it")?;
    match &foreign {
        Some(url) => check_url(url)?,
        None => {
            check_port(options.directus_port, "Directus", "choose another one by --directus-port, or stop it")?;
            // Before anything is compiled for minutes.
            Installation::check_needs(&options.directus_version)?;
        }
    }
    let reload_port = if check_port(RELOAD_PORT, "", "").is_ok() { RELOAD_PORT } else { free_port()? };
    let cargo_leptos = !options.release && !options.without_cargo_leptos && find_program("cargo-leptos").is_some();

    let mut steps = Steps::new(2 + if foreign.is_none() { 2 } else { 0 } + if cargo_leptos { 1 } else { 3 });
    let toolchain = steps.run("compiler for wasm32", |step| WasmToolchain::get(options.wasm, step))?;
    eprintln!("      {}", toolchain.describe());
    let profile = if options.release { Profile::Release } else { Profile::Debug };
    let root = workspace.target.join(if options.release { "site-release" } else { "site" });
    let site = steps.run("wasm-bindgen", |step| Site::new(workspace, profile, root, toolchain.clone(), step))?;
    let directus = match &foreign {
        Some(_) => None,
        None => {
            let installation = steps.run(&format!("Directus {}", options.directus_version), |step| {
                Installation::get(&options.directus_version, step)
            })?;
            Some(steps.run("start Directus", |_| {
                let mut ticker = Ticker::new("Directus starts");
                Directus::kept(workspace, &installation, options.directus_port, options.mode, &mut ticker)
            })?)
        }
    };
    let url = foreign.clone().or_else(|| directus.as_ref().map(Directus::url)).unwrap_or_default();
    let mut newsroom = Newsroom { workspace, options, variables, directus, url, reload_port, started };
    if cargo_leptos { newsroom.by_cargo_leptos(&mut steps, &toolchain) } else { newsroom.by_hand(&mut steps, &site) }
}

/// What runs.
#[derive(Debug)]
struct Newsroom<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    variables: Variables,
    /// `None`: the user's own, which we do not touch.
    directus: Option<Directus>,
    url: String,
    reload_port: u16,
    started: Instant,
}

impl Newsroom<'_> {
    /// `cargo leptos watch` builds, serves, watches and reloads.
    fn by_cargo_leptos(&mut self, steps: &mut Steps, toolchain: &WasmToolchain) -> Result<()> {
        let bindgen = wasm_bindgen(self.workspace, &Step::new("wasm-bindgen"))?;
        let mut command = self.workspace.cargo();
        command
            .args(["leptos", "watch"])
            // Its flags for debug builds differ from plain cargo's: in one folder each would undo the other's work.
            .env("CARGO_TARGET_DIR", self.workspace.target.join("leptos"))
            .envs(self.variables.rows())
            // Where it is waited for.
            .env("LEPTOS_SITE_ADDR", format!("127.0.0.1:{}", self.options.port))
            .env("LEPTOS_RELOAD_PORT", self.reload_port.to_string())
            .envs(self.server_settings())
            .env_remove("DIRECTUS_ADMIN_TOKEN");
        toolchain.apply(&mut command, &[&bindgen]);
        let mut watch = steps.run("cargo leptos watch", |step| {
            step.note("cargo-leptos is installed: it builds and serves (--without-cargo-leptos does it by hand)");
            let mut watch = Process::start(&mut command, Output::Shown)?;
            let address = ([127, 0, 0, 1], self.options.port).into();
            // It stays and waits for a change where a build fails or the server ends: so do we, and say so.
            loop {
                let listens = wait_for(QUIET, || {
                    if let Some(status) = watch.ended() {
                        return Err(Failure::new(format!("`cargo leptos watch` ended ({status})")).mend(
                            "its own lines above say why; --without-cargo-leptos does the same steps without it",
                        ));
                    }
                    Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(drop))
                })?;
                if listens.is_some() {
                    return Ok(watch);
                }
                step.note(&format!(
                    "nothing is served on port {} yet: the lines above say what cargo-leptos is at, or what went wrong; \
                     it tries again when a file changes",
                    self.options.port
                ));
            }
        })?;
        self.welcome();
        loop {
            self.look_after_directus()?;
            if let Some(status) = watch.ended() {
                return Err(Failure::new(format!("`cargo leptos watch` ended ({status})")));
            }
            pause(LOOK)?;
        }
    }

    /// The same steps, one by one.
    fn by_hand(&mut self, steps: &mut Steps, site: &Site) -> Result<()> {
        // What is written while the first build runs is built again.
        let mut watcher = Watcher::new(&self.workspace.root);
        if self.options.release {
            eprintln!("      the optimised build is made by hand, be cargo-leptos installed or not");
        } else if !self.options.without_cargo_leptos {
            eprintln!(
                "      cargo-leptos is not installed: building by hand. Its quickest way here: `cargo binstall cargo-leptos`, \
                 or `cargo install cargo-leptos` (20 minutes)"
            );
        }
        let reloader = Reloader::listen(self.reload_port)?;
        steps.run("build the page (wasm)", |step| {
            site.copy_assets()?;
            site.build_wasm(step)
        })?;
        let binary = steps.run("build the server", |step| site.build_server(step))?;
        let profile = if self.options.release { Profile::Release } else { Profile::Debug };
        let serve = |newsroom: &Self| {
            let port = newsroom.options.port;
            let mut command = Command::new(&binary);
            command
                .current_dir(&newsroom.workspace.root)
                .envs(newsroom.variables.rows())
                .envs(server_environment(site.root(), port, profile, Some(newsroom.reload_port)))
                .envs(newsroom.server_settings())
                // No page needs it, so no server gets it.
                .env_remove("DIRECTUS_ADMIN_TOKEN");
            start_server(&mut command, port, Output::Shown, &mut Ticker::new("the server starts"))
        };
        let mut server = Some(steps.run("start the server", |_| serve(self))?);
        self.welcome();
        loop {
            self.look_after_directus()?;
            if let Some(status) = server.as_mut().and_then(Process::ended) {
                eprintln!("the server has ended ({status}): it is started again after the next change");
                server = None;
            }
            if let Some(changes) = watcher.look() {
                let begun = Instant::now();
                match rebuild(site, changes) {
                    Ok(()) => {
                        if changes.server || server.is_none() {
                            // The port is free only once the old one has ended.
                            drop(server.take());
                            match serve(self) {
                                Ok(new) => server = Some(new),
                                Err(failure) if failure.is_interrupted() => return Err(failure),
                                Err(failure) => eprintln!("error: {failure}"),
                            }
                        }
                        if changes.wasm || changes.server || changes.assets {
                            reloader.all();
                        } else {
                            reloader.style();
                        }
                        eprintln!("up to date, {}", seconds(begun.elapsed()));
                    }
                    Err(failure) if interrupted() => return Err(failure),
                    Err(failure) => eprintln!("error: {failure}\n  the page before this change is still served"),
                }
            }
            pause(LOOK)?;
        }
    }

    /// Where Directus is, and, if it is ours, with what its relations may be read for visitors.
    fn server_settings(&self) -> Vec<(&'static str, String)> {
        let ours = self.directus.is_some().then(|| SCHEMA_TOKEN.to_owned());
        let token = self.variables.get("DIRECTUS_SCHEMA_TOKEN").or(ours);
        let mut settings = vec![("DIRECTUS_URL", self.url.clone())];
        settings.extend(token.map(|token| ("DIRECTUS_SCHEMA_TOKEN", token)));
        settings
    }

    /// Starts it again if it has ended.
    fn look_after_directus(&mut self) -> Result<()> {
        let Some(directus) = &mut self.directus else { return Ok(()) };
        let Some(failure) = directus.ended() else { return Ok(()) };
        eprintln!("error: {failure}\n  it is started again");
        directus.stop(nix::sys::signal::Signal::SIGTERM);
        directus.start(&mut Ticker::new("Directus starts"))
    }

    fn welcome(&self) {
        let Self { options, url, .. } = self;
        println!("\n  ready after {}\n", seconds(self.started.elapsed()));
        println!("  the newsroom   http://127.0.0.1:{}", options.port);
        match &self.directus {
            Some(directus) => {
                println!("  Directus       {url}   (its admin app: {url}/admin; log: {})", directus.log().display());
                println!("\n  log in as");
                for (role, email, password) in LOGINS {
                    println!("    {role:<8} {email:<20} {password}");
                }
            }
            None => println!("  Directus       {url}   (DIRECTUS_URL: your own; nothing in it is touched)"),
        }
        println!("\n  Ctrl-C ends everything.\n");
    }
}

/// Whether the user's own Directus is named by something that can be one; whether it is up is for the page to say.
fn check_url(url: &str) -> Result<()> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        return Ok(());
    }
    // Not repeated: there may be a password in it.
    Err(Failure::new("DIRECTUS_URL is no URL of a Directus")
        .mend("expected http:// or https://, a host and perhaps a port and a path; unset, a Directus is started here"))
}

fn rebuild(site: &Site, changes: Changes) -> Result<()> {
    let step = Step::new("rebuild");
    if changes.style || changes.assets {
        site.copy_assets()?;
    }
    if changes.wasm {
        site.build_wasm(&step)?;
    }
    if changes.server {
        site.build_server(&step)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_directus_is_taken_for_one() {
        for good in ["http://127.0.0.1:8055", "https://cms.example/cms"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in ["", "127.0.0.1:8055", "ftp://x", "http://", "https:///x"] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        let failure = check_url("ada:secret@cms.example").expect_err("it has no scheme").to_string();
        assert!(!failure.contains("secret"), "{failure}");
    }
}
