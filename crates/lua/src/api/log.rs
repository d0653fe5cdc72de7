//! `ngx.log` and `print`, once the prelude has made a line of their arguments.

use crate::{
    Level,
    abi::{Export, HostPtr, Text},
    host::{MISSING, OK},
};

pub(super) fn exports() -> Vec<Export> {
    vec![Export::new("log", log as extern "C" fn(_, _, _, _) -> _)]
}

extern "C" fn log(host: HostPtr, level: i32, message: Text, length: usize) -> i32 {
    let Some(level) = Level::from_number(level) else { return MISSING };
    host.get().log(level, &String::from_utf8_lossy(message.of(length)));
    OK
}
