//! Policies through recorded demand.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::TIDEGATE;

/// A folder to run in, with a trace of half an hour and a configuration with two fleets.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rates = (0..30).map(|minute| 20 + 10 * (minute / 5 % 3) + minute % 4);
    let rows = (0..).zip(rates).fold(String::new(), |mut rows, (minute, rate)| {
        writeln!(rows, "{},{rate}", minute * 60).unwrap();
        rows
    });
    write(&folder, "day.csv", &format!("timestamp_seconds,requests_per_second\n{rows}"));
    write(&folder, "app.lua", "ngx.say('hello')");
    let fleet = |name, max, target| {
        format!(
            "  {name}: {{ run: {{ lua: app.lua }}, scale: {{ min: 1, max: {max}, \
             triggers: [{{ target: {{ metric: utilization, value: {target} }} }}] }} }}\n"
        )
    };
    let fleets = fleet("orders", 100, "50%") + &fleet("billing", 3, "80%");
    write(
        &folder,
        "tidegate.yaml",
        &format!("listeners: [{{ address: 127.0.0.1:8000 }}]\nfleets:\n{fleets}"),
    );
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs `tidegate simulate` with what `line` says, split at blanks.
fn simulate(folder: &Path, line: &str) -> Output {
    Command::new(TIDEGATE).current_dir(folder).arg("simulate").args(line.split(' ')).output().unwrap()
}

fn runs(folder: &Path, line: &str) -> Vec<Value> {
    let output = simulate(folder, &format!("{line} --format json"));
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["runs"].as_array().unwrap().clone()
}

fn number(run: &Value, key: &str) -> f64 {
    run[key].as_f64().unwrap_or_else(|| panic!("{key}: {run}"))
}

