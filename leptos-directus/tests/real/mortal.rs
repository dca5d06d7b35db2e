//! A Directus that a test may stop and start, and whose database it may write past it.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use tokio::sync::{Mutex, MutexGuard};

use crate::real::{Admin, variable};

/// One test at a time: who stops it stops it for all.
static TURN: Mutex<()> = Mutex::const_new(());

/// The Directus in mode `strict`, which nobody else uses here.
pub(crate) struct Mortal {
    pub(crate) admin: Admin,
    control: String,
    _turn: MutexGuard<'static, ()>,
}

impl Mortal {
    /// It runs, whatever the test before has left.
    pub(crate) async fn new() -> Self {
        let turn = TURN.lock().await;
        let admin = Admin::at(variable("DIRECTUS_TEST_URL_STRICT"));
        let mortal = Self { admin, control: variable("DIRECTUS_TEST_CONTROL_URL_STRICT"), _turn: turn };
        mortal.control("start").await;
        mortal
    }

    /// `stop`, `stop?signal=KILL`, `start`, or `start?points=2&seconds=3`: then one may ask so often in so many seconds.
    pub(crate) async fn control(&self, what: &str) {
        self.post(what, String::new()).await;
    }

    /// Runs SQL on the database of a Directus that was stopped: it announces nothing, and takes no time.
    pub(crate) async fn sql(&self, sql: &str) {
        self.post("sql", sql.to_owned()).await;
    }

    /// The same while Directus runs.
    pub(crate) async fn sql_meanwhile(&self, sql: &str) {
        self.post("sql?running=yes", sql.to_owned()).await;
    }

    async fn post(&self, what: &str, body: String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(format!("{}/directus/{what}", self.control)).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.text().await.unwrap_or_default());
    }
}
