//! The access log: complete, rotatable, and never in the way.

use std::fs;

use serde_json::Value;
use tidegate_testkit::{Tidegate, eventually, http, process::Signal};

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

#[test]
fn a_rotated_file_is_opened_anew_on_reload() {
    let tidegate = start("{ sample: 100%, file: access.log }");
    http::get(tidegate.addr(), "/hello");
    eventually(PATIENCE, "a line", || lines(&tidegate, "access.log").len() == 1);
    fs::rename(tidegate.dir().join("access.log"), tidegate.dir().join("old.log")).unwrap();
    tidegate.signal(Signal::HUP);
    eventually(PATIENCE, "a new file", || tidegate.dir().join("access.log").exists());
    http::get(tidegate.addr(), "/hello");
    eventually(PATIENCE, "a line in it", || lines(&tidegate, "access.log").len() == 1);
    assert_eq!(lines(&tidegate, "old.log").len(), 1);
}

#[test]
fn a_full_disk_costs_lines_and_no_requests() {
    let tidegate = start("{ sample: 100%, file: /dev/full }");
    for _ in 0..200 {
        assert_eq!(http::get(tidegate.addr(), "/hello").text(), "hello\n");
    }
    eventually(PATIENCE, "the log says so", || tidegate.log().contains("access log cannot be written"));
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
