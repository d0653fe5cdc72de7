//! `cargo xtask ngx-suite`: upstream's own tests, run against a real `tidegate up`.
//!
//! The tests of lua-nginx-module and its libraries are converted to JSON lines elsewhere; neither those lines nor the
//! checkout they come from belong to this repository. Each case gets a folder, a port and a process of its own, so
//! cases run side by side and one that brings its gateway down harms no other.

mod case;
mod check;
mod client;
mod config;
mod other;
mod perl;
mod report;
mod scene;
mod server;

use std::{
    collections::HashSet,
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use self::{
    case::Case,
    check::Check,
    report::{Outcome, Report},
    scene::Scene,
    server::Server,
};

/// Run upstream's own tests against `tidegate up`.
#[derive(Debug, clap::Args)]
pub(crate) struct NgxSuite {
    /// Converted cases, one JSON object a line.
    cases: PathBuf,
    /// The checkout that the cases come from.
    #[arg(long, value_name = "CHECKOUT")]
    root: PathBuf,
    /// Cases whose id contains this; several are separated by commas.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// Cases that have one of these tags. `tls`: those that need nothing but TLS and servers besides.
    #[arg(long, value_delimiter = ',', default_value = "plain,plain-adapted")]
    tier: Vec<String>,
    /// Cases at once. Without it: one per processor.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The program. Without it: the debug build, brought up to date.
    #[arg(long, value_name = "PATH")]
    tidegate: Option<PathBuf>,
    /// Keep the folders of cases that failed, and say where they are.
    #[arg(long)]
    keep: bool,
    /// Fail unless so many percent of the cases pass.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    at_least: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

fn percent(text: &str) -> Result<f64, std::num::ParseFloatError> {
    text.trim_end_matches('%').parse()
}

impl NgxSuite {
    /// Whether enough cases passed.
    pub(crate) fn run(&self, repository: &Path) -> Result<bool> {
        let cases = self.read()?;
        let program = match &self.tidegate {
            Some(path) => path.canonicalize().with_context(|| format!("no program at {}", path.display()))?,
            None => build(repository)?,
        };
        let root = self.root.canonicalize().context("no checkout")?;
        let scratch = env::temp_dir().join(format!("ngx-suite-{}", std::process::id()));
        let stage = Stage { program, root, scratch, keep: self.keep };
        let report = stage.play(&cases, self.jobs)?;
        self.print(&report);
        if !self.keep {
            let _ = fs::remove_dir_all(&stage.scratch);
        }
        Ok(self.at_least.is_none_or(|percent| report.reaches(percent)))
    }

    #[expect(clippy::print_stdout, reason = "the report is what this command is for")]
    fn print(&self, report: &Report) {
        match self.format {
            Format::Text => println!("{report}"),
            Format::Json => println!("{}", report.json()),
        }
    }

    fn read(&self) -> Result<Vec<Case>> {
        let file =
            fs::File::open(&self.cases).with_context(|| format!("no cases at {}", self.cases.display()))?;
        let tiers: HashSet<&str> = self.tier.iter().map(String::as_str).collect();
        let mut cases = Vec::new();
        for (at, line) in BufReader::new(file).lines().enumerate() {
            let line = line.context("cannot read the cases")?;
            // Cases that are not asked for may be in any form.
            let Ok(head) = serde_json::from_str::<Head>(&line) else { bail!("line {} is no case", at + 1) };
            let named = self.only.is_empty() || self.only.iter().any(|part| head.id.contains(part.as_str()));
            let is_wanted = head.tags.iter().any(|tag| tiers.contains(tag.as_str()));
            if named && (is_wanted || tiers.contains("tls") && head.is_of_tls()) {
                let case = serde_json::from_str(&line);
                cases.push(case.with_context(|| format!("cannot read the case {}", head.id))?);
            }
        }
        Ok(cases)
    }
}

/// As much of a case as says whether it is asked for.
#[derive(serde::Deserialize)]
struct Head {
    id: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl Head {
    fn is_of_tls(&self) -> bool {
        const MORE: [&str; 2] = ["ssl", "extra_server"];
        /// What the reference may not have.
        const ALSO: [&str; 2] = ["skip_version", "skip_eval"];
        let mut needs = self.tags.iter().filter_map(|tag| tag.strip_prefix("needs:")).peekable();
        needs.peek().is_some()
            && needs.clone().any(|need| MORE.contains(&need))
            && needs.all(|need| MORE.contains(&need) || ALSO.contains(&need))
    }
}

fn build(repository: &Path) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(repository).args(["build", "--quiet", "--package", "tidegate"]);
    if !command.status().context("cannot run cargo")?.success() {
        bail!("tidegate does not build");
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    target.join("debug/tidegate").canonicalize().context("no debug build of tidegate")
}

/// Where cases are played.
struct Stage {
    program: PathBuf,
    root: PathBuf,
    scratch: PathBuf,
    keep: bool,
}

impl Stage {
    fn play(&self, cases: &[Case], jobs: Option<usize>) -> Result<Report> {
        let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
        let queue = Mutex::new(cases.iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (sender, outcomes) = mpsc::sync_channel(jobs);
        thread::scope(|scope| {
            for _ in 0..jobs {
                let sender = sender.clone();
                scope.spawn(move || {
                    while let Some((at, case)) = next() {
                        let folder = self.scratch.join(format!("t/servroot_{at}"));
                        if sender.send((at, self.outcome(case, &folder))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut all: Vec<(usize, Outcome)> = outcomes.iter().collect();
            all.sort_by_key(|(at, _)| *at);
            Ok(Report(all.into_iter().map(|(_, outcome)| outcome).collect()))
        })
    }

    fn outcome(&self, case: &Case, folder: &Path) -> Outcome {
        let mut wrong = self.perform(case, folder).unwrap_or_else(|error| vec![format!("{error:#}")]);
        if let (Some(first), Some(line)) = (wrong.first_mut(), check::first_error(folder)) {
            *first = format!("{first}\n      log: {line}");
        }
        if self.keep && !wrong.is_empty() {
            wrong[0] = format!("{} ({})", wrong[0], folder.display());
        } else {
            let _ = fs::remove_dir_all(folder);
        }
        Outcome { id: case.id.clone(), file: case.file.clone(), title: case.title.clone(), wrong }
    }

    fn perform(&self, case: &Case, folder: &Path) -> Result<Vec<String>> {
        let scene = Scene::new(folder.to_owned(), &self.root)?;
        scene.furnish(&case.user_files)?;
        fs::write(scene.folder.join("tidegate.yaml"), config::write(case, &scene))?;
        let server = Server::start(&self.program, &scene)?;
        let check = Check { case, scene: &scene };
        for repetition in 0..case.repeat_each.max(1) as usize {
            let whole_log = repetition == 0 || case.accum_log;
            let mark = if whole_log { 0 } else { fs::metadata(scene.log()).map_or(0, |log| log.len()) };
            let round = client::play(case, &scene).context("cannot send the requests")?;
            if let Some(seconds) = case.wait {
                thread::sleep(Duration::from_secs_f64(seconds));
            }
            let wrong = [check.answers(&round)?, check.log(mark, repetition)?].concat();
            if !wrong.is_empty() {
                return Ok(wrong);
            }
        }
        server.stop()?;
        Ok(Vec::new())
    }
}
