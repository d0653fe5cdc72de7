//! One Rust file, parsed, with its test code told apart.
//!
//! Paths are collected from the file's tokens, so comments and strings never count and the bodies of
//! macros do; functions and tests come from the syntax tree.

use std::ops::RangeInclusive;

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::{
    Attribute, ImplItemFn, Item, Signature, TraitItemFn,
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// A path such as `std::fs::read`, `use` groups written out, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathUse {
    pub(crate) path: String,
    pub(crate) line: usize,
}

/// A function and the lines from its signature to its closing brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// A file without its test code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) lines: usize,
    pub(crate) paths: Vec<PathUse>,
    pub(crate) functions: Vec<Function>,
}

impl Source {
    pub(crate) fn parse(text: &str) -> syn::Result<Self> {
        let mut tree = Tree::default();
        tree.visit_file(&syn::parse_file(text)?);
        let Tree { tests, functions } = tree;
        let is_test = |line: usize| tests.iter().any(|test| test.contains(&line));

        let mut paths = Vec::new();
        collect(syn::parse_str(text)?, "", &mut paths);
        paths.retain(|found| !is_test(found.line));

        let lines = (1..=text.lines().count()).filter(|&line| !is_test(line)).count();
        Ok(Self { lines, paths, functions })
    }
}

/// Collects identifiers joined by `::`, with `prefix` before those that a `use` group holds.
fn collect(tokens: TokenStream, prefix: &str, found: &mut Vec<PathUse>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let (mut path, line) = match token {
            TokenTree::Ident(ident) => (format!("{prefix}{ident}"), ident.span().start().line),
            TokenTree::Group(group) => {
                collect(group.stream(), "", found);
                continue;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => continue,
        };
        while tokens.next_if(begins_colons).is_some() {
            tokens.next_if(|token| is_punct(token, ':'));
            match tokens.next_if(continues_path) {
                Some(TokenTree::Ident(ident)) => path = format!("{path}::{ident}"),
                Some(TokenTree::Group(group)) => collect(group.stream(), &format!("{path}::"), found),
                Some(_) => path.push_str("::*"),
                None => break,
            }
        }
        if path.contains("::") {
            found.push(PathUse { path, line });
        }
    }
}

/// The first colon of `::`; that of a type stands alone.
fn begins_colons(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
}

/// What may follow `::`, generic arguments left out.
fn continues_path(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(_) | TokenTree::Group(_)) || is_punct(token, '*')
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Line ranges of tests, and the functions outside them.
#[derive(Default)]
struct Tree {
    tests: Vec<RangeInclusive<usize>>,
    functions: Vec<Function>,
}

impl<'ast> Visit<'ast> for Tree {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, span) = match item {
            Item::Mod(item) => (&item.attrs, item.span()),
            Item::Fn(item) => (&item.attrs, item.span()),
            Item::Impl(item) => (&item.attrs, item.span()),
            Item::Use(item) => (&item.attrs, item.span()),
            Item::Const(item) => (&item.attrs, item.span()),
            Item::Struct(item) => (&item.attrs, item.span()),
            Item::Enum(item) => (&item.attrs, item.span()),
            _ => return visit::visit_item(self, item),
        };
        if is_test(attributes) {
            self.tests.push(span.start().line..=span.end().line);
        } else {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if is_test(&function.attrs) {
            self.tests.push(function.span().start().line..=function.span().end().line);
            return;
        }
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

impl Tree {
    fn measure(&mut self, signature: &Signature, block: &syn::Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line: first,
            lines: last - first + 1,
        });
    }
}

/// Whether something is compiled for tests alone: `#[test]`, `#[cfg(test)]`, `#[tokio::test]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let last = attribute.path().segments.last().map(|segment| segment.ident.to_string());
        match last.as_deref() {
            Some("test") => true,
            Some("cfg") => attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test")),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let source = Source::parse(text).unwrap();
        source.paths.into_iter().map(|found| format!("{}:{}", found.line, found.path)).collect()
    }

    #[test]
    fn use_groups_are_written_out() {
        let found = paths("use std::{fs, io::{self, Read as _}, net::TcpStream};\nuse a::*;");
        for path in ["1:std::fs", "1:std::io::self", "1:std::io::Read", "1:std::net::TcpStream", "2:a::*"] {
            assert!(found.contains(&path.to_owned()), "{path} in {found:?}");
        }
    }

    #[test]
    fn expressions_types_and_macro_bodies_count_but_comments_and_strings_do_not() {
        let text = r#"
            // std::a::a
            fn f(x: b::B) { assert!(c::c() > 0, "d::d"); e::<f::F>::g(); h(|| i::j); }
        "#;
        assert_eq!(paths(text), ["3:b::B", "3:c::c", "3:f::F", "3:i::j"]);
    }

    #[test]
    fn tests_are_told_apart() {
        let text = "\
            use a::a;\n\
            fn long() {\n\n}\n\
            #[cfg(test)]\n\
            use b::b;\n\
            struct S;\n\
            impl S {\n\
            #[cfg(test)]\n\
            fn only_tested() { c::c() }\n\
            fn method() { d::d() }\n\
            }\n\
            #[cfg(test)]\n\
            mod tests {\n\
            fn helper() { e::e() }\n\
            }\n\
            #[cfg(feature = \"test\")]\n\
            fn last() { f::f() }\n";
        let source = Source::parse(text).unwrap();
        let found: Vec<_> = source.paths.iter().map(|found| found.path.as_str()).collect();
        assert_eq!(found, ["a::a", "d::d", "f::f"]);
        let functions: Vec<_> = source.functions.iter().map(|f| (f.name.as_str(), f.lines)).collect();
        assert_eq!(functions, [("long", 3), ("method", 1), ("last", 1)]);
        assert_eq!(source.lines, 10);
    }

    #[test]
    fn what_is_no_rust_is_an_error() {
        assert!(Source::parse("fn {").is_err());
    }
}
