//! Who the visitor is: what is known, how much it is in doubt, and the one question that is under way.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{AbortHandle, abortable};
use leptos::prelude::*;

use super::{User, signal::ArcSharedSignal};
use crate::{connection::Backoff, error::Error, live::Who, rest::Rest, transport};

/// Ceilings of the delays after which a question that nobody answered is asked again.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Asks Directus who the visitor is; `None` for nobody.
pub(crate) async fn who(rest: &Rest) -> Result<Option<User>, Error> {
    rest.me(&["id", "first_name", "last_name", "email"]).await
}

/// What all hooks of a page know of the visitor. Clones are the same.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The visitor, once known: `Some(None)` is known to be anonymous.
    user: ArcSharedSignal<Option<Option<User>>>,
    /// Counts the times at which who the visitor is came into doubt.
    doubts: ArcSharedSignal<u32>,
    /// With each answer, be it the same as before.
    answered: ArcTrigger,
    question: Arc<Mutex<Question>>,
}

#[derive(Default)]
struct Question {
    /// The latest one: an answer to an earlier one comes too late.
    number: u64,
    /// The doubt that was the latest one when it was asked.
    about: u32,
    /// Which doubt the latest answer was about.
    answered: Option<u32>,
    /// The doubt that is being asked about.
    under_way: Option<(u32, AbortHandle)>,
    askers: usize,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    pub(crate) fn unknown() -> Self {
        Self {
            user: ArcSharedSignal::new(None),
            doubts: ArcSharedSignal::new(0),
            answered: ArcTrigger::new(),
            question: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Question> {
        self.question.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user, for signals to follow.
    pub(crate) fn user(&self) -> Option<User> {
        self.user.get().flatten()
    }

    /// Who it is, where the page knows and nothing has put it in doubt since: a user's key, or nobody who logged in.
    pub(crate) fn who(&self) -> Option<Who> {
        let question = self.lock();
        if question.answered == Some(self.doubts.get_untracked()) { self.id() } else { None }
    }

    /// Who it was said to be last; nothing before that. Effects run with every answer.
    pub(crate) fn last_known(&self) -> Option<Who> {
        self.answered.track();
        self.id()
    }

    fn id(&self) -> Option<Who> {
        self.user.with_untracked(|user| user.as_ref().map(|user| user.as_ref().map(|user| user.id.clone())))
    }

    pub(crate) fn is_known(&self) -> bool {
        self.user.with_untracked(Option::is_some)
    }

    /// The visitor may be somebody else by now.
    pub(crate) fn doubt(&self) {
        self.doubts.update(|doubts| *doubts += 1);
    }

    /// A hook wants to know, from now on: asks once it is called in an effect, and again with each doubt.
    pub(crate) fn follow(&self, rest: Rest) {
        self.lock().askers += 1;
        let leaving = self.clone();
        on_cleanup(move || leaving.leave());
        let identity = self.clone();
        Effect::new_isomorphic(move |_| {
            let doubts = identity.doubts.get();
            identity.ask(&rest, doubts);
        });
    }

    fn leave(&self) {
        let mut question = self.lock();
        question.askers = question.askers.saturating_sub(1);
        if question.askers == 0
            && let Some((_, under_way)) = question.under_way.take()
        {
            under_way.abort();
        }
    }

    /// Asks, unless that is being done or was answered; and again with growing delays, until there is an answer.
    fn ask(&self, rest: &Rest, doubts: u32) {
        {
            let question = self.lock();
            let is_asked = question.under_way.as_ref().is_some_and(|(about, _)| *about == doubts);
            if question.askers == 0 || is_asked || question.answered == Some(doubts) {
                return;
            }
        }
        let number = self.begin();
        let (identity, rest) = (self.clone(), rest.clone());
        let (asking, handle) = abortable(async move {
            let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY, transport::seed());
            loop {
                match who(&rest).await {
                    Ok(user) => break identity.settle(number, user),
                    Err(error) => {
                        let least = error.retry_after().unwrap_or_default().min(LONGEST_DELAY);
                        transport::sleep(least + backoff.next_delay()).await;
                    }
                }
            }
        });
        self.lock().under_way = Some((doubts, handle));
        transport::spawn(async move {
            // Aborted where nobody wants to know any more.
            let _ = asking.await;
        });
    }

    /// A question begins: answers to earlier ones no longer count.
    pub(crate) fn begin(&self) -> u64 {
        let mut question = self.lock();
        if let Some((_, under_way)) = question.under_way.take() {
            under_way.abort();
        }
        question.number += 1;
        question.about = self.doubts.get_untracked();
        question.number
    }

    /// The question with this number has an answer.
    pub(crate) fn settle(&self, number: u64, user: Option<User>) {
        let former = {
            let mut question = self.lock();
            if question.number != number {
                return;
            }
            question.under_way = None;
            question.answered = Some(question.about);
            // Under the lock, so that the latest answer is the one that stays.
            self.user.replace_untracked(Some(user))
        };
        if former.is_some() {
            self.user.notify();
        }
        self.answered.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(id: &str) -> Option<User> {
        Some(User { id: id.to_owned(), first_name: None, last_name: None, email: None })
    }

    fn shown(identity: &Identity) -> Option<Option<User>> {
        identity.user.get_untracked()
    }

    #[test]
    fn an_answer_that_comes_after_a_newer_question_is_dropped() {
        let identity = Identity::unknown();
        let asked_before_the_login = identity.begin();
        let login = identity.begin();
        identity.settle(asked_before_the_login, None);
        assert_eq!(shown(&identity), None);
        identity.settle(login, somebody("ada"));
        identity.settle(asked_before_the_login, None);
        assert_eq!(shown(&identity), Some(somebody("ada")));
    }

    /// It failed: the answer counted as one to the later doubt, and nobody asked again.
    #[test]
    fn an_answer_to_what_was_asked_before_a_doubt_does_not_end_it() {
        let identity = Identity::unknown();
        let question = identity.begin();
        identity.doubt();
        identity.settle(question, somebody("ada"));
        assert_eq!(identity.who(), None);
        identity.settle(identity.begin(), somebody("ada"));
        assert_eq!(identity.who(), Some(Some("ada".to_owned())));
    }

    #[test]
    fn an_anonymous_visitor_is_known_to_be_so() {
        let identity = Identity::unknown();
        assert!(!identity.is_known());
        identity.settle(identity.begin(), None);
        assert!(identity.is_known());
        assert_eq!(shown(&identity), Some(None));
    }
}
