//! What helps those who write scripts: code that is loaded anew for every request, and errors that show it.

use serde_json::Value;
use tidegate_testkit::{
    Tidegate, eventually,
    http::{self, Client},
};

use crate::{PATIENCE, TIDEGATE};

const APP: &str = "local counter = require 'counter'
counter.n = counter.n + 1
total = (total or 0) + 1
ngx.say('app ', counter.n, ' ', total, ' ', prepared, ' ', (ngx.shared.seen:incr('requests', 1, 0)))
if ngx.var.args == 'timer' then
  ngx.timer.every(0.001, function() ngx.shared.seen:incr('every', 1, 0) end)
  ngx.timer.at(0.001, function(premature)
    ngx.shared.seen:set('at', tostring(premature) .. ' ' .. tostring(ngx.worker.exiting()))
  end)
end";

fn config(rest: &str) -> String {
    format!(
        "listeners: [{{ address: \"{{listen}}\" }}]
admin: {{ address: \"{{admin}}\" }}
workers: 1
lua:
  codeCache: false
  packagePath: \"$prefix/?.lua;;\"
  sharedDicts: {{ seen: 64KiB }}
  init: init.lua
routes:
  - {{ match: {{ path: /seen }}, lua: {{ content: \"ngx.say(ngx.shared.seen:get(ngx.var.args))\" }} }}
  - {{ match: {{ path: /sub }}, lua: {{ content: \"ngx.print(ngx.location.capture('/app').body)\" }} }}
  - {{ match: {{ path: /* }}, lua: {{ content: app.lua }} }}
{rest}"
    )
}

fn start(rest: &str) -> Tidegate {
    Tidegate::setup(TIDEGATE)
        .file("app.lua", APP)
        .file("counter.lua", "return { n = 0 }")
        .file("init.lua", "prepared = 'once'")
        .start(&config(rest))
}

#[test]
fn each_request_has_globals_and_modules_of_its_own() {
    let tidegate = start("");
    let mut client = Client::connect(tidegate.addr()).unwrap();
    for number in 1..=3 {
        assert_eq!(client.get("/").unwrap().text(), format!("app 1 1 once {number}\n"));
    }
    assert_eq!(client.get("/sub").unwrap().text(), "app 1 1 once 4\n");
    tidegate.log_with("`codeCache: false` is for development");
}

#[test]
fn what_is_edited_is_seen_by_the_next_request() {
    let tidegate = start("");
    let mut client = Client::connect(tidegate.addr()).unwrap();
    assert_eq!(client.get("/").unwrap().text(), "app 1 1 once 1\n");
    tidegate.write_file("counter.lua", "return { n = 10 }");
    assert_eq!(client.get("/").unwrap().text(), "app 11 1 once 2\n");
    tidegate.write_file("init.lua", "prepared = 'twice'");
    assert_eq!(client.get("/").unwrap().text(), "app 11 1 twice 3\n");
    tidegate.write_file("app.lua", "ngx.say('new')");
    assert_eq!(client.get("/").unwrap().text(), "new\n");
    tidegate.write_file("app.lua", "ngx.say('new'");
    assert_eq!(client.get("/").unwrap().status, 500);
    tidegate.write_file("init.lua", "error 'no'");
    assert_eq!(client.get("/").unwrap().status, 500);
    tidegate.write_file("init.lua", "");
    tidegate.write_file("app.lua", "ngx.say('well again')");
    assert_eq!(client.get("/").unwrap().text(), "well again\n");
    std::fs::remove_file(tidegate.dir().join("app.lua")).unwrap();
    assert_eq!(client.get("/").unwrap().status, 404);
}

#[test]
fn timers_outlive_their_request_but_do_not_repeat_for_ever() {
    let tidegate = start("");
    assert_eq!(http::get(tidegate.addr(), "/?timer").status, 200);
    let seen = |key: &str| http::get(tidegate.addr(), &format!("/seen?{key}")).text().to_owned();
    eventually(PATIENCE, "the timer has run", || seen("at") == "false true\n");
    eventually(PATIENCE, "the other one has run", || seen("every") != "nil\n");
    eventually(PATIENCE, "it has stopped", || {
        let before = seen("every");
        (0..20).all(|_| seen("every") == before)
    });
}

/// The log's line about this error, as JSON.
fn logged(tidegate: &Tidegate, message: &str) -> Value {
    let mut found = None;
    eventually(PATIENCE, "the line is in the log", || {
        let log = tidegate.stderr();
        found = log
            .lines()
            .filter(|line| line.contains(message))
            .find_map(|line| serde_json::from_str(line).ok());
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn the_log_shows_the_line_that_failed() {
    let tidegate = start("");
    tidegate.write_file("app.lua", "\nlocal a = require('broken').f() return a");
    tidegate
        .write_file("broken.lua", "return { f = function()\n  local shown = 1\n  return shown.x.y\nend }");
    let answer = http::get(tidegate.addr(), "/");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("shown") && !answer.text().contains("broken.lua"), "{}", answer.text());
    let line = logged(&tidegate, "broken.lua:3: attempt to index local 'shown'");
    assert!(line.to_string().contains(r#""source":"3 |   return shown.x.y""#), "{line}");
    tidegate.write_file("broken.lua", "\n  return {");
    assert_eq!(http::get(tidegate.addr(), "/").status, 500);
    let line = logged(&tidegate, "broken.lua:2: unexpected symbol near '<eof>'");
    assert!(line.to_string().contains(r#""source":"2 |   return {""#), "{line}");
    tidegate.write_file("app.lua", "\n\nlocal x = = 1");
    assert_eq!(http::get(tidegate.addr(), "/").status, 500);
    let line = logged(&tidegate, "app.lua:3: unexpected symbol near '='");
    assert!(line.to_string().contains(r#""source":"3 | local x = = 1""#), "{line}");
}

#[test]
fn an_init_that_fails_is_shown_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.yaml");
    let address = tidegate_testkit::unused_address();
    let config = format!(
        "listeners: [{{ address: \"{address}\" }}]\nlua:\n  init: |\n    local nothing = nil\n    nothing.x = 1\nroutes: [{{ return: {{ status: 204 }} }}]\n"
    );
    std::fs::write(&file, config).unwrap();
    let output = std::process::Command::new(TIDEGATE).arg("up").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("lua.init fails: ") && said.contains(":5: attempt to index local 'nothing'"),
        "{said}"
    );
    assert!(said.contains(" 5 |     nothing.x = 1\n") && said.contains("stack traceback:\n"), "{said}");
}

#[test]
fn files_that_no_code_came_from_are_not_shown() {
    let config = "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
answers: { luaErrors: true }
routes: [{ name: inline, lua: { content: 'error(ngx.var.arg_said, 0)' } }]";
    let tidegate = Tidegate::start(TIDEGATE, config);
    tidegate.write_file("password.txt", "open sesame");
    let file = tidegate.config_path().with_file_name("password.txt");
    let answer = http::get(tidegate.addr(), &format!("/?said={}:1:no", file.display()));
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("password.txt:1:no"), "{}", answer.text());
    assert!(!answer.text().contains("sesame"), "{}", answer.text());
    let line = logged(&tidegate, "password.txt:1:no");
    assert!(!line.to_string().contains("sesame"), "{line}");
    // Nor if it looks like what `require` raises.
    let said = "error%20loading%20module%20'a'%20from%20file%20'b':%0A%09";
    let answer = http::get(tidegate.addr(), &format!("/?said={said}{}:1:no", file.display()));
    assert!(answer.status == 500 && !answer.text().contains("sesame"), "{}", answer.text());
}

#[test]
fn an_answer_shows_code_only_where_it_is_told_to() {
    let config = |answers: &str| {
        format!(
            "listeners: [{{ address: \"{{listen}}\" }}]
admin: {{ address: \"{{admin}}\" }}
answers: {answers}
routes:
  - name: inline
    lua:
      content: |
        local secret = nil
        return secret.door"
        )
    };
    let quiet = Tidegate::start(TIDEGATE, &config("{}"));
    let answer = http::get(quiet.addr(), "/");
    assert!(answer.status == 500 && !answer.text().contains("secret"), "{}", answer.text());
    let line = logged(&quiet, "attempt to index local 'secret'");
    assert!(line.to_string().contains(r#""source":"9 | return secret.door""#), "{line}");

    let json = Tidegate::start(TIDEGATE, &config("{ luaErrors: true }"));
    let answer: Value = serde_json::from_str(http::get(json.addr(), "/").text()).unwrap();
    let lua = &answer["error"]["lua"];
    assert!(
        lua["message"]
            .as_str()
            .unwrap()
            .ends_with("tidegate.yaml:9: attempt to index local 'secret' (a nil value)")
    );
    assert_eq!(lua["source"], "9 | return secret.door");
    assert!(lua["traceback"].as_str().unwrap().starts_with("stack traceback:"));

    let html = Tidegate::start(TIDEGATE, &config("{ luaErrors: true, errors: html }"));
    let page = http::get(html.addr(), "/");
    assert!(page.text().contains("9 | return secret.door\nstack traceback:\n"), "{}", page.text());
}
