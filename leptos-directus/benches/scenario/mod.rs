//! A live list of some size, one change at a time, and Directus as a table in memory.

// Each bench that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::sync::Arc;

use leptos_directus::{
    Page, RowKey,
    live::{
        Change as Own, Feed, Layer, LiveConfig, LiveQuery, NewRows, Output, Overlay, ReadId, ReadScope, Shown,
        WindowShape, WriteId,
    },
    protocol::{Filter, Key, Query},
};
use serde_json::{Value, json};

/// Not round: such a list might have been cut by the server, and is read whole where rows enter or leave.
pub(crate) const SIZES: [usize; 3] = [103, 10_003, 100_003];

/// As many hints as come in a burst.
pub(crate) const BURST: usize = 10_000;

/// Before the first key: so keys are of one length in all sizes.
const BEFORE: usize = 1_000_000;

/// The key of the row that enters: as large as JavaScript has them.
const NEW: usize = (1 << 53) - 1;

/// How a change is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Every hint reads the window.
    Window,
    /// A hint reads the row that it is about.
    Keys,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Window, Self::Keys];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Window => "window read",
            Self::Keys => "key read",
        }
    }
}

/// What happens to one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    InPlace,
    Enter,
    Leave,
    /// And another field changes with it. Alone, the row might have been put elsewhere by hand: then both ways read the window.
    Move,
}

impl Change {
    pub(crate) const ALL: [Self; 4] = [Self::InPlace, Self::Enter, Self::Leave, Self::Move];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InPlace => "in place",
            Self::Enter => "enters",
            Self::Leave => "leaves",
            Self::Move => "moves",
        }
    }
}

/// What the visitor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// A row is changed, confirmed and read again.
    Update,
    /// A row is created, and refused.
    Create,
}

impl Write {
    pub(crate) const ALL: [Self; 2] = [Self::Update, Self::Create];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Update => "is changed",
            Self::Create => "is created",
        }
    }
}

/// One less than wait at most.
pub(crate) const WAITING: usize = 255;

/// A list of what is published, sorted by views, and what the table holds.
pub(crate) struct Scenario {
    live: LiveQuery,
    overlay: Overlay,
    rows: Vec<Value>,
    /// Where the last change was.
    at: usize,
    writes: u64,
    way: Way,
    version: u64,
    now: u64,
}

fn row(id: usize, views: usize, version: u64) -> Value {
    json!({
        "id": id, "views": views, "title": format!("Row number {id}"), "status": "published", "version": version,
        "author": id % 7, "date_created": "2026-01-01T10:00:00.000Z", "summary": "Some words about what is to be read here.",
    })
}

impl Scenario {
    pub(crate) fn new(size: usize, way: Way) -> Self {
        let published = Filter::field("status").eq("published");
        let query = Query::new().filter(published).sort("views").for_reading("id");
        let window = match way {
            Way::Window => WindowShape::default(),
            Way::Keys => WindowShape::of(&query, "id"),
        };
        let rows: Vec<Value> = (BEFORE + 1..=BEFORE + size).map(|id| row(id, id * 10, 0)).collect();
        let mut live = LiveQuery::new(LiveConfig { window, ..LiveConfig::default() }, None, 0);
        live.feed(0, Feed::Up);
        let overlay = Overlay::new(NewRows::Last);
        let mut scenario = Self { live, overlay, rows, at: 0, writes: 0, way, version: 0, now: 0 };
        scenario.settle();
        scenario
    }

    fn middle(&self) -> usize {
        self.rows.len() / 2
    }

    /// Changes the table as `change` says, about a row in the middle; its key.
    pub(crate) fn write(&mut self, change: Change) -> Key {
        self.version += 1;
        let (at, version) = (self.middle(), self.version);
        self.at = at;
        match change {
            Change::InPlace => self.rows[at]["version"] = json!(version),
            Change::Enter => self.rows.insert(at, row(NEW, 10 * (BEFORE + at) + 5, version)),
            Change::Leave => {
                self.rows[at]["status"] = json!("draft");
                self.rows[at]["version"] = json!(version);
            }
            Change::Move => {
                // Over ten rows, and back the next time.
                let id = BEFORE + self.rows.len() / 2;
                let from = self.rows.iter().position(|row| row["id"] == id).expect("it never leaves");
                let mut row = self.rows.remove(from);
                row["views"] = json!(id * 10 + if row["views"] == id * 10 { 105 } else { 0 });
                row["version"] = json!(version);
                let to = self.rows.partition_point(|there| there["views"].as_u64() < row["views"].as_u64());
                self.rows.insert(to, row);
                self.at = to;
            }
        }
        key(&self.rows[self.at])
    }

    /// The reads that are to be made.
    pub(crate) fn reads(&mut self) -> Vec<(ReadId, ReadScope)> {
        let mut reads = Vec::new();
        while let Some(output) = self.live.next_output() {
            match output {
                Output::Read(read, scope) => reads.push((read, scope)),
                Output::Rows(changes) => drop(self.overlay.server(changes)),
                _ => {}
            }
        }
        reads
    }

    /// What REST would answer.
    pub(crate) fn answer(&self, scope: &ReadScope) -> Page<Value> {
        let is_published = |row: &&Value| row["status"] == "published";
        let published = self.rows.iter().filter(is_published);
        let items = match scope {
            ReadScope::Window => published.cloned().collect(),
            // Not looked for: a walk through the table would leave nothing of the list in the processor's caches.
            ReadScope::Keys(keys) if *keys == [key(&self.rows[self.at])] => {
                Some(&self.rows[self.at]).filter(is_published).cloned().into_iter().collect()
            }
            ReadScope::Keys(keys) => published.filter(|row| keys.contains(&key(row))).cloned().collect(),
        };
        Page { items, meta: None }
    }

