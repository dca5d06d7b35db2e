//! `cargo xtask soak`: the real Directus, our server, mirrors and pages; writers, faults, and at each pause the question
//! whether all of them show what REST gives.

mod observers;
mod random;
mod record;
mod rules;
mod shapes;
mod websocket;
mod writers;

use crate::{
    directus::{DbClient, Directus, Installation, Mode, SCHEMA_TOKEN, has_rules},
    failure::{Context, Failure, Result},
    http::free_port,
    process::{Output, Process, pause},
    relay::{Fault, Relay},
    report::{Step, Steps, Ticker, seconds},
    site::{Built, Profile, release, server_environment, start_server},
    toolchain::{Browser as Chrome, WasmChoice, WasmToolchain, playwright},
    workspace::{Scratch, Workspace, without_settings},
};
use nix::sys::signal::Signal;
use observers::{Absence, Browser, Observer, Place, Shown, is_deaf, link};
use random::Random;
use record::{Record, Traffic};
use rules::{Kind, Rules};
use serde_json::{Value, json};
use shapes::{Shape, mirrored, on_pages};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use writers::{Database, Manner, Writer, Written};

/// After the last write, or once its own socket is open again, an observer that is not right by then is wrong. The promise is 1 s
/// and 2 s on a machine that has nothing else to do; what it was in fact is in the last line. But a read whose answer is lost though
/// the socket lives is given up after 15 s only.
const BOUND: Duration = Duration::from_secs(20);
/// A browser may have kept six connections that died, and all of them cost a read: the first 15 s, the others 2.5 s.
const BOUND_OVER_DEAD_CONNECTIONS: Duration = Duration::from_secs(35);
/// A half-open link is noticed within 20 s, and the next try may be as far away as the longest delay.
const BOUND_WITHOUT_SOCKET: Duration = Duration::from_secs(75);
/// A run of so long has time for faults that last a minute.
const LONG: Duration = Duration::from_secs(10 * 60);
/// The faults of a long run in which the pages are left, and in which links are refused for a minute; later ones come by chance.
const PAGES_LEFT: u64 = 2;
const MINUTE_REFUSED: u64 = 4;
/// How often an observer that is not right yet is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// What was right must still be right then: no late answer may bring an older state back.
const AFTERWARDS: Duration = Duration::from_millis(700);

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) minutes: f64,
    pub(crate) seed: Option<u64>,
    pub(crate) directus_version: String,
    pub(crate) db_client: DbClient,
    pub(crate) wasm: WasmChoice,
    pub(crate) pressure_limiter: bool,
}

/// `cargo xtask soak`.
///
/// # Errors
///
/// If something cannot be built or started. A divergence is no error but an exit code.
pub(crate) fn soak(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let logs = workspace.root.join("target/soak-logs").join(format!("{}-{}", now.as_secs(), std::process::id()));
    fs::create_dir_all(&logs).context(|| format!("cannot make {}", logs.display()))?;
    eprintln!("logs: {}", logs.display());
    let mut steps = Steps::new(4);
    let installation = steps.run(&format!("Directus {}", options.directus_version), |step| {
        Installation::get(&options.directus_version, step)?.on(options.db_client, step)
    })?;
    let toolchain = steps.run("compiler for wasm32", |step| WasmToolchain::get(options.wasm, step))?;
    let chrome = steps.run("browser", Chrome::get)?;
    let stage = steps.run("build page, server and mirror", |step| {
        Stage::build(workspace, installation, toolchain, &chrome, &logs, step)
    })?;
    let seed = options.seed.unwrap_or_else(|| u64::from(now.subsec_nanos()));
    let course = Course {
        time: Duration::from_secs_f64(options.minutes * 60.0),
        seed,
        pressure_limiter: options.pressure_limiter,
    };
    Ok(if stage.run(&course)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a soak is run with.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    workspace: &'a Workspace,
    installation: Installation,
    chrome: PathBuf,
    end2end: PathBuf,
    mirror: PathBuf,
    built: Built,
    logs: PathBuf,
    // The builds are in it.
    scratch: Scratch,
}

/// How it is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    /// Directus answers 503 while it is busy.
    pub(crate) pressure_limiter: bool,
}

