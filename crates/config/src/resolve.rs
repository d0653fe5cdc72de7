//! Raw values → [`Snapshot`]: what only several values together can get wrong.
//!
//! Names are looked up, bounds compared, scripts read, patterns compiled. Every check runs, also when
//! another part of the file is broken; what was reported while decoding is passed over in silence. So
//! functions compute all their parts before the first `?`.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::Path,
};

use tidegate_core::{
    FleetId, RouteId, Snapshot, SourceId, UpstreamId,
    snapshot::{self, Address, Answers, ErrorLog, Limits, LogOutput, StateFiles, Timeouts},
};

use crate::{
    decode::{Field, Located},
    nearest::{list, suggestion},
    raw,
    report::{Place, Report, quote},
    resolve::{regexes::Regexes, scripts::Scripts},
};

pub(crate) mod bands;
mod fleet;
mod listener;
mod lua;
pub(crate) mod programs;
mod regexes;
mod route;
pub(crate) mod scenario;
mod scripts;
mod source;
mod unused;
mod workers;

/// Access to one file by its path.
pub(crate) type Read<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Where state is kept, beside the configuration.
const STATE: &str = ".tidegate";

/// What the checks share.
struct Resolver<'a, 'r> {
    raw: &'a raw::File,
    report: &'a mut Report<'r>,
    scripts: Scripts<'a>,
    regexes: Regexes,
    /// What can be referred to; `None` when the section as a whole is broken.
    fleets: Option<BTreeSet<&'a FleetId>>,
    upstreams: Option<BTreeSet<&'a UpstreamId>>,
    route_names: Option<BTreeSet<&'a RouteId>>,
    source_names: Option<BTreeSet<&'a SourceId>>,
}

/// Checks everything; `None` exactly when `report` has errors.
pub(crate) fn snapshot(
    raw: &raw::File,
    file: &str,
    read: Read<'_>,
    why_not: programs::WhyNot<'_>,
    report: &mut Report<'_>,
) -> Option<Snapshot> {
    let mut resolver = Resolver {
        raw,
        report,
        scripts: Scripts::new(file, read),
        regexes: Regexes::default(),
        fleets: raw.fleets.value().map(|fleets| fleets.names().collect()),
        upstreams: raw.upstreams.value().map(|upstreams| upstreams.names().collect()),
        source_names: raw.sources.value().map(|sources| sources.names().collect()),
        route_names: raw.routes.value().map(|routes| {
            let routes = routes.0.iter().filter_map(|route| route.value.as_ref());
            routes.filter_map(|route| route.name.value()).collect()
        }),
    };
    let snapshot = resolver.snapshot(file);
    let snapshot = snapshot.filter(|_| !report.has_errors())?;
    unused::warn(raw, &snapshot, report);
    programs::warn(raw, why_not, report);
    Some(snapshot)
}

impl Resolver<'_, '_> {
    fn snapshot(&mut self, file: &str) -> Option<Snapshot> {
        let raw = self.raw;
        let listeners = self.listeners();
        let admin = self.admin();
        let access_log = self.access_log();
        let state = self.state_files(file);
        let error_log = raw.error_log.value().and_then(|log| self.error_log(log));
        let answers = raw.answers.value().and_then(|answers| self.answers(answers));
        let timeouts = raw.timeouts.value().and_then(timeouts);
        let limits = raw.limits.value().and_then(limits);
        let trusted_proxies = raw.trusted_proxies.value().and_then(|list| list.resolve(|net, _| Some(*net)));
        let lua = raw.lua.value().and_then(|lua| self.lua(lua));
        let vars = raw.vars.value().and_then(|vars| self.vars(vars));
        let sources = raw.sources.value();
        let sources = sources.and_then(|all| all.resolve(|name, place, raw| self.source(name, place, raw)));
        let fleets =
            raw.fleets.value().and_then(|fleets| fleets.resolve(|name, _, raw| self.fleet(name, raw)));
        let workers = raw.workers.value().and_then(|workers| self.workers(workers));
        let upstreams = raw.upstreams.value();
        let upstreams =
            upstreams.and_then(|all| all.resolve(|name, place, raw| self.upstream(name, place, raw)));
        let routes = self.routes();
        let (workers, as_fleet) = workers?;
        let mut fleets = fleets?;
        fleets.extend(as_fleet.map(|fleet| (fleet.name.clone(), fleet)));
        Some(Snapshot {
            generation: 1,
            listeners: listeners?,
            admin: admin?,
            workers,
            access_log: access_log?,
            error_log: error_log?,
            answers: answers?,
            state: state?,
            timeouts: timeouts?,
            limits: limits?,
            chaos: *raw.chaos.value()?.enabled.value()?,
            trusted_proxies: trusted_proxies?,
            lua: lua?,
            vars: vars?,
            sources: sources?,
            fleets,
            upstreams: upstreams?,
            routes: routes?,
        })
    }

