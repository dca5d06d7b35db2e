//! A thousand clients of one server that went away: when they come back, by the engine's own decisions in virtual time.
#![cfg(feature = "native")]

use std::{collections::BTreeSet, iter, net::TcpListener, time::Duration};

use any_spawner::Executor;
use futures::StreamExt;
use leptos::prelude::{Owner, ToStream};
use leptos_directus::{
    ConnectionStatus, Directus, Error, NativeOptions, Page,
    connection::{ConnectionConfig, Machine, Millis, Output, SubscriptionSpec},
    live::{self, Feed, LiveConfig, LiveQuery},
};
use serde_json::Value;

const CLIENTS: u64 = 1_000;
/// Long enough that every connection counts as a stable one.
const LOST_AT: Millis = 100_000;

/// A page that is connected, and was for long.
fn client(seed: u64) -> Machine {
    let mut machine = Machine::new(ConnectionConfig { seed, ..ConnectionConfig::default() });
    let spec = SubscriptionSpec { collection: "posts".into(), event: None, query: None, label: "posts".into() };
    machine.subscribe(0, spec);
    let socket = opens(&mut machine).expect("it connects at once");
    machine.opened(0, socket);
    machine
}

/// The number of the try, if it tries.
fn opens(machine: &mut Machine) -> Option<u64> {
    let mut number = None;
    while let Some(output) = machine.next_output() {
        if let Output::Open(socket) = output {
            number = Some(socket);
        }
    }
    number
}

/// When it comes back to a server that is away for so long.
fn comes_back(seed: u64, away: Millis) -> Millis {
    let mut machine = client(seed);
    machine.closed(LOST_AT, 1, "the server went away");
    let mut now = LOST_AT;
    loop {
        if let Some(socket) = opens(&mut machine) {
            if now >= LOST_AT + away {
                return now - LOST_AT - away;
            }
            machine.refused(now, socket, &Error::network("nobody is there"));
        }
        now = machine.deadline().expect("it tries for ever").max(now);
        machine.tick(now);
    }
}

/// How many come back in each slot of so many milliseconds, and how long after what.
fn histogram(what: &str, slot: Millis, after: impl Fn(u64) -> Millis) -> Vec<u32> {
    let mut slots = Vec::new();
    for seed in 0..CLIENTS {
        let place = usize::try_from(after(seed) / slot).expect("a short time");
        if slots.len() <= place {
            slots.resize(place + 1, 0);
        }
        slots[place] += 1;
    }
    let most = slots.iter().copied().max().unwrap_or_default().max(1);
    println!("{CLIENTS} clients {what}, by {slot} ms:");
    for (place, count) in slots.iter().enumerate() {
        let bar = "#".repeat((count * 60 / most) as usize);
        println!("{:>7} ms {count:>4} {bar}", place as Millis * slot);
    }
    slots
}

#[test]
fn a_thousand_clients_of_a_server_that_was_away_come_back_one_by_one() {
    // Slots, and how many there may be in the fullest: three times what an even share of the wait would be.
    for (away, slot, at_most) in [(0, 10, 300), (1_000, 100, 300), (10_000, 1_000, 300), (60_000, 2_000, 240)] {
        let slots = histogram(&format!("of a server that was away for {away} ms"), slot, |seed| comes_back(seed, away));
        assert_eq!(slots.iter().sum::<u32>(), u32::try_from(CLIENTS).unwrap());
        assert!(slots.iter().all(|count| *count <= at_most), "too many at once after {away} ms: {slots:?}");
        assert!(slots.len() >= 8, "{away}: {slots:?}");
    }
}

/// A list that is up to date over a socket.
fn live(seed: u64) -> LiveQuery {
    let mut query = LiveQuery::new(LiveConfig { seed, ..LiveConfig::default() }, Some(Page::default()), 0);
    query.feed(0, Feed::Up);
    answer(&mut query, 0, Ok(Page::default()));
    query
}

fn answer(query: &mut LiveQuery, now: Millis, answer: Result<Page<Value>, Error>) {
    let read = iter::from_fn(|| query.next_output()).find_map(|output| match output {
        live::Output::Read(number, _) => Some(number),
        _ => None,
    });
    query.reply(now, read.expect("it reads"), answer);
}

/// They came back as one: each half a minute after the same moment, or when the same `Retry-After` was over.
#[test]
fn a_thousand_pages_do_not_read_in_one_instant() {
    let polls = histogram("that poll since they lost the same socket", 1_000, |seed| {
        let mut query = live(seed);
        query.feed(LOST_AT, Feed::Down);
        let first = query.deadline().unwrap() - LOST_AT;
        query.tick(LOST_AT + first);
        answer(&mut query, LOST_AT + first, Ok(Page::default()));
        let second = query.deadline().unwrap() - LOST_AT - first;
        assert!(first.max(second) <= 30_000, "{first}, {second}");
        first + second
    });
    let busy = || Error::answer(503, "SERVICE_UNAVAILABLE", "busy").with_retry_after(Some(Duration::from_secs(40)));
    let told = histogram("that were told to come again after 40 s", 20, |seed| {
        let mut query = live(seed);
        query.hint(LOST_AT, &[]);
        answer(&mut query, LOST_AT, Err(busy()));
        query.deadline().unwrap().checked_sub(LOST_AT + 40_000).expect("not before that")
    });
    for slots in [polls, told] {
        assert!(slots.iter().all(|count| *count <= 240), "too many at once: {slots:?}");
    }
}

/// Each page rolls its own dice, or all of the above would happen a thousand times at once.
#[tokio::test]
async fn clients_that_fail_at_the_same_time_wait_for_different_times() {
    // Whoever comes second finds the executor there.
    let _ = Executor::init_tokio();
    let owner = Owner::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let clients: Vec<Directus> = owner.with(|| {
        let url = format!("http://{closed}");
        (0..8).map(|_| Directus::native(NativeOptions::new(&url))).collect()
    });
    let mut waits = Vec::new();
    for directus in clients {
        directus.connect();
        let status = directus.status();
        let mut statuses = owner.with(|| status.to_stream());
        let wait = loop {
            match statuses.next().await.expect("it tries for ever") {
                ConnectionStatus::Reconnecting { retry_in, .. } if !retry_in.is_zero() => break retry_in,
                _ => {}
            }
        };
        waits.push(wait);
    }
    let different: BTreeSet<_> = waits.iter().collect();
    assert!(different.len() > 4, "{waits:?}");
}

#[test]
fn no_client_waits_longer_than_the_longest_delay() {
    let longest = ConnectionConfig::default().longest_delay.as_millis();
    for away in [0, 1_000, 60_000, 600_000] {
        let last = (0..CLIENTS).map(|seed| comes_back(seed, away)).max().unwrap();
        assert!(u128::from(last) <= longest, "{last} ms after {away} ms");
    }
}
