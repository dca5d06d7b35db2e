//! Stops and starts Directus for tests that run in other processes: HTTP on loopback, each answer sent when it is done.

use crate::{
    directus::{Directus, Mode},
    failure::{Context, Failure, Result},
    http::read_head,
    report::Ticker,
};
use nix::sys::signal::Signal;
use std::{
    io::{BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// A Directus that others may stop and start.
#[derive(Debug)]
pub(super) struct Control {
    port: u16,
    directus: Arc<Mutex<Directus>>,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Stop(Signal),
    Start,
    Restart(Mode),
}

impl Control {
    /// Listens until the process ends.
    ///
    /// # Errors
    ///
    /// If loopback has no port.
    pub(super) fn listen(directus: Directus) -> Result<Self> {
        let directus = Arc::new(Mutex::new(directus));
        let listener = TcpListener::bind(("127.0.0.1", 0)).context(|| "no free port on 127.0.0.1".to_owned())?;
        let port = listener.local_addr().context(|| "no free port on 127.0.0.1".to_owned())?.port();
        let shared = Arc::downgrade(&directus);
        thread::spawn(move || {
            // One after the other: two requests at once would have no order. Over when the test is.
            for stream in listener.incoming().flatten() {
                let Some(directus) = shared.upgrade() else { return };
                // A caller that went away has nobody to be told.
                let _ = answer(stream, &directus);
            }
        });
        Ok(Self { port, directus })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The end of Directus's log as it is now.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.directus.lock().unwrap_or_else(PoisonError::into_inner).last_lines()
    }
}

fn answer(stream: TcpStream, directus: &Mutex<Directus>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    // A body is allowed and means nothing; unread, closing would reset the connection before the answer is read.
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    reader.by_ref().take(length.unwrap_or(0)).read_to_end(&mut Vec::new())?;
    let result = read(&first).and_then(|request| {
        run(request, &mut directus.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|failure| (500, failure))
    });
    let (status, text) = match result {
        Ok(()) => (200, "done".to_owned()),
        Err((status, failure)) => (status, failure.to_string()),
    };
    write!(
        reader.into_inner(),
        "HTTP/1.1 {status} -\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

fn run(request: Request, directus: &mut Directus) -> Result<()> {
    let mut ticker = Ticker::new("Directus starts");
    match request {
        Request::Stop(signal) => {
            directus.stop(signal);
            Ok(())
        }
        Request::Start => directus.start(&mut ticker),
        Request::Restart(mode) => {
            directus.stop(Signal::SIGTERM);
            directus.set_mode(mode);
            directus.start(&mut ticker)
        }
    }
}

fn read(first: &str) -> std::result::Result<Request, (u16, Failure)> {
    let unknown = || (404, Failure::new(format!("`{first}` is nothing that can be asked for here")));
    let target = first.strip_prefix("POST ").and_then(|rest| rest.split(' ').next()).ok_or_else(unknown)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    match path {
        "/directus/stop" => match value("signal") {
            None | Some("TERM") => Ok(Request::Stop(Signal::SIGTERM)),
            Some("KILL") => Ok(Request::Stop(Signal::SIGKILL)),
            Some(other) => Err((400, Failure::new(format!("`{other}` is no signal: expected TERM or KILL")))),
        },
        "/directus/start" => Ok(Request::Start),
        "/directus/restart" => {
            let mode = value("mode").unwrap_or("public").parse().map_err(|failure| (400, failure))?;
            Ok(Request::Restart(mode))
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_the_first_line() {
        assert_eq!(read("POST /directus/stop?signal=KILL HTTP/1.1"), Ok(Request::Stop(Signal::SIGKILL)));
        assert_eq!(read("POST /directus/stop HTTP/1.1"), Ok(Request::Stop(Signal::SIGTERM)));
        assert_eq!(read("POST /directus/start HTTP/1.1"), Ok(Request::Start));
        assert_eq!(read("POST /directus/restart?mode=strict HTTP/1.1"), Ok(Request::Restart(Mode::Strict)));
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let status = |line| read(line).map_err(|(status, _)| status);
        assert_eq!(status("GET /directus/stop HTTP/1.1"), Err(404));
        assert_eq!(status("POST /directus/drop HTTP/1.1"), Err(404));
        assert_eq!(status("POST /directus/stop?signal=HUP HTTP/1.1"), Err(400));
        assert_eq!(status("POST /directus/restart?mode=open HTTP/1.1"), Err(400));
    }
}
