//! What a live query promises, told as stories.

use serde_json::json;

use super::*;

const SECOND: Millis = 1_000;
const NOW: Millis = 1_000_000;

fn rows(ids: &[i64]) -> Page<Value> {
    Page { items: ids.iter().map(|id| json!({ "id": id })).collect(), meta: None }
}

fn query() -> LiveQuery {
    LiveQuery::new(LiveConfig::default(), None, NOW)
}

fn hydrated() -> LiveQuery {
    LiveQuery::new(LiveConfig::default(), Some(rows(&[1, 2])), NOW)
}

fn outputs(query: &mut LiveQuery) -> Vec<Output> {
    std::iter::from_fn(|| query.next_output()).collect()
}

fn reads(query: &mut LiveQuery) -> Vec<ReadId> {
    let reads = outputs(query).into_iter().filter_map(|output| match output {
        Output::Read(read, _) => Some(read),
        _ => None,
    });
    reads.collect()
}

#[track_caller]
fn read(query: &mut LiveQuery) -> ReadId {
    let reads = reads(query);
    assert_eq!(reads.len(), 1, "one read was to be made");
    reads[0]
}

fn shown(query: &LiveQuery) -> Vec<i64> {
    query.window().rows().map(|(_, row)| row["id"].as_i64().unwrap()).collect()
}

fn key(id: i64) -> Key {
    Key::from(id)
}

/// Whether nothing is to be done before the window is due, whatever is announced.
fn is_quiet(query: &LiveQuery) -> bool {
    query.read_at.is_some() && query.deadline() == query.read_at.map(|at| at + 300 * SECOND)
}

#[test]
fn nothing_is_read_before_everything_is_announced() {
    let mut query = hydrated();
    assert_eq!(reads(&mut query), []);
    query.feed(NOW, Feed::Up);
    read(&mut query);
}

#[test]
fn one_catch_up_read_and_no_change_if_nothing_changed() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let first = read(&mut query);
    query.reply(NOW, first, Ok(rows(&[1, 2])));
    assert_eq!(outputs(&mut query), [Output::Shown(first), Output::Status(LiveStatus::Live, None)]);
    assert!(is_quiet(&query), "a quiet list asks for nothing");
}

#[test]
fn a_hint_while_a_read_is_on_its_way_makes_one_more_and_no_more() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let first = read(&mut query);
    for id in 0..1_000 {
        query.hint(NOW, &[key(id)]);
    }
    assert_eq!(reads(&mut query), []);
    query.reply(NOW, first, Ok(rows(&[1])));
    let second = read(&mut query);
    query.reply(NOW, second, Ok(rows(&[3])));
    assert_eq!(reads(&mut query), []);
    assert_eq!(shown(&query), [3]);
}

#[test]
fn a_read_from_before_the_feed_came_up_does_not_make_it_live() {
    let mut query = query();
    query.refetch(NOW);
    let early = read(&mut query);
    query.feed(NOW, Feed::Up);
    query.reply(NOW, early, Ok(rows(&[1])));
    assert_ne!(query.status(), LiveStatus::Live, "what happened before the feed was told by nobody");
    let second = read(&mut query);
    query.reply(NOW, second, Ok(rows(&[1, 2])));
    assert_eq!(query.status(), LiveStatus::Live);
}

#[test]
fn a_lost_feed_keeps_the_rows_and_its_return_reads_them_again() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let first = read(&mut query);
    query.reply(NOW, first, Ok(rows(&[1, 2])));
    query.feed(NOW, Feed::Down);
    assert_eq!((query.status(), shown(&query)), (LiveStatus::Stale, vec![1, 2]));
    query.feed(NOW + SECOND, Feed::Up);
    let second = read(&mut query);
    query.reply(NOW + SECOND, second, Ok(rows(&[2, 3])));
    assert_eq!((query.status(), shown(&query)), (LiveStatus::Live, vec![2, 3]));
}

