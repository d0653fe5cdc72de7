//! Decisions as a colleague would tell them.

use std::{cmp::Ordering, fmt::Write as _};

use jiff::tz::TimeZone;
use serde_json::Value;
use tidegate_core::Timestamp;

use super::moment::shown;

/// The newest decision in full, and those before it in a line each.
pub(crate) fn tell(fleet: &str, decisions: &Value, zone: &TimeZone) -> String {
    let items = decisions["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some((newest, before)) = items.split_first() else {
        return format!("{fleet}: nothing has been decided yet");
    };
    let mut text = sentences(fleet, newest, zone).join("\n");
    recommendations(&mut text, newest);
    if !before.is_empty() {
        text += "\n\nbefore that:";
    }
    for item in before {
        let pools = item["mix"]["because"].as_str();
        let reason = item["reasons"][0].as_str().unwrap_or("nothing asked for another count");
        // Pools are the first reason where there is no other.
        let only = reason.strip_prefix("pools: ");
        let told = format!("\n  {}  {}: {}", time(item, zone), change(fleet, item), only.unwrap_or(reason));
        text += &told;
        // The rule that had the last word, unless it is the first reason already.
        if let Some(rule) =
            list(item, "adjustments").last().filter(|rule| !reason.starts_with(word(rule, "rule")))
        {
            let (to, name) = (number(rule, "to"), word(rule, "rule"));
            write!(text, "; {name} made that {to}: {}", word(rule, "because"))
                .expect("a string takes everything");
        }
        if let Some(pools) = pools.filter(|_| only.is_none()) {
            write!(text, "; pools: {pools}").expect("a string takes everything");
        } else if pools.is_none()
            && let Some(price) = item["cost"]["price"].as_f64()
        {
            write!(text, "; {}", bill(item, price)).expect("a string takes everything");
        }
    }
    text
}

/// Why there are fewer instances than there should be, if one failed.
pub(crate) fn trouble(fleet: &Value, zone: &TimeZone) -> Option<String> {
    let (desired, failure) = (number(fleet, "desired"), &fleet["lastFailure"]);
    let ready = list(fleet, "instances").filter(|one| one["state"] == "ready").count() as u64;
    let reason = failure["reason"].as_str().filter(|_| ready < desired)?;
    let at = time(failure, zone);
    Some(format!(
        "{ready} of {desired} are ready. The last that failed, at {at}, was {}: {reason}",
        word(failure, "instance")
    ))
}

fn sentences(fleet: &str, item: &Value, zone: &TimeZone) -> Vec<String> {
    let won = item["winner"].as_u64().map(|index| &item["recommendations"][index as usize]);
    let because = won.map_or_else(
        || nothing(item),
        |won| {
            format!("{} asked for {}: {}", word(won, "trigger"), count(&won["wanted"]), word(won, "because"))
        },
    );
    let mut text = vec![format!("{}: {}, because {because}.", time(item, zone), change(fleet, item))];
    for rule in list(item, "adjustments") {
        let (from, to) = (number(rule, "from"), number(rule, "to"));
        text.push(format!(
            "{} made that {to} instead of {from}: {}.",
            capital(word(rule, "rule")),
            word(rule, "because")
        ));
    }
    text.extend(item["mix"]["because"].as_str().map(|pools| format!("Pools: {pools}.")));
    if item["mix"].is_null() {
        text.extend(item["cost"]["price"].as_f64().map(|price| format!("Price: {}.", bill(item, price))));
    }
    text.extend(item["warning"].as_str().map(|warning| format!("Budget: {warning}.")));
    text.extend(seen(item));
    let others: Vec<_> = list(item, "otherwise")
        .map(|one| format!("{}: {}", word(one, "case"), number(one, "desired")))
        .collect();
    if !others.is_empty() {
        text.push(format!("Otherwise it would have been: {}.", others.join(", ")));
    }
    if let Some(desired) = item["candidate"]["desired"].as_u64() {
        let reason = item["candidate"]["reasons"][0].as_str().unwrap_or("nothing asks for another count");
        let pools = item["candidate"]["mix"]["because"].as_str();
        let pools = pools.map(|pools| format!(" Its pools: {pools}.")).unwrap_or_default();
        text.push(format!("The candidate would have {desired}: {reason}.{pools}"));
    }
    if item["mode"] == "recommend" {
        text.push("With mode recommend nothing of that is done.".to_owned());
    }
    text.extend(cost(&item["cost"], zone));
    text
}

