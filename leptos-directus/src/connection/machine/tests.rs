//! What the machine promises, told as stories.

use serde_json::json;

use super::*;
use crate::protocol::{DirectusCodec, EventKind};
use codee::Decoder;

const SECOND: Millis = 1_000;

/// A machine whose outputs are taken after each step.
struct Page {
    machine: Machine,
    now: Millis,
}

impl Page {
    fn new() -> Self {
        Self { machine: Machine::new(ConnectionConfig::default()), now: 1_000_000 }
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.next_output()).collect()
    }

    fn subscribe(&mut self, collection: &str) -> SubscriptionId {
        let spec = SubscriptionSpec {
            collection: collection.to_owned(),
            event: Some(EventKind::Update),
            query: None,
            label: collection.to_owned(),
        };
        self.machine.subscribe(self.now, spec)
    }

    /// Time passes, with the ticks that the machine asks for.
    fn wait(&mut self, millis: Millis) -> Vec<Output> {
        let end = self.now + millis;
        let mut outputs = self.outputs();
        while let Some(at) = self.machine.deadline().filter(|at| *at <= end) {
            assert!(at >= self.now || at == 0 || self.machine.is_open(), "a deadline that is over is never served");
            self.now = self.now.max(at);
            self.machine.tick(self.now);
            let more = self.outputs();
            // A socket that is asked for is not there by itself: the test says what becomes of it.
            let is_open = more.iter().any(|output| matches!(output, Output::Open(_)));
            outputs.extend(more);
            if is_open {
                return outputs;
            }
        }
        self.now = end;
        outputs
    }

    fn frame(&mut self, frame: &serde_json::Value) -> Vec<Output> {
        let frame = DirectusCodec::decode(frame.to_string().as_str()).unwrap();
        self.machine.frame(self.now, frame);
        self.outputs()
    }

    /// Opens, and gives what was sent.
    fn open(&mut self) -> Vec<Output> {
        let number = self.opening();
        self.machine.opened(self.now, number);
        self.outputs()
    }

    /// The number of the try that the machine asks for next.
    fn opening(&mut self) -> u64 {
        for _ in 0..100 {
            if let Some(number) = self.outputs().iter().find_map(|output| match output {
                Output::Open(number) => Some(*number),
                _ => None,
            }) {
                return number;
            }
            let at = self.machine.deadline().expect("nothing is going to happen");
            self.now = self.now.max(at);
            self.machine.tick(self.now);
        }
        panic!("the machine does not want to connect");
    }

    fn acknowledge(&mut self, uid: &str) -> Vec<Output> {
        self.frame(&json!({ "type": "subscription", "event": "init", "uid": uid }))
    }
}

/// The uids of the `subscribe` frames among these.
fn subscribed(outputs: &[Output]) -> Vec<String> {
    sent(outputs).into_iter().filter(|frame| frame["type"] == "subscribe").map(|frame| uid(&frame)).collect()
}

fn uid(frame: &serde_json::Value) -> String {
    frame["uid"].as_str().unwrap_or_default().to_owned()
}

fn sent(outputs: &[Output]) -> Vec<serde_json::Value> {
    use codee::Encoder;
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Send(message) => Some(DirectusCodec::encode(message).unwrap()),
        _ => None,
    });
    frames.map(|text| serde_json::from_str(&text).unwrap()).collect()
}

fn statuses(outputs: &[Output]) -> Vec<&'static str> {
    let statuses = outputs.iter().filter_map(|output| match output {
        Output::Status(status) => Some(status.as_str()),
        _ => None,
    });
    statuses.collect()
}

fn events(outputs: &[Output]) -> Vec<&'static str> {
    let events = outputs.iter().filter_map(|output| match output {
        Output::Event(_, Notice::Acknowledged(_)) => Some("acknowledged"),
        Output::Event(_, Notice::Changed(_)) => Some("changed"),
        Output::Event(_, Notice::Failed { alive: true, .. }) => Some("failed, alive"),
        Output::Event(_, Notice::Failed { .. }) => Some("failed"),
        Output::Event(_, Notice::Doubted) => Some("doubted"),
        Output::Event(_, Notice::Lost) => Some("lost"),
        _ => None,
    });
    events.collect()
}

