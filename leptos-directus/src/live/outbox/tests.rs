//! What becomes of writes, told as stories.

use serde_json::{Map, json};

use super::*;

const NOW: Millis = 1_000_000;

fn outbox() -> Outbox {
    let mut outbox = Outbox::new(OutboxConfig::default());
    outbox.found_who(Some("ada"));
    outbox
}

fn kind(error: &Error) -> &'static str {
    if error.is_conflict() {
        "conflict"
    } else if error.is_uncertain() {
        "uncertain"
    } else {
        "refused"
    }
}

fn intent(layer: Layer, before: Map<String, Value>) -> Intent {
    Intent {
        collection: "posts".to_owned(),
        key_field: "id".to_owned(),
        origin: "posts".to_owned(),
        fields: Vec::new(),
        alias: BTreeMap::new(),
        deep: Map::new(),
        store: Some("drafts".to_owned()),
        layer,
        before,
    }
}

impl Outbox {
    fn found_who(&mut self, who: Option<&str>) {
        self.asking = true;
        self.found(NOW, Ok(who.map(str::to_owned)));
    }

    fn make(&mut self, number: u64, row: Option<RowKey>, key: Option<&str>, change: Change) {
        let layer = Layer { write: WriteId(number), row, key: key.map(Key::from), change };
        self.make_upon(layer, Map::new());
    }

    /// A write of somebody to whom the list showed `before`.
    fn make_upon(&mut self, layer: Layer, before: Map<String, Value>) {
        self.push(NOW, intent(layer, before), None);
    }

    fn create(&mut self, number: u64, key: Option<&str>) {
        let row = RowKey::created_by(WriteId(number));
        self.make(number, Some(row), key, Change::Create(Arc::new(json!({}))));
    }

    fn update(&mut self, number: u64, row: impl Into<RowKey>) {
        self.make(number, Some(row.into()), None, Change::Update(Arc::new(Map::new())));
    }

    fn delete(&mut self, number: u64, row: impl Into<RowKey>) {
        self.make(number, Some(row.into()), None, Change::Delete);
    }

    /// What is to be kept for this visitor.
    fn saved_writes(&self, who: &Who) -> Vec<u64> {
        let text = self.saved("drafts", who).unwrap_or_else(|| r#"{"writes":[]}"#.to_owned());
        let saved: Value = serde_json::from_str(&text).unwrap();
        saved["writes"].as_array().unwrap().iter().map(|write| write["number"].as_u64().unwrap()).collect()
    }

    fn outputs(&mut self) -> Vec<OutboxOutput> {
        std::iter::from_fn(|| self.next_output()).collect()
    }

    fn sends(&mut self) -> Vec<u64> {
        let sends = self.outputs().into_iter().filter_map(|output| match output {
            OutboxOutput::Send(write) => Some(write.0),
            _ => None,
        });
        sends.collect()
    }

    /// What became of writes, and what is done next.
    fn happens(&mut self) -> Vec<String> {
        let words = self.outputs().into_iter().map(|output| match output {
            OutboxOutput::Send(write) => format!("send {}", write.0),
            OutboxOutput::Check(write) => format!("check {}", write.0),
            OutboxOutput::Compare(write) => format!("compare {}", write.0),
            OutboxOutput::Ask => "ask".to_owned(),
            OutboxOutput::Touch(_, key) => format!("touch {}", key.map(|key| key.to_string()).unwrap_or_default()),
            OutboxOutput::Tell(intent, progress) => {
                let number = intent.layer.write.0;
                match progress {
                    Progress::Waiting => format!("{number} waits"),
                    Progress::Sent => format!("{number} sent"),
                    Progress::Confirmed { .. } => format!("{number} confirmed"),
                    Progress::Refused(error) => format!("{number} {}", kind(&error)),
                }
            }
            OutboxOutput::Disown(intent, error) => format!("{} disowned as {}", intent.layer.write.0, kind(&error)),
        });
        words.collect()
    }
}

fn network() -> Error {
    Error::network("down")
}

fn forbidden() -> Error {
    Error::answer(403, "FORBIDDEN", "no")
}

#[test]
fn updates_of_different_rows_go_side_by_side_and_all_else_in_order() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    outbox.update(2, 2);
    outbox.update(3, 1);
    outbox.create(4, None);
    outbox.update(5, 5);
    outbox.delete(6, 6);
    outbox.delete(7, 7);
    assert_eq!(outbox.sends(), [1, 2]);
    outbox.answered(NOW, WriteId(2), Ok(json!({})));
    assert_eq!(outbox.sends(), [0; 0]);
    outbox.answered(NOW, WriteId(1), Ok(json!({})));
    assert_eq!(outbox.sends(), [3]);
    outbox.answered(NOW, WriteId(3), Ok(json!({})));
    assert_eq!(outbox.sends(), [4]);
    outbox.answered(NOW, WriteId(4), Ok(json!({"id": 9})));
    assert_eq!(outbox.sends(), [5]);
    outbox.answered(NOW, WriteId(5), Ok(json!({})));
    assert_eq!(outbox.sends(), [6]);
    outbox.answered(NOW, WriteId(6), Ok(Value::Null));
    assert_eq!(outbox.sends(), [7]);
}

#[test]
fn a_row_can_be_changed_before_it_has_its_key() {
    let mut outbox = outbox();
    outbox.create(1, None);
    outbox.update(2, RowKey::created_by(WriteId(1)));
    assert_eq!(outbox.sends(), [1]);
    outbox.answered(NOW, WriteId(1), Ok(json!({"id": 9})));
    assert_eq!(outbox.sends(), [2]);
    assert_eq!(outbox.key(outbox.intent(WriteId(2)).unwrap()), Some(9.into()));
    // By whichever of its names: it is one row, and its writes go one after the other.
    outbox.update(3, 9);
    assert_eq!(outbox.sends(), [0; 0]);
}

#[test]
fn what_was_to_be_done_to_a_row_that_is_not_created_is_refused_with_it() {
    let mut outbox = outbox();
    outbox.create(1, None);
    outbox.update(2, RowKey::created_by(WriteId(1)));
    outbox.update(3, 3);
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Err(Error::answer(400, "FAILED_VALIDATION", "no")));
    assert_eq!(outbox.happens(), ["1 refused", "touch ", "2 conflict", "touch ", "3 sent", "send 3"]);
}

