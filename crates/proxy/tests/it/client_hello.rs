//! Scripts that see what a client says first.

use rustls::{ProtocolVersion, version};
use tidegate_testkit::servers::Authority;

use crate::{
    node::Running,
    secure::{Trusting, scripted},
};

/// A listener with a script for its clients' hellos, and what requests see of it.
fn hearing(authority: &Authority, code: &str, rest: &str) -> Running {
    let config = scripted(authority, code, rest).replace("sslCertificate:", "sslClientHello:");
    Running::start(&config)
}

const TELL: &str = "routes: [{ lua: { content: 'ngx.print(ngx.ctx.told)' } }]";

#[test]
fn a_script_reads_what_a_client_says_first() {
    let Some(authority) = Authority::new() else { return };
    let code = "local hello = require 'ngx.ssl.clienthello'
local present = hello.get_client_hello_ext_present()
local has = {}
for _, kind in ipairs(present) do has[kind] = true end
ngx.sleep(0.001)
ngx.ctx.told = table.concat({
  tostring(hello.get_client_hello_server_name()), table.concat(hello.get_supported_versions(), ','),
  tostring(has[0]), tostring(has[43]), tostring(has[9999]), #hello.get_client_hello_ext(0),
  tostring(hello.get_client_hello_ext(9999)), tostring(hello.get_client_hello_ciphers()[1] > 0), ngx.get_phase(),
}, ' ')";
    let running = hearing(&authority, code, TELL);
    let told = |trusting: &Trusting| trusting.connect(running.addr()).get("/").unwrap().text().to_owned();
    assert_eq!(
        told(&Trusting::new(&authority)),
        "localhost TLSv1.2,TLSv1.3 true true nil 14 nil true ssl_client_hello"
    );
}

#[test]
fn a_script_chooses_the_versions() {
    let Some(authority) = Authority::new() else { return };
    let code = "local hello = require 'ngx.ssl.clienthello'
local name = hello.get_client_hello_server_name()
if name == 'localhost' then
  ngx.ctx.told = tostring(hello.set_protocols { 'TLSv1.1', 'TLSv1.2' })
elseif name == 'new.test' then
  ngx.ctx.told = tostring(hello.set_protocols { 'TLSv1.3' })
elseif name == 'old.test' then
  hello.set_protocols { 'TLSv1' }
elseif name == 'wrong.test' then
  local ok, why = hello.set_protocols { 'TLSv9' }
  ngx.ctx.told = tostring(ok) .. ' ' .. why
elseif name == 'unwanted.test' then
  ngx.exit(ngx.ERROR)
end";
    let running = hearing(&authority, code, TELL);
    let names = "DNS:new.test,DNS:old.test,DNS:wrong.test,DNS:unwanted.test,DNS:localhost";
    let pair = authority.issue("all", names, &[]);
    let mut running = running;
    let config = scripted(&authority, code, TELL).replace("sslCertificate:", "sslClientHello:");
    let own = authority.server();
    let config = config
        .replace(&own.0.display().to_string(), &pair.0.display().to_string())
        .replace(&own.1.display().to_string(), &pair.1.display().to_string());
    running.reload(&config);
    let trusting = Trusting::new(&authority);
    for (host, version, told) in [
        ("localhost", ProtocolVersion::TLSv1_2, "true"),
        ("new.test", ProtocolVersion::TLSv1_3, "true"),
        ("wrong.test", ProtocolVersion::TLSv1_3, "nil invalid protocols failed"),
    ] {
        let mut client = trusting.try_connect(running.addr(), host).unwrap();
        assert_eq!(client.get("/").unwrap().text(), told, "{host}");
        assert_eq!(client.inner().conn.protocol_version(), Some(version), "{host}");
    }
    for host in ["old.test", "unwanted.test"] {
        assert!(trusting.try_connect(running.addr(), host).is_err(), "{host}");
    }
    // One that speaks no version that it may.
    let old = Trusting::speaking(&authority, &[&version::TLS12]);
    assert!(old.try_connect(running.addr(), "new.test").is_err());
}

