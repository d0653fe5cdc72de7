//! The largest or smallest of a span of time, in a handful of numbers.
//!
//! The span is divided into parts and each keeps its extreme, so an hour costs as much as ten seconds. What
//! is held is held for at most one part longer than asked. The parts are a ring, and with its beginning the extremes of all from each
//! part to the ring's end are worked out once: what is held is the extreme of those that are not replaced yet and of what came since.
//!
//! Windows go [abreast](Abreast): those of one span begin their parts together, and what is done to one is done to all in the same few
//! instructions. Written down is each by itself, as a [`Window`].

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use super::{larger, packed};

/// Parts that a span is divided into, the one that is being filled included.
const PARTS: usize = 16;

/// A part is never longer, in seconds: a sixteenth of all the time that instances may take to start.
const LONGEST: f32 = 600_000.0;

/// Which of two numbers is held. None is negative, so they are in the order of their bits: told from these there is an instruction for it
/// that never becomes a store under a condition, which some processors are slow at.
pub(super) trait Extreme {
    fn of(one: u32, other: u32) -> u32;
}

#[derive(Debug, Clone)]
pub(super) struct Largest;

#[derive(Debug, Clone)]
pub(super) struct Smallest;

impl Extreme for Largest {
    #[inline(always)]
    fn of(one: u32, other: u32) -> u32 {
        one.max(other)
    }
}

impl Extreme for Smallest {
    #[inline(always)]
    fn of(one: u32, other: u32) -> u32 {
        one.min(other)
    }
}

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

/// A number for each of `N` windows of each of so many spans.
type Rows<const SPANS: usize, const N: usize> = [[f32; N]; SPANS];

/// `N` windows of each of so many spans.
#[derive(Debug, Clone)]
#[repr(align(32))]
pub(super) struct Abreast<E, const SPANS: usize, const N: usize> {
    /// Extremes of the parts, a ring. That of the part which is being filled is not there yet.
    parts: [Rows<SPANS, N>; PARTS],
    newest: Rows<SPANS, N>,
    /// Of each span, which part is being filled, and the seconds until the next begins.
    at: [usize; SPANS],
    left: [f32; SPANS],
    /// What follows from the parts. From each to the end of the ring, as long as it is not replaced.
    to_the_end: [Rows<SPANS, N>; PARTS],
    /// Of these, what follows the part that is being filled; and all from the beginning of the ring to that.
    older: Rows<SPANS, N>,
    younger: Rows<SPANS, N>,
    extreme: PhantomData<E>,
}

/// What is not written down follows from the rest, or was never of use.
impl<E: Extreme, const SPANS: usize, const N: usize> PartialEq for Abreast<E, SPANS, N> {
    fn eq(&self, other: &Self) -> bool {
        self.windows().eq(other.windows())
    }
}

impl<E: Extreme, const SPANS: usize, const N: usize> Abreast<E, SPANS, N> {
    /// As if each had always been `value`.
    pub(super) fn new(value: f32) -> Self {
        let rows = [[value; N]; SPANS];
        Self {
            parts: [rows; PARTS],
            newest: rows,
            at: [0; SPANS],
            left: [0.0; SPANS],
            to_the_end: [rows; PARTS],
            older: rows,
            younger: rows,
            extreme: PhantomData,
        }
    }

    /// `None` where the parts of those of one span do not begin together.
    pub(super) fn of(windows: [[&Window; N]; SPANS]) -> Option<Self> {
        let mut all = Self::new(0.0);
        for (span, windows) in windows.into_iter().enumerate() {
            let Window { at, left, .. } = *windows[0];
            let alike = |other: &&Window| other.at == at && other.left.to_bits() == left.to_bits();
            if !windows.iter().all(alike) {
                return None;
            }
            for (part, rows) in all.parts.iter_mut().enumerate() {
                rows[span] = windows.map(|window| window.parts[part]);
            }
            (all.at[span], all.left[span]) = (at, left);
            all.newest[span] = all.parts[at % PARTS][span];
            all.younger[span] = all.newest[span];
            for part in 0..at % PARTS {
                take::<E, N>(&mut all.younger[span], &all.parts[part][span]);
            }
            all.turn_round(span);
        }
        Some(all)
    }

