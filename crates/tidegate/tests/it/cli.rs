//! Commands that need no gateway.

use std::process::{Command, Output};

use serde_json::Value;

use crate::TIDEGATE;

fn run(arguments: &[&str]) -> Output {
    Command::new(TIDEGATE).args(arguments).output().unwrap()
}

const MISTAKES: &str = "listeners:
  - adress: 127.0.0.1:8000
workers: many
accessLog: { sample: 100 }
timeouts: { header: 10 }
limits: { uriBytes: lots }
trustedProxies: [10.0.0.0/99]
fleets:
  app:
    run: { lua: missing.lua }
    scale: { min: 5, max: 2 }
upstreams:
  app: { fleet: ap }
routes:
  - name: a
    match: { path: \"~ (\" }
    upstream: app
  - name: a
    match: { path: /a }
";

#[test]
fn ten_mistakes_are_ten_diagnostics_with_places_and_help() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.yaml");
    std::fs::write(&file, MISTAKES).unwrap();
    let output = run(&["check", file.to_str().unwrap(), "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let diagnostics = report["diagnostics"].as_array().unwrap();
    let lines: Vec<_> = diagnostics.iter().map(|one| one["line"].as_u64().unwrap()).collect();
    for line in [2, 3, 4, 5, 6, 7, 10, 11, 13, 16] {
        assert!(lines.contains(&line), "line {line}: {report:#}");
    }
    for diagnostic in diagnostics {
        assert!(diagnostic["column"].as_u64().unwrap() > 0, "{diagnostic}");
        assert!(!diagnostic["message"].as_str().unwrap().is_empty(), "{diagnostic}");
        assert!(diagnostic["help"].is_string(), "{diagnostic}");
        assert_eq!(diagnostic["severity"], "error");
    }
    let text = run(&["check", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("tidegate.yaml:2:5: error: unknown key `adress`"), "{text}");
    assert!(text.contains("did you mean `address`"), "{text}");
}

#[test]
fn the_schema_is_json_and_names_the_keys() {
    let output = run(&["schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["routes"].is_object());
}

#[test]
fn exit_codes_say_whose_fault_it_is() {
    assert_eq!(run(&["--version"]).status.code(), Some(0));
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
    assert_eq!(run(&["up", "/does/not/exist.yaml"]).status.code(), Some(1));
    let nobody = tidegate_testkit::unused_address().to_string();
    assert_eq!(run(&["explain", "app", "--admin", &nobody]).status.code(), Some(3));
}

#[test]
fn every_command_has_help_with_an_example() {
    let help = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&["--help"]);
    let (_, commands) = all.split_once("Commands:\n").unwrap();
    // What is told of a command may go on in further lines, which begin further in.
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let rows = commands.filter_map(|line| line.strip_prefix("  ").filter(|row| !row.starts_with(' ')));
    let names: Vec<&str> = rows.filter_map(|row| row.split(' ').next()).collect();
    for known in ["up", "check", "load", "simulate", "explain", "top"] {
        assert!(names.contains(&known), "{known}: {all}");
    }
    for name in names.into_iter().filter(|name| *name != "help") {
        let text = help(&[name, "--help"]);
        assert!(text.contains("Example"), "{name}: {text}");
    }
}
