//! What event sources say, as the loop sees them.
//!
//! The control plane knows none of the systems: whoever wires the program gives it [`Sources`], which asks them in its
//! own time and keeps what they answered. Reading it never waits.
//!
//! A reading counts for a while ([`Source::lasts`](tidegate_core::snapshot::Source::lasts)); after that it is not known
//! how much waits, and what is not known never shrinks a fleet.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Instant};

use tidegate_core::{
    SourceId,
    snapshot::{RedisKey, Server, Source, System},
};

use crate::view::SourceView;

/// Asks event sources, again and again.
pub trait Sources: fmt::Debug + Send + Sync {
    /// Asks exactly these from now on. `wake` is called when something waits where nothing did.
    fn watch(&self, sources: &BTreeMap<SourceId, Source>, wake: Arc<dyn Fn() + Send + Sync>);

    /// What is known of each.
    fn readings(&self) -> BTreeMap<SourceId, Reading>;
}

/// What is known of a source.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The last answer, and when it came.
    pub value: Option<(f64, Instant)>,
    /// Why there was no answer to the last question. Never a secret.
    pub error: Option<String>,
    /// Questions so far, and those without an answer.
    pub polls: u64,
    pub failures: u64,
}

/// Asks nobody.
#[derive(Debug)]
pub struct NoSources;

impl Sources for NoSources {
    fn watch(&self, _: &BTreeMap<SourceId, Source>, _: Arc<dyn Fn() + Send + Sync>) {}

    fn readings(&self) -> BTreeMap<SourceId, Reading> {
        BTreeMap::new()
    }
}

/// The sources of the configuration in use.
#[derive(Debug)]
pub(crate) struct Watched {
    port: Arc<dyn Sources>,
    sources: BTreeMap<SourceId, Source>,
}

impl Watched {
    pub(crate) fn new(port: Arc<dyn Sources>) -> Self {
        Self { port, sources: BTreeMap::new() }
    }

    pub(crate) fn configure(
        &mut self,
        sources: &BTreeMap<SourceId, Source>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) {
        if self.sources != *sources {
            self.sources.clone_from(sources);
            self.port.watch(sources, wake);
        }
    }

    /// How much waits in those of which it is known.
    pub(crate) fn waiting(&self, now: Instant) -> BTreeMap<SourceId, f64> {
        if self.sources.is_empty() {
            return BTreeMap::new();
        }
        let readings = self.port.readings();
        let known = |(name, source): (&SourceId, &Source)| {
            let value = fresh(source, readings.get(name)?, now)?;
            Some((name.clone(), value))
        };
        self.sources.iter().filter_map(known).collect()
    }

    pub(crate) fn view(&self, now: Instant) -> Vec<SourceView> {
        if self.sources.is_empty() {
            return Vec::new();
        }
        let mut readings = self.port.readings();
        let view = |source: &Source| view(source, readings.remove(&source.name).unwrap_or_default(), now);
        self.sources.values().map(view).collect()
    }
}

fn fresh(source: &Source, reading: &Reading, now: Instant) -> Option<f64> {
    let (value, at) = reading.value?;
    (now.saturating_duration_since(at) <= source.lasts()).then_some(value)
}

fn view(source: &Source, reading: Reading, now: Instant) -> SourceView {
    let value = fresh(source, &reading, now);
    SourceView {
        name: source.name.clone(),
        system: source.system.kind(),
        of: of(&source.system),
        value,
        state: match (value, &reading.error, reading.polls) {
            (Some(_), None, _) => "ok",
            (Some(_), Some(_), _) => "failing",
            (None, _, 0) => "starting",
            (None, ..) => "unknown",
        },
        age_seconds: reading.value.map(|(_, at)| now.saturating_duration_since(at).as_secs_f64()),
        error: reading.error,
        polls: reading.polls,
        failures: reading.failures,
    }
}

/// What is asked about, in words.
fn of(system: &System) -> String {
    let at = |server: &Server| format!("{}:{}", server.host, server.port);
    match system {
        System::Redis(redis) => match &redis.key {
            RedisKey::List(key) => format!("list {key} at {}", at(&redis.server)),
            RedisKey::Stream { key, group } => {
                format!("group {group} of stream {key} at {}", at(&redis.server))
            }
        },
        System::Nats(nats) => {
            format!("consumer {} of stream {} at {}", nats.consumer, nats.stream, at(&nats.server))
        }
        System::Rabbitmq(rabbitmq) => format!("queue {} at {}", rabbitmq.queue, at(&rabbitmq.server)),
        System::Postgresql(postgresql) => {
            format!("query in {} at {}", postgresql.database, at(&postgresql.server))
        }
        System::Prometheus(prometheus) => format!("query at {}", at(&prometheus.server)),
        System::Http(http) => format!("{} at {}", http.pointer, at(&http.server)),
        System::Kafka(kafka) => {
            let servers: Vec<_> = kafka.servers.iter().map(at).collect();
            format!("group {} of topic {} at {}", kafka.group, kafka.topic, servers.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_core::snapshot::{Http, Login, Tls};

    use super::*;

    fn source() -> Source {
        let server = Server { tls: false, host: "localhost".into(), port: 80 };
        let system = System::Http(Http {
            server,
            target: "/".into(),
            login: Login::default(),
            token: None,
            pointer: "/depth".into(),
        });
        Source {
            name: SourceId::new("orders").unwrap(),
            system,
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            tls: Tls::default(),
        }
    }

    #[test]
    fn a_reading_counts_for_two_intervals_and_a_time_out() {
        let at = Instant::now();
        let reading = Reading { value: Some((7.0, at)), polls: 1, ..Reading::default() };
        let state = |after: u64, error: Option<&str>| {
            let reading = Reading { error: error.map(str::to_owned), ..reading.clone() };
            let view = view(&source(), reading, at + Duration::from_millis(after));
            (view.value, view.state)
        };
        assert_eq!(state(2_500, None), (Some(7.0), "ok"));
        assert_eq!(state(2_500, Some("refused")), (Some(7.0), "failing"));
        assert_eq!(state(2_501, Some("refused")), (None, "unknown"));
        assert_eq!(view(&source(), Reading::default(), at).state, "starting");
    }
}
