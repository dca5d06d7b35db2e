//! What an operator can set, in one place.

use std::{convert::Infallible, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum, builder::BoolishValueParser};
use reqwest::Url;

use super::{mode::Mode, origin::Origin};
use crate::protocol::Secret;

/// Everything that the server side of this crate can be told, by flag or by environment variable.
///
/// # Example
///
/// ```
/// use clap::Parser;
/// use leptos_directus::server::{DirectusConfig, DirectusServer};
///
/// #[derive(Parser)]
/// struct Cli {
///     #[command(flatten)]
///     directus: DirectusConfig,
/// }
///
/// let cli = Cli::parse_from(["server", "--directus-url", "http://127.0.0.1:8055"]);
/// assert!(DirectusServer::new(cli.directus).is_ok());
/// ```
///
/// Without a command line:
///
/// ```
/// use leptos_directus::server::{ConfigError, DirectusConfig, DirectusServer, HttpsSetting, ModeSetting};
///
/// let mut config = DirectusConfig::default();
/// config.directus_mode = ModeSetting::Public;
/// config.directus_served_over_https = HttpsSetting::Always;
/// config.directus_url = "cms.example".to_owned();
/// let error: ConfigError = DirectusServer::new(config).unwrap_err();
/// assert!(error.to_string().contains("DIRECTUS_URL"));
/// ```
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct DirectusConfig {
    /// Where Directus is, as this server reaches it; a path is kept.
    #[arg(long, env = "DIRECTUS_URL", value_name = "DIRECTUS_URL", default_value = DEFAULT_URL)]
    pub directus_url: String,

    /// The path of Directus's WebSocket (its `WEBSOCKETS_REST_PATH`).
    #[arg(long, env = "DIRECTUS_WS_PATH", value_name = "DIRECTUS_WS_PATH", default_value = DEFAULT_WS_PATH)]
    pub directus_ws_path: String,

    /// The mode that Directus's sockets run in (its `WEBSOCKETS_REST_AUTH`); `auto` finds it out.
    #[arg(long, env = "DIRECTUS_MODE", value_name = "DIRECTUS_MODE", value_enum, default_value = "auto")]
    pub directus_mode: ModeSetting,

    /// The name of Directus's session cookie (its `SESSION_COOKIE_NAME`).
    #[arg(long, env = "DIRECTUS_SESSION_COOKIE", value_name = "DIRECTUS_SESSION_COOKIE", default_value = DEFAULT_COOKIE)]
    pub directus_session_cookie: String,

    /// Origins besides the own host that may open sockets and write, as `https://news.example,https://desk.example`.
    #[arg(long, env = "DIRECTUS_ALLOWED_ORIGINS", value_name = "DIRECTUS_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub directus_allowed_origins: Vec<String>,

    /// Lets clients in that send a session cookie but no `Origin` (programs; a browser always sends one).
    #[arg(long, env = "DIRECTUS_ALLOW_MISSING_ORIGIN", value_name = "BOOL", value_parser = BoolishValueParser::new(), action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub directus_allow_missing_origin: bool,

    /// Lets `auth` frames and `Authorization` headers of clients through. Off, the session cookie is the only login.
    #[arg(long, env = "DIRECTUS_ALLOW_CLIENT_AUTH", value_name = "BOOL", value_parser = BoolishValueParser::new(), action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub directus_allow_client_auth: bool,

    /// Believes `X-Forwarded-Host`, `-Proto` and `-For`: only behind a proxy that sets them itself.
    #[arg(long, env = "DIRECTUS_TRUST_PROXY", value_name = "BOOL", value_parser = BoolishValueParser::new(), action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub directus_trust_proxy: bool,

    /// Whether visitors reach us over HTTPS (then cookies are `Secure`); `auto` believes a trusted proxy, else no.
    #[arg(
        long,
        env = "DIRECTUS_SERVED_OVER_HTTPS",
        value_name = "DIRECTUS_SERVED_OVER_HTTPS",
        value_enum,
        default_value = "auto"
    )]
    pub directus_served_over_https: HttpsSetting,

    /// A PEM file of certificates to trust besides the system's, for Directus behind a private authority.
    #[arg(long, env = "DIRECTUS_CA_FILE", value_name = "DIRECTUS_CA_FILE")]
    pub directus_ca_file: Option<PathBuf>,

    /// A static token with which this server reads Directus's `/relations` for visitors to whom Directus does not tell them, and
    /// nothing else: lists then follow the relations that they name. Whoever asks learns which collections they lead to, so
    /// it should be a user's who may read `directus_relations` and what the public may read; an administrator's is none.
    #[arg(long, env = "DIRECTUS_SCHEMA_TOKEN", value_name = "DIRECTUS_SCHEMA_TOKEN", value_parser = secret, hide_env_values = true)]
    pub directus_schema_token: Option<Secret>,

    /// Where the socket is offered; exactly this path.
    #[arg(long, env = "DIRECTUS_SOCKET_PATH", value_name = "DIRECTUS_SOCKET_PATH", default_value = DEFAULT_SOCKET_PATH)]
    pub directus_socket_path: String,

    /// Under which path Directus's REST interface is offered.
    #[arg(long, env = "DIRECTUS_REST_PATH", value_name = "DIRECTUS_REST_PATH", default_value = DEFAULT_REST_PATH)]
    pub directus_rest_path: String,

    /// How many sockets may be open at once.
    #[arg(long, env = "DIRECTUS_MAX_SOCKETS", value_name = "DIRECTUS_MAX_SOCKETS", default_value_t = DEFAULT_MAX_SOCKETS)]
    pub directus_max_sockets: u32,

    /// The longest message from a visitor, in bytes; a longer one closes the socket with 1009.
    #[arg(long, env = "DIRECTUS_MAX_MESSAGE", value_name = "DIRECTUS_MAX_MESSAGE", default_value_t = DEFAULT_MAX_MESSAGE)]
    pub directus_max_message: usize,

    /// The longest message from Directus, in bytes.
    #[arg(long, env = "DIRECTUS_MAX_UPSTREAM_MESSAGE", value_name = "DIRECTUS_MAX_UPSTREAM_MESSAGE", default_value_t = DEFAULT_MAX_UPSTREAM_MESSAGE)]
    pub directus_max_upstream_message: usize,

    /// How long all that comes before a socket may take: finding out the mode and opening one to Directus (`5s`, `500ms`).
    /// Well below the 15 s after which a page gives up, so that it hears the cause.
    #[arg(long, env = "DIRECTUS_CONNECT_TIMEOUT", value_name = "DIRECTUS_CONNECT_TIMEOUT", value_parser = duration, default_value = "5s")]
    pub directus_connect_timeout: Duration,

    /// How long Directus may take to begin its answer, or pause within it.
    #[arg(long, env = "DIRECTUS_TIMEOUT", value_name = "DIRECTUS_TIMEOUT", value_parser = duration, default_value = "30s")]
    pub directus_timeout: Duration,

    /// How often a visitor's link is tried by a protocol ping.
    #[arg(long, env = "DIRECTUS_PING_INTERVAL", value_name = "DIRECTUS_PING_INTERVAL", value_parser = duration, default_value = "30s")]
    pub directus_ping_interval: Duration,

    /// How long an answer to a ping may take, from a visitor or from Directus.
    #[arg(long, env = "DIRECTUS_PONG_TIMEOUT", value_name = "DIRECTUS_PONG_TIMEOUT", value_parser = duration, default_value = "10s")]
    pub directus_pong_timeout: Duration,

    /// After how much silence Directus is asked by a JSON ping whether it is still there.
    #[arg(long, env = "DIRECTUS_IDLE_TIMEOUT", value_name = "DIRECTUS_IDLE_TIMEOUT", value_parser = duration, default_value = "90s")]
    pub directus_idle_timeout: Duration,

    /// How long a peer may accept no byte of what is sent to it.
    #[arg(long, env = "DIRECTUS_WRITE_TIMEOUT", value_name = "DIRECTUS_WRITE_TIMEOUT", value_parser = duration, default_value = "30s")]
    pub directus_write_timeout: Duration,

    /// How long the end waits for sockets to say goodbye.
    #[arg(long, env = "DIRECTUS_SHUTDOWN_TIMEOUT", value_name = "DIRECTUS_SHUTDOWN_TIMEOUT", value_parser = duration, default_value = "10s")]
    pub directus_shutdown_timeout: Duration,
}

