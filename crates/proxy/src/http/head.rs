//! Where the head of a message ends.

/// Whether the block that was received ends a head, and with which line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// No empty line yet.
    Partial,
    /// That many bytes, every line ended by CR LF.
    Complete(usize),
    /// Some line of the head is ended by a bare LF.
    BareLineFeed,
}

/// Finds the empty line. Only the bytes from `from` on are new since the last call.
///
/// A bare LF is found here, as the parser behind is more lenient than this gateway may be.
pub(crate) fn find(input: &[u8], from: usize) -> Head {
    for offset in memchr::memchr_iter(b'\n', &input[from..]) {
        let feed = from + offset;
        if feed == 0 || input[feed - 1] != b'\r' {
            return Head::BareLineFeed;
        }
        if feed >= 3 && input[feed - 3..feed] == *b"\r\n\r" {
            return Head::Complete(feed + 1);
        }
    }
    Head::Partial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_the_first_empty_line() {
        assert_eq!(find(b"GET / HTTP/1.1\r\na: b\r\n\r\nrest\n", 0), Head::Complete(24));
        assert_eq!(find(b"GET / HTTP/1.1\r\na: b\r\n\r", 0), Head::Partial);
        assert_eq!(find(b"a\r\n\r\n", 4), Head::Complete(5));
        assert_eq!(find(b"", 0), Head::Partial);
    }

    #[test]
    fn a_bare_line_feed_is_seen_before_the_head_ends() {
        assert_eq!(find(b"GET / HTTP/1.1\nHost: a\n", 0), Head::BareLineFeed);
        assert_eq!(find(b"GET / HTTP/1.1\r\nHost: a\n\r\n", 0), Head::BareLineFeed);
        assert_eq!(find(b"\n", 0), Head::BareLineFeed);
    }
}
