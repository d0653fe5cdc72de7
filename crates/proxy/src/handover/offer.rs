//! The thread that offers sockets, and knows who has taken them.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{MetadataExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{Domain, Socket as Raw, Type};
use tidegate_core::snapshot::Address;
use tokio::{
    net,
    runtime::Builder,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    WITHIN, chain, is_open,
    message::{Offered, Purpose, read_taken},
    network, passing,
};
use crate::socket::Row;

/// Nobody else may ask.
const MODE: u32 = 0o600;

/// Connections at a time, those of successors that live included, and others that wait.
const LINKS: usize = 16;
const BACKLOG: i32 = 16;

/// Pause after the socket failed: it would most likely fail again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// What is offered.
#[derive(Debug)]
pub(super) struct Offer {
    /// Where the node listens, by number.
    listens: Vec<Address>,
    rows: Arc<[Row]>,
    admin: (SocketAddr, OwnedFd),
    predecessors: Arc<[UnixStream]>,
}

impl Offer {
    pub(super) fn new(
        listens: Vec<Address>,
        rows: Arc<[Row]>,
        admin: &TcpListener,
        predecessors: Arc<[UnixStream]>,
    ) -> io::Result<Self> {
        let admin = (admin.local_addr()?, admin.try_clone()?.into());
        Ok(Self { listens, rows, admin, predecessors })
    }

    /// What there is, as it is at present.
    fn all(&self) -> (Offered, Vec<BorrowedFd<'_>>) {
        let listener = |(number, address): (usize, &Address)| {
            let of_listener = self.rows.iter().flatten().filter(|(of, _)| *of == number);
            // On a path there is but one.
            let most = if address.ip().is_some() { usize::MAX } else { 1 };
            let sockets = of_listener.take(most).map(|(_, socket)| socket.as_fd()).collect();
            (Purpose::Listener(address.clone()), sockets)
        };
        let admin = (Purpose::Admin(self.admin.0), vec![self.admin.1.as_fd()]);
        let open = self.predecessors.iter().filter(|link| is_open(link)).map(AsFd::as_fd).collect();
        let listeners = self.listens.iter().enumerate().map(listener);
        let all: Vec<(Purpose, Vec<_>)> = listeners.chain([admin, (Purpose::Predecessor, open)]).collect();
        let sockets = all.iter().map(|(purpose, some)| (Some(purpose.clone()), some.len())).collect();
        let offered = Offered { pid: process::id(), network: network(), sockets };
        (offered, all.into_iter().flat_map(|(_, some)| some).collect())
    }
}

/// Where each successor listens, by the number of its connection. `None`: it has yet to start, or to fail.
type Successors = BTreeMap<u64, Option<Vec<Address>>>;

/// The thread at work.
#[derive(Debug)]
pub(super) struct Running {
    stop: CancellationToken,
    thread: JoinHandle<Successors>,
    everywhere: Vec<Address>,
}

impl Running {
    pub(super) fn start(place: &Path, offer: Offer, superseded: watch::Sender<bool>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, everywhere) = (CancellationToken::new(), offer.listens.clone());
        // Here, so that there is no moment in which nobody offers anything.
        let desk = Desk::new(place)?;
        let thread = thread::Builder::new().name("handover".into()).spawn({
            let stop = stop.clone();
            move || runtime.block_on(serve(desk, Arc::new(offer), superseded, stop))
        })?;
        Ok(Self { stop, thread, everywhere })
    }

    /// Says where successors listen, or may.
    pub(super) fn end(self) -> Vec<Address> {
        self.stop.cancel();
        let Ok(successors) = self.thread.join() else {
            tracing::error!("the thread that offers sockets panicked");
            return Vec::new();
        };
        let listens = |successor: Option<Vec<Address>>| successor.unwrap_or_else(|| self.everywhere.clone());
        successors.into_values().flat_map(listens).collect()
    }
}

/// The socket that successors come to.
#[derive(Debug)]
struct Desk {
    place: PathBuf,
    listener: UnixListener,
    /// Device and number of its file.
    file: (u64, u64),
}

