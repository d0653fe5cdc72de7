//! Clients that speak TLS.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tidegate_testkit::{Answer, Upstream, component, eventually, http, http::Client, servers::Authority};

use crate::{
    node::{PATIENCE, Running},
    rescue::HOLDING,
};

type Safe = Client<StreamOwned<ClientConnection, TcpStream>>;

/// How clients of a test speak TLS.
pub(crate) struct Trusting(Arc<ClientConfig>);

impl Trusting {
    pub(crate) fn new(authority: &Authority) -> Self {
        Self::speaking(authority, rustls::ALL_VERSIONS)
    }

    pub(crate) fn speaking(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(authority.certificate()).unwrap();
        roots.add(certificate).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::clone(tidegate_tls::provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    /// The same, with a certificate of its own.
    pub(crate) fn showing(authority: &Authority, (certificate, key): (PathBuf, PathBuf)) -> Self {
        let mut this = Self::new(authority);
        let identity = [certificate, key].map(|path| std::fs::read(path).unwrap());
        let identity = tidegate_tls::Identity::from_pem(&identity[0], &identity[1]).unwrap();
        let config = Arc::get_mut(&mut this.0).unwrap();
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(identity.key));
        this
    }

    /// Shakes hands and asks for `host`.
    pub(crate) fn try_connect(&self, addr: SocketAddr, host: &str) -> io::Result<Safe> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::clone(&self.0), name).unwrap(), stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Client::over(tls, host))
    }

    pub(crate) fn connect(&self, addr: SocketAddr) -> Safe {
        self.try_connect(addr, "localhost").unwrap()
    }
}

/// The certificate that a client has been given.
fn certificate(client: &mut Safe) -> Vec<u8> {
    client.inner().conn.peer_certificates().unwrap()[0].to_vec()
}

fn der(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).unwrap().to_vec()
}

/// A listener with these certificates.
pub(crate) fn listener(pairs: &[(PathBuf, PathBuf)]) -> String {
    let pair = |(certificate, key): &(PathBuf, PathBuf)| {
        format!("{{ certificate: \"{}\", key: \"{}\" }}", certificate.display(), key.display())
    };
    let pairs: Vec<_> = pairs.iter().map(pair).collect();
    format!("listeners: [{{ address: \"127.0.0.1:0\", tls: [{}] }}]\n", pairs.join(", "))
}

fn to(upstream: &Upstream) -> String {
    let addr = upstream.addr();
    format!(
        "upstreams: {{ up: {{ endpoints: [\"{addr}\"] }} }}\nroutes: [{{ match: {{ path: /* }}, upstream: up }}]\n"
    )
}

fn count(running: &Running, of: impl Fn(&tidegate_core::telemetry::WorkerSeries) -> u64) -> u64 {
    running.telemetry.workers().iter().chain(running.telemetry.lanes()).map(of).sum()
}

fn open(running: &Running) -> u64 {
    count(running, tidegate_core::telemetry::WorkerSeries::tls_connections)
}

#[test]
fn requests_follow_each_other_over_one_handshake() {
    let Some(authority) = Authority::new() else { return };
    let upstream = Upstream::start(|_| Answer::ok("fine"));
    let running = Running::start(&(listener(&[authority.server()]) + &to(&upstream)));
    for versions in [[&rustls::version::TLS12], [&rustls::version::TLS13]] {
        let mut client = Trusting::speaking(&authority, &versions).connect(running.addr());
        for _ in 0..3 {
            assert_eq!(client.get("/a").unwrap().text(), "fine");
        }
        assert_eq!(open(&running), 1);
        drop(client);
        eventually(PATIENCE, "it is closed", || open(&running) == 0);
    }
    assert_eq!(count(&running, |worker| worker.tls_handshakes.load(Relaxed)), 2);
    assert_eq!(count(&running, |worker| worker.tls_failed.load(Relaxed)), 0);
    let request = upstream.requests().remove(0);
    assert_eq!(request.header("X-Forwarded-Proto"), Some("https"));
}

