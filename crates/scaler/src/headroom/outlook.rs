//! Where demand is going: its mean of late, and where its trends would take it.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

/// Readings that the level is the mean of.
pub(super) const LEVEL: usize = 5;
/// Readings that a trend is told from: the mean of the later half against that of the earlier.
pub(super) const TRENDS: [usize; 3] = [6, 20, 60];
/// The trend by which growth is judged to be under way, and the one by which to be over.
const USUAL: usize = 1;
const QUICK: usize = 0;
/// Readings that are kept: those of the longest trend.
const MOST: usize = 60;
/// Room for them.
const RING: usize = 64;
/// Demand is kept in thousandths of an instance, so that sums are exact.
const PARTS: f64 = 1e3;
/// How much of the noise and of the pace each reading renews.
const RENEWED: f64 = 0.03;
/// Mean size of a second difference of noise whose standard deviation is one: the root of 6 times that of 2/π.
const SECOND_DIFFERENCE: f64 = 1.954;
/// Growth of less than so many standard errors may be noise.
const SURE: f64 = 4.0;
/// No trend is believed to lead to more than so many times the level, and an instance besides: the first seconds of
/// a burst look like a rise without end, the more so the longer instances take to start.
const STEEPEST: f64 = 3.0;

/// For each trend, what the difference of its halves' sums is multiplied by to be the rise in instances from one reading to the next.
const FROM_SUMS: [f64; TRENDS.len()] = [scaled(TRENDS[0]), scaled(TRENDS[1]), scaled(TRENDS[2])];
/// How uncertain the difference of its halves' means is, where one reading is by one: the root of two over the readings of a half.
const ERRORS: [f64; TRENDS.len()] = [0.816_496_580_927_726, 0.447_213_595_499_958, 0.258_198_889_747_161_1];
/// Less time than so many seconds is never taken to lie between two readings.
const LEAST_PACE: f64 = 1e-3;

const fn scaled(readings: usize) -> f64 {
    let half = (readings / 2) as f64;
    1.0 / (half * half * PARTS)
}

/// The demand of the last steps, in instances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outlook {
    /// Thousandths of an instance.
    latest: Latest,
    /// Sums over the later half of each trend and over all of it.
    sums: [(u64, u64); TRENDS.len()],
    /// Seconds between two readings.
    pace: f64,
    /// Standard deviation of a reading, in thousandths.
    noise: f64,
}

