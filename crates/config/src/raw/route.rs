//! `upstreams` and `routes`: which requests go where.

use schemars::{Schema, SchemaGenerator, json_schema};
use tidegate_core::{
    FleetId, RouteId, UpstreamId,
    snapshot::{Balance, HostMatch, StaticAddress},
};

use crate::{
    decode::{Decode, Leaf, List, Map, record},
    leaf::{
        address::HostName,
        lua::{FileName, PlaceName},
        pattern::{HeaderName, Method, PathPattern},
        text,
    },
    raw::{
        Patience,
        lua::{Chunk, RouteBudget, Vars},
    },
    report::Report,
    units::{Count, Percent},
    yaml::node::{Kind, Node},
};

record! {
    /// A group of endpoints that serve the same thing: a fleet, or fixed addresses.
    Upstream {
        /// Name of the fleet whose ready instances are the endpoints.
        fleet: FleetId = optional,
        /// Fixed addresses: hosts with their port, or `unix:PATH`, Unix sockets, relative to the folder of the configuration. A
        /// host name is resolved when it is used, and again every 30 s.
        endpoints: List<Endpoint> = optional,
        /// `roundRobin`: in turn, by weight; `leastConnections`: fewest requests in flight for its weight. Without
        /// it: `roundRobin` for endpoints, `leastConnections` for a fleet.
        balance: Balance = optional,
        /// How often a request may be tried again.
        retry: Retry = default("{}"),
        /// TLS is spoken with the endpoints. An empty mapping is enough for servers that the system trusts.
        tls: UpstreamTls = optional,
    }
    later: ["health"]
}

record! {
    /// How TLS is spoken with the endpoints of an upstream. Files are read anew when they have changed.
    UpstreamTls {
        /// The name that endpoints are told (SNI), and that their certificates must be for. Without it: the host of the
        /// endpoint, or its IP address; `localhost` for a Unix socket.
        server_name: HostName = optional,
        /// Whether endpoints need a certificate that is trusted, for that name.
        verify: bool = default("true"),
        /// File of the certificates in PEM that endpoints must be trusted by, relative to the folder of the configuration.
        /// Without it: those of the system.
        trusted_certificate: text::File = optional,
        /// File of the certificate in PEM that is shown to endpoints that ask for one, and of those between it and whom
        /// they trust. With `clientKey`.
        client_certificate: text::File = optional,
        /// File of its private key, in PEM.
        client_key: text::File = optional,
    }
}

record! {
    /// A fixed address.
    WeightedEndpoint {
        /// Host and port, or `unix:PATH`.
        address: StaticAddress = required("10.0.0.5:8080"),
        /// Share of requests in relation to the other endpoints.
        weight: Weight = default("1"),
    }
}

pub(crate) type Weight = Count<1, 1_000>;

record! {
    /// How often a request may be tried again, alone and in relation to all others.
    Retry {
        /// Attempts of one request, the first included.
        attempts: Count<1, 10> = default("3"),
        /// Retries in relation to requests.
        budget: Percent<0, 10_000> = default("20%"),
        /// Retries per second that are allowed however few the requests are.
        min_per_second: Count<0, 1_000_000> = default("10"),
    }
}

record! {
    /// Requests of one kind, and what answers them: `upstream`, `lua.content`, `return` or `static`.
    Route {
        /// Name in logs and metrics, unique. Without it: `route-` and the position, from 1.
        name: RouteId = optional,
        /// What a request must look like; parts that are left out match anything.
        r#match: Match = default("{}"),
        /// Whether only subrequests and `ngx.exec` get here; to clients it is not there (404).
        internal: bool = default("false"),
        /// Variables that a request gets before the rewrite phase, in this order: text that may have `$variables`, or Lua. All of
        /// them are `ngx.var.NAME`, readable and writable.
        vars: Vars = default("{}"),
        /// Name of the upstream that answers.
        upstream: UpstreamId = optional,
        /// The same answer for everybody.
        r#return: Return = optional,
        /// Files.
        r#static: Static = optional,
        /// Lua that runs in the phases of a request.
        lua: Hooks = default("{}"),
        /// How a request waits where no instance can take it yet.
        queue: Waiting = default("{}"),
    }
    later: ["plugins"]
}

