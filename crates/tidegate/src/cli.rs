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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The words of the first command of a line, as a shell takes them apart. Comments, and what follows the command, go.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, ' ') => words.extend(word.take()),
                (None, '#') if word.is_none() => break,
                (None, '|' | '&' | '>' | '<' | ';' | ')') => break,
                (_, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// Lines of code blocks that run the program, those that go on in the next one put together.
    fn commands(page: &str) -> Vec<String> {
        let page = page.replace("\\\n", " ");
        let lines = page.lines().scan(false, |in_code, line| {
            *in_code ^= line.trim_start().starts_with("```");
            Some((*in_code, line.trim_start().trim_start_matches("$ ")))
        });
        let ours = lines.filter(|(in_code, line)| *in_code && line.starts_with("tidegate "));
        ours.map(|(_, line)| line.to_owned()).collect()
    }

    #[test]
    fn every_command_of_the_documentation_is_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let pages = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
        let others = ["README.md", "bench/README.md", "examples/README.md"].map(|name| root.join(name));
        let mut count = 0;
        for page in pages.chain(others) {
            for command in commands(&std::fs::read_to_string(&page).unwrap()) {
                let understood = Cli::try_parse_from(words(&command));
                let help = |error: &clap::Error| error.exit_code() == 0;
                assert!(
                    understood.is_ok() || understood.as_ref().is_err_and(help),
                    "{}: {command}: {}",
                    page.display(),
                    understood.unwrap_err()
                );
                count += 1;
            }
        }
        assert!(count > 30, "{count}");
    }
}
