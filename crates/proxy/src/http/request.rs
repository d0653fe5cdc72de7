//! Request heads, read strictly.
//!
//! Refused with 400, and the connection closed: repeated or conflicting `Content-Length`, one beside
//! `Transfer-Encoding`, transfer codings that do not plainly end in `chunked`, obsolete line folding,
//! bare CR or LF, white space before a colon or in a name, NUL, a missing or repeated `Host`, and
//! paths that can be read in two ways. RFC 9112 allows a recipient to repair some of these; two
//! recipients that repair differently are how requests get smuggled.

use std::mem::MaybeUninit;

use tidegate_core::snapshot::Limits;
use tidegate_lua::is_token_byte;
use tidegate_traffic::path;

use crate::{
    buffer::CAPACITY,
    http::{
        body::{self, Ambiguous, Framing},
        fields::{Fields, Kind, Span, tokens},
        head::{self, Head},
        scan::{self, RequestLine},
    },
};

/// Header fields that the parser can hold; limits above that are not configurable.
const PARSED_HEADERS: usize = 1024;

/// A request that is answered before a route is looked for; the connection is closed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

/// `a.com:80` without the port.
pub(crate) fn host_name(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if host[colon + 1..].iter().all(u8::is_ascii_digit) => &host[..colon],
        _ => host,
    }
}

