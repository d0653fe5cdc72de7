//! Latency of a modelled fleet: how long answers take at a utilization.
//!
//! The instances are the servers of one queue (`M/M/n`): whoever is free takes the next request, and a request takes
//! as long as an instance needs for it, `1 / capacity`. With utilization ρ, a request finds all n busy with a
//! probability of about ρ to the power of √(2(n + 1)) − 1 (Sakasegawa 1977), and then waits for a time that
//! is distributed exponentially with the mean `1 / (n · capacity · (1 − ρ))`. What the gateway holds already is waited for in
//! addition.
//!
//! So a small fleet is slow long before it is full, a large one stays quick for longer, and both become very slow
//! at the end, as in life. Left out are cold caches, slow requests among quick ones and the network.

/// A second has an end: no queue grows in it as the formula for ever says.
const BUSIEST: f64 = 0.995;

/// Instances and what they have to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) ready: u32,
    /// Requests per second of one instance.
    pub(crate) capacity: f64,
    /// 0 to 1.
    pub(crate) utilization: f64,
    /// Requests that the gateway holds.
    pub(crate) held: u64,
}

/// Seconds within which a `share` of the answers is complete. `None` where nobody answers.
pub(crate) fn quantile(load: Load, share: f64) -> Option<f64> {
    if load.ready == 0 || load.capacity <= 0.0 {
        return None;
    }
    let servers = f64::from(load.ready);
    let busy = load.utilization.clamp(0.0, BUSIEST);
    let all_busy = busy.powf((2.0 * (servers + 1.0)).sqrt() - 1.0);
    let fleet = servers * load.capacity;
    let wait = (all_busy / (1.0 - share)).ln().max(0.0) / (fleet * (1.0 - busy));
    Some(1.0 / load.capacity + wait + load.held as f64 / fleet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p99(ready: u32, utilization: f64) -> f64 {
        quantile(Load { ready, capacity: 100.0, utilization, held: 0 }, 0.99).unwrap()
    }

    #[test]
    fn a_single_server_is_the_textbook_one() {
        // M/M/1: a wait longer than t has the probability ρ · exp(−μ(1 − ρ)t). √4 − 1 is 1, so this is exact.
        let expected = 0.01 + (0.8_f64 / 0.01).ln() / (100.0 * 0.2);
        assert!((p99(1, 0.8) - expected).abs() < 1e-12);
    }

    #[test]
    fn idle_instances_take_what_a_request_takes() {
        assert!((p99(1, 0.0) - 0.01).abs() < 1e-12);
        assert!((p99(40, 0.5) - 0.01).abs() < 1e-12);
        assert_eq!(quantile(Load { ready: 0, capacity: 100.0, utilization: 0.5, held: 0 }, 0.99), None);
    }

    #[test]
    fn more_load_is_slower_and_more_instances_are_quicker() {
        for ready in [1, 3, 10, 40] {
            let curve: Vec<_> = (0..=100).map(|percent| p99(ready, f64::from(percent) / 100.0)).collect();
            assert!(curve.is_sorted(), "{curve:?}");
            assert!(p99(ready, 0.9) >= p99(ready * 2, 0.9));
        }
        let held = Load { ready: 10, capacity: 100.0, utilization: 1.0, held: 500 };
        assert!(quantile(held, 0.5).unwrap() >= 0.51, "what is held comes first");
    }
}
