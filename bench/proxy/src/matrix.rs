//! Every cell, round by round.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tidegate_testkit::process::resident_bytes;

use crate::{
    load::{self, Outcome, Plan},
    peer::Peer,
};

/// What is measured.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) rounds: usize,
    pub(crate) measured: Duration,
    pub(crate) connections: Vec<usize>,
    pub(crate) bodies: Vec<usize>,
    pub(crate) load_core: usize,
}

/// One combination of connections and body size.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cell {
    pub(crate) connections: usize,
    pub(crate) body_bytes: usize,
    /// Every round, with a figure for each peer in the order of the peers.
    pub(crate) rounds: Vec<Vec<Figures>>,
}

/// One round of one peer.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    pub(crate) cpu_us: f64,
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) resident_mib: f64,
}

impl Matrix {
    pub(crate) fn run(&self, peers: &[Box<dyn Peer>]) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        for &connections in &self.connections {
            for &body_bytes in &self.bodies {
                let mut cell = Cell { connections, body_bytes, rounds: Vec::new() };
                for round in 0..self.rounds {
                    cell.rounds.push(self.round(round, peers, &cell)?);
                }
                cells.push(cell);
            }
        }
        Ok(cells)
    }

    fn round(&self, round: usize, peers: &[Box<dyn Peer>], cell: &Cell) -> Result<Vec<Figures>> {
        let mut figures = Vec::new();
        for peer in peers {
            let outcome = load::run(Plan {
                addr: peer.addr(),
                connections: cell.connections,
                body: cell.body_bytes,
                warm_up: self.measured / 2,
                measured: self.measured,
                processes: peer.processes(),
                core: self.load_core,
            });
            let place =
                || format!("{}, {} connections, {} bytes", peer.name(), cell.connections, cell.body_bytes);
            let found = Figures::new(
                &outcome.with_context(place)?,
                resident_bytes(peer.server()).unwrap_or_default(),
            );
            eprintln!(
                "{}, round {}: {:.1} us/request, {:.0} requests/s, p99 {:.2} ms",
                place(),
                round + 1,
                found.cpu_us,
                found.requests_per_second,
                found.p99_ms,
            );
            figures.push(found);
        }
        Ok(figures)
    }
}

impl Figures {
    fn new(outcome: &Outcome, resident: u64) -> Self {
        let per_request = |time: Duration| time.as_secs_f64() * 1e6 / outcome.requests as f64;
        let quantile_ms = |q| outcome.latency.value_at_quantile(q) as f64 / 1e3;
        Self {
            cpu_us: per_request(outcome.usage.total()),
            user_us: per_request(outcome.usage.user),
            system_us: per_request(outcome.usage.system),
            requests_per_second: outcome.requests as f64 / outcome.elapsed.as_secs_f64(),
            p50_ms: quantile_ms(0.5),
            p99_ms: quantile_ms(0.99),
            resident_mib: resident as f64 / f64::from(1 << 20),
        }
    }
}
