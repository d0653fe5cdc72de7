//! Processes that Lua starts: `ngx.pipe`.

use tidegate_testkit::{eventually, http, process};

use crate::node::{PATIENCE, Running};

/// What `code` says, which has `spawn` and `show` at hand.
fn told(code: &str) -> String {
    answer(&Running::start(&site(code)))
}

fn answer(running: &Running) -> String {
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().trim_end().to_owned()
}

fn site(code: &str) -> String {
    let code = code.replace('\n', "\n        ");
    format!(
        "routes:
  - match: {{ path: /* }}
    lua:
      content: |
        local pipe = require 'ngx.pipe'
        local function show(...)
            local shown = {{}}
            for index = 1, select('#', ...) do shown[index] = tostring((select(index, ...))) end
            ngx.say(table.concat(shown, ' '))
        end
        local function spawn(arguments, options)
            return assert(pipe.spawn(arguments, options))
        end
        {code}"
    )
}

#[test]
fn what_a_process_writes_is_read() {
    let lines = "local process = spawn({ 'printf', 'one\\\\ntwo\\\\nthree' })
show(process:stdout_read_line())
show(process:stdout_read_bytes(2))
show(process:stdout_read_any(100))
show(process:stdout_read_all())
show(process:stdout_read_line())";
    let text = told(lines);
    assert!(text.starts_with("one\ntw\no\nthree\n") && text.ends_with("nil closed"), "{text}");
    assert_eq!(told("show(spawn('echo shell; echo $((1 + 1))'):stdout_read_all())"), "shell\n2");
    assert_eq!(told("show(spawn({ 'printf', 'short' }):stdout_read_line())"), "nil closed short");
    assert_eq!(told("show(spawn({ 'printf', 'short' }):stdout_read_bytes(10))"), "nil closed short");
    assert_eq!(
        told("local p = spawn({ 'true' }) show(p:stdout_read_bytes(0)) show(p:stdout_read_all())"),
        ""
    );
}

#[test]
fn streams_are_apart_unless_merged() {
    let code = "local process = spawn('echo out; echo err >&2')
show(process:stderr_read_line(), process:stdout_read_line())";
    assert_eq!(told(code), "err out");
    let code = "local process = spawn('echo out; echo err >&2', { merge_stderr = true })
show(process:stdout_read_line(), process:stdout_read_line())
show(process:stderr_read_line())
show(process:shutdown('stderr'))";
    assert_eq!(told(code), "out err\nnil merged to stdout\nnil merged to stdout");
}

#[test]
fn a_process_reads_what_is_written() {
    let code = "local process = spawn({ 'cat' })
show(process:write('a'), process:write({ 'b', 1 }), process:write(23))
show(process:shutdown('stdin'))
show(process:write('never'))
show(process:stdout_read_all())";
    assert_eq!(told(code), "1 2 2\ntrue\nnil closed\nab123");
}

#[test]
fn more_than_a_pipe_holds_goes_through() {
    let code = "local process = spawn({ 'cat' })
local writer = ngx.thread.spawn(function()
    local count = assert(process:write(string.rep('x', 1000000)))
    process:shutdown('stdin')
    return count
end)
local read = #process:stdout_read_all()
show(read, select(2, ngx.thread.wait(writer)))";
    assert_eq!(told(code), "1000000 1000000");
}

#[test]
fn how_a_process_ended_is_told_once() {
    let code = "show(spawn({ 'true' }):wait())
show(spawn('exit 3'):wait())
local process = spawn({ 'sleep', '60' })
show(process:kill(15))
show(process:wait())
show(process:wait())
show(process:kill(15))
show(process:shutdown('stdin'))";
    assert_eq!(
        told(code),
        "true exit 0\nfalse exit 3\ntrue\nfalse signal 15\nnil exited\nnil exited\nnil closed"
    );
}

#[test]
fn what_was_written_can_be_read_after_the_end() {
    let code = "local process = spawn({ 'echo', 'left' })
show(process:wait())
show(process:stdout_read_line())";
    assert_eq!(told(code), "true exit 0\nleft");
}

#[test]
fn waits_end_in_time() {
    let code =
        "local process = spawn('printf part; sleep 60', { stdout_read_timeout = 300, wait_timeout = 10 })
show(process:stdout_read_line())
show(process:wait())
process:set_timeouts(nil, nil, 10)
show(process:stderr_read_line())
local full = spawn({ 'sleep', '60' }, { write_timeout = 10 })
show(full:write(string.rep('x', 1000000)))";
    assert_eq!(told(code), "nil timeout part\nnil timeout\nnil timeout \nnil timeout");
}

#[test]
fn two_do_not_wait_for_the_same() {
    let code = "local process = spawn({ 'sleep', '60' })
local function beside(call)
    local thread = ngx.thread.spawn(call)
    show(call())
    return thread
end
beside(function() return process:stdout_read_line() end)
beside(function() return process:wait() end)
local writer = ngx.thread.spawn(function() return process:write(string.rep('x', 1000000)) end)
show(process:write('more'))
show(process:shutdown('stdin'))
show(ngx.thread.wait(writer))
process:kill(9)
ngx.exit(0)";
    assert_eq!(
        told(code),
        "nil pipe busy reading\nnil pipe busy waiting\nnil pipe busy writing\ntrue\ntrue nil aborted"
    );
}

#[test]
fn the_environment_is_that_of_the_gateway_or_another() {
    assert_eq!(told("show(spawn('echo ${PATH:+set}'):stdout_read_line())"), "set");
    let code = "local own = { environ = { 'A=b=c', 'EMPTY=' } }
show(spawn('echo $A; echo ${EMPTY-unset}; echo ${HOME-unset}', own):stdout_read_all())";
    assert_eq!(told(code), "b=c\n\nunset");
}

#[test]
fn a_process_that_nobody_has_any_more_is_killed() {
    let code = "if ngx.var.arg_collect then collectgarbage() collectgarbage() show('done') return end
show(spawn({ 'sleep', '600' }):pid())";
    let running = Running::start(&site(code));
    let pid: u32 = answer(&running).parse().unwrap();
    // Requests come to any of the workers, and only one has it.
    eventually(PATIENCE, "the process is gone", || {
        http::get(running.addr(), "/?collect=1");
        !process::is_running(pid)
    });
    let pid: u32 = answer(&running).parse().unwrap();
    drop(running);
    eventually(PATIENCE, "the process is gone with its VM", || !process::is_running(pid));
}

#[test]
fn mistakes_are_told() {
    let raised = |call: &str| {
        let text =
            told(&format!("local p = spawn({{ 'true' }})\nshow(select(2, pcall(function() {call} end)))"));
        text.split_once(": ").unwrap_or_default().1.to_owned()
    };
    assert_eq!(raised("pipe.spawn(1)"), "bad args arg: table expected, got number");
    assert_eq!(raised("pipe.spawn({})"), "bad args arg: non-empty table expected");
    assert_eq!(raised("pipe.spawn({ 'a\\0b' })"), "bad args arg: there is a NUL in value 1");
    assert_eq!(raised("pipe.spawn('x', { buffer_size = 0 })"), "bad buffer_size option");
    assert_eq!(raised("pipe.spawn('x', { wait_timeout = -1 })"), "bad wait_timeout option");
    assert_eq!(raised("pipe.spawn('x', { environ = 1 })"), "bad environ option: table expected, got number");
    assert_eq!(
        raised("pipe.spawn('x', { environ = { 1 } })"),
        "bad value at index 1 of environ option: string expected, got number"
    );
    assert_eq!(
        raised("pipe.spawn('x', { environ = { 'A' } })"),
        "bad value at index 1 of environ option: 'name=[value]' format expected, got 'A'"
    );
    assert_eq!(raised("p:write(true)"), "bad data arg: string, number, or table expected, got boolean");
    assert_eq!(raised("p:shutdown('in')"), "bad shutdown arg: in");
    assert_eq!(raised("p:kill('x')"), "bad signal arg: number expected, got x");
    assert_eq!(raised("p:stdout_read_bytes(-1)"), "bad len argument");
    assert_eq!(raised("p:stderr_read_any(0)"), "bad max argument");
    assert_eq!(raised("p.wait({})"), "not a process instance");
    assert_eq!(told("show(spawn({ 'sleep', '60' }):kill(10000))"), "nil invalid signal");
    assert_eq!(
        told("show(pipe.spawn({ 'no-such-program' }))"),
        "nil failed to start the process: No such file or directory (os error 2)"
    );
}
