//! The lines that a Lua instance and its parent exchange, as JSON.
//!
//! One [`InstanceSpec`] goes in, on the instance's standard input, which then stays open as a
//! lifeline: its end means that the parent is gone. [`Order`]s may follow there. [`InstanceReport`]s come out on its
//! standard output. A command instance exchanges nothing.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidegate_core::{
    FleetId, InstanceId,
    flame::{Recording, Wish},
    snapshot::{ErrorLog, Limits, LuaSettings, Script, Source, Timeouts, WorkerSettings},
};

/// Longest line with an [`InstanceSpec`], in bytes; the script is in it.
pub const SPEC_BYTES: usize = 64 << 20;

/// Longest line with an [`Order`], in bytes. Less than what a pipe takes whole, so that it can be given without waiting.
pub const ORDER_BYTES: usize = 4 << 10;

/// Text of stacks in one report: with what JSON adds it stays a line of at most [`LINE_BYTES`](super::lines::LINE_BYTES).
pub const PART_BYTES: usize = 16 << 10;

/// How often an instance reports its status.
pub const STATUS_EVERY: Duration = Duration::from_millis(500);

/// Everything that a Lua instance needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSpec {
    pub fleet: FleetId,
    pub id: InstanceId,
    /// Executed for each request.
    pub app: Script,
    pub lua: LuaSettings,
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// Which lines to write, and how; the parent puts them where they belong.
    #[serde(default)]
    pub error_log: ErrorLog,
    /// Where the messages come from that the app is executed for, instead of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume: Option<Consume>,
    /// Process id of the parent, for [`bind_to_parent`](super::bind_to_parent).
    pub parent: u32,
    /// How long requests may go on after `SIGTERM`.
    pub grace: Duration,
}

/// What a worker takes messages from, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consume {
    pub source: Source,
    pub settings: WorkerSettings,
}

/// What an instance is to do besides serving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// Look at what Lua does, and tell it by this number.
    Record { number: u64, wish: Wish },
}

/// What an instance says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InstanceReport {
    /// The app compiled and requests are accepted.
    Listening { address: SocketAddr },
    /// Every [`STATUS_EVERY`] from then on.
    Status(Status),
    /// It cannot run and ends now, for this reason.
    Failed(String),
    /// Of what was [recorded](Order::Record).
    Recorded(Part),
}

/// A part of a recording, which is too large for one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// That of the order.
    pub number: u64,
    pub recording: Recording,
    /// No other follows.
    pub last: bool,
}

impl Part {
    /// All that was recorded on the order with that number.
    pub fn all(number: u64, recording: Recording) -> impl Iterator<Item = Self> {
        let mut parts = recording.into_parts(PART_BYTES).into_iter().peekable();
        std::iter::from_fn(move || {
            let recording = parts.next()?;
            Some(Self { number, recording, last: parts.peek().is_none() })
        })
    }
}

/// Figures of one instance. Totals count from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Wall-clock time in which it was not waiting for events. Not processor time, which reads low
    /// exactly when a crowded machine starves the instance.
    pub busy_micros: u64,
    /// Wall-clock time since it listens, read at the same moment. A share of two readings of one
    /// clock stays true when the report is late.
    pub up_micros: u64,
    pub in_flight: u32,
    pub served: u64,
    /// In use by the Lua VM.
    pub lua_bytes: u64,
    /// Runs of Lua that wait, and their light threads.
    #[serde(default)]
    pub lua_coroutines: u64,
    /// Time in which a collection of garbage held up everything else.
    #[serde(default)]
    pub lua_gc_micros: u64,
    /// Bytes that its Lua asked for.
    #[serde(default)]
    pub lua_allocated: u64,
    /// Of the capacity of its fullest shared dictionary, so many millionths are in use. Nothing without dictionaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lua_dicts_ppm: Option<u32>,
    /// What became of messages, where it works on some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<MessageCounts>,
}

/// Messages by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// Worked on with success.
    pub done: u64,
    /// Failed, and to be delivered again.
    pub failed: u64,
    /// Put among the dead letters.
    pub dead: u64,
    /// Settled in vain: the source could not be told, and will deliver them again.
    pub lost: u64,
}