/// Why no trigger asked for a count.
fn nothing(item: &Value) -> String {
    let silent = list(item, "recommendations").find(|one| one["wanted"].is_null());
    let because = silent.map(|one| word(one, "because")).filter(|because| !because.is_empty());
    let because = because.map_or_else(String::new, |because| format!(": {because}"));
    format!("nothing asked for another count{because}")
}

fn change(fleet: &str, item: &Value) -> String {
    let (desired, previous) = (number(item, "desired"), number(item, "previous"));
    let instances = if desired == 1 { "instance" } else { "instances" };
    // What is only recommended is not done.
    let does =
        |does: &'static str, would: &'static str| if item["mode"] == "recommend" { would } else { does };
    match desired.cmp(&previous) {
        Ordering::Equal if item["mix"]["moved"] == true => {
            let (stays, moves) = (does("stays", "would stay"), does("moves", "move"));
            format!("{fleet} {stays} at {desired} {instances} and {moves} between pools")
        }
        Ordering::Equal => format!("{fleet} {} at {desired} {instances}", does("stays", "would stay")),
        Ordering::Greater => {
            format!("{fleet} {} from {previous} to {desired} {instances}", does("grows", "would grow"))
        }
        Ordering::Less => {
            format!("{fleet} {} from {previous} to {desired} {instances}", does("shrinks", "would shrink"))
        }
    }
}

/// What the instances cost, where they are all of one price.
fn bill(item: &Value, price: f64) -> String {
    let count = number(item, "desired");
    format!("{count} at {price} USD/h, {} USD/h in all", round_usd(price * count as f64))
}

/// What there was to see.
fn seen(item: &Value) -> Option<String> {
    let (metrics, instances) = (&item["observed"]["metrics"], &item["observed"]["instances"]);
    let ready = instances["ready"].as_u64()?;
    let rate = metrics["arrivalRate"].as_f64().map(|rate| format!("{} requests/s", round(rate)));
    let sources = metrics["sources"].as_object().into_iter().flatten();
    let in_sources =
        sources.filter_map(|(name, count)| Some(format!("{} in {name}", round(count.as_f64()?))));
    let mut all: Vec<String> = rate.into_iter().chain(in_sources).collect();
    // Of workers, which no request comes to.
    let served = metrics["servedRate"].as_f64().filter(|_| metrics["arrivalRate"].is_null());
    all.extend(served.map(|served| format!("{} worked off in a second", round(served))));
    if all.is_empty() {
        all.push("an unknown number of requests/s".to_owned());
    }
    let busy = metrics["utilization"].as_f64().map(|share| format!(", {}% busy", round(share * 100.0)));
    let starting = instances["starting"].as_u64().filter(|&count| count > 0);
    let starting = starting.map(|count| format!(" and {count} starting")).unwrap_or_default();
    let queued = metrics["queued"].as_f64().filter(|&count| count > 0.0);
    let queued = queued.map(|count| format!(", {} waiting", round(count))).unwrap_or_default();
    let busy = busy.unwrap_or_default();
    Some(format!("It saw {}{queued}, {ready} ready{starting}{busy}.", all.join(", ")))
}

fn cost(cost: &Value, zone: &TimeZone) -> Option<String> {
    let hours = cost["instanceHours"].as_f64()?;
    let since: Timestamp = serde_json::from_value(cost["since"].clone()).ok()?;
    let usd = cost["usd"].as_f64().map(|usd| format!(", {usd:.2} USD")).unwrap_or_default();
    let usd_of = |key: &str| cost[key].as_f64().map(|usd| format!("{usd:.2} USD"));
    let other = |name: &str, key: &str, usd: &str| {
        let figures: Vec<String> = cost[key].as_f64().map(hour).into_iter().chain(usd_of(usd)).collect();
        (!figures.is_empty()).then(|| format!("{name}: {}", figures.join(", ")))
    };
    let others = [
        other("HPA at 70%", "hpaInstanceHours", ""),
        other("the candidate", "candidateInstanceHours", "candidateUsd"),
        other("as recommended", "", "recommendedUsd"),
    ];
    let others = others.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let others = if others.is_empty() { others } else { format!(" ({others})") };
    Some(format!("Cost since {}: {} instance-hours{usd}{others}.", shown(since, zone), hour(hours)))
}

