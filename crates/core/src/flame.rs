//! Where Lua spends its time: stacks that were seen, with the processor's time that they stand for.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{FleetId, RouteId};

/// How long one recording may take, in seconds.
pub const SECONDS: RangeInclusive<u32> = 1..=60;

/// Different stacks that are kept of one VM, and of a whole recording; more become [`OTHERS`].
pub const STACKS: usize = 10_000;

/// Stacks of one process that are passed on, in bytes; the briefest of more become [`OTHERS`].
pub const TEXT_BYTES: usize = 4 << 20;

/// What the time of a stack takes beside its text.
const NUMBER_BYTES: usize = 32;

/// In the place of stacks for which there was no room.
pub const OTHERS: &str = "other stacks";

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    pub seconds: u32,
    pub subject: Subject,
}

/// Whose Lua is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    #[default]
    All,
    /// Of a route in the workers, and of the fleet that it leads to.
    Route { route: RouteId, fleet: Option<FleetId> },
    /// Of a fleet's instances, whoever calls them.
    Fleet { fleet: FleetId },
}

impl Subject {
    /// Whether an instance of `fleet` is meant, or without one a worker.
    pub fn concerns(&self, fleet: Option<&FleetId>) -> bool {
        match (self, fleet) {
            (Self::All, _) | (Self::Route { .. }, None) => true,
            (Self::Route { fleet, .. }, Some(of)) => fleet.as_ref() == Some(of),
            (Self::Fleet { fleet }, of) => Some(fleet) == of,
        }
    }

    /// The route that all of a worker's is to be of.
    pub fn route(&self) -> Option<&RouteId> {
        match self {
            Self::All | Self::Fleet { .. } => None,
            Self::Route { route, .. } => Some(route),
        }
    }
}

/// What was recorded. Times are the processor's, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// By the frames of a stack from the outermost on, joined by semicolons.
    pub stacks: BTreeMap<Arc<str>, u64>,
    pub samples: u64,
    pub time: Times,
    /// VMs that were looked at.
    pub vms: u64,
    /// VMs that were not: there was no turn for them, or they were too busy to begin one.
    pub missed: u64,
}

/// What the time of the threads went into, as far as they were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// Code that LuaJIT had compiled.
    pub compiled: u64,
    pub interpreted: u64,
    /// Functions of C, the host's among them, called by interpreted code.
    pub functions_of_c: u64,
    pub garbage_collector: u64,
    /// LuaJIT's compiler.
    pub compiler: u64,
    /// Lua of others than who is looked at.
    pub other_lua: u64,
    /// All that is not Lua.
    pub other: u64,
}

impl Recording {
    /// A stack was seen for so long.
    pub fn add(&mut self, stack: &str, micros: u64) {
        let stack =
            if self.stacks.len() < STACKS || self.stacks.contains_key(stack) { stack } else { OTHERS };
        if let Some(sum) = self.stacks.get_mut(stack) {
            *sum = sum.saturating_add(micros);
        } else {
            self.stacks.insert(stack.into(), micros);
        }
    }

    /// Takes another one's figures in.
    pub fn merge(&mut self, other: &Self) {
        for (stack, micros) in &other.stacks {
            self.add(stack, *micros);
        }
        self.samples = self.samples.saturating_add(other.samples);
        self.time.merge(&other.time);
        self.vms = self.vms.saturating_add(other.vms);
        self.missed = self.missed.saturating_add(other.missed);
    }

    /// Cuts it into parts of at most so many bytes each, and [`TEXT_BYTES`] together. [`merge`](Self::merge) puts
    /// them together again; there is at least one.
    pub fn into_parts(mut self, bytes: usize) -> Vec<Self> {
        let mut stacks: Vec<(Arc<str>, u64)> = std::mem::take(&mut self.stacks).into_iter().collect();
        // What took longest is what matters, if there is too much.
        stacks.sort_by(|(one, took), (other, longer)| longer.cmp(took).then_with(|| one.cmp(other)));
        let (mut parts, mut room, mut left) = (vec![self], bytes, TEXT_BYTES);
        for (stack, micros) in stacks {
            let size = stack.len() + NUMBER_BYTES;
            let fits = size <= bytes.min(left);
            let stack = if fits { &*stack } else { OTHERS };
            if fits {
                left -= size;
                if size > room {
                    parts.push(Self::default());
                    room = bytes;
                }
                room -= size;
            }
            parts.last_mut().expect("there is one from the start").add(stack, micros);
        }
        parts
    }

