//! Who watches: mirrors in processes of their own, and pages in a browser, each behind a relay of its own.

use super::{
    record::Record,
    shapes::{Shape, as_table},
};
use crate::{
    failure::{Context, Failure, Result},
    process::Process,
    relay::Relay,
};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{ChildStdin, Command, Stdio},
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Longer than a page takes to load on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an observer shows.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// Rows, or a table of them.
    pub(super) rows: Value,
    /// What it says of itself.
    pub(super) status: String,
    pub(super) error: Value,
    /// Since when it shows just this.
    pub(super) since: Instant,
    /// How many rows a page showed, and when.
    pub(super) before: Value,
}

fn some_time_ago(millis: u64) -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_millis(millis)).unwrap_or(now)
}

/// Somebody who watches one query.
pub(super) struct Observer {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) relay: Relay,
    pub(super) record: Record,
    /// Whether our server stands between it and Directus.
    pub(super) through_server: bool,
    eyes: Eyes,
}

enum Eyes {
    Mirror(Mirror),
    Page(Rc<Browser>, usize),
}

/// What can become of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// It has no network.
    Offline,
    /// It is out of sight, and when it is seen again its clock says that hours have gone by. Only where that can be moved.
    Hidden,
    /// Somebody goes elsewhere, and back.
    Left,
}

/// Where a mirror asks.
pub(super) enum Place<'a> {
    /// Directus, as whoever has the token.
    Directus(&'a str),
    /// Our server, as anybody.
    Server,
}

impl Observer {
    /// A mirror of `shape` behind a relay to `server`; through our server it is nobody, else the administrator.
    pub(super) fn mirror(
        program: &Path,
        place: &Place<'_>,
        server: &str,
        shape: Shape,
        logs: &Path,
        number: usize,
    ) -> Result<Self> {
        let (relay, record) = link(server)?;
        let mut command = Command::new(program);
        let url = relay.url();
        match place {
            Place::Directus(token) => command.args(["--directus", &url]).env("DIRECTUS_TOKEN", token),
            Place::Server => command
                .args(["--directus", &format!("{url}/directus")])
                .args(["--ws", &format!("{}/directus-ws", url.replacen("http", "ws", 1))])
                .env_remove("DIRECTUS_TOKEN"),
        };
        command.args(["--key", shape.key]);
        if !shape.watch.is_empty() {
            command.args(["--watch", &shape.watch.join(",")]);
        }
        if let Some(seconds) = shape.revalidate {
            command.args(["--revalidate", &seconds.to_string()]);
        }
        command.arg(shape.collection).arg(shape.query.to_string());
        let through_server = matches!(place, Place::Server);
        let way = if through_server { "through the server" } else { "direct" };
        let name = format!("mirror {number} ({way})");
        let log = logs.join(format!("mirror-{number}.log"));
        let mirror = Mirror::start(&mut command, &log, shape.key, shape.never_empty)?;
        Ok(Self { name, shape, relay, record, through_server, eyes: Eyes::Mirror(mirror) })
    }

    /// A page at `/explore` behind a relay to `server`.
    pub(super) fn page(browser: &Rc<Browser>, number: usize, server: &str, shape: Shape) -> Result<Self> {
        let (relay, record) = link(server)?;
        let mut parameters =
            json!({ "collection": shape.collection, "query": shape.query.to_string(), "key": shape.key });
        if let Some(seconds) = shape.revalidate {
            parameters["revalidate"] = json!(seconds.to_string());
        }
        browser.ask(&json!({
            "page": number, "does": "open", "url": format!("{}/explore", relay.url()), "parameters": parameters,
            "never_empty": shape.never_empty, "movable": is_movable(number),
        }))?;
        let (name, eyes) = (format!("page {number}"), Eyes::Page(Rc::clone(browser), number));
        Ok(Self { name, shape, relay, record, through_server: true, eyes })
    }

