//! The keeper: a process that outlives the gateway by a moment, to end what the gateway's instances started.
//!
//! The kernel ends an instance with the gateway ([`bind_to_parent`](super::bind_to_parent)), and nothing but the
//! instance. What that started in turn would live on. So the gateway tells one keeper which process groups there are, by lines
//! on its standard input, `+GROUP` and `-GROUP`; when those end, the gateway has ended, however it did, and the keeper
//! kills all groups that are left. What left its group is found by [`MARK_VARIABLE`], which every instance passes on to what it starts.
//!
//! Not reached: what has left its group and cleared its environment, too.

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead},
    process, thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The environment variable that tells what belongs to the instances of one gateway.
pub const MARK_VARIABLE: &str = "TIDEGATE_KEEPER";

/// How often it is looked for what still runs, and the pause in between: what is being killed may fork once more.
const LOOKS: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until the gateway is gone, then ends what its instances left behind. To be all that a process does.
pub fn keep() -> io::Result<()> {
    let groups = listen(io::stdin().lock())?;
    let mark = std::env::var(MARK_VARIABLE).ok().map(|value| format!("{MARK_VARIABLE}={value}"));
    for group in groups {
        // That it is gone already is what is hoped for.
        _ = kill_process_group(group, Signal::KILL);
    }
    let Some(mark) = mark else { return Ok(()) };
    for _ in 0..LOOKS {
        let left = marked(mark.as_bytes());
        if left.is_empty() {
            return Ok(());
        }
        for pid in left {
            _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The groups that are left at the end of `input`.
fn listen(input: impl BufRead) -> io::Result<HashSet<Pid>> {
    let mut groups = HashSet::new();
    for line in input.lines() {
        let line = line?;
        let Some((sign, number)) = line.split_at_checked(1) else { continue };
        // Group 1 is that of the first process of all.
        let Some(group) = number.parse().ok().filter(|&number: &i32| number > 1).and_then(Pid::from_raw)
        else {
            continue;
        };
        match sign {
            "+" => _ = groups.insert(group),
            "-" => _ = groups.remove(&group),
            _ => {}
        }
    }
    Ok(groups)
}

/// Processes that were started with `mark` in their environment, but not this one.
fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let of_mark = |&pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        pid != process::id() && environment.split(|&byte| byte == 0).any(|variable| variable == mark)
    };
    pids.filter(of_mark).filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_were_taken_back_are_not_among_those_that_are_left() {
        let left = listen(&b"+10\n+11\n-10\n+x\n*12\n\n+1\n+-3\n+13"[..]).unwrap();
        assert_eq!(left, [11, 13].map(|pid| Pid::from_raw(pid).unwrap()).into());
    }
}