    fn listeners(&mut self) -> Option<Vec<snapshot::Listener>> {
        let Located { value: listeners, place } = self.raw.listeners.given()?;
        if listeners.is_empty() {
            self.report.error(*place, "no listeners", "add one, like `{ address: 0.0.0.0:8000 }`");
        }
        let mut seen = HashMap::new();
        listeners.resolve(|listener, _| {
            let tls = self.server_tls(listener);
            let Located { value: address, place } = listener.address.given()?;
            let address = match address {
                Address::Ip(address) => Address::Ip(*address),
                Address::Unix(path) => Address::Unix(self.scripts.locate(path).into()),
            };
            self.distinct(&address, *place, &mut seen);
            Some(snapshot::Listener { address, tls: tls? })
        })
    }

    /// Reports an address that is taken. Port 0 is a different one each time.
    fn distinct(&mut self, address: &Address, place: Place, seen: &mut HashMap<Address, usize>) {
        match seen.insert(address.clone(), place.line) {
            Some(line) if address.ip().is_none_or(|address| address.port() != 0) => {
                let message = format!("two listeners have the address `{address}`");
                self.report.error(place, message, format!("the first is in line {line}; remove one"));
            }
            _ => {}
        }
    }

    fn admin(&mut self) -> Option<snapshot::Admin> {
        let Located { value: address, place } = *self.raw.admin.value()?.address.given()?;
        let listeners = self.raw.listeners.value();
        let mut listeners = listeners.iter().flat_map(|list| &list.0).filter_map(|item| item.value.as_ref());
        let same = |listener: &raw::Listener| listener.address.value() == Some(&Address::Ip(address));
        if address.port() != 0 && listeners.any(same) {
            let message = format!("`admin` and a listener have the address `{address}`");
            self.report.error(
                place,
                message,
                "give the Admin API an address of its own, like `127.0.0.1:9000`",
            );
        }
        Some(snapshot::Admin { address })
    }

    #[expect(clippy::option_option, reason = "no access log differs from a broken one")]
    fn access_log(&self) -> Option<Option<snapshot::AccessLog>> {
        let settings = match self.raw.access_log.value()? {
            raw::AccessLog::Off => return Some(None),
            raw::AccessLog::On(settings) => settings,
        };
        let output = match settings.file.optional()? {
            Some(file) => LogOutput::File(self.scripts.locate(&file.value.0)),
            None => LogOutput::Stdout,
        };
        Some(Some(snapshot::AccessLog { sample: settings.sample.value()?.0, output }))
    }

    #[expect(clippy::option_option, reason = "nothing to keep differs from a broken mapping")]
    fn state_files(&self, file: &str) -> Option<Option<StateFiles>> {
        let settings = match self.raw.state.value()? {
            raw::State::Off => return Some(None),
            raw::State::On(settings) => settings,
        };
        let path = match settings.path.optional()? {
            Some(path) => path.value.0.clone(),
            None => Path::new(STATE).join(Path::new(file).file_stem().unwrap_or_default()),
        };
        Some(Some(StateFiles {
            path: self.scripts.locate(&path),
            journal_bytes: settings.journal.value()?.0,
        }))
    }

    fn error_log(&self, raw: &raw::ErrorLog) -> Option<ErrorLog> {
        Some(ErrorLog {
            format: *raw.format.value()?,
            level: raw.level.optional()?.map(|level| level.value),
            file: raw.file.optional()?.map(|file| self.scripts.locate(&file.value.0)),
        })
    }

