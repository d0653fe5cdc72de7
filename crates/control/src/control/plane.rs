//! All fleets, each with its scaler and its observer, and the processes they consist of.

use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_core::{
    Endpoint, FleetId, InstanceId, Roster, RouteId, Snapshot, SourceId, Telemetry, Timestamp, UpstreamId,
    policy::Mode,
    snapshot::{self, UpstreamTarget},
};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::{
    havoc::Havoc,
    member::{Member, Step},
    reload::Loader,
};
use crate::{
    clock::Moment,
    driver::{Drivers, Duties, Event, Started, exec::Listed},
    fleet::{Action, Instance},
    handle::Shared,
    journal::{Entry, Standing, Writer, file::Round, history::Demand, recover::Recall},
    sources::Watched,
    template::Template,
    view::{RoundsView, View},
};

/// Events that may wait; an instance with more to say waits with it.
const EVENTS: usize = 1_024;

/// A round that begins so long after its time is late.
const LATE: Duration = Duration::from_millis(250);

/// Longest part of a fleet's name in the name of an instance: what a number leaves of 63 characters.
const FLEET_IN_ID: usize = 40;

#[derive(Debug)]
pub(super) struct Plane {
    pub(super) drivers: Drivers,
    sources: Watched,
    /// How much waits in them, as read last.
    waiting: BTreeMap<SourceId, f64>,
    telemetry: Arc<Telemetry>,
    writer: Option<Writer>,
    shared: Arc<Shared>,
    roster: watch::Sender<Arc<Roster>>,
    pub(super) tasks: TaskTracker,
    events: mpsc::Sender<Event>,
    pub(super) fleets: BTreeMap<FleetId, Member>,
    /// What the journal says of fleets that there were.
    recalls: BTreeMap<FleetId, Recall>,
    rounds: RoundsView,
    /// Instances started so far, all fleets together.
    launched: u64,
    /// Tells names that outlive this process from those of the next.
    began: Timestamp,
    pub(super) havoc: Havoc,
    /// The target of HPA's rule, if that decides.
    pub(super) hpa: Option<f64>,
    stopping: bool,
    /// What is shown is out of date.
    pub(super) dirty: bool,
}

impl Plane {
    pub(super) fn new(
        drivers: Drivers,
        sources: Watched,
        telemetry: Arc<Telemetry>,
        (writer, recalls): (Option<Writer>, BTreeMap<FleetId, Recall>),
        shared: Arc<Shared>,
        roster: watch::Sender<Arc<Roster>>,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let plane = Self {
            drivers,
            sources,
            waiting: BTreeMap::new(),
            telemetry,
            writer,
            shared,
            roster,
            tasks: TaskTracker::new(),
            events,
            fleets: BTreeMap::new(),
            recalls,
            rounds: RoundsView::default(),
            launched: 0,
            began: Moment::now().time,
            havoc: Havoc::default(),
            hpa: None,
            stopping: false,
            dirty: true,
        };
        (plane, receiver)
    }

    /// Takes over a configuration: fleets appear, change, and leave.
    pub(super) fn configure(&mut self, snapshot: &Snapshot) {
        let now = Moment::now();
        let shared = Arc::clone(&self.shared);
        self.sources.configure(&snapshot.sources, Arc::new(move || shared.wake.notify_one()));
        self.havoc.allowed = snapshot.chaos;
        for (name, fleet) in &snapshot.fleets {
            let template = Template::new(fleet, snapshot);
            let (recalls, hpa) = (&mut self.recalls, self.hpa);
            let member = self.fleets.entry(name.clone()).or_insert_with(|| {
                let mut member = Member::new(name, fleet, template.clone(), now, recalls.remove(name));
                if let Some(target) = hpa {
                    member.follow_hpa(target);
                }
                member
            });
            member.configure(fleet, template);
            match &fleet.run {
                snapshot::Run::Exec(exec) => {
                    if self.drivers.attend(name, exec, &self.events, &self.tasks) {
                        member.fleet.await_list();
                    }
                }
                snapshot::Run::Lua(_)
                | snapshot::Run::Command(_)
                | snapshot::Run::Worker(_)
                | snapshot::Run::Node => member.fleet.need_no_list(),
            }
            member.observer.configure(name, snapshot, &self.telemetry);
            member.routes = leading_to(name, snapshot);
        }
        for (name, member) in &mut self.fleets {
            if !snapshot.fleets.contains_key(name) {
                member.fleet.remove(now.instant);
            }
        }
        self.touch_all();
    }

