//! What is said when sockets are handed over: a line of JSON each way.
//!
//! The offer says what the sockets are that come with it, in their order:
//!
//! ```json
//! {"version":1,"pid":71,"network":4026531840,"sockets":[
//!   {"for":"listener","address":"0.0.0.0:80","count":4},{"for":"admin","address":"127.0.0.1:9000","count":1}]}
//! ```
//!
//! The answer says which addresses the successor listens on: `{"version":1,"listens":["0.0.0.0:80"]}`. Fields and purposes that a
//! reader does not know are passed over, so only what those cannot say needs another version.

use std::{net::SocketAddr, path::Path};

use serde::{Deserialize, Serialize};
use tidegate_core::snapshot::Address;

const VERSION: u32 = 1;

/// Longest line, with its end.
pub(super) const LINE_BYTES: usize = 256 << 10;

/// Most sockets.
pub(super) const SOCKETS: usize = 16_384;

/// What a socket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Listener(Address),
    Admin(SocketAddr),
    /// It leads to a predecessor of who offers it, and lives as long as that listens.
    Predecessor,
}

/// Whose sockets are offered, and what they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) pid: u32,
    /// The network that the sockets belong to, as the kernel numbers them. 0: it is not known.
    pub(super) network: u64,
    /// So many in a row for each purpose; `None`: one that is not known here.
    pub(super) sockets: Vec<(Option<Purpose>, usize)>,
}

/// Why a line says nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Odd {
    #[error("is not understood")]
    Json(#[from] serde_json::Error),
    #[error("is of version {0}, and this program knows {VERSION}")]
    Version(u32),
    #[error("{0:?} is not an address")]
    Address(String),
    #[error("{0} sockets are more than the {SOCKETS} that there may be")]
    Many(usize),
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct RawOffered {
    version: u32,
    pid: u32,
    network: u64,
    sockets: Vec<RawSockets>,
}

#[derive(Serialize, Deserialize)]
struct RawSockets {
    r#for: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    count: usize,
}

#[derive(Serialize, Deserialize)]
struct RawTaken {
    version: u32,
    listens: Vec<String>,
}

impl Offered {
    pub(super) fn read(line: &[u8]) -> Result<Self, Odd> {
        let RawOffered { pid, network, sockets, .. } = read(line)?;
        let count = sockets.iter().fold(0, |sum: usize, one| sum.saturating_add(one.count));
        if count > SOCKETS {
            return Err(Odd::Many(count));
        }
        let sockets = sockets.into_iter().map(RawSockets::read).collect::<Result<_, _>>()?;
        Ok(Self { pid, network, sockets })
    }

    pub(super) fn line(&self) -> Vec<u8> {
        let raw = |(purpose, count): &(Option<Purpose>, usize)| RawSockets::of(purpose.as_ref(), *count);
        let sockets = self.sockets.iter().map(raw).collect();
        line(&RawOffered { version: VERSION, pid: self.pid, network: self.network, sockets })
    }

    /// How many sockets come with it.
    pub(super) fn count(&self) -> usize {
        self.sockets.iter().map(|(_, count)| count).sum()
    }
}

impl RawSockets {
    fn of(purpose: Option<&Purpose>, count: usize) -> Self {
        let (r#for, address) = match purpose {
            Some(Purpose::Listener(address)) => ("listener", Some(address.to_string())),
            Some(Purpose::Admin(address)) => ("admin", Some(address.to_string())),
            Some(Purpose::Predecessor) => ("predecessor", None),
            None => ("nothing", None),
        };
        Self { r#for: r#for.to_owned(), address, count }
    }

    fn read(self) -> Result<(Option<Purpose>, usize), Odd> {
        let address = || self.address.as_deref().unwrap_or_default();
        let purpose = match &*self.r#for {
            "listener" => Some(Purpose::Listener(read_address(address())?)),
            "admin" => Some(Purpose::Admin(read_ip(address())?)),
            "predecessor" => Some(Purpose::Predecessor),
            _ => None,
        };
        Ok((purpose, self.count))
    }
}

/// The addresses that an answer names.
pub(super) fn read_taken(line: &[u8]) -> Result<Vec<Address>, Odd> {
    let taken: RawTaken = read(line)?;
    taken.listens.iter().map(|text| read_address(text)).collect()
}

pub(super) fn taken_line(listens: &[Address]) -> Vec<u8> {
    line(&RawTaken { version: VERSION, listens: listens.iter().map(ToString::to_string).collect() })
}

/// The version comes first: another one may have any form.
fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Odd> {
    match serde_json::from_slice(line)? {
        Versioned { version: VERSION } => Ok(serde_json::from_slice(line)?),
        Versioned { version } => Err(Odd::Version(version)),
    }
}

fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("texts and numbers can be written");
    line.push(b'\n');
    line
}

