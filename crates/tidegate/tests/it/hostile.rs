//! Clients that mean harm, by the hundred: each ends by its limit and memory stays flat.

use std::{io::Write, net::TcpStream};

use tidegate_testkit::{Tidegate, eventually, http, process};

use crate::{PATIENCE, TIDEGATE, metric};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
timeouts: { header: 500ms, bodyIdle: 500ms, send: 500ms, firstByte: 500ms, keepAlive: 500ms }
upstreams:
  mute: { endpoints: [\"{mute}\"] }
routes:
  - { name: hello, match: { path: /hello }, lua: { content: ngx.say('hello') } }
  - { name: mute, match: { path: /mute }, upstream: mute }
  - { name: much, match: { path: /much }, lua: { content: \"for i = 1, 2000 do ngx.print(string.rep('x', 65536)) end\" } }
  - { name: body, match: { path: /body }, lua: { content: \"ngx.req.read_body() ngx.say('read')\" } }
";

const EACH: usize = 200;

/// Opens connections that send `opening` and then nothing, and never read.
fn attack(tidegate: &Tidegate, opening: &str) -> Vec<TcpStream> {
    (0..EACH)
        .map(|_| {
            let mut stream = TcpStream::connect(tidegate.addr()).unwrap();
            // On a slow machine it may have been closed already, for lack of this.
            let _ = stream.write_all(opening.as_bytes());
            stream
        })
        .collect()
}

#[test]
fn clients_and_upstreams_that_stall_end_by_their_limits_and_leave_no_memory() {
    let mute = tidegate_testkit::Upstream::start(|_| tidegate_testkit::Answer::nothing().stall());
    let tidegate = Tidegate::setup(TIDEGATE).set("mute", &mute.addr()).start(CONFIG);
    let open = || metric(&tidegate, "tidegate_connections_open");
    let resident = || process::resident_bytes(tidegate.pid()).unwrap();
    let mut first = 0;
    for round in 0..4 {
        let held = [
            attack(&tidegate, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: "),
            attack(&tidegate, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc"),
            attack(&tidegate, "GET /much HTTP/1.1\r\nHost: a\r\n\r\n"),
            attack(&tidegate, "GET /mute HTTP/1.1\r\nHost: a\r\n\r\n"),
            attack(&tidegate, ""),
        ];
        eventually(PATIENCE, "others are served meanwhile", || {
            http::try_get(tidegate.addr(), "/hello").is_ok_and(|answer| answer.text() == "hello\n")
        });
        eventually(PATIENCE, "every connection has been ended by the gateway", || open() < 1.0);
        drop(held);
        if round == 1 {
            first = resident();
        }
    }
    // What was freed a moment ago is kept for a while.
    eventually(PATIENCE, "there is no more memory in use than there was", || {
        resident() < first + first / 5 + (8 << 20)
    });
}
