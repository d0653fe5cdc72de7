//! What the program can be told on its command line.

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    advise::Advise, chaos::Chaos, check::Check, cost::Cost, exit::Failure, explain::Explain, flame::Flame,
    forecast::Forecast, instance::Instance, load, replay::Replay, schema, script::RunScript,
    simulate::Simulate, top::Top, up::Up,
};

/// An API gateway scripted in Lua that scales itself.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  tidegate up --demo\n\nExit codes: 0 done, 1 the input is at fault, 2 usage, 3 the environment is at fault."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run gateway, scaler and control plane in one process.
    Up(Up),
    /// Validate a configuration and print every mistake with its place.
    Check(Check),
    /// Print the JSON Schema of the configuration, for editors.
    #[command(after_help = "Example:\n  tidegate schema > tidegate.schema.json")]
    Schema,
    /// Send load from a schedule, whatever the answers do.
    Load(Box<tidegate_load::LoadArgs>),
    Simulate(Box<Simulate>),
    Forecast(Forecast),
    Top(Top),
    /// Say why a fleet has as many instances as it has.
    Explain(Explain),
    Replay(Replay),
    Chaos(Chaos),
    Cost(Cost),
    Advise(Advise),
    Flame(Flame),
    /// Run a Lua script with `ngx` at hand, without a gateway.
    Lua(RunScript),
    #[command(hide = true)]
    Instance(Instance),
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Up(up) => up.run(),
            Command::Check(check) => check.run(),
            Command::Schema => schema::run(),
            Command::Load(args) => load::run(&args),
            Command::Simulate(simulate) => simulate.run(),
            Command::Forecast(forecast) => forecast.run(),
            Command::Top(top) => top.run(),
            Command::Explain(explain) => explain.run(),
            Command::Replay(replay) => replay.run(),
            Command::Chaos(chaos) => chaos.run(),
            Command::Cost(cost) => cost.run(),
            Command::Advise(advise) => advise.run(),
            Command::Flame(flame) => flame.run(),
            Command::Lua(script) => script.run(),
            Command::Instance(instance) => instance.run(),
        }
    }
}
