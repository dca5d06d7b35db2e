//! Outbox, overlay and window together, against a server that is a map: whatever comes in whatever order, no row is shown
//! twice, none changes its name, and in the end the page shows what the server has.

// The crate that draws the steps is not there in a browser.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use leptos_directus::{
    Error, Key,
    live::{
        Change, Intent, Layer, NewRows, Outbox, OutboxConfig, OutboxOutput, Overlay, Progress, RowKey, Shown, Window,
        WriteId,
    },
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

#[derive(Clone, Debug)]
enum Step {
    Create {
        own_key: bool,
        value: i64,
    },
    Update {
        nth: usize,
        field: bool,
        value: i64,
    },
    Delete {
        nth: usize,
    },
    Foreign {
        nth: usize,
        field: bool,
        value: i64,
    },
    ForeignCreate {
        value: i64,
    },
    ForeignDelete {
        nth: usize,
    },
    /// The server takes the oldest request; `lost` answers are network errors.
    Serve {
        nth: usize,
        lost: bool,
        refuse: bool,
    },
    /// An answer arrives.
    Answer {
        nth: usize,
    },
    ReadSent,
    ReadBack,
    LinkUp,
    LinkLost,
}

fn step() -> impl Strategy<Value = Step> {
    let (nth, value) = (0..8_usize, 0..100_i64);
    prop_oneof![
        2 => (any::<bool>(), value.clone()).prop_map(|(own_key, value)| Step::Create { own_key, value }),
        3 => (nth.clone(), any::<bool>(), value.clone()).prop_map(|(nth, field, value)| Step::Update { nth, field, value }),
        1 => nth.clone().prop_map(|nth| Step::Delete { nth }),
        1 => (nth.clone(), any::<bool>(), value.clone()).prop_map(|(nth, field, value)| Step::Foreign { nth, field, value }),
        1 => value.prop_map(|value| Step::ForeignCreate { value }),
        1 => nth.clone().prop_map(|nth| Step::ForeignDelete { nth }),
        4 => (nth.clone(), prop::bool::weighted(0.15), prop::bool::weighted(0.15))
            .prop_map(|(nth, lost, refuse)| Step::Serve { nth, lost, refuse }),
        4 => nth.prop_map(|nth| Step::Answer { nth }),
        3 => Just(Step::ReadSent),
        3 => Just(Step::ReadBack),
        1 => Just(Step::LinkUp),
        1 => Just(Step::LinkLost),
    ]
}

#[derive(Default)]
struct Server {
    rows: BTreeMap<String, Map<String, Value>>,
    next: i64,
    /// How often each created row was saved, by what tells it.
    saved: HashMap<i64, u32>,
    /// Those that somebody else deleted: if their answer was lost, they are made again.
    deleted: HashSet<i64>,
}

impl Server {
    fn read(&self) -> Vec<Value> {
        // In an order that is not that of the keys.
        let mut rows: Vec<_> = self.rows.values().cloned().map(Value::Object).collect();
        rows.sort_by_key(|row| (row["a"].as_i64(), row["id"].as_str().map(str::to_owned)));
        rows
    }

    fn key(&self, nth: usize) -> Option<String> {
        let keys: Vec<_> = self.rows.keys().cloned().collect();
        (!keys.is_empty()).then(|| keys[nth % keys.len()].clone())
    }
}

struct World {
    server: Server,
    outbox: Outbox,
    overlay: Overlay,
    window: Window,
    next: u64,
    now: u64,
    requests: Vec<WriteId>,
    checks: Vec<WriteId>,
    answers: VecDeque<(WriteId, Result<Value, Error>)>,
    asked: bool,
    read: Option<(u64, Vec<Value>)>,
    /// The page, as it is built from what is told.
    order: Vec<RowKey>,
    rows: HashMap<RowKey, Arc<Value>>,
    names: HashMap<Key, RowKey>,
    outcomes: HashMap<WriteId, u32>,
    markers: i64,
}

impl World {
    fn new() -> Self {
        Self {
            server: Server::default(),
            outbox: Outbox::new(OutboxConfig::default()),
            overlay: Overlay::new(NewRows::First),
            window: Window::default(),
            next: 0,
            now: 0,
            requests: Vec::new(),
            checks: Vec::new(),
            answers: VecDeque::new(),
            asked: false,
            read: None,
            order: Vec::new(),
            rows: HashMap::new(),
            names: HashMap::new(),
            outcomes: HashMap::new(),
            markers: 0,
        }
    }

