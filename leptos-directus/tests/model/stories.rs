//! Scripts that once failed, and those that everybody should be able to read: what the hazards look like.

use super::{
    database::{
        Collection::{Articles, Authors, Notes, Tags},
        Field, Right,
    },
    run::run,
    script::{First, Frames, Odd, Op, Opening, OwnKey, Reading, Script, Writing},
    world::World,
};

/// Under many seeds: each gives other delays, and so other races.
#[track_caller]
fn check(ops: &[Op]) {
    check_under(0..40, ops);
}

#[track_caller]
fn check_under(seeds: std::ops::Range<u64>, ops: &[Op]) {
    for seed in seeds {
        let script = Script { seed, ops: ops.to_vec() };
        if run(&script, false).is_err() {
            let what = run(&script, true).expect_err("the same script and the same seed");
            panic!("{what}\n{script:?}");
        }
    }
}

fn attach(shape: u8) -> Op {
    Op::Attach { slot: 0, shape, first: First::Old }
}

fn create(at: super::database::Collection) -> Op {
    Op::Create { at, count: 1, kind: 1, told: true }
}

fn update(at: super::database::Collection, pick: u8, field: Field, kind: u8) -> Op {
    Op::Update { at, picks: vec![pick], field, kind, frames: Frames::One, told: true }
}

fn delete(at: super::database::Collection, pick: u8) -> Op {
    Op::Delete { at, picks: vec![pick], frames: Frames::One, told: true }
}

fn wait(millis: u64) -> Op {
    Op::Wait { millis }
}

#[test]
fn what_is_written_between_html_and_acknowledgement_is_caught_up_with() {
    for millis in [0, 20, 40, 60, 80, 120, 200] {
        check(&[create(Articles), attach(1), wait(millis), create(Articles), delete(Articles, 0), Op::Check]);
    }
}

#[test]
fn many_writes_at_once_end_in_the_last_state() {
    let mut ops = vec![attach(3), Op::Check];
    for kind in 0..12 {
        ops.push(update(Articles, kind % 3, Field::Rank, kind));
        ops.push(wait(u64::from(kind) * 7));
    }
    ops.push(Op::Check);
    check(&ops);
}

#[test]
fn rows_enter_and_leave_a_filter_silently() {
    let flag = |kind| update(Articles, 1, Field::Flag, kind);
    check(&[attach(3), Op::Check, flag(0), Op::Check, flag(1), Op::Check, flag(0), flag(1), flag(3), Op::Check]);
}

#[test]
fn a_full_window_is_refilled_and_overflows() {
    for shape in [2, 5, 6, 15, 18, 22, 23, 24] {
        check(&[
            attach(shape),
            Op::Check,
            delete(Articles, 0),
            delete(Notes, 0),
            delete(Tags, 0),
            Op::Check,
            create(Articles),
            create(Tags),
            create(Notes),
            Op::Check,
        ]);
    }
}

#[test]
fn a_key_is_deleted_and_made_again_in_one_breath() {
    check(&[
        attach(0),
        Op::Check,
        Op::Replace { at: Articles, pick: 2, kind: 4 },
        Op::Flash { at: Articles, kind: 3 },
        Op::Check,
    ]);
}

#[test]
fn an_author_s_change_shows_in_the_articles_that_watch() {
    check(&[attach(7), Op::Check, update(Authors, 0, Field::Title, 3), Op::Check, delete(Authors, 0), Op::Check]);
}

#[test]
fn an_author_s_change_shows_in_the_articles_that_lead_to_it() {
    for shape in [34, 35] {
        check(&[
            attach(shape),
            Op::Check,
            wait(3_000),
            update(Authors, 0, Field::Title, 3),
            Op::Check,
            Op::Cut,
            update(Authors, 1, Field::Title, 2),
            Op::Check,
            delete(Authors, 0),
            Op::Check,
        ]);
    }
}

#[test]
fn after_a_cut_what_happened_meanwhile_is_caught_up_with() {
    check(&[attach(1), Op::Check, Op::Cut, create(Articles), wait(30), delete(Articles, 1), Op::Check]);
}

#[test]
fn a_half_open_link_is_noticed_and_healed() {
    check(&[
        attach(1),
        Op::Check,
        Op::HalfOpen,
        create(Articles),
        wait(5_000),
        update(Articles, 0, Field::Title, 2),
        Op::Check,
    ]);
}

