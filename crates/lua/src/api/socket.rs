//! `ngx.socket.tcp`: what can be tried is tried here, what would block becomes an operation to wait for.

use std::{net::SocketAddr, rc::Rc, str, time::Duration};

use rustix::net::Shutdown;

use crate::{
    Level, Op,
    abi::{Export, HostPtr, Text},
    host::{Host, NO_REQUEST, OK},
    socket::{
        Owned, Owner,
        busy::Wait,
        connect::Target,
        failure,
        link::Link,
        pool::Pool,
        receive::{End, Want},
        tcp::{Cause, Outcome, Received, Tcp, Timeouts, Waiting},
    },
};

/// The prelude has to wait, and then to call the same function's other half.
pub(super) const WAIT: i32 = 1;
/// It went wrong, which [`socket_reason`] tells; what has come until then is given.
pub(super) const FAILED: i32 = 2;
/// There is no connection.
pub(super) const CLOSED: i32 = 3;
/// The socket belongs to another request.
pub(super) const BAD_REQUEST: i32 = 4;
/// As [`OK`], but there is more before the pattern.
const PIECE: i32 = 5;
/// A pool cannot be that small.
const BAD_SIZE: i32 = 6;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("socket_release", socket_release as extern "C" fn(_, _) -> _),
        Export::new("request_socket", request_socket as extern "C" fn(_) -> _),
        Export::new("socket_reason", socket_reason as extern "C" fn(_) -> _),
        Export::new("socket_logs_errors", socket_logs_errors as extern "C" fn(_) -> _),
        Export::new("socket_setting", socket_setting as extern "C" fn(_, _) -> _),
        Export::new("tcp_new", tcp_new as extern "C" fn(_) -> _),
        Export::new("tcp_connect", tcp_connect as extern "C" fn(_, _, _, _, _, _, _, _, _) -> _),
        Export::new("tcp_trouble", tcp_trouble as extern "C" fn(_, _) -> _),
        Export::new("tcp_bind", tcp_bind as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("tcp_settimeouts", tcp_settimeouts as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("tcp_receive", tcp_receive as extern "C" fn(_, _, _, _) -> _),
        Export::new("tcp_receive_until", tcp_receive_until as extern "C" fn(_, _, _, _, _, _) -> _),
        Export::new("tcp_receive_on", tcp_receive_on as extern "C" fn(_, _) -> _),
        Export::new("tcp_give_up", tcp_give_up as extern "C" fn(_, _) -> _),
        Export::new("tcp_send", tcp_send as extern "C" fn(_, _, _, _) -> _),
        Export::new("tcp_send_on", tcp_send_on as extern "C" fn(_, _) -> _),
        Export::new("tcp_give_up_sending", tcp_give_up_sending as extern "C" fn(_, _) -> _),
        Export::new("tcp_close", tcp_close as extern "C" fn(_, _) -> _),
        Export::new("tcp_shutdown", tcp_shutdown as extern "C" fn(_, _, _) -> _),
        Export::new("tcp_keep", tcp_keep as extern "C" fn(_, _, _, _, _, _, _) -> _),
        Export::new("tcp_state", tcp_state as extern "C" fn(_, _, _) -> _),
        Export::new("tcp_option", tcp_option as extern "C" fn(_, _, _, _) -> _),
        Export::new("tcp_set_option", tcp_set_option as extern "C" fn(_, _, _, _) -> _),
    ]
}

extern "C" fn socket_release(host: HostPtr, number: u32) -> i32 {
    host.get().sockets.release(number);
    OK
}

/// Why the last call failed.
extern "C" fn socket_reason(host: HostPtr) -> i32 {
    let host = host.get();
    let reason = host.reason.take();
    host.give_written(|bytes| bytes.extend_from_slice(reason.as_bytes()))
}

/// 1 if what scripts are told is logged as well.
extern "C" fn socket_logs_errors(host: HostPtr) -> i32 {
    host.get().sockets.defaults.borrow().log_errors.into()
}

