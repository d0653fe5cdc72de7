//! The Lua VM of one worker.
//!
//! A handler runs as a coroutine on a Lua thread of its own. Threads whose run has ended by itself go back into
//! a pool, so that a run which never waits costs no allocation; threads that were left suspended (by
//! `ngx.exit`, by an error, by an abandoned task) are given to the garbage collector, because LuaJIT
//! cannot rewind them.
//!
//! Invariant: outside of the methods here no Lua code runs, the main thread is idle, and the host has no
//! exchange. All methods refuse to work while Lua runs, so an [`Exchange`](crate::Exchange) that holds its VM
//! cannot enter it.
//!
//! Running out of memory outside of a protected call aborts the process, as it does in Rust.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    ffi::{c_int, c_void},
    fmt, ptr,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use mlua::{LightUserData, Lua, LuaOptions, StdLib, Table, ffi};
use tidegate_core::{
    DictName, Timestamp,
    snapshot::{Budget, LuaSettings, Script, Unreadable},
};

pub use self::{collect::Collection, modules::Module, rest::give_back};
use self::{collect::Collector, rest::Rest};
use crate::{
    Dicts, Error, Handler, Level, Log, LogRing, RequestState, ScriptError, WorkerIdentity,
    budget::{self, Onlooker, Watch},
    dict::SharedDict,
    error::Unloaded,
    flame::probe::Probe,
    host::Host,
    jobs::Jobs,
    ledger::Ledger,
    now::Now,
    prelude::{self, Prelude},
    regex::Closing,
    socket::Sockets,
    symbols::Hosts,
    task::Thread,
};

mod collect;
mod modules;
mod rest;
mod run;
mod stretch;

/// Idle threads that are kept; more were only needed in a burst.
const POOLED_THREADS: usize = 1_024;

/// How much code LuaJIT may compile: enough for large applications, where its own defaults flush and
/// start over.
const JIT_OPTIONS: [&str; 4] = ["maxtrace=8000", "maxrecord=16000", "minstitch=3", "maxmcode=40960"];

/// A LuaJIT VM with `ngx.*`, to be used by one thread.
pub struct Vm {
    main: *mut ffi::lua_State,
    /// References in the registry.
    describe: c_int,
    timer: c_int,
    ctx_tables: c_int,
    waiting: c_int,
    prelude: Prelude,
    /// Numbers of all dictionaries there ever were.
    dict_numbers: RefCell<HashMap<DictName, usize>>,
    pool: RefCell<Vec<Thread>>,
    running: Cell<bool>,
    /// What bounds every run.
    budget: Budget,
    // Dropped before the VM that it watches.
    watch: OnceCell<Option<Watch>>,
    /// Who is told of what holds up the thread. Taken when the first run begins.
    onlooker: Cell<Option<Box<dyn Onlooker>>>,
    rest: Rest,
    collector: Collector,
    /// Of the run that goes on, for the memory of the VM.
    ceiling: Cell<usize>,
    /// What looks at it, while it is looked at. Dropped before the VM.
    pub(crate) probe: RefCell<Option<Box<Probe>>>,
    // Dropped before the VM whose allocator it is.
    ledger: Box<Ledger>,
    // Dropped before the host, whose address its code has.
    lua: Lua,
    _closing: Closing,
    pub(crate) host: Rc<Host>,
}

impl Drop for Vm {
    fn drop(&mut self) {
        Closing::begin();
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm").field("worker", &self.host.worker).finish_non_exhaustive()
    }
}

impl Vm {
    /// The stack that a thread which runs a VM should have. LuaJIT bounds its own stack but not C's, which
    /// functions like `string.gsub` take up when their callbacks call them again; with this much, LuaJIT's limit is
    /// met first and such a script fails as any other. Only what is used becomes memory.
    pub const STACK_BYTES: usize = 96 << 20;

