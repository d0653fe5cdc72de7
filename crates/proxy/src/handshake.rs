//! From a socket on which a client is to speak TLS to a connection that does.
//!
//! What the client says first is read before anything is decided, so that a script may choose the certificate by it. All of
//! it, the script included, has to be done within the handshake's time limit. A client that speaks plain HTTP is told
//! so in its own words.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    rc::Rc,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use tidegate_lua::{Choosing, Hello, Heritage, Phase, RequestState, Session as KeptSession, Verdict, Vm};
use tidegate_tls::{HANDSHAKE, Said};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    certificates::{Reception, Terms},
    excerpt::Excerpt,
    exchange::Exchange,
    fresh, lua,
    plugin::Plugin,
    sealed::{self, Wire},
    secure::{Secure, Session, Shown, is_resumed},
    site::{Handshake, Site},
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
    #[error("a script failed")]
    Script,
    #[error("the certificate that a script gave cannot be used: {0}")]
    Certificate(#[from] tidegate_tls::Error),
}

/// Shakes hands with the client of `exchange`, who came to the listener of this number.
pub(crate) async fn shake(
    worker: &Rc<Worker>,
    stream: TcpStream,
    listener: usize,
    exchange: &Exchange,
) -> Arrival {
    let Some(reception) = worker.tls_of(listener) else { return Arrival::Plain(stream, Vec::new()) };
    let span = worker.site().snapshot.timeouts.handshake;
    let mut heritage = None;
    let shaking = Shaking { worker, stream: &stream, reception, listener, exchange, heritage: &mut heritage };
    // It is large, and most of the time that a connection lasts it is over.
    let outcome = match within(span, Box::pin(shaking.run())).await {
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
            tracing::info!(client = exchange.client_text, error = %failure, "TLS handshake failed");
            Arrival::Nobody
        }
    }
}

