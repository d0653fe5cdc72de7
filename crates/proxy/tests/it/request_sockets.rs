//! `ngx.req.socket`: Lua reads the body, or has the whole connection.

use tidegate_testkit::http::{self, Client};

use crate::node::Running;

fn content(code: &str) -> Running {
    let code = code.replace('\n', "\n        ");
    Running::start(&format!("routes:\n  - match: {{ path: /* }}\n    lua:\n      content: |\n        {code}"))
}

#[test]
fn lua_reads_the_body_piece_by_piece_and_no_further() {
    let running = content(
        "local sock = assert(ngx.req.socket())
ngx.say(sock:receive(2), '|', sock:receive(), '|', (sock:receive('*a')))
ngx.say(sock:receive(1))
ngx.say(select(2, ngx.req.socket()), ' ', sock.close, sock.send)",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..2 {
        let answer = client.request("POST", "/", &[], b"abc\nlonger rest").unwrap();
        assert_eq!(answer.text(), "ab|c|longer rest\nnilclosed\nrequest body already exists nilnil\n");
    }
    let long = vec![b'x'; 300_000];
    let body = [&b"abc\n"[..], &long].concat();
    assert_eq!(client.request("POST", "/", &[], &body).unwrap().body.len(), 300_000 + 51);
}

#[test]
fn what_lua_leaves_of_a_body_does_not_get_in_the_way() {
    let running = content("local sock = assert(ngx.req.socket())\nngx.say(sock:receive(3))");
    let mut client = Client::connect(running.addr()).unwrap();
    for size in [3, 5, 100_000] {
        assert_eq!(client.request("POST", "/", &[], &vec![b'x'; size]).unwrap().text(), "xxx\n");
    }
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 100);
    client.send(b"abcdPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nefg").unwrap();
    assert_eq!(client.read().unwrap().text(), "abc\n");
    assert_eq!(client.read().unwrap().text(), "efg\n");
}

#[test]
fn lua_that_has_the_whole_connection_says_itself_that_a_body_may_come() {
    let running = content(
        "local sock = assert(ngx.req.socket(true))
sock:send('HTTP/1.1 100 Continue\\r\\nX-Own: yes\\r\\n\\r\\n')
local body = sock:receive(4)
sock:send('HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\n' .. body)",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let interim = client.read_without_body().unwrap();
    assert_eq!((interim.status, interim.header("X-Own")), (100, Some("yes")));
    client.send(b"abcd").unwrap();
    assert_eq!(client.read().unwrap().text(), "abcd");
}

#[test]
fn there_is_no_socket_without_a_body_that_waits() {
    let running = content(
        "if ngx.var.args == 'read' then ngx.req.read_body() elseif ngx.var.args == 'discard' then ngx.req.discard_body() end
ngx.say(select(2, ngx.req.socket()))",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/").unwrap().text(), "no body\n");
    let mut post = |path: &str| client.request("POST", path, &[], b"a").unwrap().text().to_owned();
    assert_eq!(post("/?read"), "request body already exists\n");
    assert_eq!(post("/?discard"), "request body discarded\n");
    client
        .send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
        .unwrap();
    assert_eq!(client.read().unwrap().text(), "chunked request bodies not supported yet\n");
}

#[test]
fn a_body_can_be_read_by_lua_and_put_together_anew() {
    let running = content(
        "local sock = assert(ngx.req.socket())
ngx.req.init_body()
ngx.req.append_body((sock:receive('*a')):upper())
ngx.req.finish_body()
ngx.print(ngx.req.get_body_data())",
    );
    assert_eq!(http::request(running.addr(), "POST", "/", &[], b"abc").text(), "ABC");
}

#[test]
fn the_whole_connection_can_be_the_scripts() {
    let running = content(
        "ngx.status = 101
ngx.header.Upgrade = 'echo'
ngx.header.Connection = 'Upgrade'
ngx.send_headers()
local sock = assert(ngx.req.socket(true))
assert(select(2, ngx.req.socket(true)) == 'duplicate call')
assert(select(2, ngx.say('x')) == 'raw request socket acquired')
local writer = ngx.thread.spawn(function() ngx.sleep(0.01) assert(sock:send('hello ')) end)
local line = sock:receive()
ngx.thread.wait(writer)
sock:send({ 'you said ', line })",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhel").unwrap();
    let head = client.read_without_body().unwrap();
    assert_eq!(
        (head.status, head.header("Upgrade"), head.header("Connection")),
        (101, Some("echo"), Some("upgrade"))
    );
    assert_eq!(client.read_exactly(6).unwrap(), b"hello ");
    client.send(b"lo\n").unwrap();
    assert_eq!(client.read_to_end().unwrap(), b"you said hello");
}

#[test]
fn a_client_of_http_1_0_can_be_spoken_to_before_anything_is_written() {
    let running = Running::start(
        "routes:\n  - match: { path: /* }\n    lua:\n      content: |\n        if ngx.var.arg_early then ngx.print('early') end\n        local sock, why = ngx.req.socket(true)\n        if not sock then ngx.print(why) else sock:send('HTTP/1.0 200 OK\\r\\n\\r\\nraw') end",
    );
    let answer = |target: &str| {
        let request = format!("GET {target} HTTP/1.0\r\nHost: a\r\n\r\n");
        String::from_utf8_lossy(&http::send_raw(running.addr(), request.as_bytes())).into_owned()
    };
    assert!(answer("/").ends_with("raw"), "{}", answer("/"));
    assert!(answer("/?early=1").ends_with("earlyhttp 1.0 buffering"), "{}", answer("/?early=1"));
}

#[test]
fn a_client_that_leaves_before_its_body_has_come_is_told_from_one_that_is_done() {
    let running = content(
        "local s = ngx.req.socket()\nlocal data, why, part = s:receive('*a')\nngx.say(data or why, part)",
    );
    let answer = |body: &str| {
        let mut client = Client::connect(running.addr()).unwrap();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
        client.send(format!("{head}{body}").as_bytes()).unwrap();
        client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        client.read().unwrap().text().to_owned()
    };
    assert_eq!(answer("hello"), "hellonil\n");
    assert_eq!(answer("hel"), "client abortedhel\n");
}
