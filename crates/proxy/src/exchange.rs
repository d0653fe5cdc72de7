//! One request and its answer, as the data plane keeps them and as Lua sees them.

mod certificate;
mod tls;
mod variables;

use std::{borrow::Cow, net::SocketAddr, os::unix::ffi::OsStrExt as _, rc::Rc, sync::Arc, time::Instant};

use tidegate_core::{
    RouteId, Timestamp,
    snapshot::{Address, AnswerFraming},
};
use tidegate_lua::{AnswerEnd, BodyState, Capturing, Heritage, InvalidHeader, RequestState, Subrequest};

use crate::{
    answer,
    excerpt::Mishap,
    http::{fields::Kind, request::Request, response::Response},
    request_body::{Body, Spool},
    request_id::RequestId,
    secure::Session,
    site::{Route, Site},
    subrequest,
    worker::Worker,
};

/// Bytes that Lua may write before it has to wait until they are sent.
const FLUSH_AT: usize = 64 << 10;

/// Everything that is known of the request that a connection is serving. Reused for the next one.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one request")]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) response: Response,
    pub(crate) client: SocketAddr,
    /// The client's address without port, as text.
    pub(crate) client_text: String,
    pub(crate) local: SocketAddr,
    /// `unix:PATH`, for a client that came by a Unix socket.
    pub(crate) place: Option<Box<str>>,
    /// The connection's number in this process.
    pub(crate) number: u64,
    /// What is spoken over it, if that is TLS.
    pub(crate) secure: Option<Arc<Session>>,
    /// What a script has left of the handshake.
    pub(crate) heritage: Option<Heritage>,
    id: RequestId,
    /// The request body, once Lua has read it.
    pub(crate) body: Option<Body>,
    /// Lua wants no request body.
    pub(crate) is_discarded: bool,
    /// Bytes of a body that are kept in memory.
    body_memory: usize,
    /// Something here asked for what is being served, rather than the client.
    pub(crate) is_internal: bool,
    /// What is written is held back until its length is known; that many bytes of it.
    buffering: Option<usize>,
    /// A client that goes away ends the Lua that runs for it, or is told to it.
    pub(crate) is_watched: bool,
    /// The connection is Lua's.
    pub(crate) is_raw: bool,
    /// Lua has ended the answer.
    pub(crate) is_ended: bool,
    /// What Lua wrote and has not been sent yet.
    pub(crate) written: Vec<u8>,
    /// Where in it each call that wrote ended, if a body filter wants to know, or each is to be a chunk.
    pub(crate) ends: Vec<usize>,
    /// The route has a body filter.
    pub(crate) filtered: bool,
    /// Bytes of an answer that has been written to its end before its head is sent.
    pub(crate) whole: Option<u64>,
    /// Lua wants no `Content-Length`.
    pub(crate) length_is_hidden: bool,
    /// Lua has decided on the `Content-Type`, or that there is none.
    is_typed: bool,
    /// What it is otherwise.
    default_type: Option<Rc<str>>,
    /// The body filter has seen the last of the body.
    pub(crate) body_ended: bool,
    pub(crate) headers_sent: bool,
    /// What went wrong in Lua, where the answer may say so.
    pub(crate) mishap: Option<Mishap>,
    /// Why it was not served, or not to its end.
    pub(crate) failure: Option<Box<str>>,
    /// Seconds after which there may be an instance that takes the request, where none did.
    pub(crate) retry_after: u32,
    pub(crate) commitment: Commitment,
    pub(crate) lua: RequestState,
    /// What the configuration defines for this request, in lower case, with its present value.
    pub(crate) variables: Vec<(String, Vec<u8>)>,
    /// Those of them that Lua has taken away.
    unset: Vec<String>,
    pub(crate) worker: Rc<Worker>,
    /// What serves it, while it is served.
    pub(crate) site: Option<Rc<Site>>,
    /// How many requests it is within.
    pub(crate) depth: u32,
    /// What the route's regular expression captured, from `$1`.
    captures: Vec<Vec<u8>>,
    pub(crate) route: Option<RouteId>,
    /// Where the client's own request came in, if Lua has sent it on since, or asked for this one within it.
    pub(crate) entry: Option<RouteId>,
    pub(crate) started: Instant,
    pub(crate) arrived: Timestamp,
    pub(crate) upstream: Attempt,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Bytes of the head of the answer.
    pub(crate) head_bytes: u64,
    /// Requests that this connection has carried, this one included.
    pub(crate) count: u64,
}

/// What the last attempt to reach an endpoint came to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Attempt {
    pub(crate) address: Option<Address>,
    pub(crate) began: Option<Instant>,
    pub(crate) first_byte: Option<Instant>,
    pub(crate) ended: Option<Instant>,
    /// 0 without an answer.
    pub(crate) status: u16,
}

