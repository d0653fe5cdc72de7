//! What goes wrong next, by a seed.

use serde_json::{Value, json};

/// Things that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Kind {
    /// An instance ends without a word
    Kill,
    /// It does nothing for a while
    Pause,
    /// It does nothing half of the time
    Slow,
    /// It is announced to go, and is taken away
    Reclaim,
    /// So are all instances of a spot pool, at once
    ReclaimPool,
    /// What is started is started later
    DelayDrivers,
    /// No metric is seen
    DropMetrics,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Kill,
        Self::Pause,
        Self::Slow,
        Self::Reclaim,
        Self::ReclaimPool,
        Self::DelayDrivers,
        Self::DropMetrics,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Slow => "slow",
            Self::Reclaim => "reclaim",
            Self::ReclaimPool => "reclaimPool",
            Self::DelayDrivers => "delayDrivers",
            Self::DropMetrics => "dropMetrics",
        }
    }
}

/// What something can be done to, as the Admin API shows it.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Instances that run.
    pub(super) instances: Vec<Value>,
    /// Spot pools that have some: `fleet` and `pool`.
    pub(super) pools: Vec<Value>,
}

/// Decides by numbers that follow from the seed: `SplitMix64`.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// What to do next, and to whom. Without targets, only what needs none.
    pub(super) fn next(&mut self, kinds: &[Kind], targets: &Targets) -> Option<(Kind, Value)> {
        // Always as many numbers, so that what comes later does not depend on what was there.
        let (kind, instance, share) = (self.below(kinds.len()), self.unit(), self.unit());
        let kind = *kinds.get(kind?)?;
        let index = |count: usize| (instance * count as f64) as usize;
        let pick = |from: &[&Value]| from.get(index(from.len())).map(|one| one["id"].clone());
        let all: Vec<&Value> = targets.instances.iter().collect();
        let processes: Vec<&Value> = all.iter().copied().filter(|one| one["pid"].is_u64()).collect();
        let wish = match kind {
            Kind::Kill => json!({ "instance": pick(&all)? }),
            Kind::Pause => json!({ "instance": pick(&processes)?, "seconds": tenths(0.2, 1.5, share) }),
            Kind::Slow => json!({ "instance": pick(&processes)?, "seconds": tenths(1.0, 5.0, share) }),
            Kind::Reclaim => json!({ "instance": pick(&all)?, "seconds": tenths(5.0, 15.0, share) }),
            Kind::ReclaimPool => {
                let mut pool = targets.pools.get(index(targets.pools.len()))?.clone();
                pool["seconds"] = tenths(5.0, 15.0, share).into();
                pool
            }
            Kind::DelayDrivers => {
                json!({ "by": tenths(0.2, 2.0, share), "seconds": tenths(2.0, 10.0, share) })
            }
            Kind::DropMetrics => json!({ "seconds": tenths(1.0, 10.0, share) }),
        };
        let mut wish = wish;
        wish["action"] = kind.name().into();
        Some((kind, wish))
    }

    /// From 0 up to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, count: usize) -> Option<usize> {
        let unit = self.unit();
        (count > 0).then_some((unit * count as f64) as usize)
    }

    const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A part of the way from `least` to `most`, in tenths of a second.
fn tenths(least: f64, most: f64, share: f64) -> f64 {
    ((least + (most - least) * share) * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(seed: u64, targets: &Targets) -> Vec<Option<(Kind, Value)>> {
        let mut dice = Dice::new(seed);
        (0..200).map(|_| dice.next(&Kind::ALL, targets)).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_course_and_every_kind_comes() {
        let targets = Targets {
            instances: vec![json!({ "id": "a-1", "pid": 7 }), json!({ "id": "a-2", "pid": null })],
            pools: vec![json!({ "fleet": "a", "pool": "spot" })],
        };
        let first = course(1, &targets);
        assert_eq!(first, course(1, &targets));
        assert_ne!(first, course(2, &targets));
        for kind in Kind::ALL {
            assert!(first.iter().flatten().any(|(other, _)| *other == kind), "{kind:?}");
        }
        let paused = first.iter().flatten().filter(|(kind, _)| matches!(kind, Kind::Pause | Kind::Slow));
        assert!(paused.clone().count() > 0 && paused.into_iter().all(|(_, wish)| wish["instance"] == "a-1"));
    }

    #[test]
    fn without_instances_nothing_is_done_to_one() {
        let kinds: Vec<Kind> =
            course(1, &Targets::default()).into_iter().flatten().map(|(kind, _)| kind).collect();
        assert!(!kinds.is_empty());
        assert!(kinds.iter().all(|kind| matches!(kind, Kind::DelayDrivers | Kind::DropMetrics)));
    }
}
