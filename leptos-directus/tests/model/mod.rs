//! The model: a simulated Directus, a network with faults, and pages that must be right.

mod clock;
mod database;
mod directus;
pub(crate) mod run;
pub(crate) mod script;
mod shapes;
mod view;
mod world;
