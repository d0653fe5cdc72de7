//! Turns what the source holds into the next snapshot, or keeps the one in use.

use std::sync::Arc;

use tidegate_config::{Diagnostic, Severity};
use tidegate_core::{
    Snapshot,
    snapshot::{Address, Admin, Run, Workers},
};

use crate::{
    clock::Moment,
    source::{Broken, ConfigSource, Loaded, Source},
    view::{ConfigView, ReloadView, Reloads},
};

/// Loads configurations, and remembers how that went.
#[derive(Debug)]
pub(super) struct Loader {
    source: Source,
    /// Scripts of the running configuration that do not work.
    broken: Broken,
    /// What the process was started with and cannot change while it runs.
    fixed: Fixed,
    status: ConfigView,
}

/// The parts of a configuration that take effect only at the start.
#[derive(Debug, PartialEq)]
struct Fixed {
    /// Their addresses, and whether clients speak TLS there.
    listeners: Vec<(Address, bool)>,
    admin: Admin,
    workers: Workers,
}

impl Fixed {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            listeners: snapshot
                .listeners
                .iter()
                .map(|one| (one.address.clone(), one.tls.is_some()))
                .collect(),
            admin: snapshot.admin.clone(),
            workers: snapshot.workers,
        }
    }

    fn changed(&self, new: &Self) -> Vec<&'static str> {
        let parts = [
            ("listeners", self.listeners != new.listeners),
            ("admin", self.admin != new.admin),
            ("workers", self.workers != new.workers),
        ];
        parts.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect()
    }
}

impl Loader {
    /// The first configuration. It has to be right, but for scripts that only some requests need: these requests are
    /// refused, while a gateway that does not start would refuse all of them.
    pub(super) fn load(origin: ConfigSource) -> Result<(Self, Arc<Snapshot>), Vec<Diagnostic>> {
        let mut source = Source::new(origin);
        let Loaded { snapshot, diagnostics, broken } = source.load();
        let Some(mut snapshot) = snapshot else {
            return Err(diagnostics);
        };
        log(&diagnostics);
        warn(&broken);
        snapshot.generation = 1;
        let status = ConfigView {
            generation: 1,
            loaded_at: Moment::now().time,
            reloads: Reloads::default(),
            last_error_at: None,
            last_reload: None,
            needs_restart: Vec::new(),
        };
        Ok((Self { source, broken, fixed: Fixed::of(&snapshot), status }, Arc::new(snapshot)))
    }

    /// Whether the files have changed since they were loaded.
    pub(super) fn changed(&mut self) -> bool {
        self.source.changed()
    }

    /// Loads again. `None`: what there is cannot be used, and `running` stays. So it does when a script does not work that
    /// is not among those which did not work before.
    pub(super) fn reload(&mut self, running: &Snapshot) -> Option<Arc<Snapshot>> {
        let Loaded { snapshot, diagnostics, broken } = self.source.load();
        // What was read is garbage now, and that may be a lot.
        tidegate_lua::give_back();
        log(&diagnostics);
        let snapshot = snapshot.filter(|_| broken.is_subset(&self.broken));
        let at = Moment::now().time;
        let diagnostics = diagnostics.into();
        self.status.last_reload = Some(ReloadView { at, ok: snapshot.is_some(), diagnostics });
        let Some(mut snapshot) = snapshot else {
            self.status.reloads.failed += 1;
            self.status.last_error_at = Some(at);
            tracing::error!(generation = running.generation, "configuration refused; the running one stays");
            return None;
        };
        warn(&broken);
        self.broken = broken;
        snapshot.generation = running.generation + 1;
        if self.fixed.workers != snapshot.workers {
            // There are as many seats as before, so the fleet stays what it was.
            snapshot.fleets.retain(|_, fleet| fleet.run != Run::Node);
            let workers = running.fleets.iter().filter(|(_, fleet)| fleet.run == Run::Node);
            snapshot.fleets.extend(workers.map(|(name, fleet)| (name.clone(), fleet.clone())));
        }
        self.status.reloads.ok += 1;
        self.status.generation = snapshot.generation;
        self.status.loaded_at = at;
        self.status.needs_restart = self.fixed.changed(&Fixed::of(&snapshot));
        tracing::info!(generation = snapshot.generation, "configuration loaded");
        for part in &self.status.needs_restart {
            tracing::warn!(%part, "changed, but takes effect only when the process starts anew");
        }
        Some(Arc::new(snapshot))
    }

    pub(super) fn status(&self) -> ConfigView {
        self.status.clone()
    }
}

fn warn(broken: &Broken) {
    if !broken.is_empty() {
        let count = broken.len();
        tracing::error!("{count} scripts do not work; requests that need one are refused until it does");
    }
}

fn log(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        match diagnostic.severity {
            Severity::Error => tracing::error!("{diagnostic}"),
            Severity::Warning => tracing::warn!("{diagnostic}"),
        }
    }
}
