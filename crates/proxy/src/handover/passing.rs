//! Sends sockets to another process, and receives them: a line that says what they are, then they themselves.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::{AsyncWriteExt as _, Interest},
    net::UnixStream,
};

use super::message::{LINE_BYTES, Odd, Offered};

/// Descriptors in one message: the kernel takes 253.
const AT_ONCE: usize = 250;

/// Bytes that are received at a time.
const PIECE: usize = 4 << 10;

/// Why sockets were not received.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot receive")]
    Io(#[from] io::Error),
    #[error("the offer")]
    Odd(#[from] Odd),
    #[error("the offer is longer than {LINE_BYTES} bytes")]
    Long,
    #[error("the other end closed the connection")]
    Closed,
    #[error("this process may not have so many descriptors")]
    Truncated,
    #[error("{came} sockets came, {said} were said to")]
    Count { came: usize, said: usize },
}

/// Sends `offered`, and the sockets that it is about.
pub(super) async fn send(
    stream: &mut UnixStream,
    offered: &Offered,
    sockets: &[BorrowedFd<'_>],
) -> io::Result<()> {
    stream.write_all(&offered.line()).await?;
    for some in sockets.chunks(AT_ONCE) {
        let one = || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(some));
            // They go with a byte, or not at all.
            Ok(sendmsg(&*stream, &[IoSlice::new(b".")], &mut control, SendFlags::NOSIGNAL)?)
        };
        stream.async_io(Interest::WRITABLE, one).await?;
    }
    Ok(())
}

/// Receives an offer with all its sockets.
pub(super) async fn receive(stream: &UnixStream) -> Result<(Offered, Vec<OwnedFd>), Error> {
    let (mut line, mut sockets) = (Vec::new(), Vec::new());
    let mut offered: Option<Offered> = None;
    loop {
        if let Some(offered) = offered.take_if(|offered| offered.count() <= sockets.len()) {
            let (came, said) = (sockets.len(), offered.count());
            return if came == said { Ok((offered, sockets)) } else { Err(Error::Count { came, said }) };
        }
        let mut piece = [0; PIECE];
        let size = stream.async_io(Interest::READABLE, || take(stream, &mut piece, &mut sockets)).await?;
        match size {
            Taken::Bytes(0) => return Err(Error::Closed),
            Taken::Truncated => return Err(Error::Truncated),
            Taken::Bytes(_) if offered.is_some() => {}
            Taken::Bytes(size) => {
                line.extend_from_slice(&piece[..size]);
                if let Some(end) = memchr::memchr(b'\n', &line) {
                    offered = Some(Offered::read(&line[..end])?);
                } else if line.len() > LINE_BYTES {
                    return Err(Error::Long);
                }
            }
        }
    }
}

enum Taken {
    Bytes(usize),
    /// Descriptors were lost.
    Truncated,
}

fn take(stream: &UnixStream, piece: &mut [u8], sockets: &mut Vec<OwnedFd>) -> io::Result<Taken> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE + 3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(piece)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            sockets.extend(some);
        }
    }
    let is_whole = !received.flags.contains(ReturnFlags::CTRUNC);
    Ok(if is_whole { Taken::Bytes(received.bytes) } else { Taken::Truncated })
}

/// Reads the line that answers an offer. `None`: none came before the connection was closed, or a line that is too long.
pub(super) async fn answer(stream: &UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let size = read(stream, &mut piece).await?;
        line.extend_from_slice(&piece[..size]);
        if let Some(end) = memchr::memchr(b'\n', &line) {
            line.truncate(end);
            return Ok(Some(line));
        }
        if size == 0 || line.len() > LINE_BYTES {
            return Ok(None);
        }
    }
}

/// Returns once the other end, and every copy of it, is closed.
pub(super) async fn until_closed(stream: &UnixStream) {
    while matches!(read(stream, &mut [0; 1024]).await, Ok(size) if size > 0) {}
}

async fn read(stream: &UnixStream, piece: &mut [u8]) -> io::Result<usize> {
    stream.async_io(Interest::READABLE, || Ok(rustix::io::read(stream, &mut *piece)?)).await
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsFd as _};

    use super::*;
    use crate::handover::message::Purpose;

    fn offered(count: usize) -> Offered {
        Offered { pid: 1, network: 2, sockets: vec![(Some(Purpose::Predecessor), count)] }
    }

    /// What comes of an offer of `said` sockets with `sent`.
    fn pass(said: usize, sent: usize) -> Result<(Offered, Vec<OwnedFd>), Error> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = vec![listener.as_fd(); sent];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (received, ()) = runtime.block_on(async {
            let (mut from, to) = UnixStream::pair().unwrap();
            let sending = async move {
                send(&mut from, &offered(said), &sockets).await.unwrap();
            };
            tokio::join!(receive(&to), sending)
        });
        for socket in received.iter().flat_map(|(_, sockets)| sockets) {
            let copy = TcpListener::from(socket.try_clone().unwrap());
            assert_eq!(copy.local_addr().unwrap(), listener.local_addr().unwrap());
            let flags = rustix::io::fcntl_getfd(socket).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "no instance inherits them");
        }
        received
    }

    #[test]
    fn sockets_arrive_however_many_they_are() {
        for count in [0, 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE] {
            let (said, sockets) = pass(count, count).unwrap();
            assert_eq!((said, sockets.len()), (offered(count), count));
        }
    }

    #[test]
    fn an_offer_that_is_not_kept_is_none() {
        assert!(matches!(pass(2, 1), Err(Error::Closed)));
        assert!(matches!(pass(1, 2), Err(Error::Count { came: 2, said: 1 })));
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let received = runtime.block_on(async {
            let (mut from, to) = UnixStream::pair().unwrap();
            let flooding = async move { while from.write_all(&[b' '; 4096]).await.is_ok() {} };
            tokio::select! {
                received = receive(&to) => received,
                () = flooding => unreachable!("the other end is open"),
            }
        });
        assert!(matches!(received, Err(Error::Long)));
    }
}