/// It failed: somebody else's row by the same key was changed and deleted.
#[test]
fn what_was_to_be_done_to_a_row_whose_key_is_taken_is_not_done_to_whose_it_is() {
    let taken = || Error::answer(400, "RECORD_NOT_UNIQUE", "there is one");
    let mut outbox = outbox();
    // What was there before that is another thing.
    outbox.link_lost(NOW);
    outbox.update(1, Key::from("de"));
    outbox.create(2, Some("de"));
    outbox.update(3, Key::from("de"));
    outbox.delete(4, Key::from("de"));
    outbox.create(5, Some("de"));
    outbox.update(6, Key::from("de"));
    outbox.outputs();
    let at = outbox.find(WriteId(2)).unwrap();
    outbox.refuse(at, taken());
    assert_eq!(outbox.happens(), ["2 refused", "touch de", "3 conflict", "touch de", "4 conflict", "touch de"]);
    let left = |outbox: &Outbox| outbox.pending().map(|write| write.id.0).collect::<Vec<_>>();
    assert_eq!(left(&outbox), [1, 5, 6]);
    // Nor where the page has found out in between who it is.
    let mut outbox = Outbox::new(OutboxConfig::default());
    outbox.link_lost(NOW);
    outbox.create(2, Some("de"));
    let layer = Layer { write: WriteId(4), row: Some(Key::from("de").into()), key: None, change: Change::Delete };
    outbox.push(NOW, intent(layer, Map::new()), Some(Some("ada".to_owned())));
    let at = outbox.find(WriteId(2)).unwrap();
    outbox.refuse(at, taken());
    assert_eq!(left(&outbox), [0; 0]);
}

#[test]
fn a_row_that_was_not_created_can_not_be_changed() {
    let mut outbox = outbox();
    outbox.update(2, RowKey::created_by(WriteId(1)));
    assert_eq!(outbox.happens(), ["2 conflict"]);
}

#[test]
fn a_create_that_may_have_been_saved_and_is_then_refused_is_looked_for() {
    let mut outbox = outbox();
    outbox.create(1, Some("u"));
    outbox.answered(NOW, WriteId(1), Err(network()));
    outbox.link_up(NOW);
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Err(forbidden()));
    assert_eq!(outbox.happens(), ["check 1"]);
    outbox.checked(NOW, WriteId(1), Ok(None));
    assert_eq!(outbox.happens(), ["1 refused", "touch u"]);
}

/// It failed: somebody else's row was taken for the one that was lost.
#[test]
fn a_key_that_somebody_else_took_meanwhile_is_not_called_ours() {
    let of = |key: &str, found: Value| {
        let mut outbox = outbox();
        let row = Some(RowKey::created_by(WriteId(1)));
        let data = json!({ "id": key, "name": "Germany", "size": 7, "parent": { "id": 3 }, "note": null });
        outbox.make(1, row, Some(key), Change::Create(Arc::new(data)));
        outbox.answered(NOW, WriteId(1), Err(network()));
        outbox.link_up(NOW);
        outbox.outputs();
        outbox.answered(NOW, WriteId(1), Err(Error::answer(400, "RECORD_NOT_UNIQUE", "taken")));
        assert_eq!(outbox.happens(), ["check 1"]);
        outbox.checked(NOW, WriteId(1), Ok(Some(found)));
        outbox.happens().swap_remove(0)
    };
    let theirs = json!({ "id": "de", "name": "Deutschland", "size": 7 });
    let ours = json!({ "id": "de", "name": "Germany", "size": "7", "parent": 3, "note": "by a default" });
    assert_eq!(of("de", theirs.clone()), "1 uncertain");
    assert_eq!(of("de", ours), "1 confirmed");
    // Directus may have changed it, and nobody else has this key.
    assert_eq!(of("0f8fad5b-d9cb-469f-a165-70867728950e", theirs), "1 confirmed");
}

#[test]
fn a_write_that_did_not_get_through_is_sent_again_when_directus_can_be_reached() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Err(network()));
    assert_eq!(outbox.happens(), ["1 waits"]);
    let due = outbox.deadline().expect("another try");
    outbox.tick(due);
    assert_eq!(outbox.happens(), ["ask"]);
    outbox.found(due, Err(network()));
    assert_eq!(outbox.happens(), [] as [&str; 0]);
    assert!(outbox.deadline().is_some_and(|next| next >= due), "tries go on");
    outbox.link_up(due);
    assert_eq!(outbox.happens(), ["1 sent", "send 1"]);
    outbox.answered(due, WriteId(1), Ok(json!({})));
    assert_eq!(outbox.happens(), ["1 confirmed", "touch 1"]);
    assert_eq!((outbox.deadline(), outbox.pending().count()), (None, 0));
}

#[test]
fn without_a_socket_it_is_asked_first() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.create(1, None);
    outbox.update(2, 2);
    assert_eq!(outbox.happens(), ["1 waits", "ask", "2 waits"]);
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.happens(), ["1 sent", "send 1"]);
}

#[test]
fn a_server_that_is_overloaded_is_left_alone_for_as_long_as_it_says() {
    let mut outbox = outbox();
    outbox.create(1, None);
    outbox.outputs();
    let busy = Error::answer(503, "SERVICE_UNAVAILABLE", "busy").with_retry_after(Some(Duration::from_secs(60)));
    outbox.answered(NOW, WriteId(1), Err(busy));
    assert_eq!(outbox.happens(), ["1 waits"]);
    // A little more, so that not all pages come at once.
    let over = outbox.deadline().unwrap();
    assert!((NOW + 60_000..=NOW + 60_500).contains(&over), "{over}");
    // Whatever else says that it may work now.
    let wakes: [fn(&mut Outbox, Millis); 4] = [Outbox::link_up, Outbox::link_lost, Outbox::wake, |outbox, now| {
        outbox.asking = true;
        outbox.found(now, Ok(Some("ada".to_owned())));
    }];
    for wake in wakes {
        wake(&mut outbox, over - 1);
        assert_eq!(outbox.happens(), [""; 0]);
        assert_eq!(outbox.deadline(), Some(over));
    }
    outbox.tick(over);
    assert_eq!(outbox.happens(), ["ask"]);
    outbox.found(over + 1, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.happens(), ["1 sent", "send 1"]);
}

