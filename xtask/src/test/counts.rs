//! How many tests passed, read from what the test programs say.

use serde_json::Value;
use std::ops::AddAssign;

/// So much of what a failed test said is told with its name.
const SAID_LINES: usize = 4;
const SAID_CHARS: usize = 300;

/// Tests by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    pub(super) fn one_passed() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    pub(super) fn one_failed() -> Self {
        Self { failed: 1, ..Self::default() }
    }

    /// The sum of libtest's (and wasm-bindgen-test's) result lines.
    pub(super) fn of_libtest(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let Some((_, results)) = line.split_once("test result: ") else { continue };
            let count = |what: &str| -> u64 {
                results
                    .split(['.', ';'])
                    .filter_map(|part| part.trim().strip_suffix(what))
                    .find_map(|number| number.trim().parse().ok())
                    .unwrap_or(0)
            };
            all += Self { passed: count("passed"), failed: count("failed"), skipped: count("ignored") };
        }
        all
    }

    /// Playwright's JSON report. A test that passed only when it was tried again has failed.
    pub(super) fn of_playwright(report: &Value) -> Option<Self> {
        let stats = report.get("stats")?;
        let count = |name: &str| stats.get(name).and_then(Value::as_u64);
        Some(Self {
            passed: count("expected")?,
            failed: count("unexpected")? + count("flaky")?,
            skipped: count("skipped")?,
        })
    }

    /// A program that failed without a failed test (it did not compile, it crashed) counts as one.
    pub(super) fn and_exit(mut self, succeeded: bool) -> Self {
        if !succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }

    /// A part in which nothing ran has shown nothing.
    pub(super) fn or_failed_if_empty(mut self) -> Self {
        if self.passed + self.failed == 0 {
            eprintln!("error: no test ran");
            self.failed = 1;
        }
        self
    }
}

/// The names of libtest's (and wasm-bindgen-test's) failed tests, each with the first lines of what it said.
pub(super) fn failed_tests(text: &str) -> Vec<String> {
    let failed = |line: &'_ str| {
        let line = line.strip_prefix("test ")?;
        line.strip_suffix(" ... FAILED").or_else(|| line.strip_suffix(" ... FAIL")).map(str::to_owned)
    };
    let said = |name: &str| {
        let (_, own) = text.split_once(&format!("\n---- {name} "))?;
        let own = own.split_once("\n---- ").map_or(own, |(own, _)| own);
        let (_, message) = own.split_once("panicked at ")?;
        let lines =
            message.lines().take(SAID_LINES).map(|line| line.trim().chars().take(SAID_CHARS).collect::<String>());
        Some(lines.collect::<Vec<_>>().join(" | "))
    };
    let named = |name: String| said(&name).map_or_else(|| name.clone(), |said| format!("{name}: {said}"));
    text.lines().filter_map(failed).map(named).collect()
}

/// The titles of Playwright's failed tests.
pub(super) fn failed_specs(report: &Value) -> Vec<String> {
    let under = |name| report.get(name).and_then(Value::as_array).into_iter().flatten();
    let own = under("specs").filter(|spec| spec["ok"] == false || is_flaky(spec)).map(|spec| spec["title"].to_string());
    own.chain(under("suites").flat_map(failed_specs)).collect()
}

fn is_flaky(spec: &Value) -> bool {
    spec["tests"].as_array().is_some_and(|tests| tests.iter().any(|test| test["status"] == "flaky"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, passed: u64, failed: u64, skipped: u64) {
        assert_eq!(Counts::of_libtest(text), Counts { passed, failed, skipped });
    }

    #[test]
    fn result_lines_are_added_up() {
        check("running 0 tests\n", 0, 0, 0);
        check(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.1s",
            12,
            0,
            1,
        );
        check(
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\ntest result: FAILED. 3 passed; 4 failed; 5 ignored\n",
            5,
            4,
            5,
        );
        check("a test says: no test result here", 0, 0, 0);
    }

    #[test]
    fn a_program_that_crashes_is_a_failure_and_failed_tests_are_not_counted_twice() {
        assert_eq!(Counts::of_libtest("error: could not compile").and_exit(false), Counts::one_failed());
        let counts = Counts::of_libtest("test result: FAILED. 1 passed; 2 failed; 0 ignored").and_exit(false);
        assert_eq!(counts, Counts { passed: 1, failed: 2, skipped: 0 });
    }

    #[test]
    fn nothing_run_is_a_failure() {
        assert_eq!(Counts::default().or_failed_if_empty().failed, 1);
        assert_eq!(Counts { skipped: 3, ..Counts::default() }.or_failed_if_empty().failed, 1);
        assert_eq!(Counts::one_passed().or_failed_if_empty(), Counts::one_passed());
    }

    #[test]
    fn playwrights_flaky_tests_have_failed() {
        let report = json!({ "stats": { "expected": 7, "unexpected": 1, "flaky": 2, "skipped": 3 } });
        assert_eq!(Counts::of_playwright(&report), Some(Counts { passed: 7, failed: 3, skipped: 3 }));
        assert_eq!(Counts::of_playwright(&json!({})), None);
    }

    #[test]
    fn failed_tests_are_named_with_what_they_said() {
        let text = "test a::b ... ok\ntest c::d ... FAILED\ntest e ... FAILED\n\nfailures:\n\n---- c::d stdout ----\n\n\
            thread 'c::d' (7) panicked at src/c.rs:1:2:\nassertion failed\n  left: 1\n right: 2\nnote: run with\n\n\
            ---- e stdout ----\nError: none\n\nfailures:\n    c::d\n\ntest result: FAILED. 1 passed\n";
        assert_eq!(failed_tests(text), ["c::d: src/c.rs:1:2: | assertion failed | left: 1 | right: 2", "e"]);
        let text = "test browser::a ... FAIL\n\nfailures:\n\n---- browser::a output ----\n    error output:\n        \
            panicked at tests/browser.rs:1:2:\n        no\n";
        assert_eq!(failed_tests(text), ["browser::a: tests/browser.rs:1:2: | no"]);
    }

    #[test]
    fn failed_specs_are_named() {
        let spec = |title, ok, status| json!({ "title": title, "ok": ok, "tests": [{ "status": status }] });
        let inner = json!([{ "specs": [spec("deep", false, "unexpected")] }]);
        let specs = json!([spec("good", true, "expected"), spec("again", true, "flaky")]);
        let report = json!({ "suites": [{ "specs": specs, "suites": inner }] });
        assert_eq!(failed_specs(&report), ["\"again\"", "\"deep\""]);
    }
}
