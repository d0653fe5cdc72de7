//! How failures are told to Lua: as OpenResty tells them.

use std::io;

/// What the system calls an error, in lower case as `LuaSocket` has it: `connection refused`.
pub(crate) fn text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed".into(),
        io::ErrorKind::OutOfMemory => "buffer too small".into(),
        _ => system_text(error).to_lowercase(),
    }
}

/// As the log has it: `(111: Connection refused)`.
pub(crate) fn numbered(error: &io::Error) -> String {
    format!("({}: {})", error.raw_os_error().unwrap_or_default(), system_text(error))
}

/// Without the number that Rust adds.
fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_read_as_they_do_in_openresty() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(text(&refused), "connection refused");
        assert_eq!(numbered(&refused), "(111: Connection refused)");
        assert_eq!(text(&io::Error::from_raw_os_error(104)), "connection reset by peer");
    }
}
