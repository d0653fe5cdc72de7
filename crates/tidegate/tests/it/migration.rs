//! The example of a gateway that moved here from OpenResty does what its `nginx.conf` says.

use std::{fs, path::Path, process::Command};

use tidegate_testkit::{Answer, Setup, Tidegate, Upstream, eventually, http, servers::Redis};

use crate::{PATIENCE, TIDEGATE, examples::examples};

const SECRET: &str = "swordfish";

/// The example, with addresses of this test.
fn config(first: &Upstream, second: &Upstream) -> String {
    let text = fs::read_to_string(examples().join("openresty.yaml")).unwrap();
    text.replace("127.0.0.1:8000", "{listen}")
        .replace("127.0.0.1:9000", "{admin}")
        .replace("127.0.0.1:9101", &first.addr().to_string())
        .replace("127.0.0.1:9102", &second.addr().to_string())
}

/// Its Lua files, whose ports are those of this test too.
fn with_scripts(mut setup: Setup, first: &Upstream, second: &Upstream) -> Setup {
    for folder in ["openresty", "openresty/lib"] {
        for entry in fs::read_dir(examples().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "lua") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text
                    .replace("9101", &first.addr().port().to_string())
                    .replace("9102", &second.addr().port().to_string());
                setup = setup.file(&format!("{folder}/{}", name(&path)), &text);
            }
        }
    }
    setup
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

fn token(consumer: &str) -> String {
    let script = examples().join("openresty/sign.lua");
    let output =
        Command::new(TIDEGATE).arg("lua").arg(script).arg(consumer).env("JWT_SECRET", SECRET).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("Bearer {}", String::from_utf8_lossy(&output.stdout).trim())
}

fn backend(name: &'static str) -> Upstream {
    Upstream::start(move |request| match request.target.as_str() {
        "/orders/broken" => Answer::status(502, &[], "a page of somebody else"),
        _ => Answer::ok(format!("{name} for {}", request.header("X-Consumer").unwrap_or("nobody"))),
    })
}

#[test]
fn the_gateway_that_moved_here_does_what_it_did() {
    let Some(mut redis) = Redis::start() else { return };
    let (first, second) = (backend("first"), backend("second"));
    let collector = Upstream::start(|_| Answer::ok("thanks"));
    let setup = Tidegate::setup(TIDEGATE)
        .env("JWT_SECRET", SECRET)
        .env("REDIS_PORT", &redis.port().to_string())
        .env("REDIS_PASSWORD", Redis::PASSWORD)
        .env("COLLECTOR_PORT", &collector.addr().port().to_string());
    let tidegate = with_scripts(setup, &first, &second).start(&config(&first, &second));
    let ask = |path: &str, token: &str| {
        http::request(tidegate.addr(), "GET", path, &[("Authorization", token)], b"")
    };

    let refused = ask("/orders/7", "Bearer a.b.c");
    assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Bearer")));
    let (ada, grace) = (token("ada"), token("grace"));
    let answers: Vec<_> = (0..8).map(|_| ask("/orders/7", &ada).text().to_owned()).collect();
    let of = |name: &str| answers.iter().filter(|text| *text == &format!("{name} for ada")).count();
    assert_eq!(of("first") + of("second"), 8, "{answers:?}");
    assert!(of("first") > of("second") && of("second") > 0, "three to one: {answers:?}");
    let forwarded = first.requests();
    assert!(forwarded.iter().all(|request| request.header("Authorization").is_none()), "{forwarded:?}");

    assert_eq!(ask("/tenants/b/x", &grace).text(), "second for grace");
    assert_eq!(ask("/tenants/nobody/x", &grace).status, 503);
    assert_eq!(ask("/old/7?a=b", "").header("Location"), Some("/orders/7"));
    let raw = http::send_raw(tidegate.addr(), b"GET /old/7 HTTP/1.0\r\n\r\n");
    assert!(String::from_utf8_lossy(&raw).contains("\r\nLocation: "), "as it is written in the file");
    assert_eq!(ask("/health", "").text(), "fine\n");

    let sorry = ask("/orders/broken", &ada);
    assert_eq!((sorry.status, sorry.header("Content-Type")), (503, Some("application/json")));
    assert_eq!(sorry.text(), "{\"error\":\"we are sorry, try again in a minute\"}\n");
    // Ten in a minute, of which that was the ninth.
    assert_eq!(ask("/orders/7", &ada).status, 200);
    let limited = ask("/orders/7", &ada);
    assert_eq!(limited.status, 429, "{limited:?}");
    let wait: u64 = limited.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{limited:?}");
    assert_eq!(redis.number(&["GET", "calls:grace"]), 2);

    // Nothing of this depends on Redis but the limit.
    redis.stop();
    assert_eq!(ask("/orders/7", &ada).status, 200);

    let collected = || {
        let bodies: Vec<_> = collector.requests().into_iter().map(|request| request.body).collect();
        String::from_utf8(bodies.concat()).unwrap()
    };
    eventually(PATIENCE, "all are collected", || collected().lines().count() == 15);
    let lines: Vec<serde_json::Value> =
        collected().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |status: u64| lines.iter().filter(|line| line["status"] == status).count();
    assert_eq!((count(200), count(401), count(429), count(503)), (11, 1, 1, 2), "{lines:#?}");
    assert!(lines.iter().any(|line| line["consumer"] == "ada" && line["upstream"].is_string()), "{lines:#?}");
}