#[test]
fn pages_that_a_server_told_to_come_again_do_not_come_at_once() {
    let mut when: Vec<Millis> = (0..100)
        .map(|seed| {
            let mut outbox = Outbox::new(OutboxConfig { seed, ..OutboxConfig::default() });
            outbox.found_who(Some("ada"));
            outbox.update(1, Key::from(1));
            let busy = Error::answer(503, "SERVICE_UNAVAILABLE", "busy").with_retry_after(Some(Duration::from_secs(9)));
            outbox.answered(NOW, WriteId(1), Err(busy));
            outbox.deadline().unwrap()
        })
        .collect();
    when.sort_unstable();
    when.dedup();
    assert!(when.len() > 50 && when[0] >= NOW + 9_000, "{when:?}");
}

#[test]
fn a_create_whose_answer_is_lost_is_not_sent_again_unless_the_key_is_ours() {
    let mut outbox = outbox();
    outbox.create(1, None);
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Err(network()));
    assert_eq!(outbox.happens(), ["1 uncertain", "touch "]);
    outbox.link_up(NOW);
    outbox.create(2, Some("u"));
    outbox.outputs();
    outbox.answered(NOW, WriteId(2), Err(Error::timeout("x")));
    outbox.link_up(NOW);
    assert_eq!(outbox.happens(), ["2 waits", "2 sent", "send 2"]);
    // The first try had come through.
    outbox.answered(NOW, WriteId(2), Err(Error::answer(400, "RECORD_NOT_UNIQUE", "there")));
    assert_eq!(outbox.happens(), ["check 2"]);
    outbox.checked(NOW, WriteId(2), Ok(Some(json!({"id": "u"}))));
    assert_eq!(outbox.happens(), ["2 confirmed", "touch u"]);
}

/// It failed: a proxy says 503 of a connection that broke after the request had gone on, and the row was created twice; what
/// others say was a refusal.
#[test]
fn what_somebody_on_the_way_answers_says_nothing_of_what_was_done() {
    for (status, code, create) in [
        (503, "HTTP_503", "uncertain"),
        (520, "HTTP_520", "uncertain"),
        (503, "SERVICE_UNAVAILABLE", "waits"),
        (500, "INTERNAL_SERVER_ERROR", "refused"),
    ] {
        let error = || Error::answer(status, code, "x");
        let mut outbox = outbox();
        outbox.create(1, None);
        outbox.outputs();
        outbox.answered(NOW, WriteId(1), Err(error()));
        assert_eq!(outbox.happens()[0], format!("1 {create}"), "{code}");
        let mut outbox = super::tests::outbox();
        outbox.create(2, Some("u"));
        outbox.outputs();
        outbox.answered(NOW, WriteId(2), Err(error()));
        let repeatable = if create == "refused" { "refused" } else { "waits" };
        assert_eq!(outbox.happens()[0], format!("2 {repeatable}"), "{code}");
    }
}

#[test]
fn a_key_that_is_taken_is_refused_at_the_first_try() {
    let mut outbox = outbox();
    outbox.create(1, Some("u"));
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Err(Error::answer(400, "RECORD_NOT_UNIQUE", "there")));
    assert_eq!(outbox.happens(), ["1 refused", "touch u"]);
}

#[test]
fn a_row_that_somebody_deleted_is_a_conflict_for_an_update_and_done_for_a_delete() {
    for (row_is_there, update, delete) in [(true, "refused", "refused"), (false, "conflict", "confirmed")] {
        let found = || Ok(row_is_there.then(|| json!({"id": 1})));
        let mut outbox = outbox();
        outbox.update(1, 1);
        outbox.delete(2, 1);
        outbox.outputs();
        outbox.answered(NOW, WriteId(1), Err(forbidden()));
        assert_eq!(outbox.happens(), ["check 1"]);
        outbox.checked(NOW, WriteId(1), found());
        assert_eq!(outbox.happens()[0], format!("1 {update}"));
        outbox.answered(NOW, WriteId(2), Err(forbidden()));
        outbox.outputs();
        outbox.checked(NOW, WriteId(2), found());
        assert_eq!(outbox.happens()[0], format!("2 {delete}"));
    }
}

#[test]
fn an_administrator_who_updates_a_row_that_is_gone_hears_of_it_too() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Ok(Value::Null));
    assert_eq!(outbox.happens(), ["check 1"]);
    outbox.checked(NOW, WriteId(1), Ok(None));
    assert_eq!(outbox.happens(), ["1 conflict", "touch 1"]);
}

/// It failed: the administrator had logged out before it was looked whether the row was there, and nobody else may know.
#[test]
fn what_somebody_else_may_see_does_not_confirm_a_write() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Ok(Value::Null));
    outbox.identity_changed(NOW, Some(None));
    outbox.outputs();
    outbox.checked(NOW, WriteId(1), Ok(Some(Value::Null)));
    assert_eq!(outbox.happens(), ["check 1"], "whoever looked, it was before the logout");
    outbox.checked(NOW, WriteId(1), Ok(Some(Value::Null)));
    assert_eq!(outbox.happens(), ["1 disowned as uncertain", "touch 1"]);
    // Whoever logs in anew is no other; and in between another tab's login may have been whose session it was.
    outbox.update(3, 3);
    outbox.outputs();
    outbox.answered(NOW, WriteId(3), Ok(Value::Null));
    outbox.identity_changed(NOW, Some(None));
    outbox.outputs();
    outbox.checked(NOW, WriteId(3), Ok(Some(Value::Null)));
    assert_eq!(outbox.happens(), ["check 3"]);
    outbox.checked(NOW, WriteId(3), Ok(Some(Value::Null)));
    assert_eq!(outbox.happens(), ["3 uncertain", "touch 3"]);
    // Without a login it is confirmed.
    outbox.update(4, 4);
    outbox.outputs();
    outbox.answered(NOW, WriteId(4), Ok(Value::Null));
    outbox.outputs();
    outbox.checked(NOW, WriteId(4), Ok(Some(Value::Null)));
    assert_eq!(outbox.happens(), ["4 confirmed", "touch 4"]);
    outbox.delete(2, 2);
    outbox.outputs();
    outbox.answered(NOW, WriteId(2), Err(forbidden()));
    outbox.identity_changed(NOW, Some(Some("eve".to_owned())));
    outbox.outputs();
    outbox.checked(NOW, WriteId(2), Ok(None));
    assert_eq!(outbox.happens(), ["check 2"]);
    outbox.checked(NOW, WriteId(2), Ok(None));
    assert_eq!(outbox.happens(), ["2 disowned as refused", "touch 2"]);
}

