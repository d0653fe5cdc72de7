//! The Lua host from outside: scripts, a request that lives in memory, and what comes of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod request;
mod support;
mod vm;
