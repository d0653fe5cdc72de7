//! What each path answers.

use std::{fs, sync::atomic::Ordering::Relaxed};

use crate::world::{Answer, World};

#[test]
fn it_lives_from_the_start_and_is_ready_when_workers_and_fleets_are() {
    let world = World::new();
    assert_eq!(world.get("/healthz").status, 200);
    let answer = world.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reasons"][0], "worker 0 does not serve yet");
    let world = world.serving();
    let answer = world.get("/readyz");
    assert_eq!(
        (answer.status, answer.json()),
        (200, serde_json::json!({ "ready": true, "pid": std::process::id() }))
    );
    world.server.begin_drain();
    let answer = world.get("/readyz");
    assert_eq!((answer.status, answer.json()["reasons"][0].as_str()), (503, Some("draining")));
    assert_eq!(world.get("/healthz").status, 200);
}

#[test]
fn a_fleet_that_does_not_start_is_named_with_its_reason() {
    let world = World::broken();
    for worker in world.telemetry.workers() {
        worker.generation.store(1, Relaxed);
    }
    let expected = "fleet web has no ready instance: app.lua:1: out of luck";
    world.until("the reason", |world| {
        let answer = world.get("/readyz");
        (answer.status == 503 && answer.json()["reasons"][0] == expected).then_some(())
    });
}

#[test]
fn fleets_are_listed_with_instances_and_the_last_decision() {
    let world = World::new().serving();
    let list = world.get("/api/v1/fleets").json();
    let fleet = &list["items"][0];
    assert_eq!((&fleet["name"], &fleet["desired"]), (&"web".into(), &2.into()));
    assert_eq!(fleet["instances"].as_array().unwrap().len(), 2);
    let instance = &fleet["instances"][0];
    assert_eq!((instance["id"].as_str(), instance["state"].as_str()), (Some("web-1"), Some("ready")));
    assert!(instance["startedAt"].as_str().unwrap().ends_with('Z'));
    assert!(instance["endpoint"].as_str().unwrap().starts_with("127.0.0.1:"));
    let decision = &fleet["lastDecision"];
    assert_eq!(decision["desired"], 2);
    assert!(decision["at"].is_string() && decision["reasons"].is_array());
    let one = world.get("/api/v1/fleets/web").json();
    assert_eq!(one["name"], "web");
}

#[test]
fn decisions_are_told_until_a_time_and_up_to_a_number() {
    let world = World::new().serving();
    let ask = |query: &str| world.get(&format!("/api/v1/fleets/web/decisions{query}"));
    let items = |query: &str| ask(query).json()["items"].as_array().unwrap().clone();
    let decision = items("").remove(0);
    assert_eq!((&decision["desired"], &decision["previous"]), (&2.into(), &2.into()));
    assert!(decision["observed"]["instances"]["ready"].is_u64());
    assert_eq!((&decision["mode"], &decision["candidate"]), (&"act".into(), &serde_json::Value::Null));
    assert!(decision["cost"]["instanceHours"].is_number());
    let known = ask("?limit=1").json()["known"].clone();
    assert!(known["from"].is_string() && known["to"].is_string(), "{known}");
    assert_eq!(items("?limit=1").len(), 1);
    assert!(items("?at=2001-01-01T00:00:00Z").is_empty());
    for query in ["?limit=0", "?limit=1001", "?limit=x", "?at=yesterday", "?when=now"] {
        let answer = ask(query);
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["error"]["help"].is_string(), "{query}");
    }
}

#[test]
fn the_state_of_the_configuration_shows_what_was_refused() {
    let world = World::new();
    let config = world.get("/api/v1/config").json();
    assert_eq!((&config["generation"], &config["lastReload"]), (&1.into(), &serde_json::Value::Null));
    fs::write(world.config(), "listeners: 7\n").unwrap();
    world.handle.reload();
    let config = world.until("refusal", |world| {
        let config = world.get("/api/v1/config").json();
        config["lastReload"].is_object().then_some(config)
    });
    assert_eq!((&config["generation"], &config["reloads"]["failed"]), (&1.into(), &1.into()));
    assert_eq!(config["lastReload"]["diagnostics"][0]["line"], 1);
}

#[test]
fn what_is_not_there_or_not_possible_is_explained() {
    let world = World::new();
    let check = |method: &str, path: &str, status: u16, message: &str| {
        let Answer { status: found, .. } = world.ask(method, path);
        assert_eq!(found, status, "{method} {path}");
        let error = world.ask(method, path).json()["error"].clone();
        assert_eq!(error["message"], message, "{method} {path}");
        assert!(!error["help"].as_str().unwrap().is_empty());
    };
    check("GET", "/", 404, "there is nothing at /");
    check("GET", "/api/v1/fleets/", 404, "there is nothing at /api/v1/fleets/");
    check("GET", "/api/v1/fleets/nope", 404, "there is no fleet \"nope\"");
    check("GET", "/api/v1/fleets/%00%22/decisions", 404, "there is no fleet \"\\0\\\"\"");
    check("GET", "/api/v1/fleets/nope/demand", 404, "there is no fleet \"nope\"");
    check("GET", "/api/v1/fleets/web/demand?seconds=7", 400, "seconds is 7");
    check("POST", "/api/v1/config", 405, "POST is not possible for /api/v1/config");
    assert!(world.ask("DELETE", "/metrics").head.contains("allow: get, head"));
}
