//! The data plane over real sockets: a node in this process, scripted upstreams, a strict client.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

mod aborts;
mod balancer;
mod bodies;
mod budget;
mod busy;
mod chores;
mod client_certificates;
mod client_hello;
mod cosockets;
mod crew;
mod datagrams;
mod files;
mod filters;
mod forwarding;
mod framing;
mod jumps;
mod lanes;
mod limits;
mod lua;
mod node;
mod ocsp;
mod pipes;
mod places;
mod request_sockets;
mod rescue;
mod retries;
mod roster;
mod secure;
mod sessions;
mod subrequests;
mod threads;
mod tls;
mod tunnel;
mod unix_sockets;
mod upstream_tls;
