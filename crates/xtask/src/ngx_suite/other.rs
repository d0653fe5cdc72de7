//! Servers of a case besides the one that requests are sent to, as listeners and routes of the same node.
//!
//! Routes do not know by which listener a request came, so those of another server ask for its name where the case has
//! the same place twice.

use serde_json::{Map, Value, json};

use super::{
    case::{Case, Directive, Other, Phases, Text},
    config::{Writer, versions},
};

/// Phases that come before there is a request.
const OF_LISTENERS: [&str; 4] =
    ["ssl_certificate", "ssl_client_hello", "ssl_session_fetch", "ssl_session_store"];

impl Writer<'_> {
    pub(super) fn others(&mut self, case: &Case) -> (Vec<Value>, Vec<Value>) {
        let (mut listeners, mut routes) = (Vec::new(), Vec::new());
        for server in &case.servers {
            let (of_listener, of_routes): (Phases, Phases) =
                server.phases.clone().into_iter().partition(|(phase, _)| phase.starts_with("ssl_"));
            let of_all = case.main_config.phases.iter().map(|(phase, code)| (phase.clone(), code.clone()));
            let of_listener = of_all.chain(of_listener);
            let known = of_listener.filter(|(phase, _)| OF_LISTENERS.contains(&phase.as_str()));
            let hooks: Map<_, _> = self.phases(&known.collect()).into_iter().collect();
            listeners.extend(server.listen.iter().map(|listen| self.listener(case, server, listen, &hooks)));
            for location in &server.locations {
                let mut route = self.route(location);
                let inherited = self.phases(&of_routes);
                if let Value::Object(lua) = route.entry("lua").or_insert_with(|| json!({})) {
                    for (phase, script) in inherited {
                        lua.entry(phase).or_insert(script);
                    }
                }
                let is_taken = case.locations.iter().any(|other| other.r#match == location.r#match);
                if let (true, Some(name), Value::Object(place)) = (
                    is_taken,
                    server.server_name.first().and_then(|names| names.first()),
                    &mut route["match"],
                ) {
                    place.insert("host".into(), self.scene.fill_text(name).into());
                }
                routes.push(route.into());
            }
        }
        (listeners, routes)
    }

    fn listener(&self, case: &Case, server: &Other, listen: &[Text], hooks: &Map<String, Value>) -> Value {
        let address = listen.first().map(|address| self.scene.fill_text(address)).unwrap_or_default();
        let is_port = address.bytes().all(|byte| byte.is_ascii_digit());
        let address = if is_port { format!("127.0.0.1:{address}") } else { address };
        if !listen.iter().any(|word| word.0 == b"ssl") {
            return json!({ "address": address });
        }
        // What a server does not say, it inherits.
        let all = |wanted: &'static str| {
            let is_it = move |one: &&Directive| one.first().and_then(Value::as_str) == Some(wanted);
            let own = server.directives.iter().any(|one| is_it(&one));
            let given = if own { &server.directives } else { &case.main_config.directives };
            given
                .iter()
                .filter(is_it)
                .filter_map(|one| one.get(1).and_then(Value::as_str))
                .map(|path| self.certificate(path))
        };
        let pairs = all("ssl_certificate").zip(all("ssl_certificate_key"));
        let tls: Vec<_> =
            pairs.map(|(certificate, key)| json!({ "certificate": certificate, "key": key })).collect();
        let mut listener = json!({ "address": address, "tls": tls });
        if !hooks.is_empty() {
            listener["lua"] = Value::Object(hooks.clone());
        }
        let verify = match all("ssl_verify_client").next().as_deref() {
            Some("on") => Some("required"),
            Some("optional") => Some("optional"),
            Some("optional_no_ca") => Some("optionalNoCa"),
            _ => None,
        };
        let spoken =
            server.directives.iter().find(|one| one.first().and_then(Value::as_str) == Some("ssl_protocols"));
        if let Some(versions) = spoken.and_then(versions) {
            listener["tlsProtocols"] = versions;
        }
        if let (Some(verify), Some(trusted)) = (verify, all("ssl_client_certificate").next()) {
            listener["clientCertificates"] = json!({ "trustedCertificate": trusted, "verify": verify });
        }
        listener
    }

    /// As the reference finds it, whose configuration lies two folders deep in `t`.
    pub(super) fn certificate(&self, path: &str) -> String {
        let path = self.scene.fill_text(&Text(path.into()));
        match path.strip_prefix("../../") {
            Some(rest) => self.scene.root.join("t").join(rest).display().to_string(),
            None if path.starts_with("../html/") => {
                self.scene.folder.join(path.trim_start_matches("../")).display().to_string()
            }
            None => path,
        }
    }
}