#[test]
fn a_full_queue_refuses_and_says_so() {
    let mut outbox = Outbox::new(OutboxConfig { capacity: 2, seed: 0 });
    outbox.update(1, 1);
    outbox.update(2, 1);
    outbox.outputs();
    outbox.update(3, 1);
    assert_eq!(outbox.happens(), ["3 refused"]);
    assert_eq!(outbox.pending().count(), 2);
}

#[test]
fn nothing_is_sent_as_somebody_else() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    outbox.outputs();
    outbox.identity_changed(NOW, Some(Some("eve".to_owned())));
    assert_eq!(outbox.happens(), ["1 disowned as conflict", "touch 1"]);
    outbox.update(2, 1);
    outbox.link_up(NOW);
    assert_eq!(outbox.sends(), [2]);
}

#[test]
fn while_it_is_in_doubt_who_the_visitor_is_nothing_is_sent() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    outbox.update(2, 1);
    outbox.outputs();
    outbox.identity_changed(NOW, None);
    outbox.answered(NOW, WriteId(1), Ok(json!({})));
    assert!(outbox.sends().is_empty());
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.sends(), [2]);
    // Sent by ada, unanswered, and then it is eve's browser.
    outbox.identity_changed(NOW, Some(Some("eve".to_owned())));
    outbox.answered(NOW, WriteId(2), Err(network()));
    assert_eq!(outbox.happens(), ["2 waits", "2 disowned as uncertain", "touch 1"]);
}

#[test]
fn after_an_outage_nothing_is_sent_before_it_is_known_whose_session_it_is() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    assert_eq!(outbox.happens(), ["1 waits", "ask"]);
    outbox.found(NOW, Err(network()));
    outbox.identity_doubted(NOW);
    outbox.link_up(NOW);
    assert_eq!(outbox.happens(), ["ask"]);
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.happens(), ["1 sent", "send 1"]);
    outbox.update(2, 2);
    outbox.identity_doubted(NOW);
    outbox.update(3, 3);
    outbox.outputs();
    outbox.answered(NOW, WriteId(2), Err(network()));
    outbox.outputs();
    outbox.link_up(NOW);
    outbox.found(NOW, Ok(Some("eve".to_owned())));
    assert_eq!(outbox.happens(), ["2 disowned as uncertain", "touch 2", "3 disowned as conflict", "touch 3"]);
}

/// It failed: the question was under way when somebody logged in in another tab, and the link was lost with that.
#[test]
fn what_was_asked_before_the_link_was_lost_says_nothing_of_whose_session_it_is_afterwards() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    assert_eq!(outbox.happens(), ["1 waits", "ask"]);
    outbox.link_lost(NOW);
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.happens(), ["ask"]);
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.sends(), [1]);
}

#[test]
fn what_was_written_before_anybody_asked_who_it_is_outlasts_an_outage() {
    let mut outbox = Outbox::new(OutboxConfig::default());
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    outbox.outputs();
    outbox.found(NOW, Err(network()));
    outbox.identity_doubted(NOW);
    outbox.link_up(NOW);
    outbox.found(NOW, Ok(None));
    assert_eq!(outbox.sends(), [1]);
}

#[test]
fn who_the_visitor_was_is_not_taken_for_who_they_are() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    outbox.identity_changed(NOW, None);
    assert_eq!(outbox.happens(), ["1 waits", "ask"]);
    // The answer to a question that was asked before.
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.happens(), ["ask"]);
    outbox.found(NOW, Ok(Some("eve".to_owned())));
    assert_eq!(outbox.happens(), ["1 disowned as conflict", "touch 1"]);
}

#[test]
fn a_login_in_another_tab_is_found_before_anything_is_sent_again() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    outbox.outputs();
    outbox.found(NOW, Ok(Some("eve".to_owned())));
    assert_eq!(outbox.happens(), ["1 disowned as conflict", "touch 1"]);
}

#[test]
fn whose_a_write_is_is_asked_only_where_it_matters() {
    let mut outbox = Outbox::new(OutboxConfig::default());
    outbox.update(1, 1);
    assert_eq!(outbox.happens(), ["1 waits", "1 sent", "send 1"]);
    outbox.answered(NOW, WriteId(1), Err(network()));
    outbox.tick(outbox.deadline().unwrap());
    assert_eq!(outbox.happens(), ["1 waits", "ask"]);
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.happens(), ["1 sent", "send 1"]);
}

/// The next page of the same visitor, with what this one left.
fn reloaded(outbox: &Outbox, who: Option<&str>) -> Outbox {
    let who = who.map(str::to_owned);
    let text = outbox.saved("drafts", &who).unwrap_or_default();
    let mut next = Outbox::new(OutboxConfig::default());
    next.want_who(NOW, Some(who.clone()));
    let mut number = 100;
    next.restore(NOW, &text, "drafts", &who, || {
        number += 1;
        WriteId(number)
    });
    next
}

#[test]
fn what_waits_is_taken_up_by_the_next_page_in_order_and_under_new_numbers() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.create(1, Some("u"));
    outbox.update(2, RowKey::created_by(WriteId(1)));
    outbox.create(3, None);
    outbox.update(4, RowKey::created_by(WriteId(3)));
    outbox.delete(5, 7);
    let mut next = reloaded(&outbox, Some("ada"));
    assert_eq!(
        next.happens(),
        ["101 waits", "102 waits", "103 waits", "104 waits", "105 waits", "101 sent", "send 101"]
    );
    assert_eq!(next.intent(WriteId(101)).unwrap().layer.key, Some("u".into()));
    assert_eq!(next.intent(WriteId(102)).unwrap().layer.row, Some(RowKey::created_by(WriteId(101))));
    assert_eq!(next.intent(WriteId(104)).unwrap().layer.row, Some(RowKey::created_by(WriteId(103))));
    assert_eq!(next.saved("drafts", &Some("ada".to_owned())).map(|text| text.len() > 10), Some(true));
}

#[test]
fn what_is_taken_up_asks_back_as_its_list_did() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    let layer = Layer { write: WriteId(1), row: Some(7.into()), key: None, change: Change::Delete };
    let mut intent = intent(layer, Map::new());
    intent.fields = vec!["heading".to_owned(), "remarks.text".to_owned()];
    intent.alias.insert("heading".to_owned(), "title".to_owned());
    intent.deep.insert("remarks".to_owned(), json!({ "_limit": 2 }));
    outbox.push(NOW, intent.clone(), None);
    let next = reloaded(&outbox, Some("ada"));
    let taken = next.intent(WriteId(101)).unwrap();
    assert_eq!((&taken.fields, &taken.alias, &taken.deep), (&intent.fields, &intent.alias, &intent.deep));
}

