//! The browser: gloo-net for HTTP and the socket.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    Sink, StreamExt,
    channel::{
        mpsc::{self, UnboundedReceiver},
        oneshot,
    },
};
use gloo_events::EventListener;
use gloo_net::{
    http::{Method, RequestBuilder, Response},
    websocket::{Message, State, WebSocketError, futures::WebSocket},
};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Function, Object, Promise, Reflect, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, AbortSignal, ReadableStreamDefaultReader, RequestCache, RequestCredentials, Storage,
    VisibilityState,
};

use super::{
    HttpRequest, HttpResponse, Patience, SocketEvent, SocketTarget, close_reason, cut_error, in_time, refused_upgrade,
    retry_after, text, unreachable_error,
};
use crate::{
    connection::{Millis, Wake},
    error::Error,
};

/// Makes HTTP requests with `fetch`, and with the cookies of the page's own origin.
#[derive(Clone, Debug, Default)]
pub struct HttpClient(Arc<Suspects>);

/// Connections that the browser keeps open may have died silently together with a socket, and nobody but the browser can close
/// them: each costs one read whose time runs out. So for a while that time is short, and the read is made again at once.
#[derive(Debug, Default)]
struct Suspects {
    left: AtomicU32,
    until: AtomicU64,
}

/// So many connections to one host a browser keeps at most.
const CONNECTIONS: u32 = 6;
/// How long a read over a connection may take that may be dead.
const IMPATIENCE: Duration = Duration::from_millis(2_500);
/// For so long after the link is back.
const SUSPECTED_FOR: Millis = 30_000;

impl Suspects {
    fn renew(&self) {
        self.left.store(CONNECTIONS, Ordering::Relaxed);
        self.until.store(now() + SUSPECTED_FOR, Ordering::Relaxed);
    }

    fn are_left(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0 && now() < self.until.load(Ordering::Relaxed)
    }

    fn is_one_less(&self) {
        self.left.store(self.left.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }
}

/// Ends the request when nobody waits for it any more.
struct Abort(Option<AbortController>);

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

impl HttpClient {
    /// The link is back after a silent death: what is kept open since before may be dead.
    pub(crate) fn renewed(&self) -> Self {
        self.0.renew();
        self.clone()
    }

    pub(crate) fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, Error>> + Send + 'static {
        let suspects = Arc::clone(&self.0);
        // One thread: nothing is ever sent anywhere, but Leptos's resources ask for `Send`.
        SendWrapper::new(async move {
            let patience = request.patience;
            while matches!(request.method, "GET" | "SEARCH") && suspects.are_left() {
                let impatience = Patience {
                    head: IMPATIENCE.min(patience.head),
                    silence: IMPATIENCE.min(patience.silence),
                    ..patience
                };
                if let Some(result) = within(impatience, request.clone()).await {
                    return result;
                }
                suspects.is_one_less();
            }
            let result = within(patience, request).await;
            result.unwrap_or_else(|| Err(Error::timeout("the request to Directus")))
        })
    }
}

/// What comes of a request, if it comes in time.
async fn within(patience: Patience, request: HttpRequest) -> Option<Result<HttpResponse, Error>> {
    let mut abort = Abort(AbortController::new().ok());
    let end = now().saturating_add(Millis::try_from(patience.whole.as_millis()).unwrap_or(Millis::MAX));
    let left = || Duration::from_millis(end.saturating_sub(now()));
    let head =
        in_time(patience.head.min(left()), fetch(request, abort.0.as_ref().map(AbortController::signal))).await?;
    let response = match head {
        // Without TLS, of a status that was cut there are the digits that came.
        Ok(response) if !(200..600).contains(&response.status()) => return Some(Err(cut_error())),
        Ok(response) => response,
        Err(error) => return Some(Err(error)),
    };
    let mut body = Vec::new();
    let stream = response.body();
    let reader = stream.map(|stream| stream.get_reader().unchecked_into::<ReadableStreamDefaultReader>());
    while let Some(reader) = &reader {
        match in_time(patience.silence.min(left()), JsFuture::from(reader.read())).await? {
            Ok(part) if field(&part, "done").is_truthy() => break,
            Ok(part) => body.extend(Uint8Array::new(&field(&part, "value")).to_vec()),
            Err(_) => return Some(Err(unreachable_error())),
        }
    }
    abort.0 = None;
    let wait = retry_after(response.headers().get("retry-after").as_deref());
    Some(text(body).map(|body| HttpResponse { status: response.status(), retry_after: wait, body }))
}

fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or_default()
}

async fn fetch(request: HttpRequest, abort: Option<AbortSignal>) -> Result<Response, Error> {
    let unusable = |_| Error::usage("the browser does not accept this request");
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| Error::usage(format!("`{}` is no HTTP method", request.method)))?;
    let mut builder = RequestBuilder::new(&request.url)
        .method(method)
        .credentials(RequestCredentials::SameOrigin)
        // With its own cache on, Directus lets answers be kept for minutes: a read after an event must not be one of them.
        .cache(RequestCache::NoStore)
        .abort_signal(abort.as_ref());
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let request = match request.body {
        Some(body) => builder.header("content-type", "application/json").body(body).map_err(unusable)?,
        None => builder.build().map_err(unusable)?,
    };
    request.send().await.map_err(|_| unreachable_error())
}

