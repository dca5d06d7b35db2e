//! `.env`, for `cargo xtask dev`: what the environment itself says comes first.

use crate::workspace::Workspace;
use std::{collections::BTreeMap, fs};

/// The rows of `.env`, less those that the environment has.
#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Reads `.env` in the root of the workspace; nothing if there is none.
    pub(crate) fn read(workspace: &Workspace) -> Self {
        let text = fs::read_to_string(workspace.root.join(".env")).unwrap_or_default();
        let mut rows = parse(&text);
        rows.retain(|name, _| std::env::var_os(name).is_none());
        Self(rows)
    }

    /// The value, from the environment or from `.env`; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().or_else(|| self.0.get(name).cloned()).filter(|value| !value.is_empty())
    }

    /// For a child, which has the environment already.
    pub(crate) fn rows(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            (name.trim().to_owned(), quoted.unwrap_or(value).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_comments_are_not() {
        let rows = parse("# A=1\nB=2\n\nexport C = \"three = 3\"\nD='4'\nE=\nnonsense\n");
        let expected = [("B", "2"), ("C", "three = 3"), ("D", "4"), ("E", "")];
        assert_eq!(rows, expected.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
    }
}
