//! What Directus is told about who asks: `User-Agent` and `X-Forwarded-*`, written by us.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};

use super::{origin::OwnHost, upstream::Caller};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The address of the peer, when the app serves with `into_make_service_with_connect_info::<SocketAddr>()`.
pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

/// Describes the sender of a request. What it says of itself in `X-Forwarded-For` counts only from a trusted proxy.
pub(super) fn caller(headers: &HeaderMap, peer: Option<SocketAddr>, own: &OwnHost, trust_proxy: bool) -> Caller {
    let mut described = HeaderMap::new();
    let mut set = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            described.insert(name, value);
        }
    };
    set(header::USER_AGENT, headers.get(header::USER_AGENT).cloned());
    let before = headers.get_all(&FORWARDED_FOR).iter().filter(|_| trust_proxy).filter_map(|value| value.to_str().ok());
    let addresses: Vec<String> =
        before.map(str::to_owned).chain(peer.map(|peer| peer.ip().to_canonical().to_string())).collect();
    if !addresses.is_empty() {
        set(FORWARDED_FOR, HeaderValue::try_from(addresses.join(", ")).ok());
    }
    set(FORWARDED_PROTO, Some(HeaderValue::from_static(own.scheme)));
    set(FORWARDED_HOST, own.host.as_deref().and_then(|host| HeaderValue::try_from(host).ok()));
    Caller { headers: described }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(trust_proxy: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "news.example"),
            ("user-agent", "test"),
            ("cookie", "a=1"),
            ("authorization", "Bearer t"),
            ("origin", "http://news.example"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("sec-websocket-protocol", "graphql-ws"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.example"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let own = OwnHost::read(&headers, trust_proxy, None);
        caller(&headers, Some(([127, 0, 0, 1], 9).into()), &own, trust_proxy).headers
    }

    #[test]
    fn a_visitor_can_not_forge_where_it_comes_from() {
        let headers = described(false);
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "news.example");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added_to() {
        let headers = described(true);
        assert_eq!(headers["x-forwarded-for"], "6.6.6.6, 127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "public.example");
    }

    #[test]
    fn nothing_else_of_the_request_goes_on() {
        let mut names: Vec<String> = described(false).keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["user-agent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);
    }
}
