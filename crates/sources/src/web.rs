//! A client for HTTP/1.1: one connection, one request at a time.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header::HeaderMap};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::error::{Error, Result};

#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Drives the connection; ends with it.
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Connection {
    pub(crate) async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let driven = async move {
            // What goes wrong is told to whoever waits for the answer.
            let _ = connection.await;
        };
        Ok(Self { sender, _task: AbortOnDropHandle::new(TaskTracker::new().spawn(driven)) })
    }

    /// Whether it can take a request.
    pub(crate) fn is_open(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request and reads the answer, whose body has at most `limit` bytes.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>, limit: usize) -> Result<Answer> {
        self.sender.ready().await.map_err(failed)?;
        let answer = self.sender.send_request(request).await.map_err(failed)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, limit).collect().await;
        let body = body.map_err(|error| Error::answer(error.to_string()))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

fn failed(error: hyper::Error) -> Error {
    Error::Connection(std::io::Error::other(error))
}
