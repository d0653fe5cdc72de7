//! A request and its answer, as Lua sees them.
//!
//! The host knows no sockets and no HTTP: the data plane implements [`Exchange`] for its own
//! request type, and everything `ngx.*` reads or changes goes through it. Methods are called from
//! LuaJIT's FFI on the hot path, so none of them blocks, fails by panicking, or calls back into Lua.

use std::{borrow::Cow, net::SocketAddr};

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

    /// Same as [`Exchange::set_header`], for the response. Fails once the head has been sent.
    fn set_response_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader>;

    /// Query string without `?`; `None` when the target has none.
    fn args(&self) -> Option<&[u8]>;

    /// The value of an nginx variable that the request defines (`request_uri`, `upstream_addr` …), or
    /// `None`. `arg_*`, `http_*` and `sent_http_*` are resolved by the host and never asked for.
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>>;

    /// Gives a variable that the configuration defines another value, or none. Answers whether it could.
    fn set_variable(&mut self, name: &[u8], value: &[u8]) -> bool;

    /// 0 until one is set.
    fn status(&self) -> u16;

    fn set_status(&mut self, status: u16);

    /// Whether the response head is on its way and can no longer change.
    fn headers_sent(&self) -> bool;

    /// Appends to the body of the response that Lua makes. Returns whether so much is waiting to be
    /// sent that the caller should yield [`Op::Flush`](crate::Op::Flush).
    fn write(&mut self, bytes: &[u8]) -> bool;

    /// The request body, once [`Op::ReadBody`](crate::Op::ReadBody) has been answered.
    fn body(&self) -> Option<&[u8]>;

    /// Peer address of the client's connection.
    fn client(&self) -> SocketAddr;

    /// The host's own state of this request.
    fn state(&mut self) -> &mut crate::RequestState;
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
