//! The rules of the crate, as tests. Each rule is a function over a text, and is shown to find a text that breaks it.

// There is no folder to read in a browser.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the crate: its path below the crate's folder, with slashes, and its text.
struct File {
    path: String,
    text: String,
}

fn collect(folder: &Path, wanted: &dyn Fn(&str) -> bool, files: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                collect(&path, wanted, files);
            }
        } else if wanted(&name) {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.push(File { path, text });
        }
    }
}

fn sources() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root().join("src"), &|name| name.ends_with(".rs"), &mut files);
    assert!(files.len() > 30, "the sources were not found");
    files
}

/// The code of a source: comments are blank, and literals too if `keep_literals` is off. Lines stay where they are.
fn code(source: &str, keep_literals: bool) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let blank = |out: &mut String, range: &[char], keep: bool| {
        out.extend(range.iter().map(|&c| if keep || c == '\n' { c } else { ' ' }));
    };
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        let is_word_before = i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_');
        match (at(i), at(i + 1)) {
            ('/', '/') => {
                while i < chars.len() && chars[i] != '\n' {
                    i += 1;
                }
                blank(&mut out, &chars[start..i], false);
            }
            ('/', '*') => {
                let mut depth = 0;
                while i < chars.len() {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
                i = i.min(chars.len());
                blank(&mut out, &chars[start..i], false);
            }
            ('r', '"' | '#') if !is_word_before && raw_string_end(&chars, i).is_some() => {
                i = raw_string_end(&chars, i).unwrap();
                blank(&mut out, &chars[start..i], keep_literals);
            }
            ('"', _) => {
                i += 1;
                while i < chars.len() && chars[i] != '"' {
                    i += if chars[i] == '\\' { 2 } else { 1 };
                }
                i = (i + 1).min(chars.len());
                blank(&mut out, &chars[start..i], keep_literals);
            }
            // A character, not a lifetime.
            ('\'', next) if next == '\\' || at(i + 2) == '\'' => {
                i += if next == '\\' { 3 } else { 2 };
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i = (i + 1).min(chars.len());
                blank(&mut out, &chars[start..i], keep_literals);
            }
            (c, _) => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

/// Where the raw string that begins here ends; `None` if none begins here.
fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let mut i = start + 1 + hashes;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    loop {
        i += 1;
        if *chars.get(i)? == '"' && chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes {
            return Some(i + 1 + hashes);
        }
    }
}

/// The code without its `#[cfg(test)]` modules.
fn without_tests(code: &str) -> String {
    const TESTS: &str = "#[cfg(test)]\nmod tests";
    let mut out = String::new();
    let mut rest = code;
    while let Some(start) = rest.find(TESTS) {
        out.push_str(&rest[..start]);
        let body = &rest[start..];
        let end = match (body.find('{'), body.find(';')) {
            (Some(open), semicolon) if semicolon.is_none_or(|semicolon| open < semicolon) => {
                let mut depth = 0;
                body.char_indices()
                    .skip_while(|&(index, _)| index < open)
                    .find_map(|(index, c)| {
                        depth += match c {
                            '{' => 1,
                            '}' => -1,
                            _ => 0,
                        };
                        (depth == 0).then_some(index + 1)
                    })
                    .unwrap_or(body.len())
            }
            (_, semicolon) => semicolon.map_or(body.len(), |semicolon| semicolon + 1),
        };
        out.extend(body[..end].chars().filter(|&c| c == '\n'));
        rest = &body[end..];
    }
    out.push_str(rest);
    out
}

/// The code that ships: no comments, no literals, no tests.
fn shipped(file: &File) -> String {
    let is_test = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    if is_test { String::new() } else { without_tests(&code(&file.text, false)) }
}

/// `line number: line` wherever `breaks` says so.
fn lines(text: &str, breaks: impl Fn(&str) -> bool) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| breaks(line))
        .map(|(number, line)| format!("{}: {}", number + 1, line.trim()))
        .collect()
}