/// The code that it exits with and what it says, where it refuses.
fn refusal(folder: &Path, line: &str) -> (Option<i32>, String) {
    let output = simulate(folder, line);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_part_of_a_trace_is_run_as_a_load_would_be_sent() {
    let folder = folder();
    let run = |line: &str| runs(folder.path(), &format!("--trace day.csv --start-up 0s {line}")).remove(0);
    let hours = |line: &str| number(&run(line), "floorInstanceHours");
    // A minute becomes a second, so a sixtieth of capacity will do, but for the noise of arrivals within minutes.
    let (slow, fast) = (hours("--peak 2000"), hours("--peak 2000 --speed 60x"));
    assert!((fast * 60.0 / slow - 1.0).abs() < 0.25, "{slow} and {fast}");
    // Instances that serve a tenth are ten times as many.
    let (few, many) = (hours("--speed 60x --peak 400"), hours("--speed 60x --peak 400 --capacity 10"));
    assert!((many / few - 10.0).abs() < 3.0, "{few} and {many}");
    let part = number(&run("--start 5m --length 5m"), "floorInstanceHours");
    assert!(part < number(&run("--peak 4000"), "floorInstanceHours") / 4.0, "{part}");
    let (code, said) = refusal(folder.path(), "--trace day.csv --start 30m");
    assert!(code == Some(1) && said.contains("less than a second"), "{said}");
    let (code, said) = refusal(folder.path(), "--trace day.csv --speed fast");
    assert!(code == Some(2) && said.contains("write a speed"), "{said}");
}

#[test]
fn every_run_has_its_conditions_and_figures() {
    let folder = folder();
    std::fs::copy(folder.path().join("day.csv"), folder.path().join("other.csv")).unwrap();
    let runs = runs(folder.path(), "--trace day.csv --trace other.csv --start-up 5s,2m --buffer 0s,1s,10s");
    let of = |run: &Value| {
        (run["trace"].clone(), number(run, "startUpSeconds") as u32, number(run, "bufferSeconds") as u32)
    };
    let expected = ["day.csv", "other.csv"].into_iter().flat_map(|trace| {
        [5, 120].into_iter().flat_map(move |start_up| [0, 1, 10].map(|buffer| (trace, start_up, buffer)))
    });
    let expected: Vec<_> = expected.map(|(trace, one, other)| (Value::from(trace), one, other)).collect();
    assert_eq!(runs.iter().map(of).collect::<Vec<_>>(), expected);
    for run in &runs {
        assert_eq!(run["policy"], "default");
        assert!(run.get("target").is_none() && run.get("holdSeconds").is_none(), "{run}");
        assert!(number(run, "floorInstanceHours") > 10.0, "{run}");
        assert!(number(run, "costOverFloor") > 0.8, "{run}");
        for share in ["violatedRequests", "violatedTime", "tauU", "tauO", "upsilon", "thetaU"] {
            assert!((0.0..=1.0).contains(&number(run, share)), "{share}: {run}");
        }
        for rate in ["actionsPerDay", "reversalsPerDay", "thetaO"] {
            assert!(number(run, rate) >= 0.0, "{rate}: {run}");
        }
    }
}

#[test]
fn without_more_words_it_is_the_default_policy_and_a_start_up_of_half_a_minute() {
    let folder = folder();
    let terse = runs(folder.path(), "--trace day.csv");
    let told =
        runs(folder.path(), "--trace day.csv --policy default --start-up 30s --buffer 0s --seed 1 --vs hpa");
    assert_eq!(terse.len(), 1);
    assert_eq!(terse[0], told[0]);
}

#[test]
fn baselines_are_run_at_every_setting() {
    let folder = folder();
    let runs = runs(folder.path(), "--trace day.csv --vs hpa,loop");
    let of = |name: &str| runs.iter().filter(|run| run["policy"] == name).collect::<Vec<_>>();
    let targets: Vec<_> = of("hpa").iter().map(|run| number(run, "target")).collect();
    assert_eq!(targets, [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
    assert!(of("hpa").iter().all(|run| run.get("holdSeconds").is_none()));
    let mut settings: Vec<_> =
        of("loop").iter().map(|run| (run["target"].to_string(), run["holdSeconds"].to_string())).collect();
    settings.dedup();
    assert_eq!(settings.len(), 30);
    assert_eq!((of("default").len(), runs.len()), (1, 38));
    // What is kept three times as idle costs more.
    let cost = |run: &Value| number(run, "costOverFloor");
    assert!(cost(of("hpa")[0]) > cost(of("hpa")[6]) * 1.5, "{runs:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = folder();
    for format in ["text", "json"] {
        let said = |seed: u32| {
            let output =
                simulate(folder.path(), &format!("--trace day.csv --vs hpa --seed {seed} --format {format}"));
            assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
            output.stdout
        };
        assert_eq!(said(7), said(7));
        assert_ne!(said(7), said(8));
    }
}

#[test]
fn a_fleet_is_scaled_by_its_own_policy_within_its_bounds() {
    let folder = folder();
    let run = |fleet| {
        let runs = runs(folder.path(), &format!("--trace day.csv --policy tidegate.yaml#{fleet}"));
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0]["policy"], fleet);
        runs[0].clone()
    };
    let (orders, billing) = (run("orders"), run("billing"));
    // Half idle: about twice of what demand needs, and no request without capacity but by chance.
    assert!((1.5..2.5).contains(&number(&orders, "costOverFloor")), "{orders}");
    assert!(number(&orders, "violatedRequests") < 0.01, "{orders}");
    // Three instances serve 300/s of about 2,900/s on average.
    assert!((0.8..0.95).contains(&number(&billing, "violatedRequests")), "{billing}");
}

#[test]
fn a_fleet_without_triggers_is_as_busy_as_it_will_be_live() {
    let folder = folder();
    let text = std::fs::read_to_string(folder.path().join("tidegate.yaml")).unwrap();
    let usual = "  usual: { run: { lua: app.lua }, scale: { max: 1000 } }\n";
    write(&folder, "tidegate.yaml", &(text + usual));
    let cost = |line: &str| {
        number(&runs(folder.path(), &format!("--trace day.csv --start-up 5s {line}"))[0], "costOverFloor")
    };
    let all_the_time = cost("--policy default");
    let times = |line: &str| cost(line) / all_the_time;
    let as_live = times("--policy tidegate.yaml#usual");
    assert!((as_live * 0.85 - 1.0).abs() < 0.03, "{as_live}");
    assert!((times("--policy tidegate.yaml#usual --safe-utilization 50%") / 2.0 - 1.0).abs() < 0.1);
    assert!((times("--policy tidegate.yaml#usual --safe-utilization 100%") - 1.0).abs() < 0.03);
    assert!((times("--policy default --safe-utilization 85%") - as_live).abs() < 0.03);
    let said = |line: &str| {
        let output = simulate(folder.path(), &format!("--trace day.csv --policy tidegate.yaml#{line}"));
        String::from_utf8(output.stderr).unwrap()
    };
    let note = "note: usual keeps its instances busy for no more than 85%";
    assert!(said("usual").contains(note), "{}", said("usual"));
    for line in ["usual --safe-utilization 85%", "orders"] {
        assert!(!said(line).contains("note:"), "{}", said(line));
    }
}

#[test]
fn what_a_simulation_cannot_show_of_a_policy_is_said() {
    let folder = folder();
    let said = |fleet: &str| {
        let output = simulate(folder.path(), &format!("--trace day.csv --policy tidegate.yaml#{fleet}"));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!said("orders").contains("note:"), "{}", said("orders"));
    let short = "note: billing has at most 3 instances, where the busiest second needs 43";
    assert!(said("billing").contains(short), "{}", said("billing"));
    let few = simulate(folder.path(), "--trace day.csv --policy tidegate.yaml#billing --peak 200");
    let few = String::from_utf8(few.stderr).unwrap();
    assert!(!few.contains("note:"), "three do for 200 requests/s: {few}");
    let text = std::fs::read_to_string(folder.path().join("tidegate.yaml")).unwrap();
    let threshold = "triggers: [{ threshold: { any: [{ metric: latencyP95, above: 250ms }, \
                     { metric: luaDicts, above: 90% }, { metric: memory, above: 1GiB }] } }, ";
    write(&folder, "tidegate.yaml", &text.replace("triggers: [", threshold));
    let blind = "note: orders looks at `luaDicts`, `memory`, which simulated instances do not have";
    assert!(said("orders").contains(blind), "{}", said("orders"));
}

#[test]
fn the_table_names_conditions_knobs_and_figures() {
    let folder = folder();
    let output = simulate(folder.path(), "--trace day.csv --vs hpa,loop --start-up 5s,30s");
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "day.csv, start-up 5s, buffer 0s: floor ",
        "day.csv, start-up 30s, buffer 0s: floor ",
        "  policy      knob ",
        "reversals/d",
        "  default     overload 0.1% ",
        "  hpa         target 70% ",
        "  loop        target 95%, hold 3600s ",
    ] {
        assert!(text.contains(expected), "{expected:?}: {text}");
    }
}

#[test]
fn a_trace_that_cannot_be_read_is_the_environments_fault_and_is_named() {
    let folder = folder();
    let (code, said) = refusal(folder.path(), "--trace day.csv --trace absent.csv");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.starts_with("tidegate: cannot read absent.csv: "), "{said}");
}

