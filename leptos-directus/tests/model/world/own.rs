//! What the page writes itself: outbox and overlays, run as the library's driver runs them, and what must hold for them.

use std::collections::{BTreeMap, HashMap, HashSet};

use leptos_directus::{
    ConnectionStatus, Error, Key, Page,
    connection::Millis,
    engine::QueryId,
    live::{
        Change, Intent, Layer, NewRows, Outbox, OutboxConfig, OutboxOutput, Overlay, Progress, ReadId, ReadScope,
        RowChanges, RowKey, Shown, Window, WriteId,
    },
};
use serde_json::{Map, Value};

use super::{
    super::{
        database::{Collection, Field, Who},
        script::{OwnKey, Writing},
        shapes::Shape,
    },
    Event, Verdict, World,
};

/// A request that writes, or that looks what became of it; as whoever the session was when it was sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    write: WriteId,
    who: Who,
    /// The answer is lost, and so is the request if it was not carried out before.
    fate: Writing,
    /// Directus has accepted the write, and only did not say what became of it.
    is_accepted: bool,
    /// What is to be read of the row.
    fields: Vec<String>,
}

/// What is known of a write, whatever the library makes of it.
#[derive(Debug)]
struct Own {
    collection: Collection,
    change: Change,
    row: RowKey,
    /// Who made it, where the page knew who it was.
    author: Option<Who>,
    /// The key is ours to give, or that of a row that is there.
    key: Option<OwnKey>,
    /// How often Directus did it.
    applied: u32,
    /// The version of the row that it made.
    version: Option<u64>,
    /// An answer to it, or to the question what became of it, was lost.
    lost: bool,
    /// There was no such row, as far as its author may see.
    missed: bool,
    /// Whom it was sent as, after how many logins of this page; and whether somebody else looked what became of it, before the page
    /// could know.
    sent_as: Who,
    sent_after: u64,
    misjudged: bool,
    done: bool,
    confirmed: Option<Millis>,
    /// What the list showed of the row when it was made, and what was there before this page's earlier writes.
    before: Map<String, Value>,
    /// What the row was found to be when it was looked at last.
    found: Option<Value>,
}

impl Own {
    /// Whether the row that was found has what this one was to have.
    fn is_what_was_found(&self) -> bool {
        let (Change::Create(data), Some(found)) = (&self.change, &self.found) else { return false };
        let is_plain = |value: &Value| !value.is_object() && !value.is_array();
        let is_there = |(field, wanted): (&String, &Value)| {
            let is_it = |found: &Value| found == wanted || !is_plain(found) || !is_plain(wanted);
            wanted.is_null() || found.get(field).is_none_or(is_it)
        };
        data.as_object().is_some_and(|data| data.iter().all(is_there))
    }

    /// Whether somebody else had changed the field that it is to change, when the row was looked at.
    fn is_in_conflict(&self, intent: &Intent) -> bool {
        let (Change::Update(patch), Some(found)) = (&self.change, &self.found) else { return false };
        patch.iter().any(|(field, wanted)| {
            let (Some(now), Some(before)) = (found.get(field), intent.before.get(field)) else { return false };
            !now.is_object() && !before.is_object() && now != before && now != wanted
        })
    }
}

/// The page's outbox, and who sits before it.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) outbox: Outbox,
    writes: BTreeMap<WriteId, Own>,
    next: u64,
    /// Who the page thinks its visitor is.
    person: Who,
    /// The page asks who its visitor is, and so can tell the outbox; and it is not in doubt.
    knows: bool,
    certain: bool,
    /// The session has changed, and nothing that the page heard could tell.
    unnoticed: bool,
    /// A login is under way: who it is that logs in, if Directus lets them.
    login: Option<Login>,
    logins: u64,
    /// There was no socket for a while.
    was_away: bool,
    pub(super) writing: Writing,
    /// Visitor 2 is an administrator, as long as nothing is forbidden to them.
    is_admin: bool,
}