    /// What it shows now.
    ///
    /// # Errors
    ///
    /// If it has ended, or shows what is wrong at any time.
    pub(super) fn shown(&mut self) -> Result<Shown> {
        match &mut self.eyes {
            Eyes::Mirror(mirror) => mirror.shown(),
            Eyes::Page(browser, number) => {
                let told = browser.ask(&json!({ "page": number, "does": "look" }));
                told.and_then(|mut told| match told["wrong"].as_str() {
                    Some(wrong) => Err(Failure::new(wrong.to_owned())),
                    None => Ok(Shown {
                        rows: told["rows"].take(),
                        // The list's own word, once the page says that there is a connection.
                        status: match (told["status"].as_str(), told["list"].as_str()) {
                            (Some("connected"), Some(list)) => list.to_owned(),
                            (status, _) => status.unwrap_or_default().to_owned(),
                        },
                        error: told["notice"].take(),
                        since: some_time_ago(told["unchanged_ms"].as_u64().unwrap_or_default()),
                        before: told["before"].take(),
                    }),
                })
            }
        }
        .map_err(|failure| Failure::new(format!("{} of “{}”: {failure}", self.name, self.shape.name)))
    }

    /// The rows of REST as this observer shows them.
    pub(super) fn as_shown(&self, rows: &[Value]) -> Value {
        match self.eyes {
            Eyes::Mirror(_) => json!(rows),
            Eyes::Page(..) => as_table(&self.shape, rows),
        }
    }

    /// Whether it says that its rows are kept right.
    pub(super) fn is_live(&self, shown: &Shown) -> bool {
        shown.status == "live"
    }

    /// Whether it says that Directus refuses it these rows.
    pub(super) fn is_refused(&self, shown: &Shown) -> bool {
        shown.status == "refused" && !shown.error.is_null()
    }

    /// Whether nothing comes over its socket, and nobody has told it so.
    pub(super) fn is_deaf(&self) -> bool {
        is_deaf(&self.relay, &self.record)
    }

    /// Begins or ends an absence of a page, if it is one. Whether it was left, and is back as the page that it was, out of the
    /// browser's cache.
    pub(super) fn set_absent(&self, absence: Absence, is_absent: bool) -> Result<bool> {
        let Eyes::Page(browser, number) = &self.eyes else { return Ok(false) };
        let does = match absence {
            Absence::Hidden if !is_movable(*number) => return Ok(false),
            Absence::Hidden => "hidden",
            Absence::Offline => "offline",
            Absence::Left => "left",
        };
        Ok(browser.ask(&json!({ "page": number, "does": does, "is": is_absent }))? == json!(true))
    }

    /// Lets a page out of sight, where it stands still, or a mirror sleep; and wakes it.
    pub(super) fn set_asleep(&self, is_asleep: bool) -> Result<()> {
        match &self.eyes {
            Eyes::Mirror(mirror) => mirror.process.set_asleep(is_asleep),
            Eyes::Page(browser, number) => {
                browser.ask(&json!({ "page": number, "does": "asleep", "is": is_asleep }))?;
            }
        }
        Ok(())
    }

    pub(super) fn is_page(&self) -> bool {
        matches!(self.eyes, Eyes::Page(..))
    }
}

/// Whether the clock of this page can be moved: then its timers are not quite the browser's own. Those of the first are.
fn is_movable(page: usize) -> bool {
    page > 0
}

/// Whether a socket over this relay has gone silent.
pub(super) fn is_deaf(relay: &Relay, record: &Record) -> bool {
    record.sockets().into_iter().any(|number| relay.is_silent(number))
}

/// A relay to `server` that is read along.
pub(super) fn link(server: &str) -> Result<(Relay, Record)> {
    let record = Record::default();
    let relay =
        Relay::tapped(server, Some(record.tap())).context(|| format!("there is no relay to be had to {server}"))?;
    Ok((relay, record))
}

/// The `mirror` example.
struct Mirror {
    process: Process,
    last: Arc<Mutex<Last>>,
}

