//! `ngx.pipe`: processes and their standard streams.

use std::{io, rc::Rc, time::Duration};

use crate::{
    abi::{Export, HostPtr, Text},
    api::socket::{CLOSED, FAILED, failed, wait},
    host::{Host, MISSING, OK},
    socket::{
        Entry,
        process::{Process, Spec, Standard},
        receive::Want,
        tcp::{Cause, Outcome, Received},
    },
};

/// How a read ends, as the prelude says it.
const LINE: i32 = 0;
const ALL: i32 = 1;
const EXACTLY: i32 = 2;

/// Somebody else reads, beside the codes of sockets.
const BUSY: i32 = 4;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("pipe_spawn", pipe_spawn as extern "C" fn(_, _, _, _, _, _) -> _),
        Export::new("pipe_pid", pipe_pid as extern "C" fn(_, _) -> _),
        Export::new("pipe_set_timeout", pipe_set_timeout as extern "C" fn(_, _, _, _) -> _),
        Export::new("pipe_read", pipe_read as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("pipe_read_on", pipe_read_on as extern "C" fn(_, _, _) -> _),
        Export::new("pipe_give_up", pipe_give_up as extern "C" fn(_, _, _) -> _),
        Export::new("pipe_write", pipe_write as extern "C" fn(_, _, _, _) -> _),
        Export::new("pipe_write_on", pipe_write_on as extern "C" fn(_, _) -> _),
        Export::new("pipe_close", pipe_close as extern "C" fn(_, _, _) -> _),
        Export::new("pipe_wait", pipe_wait as extern "C" fn(_, _) -> _),
        Export::new("pipe_status", pipe_status as extern "C" fn(_, _) -> _),
        Export::new("pipe_kill", pipe_kill as extern "C" fn(_, _, _) -> _),
    ]
}

/// Lists come as texts that each end in a NUL. Answers the number of the process, or [`MISSING`] with a reason.
extern "C" fn pipe_spawn(
    host: HostPtr,
    arguments: Text,
    arguments_length: usize,
    environment: Text,
    environment_length: usize,
    merges: i32,
) -> i32 {
    let host = host.get();
    let spec = Spec {
        arguments: list(arguments.of(arguments_length)),
        environment: list(environment.of(environment_length)),
        merges: merges != 0,
    };
    let spawned = Process::spawn(&spec).map_err(|error| reason(&error));
    let number = spawned.and_then(|process| {
        host.sockets.insert(Entry::Process(Rc::new(process))).ok_or_else(|| "too many processes".into())
    });
    number.unwrap_or_else(|why| {
        host.blame(why);
        MISSING
    })
}

fn list(text: &[u8]) -> Vec<&[u8]> {
    let mut list: Vec<_> = text.split(|&byte| byte == 0).collect();
    list.pop();
    list
}

fn reason(error: &io::Error) -> String {
    format!("failed to start the process: {error}")
}

extern "C" fn pipe_pid(host: HostPtr, number: u32) -> i32 {
    host.get().sockets.process(number).map_or(MISSING, |process| process.pid.cast_signed())
}

/// In milliseconds; 0 is none. `which` 3 is the wait for the end.
extern "C" fn pipe_set_timeout(host: HostPtr, number: u32, which: i32, milliseconds: f64) -> i32 {
    let Some(process) = host.get().sockets.process(number) else { return MISSING };
    let span = if milliseconds > 0.0 { Duration::from_millis(milliseconds as u64) } else { Duration::MAX };
    if which == 3 {
        process.wait_timeout.set(span);
    } else {
        process.set_timeout(Standard::from_number(which), span);
    }
    OK
}

/// [`MISSING`] if the stream comes with another.
extern "C" fn pipe_read(host: HostPtr, number: u32, which: i32, kind: i32, size: f64) -> i32 {
    let want = match kind {
        LINE => Want::Line,
        ALL => Want::All,
        EXACTLY => Want::Exactly(size as usize),
        _ => Want::Any(size as usize),
    };
    let (host, standard) = (host.get(), Standard::from_number(which));
    let Some(process) = host.sockets.process(number) else { return CLOSED };
    let Some(stream) = process.stream(standard) else { return MISSING };
    match stream.may_receive() {
        Err(Cause::NotConnected) => return CLOSED,
        Err(_) => return BUSY,
        Ok(()) => {}
    }
    let is_over = stream.link().is_none_or(|link| {
        let traffic = link.traffic.borrow();
        traffic.ended && traffic.inbox.is_empty()
    });
    if is_over {
        return CLOSED;
    }
    let outcome = stream.receive(want);
    read(host, &process, standard, outcome)
}

