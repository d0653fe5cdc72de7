//! `tidegate cost`: what fleets cost, beside what they would cost otherwise.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
};

use anyhow::anyhow;
use jiff::ZonedDateTime;
use serde_json::Value;
use tidegate_core::Timestamp;

use crate::{api, cli::Format, exit::Failure, explain::moment};

const EXAMPLES: &str = "Examples:
  tidegate cost
  tidegate cost orders --format json";

/// Say what fleets cost: each, per route and per million requests, beside on-demand and a fixed fleet
///
/// Counted since a fleet began, in a journal from one process to the next. A fixed fleet always has as many
/// instances as were wanted at the peak. Routes share what their fleet costs by their requests.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cost {
    /// Only this fleet
    fleet: Option<String>,
    /// The gateway's admin address
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Cost {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut all = api::get(self.admin, "/api/v1/cost")?;
        let items = all["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let known: Vec<String> =
            items.iter().filter_map(|one| Some(one["fleet"].as_str()?.to_owned())).collect();
        let wanted = |one: &Value| self.fleet.as_ref().is_none_or(|fleet| one["fleet"] == fleet.as_str());
        let items: Vec<Value> = items.into_iter().filter(wanted).collect();
        if let (Some(fleet), true) = (&self.fleet, items.is_empty()) {
            return Err(Failure::Input(anyhow!(
                "there is no fleet {fleet:?}; there are: {}",
                known.join(", ")
            )));
        }
        let text = match self.format {
            Format::Json => serde_json::json!({ "items": items }).to_string(),
            Format::Text => items.iter().map(tell).collect::<Vec<_>>().join("\n"),
        };
        writeln!(io::stdout().lock(), "{}", text.trim_end()).map_err(Failure::environment)
    }
}

/// One fleet, as a person reads it.
fn tell(item: &Value) -> String {
    let cost = &item["cost"];
    let number = |key: &str| cost[key].as_f64();
    let zone = ZonedDateTime::now();
    let since: Timestamp = serde_json::from_value(cost["since"].clone()).unwrap_or_default();
    let name = item["fleet"].as_str().unwrap_or_default();
    let mut text = format!("{name}, since {}\n", moment::shown(since, zone.time_zone()));
    let mut line = |what: &str, hours: Option<f64>, usd: Option<f64>| {
        let Some(hours) = hours else { return };
        let usd = usd.map_or_else(String::new, |usd| format!("{usd:>12.4} USD"));
        writeln!(text, "  {what:<28}{hours:>12.3} instance-hours{usd}{}", saved(number("usd"), &usd, what))
            .expect("a string takes everything");
    };
    line("the fleet", number("instanceHours"), number("usd"));
    let price = number("fixedUsd").zip(number("fixedInstanceHours")).filter(|(_, hours)| *hours > 0.0);
    let price = price.map(|(usd, hours)| usd / hours);
    let on_demand = number("onDemandUsd");
    line("all on demand", on_demand.zip(price).map(|(usd, price)| usd / price), on_demand);
    line("a fixed fleet", number("fixedInstanceHours"), number("fixedUsd"));
    let hpa = number("hpaInstanceHours");
    line("HPA at 70%", hpa, hpa.zip(price).map(|(hours, price)| hours * price));
    line("the candidate", number("candidateInstanceHours"), number("candidateUsd"));
    if let Some(usd) = number("recommendedUsd") {
        line("as recommended", on_demand.zip(price).map(|(usd, price)| usd / price), Some(usd));
    }
    if let Some(million) = number("usdPerMillionRequests") {
        let requests = number("requests").unwrap_or_default();
        writeln!(text, "  {million:.4} USD for a million requests; {requests:.0} arrived")
            .expect("a string takes everything");
    }
    if let Some((spent, monthly)) =
        item["budget"]["spentUsd"].as_f64().zip(item["budget"]["monthlyUsd"].as_f64())
    {
        let alarm = if item["budget"]["alarm"] == true { ": ALARM" } else { "" };
        writeln!(text, "  this month {spent:.4} of {monthly} USD{alarm}").expect("a string takes everything");
    }
    for route in item["routes"].as_array().into_iter().flatten() {
        let share = route["share"].as_f64().unwrap_or_default() * 100.0;
        let usd = route["usd"].as_f64().map_or_else(String::new, |usd| format!(", {usd:.4} USD"));
        let name = route["route"].as_str().unwrap_or_default();
        writeln!(text, "  route {name}: {} requests, {share:.1}% of it{usd}", route["requests"])
            .expect("a string takes everything");
    }
    text
}

/// How the fleet's bill compares with another.
fn saved(own: Option<f64>, other: &str, what: &str) -> String {
    let other = other.split_whitespace().next().and_then(|usd| usd.parse::<f64>().ok());
    match own.zip(other).filter(|(_, other)| *other > 0.0 && what != "the fleet") {
        Some((own, other)) => format!(", {:+.0}% against that", (own / other - 1.0) * 100.0),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bill_is_read_beside_what_it_would_be_otherwise() {
        let text = tell(&json!({
            "fleet": "orders",
            "cost": {"since": "2026-05-01T08:00:00Z", "instanceHours": 29.0, "usd": 0.93, "onDemandUsd": 2.0,
                     "fixedInstanceHours": 40.0, "fixedUsd": 4.0, "requests": 1e6, "usdPerMillionRequests": 0.93,
                     "hpaInstanceHours": 28.0, "candidateInstanceHours": 25.0, "candidateUsd": 1.24},
            "budget": {"monthlyUsd": 500.0, "spentUsd": 410.5, "alarm": true, "spent": false},
            "routes": [{"route": "orders", "requests": 750_000, "share": 0.75, "usd": 0.6975}],
        }));
        for expected in [
            "the fleet                         29.000 instance-hours      0.9300 USD\n",
            "all on demand                     20.000 instance-hours      2.0000 USD, -53% against that",
            "a fixed fleet                     40.000 instance-hours      4.0000 USD, -77% against that",
            "the candidate                     25.000 instance-hours      1.2400 USD, -25% against that",
            "0.9300 USD for a million requests; 1000000 arrived",
            "this month 410.5000 of 500 USD: ALARM",
            "route orders: 750000 requests, 75.0% of it, 0.6975 USD",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