#[test]
fn a_read_that_was_lost_with_the_old_link_does_not_hold_up_the_one_over_the_new() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let lost = read(&mut query);
    query.feed(NOW + SECOND, Feed::Down);
    query.feed(NOW + 2 * SECOND, Feed::Up);
    let second = read(&mut query);
    query.reply(NOW + 2 * SECOND, second, Ok(rows(&[3])));
    assert_eq!((shown(&query), query.status()), (vec![3], LiveStatus::Live));
    // Should it come back after all, it is old.
    query.reply(NOW + 3 * SECOND, lost, Ok(rows(&[1])));
    assert_eq!(shown(&query), [3]);
}

#[test]
fn a_read_that_set_out_just_before_a_link_that_died_silently_was_back_is_lost_too() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let lost = read(&mut query);
    query.feed(NOW + SECOND, Feed::Down);
    query.distrust();
    // Its time is out, and the next try goes the same dead way.
    query.reply(NOW + 15 * SECOND, lost, Err(failure()));
    query.tick(NOW + 16 * SECOND);
    let lost_too = read(&mut query);
    query.feed(NOW + 16 * SECOND + 10, Feed::Up);
    let over_the_new_link = read(&mut query);
    assert_ne!(over_the_new_link, lost_too);
    query.reply(NOW + 17 * SECOND, over_the_new_link, Ok(rows(&[3])));
    assert_eq!((shown(&query), query.status()), (vec![3], LiveStatus::Live));
}

#[test]
fn a_read_on_its_way_is_waited_for_when_no_link_has_died() {
    for initial in [None, Some(rows(&[1, 2]))] {
        let mut query = LiveQuery::new(LiveConfig::default(), initial, NOW);
        query.refetch(NOW);
        let first = read(&mut query);
        query.feed(NOW + 10, Feed::Up);
        assert_eq!(reads(&mut query), []);
        query.reply(NOW + 20, first, Ok(rows(&[1])));
        assert_eq!(shown(&query), [1]);
        read(&mut query);
    }
}

#[test]
fn a_transient_error_keeps_the_rows_and_is_tried_again() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let mut now = NOW;
    for _ in 0..50 {
        let number = read(&mut query);
        query.reply(now, number, Err(Error::network("no")));
        assert_eq!(shown(&query), [1, 2]);
        outputs(&mut query);
        let at = query.deadline().unwrap();
        assert!(at <= now + 30 * SECOND);
        now = now.max(at);
        query.tick(now);
    }
    let number = read(&mut query);
    query.reply(now, number, Ok(rows(&[1, 2])));
    assert_eq!(query.status(), LiveStatus::Live);
    assert!(is_quiet(&query));
}

#[test]
fn what_is_over_soon_is_asked_for_again_soon_and_an_answer_is_kept() {
    for (error, is_over_soon) in [
        (Error::answer(429, "REQUESTS_EXCEEDED", "slower"), true),
        (Error::answer(503, "SERVICE_UNAVAILABLE", "busy"), true),
        (Error::timeout("reading"), true),
        (Error::answer(400, "INVALID_QUERY", "what?"), false),
    ] {
        let mut query = hydrated();
        query.feed(NOW, Feed::Up);
        let number = read(&mut query);
        query.reply(NOW, number, Err(error.clone()));
        assert_eq!(query.deadline().is_some_and(|at| at <= NOW + SECOND), is_over_soon, "{error}");
    }
}

/// It failed: the first read after a long outage met a connection that had died with the link, and waited as the outage's did.
#[test]
fn a_read_that_fails_after_an_outage_is_tried_again_soon() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let mut now = NOW;
    for _ in 0..50 {
        let number = read(&mut query);
        query.reply(now, number, Err(Error::network("no")));
        query.feed(now, Feed::Down);
        outputs(&mut query);
        query.refetch(now + 60 * SECOND);
        now += 60 * SECOND;
    }
    let number = read(&mut query);
    query.reply(now, number, Err(Error::network("no")));
    query.feed(now, Feed::Up);
    let number = read(&mut query);
    query.reply(now, number, Err(Error::network("no")));
    assert!(query.deadline().unwrap() <= now + 200, "the first ceiling: {:?}", query.deadline());
}