#[test]
fn what_another_version_kept_is_not_taken_up() {
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 7);
    let ada = Some("ada".to_owned());
    let text = outbox.saved("drafts", &ada).unwrap();
    for (version, count) in [(1, 1), (2, 0)] {
        let text = text.replace("\"version\":1", &format!("\"version\":{version}"));
        let mut next = Outbox::new(OutboxConfig::default());
        next.want_who(NOW, Some(ada.clone()));
        next.restore(NOW, &text, "drafts", &ada, || WriteId(101));
        assert_eq!(next.intents().count(), count, "{version}");
    }
}

#[test]
fn a_create_that_was_under_way_when_the_page_ended_is_sent_again_only_if_its_key_is_ours() {
    let mut outbox = outbox();
    outbox.create(1, None);
    let mut next = reloaded(&outbox, Some("ada"));
    assert_eq!(next.happens(), ["101 waits", "101 uncertain", "touch "]);
    let mut outbox = self::outbox();
    outbox.create(1, Some("u"));
    let mut next = reloaded(&outbox, Some("ada"));
    assert_eq!(next.happens(), ["101 waits", "101 sent", "send 101"]);
    next.answered(NOW, WriteId(101), Err(Error::answer(400, "RECORD_NOT_UNIQUE", "there")));
    assert_eq!(next.happens(), ["check 101"]);
}

#[test]
fn what_is_done_or_somebody_else_s_is_not_kept() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    let ada = Some("ada".to_owned());
    assert!(outbox.saved("drafts", &ada).is_some());
    assert_eq!(outbox.saved("other", &ada), None);
    assert_eq!(outbox.saved("drafts", &None), None);
    outbox.answered(NOW, WriteId(1), Ok(json!({})));
    assert_eq!(outbox.saved("drafts", &ada), None);
}

/// It failed: while it was not known who had logged in, what they wrote was kept as the former visitor's, and sent again as theirs.
#[test]
fn what_is_made_while_nobody_knows_who_it_is_is_kept_by_whoever_it_turns_out_to_be() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    outbox.identity_changed(NOW, None);
    outbox.update(2, 2);
    outbox.outputs();
    assert_eq!(outbox.saved_writes(&ada), [1]);
    outbox.found_who(Some("ada"));
    assert_eq!(outbox.happens(), ["ask"], "it was asked before the login");
    outbox.found_who(Some("bob"));
    assert_eq!(outbox.happens(), ["1 disowned as conflict", "touch 1", "2 sent", "send 2"]);
    assert_eq!((outbox.saved_writes(&ada), outbox.saved_writes(&bob)), (vec![1], vec![2]));
}

/// It failed: what was put aside for its author was kept as a text, and knew nothing of what became of what they had sent.
#[test]
fn what_is_put_aside_learns_what_becomes_of_its_author_s_writes() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    let mut outbox = outbox();
    outbox.want_who(NOW, Some(ada.clone()));
    outbox.update_of(1, json!({ "title": "old" }), json!({ "title": "hers" }));
    outbox.update_of(2, json!({ "title": "hers" }), json!({ "title": "hers, too" }));
    outbox.identity_changed(NOW, Some(bob.clone()));
    outbox.update_of(3, json!({ "title": "hers" }), json!({ "title": "his" }));
    assert_eq!(outbox.happens()[4..], ["2 disowned as conflict", "touch 7", "3 waits"], "hers is still under way");
    assert_eq!((outbox.saved_writes(&ada), outbox.saved_writes(&bob)), (vec![1, 2], vec![3]));
    // She is back before it is answered, and what was put aside goes behind it.
    outbox.identity_changed(NOW, Some(ada.clone()));
    assert_eq!(outbox.happens(), ["3 disowned as conflict", "touch 7"]);
    outbox.take_up(NOW, "drafts", &ada);
    assert_eq!(outbox.happens(), ["2 waits"]);
    outbox.identity_changed(NOW, Some(bob.clone()));
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Ok(json!({ "id": 7, "title": "hers" })));
    assert_eq!(outbox.saved_writes(&ada), [2]);
    outbox.take_up(NOW, "drafts", &bob);
    outbox.outputs();
    outbox.checked(NOW, WriteId(3), Ok(Some(json!({ "title": "hers" }))));
    assert_eq!(outbox.happens(), ["3 sent", "send 3"], "the page showed him hers");
    let mut other = reloaded(&outbox, Some("ada"));
    assert_eq!(other.happens(), ["101 waits", "compare 101"]);
    other.checked(NOW, WriteId(101), Ok(Some(json!({ "title": "hers" }))));
    assert_eq!(other.happens(), ["101 sent", "send 101"], "her own change is no conflict");
    outbox.answered(NOW, WriteId(3), Ok(json!({ "id": 7, "title": "his" })));
    outbox.identity_changed(NOW, Some(ada.clone()));
    outbox.outputs();
    outbox.take_up(NOW, "drafts", &ada);
    assert_eq!(outbox.happens(), ["2 waits", "compare 2"]);
    outbox.checked(NOW, WriteId(2), Ok(Some(json!({ "title": "his" }))));
    assert_eq!(outbox.happens()[0], "2 conflict", "his is one");
}

/// Her newer change of the row is under way: what she had made before goes behind it, and not beside it.
#[test]
fn what_is_taken_up_waits_for_what_is_under_way() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    let mut outbox = outbox();
    outbox.want_who(NOW, Some(ada.clone()));
    outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "hers" }));
    outbox.identity_changed(NOW, Some(bob));
    outbox.identity_changed(NOW, Some(ada.clone()));
    outbox.is_back();
    outbox.update_of(2, json!({ "views": 1 }), json!({ "views": 2 }));
    assert_eq!(outbox.happens(), ["2 waits", "2 sent", "send 2"]);
    outbox.take_up(NOW, "drafts", &ada);
    assert_eq!(outbox.happens(), ["1 waits"]);
    outbox.answered(NOW, WriteId(2), Ok(json!({ "id": 7, "title": "old", "views": 2 })));
    assert_eq!(outbox.happens(), ["2 confirmed", "touch 7", "compare 1"]);
}

