//! The Rust half of `ngx.*`: functions that the prelude calls through LuaJIT's FFI, by topic.
//!
//! Each answers a code of [`crate::host`] or a number; anything else comes back through the host's
//! block. Arguments have been checked by the prelude.

mod arguments;
mod balancer;
pub(crate) mod body;
pub(crate) mod capture;
mod context;
mod dictionary;
mod digest;
mod flow;
mod handshake;
mod job;
mod library;
mod log;
mod output;
mod pipe;
mod regex;
mod request;
mod response;
mod socket;
mod text;
mod thread;
mod time;
mod timer;
mod tls;
mod udp;
mod variable;

use crate::abi::Export;

/// Everything that the prelude can call.
pub(crate) fn exports() -> Vec<Export> {
    [
        arguments::exports(),
        balancer::exports(),
        body::exports(),
        capture::exports(),
        context::exports(),
        dictionary::exports(),
        digest::exports(),
        flow::exports(),
        handshake::exports(),
        library::exports(),
        job::exports(),
        log::exports(),
        output::exports(),
        pipe::exports(),
        regex::exports(),
        request::exports(),
        response::exports(),
        socket::exports(),
        text::exports(),
        thread::exports(),
        time::exports(),
        timer::exports(),
        tls::exports(),
        udp::exports(),
        variable::exports(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
