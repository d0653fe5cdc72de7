use std::{io::Write, sync::Arc};

use super::*;
use crate::server::{Do, OK, read_head};

/// Ten requests to a server that does the same with each; returns the failures by kind.
async fn fail(
    change: impl FnOnce(&mut Plan),
    script: impl Fn() -> Do + Send + Sync + 'static,
) -> Vec<(String, u64)> {
    let server = Server::start(move |_| script());
    let mut plan = plan(&server, 10, Duration::from_millis(100));
    change(&mut plan);
    let report = run(plan).await;
    assert_eq!(report.requests, 10);
    assert_eq!(report.failed, report.errors.values().sum::<u64>());
    errors(&report)
}

fn all(kind: &str) -> Vec<(String, u64)> {
    vec![(kind.to_owned(), 10)]
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_reset() {
    let partial = || Do::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".into());
    assert_eq!(fail(|_| {}, partial).await, all("reset"));
    assert_eq!(fail(|_| {}, || Do::Close(b"HTTP/1.1 2".into())).await, all("reset"));
}

#[tokio::test]
async fn a_wrong_answer_is_a_protocol_error() {
    assert_eq!(fail(|_| {}, || Do::Close(b"SSH-2.0-OpenSSH_9.9\r\n".into())).await, all("protocol"));
    let double = || Do::Answer([OK, OK].concat());
    assert_eq!(fail(|_| {}, double).await, all("protocol"));
    let endless = || Do::Close([b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 100_000]].concat());
    assert_eq!(fail(|_| {}, endless).await, all("protocol"));
}

#[tokio::test]
async fn no_answer_is_a_timeout() {
    let short = |plan: &mut Plan| plan.timeout = Duration::from_millis(200);
    assert_eq!(fail(short, || Do::Hang).await, all("timeout"));
}

#[tokio::test]
async fn statuses_from_400_on_are_failures_unless_expected() {
    let answer =
        |status: u16| move || Do::Answer(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into());
    assert_eq!(fail(|_| {}, answer(302)).await, []);
    assert_eq!(fail(|_| {}, answer(404)).await, all("status4xx"));
    assert_eq!(fail(|_| {}, answer(503)).await, all("status5xx"));
    let expect = |plan: &mut Plan| plan.expect = vec![404, 201];
    assert_eq!(fail(expect, answer(404)).await, []);
    assert_eq!(fail(expect, answer(200)).await, all("unexpectedStatus"));
    assert_eq!(fail(expect, answer(503)).await, all("status5xx"));
}

#[tokio::test]
async fn a_server_that_goes_away_refuses_connections() {
    let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = Server::accepting(1, |_| Do::Close(answer.into()));
    let report = run(plan(&server, 10, Duration::from_millis(500))).await;
    assert_eq!(errors(&report), [("connectRefused".to_owned(), 9)]);
    assert_eq!((report.requests, report.statuses), (10, [(200, 1)].into()));
}

#[tokio::test]
async fn a_run_begins_only_if_the_server_is_there() {
    let server = Server::raw(Arc::default(), 0, |_, _| {});
    let (progress, _) = watch::channel(Progress::default());
    // The listener is gone as soon as its thread has seen that there is nothing to accept.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(server.address()).is_ok() {
        assert!(std::time::Instant::now() < deadline);
    }
    let plan = plan(&server, 10, Duration::from_millis(100));
    let error = tidegate_load::run(plan, progress, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {}", server.address()));
}

/// One request hangs, five wait, and the other 94 find the queue full.
#[tokio::test]
async fn the_queue_is_bounded() {
    let server = Server::start(|_| Do::Hang);
    let queue = NonZeroUsize::new(5).unwrap();
    // Long after all of them were due, also where the machine stops for a moment.
    let timeout = Duration::from_secs(6);
    let report = run(Plan { queue, timeout, ..plan(&server, 100, Duration::from_secs(1)) }).await;
    assert_eq!(errors(&report), [("timeout".to_owned(), 6), ("overflow".to_owned(), 94)]);
}

/// A server that drops every connection when its second request comes, without a word.
fn forgetful() -> Server {
    Server::start(|seen| if seen.request == 0 { Do::Answer(OK.into()) } else { Do::Close(Vec::new()) })
}

#[tokio::test]
async fn a_get_on_a_connection_that_turns_out_closed_is_sent_again() {
    let report = run(plan(&forgetful(), 10, Duration::from_millis(200))).await;
    assert_eq!((report.requests, report.failed), (10, 0));
    assert_eq!((report.reconnects, report.connects), (9, 10));
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let server = forgetful();
    let mut plan = plan(&server, 10, Duration::from_millis(200));
    plan.request.method = "POST".parse().unwrap();
    let report = run(plan).await;
    assert_eq!((report.reconnects, server.requests()), (0, 10));
    assert_eq!(errors(&report), [("reset".to_owned(), 5)]);
}

#[tokio::test]
async fn a_get_is_sent_again_only_once() {
    let server = Server::start(|_| Do::Close(Vec::new()));
    let report = run(plan(&server, 10, Duration::from_millis(200))).await;
    assert_eq!(errors(&report), [("reset".to_owned(), 10)]);
    // The first request has a connection from the start; every other makes its own.
    assert_eq!((report.reconnects, server.requests()), (1, 11));
}

#[tokio::test]
async fn a_connection_that_is_closed_while_idle_is_replaced_before_it_is_used() {
    let server = Server::raw(Arc::default(), usize::MAX, |connection, mut stream| {
        // The first connection is dropped as soon as it stands.
        while connection > 0 && read_head(&mut stream).is_ok() {
            stream.write_all(OK).unwrap();
        }
    });
    // Due three seconds after the start, and never sent twice.
    let mut plan = plan(&server, 1, Duration::from_secs(6));
    plan.request.method = "POST".parse().unwrap();
    let report = run(plan).await;
    assert_eq!((report.requests, report.failed, report.connects), (1, 0, 2), "{report}");
}