    /// One of them.
    pub(super) fn window(&self, span: usize, number: usize) -> Window {
        let mut parts = self.parts.map(|rows| rows[span][number]);
        parts[self.at[span] % PARTS] = self.newest[span][number];
        Window { parts, at: self.at[span], left: self.left[span] }
    }

    fn windows(&self) -> impl Iterator<Item = Window> {
        (0..SPANS * N).map(|index| self.window(index / N, index % N))
    }

    /// Whether the next part begins at all: what never does would hold for good.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        let at = self.at.iter().max().copied().unwrap_or_default();
        Flaw::unless(at < PARTS, "at", || format!("{at} of {PARTS} parts"))?;
        let left = self.left.iter().copied().fold(0.0, f32::max);
        Flaw::unless(left <= LONGEST, "left", || format!("{left} s are longer than {LONGEST}"))
    }

    /// The extreme of each in the last of `spans` seconds, where `values` are the newest and `passed` the time since those before.
    #[inline(always)]
    pub(super) fn hold(
        &mut self,
        passed: f32,
        spans: &[f32; SPANS],
        values: &Rows<SPANS, N>,
    ) -> Rows<SPANS, N> {
        // Where steps are longer than parts, there is a part for each step.
        let mut goes_on = true;
        for left in &mut self.left {
            *left -= passed;
            goes_on &= *left > 0.0;
        }
        if !goes_on {
            for (span, (&seconds, values)) in spans.iter().zip(values).enumerate() {
                if self.left[span] <= 0.0 {
                    self.begin(span, seconds, values);
                }
            }
        }
        take_each::<E, SPANS, N>(&mut self.newest, values);
        take_each::<E, SPANS, N>(&mut self.younger, values);
        let mut held = self.younger;
        take_each::<E, SPANS, N>(&mut held, &self.older);
        if !goes_on {
            for (which, &span) in spans.iter().enumerate() {
                if is_short(span, passed) {
                    held[which] = self.of_young(which, young(span / passed));
                }
            }
        }
        held
    }

    /// The next part of a span of so many seconds.
    #[inline(always)]
    fn begin(&mut self, span: usize, seconds: f32, values: &[f32; N]) {
        let at = self.at[span] % PARTS;
        self.parts[at][span] = self.newest[span];
        self.left[span] = larger(self.left[span] + seconds / (PARTS - 1) as f32, 0.0);
        self.newest[span] = *values;
        self.at[span] = (at + 1) % PARTS;
        match self.at[span] {
            0 => {
                self.younger[span] = *values;
                self.turn_round(span);
            }
            // No part is older.
            at if at == PARTS - 1 => self.older[span] = *values,
            at => self.older[span] = self.to_the_end[at + 1][span],
        }
    }

    /// Works out anew what follows from the parts behind the one that is being filled.
    #[inline(always)]
    fn turn_round(&mut self, span: usize) {
        let mut extreme = self.parts[PARTS - 1][span];
        for (part, to_the_end) in self.parts.iter().zip(&mut self.to_the_end).rev() {
            take::<E, N>(&mut extreme, &part[span]);
            to_the_end[span] = extreme;
        }
        let next = self.at[span] % PARTS + 1;
        self.older[span] = self.to_the_end.get(next).map_or(self.newest[span], |rows| rows[span]);
    }

    /// Of the last so many parts.
    #[inline(always)]
    fn of_young(&self, span: usize, parts: usize) -> [f32; N] {
        let mut all = self.newest[span];
        for back in 1..parts {
            take::<E, N>(&mut all, &self.parts[(self.at[span] + PARTS - back) % PARTS][span]);
        }
        all
    }
}

/// Where steps are longer than parts, some parts are older than the span.
#[inline(always)]
fn is_short(span: f32, passed: f32) -> bool {
    span <= 0.0 || passed * (PARTS - 1) as f32 > span
}

/// Lets each of `held` become more extreme where its newest value is.
#[inline(always)]
fn take<E: Extreme, const N: usize>(held: &mut [f32; N], values: &[f32; N]) {
    for (held, &value) in held.iter_mut().zip(values) {
        *held = f32::from_bits(E::of(held.to_bits(), value.to_bits()));
    }
}

#[inline(always)]
fn take_each<E: Extreme, const SPANS: usize, const N: usize>(
    held: &mut Rows<SPANS, N>,
    values: &Rows<SPANS, N>,
) {
    for (held, &value) in held.as_flattened_mut().iter_mut().zip(values.as_flattened()) {
        *held = f32::from_bits(E::of(held.to_bits(), value.to_bits()));
    }
}

