//! No platform: the crate is built outside a browser without the feature `native` or `ssr`. Nothing connects.

use std::{future::Future, time::Duration};

use super::{HttpRequest, HttpResponse, SocketEvent, SocketTarget};
use crate::{
    connection::{Millis, Wake},
    error::Error,
};

fn absent() -> Error {
    Error::usage("there is no network in this build: enable the feature `native` or `ssr` of leptos-directus")
}

/// Makes HTTP requests; here it makes none.
#[derive(Clone, Debug, Default)]
pub struct HttpClient(());

impl HttpClient {
    /// There are no connections.
    pub(crate) fn renewed(&self) -> Self {
        self.clone()
    }

    pub(crate) fn send(
        &self,
        _request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, Error>> + Send + 'static {
        std::future::ready(Err(absent()))
    }
}

/// A socket that never opens.
#[derive(Debug)]
pub(crate) enum Socket {}

impl Socket {
    pub(crate) async fn open(_http: HttpClient, _target: SocketTarget) -> Result<Self, Error> {
        Err(absent())
    }

    pub(crate) fn send(&mut self, _text: String) {
        match *self {}
    }

    pub(crate) async fn next(&mut self) -> SocketEvent {
        match *self {}
    }
}

/// Nothing ever happens.
#[derive(Debug, Default)]
pub(crate) struct WakeEvents;

impl WakeEvents {
    pub(crate) fn listen() -> Self {
        Self
    }

    pub(crate) async fn next(&mut self) -> Wake {
        std::future::pending().await
    }
}

/// Keeps nothing.
#[derive(Debug)]
pub(crate) struct Store;

impl Store {
    pub(crate) fn claim(_name: String) -> impl Future<Output = Option<Self>> + Send + 'static {
        std::future::ready(None)
    }

    pub(crate) fn load(&self, _key: &str) -> Option<String> {
        None
    }

    pub(crate) fn save(&self, _key: &str, _text: Option<&str>) -> bool {
        false
    }

    pub(crate) fn forget(_key: &str) {}
}

pub(crate) fn is_from_history() -> bool {
    false
}

pub(crate) fn is_browser() -> bool {
    false
}

pub(crate) fn now() -> Millis {
    0
}

pub(crate) fn unix_millis() -> u64 {
    0
}

pub(crate) fn seed() -> u64 {
    0
}

pub(crate) fn random() -> u128 {
    0
}

pub(crate) async fn sleep(_duration: Duration) {
    std::future::pending().await
}

pub(crate) fn spawn(_task: impl Future<Output = ()> + Send + 'static) {}
