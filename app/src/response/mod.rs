//! The HTTP status of a page: the server sets it, in a browser there is none to set.

#[cfg(not(feature = "ssr"))]
#[path = "browser.rs"]
mod sys;
#[cfg(feature = "ssr")]
#[path = "server.rs"]
mod sys;

pub(crate) use sys::say_found;