    /// One line a stack, as tools for flame graphs read them.
    pub fn folded(&self) -> impl Iterator<Item = String> {
        self.stacks.iter().map(|(stack, micros)| format!("{stack} {micros}"))
    }
}

impl Times {
    fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.compiled, other.compiled),
            (&mut self.interpreted, other.interpreted),
            (&mut self.functions_of_c, other.functions_of_c),
            (&mut self.garbage_collector, other.garbage_collector),
            (&mut self.compiler, other.compiler),
            (&mut self.other_lua, other.other_lua),
            (&mut self.other, other.other),
        ];
        for (sum, part) in pairs {
            *sum = sum.saturating_add(part);
        }
    }

    /// All that was Lua.
    pub fn lua(&self) -> u64 {
        let Self { compiled, interpreted, functions_of_c, garbage_collector, compiler, other_lua, other: _ } =
            *self;
        let parts = [compiled, interpreted, functions_of_c, garbage_collector, compiler, other_lua];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_add_up_and_are_bounded() {
        let mut recording = Recording::default();
        for number in 0..STACKS + 5 {
            recording.add(&format!("a;{number}"), 1);
        }
        recording.add("a;0", 2);
        assert_eq!(recording.stacks.len(), STACKS + 1);
        assert_eq!((recording.stacks["a;0"], recording.stacks[OTHERS]), (3, 5));
        let mut both = recording.clone();
        both.merge(&recording);
        assert_eq!((both.stacks.len(), both.stacks["a;0"], both.stacks[OTHERS]), (STACKS + 1, 6, 10));
        assert!(both.folded().any(|line| line == "a;7 2"));
    }

    #[test]
    fn parts_are_small_and_together_what_was_cut() {
        let mut whole = Recording { samples: 9, vms: 2, missed: 1, ..Recording::default() };
        for number in 0..100 {
            whole.add(&format!("stack {number:03}"), number);
        }
        let put_together = |parts: &[Recording]| {
            let mut sum = Recording::default();
            for part in parts {
                sum.merge(part);
            }
            sum
        };
        let parts = whole.clone().into_parts(5 * 41);
        assert_eq!(put_together(&parts), whole);
        assert!(parts.iter().all(|part| part.stacks.len() <= 5) && parts.len() == 20, "{}", parts.len());
        assert_eq!(Recording::default().into_parts(45), [Recording::default()]);
        let cut = put_together(&whole.clone().into_parts(40));
        assert_eq!((cut.stacks.len(), cut.stacks[OTHERS], cut.samples), (1, 99 * 50, 9));
    }

    #[test]
    fn what_is_passed_on_is_bounded_and_the_longest_is_kept() {
        let mut whole = Recording::default();
        let number = TEXT_BYTES / 1_032 + 5;
        for micros in 0..number {
            whole.add(&format!("{micros:01000}"), micros as u64 + 1);
        }
        let mut sum = Recording::default();
        for part in &whole.clone().into_parts(10_000) {
            sum.merge(part);
        }
        assert_eq!(sum.stacks.len(), TEXT_BYTES / 1_032 + 1);
        assert!(sum.stacks.contains_key(&*format!("{:01000}", number - 1)));
        let total = |recording: &Recording| recording.stacks.values().sum::<u64>();
        assert_eq!(total(&sum), total(&whole));
    }

    #[test]
    fn a_route_concerns_workers_and_its_own_fleet() {
        let fleet = |name: &str| FleetId::new(name).unwrap();
        let subject = Subject::Route { route: RouteId::new("r").unwrap(), fleet: Some(fleet("orders")) };
        assert!(subject.concerns(None) && subject.concerns(Some(&fleet("orders"))));
        assert!(!subject.concerns(Some(&fleet("mail"))));
        assert!(Subject::All.concerns(Some(&fleet("mail"))));
    }
}
