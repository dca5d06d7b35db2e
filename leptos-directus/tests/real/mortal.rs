//! A Directus that a test may stop and start, and whose database it may write past it.

// Each test file that shares this module uses its own part of it.
#![allow(dead_code, reason = "see above")]

use std::sync::{Arc, Weak};

use tokio::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::real::{Admin, variable};

/// One test at a time: who stops it stops it for all. And a Directus that starts takes a processor for seconds.
static TURN: RwLock<()> = RwLock::const_new(());

/// For tests of what is promised within seconds: as long as this is held, no [`Mortal`] is there.
pub(crate) type Undisturbed = Arc<RwLockReadGuard<'static, ()>>;

/// Whoever comes while another one holds it shares that: a test may ask for it several times, be there a `Mortal` waiting or not.
pub(crate) async fn undisturbed() -> Undisturbed {
    static SHARED: Mutex<Weak<RwLockReadGuard<'static, ()>>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(held) = shared.upgrade() {
        return held;
    }
    let held = Arc::new(TURN.read().await);
    *shared = Arc::downgrade(&held);
    held
}

/// The Directus in mode `strict`, which nobody else uses here.
pub(crate) struct Mortal {
    pub(crate) admin: Admin,
    control: String,
    _turn: RwLockWriteGuard<'static, ()>,
}

impl Mortal {
    /// It runs, whatever the test before has left.
    pub(crate) async fn new() -> Self {
        let turn = TURN.write().await;
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
