//! The life of one process, from its start until it is gone.
//!
//! Invariant: the task ends only when the child has been reaped.

use std::{
    convert::Infallible,
    future::{Future, pending},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    pin::pin,
    process::ExitStatus,
    time::Duration,
};

use rustix::process::Signal;
use tidegate_core::snapshot::ReadyCheck;
use tokio::{
    io::AsyncWriteExt as _,
    process::ChildStdin,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{Process, logged::Logged, output::Said, signal_group};
use crate::{
    departure::Departure,
    driver::{Duties, END_PATIENCE, ready},
    instance::{
        InstanceReport,
        protocol::{self, Order},
    },
    recorders::Recorder,
    template::Program,
};

/// How long an instance may keep an order waiting that it does not read.
const ORDER_WITHIN: Duration = Duration::from_secs(1);

/// How long the last words of a child are awaited; what it started may hold its streams open.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Life {
    process: Process,
    duties: Duties,
    /// Where it listens; Lua instances say so themselves.
    address: watch::Sender<Option<SocketAddr>>,
    /// Through which it is given orders, once it is ready to take some.
    orders: Option<(ChildStdin, Recorder)>,
    /// What it said last on standard error.
    last_words: Option<String>,
    /// Why it cannot run, in its own words.
    failed: Option<String>,
}

impl Life {
    pub(crate) fn new(process: Process, duties: Duties) -> Self {
        let address = watch::Sender::new(process.address);
        Self { process, duties, address, orders: None, last_words: None, failed: None }
    }

    pub(crate) async fn live(mut self) {
        let reason = self.until_gone().await;
        // Whatever the child left behind in its group.
        self.process.over();
        self.duties.exited(reason).await;
    }

    /// Returns why the process ended.
    async fn until_gone(&mut self) -> String {
        // Held until the end: the child leaves when its standard input does.
        let mut lifeline = self.process.child.stdin.take();
        let start = Start {
            spec: self.process.spec.take(),
            address: self.address.subscribe(),
            check: self.duties.template.ready.clone(),
            departure: self.duties.departure.clone(),
        };
        match self.while_alive(start.outcome(&mut lifeline)).await {
            Err(status) => self.reason(status).await,
            Ok(Started::Late(why)) => {
                let why = self.failed.take().unwrap_or(why);
                self.terminate(Instant::now() + END_PATIENCE).await;
                format!("not ready within {}s: {why}", self.duties.template.ready.timeout.as_secs_f64())
            }
            Ok(Started::Unwanted) => {
                let deadline = Instant::now() + self.grace();
                self.terminate(deadline).await
            }
            Ok(Started::Ready(address)) => {
                let recorders = &self.process.recorders;
                self.orders = lifeline
                    .take()
                    .map(|stdin| (stdin, recorders.enter(&self.duties.fleet, &self.duties.id)));
                self.duties.ready(address).await;
                self.serve().await
            }
        }
    }

    /// Until it is to leave and no request is left, or the grace is over; then ends the process.
    async fn serve(&mut self) -> String {
        let departure = self.duties.departure.clone();
        loop {
            if let Err(status) = self.while_alive(departure.asked()).await {
                return self.reason(status).await;
            }
            let deadline = Instant::now() + self.grace();
            let quiet = self.duties.quiet();
            match self.while_alive(departure.end_after(quiet)).await {
                Err(status) => return self.reason(status).await,
                Ok(true) => return self.terminate(deadline).await,
                Ok(false) => {}
            }
        }
    }

    /// Asks the process to end, and kills it if it has not by `deadline`.
    async fn terminate(&mut self, deadline: Instant) -> String {
        signal_group(self.process.pid, Signal::TERM);
        let deadline = deadline.max(Instant::now() + END_PATIENCE);
        if let Err(status) = self.while_alive(sleep_until(deadline)).await {
            return format!("asked to end: {}", describe(status));
        }
        signal_group(self.process.pid, Signal::KILL);
        let Err(status) = self.while_alive(pending::<Infallible>()).await;
        format!("asked to end, in vain: {}", describe(status))
    }

    fn grace(&self) -> Duration {
        self.duties.template.grace
    }

    /// Runs `until` to its end, and meanwhile listens to the child. Fails when the child ends first.
    async fn while_alive<T>(&mut self, until: impl Future<Output = T>) -> Result<T, ExitStatus> {
        let mut until = pin!(until);
        let mut silent = false;
        loop {
            tokio::select! {
                status = self.process.child.wait() => {
                    // It cannot fail for a child that nobody else waits for.
                    return Err(status.unwrap_or_else(|_| ExitStatus::from_raw(0)));
                }
                said = self.process.output.next(), if !silent => {
                    silent = said.is_empty();
                    self.hear(said);
                }
                order = next_order(&mut self.orders) => self.give(&order).await,
                result = &mut until => return Ok(result),
            }
        }
    }