const DEFAULT_URL: &str = "http://127.0.0.1:8055";
const DEFAULT_WS_PATH: &str = "/websocket";
const DEFAULT_COOKIE: &str = "directus_session_token";
const DEFAULT_SOCKET_PATH: &str = "/directus-ws";
const DEFAULT_REST_PATH: &str = "/directus";
const DEFAULT_MAX_SOCKETS: u32 = 10_000;
const DEFAULT_MAX_MESSAGE: usize = 1 << 20;
const DEFAULT_MAX_UPSTREAM_MESSAGE: usize = 16 << 20;

impl Default for DirectusConfig {
    /// The defaults of the flags, whatever the environment says.
    fn default() -> Self {
        Self {
            directus_url: DEFAULT_URL.to_owned(),
            directus_ws_path: DEFAULT_WS_PATH.to_owned(),
            directus_mode: ModeSetting::Auto,
            directus_session_cookie: DEFAULT_COOKIE.to_owned(),
            directus_allowed_origins: Vec::new(),
            directus_allow_missing_origin: false,
            directus_allow_client_auth: false,
            directus_trust_proxy: false,
            directus_served_over_https: HttpsSetting::Auto,
            directus_ca_file: None,
            directus_schema_token: None,
            directus_socket_path: DEFAULT_SOCKET_PATH.to_owned(),
            directus_rest_path: DEFAULT_REST_PATH.to_owned(),
            directus_max_sockets: DEFAULT_MAX_SOCKETS,
            directus_max_message: DEFAULT_MAX_MESSAGE,
            directus_max_upstream_message: DEFAULT_MAX_UPSTREAM_MESSAGE,
            directus_connect_timeout: Duration::from_secs(5),
            directus_timeout: Duration::from_secs(30),
            directus_ping_interval: Duration::from_secs(30),
            directus_pong_timeout: Duration::from_secs(10),
            directus_idle_timeout: Duration::from_secs(90),
            directus_write_timeout: Duration::from_secs(30),
            directus_shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// The configured mode of Directus's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum ModeSetting {
    /// Found out by asking Directus.
    Auto,
    /// Anonymous sockets have the rights of the public role.
    Public,
    /// A socket without a session must send an `auth` frame first.
    Handshake,
    /// A socket without a session is refused.
    Strict,
}

impl ModeSetting {
    pub(super) fn expected(self) -> Option<Mode> {
        match self {
            Self::Auto => None,
            Self::Public => Some(Mode::Public),
            Self::Handshake => Some(Mode::Handshake),
            Self::Strict => Some(Mode::Strict),
        }
    }
}

/// Whether visitors reach us over HTTPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum HttpsSetting {
    /// What a trusted proxy says, else no.
    Auto,
    /// Yes, whatever the headers say.
    Always,
    /// No, whatever the headers say.
    Never,
}

/// A setting that can't be used: which one, what is wrong, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}; expected {expected}")]
pub struct ConfigError {
    /// The environment variable; the flag is the same in lower case with dashes.
    pub name: &'static str,
    /// What is wrong with the value.
    pub problem: String,
    /// What would be right.
    pub expected: &'static str,
}

/// What was read from a valid [`DirectusConfig`].
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: DirectusConfig,
    /// Directus, without a trailing slash.
    pub(super) base: Url,
    /// Directus's socket, `ws` or `wss`.
    pub(super) socket: Url,
    pub(super) allowed_origins: Vec<Origin>,
}

