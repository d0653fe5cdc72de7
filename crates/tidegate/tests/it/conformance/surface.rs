//! The list of functions.

const LIST: &str = include_str!("../../../../lua/tests/surface.txt");

/// What is read and written like a field and is no function.
pub(super) const FIELDS: &[&str] = &[
    "ngx.arg",
    "ngx.ctx",
    "ngx.header",
    "ngx.headers_sent",
    "ngx.is_subrequest",
    "ngx.shared",
    "ngx.status",
    "ngx.var",
];

#[derive(Debug, Clone)]
pub(super) struct Function {
    /// `global`, `module` or `object`.
    pub(super) kind: &'static str,
    /// Of what: a module or an object; nothing if it is global.
    pub(super) owner: &'static str,
    /// What it is called there.
    pub(super) own: &'static str,
}

impl Function {
    /// What cases call it: `ngx.say`, `ngx.pipe.spawn`, `tcp:send`, `table.new`.
    pub(super) fn name(&self) -> String {
        match (self.kind, self.own) {
            ("global", own) => own.to_owned(),
            (_, "()") => self.owner.to_owned(),
            ("module", own) => format!("{}.{own}", self.owner),
            (_, own) => format!("{}:{own}", self.owner),
        }
    }

    /// Whether the gateway of the cases can see that it is called. Methods of C objects lie where nobody can wrap them;
    /// what has to come before any regular expression is called in another VM.
    pub(super) fn is_recorded(&self) -> bool {
        self.owner != "process" && (self.owner, self.own) != ("ngx.re", "opt")
    }
}

pub(super) fn functions() -> impl Iterator<Item = Function> {
    let (mut kind, mut owner) = ("", "");
    let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(move |line| {
        let mut names = line;
        if !line.starts_with(' ') {
            let (head, rest) = line.split_once(':').unwrap_or_else(|| panic!("no head: {line}"));
            (kind, owner) = head.split_once(' ').unwrap_or((head, ""));
            names = rest;
        }
        names.split_whitespace().map(move |own| Function { kind, owner, own })
    })
}
