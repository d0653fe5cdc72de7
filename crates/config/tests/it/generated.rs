//! What is made from the types: JSON Schema and reference page.

use serde_json::{Value, json};
use tidegate_config::{reference, schema};

use crate::{EXAMPLE, golden, parse, valid, validator};

fn schema_errors(value: &Value) -> Vec<String> {
    let schema = schema();
    validator::check(&schema, &schema, value, "")
}

/// A valid file as JSON, changed at one place.
fn with(pointer: &str, value: Value) -> Value {
    let mut file = json!({
        "listeners": [{ "address": "0.0.0.0:8000" }],
        "admin": { "address": "127.0.0.1:9000" },
        "workers": "auto",
        "accessLog": { "sample": "100%" },
        "timeouts": { "header": "10s" },
        "limits": { "headerCount": 100, "bodyBytes": "64MiB" },
        "lua": { "sharedDicts": { "d": "1MiB" } },
        "trustedProxies": ["10.0.0.0/8"],
        "fleets": { "f": {
            "run": { "lua": "a.lua" },
            "driver": "process",
            "ready": { "path": "/healthz" },
            "scale": {
                "min": 1,
                "max": 4,
                "triggers": [
                    { "target": { "metric": "concurrency", "value": 40 } },
                    { "threshold": { "metric": "memory", "above": "1GiB", "stepOut": "50%", "stepIn": 1 } },
                ],
                "behavior": { "scaleOut": { "limits": [{ "share": "100%", "period": "15s" }] } },
            },
        } },
        "upstreams": {
            "f": { "fleet": "f" },
            "e": { "endpoints": ["h:80", { "address": "i:80", "weight": 3 }], "balance": "roundRobin" },
        },
        "routes": [
            { "name": "f", "match": { "path": "/f/*", "methods": ["GET"], "headers": { "X-A": "1" } }, "upstream": "f" },
            { "match": { "host": "*.a.com" }, "upstream": "e", "lua": { "access": "ngx.exit(403)" } },
        ],
    });
    if let Some((parent, key)) = pointer.rsplit_once('/') {
        match file.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
    }
    file
}

#[test]
fn the_schema_is_as_it_was_reviewed() {
    golden::check("tests/it/schema.json", &(serde_json::to_string_pretty(&schema()).unwrap() + "\n"));
}

#[test]
fn the_reference_page_is_up_to_date() {
    golden::check("../../docs/configuration.md", &reference());
}

#[test]
fn the_schema_names_its_draft_and_describes_every_key() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let definitions = schema["$defs"].as_object().unwrap().values();
    for record in definitions.chain([&schema]) {
        for (key, property) in record["properties"].as_object().unwrap() {
            assert!(
                property["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{key}: {property}"
            );
        }
    }
}

#[test]
fn schema_and_parser_accept_the_same_file() {
    let file = with("", Value::Null);
    assert_eq!(schema_errors(&file), [""; 0]);
    valid(&file.to_string());
}

#[test]
fn what_the_schema_refuses_the_parser_refuses() {
    for (pointer, value) in [
        ("/listeners", json!("0.0.0.0:80")),
        ("/listeners", Value::Null),
        ("/listeners/0", json!({})),
        ("/listeners/0/address", json!("here")),
        ("/workers", json!("all")),
        ("/workers", json!(0)),
        ("/accessLog", json!(true)),
        ("/accessLog/sample", json!(1)),
        ("/timeouts/header", json!(10)),
        ("/timeouts/header", json!("10")),
        ("/timeouts/haeder", json!("10s")),
        ("/limits/headerCount", json!(1025)),
        ("/limits/headerCount", json!("100")),
        ("/limits/bodyBytes", json!("64MB")),
        ("/lua/sharedDicts/a b", json!("1MiB")),
        ("/trustedProxies/0", json!("all")),
        ("/fleets/f/run", json!({})),
        ("/fleets/f/run/command", json!(["x"])),
        ("/fleets/f/driver", json!("threads")),
        ("/fleets/f/ready/path", json!("healthz")),
        ("/fleets/f/scale/min", json!(-1)),
        ("/fleets/f/scale/slo", json!({ "overload": "0.001" })),
        ("/fleets/f/scale/triggers/0/target/metric", json!("queued")),
        ("/fleets/f/scale/triggers/0/target/value", json!("many")),
        ("/fleets/f/scale/triggers/0/forecast", json!({ "horizon": 5 })),
        ("/fleets/f/scale/triggers/1/threshold/stepOut", json!(0)),
        ("/fleets/f/scale/behavior/scaleOut/limits/0/period", json!("0.5")),
        ("/upstreams/e/endpoints/0", json!("h")),
        ("/upstreams/e/endpoints/1/weight", json!(0)),
        ("/upstreams/e/balance", json!("random")),
        ("/upstreams/e/health", json!({})),
        ("/routes/0/match/path", json!("f")),
        ("/routes/0/match/methods", json!(["get"])),
        ("/routes/0/match/headers", json!({ "X A": "1" })),
        ("/routes/1/match/host", json!("a:80")),
        ("/routes/1/lua/access", json!("")),
        ("/routes/1/lua/rewrite", json!({ "source": "x" })),
    ] {
        let file = with(pointer, value);
        assert!(!schema_errors(&file).is_empty(), "the schema accepts {pointer}");
        assert!(parse(&file.to_string()).0.is_none(), "the parser accepts {pointer}");
    }
}

