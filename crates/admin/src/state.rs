//! What the handlers look at.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tidegate_control::{Handle, View, view::FleetView};
use tidegate_core::Telemetry;

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) control: Handle,
    pub(crate) telemetry: Arc<Telemetry>,
    draining: Arc<AtomicBool>,
}

impl State {
    pub(crate) fn new(control: Handle, telemetry: Arc<Telemetry>) -> Self {
        Self { control, telemetry, draining: Arc::default() }
    }

    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.control.view()
    }
}

/// The fleet of that name.
pub(crate) fn find<'a>(view: &'a View, name: &str) -> Option<&'a FleetView> {
    view.fleets.iter().map(Arc::as_ref).find(|fleet| fleet.name.as_str() == name)
}
