//! Whatever the text is, there is an answer: no panic, no flood, no place outside the text.

use std::fmt::Write as _;

use proptest::prelude::*;
use tidegate_config::{Diagnostic, Severity};

use crate::{EXAMPLE, LISTENERS, parse};

/// What holds for every text.
fn check(text: &str) -> Result<(), TestCaseError> {
    let (snapshot, diagnostics) = parse(text);
    let is_error = |d: &Diagnostic| d.severity == Severity::Error;
    prop_assert_eq!(snapshot.is_none(), diagnostics.iter().any(is_error));
    prop_assert!(diagnostics.len() <= 101);
    let lines = text.split(['\n', '\r']).count();
    for d in &diagnostics {
        prop_assert!(d.line >= 1 && d.column >= 1 && d.line <= lines + 1, "{:?}", d);
        prop_assert!(d.help.as_ref().is_some_and(|help| !help.is_empty()), "{:?}", d);
        prop_assert!(d.to_string().len() < 4_000, "{}", d);
        prop_assert!(!d.to_string().contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')));
    }
    Ok(())
}

/// The example with a few pieces cut out, doubled, or replaced by something else.
fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}:,&*#?|>@`\"'%!~<-]{1,3}",
        "[ \t\n\r]{1,4}",
        "\\PC{1,4}",
        (0..EXAMPLE.len(), 1..40_usize).prop_map(|(from, length)| slice(from, length).to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("-1".to_owned()),
        Just("null".to_owned()),
    ];
    prop::collection::vec((0..EXAMPLE.len(), 0..30_usize, piece), 1..6).prop_map(|edits| {
        let mut text = EXAMPLE.to_owned();
        for (from, length, piece) in edits {
            let from = text.floor_char_boundary(from.min(text.len()));
            let to = text.ceil_char_boundary((from + length).min(text.len()));
            text.replace_range(from..to, &piece);
        }
        text
    })
}

fn slice(from: usize, length: usize) -> &'static str {
    let from = EXAMPLE.floor_char_boundary(from);
    &EXAMPLE[from..EXAMPLE.floor_char_boundary((from + length).min(EXAMPLE.len()))]
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,60}|[a-z0-9:{}\\[\\],&*#?|>@\"'%!~ \n\t-]{0,120}") {
        check(&text)?;
    }

    #[test]
    fn a_mutated_configuration_has_an_answer(text in mutated()) {
        check(&text)?;
    }
}

#[test]
fn a_flood_of_mistakes_is_cut_short() {
    let keys: String = (0..5_000).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "key{n}: 1");
        text
    });
    let (_, diagnostics) = parse(&format!("{LISTENERS}{keys}"));
    assert_eq!(diagnostics.len(), 101);
    assert_eq!(diagnostics[100].message, "4900 more are not shown");
}

#[test]
fn padded_inline_code_has_a_budget() {
    let routes = "- lua: { content: a() }\n".repeat(400);
    let text = format!("{LISTENERS}{}routes:\n{routes}", "\n".repeat(200_000));
    let (_, diagnostics) = parse(&text);
    assert!(diagnostics.iter().any(|d| d.message == "too much inline Lua"), "{diagnostics:?}");
}

#[test]
fn a_very_long_line_is_not_shown_whole() {
    let (_, diagnostics) = parse(&format!("{LISTENERS}timeouts: {{ header: {} }}", "x".repeat(1 << 20)));
    assert!(diagnostics[0].to_string().len() < 1_000);
}
