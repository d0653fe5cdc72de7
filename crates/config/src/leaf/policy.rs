//! Times, zones and expressions of scaling policies.

use std::str::FromStr;

use schemars::{Schema, json_schema};
use tidegate_core::policy::{self, BadCron, Cron, Metric, Zone};

use crate::{
    decode::{Leaf, Mistake},
    report::quote,
    yaml::node::Scalar,
};

impl Leaf for Cron {
    const WHAT: &'static str = "a cron expression";
    const EXAMPLE: &'static str = "0 8 * * MON-FRI";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        Self::from_str(&scalar.text).map_err(|error| {
            let message = format!("{} is not a cron expression: {error}", quote(&scalar.text));
            let help = match error {
                BadCron::Never => "choose a day that exists, like `0 8 28 2 *`",
                BadCron::Fields(_) | BadCron::Field(_) => {
                    "write minute, hour, day of month, month and day of week, like `0 8 * * MON-FRI`"
                }
            };
            Mistake::new(message, help)
        })
    }

    fn form() -> Schema {
        json_schema!({ "title": "cron expression", "type": "string", "minLength": 9 })
    }
}

impl Leaf for Zone {
    const WHAT: &'static str = "a time zone";
    const EXAMPLE: &'static str = "Europe/Berlin";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        Self::from_str(&scalar.text).map_err(|_| {
            let message = format!("{} is not a time zone", quote(&scalar.text));
            Mistake::new(message, "write a name of the IANA database, like `Europe/Berlin` or `UTC`")
        })
    }

    fn form() -> Schema {
        json_schema!({ "title": "time zone", "type": "string", "minLength": 1 })
    }
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Date(pub(crate) policy::Date);

impl Leaf for Date {
    const WHAT: &'static str = "a date";
    const EXAMPLE: &'static str = "2026-12-25";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = &scalar.text;
        let date = text.parse().ok().filter(|_| text.len() == Self::EXAMPLE.len());
        date.map(Self).ok_or_else(|| {
            Mistake::new(
                format!("{} is not a date", quote(text)),
                "write year, month and day, like `2026-12-25`",
            )
        })
    }

    fn form() -> Schema {
        json_schema!({ "title": "date", "type": "string", "format": "date" })
    }
}

/// What can wait for instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BacklogMetric(pub(crate) Metric);

impl Leaf for BacklogMetric {
    const WHAT: &'static str = "a metric for backlogs";
    const EXAMPLE: &'static str = "queued";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match scalar.text.as_str() {
            "queued" => Ok(Self(Metric::Queued)),
            "concurrency" => Ok(Self(Metric::Concurrency)),
            text => {
                let message = format!("{} is not {}", quote(text), Self::WHAT);
                Err(Mistake::new(message, "choose one of `queued`, `concurrency`"))
            }
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "word", "enum": ["queued", "concurrency"] })
    }
}

/// What a formula calculates.
#[derive(Debug, Clone)]
pub(crate) struct Expression(pub(crate) policy::Expression);

impl Leaf for Expression {
    const WHAT: &'static str = "an expression";
    const EXAMPLE: &'static str = "ceil(arrivalRate / 60) + 1";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let expression = scalar.text.parse().map(Self);
        expression.map_err(|error: policy::BadExpression| {
            let message = format!("{} is not an expression: {error}", quote(&scalar.text));
            Mistake::new(message, format!("write it like `{}`", Self::EXAMPLE))
        })
    }

    fn form() -> Schema {
        json_schema!({ "title": "expression", "type": ["string", "number"] })
    }
}
