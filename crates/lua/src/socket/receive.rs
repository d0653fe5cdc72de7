//! When what Lua asked to receive is there: lines, numbers of bytes, everything, whatever comes, up to a pattern.
//!
//! A [`Receive`] looks at the unread bytes whenever there are more of them and says how many to take. It
//! never looks at a byte twice, and holds none itself: what was not given is still unread, so a receive that
//! is given up loses nothing and another one goes on where it was.

use memchr::memchr;

use self::until::Automaton;

mod until;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Want {
    /// Up to a line feed, which is taken and not given; nor are carriage returns.
    Line,
    /// Up to the end of the stream.
    All,
    Exactly(usize),
    /// What there is, up to so much.
    Any(usize),
    /// Up to a pattern, which is taken and given only if `inclusive`.
    Until {
        pattern: Box<[u8]>,
        inclusive: bool,
        limit: Option<usize>,
    },
}

/// Where a [`Receive`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not there yet.
    More,
    /// To take `take` bytes, of which the first `give` are the result.
    Done { take: usize, give: usize, end: End },
    /// The stream has ended before.
    Closed,
}

/// Why a result is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is complete.
    Complete,
    /// It is a piece: the pattern has not come yet.
    Piece,
}

/// A receive under way.
#[derive(Debug)]
pub(crate) struct Receive {
    want: Want,
    /// Unread bytes that have been looked at.
    seen: usize,
    /// For a pattern.
    automaton: Option<Automaton>,
}

impl Receive {
    pub(crate) fn new(want: Want) -> Self {
        let automaton = match &want {
            Want::Until { pattern, .. } => Some(Automaton::new(pattern)),
            _ => None,
        };
        Self { want, seen: 0, automaton }
    }

    pub(crate) fn want(&self) -> &Want {
        &self.want
    }

    /// Begins the same anew, at the bytes that are unread then.
    pub(crate) fn restart(&mut self) {
        self.seen = 0;
        if let Some(automaton) = &mut self.automaton {
            automaton.restart();
        }
    }

    /// How many unread bytes there have to be at least, as far as that is known.
    pub(crate) fn wanted(&self) -> usize {
        match self.want {
            Want::Exactly(count) => count,
            _ => usize::MAX,
        }
    }

    /// Looks at `unread`, which starts with what it started with the last time.
    pub(crate) fn look(&mut self, unread: &[u8], ended: bool) -> Progress {
        let done = |take, give| Progress::Done { take, give, end: End::Complete };
        match &self.want {
            Want::Exactly(count) if unread.len() >= *count => return done(*count, *count),
            Want::Any(most) if !unread.is_empty() => {
                let count = unread.len().min(*most);
                return done(count, count);
            }
            Want::Line => {
                if let Some(at) = memchr(b'\n', &unread[self.seen..]) {
                    let length = self.seen + at;
                    return done(length + 1, length);
                }
                self.seen = unread.len();
            }
            Want::Until { inclusive, limit, pattern } => {
                let automaton = self.automaton.as_mut().expect("a pattern has an automaton");
                if let Some(found) = automaton.look(unread, limit.unwrap_or(usize::MAX)) {
                    if found.end == End::Piece {
                        return Progress::Done { take: found.give, give: found.give, end: End::Piece };
                    }
                    let take = found.give + pattern.len();
                    return done(take, if *inclusive { take } else { found.give });
                }
            }
            Want::All if ended => return done(unread.len(), unread.len()),
            Want::All | Want::Exactly(_) | Want::Any(_) => {}
        }
        if ended { Progress::Closed } else { Progress::More }
    }

    /// How many of the unread bytes belong to a result that is not going to be completed.
    pub(crate) fn partial(&self, unread: &[u8]) -> usize {
        self.automaton.as_ref().map_or(unread.len(), Automaton::given)
    }
}

/// Removes carriage returns, which lines are received without. Answers how much is left.
pub(crate) fn without_returns(line: &mut [u8]) -> usize {
    let Some(first) = memchr(b'\r', line) else { return line.len() };
    let mut end = first;
    for index in first + 1..line.len() {
        if line[index] != b'\r' {
            line[end] = line[index];
            end += 1;
        }
    }
    end
}

#[cfg(test)]
mod tests;