#[test]
fn nothing_is_opened_until_somebody_subscribes() {
    let mut page = Page::new();
    assert_eq!(page.wait(3_600 * SECOND), []);
    page.subscribe("posts");
    assert!(page.outputs().contains(&Output::Open(1)));
}

#[test]
fn uids_are_never_used_twice() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.subscribe("posts");
    assert_eq!(subscribed(&page.open()), ["posts#1", "posts#2"]);
}

#[test]
fn an_unsubscribe_waits_for_the_acknowledgement() {
    let mut page = Page::new();
    page.subscribe("authors");
    let id = page.subscribe("posts");
    page.open();
    page.machine.unsubscribe(page.now, id);
    assert_eq!(sent(&page.outputs()), [] as [serde_json::Value; 0], "sent now, it would leave a zombie behind");
    let outputs = page.acknowledge("posts#2");
    assert_eq!(sent(&outputs), [json!({ "type": "unsubscribe", "uid": "posts#2" })]);
    assert_eq!(events(&outputs), [] as [&str; 0]);
    assert_eq!(page.machine.subscriptions(), 1);
}

#[test]
fn the_socket_lingers_and_then_closes() {
    let mut page = Page::new();
    let id = page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    page.machine.unsubscribe(page.now, id);
    assert!(!page.wait(4 * SECOND).contains(&Output::Close));
    let outputs = page.wait(2 * SECOND);
    assert!(outputs.contains(&Output::Close));
    assert_eq!(statuses(&outputs), ["idle"]);
    assert_eq!(page.machine.deadline(), None, "a timer was left behind");
    assert_eq!(page.machine.subscriptions(), 0);
}

#[test]
fn somebody_who_comes_back_within_the_linger_keeps_the_socket() {
    let mut page = Page::new();
    let id = page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    page.machine.unsubscribe(page.now, id);
    page.wait(4 * SECOND);
    page.subscribe("posts");
    let outputs = page.wait(2 * SECOND);
    assert!(!outputs.contains(&Output::Close));
    assert_eq!(subscribed(&outputs), ["posts#2"]);
}

#[test]
fn a_lost_socket_is_opened_again_with_all_its_subscriptions() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.subscribe("authors");
    page.open();
    page.acknowledge("posts#1");
    page.acknowledge("authors#2");
    page.machine.closed(page.now, 1, "gone");
    let outputs = page.outputs();
    assert_eq!(events(&outputs), ["lost", "lost"]);
    assert_eq!(statuses(&outputs), ["reconnecting"]);
    assert_eq!(subscribed(&page.open()), ["posts#1", "authors#2"]);
}

#[test]
fn it_is_tried_for_ever() {
    let mut page = Page::new();
    page.subscribe("posts");
    for _ in 0..1_000 {
        let number = page.opening();
        let before = page.now;
        page.machine.refused(page.now, number, &Error::network("no"));
        let at = page.machine.deadline().unwrap();
        assert!(at <= before + 30 * SECOND, "the wait grew beyond 30 s");
    }
}

#[test]
fn a_silent_link_is_pinged_and_then_given_up() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    let outputs = page.wait(11 * SECOND);
    assert_eq!(sent(&outputs), [json!({ "type": "ping" })]);
    let outputs = page.wait(8 * SECOND);
    assert!(outputs.contains(&Output::Close));
    assert_eq!(statuses(&outputs)[0], "reconnecting");
}

#[test]
fn a_link_that_answers_is_kept_for_ever() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    for _ in 0..1_000 {
        let outputs = page.wait(10 * SECOND);
        assert_eq!(sent(&outputs), [json!({ "type": "ping" })]);
        assert_eq!(page.frame(&json!({ "type": "pong" })), []);
    }
}

#[test]
fn a_ping_of_directus_is_answered() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    assert_eq!(sent(&page.frame(&json!({ "type": "ping" }))), [json!({ "type": "pong" })]);
}