impl From<sealed::Failure> for Failure {
    fn from(failure: sealed::Failure) -> Self {
        match failure {
            sealed::Failure::Left => Self::Left,
            sealed::Failure::Io(error) => Self::Io(error),
            sealed::Failure::Tls(error) => Self::Tls(error),
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
    reception: Arc<Reception>,
    listener: usize,
    exchange: &'a Exchange,
    /// What a script leaves.
    heritage: &'a mut Option<Heritage>,
}

/// The scripts that have a say, and what they keep from one to the next.
struct Scripts {
    site: Rc<Site>,
    state: RequestState,
}

impl Scripts {
    /// What requests see of it.
    fn end(&mut self) -> Option<Heritage> {
        let heritage = Heritage::of(&mut self.state);
        self.site.vm.finish(&mut self.state);
        heritage
    }
}

impl Shaking<'_> {
    async fn run(self) -> Result<Begun, Failure> {
        let mut received = Vec::new();
        let Some(accepted) = self.listen(&mut received).await? else {
            return Ok(Begun::Plain(received));
        };
        let said = Said::read(&received);
        let name = accepted.client_hello().server_name().map(str::to_owned);
        let (version, random) = (said.version(), said.random());
        let &Exchange { client, local, .. } = self.exchange;
        let place = self.exchange.place.clone();
        let hello = Arc::new(Hello { name, client, local, place, version, random });
        let (scripts, terms) = match self.scripts(&hello, said) {
            Ok(Some(mut scripts)) => {
                let terms = self.choose(&mut scripts).await;
                (Some(scripts), terms)
            }
            Ok(None) => (None, Ok(self.reception.terms())),
            Err(failure) => (None, Err(failure)),
        };
        let (Terms { config, asking, sessions }, refused) = match terms {
            Ok(terms) => (terms, None),
            Err(failure) => (self.reception.without_certificate(), Some(failure)),
        };
        let mut tls = match accepted.into_connection(config) {
            Ok(tls) => tls,
            Err((error, alert)) => {
                let told = refuse(self.stream, error, alert);
                return Err(refused.unwrap_or(told));
            }
        };
        if let Some(failure) = refused {
            return Err(failure);
        }
        poll_fn(|cx| sealed::poll_handshake(&mut tls, self.stream, cx)).await?;
        if let Some(mut scripts) = scripts {
            if let Some(session) = sessions.and_then(|sessions| sessions.take_made()) {
                self.keep(&mut scripts, session).await;
            }
            *self.heritage = scripts.end();
        }
        let (shown, refusal) = match asking {
            Some((asking, verify)) => {
                let shown = Shown::judged(&asking, &tls);
                let refusal = shown.refusal(verify);
                (shown, refusal)
            }
            None => (Shown::Nothing, None),
        };
        Ok(Begun::Secure(Session { tls: Arc::new(Mutex::new(tls)), hello, shown, refusal }))
    }

    /// The scripts of the listener, if it has any.
    fn scripts(&self, hello: &Arc<Hello>, said: Said) -> Result<Option<Box<Scripts>>, Failure> {
        let mut site = self.worker.site();
        if site.handshakes.get(self.listener).is_none_or(Handshake::is_empty) {
            return Ok(None);
        }
        if !site.snapshot.lua.code_cache {
            let fresh = fresh::site(self.worker, &site).map_err(|error| {
                tracing::error!(%error, "hands are not shaken: lua");
                Failure::Script
            })?;
            site = Rc::new(fresh);
        }
        let mut state = RequestState::with_client(Some(Arc::clone(hello)));
        state.choosing = Some(Box::new(Choosing::new(said)));
        Ok(Some(Box::new(Scripts { site, state })))
    }

    /// Lets scripts choose.
    async fn choose(&self, scripts: &mut Scripts) -> Result<Terms, Failure> {
        let Scripts { site, state } = scripts;
        let Some(handshake) = site.handshakes.get(self.listener) else { return Ok(self.reception.terms()) };
        if let Some(hello) = &handshake.hello {
            self.run_script(site, hello, Phase::SslClientHello, state).await?;
        }
        let choosing = state.choosing.as_mut();
        let has_session = choosing.is_some_and(|choosing| choosing.has_session(self.reception.versions));
        if let Some(fetch) = handshake.session_fetch.as_ref().filter(|_| has_session) {
            // Without it, all of the handshake is done.
            let _ = self.run_script(site, fetch, Phase::SslSessionFetch, state).await;
        }
        if let Some(certificate) = &handshake.certificate {
            self.run_script(site, certificate, Phase::SslCertificate, state).await?;
        }
        let chosen = state.choosing.take().map(|choosing| choosing.outcome()).transpose()?;
        Ok(self.reception.after(chosen.unwrap_or_default())?)
    }

    /// Lets a script keep the session that was made.
    async fn keep(&self, Scripts { site, state }: &mut Scripts, session: KeptSession) {
        let handshake = site.handshakes.get(self.listener);
        let Some(store) = handshake.and_then(|handshake| handshake.session_store.as_ref()) else { return };
        state.choosing = Some(Box::new(Choosing::keeping(session)));
        // The client is served, whatever comes of it.
        let _ = self.run_script(site, store, Phase::SslSessionStore, state).await;
        state.choosing = None;
    }

    async fn run_script(
        &self,
        site: &Site,
        plugin: &Plugin,
        phase: Phase,
        state: &mut RequestState,
    ) -> Result<(), Failure> {
        let start = |vm: &Vm, state: &mut RequestState| vm.start_alone(&plugin.handler, phase, state);
        match lua::run_for(self.worker, &site.vm, &plugin.tally, state, start).await {
            Ok(Verdict::Exit(code)) if code >= UNWANTED => Err(Failure::Unwanted),
            Ok(_) => Ok(()),
            Err(error) => {
                let excerpt = Excerpt::of(&error, Some(site));
                self.worker.log.failure_alone(phase, &error, &excerpt);
                Err(Failure::Script)
            }
        }
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
