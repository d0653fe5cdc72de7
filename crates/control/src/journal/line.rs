//! A line of the journal: an entry as JSON, and at its end a sum of the bytes before it.
//!
//! `{"fleet":"orders","record":{…},"check":"8c1e57d0"}`. Power that fails, disks and editors leave lines that are JSON still and say
//! something else; the sum (CRC-32, which misses no stretch of up to 32 bits) tells them apart. A line without one is of a version
//! that wrote none, and is believed where it makes sense.

use std::fmt;

use super::Entry;

/// Before the sum and behind it.
const BEFORE: &[u8] = b",\"check\":\"";
const BEHIND: &[u8] = b"\"}";
/// Digits of the sum.
const DIGITS: usize = 8;

/// Why a line was passed over.
#[derive(Debug)]
pub enum Unread {
    /// It is not as it was written.
    Altered,
    /// It says what cannot be.
    Senseless(serde_json::Error),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("it is not as it was written: its check does not match"),
            Self::Senseless(error) => error.fmt(f),
        }
    }
}

/// Writes `entry` behind `lines`.
pub(crate) fn write(lines: &mut Vec<u8>, entry: &Entry) -> serde_json::Result<()> {
    let begin = lines.len();
    serde_json::to_writer(&mut *lines, entry)?;
    // The brace that an object ends with.
    lines.pop();
    let sum = crc32fast::hash(&lines[begin..]);
    lines.extend_from_slice(BEFORE);
    lines.extend_from_slice(format!("{sum:08x}").as_bytes());
    lines.extend_from_slice(BEHIND);
    lines.push(b'\n');
    Ok(())
}

/// Whether a line is as it was written, as far as it says.
pub(crate) fn is_as_written(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let Some((rest, sum)) =
        line.strip_suffix(BEHIND).and_then(|line| line.split_at_checked(line.len().checked_sub(DIGITS)?))
    else {
        return true;
    };
    let Some(summed) = rest.strip_suffix(BEFORE) else { return true };
    format!("{:08x}", crc32fast::hash(summed)).as_bytes() == sum
}

/// Reads a line, with or without the end of it.
pub(crate) fn read(line: &[u8]) -> Result<Entry, Unread> {
    if !is_as_written(line) {
        return Err(Unread::Altered);
    }
    serde_json::from_slice(line).map_err(Unread::Senseless)
}
