//! YAML text → a tree of [`Node`]s that know their places.
//!
//! The tree is built from the parser's events, not by a loader, for three reasons: a loader keeps
//! the last of two equal keys and forgets the first, resolves `1e3` or `no` to values whose text is
//! then gone, and expands aliases without a limit. Here every scalar keeps its text, duplicate keys are
//! mistakes with a place, and size, depth and expansion have limits. No function recurses over input
//! deeper than [`MAX_DEPTH`].
//!
//! JSON is YAML, so the same door takes both.
//!
//! Deliberately refused: several documents, tags other than `!!str`, merge keys, keys that are no text.

use std::collections::{HashMap, hash_map::Entry as Slot};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::{
    report::{Place, Report, quote},
    yaml::node::{Entry, Kind, Node, Scalar},
};

pub(crate) mod node;

/// Longest text, in bytes.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Deepest nesting; a valid configuration needs ten levels.
const MAX_DEPTH: usize = 32;

/// Most nodes once aliases are expanded, with every 64 bytes of text counting as one more.
const MAX_WEIGHT: usize = 250_000;

/// Reads a configuration. `None`: there is no tree, and `report` says why.
pub(crate) fn read(text: &str, report: &mut Report<'_>) -> Option<Node> {
    read_other(text, ("configuration", "listeners"), report)
}

/// Reads something else: `what` it is, and the key that it may `begin` with.
pub(crate) fn read_other(text: &str, (what, begin): (&str, &str), report: &mut Report<'_>) -> Option<Node> {
    if text.len() > MAX_BYTES {
        let message = format!("the {what} has {} bytes", text.len());
        report.error(Place::START, message, "4 MiB are the most; move inline Lua to files");
        return None;
    }
    match Reader::default().read(text, report) {
        Ok(root) => root.or_else(|| {
            report.error(Place::START, format!("the {what} is empty"), format!("start with `{begin}:`"));
            None
        }),
        Err(Fatal { place, message, help }) => {
            report.error(place, message, help);
            None
        }
    }
}

/// A text of the program itself, such as a default, as if it had been written at `place`.
pub(crate) fn literal(text: &str, place: Place) -> Node {
    let mut report = Report::new("", text);
    let mut node = read(text, &mut report).expect("a text of the program is valid YAML");
    node.move_to(place);
    node
}

/// Why reading cannot go on.
struct Fatal {
    place: Place,
    message: String,
    help: String,
}

/// What helps against an error that has the first text in it.
const SYNTAX_HELP: &[(&str, &str)] = &[
    ("mapping values", "quote a value that contains `: `, or indent the key like those beside it"),
    ("tab", "indent with spaces, not with tabs"),
    ("unexpected character", "quote a value that starts with a special character"),
    ("anchor", "quote a value that starts with `*` or `&`"),
    ("end of stream", "close the quote that starts here"),
    ("escape", "use single quotes, in which a backslash is a backslash"),
    ("expect ':'", "a key is followed by a colon and a space"),
    ("expected key", "indent the line like those it belongs to"),
    ("recursion", "32 levels are the most"),
];

#[derive(Default)]
struct Reader {
    /// Containers that are not closed yet, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    weight: usize,
    root: Option<Node>,
}

struct Open {
    container: Container,
    place: Place,
    /// Zero: none.
    anchor: usize,
    /// [`Reader::weight`] when it was opened.
    weight_before: usize,
}

enum Container {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Line of each key.
        seen: HashMap<String, usize>,
        /// The key whose value comes next.
        key: Key,
    },
}

enum Key {
    Awaited,
    Given(Scalar, Place),
    /// A mistake: its value is skipped.
    Refused,
}

struct Anchored {
    node: Node,
    weight: usize,
}

impl Reader {
    fn read(mut self, text: &str, report: &mut Report<'_>) -> Result<Option<Node>, Fatal> {
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let place = place(span);
            match event {
                Event::DocumentStart(_) if self.root.is_some() => {
                    return Err(Fatal::new(place, "a second document", "one file holds one configuration"));
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let line = first_line(&text, style, place);
                    let tagged = string_tag(tag.as_deref(), place)?;
                    let plain = style == ScalarStyle::Plain && !tagged;
                    let scalar = Scalar { text: text.into_owned(), plain, line };
                    let weight = 1 + scalar.text.len() / 64;
                    self.weigh(weight, place)?;
                    self.close(Node::new(place, Kind::Scalar(scalar)), anchor, weight, report)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.open(Container::List(Vec::new()), place, anchor, tag.as_deref())?;
                }
                Event::MappingStart(anchor, tag) => {
                    let map = Container::Map { entries: Vec::new(), seen: HashMap::new(), key: Key::Awaited };
                    self.open(map, place, anchor, tag.as_deref())?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close_container(place, report)?,
                Event::Alias(id) => self.expand(id, place, report)?,
                _ => {}
            }
        }
        Ok(self.root)
    }