    fn answers(&mut self, raw: &raw::Answers) -> Option<Answers> {
        let Located { value: server, place } = raw.server.given()?;
        if server.0.bytes().any(|byte| byte != b' ' && !byte.is_ascii_graphic()) {
            let help = "use letters, digits and punctuation of ASCII";
            self.report.error(*place, "this cannot be a header", help);
            return None;
        }
        Some(Answers {
            server: server.0.clone(),
            errors: *raw.errors.value()?,
            shows_lua_errors: *raw.lua_errors.value()?,
            framing: *raw.framing.value()?,
        })
    }
}

fn timeouts(raw: &raw::Timeouts) -> Option<Timeouts> {
    Some(Timeouts {
        handshake: raw.handshake.value()?.0,
        header: raw.header.value()?.0,
        body_idle: raw.body_idle.value()?.0,
        send: raw.send.value()?.0,
        keep_alive: raw.keep_alive.value()?.0,
        connect: raw.connect.value()?.0,
        first_byte: raw.first_byte.value()?.0,
        upstream_idle: raw.upstream_idle.value()?.0,
        upstream_keep_alive: raw.upstream_keep_alive.value()?.0,
        tunnel_idle: raw.tunnel_idle.value()?.0,
        queue: raw.queue.value()?.0,
        drain: raw.drain.value()?.0,
    })
}

fn limits(raw: &raw::Limits) -> Option<Limits> {
    Some(Limits {
        header_bytes: raw.header_bytes.value()?.0 as usize,
        header_count: raw.header_count.value()?.0 as usize,
        uri_bytes: raw.uri_bytes.value()?.0 as usize,
        body_bytes: raw.body_bytes.value()?.0,
        response_header_bytes: raw.response_header_bytes.value()?.0 as usize,
        lua_body_bytes: raw.lua_body_bytes.value()?.0 as usize,
        client_body_buffer: raw.client_body_buffer.value()?.0 as usize,
        connections: raw.connections.value()?.0 as usize,
        upstream_idle_connections: raw.upstream_idle_connections.value()?.0 as usize,
        queue: raw.queue.value()?.0 as usize,
        queue_bytes: raw.queue_bytes.value()?.0 as usize,
    })
}

/// A name that can be referred to.
trait Name: Ord {
    const KIND: &'static str;
    const SECTION: &'static str;
    fn text(&self) -> &str;
}

impl Name for FleetId {
    const KIND: &'static str = "fleet";
    const SECTION: &'static str = "fleets";
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Name for RouteId {
    const KIND: &'static str = "route";
    const SECTION: &'static str = "routes";
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Name for SourceId {
    const KIND: &'static str = "source";
    const SECTION: &'static str = "sources";
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Name for UpstreamId {
    const KIND: &'static str = "upstream";
    const SECTION: &'static str = "upstreams";
    fn text(&self) -> &str {
        self.as_str()
    }
}

/// Reports a name that nothing has. What is defined with mistakes in it is defined.
fn look_up<N: Name>(name: &Located<N>, known: Option<&BTreeSet<&N>>, report: &mut Report<'_>) {
    let Located { value: name, place } = name;
    let Some(known) = known.filter(|known| !known.contains(name)) else {
        return;
    };
    report.error_with(*place, || {
        let names = || known.iter().map(|name| name.text());
        let message =
            format!("there is no {} {}{}", N::KIND, quote(name.text()), suggestion(name.text(), names()));
        let help = if known.is_empty() {
            format!("define it under `{}`", N::SECTION)
        } else {
            format!("`{}` defines {}", N::SECTION, list(names()))
        };
        (message, help)
    });
}

/// Reports `second` when both are given.
fn exclude<A, B>(first: (&str, &Field<A>), second: (&str, &Field<B>), report: &mut Report<'_>) {
    if let (Some(_), Some(given)) = (first.1.given(), second.1.given()) {
        let message = format!("`{}` and `{}` exclude each other", first.0, second.0);
        report.error(given.place, message, "remove one of them");
    }
}
