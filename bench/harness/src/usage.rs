//! Processor time of a proxy, as the kernel counts it.

use std::{fs, ops::Sub, time::Duration};

use anyhow::{Context as _, Result};

/// Time that processes have used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Usage {
    /// All threads of all `processes`. Resolution: a tick of the kernel, 10 ms as a rule.
    pub(crate) fn of(processes: &[u32]) -> Result<Self> {
        let mut sum = Self { user: Duration::ZERO, system: Duration::ZERO };
        for pid in processes {
            let path = format!("/proc/{pid}/stat");
            let text = fs::read_to_string(&path).with_context(|| path.clone())?;
            let (user, system) = times(&text).with_context(|| format!("{path}: {text}"))?;
            sum.user += user;
            sum.system += system;
        }
        Ok(sum)
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Fields 14 and 15; the second, the program's name, may hold spaces and parentheses.
fn times(stat: &str) -> Option<(Duration, Duration)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let ticks = rustix::param::clock_ticks_per_second();
    let mut time =
        || Some(Duration::from_secs_f64(fields.next()?.parse::<u64>().ok()? as f64 / ticks as f64));
    Some((time()?, time()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 150 250 0 0 20 0 1 0 5 6 7";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let (user, system) = times(stat).unwrap();
        assert_eq!(user, Duration::from_secs_f64(150.0 / ticks));
        assert_eq!(system, Duration::from_secs_f64(250.0 / ticks));
    }

    #[test]
    fn this_process_uses_time() {
        let own = [std::process::id()];
        let before = Usage::of(&own).unwrap();
        while (Usage::of(&own).unwrap() - before).total().is_zero() {}
    }
}
