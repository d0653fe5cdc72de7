//! `tidegate load` against a gateway, and its report for the other tests.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tidegate_testkit::{
    Answer, Tidegate, Upstream,
    process::{self, Signal},
};

use crate::TIDEGATE;

/// A load that runs beside the test. A test that fails takes it along.
pub(crate) struct Load(Option<Child>);

impl Load {
    /// Sends `rate` requests per second to `url` for `seconds`.
    pub(crate) fn start(url: &str, rate: u32, seconds: u32) -> Self {
        let child = Command::new(TIDEGATE)
            .args(["load", url, "--format", "json", "--quiet", "--connections", "16"])
            .args(["--rate", &rate.to_string(), "--duration", &format!("{seconds}s")])
            // A slow machine is no failure of the gateway.
            .args(["--timeout", "5m"])
            .stdout(Stdio::piped())
            .spawn();
        Self(Some(child.unwrap()))
    }

    /// The same until it is [ended](Self::end): however long the rest of a test takes, the load is there.
    pub(crate) fn without_end(url: &str, rate: u32) -> Self {
        Self::start(url, rate, 3_600)
    }

    /// Ends it now, and fails the test if a single request did.
    pub(crate) fn end(self) -> Value {
        let child = self.0.as_ref().unwrap();
        assert!(process::signal(child.id(), Signal::INT), "the load has ended by itself");
        self.assert_nothing_failed()
    }

    /// Waits for the end, and fails the test if a single request did.
    pub(crate) fn assert_nothing_failed(mut self) -> Value {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["requests"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(report["failed"], 0, "{report:#}");
        report
    }
}

/// Ends it, whatever came of it.
impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn the_report_has_the_promised_form() {
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let report = Load::start(&format!("http://{}/", upstream.addr()), 200, 2).assert_nothing_failed();
    assert!((300..=500).contains(&report["requests"].as_u64().unwrap()), "{report}");
    for key in ["p50Ms", "p90Ms", "p99Ms", "p999Ms", "maxMs"] {
        assert!(report["latency"][key].as_f64().unwrap() > 0.0, "{key}: {report}");
    }
    assert!(report["errors"].as_object().unwrap().is_empty(), "{report}");
    assert!(report["ratePerSecond"].as_f64().unwrap() > 10.0, "{report}");
    assert!(report["durationSeconds"].as_f64().unwrap() >= 1.5, "{report}");
}

#[test]
fn a_trace_is_followed() {
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.csv");
    std::fs::write(&trace, "timestamp_seconds,requests_per_second\n0,1\n60,4\n120,2\n").unwrap();
    let output = Command::new(TIDEGATE)
        .args(["load", &format!("http://{}/", upstream.addr()), "--format", "json", "--quiet"])
        .args(["--trace", trace.to_str().unwrap(), "--speed", "60x", "--peak", "200"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Three seconds whose mean is somewhat over half of the peak.
    let requests = report["requests"].as_u64().unwrap();
    assert!((200..=500).contains(&requests), "{report}");
    assert_eq!(upstream.request_count() as u64, requests);
}

#[test]
fn a_target_that_is_not_there_is_the_environments_fault() {
    let nowhere = tidegate_testkit::unused_address();
    let output = Command::new(TIDEGATE)
        .args(["load", &format!("http://{nowhere}/"), "--rate", "10", "--duration", "1s"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&nowhere.to_string()));
}

#[test]
fn a_gateway_shows_what_it_served() {
    let tidegate = Tidegate::start(
        TIDEGATE,
        "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
routes: [{ name: hello, match: { path: /* }, lua: { content: ngx.say('hello') } }]",
    );
    let report = Load::start(&format!("http://{}/", tidegate.addr()), 100, 2).assert_nothing_failed();
    let served = report["requests"].as_f64().unwrap();
    tidegate_testkit::eventually(Duration::from_secs(5), "all requests are counted", || {
        crate::metric(&tidegate, "tidegate_requests_total") >= served
    });
}
