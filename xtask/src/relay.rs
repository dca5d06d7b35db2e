//! The relay of the library's own tests, which is tried here: links that are cut, slow, silent, refused, late or torn.

#[path = "../../leptos-directus/tests/real/relay.rs"]
mod shared;

pub(crate) use shared::{Fault, Frames, Relay, Tap, Way};

use crate::failure::{Context, Failure, Result};
use std::{collections::BTreeMap, str::FromStr, time::Duration};

/// What another process may ask of relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// A new one before this port of loopback.
    Open(u16),
    /// The fault of the one that listens on this port.
    Set(u16, Fault),
    /// See [`Relay::cut`].
    Cut(u16),
    Close(u16),
}

impl Order {
    /// Reads it from its name and what belongs to it; none where the name is no order's.
    ///
    /// # Errors
    ///
    /// If something that belongs to it is missing, or is not what it could be.
    pub(crate) fn read<'a>(name: &str, value: impl Fn(&str) -> Option<&'a str>) -> Option<Result<Self>> {
        let relay = || number("relay", value("relay"));
        Some(match name {
            "open" => number("to", value("to")).map(Self::Open),
            "set" => relay().and_then(|relay| Ok(Self::Set(relay, fault(&value)?))),
            "cut" => relay().map(Self::Cut),
            "close" => relay().map(Self::Close),
            _ => return None,
        })
    }
}

fn fault<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Fault> {
    let millis = |name| number(name, value(name)).map(Duration::from_millis);
    Ok(match value("fault").unwrap_or_default() {
        "pass" => Fault::Pass,
        "cut-after" => Fault::CutAfter(number("bytes", value("bytes"))?),
        "half-open" => Fault::HalfOpen,
        "slow" => Fault::Slow(number("rate", value("rate"))?),
        "delay" => Fault::Delay(millis("least")?, millis("more")?),
        "refuse" => Fault::Refuse,
        "bad-gateway" => Fault::BadGateway,
        "split" => Fault::Split(number("bytes", value("bytes"))?),
        "merge" => Fault::Merge(millis("within")?),
        other => {
            let expected = "expected pass, cut-after, half-open, slow, delay, refuse, bad-gateway, split or merge";
            return Err(Failure::new(format!("`{other}` is no fault: {expected}")));
        }
    })
}

fn number<T: FromStr>(name: &str, text: Option<&str>) -> Result<T> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| Failure::new(format!("`{text}` is nothing that `{name}` can be")))
}

/// Relays by their ports.
#[derive(Default)]
pub(crate) struct Relays(BTreeMap<u16, Relay>);

impl Relays {
    /// Does it; what there is to say: the address of a new one.
    ///
    /// # Errors
    ///
    /// If there is no port for a new one, none at that port, or if its port was taken while it refused.
    pub(crate) fn obey(&mut self, order: Order) -> Result<String> {
        match order {
            Order::Open(port) => {
                let relay =
                    Relay::to(&format!("127.0.0.1:{port}")).context(|| "there is no relay to be had".to_owned())?;
                let url = relay.url();
                let own = number("a port", url.rsplit(':').next())?;
                self.0.insert(own, relay);
                return Ok(url);
            }
            Order::Set(port, fault) => {
                self.at(port)?.set(fault).context(|| format!("the relay at port {port} could not listen again"))?;
            }
            Order::Cut(port) => self.at(port)?.cut(),
            Order::Close(port) => {
                self.at(port)?;
                self.0.remove(&port);
            }
        }
        Ok("done".to_owned())
    }