    fn open(
        &mut self,
        container: Container,
        place: Place,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Fatal> {
        string_tag(tag, place)?;
        let weight_before = self.weight;
        self.weigh(1, place)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Fatal::new(place, "nested too deeply", "32 levels are the most"));
        }
        self.open.push(Open { container, place, anchor, weight_before });
        Ok(())
    }

    fn close_container(&mut self, end: Place, report: &mut Report<'_>) -> Result<(), Fatal> {
        let Some(Open { container, mut place, anchor, weight_before }) = self.open.pop() else {
            return Ok(());
        };
        // Brackets and braces have an end that can be shown; block style ends where the next thing starts.
        if (end.line, end.column) != (end.end_line, end.end_column) {
            (place.end_line, place.end_column) = (end.end_line, end.end_column);
        }
        let kind = match container {
            Container::List(items) => Kind::List(items),
            Container::Map { entries, .. } => Kind::Map(entries),
        };
        self.close(Node::new(place, kind), anchor, self.weight - weight_before, report)
    }

    /// Puts a finished node where it belongs: under its anchor, and into the container around it.
    fn close(
        &mut self,
        node: Node,
        anchor: usize,
        weight: usize,
        report: &mut Report<'_>,
    ) -> Result<(), Fatal> {
        if anchor > 0 {
            self.weigh(weight, node.place)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight });
        }
        match self.open.last_mut().map(|open| &mut open.container) {
            None => self.root = Some(node),
            Some(Container::List(items)) => items.push(node),
            Some(Container::Map { entries, seen, key }) => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => *key = check_key(node, seen, report),
                Key::Given(scalar, place) => entries.push(Entry::new(scalar, place, node)),
                Key::Refused => {}
            },
        }
        Ok(())
    }

    fn expand(&mut self, id: usize, place: Place, report: &mut Report<'_>) -> Result<(), Fatal> {
        let Some(Anchored { node, weight }) = self.anchors.get(&id) else {
            let help = "an alias repeats a value that is complete; write it out here";
            return Err(Fatal::new(place, "the alias stands inside the value it names", help));
        };
        if self.open.len() + node.depth() > MAX_DEPTH {
            return Err(Fatal::new(place, "nested too deeply", "32 levels are the most"));
        }
        let (node, weight) = (node.clone(), *weight);
        self.weigh(weight, place)?;
        self.close(node, 0, weight, report)
    }

    fn weigh(&mut self, weight: usize, place: Place) -> Result<(), Fatal> {
        self.weight += weight;
        if self.weight > MAX_WEIGHT {
            let help = "250,000 are the most, with each alias counting as what it repeats";
            return Err(Fatal::new(place, "the configuration has too many values", help));
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let mark = error.marker();
        let (line, column) = (mark.line(), mark.col() + 1);
        let place = Place { line, column, end_line: line, end_column: column };
        let known = SYNTAX_HELP.iter().find(|(part, _)| error.info().contains(part));
        let help = match (known, self.open.last()) {
            (Some((_, help)), _) => (*help).to_owned(),
            // Only brackets and braces have a width.
            (None, Some(open)) if open.place.end_column > open.place.column => {
                format!(
                    "the bracket or brace in line {}, column {} is not closed",
                    open.place.line, open.place.column
                )
            }
            (None, _) => "check indentation, quotes and brackets here and above".to_owned(),
        };
        Fatal { place, message: format!("invalid YAML: {}", error.info()), help }
    }
}

impl Fatal {
    fn new(place: Place, message: impl Into<String>, help: &str) -> Self {
        Self { place, message: message.into(), help: help.into() }
    }
}

fn check_key(node: Node, seen: &mut HashMap<String, usize>, report: &mut Report<'_>) -> Key {
    let place = node.place;
    let Kind::Scalar(scalar) = node.kind else {
        report.error(place, "a key must be text", "quote a key that starts with a bracket or a brace");
        return Key::Refused;
    };
    if scalar.plain && scalar.text == "<<" {
        let help = "write the keys out, or repeat a whole value with an alias";
        report.error(place, "merge keys (`<<`) are not supported", help);
        return Key::Refused;
    }
    match seen.entry(scalar.text.clone()) {
        Slot::Occupied(first) => {
            let message = format!("duplicate key {}", quote(&scalar.text));
            report.error(place, message, format!("it was given in line {} already; keep one", first.get()));
            Key::Refused
        }
        Slot::Vacant(slot) => {
            slot.insert(place.line);
            Key::Given(scalar, place)
        }
    }
}

/// Whether there is a tag that makes text of a scalar; any other tag is a mistake.
fn string_tag(tag: Option<&Tag>, place: Place) -> Result<bool, Fatal> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "str" | "map" | "seq") => {
            Ok(tag.suffix == "str")
        }
        Some(tag) => {
            let message = format!("tags are not supported: {}", quote(&tag.to_string()));
            Err(Fatal::new(place, message, "remove the tag, or quote a value that starts with `!`"))
        }
    }
}

