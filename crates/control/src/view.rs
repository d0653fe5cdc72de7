//! What the control plane shows of itself.
//!
//! A [`View`] is made after every change and every second, and replaced as a whole: whoever reads one
//! never waits for the control plane, and sees one moment of it.

use std::{net::SocketAddr, sync::Arc};

use serde::Serialize;
use tidegate_config::Diagnostic;
use tidegate_core::{FleetId, InstanceId, Timestamp};
use tidegate_scaler::{
    Decision, Record,
    observed::{Instances, Metrics},
};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub at: Timestamp,
    /// Every instance is being stopped.
    pub stopping: bool,
    pub config: ConfigView,
    /// By name.
    pub fleets: Vec<FleetView>,
    /// Journal entries that could not be written to disk.
    pub journal_lost: u64,
}

/// The configuration in use, and how the last attempt to replace it went.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigView {
    pub generation: u64,
    pub loaded_at: Timestamp,
    pub reloads: Reloads,
    /// When a reload was refused last.
    pub last_error_at: Option<Timestamp>,
    pub last_reload: Option<ReloadView>,
    /// What was changed by a reload and takes effect only when the process starts anew.
    pub needs_restart: Vec<&'static str>,
}

/// How reloads went since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloads {
    pub ok: u64,
    pub failed: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadView {
    pub at: Timestamp,
    /// Whether the file was taken over.
    pub ok: bool,
    pub diagnostics: Arc<[Diagnostic]>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetView {
    pub name: FleetId,
    pub desired: u32,
    pub min: u32,
    pub max: u32,
    /// Oldest first.
    pub instances: Vec<InstanceView>,
    /// How many there are in each state.
    pub states: Instances,
    /// The last that changed the count; before any did, the last at all.
    pub last_decision: Option<DecisionView>,
    /// The newest, which mostly changes nothing.
    pub last_step: Option<DecisionView>,
    /// As last observed.
    pub metrics: Metrics,
    /// How long instances take to start, as the scaler reckons. `None` before any did.
    pub start_up_seconds: Option<f64>,
    /// Time that instances ran, all together, from launch until gone.
    pub instance_seconds: f64,
    /// Decisions that changed the count.
    pub changes: u64,
    /// Instances that were started in place of one that failed.
    pub restarts: u64,
    pub last_failure: Option<FailureView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    pub id: InstanceId,
    /// `starting`, `ready`, `draining` or `failed`.
    pub state: &'static str,
    pub started_at: Timestamp,
    pub endpoint: Option<SocketAddr>,
    pub pid: Option<u32>,
    pub in_flight: u32,
    /// Share of time that it was busy, 0 to 1.
    pub utilization: Option<f64>,
    pub cpu_cores: Option<f64>,
    /// Resident.
    pub memory_bytes: Option<u64>,
    /// In use by its Lua VM.
    pub lua_bytes: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureView {
    pub at: Timestamp,
    pub instance: InstanceId,
    pub reason: String,
}

/// A decision with its reasons in words.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    pub at: Timestamp,
    /// Most important first.
    pub reasons: Vec<String>,
    #[serde(flatten)]
    pub decision: Decision,
}

impl From<&Record> for DecisionView {
    fn from(record: &Record) -> Self {
        Self { at: record.at, reasons: record.decision.reasons(), decision: record.decision.clone() }
    }
}