#[test]
fn the_server_s_own_wait_is_kept() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    let busy =
        Error::answer(503, "SERVICE_UNAVAILABLE", "under pressure").with_retry_after(Some(Duration::from_secs(7)));
    query.reply(NOW, number, Err(busy));
    query.hint(NOW, &[]);
    // Nor is it cut short by a write of this page.
    query.touch(NOW, &[1.into()]);
    assert_eq!(reads(&mut query), []);
    assert!(query.deadline().unwrap() >= NOW + 7 * SECOND);
}

#[test]
fn a_write_of_this_page_is_read_for_with_or_without_a_socket() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[1, 2])));
    query.touch(NOW, &[1.into()]);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[1, 2])));
    query.feed(NOW, Feed::Down);
    query.touch(NOW, &[1.into()]);
    read(&mut query);
}

/// It failed: for half a minute, what the page itself had created meanwhile stayed in a list that was refused.
#[test]
fn what_comes_while_a_read_is_refused_is_asked_for_at_once() {
    let refusal = || Err(Error::answer(403, "FORBIDDEN", "no"));
    for come in [|query: &mut LiveQuery| query.touch(NOW, &[key(1)]), |query: &mut LiveQuery| query.hint(NOW, &[])] {
        let mut query = hydrated();
        query.feed(NOW, Feed::Up);
        let number = read(&mut query);
        come(&mut query);
        query.reply(NOW, number, refusal());
        let number = read(&mut query);
        query.reply(NOW, number, refusal());
        assert_eq!(reads(&mut query), [], "and once only");
    }
}

#[test]
fn a_refusal_is_an_answer_and_the_rows_leave() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    query.reply(NOW, number, Err(Error::answer(403, "FORBIDDEN", "no")));
    assert_eq!((query.status(), shown(&query)), (LiveStatus::Refused, vec![]));
    // Given back, they return: at the next event, or by themselves.
    let at = query.deadline().unwrap();
    assert!(at <= NOW + 30 * SECOND);
    query.hint(NOW, &[key(1)]);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[1, 2])));
    assert_eq!((query.status(), shown(&query)), (LiveStatus::Live, vec![1, 2]));
}

#[test]
fn the_server_s_own_wait_is_kept_by_a_query_that_was_refused_before() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    query.reply(NOW, number, Err(Error::answer(403, "FORBIDDEN", "no")));
    query.hint(NOW, &[key(1)]);
    let number = read(&mut query);
    let busy =
        Error::answer(503, "SERVICE_UNAVAILABLE", "under pressure").with_retry_after(Some(Duration::from_secs(7)));
    query.reply(NOW, number, Err(busy));
    query.hint(NOW, &[key(1)]);
    assert_eq!(reads(&mut query), []);
    assert!(query.deadline().unwrap() >= NOW + 7 * SECOND);
}

#[test]
fn the_server_s_own_wait_is_kept_by_whoever_wants_to_be_sure() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    let busy =
        Error::answer(503, "SERVICE_UNAVAILABLE", "under pressure").with_retry_after(Some(Duration::from_secs(7)));
    query.reply(NOW, number, Err(busy));
    query.refetch(NOW);
    query.invalidate(NOW);
    assert_eq!(reads(&mut query), []);
    let at = query.deadline().unwrap();
    assert!(at >= NOW + 7 * SECOND);
    query.tick(at);
    let number = read(&mut query);
    query.reply(at, number, Err(failure()));
    query.refetch(at);
    assert_eq!(reads(&mut query).len(), 1, "a wait of our own is not kept");
}

