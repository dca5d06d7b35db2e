//! Stops and starts Directus and our server for tests that run in other processes, writes the database past Directus, lets logins
//! end soon, and puts relays before servers: HTTP on loopback, each answer sent when it is done.

use crate::{
    directus::{Directus, Mode, RateLimit},
    failure::{Context, Failure, Result},
    http::read_head,
    process::{Output, Process},
    relay::{Order, Relays},
    report::Ticker,
    site::start_server,
};
use nix::sys::signal::Signal;
use std::{
    io::{BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// A Directus that others may stop and start, and perhaps our server.
#[derive(Debug)]
pub(super) struct Control {
    port: u16,
    charges: Arc<Mutex<Charges>>,
}

#[derive(Debug)]
struct Charges {
    directus: Directus,
    server: Option<Server>,
}

/// Our server, always at the same port.
#[derive(Debug)]
pub(super) struct Server {
    command: Command,
    port: u16,
    log: PathBuf,
    process: Option<Process>,
}

impl Server {
    /// # Errors
    ///
    /// If it does not start.
    pub(super) fn start(command: Command, port: u16, log: PathBuf, ticker: &mut Ticker) -> Result<Self> {
        let mut server = Self { command, port, log, process: None };
        server.start_again(ticker)?;
        Ok(server)
    }

    fn start_again(&mut self, ticker: &mut Ticker) -> Result<()> {
        if self.process.is_none() {
            self.process = Some(start_server(&mut self.command, self.port, Output::Logged(&self.log), ticker)?);
        }
        Ok(())
    }

    fn stop(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            process.stop_with(signal);
        }
    }
}

/// What can be asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Stop(Signal),
    Start(Option<RateLimit>),
    StopServer(Signal),
    StartServer,
    Restart(Mode),
    Sql(String),
    SqlMeanwhile(String),
    EndingLogin(String, u32),
    Relay(Order),
}

impl Control {
    /// Listens until the process ends.
    ///
    /// # Errors
    ///
    /// If loopback has no port.
    pub(super) fn listen(directus: Directus) -> Result<Self> {
        let charges = Arc::new(Mutex::new(Charges { directus, server: None }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).context(|| "no free port on 127.0.0.1".to_owned())?;
        let port = listener.local_addr().context(|| "no free port on 127.0.0.1".to_owned())?.port();
        let shared = Arc::downgrade(&charges);
        thread::spawn(move || {
            let mut relays = Relays::default();
            // One after the other: two requests at once would have no order. Over when the test is.
            for stream in listener.incoming().flatten() {
                let Some(charges) = shared.upgrade() else { return };
                // A caller that went away has nobody to be told.
                let _ = answer(stream, &charges, &mut relays);
            }
        });
        Ok(Self { port, charges })
    }

    /// From now on others may stop and start it, too.
    pub(super) fn take(&self, server: Server) {
        self.lock().server = Some(server);
    }

    fn lock(&self) -> MutexGuard<'_, Charges> {
        self.charges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The end of Directus's log as it is now.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.lock().directus.last_lines()
    }
}

