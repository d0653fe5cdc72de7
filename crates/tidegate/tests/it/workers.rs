//! Fleets that work on messages.

use std::{collections::BTreeSet, fmt::Write as _};

use tidegate_testkit::{
    Setup, Tidegate, eventually, process,
    process::Signal,
    servers::{Nats, Rabbitmq, Redis},
};

use crate::{PATIENCE, TIDEGATE, fleets, instances, pids};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
sources:
  jobs: { {jobs}, interval: 100ms }
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

fn in_redis(redis: &Redis, key: &str) -> String {
    format!("redis: {{ url: \"{}\", {key}, password: \"${{env:REDIS_PASSWORD}}\" }}", redis.url())
}

/// Workers that count in `redis` how often they work on which message of the source `jobs`.
fn start(redis: &Redis, jobs: &str, driver: &str, max: u32) -> Tidegate {
    start_with(redis, jobs, driver, max, WORKER)
}

fn start_with(redis: &Redis, jobs: &str, driver: &str, max: u32, worker: &str) -> Tidegate {
    let filled =
        |text: &str| text.replace("PORT", &redis.port().to_string()).replace("PASSWORD", Redis::PASSWORD);
    let setup: Setup = Tidegate::setup(TIDEGATE).file("worker.lua", &filled(worker));
    let setup = setup.file("once_redis.lua", &filled(CLIENT));
    let setup = setup.set("jobs", &jobs).set("driver", &driver).set("max", &max);
    let path = "lua: { packagePath: \"{dir}/?.lua;;\" }\n";
    setup.env("REDIS_PASSWORD", Redis::PASSWORD).start(&format!("{path}{CONFIG}"))
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

/// Does its work once for each body, and fails after it at the first attempt.
const ONCE: &str = r#"
local message = ...
local redis = require("once_redis")
local once = require("tidegate.idempotency").new({ redis = { port = PORT, password = "PASSWORD" } })
local state, why = once:once(message.body, function() redis("HINCRBY", "worked", message.body, 1) end)
if message.attempt == 1 then error("after the work") end
redis("HINCRBY", "states", tostring(state), 1)
if not state then return nil, why end
"#;

#[test]
fn what_is_done_once_is_done_once_however_often_it_is_delivered() {
    let Some(redis) = Redis::start() else { return };
    for body in ["one", "two", "one"] {
        redis.cli(&["LPUSH", "jobs", body]);
    }
    let tidegate = start_with(&redis, &in_redis(&redis, "list: jobs"), "thread", 1, ONCE);
    eventually(PATIENCE, "all are done", || count(&tidegate, "done") == 3);
    assert_eq!([worked(&redis, "one"), worked(&redis, "two")], [1, 1]);
    assert_eq!(redis.cli(&["HGET", "states", "already"]), "3", "the second attempts find it done");
    assert_eq!((count(&tidegate, "failed"), count(&tidegate, "dead")), (3, 0));
}

const BODIES: [&str; 5] = ["one", "two", "flaky", "fail", "bad"];

/// Waits until the messages that were queued are settled, each as it asked for, and the fleet is gone.
fn each_is_settled(tidegate: &Tidegate, redis: &Redis) {
    eventually(PATIENCE, "all are settled", || count(tidegate, "done") == 3 && count(tidegate, "dead") == 2);
    assert_eq!(BODIES.map(|body| worked(redis, body)), [1, 1, 3, 3, 1]);
    assert_eq!((count(tidegate, "failed"), count(tidegate, "lost")), (4, 0));
    eventually(PATIENCE, "the fleet is at rest", || empty(tidegate));
    let log = tidegate.log();
    assert!(log.contains("worker.lua:5: it never works"), "the error has its line: {log}");
    let buried = r#""level":"WARN","message":"a message is a dead letter""#;
    assert!(log.contains(buried), "a line of an instance is a line of its own level here: {log}");
}

/// What the two ways to queue in Redis have in common.
fn of_redis(key: &str, driver: &str, push: impl Fn(&Redis, &str), dead: impl Fn(&Redis) -> String) {
    let Some(redis) = Redis::start() else { return };
    let tidegate = start(&redis, &in_redis(&redis, key), driver, 2);
    for body in BODIES {
        push(&redis, body);
    }
    each_is_settled(&tidegate, &redis);
    let dead = dead(&redis);
    assert!(dead.contains("fail") && dead.contains("bad") && !dead.contains("flaky"), "{dead}");
}

#[test]
fn a_list_is_worked_off_by_processes() {
    let push = |redis: &Redis, body: &str| _ = redis.cli(&["LPUSH", "jobs", body]);
    let dead = |redis: &Redis| redis.cli(&["LRANGE", "jobs.dead", "0", "-1"]);
    of_redis("list: jobs", "process", push, dead);
}

#[test]
fn a_stream_is_worked_off_by_threads() {
    let push =
        |redis: &Redis, body: &str| _ = redis.cli(&["XADD", "jobs", "*", "body", body, "kind", "test"]);
    let dead = |redis: &Redis| redis.cli(&["XRANGE", "jobs.dead", "-", "+"]);
    of_redis("stream: jobs, group: workers", "thread", push, dead);
}

#[test]
fn a_consumer_of_nats_is_worked_off() {
    let (Some(redis), Some(nats)) = (Redis::start(), Nats::start()) else { return };
    nats.stream("JOBS");
    let jobs = format!("nats: {{ url: \"{}\", stream: JOBS, consumer: workers }}", nats.url());
    let tidegate = start(&redis, &jobs, "thread", 2);
    nats.publish("JOBS.new", BODIES.map(str::to_owned));
    each_is_settled(&tidegate, &redis);
    let dead = nats.ask("STREAM.INFO.JOBS_workers_dead", &serde_json::Value::Null);
    assert_eq!(dead["state"]["messages"], 2, "{dead}");
}

#[test]
fn a_queue_of_rabbitmq_is_worked_off() {
    let (Some(redis), Some(rabbitmq)) = (Redis::start(), Rabbitmq::start()) else { return };
    rabbitmq.queue("jobs");
    let jobs = format!("rabbitmq: {{ url: \"{}\", queue: jobs }}", rabbitmq.url());
    let tidegate = start(&redis, &jobs, "process", 2);
    let bodies: Vec<_> = BODIES.iter().map(|body| format!("<<\"{body}\">>")).collect();
    rabbitmq.publish("jobs", &format!("[{}]", bodies.join(", ")));
    each_is_settled(&tidegate, &redis);
    assert_eq!((rabbitmq.depth("jobs"), rabbitmq.depth("jobs.dead")), (Some(0), Some(2)));
}

/// Kills instances while `all` messages are worked off.
fn burst_with_deaths(redis: &Redis, jobs: &str, all: u64, push: impl FnOnce()) {
    let tidegate = start(redis, jobs, "process", 3);
    push();
    let mut killed = BTreeSet::new();
    let mut worked_off = false;
    eventually(PATIENCE, "three died at work", || {
        // The moment matters: one that has messages in its hands.
        let worked = redis.number(&["HLEN", "worked"]);
        // All may be done before the test gets to it.
        worked_off = worked == all;
        if worked > 200 * (killed.len() as u64 + 1)
            && let Some(&victim) = pids(&tidegate, "ready").iter().find(|pid| !killed.contains(*pid))
        {
            process::signal(victim, Signal::KILL);
            killed.insert(victim);
        }
        killed.len() == 3 || worked_off && !killed.is_empty()
    });
    eventually(PATIENCE * 2, "every message is worked on", || redis.number(&["HLEN", "worked"]) == all);
    eventually(PATIENCE * 2, "the fleet is at rest", || empty(&tidegate));
    let counts = redis.cli(&["HVALS", "worked"]);
    let again = counts.lines().filter(|count| *count != "1").count();
    // What three instances had in their hands: eight each worked on, and as many waiting to be settled.
    assert!(again <= 3 * 2 * 8, "{again} messages were worked on more than once");
    assert_eq!(count(&tidegate, "dead"), 0);
    assert!(instances(&tidegate, "ready").is_empty());
}

const BURST: u64 = 3_000;

fn commands(command: &str) -> String {
    (0..BURST).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{command} m{number}");
        text
    })
}

