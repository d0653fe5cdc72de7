//! `tidegate lua`: scripts without a gateway.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output, Stdio},
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
    assert_eq!(stdout(&["-e", "print(ngx.IS_CLI, ngx.config.is_console)"]), "truetrue\n");
    assert_eq!(
        stdout(&["--shared-dict", "dogs", "-e", "ngx.say(ngx.shared.dogs:incr('a', 1, 1))"]),
        "2nilfalse\n"
    );
    assert_eq!(
        stdout(&["--shdict", "dogs 64k", "-e", "print(ngx.shared.dogs:capacity(), ngx.eof())"]),
        "655361\n"
    );
}

#[test]
fn print_says_what_it_is_given_and_in_order_with_errors() {
    assert_eq!(stdout(&["-e", "print('a', nil, true, { 1, { 'b' } }, ngx.null)"]), "aniltrue1bnull\n");
    let both = Command::new("sh")
        .args(["-c", "\"$0\" lua -e 'io.write(\"first \") error(\"second\", 0)' 2>&1", TIDEGATE])
        .output()
        .unwrap();
    let text = String::from_utf8(both.stdout).unwrap();
    assert!(text.starts_with("first tidegate: second\n"), "{text}");
}

#[test]
fn a_script_ends_when_nobody_reads_what_it_says() {
    let pipeline = "\"$0\" lua -e 'while true do print(\"y\") end' | head -n 1; echo ${PIPESTATUS[0]}";
    let output = Command::new("timeout").args(["60", "bash", "-c", pipeline, TIDEGATE]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "y\n141\n");
}

#[test]
fn a_script_may_take_its_time() {
    // Longer than any budget of a gateway's by default, as the processor counts.
    let code = "local n, began = 0, os.clock() repeat n = n + 1 until os.clock() - began > 1.2 print('done')";
    assert_eq!(stdout(&["-e", code]), "done\n");
}

#[test]
fn a_script_comes_from_standard_input_and_may_be_any_bytes() {
    let mut child = Command::new(TIDEGATE)
        .args(["lua", "-", "one"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"print('\xff', ..., arg[0])").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"\xffone-\n");
}

#[test]
fn code_comes_before_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.lua");
    fs::write(&file, "print(word, ' ', ...)").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(stdout(&["-e", "word = 'set'", file, "x"]), "set x\n");
    assert_eq!(stdout(&["-e", "print(...)", "x.txt", "y"]), "x.txty\n");
    let failed = lua(&["-e", "error('first')", file]);
    assert!(failed.status.code() == Some(1) && failed.stdout.is_empty(), "{failed:?}");
}

#[test]
fn a_file_gets_its_arguments_and_may_begin_with_a_line_for_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.lua");
    fs::write(
        &file,
        "#!/usr/bin/env tidegate lua\nlocal first = ...\nprint(arg[0]:match('[^/]*$')) ngx.say(first, arg[2])",
    )
    .unwrap();
    assert_eq!(stdout(&[file.to_str().unwrap(), "one", "--two"]), "a.lua\none--two\n");
}

#[test]
fn modules_are_found_in_folders_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.lua"), "return { say = function() return 'found' end }").unwrap();
    let folder = folder.path().to_str().unwrap();
    assert_eq!(stdout(&["-I", folder, "-e", "ngx.say(require('mine').say())"]), "found\n");
    let cpath = stdout(&["-I", folder, "-e", "print(package.cpath)"]);
    assert!(cpath.starts_with(&format!("{folder}/?.so;./?.so;")), "{cpath}");
    let plain = stdout(&["-e", "print(package.path)"]);
    assert!(plain.starts_with("./?.lua;"), "{plain}");
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
    assert!(said.contains(" 2 | local b = a.c.d"), "{said}");
    assert!(said.ends_with("stack traceback:\n\t(command line -e):2: in main chunk\n"), "{said}");
    let said = String::from_utf8(lua(&["-e", "require('ngx.errlog').raw_log(1)"]).stderr).unwrap();
    assert!(said.contains("\tngx.errlog:"), "{said}");
}

#[test]
fn mistakes_and_exits_have_their_codes() {
    assert_eq!(lua(&["-e", "ngx.exit(7)"]).status.code(), Some(7));
    assert_eq!(lua(&["-e", "os.exit(3)"]).status.code(), Some(3));
    assert_eq!(lua(&["-e", "local = "]).status.code(), Some(1));
    assert_eq!(lua(&["/nowhere/a.lua"]).status.code(), Some(1));
    assert_eq!(lua(&[]).status.code(), Some(2));
    assert_eq!(lua(&["--nonsense", "-e", "x"]).status.code(), Some(2));
    let said = |args: &[&str], part: &str| {
        let output = lua(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)) && text.contains(part), "{args:?}: {text}");
    };
    said(&["--nonsense", "-e", "x"], "there is no option --nonsense");
    said(&["-I", "/nowhere", "-e", "x"], "-I /nowhere: there is no such folder");
    said(&["--shdict", "dogs much", "-e", "x"], "'dogs 10m'");
    said(&["--ns", "localhost", "-e", "x"], "invalid IP address");
}

#[test]
fn lines_of_the_log_name_their_place() {
    let code = "ngx.log(ngx.ERR, 'plain ', nil)\nlocal function f() ngx.log(ngx.WARN, 'inner') end f()
        ngx.log(ngx.STDERR, 'always') ngx.log(ngx.NOTICE, 'not shown')";
    let shown = |level: &str| String::from_utf8(lua(&["--errlog-level", level, "-e", code]).stderr).unwrap();
    let error = "[error] [lua] (command line -e):1: plain nil\n";
    let always = "[lua] (command line -e):3: always\n";
    assert_eq!(shown("warn"), format!("{error}[warn] [lua] (command line -e):2: f(): inner\n{always}"));
    assert_eq!(shown("error"), format!("{error}{always}"));
    assert_eq!(shown("emerg"), always);
}