    /// `log` must not use the VM.
    #[expect(clippy::needless_pass_by_value, reason = "the VM shares the dictionaries")]
    pub fn new(
        settings: &LuaSettings,
        dicts: Arc<Dicts>,
        worker: WorkerIdentity,
        log: Log,
    ) -> Result<Self, Error> {
        let sockets = Sockets::new(&settings.sockets).map_err(Error::Start)?;
        let host = Rc::new(Host::new(worker, log, sockets, settings));
        Hosts::add(Rc::downgrade(&host));
        let options = LuaOptions::new();
        // SAFETY: scripts of the configuration are trusted with all of LuaJIT, its FFI included.
        let lua = unsafe { Lua::unsafe_new_with(StdLib::ALL, options) };
        let start = |error: mlua::Error| Error::Start(error.to_string());
        rest::pause(&lua).map_err(start)?;
        configure(&lua, settings).map_err(start)?;
        let address = LightUserData(Rc::as_ptr(&host).cast_mut().cast::<c_void>());
        if settings.regex_match_limit > 0 {
            host.regex.set_match_limit(settings.regex_match_limit);
        }
        host.hyphenates.set(settings.transform_underscores);
        let prelude = prelude::load(&lua, settings, address, worker).map_err(start)?;
        let mut main = ptr::null_mut();
        let (mut describe, mut ctx_tables, mut waiting, mut timer) = (0, 0, 0, 0);
        // SAFETY: the closure runs protected, with its four arguments on the stack, and takes them off.
        unsafe {
            lua.exec_raw::<()>(
                (&prelude.describe, &prelude.ctx_tables, &prelude.waiting, &prelude.timer),
                |state| {
                    main = state;
                    timer = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
                    waiting = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
                    ctx_tables = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
                    describe = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
                },
            )
        }
        .map_err(start)?;
        host.set_main(main);
        let vm = Self {
            main,
            describe,
            timer,
            ctx_tables,
            waiting,
            prelude,
            dict_numbers: RefCell::default(),
            pool: RefCell::default(),
            running: Cell::new(false),
            budget: settings.budget,
            watch: OnceCell::new(),
            onlooker: Cell::default(),
            rest: Rest::default(),
            collector: Collector::default(),
            ceiling: Cell::new(usize::MAX),
            probe: RefCell::default(),
            ledger: Ledger::open(main, lua.used_memory(), budget::too_large),
            lua,
            _closing: Closing,
            host,
        };
        vm.set_pause();
        vm.bind(&dicts).map_err(start)?;
        let jobs = Jobs::new(settings, &dicts, worker, &vm.host.log);
        let set = vm.host.jobs.set(jobs);
        debug_assert!(set.is_ok(), "the pools are made once");
        vm.wake();
        Ok(vm)
    }

    /// Sets the time: `wall` is what scripts see, `instant` what dictionaries expire by. The worker calls it as its loop turns.
    pub fn set_now(&self, wall: Timestamp, instant: Instant) {
        self.host.set_now(Now::new(wall, instant));
    }

    /// Has `onlooker` told of what holds up this thread, if there are budgets. To be called before anything runs.
    pub fn set_onlooker(&self, onlooker: Box<dyn Onlooker>) {
        self.onlooker.set(Some(onlooker));
    }

    /// Scripts' lines less urgent than `level` are dropped before they are put together. At first none are.
    pub fn set_log_level(&self, level: Level) {
        self.host.block.log_level.set(level as i32);
    }

    /// What `ngx.errlog.get_logs` takes lines from. The log that the VM was made with has to put them there.
    pub fn set_log_ring(&self, ring: Arc<LogRing>) {
        let _ = self.host.log_ring.set(ring); // It stays what it was, as the log does.
    }

    /// What `ngx.worker.exiting()` says.
    pub fn set_exiting(&self, exiting: bool) {
        self.host.block.exiting.set(i32::from(exiting));
    }

    pub fn is_exiting(&self) -> bool {
        self.host.block.exiting.get() != 0
    }

    /// Puts other dictionaries in the place of those there are. Scripts that kept one go on with its
    /// successor of the same name, or with the old one where the name is gone. Not to be called by an exchange, for
    /// which it does nothing.
    #[expect(clippy::needless_pass_by_value, reason = "the VM shares the dictionaries")]
    pub fn set_dicts(&self, dicts: Arc<Dicts>) {
        if self.running.get() {
            return;
        }
        // Fails only where memory does, and then leaves what there was.
        let _ = self.bind(&dicts);
        if let Some(jobs) = self.host.jobs.get() {
            jobs.set_dicts(&dicts);
        }
    }