impl Outlook {
    /// Whether the sums are those of the readings.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        let sum = |readings: usize| self.latest.sum(readings);
        let expected = TRENDS.map(|readings| (sum(readings / 2), sum(readings)));
        Flaw::unless(self.sums == expected, "sums", || format!("{:?}, not {expected:?}", self.sums))
    }

    /// The newest demand, and the seconds since the one before.
    pub(super) fn observe(&mut self, passed: f64, demand: f64) {
        let newest = (demand * PARTS).ceil() as u32;
        let back = |readings: usize| u64::from(self.latest.back(readings));
        let (before, last) = (back(2), back(1));
        if self.latest.kept >= 2 {
            let bend = (f64::from(newest) - 2.0 * float(last) + float(before)).abs();
            self.noise += (bend * (1.0 / SECOND_DIFFERENCE) - self.noise) * RENEWED;
        }
        for ((half, whole), readings) in self.sums.iter_mut().zip(TRENDS) {
            *half = *half + u64::from(newest) - back(readings / 2);
            *whole = *whole + u64::from(newest) - back(readings);
        }
        self.latest.push(newest);
        self.pace = if self.pace > 0.0 { self.pace + (passed - self.pace) * RENEWED } else { passed };
    }

    /// The mean of the last readings.
    pub(super) fn level(&self) -> f64 {
        let sum = float(self.latest.sum(LEVEL));
        if self.latest.kept >= LEVEL {
            return sum * (1.0 / (LEVEL as f64 * PARTS));
        }
        sum / PARTS / (self.latest.kept as f64).max(1.0)
    }

    /// What arrived within the last `wait`, in instance-seconds.
    pub(super) fn arrived_within(&self, wait: f64, passed: f64) -> f64 {
        if wait <= 0.0 || passed <= 0.0 {
            return 0.0;
        }
        let readings = (wait / passed).round();
        let kept = readings.min(MOST as f64);
        // Longer than is remembered: as if it had always been so.
        float(self.latest.sum(kept as usize)) / PARTS * passed * readings / kept.max(1.0)
    }

    /// How demand rises: instances per second in each of the trends, from the middle of its earlier half to that of the later.
    pub(super) fn slopes(&self) -> [f64; TRENDS.len()] {
        let frequency = if self.pace > 0.0 { self.frequency() } else { 0.0 };
        let mut slopes = [0.0; TRENDS.len()];
        for (which, (slope, (late, whole))) in slopes.iter_mut().zip(self.sums).enumerate() {
            let risen = float(late) - float(whole - late);
            let known = self.latest.kept >= TRENDS[which];
            *slope = if known { risen * FROM_SUMS[which] * frequency } else { 0.0 };
        }
        slopes
    }

    /// Readings per second.
    fn frequency(&self) -> f64 {
        1.0 / self.pace.max(LEAST_PACE)
    }

    /// Where demand, now at `level`, will be `ahead` seconds from now if it goes on rising as in each of the trends.
    /// Never below the level, and not absurdly far above it.
    pub(super) fn rising(&self, level: f64, ahead: f64, slopes: &[f64; TRENDS.len()]) -> [f64; TRENDS.len()] {
        // The level is the mean of some readings and lies half of them back.
        let lag = LEVEL as f64 / 2.0 * self.pace;
        slopes.map(|slope| (level + slope.max(0.0) * (ahead + lag)).min(STEEPEST * level + 1.0))
    }

    /// Instances per second by which demand surely rises; zero where it may be noise, and no more than it may have
    /// risen just now: a step is over at once, and the longer trend tells it from a rise only later.
    pub(super) fn growth(&self, slopes: &[f64; TRENDS.len()]) -> f64 {
        let surely = slopes[USUAL] - SURE * self.error(USUAL);
        surely.min(slopes[QUICK] + self.error(QUICK)).max(0.0)
    }

    /// What noise makes of a trend where there is none: the standard error of its slope.
    fn error(&self, which: usize) -> f64 {
        let half = (TRENDS[which] / 2) as f64;
        self.noise * (ERRORS[which] / (half * PARTS)) * self.frequency()
    }
}

/// The last readings, a ring. Those that there were not yet are zero.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
struct Latest {
    ring: [u32; RING],
    next: usize,
    kept: usize,
}

impl Default for Latest {
    fn default() -> Self {
        Self { ring: [0; RING], next: 0, kept: 0 }
    }
}

impl PartialEq for Latest {
    fn eq(&self, other: &Self) -> bool {
        Vec::from(self.clone()) == Vec::from(other.clone())
    }
}

impl From<Latest> for Vec<u32> {
    /// The newest last.
    fn from(latest: Latest) -> Self {
        (1..=latest.kept).rev().map(|back| latest.back(back)).collect()
    }
}

impl TryFrom<Vec<u32>> for Latest {
    type Error = String;

    fn try_from(readings: Vec<u32>) -> Result<Self, String> {
        if readings.len() > MOST {
            return Err(format!("{} readings are more than {MOST}", readings.len()));
        }
        let mut latest = Self::default();
        for reading in readings {
            latest.push(reading);
        }
        Ok(latest)
    }
}

impl Latest {
    fn push(&mut self, newest: u32) {
        self.ring[self.next % RING] = newest;
        self.next = (self.next + 1) % RING;
        self.kept = (self.kept + 1).min(MOST);
    }

    /// The one so many readings back; the newest is one back.
    fn back(&self, readings: usize) -> u32 {
        self.ring[(self.next + RING - readings) % RING]
    }

    /// Of the last so many.
    fn sum(&self, readings: usize) -> u64 {
        (1..=readings).map(|back| u64::from(self.back(back))).sum()
    }
}

