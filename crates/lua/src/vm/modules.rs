//! Where `require` would find a module, without running anything of it.

use std::path::PathBuf;

use mlua::{Function, Table, Value};

use super::Vm;
use crate::library;

/// Where a module is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// In the host.
    BuiltIn,
    Lua(PathBuf),
    C(PathBuf),
}

impl Vm {
    /// Where a module is, as far as `package` says now. `None`: nowhere.
    pub fn locate(&self, name: &str) -> Option<Module> {
        // The package table is the VM's own, as no script has run that could have changed it; one that has is believed.
        self.look_for(name).ok().flatten()
    }

    fn look_for(&self, name: &str) -> mlua::Result<Option<Module>> {
        let package: Table = self.lua.globals().get("package")?;
        for known in ["loaded", "preload"] {
            if package.get::<Table>(known)?.get::<Value>(name)? != Value::Nil {
                return Ok(Some(Module::BuiltIn));
            }
        }
        if library::source(name.as_bytes()).is_some() {
            return Ok(Some(Module::BuiltIn));
        }
        let search: Function = package.get("searchpath")?;
        let find = |name: &str, key: &str| {
            let path: Value = package.get(key)?;
            search.call::<Option<String>>((name, path)).map(|found| found.map(PathBuf::from))
        };
        if let Some(path) = find(name, "path")? {
            return Ok(Some(Module::Lua(path)));
        }
        // Modules of C may be in a library that is called like the first part of their name.
        let root = name.split('.').next().unwrap_or(name);
        Ok(find(name, "cpath")?.or(find(root, "cpath")?).map(Module::C))
    }
}
