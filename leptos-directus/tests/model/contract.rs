//! The stories of the contract, told to the engine under many seeds: each gives other delays, and so other races.

use leptos_directus::{Query, protocol::EventKind};
use serde_json::json;

use super::{database::Collection::Articles, script::First, shapes::Shape, world::World};
use crate::contract::{Step, Story, Write, stories};

/// All is right this long after the last write, and after the link is back.
const SOON: u64 = 2_000;
const BACK: u64 = 60_000;

/// How many reads there were of keys alone.
fn tell(story: &Story, seed: u64) -> Result<u64, String> {
    let mut world = World::new(seed, true);
    world.directus.database.clear(Articles);
    for row in story.rows() {
        world.directus.database.put(Articles, &row);
    }
    let query = Query::from_json(&story.query.to_string()).expect("a query").for_reading("id");
    let shape = Shape {
        collection: Articles,
        query,
        only_key: None,
        watches_authors: false,
        finds_authors: false,
        revalidate: None,
        about: "the story's",
    };
    let id = world.attach_shape(0, shape, First::Fresh)?;
    world.pass(SOON)?;
    for step in &story.steps {
        follow(&mut world, step)?;
        world.is_right(id)?;
        let shown = world.watched[&id].view.shown();
        if !step.is_kept_by(&shown) {
            return Err(format!("shown: {shown:?}, told: {step:?}{}", world.log()));
        }
    }
    Ok(world.key_reads)
}

fn follow(world: &mut World, step: &Step) -> Result<(), String> {
    if step.without_a_link {
        world.cut("a story's");
    }
    for write in &step.writes {
        let (event, keys) = match write {
            Write::Create { create } => {
                create.iter().for_each(|row| world.directus.database.put(Articles, row));
                (EventKind::Create, create.iter().map(|row| row["id"].clone()).collect())
            }
            Write::Update { update, set } => {
                update.iter().for_each(|key| world.directus.database.set(Articles, &json!(key), set));
                (EventKind::Update, update.iter().map(|key| json!(key)).collect())
            }
            Write::Delete { delete } => {
                delete.iter().for_each(|key| world.directus.database.delete(world.now, Articles, &json!(key)));
                (EventKind::Delete, delete.iter().map(|key| json!(key)).collect::<Vec<_>>())
            }
        };
        world.written(Articles, event, keys, true);
    }
    world.pass(if step.without_a_link { BACK } else { SOON })
}

#[test]
fn the_engine_keeps_the_contract() {
    for story in stories() {
        let mut key_reads = 0;
        for seed in 0..40 {
            match tell(&story, seed) {
                Ok(count) => key_reads += count,
                Err(what) => panic!("{}, seed {seed}: {what}", story.promise),
            }
        }
        assert!(key_reads > 0 || !story.is_long(), "{}: no row was read by its key", story.promise);
    }
}
