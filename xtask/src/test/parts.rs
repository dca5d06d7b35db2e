//! The parts. A new one is a row in `PARTS` and a function.

use super::{
    Counts, Options, Part, RUNNER_ARGUMENT, Run,
    control::{Control, Server},
    counts::failed_specs,
    show,
};
use crate::{
    directus::{DbClient, Directus, Installation, Mode, OLDER, SCHEMA_TOKEN, has_rules, npm},
    failure::{Context, Failure, Result},
    http::free_port,
    report::{Step, Ticker},
    site::{Built, Profile, release, server_environment},
    soak::{Course, Stage},
    toolchain::{playwright, wasm_bindgen},
    workspace::{Scratch, copy_folder, without_settings},
};
use std::{
    fs,
    num::NonZero,
    path::Path,
    process::Command,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The benchmark that says, too, whether a changed row costs more in a longer list: it counts, and measures no time.
const ALLOCATIONS: &str = "live_allocations";
const WASM: [&str; 2] = ["--target", "wasm32-unknown-unknown"];

pub(super) const PARTS: &[Part] = &[
    Part {
        name: "fmt",
        about: "rustfmt has nothing to say",
        long: false,
        installs: None,
        is_of_release: false,
        run: fmt,
    },
    Part {
        name: "lint",
        about: "clippy without warnings, for this machine and for wasm32",
        long: false,
        installs: None,
        is_of_release: false,
        run: lint,
    },
    Part {
        name: "doc",
        about: "rustdoc without warnings",
        long: false,
        installs: None,
        is_of_release: false,
        run: doc,
    },
    Part {
        name: "unit",
        about: "tests of all crates that need nothing else, and doc tests",
        long: false,
        installs: None,
        is_of_release: false,
        run: unit,
    },
    Part {
        name: "directus",
        about: "tests/real_*.rs: library and server against the real Directus in all three modes",
        long: false,
        installs: Some(install_directus),
        is_of_release: false,
        run: directus,
    },
    Part {
        name: "wasm",
        about: "the browser transport in headless Chromium, with the real Directus",
        long: false,
        installs: Some(install_directus),
        is_of_release: false,
        run: wasm,
    },
    Part {
        name: "take-along",
        about: "leptos-directus/ copied beside a fresh app outside the workspace builds for both targets",
        long: false,
        installs: None,
        is_of_release: false,
        run: take_along,
    },
    Part {
        name: "e2e",
        about: "the specs' types, and Playwright: the release build in a real browser, with the real Directus",
        long: false,
        installs: Some(install_directus),
        is_of_release: true,
        run: e2e,
    },
    Part {
        name: "soak",
        about: "writers, faults, mirrors and two pages for 2.5 minutes: at each pause all show what REST gives",
        long: false,
        installs: Some(install_directus),
        is_of_release: true,
        run: soak,
    },
    Part {
        name: "directus-11",
        about: "tests/real_*.rs against Directus 11.17.4, whose permissions may have filters and lists of fields",
        long: true,
        installs: Some(install_older),
        is_of_release: false,
        run: directus_11,
    },
    Part {
        name: "postgres",
        about: "tests/real_*.rs with PostgreSQL, where reads have connections of their own",
        long: true,
        installs: Some(install_directus),
        is_of_release: false,
        run: postgres,
    },
    Part {
        name: "soak-long",
        about: "the soak for ten minutes",
        long: true,
        installs: Some(install_directus),
        is_of_release: true,
        run: soak_long,
    },
    Part {
        name: "soak-pressure",
        about: "the soak for three minutes with Directus's pressure limiter, whose Retry-After every read must keep",
        long: true,
        installs: Some(install_directus),
        is_of_release: true,
        run: soak_pressure,
    },
    Part {
        name: "soak-postgres",
        about: "the soak for five minutes with PostgreSQL, where Directus announces batches before they are there",
        long: true,
        installs: Some(install_directus),
        is_of_release: true,
        run: soak_postgres,
    },
    Part {
        name: "soak-11",
        about: "the soak for twenty minutes with Directus 11.17.4, whose permissions change meanwhile",
        long: true,
        installs: Some(install_older),
        is_of_release: true,
        run: soak_11,
    },
    Part {
        name: "model-long",
        about: "millions of steps of the engine against a simulated Directus, by another seed each time",
        long: true,
        installs: None,
        is_of_release: false,
        run: model_long,
    },
    Part {
        name: "mutants",
        about: "deliberate faults of the library, each of which the tests must find",
        long: true,
        installs: None,
        is_of_release: false,
        run: mutants,
    },
];

fn install_directus(options: &Options, step: &Step) -> Result<()> {
    Installation::get(&options.directus_version, step).map(drop)
}

fn install_older(_: &Options, step: &Step) -> Result<()> {
    Installation::get(OLDER, step).map(drop)
}

fn soak(run: &mut Run<'_>) -> Result<Counts> {
    soak_for(run, None, DbClient::Sqlite3, 150, false)
}

fn soak_long(run: &mut Run<'_>) -> Result<Counts> {
    soak_for(run, None, DbClient::Sqlite3, 600, false)
}

fn soak_pressure(run: &mut Run<'_>) -> Result<Counts> {
    soak_for(run, None, DbClient::Sqlite3, 180, true)
}

fn soak_postgres(run: &mut Run<'_>) -> Result<Counts> {
    soak_for(run, None, DbClient::Pg, 300, false)
}

fn soak_11(run: &mut Run<'_>) -> Result<Counts> {
    soak_for(run, Some(OLDER), DbClient::Sqlite3, 1_200, false)
}

/// So many seconds with this version, or the one that was asked for.
fn soak_for(
    run: &mut Run<'_>,
    version: Option<&str>,
    db_client: DbClient,
    seconds: u64,
    pressure_limiter: bool,
) -> Result<Counts> {
    let (toolchain, chrome, step) = (run.wasm()?, run.browser()?, run.step());
    let version = version.unwrap_or(&run.options.directus_version);
    let installation = Installation::get(version, &step)?.on(db_client, &step)?;
    let stage = Stage::build(run.workspace, installation, toolchain, &chrome, &run.logs, &step)?;
    let seed = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos());
    let is_right = stage.run(&Course { time: Duration::from_secs(seconds), seed, pressure_limiter })?;
    Ok(if is_right { Counts::one_passed() } else { Counts::one_failed() })
}

