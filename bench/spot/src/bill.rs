//! Where the money goes: what instances cost by pool and by what they did meanwhile, second by second.
//!
//! The gateway's own account is what counts; this takes it apart by looking twice a second at what there is, so its sum
//! is close to it and not the same.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use serde_json::Value;

#[derive(Default)]
pub(crate) struct Bill {
    last: Option<Instant>,
    /// Dollars by pool and state, and how many instances that were on the average.
    spent: BTreeMap<(String, String), (f64, f64)>,
    seconds: f64,
    /// Instances that there had to be, over time.
    wanted: f64,
    /// A line for each look: time, how many were wanted, and each pool's instances by state.
    timeline: String,
}

impl Bill {
    /// Charges the time since the last look for what there is now.
    pub(crate) fn look(&mut self, at: Duration, fleet: &Value) {
        let now = Instant::now();
        let passed = self.last.replace(now).map_or(0.0, |last| (now - last).as_secs_f64());
        self.seconds += passed;
        let wanted = fleet["recommended"].as_f64().unwrap_or_default();
        self.wanted += wanted * passed;
        let price = |pool: &str| {
            let pools = fleet["pools"].as_array().into_iter().flatten();
            pools.filter(|one| one["name"] == pool).find_map(|one| one["price"].as_f64()).unwrap_or_default()
        };
        let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
        for one in fleet["instances"].as_array().into_iter().flatten() {
            let text = |key: &str| one[key].as_str().unwrap_or("none").to_owned();
            *counts.entry((text("pool"), text("state"))).or_default() += 1;
        }
        let usd = fleet["cost"]["usd"].as_f64().unwrap_or_default();
        write!(self.timeline, "{:.1}\t{wanted}\t{usd:.5}", at.as_secs_f64())
            .expect("a string takes everything");
        for ((pool, state), count) in counts {
            write!(self.timeline, "\t{pool}:{state}={count}").expect("a string takes everything");
            if state != "failed" {
                let spent = self.spent.entry((pool.clone(), state)).or_default();
                spent.0 += f64::from(count) * price(&pool) * passed / 3_600.0;
                spent.1 += f64::from(count) * passed;
            }
        }
        self.timeline.push('\n');
    }

    pub(crate) fn timeline(&self) -> &str {
        &self.timeline
    }

    /// A table of pools and states, and what that is of `on_demand` dollars.
    pub(crate) fn table(&self, on_demand: f64) -> String {
        let mut table =
            "| pool | state | instances on the average | USD | of all on demand |\n| --- | --- | --: | --: | --: |\n"
                .to_owned();
        let mut row = |pool: &str, state: &str, mean: f64, usd: f64| {
            writeln!(table, "| {pool} | {state} | {mean:.2} | {usd:.4} | {:.1} % |", usd / on_demand * 100.0)
                .expect("a string takes everything");
        };
        let mean = |seconds: f64| seconds / self.seconds.max(1e-9);
        for ((pool, state), (usd, seconds)) in &self.spent {
            row(pool, state, mean(*seconds), *usd);
        }
        row("all on demand", "as many as wanted", mean(self.wanted), on_demand);
        table
    }
}
