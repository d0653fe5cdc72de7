//! What an upstream does about a request.

use std::time::Duration;

use crate::message::{field_lines, length_line};

/// The steps of one answer, acted out in order.
///
/// A well-behaved answer begins with [`Answer::ok`] or [`Answer::status`]; misbehaviour is put
/// together from [`Answer::nothing`] and the steps.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub(super) steps: Vec<Step>,
    pub(super) closes: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Write(Vec<u8>),
    Pause(Duration),
    Stall,
    Reset,
    Echo,
}

impl Answer {
    /// 200 with a `Content-Length`.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::status(200, &[], body)
    }

    /// Any status, with headers of your own, and a `Content-Length` unless the status forbids it.
    pub fn status(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = if status >= 200 && status != 204 { length_line(body) } else { String::new() };
        Self::nothing().write(head(status, headers) + &length + "\r\n").write(body)
    }

    /// 200 with a chunk for each of `chunks` and trailers after them.
    pub fn chunked(chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Self {
        let mut answer = Self::nothing().write(head(200, &[("Transfer-Encoding", "chunked")]) + "\r\n");
        for chunk in chunks {
            answer = answer.write(format!("{:x}\r\n", chunk.len())).write(chunk).write("\r\n");
        }
        answer.write(format!("0\r\n{}\r\n", field_lines(trailers)))
    }

    /// 101 to `protocol`, then everything is sent back as it came.
    pub fn echo(protocol: &str) -> Self {
        let head = head(101, &[("Connection", "Upgrade"), ("Upgrade", protocol)]) + "\r\n";
        let mut answer = Self::nothing().write(head).close();
        answer.steps.push(Step::Echo);
        answer
    }

    /// No byte yet.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// An interim answer (1xx) before the rest.
    #[must_use]
    pub fn after_interim(mut self, status: u16, headers: &[(&str, &str)]) -> Self {
        self.steps.insert(0, Step::Write((head(status, headers) + "\r\n").into_bytes()));
        self
    }

    /// These bytes, in a segment of their own.
    #[must_use]
    pub fn write(mut self, bytes: impl AsRef<[u8]>) -> Self {
        if !bytes.as_ref().is_empty() {
            self.steps.push(Step::Write(bytes.as_ref().to_vec()));
        }
        self
    }

    /// Everything written so far byte by byte, with a pause after each.
    #[must_use]
    pub fn trickled(mut self, pause: Duration) -> Self {
        let steps = std::mem::take(&mut self.steps);
        self.steps = steps.into_iter().flat_map(|step| trickle(step, pause)).collect();
        self
    }

    #[must_use]
    pub fn pause(mut self, span: Duration) -> Self {
        self.steps.push(Step::Pause(span));
        self
    }

    /// Does nothing more, with the connection open, until the upstream is dropped.
    #[must_use]
    pub fn stall(mut self) -> Self {
        self.steps.push(Step::Stall);
        self
    }

    /// Closes in an orderly way after the steps so far.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Resets the connection after the steps so far.
    #[must_use]
    pub fn reset(mut self) -> Self {
        self.steps.push(Step::Reset);
        self.close()
    }
}

fn head(status: u16, headers: &[(&str, &str)]) -> String {
    format!("HTTP/1.1 {status} Scripted\r\n{}", field_lines(headers))
}

fn trickle(step: Step, pause: Duration) -> Vec<Step> {
    match step {
        Step::Write(bytes) => {
            bytes.into_iter().flat_map(|byte| [Step::Write(vec![byte]), Step::Pause(pause)]).collect()
        }
        other => vec![other],
    }
}
