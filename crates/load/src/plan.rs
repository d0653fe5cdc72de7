//! Everything that a run does, decided before it begins.

use std::{num::NonZeroUsize, time::Duration};

use crate::{record::Failure, request::Request, schedule::Schedule, url::Url};

/// What is sent where and when, and what counts as success.
#[derive(Debug, Clone)]
pub struct Plan {
    pub url: Url,
    pub request: Request,
    pub schedule: Schedule,
    /// Connections that are kept open; each carries one request at a time. All of them stand before
    /// the first request is due.
    pub connections: NonZeroUsize,
    /// Operating system threads that share the connections, at most one for each.
    pub threads: NonZeroUsize,
    /// From the moment that a request is due until its answer is complete: waiting for a connection,
    /// connecting, sending and receiving together.
    pub timeout: Duration,
    /// The most requests that wait for a connection.
    pub queue: NonZeroUsize,
    /// Statuses that count as success; empty: all below 400.
    pub expect: Vec<u16>,
}

impl Plan {
    /// `GET url` by `schedule`, with the defaults of `tidegate load`.
    pub fn new(url: Url, schedule: Schedule) -> Self {
        Self {
            url,
            request: Request::default(),
            schedule,
            connections: const { NonZeroUsize::new(64).unwrap() },
            threads: NonZeroUsize::MIN,
            timeout: Duration::from_secs(30),
            queue: const { NonZeroUsize::new(100_000).unwrap() },
            expect: Vec::new(),
        }
    }

    /// Whether an answer of `status` is what the plan asks for.
    pub(crate) fn judge(&self, status: u16) -> Result<(), Failure> {
        let expected = if self.expect.is_empty() { status < 400 } else { self.expect.contains(&status) };
        match status {
            _ if expected => Ok(()),
            500.. => Err(Failure::Status5xx),
            400..500 => Err(Failure::Status4xx),
            _ => Err(Failure::UnexpectedStatus),
        }
    }
}