/// The line on which the first character of the value stands; a block starts below its `|`, and the
/// parser's place skips blank lines that belong to it.
fn first_line(text: &str, style: ScalarStyle, place: Place) -> usize {
    match style {
        ScalarStyle::Literal | ScalarStyle::Folded => {
            place.line.saturating_sub(text.chars().take_while(|&c| c == '\n').count()).max(1)
        }
        _ => place.line,
    }
}

fn place(span: Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
        end_line: span.end.line(),
        end_column: span.end.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in JSON-like form with places, or the diagnostics.
    fn show(text: &str) -> String {
        let mut report = Report::new("f", text);
        let node = read(text, &mut report);
        let mistakes: Vec<_> =
            report.finish().iter().map(|d| format!("{}:{} {}", d.line, d.column, d.message)).collect();
        match node {
            Some(node) if mistakes.is_empty() => node.show(),
            _ => mistakes.join("\n"),
        }
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        assert_eq!(show("a: 1e3\nb: [no, '2']"), "{a: 1e3@1:4, b: [no@2:5, '2'@2:9]@2:4}@1:1");
    }

    #[test]
    fn json_is_read_as_well() {
        assert_eq!(show(r#"{"a": [{"b": null}]}"#), "{a: [{b: null@1:14}@1:8]@1:7}@1:1");
    }

    #[test]
    fn the_second_of_two_equal_keys_is_the_mistake() {
        assert_eq!(show("a: 1\nb: {c: 1, c: 2}\na: 2"), "2:11 duplicate key `c`\n3:1 duplicate key `a`");
    }

    #[test]
    fn an_alias_repeats_a_value() {
        assert_eq!(show("a: &x {b: 1}\nc: *x"), "{a: {b: 1@1:11}@1:4, c: {b: 1@1:11}@1:4}@1:1");
        assert_eq!(show("a: &x [*x]"), "1:8 the alias stands inside the value it names");
        assert_eq!(show("a: *x"), "1:4 invalid YAML: while parsing node, found unknown anchor");
    }

    #[test]
    fn what_yaml_has_beyond_text_lists_and_maps_is_refused() {
        assert_eq!(show("a: 1\n---\nb: 2"), "2:1 a second document");
        assert_eq!(show("a: !secret x"), "1:4 tags are not supported: `!secret`");
        assert_eq!(show("a: !!str 5"), "{a: '5'@1:4}@1:1");
        assert_eq!(show("{<<: {a: 1}}"), "1:2 merge keys (`<<`) are not supported");
        assert_eq!(show("? [a]\n: b"), "1:3 a key must be text");
    }

    #[test]
    fn nothing_is_a_mistake_of_its_own() {
        assert_eq!(show(""), "1:1 the configuration is empty");
        assert_eq!(show("# nothing\n"), "1:1 the configuration is empty");
    }

    #[test]
    fn syntax_errors_have_a_place() {
        assert_eq!(show("a: 1\nb: c: d"), "2:5 invalid YAML: mapping values are not allowed in this context");
    }

    #[test]
    fn a_block_knows_the_line_its_first_character_stands_on() {
        let mut report = Report::new("f", "");
        let lines = |text: &str, report: &mut Report<'_>| match read(text, report).unwrap().kind {
            Kind::Map(entries) => match &entries[0].value.kind {
                Kind::Scalar(scalar) => scalar.line,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(lines("a: |\n  x\n", &mut report), 2);
        assert_eq!(lines("a:\n  |\n\n\n  x\n", &mut report), 3);
        assert_eq!(lines("a: x\n", &mut report), 1);
    }

    #[test]
    fn hostile_texts_end_in_an_error() {
        let bomb = (1..40).fold("- &a0 [x, x]\n".to_owned(), |text, n| {
            text + &format!("- &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))
        });
        let deep_alias =
            (1..40).fold("- &a0 [x]\n".to_owned(), |text, n| text + &format!("- &a{n} [*a{}]\n", n - 1));
        let fat_alias = format!("- &a {}\n- [{}]", "x".repeat(1 << 20), vec!["*a"; 1000].join(", "));
        for (text, message) in [
            ("x".repeat(MAX_BYTES + 1), "the configuration has 4194305 bytes"),
            ("[".repeat(100_000), "invalid YAML: recursion limit exceeded"),
            ("- ".repeat(100_000), "nested too deeply"),
            ("? ".repeat(100_000), "nested too deeply"),
            (format!("[{}]", "x,".repeat(MAX_WEIGHT)), "the configuration has too many values"),
            (bomb, "the configuration has too many values"),
            (deep_alias, "nested too deeply"),
            (fat_alias, "the configuration has too many values"),
        ] {
            let mistakes = show(&text);
            assert!(mistakes.ends_with(message), "{mistakes}");
        }
    }
}