fn answer(stream: TcpStream, charges: &Mutex<Charges>, relays: &mut Relays) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    // A body is allowed where it means nothing; unread, closing would reset the connection before the answer is read.
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = Vec::new();
    reader.by_ref().take(length.unwrap_or(0)).read_to_end(&mut body)?;
    let result = read(&first, body).and_then(|request| {
        let mut charges = charges.lock().unwrap_or_else(PoisonError::into_inner);
        run(request, &mut charges, relays).map_err(|failure| (500, failure))
    });
    let (status, text) = match result {
        Ok(text) => (200, text),
        Err((status, failure)) => (status, failure.to_string()),
    };
    write!(
        reader.into_inner(),
        "HTTP/1.1 {status} -\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// Does it; the answer's text.
fn run(request: Request, charges: &mut Charges, relays: &mut Relays) -> Result<String> {
    let mut ticker = Ticker::new("      it starts");
    let Charges { directus, server } = charges;
    let server =
        server.as_mut().ok_or_else(|| Failure::new("there is no server of ours that may be stopped or started"));
    match request {
        Request::Stop(signal) => directus.stop(signal),
        Request::Start(limit) => {
            directus.limit_rate(limit);
            directus.start(&mut ticker)?;
        }
        Request::StopServer(signal) => server?.stop(signal),
        Request::StartServer => server?.start_again(&mut ticker)?,
        Request::Restart(mode) => {
            directus.stop(Signal::SIGTERM);
            directus.set_mode(mode);
            directus.start(&mut ticker)?;
        }
        Request::Sql(sql) => directus.sql(&sql)?,
        Request::SqlMeanwhile(sql) => directus.sql_meanwhile(&sql)?,
        Request::EndingLogin(login, seconds) => return directus.ending_login(&login, seconds),
        Request::Relay(order) => return relays.obey(order),
    }
    Ok("done".to_owned())
}

fn read(first: &str, body: Vec<u8>) -> std::result::Result<Request, (u16, Failure)> {
    let unknown = || (404, Failure::new(format!("`{first}` is nothing that can be asked for here")));
    let target = first.strip_prefix("POST ").and_then(|rest| rest.split(' ').next()).ok_or_else(unknown)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let signal = || match value("signal") {
        None | Some("TERM") => Ok(Signal::SIGTERM),
        Some("KILL") => Ok(Signal::SIGKILL),
        Some(other) => Err((400, Failure::new(format!("`{other}` is no signal: expected TERM or KILL")))),
    };
    let text = |body| String::from_utf8(body).map_err(|_| (400, Failure::new("the body is not UTF-8")));
    match path {
        "/directus/stop" => signal().map(Request::Stop),
        "/server/stop" => signal().map(Request::StopServer),
        "/server/start" => Ok(Request::StartServer),
        "/directus/start" if query.is_empty() => Ok(Request::Start(None)),
        "/directus/start" => {
            let number = |name: &str| value(name)?.parse::<u32>().ok();
            match (number("points"), number("seconds")) {
                (Some(points), Some(seconds)) => Ok(Request::Start(Some(RateLimit { points, seconds }))),
                _ => Err((400, Failure::new(format!("`{query}` is no limit: expected points=2&seconds=3")))),
            }
        }
        "/directus/restart" => {
            let mode = value("mode").unwrap_or("public").parse().map_err(|failure| (400, failure))?;
            Ok(Request::Restart(mode))
        }
        "/directus/login" => {
            let seconds = value("seconds").and_then(|seconds| seconds.parse().ok());
            let failure = || (400, Failure::new(format!("`{query}` is no time: expected seconds=8")));
            Ok(Request::EndingLogin(text(body)?, seconds.ok_or_else(failure)?))
        }
        "/directus/sql" => {
            let sql = text(body)?;
            match query {
                "" => Ok(Request::Sql(sql)),
                "running=yes" => Ok(Request::SqlMeanwhile(sql)),
                _ => Err((400, Failure::new(format!("`{query}` does not go with SQL: expected running=yes")))),
            }
        }
        path => match path.strip_prefix("/relay/").and_then(|name| Order::read(name, value)) {
            Some(order) => order.map(Request::Relay).map_err(|failure| (400, failure)),
            None => Err(unknown()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_the_first_line_and_what_they_are_about_from_the_body() {
        let asked = |line| read(line, b"SELECT 1".to_vec());
        assert_eq!(asked("POST /directus/stop?signal=KILL HTTP/1.1"), Ok(Request::Stop(Signal::SIGKILL)));
        assert_eq!(asked("POST /directus/stop HTTP/1.1"), Ok(Request::Stop(Signal::SIGTERM)));
        assert_eq!(asked("POST /directus/start HTTP/1.1"), Ok(Request::Start(None)));
        assert_eq!(asked("POST /server/stop?signal=KILL HTTP/1.1"), Ok(Request::StopServer(Signal::SIGKILL)));
        assert_eq!(asked("POST /server/start HTTP/1.1"), Ok(Request::StartServer));
        let limit = RateLimit { points: 2, seconds: 3 };
        assert_eq!(asked("POST /directus/start?points=2&seconds=3 HTTP/1.1"), Ok(Request::Start(Some(limit))));
        assert_eq!(asked("POST /directus/restart?mode=strict HTTP/1.1"), Ok(Request::Restart(Mode::Strict)));
        assert_eq!(asked("POST /directus/sql HTTP/1.1"), Ok(Request::Sql("SELECT 1".to_owned())));
        let meanwhile = Request::SqlMeanwhile("SELECT 1".to_owned());
        assert_eq!(asked("POST /directus/sql?running=yes HTTP/1.1"), Ok(meanwhile));
        let login = Request::EndingLogin("SELECT 1".to_owned(), 8);
        assert_eq!(asked("POST /directus/login?seconds=8 HTTP/1.1"), Ok(login));
        assert_eq!(asked("POST /relay/open?to=3000 HTTP/1.1"), Ok(Request::Relay(Order::Open(3000))));
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let status = |line| read(line, vec![0xff]).map_err(|(status, _)| status);
        assert_eq!(status("GET /directus/stop HTTP/1.1"), Err(404));
        assert_eq!(status("POST /directus/drop HTTP/1.1"), Err(404));
        assert_eq!(status("POST /directus/stop?signal=HUP HTTP/1.1"), Err(400));
        assert_eq!(status("POST /server/stop?signal=HUP HTTP/1.1"), Err(400));
        assert_eq!(status("POST /directus/restart?mode=open HTTP/1.1"), Err(400));
        assert_eq!(status("POST /directus/start?points=2 HTTP/1.1"), Err(400));
        assert_eq!(status("POST /directus/sql HTTP/1.1"), Err(400));
        assert_eq!(status("POST /relay/open HTTP/1.1"), Err(400));
        assert_eq!(status("POST /relay/mend?relay=4000 HTTP/1.1"), Err(404));
        for line in ["POST /directus/sql?running=no HTTP/1.1", "POST /directus/login?seconds=soon HTTP/1.1"] {
            let refused = read(line, b"SELECT 1".to_vec());
            assert_eq!(refused.map_err(|(status, _)| status), Err(400), "{line}");
        }
    }
}
