//! `ngx.print` and `ngx.say`, once the prelude has made one string of their arguments.

use crate::{
    abi::{Export, HostPtr, Text},
    host::{NO_REQUEST, OK},
};

/// The exchange asks to be flushed before more is written.
const FULL: i32 = 1;

pub(super) fn exports() -> Vec<Export> {
    vec![Export::new("output_write", output_write as extern "C" fn(_, _, _) -> _)]
}

extern "C" fn output_write(host: HostPtr, text: Text, length: usize) -> i32 {
    match host.get().with(|exchange| exchange.write(text.of(length))) {
        Some(true) => FULL,
        Some(false) => OK,
        None => NO_REQUEST,
    }
}
