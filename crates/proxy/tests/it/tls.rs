//! Cosockets that speak TLS, with the server of the `openssl` command.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use tidegate_testkit::{component, http, servers::Openssl};

use crate::node::Running;

/// A folder with certificates, and a server that tells about each connection.
struct Scene {
    folder: tempfile::TempDir,
    server: Openssl,
}

impl Scene {
    /// With a server that `more` tells what else to do; `None` without the command.
    fn new(more: &[&str]) -> Option<Self> {
        let openssl = component("openssl")?;
        let folder = tempfile::tempdir().unwrap();
        for name in ["server", "client"] {
            let made = Command::new(&openssl)
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
                .args(["-days", "2", "-subj", &format!("/CN={name}.test"), "-keyout", &format!("{name}.key")])
                .args(["-addext", &format!("subjectAltName=DNS:{name}.test"), "-out", &format!("{name}.pem")])
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        let path = |name: &str| folder.path().join(name);
        let options = [&["-www"], more].concat();
        let server = Openssl::serve((&path("server.pem"), &path("server.key")), &options)?;
        Some(Self { folder, server })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a handler says that has `connect()`; `trusted` is what the configuration trusts.
    fn run(&self, trusted: Option<&Path>, code: &str) -> String {
        let (ip, port) = (self.server.address().ip(), self.server.address().port());
        let code = format!(
            "local function connect()\n  local socket = ngx.socket.tcp()\n  socket:settimeout(5000)\n\
             \u{20} assert(socket:connect('{ip}', {port}))\n  return socket\nend\n\
             local function page(socket)\n  assert(socket:send('GET / HTTP/1.0\\r\\n\\r\\n'))\n\
             \u{20} local text = assert(socket:receive('*a'))\n  socket:close()\n  return text\nend\n{code}"
        );
        let trusted = trusted.map_or_else(String::new, |path| {
            format!("lua: {{ sockets: {{ trustedCertificate: \"{}\" }} }}\n", path.display())
        });
        run(&trusted, &code)
    }
}

fn run(settings: &str, code: &str) -> String {
    let code = format!("local ok, why = pcall(function()\n{code}\nend)\nif not ok then ngx.say(why) end")
        .replace('\n', "\n        ");
    let running = Running::start(&format!(
        "{settings}routes:\n  - name: lua\n    match: {{ path: /* }}\n    lua:\n      content: |\n        {code}"
    ));
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().to_owned()
}

#[test]
fn a_server_need_not_be_verified() {
    let Some(scene) = Scene::new(&[]) else { return };
    let said = scene.run(
        None,
        "local socket = connect()\nngx.say(socket:sslhandshake(false, 'server.test', false))\n\
         ngx.say(page(socket):match('HTTP/1.0 200 ok') ~= nil)",
    );
    assert_eq!(said, "true\ntrue\n");
}

#[test]
fn a_server_is_verified_by_what_is_trusted_and_by_its_name() {
    let Some(scene) = Scene::new(&[]) else { return };
    let handshake = |name: &str| {
        format!("local ok, why = connect():sslhandshake(nil, {name}, true)\nngx.print(type(ok), ' ', why)")
    };
    let trusted = scene.path("server.pem");
    assert_eq!(scene.run(Some(&trusted), &handshake("'server.test'")), "cdata nil");
    assert_eq!(scene.run(Some(&trusted), &handshake("nil")), "cdata nil");
    assert_eq!(scene.run(Some(&trusted), &handshake("'other.test'")), "nil certificate host mismatch");
    assert_eq!(
        scene.run(Some(&scene.path("client.pem")), &handshake("'server.test'")),
        "nil 18: self signed certificate"
    );
    assert_eq!(scene.run(None, &handshake("'server.test'")), "nil 18: self signed certificate");
}

#[test]
fn a_socket_speaks_the_versions_that_it_is_told() {
    let Some(scene) = Scene::new(&[]) else { return };
    let port = scene.server.address().port();
    let code = format!(
        "local socket = ngx.socket.tcp()
assert(socket:connect('127.0.0.1', {port}))
assert(socket:sslhandshake(nil, 'server.test', false))
assert(socket:send('GET / HTTP/1.0\\r\\n\\r\\n'))
ngx.print(socket:receive('*a'):match('Protocol *: (%S+)'))"
    );
    for versions in ["TLSv1.2", "TLSv1.3"] {
        let settings = format!("lua: {{ sockets: {{ tlsProtocols: [{versions}] }} }}\n");
        assert_eq!(run(&settings, &code), versions);
    }
}

#[test]
fn a_store_of_the_script_s_own_can_be_trusted() {
    let Some(scene) = Scene::new(&[]) else { return };
    let said = scene.run(
        None,
        &format!(
            "local store = require('resty.openssl.x509.store').new()\nassert(store:load_file('{}'))\n\
             local socket = connect()\nassert(socket:settrustedstore(store.ctx))\n\
             ngx.print(socket:sslhandshake(false, 'server.test', true), ngx.socket.tcp():settrustedstore(1))",
            scene.path("server.pem").display()
        ),
    );
    assert_eq!(said, "truenilbad store arg: cdata expected, got number");
}

#[test]
fn a_session_is_used_again_but_not_to_spare_a_check() {
    let Some(scene) = Scene::new(&["-tls1_2"]) else { return };
    let said = scene.run(
        Some(&scene.path("client.pem")),
        "local socket = connect()\nlocal session = assert(socket:sslhandshake(nil, 'server.test', false))\n\
         ngx.say(page(socket):match('New,') ~= nil)\nsocket = connect()\n\
         assert(socket:sslhandshake(session, 'server.test', false))\nngx.say(page(socket):match('Reused,') ~= nil)\n\
         ngx.say(connect():sslhandshake(session, 'server.test', true))",
    );
    assert_eq!(said, "true\ntrue\nnil18: self signed certificate\n");
}

#[test]
fn a_client_shows_its_certificate() {
    let Some(scene) =
        Scene::new(&["-Verify", "1", "-CAfile", "client.pem", "-verify_return_error", "-tls1_2"])
    else {
        return;
    };
    let read = |name: &str| std::fs::read_to_string(scene.path(name)).unwrap();
    let pem = |name: &str| read(name).replace('\n', "\\n");
    let said = scene.run(
        None,
        &format!(
            "local ssl = require 'ngx.ssl'\nlocal socket = connect()\n\
             ngx.say(socket:setclientcert(ssl.parse_pem_cert(\"{}\"), ssl.parse_pem_priv_key(\"{}\")))\n\
             ngx.say(socket:sslhandshake(false, nil, false))\nngx.say(page(socket):match('200 ok') ~= nil)\n\
             ngx.say(connect():sslhandshake(false, nil, false))\n\
             ngx.say(socket:setclientcert(1, nil))\nngx.say(socket:setclientcert(1, 2))",
            pem("client.pem"),
            pem("client.key")
        ),
    );
    assert_eq!(
        said,
        "true\ntrue\ntrue\nnilhandshake failed\nnilclient certificate must be supplied with corresponding private key\n\
         nilbad cert arg: cdata expected, got number\n"
    );
}

#[test]
fn who_does_not_speak_tls_fails_the_handshake() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let leaving = std::thread::spawn(move || drop(silent.accept()));
    let said = run(
        "",
        &format!(
            "local socket = ngx.socket.tcp()\nassert(socket:connect('127.0.0.1', {port}))\n\
             ngx.say(socket:sslhandshake())\nngx.say(socket:send('x'))\nngx.say(pcall(socket.sslhandshake))"
        ),
    );
    leaving.join().unwrap();
    assert!(said.starts_with("nilhandshake failed\nnilclosed\nfalse"), "{said}");
    assert!(said.contains("expecting 1 ~ 5 arguments (including the object), but seen 0"), "{said}");
}

#[test]
fn a_handshake_ends_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let said = run(
        "",
        &format!(
            "local socket = ngx.socket.tcp()\nassert(socket:connect('127.0.0.1', {port}))\nsocket:settimeout(50)\n\
             ngx.say(socket:sslhandshake())"
        ),
    );
    assert_eq!(said, "niltimeout\n");
}

