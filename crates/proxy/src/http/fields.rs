//! The header fields of one message, editable in place.
//!
//! All text lives in one block that is reused from message to message; a field is two ranges of it.
//! Removing a field marks it, adding one appends, so no edit moves another field.

use std::ops::Range;

use tidegate_lua::{InvalidHeader, is_token};

/// A range of the block of a [`Fields`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// Fields that the gateway itself reads, replaces or must not pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Other,
    Removed,
    Host,
    ContentLength,
    Expect,
    RequestId,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    Via,
    Date,
    Server,
    ContentType,
    /// What makes a request conditional (RFC 9110, 13.1), ranges aside.
    Condition,
    // From here on: for this connection only (RFC 9110, 7.6.1).
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
}

impl Kind {
    pub(crate) const fn is_hop_by_hop(self) -> bool {
        self as u8 >= Self::Connection as u8
    }

    fn of(name: &[u8]) -> Self {
        let candidate: (&[u8], Self) = match name.len() {
            2 => (b"te", Self::Te),
            3 => (b"via", Self::Via),
            4 if name[0] | 0x20 == b'h' => (b"host", Self::Host),
            4 => (b"date", Self::Date),
            6 if name[0] | 0x20 == b'e' => (b"expect", Self::Expect),
            6 => (b"server", Self::Server),
            7 if name[0] | 0x20 == b't' => (b"trailer", Self::Trailer),
            7 => (b"upgrade", Self::Upgrade),
            8 => (b"if-match", Self::Condition),
            10 if name[0] | 0x20 == b'c' => (b"connection", Self::Connection),
            10 => (b"keep-alive", Self::KeepAlive),
            12 if name[0] | 0x20 == b'c' => (b"content-type", Self::ContentType),
            12 => (b"x-request-id", Self::RequestId),
            13 => (b"if-none-match", Self::Condition),
            14 => (b"content-length", Self::ContentLength),
            15 => (b"x-forwarded-for", Self::ForwardedFor),
            16 if name[0] | 0x20 == b'p' => (b"proxy-connection", Self::ProxyConnection),
            16 => (b"x-forwarded-host", Self::ForwardedHost),
            17 if name[0] | 0x20 == b't' => (b"transfer-encoding", Self::TransferEncoding),
            17 if name[0] | 0x20 == b'i' => (b"if-modified-since", Self::Condition),
            17 => (b"x-forwarded-proto", Self::ForwardedProto),
            19 => (b"if-unmodified-since", Self::Condition),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(candidate.0) { candidate.1 } else { Self::Other }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

#[derive(Debug, Clone, Copy)]
struct Field {
    name: Span,
    value: Span,
    kind: Kind,
}

/// The fields of a message, with the text of its whole head.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    block: Vec<u8>,
    list: Vec<Field>,
    /// Bits of all kinds that are there, and perhaps of some that were: most are asked for and seldom there.
    kinds: u32,
}

impl Fields {
    /// Forgets everything and keeps a copy of `head`, which `headers` point into.
    pub(crate) fn load(&mut self, head: &[u8], headers: &[httparse::Header<'_>]) {
        self.clear();
        self.block.extend_from_slice(head);
        for header in headers {
            let name = Span::within(head, header.name.as_bytes());
            let value = Span::within(head, header.value);
            let kind = Kind::of(header.name.as_bytes());
            self.kinds |= kind.bit();
            self.list.push(Field { name, value, kind });
        }
    }

    /// Notes a field of a head that [`keep`](Self::keep) is given when all have been found.
    #[inline]
    pub(crate) fn note(&mut self, head: &[u8], name: Range<usize>, value: Range<usize>) {
        let kind = Kind::of(&head[name.clone()]);
        self.kinds |= kind.bit();
        self.list.push(Field { name: name.into(), value: value.into(), kind });
    }

    /// Keeps a copy of the head of which fields have been noted.
    pub(crate) fn keep(&mut self, head: &[u8]) {
        self.block.extend_from_slice(head);
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn clear(&mut self) {
        self.block.clear();
        self.list.clear();
        self.kinds = 0;
    }

    /// Those among which all of a kind are.
    fn with(&self, kind: Kind) -> &[Field] {
        if self.kinds & kind.bit() == 0 { &[] } else { &self.list }
    }

    /// Makes room for what `other` has and for so much text beside it.
    pub(crate) fn reserve_for(&mut self, other: &Self, text: usize) {
        // Twice, for there may be a copy of the head besides its fields.
        self.block.reserve(2 * other.block.len() + text);
        self.list.reserve(other.list.len() + 1);
    }

    pub(crate) fn text(&self, span: Span) -> &[u8] {
        &self.block[span.start as usize..span.end as usize]
    }

    /// Keeps `text` beside the fields.
    pub(crate) fn store(&mut self, text: &[u8]) -> Span {
        let start = self.block.len() as u32;
        self.block.extend_from_slice(text);
        Span { start, end: self.block.len() as u32 }
    }

    /// All fields that are there, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, &[u8], &[u8])> {
        let present = self.list.iter().filter(|field| field.kind != Kind::Removed);
        present.map(|field| (field.kind, self.text(field.name), self.text(field.value)))
    }

    /// The values of all fields of a known kind.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.with(kind).iter().filter(move |field| field.kind == kind).map(|field| self.text(field.value))
    }

    /// Where these values are.
    pub(crate) fn spans(&self, kind: Kind) -> impl Iterator<Item = Span> {
        self.with(kind).iter().filter(move |field| field.kind == kind).map(|field| field.value)
    }

    pub(crate) fn contains(&self, kind: Kind) -> bool {
        self.with(kind).iter().any(|field| field.kind == kind)
    }

    /// The value of the first field of that name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let is_wanted = |field: &&Field| field.kind != Kind::Removed && self.is_named(field, name);
        self.list.iter().find(is_wanted).map(|field| self.text(field.value))
    }

    fn is_named(&self, field: &Field, name: &[u8]) -> bool {
        field.name.len() == name.len() && self.text(field.name).eq_ignore_ascii_case(name)
    }

    /// Adds a field that is known to be well-formed.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_known(Kind::of(name), name, value);
    }

