//! What happens in a run: operations one after the other, and a seed for every delay.

use std::fmt::{self, Write as _};

use proptest::prelude::*;

use super::{
    database::{Collection, Field, PEOPLE, Right, Who},
    shapes::{SHAPES, shape},
};

/// So many live queries there are at once, at most.
pub(crate) const SLOTS: u8 = 4;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    // What the page does.
    Attach {
        slot: u8,
        shape: u8,
        first: First,
    },
    Release {
        slot: u8,
    },
    Retain {
        slot: u8,
    },
    Detach {
        slot: u8,
    },
    Refetch {
        slot: u8,
    },
    Streams {
        count: u8,
        plain: bool,
    },
    EndStreams,
    Connect,
    Disconnect,
    /// Another visitor: a login, a logout.
    Become(Who),
    // What the platform says.
    Online,
    Offline,
    Visible {
        after: u64,
    },
    Asked,
    /// The clock jumps: nothing reaches the page meanwhile.
    Sleep {
        seconds: u64,
    },
    // What people write.
    Create {
        at: Collection,
        count: u8,
        kind: u8,
        told: bool,
    },
    Update {
        at: Collection,
        picks: Vec<u8>,
        field: Field,
        kind: u8,
        frames: Frames,
        told: bool,
    },
    Delete {
        at: Collection,
        picks: Vec<u8>,
        frames: Frames,
        told: bool,
    },
    /// The same key is deleted and made again in one breath.
    Replace {
        at: Collection,
        pick: u8,
        kind: u8,
    },
    /// Rows changed in one transaction, and each of them announced before it ends (hazard H18).
    Batch {
        at: Collection,
        picks: Vec<u8>,
        field: Field,
        kind: u8,
        /// For another transaction, in its midst and for seconds.
        waits: bool,
    },
    /// Made and deleted in one breath.
    Flash {
        at: Collection,
        kind: u8,
    },
    /// So many events within a second, one after the other: updates, with a create and a delete among ten.
    Storm {
        at: Collection,
        events: u16,
    },
    /// A tag is put where another one is, by hand (`/utils/sort`, hazard H15): the others are counted anew, and only the one is
    /// announced.
    Sort {
        pick: u8,
        to: u8,
    },
    // What the page writes itself, in the list of a slot.
    OwnCreate {
        slot: u8,
        kind: u8,
        key: OwnKey,
    },
    OwnUpdate {
        slot: u8,
        pick: u8,
        field: Field,
        kind: u8,
    },
    OwnDelete {
        slot: u8,
        pick: u8,
    },
    /// What becomes of the page's own writes from now on.
    Writing(Writing),
    /// Another visitor logs in or out in another tab, and the link is lost.
    Elsewhere(Who),
    // What the administrator and the clock do to rights.
    Permit {
        who: Who,
        at: Collection,
        right: Right,
    },
    /// The login of the socket ends.
    Expire,
    // Faults.
    Cut,
    HalfOpen,
    Slow {
        millis: u64,
    },
    Opening(Opening),
    Reading(Reading),
    /// Directus ends the socket.
    Restart,
    /// The same, and from then on it has this `QUERY_LIMIT_MAX`.
    Most(Option<usize>),
    /// New subscriptions are refused.
    Refuse(bool),
    /// Directus counts so many frames of somebody else into our limit: what we send now is dropped.
    Limit,
    /// The errors of 11.17.4, which name no subscription.
    Old(bool),
    Odd(Odd),
    // Time.
    Wait {
        millis: u64,
    },
    /// All faults end, and everything must come right.
    Check,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum First {
    Nothing,
    /// The rows of the server's HTML, as they are now.
    Fresh,
    /// The rows of the server's HTML, as they were before the last write.
    Old,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Frames {
    One,
    /// One for each row.
    Each,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Opening {
    Works,
    Fails,
    Hangs,
    Busy,
    Unauthorized,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    Works,
    /// Answers take seconds, each a different time.
    Late,
    /// The question is lost.
    Lost,
    /// The answer is lost.
    Unanswered,
    /// 503 with `Retry-After`.
    Busy,
    /// 429.
    Limited,
    /// 400.
    Invalid,
}

/// Whose it is to give a new row its key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OwnKey {
    /// Directus gives it.
    Theirs,
    Ours,
    /// One of a row that is there.
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Writing {
    Works,
    /// Requests and answers take seconds.
    Late,
    /// The request is lost.
    Lost,
    /// It is done, and the answer is lost.
    Unanswered,
    /// It is done, and Directus is killed before it answers.
    Killed,
    /// 503 with `Retry-After`.
    Busy,
    /// 429.
    Limited,
    /// 400.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Odd {
    /// The next frames come twice.
    Twice,
    Unknown,
    Unreadable,
    /// An event of a subscription that is not ours.
    Stray,
    /// An event without rows.
    Empty,
    /// An error that nobody asked for.
    Error,
}

#[derive(Clone, PartialEq)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) ops: Vec<Op>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("\n    Script {{ seed: {}, ops: vec![\n", self.seed);
        for op in &self.ops {
            let _ = write!(text, "        {op:?},");
            if let Op::Attach { shape: number, .. } = op {
                let _ = write!(text, " // {}", shape(*number).about);
            }
            text.push('\n');
        }
        text.push_str("    ] }");
        // As vectors of small numbers are written in a source.
        f.write_str(&text.replace("picks: [", "picks: vec!["))
    }
}

