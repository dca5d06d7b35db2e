//! `/directus/…`: Directus's REST interface for the browser, streamed both ways.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, HttpBody},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    DirectusServer, Shared,
    admission::Verdict,
    caller::{caller, peer},
    cookies,
    origin::{OwnHost, Source, is_same_origin_fetch, source},
    upstream::Upstream,
};
use crate::protocol::Secret;

/// The request headers that go on. Everything else stays here: cookies, tokens, hop-by-hop and whatever comes next.
const PASSED_ON: [HeaderName; 12] = [
    header::ACCEPT,
    // Answers come back as they are: what compresses them, and for whom, is between Directus's side and the browser.
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    header::USER_AGENT,
];

/// The headers of an answer that do not come back: hop-by-hop, and what speaks of Directus's host and not of ours.
const KEPT_BACK: [HeaderName; 16] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::ALT_SVC,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-powered-by"),
];

/// The longest body of a `SEARCH` that is kept in case the session turns out to be dead.
const LONGEST_REPEATED: u64 = 1 << 20;

/// An answer of our own in the shape of Directus's errors.
struct Problem {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "errors": [{ "message": self.message, "extensions": { "code": self.code } }] });
        (self.status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}

const BAD_PATH: Problem =
    Problem { status: StatusCode::BAD_REQUEST, code: "INVALID_PATH", message: "The path leads out of Directus's own." };
const BAD_METHOD: Problem = Problem {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "METHOD_NOT_ALLOWED",
    message: "This method is not passed on to Directus.",
};
const UNREACHABLE: Problem =
    Problem { status: StatusCode::BAD_GATEWAY, code: "UPSTREAM_UNREACHABLE", message: "Directus can't be reached." };
const TIMEOUT: Problem = Problem {
    status: StatusCode::GATEWAY_TIMEOUT,
    code: "UPSTREAM_TIMEOUT",
    message: "Directus did not answer in time.",
};

/// Passes a request on.
pub(super) async fn answer(State(server): State<DirectusServer>, request: Request) -> Response {
    match pass_on(&server, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// A refusal: ours as REST, or the origin's, in whose words the socket refuses too.
enum Refused {
    Problem(Problem),
    Origin(Verdict),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Origin(verdict) => {
                let body = json!({
                    "errors": [{ "message": verdict.message(), "extensions": { "code": verdict.code() } }],
                });
                (verdict.status(), [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
            }
        }
    }
}

async fn pass_on(server: &DirectusServer, request: Request) -> Result<Response, Refused> {
    let shared = &server.0;
    let config = &shared.settings.config;
    let (parts, body) = request.into_parts();
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(BAD_METHOD.into());
    }
    let own = shared.own_host(&parts.headers);
    let path = rest_of_path(&parts.uri, &config.directus_rest_path).ok_or(BAD_PATH)?;
    let target = target(server.upstream(), path, parts.uri.query()).ok_or(BAD_PATH)?;
    let session = server.session_from_cookies(&parts.headers);
    if !is_read(&parts.method) {
        check_source(shared, &parts.headers, &own, session.is_some())?;
    }
    // Directus refuses a login that comes with a dead session; a login needs none.
    let session = session.filter(|_| !is_login(path));
    let outgoing =
        Outgoing { shared, method: parts.method.clone(), target, headers: headers_for(shared, &parts, &own) };
    let (first, repeated) = split_body(&parts, body, session.is_some()).await?;
    let mut response = outgoing.send(first, session.as_ref()).await?;
    let mut is_session_dead = false;
    if let (Some(_), Some(body), StatusCode::UNAUTHORIZED) = (&session, repeated, response.status()) {
        // A dead session must not hide what anybody may read.
        let second = outgoing.send(body, None).await?;
        is_session_dead = true;
        response = second;
    }
    Ok(incoming(shared, response, &own, is_session_dead))
}

/// Whether a method changes nothing.
fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || method.as_str() == "SEARCH"
}

fn is_login(path: &str) -> bool {
    path == "auth/login" || path.starts_with("auth/login/") || path.starts_with("auth/password/")
}

