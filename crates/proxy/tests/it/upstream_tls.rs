//! TLS with upstreams: nodes that speak it with their clients, and the server of the `openssl` command.

use std::{net::TcpListener, sync::atomic::Ordering::Relaxed};

use tidegate_testkit::{
    Answer, Upstream, eventually, http,
    http::Client,
    servers::{Authority, Openssl},
};

use crate::{
    node::{PATIENCE, Running},
    secure::listener,
};

/// A node that tells what it knows of who asks.
fn telling(authority: &Authority, more: &[(std::path::PathBuf, std::path::PathBuf)]) -> Running {
    let pairs = [&[authority.server()], more].concat();
    let say = "ngx.print(ngx.var.ssl_server_name or '-', ' ', ngx.var.ssl_session_reused)";
    Running::with_workers(1, &(listener(&pairs) + &format!("routes: [{{ lua: {{ content: \"{say}\" }} }}]")))
}

/// A node that speaks TLS with `endpoint`, as `tls` says besides the authority that it trusts.
fn to(endpoint: impl std::fmt::Display, authority: &Authority, tls: &str, more: &str) -> String {
    let trusted = authority.certificate();
    format!(
        "upstreams: {{ up: {{ endpoints: [\"{endpoint}\"], tls: {{ trustedCertificate: \"{}\", {tls} }} }} }}\n\
         routes: [{{ match: {{ path: /* }}, upstream: up }}]\n{more}",
        trusted.display()
    )
}

fn asked(config: &str) -> (u16, String) {
    let running = Running::start(config);
    let answer = http::get(running.addr(), "/");
    (answer.status, answer.text().to_owned())
}

fn handshakes(running: &Running) -> u64 {
    running.telemetry.workers().iter().map(|worker| worker.tls_handshakes.load(Relaxed)).sum()
}

#[test]
fn requests_follow_each_other_over_one_handshake() {
    let Some(authority) = Authority::new() else { return };
    let end = telling(&authority, &[]);
    let running = Running::with_workers(1, &to(end.addr(), &authority, "serverName: localhost", ""));
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("/").unwrap().text(), "localhost .");
    }
    assert_eq!(handshakes(&end), 1);
}

#[test]
fn an_endpoint_has_to_be_who_it_should_be() {
    let Some(authority) = Authority::new() else { return };
    let Some(other) = Authority::new() else { return };
    let end = telling(&authority, &[]);
    let port = end.addr().port();
    // By its address, which it is told nothing about; by its host; by another name that it does not have.
    assert_eq!(asked(&to(end.addr(), &authority, "", "")), (200, "- .".into()));
    assert_eq!(asked(&to(format!("localhost:{port}"), &authority, "", "")), (200, "localhost .".into()));
    assert_eq!(asked(&to(end.addr(), &authority, "serverName: other.test", "")).0, 502);
    assert_eq!(asked(&to(end.addr(), &other, "", "")).0, 502);
    assert_eq!(
        asked(&to(end.addr(), &other, "serverName: other.test, verify: false", "")),
        (200, "other.test .".into())
    );
    // The system does not know this authority.
    let config = format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"], tls: {{}} }} }}\nroutes: [{{ match: {{ path: /* }}, upstream: up }}]",
        end.addr()
    );
    assert_eq!(asked(&config).0, 502);
}

#[test]
fn what_was_agreed_on_makes_the_next_handshake_short() {
    let Some(authority) = Authority::new() else { return };
    let end = telling(&authority, &[]);
    let config =
        to(end.addr(), &authority, "serverName: localhost", "limits: { upstreamIdleConnections: 0 }");
    let running = Running::with_workers(1, &config);
    let said = |_| http::get(running.addr(), "/").text().to_owned();
    assert_eq!([0, 1, 2].map(said), ["localhost .", "localhost r", "localhost r"]);
}

