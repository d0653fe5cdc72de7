//! The handlers, what each is asked, and what it has to answer.

use anyhow::{Result, ensure};
use bench_harness::peer::Peer;
use tidegate_testkit::http;

/// Bytes of the body that the filter sees.
pub(crate) const FILTERED: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) name: &'static str,
    method: &'static str,
    pub(crate) path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// What its answer begins with, or ends with.
    answer: &'static str,
}

const AGENT: (&str, &str) =
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0");
const ACCEPT: (&str, &str) = ("Accept", "*/*");
const BASE: &[(&str, &str)] = &[AGENT, ACCEPT];

/// About a kilobyte.
const ORDER: &str = concat!(
    r#"{"id":4711,"customer":{"name":"Ada Lovelace","mail":"ada@example.org","premium":true},"note":null,"items":["#,
    r#"{"sku":"A-100","name":"valve, brass, one inch","count":4,"price":12.5},{"sku":"A-101","name":"gasket","count":40,"price":0.25},"#,
    r#"{"sku":"B-200","name":"pump, twelve volts","count":1,"price":149.0},{"sku":"B-201","name":"hose, three metres","count":2,"price":19.95},"#,
    r#"{"sku":"C-300","name":"gauge \u00b0C","count":3,"price":33.0},{"sku":"C-301","name":"bracket","count":12,"price":1.75},"#,
    r#"{"sku":"D-400","name":"float switch","count":2,"price":8.4},{"sku":"D-401","name":"cable, five metres","count":2,"price":6.3}],"#,
    r#""address":{"street":"12 St James's Square","city":"London","country":"GB"},"tags":["new","gift","pick-up"]}"#,
);

/// Signed with the secret in `token.lua`; valid until 2100.
const BEARER: &str = concat!(
    "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
    "eyJzdWIiOiI0NzExIiwiaXNzIjoiYmVuY2giLCJleHAiOjQxMDI0NDQ4MDB9.",
    "RZHBxnD8HlX8p9CcY1jq5aI88s3olE65HmGGqp52o5g",
);

pub(crate) const HANDLERS: [Handler; 10] = [
    Handler { name: "hello", method: "GET", path: "/hello", headers: BASE, body: "", answer: "hello\n" },
    Handler {
        name: "JSON",
        method: "POST",
        path: "/json",
        headers: &[AGENT, ("Content-Type", "application/json")],
        body: ORDER,
        answer: "{",
    },
    Handler {
        name: "header edits",
        method: "GET",
        path: "/headers",
        headers: &[AGENT, ACCEPT, ("X-Tenant", "acme")],
        body: "",
        answer: "ok\n",
    },
    Handler {
        name: "counter",
        method: "GET",
        path: "/counter",
        headers: BASE,
        body: "",
        answer: "counted\n",
    },
    Handler {
        name: "re.match",
        method: "GET",
        path: "/match",
        headers: BASE,
        body: "",
        answer: "Firefox 128\n",
    },
    Handler { name: "re.gsub", method: "GET", path: "/gsub", headers: BASE, body: "", answer: "16 1008\n" },
    Handler {
        name: "redis",
        method: "GET",
        path: "/redis",
        headers: BASE,
        body: "",
        answer: "hello from redis\n",
    },
    Handler {
        name: "subrequest",
        method: "GET",
        path: "/subrequest",
        headers: BASE,
        body: "",
        answer: "200 user 4711\n",
    },
    // Named after its size, as the origin wants it.
    Handler {
        name: "body filter",
        method: "GET",
        path: "/65536",
        headers: BASE,
        body: "",
        answer: "x<!-- noted -->",
    },
    Handler {
        name: "JWT",
        method: "GET",
        path: "/token",
        headers: &[AGENT, ACCEPT, ("Authorization", BEARER)],
        body: "",
        answer: "4711\n",
    },
];

impl Handler {
    /// As it goes onto the wire.
    pub(crate) fn request(&self) -> Vec<u8> {
        let mut lines =
            vec![format!("{} {} HTTP/1.1", self.method, self.path), "Host: bench.test".to_owned()];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if !self.body.is_empty() {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        (lines.join("\r\n") + "\r\n\r\n" + self.body).into_bytes()
    }

    /// Sees to it that all peers do the work that is measured, the second time too, and answer the same.
    pub(crate) fn check(&self, peers: &[Box<dyn Peer>]) -> Result<()> {
        let bodies: Vec<_> = peers.iter().map(|peer| self.ask(peer.as_ref())).collect::<Result<_>>()?;
        // In any order: tables have none, so members of a JSON object come as they like.
        let sorted = bodies.into_iter().map(|mut body| {
            body.sort_unstable();
            body
        });
        let mut distinct: Vec<_> = sorted.collect();
        distinct.dedup();
        ensure!(distinct.len() <= 1, "the peers answer {} differently", self.path);
        Ok(())
    }

    fn ask(&self, peer: &dyn Peer) -> Result<Vec<u8>> {
        let mut last = Vec::new();
        for _ in 0..2 {
            let answer =
                http::request(peer.addr(), self.method, self.path, self.headers, self.body.as_bytes());
            let body = String::from_utf8_lossy(&answer.body);
            ensure!(
                answer.status == 200 && (body.starts_with(self.answer) || body.ends_with(self.answer)),
                "{} answers {} with {}: {body:.200}",
                peer.name(),
                self.path,
                answer.status,
            );
            last = answer.body;
        }
        Ok(last)
    }
}