    /// The same, where it is known what kind of field that is.
    pub(crate) fn push_known(&mut self, kind: Kind, name: &[u8], value: &[u8]) {
        self.kinds |= kind.bit();
        self.block.reserve(name.len() + value.len());
        let (name, value) = (self.store(name), self.store(value));
        self.list.push(Field { name, value, kind });
    }

    /// Replaces all fields of that name by one for each value.
    pub(crate) fn set(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        if !is_token(name) {
            return Err(InvalidHeader::Name);
        }
        if !values.iter().all(|value| is_value(value)) {
            return Err(InvalidHeader::Value);
        }
        self.remove(name);
        for value in values {
            self.push(name, value);
        }
        Ok(())
    }

    /// Adds a field to those of its name.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if !is_token(name) {
            return Err(InvalidHeader::Name);
        }
        if !is_value(value) {
            return Err(InvalidHeader::Value);
        }
        self.push(name, value);
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        for index in 0..self.list.len() {
            if self.is_named(&self.list[index], name) {
                self.list[index].kind = Kind::Removed;
            }
        }
    }

    pub(crate) fn remove_kind(&mut self, kind: Kind) {
        if self.kinds & kind.bit() == 0 {
            return;
        }
        for field in self.list.iter_mut().filter(|field| field.kind == kind) {
            field.kind = Kind::Removed;
        }
    }

    /// Removes the fields that `Connection` declares to be for this connection only. Those that the
    /// gateway depends on stay: a client must not make it forget them.
    pub(crate) fn remove_nominated(&mut self) {
        let tokens: Vec<Vec<u8>> = self.all(Kind::Connection).flat_map(tokens).map(<[u8]>::to_vec).collect();
        for token in tokens {
            if matches!(Kind::of(&token), Kind::Other | Kind::Condition) {
                self.remove(&token);
            }
        }
    }

    /// Whether `Connection` has that token.
    pub(crate) fn connection_has(&self, token: &[u8]) -> bool {
        self.all(Kind::Connection).flat_map(tokens).any(|one| one.eq_ignore_ascii_case(token))
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }
}