record! {
    /// How a request waits for an instance. Of those that wait, the higher priority comes first, and then whoever came first.
    Waiting {
        /// From 0 to 9, the most important. When no more may wait (`limits.queue`, `limits.queueBytes`), a request takes the place of
        /// the one that came last among the least important, if that is less important than itself; 503 for whoever has to go.
        priority: Count<0, 9> = default("5"),
        /// Until it is refused. Without it, `timeouts.queue`.
        timeout: Patience = optional,
    }
}

record! {
    /// The same answer for everybody.
    Return {
        /// Status.
        status: Count<200, 599> = default("200"),
        /// Headers; values may have `$variables`.
        headers: Map<HeaderName, text::Text> = default("{}"),
        /// Body; may have `$variables`.
        body: text::Text = default("''"),
    }
}

record! {
    /// Files, by the path of the request.
    Static {
        /// The folder, relative to that of the configuration.
        root: text::File = required("html"),
        /// The file that stands for its folder.
        index: FileName = default("index.html"),
    }
}

record! {
    /// What a request must look like.
    Match {
        /// `@name`: nothing but `ngx.exec("@name")` gets here, whatever else is given.
        name: PlaceName = optional,
        /// `/orders`: this path alone; `/orders/*`: everything below, and `/orders` itself; `~ ^/u/[0-9]+$`: a
        /// regular expression, found anywhere unless anchored. Matched decoded, with dots and slashes resolved.
        path: PathPattern = default("/*"),
        /// One host name, without port. `*.example.com`: every name that ends so.
        host: HostMatch = optional,
        /// Host names, any of which matches.
        hosts: List<HostMatch> = optional,
        /// Methods, any of which matches, in upper case.
        methods: List<Method> = default("[]"),
        /// Headers that must all be there: names with the value each must have, or a list of names.
        headers: Headers = default("[]"),
    }
}

record! {
    /// Lua by phase: code, or one line that ends in `.lua` and is a file relative to the folder of the
    /// configuration, or code with a chunk name of its own.
    Hooks {
        /// Before anything else; may change the request, send it to another route, or answer it.
        rewrite: Chunk = optional,
        /// Before the request goes to what answers it; may answer it itself.
        access: Chunk = optional,
        /// The same, just before what answers it.
        precontent: Chunk = optional,
        /// Makes the answer; the route then has no `upstream`, `return` or `static`.
        content: Chunk = optional,
        /// Before each attempt to reach the `upstream`; `ngx.balancer` chooses where it goes. What it does not choose,
        /// the upstream does.
        balancer: Chunk = optional,
        /// When the head of the answer is known, before it is sent.
        header_filter: Chunk = optional,
        /// For each piece of the answer's body, and once at its end: `ngx.arg[1]` is the piece, `ngx.arg[2]` whether it
        /// is the last.
        body_filter: Chunk = optional,
        /// When the request is over.
        log: Chunk = optional,
        /// Overrules `lua.needRequestBody`.
        need_request_body: bool = optional,
        /// Overrules `lua.checkClientAbort`.
        check_client_abort: bool = optional,
        /// Overrules `lua.defaultType`.
        default_type: text::Text = optional,
        /// Overrules `lua.useDefaultType`.
        use_default_type: bool = optional,
        /// Overrules `lua.sandbox`.
        sandbox: bool = optional,
        /// What the Lua of one request may use up, beside `lua.budget`.
        budget: RouteBudget = default("{}"),
    }
}

/// An address, or a mapping with its weight.
#[derive(Debug)]
pub(crate) enum Endpoint {
    Plain(StaticAddress),
    Weighted(WeightedEndpoint),
}

impl Decode for Endpoint {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => WeightedEndpoint::decode(node, report).map(Self::Weighted),
            _ => StaticAddress::decode(node, report).map(Self::Plain),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [StaticAddress::form(), WeightedEndpoint::schema(generator)] })
    }
}

/// Names with values, or names alone.
#[derive(Debug)]
pub(crate) enum Headers {
    Values(Map<HeaderName, text::Text>),
    Names(List<HeaderName>),
}

impl Decode for Headers {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(_) => List::decode(node, report).map(Self::Names),
            _ => Map::decode(node, report).map(Self::Values),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let values = Map::<HeaderName, text::Text>::schema(generator);
        json_schema!({ "anyOf": [values, List::<HeaderName>::schema(generator)] })
    }
}
