//! Answers are as the API describes them.

use std::fs;

use serde_json::Value;

use crate::world::World;

/// Asserts that `value` fits `schema`, and has nothing that the schema does not know.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(document, document.pointer(&reference[1..]).unwrap(), value, place);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let schema = any.iter().find(|one| (one["type"] == "null") == value.is_null()).unwrap();
        return check(document, schema, value, place);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = |one: &Value| one == kind || (one == "number" && kind == "integer");
    let fits = schema["type"].as_array().map_or(allowed(&schema["type"]), |all| all.iter().any(allowed));
    assert!(fits, "{place}: {value} is no {}", schema["type"]);
    if let (Some(values), Some(all)) = (value.as_array(), schema.get("items")) {
        for value in values {
            check(document, all, value, &format!("{place}[]"));
        }
    }
    let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    for (key, value) in object {
        let schema = properties.get(key).unwrap_or_else(|| panic!("{place}.{key} is not described"));
        check(document, schema, value, &format!("{place}.{key}"));
    }
    for key in schema["required"].as_array().unwrap() {
        assert!(object.contains_key(key.as_str().unwrap()), "{place}.{key} is missing");
    }
}

/// Asks for `path`, and checks the answer against what is described for it.
fn ask(world: &World, document: &Value, path: &str, described: &str) {
    let answer = world.get(path);
    let responses = &document["paths"][described]["get"]["responses"];
    let response = &responses[answer.status.to_string()];
    let schema = &response["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{path} answered {}, which is not described", answer.status);
    check(document, schema, &answer.json(), path);
}

fn ask_everything(world: &World) {
    let document = world.get("/api/v1/openapi.json").json();
    for (path, described) in [
        ("/readyz", "/readyz"),
        ("/api/v1/fleets", "/api/v1/fleets"),
        ("/api/v1/fleets/web", "/api/v1/fleets/{name}"),
        ("/api/v1/fleets/other", "/api/v1/fleets/{name}"),
        ("/api/v1/fleets/web/decisions", "/api/v1/fleets/{name}/decisions"),
        ("/api/v1/fleets/web/decisions?limit=0", "/api/v1/fleets/{name}/decisions"),
        ("/api/v1/fleets/web/demand", "/api/v1/fleets/{name}/demand"),
        ("/api/v1/fleets/web/demand?seconds=1", "/api/v1/fleets/{name}/demand"),
        ("/api/v1/cost", "/api/v1/cost"),
        ("/api/v1/sources", "/api/v1/sources"),
        ("/api/v1/chaos", "/api/v1/chaos"),
        ("/api/v1/flame?seconds=0", "/api/v1/flame"),
        ("/api/v1/flame?fleet=other", "/api/v1/flame"),
        ("/api/v1/flame?route=all&fleet=web", "/api/v1/flame"),
        ("/api/v1/config", "/api/v1/config"),
        ("/api/v1/openapi.json", "/api/v1/openapi.json"),
    ] {
        ask(world, &document, path, described);
    }
}

#[test]
fn answers_fit_their_description_in_good_days() {
    ask_everything(&World::new());
    ask_everything(&World::new().serving());
}

#[test]
fn answers_fit_their_description_in_bad_days() {
    let world = World::broken();
    fs::write(world.config(), "listeners: 7\n").unwrap();
    world.handle.reload();
    world.until("a failure and a refusal", |world| {
        let view = world.handle.view();
        let decided = view.fleets[0].last_step.is_some() && view.fleets[0].last_failure.is_some();
        (decided && view.config.last_reload.is_some()).then_some(())
    });
    ask_everything(&world);
}
