//! What habits are worth, kept in a file for the next time: it depends on the demand alone.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tidegate_sim::Conditions;

use crate::{
    demands::Known,
    hindsight::{self, Outcome},
};

/// How tables did on one demand under one condition, at each price.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Worth {
    pub(crate) fitted: Vec<Outcome>,
    pub(crate) learned: Vec<Outcome>,
}

/// By demand and conditions.
#[derive(Debug, Default)]
pub(crate) struct Habits(Mutex<BTreeMap<String, Worth>>);

impl Habits {
    /// Those of a file, if there is one.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path.filter(|path| path.is_file()) else { return Ok(Self::default()) };
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let known = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Self(Mutex::new(known)))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fs::write(path, serde_json::to_string(&*known)?).with_context(|| path.display().to_string())
    }

    /// As it is known, or worked out.
    pub(crate) fn worth(&self, of: &Known, conditions: Conditions) -> Worth {
        let key = format!("{}, {} s, {} s", of.name, conditions.start_up, conditions.buffer);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worth) = known().get(&key) {
            return worth.clone();
        }
        let worth = Worth {
            fitted: hindsight::fitted(&of.demand, conditions),
            learned: hindsight::learned(&of.demand, conditions),
        };
        known().insert(key, worth.clone());
        worth
    }
}
