//! What the matching of one VM needs, made once and used for every match.

use std::{
    cell::{Cell, OnceCell},
    ptr::{self, NonNull},
    slice,
};

use pcre2_sys as pcre2;

use super::Regex;

/// Memory of a match that stays for the next one; PCRE2 takes up to 20 MB for one that backtracks much.
const KEPT_BYTES: usize = 1 << 20;
/// Words that a match of all alternatives at once may take.
const DFA_WORDS: usize = 4_096;
/// The smallest stack that compiled code can be given.
pub(crate) const LEAST_STACK_BYTES: usize = 32 << 10;

/// The context, stack and result vector of a VM's matches.
pub(crate) struct Engine {
    context: NonNull<pcre2::pcre2_match_context_8>,
    /// `None`: compiled code uses 32 KiB of the thread's own stack.
    stack: Cell<Option<NonNull<pcre2::pcre2_jit_stack_8>>>,
    vector: Cell<Option<NonNull<pcre2::pcre2_match_data_8>>>,
    /// Pairs that the vector takes.
    pairs: Cell<u32>,
    dfa_words: OnceCell<Box<[Cell<i32>]>>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        // SAFETY: without a context of its own PCRE2 uses the allocator of C.
        let context = unsafe { pcre2::pcre2_match_context_create_8(ptr::null_mut()) };
        Self {
            context: NonNull::new(context).expect("a few hundred bytes of memory"),
            stack: Cell::new(None),
            vector: Cell::new(None),
            pairs: Cell::new(0),
            dfa_words: OnceCell::new(),
        }
    }

    /// How much a match may backtrack before it fails with -47.
    pub(crate) fn set_match_limit(&self, limit: u32) {
        // SAFETY: the context lives as long as the engine.
        unsafe { pcre2::pcre2_set_match_limit_8(self.context.as_ptr(), limit) };
    }

    /// Gives compiled code a stack of this size instead of the thread's own. Answers whether there was memory.
    pub(crate) fn set_stack(&self, bytes: usize) -> bool {
        // SAFETY: as for the context; the old stack is released after the new one has taken its place.
        unsafe {
            let stack = pcre2::pcre2_jit_stack_create_8(LEAST_STACK_BYTES, bytes, ptr::null_mut());
            let Some(stack) = NonNull::new(stack) else { return false };
            pcre2::pcre2_jit_stack_assign_8(self.context.as_ptr(), None, stack.as_ptr().cast());
            if let Some(old) = self.stack.replace(Some(stack)) {
                pcre2::pcre2_jit_stack_free_8(old.as_ptr());
            }
        }
        true
    }

    /// Looks for a match from `start` on: PCRE2's code, and hands the pairs to `found` if it is not negative.
    /// `checked` says that the subject is known to be UTF-8.
    pub(crate) fn search<R>(
        &self,
        regex: &Regex,
        subject: &[u8],
        start: usize,
        checked: bool,
        found: impl FnOnce(i32, &[usize]) -> R,
    ) -> Result<R, i32> {
        if start > subject.len() {
            return Err(pcre2::PCRE2_ERROR_BADOFFSET);
        }
        if i32::try_from(subject.len()).is_err() {
            return Err(pcre2::PCRE2_ERROR_NOMEMORY);
        }
        let vector = self.vector(regex.groups() + 1).ok_or(pcre2::PCRE2_ERROR_NOMEMORY)?;
        let code = self.run(regex, subject, start, checked, vector);
        if code < 0 {
            self.trim(vector);
            return Err(code);
        }
        // SAFETY: the vector has that many pairs at least, and PCRE2 has set all of them. It is not used by
        // anybody else until `found` returns, which cannot call Lua.
        let pairs = unsafe {
            let first = pcre2::pcre2_get_ovector_pointer_8(vector.as_ptr());
            slice::from_raw_parts(first, (regex.groups() as usize + 1) * 2)
        };
        let result = found(code, pairs);
        self.trim(vector);
        Ok(result)
    }

    fn run(
        &self,
        regex: &Regex,
        subject: &[u8],
        start: usize,
        checked: bool,
        vector: NonNull<pcre2::pcre2_match_data_8>,
    ) -> i32 {
        let (code, text, length) = (regex.code.as_ptr(), subject.as_ptr(), subject.len());
        let (vector, context) = (vector.as_ptr(), self.context.as_ptr());
        let options = if checked { pcre2::PCRE2_NO_UTF_CHECK } else { 0 };
        // SAFETY: all pointers are valid for the call, lengths are those of what they point to, and the start
        // is inside of the subject. Compiled code is entered directly only where nothing needs a check first.
        unsafe {
            if regex.mode().dfa {
                let words = self.dfa_words.get_or_init(|| vec![Cell::new(0); DFA_WORDS].into());
                let first = words.as_ptr().cast::<i32>().cast_mut();
                return pcre2::pcre2_dfa_match_8(
                    code, text, length, start, options, vector, context, first, DFA_WORDS,
                );
            }
            if !regex.jitted {
                return pcre2::pcre2_match_8(code, text, length, start, options, vector, context);
            }
            let result = if regex.utf() {
                pcre2::pcre2_match_8(code, text, length, start, options, vector, context)
            } else {
                pcre2::pcre2_jit_match_8(code, text, length, start, 0, vector, context)
            };
            if result == pcre2::PCRE2_ERROR_JIT_STACKLIMIT && !regex.mode().jit_only {
                let options = options | pcre2::PCRE2_NO_JIT;
                return pcre2::pcre2_match_8(code, text, length, start, options, vector, context);
            }
            result
        }
    }

    /// A vector that takes at least that many pairs.
    fn vector(&self, pairs: u32) -> Option<NonNull<pcre2::pcre2_match_data_8>> {
        if let Some(vector) = self.vector.get()
            && self.pairs.get() >= pairs
        {
            return Some(vector);
        }
        self.release();
        // SAFETY: as for the context.
        let vector = NonNull::new(unsafe { pcre2::pcre2_match_data_create_8(pairs, ptr::null_mut()) })?;
        self.vector.set(Some(vector));
        self.pairs.set(pairs);
        Some(vector)
    }

    fn trim(&self, vector: NonNull<pcre2::pcre2_match_data_8>) {
        // SAFETY: the vector is alive.
        let kept = unsafe { pcre2::pcre2_get_match_data_heapframes_size_8(vector.as_ptr()) };
        if kept > KEPT_BYTES {
            self.release();
        }
    }

    fn release(&self) {
        if let Some(vector) = self.vector.take() {
            // SAFETY: nobody else has it.
            unsafe { pcre2::pcre2_match_data_free_8(vector.as_ptr()) };
        }
        self.pairs.set(0);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.release();
        // SAFETY: both are the engine's own and not used after.
        unsafe {
            pcre2::pcre2_match_context_free_8(self.context.as_ptr());
            if let Some(stack) = self.stack.take() {
                pcre2::pcre2_jit_stack_free_8(stack.as_ptr());
            }
        }
    }
}
