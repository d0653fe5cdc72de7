//! The access log: complete, rotatable, and never in the way.

use std::fs;

use serde_json::Value;
use tidegate_testkit::{Answer, Tidegate, Upstream, eventually, http, process::Signal, unused_address};

use crate::{PATIENCE, TIDEGATE};

fn start(log: &str) -> Tidegate {
    let config = format!(
        "listeners: [{{ address: \"{{listen}}\" }}]
admin: {{ address: \"{{admin}}\" }}
accessLog: {log}
routes: [{{ name: hello, match: {{ path: /hello }}, lua: {{ content: ngx.say('hello') }} }}]"
    );
    Tidegate::start(TIDEGATE, &config)
}

fn lines(tidegate: &Tidegate, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(tidegate.dir().join(file)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_request_is_a_line_with_what_became_of_it() {
    let tidegate = start("{ sample: 100%, file: access.log }");
    http::request(tidegate.addr(), "GET", "/hello?a=\"b", &[("User-Agent", "me \"too\"")], b"");
    http::get(tidegate.addr(), "/nowhere");
    http::send_raw(tidegate.addr(), b"GET / HTTP/1.1\r\n\r\n");
    eventually(PATIENCE, "three lines", || lines(&tidegate, "access.log").len() == 3);
    let lines = lines(&tidegate, "access.log");
    let of = |status: u64| lines.iter().find(|line| line["status"] == status).unwrap();
    let served = of(200);
    assert_eq!((&served["route"], &served["method"]), (&"hello".into(), &"GET".into()));
    assert_eq!((&served["target"], &served["bytesOut"]), (&"/hello?a=\"b".into(), &6.into()));
    assert_eq!((&served["client"], &served["userAgent"]), (&"127.0.0.1".into(), &"me \"too\"".into()));
    assert!(served["seconds"].as_f64().unwrap() > 0.0 && served["time"].is_string(), "{served}");
    assert_eq!(of(404)["route"], Value::Null);
    assert_eq!(of(400)["method"], "");
}

fn rotated(signal: Signal, spoil: bool) {
    let tidegate = start("{ sample: 100%, file: access.log }");
    http::get(tidegate.addr(), "/hello");
    eventually(PATIENCE, "a line", || lines(&tidegate, "access.log").len() == 1);
    if spoil {
        tidegate.rewrite_config("nonsense: true\n");
    }
    fs::rename(tidegate.dir().join("access.log"), tidegate.dir().join("old.log")).unwrap();
    tidegate.signal(signal);
    eventually(PATIENCE, "a new file", || tidegate.dir().join("access.log").exists());
    http::get(tidegate.addr(), "/hello");
    eventually(PATIENCE, "a line in it", || lines(&tidegate, "access.log").len() == 1);
    assert_eq!(lines(&tidegate, "old.log").len(), 1);
}

#[test]
fn a_rotated_file_is_opened_anew_on_reload() {
    rotated(Signal::HUP, false);
}

#[test]
fn a_rotated_file_is_opened_anew_whatever_the_configuration() {
    rotated(Signal::HUP, true);
}

#[test]
fn a_rotated_file_is_opened_anew_by_nginx_s_signal() {
    rotated(Signal::USR1, false);
}

#[test]
fn a_file_that_cannot_be_opened_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.yaml");
    let (listen, admin) = (tidegate_testkit::unused_address(), tidegate_testkit::unused_address());
    let config = format!(
        "listeners: [{{ address: \"{listen}\" }}]\nadmin: {{ address: \"{admin}\" }}\naccessLog: {{ file: no/such/folder.log }}\n"
    );
    fs::write(&file, config).unwrap();
    let output = std::process::Command::new(TIDEGATE).arg("up").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("access log") && said.contains("no/such/folder.log"), "{said}");
}

#[test]
fn a_full_disk_costs_lines_and_no_requests() {
    let tidegate = start("{ sample: 100%, file: /dev/full }");
    for _ in 0..200 {
        assert_eq!(http::get(tidegate.addr(), "/hello").text(), "hello\n");
    }
    tidegate.log_with("access log cannot be written");
}

const FAILING: &str = "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
accessLog: { file: access.log }
errorLog: { format: {format} }
upstreams:
  gone: { endpoints: [\"{gone}\"] }
  half: { endpoints: [\"{half}\"] }
  nameless: { endpoints: [\"host.invalid:80\"] }
routes:
  - { name: gone, match: { path: /gone }, upstream: gone }
  - { name: half, match: { path: /half }, upstream: half }
  - { name: nameless, match: { path: /nameless }, upstream: nameless, queue: { timeout: 100ms } }
";

fn failing(format: &str) -> Tidegate {
    let half = Upstream::start(|_| {
        Answer::nothing().write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").close()
    });
    let setup = Tidegate::setup(TIDEGATE).set("format", &format).set("gone", &unused_address());
    let tidegate = setup.set("half", &half.addr()).start(FAILING);
    for path in ["/gone", "/nameless"] {
        assert_eq!(http::get(tidegate.addr(), path).status, 502);
    }
    http::try_get(tidegate.addr(), "/half").unwrap_err();
    tidegate
}

#[test]
fn why_a_request_was_not_served_is_in_both_logs() {
    let tidegate = failing("json");
    eventually(PATIENCE, "all lines", || lines(&tidegate, "access.log").len() == 3);
    let lines = lines(&tidegate, "access.log");
    let error = |route: &str| lines.iter().find(|line| line["route"] == route).unwrap()["error"].clone();
    assert!(error("gone").as_str().unwrap().starts_with("upstream refuses connections"), "{lines:?}");
    assert!(error("half").as_str().unwrap().contains("before the body was complete"), "{lines:?}");
    assert_eq!(error("nameless"), "no host of the upstream could be resolved");
    tidegate.log_with("not served: upstream refuses connections: Connection refused");
}

#[test]
fn nginx_s_format_says_it_in_nginx_s_words() {
    let tidegate = failing("nginx");
    tidegate.log_with(" connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: localhost, request: \"GET /gone HTTP/1.1\", upstream: \"http://127.0.0.1:");
}

#[test]
fn off_means_off() {
    let tidegate = start("false");
    http::get(tidegate.addr(), "/hello");
    let mut tidegate = tidegate;
    tidegate.signal(Signal::TERM);
    tidegate.wait_exit(PATIENCE);
    assert_eq!(tidegate.stdout(), "");
}