#[derive(Debug)]
struct Last {
    line: Value,
    since: Instant,
    wrong: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mirror {
    fn start(command: &mut Command, log: &Path, key: &'static str, never_empty: bool) -> Result<Self> {
        let file = File::create(log).context(|| format!("cannot write {}", log.display()))?;
        command.stdout(Stdio::piped()).stderr(file);
        let mut process = Process::spawn(command, Some(log.to_owned()))?;
        let stdout = process.stdout().ok_or_else(|| Failure::new("a mirror has no output"))?;
        let last = Arc::new(Mutex::new(Last { line: Value::Null, since: Instant::now(), wrong: None }));
        let told = Arc::clone(&last);
        thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                let mut last = lock(&told);
                match serde_json::from_str::<Value>(&text) {
                    Ok(line) => {
                        if let Some(wrong) = never(&last.line, &line, key, never_empty) {
                            last.wrong.get_or_insert(wrong);
                        }
                        last.line = line;
                    }
                    Err(_) => drop(last.wrong.get_or_insert(format!("it said what is no JSON: {text}"))),
                }
                last.since = Instant::now();
            }
        });
        Ok(Self { process, last })
    }

    fn shown(&mut self) -> Result<Shown> {
        if let Some(status) = self.process.ended() {
            return Err(self.process.with_log(Failure::new(format!("it has ended ({status})"))));
        }
        let last = lock(&self.last);
        if let Some(wrong) = &last.wrong {
            return Err(Failure::new(wrong.clone()));
        }
        Ok(Shown {
            rows: last.line["rows"].clone(),
            status: last.line["status"].as_str().unwrap_or_default().to_owned(),
            error: last.line["error"].clone(),
            since: last.since,
            before: Value::Null,
        })
    }
}

/// What no line may be, whatever happens: one with a row twice, or without rows where there were and always are some.
fn never(before: &Value, line: &Value, key: &str, never_empty: bool) -> Option<String> {
    let rows = line["rows"].as_array()?;
    let mut keys = HashSet::new();
    if let Some(twice) = rows.iter().find(|row| !row[key].is_null() && !keys.insert(row[key].to_string())) {
        return Some(format!("it showed a row twice: {twice} in {line}"));
    }
    let had_rows = before["rows"].as_array().is_some_and(|rows| !rows.is_empty());
    (never_empty && had_rows && rows.is_empty()).then(|| format!("it blanked: {line} after {before}"))
}

/// A real browser with pages, driven by `end2end/soak/pages.mjs`.
pub(super) struct Browser {
    process: Mutex<Process>,
    talk: Mutex<(ChildStdin, Receiver<String>)>,
}

impl Browser {
    pub(super) fn start(end2end: &Path, chrome: &Path, log: &Path) -> Result<Self> {
        let file = File::create(log).context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("node");
        command.current_dir(end2end).arg("soak/pages.mjs").env("CHROME", chrome).stdout(Stdio::piped()).stderr(file);
        let mut process = Process::spawn_with(&mut command, Stdio::piped(), Some(log.to_owned()))?;
        let (Some(input), Some(output)) = (process.stdin(), process.stdout()) else {
            return Err(Failure::new("the browser's driver cannot be talked to"));
        };
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process: Mutex::new(process), talk: Mutex::new((input, answers)) })
    }

    /// One question, one answer.
    fn ask(&self, question: &Value) -> Result<Value> {
        let mut talk = lock(&self.talk);
        let (input, answers) = &mut *talk;
        let failed = |what: &str| lock(&self.process).with_log(Failure::new(format!("{what}: {question}")));
        writeln!(input, "{question}").map_err(|_| failed("the browser's driver has ended"))?;
        let answer = answers.recv_timeout(PATIENCE).map_err(|_| failed("the browser's driver does not answer"))?;
        let mut answer: Value = serde_json::from_str(&answer).context(|| "the driver's answer".to_owned())?;
        match answer["error"].as_str() {
            Some(error) => Err(Failure::new(format!("the browser: {error} ({question})"))),
            None => Ok(answer["value"].take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_there_twice_and_a_list_that_blanks_are_wrong_at_any_time() {
        let line = |rows| json!({ "status": "live", "error": null, "rows": rows });
        let (none, one) = (line(json!([])), line(json!([{ "id": 1 }])));
        assert_eq!(never(&none, &one, "id", true), None);
        assert_eq!(never(&one, &none, "id", false), None);
        assert!(never(&one, &none, "id", true).is_some_and(|wrong| wrong.starts_with("it blanked")));
        let twice = line(json!([{ "id": 1 }, { "id": 2 }, { "id": 1 }]));
        assert!(never(&one, &twice, "id", false).is_some_and(|wrong| wrong.starts_with("it showed a row twice")));
        // Groups of an aggregate have no key.
        assert_eq!(never(&one, &line(json!([{ "count": 1 }, { "count": 1 }])), "id", true), None);
    }
}
