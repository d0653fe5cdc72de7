//! `tidegate up`: gateway, scaler and control plane in one process.

use std::{path::PathBuf, time::Duration};

use tidegate_control::ConfigSource;

use crate::{cli::Format, demo, exit::Failure, gateway::Gateway, logging};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidegate up tidegate.yaml\n\nSignals: SIGTERM, SIGINT and SIGQUIT drain and exit, SIGHUP reloads, SIGUSR1 opens log files anew."
)]
pub(crate) struct Up {
    /// The configuration.
    #[arg(default_value = "tidegate.yaml")]
    file: PathBuf,
    /// Keep the journal and recorded demand in this folder, instead of where the file says.
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Who decides how many instances there are: the policies of the file, or HPA's rule (70 % of utilization, metrics that are
    /// 30 s old) in their place, to see what that would be like. It keeps at least one instance.
    #[arg(long, value_enum, default_value_t, conflicts_with = "demo")]
    policy: Decider,
    /// Take the tour: a built-in app, a day of demand in two minutes, and what the scaler makes of it.
    #[arg(long, conflicts_with = "file")]
    demo: bool,
    /// Seconds that the day of the tour takes.
    #[arg(long, hide = true, requires = "demo", value_parser = clap::value_parser!(u64).range(5..=3600))]
    demo_duration: Option<u64>,
    /// How the tour prints its summary.
    #[arg(long, value_enum, requires = "demo", default_value_t)]
    format: Format,
}

impl Up {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.demo {
            let duration = self.demo_duration.map_or(demo::DURATION, Duration::from_secs);
            return demo::run(demo::Options { duration, format: self.format }, self.state_dir);
        }
        logging::start("info");
        let hpa = (self.policy == Decider::Hpa).then_some(HPA_TARGET);
        Gateway::start(ConfigSource::File(self.file), self.state_dir, hpa)?.run(None)
    }
}

/// What HPA's rule aims at.
const HPA_TARGET: f64 = 0.7;

/// Who decides how many instances there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Decider {
    /// The policies of the file
    #[default]
    File,
    /// Kubernetes' HPA
    Hpa,
}
