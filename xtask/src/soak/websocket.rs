//! As much of the WebSocket protocol as the soak needs: to read along at a relay, and to write rows over a socket.

use crate::relay::Frames;
use base64::Engine;
use serde_json::Value;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// The texts in a server's bytes, however they are cut up.
#[derive(Debug, Default)]
pub(super) struct Texts {
    frames: Frames,
    fragments: Vec<u8>,
}

impl Texts {
    /// Whether the upgrade was answered with 101.
    pub(super) fn is_open(&self) -> bool {
        self.frames.is_open()
    }

    /// The texts that are whole now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        for (_, frame) in self.frames.push(bytes) {
            // Text, or what continues it.
            if let (is_last, 0 | 1) = frame.kind() {
                self.fragments.extend_from_slice(frame.payload());
                if is_last {
                    let text = std::mem::take(&mut self.fragments);
                    texts.push(String::from_utf8_lossy(&text).into_owned());
                }
            }
        }
        texts
    }
}

/// A client's end of a socket to Directus.
#[derive(Debug)]
pub(super) struct WebSocket {
    stream: TcpStream,
    heard: Texts,
    texts: std::collections::VecDeque<String>,
}

impl WebSocket {
    /// Opens a socket as whoever has `token`.
    ///
    /// # Errors
    ///
    /// If Directus is not there or refuses.
    pub(super) fn open(port: u16, token: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let key = base64::engine::general_purpose::STANDARD.encode([7_u8; 16]);
        write!(
            stream,
            "GET /websocket?access_token={token} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )?;
        let mut socket = Self { stream, heard: Texts::default(), texts: [].into() };
        while !socket.heard.is_open() {
            socket.read()?;
        }
        Ok(socket)
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.texts.extend(self.heard.push(&buffer[..count]));
        if self.heard.frames.are_none() { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        self.stream.write_all(&masked(message.to_string().as_bytes()))
    }

    /// Sends a command, and returns what it is answered with.
    ///
    /// # Errors
    ///
    /// If the socket is lost, or Directus says nothing for long.
    pub(super) fn ask(&mut self, command: &Value) -> io::Result<Value> {
        self.send(command)?;
        loop {
            while let Some(text) = self.texts.pop_front() {
                let Ok(frame) = serde_json::from_str::<Value>(&text) else { continue };
                if frame["type"] == "ping" {
                    self.send(&serde_json::json!({ "type": "pong" }))?;
                } else if frame["uid"] == command["uid"] {
                    return Ok(frame);
                }
            }
            self.read()?;
        }
    }
}

/// A text frame as clients send it; the mask is nobody's secret here.
fn masked(text: &[u8]) -> Vec<u8> {
    let mask = [0x5a, 0xa5, 0x3c, 0xc3];
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap_or(0)),
        length => match u16::try_from(length) {
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
    frame.extend_from_slice(&mask);
    frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's frame: no mask.
    fn frame(first: u8, text: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match u16::try_from(text.len()) {
            Ok(short @ 0..126) => frame.push(short.to_be_bytes()[1]),
            Ok(length) => {
                frame.push(126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                frame.push(127);
                frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(text);
        frame
    }

    #[test]
    fn text_frames_are_found_however_the_bytes_are_cut_up() {
        let texts = ["{}".to_owned(), "x".repeat(200), "ü".repeat(70_000), "two halves".to_owned()];
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
        for text in &texts[..3] {
            bytes.extend(frame(0x81, text.as_bytes()));
            bytes.extend(frame(0x89, b"a ping of the protocol"));
        }
        bytes.extend(frame(0x01, b"two "));
        bytes.extend(frame(0x80, b"halves"));
        for size in [1, 3, 1_000, bytes.len()] {
            let mut frames = Texts::default();
            let found: Vec<String> = bytes.chunks(size).flat_map(|chunk| frames.push(chunk)).collect();
            assert!(found == texts, "in pieces of {size}");
            assert!(frames.is_open());
        }
    }

    #[test]
    fn an_answer_that_is_no_upgrade_has_no_frames() {
        let mut frames = Texts::default();
        assert!(frames.push(b"HTTP/1.1 200 OK\r\n\r\n").is_empty());
        assert!(frames.push(&frame(0x81, b"{}")).is_empty() && !frames.is_open());
    }

    #[test]
    fn a_masked_frame_is_unmasked_to_what_was_sent() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let text: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0]).collect();
            let sent = masked(&text);
            let start = sent.len() - text.len();
            let mask = &sent[start - 4..start];
            let back: Vec<u8> = sent[start..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            assert!(back == text && sent[1] & 0x80 != 0, "{length}");
        }
    }
}
