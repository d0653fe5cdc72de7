//! `sources`, and the fleets that work on them.

use std::time::Duration;

use tidegate_core::{
    FleetId, SourceId,
    policy::{Backlog, Fallback, Pressure, Signal, Trigger},
    snapshot::{Identity, Login, Redis, RedisKey, Run, Secret, Server, Source, System, Tls, WorkerSettings},
};

use crate::{LISTENERS, messages, valid};

const ALL: &str = "
sources:
  list: { redis: { url: redis://app@h/2, list: jobs, password: '${env:PW}' }, interval: 5s, timeout: 1s, trustedCertificate: ca.pem, clientCertificate: own.pem, clientKey: own.key }
  stream: { redis: { url: rediss://h:7000, stream: jobs, group: g } }
  nats: { nats: { url: tls://h, stream: JOBS, consumer: workers, token: '${file:/run/token}' } }
  rabbit: { rabbitmq: { url: amqps://h, queue: jobs } }
  sql: { postgresql: { url: 'postgresql://h/shop?sslmode=verify-full', query: select 1 } }
  prom: { prometheus: { url: http://h:9090/prom/, query: sum(x) } }
  json: { http: { url: 'https://h/stats?all=1', pointer: /queue/depth } }
  kafka: { kafka: { servers: [a:9092, b:9092], topic: t, group: g, tls: true } }
fleets:
  worker:
    run: { lua: worker.lua, consume: list }
    worker: { concurrency: 4, attempts: 3, backOff: 200ms, backOffMax: 2s, timeout: 5s, deadLetter: graveyard }
    scale: { min: 0 }
  looks:
    run: { lua: app.lua }
    scale: { triggers: [{ backlog: { source: kafka, perInstance: 100, fallback: 4 } }, { formula: { expression: source_json / 10 } }] }
";

fn id(name: &str) -> SourceId {
    SourceId::new(name).unwrap()
}

#[test]
fn every_system_is_understood_and_nothing_is_said_about_fleets_without_an_upstream() {
    let text = format!("{LISTENERS}{ALL}");
    assert!(messages(&text).is_empty(), "{:?}", messages(&text));
    let snapshot = valid(&text);
    let list = Source {
        name: id("list"),
        system: System::Redis(Redis {
            server: Server { tls: false, host: "h".into(), port: 6379 },
            database: 2,
            login: Login { user: Some("app".into()), password: Some(Secret::Env("PW".into())) },
            key: RedisKey::List("jobs".into()),
        }),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        tls: Tls {
            trusted: Some("conf/ca.pem".into()),
            identity: Some(Identity { certificate: "conf/own.pem".into(), key: "conf/own.key".into() }),
        },
    };
    assert_eq!(snapshot.sources[&id("list")], list);
    let servers = snapshot.sources.iter().map(|(name, source)| {
        let server = match &source.system {
            System::Redis(redis) => &redis.server,
            System::Nats(nats) => &nats.server,
            System::Rabbitmq(rabbitmq) => &rabbitmq.server,
            System::Postgresql(postgresql) => &postgresql.server,
            System::Prometheus(prometheus) => &prometheus.server,
            System::Http(http) => &http.server,
            System::Kafka(kafka) => &kafka.servers[1],
        };
        (name.as_str(), server.tls, server.port)
    });
    assert_eq!(
        servers.collect::<Vec<_>>(),
        [
            ("json", true, 443),
            ("kafka", true, 9092),
            ("list", false, 6379),
            ("nats", true, 4222),
            ("prom", false, 9090),
            ("rabbit", true, 5671),
            ("sql", true, 5432),
            ("stream", true, 7000),
        ]
    );
}

#[test]
fn a_fleet_of_workers_scales_by_what_it_works_on() {
    let snapshot = valid(&format!("{LISTENERS}{ALL}"));
    let worker = &snapshot.fleets[&FleetId::new("worker").unwrap()];
    let Run::Worker(run) = &worker.run else { panic!("{:?}", worker.run) };
    assert_eq!(run.source, id("list"));
    assert_eq!(
        run.settings,
        WorkerSettings {
            concurrency: 4,
            attempts: 3,
            back_off: Duration::from_millis(200),
            back_off_max: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            dead_letter: Some("graveyard".into()),
        }
    );
    assert_eq!(
        worker.policy.triggers,
        [Trigger::Backlog(Backlog {
            signal: Signal::Source(id("list")),
            pressure: Pressure::Drain { within: Duration::from_mins(1), rate: None },
            activation: 0.0,
            fallback: Fallback::Hold,
        })]
    );
    let looks = &snapshot.fleets[&FleetId::new("looks").unwrap()];
    assert_eq!(
        looks.policy.triggers.iter().flat_map(Trigger::sources).collect::<Vec<_>>(),
        [&id("kafka"), &id("json")]
    );
}