/// Whether Lua can still change the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commitment {
    /// Until Lua writes.
    Open,
    /// Until it is sent: what is written to a client of HTTP/1.0 is kept until its length is known.
    Withheld,
    /// Lua has begun a body, so for Lua the head has been sent, although it waits for more to be sent with it.
    Made,
}

impl Exchange {
    pub(crate) fn is_committed(&self) -> bool {
        self.commitment == Commitment::Made
    }

    /// For the connection of this number. With `place` the client came by a Unix socket.
    pub(crate) fn new(
        (client, number): (SocketAddr, u64),
        local: SocketAddr,
        place: Option<Box<str>>,
        worker: Rc<Worker>,
    ) -> Self {
        let by_address = || client.ip().to_canonical().to_string();
        Self {
            client_text: place.as_ref().map_or_else(by_address, |_| "unix:".to_owned()),
            place,
            number,
            ..Self::unnamed(client, local, worker, Instant::now())
        }
    }

    /// Without what tells its connection from others.
    fn unnamed(client: SocketAddr, local: SocketAddr, worker: Rc<Worker>, started: Instant) -> Self {
        Self {
            request: Request::default(),
            response: Response::default(),
            client,
            client_text: String::new(),
            local,
            place: None,
            number: 0,
            secure: None,
            heritage: None,
            id: RequestId::default(),
            body: None,
            is_discarded: false,
            body_memory: 0,
            is_internal: false,
            buffering: None,
            is_watched: false,
            is_raw: false,
            is_ended: false,
            written: Vec::new(),
            ends: Vec::new(),
            filtered: false,
            whole: None,
            length_is_hidden: false,
            is_typed: false,
            default_type: None,
            body_ended: false,
            headers_sent: false,
            mishap: None,
            failure: None,
            retry_after: 1,
            commitment: Commitment::Open,
            lua: RequestState::default(),
            variables: Vec::new(),
            unset: Vec::new(),
            worker,
            site: None,
            depth: 0,
            captures: Vec::new(),
            route: None,
            entry: None,
            started,
            arrived: Timestamp::default(),
            upstream: Attempt::default(),
            bytes_in: 0,
            bytes_out: 0,
            head_bytes: 0,
            count: 0,
        }
    }

    /// A new request has been read into `self.request`.
    pub(crate) fn begin(&mut self, started: Instant, arrived: Timestamp) {
        self.response.clear();
        self.id.renew();
        self.body = None;
        self.failure = None;
        self.is_discarded = false;
        self.is_internal = false;
        self.buffering = None;
        self.is_raw = false;
        self.is_ended = false;
        self.captures.clear();
        self.written.clear();
        self.ends.clear();
        self.filtered = false;
        self.whole = None;
        self.length_is_hidden = false;
        self.is_typed = false;
        self.body_ended = false;
        self.variables.clear();
        self.unset.clear();
        self.headers_sent = false;
        self.mishap = None;
        self.retry_after = 1;
        self.commitment = Commitment::Open;
        self.lua = self.fresh_state();
        self.route = None;
        self.entry = None;
        self.started = started;
        self.arrived = arrived;
        self.upstream = Attempt::default();
        self.bytes_in = 0;
        self.bytes_out = 0;
        self.head_bytes = 0;
        self.count += 1;
    }

    /// What Lua has of a request that begins.
    fn fresh_state(&self) -> RequestState {
        let hello = self.secure.as_ref().map(|session| Arc::clone(&session.hello));
        let mut state = RequestState::with_client(hello);
        state.heritage.clone_from(&self.heritage);
        state
    }

    /// Takes what it needs to know of the configuration.
    pub(crate) fn settle(&mut self, site: &Rc<Site>) {
        self.site = Some(Rc::clone(site));
        self.body_memory = site.snapshot.limits.client_body_buffer;
        let holds_back = !self.request.is_11 && site.snapshot.lua.http10_buffering;
        self.buffering = holds_back.then_some(site.snapshot.limits.lua_body_bytes);
        if holds_back {
            self.commitment = Commitment::Withheld;
        }
    }

