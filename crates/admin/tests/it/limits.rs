//! What clients may not do.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::world::{Answer, World};

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

#[test]
fn a_head_without_end_is_refused() {
    let world = World::new();
    let mut stream = connect(&world);
    let field = format!("X-Filler: {}\r\n", "x".repeat(1_000));
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    // The server may close before it has read everything.
    _ = stream.write_all(field.repeat(40).as_bytes());
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_ok() {
        assert_eq!(&answer, b"HTTP/1.1 431");
    }
    assert_eq!(world.get("/healthz").status, 200);
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let world = World::new();
    // Each is answered once and then kept, so that all places are surely taken.
    let mut idle: Vec<TcpStream> = (0..64).map(|_| connect(&world)).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    let mut next = connect(&world);
    next.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    next.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(next.read(&mut [0; 1]).is_err(), "there is no place for it yet");
    idle.pop();
    next.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(Answer::read(&mut next).status, 200);
}

#[test]
fn a_second_server_does_not_share_the_port() {
    let world = World::new();
    let second =
        tidegate_admin::Server::start(world.address(), world.handle.clone(), world.telemetry.clone());
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn a_stopped_server_ends_its_connections() {
    let world = World::new();
    let loopback = "127.0.0.1:0".parse().unwrap();
    let second =
        tidegate_admin::Server::start(loopback, world.handle.clone(), world.telemetry.clone()).unwrap();
    let mut idle = TcpStream::connect(second.address()).unwrap();
    second.stop();
    assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn nothing_is_accepted_while_a_successor_serves_in_its_place() {
    let world = World::new();
    let mut stays = connect(&world);
    stays.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut start = [0; 12];
    stays.read_exact(&mut start).unwrap();
    world.server.superseded().send_replace(true);
    // Whoever is connected comes again, and so to the successor.
    let mut rest = Vec::new();
    stays.read_to_end(&mut rest).unwrap();
    let successor = world.server.listener().try_clone().unwrap();
    successor.set_nonblocking(false).unwrap();
    let mut other = connect(&world);
    other.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    drop(successor.accept().unwrap());
    successor.set_nonblocking(true).unwrap();
    world.server.superseded().send_replace(false);
    assert_eq!(world.get("/healthz").status, 200);
}
