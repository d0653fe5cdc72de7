//! The largest or smallest of a span of time, in a handful of numbers.
//!
//! The span is divided into parts and each keeps its extreme, so an hour costs as much as ten seconds. What
//! is held is held for at most one part longer than asked. Until the next part begins the extreme of all can only
//! become more so, so the parts are gone through once for each part and not once for each step.
//!
//! Windows of one span go [abreast](Abreast): their parts begin together, and what is done to one is done to all in the same few
//! instructions. Written down is each by itself, as a [`Window`].

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_core::Flaw;

use super::{larger, packed, smaller};

/// Parts that a span is divided into, the one that is being filled included.
const PARTS: usize = 16;

/// A part is never longer, in seconds: a sixteenth of all the time that instances may take to start.
const LONGEST: f32 = 600_000.0;

/// One window, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Extremes of the parts, a ring.
    #[serde(with = "packed")]
    parts: [f32; PARTS],
    at: usize,
    /// Seconds until the next part begins.
    left: f32,
}

/// `N` windows of one span. Either the largest or the smallest is asked for, of the same windows always the same.
#[derive(Debug, Clone, PartialEq)]
#[repr(align(16))]
pub(super) struct Abreast<const N: usize> {
    /// Extremes of the parts of each, a ring.
    parts: [[f32; N]; PARTS],
    at: usize,
    /// Seconds until the next part begins.
    left: f32,
    held: Held<N>,
}

/// The extremes of all parts, where they are known. They follow from them and are no memory.
#[derive(Debug, Clone, Copy)]
struct Held<const N: usize>(Option<[f32; N]>);

impl<const N: usize> PartialEq for Held<N> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<const N: usize> Abreast<N> {
    /// As if each had always been `value`.
    pub(super) fn new(value: f32) -> Self {
        Self { parts: [[value; N]; PARTS], at: 0, left: 0.0, held: Held(None) }
    }

    /// `None` where their parts do not begin together.
    pub(super) fn of(windows: [&Window; N]) -> Option<Self> {
        let Window { at, left, .. } = *windows[0];
        let together = windows.iter().all(|other| other.at == at && other.left.to_bits() == left.to_bits());
        let parts = std::array::from_fn(|part| windows.map(|window| window.parts[part]));
        together.then_some(Self { parts, at, left, held: Held(None) })
    }

    /// One of them.
    pub(super) fn window(&self, number: usize) -> Window {
        Window { parts: self.parts.map(|part| part[number]), at: self.at, left: self.left }
    }

    /// Whether the next part begins at all: what never does would hold for good.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        Flaw::unless(self.at < PARTS, "at", || format!("{} of {PARTS} parts", self.at))?;
        Flaw::unless(self.left <= LONGEST, "left", || format!("{} s are longer than {LONGEST}", self.left))
    }

    /// The largest of each in the last `span` seconds, where `values` are the newest and `passed` the time since those before.
    #[inline(always)]
    pub(super) fn largest(&mut self, passed: f32, span: f32, values: &[f32; N]) -> [f32; N] {
        self.hold(passed, span, values, larger)
    }

    #[inline(always)]
    pub(super) fn smallest(&mut self, passed: f32, span: f32, values: &[f32; N]) -> [f32; N] {
        self.hold(passed, span, values, smaller)
    }

    #[inline(always)]
    fn hold(
        &mut self,
        passed: f32,
        span: f32,
        values: &[f32; N],
        extreme: impl Fn(f32, f32) -> f32,
    ) -> [f32; N] {
        self.left -= passed;
        if self.left <= 0.0 {
            self.left = larger(self.left + span / (PARTS - 1) as f32, 0.0);
            self.at = (self.at + 1) % PARTS;
            self.parts[self.at] = *values;
            self.held = Held(None);
        }
        let newest = &mut self.parts[self.at % PARTS];
        take(newest, values, &extreme);
        if span <= 0.0 {
            self.held = Held(None);
            return *newest;
        }
        // Where steps are longer than parts, there is a part for each step and some are older than the span.
        if passed * (PARTS - 1) as f32 > span {
            self.held = Held(None);
            return self.of_young(young(span / passed), values, extreme);
        }
        let Held(held) = self.held;
        let mut held = held.unwrap_or_else(|| self.of_all(&extreme));
        take(&mut held, values, &extreme);
        self.held = Held(Some(held));
        held
    }

    #[inline(always)]
    fn of_all(&self, extreme: impl Fn(f32, f32) -> f32) -> [f32; N] {
        let [first, rest @ ..] = &self.parts;
        let mut all = *first;
        for part in rest {
            take(&mut all, part, &extreme);
        }
        all
    }

    /// Of the last so many parts and the newest.
    #[inline(always)]
    fn of_young(&self, parts: usize, newest: &[f32; N], extreme: impl Fn(f32, f32) -> f32) -> [f32; N] {
        let mut all = *newest;
        for back in 0..parts {
            take(&mut all, &self.parts[(self.at + PARTS - back) % PARTS], &extreme);
        }
        all
    }
}

