//! What a list shows while writes are on their way, told as stories.

use serde_json::json;

use super::*;
use crate::live::Window;

struct List {
    window: Window,
    overlay: Overlay,
    next: u64,
}

impl List {
    fn of(rows: &Value) -> Self {
        let mut list = Self { window: Window::default(), overlay: Overlay::new(NewRows::First), next: 0 };
        list.reads(rows);
        list
    }

    fn reads(&mut self, rows: &Value) -> Shown {
        let changes = self.window.replace("id", rows.as_array().unwrap().clone());
        self.overlay.server(changes)
    }

    fn lay(&mut self, row: Option<RowKey>, key: Option<Key>, change: Change) -> WriteId {
        self.next += 1;
        let write = WriteId(self.next);
        let row = row.or_else(|| matches!(change, Change::Create(_)).then(|| RowKey::created_by(write)));
        self.overlay.add(Layer { write, row, key, change });
        write
    }

    fn update(&mut self, id: i64, patch: &Value) -> WriteId {
        self.lay(Some(id.into()), None, Change::Update(Arc::new(patch.as_object().unwrap().clone())))
    }

    fn create(&mut self, data: Value) -> WriteId {
        self.lay(None, None, Change::Create(Arc::new(data)))
    }

    fn delete(&mut self, id: i64) -> WriteId {
        self.lay(Some(id.into()), None, Change::Delete)
    }

    #[track_caller]
    fn shows(&self, rows: &[(&str, Value)]) {
        let shown: Vec<_> =
            self.overlay.shown().map(|(row, shown)| (row.to_string(), (*shown.value).clone())).collect();
        let expected: Vec<_> = rows.iter().map(|(name, row)| ((*name).to_owned(), row.clone())).collect();
        assert_eq!(shown, expected);
    }
}

fn answer(row: Value) -> Option<Arc<Value>> {
    Some(Arc::new(row))
}

#[test]
fn an_update_shows_at_once_and_the_server_s_other_fields_show_through() {
    let mut list = List::of(&json!([{"id": 1, "a": 1, "b": 1}]));
    let write = list.update(1, &json!({"a": 2}));
    list.shows(&[("1", json!({"id": 1, "a": 2, "b": 1}))]);
    // Somebody else's change, of both fields: ours comes after it.
    list.reads(&json!([{"id": 1, "a": 7, "b": 7}]));
    list.shows(&[("1", json!({"id": 1, "a": 2, "b": 7}))]);
    list.overlay.remove(write);
    list.shows(&[("1", json!({"id": 1, "a": 7, "b": 7}))]);
}

#[test]
fn a_confirmed_update_stays_until_a_read_that_was_sent_afterwards() {
    let mut list = List::of(&json!([{"id": 1, "a": 1}]));
    let write = list.update(1, &json!({"a": " 2 "}));
    list.overlay.sent(write, true);
    list.overlay.confirm(write, 5, Some(1.into()), answer(json!({"id": 1, "a": "2"})));
    list.shows(&[("1", json!({"id": 1, "a": "2"}))]);
    // A read that was sent before: it may hold the old value.
    list.reads(&json!([{"id": 1, "a": 1}]));
    list.overlay.read(4, None);
    list.shows(&[("1", json!({"id": 1, "a": "2"}))]);
    list.reads(&json!([{"id": 1, "a": 3}]));
    list.overlay.read(5, None);
    list.shows(&[("1", json!({"id": 1, "a": 3}))]);
    assert!(list.overlay.is_bare());
}

#[test]
fn a_read_of_other_rows_ends_nothing() {
    let mut list = List::of(&json!([{"id": 1, "a": 1}, {"id": 2}]));
    let write = list.update(1, &json!({"a": 2}));
    list.overlay.confirm(write, 1, Some(1.into()), None);
    list.overlay.read(1, Some(&[2.into()]));
    assert!(!list.overlay.is_bare());
    list.overlay.read(1, Some(&[1.into()]));
    assert!(list.overlay.is_bare());
}