fn recommendations(text: &mut String, item: &Value) {
    let all: Vec<&Value> = list(item, "recommendations").collect();
    if all.is_empty() {
        return;
    }
    *text += "\n\nrecommendations:";
    let width = all.iter().map(|one| word(one, "trigger").chars().count()).max().unwrap_or(0);
    for (index, one) in all.iter().enumerate() {
        let mark = if item["winner"].as_u64() == Some(index as u64) { '*' } else { ' ' };
        let (trigger, wanted) = (word(one, "trigger"), count(&one["wanted"]));
        write!(text, "\n{mark} {trigger:<width$}  {wanted:>4}  {}", word(one, "because"))
            .expect("a string takes everything");
    }
}

fn time(item: &Value, zone: &TimeZone) -> String {
    let at = serde_json::from_value(item["at"].clone());
    at.map_or_else(|_| word(item, "at").to_owned(), |at| shown(at, zone))
}

fn list<'a>(item: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    item[key].as_array().into_iter().flatten()
}

fn number(item: &Value, key: &str) -> u64 {
    item[key].as_u64().unwrap_or_default()
}

fn word<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}

fn count(value: &Value) -> String {
    value.as_u64().map_or("-".to_owned(), |count| count.to_string())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn round(value: f64) -> String {
    let digits = usize::from(value.abs() < 10.0 && value.fract() != 0.0);
    format!("{value:.digits$}")
}

/// Without the last digits of binary fractions.
fn round_usd(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6
}

fn hour(hours: f64) -> String {
    let digits = if hours < 10.0 { 2 } else { 1 };
    format!("{hours:.digits$}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pools_are_told_with_their_prices_and_the_reason() {
        let pools = "2 of steady (onDemand, 0.1 USD/h): the cheapest that is surely 2 instances; 0.2 USD/h, on demand 0.2";
        let item = json!({
            "at": "2026-05-01T14:05:00Z", "desired": 2, "previous": 2, "winner": null, "mode": "act",
            "reasons": [], "mix": {"moved": true, "because": pools}, "warning": "84% of this month's 50 USD are spent",
        });
        let text = tell("orders", &json!({"items": [item, item]}), &TimeZone::UTC);
        for expected in [
            "orders stays at 2 instances and moves between pools, because",
            "\nPools: 2 of steady (onDemand, 0.1 USD/h): the cheapest",
            "\nBudget: 84% of this month's 50 USD are spent.",
            "; pools: 2 of steady (onDemand",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn pools_that_are_the_only_reason_are_told_once() {
        let item = json!({
            "at": "2026-05-01T14:05:00Z", "desired": 2, "previous": 2, "winner": null,
            "reasons": ["pools: 2 of steady"], "mix": {"moved": true, "because": "2 of steady"},
        });
        let text = tell("orders", &json!({"items": [item, item]}), &TimeZone::UTC);
        assert!(text.ends_with("stays at 2 instances and moves between pools: 2 of steady"), "{text}");
    }

    #[test]
    fn what_fails_is_told_while_somebody_is_missing() {
        let fleet = |state: &str| {
            json!({"desired": 1, "instances": [{"state": state}],
                   "lastFailure": {"at": "2026-05-01T14:05:00Z", "instance": "orders-3", "reason": "quota exceeded"}})
        };
        let told = "0 of 1 are ready. The last that failed, at 2026-05-01 14:05:00 UTC, was orders-3: quota exceeded";
        assert_eq!(trouble(&fleet("starting"), &TimeZone::UTC).as_deref(), Some(told));
        assert_eq!(trouble(&fleet("ready"), &TimeZone::UTC), None);
    }

    #[test]
    fn a_trigger_that_sees_nothing_says_so() {
        let item = json!({"at": "2026-05-01T14:05:00Z", "desired": 2, "previous": 2, "winner": null,
            "recommendations": [{"trigger": "backlog jobs", "wanted": null, "because": "source jobs is not known"}]});
        let text = tell("jobs", &json!({"items": [item]}), &TimeZone::UTC);
        let told = "stays at 2 instances, because nothing asked for another count: source jobs is not known.";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn workers_are_told_by_what_waits_for_them() {
        let seen = |metrics: serde_json::Value| {
            seen(&json!({"observed": {"metrics": metrics, "instances": {"ready": 1}}})).unwrap()
        };
        assert_eq!(
            seen(json!({"sources": {"jobs": 84_132.0}, "servedRate": 16_966.7, "utilization": 0.72})),
            "It saw 84132 in jobs, 16967 worked off in a second, 1 ready, 72% busy."
        );
        assert_eq!(
            seen(json!({"arrivalRate": 5.0, "servedRate": 4.0, "sources": {"jobs": 3.0}, "queued": 2.0})),
            "It saw 5 requests/s, 3 in jobs, 2 waiting, 1 ready."
        );
        assert_eq!(seen(json!({})), "It saw an unknown number of requests/s, 1 ready.");
    }

    #[test]
    fn the_rule_that_had_the_last_word_is_told_in_short_too() {
        let rule = json!({"rule": "stabilization", "from": 0, "to": 7, "because": "7 instances were wanted within the last 5s"});
        let item = |reason: &str| json!({"at": "2026-05-01T14:05:00Z", "desired": 7, "previous": 8, "reasons": [reason], "adjustments": [rule]});
        let told =
            |reason: &str| tell("jobs", &json!({"items": [item(reason), item(reason)]}), &TimeZone::UTC);
        let text = told("backlog jobs: nothing waits");
        let rest = "backlog jobs: nothing waits; stabilization made that 7: 7 instances were wanted within the last 5s";
        assert!(text.ends_with(rest), "{text}");
        let text = told("stabilization: 7 instead of 0, 7 instances were wanted");
        assert!(text.ends_with("7 instead of 0, 7 instances were wanted"), "{text}");
    }

    #[test]
    fn what_is_only_recommended_would_be_done() {
        let told = |desired: u64| {
            let item =
                json!({"at": "2026-05-01T14:05:00Z", "desired": desired, "previous": 3, "mode": "recommend"});
            change("orders", &item)
        };
        assert_eq!(told(4), "orders would grow from 3 to 4 instances");
        assert_eq!(told(3), "orders would stay at 3 instances");
        assert_eq!(told(1), "orders would shrink from 3 to 1 instance");
    }

    #[test]
    fn a_decision_is_told_like_a_sentence_with_all_that_led_to_it() {
        let decisions = json!({"items": [
            {
                "at": "2026-05-01T14:05:00Z", "desired": 12, "previous": 8, "winner": 1, "mode": "act",
                "reasons": ["forecast 99%: soon"],
                "recommendations": [
                    {"trigger": "target utilization 80%", "wanted": 9, "because": "8 at 88% busy are 8.8 at 80%"},
                    {"trigger": "forecast 99%", "wanted": 14, "because": "in 30s about 900 requests/s arrive"},
                    {"trigger": "schedule", "wanted": null, "because": "no window is open"},
                ],
                "adjustments": [{"rule": "pace", "from": 14, "to": 12, "because": "from 8 by at most 4 within 15s"}],
                "otherwise": [{"case": "without forecast 99%", "desired": 9}, {"case": "HPA at 70%", "desired": 10}],
                "observed": {"metrics": {"arrivalRate": 704.2, "utilization": 0.88}, "instances": {"ready": 8, "starting": 1}},
                "candidate": {"desired": 7, "reasons": ["headroom: calm"], "mix": {"because": "7 of a (spot, 0.01 USD/h)"}},
                "cost": {"since": "2026-05-01T08:00:00Z", "instanceHours": 41.23, "usd": 1.649, "hpaInstanceHours": 60.1,
                         "candidateInstanceHours": 7.5, "candidateUsd": 0.075, "price": 0.04},
            },
            {"at": "2026-05-01T14:00:00Z", "desired": 8, "previous": 9, "reasons": ["target: calm"],
             "cost": {"price": 0.04}},
        ]});
        let expected = "\
2026-05-01 14:05:00 UTC: orders grows from 8 to 12 instances, because forecast 99% asked for 14: in 30s about 900 requests/s arrive.
Pace made that 12 instead of 14: from 8 by at most 4 within 15s.
Price: 12 at 0.04 USD/h, 0.48 USD/h in all.
It saw 704 requests/s, 8 ready and 1 starting, 88% busy.
Otherwise it would have been: without forecast 99%: 9, HPA at 70%: 10.
The candidate would have 7: headroom: calm. Its pools: 7 of a (spot, 0.01 USD/h).
Cost since 2026-05-01 08:00:00 UTC: 41.2 instance-hours, 1.65 USD (HPA at 70%: 60.1, the candidate: 7.50, 0.07 USD).

recommendations:
  target utilization 80%     9  8 at 88% busy are 8.8 at 80%
* forecast 99%              14  in 30s about 900 requests/s arrive
  schedule                   -  no window is open

before that:
  2026-05-01 14:00:00 UTC  orders shrinks from 9 to 8 instances: target: calm; 8 at 0.04 USD/h, 0.32 USD/h in all";
        assert_eq!(tell("orders", &decisions, &TimeZone::UTC), expected);
        let none = json!({"items": []});
        assert_eq!(tell("orders", &none, &TimeZone::UTC), "orders: nothing has been decided yet");
    }
}
