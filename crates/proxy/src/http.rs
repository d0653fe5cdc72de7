//! HTTP/1.1 messages: one strict reading, one way of writing.
//!
//! What a message says about its own length is where gateways get fooled (request smuggling), so
//! whatever RFC 9112 lets a recipient repair is refused here instead: see [`request`] for the rules.
//! What is forwarded is written anew from what was understood, never copied.

pub(crate) mod body;
pub(crate) mod chunked;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod scan;
pub(crate) mod status;
