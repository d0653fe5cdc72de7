//! What holds for any text that scripts have read, and for what name servers answer; `fuzz/` looks for some for which it
//! does not.

use std::cell::OnceCell;

use mlua::{Function, Lua, LuaString, Value};

use crate::{date, json, socket::resolver, uri};

/// `cjson` takes what the standard library of others takes, and what it has taken it writes as it was.
pub fn json(input: &[u8]) {
    thread_local! {
        static CODEC: OnceCell<Codec> = const { OnceCell::new() };
    }
    CODEC.with(|codec| {
        let codec = codec.get_or_init(|| Codec::new().expect("Lua has room"));
        let strict = serde_json::from_slice::<serde_json::Value>(input);
        let Some(value) = codec.decode(input) else {
            assert!(strict.is_err(), "refuses {strict:?}");
            return;
        };
        // Not a number, and infinity, are read and not written.
        let Some(once) = codec.encode(value) else { return };
        let again = codec.decode(&once).expect("takes what it wrote");
        let twice = codec.encode(again).expect("writes it again");
        let read = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
        assert_eq!(read(&once), read(&twice));
    });
}

/// Escaping, then reading, leads back, whatever is escaped for; and no argument is made of nothing.
pub fn uri(input: &[u8]) {
    for kind in (0..=6).map(uri::Escape::from_number) {
        let (mut escaped, mut back) = (Vec::new(), Vec::new());
        uri::escape(input, kind, &mut escaped);
        assert!(escaped.iter().all(|byte| byte.is_ascii_graphic() || kind == uri::Escape::Line));
        uri::decode_path(&escaped, &mut back);
        assert_eq!(back, input, "{kind:?}: {}", escaped.escape_ascii());
    }
    let size: usize =
        uri::arguments(input).map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
    assert!(size <= input.len());
    let mut plain = Vec::new();
    uri::unescape(input, &mut plain);
    assert!(plain.len() <= input.len());
}

/// A date is a second since 1970, which can be written as a date.
pub fn date(input: &[u8]) {
    if let Some(seconds) = date::parse_http(input) {
        assert!((0..400_000_000_000).contains(&seconds));
    }
}

pub fn dns(input: &[u8]) {
    resolver::fuzz::answer(input);
    resolver::fuzz::files(input);
}

/// `cjson.safe` as it is unless somebody sets it.
struct Codec {
    lua: Lua,
    decode: Function,
    encode: Function,
}

impl Codec {
    fn new() -> mlua::Result<Self> {
        let lua = Lua::new();
        let parts = json::open(&lua)?;
        let make = |name: &str| {
            let config: Value = parts.get::<Function>("config")?.call(())?;
            parts.get::<Function>(name)?.call((config, true, lua.create_table()?, lua.create_table()?))
        };
        let (decode, encode) = (make("decoder")?, make("encoder")?);
        Ok(Self { lua, decode, encode })
    }

    fn decode(&self, text: &[u8]) -> Option<Value> {
        let text = self.lua.create_string(text).ok()?;
        let (value, error): (Value, Value) = self.decode.call(text).ok()?;
        error.is_nil().then_some(value)
    }

    fn encode(&self, value: Value) -> Option<Vec<u8>> {
        let (text, error): (Option<LuaString>, Value) = self.encode.call(value).ok()?;
        text.filter(|_| error.is_nil()).map(|text| text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const JSON: &[&[u8]] = &[
        br#"{"a":[1,-0.5e3,true,false,null,"\u00e4\n\ud83d\ude00/"],"":{},"b":[[],[[]]]}"#,
        b" [ 1e308 , 123456789012345678 , \"\\\\\" , 0x1F , nan , -Infinity ] ",
    ];
    const URIS: &[&[u8]] = &[b"a=b&c&=d&e=%20+%zz&f==&a=%C3%A4", b"/a%2fb/../c?x#y"];
    const DATES: &[&[u8]] =
        &[b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"];
    const DNS: &[&[u8]] = &[
        b"\0\x07\x81\x80\0\x01\0\x02\0\0\0\0\x01a\x07example\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01",
        b"nameserver ::1\nsearch a.b c.\noptions ndots:3 # x\n127.0.0.1 localhost a\n",
    ];

    proptest! {
        #[test]
        fn json(input in mutated(JSON)) {
            super::json(&input);
        }

        #[test]
        fn uris(input in mutated(URIS)) {
            super::uri(&input);
        }

        #[test]
        fn dates(input in mutated(DATES)) {
            super::date(&input);
        }

        #[test]
        fn names(input in mutated(DNS)) {
            super::dns(&input);
        }
    }
}
