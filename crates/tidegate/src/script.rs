//! `tidegate lua`: runs a script with `ngx` at hand, without a gateway, as OpenResty's `resty` does.
//!
//! The script runs as in a timer: there is no request, and everything that waits does so for the script alone, its
//! light threads together. Timers run beside it, and those that still wait when it ends run at once, as premature. `ngx.say`,
//! `ngx.print` and `print` write to standard output, and `ngx.exit` ends the program. There is no budget: whoever starts
//! a program can end it.

mod dict;
pub(crate) mod place;
mod run;
mod timers;

use std::{
    fs,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, anyhow};
use tidegate_core::{
    Timestamp,
    snapshot::{Budget, LuaSettings, SocketSettings},
};
use tidegate_lua::{Dicts, Level, Line, Phase, Vm, WorkerIdentity};
use tokio::runtime::{Builder, LocalOptions};

use self::dict::SharedDict;
use crate::exit::Failure;

const EXAMPLES: &str = "Examples:
  tidegate lua job.lua first second
  tidegate lua -e 'print(ngx.md5(\"a\"))'
  tidegate lua -I lib --shared-dict 'seen 10m' job.lua
  generate | tidegate lua -";

#[derive(Debug, clap::Args)]
#[command(trailing_var_arg = true, after_help = EXAMPLES)]
pub(crate) struct RunScript {
    /// Code to run; a FILE that ends in `.lua` runs after it, and all other words are arguments. May be repeated.
    #[arg(short = 'e', value_name = "CODE")]
    code: Vec<String>,
    /// Folder that modules are looked for in first, those of C as well; may be repeated.
    #[arg(short = 'I', value_name = "FOLDER")]
    include: Vec<PathBuf>,
    /// Dictionary that the script gets as `ngx.shared.NAME`, of 1 MiB unless said as in 'NAME 10m'; may be repeated.
    #[arg(long, visible_alias = "shdict", value_name = "NAME")]
    shared_dict: Vec<SharedDict>,
    /// Name server to ask, in place of those of /etc/resolv.conf; may be repeated.
    #[arg(long, value_name = "IP")]
    ns: Vec<IpAddr>,
    /// Least urgent lines of `ngx.log` that are shown, on standard error.
    #[arg(long, visible_alias = "errlog-level", value_enum, default_value_t = Urgency::Warn)]
    log_level: Urgency,
    /// The script (`-`: from standard input), and its arguments: `arg` and `...` in Lua.
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
    Alert,
    Emerg,
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
            Self::Alert => Level::Alert,
            Self::Emerg => Level::Emerg,
        }
    }
}

impl RunScript {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sources = self.sources()?;
        if let Some(folder) = self.include.iter().find(|folder| !folder.is_dir()) {
            return Err(Failure::Input(anyhow!("-I {}: there is no such folder", folder.display())));
        }
        let vm = std::thread::Builder::new().name("lua".into()).stack_size(Vm::STACK_BYTES);
        let thread = vm.spawn(move || self.execute(&sources)).map_err(Failure::environment)?;
        thread.join().unwrap_or_else(|_| Err(Failure::Environment(anyhow!("the script's thread panicked"))))
    }

    /// What to run, one after the other.
    fn sources(&self) -> Result<Vec<Source>, Failure> {
        let inline = (!self.code.is_empty()).then(|| Source {
            name: "=(command line -e)".to_owned(),
            text: self.code.join("\n").into_bytes(),
            arguments: self.words.clone(),
            file: None,
        });
        let is_lua = |word: &String| Path::new(word).extension().is_some_and(|extension| extension == "lua");
        let is_script = |word: &String| inline.is_none() || is_lua(word);
        let file = match self.words.split_first().filter(|(word, _)| is_script(word)) {
            Some((file, arguments)) => Some(read(file, arguments)?),
            None if inline.is_none() => {
                let help = "no script: name a file, `-` for standard input, or give code with -e";
                return Err(Failure::Usage(anyhow!(help)));
            }
            None => None,
        };
        Ok(inline.into_iter().chain(file).collect())
    }

    fn execute(&self, sources: &[Source]) -> Result<(), Failure> {
        let options = LocalOptions::default();
        let runtime = Builder::new_current_thread().enable_all().build_local(options);
        let runtime = runtime.map_err(Failure::environment)?;
        runtime.block_on(async {
            let vm = Rc::new(self.vm().map_err(Failure::input)?);
            run::to_their_end(&vm, sources).await
        })
    }

    fn vm(&self) -> Result<Vm, tidegate_lua::Error> {
        let sockets = SocketSettings {
            resolver: self.ns.iter().map(ToString::to_string).collect(),
            ..SocketSettings::default()
        };
        let settings = LuaSettings {
            package_path: self.path(&["?.lua", "?/init.lua"]),
            package_cpath: self.path(&["?.so"]),
            shared_dicts: self.shared_dict.iter().map(|dict| (dict.name.clone(), dict.bytes)).collect(),
            sockets,
            budget: Budget::NONE,
            ..LuaSettings::default()
        };
        let dicts = Dicts::new(&settings.shared_dicts);
        let log = Arc::new(|line: &Line<'_>| show(line));
        let vm = Vm::new(&settings, dicts, WorkerIdentity { id: 0, count: 1 }, log)?;
        vm.set_log_level(self.log_level.level());
        set_now(&vm);
        Ok(vm)
    }

    /// Where modules are looked for: in the folders that are named, and then where LuaJIT does. Empty: only there.
    fn path(&self, patterns: &[&str]) -> String {
        let named = self
            .include
            .iter()
            .flat_map(|folder| patterns.iter().map(move |pattern| format!("{}/{pattern}", folder.display())));
        let mut path = named.collect::<Vec<_>>().join(";");
        if !path.is_empty() {
            path.push_str(";;");
        }
        path
    }
}

fn read(file: &str, arguments: &[String]) -> Result<Source, Failure> {
    let (name, text) = if file == "-" {
        let mut text = Vec::new();
        ("=stdin".to_owned(), io::stdin().read_to_end(&mut text).map(|_| text))
    } else if file.starts_with('-') {
        return Err(Failure::Usage(anyhow!("there is no option {file}; see tidegate lua --help")));
    } else {
        (format!("@{file}"), fs::read(file))
    };
    let text = text.with_context(|| format!("cannot read {file}")).map_err(Failure::Input)?;
    if text.starts_with(b"\x1b") {
        return Err(Failure::Input(anyhow!("{file} is bytecode, which is not run; name its source")));
    }
    Ok(Source { name, text, arguments: arguments.to_vec(), file: Some(file.to_owned()) })
}

/// What is run.
struct Source {
    /// As LuaJIT names chunks: `@file` or `=text`.
    name: String,
    /// As it is: Lua does not ask for any encoding.
    text: Vec<u8>,
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
    match level {
        "" => eprintln!("{}", line.text),
        _ => eprintln!("[{level}] {}", line.text),
    }
}

/// Shows scripts the time.
fn set_now(vm: &Vm) {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    vm.set_now(Timestamp::default() + since_epoch, Instant::now());
}
