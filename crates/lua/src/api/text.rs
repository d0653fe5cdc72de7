//! Encodings: `ngx.escape_uri`, `ngx.unescape_uri`, `ngx.decode_args`.

use crate::{
    abi::{Export, HostPtr, Text},
    host::{Host, MISSING},
    uri::{self, Escape},
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("uri_parse", uri_parse as extern "C" fn(_, _, _) -> _),
        Export::new("text_escape", text_escape as extern "C" fn(_, _, _, _) -> _),
        Export::new("text_unescape", text_unescape as extern "C" fn(_, _, _) -> _),
        Export::new("text_arguments", text_arguments as extern "C" fn(_, _, _, _) -> _),
    ]
}

/// [`MISSING`] when the text is its own escaped form.
extern "C" fn text_escape(host: HostPtr, text: Text, length: usize, kind: i32) -> i32 {
    let mut changed = false;
    let code = host.get().give_written(|out| {
        changed = uri::escape(text.of(length), Escape::from_number(kind), out);
    });
    if changed { code } else { MISSING }
}

extern "C" fn text_unescape(host: HostPtr, text: Text, length: usize) -> i32 {
    host.get().give_written(|out| uri::unescape(text.of(length), out))
}

extern "C" fn text_arguments(host: HostPtr, text: Text, length: usize, max: u32) -> i32 {
    list_arguments(host.get(), text.of(length), max)
}

/// The path of a URI, decoded; [`MISSING`] when there is none or it leads upwards.
extern "C" fn uri_parse(host: HostPtr, uri: Text, length: usize) -> i32 {
    let uri = uri.of(length);
    let path = uri.split(|&byte| byte == b'?').next().unwrap_or_default();
    let mut decoded = Vec::new();
    uri::decode_path(path, &mut decoded);
    let upwards = |path: &[u8]| path.split(|&byte| byte == b'/').any(|segment| segment == b"..");
    if path.is_empty() || decoded.contains(&0) || upwards(path) || upwards(&decoded) {
        return MISSING;
    }
    host.get().give_written(|out| out.extend_from_slice(&decoded))
}

/// Lists up to `max` arguments, decoded; 0 is no limit. The block's flags say whether there were more.
pub(super) fn list_arguments(host: &Host, query: &[u8], max: u32) -> i32 {
    let max = if max == 0 { usize::MAX } else { max as usize };
    host.block.flags.set(0);
    host.give_pairs(|pairs| {
        // Arguments without a name count, and are left out.
        for (seen, (name, value)) in uri::all_arguments(query).enumerate() {
            if seen == max {
                host.block.flags.set(1);
                break;
            }
            if name.is_empty() {
                continue;
            }
            pairs.push_with(|bytes| {
                uri::unescape(name, bytes);
                let name_end = bytes.len();
                uri::unescape(value.unwrap_or_default(), bytes);
                (name_end, value.is_some())
            });
        }
    })
}
