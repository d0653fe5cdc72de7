//! Requests that a script makes within its own: what it asks for, and what comes of it.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use crate::RequestState;

/// Subrequests of one call.
pub(crate) const MOST: usize = 10_000;

/// A request within a request.
#[derive(Debug, Default)]
pub struct Subrequest {
    pub method: Vec<u8>,
    /// Decoded.
    pub path: Vec<u8>,
    pub args: Vec<u8>,
    pub body: SubrequestBody,
    /// Set on top of what `sharing` brings.
    pub vars: Vec<(Vec<u8>, Vec<u8>)>,
    pub sharing: Sharing,
    /// In place of those of the same names.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Has the `ngx.ctx` that was given.
    pub state: RequestState,
}

/// The body of a subrequest.
#[derive(Debug, Default)]
pub enum SubrequestBody {
    #[default]
    None,
    /// That of the request around it.
    Inherited,
    Own(Vec<u8>),
}

/// What a subrequest has of the variables of the request around it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Nothing,
    Copy,
    /// What it sets is set in the request around it too.
    All,
}

/// The answer to a subrequest.
#[derive(Debug, Default)]
pub struct Captured {
    pub status: u16,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// It is not all of the body.
    pub truncated: bool,
    /// What the request around it is to set, if it shares its variables.
    pub vars: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A subrequest that is being served.
pub type Capturing = Pin<Box<dyn Future<Output = Captured>>>;

/// Waits for all at once; the answers are in the order of the requests.
pub(crate) async fn all(requests: Vec<Capturing>) -> Vec<Captured> {
    let mut pending: Vec<_> = requests.into_iter().map(State::Pending).collect();
    poll_fn(|cx| {
        let mut ready = true;
        for one in &mut pending {
            ready &= one.poll(cx);
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let done = |state| match state {
        State::Done(captured) => captured,
        State::Pending(_) => unreachable!("all have been waited for"),
    };
    pending.into_iter().map(done).collect()
}

enum State {
    Pending(Capturing),
    Done(Captured),
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Pending(capturing) = self
            && let Poll::Ready(captured) = capturing.as_mut().poll(cx)
        {
            *self = Self::Done(captured);
        }
        matches!(self, Self::Done(_))
    }
}
