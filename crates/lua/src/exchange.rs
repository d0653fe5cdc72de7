//! A request and its answer, as Lua sees them.
//!
//! The host knows no sockets and no HTTP: the data plane implements [`Exchange`] for its own
//! request type, and everything `ngx.*` reads or changes goes through it. Methods are called from
//! LuaJIT's FFI on the hot path, so none of them blocks, fails by panicking, or calls back into Lua.

use std::{borrow::Cow, net::SocketAddr};

use crate::{Capturing, Subrequest};

/// One request in flight.
pub trait Exchange {
    /// As on the wire: `GET`.
    fn method(&self) -> &[u8];

    /// Calls `each` with every request header in order, names as received.
    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8]));

    /// The first request header of that name, ASCII case ignored.
    fn header(&self, name: &[u8]) -> Option<&[u8]>;

    /// Replaces all request headers of that name by one per value; without values it removes them.
    /// Fails on a name that is no token or a value with CR, LF or NUL.
    fn set_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader>;

    /// Calls `each` with every response header in order.
    fn each_response_header(&self, each: &mut dyn FnMut(&[u8], &[u8]));

    /// Calls `each` with the response headers that come of how the answer is sent.
    fn each_implied_header(&self, _each: &mut dyn FnMut(&[u8], &[u8])) {}

    /// Same as [`Exchange::set_header`], for the response. Fails once the head has been sent.
    fn set_response_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader>;

    /// Query string without `?`; `None` when the target has none.
    fn args(&self) -> Option<&[u8]>;

    /// The value of an nginx variable that the request defines (`request_uri`, `upstream_addr` …), or
    /// `None`. `arg_*`, `http_*` and `sent_http_*` are resolved by the host and never asked for.
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>>;

    /// As many bytes as `key` is long, which only this end and the client can make of their connection (RFC 5705). `None`: it
    /// does not speak TLS; `false`: there are none such.
    fn export_key(&self, _key: &mut [u8], _label: &[u8], _context: Option<&[u8]>) -> Option<bool> {
        None
    }

    /// Gives a variable that the configuration defines another value, or none. Answers whether it could.
    fn set_variable(&mut self, name: &[u8], value: &[u8]) -> bool;

    /// Takes the value away: the variable is undefined until it is given one. Answers whether it could.
    fn unset_variable(&mut self, name: &[u8]) -> bool {
        self.set_variable(name, b"")
    }

    /// 0 until one is set.
    fn status(&self) -> u16;

    fn set_status(&mut self, status: u16);

    /// Gives the status another phrase.
    fn set_reason(&mut self, _reason: &[u8]) {}

    /// Whether the response head is on its way and can no longer change.
    fn headers_sent(&self) -> bool;

    /// Appends to the body of the response that Lua makes. Returns whether so much is waiting to be
    /// sent that the caller should yield [`Op::Flush`](crate::Op::Flush).
    fn write(&mut self, bytes: &[u8]) -> bool;

    /// The request body, once [`Op::ReadBody`](crate::Op::ReadBody) has been answered, unless it is in a file.
    fn body(&self) -> Option<&[u8]>;

    fn body_state(&self) -> BodyState;

    /// Where the body is, if it is in a file.
    fn body_file(&self) -> Option<&[u8]> {
        None
    }

    /// Nobody is going to read the body.
    fn discard_body(&mut self);

    /// Puts another body in the place of the one that was read. More than `memory` bytes may go to a file; `None` leaves
    /// that to the configuration. Fails with what the script is told.
    fn set_body(&mut self, body: Vec<u8>, memory: Option<usize>) -> Result<(), String>;

    /// The same with a file, which is removed afterwards if it is to be cleaned up.
    fn set_body_file(&mut self, path: &[u8], clean: bool) -> Result<(), String>;

    fn set_method(&mut self, method: &[u8]);

    /// Gives the request another path, decoded and not normalized.
    fn set_path(&mut self, path: &[u8]);

    /// Gives the request another query string.
    fn set_args(&mut self, args: &[u8]);

    /// Adds a request header to those of the same name.
    fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader>;

    /// Adds a response header to those of the same name.
    fn add_response_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader>;

    /// The head as it was received, or none when that is not known.
    fn raw_head(&self) -> Option<&[u8]> {
        None
    }

    /// Whether the client did not ask for what is being served, but something here did.
    fn is_internal(&self) -> bool {
        false
    }

    fn is_subrequest(&self) -> bool {
        false
    }

    /// Has a request served within this one. Fails with what the script is told.
    fn subrequest(&mut self, _request: Subrequest) -> Result<Capturing, String> {
        Err("failed to issue subrequest: -1".into())
    }

    /// Whether what is written is held back until its length is known.
    fn is_buffering(&self) -> bool {
        false
    }

    /// Whether the answer has been ended: by [`Op::Eof`](crate::Op::Eof), or because it is a head alone that has left.
    fn answer_end(&self) -> AnswerEnd {
        AnswerEnd::Open
    }

    /// Whether somebody looks if the client goes away while a script waits.
    fn is_watched(&self) -> bool {
        false
    }

    /// Peer address of the client's connection.
    fn client(&self) -> SocketAddr;

    /// The host's own state of this request.
    fn state(&mut self) -> &mut crate::RequestState;
}

/// What has become of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyState {
    Unread,
    Discarded,
    Memory,
    File,
}

/// Whether more can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerEnd {
    Open,
    /// Only the head is sent.
    HeaderOnly,
    Ended,
    /// The connection is the script's.
    Raw,
}

/// Where a script sends the request instead of letting it go on. The run then ends as with `ngx.exit(ngx.OK)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jump {
    /// The route of the path that has been set.
    Rewrite,
    /// The route of another path.
    Path { path: Vec<u8>, args: Vec<u8> },
    /// The route that has this name to go to, `@` included.
    Name(Vec<u8>),
}

/// A header that must not go onto the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("not a header name")]
    Name,
    #[error("a header value must not contain CR, LF or NUL")]
    Value,
    #[error("the headers have been sent already")]
    Sent,
}
