//! Which headers stay on their hop, and which ones this hop adds.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// At most this many header fields; fewer than hyper's own limit, so that the refusal is ours and says why.
pub(crate) const MAX_HEADERS: usize = 64;
/// At most this many bytes of names and values.
pub(crate) const MAX_HEADER_BYTES: usize = 16 * 1024;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Fields of the connection, not of the message (RFC 9110 §7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a client may not tell a service about itself.
const SAID_BY_US: [HeaderName; 6] =
    [FORWARDED, X_REAL_IP, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, X_FORWARDED_PORT];

/// Removes what must not be forwarded, in either direction.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    remove_all(headers, &HOP_BY_HOP);
}

/// Most messages have none of them: looking at each name costs less than looking up each of these.
fn remove_all(headers: &mut HeaderMap, names: &[HeaderName]) {
    if headers.keys().any(|name| names.contains(name)) {
        for name in names {
            headers.remove(name);
        }
    }
}

/// The fields that `Connection` names. Never one that the message cannot do without: a client must not be able to
/// strip `Host` or its own credentials' check on the way.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|token| token.trim().parse().ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH && *name != http::header::AUTHORIZATION)
        .collect()
}

/// Makes a client's headers fit for a service: hop-by-hop fields out, our view of the client in.
pub(crate) fn prepare_request(headers: &mut HeaderMap, client: &HeaderValue) {
    strip_hop_by_hop(headers);
    remove_all(headers, &SAID_BY_US);
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers.insert(X_FORWARDED_FOR, client.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
}

/// Keeps a websocket handshake alive across this hop.
pub(crate) fn ask_for_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// The protocol of a well-formed upgrade request.
pub(crate) fn upgrade_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(UPGRADE)?;
    (named && protocol.as_bytes().eq_ignore_ascii_case(b"websocket")).then(|| protocol.clone())
}

/// Too many fields, or too long ones.
pub(crate) fn too_large(headers: &HeaderMap) -> bool {
    headers.len() > MAX_HEADERS
        || headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
            > MAX_HEADER_BYTES
}

/// One and only one host, in the field or in the target (which then wins: RFC 9112 §3.2.2).
pub(crate) fn settle_host(uri: &Uri, headers: &mut HeaderMap) -> bool {
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return false;
    }
    if let Some(authority) = uri.authority() {
        let Ok(host) = HeaderValue::from_str(authority.as_str()) else { return false };
        headers.insert(HOST, host);
    }
    headers.get(HOST).is_some_and(|host| !host.is_empty())
}

/// The address a request comes from, as far as it can be trusted: `hops` proxies of our own stand before the door,
/// and each has appended the address it saw.
pub(crate) fn client_address(peer: std::net::IpAddr, headers: &HeaderMap, hops: u8) -> std::net::IpAddr {
    let Some(back) = usize::from(hops).checked_sub(1) else { return peer };
    let listed: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    listed.iter().rev().nth(back).and_then(|address| address.parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_hop_keeps_what_is_its_own() {
        let mut all = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive, host, authorization"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("host", "shop"),
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("accept", "*/*"),
        ]);
        prepare_request(&mut all, &HeaderValue::from_static("192.0.2.1"));
        let mut left: Vec<_> =
            all.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                ("accept", "*/*"),
                ("authorization", "Bearer x"),
                ("host", "shop"),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-host", "shop"),
                ("x-forwarded-proto", "http"),
            ]
        );
    }

    #[test]
    fn only_a_whole_websocket_handshake_is_an_upgrade() {
        assert!(
            upgrade_protocol(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]))
                .is_some()
        );
        assert!(upgrade_protocol(&headers(&[("upgrade", "websocket")])).is_none());
        assert!(upgrade_protocol(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")])).is_none());
        assert!(upgrade_protocol(&headers(&[("connection", "upgrade")])).is_none());
    }

    #[test]
    fn there_is_one_host() {
        let path = Uri::from_static("/x");
        assert!(settle_host(&path, &mut headers(&[("host", "a")])));
        assert!(!settle_host(&path, &mut headers(&[])));
        assert!(!settle_host(&path, &mut headers(&[("host", "")])));
        assert!(!settle_host(&path, &mut headers(&[("host", "a"), ("host", "a")])));
        let mut absolute = headers(&[("host", "a")]);
        assert!(settle_host(&Uri::from_static("http://b/x"), &mut absolute));
        assert_eq!(absolute[HOST], "b");
    }

    #[test]
    fn an_address_is_believed_only_from_our_own_proxies() {
        let peer = "192.0.2.9".parse().unwrap();
        let said = headers(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "3.3.3.3")]);
        let from = |hops| client_address(peer, &said, hops).to_string();
        assert_eq!([from(0), from(1), from(2), from(9)], ["192.0.2.9", "3.3.3.3", "2.2.2.2", "192.0.2.9"]);
    }

    #[test]
    fn too_many_or_too_long_headers_are_noticed() {
        let mut many = HeaderMap::new();
        for n in 0..MAX_HEADERS {
            many.insert(
                HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(),
                HeaderValue::from_static("1"),
            );
        }
        assert!(!too_large(&many));
        many.insert("one-more", HeaderValue::from_static("1"));
        assert!(too_large(&many));
        let mut long = HeaderMap::new();
        long.insert("x", HeaderValue::from_bytes(&[b'x'; MAX_HEADER_BYTES]).unwrap());
        assert!(too_large(&long));
    }
}
