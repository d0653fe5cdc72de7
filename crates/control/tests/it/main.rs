//! The control plane with real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/threads.rs"]
mod threads;
mod world;

mod config;
mod crash;
mod exec;
mod fleet;
mod journal;
mod parent;
mod thread;
