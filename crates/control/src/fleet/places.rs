//! How many requests each instance of a fleet may have at a time.
//!
//! The data plane counts them in and out of an instance's [`Load`] and has the others wait their turn, on all workers in
//! one order. Here is said how many there may be; an instance that has more when that is lowered finishes them.

use std::{num::NonZeroU32, sync::Arc};

use tidegate_core::{roster::Load, turns::Turns};

use super::{Fleet, Instance};

impl Fleet {
    /// Who waits for a place, where instances have only so many.
    pub(crate) fn turns(&self) -> Option<&Arc<Turns>> {
        let trial = self.trial.as_ref().and_then(|trial| trial.template.concurrency);
        self.concurrency().or(trial).map(|_| &self.turns)
    }

    /// How many requests an instance may have at a time. `None`: any number.
    pub(crate) fn concurrency(&self) -> Option<NonZeroU32> {
        self.current.template.concurrency
    }

    /// That of a new instance.
    pub(super) fn new_load(&self, revision: u64) -> Arc<Load> {
        let load = Load::of_fleet(&self.turns);
        load.set_limit(self.template_of(revision).concurrency);
        Arc::new(load)
    }

    /// Has all instances keep to what their templates say now.
    pub(super) fn set_limits(&self) {
        let set = |one: &Instance| one.load.set_limit(self.template_of(one.revision).concurrency);
        self.instances.iter().for_each(set);
        self.turns.call();
    }
}