/// Lets each of `held` become more extreme where its newest value is.
#[inline(always)]
fn take<const N: usize>(held: &mut [f32; N], values: &[f32; N], extreme: impl Fn(f32, f32) -> f32) {
    for (held, &value) in held.iter_mut().zip(values) {
        *held = extreme(*held, value);
    }
}

/// Parts that are not older than `steps`, which are fewer than there are parts: rounded up, and the one that is being filled.
fn young(steps: f32) -> usize {
    let whole = steps as i32;
    ((whole + i32::from((whole as f32) < steps) + 1) as usize).min(PARTS)
}

/// A single window is written down as one.
impl Serialize for Abreast<1> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.window(0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Abreast<1> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Window { parts, at, left } = Window::deserialize(deserializer)?;
        Ok(Self { parts: parts.map(|part| [part]), at, left, held: Held(None) })
    }
}

/// Several, where there are any, are written down one after the other. Those of another number are of no use.
pub(super) mod abreast {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Abreast, Window};

    #[expect(clippy::ref_option, reason = "as serde calls it")]
    pub(in super::super) fn serialize<S: Serializer, const N: usize>(
        windows: &Option<Abreast<N>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let all = windows.iter().flat_map(|windows| (0..N).map(|number| windows.window(number)));
        serializer.collect_seq(all)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<Option<Abreast<N>>, D::Error> {
        let windows = Vec::<Window>::deserialize(deserializer)?;
        let Ok(windows) = <&[Window; N]>::try_from(windows.as_slice()) else { return Ok(None) };
        let abreast = Abreast::of(windows.each_ref());
        abreast.map(Some).ok_or_else(|| D::Error::custom("the parts of these windows do not begin together"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_holds_no_less_than_asked_and_hardly_longer(
            values in prop::collection::vec((0..1_000_u16, 0..1_000_u16), 1..400),
            span in 0..200_usize,
        ) {
            let values: Vec<[f32; 2]> = values.into_iter().map(|(one, other)| [one.into(), other.into()]).collect();
            let mut windows = Abreast::new(0.0);
            for (second, newest) in values.iter().enumerate() {
                let held = windows.largest(1.0, span as f32, newest);
                for (lane, held) in held.into_iter().enumerate() {
                    let max_of = |span: usize| {
                        values[second.saturating_sub(span)..=second].iter().map(|all| all[lane]).fold(0.0, f32::max)
                    };
                    prop_assert!(held >= max_of(span), "{held} at {second}");
                    prop_assert!(held <= max_of(span + span.div_ceil(PARTS - 1) + 1), "{held} at {second}");
                }
            }
        }

        #[test]
        fn a_short_window_is_exact(values in prop::collection::vec(0..1_000_u16, 1..100), span in 0..15_usize) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut window = Abreast::new(values[0]);
            for (second, &value) in values.iter().enumerate() {
                let least = values[second.saturating_sub(span)..=second].iter().copied().fold(f32::MAX, f32::min);
                let [held] = window.smallest(1.0, span as f32, &[value]);
                prop_assert_eq!(held.to_bits(), least.to_bits());
            }
        }

        #[test]
        fn windows_that_were_written_down_go_on_as_they_were(
            values in prop::collection::vec((0..1_000_u16, 0..1_000_u16), 1..100),
            span in 0..60_usize,
            at in 0..100_usize,
        ) {
            let (mut windows, span) = (Abreast::<2>::new(0.0), span as f32);
            let mut again = windows.clone();
            for (second, (one, other)) in values.into_iter().enumerate() {
                if second == at {
                    again = Abreast::of([&windows.window(0), &windows.window(1)]).unwrap();
                }
                let newest = [one.into(), other.into()];
                let held = windows.largest(1.0, span, &newest);
                prop_assert_eq!(again.largest(1.0, span, &newest).map(f32::to_bits), held.map(f32::to_bits));
                prop_assert_eq!(&again, &windows);
            }
        }
    }

    #[test]
    fn windows_whose_parts_begin_at_other_times_do_not_go_abreast() {
        #[derive(Debug, Deserialize)]
        struct Two(#[serde(with = "abreast")] Option<Abreast<2>>);
        let read = |json: &str| serde_json::from_str::<Two>(json).map(|Two(windows)| windows.is_some());
        let window = |at: u32, left: &str| format!(r#"{{"parts":"0*16","at":{at},"left":{left}}}"#);
        let [one, next, later] = [window(3, "0.5"), window(4, "0.5"), window(3, "0.75")];
        assert!(read(&format!("[{one},{one}]")).unwrap());
        assert!(!read("[]").unwrap() && !read(&format!("[{one},{one},{one}]")).unwrap());
        for other in [next, later] {
            let refused = read(&format!("[{one},{other}]")).unwrap_err().to_string();
            assert!(refused.starts_with("the parts of these windows do not begin together"), "{refused}");
        }
    }
}
