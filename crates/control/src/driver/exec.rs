//! Instances that the user's commands start, stop and list: containers, machines, units, jobs.
//!
//! What is known of them comes from two sides: from the commands that were run here, and from the list that
//! [`Remote`] asks for again and again. The life of an instance is that of a process, with `start` in place of a fork, `stop` in
//! place of a signal, and the list in place of the kernel: an instance that two lists in a row do not show is gone.
//!
//! Instances outlive this process, unless the file says otherwise. They are found again by their tags, owner and fleet,
//! and looked after as if they had been started here.

mod command;
mod contract;
mod remote;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tidegate_core::snapshot::Exec;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use self::{
    contract::Listed,
    remote::{Remote, fnv},
};
use super::{Duties, ready};

/// Lists in a row that do not show an instance before it is gone: what clouds say lags behind what they do.
const MISSED: u64 = 2;

/// First and longest wait before a stop that failed is tried again.
const STOP_PAUSE: Duration = Duration::from_millis(500);
const STOP_LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why an instance is no longer looked after when Tidegate ends.
const LEFT: &str = "left to the next gateway";

/// Where an instance comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// It has yet to be started.
    New(Arc<Exec>),
    /// It was there already.
    Found(Listed),
}

/// Starts an instance, or takes one over, and looks after it until it is gone.
pub(crate) async fn live(remote: Arc<Remote>, origin: Origin, duties: Duties) {
    let life = Life { remote: &remote, duties: &duties };
    let reason = tokio::select! {
        biased;
        () = remote.leave.cancelled() => LEFT.to_owned(),
        reason = life.until_gone(origin) => reason,
    };
    remote.ended(&duties.id);
    duties.exited(reason).await;
}

/// What a command answers that lists instances, or starts one.
#[cfg(any(test, fuzzing))]
pub(crate) fn listed(
    answer: &[u8],
    owner: &tidegate_core::OwnerId,
    fleet: &tidegate_core::FleetId,
) -> Option<std::collections::BTreeMap<tidegate_core::InstanceId, Listed>> {
    let _ = serde_json::from_slice::<contract::Started>(answer);
    serde_json::from_slice::<contract::List>(answer).ok().map(|list| list.of(owner, fleet))
}

struct Life<'a> {
    remote: &'a Remote,
    duties: &'a Duties,
}

impl Life<'_> {
    /// Returns why the instance is gone.
    async fn until_gone(&self, origin: Origin) -> String {
        let address = match self.begin(origin).await {
            Ok(address) => address,
            Err(why) => {
                // It may be there for all that.
                if let Err(error) = self.remote.stop(&self.duties.id).await {
                    tracing::warn!(instance = %self.duties.id, %error, "cannot be stopped after a start that failed");
                }
                return why;
            }
        };
        let check = &self.duties.template.ready;
        let since = Instant::now();
        let mut wrong = None;
        let ready = timeout(check.timeout, ready::wait(address, check, &mut wrong));
        let outcome = tokio::select! {
            outcome = ready => outcome.is_ok(),
            () = self.duties.departure.asked() => return self.stop("asked to end").await,
            () = self.missing(since) => return "it is no longer listed".to_owned(),
        };
        if !outcome {
            let why = wrong.map_or_else(String::new, |why| format!(": {why}"));
            return self.stop(&format!("not ready within {}s{why}", check.timeout.as_secs_f64())).await;
        }
        self.duties.ready(address).await;
        tokio::select! {
            () = self.serve() => self.stop("asked to end").await,
            () = self.missing(since) => "it is no longer listed".to_owned(),
        }
    }

    /// Starts the instance where it has to be; returns where it serves.
    async fn begin(&self, origin: Origin) -> Result<SocketAddr, String> {
        let known = match origin {
            Origin::Found(listed) => listed.endpoint,
            Origin::New(exec) => {
                let started = self.remote.start(&self.duties.id, self.duties.pool.as_ref(), &exec).await;
                started.map_err(|error| error.to_string())?.endpoint
            }
        };
        if let Some(address) = known {
            return Ok(address);
        }
        let within = self.duties.template.ready.timeout;
        let mut listing = self.remote.listing();
        let id = &self.duties.id;
        let told = listing.wait_for(|listing| endpoint(listing, id).is_some());
        let told = timeout(within, told).await.ok().and_then(Result::ok);
        let address = told.and_then(|listing| endpoint(&listing, id));
        address.ok_or_else(|| {
            format!("no endpoint within {}s, neither by `start` nor by `list`", within.as_secs_f64())
        })
    }

    /// Until it is to leave and no request is left, or the grace is over.
    async fn serve(&self) {
        let duties = self.duties;
        loop {
            duties.departure.asked().await;
            if duties.departure.end_after(duties.quiet()).await {
                return;
            }
        }
    }

    /// Until several lists in a row that were begun after `since` do not show the instance.
    async fn missing(&self, since: Instant) {
        let mut listing = self.remote.listing();
        let (mut missed, mut round) = (0, 0);
        loop {
            {
                let seen = listing.borrow_and_update();
                let counts = seen.round != round && seen.began.is_some_and(|began| began > since);
                if counts {
                    round = seen.round;
                    missed = if seen.instances.contains_key(&self.duties.id) { 0 } else { missed + 1 };
                }
            }
            if missed >= MISSED || listing.changed().await.is_err() {
                return;
            }
        }
    }

    /// Stops the instance, however often that takes, or until it is no longer there.
    async fn stop(&self, why: &str) -> String {
        let since = Instant::now();
        tokio::select! {
            () = self.keep_stopping() => why.to_owned(),
            () = self.missing(since) => format!("{why}; `stop` failed, but it is no longer listed"),
        }
    }

    async fn keep_stopping(&self) {
        let mut pause = STOP_PAUSE;
        while let Err(error) = self.remote.stop(&self.duties.id).await {
            tracing::warn!(fleet = %self.duties.fleet, instance = %self.duties.id, %error, "cannot be stopped yet");
            sleep(pause).await;
            pause = (pause * 2).min(STOP_LONGEST_PAUSE);
        }
    }
}

fn endpoint(listing: &remote::Listing, id: &tidegate_core::InstanceId) -> Option<SocketAddr> {
    listing.instances.get(id)?.endpoint
}
