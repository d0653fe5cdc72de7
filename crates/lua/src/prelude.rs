//! The half of `ngx.*` that is written in Lua: one file a topic, loaded in order when a VM is made.
//!
//! The parts share a table, the kit: [`base`](self) puts the host's functions into it, later parts
//! what others need. What the host needs back it takes from the kit as well.

use std::{
    collections::BTreeMap,
    process,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use mlua::{Function, LightUserData, Lua, Table, Value, chunk::ChunkMode};
use tidegate_core::snapshot::LuaSettings;

use crate::{
    Phase, WorkerIdentity,
    abi::{self, Export},
    api, host, json, regex, symbols,
};

const PARTS: &[(&str, &str)] = &[
    ("constants", include_str!("prelude/constants.lua")),
    ("coroutine", include_str!("prelude/coroutine.lua")),
    ("thread", include_str!("prelude/thread.lua")),
    ("timer", include_str!("prelude/timer.lua")),
    ("semaphore", include_str!("prelude/semaphore.lua")),
    ("log", include_str!("prelude/log.lua")),
    ("request", include_str!("prelude/request.lua")),
    ("body", include_str!("prelude/body.lua")),
    ("response", include_str!("prelude/response.lua")),
    ("variable", include_str!("prelude/variable.lua")),
    ("output", include_str!("prelude/output.lua")),
    ("arguments", include_str!("prelude/arguments.lua")),
    ("flow", include_str!("prelude/flow.lua")),
    ("context", include_str!("prelude/context.lua")),
    ("capture", include_str!("prelude/capture.lua")),
    ("dictionary", include_str!("prelude/dictionary.lua")),
    ("time", include_str!("prelude/time.lua")),
    ("text", include_str!("prelude/text.lua")),
    ("digest", include_str!("prelude/digest.lua")),
    ("json", include_str!("prelude/json.lua")),
    ("tables", include_str!("prelude/tables.lua")),
    ("cache", include_str!("prelude/cache.lua")),
    ("regex", include_str!("prelude/regex.lua")),
    ("worker", include_str!("prelude/worker.lua")),
    ("socket", include_str!("prelude/socket.lua")),
    ("socket_receive", include_str!("prelude/socket_receive.lua")),
    ("socket_send", include_str!("prelude/socket_send.lua")),
    ("socket_tls", include_str!("prelude/socket_tls.lua")),
    ("socket_option", include_str!("prelude/socket_option.lua")),
    ("job", include_str!("prelude/job.lua")),
    ("datagram", include_str!("prelude/datagram.lua")),
    ("ndk", include_str!("prelude/ndk.lua")),
    ("library", include_str!("prelude/library.lua")),
    ("finalizer", include_str!("prelude/finalizer.lua")),
    ("request_socket", include_str!("prelude/request_socket.lua")),
    ("sandbox", include_str!("prelude/sandbox.lua")),
    ("script", include_str!("prelude/script.lua")),
    ("fields", include_str!("prelude/fields.lua")),
];

static EXPORTS: OnceLock<Vec<Export>> = OnceLock::new();

/// What the host uses of the prelude.
pub(crate) struct Prelude {
    /// `(source, chunk name, what for, whether it is sandboxed)` to a function, or nil and why not.
    pub(crate) load: Function,
    /// `(thread, raised)` to a message and a traceback.
    pub(crate) describe: Function,
    /// The tables of `ngx.ctx`, by number.
    pub(crate) ctx_tables: Table,
    /// `(timer, premature, whether it is the last time)` to a function and its arguments.
    pub(crate) timer: Function,
    /// The coroutines that only the host may resume.
    pub(crate) waiting: Table,
    /// Makes the dictionary of a number.
    pub(crate) dictionary: Function,
    /// Bytes of a call to whether it went well, and bytes of its results.
    pub(crate) perform: Function,
    /// `ngx.shared`.
    pub(crate) shared: Table,
}

/// Makes `ngx` in the globals of `lua`; `host` is the address of the host that its functions work on.
pub(crate) fn load(
    lua: &Lua,
    settings: &LuaSettings,
    host: LightUserData,
    worker: WorkerIdentity,
) -> mlua::Result<Prelude> {
    let kit = lua.create_table()?;
    chunk(lua, "base", include_str!("prelude/base.lua"))?.call::<()>((
        &kit,
        [host::DECLARATIONS, host::CORE_TYPES, symbols::DECLARATIONS, regex::DECLARATIONS].concat(),
        abi::list(lua, EXPORTS.get_or_init(api::exports))?,
        host,
        Value::NULL,
        phases(lua)?,
        settings.strict_contexts,
    ))?;
    kit.set("json", json::open(lua)?)?;
    kit.set("lists_env", settings.env.is_some())?;
    kit.set("regex_cache", settings.regex_cache_entries)?;
    let prefix = prefix(&settings.prefix);
    let pid = enroll(worker.id);
    let pids =
        lua.create_function(|_, ()| Ok(PIDS.lock().unwrap_or_else(PoisonError::into_inner).clone()))?;
    kit.set("process_id", process::id())?;
    for &(name, source) in PARTS {
        chunk(lua, name, source)?.call::<()>((&kit, worker.id, worker.count, pid, &*prefix, &pids))?;
    }
    Ok(Prelude {
        load: kit.get("load")?,
        describe: kit.get("describe")?,
        ctx_tables: kit.get("ctx_tables")?,
        timer: kit.get("timer")?,
        waiting: kit.get("waiting")?,
        dictionary: kit.get("dictionary")?,
        perform: kit.get("perform")?,
        shared: kit.get::<Table>("ngx")?.get("shared")?,
    })
}

/// The number by which each worker goes, by that of the worker. A slow lane is a worker with a number of its own.
static PIDS: Mutex<BTreeMap<u32, i32>> = Mutex::new(BTreeMap::new());

/// What tells the worker that runs on this thread from all others of the machine: libraries count on that when they
/// seed, or tell who sent something. It is the number of the thread, which the kernel takes for one of the process.
fn enroll(worker: u32) -> i32 {
    let pid = rustix::thread::gettid().as_raw_nonzero().get();
    PIDS.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, pid);
    pid
}

