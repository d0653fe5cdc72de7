//! Regular expressions: PCRE2 as `ngx.re` uses it.
//!
//! A [`Regex`] is compiled once and matched through the [`Engine`] of its VM, which holds what matching
//! needs: the match context with its limit, the stack of compiled code, and the vector that a match is
//! written to. The prelude reads a match from [`Regex::captures`].
//!
//! A finalizer may match with the same expression while a match is being read. What it finds is put elsewhere, so that
//! what was found before stays as it was.
//!
//! Invariant: no call takes longer than the match limit allows, and memory that a match needed is not
//! kept when it was much. Not here: the cache of compiled expressions, which the prelude keeps.

mod engine;
mod substitute;
mod template;

use std::{
    cell::{Cell, RefCell},
    ptr::{self, NonNull},
};

use pcre2_sys as pcre2;

pub(crate) use self::{
    engine::{Engine, LEAST_STACK_BYTES},
    substitute::{after_empty, substitute},
    template::Template,
};
use crate::abi::CType;

/// C declaration of the part of [`Regex`] that the prelude reads.
pub(crate) const DECLARATIONS: &str = "
    struct tidegate_regex {
        const int32_t *captures;
        const uint8_t *names;
        uint32_t groups;
        uint32_t name_count;
        uint32_t name_size;
    };
";

/// How an expression is matched; besides these there are PCRE2's own options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    /// All alternatives at once, the longest wins; no groups.
    pub(crate) dfa: bool,
    /// Compile to machine code.
    pub(crate) jit: bool,
    /// The script asked for machine code, so it is told when that runs out of stack.
    pub(crate) jit_only: bool,
}

/// A compiled expression. The fields up to `name_size` are read by the prelude.
#[repr(C)]
pub(crate) struct Regex {
    /// Start and end of the match and of each group; -1 for groups that took no part. After these as much again, for
    /// matches of finalizers.
    captures: *const i32,
    names: *const u8,
    groups: u32,
    name_count: u32,
    name_size: u32,
    code: NonNull<pcre2::pcre2_code_8>,
    mode: Mode,
    jitted: bool,
    utf: bool,
    slots: Box<[Cell<i32>]>,
}

impl Regex {
    /// Compiles `pattern` with PCRE2's `options`, or says what is wrong with it.
    pub(crate) fn new(pattern: &[u8], options: u32, mode: Mode) -> Result<Self, Vec<u8>> {
        let (mut code, mut at) = (0, 0);
        // SAFETY: the pattern is passed with its length; the two results are written before the call ends.
        let compiled = unsafe {
            pcre2::pcre2_compile_8(
                pattern.as_ptr(),
                pattern.len(),
                options,
                &raw mut code,
                &raw mut at,
                ptr::null_mut(),
            )
        };
        let Some(compiled) = NonNull::new(compiled) else { return Err(complaint(pattern, code, at)) };
        let mut regex = Self {
            captures: ptr::null(),
            names: ptr::null(),
            groups: 0,
            name_count: 0,
            name_size: 0,
            code: compiled,
            mode,
            jitted: false,
            utf: options & pcre2::PCRE2_UTF != 0,
            slots: Box::default(),
        };
        if mode.jit && !mode.dfa {
            // SAFETY: the code was just compiled and is nobody else's.
            regex.jitted =
                unsafe { pcre2::pcre2_jit_compile_8(compiled.as_ptr(), pcre2::PCRE2_JIT_COMPLETE) } == 0;
        }
        // SAFETY: each item of information is asked for with the type that PCRE2 documents for it.
        unsafe {
            if !mode.dfa {
                regex.ask(pcre2::PCRE2_INFO_CAPTURECOUNT, |regex| (&raw mut regex.groups).cast());
                regex.ask(pcre2::PCRE2_INFO_NAMECOUNT, |regex| (&raw mut regex.name_count).cast());
            }
            regex.ask(pcre2::PCRE2_INFO_NAMEENTRYSIZE, |regex| (&raw mut regex.name_size).cast());
            regex.ask(pcre2::PCRE2_INFO_NAMETABLE, |regex| (&raw mut regex.names).cast());
        }
        regex.slots = vec![Cell::new(-1); (regex.groups as usize + 1) * 4].into();
        regex.captures = regex.slots.as_ptr().cast();
        Ok(regex)
    }