/// Some ten million steps: four minutes on a machine that has nothing else to do.
fn model_long(run: &mut Run<'_>) -> Result<Counts> {
    let seed = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos());
    let is_right = crate::mutants::run_model(run.workspace, 100_000, seed)?;
    Ok(if is_right { Counts::one_passed() } else { Counts::one_failed() })
}

fn mutants(run: &mut Run<'_>) -> Result<Counts> {
    let (passed, failed) = crate::mutants::judge_all(run.workspace, &[])?;
    Ok(Counts { passed: passed as u64, failed: failed as u64, skipped: 0 })
}

fn cargo(run: &Run<'_>, arguments: &[&str]) -> Command {
    let mut cargo = run.workspace.cargo();
    cargo.args(arguments);
    without_settings(&mut cargo);
    cargo
}

fn fmt(run: &mut Run<'_>) -> Result<Counts> {
    let commands = vec![cargo(run, &["fmt", "--all", "--check"])];
    run.checks(commands, 5)
}

fn lint(run: &mut Run<'_>) -> Result<Counts> {
    let wasm = run.wasm()?;
    let deny = ["--", "-D", "warnings"];
    let clippy = |arguments: &[&str]| cargo(run, &[&["clippy"], arguments, &deny].concat());
    let mut commands = vec![
        clippy(&["-p", "leptos-directus", "--features", "ssr", "--all-targets"]),
        clippy(&["-p", "leptos-directus", "--features", "native"]),
        clippy(&["-p", "leptos-directus"]),
        clippy(&["-p", "leptos-directus", "--all-features"]),
        clippy(&["-p", "app", "--features", "ssr", "--all-targets"]),
        clippy(&["-p", "server", "--all-targets"]),
        clippy(&["-p", "xtask", "--profile", "xtask", "--all-targets"]),
    ];
    for package in [&["-p", "leptos-directus", "--features", "hydrate", "--all-targets"][..], &["-p", "frontend"]] {
        let mut command = clippy(&[&WASM, package].concat());
        wasm.apply(&mut command, &[]);
        commands.push(command);
    }
    run.checks(commands, 30)
}