#[test]
fn a_socket_that_hangs_while_opening_is_given_up() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.opening();
    let outputs = page.wait(15 * SECOND);
    assert!(outputs.contains(&Output::Close));
    assert_eq!(statuses(&outputs)[0], "reconnecting");
}

#[test]
fn a_server_that_never_acknowledges_is_given_up() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    // It answers pings all the same.
    for _ in 0..3 {
        page.wait(3 * SECOND);
        page.frame(&json!({ "type": "pong" }));
    }
    assert!(page.wait(2 * SECOND).contains(&Output::Close));
}

#[test]
fn a_subscription_that_is_never_answered_costs_those_that_are_nothing() {
    let mut page = Page::new();
    page.subscribe("posts");
    let ignored = page.subscribe("nowhere");
    page.open();
    page.acknowledge("posts#1");
    let mut outputs = Vec::new();
    for _ in 0..6 {
        outputs.extend(page.wait(7 * SECOND));
        page.frame(&json!({ "type": "pong" }));
    }
    assert!(!outputs.contains(&Output::Close));
    assert!(outputs.iter().any(
        |output| matches!(output, Output::Event(id, Notice::Failed { alive: false, error }) if *id == ignored && error.is_timeout())
    ));
    assert_eq!(subscribed(&outputs), ["nowhere#2"], "it is asked for again");
    assert_eq!(events(&page.acknowledge("nowhere#2")), ["acknowledged"], "late, it counts all the same");
}

#[test]
fn a_refusal_is_the_second_answer_to_a_subscription_that_was_asked_for_again() {
    let refusal = json!({
        "type": "subscribe", "status": "error", "uid": "slow#2", "error": { "code": "FORBIDDEN", "message": "no" },
    });
    // A frame may come twice.
    for acknowledged in [1, 2] {
        let mut page = Page::new();
        page.subscribe("posts");
        page.subscribe("slow");
        page.open();
        page.acknowledge("posts#1");
        page.wait(7 * SECOND);
        page.frame(&json!({ "type": "pong" }));
        assert_eq!(subscribed(&page.wait(7 * SECOND)), ["slow#2"]);
        for _ in 0..acknowledged {
            assert_eq!(events(&page.acknowledge("slow#2")), ["acknowledged"]);
        }
        let outputs = page.frame(&refusal);
        let is_dead = |output: &Output| matches!(output, Output::Event(_, Notice::Failed { alive: false, .. }));
        assert!(outputs.iter().any(is_dead), "{outputs:?}");
        // Once it is answered anew, an error is about an event: it lives on.
        page.wait(40 * SECOND);
        page.acknowledge("slow#2");
        let outputs = page.frame(&refusal);
        assert!(!outputs.iter().any(is_dead), "{outputs:?}");
    }
}

#[test]
fn whoever_waits_hears_of_the_second_socket_that_gave_no_answer() {
    let mut page = Page::new();
    page.subscribe("nowhere");
    let mut heard = Vec::new();
    for _ in 0..2 {
        page.open();
        page.wait(5 * SECOND);
        page.frame(&json!({ "type": "pong" }));
        heard.push(events(&page.wait(6 * SECOND)));
    }
    assert_eq!(heard, [vec!["lost"], vec!["lost", "failed"]]);
}

#[test]
fn the_end_of_an_older_socket_is_not_the_end_of_this_one() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.machine.reopen(page.now);
    page.open();
    page.machine.closed(page.now, 1, "late");
    assert_eq!(page.outputs(), []);
    assert!(page.machine.is_open());
}

#[test]
fn disconnect_is_for_everybody_and_until_connect() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.machine.disconnect(page.now);
    let outputs = page.outputs();
    assert!(outputs.contains(&Output::Close));
    assert_eq!(statuses(&outputs), ["closed"]);
    page.subscribe("authors");
    assert_eq!(page.wait(3_600 * SECOND), []);
    page.machine.connect(page.now);
    assert_eq!(subscribed(&page.open()), ["posts#1", "authors#2"]);
}