#[test]
fn what_was_refused_is_asked_for_again_as_often_as_it_is_to_be_read() {
    let config = LiveConfig { revalidate_every: Some(Duration::from_secs(7)), ..LiveConfig::default() };
    let mut query = LiveQuery::new(config, Some(rows(&[1])), NOW);
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    query.reply(NOW, number, Err(Error::answer(403, "FORBIDDEN", "no")));
    assert_eq!(query.deadline(), Some(NOW + 7 * SECOND));
}

#[test]
fn without_rows_and_without_a_socket_it_is_read_all_the_same() {
    let mut query = query();
    assert_eq!(query.deadline(), Some(NOW + SECOND));
    query.tick(NOW + SECOND);
    let number = read(&mut query);
    query.reply(NOW + SECOND, number, Ok(rows(&[1])));
    assert_eq!(query.status(), LiveStatus::Polling);
    let again = query.deadline().unwrap() - NOW - SECOND;
    assert!((22 * SECOND..=30 * SECOND).contains(&again), "and again within the stated interval: {again}");
}

#[test]
fn a_change_of_identity_throws_away_what_is_on_its_way() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let before = read(&mut query);
    query.invalidate(NOW);
    let after = read(&mut query);
    query.reply(NOW, before, Ok(rows(&[666])));
    assert_eq!(shown(&query), [1, 2]);
    query.reply(NOW, after, Ok(rows(&[2])));
    assert_eq!(shown(&query), [2]);
}

#[test]
fn hints_about_other_keys_are_nothing_to_a_single_row() {
    let config = LiveConfig { only_key: Some(key(7)), ..LiveConfig::default() };
    let mut query = LiveQuery::new(config, None, NOW);
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[7])));
    query.hint(NOW, &[key(8)]);
    assert_eq!(reads(&mut query), []);
    query.hint(NOW, &[key(8), key(7)]);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[7])));
    query.hint(NOW, &[]);
    assert_eq!(reads(&mut query).len(), 1, "a hint without keys may be about any row");
}

/// It failed: the row that `?id=07` finds is announced as `7`, and that was another key.
#[test]
fn a_single_row_may_be_asked_for_by_another_spelling_of_its_key() {
    let config = LiveConfig { only_key: Some(Key::from("07")), ..LiveConfig::default() };
    let mut query = LiveQuery::new(config, None, NOW);
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[])));
    query.hint(NOW, &[key(70)]);
    assert_eq!(reads(&mut query), []);
    query.hint(NOW, &[key(7)]);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[7])));
    query.hint(NOW, &[key(7)]);
    assert_eq!(reads(&mut query).len(), 1);
}

#[test]
fn intervals_may_be_never_and_are_never_none() {
    let never = LiveConfig {
        poll_every: Duration::MAX,
        revalidate_every: Some(Duration::MAX),
        first_read_after: Duration::MAX,
        refused_retry: Duration::MAX,
        ..LiveConfig::default()
    };
    let mut query = LiveQuery::new(never, Some(rows(&[1])), NOW);
    assert_eq!(query.deadline(), None);
    query.refetch(NOW);
    let number = read(&mut query);
    query.reply(NOW, number, Err(Error::answer(403, "FORBIDDEN", "no")));
    query.tick(NOW + 1_000_000_000);
    assert_eq!(reads(&mut query), []);

    let none = LiveConfig {
        poll_every: Duration::ZERO,
        revalidate_every: Some(Duration::ZERO),
        refused_retry: Duration::ZERO,
        ..LiveConfig::default()
    };
    let mut query = LiveQuery::new(none, Some(rows(&[1])), NOW);
    for _ in 0..3 {
        let at = query.deadline().unwrap();
        query.tick(at);
        let number = read(&mut query);
        query.reply(at, number, Ok(rows(&[1])));
        assert_eq!(query.deadline(), Some(at + 1_000));
    }
    let at = query.deadline().unwrap();
    query.tick(at);
    let number = read(&mut query);
    query.reply(at, number, Err(Error::answer(403, "FORBIDDEN", "no")));
    assert_eq!(query.deadline(), Some(at + 1_000));
}

