use proptest::prelude::*;
use serde_json::json;

use super::*;

fn field(name: &str, descending: bool) -> SortField {
    SortField { name: name.to_owned(), descending }
}

#[expect(clippy::needless_pass_by_value, reason = "the cases are easier to read")]
#[track_caller]
fn check(one: Value, other: Value, expected: Verdict) {
    assert_eq!(verdict(&one, &other), expected, "{one} {other}");
}

#[test]
fn numbers_booleans_dates_and_uuids_compare_the_same_everywhere() {
    use Ordering::{Equal, Greater, Less};
    check(json!(2), json!(10), Verdict::Certain(Less));
    check(json!(-1.5), json!(-2), Verdict::Certain(Greater));
    check(json!(1), json!(1.0), Verdict::Certain(Equal));
    check(json!(false), json!(true), Verdict::Certain(Less));
    check(json!("2026-01-09"), json!("2026-01-10"), Verdict::Certain(Less));
    check(json!("2026-01-09"), json!("2026-01-09"), Verdict::Certain(Equal));
    check(json!("2026-01-09T10:00:00.001Z"), json!("2026-01-09T10:00:00.000Z"), Verdict::Certain(Greater));
    check(
        json!("0a0e8b5c-0000-4000-8000-000000000001"),
        json!("a00e8b5c-0000-4000-8000-000000000001"),
        Verdict::Certain(Less),
    );
}

#[test]
fn what_databases_order_in_their_own_way_is_never_compared() {
    for (one, other) in [
        (json!("a"), json!("b")),
        (json!("10"), json!("9")),
        (json!(""), json!("a")),
        (json!("1.50"), json!("2.50")),
        (json!(1), json!("1")),
        (json!(1), json!(true)),
        (json!("2026-01-09"), json!("2026-01-09T10:00:00")),
        (json!("2026-01-09T10:00:00"), json!("2026-01-09T10:00:00.000Z")),
        (json!("0A0E8B5C-0000-4000-8000-000000000001"), json!("0A0E8B5C-0000-4000-8000-000000000002")),
        (json!([1]), json!([2])),
        (json!({}), json!({})),
        // JavaScript rounds these.
        (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_994_i64)),
    ] {
        check(one, other, Verdict::Unsure);
    }
}

#[test]
fn equal_moments_may_differ_in_what_is_not_shown() {
    for moment in ["2026-01-09T10:00:00", "2026-01-09T10:00:00.000Z", "10:00:00"] {
        check(json!(moment), json!(moment), Verdict::Alike);
        assert_eq!(sameness(&json!(moment)), Sameness::SameMoment);
    }
    assert_eq!(sameness(&json!("2026-01-09")), Sameness::Same);
}

#[test]
fn a_value_that_does_not_tell_itself_tells_no_place() {
    assert_eq!(sameness(&json!("**********")), Sameness::Unknown, "concealed");
    assert_eq!(sameness(&json!(9_007_199_254_740_994_i64)), Sameness::Unknown);
    assert_eq!(sameness(&json!([])), Sameness::Unknown);
    assert_eq!(sameness(&json!({})), Sameness::Unknown);
    assert_eq!(sameness(&json!(null)), Sameness::SameNull);
    for value in [json!("Äpfel"), json!(""), json!(1.5), json!(true)] {
        assert_eq!(sameness(&value), Sameness::Same, "{value}");
    }
}

fn learn(fields: &[SortField], rows: &[Value]) -> Option<Ranking> {
    Ranking::learn(fields, rows.iter())
}

#[test]
fn null_goes_where_the_window_shows_it_to_go() {
    let null = json!({ "a": null, "id": 9 });
    let one = json!({ "a": 1, "id": 1 });
    let two = json!({ "a": 2, "id": 2 });
    for (descending, rows, expected) in [
        (false, [&null, &one], Ordering::Less),
        (false, [&one, &null], Ordering::Greater),
        (true, [&null, &one], Ordering::Less),
        (true, [&one, &null], Ordering::Greater),
    ] {
        let ranking = learn(&[field("a", descending), field("id", false)], &rows.map(Clone::clone)).unwrap();
        assert_eq!(ranking.compare(&null, &two), Some(expected), "{descending} {rows:?}");
        assert_eq!(ranking.compare(&two, &null), Some(expected.reverse()), "{descending} {rows:?}");
    }
    let ranking = learn(&[field("a", false), field("id", false)], &[one, two.clone()]).unwrap();
    assert_eq!(ranking.compare(&null, &two), None, "no null was seen");
}

