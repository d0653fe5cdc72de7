//! What is left of a charge after a while.
//!
//! Most steps are as long as the one before, and so is what they leave: it is computed once for all of them.

/// The exponential that was asked for last. It follows from what is asked and is no memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fading {
    passed: f64,
    memory: f64,
    kept: f64,
}

impl Default for Fading {
    fn default() -> Self {
        Self { passed: 0.0, memory: 1.0, kept: 1.0 }
    }
}

impl PartialEq for Fading {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Fading {
    /// The share that is kept after `passed` seconds of a `memory` of so many.
    #[inline]
    pub(crate) fn kept(&mut self, passed: f64, memory: f64) -> f64 {
        let bits = |passed: f64, memory: f64| (passed.to_bits(), memory.to_bits());
        if bits(passed, memory) != bits(self.passed, self.memory) {
            *self = Self { passed, memory, kept: (-passed / memory).exp() };
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_exponential_whatever_was_asked_before() {
        let mut fading = Fading::default();
        for (passed, memory) in
            [(0.0_f64, 60.0), (1.0, 60.0), (1.0, 60.0), (1.0, 10.0), (2.0, 60.0), (0.0, 1.0)]
        {
            let expected = f64::exp(-passed / memory);
            assert_eq!(fading.kept(passed, memory).to_bits(), expected.to_bits());
        }
    }
}