#[test]
fn a_sleep_of_the_machine_is_caught_up_with() {
    check(&[attach(1), Op::Check, Op::Sleep { seconds: 90 }, create(Articles), Op::Visible { after: 90 }, Op::Check]);
}

#[test]
fn rights_that_are_lost_empty_the_page_and_come_back_with_the_rows() {
    let permit = |right| Op::Permit { who: 1, at: Articles, right };
    check(&[attach(1), Op::Check, permit(Right::Nothing), create(Articles), Op::Check, permit(Right::Full), Op::Check]);
    check(&[attach(1), Op::Check, permit(Right::NoTitle), Op::Check, permit(Right::Flagged), Op::Check]);
}

#[test]
fn another_visitor_never_sees_what_was_on_its_way_for_the_one_before() {
    check(&[
        Op::Permit { who: 2, at: Articles, right: Right::Flagged },
        attach(0),
        Op::Reading(Reading::Late),
        wait(100),
        Op::Become(2),
        wait(20),
        Op::Become(1),
        Op::Become(2),
        Op::Check,
    ]);
}

#[test]
fn an_expired_login_is_noticed_and_read_anew() {
    check(&[
        Op::Permit { who: 0, at: Articles, right: Right::Flagged },
        attach(0),
        Op::Check,
        Op::Expire,
        create(Articles),
        Op::Check,
    ]);
}

#[test]
fn what_nobody_announces_shows_at_the_interval() {
    let secretly =
        Op::Update { at: Notes, picks: vec![0], field: Field::Title, kind: 6, frames: Frames::One, told: false };
    check(&[attach(19), Op::Check, secretly, Op::Check]);
    check(&[attach(20), Op::Check, update(Authors, 0, Field::Title, 3), Op::Check]);
}

#[test]
fn coming_back_after_a_long_time_looks_for_what_nobody_told() {
    for back in [Op::Online, Op::Visible { after: 40 }] {
        let secretly =
            Op::Update { at: Articles, picks: vec![0], field: Field::Title, kind: 6, frames: Frames::One, told: false };
        check(&[attach(1), Op::Check, secretly, back, Op::Check]);
    }
}

#[test]
fn a_batch_is_heard_by_whoever_shows_one_of_its_rows() {
    let batch =
        |picks| Op::Update { at: Articles, picks, field: Field::Title, kind: 2, frames: Frames::One, told: true };
    check(&[
        attach(13),
        Op::Check,
        batch(vec![0, 2, 1]),
        Op::Check,
        batch(vec![2]),
        Op::Check,
        batch(vec![0]),
        Op::Check,
    ]);
}

#[test]
fn without_a_socket_a_list_is_polled() {
    check(&[
        attach(1),
        Op::Check,
        Op::Disconnect,
        create(Articles),
        Op::Check,
        Op::Connect,
        create(Articles),
        Op::Check,
    ]);
}

#[test]
fn errors_without_a_name_find_their_query() {
    let permit = |right| Op::Permit { who: 1, at: Articles, right };
    check(&[
        Op::Old(true),
        attach(1),
        Op::Check,
        permit(Right::Nothing),
        create(Articles),
        Op::Check,
        permit(Right::Full),
        Op::Check,
    ]);
}

#[test]
fn odd_frames_change_nothing() {
    let odd = [Odd::Twice, Odd::Unknown, Odd::Unreadable, Odd::Stray, Odd::Empty, Odd::Error];
    let mut ops = vec![attach(1), wait(10)];
    ops.extend(odd.into_iter().flat_map(|odd| [Op::Odd(odd), create(Articles), wait(50)]));
    ops.push(Op::Check);
    check(&ops);
}

#[test]
fn refused_subscriptions_and_refused_sockets_are_tried_again() {
    check(&[Op::Refuse(true), attach(1), wait(3_000), create(Articles), Op::Check]);
    for opening in [Opening::Fails, Opening::Hangs, Opening::Busy, Opening::Unauthorized] {
        check(&[Op::Opening(opening), attach(1), wait(20_000), create(Articles), Op::Check]);
    }
}

fn own_create(key: OwnKey) -> Op {
    Op::OwnCreate { slot: 0, kind: 1, key }
}

