//! `ngx.location.capture` and `capture_multi`.
//!
//! The prelude describes one request after the other, has them served, waits, and fetches the answers. What was
//! asked for and not fetched goes with the request.

use std::{cell::RefCell, rc::Rc};

use crate::{
    Captured, Op, Reply, Sharing, Subrequest, SubrequestBody,
    abi::{Export, HostPtr, Text},
    exchange::Exchange,
    host::{Host, MISSING, NO_REQUEST, OK, Pending},
    subrequest::{self, MOST},
    task::CtxSlot,
};

/// The block has why it failed.
const FAILED: i32 = -1;

/// The subrequests of a request.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    /// To be served by the next call.
    described: Vec<Subrequest>,
    /// By number; empty places are free.
    answers: Vec<Option<Rc<RefCell<Vec<Captured>>>>>,
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("capture_describe", capture_describe as extern "C" fn(_, _, _, _, _, _, _, _, _) -> _),
        Export::new("capture_body", capture_body as extern "C" fn(_, _, _, _) -> _),
        Export::new("capture_variable", capture_variable as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("capture_header", capture_header as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("capture_context", capture_context as extern "C" fn(_) -> _),
        Export::new("capture_begin", capture_begin as extern "C" fn(_) -> _),
        Export::new("capture_drop", capture_drop as extern "C" fn(_) -> _),
        Export::new("capture_status", capture_status as extern "C" fn(_, _, _) -> _),
        Export::new("capture_headers", capture_headers as extern "C" fn(_, _, _) -> _),
        Export::new("capture_text", capture_text as extern "C" fn(_, _, _) -> _),
        Export::new("capture_end", capture_end as extern "C" fn(_, _) -> _),
    ]
}

/// Describes one more request. `sharing`: 0 nothing, 1 copy, 2 all.
extern "C" fn capture_describe(
    host: HostPtr,
    method: Text,
    method_length: usize,
    path: Text,
    path_length: usize,
    args: Text,
    args_length: usize,
    sharing: i32,
    inherits: i32,
) -> i32 {
    let request = Subrequest {
        method: method.of(method_length).to_vec(),
        path: path.of(path_length).to_vec(),
        args: args.of(args_length).to_vec(),
        sharing: match sharing {
            2 => Sharing::All,
            1 => Sharing::Copy,
            _ => Sharing::Nothing,
        },
        body: if inherits != 0 { SubrequestBody::Inherited } else { SubrequestBody::None },
        ..Subrequest::default()
    };
    let describe = |exchange: &mut dyn Exchange| {
        let described = &mut exchange.state().captures.described;
        if described.len() >= MOST {
            return MISSING;
        }
        described.push(request);
        OK
    };
    host.get().with(describe).unwrap_or(NO_REQUEST)
}

/// Changes the request that was described last.
fn change(host: HostPtr, change: impl FnOnce(&mut Subrequest)) -> i32 {
    let last = |exchange: &mut dyn Exchange| exchange.state().captures.described.last_mut().map(change);
    host.get().with(last).map_or(NO_REQUEST, |changed| changed.map_or(MISSING, |()| OK))
}

extern "C" fn capture_body(host: HostPtr, body: Text, length: usize, _kind: i32) -> i32 {
    change(host, |request| request.body = SubrequestBody::Own(body.of(length).to_vec()))
}

extern "C" fn capture_variable(
    host: HostPtr,
    name: Text,
    name_length: usize,
    value: Text,
    value_length: usize,
) -> i32 {
    let name = name.of(name_length).to_ascii_lowercase();
    change(host, |request| request.vars.push((name, value.of(value_length).to_vec())))
}

extern "C" fn capture_header(
    host: HostPtr,
    name: Text,
    name_length: usize,
    value: Text,
    value_length: usize,
) -> i32 {
    let (name, value) = (name.of(name_length).to_vec(), value.of(value_length).to_vec());
    change(host, |request| request.headers.push((name, value)))
}

/// Gives the request an `ngx.ctx` of its own; answers the number of its table.
extern "C" fn capture_context(host: HostPtr) -> i32 {
    let host_ = host.get();
    let slot = CtxSlot::new(&host_.retired);
    let number = slot.number();
    let code = change(host, |request| request.state.ctx = Some(slot));
    if code == OK { number } else { code }
}

/// Forgets what was described.
extern "C" fn capture_drop(host: HostPtr) -> i32 {
    host.get().with(|exchange| exchange.state().captures.described.clear()).map_or(NO_REQUEST, |()| OK)
}

/// Has all that was described served; answers the number that the answers will have.
extern "C" fn capture_begin(host: HostPtr) -> i32 {
    let host = host.get();
    let answers: Rc<RefCell<Vec<Captured>>> = Rc::default();
    let begin = |exchange: &mut dyn Exchange| {
        let described = std::mem::take(&mut exchange.state().captures.described);
        let mut requests = Vec::with_capacity(described.len());
        for request in described {
            requests.push(exchange.subrequest(request)?);
        }
        let places = &mut exchange.state().captures.answers;
        let free = places.iter().position(Option::is_none).unwrap_or(places.len());
        if free == places.len() {
            places.push(None);
        }
        places[free] = Some(Rc::clone(&answers));
        Ok((free, requests))
    };
    match host.with(begin) {
        None => NO_REQUEST,
        Some(Err(why)) => {
            let why: String = why;
            host.give_written(|out| out.extend_from_slice(why.as_bytes()));
            FAILED
        }
        Some(Ok((number, requests))) => {
            let work = async move {
                let captured = subrequest::all(requests).await;
                answers.replace(captured);
                Reply::Done
            };
            host.will_yield_for(Pending::Capture(Op::Detached(Box::pin(work))));
            i32::try_from(number).unwrap_or(i32::MAX)
        }
    }
}

/// Hands an answer to `f`.
fn with_answer(host: &Host, number: u32, index: u32, f: impl FnOnce(&Captured) -> i32) -> i32 {
    let read = |exchange: &mut dyn Exchange| {
        let answers = exchange.state().captures.answers.get(number as usize)?.clone()?;
        let answers = answers.borrow();
        answers.get(index as usize).map(f)
    };
    host.with(read).map_or(NO_REQUEST, |answer| answer.unwrap_or(MISSING))
}

/// The status; the block's flags say whether the body is cut short.
extern "C" fn capture_status(host: HostPtr, number: u32, index: u32) -> i32 {
    let host = host.get();
    with_answer(host, number, index, |answer| {
        host.block.flags.set(u32::from(answer.truncated));
        i32::from(answer.status)
    })
}

extern "C" fn capture_headers(host: HostPtr, number: u32, index: u32) -> i32 {
    let host = host.get();
    with_answer(host, number, index, |answer| {
        host.give_pairs(|pairs| {
            for (name, value) in &answer.headers {
                pairs.push(name, value, false);
            }
        })
    })
}

/// The body. It is read before anything else is called.
extern "C" fn capture_text(host: HostPtr, number: u32, index: u32) -> i32 {
    let host = host.get();
    with_answer(host, number, index, |answer| host.give(&answer.body))
}

/// The answers have been read: their memory goes, and variables that are shared are set.
extern "C" fn capture_end(host: HostPtr, number: u32) -> i32 {
    let end = |exchange: &mut dyn Exchange| {
        let place = exchange.state().captures.answers.get_mut(number as usize);
        let answers = place.and_then(Option::take).map(|answers| answers.take());
        for answer in answers.into_iter().flatten() {
            for (name, value) in &answer.vars {
                exchange.set_variable(name, value);
            }
        }
    };
    host.get().with(end).map_or(NO_REQUEST, |()| OK)
}
