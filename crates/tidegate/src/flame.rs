//! `tidegate flame`: where the Lua of a running node spends its time.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use inferno::flamegraph::{self, Options};
use serde_json::Value;
use tidegate_core::{
    FleetId, RouteId,
    flame::{Recording, Times},
};

use crate::{api, exit::Failure};

const EXAMPLES: &str = "Examples:
  tidegate flame > flame.svg
  tidegate flame --seconds 30 --route orders --output orders.svg
  tidegate flame --fleet app --output app.svg
  tidegate flame --format folded > stacks.txt";

/// Draw a flame graph of the Lua that a running node executes, as SVG
///
/// Stacks are seen by LuaJIT's own profiler for every millisecond of the processor's time: compiled code,
/// garbage collection and compilation included, time in which Lua waits not. The graph begins with the
/// route (or the fleet, of its instances that run Lua) and the phase; then come functions by
/// name, file and line. The VMs of a process take turns; each one compiles its code anew for its turn.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Flame {
    /// How long to look
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Only the Lua of this route, and of the fleet that it leads to
    #[arg(long, value_name = "NAME", value_parser = RouteId::new)]
    route: Option<RouteId>,
    /// Only the Lua of this fleet's instances
    #[arg(long, value_name = "NAME", conflicts_with = "route", value_parser = FleetId::new)]
    fleet: Option<FleetId>,
    /// The gateway's admin address
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// How to tell it: a picture, a line for each stack with its microseconds, or all figures
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Form {
    #[default]
    Svg,
    Folded,
    Json,
}

impl Flame {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if self.format == Form::Svg && self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::Input(anyhow!(
                "a picture is nothing for a terminal; name a file with --output, or choose --format folded"
            )));
        }
        let of = match (&self.route, &self.fleet) {
            (Some(route), _) => format!("&route={route}"),
            (None, Some(fleet)) => format!("&fleet={fleet}"),
            (None, None) => String::new(),
        };
        let path = format!("/api/v1/flame?seconds={}{of}", self.seconds);
        let told = api::get_in(self.admin, &path, Duration::from_secs(self.seconds.into()))?;
        let recording: Recording = serde_json::from_value(told.clone())
            .context("the gateway's answer is not understood; is it of another version?")
            .map_err(Failure::Environment)?;
        for missing in told["missing"].as_array().into_iter().flatten() {
            let part = |key: &str| missing[key].as_str().unwrap_or_default();
            eprintln!("{} was not looked at: {}", part("of"), part("reason"));
        }
        if recording.stacks.is_empty() && self.format != Form::Json {
            return Err(Failure::Environment(self.nothing_seen(&recording)));
        }
        let text = self.text(&told, &recording).map_err(Failure::Environment)?;
        self.write(&text).map_err(Failure::Environment)?;
        eprintln!("{}", summary(&recording));
        Ok(())
    }

    fn text(&self, told: &Value, recording: &Recording) -> anyhow::Result<Vec<u8>> {
        match self.format {
            Form::Json => Ok(format!("{told}\n").into_bytes()),
            Form::Folded => Ok(recording.folded().map(|line| line + "\n").collect::<String>().into_bytes()),
            Form::Svg => {
                let title = format!("Lua{}, {} s", self.of(), self.seconds);
                draw(title, recording).context("the flame graph cannot be drawn")
            }
        }
    }

    fn write(&self, text: &[u8]) -> anyhow::Result<()> {
        match &self.output {
            Some(path) => File::create(path)
                .and_then(|mut file| file.write_all(text))
                .with_context(|| format!("cannot write {}", path.display())),
            None => Ok(io::stdout().lock().write_all(text)?),
        }
    }

    fn nothing_seen(&self, recording: &Recording) -> anyhow::Error {
        if recording.vms == 0 && self.fleet.is_some() {
            return anyhow!("no Lua VM{} could be looked at", self.of());
        }
        if recording.vms == 0 {
            return anyhow!("no Lua VM could be looked at; the workers were too busy, try again");
        }
        let of = self.of();
        anyhow!("no Lua{of} was executed in these {} s; it has to be under load meanwhile", self.seconds)
    }

    /// Whose Lua it is about.
    fn of(&self) -> String {
        match (&self.route, &self.fleet) {
            (Some(route), _) => format!(" of route {route}"),
            (None, Some(fleet)) => format!(" of fleet {fleet}"),
            (None, None) => String::new(),
        }
    }
}

fn draw(title: String, recording: &Recording) -> io::Result<Vec<u8>> {
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(summary(recording));
    options.count_name = "µs".into();
    options.name_type = "Frame:".into();
    // The same function has the same color in every graph.
    options.hash = true;
    let lines: Vec<String> = recording.folded().collect();
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)?;
    Ok(svg)
}

/// What was seen, in a line.
fn summary(recording: &Recording) -> String {
    let Times { compiled, interpreted, functions_of_c, garbage_collector, compiler, other_lua, other } =
        recording.time;
    let lua = recording.time.lua();
    let seconds = |micros: u64| micros as f64 / 1e6;
    let share = |part: u64| part as f64 * 100.0 / (lua.max(1) as f64);
    let parts = [
        ("compiled", compiled),
        ("interpreted", interpreted),
        ("functions of C", functions_of_c),
        ("garbage collector", garbage_collector),
        ("compiler", compiler),
        ("of others", other_lua),
    ];
    let parts = parts.into_iter().filter(|(_, micros)| *micros > 0);
    let parts: Vec<_> = parts.map(|(what, micros)| format!("{:.0}% {what}", share(micros))).collect();
    let parts = parts.join(", ");
    let missed = match recording.missed {
        0 => String::new(),
        missed => format!(" ({missed} more were not)"),
    };
    format!(
        "{} samples; {} VMs were looked at{missed}: Lua took {:.2} s of {:.2} s of the processor ({parts})",
        recording.samples,
        recording.vms,
        seconds(lua),
        seconds(lua + other),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording() -> Recording {
        let mut recording = Recording { samples: 3, vms: 2, missed: 1, ..Recording::default() };
        recording.add("route orders;access;main chunk (a.lua);burn (a<b>.lua:3)", 2_500_000);
        recording.add("route orders;access;main chunk (a.lua)", 500_000);
        recording.time =
            Times { compiled: 2_500_000, interpreted: 500_000, other: 1_000_000, ..Times::default() };
        recording
    }

    #[test]
    fn a_picture_has_every_frame_and_says_what_was_seen() {
        let svg = String::from_utf8(draw("Lua, 10 s".into(), &recording()).unwrap()).unwrap();
        for part in
            ["<svg ", "Lua, 10 s", "route orders", "burn (a&lt;b&gt;.lua:3)", "2,500,000 µs", "83% compiled"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
    }

    #[test]
    fn the_summary_tells_lua_from_the_rest() {
        let said = summary(&recording());
        assert!(
            said.starts_with("3 samples; 2 VMs were looked at (1 more were not): Lua took 3.00 s of 4.00 s"),
            "{said}"
        );
    }
}
