//! Floors 0 and 1 read no clock, no randomness, no file, no socket.
//!
//! `clippy.toml` of those crates bans the same calls where types tell them apart; this check also
//! sees imports, and cannot be silenced with an attribute. Tests may do as they like.

use super::{Finding, TextFile, floors};
use crate::source::Source;

/// Paths that begin so, or equal one of these, are banned.
const BANNED: [(&str, &str); 11] = [
    ("tokio", "an executor"),
    ("std::fs", "files"),
    ("std::env", "the environment"),
    ("std::process", "processes"),
    ("std::os", "the operating system"),
    ("std::net::TcpStream", "sockets"),
    ("std::net::TcpListener", "sockets"),
    ("std::net::UdpSocket", "sockets"),
    ("std::net::ToSocketAddrs", "name resolution"),
    ("std::thread::sleep", "time"),
    ("rand", "randomness"),
];

/// The same, wherever a path ends so.
const BANNED_CALLS: [(&str, &str); 3] =
    [("Instant::now", "a clock"), ("SystemTime::now", "a clock"), ("RandomState::new", "randomness")];

/// What a file may do all the same, because LuaJIT's users ask for just that, or its profiler does: `(file, path, why)`.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("crates/lua/src/api/time.rs", "SystemTime::now", "ngx.update_time() reads the clock"),
    ("crates/lua/src/api/time.rs", "Instant::now", "resty.core.time reads the clock"),
    (
        "crates/lua/src/api/timer.rs",
        "tokio::time::timeout",
        "a semaphore is waited for no longer than a script says",
    ),
    ("crates/lua/src/flame.rs", "Instant::now", "threads are looked at by the clock"),
    ("crates/lua/src/flame.rs", "std::thread::sleep", "the same"),
    (
        "crates/lua/src/flame.rs",
        "tokio::sync::Notify",
        "a VM's thread, which waits for events, is asked from another",
    ),
    ("crates/lua/src/prelude.rs", "std::process", "ngx.worker.pid()"),
    ("crates/lua/src/prelude.rs", "std::env::current_dir", "ngx.config.prefix()"),
    ("crates/lua/src/vm.rs", "std::env::var_os", "os.getenv()"),
];

/// Where files live that are the outside world by their nature: `ngx.socket` has to be within reach of LuaJIT's FFI, so
/// that a call which need not wait does not yield.
const SOCKETS: &str = "crates/lua/src/socket";

pub(super) fn check(file: &TextFile, source: &Source) -> Vec<Finding> {
    let Some(krate) = file.krate() else { return Vec::new() };
    let Some(floor @ 0..=1) = floors::floor(krate) else { return Vec::new() };
    if file.path.starts_with(SOCKETS) {
        return Vec::new();
    }
    let finding = |line, path: &str, what: &str| {
        Finding::new(
            &file.path,
            line,
            format!("floor {floor} is pure, but {path} brings {what}: take it as an argument"),
        )
    };
    let excused =
        |path: &str| EXCUSED.iter().any(|&(of, excused, _)| of == file.path && is_within(path, excused));
    source
        .paths
        .iter()
        .filter(|found| !excused(&found.path))
        .filter_map(|found| impurity(&found.path).map(|what| finding(found.line, &found.path, what)))
        .collect()
}

fn impurity(path: &str) -> Option<&'static str> {
    let begins = BANNED.iter().find(|(banned, _)| is_within(path, banned));
    let ends = || BANNED_CALLS.iter().find(|(call, _)| path == *call || path.ends_with(&format!("::{call}")));
    begins.or_else(ends).map(|&(_, what)| what)
}

fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        let file = TextFile { path: path.into(), text: text.into() };
        check(&file, &Source::parse(text).unwrap()).len()
    }

    #[test]
    fn clocks_files_and_sockets_are_found_however_they_are_written() {
        for text in [
            "use tokio::time;",
            "use tokio::*;",
            "use std::{fmt, fs};",
            "use std::fs::{self, File};",
            "fn f() { std::env::var(\"A\"); }",
            "fn f() { time::Instant::now(); }",
            "fn f() { assert!(Instant::now() > t); }",
            "use std::{net::{IpAddr, TcpStream}};",
            "use rand::Rng;",
        ] {
            assert!(findings("crates/traffic/src/a.rs", text) > 0, "{text}");
            assert_eq!(findings("crates/proxy/src/a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn an_excuse_holds_for_its_file_and_path_alone() {
        let (file, path, _) = EXCUSED[0];
        assert_eq!(findings(file, &format!("fn f() {{ {path}() }}")), 0);
        assert_eq!(findings(file, "use std::fs;"), 1);
        assert_eq!(findings("crates/lua/src/other.rs", &format!("fn f() {{ {path}() }}")), 1);
        assert_eq!(findings("crates/lua/src/socket/tcp.rs", "use tokio::net;"), 0);
    }

    #[test]
    fn values_and_tests_are_fine() {
        for text in [
            "use std::{net::SocketAddr, time::{Duration, Instant}};",
            "fn f() -> operand::T { random::now() }",
            "// std::fs::read\nfn f() { g(\"tokio::spawn\") }",
            "#[cfg(test)] mod tests { use std::fs; }",
        ] {
            assert_eq!(findings("crates/core/src/a.rs", text), 0, "{text}");
        }
    }
}
