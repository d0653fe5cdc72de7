//! A changed configuration, right and wrong.

use std::io::{Read as _, Write as _};

use tidegate_testkit::{
    Tidegate, eventually, http,
    process::{self, Signal},
};

use crate::{PATIENCE, TIDEGATE, metric, pids};

fn config(says: &str) -> String {
    format!(
        "listeners: [{{ address: \"{{listen}}\" }}]
admin: {{ address: \"{{admin}}\" }}
routes: [{{ name: r, match: {{ path: /* }}, lua: {{ content: {says} }} }}]"
    )
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let tidegate = Tidegate::start(TIDEGATE, &config("ngx.say('one')"));
    assert_eq!(http::get(tidegate.addr(), "/").text(), "one\n");
    tidegate.rewrite_config(&config("ngx.say('two')"));
    eventually(PATIENCE, "the new answer", || http::get(tidegate.addr(), "/").text() == "two\n");
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported() {
    let tidegate = Tidegate::start(TIDEGATE, &config("ngx.say('one')"));
    for bad in [config("ngx.say('one'))"), config("ngx.say('two')").replace("routes", "rotues"), "{".into()] {
        let failed = metric(&tidegate, "tidegate_config_reloads_total");
        tidegate.rewrite_config(&bad);
        tidegate.signal(Signal::HUP);
        eventually(PATIENCE, "the attempt is counted", || {
            metric(&tidegate, "tidegate_config_reloads_total") > failed
        });
        assert_eq!(http::get(tidegate.addr(), "/").text(), "one\n");
    }
    tidegate.log_with("did you mean `routes`");
    tidegate.rewrite_config(&config("ngx.say('three')"));
    tidegate.signal(Signal::HUP);
    eventually(PATIENCE, "the good file is served", || http::get(tidegate.addr(), "/").text() == "three\n");
}

const BROKEN: &str = "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
errorLog: { format: nginx, level: info }
routes:
  - { match: { path: /good }, lua: { content: ngx.say('one') } }
  - { match: { path: /missing }, lua: { content: missing.lua } }
  - { match: { path: /broken }, lua: { access: broken.lua, content: ngx.say('no') } }
  - { match: { path: /log }, lua: { content: ngx.say('yes'), log: ngx.say( } }
";

#[test]
fn a_script_that_does_not_work_costs_only_the_requests_that_need_it() {
    let tidegate = Tidegate::setup(TIDEGATE).file("broken.lua", "return 1 +").start(BROKEN);
    let status = |path: &str| http::get(tidegate.addr(), path).status;
    assert_eq!(
        [status("/good"), status("/missing"), status("/broken"), status("/log")],
        [200, 404, 500, 200]
    );
    eventually(PATIENCE, "the reasons", || {
        let log = tidegate.log();
        [
            "missing.lua\": cannot open ",
            "failed to load external Lua file \"",
            "broken.lua:1: unexpected symbol near '<eof>', client: 127.0.0.1",
            "failed to load inlined Lua code: ",
        ]
        .iter()
        .all(|reason| log.contains(reason))
    });
    tidegate.log_with("3 scripts do not work");
    let checked =
        std::process::Command::new(TIDEGATE).arg("check").arg(tidegate.config_path()).output().unwrap();
    assert_eq!(checked.status.code(), Some(1), "it is a mistake all the same");
    // What did not work before keeps nothing else from being changed, or from being mended.
    tidegate.rewrite_config(&BROKEN.replace("'one'", "'two'"));
    eventually(PATIENCE, "the new answer", || http::get(tidegate.addr(), "/good").text() == "two\n");
    tidegate.rewrite_config(&BROKEN.replace("'one'", "'three'").replace("broken.lua", "ngx.ctx.a = 1"));
    eventually(PATIENCE, "the mended route", || status("/broken") == 200);
    // But what worked goes on to work.
    let failed = metric(&tidegate, "tidegate_config_reloads_total");
    tidegate.rewrite_config(&BROKEN.replace("'one'", "'four'"));
    tidegate.signal(Signal::HUP);
    eventually(PATIENCE, "the attempt is counted", || {
        metric(&tidegate, "tidegate_config_reloads_total") > failed
    });
    assert_eq!(http::get(tidegate.addr(), "/good").text(), "three\n");
}

#[test]
fn a_second_gateway_on_the_same_file_is_told_so() {
    // With a state directory it would be the successor of the first.
    let tidegate = Tidegate::start(TIDEGATE, &(config("ngx.say('one')") + "\nstate: false\n"));
    let output = std::process::Command::new(TIDEGATE).arg("up").arg(tidegate.config_path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&tidegate.admin().to_string()) && said.contains("another gateway"), "{said}");
}

#[test]
fn signals_that_nginx_knows_do_no_harm() {
    let mut tidegate = Tidegate::start(TIDEGATE, &config("ngx.say('one')"));
    for signal in [Signal::USR1, Signal::USR2] {
        tidegate.signal(signal);
    }
    tidegate.log_with("SIGUSR2 has no effect");
    assert_eq!(http::get(tidegate.addr(), "/").text(), "one\n");
    tidegate.signal(Signal::QUIT);
    assert_eq!(tidegate.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_second_interrupt_does_not_wait_for_the_drain() {
    let mut tidegate = Tidegate::start(TIDEGATE, &config("ngx.say('one') ngx.flush() ngx.sleep(1000)"));
    let mut client = std::net::TcpStream::connect(tidegate.addr()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 17]).unwrap();
    tidegate.signal(Signal::INT);
    tidegate.log_with("draining");
    tidegate.signal(Signal::INT);
    assert_eq!(tidegate.wait_exit(PATIENCE).code(), Some(3));
}

#[test]
fn what_a_whole_unit_is_sent_ends_no_instance() {
    let config = "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets: { app: { run: { lua: app.lua }, scale: { max: 1 } } }
upstreams: { app: { fleet: app } }
routes: [{ upstream: app }]";
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('here')").start(config);
    eventually(PATIENCE, "an instance is ready", || pids(&tidegate, "ready").len() == 1);
    let before = pids(&tidegate, "ready");
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::INT, Signal::QUIT] {
        assert!(process::signal(before[0], signal));
    }
    assert_eq!(http::get(tidegate.addr(), "/").text(), "here\n");
    tidegate.signal(Signal::HUP);
    eventually(PATIENCE, "another configuration", || {
        metric(&tidegate, "tidegate_config_reloads_total") > 0.0
    });
    assert_eq!(pids(&tidegate, "ready"), before);
    assert!(metric(&tidegate, "tidegate_fleet_restarts_total") < 1.0);
}
