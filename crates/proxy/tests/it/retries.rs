//! When a request is tried again, and when it must not be.

use tidegate_testkit::{
    Answer, Upstream,
    http::{self, Client},
    unused_address,
};

use crate::node::Running;

#[test]
fn any_request_goes_elsewhere_when_an_endpoint_cannot_be_reached() {
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let running = Running::proxying(&[unused_address(), upstream.addr()]);
    for _ in 0..10 {
        let answer = http::request(running.addr(), "POST", "/", &[], b"once");
        assert_eq!((answer.status, answer.text()), (200, "once"));
    }
    assert_eq!(upstream.request_count(), 10);
}

#[test]
fn a_get_goes_elsewhere_when_its_endpoint_dies_before_the_first_byte() {
    let dying = Upstream::start(|_| Answer::nothing().reset());
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let running = Running::proxying(&[dying.addr(), upstream.addr()]);
    for _ in 0..10 {
        assert_eq!(http::get(running.addr(), "/").text(), "served");
    }
    assert!(dying.request_count() > 0, "the dying endpoint was asked");
    assert!(running.upstream("up").retries > 0);
}

#[test]
fn a_post_that_may_have_been_acted_on_is_not_repeated() {
    let dying = Upstream::start(|_| Answer::nothing().close());
    let running = Running::proxying(&[dying.addr()]);
    assert_eq!(http::request(running.addr(), "POST", "/", &[], b"pay").status, 502);
    assert_eq!(dying.request_count(), 1);
}

#[test]
fn a_get_whose_answer_has_begun_is_not_repeated() {
    let dying = Upstream::start(|_| Answer::nothing().write("HTTP/1.1 200").close());
    let running = Running::proxying(&[dying.addr()]);
    assert_eq!(http::get(running.addr(), "/").status, 502);
    assert_eq!(dying.request_count(), 1);
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_costs_nothing() {
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..5 {
        let answer = client.request("POST", "/", &[], b"once").unwrap();
        assert_eq!((answer.status, answer.text()), (200, "once"));
        upstream.cut();
        tidegate_testkit::eventually(crate::node::PATIENCE, "the cut is complete", || {
            upstream.open_connections() == 0
        });
    }
    assert_eq!(upstream.request_count(), 5);
}

#[test]
fn attempts_are_counted_and_the_budget_holds() {
    let dying = Upstream::start(|_| Answer::nothing().close());
    let running = Running::start(
        &format!(
            "workers: 1
upstreams: {{ up: {{ endpoints: [\"{}\"], retry: {{ attempts: 3, budget: 10%, minPerSecond: 1 }} }} }}
routes: [{{ name: all, match: {{ path: /* }}, upstream: up }}]",
            dying.addr()
        )
        .replace("workers: 1\n", ""),
    );
    assert_eq!(http::get(running.addr(), "/").status, 502);
    assert!(dying.request_count() <= 3);
    for _ in 0..100 {
        assert_eq!(http::get(running.addr(), "/").status, 502);
    }
    // 101 requests on two workers: a tenth of them, and a little for each second and worker.
    let retries = running.upstream("up").retries;
    assert!(retries <= 10 + 2 * 12, "{retries} retries");
    assert_eq!(dying.request_count() as u64, 101 + retries);
}

#[test]
fn an_endpoint_that_fails_is_left_alone_for_a_while() {
    let dying = Upstream::start(|_| Answer::nothing().close());
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let running = Running::proxying(&[dying.addr(), upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..30 {
        assert_eq!(client.get("/").unwrap().text(), "served");
    }
    assert!(dying.request_count() < 10, "asked {} times of 30", dying.request_count());
}
