//! What `ngx.arg` is about: the arguments of a variable that Lua computes, or a piece of an answer's body.

/// Set before a run, and read after it. Memory is kept from one run to the next.
#[derive(Debug, Default)]
pub struct Arguments {
    /// In the set phase: the arguments, from the first.
    pub given: Vec<Vec<u8>>,
    /// In the set phase: what the script returned; empty unless that was a text or a number.
    pub result: Vec<u8>,
    /// In the body filter: the piece, which the script may have replaced.
    pub piece: Vec<u8>,
    /// In the body filter: whether it is the last. A script may make it so.
    pub last: bool,
}