/// Whether `word` stands in `line` as a whole name, or, if it ends in `*`, as the beginning of one.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (word, is_prefix) = word.strip_suffix('*').map_or((word, false), |word| (word, true));
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(is_name) && (is_prefix || !line[start + word.len()..].starts_with(is_name))
    })
}

#[track_caller]
fn check(files: &[File], rule: impl Fn(&File) -> Vec<String>) {
    let broken: Vec<_> =
        files.iter().flat_map(|file| rule(file).into_iter().map(move |line| format!("{}:{line}", file.path))).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[track_caller]
fn finds(rule: impl Fn(&File) -> Vec<String>, path: &str, good: &str, bad: &str) {
    let file = |text: &str| File { path: path.to_owned(), text: text.to_owned() };
    assert!(rule(&file(good)).is_empty(), "good, but found: {:?}", rule(&file(good)));
    assert!(!rule(&file(bad)).is_empty(), "not found: {bad}");
}

/// What decides has no platform, no runtime and no clock.
fn impure(file: &File) -> Vec<String> {
    const PURE: [&str; 4] = ["src/protocol/", "src/live/", "src/connection/", "src/engine"];
    const WORLD: [&str; 14] = [
        "leptos*",
        "reactive_graph",
        "web_sys",
        "js_sys",
        "wasm_bindgen*",
        "gloo*",
        "tokio*",
        "axum*",
        "reqwest",
        "rustls*",
        "transport",
        "Instant",
        "SystemTime",
        "std::net",
    ];
    if !PURE.iter().any(|pure| file.path.starts_with(pure)) {
        return Vec::new();
    }
    lines(&shipped(file), |line| WORLD.iter().any(|word| has_word(line, word)))
}

#[test]
fn what_decides_has_no_platform_no_runtime_and_no_clock() {
    let good = "//! Not tokio.\nuse std::time::Duration; // nor leptos\nconst NAME: &str = \"web_sys\";";
    finds(impure, "src/live/query.rs", good, "use tokio::time::Instant;");
    finds(impure, "src/connection/mod.rs", good, "fn f() { gloo_timers::callback::Timeout::new(1, || ()); }");
    finds(impure, "src/engine.rs", good, "use crate::transport::now;");
    check(&sources(), impure);
}

/// Every `cfg` but `#[cfg(test)]`, as `path: what it asks`.
fn switches(file: &File) -> Vec<String> {
    let code = code(&file.text, true);
    ["cfg(", "cfg!(", "cfg_attr("]
        .iter()
        .flat_map(|opening| code.match_indices(opening).map(move |(start, _)| start + opening.len()))
        .filter_map(|start| {
            let mut depth = 1;
            let end = code[start..].find(|c: char| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            })?;
            Some(code[start..start + end].to_owned())
        })
        .filter(|asked| asked != "test")
        .map(|asked| format!("{}: {asked}", file.path))
        .collect()
}

#[test]
fn the_platform_is_a_file_not_a_line() {
    const WHERE_THEY_BELONG: [&str; 14] = [
        // A handle's native half, what only it asks of the shared parts, and a test on tokio.
        r#"src/client.rs: feature = "native""#,
        r#"src/client.rs: feature = "native""#,
        r#"src/hooks/live_view.rs: feature = "native""#,
        r#"src/hooks/live_view/tests.rs: feature = "native""#,
        r#"src/hooks/mod.rs: feature = "native""#,
        r#"src/hooks/mod.rs: feature = "native""#,
        r#"src/hooks/use_directus.rs: feature = "native""#,
        // The modules of one side only, and the README's examples.
        r#"src/lib.rs: all(doctest, feature = "ssr")"#,
        r#"src/lib.rs: all(not(target_arch = "wasm32"), feature = "native")"#,
        r#"src/lib.rs: all(not(target_arch = "wasm32"), feature = "ssr")"#,
        // The switch itself.
        r#"src/transport/mod.rs: all(not(target_arch = "wasm32"), feature = "native")"#,
        r#"src/transport/mod.rs: all(not(target_arch = "wasm32"), not(feature = "native"))"#,
        r#"src/transport/mod.rs: target_arch = "wasm32""#,
        // The server brings its own client.
        r#"src/transport/native.rs: feature = "ssr""#,
    ];
    let in_a_body =
        "fn f() {\n    if cfg!(feature = \"ssr\") { g() }\n    #[cfg(target_arch = \"wasm32\")]\n    g();\n}";
    finds(switches, "src/x.rs", "#[cfg(test)]\nmod tests {}\n// #[cfg(unix)]", in_a_body);
    let mut found: Vec<_> = sources().iter().flat_map(switches).collect();
    found.sort();
    assert_eq!(found, WHERE_THEY_BELONG);
}

