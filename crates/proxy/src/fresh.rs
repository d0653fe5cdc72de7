//! `lua.codeCache: false`: a VM for each request, with all of its code read anew.
//!
//! For development: whoever changes a script or a module sees it with the next request. What outlives a request is what is
//! not the VM's: shared dictionaries, and connections to upstreams. Subrequests, and whatever else is done for the request, are
//! in its VM. Timers that it set go on in it; once the request is over, `ngx.worker.exiting()` says true there, so that
//! what repeats itself comes to an end and the VM with it.
//!
//! `initWorker` and `exitWorker` run in the worker's own VM, with its timers, as ever.

use std::{fs, io, rc::Rc, sync::Arc};

use tidegate_core::{
    Snapshot,
    snapshot::{Assignment, Script, ServerTls, Unreadable, Value},
};

use crate::{
    chores,
    site::{Ground, Site},
    worker::Worker,
};

/// The site that one request is served by, in place of `site`.
pub(crate) fn site(worker: &Rc<Worker>, site: &Site) -> Result<Site, tidegate_lua::Error> {
    let snapshot = Arc::new(read_anew(&site.snapshot));
    let vm = worker.make_vm(&snapshot)?;
    chores::keep_timers(worker, &vm);
    let ground = Ground {
        worker: worker.index,
        telemetry: &worker.shared.telemetry,
        vm: &vm,
        deadlines: &worker.deadlines,
        ways: &worker.tls().ways,
    };
    Site::new(&snapshot, &ground, Some(site))
}

/// The same configuration with the scripts as their files are now.
fn read_anew(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    let lua = &mut snapshot.lua;
    let of_node = [&mut lua.init, &mut lua.server_rewrite].into_iter().flatten();
    of_node.for_each(read_script);
    let of_listeners = snapshot.listeners.iter_mut().filter_map(|one| one.tls.as_mut());
    of_listeners.flat_map(ServerTls::scripts_mut).for_each(read_script);
    read_vars(&mut snapshot.vars);
    for route in &mut snapshot.routes {
        route.hooks.scripts_mut().for_each(read_script);
        read_vars(&mut route.vars);
    }
    snapshot
}

fn read_vars(vars: &mut [Assignment]) {
    for var in vars {
        if let Value::Lua { script, .. } = &mut var.value {
            read_script(script);
        }
    }
}

fn read_script(script: &mut Script) {
    // What is named like a file and came with its source has none.
    if !script.is_file() || script.name.starts_with('@') {
        return;
    }
    let (source, unreadable) = match fs::read_to_string(&*script.name) {
        Ok(source) => (source, None),
        Err(error) => {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            (String::new(), Some(Unreadable { why: error.to_string().into(), is_missing }))
        }
    };
    // As it was, it stays the same to whoever compares.
    if *source != *script.source || unreadable.is_some() {
        script.source = source.into();
    }
    script.unreadable = unreadable;
}
