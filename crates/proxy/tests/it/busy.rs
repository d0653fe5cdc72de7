//! For how long an instance was busy, where Lua holds it.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tidegate_core::FleetId;
use tidegate_testkit::http::Client;

use crate::node::Running;

/// What a request holds its instance for, and how many do so one after another.
const HELD: Duration = Duration::from_millis(40);
const REQUESTS: u32 = 30;

/// Computes for that long.
const CONFIG: &str = "
routes:
  - name: app
    match: { path: /* }
    lua:
      content: |
        ngx.update_time()
        local start = ngx.now()
        repeat ngx.update_time() until ngx.now() - start >= 0.04
        ngx.print('done')";

#[test]
fn an_instance_that_is_held_by_request_after_request_is_seen_to_be_busy_meanwhile() {
    let running = Running::instance_of(FleetId::new("app").unwrap(), CONFIG);
    let connect = |_| Client::connect(running.addr()).unwrap();
    let mut clients: Vec<_> = (0..REQUESTS).map(connect).collect();
    for client in &mut clients {
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    for (answered, client) in (1..).zip(&mut clients) {
        assert_eq!(client.read().unwrap().text(), "done");
        let known = Duration::from_micros(running.telemetry.workers()[0].busy_us.load(Relaxed));
        // All that were answered, but for a few that were answered since it was last counted.
        let least = (HELD * answered).saturating_sub(HELD * 10);
        assert!(known >= least, "{known:?} are known of {:?} after {answered} answers", HELD * answered);
    }
}
