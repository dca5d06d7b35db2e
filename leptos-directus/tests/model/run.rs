//! Runs a script, and judges.

use std::time::Duration;

use leptos_directus::{
    LiveStatus,
    connection::{Millis, Wake},
    engine::QueryId,
    protocol::EventKind,
};
use serde_json::Value;

use super::{
    database::{Collection, Right},
    script::{Frames, Op, Script},
    world::World,
};

/// Without any fault, all is right this long after the last write.
const SOON: Millis = 2_000;
/// After a socket was lost, it is good again within this time; and all is right [`SOON`] after that.
const BACK: Millis = 60_000;
/// After faults of every kind, with waits that the servers asked for, all is right within this time.
const PATIENCE: Millis = 95_000;

/// The worst that happened since the last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weather {
    Calm,
    /// The socket was lost, and nothing else.
    Link,
    Wild,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Calls of the engine.
    pub(crate) steps: u64,
    pub(crate) rows_written: u64,
    /// Queries that were compared with REST.
    pub(crate) comparisons: u64,
    pub(crate) reads: u64,
    /// Those of single keys, which did not read a window.
    pub(crate) key_reads: u64,
}

struct Run {
    world: World,
    weather: Weather,
    comparisons: u64,
}

/// Runs it all, and a check, a long quiet time and the end of all queries after it.
///
/// # Errors
/// What did not hold, and the last things that happened.
pub(crate) fn run(script: &Script, logs: bool) -> Result<Tally, String> {
    let mut run = Run { world: World::new(script.seed, logs), weather: Weather::Calm, comparisons: 0 };
    match run.all(&script.ops) {
        Ok(()) => Ok(Tally {
            steps: run.world.steps,
            rows_written: run.world.rows_written,
            comparisons: run.comparisons,
            reads: run.world.all_reads,
            key_reads: run.world.key_reads,
        }),
        Err(what) => Err(format!("{what}{}", run.world.log())),
    }
}