/// Writes come from our own pages: a foreign page could use the visitor's session, or log the visitor in as somebody.
fn check_source(shared: &Shared, headers: &HeaderMap, own: &OwnHost, has_session: bool) -> Result<(), Refused> {
    match source(headers, own, &shared.settings.allowed_origins) {
        Source::Allowed => Ok(()),
        Source::Foreign => Err(Refused::Origin(Verdict::foreign_origin())),
        Source::Missing if !has_session || is_same_origin_fetch(headers) => Ok(()),
        Source::Missing if shared.settings.config.directus_allow_missing_origin => Ok(()),
        Source::Missing => Err(Refused::Origin(Verdict::missing_origin())),
    }
}

/// What follows our prefix, as it was sent.
fn rest_of_path<'u>(uri: &'u Uri, prefix: &str) -> Option<&'u str> {
    uri.path().strip_prefix(prefix)?.strip_prefix('/')
}

/// Directus's URL for a path below its own. `None` for a path that would lead out of it.
fn target(base: &Url, path: &str, query: Option<&str>) -> Option<Url> {
    for segment in path.split('/') {
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        // Others on the way may decode a slash or turn a backslash round before they look for dots.
        if decoded.split(['/', '\\']).any(|part| matches!(part, "." | "..")) || decoded.contains('\0') {
            return None;
        }
    }
    let mut url = base.clone();
    let root = format!("{}/", base.path().trim_end_matches('/'));
    url.set_path(&format!("{root}{path}"));
    url.set_query(query.and_then(without_token).as_deref());
    url.path().starts_with(&root).then_some(url)
}

/// A query without `access_token`, however it is written: a token in a query ends up in logs, and is no identity here.
fn without_token(query: &str) -> Option<String> {
    let is_token = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy();
        name == "access_token" || name.starts_with("access_token[")
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// The headers that Directus gets, but for the session.
fn headers_for(shared: &Shared, parts: &Parts, own: &OwnHost) -> HeaderMap {
    let config = &shared.settings.config;
    let mut headers = caller(&parts.headers, peer(&parts.extensions), own, config.directus_trust_proxy).headers;
    let authorization = config.directus_allow_client_auth.then_some(header::AUTHORIZATION);
    for name in PASSED_ON.into_iter().chain(authorization) {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// The body for the first try, and for a second one if the session turns out to be dead: reads only.
async fn split_body(parts: &Parts, body: Body, has_session: bool) -> Result<(Payload, Option<Payload>), Refused> {
    if body.is_end_stream() {
        let again = (has_session && is_read(&parts.method)).then_some(Payload::Empty);
        return Ok((Payload::Empty, again));
    }
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if has_session && parts.method.as_str() == "SEARCH" && length.is_some_and(|length| length <= LONGEST_REPEATED) {
        // The length is the sender's word, but hyper keeps it to it.
        let kept = axum::body::to_bytes(body, LONGEST_REPEATED as usize).await.map_err(|_| UNREADABLE)?;
        return Ok((Payload::Whole(kept.clone()), Some(Payload::Whole(kept))));
    }
    Ok((Payload::Stream(body), None))
}

const UNREADABLE: Problem = Problem {
    status: StatusCode::BAD_REQUEST,
    code: "INVALID_PAYLOAD",
    message: "The body of the request ended too early.",
};

/// What is sent.
enum Payload {
    Empty,
    Whole(Bytes),
    Stream(Body),
}

/// A request to Directus, but for its body and session.
struct Outgoing<'s> {
    shared: &'s Shared,
    method: Method,
    target: Url,
    headers: HeaderMap,
}

impl Outgoing<'_> {
    async fn send(&self, body: Payload, session: Option<&Secret>) -> Result<reqwest::Response, Problem> {
        let config = &self.shared.settings.config;
        let progress = Progress::default();
        let mut request = self.shared.upstream.http().request(self.method.clone(), self.target.clone());
        request = request.headers(self.headers.clone());
        if let Some(session) = session
            && let Some(cookie) = cookies::request_header(&config.directus_session_cookie, session)
        {
            request = request.header(header::COOKIE, cookie);
        }
        request = match body {
            Payload::Empty => request,
            Payload::Whole(body) => request.body(body),
            Payload::Stream(body) => request.body(reqwest::Body::wrap_stream(progress.of(body))),
        };
        let mut unanswered = Unanswered { upstream: &self.shared.upstream, progress: Some(progress.clone()) };
        let answer = tokio::select! {
            response = request.send() => response.map_err(|error| problem_of(&error)),
            () = progress.stalled(config.directus_timeout) => return Err(TIMEOUT),
        };
        unanswered.progress = None;
        answer
    }
}

/// A request whose sender may give up. Then its connection may have died silently, and so may others that are kept open: the
/// next request goes over a new one.
struct Unanswered<'s> {
    upstream: &'s Upstream,
    /// Nothing once there is an answer.
    progress: Option<Progress>,
}