#[test]
fn a_malformed_trace_is_named_with_its_line() {
    let folder = folder();
    let head = "timestamp_seconds,requests_per_second\n";
    let cases = [
        (format!("{head}0,1\n60,many\n"), "bad.csv is no trace: line 3: \"many\" is no number"),
        ("time,load\n0,1\n".to_owned(), "bad.csv is no trace: line 1: "),
        (format!("{head}0,1\n0.1,1\n"), "bad.csv is 200ms long"),
        (format!("{head}0,1\n1000000000,1\n"), "bad.csv is 23148 days long"),
    ];
    for (text, expected) in cases {
        write(&folder, "bad.csv", &text);
        let (code, said) = refusal(folder.path(), "--trace bad.csv");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(&format!("tidegate: {expected}")), "{said}");
    }
}

#[test]
fn what_has_no_end_or_no_rows_is_refused_with_a_reason() {
    let folder = folder();
    let head = "timestamp_seconds,requests_per_second\n";
    write(&folder, "slow.csv", &format!("{head}0,1\n86400,1\n"));
    write(&folder, "gap.csv", &format!("{head}0,1\n60,1\n6000,1\n"));
    write(&folder, "millis.csv", &format!("{head}1767225600000,1\n1767225660000,1\n"));
    write(&folder, "nothing", "");
    let cases = [
        ("--trace /dev/zero --check /dev/zero", 1, "/dev/zero is larger than 1 MiB, the most that is read"),
        ("--scenario /dev/zero", 1, "/dev/zero is larger than 1 MiB, the most that is read"),
        ("--trace slow.csv --speed 0.001x", 1, "slow.csv has less than a second or more than 366 days"),
        ("--trace gap.csv", 1, "line 4: a row at 120 is missing before 6000; fill gaps"),
        ("--trace millis.csv", 1, "line 2: 1767225600000 is in milliseconds"),
        ("--trace nothing", 1, "line 1: a trace begins with the columns timestamp_seconds"),
        ("--trace .", 3, "cannot read .: "),
        ("--trace day.csv --check nothing", 1, "the file of bands is empty\n   = help: start with `runs:`"),
        ("--trace day.csv --check absent", 3, "cannot read absent: "),
        ("--scenario nothing", 1, "the scenario is empty\n   = help: start with `about:`"),
        ("--from-history 1h --fleet orders --state absent", 3, "absent has no recorded demand: "),
    ];
    for (line, expected, why) in cases {
        let (code, said) = refusal(folder.path(), line);
        assert_eq!(code, Some(expected), "{line}: {said}");
        assert!(said.contains(why), "{line}: {said}");
    }
}

