//! Each system with something in it, nothing in it, and something wrong.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tidegate_core::snapshot::{
    Http, Login, Nats, Postgresql, Prometheus, Rabbitmq, Redis, RedisKey, Secret, System,
};
use tidegate_testkit::{Answer, Upstream, servers};

use crate::{Asked, server};

/// A secret in a file.
fn login(folder: &Path, user: Option<&str>, password: &str) -> Login {
    let file = folder.join("password");
    fs::write(&file, format!("{password}\n")).unwrap();
    Login { user: user.map(str::to_owned), password: Some(Secret::File(file)) }
}

fn redis(server_of: &servers::Redis, folder: &Path, key: RedisKey) -> Asked {
    Asked::new(System::Redis(Redis {
        server: server(&server_of.url()),
        database: 1,
        login: login(folder, None, servers::Redis::PASSWORD),
        key,
    }))
}

#[test]
fn redis_counts_a_list_and_what_a_group_has_not_acknowledged() {
    let Some(own) = servers::Redis::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = redis(&own, folder.path(), RedisKey::List("jobs".into()));
    let key = RedisKey::Stream { key: "events".into(), group: "workers".into() };
    let stream = redis(&own, folder.path(), key);
    list.sees(0.0);
    stream.sees(0.0);
    let cli = |words: &[&str]| own.cli(&[&["-n", "1"], words].concat());
    cli(&["LPUSH", "jobs", "a", "b", "c"]);
    list.sees(3.0);
    for _ in 0..4 {
        cli(&["XADD", "events", "*", "body", "x"]);
    }
    stream.sees(4.0);
    cli(&["XGROUP", "CREATE", "events", "workers", "0"]);
    let read = ["XREADGROUP", "GROUP", "workers", "one", "COUNT", "3", "STREAMS", "events", ">"];
    cli(&read);
    stream.sees(4.0);
    cli(&["XGROUP", "SETID", "events", "workers", "$"]);
    stream.sees(3.0);
    cli(&["SET", "jobs", "no list"]);
    assert!(list.fails().contains("WRONGTYPE"), "{}", list.fails());
}

#[test]
fn nats_counts_what_a_consumer_has_not_acknowledged() {
    let Some(own) = servers::Nats::start() else { return };
    own.stream("JOBS");
    let asked = |stream: &str| {
        Asked::new(System::Nats(Nats {
            server: server(&own.url()),
            login: Login::default(),
            token: None,
            stream: stream.into(),
            consumer: "workers".into(),
        }))
    };
    let jobs = asked("JOBS");
    jobs.sees(0.0);
    own.publish("JOBS.new", (0..5).map(|number| number.to_string()));
    jobs.sees(5.0);
    let config = json!({ "durable_name": "workers", "ack_policy": "explicit" });
    let request = json!({ "stream_name": "JOBS", "config": config });
    own.ask("CONSUMER.DURABLE.CREATE.JOBS.workers", &request);
    jobs.sees(5.0);
    assert!(asked("NONE").fails().contains("stream not found"), "{}", asked("NONE").fails());
}

#[test]
fn rabbitmq_counts_what_is_ready() {
    let Some(own) = servers::Rabbitmq::start() else { return };
    let asked = |queue: &str, login: Login| {
        Asked::new(System::Rabbitmq(Rabbitmq {
            server: server(&own.url()),
            login,
            virtual_host: "/".into(),
            queue: queue.into(),
        }))
    };
    own.queue("jobs");
    let jobs = asked("jobs", Login::default());
    jobs.sees(0.0);
    own.publish("jobs", "[<<\"a\">>, <<\"b\">>]");
    jobs.sees(2.0);
    let none = asked("none", Login::default()).fails();
    assert!(none.contains("no queue 'none'"), "{none}");
    let folder = tempfile::tempdir().unwrap();
    let refused = asked("jobs", login(folder.path(), Some("guest"), "wr0ng")).fails();
    assert!(!refused.contains("wr0ng"), "{refused}");
}

#[test]
fn postgresql_runs_a_query_that_only_reads() {
    let Some(own) = servers::Postgresql::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let login = login(folder.path(), Some("postgres"), servers::Postgresql::PASSWORD);
    let asked = |query: &str| {
        Asked::new(System::Postgresql(Postgresql {
            server: server(&own.url()),
            login: login.clone(),
            database: "postgres".into(),
            query: query.into(),
        }))
    };
    own.query("create table jobs (done bool); insert into jobs values (false), (false), (true)");
    let jobs = asked("select count(*) from jobs where not done");
    jobs.sees(2.0);
    own.query("update jobs set done = true");
    jobs.sees(0.0);
    asked("select null").sees(0.0);
    asked("select 1 where false").sees(0.0);
    for (query, why) in [
        ("delete from jobs", "read-only transaction"),
        ("select 'many'", "not a number"),
        ("select pg_sleep(60)", ""),
        ("select 1 from nothing", "does not exist"),
    ] {
        let told = asked(query).fails();
        assert!(told.contains(why), "{query}: {told}");
    }
}

#[test]
fn prometheus_evaluates_an_expression() {
    let Some(own) = servers::Prometheus::start() else { return };
    let asked = |query: &str| {
        Asked::new(System::Prometheus(Prometheus {
            server: server(&own.url()),
            path: String::new(),
            login: Login::default(),
            token: None,
            query: query.into(),
        }))
    };
    asked("6 * 7").sees(42.0);
    asked("sum(vector(3) + 4)").sees(7.0);
    asked("queue_depth{name=\"none\"}").sees(0.0);
    let told = asked("sum(").fails();
    assert!(told.contains("parse error"), "{told}");
}

#[test]
fn http_reads_a_number_out_of_json_and_shows_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "t0ken").unwrap();
    let upstream = Upstream::start(|request| {
        if request.header("authorization") != Some("Bearer t0ken") {
            return Answer::status(401, &[], "");
        }
        let body: Value = json!({ "queue": { "depth": 12, "age": "3.5" } });
        Answer::ok(body.to_string())
    });
    let asked = |pointer: &str| {
        Asked::new(System::Http(Http {
            server: server(&format!("http://{}", upstream.addr())),
            target: "/stats?x=1".into(),
            login: Login::default(),
            token: Some(Secret::File(token.clone())),
            pointer: pointer.into(),
        }))
    };
    asked("/queue/depth").sees(12.0);
    asked("/queue/age").sees(3.5);
    assert!(asked("/queue").fails().contains("is not a number"));
    assert!(asked("/none").fails().contains("there is nothing at \"/none\""));
    fs::write(&token, "0ld").unwrap();
    let refused = asked("/queue/depth").fails();
    assert!(refused.contains("401") && !refused.contains("0ld"), "{refused}");
}