/// What is given to JavaScript is taken back: closures are held and dropped, not forgotten.
fn forgotten(file: &File) -> Vec<String> {
    // The server gives nothing to JavaScript; there, what is forgotten is a mode that was found.
    if file.path.starts_with("src/server/") {
        return Vec::new();
    }
    lines(&shipped(file), |line| line.contains(".forget()") || line.contains("mem::forget") || has_word(line, "leak"))
}

#[test]
fn nothing_is_forgotten_and_nothing_leaks() {
    finds(forgotten, "src/transport/browser.rs", "let forget = 1; // .forget()", "closure.forget();");
    finds(forgotten, "src/transport/browser.rs", "drop(closure);", "let text = Box::leak(text);");
    check(&sources(), forgotten);
}

/// Code that ships has no way to panic on what comes from outside, and stops no thread.
fn panics(file: &File) -> Vec<String> {
    const WAYS: [&str; 10] = [
        ".unwrap()",
        ".unwrap_err()",
        ".expect(",
        ".expect_err(",
        "panic!",
        "todo!",
        "unimplemented!",
        "unreachable!",
        "thread::sleep",
        "process::exit",
    ];
    lines(&shipped(file), |line| WAYS.iter().any(|way| line.contains(way)))
}

#[test]
fn code_that_ships_does_not_panic() {
    let good = "/// x.unwrap()\nfn f() { x.unwrap_or(1); #[expect(dead_code)] g(); }\n#[cfg(test)]\nmod tests { fn t() { x.unwrap(); } }\n";
    finds(panics, "src/x.rs", good, "fn f() { x.unwrap() }");
    finds(panics, "src/x.rs", good, "#[cfg(test)]\nmod tests { fn t() {} }\nfn f() { todo!() }");
    finds(panics, "src/x.rs", good, "fn f() { let c = '\"'; panic!(\"no\") }");
    finds(panics, "src/x.rs", good, "fn f() { std::thread::sleep(d) }");
    check(&sources(), panics);
}

/// Tests wait for what they expect, not for a time.
fn sleeps(file: &File) -> Vec<String> {
    lines(&code(&file.text, false), |line| line.contains("thread::sleep"))
}

#[test]
fn no_test_stops_its_thread() {
    finds(sleeps, "tests/x.rs", "// thread::sleep", "std::thread::sleep(second);");
    let mut tests = Vec::new();
    collect(&root().join("tests"), &|name| name.ends_with(".rs"), &mut tests);
    collect(&root().join("examples"), &|name| name.ends_with(".rs"), &mut tests);
    check(&tests, sleeps);
}

/// The manifest stands alone.
fn inherits(file: &File) -> Vec<String> {
    lines(&file.text, |line| {
        let line = line.split('#').next().unwrap_or_default();
        let is_outside = line.contains("path") && line.contains("..");
        line.replace(' ', "").contains("workspace=true") || is_outside
    })
}

