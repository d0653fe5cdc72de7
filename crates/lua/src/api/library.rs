//! Modules that are compiled when they are required, and functions of C by their names.

use crate::{
    abi::{Export, HostPtr, Text},
    host::MISSING,
    library, symbols,
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("library_source", library_source as extern "C" fn(_, _, _) -> _),
        Export::new("library_symbol", library_symbol as extern "C" fn(_, _, _) -> _),
    ]
}

extern "C" fn library_source(host: HostPtr, name: Text, length: usize) -> i32 {
    match library::source(name.of(length)) {
        Some(source) => host.get().give(source.as_bytes()),
        None => MISSING,
    }
}

/// The address of a function; 0 when there is none.
extern "C" fn library_symbol(_: HostPtr, name: Text, length: usize) -> usize {
    symbols::address(name.of(length)).unwrap_or_default()
}
