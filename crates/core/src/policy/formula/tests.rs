use std::cell::Cell;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Expression, BadExpression> {
    text.parse()
}

/// The value where `a` is 5 and `b` 7, and nothing else is known.
fn value(text: &str) -> Option<f64> {
    let known = |name: &str| match name {
        "a" => Some(5.0),
        "b" => Some(7.0),
        _ => None,
    };
    parse(text).unwrap().evaluate(known)
}

#[test]
fn arithmetic_is_that_of_real_numbers() {
    assert_eq!(value("1/2 + a"), Some(5.5));
    assert_eq!(value("ceil(a / 2) + max(a, b, 2) - min(a, b)"), Some(5.0));
    assert_eq!(value("(a < b) * 10 + (a > b) * 20"), Some(10.0));
    assert_eq!(value("a < 6 && b >= 7"), Some(1.0));
}

#[test]
fn what_is_missing_has_no_value() {
    assert_eq!(value("a + c"), None);
    assert_eq!(value("a / 0"), None);
    assert_eq!(value("0 / 0"), None);
}

#[test]
fn names_are_listed() {
    assert_eq!(parse("max(b, a) + a * ceil(route_x)").unwrap().names(), ["a", "b", "route_x"]);
}

#[test]
fn what_is_no_expression_says_why() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(error(""), "it ends where a value is expected");
    assert_eq!(error("(a"), "it ends where `)` is expected");
    assert_eq!(error("a + "), "it ends where a value is expected");
    assert_eq!(error("a b"), "\"b\" is not understood");
    assert_eq!(error("print(a)"), "`print` cannot be used here");
    assert_eq!(error("system(a)"), "there is no function `system`");
    assert_eq!(error(&"(".repeat(100)), "it is nested deeper than 24");
    assert_eq!(error(&"a+".repeat(1_000)), "it has 2000 characters, and at most 1000 are allowed");
}

#[test]
fn a_default_stands_in_for_what_is_missing_alone() {
    let signal = Variable::Ready;
    let formula = Formula {
        expression: parse("x + y").unwrap(),
        variables: [("x".to_owned(), signal), ("y".to_owned(), Variable::Starting)].into(),
        default: [("x".to_owned(), 100.0)].into(),
    };
    let starting = Cell::new(Some(1.0));
    let known = |variable: &Variable| starting.get().filter(|_| *variable == Variable::Starting);
    assert_eq!(formula.value(known), Some(101.0));
    starting.set(None);
    assert_eq!((formula.value(known), formula.missing(known)), (None, vec!["y"]));
}

#[test]
fn text_is_the_serialized_form() {
    let json = serde_json::to_string(&parse("a * 2").unwrap()).unwrap();
    assert_eq!(json, "\"a * 2\"");
    assert_eq!(serde_json::from_str::<Expression>(&json).unwrap(), parse("a * 2").unwrap());
    assert!(serde_json::from_str::<Expression>("\"a *\"").is_err());
}

proptest! {
    #[test]
    fn no_text_is_fatal(text in "[-+*/%^&|<>=!()\\[\\], .0-9a-zA-Zµ\"{}~]{0,60}") {
        if let Ok(expression) = parse(&text) {
            expression.evaluate(|_| Some(1.5));
        }
    }
}