fn doc(run: &mut Run<'_>) -> Result<Counts> {
    let wasm = run.wasm()?;
    let packages = [
        &["-p", "leptos-directus", "--features", "ssr"][..],
        &["-p", "leptos-directus"],
        &["-p", "app", "--features", "ssr"],
        &["-p", "server"],
        &["-p", "xtask", "--profile", "xtask"],
    ];
    let doc = |arguments: &[&str]| {
        let mut command = cargo(run, &[&["doc", "--no-deps"], arguments].concat());
        command.env("RUSTDOCFLAGS", "-D warnings");
        command
    };
    let mut commands: Vec<Command> = packages.iter().map(|package| doc(package)).collect();
    let mut browser = doc(&[&WASM, &["-p", "leptos-directus", "--features", "hydrate"][..]].concat());
    wasm.apply(&mut browser, &[]);
    commands.push(browser);
    run.checks(commands, 30)
}

/// The test files of a package whose name is as wanted, as `--test NAME`.
fn test_files(run: &Run<'_>, package: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = run.workspace.root.join(package).join("tests");
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| wanted(name))
        .collect();
    names.sort();
    names.into_iter().flat_map(|name| ["--test".to_owned(), name]).collect()
}

fn is_real(name: &str) -> bool {
    name.starts_with("real_")
}

/// Tests of permissions with filters and lists of fields.
const RULES: &str = "real_rules";

/// What reads that have a connection of their own show.
const POSTGRES: &str = "real_postgres";

fn is_browser(name: &str) -> bool {
    name.starts_with("browser")
}

fn with_rest(run: &Run<'_>, command: &mut Command) {
    if !run.options.rest.is_empty() {
        command.arg("--").args(&run.options.rest);
    }
}

/// Tests of other files are not to go unrun because of one that fails.
const ALL_FILES: &str = "--no-fail-fast";

fn unit(run: &mut Run<'_>) -> Result<Counts> {
    let library = ["test", "-p", "leptos-directus", "--features", "ssr"];
    let mut commands = Vec::new();
    for (package, arguments) in [
        ("leptos-directus", &[&library[..], &["--lib", "--examples", "--bench", ALLOCATIONS]].concat()[..]),
        ("server", &["test", "-p", "server", "--bins"]),
    ] {
        let mut command = cargo(run, arguments);
        command.args(test_files(run, package, |name| !is_real(name) && !is_browser(name))).arg(ALL_FILES);
        commands.push(command);
    }
    commands.push(cargo(run, &[&library[..], &["--doc"]].concat()));
    commands.push(cargo(run, &["test", "-p", "app", "--features", "ssr", ALL_FILES]));
    commands.push(cargo(run, &["test", "-p", "xtask", "--profile", "xtask"]));
    for command in &mut commands {
        with_rest(run, command);
    }
    run.cargo_tests(commands, 45)
}

fn directus(run: &mut Run<'_>) -> Result<Counts> {
    let version = run.options.directus_version.clone();
    against(run, &version, DbClient::Sqlite3)
}

fn directus_11(run: &mut Run<'_>) -> Result<Counts> {
    against(run, OLDER, DbClient::Sqlite3)
}

fn postgres(run: &mut Run<'_>) -> Result<Counts> {
    let version = run.options.directus_version.clone();
    against(run, &version, DbClient::Pg)
}