    fn show(&mut self, shown: Shown) {
        shown.apply_order(&mut self.order);
        for (row, look) in shown.changed {
            self.rows.insert(row, look.value);
        }
        for row in shown.removed {
            self.rows.remove(&row);
        }
    }

    /// Does what the outbox says, and holds what must always be so.
    fn settle(&mut self) {
        while let Some(output) = self.outbox.next_output() {
            match output {
                OutboxOutput::Send(write) => self.requests.push(write),
                OutboxOutput::Check(write) | OutboxOutput::Compare(write) => self.checks.push(write),
                OutboxOutput::Ask => self.asked = true,
                OutboxOutput::Touch(..) => {}
                told @ (OutboxOutput::Tell(..) | OutboxOutput::Disown(..)) => {
                    let (intent, progress) = match told {
                        OutboxOutput::Tell(intent, progress) => (intent, progress),
                        OutboxOutput::Disown(intent, error) => (intent, Progress::Refused(error)),
                        _ => unreachable!(),
                    };
                    let outcomes = self.outcomes.entry(intent.layer.write).or_default();
                    *outcomes += u32::from(matches!(progress, Progress::Confirmed { .. } | Progress::Refused(_)));
                    let shown = self.overlay.progress(&intent.layer, progress);
                    self.show(shown);
                }
            }
        }
        self.check();
    }

    fn check(&mut self) {
        let unique: HashSet<_> = self.order.iter().collect();
        assert_eq!(unique.len(), self.order.len(), "a row is shown twice: {:?}", self.order);
        let mut keys = HashSet::new();
        for row in &self.order {
            assert!(self.rows.contains_key(row), "{row:?} has no row");
            if let Some(key) = self.overlay.key(row) {
                assert!(keys.insert(key.clone()), "{key:?} is shown by two names");
                let name = self.names.entry(key).or_insert_with(|| row.clone());
                assert_eq!(name, row, "a row changed its name");
            }
        }
        let shown: Vec<_> = self.overlay.shown().map(|(row, look)| (row.clone(), Arc::clone(&look.value))).collect();
        let page: Vec<_> = self.order.iter().map(|row| (row.clone(), Arc::clone(&self.rows[row]))).collect();
        assert_eq!(page, shown, "the page was not told everything");
    }

    fn push(&mut self, row: Option<RowKey>, key: Option<Key>, change: Change) {
        self.next += 1;
        let write = WriteId(self.next);
        let row = row.unwrap_or_else(|| RowKey::created_by(write));
        let intent = Intent {
            collection: "posts".to_owned(),
            key_field: "id".to_owned(),
            origin: "posts".to_owned(),
            fields: Vec::new(),
            alias: BTreeMap::new(),
            deep: Map::new(),
            store: Some("drafts".to_owned()),
            layer: Layer { write, row: Some(row), key, change },
            before: Map::new(),
        };
        self.outbox.push(self.now, intent, None);
    }

    /// A row on the page; by its key, if it has one, as the hooks do it.
    fn row(&self, nth: usize) -> Option<RowKey> {
        let row = (!self.order.is_empty()).then(|| self.order[nth % self.order.len()].clone())?;
        Some(self.overlay.key(&row).map_or(row, RowKey::from))
    }

    /// What the server makes of a request.
    fn serve(&mut self, write: WriteId, refuse: bool) -> Result<Value, Error> {
        if refuse {
            return Err(Error::answer(400, "FAILED_VALIDATION", "no"));
        }
        let intent = self.outbox.intent(write).expect("a request of a write that is pending").clone();
        let key = self.outbox.key(&intent).map(|key| key.to_string());
        match intent.layer.change {
            Change::Create(data) => {
                let key = key.unwrap_or_else(|| {
                    self.server.next += 1;
                    self.server.next.to_string()
                });
                if self.server.rows.contains_key(&key) {
                    return Err(Error::answer(400, "RECORD_NOT_UNIQUE", "there"));
                }
                *self.server.saved.entry(data["marker"].as_i64().unwrap()).or_default() += 1;
                let mut row = data.as_object().unwrap().clone();
                row.insert("id".to_owned(), json!(key));
                self.server.rows.insert(key, row.clone());
                Ok(Value::Object(row))
            }
            Change::Update(patch) => {
                let row = self.server.rows.get_mut(&key.expect("its row has a key"));
                let row = row.ok_or_else(|| Error::answer(403, "FORBIDDEN", "no"))?;
                row.extend((*patch).clone());
                Ok(Value::Object(row.clone()))
            }
            Change::Delete => match self.server.rows.remove(&key.expect("its row has a key")) {
                Some(_) => Ok(Value::Null),
                None => Err(Error::answer(403, "FORBIDDEN", "no")),
            },
        }
    }

