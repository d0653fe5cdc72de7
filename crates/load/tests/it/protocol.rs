use std::{
    io::{Read, Write},
    net::Shutdown,
    sync::Arc,
};

use super::*;
use crate::server::{Do, OK, content_length, read_head};

/// Twenty requests on one connection, all answered with `answer`; returns the connections made.
async fn connects(method: &str, answer: &'static [u8]) -> u64 {
    let server = Server::start(move |_| Do::Answer(answer.into()));
    let mut plan = plan(&server, 20, Duration::from_millis(200));
    plan.request.method = method.parse().unwrap();
    let report = run(plan).await;
    assert_eq!((report.requests, report.failed), (20, 0), "{report}");
    report.connects
}

#[tokio::test]
async fn connections_stay_in_step_with_every_framing() {
    assert_eq!(connects("GET", OK).await, 1);
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: 1\r\n\r\n";
    assert_eq!(connects("GET", chunked).await, 1);
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(connects("POST", interim).await, 1);
    assert_eq!(connects("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n").await, 1);
    assert_eq!(connects("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await, 1);
}

#[tokio::test]
async fn a_body_may_end_with_its_connection() {
    let server = Server::start(|_| Do::Close(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".into()));
    let report = run(plan(&server, 10, Duration::from_millis(200))).await;
    assert_eq!((report.requests, report.failed, report.connects), (10, 0, 10));
}

#[tokio::test]
async fn connection_close_is_honoured() {
    // The server itself would go on: closing is what it asks for, and what the client must do.
    let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(connects("POST", answer).await, 20);
}

#[tokio::test]
async fn the_request_arrives_as_planned() {
    let server = Server::start(|seen| {
        let sound = seen.head.starts_with("PUT /orders HTTP/1.1\r\nHost: 127.0.0.1:")
            && seen.head.contains("\r\nX-Tenant: a\r\n")
            && seen.body == b"payload";
        let status = if sound { 201 } else { 400 };
        Do::Answer(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into())
    });
    let mut plan = plan(&server, 5, Duration::from_millis(50));
    plan.request.method = "PUT".parse().unwrap();
    plan.request.headers = vec!["X-Tenant: a".parse().unwrap()];
    plan.request.body = b"payload".into();
    assert_eq!(run(plan).await.statuses, [(201, 5)].into());
}

/// An echo sends while it receives; a client that did not read while it sends would block it.
#[tokio::test]
async fn answers_are_read_while_the_request_is_still_going_out() {
    const LENGTH: usize = 16 << 20;
    let server = Server::raw(Arc::default(), usize::MAX, |_, mut stream| {
        while let Ok(head) = read_head(&mut stream) {
            let mut left = content_length(&head);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n").unwrap();
            let mut buffer = vec![0; 64 * 1024];
            while left > 0 {
                let read = stream.read(&mut buffer).unwrap();
                stream.write_all(&buffer[..read]).unwrap();
                left -= read;
            }
        }
    });
    let mut plan = plan(&server, 2, Duration::from_millis(100));
    plan.request.method = "POST".parse().unwrap();
    plan.request.body = vec![b'x'; LENGTH];
    let report = run(plan).await;
    assert_eq!((report.requests, report.failed, report.connects), (2, 0, 1), "{report}");
    assert!(report.bytes_received > 2 * LENGTH as u64);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_whole_request_counts() {
    let server = Server::raw(Arc::default(), usize::MAX, |_, mut stream| {
        read_head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Until the client has gone, lest what it still sends destroys the answer on its way.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut plan = plan(&server, 3, Duration::from_millis(100));
    plan.request.method = "POST".parse().unwrap();
    plan.request.body = vec![b'x'; 16 << 20];
    let report = run(plan).await;
    assert_eq!((report.statuses, report.connects), ([(413, 3)].into(), 3));
}