#[test]
fn revalidation_reads_at_its_interval() {
    let config = LiveConfig { revalidate_every: Some(Duration::from_secs(10)), ..LiveConfig::default() };
    let mut query = LiveQuery::new(config, Some(rows(&[1])), NOW);
    query.feed(NOW, Feed::Up);
    let mut now = NOW;
    for _ in 0..10 {
        let number = read(&mut query);
        query.reply(now, number, Ok(rows(&[1])));
        assert_eq!(query.deadline(), Some(now + 10 * SECOND));
        now += 10 * SECOND;
        query.tick(now);
    }
}

#[test]
fn what_nobody_announces_is_seen_within_five_minutes_unless_another_interval_is_set() {
    for (every, expected) in [
        (None, Some(NOW + 300 * SECOND)),
        (Some(Duration::from_secs(7)), Some(NOW + 7 * SECOND)),
        (Some(Duration::MAX), None),
    ] {
        let config = LiveConfig { revalidate_every: every, ..LiveConfig::default() };
        let mut query = LiveQuery::new(config, Some(rows(&[1])), NOW);
        query.feed(NOW, Feed::Up);
        let number = read(&mut query);
        query.reply(NOW, number, Ok(rows(&[1])));
        assert_eq!(query.deadline(), expected, "{every:?}");
    }
}

#[test]
fn a_partly_refused_feed_is_polled() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Partial);
    let number = read(&mut query);
    query.reply(NOW, number, Ok(rows(&[1, 2])));
    assert_eq!(query.status(), LiveStatus::Polling);
    assert!((NOW + 22 * SECOND..=NOW + 30 * SECOND).contains(&query.deadline().unwrap()));
    query.hint(NOW, &[key(1)]);
    assert_eq!(reads(&mut query).len(), 1);
}

/// It failed: thousands came back as one.
#[test]
fn pages_that_lost_the_same_server_do_not_read_in_one_instant() {
    let times = |read: fn(&mut LiveQuery)| {
        let when = |seed| {
            let mut query = LiveQuery::new(LiveConfig { seed, ..LiveConfig::default() }, Some(rows(&[1])), NOW);
            query.feed(NOW, Feed::Up);
            read(&mut query);
            query.deadline().unwrap()
        };
        let mut all: Vec<Millis> = (0..100).map(when).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let polls = times(|query| {
        let number = read(query);
        query.reply(NOW, number, Ok(rows(&[1])));
        query.feed(NOW, Feed::Down);
    });
    assert!(polls.len() > 50 && polls.iter().all(|at| *at <= NOW + 30 * SECOND), "{polls:?}");
    let told = times(|query| {
        let number = read(query);
        query.reply(NOW, number, Err(failure().with_retry_after(Some(Duration::from_secs(40)))));
    });
    assert!(told.len() > 50 && told[0] >= NOW + 40 * SECOND, "{told:?}");
}

/// It failed: Directus names no more rows of a batch than `QUERY_LIMIT_MAX`, and the one row was taken for none of it.
#[test]
fn one_row_is_read_where_an_event_may_name_some_of_its_rows_only() {
    for (count, is_read) in [(49, false), (50, true), (100, true), (128, true)] {
        let mut query =
            LiveQuery::new(LiveConfig { only_key: Some(key(900)), ..LiveConfig::default() }, Some(rows(&[900])), NOW);
        query.feed(NOW, Feed::Up);
        let number = read(&mut query);
        query.reply(NOW, number, Ok(rows(&[900])));
        let named: Vec<Key> = (1..=count).map(key).collect();
        query.hint(NOW + 20 * SECOND, &named);
        assert_eq!(reads(&mut query).len(), usize::from(is_read), "{count}");
    }
}

/// It failed: a wall or a gate between the page and Directus emptied the list.
#[test]
fn what_somebody_on_the_way_refuses_is_no_word_of_directus() {
    for status in [401, 403] {
        let mut query = hydrated();
        query.feed(NOW, Feed::Up);
        let number = read(&mut query);
        query.reply(NOW, number, Err(Error::answer(status, format!("HTTP_{status}"), "who are you?")));
        assert_eq!((shown(&query), query.status()), (vec![1, 2], LiveStatus::Stale), "{status}");
        assert_eq!(query.deadline(), Some(NOW + 30 * SECOND), "{status}");
    }
}

/// It failed: they stayed for as long as Directus had asked to be left alone.
#[test]
fn rows_of_another_visitor_do_not_outlast_a_read_that_must_wait() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let number = read(&mut query);
    query.reply(NOW, number, Err(failure().with_retry_after(Some(Duration::from_secs(60)))));
    query.change_identity(NOW);
    assert_eq!(reads(&mut query), []);
    assert_eq!((shown(&query), query.status()), (vec![], LiveStatus::Loading));
    assert!(query.deadline().unwrap() >= NOW + 60 * SECOND);
}