    /// Tells the child what to do. One that does not listen is missed by whoever wants it.
    async fn give(&mut self, order: &Order) {
        if let Some((stdin, _)) = &mut self.orders {
            // It fits into a pipe as a whole or not at all, so what is given up has left nothing behind.
            _ = timeout(ORDER_WITHIN, stdin.write_all(&protocol::encode(order))).await;
        }
    }

    fn hear(&mut self, said: Vec<Said>) {
        let Duties { fleet, id, template, .. } = &self.duties;
        // A command's lines are its own.
        let is_lua = matches!(template.program, Program::Lua(_));
        for said in said {
            match said {
                Said::Report(InstanceReport::Listening { address }) => {
                    self.address.send_replace(Some(address));
                }
                Said::Report(InstanceReport::Status(status)) => self.duties.status(status),
                Said::Report(InstanceReport::Failed(why)) => self.failed = Some(why),
                Said::Report(InstanceReport::Recorded(part)) => {
                    if let Some((_, recorder)) = &mut self.orders {
                        recorder.take(&part);
                    }
                }
                Said::Out(line) => tracing::info!(%fleet, instance = %id, "{line}"),
                Said::Error(line) => {
                    let line = if let Some(logged) = Logged::parse(&line).filter(|_| is_lua) {
                        logged.pass_on(fleet, id);
                        logged.message
                    } else {
                        tracing::info!(%fleet, instance = %id, "{line}");
                        line
                    };
                    if !line.trim().is_empty() {
                        self.last_words = Some(line);
                    }
                }
            }
        }
    }

    /// Why a process ended that ended so.
    async fn reason(&mut self, status: ExitStatus) -> String {
        let rest = async {
            loop {
                let said = self.process.output.next().await;
                if said.is_empty() {
                    return;
                }
                self.hear(said);
            }
        };
        // Nothing is lost but words when this takes too long.
        _ = timeout(LAST_WORDS_WITHIN, rest).await;
        if let Some(why) = self.failed.take() {
            return why;
        }
        match self.last_words.take() {
            Some(words) => format!("{}: {words}", describe(status)),
            None => describe(status),
        }
    }
}

/// What an instance is to do besides serving. Safe to abandon.
async fn next_order(orders: &mut Option<(ChildStdin, Recorder)>) -> Order {
    match orders {
        Some((_, recorder)) => recorder.order().await,
        None => pending().await,
    }
}

/// The wait for readiness.
struct Start {
    spec: Option<Vec<u8>>,
    address: watch::Receiver<Option<SocketAddr>>,
    check: ReadyCheck,
    departure: Departure,
}

/// How the wait for readiness ended.
enum Started {
    Ready(SocketAddr),
    /// With what was wrong when last asked.
    Late(String),
    Unwanted,
}

impl Start {
    async fn outcome(mut self, stdin: &mut Option<ChildStdin>) -> Started {
        let mut wrong = None;
        let ready = async {
            introduce(stdin, self.spec).await;
            // The sender lives as long as the task that this runs in.
            let known = self.address.wait_for(Option::is_some).await.ok().and_then(|known| *known);
            let Some(address) = known else {
                return pending().await;
            };
            ready::wait(address, &self.check, &mut wrong).await;
            address
        };
        let result = tokio::select! {
            result = timeout(self.check.timeout, ready) => result,
            () = self.departure.asked() => return Started::Unwanted,
        };
        let silent = || "it did not say where it listens".to_owned();
        result
            .map_or_else(|_| Started::Late(wrong.map_or_else(silent, |why| why.to_string())), Started::Ready)
    }
}

/// Tells the child what it is. A child that does not listen shows it by its end.
async fn introduce(stdin: &mut Option<ChildStdin>, spec: Option<Vec<u8>>) {
    if let (Some(stdin), Some(spec)) = (stdin, spec)
        && let Err(error) = stdin.write_all(&spec).await
    {
        tracing::debug!(%error, "an instance did not read its specification");
    }
}

/// How a process ended.
pub(in crate::driver) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("killed by signal {}", signal_name(signal)),
        (None, None) => "ended".to_owned(),
    }
}

/// `9 (SIGKILL)`, for those that end processes in practice.
fn signal_name(signal: i32) -> String {
    let known = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
    ];
    match known.iter().find(|(known, _)| known.as_raw() == signal) {
        Some((_, name)) => format!("{signal} ({name})"),
        None => signal.to_string(),
    }
}