    /// What is shown of a fleet is out of date.
    fn touch(&mut self, name: &FleetId) {
        self.dirty = true;
        self.fleets.get_mut(name).into_iter().for_each(Member::touch);
    }

    pub(super) fn touch_all(&mut self) {
        self.dirty = true;
        self.fleets.values_mut().for_each(Member::touch);
    }

    /// Takes what happened to an instance.
    pub(super) fn on(&mut self, event: Event) {
        let now = Moment::now();
        match event {
            Event::Ready { fleet, id, address } => {
                let Some(member) = self.fleets.get_mut(&fleet) else {
                    return;
                };
                if let Some(took) = member.fleet.ready(&id, address, now.instant) {
                    tracing::info!(%fleet, instance = %id, %address, took_ms = took.as_millis(), "ready");
                    member.observer.started(took);
                }
                self.touch(&fleet);
            }
            Event::Status { fleet, id, status } => {
                if let Some(member) = self.fleets.get_mut(&fleet) {
                    member.observer.reported(&id, status, now.instant);
                }
            }
            Event::Exited { fleet, id, reason } => self.exited(&fleet, &id, reason, now),
            Event::Listed { fleet, revision, instances } => self.listed(&fleet, &revision, instances, now),
            Event::Unlisted { fleet, reason } => {
                if let Some(member) = self.fleets.get_mut(&fleet) {
                    member.fleet.failed_to_list(reason, now);
                }
                self.touch(&fleet);
            }
        }
    }

    /// Takes over what is there and was not known, and drains what will be taken away.
    fn listed(&mut self, name: &FleetId, revision: &str, listed: Vec<Listed>, now: Moment) {
        if self.stopping {
            return;
        }
        let Some(member) = self.fleets.get_mut(name) else {
            return;
        };
        let (found, actions) = member.fleet.listed(listed, revision, now);
        if !found.is_empty() || !actions.is_empty() {
            self.touch(name);
        }
        self.publish();
        for one in found {
            let id = one.id.clone();
            tracing::info!(fleet = %name, instance = %id, endpoint = one.endpoint.map(tracing::field::display), "found");
            let started = self.duties(name, &id).and_then(|duties| self.drivers.take_over(duties, one));
            self.begin(name, &id, started);
        }
        for action in actions {
            if let Action::Drain(id) = action {
                tracing::info!(fleet = %name, instance = %id, "will be taken away before it is ready");
                self.drain(name, &id);
            }
        }
    }

    pub(super) fn exited(&mut self, fleet: &FleetId, id: &InstanceId, reason: String, now: Moment) {
        let Some(member) = self.fleets.get_mut(fleet) else {
            return;
        };
        let wanted = member.fleet.instance(id).is_some_and(Instance::is_active);
        if wanted {
            tracing::warn!(%fleet, instance = %id, %reason, "failed");
        } else {
            tracing::info!(%fleet, instance = %id, %reason, "gone");
        }
        member.fleet.exited(id, reason, now);
        self.touch(fleet);
    }

    /// Counts requests in flight.
    pub(super) fn sample(&mut self) {
        self.fleets.values_mut().for_each(|member| member.observer.sample(&member.fleet));
    }

    /// Observes and decides, for each fleet. It should have begun `lag` ago.
    pub(super) fn step(&mut self, lag: Duration) {
        let began = Instant::now();
        self.decide();
        self.touch_all();
        self.rounds = RoundsView {
            count: self.rounds.count + 1,
            late: self.rounds.late + u64::from(lag > LATE),
            lag_seconds: lag.as_secs_f64(),
            seconds: began.elapsed().as_secs_f64(),
        };
    }

    /// Decides at once upon fleets for which work waits and which have no instance.
    pub(super) fn wake(&mut self) {
        let now = Moment::now();
        self.waiting = self.sources.waiting(now.instant);
        self.decide_with(|member, waiting, fleets, journal| member.wake(now, waiting, fleets, journal));
        self.touch_all();
    }

    fn decide(&mut self) {
        self.waiting = self.sources.waiting(Instant::now());
        let blind = self.havoc.is_blind();
        if blind {
            self.waiting.clear();
        }
        self.decide_with(|member, waiting, fleets, journal| {
            Some(member.step(Moment::now(), waiting, blind, fleets, journal))
        });
    }

