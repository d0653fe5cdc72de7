//! `ngx.ctx`.

use tidegate_lua::{Phase, Reply, Step, Ticket};

use crate::support::{Host, Request};

#[test]
fn the_table_lives_as_long_as_its_request() {
    let host = Host::new();
    let mut request = Request::get("/");
    host.run(Phase::Access, "ngx.ctx.user = 'ann'", &mut request).unwrap();
    host.answer("ngx.say(ngx.ctx.user)", &mut request);
    host.run(Phase::Log, "ngx.log(ngx.INFO, ngx.ctx.user)", &mut request).unwrap();
    assert_eq!(request.output(), "ann\n");
    assert_eq!(host.take_log()[0].1, "[lua] test.lua:1: ann");
    host.vm.finish(&mut request.state);
    host.answer("ngx.say(ngx.ctx.user)", &mut request);
    assert_eq!(request.output(), "ann\nnil\n");
}

#[test]
fn each_request_has_its_own() {
    let host = Host::new();
    let handler = host.load("ngx.ctx.id = ngx.var.arg_id ngx.sleep(1) ngx.say(ngx.ctx.id)");
    let mut requests: Vec<_> = (0..50).map(|id| Request::get(&format!("/?id={id}"))).collect();
    let mut tasks = Vec::new();
    for request in &mut requests {
        let Step::Wait(task) = host.vm.start(&handler, Phase::Content, request) else {
            panic!("does not wait")
        };
        tasks.push(task);
    }
    // The other way round, and a new request in between takes nobody's table.
    for (request, task) in requests.iter_mut().zip(tasks).rev() {
        assert!(matches!(host.vm.resume(task, Ticket::ENTRY, &Reply::Done, request), Step::Done(_)));
        host.vm.finish(&mut request.state);
        assert_eq!(host.say("ngx.print(next(ngx.ctx))"), "nil");
    }
    for (id, request) in requests.iter().enumerate() {
        assert_eq!(request.output(), format!("{id}\n"));
    }
}

#[test]
fn the_table_can_be_replaced_by_a_table_only() {
    let host = Host::new();
    assert_eq!(
        host.say("ngx.ctx = { a = 1 } ngx.say(ngx.ctx.a) ngx.ctx = {} ngx.say(ngx.ctx.a)"),
        "1\nnil\n"
    );
    assert_eq!(host.failure("ngx.ctx = 1"), "test.lua:1: ctx should be a table while getting a number");
}

#[test]
fn a_request_that_is_dropped_leaves_no_table_behind() {
    let host = Host::new();
    let tables = r"
        collectgarbage()
        local n = 0
        for _ in pairs(package.loaded.seen) do n = n + 1 end
        ngx.print(n)";
    host.say("package.loaded.seen = setmetatable({}, { __mode = 'k' })");
    for _ in 0..10 {
        host.say("package.loaded.seen[ngx.ctx] = true");
    }
    assert_eq!(host.say(tables), "0");
}
