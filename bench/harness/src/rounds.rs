//! Every cell, round by round.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tidegate_testkit::process::resident_bytes;

use crate::{
    load::{self, Outcome, Plan},
    peer::Peer,
};

/// What is measured together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// What tells this cell from the others.
    pub labels: Vec<String>,
    pub connections: usize,
    /// Sent by every connection, again and again.
    #[serde(skip)]
    pub request: Vec<u8>,
    /// Bytes that every answer must have, where they are always as many.
    #[serde(skip)]
    pub body: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) count: usize,
    pub(crate) measured: Duration,
    pub(crate) load_core: usize,
}

/// A cell with every round of it: a figure for each peer, in the order of the peers.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    #[serde(flatten)]
    pub(crate) cell: Cell,
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

impl Rounds {
    pub(crate) fn run(&self, cells: Vec<Cell>, peers: &[Box<dyn Peer>]) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        for cell in cells {
            let mut found = Found { cell, rounds: Vec::new() };
            for round in 1..=self.count {
                found.rounds.push(self.round(round, peers, &found.cell)?);
            }
            all.push(found);
        }
        Ok(all)
    }

    fn round(&self, round: usize, peers: &[Box<dyn Peer>], cell: &Cell) -> Result<Vec<Figures>> {
        let mut figures = Vec::new();
        for peer in peers {
            let outcome = load::run(Plan {
                addr: peer.addr(),
                connections: cell.connections,
                request: cell.request.clone(),
                body: cell.body,
                warm_up: self.measured / 2,
                measured: self.measured,
                processes: peer.processes(),
                core: self.load_core,
            });
            let place = || format!("{}, {}", peer.name(), cell.labels.join(", "));
            let found = Figures::new(
                &outcome.with_context(place)?,
                resident_bytes(peer.server()).unwrap_or_default(),
            );
            eprintln!(
                "{}, round {round}: {:.1} us/request, {:.0} requests/s, p99 {:.2} ms",
                place(),
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