impl<'a> Stage<'a> {
    /// Builds what is not built yet.
    ///
    /// # Errors
    ///
    /// If it cannot be built.
    pub(crate) fn build(
        workspace: &'a Workspace,
        installation: Installation,
        toolchain: WasmToolchain,
        chrome: &Chrome,
        logs: &Path,
        step: &Step,
    ) -> Result<Self> {
        let scratch = Scratch::new("soak")?;
        let end2end = playwright(workspace, step, &logs.join("npm-ci.log"))?;
        // With the features of the tests: what they compiled is compiled.
        let mut cargo = workspace.cargo();
        without_settings(&mut cargo);
        cargo.args(["build", "-p", "leptos-directus", "--features", "ssr", "--example", "mirror"]);
        step.shown(&mut cargo, Duration::from_secs(45 * 60))?;
        let mirror = scratch.path().join("mirror");
        let built = workspace.target.join("debug/examples/mirror");
        fs::copy(&built, &mirror).context(|| format!("cannot copy {}", built.display()))?;
        let built = release(workspace, toolchain, scratch.path(), step)?;
        let (chrome, logs) = (chrome.chrome.clone(), logs.to_owned());
        Ok(Self { workspace, installation, chrome, end2end, mirror, built, logs, scratch })
    }

    /// Runs the whole course; prints one line of JSON at its end. Whether all was right.
    ///
    /// # Errors
    ///
    /// If something cannot be started, or we are interrupted.
    pub(crate) fn run(&self, course: &Course) -> Result<bool> {
        let Course { time, seed, .. } = *course;
        eprintln!("      seed {seed} (--seed), {}", seconds(time));
        let mut world = World::start(self, course)?;
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut divergence = None;
        // The first pause comes before the first write: what is wrong from the start is not the writers' fault.
        while divergence.is_none() {
            divergence = world.check(&mut tally)?;
            if divergence.is_some() || began.elapsed() >= time {
                break;
            }
            divergence = world.round(&mut tally)?;
        }
        if let Some(divergence) = &divergence {
            tally.divergences += 1;
            eprintln!("{}", divergence.text(seed, &world.deeds));
        }
        // The log goes with the folder; without one nothing can be kept.
        let _ = fs::copy(world.directus.log(), self.logs.join("soak-directus.log"));
        let traffic = world.observers.iter().map(|observer| observer.record.traffic());
        let line = tally.line(course, &world.cast(), began.elapsed(), traffic);
        println!("{line}");
        let missing = tally.shows_nothing(course, &line);
        if let Some(missing) = missing {
            eprintln!("error: nothing was shown: {missing}");
        }
        Ok(divergence.is_none() && missing.is_none())
    }
}

/// Who takes part.
#[derive(Debug)]
struct Cast {
    directus: String,
    db_client: DbClient,
    mirrors: usize,
    pages: usize,
}

/// What has been counted.
#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    written: Written,
    /// Rows that were changed, by how they were written.
    rows_by: BTreeMap<&'static str, u64>,
    checks: u64,
    divergences: u64,
    faults: u64,
    slowest: Duration,
    slowest_in_all: Duration,
    directus_restarts: u64,
    server_restarts: u64,
    rule_changes: u64,
    /// Pages that were left, and came back as they were.
    from_cache: u64,
    minutes_refused: u64,
}

/// By then each writer has written, and something has gone wrong: one round in four has no faults.
const ROUNDS_TO_SHOW: u64 = 8;

impl Tally {
    /// What did not happen without which a run says nothing; a short one need not have it all.
    fn shows_nothing(&self, course: &Course, line: &Value) -> Option<&'static str> {
        if course.pressure_limiter && line["reads_put_off"] == 0 {
            return Some("Directus was never busy enough to put off a read");
        }
        if self.rounds < ROUNDS_TO_SHOW {
            return None;
        }
        let wrote = |manner: Manner| self.rows_by.get(manner.name()).is_some_and(|rows| *rows > 0);
        match () {
            () if ![Manner::Rest, Manner::WebSocket, Manner::Batches].into_iter().all(wrote) => {
                Some("a writer has written nothing")
            }
            () if line["events"] == 0 => Some("Directus announced nothing"),
            () if self.faults == 0 || line["reconnects"] == 0 => Some("nothing went wrong"),
            () if course.time >= LONG && self.rule_changes == 0 => Some("the public's rights never changed"),
            () if course.time >= LONG && self.from_cache == 0 => {
                Some("no page came back out of the browser's cache as it was")
            }
            () if course.time >= LONG && self.minutes_refused == 0 => Some("no link was refused for a minute"),
            () => None,
        }
    }

    fn line(&self, course: &Course, cast: &Cast, time: Duration, traffic: impl Iterator<Item = Traffic>) -> Value {
        let (mut reads, mut events, mut reconnects, mut busy, mut early) = (0, 0, 0, 0, 0);
        for traffic in traffic {
            busy += traffic.busy;
            early += traffic.early;
            reads += traffic.reads;
            events += traffic.events;
            reconnects += traffic.sockets.saturating_sub(1);
        }
        json!({
            "directus": cast.directus,
            "db_client": format!("{:?}", cast.db_client).to_lowercase(),
            "seed": course.seed,
            "pressure_limiter": course.pressure_limiter,
            "seconds": time.as_secs(),
            "rounds": self.rounds,
            "operations": self.written.operations,
            "failed_operations": self.written.failed,
            "row_changes": self.written.rows,
            "row_changes_by": self.rows_by,
            "faults": self.faults,
            "directus_restarts": self.directus_restarts,
            "server_restarts": self.server_restarts,
            "rule_changes": self.rule_changes,
            "pages_from_cache": self.from_cache,
            "minutes_refused": self.minutes_refused,
            "mirrors": cast.mirrors,
            "pages": cast.pages,
            "checks": self.checks,
            "divergences": self.divergences,
            "worst_ms_after_write_or_own_socket": self.slowest.as_millis() as u64,
            "worst_ms_after_write_or_heal": self.slowest_in_all.as_millis() as u64,
            "reconnects": reconnects,
            "reads": reads,
            "reads_put_off": busy,
            "reads_too_early": early,
            "events": events,
            "reads_per_event": if events == 0 { 0.0 } else { (reads as f64 / events as f64 * 1000.0).round() / 1000.0 },
        })
    }
}