#[test]
fn the_manifest_inherits_nothing() {
    finds(inherits, "Cargo.toml", "version = \"0.1.0\" # workspace = true", "version.workspace = true");
    finds(inherits, "Cargo.toml", "path = \"src/x.rs\"", "app = { path = \"../app\" }");
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    check(&[File { path: "Cargo.toml".to_owned(), text }], inherits);
}

/// What is included is included from within the crate's folder.
fn reaches_out(file: &File) -> Vec<String> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    lines(&code(&file.text, true), |line| {
        let is_reference =
            ["include!(", "include_str!(", "include_bytes!(", "#[path"].iter().any(|word| line.contains(word));
        let leaves = |path: &str| {
            let mut depth = folder.components().count();
            Path::new(path).components().any(|component| match component {
                Component::ParentDir if depth == 0 => true,
                Component::ParentDir => {
                    depth -= 1;
                    false
                }
                Component::Normal(_) => {
                    depth += 1;
                    false
                }
                _ => true,
            })
        };
        is_reference && line.split('"').skip(1).step_by(2).any(leaves)
    })
}

#[test]
fn sources_include_nothing_from_outside_the_crate() {
    finds(reaches_out, "src/lib.rs", "#[doc = include_str!(\"../README.md\")]", "include_str!(\"../../README.md\");");
    finds(reaches_out, "src/a/b.rs", "#[path = \"c.rs\"]", "#[path = \"../../../c.rs\"]");
    let mut files = sources();
    collect(&root().join("tests"), &|name| name.ends_with(".rs") && name != "tidy.rs", &mut files);
    collect(&root().join("examples"), &|name| name.ends_with(".rs"), &mut files);
    check(&files, reaches_out);
}

/// The library knows nothing of the demo around it.
fn names_the_demo(file: &File) -> Vec<String> {
    const DEMO: [&str; 6] = ["newsroom", "The Signal", "end2end", "xtask", "use_realtime_posts", "app::"];
    lines(&file.text, |line| {
        DEMO.iter().any(|word| has_word(line, word) || (word.ends_with(':') && line.contains(" app::")))
    })
}

#[test]
fn the_library_knows_nothing_of_the_demo() {
    finds(names_the_demo, "src/x.rs", "/// An app: news, rooms.", "/// As the newsroom does.");
    finds(names_the_demo, "src/x.rs", "use crate::App;", "use app::App;");
    check(&sources(), names_the_demo);
}

/// Addresses lead to this machine, to names that stand for any, and to the two projects' own sites.
fn strange_hosts(file: &File) -> Vec<String> {
    const KNOWN: [&str; 7] = ["127.0.0.1", "localhost", "host", "directus.io", "leptos.dev", "directus:8055", "proxy"];
    let is_known = |host: &str| {
        let host = host.split('@').next_back().unwrap_or_default();
        let name = host.split(':').next().unwrap_or_default();
        name.is_empty()
            || name.ends_with(".example")
            || name.ends_with(".evil")
            || name.starts_with(['{', '$'])
            || KNOWN.contains(&name)
    };
    lines(&file.text, |line| {
        ["http://", "https://", "ws://", "wss://"].iter().any(|scheme| {
            line.split(scheme).skip(1).any(|rest| {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || ".-:@{$".contains(c))).unwrap_or(rest.len());
                !is_known(rest[..end].trim_end_matches('.'))
            })
        })
    })
}

#[test]
fn addresses_lead_nowhere_in_particular() {
    let good = "at http://127.0.0.1:8055 or https://cms.example/x, https://directus.io. `https://`";
    finds(strange_hosts, "README.md", good, "see https://packages.invalid/index");
    let mut files = sources();
    collect(&root().join("examples"), &|name| name.ends_with(".rs"), &mut files);
    for name in ["README.md", "Cargo.toml"] {
        files.push(File { path: name.to_owned(), text: fs::read_to_string(root().join(name)).unwrap() });
    }
    check(&files, strange_hosts);
}

