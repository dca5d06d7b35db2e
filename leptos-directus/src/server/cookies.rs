//! The one cookie that passes: Directus's session, read from a request and rewritten for our host in an answer.

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};

use crate::protocol::Secret;

/// More than any session that Directus makes; more is no session.
const LONGEST_SESSION: usize = 8 * 1024;

/// The session in a request's `Cookie` headers; the first of that name, as Directus reads them.
pub(super) fn session(headers: &HeaderMap, name: &str) -> Option<Secret> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
        .filter(|value| is_cookie_value(value))
        .map(Secret::new)
}

fn is_cookie_value(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"' | b'\\');
    !value.is_empty() && value.len() <= LONGEST_SESSION && value.bytes().all(allowed)
}

/// The `Cookie` header that Directus gets.
pub(super) fn request_header(name: &str, session: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{name}={}", session.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Rewrites a `Set-Cookie` of Directus for our host; `None` for any cookie but the session.
///
/// The domain is dropped (it is Directus's), the path is ours, `SameSite=None` is narrowed to `Lax`.
pub(super) fn rewritten(header: &HeaderValue, name: &str, secure: bool) -> Option<HeaderValue> {
    let mut cookie = Cookie::parse(header.to_str().ok()?).ok()?;
    if cookie.name() != name {
        return None;
    }
    cookie.unset_domain();
    cookie.set_path("/");
    cookie.set_secure(secure);
    cookie.set_partitioned(false);
    if matches!(cookie.same_site(), None | Some(SameSite::None)) {
        cookie.set_same_site(SameSite::Lax);
    }
    sensitive(&cookie)
}

/// The `Set-Cookie` that ends a session of which Directus knows nothing any more.
pub(super) fn cleared(name: &str, secure: bool) -> Option<HeaderValue> {
    let mut cookie = Cookie::new(name, "");
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_secure(secure);
    cookie.set_same_site(SameSite::Lax);
    cookie.make_removal();
    sensitive(&cookie)
}

fn sensitive(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "directus_session_token";

    #[track_caller]
    fn check_session(cookies: &[&[u8]], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        }
        assert_eq!(session(&headers, NAME).as_ref().map(Secret::expose), expected);
    }

    #[test]
    fn only_the_session_of_that_name_is_read() {
        check_session(&[b"a=1; directus_session_token=jwt.x.y; b=2"], Some("jwt.x.y"));
        check_session(&[b"a=1", b"directus_session_token=s"], Some("s"));
        check_session(&[b"directus_session_token=1; directus_session_token=2"], Some("1"));
        check_session(&[b"directus_session_token==x="], Some("=x="));
        check_session(&[b"xdirectus_session_token=s; directus_session_tokenx=s; Directus_session_token=s"], None);
        check_session(&[b"directus_session_token="], None);
        check_session(&[b"directus_session_token"], None);
        check_session(&[b"directus_session_token=a b"], None);
        check_session(&[b"directus_session_token=\xff"], None);
        check_session(&[], None);
        check_session(&[&[b"directus_session_token=".as_slice(), &[b'x'; LONGEST_SESSION + 1]].concat()], None);
    }

    #[track_caller]
    fn check_rewritten(from: &str, secure: bool, expected: Option<&str>) {
        let value = rewritten(&from.parse().unwrap(), NAME, secure);
        assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), expected);
    }

    #[test]
    fn a_session_cookie_is_rewritten_for_our_host() {
        check_rewritten(
            "directus_session_token=v; Domain=cms.example; Path=/cms; HttpOnly; Secure; SameSite=None; Max-Age=60",
            false,
            Some("directus_session_token=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"),
        );
        check_rewritten(
            "directus_session_token=v; HttpOnly; SameSite=Strict",
            true,
            Some("directus_session_token=v; HttpOnly; SameSite=Strict; Secure; Path=/"),
        );
        check_rewritten("directus_refresh_token=v; HttpOnly", false, None);
        check_rewritten("other=v", false, None);
    }

    #[test]
    fn a_dead_session_is_cleared_for_the_whole_host() {
        let value = cleared(NAME, true).unwrap();
        let text = value.to_str().unwrap();
        assert!(text.starts_with("directus_session_token=;"), "{text}");
        for part in ["Path=/", "Max-Age=0", "HttpOnly", "Secure", "SameSite=Lax"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        assert!(value.is_sensitive());
    }
}
