//! Processes that Lua starts: what `ngx.pipe` makes.
//!
//! Each standard stream is a pipe that is used as a stream socket is, in its one direction. A process belongs to the
//! object that Lua has: when that is collected, or the VM ends, a process that still runs is killed.

use std::{
    cell::Cell,
    ffi::OsStr,
    io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    process::ExitStatus,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::unix::pipe,
    process::{Child, Command},
    sync::{Mutex, Notify},
};

use super::{
    inbox,
    link::Link,
    stream::Stream,
    tcp::{Cause, Outcome, Tcp, Timeouts, Waiting},
};
use crate::Reply;

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Spec<'a> {
    /// The program, and what it is given.
    pub(crate) arguments: Vec<&'a [u8]>,
    /// `NAME=value`, in place of the environment of the gateway unless there are none.
    pub(crate) environment: Vec<&'a [u8]>,
    /// What it writes to standard error comes with its output.
    pub(crate) merges: bool,
}

/// A standard stream, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standard {
    Input,
    Output,
    Error,
}

impl Standard {
    pub(crate) const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Input,
            1 => Self::Output,
            _ => Self::Error,
        }
    }
}

pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Locked by whoever waits for its end.
    child: Arc<Mutex<Child>>,
    exit: Rc<Cell<Option<ExitStatus>>>,
    pub(crate) wait_timeout: Cell<Duration>,
    /// Somebody was told how it ended.
    is_told: Cell<bool>,
    input: End,
    output: End,
    /// None if it comes with the output.
    error: Option<End>,
}

/// Our end of a standard stream.
struct End {
    socket: Tcp,
    /// It has been closed under whoever waits for it.
    aborted: Arc<Notify>,
}

impl End {
    fn new(stream: Stream) -> Self {
        let none = Timeouts { connect: Duration::ZERO, send: Duration::MAX, receive: Duration::MAX };
        let socket = Tcp::new(none, inbox::SMALL);
        socket.attach(Rc::new(Link::new(stream, None)));
        Self { socket, aborted: Arc::default() }
    }
}

impl Process {
    pub(crate) fn spawn(spec: &Spec<'_>) -> io::Result<Self> {
        let (program, arguments) = spec.arguments.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(OsStr::from_bytes(program));
        command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument))).kill_on_drop(true);
        if !spec.environment.is_empty() {
            command.env_clear();
        }
        for entry in &spec.environment {
            if let Some(at) = entry.iter().skip(1).position(|&byte| byte == b'=') {
                let (name, value) = (&entry[..=at], &entry[at + 2..]);
                command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
            }
        }
        let (stdin, input) = io::pipe()?;
        let (output, stdout) = io::pipe()?;
        let error = if spec.merges {
            command.stderr(stdout.try_clone()?);
            None
        } else {
            let (error, stderr) = io::pipe()?;
            command.stderr(stderr);
            Some(error)
        };
        command.stdin(stdin).stdout(stdout);
        let source = |pipe: io::PipeReader| {
            pipe::Receiver::from_owned_fd(OwnedFd::from(pipe)).map(|pipe| End::new(Stream::Source(pipe)))
        };
        let output = source(output)?;
        let error = error.map(source).transpose()?;
        let input = End::new(Stream::Sink(pipe::Sender::from_owned_fd(OwnedFd::from(input))?));
        let child = command.spawn()?;
        Ok(Self {
            pid: child.id().unwrap_or_default(),
            child: Arc::new(Mutex::new(child)),
            exit: Rc::default(),
            wait_timeout: Cell::new(Duration::MAX),
            is_told: Cell::new(false),
            input,
            output,
            error,
        })
    }

    fn end(&self, standard: Standard) -> Option<&End> {
        match standard {
            Standard::Input => Some(&self.input),
            Standard::Output => Some(&self.output),
            Standard::Error => self.error.as_ref(),
        }
    }

    /// To read from it or to write to it; none if it comes with another.
    pub(crate) fn stream(&self, standard: Standard) -> Option<&Tcp> {
        self.end(standard).map(|end| &end.socket)
    }

    /// How long each wait for a stream may last.
    pub(crate) fn set_timeout(&self, standard: Standard, span: Duration) {
        if let Some(stream) = self.stream(standard) {
            let timeouts = stream.timeouts.get();
            stream.timeouts.set(Timeouts { send: span, receive: span, ..timeouts });
        }
    }

    /// Has a wait for a stream end when that is closed.
    pub(crate) fn until_closed(&self, standard: Standard, waiting: Waiting) -> Waiting {
        let Some(end) = self.end(standard) else { return waiting };
        // From now on, whether or not it has been waited for by then.
        let aborted = Arc::clone(&end.aborted).notified_owned();
        Box::pin(async move {
            tokio::select! {
                biased;
                () = aborted => Reply::Failed("aborted".into()),
                reply = waiting => reply,
            }
        })
    }

    /// Closes a stream; who waits for it is told.
    pub(crate) fn close(&self, standard: Standard) {
        if let Some(end) = self.end(standard) {
            drop(end.socket.detach());
            end.aborted.notify_waiters();
        }
    }

    /// How it ended, if it did.
    pub(crate) fn exit(&self) -> Option<ExitStatus> {
        if self.exit.get().is_none()
            && let Ok(mut child) = self.child.try_lock()
            && let Ok(Some(status)) = child.try_wait()
        {
            self.exit.set(Some(status));
        }
        self.exit.get()
    }

    /// Waits for its end; whoever asks afterwards is told that it has been.
    pub(crate) fn wait(&self) -> Outcome<()> {
        if self.is_told.get() {
            return Outcome::Failed(Cause::Broken("exited".into()));
        }
        if self.exit().is_some() {
            return Outcome::Ready(());
        }
        let Ok(mut child) = Arc::clone(&self.child).try_lock_owned() else {
            return Outcome::Failed(Cause::Broken("pipe busy waiting".into()));
        };
        let (exit, span) = (Rc::clone(&self.exit), self.wait_timeout.get());
        Outcome::Wait(Box::pin(async move {
            match tokio::time::timeout(span, child.wait()).await {
                Ok(Ok(status)) => {
                    exit.set(Some(status));
                    Reply::Done
                }
                Ok(Err(error)) => Reply::Failed(error.to_string()),
                Err(_) => Reply::Failed("timeout".into()),
            }
        }))
    }

    /// Whether somebody knows how it ended.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_told.get()
    }

    /// The exit code, or the signal below 0. It is told once.
    pub(crate) fn tell(&self) -> i32 {
        self.is_told.set(true);
        let Some(status) = self.exit.get() else { return 0 };
        status.code().unwrap_or_else(|| status.signal().map_or(0, |signal| -signal))
    }

    /// Fails with what scripts are told.
    pub(crate) fn kill(&self, signal: i32) -> Result<(), &'static str> {
        if self.exit().is_some() {
            return Err("exited");
        }
        let signal = Signal::from_named_raw(signal).ok_or("invalid signal")?;
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or("exited")?;
        kill_process(pid, signal).map_err(|_| "exited")
    }
}
