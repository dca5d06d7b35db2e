//! What has changed on disk: modification times, asked for again and again. No system has to support it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// What the demo is made of.
const WATCHED: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "app/Cargo.toml",
    "app/src",
    "frontend/Cargo.toml",
    "frontend/src",
    "leptos-directus/Cargo.toml",
    "leptos-directus/src",
    "public",
    "server/Cargo.toml",
    "server/src",
    "style",
];
/// Editors write several files, and some write each twice: changes closer than this are one.
const QUIET: Duration = Duration::from_millis(200);

/// When each file was last written.
type Snapshot = BTreeMap<PathBuf, (SystemTime, u64)>;

/// What has to be done after a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) wasm: bool,
    pub(crate) server: bool,
    pub(crate) style: bool,
    pub(crate) assets: bool,
}

impl Changes {
    fn add(&mut self, path: &Path) {
        let first = path.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        match first.as_deref() {
            Some("style") => self.style = true,
            Some("public") => self.assets = true,
            Some("frontend") => self.wasm = true,
            Some("server") => self.server = true,
            _ => {
                self.wasm = true;
                self.server = true;
            }
        }
    }
}

/// Looks, and says what has changed once it has been quiet for a moment.
#[derive(Debug)]
pub(crate) struct Watcher {
    root: PathBuf,
    seen: Snapshot,
    pending: Pending,
}

impl Watcher {
    /// What is there now counts as known.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), seen: snapshot(root), pending: Pending::default() }
    }

    /// What has changed since the last answer that was not `None`.
    pub(crate) fn look(&mut self) -> Option<Changes> {
        let now = snapshot(&self.root);
        let changed = difference(&self.seen, &now);
        self.seen = now;
        self.pending.add(&changed, Instant::now())
    }
}

/// Changes that wait for quiet.
#[derive(Debug, Default)]
struct Pending {
    changes: Changes,
    last: Option<Instant>,
}

impl Pending {
    fn add(&mut self, changed: &[PathBuf], now: Instant) -> Option<Changes> {
        if !changed.is_empty() {
            changed.iter().for_each(|path| self.changes.add(path));
            self.last = Some(now);
            return None;
        }
        if now.duration_since(self.last?) < QUIET {
            return None;
        }
        self.last = None;
        Some(std::mem::take(&mut self.changes))
    }
}

fn snapshot(root: &Path) -> Snapshot {
    let mut files = Snapshot::new();
    for path in WATCHED {
        collect(root, Path::new(path), &mut files);
    }
    files
}

fn collect(root: &Path, path: &Path, files: &mut Snapshot) {
    // What vanishes while we look is simply not there.
    let Ok(data) = fs::metadata(root.join(path)) else { return };
    if data.is_dir() {
        for entry in fs::read_dir(root.join(path)).into_iter().flatten().flatten() {
            if is_interesting(&entry.file_name().to_string_lossy()) {
                collect(root, &path.join(entry.file_name()), files);
            }
        }
    } else if let Ok(modified) = data.modified() {
        files.insert(path.to_owned(), (modified, data.len()));
    }
}

/// Editors' own files are nobody's change.
fn is_interesting(name: &str) -> bool {
    !(name.starts_with('.') || name.starts_with('#') || name.ends_with('~') || name.ends_with(".swp") || name == "4913")
}

fn difference(before: &Snapshot, now: &Snapshot) -> Vec<PathBuf> {
    let new = now.iter().filter(|(path, state)| before.get(*path) != Some(state)).map(|(path, _)| path);
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    new.chain(gone).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Scratch;

    #[track_caller]
    fn check(paths: &[&str], expected: Changes) {
        let mut changes = Changes::default();
        paths.iter().for_each(|path| changes.add(Path::new(path)));
        assert_eq!(changes, expected);
    }

    #[test]
    fn a_change_asks_for_what_depends_on_it_only() {
        let nothing = Changes::default();
        check(&["style/main.css"], Changes { style: true, ..nothing });
        check(&["public/favicon.svg"], Changes { assets: true, ..nothing });
        check(&["server/src/main.rs"], Changes { server: true, ..nothing });
        check(&["frontend/src/lib.rs"], Changes { wasm: true, ..nothing });
        check(&["app/src/lib.rs"], Changes { wasm: true, server: true, ..nothing });
        check(&["leptos-directus/src/live/mod.rs"], Changes { wasm: true, server: true, ..nothing });
        check(&["style/main.css", "server/src/main.rs"], Changes { style: true, server: true, ..nothing });
    }

    #[test]
    fn changes_are_reported_once_after_it_has_been_quiet() {
        let mut pending = Pending::default();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(pending.add(&[], at(0)), None);
        assert_eq!(pending.add(&["style/main.css".into()], at(100)), None);
        assert_eq!(pending.add(&["public/x".into()], at(250)), None);
        assert_eq!(pending.add(&[], at(400)), None);
        let both = Changes { style: true, assets: true, ..Changes::default() };
        assert_eq!(pending.add(&[], at(450)), Some(both));
        assert_eq!(pending.add(&[], at(900)), None);
    }

    #[test]
    fn written_new_and_removed_files_are_seen_and_editors_own_are_not() {
        let scratch = Scratch::new("watch").expect("a folder");
        let style = scratch.path().join("style");
        fs::create_dir_all(&style).expect("a folder");
        fs::write(style.join("main.css"), "a").expect("a file");
        let one = snapshot(scratch.path());
        fs::write(style.join("main.css"), "longer").expect("a file");
        fs::write(style.join("new.css"), "").expect("a file");
        for name in [".main.css.swp", "main.css~", "4913", "#main.css#"] {
            fs::write(style.join(name), "").expect("a file");
        }
        let two = snapshot(scratch.path());
        assert_eq!(difference(&one, &two), [PathBuf::from("style/main.css"), PathBuf::from("style/new.css")]);
        fs::remove_file(style.join("new.css")).expect("a file");
        assert_eq!(difference(&two, &snapshot(scratch.path())), [PathBuf::from("style/new.css")]);
    }
}
