//! The one reading of a request path.
//!
//! Routes match the *normalized* path: percent-encoding decoded once, `.` and `..` resolved, runs of
//! slashes merged, as nginx does it. A path that could be read in two ways (an encoding that is
//! none, a NUL, a `..` above the root) is an error, so nothing can be matched as one path here and
//! served as another behind.
//!
//! Most paths are normal already; for these nothing is copied.

use std::borrow::Cow;

/// Why a path cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Does not start with a slash.
    NotAbsolute,
    /// A `%` without two hexadecimal digits behind it.
    Encoding,
    /// NUL, plain or encoded.
    Nul,
    /// More `..` than folders.
    AboveRoot,
}

/// Reads `path`, the request target up to its `?`.
pub fn normalize(path: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if path.first() != Some(&b'/') {
        return Err(Error::NotAbsolute);
    }
    if is_normal(path) {
        return Ok(Cow::Borrowed(path));
    }
    resolve(&decode(path)?).map(Cow::Owned)
}

/// Whether nothing in `path` needs a second look. A dot after a slash does, as it may be a `..`.
fn is_normal(path: &[u8]) -> bool {
    let mut previous = 0;
    path.iter().all(|&byte| {
        let plain = byte != b'%' && byte != 0 && !(previous == b'/' && matches!(byte, b'/' | b'.'));
        previous = byte;
        plain
    })
}

fn decode(path: &[u8]) -> Result<Vec<u8>, Error> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let high = rest.next().and_then(|&digit| hex(digit)).ok_or(Error::Encoding)?;
                let low = rest.next().and_then(|&digit| hex(digit)).ok_or(Error::Encoding)?;
                high << 4 | low
            }
            byte => byte,
        };
        if byte == 0 {
            return Err(Error::Nul);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn resolve(decoded: &[u8]) -> Result<Vec<u8>, Error> {
    let mut path: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut segments = decoded[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = path.iter().rposition(|&byte| byte == b'/').ok_or(Error::AboveRoot)?;
                path.truncate(parent);
            }
            name => {
                path.push(b'/');
                path.extend_from_slice(name);
            }
        }
        // What ended as a folder stays one: "/a/.", "/a/b/.." and "/a/" are all "/a/".
        if last && matches!(segment, b"" | b"." | b"..") {
            path.push(b'/');
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expect: Result<&str, Error>) {
        let read = normalize(path.as_bytes());
        assert_eq!(read.as_deref(), expect.map(str::as_bytes).as_ref().map(|bytes| *bytes), "{path}");
    }

    #[test]
    fn paths_are_read_as_nginx_reads_them() {
        check("/", Ok("/"));
        check("/a/b.c", Ok("/a/b.c"));
        check("/a%20b", Ok("/a b"));
        check("/a//b///c", Ok("/a/b/c"));
        check("/a/./b", Ok("/a/b"));
        check("/a/../b", Ok("/b"));
        check("/a/b/..", Ok("/a/"));
        check("/a/.", Ok("/a/"));
        check("/a/", Ok("/a/"));
        check("//", Ok("/"));
        check("/.well-known/x", Ok("/.well-known/x"));
        check("/..a", Ok("/..a"));
    }

    #[test]
    fn an_encoded_way_out_is_seen() {
        check("/public/%2e%2e/admin", Ok("/admin"));
        check("/public%2f..%2fadmin", Ok("/admin"));
        check("/a/%252e%252e/b", Ok("/a/%2e%2e/b"));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        check("a", Err(Error::NotAbsolute));
        check("", Err(Error::NotAbsolute));
        check("/..", Err(Error::AboveRoot));
        check("/a/../../b", Err(Error::AboveRoot));
        check("/%zz", Err(Error::Encoding));
        check("/%4", Err(Error::Encoding));
        check("/a%00", Err(Error::Nul));
        check("/a\0", Err(Error::Nul));
    }

    proptest! {
        #[test]
        fn a_normal_path_has_no_dots_no_double_slash_and_stays_as_it_is(path in "/[a-c./%2e]{0,24}") {
            if let Ok(once) = normalize(path.as_bytes()) {
                let once = once.into_owned();
                prop_assert_eq!(once[0], b'/');
                prop_assert!(!once.windows(2).any(|pair| pair == b"//"));
                prop_assert!(!once.split(|&b| b == b'/').any(|part| part == b"." || part == b".."));
                if !once.contains(&b'%') {
                    let twice = normalize(&once);
                    prop_assert_eq!(twice.as_deref(), Ok(&once[..]));
                }
            }
        }
    }
}
