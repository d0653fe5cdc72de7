//! What the control plane shows of itself.
//!
//! A [`View`] is made after every change and every second, and replaced as a whole: whoever reads one
//! never waits for the control plane, and sees one moment of it. Between seconds only those fleets are made anew that changed.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use serde::{Serialize, Serializer};
use tidegate_config::Diagnostic;
use tidegate_core::{FleetId, InstanceId, PoolId, RouteId, SourceId, Timestamp, policy::Mode};
use tidegate_scaler::{
    Decision, Learned, Observed, Outlook,
    observed::{Instances, Metrics},
    record::Account,
};

use crate::{instance::protocol::MessageCounts, journal::Page};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub at: Timestamp,
    /// Every instance is being stopped.
    pub stopping: bool,
    pub config: ConfigView,
    /// Whether things may be made to go wrong.
    pub chaos: bool,
    /// By name.
    pub fleets: Vec<Arc<FleetView>>,
    /// By name.
    pub sources: Vec<SourceView>,
    /// Journal entries that could not be written to disk.
    pub journal_lost: u64,
    pub rounds: RoundsView,
}

/// What is known of an event source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceView {
    pub name: SourceId,
    /// `redis`, `nats`, …
    pub system: &'static str,
    /// What is asked about, and where.
    pub of: String,
    /// How much waits. `None`: it is not known, or was for too long.
    pub value: Option<f64>,
    /// `ok`; `failing`: the last reading failed and the one before counts; `unknown`; `starting`.
    pub state: &'static str,
    /// How old the last reading is. `None` before there was any.
    pub age_seconds: Option<f64>,
    /// Why the last reading failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub polls: u64,
    pub failures: u64,
}

/// How the loop that decides keeps up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoundsView {
    /// Rounds of decisions, one a second.
    pub count: u64,
    /// Those that began more than a quarter of a second after their time.
    pub late: u64,
    /// How long after its time the last one began.
    pub lag_seconds: f64,
    /// How long it took.
    pub seconds: f64,
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
    /// Whether what is decided is done.
    pub mode: Mode,
    pub desired: u32,
    /// What the policy decided last: with `mode: recommend` it is not done.
    pub recommended: u32,
    pub min: u32,
    pub max: u32,
    /// How many requests an instance gets at a time, where that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
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
    /// What is known of an instance.
    pub learned: Learned,
    /// Whether forecasts are believed, for each `forecast` trigger that has seen something.
    pub forecasts: Vec<Outlook>,
    /// The policy that is only asked.
    pub candidate: Option<CandidateView>,
    pub cost: CostView,
    /// The routes that lead to it.
    pub routes: Vec<RouteId>,
    /// Where instances come from, if that matters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetView>,
    /// How long instances take to start, as the scaler reckons. `None` before any did.
    pub start_up_seconds: Option<f64>,
    /// Time that instances ran, all together, from launch until gone.
    pub instance_seconds: f64,
    /// Decisions that changed the count.
    pub changes: u64,
    /// What became of messages, of a fleet that works on some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<MessageCounts>,
    /// Instances that were started in place of one that failed.
    pub restarts: u64,
    pub last_failure: Option<FailureView>,
}

/// A policy beside the one that acts.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateView {
    pub desired: u32,
    pub min: u32,
    pub max: u32,
    /// Its newest decision.
    pub last_step: Option<DecisionView>,
    /// Its decisions that changed its count.
    pub changes: u64,
}

/// What a fleet has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostView {
    pub since: Timestamp,
    pub instance_hours: f64,
    /// In US dollars, where there is a price.
    pub usd: Option<f64>,
    /// What as many instances as were wanted would have cost on demand.
    pub on_demand_usd: Option<f64>,
    /// What a fleet would have cost that always had as many instances as were wanted at the peak, on demand.
    pub fixed_instance_hours: f64,
    pub fixed_usd: Option<f64>,
    /// What an instance costs on demand in an hour, in US dollars.
    pub price: Option<f64>,
    /// Requests that arrived meanwhile.
    pub requests: f64,
    pub usd_per_million_requests: Option<f64>,
    /// In this month of the calendar, in UTC.
    pub month_usd: Option<f64>,
    /// What HPA's rule at 70 % would have kept, where utilization says what the fleet needs, and what the candidate would have.
    pub hpa_instance_hours: Option<f64>,
    pub candidate_instance_hours: Option<f64>,
    /// What the candidate would have cost, and with `mode: recommend` what was recommended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommended_usd: Option<f64>,
}

/// One source of instances.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolView {
    pub name: PoolId,
    /// `onDemand`, `spot` or `reserved`.
    pub kind: &'static str,
    /// US dollars for an hour of an instance.
    pub price: f64,
    pub desired: u32,
    pub starting: u32,
    pub ready: u32,
}

/// How far a budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetView {
    pub monthly_usd: f64,
    pub spent_usd: f64,
    /// Whether so much is spent that there is an alarm.
    pub alarm: bool,
    /// Whether all is.
    pub spent: bool,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    pub id: InstanceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
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

/// A decision. Whoever reads it gets the reasons in words, which are written then: most decisions nobody reads.
#[derive(Debug, Clone)]
pub struct DecisionView {
    pub at: Timestamp,
    pub decision: Arc<Decision>,
}

impl Serialize for DecisionView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct WithReasons<'a> {
            at: Timestamp,
            /// Most important first.
            reasons: Vec<String>,
            #[serde(flatten)]
            decision: &'a Decision,
        }
        let Self { at, decision } = self;
        WithReasons { at: *at, reasons: decision.reasons(), decision }.serialize(serializer)
    }
}

/// A decision with what led to it, what others would have decided, and what it all cost.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecidedView {
    #[serde(flatten)]
    pub decision: DecisionView,
    pub mode: Mode,
    pub observed: Observed,
    /// What the candidate decided.
    pub candidate: Option<DecisionView>,
    /// Up to then.
    pub cost: CostView,
}

impl From<&Page> for DecidedView {
    fn from(page: &Page) -> Self {
        let decision =
            |decision: &Arc<Decision>| DecisionView { at: page.at, decision: Arc::clone(decision) };
        Self {
            decision: decision(&page.decision),
            mode: page.mode,
            observed: page.observed.clone(),
            candidate: page.candidate.as_ref().map(decision),
            cost: page.account.into(),
        }
    }
}

/// What is known about decisions: those that were asked for, newest first, and when the first and the last
/// known one was made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionsView {
    pub items: Vec<DecidedView>,
    pub known: Option<Range>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl From<Account> for CostView {
    fn from(account: Account) -> Self {
        let hours = |seconds: f64| seconds / 3_600.0;
        let fixed = hours(account.seconds * f64::from(account.peak));
        Self {
            since: account.since,
            instance_hours: hours(account.instance_seconds),
            usd: account.usd,
            on_demand_usd: account.on_demand_usd,
            fixed_instance_hours: fixed,
            fixed_usd: account.on_demand_price.map(|price| fixed * price),
            price: account.on_demand_price,
            requests: account.requests,
            usd_per_million_requests: account
                .usd
                .filter(|_| account.requests >= 1.0)
                .map(|usd| usd / account.requests * 1e6),
            month_usd: account.month.map(|month| month.usd),
            hpa_instance_hours: account.hpa().map(hours),
            candidate_instance_hours: account.candidate_instance_seconds.map(hours),
            candidate_usd: account.candidate_usd,
            recommended_usd: account.recommended_usd,
        }
    }
}