/// Puts the default size of a pool into the block's number.
extern "C" fn socket_setting(host: HostPtr, _: i32) -> i32 {
    let host = host.get();
    host.block.number.set(host.sockets.defaults.borrow().pool_size as f64);
    OK
}

/// Answers the number of a new socket.
extern "C" fn tcp_new(host: HostPtr) -> i32 {
    host.get().sockets.new_tcp().unwrap_or(NO_REQUEST)
}

/// The number of a socket that is the connection lent to the running request.
extern "C" fn request_socket(host: HostPtr) -> i32 {
    let host = host.get();
    let Some(lent) = host.with(|exchange| exchange.state().lent.take()).flatten() else { return NO_REQUEST };
    let Ok(link) = Link::lent(lent) else { return NO_REQUEST };
    let Some(number) = host.sockets.new_tcp() else { return NO_REQUEST };
    if let Some(tcp) = host.sockets.tcp(number.cast_unsigned()) {
        tcp.attach(Rc::new(link));
        adopt(host, &tcp);
    }
    number
}

/// A size or backlog below 0 is none.
extern "C" fn tcp_connect(
    host: HostPtr,
    number: u32,
    name: Text,
    name_length: usize,
    port: u32,
    pool: Text,
    pool_length: usize,
    size: f64,
    backlog: f64,
) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    if let Some(refused) = refuse_others(host, tcp.request.get()) {
        return refused;
    }
    if let Err(cause) = tcp.check_busy(&[Wait::Connect, Wait::Read, Wait::Write]) {
        return failed(host, cause);
    }
    if !adopt(host, &tcp) {
        return NO_REQUEST;
    }
    let host_name = name.of(name_length);
    let target = || Target::parse(host_name, u16::try_from(port).unwrap_or_default());
    let count = |number: f64| (number >= 0.0).then_some(number as usize);
    let name = pool.of(pool_length);
    let pool = host.sockets.pools.find(name);
    let pool = pool.or_else(|| count(size).map(|size| make_pool(host, name, size, count(backlog))));
    debug(host, || format!("lua tcp socket connect timeout: {}", tcp.timeouts.get().connect.as_millis()));
    match host.sockets.connect(&tcp, target, tcp.from.get(), pool) {
        Outcome::Ready(()) => {
            debug(host, || {
                let descriptor = tcp.link().map_or(-1, |link| link.stream.number());
                format!("lua tcp socket get keepalive peer: using connection {number:016X}, fd:{descriptor}")
            });
            OK
        }
        Outcome::Wait(waiting) => wait(host, waiting),
        Outcome::Failed(cause) => failed(host, cause),
    }
}

/// What the log should have about a connect that failed.
extern "C" fn tcp_trouble(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let trouble = host.sockets.tcp(number).and_then(|tcp| tcp.trouble.take()).unwrap_or_default();
    host.give_written(|bytes| bytes.extend_from_slice(trouble.as_bytes()))
}

/// A port below 0 is in the address or does not matter.
extern "C" fn tcp_bind(host: HostPtr, number: u32, address: Text, length: usize, port: i32) -> i32 {
    let Some(tcp) = host.get().sockets.tcp(number) else { return CLOSED };
    let Some(mut address) = parse_address(address.of(length)) else { return FAILED };
    if port > 0 {
        address.set_port(u16::try_from(port).unwrap_or_default());
    }
    tcp.from.set(Some(address));
    OK
}

/// An address with or without a port.
pub(super) fn parse_address(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(|address| SocketAddr::new(address, 0)).or_else(|_| text.parse()).ok()
}

/// In milliseconds; 0 and less are the defaults.
extern "C" fn tcp_settimeouts(host: HostPtr, number: u32, connect: f64, send: f64, receive: f64) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    let defaults = host.sockets.defaults.borrow().timeouts;
    let span = |milliseconds: f64, default| {
        if milliseconds > 0.0 { Duration::from_millis(milliseconds as u64) } else { default }
    };
    tcp.timeouts.set(Timeouts {
        connect: span(connect, defaults.connect),
        send: span(send, defaults.send),
        receive: span(receive, defaults.receive),
    });
    OK
}

