//! Demand that nobody recorded: the shapes that recordings have, drawn from a seed.

use crate::demands::Kind;

/// Seconds between two rows, and the rows, for a seed.
pub(crate) type Make = fn(u64) -> (u64, Vec<f64>);

/// Name, kind and recipe.
pub(crate) const ALL: [(&str, Kind, Make); 7] = [
    ("gen days", Kind::Smooth, days),
    ("gen walk", Kind::Smooth, walk),
    ("gen jumps", Kind::Bursty, jumps),
    ("gen cron", Kind::Bursty, cron),
    ("gen crowds", Kind::Bursty, crowds),
    ("gen spikes", Kind::Bursty, spikes),
    ("gen silence", Kind::Silent, silence),
];

const MINUTES_OF_DAY: usize = 1_440;

/// Four days with a night each, growing, and noise from minute to minute.
fn days(seed: u64) -> (u64, Vec<f64>) {
    let (mut dice, mut noise) = (Dice::new(seed, 1), 0.0);
    let rate = |minute: usize| {
        let day = minute as f64 / MINUTES_OF_DAY as f64;
        noise = noise * 0.9 + dice.normal() * 0.02;
        let season = 0.6 - 0.4 * (std::f64::consts::TAU * day).cos();
        season * (1.0 + 0.05 * day) * f64::exp(noise)
    };
    (60, (0..4 * MINUTES_OF_DAY).map(rate).collect())
}

/// Two days that wander, with no season at all.
fn walk(seed: u64) -> (u64, Vec<f64>) {
    let (mut dice, mut level) = (Dice::new(seed, 2), 0.0);
    let rate = |_| {
        level = level * 0.998 + dice.normal() * 0.05;
        f64::exp(level)
    };
    (60, (0..2 * MINUTES_OF_DAY).map(rate).collect())
}

/// A day of plateaus: every ten minutes or so the rate is another one.
fn jumps(seed: u64) -> (u64, Vec<f64>) {
    let (mut dice, mut level) = (Dice::new(seed, 3), 1.0);
    let rate = |_| {
        if dice.uniform() < 0.1 {
            level = f64::exp(dice.normal() * 0.6);
        }
        level * (1.0 + 0.03 * dice.normal()).max(0.0)
    };
    (60, (0..MINUTES_OF_DAY).map(rate).collect())
}

/// Two days with something that runs every quarter of an hour, and once a day something large.
fn cron(seed: u64) -> (u64, Vec<f64>) {
    let mut dice = Dice::new(seed, 4);
    let rate = |minute: usize| {
        let base = 1.0 + 0.05 * dice.normal();
        let quarter = if minute % 15 < 2 { 1.5 + 0.3 * dice.normal() } else { 0.0 };
        let nightly = if (180..200).contains(&(minute % MINUTES_OF_DAY)) { 4.0 } else { 0.0 };
        (base + quarter + nightly).max(0.1)
    };
    (60, (0..2 * MINUTES_OF_DAY).map(rate).collect())
}

/// Five quiet days, and a few times a crowd from nowhere that leaves slowly.
fn crowds(seed: u64) -> (u64, Vec<f64>) {
    let (mut dice, mut crowd) = (Dice::new(seed, 5), 0.0);
    let rate = |_| {
        crowd *= 0.8;
        if dice.uniform() < 0.005 {
            crowd += 3.0 / dice.uniform().powf(0.7);
        }
        (1.0 + 0.1 * dice.normal()).max(0.2) + crowd
    };
    (300, (0..1_440).map(rate).collect())
}

/// Eight hours of many small services together: every few minutes one of them has a minute of its own.
fn spikes(seed: u64) -> (u64, Vec<f64>) {
    let (mut dice, mut spike) = (Dice::new(seed, 6), 0.0);
    let rate = |_| {
        spike = if dice.uniform() < 0.12 { 0.4 / dice.uniform().powf(0.6) } else { spike * 0.3 };
        (1.0 + 0.12 * dice.normal()).max(0.3) + spike
    };
    (60, (0..480).map(rate).collect())
}

/// An hour of seconds: nothing, and then a burst that may last.
fn silence(seed: u64) -> (u64, Vec<f64>) {
    let (mut dice, mut burst) = (Dice::new(seed, 7), 0.0);
    let rate = |_| {
        if dice.uniform() < 0.05 {
            burst = f64::exp(dice.normal() * 0.9);
        } else if dice.uniform() < 0.35 {
            burst = 0.0;
        }
        burst * f64::exp(dice.normal() * 0.4)
    };
    (1, (0..3_600).map(rate).collect())
}

/// Numbers that only depend on a seed and on whose they are.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, whose: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ whose.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// Above zero, below one (splitmix64).
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Mean 0, variance 1.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