/// An open socket; dropping it closes it.
pub(crate) struct Socket(WebSocket);

impl Socket {
    pub(crate) async fn open(http: HttpClient, target: SocketTarget) -> Result<Self, Error> {
        let url = absolute(&target.url)?;
        let mut socket = WebSocket::open(&url)
            .map_err(|_| Error::usage("the browser does not accept the address of Directus's WebSocket"))?;
        // Ready as soon as the socket is no longer connecting, whatever became of it.
        let _ = poll_fn(|context| Pin::new(&mut socket).poll_ready(context)).await;
        if matches!(socket.state(), State::Open) {
            return Ok(Self(socket));
        }
        // A refused upgrade shows a browser no more than 1006: a plain request goes through the same admission and can say why.
        let probe = HttpRequest {
            method: "GET",
            url: target.url,
            headers: Vec::new(),
            body: None,
            credentials: target.credentials,
            patience: Patience::of(Duration::from_secs(10)),
        };
        match http.send(probe).await {
            Ok(response) => {
                Err(refused_upgrade(response.status, &response.body).with_retry_after(response.retry_after))
            }
            Err(_) => Err(Error::network("the server can't be reached")),
        }
    }

    pub(crate) fn send(&mut self, text: String) {
        // A socket that has ended says so through `next`.
        let _ = Pin::new(&mut self.0).start_send(Message::Text(text));
    }

    pub(crate) async fn next(&mut self) -> SocketEvent {
        loop {
            return match self.0.next().await {
                Some(Ok(Message::Text(text))) => SocketEvent::Text(text),
                Some(Ok(Message::Bytes(bytes))) => {
                    String::from_utf8(bytes).map_or(SocketEvent::Unreadable, SocketEvent::Text)
                }
                Some(Err(WebSocketError::ConnectionClose(event))) => {
                    SocketEvent::Closed(close_reason(event.code, &event.reason))
                }
                // The close event that follows says more.
                Some(Err(_)) => continue,
                None => SocketEvent::Closed(close_reason(1006, "")),
            };
        }
    }
}

/// `/directus-ws` as a socket's address on the page's own origin.
fn absolute(url: &str) -> Result<String, Error> {
    if !url.starts_with('/') {
        return Ok(url.to_owned());
    }
    let place = || -> Result<String, JsValue> {
        let location = web_sys::window().ok_or(JsValue::NULL)?.location();
        let scheme = if location.protocol()? == "https:" { "wss" } else { "ws" };
        Ok(format!("{scheme}://{}{url}", location.host()?))
    };
    place().map_err(|_| Error::usage("this page has no address that a WebSocket could be opened at"))
}

/// What the browser tells of the network and of the page's being seen; listeners go when this goes.
pub(crate) struct WakeEvents {
    _listeners: Vec<EventListener>,
    events: UnboundedReceiver<Wake>,
}

impl WakeEvents {
    pub(crate) fn listen() -> Self {
        let (sender, events) = mpsc::unbounded();
        let mut listeners = Vec::new();
        if let Some(window) = web_sys::window() {
            for (name, wake) in [("online", Wake::Online), ("offline", Wake::Offline)] {
                let sender = sender.clone();
                listeners.push(EventListener::new(&window, name, move |_| {
                    let _ = sender.unbounded_send(wake);
                }));
            }
            let hidden_at = Rc::new(Cell::new(None::<Millis>));
            if let Some(document) = window.document() {
                let (sender, hidden_at, page) = (sender.clone(), Rc::clone(&hidden_at), document.clone());
                listeners.push(EventListener::new(&document, "visibilitychange", move |_| {
                    if page.visibility_state() == VisibilityState::Hidden {
                        hidden_at.set(Some(now()));
                    } else if let Some(since) = hidden_at.take() {
                        let hidden = Duration::from_millis(now().saturating_sub(since));
                        let _ = sender.unbounded_send(Wake::Visible { hidden });
                    }
                }));
            }
            // Somebody looks at a page that was in sight all the time.
            let asked = sender.clone();
            listeners.push(EventListener::new(&window, "focus", move |_| {
                let _ = asked.unbounded_send(Wake::Asked);
            }));
            // Back from the back/forward cache: the page slept, its timers too, and its socket is gone.
            listeners.push(EventListener::new(&window, "pageshow", move |_| {
                let hidden =
                    hidden_at.take().map_or(Duration::ZERO, |since| Duration::from_millis(now().saturating_sub(since)));
                let _ = sender.unbounded_send(Wake::Visible { hidden });
            }));
        }
        Self { _listeners: listeners, events }
    }

    pub(crate) async fn next(&mut self) -> Wake {
        match self.events.next().await {
            Some(wake) => wake,
            None => std::future::pending().await,
        }
    }
}

/// Texts in `localStorage`, which outlive the page. One page of the origin at a time holds them: the others wait for it to
/// end, so that no two of them send the same.
pub(crate) struct Store(SendWrapper<Claimed>);

