//! Each system with TLS: servers that are signed by an authority of the test, and want clients that are.

use std::fs;

use tidegate_core::snapshot::{
    Http, Identity, Login, Nats, Postgresql, Prometheus, Rabbitmq, Redis, RedisKey, Secret, System, Tls,
};
use tidegate_testkit::servers::{self, Authority};

use crate::{Asked, server};

/// Who trusts the authority and is known to it.
fn known(authority: &Authority) -> Tls {
    let (certificate, key) = authority.client();
    Tls { trusted: Some(authority.certificate()), identity: Some(Identity { certificate, key }) }
}

/// What is asked sees `wanted`; who trusts others does not trust the server, and who shows nothing is not let in.
pub(crate) fn check(authority: &Authority, wanted: f64, system: &System) {
    Asked::over(system.clone(), known(authority)).sees(wanted);
    let others = Authority::new().unwrap();
    let distrusting = Tls { trusted: Some(others.certificate()), ..known(authority) };
    let told = Asked::over(system.clone(), distrusting).fails();
    assert!(told.contains("invalid peer certificate"), "{told}");
    // Which alarm it is, or whether the server just closes, differs.
    Asked::over(system.clone(), Tls { identity: None, ..known(authority) }).fails();
}

#[test]
fn redis_speaks_tls() {
    let Some(authority) = Authority::new() else { return };
    let Some(own) = servers::Redis::start_secure(&authority) else { return };
    own.cli(&["LPUSH", "jobs", "a", "b"]);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, servers::Redis::PASSWORD).unwrap();
    let system = System::Redis(Redis {
        server: server(&own.secure_url()),
        database: 0,
        login: Login { user: None, password: Some(Secret::File(password)) },
        key: RedisKey::List("jobs".into()),
    });
    check(&authority, 2.0, &system);
}

#[test]
fn nats_speaks_tls() {
    let Some(authority) = Authority::new() else { return };
    let Some(mut own) = servers::Nats::start() else { return };
    own.stream("JOBS");
    own.publish("JOBS.new", (0..5).map(|number| number.to_string()));
    let system = |url: String| {
        System::Nats(Nats {
            server: server(&url),
            login: Login::default(),
            token: None,
            stream: "JOBS".into(),
            consumer: "workers".into(),
        })
    };
    let (plain, secure) =
        (system(own.url()), system(own.url().replace("nats://127.0.0.1", "tls://localhost")));
    let told = Asked::over(secure.clone(), known(&authority)).fails();
    assert!(told.contains("does not speak TLS"), "{told}");
    own.secure(&authority);
    check(&authority, 5.0, &secure);
    let told = Asked::over(plain, Tls::default()).fails();
    assert!(told.contains("write `tls://`"), "{told}");
}

#[test]
fn rabbitmq_speaks_tls() {
    let Some(authority) = Authority::new() else { return };
    let Some(own) = servers::Rabbitmq::start_secure(&authority) else { return };
    own.queue("jobs");
    own.publish("jobs", "[<<\"a\">>, <<\"b\">>]");
    let system = System::Rabbitmq(Rabbitmq {
        server: server(&own.secure_url()),
        login: Login::default(),
        virtual_host: "/".into(),
        queue: "jobs".into(),
    });
    check(&authority, 2.0, &system);
}

#[test]
fn postgresql_speaks_tls() {
    let Some(authority) = Authority::new() else { return };
    let Some(own) = servers::Postgresql::start_secure(&authority) else { return };
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, servers::Postgresql::PASSWORD).unwrap();
    let mut place = server(&own.url());
    (place.tls, place.host) = (true, "localhost".into());
    let system = System::Postgresql(Postgresql {
        server: place,
        login: Login { user: Some("postgres".into()), password: Some(Secret::File(password)) },
        database: "postgres".into(),
        query: "select 40 + count(*) from pg_stat_ssl where ssl and pid = pg_backend_pid()".into(),
    });
    check(&authority, 41.0, &system);
}

#[test]
fn prometheus_and_http_speak_tls() {
    let Some(authority) = Authority::new() else { return };
    let Some(own) = servers::Prometheus::start_secure(&authority) else { return };
    let system = System::Prometheus(Prometheus {
        server: server(&own.secure_url()),
        path: String::new(),
        login: Login::default(),
        token: None,
        query: "6 * 7".into(),
    });
    check(&authority, 42.0, &system);
    let system = System::Http(Http {
        server: server(&own.secure_url()),
        target: "/api/v1/query?query=7".into(),
        login: Login::default(),
        token: None,
        pointer: "/data/result/1".into(),
    });
    check(&authority, 7.0, &system);
}
