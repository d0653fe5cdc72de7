//! Loading, running side by side, and cleaning up.

use crate::support::Host;

#[test]
fn what_a_script_writes_is_the_answer() {
    let host = Host::new();
    assert_eq!(host.say("ngx.say('hello ', 1, { 1, { 2, 'x' } }, nil, true)"), "hello 112xniltrue\n");
}

#[test]
fn a_wait_inside_of_a_coroutine_inside_of_pcall_reaches_the_host() {
    let host = Host::new();
    let source = r#"
        local f = coroutine.wrap(function()
            local x = coroutine.yield(1)
            ngx.sleep(0.1)
            coroutine.yield(x)
            ngx.sleep(1)
            error("no")
        end)
        ngx.say(f()) ngx.say(f(7)) ngx.say(pcall(f)) ngx.say(pcall(f))"#;
    assert_eq!(host.say(source), "1\n7\nfalsetest.lua:7: no\nfalsecannot resume dead coroutine\n");
}
