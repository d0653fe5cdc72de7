//! Timers: counted here, kept in Lua, and waited for by whoever drives the VM.
//!
//! `ngx.timer.at` hands a [`Timer`] to the driver at once. When its time has come the driver asks
//! [`Vm::expire`](crate::Vm::expire) whether it may run, and starts it with
//! [`Vm::start_timer`](crate::Vm::start_timer). A timer that is dropped unasked leaves its function in the VM.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::Duration,
};

use crate::flame::Label;

/// A function that is to be called later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    pub id: TimerId,
    pub delay: Duration,
    /// Whether it is called again and again, until the worker ends.
    pub repeats: bool,
    /// Of the route whose script has set it.
    pub label: Label,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId(pub(crate) u32);

type Sink = Rc<dyn Fn(Timer)>;

/// The timers of one VM.
pub(crate) struct Timers {
    pub(crate) pending: Cell<usize>,
    pub(crate) running: Rc<Cell<usize>>,
    pending_limit: usize,
    pub(crate) running_limit: usize,
    last: Cell<u32>,
    sink: RefCell<Option<Sink>>,
}

impl Timers {
    pub(crate) fn new(pending_limit: usize, running_limit: usize) -> Self {
        Self {
            pending: Cell::default(),
            running: Rc::default(),
            pending_limit,
            running_limit,
            last: Cell::default(),
            sink: RefCell::default(),
        }
    }

    pub(crate) fn set_sink(&self, sink: impl Fn(Timer) + 'static) {
        self.sink.replace(Some(Rc::new(sink)));
    }

    /// Hands a new timer to the driver; `None` when there are too many, or nobody who would wait for them.
    pub(crate) fn arm(&self, delay: Duration, repeats: bool, label: Label) -> Option<TimerId> {
        let sink = self.sink.borrow().clone()?;
        let pending = self.pending.get();
        if pending >= self.pending_limit {
            return None;
        }
        // As many as can be told to Lua; a number comes again after all others, when its timer has long ended.
        let id = TimerId(self.last.get() % (i32::MAX as u32) + 1);
        self.last.set(id.0);
        self.pending.set(pending + 1);
        sink(Timer { id, delay, repeats, label });
        Some(id)
    }
}

/// Counts a timer that runs, for as long as it does.
pub struct RunningTimer {
    pub(crate) id: TimerId,
    running: Rc<Cell<usize>>,
}

impl RunningTimer {
    pub(crate) fn new(id: TimerId, running: &Rc<Cell<usize>>) -> Self {
        running.set(running.get() + 1);
        Self { id, running: Rc::clone(running) }
    }
}

impl Drop for RunningTimer {
    fn drop(&mut self) {
        self.running.set(self.running.get().saturating_sub(1));
    }
}

impl fmt::Debug for RunningTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunningTimer").field(&self.id.0).finish()
    }
}
