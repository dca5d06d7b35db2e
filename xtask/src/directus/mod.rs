//! A real Directus, on SQLite or PostgreSQL: installed once per user, run where we say.

mod install;
mod postgres;
mod schema;

pub(crate) use install::{Installation, NEWEST, OLDER, has_rules, npm};
pub(crate) use postgres::Postgres;
pub(crate) use schema::PUBLIC_POLICY;

use crate::{
    failure::{Context, Failure, LOG_LINES, Result, last_lines},
    http::{Client, check_port, free_port},
    process::{Output, Process, wait_for},
    report::Ticker,
    workspace::{Workspace, install_once, path_with},
};
use nix::sys::signal::Signal;
use std::{
    fmt, fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
    time::Duration,
};

/// Whoever knows these is admin of a Directus that listens on loopback only and holds demo rows only.
pub(crate) const ADMIN_EMAIL: &str = "admin@example.com";
const ADMIN_PASSWORD: &str = "admin-pass-1";
const ADMIN_TOKEN: &str = "admin-static-token";
/// Of the user in `end2end/directus/access.json` who may read what the public may, and its relations: for our server's
/// `DIRECTUS_SCHEMA_TOKEN`.
pub(crate) const SCHEMA_TOKEN: &str = "schema-static-token";

/// What people log in with, for the end of `cargo xtask dev`.
pub(crate) const LOGINS: [(&str, &str, &str); 3] = [
    ("admin", ADMIN_EMAIL, ADMIN_PASSWORD),
    ("editor", "ada@example.com", "ada-pass-1"),
    ("editor", "grace@example.com", "grace-pass-1"),
];

/// Directus's `WEBSOCKETS_REST_AUTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Public,
    Handshake,
    Strict,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Handshake => "handshake",
            Self::Strict => "strict",
        })
    }
}

impl FromStr for Mode {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "public" => Ok(Self::Public),
            "handshake" => Ok(Self::Handshake),
            "strict" => Ok(Self::Strict),
            _ => Err(Failure::new(format!("`{text}` is no mode: expected public, handshake or strict"))),
        }
    }
}

/// The admin's static token: `DIRECTUS_ADMIN_TOKEN`, or the demo's own.
pub(crate) fn admin_token() -> String {
    std::env::var("DIRECTUS_ADMIN_TOKEN").ok().filter(|token| !token.is_empty()).unwrap_or_else(|| ADMIN_TOKEN.into())
}

/// Directus's `DB_CLIENT`. With SQLite it has one connection, so that nobody reads while a transaction is open; else many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DbClient {
    Sqlite3,
    Pg,
}

impl FromStr for DbClient {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "sqlite3" => Ok(Self::Sqlite3),
            "pg" => Ok(Self::Pg),
            _ => Err(Failure::new(format!("`{text}` is no DB_CLIENT that is known here: expected sqlite3 or pg"))),
        }
    }
}

/// So many requests from one address, and so many frames over one socket, in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) points: u32,
    pub(crate) seconds: u32,
}

/// The SQLite of Node: the database is its argument, the SQL its input. While Directus writes, it waits.
const SQL: &str = "const { DatabaseSync } = require('node:sqlite');\
    const database = new DatabaseSync(process.argv[1]);\
    database.exec('PRAGMA busy_timeout = 10000');\
    database.exec(require('node:fs').readFileSync(0, 'utf8'))";

/// Node signs a login anew, with another end: the seconds are its argument, the token its input.
const ENDING: &str = "const { createHmac } = require('node:crypto');\
    const [head, payload] = require('node:fs').readFileSync(0, 'utf8').split('.');\
    const claims = JSON.parse(Buffer.from(payload, 'base64url'));\
    claims.exp = Math.floor(Date.now() / 1000) + Number(process.argv[1]);\
    const text = `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;\
    const signature = createHmac('sha256', process.env.SECRET).update(text).digest('base64url');\
    process.stdout.write(`${text}.${signature}`);";