/// Why a line is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("not a line of the instance protocol")]
pub struct NotUnderstood(#[source] serde_json::Error);

/// `message` as one line, with its end.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("the messages here are plain values with text keys");
    line.push(b'\n');
    line
}

pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, NotUnderstood> {
    serde_json::from_slice(line).map_err(NotUnderstood)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(report: &InstanceReport, line: &str) {
        assert_eq!(String::from_utf8(encode(report)).unwrap(), format!("{line}\n"));
        assert_eq!(&decode::<InstanceReport>(line.as_bytes()).unwrap(), report);
    }

    #[test]
    fn reports_keep_their_form() {
        let address = "127.0.0.1:40001".parse().unwrap();
        check(&InstanceReport::Listening { address }, r#"{"listening":{"address":"127.0.0.1:40001"}}"#);
        let status = Status {
            busy_micros: 5,
            up_micros: 9,
            in_flight: 1,
            served: 7,
            lua_bytes: 4096,
            ..Status::default()
        };
        check(
            &InstanceReport::Status(status),
            r#"{"status":{"busyMicros":5,"upMicros":9,"inFlight":1,"served":7,"luaBytes":4096,"luaCoroutines":0,"luaGcMicros":0,"luaAllocated":0}}"#,
        );
        check(
            &InstanceReport::Failed("a.lua:3: unexpected symbol".into()),
            r#"{"failed":"a.lua:3: unexpected symbol"}"#,
        );
    }

    #[test]
    fn a_recording_goes_over_in_lines_that_are_short_enough() {
        let mut recording = Recording { samples: 7, ..Recording::default() };
        for number in 0..3_000 {
            recording.add(&format!("{number}"), u64::MAX / 4_000);
            recording.add(&format!("{number};{}", "\"".repeat(number * 5)), 1);
        }
        let parts: Vec<Part> = Part::all(3, recording.clone()).collect();
        let mut sum = Recording::default();
        for part in &parts {
            let line = encode(&InstanceReport::Recorded(part.clone()));
            assert!(line.len() <= crate::instance::lines::LINE_BYTES, "{}", line.len());
            let InstanceReport::Recorded(read) = decode(&line).unwrap() else { panic!("{line:?}") };
            assert_eq!(&read, part);
            sum.merge(&read.recording);
        }
        assert_eq!(parts.iter().map(|part| part.last).rposition(|last| !last), Some(parts.len() - 2));
        assert_eq!(sum.samples, 7);
        let total = |recording: &Recording| recording.stacks.values().sum::<u64>();
        assert_eq!(total(&sum), total(&recording));
    }

    #[test]
    fn an_order_is_a_short_line() {
        let subject = tidegate_core::flame::Subject::Route {
            route: tidegate_core::RouteId::new(&"r".repeat(63)).unwrap(),
            fleet: Some(FleetId::new(&"f".repeat(63)).unwrap()),
        };
        let order = Order::Record { number: u64::MAX, wish: Wish { seconds: 60, subject } };
        let line = encode(&order);
        assert!(line.len() < ORDER_BYTES, "{}", line.len());
        assert_eq!(decode::<Order>(&line).unwrap(), order);
    }

    #[test]
    fn a_spec_is_one_line_whatever_is_in_the_script() {
        let spec = InstanceSpec {
            fleet: FleetId::new("orders").unwrap(),
            id: InstanceId::new("orders-1").unwrap(),
            app: Script::new("a.lua", "-- ä\r\nngx.say('\u{2028}')\n"),
            lua: LuaSettings::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            error_log: ErrorLog::default(),
            consume: None,
            parent: 1,
            grace: Duration::from_millis(1_500),
        };
        let line = encode(&spec);
        assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
        assert_eq!(decode::<InstanceSpec>(&line).unwrap(), spec);
    }

    #[test]
    fn anything_else_is_not_understood() {
        for line in ["", "hello", "{}", r#"{"status":{}}"#, "[1]"] {
            assert!(decode::<InstanceReport>(line.as_bytes()).is_err(), "{line:?}");
        }
    }
}
