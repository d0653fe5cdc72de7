use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::server::{Do, OK};

#[tokio::test]
async fn every_request_of_the_schedule_is_sent_and_answered() {
    let server = Server::start(|_| Do::Answer(OK.into()));
    let connections = NonZeroUsize::new(4).unwrap();
    let report = run(Plan { connections, ..plan(&server, 200, Duration::from_secs(1)) }).await;
    assert_eq!((report.requests, report.failed, server.requests()), (200, 0, 200));
    assert_eq!((report.connects, report.reconnects, report.abandoned), (4, 0, 0));
    assert_eq!(report.statuses, [(200, 200)].into());
    assert_eq!(report.bytes_received, 200 * OK.len() as u64);
    assert!(report.duration_seconds >= 1.0 && report.rate_per_second <= 200.0);
    assert!((report.target_rate_per_second - 200.0).abs() < 1.0);
    assert!(report.latency.max_ms >= report.latency.p999_ms && report.latency.p50_ms.unwrap() > 0.0);
}

/// A server that answers nothing for a second keeps the requests of that second waiting, and their
/// latency must say so, although only four of them could be sent meanwhile.
#[tokio::test]
async fn a_stall_is_felt_by_every_request_that_was_due_during_it() {
    static STALL: OnceLock<Instant> = OnceLock::new();
    let server = Server::start(|seen| {
        if seen.request >= 10 {
            let end = *STALL.get_or_init(|| Instant::now() + Duration::from_secs(1));
            thread::sleep(end.saturating_duration_since(Instant::now()));
        }
        Do::Answer(OK.into())
    });
    let connections = NonZeroUsize::new(4).unwrap();
    let report = run(Plan { connections, ..plan(&server, 400, Duration::from_secs(2)) }).await;
    assert_eq!((report.requests, report.failed), (400, 0));
    // 200 requests were due during the stall, half of them in its first half: a quarter of all
    // waited for 500 ms or more, a tenth of all for 800 ms.
    assert!(report.latency.p90_ms >= Some(750.0), "{}", report.latency);
    assert!(report.latency.max_ms >= Some(950.0), "{}", report.latency);
}

#[tokio::test]
async fn threads_share_one_schedule() {
    let server = Server::start(|_| Do::Answer(OK.into()));
    let (connections, threads) = (NonZeroUsize::new(3).unwrap(), NonZeroUsize::new(2).unwrap());
    let report = run(Plan { connections, threads, ..plan(&server, 99, Duration::from_millis(500)) }).await;
    assert_eq!((report.requests, report.failed, report.connects), (99, 0, 3));
}

#[tokio::test]
async fn idle_connections_take_turns() {
    let server = Server::start(|seen| {
        let text = format!("HTTP/1.1 {} OK\r\nContent-Length: 0\r\n\r\n", 200 + seen.connection);
        Do::Answer(text.into())
    });
    let connections = NonZeroUsize::new(5).unwrap();
    let report = run(Plan { connections, ..plan(&server, 50, Duration::from_secs(1)) }).await;
    assert_eq!(report.requests, 50);
    assert_eq!(report.statuses.len(), 5, "{:?}", report.statuses);
}

#[tokio::test]
async fn progress_is_published_while_the_run_goes_on() {
    let server = Server::start(|_| Do::Answer(OK.into()));
    let (sender, mut receiver) = watch::channel(Progress::default());
    let run =
        tidegate_load::run(plan(&server, 150, Duration::from_secs(1)), sender, CancellationToken::new());
    let watch = async {
        let mut readings = Vec::new();
        while receiver.changed().await.is_ok() {
            readings.push(receiver.borrow_and_update().clone());
        }
        readings
    };
    let (report, readings) = tokio::join!(run, watch);
    assert_eq!(report.unwrap().requests, 150);
    assert!(readings.iter().any(|now| now.requests > 0 && now.latency_p99.is_some()), "{readings:?}");
    assert!(readings.iter().all(|now| now.failed == 0 && now.duration == Duration::from_secs(1)));
    assert!(readings.is_sorted_by_key(|now| now.requests));
}

#[tokio::test]
async fn a_run_that_is_broken_off_reports_what_was_done() {
    let server = Server::start(|seen| if seen.request < 20 { Do::Answer(OK.into()) } else { Do::Hang });
    let (sender, mut receiver) = watch::channel(Progress::default());
    let stop = CancellationToken::new();
    let run = tidegate_load::run(plan(&server, 360_000, Duration::from_hours(1)), sender, stop.clone());
    let cancel = async {
        receiver.wait_for(|now| now.requests == 20 && now.waiting > 0).await.unwrap();
        stop.cancel();
    };
    let (report, ()) = tokio::join!(run, cancel);
    let report = report.unwrap();
    assert!(report.interrupted);
    assert_eq!((report.requests, report.failed), (20, 0));
    assert!(report.abandoned >= 2, "{report}");
}
