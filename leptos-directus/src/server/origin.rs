//! Who may open a socket or write: the `Origin` of a request against our own host and the configured list.

use std::fmt;

use http::{HeaderMap, HeaderName, header};
use reqwest::Url;

/// Scheme, host and port of a page; compared exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads a configured origin such as `https://news.example` or `http://localhost:3000/`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare || !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        Self::of(&url)
    }

    /// The origin of a page's address.
    fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// Reads an `Origin` header; browsers send no path, and what does is no browser.
    fn from_header(text: &str) -> Option<Self> {
        if text.ends_with('/') || text.contains(char::is_whitespace) { None } else { Self::parse(text) }
    }

    /// Our own origin, from the scheme that we are served over and a `Host` header.
    fn own(scheme: &str, host: &str) -> Option<Self> {
        let forbidden = |c: char| matches!(c, '/' | '\\' | '@' | '?' | '#' | ',') || c.is_whitespace();
        if host.is_empty() || host.contains(forbidden) {
            return None;
        }
        Self::parse(&format!("{scheme}://{host}"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match (scheme.as_str(), port) {
            ("http", 80) | ("https", 443) => write!(f, "{scheme}://{host}"),
            _ => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

/// Where we are served, as the visitor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnHost {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// The `Host` header, or what a trusted proxy says that it was.
    pub(super) host: Option<String>,
}

impl OwnHost {
    /// Reads it from a request; `X-Forwarded-*` count only from a trusted proxy, and then the nearest one's word.
    pub(super) fn read(headers: &HeaderMap, trust_proxy: bool, https: Option<bool>) -> Self {
        let forwarded = |name: &'static str| trust_proxy.then(|| nearest(headers, name)).flatten();
        let scheme = match (https, forwarded("x-forwarded-proto")) {
            (Some(true), _) => "https",
            (None, Some(proto)) if proto.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        };
        let host = forwarded("x-forwarded-host").or_else(|| single(headers, header::HOST)).map(str::to_owned);
        Self { scheme, host }
    }

    fn origin(&self) -> Option<Origin> {
        Origin::own(self.scheme, self.host.as_deref()?)
    }
}

/// The last value of a list header: what the nearest proxy added.
fn nearest<'h>(headers: &'h HeaderMap, name: &'static str) -> Option<&'h str> {
    let last = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// A header that must be there once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request says that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Our own pages, or configured ones.
    Allowed,
    /// Another page, or something that can't be read as one.
    Foreign,
    /// No `Origin`: not a browser's write or socket.
    Missing,
}

/// Judges the `Origin` header.
pub(super) fn source(headers: &HeaderMap, own: &OwnHost, allowed: &[Origin]) -> Source {
    if !headers.contains_key(header::ORIGIN) {
        return Source::Missing;
    }
    let origin = single(headers, header::ORIGIN).and_then(Origin::from_header);
    judge(origin.as_ref(), own, allowed)
}

/// Judges a plain `GET`, to which browsers give no `Origin` when the page is our own: by `Referer`, else by
/// `Sec-Fetch-Site`. So the answer foretells what a socket of that page would meet. An address that somebody typed comes from no
/// page at all, and no page gets the answer.
pub(super) fn source_of_a_read(headers: &HeaderMap, own: &OwnHost, allowed: &[Origin]) -> Source {
    match source(headers, own, allowed) {
        Source::Missing => {}
        known => return known,
    }
    if let Some(referer) = single(headers, header::REFERER) {
        let page = Url::parse(referer).ok().as_ref().and_then(Origin::of);
        return judge(page.as_ref(), own, allowed);
    }
    match single(headers, SEC_FETCH_SITE) {
        Some("same-origin" | "none") => Source::Allowed,
        _ => Source::Missing,
    }
}

/// Whether the browser vouches that one of our own pages asks.
pub(super) fn is_same_origin_fetch(headers: &HeaderMap) -> bool {
    single(headers, SEC_FETCH_SITE) == Some("same-origin")
}

fn judge(origin: Option<&Origin>, own: &OwnHost, allowed: &[Origin]) -> Source {
    match origin {
        Some(origin) if own.origin().as_ref() == Some(origin) || allowed.contains(origin) => Source::Allowed,
        _ => Source::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &str)], trust_proxy: bool, expected: &Source) {
        let headers = headers(pairs);
        let own = OwnHost::read(&headers, trust_proxy, None);
        let allowed = [Origin::parse("https://desk.example").unwrap()];
        assert_eq!(&source(&headers, &own, &allowed), expected, "{pairs:?}");
    }

    #[test]
    fn the_own_host_and_the_list_are_let_in_and_nothing_that_only_looks_like_them() {
        let host = ("host", "news.example:3000");
        check(&[host, ("origin", "http://news.example:3000")], false, &Source::Allowed);
        check(&[host, ("origin", "HTTP://NEWS.example:3000")], false, &Source::Allowed);
        check(&[host, ("origin", "https://desk.example")], false, &Source::Allowed);
        check(&[host, ("origin", "https://desk.example:443")], false, &Source::Allowed);
        check(&[("host", "news.example"), ("origin", "http://news.example:80")], false, &Source::Allowed);
        check(&[host], false, &Source::Missing);
        for foreign in [
            "https://news.example:3000",
            "http://news.example",
            "http://news.example:30000",
            "http://news.example.evil:3000",
            "http://evilnews.example:3000",
            "http://a.news.example:3000",
            "http://news.example:3000/",
            "http://news.example:3000/path",
            "http://news.example:3000@evil.example",
            "http://user@news.example:3000",
            "http://desk.example",
            "https://sub.desk.example",
            "null",
            "",
            "file://",
            "http://",
            "news.example:3000",
            "http://news.example:3000 http://evil.example",
        ] {
            check(&[host, ("origin", foreign)], false, &Source::Foreign);
        }
    }

    #[test]
    fn two_origins_or_two_hosts_are_nobody() {
        let own = ("origin", "http://news.example");
        check(&[("host", "news.example"), own, ("origin", "http://evil.example")], false, &Source::Foreign);
        check(&[("host", "news.example"), ("host", "evil.example"), own], false, &Source::Foreign);
        check(&[own], false, &Source::Foreign);
    }

    #[test]
    fn forwarded_hosts_count_only_from_a_trusted_proxy_and_only_the_nearest() {
        let sent = [
            ("host", "127.0.0.1:3000"),
            ("x-forwarded-host", "evil.example, news.example"),
            ("x-forwarded-proto", "http, https"),
        ];
        let with = |origin| [sent.as_slice(), &[("origin", origin)]].concat();
        check(&with("https://news.example"), true, &Source::Allowed);
        check(&with("https://news.example"), false, &Source::Foreign);
        check(&with("https://evil.example"), true, &Source::Foreign);
        check(&with("http://127.0.0.1:3000"), true, &Source::Foreign);
        check(&with("http://127.0.0.1:3000"), false, &Source::Allowed);
    }

    #[test]
    fn a_read_without_origin_is_judged_by_referer_then_by_the_browsers_word() {
        let read = |pairs: &[(&'static str, &str)]| {
            let headers = headers(pairs);
            source_of_a_read(&headers, &OwnHost::read(&headers, false, None), &[])
        };
        let host = ("host", "127.0.0.1:3000");
        assert_eq!(read(&[host, ("referer", "http://127.0.0.1:3000/board?x=1")]), Source::Allowed);
        assert_eq!(
            read(&[host, ("referer", "https://news.example/"), ("sec-fetch-site", "same-origin")]),
            Source::Foreign,
            "a proxy that hides our public host"
        );
        assert_eq!(read(&[host, ("sec-fetch-site", "same-origin")]), Source::Allowed);
        assert_eq!(read(&[host, ("sec-fetch-site", "none")]), Source::Allowed, "somebody typed the address");
        assert_eq!(read(&[host, ("sec-fetch-site", "cross-site")]), Source::Missing);
        assert_eq!(read(&[host]), Source::Missing);
    }
}
