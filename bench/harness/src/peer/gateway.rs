//! Tidegate with one worker, as `tidegate up` runs it: metrics, limits and timeouts on.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::Result;
use tidegate_testkit::Tidegate;

use super::{Files, Peer};

struct Gateway {
    tidegate: Tidegate,
    version: String,
}

/// Starts Tidegate with a listener, one worker, and what `rest` adds to its configuration.
pub fn gateway(binary: &Path, files: Files<'_>, rest: &str) -> Result<Box<dyn Peer>> {
    let config = format!(
        "listeners: [{{ address: '{{listen}}' }}]\nadmin: {{ address: '{{admin}}' }}\nworkers: 1\naccessLog: false\n{rest}"
    );
    let version = Command::new(binary).arg("--version").output()?;
    let mut setup = Tidegate::setup(binary);
    for (name, content) in files {
        setup = setup.file(name, content);
    }
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    Ok(Box::new(Gateway { tidegate: setup.start(&config), version }))
}

impl Peer for Gateway {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn addr(&self) -> SocketAddr {
        self.tidegate.addr()
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.tidegate.pid()]
    }

    fn server(&self) -> u32 {
        self.tidegate.pid()
    }
}
