//! Every scenario of the repository holds. A failure prints its seed.

use std::{path::Path, process::Command};

use crate::TIDEGATE;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios"))
}

fn holds(name: &str) {
    let file = folder().join(format!("{name}.yaml"));
    let output = Command::new(TIDEGATE).args(["simulate", "--scenario"]).arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains(", seed "), "{told}");
}

macro_rules! scenarios {
    ($($test:ident: $name:literal;)*) => {
        $(#[test] fn $test() { holds($name); })*

        #[test]
        fn every_scenario_has_its_test() {
            let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            files.sort();
            assert_eq!(files, [$($name),*]);
        }
    };
}

scenarios! {
    clock_back: "clock-back";
    clock_forward: "clock-forward";
    deaths: "deaths";
    failing_starts: "failing-starts";
    heavier_release: "heavier-release";
    latency_threshold: "latency-threshold";
    metrics_lost: "metrics-lost";
    slow_starts: "slow-starts";
    slower_instances: "slower-instances";
    spot_storm: "spot-storm";
    steady: "steady";
}