impl Span {
    const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// The place of `part` in `whole`, which it must be a part of. An empty part may be anywhere.
    pub(crate) fn within(whole: &[u8], part: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }
}

/// The elements of a comma-separated list, without the white space around them.
pub(crate) fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// RFC 9110, 5.5, as far as it keeps a value from ending its line.
pub(crate) fn is_value(value: &[u8]) -> bool {
    // Without an early end, so that the compiler looks at many bytes at once.
    !value.iter().fold(false, |found, byte| found | matches!(byte, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in list {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn text(fields: &Fields) -> String {
        fields.iter().fold(String::new(), |text, (_, name, value)| {
            format!("{text}{}={};", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        })
    }

    #[test]
    fn setting_replaces_every_field_of_the_name() {
        let mut fields = fields(&[("a", "1"), ("B", "2"), ("A", "3")]);
        fields.set(b"a", &[b"4", b"5"]).unwrap();
        assert_eq!(text(&fields), "B=2;a=4;a=5;");
        fields.set(b"A", &[]).unwrap();
        assert_eq!(text(&fields), "B=2;");
        assert_eq!(fields.get(b"b"), Some(&b"2"[..]));
    }

    #[test]
    fn kinds_are_there_until_they_are_removed_or_all_is_forgotten() {
        let mut fields = fields(&[("Via", "a")]);
        assert!(fields.contains(Kind::Via) && !fields.contains(Kind::Date));
        fields.remove_kind(Kind::Via);
        assert!(!fields.contains(Kind::Via));
        fields.push_known(Kind::Via, b"Via", b"b");
        assert_eq!(fields.all(Kind::Via).collect::<Vec<_>>(), [b"b"]);
        fields.clear();
        assert_eq!(fields.spans(Kind::Via).count(), 0);
    }

    #[test]
    fn nothing_that_ends_its_line_gets_in() {
        let mut fields = fields(&[]);
        assert_eq!(fields.set(b"a", &[b"1\r\nb: 2"]), Err(InvalidHeader::Value));
        assert_eq!(fields.set(b"a b", &[b"1"]), Err(InvalidHeader::Name));
        assert_eq!(fields.set(b"", &[b"1"]), Err(InvalidHeader::Name));
        assert_eq!(text(&fields), "");
    }

    #[test]
    fn nominated_fields_go_but_not_those_the_gateway_needs() {
        let mut fields = fields(&[
            ("Connection", "close, x-private,Host , x-forwarded-for"),
            ("Host", "a"),
            ("X-Private", "1"),
            ("X-Forwarded-For", "10.0.0.1"),
        ]);
        fields.remove_nominated();
        assert_eq!(
            text(&fields),
            "Connection=close, x-private,Host , x-forwarded-for;Host=a;X-Forwarded-For=10.0.0.1;"
        );
    }

    #[test]
    fn every_known_name_is_recognised_in_any_case() {
        let known = [
            ("Host", Kind::Host),
            ("CONTENT-LENGTH", Kind::ContentLength),
            ("expect", Kind::Expect),
            ("X-Request-Id", Kind::RequestId),
            ("X-Forwarded-For", Kind::ForwardedFor),
            ("x-forwarded-host", Kind::ForwardedHost),
            ("X-Forwarded-Proto", Kind::ForwardedProto),
            ("Via", Kind::Via),
            ("Date", Kind::Date),
            ("Server", Kind::Server),
            ("Content-Type", Kind::ContentType),
            ("If-Match", Kind::Condition),
            ("if-none-match", Kind::Condition),
            ("If-Modified-Since", Kind::Condition),
            ("IF-UNMODIFIED-SINCE", Kind::Condition),
            ("Connection", Kind::Connection),
            ("Keep-Alive", Kind::KeepAlive),
            ("Proxy-Connection", Kind::ProxyConnection),
            ("TE", Kind::Te),
            ("Trailer", Kind::Trailer),
            ("Transfer-Encoding", Kind::TransferEncoding),
            ("Upgrade", Kind::Upgrade),
            ("X-Other", Kind::Other),
        ];
        for (name, kind) in known {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name}");
        }
    }
}