#[test]
fn online_and_a_page_that_is_seen_again_try_at_once() {
    for wake in [Wake::Online, Wake::Visible { hidden: Duration::ZERO }, Wake::Asked] {
        let mut page = Page::new();
        page.subscribe("posts");
        for _ in 0..12 {
            let number = page.opening();
            page.machine.refused(page.now, number, &Error::network("no"));
        }
        page.outputs();
        page.machine.wake(page.now, wake);
        assert!(page.outputs().iter().any(|output| matches!(output, Output::Open(_))), "{wake:?}");
    }
}

/// It failed: an opening that got lost was waited for until its 15 s were over, whoever asked for a try.
#[test]
fn an_opening_that_may_have_got_lost_is_made_anew_when_somebody_asks() {
    for wake in [Wake::Online, Wake::Visible { hidden: Duration::ZERO }, Wake::Asked] {
        let mut page = Page::new();
        page.subscribe("posts");
        let number = page.opening();
        page.machine.wake(page.now, wake);
        assert_eq!(page.outputs(), [], "it has just set out: {wake:?}");
        page.wait(3 * SECOND);
        page.machine.wake(page.now, wake);
        assert_eq!(page.outputs()[..2], [Output::Close, Output::Open(number + 1)], "{wake:?}");
        page.machine.opened(page.now, number);
        assert!(!page.machine.is_open(), "the old one comes too late");
        page.machine.opened(page.now, number + 1);
        assert!(page.machine.is_open());
    }
    let mut page = Page::new();
    page.subscribe("posts");
    page.opening();
    page.wait(3 * SECOND);
    page.machine.wake(page.now, Wake::Offline);
    assert_eq!(page.outputs(), []);
}

#[test]
fn waking_up_asks_an_open_link_whether_it_lives() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    // The machine slept: no timer came.
    page.now += 3_600 * SECOND;
    page.machine.wake(page.now, Wake::Visible { hidden: Duration::from_secs(3_600) });
    assert_eq!(sent(&page.outputs()), [json!({ "type": "ping" })]);
    assert!(page.wait(4 * SECOND).contains(&Output::Close), "a dead link is noticed soon after");
}

/// It failed: a click into the window cost a socket over which a long frame was on its way.
#[test]
fn looking_at_the_page_takes_a_slow_link_for_dead_no_sooner() {
    for (wake, patience) in [
        (Wake::Visible { hidden: Duration::from_secs(3) }, 18),
        (Wake::Visible { hidden: Duration::from_secs(18) }, 4),
        (Wake::Asked, 18),
        (Wake::Online, 4),
        (Wake::Offline, 4),
    ] {
        let mut page = Page::new();
        page.subscribe("posts");
        page.open();
        page.acknowledge("posts#1");
        page.machine.wake(page.now, wake);
        assert_eq!(sent(&page.outputs()), [json!({ "type": "ping" })]);
        assert!(!page.wait(patience * SECOND - 1).contains(&Output::Close), "{wake:?}");
        assert!(page.wait(1).contains(&Output::Close), "{wake:?}");
    }
}

#[test]
fn a_refused_login_is_told_apart_and_tried_again_later() {
    let mut page = Page::new();
    page.subscribe("posts");
    let number = page.opening();
    page.machine.refused(page.now, number, &Error::answer(401, "AUTH_REQUIRED", "log in first"));
    assert_eq!(statuses(&page.outputs()), ["needs-auth"]);
    let wait = page.machine.deadline().unwrap() - page.now;
    assert!((20 * SECOND..=30 * SECOND).contains(&wait), "{wait}");
    page.machine.reopen(page.now);
    assert!(page.outputs().iter().any(|output| matches!(output, Output::Open(_))), "a login heals it at once");
}

#[test]
fn an_expired_login_opens_a_new_socket() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    let error = json!({ "code": "TOKEN_EXPIRED", "message": "Token expired." });
    let outputs = page.frame(&json!({ "type": "auth", "status": "error", "error": error }));
    assert!(outputs.contains(&Output::IdentityInDoubt) && outputs.contains(&Output::Close));
    assert_eq!(subscribed(&page.open()), ["posts#1"]);
}

