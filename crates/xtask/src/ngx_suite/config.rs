//! Says in Tidegate's words what a case says in nginx's.
//!
//! What nginx inherits (`server` and `http` level phases) Tidegate's routes inherit too, so those stay where they are.
//! Directives that nginx allows in one location and Tidegate only for the whole node are set for the node: a case is
//! about one of them. Directives that say how nginx spends its buffers say nothing to Tidegate and are left out.
//!
//! The file is JSON, which every reader of YAML reads.

use std::{fmt::Write as _, path::Path};

use serde_json::{Map, Value, json};

use super::{
    case::{Case, Code, Directive, Location, Phases, Set},
    scene::Scene,
};

/// The configuration of a case.
pub(crate) fn write(case: &Case, scene: &Scene) -> String {
    let mut writer = Writer { scene, chunks: 0, root: Map::new() };
    writer.node(case);
    writer.routes(case);
    let text = serde_json::to_string_pretty(&Value::Object(writer.root)).unwrap_or_default();
    printable(&text)
}

/// JSON may hold control characters that YAML has to have spelled out.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        let is_bare = c == '\n' || !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'));
        if is_bare {
            safe.push(c);
        } else {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        }
        safe
    })
}

pub(super) struct Writer<'a> {
    pub(super) scene: &'a Scene,
    /// Scripts so far; each gets a line number of its own in its name.
    chunks: u32,
    root: Map<String, Value>,
}

