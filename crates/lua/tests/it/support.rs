//! A request in memory, and short ways to run Lua on it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tidegate_core::{
    DictName, Timestamp,
    snapshot::{Budget, LuaSettings, Script},
};
use tidegate_lua::{
    BodyState, Captured, Capturing, Detached, Dicts, Exchange, Handler, InvalidHeader, Level, Line, Op,
    Order, Phase, Reply, RequestState, ScriptError, Step, Subrequest, Verdict, Vm, WorkerIdentity,
};

pub(crate) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// What the tests' time starts from: 2026-05-01 12:00:00.123 UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_777_636_800_123_456);

#[derive(Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) headers: Headers,
    pub(crate) response: Headers,
    pub(crate) args: Option<String>,
    pub(crate) status: u16,
    /// `ngx.var.settable`, the one variable that can be written.
    pub(crate) settable: Vec<u8>,
    pub(crate) sent: bool,
    pub(crate) output: Vec<u8>,
    /// The exchange asks to be flushed when this many bytes wait.
    pub(crate) full_at: usize,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) body_path: Option<Vec<u8>>,
    pub(crate) discarded: bool,
    pub(crate) path: Vec<u8>,
    pub(crate) state: RequestState,
}

impl Request {
    pub(crate) fn get(target: &str) -> Self {
        let args = target.split_once('?').map(|(_, args)| args.to_owned());
        Self { method: "GET".into(), args, full_at: usize::MAX, ..Self::default() }
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn output(&self) -> String {
        String::from_utf8(self.output.clone()).unwrap()
    }

    pub(crate) fn header_values(&self, name: &str) -> Vec<String> {
        values(&self.headers, name)
    }

    pub(crate) fn response_values(&self, name: &str) -> Vec<String> {
        values(&self.response, name)
    }
}

fn values(headers: &Headers, name: &str) -> Vec<String> {
    let same = headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name.as_bytes()));
    same.map(|(_, value)| String::from_utf8(value.clone()).unwrap()).collect()
}

fn set(headers: &mut Headers, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
    if name.is_empty() || name.contains(&b' ') {
        return Err(InvalidHeader::Name);
    }
    if values.iter().any(|value| value.contains(&b'\n')) {
        return Err(InvalidHeader::Value);
    }
    headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
    headers.extend(values.iter().map(|value| (name.to_vec(), value.to_vec())));
    Ok(())
}

impl Exchange for Request {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.headers.iter().for_each(|(name, value)| each(name, value));
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let mut same = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        same.next().map(|(_, value)| &**value)
    }

    fn set_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        set(&mut self.headers, name, values)
    }

    fn each_response_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.response.iter().for_each(|(name, value)| each(name, value));
    }

    fn set_response_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        if self.sent {
            return Err(InvalidHeader::Sent);
        }
        set(&mut self.response, name, values)
    }

    fn args(&self) -> Option<&[u8]> {
        self.args.as_deref().map(str::as_bytes)
    }

    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        match name {
            b"settable" => Some(Cow::Borrowed(&self.settable)),
            b"method" => Some(Cow::Borrowed(self.method.as_bytes())),
            b"status" => Some(Cow::Owned(self.status.to_string().into_bytes())),
            _ => None,
        }
    }

    fn set_variable(&mut self, name: &[u8], value: &[u8]) -> bool {
        let settable = name == b"settable";
        if settable {
            self.settable = value.to_vec();
        }
        settable
    }

    fn status(&self) -> u16 {
        self.status
    }

    fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    fn headers_sent(&self) -> bool {
        self.sent
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        self.sent = true;
        self.output.extend_from_slice(bytes);
        self.output.len() >= self.full_at
    }

    fn body(&self) -> Option<&[u8]> {
        self.body.as_deref().filter(|_| self.body_path.is_none())
    }

    fn subrequest(&mut self, sub: Subrequest) -> Result<Capturing, String> {
        if sub.path == b"/refused" {
            return Err("failed to issue subrequest: -1".into());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = |pairs: &[(Vec<u8>, Vec<u8>)]| {
            let pairs = pairs.iter().map(|(name, value)| format!("{}={}", text(name), text(value)));
            pairs.collect::<Vec<_>>().join(",")
        };
        let body = format!(
            "{} {} {} {:?} {} {} {:?}",
            text(&sub.method),
            text(&sub.path),
            text(&sub.args),
            sub.body,
            pairs(&sub.vars),
            pairs(&sub.headers),
            sub.sharing
        );
        let captured = Captured {
            status: 203,
            headers: vec![(b"A".to_vec(), b"1".to_vec()), (b"A".to_vec(), b"2".to_vec())],
            body: body.into_bytes(),
            truncated: true,
            vars: vec![(b"settable".to_vec(), b"shared".to_vec())],
        };
        Ok(Box::pin(async move { captured }))
    }

    fn body_state(&self) -> BodyState {
        match (&self.body, &self.body_path) {
            _ if self.discarded => BodyState::Discarded,
            (_, Some(_)) => BodyState::File,
            (Some(_), None) => BodyState::Memory,
            (None, None) => BodyState::Unread,
        }
    }

    fn body_file(&self) -> Option<&[u8]> {
        self.body_path.as_deref()
    }

    fn discard_body(&mut self) {
        self.discarded = true;
    }

    fn set_body(&mut self, body: Vec<u8>, memory: Option<usize>) -> Result<(), String> {
        self.body_path = (body.len() > memory.unwrap_or(8)).then(|| b"/spilled".to_vec());
        self.body = Some(body).filter(|_| self.body_path.is_none());
        Ok(())
    }

    fn set_body_file(&mut self, path: &[u8], _clean: bool) -> Result<(), String> {
        if path == b"/none" {
            return Err("open() \"/none\" failed".into());
        }
        self.body_path = Some(path.to_vec());
        Ok(())
    }

    fn set_method(&mut self, method: &[u8]) {
        self.method = String::from_utf8(method.to_vec()).unwrap();
    }

    fn set_path(&mut self, path: &[u8]) {
        self.path = path.to_vec();
    }

    fn set_args(&mut self, args: &[u8]) {
        self.args = Some(String::from_utf8(args.to_vec()).unwrap());
    }

    fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        self.headers.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn add_response_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        self.response.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn client(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 4711).into()
    }

    fn state(&mut self) -> &mut RequestState {
        &mut self.state
    }
}