/// Library and server against the real Directus of a version.
fn against(run: &mut Run<'_>, version: &str, db_client: DbClient) -> Result<Counts> {
    // `real_mirror.rs` runs the example, which cargo does not build for whoever names the tests one by one.
    let mut builds = vec![cargo(run, &["build", "-p", "leptos-directus", "--features", "ssr", "--example", "mirror"])];
    let mut commands = Vec::new();
    for (package, arguments) in [
        ("leptos-directus", &["test", "-p", "leptos-directus", "--features", "ssr"][..]),
        ("server", &["test", "-p", "server"]),
    ] {
        let is_for_it = |name: &str| match name {
            RULES => has_rules(version),
            POSTGRES => db_client == DbClient::Pg,
            name => is_real(name),
        };
        let files = test_files(run, package, is_for_it);
        if files.is_empty() {
            continue;
        }
        let mut command = cargo(run, arguments);
        command.args(&files).arg(ALL_FILES);
        commands.push(command);
        // In the same environment: build scripts look at it, and would be run again with all that depends on them.
        let mut build = cargo(run, arguments);
        build.args(&files).arg("--no-run");
        builds.push(build);
    }
    // Compiled before Directus runs: three of them would only wait.
    for mut build in builds {
        if !run.command(&mut build, 45)?.0 {
            return Ok(Counts::one_failed());
        }
    }
    let installation = Installation::get(version, &run.step())?.on(db_client, &run.step())?;
    let mut running = Vec::new();
    for (mode, suffix) in [(Mode::Public, ""), (Mode::Handshake, "_HANDSHAKE"), (Mode::Strict, "_STRICT")] {
        let scratch = Scratch::new(&format!("directus-{mode}"))?;
        let mut ticker = Ticker::new(&format!("      Directus {version} starts ({mode})"));
        let directus = Directus::fresh(run.workspace, &installation, scratch.path(), mode, None, &mut ticker)?;
        let (url, log, token) = (directus.url(), directus.log(), directus.admin_token().to_owned());
        // Tests may kill it.
        let control = Control::listen(directus)?;
        for command in &mut commands {
            command.env(format!("DIRECTUS_TEST_URL{suffix}"), &url);
            command.env(format!("DIRECTUS_TEST_CONTROL_URL{suffix}"), control.url());
            command.env("DIRECTUS_TEST_ADMIN_TOKEN", &token);
            command.env("DIRECTUS_TEST_DB_CLIENT", format!("{db_client:?}").to_lowercase());
        }
        // Directus goes before its folder.
        running.push((control, scratch, mode, log));
    }
    for command in &mut commands {
        // They wait for the most part. On PostgreSQL four at a time were not tried since the tests know `change_schema`.
        if db_client == DbClient::Sqlite3 && std::env::var_os("RUST_TEST_THREADS").is_none() {
            let threads = thread::available_parallelism().map_or(1, NonZero::get).max(4);
            command.env("RUST_TEST_THREADS", threads.to_string());
        }
        with_rest(run, command);
    }
    let counts = run.cargo_tests(commands, 30);
    for (_, _, mode, log) in &running {
        keep_log(run, *mode, log, &counts);
    }
    counts
}

/// The log of a Directus goes with its folder: what a failure may need is kept.
fn keep_log(run: &Run<'_>, name: impl std::fmt::Display, log: &Path, counts: &Result<Counts>) {
    let kept = run.logs.join(format!("directus-{name}.log"));
    // Without a log nothing can be kept.
    if fs::copy(log, &kept).is_ok() && !counts.as_ref().is_ok_and(|counts| counts.failed == 0) {
        show(&kept, 15);
    }
}

