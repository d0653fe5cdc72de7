//! What was said and is not judged yet: one row of numbers for each of the next steps.
//!
//! A row is written in the place of the one that has come due, so the memory is the horizon, and a step
//! costs the same whatever the horizon is. Numbers are kept in single precision, which is more than
//! is known of the future.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::packed::Packed;

/// Rows of the next steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pending {
    width: usize,
    /// The row that comes due next, and is overwritten then.
    due: usize,
    numbers: Packed<f32>,
}

/// What was not said is written as this: it is equal to itself, and nothing is as far below zero.
const SILENCE: f32 = f32::MIN;

impl Pending {
    /// Nothing said of the next `horizon` steps, in rows of `width` numbers.
    pub(crate) fn new(horizon: usize, width: usize) -> Self {
        Self { width, due: 0, numbers: Packed::new(vec![SILENCE; horizon.max(1) * width]) }
    }

    /// Whether it is one that [`new`](Self::new) makes for as much, of however many steps.
    pub(crate) fn check(&self, horizon: usize, width: usize) -> Result<(), Flaw> {
        Flaw::unless(self.width == width, "width", || format!("{} instead of {width}", self.width))?;
        let (found, expected) = (self.numbers.len(), horizon.max(1).saturating_mul(width));
        Flaw::unless(found == expected, "numbers", || format!("{found} instead of {expected}"))?;
        Flaw::unless(self.due < horizon.max(1), "due", || format!("{} of {horizon} rows", self.due))?;
        let is_said = self.numbers.iter().all(|number| !number.is_nan());
        Flaw::unless(is_said, "numbers", || "one is not a number".to_owned())
    }

    /// What was said of the step that comes next.
    pub(crate) fn due(&self) -> Option<Vec<f64>> {
        self.row(self.due)
    }

    /// What was said last.
    pub(crate) fn newest(&self) -> Option<Vec<f64>> {
        let rows = self.horizon();
        self.row((self.due + rows - 1) % rows)
    }

    /// A step has passed, and this is said of the one a horizon after it.
    pub(crate) fn say(&mut self, said: Option<&[f64]>) {
        let (from, width) = (self.due * self.width, self.width);
        for (at, place) in self.numbers[from..from + width].iter_mut().enumerate() {
            let number = said.and_then(|said| said.get(at)).map(|&number| number as f32);
            *place = number.filter(|number| *number > SILENCE).unwrap_or(SILENCE);
        }
        self.due = (self.due + 1) % self.horizon();
    }

    pub(crate) fn horizon(&self) -> usize {
        (self.numbers.len() / self.width.max(1)).max(1)
    }

    /// Numbers from the front of a row until the first that was not said.
    fn row(&self, row: usize) -> Option<Vec<f64>> {
        let row = self.numbers.get(row * self.width..(row + 1) * self.width)?;
        let said: Vec<f64> =
            row.iter().take_while(|&&one| one > SILENCE).map(|&one| f64::from(one)).collect();
        (!said.is_empty()).then_some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_due_one_horizon_later() {
        let mut pending = Pending::new(3, 2);
        for step in 0..10_u8 {
            let expected = step.checked_sub(3).map(|said| vec![f64::from(said), 7.0]);
            assert_eq!(pending.due(), expected);
            pending.say(Some(&[f64::from(step), 7.0]));
            assert_eq!(pending.newest(), Some(vec![f64::from(step), 7.0]));
        }
        pending.say(None);
        assert_eq!(pending.newest(), None);
        pending.say(Some(&[5.0]));
        assert_eq!(pending.newest(), Some(vec![5.0]), "half a row is what was said of it");
    }
}
