//! The error log in nginx's shape: about which request, at which level, in which file.

use std::fs;

use tidegate_testkit::{Tidegate, eventually, http, process::Signal};

use crate::{PATIENCE, TIDEGATE};

const ROUTES: &str = r#"
routes:
  - match: { path: /log }
    lua: { content: { name: "=content_by_lua(nginx.conf:40)", source: "\nngx.log(ngx.WARN, 'a warning')\nngx.log(ngx.INFO, 'too much')" } }
  - match: { path: /fail }
    lua: { content: { name: "=content_by_lua(nginx.conf:50)", source: "local nothing = nil\nreturn nothing.field" } }
  - match: { path: /filter }
    lua: { log: { name: "=log_by_lua(nginx.conf:70)", source: "ngx.log(ngx.ERR, 'over')" }, content: ngx.say("hi"), headerFilter: { name: "=header_filter_by_lua(nginx.conf:60)", source: error("no") } }
"#;

fn start(log: &str) -> Tidegate {
    let config = format!(
        "listeners: [{{ address: \"{{listen}}\" }}]
admin: {{ address: \"{{admin}}\" }}
errorLog: {log}{ROUTES}"
    );
    Tidegate::start(TIDEGATE, &config)
}

fn read(tidegate: &Tidegate, file: &str) -> String {
    fs::read_to_string(tidegate.dir().join(file)).unwrap_or_default()
}

#[test]
fn a_line_of_a_script_tells_level_place_and_request() {
    let tidegate = start("{ format: nginx, level: notice }");
    http::get(tidegate.addr(), "/log");
    let message = "[lua] content_by_lua(nginx.conf:40):2: a warning, client: 127.0.0.1, server: localhost, request: \"GET /log HTTP/1.1\", host: \"";
    let log = tidegate.log_with(message);
    let line = log.lines().find(|line| line.contains(message)).unwrap();
    assert!(line.contains(&format!(" [warn] {0}#{0}: *", tidegate.pid())), "{line}");
    assert!(!log.contains("too much") && !log.contains("listening"), "{log}");
}

#[test]
fn what_is_said_before_anything_runs_has_the_same_shape() {
    let setup = Tidegate::setup(TIDEGATE).file("state", "a file where a folder should be");
    let tidegate = setup.start(
        "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
state: { path: state }
errorLog: { format: nginx, level: warn }
routes: [{ match: { path: /* }, return: { status: 204 } }]
",
    );
    let log = tidegate.log_with("no journal is kept");
    let line = log.lines().find(|line| line.contains("no journal is kept")).unwrap();
    assert!(line.contains(&format!(" [warn] {0}#{0}: ", tidegate.pid())), "{log}");
}

#[test]
fn a_file_that_is_not_there_is_told_as_nginx_does() {
    let config = "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
errorLog: { format: nginx, level: error }
routes: [{ match: { path: /* }, static: { root: \"{dir}\" } }]
";
    let tidegate = Tidegate::start(TIDEGATE, config);
    assert_eq!(http::get(tidegate.addr(), "/nothing").status, 404);
    let line = "/nothing\" failed (2: No such file or directory), client: 127.0.0.1, server: localhost, request: \"GET /nothing";
    let log = tidegate.log_with(line);
    assert!(log.contains(" open() \""), "{log}");
}

#[test]
fn an_error_of_a_script_is_told_as_openresty_does() {
    let tidegate = start("{ format: nginx, level: info }");
    http::get(tidegate.addr(), "/fail");
    http::get(tidegate.addr(), "/filter");
    let thread = "lua entry thread aborted: runtime error: content_by_lua(nginx.conf:50):2: attempt to index";
    let filter =
        "failed to run header_filter_by_lua*: header_filter_by_lua(nginx.conf:60):1: no\nstack traceback:";
    let over = "[lua] log_by_lua(nginx.conf:70):1: over while logging request, client: 127.0.0.1, ";
    eventually(PATIENCE, "all three", || {
        [thread, filter, over].iter().all(|text| tidegate.log().contains(text))
    });
    let log = tidegate.log();
    assert!(log.contains("\nstack traceback:\ncoroutine 0:\n\t"), "{log}");
    assert!(log.contains("\nsource: 2 | return nothing.field, client: 127.0.0.1, "), "{log}");
    assert!(log.contains(" [info] "), "{log}");
}

#[test]
fn a_file_is_appended_to_and_opened_anew_on_hangup() {
    let tidegate = start("{ format: nginx, level: warn, file: error.log }");
    http::get(tidegate.addr(), "/log");
    eventually(PATIENCE, "a line", || read(&tidegate, "error.log").contains("a warning"));
    fs::rename(tidegate.dir().join("error.log"), tidegate.dir().join("old.log")).unwrap();
    tidegate.signal(Signal::HUP);
    eventually(PATIENCE, "a new file", || tidegate.dir().join("error.log").exists());
    http::get(tidegate.addr(), "/log");
    eventually(PATIENCE, "a line in it", || read(&tidegate, "error.log").contains("a warning"));
    assert_eq!(read(&tidegate, "old.log").matches("a warning").count(), 1);
}

#[test]
fn a_file_may_have_json_lines() {
    let tidegate = start("{ file: error.log }");
    http::get(tidegate.addr(), "/log");
    eventually(PATIENCE, "a line", || read(&tidegate, "error.log").contains("a warning"));
    for line in read(&tidegate, "error.log").lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn a_full_disk_costs_lines_and_no_requests() {
    let tidegate = start("{ format: nginx, level: debug, file: /dev/full }");
    for _ in 0..100 {
        assert_eq!(http::get(tidegate.addr(), "/log").status, 200);
    }
}

#[test]
fn what_cannot_be_opened_is_said_at_the_start() {
    let config = "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
errorLog: { file: missing/folder/error.log }
routes: [{ return: {} }]";
    let mut tidegate = Tidegate::setup(TIDEGATE).spawn(config);
    assert_eq!(tidegate.wait_exit(PATIENCE).code(), Some(3));
    assert!(tidegate.stderr().contains("cannot open the error log"), "{}", tidegate.stderr());
}

/// An app that logs and fails, in an instance of this kind.
fn with_instance(driver: &str, error_log: &str) -> Tidegate {
    let config = format!(
        "listeners: [{{ address: \"{{listen}}\" }}]
admin: {{ address: \"{{admin}}\" }}
errorLog: {error_log}
fleets: {{ app: {{ run: {{ lua: app.lua }}, driver: {driver}, scale: {{ min: 1, max: 1 }} }} }}
upstreams: {{ app: {{ fleet: app }} }}
routes: [{{ name: app, upstream: app }}]"
    );
    let app = "ngx.log(ngx.NOTICE, 'noticed') ngx.log(ngx.DEBUG, 'not shown')\nlocal nothing = nil\nreturn nothing.field";
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", app).start(&config);
    assert_eq!(http::get(tidegate.addr(), "/x").status, 500);
    tidegate
}

#[test]
fn instances_log_as_the_node_does() {
    for driver in ["process", "thread"] {
        let tidegate = with_instance(driver, "{ format: nginx, level: info }");
        let place =
            "[lua] app.lua:1: noticed, client: 127.0.0.1, server: localhost, request: \"GET /x HTTP/1.1\"";
        let line = |part: &str| {
            let mut found = String::new();
            eventually(PATIENCE, part, || {
                let log = tidegate.stderr();
                log.lines().find(|line| line.contains(part)).unwrap_or_default().clone_into(&mut found);
                !found.is_empty()
            });
            found
        };
        let noticed = line(place);
        assert!(
            noticed.contains("[notice] ") && noticed.contains('#') && noticed.contains(": *"),
            "{noticed}"
        );
        assert_eq!(noticed.contains(", fleet: app, instance: app-1"), driver == "process", "{noticed}");
        let failed = line("app.lua:3: attempt to index local 'nothing'");
        let is_error =
            failed.contains("[error] ") && failed.contains("lua entry thread aborted: runtime error: ");
        assert!(is_error, "{failed}");
        assert!(!tidegate.stderr().contains("not shown"), "{}", tidegate.stderr());
    }
}

#[test]
fn what_an_instance_logs_keeps_its_level_and_fields() {
    let tidegate = with_instance("process", "{}");
    let mut line = String::new();
    eventually(PATIENCE, "the error is in the log", || {
        let log = tidegate.stderr();
        log.lines()
            .find(|line| line.contains("attempt to index local"))
            .unwrap_or_default()
            .clone_into(&mut line);
        !line.is_empty()
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "ERROR", "{line}");
    let message = line["message"].as_str().unwrap();
    assert!(message.ends_with("app.lua:3: attempt to index local 'nothing' (a nil value)"), "{line}");
    assert_eq!(
        (&line["fleet"], &line["instance"], &line["client"]),
        (&"app".into(), &"app-1".into(), &"127.0.0.1".into())
    );
    assert_eq!(line["source"], "3 | return nothing.field", "{line}");
    assert!(line["traceback"].as_str().unwrap().starts_with("stack traceback:\n"), "{line}");
    assert!(line.get("severity").is_none() && line.get("about").is_none(), "{line}");
}
