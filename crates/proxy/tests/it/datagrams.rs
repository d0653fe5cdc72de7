//! `ngx.socket.udp`, with peers that are sockets of the test.

use std::{
    net::UdpSocket,
    os::unix::net::UnixDatagram,
    thread::{self, JoinHandle},
};

use tidegate_testkit::{http, unused_address};

use crate::node::{PATIENCE, Running};

fn run(code: &str) -> String {
    let code = code.replace('\n', "\n        ");
    let running = Running::start(&format!(
        "lua: {{ sockets: {{ readTimeout: 30s }} }}\nroutes:\n  - name: lua\n    match: {{ path: /* }}\n    lua:\n      content: |\n        {code}"
    ));
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().to_owned()
}

/// Answers one datagram with itself, twice.
fn echo() -> (u16, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let answering = thread::spawn(move || {
        let mut block = [0; 4_096];
        let (count, from) = socket.recv_from(&mut block).unwrap();
        for _ in 0..2 {
            socket.send_to(&block[..count], from).unwrap();
        }
    });
    (port, answering)
}

#[test]
fn datagrams_go_to_a_peer_and_come_back() {
    for host in ["127.0.0.1", "localhost"] {
        let (port, answering) = echo();
        let said = run(&format!(
            "local socket = ngx.socket.udp()\nngx.say(socket:setpeername('{host}', {port}))\n\
             ngx.say(socket:send({{ 'he', {{ 'll', 'o' }}, 1 }}))\nngx.say(socket:receive())\nngx.say(socket:receive(3))\n\
             ngx.say(socket:close())\nngx.say(socket:close())\nngx.say(socket:send('x'))\nngx.say(socket:receive())"
        ));
        answering.join().unwrap();
        assert_eq!(said, "1\n1\nhello1\nhel\n1\nnilclosed\nnilclosed\nnilclosed\n", "{host}");
    }
}

#[test]
fn datagrams_go_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let answering = thread::spawn(move || {
        let mut block = [0; 64];
        let (count, from) = socket.recv_from(&mut block).unwrap();
        socket.send_to_addr(&block[..count], &from).unwrap();
    });
    let said = run(&format!(
        "local socket = ngx.socket.udp()\nngx.say(socket:setpeername('unix:{}'))\nngx.say(socket:send('hello'))\n\
         ngx.say(socket:receive())\nngx.say(socket:setpeername('unix:/nonexistent/socket'))",
        path.display()
    ));
    answering.join().unwrap();
    assert_eq!(said, "1\n1\nhello\nnilno such file or directory\n");
}

#[test]
fn waiting_ends_in_time_and_nobody_there_is_told() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (silent_port, unused) = (silent.local_addr().unwrap().port(), unused_address().port());
    let said = run(&format!(
        "local socket = ngx.socket.udp()\nsocket:settimeout(20)\nassert(socket:setpeername('127.0.0.1', {silent_port}))\n\
         ngx.say(socket:receive())\nassert(socket:setpeername('127.0.0.1', {unused}))\nsocket:settimeout(30000)\n\
         assert(socket:send('x'))\nngx.say(socket:receive())"
    ));
    assert_eq!(said, "niltimeout\nnilconnection refused\n");
}

#[test]
fn what_is_wrong_is_said() {
    let said = run(
        "local socket = ngx.socket.udp()\nngx.say(socket:setpeername('127.0.0.1', 70000))\nngx.say(socket:setpeername('127.0.0.1'))\n\
         ngx.say(socket:bind('nowhere'))\nngx.say(socket:bind('127.0.0.1'))\nngx.say(socket:setpeername('', 1))\n\
         ngx.say((select(2, pcall(socket.setpeername, socket)):gsub('^.*: ngx', 'ngx')))\n\
         ngx.say((select(2, pcall(socket.settimeout, socket)):gsub('^.*: ngx', 'ngx')))",
    );
    assert_eq!(
        said,
        "nilbad port number: 70000\nnilmissing the port number\nnilbad address\n1\nnilfailed to parse host name \"\": no host\n\
         ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen 1\n\
         ngx.socket settimout: expecting 2 arguments (including the object) but seen 1\n"
    );
}