/// Parts that are not older than `steps`, which are fewer than there are parts: rounded up, and the one that is being filled.
fn young(steps: f32) -> usize {
    let whole = steps as i32;
    ((whole + i32::from((whole as f32) < steps) + 1) as usize).min(PARTS)
}

/// All, where there are any, are written down one after the other. Those of another number are of no use.
pub(super) mod abreast {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Abreast, Extreme, Window};

    #[expect(clippy::ref_option, reason = "as serde calls it")]
    pub(in super::super) fn serialize<S: Serializer, E: Extreme, const SPANS: usize, const N: usize>(
        windows: &Option<Abreast<E, SPANS, N>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(windows.iter().flat_map(Abreast::windows))
    }

    pub(in super::super) fn deserialize<
        'de,
        D: Deserializer<'de>,
        E: Extreme,
        const SPANS: usize,
        const N: usize,
    >(
        deserializer: D,
    ) -> Result<Option<Abreast<E, SPANS, N>>, D::Error> {
        let windows = Vec::<Window>::deserialize(deserializer)?;
        if windows.len() != SPANS * N {
            return Ok(None);
        }
        let windows = std::array::from_fn(|span| std::array::from_fn(|number| &windows[span * N + number]));
        let abreast = Abreast::of(windows);
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
            let mut windows = Abreast::<Largest, 1, 2>::new(0.0);
            for (second, newest) in values.iter().enumerate() {
                let [held] = windows.hold(1.0, &[span as f32], &[*newest]);
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
            let mut window = Abreast::<Smallest, 1, 1>::new(values[0]);
            for (second, &value) in values.iter().enumerate() {
                let least = values[second.saturating_sub(span)..=second].iter().copied().fold(f32::MAX, f32::min);
                let [[held]] = window.hold(1.0, &[span as f32], &[[value]]);
                prop_assert_eq!(held.to_bits(), least.to_bits());
            }
        }

        #[test]
        fn windows_of_several_spans_are_those_of_each_and_go_on_as_they_were_when_written_down(
            values in prop::collection::vec((0..1_000_u16, 0..1_000_u16), 1..200),
            spans in prop::array::uniform3(0..60_u16),
            passed in 0.25..4.0_f32,
            at in 0..200_usize,
        ) {
            let spans = spans.map(f32::from);
            let mut windows = Abreast::<Largest, 3, 2>::new(0.0);
            let mut alone = std::array::from_fn::<_, 6, _>(|_| Abreast::<Largest, 1, 1>::new(0.0));
            let mut again = windows.clone();
            for (second, (one, other)) in values.into_iter().enumerate() {
                if second == at {
                    let all: Vec<Window> = windows.windows().collect();
                    again = Abreast::of([[&all[0], &all[1]], [&all[2], &all[3]], [&all[4], &all[5]]]).unwrap();
                }
                let newest = [[f32::from(one), f32::from(other)]; 3];
                let held = windows.hold(passed, &spans, &newest);
                prop_assert_eq!(again.hold(passed, &spans, &newest), held);
                for (index, alone) in alone.iter_mut().enumerate() {
                    let (span, number) = (index / 2, index % 2);
                    let [[of_one]] = alone.hold(passed, &[spans[span]], &[[newest[span][number]]]);
                    prop_assert_eq!(of_one.to_bits(), held[span][number].to_bits());
                    prop_assert_eq!(alone.window(0, 0), again.window(span, number));
                }
            }
        }
    }

    #[test]
    fn a_part_that_cannot_be_is_refused_by_the_check() {
        for (at, possible) in [(PARTS - 1, true), (PARTS, false), (usize::MAX, false)] {
            let window = Window { parts: [1.0; PARTS], at, left: 0.5 };
            let abreast = Abreast::<Largest, 1, 1>::of([[&window]]).unwrap();
            assert_eq!(abreast.check().is_ok(), possible, "{at}");
        }
    }

    #[test]
    fn windows_whose_parts_begin_at_other_times_do_not_go_abreast() {
        #[derive(Debug, Deserialize)]
        struct Two(#[serde(with = "abreast")] Option<Abreast<Largest, 1, 2>>);
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
