//! Finds requests whose length could be read two ways (request smuggling, RFC 9112 §6.1 and §11.2).
//!
//! hyper is right to accept a repeated equal `Content-Length`, and to prefer `Transfer-Encoding` over it; but it
//! drops the evidence, so a handler never sees that the request was made to be misread by somebody. This scanner
//! reads the same bytes beside hyper, knows just enough of HTTP/1.1 to find each head, and numbers the first request
//! that must be refused. It never changes a byte.

/// Longest start of a line that is kept; the two headers that matter are far shorter.
const KEPT: usize = 96;

/// Follows one connection's incoming bytes.
#[derive(Debug)]
pub(crate) struct FramingScanner {
    state: State,
    line: Line,
    head: Head,
    heads: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request line; blank lines are skipped here.
    Start,
    Headers,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// Nothing more to learn: refused, or not HTTP.
    Off,
}

#[derive(Debug, Default)]
struct Head {
    lengths: u32,
    length: u64,
    coded: u32,
    broken: bool,
}

/// The current line, or its start when it came in pieces.
#[derive(Debug)]
struct Line {
    kept: [u8; KEPT],
    len: usize,
}

impl FramingScanner {
    pub(crate) fn new() -> Self {
        FramingScanner {
            state: State::Start,
            line: Line { kept: [0; KEPT], len: 0 },
            head: Head::default(),
            heads: 0,
        }
    }

    /// Reads on. Gives the number (from 0) of the first request that must be refused, once.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while !bytes.is_empty() {
            match self.state {
                State::Off => return None,
                State::Body(left) => bytes = self.skip(bytes, left, State::Body, State::Start),
                State::ChunkData(left) => bytes = self.skip(bytes, left, State::ChunkData, State::ChunkEnd),
                State::Start | State::Headers | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.line.keep(bytes);
                        return None;
                    };
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    bytes = rest;
                    if self.line.len == 0 {
                        self.end_of_line(line);
                    } else {
                        self.line.keep(line);
                        let (kept, len) = (self.line.kept, self.line.len);
                        self.line.len = 0;
                        self.end_of_line(&kept[..len]);
                    }
                    if self.head.broken {
                        self.head.broken = false;
                        self.state = State::Off;
                        return Some(self.heads - 1);
                    }
                }
            }
        }
        None
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, stay: fn(u64) -> State, then: State) -> &'a [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - here as u64;
        self.state = if left == 0 { then } else { stay(left) };
        &bytes[here..]
    }

    fn end_of_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.state {
            State::Start if line.is_empty() => {}
            State::Start => {
                self.heads += 1;
                self.head = Head::default();
                self.state = State::Headers;
            }
            State::Headers if line.is_empty() => self.end_of_head(),
            State::Headers => self.header(line),
            State::ChunkSize => {
                let size =
                    line.split(|byte| *byte == b';').next().map(<[u8]>::trim_ascii).and_then(hex_number);
                self.state = match size {
                    Some(0) => State::Trailers,
                    Some(size) => State::ChunkData(size),
                    // hyper refuses this body; there is no further request on the connection.
                    None => State::Off,
                };
            }
            State::ChunkEnd => self.state = if line.is_empty() { State::ChunkSize } else { State::Off },
            State::Trailers if line.is_empty() => self.state = State::Start,
            State::Trailers | State::Body(_) | State::ChunkData(_) | State::Off => {}
        }
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.head.lengths += 1;
            match decimal_number(value) {
                // A line this long may have been cut, and no honest length is.
                Some(length) if line.len() < KEPT => self.head.length = length,
                _ => self.head.broken = true,
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.coded += 1;
            // Any other coding than chunked alone is one that somebody on the way may not know.
            self.head.broken |= !value.eq_ignore_ascii_case(b"chunked");
        }
        self.head.broken |=
            self.head.lengths > 1 || self.head.coded > 1 || (self.head.lengths > 0 && self.head.coded > 0);
    }

    fn end_of_head(&mut self) {
        self.state = match self.head {
            Head { coded: 1.., .. } => State::ChunkSize,
            Head { length: 1.., .. } => State::Body(self.head.length),
            _ => State::Start,
        };
    }
}

impl Line {
    fn keep(&mut self, bytes: &[u8]) {
        let room = (KEPT - self.len).min(bytes.len());
        self.kept[self.len..self.len + room].copy_from_slice(&bytes[..room]);
        self.len += room;
    }
}

fn decimal_number(digits: &[u8]) -> Option<u64> {
    // `str::parse` would take a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

fn hex_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 31\r\n\r\nContent-Length: 1\r\nGET / \r\n\r\nab\
        POST /y HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1d;x=y\r\nPOST / HTTP/1.1\r\nA: b\r\n\r\nabcd\r\n0\r\nT: 1\r\n\r\n\
        \r\nGET /z HTTP/1.1\nHost: a\n\n";

    fn whole(bytes: &[u8]) -> Option<u64> {
        FramingScanner::new().feed(bytes)
    }

    #[test]
    fn honest_pipelines_pass_and_are_counted() {
        let mut scanner = FramingScanner::new();
        assert_eq!(scanner.feed(GOOD), None);
        assert_eq!((scanner.heads, scanner.state), (4, State::Start));
    }

    #[test]
    fn what_has_two_lengths_is_found() {
        for headers in [
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length:",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
            "transfer-ENCODING:\tchunked\r\ncontent-length:5",
            "Content-Length: 99999999999999999999999",
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
            assert_eq!(whole(head.as_bytes()), Some(0), "{headers}");
            let second = [GOOD, head.as_bytes()].concat();
            assert_eq!(whole(&second), Some(4), "{headers}");
        }
    }

    #[test]
    fn a_long_line_in_pieces_keeps_its_name() {
        let mut scanner = FramingScanner::new();
        assert_eq!(scanner.feed(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nCookie: "), None);
        for _ in 0..100 {
            assert_eq!(scanner.feed(&[b'x'; 100]), None);
        }
        assert_eq!(scanner.feed(b"\r\nContent-Len"), None);
        assert_eq!(scanner.feed(b"gth: 3\r\n"), Some(0));
    }

    proptest! {
        #[test]
        fn the_cuts_do_not_matter(cuts in proptest::collection::vec(1usize..20, 1..200)) {
            let bytes = [GOOD, b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"].concat();
            let (mut scanner, mut rest, mut found) = (FramingScanner::new(), bytes.as_slice(), None);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                found = found.or(scanner.feed(piece));
                rest = tail;
            }
            prop_assert_eq!(found, Some(4));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            whole(&bytes);
        }
    }
}