impl Desk {
    /// Whether the row was found to be what neither the list showed nor this page wrote.
    fn is_overwriting(&self, write: WriteId) -> bool {
        let Some(own) = self.writes.get(&write) else { return false };
        let (Change::Update(patch), Some(found)) = (&own.change, &own.found) else { return false };
        patch.iter().any(|(field, wanted)| {
            let (Some(now), Some(before)) = (found.get(field), own.before.get(field)) else { return false };
            let is_ours =
                |earlier: &Own| matches!(&earlier.change, Change::Update(patch) if patch.get(field) == Some(now));
            !before.is_object()
                && before != now
                && !now.is_object()
                && now != wanted
                && !self
                    .writes
                    .range(..write)
                    .any(|(_, earlier)| earlier.collection == own.collection && is_ours(earlier))
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Login {
    number: u64,
    who: Who,
    is_refused: bool,
    /// The page learns who it is by the answer itself.
    is_told: bool,
}

impl Desk {
    pub(super) fn new(random: &mut fastrand::Rng) -> Self {
        Self {
            outbox: Outbox::new(OutboxConfig { seed: random.u64(..), ..OutboxConfig::default() }),
            writes: BTreeMap::new(),
            next: 0,
            person: 1,
            knows: random.u8(0..4) > 0,
            certain: true,
            unnoticed: false,
            login: None,
            logins: 0,
            was_away: false,
            writing: Writing::Works,
            is_admin: true,
        }
    }
}

/// The rows of a list with this page's writes over them, built from what is told alone.
#[derive(Debug)]
pub(super) struct List {
    overlay: Overlay,
    order: Vec<RowKey>,
    rows: HashMap<RowKey, Value>,
    names: HashMap<Key, RowKey>,
}

impl List {
    pub(super) fn new(key_field: &str, first: Option<&Page<Value>>, before: Option<&Self>, new_rows: NewRows) -> Self {
        let mut list =
            Self { overlay: Overlay::new(new_rows), order: Vec::new(), rows: HashMap::new(), names: HashMap::new() };
        if let Some(before) = before {
            list.overlay.adopt(&before.overlay);
        }
        if let Some(page) = first {
            let changes = Window::default().replace(key_field, page.items.clone());
            let shown = list.overlay.server(changes);
            list.show(shown).expect("the first rows are rows");
        }
        list
    }

    pub(super) fn server(&mut self, changes: &RowChanges) -> Verdict {
        let shown = self.overlay.server(changes.clone());
        self.show(shown)
    }

    fn show(&mut self, shown: Shown) -> Verdict {
        shown.apply_order(&mut self.order);
        for (row, look) in shown.changed {
            self.rows.insert(row, (*look.value).clone());
        }
        for row in shown.removed {
            self.rows.remove(&row);
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.order.iter().find(|row| !seen.insert(*row)) {
            return Err(format!("{twice:?} is shown twice"));
        }
        if let Some(row) = self.order.iter().find(|row| !self.rows.contains_key(*row)) {
            return Err(format!("{row:?} is shown and has no content"));
        }
        let mut keys = HashSet::new();
        for row in &self.order {
            let Some(key) = self.overlay.key(row) else { continue };
            if !keys.insert(key.clone()) {
                return Err(format!("the row {key} is shown by two names"));
            }
            let name = self.names.entry(key).or_insert_with(|| row.clone());
            if name != row {
                return Err(format!("{name:?} changes its name to {row:?}"));
            }
        }
        // One that was created here keeps its name, be it on the page or not.
        self.names.retain(|key, name| keys.contains(key) || *name != RowKey::from(key));
        Ok(())
    }

    /// The row at this place, counted around; by its key, if it has one, as the hooks do it.
    fn pick(&self, pick: u8) -> Option<RowKey> {
        let row = self.order.get(usize::from(pick).checked_rem(self.order.len())?)?;
        Some(self.overlay.key(row).map_or_else(|| row.clone(), RowKey::from))
    }

    /// What must be on the page when nothing is under way.
    pub(super) fn equals(&self, rows: &[Value]) -> Verdict {
        if !self.overlay.is_bare() {
            return Err("writes lie over the rows, and none is under way".to_owned());
        }
        let shown: Vec<&Value> = self.order.iter().filter_map(|row| self.rows.get(row)).collect();
        if shown != rows.iter().collect::<Vec<_>>() {
            return Err(format!("with the page's own writes it shows {shown:?}"));
        }
        Ok(())
    }
}

fn as_who(who: Who) -> leptos_directus::live::Who {
    (who > 0).then(|| who.to_string())
}

fn person(who: &leptos_directus::live::Who) -> Who {
    who.as_ref().and_then(|who| who.parse().ok()).unwrap_or_default()
}

fn origin(shape: &Shape) -> String {
    format!("{} {:?}", shape.collection.name(), shape.query.to_json())
}

/// Whether a write may show in a list of this shape.
fn takes(shape: &Shape, intent: &Intent) -> bool {
    let is_create = matches!(intent.layer.change, Change::Create(_));
    let is_other = |only: &Key| intent.layer.row.as_ref().is_some_and(|row| *row != RowKey::from(only));
    shape.collection.name() == intent.collection
        && shape.query.aggregate.is_empty()
        && (!is_create || origin(shape) == intent.origin)
        && !shape.only_key.as_ref().is_some_and(is_other)
}

impl World {
    // What the app writes.

    pub(crate) fn own_create(&mut self, slot: u8, kind: u8, key: OwnKey) -> Verdict {
        let Some(shape) = self.shape_of(slot) else { return Ok(()) };
        let (collection, field) = (shape.collection, shape.collection.key_field());
        let mut row = self.directus.database.draft(collection, kind);
        self.desk.next += 1;
        let number = self.desk.next;
        let own = match key {
            OwnKey::Theirs => None,
            OwnKey::Ours => Some(match collection {
                Collection::Articles | Collection::Authors => (10_000 + number).into(),
                Collection::Tags => format!("own {number}").into(),
                Collection::Notes => format!("00000000-0000-4000-8000-{number:012x}").into(),
            }),
            OwnKey::Taken => self.directus.database.pick(collection, kind),
        };
        if let Some(own) = &own {
            row.insert(field.to_owned(), own.clone());
        }
        let own = own.as_ref().and_then(Key::from_value);
        let told = own.is_some().then_some(key);
        self.own_write(slot, None, own, told, Change::Create(Value::Object(row).into()))
    }

    pub(crate) fn own_update(&mut self, slot: u8, pick: u8, field: Field, kind: u8) -> Verdict {
        let (Some(shape), Some(row)) = (self.shape_of(slot), self.row_of(slot, pick)) else { return Ok(()) };
        let value = self.directus.database.value(shape.collection, field, kind);
        let patch = Map::from_iter([(field.name().to_owned(), value)]);
        self.own_write(slot, Some(row), None, None, Change::Update(patch.into()))
    }

    pub(crate) fn own_delete(&mut self, slot: u8, pick: u8) -> Verdict {
        let Some(row) = self.row_of(slot, pick) else { return Ok(()) };
        self.own_write(slot, Some(row), None, None, Change::Delete)
    }

    /// The shape of the list in this slot, where it is one of rows.
    fn shape_of(&self, slot: u8) -> Option<Shape> {
        let watched = self.watched.get(self.slots.get(&slot)?)?;
        watched.shape.query.aggregate.is_empty().then(|| watched.shape.clone())
    }

    fn row_of(&self, slot: u8, pick: u8) -> Option<RowKey> {
        self.shape_of(slot)?;
        self.watched.get(self.slots.get(&slot)?)?.list.pick(pick)
    }

    fn own_write(
        &mut self,
        slot: u8,
        row: Option<RowKey>,
        key: Option<Key>,
        own: Option<OwnKey>,
        change: Change,
    ) -> Verdict {
        let Some(shape) = self.shape_of(slot) else { return Ok(()) };
        self.desk.next += 1;
        let write = WriteId(self.desk.next);
        let row = row.unwrap_or_else(|| RowKey::created_by(write));
        let list = self.slots.get(&slot).and_then(|id| self.watched.get(id)).map(|watched| &watched.list);
        let before = match (&change, list.and_then(|list| list.overlay.value(&row))) {
            (Change::Update(patch), Some(shown)) => {
                let shown = |field: &String| Some((field.clone(), shown.get(field)?.clone()));
                patch.keys().filter_map(shown).collect()
            }
            _ => Map::new(),
        };
        let desk = &mut self.desk;
        let known = (desk.knows && desk.certain).then_some(desk.person);
        let author = known.or_else(|| desk.outbox.who().map(person));
        desk.writes.insert(
            write,
            Own {
                collection: shape.collection,
                change: change.clone(),
                row: row.clone(),
                author,
                key: own,
                applied: 0,
                version: None,
                lost: false,
                missed: false,
                sent_as: 0,
                sent_after: 0,
                misjudged: false,
                done: false,
                confirmed: None,
                before: Map::new(),
                found: None,
            },
        );
        let intent = Intent {
            collection: shape.collection.name().to_owned(),
            key_field: shape.collection.key_field().to_owned(),
            origin: origin(&shape),
            fields: shape.query.fields,
            alias: shape.query.alias,
            deep: shape.query.deep,
            store: None,
            layer: Layer { write, row: Some(row), key, change },
            before,
        };
        self.note(|| format!("{write:?} is made by {author:?}: {:?}", intent.layer));
        self.desk.outbox.push(self.now, intent, known.map(as_who));
        if let (Some(own), Some(intent)) = (self.desk.writes.get_mut(&write), self.desk.outbox.intent(write)) {
            own.before.clone_from(&intent.before);
        }
        self.settle()
    }

    /// What waits shows in lists that come into being meanwhile, too.
    pub(super) fn show_pending(&mut self, id: QueryId) -> Verdict {
        let Some(watched) = self.watched.get_mut(&id) else { return Ok(()) };
        for (intent, is_sent) in self.desk.outbox.intents() {
            if takes(&watched.shape, intent) {
                for stage in [Some(Progress::Waiting), is_sent.then_some(Progress::Sent)].into_iter().flatten() {
                    let shown = watched.list.overlay.progress(&intent.layer, stage);
                    watched.list.show(shown)?;
                }
            }
        }
        Ok(())
    }

    // What the outbox wants done.

    pub(super) fn outbox_outputs(&mut self) -> Verdict {
        while let Some(output) = self.desk.outbox.next_output() {
            match output {
                OutboxOutput::Send(write) => self.own_send(write)?,
                OutboxOutput::Check(write) | OutboxOutput::Compare(write) => {
                    let outbox = &self.desk.outbox;
                    let fields = match output {
                        OutboxOutput::Compare(_) => outbox.compares(write),
                        _ => outbox.intent(write).map(|intent| intent.fields.clone()).unwrap_or_default(),
                    };
                    let is_accepted = outbox.is_accepted(write);
                    let request = Request { write, who: self.who, fate: self.desk.writing, is_accepted, fields };
                    self.note(|| format!("{write:?} is looked for"));
                    let delay = self.upto(150);
                    self.agenda.plan(self.now + delay, Event::Looks(request));
                }
                OutboxOutput::Ask => {
                    let answer = match self.desk.writing {
                        Writing::Works | Writing::Refused => Ok(as_who(self.who)),
                        Writing::Busy => Err(busy()),
                        _ => Err(Error::network("nobody answers")),
                    };
                    self.note(|| format!("who is it? {answer:?}"));
                    let delay = self.upto(250);
                    self.agenda.plan(self.now + delay, Event::Found(answer));
                }
                OutboxOutput::Tell(intent, progress) => self.own_told(&intent, &progress)?,
                OutboxOutput::Disown(intent, error) => self.own_told(&intent, &Progress::Refused(error))?,
                OutboxOutput::Touch(collection, key) => {
                    for watched in self.watched.values_mut() {
                        let is_touched = watched.shape.collection.name() == collection || watched.shape.relates();
                        watched.allowed += 2 * u64::from(is_touched);
                    }
                    let keys: Vec<Key> = key.into_iter().collect();
                    self.engine.touch(self.now, &collection, &keys);
                }
            }
        }
        Ok(())
    }

    fn own_send(&mut self, write: WriteId) -> Verdict {
        let desk = &self.desk;
        let Some(own) = desk.writes.get(&write) else { return Err(format!("{write:?} is sent and was not made")) };
        if own.done {
            return Err(format!("{write:?} is sent, and was said to be done"));
        }
        if desk.login.is_some() {
            return Err(format!("{write:?} is sent while a login is under way"));
        }
        // Nobody can tell before anything has happened that the page could hear.
        if own.author.is_some_and(|author| author != self.who) && !desk.unnoticed {
            return Err(format!("{write:?} was made by {:?} and is sent as {}", own.author, self.who));
        }
        let is_update = |own: &Own| matches!(own.change, Change::Update(_));
        let row = |write: WriteId, own: &Own| {
            let intent = desk.outbox.intent(write);
            let key = intent.and_then(|intent| desk.outbox.key(intent)).map(RowKey::from);
            key.unwrap_or_else(|| own.row.clone())
        };
        for (earlier, before) in desk.writes.range(..write).filter(|(_, before)| !before.done) {
            let is_apart = is_update(before)
                && is_update(own)
                && (before.collection != own.collection || row(*earlier, before) != row(write, own));
            if !is_apart {
                return Err(format!("{write:?} is sent before {earlier:?} is done"));
            }
        }
        if desk.is_overwriting(write) {
            return Err(format!("{write:?} is sent over what somebody else wrote"));
        }
        if own.lost && own.key.is_none() && matches!(own.change, Change::Create(_)) {
            return Err(format!("{write:?} is sent again, and its key is not ours"));
        }
        let who = self.who;
        self.note(|| format!("{write:?} is sent as {who}"));
        let request = Request { write, who, fate: self.desk.writing, is_accepted: false, fields: Vec::new() };
        if let Some(own) = self.desk.writes.get_mut(&write) {
            own.lost |= request.fate == Writing::Lost;
            (own.sent_as, own.sent_after) = (who, self.desk.logins);
        }
        let delay = match request.fate {
            Writing::Late => self.upto(4_000),
            _ => self.upto(150),
        };
        let now = self.now + delay;
        let answer = match request.fate {
            Writing::Works | Writing::Late | Writing::Unanswered | Writing::Killed => {
                self.agenda.plan(now, Event::Writes(request));
                return Ok(());
            }
            Writing::Lost => Err(Error::network("the request was lost")),
            Writing::Busy => Err(busy()),
            Writing::Limited => Err(Error::answer(429, "REQUESTS_EXCEEDED", "slower")),
            Writing::Refused => Err(Error::answer(400, "FAILED_VALIDATION", "no")),
        };
        self.agenda.plan(now, Event::Written(write, answer));
        Ok(())
    }

    fn own_told(&mut self, intent: &Intent, progress: &Progress) -> Verdict {
        let write = intent.layer.write;
        self.note(|| format!("{write:?}: {progress:?}"));
        let Some(own) = self.desk.writes.get_mut(&write) else { return Err(format!("{write:?} was never made")) };
        if own.done {
            return Err(format!("{write:?} was done, and is told again: {progress:?}"));
        }
        let is_create = matches!(own.change, Change::Create(_));
        own.done = matches!(progress, Progress::Confirmed { .. } | Progress::Refused(_));
        own.confirmed = matches!(progress, Progress::Confirmed { .. }).then_some(self.now);
        if let Progress::Confirmed { answer: Some(row), .. } = progress {
            // It was looked for, and somebody else had written to it by then: that is what shows.
            let answered = row.get("v").and_then(Value::as_u64);
            own.version = own.version.filter(|version| answered.is_none_or(|answered| answered == *version));
        }
        let is_true = match progress {
            Progress::Waiting | Progress::Sent => true,
            // What is under a key that was taken may be what this write would have made; of a uuid it is not asked.
            Progress::Confirmed { .. } if is_create && own.key == Some(OwnKey::Taken) => {
                own.applied > 0 || own.collection == Collection::Notes || own.is_what_was_found()
            }
            // Whose key is ours is made again if somebody else deleted it meanwhile.
            Progress::Confirmed { .. } if is_create => own.applied == 1 || own.applied > 1 && own.key.is_some(),
            // Who was an administrator may write and not read now, as far as Directus says.
            Progress::Confirmed { .. } => {
                let is_excused = own.change == Change::Delete || own.misjudged || !self.desk.is_admin;
                own.applied > 0 || own.missed && is_excused
            }
            // Nobody knows, and it says so.
            Progress::Refused(error) if error.is_uncertain() => {
                let is_by_another = own.sent_as != self.who || own.author != Some(own.sent_as);
                own.lost || is_by_another || !self.desk.certain || own.sent_after != self.desk.logins
            }
            Progress::Refused(error) if error.message().contains("somebody else changed") => own.is_in_conflict(intent),
            // What was refused when it was sent again may have been done the first time: of a change it is not said, and of a
            // row that its author may not see nobody knows.
            Progress::Refused(_) => own.applied == 0 || own.lost && (!is_create || own.missed),
        };
        if !is_true {
            return Err(format!("{write:?} is said to be {progress:?}, and that is not so: {own:?}"));
        }
        for watched in self.watched.values_mut().filter(|watched| takes(&watched.shape, intent)) {
            let shown = watched.list.overlay.progress(&intent.layer, progress.clone());
            watched.list.show(shown)?;
        }
        self.not_taken_back()
    }

    /// No read that was sent before a write was confirmed shows the row as it was.
    pub(super) fn not_taken_back(&self) -> Verdict {
        if self.desk.writes.is_empty() {
            return Ok(());
        }
        for watched in self.watched.values() {
            let of_this = |own: &Own| own.collection == watched.shape.collection;
            for (row, value) in &watched.list.rows {
                let (Some(_), Some(version)) = (watched.list.overlay.key(row), value.get("v").and_then(Value::as_u64))
                else {
                    continue;
                };
                let is_its = |own: &Own| of_this(own) && watched.list.overlay.resolve(&own.row) == *row;
                let updates = self.desk.writes.values().filter(|own| is_its(own));
                let mut latest: HashMap<&String, &Value> = HashMap::new();
                for own in updates {
                    let Change::Update(patch) = &own.change else { continue };
                    // HTML that is older knows nothing of it.
                    let is_known = own.confirmed.is_some_and(|at| at > watched.born);
                    if is_known && own.version > Some(version) {
                        latest.extend(patch.iter());
                    } else if !own.done {
                        // It lies over the others.
                        latest.retain(|field, _| !patch.contains_key(*field));
                    }
                }
                for (field, wanted) in latest {
                    let shown = value.get(field);
                    if shown.is_some_and(|shown| shown != wanted && !shown.is_object() && !shown.is_array()) {
                        return Err(format!("{row:?} shows {field} as it was before it was written: {shown:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// A read is in the rows: so are the writes that were done before it was sent.
    pub(super) fn own_shown(&mut self, id: QueryId, read: ReadId) -> Verdict {
        let Some(watched) = self.watched.get_mut(&id) else { return Ok(()) };
        if watched.last_read != Some(read) {
            return Err(format!("{id:?} shows {read:?}, and {:?} was sent", watched.last_read));
        }
        let only = match &watched.scope {
            ReadScope::Window => None,
            ReadScope::Keys(keys) => Some(keys.as_slice()),
        };
        let shown = watched.list.overlay.read(watched.confirmed, only);
        watched.list.show(shown)?;
        self.not_taken_back()
    }

    // Directus, and the way there.

    /// A write reaches Directus.
    pub(super) fn own_arrives(&mut self, request: &Request) -> Verdict {
        let Some(intent) = self.desk.outbox.intent(request.write).cloned() else { return Ok(()) };
        let Some(own) = self.desk.writes.get_mut(&request.write) else { return Ok(()) };
        let key = self.desk.outbox.key(&intent);
        let is_admin = self.desk.is_admin && request.who == 2;
        let before = self.directus.database.clone();
        let database = &mut self.directus.database;
        own.missed |= !key.as_ref().is_some_and(|key| database.is_seen(request.who, own.collection, key));
        let fields = &intent.fields;
        let (answer, done) =
            database.write(self.now, request.who, is_admin, own.collection, key.as_ref(), &own.change, fields);
        own.applied += u32::from(done.is_some());
        let mut announced = None;
        if let Some((event, key)) = done {
            own.version = database.version_of(own.collection, &key).or(own.version);
            announced = Some((own.collection, event, key));
        }
        let is_lost = matches!(request.fate, Writing::Unanswered | Writing::Killed);
        own.lost |= is_lost;
        let write = request.write;
        self.note(|| format!("Directus carries out {write:?}: {announced:?}, and answers {answer:?}"));
        if let Some((collection, event, key)) = announced {
            self.before = before;
            self.written(collection, event, vec![key], true);
        }
        let delay = if request.fate == Writing::Late { self.upto(4_000) } else { self.upto(150) };
        let answer = if is_lost { Err(Error::network("the answer was lost")) } else { answer };
        if request.fate == Writing::Killed {
            self.cut("Directus was killed");
        }
        self.agenda.plan(self.now + delay, Event::Written(write, answer));
        Ok(())
    }

    pub(super) fn own_written(&mut self, write: WriteId, answer: Result<Value, Error>) -> Verdict {
        self.note(|| format!("{write:?} is answered: {answer:?}"));
        self.desk.outbox.answered(self.now, write, answer);
        self.settle()
    }

    /// Somebody asks for the row of a write.
    pub(super) fn own_looked_for(&mut self, request: &Request) -> Verdict {
        let Some(intent) = self.desk.outbox.intent(request.write).cloned() else { return Ok(()) };
        let Some(own) = self.desk.writes.get_mut(&request.write) else { return Ok(()) };
        let key = self.desk.outbox.key(&intent);
        let is_admin = self.desk.is_admin && request.who == 2;
        let database = &self.directus.database;
        let is_seen = key.as_ref().is_some_and(|key| database.is_seen(request.who, own.collection, key));
        own.missed |= !is_seen;
        let found = match (&key, request.fate) {
            (_, Writing::Busy) => Err(busy()),
            (_, Writing::Lost | Writing::Unanswered | Writing::Killed) => Err(Error::network("nobody answers")),
            (None, _) => Ok(None),
            (Some(key), _) => database.row(request.who, own.collection, key, &request.fields),
        };
        own.lost |= found.as_ref().is_err_and(Error::is_transient);
        let found = match found {
            Ok(None) if request.is_accepted && !is_admin => Ok(Some(Value::Null)),
            Err(error) if request.is_accepted && error.is_forbidden() => Ok((!is_admin).then_some(Value::Null)),
            found => found,
        };
        let delay = self.upto(150);
        self.agenda.plan(self.now + delay, Event::Looked(request.write, found));
        Ok(())
    }

    pub(super) fn own_looked(&mut self, write: WriteId, found: Result<Option<Value>, Error>) -> Verdict {
        self.note(|| format!("{write:?} was looked for: {found:?}"));
        if let Some(own) = self.desk.writes.get_mut(&write) {
            // What happened elsewhere shows when the link is back, and not before.
            let is_away = !matches!(self.status, ConnectionStatus::Connected);
            let is_hidden = self.desk.unnoticed || !self.desk.certain || is_away;
            // Another tab's session sent it, and was over before anybody asked.
            let is_past = own.author == Some(self.who) && own.sent_after == self.desk.logins;
            own.misjudged |= own.sent_as != self.who && (is_hidden || is_past);
            own.found = found.as_ref().ok().and_then(Option::clone).filter(Value::is_object);
        }
        self.desk.outbox.checked(self.now, write, found);
        self.settle()
    }

    // Who the visitor is.

    pub(super) fn own_status(&mut self, status: &ConnectionStatus) {
        let is_in_doubt = match status {
            ConnectionStatus::Connected => std::mem::take(&mut self.desk.was_away),
            ConnectionStatus::Connecting { .. } => false,
            _ => {
                self.desk.was_away = true;
                false
            }
        };
        if is_in_doubt {
            self.doubt();
        }
        match status {
            ConnectionStatus::Connected => self.desk.outbox.link_up(self.now),
            ConnectionStatus::Reconnecting { .. } => {
                // What happens while it is lost shows when it is back.
                self.desk.unnoticed &= matches!(self.status, ConnectionStatus::Reconnecting { .. });
                self.desk.outbox.link_lost(self.now);
            }
            _ => {}
        }
    }

    pub(super) fn doubt(&mut self) {
        (self.desk.unnoticed, self.desk.certain) = (false, false);
        self.desk.outbox.identity_doubted(self.now);
    }

    /// The session has ended, or is another one.
    pub(super) fn own_identity(&mut self, who: Option<Who>) {
        (self.desk.unnoticed, self.desk.certain) = (false, who.is_some());
        self.desk.person = who.unwrap_or(self.desk.person);
        self.desk.outbox.identity_changed(self.now, who.map(as_who));
    }

    pub(super) fn own_found(&mut self, who: &Result<leptos_directus::live::Who, Error>) -> Verdict {
        self.note(|| format!("it is {who:?}"));
        let before = self.desk.outbox.last_known().cloned();
        self.desk.outbox.found(self.now, who.clone());
        // Not if it was asked too early to say anything.
        if let Ok(who) = who
            && self.desk.outbox.who() == Some(who)
        {
            self.desk.unnoticed &= person(who) != self.who;
        }
        if let Some(who) = self.desk.outbox.who() {
            (self.desk.person, self.desk.certain) = (person(who), true);
        }
        if before.is_some() && self.desk.outbox.last_known() != before.as_ref() {
            self.visitor_changed();
        }
        self.settle()
    }

    /// All that is on its way is for somebody else, and so is what is shown.
    fn visitor_changed(&mut self) {
        self.forget_flights();
        for watched in self.watched.values_mut() {
            watched.of_another = true;
        }
        self.engine.identity_changed(self.now);
    }

    /// Another visitor: a login or a logout begins.
    pub(crate) fn become_somebody(&mut self, who: Who) -> Verdict {
        self.logged_in(None)?;
        self.desk.outbox.hold();
        self.desk.logins += 1;
        let number = self.desk.logins;
        let is_refused = who > 0 && self.random.u8(0..6) == 0;
        self.desk.login = Some(Login { number, who, is_refused, is_told: who == 0 || self.random.bool() });
        let delay = self.upto(120);
        self.agenda.plan(self.now + delay, Event::LoggedIn(number));
        self.settle()
    }

    /// The login with this number is answered, or whichever is under way.
    pub(super) fn logged_in(&mut self, number: Option<u64>) -> Verdict {
        let is_it = |login: &mut Login| number.is_none_or(|number| login.number == number);
        let Some(login) = self.desk.login.take_if(is_it) else { return Ok(()) };
        self.note(|| format!("the login is answered: {login:?}"));
        self.desk.outbox.release();
        if login.is_refused {
            self.doubt();
        } else {
            self.who = login.who;
            self.own_identity(login.is_told.then_some(login.who));
            self.visitor_changed();
        }
        self.settle()
    }

    /// Somebody logs in or out in another tab, and then the link is lost.
    pub(crate) fn elsewhere(&mut self, who: Who) {
        self.desk.unnoticed |= self.who != who;
        self.who = who;
        self.watched.values_mut().for_each(|watched| watched.untold = true);
        self.cut("cut off");
    }

    /// Somebody is no administrator.
    pub(super) fn demote(&mut self, who: Who) {
        self.desk.is_admin &= who != 2;
    }

    /// The session ends, and nothing has told the page yet.
    pub(super) fn session_ended(&mut self) {
        self.desk.unnoticed = true;
    }

    // Judgement.

    /// So long all of the page's own writes may take once nothing stands in their way: the longest wait between two tries, and
    /// one after the other.
    pub(crate) fn writes_take(&self) -> Millis {
        let pending = self.desk.outbox.pending().count() as u64;
        if pending == 0 { 0 } else { 45_000 + pending * 2_000 }
    }

    /// What was lost stays lost, and what is written from now on works.
    pub(super) fn mend_writing(&mut self) {
        self.desk.writing = Writing::Works;
    }

    /// Whether a row is being made whose key is not known yet.
    pub(super) fn is_creating(&self) -> bool {
        let is_create = |own: &Own| !own.done && matches!(own.change, Change::Create(_));
        self.desk.writes.values().any(is_create)
    }

    pub(crate) fn is_written(&self) -> bool {
        self.desk.login.is_none() && self.desk.outbox.pending().next().is_none()
    }

    pub(crate) fn set_writing(&mut self, writing: Writing) {
        self.desk.writing = writing;
    }

    /// Whether the visitor may be shown rows as they are written.
    pub(super) fn list_is_right(&self, id: QueryId, rest: &[Value]) -> Verdict {
        self.watched.get(&id).map_or(Ok(()), |watched| watched.list.equals(rest))
    }
}

fn busy() -> Error {
    Error::answer(503, "SERVICE_UNAVAILABLE", "under pressure")
        .with_retry_after(Some(std::time::Duration::from_secs(3)))
}