/// Who gives up sooner after the last byte does so for other reasons.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(2);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.progress.as_ref().is_some_and(|progress| progress.last().elapsed() >= GIVEN_UP_AFTER) {
            self.upstream.renew_connections();
        }
    }
}

fn problem_of(error: &reqwest::Error) -> Problem {
    // The error without its URL, whose query is the visitor's own.
    tracing::debug!(is_timeout = error.is_timeout(), is_connect = error.is_connect(), "a request to Directus failed");
    if error.is_timeout() { TIMEOUT } else { UNREACHABLE }
}

/// When a body last moved: a long upload is not a silent Directus.
#[derive(Clone)]
struct Progress(Arc<Mutex<Instant>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Progress {
    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, body: Body) -> impl Stream<Item = Result<Bytes, axum::Error>> + use<> {
        let last = Arc::clone(&self.0);
        body.into_data_stream().inspect(move |_| *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now())
    }

    /// Ends when nothing has moved for `patience`.
    async fn stalled(&self, patience: Duration) {
        loop {
            let due = self.last() + patience;
            sleep_until(due).await;
            if self.last() + patience <= Instant::now() {
                return;
            }
        }
    }
}

/// Directus's answer, as our own.
fn incoming(shared: &Shared, response: reqwest::Response, own: &OwnHost, is_session_dead: bool) -> Response {
    let config = &shared.settings.config;
    let name = &config.directus_session_cookie;
    let is_secure = own.scheme == "https";
    let mut headers = HeaderMap::new();
    let from = response.headers();
    // What `Connection` names is hop-by-hop too.
    let named: Vec<String> = from
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for (header, value) in from {
        if !KEPT_BACK.contains(header) && !named.iter().any(|name| name == header.as_str()) {
            headers.append(header.clone(), value.clone());
        }
    }
    if let Some(location) = from.get(header::LOCATION) {
        headers.insert(header::LOCATION, relocated(location, shared.upstream.base(), &config.directus_rest_path));
    }
    for cookie in
        from.get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookies::rewritten(cookie, name, is_secure))
    {
        headers.append(header::SET_COOKIE, cookie);
    }
    if is_session_dead
        && !headers.contains_key(header::SET_COOKIE)
        && let Some(cookie) = cookies::cleared(name, is_secure)
    {
        headers.append(header::SET_COOKIE, cookie);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_active(&headers) {
        // An uploaded page or drawing must not run with the rights of ours.
        let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    let status = response.status();
    let patience = config.directus_timeout;
    let body = futures::stream::unfold(Some(response.bytes_stream()), move |stream| async move {
        let mut stream = stream?;
        match timeout(patience, stream.try_next()).await {
            Ok(Ok(Some(chunk))) => Some((Ok(chunk), Some(stream))),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some((Err(std::io::Error::other(error.without_url())), None)),
            Err(_) => Some((Err(std::io::Error::from(std::io::ErrorKind::TimedOut)), None)),
        }
    });
    // A layer of the app, such as compression, may ask again after the end.
    let body = body.fuse();
    let mut answer = Response::new(Body::from_stream(body));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Whether a browser would run what is in there.
fn is_active(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.contains("html") || kind.contains("xml") || kind.contains("javascript")
    })
}

