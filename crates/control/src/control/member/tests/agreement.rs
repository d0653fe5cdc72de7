//! What runs and what is simulated agree: a fleet under the control plane costs what it costs in a simulation. Everything
//! from the counters of the data plane and the reports of instances to the fleet is what a gateway has; only the clock and
//! the instances are made up, so it is the same on every machine.

use tidegate_sim::{
    Conditions,
    live::{Known, Live},
    recorded,
    world::run_watched,
};

use super::*;

/// The seconds after which both have found their count: a simulation begins with what a minute of the load needs.
const SETTLING: usize = 10;

/// An hour of a match at sixty times its speed: it begins, half of it is over, somebody wins. With bursts that last for
/// some seconds, and noise of a tenth.
fn match_hour(seed: u32) -> Vec<f64> {
    let minute = |at: u32| {
        let smooth = match at {
            0..15 => 120.0 + 4.0 * f64::from(at),
            15..25 => 180.0 + 52.0 * f64::from(at - 15),
            35..40 => 480.0,
            40..52 => 520.0 + 30.0 * f64::from(at - 40),
            52..60 => 850.0 - 75.0 * f64::from(at - 52),
            _ => 700.0,
        };
        let noise = f64::from((at + 60 * seed).wrapping_mul(2_654_435_761) >> 22) / 1_024.0 - 0.5;
        let burst = if (48..51).contains(&at) { 1.3 } else { 1.0 };
        (smooth * burst * (1.0 + 0.2 * noise)).round()
    };
    (0..60).map(minute).collect()
}

impl Play {
    /// A second in which `arrivals` requests come to those that `wait` already.
    fn meet(&mut self, arrivals: f64, wait: &mut u32) {
        self.now = Moment { instant: self.now.instant + SECOND, time: self.now.time + SECOND };
        let ready = self.member.fleet.instances().iter().filter(|one| one.is_ready()).count();
        let can = ready as f64 * CAPACITY;
        let latency = Duration::from_secs_f64(0.01 + f64::from(*wait) / can.max(1.0));
        *wait += arrivals as u32;
        let served = (*wait).min(can as u32);
        *wait -= served;
        let shard = self.series.shard(0);
        for _ in 0..arrivals as u32 {
            shard.arrive();
        }
        for _ in 0..served {
            shard.end(200, latency);
        }
        self.report(Some(f64::from(served) / can.max(1.0)));
        self.step();
    }
}

/// Instances of each second, by the control plane and by a simulation of the demand that came.
fn both(scale: &str, rates: &[f64]) -> (Vec<u32>, Vec<u32>) {
    let (mut play, mut wait) = (Play::new(scale), 0);
    for &rate in rates {
        play.meet(rate, &mut wait);
    }
    let view = play.member.view(play.now);
    let work = view.learned.work.unwrap();
    assert!((work * CAPACITY - 1.0).abs() < 0.02, "{scale}: {work} s for a request");
    // An instance serves what was learned of it, as for `simulate --from-history`.
    let capacity = view.learned.rate.unwrap();
    let (policy, whole) = recorded::scaled(play.member.scaler().policy().clone(), capacity);
    assert!(whole);
    let (demand, mut simulated) = (recorded::demand(rates, 1, capacity, 1), Vec::new());
    let known = Known { start_up: Some(Duration::ZERO), ..Known::default() };
    let mut live = Live::new(policy).knowing(known);
    let conditions = Conditions { start_up: 0, buffer: 0 };
    run_watched(&demand, conditions, &mut live, |_, moment| simulated.push(moment.launched));
    (play.counts, simulated)
}

/// How many times the instance-hours of a simulation the control plane pays for so many match hours in a row.
fn factor(scale: &str, hours: usize, seed: u32) -> f64 {
    let (live, simulated) = both(scale, &match_hour(seed).repeat(hours));
    let sum = |counts: &[u32]| f64::from(counts[SETTLING..].iter().sum::<u32>());
    sum(&live) / sum(&simulated)
}

#[test]
fn a_match_hour_costs_what_it_costs_in_a_simulation() {
    let scale = "{ max: 80, triggers: [{ target: { metric: arrivalRate, value: 80/1s } }], \
                 behavior: { scaleIn: { stabilization: 4s } } }";
    for seed in 0..6 {
        let factor = factor(scale, 1, seed);
        assert!((factor - 1.0).abs() <= 0.1, "seed {seed}: {factor}");
    }
}

/// In its first minute a fleet does not know yet how busy its instances may be, which a simulation is told. What the first
/// peaks are met with is held for minutes, so it takes some of these hours until both have seen the same.
#[test]
fn the_default_policy_costs_what_it_costs_in_a_simulation() {
    for (scale, seed) in [("{ max: 80 }", 0), ("{ max: 80 }", 1), ("{ max: 80, slo: { overload: 1% } }", 2)] {
        let factor = factor(scale, 20, seed);
        assert!((factor - 1.0).abs() <= 0.1, "{scale}, seed {seed}: {factor}");
    }
}