#[test]
fn a_ticket_makes_the_next_handshake_short_also_after_a_reload() {
    let Some(authority) = Authority::new() else { return };
    let config = listener(&[authority.server()])
        + "routes: [{ lua: { content: 'ngx.print(ngx.var.ssl_session_reused)' } }]";
    let mut running = Running::with_workers(1, &config);
    for versions in [[&rustls::version::TLS12], [&rustls::version::TLS13]] {
        let trusting = Trusting::speaking(&authority, &versions);
        assert_eq!(trusting.connect(running.addr()).get("/").unwrap().text(), ".");
        assert_eq!(trusting.connect(running.addr()).get("/").unwrap().text(), "r");
        running.reload(&config);
        assert_eq!(trusting.connect(running.addr()).get("/").unwrap().text(), "r");
    }
    assert_eq!(count(&running, |worker| worker.tls_resumed.load(Relaxed)), 4);
}

#[test]
fn the_name_that_a_client_asks_for_chooses_its_certificate() {
    let Some(authority) = Authority::new() else { return };
    let own = authority.issue("own", "DNS:a.test", &[]);
    let any = authority.issue("any", "DNS:*.b.test,DNS:b.test", &[]);
    let pairs = [authority.server(), own.clone(), any.clone()];
    let running = Running::start(
        &(listener(&pairs) + "routes: [{ lua: { content: 'ngx.print(ngx.var.ssl_server_name)' } }]"),
    );
    let trusting = Trusting::new(&authority);
    for (host, expected) in
        [("localhost", authority.server()), ("a.test", own), ("b.test", any.clone()), ("x.b.test", any)]
    {
        let mut client = trusting.try_connect(running.addr(), host).unwrap();
        assert_eq!(certificate(&mut client), der(&expected.0), "{host}");
        assert_eq!(client.get("/").unwrap().text(), host);
    }
    // The first is for all others, who can see that it is not for them.
    assert!(trusting.try_connect(running.addr(), "c.test").is_err());
}

#[test]
fn a_reload_brings_new_certificates_and_leaves_connections_alone() {
    let Some(authority) = Authority::new() else { return };
    let later = authority.issue("later", "DNS:localhost", &[]);
    let rest = "routes: [{ lua: { content: ngx.print(1) } }]";
    let mut running = Running::start(&(listener(&[authority.server()]) + rest));
    let trusting = Trusting::new(&authority);
    let mut early = trusting.connect(running.addr());
    assert_eq!(certificate(&mut early), der(&authority.server().0));
    running.reload(&(listener(std::slice::from_ref(&later)) + rest));
    let mut late = Trusting::new(&authority).connect(running.addr());
    assert_eq!(certificate(&mut late), der(&later.0));
    assert_eq!([early.get("/").unwrap().text(), late.get("/").unwrap().text()], ["1", "1"]);
}