/// It failed: in another list than the one that created the row, its layer stayed over it until the whole window was read.
#[test]
fn a_write_to_a_row_that_another_list_created_goes_by_its_key_once_that_is_known() {
    let mut list = List::of(&json!([{"id": 1}, {"id": 2, "a": 1}]));
    let created = RowKey::created_by(WriteId(77));
    let patch = json!({"a": 5}).as_object().unwrap().clone();
    let write = list.lay(Some(created), None, Change::Update(Arc::new(patch)));
    list.overlay.confirm(write, 1, Some(2.into()), answer(json!({"id": 2, "a": 5})));
    list.shows(&[("1", json!({"id": 1})), ("2", json!({"id": 2, "a": 5}))]);
    list.reads(&json!([{"id": 1}, {"id": 2, "a": 6}]));
    list.overlay.read(1, Some(&[2.into()]));
    assert!(list.overlay.is_bare());
    list.shows(&[("1", json!({"id": 1})), ("2", json!({"id": 2, "a": 6}))]);
}

/// It failed: the row was on the page twice.
#[test]
fn a_key_that_is_given_again_is_the_row_that_has_it() {
    let mut list = List::of(&json!([{"id": 1}]));
    let write = list.create(json!({"a": 1}));
    list.overlay.confirm(write, 1, Some(2.into()), answer(json!({"id": 2, "a": 1})));
    list.lay(None, Some(2.into()), Change::Create(Arc::new(json!({"id": 2, "a": 7}))));
    list.shows(&[("new-1", json!({"id": 2, "a": 1})), ("1", json!({"id": 1}))]);
}

/// It failed: the row changed its name, which costs it its DOM node.
#[test]
fn a_row_that_only_a_create_shows_keeps_its_name_when_another_is_to_have_its_key() {
    let mut list = List::of(&json!([{"id": 2, "a": 1}]));
    let delete = list.delete(2);
    let again = list.lay(None, Some(2.into()), Change::Create(Arc::new(json!({"id": 2, "a": 3}))));
    list.overlay.confirm(delete, 1, Some(2.into()), None);
    list.overlay.confirm(again, 2, Some(2.into()), answer(json!({"id": 2, "a": 3})));
    // By a read between the two.
    list.reads(&json!([]));
    list.overlay.read(1, None);
    list.shows(&[("2", json!({"id": 2, "a": 3}))]);
    let taken = list.lay(None, Some(2.into()), Change::Create(Arc::new(json!({"id": 2, "a": 5}))));
    list.shows(&[("2", json!({"id": 2, "a": 3}))]);
    list.overlay.remove(taken);
    list.reads(&json!([{"id": 2, "a": 3}]));
    list.overlay.read(2, None);
    assert!(list.overlay.is_bare());
    list.shows(&[("2", json!({"id": 2, "a": 3}))]);
}

/// It failed: what had been written to the row by its key was lost from sight.
#[test]
fn a_key_of_our_own_takes_along_what_was_written_to_the_row_that_has_it() {
    let mut list = List::of(&json!([]));
    list.update(2, &json!({"a": 7}));
    list.lay(None, Some(2.into()), Change::Create(Arc::new(json!({"id": 2, "a": 1}))));
    list.reads(&json!([{"id": 2, "a": 3}]));
    list.shows(&[("new-2", json!({"id": 2, "a": 7}))]);
}