#[test]
fn an_order_that_is_not_ours_is_not_learnt() {
    let by = [field("a", false), field("id", false)];
    let rows = |values: &[Value]| {
        let rows = values.iter().zip(1..).map(|(value, id)| json!({ "a": value, "id": id }));
        rows.collect::<Vec<_>>()
    };
    assert!(learn(&by, &rows(&[json!(1), json!(1), json!(2)])).is_some());
    assert!(learn(&by, &rows(&[json!(2), json!(1)])).is_none());
    assert!(learn(&by, &rows(&[json!("a"), json!("b")])).is_none());
    assert!(learn(&by, &rows(&[json!(null), json!(1), json!(null)])).is_none(), "null at both ends");
    assert!(learn(&by, &rows(&[json!(1), json!("a")])).is_none());
    assert!(learn(&by, &[json!({ "id": 1 }), json!({ "id": 2 })]).is_none(), "the field is not there");
    // Uuids ordered by their last digits, as one database has them.
    let uuids = ["b", "a"].map(|sign| json!(format!("{sign}0000000-0000-4000-8000-000000000000")));
    assert!(learn(&by, &rows(&uuids)).is_none());
}

#[test]
fn a_place_beside_an_equal_moment_is_uncertain() {
    let by = [field("at", false), field("id", false)];
    let row = |second: i64, id: i64| json!({ "at": format!("2026-01-09T10:00:{second:02}"), "id": id });
    // Their parts of a second put 7 before 3.
    let rows = [row(1, 1), row(2, 7), row(2, 3), row(4, 4)];
    let ranking = learn(&by, &rows).unwrap();
    let place = |row: &Value| ranking.place(rows.len(), |at| rows.get(at), row);
    assert_eq!(place(&row(3, 5)), Some(3));
    assert_eq!(place(&row(0, 5)), Some(0));
    assert_eq!(place(&row(5, 5)), Some(4));
    for second in [1, 2, 4] {
        assert_eq!(place(&row(second, 5)), None);
    }
}

#[test]
fn a_place_among_equal_texts_is_uncertain_and_one_beside_them_is_not() {
    let by = [field("a", false), field("title", false), field("id", false)];
    let row = |a: i64, title: &str, id: i64| json!({ "a": a, "title": title, "id": id });
    let rows = [row(1, "ä", 1), row(3, "b", 2), row(5, "x", 4)];
    let ranking = learn(&by, &rows).unwrap();
    let place = |row: &Value| ranking.place(rows.len(), |at| rows.get(at), row);
    assert_eq!(place(&row(4, "?", 9)), Some(2));
    assert_eq!(place(&row(3, "?", 9)), None);
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        6 => (-3_i64..3).prop_map(Value::from),
        2 => (-3_i64..3).prop_map(|number| json!(number as f64 / 2.0)),
    ]
}

/// As a database has it that puts null first.
fn database(one: &Value, other: &Value, descending: [bool; 2]) -> Ordering {
    let by = |name: &str, descending: bool| {
        let number = |row: &Value| row[name].as_f64();
        let ordering = match (number(one), number(other)) {
            (None, None) => Ordering::Equal,
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (Some(one), Some(other)) => one.total_cmp(&other),
        };
        if descending { ordering.reverse() } else { ordering }
    };
    by("a", descending[0]).then(by("b", descending[1])).then(by("id", false))
}

proptest! {
    #[test]
    fn a_place_is_where_a_full_sort_puts_the_row(
        values in proptest::collection::vec((value(), value()), 1..40),
        new in (value(), value()),
        descending in any::<[bool; 2]>(),
        id in 0_usize..41,
    ) {
        // Even keys are there, odd ones are new.
        let row = |(a, b): (Value, Value), id: usize| json!({ "a": a, "b": b, "id": id });
        let mut rows: Vec<Value> = values.into_iter().enumerate().map(|(at, pair)| row(pair, at * 2)).collect();
        rows.sort_by(|one, other| database(one, other, descending));
        let by = [field("a", descending[0]), field("b", descending[1]), field("id", false)];
        let ranking = learn(&by, &rows).expect("every order of a database is learnt");
        let row = row(new, id * 2 + 1);
        let found = ranking.place(rows.len(), |at| rows.get(at), &row);
        let right = rows.partition_point(|there| database(there, &row, descending) == Ordering::Less);
        match found {
            Some(place) => prop_assert_eq!(place, right),
            None => prop_assert!(ranking.nulls.is_none(), "uncertain only where null was not seen"),
        }
    }
}