#[test]
fn large_bodies_go_both_ways() {
    let Some(authority) = Authority::new() else { return };
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let running = Running::start(&(listener(&[authority.server()]) + &to(&upstream)));
    let body: Vec<u8> = (0..8_000_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    let mut client = Trusting::new(&authority).connect(running.addr());
    for _ in 0..2 {
        let answer = client.request("POST", "/", &[], &body).unwrap();
        assert!(answer.body == body, "{} bytes", answer.body.len());
    }
}

#[test]
fn lua_reads_and_writes_over_tls() {
    let Some(authority) = Authority::new() else { return };
    let config = listener(&[authority.server()])
        + "routes:
  - lua:
      content: |
        ngx.req.read_body()
        local v = ngx.var
        ngx.say(table.concat({ v.scheme, v.https, v.ssl_protocol, v.ssl_cipher, v.ssl_client_verify, v.server_port }, ' '))
        for _ = 1, 40 do ngx.print(('x'):rep(50000)) ngx.flush(true) end
        ngx.print(ngx.req.get_body_data() or ngx.req.get_body_file() and 'a file')";
    let running = Running::start(&config);
    let mut client = Trusting::new(&authority).connect(running.addr());
    for (sent, came) in [("y".repeat(500_000), "y".repeat(500_000)), ("z".repeat(3_000_000), "a file".into())]
    {
        let answer = client.request("POST", "/", &[], sent.as_bytes()).unwrap();
        let (line, rest) = answer.text().split_once('\n').unwrap();
        let port = running.addr().port();
        assert_eq!(line, format!("https on TLSv1.3 TLS_AES_256_GCM_SHA384 NONE {port}"));
        assert!(rest == "x".repeat(2_000_000) + &came, "{} bytes", rest.len());
    }
}

#[test]
fn a_slow_reader_gets_all_of_an_answer() {
    let Some(authority) = Authority::new() else { return };
    let upstream = Upstream::start(|_| Answer::ok(vec![7; 4_000_000]));
    let running = Running::start(&(listener(&[authority.server()]) + &to(&upstream)));
    let mut client = Trusting::new(&authority).connect(running.addr());
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // Until everything between the two is full.
    eventually(PATIENCE, "the answer is on its way", || upstream.request_count() == 1);
    assert_eq!(client.read().unwrap().body, vec![7; 4_000_000]);
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_ends_with_either_side() {
    let Some(authority) = Authority::new() else { return };
    let upstream = Upstream::start(|_| Answer::echo("websocket"));
    let running = Running::start(&(listener(&[authority.server()]) + &to(&upstream)));
    let mut client = Trusting::new(&authority).connect(running.addr());
    let upgrade = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(&[&upgrade[..], b"early"].concat()).unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 101);
    assert_eq!(client.read_exactly(5).unwrap(), b"early");
    for size in [1, 70_000] {
        client.send(&vec![9; size]).unwrap();
        assert_eq!(client.read_exactly(size).unwrap(), vec![9; size]);
    }
    client.inner().conn.send_close_notify();
    client.inner().flush().unwrap();
    // A clean end: without it, this would be an error.
    assert!(client.read_some().unwrap().is_empty());
    eventually(PATIENCE, "the upstream's end is closed", || upstream.open_connections() == 0);
}

#[test]
fn plain_http_is_told_what_it_is_missing() {
    let Some(authority) = Authority::new() else { return };
    let running =
        Running::start(&(listener(&[authority.server()]) + "routes: [{ lua: { content: ngx.print(1) } }]"));
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("The plain HTTP request was sent to HTTPS port"), "{}", answer.text());
    assert_eq!(http::status_of(&http::send_raw(running.addr(), b"HELLO\r\n\r\n")), 400);
}

#[test]
fn who_does_not_speak_tls_is_turned_away() {
    let Some(authority) = Authority::new() else { return };
    let config = listener(&[authority.server()]) + "routes: [{ lua: { content: ngx.print(1) } }]";
    // Nothing at all, and the beginning of a handshake.
    let running = Running::start(&format!("{config}\ntimeouts: {{ handshake: 300ms }}"));
    let failed = || count(&running, |worker| worker.tls_failed.load(Relaxed));
    assert!(http::send_raw(running.addr(), b"").is_empty());
    assert!(http::send_raw(running.addr(), b"\x16\x03\x01\x02\x00\x01\x00").is_empty());
    eventually(PATIENCE, "both are counted", || failed() == 2);
    // What only looks like one. Here nobody has to be quick.
    let running = Running::start(&config);
    let failed = || count(&running, |worker| worker.tls_failed.load(Relaxed));
    let alert = http::send_raw(running.addr(), b"\x16\x03\x01\x00\x04\x02\x00\x00\x00");
    assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert");
    assert!(http::send_raw(running.addr(), &[0; 64]).first().is_none_or(|&first| first == 21));
    // One that asks for a protocol that is not spoken here.
    let mut other = Trusting::new(&authority);
    Arc::get_mut(&mut other.0).unwrap().alpn_protocols = vec![b"h2".to_vec()];
    assert!(other.try_connect(running.addr(), "localhost").is_err());
    eventually(PATIENCE, "all of them are counted", || failed() == 3);
    assert_eq!(Trusting::new(&authority).connect(running.addr()).get("/").unwrap().text(), "1");
}

#[test]
fn a_client_that_leaves_without_a_word_is_gone() {
    let Some(authority) = Authority::new() else { return };
    let running =
        Running::start(&(listener(&[authority.server()]) + "routes: [{ lua: { content: ngx.print(1) } }]"));
    let mut client = Trusting::new(&authority).connect(running.addr());
    assert_eq!(client.get("/").unwrap().text(), "1");
    client.inner().sock.shutdown(std::net::Shutdown::Both).unwrap();
    eventually(PATIENCE, "it is closed", || open(&running) == 0);
}

