//! Which collections the relations of the page's queries lead to: what is known of it, and what is being asked.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    connection::Millis,
    error::Error,
    protocol::{Leads, Relations},
    rest::{Question, Rest, Seen},
};

/// How long it is waited where nobody could answer: 10 s.
const AGAIN: Millis = 10_000;

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) enum Informant {
    /// The page's own server, question by question, at this path. A browser asks nobody else: a refusal by Directus would be
    /// an error in its console.
    Server(String),
    /// Directus, once, for everything.
    Directus,
}

/// What somebody answered.
#[derive(Debug)]
pub(super) enum Word {
    Of(Arc<Question>, Seen),
    /// `None` if Directus does not tell.
    Everything(Option<Relations>),
}

impl Informant {
    pub(super) async fn ask(self, rest: Rest, question: Arc<Question>) -> Result<Word, Error> {
        match self {
            Self::Server(path) => {
                let seen = rest.ask_server(&path, &question).await?;
                Ok(Word::Of(question, seen))
            }
            Self::Directus => rest.relations().await.map(Word::Everything),
        }
    }
}

/// What comes of a look.
#[derive(Debug, PartialEq)]
pub(super) enum Look {
    /// That is where the question leads.
    Seen(Leads),
    /// Somebody is to be asked; the answer is to be given with this number.
    Ask(u64),
    /// It is being asked, or it is no use.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Sight {
    informant: Informant,
    answers: HashMap<Arc<Question>, Leads>,
    relations: Option<Relations>,
    /// What is being asked.
    under_way: HashSet<Arc<Question>>,
    /// This visitor is told nothing: not asked again until something has changed.
    is_blind: bool,
    /// Nobody could answer: not asked again before.
    again_at: Option<Millis>,
    /// Counts the visitors: an answer for the former one comes too late.
    era: u64,
}

impl Sight {
    pub(super) fn new(informant: Informant) -> Self {
        Self {
            informant,
            answers: HashMap::new(),
            relations: None,
            under_way: HashSet::new(),
            is_blind: false,
            again_at: None,
            era: 0,
        }
    }

    pub(super) fn informant(&self) -> Informant {
        self.informant.clone()
    }

    pub(super) fn look(&mut self, question: &Arc<Question>) -> Look {
        if let Some(relations) = &self.relations {
            return Look::Seen(question.answer(relations));
        }
        if let Some(leads) = self.answers.get(question) {
            return Look::Seen(leads.clone());
        }
        // The first question finds out whether there is any use in asking: a crowd of others would all be told nothing.
        let is_first_under_way = self.answers.is_empty() && !self.under_way.is_empty();
        if self.is_blind
            || self.again_at.is_some()
            || is_first_under_way
            || !self.under_way.insert(Arc::clone(question))
        {
            return Look::Nothing;
        }
        Look::Ask(self.era)
    }

    /// What the server has put into the HTML.
    pub(super) fn learn(&mut self, question: &Arc<Question>, seen: Seen) {
        match seen {
            Seen::NotAsked => {}
            Seen::Unknown => self.is_blind = true,
            Seen::Leads(leads) => drop(self.answers.insert(Arc::clone(question), leads)),
        }
    }

    /// Whether an answer says something new.
    pub(super) fn told(&mut self, now: Millis, era: u64, question: &Arc<Question>, word: Result<Word, Error>) -> bool {
        if era != self.era {
            return false;
        }
        self.under_way.remove(question);
        match word {
            Ok(Word::Of(question, seen)) => self.learn(&question, seen),
            Ok(Word::Everything(Some(relations))) => self.relations = Some(relations),
            Ok(Word::Everything(None)) => self.is_blind = true,
            Err(_) => {
                self.again_at = Some(now + AGAIN);
                return false;
            }
        }
        !self.is_blind
    }

    /// The visitor is another one, who may be told something else.
    pub(super) fn doubt(&mut self) {
        let era = self.era + 1;
        *self = Self { era, ..Self::new(self.informant.clone()) };
    }

    /// There was no connection for a while: who was told nothing may ask again.
    pub(super) fn hope(&mut self) {
        self.is_blind = false;
        self.again_at = None;
    }

