//! Every mistake with its place, message and help, one line of YAML each.
//!
//! `mistakes.txt` has the cases: a line of YAML (`\n` breaks it), below it what is reported, then an
//! empty line. Each is parsed behind one line with a listener, so places start at line 2; the warning
//! about missing routes is left out.

use std::fmt::Write as _;

use tidegate_config::Severity;

use crate::{LISTENERS, golden, messages, parse};

#[test]
fn every_mistake_is_told_with_its_place_and_help() {
    let cases = include_str!("mistakes.txt");
    let mut actual = String::new();
    for case in cases.split("\n\n").filter_map(|block| block.trim_start().lines().next()) {
        let (_, diagnostics) = parse(&format!("{LISTENERS}{}", case.replace("\\n", "\n")));
        let told: Vec<_> = diagnostics.iter().filter(|d| d.message != "there are no routes").collect();
        assert!(!told.is_empty(), "nothing is wrong with: {case}");
        if !actual.is_empty() {
            actual.push('\n');
        }
        let _ = writeln!(actual, "{case}");
        for d in told {
            let kind = if d.severity == Severity::Error { "error" } else { "warning" };
            let (help, excerpt) =
                (d.help.as_deref().unwrap_or("-"), d.excerpt.as_deref().unwrap_or_default());
            let _ = writeln!(
                actual,
                "  {}:{} {kind}: {}\n    at: {excerpt}\n    help: {help}",
                d.line, d.column, d.message
            );
        }
    }
    golden::check("tests/it/mistakes.txt", &actual);
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "\
listeners:
  - { address: localhost:80 }
timeouts: { header: 30 }
limits: { bodyBytes: 16M }
trustedProxies: [10.0.0.0/33]
fleets:
  orders:
    run: { lua: missing.lua }
    scale: { min: 5, max: 3, slo: { latencyP99: 50ms } }
upstreams:
  orders: { fleet: ordres }
routes:
  - name: a
    match: { path: ~ ( }
    upstream: orders
  - name: a
    upstream: nowhere
    timeout: 3s
";
    let expected = [
        "2:16 `localhost:80` is not an IP address with a port",
        "3:21 a duration needs a unit, and `30` has none",
        "4:22 `16M` is not a size",
        "5:18 `10.0.0.0/33` is not a network",
        "8:17 cannot read `missing.lua`: entity not found",
        "9:19 `min` is 5 and above `max`, which is 3",
        "11:20 there is no fleet `ordres`; did you mean `orders`?",
        "14:20 bad regular expression `(`: unclosed group",
        "16:11 two routes have the name `a`",
        "17:15 there is no upstream `nowhere`",
        "18:5 unknown key `timeout`",
    ];
    assert_eq!(messages(text), expected);
    let (snapshot, diagnostics) = parse(text);
    assert!(snapshot.is_none());
    assert!(diagnostics.iter().all(|d| d.help.is_some() && d.file == "conf/tidegate.yaml"));
}

/// Keys that the contract has and this version does not serve are not unknown.
#[test]
fn what_comes_later_is_told_as_such() {
    let text = "\
listeners:
  - address: 0.0.0.0:8000
fleets:
  orders:
    run: { lua: apps/orders.lua }
    scale:
      max: 40
      slo: { latencyP99: 50ms, overload: 0.1% }
      triggers:
        - target: { metric: utilization, value: 80% }
        - schedule: { cron: \"0 8 * * MON-FRI\", timeZone: Europe/Berlin, for: 10h, min: 6 }
        - forecast: { horizon: auto }
upstreams:
  orders: { fleet: orders, balance: leastConnections }
  billing: { endpoints: [10.0.0.5:8080], health: { path: /healthz, interval: 5s } }
routes:
  - match: { path: /orders/*, methods: [GET, POST] }
    upstream: orders
    plugins:
      - rateLimit: { limit: 100/1m, by: consumer }
";
    let expected = ["15:42 `health`", "19:5 `plugins`"];
    assert_eq!(messages(text), expected.map(|key| format!("{key} is not supported yet")));
}

#[test]
fn what_is_misspelt_is_not_missed_as_well() {
    assert_eq!(messages("lisetners: []"), ["1:1 unknown key `lisetners`; did you mean `listeners`?"]);
    assert_eq!(
        messages(&format!("{LISTENERS}routes: [{{ upstraem: u }}]")),
        ["2:12 unknown key `upstraem`; did you mean `upstream`?"]
    );
}

#[test]
fn what_is_defined_with_a_mistake_in_it_is_defined() {
    let text = format!(
        "{LISTENERS}fleets: {{ f: {{ grace: 5 }} }}\nupstreams: {{ u: {{ fleet: f, retry: 3 }} }}\nroutes: [{{ upstream: u }}]"
    );
    let expected = [
        "2:11 missing key `run`",
        "2:23 a duration needs a unit, and `5` has none",
        "3:36 expected a mapping, found the number `3`",
    ];
    assert_eq!(messages(&text), expected);
}

#[test]
fn listeners_are_there_and_differ() {
    assert_eq!(messages("workers: 1"), ["1:1 missing key `listeners`"]);
    assert_eq!(messages("listeners: []"), ["1:12 no listeners"]);
    assert_eq!(messages("listeners: [0.0.0.0:80]"), ["1:13 expected a mapping, found the text `0.0.0.0:80`"]);
    assert_eq!(
        messages("listeners:\n- address: 0.0.0.0:80\n- address: '[::]:80'\n- address: 0.0.0.0:80\n"),
        ["4:12 two listeners have the address `0.0.0.0:80`"]
    );
}

#[test]
fn mistakes_are_told_in_the_order_of_the_file() {
    let text = "workers: x\nupstreams: 1\nlisteners: 2\n";
    let lines: Vec<_> = parse(text).1.iter().map(|d| d.line).collect();
    assert_eq!(lines, [1, 2, 3]);
}

#[test]
fn a_mistake_that_an_alias_repeats_is_told_once() {
    let text = format!("{LISTENERS}upstreams:\n  a: &u {{ endpoints: [h] }}\n  b: *u\n  c: *u\n");
    assert_eq!(messages(&text), ["3:23 `h` is not a host with a port"]);
}

#[test]
fn text_is_shown_as_compilers_show_it() {
    let (_, diagnostics) = parse(&format!("{LISTENERS}timeouts:\n  header: 30 # too short\n"));
    let expected = "\
conf/tidegate.yaml:3:11: error: a duration needs a unit, and `30` has none
   |   header: 30 # too short
   |           ^^
   = help: write it like `30s`; the units are `us`, `ms`, `s`, `m`, `h` and `d`";
    assert_eq!(diagnostics[0].to_string(), expected);
}
