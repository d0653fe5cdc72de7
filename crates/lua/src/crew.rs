//! The light threads of one run, and which of them goes on next.
//!
//! A run begins with its entry thread alone and needs none of this. The first `ngx.thread.spawn` makes it a crew. The
//! VM resumes its threads one after the other, in the order in which they became ready; those that wait do so for an
//! [`Op`] of their own or for a child of theirs.
//!
//! Invariant: every ticket in `ready` has on its Lua stack what it is to be resumed with. A ticket that no member has
//! any more belongs to a thread that was killed, and is passed over.

use std::collections::VecDeque;

use mlua::ffi::lua_State;

use crate::{Op, Order, Ticket, Verdict, task::Thread};

/// Threads that a run may have at once, those included that ended and were not waited for.
pub(crate) const LIMIT: usize = 65_536;

pub(crate) struct Crew {
    /// By ticket, the entry thread first.
    members: Vec<Member>,
    ready: VecDeque<(Ticket, i32)>,
    orders: VecDeque<Order>,
    /// Children that the running thread is about to wait for.
    awaited: Vec<Ticket>,
    alive: usize,
    /// Begins if the client goes away; nobody waits for it.
    dormant: Option<(Ticket, Thread)>,
    /// There is or was one.
    is_watched: bool,
    /// What the entry thread ended with.
    pub(crate) verdict: Verdict,
}

struct Member {
    ticket: Ticket,
    thread: Thread,
    stand: Stand,
    /// Who is resumed with its results.
    awaited_by: Option<Ticket>,
}

enum Stand {
    /// It runs or is about to.
    Ready,
    /// For an operation.
    Waiting(Wait),
    /// For one of these children.
    Joining(Vec<Ticket>),
    /// It has ended, well or not, with its results on its stack.
    Ended(bool),
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Sleep,
    /// Subrequests, which nothing may cut off.
    Captures,
    Other,
}

/// How a thread that a script asks about is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    /// Alive, and waits for subrequests.
    Captures,
    Zombie,
    Gone,
}

impl Crew {
    pub(crate) fn new(entry: Thread) -> Self {
        let entry = Member { ticket: Ticket::ENTRY, thread: entry, stand: Stand::Ready, awaited_by: None };
        Self {
            members: vec![entry],
            ready: VecDeque::new(),
            orders: VecDeque::new(),
            awaited: Vec::new(),
            alive: 1,
            dormant: None,
            is_watched: false,
            verdict: Verdict::Continue,
        }
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        self.members.binary_search_by_key(&ticket, |member| member.ticket).ok()
    }

    fn member(&mut self, ticket: Ticket) -> Option<&mut Member> {
        self.place(ticket).map(|place| &mut self.members[place])
    }

    pub(crate) fn any(&self) -> &Thread {
        &self.members[0].thread
    }

    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    /// Nothing runs any more, nor will.
    pub(crate) const fn is_over(&self) -> bool {
        self.alive == 0
    }

    /// Somebody waits for something that the driver of the run has been or will be told.
    pub(crate) fn is_waiting(&self) -> bool {
        self.members.iter().any(|member| matches!(member.stand, Stand::Waiting(_)))
    }

    /// Somebody waits for subrequests.
    pub(crate) fn captures(&self) -> bool {
        self.members.iter().any(|member| matches!(member.stand, Stand::Waiting(Wait::Captures)))
    }

    pub(crate) fn order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// A thread begins; tickets ascend.
    pub(crate) fn add(&mut self, ticket: Ticket, thread: Thread) {
        self.members.push(Member { ticket, thread, stand: Stand::Ready, awaited_by: None });
        self.alive += 1;
    }

    pub(crate) const fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// A thread that begins if the client goes away.
    pub(crate) fn keep(&mut self, ticket: Ticket, thread: Thread) {
        self.dormant = Some((ticket, thread));
        self.is_watched = true;
    }

    /// The client has gone away. Answers whether there is a thread that begins with that.
    pub(crate) fn wake(&mut self) -> bool {
        let Some((ticket, thread)) = self.dormant.take() else { return false };
        let place = self.members.partition_point(|member| member.ticket < ticket);
        self.members.insert(place, Member { ticket, thread, stand: Stand::Ready, awaited_by: None });
        self.alive += 1;
        self.post(ticket, 0);
        true
    }

    /// Takes the next thread that can go on, with the number of arguments on its stack.
    pub(crate) fn next_ready(&mut self) -> Option<(Ticket, *mut lua_State, i32)> {
        while let Some((ticket, arguments)) = self.ready.pop_front() {
            if let Some(member) = self.member(ticket) {
                return Some((ticket, member.thread.state, arguments));
            }
        }
        None
    }

