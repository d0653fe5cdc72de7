//! The systems, each with its client.

pub(crate) mod redis;

use tidegate_core::snapshot::{Source, System};

use crate::error::{Error, Result};

/// Asks one source how much waits, over a connection that it keeps.
#[derive(Debug)]
pub(crate) enum Gauge {
    Redis(Box<redis::Gauge>),
    Other(&'static str),
}

impl Gauge {
    pub(crate) fn new(source: &Source) -> Self {
        match &source.system {
            System::Redis(redis) => Self::Redis(Box::new(redis::Gauge::new(redis, source))),
            other => Self::Other(other.kind()),
        }
    }

    /// How much waits. After an error, or when this is not waited for to its end, the gauge is not to be used again.
    pub(crate) async fn read(&mut self) -> Result<f64> {
        match self {
            Self::Redis(gauge) => gauge.read().await,
            Self::Other(kind) => Err(Error::Refused(format!("{kind} is not supported yet"))),
        }
    }
}
