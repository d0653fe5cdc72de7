use tidegate_sim::{Demand, hpa::Hpa, world};

use super::*;
use crate::limits::Limit;

const UNDER: [(u32, u32); 3] = [(5, 0), (5, 1), (120, 1)];

/// A run that did nothing but this.
fn run(policy: &str, target: Option<f64>, under: (u32, u32), figures: (f64, f64, f64)) -> Run {
    let (cost_over_floor, violated_requests, actions_per_day) = figures;
    let demand = Demand::new(vec![100; 10]);
    let empty = world::run(&demand, Conditions { start_up: under.0, buffer: under.1 }, &mut Hpa::new(0.5));
    let figures = Figures { cost_over_floor, violated_requests, actions_per_day, ..empty };
    Run {
        trace: "Smooth".to_owned(),
        start_up_seconds: under.0,
        buffer_seconds: under.1,
        policy: policy.to_owned(),
        target,
        hold_seconds: None,
        figures,
    }
}

/// Under each condition a loop at 1.2 with 300 changes, HPA at two targets, and the policy at `costs`.
fn report(costs: [f64; 3]) -> Report {
    let of = |(under, cost): ((u32, u32), f64)| {
        [
            run("default", None, under, (cost, 0.0005, 90.0)),
            run("loop", Some(0.8), under, (1.2, 0.001, 300.0)),
            run("hpa", Some(0.3), under, (3.0, 0.0, 100.0)),
            run("hpa", Some(0.9), under, (1.05, 0.02, 100.0)),
        ]
    };
    Report { runs: UNDER.into_iter().zip(costs).flat_map(of).collect() }
}

fn smooth() -> [Known; 1] {
    let demand = Demand::new(vec![100; 10]);
    [Known { name: "Smooth", kind: Kind::Smooth, used: Use::Developed, demand }]
}

fn text(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut output = Vec::new();
    print(&mut output).unwrap();
    String::from_utf8(output).unwrap()
}

#[test]
fn rows_say_which_goals_are_hit() {
    let text = text(|output| print(&report([1.0, 1.15, 1.3]), &smooth(), output));
    for row in [
        "| Smooth | 5 | 0 | 1.000 | 0.050 % | 90 | 1.200, 300 | – | 0.1 % hit, loop hit, actions hit |",
        "| Smooth | 5 | 1 | 1.150 | 0.050 % | 90 | 1.200, 300 | 2.000 % | 0.1 % hit, loop hit, actions hit, cost missed |",
        "| Smooth | 120 | 1 | 1.300 | 0.050 % | 90 | 1.200, 300 | 2.000 % | 0.1 % hit, loop missed, actions hit |",
    ] {
        assert!(text.contains(row), "{text}");
    }
}

#[test]
fn limits_are_asked_for_where_a_goal_is_missed_or_a_mean_is_told() {
    let asked = |costs, all| {
        let (report, demands) = (report(costs), smooth());
        let questions = questions(&report, &demands, all);
        questions.iter().map(|question| (question.conditions.start_up, question.conditions.buffer)).collect()
    };
    let none: Vec<_> = asked([1.0; 3], false);
    assert_eq!(none, [(5, 0)], "the mean without waiting");
    assert_eq!(asked([1.0, 1.0, 1.3], false), [(5, 0), (120, 1)]);
    assert_eq!(asked([1.0; 3], true), UNDER);
}

#[test]
fn hpa_is_there_at_each_target() {
    let text = text(|output| print_curve(&report([1.0; 3]), &smooth(), output));
    assert!(text.starts_with("| demand | S | W | HPA at 30 % | HPA at 90 % |\n"), "{text}");
    assert!(text.contains("| Smooth | 120 | 1 | 3.000, 0.000 % | 1.050, 2.000 % |"), "{text}");
}

#[test]
fn limits_and_means_are_told_where_they_are_known() {
    let limit = Limit { future: 0.9, calm: None, fitted: None, learned: None };
    let limits = Limits::from([(("Smooth", 5, 0), limit)]);
    let text = text(|output| print_limits(&report([1.08, 1.0, 1.3]), &smooth(), &limits, output));
    assert!(text.contains("| Smooth | 5 | 0 | 1.080 | 0.050 % |  | 0.900 |  |  |"), "{text}");
    assert!(!text.contains("| Smooth | 120"), "{text}");
    let mean = "S = 5 s, W = 0 s, mean of 1: the default policy 10.0 %, who knows the future 25.0 %, knows the habits –";
    assert!(text.contains(mean), "{text}");
}