/// Every hook says what it does while the server renders; a `_with_options` twin says whose twin it is.
fn silent_hooks(file: &File) -> Vec<String> {
    if !file.path.starts_with("src/hooks/") {
        return Vec::new();
    }
    let mut silent = Vec::new();
    let mut docs: Vec<&str> = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        if line.starts_with("///") {
            docs.push(line);
        } else if let Some(rest) = line.strip_prefix("pub fn ") {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let is_hook = name.starts_with("use_") || name == "provide_directus";
            let is_told = match name.strip_suffix("_with_options") {
                Some(short) => docs.iter().any(|line| line.contains(&format!("[`{short}`]"))),
                None => docs.contains(&"/// # Server-side rendering"),
            };
            if is_hook && !is_told {
                silent.push(format!("{}: {name}", number + 1));
            }
            docs.clear();
        } else if !line.starts_with("#[") {
            docs.clear();
        }
    }
    silent
}

#[test]
fn every_hook_says_what_it_does_while_the_server_renders() {
    let good = "/// X.\n///\n/// # Server-side rendering\n/// Nothing.\n#[must_use]\npub fn use_x() {}\n/// [`use_x`] with options.\npub fn use_x_with_options() {}\n";
    finds(silent_hooks, "src/hooks/use_x.rs", good, "/// X.\npub fn use_x() {}\n");
    finds(silent_hooks, "src/hooks/use_x.rs", good, "/// X.\npub fn use_x_with_options() {}\n");
    let files = sources();
    let is_hook = |line: &str| line.starts_with("pub fn use_");
    let hooks = files.iter().flat_map(|file| lines(&file.text, is_hook)).count();
    assert!(hooks >= 7, "only {hooks} hooks were found");
    check(&files, silent_hooks);
}

/// The code of a source's examples, as far as they are compiled.
fn examples(source: &str) -> String {
    let mut is_inside = false;
    let mut is_code = false;
    let mut examples = String::new();
    for line in source.lines() {
        let line = line.trim_start();
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
        if let Some(kind) = doc.trim_start().strip_prefix("```") {
            is_code = !is_inside && is_compiled(kind);
            is_inside = !is_inside;
        } else if is_code {
            examples.push_str(doc);
            examples.push('\n');
        }
    }
    examples
}

/// Whether a block that is opened by these words is compiled.
fn is_compiled(kind: &str) -> bool {
    ["", "rust", "no_run", "rust,no_run"].contains(&kind.trim())
}

/// Public types, functions and methods that no example shows: neither one of their own nor one of the same file.
fn unshown(file: &File) -> Vec<String> {
    // What is public there is for the crate alone.
    if file.path.starts_with("src/transport/") {
        return Vec::new();
    }
    let examples = examples(&file.text);
    let mut unshown = Vec::new();
    let mut has_example = false;
    let mut owner = String::new();
    for line in file.text.lines() {
        let text = line.trim_start();
        if text == "#[cfg(test)]" {
            break;
        } else if let Some(doc) = text.strip_prefix("///") {
            has_example |= doc.trim_start().strip_prefix("```").is_some_and(is_compiled);
            continue;
        } else if text.starts_with("#[") || text.starts_with("reason = ") {
            continue;
        }
        if let Some(rest) = line.strip_prefix("impl") {
            owner = rest.rsplit(" for ").next().map(type_name).unwrap_or_default();
        }
        if let Some(rest) = text.strip_prefix("pub ") {
            let words: Vec<&str> = rest.split(' ').filter(|word| !["const", "async"].contains(word)).collect();
            let kind = words.first().copied().unwrap_or_default();
            let is_constant = rest.starts_with("const ") && kind.ends_with(':');
            if is_constant || ["fn", "struct", "enum", "trait", "type"].contains(&kind) {
                let name = type_name(if is_constant { kind } else { words.get(1).copied().unwrap_or_default() });
                let is_method = line.starts_with(' ');
                let is_shown = if is_method {
                    has_word_after(&examples, ".", &name) || has_word_after(&examples, &format!("{owner}::"), &name)
                } else {
                    has_word(&examples, &name)
                };
                // What a macro names is named by its caller.
                if !name.is_empty() && !is_shown && !has_example {
                    unshown.push(if is_method { format!("{owner}::{name}") } else { name });
                }
            }
        }
        has_example = false;
    }
    unshown
}