    fn step(&mut self, step: &Step) {
        self.now += 10;
        let field = |field: bool| if field { "a" } else { "b" };
        match *step {
            Step::Create { own_key, value } => {
                self.markers += 1;
                let mut data = json!({ "a": value, "b": 0, "marker": self.markers });
                let key = own_key.then(|| Key::from(format!("u{}", self.markers)));
                if let Some(key) = &key {
                    data["id"] = json!(key);
                }
                self.push(None, key, Change::Create(Arc::new(data)));
            }
            Step::Update { nth, field: which, value } => {
                if let Some(row) = self.row(nth) {
                    let patch = Map::from_iter([(field(which).to_owned(), json!(value))]);
                    self.push(Some(row), None, Change::Update(Arc::new(patch)));
                }
            }
            Step::Delete { nth } => {
                if let Some(row) = self.row(nth) {
                    self.push(Some(row), None, Change::Delete);
                }
            }
            Step::Foreign { nth, field: which, value } => {
                if let Some(key) = self.server.key(nth) {
                    self.server.rows.get_mut(&key).unwrap().insert(field(which).to_owned(), json!(value));
                }
            }
            Step::ForeignCreate { value } => {
                self.server.next += 1;
                let key = self.server.next.to_string();
                let row = json!({ "id": key, "a": value, "b": 0 }).as_object().unwrap().clone();
                self.server.rows.insert(key, row);
            }
            Step::ForeignDelete { nth } => {
                if let Some(key) = self.server.key(nth) {
                    let row = self.server.rows.remove(&key).unwrap_or_default();
                    self.server.deleted.extend(row.get("marker").and_then(Value::as_i64));
                }
            }
            Step::Serve { nth, lost, refuse } => {
                if !self.requests.is_empty() {
                    let write = self.requests.remove(nth % self.requests.len());
                    let served = self.serve(write, refuse);
                    let answer = if lost { Err(Error::network("lost")) } else { served };
                    self.answers.push_back((write, answer));
                }
            }
            Step::Answer { nth } => {
                if !self.answers.is_empty() {
                    let at = nth % self.answers.len();
                    let (write, answer) = self.answers.remove(at).unwrap();
                    self.outbox.answered(self.now, write, answer);
                }
                if let Some(write) = self.checks.pop() {
                    let intent = self.outbox.intent(write).unwrap();
                    let key = self.outbox.key(intent).unwrap();
                    let row = self.server.rows.get(key.as_str()).cloned().map(Value::Object);
                    self.outbox.checked(self.now, write, Ok(row));
                }
            }
            Step::ReadSent => {
                if self.read.is_none() {
                    self.read = Some((self.outbox.confirmed(), self.server.read()));
                }
            }
            Step::ReadBack => {
                if let Some((confirmed, rows)) = self.read.take() {
                    let shown = self.overlay.server(self.window.replace("id", rows));
                    self.show(shown);
                    self.check();
                    let shown = self.overlay.read(confirmed, None);
                    self.show(shown);
                }
            }
            Step::LinkUp => self.outbox.link_up(self.now),
            Step::LinkLost => self.outbox.link_lost(self.now),
        }
        self.settle();
        if std::mem::take(&mut self.asked) {
            self.outbox.found(self.now, Ok(None));
            self.settle();
        }
    }

    /// Lets everything come to its end, with a link that holds.
    fn end(&mut self) {
        for _ in 0..2_000 {
            if self.outbox.pending().next().is_none() {
                break;
            }
            self.step(&Step::LinkUp);
            self.step(&Step::Serve { nth: 0, lost: false, refuse: false });
            self.step(&Step::Answer { nth: 0 });
        }
        for _ in 0..2 {
            self.step(&Step::ReadSent);
            self.step(&Step::ReadBack);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_whatever_order_the_page_ends_as_the_server(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.end();
        prop_assert_eq!(world.outbox.pending().count(), 0);
        prop_assert!(world.overlay.is_bare());
        let page: Vec<Value> = world.order.iter().map(|row| (*world.rows[row]).clone()).collect();
        prop_assert_eq!(page, world.server.read());
        let Server { saved, deleted, .. } = &world.server;
        let is_once = |(marker, saved): (&i64, &u32)| *saved == 1 || deleted.contains(marker);
        prop_assert!(saved.iter().all(is_once), "saved more than once: {:?}", saved);
        prop_assert!(world.outcomes.values().all(|told| *told == 1), "not told once: {:?}", world.outcomes);
    }
}