/// It failed: the answer to a write of a list that asks for the author's name took it back in one that asks for the key.
/// It failed: its layer lay over the row until the whole window was read.
#[test]
fn a_key_that_directus_gives_to_a_row_while_another_is_created_with_it_is_of_one_row() {
    let mut list = List::of(&json!([]));
    let theirs = list.create(json!({"a": 1}));
    let patch = json!({"a": 3}).as_object().unwrap().clone();
    let update = list.lay(Some(RowKey::created_by(theirs)), None, Change::Update(Arc::new(patch)));
    let ours = list.lay(None, Some(8.into()), Change::Create(Arc::new(json!({"id": 8, "a": 2}))));
    let shown = list.overlay.confirm(theirs, 1, Some(8.into()), answer(json!({"id": 8, "a": 1})));
    assert_eq!(shown.removed, [RowKey::created_by(theirs)], "it has one name, and the other one leaves");
    list.shows(&[(&RowKey::created_by(ours).to_string(), json!({"id": 8, "a": 3}))]);
    assert_eq!(list.overlay.key(&RowKey::created_by(theirs)), Some(8.into()));
    let values = [ours, theirs].map(|write| list.overlay.value(&RowKey::created_by(write)).cloned());
    assert_eq!(values, [(); 2].map(|()| answer(json!({"id": 8, "a": 3}))), "the left one's handles show the same row");
    list.overlay.remove(ours);
    list.overlay.confirm(update, 2, Some(8.into()), answer(json!({"id": 8, "a": 3})));
    list.reads(&json!([{"id": 8, "a": 3}]));
    list.overlay.read(2, Some(&[8.into()]));
    assert!(list.overlay.is_bare());
    list.shows(&[(&RowKey::created_by(ours).to_string(), json!({"id": 8, "a": 3}))]);
}

#[test]
fn an_answer_with_a_related_row_is_for_lists_that_show_that() {
    for (before, after) in [(json!(1), json!(2)), (Value::Null, json!(2)), (json!({"name": "A"}), json!({"name": "B"}))]
    {
        let mut list = List::of(&json!([{"id": 1, "author": before}]));
        let write = list.update(1, &json!({"author": 2}));
        list.overlay.confirm(write, 1, Some(1.into()), answer(json!({"id": 1, "author": {"name": "B"}})));
        list.shows(&[("1", json!({"id": 1, "author": after}))]);
    }
    let mut list = List::of(&json!([{"id": 1, "author": 1}]));
    let write = list.update(1, &json!({"author": 2}));
    list.overlay.confirm(write, 1, Some(1.into()), answer(json!({"id": 1, "author": null})));
    list.shows(&[("1", json!({"id": 1, "author": 2}))]);
}

#[test]
fn a_row_that_somebody_deletes_under_an_update_leaves() {
    let mut list = List::of(&json!([{"id": 1, "a": 1}, {"id": 2}]));
    list.update(1, &json!({"a": 2}));
    let shown = list.reads(&json!([{"id": 2}]));
    assert_eq!(shown.removed, [RowKey::from(1)]);
    list.shows(&[("2", json!({"id": 2}))]);
}

#[test]
fn a_delete_hides_at_once_and_a_refusal_brings_the_row_back() {
    let mut list = List::of(&json!([{"id": 1}, {"id": 2}]));
    let write = list.delete(1);
    list.shows(&[("2", json!({"id": 2}))]);
    list.reads(&json!([{"id": 1, "a": 1}, {"id": 2}]));
    list.shows(&[("2", json!({"id": 2}))]);
    list.overlay.remove(write);
    list.shows(&[("1", json!({"id": 1, "a": 1})), ("2", json!({"id": 2}))]);
}

#[test]
fn a_created_row_keeps_its_name_when_it_gets_its_key() {
    let mut list = List::of(&json!([{"id": 1}]));
    let write = list.create(json!({"a": 1}));
    let row = RowKey::created_by(write);
    list.shows(&[("new-1", json!({"a": 1})), ("1", json!({"id": 1}))]);
    assert_eq!(list.overlay.key(&row), None);
    list.overlay.sent(write, true);
    let shown = list.overlay.confirm(write, 1, Some(2.into()), answer(json!({"id": 2, "a": 1})));
    assert!(shown.named && shown.order.is_none(), "{shown:?}");
    assert_eq!(list.overlay.key(&row), Some(2.into()));
    // By either name it is the same row.
    assert_eq!(list.overlay.resolve(&2.into()), row);
    list.reads(&json!([{"id": 1}, {"id": 2, "a": 1}]));
    list.overlay.read(1, None);
    list.shows(&[("1", json!({"id": 1})), ("new-1", json!({"id": 2, "a": 1}))]);
    list.update(2, &json!({"a": 5}));
    list.shows(&[("1", json!({"id": 1})), ("new-1", json!({"id": 2, "a": 5}))]);
}

