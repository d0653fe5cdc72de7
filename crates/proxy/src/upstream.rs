//! One worker's view of an upstream: its endpoints, unused connections, and how it has been doing.
//!
//! Endpoints of a fleet come with every new roster, those of a static upstream from name resolution.
//! An endpoint that stays keeps its connections. One that failed is passed over for a while, unless
//! there is no other; all workers learn that separately.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::ServerName;
use tidegate_core::{
    Endpoint,
    roster::{InFlight, Load},
    snapshot::{self, UpstreamTarget},
    telemetry::Series,
    turns::{Turn, Turns},
};
use tidegate_lua::KeepAlive;
use tidegate_traffic::{Balancer, RetryBudget};

use crate::{
    deadline::{Deadlines, TICK},
    hold::Hold,
    link::{Link, Terms},
    site,
    way::{self, Way},
};

/// First and longest span for which a failing endpoint is passed over; it doubles in between.
const DOWN_FIRST: Duration = Duration::from_millis(500);
const DOWN_LONGEST: Duration = Duration::from_secs(10);

/// Addresses beside the endpoints to which connections are kept.
const MOST_GUESTS: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) series: Arc<Series>,
    pub(crate) settings: RefCell<snapshot::Upstream>,
    state: RefCell<State>,
    /// How TLS is spoken with it, if it is.
    way: RefCell<Option<Arc<Way>>>,
    /// Requests that wait for an endpoint.
    pub(crate) hold: Hold,
    /// Static endpoints are being kept current.
    resolving: Cell<bool>,
    deadlines: Rc<Deadlines>,
}

#[derive(Debug)]
struct State {
    /// In the same order.
    endpoints: Vec<Endpoint>,
    members: Vec<Rc<Member>>,
    /// Where Lua has sent requests, besides.
    guests: HashMap<SocketAddr, Rc<Member>>,
    balancer: Balancer,
    budget: RetryBudget,
    /// Whose turn it is, where instances take only so many requests at a time.
    turns: Option<Arc<Turns>>,
}

/// An endpoint, and this worker's connections to it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: Endpoint,
    /// Who it is to TLS, once that has been asked.
    name: OnceCell<Arc<ServerName<'static>>>,
    /// Oldest first.
    idle: RefCell<Vec<Idle>>,
    failures: Cell<u32>,
    /// Tick until which it is passed over.
    down_until: Cell<u64>,
    /// No longer among the endpoints: nothing is kept for it.
    gone: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    kept: Kept,
    /// Tick.
    since: u64,
    /// Tick; none leaves it to the configuration.
    until: Option<u64>,
}

/// A connection that has carried requests, if any.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) link: Link,
    /// Where a script has it come from.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) requests: u32,
}

impl Upstream {
    pub(crate) fn new(
        settings: snapshot::Upstream,
        way: Option<Arc<Way>>,
        series: Arc<Series>,
        deadlines: Rc<Deadlines>,
        worker: usize,
    ) -> Self {
        let state = State {
            endpoints: Vec::new(),
            members: Vec::new(),
            guests: HashMap::new(),
            balancer: Balancer::new(settings.balance, worker),
            budget: RetryBudget::new(&settings.retry),
            turns: None,
        };
        Self {
            series,
            settings: RefCell::new(settings),
            way: RefCell::new(way),
            state: RefCell::new(state),
            hold: Hold::default(),
            resolving: Cell::new(false),
            deadlines,
        }
    }

    /// Takes over new settings; endpoints and connections stay.
    pub(crate) fn update(&self, settings: &snapshot::Upstream, way: Option<Arc<Way>>, worker: usize) {
        self.way.replace(way);
        let mut current = self.settings.borrow_mut();
        let mut state = self.state.borrow_mut();
        if current.balance != settings.balance {
            state.balancer = Balancer::new(settings.balance, worker);
        }
        if current.retry != settings.retry {
            state.budget = RetryBudget::new(&settings.retry);
        }
        *current = settings.clone();
    }