#[test]
fn a_listener_speaks_the_versions_that_it_names_unless_a_script_chooses_others() {
    let Some(authority) = Authority::new() else { return };
    let config = |versions: &str, code: &str| {
        let config = scripted(&authority, code, TELL).replace("sslCertificate:", "sslClientHello:");
        config.replacen("    lua:\n", &format!("    tlsProtocols: {versions}\n    lua:\n"), 1)
    };
    let spoken = |running: &Running, trusting: &Trusting| {
        let mut client = trusting.try_connect(running.addr(), "localhost").ok()?;
        client.inner().conn.protocol_version()
    };
    let (both, old) = (Trusting::new(&authority), Trusting::speaking(&authority, &[&version::TLS12]));
    let mut running = Running::start(&config("[TLSv1.3]", "-- nothing"));
    assert_eq!(spoken(&running, &both), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(spoken(&running, &old), None);
    running.reload(&config("[TLSv1.2]", "-- nothing"));
    assert_eq!(spoken(&running, &both), Some(ProtocolVersion::TLSv1_2));
    running.reload(&config("[TLSv1.3]", "require('ngx.ssl.clienthello').set_protocols { 'TLSv1.2' }"));
    assert_eq!(spoken(&running, &old), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn both_scripts_of_a_handshake_share_what_they_keep() {
    let Some(authority) = Authority::new() else { return };
    let config = scripted(&authority, "ngx.ctx.told = ngx.ctx.told .. ' certificate'", TELL);
    let first = "      sslClientHello: \"ngx.ctx.told = 'hello'\"\n      sslCertificate:";
    let running = Running::start(&config.replace("      sslCertificate:", first));
    let mut client = Trusting::new(&authority).connect(running.addr());
    assert_eq!(client.get("/").unwrap().text(), "hello certificate");
}

#[test]
fn elsewhere_nothing_is_heard() {
    let Some(authority) = Authority::new() else { return };
    let code = "local hello, told = require 'ngx.ssl.clienthello', {}
for _, name in ipairs { 'get_client_hello_server_name', 'get_supported_versions', 'get_client_hello_ext_present', 'get_client_hello_ciphers' } do
  told[#told + 1] = tostring(select(2, pcall(hello[name]))):match('API disabled in the current context') or name
end
told[#told + 1] = tostring(select(2, pcall(hello.set_protocols, { 'TLSv1.2' }))):match('API disabled in the current context') or 'set'
ngx.ctx.told = table.concat(told, ',')";
    let running = Running::start(&scripted(&authority, code, TELL));
    let mut client = Trusting::new(&authority).connect(running.addr());
    assert_eq!(client.get("/").unwrap().text(), ["API disabled in the current context"; 5].join(","));
}

#[test]
fn a_script_asks_for_a_certificate() {
    let Some(authority) = Authority::new() else { return };
    let Some(stranger) = Authority::new() else { return };
    let code = format!(
        "local ssl = require 'ngx.ssl'
local pem = io.open('{}'):read('*a')
assert(ssl.verify_client(assert(ssl.parse_pem_cert(pem)), 3))",
        authority.certificate().display()
    );
    let rest = "routes: [{ lua: { content: 'ngx.print(ngx.var.ssl_client_verify)' } }]";
    let running = Running::start(&scripted(&authority, &code, rest));
    for (trusting, verdict) in [
        (Trusting::new(&authority), "NONE"),
        (Trusting::showing(&authority, authority.client()), "SUCCESS"),
        (Trusting::showing(&authority, stranger.client()), "FAILED:certificate signature failure"),
    ] {
        assert_eq!(trusting.connect(running.addr()).get("/").unwrap().text(), verdict);
    }
}

#[test]
fn certificates_of_the_first_version_are_as_good_as_any() {
    let sample = |name: &str| format!("{}/../tls/src/sample/{name}", env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("old.sock").display().to_string();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let running = Running::start(&format!(
            "listeners:
  - address: 127.0.0.1:0
  - address: 'unix:{socket}'
    tls: {{ certificate: '{}', key: '{}' }}
    lua: {{ sslClientHello: \"assert(require 'ngx.ssl.clienthello'.set_protocols {{ '{version}' }})\" }}
lua: {{ sockets: {{ trustedCertificate: '{}' }} }}
routes:
  - match: {{ path: /version }}
    lua: {{ content: ngx.print(ngx.var.ssl_protocol) }}
  - lua:
      content: |
        local socket = ngx.socket.tcp()
        assert(socket:connect('unix:{socket}'))
        assert(socket:sslhandshake(nil, nil, true))
        assert(socket:send('GET /version HTTP/1.0\\r\\n\\r\\n'))
        ngx.print(socket:receive('*a'):match('TLS.*'))",
            sample("old.pem"),
            sample("old.key"),
            sample("old.pem"),
        ));
        assert_eq!(tidegate_testkit::http::get(running.addr(), "/").text(), version);
    }
}
