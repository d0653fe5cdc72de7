//! Times and dates.

use std::time::Instant;

use tidegate_core::Timestamp;

use crate::support::Host;

fn eval(expression: &str) -> String {
    Host::new().say(&format!("ngx.print({expression})"))
}

#[test]
fn the_time_is_the_one_that_was_set() {
    assert_eq!(eval("string.format('%.6f', ngx.now()), ' ', ngx.time()"), "1777636800.123000 1777636800");
    let host = Host::new();
    host.vm.set_now(Timestamp::from_secs(7), Instant::now());
    assert_eq!(host.say("ngx.print(ngx.now())"), "7");
}

#[test]
fn the_time_can_be_asked_for_anew() {
    assert_eq!(
        eval("(function() local before = ngx.now() ngx.update_time() return ngx.now() ~= before end)()"),
        "true"
    );
}

#[test]
fn dates_have_the_forms_of_nginx() {
    assert_eq!(eval("ngx.utctime()"), "2026-05-01 12:00:00");
    assert_eq!(eval("ngx.localtime() == os.date('%Y-%m-%d %H:%M:%S', 1777636800)"), "true");
    assert_eq!(eval("ngx.today() == os.date('%Y-%m-%d', 1777636800)"), "true");
    assert_eq!(eval("ngx.http_time(1290079655)"), "Thu, 18 Nov 2010 11:27:35 GMT");
    assert_eq!(eval("ngx.cookie_time(1290079655)"), "Thu, 18-Nov-10 11:27:35 GMT");
    assert_eq!(eval("ngx.cookie_time(2145916800)"), "Fri, 01-Jan-2038 00:00:00 GMT");
    assert_eq!(Host::new().failure("ngx.http_time('x')"), "test.lua:1: number argument only");
    assert_eq!(Host::new().failure("ngx.cookie_time()"), "test.lua:1: number argument only");
}

#[test]
fn http_dates_are_read_back() {
    assert_eq!(eval("ngx.parse_http_time('Thu, 18 Nov 2010 11:27:35 GMT')"), "1290079655");
    assert_eq!(eval("ngx.parse_http_time('yesterday')"), "nil");
    assert_eq!(Host::new().failure("ngx.parse_http_time(1)"), "test.lua:1: string argument only");
}