const LINE: i32 = 0;
const ALL: i32 = 1;
const EXACTLY: i32 = 2;

extern "C" fn tcp_receive(host: HostPtr, number: u32, kind: i32, size: f64) -> i32 {
    let want = match kind {
        LINE => Want::Line,
        ALL => Want::All,
        EXACTLY => Want::Exactly(size as usize),
        _ => Want::Any(size as usize),
    };
    receive(host.get(), number, |tcp| tcp.receive(want))
}

/// A limit of 0 is none.
extern "C" fn tcp_receive_until(
    host: HostPtr,
    number: u32,
    pattern: Text,
    length: usize,
    inclusive: i32,
    limit: f64,
) -> i32 {
    let limit = (limit >= 1.0).then_some(limit as usize);
    let want = Want::Until { pattern: pattern.of(length).into(), inclusive: inclusive != 0, limit };
    receive(host.get(), number, |tcp| tcp.receive(want))
}

fn receive(host: &Host, number: u32, begin: impl FnOnce(&Tcp) -> Outcome<Received>) -> i32 {
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    if tcp.may_receive() == Err(Cause::NotConnected) {
        return CLOSED;
    }
    if let Some(refused) = refuse_others(host, tcp.request.get()) {
        return refused;
    }
    if let Err(cause) = tcp.may_receive() {
        return failed(host, cause);
    }
    received(host, &tcp, begin(&tcp))
}

/// The rest of a receive that had to wait.
extern "C" fn tcp_receive_on(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    received(host, &tcp, tcp.receive_on())
}

fn received(host: &Host, tcp: &Tcp, outcome: Outcome<Received>) -> i32 {
    match outcome {
        Outcome::Ready(received) => {
            tcp.take(&received, |bytes| host.give(bytes));
            if received.end == End::Piece { PIECE } else { OK }
        }
        Outcome::Wait(waiting) => wait(host, waiting),
        Outcome::Failed(Cause::Broken(reason)) => {
            host.blame(reason);
            tcp.give_up(true, |partial| host.give_written(|bytes| bytes.extend_from_slice(partial)));
            FAILED
        }
        Outcome::Failed(cause) => failed(host, cause),
    }
}

/// A receive has waited too long: gives what has come of it.
extern "C" fn tcp_give_up(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    match host.sockets.tcp(number) {
        Some(tcp) => {
            tcp.give_up(false, |partial| host.give_written(|bytes| bytes.extend_from_slice(partial)))
        }
        None => host.give(&[]),
    }
}

extern "C" fn tcp_send(host: HostPtr, number: u32, bytes: Text, length: usize) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    if tcp.may_send() == Err(Cause::NotConnected) {
        return CLOSED;
    }
    if let Some(refused) = refuse_others(host, tcp.request.get()) {
        return refused;
    }
    if let Err(cause) = tcp.may_send() {
        return failed(host, cause);
    }
    sent(host, tcp.send(bytes.of(length)))
}

/// The rest of a send that had to wait.
extern "C" fn tcp_send_on(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    sent(host, tcp.send_on())
}

fn sent(host: &Host, outcome: Outcome<()>) -> i32 {
    match outcome {
        Outcome::Ready(()) => OK,
        Outcome::Wait(waiting) => wait(host, waiting),
        Outcome::Failed(cause) => failed(host, cause),
    }
}

extern "C" fn tcp_give_up_sending(host: HostPtr, number: u32) -> i32 {
    if let Some(tcp) = host.get().sockets.tcp(number) {
        tcp.give_up_sending();
    }
    OK
}

extern "C" fn tcp_close(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    if let Err(code) = usable(host, &tcp) {
        return code;
    }
    drop(tcp.detach());
    OK
}

const READ: i32 = 0;
const WRITE: i32 = 1;

