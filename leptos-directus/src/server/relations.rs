//! What Directus says of relations, kept for a while, and the page's question where they lead.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use http::header;
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use super::{DirectusServer, upstream::Caller};
use crate::{
    protocol::{Relations, Secret},
    rest::{
        Question, Rest, Seen,
        sight::{LONGEST_NAME, MOST_PATHS, is_path},
    },
};

/// How long what Directus tells is believed: a new relation is followed from then on.
const TRUST_TOLD: Duration = Duration::from_secs(300);
/// How long it is believed that it tells nothing: somebody may be mending it right now.
const TRUST_REFUSAL: Duration = Duration::from_secs(60);
/// How long a failure stands, so that a crowd does not ask a Directus that is away.
const TRUST_FAILURE: Duration = Duration::from_secs(5);

/// Our own token is good for nothing.
pub(super) const TOKEN_REFUSED: &str = "Directus does not accept DIRECTUS_SCHEMA_TOKEN, or its user may not read \
     directus_relations: lists do not follow their relations by themselves";
/// Our own token is good for too much.
pub(super) const TOKEN_OF_ADMINISTRATOR: &str = "DIRECTUS_SCHEMA_TOKEN is an administrator's: visitors can learn the names \
     of collections that they may not read";
/// What mends both.
pub(super) const TOKEN_MEND: &str = "set DIRECTUS_SCHEMA_TOKEN to the static token of a user with the rights of the public \
     role, who may read directus_relations, too";

/// What is kept, at most: for so many sessions. The oldest goes first.
const MOST_KEPT: usize = 256;

/// Whom Directus tells.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    OurToken,
    Anonymous,
    Session(String),
}

impl Whose {
    pub(super) fn visitor(session: Option<&Secret>) -> Self {
        session.map_or(Self::Anonymous, |session| Self::Session(session.expose().to_owned()))
    }
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OurToken => "OurToken",
            Self::Anonymous => "Anonymous",
            Self::Session(_) => "Session(…)",
        })
    }
}

/// What came of asking.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Told(Arc<Relations>),
    Refused,
    Failed,
}

pub(super) type Asking = Shared<BoxFuture<'static, Word>>;

struct Entry {
    since: Instant,
    asking: Asking,
}

impl Entry {
    fn is_fresh(&self) -> bool {
        let trust = match self.asking.peek() {
            // One that is under way has its own time-out.
            None | Some(Word::Told(_)) => TRUST_TOLD,
            Some(Word::Refused) => TRUST_REFUSAL,
            Some(Word::Failed) => TRUST_FAILURE,
        };
        self.since.elapsed() < trust
    }
}

/// What Directus told of relations, and whom.
#[derive(Default)]
pub(super) struct Schema(Mutex<HashMap<Whose, Entry>>);

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl Schema {
    /// What Directus tells whom this `rest` reads for.
    pub(super) fn ask(&self, whose: Whose, rest: Rest) -> Asking {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&whose).filter(|entry| entry.is_fresh()) {
            return entry.asking.clone();
        }
        entries.retain(|_, entry| entry.is_fresh());
        if entries.len() >= MOST_KEPT
            && let Some(oldest) = entries.iter().min_by_key(|(_, entry)| entry.since).map(|(whose, _)| whose.clone())
        {
            entries.remove(&oldest);
        }
        let is_ours = whose == Whose::OurToken;
        // In a task of its own: who asked first may leave, and must not take the answer from the others.
        let task = tokio::spawn(async move { tell(rest, is_ours).await });
        let asking = task.map(|word| word.unwrap_or(Word::Failed)).boxed().shared();
        entries.insert(whose, Entry { since: Instant::now(), asking: asking.clone() });
        asking
    }
}

async fn tell(rest: Rest, is_ours: bool) -> Word {
    match rest.relations().await {
        Ok(Some(relations)) => {
            if is_ours && are_administrators(&relations) {
                tracing::warn!("{TOKEN_OF_ADMINISTRATOR}; {TOKEN_MEND}");
            }
            Word::Told(Arc::new(relations))
        }
        Ok(None) => {
            if is_ours {
                tracing::warn!("{TOKEN_REFUSED}; {TOKEN_MEND}");
            }
            Word::Refused
        }
        Err(error) => {
            tracing::debug!(%error, "where relations lead is not known");
            Word::Failed
        }
    }
}

