//! What a script decides on for an attempt to reach an upstream: `ngx.balancer`.

use std::{net::SocketAddr, time::Duration};

/// Attempts of one request, however many a script asks for.
const MOST_TRIES: u32 = 100;

/// What the attempts of one request are to be like. It lasts from one to the next, but for the peer.
#[derive(Debug, Default)]
pub struct Choice {
    /// Where the attempt goes; `None` leaves that to the upstream.
    pub peer: Option<SocketAddr>,
    /// Where the connection comes from; with port 0, from any; `None` leaves that to the system.
    pub local: Option<SocketAddr>,
    /// Who the peer has to be if TLS is spoken with it; `None` leaves that to the upstream.
    pub server_name: Option<String>,
    /// Whether TLS is spoken with the upstream.
    pub has_tls: bool,
    /// This attempt does without.
    pub is_plain: bool,
    pub connect_timeout: Option<Duration>,
    /// Between two writes.
    pub send_timeout: Option<Duration>,
    /// Between two reads.
    pub read_timeout: Option<Duration>,
    pub keep_alive: Option<KeepAlive>,
    /// The request has been changed and is to be sent as it is now.
    pub is_recreated: bool,
    /// Why the attempt before came to nothing, as the status that the client would be told.
    pub failure: Option<u16>,
    tried: u32,
    more_tries: u32,
}

/// For how long the connection of an attempt is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// While nothing uses it; zero: as the configuration says.
    pub idle: Duration,
    /// Requests that it carries in all; 0: any number.
    pub requests: u32,
}

impl Choice {
    /// An attempt is about to begin, for which nothing is chosen yet.
    pub fn begin(&mut self) {
        self.peer = None;
        self.local = None;
        self.server_name = None;
        self.is_recreated = false;
        self.tried += 1;
    }

    /// Takes one of the attempts that may follow on one that failed.
    pub fn take_try(&mut self) -> bool {
        let left = self.more_tries > 0;
        self.more_tries = self.more_tries.saturating_sub(1);
        left
    }

    /// Lets so many attempts more follow on this one. Tells whether that is all that was asked for.
    pub(crate) fn add_tries(&mut self, count: u32) -> bool {
        let room = MOST_TRIES.saturating_sub(self.tried + self.more_tries);
        self.more_tries += count.min(room);
        count <= room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_bounded() {
        let mut choice = Choice::default();
        choice.begin();
        assert!(!choice.take_try(), "none was granted");
        assert!(choice.add_tries(1));
        assert!(choice.take_try() && !choice.take_try());
        choice.begin();
        assert!(!choice.add_tries(u32::MAX), "only what is left of the bound");
        let granted = std::iter::from_fn(|| choice.take_try().then_some(())).count();
        assert_eq!(granted, 98, "two have begun already");
    }
}
