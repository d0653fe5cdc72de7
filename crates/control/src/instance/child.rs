//! The instance's own end of the agreement.

use std::{
    io::{self, BufRead, Read, Write as _},
    process, thread,
};

use super::{
    InstanceReport, InstanceSpec, Orphaned, bind_to_parent,
    protocol::{self, NotUnderstood, SPEC_BYTES},
};

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
/// when the parent does. Blocks until the parent has spoken; to be called once, first of all.
pub fn receive() -> Result<InstanceSpec, ReceiveError> {
    let spec = read_spec(io::stdin().lock())?;
    bind_to_parent(spec.parent)?;
    thread::Builder::new().name("tidegate-lifeline".into()).spawn(leave_with_parent)?;
    Ok(spec)
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

/// Waits for the end of standard input, which the parent holds open as long as it lives.
fn leave_with_parent() {
    let mut ignored = [0; 64];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut ignored) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1..) => {}
            Ok(0) | Err(_) => process::exit(0),
        }
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