    /// Does a call that came from another VM.
    pub(crate) fn perform(&self, payload: &[u8]) -> Result<Vec<u8>, String> {
        self.running.set(true);
        self.host.block.phase.set(crate::Phase::WorkerThread as i32);
        let done = self
            .lua
            .create_string(payload)
            .and_then(|payload| self.prelude.perform.call::<(bool, mlua::LuaString)>(payload));
        self.host.block.phase.set(0);
        self.running.set(false);
        match done {
            Ok((true, bytes)) => Ok(bytes.as_bytes().to_vec()),
            Ok((false, why)) => Err(why.to_string_lossy()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Bytes that Lua has allocated.
    pub fn memory_bytes(&self) -> usize {
        self.ledger.state().0
    }

    /// Runs that wait or go on, and light threads until somebody has waited for them. What scripts make with
    /// `coroutine.create` is not among them.
    pub fn coroutines_in_flight(&self) -> usize {
        self.host.retired.threads() - self.pool.borrow().len()
    }

    /// Compiles a script that runs in a phase of requests. Its globals are its own: what it sets, no other script sees.
    pub fn load(&self, script: &Script) -> Result<Handler, Error> {
        self.compile(script, Purpose::Phase, Trust::Full)
    }

    /// Compiles a script whose globals all scripts and modules see: one that prepares the VM for them.
    pub fn load_shared(&self, script: &Script) -> Result<Handler, Error> {
        self.compile(script, Purpose::Shared, Trust::Full)
    }

    /// A handler for a script that cannot be had: starting it fails, in OpenResty's words.
    pub fn load_failing(&self, script: &Script, error: &Error) -> Handler {
        let (why, kind) = match &script.unreadable {
            Some(Unreadable { why, is_missing: true }) => {
                (format!("cannot open {}: {why}", script.name), Unloaded::Missing)
            }
            Some(Unreadable { why, .. }) => {
                (format!("cannot open {}: {why}", script.name), Unloaded::Unreadable)
            }
            None => (error.to_string(), Unloaded::Invalid),
        };
        let message = if script.is_file() {
            format!("failed to load external Lua file \"{}\": {why}", script.name)
        } else {
            format!("failed to load inlined Lua code: {why}")
        };
        Handler::failing(ScriptError::unloaded(message, kind), &self.host.retired)
    }

    pub fn compile(&self, script: &Script, purpose: Purpose, trust: Trust) -> Result<Handler, Error> {
        if self.running.get() {
            return Err(Error::Busy);
        }
        self.sweep();
        if let Some(Unreadable { why, .. }) = &script.unreadable {
            return Err(Error::Unreadable(format!("cannot open {}: {why}", script.name)));
        }
        let name = match script.name.as_bytes() {
            [b'@' | b'=', ..] => script.name.to_string(),
            _ => format!("@{}", script.name),
        };
        let syntax = |error: mlua::Error| Error::Syntax(error.to_string());
        let (function, wrong) = self
            .prelude
            .load
            .call::<(Option<mlua::Function>, Option<mlua::LuaString>)>((
                &*script.source,
                name,
                purpose.name(),
                trust == Trust::Sandbox,
            ))
            .map_err(syntax)?;
        let Some(function) = function else {
            return Err(Error::Syntax(wrong.map_or_else(String::new, |wrong| wrong.to_string_lossy())));
        };
        let mut number = 0;
        // SAFETY: the closure runs protected, with the function on the stack, and takes it off.
        unsafe {
            self.lua.exec_raw::<()>(function, |state| number = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX))
        }
        .map_err(syntax)?;
        Ok(Handler::new(number, &self.host.retired))
    }

    /// The request is over: what Lua keeps for it is released.
    pub fn finish(&self, state: &mut RequestState) {
        drop(state.ctx.take());
        drop(state.sockets.take());
        if !self.running.get() {
            self.sweep();
        }
    }

    /// Says what a thread that failed raised, and where. What was raised stays on its stack.
    ///
    /// # Safety
    ///
    /// `state` is dead, with what was raised on top of its stack, and in the registry at `number`.
    unsafe fn describe(&self, state: *mut ffi::lua_State, number: c_int) -> ScriptError {
        // SAFETY: what was raised is moved off for a moment but nothing more put there, because the stack may be what
        // overflowed. The main thread is idle; it has room for the function, its two arguments and one more value,
        // and is left as it was.
        unsafe {
            let top = ffi::lua_gettop(self.main);
            ffi::lua_rawgeti_(self.main, ffi::LUA_REGISTRYINDEX, self.describe);
            ffi::lua_rawgeti_(self.main, ffi::LUA_REGISTRYINDEX, number);
            ffi::lua_xmove(state, self.main, 1);
            ffi::lua_pushvalue(self.main, -1);
            ffi::lua_xmove(self.main, state, 1);
            let error = if ffi::lua_pcall(self.main, 2, 2, 0) == ffi::LUA_OK {
                ScriptError::new(string(self.main, -2), string(self.main, -1))
            } else {
                ScriptError::new(string(self.main, -1), String::new())
            };
            ffi::lua_settop(self.main, top);
            error
        }
    }

    /// Releases what was handed out and dropped since.
    fn sweep(&self) {
        if !self.host.retired.is_empty() {
            self.release();
        }
    }

    #[cold]
    fn release(&self) {
        let retired = &self.host.retired;
        for number in retired.references.borrow_mut().drain(..) {
            // SAFETY: the number is of this VM's registry and was dropped once.
            unsafe { ffi::luaL_unref(self.main, ffi::LUA_REGISTRYINDEX, number) };
        }
        for number in retired.ctx_tables.borrow_mut().drain(..) {
            // SAFETY: the main thread is idle, has room for two values, and is left as it was. The
            // reference is a table.
            unsafe {
                ffi::lua_rawgeti_(self.main, ffi::LUA_REGISTRYINDEX, self.ctx_tables);
                ffi::lua_pushnil(self.main);
                ffi::lua_rawseti_(self.main, -2, number);
                ffi::lua_settop(self.main, -2);
            }
            retired.ctx_free.borrow_mut().push(number);
        }
    }

    /// Puts a dictionary at the number that its name has, or a new one.
    fn number(
        &self,
        numbers: &mut HashMap<DictName, usize>,
        name: &DictName,
        dict: &Arc<SharedDict>,
    ) -> usize {
        let mut bound = self.host.dicts.borrow_mut();
        let number = *numbers.entry(name.clone()).or_insert(bound.len());
        match bound.get_mut(number) {
            Some(old) => *old = Arc::clone(dict),
            None => bound.push(Arc::clone(dict)),
        }
        number
    }

    fn bind(&self, dicts: &Dicts) -> mlua::Result<()> {
        let shared = &self.prelude.shared;
        let mut numbers = self.dict_numbers.borrow_mut();
        let gone: Vec<_> = numbers.keys().filter(|name| dicts.get(name).is_none()).collect();
        for name in gone {
            shared.raw_remove(name.as_str())?;
        }
        for (name, dict) in dicts {
            let number = self.number(&mut numbers, name, dict);
            if !shared.contains_key(name.as_str())? {
                shared.raw_set(name.as_str(), self.prelude.dictionary.call::<Table>(number)?)?;
            }
        }
        Ok(())
    }
}

/// What a script is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A phase of requests.
    Phase,
    /// The set phase: what it returns is kept in [`crate::Arguments`].
    Variable,
    /// To prepare the VM for others.
    Shared,
}

impl Purpose {
    /// As the prelude calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Variable => "computed",
            Self::Shared => "shared",
        }
    }
}

