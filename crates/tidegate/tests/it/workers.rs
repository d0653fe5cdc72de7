//! Fleets that work on messages.

use std::{collections::BTreeSet, fmt::Write as _};

use tidegate_testkit::{Setup, Tidegate, eventually, process, process::Signal, servers::Redis};

use crate::{PATIENCE, TIDEGATE, fleets, instances, pids};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
sources:
  jobs: { redis: { url: \"{redis}\", {key}, password: \"${env:REDIS_PASSWORD}\" }, interval: 100ms }
fleets:
  worker:
    run: { lua: worker.lua, consume: jobs }
    driver: {driver}
    worker: { concurrency: 8, attempts: 3, backOff: 50ms }
    scale:
      min: 0
      max: {max}
      idle: 1s
      triggers: [{ backlog: { source: jobs, perInstance: 50 } }]
      behavior: { scaleIn: { stabilization: 0s } }
";

/// Counts how often each message was worked on, fails or rejects those that say so.
const WORKER: &str = r#"
local message = ...
local redis = require("once_redis")
redis("HINCRBY", "worked", message.body, 1)
if message.body == "fail" then error("it never works") end
if message.body == "flaky" and message.attempt < 3 then return nil, "not yet" end
if message.body == "bad" then message:reject("not a job") end
ngx.say("worked on ", message.id)
"#;

/// One command to the Redis of the test, by a cosocket.
const CLIENT: &str = r#"
return function(...)
    local socket = ngx.socket.tcp()
    assert(socket:connect("127.0.0.1", PORT))
    local function ask(...)
        local words = { ... }
        local out = "*" .. #words .. "\r\n"
        for _, word in ipairs(words) do out = out .. "$" .. #tostring(word) .. "\r\n" .. word .. "\r\n" end
        assert(socket:send(out))
        return assert(socket:receive("*l"))
    end
    if socket:getreusedtimes() == 0 then ask("AUTH", "PASSWORD") end
    local answer = ask(...)
    socket:setkeepalive()
    return answer
end
"#;

fn setup(redis: &Redis, key: &str, driver: &str, max: u32) -> Setup {
    let client = CLIENT.replace("PORT", &redis.port().to_string()).replace("PASSWORD", Redis::PASSWORD);
    let setup = Tidegate::setup(TIDEGATE).file("worker.lua", WORKER).file("once_redis.lua", &client);
    let setup = setup.set("redis", &redis.url()).set("key", &key).set("driver", &driver).set("max", &max);
    setup.env("REDIS_PASSWORD", Redis::PASSWORD)
}

fn start(redis: &Redis, key: &str, driver: &str, max: u32) -> Tidegate {
    let setup = setup(redis, key, driver, max);
    let path = "lua: { packagePath: \"{dir}/?.lua;;\" }\n";
    setup.start(&format!("{path}{CONFIG}"))
}

fn worked(redis: &Redis, body: &str) -> u64 {
    redis.cli(&["HGET", "worked", body]).parse().unwrap_or(0)
}

fn empty(tidegate: &Tidegate) -> bool {
    fleets(tidegate)["items"][0]["instances"].as_array().is_some_and(Vec::is_empty)
}

fn count(tidegate: &Tidegate, outcome: &str) -> u64 {
    fleets(tidegate)["items"][0]["messages"][outcome].as_u64().unwrap_or(0)
}

/// What the two ways to queue in Redis have in common.
fn every_message_is_worked_on(
    key: &str,
    driver: &str,
    push: impl Fn(&Redis, &str),
    dead: impl Fn(&Redis) -> String,
) {
    let Some(redis) = Redis::start() else { return };
    let tidegate = start(&redis, key, driver, 2);
    for body in ["one", "two", "flaky", "fail", "bad"] {
        push(&redis, body);
    }
    eventually(PATIENCE, "all are settled", || {
        count(&tidegate, "done") == 3 && count(&tidegate, "dead") == 2
    });
    let worked = ["one", "two", "flaky", "fail", "bad"].map(|body| worked(&redis, body));
    assert_eq!(worked, [1, 1, 3, 3, 1]);
    assert_eq!((count(&tidegate, "failed"), count(&tidegate, "lost")), (4, 0));
    let dead = dead(&redis);
    assert!(dead.contains("fail") && dead.contains("bad") && !dead.contains("flaky"), "{dead}");
    eventually(PATIENCE, "the fleet is at rest", || empty(&tidegate));
    let log = tidegate.log();
    assert!(log.contains("worker.lua:5: it never works"), "the error has its line: {log}");
}

#[test]
fn a_list_is_worked_off_by_processes() {
    let push = |redis: &Redis, body: &str| _ = redis.cli(&["LPUSH", "jobs", body]);
    let dead = |redis: &Redis| redis.cli(&["LRANGE", "jobs.dead", "0", "-1"]);
    every_message_is_worked_on("list: jobs", "process", push, dead);
}

#[test]
fn a_stream_is_worked_off_by_threads() {
    let push =
        |redis: &Redis, body: &str| _ = redis.cli(&["XADD", "jobs", "*", "body", body, "kind", "test"]);
    let dead = |redis: &Redis| redis.cli(&["XRANGE", "jobs.dead", "-", "+"]);
    every_message_is_worked_on("stream: jobs, group: workers", "thread", push, dead);
}

/// Kills instances while a burst is worked off, and returns how many messages were worked on more than once.
fn burst_with_deaths(key: &str, commands: &str, all: usize) {
    let Some(redis) = Redis::start() else { return };
    let tidegate = start(&redis, key, "process", 3);
    redis.pipe(commands);
    let mut killed = BTreeSet::new();
    eventually(PATIENCE, "three died at work", || {
        // The moment matters: one that has messages in its hands.
        if redis.number(&["HLEN", "worked"]) > 200 * (killed.len() as u64 + 1)
            && let Some(&victim) = pids(&tidegate, "ready").iter().find(|pid| !killed.contains(*pid))
        {
            process::signal(victim, Signal::KILL);
            killed.insert(victim);
        }
        killed.len() == 3
    });
    eventually(PATIENCE * 2, "every message is worked on", || {
        redis.number(&["HLEN", "worked"]) == all as u64
    });
    eventually(PATIENCE * 2, "the fleet is at rest", || empty(&tidegate));
    let counts = redis.cli(&["HVALS", "worked"]);
    let again = counts.lines().filter(|count| *count != "1").count();
    // What three instances had in their hands, of which eight each are worked on at once.
    assert!(again <= 3 * 2 * 8, "{again} messages were worked on more than once");
    assert_eq!(count(&tidegate, "dead"), 0);
    assert!(instances(&tidegate, "ready").is_empty());
}

#[test]
fn a_list_loses_nothing_with_the_instances_that_die() {
    let commands = (0..3_000).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "LPUSH jobs m{number}");
        text
    });
    burst_with_deaths("list: jobs", &commands, 3_000);
}

#[test]
fn a_stream_loses_nothing_with_the_instances_that_die() {
    let commands = (0..3_000).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "XADD jobs * body m{number}");
        text
    });
    burst_with_deaths("stream: jobs, group: workers", &commands, 3_000);
}
