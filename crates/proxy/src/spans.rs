//! How long an attempt to reach an endpoint may take, step by step.

use std::time::Duration;

use tidegate_core::snapshot::Timeouts;
use tidegate_lua::Choice;

/// The configuration's, unless the balancer phase has others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spans {
    pub(crate) connect: Duration,
    /// Between two writes.
    pub(crate) send: Duration,
    /// Until the answer begins.
    pub(crate) first_byte: Duration,
    /// Between two reads of the answer.
    pub(crate) idle: Duration,
}

impl Spans {
    pub(crate) fn new(timeouts: &Timeouts, choice: Option<&Choice>) -> Self {
        let mut spans = Self {
            connect: timeouts.connect,
            send: timeouts.upstream_idle,
            first_byte: timeouts.first_byte,
            idle: timeouts.upstream_idle,
        };
        let Some(choice) = choice else { return spans };
        spans.connect = choice.connect_timeout.unwrap_or(spans.connect);
        spans.send = choice.send_timeout.unwrap_or(spans.send);
        spans.first_byte = choice.read_timeout.unwrap_or(spans.first_byte);
        spans.idle = choice.read_timeout.unwrap_or(spans.idle);
        spans
    }
}