#[test]
fn what_the_parser_accepts_the_schema_accepts() {
    for (pointer, value) in [
        ("/workers", json!(4)),
        ("/accessLog", json!(false)),
        ("/accessLog/sample", json!("0.5%")),
        ("/timeouts/header", json!("1m30s")),
        ("/timeouts/header", json!("1.5s")),
        ("/timeouts/queue", json!("0s")),
        ("/trustedProxies/0", json!("fd00::1")),
        ("/fleets/f/run", json!({ "command": ["server", "--port", 80] })),
        ("/fleets/f/scale/triggers", json!([])),
        ("/fleets/f/scale/triggers/0/target", json!({ "metric": "arrivalRate", "value": "100/1s" })),
        ("/fleets/f/scale/triggers/1/threshold", json!({ "metric": "cpu", "above": 1.5, "below": 0.5 })),
        ("/fleets/f/scale", json!({ "price": 0.1, "budget": { "monthly": 500, "whenSpent": "min" } })),
        ("/lua/budget", json!({ "cpu": "50ms", "memory": "64MiB" })),
        ("/upstreams/e/endpoints/0", json!("[::1]:80")),
        ("/routes/0/match/path", json!("~ ^/f")),
        ("/routes/0/match/path", json!("/f")),
        ("/routes/0/match/headers", json!(["X-A"])),
        ("/routes/0/match/headers", json!({ "X-A": 1 })),
        ("/routes/1/match/host", json!("[::1]")),
        ("/routes/1/match/host", json!("A.com")),
    ] {
        let file = with(pointer, value);
        valid(&file.to_string());
        assert_eq!(schema_errors(&file), [""; 0], "{pointer}");
    }
}

/// The page promises the defaults that the schema has; a file that spells them out changes nothing.
#[test]
fn documented_defaults_are_the_ones_in_force() {
    let schema = schema();
    let defaults = |definition: &str| {
        let properties = schema["$defs"][definition]["properties"].as_object().unwrap().iter();
        Value::Object(properties.map(|(key, property)| (key.clone(), property["default"].clone())).collect())
    };
    let listeners = json!([{ "address": "0.0.0.0:8000" }]);
    let bare = valid(&json!({ "listeners": listeners }).to_string());
    let spelt =
        json!({ "listeners": listeners, "timeouts": defaults("timeouts"), "limits": defaults("limits") });
    let spelt = valid(&spelt.to_string());
    assert_eq!((spelt.timeouts, spelt.limits), (bare.timeouts, bare.limits));
    let page = reference();
    let mut rows = 0;
    for name in ["timeouts", "limits", "retry", "scale", "fleet"] {
        for (key, property) in schema["$defs"][name]["properties"].as_object().unwrap() {
            let Some(default) =
                property.get("default").filter(|default| !default.is_object() && !default.is_array())
            else {
                continue;
            };
            let default = default.to_string().replace('"', "");
            let row = page.lines().find(|line| {
                line.starts_with(&format!("| `{key}` |")) && line.contains(&format!("| `{default}` |"))
            });
            assert!(row.is_some(), "{key}: {default}");
            rows += 1;
        }
    }
    assert!(rows > 20, "{rows}");
}

#[test]
fn the_page_shows_a_file_that_works() {
    assert!(reference().contains(EXAMPLE));
    assert!(parse(EXAMPLE).0.is_some());
}