    /// Takes each fleet's step, if it takes one, and keeps what came of it.
    fn decide_with(
        &mut self,
        step: impl Fn(&mut Member, &BTreeMap<SourceId, f64>, usize, Standing) -> Option<Step>,
    ) {
        let standing = self.writer.as_ref().map(Writer::standing).unwrap_or_default();
        let fleets = self.fleets.len();
        let mut journal = self.shared.journal();
        let mut round = Round::default();
        for (name, member) in &mut self.fleets {
            if member.fleet.is_removed() {
                continue;
            }
            let taken = step(member, &self.waiting, fleets, standing);
            let Some(Step { record, page }) = taken else { continue };
            if page.decision.changes() {
                let (desired, previous) = (page.decision.desired, page.decision.previous);
                let reason = page.decision.reasons().into_iter().next().unwrap_or_default();
                let mode = if page.mode == Mode::Act { "act" } else { "recommend" };
                tracing::info!(fleet = %name, mode, desired, previous, reason, "scaled");
            }
            if self.writer.is_some() {
                let rate = page.observed.metrics.arrival_rate;
                round.demand.extend(rate.map(|rate| Demand { fleet: name.clone(), at: page.at, rate }));
                round.entries.push(Entry { fleet: name.clone(), record });
            }
            journal.append(name, page);
        }
        drop(journal);
        if let Some(writer) = &self.writer {
            writer.write(round);
        }
    }

    /// Does what is due, and shows it.
    pub(super) fn settle(&mut self, loader: &Loader) {
        let now = Moment::now();
        self.start_late();
        let mut actions = Vec::new();
        for (name, member) in &mut self.fleets {
            let (launched, driven) = (&mut self.launched, member.fleet.is_driven());
            let todo = member.fleet.reconcile(now, |fleet| {
                *launched += 1;
                if driven { lasting_id(fleet, self.began, *launched) } else { instance_id(fleet, *launched) }
            });
            if !todo.is_empty() {
                member.touch();
            }
            actions.extend(todo.into_iter().map(|action| (name.clone(), action)));
        }
        self.dirty |= !actions.is_empty();
        self.forget_gone();
        // Also without anything to do: an instance may have been taken back.
        if self.publish() {
            self.touch_all();
        }
        for (fleet, action) in actions {
            match action {
                Action::Start(id) if self.havoc.put_off(&fleet, &id) => {}
                Action::Start(id) => self.start(&fleet, &id),
                Action::Drain(id) => self.drain(&fleet, &id),
            }
        }
        if mem::take(&mut self.dirty) {
            self.show(loader);
        }
    }

    /// Drains everything; [`is_empty`](Self::is_empty) when that is done.
    pub(super) fn stop(&mut self, loader: &Loader) {
        self.stopping = true;
        self.drivers.leave(self.shared.is_entrusted());
        self.give_up_late();
        // The next process goes on from here.
        self.fleets.values_mut().for_each(Member::will_end);
        self.decide();
        let mut actions = Vec::new();
        for (name, member) in &mut self.fleets {
            actions.extend(member.fleet.stop().into_iter().map(|action| (name.clone(), action)));
        }
        self.publish();
        for (fleet, action) in actions {
            if let Action::Drain(id) = action {
                self.drain(&fleet, &id);
            }
        }
        self.touch_all();
        self.show(loader);
    }

    /// Takes what happened to an instance while everything is being stopped.
    pub(super) fn on_while_stopping(&mut self, event: Event, loader: &Loader) {
        self.on(event);
        self.show(loader);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fleets.values().all(|member| member.fleet.instances().is_empty())
    }

    pub(super) fn start(&mut self, name: &FleetId, id: &InstanceId) {
        let taken: Vec<_> = self
            .fleets
            .values()
            .flat_map(|member| member.fleet.instances())
            .filter_map(|instance| instance.address)
            .collect();
        let Some(duties) = self.duties(name, id) else {
            return;
        };
        match self.drivers.start(duties, &taken) {
            Ok(started) => self.begin(name, id, Some(started)),
            Err(error) => self.exited(name, id, format!("cannot be started: {error}"), Moment::now()),
        }
    }

    /// What whoever looks after an instance has to know.
    fn duties(&self, name: &FleetId, id: &InstanceId) -> Option<Duties> {
        let fleet = &self.fleets.get(name)?.fleet;
        let instance = fleet.instance(id)?;
        Some(Duties {
            fleet: name.clone(),
            id: id.clone(),
            template: fleet.template(instance),
            pool: instance.pool.clone(),
            load: Arc::clone(&instance.load),
            departure: instance.departure.clone(),
            events: self.events.clone(),
        })
    }

