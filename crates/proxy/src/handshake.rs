//! From a socket on which a client is to speak TLS to a connection that does.
//!
//! What the client says first is read before anything is decided, so that a script may choose the certificate by it. All of
//! it, the script included, has to be done within the handshake's time limit. A client that speaks plain HTTP is told
//! so in its own words.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection,
    server::{Accepted, AcceptedAlert, Acceptor},
    sign::CertifiedKey,
};
use tidegate_lua::{Hello, Heritage, Phase, RequestState, Verdict, Vm};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    certificates::with_certificate,
    excerpt::Excerpt,
    fresh,
    hello::{HANDSHAKE, Said},
    lua,
    secure::{Secure, Session, Wire, is_resumed},
    worker::Worker,
};

/// From this status on, `ngx.exit` turns a client away. `ngx.ERROR` does, too.
const UNWANTED: u16 = 300;

/// Bytes that are read at once of what a client says first.
const AT_ONCE: usize = 4 << 10;

/// Bytes of it that are looked at: as much as rustls takes for a first message.
const MOST: usize = 64 << 10;

/// What came of a connection.
pub(crate) enum Arrival {
    Secure(Secure, Option<Heritage>),
    /// What has been received is no TLS, but may be HTTP.
    Plain(TcpStream, Vec<u8>),
    /// There is no connection any more, or none worth having.
    Nobody,
}

/// Why hands were not shaken.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("took too long")]
    Late,
    #[error("the client left")]
    Left,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("a script turned the client away")]
    Unwanted,
    #[error("the script that chooses the certificate failed")]
    Script,
    #[error("the certificate that a script gave cannot be used: {0}")]
    Certificate(#[from] tidegate_tls::Error),
}

/// Shakes hands with `client`, who came to the listener of this number.
pub(crate) async fn shake(
    worker: &Rc<Worker>,
    stream: TcpStream,
    listener: usize,
    client: SocketAddr,
) -> Arrival {
    let Some(config) = worker.tls(listener) else { return Arrival::Plain(stream, Vec::new()) };
    let span = worker.site().snapshot.timeouts.handshake;
    let Ok(local) = stream.local_addr() else { return Arrival::Nobody };
    let mut heritage = None;
    let shaking =
        Shaking { worker, stream: &stream, config, listener, client, local, heritage: &mut heritage };
    let outcome = match within(span, shaking.run()).await {
        Ok(Begun::Secure(session)) => Ok(session),
        Ok(Begun::Plain(received)) => return Arrival::Plain(stream, received),
        Err(failure) => Err(failure),
    };
    let series = worker.series();
    series.tls_handshakes.fetch_add(1, Relaxed);
    match outcome {
        Ok(session) => {
            if is_resumed(&session.tls()) {
                series.tls_resumed.fetch_add(1, Relaxed);
            }
            Arrival::Secure(Secure::new(stream, Arc::new(session)), heritage)
        }
        Err(failure) => {
            series.tls_failed.fetch_add(1, Relaxed);
            tracing::info!(%client, error = %failure, "TLS handshake failed");
            Arrival::Nobody
        }
    }
}

async fn within(
    span: Duration,
    work: impl Future<Output = Result<Begun, Failure>>,
) -> Result<Begun, Failure> {
    timeout(span, work).await.unwrap_or(Err(Failure::Late))
}

enum Begun {
    Secure(Session),
    Plain(Vec<u8>),
}

struct Shaking<'a> {
    worker: &'a Rc<Worker>,
    stream: &'a TcpStream,
    config: Arc<ServerConfig>,
    listener: usize,
    client: SocketAddr,
    local: SocketAddr,
    /// What a script leaves.
    heritage: &'a mut Option<Heritage>,
}

