//! What a write of a live list gives back.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::channel::oneshot;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    error::Error,
    live::{RowKey, as_asked},
    rest::decode,
};

/// A write that was made: on the page at once, in Directus as soon as can be.
///
/// Await it to learn what Directus answered, or let it go: the write goes on without. Until Directus is reached the future
/// waits, be it for hours; `pending` of the hook shows what waits.
///
/// A create or an update gives the row, as far as the visitor may read it: `None` where they may write and not read.
///
/// # Example
/// ```
/// use leptos::{prelude::*, task::spawn_local};
/// use leptos_directus::{Query, Write, use_realtime_collection};
/// use serde_json::{Value, json};
///
/// #[component]
/// fn Like(id: i64) -> impl IntoView {
///     let likes = use_realtime_collection::<Value>("likes", Query::new());
///     let said = RwSignal::new(String::new());
///     let like = move |_| {
///         let write: Write<Option<Value>> = likes.create(&json!({ "post": id }));
///         leptos::logging::log!("{:?} is on the page", write.row());
///         spawn_local(async move {
///             said.set(match write.await {
///                 Ok(_) => "Saved.".to_owned(),
///                 Err(error) if error.is_uncertain() => "It may have been saved or not.".to_owned(),
///                 Err(error) if error.is_conflict() => "Somebody else was faster.".to_owned(),
///                 Err(error) => error.to_string(),
///             });
///         });
///     };
///     view! { <button on:click=like>"Like"</button> <p role="status">{said}</p> }
/// }
/// ```
///
/// # Errors
/// What Directus said when it refused the write ([`Error::is_validation`], [`Error::is_forbidden`]); that somebody else was
/// faster ([`Error::is_conflict`]); or that the answer to a create was lost, so that nobody knows whether it was saved
/// ([`Error::is_uncertain`]).
pub struct Write<R> {
    row: Option<RowKey>,
    state: State,
    what: String,
    /// Fields of the answer that the engine needs and nobody asked for.
    unasked: Vec<String>,
    read: fn(Value, &str) -> Result<R, Error>,
}

enum State {
    Made(oneshot::Receiver<Result<Value, Error>>),
    Failed(Error),
}

impl<R> fmt::Debug for Write<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").field("row", &self.row).finish_non_exhaustive()
    }
}

/// What a write is made into: sent, or not even that.
pub(crate) type Made = Result<(Option<RowKey>, oneshot::Receiver<Result<Value, Error>>), Error>;

impl<R> Write<R> {
    fn new(made: Made, what: String, unasked: Vec<String>, read: fn(Value, &str) -> Result<R, Error>) -> Self {
        let (row, state) = match made {
            Ok((row, answer)) => (row, State::Made(answer)),
            Err(error) => (None, State::Failed(error)),
        };
        Self { row, state, what, unasked, read }
    }

    /// The row that was written; the identity that a created row keeps.
    #[must_use]
    pub fn row(&self) -> Option<&RowKey> {
        self.row.as_ref()
    }
}

impl<T: DeserializeOwned> Write<Option<T>> {
    /// A write that is answered with a row, or with nothing where the visitor may not read it.
    pub(crate) fn of_row(made: Made, what: String, unasked: Vec<String>) -> Self {
        Self::new(made, what, unasked, |row, what| if row.is_null() { Ok(None) } else { decode(row, what).map(Some) })
    }
}

impl Write<()> {
    /// A write that is answered with nothing.
    pub(crate) fn of_nothing(made: Made, what: String) -> Self {
        Self::new(made, what, Vec::new(), |_, _| Ok(()))
    }
}

impl<R> Future for Write<R> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.state {
            State::Failed(error) => return Poll::Ready(Err(error.clone())),
            State::Made(answer) => match Pin::new(answer).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(answer) => answer,
            },
        };
        Poll::Ready(match answer {
            Ok(answer) => answer.and_then(|answer| (self.read)(as_asked(&answer, &self.unasked), &self.what)),
            Err(oneshot::Canceled) => Err(Error::closed(format!("{}: the page's connection has ended", self.what))),
        })
    }
}
