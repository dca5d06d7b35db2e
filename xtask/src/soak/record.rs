//! What passes a relay: how often somebody read and reconnected, what was announced to them, and the last frames.

use super::websocket::Texts;
use crate::relay::{Tap, Way};
use serde_json::Value;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// So many frames are shown with a divergence.
const LAST_FRAMES: usize = 30;
/// A frame is shown up to here.
const SHOWN: usize = 400;
/// An observer gives up a read by then.
const LONGEST_READ: Duration = Duration::from_secs(20);
/// No request line of ours is longer.
const LONGEST_LINE: usize = 16 * 1024;

/// Counts of one observer's link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    /// Reads of rows.
    pub(super) reads: u64,
    /// Creates, updates and deletes that were announced.
    pub(super) events: u64,
    /// Sockets that opened.
    pub(super) sockets: u64,
    /// When the last of them did.
    pub(super) last_socket: Option<Instant>,
    /// Reads that were answered by 503 with a time to come back.
    pub(super) busy: u64,
    /// Reads that came before that time was over.
    pub(super) early: u64,
}

/// Reads along.
#[derive(Debug, Clone, Default)]
pub(super) struct Record(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    traffic: Traffic,
    last: VecDeque<String>,
    down: HashMap<u64, Texts>,
    up: HashMap<u64, Vec<u8>>,
    /// Reads of rows that are not answered, by their connections.
    unanswered: HashMap<u64, Instant>,
    /// Before that, nothing is to be read.
    closed_until: Option<Instant>,
}