fn collection() -> impl Strategy<Value = Collection> {
    use Collection::{Articles, Authors, Notes, Tags};
    prop_oneof![5 => Just(Articles), 2 => Just(Tags), 2 => Just(Notes), 2 => Just(Authors)]
}

fn picks() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => prop::collection::vec(0..40_u8, 1), 1 => prop::collection::vec(0..40_u8, 1..8)]
}

fn told() -> impl Strategy<Value = bool> {
    prop_oneof![12 => Just(true), 1 => Just(false)]
}

fn frames() -> impl Strategy<Value = Frames> {
    prop_oneof![Just(Frames::One), Just(Frames::Each)]
}

fn write() -> impl Strategy<Value = Op> {
    let field = || prop::sample::select(Field::ALL.to_vec());
    // A few, or a whole import.
    let count = prop_oneof![40 => 1..4_u8, 1 => 30..60_u8];
    prop_oneof![
        24 => (collection(), count, 0..24_u8, told()).prop_map(|(at, count, kind, told)| Op::Create { at, count, kind, told }),
        48 => (collection(), picks(), field(), 0..24_u8, frames(), told())
            .prop_map(|(at, picks, field, kind, frames, told)| Op::Update { at, picks, field, kind, frames, told }),
        16 => (collection(), picks(), frames(), told())
            .prop_map(|(at, picks, frames, told)| Op::Delete { at, picks, frames, told }),
        8 => (collection(), 0..40_u8, 0..24_u8).prop_map(|(at, pick, kind)| Op::Replace { at, pick, kind }),
        8 => (collection(), 0..24_u8).prop_map(|(at, kind)| Op::Flash { at, kind }),
        16 => (collection(), picks(), field(), 0..24_u8, prop::bool::weighted(0.3))
            .prop_map(|(at, picks, field, kind, waits)| Op::Batch { at, picks, field, kind, waits }),
        1 => (collection(), 200..400_u16).prop_map(|(at, events)| Op::Storm { at, events }),
        4 => (0..40_u8, 0..40_u8).prop_map(|(pick, to)| Op::Sort { pick, to }),
    ]
}

fn own() -> impl Strategy<Value = Op> {
    // Most in the list that there always is.
    let slot = || prop_oneof![3 => Just(0), 1 => 0..SLOTS];
    let field = prop::sample::select(Field::ALL.to_vec());
    let key = prop_oneof![3 => Just(OwnKey::Theirs), 3 => Just(OwnKey::Ours), 1 => Just(OwnKey::Taken)];
    prop_oneof![
        3 => (slot(), 0..24_u8, key).prop_map(|(slot, kind, key)| Op::OwnCreate { slot, kind, key }),
        5 => (slot(), 0..40_u8, field, 0..24_u8)
            .prop_map(|(slot, pick, field, kind)| Op::OwnUpdate { slot, pick, field, kind }),
        2 => (slot(), 0..40_u8).prop_map(|(slot, pick)| Op::OwnDelete { slot, pick }),
    ]
}

