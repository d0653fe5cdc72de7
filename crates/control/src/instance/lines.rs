//! Cuts a stream of bytes into lines of bounded length.

/// What a line may hold at most, unless a reader says otherwise.
pub const LINE_BYTES: usize = 64 << 10;

/// Collects bytes until a line is whole.
#[derive(Debug)]
pub struct Lines {
    /// The part of a line that has been seen so far.
    begun: Vec<u8>,
    limit: usize,
    /// The rest of a line that was too long is being passed over.
    skipping: bool,
}

/// A line without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    Whole(&'a [u8]),
    /// The beginning of a line that is longer than the limit; its rest is lost.
    Cut(&'a [u8]),
}

impl Line<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Cut(bytes) => bytes,
        }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new(LINE_BYTES)
    }
}

impl Lines {
    /// Lines of at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { begun: Vec::new(), limit, skipping: false }
    }

    /// Takes what was read and calls `each` with every line that it completes.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.collect(&bytes[..end], &mut each);
            self.finish(&mut each);
            bytes = &bytes[end + 1..];
        }
        self.collect(bytes, &mut each);
    }

    /// The stream ended, or a line did: calls `each` with what was begun.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.skipping && !self.begun.is_empty() {
            each(Line::Whole(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun)));
        }
        self.begun.clear();
        self.skipping = false;
    }

    fn collect(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        if self.skipping {
            return;
        }
        let room = self.limit - self.begun.len();
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            each(Line::Cut(&self.begun));
            self.skipping = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(limit: usize, chunks: &[&[u8]]) -> Vec<String> {
        let mut all = Vec::new();
        let mut each = |line: Line<'_>| {
            let mark = if matches!(line, Line::Cut(_)) { "…" } else { "" };
            all.push(format!("{}{mark}", String::from_utf8_lossy(line.bytes())));
        };
        let mut lines = Lines::new(limit);
        for chunk in chunks {
            lines.feed(chunk, &mut each);
        }
        lines.finish(&mut each);
        all
    }

    #[test]
    fn lines_end_where_they_end_however_they_arrive() {
        assert_eq!(cut(9, &[b"one\ntw", b"o\r\n\n", b"three"]), ["one", "two", "three"]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_not() {
        assert_eq!(cut(3, &[b"abc\nabcd", b"efg\nxyz\n"]), ["abc", "abc…", "xyz"]);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "[ab\n]{0,40}", at in prop::collection::vec(0..40_usize, 0..5)) {
            let mut at: Vec<usize> = at.into_iter().map(|at| at.min(text.len())).collect();
            at.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for to in at.into_iter().chain([text.len()]) {
                chunks.push(&text.as_bytes()[from..to]);
                from = to;
            }
            prop_assert_eq!(cut(5, &chunks), cut(5, &[text.as_bytes()]));
        }
    }
}
