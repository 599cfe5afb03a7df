//! Which paths are refused before routing.
//!
//! The door decides by the path who may pass; the service behind it decides by the path what is asked. Whatever the
//! two could read differently is refused: dot segments in any spelling, encoded slashes, backslashes, NULs, and
//! letters that are percent-encoded for no reason (`/v1/inventory/%6Cow-stock` is `low-stock` to one who decodes).

/// Longest path and query that is taken.
pub(crate) const MAX_TARGET: usize = 8 * 1024;

/// Why a path is refused.
pub(crate) fn fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("the path must begin with a slash");
    }
    let bytes = path.as_bytes();
    // The common path has none of these; one look settles it.
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'\\' | b'.' | 0..=0x20 | 0x7f..)) {
        return None;
    }
    if bytes.iter().any(|byte| matches!(byte, b'\\' | 0..=0x20 | 0x7f..)) {
        return Some("the path has a character that must be percent-encoded or may not be there");
    }
    if let Some(fault) = encoding_fault(bytes) {
        return Some(fault);
    }
    // `..;x` is a dot segment to servers that know path parameters.
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    path.split('/').any(dots).then_some("the path has a dot segment")
}

fn encoding_fault(bytes: &[u8]) -> Option<&'static str> {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let Some(decoded) = rest.get(at + 1..at + 3).and_then(hex) else {
            return Some("the path has an invalid percent-encoding");
        };
        match decoded {
            0..=0x1f | 0x7f => return Some("the path has an encoded control character"),
            b'/' | b'\\' => return Some("the path has an encoded slash or backslash"),
            b'.' => return Some("the path has an encoded dot"),
            b'%' => return Some("the path is percent-encoded twice"),
            b'-' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                return Some("the path has a character encoded that needs no encoding");
            }
            _ => {}
        }
        rest = &rest[at + 3..];
    }
    None
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(digits[0])? * 16 + digit(digits[1])?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "/",
            "/v1/products",
            "/.well-known/jwks.json",
            "/v1/products/a%20b",
            "/v1/products/%C3%A9",
            "/openapi.json",
            "/docs/swagger-ui.css",
            "/v1/products/a..b",
            "/v1/products/...",
            "/v1/p;a=1",
        ] {
            assert_eq!(fault(path), None, "{path}");
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        for path in [
            "*",
            "",
            "v1",
            "/v1/products/../ops/actors",
            "/v1/products/..",
            "/./v1",
            "/v1/.",
            "/v1/%2e%2e/ops",
            "/v1/%2E./ops",
            "/v1/.%2e/ops",
            "/v1/..%2fops",
            "/v1%2fproducts",
            "/v1%2Fproducts",
            "/v1\\products",
            "/v1%5cproducts",
            "/v1/%00",
            "/v1/a%00b",
            "/v1/%0a",
            "/v1/%7f",
            "/v1/..;/ops",
            "/v1/..;a=b/ops",
            "/v1/%6Fps/actors",
            "/v1/%zz",
            "/v1/%2",
            "/v1/%",
            "/v1/%252e%252e/",
            "/v1/a b",
            "/v1/\u{e9}",
        ] {
            assert!(fault(path).is_some(), "{path}");
        }
    }
}
