//! Lua in the request path, as a client sees it.

use std::thread;

use tidegate_testkit::{
    Answer, Upstream,
    http::{self, Client},
};

use crate::node::Running;

fn content(code: &str) -> Running {
    let code = code.replace('\n', "\n        ");
    Running::start(&format!(
        "routes:\n  - name: lua\n    match: {{ path: /* }}\n    lua:\n      content: |\n        {code}"
    ))
}

#[test]
fn a_script_sees_the_address_that_its_client_came_to() {
    let content = "ngx.print(ngx.var.server_addr, \" \", ngx.var.server_port)";
    let routes = format!("routes: [{{ match: {{ path: /* }}, lua: {{ content: '{content}' }} }}]");
    // All of 127.0.0.0/8 is this machine.
    for (listens, asked) in [("127.0.0.2", &["127.0.0.2"][..]), ("0.0.0.0", &["127.0.0.1", "127.0.0.7"])] {
        let node = Running::start(&format!("listeners: [{{ address: '{listens}:0' }}]\n{routes}"));
        let port = node.addr().port();
        for asked in asked {
            let answer = http::get(format!("{asked}:{port}").parse().unwrap(), "/");
            assert_eq!(answer.text(), format!("{asked} {port}"), "listening on {listens}");
        }
    }
}

#[test]
fn a_handler_answers() {
    let running = content(
        "ngx.status = 201\nngx.header['X-A'] = 'b'\nngx.say('hello ', ngx.var.uri, ' ', ngx.var.args)",
    );
    let answer = http::get(running.addr(), "/a%20b?c=d");
    assert_eq!((answer.status, answer.text()), (201, "hello /a b c=d\n"));
    assert_eq!((answer.header("X-A"), answer.header("Content-Type")), (Some("b"), Some("text/plain")));
}

#[test]
fn a_body_of_any_framing_can_be_read() {
    let running = content("ngx.req.read_body()\nngx.print(ngx.req.get_body_data() or 'none')");
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.request("POST", "/", &[], b"abc").unwrap().text(), "abc");
    client
        .send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n")
        .unwrap();
    assert_eq!(client.read().unwrap().text(), "de");
    assert_eq!(client.get("/").unwrap().text(), "none");
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 100);
    client.send(b"fg").unwrap();
    assert_eq!(client.read().unwrap().text(), "fg");
}

#[test]
fn a_body_that_nobody_reads_does_not_get_in_the_way() {
    let running = content("ngx.say('ok')");
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.request("POST", "/", &[], &vec![b'x'; 100_000]).unwrap().text(), "ok\n");
    }
}

#[test]
fn a_long_answer_is_sent_while_it_is_made() {
    let running = content("for i = 1, 3000 do ngx.print(string.rep('x', 1000)) end");
    let answer = http::get(running.addr(), "/");
    assert_eq!((answer.body.len(), answer.header("Transfer-Encoding")), (3_000_000, Some("chunked")));
}

