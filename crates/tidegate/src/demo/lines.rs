//! The day as plain lines, for logs and pipes: one every hour, and one for each decision.

use std::io::{self, Write};

use tidegate_core::Timestamp;

use super::{
    day::clock,
    scene::{Decision, Scene},
    summary::millis,
};

/// Lines in a day.
const LINES: f64 = 24.0;

#[derive(Debug)]
pub(crate) struct Lines<W> {
    output: W,
    /// The hour that the next line is due at.
    next_hour: f64,
    /// The decision that was written last.
    decided: Option<Timestamp>,
}

impl<W: Write> Lines<W> {
    pub(crate) const fn new(output: W) -> Self {
        Self { output, next_hour: 1.0, decided: None }
    }

    pub(crate) fn show(&mut self, scene: &Scene) -> io::Result<()> {
        if let Some(decision) = scene.decision.as_ref().filter(|decision| self.decided != Some(decision.at)) {
            self.decided = Some(decision.at);
            let (clock, reasons) = (clock(decision.noticed), decision.reasons.join("; "));
            writeln!(self.output, "{clock}  {}: {reasons}", step(decision))?;
        }
        if scene.moment() * LINES >= self.next_hour {
            self.next_hour = (scene.moment() * LINES).floor() + 1.0;
            writeln!(self.output, "{}", line(scene))?;
        }
        self.output.flush()
    }
}

fn line(scene: &Scene) -> String {
    let (load, fleet) = (&scene.load, &scene.fleet);
    format!(
        "{}  demand {:.0}/s  instances {} ready, {} starting, {} draining  p50 {}  p99 {}  requests {}  failed {}",
        clock(scene.moment()),
        load.offered_rate,
        fleet.ready,
        fleet.starting,
        fleet.draining,
        millis(load.latency_p50),
        millis(load.latency_p99),
        load.requests,
        load.failed,
    )
}

/// `3 → 4 instances`.
pub(crate) fn step(decision: &Decision) -> String {
    format!("{} → {} instances", decision.from, decision.to)
}

#[cfg(test)]
mod tests {
    use super::{super::scene::tests::Day, *};

    #[test]
    fn there_is_a_line_every_hour_and_for_every_decision() {
        let mut output = Vec::new();
        let mut lines = Lines::new(&mut output);
        let mut day = Day::new();
        for minutes in [0, 10, 59, 61, 130] {
            day.at(minutes);
            lines.show(&day.scene).unwrap();
        }
        day.decide(1, 2);
        for minutes in [140, 150] {
            day.at(minutes);
            lines.show(&day.scene).unwrap();
        }
        let text = String::from_utf8(output).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert_eq!(
            rows[0],
            "01:01  demand 100/s  instances 1 ready, 0 starting, 0 draining  p50 1.5 ms  p99 -  requests 7  failed 0"
        );
        assert!(rows[1].starts_with("02:10"));
        assert_eq!(
            rows[2],
            "02:20  1 → 2 instances: target arrival rate: 100 requests/s; pace: 2 instead of 1, slowly"
        );
    }
}