    /// When it wants to be told of the time.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.again_at
    }

    /// Whether it is time to ask again.
    pub(super) fn tick(&mut self, now: Millis) -> bool {
        self.again_at.take_if(|at| *at <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::Query;

    const NOW: Millis = 1_000_000;

    fn question(fields: &str) -> Arc<Question> {
        Arc::new(Question::of("posts", &Query::new().fields(fields)))
    }

    fn page() -> Sight {
        Sight::new(Informant::Server("/directus-ws".to_owned()))
    }

    fn to(collections: &[&str]) -> Leads {
        Leads { to: collections.iter().map(|name| (*name).to_owned()).collect(), is_all: true }
    }

    fn authors() -> Seen {
        Seen::Leads(to(&["authors"]))
    }

    #[test]
    fn each_question_is_asked_once() {
        let (mut sight, one, other) = (page(), question("author.name"), question("comments.text"));
        assert_eq!(sight.look(&one), Look::Ask(0));
        assert_eq!(sight.look(&question("author.name")), Look::Nothing);
        assert_eq!(sight.look(&other), Look::Nothing, "the first one tells whether there is any use");
        assert!(sight.told(NOW, 0, &one, Ok(Word::Of(Arc::clone(&one), authors()))));
        assert_eq!(sight.look(&one), Look::Seen(to(&["authors"])));
        assert_eq!(sight.look(&other), Look::Ask(0));
        assert_eq!(sight.look(&other), Look::Nothing);
        assert_eq!(sight.look(&question("topics.id")), Look::Ask(0));
    }

    #[test]
    fn what_the_html_says_is_not_asked() {
        let (mut sight, one) = (page(), question("author.name"));
        sight.learn(&one, Seen::NotAsked);
        assert_eq!(sight.look(&one), Look::Ask(0));
        let mut sight = page();
        sight.learn(&one, authors());
        assert_eq!(sight.look(&one), Look::Seen(to(&["authors"])));
        sight.learn(&question("b"), Seen::Unknown);
        assert_eq!(sight.look(&question("c")), Look::Nothing, "the server tells this visitor nothing");
    }

    #[test]
    fn another_visitor_asks_anew_and_late_answers_do_not_count() {
        let (mut sight, one) = (page(), question("author.name"));
        assert_eq!(sight.look(&one), Look::Ask(0));
        sight.doubt();
        assert_eq!(sight.look(&one), Look::Ask(1));
        assert!(!sight.told(NOW, 0, &one, Ok(Word::Of(Arc::clone(&one), authors()))));
        assert_eq!(sight.look(&one), Look::Nothing, "the second one is under way");
        assert!(!sight.told(NOW, 1, &one, Ok(Word::Of(Arc::clone(&one), Seen::Unknown))));
        assert_eq!(sight.look(&one), Look::Nothing);
        sight.hope();
        assert_eq!(sight.look(&one), Look::Ask(1));
    }

    #[test]
    fn what_nobody_answered_is_asked_again_after_a_while_or_over_a_new_connection() {
        let (mut sight, one) = (page(), question("author.name"));
        for again in [Sight::hope as fn(&mut Sight), |sight| assert!(sight.tick(NOW + AGAIN))] {
            assert_eq!(sight.look(&one), Look::Ask(0));
            assert!(!sight.told(NOW, 0, &one, Err(Error::network("nobody is there"))));
            assert_eq!(sight.deadline(), Some(NOW + AGAIN));
            assert!(!sight.tick(NOW + AGAIN - 1));
            assert_eq!(sight.look(&one), Look::Nothing);
            again(&mut sight);
            assert_eq!(sight.deadline(), None);
        }
        assert_eq!(sight.look(&one), Look::Ask(0));
    }

    #[test]
    fn directus_is_asked_once_for_everything() {
        let mut sight = Sight::new(Informant::Directus);
        let (one, other) = (question("author.name"), question("comments.text"));
        assert_eq!(sight.look(&one), Look::Ask(0));
        assert_eq!(sight.look(&other), Look::Nothing);
        let relations = Relations::from_rows(&json!([
            { "collection": "posts", "field": "author", "related_collection": "authors" },
        ]));
        assert!(sight.told(NOW, 0, &one, Ok(Word::Everything(Some(relations)))));
        assert_eq!(sight.look(&one), Look::Seen(to(&["authors"])));
        assert_eq!(sight.look(&other), Look::Seen(Leads { to: [].into(), is_all: false }));
    }
}
