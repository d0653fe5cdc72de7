//! Runs gateway and tour side by side, and prints what it came to.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    thread,
};

use anyhow::anyhow;
use tokio::{runtime::Builder, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{Options, Summary, source, tour};
use crate::{
    exit::Failure,
    gateway::{Errand, Gateway},
    logging,
};

/// Takes the tour on ports that are free.
pub(crate) fn run(options: Options, state_dir: Option<PathBuf>) -> Result<(), Failure> {
    // The tour shows what matters; log lines would run across it.
    logging::start("error");
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let gateway = Gateway::start(source(free, free, options.duration), state_dir, None)?;
    let (address, admin) = (gateway.addresses()[0], gateway.admin_address());
    writeln!(io::stderr().lock(), "gateway http://{address}/   metrics http://{admin}/metrics")
        .map_err(Failure::environment)?;
    let (handle, stop) = (gateway.handle(), CancellationToken::new());
    let (done, finished) = oneshot::channel();
    let stopping = stop.clone();
    // On a thread of its own, so that sending load never delays the control plane.
    let guide = thread::Builder::new().name("tour".into()).spawn(move || {
        let outcome = take(address, &handle, options, stopping);
        // With the gateway gone already nobody waits for this.
        let _ = done.send(());
        outcome
    });
    let guide = guide.map_err(Failure::environment)?;
    gateway.run(Some(Errand { finished, stop }))?;
    let outcome = guide.join().map_err(|_| Failure::Environment(anyhow!("the tour panicked")))?;
    let summary = outcome.map_err(Failure::Environment)?;
    summary.write(options.format, io::stdout().lock()).map_err(Failure::environment)
}

fn take(
    gateway: SocketAddr,
    handle: &tidegate_control::Handle,
    options: Options,
    stop: CancellationToken,
) -> anyhow::Result<Summary> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(tour(gateway, || handle.view(), options, stop))?)
}
