//! `ngx.print`, `ngx.say`, `ngx.flush`.

use tidegate_lua::{Op, Phase, Reply, Step, Ticket, Verdict};

use crate::support::{Host, Request};

#[test]
fn everything_that_has_a_text_is_written() {
    let host = Host::new();
    assert_eq!(host.say("ngx.print('a', 1, 2.5, nil, true, ngx.null)"), "a12.5niltruenull");
    assert_eq!(host.say("ngx.say('a', nil)"), "anil\n");
    assert_eq!(host.say("ngx.say(nil)"), "nil\n");
    assert_eq!(host.say("ngx.say()"), "\n");
    assert_eq!(host.say("ngx.print()"), "");
    assert_eq!(host.say(r#"ngx.print("a\0b", 1e15, -0.5, 2^53)"#), "a\0b1e+15-0.59.007199254741e+15");
}

#[test]
fn arrays_are_their_elements_however_deep() {
    let host = Host::new();
    assert_eq!(host.say("ngx.say({ 'a', { 1, { true } }, ngx.null }, 'b', {})"), "a1truenullb\n");
    assert_eq!(host.say("ngx.say({ [1] = 'a', [3] = 'c' })"), "anilc\n");
}

#[test]
fn what_has_no_text_is_refused() {
    let host = Host::new();
    assert_eq!(
        host.failure("ngx.say('a', { x = 1 })"),
        "test.lua:1: bad argument #2 to 'say' (non-array table found)"
    );
    assert_eq!(
        host.failure("ngx.print({ [0] = 1 })"),
        "test.lua:1: bad argument #1 to 'print' (non-array table found)"
    );
    assert_eq!(
        host.failure("ngx.say(ngx.say)"),
        "test.lua:1: bad argument #1 to 'say' (string, number, boolean, nil, ngx.null, or array table expected, but got \
         function)"
    );
    assert_eq!(
        host.failure("ngx.say({ 1, { ngx.say } })"),
        "test.lua:1: bad argument #1 to 'say' (bad data type function found)"
    );
}

#[test]
fn success_is_1() {
    assert_eq!(Host::new().say("ngx.say(ngx.print('a'), ngx.say('b'))"), "ab\n11\n");
}

#[test]
fn a_full_response_is_flushed_before_more_is_written() {
    let host = Host::new();
    let mut request = Request { full_at: 4, ..Request::get("/") };
    let (verdict, ops) =
        host.answer("ngx.print('123') ngx.print('45') ngx.print('6') ngx.print('7')", &mut request);
    assert_eq!((verdict, ops), (Verdict::Continue, vec!["Flush".into(); 3]));
    assert_eq!(request.output(), "1234567");
}

#[test]
fn a_client_that_went_is_told_to_the_script() {
    let host = Host::new();
    let mut request = Request { full_at: 1, ..Request::get("/") };
    let handler = host.load("local ok, err = ngx.say('a') ngx.log(ngx.INFO, ok, ' ', err)");
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Content, &mut request) else {
        panic!("does not flush")
    };
    assert!(matches!(task.sole_op(), Some(Op::Flush)));
    assert!(matches!(
        host.vm.resume(task, Ticket::ENTRY, &Reply::Failed("gone".into()), &mut request),
        Step::Done(_)
    ));
    assert_eq!(host.take_log()[0].1, "[lua] test.lua:1: nil gone");
}

#[test]
fn flush_waits_until_there_is_room() {
    let mut request = Request::get("/");
    let (_, ops) =
        Host::new().answer("ngx.say(select(2, ngx.flush())) ngx.say(ngx.flush(true))", &mut request);
    assert_eq!((request.output().as_str(), ops), ("nothing to flush\n1\n", vec!["Flush".into()]));
}

#[test]
fn a_phase_without_a_body_of_its_own_cannot_write() {
    let host = Host::new();
    for (phase, name) in [(Phase::HeaderFilter, "header_filter_by_lua*"), (Phase::Log, "log_by_lua*")] {
        for call in ["print", "say", "flush"] {
            let error = host.run(phase, &format!("ngx.{call}()"), &mut Request::get("/")).unwrap_err();
            assert_eq!(error.message(), format!("test.lua:1: API disabled in the context of {name}"));
        }
    }
}

#[test]
fn the_end_of_an_answer_is_waited_for() {
    let mut request = Request::get("/");
    let (_, ops) = Host::new().answer("ngx.say(ngx.send_headers()) ngx.eof()", &mut request);
    assert_eq!(ops, ["SendHead", "Eof"]);
    let host = Host::new();
    assert_eq!(host.failure("ngx.eof(1)"), "test.lua:1: no argument is expected");
    assert_eq!(
        host.failure("ngx.flush(1)"),
        "test.lua:1: bad argument #1 to 'flush' (boolean expected, got number)"
    );
    assert_eq!(
        host.failure("ngx.flush(true, 2)"),
        "test.lua:1: attempt to pass 2 arguments, but accepted 0 or 1"
    );
}