/// How one Directus is to run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Its database, uploads and log.
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) mode: Mode,
    /// Whether the admin app (Studio) is served.
    pub(crate) studio: bool,
    /// Whether it answers 503 while it is busy.
    pub(crate) limits_pressure: bool,
    /// Beyond it, it answers 429.
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) secret: String,
    pub(crate) admin_token: String,
    /// The origin of pages that speak to it themselves, with no server of ours between.
    pub(crate) pages: Option<String>,
}

impl Settings {
    /// The whole environment of Directus besides what every process needs: nothing of ours leaks into it.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        let text = |value: &str| value.to_owned();
        let mut environment = vec![
            ("HOST", text("127.0.0.1")),
            ("PORT", self.port.to_string()),
            ("PUBLIC_URL", format!("http://127.0.0.1:{}", self.port)),
            ("DB_CLIENT", text("sqlite3")),
            ("DB_FILENAME", path("data.db")),
            ("SECRET", self.secret.clone()),
            ("ADMIN_EMAIL", text(ADMIN_EMAIL)),
            ("ADMIN_PASSWORD", text(ADMIN_PASSWORD)),
            ("ADMIN_TOKEN", self.admin_token.clone()),
            ("WEBSOCKETS_ENABLED", text("true")),
            ("WEBSOCKETS_REST_AUTH", self.mode.to_string()),
            ("SERVE_APP", self.studio.to_string()),
            ("EXTENSIONS_PATH", path("extensions")),
            ("STORAGE_LOCATIONS", text("local")),
            ("STORAGE_LOCAL_ROOT", path("uploads")),
            // A busy machine would answer 503 to everything; where that is wanted, with the time to come back.
            ("PRESSURE_LIMITER_ENABLED", self.limits_pressure.to_string()),
            ("PRESSURE_LIMITER_RETRY_AFTER", text("1")),
            ("TELEMETRY", text("false")),
            ("EMAIL_VERIFY_SETUP", text("false")),
            ("PROJECT_OWNER_ENABLED", text("false")),
            ("LOG_STYLE", text("raw")),
        ];
        if self.limits_pressure {
            // As it is set by itself it hardly ever comes to that. Only what the last moments were like, not all since the start.
            environment.extend([
                ("PRESSURE_LIMITER_SAMPLE_INTERVAL", text("100")),
                ("PRESSURE_LIMITER_MAX_EVENT_LOOP_DELAY", text("40")),
                ("PRESSURE_LIMITER_MAX_EVENT_LOOP_UTILIZATION", text("1")),
            ]);
        }
        if let Some(RateLimit { points, seconds }) = self.rate_limit {
            environment.extend([
                ("RATE_LIMITER_ENABLED", text("true")),
                ("RATE_LIMITER_POINTS", points.to_string()),
                ("RATE_LIMITER_DURATION", seconds.to_string()),
                // The address is the one that `X-Forwarded-For` names.
                ("IP_TRUST_PROXY", text("true")),
            ]);
        }
        if let Some(origin) = &self.pages {
            environment.extend([
                ("CORS_ENABLED", text("true")),
                ("CORS_ORIGIN", origin.clone()),
                // The last one is what our reads ask for.
                ("CORS_ALLOWED_HEADERS", text("Content-Type,Authorization,Cache-Control")),
            ]);
        }
        environment
    }

    fn command(&self, installation: &Installation, arguments: &[&str]) -> Command {
        let mut command = Command::new(installation.node());
        command.arg(installation.cli()).args(arguments).current_dir(&self.folder).env_clear();
        for name in ["HOME", "TMPDIR", "LANG", "TZ"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let node_folder = installation.node().parent().unwrap_or(Path::new("/"));
        command.env("PATH", path_with(&[node_folder])).envs(self.environment());
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.join("directus.log")
    }
}

/// A Directus that answers.
#[derive(Debug)]
pub(crate) struct Directus {
    installation: Installation,
    settings: Settings,
    process: Option<Process>,
    /// Its database, if that is not a file; outlives it.
    postgres: Option<Postgres>,
}