fn has_word_after(text: &str, before: &str, word: &str) -> bool {
    text.match_indices(before).any(|(start, _)| {
        let rest = &text[start + before.len()..];
        rest.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// `Items` of `<T: Row> Items<T> {`.
fn type_name(text: &str) -> String {
    let mut depth = 0;
    let is_outside = |c: &char| {
        depth += match c {
            '<' => 1,
            '>' => -1,
            _ => 0,
        };
        depth == 0 && *c != '>'
    };
    let text: String = text.chars().filter(is_outside).collect();
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn every_public_item_is_shown_by_an_example() {
    /// What an example would say no more of than its signature does, or what is shown elsewhere.
    const EXCEPTIONS: [&str; 0] = [];
    let good = "/// X.\n///\n/// ```\n/// let x = X::new().twice();\n/// ```\npub struct X<T>(T);\nimpl<T: From<u8>> X<T> {\n    pub fn new() -> Self {}\n    pub async fn twice(self) {}\n}\n";
    finds(unshown, "src/x.rs", good, "/// X.\npub struct X;\n");
    finds(unshown, "src/x.rs", good, &good.replace(".twice()", ""));
    finds(unshown, "src/x.rs", good, &good.replace("X::new", "Y::new"));
    finds(unshown, "src/x.rs", good, &good.replace("/// ```\n/// let", "/// ```text\n/// let"));
    let mut found: Vec<_> = sources()
        .iter()
        .flat_map(|file| unshown(file).into_iter().map(|name| format!("{}: {name}", file.path)))
        .collect();
    found.sort();
    assert_eq!(found, EXCEPTIONS);
}

/// The repository around the crate; `None` where the crate stands alone or in somebody else's.
fn repository() -> Option<PathBuf> {
    let folder = root().parent()?.to_owned();
    let is_ours = |name: &str| folder.join(name).is_file();
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    (manifest.contains("\"leptos-directus-demo\"") && is_ours("ARCHITECTURE.md")).then_some(folder)
}

/// What stands between backticks in a paper, code blocks aside.
fn quoted(paper: &str) -> Vec<&str> {
    let mut is_block = false;
    paper
        .lines()
        .filter(|line| {
            let is_fence = line.trim_start().starts_with("```");
            is_block ^= is_fence;
            !is_fence && !is_block
        })
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// Names in ARCHITECTURE.md that look like a test's (five words or more), and are none.
fn unknown_tests(paper: &str, sources: &str) -> Vec<String> {
    quoted(paper)
        .into_iter()
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
        .filter(|name| name.matches('_').count() >= 4)
        .filter(|name| !sources.contains(&format!("fn {name}(")))
        .map(str::to_owned)
        .collect()
}

/// Paths in a paper that lead to no file.
fn unknown_paths(paper: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    const KINDS: [&str; 6] = [".rs", ".ts", ".toml", ".md", ".json", ".txt"];
    quoted(paper)
        .into_iter()
        .filter(|path| path.contains('/') && !path.contains([' ', '*', '…', '<']))
        .filter(|path| KINDS.iter().any(|kind| path.ends_with(kind)))
        .filter(|path| !exists(path))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_architecture_names_tests_and_files_that_exist() {
    let paper = "`a_test_that_is_there_today` and `a_test_that_has_gone_away`, `src/there.rs`, `src/gone.rs`\n```\n`x/y.rs`\n```";
    assert_eq!(unknown_tests(paper, "fn a_test_that_is_there_today() {"), ["a_test_that_has_gone_away"]);
    assert_eq!(unknown_paths(paper, |path| path == "src/there.rs"), ["src/gone.rs"]);

    let Some(repository) = repository() else { return };
    let mut files = Vec::new();
    collect(&repository, &|name| name.ends_with(".rs"), &mut files);
    let all: String = files.into_iter().map(|file| file.text).collect();
    let paper = fs::read_to_string(repository.join("ARCHITECTURE.md")).unwrap();
    assert_eq!(unknown_tests(&paper, &all), Vec::<String>::new());
    let exists = |path: &str| {
        repository.join(path).exists() || root().join(path).exists() || root().join("src").join(path).exists()
    };
    assert_eq!(unknown_paths(&paper, exists), Vec::<String>::new());
}

/// Settings that the server reads and the paper does not tell, and the other way round.
fn untold_settings(source: &str, paper: &str) -> Vec<String> {
    let read: Vec<_> = source.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let told: Vec<_> = paper
        .lines()
        .filter_map(|line| line.strip_prefix("| `DIRECTUS_")?.split('`').next())
        .map(|name| format!("DIRECTUS_{name}"))
        // A line of a table of commands, not of settings.
        .filter(|name| !name.contains('='))
        .collect();
    let untold =
        read.iter().filter(|name| !told.iter().any(|told| told == *name)).map(|name| format!("untold: {name}"));
    let unread = told.iter().filter(|name| !read.contains(&name.as_str())).map(|name| format!("unread: {name}"));
    untold.chain(unread).collect()
}

/// Links of a paper that lead to no file; pictures and addresses aside.
fn dead_links(paper: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    paper
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://") && !link.ends_with(".png"))
        .filter_map(|link| link.split('#').next())
        .filter(|path| !path.is_empty() && !exists(path))
        .map(str::to_owned)
        .collect()
}

/// Links to a heading that the paper does not have.
fn dead_anchors(paper: &str) -> Vec<String> {
    let is_kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_';
    let anchors: Vec<String> = paper
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().chars().filter(is_kept).collect::<String>())
        .map(|heading| heading.replace(' ', "-"))
        .collect();
    let links = paper.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|link| !anchors.iter().any(|anchor| anchor == link)).map(str::to_owned).collect()
}

#[test]
fn the_papers_tell_every_setting_and_no_link_is_dead() {
    let source = "#[arg(long, env = \"DIRECTUS_URL\")]\n#[arg(long, env = \"DIRECTUS_MODE\")]";
    let paper = "| `DIRECTUS_URL` | x |\n| `DIRECTUS_GONE` | y |\n| `DIRECTUS_URL=https://cms.example` | z |";
    assert_eq!(untold_settings(source, paper), ["untold: DIRECTUS_MODE", "unread: DIRECTUS_GONE"]);
    let paper =
        "# One row, and more\n[a](#one-row-and-more) [b](#two) [c](there.md#x) [d](gone.md) [e](https://cms.example)";
    assert_eq!(dead_anchors(paper), ["two"]);
    assert_eq!(dead_links(paper, |path| path == "there.md"), ["gone.md"]);

    let own = fs::read_to_string(root().join("README.md")).unwrap();
    assert_eq!(dead_anchors(&own), Vec::<String>::new());
    assert_eq!(dead_links(&own, |path| root().join(path).exists()), Vec::<String>::new());
    let Some(repository) = repository() else { return };
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let paper = fs::read_to_string(repository.join(name)).unwrap();
        assert_eq!(dead_anchors(&paper), Vec::<String>::new(), "{name}");
        assert_eq!(dead_links(&paper, |path| repository.join(path).exists()), Vec::<String>::new(), "{name}");
    }
    let config = fs::read_to_string(root().join("src/server/config.rs")).unwrap();
    let paper = fs::read_to_string(repository.join("README.md")).unwrap();
    assert_eq!(untold_settings(&config, &paper), Vec::<String>::new());
}
