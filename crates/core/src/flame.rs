//! Where Lua spends its time: stacks that were seen, with the processor's time that they stand for.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{FleetId, RouteId};

/// How long one recording may take, in seconds.
pub const SECONDS: RangeInclusive<u32> = 1..=60;

/// Different stacks that are kept of one VM, and of a whole recording; more become [`OTHERS`].
pub const STACKS: usize = 10_000;

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
}

impl Subject {
    /// Whether an instance of `fleet` is meant, or without one a worker.
    pub fn concerns(&self, fleet: Option<&FleetId>) -> bool {
        match (self, fleet) {
            (Self::All, _) | (Self::Route { .. }, None) => true,
            (Self::Route { fleet, .. }, Some(of)) => fleet.as_ref() == Some(of),
        }
    }

    /// The route that all of a worker's is to be of.
    pub fn route(&self) -> Option<&RouteId> {
        match self {
            Self::All => None,
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
            *sum += micros;
        } else {
            self.stacks.insert(stack.into(), micros);
        }
    }

    /// Takes another one's figures in.
    pub fn merge(&mut self, other: &Self) {
        for (stack, micros) in &other.stacks {
            self.add(stack, *micros);
        }
        self.samples += other.samples;
        self.time.merge(&other.time);
        self.vms += other.vms;
        self.missed += other.missed;
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
            *sum += part;
        }
    }

    /// All that was Lua.
    pub const fn lua(&self) -> u64 {
        let Self { compiled, interpreted, functions_of_c, garbage_collector, compiler, other_lua, other: _ } =
            self;
        *compiled + *interpreted + *functions_of_c + *garbage_collector + *compiler + *other_lua
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
    fn a_route_concerns_workers_and_its_own_fleet() {
        let fleet = |name: &str| FleetId::new(name).unwrap();
        let subject = Subject::Route { route: RouteId::new("r").unwrap(), fleet: Some(fleet("orders")) };
        assert!(subject.concerns(None) && subject.concerns(Some(&fleet("orders"))));
        assert!(!subject.concerns(Some(&fleet("mail"))));
        assert!(Subject::All.concerns(Some(&fleet("mail"))));
    }
}
