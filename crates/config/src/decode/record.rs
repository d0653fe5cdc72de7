//! Mappings with known keys.
//!
//! [`record!`] makes of one list of fields the type, its decoder and its schema. Keys are the
//! fields' names in camelCase; a field is `required` (with an example for the help), `optional`, or has a
//! `default` in the file's own notation, which goes through the same decoder as what a user
//! writes. So the default in the schema and in the reference is the one in force.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{
    decode::{Decode, Field, Located},
    nearest::{list, nearest, suggestion},
    nginx,
    report::{Report, quote},
    yaml::{
        self,
        node::{Entry, Kind, Node},
    },
};

/// Most unknown keys of one mapping whose meaning is guessed.
const MAX_MISSPELT: usize = 16;

/// `record! { Name { field: Type = kind, … } later: ["key", …] exactly: one }`
///
/// `later` lists keys that are part of the contract and not served yet; `exactly: one` is for
/// mappings of which one key must be chosen, `one_of: ["key", …]` for those of which one of these must be.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $name:ident {$(
            $(#[doc = $field_doc:literal])*
            $field:ident: $type:ty = $kind:ident $(($text:literal))?,
        )*}
        $(later: [$($later:literal),*])?
        $(exactly: $one:ident)?
        $(one_of: [$($choice:literal),*])?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        #[allow(clippy::struct_field_names, reason = "they are the names of keys")]
        pub(crate) struct $name {$(
            $(#[doc = $field_doc])*
            pub(crate) $field: $crate::decode::Field<$type>,
        )*}

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::yaml::node::Node, report: &mut $crate::report::Report<'_>) -> Option<Self> {
                let keys = &[$(stringify!($field)),*];
                let entries = $crate::decode::Entries::open(node, keys, report)?;
                entries.refuse_unknown(&[$($($later),*)?], report);
                $(entries.$one(report);)?
                $(entries.one_of(&[$($choice),*], report);)?
                Some(Self {$($field: entries.$kind(stringify!($field), $($text,)? report),)*})
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $crate::decode::camel_case(stringify!($name)).into()
            }

            // By its place: two records of one name would share the schema of the first.
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                #[allow(unused_mut, reason = "a record may have no further property to set")]
                let mut object = $crate::decode::Object::new(concat!($($doc, "\n"),*), generator);
                $(object.$kind::<$type>(stringify!($field), concat!($($field_doc, "\n"),*), $($text)?);)*
                $(object.$one();)?
                $(object.one_of(&[$($choice),*]);)?
                object.finish()
            }
        }
    };
}

pub(crate) use record;

/// The entries of one mapping while it is decoded.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    node: &'a Node,
    given: &'a [Entry],
    /// In camelCase, as they stand in the file.
    known: Vec<String>,
    /// Keys that are written wrong: reported once, so not missed in addition.
    misspelt: Vec<String>,
}

/// Keys that people look for in the wrong place, and the right one.
const ELSEWHERE: [(&[&str], &str); 1] =
    [(&["pools", "price", "budget", "triggers", "slo", "behavior", "min", "max"], "into `scale` of a fleet")];

impl<'a> Entries<'a> {
    pub(crate) fn open(node: &'a Node, fields: &[&'static str], report: &mut Report<'_>) -> Option<Self> {
        let known: Vec<_> = fields.iter().map(|field| camel_case(field)).collect();
        let Kind::Map(entries) = &node.kind else {
            let message = format!("expected a mapping, found {}", node.describe());
            let keys = list(known.iter().map(String::as_str));
            let first = known.first().map_or("key", String::as_str);
            let help = format!("write it like `{{ {first}: … }}`; the keys are {keys}");
            report.error(node.visible(), message, help);
            return None;
        };
        let misspelt = misspelt(entries, &known);
        Some(Self { node, given: entries, known, misspelt })
    }

    pub(crate) fn refuse_unknown(&self, later: &[&str], report: &mut Report<'_>) {
        for entry in self.given {
            let key = entry.key.text.as_str();
            if self.known.iter().any(|known| known == key) {
                continue;
            }
            report.error_with(entry.place, || {
                let known = || self.known.iter().map(String::as_str);
                // What has `min` is like `scale`, and lacks the key for a reason.
                let is_scale = known().any(|known| known == "min");
                let elsewhere = ELSEWHERE.iter().find(|(keys, _)| !is_scale && keys.contains(&key));
                let elsewhere = match (elsewhere, nginx::place_of(key)) {
                    (Some((_, place)), _) => format!("it belongs {place}; "),
                    (None, Some(place)) => format!("for this directive of nginx there is {place}; "),
                    (None, None) => String::new(),
                };
                let help = format!("{elsewhere}the keys here are {}", list(known()));
                if later.contains(&key) {
                    (format!("`{key}` is not supported yet"), format!("remove it; {help}"))
                } else {
                    (format!("unknown key {}{}", quote(key), suggestion(key, known())), help)
                }
            });
        }
    }

    /// Reports when not exactly one of the known keys is given. Unknown ones alone have been reported.
    pub(crate) fn one(&self, report: &mut Report<'_>) {
        self.one_of(&self.known, report);
    }

    /// Reports when not exactly one of these keys is given. What is misspelt has been reported.
    pub(crate) fn one_of<K: AsRef<str>>(&self, choices: &[K], report: &mut Report<'_>) {
        let is_choice = |key: &str| choices.iter().any(|choice| choice.as_ref() == key);
        let mut chosen = self.given.iter().filter(|entry| is_choice(&entry.key.text));
        let keys = list(choices.iter().map(K::as_ref));
        let all_known = self.given.iter().all(|entry| self.known.contains(&entry.key.text));
        match (chosen.next(), chosen.next()) {
            (None, _) if all_known => {
                report.error(self.node.owner(), format!("one of {keys} is needed"), "add one of them");
            }
            (Some(first), Some(second)) => {
                let message = format!("`{}` and `{}` exclude each other", first.key.text, second.key.text);
                report.error(second.place, message, format!("keep one of {keys}"));
            }
            _ => {}
        }
    }

    pub(crate) fn required<T: Decode>(
        &self,
        field: &str,
        example: &str,
        report: &mut Report<'_>,
    ) -> Field<T> {
        match self.optional(field, report) {
            Field::Absent => {
                let key = camel_case(field);
                let message = format!("missing key `{key}`");
                report.error(self.node.owner(), message, format!("add it, like `{key}: {example}`"));
                Field::Broken
            }
            found => found,
        }
    }

    pub(crate) fn default<T: Decode>(&self, field: &str, text: &str, report: &mut Report<'_>) -> Field<T> {
        match self.optional(field, report) {
            Field::Absent => decode(&yaml::literal(text, self.node.owner()), report),
            found => found,
        }
    }

    pub(crate) fn optional<T: Decode>(&self, field: &str, report: &mut Report<'_>) -> Field<T> {
        let key = camel_case(field);
        match self.given.iter().find(|entry| entry.key.text == key) {
            Some(entry) => decode(&entry.value, report),
            None if self.misspelt.contains(&key) => Field::Broken,
            None => Field::Absent,
        }
    }
}

