//! What passes a relay: how often somebody read and reconnected, what was announced to them, and the last frames.

use super::websocket::Frames;
use crate::relay::{Tap, Way};
use serde_json::Value;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// So many frames are shown with a divergence.
const LAST_FRAMES: usize = 30;
/// A frame is shown up to here.
const SHOWN: usize = 400;
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
}

/// Reads along.
#[derive(Debug, Clone, Default)]
pub(super) struct Record(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    traffic: Traffic,
    last: VecDeque<String>,
    down: HashMap<u64, Frames>,
    up: HashMap<u64, Vec<u8>>,
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
                    self.traffic.reads += 1;
                }
                line.clear();
            } else if line.len() < LONGEST_LINE {
                line.push(*byte);
            }
        }
    }

    fn answered(&mut self, number: u64, bytes: &[u8]) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let Traffic { reads, events, sockets, last_socket } = record.traffic();
            assert_eq!((reads, events, sockets, last_socket.is_some()), (2, 2, 1, true), "in pieces of {size}");
            assert_eq!(record.sockets(), [1]);
            assert_eq!(record.last(), ["(socket 1 opened)", init, event, event]);
        }
    }
}
