//! What goes over the wire: frames, queries, REST shapes. Data and serde, nothing else.
//!
//! Nothing in here does I/O, knows a clock, or refers to Leptos, a browser or a runtime: it is the same on every target.
//!
//! - [`ClientMessage`], [`ServerMessage`] and the [`DirectusCodec`] between them and text: Directus's WebSocket protocol.
//! - [`Query`] and [`Filter`]: what to read, for WebSocket and REST alike.
//! - [`Relations`]: which collections a query's fields lead to.
//! - [`Key`]: a primary key as text, so that `"7"` and `7` are the same row.
//! - [`fields_of`]: the fields that a Rust type names, asked of serde.
//! - [`rest`]: bodies and paths of Directus's REST interface.

mod client;
mod codec;
mod error_code;
mod fields;
mod filter;
mod key;
mod number;
mod query;
mod relations;
pub mod rest;
mod secret;
mod server;
mod string_or_number;

pub use client::{AuthCredentials, ClientMessage, EventKind, ItemsAction};
pub use codec::{DirectusCodec, ProtocolError};
pub use error_code::ErrorCode;
pub use fields::fields_of;
pub use filter::{FieldFilter, Filter, Variable};
pub use key::Key;
pub use number::{number, optional_number};
pub(crate) use query::IN_QUERY;
pub use query::{FieldNames, Query, QueryError};
pub use relations::{Leads, Relations};
pub use rest::{ErrorBody, RestBody, RestError, collection_path, item_path};
pub use secret::Secret;
pub use server::{ErrorFrame, ItemsFrame, ServerMessage, SubscriptionEvent, SubscriptionFrame};
pub use string_or_number::StringOrNumber;