/// A VM and what its scripts log.
pub(crate) struct Host {
    pub(crate) vm: Vm,
    pub(crate) dicts: Arc<Dicts>,
    runtime: tokio::runtime::Runtime,
    log: Arc<Mutex<Vec<(Level, String)>>>,
    began: Instant,
}

impl Host {
    /// With a dictionary `dogs` of 4 KiB, and a budget that no machine is too slow for.
    pub(crate) fn new() -> Self {
        let usual = LuaSettings::default().budget;
        Self::with_settings(&LuaSettings {
            budget: Budget { cpu: Duration::from_mins(1), ..usual },
            shared_dicts: dict_settings(&[("dogs", 4096)]),
            ..LuaSettings::default()
        })
    }

    pub(crate) fn with_settings(settings: &LuaSettings) -> Self {
        let log: Arc<Mutex<Vec<_>>> = Arc::default();
        let lines = Arc::clone(&log);
        let dicts = Dicts::new(&settings.shared_dicts);
        let write =
            Arc::new(move |line: &Line<'_>| lines.lock().unwrap().push((line.level, line.text.to_owned())));
        let vm = Vm::new(settings, dicts.clone(), WorkerIdentity { id: 1, count: 4 }, write).unwrap();
        let began = Instant::now();
        vm.set_now(NOW, began);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { vm, dicts, runtime, log, began }
    }

    /// So much time has passed since the beginning.
    pub(crate) fn pass(&self, span: Duration) {
        self.vm.set_now(NOW + span, self.began + span);
    }

    /// The same, on a machine whose clock has been set to `wall` meanwhile.
    pub(crate) fn pass_until(&self, span: Duration, wall: Timestamp) {
        self.vm.set_now(wall, self.began + span);
    }

    pub(crate) fn load(&self, source: &str) -> Handler {
        self.vm.load(&script("test.lua", source)).unwrap()
    }

    /// Runs a script that does not wait.
    pub(crate) fn run(
        &self,
        phase: Phase,
        source: &str,
        request: &mut Request,
    ) -> Result<Verdict, ScriptError> {
        match self.vm.start(&self.load(source), phase, request) {
            Step::Done(verdict) => Ok(verdict),
            Step::Failed(error) => Err(error),
            step @ Step::Wait(_) => panic!("the script waits for {:?}", sole_op(step)),
        }
    }

    /// Runs a script that makes the answer, with every wait granted at once, and gives what it wrote.
    pub(crate) fn say(&self, source: &str) -> String {
        let mut request = Request::get("/");
        self.answer(source, &mut request);
        request.output()
    }

    /// The same, with the verdict and what was waited for, which is done in the order in which it was begun. Only what
    /// runs by itself takes its time.
    pub(crate) fn answer(&self, source: &str, request: &mut Request) -> (Verdict, Vec<String>) {
        let (step, ops) = self.drive(self.vm.start(&self.load(source), Phase::Content, request), request);
        match step {
            Step::Failed(error) => panic!("{error}\n{}", error.traceback()),
            Step::Done(verdict) => (verdict, ops),
            Step::Wait(_) => unreachable!(),
        }
    }

    pub(crate) fn block_on(&self, work: Detached) -> Reply {
        self.runtime.block_on(work)
    }

    /// Grants all waits until the run ends.
    pub(crate) fn drive(&self, mut step: Step, request: &mut Request) -> (Step, Vec<String>) {
        let mut begun = VecDeque::new();
        let mut ops = Vec::new();
        loop {
            let Step::Wait(mut task) = step else { return (step, ops) };
            while let Some(order) = task.order() {
                match order {
                    Order::Begin(ticket, op) => {
                        ops.push(format!("{op:?}"));
                        begun.push_back((ticket, op));
                    }
                    Order::End(ticket) => begun.retain(|(of, _)| *of != ticket),
                }
            }
            let (ticket, op) = begun.pop_front().expect("it waits for nothing");
            let reply = match op {
                Op::Detached(work) => self.runtime.block_on(work),
                _ => Reply::Done,
            };
            step = self.vm.resume(task, ticket, &reply, request);
        }
    }

    /// What `source` fails with in the content phase.
    pub(crate) fn failure(&self, source: &str) -> String {
        self.run(Phase::Content, source, &mut Request::get("/")).unwrap_err().message().to_owned()
    }

    pub(crate) fn take_log(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

pub(crate) fn script(name: &str, source: &str) -> Script {
    Script::new(name, source)
}

pub(crate) fn dict_settings(dicts: &[(&str, u64)]) -> BTreeMap<DictName, u64> {
    dicts.iter().map(|&(name, bytes)| (DictName::new(name).unwrap(), bytes)).collect()
}

/// What a run waits for that waits for one thing.
pub(crate) fn sole_op(step: Step) -> Op {
    let Step::Wait(mut task) = step else { panic!("it does not wait: {step:?}") };
    task.sole_op().expect("it waits for one thing")
}