fn own_update(field: Field, kind: u8) -> Op {
    Op::OwnUpdate { slot: 0, pick: 1, field, kind }
}

const OWN_DELETE: Op = Op::OwnDelete { slot: 0, pick: 2 };

#[test]
fn what_the_page_writes_and_what_others_write_to_the_same_rows_end_as_one() {
    for shape in [0, 2, 3, 20, 23] {
        check(&[
            attach(shape),
            Op::Check,
            own_create(OwnKey::Theirs),
            update(Articles, 1, Field::Rank, 3),
            own_update(Field::Rank, 1),
            wait(90),
            update(Articles, 1, Field::Rank, 4),
            OWN_DELETE,
            own_create(OwnKey::Ours),
            delete(Articles, 2),
            own_update(Field::Flag, 1),
            Op::Check,
        ]);
    }
}

#[test]
fn whatever_becomes_of_a_write_s_answer_it_is_done_once_or_said_not_to_be() {
    for writing in [Writing::Lost, Writing::Unanswered, Writing::Killed, Writing::Late, Writing::Busy, Writing::Refused]
    {
        check(&[
            attach(0),
            Op::Check,
            Op::Writing(writing),
            own_create(OwnKey::Theirs),
            own_create(OwnKey::Ours),
            own_update(Field::Title, 2),
            OWN_DELETE,
            wait(700),
            Op::Writing(Writing::Works),
            Op::Check,
        ]);
    }
}

#[test]
fn what_somebody_wrote_is_not_sent_as_whoever_is_there_after_them() {
    for change in [Op::Become(2), Op::Become(0), Op::Elsewhere(2), Op::Expire] {
        check(&[
            attach(0),
            Op::Check,
            Op::Writing(Writing::Lost),
            own_update(Field::Title, 2),
            own_create(OwnKey::Ours),
            change,
            wait(20),
            Op::Writing(Writing::Works),
            own_update(Field::Rank, 3),
            Op::Check,
        ]);
    }
}

/// It failed: the socket that came back during the login let the write out.
#[test]
fn a_socket_that_comes_back_during_a_login_lets_no_write_out() {
    check(&[attach(0), wait(230), Op::Cut, wait(40), Op::Become(2), own_create(OwnKey::Theirs), Op::Check]);
}

/// It failed: the write stayed over its row, whoever wrote to it afterwards.
#[test]
fn writes_to_several_rows_of_a_long_list_do_not_stay_over_them() {
    let of = |pick, field| Op::OwnUpdate { slot: 0, pick, field, kind: 3 };
    check(&[
        attach(23),
        Op::Check,
        of(1, Field::Flag),
        wait(60),
        of(2, Field::Flag),
        wait(60),
        of(3, Field::Flag),
        wait(500),
        update(Articles, 1, Field::Flag, 0),
        Op::Check,
    ]);
}

/// It failed: 21 frames that unsubscribe were sent in one instant.
#[test]
fn many_streams_that_end_at_once_keep_below_the_rate() {
    check(&[
        attach(0),
        Op::Streams { count: 12, plain: false },
        Op::Streams { count: 9, plain: false },
        Op::Check,
        Op::EndStreams,
        Op::Check,
    ]);
}

/// It failed: 12 frames of one second and 12 of the next reached Directus in one.
#[test]
fn two_seconds_frames_may_arrive_in_one() {
    check(&[attach(0), Op::Check, Op::Streams { count: 15, plain: false }, Op::EndStreams, attach(7), Op::Check]);
}

/// It failed: every one of them sent a ping.
#[test]
fn whoever_looks_again_and_again_does_not_exceed_the_rate() {
    let mut ops = vec![attach(0), Op::Check];
    ops.extend((0..30).flat_map(|_| [Op::Online, Op::Asked]));
    ops.push(Op::Check);
    check(&ops);
}

/// It failed: a hint threw away the wait that the server had asked for, because the query had been refused before.
#[test]
fn a_pause_is_kept_by_a_query_that_was_refused_before() {
    check(&[
        Op::Attach { slot: 0, shape: 0, first: First::Fresh },
        Op::Permit { who: 1, at: Articles, right: Right::NoTitle },
        wait(400),
        Op::Reading(Reading::Busy),
        Op::Sleep { seconds: 30 },
        create(Articles),
        wait(1_000),
    ]);
}