fn page() -> impl Strategy<Value = Op> {
    let slot = || 0..SLOTS;
    let first = prop_oneof![2 => Just(First::Nothing), 1 => Just(First::Fresh), 2 => Just(First::Old)];
    prop_oneof![
        8 => (slot(), 0..SHAPES, first).prop_map(|(slot, shape, first)| Op::Attach { slot, shape, first }),
        2 => slot().prop_map(|slot| Op::Release { slot }),
        1 => slot().prop_map(|slot| Op::Retain { slot }),
        1 => slot().prop_map(|slot| Op::Detach { slot }),
        1 => slot().prop_map(|slot| Op::Refetch { slot }),
        1 => (1..16_u8, any::<bool>()).prop_map(|(count, plain)| Op::Streams { count, plain }),
        1 => Just(Op::EndStreams),
        1 => Just(Op::Connect),
        1 => Just(Op::Disconnect),
        2 => (0..PEOPLE).prop_map(Op::Become),
    ]
}

fn platform() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Online),
        1 => Just(Op::Offline),
        1 => prop_oneof![Just(1), Just(40), Just(7_200)].prop_map(|after| Op::Visible { after }),
        1 => Just(Op::Asked),
        1 => (5..90_u64).prop_map(|seconds| Op::Sleep { seconds }),
    ]
}

fn fault() -> impl Strategy<Value = Op> {
    use Reading::{Busy, Invalid, Late, Limited, Lost, Unanswered};
    let right = prop_oneof![
        2 => Just(Right::Full), 2 => Just(Right::Nothing), 1 => Just(Right::Flagged), 1 => Just(Right::NoTitle)
    ];
    let opening = prop::sample::select(vec![
        Opening::Works,
        Opening::Fails,
        Opening::Hangs,
        Opening::Busy,
        Opening::Unauthorized,
    ]);
    let reading = prop::sample::select(vec![Reading::Works, Late, Late, Lost, Unanswered, Busy, Limited, Invalid]);
    let odd = prop::sample::select(vec![Odd::Twice, Odd::Unknown, Odd::Unreadable, Odd::Stray, Odd::Empty, Odd::Error]);
    let writing = prop::sample::select(vec![
        Writing::Works,
        Writing::Late,
        Writing::Lost,
        Writing::Unanswered,
        Writing::Killed,
        Writing::Busy,
        Writing::Limited,
        Writing::Refused,
    ]);
    prop_oneof![
        4 => writing.prop_map(Op::Writing),
        1 => (0..PEOPLE).prop_map(Op::Elsewhere),
        4 => Just(Op::Cut),
        2 => Just(Op::HalfOpen),
        1 => (100..2_500_u64).prop_map(|millis| Op::Slow { millis }),
        2 => opening.prop_map(Op::Opening),
        4 => reading.prop_map(Op::Reading),
        1 => Just(Op::Restart),
        1 => prop::sample::select(vec![None, Some(10), Some(32), Some(50), Some(64), Some(75)]).prop_map(Op::Most),
        1 => any::<bool>().prop_map(Op::Refuse),
        1 => Just(Op::Limit),
        1 => any::<bool>().prop_map(Op::Old),
        2 => odd.prop_map(Op::Odd),
        4 => (prop_oneof![2 => Just(1), 1 => 0..PEOPLE], collection(), right)
            .prop_map(|(who, at, right)| Op::Permit { who, at, right }),
        1 => Just(Op::Expire),
    ]
}

fn time() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..400_u64).prop_map(|millis| Op::Wait { millis }),
        2 => (400..6_000_u64).prop_map(|millis| Op::Wait { millis }),
        1 => (6_000..60_000_u64).prop_map(|millis| Op::Wait { millis }),
        3 => Just(Op::Check),
    ]
}

/// Runs of every kind: quiet ones are judged by a tight clock, wild ones by a patient one.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let quiet = prop_oneof![8 => write(), 4 => own(), 3 => page(), 5 => time()];
    let cuts = prop_oneof![8 => write(), 4 => own(), 3 => page(), 5 => time(), 2 => Just(Op::Cut), 1 => Just(Op::HalfOpen), 1 => platform()];
    let wild = prop_oneof![8 => write(), 6 => own(), 3 => page(), 5 => time(), 1 => platform(), 5 => fault()];
    let ops = prop_oneof![
        1 => prop::collection::vec(quiet, 3..40),
        1 => prop::collection::vec(cuts, 3..40),
        3 => prop::collection::vec(wild, 3..50),
    ];
    // Something to look at, so that no script is about nothing.
    let attach = (0..SHAPES, any::<bool>()).prop_map(|(shape, bare)| Op::Attach {
        slot: 0,
        shape,
        first: if bare { First::Nothing } else { First::Fresh },
    });
    (any::<u16>(), attach, ops).prop_map(|(seed, attach, mut ops)| {
        ops.insert(0, attach);
        Script { seed: u64::from(seed), ops }
    })
}
