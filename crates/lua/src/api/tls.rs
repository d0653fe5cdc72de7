//! `sslhandshake`.

use std::rc::Rc;

use crate::{
    Level,
    abi::{Export, HostPtr, Text},
    api::socket::{CLOSED, failed, refuse_others, wait},
    host::{Host, MISSING, OK},
    socket::{
        Entry,
        busy::Wait,
        tcp::Cause,
        tls::{self, Session, Trust, Wish},
    },
};

/// What [`tcp_handshake`] should do, as bits.
const VERIFY: i32 = 1;
const KEEP_SESSION: i32 = 2;
/// The client's key and certificates have been staged.
const IDENTITY: i32 = 4;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("tcp_handshake", tcp_handshake as extern "C" fn(_, _, _, _, _, _, _) -> _),
        Export::new("tcp_stage_identity", tcp_stage_identity as extern "C" fn(_, _, _, _) -> _),
        Export::new("tcp_session", tcp_session as extern "C" fn(_, _) -> _),
    ]
}

/// OK if hands have been shaken long ago. A session below 0 is none, as is a store of 0.
extern "C" fn tcp_handshake(
    host: HostPtr,
    number: u32,
    name: Text,
    length: usize,
    flags: i32,
    session: i32,
    store: usize,
) -> i32 {
    let host = host.get();
    let Some(tcp) = host.sockets.tcp(number).filter(|tcp| tcp.is_open()) else { return CLOSED };
    if let Some(refused) = refuse_others(host, tcp.request.get()) {
        return refused;
    }
    if let Err(cause) = tcp.check_busy(&[Wait::Connect, Wait::Read, Wait::Write]) {
        return failed(host, cause);
    }
    if tcp.link().is_some_and(|link| link.tls.borrow().is_some()) {
        return OK;
    }
    match prepare(host, name.of(length), flags, session, store) {
        Ok(session) => wait(host, tls::begin(tcp, session, flags & KEEP_SESSION != 0)),
        Err(why) => failed(host, Cause::Broken(why)),
    }
}

fn prepare(host: &Host, name: &[u8], flags: i32, session: i32, store: usize) -> Result<Rc<Session>, String> {
    let name = (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
    if let Some(name) = &name
        && host.block.log_level.get() >= Level::Debug as i32
    {
        host.log(Level::Debug, &format!("lua ssl server name: \"{name}\""));
    }
    let identity = if flags & IDENTITY == 0 {
        Vec::new()
    } else {
        host.with_staged(|parts| parts.iter().map(|part| part.to_vec()).collect())
    };
    let wish = Wish { verified: flags & VERIFY != 0, name, identity };
    let known = u32::try_from(session).ok().and_then(|number| host.sockets.session(number));
    // A handshake that checks more than the one before must not be spared that.
    if let Some(known) = known.filter(|known| known.wish == wish && store == 0) {
        return Ok(known);
    }
    let trust = match (wish.verified, store) {
        (false, _) => None,
        (true, 0) => Some(host.sockets.trust().ok_or("no memory")?),
        (true, store) => Some(Trust::at(store).ok_or("no memory")?.into()),
    };
    let (depth, versions) = {
        let defaults = host.sockets.defaults.borrow();
        (defaults.verify_depth, defaults.tls_versions)
    };
    let session = Session::new(wish, trust, (depth, versions), flags & KEEP_SESSION != 0);
    session.map(Rc::new).map_err(|failure| {
        host.log(Level::Error, &failure.log);
        failure.text
    })
}

/// Keeps the client's key, which comes first, or one of its certificates for a handshake.
extern "C" fn tcp_stage_identity(host: HostPtr, part: Text, length: usize, first: i32) -> i32 {
    host.get().stage(part.of(length), first != 0);
    OK
}

/// Puts a number for the session of the connection into the block.
extern "C" fn tcp_session(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let session =
        host.sockets.tcp(number).and_then(|tcp| tcp.link()).and_then(|link| link.session.borrow().clone());
    match session.and_then(|session| host.sockets.insert(Entry::Session(session))) {
        Some(number) => {
            host.block.number.set(number.into());
            OK
        }
        None => MISSING,
    }
}
