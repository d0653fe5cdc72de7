//! The instance's own end of the agreement.

use std::{
    io::{self, BufRead, Write as _},
    process,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use super::{
    InstanceReport, InstanceSpec, Orphaned, bind_to_parent,
    lines::Lines,
    protocol::{self, NotUnderstood, ORDER_BYTES, Order, SPEC_BYTES},
};

/// Orders that wait; the parent misses the answer to one beyond.
const WAITING: usize = 4;

/// Why this process cannot be an instance.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("no instance specification on standard input; `instance` is started by the control plane only")]
    Nothing,
    #[error("cannot read the instance specification")]
    Read(#[from] io::Error),
    #[error("cannot read the instance specification")]
    NotUnderstood(#[from] NotUnderstood),
    #[error(transparent)]
    Orphaned(#[from] Orphaned),
}

/// Learns from standard input what to be, and ties this process to its parent: from now on it ends
/// when the parent does. What the parent orders later comes out of the second. Blocks until the parent has spoken; to be
/// called once, first of all.
pub fn receive() -> Result<(InstanceSpec, Receiver<Order>), ReceiveError> {
    let spec = read_spec(io::stdin().lock())?;
    bind_to_parent(spec.parent)?;
    let (sender, orders) = sync_channel(WAITING);
    thread::Builder::new().name("tidegate-lifeline".into()).spawn(move || leave_with_parent(&sender))?;
    Ok((spec, orders))
}

/// Tells the parent. It fails when the parent is gone, and so is this process, then, in a moment.
pub fn report(report: &InstanceReport) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(&protocol::encode(report))?;
    output.flush()
}

fn read_spec(input: impl BufRead) -> Result<InstanceSpec, ReceiveError> {
    let mut line = Vec::new();
    let mut input = input.take(SPEC_BYTES as u64);
    if input.read_until(b'\n', &mut line)? == 0 {
        return Err(ReceiveError::Nothing);
    }
    Ok(protocol::decode(&line)?)
}

/// Waits for the end of standard input, which the parent holds open as long as it lives, and passes on what comes before.
fn leave_with_parent(orders: &SyncSender<Order>) {
    let mut input = io::stdin().lock();
    let mut lines = Lines::new(ORDER_BYTES);
    loop {
        let taken = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok([]) | Err(_) => process::exit(0),
            Ok(bytes) => {
                lines.feed(bytes, |line| {
                    if let Ok(order) = protocol::decode(line.bytes()) {
                        // Nobody may be there to take it.
                        _ = orders.try_send(order);
                    }
                });
                bytes.len()
            }
        };
        input.consume(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_specification_is_refused() {
        assert!(matches!(read_spec(&b""[..]), Err(ReceiveError::Nothing)));
        assert!(matches!(read_spec(&b"{}\n"[..]), Err(ReceiveError::NotUnderstood(_))));
    }
}
