//! A TCP relay whose link can be made as bad as links are: between Directus and whoever asks it, or between a page and its server.
//!
//! `cargo xtask soak` uses this very file, and `xtask/src/relay.rs` tests it. It needs nothing but the standard library, and
//! blocks nobody but its own threads: those who set a fault may be on any runtime.

// Each program that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It arrives.
    Pass,
    /// Every connection, those to come too, ends after so many more bytes of the answer.
    CutAfter(usize),
    /// Packets vanish, and nobody is told: connections stay open, for ever if need be. What was connected meanwhile stays dead
    /// when this is over, as behind a router that has forgotten it.
    HalfOpen,
    /// So many bytes a second, each way, on each connection.
    Slow(usize),
    /// Everything comes later, by the first and up to the second more. Order is kept.
    Delay(Duration, Duration),
    /// There is no connection to be had, and those that were are lost.
    Refuse,
    /// A proxy on the way says that it cannot reach the server; connections that were there are lost.
    BadGateway,
    /// Segments of so many bytes.
    Split(usize),
    /// What comes within this time goes in one segment.
    Merge(Duration),
    /// What is sent arrives, and as soon as it is answered the connection is lost.
    AnswersLost,
    /// Whatever the server of a WebSocket says comes twice.
    Twice,
    /// After it comes what no server says today.
    Strange,
    /// After it comes what is no text, though it says so.
    Garbled,
    /// After it comes, once on each connection, a message of 70 MB.
    Oversized,
    /// It never says that a subscription has begun. Connections that were there are lost, so that some have to begin.
    NoInit,
}

impl Fault {
    /// What comes after a message of this frame.
    fn after(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Twice => message.to_vec(),
            Self::Strange => {
                let unknown = br#"{"type":"surprise","event":"init","data":[1]}"#;
                let binary = [0x82, 2, 0xff, 0];
                [&[TEXT, unknown.len() as u8], unknown.as_slice(), &binary].concat()
            }
            Self::Garbled => vec![TEXT, 2, 0xff, 0xfe],
            Self::Oversized => {
                let payload =
                    [EVENT_OF_NOBODY[0].to_owned(), "x".repeat(70 << 20), EVENT_OF_NOBODY[1].to_owned()].concat();
                [&[TEXT, 127], (payload.len() as u64).to_be_bytes().as_slice(), payload.as_bytes()].concat()
            }
            _ => Vec::new(),
        }
    }

    /// Whether it keeps a message from arriving.
    fn swallows(self, frame: &Frame) -> bool {
        let init = br#""event":"init""#;
        self == Self::NoInit && frame.payload().windows(init.len()).any(|part| part == init)
    }
}

/// What stands before and after the key that an event names; nobody has subscribed to it.
const EVENT_OF_NOBODY: [&str; 2] = [r#"{"type":"subscription","event":"update","data":[""#, r#""],"uid":"nobody's"}"#];

/// How the frame of a text begins that is a message of its own (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
/// More than any frame of ours; what is longer is passed over.
const LONGEST: usize = 8 * 1024 * 1024;

/// The frames in what the server of a WebSocket says, however that is cut up.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    stage: Stage,
    /// Of what is not whole yet.
    begun: Vec<u8>,
    /// Of a frame that is too long to be kept: so many bytes are to come.
    passed_over: usize,
}

#[derive(Debug, Default, PartialEq)]
enum Stage {
    /// The answer to the upgrade is not whole yet.
    #[default]
    Head,
    /// It was 101.
    Open,
    /// It was something else, or is no WebSocket any more.
    Other,
}

/// One frame; a server masks nothing.
#[derive(Debug)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    head: usize,
}

impl Frame {
    /// Whether it is the last one of its message, and its opcode.
    pub(crate) fn kind(&self) -> (bool, u8) {
        (self.bytes[0] & 0x80 != 0, self.bytes[0] & 0x0f)
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[self.head..]
    }
}

impl Frames {
    /// Whether the upgrade was answered with 101.
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether there are none, and will be none any more.
    pub(crate) fn are_none(&self) -> bool {
        self.stage == Stage::Other
    }

    /// So many bytes are there of a frame that is not whole yet.
    pub(crate) fn begun(&self) -> usize {
        if self.is_open() { self.begun.len() } else { 0 }
    }

