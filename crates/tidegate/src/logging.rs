//! Log lines on standard error: fields, not prose.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Begins to log. `TIDEGATE_LOG` says what (`debug`, `tidegate_proxy=trace`, …); without it, `default`.
/// Lines are plain on a terminal and JSON elsewhere.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if io::stderr().is_terminal() {
        registry.with(layer.with_target(false)).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
    debug_assert!(started.is_ok(), "logging is started once");
}
