//! A live query: what it shows, when it reads again, and what changed.
//!
//! No I/O and no clock: [`LiveQuery`] takes hints, replies and the time, and gives back reads to make and rows that changed.
//!
//! The way is *hints and a window read*. Subscriptions without a filter, one per kind of event, say that **something** in the
//! collection changed; each such hint makes the query read its window again, with one read on its way at most and one more
//! if a hint came meanwhile. The rows of an event are never put on the screen: they may be older than what is there (hazard
//! H2), cut (H6), or silent about rows that left (H3). A read that was sent after the last hint is right by construction.
//!
//! What this page itself writes goes by the [`Outbox`], in order, and lies over the rows as an [`Overlay`] until a read that was
//! sent afterwards has come back: the rows of a read are never changed, so nothing has to be undone.

mod doubt;
mod kin;
mod outbox;
mod overlay;
mod place;
mod query;
mod reading;
mod reply;
mod row;
mod saved;
mod shape;
mod window;

pub use outbox::{Intent, Outbox, OutboxConfig, OutboxOutput, PendingWrite, Progress, Who};
pub use overlay::{Change, Layer, NewRows, Overlay, Shown, ShownRow};
pub use query::{Feed, LiveConfig, LiveQuery, LiveStatus, Output, ReadId};
pub use reading::Reading;
pub(crate) use reading::as_asked;
pub use row::{RowKey, WriteId};
pub use shape::{ReadScope, WindowShape};
pub use window::{RowChanges, Splice, Window};

#[cfg(test)]
mod tests;
