//! A market that takes all spot instances back at once, live: instances that commands start, and ten seconds' notice.

use std::{
    process::{Child, Command},
    time::Duration,
};

use serde_json::Value;
use tidegate_testkit::{Tidegate, component, eventually};

use crate::{PATIENCE, TIDEGATE, examples::examples, fleets, load::Load};

/// Requests a second: three are in hand at a time, of which an instance has one by its policy.
const RATE: u32 = 60;

fn fleet(gateway: &Tidegate) -> Value {
    fleets(gateway)["items"][0].clone()
}

/// Instances of pools whose names begin so, in one of these states.
fn count(fleet: &Value, pool: &str, states: &[&str]) -> usize {
    let is_one = |one: &&Value| {
        let of = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        of("pool").starts_with(pool) && states.contains(&of("state").as_str())
    };
    fleet["instances"].as_array().map_or(0, |all| all.iter().filter(is_one).count())
}

fn explained(gateway: &Tidegate) -> String {
    let admin = gateway.admin().to_string();
    let output = Command::new(TIDEGATE).args(["explain", "server", "--admin", &admin]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

struct Market {
    state: tempfile::TempDir,
    script: String,
}

impl Market {
    fn command(&self, action: &str) -> Child {
        let mut command = Command::new("sh");
        command.args([&self.script, action]).env("TIDEGATE_EXAMPLE_STATE", self.state.path());
        command.spawn().unwrap()
    }
}

/// Instances outlive a gateway that a failed test kills.
impl Drop for Market {
    fn drop(&mut self) {
        _ = self.command("clear").wait();
    }
}

#[test]
fn all_spot_instances_are_taken_back_under_load_and_no_request_is_lost() {
    if component("python3").is_none() {
        return;
    }
    let examples = examples().canonicalize().unwrap();
    let script = examples.join("spot/market.sh").display().to_string();
    let market = Market { state: tempfile::tempdir().unwrap(), script };
    let config = std::fs::read_to_string(examples.join("spot.yaml")).unwrap();
    let config = config.replace("127.0.0.1:8000", "{listen}").replace("127.0.0.1:9000", "{admin}");
    let mut gateway = Tidegate::setup(TIDEGATE)
        .env("TIDEGATE_EXAMPLE_STATE", market.state.path().to_str().unwrap())
        .env("TIDEGATE_EXAMPLE_BOOT", "1")
        .start(&config.replace("examples/spot/market.sh", &market.script));
    let load = Load::without_end(&format!("http://{}/", gateway.addr()), RATE);
    let mut before = Value::Null;
    eventually(PATIENCE, "spot instances carry the load", || {
        before = fleet(&gateway);
        let ready = count(&before, "spot-", &["ready"]);
        ready >= 4
            && ready as u64 == before["desired"].as_u64().unwrap()
            && count(&before, "steady", &["ready", "starting"]) == 0
    });
    let saves = |fleet: &Value| {
        let price = |pool: &Value| pool["price"].as_f64().unwrap() * pool["ready"].as_f64().unwrap();
        let paid: f64 = fleet["pools"].as_array().unwrap().iter().map(price).sum();
        1.0 - paid / (fleet["recommended"].as_f64().unwrap() * 0.10)
    };
    assert!(saves(&before) >= 0.4, "{before:#}");

    let mut reclaim = market.command("reclaim");
    eventually(PATIENCE, "what is always there stands in", || {
        let now = fleet(&gateway);
        count(&now, "spot-", &["ready", "starting", "leaving", "draining"]) == 0
            && count(&now, "steady", &["ready"]) as u64 == now["desired"].as_u64().unwrap()
    });
    assert!(reclaim.wait().unwrap().success());
    let told = explained(&gateway);
    assert!(told.contains("steady (onDemand, 0.1 USD/h)") && told.contains("took instances back"), "{told}");
    load.end();
    gateway.signal(tidegate_testkit::process::Signal::TERM);
    gateway.wait_exit(Duration::from_secs(20));
    let left = std::fs::read_dir(market.state.path()).unwrap().count();
    assert_eq!(left, 0, "instances outlived a gateway that was to stop them");
}