#[test]
fn a_list_loses_nothing_with_the_instances_that_die() {
    let Some(redis) = Redis::start() else { return };
    let jobs = in_redis(&redis, "list: jobs");
    burst_with_deaths(&redis, &jobs, BURST, || redis.pipe(&commands("LPUSH jobs")));
}

#[test]
fn a_stream_loses_nothing_with_the_instances_that_die() {
    let Some(redis) = Redis::start() else { return };
    let jobs = in_redis(&redis, "stream: jobs, group: workers");
    burst_with_deaths(&redis, &jobs, BURST, || redis.pipe(&commands("XADD jobs * body")));
}

#[test]
fn a_stream_of_nats_loses_nothing_with_the_instances_that_die() {
    let (Some(redis), Some(nats)) = (Redis::start(), Nats::start()) else { return };
    nats.stream("JOBS");
    let jobs = format!("nats: {{ url: \"{}\", stream: JOBS, consumer: workers }}", nats.url());
    let push = || nats.publish("JOBS.new", (0..BURST).map(|number| format!("m{number}")));
    burst_with_deaths(&redis, &jobs, BURST, push);
}

#[test]
fn a_queue_of_rabbitmq_loses_nothing_with_the_instances_that_die() {
    let (Some(redis), Some(rabbitmq)) = (Redis::start(), Rabbitmq::start()) else { return };
    rabbitmq.queue("jobs");
    let jobs = format!("rabbitmq: {{ url: \"{}\", queue: jobs }}", rabbitmq.url());
    let bodies = format!("[<<\"m\", (integer_to_binary(N))/binary>> || N <- lists:seq(1, {BURST})]");
    burst_with_deaths(&redis, &jobs, BURST, || rabbitmq.publish("jobs", &bodies));
}