#[test]
fn sleeping_blocks_nobody() {
    // Nobody wakes up before all of them sleep, and another has been served.
    let running = Running::start(
        "lua: { sharedDicts: { seen: 64KiB } }
routes:
  - match: { path: /slow }
    lua:
      content: |
        local seen = ngx.shared.seen
        seen:incr('asleep', 1, 0)
        repeat ngx.sleep(0.01) until seen:get('awake')
        ngx.say('ok')
  - match: { path: /* }
    lua:
      content: |
        local seen = ngx.shared.seen
        repeat ngx.sleep(0.01) until seen:get('asleep') == 50
        seen:set('awake', true)
        ngx.say('ok')",
    );
    let addr = running.addr();
    let sleepers: Vec<_> = (0..50).map(|_| thread::spawn(move || http::get(addr, "/slow"))).collect();
    assert_eq!(http::get(addr, "/").text(), "ok\n");
    for sleeper in sleepers {
        assert_eq!(sleeper.join().unwrap().text(), "ok\n");
    }
}

#[test]
fn an_error_is_a_500_for_its_request_alone() {
    let running = content("if ngx.var.uri == '/bad' then error('broken') end\nngx.say('ok')");
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..3 {
        let bad = client.get("/bad").unwrap();
        assert_eq!(bad.status, 500);
        assert!(!bad.text().contains("broken"), "the client learns nothing: {}", bad.text());
        assert_eq!(client.get("/").unwrap().text(), "ok\n");
    }
    assert_eq!(running.route("lua").lua_errors, 3);
}

#[test]
fn exits_and_redirects() {
    let running = content(
        "local uri = ngx.var.uri\n\
         if uri == '/404' then ngx.exit(404) end\n\
         if uri == '/own' then ngx.status = 403; ngx.print('mine'); ngx.exit(403) end\n\
         if uri == '/go' then ngx.redirect('/there') end\n\
         if uri == '/close' then ngx.exit(444) end\n\
         ngx.exit(204)",
    );
    let addr = running.addr();
    assert_eq!(http::get(addr, "/404").status, 404);
    let own = http::get(addr, "/own");
    assert_eq!((own.status, own.text()), (403, "mine"));
    let go = http::get(addr, "/go");
    assert_eq!((go.status, go.header("Location")), (302, Some("/there")));
    assert_eq!(http::get(addr, "/").status, 204);
    assert!(http::send_raw(addr, b"GET /close HTTP/1.1\r\nHost: a\r\n\r\n").is_empty());
}

/// A proxied route with hooks, and a dictionary to count in.
fn hooked(upstream: &Upstream, hooks: &str) -> Running {
    Running::start(&format!(
        "lua: {{ sharedDicts: {{ hits: 1MiB }} }}
upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes:
  - name: all
    match: {{ path: /* }}
    upstream: up
    lua:
{hooks}",
        upstream.addr()
    ))
}

#[test]
fn access_decides_and_edits_what_goes_upstream() {
    let upstream = Upstream::start(|request| Answer::ok(request.header("X-User").unwrap_or("nobody")));
    let running = hooked(
        &upstream,
        "      access: |
        local key = ngx.req.get_headers()['x-key']
        if not key then return ngx.exit(401) end
        ngx.req.set_header('X-User', 'user-' .. key)
        ngx.req.clear_header('X-Key')
        ngx.ctx.key = key
      headerFilter: |
        ngx.header['X-Ctx'] = ngx.ctx.key
        ngx.header['Server'] = nil
",
    );
    assert_eq!(http::get(running.addr(), "/").status, 401);
    assert_eq!(upstream.request_count(), 0);
    let answer = http::request(running.addr(), "GET", "/", &[("X-Key", "7")], b"");
    assert_eq!((answer.text(), answer.header("X-Ctx")), ("user-7", Some("7")));
    assert_eq!(upstream.requests()[0].header("X-Key"), None);
}

#[test]
fn a_body_that_access_has_read_is_still_passed_on() {
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let running = hooked(&upstream, "      access: |\n        ngx.req.read_body()\n");
    let mut client = Client::connect(running.addr()).unwrap();
    let body = vec![b'x'; 200_000];
    assert_eq!(client.request("POST", "/", &[], &body).unwrap().body, body);
    assert_eq!(client.get("/").unwrap().text(), "");
}

#[test]
fn dictionaries_are_one_for_all_workers_and_survive_a_reload() {
    let upstream = Upstream::start(|_| Answer::ok(""));
    let hooks = "      headerFilter: |
        ngx.header['X-Hits'] = ngx.shared.hits:incr('n', 1, 0)
";
    let mut running = hooked(&upstream, hooks);
    // A connection for each request, so that the kernel spreads them over both workers.
    for number in 1..=40 {
        assert_eq!(http::get(running.addr(), "/").header("X-Hits"), Some(number.to_string().as_str()));
    }
    running.reload(&format!(
        "lua: {{ sharedDicts: {{ hits: 1MiB }} }}
upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes: [{{ name: all, match: {{ path: /* }}, upstream: up, lua: {{ headerFilter: \"ngx.header['X-Hits'] = ngx.shared.hits:get('n')\" }} }}]",
        upstream.addr()
    ));
    assert_eq!(http::get(running.addr(), "/").header("X-Hits"), Some("40"));
}

#[test]
fn the_log_phase_sees_the_end_and_cannot_break_the_answer() {
    let upstream = Upstream::start(|_| Answer::status(207, &[], "x"));
    let running = hooked(
        &upstream,
        "      access: |
        if ngx.var.uri == '/last' then ngx.print(ngx.shared.hits:get('seen')) end
      log: |
        ngx.shared.hits:set('seen', ngx.var.status .. ' ' .. ngx.var.upstream_status .. ' ' .. ngx.var.upstream_addr)
        error('broken')
",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/").unwrap().status, 207);
    assert_eq!(client.get("/last").unwrap().text(), format!("207 207 {}", upstream.addr()));
}

#[test]
fn a_broken_header_filter_is_a_500_and_not_a_loop() {
    let upstream = Upstream::start(|_| Answer::ok("x"));
    let running = hooked(
        &upstream,
        "      access: if ngx.var.uri == '/worse' then error('broken, too') end
      headerFilter: |
        if ngx.var.uri == '/runs' then ngx.header['Runs'] = ngx.shared.hits:get('runs') return end
        ngx.shared.hits:incr('runs', 1, 0)
        error('broken')
",
    );
    for (runs, path) in [("1", "/"), ("2", "/worse")] {
        assert_eq!(http::get(running.addr(), path).status, 500);
        assert_eq!(http::get(running.addr(), "/runs").header("Runs"), Some(runs), "{path}");
    }
}

#[test]
fn headers_set_before_the_answer_go_over_those_of_the_upstream() {
    let upstream = Upstream::start(|_| Answer::status(200, &[("X-A", "theirs"), ("X-B", "theirs")], "x"));
    let running = hooked(&upstream, "      access: ngx.header['X-A'] = 'ours'\n");
    let answer = http::get(running.addr(), "/");
    assert_eq!((answer.header("X-A"), answer.header("X-B")), (Some("ours"), Some("theirs")));
}

#[test]
fn a_server_field_of_luas_own_is_the_only_one() {
    let running = content(
        "ngx.header['Server'] = 'mine'\nif ngx.var.uri == '/404' then ngx.exit(404) end\nngx.say('ok')",
    );
    for path in ["/", "/404"] {
        assert_eq!(http::get(running.addr(), path).header("Server"), Some("mine"), "{path}");
    }
}

#[test]
fn what_runs_before_the_answer_runs_in_its_order() {
    let running = Running::start(
        "lua: { precontent: \"ngx.ctx.seen = ngx.ctx.seen .. ngx.get_phase()\" }
routes:
  - match: { path: /t }
    lua:
      rewrite: ngx.ctx.seen = ngx.get_phase() .. ' '
      access: ngx.ctx.seen = ngx.ctx.seen .. ngx.get_phase() .. ' '
      content: ngx.say(ngx.ctx.seen)
  - match: { path: /denied }
    return: { body: never }
    lua: { rewrite: ngx.exit(403), precontent: ngx.say('never') }
",
    );
    assert_eq!(http::get(running.addr(), "/t").text(), "rewrite access precontent\n");
    assert_eq!(http::get(running.addr(), "/denied").status, 403);
}

#[test]
fn a_route_without_upstream_answers_unless_it_is_internal() {
    let running = Running::start(
        "routes:
  - match: { path: /fixed }
    return: { status: 418, headers: { X-Path: $uri }, body: 'hello $arg_name' }
  - match: { path: /inside }
    internal: true
    return: {}
",
    );
    let answer = http::get(running.addr(), "/fixed?name=you");
    assert_eq!((answer.status, answer.header("X-Path")), (418, Some("/fixed")));
    assert_eq!(answer.text(), "hello you");
    assert_eq!(http::get(running.addr(), "/inside").status, 404);
}

#[test]
fn variables_are_set_in_order_and_belong_to_one_request() {
    let running = Running::start(
        "vars: { zone: eu }
routes:
  - match: { path: /t }
    vars: { a: '$zone-$arg_x', b: '[$a]' }
    lua:
      rewrite: \"ngx.var.A = ngx.var.a .. '!'\"
      content: |
        ngx.say(ngx.var.a, ' ', ngx.var.b, ' ', ngx.var.none, ' ', (pcall(function() ngx.var.none = 1 end)))
",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/t?x=1").unwrap().text(), "eu-1! [eu-1] nil false\n");
    assert_eq!(client.get("/t?x=2").unwrap().text(), "eu-2! [eu-2] nil false\n");
}

#[test]
fn early_lua_runs_for_every_route_and_finds_the_body_when_it_is_asked_for() {
    let running = Running::start(
        "lua: { serverRewrite: ngx.ctx.early = ngx.get_phase(), needRequestBody: true }
routes:
  - match: { path: /t }
    lua: { content: \"ngx.say(ngx.ctx.early, ' ', ngx.req.get_body_data())\" }
",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.request("POST", "/t", &[], b"abc").unwrap().text(), "server_rewrite abc\n");
}

#[test]
fn the_default_type_is_the_routes_to_say() {
    let running = Running::start(
        "lua: { defaultType: text/html }
routes:
  - { match: { path: /file }, lua: { content: ngx.say(1) } }
  - { match: { path: /own }, lua: { content: ngx.say(1), defaultType: foo/bar } }
  - { match: { path: /none }, lua: { content: ngx.say(1), useDefaultType: false } }
",
    );
    let kind = |path: &str| http::get(running.addr(), path).header("Content-Type").map(str::to_owned);
    assert_eq!(kind("/file").as_deref(), Some("text/html"));
    assert_eq!(kind("/own").as_deref(), Some("foo/bar"));
    assert_eq!(kind("/none"), None);
}

#[test]
fn a_request_tells_its_version_and_when_it_began() {
    let running =
        content("ngx.say(ngx.req.http_version(), ' ', math.abs(ngx.req.start_time() - ngx.now()) < 60)");
    assert_eq!(http::get(running.addr(), "/").text(), "1.1 true\n");
}

#[test]
fn answers_of_the_gateway_may_look_like_those_of_nginx() {
    let running = Running::start(
        "answers: { server: mine, errors: html }
routes:
  - match: { path: /gone }
    lua: { content: ngx.exit(410) }
  - match: { path: /moved }
    lua: { content: ngx.redirect('/there') }
  - match: { path: /timeless }
    lua: { content: ngx.say('now'), headerFilter: ngx.header.Date = nil }",
    );
    let gone = http::get(running.addr(), "/gone");
    assert_eq!((gone.status, gone.header("Content-Type")), (410, Some("text/html")));
    assert!(gone.text().contains("<h1>410 Gone</h1>") && gone.text().contains("<center>mine</center>"));
    let moved = http::get(running.addr(), "/moved");
    assert_eq!((moved.header("Location"), moved.header("Server")), (Some("/there"), Some("mine")));
    assert!(moved.text().contains("302 Found"), "{}", moved.text());
    assert_eq!(http::get(running.addr(), "/timeless").header("Date"), None);
    assert!(http::get(running.addr(), "/gone").header("Date").is_some());
}

#[test]
fn what_was_said_commits_the_head() {
    let running = content(
        "ngx.print(ngx.headers_sent, ' ') ngx.header.X = 'late' ngx.status = 500
ngx.say(ngx.headers_sent, ' ', ngx.status) ngx.exit(404)",
    );
    let answer = http::get(running.addr(), "/");
    assert_eq!((answer.status, answer.text()), (200, "false true 200\n"));
    assert_eq!(answer.header("X"), None);
}

#[test]
fn a_header_filter_can_answer_something_else() {
    let running =
        Running::start("routes: [{ lua: { content: ngx.say('secret'), headerFilter: ngx.exit(403) } }]");
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.status, 403);
    assert!(!answer.text().contains("secret"), "{}", answer.text());
}

#[test]
fn answers_that_say_what_they_are_can_be_asked_for_conditionally() {
    let running = content(
        "ngx.header['Last-Modified'] = 'Thu, 10 May 2012 07:50:59 GMT' ngx.header.ETag = '\"a\"'
ngx.say('hello') if ngx.var.arg_flush then ngx.flush(true) end",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    for target in ["/", "/?flush=1"] {
        let same = [("If-Modified-Since", "Thu, 10 May 2012 07:50:59 GMT"), ("If-None-Match", "\"a\"")];
        let answer = client.request("GET", target, &same, b"").unwrap();
        assert_eq!((answer.status, answer.text(), answer.header("ETag")), (304, "", Some("\"a\"")));
        let other = client.request("GET", target, &[("If-None-Match", "\"b\"")], b"").unwrap();
        assert_eq!((other.status, other.text()), (200, "hello\n"));
        let posted = client.request("POST", target, &same, b"").unwrap();
        assert_eq!(posted.status, 200);
    }
    let late = [("If-Unmodified-Since", "Thu, 10 May 2012 07:50:58 GMT")];
    assert_eq!(client.request("GET", "/", &late, b"").unwrap().status, 412);
}