/// An observer that does not show what REST gives.
#[derive(Debug)]
struct Divergence {
    name: String,
    shape: Shape,
    what: String,
    expected: Value,
    shown: Option<Shown>,
    frames: Vec<String>,
}

impl Divergence {
    fn text(&self, seed: u64, deeds: &[String]) -> String {
        let list = |rows: &Value| match rows.as_array() {
            Some(rows) => rows.iter().map(|row| format!("\n    {row}")).collect(),
            None => format!(" {rows}"),
        };
        let mut text = format!(
            "DIVERGENCE: {} of “{}”: {}\n  seed: {seed}\n  collection: {}\n  query: {}\n  REST:{}",
            self.name,
            self.shape.name,
            self.what,
            self.shape.collection,
            self.shape.query,
            list(&self.expected)
        );
        if let Some(shown) = &self.shown {
            text += &format!("\n  shown ({}, {}):{}", shown.status, shown.error, list(&shown.rows));
            if !shown.before.is_null() {
                text += &format!("\n  shown before:{}", list(&shown.before));
            }
        }
        text += "\n  last frames:";
        self.frames.iter().for_each(|frame| text += &format!("\n    {frame}"));
        text += "\n  what was done since the last pause that was right:";
        deeds.iter().for_each(|deed| text += &format!("\n    {deed}"));
        text
    }
}

/// What is said of an observer at a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    /// It may still come right.
    Early,
    Wrong,
}

/// An observer as it is at a pause.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// Whether it shows what REST gives.
    equals_rest: bool,
    /// Whether it says of itself what is so: that it is live, or refused.
    says_so: bool,
    is_live: bool,
    /// Whether a browser has kept connections for reads that are silent.
    was_hampered: bool,
    /// For how long it could have known better.
    able_for: Duration,
    /// For how long nobody has written, and nothing was wrong.
    quiet_for: Duration,
}

impl Standing {
    fn verdict(&self) -> Verdict {
        if self.equals_rest && self.says_so {
            return Verdict::Right;
        }
        // One that says that it is not live is honest, as long as its socket may still be lost.
        let bound = match (self.is_live, self.was_hampered) {
            (true, false) => BOUND,
            (true, true) => BOUND_OVER_DEAD_CONNECTIONS,
            (false, _) => BOUND_WITHOUT_SOCKET,
        };
        let is_late = self.able_for > bound || self.quiet_for > BOUND_WITHOUT_SOCKET + BOUND;
        if is_late { Verdict::Wrong } else { Verdict::Early }
    }
}

/// Everything that runs.
struct World<'a> {
    stage: &'a Stage<'a>,
    random: Random,
    /// How long the run is.
    time: Duration,
    observers: Vec<Observer>,
    database: Database,
    server_port: u16,
    /// Before the server, which it outlives.
    server: Option<Process>,
    /// Between our server and Directus.
    behind: Relay,
    behind_record: Record,
    directus: Directus,
    /// What the public may read changes, but not before everybody watches.
    rules: Option<Rules>,
    /// Since the last pause that was right.
    deeds: Vec<String>,
}

