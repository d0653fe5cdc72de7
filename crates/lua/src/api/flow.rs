//! What a handler is about to yield for. The prelude yields right after.

use std::time::Duration;

use crate::{
    AnswerEnd, Jump, Op,
    abi::{Export, HostPtr, Text},
    host::{Host, NO_REQUEST, Pending},
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("flow_exit", flow_exit as extern "C" fn(_, _) -> _),
        Export::new("flow_sleep", flow_sleep as extern "C" fn(_, _) -> _),
        Export::new("flow_read_body", flow_read_body as extern "C" fn(_) -> _),
        Export::new("flow_flush", flow_flush as extern "C" fn(_) -> _),
        Export::new("flow_send_head", flow_send_head as extern "C" fn(_) -> _),
        Export::new("flow_socket", flow_socket as extern "C" fn(_, _) -> _),
        Export::new("flow_eof", flow_eof as extern "C" fn(_) -> _),
        Export::new("answer_end", answer_end as extern "C" fn(_) -> _),
        Export::new("flow_jump", flow_jump as extern "C" fn(_) -> _),
        Export::new("flow_exec", flow_exec as extern "C" fn(_, _, _, _, _) -> _),
    ]
}

extern "C" fn flow_exit(host: HostPtr, status: u32) -> i32 {
    host.get().will_yield_for(Pending::Exit(u16::try_from(status).unwrap_or(500)))
}

extern "C" fn flow_sleep(host: HostPtr, seconds: f64) -> i32 {
    // Only a number that the prelude let pass and that no duration can hold comes out as an error.
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    host.get().wait_for(Op::Sleep(duration))
}

extern "C" fn flow_read_body(host: HostPtr) -> i32 {
    host.get().wait_for(Op::ReadBody)
}

extern "C" fn flow_flush(host: HostPtr) -> i32 {
    host.get().wait_for(Op::Flush)
}

extern "C" fn flow_send_head(host: HostPtr) -> i32 {
    host.get().wait_for(Op::SendHead)
}

extern "C" fn flow_socket(host: HostPtr, raw: i32) -> i32 {
    host.get().wait_for(Op::Socket { raw: raw != 0 })
}

extern "C" fn flow_eof(host: HostPtr) -> i32 {
    host.get().wait_for(Op::Eof)
}

/// Whether more can be written, and whether what is written is held back.
extern "C" fn answer_end(host: HostPtr) -> i32 {
    let end = host.get().with(|exchange| match exchange.answer_end() {
        AnswerEnd::Open if exchange.is_buffering() => 4,
        AnswerEnd::Open => 0,
        AnswerEnd::HeaderOnly => 1,
        AnswerEnd::Ended => 2,
        AnswerEnd::Raw => 3,
    });
    end.unwrap_or(NO_REQUEST)
}

/// The request goes on with the path that has been set.
extern "C" fn flow_jump(host: HostPtr) -> i32 {
    jump(host.get(), Jump::Rewrite)
}

/// The request goes on elsewhere: at a path, or at a name that starts with `@`.
extern "C" fn flow_exec(
    host: HostPtr,
    place: Text,
    place_length: usize,
    args: Text,
    args_length: usize,
) -> i32 {
    let place = place.of(place_length).to_vec();
    jump(
        host.get(),
        match place.first() {
            Some(b'@') => Jump::Name(place),
            _ => Jump::Path { path: place, args: args.of(args_length).to_vec() },
        },
    )
}

fn jump(host: &Host, jump: Jump) -> i32 {
    host.with(|exchange| exchange.state().jump = Some(jump));
    host.will_yield_for(Pending::Exit(0))
}