/// Whether an administrator was told these: nobody else learns who has which rights.
pub(super) fn are_administrators(relations: &Relations) -> bool {
    !relations.lead_from("directus_access", ["policy.name"]).to.is_empty()
}

/// The question in a request's query: `?relations_of=posts&path=author.name&path=comments.text`. `None` if there is none;
/// one that is too long, or empty, has no paths.
pub(super) fn asked(query: Option<&str>) -> Option<Question> {
    let query = query.filter(|query| query.contains("relations_of="))?;
    let (mut collection, mut paths) = (None, Vec::new());
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = percent_decode_str(value).decode_utf8_lossy();
        match name {
            "relations_of" => collection = Some(value.into_owned()),
            "path" => paths.push(value.into_owned()),
            _ => {}
        }
    }
    let collection = collection?;
    let is_name = !collection.is_empty() && collection.len() <= LONGEST_NAME;
    if !is_name || paths.len() > MOST_PATHS || !paths.iter().all(|path| is_path(path)) {
        paths.clear();
    }
    Some(Question { collection, paths: paths.into_iter().collect() })
}

/// Answers a page's question: never with the status of an error, which a browser would show in its console.
pub(super) async fn answer(
    server: &DirectusServer,
    session: Option<&Secret>,
    caller: Caller,
    question: Question,
) -> Response {
    let seen = if question.paths.is_empty() {
        Seen::Unknown
    } else {
        let rest = server.visitor(session, caller).rest().for_rendering();
        server.look(Whose::visitor(session), rest, &question).await
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(seen)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Credentials, HttpClient};

    #[test]
    fn a_question_is_read_and_bounded() {
        let read = |query: &str| asked(Some(query)).map(|asked| (asked.collection, asked.paths));
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(
            read("relations_of=posts&path=author.name&path=item:pages.%C3%A4&x=1"),
            Some(("posts".to_owned(), paths(&["author.name", "item:pages.ä"])))
        );
        assert_eq!((read(""), read("path=a"), asked(None)), (None, None, None));
        let nothing = Some(("posts".to_owned(), paths(&[])));
        assert_eq!(read("relations_of=posts"), nothing);
        assert_eq!(read(&format!("relations_of=posts{}", "&path=a".repeat(MOST_PATHS + 1))), nothing);
        assert_eq!(read(&format!("relations_of=posts&path={}", "a.".repeat(20))), nothing);
        assert_eq!(read(&format!("relations_of=posts&path={}", "a".repeat(LONGEST_NAME + 1))), nothing);
        assert_eq!(read("relations_of=&path=a").map(|(_, paths)| paths), Some(paths(&[])));
    }

    fn nobody() -> Rest {
        Rest::new(HttpClient::default(), "http://127.0.0.1:1", Credentials::Ambient)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_believed_longer_than_a_refusal_and_a_failure_shortest() {
        for (word, trust) in
            [(Word::Told(Arc::default()), TRUST_TOLD), (Word::Refused, TRUST_REFUSAL), (Word::Failed, TRUST_FAILURE)]
        {
            let asking = futures::future::ready(word).boxed().shared();
            asking.clone().await;
            let entry = Entry { since: Instant::now(), asking };
            tokio::time::advance(trust - Duration::from_millis(1)).await;
            assert!(entry.is_fresh());
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!entry.is_fresh());
        }
    }

    #[tokio::test]
    async fn a_crowd_of_sessions_leaves_a_bounded_memory() {
        let schema = Schema::default();
        let asked = |number: usize| schema.ask(Whose::Session(number.to_string()), nobody());
        for number in 0..MOST_KEPT + 50 {
            drop(asked(number));
        }
        assert_eq!(schema.0.lock().unwrap().len(), MOST_KEPT);
        assert!(matches!(asked(MOST_KEPT + 49).await, Word::Failed), "nobody is there");
    }

    #[test]
    fn a_session_is_not_shown() {
        let whose = Whose::visitor(Some(&Secret::new("s3cret")));
        assert_eq!(format!("{whose:?}"), "Session(…)");
    }
}