    fn begin(&mut self, name: &FleetId, id: &InstanceId, started: Option<Started>) {
        let Some(started) = started else { return };
        let instance = self.fleets.get_mut(name).and_then(|member| member.fleet.instance_mut(id));
        if let Some(instance) = instance {
            instance.pid = started.pid;
            instance.address = started.address;
            instance.reports_status = started.reports_status;
        }
        self.tasks.spawn(started.life);
    }

    pub(super) fn drain(&mut self, fleet: &FleetId, id: &InstanceId) {
        if let Some(instance) = self.fleets.get(fleet).and_then(|member| member.fleet.instance(id)) {
            instance.departure.ask();
        }
    }

    fn forget_gone(&mut self) {
        let (shared, drivers) = (&self.shared, &mut self.drivers);
        self.fleets.retain(|name, member| {
            let gone = member.fleet.gone();
            if gone {
                tracing::info!(fleet = %name, "removed");
                shared.journal().remove(name);
                drivers.forget(name);
            }
            !gone
        });
    }

    /// Publishes who can serve, if that has changed; says whether it has.
    pub(super) fn publish(&self) -> bool {
        self.roster.send_if_modified(|roster| {
            let changed = !self.is_current(roster);
            if changed {
                *roster = Arc::new(self.make_roster());
            }
            changed
        })
    }

    fn make_roster(&self) -> Roster {
        let listed = self.fleets.iter().filter(|(_, member)| member.is_listed());
        let mut new = roster(listed.map(|(name, member)| (name, member.fleet.endpoints())));
        let turns =
            |(name, member): (&FleetId, &Member)| Some((name.clone(), Arc::clone(member.fleet.turns()?)));
        new.turns = self.fleets.iter().filter_map(turns).collect();
        new
    }

    /// Whether `roster` is what a new one would be: the same instances, and of the same fleets those that wait for a place.
    /// Asked all the time, and mostly so.
    fn is_current(&self, roster: &Roster) -> bool {
        let listed = self.fleets.iter().filter(|(_, member)| member.is_listed());
        let turns = self.fleets.values().filter_map(|member| member.fleet.turns());
        roster.fleets.len() == listed.clone().count()
            && roster.fleets.iter().zip(listed).all(|((old, endpoints), (name, member))| {
                let serving = member.fleet.serving().map(|(instance, _)| &instance.id);
                old == name && endpoints.iter().map(|endpoint| &endpoint.id).eq(serving)
            })
            && roster.turns.values().map(Arc::as_ptr).eq(turns.map(Arc::as_ptr))
    }

    fn show(&mut self, loader: &Loader) {
        let now = Moment::now();
        self.shared.show(View {
            at: now.time,
            stopping: self.stopping,
            config: loader.status(),
            chaos: self.havoc.allowed,
            fleets: self.fleets.values_mut().map(|member| member.shown(now)).collect(),
            sources: self.sources.view(now.instant),
            journal_lost: self.writer.as_ref().map_or(0, Writer::lost),
            rounds: self.rounds,
        });
    }
}

/// A roster of these fleets.
pub(super) fn roster<'a>(fleets: impl Iterator<Item = (&'a FleetId, Arc<[Endpoint]>)>) -> Roster {
    let fleets = fleets.map(|(name, endpoints)| (name.clone(), endpoints)).collect();
    Roster { fleets, ..Roster::default() }
}

/// `orders-19ac0e4f2b1-17`, with the millisecond in which this process began: such names are seen by others, and by the next
/// gateway.
fn lasting_id(fleet: &FleetId, began: Timestamp, number: u64) -> InstanceId {
    let name: String = fleet.as_str().chars().take(FLEET_IN_ID).collect();
    InstanceId::new(&format!("{name}-{:x}-{number}", began.as_micros() / 1_000))
        .expect("a part of a name, '-' and digits are a name")
}

/// `orders-17`. The number alone is unique already.
fn instance_id(fleet: &FleetId, number: u64) -> InstanceId {
    let name: String = fleet.as_str().chars().take(FLEET_IN_ID).collect();
    InstanceId::new(&format!("{name}-{number}")).expect("a part of a name, '-' and digits are a name")
}

/// The routes whose requests a fleet serves.
fn leading_to(fleet: &FleetId, snapshot: &Snapshot) -> Vec<RouteId> {
    let leads = |upstream: &UpstreamId| {
        let target = snapshot.upstreams.get(upstream).map(|upstream| &upstream.target);
        target.is_some_and(|target| *target == UpstreamTarget::Fleet(fleet.clone()))
    };
    let routes = snapshot.routes.iter().filter(|route| route.upstream.as_ref().is_some_and(leads));
    routes.map(|route| route.name.clone()).collect()
}