#[test]
fn a_client_that_leaves_ends_the_lua_that_runs_for_it() {
    let Some(authority) = Authority::new() else { return };
    let config = listener(&[authority.server()])
        + "lua: { sharedDicts: { seen: 64KiB }, checkClientAbort: true }
routes:
  - match: { path: /waits }
    lua:
      content: |
        ngx.on_abort(function() ngx.shared.seen:set('left', true) ngx.exit(499) end)
        ngx.shared.seen:set('begun', true)
        ngx.sleep(3600)
  - { match: { path: /forget }, lua: { content: 'ngx.shared.seen:flush_all()' } }
  - { match: { path: /seen/* }, lua: { content: 'ngx.print(ngx.shared.seen:get(ngx.var.uri:sub(7)))' } }";
    let running = Running::start(&config);
    let trusting = Trusting::new(&authority);
    let seen = |what: &str| trusting.connect(running.addr()).get(what).unwrap().text() == "true";
    for says_so in [true, false] {
        let mut client = trusting.connect(running.addr());
        client.send(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        eventually(PATIENCE, "it waits", || seen("/seen/begun"));
        if says_so {
            client.inner().conn.send_close_notify();
            client.inner().flush().unwrap();
        } else {
            client.inner().sock.shutdown(std::net::Shutdown::Both).unwrap();
        }
        eventually(PATIENCE, "it is told", || seen("/seen/left"));
        assert_eq!(trusting.connect(running.addr()).get("/forget").unwrap().status, 200);
    }
}

#[test]
fn a_connection_that_ends_is_ended_in_order() {
    let Some(authority) = Authority::new() else { return };
    let config = listener(&[authority.server()]) + "routes: [{ lua: { content: ngx.print(1) } }]";
    let trusting = Trusting::new(&authority);
    // For lack of a request, by it, and because the node stops: rustls calls any other end an error.
    let running = Running::start(&format!("{config}\ntimeouts: {{ keepAlive: 300ms }}"));
    let mut idle = trusting.connect(running.addr());
    assert!(idle.read_some().unwrap().is_empty());
    let running = Running::start(&config);
    let mut asked = trusting.connect(running.addr());
    assert_eq!(asked.request("GET", "/", &[("Connection", "close")], b"").unwrap().status, 200);
    assert!(asked.read_some().unwrap().is_empty());
    let mut last = trusting.connect(running.addr());
    assert_eq!(last.get("/").unwrap().status, 200);
    running.begin_drain();
    assert!(last.read_some().unwrap().is_empty());
    running.join();
}

/// A listener whose certificates a script chooses.
pub(crate) fn scripted(authority: &Authority, code: &str, rest: &str) -> String {
    let (certificate, key) = authority.server();
    let code = code.lines().map(|line| ["        ", line, "\n"].concat()).collect::<String>();
    format!(
        "listeners:
  - address: \"127.0.0.1:0\"
    tls: {{ certificate: \"{}\", key: \"{}\" }}
    lua:
      sslCertificate: |
{code}{rest}",
        certificate.display(),
        key.display()
    )
}

#[test]
fn a_script_chooses_the_certificate_of_a_client() {
    let Some(authority) = Authority::new() else { return };
    let own = authority.issue("own", "DNS:own.test,DNS:parsed.test,DNS:slow.test", &[]);
    let code = format!(
        "local ssl = require 'ngx.ssl'
local function read(path) return io.open(path):read('*a') end
local name, cert, key = ssl.server_name(), read '{}', read '{}'
ngx.ctx.name = name
if name == 'own.test' then
  assert(ssl.clear_certs())
  assert(ssl.set_der_cert(assert(ssl.cert_pem_to_der(cert))))
  assert(ssl.set_der_priv_key(assert(ssl.priv_key_pem_to_der(key))))
elseif name == 'parsed.test' or name == 'slow.test' then
  if name == 'slow.test' then
    ngx.sleep(0.01)
    local socket = ngx.socket.tcp()
    assert(socket:connect('127.0.0.1', ssl.server_port()))
    socket:close()
  end
  assert(ssl.set_cert(assert(ssl.parse_pem_cert(cert))))
  assert(ssl.set_priv_key(assert(ssl.parse_pem_priv_key(key))))
elseif name == 'unwanted.test' then
  ngx.exit(ngx.ERROR)
elseif name == 'none.test' then
  assert(ssl.clear_certs())
elseif name == 'half.test' then
  assert(ssl.set_cert(assert(ssl.parse_pem_cert(cert))))
elseif name == 'fails.test' then
  error 'no'
elseif name == 'late.test' then
  ngx.sleep(3600)
end",
        own.0.display(),
        own.1.display()
    );
    let rest = "timeouts: { handshake: 5s }\nroutes: [{ lua: { content: 'ngx.print(ngx.ctx.name) ngx.ctx.name = [[mine]]' } }]";
    let running = Running::start(&scripted(&authority, &code, rest));
    let trusting = Trusting::new(&authority);
    for (host, expected) in [
        ("localhost", authority.server()),
        ("own.test", own.clone()),
        ("parsed.test", own.clone()),
        ("slow.test", own),
    ] {
        let mut client = trusting.try_connect(running.addr(), host).unwrap();
        assert_eq!(certificate(&mut client), der(&expected.0), "{host}");
        // What the handshake kept is seen by each request, and none changes it for others.
        for _ in 0..2 {
            assert_eq!(client.get("/").unwrap().text(), host);
        }
    }
    for host in ["unwanted.test", "none.test", "half.test", "fails.test", "late.test"] {
        assert!(trusting.try_connect(running.addr(), host).is_err(), "{host}");
    }
    eventually(PATIENCE, "they are counted", || {
        count(&running, |worker| worker.tls_failed.load(Relaxed)) >= 5
    });
}

#[test]
fn a_script_that_chooses_may_not_do_what_needs_a_request() {
    let Some(authority) = Authority::new() else { return };
    let code = "local seen = {}
for _, call in ipairs { ngx.say, ngx.print, ngx.send_headers, ngx.req.read_body, ngx.redirect, ngx.exec, ngx.flush } do
  local _, why = pcall(call, 'x')
  seen[#seen + 1] = tostring(why:find('API disabled in the context of ssl_certificate_by_lua*', 1, true) ~= nil)
end
local dict = ngx.shared.seen
dict:set('seen', table.concat(seen, ' '))
dict:set('phase', ngx.get_phase())
ngx.timer.at(0, function() dict:set('timer', true) end)
ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0) dict:incr('threads', 1, 0) end))";
    let rest = "lua: { sharedDicts: { seen: 64KiB } }
routes: [{ lua: { content: 'local s = ngx.shared.seen ngx.print(s:get([[seen]]), [[ ]], s:get([[phase]]), [[ ]], s:get([[threads]]))' } }]";
    let running = Running::start(&scripted(&authority, code, rest));
    let mut client = Trusting::new(&authority).connect(running.addr());
    assert_eq!(client.get("/").unwrap().text(), "true true true true true true true ssl_cert 1");
}

#[test]
fn lua_takes_the_body_and_the_whole_connection_by_itself() {
    let Some(authority) = Authority::new() else { return };
    let config = listener(&[authority.server()])
        + "routes:
  - match: { path: /body }
    lua:
      content: |
        local socket = assert(ngx.req.socket())
        local sum, last = 0
        while true do
          local data, why, part = socket:receive(10000)
          sum = sum + #(data or part)
          if not data then break end
        end
        ngx.print(sum)
  - match: { path: /raw }
    lua:
      content: |
        local socket = assert(ngx.req.socket(true))
        socket:send('HTTP/1.1 200 OK\\r\\n\\r\\n')
        for line in function() return socket:receive() end do
          socket:send(line:upper() .. '\\n')
          socket:send(('x'):rep(300000))
        end";
    let running = Running::start(&config);
    let trusting = Trusting::new(&authority);
    let mut client = trusting.connect(running.addr());
    for size in [5, 2_000_003, 70_000] {
        let body = vec![b'b'; size];
        assert_eq!(client.request("POST", "/body", &[], &body).unwrap().text(), size.to_string());
    }
    client.send(b"GET /raw HTTP/1.1\r\nHost: x\r\n\r\nfirst\n").unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 200);
    for (line, answer) in [("", "FIRST\n"), ("second\n", "SECOND\n")] {
        client.send(line.as_bytes()).unwrap();
        assert_eq!(client.read_exactly(answer.len()).unwrap(), answer.as_bytes());
        assert_eq!(client.read_exactly(300_000).unwrap(), vec![b'x'; 300_000]);
    }
    client.inner().conn.send_close_notify();
    client.inner().flush().unwrap();
    assert!(client.read_some().unwrap().is_empty());
}

/// What is asked for while another route holds up its thread.
const FINE: &str = "  - name: fine
    match: { path: /* }
    lua: { content: 'ngx.print(ngx.worker.id(), [[ ]], ngx.var.connection_requests, ngx.var.scheme)' }";

#[test]
fn where_lua_holds_up_a_worker_its_clients_go_elsewhere_with_their_sessions() {
    let Some(authority) = Authority::new() else { return };
    let running = Running::with_workers(1, &[&listener(&[authority.server()]), HOLDING, FINE].concat());
    let trusting = Trusting::new(&authority);
    let mut hog = trusting.connect(running.addr());
    let mut early = trusting.connect(running.addr());
    assert_eq!(early.get("/").unwrap().text(), "0 1https");
    hog.send(b"GET /hog HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually(PATIENCE, "the worker is held up", || running.telemetry.workers()[0].is_held.load(Relaxed));
    assert_eq!(early.get("/").unwrap().text(), "1 2https");
    // One that has yet to shake hands.
    let mut late = trusting.connect(running.addr());
    assert_eq!(late.get("/").unwrap().text(), "1 1https");
    assert_eq!(early.get("/stop").unwrap().text(), "1");
    assert_eq!(hog.read().unwrap().text(), "0");
    eventually(PATIENCE, "the worker has its clients again", || {
        early.get("/").unwrap().text().starts_with('0') && late.get("/").unwrap().text().starts_with('0')
    });
    eventually(PATIENCE, "each is counted once", || open(&running) == 3);
}

#[test]
fn a_worker_that_leaves_passes_its_clients_on() {
    let Some(authority) = Authority::new() else { return };
    let config =
        listener(&[authority.server()]) + "routes: [{ lua: { content: ngx.print(ngx.worker.id()) } }]";
    let running = Running::with_workers(2, &config);
    let trusting = Trusting::new(&authority);
    let crew = running.crew();
    let (first, _second) = (crew.hire().unwrap(), crew.hire().unwrap());
    let mut clients: Vec<_> = (0..12).map(|_| trusting.connect(running.addr())).collect();
    let served = |client: &mut Safe| client.get("/").unwrap().text().to_owned();
    // All may have come to one of them; then some go to the other with their next request.
    eventually(PATIENCE, "both have some", || clients.iter_mut().any(|client| served(client) == "0"));
    first.leave();
    eventually(PATIENCE, "it has none any more", || first.connections() == 0);
    assert!(clients.iter_mut().all(|client| served(client) == "1"));
    eventually(PATIENCE, "each is counted once", || open(&running) == 12);
    first.end();
}

/// Runs a real client, which has to succeed; what it says.
fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_and_openssl_get_along_with_it() {
    let (Some(authority), Some(curl), Some(openssl)) =
        (Authority::new(), component("curl"), component("openssl"))
    else {
        return;
    };
    let upstream = Upstream::start(|_| Answer::ok("fine"));
    let running = Running::start(&(listener(&[authority.server()]) + &to(&upstream)));
    let (ca, addr) = (authority.certificate().display().to_string(), running.addr());
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let url = format!("https://localhost:{}/", addr.port());
        let asked = [
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--cacert",
            &ca,
            "--write-out",
            " %{http_version} %{num_connects}",
        ];
        let said = run(&curl, &[&asked[..], version, &[&url, &url]].concat());
        assert_eq!(said, "fine 1.1 1fine 1.1 0");
    }
    let mut client = Command::new(openssl)
        .args(["s_client", "-connect", &addr.to_string(), "-servername", "localhost", "-CAfile", &ca])
        .args(["-verify_return_error", "-alpn", "h2,http/1.1", "-ign_eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut said = String::new();
    client.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(client.wait().unwrap().success());
    for part in ["ALPN protocol: http/1.1", "Verify return code: 0 (ok)", "fine"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}
