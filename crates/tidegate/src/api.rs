//! Asks a running gateway through its Admin API.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::Value;

/// Longest wait for the Admin API.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer that is read.
const ANSWER_LIMIT: u64 = 64 << 20;

/// `GET`s a JSON document.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("no gateway answers on {address}; name its admin address with --admin"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // HTTP/1.0: the answer ends with the connection, so there is nothing to take apart.
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).context("the gateway does not answer")?;
    let answer = String::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let body: Value = serde_json::from_str(body).with_context(|| format!("status {status} without JSON"))?;
    if status != "200" {
        let said = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
        bail!("{} {}", said("message"), said("help"));
    }
    Ok(body)
}