/// It failed: the change of a row that was being created when somebody else came was refused when its author came back, because
/// nobody told it the key.
#[test]
fn what_is_put_aside_finds_the_row_that_was_being_created() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    for is_created in [true, false] {
        let mut outbox = outbox();
        outbox.want_who(NOW, Some(ada.clone()));
        outbox.create(1, None);
        outbox.update(2, RowKey::created_by(WriteId(1)));
        outbox.identity_changed(NOW, Some(bob.clone()));
        let answer = if is_created { Ok(json!({ "id": 9 })) } else { Err(forbidden()) };
        outbox.answered(NOW, WriteId(1), answer);
        assert_eq!(outbox.saved_writes(&ada), if is_created { vec![2] } else { vec![] }, "it goes with its row");
        let mut next = reloaded(&outbox, Some("ada"));
        outbox.identity_changed(NOW, Some(ada.clone()));
        outbox.outputs();
        outbox.take_up(NOW, "drafts", &ada);
        assert_eq!(outbox.sends(), if is_created { vec![2] } else { vec![] });
        let row = outbox.intent(WriteId(2)).and_then(|intent| intent.layer.row.clone());
        assert_eq!(row, is_created.then(|| 9.into()), "by the name that every list knows");
        assert_eq!(next.sends(), if is_created { vec![101] } else { vec![] });
        let key = outbox.intent(WriteId(2)).and_then(|intent| outbox.key(intent));
        assert_eq!(key, is_created.then(|| 9.into()));
    }
}

/// It failed: the newer one was taken for what the older one was made upon, and was overwritten.
#[test]
fn what_is_taken_up_behind_a_newer_write_of_its_row_does_not_overwrite_it() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    // Of this page, and of an earlier one.
    for is_restored in [false, true] {
        let mut outbox = outbox();
        outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "older" }));
        let text = outbox.saved("drafts", &ada).unwrap();
        outbox.identity_changed(NOW, Some(bob.clone()));
        outbox.identity_changed(NOW, Some(ada.clone()));
        outbox.link_up(NOW);
        outbox.update_of(2, json!({ "title": "old" }), json!({ "title": "newer" }));
        assert_eq!(outbox.sends(), [2]);
        let older = if is_restored {
            outbox.forget_store("drafts", &ada);
            outbox.restore(NOW, &text, "drafts", &ada, || WriteId(9));
            9
        } else {
            outbox.take_up(NOW, "drafts", &ada);
            1
        };
        outbox.answered(NOW, WriteId(2), Ok(json!({ "id": 7, "title": "newer" })));
        outbox.outputs();
        assert_eq!(
            outbox.looks_like(older, json!({ "title": "newer" })),
            [format!("{older} conflict"), "touch 7".to_owned()]
        );
    }
}

#[test]
fn what_is_put_aside_in_two_stores_is_taken_up_from_both() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    for stores in [["drafts", "others"], ["others", "drafts"]] {
        let mut outbox = outbox();
        outbox.link_lost(NOW);
        outbox.create(1, Some("u"));
        outbox.entries[0].intent.store = Some("others".to_owned());
        outbox.update(2, RowKey::created_by(WriteId(1)));
        outbox.identity_changed(NOW, Some(bob.clone()));
        assert!(stores.iter().all(|store| outbox.absent(store) == [ada.clone()].into()));
        outbox.identity_changed(NOW, Some(ada.clone()));
        outbox.update(3, 3);
        stores.iter().for_each(|store| outbox.take_up(NOW, store, &ada));
        let pending: Vec<u64> = outbox.pending().map(|write| write.id.0).collect();
        assert_eq!(pending, [1, 2, 3], "{stores:?}");
    }
}

/// It failed: one whose answer was lost was put aside behind what had been made after it, and overwrote that.
#[test]
fn what_is_put_aside_late_keeps_its_place() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    let mut outbox = outbox();
    outbox.update_of(1, json!({ "title": "old" }), json!({ "title": "first" }));
    outbox.update_of(2, json!({ "title": "first" }), json!({ "title": "second" }));
    outbox.identity_changed(NOW, Some(bob.clone()));
    outbox.answered(NOW, WriteId(1), Err(network()));
    outbox.link_up(NOW);
    assert_eq!((outbox.saved_writes(&ada), outbox.pending().count()), (vec![1, 2], 0));
    outbox.identity_changed(NOW, Some(ada.clone()));
    outbox.outputs();
    outbox.take_up(NOW, "drafts", &ada);
    assert_eq!(outbox.happens(), ["1 waits", "2 waits", "compare 1"]);
}

#[test]
fn a_logout_forgets_what_its_visitor_had_put_aside_and_nobody_else_s() {
    let (ada, bob) = (Some("ada".to_owned()), Some("bob".to_owned()));
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.want_who(NOW, Some(ada.clone()));
    outbox.found_who(Some("ada"));
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    outbox.identity_changed(NOW, Some(bob.clone()));
    outbox.update(2, 2);
    outbox.forget_stores(&[bob.clone()].into());
    assert_eq!((outbox.saved_writes(&ada), outbox.saved_writes(&bob)), (vec![1], vec![]));
    outbox.forget_store("other", &ada);
    outbox.forget_store("drafts", &bob);
    assert_eq!(outbox.saved_writes(&ada), [1]);
    outbox.forget_store("drafts", &ada);
    assert_eq!(outbox.saved_writes(&ada), [] as [u64; 0]);
}

#[test]
fn a_text_that_is_not_ours_restores_nothing() {
    for text in ["", "{}", "[1]", r#"{"version":2,"writes":[]}"#, r#"{"version":1,"writes":[{"number":1}]}"#] {
        let mut outbox = outbox();
        outbox.restore(NOW, text, "drafts", &None, || WriteId(1));
        assert_eq!(outbox.happens(), [] as [&str; 0], "{text}");
    }
}

#[test]
fn nothing_is_sent_or_asked_while_a_login_is_under_way() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    outbox.update(2, 1);
    outbox.outputs();
    outbox.hold();
    outbox.answered(NOW, WriteId(1), Ok(json!({})));
    outbox.update(3, 3);
    outbox.link_up(NOW);
    outbox.wake(NOW);
    // A socket that comes back meanwhile, and a session that ends, do not end the login.
    outbox.identity_doubted(NOW);
    outbox.identity_changed(NOW, None);
    // Neither does another one.
    outbox.hold();
    outbox.release();
    outbox.identity_changed(NOW, Some(Some("ada".to_owned())));
    assert!(!outbox.happens().iter().any(|what| what == "ask" || what.starts_with("send")));
    // Refused: the session should be what it was, and that is looked at.
    outbox.release();
    outbox.identity_doubted(NOW);
    assert_eq!(outbox.happens(), ["ask"]);
    outbox.found(NOW, Ok(Some("ada".to_owned())));
    assert_eq!(outbox.sends(), [2, 3]);
}