#[test]
fn a_kept_connection_stays_encrypted() {
    let Some(scene) = Scene::new(&[]) else { return };
    let said = scene.run(
        None,
        "local socket = connect()\nassert(socket:sslhandshake(false))\nassert(socket:setkeepalive(1000, 2))\n\
         socket = connect()\nngx.say(socket:getreusedtimes(), socket:sslhandshake(false))\n\
         ngx.say(page(socket):match('200 ok') ~= nil)",
    );
    assert_eq!(said, "1true\ntrue\n");
}

#[test]
fn a_handshake_takes_a_table_too() {
    let Some(scene) =
        Scene::new(&["-Verify", "1", "-CAfile", "client.pem", "-verify_return_error", "-tls1_2"])
    else {
        return;
    };
    let pem = |name: &str| std::fs::read_to_string(scene.path(name)).unwrap().replace('\n', "\\n");
    let said = scene.run(
        Some(&scene.path("server.pem")),
        &format!(
            "local ssl = require 'ngx.ssl'\nlocal socket = connect()\n\
             local options = {{ client_cert = ssl.parse_pem_cert(\"{}\"), client_priv_key = ssl.parse_pem_priv_key(\"{}\"),\n\
             \u{20}   reused_session = false, verify = true, server_name = 'server.test' }}\n\
             ngx.say(socket:tlshandshake(options))\nngx.say(page(socket):match('200 ok') ~= nil)\n\
             options.server_name = 'other.test'\nngx.say(connect():tlshandshake(options))\n\
             ngx.say(connect():tlshandshake())\n\
             options.client_priv_key = nil\nngx.say(connect():tlshandshake(options))",
            pem("client.pem"),
            pem("client.key")
        ),
    );
    assert_eq!(
        said,
        "true\ntrue\nnilcertificate host mismatch\nnilhandshake failed\n\
         nilclient certificate must be supplied with corresponding private key\n"
    );
}
