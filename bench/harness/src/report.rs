//! The figures as a table for people and as JSON for programs.

use std::{fmt::Write as _, fs};

use anyhow::Result;
use serde::Serialize;

use crate::{
    peer::Peer,
    rounds::{Figures, Found},
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    processor: String,
    kernel: String,
    rounds: usize,
    seconds_per_round: f64,
    peers: Vec<Version>,
    /// What the labels of the cells are.
    columns: Vec<&'static str>,
    cells: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Version {
    name: &'static str,
    version: String,
}

impl Report {
    pub(crate) fn new(
        columns: &[&'static str],
        rounds: usize,
        seconds: f64,
        peers: &[Box<dyn Peer>],
        cells: Vec<Found>,
    ) -> Self {
        Self {
            processor: processor(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            rounds,
            seconds_per_round: seconds,
            peers: peers.iter().map(|peer| Version { name: peer.name(), version: peer.version() }).collect(),
            columns: columns.to_vec(),
            cells,
        }
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Markdown: a row for each cell and peer, medians of the rounds. The ratio is the first peer's
    /// processor time over that of the peer in the row.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "| {} | server | CPU µs/request | user | system | requests/s | p50 ms | p99 ms | RSS MiB | CPU ratio |\n\
             |{} --- | --: | --: | --: | --: | --: | --: | --: | --: |\n",
            self.columns.join(" | "),
            " --: |".repeat(self.columns.len()),
        );
        for cell in &self.cells {
            for (index, peer) in self.peers.iter().enumerate() {
                let of = |figure: fn(&Figures) -> f64| {
                    median(cell.rounds.iter().map(|round| figure(&round[index])))
                };
                let ratio = median(cell.rounds.iter().map(|round| round[0].cpu_us / round[index].cpu_us));
                let ratio = if index == 0 { String::new() } else { format!("**{ratio:.2}**") };
                // Writing to a string cannot fail.
                let _ = writeln!(
                    table,
                    "| {} | {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.2} | {:.2} | {:.1} | {ratio} |",
                    cell.cell.labels.join(" | "),
                    peer.name,
                    of(|f| f.cpu_us),
                    of(|f| f.user_us),
                    of(|f| f.system_us),
                    of(|f| f.requests_per_second),
                    of(|f| f.p50_ms),
                    of(|f| f.p99_ms),
                    of(|f| f.resident_mib),
                );
            }
        }
        table
    }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(String::new, |(_, name)| name.trim().to_owned())
}

/// The lower of the two in the middle when their number is even; zero of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;

    fn figures(cpu_us: f64) -> Figures {
        Figures {
            cpu_us,
            user_us: 1.0,
            system_us: 2.0,
            requests_per_second: 3.0,
            p50_ms: 4.0,
            p99_ms: 5.0,
            resident_mib: 6.0,
        }
    }

    #[test]
    fn the_ratio_is_taken_within_a_round() {
        // A machine that is twice as slow in the second round does not move it.
        let rounds = vec![
            vec![figures(20.0), figures(40.0)],
            vec![figures(40.0), figures(80.0)],
            vec![figures(30.0), figures(30.0)],
        ];
        let labels = vec!["64".to_owned(), "64 KiB".to_owned()];
        let cells =
            vec![Found { cell: Cell { labels, connections: 64, request: Vec::new(), body: None }, rounds }];
        let peers =
            ["tidegate", "nginx"].map(|name| Version { name, version: String::new() }).into_iter().collect();
        let report = Report {
            processor: String::new(),
            kernel: String::new(),
            rounds: 3,
            seconds_per_round: 1.0,
            peers,
            columns: vec!["connections", "body"],
            cells,
        };
        let table = report.table();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows[0], "| 64 | 64 KiB | tidegate | 30.0 | 1.0 | 2.0 | 3 | 4.00 | 5.00 | 6.0 |  |");
        assert_eq!(rows[1], "| 64 | 64 KiB | nginx | 40.0 | 1.0 | 2.0 | 3 | 4.00 | 5.00 | 6.0 | **0.50** |");
    }

    #[test]
    fn medians() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0].into_iter()) - 1.0).abs() < 1e-9);
        assert!(median([].into_iter()).abs() < 1e-9);
    }
}
