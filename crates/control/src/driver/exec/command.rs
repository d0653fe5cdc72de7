//! Runs one command of the user: JSON in, JSON out, within limits of time and size.
//!
//! Each command leads a process group of its own, so that one that takes too long is ended with everything that it
//! started. One whose caller goes away is left to finish: a start that is under way when Tidegate ends is better
//! complete, for the next Tidegate finds what it started.

use std::{io, pin::pin, process::Stdio, time::Duration};

use rustix::process::Signal;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use crate::driver::process::{describe, signal_group};

/// Longest answer of a command.
const ANSWER_BYTES: usize = 4 << 20;

/// How much of what a command says on standard error is kept.
const WORDS_BYTES: usize = 4 << 10;

/// How long the last words of a command are awaited; what it started may hold its streams open.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(200);

/// How much of those words an error quotes, and of an answer that is not understood.
const QUOTED_CHARS: usize = 300;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("`{program}` cannot be run: {source}")]
    Run { program: String, source: io::Error },
    #[error("`{program}` took longer than {}s{words}", within.as_secs_f64())]
    Late { program: String, within: Duration, words: Words },
    #[error("`{program}` {how}{words}")]
    Failed { program: String, how: String, words: Words },
    #[error("`{program}` answered with more than {ANSWER_BYTES} bytes")]
    TooLong { program: String },
    #[error("`{program}` did not answer as it should: {source}, in {quote:?}")]
    NotUnderstood { program: String, quote: String, source: serde_json::Error },
}

/// The last line on standard error, if there was one.
#[derive(Debug)]
pub(super) struct Words(String);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// Runs `command` with `order`, and returns what it answers; nothing stands for an empty object.
pub(super) async fn run<T: DeserializeOwned>(
    command: &[String],
    order: &impl Serialize,
    within: Duration,
) -> Result<T, Error> {
    let program = || command.join(" ");
    let failed = |source| Error::Run { program: program(), source };
    let mut child = spawn(command).map_err(failed)?;
    let group = child.id();
    let mut order = serde_json::to_vec(order).map_err(|error| failed(error.into()))?;
    order.push(b'\n');
    let mut words = Vec::new();
    let talk = talk(&mut child, &order, &mut words);
    let Ok(talked) = timeout(within, talk).await else {
        if let Some(group) = group {
            signal_group(group, Signal::KILL);
        }
        // It has just been killed, so this is soon over; the runtime reaps it otherwise.
        _ = timeout(Duration::from_secs(1), child.wait()).await;
        return Err(Error::Late { program: program(), within, words: last_words(&words) });
    };
    let (answer, status) = talked.map_err(failed)?;
    if !status.success() {
        let how = describe(status);
        return Err(Error::Failed { program: program(), how, words: last_words(&words) });
    }
    let Some(answer) = answer else {
        return Err(Error::TooLong { program: program() });
    };
    let text = if answer.trim_ascii().is_empty() { b"{}" } else { answer.as_slice() };
    serde_json::from_slice(text).map_err(|source| {
        let quote = String::from_utf8_lossy(text).chars().take(QUOTED_CHARS).collect();
        Error::NotUnderstood { program: program(), quote, source }
    })
}

fn spawn(command: &[String]) -> io::Result<Child> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn()
}

/// Says what is to be done, and hears what the child says until it ends. `None`: it said too much.
async fn talk(
    child: &mut Child,
    order: &[u8],
    words: &mut Vec<u8>,
) -> io::Result<(Option<Vec<u8>>, std::process::ExitStatus)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut answer, mut whole, mut enough) = (Vec::new(), true, true);
    let talking = async {
        tokio::join!(
            tell(stdin, order),
            hear(stdout, &mut answer, ANSWER_BYTES, &mut whole),
            hear(stderr, words, WORDS_BYTES, &mut enough),
        )
    };
    let status = {
        let mut talking = pin!(talking);
        tokio::select! {
            status = child.wait() => {
                _ = timeout(LAST_WORDS_WITHIN, talking).await;
                status
            }
            _ = &mut talking => child.wait().await,
        }
    };
    Ok((whole.then_some(answer), status?))
}

/// A command that does not listen shows by its answer whether it did what it should.
async fn tell(stdin: Option<ChildStdin>, order: &[u8]) {
    if let Some(mut stdin) = stdin {
        _ = stdin.write_all(order).await;
    }
}

/// Keeps the first `limit` bytes and reads the rest for nothing; `whole` says whether there was no rest.
async fn hear(source: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, limit: usize, whole: &mut bool) {
    let Some(mut source) = source else { return };
    let mut chunk = vec![0; 8 << 10];
    while let Ok(count @ 1..) = source.read(&mut chunk).await {
        let fits = count.min(limit - kept.len());
        kept.extend_from_slice(&chunk[..fits]);
        *whole &= fits == count;
    }
}

fn last_words(words: &[u8]) -> Words {
    let text = String::from_utf8_lossy(words);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    Words(last.unwrap_or_default().chars().take(QUOTED_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn sh(script: &str, within: Duration) -> Result<Value, String> {
        let command = ["sh", "-c", script].map(str::to_owned);
        run(&command, &json!({ "a": 1 }), within).await.map_err(|error| error.to_string())
    }

    const ENOUGH: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_command_gets_the_order_and_gives_the_answer() {
        assert_eq!(sh("cat", ENOUGH).await.unwrap(), json!({ "a": 1 }));
        assert_eq!(sh("exit 0", ENOUGH).await.unwrap(), json!({}), "one that does not listen, nor answer");
        let answer = sh("sleep 600 & echo '{\"pid\":'$!'}'", ENOUGH).await.unwrap();
        assert!(answer["pid"].is_u64(), "one that leaves something behind: {answer}");
        std::process::Command::new("kill").arg(answer["pid"].to_string()).status().unwrap();
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said_with_the_commands_own_words() {
        let error = sh("echo one >&2; echo 'no such image' >&2; exit 4", ENOUGH).await.unwrap_err();
        assert!(error.ends_with("exited with status 4: no such image"), "{error}");
        let error = sh("echo '{'", ENOUGH).await.unwrap_err();
        assert!(error.contains("did not answer as it should"), "{error}");
        let error = sh("yes | head -c 5000000", ENOUGH).await.unwrap_err();
        assert!(error.contains("more than 4194304 bytes"), "{error}");
        let missing = ["/nonexistent/start".to_owned()];
        let error = run::<Value>(&missing, &json!({}), ENOUGH).await.unwrap_err().to_string();
        assert!(error.starts_with("`/nonexistent/start` cannot be run"), "{error}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let began = std::time::Instant::now();
        let error = sh("echo waiting >&2; sleep 600 & sleep 600", Duration::from_secs(3)).await.unwrap_err();
        assert!(error.ends_with("took longer than 3s: waiting"), "{error}");
        assert!(began.elapsed() < Duration::from_mins(1));
    }
}
