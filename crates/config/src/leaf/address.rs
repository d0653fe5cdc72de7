//! Where things listen and are reached.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::Path,
};

use ipnet::IpNet;
use schemars::{Schema, json_schema};
use tidegate_core::snapshot::{Address, StaticAddress};

use crate::{
    decode::{Leaf, Mistake},
    report::quote,
    yaml::node::Scalar,
};

/// An address of this machine to listen on.
impl Leaf for SocketAddr {
    const WHAT: &'static str = "an address";
    const EXAMPLE: &'static str = "0.0.0.0:8000";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        text.parse().map_err(|_| {
            let message = format!("{} is not an IP address with a port", quote(text));
            let port = text.rsplit(':').next().unwrap_or_default();
            let help = match port.parse::<u16>() {
                Ok(port) if text.starts_with("localhost") => format!("write it like `127.0.0.1:{port}`"),
                Ok(port) => format!("write it like `0.0.0.0:{port}`, or `[::]:{port}` for IPv6"),
                Err(_) => "write it like `0.0.0.0:8000`, or `[::]:8000` for IPv6".into(),
            };
            Mistake::new(message, help)
        })
    }

    fn form() -> Schema {
        json_schema!({ "title": "address", "type": "string", "pattern": ":[0-9]+$" })
    }
}

/// An address of this machine to listen on, or a Unix socket.
impl Leaf for Address {
    const WHAT: &'static str = "an address";
    const EXAMPLE: &'static str = "0.0.0.0:8000";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let Some(path) = scalar.text.strip_prefix("unix:") else {
            return SocketAddr::read(scalar).map(Self::Ip);
        };
        path_of_socket(path).map(|path| Self::Unix(path.into()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "address", "type": "string", "pattern": "(:[0-9]+|^unix:.+)$" })
    }
}

/// What stands behind `unix:`.
fn path_of_socket(path: &str) -> Result<&Path, Mistake> {
    let problem = match path.len() {
        0 => "there is no path behind `unix:`".into(),
        1..=MOST_OF_A_PATH => return Ok(Path::new(path)),
        length => format!("a path of {length} bytes is too long for a Unix socket"),
    };
    Err(Mistake::new(problem, "write it like `unix:/run/app.sock`"))
}

/// Bytes that the kernel takes for the path of a Unix socket.
const MOST_OF_A_PATH: usize = 107;

/// Networks; a single address is a network of one.
impl Leaf for IpNet {
    const WHAT: &'static str = "a network";
    const EXAMPLE: &'static str = "10.0.0.0/8";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        let network = text.parse().or_else(|error| text.parse::<IpAddr>().map(Self::from).map_err(|_| error));
        network.map_err(|_| {
            let message = format!("{} is not a network", quote(text));
            Mistake::new(message, "write it in CIDR notation, like `10.0.0.0/8` or `fd00::/8`")
        })
    }

    fn form() -> Schema {
        json_schema!({ "title": "network", "type": "string", "pattern": "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$" })
    }
}

/// A host and a port to connect to. An IPv6 address is kept without its brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostPort {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Leaf for HostPort {
    const WHAT: &'static str = "a host and a port";
    const EXAMPLE: &'static str = "10.0.0.5:8080";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        parse_host_port(text)
            .map_err(|help| Mistake::new(format!("{} is not a host with a port", quote(text)), help))
    }

    fn form() -> Schema {
        json_schema!({ "title": "host and port", "type": "string", "pattern": "^[^/ ]+:[0-9]+$" })
    }
}

/// A host and a port to connect to, or a Unix socket.
impl Leaf for StaticAddress {
    const WHAT: &'static str = HostPort::WHAT;
    const EXAMPLE: &'static str = HostPort::EXAMPLE;

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match scalar.text.strip_prefix("unix:") {
            Some(path) => path_of_socket(path).map(|path| Self::Unix(path.into())),
            None => HostPort::read(scalar).map(|HostPort { host, port }| Self::Host { host, port }),
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "host and port, or Unix socket", "type": "string", "pattern": "^([^/ ]+:[0-9]+|unix:.+)$" })
    }
}

/// The name of a server, or its IP address, as certificates have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName(pub(crate) String);

impl Leaf for HostName {
    const WHAT: &'static str = "the name of a host";
    const EXAMPLE: &'static str = "billing.example.com";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if tidegate_tls::is_server_name(bare) {
            return Ok(Self(bare.to_owned()));
        }
        let message = format!("{} is not the name of a host", quote(text));
        Err(Mistake::new(message, "write it without scheme and port, like `billing.example.com`"))
    }

    fn form() -> Schema {
        json_schema!({ "title": "host name", "type": "string", "pattern": "^[^/ ]+$" })
    }
}

/// The address of a name server; port 53 unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameServer(pub(crate) String);

impl Leaf for NameServer {
    const WHAT: &'static str = "the address of a name server";
    const EXAMPLE: &'static str = "10.0.0.2";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        if text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("{} is not the address of a name server", quote(text));
        Err(Mistake::new(message, "write an IP address, like `10.0.0.2` or `10.0.0.2:5353`"))
    }

    fn form() -> Schema {
        json_schema!({ "title": "name server", "type": "string", "pattern": r"^[0-9A-Fa-f.:\[\]]+$" })
    }
}

fn parse_host_port(text: &str) -> Result<HostPort, String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        if scheme == "https" {
            let host = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
            return Err(format!(
                "write the host and the port alone, like `{host}`, and `tls: {{}}` beside `endpoints`"
            ));
        }
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        return Err(format!("write the host and the port alone, like `{host}`"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("write it with its port, like `{text}:80`"));
    };
    let Ok(port @ 1..) = port.parse::<u16>() else {
        return Err(format!("write a port from 1 to 65535, like `{host}:80`"));
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().map_err(|_| format!("`{v6}` is not an IPv6 address"))?.to_string(),
        None if host.contains(':') => {
            return Err(format!("put an IPv6 address in brackets, like `[::1]:{port}`"));
        }
        None if is_host_name(host) => host.to_owned(),
        None => return Err("a host is an IP address, or a name of letters, digits, `-`, `_` and `.`".into()),
    };
    Ok(HostPort { host, port })
}

/// As DNS has it, with the underscore that is common in private zones.
pub(crate) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}
