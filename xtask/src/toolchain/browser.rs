//! Chrome or Chromium, for the tests.

use crate::{
    failure::{Failure, Result},
    report::Step,
    workspace::{apt_install, find_program},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the browser is told so that it asks no host but ours, here and by Playwright: a JSON array.
const ARGUMENTS: &str = include_str!("../../../end2end/support/chromium.json");

/// A browser, and the driver of the same version if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    pub(crate) chrome: PathBuf,
    driver: Option<PathBuf>,
}

impl Browser {
    /// `CHROME`, Playwright's own, google-chrome, chromium: the first that is there; Debian's where we may install it.
    ///
    /// # Errors
    ///
    /// If there is none, and none can be installed.
    pub(crate) fn get(step: &Step) -> Result<Self> {
        if let Some(chrome) = std::env::var_os("CHROME").filter(|path| !path.is_empty()).map(PathBuf::from) {
            if !chrome.is_file() {
                return Err(Failure::new(format!("CHROME names {}, which is no file", chrome.display()))
                    .mend("let CHROME name the browser's executable, or unset it"));
            }
            return Ok(Self { chrome, driver: driver() });
        }
        if let Some(chrome) = find() {
            return Ok(Self { chrome, driver: driver() });
        }
        apt_install(step, "Chrome or Chromium", &["chromium", "chromium-driver"])?;
        find()
            .map(|chrome| Self { chrome, driver: driver() })
            .ok_or_else(|| Failure::new("chromium was installed, but is not in PATH").mend("set CHROME"))
    }

    /// The driver through which wasm-bindgen's test runner speaks to the browser.
    ///
    /// # Errors
    ///
    /// If there is none, and none can be installed.
    pub(crate) fn driver(&self, step: &Step) -> Result<PathBuf> {
        if let Some(driver) = &self.driver {
            return Ok(driver.clone());
        }
        apt_install(step, "chromedriver", &["chromium-driver"])?;
        driver()
            .ok_or_else(|| Failure::new("chromium-driver was installed, but is not in PATH").mend("set CHROMEDRIVER"))
    }

    /// `webdriver.json` for wasm-bindgen's test runner.
    pub(crate) fn webdriver_json(&self) -> Value {
        let mut arguments: Vec<String> = serde_json::from_str(ARGUMENTS).unwrap_or_default();
        arguments.push("--headless".to_owned());
        json!({ "goog:chromeOptions": { "binary": self.chrome, "args": arguments } })
    }
}

fn find() -> Option<PathBuf> {
    let named = ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser"];
    let mac = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];
    playwrights_own()
        .or_else(|| named.into_iter().find_map(find_program))
        .or_else(|| mac.into_iter().map(PathBuf::from).find(|path| path.is_file()))
}

fn playwrights_own() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let folder = std::env::var_os("PLAYWRIGHT_BROWSERS_PATH").map(PathBuf::from).unwrap_or_else(|| {
        home.join(if cfg!(target_os = "macos") { "Library/Caches/ms-playwright" } else { ".cache/ms-playwright" })
    });
    newest_chromium(&folder)
}

fn newest_chromium(folder: &Path) -> Option<PathBuf> {
    let programs = ["chrome-linux/chrome", "chrome-linux64/chrome", "chrome-mac/Chromium.app/Contents/MacOS/Chromium"];
    let mut builds: Vec<(u32, PathBuf)> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let build = entry.file_name().to_str()?.strip_prefix("chromium-")?.parse().ok()?;
            let program = programs.iter().map(|program| entry.path().join(program)).find(|path| path.is_file())?;
            Some((build, program))
        })
        .collect();
    builds.sort();
    builds.pop().map(|(_, program)| program)
}

fn driver() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMEDRIVER").map(PathBuf::from).filter(|path| path.is_file());
    named.or_else(|| find_program("chromedriver"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Scratch;

    #[test]
    fn the_browser_is_told_what_playwright_tells_it() {
        let browser = Browser { chrome: PathBuf::from("/chrome"), driver: None };
        let arguments = browser.webdriver_json()["goog:chromeOptions"]["args"].clone();
        let has = |argument: &str| arguments.as_array().is_some_and(|all| all.contains(&json!(argument)));
        assert!(has("--headless") && has("--no-sandbox") && has("--disable-background-networking"), "{arguments}");
    }

    #[test]
    fn the_newest_of_playwrights_browsers_is_taken_by_number() {
        let scratch = Scratch::new("browsers").expect("a folder");
        for build in ["chromium-999", "chromium-1200", "chromium_headless_shell-1300", "firefox-2000"] {
            let folder = scratch.path().join(build).join("chrome-linux");
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("chrome"), "").expect("a file");
        }
        fs::create_dir_all(scratch.path().join("chromium-1400")).expect("a folder without a browser");
        let expected = scratch.path().join("chromium-1200/chrome-linux/chrome");
        assert_eq!(newest_chromium(scratch.path()), Some(expected));
    }
}