fn forbidden(uid: Option<&str>) -> serde_json::Value {
    let error = json!({ "code": "FORBIDDEN", "message": "You don't have permission to access this." });
    match uid {
        Some(uid) => json!({ "type": "subscribe", "status": "error", "error": error, "uid": uid }),
        None => json!({ "type": "subscribe", "status": "error", "error": error }),
    }
}

#[test]
fn a_refused_subscription_is_asked_for_again() {
    let mut page = Page::new();
    page.subscribe("secrets");
    page.open();
    assert_eq!(events(&page.frame(&forbidden(Some("secrets#1")))), ["failed"]);
    let mut again = Vec::new();
    for _ in 0..4 {
        again.extend(subscribed(&page.wait(9 * SECOND)));
        page.frame(&json!({ "type": "pong" }));
    }
    assert_eq!(again, ["secrets#1"]);
}

#[test]
fn an_event_that_could_not_be_read_leaves_the_subscription_alive() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    assert_eq!(events(&page.frame(&forbidden(Some("posts#1")))), ["failed, alive"]);
    let update = json!({ "type": "subscription", "event": "update", "data": [{ "id": 1 }], "uid": "posts#1" });
    assert_eq!(events(&page.frame(&update)), ["changed"]);
}

#[test]
fn an_error_without_a_uid_finds_its_subscription_once_the_others_are_answered() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.subscribe("secrets");
    page.open();
    assert_eq!(events(&page.frame(&forbidden(None))), [] as [&str; 0]);
    assert_eq!(events(&page.acknowledge("posts#1")), ["acknowledged", "failed"]);
}

/// As 11.17.4 says it.
fn forbidden_without_uid(collection: &str) -> serde_json::Value {
    let message = format!(
        "You don't have permission to access collection \"{collection}\" or it does not exist. Queried in root."
    );
    json!({ "type": "subscribe", "status": "error", "error": { "code": "FORBIDDEN", "message": message } })
}

#[test]
fn an_error_without_a_uid_finds_its_subscription_at_once_by_the_collection_that_it_names() {
    let mut page = Page::new();
    page.subscribe("posts");
    let secrets = page.subscribe("secrets");
    page.open();
    let outputs = page.frame(&forbidden_without_uid("secrets"));
    assert!(matches!(outputs[..], [Output::Event(id, Notice::Failed { alive: false, .. })] if id == secrets));
    assert_eq!(events(&page.acknowledge("posts#1")), ["acknowledged"]);
}

#[test]
fn an_event_that_could_not_be_read_is_told_though_another_subscription_is_unanswered() {
    let mut page = Page::new();
    let posts = page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    page.subscribe("authors");
    page.outputs();
    let outputs = page.frame(&forbidden_without_uid("posts"));
    assert!(matches!(outputs[..], [Output::Event(id, Notice::Failed { alive: true, .. })] if id == posts));
    assert_eq!(events(&page.acknowledge("authors#2")), ["acknowledged"], "it was not refused");
}

#[test]
fn where_an_error_may_be_an_event_s_or_a_refusal_the_living_are_in_doubt_at_once() {
    for error in [forbidden_without_uid("posts"), forbidden(None)] {
        let mut page = Page::new();
        let live = page.subscribe("posts");
        page.open();
        page.acknowledge("posts#1");
        page.subscribe("posts");
        page.subscribe("posts");
        page.outputs();
        let outputs = page.frame(&error);
        assert!(matches!(outputs[..], [Output::Event(id, Notice::Doubted)] if id == live), "{outputs:?}");
        // Whose it was: both are acknowledged, so an event's; the last one had been taken for refused meanwhile.
        assert_eq!(events(&page.acknowledge("posts#2")), ["acknowledged", "failed"]);
        assert_eq!(events(&page.acknowledge("posts#3")), ["acknowledged"]);
        let update = json!({ "type": "subscription", "event": "update", "data": [{ "id": 1 }], "uid": "posts#3" });
        assert_eq!(events(&page.frame(&update)), ["changed"]);
    }
}

#[test]
fn more_errors_than_unanswered_subscriptions_are_events_too() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    page.subscribe("posts");
    page.outputs();
    assert_eq!(events(&page.frame(&forbidden_without_uid("posts"))), ["doubted", "failed"]);
    assert_eq!(events(&page.frame(&forbidden_without_uid("posts"))), ["failed, alive"]);
}

