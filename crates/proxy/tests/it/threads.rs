//! Light threads in the request path: what they wait for goes on at once.

use std::net::TcpListener;

use tidegate_testkit::http::{self, Client};

use crate::node::Running;

fn content(code: &str) -> Running {
    let code = code.replace('\n', "\n        ");
    Running::start(&format!(
        "routes:\n  - name: lua\n    match: {{ path: /* }}\n    lua:\n      content: |\n        {code}"
    ))
}

#[test]
fn threads_wait_for_sockets_and_time_at_once() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = peer.local_addr().unwrap().port();
    // Both ends are the handler's: one thread reads what the other sends once the first is seen to wait.
    let running = content(&format!(
        "local function open() local s = ngx.socket.tcp() assert(s:connect('127.0.0.1', {port})) return s end
local s = open()
local reads = ngx.thread.spawn(function() ngx.say('reads') return s:receive(3) end)
local ticks = ngx.thread.spawn(function() for i = 1, 3 do ngx.sleep(0.001) ngx.say('tick') end return 'ticked' end)
ngx.say(ngx.thread.wait(reads, ticks))
ngx.say(coroutine.status(reads))
assert(s:send('go!'))
ngx.say(ngx.thread.wait(reads))"
    ));
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = peer.accept().unwrap();
        let mut reader = stream.try_clone().unwrap();
        let mut bytes = [0; 3];
        std::io::Read::read_exact(&mut reader, &mut bytes).unwrap();
        std::io::Write::write_all(&mut stream, &bytes).unwrap();
    });
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.text(), "reads\ntick\ntick\ntick\ntrueticked\nrunning\ntruego!\n");
    echo.join().unwrap();
}

#[test]
fn threads_that_flush_take_turns() {
    let running = content(
        "local function f(name) for i = 1, 3 do ngx.say(name, i) ngx.flush(true) end end
ngx.thread.spawn(f, 'a') ngx.thread.spawn(f, 'b')",
    );
    assert_eq!(http::get(running.addr(), "/").text(), "a1\nb1\na2\nb2\na3\nb3\n");
}

#[test]
fn an_exit_ends_what_other_threads_wait_for() {
    let running = content(
        "ngx.thread.spawn(function() ngx.sleep(3600) end)
ngx.thread.spawn(function() ngx.sleep(0.001) ngx.exit(204) end)
ngx.sleep(3600)",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/").unwrap().status, 204);
    assert_eq!(client.get("/").unwrap().status, 204);
}

#[test]
fn a_killed_thread_holds_nobody_up() {
    let running = content(
        "local t = ngx.thread.spawn(function() ngx.sleep(3600) end)
ngx.sleep(0) ngx.say(ngx.thread.kill(t))",
    );
    assert_eq!(http::get(running.addr(), "/").text(), "1\n");
}

#[test]
fn others_go_on_while_one_reads_the_body() {
    let running = content(
        "local reads = ngx.thread.spawn(function() ngx.req.read_body() return ngx.req.get_body_data() end)
for i = 1, 3 do ngx.sleep(0.001) end
ngx.say(select(2, ngx.req.socket(true)))
ngx.flush(true)
ngx.say(select(2, ngx.thread.wait(reads)))",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabc").unwrap();
    let mut so_far = Vec::new();
    while !String::from_utf8_lossy(&so_far).contains("pending request body reading in some other thread") {
        so_far.extend(client.read_some().unwrap());
    }
    client.send(b"def").unwrap();
    let rest = client.read_to_end().unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("abcdef\n"), "{rest:?}");
}

#[test]
fn one_may_end_the_request_while_another_reads_the_body() {
    let running = content("ngx.thread.spawn(ngx.req.read_body) ngx.sleep(0) ngx.say('enough') ngx.exit(200)");
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").unwrap();
    assert!(String::from_utf8_lossy(&client.read_some().unwrap()).contains("200 OK"));
}
