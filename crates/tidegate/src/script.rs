//! `tidegate lua`: runs a script with `ngx` at hand, without a gateway.
//!
//! The script runs as in a timer: there is no request, and everything that waits does so for the script alone, its
//! light threads together. Timers run beside it, and those that still wait when it ends run at once, as premature. `ngx.say` and `ngx.print` write to standard output, and `ngx.exit` ends the program.

mod place;
mod run;
mod timers;

use std::{fs, path::PathBuf, rc::Rc, sync::Arc};

use anyhow::{Context as _, anyhow};
use tidegate_core::{DictName, Timestamp, snapshot::LuaSettings};
use tidegate_lua::{Dicts, Level, Line, Phase, Vm, WorkerIdentity};
use tokio::runtime::{Builder, LocalOptions};

use crate::exit::Failure;

/// Room of the dictionaries that `--shared-dict` names without saying more.
const DICT_BYTES: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
#[command(
    trailing_var_arg = true,
    after_help = "Example:\n  tidegate lua -e 'ngx.say(ngx.md5(\"a\"))'\n  tidegate lua job.lua first second"
)]
pub(crate) struct RunScript {
    /// Code, in place of a file.
    #[arg(short = 'e', value_name = "CODE")]
    code: Vec<String>,
    /// Folder that modules are looked for in first; may be repeated.
    #[arg(short = 'I', value_name = "FOLDER")]
    include: Vec<PathBuf>,
    /// Dictionary that the script gets as `ngx.shared.NAME`; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = dict_name)]
    shared_dict: Vec<DictName>,
    /// Least urgent lines of `ngx.log` that are shown, on standard error.
    #[arg(long, value_enum, default_value_t = Urgency::Warn)]
    log_level: Urgency,
    /// The script, and its arguments: `arg` and `...` in Lua.
    #[arg(value_name = "FILE", allow_hyphen_values = true)]
    words: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Urgency {
    Debug,
    Info,
    Notice,
    Warn,
    Error,
    Crit,
}

impl Urgency {
    const fn level(self) -> Level {
        match self {
            Self::Debug => Level::Debug,
            Self::Info => Level::Info,
            Self::Notice => Level::Notice,
            Self::Warn => Level::Warn,
            Self::Error => Level::Error,
            Self::Crit => Level::Crit,
        }
    }
}

impl RunScript {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let source = self.source()?;
        let vm = std::thread::Builder::new().name("lua".into()).stack_size(Vm::STACK_BYTES);
        let thread = vm.spawn(move || self.execute(&source)).map_err(Failure::environment)?;
        thread.join().unwrap_or_else(|_| Err(Failure::Environment(anyhow!("the script's thread panicked"))))
    }

    fn source(&self) -> Result<Source, Failure> {
        if !self.code.is_empty() {
            let name = "=(command line -e)".to_owned();
            return Ok(Source {
                name,
                text: self.code.join("\n"),
                arguments: self.words.clone(),
                file: None,
            });
        }
        let Some((file, arguments)) = self.words.split_first() else {
            return Err(Failure::Input(anyhow!("no script: name a file, or give code with -e")));
        };
        let text = fs::read(file).with_context(|| format!("cannot read {file}")).map_err(Failure::Input)?;
        let text = String::from_utf8(text).map_err(|_| {
            Failure::Input(anyhow!(
                "{file} is not UTF-8 text; bytecode is not run, bytes are written as \\255"
            ))
        })?;
        let name = format!("@{file}");
        Ok(Source { name, text, arguments: arguments.to_vec(), file: Some(file.clone()) })
    }

    fn execute(&self, source: &Source) -> Result<(), Failure> {
        let options = LocalOptions::default();
        let runtime = Builder::new_current_thread().enable_all().build_local(options);
        let runtime = runtime.map_err(Failure::environment)?;
        runtime.block_on(async {
            let vm = Rc::new(self.vm().map_err(Failure::input)?);
            run::to_its_end(&vm, source).await
        })
    }

    fn vm(&self) -> Result<Vm, tidegate_lua::Error> {
        let folders: String = self.include.iter().fold(String::new(), |path, folder| {
            let folder = folder.display();
            format!("{path}{folder}/?.lua;{folder}/?/init.lua;")
        });
        let settings = LuaSettings {
            package_path: format!("{folders};;").replace(";;;", ";;"),
            shared_dicts: self.shared_dict.iter().map(|name| (name.clone(), DICT_BYTES)).collect(),
            ..LuaSettings::default()
        };
        let dicts = Dicts::new(&settings.shared_dicts);
        let log = Arc::new(|line: &Line<'_>| show(line));
        let vm = Vm::new(&settings, dicts, WorkerIdentity { id: 0, count: 1 }, log)?;
        vm.set_log_level(self.log_level.level());
        vm.set_now(now());
        Ok(vm)
    }
}

fn dict_name(text: &str) -> Result<DictName, String> {
    DictName::new(text).map_err(|error| error.to_string())
}

/// What is run.
struct Source {
    /// As LuaJIT names chunks: `@file` or `=text`.
    name: String,
    text: String,
    arguments: Vec<String>,
    file: Option<String>,
}

const PHASE: Phase = Phase::Timer;

fn show(line: &Line<'_>) {
    let level = match line.level {
        Level::Stderr => "",
        Level::Emerg => "emerg",
        Level::Alert => "alert",
        Level::Crit => "crit",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    eprintln!("[{level}] {}", line.text);
}

fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    Timestamp::default() + since_epoch.unwrap_or_default()
}