impl<'a> World<'a> {
    fn start(stage: &'a Stage<'a>, course: &Course) -> Result<Self> {
        let mut ticker = Ticker::new("      Directus starts");
        let folder = stage.scratch.path().join(format!("directus-{}", course.seed));
        let mut directus =
            Directus::fresh(stage.workspace, &stage.installation, &folder, Mode::Public, None, &mut ticker)?;
        if course.pressure_limiter {
            directus.stop(Signal::SIGTERM);
            directus.limit_pressure();
            directus.start(&mut ticker)?;
        }
        let database = Database::new(directus.port(), directus.admin_token());
        let mut random = Random::new(course.seed);
        // Enough rows for every shape, before anybody watches.
        patiently(|| database.learn())?;
        Writer::new(Manner::Batches, database.clone(), random.fork()).fill()?;
        let kind = if has_rules(stage.installation.version()) { Kind::Fine } else { Kind::Whole };
        let rules = Rules::new(kind, database.client().clone(), random.fork());
        let as_public = |shape: Shape| {
            if kind.concerns(shape.collection) { shape.under_rules(rules::SECONDS) } else { shape }
        };

        let (behind, behind_record) = link(&directus.url())?;
        let server_port = free_port()?;
        let token = directus.admin_token().to_owned();
        let mut world = Self {
            stage,
            random,
            time: course.time,
            observers: Vec::new(),
            database,
            server_port,
            server: None,
            behind,
            behind_record,
            directus,
            rules: None,
            deeds: Vec::new(),
        };
        world.start_server()?;
        let server = format!("http://127.0.0.1:{server_port}");
        for (number, shape) in mirrored().into_iter().enumerate() {
            // Each shape one way, the seed says which; both ways every third one, and where whole collections come and go.
            let both = number % 3 == 0 || kind == Kind::Whole && kind.concerns(shape.collection);
            let direct = (number as u64 + course.seed).is_multiple_of(2);
            let mut mirror = |is_direct: bool, name: usize| -> Result<()> {
                let (place, url) = if is_direct {
                    (Place::Directus(&token), world.directus.url())
                } else {
                    (Place::Server, server.clone())
                };
                let shape = if is_direct { shape.clone() } else { as_public(shape.clone()) };
                let mirror = Observer::mirror(&stage.mirror, &place, &url, shape, &stage.logs, name)?;
                world.observers.push(mirror);
                Ok(())
            };
            mirror(direct, number)?;
            if both {
                mirror(!direct, 100 + number)?;
            }
        }
        let browser = Rc::new(Browser::start(&stage.end2end, &stage.chrome, &stage.logs.join("pages.log"))?);
        for (number, shape) in on_pages().into_iter().enumerate() {
            world.observers.push(Observer::page(&browser, number, &server, as_public(shape))?);
        }
        world.rules = Some(rules);
        eprintln!("      {} observers", world.observers.len());
        Ok(world)
    }

    fn cast(&self) -> Cast {
        let pages = self.observers.iter().filter(|observer| observer.is_page()).count();
        Cast {
            directus: self.stage.installation.version().to_owned(),
            db_client: self.stage.installation.db_client(),
            mirrors: self.observers.len() - pages,
            pages,
        }
    }

    fn start_server(&mut self) -> Result<()> {
        let Built { site, server } = &self.stage.built;
        let mut command = Command::new(server);
        without_settings(&mut command);
        command
            .current_dir(self.stage.scratch.path())
            .envs(server_environment(site, self.server_port, Profile::Release, None))
            .env("DIRECTUS_URL", self.behind.url())
            .env("DIRECTUS_SCHEMA_TOKEN", SCHEMA_TOKEN);
        let log = self.stage.logs.join("server.log");
        let mut ticker = Ticker::new("      the server starts");
        self.server = Some(start_server(&mut command, self.server_port, Output::Logged(&log), &mut ticker)?);
        Ok(())
    }

