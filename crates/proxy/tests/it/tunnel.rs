//! Connections that switch protocols.

use tidegate_testkit::{Answer, Upstream, http::Client};

use crate::node::Running;

const UPGRADE: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: x\r\n\r\n";

#[test]
fn bytes_go_both_ways_after_the_upgrade() {
    let upstream = Upstream::start(|_| Answer::echo("websocket"));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    // The first frame right behind the request must not get lost.
    client.send(&[UPGRADE, b"early"].concat()).unwrap();
    let answer = client.read_without_body().unwrap();
    assert_eq!((answer.status, answer.header("Upgrade")), (101, Some("websocket")));
    assert_eq!(answer.header("Connection"), Some("Upgrade"));
    assert_eq!(client.read_exactly(5).unwrap(), b"early");
    let long = vec![9; 300_000];
    let mut sending = client.stream().try_clone().unwrap();
    let sent = long.clone();
    let send = std::thread::spawn(move || std::io::Write::write_all(&mut sending, &sent));
    assert_eq!(client.read_exactly(long.len()).unwrap(), long);
    send.join().unwrap().unwrap();
    let request = upstream.requests().remove(0);
    assert_eq!(
        (request.header("Connection"), request.header("Upgrade")),
        (Some("Upgrade"), Some("websocket"))
    );
    assert_eq!(request.header("Sec-WebSocket-Key"), Some("x"));
}

#[test]
fn closing_one_end_closes_the_other() {
    let upstream = Upstream::start(|_| Answer::echo("websocket"));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(UPGRADE).unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 101);
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    tidegate_testkit::eventually(crate::node::PATIENCE, "the upstream's end is closed", || {
        upstream.open_connections() == 0
    });
}

#[test]
fn an_upgrade_that_is_declined_is_an_ordinary_answer() {
    let upstream = Upstream::start(|_| Answer::status(426, &[], "not here"));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..2 {
        client.send(UPGRADE).unwrap();
        let answer = client.read().unwrap();
        assert_eq!((answer.status, answer.text()), (426, "not here"));
    }
}

#[test]
fn a_switch_that_nobody_asked_for_is_502() {
    let upstream = Upstream::start(|_| Answer::echo("websocket"));
    let running = Running::proxying(&[upstream.addr()]);
    assert_eq!(tidegate_testkit::http::get(running.addr(), "/").status, 502);
}

#[test]
fn a_silent_tunnel_is_closed() {
    let upstream = Upstream::start(|_| Answer::echo("websocket"));
    let running = Running::proxying_with(&[upstream.addr()], "timeouts: { tunnelIdle: 300ms }");
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(UPGRADE).unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 101);
    assert!(client.is_closed());
}

#[test]
fn an_instance_counts_as_busy_while_its_tunnel_lasts() {
    let upstream = Upstream::start(|_| Answer::echo("websocket"));
    let running = Running::start(
        "fleets: { app: { run: { command: [unused] } } }
upstreams: { up: { fleet: app } }
routes: [{ name: all, match: { path: /* }, upstream: up }]",
    );
    let loads = running.enlist("app", &[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(UPGRADE).unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 101);
    client.send(b"x").unwrap();
    assert_eq!(client.read_exactly(1).unwrap(), b"x");
    assert_eq!(loads[0].in_flight(), 1, "who drains instances must see the tunnel");
    drop(client);
    tidegate_testkit::eventually(crate::node::PATIENCE, "the tunnel is over", || loads[0].in_flight() == 0);
}