    /// Groups in the expression, besides the match itself.
    pub(crate) const fn groups(&self) -> u32 {
        self.groups
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether subjects are UTF-8.
    pub(crate) const fn utf(&self) -> bool {
        self.utf
    }

    /// Copies a match to where the prelude reads it. `ends` has a pair for the match and for each group.
    pub(crate) fn publish(&self, ends: &[usize], finalizing: bool) {
        let first = if finalizing { self.slots.len() / 2 } else { 0 };
        for (slot, &end) in self.slots[first..].iter().zip(ends) {
            // What is unset is the largest number, and nothing else is too large.
            slot.set(i32::try_from(end).unwrap_or(-1));
        }
    }

    /// # Safety
    ///
    /// `place` points to a field of the type that PCRE2 writes for `what`.
    unsafe fn ask(&mut self, what: u32, place: impl FnOnce(&mut Self) -> *mut std::ffi::c_void) {
        let code = self.code.as_ptr();
        // SAFETY: by the caller's word. Asking fails only for an unknown item, and then writes nothing.
        unsafe { pcre2::pcre2_pattern_info_8(code, what, place(self)) };
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: the code is this value's own and not used after.
        unsafe { pcre2::pcre2_code_free_8(self.code.as_ptr()) };
    }
}

/// An expression that the prelude owns.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct RegexPtr(*mut Regex);

impl RegexPtr {
    pub(crate) fn new(regex: Regex) -> Self {
        Self(Box::into_raw(Box::new(regex)))
    }

    pub(crate) const fn null() -> Self {
        Self(ptr::null_mut())
    }

    pub(crate) fn get<'a>(self) -> &'a Regex {
        // SAFETY: the prelude passes what it was given and has not released, and the reference does not
        // leave the call.
        unsafe { &*self.0 }
    }

    pub(crate) fn free(self) {
        let is_late = LATE.with_borrow_mut(|late| late.as_mut().map(|late| late.push(self)).is_some());
        if !is_late {
            // SAFETY: it was made by `new`, and the collector releases it once, when nothing refers to it or the VM has
            // been closed.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }
}

thread_local! {
    /// Expressions that a VM which is closing has released.
    static LATE: RefCell<Option<Vec<RegexPtr>>> = const { RefCell::new(None) };
}

/// Keeps expressions until a VM is closed: it runs finalizers in any order then, and those of scripts may come after those of
/// expressions that they use. To be dropped when it is.
#[derive(Debug)]
pub(crate) struct Closing;

impl Closing {
    /// The VM of this thread is about to be closed.
    pub(crate) fn begin() {
        LATE.set(Some(Vec::new()));
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        for regex in LATE.take().into_iter().flatten() {
            regex.free();
        }
    }
}

impl CType for RegexPtr {
    const NAME: &'static str = "struct tidegate_regex *";
}

/// What PCRE2 calls itself: number and date.
pub(crate) fn version() -> String {
    let mut text = [0_u8; 64];
    // SAFETY: PCRE2 documents that its version takes no more than 24 bytes, the zero at its end included.
    unsafe { pcre2::pcre2_config_8(pcre2::PCRE2_CONFIG_VERSION, text.as_mut_ptr().cast()) };
    String::from_utf8_lossy(text.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// Why a pattern does not compile, with the part of it that PCRE2 stopped at.
fn complaint(pattern: &[u8], code: i32, at: usize) -> Vec<u8> {
    let mut text = [0; 256];
    // SAFETY: the buffer is passed with its length, and PCRE2 ends what it writes with a zero.
    unsafe { pcre2::pcre2_get_error_message_8(code, text.as_mut_ptr(), text.len()) };
    let message = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut complaint = [b"pcre2_compile() failed: ", message, b" in \"", pattern, b"\""].concat();
    if let Some(rest) = pattern.get(at..)
        && !rest.is_empty()
    {
        complaint.extend([b" at \"", rest, b"\""].concat());
    }
    complaint
}

#[cfg(test)]
mod tests;
