//! The Lua host from outside: scripts, a request that lives in memory, and what comes of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod arguments;
mod body;
mod budget;
mod capture;
mod collecting;
mod context;
mod crypto;
mod dictionary;
mod errors;
mod finalizers;
mod flame;
mod flow;
mod foreign;
mod jobs;
mod json;
mod logging;
mod modules;
mod openssl;
mod output;
mod regex;
mod request;
mod response;
mod sandbox;
mod semaphore;
mod support;
mod surface;
mod text;
mod thread;
mod time;
mod timer;
mod variable;
mod vm;
mod worker;
