//! What is right and yet can do nothing. Errors silence warnings.

use tidegate_config::Severity;

use crate::{LISTENERS, parse};

/// The warnings about `text`, which has no errors.
fn warnings(text: &str) -> Vec<String> {
    let (snapshot, diagnostics) = parse(&format!("{LISTENERS}{text}"));
    assert!(snapshot.is_some(), "{diagnostics:#?}");
    assert!(diagnostics.iter().all(|d| d.severity == Severity::Warning && d.help.is_some()));
    diagnostics.into_iter().map(|d| d.message).collect()
}

/// Whether the last of routes with these matches is said to be hidden.
fn hidden(matches: &[&str]) -> bool {
    let routes = matches.iter().map(|text| format!("  - {{ match: {text}, lua: {{ content: a.lua }} }}\n"));
    let told = warnings(&format!("routes:\n{}", routes.collect::<String>()));
    told.iter()
        .any(|message| message.starts_with(&format!("the route `route-{}` can never match", matches.len())))
}

#[test]
fn a_route_behind_an_equal_one_is_hidden() {
    assert!(hidden(&["{}", "{}"]));
    assert!(hidden(&["{ path: /a }", "{ path: /b }", "{ path: /a }"]));
    assert!(hidden(&["{ hosts: [a, b] }", "{ host: A }"]));
    assert!(hidden(&["{ host: a }", "{ host: b }", "{ hosts: [a, b] }"]));
    assert!(hidden(&["{ methods: [GET, POST] }", "{ methods: [POST] }"]));
    assert!(hidden(&["{ headers: [X-A, X-B] }", "{ headers: [x-b, x-a] }"]));
}

#[test]
fn a_route_that_some_request_reaches_is_not() {
    assert!(!hidden(&["{}", "{ methods: [GET] }"]));
    assert!(!hidden(&["{ methods: [GET] }", "{}"]));
    assert!(!hidden(&["{ host: a }", "{ hosts: [a, b] }"]));
    assert!(!hidden(&["{ path: /a }", "{ path: /a/* }"]));
    assert!(!hidden(&["{ headers: [X-A] }", "{ headers: { X-A: b } }"]));
    assert!(!hidden(&["{ path: /a }", "{ path: ~/a }"]));
}

#[test]
fn what_nothing_leads_to_is_told() {
    assert_eq!(warnings("workers: 1"), ["there are no routes"]);
    assert_eq!(
        warnings("fleets: { f: { run: { lua: a.lua } } }\nroutes: [{ lua: { content: a.lua } }]"),
        ["no upstream uses the fleet `f`"]
    );
    assert_eq!(
        warnings("upstreams: { u: { endpoints: [h:80] } }\nroutes: [{ lua: { content: a.lua } }]"),
        ["no route uses the upstream `u`"]
    );
}

#[test]
fn programs_that_cannot_be_run_are_told_where_they_stand() {
    let text = format!(
        "{LISTENERS}upstreams: {{ a: {{ fleet: a }}, b: {{ fleet: b }} }}
routes: [{{ match: {{ path: /a }}, upstream: a }}, {{ match: {{ path: /b }}, upstream: b }}]
fleets:
  a: {{ run: {{ command: [./server, --port, \"{{port}}\"] }} }}
  b:
    run:
      exec: {{ start: [sh, start.sh], stop: [./stop.sh], list: [sh, list.sh] }}
"
    );
    let why_not = |program: &str| program.starts_with("./").then(|| "it is not there".to_owned());
    let read = |_: &std::path::Path| Ok(String::new());
    let (snapshot, told) = tidegate_config::parse_despite_scripts("t.yaml", &text, &read, &why_not);
    assert!(snapshot.is_some(), "{told:#?}");
    let seen: Vec<_> = told.iter().map(|one| (one.severity, one.line, one.column, &*one.message)).collect();
    assert_eq!(
        seen,
        [
            (Severity::Warning, 5, 25, "`./server` cannot be run: it is not there"),
            (Severity::Warning, 8, 45, "`./stop.sh` cannot be run: it is not there"),
        ]
    );
    assert!(told[0].help.as_ref().unwrap().contains("the folder that Tidegate is started in"));
}

#[test]
fn errors_silence_warnings() {
    let (_, diagnostics) =
        parse(&format!("{LISTENERS}workers: none\nupstreams: {{ u: {{ endpoints: [h:80] }} }}"));
    assert!(diagnostics.iter().all(|d| d.severity == Severity::Error), "{diagnostics:#?}");
}