    /// Of what the client speaks.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure.is_some() { "https" } else { "http" }
    }

    /// A request within this one, which has nothing yet of what it asks for.
    pub(crate) fn within(&self) -> Self {
        Self {
            client_text: self.client_text.clone(),
            place: self.place.clone(),
            id: self.id.settled(),
            number: self.number,
            secure: self.secure.clone(),
            lua: RequestState::with_client(self.lua.hello.clone()),
            body_memory: self.body_memory,
            is_internal: true,
            site: self.site.clone(),
            entry: self.entry.as_ref().or(self.route.as_ref()).cloned(),
            depth: self.depth + 1,
            arrived: self.arrived,
            count: self.count,
            ..Self::unnamed(self.client, self.local, Rc::clone(&self.worker), self.started)
        }
    }

    /// Whether the configuration defines a variable anywhere.
    fn knows(&self, name: &str) -> bool {
        self.site.as_ref().is_some_and(|site| site.names.contains(name))
    }

    /// A route is going to serve it.
    pub(crate) fn enter(&mut self, route: &Route) {
        self.route = Some(route.name.clone());
        self.filtered = route.body_filter.is_some();
        self.is_watched = route.check_client_abort;
        self.default_type.clone_from(&route.default_type);
        if let Some(regex) = &route.regex {
            self.capture(regex);
        }
    }

    fn capture(&mut self, regex: &regex::Regex) {
        self.captures.clear();
        let Ok(path) = std::str::from_utf8(self.request.path()) else { return };
        let Some(captures) = regex.captures(path) else { return };
        let text = |part: Option<regex::Match<'_>>| part.map_or_else(Vec::new, |part| part.as_str().into());
        self.captures = captures.iter().skip(1).map(text).collect();
        let named = regex.capture_names().flatten();
        let named: Vec<_> =
            named.map(|name| (name.to_ascii_lowercase(), text(captures.name(name)))).collect();
        for (name, value) in named {
            self.define(&name, value);
        }
    }

    pub(crate) fn define(&mut self, name: &str, value: Vec<u8>) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    /// What this request is called in logs and in `X-Request-Id`.
    pub(crate) fn id(&self) -> &str {
        self.id.text()
    }

    /// Takes over the id that a trusted proxy has given the request, if it is fit for logs.
    pub(crate) fn adopt_id(&mut self) {
        if let Some(given) = self.request.fields.all(Kind::RequestId).next() {
            self.id.adopt(given);
        }
    }
}

impl Exchange {
    /// Whether the answer is framed as nginx would.
    pub(crate) fn is_framed_as_nginx(&self) -> bool {
        self.site.as_ref().is_some_and(|site| site.snapshot.answers.framing == AnswerFraming::Nginx)
    }

    /// Gives the answer the default type, unless it has one or is to have none.
    pub(crate) fn complete_type(&mut self) {
        if let Some(default) = &self.default_type
            && !self.is_typed
            && !self.response.fields.contains(Kind::ContentType)
        {
            self.response.fields.push_known(Kind::ContentType, b"Content-Type", default.as_bytes());
        }
    }

    fn replace_body(&mut self, body: Body) {
        let length = body.len().to_string();
        self.request.fields.remove_kind(Kind::TransferEncoding);
        self.request.fields.remove_kind(Kind::ContentLength);
        self.request.fields.push(b"Content-Length", length.as_bytes());
        self.body = Some(body);
    }
}

