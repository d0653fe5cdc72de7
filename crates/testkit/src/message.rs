//! HTTP/1.1 messages as they arrive, read strictly: what is not plainly well formed is an error, so
//! that a test cannot pass on an answer that another client would refuse.

use std::{
    io::{self, Read},
    net::TcpStream,
};

const HEAD_LIMIT: usize = 1 << 20;

/// Header fields in the order and spelling of the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The value of the only field with this name. Panics when there are several.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let value = values.next();
        assert!(values.next().is_none(), "several {name}: {self:?}");
        value
    }

    /// The values of all fields with this name, in whatever case.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated list field holds `member`.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(member))
    }
}

/// `fields` as lines of a head, without the empty line that ends it.
pub(crate) fn field_lines(fields: &[(&str, &str)]) -> String {
    fields.iter().flat_map(|&(name, value)| [name, ": ", value, "\r\n"]).collect()
}

/// `Content-Length` as a line of a head.
pub(crate) fn length_line(body: &[u8]) -> String {
    field_lines(&[("Content-Length", &body.len().to_string())])
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    /// The connection closes. Responses only.
    Close,
}

/// The framing that `fields` ask for; `absent` where they say nothing.
pub(crate) fn framing(fields: &Fields, absent: Framing) -> io::Result<Framing> {
    let codings: Vec<_> = fields.all("transfer-encoding").collect();
    let lengths: Vec<_> = fields.all("content-length").collect();
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(absent),
        (["chunked"], []) => Ok(Framing::Chunked),
        ([], [length]) if length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| malformed("Content-Length", length))
        }
        _ => Err(malformed("framing", &format!("{fields:?}"))),
    }
}

pub(crate) fn malformed(what: &str, found: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}: {found:?}"))
}

/// A connection with what was read ahead of it, and a copy of what was taken.
#[derive(Debug)]
pub(crate) struct Reader<S = TcpStream> {
    pub(crate) stream: S,
    ahead: Vec<u8>,
    /// Every byte taken since the last [`Reader::take_raw`].
    raw: Vec<u8>,
}

impl<S: Read> Reader<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new(), raw: Vec::new() }
    }

    /// Every byte taken since this was asked last.
    pub(crate) fn take_raw(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.raw)
    }

    /// Whether the peer has closed and everything it sent was taken. Waits for either.
    pub(crate) fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.ahead.is_empty() && self.fill()? == 0)
    }

    /// A line without its CRLF.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n') {
                break end;
            }
            if self.ahead.len() > HEAD_LIMIT {
                return Err(malformed("line", "over 1 MiB"));
            }
            if self.fill()? == 0 {
                return Err(ended(&self.ahead));
            }
        };
        let line = self.take(end + 1);
        let text =
            std::str::from_utf8(&line).map_err(|_| malformed("line", &line.escape_ascii().to_string()))?;
        match text.strip_suffix("\r\n") {
            Some(text) if !text.contains(['\r', '\0']) => Ok(text.to_owned()),
            _ => Err(malformed("line", text)),
        }
    }

    /// Header or trailer fields up to and with the empty line.
    pub(crate) fn fields(&mut self) -> io::Result<Fields> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Fields(fields));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("field", &line))?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(malformed("field", &line));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// A body and its trailers.
    pub(crate) fn body(&mut self, framing: Framing) -> io::Result<(Vec<u8>, Fields)> {
        match framing {
            Framing::Length(length) => Ok((self.exactly(length)?, Fields::default())),
            Framing::Chunked => self.chunks(),
            Framing::Close => {
                while self.fill()? > 0 {}
                Ok((self.take(self.ahead.len()), Fields::default()))
            }
        }
    }

    fn chunks(&mut self) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let hexadecimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let size = usize::from_str_radix(digits, 16).ok().filter(|_| hexadecimal);
            match size.ok_or_else(|| malformed("chunk size", &line))? {
                0 => return Ok((body, self.fields()?)),
                size => body.extend(self.exactly(size)?),
            }
            let end = self.line()?;
            if !end.is_empty() {
                return Err(malformed("end of a chunk", &end));
            }
        }
    }

    pub(crate) fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.fill()? == 0 {
                return Err(ended(&self.ahead));
            }
        }
        Ok(self.take(length))
    }

    /// What is there now, at least a byte; empty at the end.
    pub(crate) fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(self.take(self.ahead.len()))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken: Vec<u8> = self.ahead.drain(..length).collect();
        self.raw.extend_from_slice(&taken);
        taken
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut block = [0; 16 << 10];
        // A read with a time limit is not taken up again after a signal, such as that of a child that has ended.
        let read = loop {
            match self.stream.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ahead.extend_from_slice(&block[..read]);
        Ok(read)
    }
}

fn ended(so_far: &[u8]) -> io::Error {
    let text = format!("closed in the middle of a message after {:?}", so_far.escape_ascii().to_string());
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