/// What a storm came to.
#[derive(Debug)]
struct Storm {
    reads: u64,
    /// What there was to remember before it, at most while it went on, and a while after it.
    before: usize,
    most: usize,
    after: usize,
}

/// So many events within a second over some ninety articles, of which a list shows those of this shape.
fn storm(shape: u8, seed: u64, events: u16) -> Result<Storm, String> {
    let mut world = World::new(seed, true);
    for kind in 0..80 {
        world.directus.database.insert(Articles, kind, None);
    }
    world.attach(0, shape, First::Fresh)?;
    let id = world.slots[&0];
    // By then its first reads are over, too: see [`PAST_THE_FIRST`].
    world.pass(15_000)?;
    let (reads, before) = (world.reads()[&id], world.remembered());
    let mut most = before;
    world.storm(Articles, events);
    while world.now < world.settles_at {
        world.pass(10)?;
        most = most.max(world.remembered());
    }
    world.pass(2_000)?;
    world.is_right(id).map_err(|what| what + &world.log())?;
    let reads = world.reads()[&id] - reads;
    // What was announced is known for half a minute.
    world.pass(60_000)?;
    world.storm(Articles, 1);
    world.pass(2_000)?;
    world.is_right(id)?;
    Ok(Storm { reads, before, most, after: world.remembered() })
}

#[test]
fn ten_thousand_events_in_a_second_are_a_few_reads_and_nothing_is_kept_of_them() {
    for shape in [1, 13, 23] {
        let Storm { reads, before, most, after } =
            storm(shape, 1, 10_000).unwrap_or_else(|what| panic!("{shape}: {what}"));
        // One after the other, each for up to 300 ms, and the last one when all is still.
        assert!((2..=16).contains(&reads), "{shape}: {reads} reads");
        // No more than what rows differ by: there are as many as before.
        assert!(most.max(after) < before + before / 4, "{shape}: {before}, then {most}, in the end {after}");
    }
}

/// In its first ten seconds a list reads the whole of what is announced.
const PAST_THE_FIRST: Op = Op::Wait { millis: 11_000 };

fn put(pick: u8, to: u8) -> Op {
    Op::Sort { pick, to }
}

#[test]
fn a_tag_that_is_put_elsewhere_by_hand_moves_in_all_lists_that_are_ordered_by_that() {
    for shape in [14, 16, 30] {
        let mut ops = vec![Op::Create { at: Tags, count: 15, kind: 0, told: true }, attach(shape), PAST_THE_FIRST];
        // The first of them counts all anew. In front of one that the list does not show, nothing else tells that the others were counted.
        for to in 0..12 {
            ops.extend([put(to + 3, to), Op::Check, put(to, to + 5), Op::Check]);
        }
        ops.extend([Op::Cut, put(9, 2), wait(40), put(1, 9), Op::Check]);
        check(&ops);
    }
}

#[test]
fn what_shows_of_a_tag_that_is_put_elsewhere_in_other_lists_is_right_when_they_are_read_next() {
    check(&[attach(15), PAST_THE_FIRST, put(2, 0), Op::Check, put(0, 1), update(Tags, 0, Field::Title, 3), Op::Check]);
    let refused = Op::Permit { who: 1, at: Tags, right: Right::Flagged };
    check(&[refused, attach(14), PAST_THE_FIRST, put(2, 0), Op::Check, put(0, 1), Op::Check]);
}

#[test]
fn a_list_that_directus_cuts_at_a_round_number_is_right_and_others_when_they_are_read_next() {
    for most in [10, 50, 75] {
        for shape in [1, 3, 12] {
            let delete = |picks| Op::Delete { at: Articles, picks, frames: Frames::Each, told: true };
            let ops = [
                Op::Create { at: Articles, count: 80, kind: 0, told: true },
                Op::Most(Some(most)),
                attach(shape),
                PAST_THE_FIRST,
                delete(vec![3]),
                Op::Check,
                delete(vec![70, 9, 1]),
                Op::Check,
                Op::Create { at: Articles, count: 2, kind: 3, told: true },
                update(Articles, 5, Field::Title, 2),
                Op::Check,
                Op::Most(None),
                Op::Check,
            ];
            check_under(0..6, &ops);
        }
    }
}
