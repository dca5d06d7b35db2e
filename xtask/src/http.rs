//! As much HTTP as loopback needs: one request per connection, both ways.

use crate::failure::{Context, Failure, Result};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A server on loopback, and who we are there.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    authority: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(port: u16, token: Option<&str>) -> Self {
        Self { authority: format!("127.0.0.1:{port}"), token: token.map(str::to_owned) }
    }

    /// One request; the whole answer.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or does not speak HTTP. A status is not an error here.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Reply> {
        let address = self.authority.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let authorization =
            self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {authorization}Content-Length: {}\r\n\r\n{body}",
            self.authority,
            body.len()
        )?;
        read_reply(BufReader::new(stream))
    }

    /// A request to Directus: the `data` of a good answer.
    ///
    /// # Errors
    ///
    /// If Directus cannot be reached or refuses; the text is Directus's own.
    pub(crate) fn data(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let reply = self.send(method, path, body).context(|| format!("{method} {path} failed"))?;
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        if !(200..300).contains(&reply.status) {
            let text = value["errors"][0]["message"].as_str().unwrap_or("no message");
            return Err(Failure::new(format!("Directus answered {method} {path} with {}: {text}", reply.status)));
        }
        Ok(value["data"].clone())
    }
}

fn read_reply(mut stream: impl BufRead) -> std::io::Result<Reply> {
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, "not an HTTP answer");
    let (first, headers) = read_head(&mut stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    let mut body = Vec::new();
    if headers.iter().any(|(name, value)| name == "transfer-encoding" && value.contains("chunked")) {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let size = line.trim().split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(|_| malformed())?;
            if size == 0 {
                break;
            }
            stream.by_ref().take(size).read_to_end(&mut body)?;
            stream.read_line(&mut String::new())?;
        }
    } else if let Some((_, length)) = headers.iter().find(|(name, _)| name == "content-length") {
        let length = length.parse().map_err(|_| malformed())?;
        stream.take(length).read_to_end(&mut body)?;
    } else {
        stream.read_to_end(&mut body)?;
    }
    Ok(Reply { status, body })
}

/// The first line, and the headers with their names in lower case.
pub(crate) fn read_head(stream: &mut impl BufRead) -> std::io::Result<(String, Vec<(String, String)>)> {
    // Nobody on loopback sends us more; whoever does is not listened to.
    let mut stream = stream.take(64 * 1024);
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok((first.trim_end().to_owned(), headers));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

/// A port that nobody uses now.
///
/// # Errors
///
/// If loopback gives none.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context(|| "no free port on 127.0.0.1".to_owned())?;
    Ok(listener.local_addr().context(|| "no free port on 127.0.0.1".to_owned())?.port())
}

/// Fails with one clear sentence if somebody already listens on `port`.
///
/// # Errors
///
/// If the port is taken or not ours to take.
pub(crate) fn check_port(port: u16, what: &str, mend: &str) -> Result<()> {
    // A listener on all addresses does not keep us from binding loopback on every system: ask by connecting first.
    let taken = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_millis(300)).is_ok();
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) if !taken => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Failure::new(format!("port {port} for {what} is not ours to take: {error}")).mend(mend))
        }
        _ => Err(Failure::new(format!("port {port}, which {what} needs, is taken by another process"))
            .mend(format!("{mend}; `ss -ltnp 'sport = :{port}'` (macOS: `lsof -i :{port}`) says who has it"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, status: u16, body: &str) {
        let reply = read_reply(answer.as_bytes()).expect("an answer");
        assert_eq!((reply.status, String::from_utf8_lossy(&reply.body).as_ref()), (status, body));
    }

    #[test]
    fn answers_are_read_with_a_length_in_chunks_and_to_the_end() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", 200, "abc");
        check("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n", 403, "abcde");
        check("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        assert!(read_reply("nonsense\r\n\r\n".as_bytes()).is_err());
        assert!(read_reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".as_bytes()).is_err());
    }

    #[test]
    fn a_taken_port_is_named_with_its_mend() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let failure = check_port(port, "the demo", "choose another by --port").expect_err("it is taken").to_string();
        assert!(failure.contains(&port.to_string()) && failure.contains("--port"), "{failure}");
        drop(listener);
        assert_eq!(check_port(port, "the demo", ""), Ok(()));
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().expect("a port");
        TcpListener::bind(("127.0.0.1", port)).expect("it was free");
    }
}
