//! The command line.

use crate::{
    bench, dev,
    directus::{DbClient, Mode, NEWEST},
    failure::{Failure, Result},
    mutants, soak, test,
    toolchain::WasmChoice,
};
use lexopt::{
    Arg::{Long, Short, Value},
    Parser, ValueExt,
};
use std::ffi::OsString;

const HELP: &str = "\
cargo xtask: gets what is missing, starts Directus, builds, serves, tests

  cargo xtask dev        the newsroom on http://127.0.0.1:3000 with a Directus of its own
  cargo xtask directus   only that Directus
  cargo xtask test       everything that we promise, tested for real
  cargo xtask soak       writers, faults, mirrors and pages: at each pause all of them must show what REST gives
  cargo xtask mutants    deliberate faults of the library, each of which the tests must find
  cargo xtask bench      what is compared side by side
  cargo xtask build      the page and the server, for a look at the result

`cargo xtask COMMAND --help` says more. Tools and Directus go once into a per-user cache ($XDG_CACHE_HOME,
~/.cache or ~/Library/Caches, folder leptos-directus); the demo's data is in .directus/ of this clone.";

const DEV_HELP: &str = "\
cargo xtask dev [OPTIONS]: the newsroom, rebuilt and reloaded on change

  --release                 the optimised build, always by hand
  --port P                  where to serve (3000)
  --directus-port P         where Directus listens (8055)
  --directus-version V      12.4.1 (default) or 11.17.4
  --mode M                  WEBSOCKETS_REST_AUTH: public (default), handshake or strict
  --wasm-toolchain T        auto (default), rustup, or debian (Debian's compiler and a library built for wasm32)
  --without-cargo-leptos    build by hand even where cargo-leptos is installed

With DIRECTUS_URL=https://… (environment or .env) the page is served against that Directus: nothing is installed
for it, and nothing in it is touched. Other settings: .env.sample. Ctrl-C ends everything. To begin anew with fresh
rows: rm -r .directus";

const DIRECTUS_HELP: &str = "\
cargo xtask directus [OPTIONS]: only Directus, with the newsroom's collections, users and rows in .directus/

  --port P                  where it listens (8055)
  --directus-version V      12.4.1 (default) or 11.17.4
  --mode M                  WEBSOCKETS_REST_AUTH: public (default), handshake or strict";

const TEST_HELP: &str = "\
cargo xtask test [PART…] [OPTIONS] [-- ARGUMENTS]: all parts, or those that are named

  --list                    the parts, and what each does
  --all                     the long parts too
  --wasm-toolchain T        auto (default), rustup or debian
  --directus-version V      12.4.1 (default) or 11.17.4
  -- ARGUMENTS              for Playwright or the test binaries: `cargo xtask test e2e -- --grep board`

The last line is `N passed, N failed`; logs of what failed are in target/test-logs.";

const MUTANTS_HELP: &str = "\
cargo xtask mutants [NAME…] [OPTIONS]: puts one fault after the other into a copy of the library; the model and the
unit tests must find each. All faults, or those whose name contains NAME.

  --list                    the faults, where they are, and why somebody could make them

The last line is `N passed, N failed`: passed are those that were found. The copy is in target/mutants.";

const BENCH_HELP: &str = "\
cargo xtask bench [NAME…] [OPTIONS]: what is compared side by side, in one run. All benches, or those that are named.

  --list                    the benches, and what each compares

Let the machine do nothing else meanwhile. All that criterion measured is in target/criterion.";

const SOAK_HELP: &str = "\
cargo xtask soak [OPTIONS]: the real Directus, our server, mirrors and pages in a real browser, all behind relays whose
links go bad; at each pause everybody must show what REST gives, in content and order

  --minutes N               how long (10)
  --seed S                  the same writes and faults again; how they fall in time is the machine's
  --directus-version V      12.4.1; with 11.17.4 what the public may read changes meanwhile, too
  --db-client D             sqlite3 (default) or pg: PostgreSQL, of which Debian's is installed where it is missing
  --pressure-limiter        Directus answers 503 while it is busy, and no read may come before its Retry-After
  --wasm-toolchain T        auto (default), rustup or debian

The last line is JSON. A divergence ends it with seed, query, both lists and the last frames. Logs: target/soak-logs.";

const BUILD_HELP: &str = "\
cargo xtask build [OPTIONS]: builds page and server, prints the paths of the binary and of the site

  --release                 the optimised build
  --wasm-toolchain T        auto (default), rustup or debian";

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Command {
    Help(&'static str),
    Dev(dev::Options),
    Directus(DirectusOptions),
    Build { release: bool, wasm: WasmChoice },
    Test(test::Options),
    Mutants(mutants::Options),
    Bench(bench::Options),
    Soak(soak::Options),
}

/// Options of `cargo xtask directus`.
#[derive(Debug)]
pub(crate) struct DirectusOptions {
    pub(crate) port: u16,
    pub(crate) version: String,
    pub(crate) mode: Mode,
}

/// Every option that any command has.
#[derive(Debug)]
struct Given {
    command: Option<String>,
    values: Vec<String>,
    rest: Vec<OsString>,
    help: bool,
    release: bool,
    all: bool,
    list: bool,
    minutes: f64,
    seed: Option<u64>,
    pressure_limiter: bool,
    without_cargo_leptos: bool,
    port: Option<u16>,
    directus_port: u16,
    directus_version: String,
    db_client: DbClient,
    mode: Mode,
    wasm: WasmChoice,
    options: Vec<String>,
}

/// Reads the command line.
///
/// # Errors
///
/// If it says something that no command knows.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command> {
    let given = read(arguments).map_err(|error| mend(&error.to_string()))?;
    let command = given.command.as_deref().unwrap_or("help");
    let (help, known): (_, &[&str]) = match command {
        "dev" => (
            DEV_HELP,
            &["release", "port", "directus-port", "directus-version", "mode", "wasm-toolchain", "without-cargo-leptos"],
        ),
        "directus" => (DIRECTUS_HELP, &["port", "directus-version", "mode"]),
        "test" => (TEST_HELP, &["all", "list", "wasm-toolchain", "directus-version"]),
        "mutants" => (MUTANTS_HELP, &["list"]),
        "bench" => (BENCH_HELP, &["list"]),
        "soak" => {
            (SOAK_HELP, &["minutes", "seed", "directus-version", "db-client", "pressure-limiter", "wasm-toolchain"])
        }
        "build" => (BUILD_HELP, &["release", "wasm-toolchain"]),
        "help" => return Ok(Command::Help(HELP)),
        other => return Err(mend(&format!("there is no command `{other}`"))),
    };
    if given.help {
        return Ok(Command::Help(help));
    }
    if let Some(option) = given.options.iter().find(|option| !known.contains(&option.as_str())) {
        return Err(mend(&format!("`{command}` has no option --{option}")));
    }
    if !["test", "mutants", "bench"].contains(&command)
        && let Some(value) = given.values.first()
    {
        return Err(mend(&format!("`{command}` does not know what to do with `{value}`")));
    }
    Ok(match command {
        "dev" => Command::Dev(dev::Options {
            release: given.release,
            port: given.port.unwrap_or(3000),
            directus_port: given.directus_port,
            directus_version: given.directus_version,
            mode: given.mode,
            wasm: given.wasm,
            without_cargo_leptos: given.without_cargo_leptos,
        }),
        "directus" => Command::Directus(DirectusOptions {
            port: given.port.unwrap_or(given.directus_port),
            version: given.directus_version,
            mode: given.mode,
        }),
        "mutants" => Command::Mutants(mutants::Options { list: given.list, names: given.values }),
        "bench" => Command::Bench(bench::Options { list: given.list, names: given.values }),
        "build" => Command::Build { release: given.release, wasm: given.wasm },
        "soak" => Command::Soak(soak::Options {
            minutes: given.minutes,
            seed: given.seed,
            directus_version: given.directus_version,
            db_client: given.db_client,
            wasm: given.wasm,
            pressure_limiter: given.pressure_limiter,
        }),
        _ => Command::Test(test::Options {
            parts: given.values,
            all: given.all,
            list: given.list,
            wasm: given.wasm,
            directus_version: given.directus_version,
            rest: given.rest,
        }),
    })
}

fn mend(cause: &str) -> Failure {
    Failure::new(cause).mend("`cargo xtask --help` and `cargo xtask COMMAND --help` say what there is")
}

fn read(arguments: impl Iterator<Item = OsString>) -> std::result::Result<Given, lexopt::Error> {
    let mut given = Given {
        command: None,
        values: Vec::new(),
        rest: Vec::new(),
        help: false,
        release: false,
        all: false,
        list: false,
        minutes: 10.0,
        seed: None,
        pressure_limiter: false,
        without_cargo_leptos: false,
        port: None,
        directus_port: 8055,
        directus_version: NEWEST.to_owned(),
        db_client: DbClient::Sqlite3,
        mode: Mode::Public,
        wasm: WasmChoice::Auto,
        options: Vec::new(),
    };
    let mut arguments: Vec<OsString> = arguments.collect();
    if let Some(position) = arguments.iter().position(|argument| argument == "--") {
        given.rest = arguments.split_off(position).split_off(1);
    }
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        if let Long(name) = argument
            && name != "help"
        {
            given.options.push(name.to_owned());
        }
        match argument {
            Short('h') | Long("help") => given.help = true,
            Long("release") => given.release = true,
            Long("all") => given.all = true,
            Long("list") => given.list = true,
            Long("minutes") => given.minutes = parser.value()?.parse_with(minutes)?,
            Long("seed") => given.seed = Some(parser.value()?.parse()?),
            Long("pressure-limiter") => given.pressure_limiter = true,
            Long("without-cargo-leptos") => given.without_cargo_leptos = true,
            Long("port") => given.port = Some(parser.value()?.parse()?),
            Long("directus-port") => given.directus_port = parser.value()?.parse()?,
            Long("directus-version") => given.directus_version = parser.value()?.string()?,
            Long("db-client") => given.db_client = parser.value()?.parse_with(str::parse::<DbClient>).map_err(plain)?,
            Long("mode") => given.mode = parser.value()?.parse_with(str::parse::<Mode>).map_err(plain)?,
            Long("wasm-toolchain") => {
                given.wasm = parser.value()?.parse_with(str::parse::<WasmChoice>).map_err(plain)?;
            }
            Value(value) if given.command.is_none() => given.command = Some(value.string()?),
            Value(value) => given.values.push(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(given)
}

fn minutes(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|minutes| (0.0..100_000.0).contains(minutes))
        .ok_or("expected a number of minutes".to_owned())
}

/// Our own sentence, without the value repeated before it.
fn plain(error: lexopt::Error) -> lexopt::Error {
    match error {
        lexopt::Error::ParsingFailed { error, .. } => lexopt::Error::Custom(error),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_reach_their_command() {
        let Ok(Command::Dev(options)) = parsed("dev --release --port 4000 --mode strict --wasm-toolchain=debian")
        else {
            panic!("it is a correct line")
        };
        assert!(options.release);
        assert_eq!((options.port, options.directus_port), (4000, 8055));
        assert_eq!((options.mode, options.wasm), (Mode::Strict, WasmChoice::Debian));
        let Ok(Command::Test(options)) = parsed("test unit e2e --all -- --grep board") else {
            panic!("it is a correct line")
        };
        assert_eq!(options.parts, ["unit", "e2e"]);
        assert_eq!(options.rest, ["--grep", "board"]);
        assert!(options.all && !options.list);
        let Ok(Command::Mutants(options)) = parsed("mutants late --list") else { panic!("it is a correct line") };
        assert!(options.list);
        assert_eq!(options.names, ["late"]);
        let Ok(Command::Soak(options)) = parsed("soak --minutes 2.5 --seed 7") else { panic!("it is a correct line") };
        assert!((options.minutes - 2.5).abs() < f64::EPSILON && options.seed == Some(7));
    }

    #[test]
    fn no_command_and_help_show_the_help() {
        for line in ["", "help", "--help", "dev --help", "test -h"] {
            assert!(matches!(parsed(line), Ok(Command::Help(_))), "{line}");
        }
    }

    #[test]
    fn what_no_command_knows_is_named() {
        for (line, named) in [
            ("devv", "devv"),
            ("dev --list", "--list"),
            ("dev x", "`x`"),
            ("dev --mode open", "expected public, handshake or strict"),
            ("directus --port many", "many"),
            ("soak --minutes -1", "expected a number of minutes"),
        ] {
            let text = parsed(line).expect_err(line).to_string();
            assert!(text.contains(named), "{line}: {text}");
        }
    }
}
