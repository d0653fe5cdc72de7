//! The server around the API: a thread, a listener, and bounds on what clients may do.
//!
//! A gateway's successor listens on the same socket. While there is one it serves alone, so that whoever asks learns of the
//! gateway that is to stay: nothing more is accepted here, and connections end after the request that they are at.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tidegate_control::Handle;
use tidegate_core::Telemetry;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{api, state::State};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// How long a connection may take to send the head of a request, its idle time before that included.
const HEADER_WITHIN: Duration = Duration::from_secs(30);

const HEADER_FIELDS: usize = 64;

/// Bytes that are read before a request is understood: a longer head is refused.
const HEADER_BYTES: usize = 16 << 10;

/// How long a client may take none of an answer.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// A connection ends after this, however busy: nobody holds one of few for ever.
const CONNECTION_LIFE: Duration = Duration::from_mins(5);

/// How long a request may go on when its connection should end.
const GRACE: Duration = Duration::from_secs(2);

/// Pause after the listener failed: it would most likely fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the Admin API on a thread of its own.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: State,
    listener: TcpListener,
    superseded: watch::Sender<bool>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds (without sharing the port) and starts to serve.
    pub fn start(address: SocketAddr, control: Handle, telemetry: Arc<Telemetry>) -> io::Result<Self> {
        Self::start_on(TcpListener::bind(address)?, control, telemetry)
    }

    /// The same on a socket that listens already.
    pub fn start_on(listener: TcpListener, control: Handle, telemetry: Arc<Telemetry>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (address, accepting) = (listener.local_addr()?, listener.try_clone()?);
        let state = State::new(control, telemetry);
        let (router, stop) = (api::router(state.clone()), CancellationToken::new());
        let (superseded, is_superseded) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("tidegate-admin".into()).spawn({
            let stop = stop.clone();
            move || runtime.block_on(serve(accepting, router, is_superseded, stop))
        })?;
        Ok(Self { address, state, listener, superseded, stop, thread: Some(thread) })
    }

    /// What it listens on.
    pub const fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Tells the server whether another one serves in its place.
    pub fn superseded(&self) -> watch::Sender<bool> {
        self.superseded.clone()
    }

    /// With the port that was found for port 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `/readyz` answers 503.
    pub fn begin_drain(&self) {
        self.state.begin_drain();
    }

    /// Ends the server and its thread.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin server had ended by itself");
        }
    }
}

async fn serve(
    listener: TcpListener,
    router: Router,
    mut superseded: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot serve the Admin API"),
    };
    let (places, connections) = (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new());
    let mut turn = stop.child_token();
    loop {
        let is_superseded = *superseded.borrow_and_update();
        if is_superseded {
            turn.cancel();
        } else if turn.is_cancelled() {
            turn = stop.child_token();
        }
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = superseded.changed() => continue,
            accepted = accept(&listener, &places), if !is_superseded => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                connections.spawn(connection(stream, router.clone(), turn.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(STALLED_AFTER))?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken, place: OwnedSemaphorePermit) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_WITHIN);
    builder.max_headers(HEADER_FIELDS).max_buf_size(HEADER_BYTES);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let life = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(CONNECTION_LIFE) => {}
        }
    };
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = life => {
            serving.as_mut().graceful_shutdown();
            timeout(GRACE, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended");
    }
    drop(place);
}