    /// The frames that are whole with these bytes, and with how many of them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<(usize, Frame)> {
        let mut whole = Vec::new();
        if self.are_none() {
            return whole;
        }
        let passed_over = self.passed_over.min(bytes.len());
        self.passed_over -= passed_over;
        let before = self.begun.len();
        self.begun.extend_from_slice(&bytes[passed_over..]);
        let mut start = 0;
        if self.stage == Stage::Head
            && let Some(end) = self.begun.windows(4).position(|four| four == b"\r\n\r\n")
        {
            self.stage = if self.begun.starts_with(b"HTTP/1.1 101") { Stage::Open } else { Stage::Other };
            start = end + 4;
        }
        while self.is_open()
            && let Some((head, length)) = lengths(&self.begun[start..])
        {
            let there = &self.begun[start..];
            if length > LONGEST {
                self.passed_over = length.saturating_sub(there.len());
                start += length.min(there.len());
            } else if let Some(frame) = there.get(..length) {
                start += length;
                whole.push((passed_over + start - before, Frame { bytes: frame.to_vec(), head }));
            } else {
                break;
            }
        }
        self.begun.drain(..start);
        if self.are_none() || self.begun.len() > LONGEST {
            (self.stage, self.begun) = (Stage::Other, Vec::new());
        }
        whole
    }
}

/// Of the frame that begins here, as far as that can be told: the length of its head, and of all of it.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let long = |bytes: &[u8]| bytes.iter().fold(0, |length: usize, byte| length << 8 | usize::from(*byte));
    let (head, payload) = match bytes.get(1)? & 0x7f {
        126 => (4, long(bytes.get(2..4)?)),
        127 => (10, long(bytes.get(2..10)?)),
        short => (2, usize::from(short)),
    };
    Some((head, payload.checked_add(head)?))
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// Is shown all that arrives: the number of the connection, the way, the bytes.
pub(crate) type Tap = dyn Fn(u64, Way, &[u8]) + Send + Sync;

/// A port of loopback behind which there is another one.
pub(crate) struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    port: u16,
    server: SocketAddr,
    tap: Option<Box<Tap>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// Counts the calls of `set`, so that whoever waits in a fault learns that it is over.
    version: u64,
    is_listening: bool,
    is_over: bool,
    accepted: u64,
    connections: BTreeMap<u64, Connection>,
    random: u64,
}

struct Connection {
    near: TcpStream,
    /// None while nobody has connected it to the server, or ever will.
    far: Option<TcpStream>,
    /// So many bytes of the answer are left until it is cut.
    allowance: Option<usize>,
    is_silent: bool,
    /// Whether it has had its message that is too long.
    is_stuffed: bool,
    pumps: usize,
}

