//! The log of the process: fields, not prose; or lines as nginx writes them.
//!
//! Whoever logs hands a finished line to the [`sink`] and goes on. It starts with what the environment asks for, and
//! [`configure`] makes it what the configuration does.

mod nginx;
mod sink;

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use tidegate_core::snapshot::{ErrorLevel, ErrorLog, ErrorLogFormat};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt::MakeWriter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

pub(crate) use self::sink::{finish, reopen};

type Output = Box<dyn Layer<Registry> + Send + Sync>;
/// Changes what is written, and how.
type Change = Box<dyn Fn(Output, EnvFilter) + Send + Sync>;

static CHANGE: OnceLock<Change> = OnceLock::new();

/// Begins to log. `TIDEGATE_LOG` says what (`debug`, `tidegate_proxy=trace`, …); without it, `default`.
/// Lines are plain on a terminal and JSON elsewhere.
pub(crate) fn start(default: &str) {
    let (output, change_output) = reload::Layer::new(plain(io::stderr().is_terminal()));
    let (filter, change_filter) = reload::Layer::new(asked_for(default));
    sink::start();
    let started = tracing_subscriber::registry().with(output).with(filter).try_init();
    debug_assert!(started.is_ok(), "logging is started once");
    let _ = CHANGE.set(Box::new(move |output, filter| {
        // Fails only when there is nobody left who logs.
        let _ = change_output.reload(output);
        let _ = change_filter.reload(filter);
    }));
}

/// Logs as the configuration asks for. Fails when its file cannot be opened.
pub(crate) fn configure(settings: &ErrorLog) -> io::Result<()> {
    if *settings == ErrorLog::default() {
        return Ok(());
    }
    let Some(change) = CHANGE.get() else { return Ok(()) };
    if let Some(path) = &settings.file {
        sink::open(path)?;
    }
    let filter = settings.level.map_or_else(|| asked_for("info"), |level| EnvFilter::new(word(level)));
    let terminal = settings.file.is_none() && io::stderr().is_terminal();
    let output: Output = match settings.format {
        ErrorLogFormat::Nginx => Box::new(nginx::Lines::new(settings.level.unwrap_or(ErrorLevel::Debug))),
        ErrorLogFormat::Json => plain(terminal),
    };
    change(output, filter);
    Ok(())
}

fn plain(for_people: bool) -> Output {
    let layer = tracing_subscriber::fmt::layer().with_writer(Lines);
    if for_people {
        layer.with_target(false).with_ansi(true).boxed()
    } else {
        layer.with_ansi(false).json().flatten_event(true).boxed()
    }
}

fn asked_for(default: &str) -> EnvFilter {
    EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default))
}

/// The level of events that nginx's level lets through; the finer steps are told apart by who writes the line.
const fn word(level: ErrorLevel) -> &'static str {
    match level {
        ErrorLevel::Debug => "debug",
        ErrorLevel::Info | ErrorLevel::Notice => "info",
        ErrorLevel::Warn => "warn",
        ErrorLevel::Error | ErrorLevel::Crit | ErrorLevel::Alert | ErrorLevel::Emerg => "error",
    }
}

/// Makes lines for the sink out of what a formatter writes.
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Unfinished;

    fn make_writer(&'a self) -> Unfinished {
        Unfinished(Vec::with_capacity(256))
    }
}

/// A line that is whole when it is dropped.
struct Unfinished(Vec<u8>);

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            sink::write(std::mem::take(&mut self.0));
        }
    }
}
