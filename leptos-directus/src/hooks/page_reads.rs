//! What the server reads for a page: each question once, with its answer in the HTML once, however many hooks ask it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use hydration_context::{SerializedDataId, SharedContext};
use leptos::prelude::Owner;
use serde_json::Value;

use super::{User, identity::who};
use crate::{
    error::Error,
    protocol::Query,
    rest::{Page, Rest},
};

/// What Directus answered to a question, rows or an error.
pub(crate) type Answer = Result<Page<Value>, Error>;
type Awaited<T> = Shared<BoxFuture<'static, Result<T, Error>>>;

/// The reads of one page that is being rendered. Clones are the same.
///
/// It belongs to what [`provide_directus`](super::provide_directus) gives to one rendering, for one visitor, and ends with
/// it: no other visitor finds anything here, and an error is forgotten with its page.
#[derive(Clone, Default)]
pub(crate) struct PageReads {
    rows: Arc<Mutex<HashMap<String, Read>>>,
    who: Arc<OnceLock<Awaited<Option<User>>>>,
}

/// One question of the page.
struct Read {
    answer: Awaited<Page<Value>>,
    /// Where in the HTML the answer is, once somebody asked who will be hydrated: islands may ask what the page around them did.
    place: Option<SerializedDataId>,
}

impl fmt::Debug for PageReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageReads").finish_non_exhaustive()
    }
}

impl PageReads {
    /// The answer to a question, and where the browser will find it. Nothing is sent before somebody awaits it.
    pub(crate) fn rows(
        &self,
        rest: &Result<Rest, Error>,
        collection: &str,
        query: &Query,
        slot: &Slot,
    ) -> (Awaited<Page<Value>>, Option<SerializedDataId>) {
        let mut reads = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let read = reads.entry(question(collection, query)).or_insert_with(|| {
            let (rest, collection, query) = (rest.clone(), collection.to_owned(), query.clone());
            let answer = async move { rest?.read_page(&collection, &query).await };
            Read { answer: answer.boxed().shared(), place: None }
        });
        if read.place.is_none() {
            read.place = slot.fill(&read.answer);
        }
        (read.answer.clone(), read.place.clone())
    }

    /// Who the visitor is.
    pub(crate) fn who(&self, rest: Rest) -> Awaited<Option<User>> {
        self.who.get_or_init(|| async move { who(&rest).await }.boxed().shared()).clone()
    }
}

/// What tells questions apart: whoever asks the same of the same collection is answered the same, whatever becomes of the rows.
pub(crate) fn question(collection: &str, query: &Query) -> String {
    format!("{collection}|{}", query.canonical())
}

/// A place for data in the HTML.
///
/// Leptos counts them to find them again: the server and the browser take one for each hook, in the same order, and of equal
/// hooks one fills its own. Each hook's resource says where the answer is, and the HTML keeps it until the page is hydrated: so
/// it does not matter in which order components are hydrated, and which of them have gone by then.
pub(crate) struct Slot(Option<(Arc<dyn SharedContext + Send + Sync>, SerializedDataId)>);

impl Slot {
    pub(crate) fn next() -> Self {
        Self(Owner::current_shared_context().map(|html| {
            let id = html.next_id();
            (html, id)
        }))
    }

    /// Puts the answer here, unless what is being rendered stays as it is in the browser.
    fn fill(&self, answer: &Awaited<Page<Value>>) -> Option<SerializedDataId> {
        let (html, id) = self.0.as_ref().filter(|(html, _)| html.get_is_hydrating())?;
        let text = answer.clone().map(|answer| serde_json::to_string(&answer).unwrap_or_default());
        html.write_async(id.clone(), Box::pin(text));
        Some(id.clone())
    }

    /// In the browser, while the page is hydrated: what the server put at `place`, which may be another hook's.
    pub(crate) fn read(&self, place: &SerializedDataId) -> Option<Answer> {
        let (html, _) = self.0.as_ref()?;
        serde_json::from_str(&html.read_data(place)?).ok()
    }
}
