//! Instances that are threads of this process.

use std::net::SocketAddr;

use tidegate_control::{InstanceSpec, ThreadHost, ThreadInstance, instance::protocol::Status};

use super::app::App;

/// Starts them.
#[derive(Debug)]
pub(crate) struct Threads;

impl ThreadHost for Threads {
    fn start(&self, spec: InstanceSpec) -> Result<Box<dyn ThreadInstance>, String> {
        match App::start(&spec) {
            Ok(app) => Ok(Box::new(Thread(app))),
            Err(error) => Err(format!("{error:#}")),
        }
    }
}

struct Thread(App);

impl ThreadInstance for Thread {
    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn status(&self) -> Status {
        self.0.meter().status()
    }

    fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    fn end(self: Box<Self>) {
        self.0.end();
    }
}
