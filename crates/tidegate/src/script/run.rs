//! Drives a script until it ends: starts it, waits for whatever it waits for first, and takes it up again.

use std::{collections::HashMap, fmt::Write as _, rc::Rc};

use tidegate_core::snapshot::Script;
use tidegate_lua::{Error, Op, Order, Reply, RequestState, ScriptError, Step, Task, Ticket, Verdict, Vm};
use tokio::task::{AbortHandle, JoinSet};

use super::{PHASE, Source, place, set_now, timers::Timers};
use crate::exit::Failure;

/// Makes the output functions write where a program writes, and runs the chunk with its arguments. The chunk comes
/// as text, so that a mistake in it is told as one of its own.
const FRAME: &str = include_str!("frame.lua");

/// Runs one after the other, and then what timers are left.
pub(super) async fn to_their_end(vm: &Rc<Vm>, sources: &[Source]) -> Result<(), Failure> {
    let timers = Timers::of(vm);
    let mut outcome = Ok(());
    for source in sources {
        outcome = run(vm, source).await;
        if outcome.is_err() {
            break;
        }
    }
    timers.end(vm).await;
    // What is said of an error comes after what the script has written.
    flush(vm);
    outcome
}

/// Standard output is C's where Lua writes, and has a buffer of its own.
fn flush(vm: &Vm) {
    if let Ok(handler) = vm.load(&Script::new("=ngx.cli", "io.stdout:flush()")) {
        let mut state = RequestState::default();
        // Where nobody reads there is nobody to tell.
        drop(vm.start_alone(&handler, PHASE, &mut state));
        vm.finish(&mut state);
    }
}

async fn run(vm: &Vm, source: &Source) -> Result<(), Failure> {
    let frame = Script::new("=ngx.cli", frame(source));
    let handler = vm.load(&frame).map_err(|error| failure(source, &error))?;
    let mut state = RequestState::default();
    let step = vm.start_alone(&handler, PHASE, &mut state);
    match drive(vm, step, &mut state).await {
        Ok(Verdict::Exit(code)) if code != 0 => Err(Failure::Reported(code.min(255) as u8)),
        Ok(_) => Ok(()),
        Err(error) => Err(raised(source, &error)),
    }
}

/// Waits for what a run waits for, and takes it up again, until it ends.
pub(super) async fn drive(vm: &Vm, mut step: Step, state: &mut RequestState) -> Result<Verdict, ScriptError> {
    let mut waits = Waits::default();
    let outcome = loop {
        match step {
            Step::Done(verdict) => break Ok(verdict),
            Step::Failed(error) => break Err(error),
            Step::Wait(mut task) => {
                waits.follow(&mut task);
                let (ticket, reply) = waits.next().await;
                set_now(vm);
                step = vm.resume_alone(task, ticket, &reply, state);
            }
        }
    };
    vm.finish(state);
    outcome
}

fn frame(source: &Source) -> String {
    let mut arguments = String::new();
    for argument in &source.arguments {
        let _ = write!(arguments, "{}, ", quoted(argument.as_bytes()));
    }
    let script = source.file.as_deref().unwrap_or("-e");
    FRAME
        .replace("$SCRIPT", &quoted(script.as_bytes()))
        .replace("$ARGUMENTS", &arguments)
        .replace("$NAME", &quoted(source.name.as_bytes()))
        .replace("$TEXT", &quoted(&source.text))
}

/// A string of Lua.
fn quoted(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for &byte in text {
        match byte {
            b' ' | b'!' | b'#' | b'%'..=b'[' | b']'..=b'~' => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\{byte:03}");
            }
        }
    }
    quoted + "\""
}

fn failure(source: &Source, error: &Error) -> Failure {
    Failure::Input(anyhow::anyhow!("{}", place::with_source(&error.to_string(), source)))
}

fn raised(source: &Source, error: &ScriptError) -> Failure {
    let message = place::with_source(error.message(), source);
    Failure::Input(anyhow::anyhow!("{message}\n{}", error.traceback()))
}

/// What the threads of the script wait for.
#[derive(Default)]
struct Waits {
    tasks: JoinSet<(Ticket, Reply)>,
    aborts: HashMap<Ticket, AbortHandle>,
}

impl Waits {
    fn follow(&mut self, task: &mut Task) {
        if let Some(op) = task.sole_op() {
            return self.begin(Ticket::ENTRY, op);
        }
        while let Some(order) = task.order() {
            match order {
                Order::Begin(ticket, op) => self.begin(ticket, op),
                Order::End(ticket) => {
                    if let Some(abort) = self.aborts.remove(&ticket) {
                        abort.abort();
                    }
                }
            }
        }
    }

    fn begin(&mut self, ticket: Ticket, op: Op) {
        let abort = self.tasks.spawn_local(async move { (ticket, perform(op).await) });
        self.aborts.insert(ticket, abort);
    }

    async fn next(&mut self) -> (Ticket, Reply) {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((ticket, reply))) => {
                    self.aborts.remove(&ticket);
                    return (ticket, reply);
                }
                // Somebody ended it.
                Some(Err(_)) => {}
                // All that is left are threads that nobody will take up.
                None => std::future::pending().await,
            }
        }
    }
}

async fn perform(op: Op) -> Reply {
    match op {
        Op::Sleep(span) => {
            tokio::time::sleep(span).await;
            Reply::Done
        }
        Op::Detached(work) => work.await,
        _ => Reply::Failed("there is no request".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_string_of_lua() {
        assert_eq!(quoted(b"a \"b\"\n\\$x"), r#""a \034b\034\010\092\036x""#);
    }
}
