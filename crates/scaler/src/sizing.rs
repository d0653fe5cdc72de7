//! Right-sizing: what one instance needs, from what instances did need.
//!
//! Readings are those that decisions rest on, so what is advised can be checked against the journal. Each is divided by
//! the instances that it is of and kept in bins of 2 %, so a month needs as little memory as an hour, and percentiles are
//! at most that far off, on the safe side.
//!
//! Not here: how busy an instance may be, which the scaler learns (see [`crate::scaler::Learned`]).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::observed::Observed;

/// What is advised over what 99 of 100 readings needed, for processor time: beyond it things get slow.
const CPU_RESERVE: f64 = 1.15;
/// What is advised over the most that was needed, for memory: beyond it things end.
const MEMORY_RESERVE: f64 = 1.2;
/// Steps in which sizes are advised: cores, and bytes.
const CPU_STEP: f64 = 0.05;
const MEMORY_STEP: f64 = 16.0 * 1_048_576.0;
/// Fewer readings say nothing.
const FEWEST: u64 = 60;
/// How far bins are apart, and where the first begins.
const APART: f64 = 1.02;
const SMALLEST: f64 = 1e-6;

/// Readings of one fleet.
#[derive(Debug, Clone, Default)]
pub struct Sizing {
    cpu: Spread,
    memory: Spread,
    utilization: Spread,
    readings: u64,
    /// Instances that were ready, and of those that were busy, summed up over the readings that know both.
    ready: f64,
    busy: f64,
    known: u64,
}

/// What one instance needs of something.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Need {
    pub median: f64,
    pub p95: f64,
    pub p99: f64,
    pub most: f64,
    pub advised: f64,
}

/// What follows from the readings. `None`: too little was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    pub readings: u64,
    /// Ready instances, mean.
    pub instances: f64,
    /// Cores.
    pub cpu: Option<Need>,
    /// Bytes.
    pub memory: Option<Need>,
    /// Share of time that instances were busy: mean, and in 95 of 100 readings at most.
    pub utilization: Option<f64>,
    pub utilization_p95: Option<f64>,
}

impl Sizing {
    pub fn look(&mut self, observed: &Observed) {
        self.readings += 1;
        let (metrics, instances) = (&observed.metrics, observed.instances);
        let running = f64::from(instances.starting + instances.ready + instances.draining);
        if running > 0.0 {
            self.cpu.add(metrics.cpu.map(|cores| cores / running));
            self.memory.add(metrics.memory.map(|bytes| bytes / running));
        }
        self.utilization.add(metrics.utilization);
        if let Some(share) = metrics.utilization {
            let ready = f64::from(instances.ready);
            (self.ready, self.busy, self.known) =
                (self.ready + ready, self.busy + ready * share, self.known + 1);
        }
    }

    pub fn sizes(&self) -> Sizes {
        let cpu = |spread: &Spread| CPU_STEP * (spread.within(0.99) * CPU_RESERVE / CPU_STEP).ceil();
        let memory =
            |spread: &Spread| MEMORY_STEP * (spread.within(1.0) * MEMORY_RESERVE / MEMORY_STEP).ceil();
        Sizes {
            readings: self.readings,
            instances: self.ready / (self.known as f64).max(1.0),
            cpu: self.cpu.need(cpu),
            memory: self.memory.need(memory),
            utilization: (self.known >= FEWEST && self.ready > 0.0).then(|| self.busy / self.ready),
            utilization_p95: (self.utilization.count >= FEWEST).then(|| self.utilization.within(0.95)),
        }
    }
}

impl Sizes {
    /// The share of instances that could be spared if all were as busy as they `safe`ly may be. Negative: they were busier.
    pub fn spare(&self, safe: f64) -> Option<f64> {
        self.utilization.filter(|_| safe > 0.0).map(|busy| 1.0 - busy / safe)
    }
}

/// How often what was read.
#[derive(Debug, Clone, Default)]
struct Spread {
    bins: BTreeMap<i32, u64>,
    count: u64,
    most: f64,
}

impl Spread {
    fn add(&mut self, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite() && *value >= 0.0) else { return };
        let bin = (value.max(SMALLEST) / SMALLEST).log(APART).ceil() as i32;
        *self.bins.entry(bin).or_default() += 1;
        (self.count, self.most) = (self.count + 1, self.most.max(value));
    }

    /// What a share of the readings is not above.
    fn within(&self, share: f64) -> f64 {
        let (wanted, mut below) = ((share * self.count as f64).ceil() as u64, 0);
        let reaches = |(_, count): &(&i32, &u64)| {
            below += **count;
            below >= wanted
        };
        let bin = self.bins.iter().find(reaches).map_or(0, |(bin, _)| *bin);
        (SMALLEST * APART.powi(bin)).min(self.most)
    }

    fn need(&self, advised: impl Fn(&Self) -> f64) -> Option<Need> {
        (self.count >= FEWEST && self.most > 0.0).then(|| Need {
            median: self.within(0.5),
            p95: self.within(0.95),
            p99: self.within(0.99),
            most: self.most,
            advised: advised(self),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::observed::{Instances, Metrics};

    fn reading(ready: u32, cores: f64, mib: f64, utilization: f64) -> Observed {
        let metrics = Metrics {
            cpu: Some(cores),
            memory: Some(mib * 1_048_576.0),
            utilization: Some(utilization),
            ..Metrics::default()
        };
        Observed { metrics, instances: Instances { ready, ..Instances::default() }, ..Observed::default() }
    }

    #[test]
    fn sizes_are_those_of_one_instance_with_a_reserve() {
        let mut sizing = Sizing::default();
        for second in 0..1_000 {
            // Two in a hundred readings need twice the cores, one the memory of a leak.
            let cores = if second % 50 == 0 { 4.0 } else { 2.0 };
            sizing.look(&reading(4, cores, if second == 7 { 400.0 } else { 200.0 }, 0.4));
        }
        let sizes = sizing.sizes();
        let (cpu, memory) = (sizes.cpu.unwrap(), sizes.memory.unwrap());
        assert!((cpu.median / 0.5 - 1.0).abs() < 0.021 && (cpu.p99 / 1.0 - 1.0).abs() < 0.021, "{cpu:?}");
        assert!((cpu.advised - 1.15).abs() < 0.051, "{cpu:?}");
        assert!(
            (memory.advised / 1_048_576.0 - 128.0).abs() < 1e-9,
            "100 and a fifth, in steps of 16: {memory:?}"
        );
        assert!((sizes.instances - 4.0).abs() < 1e-9);
        assert!((sizes.spare(0.8).unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn too_little_says_nothing() {
        let mut sizing = Sizing::default();
        for _ in 0..59 {
            sizing.look(&reading(1, 1.0, 10.0, 0.5));
        }
        sizing.look(&Observed::default());
        let sizes = sizing.sizes();
        assert_eq!((sizes.readings, sizes.cpu, sizes.memory, sizes.utilization), (60, None, None, None));
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_readings(
            values in prop::collection::vec(0.001..100.0_f64, 1..300),
            share in 0.01..1.0_f64,
        ) {
            let mut spread = Spread::default();
            for &value in &values {
                spread.add(Some(value));
            }
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            let exact = sorted[((share * sorted.len() as f64).ceil() as usize).max(1) - 1];
            let within = spread.within(share);
            prop_assert!(within >= exact * (1.0 - 1e-9) && within <= exact * APART * (1.0 + 1e-9), "{within}, not {exact}");
        }
    }
}
