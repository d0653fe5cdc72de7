//! What a process uses, as the kernel counts it.

use std::{fs, time::Duration};

/// Processor time since its start, and resident memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub cpu: Duration,
    /// Bytes.
    pub memory: u64,
}

/// `None` when the process is gone or will not be read.
pub fn read(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let ticks = cpu_ticks(&stat)?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let cpu = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    Some(Usage { cpu, memory: pages * rustix::param::page_size() as u64 })
}

/// `utime + stime` of `/proc/PID/stat`. The command's name stands in parentheses and may hold
/// anything, so fields are counted from the last one that closes.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The state is field 3; utime and stime are 14 and 15.
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) R 1 42 42 0 -1 4194304 100 0 0 0 250 31 7 8 20 0 1 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(281));
        assert_eq!(cpu_ticks("42 (sh) R 1 2"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn this_process_has_memory_and_no_process_zero_exists() {
        assert!(read(std::process::id()).unwrap().memory > 0);
        assert_eq!(read(0), None);
    }
}