#[test]
fn odd_demand_is_played_and_figures_stay_finite() {
    let folder = folder();
    let head = "timestamp_seconds,requests_per_second\n";
    write(&folder, "idle.csv", &format!("{head}0,0\n60,0\n"));
    write(&folder, "brief.csv", &format!("{head}0,1\n1,9\n"));
    let cases = [
        "--trace idle.csv --vs hpa,loop",
        // Instances that start long after the end.
        "--trace brief.csv --vs hpa,loop --start-up 1h --buffer 1h",
        // As much as there may be, for instances that can do nothing.
        "--trace day.csv --speed 60x --vs hpa,loop --peak 10000000 --capacity 0.0001",
        "--trace day.csv --speed 60x --vs hpa,loop --peak 0.0001 --capacity 10000000",
    ];
    for line in cases {
        for run in runs(folder.path(), line) {
            for figure in
                ["costOverFloor", "violatedRequests", "actionsPerDay", "thetaU", "thetaO", "upsilon"]
            {
                assert!(number(&run, figure).is_finite(), "{line}: {figure} of {run}");
            }
            assert!((0.0..=1.0).contains(&number(&run, "violatedRequests")), "{line}: {run}");
        }
    }
}

#[test]
fn what_is_named_twice_is_run_once() {
    let folder = folder();
    let twice = runs(
        folder.path(),
        "--trace day.csv --trace day.csv --start-up 5s,5s --buffer 0s,0s --vs hpa,hpa --seed 1",
    );
    assert_eq!(twice, runs(folder.path(), "--trace day.csv --start-up 5s --vs hpa"));
}

#[test]
fn a_configuration_with_mistakes_is_reported_as_by_check() {
    let folder = folder();
    write(&folder, "bad.yaml", "listeners: [{ adress: 127.0.0.1:8000 }]\n");
    for format in ["text", "json"] {
        let simulated =
            simulate(folder.path(), &format!("--trace day.csv --policy bad.yaml#orders --format {format}"));
        let checked = Command::new(TIDEGATE)
            .current_dir(folder.path())
            .args(["check", "bad.yaml", "--format", format])
            .output()
            .unwrap();
        assert_eq!(simulated.status.code(), Some(1), "{simulated:?}");
        assert_eq!(simulated.stdout, checked.stdout);
        assert!(String::from_utf8_lossy(&simulated.stdout).contains("did you mean"), "{simulated:?}");
    }
}

#[test]
fn an_unknown_fleet_is_told_the_known_ones() {
    let folder = folder();
    let (code, said) = refusal(folder.path(), "--trace day.csv --policy tidegate.yaml#order");
    assert_eq!(code, Some(1), "{said}");
    let expected = "tidegate: tidegate.yaml has no fleet named order; its fleets are billing, orders\n";
    assert!(said.ends_with(expected), "{said}");
    // The fleet needs a name only where there are several.
    let (code, said) = refusal(folder.path(), "--trace day.csv --policy tidegate.yaml");
    let expected = "which of its fleets? tidegate.yaml has billing, orders; write tidegate.yaml#billing\n";
    assert!(code == Some(1) && said.ends_with(expected), "{said}");
    write(
        &folder,
        "one.yaml",
        "listeners: [{ address: 127.0.0.1:0 }]\nworkers: { max: 2 }\nfleets: { one: { run: { command: [x] } } }\n",
    );
    let (code, said) = refusal(folder.path(), "--trace day.csv --policy one.yaml");
    assert!(code == Some(0) && said.contains("one"), "{said}");
}

