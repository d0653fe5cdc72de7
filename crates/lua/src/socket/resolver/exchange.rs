//! Asking name servers: each in turn, several times, until one answers.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    Error, Found,
    message::{self, Answer, Kind},
};

/// How long one server is waited for: little at first, since datagrams get lost.
const PATIENCE: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Larger than what may come without extensions of the protocol.
const DATAGRAM: usize = 4_096;

pub(super) async fn ask(name: &str, kind: Kind, servers: &[SocketAddr]) -> Result<Found, Error> {
    let mut last = Error::TimedOut;
    for patience in PATIENCE {
        for &server in servers {
            let question = message::question(fastrand::u16(..), name, kind).ok_or(Error::Format)?;
            match timeout(patience, ask_one(server, &question)).await {
                // This server cannot say; another may.
                Ok(Ok(Err(error @ (Error::Server | Error::Refused | Error::Unimplemented)))) => last = error,
                Ok(Ok(outcome)) => return outcome,
                Ok(Err(_)) | Err(_) => {}
            }
        }
        if last != Error::TimedOut {
            break;
        }
    }
    Err(last)
}

async fn ask_one(server: SocketAddr, question: &[u8]) -> io::Result<Result<Found, Error>> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    // A port of its own for each question makes answers hard to forge.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut datagram = [0; DATAGRAM];
    loop {
        let length = socket.recv(&mut datagram).await?;
        match message::read(&datagram[..length], question) {
            Some(Answer::Final(outcome)) => return Ok(outcome),
            Some(Answer::Truncated) => return ask_by_stream(server, question).await,
            None => {}
        }
    }
}

async fn ask_by_stream(server: SocketAddr, question: &[u8]) -> io::Result<Result<Found, Error>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).expect("a name is shorter than this");
    stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(match message::read(&answer, question) {
        Some(Answer::Final(outcome)) => outcome,
        Some(Answer::Truncated) | None => Err(Error::Server),
    })
}
