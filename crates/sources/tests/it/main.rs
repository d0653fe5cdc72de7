//! Real servers, asked as a running gateway asks them.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

mod kafka;
mod servers;
mod tls;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tidegate_control::sources::{Reading, Sources as _};
use tidegate_core::{
    SourceId,
    snapshot::{Server, Source, System, Tls},
};
use tidegate_sources::Poller;
use tidegate_testkit::eventually;

/// Longest wait for what ought to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// One source that is asked ten times a second.
struct Asked {
    poller: Poller,
    name: SourceId,
}

impl Asked {
    fn new(system: System) -> Self {
        Self::over(system, Tls::default())
    }

    fn over(system: System, tls: Tls) -> Self {
        let name = SourceId::new("test").unwrap();
        let source = Source {
            name: name.clone(),
            system,
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(8),
            tls,
        };
        let poller = Poller::start().unwrap();
        poller.watch(&BTreeMap::from([(name.clone(), source)]), Arc::new(|| ()));
        Self { poller, name }
    }

    fn reading(&self) -> Reading {
        self.poller.readings().remove(&self.name).unwrap_or_default()
    }

    /// Waits until so much waits.
    fn sees(&self, wanted: f64) {
        let mut last = Reading::default();
        eventually(PATIENCE, &format!("{wanted} wait"), || {
            last = self.reading();
            last.value.is_some_and(|(value, _)| (value - wanted).abs() < 1e-9)
        });
    }

    /// Waits until a question fails, and returns why.
    fn fails(&self) -> String {
        let mut why = None;
        eventually(PATIENCE, "it fails", || {
            why = self.reading().error;
            why.is_some()
        });
        why.unwrap()
    }
}

/// The server of a URL with a port.
fn server(url: &str) -> Server {
    let (scheme, place) = url.split_once("://").unwrap();
    let tls = ["rediss", "tls", "amqps", "https"].contains(&scheme);
    let (host, port) = place.split('/').next().unwrap().split_once(':').unwrap();
    Server { tls, host: host.to_owned(), port: port.parse().unwrap() }
}
