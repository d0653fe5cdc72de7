//! What surrounds a stretch of code: the scene that it sees, its bounds, and its account.

use std::{ffi::c_int, time::Duration};

use mlua::ffi;
use tidegate_core::snapshot::Budget;

use super::{Vm, rest::give_back, run::Outcome};
use crate::{
    Phase, Step,
    budget::{Ended, Watch, own_cpu_time},
    host::Scene,
    ticks::Pace,
    usage::{Long, Stretch},
};

impl Vm {
    /// Lets Lua see `scene` meanwhile.
    pub(super) fn within(
        &self,
        phase: Phase,
        mut scene: Scene<'_>,
        run: impl FnOnce(&Self) -> Outcome,
    ) -> Step {
        self.running.set(true);
        let pace = Pace::get();
        let stretch = Stretch { pace, began: pace.now(), memory: self.ledger.state() };
        let state = scene.state();
        state.account.resume(&stretch);
        let (timed, label) = (!state.budget.cpu.is_zero(), state.label);
        let whole = (&self.budget, state.left_to_stretch);
        let limits = state.account.limits(&state.budget, whole, stretch.memory.0);
        self.host.enter(&mut scene, phase);
        // What prepares a worker may take its time: nobody is served yet.
        let watch = self.watch(&limits.next).filter(|_| !matches!(phase, Phase::Init | Phase::InitWorker));
        let spent = timed.then(own_cpu_time);
        if let Some(watch) = watch {
            watch.begin(&limits, label);
            self.ceiling.set(ceiling(&limits.next));
        }
        let outcome = run(self);
        let ended = watch.map_or(Ended::Soon, Watch::end);
        let mut cut_off = ended == Ended::CutOff;
        self.ceiling.set(usize::MAX);
        self.host.leave();
        let step = match outcome {
            Outcome::Step(step) => step,
            Outcome::Failed(thread) => {
                // An error may be an object with code that makes a text of it.
                if let Some(watch) = watch {
                    watch.begin(&limits, label);
                }
                // SAFETY: the thread has just failed.
                let mut error = unsafe { self.describe(thread.state, thread.number()) };
                if let Some(watch) = watch.filter(|_| cut_off) {
                    error.explain_refusal(|| watch.too_large());
                }
                cut_off |= watch.is_some_and(|watch| watch.end() == Ended::CutOff);
                Step::Failed(error)
            }
        };
        self.running.set(false);
        let account = &mut scene.state().account;
        if let Some(before) = spent {
            account.spend(own_cpu_time().saturating_sub(before));
        }
        if cut_off {
            account.tell_long(Long::CutOff);
            self.clean_up();
        } else if ended == Ended::Late {
            account.tell_long(Long::Ended(Duration::from_nanos(stretch.took(pace.now()))));
        }
        if self.collect()
            && let Some(probe) = &*self.probe.borrow()
        {
            probe.note_collection(scene.state().label, phase);
        }
        let account = &mut scene.state().account;
        account.halt(&stretch, pace.now(), self.ledger.state(), matches!(step, Step::Wait(_)));
        step
    }

    /// Who ends what crosses a budget, if there is one.
    fn watch(&self, budget: &Budget) -> Option<&Watch> {
        if *budget == Budget::NONE {
            return None;
        }
        let watch = || Watch::new(self.main, self.host.block.ending.as_ptr(), self.onlooker.take());
        self.watch.get_or_init(watch).as_ref()
    }

    /// Resumes a thread within the memory that the run may have.
    ///
    /// # Safety
    ///
    /// `state` is alive, not running, and has what it is resumed with on top of its stack.
    pub(super) unsafe fn resume_thread(&self, state: *mut ffi::lua_State, arguments: c_int) -> c_int {
        self.ledger.bound(self.ceiling.get());
        // SAFETY: by the caller's word.
        let status = unsafe { ffi::lua_resume_(state, arguments) };
        self.ledger.unbound();
        status
    }

    /// Gives memory back that a run which was cut off has left.
    #[cold]
    fn clean_up(&self) {
        let watch = self.watch.get().and_then(Option::as_ref);
        watch.inspect(|watch| watch.begin_chore());
        self.sweep();
        self.collect_garbage();
        give_back();
        watch.inspect(|watch| _ = watch.end());
    }
}

/// What memory of the VM may grow to.
fn ceiling(budget: &Budget) -> usize {
    match budget.memory_bytes {
        0 => usize::MAX,
        bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
    }
}