/// What the prelude knows of each phase.
fn phases(lua: &Lua) -> mlua::Result<Table> {
    let phases = Phase::ALL.map(|phase| (phase as u32, phase.name(), phase.context()));
    lua.create_sequence_from(
        phases
            .into_iter()
            .map(|(bit, name, context)| {
                lua.create_table_from([("name", name), ("context", context)]).and_then(|table| {
                    table.set("bit", bit)?;
                    Ok(table)
                })
            })
            .collect::<mlua::Result<Vec<_>>>()?,
    )
}

/// Parts in compiled form. Every VM of the process runs the same ones, and to parse them takes longer than all else
/// that makes a VM.
static COMPILED: Mutex<BTreeMap<&'static str, Arc<[u8]>>> = Mutex::new(BTreeMap::new());

fn chunk(lua: &Lua, name: &'static str, source: &str) -> mlua::Result<Function> {
    // Nothing panics while it holds the lock.
    let compiled = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = compiled().get(name).cloned();
    if let Some(code) = known {
        return lua.load(&*code).set_mode(ChunkMode::Binary).into_function();
    }
    let function = lua.load(source).set_name(format!("=ngx.{name}")).into_function()?;
    // With line numbers: errors name them.
    compiled().insert(name, function.dump(false).into());
    Ok(function)
}

/// `folder` from the root on, with a slash at its end; where the process runs if it is empty.
fn prefix(folder: &str) -> String {
    let folder = if folder.is_empty() { "." } else { folder };
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    format!("{}/", path.to_string_lossy().trim_end_matches('/'))
}
