//! Cosockets of handlers, against servers that do as they are told.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

use tidegate_testkit::{
    component, eventually,
    http::{self, Client},
    process::{self, Signal},
    unused_address,
};

use crate::node::Running;

/// A handler that has `socket`, connected to `server`.
fn handler(server: SocketAddr, code: &str) -> Running {
    let (ip, port) = (server.ip(), server.port());
    let code = format!(
        "local socket = ngx.socket.tcp()\nsocket:settimeouts(30000, 30000, 30000)\n\
         assert(socket:connect('{ip}', {port}))\n{code}"
    );
    Running::start(&route(&code))
}

fn route(code: &str) -> String {
    let code = code.replace('\n', "\n        ");
    format!("routes:\n  - name: lua\n    match: {{ path: /* }}\n    lua:\n      content: |\n        {code}")
}

/// Sends these pieces to each client, apart from each other, after one read; then closes.
fn server(pieces: &'static [&'static [u8]]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            let mut block = [0; 1_024];
            let _ = stream.read(&mut block);
            for piece in pieces {
                stream.write_all(piece).unwrap();
                thread::yield_now();
            }
        }
    });
    address
}

fn answer(running: &Running) -> String {
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().to_owned()
}

#[test]
fn lines_counts_and_the_rest_are_read_however_they_come() {
    let running = handler(
        server(&[b"first li", b"ne\r\nsec", b"ond\nabc", b"def", b"the re", b"st"]),
        "assert(socket:send({ 'a', { 1, 'b' } }) == 3)\n\
         ngx.say(socket:receive('*l'))\nngx.say(socket:receive())\nngx.say(socket:receive(6))\n\
         ngx.say(socket:receive('*a'))\nngx.say(socket:receive('*l'))",
    );
    assert_eq!(answer(&running), "first line\nsecond\nabcdef\nthe rest\nnilclosed\n");
}

#[test]
fn a_peer_that_closes_early_leaves_what_it_sent() {
    let running = handler(
        server(&[b"only this"]),
        "socket:send('x')\nlocal data, why, partial = socket:receive(100)\nngx.say(data, ' ', why, ' ', partial)",
    );
    assert_eq!(answer(&running), "nil closed only this\n");
}

#[test]
fn a_pattern_is_found_across_pieces() {
    let running = handler(
        server(&[b"head-", b"-bou", b"ndary--tail"]),
        "socket:send('x')\nlocal read = socket:receiveuntil('--boundary')\nngx.say(read())\nngx.say(socket:receive('*a'))",
    );
    assert_eq!(answer(&running), "head\n--tail\n");
}

#[test]
fn a_silent_peer_is_waited_for_as_long_as_was_said() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = handler(
        silent.local_addr().unwrap(),
        "socket:settimeout(30)\nlocal data, why = socket:receive()\nngx.say(data, ' ', why)",
    );
    assert_eq!(answer(&running), "nil timeout\n");
}

#[test]
fn nobody_there_is_no_error_of_the_script() {
    let port = unused_address().port();
    let running = Running::start(&route(&format!(
        "local socket = ngx.socket.tcp()\nngx.say(socket:connect('127.0.0.1', {port}))\nngx.say(socket:receive())"
    )));
    assert_eq!(answer(&running), "nilconnection refused\nnilclosed\n");
}

#[test]
fn a_connection_that_was_kept_is_used_again() {
    let Some(redis) = component("redis-server") else { return };
    let address = unused_address();
    let mut server = std::process::Command::new(redis)
        .args(["--bind", "127.0.0.1", "--save", "", "--port", &address.port().to_string()])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let patience = std::time::Duration::from_secs(10);
    eventually(patience, "redis-server listens", || std::net::TcpStream::connect(address).is_ok());
    let running = handler(
        address,
        "local times = socket:getreusedtimes()\nassert(socket:send('*2\\r\\n$4\\r\\nINCR\\r\\n$1\\r\\nn\\r\\n'))\n\
         ngx.say(times, ' ', socket:receive())\nassert(socket:setkeepalive(10000, 4))",
    );
    // Each worker has a pool of its own; one connection stays with one worker.
    let mut client = Client::connect(running.addr()).unwrap();
    let answers: Vec<String> = (0..3).map(|_| client.get("/").unwrap().text().to_owned()).collect();
    process::signal(server.id(), Signal::TERM);
    server.wait().unwrap();
    assert_eq!(answers, ["0 :1\n", "1 :2\n", "2 :3\n"]);
}

