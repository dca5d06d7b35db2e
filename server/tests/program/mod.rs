//! The program as its operator runs it, and visitors of it.

use std::{
    fmt,
    future::Future,
    path::Path,
    process::{ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::real::PATIENCE;

/// The program with nothing of the test's own environment, listening on a free port.
pub(crate) fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("DIRECTUS_") || text.starts_with("LEPTOS_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command
        .env("LEPTOS_OUTPUT_NAME", "demo")
        .env("LEPTOS_SITE_ADDR", "127.0.0.1:0")
        .env("LEPTOS_SITE_ROOT", Path::new(env!("CARGO_TARGET_TMPDIR")))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the program to an end that has to come by itself.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = command(variables).args(arguments).output();
    timeout(PATIENCE, output).await.expect("the program ends").unwrap()
}

/// The program while it serves.
pub(crate) struct Program {
    child: Child,
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.log())
    }
}

impl Program {
    pub(crate) async fn start(directus: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(variables).env("DIRECTUS_URL", directus).spawn().unwrap();
        let log = Arc::default();
        collect(child.stderr.take().unwrap(), Arc::clone(&log));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("it listens").unwrap();
        let url = line.as_deref().and_then(|line| line.strip_prefix("listening on "));
        let url = url.unwrap_or_else(|| panic!("the program said {line:?}, and\n{}", log.lock().unwrap())).to_owned();
        Self { child, url, log }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().expect("it runs");
        kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGTERM).unwrap();
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("it does not end:\n{}", self.log()))
            .unwrap()
    }

    /// A request of one of its own pages.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        session: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Value) {
        let response = self.response(method, path, session, body).await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn response(
        &self,
        method: &str,
        path: &str,
        session: Option<&str>,
        body: Option<Value>,
    ) -> reqwest::Response {
        // Whoever comes second finds the same provider there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client.request(method, format!("{}{path}", self.url)).header("origin", &self.url);
        if let Some(session) = session {
            request = request.header("cookie", session);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await.unwrap()
    }

    /// The HTML of a page; its status has to be as said.
    pub(crate) async fn page(&self, path: &str, session: Option<&str>, status: u16) -> String {
        match self.send("GET", path, session, None).await {
            (found, Value::String(html)) if found == status => html,
            (found, other) => panic!("{path}: {found} {other}"),
        }
    }

    /// Logs in through `/directus`; the cookie that comes back.
    pub(crate) async fn log_in(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password, "mode": "session" });
        let response = self.response("POST", "/directus/auth/login", None, Some(body)).await;
        assert_eq!(response.status(), 200, "{self:?}");
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        let cookie = cookies[0].to_str().unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(attribute), "{attribute}");
        }
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(crate) async fn ada(&self) -> String {
        self.log_in("ada@example.com", "ada-pass-1").await
    }

    /// A socket of one of its own pages, or the refusal's status and JSON.
    pub(crate) async fn socket(&self, session: Option<&str>) -> Result<Socket, (u16, Value)> {
        let url = format!("{}/directus-ws", self.url.replace("http://", "ws://"));
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("origin", self.url.parse().unwrap());
        if let Some(session) = session {
            request.headers_mut().insert("cookie", session.parse().unwrap());
        }
        match timeout(PATIENCE, connect_async(request)).await.expect("an answer to the upgrade") {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err((response.status().as_u16(), serde_json::from_slice(body).unwrap_or(Value::Null)))
            }
            Err(error) => panic!("{error}\n{self:?}"),
        }
    }
}

fn collect(stream: impl AsyncRead + Send + Unpin + 'static, log: Arc<Mutex<String>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// A visitor's socket.
#[derive(Debug)]
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn send(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame that `is_wanted`; whatever else Directus says is not what the test is about.
    pub(crate) async fn frame(&mut self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        let wait = async {
            while let Some(message) = self.0.next().await {
                let Message::Text(text) = message.unwrap() else { continue };
                let frame: Value = serde_json::from_str(&text).unwrap();
                if is_wanted(&frame) {
                    return frame;
                }
                seen.push(frame);
            }
            panic!("the socket ended");
        };
        match timeout(PATIENCE, wait).await {
            Ok(frame) => frame,
            Err(_) => panic!("waited {PATIENCE:?} for {what}; seen: {seen:?}"),
        }
    }

    /// Subscribes, and gives Directus's answer.
    pub(crate) async fn subscribe(&mut self, collection: &str, uid: &str, fields: &[&str]) -> Value {
        self.send(&json!({
            "type": "subscribe", "collection": collection, "uid": uid, "query": { "fields": fields, "limit": 1 },
        }))
        .await;
        // A refusal of Directus 11 has no uid; one question at a time, it is the answer to this one.
        let is_refusal = |frame: &Value| frame["type"] == "subscribe" && frame.get("uid").is_none();
        self.frame(&format!("the answer to {uid}"), |frame| frame["uid"] == uid || is_refusal(frame)).await
    }

    /// The code with which it is closed.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        let wait = async {
            let mut code = None;
            while let Some(Ok(message)) = self.0.next().await {
                if let Message::Close(Some(frame)) = message {
                    code = Some(u16::from(frame.code));
                }
            }
            code
        };
        timeout(PATIENCE, wait).await.expect("the socket is closed")
    }
}

/// A Directus that can be away: a port that leads to it, or to nothing.
pub(crate) struct Door {
    pub(crate) url: String,
    is_open: Arc<AtomicBool>,
}

impl Door {
    /// A door that is shut.
    pub(crate) async fn to(directus: &str) -> Self {
        let target = directus.strip_prefix("http://").expect("a test's Directus speaks HTTP").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_open = Arc::new(AtomicBool::new(false));
        let open = Arc::clone(&is_open);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if open.load(Ordering::SeqCst) {
                    let target = target.clone();
                    tokio::spawn(async move {
                        let mut directus = TcpStream::connect(target).await.unwrap();
                        // Whoever hangs up first ends both.
                        let _ = copy_bidirectional(&mut stream, &mut directus).await;
                    });
                }
            }
        });
        Self { url, is_open }
    }

    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }
}

/// Ends after `future`, which has to take no longer than `limit`.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    let what = what.to_owned();
    async move { timeout(limit, future).await.unwrap_or_else(|_| panic!("{place}: {what} took longer than {limit:?}")) }
}