    /// Writers write, and things go wrong; at the end nobody writes, and all is well again.
    fn round(&mut self, tally: &mut Tally) -> Result<Option<Divergence>> {
        tally.rounds += 1;
        self.deeds = vec![format!("round {}", tally.rounds)];
        patiently(|| self.database.learn())?;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = [Manner::Rest, Manner::WebSocket, Manner::Batches, Manner::Batches]
            .into_iter()
            .map(|manner| {
                let writer = Writer::new(manner, self.database.clone(), self.random.fork());
                let stop = Arc::clone(&stop);
                thread::spawn(move || (manner, writer.run(&stop)))
            })
            .collect();
        let result = self.trouble(tally);
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            let (manner, written) = writer.join().map_err(|_| Failure::new("a writer panicked"))?;
            *tally.rows_by.entry(manner.name()).or_default() += written.rows;
            tally.written += written;
        }
        result?;
        Ok(None)
    }

    fn trouble(&mut self, tally: &mut Tally) -> Result<()> {
        // A quarter of the rounds has no faults: then the bound is that of a connection that was never lost.
        let faults = if self.random.once_in(4) { 0 } else { self.random.between(1, 4) };
        self.some_time(500, 2_500)?;
        self.change_rules(tally)?;
        for _ in 0..faults {
            tally.faults += 1;
            // What is rare is seen in each long run.
            let (is_left, is_minute) = (tally.faults == PAGES_LEFT, tally.faults == MINUTE_REFUSED);
            match self.random.index(17) {
                _ if self.time >= LONG && is_left => self.pages_away(Absence::Left, tally)?,
                _ if self.time >= LONG && is_minute => self.refused_for_a_minute(tally)?,
                0 => {
                    let signal = if self.random.once_in(3) { Signal::SIGTERM } else { Signal::SIGKILL };
                    self.deed(format!("Directus is ended by {signal}, and started again"));
                    tally.directus_restarts += 1;
                    self.directus.stop(signal);
                    self.some_time(0, 2_000)?;
                    self.directus.start(&mut Ticker::new("      Directus starts"))?;
                }
                1 => {
                    self.deed("our server is ended, and started again".to_owned());
                    tally.server_restarts += 1;
                    if let Some(mut server) = self.server.take() {
                        server.stop_with(if self.random.once_in(2) { Signal::SIGTERM } else { Signal::SIGKILL });
                    }
                    self.some_time(0, 2_000)?;
                    self.start_server()?;
                }
                2 | 14 | 15 => {
                    let absence = [Absence::Offline, Absence::Hidden, Absence::Left][self.random.index(3)];
                    self.pages_away(absence, tally)?;
                }
                3 => {
                    let share = self.random.between(1, 3);
                    let asleep: Vec<usize> = (0..self.observers.len()).filter(|_| self.random.once_in(share)).collect();
                    self.deed(format!("{} observers sleep for a while", asleep.len()));
                    asleep.iter().try_for_each(|number| self.observers[*number].set_asleep(true))?;
                    let waited = self.some_time(300, 4_000);
                    asleep.iter().try_for_each(|number| self.observers[*number].set_asleep(false))?;
                    waited?;
                }
                4 => {
                    let is_directus = self.random.once_in(2);
                    let who = if is_directus { "Directus" } else { "our server" };
                    self.deed(format!("{who} stands still for a while"));
                    self.stand_still(is_directus, true);
                    let waited = self.some_time(300, 4_000);
                    self.stand_still(is_directus, false);
                    waited?;
                }
                5..=7 => {
                    let fault = self.fault();
                    self.deed(format!("between our server and Directus: {fault:?}"));
                    set(&self.behind, fault)?;
                    self.some_time(300, 4_000)?;
                    set(&self.behind, Fault::Pass)?;
                }
                16 if self.time >= LONG && self.random.once_in(3) => self.refused_for_a_minute(tally)?,
                _ => {
                    let fault = self.fault();
                    let before = self.before_some(fault)?;
                    self.deed(format!("before {} observers: {fault:?}", before.len()));
                    self.some_time(300, 4_000)?;
                    self.made_good(before)?;
                }
            }
            self.some_time(100, 1_500)?;
            self.change_rules(tally)?;
        }
        Ok(())
    }

    fn pages_away(&mut self, absence: Absence, tally: &mut Tally) -> Result<()> {
        self.deed(format!("the pages are away for a while: {absence:?}"));
        self.set_absent(absence, true)?;
        let waited = self.some_time(500, 4_000);
        tally.from_cache += self.set_absent(absence, false)?;
        waited
    }

    fn refused_for_a_minute(&mut self, tally: &mut Tally) -> Result<()> {
        self.deed("for a minute our server cannot be had by some, or has no Directus".to_owned());
        tally.minutes_refused += 1;
        let before = self.before_some(Fault::Refuse)?;
        if before.is_empty() || self.random.once_in(2) {
            set(&self.behind, Fault::Refuse)?;
        }
        let waited = pause(Duration::from_secs(60));
        set(&self.behind, Fault::Pass)?;
        self.made_good(before)?;
        waited
    }

    /// A fault between our server, or Directus, and some who watch; who they are.
    fn before_some(&mut self, fault: Fault) -> Result<Vec<usize>> {
        let share = self.random.between(1, 4);
        let mut hit = Vec::new();
        for (number, observer) in self.observers.iter().enumerate() {
            if self.random.once_in(share) {
                set(&observer.relay, fault)?;
                hit.push(number);
            }
        }
        Ok(hit)
    }

    fn made_good(&self, hit: Vec<usize>) -> Result<()> {
        hit.into_iter().try_for_each(|number| set(&self.observers[number].relay, Fault::Pass))
    }

    fn stand_still(&self, is_directus: bool, is_still: bool) {
        if is_directus {
            self.directus.set_asleep(is_still);
        } else {
            self.server.iter().for_each(|server| server.set_asleep(is_still));
        }
    }

    /// Now and then the public may read something else.
    fn change_rules(&mut self, tally: &mut Tally) -> Result<()> {
        if let Some(rules) = self.rules.as_mut().filter(|_| self.random.once_in(2)) {
            tally.rule_changes += 1;
            let deed = rules.change()?;
            self.deed(deed);
            self.some_time(100, 2_000)?;
        }
        Ok(())
    }

    /// Begins or ends an absence of all pages; how many of them are back out of the browser's cache.
    fn set_absent(&self, absence: Absence, is_absent: bool) -> Result<u64> {
        self.observers
            .iter()
            .try_fold(0, |back, observer| Ok(back + u64::from(observer.set_absent(absence, is_absent)?)))
    }

    fn deed(&mut self, deed: String) {
        self.deeds.push(deed);
    }

    fn fault(&mut self) -> Fault {
        let random = &mut self.random;
        let millis = Duration::from_millis;
        let bytes = |random: &mut Random, most| usize::try_from(random.between(0, most)).unwrap_or(0);
        match random.index(17) {
            0 | 1 => Fault::CutAfter(bytes(random, 300)),
            2 => Fault::CutAfter(bytes(random, 6_000)),
            3 | 4 => Fault::HalfOpen,
            5 => Fault::Slow(1_000),
            6 => Fault::Delay(millis(random.between(1, 60)), millis(random.between(0, 150))),
            7 => Fault::Refuse,
            8 => Fault::BadGateway,
            9 => Fault::Split(1 + bytes(random, 40)),
            10 => Fault::Merge(millis(random.between(5, 80))),
            11 => Fault::Twice,
            12 => Fault::Strange,
            13 => Fault::Garbled,
            14 => Fault::Oversized,
            15 => Fault::NoInit,
            _ => Fault::AnswersLost,
        }
    }

    fn some_time(&mut self, least: u64, most: u64) -> Result<()> {
        pause(Duration::from_millis(self.random.between(least, most)))
    }

    /// Nobody writes, and nothing is wrong: all must come to show what REST gives, and stay so.
    fn check(&mut self, tally: &mut Tally) -> Result<Option<Divergence>> {
        let quiet = Instant::now();
        let mut waiting: Vec<usize> = (0..self.observers.len()).collect();
        let mut last = (Duration::ZERO, String::new());
        let mut truths: Vec<Option<Truth>> = vec![None; self.observers.len()];
        // Since when each could know better: not while its socket, or our server's for it, is silent and nobody has noticed.
        let mut able = vec![quiet; self.observers.len()];
        // Until when each had connections for reads that are silent: a browser keeps them.
        let mut hampered = vec![None; self.observers.len()];
        while !waiting.is_empty() {
            let is_server_deaf = is_deaf(&self.behind, &self.behind_record);
            let mut still = Vec::new();
            for number in waiting {
                let Self { observers, database, .. } = self;
                let (observer, truth) = (&mut observers[number], &mut truths[number]);
                if observer.shape.moves_with_time() {
                    *truth = None;
                }
                let truth = match truth {
                    Some(truth) => truth,
                    None => truth.insert(truth_of(database, observer)?),
                };
                let expected = observer.as_shown(&truth.rows);
                let shown = match seen(observer, &expected)? {
                    Ok(shown) => shown,
                    Err(divergence) => return Ok(Some(divergence)),
                };
                if observer.is_deaf() || observer.through_server && is_server_deaf {
                    able[number] = Instant::now();
                }
                if observer.is_page() && observer.relay.has_silent() {
                    hampered[number] = Some(Instant::now());
                }
                let own = observer.record.traffic().last_socket.map_or(able[number], |opened| opened.max(able[number]));
                if observer.record.traffic().early > 0 {
                    let what = "it read before the time was over that Directus had asked for".to_owned();
                    return Ok(Some(diverged(observer, what, expected, Some(shown))));
                }
                let says_so = if truth.is_refused { observer.is_refused(&shown) } else { observer.is_live(&shown) };
                let standing = Standing {
                    equals_rest: shown.rows == expected,
                    says_so,
                    is_live: observer.is_live(&shown),
                    was_hampered: hampered[number].is_some_and(|until: Instant| until.elapsed() < BOUND),
                    able_for: own.elapsed(),
                    quiet_for: quiet.elapsed(),
                };
                if standing.verdict() == Verdict::Right {
                    tally.checks += 1;
                    // Where time alone changes the rows, they change after the last write too: that is no delay.
                    if observer.shape.revalidate.is_none() {
                        let took = shown.since.saturating_duration_since(own);
                        if took >= last.0 {
                            last = (took, format!("{} of “{}”", observer.name, observer.shape.name));
                        }
                        tally.slowest = tally.slowest.max(took);
                        tally.slowest_in_all = tally.slowest_in_all.max(shown.since.saturating_duration_since(quiet));
                    }
                    continue;
                }
                if standing.verdict() == Verdict::Wrong {
                    let what = format!(
                        "not what REST gives {} after the last write or heal, {} after it could be",
                        seconds(standing.quiet_for),
                        seconds(standing.able_for)
                    );
                    return Ok(Some(diverged(observer, what, expected, Some(shown))));
                }
                still.push(number);
            }
            waiting = still;
            pause(LOOK)?;
        }
        pause(AFTERWARDS)?;
        for number in 0..self.observers.len() {
            let Self { observers, database, .. } = self;
            let observer = &mut observers[number];
            if observer.shape.moves_with_time() {
                continue;
            }
            let expected = observer.as_shown(&truth_of(database, observer)?.rows);
            let shown = match seen(observer, &expected)? {
                Ok(shown) => shown,
                Err(divergence) => return Ok(Some(divergence)),
            };
            if shown.rows != expected {
                let what = "it was right, and became wrong though nobody wrote".to_owned();
                return Ok(Some(diverged(observer, what, expected, Some(shown))));
            }
            tally.checks += 1;
        }
        self.deeds.clear();
        eprintln!(
            "      round {}: {} row changes in all; last was {} after {} ms; slowest of all {} ms, {} ms with its way back",
            tally.rounds,
            tally.written.rows,
            last.1,
            last.0.as_millis(),
            tally.slowest.as_millis(),
            tally.slowest_in_all.as_millis()
        );
        Ok(None)
    }
}

