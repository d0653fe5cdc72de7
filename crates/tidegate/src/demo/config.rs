//! What the demo serves, and how it is scaled: a configuration like any other.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tidegate_control::ConfigSource;

use super::day::PER_INSTANCE;

/// The name of the fleet.
pub(crate) const FLEET: &str = "mandelbrot";

const APP: &str = include_str!("app.lua");

/// The built-in configuration, for a day that is over within `duration`.
pub(crate) fn source(listen: SocketAddr, admin: SocketAddr, duration: Duration) -> ConfigSource {
    ConfigSource::Text {
        name: "demo.yaml".into(),
        text: config_text(listen, admin, duration),
        scripts: BTreeMap::from([("app.lua".into(), APP.into())]),
    }
}

fn config_text(listen: SocketAddr, admin: SocketAddr, duration: Duration) -> String {
    // An hour and a half of the day: long enough not to follow every wave, short enough to be seen.
    let stabilization = (duration.as_millis() / 16).max(500);
    format!(
        "\
listeners:
  - address: \"{listen}\"
admin:
  address: \"{admin}\"
fleets:
  {FLEET}:
    run: {{ lua: app.lua }}
    grace: 10s
    scale:
      min: 1
      max: 8
      triggers:
        - target: {{ metric: arrivalRate, value: {PER_INSTANCE}/1s }}
        - target: {{ metric: utilization, value: 75% }}
      behavior:
        scaleIn: {{ stabilization: {stabilization}ms }}
upstreams:
  {FLEET}: {{ fleet: {FLEET}, balance: leastConnections }}
routes:
  - name: {FLEET}
    match: {{ path: /* }}
    upstream: {FLEET}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_sound() {
        let addresses = ["127.0.0.1:8000", "[::1]:9000"].map(|text| text.parse().unwrap());
        for seconds in [5, 12, 120] {
            let source = source(addresses[0], addresses[1], Duration::from_secs(seconds));
            let ConfigSource::Text { name, text, scripts } = source else { panic!("not built in") };
            let read = |path: &std::path::Path| Ok(scripts[path].clone());
            let (snapshot, diagnostics) = tidegate_config::parse(&name, &text, &read);
            assert!(diagnostics.is_empty(), "{diagnostics:?}");
            let snapshot = snapshot.unwrap();
            assert_eq!(snapshot.admin.address, addresses[1]);
            assert_eq!(snapshot.fleets.keys().next().unwrap().as_str(), FLEET);
        }
    }
}