fn failure() -> Error {
    Error::answer(503, "SERVICE_UNAVAILABLE", "Under pressure.".to_owned())
}

#[test]
fn a_list_whose_reads_fail_is_not_called_live() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let first = read(&mut query);
    query.reply(NOW, first, Ok(rows(&[1, 2])));
    query.hint(NOW, &[key(1)]);
    let second = read(&mut query);
    assert_eq!(query.status(), LiveStatus::Live);
    query.reply(NOW, second, Err(failure()));
    assert_eq!((query.status(), shown(&query)), (LiveStatus::Stale, vec![1, 2]));
    query.tick(query.deadline().unwrap());
    let third = read(&mut query);
    query.reply(NOW, third, Ok(rows(&[1, 2])));
    assert_eq!(query.status(), LiveStatus::Live);
}

#[test]
fn without_rows_and_without_hope_of_a_socket_it_is_read_at_once_and_once() {
    let mut query = query();
    query.unfed(NOW);
    let number = read(&mut query);
    query.unfed(NOW);
    query.reply(NOW, number, Ok(rows(&[1])));
    query.unfed(NOW);
    assert_eq!(reads(&mut query), []);
    let mut hydrated = hydrated();
    hydrated.unfed(NOW);
    assert_eq!(reads(&mut hydrated), [], "the rows of the HTML are enough");
}

#[test]
fn rows_of_another_visitor_do_not_outlast_a_read_that_fails() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let first = read(&mut query);
    query.reply(NOW, first, Ok(rows(&[1, 2])));
    query.change_identity(NOW);
    assert_eq!(shown(&query), [1, 2], "no blank while the answer is on its way");
    let second = read(&mut query);
    outputs(&mut query);
    query.reply(NOW, second, Err(failure()));
    assert_eq!((query.status(), shown(&query)), (LiveStatus::Loading, vec![]));
    // Nor do those that they created and nobody has read: why is told first, so that it counts for no read that came back.
    let told = outputs(&mut query);
    let place = |is_it: &dyn Fn(&Output) -> bool| told.iter().position(is_it);
    let why = place(&|output| matches!(output, Output::Status(LiveStatus::Loading, Some(_))));
    let nothing = place(&|output| *output == Output::Shown(second));
    assert!(why.is_some() && why < nothing, "{told:?}");
}

#[test]
fn a_doubt_about_the_visitor_keeps_the_rows_through_a_read_that_fails() {
    let mut query = hydrated();
    query.feed(NOW, Feed::Up);
    let first = read(&mut query);
    query.reply(NOW, first, Ok(rows(&[1, 2])));
    query.invalidate(NOW);
    let second = read(&mut query);
    query.reply(NOW, second, Err(failure()));
    assert_eq!(shown(&query), [1, 2]);
}

/// Windows of some size, of which only the rows in doubt are read.
mod keys;
