//! What scripts log, on its way to the log of the node.
//!
//! In nginx's format a line tells which request it is about, as nginx does: `ngx.log` and errors alike. The number of
//! the connection and what follows the message are fields of the event, which the writer of the log puts into their
//! places. JSON lines keep the fields that they always had.

use std::{
    fmt::Write as _,
    io,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use jiff::tz::TimeZone;
use tidegate_core::{
    Timestamp,
    snapshot::{Address, ErrorLevel, ErrorLog, ErrorLogFormat, Script},
};
use tidegate_lua::{Exchange, Level, Line, LogRing, Phase, ScriptError};

use crate::{error::Error, excerpt::Excerpt, exchange, site::Route, worker::wall_clock};

/// How scripts' lines are put.
#[derive(Debug, Clone)]
pub(crate) struct ScriptLog {
    format: ErrorLogFormat,
    /// Less urgent lines are not even put together.
    pub(crate) level: Level,
    /// What scripts read lines from, in nginx's format whatever that of the log is.
    pub(crate) ring: Option<Arc<LogRing>>,
}

impl ScriptLog {
    /// Keeps lines for scripts in so many bytes, or none.
    pub(crate) fn new(settings: &ErrorLog, kept_bytes: usize) -> Self {
        let ring = (kept_bytes > 0).then(|| Arc::new(LogRing::new(kept_bytes)));
        Self { format: settings.format, level: settings.level.map_or_else(enabled, level), ring }
    }

    pub(crate) fn write(&self, line: &Line<'_>) {
        if !self.shape(line) {
            plain(line.level, line.text);
        }
    }

    /// A handler failed.
    pub(crate) fn failure(
        &self,
        route: &Route,
        phase: Phase,
        exchange: &exchange::Exchange,
        error: &ScriptError,
        excerpt: &Excerpt,
    ) {
        if !self.shape_failure(phase, Some(exchange), error, excerpt) {
            let request = String::from_utf8_lossy(exchange.request.target());
            tracing::error!(
                route = %route.name, %request, client = %exchange.client_text, id = %exchange.id(),
                source = excerpt.source(), traceback = error.traceback(), "lua: {error}"
            );
        }
    }

    /// A script failed that ran for no request.
    pub(crate) fn failure_alone(&self, phase: Phase, error: &ScriptError, excerpt: &Excerpt) {
        if !self.shape_failure(phase, None, error, excerpt) {
            let (source, traceback) = (excerpt.source(), error.traceback());
            tracing::error!(phase = phase.name(), source, traceback, "lua: {error}");
        }
    }

    /// An endpoint did not serve a request, or nobody did.
    pub(crate) fn unserved(
        &self,
        route: &Route,
        exchange: &exchange::Exchange,
        endpoint: Option<&Address>,
        error: &Error,
        tried_again: bool,
    ) {
        let target = String::from_utf8_lossy(exchange.request.target());
        if matches!(self.format, ErrorLogFormat::Nginx) {
            let (connection, mut about) = about(None, Some(exchange));
            if let Some(endpoint) = endpoint {
                let place = about.rfind(", host: \"").unwrap_or(about.len());
                about.insert_str(place, &format!(", upstream: \"http://{endpoint}{target}\""));
            }
            return shaped(Level::Error, connection, &error.as_nginx_says_it(), &about);
        }
        let endpoint = endpoint.map(tracing::field::display);
        tracing::warn!(
            route = %route.name, request = %target, client = %exchange.client_text, id = %exchange.id(), endpoint, tried_again,
            "not served: {error}"
        );
    }

    /// A file that was asked for could not be opened, which nginx's log tells and other logs tell by the status.
    pub(crate) fn unopened(&self, exchange: &exchange::Exchange, path: &Path, error: &io::Error) {
        if let Some(number) = error.raw_os_error() {
            let reason = error.to_string();
            let reason = reason.split(" (os error").next().unwrap_or(&reason);
            let text = &format!("open() \"{}\" failed ({number}: {reason})", path.display());
            self.shape(&Line {
                level: Level::Error,
                text,
                at: wall_clock(),
                phase: None,
                exchange: Some(exchange),
            });
        }
    }

    fn shape_failure(
        &self,
        phase: Phase,
        exchange: Option<&dyn Exchange>,
        error: &ScriptError,
        excerpt: &Excerpt,
    ) -> bool {
        let mut text = failure(phase, error);
        // What does not compile says itself which words it is about.
        if let (Some(source), None) = (excerpt.source(), error.why_unloaded()) {
            let _ = write!(text, "\nsource: {source}");
        }
        let (level, text, at) = (Level::Error, &text, wall_clock());
        self.shape(&Line { level, text, at, phase: Some(phase), exchange })
    }

    /// Puts a line as nginx does: for scripts to read, and into a log of that format. Tells whether the log has it now.
    fn shape(&self, line: &Line<'_>) -> bool {
        let is_shaped = matches!(self.format, ErrorLogFormat::Nginx);
        let ring = self.ring.as_ref().filter(|_| line.level <= self.level);
        if !is_shaped && ring.is_none() {
            return false;
        }
        let (connection, about) = about(line.phase, line.exchange);
        if let Some(ring) = ring {
            ring.push(line.level, line.at, &nginx_line(line.level, line.at, line.text, connection, &about));
        }
        if is_shaped {
            shaped(line.level, connection, line.text, &about);
        }
        is_shaped
    }
}

/// A script did not load that was to run for no request.
pub(crate) fn unloaded_alone(log: &ScriptLog, phase: Phase, script: &Script, error: &tidegate_lua::Error) {
    match log.format {
        ErrorLogFormat::Json => tracing::error!(phase = phase.name(), "lua: {error}"),
        ErrorLogFormat::Nginx => {
            let context = phase.context().trim_end_matches('*');
            let kind = if script.is_file() { "_file" } else { "" };
            shaped(Level::Error, 0, &format!("{context}{kind} error: {error}"), "");
        }
    }
}

/// The error in OpenResty's words.
fn failure(phase: Phase, error: &ScriptError) -> String {
    let message = error.message();
    if error.why_unloaded().is_some() {
        return message.to_owned();
    }
    match phase {
        Phase::ServerRewrite
        | Phase::Rewrite
        | Phase::Access
        | Phase::Precontent
        | Phase::Content
        | Phase::SslCertificate
        | Phase::SslClientHello
        | Phase::SslSessionFetch
        | Phase::Timer => {
            let mut trace = error.traceback().to_owned();
            if !trace.starts_with("stack traceback:\ncoroutine 0:") {
                trace = trace.replacen("stack traceback:", "stack traceback:\ncoroutine 0:", 1);
            }
            format!("lua entry thread aborted: runtime error: {message}\n{trace}")
        }
        Phase::InitWorker | Phase::ExitWorker => {
            format!("{} error: {message}\n{}", phase.context().trim_end_matches('*'), error.traceback())
        }
        _ => format!("failed to run {}: {message}\n{}", phase.context(), error.traceback()),
    }
}

/// A line as nginx writes it, without the end of line.
fn nginx_line(level: Level, at: Timestamp, text: &str, connection: u64, about: &str) -> String {
    const NAMES: [&str; 9] = ["stderr", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    let time = time.to_zoned_datetime(TimeZone::system());
    let (name, process) = (NAMES[level as usize], process::id());
    let connection = if connection == 0 { String::new() } else { format!("*{connection} ") };
    format!("{} [{name}] {process}#{process}: {connection}{text}{about}", time.strftime("%Y/%m/%d %H:%M:%S"))
}

/// The number of the connection, 0 without one, and what follows the message.
fn about(phase: Option<Phase>, exchange: Option<&dyn Exchange>) -> (u64, String) {
    let mut about = String::new();
    if let Some(phase) = phase.filter(|phase| *phase as u32 & WITHOUT_REQUEST != 0) {
        let _ = write!(about, ", context: {}", phase.context());
    }
    if phase == Some(Phase::Log) {
        about.push_str(" while logging request");
    }
    let Some(exchange) = exchange else { return (0, about) };
    let text = |name: &str| {
        exchange.variable(name.as_bytes()).map(|value| String::from_utf8_lossy(&value).into_owned())
    };
    let _ = write!(about, ", client: {}", text("remote_addr").unwrap_or_default());
    let _ = write!(about, ", server: {}", text("server_name").unwrap_or_else(|| "localhost".into()));
    if let Some(request) = text("request") {
        let _ = write!(about, ", request: \"{request}\"");
    }
    if let Some(host) = exchange.header(b"host") {
        let _ = write!(about, ", host: \"{}\"", String::from_utf8_lossy(host));
    }
    let connection = text("connection").and_then(|number| number.parse().ok());
    (connection.unwrap_or(0), about)
}

/// Phases whose lines say so, because no request does.
const WITHOUT_REQUEST: u32 = Phase::Timer as u32
    | Phase::InitWorker as u32
    | Phase::ExitWorker as u32
    | Phase::SslCertificate as u32
    | Phase::SslClientHello as u32
    | Phase::SslSessionFetch as u32
    | Phase::SslSessionStore as u32;

/// The number of the next connection, as `$connection` tells it.
pub(crate) fn next_connection() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}

const fn level(level: ErrorLevel) -> Level {
    match level {
        ErrorLevel::Debug => Level::Debug,
        ErrorLevel::Info => Level::Info,
        ErrorLevel::Notice => Level::Notice,
        ErrorLevel::Warn => Level::Warn,
        ErrorLevel::Error => Level::Error,
        ErrorLevel::Crit => Level::Crit,
        ErrorLevel::Alert => Level::Alert,
        ErrorLevel::Emerg => Level::Emerg,
    }
}

/// The least urgent level that anybody reads.
fn enabled() -> Level {
    if tracing::enabled!(target: "lua", tracing::Level::DEBUG) {
        Level::Debug
    } else if tracing::enabled!(target: "lua", tracing::Level::INFO) {
        Level::Info
    } else if tracing::enabled!(target: "lua", tracing::Level::WARN) {
        Level::Warn
    } else {
        Level::Error
    }
}

fn plain(level: Level, text: &str) {
    match level {
        Level::Stderr | Level::Emerg | Level::Alert | Level::Crit | Level::Error => {
            tracing::error!(target: "lua", "{text}");
        }
        Level::Warn => tracing::warn!(target: "lua", "{text}"),
        Level::Notice | Level::Info => tracing::info!(target: "lua", "{text}"),
        Level::Debug => tracing::debug!(target: "lua", "{text}"),
    }
}

fn shaped(level: Level, connection: u64, text: &str, about: &str) {
    let severity = level as u64;
    match level {
        Level::Stderr | Level::Emerg | Level::Alert | Level::Crit | Level::Error => {
            tracing::error!(target: "lua", severity, connection, about, "{text}");
        }
        Level::Warn => tracing::warn!(target: "lua", severity, connection, about, "{text}"),
        Level::Notice | Level::Info => tracing::info!(target: "lua", severity, connection, about, "{text}"),
        Level::Debug => tracing::debug!(target: "lua", severity, connection, about, "{text}"),
    }
}
