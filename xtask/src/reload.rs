//! Tells open pages to reload, by the protocol of leptos' `AutoReload`: a WebSocket at `/live_reload`, and JSON on it.

use crate::{
    failure::{Context, Result},
    http::read_head,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// The pages that are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reloader {
    pages: Arc<Mutex<Vec<TcpStream>>>,
}

impl Reloader {
    /// Listens on `port`, until the process ends.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub(crate) fn listen(port: u16) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", port)).context(|| format!("cannot listen on port {port} for reloads"))?;
        let reloader = Self::default();
        let pages = reloader.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pages = pages.clone();
                // One that never finishes its request holds up nobody else.
                thread::spawn(move || {
                    if let Ok(stream) = accept(stream) {
                        pages.pages.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
                    }
                });
            }
        });
        Ok(reloader)
    }

    /// Everything anew.
    pub(crate) fn all(&self) {
        self.send(r#"{"css":null,"view":null,"all":true}"#);
    }

    /// The style sheet only.
    pub(crate) fn style(&self) {
        self.send(r#"{"css":"pkg/demo.css","view":null,"all":false}"#);
    }

    fn send(&self, text: &str) {
        let frame = text_frame(text);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        // A page that is gone is forgotten.
        pages.retain_mut(|page| page.write_all(&frame).is_ok());
    }
}

fn accept(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    let key = headers.iter().find(|(name, _)| name == "sec-websocket-key").map(|(_, value)| value.as_str());
    let mut stream = reader.into_inner();
    match key {
        Some(key) if first.starts_with("GET /live_reload") => {
            write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                accept_key(key)
            )?;
            Ok(stream)
        }
        _ => {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            Err(std::io::ErrorKind::InvalidInput.into())
        }
    }
}

/// RFC 6455, 4.2.2.
fn accept_key(key: &str) -> String {
    STANDARD.encode(sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest().bytes())
}

/// One unmasked text frame; ours are shorter than 126 bytes.
fn text_frame(text: &str) -> Vec<u8> {
    debug_assert!(text.len() < 126, "the length has one byte");
    let mut frame = vec![0x81, text.len().to_le_bytes()[0]];
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::free_port;
    use std::io::Read;

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn an_open_page_is_told_to_reload() {
        let port = free_port().expect("a port");
        let reloader = Reloader::listen(port).expect("it is free");
        let mut page = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        page.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        page.write_all(b"GET /live_reload HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            .expect("it reads");
        let mut reader = BufReader::new(page);
        assert_eq!(read_head(&mut reader).expect("an answer").0, "HTTP/1.1 101 Switching Protocols");
        // The page is on the list a moment after it has its answer.
        while reloader.pages.lock().expect("not poisoned").is_empty() {
            thread::yield_now();
        }
        reloader.all();
        let mut frame = [0; 37];
        reader.read_exact(&mut frame).expect("a frame");
        assert_eq!(frame[..2], [0x81, 35]);
        assert_eq!(&frame[2..], br#"{"css":null,"view":null,"all":true}"#);
    }

    #[test]
    fn whoever_asks_for_something_else_gets_404() {
        let port = free_port().expect("a port");
        let _reloader = Reloader::listen(port).expect("it is free");
        let reply = crate::http::Client::new(port, None).send("GET", "/", None).expect("an answer");
        assert_eq!(reply.status, 404);
    }
}
