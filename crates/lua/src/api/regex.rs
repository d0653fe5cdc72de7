//! `ngx.re`: compiling, matching, and replacing by a template.

use pcre2_sys as pcre2;

use crate::{
    Level,
    abi::{Export, HostPtr, Text},
    host::{MISSING, OK},
    regex::{self, LEAST_STACK_BYTES, Mode, Regex, RegexPtr, Template},
};

/// A replacement template is not well-formed; why was logged.
const BAD_TEMPLATE: i32 = -1_000;
/// Added to the number of captures when these are a finalizer's.
const FINALIZING: i32 = 1 << 20;

/// Options of the prelude that are not PCRE2's.
const DFA: u32 = 1;
const JIT: u32 = 2;
const JIT_ONLY: u32 = 4;
const UNCHECKED: u32 = 8;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("regex_compile", regex_compile as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("regex_free", regex_free as extern "C" fn(_) -> _),
        Export::new("regex_match", regex_match as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("regex_next", regex_next as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("regex_substitute", regex_substitute as extern "C" fn(_, _, _, _, _, _, _) -> _),
        Export::new("regex_set_stack", regex_set_stack as extern "C" fn(_, _) -> _),
        Export::new("regex_version", regex_version as extern "C" fn(_) -> _),
    ]
}

/// Null when the pattern does not compile; why is in the block.
extern "C" fn regex_compile(
    host: HostPtr,
    pattern: Text,
    length: usize,
    options: u32,
    mode: u32,
) -> RegexPtr {
    let host = host.get();
    let mut options = options;
    if mode & (UNCHECKED | DFA) == UNCHECKED && options & pcre2::PCRE2_UTF != 0 {
        // PCRE2 cannot do so for all alternatives at once, where subjects are checked after all. Else they
        // are not checked beforehand; what is not UTF-8 in them just never matches.
        options |= pcre2::PCRE2_MATCH_INVALID_UTF;
    }
    let mode =
        Mode { dfa: mode & DFA != 0, jit: mode & (JIT | JIT_ONLY) != 0, jit_only: mode & JIT_ONLY != 0 };
    match Regex::new(pattern.of(length), options, mode) {
        Ok(regex) => RegexPtr::new(regex),
        Err(complaint) => {
            host.give_written(|out| out.extend_from_slice(&complaint));
            RegexPtr::null()
        }
    }
}

extern "C" fn regex_free(regex: RegexPtr) {
    regex.free();
}

/// Answers how many pairs of captures are set, or PCRE2's code.
extern "C" fn regex_match(host: HostPtr, regex: RegexPtr, text: Text, length: usize, start: usize) -> i32 {
    let (host, regex) = (host.get(), regex.get());
    let finalizing = host.finalizing();
    let found = host.regex.search(regex, text.of(length), start, false, |code, ends| {
        regex.publish(ends, finalizing);
        // Zero says that not all groups fitted; without groups that is as it should be.
        code.max(1) + if finalizing { FINALIZING } else { 0 }
    });
    found.unwrap_or_else(|code| code)
}

/// Where to look for the next match after an empty one.
extern "C" fn regex_next(_: HostPtr, regex: RegexPtr, text: Text, length: usize, at: usize) -> i32 {
    let next = regex::after_empty(text.of(length), at, regex.get().utf());
    i32::try_from(next).unwrap_or(i32::MAX)
}

/// Answers how many matches were replaced, or PCRE2's code. The text is in the block unless there were none.
extern "C" fn regex_substitute(
    host: HostPtr,
    regex: RegexPtr,
    text: Text,
    length: usize,
    template: Text,
    template_length: usize,
    all: i32,
) -> i32 {
    let (host, regex) = (host.get(), regex.get());
    let template = match Template::parse(template.of(template_length)) {
        Ok(template) => template,
        Err(error) => {
            host.log(Level::Error, &error.to_string());
            return BAD_TEMPLATE;
        }
    };
    let mut done = Ok(0);
    let code = host.give_written(|out| {
        done = regex::substitute(&host.regex, regex, text.of(length), &template, all != 0, out);
    });
    match done {
        Ok(_) if code != OK => pcre2::PCRE2_ERROR_NOMEMORY,
        Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
        Err(code) => code,
    }
}

extern "C" fn regex_set_stack(host: HostPtr, bytes: usize) -> i32 {
    if host.get().regex.set_stack(bytes.max(LEAST_STACK_BYTES)) { OK } else { MISSING }
}

/// What PCRE2 calls itself is in the block.
extern "C" fn regex_version(host: HostPtr) -> i32 {
    let version = regex::version();
    host.get().give_written(|out| out.extend_from_slice(version.as_bytes()))
}