    /// What is agreed on with an endpoint that TLS is spoken with; `named` is what a script calls it.
    pub(crate) fn terms(&self, member: &Member, named: Option<&str>) -> Option<Terms> {
        let way = self.way.borrow();
        let way = way.as_ref()?;
        let named = named.and_then(|name| ServerName::try_from(name.to_owned()).ok()).map(Arc::new);
        let name = named.or_else(|| way.name.clone()).unwrap_or_else(|| Arc::clone(member.name()));
        Some(Terms::new(Arc::clone(&way.config), name))
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.way.borrow().is_some()
    }

    /// Whether somebody has to begin to find its static endpoints; only the first caller has.
    pub(crate) fn begin_resolving(&self) -> bool {
        !self.resolving.replace(true)
    }

    /// Whether nobody can serve before somebody is started.
    pub(crate) fn is_asleep(&self) -> bool {
        self.is_fleet() && self.state.borrow().endpoints.is_empty()
    }

    pub(crate) fn is_fleet(&self) -> bool {
        matches!(self.settings.borrow().target, UpstreamTarget::Fleet(_))
    }

    /// These, and no others, may get new requests. With `turns`, whoever waits for one of them waits there as well.
    pub(crate) fn set_endpoints(&self, endpoints: &[Endpoint], turns: Option<&Arc<Turns>>) {
        let mut state = self.state.borrow_mut();
        state.turns = turns.cloned();
        let mut known = std::mem::take(&mut state.members);
        state.endpoints = endpoints.to_vec();
        state.members = endpoints
            .iter()
            .map(|endpoint| {
                let same = |member: &Rc<Member>| {
                    member.endpoint.id == endpoint.id
                        && member.endpoint.address == endpoint.address
                        && member.endpoint.host == endpoint.host
                };
                match known.iter().position(same) {
                    Some(index) => known.swap_remove(index),
                    None => Rc::new(Member::new(endpoint.clone())),
                }
            })
            .collect();
        for member in known {
            member.gone.set(true);
            member.idle.borrow_mut().clear();
        }
        drop(state);
        self.hold.announce();
    }

    /// A place at an endpoint that is not among `tried`; at one that failed lately only if there is no other.
    pub(crate) fn pick(&self, tried: &[Rc<Member>]) -> Option<(Rc<Member>, InFlight)> {
        let now = self.deadlines.now();
        let State { endpoints, members, balancer, .. } = &mut *self.state.borrow_mut();
        let fresh = |index: usize| !tried.iter().any(|one| Rc::ptr_eq(one, &members[index]));
        let up = |index: usize| members[index].down_until.get() <= now && fresh(index);
        let has_room = |index: usize| endpoints[index].load.has_room();
        loop {
            // That all others are full is no reason to try one that failed.
            let down = || !(0..members.len()).any(up);
            let picked = balancer.pick(endpoints, |index| up(index) && has_room(index)).or_else(|| {
                balancer.pick(endpoints, |index| fresh(index) && has_room(index)).filter(|_| down())
            })?;
            // Another worker may have been quicker; then that one is full now.
            if let Some(in_flight) = endpoints[picked].load.try_begin() {
                return Some((Rc::clone(&members[picked]), in_flight));
            }
        }
    }

    /// A turn among those that wait for a place, if there is such an order.
    pub(crate) fn line_up(&self, priority: u8) -> Option<Turn> {
        self.state.borrow().turns.as_ref().map(|turns| turns.line_up(priority))
    }

    /// Whether a place may be taken by whoever has that turn, or none yet.
    pub(crate) fn is_turn_of(&self, turn: Option<&Turn>) -> bool {
        let state = self.state.borrow();
        state.turns.as_ref().is_none_or(|turns| turn.map_or_else(|| turns.is_empty(), Turn::is_first))
    }