extern "C" fn tcp_shutdown(host: HostPtr, number: u32, how: i32) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    if tcp.link().is_none() {
        return CLOSED;
    }
    if let Some(refused) = refuse_others(host, tcp.request.get()) {
        return refused;
    }
    let (how, waits): (_, &[_]) = match how {
        READ => (Shutdown::Read, &[Wait::Connect, Wait::Read]),
        WRITE => (Shutdown::Write, &[Wait::Connect, Wait::Write]),
        _ => (Shutdown::Both, &[Wait::Connect, Wait::Read, Wait::Write]),
    };
    match tcp.check_busy(waits).and_then(|()| tcp.shutdown(how)) {
        Ok(()) => OK,
        Err(cause) => failed(host, cause),
    }
}

/// Puts the connection into a pool. A time of 0 is without end, one below 0 the default. With `spare` the socket is nobody's
/// afterwards.
extern "C" fn tcp_keep(
    host: HostPtr,
    number: u32,
    pool: Text,
    length: usize,
    milliseconds: f64,
    size: f64,
    spare: i32,
) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number) else { return CLOSED };
    if !tcp.is_open() {
        return CLOSED;
    }
    if let Err(code) = usable(host, &tcp) {
        return code;
    }
    let Some(link) = tcp.link() else { return CLOSED };
    if !link.traffic.borrow().inbox.is_empty() {
        return failed(host, Cause::Broken("unread data in buffer".into()));
    }
    let quiet = link.is_quiet();
    if !quiet && link.traffic.borrow().inbox.is_empty() {
        return CLOSED;
    }
    let mut kept = None;
    if quiet && host.block.exiting.get() == 0 {
        let name = pool.of(length);
        let pool = match host.sockets.pools.find(name) {
            Some(pool) => pool,
            None if size < 1.0 => return BAD_SIZE,
            None => make_pool(host, name, size as usize, None),
        };
        let default = host.sockets.defaults.borrow().keep_alive_timeout;
        let span = if milliseconds < 0.0 { default } else { Duration::from_millis(milliseconds as u64) };
        debug(host, || format!("lua tcp socket keepalive timeout: {} ms", span.as_millis()));
        kept = Some((pool, span));
    }
    drop(tcp.detach());
    if !quiet {
        return failed(host, Cause::Broken("connection in dubious state".into()));
    }
    if spare != 0 {
        tcp.request.set(0);
    }
    if let Some((pool, span)) = kept {
        pool.keep(link, (!span.is_zero()).then_some(span));
    }
    OK
}

fn make_pool(host: &Host, name: &[u8], size: usize, backlog: Option<usize>) -> Rc<Pool> {
    debug(host, || {
        let backlog = backlog.map_or(-1, |backlog| i64::try_from(backlog).unwrap_or(i64::MAX));
        format!("lua tcp socket connection pool size: {size}, backlog: {backlog}")
    });
    debug(host, || {
        let name = String::from_utf8_lossy(name);
        format!("lua tcp socket keepalive create connection pool for key \"{name}\"")
    });
    host.sockets.pools.make(name, size, backlog)
}

fn debug(host: &Host, line: impl FnOnce() -> String) {
    if host.block.log_level.get() >= Level::Debug as i32 {
        host.log(Level::Debug, &line());
    }
}

/// What [`tcp_state`] can tell.
const REUSED: i32 = 0;

/// Puts a figure of the connection into the block's number: how often it was reused, or its descriptor.
extern "C" fn tcp_state(host: HostPtr, number: u32, what: i32) -> i32 {
    let host = host.get();
    let Some(link) = host.sockets.tcp(number).and_then(|tcp| tcp.link()) else { return CLOSED };
    let figure = if what == REUSED { link.reused.get().into() } else { link.stream.number().into() };
    host.block.number.set(figure);
    OK
}

