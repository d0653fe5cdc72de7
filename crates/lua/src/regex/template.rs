//! Replacement templates: text with `$0`, `$12`, `${3}` for what was matched, and `$$` for a dollar sign.

use std::fmt;

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("lua script: invalid capturing variable name found in \"{0}\"")]
    NoName(Shown),
    #[error("the closing bracket in \"{0}\" variable is missing")]
    Unclosed(Shown),
    #[error("attempt to use named capturing variable \"{0}\" (named captures not supported yet)")]
    Named(Shown),
}

/// Bytes of a template in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown(Vec<u8>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a [u8]),
    /// What the group matched; 0 is the whole match.
    Group(usize),
}

/// Parts of a template that are kept, so that they are not read anew for each match. Few templates have more.
const KEPT: usize = 8;

/// A template that has been found to be well-formed.
#[derive(Debug)]
pub(crate) struct Template<'a> {
    first: [Part<'a>; KEPT],
    kept: usize,
    rest: Parts<'a>,
}

impl<'a> Template<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, TemplateError> {
        let mut rest = Parts { whole: text, rest: text };
        let (mut first, mut kept) = ([Part::Group(0); KEPT], 0);
        for (place, part) in first.iter_mut().zip(&mut rest) {
            *place = part?;
            kept += 1;
        }
        rest.clone().try_for_each(|part| part.map(drop))?;
        Ok(Self { first, kept, rest })
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'a>> {
        self.first[..self.kept].iter().copied().chain(self.rest.clone().filter_map(Result::ok))
    }
}

#[derive(Debug, Clone)]
struct Parts<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, TemplateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        match rest {
            [] => None,
            [b'$', b'$', after @ ..] => {
                self.rest = after;
                Some(Ok(Part::Text(&rest[..1])))
            }
            [b'$', b'{', after @ ..] => Some(self.variable(after, true)),
            [b'$', after @ ..] => Some(self.variable(after, false)),
            _ => {
                let end = rest.iter().position(|&byte| byte == b'$').unwrap_or(rest.len());
                self.rest = &rest[end..];
                Some(Ok(Part::Text(&rest[..end])))
            }
        }
    }
}

impl<'a> Parts<'a> {
    /// Reads what stands after a dollar sign, and after its bracket if there is one.
    fn variable(&mut self, after: &'a [u8], bracket: bool) -> Result<Part<'a>, TemplateError> {
        let numeric = after.first().is_some_and(u8::is_ascii_digit);
        let in_name = |byte: &u8| {
            if numeric { byte.is_ascii_digit() } else { byte.is_ascii_alphanumeric() || *byte == b'_' }
        };
        let end = after.iter().position(|byte| !in_name(byte)).unwrap_or(after.len());
        let (name, rest) = after.split_at(end);
        let shown = || Shown(name.to_vec());
        if bracket && after.is_empty() {
            return Err(TemplateError::NoName(Shown(self.whole.to_vec())));
        }
        self.rest = match rest {
            [b'}', rest @ ..] if bracket => rest,
            _ if bracket => return Err(TemplateError::Unclosed(shown())),
            _ => rest,
        };
        if name.is_empty() {
            return Err(TemplateError::NoName(Shown(self.whole.to_vec())));
        }
        if !numeric {
            return Err(TemplateError::Named(shown()));
        }
        // A number that is too large names no group, as any number beyond the last does.
        let number = name.iter().try_fold(0_usize, |number, digit| {
            number.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
        });
        Ok(Part::Group(number.unwrap_or(usize::MAX)))
    }
}