const fn refuse(status: u16, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

/// The head of the request that a connection is serving. Reused from request to request.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one message")]
pub(crate) struct Request {
    pub(crate) fields: Fields,
    method: Span,
    target: Span,
    query: Option<Span>,
    path: Span,
    host: Span,
    /// The head as it was received.
    head: Span,
    /// Path or query are not those of the target any more.
    pub(crate) is_rewritten: bool,
    pub(crate) framing: Framing,
    /// HTTP/1.1 rather than 1.0.
    pub(crate) is_11: bool,
    /// The client wants to send more requests on this connection.
    pub(crate) keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// The client offers to switch protocols.
    pub(crate) upgrade: bool,
}

impl Request {
    pub(crate) fn method(&self) -> &[u8] {
        self.fields.text(self.method)
    }

    /// As received, without scheme and authority.
    pub(crate) fn target(&self) -> &[u8] {
        self.fields.text(self.target)
    }

    /// Normalized: see [`tidegate_traffic::path`].
    pub(crate) fn path(&self) -> &[u8] {
        self.fields.text(self.path)
    }

    pub(crate) fn query(&self) -> Option<&[u8]> {
        self.query.map(|query| self.fields.text(query))
    }

    /// Host and port as received; empty for HTTP/1.0 clients that send none.
    pub(crate) fn host(&self) -> &[u8] {
        self.fields.text(self.host)
    }

    pub(crate) fn head(&self) -> &[u8] {
        self.fields.text(self.head)
    }

    pub(crate) fn set_method(&mut self, method: &[u8]) {
        self.method = self.fields.store(method);
    }

    pub(crate) fn set_path(&mut self, path: &[u8]) {
        self.path = self.fields.store(path);
        self.is_rewritten = true;
    }

    pub(crate) fn set_query(&mut self, query: &[u8]) {
        self.query = Some(self.fields.store(query)).filter(|_| !query.is_empty());
        self.is_rewritten = true;
    }

    /// The first `Host` that there is now.
    pub(crate) fn find_host(&mut self) {
        self.host = self.fields.spans(Kind::Host).next().unwrap_or_default();
    }

    /// The target for an upstream: as received, unless it has been rewritten.
    pub(crate) fn write_target(&self, output: &mut Vec<u8>) {
        if !self.is_rewritten {
            output.extend_from_slice(self.target());
            return;
        }
        write_escaped(self.path(), output);
        if let Some(query) = self.query() {
            output.push(b'?');
            write_escaped_query(query, output);
        }
    }

    /// A request that is made here rather than received.
    pub(crate) fn compose(&mut self, like: &Self, method: &[u8], path: &[u8], query: &[u8]) {
        self.clear();
        self.fields.reserve_for(&like.fields, method.len() + path.len() + query.len());
        self.head = self.fields.store(like.head());
        self.method = self.fields.store(method);
        self.target = self.fields.store(like.target());
        self.path = self.fields.store(path);
        self.query = Some(self.fields.store(query)).filter(|_| !query.is_empty());
        self.is_rewritten = true;
        self.is_11 = like.is_11;
        self.keep_alive = true;
        for (_, name, value) in like.fields.iter() {
            self.fields.push(name, value);
        }
        self.find_host();
    }

    /// Forgets a request that could not be read to its end.
    pub(crate) fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, is_11: true, ..Self::default() };
    }

    /// Whether the protocol that the client offers to switch to may be tunnelled. HTTP/2 may not: what
    /// came through such a tunnel would be requests that no route and no hook has seen.
    fn offers_tunnel(&self) -> bool {
        let mut offers = self.fields.all(Kind::Upgrade).flat_map(tokens).peekable();
        let is_http = |offer: &[u8]| {
            let protocol = offer.split(|&byte| byte == b'/').next().unwrap_or_default();
            [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|name| protocol.eq_ignore_ascii_case(name))
        };
        offers.peek().is_some() && !offers.any(is_http)
    }

    /// Safe methods that a gateway may repeat by itself.
    pub(crate) fn is_repeatable(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"OPTIONS")
    }

    /// Reads the head at the front of `input`: how long it is, or `None` while it is incomplete.
    /// The first `seen` bytes were there at the last call.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        seen: usize,
        limits: &Limits,
    ) -> Result<Option<usize>, Refusal> {
        // Something else altogether, such as TLS, would not end its lines for a long time.
        if input.first().is_some_and(|&byte| !is_token_byte(byte)) {
            return Err(refuse(400, "not an HTTP request"));
        }
        if seen == 0
            && let Some(size) = self.read_whole(input, limits)?
        {
            return Ok(Some(size));
        }
        let size = match head::find(input, seen) {
            Head::Complete(size) if size <= limits.header_bytes => size,
            // A full buffer could take nothing more.
            Head::Partial if input.len() <= limits.header_bytes.min(CAPACITY - 1) => return Ok(None),
            Head::Complete(_) | Head::Partial => return Err(too_large(input, limits)),
            Head::BareLineFeed => return Err(refuse(400, "a line is not ended by CR LF")),
        };
        self.parse(&input[..size], limits)?;
        Ok(Some(size))
    }

    /// Reads a head that has come whole and that nothing is wrong with, as nearly all do, without looking for its end
    /// before. Of any other it says nothing.
    fn read_whole(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        let Some((size, line)) = scan::head(input, &mut self.fields) else {
            // What there was of another request is of no use any more.
            self.clear();
            return Ok(None);
        };
        if size > limits.header_bytes {
            self.clear();
            return Ok(None);
        }
        self.take(&input[..size], line, limits)?;
        Ok(Some(size))
    }

    /// Reads a head whose lines are all ended by CR LF.
    #[expect(clippy::large_stack_arrays, reason = "only as much of it is touched as there are headers")]
    fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let mut headers = [const { MaybeUninit::uninit() }; PARSED_HEADERS];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(input, &mut headers) {
            Ok(httparse::Status::Complete(size)) if size == input.len() => {}
            Ok(_) => return Err(refuse(400, "malformed request")),
            Err(error) => return Err(unparsable(error, input)),
        }
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(refuse(400, "malformed request line"));
        };
        self.fields.load(input, parsed.headers);
        let line = RequestLine { method: method.as_bytes(), target: target.as_bytes(), is_11: version == 1 };
        self.take(input, line, limits)
    }

    /// Takes over what was read of `input`, which is the head; its fields are there already.
    fn take(&mut self, input: &[u8], line: RequestLine<'_>, limits: &Limits) -> Result<(), Refusal> {
        let RequestLine { method, target, is_11 } = line;
        if self.fields.len() > limits.header_count {
            return Err(refuse(431, "too many header fields"));
        }
        if target.len() > limits.uri_bytes {
            return Err(refuse(414, "request target is too long"));
        }
        self.method = Span::within(input, method);
        self.head = Span::within(input, input);
        self.is_rewritten = false;
        self.is_11 = is_11;
        self.read_target(input, method, target)?;
        self.read_framing()?;
        self.read_connection()
    }

    fn read_target(&mut self, input: &[u8], method: &[u8], target: &[u8]) -> Result<(), Refusal> {
        let mut hosts = self.fields.spans(Kind::Host);
        let host = hosts.next();
        if hosts.next().is_some() || (host.is_none() && self.is_11) {
            return Err(refuse(400, "there must be one Host"));
        }
        drop(hosts);
        let (authority, origin) = split_target(method, target)?;
        self.target = if origin.is_empty() { self.fields.store(b"/") } else { Span::within(input, origin) };
        self.host = match authority {
            // It counts more than the Host beside it (RFC 9112, 3.2.2).
            Some(authority) => {
                self.fields.remove_kind(Kind::Host);
                self.fields.push(b"Host", authority);
                Span::within(input, authority)
            }
            None => host.unwrap_or_default(),
        };
        if !is_host(self.host()) {
            return Err(refuse(400, "malformed Host"));
        }
        self.read_path(input, origin)
    }

    fn read_path(&mut self, input: &[u8], origin: &[u8]) -> Result<(), Refusal> {
        if origin.contains(&b'#') {
            return Err(refuse(400, "request target has a fragment"));
        }
        let (path, query) = match memchr::memchr(b'?', origin) {
            Some(at) => (&origin[..at], Some(&origin[at + 1..])),
            None => (origin, None),
        };
        self.query = query.map(|query| Span::within(input, query));
        if matches!(path, b"*" | b"") {
            self.path = self.fields.store(if path == b"*" { b"*" } else { b"/" });
            return Ok(());
        }
        let normal = path::normalize(path).map_err(|error| match error {
            path::Error::NotAbsolute => refuse(400, "request target is not a path"),
            path::Error::Encoding => refuse(400, "request target has a broken percent-encoding"),
            path::Error::Nul => refuse(400, "request target has a NUL"),
            path::Error::AboveRoot => refuse(400, "request target leads above the root"),
        })?;
        self.path = match normal {
            std::borrow::Cow::Borrowed(_) => Span::within(input, path),
            std::borrow::Cow::Owned(path) => self.fields.store(&path),
        };
        Ok(())
    }

    fn read_framing(&mut self) -> Result<(), Refusal> {
        let declared = body::declared(&self.fields).map_err(|ambiguous| match ambiguous {
            Ambiguous::RepeatedLength => refuse(400, "more than one Content-Length"),
            Ambiguous::BadLength => refuse(400, "Content-Length is not a number"),
            Ambiguous::LengthAndEncoding => refuse(400, "both Content-Length and Transfer-Encoding"),
            Ambiguous::BadEncoding => refuse(400, "Transfer-Encoding is not plainly chunked"),
            Ambiguous::UnknownEncoding => refuse(501, "transfer coding is not supported"),
        })?;
        if declared == Some(Framing::Chunked) && !self.is_11 {
            return Err(refuse(400, "Transfer-Encoding in HTTP/1.0"));
        }
        self.framing = declared.unwrap_or(Framing::None);
        Ok(())
    }

    fn read_connection(&mut self) -> Result<(), Refusal> {
        let has_connection = self.fields.contains(Kind::Connection);
        let has = |token: &[u8]| has_connection && self.fields.connection_has(token);
        self.keep_alive = if self.is_11 { !has(b"close") } else { has(b"keep-alive") && !has(b"close") };
        self.upgrade = self.is_11 && has(b"upgrade") && self.offers_tunnel();
        let expectation = self.fields.all(Kind::Expect).next();
        self.expects_continue = match expectation {
            None => false,
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
                self.is_11 && self.framing != Framing::None && self.framing != Framing::Length(0)
            }
            Some(_) => return Err(refuse(417, "unknown expectation")),
        };
        Ok(())
    }
}

