//! Progress for people who watch: a block that refreshes on a terminal, now and then a line elsewhere.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio::sync::watch;

use crate::{progress::Progress, report::time};

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Cells of the bar that shows how much of the schedule is over.
const BAR: usize = 40;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Block,
    Lines,
}

/// Where progress is shown, and what is there already.
#[derive(Debug)]
pub(crate) struct View<W> {
    style: Style,
    output: W,
    /// Lines of the block that stands there.
    painted: usize,
    /// When the next line is due.
    next_line: Duration,
}

impl<W: Write> View<W> {
    pub(crate) fn new(style: Style, output: W) -> Self {
        Self { style, output, painted: 0, next_line: LINE_INTERVAL }
    }

    /// Shows what `progress` brings until its sender is gone.
    pub(crate) async fn follow(mut self, mut progress: watch::Receiver<Progress>) -> io::Result<()> {
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            self.show(&now)?;
        }
        self.clear()
    }

    fn show(&mut self, now: &Progress) -> io::Result<()> {
        match self.style {
            Style::Block => {
                let block = block(now);
                write!(self.output, "{}{block}", erase(self.painted))?;
                self.painted = block.lines().count();
            }
            Style::Lines if now.elapsed >= self.next_line => {
                writeln!(self.output, "{}", line(now))?;
                self.next_line = now.elapsed + LINE_INTERVAL;
            }
            Style::Lines => {}
        }
        self.output.flush()
    }

    fn clear(&mut self) -> io::Result<()> {
        write!(self.output, "{}", erase(self.painted))?;
        self.output.flush()
    }
}

/// Takes the cursor to where a block of `lines` lines began, and clears from there.
fn erase(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\r\x1b[J") }
}

fn block(now: &Progress) -> String {
    let share = now.elapsed.as_secs_f64() / now.duration.as_secs_f64().max(1e-9);
    let filled = ((share * BAR as f64) as usize).min(BAR);
    let bar = format!("{}{}", "━".repeat(filled), "─".repeat(BAR - filled));
    format!(
        "  {} / {}  {bar}\n  offered {:>9.1}/s   ended {:>9.1}/s   in flight {}   waiting {}\n  \
         latency   p50 {}   p99 {}\n  requests  {}   failed {}\n",
        clock(now.elapsed),
        clock(now.duration),
        now.offered_rate,
        now.ended_rate,
        now.in_flight,
        now.waiting,
        latency(now.latency_p50),
        latency(now.latency_p99),
        now.requests,
        now.failed,
    )
}

fn line(now: &Progress) -> String {
    format!(
        "{} offered {:.1}/s ended {:.1}/s in flight {} waiting {} p50 {} p99 {} requests {} failed {}",
        clock(now.elapsed),
        now.offered_rate,
        now.ended_rate,
        now.in_flight,
        now.waiting,
        latency(now.latency_p50),
        latency(now.latency_p99),
        now.requests,
        now.failed,
    )
}

fn latency(latency: Option<Duration>) -> String {
    time(latency.map(|latency| latency.as_secs_f64() * 1e3))
}

/// `mm:ss`, or `h:mm:ss`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours == 0 {
        format!("{minutes:02}:{seconds:02}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(seconds: u64) -> Progress {
        Progress {
            elapsed: Duration::from_secs(seconds),
            duration: Duration::from_secs(20),
            offered_rate: 500.0,
            ended_rate: 499.8,
            waiting: 1,
            in_flight: 3,
            requests: 2_500,
            failed: 2,
            latency_p50: Some(Duration::from_micros(1_234)),
            latency_p99: None,
        }
    }

    /// What is written when progress arrives at these seconds.
    fn shown(style: Style, seconds: &[u64]) -> String {
        let mut output = Vec::new();
        let mut view = View::new(style, &mut output);
        for &second in seconds {
            view.show(&progress(second)).unwrap();
        }
        view.clear().unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_block_is_painted_over_and_cleared_at_the_end() {
        let text = shown(Style::Block, &[5, 10]);
        let block = "  00:05 / 00:20  ━━━━━━━━━━──────────────────────────────
  offered     500.0/s   ended     499.8/s   in flight 3   waiting 1
  latency   p50 1.23 ms   p99 -
  requests  2500   failed 2
";
        assert!(text.starts_with(block), "{text}");
        assert_eq!(text.matches("\x1b[4A\r\x1b[J").count(), 2);
        assert!(text.ends_with("\x1b[4A\r\x1b[J"));
    }

    #[test]
    fn lines_come_every_few_seconds_without_escapes() {
        let text = shown(Style::Lines, &[1, 4, 5, 6, 9, 11]);
        let clocks: Vec<&str> = text.lines().map(|line| &line[..5]).collect();
        assert_eq!(clocks, ["00:05", "00:11"]);
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn long_runs_show_hours() {
        assert_eq!(
            (clock(Duration::from_secs(59)), clock(Duration::from_secs(3_661))),
            ("00:59".into(), "1:01:01".into())
        );
    }
}