impl DirectusConfig {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// The first value that can't be used, by name.
    pub(super) fn validate(self) -> Result<Settings, ConfigError> {
        let base = base_url(&self.directus_url)?;
        let path = |name, value: &str| if is_path(value) { Ok(()) } else { Err(bad_path(name, value)) };
        path("DIRECTUS_WS_PATH", &self.directus_ws_path)?;
        path("DIRECTUS_SOCKET_PATH", &self.directus_socket_path)?;
        path("DIRECTUS_REST_PATH", &self.directus_rest_path)?;
        if self.directus_socket_path == self.directus_rest_path
            || self.directus_socket_path.starts_with(&format!("{}/", self.directus_rest_path))
        {
            return Err(ConfigError {
                name: "DIRECTUS_SOCKET_PATH",
                problem: format!("`{}` lies within DIRECTUS_REST_PATH", self.directus_socket_path),
                expected: "a path of its own, such as /directus-ws",
            });
        }
        let name = &self.directus_session_cookie;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return Err(ConfigError {
                name: "DIRECTUS_SESSION_COOKIE",
                problem: format!("`{name}` is not the name of a cookie"),
                expected: "letters, digits, `_`, `-` and `.`, such as directus_session_token",
            });
        }
        let allowed_origins = self
            .directus_allowed_origins
            .iter()
            .filter(|origin| !origin.trim().is_empty())
            .map(|origin| {
                Origin::parse(origin).ok_or_else(|| ConfigError {
                    name: "DIRECTUS_ALLOWED_ORIGINS",
                    problem: format!("`{origin}` is not an origin"),
                    expected: "a comma list of scheme, host and port, such as https://news.example,http://localhost:3000",
                })
            })
            .collect::<Result<_, _>>()?;
        if let Some(token) = &self.directus_schema_token
            && !token.expose().bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(ConfigError {
                name: "DIRECTUS_SCHEMA_TOKEN",
                // Not repeated.
                problem: "it holds what no token holds".to_owned(),
                expected: "the static token of a Directus user: letters, digits and signs, without blanks",
            });
        }
        let at_least = |name, value: u64, least: u64, expected| {
            let problem = format!("`{value}` is too small");
            if value < least { Err(ConfigError { name, problem, expected }) } else { Ok(()) }
        };
        at_least("DIRECTUS_MAX_SOCKETS", self.directus_max_sockets.into(), 1, "at least 1")?;
        at_least("DIRECTUS_MAX_MESSAGE", self.directus_max_message as u64, 1024, "at least 1024 (bytes)")?;
        let upstream_message = self.directus_max_upstream_message as u64;
        at_least("DIRECTUS_MAX_UPSTREAM_MESSAGE", upstream_message, 1024, "at least 1024 (bytes)")?;
        for (name, value) in [
            ("DIRECTUS_CONNECT_TIMEOUT", self.directus_connect_timeout),
            ("DIRECTUS_TIMEOUT", self.directus_timeout),
            ("DIRECTUS_PING_INTERVAL", self.directus_ping_interval),
            ("DIRECTUS_PONG_TIMEOUT", self.directus_pong_timeout),
            ("DIRECTUS_IDLE_TIMEOUT", self.directus_idle_timeout),
            ("DIRECTUS_WRITE_TIMEOUT", self.directus_write_timeout),
            ("DIRECTUS_SHUTDOWN_TIMEOUT", self.directus_shutdown_timeout),
        ] {
            if value.is_zero() || value > LONGEST {
                return Err(ConfigError {
                    name,
                    problem: format!("`{value:?}` can't be meant"),
                    expected: "more than nothing and at most a day, such as 10s or 500ms",
                });
            }
        }
        let mut socket = base.clone();
        socket.set_path(&format!("{}{}", base.path().trim_end_matches('/'), self.directus_ws_path));
        let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
        // `http` and `https` may become `ws` and `wss`: all four are special schemes.
        if socket.set_scheme(scheme).is_err() {
            return Err(bad_url("its scheme has no WebSocket".to_owned()));
        }
        Ok(Settings { config: self, base, socket, allowed_origins })
    }
}

