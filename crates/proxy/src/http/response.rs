//! Answer heads: read as strictly as requests, since an upstream may be anybody's.

use std::mem::MaybeUninit;

use tidegate_core::snapshot::Limits;

use crate::{
    buffer::CAPACITY,
    http::{
        body::{self, Framing},
        fields::Fields,
        head::{self, Head},
    },
};

const PARSED_HEADERS: usize = 256;

/// An answer that cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("malformed head")]
    Malformed,
    #[error("head is too large")]
    TooLarge,
    #[error(transparent)]
    Framing(#[from] body::Ambiguous),
}

/// The head of the answer that a connection is about to send or has sent.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// 0 while there is none.
    pub(crate) status: u16,
    /// In place of the usual phrase.
    pub(crate) reason: Option<Vec<u8>>,
    pub(crate) fields: Fields,
    pub(crate) framing: Framing,
    /// The upstream connection can be used again.
    pub(crate) keep_alive: bool,
    /// A script wants no `Date`.
    pub(crate) undated: bool,
}

impl Response {
    pub(crate) fn clear(&mut self) {
        self.status = 0;
        self.reason = None;
        self.fields.clear();
        self.framing = Framing::None;
        self.keep_alive = false;
        self.undated = false;
    }

    /// Reads the head at the front of `input`: how long it is, or `None` while it is incomplete.
    /// The first `seen` bytes were there at the last call.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        seen: usize,
        to_head: bool,
        limits: &Limits,
    ) -> Result<Option<usize>, Error> {
        if seen == 0
            && let Some(size) = self.read_whole(input, to_head, limits)?
        {
            return Ok(Some(size));
        }
        let size = match head::find(input, seen) {
            Head::Complete(size) if size <= limits.response_header_bytes => size,
            // A full buffer could take nothing more.
            Head::Partial if input.len() <= limits.response_header_bytes.min(CAPACITY - 1) => {
                return Ok(None);
            }
            Head::Complete(_) | Head::Partial => return Err(Error::TooLarge),
            Head::BareLineFeed => return Err(Error::Malformed),
        };
        let read = self.read_whole(&input[..size], to_head, limits)?;
        read.filter(|&read| read == size).map(Some).ok_or(Error::Malformed)
    }

    /// Reads a head that has come whole and that nothing is wrong with; of any other it says nothing.
    fn read_whole(&mut self, input: &[u8], to_head: bool, limits: &Limits) -> Result<Option<usize>, Error> {
        let mut headers = [const { MaybeUninit::uninit() }; PARSED_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let complete = config.parse_response_with_uninit_headers(&mut parsed, input, &mut headers);
        let Ok(httparse::Status::Complete(size)) = complete else { return Ok(None) };
        let head = &input[..size];
        if size > limits.response_header_bytes || !head::is_strict(head, parsed.headers) {
            return Ok(None);
        }
        let (Some(version), Some(status @ 100..)) = (parsed.version, parsed.code) else {
            return Err(Error::Malformed);
        };
        self.status = status;
        self.fields.load(head, parsed.headers);
        let declared = body::declared(&self.fields)?;
        let bodiless = to_head || status < 200 || matches!(status, 204 | 304);
        self.framing = if bodiless { Framing::None } else { declared.unwrap_or(Framing::UntilClose) };
        let has = |token| self.fields.connection_has(token);
        let persistent = if version == 1 { !has(b"close") } else { has(b"keep-alive") };
        self.keep_alive = persistent && self.framing != Framing::UntilClose;
        Ok(Some(size))
    }

    /// 1xx other than 101: the real answer is still to come.
    pub(crate) const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str, to_head: bool) -> Result<(u16, Framing, bool), Error> {
        let mut response = Response::default();
        let limits = Limits { response_header_bytes: 200, ..Limits::default() };
        let size = response.read(input.as_bytes(), 0, to_head, &limits)?;
        assert_eq!(size, Some(input.len()), "{input:?}");
        Ok((response.status, response.framing, response.keep_alive))
    }

    fn framing(head: &str) -> (Framing, bool) {
        let (_, framing, keep_alive) = read(&format!("HTTP/1.1 {head}\r\n\r\n"), false).unwrap();
        (framing, keep_alive)
    }

    #[test]
    fn the_length_follows_from_status_and_fields() {
        assert_eq!(framing("200 OK\r\nContent-Length: 5"), (Framing::Length(5), true));
        assert_eq!(framing("200 OK\r\nTransfer-Encoding: chunked"), (Framing::Chunked, true));
        assert_eq!(framing("200 OK"), (Framing::UntilClose, false));
        assert_eq!(framing("204 No Content\r\nContent-Length: 5"), (Framing::None, true));
        assert_eq!(framing("304 Not Modified\r\nContent-Length: 5"), (Framing::None, true));
        assert_eq!(framing("100 Continue"), (Framing::None, true));
        assert_eq!(framing("200 OK\r\nContent-Length: 5\r\nConnection: close"), (Framing::Length(5), false));
        let to_head = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true);
        assert_eq!(to_head, Ok((200, Framing::None, true)));
    }

    #[test]
    fn http_1_0_upstreams_close_unless_they_say_otherwise() {
        assert_eq!(
            read("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false),
            Ok((200, Framing::Length(5), false))
        );
        let kept = read("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false);
        assert_eq!(kept, Ok((200, Framing::Length(5), true)));
    }

    #[test]
    fn an_answer_that_could_be_read_in_two_ways_is_refused() {
        let refused = |head: &str| read(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"), false).unwrap_err();
        assert_eq!(refused("Content-Length: 5\r\nContent-Length: 5"), body::Ambiguous::RepeatedLength.into());
        assert_eq!(
            refused("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            body::Ambiguous::LengthAndEncoding.into()
        );
        assert_eq!(refused("X : a"), Error::Malformed);
        assert_eq!(refused("X: a\n Y: b"), Error::Malformed);
        assert_eq!(refused(&format!("X: {}", "y".repeat(300))), Error::TooLarge);
        assert_eq!(read("HTTP/1.1 099 No\r\n\r\n", false), Err(Error::Malformed));
    }
}