#[test]
fn arguments_that_make_no_sense_are_a_matter_of_usage() {
    let folder = folder();
    let cases = [
        ("--start-up 30s", "--trace"),
        ("--trace day.csv --start-up 30", "write a time in whole numbers"),
        ("--trace day.csv --start-up 5s,,30s", "write a time in whole numbers"),
        ("--trace day.csv --buffer 500ms", "write a time in whole numbers"),
        ("--trace day.csv --buffer 2h", "must be from 0s to 1h"),
        ("--from-history 1h --start-up 5s", "cannot be used with"),
        ("--from-history 1h --trace day.csv", "cannot be used with"),
        ("--from-history 1h --safe-utilization 90%", "cannot be used with"),
        ("--trace day.csv --safe-utilization 20%", "write a share from 40% to 100%"),
        ("--trace day.csv --safe-utilization 0.9", "write a share from 40% to 100%"),
        ("--scenario day.yaml --check bands.yaml", "cannot be used with"),
        ("--trace day.csv --vs hpa,kpa", "possible values: hpa, loop"),
        ("--trace day.csv --policy #orders", "write FILE#FLEET"),
        ("--trace day.csv --policy tidegate.yaml#a/b", "no fleet can have this name"),
        ("--trace day.csv --seed dice", "--seed"),
    ];
    for (line, expected) in cases {
        let (code, said) = refusal(folder.path(), line);
        assert_eq!(code, Some(2), "{line}: {said}");
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn a_figure_in_its_band_is_success_and_one_outside_is_named() {
    let folder = folder();
    let check = |bands: &str| {
        write(&folder, "bands.yaml", bands);
        refusal(folder.path(), "--trace day.csv --policy tidegate.yaml#orders --vs hpa --check bands.yaml")
    };
    let (code, said) = check(
        "runs:\n  - { policy: orders, trace: day.csv, costOverFloor: { atLeast: 1.5, atMost: 2.5 } }\n  \
         - { policy: hpa, target: 30%, violatedRequests: { atMost: 5% } }\n",
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 of 2 figures are within their bands"), "{said}");
    let (code, said) = check("runs:\n  - { policy: orders, costOverFloor: { atMost: 1.01 } }\n");
    assert_eq!(code, Some(1), "{said}");
    let line = said
        .lines()
        .find(|line| line.starts_with("out of its band in line 2"))
        .unwrap_or_else(|| panic!("{said}"));
    for expected in ["day.csv", "orders", "costOverFloor", "wanted at most 1.01"] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    let (code, said) = check("runs:\n  - { policy: nobody, costOverFloor: { atMost: 9 } }\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("bands.yaml:2: these bands are for none of the runs"), "{said}");
    let (code, said) = check("runs:\n  - { policy: orders, costAboveFloor: { atMost: 9 } }\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("bands.yaml:2:23: error: unknown key"), "{said}");
}

#[test]
fn for_programs_bands_are_beside_the_runs() {
    let folder = folder();
    write(&folder, "bands.yaml", "runs:\n  - { policy: default, costOverFloor: { atMost: 1.01 } }\n");
    let output = simulate(folder.path(), "--trace day.csv --start-up 2m --check bands.yaml --format json");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let band = &told["bands"][0];
    assert_eq!((&band["figure"], &band["holds"]), (&"costOverFloor".into(), &false.into()), "{told}");
    assert_eq!(band["value"], told["runs"][0]["costOverFloor"]);
}

#[test]
fn a_plot_has_a_panel_for_demand_instances_violations_and_cost() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("traces")).unwrap();
    std::fs::rename(folder.path().join("day.csv"), folder.path().join("traces/day.csv")).unwrap();
    let output = simulate(folder.path(), "--trace traces/day.csv --vs hpa,loop --plot out.svg");
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(folder.path().join("out.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"));
    for expected in [
        "<title>default on day.csv</title>",
        "Demand and capacity (requests/s)",
        "Instances paid for",
        "Requests without capacity so far, of all requests",
        "Cost so far (instance-hours)",
        "0.1% allowed",
        ">capacity, default<",
        ">capacity, hpa at ",
        ">capacity, loop at ",
    ] {
        assert!(svg.contains(expected), "{expected}");
    }
    assert!(!svg.contains("traces/"), "a title is no place for a path");
    // Every mark that has a name is drawn, the policy above its baselines: blue comes last.
    let colours = |class: &str| {
        svg.split("<path class=\"")
            .filter_map(|path| path.split('"').next()?.strip_prefix(class).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(colours("bold "), ["blue", "blue", "blue"]);
    assert!(svg.len() < 200_000, "{} bytes", svg.len());
    assert!(
        simulate(folder.path(), "--trace traces/day.csv --start-up 5s,30s --plot two.svg").status.success()
    );
    assert!(["two-1.svg", "two-2.svg"].iter().all(|name| folder.path().join(name).exists()));
    let (code, said) = refusal(folder.path(), "--trace traces/day.csv --plot absent/out.svg");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("cannot write absent/out.svg"), "{said}");
}

#[test]
fn help_shows_an_example() {
    let output = simulate(Path::new("."), "--help");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("Example"), "{text}");
    assert!(text.contains("tidegate simulate --trace day.csv"), "{text}");
}