impl Shaking<'_> {
    async fn run(mut self) -> Result<Begun, Failure> {
        let mut received = Vec::new();
        let Some(accepted) = self.listen(&mut received).await? else {
            return Ok(Begun::Plain(received));
        };
        let Said { random, version } = Said::read(&received);
        let name = accepted.client_hello().server_name().map(str::to_owned);
        let hello = Arc::new(Hello { name, client: self.client, local: self.local, version, random });
        let (config, refused) = match self.choose(&hello).await {
            Ok(None) => (self.config, None),
            Ok(Some(key)) => (with_certificate(&self.config, key), None),
            // It cannot be told why, only that there is no certificate for it.
            Err(failure) => (with_certificate(&self.config, None), Some(failure)),
        };
        let connection = match accepted.into_connection(config) {
            Ok(connection) => connection,
            Err((error, alert)) => {
                let told = refuse(self.stream, error, alert);
                return Err(refused.unwrap_or(told));
            }
        };
        if let Some(failure) = refused {
            return Err(failure);
        }
        let tls = converse(self.stream, connection).await?;
        Ok(Begun::Secure(Session { tls: Arc::new(Mutex::new(tls)), hello }))
    }

    /// Lets a script choose the certificate, if there is one: `None` leaves it to the configuration.
    async fn choose(&mut self, hello: &Arc<Hello>) -> Result<Option<Option<Arc<CertifiedKey>>>, Failure> {
        let site = self.worker.site();
        let fresh;
        let site = if site.ssl_certificate.get(self.listener).is_none_or(Option::is_none) {
            return Ok(None);
        } else if site.snapshot.lua.code_cache {
            &*site
        } else {
            fresh = fresh::site(self.worker, &site).map_err(|error| {
                tracing::error!(%error, "hands are not shaken: lua");
                Failure::Script
            })?;
            &fresh
        };
        let Some(Some(plugin)) = site.ssl_certificate.get(self.listener) else { return Ok(None) };
        let mut state = RequestState::with_client(Some(Arc::clone(hello)));
        state.choosing = Some(Box::default());
        let start =
            |vm: &Vm, state: &mut RequestState| vm.start_alone(&plugin.handler, Phase::SslCertificate, state);
        let outcome = lua::run_for(self.worker, &site.vm, &plugin.tally, &mut state, start).await;
        *self.heritage = Heritage::of(&mut state);
        site.vm.finish(&mut state);
        match outcome {
            Ok(Verdict::Exit(code)) if code >= UNWANTED => return Err(Failure::Unwanted),
            Ok(_) => {}
            Err(error) => {
                let excerpt = Excerpt::of(&error, Some(site));
                self.worker.log.failure_alone(Phase::SslCertificate, &error, &excerpt);
                return Err(Failure::Script);
            }
        }
        let chosen = state.choosing.take().unwrap_or_default().outcome()?;
        Ok(chosen.map(|identity| identity.map(|identity| identity.key)))
    }

    /// What the client says first, whole; `None` if that is no TLS.
    async fn listen(&self, received: &mut Vec<u8>) -> Result<Option<Accepted>, Failure> {
        let mut acceptor = Acceptor::default();
        loop {
            let mut space = [0; AT_ONCE];
            let count = receive(self.stream, &mut space).await?;
            if count == 0 {
                return Err(Failure::Left);
            }
            let mut fresh = &space[..count];
            received.extend_from_slice(fresh);
            if received[0] != HANDSHAKE && received[0].is_ascii_graphic() {
                return Ok(None);
            }
            while !fresh.is_empty() {
                acceptor.read_tls(&mut fresh)?;
                match acceptor.accept() {
                    // A client says nothing more before it is answered.
                    Ok(Some(accepted)) => return Ok(Some(accepted)),
                    Ok(None) if received.len() > MOST => {
                        return Err(io::Error::from(ErrorKind::InvalidData).into());
                    }
                    Ok(None) => {}
                    Err((error, alert)) => return Err(refuse(self.stream, error, alert)),
                }
            }
        }
    }
}

/// Tells the client why, if it can be told at once.
fn refuse(stream: &TcpStream, error: rustls::Error, mut alert: AcceptedAlert) -> Failure {
    let _ = alert.write_all(&mut Wire(stream));
    error.into()
}

async fn receive(stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(space) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Sends and receives until hands are shaken.
async fn converse(stream: &TcpStream, mut tls: ServerConnection) -> Result<ServerConnection, Failure> {
    loop {
        while tls.wants_write() {
            match tls.write_tls(&mut Wire(stream)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
        }
        if !tls.is_handshaking() {
            return Ok(tls);
        }
        stream.readable().await?;
        match tls.read_tls(&mut Wire(stream)) {
            Ok(0) => return Err(Failure::Left),
            Ok(_) => {
                if let Err(error) = tls.process_new_packets() {
                    let _ = tls.write_tls(&mut Wire(stream));
                    return Err(error.into());
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