#[test]
fn large_bodies_go_both_ways() {
    let Some(authority) = Authority::new() else { return };
    let echo = Upstream::start(|request| Answer::ok(&request.body));
    let inner = format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\nroutes: [{{ match: {{ path: /* }}, upstream: up }}]",
        echo.addr()
    );
    let end = Running::start(&(listener(&[authority.server()]) + &inner));
    let running = Running::start(&to(end.addr(), &authority, "", ""));
    let body: Vec<u8> = (0..8_000_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..2 {
        let answer = client.request("POST", "/", &[], &body).unwrap();
        assert!(answer.body == body, "{} bytes", answer.body.len());
    }
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let Some(authority) = Authority::new() else { return };
    let echo = Upstream::start(|_| Answer::echo("websocket"));
    let inner = format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\nroutes: [{{ match: {{ path: /* }}, upstream: up }}]",
        echo.addr()
    );
    let end = Running::start(&(listener(&[authority.server()]) + &inner));
    let running = Running::start(&to(end.addr(), &authority, "", ""));
    let mut client = Client::connect(running.addr()).unwrap();
    let upgrade = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(&[&upgrade[..], b"early"].concat()).unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 101);
    assert_eq!(client.read_exactly(5).unwrap(), b"early");
    client.send(&vec![9; 70_000]).unwrap();
    assert_eq!(client.read_exactly(70_000).unwrap(), vec![9; 70_000]);
    drop(client);
    eventually(PATIENCE, "the upstream's end is closed", || echo.open_connections() == 0);
}

#[test]
fn a_reload_that_changes_nothing_leaves_connections_alone() {
    let Some(authority) = Authority::new() else { return };
    let end = telling(&authority, &[]);
    let config = to(end.addr(), &authority, "serverName: localhost", "");
    let mut running = Running::with_workers(1, &config);
    assert_eq!(http::get(running.addr(), "/").status, 200);
    running.reload(&config);
    assert_eq!(http::get(running.addr(), "/").status, 200);
    assert_eq!(handshakes(&end), 1);
    // What was agreed on for another name is not good enough.
    running.reload(&to(end.addr(), &authority, "serverName: 127.0.0.1", ""));
    assert_eq!(http::get(running.addr(), "/").text(), "- .");
    assert_eq!(handshakes(&end), 2);
    running.reload(&to(end.addr(), &authority, "serverName: other.test", ""));
    assert_eq!(http::get(running.addr(), "/").status, 502);
}

#[test]
fn who_does_not_speak_tls_is_passed_over() {
    let Some(authority) = Authority::new() else { return };
    let end = telling(&authority, &[]);
    let leaves = Upstream::start(|_| Answer::ok("plain"));
    let both = format!("{}\", \"{}", leaves.addr(), end.addr());
    let running = Running::with_workers(1, &to(both, &authority, "", ""));
    for _ in 0..4 {
        assert_eq!(http::get(running.addr(), "/").status, 200);
    }
    // One that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = to(silent.local_addr().unwrap(), &authority, "", "timeouts: { connect: 200ms }");
    assert_eq!(asked(&config).0, 504);
}

#[test]
fn a_script_chooses_who_the_peer_has_to_be_and_whether_tls_is_spoken() {
    let Some(authority) = Authority::new() else { return };
    let named = authority.issue("named", "DNS:a.test", &[]);
    let end = telling(&authority, &[named]);
    let plain = Upstream::start(|_| Answer::ok("plain"));
    let balanced = |code: &str| {
        let config = to(end.addr(), &authority, "serverName: localhost", "");
        let lua = format!("lua: {{ balancer: \"local b = require 'ngx.balancer' {code}\" }}");
        asked(&config.replace("upstream: up", &format!("upstream: up, {lua}")))
    };
    let (ip, port, plain_port) = (end.addr().ip(), end.addr().port(), plain.addr().port());
    let set = |port: u16, rest: &str| format!("assert(b.set_current_peer('{ip}', {port}{rest}))");
    assert_eq!(balanced(&set(port, "")), (200, "localhost .".into()));
    assert_eq!(balanced(&set(port, ", 'a.test'")), (200, "a.test .".into()));
    assert_eq!(balanced(&set(port, ", 'b.test'")).0, 502);
    let off = set(plain_port, "") + " assert(b.set_upstream_tls(false))";
    assert_eq!(balanced(&off), (200, "plain".into()));
    assert_eq!(balanced(&(off + " assert(b.set_upstream_tls(true))")).0, 502);
}

#[test]
fn an_endpoint_that_asks_is_shown_a_certificate() {
    let Some(authority) = Authority::new() else { return };
    let (certificate, key) = authority.client();
    let shown = format!("clientCertificate: \"{}\", clientKey: \"{}\"", certificate.display(), key.display());
    let (certificate, key) = authority.server();
    let trusted = authority.certificate().display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        // It asks for a certificate, and tells about each connection.
        let options = ["-www", "-Verify", "1", "-verify_return_error", "-CAfile", &trusted, version];
        let Some(server) = Openssl::serve((&certificate, &key), &options) else { return };
        let (status, page) = asked(&to(server.address(), &authority, &shown, ""));
        assert_eq!(status, 200);
        assert!(
            page.contains(&format!("Subject: CN = {}", Authority::CLIENT))
                || page.contains(&format!("Subject: CN={}", Authority::CLIENT)),
            "{page}"
        );
        assert_eq!(asked(&to(server.address(), &authority, "", "")).0, 502);
    }
}
