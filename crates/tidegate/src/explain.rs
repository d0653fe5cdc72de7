//! `tidegate explain FLEET`: why the count is what it is.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
};

use serde_json::Value;

use crate::{api, cli::Format, exit::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidegate explain orders --at 2026-05-01T14:05:00Z")]
pub(crate) struct Explain {
    /// The fleet.
    fleet: String,
    /// The decision that was in force then (RFC 3339). Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Decisions to show, newest first.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// The gateway's admin address.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// How to print the decisions.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Explain {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte);
        let encode = |text: &str| {
            text.bytes().fold(String::new(), |mut path, byte| {
                let written = if known(byte) && byte != b'+' {
                    path.push(char::from(byte));
                    Ok(())
                } else {
                    write!(path, "%{byte:02X}")
                };
                written.expect("a string takes everything");
                path
            })
        };
        let at = self.at.as_ref().map_or(String::new(), |at| format!("&at={}", encode(at)));
        let fleet = encode(&self.fleet);
        let path = format!("/api/v1/fleets/{fleet}/decisions?limit={}{at}", self.limit);
        let decisions = api::get(self.admin, &path).map_err(Failure::Environment)?;
        let text = match self.format {
            Format::Json => decisions.to_string(),
            Format::Text => tell(&self.fleet, &decisions),
        };
        writeln!(io::stdout().lock(), "{}", text.trim_end()).map_err(Failure::environment)
    }
}

/// The decisions as a person would tell them.
fn tell(fleet: &str, decisions: &Value) -> String {
    let items = decisions["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return format!("{fleet}: nothing has been decided yet");
    }
    items.iter().fold(String::new(), |mut text, item| {
        let number = |key: &str| item[key].as_u64().unwrap_or_default();
        let (desired, previous) = (number("desired"), number("previous"));
        let change = match desired.cmp(&previous) {
            std::cmp::Ordering::Equal => format!("stays at {desired}"),
            std::cmp::Ordering::Greater => format!("grows from {previous} to {desired}"),
            std::cmp::Ordering::Less => format!("shrinks from {previous} to {desired}"),
        };
        let at = item["at"].as_str().unwrap_or_default();
        writeln!(text, "{at}  {fleet} {change}").expect("a string takes everything");
        for reason in item["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            writeln!(text, "    {reason}").expect("a string takes everything");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decisions_are_told_with_their_reasons() {
        let decisions = json!({"items": [
            {"at": "2026-05-01T14:05:00Z", "desired": 5, "previous": 3, "reasons": ["target: busy"]},
            {"at": "2026-05-01T14:00:00Z", "desired": 3, "previous": 3, "reasons": []},
        ]});
        let expected = "2026-05-01T14:05:00Z  orders grows from 3 to 5\n    target: busy\n\
                        2026-05-01T14:00:00Z  orders stays at 3\n";
        assert_eq!(tell("orders", &decisions), expected);
        assert_eq!(tell("orders", &json!({"items": []})), "orders: nothing has been decided yet");
    }
}
