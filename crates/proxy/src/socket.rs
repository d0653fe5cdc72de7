//! Sockets that the data plane listens on: TCP, and Unix sockets at a path.
//!
//! What has been accepted is a stream, whichever it came by: reading and writing are the same for both, and only what asks
//! for addresses tells them apart, by the address [`NEIGHBOUR`], which nobody on a network has.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    task::{Context, Poll},
};

use rustix::net::getsockname;
use socket2::{Domain, Protocol, Socket as Raw, Type};
use tidegate_core::snapshot::Address;
use tokio::net;

/// Connections that wait to be accepted, for each socket. The kernel may allow fewer.
const BACKLOG: i32 = 4_096;

/// Who comes by a Unix socket, and where to.
pub(crate) const NEIGHBOUR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Anybody on the machine may connect, as to a port.
const MODE: u32 = 0o666;

/// Sockets that one worker accepts from, each with its listener's number.
pub(crate) type Row = Vec<(usize, Socket)>;

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    /// Port 0 becomes a port, which the next socket for that address shares.
    pub(crate) fn bind(address: &mut Address) -> io::Result<Self> {
        let socket = Self::bind_beside(address)?;
        if let Self::Tcp(socket) = &socket {
            rustix::net::listen(socket, BACKLOG)?;
        }
        Ok(socket)
    }

    /// The same, but nobody can connect to a port before somebody [listens](Self::listen): connections go to others that do.
    pub(crate) fn bind_beside(address: &mut Address) -> io::Result<Self> {
        match address {
            Address::Ip(address) => {
                let socket = Raw::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
                socket.set_reuse_address(true)?;
                socket.set_reuse_port(true)?;
                socket.set_nonblocking(true)?;
                // What is written leaves at once: connections that are accepted have it from here, without being told.
                socket.set_tcp_nodelay(true)?;
                socket.bind(&(*address).into())?;
                let socket = TcpListener::from(socket);
                *address = socket.local_addr()?;
                Ok(Self::Tcp(socket))
            }
            Address::Unix(path) => bind_path(path).map(Self::Unix),
        }
    }

    /// One that somebody else has bound to `address`, if it is that.
    pub(crate) fn handed(socket: OwnedFd, address: &Address) -> io::Result<Self> {
        let known = |is_known: bool| if is_known { Ok(()) } else { Err(io::ErrorKind::InvalidInput) };
        known(rustix::net::sockopt::socket_acceptconn(&socket)?)?;
        match address {
            Address::Ip(address) => {
                let socket = TcpListener::from(socket);
                known(socket.local_addr()? == *address)?;
                socket.set_nonblocking(true)?;
                Ok(Self::Tcp(socket))
            }
            Address::Unix(path) => {
                let socket = UnixListener::from(socket);
                // Nobody can come to one whose path is gone.
                known(socket.local_addr()?.as_pathname().is_some() && is_socket(path))?;
                socket.set_nonblocking(true)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    /// Another handle of the same.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::Tcp(socket) => socket.accept(),
            Self::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                Ok((OwnedFd::from(stream).into(), NEIGHBOUR))
            }
        }
    }

    pub(crate) fn listen(self) -> io::Result<Listening> {
        Ok(match self {
            Self::Tcp(socket) => {
                // Most do already.
                rustix::net::listen(&socket, BACKLOG)?;
                Listening::Tcp(net::TcpListener::from_std(socket)?)
            }
            Self::Unix(socket) => Listening::Unix(net::UnixListener::from_std(socket)?),
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// A path that somebody listens on is left alone; one that is left over from somebody who has ended is taken.
fn bind_path(path: &Path) -> io::Result<UnixListener> {
    let bind = || -> io::Result<UnixListener> {
        let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&socket2::SockAddr::unix(path)?)?;
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        socket.listen(BACKLOG)?;
        Ok(UnixListener::from(OwnedFd::from(socket)))
    };
    match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match UnixStream::connect(path) {
            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => {
                fs::remove_file(path)?;
                bind()
            }
            _ => Err(error),
        },
        outcome => outcome,
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// A socket that connections are awaited on.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(net::TcpListener),
    Unix(net::UnixListener),
}

impl Listening {
    /// Where all come to who are accepted here; `None`: to one of several addresses.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().filter(|address| !address.ip().is_unspecified()),
            Self::Unix(_) => Some(NEIGHBOUR),
        }
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(net::TcpStream, SocketAddr)>> {
        match self {
            Self::Tcp(socket) => socket.poll_accept(cx),
            Self::Unix(socket) => socket.poll_accept(cx).map(|accepted| {
                let stream = OwnedFd::from(accepted?.0.into_std()?);
                Ok((net::TcpStream::from_std(stream.into())?, NEIGHBOUR))
            }),
        }
    }
}

/// Where `client` has come to.
pub(crate) fn destination(stream: &net::TcpStream, client: SocketAddr) -> io::Result<SocketAddr> {
    if client == NEIGHBOUR { Ok(NEIGHBOUR) } else { stream.local_addr() }
}

/// Where who came by a Unix socket has come to, as nginx writes it.
pub(crate) fn place(stream: &net::TcpStream, client: SocketAddr) -> Option<Box<str>> {
    if client != NEIGHBOUR {
        return None;
    }
    let address = rustix::net::SocketAddrUnix::try_from(getsockname(stream).ok()?).ok()?;
    Some(format!("unix:{}", address.path()?.to_string_lossy()).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_testkit::eventually;

    use super::*;

    #[test]
    fn what_is_accepted_sends_at_once_without_being_told() {
        let mut address = Address::Ip((Ipv4Addr::LOCALHOST, 0).into());
        let listener = Socket::bind(&mut address).unwrap();
        let _client = TcpStream::connect(address.ip().unwrap()).unwrap();
        let mut accepted = None;
        eventually(Duration::from_secs(20), "the client is accepted", || {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        assert!(accepted.unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn a_path_is_taken_over_from_who_has_ended_and_from_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut address = Address::Unix(folder.path().join("socket").into());
        let first = Socket::bind(&mut address).unwrap();
        assert_eq!(Socket::bind(&mut address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let second = Socket::bind(&mut address).unwrap();
        let Address::Unix(path) = &address else { unreachable!("it was one") };
        let _client = UnixStream::connect(path).unwrap();
        assert_eq!(second.accept().unwrap().1, NEIGHBOUR);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, MODE);
        // What is no socket is nobody's to remove.
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(Socket::bind(&mut Address::Unix(file.clone().into())).is_err());
        assert!(file.exists());
    }
}