impl Writer<'_> {
    fn node(&mut self, case: &Case) {
        let directory = self.scene.folder.join("logs/error.log");
        self.root = object(json!({
            "listeners": [{ "address": format!("127.0.0.1:{}", self.scene.port) }],
            "admin": { "address": "127.0.0.1:0" },
            "workers": case.workers,
            "timeouts": { "drain": "0s", "keepAlive": "68s" },
            "limits": { "bodyBytes": "30MiB", "headerCount": 1024, "headerBytes": "64KiB", "clientBodyBuffer": "16KiB" },
            "answers": { "server": "nginx", "errors": "html", "framing": "nginx" },
            "errorLog": { "format": "nginx", "level": case.log_level, "file": directory },
            "lua": { "strictContexts": true },
        }));
        let main = &case.main_config;
        self.lua("packagePath", self.package_path(case).into());
        let cpath = main.package_cpath.as_ref().map(|path| self.scene.fill_text(path));
        self.lua("packageCpath", cpath.unwrap_or_else(|| ";;".into()).into());
        let dicts = main.shared_dicts.iter();
        let dicts = dicts.map(|(name, bytes)| (name.clone(), size(&self.scene.fill_text(bytes)).into()));
        let dicts = Value::Object(dicts.collect());
        self.lua("sharedDicts", dicts);
        if !main.env.is_empty() {
            let env: Vec<_> = main.env.iter().map(|entry| self.scene.fill_text(entry)).collect();
            self.lua("env", env.into());
        }
        for phases in [&main.phases, &case.server.phases] {
            // Those of handshakes are the listeners'.
            let phases = phases.iter().filter(|(phase, _)| !phase.starts_with("ssl_"));
            let phases = phases.map(|(phase, code)| (phase.clone(), code.clone())).collect();
            for (key, script) in self.phases(&phases) {
                self.lua(&key, script);
            }
        }
        let vars = self.vars(&case.server.set);
        if !vars.is_empty() {
            self.root.insert("vars".into(), vars.into());
        }
        let pools = main.outer.iter().filter_map(|directive| thread_pool(directive));
        let pools: Map<_, _> = pools.collect();
        self.lua("threadPools", pools.into());
        for directive in main.directives.iter().chain(&case.server.directives) {
            self.node_directive(directive);
        }
    }

    fn routes(&mut self, case: &Case) {
        let mut routes: Vec<Value> = Vec::new();
        for location in &case.locations {
            let mut route = self.route(location);
            if location.op.is_empty() && splits_a_segment(case, &location.r#match.0) {
                let place = self.scene.fill_text(&location.r#match);
                let place: String = place.chars().flat_map(escaped).collect();
                route.insert("match".into(), json!({ "path": format!("~ ^{place}") }));
            }
            routes.push(route.into());
        }
        let (listeners, others) = self.others(case);
        routes.extend(others);
        if let Some(Value::Array(own)) = self.root.get_mut("listeners") {
            own.extend(listeners);
        }
        let is_root = |location: &Location| location.op.is_empty() && location.r#match.0 == b"/";
        if !case.locations.iter().any(is_root) {
            routes.push(json!({ "match": { "path": "/*" }, "static": self.files() }));
        }
        self.root.insert("routes".into(), routes.into());
    }

    fn files(&self) -> Value {
        json!({ "root": self.scene.folder.join("html"), "index": "index.html" })
    }

    pub(super) fn route(&mut self, location: &Location) -> Map<String, Value> {
        let mut route = object(json!({ "match": self.place(location) }));
        let mut hooks: Map<_, _> = self.phases(&location.phases).into_iter().collect();
        let vars = self.vars(&location.set);
        if !vars.is_empty() {
            route.insert("vars".into(), vars.into());
        }
        for directive in &location.directives {
            self.location_directive(directive, &mut route, &mut hooks);
        }
        if !hooks.contains_key("content") {
            route.insert("static".into(), self.files());
        }
        if !hooks.is_empty() {
            route.insert("lua".into(), hooks.into());
        }
        route
    }

    fn place(&self, location: &Location) -> Value {
        let place = self.scene.fill_text(&location.r#match);
        match location.op.as_str() {
            "@" => json!({ "name": format!("@{place}") }),
            "=" => json!({ "path": place }),
            "~" => json!({ "path": format!("~ {place}") }),
            "~*" => json!({ "path": format!("~ (?i){place}") }),
            _ => json!({ "path": format!("{}/*", place.trim_end_matches('/')) }),
        }
    }

    pub(super) fn phases(&mut self, phases: &Phases) -> Vec<(String, Value)> {
        let mut scripts = Vec::new();
        for (phase, code) in phases {
            scripts.push((camel(phase), self.script(phase, code)));
        }
        scripts
    }

    fn script(&mut self, phase: &str, code: &Code) -> Value {
        match code {
            Code::File { file } => self.file(&self.scene.fill_text(file)),
            Code::Inline(source) => self.chunk(phase, &self.scene.fill(source)),
        }
    }

    /// Scripts are files when their name ends so. Which one it is that has variables in its name, is known when it runs.
    fn file(&self, path: &str) -> Value {
        if path.contains('$') {
            let folder = format!("{}/", self.scene.folder.display());
            let source = format!(
                "local path = ({path:?}):gsub('%$(%w+)', ngx.var)\nreturn assert(loadfile({folder:?} .. path))()"
            );
            return json!({ "source": source, "name": format!("={path}") });
        }
        if Path::new(path).extension().is_some_and(|ending| ending == "lua") {
            return path.into();
        }
        json!({ "source": format!("return assert(loadfile({:?}))()", self.scene.folder.join(path)),
                "name": format!("@{path}") })
    }

    fn chunk(&mut self, phase: &str, source: &[u8]) -> Value {
        self.chunks += 1;
        let name = format!("={phase}_by_lua(nginx.conf:{})", 20 + self.chunks);
        if let Ok(source) = std::str::from_utf8(source) {
            return json!({ "source": source, "name": name });
        }
        // Bytes that are no text can be said in Lua, not in JSON.
        json!({ "source": format!("return assert(loadstring({}, {name:?}))(...)", lua_string(source)), "name": name })
    }

    fn vars(&mut self, sets: &[Set]) -> Map<String, Value> {
        let mut vars = Map::new();
        for set in sets {
            let args: Vec<_> = set.args.iter().map(|arg| self.scene.fill_text(arg)).collect();
            let script = match (&set.lua, &set.file) {
                (Some(source), _) => Some(self.chunk("set", &self.scene.fill(source))),
                (None, Some(file)) => Some(self.file(&self.scene.fill_text(file))),
                (None, None) => None,
            };
            let value = match script {
                Some(lua) => json!({ "lua": lua, "args": args }),
                None => set.value.as_ref().map(|value| self.scene.fill_text(value)).into(),
            };
            vars.insert(set.var.trim_start_matches('$').to_owned(), value);
        }
        vars
    }

    /// As the reference runs it: what begins with a dot lies in the checkout, and the libraries that Tidegate brings
    /// along are not looked for elsewhere.
    fn package_path(&self, case: &Case) -> String {
        let Some(path) = &case.main_config.package_path else { return ";;".into() };
        let path = self.scene.fill_text(path).replace("${prefix}", "$prefix/");
        let brought = ["../lua-resty-core/lib/?.lua", "../lua-resty-lrucache/lib/?.lua"];
        // In its own checkout, that is the library itself.
        let is_core = |entry: &str| {
            case.id.starts_with("lua-resty-core/") && matches!(entry, "./lib/?.lua" | "lib/?.lua")
        };
        let root = self.scene.root.display();
        let entries =
            path.split(';').filter(|entry| !brought.contains(entry) && !is_core(entry)).map(|entry| {
                match entry.strip_prefix("./") {
                    Some(rest) => format!("{root}/{rest}"),
                    None if ["../", "lib/", "t/"].iter().any(|start| entry.starts_with(start)) => {
                        format!("{root}/{entry}")
                    }
                    None => entry.to_owned(),
                }
            });
        entries.collect::<Vec<_>>().join(";")
    }

    fn lua(&mut self, key: &str, value: Value) {
        if let Some(Value::Object(lua)) = self.root.get_mut("lua") {
            lua.insert(key.to_owned(), value);
        }
    }

    fn within(&mut self, section: &str, key: &str, value: Value) {
        let section = self.root.entry(section).or_insert_with(|| json!({}));
        if let Value::Object(section) = section {
            section.insert(key.to_owned(), value);
        }
    }

    fn socket(&mut self, key: &str, value: Value) {
        if let Some(Value::Object(lua)) = self.root.get_mut("lua")
            && let Value::Object(sockets) = lua.entry("sockets").or_insert_with(|| json!({}))
        {
            sockets.insert(key.to_owned(), value);
        }
    }

    fn location_directive(
        &mut self,
        directive: &Directive,
        route: &mut Map<String, Value>,
        hooks: &mut Map<String, Value>,
    ) {
        let [name, value, ..] = directive.as_slice() else {
            if directive.first().and_then(Value::as_str) == Some("internal") {
                route.insert("internal".into(), true.into());
            }
            return;
        };
        let (Some(name), Some(value)) = (name.as_str(), value.as_str()) else { return };
        match name {
            "default_type" => drop(hooks.insert("defaultType".into(), value.into())),
            "lua_need_request_body" => drop(hooks.insert("needRequestBody".into(), is_on(value))),
            "lua_check_client_abort" => drop(hooks.insert("checkClientAbort".into(), is_on(value))),
            "lua_use_default_type" => drop(hooks.insert("useDefaultType".into(), is_on(value))),
            _ => self.node_directive(directive),
        }
    }

    fn node_directive(&mut self, directive: &Directive) {
        let text = |at: usize| directive.get(at).and_then(Value::as_str).unwrap_or_default();
        let value = self.scene.fill_text(&super::case::Text(text(1).into()));
        match text(0) {
            "default_type" => self.lua("defaultType", value.into()),
            "chunked_transfer_encoding" if value == "off" => self.root["answers"]["framing"] = "short".into(),
            "lua_need_request_body" => self.lua("needRequestBody", is_on(&value)),
            "lua_check_client_abort" => self.lua("checkClientAbort", is_on(&value)),
            "lua_use_default_type" => self.lua("useDefaultType", is_on(&value)),
            "lua_code_cache" => self.lua("codeCache", is_on(&value)),
            "lua_http10_buffering" => self.lua("http10Buffering", is_on(&value)),
            "lua_transform_underscores_in_response_headers" => {
                self.lua("transformUnderscoresInResponseHeaders", is_on(&value));
            }
            "lua_max_pending_timers" => self.lua("maxPendingTimers", number(&value)),
            "lua_max_running_timers" => self.lua("maxRunningTimers", number(&value)),
            "lua_regex_cache_max_entries" => self.lua("regexCacheMaxEntries", number(&value)),
            "lua_capture_error_log" => self.lua("captureErrorLog", size(&value).into()),
            "lua_regex_match_limit" => self.lua("regexMatchLimit", number(&value)),
            "lua_socket_connect_timeout" => self.socket("connectTimeout", span(&value)),
            "lua_socket_send_timeout" => self.socket("sendTimeout", span(&value)),
            "lua_socket_read_timeout" => self.socket("readTimeout", span(&value)),
            "lua_socket_keepalive_timeout" => self.socket("keepAliveTimeout", span(&value)),
            "lua_socket_pool_size" => self.socket("poolSize", number(&value)),
            "lua_socket_buffer_size" => self.socket("bufferSize", size(&value).into()),
            "lua_socket_log_errors" => self.socket("logErrors", is_on(&value)),
            "lua_ssl_trusted_certificate" => {
                let path = self.certificate(&value);
                self.socket("trustedCertificate", json!(path));
            }
            "lua_ssl_protocols" => {
                if let Some(versions) = versions(directive) {
                    self.socket("tlsProtocols", versions);
                }
            }
            "lua_ssl_verify_depth" => self.socket("verifyDepth", number(&value)),
            "resolver" => self.socket("resolver", json!([value])),
            "resolver_timeout" => self.socket("resolverTimeout", span(&value)),
            "client_max_body_size" => self.within("limits", "bodyBytes", size(&value).into()),
            "client_body_buffer_size" => {
                self.within("limits", "clientBodyBuffer", size(&value).into());
            }
            "client_body_timeout" => self.within("timeouts", "bodyIdle", span(&value)),
            "send_timeout" => self.within("timeouts", "send", span(&value)),
            "keepalive_timeout" => self.within("timeouts", "keepAlive", span(&value)),
            _ => {}
        }
    }
}

/// Versions of TLS that a directive names and that there are.
pub(super) fn versions(directive: &Directive) -> Option<Value> {
    let named = directive.iter().skip(1).filter_map(Value::as_str);
    let known: Vec<_> = named
        .filter_map(|word| {
            ["TLSv1.2", "TLSv1.3"].into_iter().find(|version| version.eq_ignore_ascii_case(word))
        })
        .collect();
    (!known.is_empty()).then(|| json!(known))
}

/// `thread_pool NAME threads=N`.
fn thread_pool(directive: &[Value]) -> Option<(String, Value)> {
    let mut words = directive.iter().map(|word| word.as_str().unwrap_or_default());
    if words.next() != Some("thread_pool") {
        return None;
    }
    let name = words.next()?.to_owned();
    let threads = words.find_map(|word| word.strip_prefix("threads="));
    Some((name, number(threads.unwrap_or("32"))))
}

/// Whether a request of the case is for a path that begins with `prefix` and goes on within the same segment, which nginx
/// takes for the same location.
fn splits_a_segment(case: &Case, prefix: &[u8]) -> bool {
    case.requests.iter().any(|request| {
        let rest = request.path.0.strip_prefix(prefix).unwrap_or_default();
        !prefix.ends_with(b"/") && !rest.is_empty() && !rest.starts_with(b"/") && !rest.starts_with(b"?")
    })
}

/// A character of a path in a regular expression.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let special = r".+*?()|[]{}^$\".contains(character);
    special.then_some('\\').into_iter().chain([character])
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn is_on(value: &str) -> Value {
    (value == "on").into()
}

fn number(value: &str) -> Value {
    value.parse::<u64>().unwrap_or_default().into()
}

/// `1k`, `1m` and `1g` in Tidegate's spelling.
fn size(value: &str) -> String {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match value[digits.len()..].to_ascii_lowercase().as_str() {
        "k" => "KiB",
        "m" => "MiB",
        "g" => "GiB",
        _ => "B",
    };
    format!("{digits}{unit}")
}

/// A time without a unit is in seconds.
fn span(value: &str) -> Value {
    let has_unit = value.ends_with(|c: char| c.is_ascii_alphabetic());
    if has_unit { value.into() } else { format!("{value}s").into() }
}

/// `header_filter` → `headerFilter`.
fn camel(phase: &str) -> String {
    let mut words = phase.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}

fn lua_string(bytes: &[u8]) -> String {
    let body = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:03}");
        text
    });
    format!("\"{body}\"")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config(case: Value) -> Value {
        let mut whole = object(json!({
            "id": "s/t/a.t#1", "file": "t/a.t", "title": "", "repeat_each": 1, "workers": 1, "log_level": "warn",
            "timeout": 3, "main_config": {}, "server": {}, "locations": [], "requests": [], "expected": {},
        }));
        whole.extend(object(case));
        let case: Case = serde_json::from_value(whole.into()).unwrap();
        let scene = Scene::new(PathBuf::from("/scratch"), Path::new("/checkout")).unwrap();
        serde_json::from_str(&write(&case, &scene)).unwrap()
    }

    fn route(location: &Value) -> Value {
        config(json!({ "locations": [location] }))["routes"][0].clone()
    }

    #[test]
    fn locations_become_routes() {
        let path = |op: &str, place: &str| route(&json!({ "op": op, "match": place }))["match"].clone();
        assert_eq!(path("", "/a/"), json!({ "path": "/a/*" }));
        assert_eq!(path("", "/"), json!({ "path": "/*" }));
        assert_eq!(path("=", "/a"), json!({ "path": "/a" }));
        assert_eq!(path("~*", "^/a"), json!({ "path": "~ (?i)^/a" }));
        assert_eq!(path("@", "a"), json!({ "name": "@a" }));
    }

    #[test]
    fn a_location_has_what_goes_on_within_its_last_segment() {
        let case = |path: &str| {
            config(json!({
                "locations": [{ "match": "/a.b" }],
                "requests": [{ "method": "GET", "path": path, "version": "HTTP/1.1", "headers": [], "body": "" }],
            }))["routes"][0]["match"]["path"]
                .clone()
        };
        assert_eq!(case("/a.bc?d"), r"~ ^/a\.b");
        assert_eq!(case("/a.b?c"), "/a.b/*");
    }

    #[test]
    fn phases_keep_their_lua_under_the_name_that_people_look_for() {
        let phases = json!({ "header_filter": "return", "content": { "file": "html/a.lua" } });
        let lua = route(&json!({ "match": "/", "phases": phases }))["lua"].clone();
        assert_eq!(
            lua["headerFilter"],
            json!({ "source": "return", "name": "=header_filter_by_lua(nginx.conf:21)" })
        );
        assert_eq!(lua["content"], "html/a.lua");
    }

    #[test]
    fn a_file_with_variables_in_its_name_is_found_when_it_runs() {
        let phases = json!({ "content": { "file": "html/$arg_a.lua" } });
        let lua = route(&json!({ "match": "/", "phases": phases }))["lua"].clone();
        let source = lua["content"]["source"].as_str().unwrap();
        assert!(source.contains("ngx.var") && source.contains("\"/scratch/\""), "{source}");
    }

    #[test]
    fn a_location_without_content_serves_files() {
        assert_eq!(route(&json!({ "match": "/a" }))["static"]["root"], "/scratch/html");
        assert_eq!(route(&json!({ "match": "/a", "phases": { "content": "" } })).get("static"), None);
    }

    #[test]
    fn variables_are_text_or_lua() {
        let set =
            json!([{ "var": "$a", "value": "[$b]" }, { "var": "$c", "lua": "return 1", "args": ["$a"] }]);
        let vars = route(&json!({ "match": "/a", "set": set }))["vars"].clone();
        assert_eq!(vars["a"], "[$b]");
        assert_eq!(vars["c"]["args"], json!(["$a"]));
        assert_eq!(vars["c"]["lua"]["source"], "return 1");
    }

    #[test]
    fn directives_become_keys_with_units() {
        let main =
            json!({ "directives": [["lua_socket_read_timeout", "5"], ["client_max_body_size", "2m"]] });
        let config = config(json!({ "main_config": main }));
        assert_eq!(config["lua"]["sockets"]["readTimeout"], "5s");
        assert_eq!(config["limits"]["bodyBytes"], "2MiB");
    }

    #[test]
    fn package_paths_lie_in_the_checkout_without_what_tidegate_brings() {
        let path = "../lua-resty-core/lib/?.lua;./lib/?.lua;$TEST_NGINX_HTML_DIR/?.lua;;";
        let config = config(json!({ "main_config": { "package_path": path } }));
        assert_eq!(config["lua"]["packagePath"], "/checkout/lib/?.lua;/scratch/html/?.lua;;");
    }

    #[test]
    fn bytes_that_are_no_text_are_spelled_in_lua() {
        let lua = route(&json!({ "match": "/", "phases": { "content": { "b64": "/w==" } } }))["lua"].clone();
        assert!(lua["content"]["source"].as_str().unwrap().contains(r#"loadstring("\255""#));
    }

    #[test]
    fn other_servers_become_listeners_and_routes() {
        let server = json!({
            "listen": [["unix:$TEST_NGINX_HTML_DIR/a.sock", "ssl"]], "server_name": [["a.test"]],
            "phases": { "ssl_certificate": "return" },
            "directives": [["ssl_certificate", "../../cert/a.crt"], ["ssl_certificate_key", "../../cert/a.key"]],
            "locations": [{ "match": "/a", "phases": { "content": "" } }, { "match": "/b", "phases": { "content": "" } }],
        });
        let config = config(json!({ "locations": [{ "match": "/a" }], "servers": [server] }));
        let listener = &config["listeners"][1];
        assert_eq!(listener["address"], "unix:/scratch/html/a.sock");
        assert_eq!(
            listener["tls"],
            json!([{ "certificate": "/checkout/t/cert/a.crt", "key": "/checkout/t/cert/a.key" }])
        );
        assert_eq!(listener["lua"]["sslCertificate"]["source"], "return");
        assert_eq!(config["routes"][1]["match"], json!({ "path": "/a/*", "host": "a.test" }));
        assert_eq!(config["routes"][2]["match"], json!({ "path": "/b/*" }));
    }

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(printable("a\u{7f}\nb"), "a\\u007f\nb");
    }
}