#[test]
fn an_own_row_that_is_read_before_its_answer_is_not_shown_twice() {
    let mut list = List::of(&json!([{"id": 1}]));
    let write = list.create(json!({"a": 1}));
    list.overlay.sent(write, true);
    // Ours and somebody else's: nobody can tell which is which.
    list.reads(&json!([{"id": 1}, {"id": 2, "a": 1}, {"id": 3}]));
    list.shows(&[("new-1", json!({"a": 1})), ("1", json!({"id": 1}))]);
    list.overlay.confirm(write, 1, Some(2.into()), answer(json!({"id": 2, "a": 1})));
    list.shows(&[("1", json!({"id": 1})), ("new-1", json!({"id": 2, "a": 1})), ("3", json!({"id": 3}))]);
}

#[test]
fn rows_that_waited_for_an_answer_show_when_the_write_is_refused() {
    let mut list = List::of(&json!([]));
    let write = list.create(json!({"a": 1}));
    list.overlay.sent(write, true);
    list.reads(&json!([{"id": 3}]));
    list.shows(&[("new-1", json!({"a": 1}))]);
    list.overlay.remove(write);
    list.shows(&[("3", json!({"id": 3}))]);
}

#[test]
fn a_created_row_that_the_query_does_not_hold_leaves_with_the_read() {
    let mut list = List::of(&json!([]));
    let write = list.create(json!({"a": 1}));
    list.overlay.confirm(write, 1, Some(2.into()), answer(json!({"id": 2, "a": 1})));
    list.overlay.read(0, None);
    list.shows(&[("new-1", json!({"id": 2, "a": 1}))]);
    let shown = list.overlay.read(1, None);
    assert_eq!(shown.removed, [RowKey::created_by(write)]);
    list.shows(&[]);
}

#[test]
fn a_key_of_our_own_is_known_from_the_start() {
    let mut list = List::of(&json!([{"id": "x"}]));
    let write = list.lay(None, Some("u".into()), Change::Create(Arc::new(json!({"id": "u"}))));
    list.overlay.sent(write, true);
    list.reads(&json!([{"id": "x"}, {"id": "u", "a": 1}, {"id": "y"}]));
    list.shows(&[("x", json!({"id": "x"})), ("new-1", json!({"id": "u", "a": 1})), ("y", json!({"id": "y"}))]);
}

#[test]
fn a_row_that_is_there_before_its_creation_is_known_is_that_row() {
    let mut list = List::of(&json!([{"id": "u"}]));
    list.lay(None, Some("u".into()), Change::Create(Arc::new(json!({"id": "u"}))));
    list.shows(&[("u", json!({"id": "u"}))]);
}

/// A delete that is taken back, be the key's first row read away before the second is there or not.
#[test]
fn a_key_that_was_deleted_just_before_shows_when_it_is_created_again() {
    let mut list = List::of(&json!([{"id": 1}, {"id": 2}]));
    let delete = list.delete(1);
    list.shows(&[("2", json!({"id": 2}))]);
    let create = list.lay(None, Some(1.into()), Change::Create(Arc::new(json!({"id": 1, "a": 1}))));
    list.shows(&[("1", json!({"id": 1, "a": 1})), ("2", json!({"id": 2}))]);
    list.overlay.confirm(delete, 1, Some(1.into()), None);
    list.reads(&json!([{"id": 2}]));
    list.overlay.read(1, None);
    list.shows(&[("1", json!({"id": 1, "a": 1})), ("2", json!({"id": 2}))]);
    list.overlay.confirm(create, 2, Some(1.into()), answer(json!({"id": 1, "a": 1})));
    list.reads(&json!([{"id": 1, "a": 1}, {"id": 2}]));
    list.overlay.read(2, None);
    list.shows(&[("1", json!({"id": 1, "a": 1})), ("2", json!({"id": 2}))]);
}

