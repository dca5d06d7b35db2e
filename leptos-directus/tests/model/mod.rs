//! The model: a simulated Directus, a network with faults, and pages that must be right.

mod clock;
mod contract;
mod database;
mod directus;
mod likeness;
pub(crate) mod run;
pub(crate) mod script;
mod shapes;
mod stories;
mod view;
mod world;
