//! Chance from a seed: the same seed gives the same world on every machine.
//!
//! The generator is `SplitMix64` (Steele, Lea and Flood 2014): one addition and three multiplications
//! per number, no state but a counter, and ample quality for arrivals. Poisson numbers are drawn
//! by multiplication of uniforms where the mean is small, and by transformed rejection (`PTRS`,
//! Hörmann 1993) where it is not.

/// Means from here on are drawn by rejection.
const LARGE_MEAN: f64 = 10.0;

/// A stream of numbers that only depends on its seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above zero, below one.
    pub(crate) fn uniform(&mut self) -> f64 {
        // Signed, which takes one instruction to convert.
        ((self.next() >> 12).cast_signed() as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// How many independent events happen where `mean` are expected.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        if mean < LARGE_MEAN { self.small_poisson(mean) } else { self.large_poisson(mean) }
    }

    fn small_poisson(&mut self, mean: f64) -> u32 {
        let limit = (-mean).exp();
        let (mut product, mut count) = (self.uniform(), 0);
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    fn large_poisson(&mut self, mean: f64) -> u32 {
        let width = 0.931 + 2.53 * mean.sqrt();
        let slope = -0.059 + 0.024_83 * width;
        let surely = 0.927_7 - 3.622_4 / (width - 2.0);
        loop {
            let across = self.uniform() - 0.5;
            let up = self.uniform();
            let from_edge = 0.5 - across.abs();
            let count = floor((2.0 * slope / from_edge + width) * across + mean + 0.43);
            if from_edge >= 0.07 && up <= surely {
                return count as u32;
            }
            if count < 0.0 || (from_edge < 0.013 && up > from_edge) {
                continue;
            }
            if is_under_curve(mean, (width, slope), (up, from_edge), count) {
                return count as u32;
            }
        }
    }
}

/// Whether a draw is taken that is not surely. Only one in six comes here, and this is kept out of the way of the others: inlined, what
/// does not depend on the draw would be computed for all.
#[inline(never)]
fn is_under_curve(mean: f64, (width, slope): (f64, f64), (up, from_edge): (f64, f64), count: f64) -> bool {
    let scale = 1.123_9 + 1.132_8 / (width - 3.4);
    let density = count * mean.ln() - mean - ln_factorial(count);
    (up * scale / (slope / (from_edge * from_edge) + width)).ln() <= density
}

/// Stirling's series, shifted up where it is not yet exact enough.
fn ln_factorial(count: f64) -> f64 {
    let (mut shifted, mut product) = (count + 1.0, 1.0);
    while shifted < 10.0 {
        product *= shifted;
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let series = inverse / 12.0 - inverse.powi(3) / 360.0 + inverse.powi(5) / 1_260.0;
    (shifted - 0.5) * shifted.ln() - shifted + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

/// Rounded down by hand: without an instruction for it, which may not be assumed, it is a call of the library. It is for
/// counts, which are far from where whole numbers end.
fn floor(number: f64) -> f64 {
    let whole = number as i64 as f64;
    if whole > number { whole - 1.0 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| -> Vec<u32> {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.poisson(300.0)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_poisson_number_has_its_mean_as_mean_and_variance() {
        for mean in [0.3, 4.0, 9.9, 10.1, 40.0, 4_000.0] {
            let mut random = Random::new(7);
            let draws: Vec<f64> = (0..40_000).map(|_| f64::from(random.poisson(mean))).collect();
            let count = draws.len() as f64;
            let average = draws.iter().sum::<f64>() / count;
            let variance = draws.iter().map(|draw| (draw - average).powi(2)).sum::<f64>() / count;
            // Five standard errors.
            assert!((average - mean).abs() < 5.0 * (mean / count).sqrt(), "{average} for {mean}");
            let error = (mean + 2.0 * mean * mean) / count;
            assert!((variance - mean).abs() < 5.0 * error.sqrt(), "variance {variance} for {mean}");
        }
        assert_eq!(Random::new(1).poisson(0.0), 0);
    }

    #[test]
    fn small_counts_are_as_likely_as_the_formula_says() {
        let mut random = Random::new(3);
        let mean = 12.0;
        let mut seen = [0_u32; 40];
        for _ in 0..200_000 {
            seen[random.poisson(mean).min(39) as usize] += 1;
        }
        for (count, &times) in seen.iter().enumerate().take(30) {
            let count = count as f64;
            let expected = 200_000.0 * (count * mean.ln() - mean - ln_factorial(count)).exp();
            assert!(
                (f64::from(times) - expected).abs() < 5.0 * expected.sqrt() + 3.0,
                "{count}: {times}, {expected}"
            );
        }
    }

    #[test]
    fn what_is_rounded_by_hand_is_what_the_library_says() {
        for number in [-1e9_f64, -7.5, -7.0, -0.1, 0.0, 0.1, 6.999, 7.0, 4e15_f64.next_down(), 4e15] {
            assert_eq!(floor(number).to_bits(), number.floor().to_bits(), "{number}");
        }
    }

    #[test]
    fn factorials() {
        assert!(ln_factorial(0.0).abs() < 1e-9);
        assert!((ln_factorial(20.0) - 2_432_902_008_176_640_000_f64.ln()).abs() < 1e-9);
    }
}