#[test]
fn what_was_kept_of_a_row_that_is_there_by_now_is_shown_over_it() {
    let mut list = List::of(&json!([{"id": "u", "a": 1}]));
    let create = list.lay(None, Some("u".into()), Change::Create(Arc::new(json!({"id": "u", "a": 1}))));
    let patch = Change::Update(Arc::new(json!({"a": 2}).as_object().unwrap().clone()));
    list.lay(Some(RowKey::created_by(create)), None, patch);
    list.shows(&[("u", json!({"id": "u", "a": 2}))]);
}

#[test]
fn new_rows_stand_above_the_newest_first_or_below() {
    let mut list = List::of(&json!([{"id": 1}]));
    list.create(json!({"a": 1}));
    list.create(json!({"a": 2}));
    list.shows(&[("new-2", json!({"a": 2})), ("new-1", json!({"a": 1})), ("1", json!({"id": 1}))]);
    list.overlay = Overlay::new(NewRows::Last);
    list.window = Window::default();
    list.reads(&json!([{"id": 1}]));
    list.create(json!({"a": 3}));
    list.create(json!({"a": 4}));
    list.shows(&[("1", json!({"id": 1})), ("new-3", json!({"a": 3})), ("new-4", json!({"a": 4}))]);
}

#[test]
fn a_field_of_another_shape_and_one_that_was_not_asked_for_stay_as_they_are() {
    let mut list = List::of(&json!([{"id": 1, "author": {"name": "x"}, "tags": ["a"], "n": null}]));
    list.update(1, &json!({"author": 5, "tags": ["b"], "n": 1, "secret": 1}));
    list.shows(&[("1", json!({"id": 1, "author": {"name": "x"}, "tags": ["b"], "n": 1}))]);
}

#[test]
fn an_update_of_a_singleton_needs_no_key() {
    let mut list = List::of(&json!([{"id": 1, "a": 1}]));
    let write = list.lay(None, None, Change::Update(Arc::new(json!({"a": 2}).as_object().unwrap().clone())));
    list.shows(&[("1", json!({"id": 1, "a": 2}))]);
    list.overlay.remove(write);
    list.shows(&[("1", json!({"id": 1, "a": 1}))]);
}

#[test]
fn only_what_is_touched_is_told() {
    let mut list = List::of(&json!([{"id": 1, "a": 1}, {"id": 2, "a": 1}]));
    let write = WriteId(9);
    let patch = Change::Update(Arc::new(json!({"a": 2}).as_object().unwrap().clone()));
    let shown = list.overlay.add(Layer { write, row: Some(2.into()), key: None, change: patch });
    assert_eq!(shown.order, None);
    assert_eq!(shown.changed.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>(), [RowKey::from(2)]);
    // The read that brings the same changes nothing on the page but what lies below.
    let shown = list.reads(&json!([{"id": 1, "a": 1}, {"id": 2, "a": 2}]));
    assert_eq!((shown.order, shown.removed), (None, vec![]));
}

#[test]
fn a_row_that_enters_or_moves_is_told_by_its_step_as_long_as_no_writes_are_over_the_rows() {
    let mut list = List::of(&json!([{"id": 1}, {"id": 2}]));
    let enters = |key: i64| RowChanges {
        splices: vec![Splice::Remove(1), Splice::Insert(0, key.into())],
        changed: vec![(key.into(), Arc::new(json!({"id": key})))],
        removed: vec![2.into()],
        ..RowChanges::default()
    };
    let shown = list.overlay.server(enters(3));
    assert_eq!((shown.order, shown.splices), (None, vec![(1, None), (0, Some(3.into()))]));
    list.shows(&[("3", json!({"id": 3})), ("1", json!({"id": 1}))]);
    let write = list.update(3, &json!({"id": 3}));
    let shown = list
        .overlay
        .server(RowChanges { splices: vec![Splice::Remove(0), Splice::Insert(1, 3.into())], ..RowChanges::default() });
    assert_eq!((shown.order, shown.splices), (Some(vec![1.into(), 3.into()]), vec![]));
    list.overlay.remove(write);
    list.shows(&[("1", json!({"id": 1})), ("3", json!({"id": 3}))]);
}
