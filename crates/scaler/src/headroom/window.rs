//! The largest or smallest of a span of time, in a handful of numbers.
//!
//! The span is divided into parts and each keeps its extreme, so an hour costs as much as ten seconds. What
//! is held is held for at most one part longer than asked. Until the next part begins the extreme of all can only
//! become more so, so the parts are gone through once for each part and not once for each step.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use super::{larger, packed, smaller};

/// Parts that a span is divided into, the one that is being filled included.
const PARTS: usize = 16;

/// A part is never longer, in seconds: a sixteenth of all the time that instances may take to start.
const LONGEST: f32 = 600_000.0;

/// Either the largest or the smallest is asked for, of one window always the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Extremes of the parts, a ring.
    #[serde(with = "packed")]
    parts: [f32; PARTS],
    at: usize,
    /// Seconds until the next part begins.
    left: f32,
    #[serde(skip)]
    held: Held,
}

/// The extreme of all parts, where it is known. It follows from them and is no memory.
#[derive(Debug, Clone, Copy, Default)]
struct Held(Option<f32>);

impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Window {
    /// As if it had always been `value`.
    pub(super) fn new(value: f32) -> Self {
        Self { parts: [value; PARTS], at: 0, left: 0.0, held: Held::default() }
    }

    /// Whether its next part begins at all: what never does would hold for good.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        Flaw::unless(self.at < PARTS, "at", || format!("{} of {PARTS} parts", self.at))?;
        Flaw::unless(self.left <= LONGEST, "left", || format!("{} s are longer than {LONGEST}", self.left))
    }

    /// The largest of the last `span` seconds, where `value` is the newest and `passed` the time since the one before.
    #[inline]
    pub(super) fn largest(&mut self, passed: f32, span: f32, value: f32) -> f32 {
        self.hold(passed, span, value, larger)
    }

    #[inline]
    pub(super) fn smallest(&mut self, passed: f32, span: f32, value: f32) -> f32 {
        self.hold(passed, span, value, smaller)
    }

    #[inline]
    fn hold(&mut self, passed: f32, span: f32, value: f32, extreme: impl Fn(f32, f32) -> f32) -> f32 {
        let (left, at) = (self.left - passed, self.at % PARTS);
        if let Held(Some(held)) = self.held
            && left > 0.0
            && passed * (PARTS - 1) as f32 <= span
        {
            self.left = left;
            self.parts[at] = extreme(self.parts[at], value);
            let held = extreme(held, value);
            self.held = Held(Some(held));
            return held;
        }
        self.hold_longer(passed, span, value, extreme)
    }

    /// The same where a part begins, or much is to be looked at anew.
    fn hold_longer(&mut self, passed: f32, span: f32, value: f32, extreme: impl Fn(f32, f32) -> f32) -> f32 {
        self.left -= passed;
        if self.left <= 0.0 {
            self.left = (self.left + span / (PARTS - 1) as f32).max(0.0);
            self.at = (self.at + 1) % PARTS;
            let dropped = std::mem::replace(&mut self.parts[self.at], value);
            // What is dropped matters only where it was the extreme, and the newest is less.
            self.held.0 = self.held.0.filter(|&held| {
                extreme(held, value).to_bits() == value.to_bits() || dropped.to_bits() != held.to_bits()
            });
        }
        let at = self.at % PARTS;
        self.parts[at] = extreme(self.parts[at], value);
        // Where steps are longer than parts, there is a part for each step and some are older than the span.
        if passed * (PARTS - 1) as f32 > span {
            let young = ((span / passed).ceil() as usize + 1).min(PARTS);
            self.held = Held(None);
            let parts = (0..young).map(|back| self.parts[(at + PARTS - back) % PARTS]);
            return parts.fold(value, extreme);
        }
        let held = match self.held {
            Held(Some(held)) => extreme(held, value),
            Held(None) => self.of_all(value, extreme),
        };
        self.held = Held(Some(held));
        held
    }

    /// Four by four, as processors do it.
    #[inline]
    fn of_all(&self, value: f32, extreme: impl Fn(f32, f32) -> f32) -> f32 {
        let (quads, rest) = self.parts.as_chunks::<4>();
        let mut lanes = [value; 4];
        for &[one, two, three, four] in quads {
            let [a, b, c, d] = lanes;
            lanes = [extreme(a, one), extreme(b, two), extreme(c, three), extreme(d, four)];
        }
        lanes.iter().chain(rest).copied().fold(value, extreme)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_holds_no_less_than_asked_and_hardly_longer(
            values in prop::collection::vec(0..1_000_u16, 1..400),
            span in 0..200_usize,
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut window = Window::new(0.0);
            for (second, &value) in values.iter().enumerate() {
                let held = window.largest(1.0, span as f32, value);
                let max_of = |span: usize| values[second.saturating_sub(span)..=second].iter().copied().fold(0.0, f32::max);
                prop_assert!(held >= max_of(span), "{held} at {second}");
                prop_assert!(held <= max_of(span + span.div_ceil(PARTS - 1) + 1), "{held} at {second}");
            }
        }

        #[test]
        fn a_short_window_is_exact(values in prop::collection::vec(0..1_000_u16, 1..100), span in 0..15_usize) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut window = Window::new(values[0]);
            for (second, &value) in values.iter().enumerate() {
                let least = values[second.saturating_sub(span)..=second].iter().copied().fold(f32::MAX, f32::min);
                prop_assert_eq!(window.smallest(1.0, span as f32, value).to_bits(), least.to_bits());
            }
        }
    }
}