    fn at(&self, port: u16) -> Result<&Relay> {
        self.0.get(&port).ok_or_else(|| Failure::new(format!("no relay is at port {port}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{ErrorKind, Read, Write},
        net::{TcpListener, TcpStream},
        sync::{Arc, Mutex},
        thread,
        time::Instant,
    };

    /// A server that says back what it hears.
    fn echo() -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count) = stream.read(&mut buffer) {
                        if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn relay() -> Relay {
        Relay::to(&echo()).expect("a relay")
    }

    fn connect(relay: &Relay) -> TcpStream {
        let stream = TcpStream::connect(relay.url().trim_start_matches("http://")).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time");
        stream
    }

    /// What comes back of `sent`: all of it, or what came before the end.
    fn back(stream: &mut TcpStream, sent: &[u8]) -> Vec<u8> {
        let _ = stream.write_all(sent);
        let mut got = Vec::new();
        let mut buffer = [0; 1024];
        while got.len() < sent.len() {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => got.extend_from_slice(&buffer[..count]),
            }
        }
        got
    }

    #[test]
    fn what_passes_arrives_whole_however_it_is_cut_up_or_held_back() {
        let relay = relay();
        let mut stream = connect(&relay);
        let text: Vec<u8> = (0..5_000_u32).flat_map(u32::to_le_bytes).collect();
        for fault in [
            Fault::Pass,
            Fault::Split(7),
            Fault::Merge(Duration::from_millis(20)),
            Fault::Delay(Duration::from_millis(1), Duration::from_millis(5)),
            Fault::Slow(1_000_000),
        ] {
            relay.set(fault).expect("it is set");
            assert!(back(&mut stream, &text) == text, "{fault:?}");
        }
        assert_eq!(relay.accepted(), 1, "none of these loses the connection");
    }

    #[test]
    fn a_cut_comes_after_as_many_bytes_of_the_answer_as_were_said() {
        let relay = relay();
        for bytes in 0..20 {
            relay.set(Fault::CutAfter(bytes)).expect("it is set");
            assert_eq!(back(&mut connect(&relay), &[1; 20]).len(), bytes);
        }
        relay.set(Fault::Pass).expect("it is set");
        let mut old = connect(&relay);
        assert_eq!(back(&mut old, b"before"), b"before");
        relay.cut_after(3);
        assert_eq!(back(&mut old, b"after"), b"aft");
        assert_eq!(back(&mut connect(&relay), b"anew"), b"anew", "new ones are not cut");
        let mut other = connect(&relay);
        assert_eq!(back(&mut other, b"before"), b"before");
        relay.cut();
        assert_eq!(back(&mut other, b"after"), b"");
    }

    #[test]
    fn on_a_half_open_link_everything_vanishes_and_nobody_is_told() {
        let relay = relay();
        let mut old = connect(&relay);
        assert_eq!(back(&mut old, b"before"), b"before");
        relay.set(Fault::HalfOpen).expect("it is set");
        let mut new = connect(&relay);
        for stream in [&mut old, &mut new] {
            stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
            stream.write_all(b"lost").expect("it looks open");
            let error = stream.read(&mut [0; 8]).expect_err("neither an answer nor an end");
            assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        }
        relay.set(Fault::Pass).expect("it is set");
        old.write_all(b"still lost").expect("it looks open");
        assert!(old.read(&mut [0; 8]).is_err(), "what was forgotten stays forgotten");
        assert_eq!(back(&mut connect(&relay), b"anew"), b"anew");
    }

    #[test]
    fn a_slow_link_takes_its_time_until_it_is_mended() {
        let relay = relay();
        relay.set(Fault::Slow(1_000)).expect("it is set");
        let mut stream = connect(&relay);
        let started = Instant::now();
        assert_eq!(back(&mut stream, &[1; 200]).len(), 200);
        // 0.2 s each way, less the first piece.
        assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
        let started = Instant::now();
        stream.write_all(&[1; 60_000]).expect("it is open");
        relay.set(Fault::Pass).expect("it is set");
        assert_eq!(back(&mut stream, &[]).len(), 0);
        let mut got = 0;
        while got < 60_000 {
            got += stream.read(&mut [0; 4096]).expect("the rest comes at once");
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[test]
    fn a_refusal_closes_the_port_and_what_was_connected_and_the_port_comes_back() {
        let relay = relay();
        let mut old = connect(&relay);
        assert_eq!(back(&mut old, b"before"), b"before");
        for _ in 0..3 {
            relay.set(Fault::Refuse).expect("it is set");
            let error = TcpStream::connect(relay.url().trim_start_matches("http://")).expect_err("it is refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(back(&mut old, b"after"), b"");
            relay.set(Fault::Pass).expect("it is set");
            old = connect(&relay);
            assert_eq!(back(&mut old, b"again"), b"again");
        }
    }

    #[test]
    fn a_bad_gateway_answers_502_and_loses_what_was_connected() {
        let relay = relay();
        let mut old = connect(&relay);
        assert_eq!(back(&mut old, b"before"), b"before");
        relay.set(Fault::BadGateway).expect("it is set");
        assert_eq!(back(&mut old, b"after"), b"");
        let mut new = connect(&relay);
        new.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("it listens");
        let mut answer = String::new();
        new.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }

    #[test]
    fn an_answer_can_be_lost_after_the_question_has_arrived() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tap: Box<Tap> = {
            let seen = Arc::clone(&seen);
            Box::new(move |number, way, bytes| seen.lock().expect("a list").push((number, way, bytes.to_vec())))
        };
        let relay = Relay::tapped(&echo(), Some(tap)).expect("a relay");
        relay.set(Fault::AnswersLost).expect("it is set");
        assert_eq!(back(&mut connect(&relay), b"question"), b"");
        assert_eq!(*seen.lock().expect("a list"), [(1, Way::Up, b"question".to_vec())]);
    }

    #[test]
    fn what_the_server_of_a_socket_says_comes_twice_or_has_something_after_it_wherever_it_is_cut() {
        let relay = relay();
        let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".as_slice();
        let long = [[0x81, 126, 1, 0].as_slice(), &[b'x'; 256]].concat();
        let (short, pong, strange) = (b"\x81\x02hi".as_slice(), b"\x8a\x00".as_slice(), br#"{"type":"surprise""#);
        for (fault, after_short, after_long) in [
            (Fault::Pass, b"".as_slice(), b"".as_slice()),
            (Fault::Twice, short, &long),
            (Fault::Garbled, b"\x81\x02\xff\xfe", b"\x81\x02\xff\xfe"),
        ] {
            relay.set(fault).expect("it is set");
            let said = [head, short, pong, &long].concat();
            let expected = [head, short, after_short, pong, &long, after_long].concat();
            for cut in [1, 3, head.len() + 1, head.len() + 3, said.len() - 1, said.len()] {
                let mut stream = connect(&relay);
                stream.set_nodelay(true).expect("it is open");
                let mut got = Vec::new();
                for piece in [&said[..cut], &said[cut..]] {
                    stream.write_all(piece).expect("it is open");
                    let wanted = if piece.len() == cut { cut.min(head.len()) } else { expected.len() };
                    while got.len() < wanted {
                        let mut buffer = [0; 1024];
                        let count = stream.read(&mut buffer).expect("it comes");
                        got.extend_from_slice(&buffer[..count]);
                    }
                }
                assert!(got == expected, "{fault:?}, cut after {cut}: {got:?}");
            }
        }
        relay.set(Fault::Strange).expect("it is set");
        let said = [head, short].concat();
        let mut stream = connect(&relay);
        stream.write_all(&said).expect("it is open");
        let mut got = Vec::new();
        while !got.ends_with(b"\x82\x02\xff\x00") {
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer).expect("it comes");
            got.extend_from_slice(&buffer[..count]);
        }
        assert!(got.starts_with(&said) && got[said.len() + 2..].starts_with(strange), "{got:?}");
        // What is no socket passes as it is.
        relay.set(Fault::Twice).expect("it is set");
        let plain = [b"HTTP/1.1 200 OK\r\n\r\n", short].concat();
        let mut stream = connect(&relay);
        assert_eq!(back(&mut stream, &plain), plain);
        assert_eq!(back(&mut stream, short), short);
    }

    /// A server's text of this length as a frame that says it in eight bytes.
    fn long_text(length: usize) -> Vec<u8> {
        [&[0x81, 127], (length as u64).to_be_bytes().as_slice(), &vec![b'x'; length]].concat()
    }

    #[test]
    fn a_frame_that_is_too_long_to_be_kept_is_passed_over_and_those_after_it_are_found() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".as_slice();
        let short = b"\x81\x02hi".as_slice();
        let said = [head, short, &long_text(9 << 20), short, &long_text(10 << 20), short].concat();
        for size in [1_000, said.len() / 2, said.len()] {
            let mut frames = Frames::default();
            let mut ends = Vec::new();
            for (number, piece) in said.chunks(size).enumerate() {
                for (end, frame) in frames.push(piece) {
                    assert_eq!(frame.payload(), b"hi");
                    ends.push(number * size + end);
                }
            }
            let first = head.len() + short.len();
            let second = first + 10 + (9 << 20) + short.len();
            assert_eq!(ends, [first, second, said.len()], "in pieces of {size}");
            assert!(frames.is_open());
        }
    }

    #[test]
    fn a_message_that_is_too_long_comes_once_on_each_connection() {
        let relay = relay();
        relay.set(Fault::Oversized).expect("it is set");
        let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".as_slice();
        let short = b"\x81\x02hi".as_slice();
        for _ in 0..2 {
            let mut stream = connect(&relay);
            stream.write_all(&[head, short, short].concat()).expect("it is open");
            let mut got = vec![0; head.len() + short.len()];
            stream.read_exact(&mut got).expect("it comes");
            assert_eq!(got, [head, short].concat());
            let mut length = [0; 10];
            stream.read_exact(&mut length).expect("it comes");
            assert_eq!(length[..2], [0x81, 127]);
            let length = u64::from_be_bytes(length[2..].try_into().expect("eight bytes"));
            assert!(length > 70 << 20, "{length}");
            let mut message = vec![0; usize::try_from(length).expect("a length")];
            stream.read_exact(&mut message).expect("it comes");
            let message: serde_json::Value = serde_json::from_slice(&message).expect("JSON");
            assert_eq!(message["uid"], "nobody's");
            let mut rest = vec![0; short.len()];
            stream.read_exact(&mut rest).expect("it comes");
            assert_eq!(rest, short);
        }
    }

    #[test]
    fn without_init_the_other_texts_of_a_new_connection_arrive() {
        let relay = relay();
        let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".as_slice();
        let short = b"\x81\x02hi".as_slice();
        let text = br#"{"type":"subscription","event":"init","uid":"a"}"#;
        let init = [&[0x81, u8::try_from(text.len()).expect("a short one")], text.as_slice()].concat();
        let mut old = connect(&relay);
        assert_eq!(back(&mut old, b"before"), b"before");
        relay.set(Fault::NoInit).expect("it is set");
        assert_eq!(back(&mut old, b"after"), b"", "who was there has to begin again");
        let mut stream = connect(&relay);
        stream.write_all(&[head, short, &init, short, &init].concat()).expect("it is open");
        let mut got = vec![0; head.len() + 2 * short.len()];
        stream.read_exact(&mut got).expect("it comes");
        assert_eq!(got, [head, short, short].concat());
        relay.set(Fault::Pass).expect("it is set");
        assert_eq!(back(&mut stream, &init), init);
    }

    #[test]
    fn who_leaves_is_told_on_and_nothing_stays_behind() {
        let relay = relay();
        let streams: Vec<TcpStream> = (0..5).map(|_| connect(&relay)).collect();
        for mut stream in streams {
            assert_eq!(back(&mut stream, b"x"), b"x");
        }
        let end = Instant::now() + Duration::from_secs(5);
        while relay.open() > 0 {
            assert!(Instant::now() < end, "{} connections are left", relay.open());
            thread::yield_now();
        }
    }

    fn order(text: &str) -> Option<Result<Order>> {
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        Order::read(name, |name| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')))
    }

    #[test]
    fn orders_are_read_with_what_belongs_to_them() {
        let millis = Duration::from_millis;
        for (text, expected) in [
            ("open?to=3000", Order::Open(3000)),
            ("set?relay=4000&fault=pass", Order::Set(4000, Fault::Pass)),
            ("set?relay=4000&fault=cut-after&bytes=40", Order::Set(4000, Fault::CutAfter(40))),
            ("set?relay=4000&fault=half-open", Order::Set(4000, Fault::HalfOpen)),
            ("set?relay=4000&fault=slow&rate=1000", Order::Set(4000, Fault::Slow(1_000))),
            ("set?relay=4000&fault=delay&least=20&more=30", Order::Set(4000, Fault::Delay(millis(20), millis(30)))),
            ("set?relay=4000&fault=refuse", Order::Set(4000, Fault::Refuse)),
            ("set?relay=4000&fault=bad-gateway", Order::Set(4000, Fault::BadGateway)),
            ("set?relay=4000&fault=split&bytes=7", Order::Set(4000, Fault::Split(7))),
            ("set?relay=4000&fault=merge&within=20", Order::Set(4000, Fault::Merge(millis(20)))),
            ("cut?relay=4000", Order::Cut(4000)),
            ("close?relay=4000", Order::Close(4000)),
        ] {
            assert_eq!(order(text), Some(Ok(expected)), "{text}");
        }
        for text in [
            "open",
            "open?to=70000",
            "set?relay=4000",
            "set?relay=4000&fault=slow",
            "set?relay=4000&fault=delay&least=20",
            "cut?relay=x",
            "close",
        ] {
            assert!(matches!(order(text), Some(Err(_))), "{text}");
        }
        assert_eq!(order("mend?relay=4000"), None);
    }

    #[test]
    fn a_relay_that_was_asked_for_passes_is_cut_and_is_gone_when_it_is_closed() {
        let echo = echo();
        let mut relays = Relays::default();
        let url = relays.obey(Order::Open(number("to", echo.rsplit(':').next()).expect("a port"))).expect("a relay");
        let address = url.trim_start_matches("http://");
        let port = number("relay", address.rsplit(':').next()).expect("a port");
        let connect = || TcpStream::connect(address).expect("it listens");
        let mut stream = connect();
        assert_eq!(back(&mut stream, b"before"), b"before");
        relays.obey(Order::Cut(port)).expect("it is there");
        assert_eq!(back(&mut stream, b"after"), b"");
        relays.obey(Order::Set(port, Fault::CutAfter(3))).expect("it is there");
        assert_eq!(back(&mut connect(), b"after"), b"aft");
        relays.obey(Order::Close(port)).expect("it is there");
        assert!(relays.obey(Order::Cut(port)).is_err());
    }
}
