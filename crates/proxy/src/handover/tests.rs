use std::{fs, thread, time::Duration};

use tempfile::TempDir;
use tidegate_testkit::eventually;
use tokio::sync::watch;

use super::*;
use crate::socket::Row;

const PATIENCE: Duration = Duration::from_secs(20);

fn snapshot(listens: &[Address], admin: SocketAddr) -> Snapshot {
    let listeners: Vec<_> = listens.iter().map(|address| format!("{{ address: '{address}' }}")).collect();
    let text = format!("listeners: [{}]\nadmin: {{ address: '{admin}' }}\n", listeners.join(", "));
    let no_files = |_: &Path| Err(io::Error::other("there are no files"));
    tidegate_config::parse("tidegate.yaml", &text, &no_files).0.unwrap()
}

/// A gateway as far as its sockets go.
struct Predecessor {
    folder: TempDir,
    listens: Vec<Address>,
    admin: SocketAddr,
    superseded: watch::Receiver<bool>,
    running: Running,
}

impl Predecessor {
    /// With so many sockets on each of two ports, and one on a path.
    fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut listens = vec![
            address("127.0.0.1:0"),
            address("127.0.0.1:0"),
            Address::Unix(folder.path().join("a").into()),
        ];
        let mut rows: Vec<Row> = (0..count).map(|_| Vec::new()).collect();
        for (number, address) in listens.iter_mut().enumerate() {
            let first = Socket::bind(address).unwrap();
            let another = || match &address {
                Address::Ip(_) => Socket::bind(&mut address.clone()).unwrap(),
                Address::Unix(_) => first.try_clone().unwrap(),
            };
            rows.iter_mut().skip(1).for_each(|row| row.push((number, another())));
            rows[0].push((number, first));
        }
        let admin = TcpListener::bind("127.0.0.1:0").unwrap();
        let (sender, superseded) = watch::channel(false);
        let offer = Offer::new(listens.clone(), rows.into(), &admin, Arc::default()).unwrap();
        let running = Running::start(&folder.path().join("place"), offer, sender).unwrap();
        Self { folder, listens, admin: admin.local_addr().unwrap(), superseded, running }
    }

    fn ask(&self, listens: &[Address]) -> Handed {
        ask(&self.folder.path().join("place"), &snapshot(listens, self.admin))
    }

    fn is_superseded(&self) -> bool {
        *self.superseded.borrow()
    }
}

fn address(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

fn can_connect(address: &Address) -> bool {
    std::net::TcpStream::connect(address.ip().unwrap()).is_ok()
}

#[test]
fn what_is_listened_on_is_kept_and_all_else_is_closed() {
    let old = Predecessor::start(3);
    let [one, other, path] = &old.listens[..] else { unreachable!("there are three") };
    let mut handed = old.ask(&[one.clone(), path.clone(), address("127.0.0.1:1")]);
    assert_eq!(handed.addresses(), [one.clone(), path.clone()]);
    assert_eq!((handed.take(one).len(), handed.take(path).len(), handed.take(other).len()), (3, 1, 0));
    assert!(handed.take_admin().is_some());
    let mut again = old.ask(std::slice::from_ref(one));
    let kept = again.take(one);
    let elsewhere = old.running.end();
    assert!(elsewhere.contains(path), "it may be listened on: {elsewhere:?}");
    // The old one has closed all of its own by now.
    assert!(can_connect(one) && !can_connect(other));
    drop(kept);
    assert!(!can_connect(one));
}

#[test]
fn a_socket_whose_path_is_gone_is_of_no_use() {
    let old = Predecessor::start(1);
    let path = old.folder.path().join("a");
    fs::remove_file(&path).unwrap();
    assert_eq!(old.ask(&old.listens).take(&old.listens[2]).len(), 0);
    fs::write(&path, "").unwrap();
    assert_eq!(old.ask(&old.listens).take(&old.listens[2]).len(), 0);
}

#[test]
fn who_offers_knows_who_has_taken_and_who_is_gone() {
    let old = Predecessor::start(1);
    let place = old.folder.path().join("place");
    drop(old.ask(&old.listens));
    assert!(!old.is_superseded(), "one that did not start is nobody's successor");
    let handed = old.ask(&old.listens);
    (&handed.links[0]).write_all(&taken_line(&old.listens[..1])).unwrap();
    eventually(PATIENCE, "it is superseded", || old.is_superseded());
    // Whoever comes after that one has its end as well.
    let kept = handed.links[0].try_clone().unwrap();
    fs::remove_file(&place).unwrap();
    drop(handed);
    assert!(is_open(&kept) && old.is_superseded());
    drop(kept);
    eventually(PATIENCE, "it is on its own", || !old.is_superseded());
    eventually(PATIENCE, "it offers again", || place.exists());
    assert_eq!(old.ask(&old.listens).addresses().len(), 3);
    let mut last = old.ask(&old.listens);
    assert!(is_open(&last.links[0]));
    old.running.end();
    assert!(!is_open(&last.links[0]) && !place.exists());
    assert!(last.take_admin().is_some());
}

#[test]
fn what_comes_in_vain_moves_nothing_else() {
    let mut addresses = [address("127.0.0.1:0"), address("127.0.0.1:0")];
    let [first, second] = addresses.each_mut().map(|address| match Socket::bind(address).unwrap() {
        Socket::Tcp(socket) => socket,
        Socket::Unix(_) => unreachable!("it is no path"),
    });
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = admin.local_addr().unwrap();
    let copy = |socket: &TcpListener| OwnedFd::from(socket.try_clone().unwrap());
    let sockets = vec![copy(&admin), copy(&admin), copy(&admin), copy(&second), copy(&first)];
    let listener = |number: usize| Some(Purpose::Listener(addresses[number].clone()));
    let offered = Offered {
        pid: 1,
        network: 2,
        // Of the second address one socket is another's.
        sockets: vec![(Some(Purpose::Admin(at)), 2), (listener(1), 2), (listener(0), 1), (listener(0), 0)],
    };
    let link = UnixStream::pair().unwrap().0;
    let mut handed = Handed::sort(offered, sockets, link, &snapshot(&addresses, at));
    assert_eq!(addresses.each_ref().map(|address| handed.take(address).len()), [1, 1]);
    assert!(handed.take_admin().is_some());
}

/// What comes of asking somebody who says `what`.
fn asking(what: &'static [u8]) -> Handed {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    let listener = std::os::unix::net::UnixListener::bind(&place).unwrap();
    let saying = thread::spawn(move || listener.accept().unwrap().0.write_all(what).unwrap());
    let handed = ask(&place, &snapshot(&[address("127.0.0.1:1")], "127.0.0.1:2".parse().unwrap()));
    saying.join().unwrap();
    handed
}

#[test]
fn where_there_is_nobody_or_nobody_sensible_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(&[address("127.0.0.1:1")], "127.0.0.1:2".parse().unwrap());
    let nothing = |handed: Handed| assert!(handed.links.is_empty() && handed.addresses.is_empty());
    nothing(ask(&folder.path().join("nowhere"), &snapshot));
    let stale = folder.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    nothing(ask(&stale, &snapshot));
    nothing(asking(b""));
    nothing(asking(b"hello\n"));
    nothing(asking(br#"{"version":1,"pid":7,"network":0,"sockets":["#));
    nothing(asking(b"{\"version\":1,\"pid\":7,\"network\":1,\"sockets\":[]}\n"));
}
