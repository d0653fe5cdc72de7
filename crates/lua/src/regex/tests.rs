//! Substitution and templates against naive twins.

use proptest::prelude::*;

use super::{template::Part, *};

const PLAIN: Mode = Mode { dfa: false, jit: true, jit_only: false };

fn replace(pattern: &str, options: u32, subject: &str, template: &str) -> Result<(String, u32), i32> {
    let regex = Regex::new(pattern.as_bytes(), options, PLAIN).unwrap();
    let mut out = Vec::new();
    let template = Template::parse(template.as_bytes()).unwrap();
    let count = substitute(&Engine::new(), &regex, subject.as_bytes(), &template, true, &mut out)?;
    Ok((String::from_utf8(out).unwrap(), count))
}

#[test]
fn empty_matches_are_replaced_between_all_characters() {
    assert_eq!(replace("x*", 0, "axb", "-"), Ok(("-a--b-".into(), 4)));
    assert_eq!(replace("", pcre2::PCRE2_UTF, "aä", "-"), Ok(("-a-ä-".into(), 3)));
}

#[test]
fn groups_that_took_no_part_are_empty() {
    assert_eq!(replace("(a)|(b)", 0, "ab", "<$1|$2|$3>"), Ok(("<a||><|b|>".into(), 2)));
}

#[test]
fn a_match_that_backtracks_too_much_is_given_up() {
    let regex = Regex::new(b"^(a+)+$", 0, Mode { jit: false, ..PLAIN }).unwrap();
    let engine = Engine::new();
    engine.set_match_limit(10_000);
    let found = engine.search(&regex, &[b'a'; 40], 0, false, |code, _| code);
    assert_eq!(found, Ok(2));
    let subject = [&[b'a'; 40][..], b"b"].concat();
    assert_eq!(engine.search(&regex, &subject, 0, false, |code, _| code), Err(pcre2::PCRE2_ERROR_MATCHLIMIT));
}

#[test]
fn code_that_runs_out_of_stack_goes_on_without() {
    let pattern = b"^(?:(a)|b)*$";
    let subject = vec![b'a'; 20_000];
    let search = |mode| {
        let regex = Regex::new(pattern, 0, mode).unwrap();
        Engine::new().search(&regex, &subject, 0, false, |_, ends| ends[1])
    };
    assert_eq!(search(PLAIN), Ok(20_000));
    assert_eq!(search(Mode { jit_only: true, ..PLAIN }), Err(pcre2::PCRE2_ERROR_JIT_STACKLIMIT));
}

/// The same rules by the characters, one at a time.
fn parse_slowly(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        if at > 0 {
            parts.push(Part::Text(&rest.as_bytes()[..at]));
        }
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            parts.push(Part::Text(b"$"));
            rest = after;
            continue;
        }
        let (inner, bracket) = rest.strip_prefix('{').map_or((rest, false), |inner| (inner, true));
        let digits: String = inner.chars().take_while(char::is_ascii_digit).collect();
        let after = &inner[digits.len()..];
        rest = if bracket { after.strip_prefix('}')? } else { after };
        parts.push(Part::Group(digits.parse().ok()?));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.as_bytes()));
    }
    Some(parts)
}

proptest! {
    #[test]
    fn templates_are_read_as_their_naive_twin_reads_them(text in "[${}0-9a-c_]{0,12}|([$][0-9]|[a-c]{1,2}){5,12}") {
        let parsed = Template::parse(text.as_bytes()).ok().map(|template| template.parts().collect::<Vec<_>>());
        prop_assert_eq!(parsed, parse_slowly(&text));
    }

    #[test]
    fn any_bytes_are_a_template_or_not(text in any::<Vec<u8>>()) {
        if let Ok(template) = Template::parse(&text) {
            let kept: usize = template.parts().map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Group(_) => 0,
            }).sum();
            prop_assert!(kept <= text.len());
        }
    }

    #[test]
    fn replacing_a_literal_is_what_strings_do(subject in "[abc]{0,40}", needle in "[abc]{1,3}", by in "[xyz]{0,4}") {
        let (text, count) = replace(&needle, 0, &subject, &by).unwrap();
        prop_assert_eq!(&text, &subject.replace(&needle, &by));
        prop_assert_eq!(count as usize, subject.matches(&needle).count());
    }
}