impl Directus {
    /// The newsroom in a folder that is kept between starts; rows that people have changed stay changed.
    ///
    /// # Errors
    ///
    /// If the port is taken or Directus does not come up.
    pub(crate) fn kept(
        workspace: &Workspace,
        installation: &Installation,
        port: u16,
        mode: Mode,
        ticker: &mut Ticker,
    ) -> Result<Self> {
        check_port(port, "Directus", "choose another one by --directus-port")?;
        // A database of another version would have to be migrated, and could not go back.
        let folder = workspace.root.join(".directus").join(installation.version());
        fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
        let token = admin_token();
        let schema = schema::Schema::read(workspace)?;
        let stamp = schema.fingerprint(installation.version(), &token);
        let stamp_file = folder.join("schema");
        let is_new = !folder.join("data.db").exists();
        if is_new {
            copy_template(&template(installation, &schema, &token, ticker)?, &folder)?;
        }
        let settings = Settings {
            secret: kept_secret(&folder)?,
            folder,
            port,
            mode,
            studio: true,
            limits_pressure: false,
            rate_limit: None,
            admin_token: token,
            pages: None,
        };
        let mut directus = Self { installation: installation.clone(), settings, process: None, postgres: None };
        directus.start(ticker)?;
        if !is_new && fs::read_to_string(&stamp_file).ok().as_deref() != Some(&stamp) {
            schema.apply(&directus.client()).map_err(|failure| {
                failure.log(&directus.log()).mend(format!(
                    "was {} made with another DIRECTUS_ADMIN_TOKEN? Then set that one, or begin anew with fresh rows: rm -r .directus",
                    directus.settings.folder.display()
                ))
            })?;
        }
        fs::write(&stamp_file, stamp).context(|| format!("cannot write {}", stamp_file.display()))?;
        Ok(directus)
    }

    /// A fresh newsroom in `folder`, on a free port; pages from the origin `pages` may speak to it themselves.
    ///
    /// # Errors
    ///
    /// If Directus does not come up.
    pub(crate) fn fresh(
        workspace: &Workspace,
        installation: &Installation,
        folder: &Path,
        mode: Mode,
        pages: Option<&str>,
        ticker: &mut Ticker,
    ) -> Result<Self> {
        let token = admin_token();
        let schema = schema::Schema::read(workspace)?;
        fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
        let settings = Settings {
            folder: folder.to_owned(),
            port: free_port()?,
            mode,
            studio: false,
            limits_pressure: false,
            rate_limit: None,
            secret: random_secret()?,
            admin_token: token.clone(),
            pages: pages.map(str::to_owned),
        };
        let mut directus = Self { installation: installation.clone(), settings, process: None, postgres: None };
        match installation.db_client() {
            DbClient::Sqlite3 => copy_template(&template(installation, &schema, &token, ticker)?, folder)?,
            DbClient::Pg => {
                directus.postgres = Some(Postgres::start(&folder.join("postgres"))?);
                directus.set_up(&schema, ticker)?;
            }
        }
        directus.start(ticker)?;
        Ok(directus)
    }

    /// Our schema and rows in an empty database; it does not run afterwards.
    fn set_up(&mut self, schema: &schema::Schema, ticker: &mut Ticker) -> Result<()> {
        let log = self.settings.folder.join("bootstrap.log");
        let mut bootstrap = Process::start(&mut self.command(&["bootstrap"]), Output::Logged(&log))?;
        let waited = bootstrap.wait(Duration::from_secs(300), || ticker.tick());
        ticker.clear();
        let status = waited?;
        if !status.success() {
            return Err(Failure::new(format!("Directus could not set up its database ({status})")).log(&log));
        }
        self.start(ticker)?;
        schema.apply(&self.client()).map_err(|failure| failure.log(&self.log()))?;
        self.stop(Signal::SIGTERM);
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.settings.command(&self.installation, arguments);
        if let Some(postgres) = &self.postgres {
            command.env_remove("DB_FILENAME").envs(postgres.environment());
        }
        command
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.settings.port
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.settings.admin_token
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.settings.log()
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.settings.mode = mode;
    }

    /// From the next start on it answers 503 while it is busy.
    pub(crate) fn limit_pressure(&mut self) {
        self.settings.limits_pressure = true;
    }