/// A time-out of more than a day is a mistake, and far below what a timer can hold.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn base_url(text: &str) -> Result<Url, ConfigError> {
    // The value is not repeated: what is wrong with it may be the password in it.
    let url = Url::parse(text).map_err(|error| bad_url(format!("it is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad_url(format!("its scheme is `{}`", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad_url("it holds a user name or a password, which this server has no use for".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad_url("it has a query or a fragment".to_owned()));
    }
    Ok(url)
}

fn bad_url(problem: String) -> ConfigError {
    ConfigError { name: "DIRECTUS_URL", problem, expected: "http:// or https://, a host and perhaps a port and a path" }
}

fn is_path(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.~".contains(&byte);
    path.len() > 1
        && path.starts_with('/')
        && !path.ends_with('/')
        && path.bytes().all(allowed)
        && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn bad_path(name: &'static str, value: &str) -> ConfigError {
    ConfigError {
        name,
        problem: format!("`{value}` is not such a path"),
        expected: "a path with a slash before it and none after it, such as /websocket",
    }
}

/// Whatever is given is taken, so that no message repeats it.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.trim()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("`{text}` is not a time; expected a whole number and `ms`, `s` or `m`, such as 10s");
    let number: u32 = number.parse().map_err(|_| wrong())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" | "" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(u64::from(number) * 60)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        directus: DirectusConfig,
    }

    fn error(change: impl FnOnce(&mut DirectusConfig)) -> ConfigError {
        let mut config = DirectusConfig::default();
        change(&mut config);
        config.validate().unwrap_err()
    }

    #[test]
    fn the_defaults_of_the_flags_are_the_defaults_of_the_struct() {
        // The environment of whoever runs the tests must not count.
        let command = DirectusConfig::augment_args(Command::new("server")).mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["server"]);
        let parsed = <DirectusConfig as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", DirectusConfig::default()));
        assert!(parsed.validate().is_ok());
    }

    #[test]
    fn a_wrong_value_is_named_with_what_was_expected() {
        let cases: [(ConfigError, &str); 10] = [
            (error(|c| c.directus_url = "127.0.0.1:8055".into()), "DIRECTUS_URL"),
            (error(|c| c.directus_url = "ftp://cms.example".into()), "DIRECTUS_URL"),
            (error(|c| c.directus_url = "https://cms.example?x=1".into()), "DIRECTUS_URL"),
            (error(|c| c.directus_ws_path = "websocket".into()), "DIRECTUS_WS_PATH"),
            (error(|c| c.directus_ws_path = "/websocket/".into()), "DIRECTUS_WS_PATH"),
            (error(|c| c.directus_socket_path = "/a/../b".into()), "DIRECTUS_SOCKET_PATH"),
            (error(|c| c.directus_session_cookie = "a b".into()), "DIRECTUS_SESSION_COOKIE"),
            (error(|c| c.directus_allowed_origins = vec!["news.example".into()]), "DIRECTUS_ALLOWED_ORIGINS"),
            (error(|c| c.directus_max_sockets = 0), "DIRECTUS_MAX_SOCKETS"),
            (error(|c| c.directus_ping_interval = Duration::ZERO), "DIRECTUS_PING_INTERVAL"),
        ];
        for (error, name) in cases {
            assert_eq!(error.name, name);
            assert!(error.to_string().contains("expected "), "{error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = error(|config| config.directus_url = "https://admin:hunter2@cms.example".into());
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_token_that_is_none_is_refused_and_not_repeated() {
        let error = error(|config| config.directus_schema_token = Some("hunter 2".into()));
        assert_eq!(error.name, "DIRECTUS_SCHEMA_TOKEN");
        assert!(!error.to_string().contains("hunter"), "{error}");
        let config = Cli::try_parse_from(["server", "--directus-schema-token", " t0ken "]).unwrap().directus;
        assert_eq!(config.directus_schema_token, Some("t0ken".into()));
        assert!(!format!("{config:?}").contains("t0ken"));
    }

    #[test]
    fn flags_that_clap_refuses_name_themselves() {
        for (flag, value) in [
            ("--directus-mode", "open"),
            ("--directus-timeout", "soon"),
            ("--directus-max-sockets", "many"),
            ("--directus-trust-proxy", "perhaps"),
        ] {
            let Err(error) = Cli::try_parse_from(["server", flag, value]) else { panic!("{flag} {value} was taken") };
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(flag), "{error}");
            assert!(error.to_string().contains(value), "{error}");
        }
        assert!(Cli::try_parse_from(["server", "--directus-trust-proxy"]).unwrap().directus.directus_trust_proxy);
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "-1s", "1.5s", "1h", "99999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_that_gets_no_socket_hears_why_before_it_gives_up() {
        // The upgrade, and the plain request that asks for the cause of its refusal.
        let told = DirectusConfig::default().directus_connect_timeout * 2;
        let patience = crate::connection::ConnectionConfig::default().connect_timeout;
        assert!(told + Duration::from_secs(3) <= patience, "{told:?} of {patience:?}");
    }

    #[test]
    fn the_socket_of_directus_lies_under_its_base_path() {
        let config = DirectusConfig { directus_url: "https://cms.example/cms/".into(), ..DirectusConfig::default() };
        assert_eq!(config.validate().unwrap().socket.as_str(), "wss://cms.example/cms/websocket");
    }
}