#[test]
fn what_waits_is_kept_when_a_session_ends_and_forgotten_with_a_logout() {
    let ada = Some("ada".to_owned());
    let mut outbox = outbox();
    outbox.link_lost(NOW);
    outbox.update(1, 1);
    assert!(outbox.saved("drafts", &ada).is_some());
    outbox.forget_stores(&[ada.clone()].into());
    assert_eq!(outbox.saved("drafts", &ada), None);
}

#[test]
fn what_was_to_be_done_to_a_row_whose_key_nobody_learns_is_refused() {
    // Created where the visitor may not read.
    let mut outbox = outbox();
    outbox.create(1, None);
    outbox.update(2, RowKey::created_by(WriteId(1)));
    outbox.outputs();
    outbox.answered(NOW, WriteId(1), Ok(Value::Null));
    assert_eq!(outbox.happens(), ["1 confirmed", "touch ", "2 conflict", "touch "]);

    // On its way when the page ended.
    let mut first = self::outbox();
    first.create(1, None);
    first.update(2, RowKey::created_by(WriteId(1)));
    let ada = Some("ada".to_owned());
    let text = first.saved("drafts", &ada).unwrap();
    let mut next = self::outbox();
    let mut number = 10;
    next.restore(NOW, &text, "drafts", &ada, || {
        number += 1;
        WriteId(number)
    });
    assert_eq!(next.happens(), ["11 waits", "12 waits", "11 uncertain", "touch ", "12 conflict", "touch "]);
    assert_eq!(next.pending().count(), 0);
}

#[test]
fn a_write_that_is_never_answered_is_tried_ever_more_slowly_and_then_given_up() {
    let mut outbox = outbox();
    outbox.update(1, 1);
    outbox.update(2, 1);
    let (mut now, mut waits) = (NOW, Vec::new());
    let mut told = outbox.happens();
    while !told.iter().any(|what| what == "1 uncertain") {
        outbox.answered(now, WriteId(1), Err(network()));
        if let Some(at) = outbox.deadline() {
            waits.push(at - now);
            now = at;
            outbox.tick(now);
        }
        // Whatever else is asked is answered.
        outbox.found(now, Ok(Some("ada".to_owned())));
        told = outbox.happens();
    }
    assert!(waits.len() >= 7 && waits.iter().max() > Some(&4_000), "{waits:?}");
    // Those behind it go on.
    assert!(told.contains(&"send 2".to_owned()) || outbox.sends() == [2], "{told:?}");
}

#[test]
fn a_create_that_may_have_been_saved_before_is_not_called_refused() {
    let taken = || Error::answer(400, "RECORD_NOT_UNIQUE", "taken");
    // Who lost the right to create in the meantime may have lost that to read as well.
    for (refusal, found) in [(taken(), Ok(None)), (taken(), Err(forbidden())), (forbidden(), Err(forbidden()))] {
        let mut outbox = outbox();
        outbox.create(1, Some("a"));
        outbox.answered(NOW, WriteId(1), Err(network()));
        outbox.outputs();
        outbox.link_up(NOW);
        outbox.answered(NOW, WriteId(1), Err(refusal));
        outbox.outputs();
        outbox.checked(NOW, WriteId(1), found);
        assert_eq!(outbox.happens()[0], "1 uncertain");
    }
}

fn as_map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no object") };
    map
}

impl Outbox {
    /// An update of row 7, of which the list showed `before`.
    fn update_of(&mut self, number: u64, before: Value, patch: Value) {
        let change = Change::Update(Arc::new(as_map(patch)));
        let layer = Layer { write: WriteId(number), row: Some(RowKey::from(7)), key: None, change };
        self.make_upon(layer, as_map(before));
    }

    /// The same while Directus can't be reached.
    fn update_while_away(&mut self, number: u64, before: Value, patch: Value) {
        self.link_lost(NOW);
        self.update_of(number, before, patch);
    }

    fn is_back(&mut self) -> Vec<String> {
        self.link_up(NOW);
        self.happens()
    }

    fn looks_like(&mut self, number: u64, row: Value) -> Vec<String> {
        self.checked(NOW, WriteId(number), Ok(Some(row)));
        self.happens()
    }
}

#[test]
fn what_somebody_else_changed_while_an_update_waited_is_not_overwritten() {
    let before = || json!({ "title": "old" });
    for (now, outcome) in [
        (json!({ "title": "old" }), &["1 sent", "send 1"][..]),
        (json!({ "title": "theirs" }), &["1 conflict", "touch 7"]),
        // Somebody else had the same idea; or changed another field; or it can't be seen.
        (json!({ "title": "ours" }), &["1 sent", "send 1"]),
        (json!({ "title": "old", "views": 9 }), &["1 sent", "send 1"]),
        (json!({ "views": 9 }), &["1 sent", "send 1"]),
        (json!({ "title": null }), &["1 conflict", "touch 7"]),
    ] {
        let mut outbox = outbox();
        outbox.update_while_away(1, before(), json!({ "title": "ours" }));
        assert_eq!(outbox.pending().map(|write| write.is_sent).collect::<Vec<_>>(), [false]);
        outbox.outputs();
        assert_eq!(outbox.is_back(), ["compare 1"]);
        assert_eq!(outbox.pending().map(|write| write.is_sent).collect::<Vec<_>>(), [false]);
        assert_eq!(outbox.looks_like(1, now.clone()), outcome, "{now}");
    }
}

#[test]
fn an_update_that_did_not_wait_or_that_nobody_can_judge_is_sent_at_once() {
    let mut outbox = outbox();
    outbox.update_of(1, json!({ "title": "old" }), json!({ "title": "new" }));
    assert_eq!(outbox.sends(), [1]);
    for (before, patch) in [
        (json!({}), json!({ "title": "x" })),
        (json!({ "author": { "name": "Ada" } }), json!({ "author": 2 })),
        (json!({ "title": "old" }), json!({ "views": 1 })),
    ] {
        let mut outbox = self::outbox();
        outbox.update_while_away(1, before, patch);
        outbox.outputs();
        assert_eq!(outbox.is_back(), ["1 sent", "send 1"]);
    }
}

