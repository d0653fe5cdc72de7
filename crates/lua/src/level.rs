//! What scripts log, and its levels as nginx and OpenResty number them.

use std::{fmt, sync::Arc};

use tidegate_core::Timestamp;

use crate::{Exchange, Phase};

/// Takes what scripts log, a line at a time, on whichever thread they run.
pub type Log = Arc<dyn Fn(&Line<'_>) + Send + Sync>;

/// A line of the log, and what it is about.
pub struct Line<'a> {
    pub level: Level,
    pub text: &'a str,
    pub at: Timestamp,
    /// The phase that logged it; `None` for the VM's own lines.
    pub phase: Option<Phase>,
    /// The request that was served.
    pub exchange: Option<&'a dyn Exchange>,
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, text, phase, .. } = self;
        f.debug_struct("Line")
            .field("level", level)
            .field("text", text)
            .field("phase", phase)
            .finish_non_exhaustive()
    }
}

/// How urgent a line of the log is, as nginx counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    Stderr = 0,
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
}

impl Level {
    /// The level that `ngx.log` calls by this number.
    pub(crate) const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Stderr,
            1 => Self::Emerg,
            2 => Self::Alert,
            3 => Self::Crit,
            4 => Self::Error,
            5 => Self::Warn,
            6 => Self::Notice,
            7 => Self::Info,
            8 => Self::Debug,
            _ => return None,
        })
    }
}