fn set(relay: &Relay, fault: Fault) -> Result<()> {
    relay.set(fault).context(|| format!("the relay of {} cannot be set to {fault:?}", relay.url()))
}

/// What it shows; or how it has gone wrong already, which is a divergence, too.
fn seen(observer: &mut Observer, expected: &Value) -> Result<std::result::Result<Shown, Divergence>> {
    match observer.shown() {
        Ok(shown) => Ok(Ok(shown)),
        Err(failure) if failure.is_interrupted() => Err(failure),
        Err(failure) => Ok(Err(diverged(observer, failure.to_string(), expected.clone(), None))),
    }
}

fn diverged(observer: &Observer, what: String, expected: Value, shown: Option<Shown>) -> Divergence {
    let (name, shape) = (observer.name.clone(), observer.shape.clone());
    Divergence { name, shape, what, expected, shown, frames: observer.record.last() }
}

/// What REST gives whoever the observer is.
#[derive(Debug, Clone)]
struct Truth {
    rows: Vec<Value>,
    is_refused: bool,
}

fn truth_of(database: &Database, observer: &Observer) -> Result<Truth> {
    let (collection, query) = (observer.shape.collection, observer.shape.as_rest());
    patiently(|| {
        let rows = if observer.through_server {
            database.read_as_anybody(collection, &query)?
        } else {
            Some(database.read(collection, &query)?)
        };
        Ok(Truth { is_refused: rows.is_none(), rows: rows.unwrap_or_default() })
    })
}

