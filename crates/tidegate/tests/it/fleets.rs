//! Fleets of processes behind the gateway.

use std::{thread, time::Duration};

use tidegate_testkit::{
    Tidegate, eventually, http,
    process::{self, Signal},
};

use crate::{PATIENCE, TIDEGATE, fleets, instances, load::Load, metric, pids};

const LUA: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets:
  app:
    run: { lua: app.lua }
    scale: { min: 2, max: 4, triggers: [{ target: { metric: arrivalRate, value: 40/1s } }], behavior: { scaleIn: { stabilization: 2s } } }
upstreams: { app: { fleet: app } }
routes: [{ name: app, match: { path: /* }, upstream: app }]
";

const APP: &str = "ngx.say(require('ngx.process').get_master_pid(), ' ', ngx.var.uri)";

fn start() -> Tidegate {
    Tidegate::setup(TIDEGATE).file("app.lua", APP).start(LUA)
}

#[test]
fn a_lua_fleet_serves_from_processes_of_its_own() {
    let tidegate = start();
    eventually(PATIENCE, "both instances are ready", || pids(&tidegate, "ready").len() == 2);
    let mut served = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = http::get(tidegate.addr(), "/x");
        let (pid, uri) = answer.text().trim().split_once(' ').unwrap();
        assert_eq!(uri, "/x");
        served.insert(pid.parse::<u32>().unwrap());
    }
    let expected: std::collections::BTreeSet<_> = pids(&tidegate, "ready").into_iter().collect();
    assert_eq!(served, expected, "requests are spread over both, and served by nobody else");
}

#[test]
fn demand_makes_it_grow_and_calm_makes_it_shrink_without_a_failure() {
    let tidegate = start();
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 150);
    eventually(PATIENCE, "the fleet has grown to its maximum", || pids(&tidegate, "ready").len() == 4);
    load.end();
    eventually(PATIENCE, "the fleet is back at its minimum", || {
        pids(&tidegate, "ready").len() == 2 && pids(&tidegate, "draining").is_empty()
    });
    let admin = tidegate.admin().to_string();
    let explain = |arguments: &[&str]| {
        let output = std::process::Command::new(TIDEGATE).arg("explain").args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, text, _) = explain(&["app", "--admin", &admin]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("app grows from 2 to") && text.contains("shrinks"), "{text}");
    assert!(text.contains("arrival rate 40/s") && text.contains("HPA at 70%"), "the reason is named: {text}");
    let (code, _, error) = explain(&["ap", "--admin", &admin]);
    assert!(code == Some(1) && error.contains("there are: app"), "{error}");
    let (code, _, error) = explain(&["app", "--admin", &admin, "--at", "2001-01-01T00:00:00Z"]);
    assert!(code == Some(1) && error.contains("the journal reaches from"), "{error}");
    let (code, text, _) = explain(&["app", "--admin", &admin, "--at", "-0s", "--format", "json"]);
    let decisions: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(code == Some(0) && decisions["items"][0]["observed"].is_object(), "{decisions}");
    // The same from the files, while the gateway runs and when it is gone.
    let state = tidegate.dir().join(".tidegate/tidegate").display().to_string();
    let (code, text, error) = explain(&["app", "--journal", &state]);
    assert!(code == Some(0) && text.contains("app grows from 2 to") && error.is_empty(), "{text} {error}");
    let (code, _, error) = explain(&["ap", "--journal", &state]);
    assert!(code == Some(1) && error.contains("there are: app"), "{error}");
    let (code, _, error) = explain(&["app", "--journal", "/does/not/exist"]);
    assert!(code == Some(3) && error.contains("/does/not/exist"), "{error}");
    replay(&state, &format!("{}#app", tidegate.config_path().display()));
}

#[test]
fn a_gateway_is_watched_and_advised_on_from_elsewhere() {
    let tidegate = start();
    eventually(PATIENCE, "both instances are ready", || pids(&tidegate, "ready").len() == 2);
    let (admin, elsewhere) = (tidegate.admin().to_string(), tempfile::tempdir().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(TIDEGATE);
        let output = command.args(arguments).current_dir(elsewhere.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run(&["top", "--admin", &admin]);
    let row = text.lines().nth(1).unwrap_or_default().split_whitespace().take(3).collect::<Vec<_>>();
    assert!(code == Some(0) && row == ["app", "2", "2"], "{text}");
    let (code, text) = run(&["top", "--admin", &admin, "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(code == Some(0) && told["fleets"][0]["name"] == "app" && told["sources"].is_array(), "{told}");
    // Until the first line of the journal is written there is nothing to go by.
    let advised = || {
        let (code, text) = run(&["advise", "--admin", &admin, "--format", "json"]);
        let told = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
        code == Some(0) && told["items"][0]["fleet"] == "app"
    };
    eventually(PATIENCE, "there is advice", advised);
    let (code, text) = run(&["advise", "app", "--admin", &admin]);
    assert!(code == Some(0) && text.starts_with("app, "), "{text}");
    assert_eq!(run(&["advise", "ap", "--admin", &admin]).0, Some(1));
}

/// The journal in `state` replays, also with the same policy, and no longer where it was forged.
fn replay(state: &str, policy: &str) {
    let replay = |arguments: &[&str]| {
        let output = std::process::Command::new(TIDEGATE)
            .arg("replay")
            .args(arguments)
            .args(["--format", "json"])
            .output()
            .unwrap();
        let told = serde_json::from_slice::<serde_json::Value>(&output.stdout);
        (output.status.code(), told.unwrap_or_else(|error| panic!("{error}: {output:?}")))
    };
    let (code, told) = replay(&[state]);
    assert!(code == Some(0) && told["difference"].is_null(), "{told}");
    assert!(told["fleets"][0]["changes"].as_u64() > Some(1) && told["fleets"][0]["skipped"] == 0, "{told}");
    let (code, told) = replay(&[state, "--policy", policy]);
    assert!(code == Some(0) && told["differentSteps"] == 0 && told["recorded"] == told["replayed"], "{told}");
    let (_, told) = replay(&[state, "--policy", "default", "--fleet", "app"]);
    assert!(
        told["differentSteps"].as_u64() > Some(0) && told["replayed"]["instanceHours"].is_f64(),
        "{told}"
    );
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(format!("{state}/journal/decisions-00000001.jsonl")).unwrap();
    // Without the sums of its lines, or they would not be believed in the first place.
    let bare = |line: &str| {
        line.split_once(",\"check\":").map_or_else(|| panic!("{line}"), |(line, _)| format!("{line}}}\n"))
    };
    let text: String = text.lines().map(bare).collect();
    let forged = folder.path().join("forged.jsonl");
    std::fs::write(&forged, text.replacen("\"outcome\":{\"desired\":4", "\"outcome\":{\"desired\":3", 1))
        .unwrap();
    let (code, told) = replay(&[forged.to_str().unwrap()]);
    assert_eq!((code, &told["difference"]["what"]), (Some(1), &"decision".into()), "{told}");
}

#[test]
fn no_instance_outlives_a_gateway_that_is_killed() {
    let mut tidegate = start();
    let instances = pids(&tidegate, "ready");
    assert!(!instances.is_empty());
    tidegate.signal(Signal::KILL);
    tidegate.wait_exit(PATIENCE);
    eventually(PATIENCE, "all instances are gone", || !instances.iter().any(|&pid| process::is_running(pid)));
}

#[test]
fn a_command_that_takes_a_port_is_a_fleet_too() {
    let Some(python) = tidegate_testkit::component("python3") else { return };
    let config = LUA.replace(
        "{ lua: app.lua }",
        &format!(
            "{{ command: [\"{}\", -m, http.server, \"{{port}}\", --bind, 127.0.0.1] }}",
            python.display()
        ),
    );
    let mut tidegate = Tidegate::setup(TIDEGATE).file("page.txt", "from a file").start(&config);
    assert_eq!(http::get(tidegate.addr(), "/page.txt").text(), "from a file");
    let instances = pids(&tidegate, "ready");
    tidegate.signal(Signal::KILL);
    tidegate.wait_exit(PATIENCE);
    eventually(PATIENCE, "all instances are gone", || !instances.iter().any(|&pid| process::is_running(pid)));
}

#[test]
fn an_app_that_does_not_start_says_why_and_harms_nobody() {
    let config = format!(
        "{LUA}  - {{ name: hello, match: {{ path: /hello }}, lua: {{ content: ngx.say('hello') }} }}\n"
    )
    .replace("routes: [", "routes:\n  - ")
    .replace("upstream: app }]", "upstream: app }")
    .replace("{ lua: app.lua }", "{ command: [\"/does/not/exist\", \"{port}\"] }");
    let tidegate = Tidegate::setup(TIDEGATE).spawn(&config);
    eventually(PATIENCE, "the gateway serves", || http::try_get(tidegate.addr(), "/hello").is_ok());
    eventually(PATIENCE, "the reason is shown", || {
        let shown = crate::fleets(&tidegate).to_string();
        shown.contains("/does/not/exist") || shown.contains("No such file")
    });
    assert_eq!(http::get(tidegate.addr(), "/hello").text(), "hello\n");
    thread::sleep(Duration::from_millis(500));
    assert!(metric(&tidegate, "tidegate_fleet_restarts_total") < 50.0, "restarts are not a busy loop");
}

#[test]
fn a_fleet_of_threads_serves_grows_and_drains_without_a_failure() {
    let config = LUA.replace("run: { lua: app.lua }", "run: { lua: app.lua }\n    driver: thread");
    let app = "ngx.say(require('ngx.process').get_master_pid(), ' ', ngx.var.server_port)";
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", app).start(&config);
    let ready = || instances(&tidegate, "ready").len();
    eventually(PATIENCE, "both instances are ready", || ready() == 2);
    let mut ports = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = http::get(tidegate.addr(), "/x");
        let (pid, port) = answer.text().trim().split_once(' ').unwrap();
        assert_eq!(pid.parse::<u32>().unwrap(), tidegate.pid(), "it is the gateway's own process");
        ports.insert(port.to_owned());
    }
    assert_eq!(ports.len(), 2, "requests are spread over both");
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 150);
    eventually(PATIENCE, "the fleet has grown to its maximum", || ready() == 4);
    load.end();
    eventually(PATIENCE, "the fleet is back at its minimum", || {
        ready() == 2 && instances(&tidegate, "draining").is_empty()
    });
}

#[test]
fn an_app_that_does_not_compile_fails_in_a_thread_as_in_a_process() {
    let config = LUA.replace("run: { lua: app.lua }", "run: { lua: app.lua }\n    driver: thread");
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", "require 'missing.module'").start(&config);
    eventually(PATIENCE, "both instances are ready", || instances(&tidegate, "ready").len() == 2);
    assert_eq!(http::get(tidegate.addr(), "/").status, 500, "an error at run time is the request's alone");
    assert_eq!(instances(&tidegate, "ready").len(), 2);
}

const ASLEEP: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets:
  app:
    run: { lua: app.lua }
    driver: DRIVER
    scale: { min: 0, max: 3, idle: 2s }
upstreams: { app: { fleet: app } }
routes: [{ name: app, match: { path: /* }, upstream: app }]
";

#[test]
fn a_fleet_from_zero_answers_everybody_who_came_before_it_and_goes_back_to_zero() {
    for driver in ["thread", "process"] {
        let config = ASLEEP.replace("DRIVER", driver);
        let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", APP).start(&config);
        let nobody_runs = || fleets(&tidegate)["items"][0]["instances"] == serde_json::json!([]);
        assert!(nobody_runs(), "nothing runs before somebody asks");
        let addr = tidegate.addr();
        let asking: Vec<_> = (0..20).map(|_| thread::spawn(move || http::get(addr, "/x").status)).collect();
        let answers: Vec<u16> = asking.into_iter().map(|one| one.join().unwrap()).collect();
        assert_eq!(answers, [200; 20], "{driver}");
        eventually(PATIENCE, "it goes to sleep", nobody_runs);
        assert_eq!(http::get(addr, "/x").status, 200, "{driver}: and wakes again");
    }
}

#[test]
fn an_instance_that_is_needed_again_before_it_is_gone_stays() {
    let sized = |count: u32| {
        let scale = format!("scale: {{ min: {count}, max: {count}, triggers: [] }}");
        let config = ASLEEP.replace("DRIVER", "process\n    grace: 2m");
        config.replace("scale: { min: 0, max: 3, idle: 2s }", &scale)
    };
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("open");
    let app =
        "local gate repeat ngx.sleep(0.02) gate = io.open('GATE') until gate gate:close() ngx.say('done')";
    let app = app.replace("GATE", gate.to_str().unwrap());
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", &app).start(&sized(2));
    eventually(PATIENCE, "both are ready", || pids(&tidegate, "ready").len() == 2);
    let mut before = pids(&tidegate, "ready");
    let addr = tidegate.addr();
    let asking: Vec<_> = (0..4).map(|_| thread::spawn(move || http::get(addr, "/x").status)).collect();
    eventually(PATIENCE, "both are busy", || {
        let ready = instances(&tidegate, "ready");
        ready.iter().all(|one| one["inFlight"].as_u64() > Some(0))
    });
    let resize = |count| {
        tidegate.rewrite_config(&sized(count));
        tidegate.signal(Signal::HUP);
    };
    resize(1);
    eventually(PATIENCE, "one drains", || pids(&tidegate, "draining").len() == 1);
    resize(2);
    eventually(PATIENCE, "both are ready again", || pids(&tidegate, "ready").len() == 2);
    let mut after = pids(&tidegate, "ready");
    before.sort_unstable();
    after.sort_unstable();
    assert_eq!(before, after, "nobody was started in the place of one that was there");
    std::fs::write(&gate, "").unwrap();
    assert!(asking.into_iter().all(|one| one.join().unwrap() == 200));
}

#[test]
fn the_rule_of_hpa_may_decide_and_keeps_an_instance_where_the_file_would_not() {
    let config = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets: { app: { run: { lua: app.lua }, driver: thread, scale: { min: 0, max: 3 } } }
upstreams: { app: { fleet: app } }
routes: [{ name: app, match: { path: /* }, upstream: app }]
";
    let setup = Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('here')").arg("--policy").arg("hpa");
    let tidegate = setup.start(config);
    eventually(PATIENCE, "one is there though nobody asked", || {
        crate::instances(&tidegate, "ready").len() == 1
    });
    let fleet = &fleets(&tidegate)["items"][0];
    // What the file's policy says is recorded and not done.
    assert_eq!((&fleet["mode"], &fleet["desired"]), (&"recommend".into(), &1.into()), "{fleet:#}");
}
