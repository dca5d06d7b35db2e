use serde_json::{Value, json};

use super::*;
use crate::{
    live::{LiveStatus, WindowShape},
    protocol::{DirectusCodec, Query},
};
use codee::Decoder;

const POSTS: QueryId = QueryId(1);

/// An engine with its socket, and a Directus that answers what it is asked.
struct Scene {
    engine: Engine,
    now: Millis,
    /// Collections that Directus does not let this visitor follow.
    refused: Vec<&'static str>,
    /// Subscribe frames that were sent: uid and collection.
    sent: Vec<(String, String)>,
    unanswered: Vec<(String, String)>,
    reads: Vec<(QueryId, ReadId, ReadScope)>,
    status: Option<(LiveStatus, Option<Error>)>,
    /// Queries that nobody held for as long as the linger.
    expired: Vec<QueryId>,
}

fn leads(to: &[&str]) -> Leads {
    Leads { to: to.iter().map(|name| (*name).to_owned()).collect(), is_all: true }
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self {
            engine: Engine::new(ConnectionConfig::default()),
            now: 0,
            refused: Vec::new(),
            sent: Vec::new(),
            unanswered: Vec::new(),
            reads: Vec::new(),
            status: None,
            expired: Vec::new(),
        };
        scene.engine.connect(0);
        scene.drain();
        scene
    }

    fn spec(found: &[&str]) -> QuerySpec {
        QuerySpec { collection: "posts".to_owned(), found: Some(leads(found)), ..QuerySpec::default() }
    }

    /// With a live list of posts.
    fn live(found: &[&str]) -> Self {
        let mut scene = Self::new();
        scene.engine.attach(scene.now, POSTS, Self::spec(found), None);
        scene.answer_all();
        scene.answer_read();
        assert_eq!(scene.status, Some((LiveStatus::Live, None)));
        scene.sent.clear();
        scene
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.next_output() {
            match output {
                Output::Open(socket) => self.engine.opened(self.now, socket),
                Output::Send(message) => {
                    let frame = serde_json::to_value(message).unwrap();
                    if frame["type"] == "subscribe" {
                        let text = |name: &str| frame[name].as_str().unwrap().to_owned();
                        self.sent.push((text("uid"), text("collection")));
                        self.unanswered.push((text("uid"), text("collection")));
                    }
                }
                Output::Read(id, read, scope) => self.reads.push((id, read, scope)),
                Output::Expired(id) => self.expired.push(id),
                Output::Live(POSTS, live::Output::Status(status, error)) => self.status = Some((status, error)),
                _ => {}
            }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the frames are easier to read")]
    fn frame(&mut self, frame: Value) {
        self.now += 1;
        self.engine.frame(self.now, DirectusCodec::decode(frame.to_string().as_str()).unwrap());
        self.drain();
    }

    /// Directus answers every subscription that waits.
    fn answer_all(&mut self) {
        self.drain();
        for (uid, collection) in std::mem::take(&mut self.unanswered) {
            self.frame(if self.refused.contains(&collection.as_str()) {
                json!({ "type": "subscribe", "status": "error", "error": { "code": "FORBIDDEN", "message": "no" }, "uid": uid })
            } else {
                json!({ "type": "subscription", "event": "init", "uid": uid })
            });
        }
    }

    /// The one read that is on its way comes back.
    #[track_caller]
    fn answer_read(&mut self) -> ReadScope {
        self.drain();
        assert_eq!(self.reads.len(), 1, "{:?}", self.reads);
        let (id, read, scope) = self.reads.remove(0);
        self.now += 1;
        let is_asked = |id: &i64| match &scope {
            ReadScope::Window => true,
            ReadScope::Keys(keys) => keys.contains(&(*id).into()),
        };
        let rows = (1..=8).filter(is_asked).map(|id| json!({ "id": id, "author": { "name": "Ada" } }));
        let items = rows.collect();
        let page = Page { items, meta: None };
        self.engine.reply(self.now, id, read, Ok(page));
        self.drain();
        scope
    }

    fn find(&mut self, collections: &[&str]) {
        self.engine.find(self.now, POSTS, &leads(collections));
        self.drain();
    }

    /// Directus announces an update to whoever was told that it would.
    fn announce(&mut self, collection: &str, key: u64, uids: &[(String, String)]) {
        let (uid, _) = uids.iter().filter(|(_, of)| of == collection).nth(1).expect("it is subscribed to");
        self.frame(json!({ "type": "subscription", "event": "update", "uid": uid, "data": [{ "id": key }] }));
    }

    #[track_caller]
    fn assert_quiet(&mut self) {
        self.drain();
        assert_eq!((&self.sent[..], &self.reads[..]), (&[][..], &[][..]));
    }

    /// Time passes, and what did not change is read once more.
    fn be_still(&mut self) {
        self.tick_to(self.now + 12_000);
        self.frame(json!({ "type": "pong" }));
        if !self.reads.is_empty() {
            self.answer_read();
        }
    }

    fn tick_to(&mut self, now: Millis) {
        self.now = now;
        self.engine.tick(now);
        self.drain();
    }
}

fn collections(sent: &[(String, String)]) -> Vec<&str> {
    let mut names: Vec<&str> = sent.iter().map(|(_, collection)| collection.as_str()).collect();
    names.dedup();
    names
}

#[test]
fn what_is_found_before_is_waited_for_and_read_once() {
    let mut scene = Scene::new();
    scene.engine.attach(scene.now, POSTS, Scene::spec(&["authors"]), None);
    scene.drain();
    let sent = scene.sent.clone();
    assert_eq!((collections(&sent), sent.len()), (vec!["posts", "authors"], 6));
    let authors = scene.unanswered.split_off(3);
    scene.answer_all();
    assert_eq!(scene.reads, [], "a change of an author would be lost now");
    scene.unanswered = authors;
    scene.answer_all();
    scene.answer_read();
    assert_eq!(scene.status, Some((LiveStatus::Live, None)));
    scene.sent.clear();
    scene.assert_quiet();
    scene.announce("authors", 7, &sent);
    assert_eq!(scene.answer_read(), ReadScope::Window);
}

#[test]
fn what_is_found_later_leaves_the_list_live_and_is_followed_by_one_read() {
    let mut scene = Scene::live(&[]);
    scene.find(&["authors", "topics"]);
    assert_eq!(scene.reads, [], "nothing is announced yet");
    assert_eq!(scene.status, Some((LiveStatus::Live, None)));
    let sent = std::mem::take(&mut scene.sent);
    assert_eq!((collections(&sent), sent.len()), (vec!["authors", "topics"], 6));
    scene.answer_all();
    assert_eq!(scene.answer_read(), ReadScope::Window);
    assert_eq!(scene.status, Some((LiveStatus::Live, None)));
    scene.assert_quiet();
    scene.announce("topics", 7, &sent);
    scene.answer_read();
    // Known already.
    scene.find(&["authors", "topics"]);
    scene.assert_quiet();
}

#[test]
fn what_this_page_writes_to_a_watched_collection_is_read_where_nobody_announces_it() {
    let mut scene = Scene::live(&["authors"]);
    scene.engine.touch(scene.now, "authors", &[7.into()]);
    scene.assert_quiet();
    scene.engine.disconnect(scene.now);
    scene.engine.touch(scene.now, "topics", &[7.into()]);
    scene.drain();
    scene.reads.clear();
    scene.engine.touch(scene.now, "authors", &[7.into()]);
    assert_eq!(scene.answer_read(), ReadScope::Window);
}

#[test]
fn what_is_announced_to_others_already_costs_no_frame() {
    let mut scene = Scene::live(&[]);
    let authors = QuerySpec { collection: "authors".to_owned(), ..QuerySpec::default() };
    scene.engine.attach(scene.now, QueryId(2), authors, None);
    scene.answer_all();
    scene.answer_read();
    scene.sent.clear();
    scene.find(&["authors"]);
    assert_eq!(scene.sent, []);
    assert_eq!(scene.reads[0].0, POSTS);
    scene.answer_read();
    scene.engine.detach(scene.now, QueryId(2));
    assert_eq!(scene.engine.counts().subscriptions, 6, "it is followed for the posts");
    scene.engine.detach(scene.now, POSTS);
    scene.drain();
    assert_eq!(scene.engine.counts().queries, 0);
}

#[test]
fn a_collection_that_is_refused_is_done_without_until_it_is_granted() {
    for is_found_later in [false, true] {
        let mut scene = Scene::new();
        scene.refused = vec!["authors"];
        let before: &[&str] = if is_found_later { &[] } else { &["authors"] };
        scene.engine.attach(scene.now, POSTS, Scene::spec(before), None);
        scene.answer_all();
        scene.answer_read();
        if is_found_later {
            scene.find(&["authors"]);
            scene.answer_all();
        }
        assert_eq!(scene.status, Some((LiveStatus::Live, None)));
        scene.sent.clear();
        scene.tick_to(scene.now + 1_000);
        scene.assert_quiet();
        // It is asked for again in its own time, and nobody notices.
        let again = scene.now + 40_000;
        scene.tick_to(again);
        assert_eq!(scene.sent.len(), 3);
        scene.answer_all();
        assert_eq!((scene.reads.len(), &scene.status), (0, &Some((LiveStatus::Live, None))));
        scene.refused.clear();
        scene.sent.clear();
        scene.tick_to(again + 40_000);
        scene.answer_all();
        scene.answer_read();
        assert_eq!(scene.status, Some((LiveStatus::Live, None)));
    }
}

#[test]
fn what_the_app_asked_for_is_missed_when_it_is_refused() {
    let mut scene = Scene::new();
    scene.refused = vec!["authors"];
    let spec = QuerySpec { watch: vec!["authors".to_owned()], ..Scene::spec(&["authors"]) };
    scene.engine.attach(scene.now, POSTS, spec, None);
    scene.answer_all();
    scene.answer_read();
    assert_eq!(scene.status, Some((LiveStatus::Polling, None)));
}

#[test]
fn a_link_that_is_lost_meanwhile_makes_one_read_of_all() {
    let mut scene = Scene::live(&[]);
    scene.find(&["authors"]);
    scene.unanswered.clear();
    scene.engine.closed(scene.now, 1, "gone");
    scene.drain();
    assert_eq!(scene.status, Some((LiveStatus::Stale, None)));
    let at = scene.engine.deadline().unwrap();
    scene.tick_to(at);
    assert_eq!(scene.unanswered.len(), 6);
    scene.answer_all();
    scene.answer_read();
    assert_eq!(scene.status, Some((LiveStatus::Live, None)));
    scene.sent.clear();
    scene.assert_quiet();
}

#[test]
fn rows_that_show_others_of_their_collection_are_read_when_those_change() {
    let mut scene = Scene::new();
    let config = LiveConfig { only_key: Some(1.into()), ..LiveConfig::default() };
    scene.engine.attach(scene.now, POSTS, QuerySpec { config, ..Scene::spec(&[]) }, None);
    scene.answer_all();
    scene.answer_read();
    let sent = std::mem::take(&mut scene.sent);
    scene.announce("posts", 2, &sent);
    scene.assert_quiet();
    scene.find(&["posts"]);
    scene.answer_read();
    scene.assert_quiet();
    scene.announce("posts", 2, &sent);
    scene.answer_read();
    assert_eq!(scene.engine.counts().subscriptions, 3);
}

/// It failed: a row that Directus deletes with its parent (`ON DELETE CASCADE`) is not announced, and stayed.
#[test]
fn a_list_that_watches_its_own_collection_is_read_whole_when_anything_changes_in_it() {
    let mut scene = Scene::new();
    let query = Query::new().fields(["id"]).sort("id").for_reading("id");
    let config = LiveConfig { window: WindowShape::of(&query, "id"), small: 0, ..LiveConfig::default() };
    let spec = QuerySpec { config, watch: vec!["posts".to_owned()], ..Scene::spec(&[]) };
    scene.engine.attach(scene.now, POSTS, spec, None);
    scene.answer_all();
    scene.answer_read();
    let sent = std::mem::take(&mut scene.sent);
    scene.announce("posts", 2, &sent);
    assert_eq!(scene.answer_read(), ReadScope::Window);
    assert_eq!(scene.engine.counts().subscriptions, 3);
}

#[test]
fn reads_that_failed_are_tried_again_when_somebody_asks() {
    for wake in [Wake::Online, Wake::Visible { hidden: Duration::ZERO }, Wake::Asked] {
        let mut scene = Scene::new();
        scene.engine.attach(scene.now, POSTS, Scene::spec(&[]), None);
        scene.answer_all();
        scene.sent.clear();
        let (query, read, _) = scene.reads.remove(0);
        scene.engine.reply(scene.now, query, read, Err(Error::network("the answer was lost")));
        scene.drain();
        scene.assert_quiet();
        scene.engine.wake(scene.now, Wake::Offline);
        scene.drain();
        scene.assert_quiet();
        scene.engine.wake(scene.now, wake);
        scene.drain();
        scene.answer_read();
        assert_eq!(scene.status, Some((LiveStatus::Live, None)), "{wake:?}");
    }
}

#[test]
fn keys_are_read_only_while_all_that_relations_lead_to_is_announced_and_known() {
    let mut scene = Scene::new();
    let query = Query::new().fields(["id", "author.name"]).sort("id").for_reading("id");
    let config = LiveConfig { window: WindowShape::of(&query, "id"), small: 0, ..LiveConfig::default() };
    scene.refused = vec!["authors"];
    scene.engine.attach(scene.now, POSTS, QuerySpec { config, ..Scene::spec(&["authors"]) }, None);
    scene.answer_all();
    scene.answer_read();
    let posts = std::mem::take(&mut scene.sent);
    scene.be_still();
    scene.announce("posts", 2, &posts);
    assert_eq!(scene.answer_read(), ReadScope::Window, "an author's new name is not announced");
    scene.be_still();

    // They are to be followed now.
    scene.refused.clear();
    scene.tick_to(scene.now + 40_000);
    scene.answer_all();
    scene.answer_read();
    scene.be_still();
    scene.announce("posts", 2, &posts);
    assert_eq!(scene.answer_read(), ReadScope::Keys(vec![2.into()]));
    scene.be_still();

    // It leads somewhere else, too, and nobody says where.
    scene.engine.find(scene.now, POSTS, &Leads { is_all: false, ..leads(&["authors"]) });
    scene.drain();
    scene.announce("posts", 2, &posts);
    assert_eq!(scene.answer_read(), ReadScope::Window);
    scene.be_still();
    scene.find(&["authors"]);
    scene.announce("posts", 2, &posts);
    assert_eq!(scene.answer_read(), ReadScope::Keys(vec![2.into()]));
    scene.be_still();

    // Another visitor may be told of other relations.
    scene.engine.identity_changed(scene.now);
    scene.sent.clear();
    scene.drain();
    scene.answer_all();
    scene.answer_read();
    let posts = std::mem::take(&mut scene.sent);
    scene.announce("posts", 2, &posts);
    assert_eq!(scene.answer_read(), ReadScope::Window);
    scene.be_still();
}

#[test]
fn a_list_that_somebody_comes_back_for_lives_on_and_one_that_nobody_holds_ends_after_the_linger() {
    let mut scene = Scene::live(&[]);
    let config = ConnectionConfig::default();
    let linger = u64::try_from(config.linger.as_millis()).unwrap();
    scene.engine.release(scene.now, POSTS);
    scene.tick_to(scene.now + linger - 1);
    scene.engine.retain(POSTS);
    scene.tick_to(scene.now + linger);
    assert_eq!(scene.expired, []);
    scene.frame(json!({ "type": "pong" }));

    scene.engine.release(scene.now, POSTS);
    scene.tick_to(scene.now + linger - 1);
    assert_eq!(scene.expired, []);
    scene.tick_to(scene.now + 1);
    assert_eq!(scene.expired, [POSTS]);
    scene.tick_to(scene.now + linger);
    assert_eq!(scene.expired, [POSTS], "it is told once");
}
