//! Load against servers that behave, misbehave and stall, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod failures;
mod open_loop;
mod protocol;
mod server;

use std::{num::NonZeroUsize, time::Duration};

use tidegate_load::{
    Plan, Progress, Report,
    schedule::{Demand, Process, Schedule, Shape},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// `count` requests, spread evenly over `time`, on one connection.
fn plan(server: &Server, count: u32, time: Duration) -> Plan {
    let url = format!("http://{}/orders", server.address()).parse().unwrap();
    let peak = f64::from(count) / time.as_secs_f64();
    let demand = Demand::Shaped { shape: Shape::Steady, peak, duration: time };
    let schedule = Schedule { demand, arrivals: Process::Even, seed: 0 };
    let one = NonZeroUsize::MIN;
    Plan { connections: one, timeout: Duration::from_secs(20), ..Plan::new(url, schedule) }
}

async fn run(plan: Plan) -> Report {
    let (progress, _) = watch::channel(Progress::default());
    tidegate_load::run(plan, progress, CancellationToken::new()).await.unwrap()
}

/// The failures of a report, as JSON names them.
fn errors(report: &Report) -> Vec<(String, u64)> {
    let json = serde_json::to_value(&report.errors).unwrap();
    let pairs = json.as_object().unwrap().iter();
    pairs.map(|(kind, count)| (kind.clone(), count.as_u64().unwrap())).collect()
}