impl Run {
    fn all(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.world.note(|| format!("== {op:?}"));
            self.op(op)?;
            self.world.pass(0)?;
        }
        self.world.note(|| "== the last check".to_owned());
        self.check()?;
        self.quiet()?;
        self.world.note(|| "== the end".to_owned());
        self.end()
    }

    fn op(&mut self, op: &Op) -> Result<(), String> {
        let world = &mut self.world;
        let weather = match op {
            Op::Become(_)
            | Op::Cut
            | Op::Connect
            | Op::Disconnect
            | Op::Expire
            | Op::Restart
            | Op::Most(_)
            | Op::Elsewhere(_)
            | Op::HalfOpen
            | Op::Sleep { .. } => Weather::Link,
            Op::Slow { .. }
            | Op::Opening(_)
            | Op::Reading(_)
            | Op::Writing(_)
            | Op::Refuse(_)
            | Op::Limit
            | Op::Old(_) => Weather::Wild,
            _ => Weather::Calm,
        };
        self.weather = self.weather.max(weather);
        let id = |slot: &u8| world.slots.get(slot).copied();
        match op {
            Op::Attach { slot, shape, first } => world.attach(*slot, *shape, *first)?,
            Op::Release { slot } => id(slot).map_or(Ok(()), |id| world.release(id))?,
            Op::Retain { slot } => id(slot).map_or(Ok(()), |id| world.retain(id))?,
            Op::Detach { slot } => id(slot).map_or(Ok(()), |id| world.detach(id))?,
            Op::Refetch { slot } => id(slot).map_or(Ok(()), |id| world.refetch(id))?,
            Op::Streams { count, plain } => (0..*count).try_for_each(|_| world.stream(*plain))?,
            Op::EndStreams => world.end_streams()?,
            Op::Connect => world.connect()?,
            Op::Disconnect => world.disconnect()?,
            Op::Become(who) => world.become_somebody(*who)?,
            Op::OwnCreate { slot, kind, key } => world.own_create(*slot, *kind, *key)?,
            Op::OwnUpdate { slot, pick, field, kind } => world.own_update(*slot, *pick, *field, *kind)?,
            Op::OwnDelete { slot, pick } => world.own_delete(*slot, *pick)?,
            Op::Writing(writing) => world.set_writing(*writing),
            Op::Elsewhere(who) => world.elsewhere(*who),
            Op::Online => world.wake(Wake::Online)?,
            Op::Offline => world.wake(Wake::Offline)?,
            Op::Visible { after } => world.wake(Wake::Visible { hidden: Duration::from_secs(*after) })?,
            Op::Asked => world.wake(Wake::Asked)?,
            Op::Sleep { seconds } => world.sleep(seconds * 1_000)?,
            Op::Permit { who, at, right } => world.permit(*who, *at, *right),
            Op::Expire => world.expire(),
            Op::Cut => world.cut("cut off"),
            Op::HalfOpen => world.half_open(),
            Op::Slow { millis } => {
                world.limited = true;
                world.slow = *millis;
            }
            Op::Opening(opening) => world.opening = *opening,
            Op::Reading(reading) => world.reading = *reading,
            Op::Restart => world.cut("Directus restarts"),
            Op::Most(most) => {
                world.directus.database.limit_max = *most;
                world.cut("Directus restarts");
            }
            Op::Refuse(refuses) => world.directus.refuses = *refuses,
            Op::Limit => {
                world.limited = true;
                world.directus.use_up(world.now);
            }
            Op::Old(is_old) => world.directus.is_old = *is_old,
            Op::Odd(odd) => world.odd(*odd),
            Op::Wait { millis } => world.pass(*millis)?,
            Op::Check => self.check()?,
            write => {
                world.remember();
                self.write(write);
            }
        }
        Ok(())
    }

    fn write(&mut self, op: &Op) {
        let world = &mut self.world;
        let now = world.now;
        let chosen = |world: &World, at: Collection, picks: &[u8]| {
            let mut keys: Vec<Value> = Vec::new();
            for key in picks.iter().filter_map(|pick| world.directus.database.pick(at, *pick)) {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            keys
        };
        let tell = |world: &mut World, at, event, keys: Vec<Value>, frames: Frames, told| match frames {
            Frames::One => world.written(at, event, keys, told),
            Frames::Each => keys.into_iter().for_each(|key| world.written(at, event, vec![key], told)),
        };
        match op {
            Op::Create { at, count, kind, told } => {
                // One frame each, also if they were written at once.
                for n in 0..*count {
                    let key = world.directus.database.insert(*at, kind.wrapping_add(n.wrapping_mul(5)), None);
                    world.written(*at, EventKind::Create, vec![key], *told);
                }
            }
            Op::Update { at, picks, field, kind, frames, told } => {
                let keys = chosen(world, *at, picks);
                for (n, key) in (0..).zip(&keys) {
                    world.directus.database.update(*at, key, *field, kind.wrapping_add(n));
                }
                tell(world, *at, EventKind::Update, keys, *frames, *told);
            }
            Op::Batch { at, picks, field, kind, waits } => {
                let keys = chosen(world, *at, picks);
                world.batch(*at, keys, *field, *kind, *waits);
            }
            Op::Delete { at, picks, frames, told } => {
                let keys = chosen(world, *at, picks);
                for key in &keys {
                    world.directus.database.delete(now, *at, key);
                }
                tell(world, *at, EventKind::Delete, keys, *frames, *told);
            }
            Op::Replace { at, pick, kind } => {
                let Some(key) = world.directus.database.pick(*at, *pick) else { return };
                world.directus.database.delete(now, *at, &key);
                world.directus.database.insert(*at, *kind, Some(key.clone()));
                world.written(*at, EventKind::Delete, vec![key.clone()], true);
                world.written(*at, EventKind::Create, vec![key], true);
            }
            Op::Flash { at, kind } => {
                let key = world.directus.database.insert(*at, *kind, None);
                world.directus.database.delete(now, *at, &key);
                world.written(*at, EventKind::Create, vec![key.clone()], true);
                world.written(*at, EventKind::Delete, vec![key], true);
            }
            Op::Storm { at, events } => world.storm(*at, *events),
            Op::Sort { pick, to } => world.sort(*pick, *to),
            _ => {}
        }
    }

    fn ids(&self) -> Vec<QueryId> {
        self.world.watched.keys().copied().collect()
    }

    fn is_right(&mut self, id: QueryId) -> Result<(), String> {
        self.comparisons += 1;
        self.world.is_right(id)
    }

    /// All faults end; each query is right within the time that its weather allows.
    fn check(&mut self) -> Result<(), String> {
        let world = &mut self.world;
        world.mend();
        world.pass(world.settles_at.saturating_sub(world.now))?;
        // What the page itself wrote, first: it is the last that is written.
        let until = world.now + world.writes_take();
        while !world.is_written() {
            if world.now >= until + 1_000 {
                return Err("writes of the page are not done, and nothing stands in their way".to_owned());
            }
            world.pass(50)?;
        }
        // A thousand subscriptions are not there at once: they keep below Directus's limit.
        let soon = SOON + world.entries() as u64 * 125;
        if world.disconnected || self.weather == Weather::Wild {
            world.pass(PATIENCE)?;
        } else if self.weather == Weather::Link && !world.watched.is_empty() {
            let until = world.now + BACK;
            // A socket that looks good may be about to go: the first look is a moment later.
            world.pass(100)?;
            while world.good_since().is_none() && !world.watched.is_empty() {
                if world.now >= until {
                    return Err("there is no socket, and nothing stands in its way".to_owned());
                }
                world.pass(50)?;
            }
            let since = world.good_since().unwrap_or(world.now).max(until - BACK);
            world.pass((since + soon).saturating_sub(world.now))?;
        } else {
            world.pass(soon)?;
        }
        // Without a query nobody noticed yet that the socket is dead.
        self.weather = if self.world.good_since().is_some() { Weather::Calm } else { Weather::Link };
        // While there is no socket everything is polled, whoever tells.
        let polled = self.world.disconnected;
        for id in self.ids() {
            let watched = &self.world.watched[&id];
            if polled || !(watched.untold || watched.hushed) {
                self.is_right(id)?;
            }
        }
        if !polled {
            if self.world.subscriptions_are_true().is_err() {
                // It may be the moment in which some of them end, or they are many: nine are asked for in a second.
                self.world.pass(3_000)?;
                self.world.subscriptions_are_true()?;
            }
            self.untold()?;
        }
        self.world.begin_anew();
        Ok(())
    }

    /// What nobody told is shown at its interval, when somebody asks, or with the next event.
    fn untold(&mut self) -> Result<(), String> {
        let mut hushed: Vec<Collection> = Vec::new();
        for watched in self.world.watched.values().filter(|watched| watched.hushed) {
            if !hushed.contains(&watched.shape.collection) {
                hushed.push(watched.shape.collection);
            }
        }
        for collection in &hushed {
            let key = self.world.directus.database.insert(*collection, 1, None);
            self.world.written(*collection, EventKind::Create, vec![key], true);
        }
        if !hushed.is_empty() {
            self.world.pass(SOON)?;
        }
        let untold: Vec<QueryId> = self.ids().into_iter().filter(|id| self.world.watched[id].untold).collect();
        let waits = |run: &Self, id: &QueryId| {
            let watched = run.world.watched.get(id)?;
            let every = watched.shape.revalidate?;
            // Who is refused is asked for again every 30 s.
            Some(if watched.view.status == LiveStatus::Refused { 30 } else { every } * 1_000 + SOON)
        };
        let longest = untold.iter().filter_map(|id| waits(self, id)).max();
        if let Some(longest) = longest {
            self.world.pass(longest)?;
        }
        for id in &untold {
            if waits(self, id).is_none() {
                self.world.refetch(*id)?;
            }
        }
        if !untold.is_empty() {
            self.world.pass(SOON)?;
        }
        self.ids().into_iter().try_for_each(|id| self.is_right(id))
    }

    /// Nothing happens, and so nothing is read, and everything stays as it is.
    fn quiet(&mut self) -> Result<(), String> {
        // What was announced of other rows has some read again, ten seconds after they were.
        self.world.pass(11_000)?;
        let before = self.world.reads();
        self.world.pass(2 * 60_000)?;
        for id in self.ids() {
            self.is_right(id)?;
            let Some(watched) = self.world.watched.get(&id) else { continue };
            // Who hears of a collection that the visitor may not read is asked for again after its event's refusal, and reads once more
            // when that is granted. Version 11 does not say which subscription an error is for: there, any list is in doubt.
            let (directus, who) = (&self.world.directus, self.world.who);
            let is_in_doubt = directus.database.right(who, Collection::Authors) == Right::Nothing
                && (directus.is_old || watched.shape.watches_authors || watched.shape.finds_authors);
            let rests = watched.shape.revalidate.is_none() && watched.view.status == LiveStatus::Live && !is_in_doubt;
            if rests && watched.reads != before[&id] {
                return Err(format!("{id:?} is read again, and nothing happened"));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        self.world.end_streams()?;
        for id in self.ids() {
            self.world.release(id)?;
        }
        if self.world.held_open {
            self.world.disconnect()?;
        }
        self.world.pass(20_000)?;
        self.world.nothing_is_left()
    }
}