fn wasm(run: &mut Run<'_>) -> Result<Counts> {
    let toolchain = run.wasm()?;
    let bindgen = wasm_bindgen(run.workspace, &run.step())?;
    let browser = run.browser()?;
    let driver = browser.driver(&run.step())?;
    // The runner reads `webdriver.json` where it is run, and what is in it depends on the machine.
    let scratch = Scratch::new("webdriver")?;
    let settings = scratch.path().join("webdriver.json");
    fs::write(&settings, browser.webdriver_json().to_string())
        .context(|| format!("cannot write {}", settings.display()))?;
    let runner = std::env::current_exe().context(|| "cannot find xtask itself".to_owned())?;
    let runner = serde_json::json!([runner, RUNNER_ARGUMENT, scratch.path(), bindgen.join("wasm-bindgen-test-runner")]);
    // The tests' page speaks to Directus itself; Directus lets pages in by their origin, so that must be known.
    let page = format!("127.0.0.1:{}", free_port()?);
    let folder = scratch.path().join("directus");
    let mut ticker = Ticker::new("      Directus starts");
    let directus = Directus::fresh(
        run.workspace,
        &run.installation()?,
        &folder,
        Mode::Public,
        Some(&format!("http://{page}")),
        &mut ticker,
    )?;
    let mut command = cargo(run, &["test", "-p", "leptos-directus", "--features", "hydrate"]);
    // Compiled in: a page has no environment.
    command.env("DIRECTUS_TEST_URL", directus.url()).env("DIRECTUS_TEST_ADMIN_TOKEN", directus.admin_token());
    command.env("WASM_BINDGEN_TEST_ADDRESS", &page);
    command.args(WASM).args(test_files(run, "leptos-directus", is_browser));
    // A JSON array of strings is a TOML array as well.
    command.arg("--config").arg(format!("target.wasm32-unknown-unknown.runner = {runner}"));
    command.env("CHROMEDRIVER", driver).env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    toolchain.apply(&mut command, &[&bindgen]);
    with_rest(run, &mut command);
    let counts = run.cargo_tests(vec![command], 30);
    keep_log(run, "of-the-browser", &directus.log(), &counts);
    // Directus goes before its folder.
    drop(directus);
    counts
}

/// A fresh app as its author would begin it, with the folder copied in.
const APP_MANIFEST: &str = r#"[package]
name = "fresh-app"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib", "rlib"]

[features]
hydrate = ["leptos/hydrate", "leptos-directus/hydrate", "dep:wasm-bindgen"]
ssr = ["leptos/ssr", "leptos-directus/ssr", "dep:axum"]

[dependencies]
axum = { version = "0.8", optional = true }
leptos = "0.8"
leptos-directus = { path = "leptos-directus" }
serde = { version = "1", features = ["derive"] }
wasm-bindgen = { version = "0.2", optional = true }

[workspace]

# As in our own workspace.
[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
debug = false
"#;

const APP_SOURCE: &str = r#"use leptos::prelude::*;
use leptos_directus::{DirectusOptions, Query, provide_directus, use_directus, use_realtime_collection};

#[derive(Clone, PartialEq, serde::Deserialize)]
pub struct Article {
    title: String,
}

#[component]
pub fn App() -> impl IntoView {
    provide_directus(DirectusOptions::default());
    view! { <Articles /> }
}

#[component]
fn Articles() -> impl IntoView {
    let articles = use_realtime_collection::<Article>("articles", Query::new().sort("title"));
    view! {
        <Suspense>
            <For each=move || articles.keys().get() key=|key| key.clone() let:key>
                {
                    let article = articles.item(key);
                    view! { <p>{move || article.get().map(|article| article.title)}</p> }
                }
            </For>
        </Suspense>
    }
}

#[server]
pub async fn count() -> Result<usize, ServerFnError> {
    let articles = use_directus().items::<Article>("articles");
    Ok(articles.read(Query::new()).await.map_err(ServerFnError::new)?.len())
}

#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_body(App);
}

#[cfg(feature = "ssr")]
pub fn router(server: &leptos_directus::server::DirectusServer) -> axum::Router {
    axum::Router::new().merge(leptos_directus::server::directus_routes(server))
}
"#;

