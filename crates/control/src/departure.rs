//! An instance's leaving, which can be called off until its end has begun.
//!
//! The fleet asks an instance to leave and may call that off when it is needed again; whoever looks after the
//! instance ends it once it is idle. Both race, and exactly one of them wins.

use std::sync::Arc;

use tokio::sync::watch;

/// Shared by the fleet and whoever looks after the instance.
#[derive(Debug, Clone)]
pub(crate) struct Departure(Arc<watch::Sender<Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Stays,
    Leaves,
    /// There is no way back.
    Ends,
}

impl Departure {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Stays)))
    }

    /// The instance is to leave.
    pub(crate) fn ask(&self) {
        self.advance(Stage::Stays, Stage::Leaves);
    }

    /// The instance is needed again. Says whether it can be had.
    pub(crate) fn call_off(&self) -> bool {
        self.advance(Stage::Leaves, Stage::Stays)
    }

    /// Until the instance is to leave.
    pub(crate) async fn asked(&self) {
        // The sender is here, so this cannot fail.
        _ = self.0.subscribe().wait_for(|stage| *stage != Stage::Stays).await;
    }

    /// Waits for `idle`, and begins the end. False: the leaving was called off.
    pub(crate) async fn end_after<T>(&self, idle: impl Future<Output = T>) -> bool {
        let mut stage = self.0.subscribe();
        tokio::select! {
            _ = stage.wait_for(|stage| *stage == Stage::Stays) => false,
            _ = idle => self.advance(Stage::Leaves, Stage::Ends),
        }
    }

    fn advance(&self, from: Stage, to: Stage) -> bool {
        self.0.send_if_modified(|stage| {
            let possible = *stage == from;
            if possible {
                *stage = to;
            }
            possible
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_leaving_can_be_called_off_until_the_end_has_begun() {
        let departure = Departure::new();
        assert!(!departure.call_off(), "nothing to call off");
        departure.ask();
        departure.asked().await;
        assert!(departure.call_off());
        assert!(!departure.end_after(pending::<()>()).await);
        departure.ask();
        assert!(departure.end_after(ready(())).await);
        assert!(!departure.call_off(), "too late");
    }
}