    /// After all that are ready already.
    pub(crate) fn post(&mut self, ticket: Ticket, arguments: i32) {
        self.ready.push_back((ticket, arguments));
    }

    /// Before all that are ready already.
    pub(crate) fn post_next(&mut self, ticket: Ticket, arguments: i32) {
        self.ready.push_front((ticket, arguments));
    }

    pub(crate) fn wait(&mut self, ticket: Ticket, op: Op, wait: Wait) {
        if let Some(member) = self.member(ticket) {
            member.stand = Stand::Waiting(wait);
            self.orders.push_back(Order::Begin(ticket, op));
        }
    }

    /// The operation of a thread is done: its stack, if it still waits.
    pub(crate) fn take_up(&mut self, ticket: Ticket) -> Option<*mut lua_State> {
        let member = self.member(ticket).filter(|member| matches!(member.stand, Stand::Waiting(_)))?;
        member.stand = Stand::Ready;
        Some(member.thread.state)
    }

    /// The running thread is about to wait for this child, the first or one more.
    pub(crate) fn expect(&mut self, ticket: Ticket, first: bool) {
        if first {
            self.awaited.clear();
        }
        self.awaited.push(ticket);
    }

    /// The running thread waits for the first to end of the children that it expects.
    pub(crate) fn join(&mut self, ticket: Ticket) {
        let awaited = std::mem::take(&mut self.awaited);
        for &child in &awaited {
            if let Some(child) = self.member(child) {
                child.awaited_by = Some(ticket);
            }
        }
        if let Some(member) = self.member(ticket) {
            member.stand = Stand::Joining(awaited);
        }
    }

    /// A thread has ended. Gives who waits for that, if anybody does.
    pub(crate) fn end(&mut self, ticket: Ticket, well: bool) -> Option<Ticket> {
        let member = self.member(ticket)?;
        member.stand = Stand::Ended(well);
        let parent = member.awaited_by.take();
        self.alive -= 1;
        let parent = parent?;
        let Some(Member { stand: stand @ Stand::Joining(_), .. }) = self.member(parent) else { return None };
        let Stand::Joining(awaited) = std::mem::replace(stand, Stand::Ready) else { return None };
        for child in awaited {
            if let Some(child) = self.member(child) {
                child.awaited_by = None;
            }
        }
        Some(parent)
    }

    pub(crate) fn thread(&mut self, ticket: Ticket) -> Option<&Thread> {
        self.member(ticket).map(|member| &member.thread)
    }

    /// Takes out a thread that has ended, with whether it ended well.
    pub(crate) fn collect(&mut self, ticket: Ticket) -> Option<(Thread, bool)> {
        let place = self.place(ticket)?;
        let Stand::Ended(well) = self.members[place].stand else { return None };
        Some((self.members.remove(place).thread, well))
    }

    /// Whether a thread sleeps.
    pub(crate) fn sleeps(&self, ticket: Ticket) -> bool {
        let stand = self.place(ticket).map(|place| &self.members[place].stand);
        matches!(stand, Some(Stand::Waiting(Wait::Sleep)))
    }

    /// How many threads sleep.
    pub(crate) fn sleepers(&self) -> usize {
        self.members.iter().filter(|member| matches!(member.stand, Stand::Waiting(Wait::Sleep))).count()
    }

    pub(crate) fn state(&self, ticket: Ticket) -> State {
        match self.place(ticket).map(|place| &self.members[place].stand) {
            None => State::Gone,
            Some(Stand::Ended(_)) => State::Zombie,
            Some(Stand::Waiting(Wait::Captures)) => State::Captures,
            Some(_) => State::Alive,
        }
    }

    /// Ends a thread where it is, and what it waits for; says how it was before. What nobody has begun yet is handed
    /// to the caller to be dropped.
    pub(crate) fn kill(&mut self, ticket: Ticket, unbegun: &mut Option<Order>) -> State {
        let state = self.state(ticket);
        let Some(place) = self.place(ticket).filter(|_| state != State::Captures) else { return state };
        let member = self.members.remove(place);
        if state == State::Alive {
            self.alive -= 1;
        }
        if matches!(member.stand, Stand::Waiting(_)) {
            let begins = |order: &Order| matches!(order, Order::Begin(of, _) if *of == ticket);
            match self.orders.iter().position(begins) {
                Some(place) => *unbegun = self.orders.remove(place),
                None => self.orders.push_back(Order::End(ticket)),
            }
        }
        state
    }

    /// The entry thread; if wanted so, only when it ended well.
    pub(crate) fn into_entry(mut self, well: bool) -> Option<Thread> {
        let entry = self.members.swap_remove(self.place(Ticket::ENTRY)?);
        (!well || matches!(entry.stand, Stand::Ended(true))).then_some(entry.thread)
    }
}
