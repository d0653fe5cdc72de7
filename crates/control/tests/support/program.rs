//! The program that tests start: an instance, a server, or a whole control plane to be killed.
//!
//! As a Lua instance it takes its orders from the comments of its app, a word and its argument in each:
//! `-- answer TEXT`, `busy SHARE`, `delay MS`, `fail MESSAGE`, `exit STATUS`, `say TEXT` (on standard error), `pid`
//! (to be answered with), `deaf`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod threads;

use std::{ffi::OsString, process::ExitCode, sync::Arc, time::Duration};

use tidegate_control::{
    ConfigSource, Control, InstanceReport, Options,
    instance::{exec, keep, protocol, receive, report},
};
use tidegate_core::Telemetry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::threads::Threads;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match texts.as_slice() {
        ["instance", "--exec", "--", ..] => {
            let error = exec::exec(&words[3..]);
            eprintln!("{error}");
            ExitCode::from(3)
        }
        ["instance", "--keep"] => {
            keep::keep().unwrap();
            ExitCode::SUCCESS
        }
        ["instance"] => runtime.block_on(instance()),
        ["serve", port, orders @ ..] => {
            let listener = runtime.block_on(TcpListener::bind(format!("127.0.0.1:{port}"))).unwrap();
            runtime.block_on(serve(listener, Orders::parse(&orders.join("\n"))))
        }
        ["family", port] => family(port),
        ["estranged", port] => estranged(port),
        ["parent", config] => runtime.block_on(parent(config)),
        _ => panic!("unknown orders {texts:?}"),
    }
}

/// What an instance does.
#[derive(Debug, Default)]
struct Orders {
    answer: String,
    status: u16,
    busy: f64,
    delay: Duration,
    fail: Option<String>,
    exit: Option<u8>,
    deaf: bool,
}

impl Orders {
    fn parse(script: &str) -> Self {
        let mut orders = Self { status: 200, ..Self::default() };
        for line in script.lines() {
            let line = line.strip_prefix("-- ").unwrap_or(line);
            let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "answer" => argument.clone_into(&mut orders.answer),
                "status" => orders.status = argument.parse().unwrap(),
                "busy" => orders.busy = argument.parse().unwrap(),
                "delay" => orders.delay = Duration::from_millis(argument.parse().unwrap()),
                "fail" => orders.fail = Some(argument.to_owned()),
                "exit" => orders.exit = Some(argument.parse().unwrap()),
                "say" => eprintln!("{argument}"),
                "pid" => orders.answer = std::process::id().to_string(),
                "deaf" => orders.deaf = true,
                _ => panic!("unknown order {line:?}"),
            }
        }
        orders
    }
}

async fn instance() -> ExitCode {
    let (spec, _orders) = receive().unwrap();
    let orders = Orders::parse(&spec.app.source);
    sleep(orders.delay).await;
    if let Some(status) = orders.exit {
        return ExitCode::from(status);
    }
    if let Some(message) = orders.fail {
        report(&InstanceReport::Failed(message)).unwrap();
        return ExitCode::FAILURE;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    if !orders.deaf {
        report(&InstanceReport::Listening { address: listener.local_addr().unwrap() }).unwrap();
    }
    let busy = orders.busy;
    let reports = async {
        let start = Instant::now();
        loop {
            sleep(protocol::STATUS_EVERY).await;
            let up_micros = u64::try_from(start.elapsed().as_micros()).unwrap();
            let busy_micros = (up_micros as f64 * busy) as u64;
            let status = protocol::Status { busy_micros, up_micros, ..protocol::Status::default() };
            report(&InstanceReport::Status(status)).unwrap();
        }
    };
    tokio::select! {
        code = serve(listener, orders) => code,
        () = reports => ExitCode::SUCCESS,
    }
}

async fn serve(listener: TcpListener, orders: Orders) -> ExitCode {
    let mut term = signal(SignalKind::terminate()).unwrap();
    let (orders, tasks) = (Arc::new(orders), TaskTracker::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                tasks.spawn(answer(stream, Arc::clone(&orders)));
            }
            _ = term.recv() => break,
        }
    }
    tasks.close();
    tasks.wait().await;
    ExitCode::SUCCESS
}

async fn answer(mut stream: TcpStream, orders: Arc<Orders>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let Orders { answer, status, .. } = &*orders;
    // Whoever asks for this has the wrong server, or one that is never ready.
    let status = if *status == 200 && head.starts_with(b"GET /never ") { 404 } else { *status };
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
    // A client that left does not matter here.
    _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
}

/// A server behind a program that only waits for it, as shells and process managers do.
fn family(port: &str) -> ExitCode {
    let this = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new(this).args(["serve", port, "pid"]).spawn().unwrap();
    _ = child.wait();
    ExitCode::SUCCESS
}

/// A server that has left the group of the program that started it, and that program's life.
fn estranged(port: &str) -> ExitCode {
    let this = std::env::current_exe().unwrap();
    let mut child =
        std::process::Command::new("setsid").arg(this).args(["serve", port, "pid"]).spawn().unwrap();
    _ = child.wait();
    ExitCode::SUCCESS
}

/// Runs a control plane, and prints the process ids of its instances.
#[expect(clippy::print_stdout, reason = "what the test waits for")]
async fn parent(config: &str) -> ExitCode {
    let program = std::env::current_exe().unwrap();
    let options = Options {
        config: ConfigSource::File(config.into()),
        program,
        threads: Arc::new(Threads),
        sources: Arc::new(tidegate_control::NoSources),
        state_dir: None,
    };
    let control = Control::load(options).unwrap();
    let (mut roster, handle, stop) = (control.roster(), control.handle(), CancellationToken::new());
    let show = async {
        let full =
            |roster: &Arc<tidegate_core::Roster>| roster.fleets.values().all(|fleet| !fleet.is_empty());
        roster.wait_for(full).await.unwrap();
        let view = handle.view();
        let pids: Vec<u32> =
            view.fleets.iter().flat_map(|fleet| fleet.instances.iter().filter_map(|one| one.pid)).collect();
        let instances = view.fleets.iter().flat_map(|fleet| &fleet.instances);
        let ready = instances.filter(|one| one.state == "ready");
        let endpoints: Vec<_> = ready.filter_map(|one| Some(one.endpoint?.to_string())).collect();
        println!("{}", serde_json::json!({ "pids": pids, "endpoints": endpoints }));
        std::future::pending::<()>().await;
    };
    tokio::join!(control.run(Telemetry::new(1), stop.clone()), show);
    ExitCode::SUCCESS
}
