//! The protocol of Redis, version 2: words out, values in.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::{
    error::{Error, Result},
    transport::Stream,
};

/// Longest line, longest text, most elements of a list, deepest nesting that are read.
const LINE: u64 = 64 << 10;
const TEXT: usize = 512 << 20;
const ELEMENTS: usize = 1 << 20;
const DEPTH: u8 = 8;

#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<Stream>,
    out: Vec<u8>,
}

/// What Redis answers. An error is not a value, except within a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Nothing,
    Integer(i64),
    Text(Vec<u8>),
    List(Vec<Value>),
    Error(String),
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream: BufReader::with_capacity(64 << 10, stream), out: Vec::new() }
    }

    /// One command and its answer.
    pub(crate) async fn command<W: AsRef<[u8]>>(
        &mut self,
        words: impl IntoIterator<Item = W>,
    ) -> Result<Value> {
        self.queue(words);
        self.flush().await?;
        self.answer().await
    }

    /// Adds a command to those that go out next.
    pub(crate) fn queue<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) {
        let words: Vec<W> = words.into_iter().collect();
        self.out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            let word = word.as_ref();
            self.out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        self.out.clear();
        Ok(())
    }

    /// The answer to the oldest command that has none.
    pub(crate) async fn answer(&mut self) -> Result<Value> {
        match value(&mut self.stream, DEPTH).await? {
            Value::Error(why) => Err(Error::Refused(why)),
            value => Ok(value),
        }
    }
}

/// Reads all values that `input` begins with, and says how many bytes they are.
#[cfg(any(test, fuzzing))]
pub(crate) async fn values(mut input: &[u8]) -> (Vec<Value>, usize) {
    let (length, mut values, mut left) = (input.len(), Vec::new(), input.len());
    while let Ok(value) = value(&mut input, DEPTH).await {
        values.push(value);
        left = input.len();
    }
    (values, length - left)
}

/// Reads one value, with lists in it `depth` levels deep.
async fn value(input: &mut (impl AsyncBufRead + Unpin), depth: u8) -> Result<Value> {
    let line = line(input).await?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| Error::answer("an empty line"))?;
    match kind {
        "+" => Ok(Value::Text(rest.as_bytes().to_vec())),
        "-" => Ok(Value::Error(rest.to_owned())),
        ":" => Ok(Value::Integer(number(rest)?)),
        "$" => match length(rest, TEXT)? {
            None => Ok(Value::Nothing),
            Some(length) => {
                let mut text = vec![0; length + 2];
                input.read_exact(&mut text).await?;
                text.truncate(length);
                Ok(Value::Text(text))
            }
        },
        "*" if depth > 0 => match length(rest, ELEMENTS)? {
            None => Ok(Value::Nothing),
            Some(length) => {
                let mut list = Vec::new();
                for _ in 0..length {
                    list.push(Box::pin(value(input, depth - 1)).await?);
                }
                Ok(Value::List(list))
            }
        },
        _ => Err(Error::answer("this is not the protocol of Redis")),
    }
}

async fn line(input: &mut (impl AsyncBufRead + Unpin)) -> Result<String> {
    let mut line = Vec::new();
    input.take(LINE).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| Error::answer("a line without an end"))?;
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::answer("a number that is none"))
}

fn length(text: &str, most: usize) -> Result<Option<usize>> {
    match number(text)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= most => Ok(Some(length)),
            _ => Err(Error::answer("something that is too long")),
        },
    }
}

impl Value {
    pub(crate) fn integer(&self) -> Result<i64> {
        match self {
            Self::Integer(number) => Ok(*number),
            _ => Err(Error::answer("a number was expected")),
        }
    }

    pub(crate) fn list(self) -> Result<Vec<Self>> {
        match self {
            Self::List(list) => Ok(list),
            Self::Nothing => Ok(Vec::new()),
            _ => Err(Error::answer("a list was expected")),
        }
    }

    pub(crate) fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Error::answer("text was expected")),
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.text() == Some(text)
    }

    /// A list in which names and values take turns.
    pub(crate) fn fields(self) -> Result<Vec<(String, Self)>> {
        let mut list = self.list()?.into_iter();
        let mut fields = Vec::new();
        while let (Some(name), Some(value)) = (list.next(), list.next()) {
            fields.push((String::from_utf8_lossy(&name.bytes()?).into_owned(), value));
        }
        Ok(fields)
    }
}