/// What the unknown keys of `entries` most likely mean.
fn misspelt(entries: &[Entry], known: &[String]) -> Vec<String> {
    let unknown = entries
        .iter()
        .map(|entry| entry.key.text.as_str())
        .filter(|key| !known.iter().any(|known| known == key));
    let meant = unknown.take(MAX_MISSPELT).filter_map(|key| nearest(key, known.iter().map(String::as_str)));
    meant.map(str::to_owned).collect()
}

fn decode<T: Decode>(node: &Node, report: &mut Report<'_>) -> Field<T> {
    match T::decode(node, report) {
        Some(value) => Field::Given(Located { value, place: node.visible() }),
        None => Field::Broken,
    }
}

/// The schema of a record while it is put together.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    generator: &'a mut SchemaGenerator,
    description: String,
    properties: serde_json::Map<String, Value>,
    required: Vec<Value>,
    one: bool,
    choices: Vec<String>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(doc: &str, generator: &'a mut SchemaGenerator) -> Self {
        let description = paragraph(doc);
        Self {
            generator,
            description,
            properties: serde_json::Map::new(),
            required: Vec::new(),
            one: false,
            choices: Vec::new(),
        }
    }

    pub(crate) fn required<T: Decode>(&mut self, field: &str, doc: &str, example: &str) {
        self.required.push(camel_case(field).into());
        self.optional::<T>(field, doc);
        self.annotate(field, "examples", json!([literal(example)]));
    }

    pub(crate) fn default<T: Decode>(&mut self, field: &str, doc: &str, text: &str) {
        self.optional::<T>(field, doc);
        self.annotate(field, "default", literal(text));
    }

    pub(crate) fn optional<T: Decode>(&mut self, field: &str, doc: &str) {
        let mut schema = T::schema(self.generator);
        let range = T::range().map(|range| format!(" Range: {range}.")).unwrap_or_default();
        schema.insert("description".into(), (paragraph(doc) + &range).into());
        self.properties.insert(camel_case(field), schema.into());
    }

    pub(crate) fn one(&mut self) {
        self.one = true;
    }

    pub(crate) fn one_of(&mut self, choices: &[&str]) {
        self.choices.extend(choices.iter().map(|&choice| choice.to_owned()));
    }

    pub(crate) fn finish(self) -> Schema {
        let mut schema = json_schema!({
            "description": self.description,
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema.insert("required".into(), self.required.into());
        }
        if self.one {
            schema.insert("minProperties".into(), 1.into());
            schema.insert("maxProperties".into(), 1.into());
        }
        if !self.choices.is_empty() {
            let choices = self.choices.iter().map(|key| json!({ "required": [key] }));
            schema.insert("oneOf".into(), choices.collect());
        }
        schema
    }

    fn annotate(&mut self, field: &str, keyword: &str, value: Value) {
        let property = self.properties.get_mut(&camel_case(field));
        if let Some(Value::Object(schema)) = property {
            schema.insert(keyword.into(), value);
        }
    }
}

/// A text in the file's notation as JSON.
fn literal(text: &str) -> Value {
    fn value(node: &Node) -> Value {
        match &node.kind {
            Kind::Scalar(scalar) => match (scalar.truth(), scalar.text.parse::<u64>()) {
                (Some(truth), _) => truth.into(),
                (_, Ok(number)) if scalar.plain => number.into(),
                _ => scalar.text.as_str().into(),
            },
            Kind::List(items) => items.iter().map(value).collect(),
            Kind::Map(entries) => {
                entries.iter().map(|entry| (entry.key.text.clone(), value(&entry.value))).collect()
            }
        }
    }
    value(&yaml::literal(text, crate::report::Place::START))
}

/// A doc comment as one line.
fn paragraph(doc: &str) -> String {
    doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `body_idle` and `BodyIdle` → `bodyIdle`; `r#match` → `match`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.trim_start_matches("r#").chars() {
        match c {
            '_' => upper = true,
            c if camel.is_empty() => camel.push(c.to_ascii_lowercase()),
            c => {
                camel.push(if upper { c.to_ascii_uppercase() } else { c });
                upper = false;
            }
        }
    }
    camel
}
