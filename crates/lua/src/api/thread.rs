//! Light threads: which the running one has spawned, how they are, and what it wants of them.

use crate::{
    Ticket,
    abi::{Export, HostPtr},
    crew::{LIMIT, State},
    host::{Host, MISSING, OK, Pending},
};

/// Codes of a thread's state, and of why it cannot be killed.
const ALIVE: i32 = 0;
const ZOMBIE: i32 = 1;
const GONE: i32 = 2;
const CAPTURES: i32 = 3;

/// Why there is nothing that begins when the client goes away.
const UNWATCHED: i32 = 1;
const DUPLICATE: i32 = 2;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("thread_spawn", thread_spawn as extern "C" fn(_) -> _),
        Export::new("thread_watch", thread_watch as extern "C" fn(_) -> _),
        Export::new("thread_state", thread_state as extern "C" fn(_, _) -> _),
        Export::new("thread_expect", thread_expect as extern "C" fn(_, _, _) -> _),
        Export::new("thread_join", thread_join as extern "C" fn(_) -> _),
        Export::new("thread_collect", thread_collect as extern "C" fn(_, _) -> _),
        Export::new("thread_captures", thread_captures as extern "C" fn(_) -> _),
        Export::new("thread_kill", thread_kill as extern "C" fn(_, _) -> _),
    ]
}

/// The ticket of the thread that is yielded next, with its arguments; [`MISSING`] when there are too many.
extern "C" fn thread_spawn(host: HostPtr) -> i32 {
    let host = host.get();
    let full = host.crew.borrow().as_ref().is_some_and(|crew| crew.len() >= LIMIT);
    let Some(ticket) = (!full).then(|| host.new_ticket()).flatten() else { return MISSING };
    let Ok(number) = i32::try_from(ticket.0) else { return MISSING };
    match host.will_yield_for(Pending::Spawn(ticket)) {
        OK => number,
        refused => refused,
    }
}

/// As `thread_spawn`, for a thread that begins if the client goes away.
extern "C" fn thread_watch(host: HostPtr) -> i32 {
    let host = host.get();
    if host.with(|exchange| exchange.is_watched()) != Some(true) {
        return UNWATCHED;
    }
    if host.crew.borrow().as_ref().is_some_and(|crew| crew.is_watched()) {
        return DUPLICATE;
    }
    let Some(ticket) = host.new_ticket() else { return MISSING };
    host.will_yield_for(Pending::Watch(ticket))
}

const fn code(state: State) -> i32 {
    match state {
        State::Alive => ALIVE,
        State::Captures => CAPTURES,
        State::Zombie => ZOMBIE,
        State::Gone => GONE,
    }
}

fn ticket(number: i32) -> Ticket {
    Ticket(number.cast_unsigned())
}

extern "C" fn thread_state(host: HostPtr, number: i32) -> i32 {
    host.get().crew.borrow().as_ref().map_or(GONE, |crew| code(crew.state(ticket(number))))
}

extern "C" fn thread_expect(host: HostPtr, number: i32, first: i32) -> i32 {
    if let Some(crew) = host.get().crew.borrow_mut().as_mut() {
        crew.expect(ticket(number), first != 0);
    }
    OK
}

extern "C" fn thread_join(host: HostPtr) -> i32 {
    host.get().will_yield_for(Pending::Join)
}

extern "C" fn thread_collect(host: HostPtr, number: i32) -> i32 {
    host.get().will_yield_for(Pending::Collect(ticket(number)))
}

/// Whether a thread of the run waits for subrequests.
extern "C" fn thread_captures(host: HostPtr) -> i32 {
    i32::from(host.get().crew.borrow().as_ref().is_some_and(|crew| crew.captures()))
}

/// Answers how the thread was: only one that was alive has been killed.
extern "C" fn thread_kill(host: HostPtr, number: i32) -> i32 {
    let host: &Host = host.get();
    if host.finalizing() {
        return GONE;
    }
    // What is dropped may use the host again, so only after the crew was given back.
    let mut dropped = None;
    let slept = host.crew.borrow().as_ref().is_some_and(|crew| crew.sleeps(ticket(number)));
    let state = match host.crew.borrow_mut().as_mut() {
        Some(crew) => crew.kill(ticket(number), &mut dropped),
        None => State::Gone,
    };
    drop(dropped);
    if slept && state == State::Alive {
        host.tell_of_sleep();
    }
    code(state)
}