/// What a script may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// All that its process may.
    Full,
    /// Requests and what is the script's own: no files, processes, FFI, bytecode, nor what others keep in the VM.
    Sandbox,
}

/// Adds the places where distributions put libraries, which LuaJIT does not look at by itself.
fn add_packaged(package: &Table) -> mlua::Result<()> {
    let machine = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    let modules = format!("/usr/lib/{machine}-linux-gnu/lua/5.1/?.so;/usr/lib/lua/5.1/?.so");
    for (name, known, packaged) in [
        ("path", "/usr/local/share/lua/5.1/?.lua", "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"),
        ("cpath", "/usr/local/lib/lua/5.1/?.so", modules.as_str()),
    ] {
        let places: String = package.get(name)?;
        // Otherwise the environment says what is looked at, and that is not to be added to.
        if places.contains(known) {
            package.set(name, format!("{places};{packaged}"))?;
        }
    }
    Ok(())
}

fn configure(lua: &Lua, settings: &LuaSettings) -> mlua::Result<()> {
    let globals = lua.globals();
    globals
        .get::<Table>("jit")?
        .get::<Table>("opt")?
        .get::<mlua::Function>("start")?
        .call::<()>(mlua::Variadic::from_iter(JIT_OPTIONS))?;
    let package = globals.get::<Table>("package")?;
    add_packaged(&package)?;
    for (name, path) in [("path", &settings.package_path), ("cpath", &settings.package_cpath)] {
        if !path.is_empty() {
            let default: String = package.get(name)?;
            package.set(name, path.replace(";;", &format!(";{default}")))?;
        }
    }
    if let Some(names) = &settings.env {
        globals.get::<Table>("os")?.set("getenv", environment(lua, names)?)?;
    }
    Ok(())
}

/// `os.getenv`, for what a configuration lets scripts see.
fn environment(lua: &Lua, names: &[String]) -> mlua::Result<mlua::Function> {
    let visible = lua.create_table()?;
    for name in names {
        if let Some((name, value)) = name.split_once('=') {
            visible.set(name, value)?;
        } else if let Some(value) = std::env::var_os(name) {
            visible.set(name.as_str(), lua.create_string(value.as_encoded_bytes())?)?;
        }
    }
    lua.create_function(move |_, name: mlua::LuaString| visible.get::<mlua::Value>(name))
}

/// The text at a place of the stack.
///
/// # Safety
///
/// `state` is valid and idle, and `index` is on its stack.
unsafe fn string(state: *mut ffi::lua_State, index: c_int) -> String {
    let mut length = 0;
    // SAFETY: by the caller's word. The bytes are copied before anything else happens to the stack.
    unsafe {
        let bytes = ffi::lua_tolstring(state, index, &raw mut length);
        if bytes.is_null() {
            return String::new();
        }
        String::from_utf8_lossy(std::slice::from_raw_parts(bytes.cast(), length)).into_owned()
    }
}