/// What all names in the storage begin with.
const STORE: &str = "leptos-directus";

struct Claimed {
    name: String,
    storage: Storage,
    release: Function,
    /// Leaves the queue, for whoever goes before it is their turn; of no effect afterwards.
    leave: AbortController,
    _granted: Closure<dyn FnMut(JsValue) -> Promise>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        // A page that ends releases its locks by itself.
        self.leave.abort();
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

impl Store {
    /// Waits for its turn; `None` where the browser has no locks (it gives them to `https` and `localhost` only) or no storage.
    pub(crate) fn claim(name: String) -> impl Future<Output = Option<Self>> + Send + 'static {
        SendWrapper::new(async move {
            let window = web_sys::window()?;
            let storage = window.local_storage().ok().flatten()?;
            let locks = Reflect::get(&window.navigator(), &"locks".into()).ok()?;
            let request: Function = Reflect::get(&locks, &"request".into()).ok()?.dyn_into().ok()?;
            let mut release = None;
            // The lock is held for as long as this promise is not kept.
            let held = Promise::new(&mut |resolve, _| release = Some(resolve));
            let (sender, granted) = oneshot::channel();
            let mut sender = Some(sender);
            let on_grant = Closure::new(move |_| {
                if let Some(sender) = sender.take() {
                    let _ = sender.send(());
                }
                held.clone()
            });
            let leave = AbortController::new().ok()?;
            let options = Object::new();
            Reflect::set(&options, &"signal".into(), &leave.signal()).ok()?;
            let (name, release) = (format!("{STORE} {name}"), release?);
            let asked = request.call3(&locks, &JsValue::from_str(&name), &options, on_grant.as_ref()).ok()?;
            // Refused only to whoever left: there is nobody to tell.
            let catch: Function = Reflect::get(&asked, &"catch".into()).ok()?.dyn_into().ok()?;
            let _ = catch.call1(&asked, &release);
            let claimed = Claimed { name, storage, release, leave, _granted: on_grant };
            granted.await.ok()?;
            Some(Self(SendWrapper::new(claimed)))
        })
    }

    pub(crate) fn load(&self, key: &str) -> Option<String> {
        self.0.storage.get_item(&format!("{} {key}", self.0.name)).ok().flatten()
    }

    /// Whether it is kept from now on: the storage may be full.
    pub(crate) fn save(&self, key: &str, text: Option<&str>) -> bool {
        let key = format!("{} {key}", self.0.name);
        let done = match text {
            Some(text) => self.0.storage.set_item(&key, text),
            None => self.0.storage.remove_item(&key),
        };
        if done.is_err() {
            // Better nothing than what was true before, and may be done by then.
            let _ = self.0.storage.remove_item(&key);
            leptos::logging::warn!("the browser's storage is full: what waits is lost if this page ends");
        }
        text.is_some() && done.is_ok()
    }

    /// Removes what is kept under this key, in whichever store.
    pub(crate) fn forget(key: &str) {
        let Some(storage) = web_sys::window().and_then(|window| window.local_storage().ok().flatten()) else { return };
        let names = (0..storage.length().unwrap_or(0)).filter_map(|at| storage.key(at).ok().flatten());
        let is_its = |name: &String| name.starts_with(&format!("{STORE} ")) && name.ends_with(&format!(" {key}"));
        for name in names.filter(is_its).collect::<Vec<_>>() {
            // It may be gone by now.
            let _ = storage.remove_item(&name);
        }
    }
}

/// Whether the page was called up from the browser's history: then its HTML may be one that was kept, of another visitor.
pub(crate) fn is_from_history() -> bool {
    let navigations = web_sys::window()
        .and_then(|window| window.performance())
        .map(|performance| performance.get_entries_by_type("navigation"));
    navigations.is_some_and(|entries| field(&entries.get(0), "type").as_string().as_deref() == Some("back_forward"))
}

pub(crate) fn is_browser() -> bool {
    true
}

/// `performance.now()`, where there is one.
pub(crate) fn now() -> Millis {
    let millis = web_sys::window()
        .and_then(|window| window.performance())
        .map_or_else(js_sys::Date::now, |performance| performance.now());
    // A positive number of milliseconds, far below what would not fit.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let millis = millis as Millis;
    millis
}

/// Milliseconds since 1970, by the visitor's clock.
pub(crate) fn unix_millis() -> u64 {
    // A positive whole number, far below what would not fit.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let millis = js_sys::Date::now() as u64;
    millis
}

pub(crate) fn seed() -> u64 {
    js_sys::Math::random().to_bits()
}

/// Random bits as the browser's `crypto` gives them.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    let drawn = web_sys::window()
        .and_then(|window| window.crypto().ok())
        .is_some_and(|crypto| crypto.get_random_values_with_u8_array(&mut bytes).is_ok());
    if drawn { u128::from_le_bytes(bytes) } else { u128::from(seed()) << 64 | u128::from(seed()) }
}

pub(crate) async fn sleep(duration: Duration) {
    // The browser's own limit is 2^31 - 1 milliseconds; who waits longer is woken early and looks at the clock.
    let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs());
    TimeoutFuture::new(millis).await;
}

pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(task);
}
