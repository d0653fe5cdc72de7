//! Levels of the log, as nginx and OpenResty number them.

/// Takes what scripts log, a line at a time.
pub type Log = Box<dyn Fn(Level, &str)>;

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