impl tidegate_lua::Exchange for Exchange {
    fn method(&self) -> &[u8] {
        self.request.method()
    }

    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (_, name, value) in self.request.fields.iter() {
            each(name, value);
        }
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.request.fields.get(name)
    }

    fn set_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        self.request.fields.set(name, values)?;
        // Who was asked for stays known when the header is taken away.
        if name.eq_ignore_ascii_case(b"host") && !values.is_empty() {
            self.request.find_host();
        }
        Ok(())
    }

    fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        self.request.fields.add(name, value)
    }

    fn each_response_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (_, name, value) in self.response.fields.iter() {
            each(name, value);
        }
    }

    fn each_implied_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let fields = &self.response.fields;
        if !fields.contains(Kind::Connection) {
            each(b"Connection", if self.request.keep_alive { b"keep-alive" } else { b"close" });
        }
        if fields.contains(Kind::ContentLength) {
            return;
        }
        if let Some(length) = self.whole {
            each(b"Content-Length", length.to_string().as_bytes());
        } else if self.headers_sent && self.request.is_11 {
            each(b"Transfer-Encoding", b"chunked");
        }
    }

    fn set_response_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        if self.headers_sent {
            return Err(InvalidHeader::Sent);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if values.is_empty() {
                self.whole = None;
                self.length_is_hidden = true;
            } else if !values.iter().all(|value| value.iter().all(u8::is_ascii_digit)) {
                return Err(InvalidHeader::Value);
            }
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.is_typed = true;
        }
        if name.eq_ignore_ascii_case(b"date") {
            self.response.undated = values.is_empty();
        }
        self.response.fields.set(name, values)
    }

    fn add_response_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if self.headers_sent {
            return Err(InvalidHeader::Sent);
        }
        self.response.fields.add(name, value)
    }

    fn set_method(&mut self, method: &[u8]) {
        self.request.set_method(method);
    }

    fn set_path(&mut self, path: &[u8]) {
        self.request.set_path(path);
        self.is_internal = true;
    }

    fn set_args(&mut self, args: &[u8]) {
        self.request.set_query(args);
    }

    fn raw_head(&self) -> Option<&[u8]> {
        Some(self.request.head()).filter(|head| !head.is_empty())
    }

    fn is_internal(&self) -> bool {
        self.is_internal
    }

    fn is_subrequest(&self) -> bool {
        self.depth > 0
    }

    fn subrequest(&mut self, subrequest: Subrequest) -> Result<Capturing, String> {
        subrequest::serve(self, subrequest)
    }

    fn is_buffering(&self) -> bool {
        self.buffering.is_some()
    }

    fn answer_end(&self) -> AnswerEnd {
        match () {
            () if self.is_raw => AnswerEnd::Raw,
            () if (self.headers_sent || self.is_committed()) && self.request.method() == b"HEAD" => {
                AnswerEnd::HeaderOnly
            }
            () if self.is_ended => AnswerEnd::Ended,
            () => AnswerEnd::Open,
        }
    }

    fn args(&self) -> Option<&[u8]> {
        self.request.query()
    }

    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        variables::read(self, name)
    }

    fn export_key(&self, key: &mut [u8], label: &[u8], context: Option<&[u8]>) -> Option<bool> {
        self.secure.as_ref().map(|session| session.tls().export_keying_material(key, label, context).is_ok())
    }

    fn set_variable(&mut self, name: &[u8], value: &[u8]) -> bool {
        variables::write(self, name, value)
    }

    fn unset_variable(&mut self, name: &[u8]) -> bool {
        variables::unset(self, name)
    }

    fn status(&self) -> u16 {
        self.response.status
    }

    fn set_status(&mut self, status: u16) {
        self.response.status = status;
        self.response.reason = None;
    }

    fn set_reason(&mut self, reason: &[u8]) {
        let plain = !reason.is_empty() && !reason.iter().any(u8::is_ascii_control);
        self.response.reason = plain.then(|| reason.to_owned());
    }

    fn headers_sent(&self) -> bool {
        self.headers_sent || self.is_committed()
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        if self.commitment == Commitment::Open {
            self.commitment = Commitment::Made;
            if self.response.status == 0 {
                self.response.status = 200;
            }
            if let Some(site) = self.site.as_ref().filter(|_| self.depth == 0) {
                answer::sign(&mut self.response.fields, &site.snapshot.answers);
            }
            self.complete_type();
        }
        self.written.extend_from_slice(bytes);
        if self.filtered || self.is_framed_as_nginx() {
            self.ends.push(self.written.len());
        }
        match self.buffering {
            Some(most) if self.written.len() > most => self.buffering = None,
            Some(_) => return false,
            None => {}
        }
        self.written.len() >= FLUSH_AT
    }

    fn body(&self) -> Option<&[u8]> {
        match &self.body {
            Some(Body::Memory(body)) => Some(body),
            Some(Body::File(_)) | None => None,
        }
    }

    fn body_state(&self) -> BodyState {
        match &self.body {
            Some(Body::Memory(_)) => BodyState::Memory,
            Some(Body::File(_)) => BodyState::File,
            None if self.is_discarded => BodyState::Discarded,
            None => BodyState::Unread,
        }
    }

    fn body_file(&self) -> Option<&[u8]> {
        match &self.body {
            Some(Body::File(spool)) => Some(spool.path().as_os_str().as_bytes()),
            Some(Body::Memory(_)) | None => None,
        }
    }

    fn discard_body(&mut self) {
        self.is_discarded = true;
    }

    fn set_body(&mut self, body: Vec<u8>, memory: Option<usize>) -> Result<(), String> {
        let body = Body::new(body, memory.unwrap_or(self.body_memory));
        self.replace_body(body.map_err(|error| format!("fail to write file: {error}"))?);
        Ok(())
    }

    fn set_body_file(&mut self, path: &[u8], clean: bool) -> Result<(), String> {
        let failed = |_| format!("open() \"{}\" failed", String::from_utf8_lossy(path));
        self.replace_body(Body::File(Rc::new(Spool::of(path, clean).map_err(failed)?)));
        Ok(())
    }

    fn is_watched(&self) -> bool {
        self.is_watched
    }

    fn client(&self) -> SocketAddr {
        self.client
    }

    fn state(&mut self) -> &mut RequestState {
        &mut self.lua
    }
}
