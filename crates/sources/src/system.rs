//! The systems, each with its client.

pub(crate) mod json;
pub(crate) mod kafka;
pub(crate) mod nats;
pub(crate) mod postgresql;
pub(crate) mod rabbitmq;
pub(crate) mod redis;

use tidegate_core::snapshot::{Source, System};

use crate::error::Result;

/// Asks one source how much waits, over a connection that it keeps.
#[derive(Debug)]
pub(crate) enum Gauge {
    Redis(Box<redis::Gauge>),
    Nats(Box<nats::Gauge>),
    Rabbitmq(Box<rabbitmq::Gauge>),
    Postgresql(Box<postgresql::Gauge>),
    Json(Box<json::Gauge>),
    Kafka(Box<kafka::Gauge>),
}

impl Gauge {
    pub(crate) fn new(source: &Source) -> Self {
        match &source.system {
            System::Redis(redis) => Self::Redis(Box::new(redis::Gauge::new(redis, source))),
            System::Nats(nats) => Self::Nats(Box::new(nats::Gauge::new(nats, source))),
            System::Rabbitmq(rabbitmq) => Self::Rabbitmq(Box::new(rabbitmq::Gauge::new(rabbitmq, source))),
            System::Postgresql(postgresql) => {
                Self::Postgresql(Box::new(postgresql::Gauge::new(postgresql, source)))
            }
            System::Prometheus(prometheus) => {
                Self::Json(Box::new(json::Gauge::prometheus(prometheus, source)))
            }
            System::Http(http) => Self::Json(Box::new(json::Gauge::http(http, source))),
            System::Kafka(kafka) => Self::Kafka(Box::new(kafka::Gauge::new(kafka, source))),
        }
    }

    /// How much waits. After an error, or when this is not waited for to its end, the gauge is not to be used again.
    pub(crate) async fn read(&mut self) -> Result<f64> {
        match self {
            Self::Redis(gauge) => gauge.read().await,
            Self::Nats(gauge) => gauge.read().await,
            Self::Rabbitmq(gauge) => gauge.read().await,
            Self::Postgresql(gauge) => gauge.read().await,
            Self::Json(gauge) => gauge.read().await,
            Self::Kafka(gauge) => gauge.read().await,
        }
    }
}