    /// The endpoint of that address, or else a guest. Of guests, those give way that nobody uses.
    pub(crate) fn at(&self, address: SocketAddr) -> Rc<Member> {
        let State { members, guests, .. } = &mut *self.state.borrow_mut();
        let own = members.iter().find(|member| member.endpoint.address.ip() == Some(address));
        if let Some(known) = own.or_else(|| guests.get(&address)) {
            return Rc::clone(known);
        }
        let guest = Rc::new(Member::new(site::endpoint(address.into(), Arc::new(Load::default()))));
        if guests.len() >= MOST_GUESTS {
            guests.retain(|_, guest| Rc::strong_count(guest) > 1);
        }
        if guests.len() < MOST_GUESTS {
            guests.insert(address, Rc::clone(&guest));
        } else {
            guest.gone.set(true);
        }
        guest
    }

    /// A request was made.
    pub(crate) fn deposit(&self) {
        self.state.borrow_mut().budget.deposit();
    }

    /// Whether the budget allows one more retry.
    pub(crate) fn may_retry(&self) -> bool {
        self.state.borrow_mut().budget.withdraw(self.deadlines.elapsed())
    }

    pub(crate) fn failed(&self, member: &Member) {
        let failures = member.failures.get();
        let span = DOWN_FIRST.saturating_mul(1 << failures.min(10)).min(DOWN_LONGEST);
        member.failures.set(failures + 1);
        member.down_until.set(self.deadlines.now() + ticks(span));
        member.idle.borrow_mut().clear();
    }

    /// Keeps a connection for later, unless there are enough or it has served as long as it should.
    pub(crate) fn keep(&self, member: &Member, kept: Kept, most: usize, wish: Option<KeepAlive>) {
        member.failures.set(0);
        member.down_until.set(0);
        let mut idle = member.idle.borrow_mut();
        let spent = wish.is_some_and(|wish| wish.requests != 0 && kept.requests >= wish.requests);
        if !spent && !member.gone.get() && idle.len() < most {
            let since = self.deadlines.now();
            let span = wish.map(|wish| wish.idle).filter(|idle| !idle.is_zero());
            let until = span.map(|span| since.saturating_add(ticks(span)));
            idle.push(Idle { kept, since, until });
        }
    }

    /// Closes connections that have been unused for `span` or that the other side has closed.
    pub(crate) fn reap(&self, span: Duration) {
        let now = self.deadlines.now();
        let oldest = now.saturating_sub(ticks(span));
        let State { members, guests, .. } = &mut *self.state.borrow_mut();
        for member in members.iter().chain(guests.values()) {
            let wanted = |idle: &Idle| idle.until.map_or(idle.since >= oldest, |until| until >= now);
            member.idle.borrow_mut().retain(|idle| wanted(idle) && idle.kept.link.is_open());
        }
        guests.retain(|_, guest| Rc::strong_count(guest) > 1 || !guest.idle.borrow().is_empty());
    }
}

impl Member {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            name: OnceCell::new(),
            idle: RefCell::default(),
            failures: Cell::new(0),
            down_until: Cell::new(0),
            gone: Cell::new(false),
        }
    }

    fn name(&self) -> &Arc<ServerName<'static>> {
        self.name.get_or_init(|| Arc::new(way::name_of(&self.endpoint)))
    }

    /// Of those that these are the terms of, and that come from there if that matters, the connection that was used last and still stands.
    pub(crate) fn reuse(&self, terms: Option<&Terms>, local: Option<SocketAddr>) -> Option<Kept> {
        let mut idle = self.idle.borrow_mut();
        let suits = |Idle { kept, .. }: &Idle| kept.local == local && kept.link.suits(terms);
        loop {
            let last = idle.iter().rposition(suits)?;
            let Idle { kept, .. } = idle.remove(last);
            if kept.link.is_open() {
                return Some(kept);
            }
        }
    }
}

const fn ticks(span: Duration) -> u64 {
    (span.as_millis() / TICK.as_millis()) as u64
}
