//! A line that a Lua instance logged: an event as fields, which is logged here once more, as it would have been in the node.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_core::{FleetId, InstanceId};

/// What is in such a line, if it is one.
#[derive(Debug, Deserialize)]
pub(crate) struct Logged {
    level: String,
    pub(super) message: String,
    /// Where nginx's format is asked for: its own level, the number of the connection, and what follows the message.
    severity: Option<u64>,
    connection: Option<u64>,
    about: Option<String>,
    route: Option<String>,
    request: Option<String>,
    client: Option<String>,
    phase: Option<String>,
    source: Option<String>,
    traceback: Option<String>,
    /// It tells such a line from others that are JSON.
    #[serde(rename = "timestamp")]
    _timestamp: String,
    #[serde(rename = "target")]
    _target: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Logged {
    /// `None`: somebody else wrote it.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        // Most of what is not such a line shows at once.
        line.starts_with("{\"timestamp\":").then(|| serde_json::from_str(line).ok())?
    }

    /// Logs it, as an instance's.
    pub(crate) fn pass_on(&self, fleet: &FleetId, id: &InstanceId) {
        let Self { level, message, severity, connection, .. } = self;
        let text = Option::as_deref;
        let (about, route, request, client) =
            (text(&self.about), text(&self.route), text(&self.request), text(&self.client));
        let (phase, source, traceback) = (text(&self.phase), text(&self.source), text(&self.traceback));
        let rest = (!self.rest.is_empty()).then(|| Value::Object(self.rest.clone()).to_string());
        let fields = rest.as_deref();
        macro_rules! log {
            ($event:ident) => {
                tracing::$event!(
                    %fleet, instance = %id, route, request, client, phase, source, traceback, fields, severity,
                    connection, about, "{message}"
                )
            };
        }
        match level.as_str() {
            "ERROR" => log!(error),
            "WARN" => log!(warn),
            "INFO" => log!(info),
            _ => log!(debug),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_log_of_an_instance_wrote_is_taken_apart() {
        let line = r#"{"timestamp":"2026-01-01T00:00:00Z","level":"ERROR","message":"no","route":"app","address":"a","target":"t"}"#;
        let logged = Logged::parse(line).unwrap();
        assert_eq!((&*logged.level, &*logged.message, logged.route.as_deref()), ("ERROR", "no", Some("app")));
        assert_eq!(logged.rest.keys().collect::<Vec<_>>(), ["address"]);
        for other in
            ["", "no", "{}", r#"{"timestamp":"now"}"#, r#" {"timestamp":"1","level":"INFO"}"#, &line[..40]]
        {
            assert!(Logged::parse(other).is_none(), "{other}");
        }
    }
}