    /// From the next start on one may ask it so often, or as often as one likes.
    pub(crate) fn limit_rate(&mut self, limit: Option<RateLimit>) {
        self.settings.rate_limit = limit;
    }

    /// Runs SQL on the database of a Directus that does not run: one that does would announce nothing of it.
    ///
    /// # Errors
    ///
    /// If it runs, or the database refuses.
    pub(crate) fn sql(&self, sql: &str) -> Result<()> {
        if self.process.is_some() {
            let failure = Failure::new("SQL is for the database of a Directus that does not run");
            return Err(failure.mend("stop it before, or say that it may run: running=yes"));
        }
        self.sql_meanwhile(sql)
    }

    /// The same whether or not it runs: it announces nothing of what was written past it.
    ///
    /// # Errors
    ///
    /// If the database refuses.
    pub(crate) fn sql_meanwhile(&self, sql: &str) -> Result<()> {
        if let Some(postgres) = &self.postgres {
            return postgres.run(sql);
        }
        let mut node = Command::new(self.installation.node());
        node.args(["-e", SQL]).arg(self.settings.folder.join("data.db"));
        fed(node, sql, "Node", "run SQL").map(drop)
    }

    /// The same login, be it a session's or an access token, as Directus would have given it to end so many seconds from now.
    ///
    /// # Errors
    ///
    /// If it is no login.
    pub(crate) fn ending_login(&self, login: &str, seconds: u32) -> Result<String> {
        let mut node = Command::new(self.installation.node());
        node.args(["-e", ENDING]).arg(seconds.to_string()).env("SECRET", &self.settings.secret);
        fed(node, login, "Node", "sign a login")
    }

    fn client(&self) -> Client {
        Client::new(self.settings.port, Some(&self.settings.admin_token))
    }

    /// Starts it, and waits until it answers. Fine if it runs already.
    ///
    /// # Errors
    ///
    /// If it ends or does not answer in time.
    pub(crate) fn start(&mut self, ticker: &mut Ticker) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let log = self.settings.log();
        let mut process = Process::start(&mut self.command(&["start"]), Output::Logged(&log))?;
        let client = Client::new(self.settings.port, None);
        let limit = Duration::from_secs(120);
        let ready = wait_for(limit, || {
            ticker.tick();
            if let Some(status) = process.ended() {
                let failure = Failure::new(format!("Directus ended while it was starting ({status})"));
                let mend = format!(
                    "read {}; if its data are broken, `rm -r {}` begins anew",
                    log.display(),
                    self.settings.folder.display()
                );
                return Err(process.with_log(failure).mend(mend));
            }
            Ok(client.send("GET", "/server/ping", None).ok().filter(|reply| reply.status == 200).map(drop))
        });
        ticker.clear();
        if ready?.is_none() {
            let failure = Failure::new(format!(
                "Directus did not answer on port {} within {} s",
                self.settings.port,
                limit.as_secs()
            ));
            return Err(process.with_log(failure).mend(format!("read {}, and try again", log.display())));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it by `signal`; returns when it has ended.
    pub(crate) fn stop(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            process.stop_with(signal);
        }
    }

    /// See [`Process::set_asleep`].
    pub(crate) fn set_asleep(&self, is_asleep: bool) {
        self.process.iter().for_each(|process| process.set_asleep(is_asleep));
    }

    /// Whether it has ended without being told to: the end of its log then.
    pub(crate) fn ended(&mut self) -> Option<Failure> {
        let process = self.process.as_mut()?;
        let status = process.ended()?;
        Some(process.with_log(Failure::new(format!("Directus has ended ({status})"))))
    }

    /// The last lines that Directus wrote.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        last_lines(&self.settings.log(), LOG_LINES)
    }
}

/// Runs a program with this input; its output. `who` cannot do `what`, if it fails.
fn fed(mut program: Command, input: &str, who: &str, what: &str) -> Result<String> {
    let failed = || format!("{who} cannot {what}");
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().context(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context(failed)?;
    }
    let output = child.wait_with_output().context(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::new(format!("{}: {}", failed(), String::from_utf8_lossy(&output.stderr).trim())))
}