#[test]
fn an_error_about_a_relation_is_whosever_it_may_be() {
    let mut page = Page::new();
    page.subscribe("authors");
    let posts = page.subscribe("posts");
    page.open();
    page.acknowledge("authors#1");
    let message = "You don't have permission to access field \"name\" in collection \"authors\" or it does not exist. \
                   Queried in author.";
    let error = json!({ "code": "FORBIDDEN", "message": message });
    let outputs = page.frame(&json!({ "type": "subscribe", "status": "error", "error": error }));
    assert_eq!(events(&outputs), ["doubted", "failed"]);
    assert!(matches!(outputs[..], [_, Output::Event(id, Notice::Failed { alive: false, .. })] if id == posts));
}

#[test]
fn one_that_left_and_was_taken_for_refused_leaves_no_zombie() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    let leaving = page.subscribe("posts");
    page.outputs();
    page.machine.unsubscribe(page.now, leaving);
    page.outputs();
    // An event's error, and the acknowledgement after it, and after the answer to the goodbye that was said too soon.
    assert_eq!(unsubscribed(&page.frame(&forbidden_without_uid("posts"))), ["posts#2"]);
    page.frame(&json!({ "type": "subscription", "event": "unsubscribe", "uid": "posts#2" }));
    assert_eq!(unsubscribed(&page.acknowledge("posts#2")), ["posts#2"]);
    page.frame(&json!({ "type": "subscription", "event": "unsubscribe", "uid": "posts#2" }));
    assert_eq!(page.machine.subscriptions(), 1);
}

#[test]
fn an_error_for_a_subscription_that_has_ended_is_nobodys() {
    let mut page = Page::new();
    let gone = page.subscribe("secrets");
    page.subscribe("posts");
    page.open();
    page.acknowledge("secrets#1");
    page.machine.unsubscribe(page.now, gone);
    page.outputs();
    assert_eq!(events(&page.frame(&forbidden(Some("secrets#1")))), [] as [&str; 0], "`posts` is still pending");
    assert_eq!(events(&page.acknowledge("posts#2")), ["acknowledged"]);
    assert_eq!(events(&page.frame(&forbidden(Some("secrets#1")))), [] as [&str; 0], "`posts` is alive");
}

#[test]
fn frames_that_exceeded_the_rate_limit_are_sent_again() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    let error = json!({ "code": "REQUESTS_EXCEEDED", "message": "Too many messages, retry after 1999ms." });
    page.frame(&json!({ "type": "server", "status": "error", "error": error }));
    assert_eq!(subscribed(&page.wait(SECOND)), [] as [&str; 0]);
    assert_eq!(subscribed(&page.wait(2 * SECOND)), ["posts#1"]);
}

#[test]
fn a_hundred_subscriptions_keep_below_the_rate_limit() {
    let mut page = Page::new();
    for _ in 0..100 {
        page.subscribe("posts");
    }
    let first = subscribed(&page.open()).len();
    assert_eq!(first, 24);
    let mut total = first;
    while total < 100 {
        let more = subscribed(&page.wait(SECOND)).len();
        assert!((1..=24).contains(&more), "{more} in one second");
        total += more;
    }
}

/// The uids of the `unsubscribe` frames among these.
fn unsubscribed(outputs: &[Output]) -> Vec<String> {
    sent(outputs).into_iter().filter(|frame| frame["type"] == "unsubscribe").map(|frame| uid(&frame)).collect()
}

fn hurry() -> serde_json::Value {
    let error = json!({ "code": "REQUESTS_EXCEEDED", "message": "Too many messages, retry after 1999ms." });
    json!({ "type": "server", "status": "error", "error": error })
}