impl Record {
    pub(super) fn tap(&self) -> Box<Tap> {
        let record = self.clone();
        Box::new(move |number, way, bytes| match way {
            Way::Up => record.lock().asked(number, bytes),
            Way::Down => record.lock().answered(number, bytes),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.lock().traffic
    }

    /// The connections that became sockets, those that are gone too.
    pub(super) fn sockets(&self) -> Vec<u64> {
        self.lock().down.iter().filter(|(_, frames)| frames.is_open()).map(|(number, _)| *number).collect()
    }

    /// The last frames, oldest first.
    pub(super) fn last(&self) -> Vec<String> {
        self.lock().last.iter().cloned().collect()
    }
}

impl Inner {
    /// Finds the lines by which rows are asked for; a line may come in pieces.
    fn asked(&mut self, number: u64, bytes: &[u8]) {
        let line = self.up.entry(number).or_default();
        for byte in bytes {
            if *byte == b'\n' {
                let is_read = line.starts_with(b"GET /") || line.starts_with(b"SEARCH /");
                if is_read && line.windows(7).any(|seven| seven == b"/items/") {
                    let now = Instant::now();
                    self.traffic.reads += 1;
                    self.unanswered.insert(number, now);
                    // The observer's clock counts whole milliseconds.
                    if self.closed_until.is_some_and(|until| now + Duration::from_millis(5) < until) {
                        self.traffic.early += 1;
                    }
                }
                line.clear();
            } else if line.len() < LONGEST_LINE {
                line.push(*byte);
            }
        }
    }

    /// Whether a read of rows was told to come back later, as far as that can be told: not where its answer comes in pieces, nor
    /// where another one is on its way, which may be the one that is waited for.
    fn hear_of_pressure(&mut self, number: u64, bytes: &[u8]) {
        if !bytes.starts_with(b"HTTP/1.1 ") {
            return;
        }
        let Some(asked) = self.unanswered.remove(&number) else { return };
        self.unanswered.retain(|_, asked| asked.elapsed() < LONGEST_READ);
        if let Some(wait) = wait_asked_for(bytes)
            && self.unanswered.is_empty()
            && asked.elapsed() < Duration::from_secs(1)
        {
            self.traffic.busy += 1;
            self.closed_until = Some(Instant::now() + wait);
        }
    }

    fn answered(&mut self, number: u64, bytes: &[u8]) {
        self.hear_of_pressure(number, bytes);
        let frames = self.down.entry(number).or_default();
        let was_open = frames.is_open();
        let texts = frames.push(bytes);
        if frames.is_open() && !was_open {
            self.traffic.sockets += 1;
            self.traffic.last_socket = Some(Instant::now());
            self.keep(format!("(socket {number} opened)"));
        }
        for text in texts {
            if let Ok(frame) = serde_json::from_str::<Value>(&text)
                && frame["type"] == "subscription"
                && ["create", "update", "delete"].iter().any(|event| frame["event"] == *event)
            {
                self.traffic.events += 1;
            }
            self.keep(text);
        }
    }

    fn keep(&mut self, mut text: String) {
        if text.len() > SHOWN {
            let end = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        if self.last.len() == LAST_FRAMES {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }
}

/// The `Retry-After` of a whole answer that says 503: one that breaks off is no answer.
fn wait_asked_for(answer: &[u8]) -> Option<Duration> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "503")?;
    let number = |wanted: &str| {
        head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            if name.eq_ignore_ascii_case(wanted) { value.trim().parse::<u64>().ok() } else { None }
        })
    };
    let is_whole = number("content-length").map_or(body.ends_with("0\r\n\r\n"), |length| body.len() as u64 >= length);
    number("retry-after").filter(|_| is_whole).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_before_the_time_that_directus_asked_for_is_early() {
        let read = b"GET /items/posts HTTP/1.1\r\n\r\n";
        let busy = |seconds: u64| {
            format!("HTTP/1.1 503 Service Unavailable\r\nretry-after: {seconds}\r\nContent-Length: 2\r\n\r\n{{}}")
        };
        let record = Record::default();
        let tap = record.tap();
        let expect = |busy: u64, early: u64| {
            let traffic = record.traffic();
            assert_eq!((traffic.busy, traffic.early), (busy, early));
        };
        tap(1, Way::Up, read);
        tap(1, Way::Down, busy(0).as_bytes());
        tap(1, Way::Up, read);
        expect(1, 0);
        tap(1, Way::Down, busy(60).as_bytes());
        tap(1, Way::Up, b"GET /users/me HTTP/1.1\r\n\r\n");
        expect(2, 0);
        tap(1, Way::Up, read);
        expect(2, 1);
        // One that breaks off was no answer.
        tap(1, Way::Down, &busy(90).as_bytes()[..70]);
        expect(2, 1);
        tap(1, Way::Up, read);
        expect(2, 2);
        // Two are on their way: which of them is still waited for, nobody sees from here.
        tap(2, Way::Up, read);
        tap(1, Way::Down, busy(60).as_bytes());
        expect(2, 3);
    }

    #[test]
    fn reads_sockets_and_events_are_counted_however_they_are_cut_up() {
        let event = r#"{"type":"subscription","event":"update","data":[{"id":1}],"uid":"x#1"}"#;
        let init = r#"{"type":"subscription","event":"init","uid":"x#1"}"#;
        let mut down = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        for text in [init, event, event] {
            down.extend([0x81, u8::try_from(text.len()).expect("a short frame")]);
            down.extend(text.as_bytes());
        }
        let up = "GET /directus/items/posts?limit=-1 HTTP/1.1\r\nHost: x\r\n\r\nSEARCH /items/posts HTTP/1.1\r\n\r\n{}\
                  POST /items/posts HTTP/1.1\r\n\r\nGET /pkg/demo.js HTTP/1.1\r\n\r\n";
        for size in [1, 10, 10_000] {
            let record = Record::default();
            let tap = record.tap();
            down.chunks(size).for_each(|bytes| tap(1, Way::Down, bytes));
            up.as_bytes().chunks(size).for_each(|bytes| tap(2, Way::Up, bytes));
            let Traffic { reads, events, sockets, last_socket, .. } = record.traffic();
            assert_eq!((reads, events, sockets, last_socket.is_some()), (2, 2, 1, true), "in pieces of {size}");
            assert_eq!(record.sockets(), [1]);
            assert_eq!(record.last(), ["(socket 1 opened)", init, event, event]);
        }
    }
}
