//! A converted test block: what is configured, what is sent, what is expected.
//!
//! A file of cases holds one JSON object per line. Text is UTF-8; bytes that are none are `{"b64": …}`; a Perl
//! regular expression is `{"re": …, "flags": …}`. Placeholders (`$TEST_NGINX_…`) stay in the text until a
//! [`Scene`](super::scene::Scene) fills them in.
//!
//! Not here: how a case is run, and what its directives mean to Tidegate.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// Bytes of a case, placeholders included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::default()),
            Value::String(text) => Ok(Self(text.into_bytes())),
            Value::Object(map) => match map.get("b64").and_then(Value::as_str) {
                Some(text) => STANDARD.decode(text).map(Self).map_err(de::Error::custom),
                None => Err(de::Error::custom("an object that is no text")),
            },
            // Numbers and truths stand for themselves.
            other => Ok(Self(other.to_string().into_bytes())),
        }
    }
}

/// What a text is compared with.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Pattern {
    Regex(Regex),
    Literal(Text),
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Regex {
    pub(crate) re: Text,
    #[serde(default)]
    pub(crate) flags: String,
}

/// One for all repetitions, or one for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum PerRepetition<T> {
    Each(Vec<T>),
    All(T),
}

impl<T> PerRepetition<T> {
    /// The last one stands for all that follow.
    pub(crate) fn of(&self, repetition: usize) -> Option<&T> {
        match self {
            Self::Each(list) => list.get(repetition).or(list.last()),
            Self::All(one) => Some(one),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) repeat_each: u32,
    pub(crate) workers: u32,
    pub(crate) log_level: String,
    #[serde(deserialize_with = "seconds")]
    pub(crate) timeout: Option<f64>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) wait: Option<f64>,
    #[serde(default)]
    pub(crate) accum_log: bool,
    pub(crate) main_config: Main,
    pub(crate) server: Server,
    pub(crate) locations: Vec<Location>,
    /// Those besides the one that requests are sent to.
    #[serde(default)]
    pub(crate) servers: Vec<Other>,
    #[serde(default)]
    pub(crate) user_files: Vec<UserFile>,
    pub(crate) requests: Vec<Request>,
    #[serde(default)]
    pub(crate) pipelined: bool,
    pub(crate) expected: Expected,
}

pub(crate) type Phases = BTreeMap<String, Code>;
/// A name and its arguments, which may be blocks.
pub(crate) type Directive = Vec<Value>;

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Code {
    File { file: Text },
    Inline(Text),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Main {
    pub(crate) package_path: Option<Text>,
    pub(crate) package_cpath: Option<Text>,
    pub(crate) shared_dicts: BTreeMap<String, Text>,
    pub(crate) phases: Phases,
    pub(crate) env: Vec<Text>,
    pub(crate) directives: Vec<Directive>,
    /// Outside of `http`.
    #[serde(rename = "main_directives")]
    pub(crate) outer: Vec<Directive>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Server {
    pub(crate) phases: Phases,
    pub(crate) directives: Vec<Directive>,
    pub(crate) set: Vec<Set>,
}

/// A server that scripts of the case talk to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Other {
    /// The arguments of each `listen`.
    pub(crate) listen: Vec<Vec<Text>>,
    pub(crate) server_name: Vec<Vec<Text>>,
    pub(crate) phases: Phases,
    pub(crate) directives: Vec<Directive>,
    pub(crate) locations: Vec<Location>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Location {
    /// `=`, `~`, `~*`, `^~`, `@`, or nothing for a prefix.
    pub(crate) op: String,
    pub(crate) r#match: Text,
    pub(crate) phases: Phases,
    pub(crate) set: Vec<Set>,
    pub(crate) directives: Vec<Directive>,
}

/// `set` or `set_by_lua`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Set {
    pub(crate) var: String,
    pub(crate) value: Option<Text>,
    pub(crate) lua: Option<Text>,
    pub(crate) file: Option<Text>,
    #[serde(default)]
    pub(crate) args: Vec<Text>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct UserFile {
    pub(crate) name: String,
    pub(crate) content: Text,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) mtime: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    pub(crate) method: Text,
    pub(crate) path: Text,
    pub(crate) version: Text,
    pub(crate) headers: Vec<(Text, Text)>,
    pub(crate) body: Text,
    pub(crate) packets: Option<Vec<Packet>>,
    /// The whole message, in place of the parts.
    pub(crate) raw: Option<Text>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Packet {
    pub(crate) value: Text,
    /// Before it is sent.
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) delay: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Expected {
    pub(crate) responses: Vec<Response>,
    pub(crate) ignore_response: bool,
    pub(crate) error_log: Vec<Pattern>,
    pub(crate) no_error_log: Vec<Pattern>,
    pub(crate) grep_error_log: Option<Grep>,
    /// The client leaves when its time is over.
    pub(crate) abort: Option<Value>,
    /// The client sends no more once the request is out.
    pub(crate) client_shutdown: Option<Value>,
    pub(crate) must_die: Option<Value>,
    /// Bodies are JSON, and the order of keys is nobody's business.
    pub(crate) body_json_sort: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Grep {
    pub(crate) pattern: PerRepetition<Pattern>,
    pub(crate) out: PerRepetition<Pattern>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Response {
    pub(crate) status: Option<Text>,
    pub(crate) status_like: Option<Pattern>,
    /// No text: the header must be absent.
    pub(crate) headers: BTreeMap<String, Option<Text>>,
    pub(crate) headers_like: BTreeMap<String, Pattern>,
    pub(crate) raw_headers_like: Option<Regex>,
    pub(crate) raw_headers_unlike: Option<Regex>,
    pub(crate) body: Option<Text>,
    pub(crate) body_like: Option<Regex>,
    pub(crate) body_unlike: Option<Regex>,
}

/// A number, or a number in a string.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Vec<u8> {
        serde_json::from_str::<Text>(json).unwrap().0
    }

    #[test]
    fn text_is_bytes_however_it_is_written() {
        assert_eq!(text(r#""a\n""#), b"a\n");
        assert_eq!(text(r#"{"b64": "/wA="}"#), [0xff, 0]);
        assert_eq!(text("404"), b"404");
    }

    #[test]
    fn what_differs_between_repetitions_ends_with_what_stays() {
        let each: PerRepetition<Text> = serde_json::from_str(r#"["a", "b"]"#).unwrap();
        let at = |n| each.of(n).map(|text| text.0.clone());
        assert_eq!([at(0), at(1), at(5)], [Some(b"a".to_vec()), Some(b"b".to_vec()), Some(b"b".to_vec())]);
    }

    #[test]
    fn patterns_are_told_from_text() {
        let is_regex = |json| matches!(serde_json::from_str(json).unwrap(), Pattern::Regex(_));
        assert!(is_regex(r#"{"re": "a+", "flags": "i"}"#));
        assert!(!is_regex(r#"{"b64": "YQ=="}"#));
        assert!(!is_regex(r#""a+""#));
    }
}