/// A sum of readings, of which none is so large that its sign would be lost: processors convert signed numbers only.
fn float(sum: u64) -> f64 {
    sum.cast_signed() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(demand: impl Fn(u32) -> f64) -> Outlook {
        let mut outlook = Outlook::default();
        for second in 0..90 {
            outlook.observe(1.0, demand(second));
        }
        outlook
    }

    fn rising(outlook: &Outlook, ahead: f64) -> [f64; TRENDS.len()] {
        outlook.rising(outlook.level(), ahead, &outlook.slopes())
    }

    fn growth(outlook: &Outlook) -> f64 {
        outlook.growth(&outlook.slopes())
    }

    #[test]
    fn a_ramp_is_expected_to_go_on() {
        let outlook = outlook(|second| 10.0 + f64::from(second));
        assert!((outlook.level() - 97.0).abs() < 1e-9);
        for rising in rising(&outlook, 30.0) {
            assert!((rising - 129.5).abs() < 1e-6, "{rising}");
        }
        assert!((growth(&outlook) - 1.0).abs() < 1e-6, "{}", growth(&outlook));
    }

    #[test]
    fn a_burst_is_not_expected_to_rise_without_end() {
        let outlook = outlook(|second| if second < 87 { 0.0 } else { 10.0 });
        assert!((outlook.level() - 6.0).abs() < 1e-9);
        assert!(rising(&outlook, 120.0).into_iter().all(|rising| rising <= 19.0 + 1e-9));
        assert!((rising(&outlook, 120.0)[0] - 19.0).abs() < 1e-6);
    }

    #[test]
    fn falling_demand_is_not_expected_to_fall_on() {
        let outlook = outlook(|second| 100.0 - f64::from(second));
        assert!((rising(&outlook, 30.0)[1] - outlook.level()).abs() < 1e-9);
        assert!(growth(&outlook) <= 0.0);
    }

    #[test]
    fn a_step_is_no_growth_once_it_is_over() {
        let growth = |seconds: u32| growth(&outlook(|second| if second < 90 - seconds { 1.0 } else { 10.0 }));
        assert!(growth(3) > 0.15, "{}", growth(3));
        for seconds in 7..20 {
            assert!(growth(seconds) < 0.08, "{} after {seconds} s", growth(seconds));
        }
    }

    #[test]
    fn noise_is_no_growth() {
        let jump = |second: u32| f64::from(second.wrapping_mul(2_654_435_761) >> 20) / 4_096.0;
        for offset in 0..50 {
            let growth = growth(&outlook(|second| 20.0 + jump(second + offset)));
            assert!(growth <= 0.0, "{growth}");
        }
    }

    #[test]
    fn what_may_still_wait_is_what_arrived_since() {
        let outlook = outlook(f64::from);
        assert!((outlook.arrived_within(0.0, 1.0) - 0.0).abs() < 1e-9);
        assert!((outlook.arrived_within(1.0, 1.0) - 89.0).abs() < 1e-9);
        assert!((outlook.arrived_within(3.0, 1.0) - 264.0).abs() < 1e-9);
        assert!(
            (outlook.arrived_within(120.0, 1.0) - 2.0 * 59.5 * 60.0).abs() < 1e-9,
            "as far as it is known"
        );
    }

    #[test]
    fn errors_are_those_of_the_difference_of_two_means() {
        for (error, readings) in ERRORS.into_iter().zip(TRENDS) {
            assert!((error - (2.0 / (readings / 2) as f64).sqrt()).abs() < 1e-12, "{error}");
        }
    }

    #[test]
    fn no_more_readings_are_read_back_than_are_kept() {
        let read = |count: usize| serde_json::from_value::<Latest>(vec![7; count].into());
        let sixty = read(MOST).unwrap();
        assert_eq!((sixty.sum(MOST), Vec::from(sixty)), (7 * 60, vec![7; MOST]));
        assert!(read(MOST + 1).unwrap_err().to_string().starts_with("61 readings are more than 60"));
    }

    #[test]
    fn readings_at_one_moment_have_no_trend() {
        let mut outlook = Outlook::default();
        for _ in 0..100 {
            outlook.observe(0.0, 3.0);
        }
        assert!((rising(&outlook, 30.0)[1] - 3.0).abs() < 1e-9);
        assert_eq!(outlook.latest.kept, MOST);
    }
}