#[test]
fn what_this_page_wrote_itself_is_nobody_else_s_change() {
    let mut outbox = outbox();
    outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "first" }));
    outbox.update_while_away(2, json!({ "title": "first", "views": 1 }), json!({ "title": "second", "views": 2 }));
    outbox.outputs();
    assert_eq!(outbox.is_back(), ["compare 1"]);
    assert_eq!(outbox.looks_like(1, json!({ "title": "old" })), ["1 sent", "send 1"]);
    // As Directus keeps it: trimmed, say.
    outbox.answered(NOW, WriteId(1), Ok(json!({ "id": 7, "title": "First" })));
    assert_eq!(outbox.happens(), ["1 confirmed", "touch 7", "compare 2"]);
    assert_eq!(outbox.looks_like(2, json!({ "title": "First", "views": 1 })), ["2 sent", "send 2"]);
}

#[test]
fn of_two_updates_that_waited_neither_overwrites_what_somebody_else_wrote() {
    for (answer, outcome) in [
        (Ok(json!({ "title": "theirs" })), &["1 conflict", "touch 7", "compare 2"][..]),
        (Err(Error::answer(400, "FAILED_VALIDATION", "no")), &["1 refused", "touch 7", "compare 2"]),
    ] {
        let mut outbox = outbox();
        outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "first" }));
        outbox.update_while_away(2, json!({ "title": "first" }), json!({ "title": "second" }));
        outbox.outputs();
        outbox.is_back();
        let happens = match answer {
            Ok(row) => outbox.looks_like(1, row),
            Err(error) => {
                outbox.looks_like(1, json!({ "title": "old" }));
                outbox.answered(NOW, WriteId(1), Err(error));
                outbox.happens()
            }
        };
        assert_eq!(happens, outcome);
        assert_eq!(outbox.looks_like(2, json!({ "title": "theirs" })), ["2 conflict", "touch 7"]);
    }
}

/// What the list showed by then was this page's own, and never came to be.
#[test]
fn an_update_upon_one_that_is_refused_is_no_conflict_where_nobody_else_wrote() {
    let mut outbox = outbox();
    outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "first" }));
    outbox.update_while_away(2, json!({ "title": "first" }), json!({ "title": "second" }));
    outbox.outputs();
    outbox.is_back();
    outbox.looks_like(1, json!({ "title": "old" }));
    outbox.answered(NOW, WriteId(1), Err(Error::answer(400, "FAILED_VALIDATION", "no")));
    assert_eq!(outbox.happens(), ["1 refused", "touch 7", "compare 2"]);
    assert_eq!(outbox.looks_like(2, json!({ "title": "old" })), ["2 sent", "send 2"]);
}

#[test]
fn an_update_that_may_have_been_done_is_not_sent_over_what_somebody_else_may_have_written() {
    for (now, outcome) in
        [("old", &["1 sent", "send 1"][..]), ("ours", &["1 sent", "send 1"]), ("theirs", &["1 uncertain", "touch 7"])]
    {
        let mut outbox = outbox();
        outbox.update_of(1, json!({ "title": "old" }), json!({ "title": "ours" }));
        assert_eq!(outbox.sends(), [1]);
        outbox.answered(NOW, WriteId(1), Err(network()));
        outbox.outputs();
        assert_eq!(outbox.is_back(), ["compare 1"]);
        assert_eq!(outbox.looks_like(1, json!({ "title": now })), outcome, "{now}");
    }
}

#[test]
fn a_row_that_can_not_be_looked_at_is_directus_s_to_judge() {
    for (answer, outcome) in
        [(Ok(None), &["1 sent", "send 1"][..]), (Err(forbidden()), &["1 sent", "send 1"]), (Err(network()), &[])]
    {
        let mut outbox = outbox();
        outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "new" }));
        outbox.outputs();
        outbox.is_back();
        outbox.checked(NOW, WriteId(1), answer);
        assert_eq!(outbox.happens(), outcome);
        outbox.found_who(Some("ada"));
        assert_eq!(outbox.happens(), if outcome.is_empty() { vec!["compare 1"] } else { vec![] }, "it is tried again");
    }
}

#[test]
fn a_row_that_nobody_gives_is_directus_s_to_judge_after_a_while() {
    let mut outbox = outbox();
    outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "new" }));
    outbox.outputs();
    outbox.is_back();
    for look in 1..=LOOKS_AT_MOST {
        outbox.checked(NOW, WriteId(1), Err(Error::answer(504, "", "too slow")));
        outbox.found_who(Some("ada"));
        let expected = if look < LOOKS_AT_MOST { vec!["compare 1"] } else { vec!["1 sent", "send 1"] };
        assert_eq!(outbox.happens(), expected, "{look}");
    }
}

#[test]
fn after_an_update_that_may_have_been_done_the_next_one_overwrites_nothing_either() {
    for (now, outcome) in [("theirs", &["2 conflict", "touch 7"][..]), ("first", &["2 sent", "send 2"])] {
        let mut outbox = outbox();
        outbox.update_of(1, json!({ "title": "old" }), json!({ "title": "first" }));
        outbox.sends();
        outbox.answered(NOW, WriteId(1), Err(network()));
        outbox.update_while_away(2, json!({ "title": "first" }), json!({ "title": "second" }));
        outbox.outputs();
        assert_eq!(outbox.is_back(), ["compare 1"]);
        assert_eq!(outbox.looks_like(1, json!({ "title": "something" })), ["1 uncertain", "touch 7", "compare 2"]);
        assert_eq!(outbox.looks_like(2, json!({ "title": now })), outcome, "{now}");
    }
}

#[test]
fn an_update_that_is_compared_when_the_login_changes_is_not_sent_as_somebody_else() {
    let mut outbox = outbox();
    outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "new" }));
    outbox.outputs();
    outbox.is_back();
    outbox.identity_changed(NOW, Some(Some("bob".to_owned())));
    assert_eq!(outbox.looks_like(1, json!({ "title": "old" })), ["1 disowned as conflict", "touch 7"]);
}

#[test]
fn what_the_row_was_outlives_the_page() {
    let mut outbox = outbox();
    outbox.update_while_away(1, json!({ "title": "old" }), json!({ "title": "ours" }));
    let mut next = reloaded(&outbox, Some("ada"));
    let happens = next.happens();
    assert_eq!(happens.last().map(String::as_str), Some("compare 101"), "{happens:?}");
    assert_eq!(next.looks_like(101, json!({ "title": "theirs" })), ["101 conflict", "touch 7"]);
}