/// A path as it stands in a target: what has a meaning there, or none anywhere, is encoded.
fn write_escaped(path: &[u8], output: &mut Vec<u8>) {
    for &byte in path {
        if byte.is_ascii_graphic() && !matches!(byte, b'#' | b'%' | b'?') {
            output.push(byte);
        } else {
            write_encoded(byte, output);
        }
    }
}

/// A query is encoded already, but for what would end the request line.
fn write_escaped_query(query: &[u8], output: &mut Vec<u8>) {
    for &byte in query {
        if byte.is_ascii_control() || byte == b' ' {
            write_encoded(byte, output);
        } else {
            output.push(byte);
        }
    }
}

fn write_encoded(byte: u8, output: &mut Vec<u8>) {
    let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
    output.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
}

fn too_large(input: &[u8], limits: &Limits) -> Refusal {
    let line = memchr::memchr(b'\n', input).unwrap_or(input.len());
    if line > limits.uri_bytes {
        refuse(414, "request target is too long")
    } else {
        refuse(431, "request head is too large")
    }
}

fn unparsable(error: httparse::Error, input: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => refuse(431, "too many header fields"),
        httparse::Error::Version if names_version(input) => {
            refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        }
        httparse::Error::HeaderName => refuse(400, "malformed header name or folded header line"),
        httparse::Error::HeaderValue => refuse(400, "malformed header value"),
        _ => refuse(400, "malformed request"),
    }
}

/// Whether the request line is well-formed but for a version that is unknown.
fn names_version(input: &[u8]) -> bool {
    let line = input.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
    matches!(words[..], [_, _, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']])
}

/// The authority, if the target names one, and the target in origin form (RFC 9112, 3.2).
fn split_target<'a>(method: &[u8], target: &'a [u8]) -> Result<(Option<&'a [u8]>, &'a [u8]), Refusal> {
    if method == b"CONNECT" {
        return Err(refuse(405, "CONNECT is not supported"));
    }
    if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
        return Ok((None, target));
    }
    let is_http = target.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http://"));
    if !is_http {
        return Err(refuse(400, "request target is not a path"));
    }
    let rest = &target[7..];
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    if authority.is_empty() || authority.contains(&b'@') || origin.starts_with(b"?") {
        return Err(refuse(400, "malformed request target"));
    }
    Ok((Some(authority), origin))
}

/// A name or address with an optional port, or nothing.
fn is_host(host: &[u8]) -> bool {
    host.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(&byte))
}

#[cfg(test)]
mod tests;
