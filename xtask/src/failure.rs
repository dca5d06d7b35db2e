//! What went wrong, for people: the cause in a sentence, the end of the log, and the mend.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// How many lines of a log are shown with a failure.
pub(crate) const LOG_LINES: usize = 15;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// One clear sentence, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    cause: String,
    log: Option<(PathBuf, Vec<String>)>,
    mend: Option<String>,
    interrupted: bool,
}

impl Failure {
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), log: None, mend: None, interrupted: false }
    }

    /// Not an error of anybody: Ctrl-C or SIGTERM.
    pub(crate) fn interrupted() -> Self {
        Self { interrupted: true, ..Self::new("interrupted") }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    /// What the reader can do about it.
    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// The last lines of `path` as they are now.
    pub(crate) fn log(mut self, path: &Path) -> Self {
        self.log = Some((path.to_owned(), last_lines(path, LOG_LINES)));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if let Some((path, lines)) = &self.log {
            write!(f, "\n  the end of {}:", path.display())?;
            if lines.is_empty() {
                write!(f, "\n    (empty)")?;
            }
            for line in lines {
                write!(f, "\n    {line}")?;
            }
        }
        if let Some(mend) = &self.mend {
            write!(f, "\n  what helps: {mend}")?;
        }
        Ok(())
    }
}

/// Adds the sentence that an I/O error lacks: what was being done.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::new(format!("{}: {error}", what())))
    }
}

/// The last `count` lines of a text file; none if it cannot be read.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_cause_log_and_mend_in_this_order() {
        let path = std::env::temp_dir().join(format!("xtask-failure-{}.log", std::process::id()));
        std::fs::write(&path, (1..=20).map(|n| format!("line {n}\n")).collect::<String>()).expect("temporary file");
        let text = Failure::new("it broke").log(&path).mend("mend it").to_string();
        std::fs::remove_file(&path).expect("temporary file");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "it broke");
        assert_eq!(lines[2], "    line 6");
        assert_eq!(lines[16], "    line 20");
        assert_eq!(lines[17], "  what helps: mend it");
    }
}