impl Desk {
    /// Takes the place of whoever has it.
    fn new(place: &Path) -> io::Result<Self> {
        let fresh = place.with_extension(process::id().to_string());
        if let Err(error) = fs::remove_file(&fresh)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&socket2::SockAddr::unix(&fresh)?)?;
        // Before it listens, nobody can come.
        fs::set_permissions(&fresh, fs::Permissions::from_mode(MODE))?;
        socket.listen(BACKLOG)?;
        let file = identity(&fresh)?;
        fs::rename(&fresh, place)?;
        Ok(Self { place: place.to_owned(), listener: OwnedFd::from(socket).into(), file })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if identity(&self.place).is_ok_and(|found| found == self.file) {
            let _ = fs::remove_file(&self.place);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

async fn serve(
    mut desk: Desk,
    offer: Arc<Offer>,
    superseded: watch::Sender<bool>,
    stop: CancellationToken,
) -> Successors {
    let (successors, mut changes) = watch::channel(Successors::new());
    let mut links = JoinSet::new();
    let mut listener = listen(&desk);
    let mut number = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return successors.borrow().clone(),
            Some(_) = links.join_next() => {}
            Ok(()) = changes.changed() => {
                let is_superseded = changes.borrow_and_update().values().any(Option::is_some);
                if superseded.send_replace(is_superseded) && !is_superseded {
                    tracing::info!("the successor has ended: goes on as before");
                    // The place was the successor's meanwhile.
                    match Desk::new(&desk.place) {
                        Ok(again) => (desk, listener) = (again, None),
                        Err(error) => tracing::warn!(%error, "sockets cannot be handed over any more"),
                    }
                    listener = listener.or_else(|| listen(&desk));
                }
            }
            accepted = accept(listener.as_ref()), if links.len() < LINKS => match accepted {
                Ok(stream) => {
                    number += 1;
                    successors.send_modify(|all| _ = all.insert(number, None));
                    links.spawn(attend(number, stream, Arc::clone(&offer), successors.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the socket for successors failed");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

fn listen(desk: &Desk) -> Option<net::UnixListener> {
    let listener = desk.listener.try_clone().and_then(net::UnixListener::from_std);
    listener.inspect_err(|error| tracing::warn!(%error, "sockets cannot be handed over")).ok()
}

async fn accept(listener: Option<&net::UnixListener>) -> io::Result<net::UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Hands the sockets over to who has come, and stays until that is gone.
async fn attend(
    number: u64,
    mut stream: net::UnixStream,
    offer: Arc<Offer>,
    successors: watch::Sender<Successors>,
) {
    match hand_over(&mut stream, &offer).await {
        Ok(Some(listens)) => {
            let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
            tracing::info!(
                pid,
                "a successor has taken over the sockets: SIGTERM ends this gateway without a loss"
            );
            successors.send_modify(|all| _ = all.insert(number, Some(listens)));
            passing::until_closed(&stream).await;
        }
        Ok(None) => tracing::info!("somebody asked for the sockets, but did not start: goes on as before"),
        Err(error) => tracing::warn!(%error, "sockets were not handed over"),
    }
    successors.send_modify(|all| _ = all.remove(&number));
}

/// Says where the successor listens. `None`: it ended before it did.
async fn hand_over(stream: &mut net::UnixStream, offer: &Offer) -> io::Result<Option<Vec<Address>>> {
    if !is_trusted(stream) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user asked"));
    }
    {
        let (offered, sockets) = offer.all();
        timeout(WITHIN, passing::send(stream, &offered, &sockets)).await.map_err(io::Error::from)??;
    }
    let Some(line) = passing::answer(stream).await? else { return Ok(None) };
    read_taken(&line).map(Some).map_err(|odd| io::Error::other(format!("the answer {}", chain(&odd))))
}

/// Whether at the other end there is the same user, or root, who may do all that anyway.
pub(super) fn is_trusted(stream: &net::UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| [own, 0].contains(&peer.uid()))
}
