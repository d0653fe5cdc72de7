//! From numbers to pixels, and where the ticks are.

use crate::figure::Axis;

/// A number and its place, with the number as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: String,
}

/// One axis of a panel: `low` lies at `from`, `high` at `to`.
#[derive(Debug, Clone)]
pub(crate) struct Scale<'a> {
    kind: &'a Axis,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

/// Steps of time that people count in.
const TIMES: [u64; 19] = [
    1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000, 7_776_000,
];
const DAY: u64 = 86_400;

impl<'a> Scale<'a> {
    /// An axis that shows all of `values` between the pixels `from` and `to`.
    pub(crate) fn new(kind: &'a Axis, values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let finite = values.filter(|value| value.is_finite() && value.abs() < 1e300);
        let (least, most) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (least, most) = if least > most { (0.0, 1.0) } else { (least, most) };
        let (low, high) = match kind {
            Axis::Number | Axis::Share => (least.min(0.0), most.max(0.0)),
            Axis::Between | Axis::Time => (least, most),
            // Half a place on each side.
            Axis::Names(names) => (-0.5, names.len() as f64 - 0.5),
        };
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        Self { kind, low, high, from, to }
    }

    /// The same with its ends at ticks, for axes of amounts.
    pub(crate) fn rounded(mut self, ticks: usize) -> Self {
        let step = nice((self.high - self.low) / ticks.max(1) as f64);
        self.low = (self.low / step).floor() * step;
        self.high = (self.high / step).ceil() * step;
        self
    }

    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// About `count` of them.
    pub(crate) fn ticks(&self, count: usize) -> Vec<Tick> {
        match self.kind {
            Axis::Names(names) => {
                (0..).zip(names).map(|(at, name)| Tick { at: f64::from(at), label: name.clone() }).collect()
            }
            Axis::Time => self.times(count),
            Axis::Number | Axis::Between => self.steps(nice(self.span() / count.max(1) as f64), amount),
            Axis::Share => self.steps(nice(self.span() / count.max(1) as f64), |value, step, largest| {
                format!("{}%", amount(value * 100.0, step * 100.0, largest * 100.0))
            }),
        }
    }

    fn span(&self) -> f64 {
        self.high - self.low
    }

    fn steps(&self, step: f64, label: impl Fn(f64, f64, f64) -> String) -> Vec<Tick> {
        let first = (self.low / step - 1e-9).ceil();
        let last = (self.high / step + 1e-9).floor();
        let count = (last - first).clamp(0.0, 50.0) as u32;
        let tick = |at: u32| (first + f64::from(at)) * step;
        // All in the unit of the largest.
        let largest = tick(0).abs().max(tick(count).abs());
        (0..=count).map(tick).map(|at| Tick { at, label: label(at, step, largest) }).collect()
    }

    fn times(&self, count: usize) -> Vec<Tick> {
        let least = self.span() / count.max(1) as f64;
        let step =
            TIMES.into_iter().find(|&step| step as f64 >= least).unwrap_or(TIMES[TIMES.len() - 1]) as f64;
        let step = if step < least { nice(least / DAY as f64) * DAY as f64 } else { step };
        self.steps(step, |seconds, step, _| moment(seconds, step))
    }
}

/// One, two or five times a power of ten, not below `least`.
fn nice(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor()).max(f64::MIN_POSITIVE);
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= least * (1.0 - 1e-9));
    times.unwrap_or(10.0) * power
}

/// `day 3`, `06:00`, `00:30` with seconds where they matter.
fn moment(seconds: f64, step: f64) -> String {
    if !(0.0..1e12).contains(&seconds) {
        return amount(seconds, step, seconds.abs());
    }
    let at = seconds.round() as u64;
    let (day, rest) = (at / DAY, at % DAY);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    match (rest, step < 60.0) {
        (0, _) if step >= 3_600.0 => format!("day {}", day + 1),
        (_, true) => format!("{hour:02}:{minute:02}:{second:02}"),
        (_, false) => format!("{hour:02}:{minute:02}"),
    }
}

/// `1.5`, `1,200`, `3M`: as many digits as tell ticks of `step` apart, in a unit that suits the `largest`.
fn amount(value: f64, step: f64, largest: f64) -> String {
    let (value, step, suffix) = match largest.abs().max(step.abs()) {
        large if large >= 1e15 => return format!("{value:.0e}"),
        large if large >= 1e9 => (value / 1e9, step / 1e9, "G"),
        large if large >= 1e6 => (value / 1e6, step / 1e6, "M"),
        large if large > 1e4 => (value / 1e3, step / 1e3, "k"),
        _ => (value, step, ""),
    };
    let digits = (-step.abs().max(1e-9).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) {
        return "0".to_owned();
    }
    format!("{}{suffix}", grouped(&text))
}

fn grouped(text: &str) -> String {
    if text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let (thousands, rest) = text.split_at(text.len() - 3);
        format!("{thousands},{rest}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(kind: &Axis, low: f64, high: f64) -> Vec<String> {
        let scale = Scale::new(kind, [low, high].into_iter(), (0.0, 100.0));
        scale.ticks(5).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Axis::Number, 3.0, 9.0), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(&Axis::Number, 0.0, 4_000.0), ["0", "1,000", "2,000", "3,000", "4,000"]);
        let to_ten_thousand = ["0", "2,000", "4,000", "6,000", "8,000", "10,000"];
        assert_eq!(labels(&Axis::Number, 0.0, 10_000.0), to_ten_thousand);
        assert_eq!(labels(&Axis::Number, 0.0, 22_000.0), ["0", "5k", "10k", "15k", "20k"], "all in one unit");
        assert_eq!(labels(&Axis::Number, 0.0, 45_000.0), ["0", "10k", "20k", "30k", "40k"]);
        assert_eq!(labels(&Axis::Between, 0.91, 0.94), ["0.91", "0.92", "0.93", "0.94"]);
        assert_eq!(labels(&Axis::Share, 0.0, 0.9), ["0%", "20%", "40%", "60%", "80%"]);
        assert_eq!(labels(&Axis::Time, 0.0, 345_600.0), ["day 1", "day 2", "day 3", "day 4", "day 5"]);
        assert_eq!(labels(&Axis::Time, 0.0, 3_600.0), ["00:00", "00:30", "01:00"]);
        assert_eq!(labels(&Axis::Names(vec!["a".into(), "b".into()]), 0.0, 9.0), ["a", "b"]);
    }

    #[test]
    fn a_rounded_axis_ends_at_ticks() {
        let scale = Scale::new(&Axis::Number, [9.3].into_iter(), (0.0, 100.0)).rounded(5);
        assert_eq!(scale.ticks(5).last().map(|tick| scale.place(tick.at)), Some(100.0));
    }

    #[test]
    fn nothing_and_one_value_have_an_axis_too() {
        for values in [vec![], vec![5.0], vec![f64::NAN], vec![0.0, 0.0]] {
            let scale = Scale::new(&Axis::Between, values.into_iter(), (10.0, 20.0));
            assert!(scale.place(5.0).is_finite() && !scale.ticks(4).is_empty());
        }
    }
}