    /// Answers the reads that are to be made now; how many there were. `engine` runs what is not Directus's part.
    fn answer_reads(&mut self, engine: &mut impl FnMut(&mut dyn FnMut())) -> usize {
        let mut wanted = Vec::new();
        engine(&mut || wanted = self.reads());
        let made = wanted.len();
        for (read, scope) in wanted {
            let mut page = Some(self.answer(&scope));
            engine(&mut || {
                if let Some(page) = page.take() {
                    self.live.reply(self.now, read, Ok(page));
                }
            });
        }
        made
    }

    /// Answers reads until there are none; how many there were.
    fn answer_all(&mut self, engine: &mut impl FnMut(&mut dyn FnMut())) -> usize {
        let mut made = 0;
        loop {
            match self.answer_reads(engine) {
                0 => return made,
                more => made += more,
            }
        }
    }

    /// Answers reads until there are none.
    pub(crate) fn settle(&mut self) {
        self.answer_all(&mut |work: &mut dyn FnMut()| work());
    }

    /// The keys of the first rows, as many as come in a burst.
    pub(crate) fn burst_keys(&self) -> Vec<Key> {
        self.rows.iter().take(BURST).map(key).collect()
    }

    /// Hints at these, one by one, with answers after so many each; how many reads it took. `engine` runs what is not
    /// Directus's part.
    pub(crate) fn burst(
        &mut self,
        keys: &[Key],
        answer_after: usize,
        mut engine: impl FnMut(&mut dyn FnMut()),
    ) -> usize {
        let mut reads = 0;
        for some in keys.chunks(answer_after) {
            engine(&mut || {
                for key in some {
                    self.live.hint(self.now, std::slice::from_ref(key));
                }
            });
            reads += self.answer_reads(&mut engine);
        }
        reads + self.answer_all(&mut engine)
    }

    /// Writes, hints, and gets the answer ready.
    pub(crate) fn prepare(&mut self, change: Change) -> (ReadId, Page<Value>) {
        let key = self.write(change);
        self.live.hint(self.now, &[key]);
        let mut reads = self.reads();
        let (read, scope) = reads.pop().expect("a hint makes a read");
        assert_eq!(matches!(scope, ReadScope::Keys(_)), self.way == Way::Keys, "what is measured is another way");
        (read, self.answer(&scope))
    }

    /// Applies the answer: this is what is measured.
    pub(crate) fn apply(&mut self, (read, page): (ReadId, Page<Value>)) -> Vec<Shown> {
        self.live.reply(self.now, read, Ok(page));
        let mut told = Vec::new();
        while let Some(output) = self.live.next_output() {
            if let Output::Rows(changes) = output {
                told.push(self.overlay.server(changes));
            }
        }
        told
    }

    fn layer(&mut self, own: Own, key: Option<Key>) -> Layer {
        self.writes += 1;
        let write = WriteId(self.writes);
        let row = key.map_or_else(|| RowKey::created_by(write), RowKey::from);
        Layer { write, row: Some(row), key: None, change: own }
    }

    /// A change of the row in the middle, or a new one.
    pub(crate) fn own(&mut self, write: Write) -> Layer {
        let data = json!({ "views": 7, "title": "Mine", "status": "published", "version": self.writes });
        match write {
            Write::Create => self.layer(Own::Create(Arc::new(data)), None),
            Write::Update => {
                let patch = data.as_object().expect("it is one").clone();
                let key = key(&self.rows[self.middle()]);
                self.layer(Own::Update(Arc::new(patch)), Some(key))
            }
        }
    }

    /// Others wait: every second one creates a row.
    pub(crate) fn wait(&mut self, writes: usize) {
        for number in 0..writes {
            let layer = match number % 2 {
                0 => self.own(Write::Create),
                _ => Layer {
                    row: Some(RowKey::from(key(&self.rows[number % self.rows.len()]))),
                    ..self.own(Write::Update)
                },
            };
            self.overlay.add(layer);
        }
    }

    /// From the click until nothing of the write is left: this is what is measured.
    pub(crate) fn write_own(&mut self, layer: Layer) -> [Shown; 3] {
        let (write, row, is_new) = (layer.write, layer.row.clone(), matches!(layer.change, Own::Create(_)));
        let added = self.overlay.add(layer);
        let sent = self.overlay.sent(write, true);
        let done = if is_new {
            self.overlay.remove(write)
        } else {
            let key = row.and_then(|row| self.overlay.key(&row));
            let answer = key.as_ref().and_then(|key| self.overlay.value(&RowKey::from(key))).cloned();
            self.overlay.confirm(write, self.writes, key.clone(), answer);
            self.overlay.read(self.writes, key.as_ref().map(std::slice::from_ref))
        };
        [added, sent, done]
    }

    /// Undoes what a change did to the number of rows.
    pub(crate) fn restore(&mut self, change: Change) {
        match change {
            Change::Enter => {
                let new = json!(NEW);
                self.rows.retain(|row| row["id"] != new);
                self.live.hint(self.now, &[Key::from_value(&new).expect("it is a number")]);
                self.settle();
            }
            Change::Leave => {
                let at = self.middle();
                self.rows[at]["status"] = json!("published");
                self.live.hint(self.now, &[key(&self.rows[at])]);
                self.settle();
            }
            Change::InPlace | Change::Move => {}
        }
    }
}

pub(crate) fn key(row: &Value) -> Key {
    Key::from_value(&row["id"]).expect("rows have keys")
}
