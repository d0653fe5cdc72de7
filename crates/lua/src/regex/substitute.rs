//! Replacing matches by a template.

use super::{Engine, Regex, Template, template::Part};

/// PCRE2's code for no match.
const NO_MATCH: i32 = -1;

/// Appends `subject` with its first match, or all of them, replaced. Answers how many there were, or PCRE2's
/// code for why it gave up.
pub(crate) fn substitute(
    engine: &Engine,
    regex: &Regex,
    subject: &[u8],
    template: &Template<'_>,
    all: bool,
    out: &mut Vec<u8>,
) -> Result<u32, i32> {
    let (mut count, mut start, mut copied) = (0, 0, 0);
    loop {
        // The first search has checked the subject.
        let found = engine.search(regex, subject, start, count > 0, |code, ends| {
            out.extend_from_slice(&subject[copied..ends[0].max(copied)]);
            let groups = &ends[..(code.max(1) as usize * 2).min(ends.len())];
            expand(template, subject, groups, out);
            (ends[0], ends[1])
        });
        let (from, to) = match found {
            Ok(ends) => ends,
            Err(NO_MATCH) => break,
            Err(code) => return Err(code),
        };
        count += 1;
        copied = to.max(copied);
        start = if to == from { after_empty(subject, to, regex.utf()) } else { to };
        if !all || start > subject.len() {
            break;
        }
    }
    out.extend_from_slice(&subject[copied..]);
    Ok(count)
}

fn expand(template: &Template<'_>, subject: &[u8], ends: &[usize], out: &mut Vec<u8>) {
    template.parts().for_each(|part| match part {
        Part::Text(text) => out.extend_from_slice(text),
        Part::Group(group) => {
            let pair = group.checked_mul(2).and_then(|at| ends.get(at..at + 2));
            // A group that took no part has ends beyond every subject.
            if let Some(text) = pair.and_then(|pair| subject.get(pair[0]..pair[1])) {
                out.extend_from_slice(text);
            }
        }
    });
}

/// Where to look next after an empty match.
pub(crate) fn after_empty(subject: &[u8], at: usize, utf: bool) -> usize {
    let rest = subject.get(at + 1..).unwrap_or_default();
    let continued = rest.iter().take_while(|&&byte| utf && byte & 0xc0 == 0x80).count();
    at + 1 + continued
}
