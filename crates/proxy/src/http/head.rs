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

/// Whether every line of a head that the parser has accepted is ended by CR LF, and no more than one empty line is before
/// it. Each other line feed in it is before a header or at its end, because there are no other lines.
pub(crate) fn is_strict(head: &[u8], headers: &[httparse::Header<'_>]) -> bool {
    let before = |header: &httparse::Header<'_>| {
        let start = header.name.as_ptr() as usize - head.as_ptr() as usize;
        head[..start].ends_with(b"\r\n")
    };
    let start = head.strip_prefix(b"\r\n").unwrap_or(head);
    !start.starts_with(b"\r")
        && !start.starts_with(b"\n")
        && head.ends_with(b"\r\n\r\n")
        && headers.iter().all(before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What the parser accepts is strict where the search for its end finds no bare line feed.
        #[test]
        fn strictness_is_what_the_search_for_the_end_sees(
            ends in prop::collection::vec((any::<bool>(), "[a-z]{1,3}", "[a-z \r\t]{0,3}"), 1..6),
            first in any::<bool>(),
            last in any::<bool>(),
            empty in prop::sample::select(vec!["", "", "\r\n", "\n", "\r\n\n", "\n\r\n", "\r\n\r\n"]),
        ) {
            let end = |strict: bool| if strict { "\r\n" } else { "\n" };
            let mut text = format!("{empty}GET / HTTP/1.1{}", end(first));
            for (strict, name, value) in &ends {
                text += &[name, ":", value, end(*strict)].concat();
            }
            text += end(last);
            let mut headers = [httparse::EMPTY_HEADER; 8];
            let mut parsed = httparse::Request::new(&mut headers);
            if let Ok(httparse::Status::Complete(size)) = parsed.parse(text.as_bytes()) {
                let found = find(text.as_bytes(), 0);
                prop_assert_eq!(is_strict(&text.as_bytes()[..size], parsed.headers), found == Head::Complete(size));
            }
        }
    }

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
