//! A live query: what it shows, when it reads again, and what changed.
//!
//! No I/O and no clock: [`LiveQuery`] takes hints, replies and the time, and gives back reads to make and rows that changed.
//!
//! The way is *hints and reads*. Subscriptions without a filter, one per kind of event, say that rows with some keys changed.
//! The rows of an event are never put on the screen: they may be older than what is there (hazard H2), cut (H6), or silent
//! about rows that left (H3). What is shown was always read, with the query's own filter and after the hint, and reads are
//! made one after the other: so nothing goes backwards, and a read that was sent after the last hint is right. Where Directus
//! announces rows before its transaction ends (H18: batches, on databases that give reads a connection of their own), it may be
//! too early: so what a hint named and what did not change when it was read is read once more, a second after the last hint, and
//! for half a minute with whatever is announced later.
//!
//! # What is read
//! The **window**, that is all that the query's REST read returns, or only the **keys** in doubt: the query's fields under its
//! filter, `and` the key one of these. A read of the window is right by construction, and costs a read of the whole list. A
//! read of keys costs what changed. It is made only where it can be enough, and what comes back is taken only where it was:
//! where the slightest doubt is left, nothing is changed and the window is read.
//!
//! | keys are read | the window is read |
//! |---|---|
//! | a hint named them, and the window was read since everything was announced | everything is in doubt: the socket came up, the visitor changed, a watched collection changed, `refetch`, an interval is over |
//! | they are few: at most 500, and a quarter of the window | more changed than that |
//! | the window has more than 50 rows | it is small, and costs no more than one row |
//! | the query is sorted, by plain fields of its rows (they are read along if the app does not ask for them) | no sort (Directus's own order is known to Directus), a function, a relation, an alias |
//! | rows stand alone | they may show in one another, because the query names relations or a row holds a list of what may be keys |
//! | | aggregates, groups, counts (`meta`), content versions, a `page` without a limit |
//!
//! Of a row that was asked for, the reply tells:
//!
//! - **It is what it was in all that it is sorted by.** It changes in its place, in every window. Unless its sort values may
//!   be more than they show: moments beside an equal moment, null in an order that was not understood, what Directus conceals.
//! - **It did not come back.** It leaves, if the window holds all rows of the query: it has no limit, or did not reach it.
//! - **It is new, or its sort values changed.** It goes to its place, if the window holds all rows of the query and the place
//!   is certain: only numbers, booleans, uuids, dates and moments are compared, null only where the window shows where null
//!   goes, and only in a window that was found to be ordered as our comparison has it, row by row, when it was read whole. Text
//!   is never compared: its order is the database's. With a full limit, a row that surely comes after the last one is none.
//!
//! Three things that nobody announces, and that a read of the window would show by chance, make one necessary:
//! a row of which nothing changed but one whole number that rows are sorted by, or one with a number called `sort` that changed,
//! came, went or shows no change at all, may have been dragged to its place, and Directus counted the others anew (H15); a list of
//! as many rows as a server's `QUERY_LIMIT_MAX` may be (a multiple of 50, a power of two) may be cut; and so may a reply.
//!
//! What is not seen, with reads of keys no more than with H11 and H15 in general: other rows of the same collection that the
//! database changes together with one (a cascade, a trigger), until the window is read next. `revalidate_every` is for that.
//!
//! # What this page writes
//! Own writes go by the [`Outbox`], in order, and lie over the rows as an [`Overlay`] until a read that was sent afterwards has
//! come back: the rows of a read are never changed, so nothing has to be undone.

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
mod settling;
mod shape;
mod window;

pub use outbox::{Intent, Outbox, OutboxConfig, OutboxOutput, PendingWrite, Progress, RefusedWrite, Who};
pub use overlay::{Change, Layer, NewRows, Overlay, Shown, ShownRow};
pub use query::{Feed, LiveConfig, LiveQuery, LiveStatus, Output, ReadId};
pub use reading::Reading;
pub(crate) use reading::as_asked;
pub use row::{RowKey, WriteId};
pub use shape::{ReadScope, WindowShape};
pub use window::{RowChanges, Splice, Window};
