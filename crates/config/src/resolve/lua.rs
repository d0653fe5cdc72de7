//! `lua`, `vars`, and the phases that routes inherit.

use std::path::Path;

use tidegate_core::snapshot::{
    Assignment, Budget, Hooks, LuaSettings, Script, SocketSettings, Template, TlsVersions, Value,
};

use crate::{
    decode::{Field, Located},
    leaf::text::Code,
    raw::{
        self,
        lua::{Chunk, Var},
        route,
    },
    resolve::Resolver,
};

impl Resolver<'_, '_> {
    pub(super) fn lua(&mut self, raw: &raw::Lua) -> Option<LuaSettings> {
        let init = self.needed(&raw.init);
        let init_worker = self.chunk(&raw.init_worker);
        let exit_worker = self.chunk(&raw.exit_worker);
        let server_rewrite = self.chunk(&raw.server_rewrite);
        // Not every route has to inherit these, so their mistakes are found here.
        let phases =
            [&raw.rewrite, &raw.access, &raw.precontent, &raw.header_filter, &raw.body_filter, &raw.log];
        for phase in phases {
            self.chunk(phase);
        }
        let prefix = self.prefix();
        let path = |path: &str| {
            // Its slash and the one that mostly follows are one.
            let path = path.replace("${prefix}", "$prefix").replace("$prefix/", "$prefix");
            path.replace("$prefix", &prefix)
        };
        let raw_sockets = raw.sockets.value()?;
        let versions = raw_sockets.tls_protocols.optional().and_then(|list| self.versions(list));
        let sockets = sockets(raw_sockets, path, versions);
        let env = match raw.env.optional()? {
            Some(env) => Some(env.value.resolve(|name, _| Some(name.0.clone()))?),
            None => None,
        };
        Some(LuaSettings {
            package_path: path(&raw.package_path.value()?.0),
            package_cpath: path(&raw.package_cpath.value()?.0),
            shared_dicts: raw.shared_dicts.value()?.resolve(|_, _, size| Some(size.0))?,
            thread_pools: raw.thread_pools.value()?.resolve(|_, _, count| Some(count.as_u32()))?,
            code_cache: *raw.code_cache.value()?,
            init: init?,
            init_worker: init_worker?,
            exit_worker: exit_worker?,
            server_rewrite: server_rewrite?,
            env,
            strict_contexts: *raw.strict_contexts.value()?,
            max_pending_timers: raw.max_pending_timers.value()?.0 as usize,
            max_running_timers: raw.max_running_timers.value()?.0 as usize,
            http10_buffering: *raw.http10_buffering.value()?,
            transform_underscores: *raw.transform_underscores_in_response_headers.value()?,
            regex_cache_entries: raw.regex_cache_max_entries.value()?.0 as usize,
            regex_match_limit: raw.regex_match_limit.value()?.as_u32(),
            captured_log_bytes: raw.capture_error_log.optional()?.map_or(0, |size| size.value.0 as usize),
            sandbox: *raw.sandbox.value()?,
            fleet: None,
            sockets: sockets?,
            budget: budget(raw.budget.value()?)?,
            prefix,
        })
    }

    /// The folder of the configuration, with a slash at its end.
    fn prefix(&self) -> String {
        let folder = self.scripts.locate(Path::new(""));
        let folder = folder.to_string_lossy();
        match &*folder {
            "" => "./".into(),
            folder if folder.ends_with('/') => folder.into(),
            folder => format!("{folder}/"),
        }
    }

    pub(super) fn hooks(&mut self, raw: &route::Hooks) -> Option<Hooks> {
        let root = self.raw.lua.value();
        let mut phase = |own: &Field<Chunk>, inherited: Option<&Field<Chunk>>| match inherited {
            Some(inherited) if own.is_absent() => self.chunk(inherited),
            _ => self.chunk(own),
        };
        let rewrite = phase(&raw.rewrite, root.map(|root| &root.rewrite));
        let access = phase(&raw.access, root.map(|root| &root.access));
        let precontent = phase(&raw.precontent, root.map(|root| &root.precontent));
        let content = phase(&raw.content, None);
        let balancer = phase(&raw.balancer, None);
        let header_filter = phase(&raw.header_filter, root.map(|root| &root.header_filter));
        let body_filter = phase(&raw.body_filter, root.map(|root| &root.body_filter));
        let log = phase(&raw.log, root.map(|root| &root.log));
        Some(Hooks {
            rewrite: rewrite?,
            access: access?,
            precontent: precontent?,
            content: content?,
            balancer: balancer?,
            header_filter: header_filter?,
            body_filter: body_filter?,
            log: log?,
        })
    }

    #[expect(clippy::option_option, reason = "no script differs from a broken one")]
    pub(super) fn chunk(&mut self, raw: &Field<Chunk>) -> Option<Option<Script>> {
        match raw.optional()? {
            Some(Located { value, place }) => self.scripts.chunk(value, *place, self.report).map(Some),
            None => Some(None),
        }
    }

    /// A script without which no worker can begin.
    #[expect(clippy::option_option, reason = "no script differs from a broken one")]
    fn needed(&mut self, raw: &Field<Chunk>) -> Option<Option<Script>> {
        match raw.optional()? {
            Some(Located { value: Chunk::Plain(Code::File(path)), place }) => {
                self.scripts.file(path, *place, self.report).map(Some)
            }
            _ => self.chunk(raw),
        }
    }

    /// Variables in the order of the file.
    pub(super) fn vars(&mut self, raw: &raw::Vars) -> Option<Vec<Assignment>> {
        let all = raw.0.iter().map(|entry| {
            let (name, value) = entry.name.as_ref().zip(entry.value.as_ref())?;
            Some(Assignment { name: name.0.clone(), value: self.value(value)? })
        });
        let all: Vec<_> = all.collect();
        all.into_iter().collect()
    }

    fn value(&mut self, raw: &Var) -> Option<Value> {
        match raw {
            Var::Text(text) => Some(Value::Text(Template::parse(&text.0))),
            Var::Computed(computed) => {
                let script = self.chunk(&computed.lua);
                let args = computed.args.value()?.resolve(|text, _| Some(Template::parse(&text.0)))?;
                Some(Value::Lua { script: script??, args })
            }
        }
    }
}

fn budget(raw: &raw::lua::Budget) -> Option<Budget> {
    Some(Budget { cpu: raw.cpu.value()?.0, memory_bytes: raw.memory.value()?.0 })
}

fn sockets(
    raw: &raw::lua::Sockets,
    path: impl Fn(&str) -> String,
    versions: Option<TlsVersions>,
) -> Option<SocketSettings> {
    Some(SocketSettings {
        connect_timeout: raw.connect_timeout.value()?.0,
        send_timeout: raw.send_timeout.value()?.0,
        read_timeout: raw.read_timeout.value()?.0,
        keep_alive_timeout: raw.keep_alive_timeout.value()?.0,
        pool_size: raw.pool_size.value()?.0 as usize,
        buffer_bytes: raw.buffer_size.value()?.0 as usize,
        log_errors: *raw.log_errors.value()?,
        trusted_certificate: path(&raw.trusted_certificate.value()?.0),
        verify_depth: raw.verify_depth.value()?.as_u32(),
        tls_versions: versions?,
        resolver: raw.resolver.value()?.resolve(|server, _| Some(server.0.clone()))?,
        resolver_timeout: raw.resolver_timeout.value()?.0,
    })
}
