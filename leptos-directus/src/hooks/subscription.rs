//! A stream of a collection's events, as Directus sends them.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt,
    channel::mpsc::{self, Receiver, Sender},
};
use leptos::prelude::{Owner, on_cleanup};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    client::{Client, HeldStream},
    connection::{Notice, SubscriptionSpec},
    error::Error,
    protocol::{EventKind, Key, Query, SubscriptionEvent, SubscriptionFrame},
    rest::{decode, with_fields_of},
};

/// Messages that wait for their reader. One who falls further behind is told by [`Message::Resync`].
const QUEUE: usize = 1_024;

/// What to subscribe to. Made by value:
///
/// ```
/// use leptos_directus::{Filter, Query, SubscribeOptions, protocol::EventKind};
///
/// let drafts = Query::new().filter(Filter::field("status").eq("draft"));
/// let options = SubscribeOptions::new().query(drafts).event(EventKind::Create).uid("new-drafts");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SubscribeOptions {
    query: Query,
    event: Option<EventKind>,
    uid: Option<String>,
}

impl SubscribeOptions {
    /// All events, all rows, the fields that the type names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only rows that the query finds, with its fields. Mind that a row that stops matching is not announced by Directus, and
    /// that deletes are announced whatever the filter.
    pub fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// One kind of event only. [`Message::Init`] then comes without rows.
    pub fn event(mut self, event: EventKind) -> Self {
        self.event = Some(event);
        self
    }

    /// A name of one's own, given back with every message. Need not be unique: on the wire a number is added to it.
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }
}

/// What comes out of a [`Subscription`].
///
/// # Example
/// ```
/// use leptos_directus::{Key, Message};
///
/// /// A count that is kept by hand; lists are better kept by `use_realtime_collection`.
/// fn count(before: usize, message: &Message<serde_json::Value>) -> usize {
///     match message {
///         Message::Init { data, .. } => data.len(),
///         Message::Create { data, .. } => before + data.len(),
///         Message::Delete { keys, .. } => before.saturating_sub(keys.len()),
///         // After `Resync` because of a lost socket, an `Init` follows.
///         _ => before,
///     }
/// }
///
/// let deleted = Message::Delete { uid: Some("front".to_owned()), keys: vec![Key::from(7)] };
/// assert_eq!((deleted.event(), deleted.uid()), ("delete", Some("front")));
/// assert_eq!(count(3, &deleted), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message<T> {
    /// Directus has acknowledged the subscription. The rows were read *before* it took effect: a change in between is in
    /// neither.
    Init {
        /// The name given by [`SubscribeOptions::uid`].
        uid: Option<String>,
        /// The query's rows; none where one kind of event was asked for.
        data: Vec<T>,
        /// The counts, if the query asked for them.
        meta: Option<Value>,
    },
    /// Rows were created.
    Create {
        /// The name given by [`SubscribeOptions::uid`].
        uid: Option<String>,
        /// The rows, as they were when Directus got to reading them.
        data: Vec<T>,
        /// The counts, if the query asked for them.
        meta: Option<Value>,
    },
    /// Rows were changed; some of them may only now have come to match the filter.
    Update {
        /// The name given by [`SubscribeOptions::uid`].
        uid: Option<String>,
        /// The rows, as they were when Directus got to reading them.
        data: Vec<T>,
        /// The counts, if the query asked for them.
        meta: Option<Value>,
    },
    /// Rows were deleted, whatever the filter.
    Delete {
        /// The name given by [`SubscribeOptions::uid`].
        uid: Option<String>,
        /// Their keys.
        keys: Vec<Key>,
    },
    /// Messages were lost: the socket was (it is open again, and the subscription in force), or this reader fell more than
    /// 1,024 messages behind. Read what you need to be sure of again.
    Resync {
        /// The name given by [`SubscribeOptions::uid`].
        uid: Option<String>,
    },
    /// Something happened that could not be told: Directus refused it, or a row does not fit `T`. The stream goes on.
    Error {
        /// The name given by [`SubscribeOptions::uid`].
        uid: Option<String>,
        /// What is wrong.
        error: Error,
    },
}

impl<T> Message<T> {
    /// `init`, `create`, `update`, `delete`, `resync` or `error`.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Self::Init { .. } => "init",
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
            Self::Resync { .. } => "resync",
            Self::Error { .. } => "error",
        }
    }

    /// The name given by [`SubscribeOptions::uid`].
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        match self {
            Self::Init { uid, .. }
            | Self::Create { uid, .. }
            | Self::Update { uid, .. }
            | Self::Delete { uid, .. }
            | Self::Resync { uid }
            | Self::Error { uid, .. } => uid.as_deref(),
        }
    }
}

