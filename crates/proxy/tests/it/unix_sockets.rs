//! Listeners on Unix sockets.

use std::{os::unix::net::UnixStream, path::Path, process::Command, sync::atomic::Ordering::Relaxed};

use tidegate_testkit::{Answer, Upstream, component, eventually, http::Client, servers::Authority};

use crate::{
    node::{PATIENCE, Running},
    rescue::HOLDING,
};

fn listening(path: &Path, more: &str, rest: &str) -> String {
    format!(
        "listeners: [{{ address: \"unix:{}\"{more} }}, {{ address: \"127.0.0.1:0\" }}]\n{rest}",
        path.display()
    )
}

fn connect(path: &Path) -> Client<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::over(stream, "localhost")
}

const TELL: &str = "local v = ngx.var ngx.print(v.remote_addr, ' ', v.remote_port, ' ', v.server_addr, ' ', v.binary_remote_addr)";

#[test]
fn clients_come_by_a_path_and_have_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sock");
    let upstream = Upstream::start(|_| Answer::ok("fine"));
    let rest = format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\nroutes:\n- {{ match: {{ path: /up }}, upstream: up }}\n\
         - {{ lua: {{ content: \"{TELL}\" }} }}",
        upstream.addr()
    );
    let running = Running::start(&listening(&path, "", &rest));
    let told = format!("unix:  unix:{} unix:", path.display());
    for _ in 0..8 {
        let mut client = connect(&path);
        assert_eq!(client.get("/").unwrap().text(), told);
        assert_eq!(client.get("/up").unwrap().text(), "fine");
    }
    assert_eq!(upstream.requests().remove(0).header("X-Forwarded-For"), Some("unix:"));
    running.begin_drain();
    eventually(PATIENCE, "the path is gone", || !path.exists());
    running.join();
}

#[test]
fn curl_comes_by_a_path_with_tls_and_without() {
    let (Some(authority), Some(curl)) = (Authority::new(), component("curl")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.server();
    let pair = format!(", tls: {{ certificate: \"{}\", key: \"{}\" }}", certificate.display(), key.display());
    for (more, scheme) in [("", "http"), (pair.as_str(), "https")] {
        let path = folder.path().join(scheme);
        let rest = "routes: [{ lua: { content: ngx.print(ngx.var.scheme) } }]";
        let _running = Running::start(&listening(&path, more, rest));
        let mut command = Command::new(&curl);
        command.args(["-s", "--max-time", "20", "--cacert"]).arg(authority.certificate());
        let output = command.arg("--unix-socket").arg(&path).arg(format!("{scheme}://localhost/")).output();
        assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout), scheme);
    }
}

#[test]
fn clients_go_elsewhere_where_lua_holds_up_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sock");
    let fine =
        "  - { match: { path: /* }, lua: { content: 'ngx.print(ngx.worker.id(), ngx.var.remote_addr)' } }";
    let running = Running::with_workers(1, &listening(&path, "", &[HOLDING, fine].concat()));
    let (mut hog, mut early) = (connect(&path), connect(&path));
    assert_eq!(early.get("/").unwrap().text(), "0unix:");
    hog.send(b"GET /hog HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually(PATIENCE, "the worker is held up", || running.telemetry.workers()[0].is_held.load(Relaxed));
    assert_eq!(early.get("/").unwrap().text(), "1unix:");
    // One that comes while the worker cannot take it.
    assert_eq!(connect(&path).get("/").unwrap().text(), "1unix:");
    assert_eq!(early.get("/stop").unwrap().status, 200);
    assert_eq!(hog.read().unwrap().status, 200);
}

#[test]
fn upstreams_are_reached_by_a_path_with_tls_and_without() {
    let Some(authority) = Authority::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.server();
    let [plain, safe, none] =
        ["plain", "safe", "none"].map(|name| format!("unix:{}", folder.path().join(name).display()));
    let running = Running::start(&format!(
        "listeners:
  - {{ address: 127.0.0.1:0 }}
  - {{ address: '{plain}' }}
  - {{ address: '{safe}', tls: {{ certificate: '{}', key: '{}' }} }}
upstreams:
  plain: {{ endpoints: ['{none}', '{plain}'] }}
  safe: {{ endpoints: ['{safe}'], tls: {{ trustedCertificate: '{}' }} }}
  none: {{ endpoints: ['{none}'] }}
lua:
  rewrite: ngx.req.set_uri('/told')
  headerFilter: ngx.header.at = ngx.header.at or ngx.var.upstream_addr
routes:
  - {{ match: {{ path: /plain }}, upstream: plain }}
  - {{ match: {{ path: /safe }}, upstream: safe }}
  - {{ match: {{ path: /none }}, upstream: none }}
  - {{ match: {{ path: /told }}, lua: {{ content: \"ngx.print(ngx.var.scheme, ' ', ngx.var.connection_requests)\" }} }}
",
        certificate.display(),
        key.display(),
        authority.certificate().display()
    ));
    let mut client = Client::connect(running.addr()).unwrap();
    for turn in 1..=3 {
        for (path, scheme, at) in [("/plain", "http", &plain), ("/safe", "https", &safe)] {
            let answer = client.get(path).unwrap();
            assert_eq!(
                (answer.text(), answer.header("at")),
                (format!("{scheme} {turn}").as_str(), Some(at.as_str()))
            );
        }
    }
    assert_eq!(client.get("/none").unwrap().status, 502);
}
