//! The data plane over real sockets: a node in this process, scripted upstreams, a strict client.

mod bodies;
mod forwarding;
mod framing;
mod limits;
mod lua;
mod node;
mod retries;
mod roster;
mod tunnel;
