//! `ngx.ctx`: which table belongs to the running request. The tables themselves live in Lua.

use crate::abi::{Export, HostPtr};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("context_slot", context_slot as extern "C" fn(_) -> _),
        Export::new("context_heritage", context_heritage as extern "C" fn(_) -> _),
    ]
}

extern "C" fn context_slot(host: HostPtr) -> i32 {
    host.get().ctx_slot()
}

extern "C" fn context_heritage(host: HostPtr) -> i32 {
    host.get().ctx_heritage()
}