fn take_along(run: &mut Run<'_>) -> Result<Counts> {
    let toolchain = run.wasm()?;
    let scratch = Scratch::new("take-along")?;
    let app = scratch.path();
    copy_folder(&run.workspace.root.join("leptos-directus"), &app.join("leptos-directus"), &["target"])?;
    let write = |path: &str, text: &str| {
        let path = app.join(path);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(app.join("src")).context(|| format!("cannot make {}", app.display()))?;
    write("Cargo.toml", APP_MANIFEST)?;
    write("src/lib.rs", APP_SOURCE)?;
    // The versions of the workspace: what is shown is the folder, not what was published meanwhile.
    fs::copy(run.workspace.root.join("Cargo.lock"), app.join("Cargo.lock"))
        .context(|| "cannot copy Cargo.lock".to_owned())?;
    let build = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.current_dir(app).arg("build").args(arguments);
        // What is compiled already of the same version, features and profile is not compiled again.
        command.env("CARGO_TARGET_DIR", &run.workspace.target);
        command
    };
    let native = build(&["--features", "ssr"]);
    let mut browser = build(&[&["--features", "hydrate"], &WASM[..]].concat());
    toolchain.apply(&mut browser, &[]);
    let mut counts = run.checks(vec![native], 30)?;
    counts += run.checks(vec![browser], 30)?;
    Ok(counts)
}

fn e2e(run: &mut Run<'_>) -> Result<Counts> {
    let browser = run.browser()?;
    let installation = run.installation()?;
    let folder = playwright(run.workspace, &run.step(), &run.logs.join("npm-ci.log"))?;
    let mut check = npm(&folder);
    check.args(["run", "check"]);
    let types = run.checks(vec![check], 5)?;
    let scratch = Scratch::new("e2e")?;
    let toolchain = run.wasm()?;
    let Built { site, server: binary } = release(run.workspace, toolchain, scratch.path(), &run.step())?;

    let mut ticker = Ticker::new("      Directus starts");
    let directus = Directus::fresh(
        run.workspace,
        &installation,
        &scratch.path().join("directus"),
        Mode::Public,
        None,
        &mut ticker,
    )?;
    let (directus_url, token, directus_log) = (directus.url(), directus.admin_token().to_owned(), directus.log());
    let control = Control::listen(directus)?;
    let port = free_port()?;
    let server_log = run.logs.join("e2e-server.log");
    let mut command = Command::new(&binary);
    without_settings(&mut command);
    command
        .current_dir(scratch.path())
        .envs(server_environment(&site, port, Profile::Release, None))
        .env("DIRECTUS_URL", &directus_url)
        .env("DIRECTUS_SCHEMA_TOKEN", SCHEMA_TOKEN);
    control.take(Server::start(command, port, server_log.clone(), &mut ticker)?);

    let artefacts = run.logs.join("e2e");
    let mut playwright = Command::new("npx");
    playwright
        .current_dir(&folder)
        .args(["--no-install", "playwright", "test"])
        .args(&run.options.rest)
        .env("BASE_URL", format!("http://127.0.0.1:{port}"))
        .env("DIRECTUS_URL", &directus_url)
        .env("ADMIN_TOKEN", token)
        .env("DIRECTUS_CONTROL_URL", control.url())
        .env("CHROME", &browser.chrome)
        .env("ARTEFACTS", &artefacts);
    let (succeeded, _) = run.command(&mut playwright, 40)?;
    let (counts, failed) = read_report(&artefacts.join("results.json"))?;
    run.failed(failed);
    let mut counts = counts.and_exit(succeeded);
    // The log of Directus goes with its folder.
    let kept = run.logs.join("e2e-directus.log");
    let is_kept = fs::copy(&directus_log, &kept).is_ok();
    if counts.failed > 0 {
        show(&server_log, 15);
        if is_kept {
            show(&kept, 15);
        } else {
            control.last_lines().iter().for_each(|line| eprintln!("        {line}"));
        }
    }
    // The server goes with it, before its site.
    drop(control);
    counts += types;
    Ok(counts)
}

/// How many specs passed, and which failed.
fn read_report(path: &Path) -> Result<(Counts, Vec<String>)> {
    let report = fs::read(path).context(|| format!("Playwright left no report at {}", path.display()))?;
    let report = serde_json::from_slice(&report).context(|| format!("{} is not JSON", path.display()))?;
    let counts = Counts::of_playwright(&report);
    let counts = counts.ok_or_else(|| Failure::new(format!("{} has no counts", path.display())))?;
    Ok((counts, failed_specs(&report)))
}
