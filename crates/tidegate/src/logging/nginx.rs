//! Lines as nginx writes them, for alerts and tests that look for those.
//!
//! `2026/05/01 12:00:00 [error] 17#17: *3 message, client: 127.0.0.1, …`. Scripts' lines bring their own level, the
//! number of the connection and what they are about; events of the gateway have their fields appended.

use std::fmt::{self, Write as _};

use tidegate_core::snapshot::ErrorLevel;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::sink;

/// Names of nginx's levels, by number. The first has none.
const NAMES: [&str; 9] = ["", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

/// Writes every event as a line.
pub(super) struct Lines {
    /// The number of the least urgent level that is written.
    most: u64,
}

impl Lines {
    pub(super) fn new(level: ErrorLevel) -> Self {
        let most = match level {
            ErrorLevel::Emerg => 1,
            ErrorLevel::Alert => 2,
            ErrorLevel::Crit => 3,
            ErrorLevel::Error => 4,
            ErrorLevel::Warn => 5,
            ErrorLevel::Notice => 6,
            ErrorLevel::Info => 7,
            ErrorLevel::Debug => 8,
        };
        Self { most }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let severity = parts.severity.unwrap_or_else(|| number(*event.metadata().level()));
        if severity <= self.most {
            sink::write(line(&parts, severity).into_bytes());
        }
    }
}

fn number(level: Level) -> u64 {
    match level {
        Level::ERROR => 4,
        Level::WARN => 5,
        Level::INFO => 7,
        _ => 8,
    }
}

fn line(parts: &Parts, severity: u64) -> String {
    let time = jiff::ZonedDateTime::now().strftime("%Y/%m/%d %H:%M:%S");
    let name = NAMES.get(severity as usize).copied().unwrap_or_default();
    let pid = std::process::id();
    let mut line = format!("{time} [{name}] {pid}#{pid}: ");
    if let Some(connection) = parts.connection.filter(|&number| number > 0) {
        let _ = write!(line, "*{connection} ");
    }
    line + &parts.message + &parts.about + &parts.rest + "\n"
}

/// What an event says.
#[derive(Default)]
struct Parts {
    message: String,
    severity: Option<u64>,
    connection: Option<u64>,
    about: String,
    /// All other fields.
    rest: String,
}

impl Parts {
    fn other(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let _ = write!(self.rest, ", {}: {value}", field.name());
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}");
            }
            _ => self.other(field, format_args!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "about" => value.clone_into(&mut self.about),
            "message" => value.clone_into(&mut self.message),
            _ => self.other(field, format_args!("{value}")),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "severity" => self.severity = Some(value),
            "connection" => self.connection = Some(value),
            _ => self.other(field, format_args!("{value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_level_process_connection_message_and_what_it_is_about() {
        let parts = Parts {
            message: "[lua] a.lua:1: hi".into(),
            connection: Some(3),
            about: ", client: 127.0.0.1".into(),
            ..Parts::default()
        };
        let pid = std::process::id();
        let line = line(&parts, 5);
        let (time, rest) = line.split_at("2026/05/01 12:00:00".len());
        assert!(time.bytes().all(|byte| byte.is_ascii_digit() || b"/ :".contains(&byte)), "{time}");
        assert_eq!(rest, format!(" [warn] {pid}#{pid}: *3 [lua] a.lua:1: hi, client: 127.0.0.1\n"));
    }

    #[test]
    fn a_line_about_no_connection_names_none() {
        let parts = Parts { message: "listening".into(), connection: Some(0), ..Parts::default() };
        assert!(line(&parts, 7).ends_with(": listening\n"));
        assert!(line(&parts, 0).contains(" [] "));
    }
}
