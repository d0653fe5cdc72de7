//! Conditional requests for answers that Lua makes (RFC 9110, 13), as nginx does it.
//!
//! Only what an answer says of itself counts: one without `Last-Modified` is never too new, and one without `ETag` is
//! whatever was asked for. Answers of upstreams are theirs to make conditional.

use crate::{exchange::Exchange, http::fields::Kind};

/// What a request's conditions make of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Proceed,
    NotModified,
    Failed,
}

/// Judges an answer whose head is complete.
pub(crate) fn judge(exchange: &Exchange) -> Outcome {
    let asks = matches!(exchange.request.method(), b"GET" | b"HEAD");
    let may_be = exchange.request.fields.contains(Kind::Condition);
    if !may_be || exchange.response.status != 200 || !asks || exchange.depth > 0 {
        return Outcome::Proceed;
    }
    let given = |name: &[u8]| exchange.request.fields.get(name);
    let conditions = Conditions {
        modified_since: given(b"if-modified-since"),
        unmodified_since: given(b"if-unmodified-since"),
        matches: given(b"if-match"),
        matches_none: given(b"if-none-match"),
    };
    let fields = &exchange.response.fields;
    conditions.judge(fields.get(b"last-modified"), fields.get(b"etag"))
}

#[derive(Debug, Default, Clone, Copy)]
struct Conditions<'a> {
    modified_since: Option<&'a [u8]>,
    unmodified_since: Option<&'a [u8]>,
    matches: Option<&'a [u8]>,
    matches_none: Option<&'a [u8]>,
}

impl Conditions<'_> {
    fn judge(&self, modified: Option<&[u8]>, tag: Option<&[u8]>) -> Outcome {
        if let (Some(since), Some(modified)) = (self.unmodified_since.and_then(date), modified.and_then(date))
            && modified > since
        {
            return Outcome::Failed;
        }
        if let (Some(list), Some(tag)) = (self.matches, tag)
            && !lists(list, tag, Comparison::Strong)
        {
            return Outcome::Failed;
        }
        if self.modified_since.is_none() && self.matches_none.is_none() {
            return Outcome::Proceed;
        }
        // As nginx has it by default, a date is the same or it is another.
        let newer = self.modified_since.is_some_and(|since| {
            modified.is_none_or(|modified| since != modified && date(since) != date(modified))
        });
        let other = self
            .matches_none
            .is_some_and(|list| tag.is_none_or(|tag| !lists(list, tag, Comparison::Weak)) && list != b"*");
        if newer || other { Outcome::Proceed } else { Outcome::NotModified }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags has this one.
fn lists(list: &[u8], tag: &[u8], comparison: Comparison) -> bool {
    let core = |tag: &'_ [u8]| match comparison {
        Comparison::Weak => tag.strip_prefix(b"W/").unwrap_or(tag).to_vec(),
        Comparison::Strong => tag.to_vec(),
    };
    let wanted = core(tag);
    list.trim_ascii() == b"*" || list.split(|&byte| byte == b',').any(|one| core(one.trim_ascii()) == wanted)
}

fn date(value: &[u8]) -> Option<jiff::Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Option<&[u8]> = Some(b"Thu, 10 May 2012 07:50:47 GMT");
    const NEW: Option<&[u8]> = Some(b"Thu, 10 May 2012 07:50:59 GMT");
    const TAG: Option<&[u8]> = Some(b"\"a\"");

    fn check(conditions: Conditions<'_>, modified: Option<&[u8]>, tag: Option<&[u8]>, outcome: Outcome) {
        assert_eq!(conditions.judge(modified, tag), outcome, "{conditions:?}");
    }

    #[test]
    fn dates_decide() {
        let since = |modified_since| Conditions { modified_since, ..Conditions::default() };
        check(since(NEW), NEW, None, Outcome::NotModified);
        check(since(OLD), NEW, None, Outcome::Proceed);
        check(since(NEW), None, None, Outcome::Proceed);
        check(since(Some(b"yesterday")), NEW, None, Outcome::Proceed);
        let until = |unmodified_since| Conditions { unmodified_since, ..Conditions::default() };
        check(until(OLD), NEW, None, Outcome::Failed);
        check(until(NEW), NEW, None, Outcome::Proceed);
        check(until(OLD), None, None, Outcome::Proceed);
    }

    #[test]
    fn tags_decide() {
        let none =
            |list: &'static str| Conditions { matches_none: Some(list.as_bytes()), ..Conditions::default() };
        check(none("\"b\", W/\"a\""), None, TAG, Outcome::NotModified);
        check(none("*"), None, TAG, Outcome::NotModified);
        check(none("\"b\""), None, TAG, Outcome::Proceed);
        check(none("\"a\""), None, None, Outcome::Proceed);
        let one = |list: &'static str| Conditions { matches: Some(list.as_bytes()), ..Conditions::default() };
        check(one("\"a\""), None, TAG, Outcome::Proceed);
        check(one("W/\"a\""), None, TAG, Outcome::Failed);
        check(one("*"), None, TAG, Outcome::Proceed);
        check(one("\"b\""), None, None, Outcome::Proceed);
    }

    #[test]
    fn both_have_to_hold_for_what_is_known() {
        let both = Conditions { modified_since: NEW, matches_none: TAG, ..Conditions::default() };
        check(both, NEW, TAG, Outcome::NotModified);
        check(both, OLD, TAG, Outcome::Proceed);
        check(both, NEW, Some(b"\"b\""), Outcome::Proceed);
    }
}