/// A folder of the cache with a database that has our schema and rows: starting from a copy saves 20 seconds each time.
fn template(installation: &Installation, schema: &schema::Schema, token: &str, ticker: &mut Ticker) -> Result<PathBuf> {
    let fingerprint = schema.fingerprint(installation.version(), token);
    let name = format!("newsroom-{}-{fingerprint}", installation.version());
    install_once(&name, |folder| {
        let settings = Settings {
            folder: folder.to_owned(),
            port: free_port()?,
            mode: Mode::Public,
            studio: false,
            limits_pressure: false,
            rate_limit: None,
            secret: random_secret()?,
            admin_token: token.to_owned(),
            pages: None,
        };
        let mut directus = Directus { installation: installation.clone(), settings, process: None, postgres: None };
        directus.set_up(schema, ticker)
    })
}

fn copy_template(template: &Path, folder: &Path) -> Result<()> {
    // All of the database: a write-ahead log that is still there belongs to it.
    for name in ["data.db-wal", "data.db-shm", "data.db"] {
        let source = template.join(name);
        if source.exists() {
            // Under another name until it is whole: an interrupted copy is no database.
            let begun = folder.join(format!("{name}.incomplete"));
            fs::copy(&source, &begun).context(|| format!("cannot copy {}", source.display()))?;
            fs::rename(&begun, folder.join(name)).context(|| format!("cannot rename {}", begun.display()))?;
        }
    }
    for name in ["uploads", "extensions"] {
        fs::create_dir_all(folder.join(name)).context(|| format!("cannot make {name}"))?;
    }
    Ok(())
}

fn random_secret() -> Result<String> {
    let mut bytes = [0_u8; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context(|| "no random bytes".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Sessions outlive a restart of `cargo xtask dev`.
fn kept_secret(folder: &Path) -> Result<String> {
    let path = folder.join("secret");
    match fs::read_to_string(&path) {
        Ok(secret) if secret.len() >= 32 => Ok(secret),
        _ => {
            let secret = random_secret()?;
            fs::write(&path, &secret).context(|| format!("cannot write {}", path.display()))?;
            Ok(secret)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_keeps_directus_on_loopback_and_in_its_folder() {
        let settings = Settings {
            folder: PathBuf::from("/run"),
            port: 4711,
            mode: Mode::Strict,
            studio: false,
            limits_pressure: false,
            rate_limit: None,
            secret: "s".into(),
            admin_token: "t".into(),
            pages: None,
        };
        let environment = settings.environment();
        let value = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("HOST"), Some("127.0.0.1"));
        assert_eq!(value("PORT"), Some("4711"));
        assert_eq!(value("PUBLIC_URL"), Some("http://127.0.0.1:4711"));
        assert_eq!(value("WEBSOCKETS_REST_AUTH"), Some("strict"));
        assert_eq!(value("PRESSURE_LIMITER_ENABLED"), Some("false"));
        for name in ["DB_FILENAME", "EXTENSIONS_PATH", "STORAGE_LOCAL_ROOT"] {
            assert!(value(name).is_some_and(|path| path.starts_with("/run/")), "{name}");
        }
        assert_eq!((value("CORS_ENABLED"), value("RATE_LIMITER_ENABLED")), (None, None));
        let origin = "http://127.0.0.1:4712";
        let limit = Some(RateLimit { points: 2, seconds: 3 });
        let open = Settings { pages: Some(origin.into()), rate_limit: limit, ..settings }.environment();
        for (name, value) in [("CORS_ORIGIN", origin), ("RATE_LIMITER_POINTS", "2"), ("RATE_LIMITER_DURATION", "3")] {
            assert!(open.contains(&(name, value.to_owned())), "{name}");
        }
    }

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for mode in [Mode::Public, Mode::Handshake, Mode::Strict] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("open".parse::<Mode>().is_err());
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (one, other) = (random_secret().expect("bytes"), random_secret().expect("bytes"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }
}