#[test]
fn a_crowd_of_goodbyes_keeps_below_the_rate_limit() {
    let mut page = Page::new();
    let rate = ConnectionConfig::default().subscribes_per_second as usize;
    let mut ids = Vec::new();
    for round in 0..2 {
        ids.extend((0..rate).map(|_| page.subscribe("posts")));
        if round == 0 {
            page.open();
        }
        page.outputs();
        for number in 1..=rate {
            page.acknowledge(&format!("posts#{}", round * rate + number));
        }
        page.wait(SECOND);
    }
    for id in ids {
        page.machine.unsubscribe(page.now, id);
    }
    let mut told = unsubscribed(&page.outputs());
    assert_eq!(told.len(), rate);
    told.extend(unsubscribed(&page.wait(SECOND)));
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 2 * rate, "all are told, and each once");
}

#[test]
fn a_goodbye_that_was_dropped_is_said_again_until_it_is_answered() {
    let mut page = Page::new();
    page.machine.connect(page.now);
    let id = page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    page.machine.unsubscribe(page.now, id);
    assert_eq!(unsubscribed(&page.outputs()), ["posts#1"]);
    page.frame(&hurry());
    assert_eq!(unsubscribed(&page.wait(3 * SECOND)), ["posts#1"]);
    page.frame(&json!({ "type": "subscription", "event": "unsubscribe", "uid": "posts#1" }));
    page.frame(&hurry());
    assert_eq!(unsubscribed(&page.wait(3 * SECOND)), [] as [&str; 0]);
}

#[test]
fn a_subscription_that_left_before_its_answer_does_not_end_the_link() {
    let mut page = Page::new();
    page.machine.connect(page.now);
    let id = page.subscribe("posts");
    page.open();
    page.machine.unsubscribe(page.now, id);
    // Its `subscribe` was dropped: no acknowledgement will ever come.
    page.frame(&hurry());
    let mut outputs = Vec::new();
    for _ in 0..4 {
        outputs.extend(page.wait(4 * SECOND));
        page.frame(&json!({ "type": "pong" }));
    }
    assert!(!outputs.contains(&Output::Close), "the link was torn down");
    assert_eq!(unsubscribed(&outputs), ["posts#1"]);
    // And should it come all the same, it is ended.
    let mut page = Page::new();
    page.machine.connect(page.now);
    let id = page.subscribe("posts");
    page.open();
    page.machine.unsubscribe(page.now, id);
    page.frame(&hurry());
    page.wait(3 * SECOND);
    assert_eq!(unsubscribed(&page.acknowledge("posts#1")), ["posts#1"]);
}

#[test]
fn what_ends_counts_for_the_rate_limit_like_what_begins() {
    let mut page = Page::new();
    let ids: Vec<_> = (0..30).map(|_| page.subscribe("posts")).collect();
    page.open();
    page.wait(SECOND);
    for number in 1..=30 {
        page.acknowledge(&format!("posts#{number}"));
    }
    page.wait(2 * SECOND);
    let unsubscribed = |outputs: &[Output]| {
        outputs.iter().filter(|output| matches!(output, Output::Send(ClientMessage::Unsubscribe { .. }))).count()
    };
    let mut at_once = 0;
    for id in ids {
        page.machine.unsubscribe(page.now, id);
        at_once += unsubscribed(&page.outputs());
    }
    assert_eq!(at_once, 24);
    assert_eq!(page.machine.subscriptions(), 6, "those that Directus was not told yet");
    assert_eq!(unsubscribed(&page.wait(SECOND)), 6);
    assert_eq!(page.machine.subscriptions(), 0);
}

#[test]
fn one_ping_is_enough_however_often_somebody_looks() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    let mut pings = 0;
    for _ in 0..100 {
        page.machine.wake(page.now, Wake::Online);
        let is_ping = |output: &Output| matches!(output, Output::Send(ClientMessage::Ping { .. }));
        pings += page.outputs().iter().filter(|output| is_ping(output)).count();
    }
    assert_eq!(pings, 1);
}

#[test]
fn a_frame_for_somebody_else_is_nobodys() {
    let mut page = Page::new();
    page.subscribe("posts");
    page.open();
    page.acknowledge("posts#1");
    for uid in ["posts#2", "authors#1", "posts", "#1", ""] {
        let frame = json!({ "type": "subscription", "event": "update", "data": [], "uid": uid });
        assert_eq!(page.frame(&frame), [], "{uid}");
    }
}