/// A redirect within Directus becomes one within our prefix; one to elsewhere stays.
fn relocated(location: &HeaderValue, base: &Url, prefix: &str) -> HeaderValue {
    let rewrite = || {
        let text = location.to_str().ok()?;
        if !text.starts_with('/') && !text.contains("://") {
            return None;
        }
        let url = base.join(text).ok()?;
        let root = format!("{}/", base.path().trim_end_matches('/'));
        if url.origin() != base.origin() {
            return None;
        }
        let rest = url.path().strip_prefix(&root)?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
        HeaderValue::try_from(format!("{prefix}/{rest}{query}{fragment}")).ok()
    };
    rewrite().unwrap_or_else(|| location.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_target(path: &str, query: Option<&str>, expected: Option<&str>) {
        let base = Url::parse("https://cms.example/cms").unwrap();
        assert_eq!(target(&base, path, query).as_ref().map(Url::as_str), expected, "{path}");
    }

    #[test]
    fn a_path_stays_below_that_of_directus() {
        check_target("items/posts", None, Some("https://cms.example/cms/items/posts"));
        check_target("items/wires/a%2Fb", None, Some("https://cms.example/cms/items/wires/a%2Fb"));
        check_target("items/wires/%252e%252e", None, Some("https://cms.example/cms/items/wires/%252e%252e"));
        check_target("/evil.example/x", None, Some("https://cms.example/cms//evil.example/x"));
        check_target("assets/a..b", None, Some("https://cms.example/cms/assets/a..b"));
        for out in [
            "..",
            "../admin",
            "items/../../admin",
            "%2e%2e/admin",
            "%2E./admin",
            ".%2e/admin",
            "items/..%2f..%2fadmin",
            "items/..%5c..%5cadmin",
            "items/.\\../x",
            "./x",
            "x/%00",
            "x/%ff",
        ] {
            check_target(out, None, None);
        }
    }

    #[test]
    fn no_token_goes_on_in_a_query() {
        let clean = |query| without_token(query).unwrap_or_default();
        assert_eq!(clean("a=1&access_token=t&b=2"), "a=1&b=2");
        assert_eq!(clean("access%5Ftoken=t"), "");
        assert_eq!(clean("%61ccess_token=t&access_token[]=t&access_token%5B0%5D=t&x=1"), "x=1");
        assert_eq!(clean("filter[a][_eq]=%26access_token%3D"), "filter[a][_eq]=%26access_token%3D");
    }

    #[test]
    fn redirects_within_directus_stay_within_our_prefix() {
        let base = Url::parse("https://cms.example/cms").unwrap();
        let check = |from: &str, to: &str| {
            let value = relocated(&from.parse().unwrap(), &base, "/directus");
            assert_eq!(value.to_str().unwrap(), to);
        };
        check("https://cms.example/cms/assets/1?x=1#y", "/directus/assets/1?x=1#y");
        check("/cms/assets/1", "/directus/assets/1");
        check("https://login.example/authorize?x=1", "https://login.example/authorize?x=1");
        check("/elsewhere", "/elsewhere");
        check("sibling", "sibling");
        check("//evil.example/cms/x", "//evil.example/cms/x");
    }

    #[test]
    fn logins_are_told_from_what_only_looks_like_them() {
        assert!(is_login("auth/login"));
        assert!(is_login("auth/login/ldap"));
        assert!(is_login("auth/password/request"));
        assert!(!is_login("auth/logout"));
        assert!(!is_login("auth/refresh"));
        assert!(!is_login("items/auth/login"));
    }

    #[tokio::test]
    async fn a_body_that_has_ended_may_be_asked_again() {
        let server = DirectusServer::new(crate::server::DirectusConfig::default()).unwrap();
        let own = server.0.own_host(&HeaderMap::new());
        let answer = reqwest::Response::from(http::Response::new("{}"));
        let mut body = incoming(&server.0, answer, &own, false).into_body().into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "{}");
        assert!(body.next().await.is_none());
        assert!(body.next().await.is_none(), "it ends again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_is_not_stalled() {
        let progress = Progress::default();
        let patience = Duration::from_secs(30);
        let moving = async {
            for _ in 0..10 {
                tokio::time::advance(Duration::from_secs(20)).await;
                *progress.0.lock().unwrap() = Instant::now();
            }
        };
        tokio::select! {
            biased;
            () = moving => {}
            () = progress.stalled(patience) => panic!("it moved"),
        }
        let before = Instant::now();
        progress.stalled(patience).await;
        assert_eq!(before.elapsed(), patience);
    }
}