/// Puts the value of an option into the block's number.
extern "C" fn tcp_option(host: HostPtr, number: u32, name: Text, length: usize) -> i32 {
    let host = host.get();
    let Some(link) = host.sockets.tcp(number).and_then(|tcp| tcp.link()) else { return CLOSED };
    let options = link.stream.options();
    let seconds = |span: Duration| span.as_secs() as f64;
    let value = match name.of(length) {
        b"keepalive" => options.keepalive().map(|on| f64::from(u8::from(on))),
        b"reuseaddr" => options.reuse_address().map(|on| f64::from(u8::from(on))),
        b"tcp-nodelay" => options.tcp_nodelay().map(|on| f64::from(u8::from(on))),
        b"sndbuf" => options.send_buffer_size().map(|size| size as f64),
        b"rcvbuf" => options.recv_buffer_size().map(|size| size as f64),
        b"keepintvl" => options.tcp_keepalive_interval().map(seconds),
        b"keepcnt" => options.tcp_keepalive_retries().map(f64::from),
        _ => return failed(host, Cause::Broken("unsupported option".into())),
    };
    match value {
        Ok(value) => {
            host.block.number.set(value);
            OK
        }
        Err(error) => failed(host, Cause::Broken(failure::text(&error))),
    }
}

extern "C" fn tcp_set_option(host: HostPtr, number: u32, name: Text, length: usize) -> i32 {
    let host = host.get();
    let Some(link) = host.sockets.tcp(number).and_then(|tcp| tcp.link()) else { return CLOSED };
    let value = host.block.number.get();
    let (options, on, size) = (link.stream.options(), value != 0.0, value.max(0.0) as usize);
    let keepalive = socket2::TcpKeepalive::new();
    let outcome = match name.of(length) {
        b"keepalive" => options.set_keepalive(on),
        b"reuseaddr" => options.set_reuse_address(on),
        b"tcp-nodelay" => options.set_tcp_nodelay(on),
        b"sndbuf" => options.set_send_buffer_size(size),
        b"rcvbuf" => options.set_recv_buffer_size(size),
        b"keepintvl" => options.set_tcp_keepalive(&keepalive.with_interval(Duration::from_secs(size as u64))),
        b"keepcnt" => options.set_tcp_keepalive(&keepalive.with_retries(size as u32)),
        _ => return failed(host, Cause::Broken("unsupported option".into())),
    };
    match outcome {
        Ok(()) => OK,
        Err(error) => failed(host, Cause::Broken(failure::text(&error))),
    }
}

/// Makes the running request the one that the socket belongs to.
pub(super) fn adopt<S: Owned + 'static>(host: &Host, socket: &Rc<S>) -> bool {
    let adopt = |owner: &Owner| owner.adopt(&(Rc::clone(socket) as Rc<dyn Owned>));
    host.with_state(|state| adopt(state.sockets.get_or_insert_with(|| host.sockets.new_request()))).is_some()
}

/// Whether a socket that belongs to a request, 0 being none, is another's than the running one's.
pub(super) fn refuse_others(host: &Host, owner: u64) -> Option<i32> {
    if owner == 0 {
        return None;
    }
    match host.with_state(|state| state.sockets.as_ref().map_or(0, |owner| owner.number)) {
        None => Some(NO_REQUEST),
        Some(running) => (running != owner).then_some(BAD_REQUEST),
    }
}

/// What closing and keeping need: a connection of this request that nobody waits for.
fn usable(host: &Host, tcp: &Tcp) -> Result<(), i32> {
    if tcp.link().is_none() && !tcp.busy.is(Wait::Connect) {
        return Err(CLOSED);
    }
    if let Some(refused) = refuse_others(host, tcp.request.get()) {
        return Err(refused);
    }
    tcp.check_busy(&[Wait::Connect, Wait::Read, Wait::Write]).map_err(|cause| failed(host, cause))
}

pub(super) fn wait(host: &Host, waiting: Waiting) -> i32 {
    match host.wait_for(Op::Detached(waiting)) {
        OK => WAIT,
        refused => refused,
    }
}

pub(super) fn failed(host: &Host, cause: Cause) -> i32 {
    match cause {
        Cause::NotConnected => return CLOSED,
        Cause::Busy(reason) => host.blame(reason.to_owned()),
        Cause::Broken(reason) => host.blame(reason),
    }
    host.give(&[]);
    FAILED
}