/// A Directus that is busy says so, and is asked again.
fn patiently<T>(mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match ask() {
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_) => pause(LOOK)?,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Live, and wrong, a second after the last write.
    fn standing() -> Standing {
        let (able_for, quiet_for) = (SECOND, SECOND);
        Standing { equals_rest: false, says_so: true, is_live: true, was_hampered: false, able_for, quiet_for }
    }

    #[test]
    fn who_does_not_show_what_rest_gives_is_wrong_once_it_could() {
        assert_eq!(standing().verdict(), Verdict::Early);
        let late = Standing { able_for: BOUND + SECOND, ..standing() };
        assert_eq!(late.verdict(), Verdict::Wrong);
        assert_eq!(Standing { equals_rest: true, ..late }.verdict(), Verdict::Right);
        assert_eq!(Standing { was_hampered: true, ..late }.verdict(), Verdict::Early);
        let able_for = BOUND_OVER_DEAD_CONNECTIONS + SECOND;
        assert_eq!(Standing { was_hampered: true, able_for, ..late }.verdict(), Verdict::Wrong);
        assert_eq!(Standing { is_live: false, ..late }.verdict(), Verdict::Early);
        let able_for = BOUND_WITHOUT_SOCKET + SECOND;
        assert_eq!(Standing { is_live: false, able_for, ..late }.verdict(), Verdict::Wrong);
        let quiet_for = BOUND_WITHOUT_SOCKET + BOUND + SECOND;
        assert_eq!(Standing { is_live: false, quiet_for, ..standing() }.verdict(), Verdict::Wrong);
    }

    #[test]
    fn who_shows_what_rest_gives_and_says_otherwise_of_itself_is_wrong_in_the_end() {
        let untrue = Standing { equals_rest: true, says_so: false, is_live: false, ..standing() };
        assert_eq!(untrue.verdict(), Verdict::Early);
        assert_eq!(Standing { able_for: BOUND_WITHOUT_SOCKET + SECOND, ..untrue }.verdict(), Verdict::Wrong);
    }

    #[test]
    fn a_run_in_which_nothing_happened_shows_nothing() {
        let course = Course { time: SECOND, seed: 1, pressure_limiter: false };
        let happened = json!({ "events": 9, "reconnects": 2, "reads_put_off": 0 });
        let rows_by = BTreeMap::from([("rest", 1), ("websocket", 1), ("batches", 1)]);
        let tally = Tally { rounds: ROUNDS_TO_SHOW, faults: 3, rows_by, ..Tally::default() };
        assert_eq!(tally.shows_nothing(&course, &happened), None);
        for silent in ["events", "reconnects"] {
            let mut line = happened.clone();
            line[silent] = json!(0);
            assert!(tally.shows_nothing(&course, &line).is_some(), "{silent}");
        }
        let long = Course { time: LONG, ..course };
        let all = Tally { rule_changes: 1, from_cache: 1, minutes_refused: 1, rows_by: tally.rows_by.clone(), ..tally };
        assert_eq!(all.shows_nothing(&long, &happened), None);
        for forget in [
            (|tally: &mut Tally| tally.rule_changes = 0) as fn(&mut Tally),
            |tally| tally.from_cache = 0,
            |tally| tally.minutes_refused = 0,
        ] {
            let rows_by = all.rows_by.clone();
            let mut idle = Tally { rows_by, ..all };
            forget(&mut idle);
            assert!(idle.shows_nothing(&long, &happened).is_some());
        }
        let limited = Course { pressure_limiter: true, ..course };
        assert!(tally.shows_nothing(&limited, &happened).is_some());
        for manner in [Manner::Rest, Manner::WebSocket, Manner::Batches] {
            let mut rows_by = tally.rows_by.clone();
            rows_by.insert(manner.name(), 0);
            let idle = Tally { rounds: ROUNDS_TO_SHOW, faults: 3, rows_by, ..Tally::default() };
            assert!(idle.shows_nothing(&course, &happened).is_some(), "{manner:?}");
        }
        assert!(Tally { faults: 0, ..tally }.shows_nothing(&course, &happened).is_some());
        assert_eq!(Tally { rounds: 1, ..Tally::default() }.shows_nothing(&course, &happened), None);
    }

    #[test]
    fn a_divergence_tells_all_that_it_takes_to_see_it_again() {
        let shape = mirrored().remove(0);
        let (status, since) = ("live".to_owned(), Instant::now());
        let divergence = Divergence {
            name: "mirror 0".to_owned(),
            what: "not what REST gives".to_owned(),
            expected: json!([{ "id": 1 }]),
            shown: Some(Shown { rows: json!([{ "id": 2 }]), status, error: Value::Null, since, before: Value::Null }),
            frames: vec!["the last frame".to_owned()],
            shape: shape.clone(),
        };
        let text = divergence.text(42, &["Directus is ended".to_owned()]);
        let query = shape.query.to_string();
        for part in ["42", r#"{"id":1}"#, r#"{"id":2}"#, "the last frame", "Directus is ended", &query, "mirror 0"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_last_line_says_what_was_done_and_what_it_cost() {
        let course = Course { time: SECOND, seed: 7, pressure_limiter: false };
        let cast = Cast { directus: "12.4.1".to_owned(), db_client: DbClient::Sqlite3, mirrors: 2, pages: 1 };
        let (checks, slowest) = (5, Duration::from_millis(250));
        let tally = Tally { checks, slowest, divergences: 1, ..Tally::default() };
        let traffic = Traffic { reads: 3, events: 8, sockets: 3, ..Traffic::default() };
        let line = tally.line(&course, &cast, SECOND, [traffic, Traffic::default()].into_iter());
        for (name, value) in [
            ("seed", json!(7)),
            ("operations", json!(0)),
            ("row_changes", json!(0)),
            ("checks", json!(5)),
            ("divergences", json!(1)),
            ("worst_ms_after_write_or_own_socket", json!(250)),
            ("reconnects", json!(2)),
            ("reads", json!(3)),
            ("events", json!(8)),
            ("reads_per_event", json!(0.375)),
            ("mirrors", json!(2)),
        ] {
            assert_eq!(line[name], value, "{name}: {line}");
        }
    }
}
