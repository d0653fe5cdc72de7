//! What habits are worth, kept in a file for the next time: it depends on the demand alone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
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
pub(crate) struct Habits {
    known: Mutex<BTreeMap<String, Worth>>,
    path: Option<PathBuf>,
}

impl Habits {
    /// Those of a file, if there is one. All that is worked out is written there at once: all of them take hours.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self> {
        let path = path.map(Path::to_owned);
        let Some(file) = path.as_ref().filter(|path| path.is_file()) else {
            return Ok(Self { path, ..Self::default() });
        };
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let known = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        Ok(Self { known: Mutex::new(known), path })
    }

    /// As it is known, or worked out.
    pub(crate) fn worth(&self, of: &Known, conditions: Conditions) -> Worth {
        let key = format!("{}, {} s, {} s", of.name, conditions.start_up, conditions.buffer);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worth) = known().get(&key) {
            return worth.clone();
        }
        let worth = Worth {
            fitted: hindsight::fitted(&of.demand, conditions),
            learned: hindsight::learned(&of.demand, conditions),
        };
        let mut known = known();
        known.insert(key, worth.clone());
        if let Some(Err(failure)) = self.path.as_deref().map(|path| write(path, &known)) {
            eprintln!("habits are not kept: {failure:#}");
        }
        worth
    }
}

/// As a whole or not at all, as it is written while other work goes on that may be ended.
fn write(path: &Path, known: &BTreeMap<String, Worth>) -> Result<()> {
    let new = path.with_extension("new");
    let text = serde_json::to_string(known)?;
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).with_context(|| path.display().to_string())
}
