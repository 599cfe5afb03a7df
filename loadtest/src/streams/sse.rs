//! Server-sent events, parsed as they come (WHATWG HTML, 9.2.6): any chunking, any of the three line ends.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// The last `id:` so far.
    pub id: String,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
}

/// A line or an event that is larger than any of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {MOST} bytes")]
pub struct TooLarge;

/// The largest event.
const MOST: usize = 1024 * 1024;

/// What is left of the bytes so far.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_return: bool,
    begun: bool,
    id: String,
    data: Option<String>,
}

impl Parser {
    /// Takes bytes, gives each event that they complete.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(SseEvent)) -> Result<(), TooLarge> {
        for &byte in bytes {
            let second_half = std::mem::take(&mut self.after_return) && byte == b'\n';
            if second_half {
                continue;
            }
            match byte {
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    if let Some(event) = self.take_line(&line) {
                        each(event);
                    }
                    // The line's memory serves for the next one.
                    self.line = line;
                    self.line.clear();
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > MOST {
                return Err(TooLarge);
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Option<SseEvent> {
        let text = String::from_utf8_lossy(line);
        let mut text = text.as_ref();
        if !std::mem::replace(&mut self.begun, true) {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        if text.is_empty() {
            let data = self.data.take()?;
            return Some(SseEvent { id: self.id.clone(), data });
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            // Comments, the event's name, a pause before reconnecting, and what nobody knows.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn all(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for chunk in chunks {
            parser.feed(chunk, |event| events.push((event.id, event.data))).unwrap();
        }
        events
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(id, data)| ((*id).to_owned(), (*data).to_owned())).collect()
    }

    #[test]
    fn what_the_platform_sends_is_read() {
        let text =
            "id: 1\nevent: order\ndata: {\"version\":1}\n\n: ping\n\nid: 2\nevent: order\ndata: {}\n\n";
        assert_eq!(all(&[text.as_bytes()]), pairs(&[("1", "{\"version\":1}"), ("2", "{}")]));
    }

    #[test]
    fn the_corners_of_the_standard() {
        let text = "\u{feff}data:a\r\rdata: b\r\ndata\r\ndata:  c\r\n\r\nid\ndata: d\n\nevent: x\n\ndata: unfinished\n";
        assert_eq!(all(&[text.as_bytes()]), pairs(&[("", "a"), ("", "b\n\n c"), ("", "d")]));
        assert_eq!(
            all(&[b"id: 7\ndata: x\n\ndata: y\n\nid: a\0b\ndata: z\n\n"]),
            pairs(&[("7", "x"), ("7", "y"), ("7", "z")])
        );
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 64 * 1024];
        assert!((0..100).any(|_| parser.feed(&chunk, |_| ()).is_err()));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "(data|id|:|event)?:? ?[a-z\n\r]{0,40}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(all(&chunks), all(&[bytes]));
        }
    }
}