fn read_address(text: &str) -> Result<Address, Odd> {
    match text.strip_prefix("unix:") {
        // One that is relative is so to a folder that is not known here.
        Some(path) if path.starts_with('/') => Ok(Address::Unix(Path::new(path).into())),
        Some(_) => Err(Odd::Address(text.to_owned())),
        None => read_ip(text).map(Address::Ip),
    }
}

fn read_ip(text: &str) -> Result<SocketAddr, Odd> {
    text.parse().map_err(|_| Odd::Address(text.to_owned()))
}

/// What is read is within its bounds, and reads the same once it has been written.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(input: &[u8]) {
    if let Ok(offered) = Offered::read(input) {
        assert!(offered.count() <= SOCKETS);
        assert_eq!(Offered::read(&offered.line()).ok(), Some(offered));
    }
    if let Ok(listens) = read_taken(input) {
        assert_eq!(read_taken(&taken_line(&listens)).ok(), Some(listens));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, says: &str) {
        assert_eq!(Offered::read(line.as_bytes()).unwrap_err().to_string(), says, "{line}");
    }

    #[test]
    fn an_offer_is_read_as_it_was_written() {
        let listener = |text| (Some(Purpose::Listener(read_address(text).unwrap())), 2);
        let sockets = vec![
            listener("[::1]:80"),
            listener("unix:/run/a b.sock"),
            (Some(Purpose::Admin("127.0.0.1:9000".parse().unwrap())), 1),
            (Some(Purpose::Predecessor), 3),
        ];
        let offered = Offered { pid: 7, network: 9, sockets };
        let line = offered.line();
        assert_eq!((line.last(), offered.count()), (Some(&b'\n'), 8));
        assert_eq!(Offered::read(&line).unwrap(), offered);
    }

    #[test]
    fn what_a_later_program_adds_is_passed_over() {
        let line = r#"{"version":1,"pid":7,"network":0,"mood":"good","sockets":[{"for":"quic","ports":[],"count":2}]}"#;
        assert_eq!(Offered::read(line.as_bytes()).unwrap().sockets, [(None, 2)]);
    }

    #[test]
    fn what_is_odd_is_told() {
        let with = |sockets: &str| format!(r#"{{"version":1,"pid":7,"network":0,"sockets":[{sockets}]}}"#);
        check(r#"{"version":2}"#, "is of version 2, and this program knows 1");
        check("", "is not understood");
        check(r#"{"version":1}"#, "is not understood");
        check(&with(r#"{"for":"listener","count":1}"#), r#""" is not an address"#);
        check(&with(r#"{"for":"listener","address":"unix:a","count":1}"#), r#""unix:a" is not an address"#);
        check(&with(r#"{"for":"admin","address":"unix:/a","count":1}"#), r#""unix:/a" is not an address"#);
        let many = format!(r#"{{"for":"x","count":{}}},{{"for":"x","count":{}}}"#, usize::MAX, 2);
        check(&with(&many), &format!("{} sockets are more than the 16384 that there may be", usize::MAX));
        assert!(read_taken(br#"{"version":1,"listens":["nowhere"]}"#).is_err());
    }
}