/// The rest of a read that had to wait.
extern "C" fn pipe_read_on(host: HostPtr, number: u32, which: i32) -> i32 {
    let (host, standard) = (host.get(), Standard::from_number(which));
    let Some(process) = host.sockets.process(number) else { return CLOSED };
    let Some(stream) = process.stream(standard) else { return CLOSED };
    let outcome = stream.receive_on();
    read(host, &process, standard, outcome)
}

fn read(host: &Host, process: &Process, standard: Standard, outcome: Outcome<Received>) -> i32 {
    let Some(stream) = process.stream(standard) else { return CLOSED };
    match outcome {
        Outcome::Ready(received) => {
            stream.take(&received, |bytes| host.give(bytes));
            OK
        }
        Outcome::Wait(waiting) => wait(host, process.until_closed(standard, waiting)),
        Outcome::Failed(Cause::Broken(reason)) => {
            host.blame(reason);
            stream.give_up(true, |partial| host.give_written(|bytes| bytes.extend_from_slice(partial)));
            FAILED
        }
        Outcome::Failed(_) => CLOSED,
    }
}

/// A read has waited too long: gives what has come of it.
extern "C" fn pipe_give_up(host: HostPtr, number: u32, which: i32) -> i32 {
    let host = host.get();
    let process = host.sockets.process(number);
    match process.as_ref().and_then(|process| process.stream(Standard::from_number(which))) {
        Some(stream) => {
            stream.give_up(false, |partial| host.give_written(|bytes| bytes.extend_from_slice(partial)))
        }
        None => host.give(&[]),
    }
}

extern "C" fn pipe_write(host: HostPtr, number: u32, bytes: Text, length: usize) -> i32 {
    let host = host.get();
    let Some(process) = host.sockets.process(number) else { return CLOSED };
    let Some(stream) = process.stream(Standard::Input) else { return CLOSED };
    match stream.may_send() {
        Err(Cause::NotConnected) => return CLOSED,
        Err(_) => return failed(host, Cause::Broken("pipe busy writing".into())),
        Ok(()) => {}
    }
    let outcome = stream.send(bytes.of(length));
    written(host, &process, outcome)
}

/// The rest of a write that had to wait.
extern "C" fn pipe_write_on(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let Some(process) = host.sockets.process(number) else { return CLOSED };
    let Some(stream) = process.stream(Standard::Input) else { return CLOSED };
    let outcome = stream.send_on();
    written(host, &process, outcome)
}

fn written(host: &Host, process: &Process, outcome: Outcome<()>) -> i32 {
    match outcome {
        Outcome::Ready(()) => OK,
        Outcome::Wait(waiting) => wait(host, process.until_closed(Standard::Input, waiting)),
        // However a pipe breaks, nobody reads from it any more.
        Outcome::Failed(_) => CLOSED,
    }
}

/// [`MISSING`] if the stream comes with another.
extern "C" fn pipe_close(host: HostPtr, number: u32, which: i32) -> i32 {
    let Some(process) = host.get().sockets.process(number) else { return CLOSED };
    let standard = Standard::from_number(which);
    if process.stream(standard).is_none() {
        return MISSING;
    }
    if process.is_over() {
        return CLOSED;
    }
    process.close(standard);
    OK
}

extern "C" fn pipe_wait(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let Some(process) = host.sockets.process(number) else { return CLOSED };
    match process.wait() {
        Outcome::Ready(()) => OK,
        Outcome::Wait(waiting) => wait(host, waiting),
        Outcome::Failed(cause) => failed(host, cause),
    }
}

/// How the process ended: an exit code, or a signal below 0.
extern "C" fn pipe_status(host: HostPtr, number: u32) -> i32 {
    host.get().sockets.process(number).map_or(0, |process| process.tell())
}

extern "C" fn pipe_kill(host: HostPtr, number: u32, signal: i32) -> i32 {
    let host = host.get();
    let Some(process) = host.sockets.process(number) else { return CLOSED };
    match process.kill(signal) {
        Ok(()) => OK,
        Err(why) => failed(host, Cause::Broken(why.into())),
    }
}