impl Connection {
    fn end(&self) {
        for stream in [Some(&self.near), self.far.as_ref()].into_iter().flatten() {
            // Whoever has hung up needs not be told.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Relay {
    /// Listens on a port of its own; `server` is an address or `http://` and an address.
    pub(crate) fn to(server: &str) -> io::Result<Self> {
        Self::tapped(server, None)
    }

    /// As [`Relay::to`], and `tap` is shown what arrives.
    pub(crate) fn tapped(server: &str, tap: Option<Box<Tap>>) -> io::Result<Self> {
        let server = server.trim_start_matches("http://").trim_end_matches('/');
        let server = server.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let state = State {
            fault: Fault::Pass,
            version: 0,
            is_listening: true,
            is_over: false,
            accepted: 0,
            connections: BTreeMap::new(),
            random: u64::from(port),
        };
        let shared = Arc::new(Shared { port, server, tap, state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(listener));
        Ok(Self { port, shared })
    }

    /// Where the server is for those at this end.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Connections that were accepted until now.
    pub(crate) fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// Connections that are open now, at either end.
    pub(crate) fn open(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Whether a connection that is open is one over which nothing comes any more.
    pub(crate) fn is_silent(&self, number: u64) -> bool {
        self.shared.lock().connections.get(&number).is_some_and(|connection| connection.is_silent)
    }

    /// Whether any connection is open over which nothing comes any more.
    pub(crate) fn has_silent(&self) -> bool {
        self.shared.lock().connections.values().any(|connection| connection.is_silent)
    }

    /// From now on it is so; what was set before is over.
    ///
    /// # Errors
    ///
    /// If the port was taken by somebody else while it refused.
    pub(crate) fn set(&self, fault: Fault) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.fault = fault;
        state.version += 1;
        for connection in state.connections.values_mut() {
            connection.allowance = None;
            match fault {
                Fault::CutAfter(0) | Fault::Refuse | Fault::BadGateway | Fault::NoInit => connection.end(),
                Fault::CutAfter(bytes) => connection.allowance = Some(bytes),
                Fault::HalfOpen => connection.is_silent = true,
                _ => {}
            }
        }
        self.shared.changed.notify_all();
        let is_listening = fault != Fault::Refuse;
        if state.is_listening == is_listening {
            return Ok(());
        }
        drop(state);
        if !is_listening {
            self.shared.wake_accept();
        }
        let wait = Duration::from_secs(5);
        let waiting = |state: &mut State| state.is_listening != is_listening;
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), wait, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() { Err(ErrorKind::AddrInUse.into()) } else { Ok(()) }
    }

    /// All connections that are there end now; new ones are none of this one's business.
    pub(crate) fn cut(&self) {
        self.shared.lock().connections.values().for_each(Connection::end);
    }

    /// Those that are there end after so many more bytes of the answer; new ones are none of this one's business.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.shared.lock().connections.values_mut().for_each(|connection| connection.allowance = Some(bytes));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        state.version += 1;
        state.connections.values().for_each(Connection::end);
        self.shared.changed.notify_all();
        drop(state);
        self.shared.wake_accept();
    }
}

/// What a pump does next.
enum Next {
    Go,
    Discard,
    End,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `accept` blocks until somebody comes.
    fn wake_accept(&self) {
        // Nobody listens any more: then nobody has to be woken.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }

    fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            let Some(listening) = &listener else {
                let refuses = |state: &mut State| state.fault == Fault::Refuse && !state.is_over;
                let mut state = self.changed.wait_while(self.lock(), refuses).unwrap_or_else(PoisonError::into_inner);
                if state.is_over {
                    return;
                }
                // A port in use is free again in a moment, or whoever called `set` is told.
                match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)) {
                    Ok(bound) => {
                        listener = Some(bound);
                        state.is_listening = true;
                        self.changed.notify_all();
                    }
                    Err(_) => drop(self.changed.wait_timeout(state, Duration::from_millis(20))),
                }
                continue;
            };
            let Ok((near, _)) = listening.accept() else { continue };
            let mut state = self.lock();
            if state.is_over {
                return;
            }
            if state.fault == Fault::Refuse {
                drop(near);
                listener = None;
                state.is_listening = false;
                self.changed.notify_all();
                continue;
            }
            state.accepted += 1;
            let number = state.accepted;
            drop(state);
            let shared = Arc::clone(&self);
            thread::spawn(move || shared.serve(number, near));
        }
    }

    fn serve(self: Arc<Self>, number: u64, near: TcpStream) {
        // The relay makes segments as it is told, not as they fall.
        let _ = near.set_nodelay(true);
        let Ok(kept) = near.try_clone() else { return };
        let mut state = self.lock();
        let fault = state.fault;
        let (is_silent, allowance) = match fault {
            Fault::HalfOpen => (true, None),
            Fault::CutAfter(bytes) => (false, Some(bytes)),
            _ => (false, None),
        };
        let connection = Connection { near: kept, far: None, allowance, is_silent, is_stuffed: false, pumps: 1 };
        state.connections.insert(number, connection);
        drop(state);
        if fault == Fault::BadGateway {
            // One who says nothing is told nothing.
            let _ = refuse(&near);
            self.leave(number, true);
            return;
        }
        if is_silent {
            self.pump(number, Way::Up, near, None);
            return;
        }
        let Ok(far) = TcpStream::connect(self.server) else { return self.leave(number, true) };
        let _ = far.set_nodelay(true);
        let clones = (near.try_clone(), far.try_clone(), far.try_clone());
        let (Ok(down_to), Ok(down_from), Ok(kept)) = clones else { return self.leave(number, true) };
        let mut state = self.lock();
        if state.is_over {
            drop(state);
            return self.leave(number, true);
        }
        if let Some(connection) = state.connections.get_mut(&number) {
            connection.far = Some(kept);
            connection.pumps = 2;
        }
        drop(state);
        let shared = Arc::clone(&self);
        thread::spawn(move || shared.pump(number, Way::Down, down_from, Some(&down_to)));
        self.pump(number, Way::Up, near, Some(&far));
    }

    /// One way of one connection, until its end.
    fn pump(&self, number: u64, way: Way, mut from: TcpStream, to: Option<&TcpStream>) {
        let mut buffer = vec![0; 16 * 1024];
        let mut is_lost = false;
        let mut frames = Frames::default();
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            let Some(to) = to else { continue };
            match self.pass(number, way, &mut from, &buffer[..count], &mut frames, to) {
                Ok(true) => {}
                _ => {
                    is_lost = true;
                    break;
                }
            }
        }
        let is_silent = self.lock().connections.get(&number).is_some_and(|connection| connection.is_silent);
        if !is_lost
            && !is_silent
            && let Some(to) = to
        {
            let _ = to.shutdown(Shutdown::Write);
        }
        self.leave(number, is_lost);
    }

    /// A pump has ended; the last one takes the connection with it.
    fn leave(&self, number: u64, is_lost: bool) {
        let mut state = self.lock();
        let Some(connection) = state.connections.get_mut(&number) else { return };
        if is_lost {
            connection.end();
        }
        connection.pumps -= 1;
        if connection.pumps == 0 {
            state.connections.remove(&number);
        }
    }

    fn next(&self, number: u64) -> (Fault, u64, Next) {
        let state = self.lock();
        let next = match state.connections.get(&number) {
            _ if state.is_over => Next::End,
            Some(connection) if connection.is_silent => Next::Discard,
            Some(_) => Next::Go,
            None => Next::End,
        };
        (state.fault, state.version, next)
    }

    /// Passes on what was read, in the way of the fault; whether the connection goes on.
    fn pass(
        &self,
        number: u64,
        way: Way,
        from: &mut TcpStream,
        bytes: &[u8],
        frames: &mut Frames,
        to: &TcpStream,
    ) -> io::Result<bool> {
        let mut rest = bytes;
        let mut more;
        while !rest.is_empty() {
            let (fault, version, next) = self.next(number);
            match next {
                Next::End => return Ok(false),
                Next::Discard => return Ok(true),
                Next::Go => {}
            }
            let size = match fault {
                Fault::AnswersLost if way == Way::Down => return Ok(false),
                Fault::Slow(rate) => {
                    let piece = (rate / 20).clamp(1, rest.len());
                    // The time that this piece takes; when the fault is over the rest goes at once.
                    let time = Duration::from_secs_f64(piece as f64 / rate.max(1) as f64);
                    self.hold(version, time);
                    piece
                }
                Fault::Delay(least, more) => {
                    self.hold(version, least + more.mul_f64(self.random()));
                    rest.len()
                }
                Fault::Split(size) => size.clamp(1, rest.len()),
                Fault::Merge(window) => {
                    self.hold(version, window);
                    more = rest.to_vec();
                    drain(from, &mut more)?;
                    rest = &more;
                    rest.len()
                }
                _ => rest.len(),
            };
            // What was held may have met another fault meanwhile.
            match self.next(number).2 {
                Next::End => return Ok(false),
                Next::Discard => return Ok(true),
                Next::Go => {}
            }
            let (piece, left) = rest.split_at(size);
            let whole = if way == Way::Down { frames.push(piece) } else { Vec::new() };
            let mut more = Vec::new();
            let mut done = 0;
            for (end, frame) in whole.into_iter().filter(|(_, frame)| frame.bytes[0] == TEXT) {
                // Of one that began in an earlier piece a part has arrived.
                let swallowed = end.checked_sub(frame.bytes.len()).filter(|_| fault.swallows(&frame));
                more.extend_from_slice(&piece[done..swallowed.unwrap_or(end)]);
                if fault != Fault::Oversized || self.is_first(number) {
                    more.extend(fault.after(&frame.bytes));
                }
                done = end;
            }
            more.extend_from_slice(&piece[done..]);
            if !self.deliver(number, way, &more, to)? {
                return Ok(false);
            }
            if let Fault::Split(_) = fault {
                // Without a pause the other end finds all of it together.
                drop(self.changed.wait_timeout(self.lock(), Duration::from_micros(100)));
            }
            rest = left;
        }
        Ok(true)
    }

    fn deliver(&self, number: u64, way: Way, bytes: &[u8], mut to: &TcpStream) -> io::Result<bool> {
        let mut allowed = bytes.len();
        if way == Way::Down
            && let Some(connection) = self.lock().connections.get_mut(&number)
            && let Some(allowance) = &mut connection.allowance
        {
            allowed = allowed.min(*allowance);
            *allowance -= allowed;
        }
        if let Some(tap) = &self.tap {
            tap(number, way, &bytes[..allowed]);
        }
        to.write_all(&bytes[..allowed])?;
        Ok(allowed == bytes.len())
    }

    /// Whether this connection is asked about for the first time.
    fn is_first(&self, number: u64) -> bool {
        let mut state = self.lock();
        let connection = state.connections.get_mut(&number);
        connection.is_some_and(|connection| !std::mem::replace(&mut connection.is_stuffed, true))
    }

    /// Waits so long, or until another fault is set.
    fn hold(&self, version: u64, time: Duration) {
        let held = |state: &mut State| state.version == version;
        drop(self.changed.wait_timeout_while(self.lock(), time, held));
    }

    /// Between 0 and 1; Marsaglia's xorshift.
    fn random(&self) -> f64 {
        let mut state = self.lock();
        state.random ^= state.random << 13;
        state.random ^= state.random >> 7;
        state.random ^= state.random << 17;
        (state.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// All that has come meanwhile.
fn drain(from: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    from.set_read_timeout(Some(Duration::from_millis(1)))?;
    // Only so much: somebody who never stops must not be held for ever.
    while into.len() < 1024 * 1024 {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => into.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        }
    }
    from.set_read_timeout(None)
}

/// What nginx says when nobody is behind it.
fn refuse(near: &TcpStream) -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    near.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = BufReader::new(near);
    let mut line = String::new();
    while head.read_line(&mut line)? > 0 && !line.trim().is_empty() && Instant::now() < end {
        line.clear();
    }
    let page = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>";
    let mut near = near;
    write!(
        near,
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}
