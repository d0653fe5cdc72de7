//! `tidegate load URL`: open-loop load from a schedule.

use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

pub(crate) fn run(args: &tidegate_load::LoadArgs) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::environment)?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let interrupted = async {
            let signal = tokio::signal::ctrl_c().await;
            stop.cancel();
            signal
        };
        let load = tidegate_load::command::execute(args, stop.clone());
        tokio::pin!(load, interrupted);
        let outcome = tokio::select! {
            outcome = &mut load => outcome,
            _ = &mut interrupted => load.await, // It stops early, and still reports.
        };
        outcome.map_err(|error| {
            let input = error.exit_code() == 1;
            if input { Failure::input(error) } else { Failure::environment(error) }
        })
    })
}
