//! What the server is told by its environment and its command line.

use clap::{Parser, Subcommand};
use leptos_directus::server::DirectusConfig;

/// Serves the newsroom and stands between its pages and Directus.
///
/// Where it listens is said by Leptos's own variables: LEPTOS_SITE_ADDR (127.0.0.1:3000), LEPTOS_SITE_ROOT (target/site).
/// RUST_LOG says what is logged (info).
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) directus: DirectusConfig,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks whether Directus can be reached and is set up for realtime, and says how to mend what is not.
    Doctor,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
