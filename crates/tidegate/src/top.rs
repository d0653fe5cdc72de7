//! `tidegate top`: the fleets of a running gateway, as they are now.
//!
//! On a terminal it is a view that renews itself until somebody leaves; elsewhere it tells once how things are. A thread of its
//! own asks the Admin API, so that keys are heeded while a gateway does not answer; what was read last stays in view
//! then, with a word about it.

mod picture;
mod screen;
mod table;

use std::{
    io::{self, IsTerminal, Write as _},
    net::SocketAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use anyhow::anyhow;
use serde_json::{Value, json};

use self::picture::Picture;
use crate::{
    api,
    cli::Format,
    exit::Failure,
    screen::{Key, Screen},
};

const EXAMPLES: &str = "Examples:
  tidegate top
  tidegate top --admin 10.0.0.7:9000 --every 5s
  tidegate top --format json";

/// How long a key waits to be heeded at most.
const HEED_EVERY: Duration = Duration::from_millis(50);

/// Show the fleets of a running gateway, live
///
/// On a terminal until `q` is pressed; the arrow keys choose the fleet whose demand, instances and last decision are shown. Elsewhere,
/// and as JSON, how things are is told once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Top {
    /// The gateway's admin address
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// Time between two looks at it
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = tidegate_load::args::length)]
    every: Duration,
    /// How to print it; `json`: fleets and sources as the Admin API has them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Top {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let reading = Reading::take(self.admin)?;
        match self.format {
            Format::Json => print(&format!("{}\n", reading.json())),
            Format::Text if io::stdout().is_terminal() => self.watch(&reading),
            Format::Text => print(&table::tell(&picture(self.admin, &reading)?)),
        }
    }

    fn watch(&self, first: &Reading) -> Result<(), Failure> {
        let mut picture = picture(self.admin, first)?;
        let readings = self.follow()?;
        let mut screen = Screen::open().map_err(Failure::environment)?;
        loop {
            screen.show(|frame| screen::draw(frame, &picture)).map_err(Failure::environment)?;
            match readings.recv_timeout(HEED_EVERY) {
                Ok(reading) => picture.take(reading.and_then(|reading| reading.understood())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Environment(anyhow!("the thread that asks the gateway is gone")));
                }
            }
            while let Some(key) = Screen::pressed().map_err(Failure::environment)? {
                match key {
                    Key::Leave => return Ok(()),
                    Key::Up => picture.choose_before(),
                    Key::Down => picture.choose_next(),
                }
            }
        }
    }

    /// Asks again and again, until nobody wants to know any more.
    fn follow(&self) -> Result<Receiver<Result<Reading, Failure>>, Failure> {
        let (sender, readings) = sync_channel(1);
        let (admin, every) = (self.admin, self.every);
        let follow = move || {
            loop {
                thread::sleep(every);
                if sender.send(Reading::take(admin)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("reader".into()).spawn(follow).map_err(Failure::environment)?;
        Ok(readings)
    }
}

fn picture(admin: SocketAddr, reading: &Reading) -> Result<Picture, Failure> {
    let mut picture = Picture::new(admin);
    picture.take(Ok(reading.understood()?));
    Ok(picture)
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::environment)
}

/// What the gateway says of itself.
#[derive(Debug)]
struct Reading {
    fleets: Value,
    sources: Value,
}

impl Reading {
    fn take(admin: SocketAddr) -> Result<Self, Failure> {
        let items = |path| api::get(admin, path).map(|mut answer| answer["items"].take());
        Ok(Self { fleets: items("/api/v1/fleets")?, sources: items("/api/v1/sources")? })
    }

    fn json(&self) -> Value {
        json!({ "fleets": self.fleets, "sources": self.sources })
    }

    fn understood(&self) -> Result<picture::Shown, Failure> {
        serde_json::from_value(self.json()).map_err(|error| {
            Failure::Environment(anyhow!("the gateway says what this version does not understand: {error}"))
        })
    }
}
