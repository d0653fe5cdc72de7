//! Asks a running gateway through its Admin API.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::exit::Failure;

/// Longest wait for the Admin API.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer that is read.
const ANSWER_LIMIT: u64 = 64 << 20;

/// `GET`s a JSON document. What the gateway refuses was asked wrongly.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Value, Failure> {
    get_in(address, path, Duration::ZERO)
}

/// The same for what takes so long to answer.
pub(crate) fn get_in(address: SocketAddr, path: &str, work: Duration) -> Result<Value, Failure> {
    understand(ask(address, "GET", path, "", PATIENCE + work))
}

/// Asks for something to be done.
pub(crate) fn post(address: SocketAddr, path: &str, wish: &Value) -> Result<Value, Failure> {
    understand(ask(address, "POST", path, &wish.to_string(), PATIENCE))
}

fn understand(answer: anyhow::Result<(u16, Value)>) -> Result<Value, Failure> {
    let (status, body) = answer.map_err(Failure::Environment)?;
    let said = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
    let refusal = || anyhow!("{}; {}", said("message"), said("help"));
    match status {
        200 => Ok(body),
        400..500 => Err(Failure::Input(refusal())),
        _ => Err(Failure::Environment(refusal())),
    }
}

fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    patience: Duration,
) -> anyhow::Result<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("no gateway answers on {address}; name its admin address with --admin"))?;
    stream.set_read_timeout(Some(patience))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // HTTP/1.0: the answer ends with the connection, so there is nothing to take apart.
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).context("the gateway does not answer")?;
    let answer = String::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body: Value = serde_json::from_str(body).with_context(|| format!("status {status} without JSON"))?;
    Ok((status, body))
}