/// The subscription while it lasts; taken and dropped by whoever ends it first.
type Hold = Arc<Mutex<Option<HeldStream>>>;

fn end(hold: &Hold) {
    drop(hold.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// A stream of [`Message`]s. Dropping it, or [`unsubscribe`](Self::unsubscribe), ends the subscription.
///
/// # Example
/// ```
/// use futures::StreamExt;
/// use leptos_directus::{Directus, Error, SubscribeOptions, protocol::EventKind};
/// use serde_json::Value;
///
/// /// Waits for one row and lets the subscription go.
/// async fn next_order(directus: Directus) -> Result<(), Error> {
///     let options = SubscribeOptions::new().event(EventKind::Create).uid("orders");
///     let mut orders = directus.subscribe::<Value>("orders", options).await?;
///     println!("asked for {}", orders.query().to_json());
///     while let Some(message) = orders.next().await {
///         if message.event() == "create" {
///             orders.unsubscribe();
///         }
///     }
///     Ok(())
/// }
/// ```
#[must_use]
pub struct Subscription<T> {
    hold: Hold,
    events: Receiver<Notice>,
    overflow: Arc<AtomicBool>,
    /// Messages that one frame gave, in order.
    ready: std::collections::VecDeque<Message<T>>,
    uid: Option<String>,
    collection: String,
    query: Query,
    acknowledged: bool,
    row: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("collection", &self.collection)
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        end(&self.hold);
    }
}

impl<T: DeserializeOwned> Subscription<T> {
    /// Ends the subscription; the stream ends with what it has already got.
    pub fn unsubscribe(&self) {
        end(&self.hold);
    }

    /// The query that is in force, the type's fields included.
    pub fn query(&self) -> &Query {
        &self.query
    }

    fn rows(&mut self, frame: &SubscriptionFrame) -> Vec<T> {
        let what = format!("an event of `{}`", self.collection);
        let mut rows = Vec::new();
        for row in frame.rows() {
            match decode(row, &what) {
                Ok(row) => rows.push(row),
                Err(error) => self.ready.push_back(Message::Error { uid: self.uid.clone(), error }),
            }
        }
        rows
    }

    /// What an event means to the reader.
    fn take_in(&mut self, event: Notice) {
        let uid = self.uid.clone();
        match event {
            Notice::Acknowledged(frame) => {
                if std::mem::replace(&mut self.acknowledged, true) {
                    self.ready.push_back(Message::Resync { uid: uid.clone() });
                }
                let data = self.rows(&frame);
                self.ready.push_back(Message::Init { uid, data, meta: frame.meta });
            }
            Notice::Changed(frame) if frame.event == SubscriptionEvent::Delete => {
                self.ready.push_back(Message::Delete { uid, keys: frame.keys() });
            }
            Notice::Changed(frame) => {
                let data = self.rows(&frame);
                let meta = frame.meta.clone();
                self.ready.push_back(if frame.event == SubscriptionEvent::Create {
                    Message::Create { uid, data, meta }
                } else {
                    Message::Update { uid, data, meta }
                });
            }
            Notice::Failed { error, .. } => self.ready.push_back(Message::Error { uid, error }),
            // Said by `Resync`, once the socket is back; and whose error it was may come to light.
            Notice::Lost | Notice::Doubted => {}
        }
    }
}

impl<T: DeserializeOwned> Stream for Subscription<T> {
    type Item = Message<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(message) = this.ready.pop_front() {
                return Poll::Ready(Some(message));
            }
            match this.events.poll_next_unpin(context) {
                Poll::Ready(Some(event)) => this.take_in(event),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if this.overflow.swap(false, Ordering::AcqRel) => {
                    return Poll::Ready(Some(Message::Resync { uid: this.uid.clone() }));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A subscription on its way; ends with Directus's acknowledgement. Made by
/// [`Directus::subscribe`](crate::Directus::subscribe).
///
/// # Example
/// Begun in the component, so that it ends with it, and awaited elsewhere:
/// ```
/// use leptos_directus::{Directus, Error, SubscribeOptions, Subscribing, Subscription};
/// use serde_json::Value;
///
/// fn begin(directus: Directus) -> (Subscribing<Value>, Subscribing<Value>) {
///     let begin = |collection| directus.subscribe(collection, SubscribeOptions::new());
///     (begin("posts"), begin("comments"))
/// }
///
/// async fn both(
///     (posts, comments): (Subscribing<Value>, Subscribing<Value>),
/// ) -> Result<(Subscription<Value>, Subscription<Value>), Error> {
///     Ok((posts.await?, comments.await?))
/// }
/// ```
#[must_use]
pub struct Subscribing<T> {
    subscription: Option<Result<Subscription<T>, Error>>,
}

impl<T> fmt::Debug for Subscribing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribing").finish_non_exhaustive()
    }
}

fn queue(mut sender: Sender<Notice>, overflow: Arc<AtomicBool>) -> impl FnMut(Notice) + Send {
    move |event| {
        if sender.try_send(event).is_err() {
            overflow.store(true, Ordering::Release);
        }
    }
}

impl<T: DeserializeOwned> Subscribing<T> {
    pub(crate) fn new(client: Option<&Client>, collection: String, options: SubscribeOptions) -> Self {
        let Some(client) = client else {
            let error = Error::closed("no socket is opened on the server: subscribe in the browser");
            return Self { subscription: Some(Err(error)) };
        };
        let query = with_fields_of::<T>(options.query);
        // No limit means Directus's own 100, and would cut batches.
        let query = if query.limit.is_some() { query } else { query.all() };
        let spec = SubscriptionSpec {
            collection: collection.clone(),
            event: options.event,
            query: Some(query.to_json()),
            label: options.uid.clone().unwrap_or_else(|| collection.clone()),
        };
        let (sender, events) = mpsc::channel(QUEUE);
        let overflow = Arc::new(AtomicBool::new(false));
        let hold = client.subscribe(spec, Box::new(queue(sender, Arc::clone(&overflow))));
        let hold: Hold = Arc::new(Mutex::new(Some(hold)));
        if Owner::current().is_some() {
            let hold = Arc::clone(&hold);
            on_cleanup(move || end(&hold));
        }
        let subscription = Subscription {
            hold,
            events,
            overflow,
            ready: std::collections::VecDeque::new(),
            uid: options.uid,
            collection,
            query,
            acknowledged: false,
            row: PhantomData,
        };
        Self { subscription: Some(Ok(subscription)) }
    }
}

impl<T: DeserializeOwned> Future for Subscribing<T> {
    type Output = Result<Subscription<T>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let ended = || Error::closed("the subscription was ended before Directus acknowledged it");
        let mut subscription = match this.subscription.take() {
            Some(Ok(subscription)) => subscription,
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => return Poll::Ready(Err(ended())),
        };
        loop {
            match subscription.events.poll_next_unpin(context) {
                Poll::Ready(Some(Notice::Failed { alive: false, error })) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(event)) => {
                    subscription.take_in(event);
                    if subscription.acknowledged {
                        return Poll::Ready(Ok(subscription));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(Err(ended())),
                Poll::Pending => {
                    this.subscription = Some(Ok(subscription));
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<T> Unpin for Subscription<T> {}

impl<T> Unpin for Subscribing<T> {}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    fn created(number: usize) -> Notice {
        Notice::Changed(SubscriptionFrame {
            event: SubscriptionEvent::Create,
            uid: None,
            data: Some(json!([{ "id": number }])),
            meta: None,
        })
    }

    #[test]
    fn a_reader_who_falls_behind_is_told_and_goes_on_from_there() {
        let (sender, events) = mpsc::channel(QUEUE);
        let overflow = Arc::new(AtomicBool::new(false));
        let mut sink = queue(sender, Arc::clone(&overflow));
        let mut stream = Subscription::<Value> {
            hold: Hold::default(),
            events,
            overflow,
            ready: std::collections::VecDeque::new(),
            uid: Some("all".to_owned()),
            collection: "posts".to_owned(),
            query: Query::new(),
            acknowledged: true,
            row: PhantomData,
        };
        let mut next = || stream.next().now_or_never().flatten();
        sink(created(0));
        assert!(matches!(next(), Some(Message::Create { .. })));
        assert_eq!(next(), None, "nothing was lost");
        for number in 0..2 * QUEUE {
            sink(created(number));
        }
        let mut kept = 0;
        let told = loop {
            match next() {
                Some(Message::Create { .. }) => kept += 1,
                other => break other,
            }
        };
        assert_eq!(told, Some(Message::Resync { uid: Some("all".to_owned()) }));
        assert!((QUEUE..2 * QUEUE).contains(&kept), "{kept}");
        assert_eq!(next(), None, "it is said once");
        sink(created(7));
        assert!(matches!(next(), Some(Message::Create { data, .. }) if data == [json!({ "id": 7 })]));
    }
}
