//! Counters of nginx that libraries read as variables: `ngx_stat_accepted` and the like.
//!
//! They are the process's, so whoever knows them puts them here now and then.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

static VALUES: [AtomicU64; 7] = [const { AtomicU64::new(0) }; 7];

// Pointers to numbers, as in nginx.
#[unsafe(no_mangle)]
static ngx_stat_accepted: &AtomicU64 = &VALUES[0];
#[unsafe(no_mangle)]
static ngx_stat_handled: &AtomicU64 = &VALUES[1];
#[unsafe(no_mangle)]
static ngx_stat_requests: &AtomicU64 = &VALUES[2];
#[unsafe(no_mangle)]
static ngx_stat_active: &AtomicU64 = &VALUES[3];
#[unsafe(no_mangle)]
static ngx_stat_reading: &AtomicU64 = &VALUES[4];
#[unsafe(no_mangle)]
static ngx_stat_writing: &AtomicU64 = &VALUES[5];
#[unsafe(no_mangle)]
static ngx_stat_waiting: &AtomicU64 = &VALUES[6];

/// What the process has done so far, for libraries that read `ngx_stat_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Connections of clients.
    pub accepted: u64,
    pub requests: u64,
    /// Connections that are open.
    pub active: u64,
    /// Requests that are being answered.
    pub writing: u64,
}

impl Statistics {
    /// Makes it what libraries read from now on.
    pub fn publish(self) {
        let Self { accepted, requests, active, writing } = self;
        let waiting = active.saturating_sub(writing);
        let values = [accepted, accepted, requests, active, 0, writing, waiting];
        let variables = [
            &ngx_stat_accepted,
            &ngx_stat_handled,
            &ngx_stat_requests,
            &ngx_stat_active,
            &ngx_stat_reading,
            &ngx_stat_writing,
            &ngx_stat_waiting,
        ];
        // Whoever links this must not conclude that nobody wants the variables themselves.
        for (variable, value) in black_box(variables).iter().zip(values) {
            variable.store(value, Relaxed);
        }
    }
}