#[test]
fn sockets_wait_as_long_as_the_configuration_says() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let handler = route(&format!(
        "local socket = ngx.socket.tcp()\nassert(socket:connect('127.0.0.1', {port}))\n\
         local began = ngx.now()\nlocal data, why = socket:receive()\nngx.update_time()\n\
         ngx.say(data, ' ', why, ' ', ngx.now() - began < 10)"
    ));
    let running = Running::start(&format!("lua: {{ sockets: {{ readTimeout: 50ms }} }}\n{handler}"));
    assert_eq!(answer(&running), "nil timeout true\n");
}

#[test]
fn a_socket_is_made_and_connected_at_once() {
    let (port, unused) = (server(&[b"hello\n"]).port(), unused_address().port());
    let running = Running::start(&route(&format!(
        "local socket = assert(ngx.socket.connect('127.0.0.1', {port}))\nassert(socket:send('x'))\n\
         ngx.say(socket:receive(), ' ', socket:getreusedtimes())\n\
         local stream = ngx.socket.stream()\nngx.say(stream:connect('127.0.0.1', {port}))\nassert(stream:send('x'))\n\
         ngx.say(stream:receive())\n\
         ngx.say(ngx.socket.connect('127.0.0.1', {unused}))\nngx.say(ngx.socket.connect('127.0.0.1'))\n\
         ngx.say(ngx.socket.connect('127.0.0.1', 65536))\nngx.say((select(2, pcall(ngx.socket.stream, 1))))"
    )));
    assert_eq!(
        answer(&running),
        "hello 0\n1\nhello\nnilconnection refused\nnilmissing the port number\nnilbad port number: 65536\n\
         expecting zero arguments, but got 1\n"
    );
}

#[test]
fn whatever_has_come_is_read_up_to_a_bound() {
    let running = handler(
        server(&[b"hello world"]),
        "assert(socket:send('x'))\nngx.say(socket:receiveany(5))\nngx.say(socket:receiveany('1'))\n\
         local rest = ''\nrepeat\n  local piece, why = socket:receiveany(1024)\n  rest = rest .. (piece or '|' .. why)\nuntil not piece\n\
         ngx.say(rest)\n\
         local function wrong(...) ngx.say((select(2, pcall(socket.receiveany, ...)))) end\n\
         wrong(socket)\nsocket:close()\nngx.say(socket:receiveany(1))\nwrong(socket, 0)\nwrong(socket, 'x')\nwrong(1, 1)",
    );
    assert_eq!(
        answer(&running),
        "hello\n \nworld|closed\nexpecting 2 arguments (including the object), but got 1\nnilclosed\n\
         bad argument #2 to '?' (bad max argument)\nbad argument #2 to '?' (bad max argument)\n\
         bad argument #1 to '?' (table expected, got number)\n"
    );
}

#[test]
fn options_of_a_connection_are_set_and_read_back() {
    let running = handler(
        server(&[]),
        "for _, option in ipairs({ { 'keepalive', true }, { 'keepalive', 0 }, { 'reuseaddr', true }, { 'tcp-nodelay', false },\n\
         \u{20}   { 'tcp-nodelay', 1 }, { 'keepintvl', 7 }, { 'keepcnt', '3' } }) do\n\
         \u{20} ngx.say(socket:setoption(unpack(option)), ' ', socket:getoption(option[1]))\nend\n\
         for _, option in ipairs({ 'sndbuf', 'rcvbuf' }) do\n\
         \u{20} assert(socket:setoption(option, 16384))\n  local small = socket:getoption(option)\n\
         \u{20} assert(socket:setoption(option, 32768))\n  ngx.say(small >= 16384, ' ', socket:getoption(option) == 2 * small)\nend\n\
         ngx.say(socket:setoption())\nngx.say(socket:setoption('keepcnt'))\nngx.say(socket:setoption('linger', 1))\n\
         ngx.say(socket:getoption())\nngx.say(socket:getoption('linger'))\n\
         ngx.say((select(2, pcall(socket.setoption, socket, 'keepcnt', 'many'))))\n\
         socket:close()\nngx.say(socket:setoption('keepcnt', 1))\nngx.say(socket:getoption('keepcnt'))\n\
         ngx.say((select(2, pcall(socket.getoption, ngx.socket.tcp(), 'keepcnt'))))",
    );
    assert_eq!(
        answer(&running),
        "true 1\ntrue 0\ntrue 1\ntrue 0\ntrue 1\ntrue 7\ntrue 3\ntrue true\ntrue true\n\
         nilmissing the \"option\" argument\nnilmissing the \"value\" argument\nnilunsupported option linger\n\
         nilmissing the \"option\" argument\nnilunsupported option linger\nbad value of option keepcnt\nnilclosed\nnilclosed\n\
         socket is never created nor connected\n"
    );
}
