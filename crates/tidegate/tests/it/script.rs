//! `tidegate lua`: scripts without a gateway.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output},
};

use crate::TIDEGATE;

fn lua(args: &[&str]) -> Output {
    Command::new(TIDEGATE).arg("lua").args(args).output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = lua(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn code_of_the_command_line_has_ngx() {
    assert_eq!(stdout(&["-e", "ngx.say('a', 1, nil, { 'b' }) ngx.print(ngx.get_phase())"]), "a1nilb\ntimer");
    assert_eq!(
        stdout(&["--shared-dict", "dogs", "-e", "ngx.say(ngx.shared.dogs:incr('a', 1, 1))"]),
        "2nilfalse\n"
    );
}

#[test]
fn a_file_gets_its_arguments_and_may_begin_with_a_line_for_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.lua");
    fs::write(
        &file,
        "#!/usr/bin/env tidegate lua\nlocal first = ...\nprint(arg[0] ~= nil) ngx.say(first, arg[2])",
    )
    .unwrap();
    assert_eq!(stdout(&[file.to_str().unwrap(), "one", "--two"]), "one--two\n");
}

#[test]
fn modules_are_found_in_folders_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.lua"), "return { say = function() return 'found' end }").unwrap();
    let folder = folder.path().to_str().unwrap();
    assert_eq!(stdout(&["-I", folder, "-e", "ngx.say(require('mine').say())"]), "found\n");
}

#[test]
fn sockets_sleep_and_threads_work() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(&[&asked[..], b"\n"].concat()).unwrap();
    });
    let code = format!(
        "local slow = ngx.thread.spawn(function() ngx.sleep(0.01) return 'slow' end)
         local socket = ngx.socket.tcp()
         assert(socket:connect('127.0.0.1', {port})) assert(socket:send('ping'))
         ngx.say(socket:receive()) ngx.say(select(2, ngx.thread.wait(slow)))"
    );
    assert_eq!(stdout(&["-e", &code]), "ping\nslow\n");
    server.join().unwrap();
}

#[test]
fn timers_run_beside_the_script_and_at_its_end() {
    let code = "local done = require('ngx.semaphore').new()
        ngx.timer.at(0, function(premature, word) ngx.sleep(0) ngx.say(word, premature) done:post() end, 'now ')
        local times = 0
        ngx.timer.every(0.001, function(premature)
            times = times + 1
            if times == 3 then done:post() end
        end)
        assert(done:wait(5)) assert(done:wait(5))
        ngx.timer.at(3600, function(premature) ngx.say('later ', premature) end)
        ngx.say(ngx.timer.pending_count() >= 1, ' ', ngx.IS_CLI)";
    assert_eq!(stdout(&["-e", code]), "now false\ntrue true\nlater true\n");
    let output = lua(&["-e", "ngx.timer.at(0, function() error('in a timer') end) ngx.say('goes on')"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("(command line -e):1: in a timer"));
}

#[test]
fn an_error_shows_place_line_and_traceback() {
    let output = lua(&["-e", "local a = {}\nlocal b = a.c.d"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("(command line -e):2: attempt to index field 'c'"), "{said}");
    assert!(said.contains(" 2 | local b = a.c.d") && said.contains("stack traceback:"), "{said}");
}

#[test]
fn mistakes_and_exits_have_their_codes() {
    assert_eq!(lua(&["-e", "ngx.exit(7)"]).status.code(), Some(7));
    assert_eq!(lua(&["-e", "os.exit(3)"]).status.code(), Some(3));
    assert_eq!(lua(&["-e", "local = "]).status.code(), Some(1));
    assert_eq!(lua(&["/nowhere/a.lua"]).status.code(), Some(1));
    assert_eq!(lua(&[]).status.code(), Some(1));
}
