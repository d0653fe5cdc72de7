//! Fleets that scale by what waits elsewhere.

use serde_json::Value;
use tidegate_testkit::{Tidegate, eventually, http, servers::Redis};

use crate::{PATIENCE, TIDEGATE, fleets, metric, pids};

const BY_LIST: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
sources:
  jobs:
    redis: { url: \"{redis}\", list: jobs, password: \"${env:REDIS_PASSWORD}\" }
    interval: 100ms
    timeout: 500ms
fleets:
  app:
    run: { lua: app.lua }
    driver: thread
    scale:
      min: 0
      max: 4
      idle: 1s
      triggers: [{ backlog: { source: jobs, perInstance: 10, activation: 2 } }]
      behavior: { scaleIn: { stabilization: 0s } }
";

fn start(redis: &Redis) -> Tidegate {
    let setup = Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('hello')").set("redis", &redis.url());
    setup.env("REDIS_PASSWORD", Redis::PASSWORD).start(BY_LIST)
}

fn source(tidegate: &Tidegate) -> Value {
    let answer = http::get(tidegate.admin(), "/api/v1/sources");
    let sources: Value = serde_json::from_slice(&answer.body).unwrap();
    sources["items"][0].clone()
}

fn desired(tidegate: &Tidegate) -> u64 {
    fleets(tidegate)["items"][0]["desired"].as_u64().unwrap()
}

fn push(redis: &Redis, count: usize) {
    let jobs: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    redis.cli(&["RPUSH", "jobs"].into_iter().chain(jobs.iter().map(String::as_str)).collect::<Vec<_>>());
}

#[test]
fn a_list_of_redis_wakes_a_fleet_and_an_empty_one_sends_it_to_rest() {
    let Some(redis) = Redis::start() else { return };
    let tidegate = start(&redis);
    eventually(PATIENCE, "the source is read", || source(&tidegate)["state"] == "ok");
    push(&redis, 2);
    eventually(PATIENCE, "both are seen", || source(&tidegate)["value"] == 2.0);
    assert_eq!(desired(&tidegate), 0, "two are not above the activation threshold");
    push(&redis, 23);
    eventually(PATIENCE, "three instances for 25", || desired(&tidegate) == 3);
    assert_eq!(metric(&tidegate, "tidegate_source_messages") as u64, 25);
    let reasons = fleets(&tidegate)["items"][0]["lastDecision"]["reasons"].to_string();
    assert!(reasons.contains("25 wait, which are 2.5 instances at 10 each"), "{reasons}");
    redis.cli(&["DEL", "jobs"]);
    eventually(PATIENCE, "none", || {
        fleets(&tidegate)["items"][0]["instances"].as_array().unwrap().is_empty()
    });
    assert!(pids(&tidegate, "ready").is_empty());
}

#[test]
fn a_source_that_fails_shrinks_nothing_and_is_read_again_when_it_is_back() {
    let Some(mut redis) = Redis::start() else { return };
    let tidegate = start(&redis);
    push(&redis, 40);
    eventually(PATIENCE, "four instances for 40", || desired(&tidegate) == 4);
    redis.stop();
    eventually(PATIENCE, "what waits is not known", || source(&tidegate)["state"] == "unknown");
    let explained = |what: &str| {
        let reasons = fleets(&tidegate)["items"][0]["lastStep"]["reasons"].to_string();
        reasons.contains(what)
    };
    eventually(PATIENCE, "it is said why", || explained("source jobs is not known"));
    assert_eq!((desired(&tidegate), metric(&tidegate, "tidegate_source_up") as u64), (4, 0));
    assert!(metric(&tidegate, "tidegate_source_failures_total") >= 1.0);
    redis.restart();
    push(&redis, 15);
    eventually(PATIENCE, "two instances for 15", || desired(&tidegate) == 2);
}

#[test]
fn a_secret_is_nowhere_to_be_seen() {
    let Some(redis) = Redis::start() else { return };
    let tidegate = start(&redis);
    push(&redis, 25);
    eventually(PATIENCE, "three instances", || desired(&tidegate) == 3);
    let wrong = Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('hello')").set("redis", &redis.url());
    let wrong = wrong.env("REDIS_PASSWORD", "wr0ng-secret").start(BY_LIST);
    eventually(PATIENCE, "it is refused", || source(&wrong)["error"].to_string().contains("WRONGPASS"));
    for (tidegate, secret) in [(tidegate, Redis::PASSWORD), (wrong, "wr0ng-secret")] {
        let pages = [
            "/api/v1/sources",
            "/api/v1/fleets",
            "/api/v1/fleets/app/decisions",
            "/api/v1/config",
            "/metrics",
        ];
        for page in pages {
            let answer = http::get(tidegate.admin(), page);
            assert!(!answer.text().contains(secret), "{page}");
        }
        assert!(!tidegate.log().contains(secret));
    }
}
