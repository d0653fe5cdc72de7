//! What a socket is waiting for, so that nobody else waits for the same.

use std::{cell::Cell, rc::Rc};

#[derive(Debug, Default)]
pub(crate) struct Busy {
    pub(crate) connecting: Cell<bool>,
    pub(crate) reading: Cell<bool>,
    pub(crate) writing: Cell<bool>,
}

/// Which of them a wait is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    Connect,
    Read,
    Write,
}

impl Busy {
    fn flag(&self, wait: Wait) -> &Cell<bool> {
        match wait {
            Wait::Connect => &self.connecting,
            Wait::Read => &self.reading,
            Wait::Write => &self.writing,
        }
    }

    pub(crate) fn is(&self, wait: Wait) -> bool {
        self.flag(wait).get()
    }

    /// Busy until what comes back is dropped: with the future that waits, however that ends.
    pub(crate) fn with(self: &Rc<Self>, wait: Wait) -> Guard {
        self.flag(wait).set(true);
        Guard { busy: Rc::clone(self), wait }
    }
}

#[derive(Debug)]
pub(crate) struct Guard {
    busy: Rc<Busy>,
    wait: Wait,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.busy.flag(self.wait).set(false);
    }
}
