//! The reference page of the configuration, made from its JSON Schema.
//!
//! One section for each mapping, under its path in the file; one row for each key. What the page says
//! is what the schema says, and that comes from the types that decode the file.

use std::{collections::HashMap, fmt::Write as _};

use serde_json::{Map, Value};

/// A configuration with something of everything; the page opens with it.
pub(crate) const EXAMPLE: &str = include_str!("reference/example.yaml");

const INTRODUCTION: &str = "\
# Configuration

Everything that `tidegate.yaml` can say. This page is made from the JSON Schema that `tidegate schema` prints; \
`tidegate check FILE` tells every mistake in a file with its place.

- A value carries its unit: durations `250ms`, `30s`, `1m30s` (`us`, `ms`, `s`, `m`, `h`, `d`), sizes `16MiB` (`B`, `KiB`, \
`MiB`, `GiB`, `TiB`), percentages `80%`, rates `100/1s`. A number without its unit is refused.
- Names are 1 to 63 letters, digits, `-`, `_` and `.`.
- Files are relative to the folder of the configuration.
- Lua is code, or the path of a file when it is one line that ends in `.lua`. Messages name the line of the configuration for \
the one and the file for the other.
- Unknown keys, duplicate keys and empty values are mistakes. JSON is YAML and is read as well.

";

/// The page in Markdown.
pub fn reference() -> String {
    let schema = crate::schema();
    let page =
        Page { definitions: schema["$defs"].as_object().cloned().unwrap_or_default(), paths: Vec::new() };
    page.write(&schema)
}

struct Page {
    definitions: Map<String, Value>,
    /// Definitions in the order of the file, each with the path where it is first used.
    paths: Vec<(String, String)>,
}

impl Page {
    fn write(mut self, root: &Value) -> String {
        self.find(root, "");
        let titles: HashMap<_, _> = self.paths.iter().cloned().collect();
        let mut page = format!("{INTRODUCTION}```yaml\n{EXAMPLE}```\n");
        section(&mut page, "The file", root, &titles);
        for (name, path) in &self.paths {
            section(&mut page, path, &self.definitions[name], &titles);
        }
        page
    }

    /// Finds the definitions that `schema` uses, depth first.
    fn find(&mut self, schema: &Value, path: &str) {
        if let Some(name) = definition(schema) {
            if !self.paths.iter().any(|(known, _)| known == name) {
                self.paths.push((name.to_owned(), path.to_owned()));
                let definition = self.definitions.get(name).cloned().unwrap_or_default();
                self.find(&definition, path);
            }
            return;
        }
        for (key, property) in entries(schema) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.find(property, &path);
        }
        self.find_inner(schema, "items", &format!("{path}[]"));
        self.find_inner(schema, "additionalProperties", &format!("{path}.NAME"));
        for choice in choices(schema) {
            self.find(choice, path);
        }
    }

    fn find_inner(&mut self, schema: &Value, keyword: &str, path: &str) {
        if let Some(inner) = schema.get(keyword).filter(|inner| inner.is_object()) {
            self.find(inner, path);
        }
    }
}

fn section(page: &mut String, title: &str, schema: &Value, titles: &HashMap<String, String>) {
    let description = text(schema, "description");
    let _ = write!(
        page,
        "\n## {title}\n\n{description}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n"
    );
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (key, property) in entries(schema) {
        let default = match property.get("default") {
            // A section that is left out is made of its own defaults.
            Some(Value::Object(entries)) if entries.is_empty() => String::new(),
            Some(value) => format!("`{}`", inline(value)),
            None if required.contains(&key.as_str().into()) => "required".into(),
            None => String::new(),
        };
        let (value, meaning) = (kind(property, titles), text(property, "description"));
        let row = [format!("`{key}`"), value, default, meaning].map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(page, "| {} |", row.join(" | "));
    }
}

/// What a value is, in words.
fn kind(schema: &Value, titles: &HashMap<String, String>) -> String {
    if let Some(title) = definition(schema).and_then(|name| titles.get(name)) {
        return format!("[mapping](#{})", anchor(title));
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", inline(word))).collect::<Vec<_>>().join(", ");
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", inline(value));
    }
    if let Some(items) = schema.get("items") {
        return format!("list of: {}", kind(items, titles));
    }
    if let Some(values) = schema.get("additionalProperties") {
        return format!("names, each with: {}", kind(values, titles));
    }
    match schema["title"].as_str() {
        Some(title) => title.to_owned(),
        None => choices(schema).map(|choice| kind(choice, titles)).collect::<Vec<_>>().join(" or "),
    }
}

fn definition(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

fn entries(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "allOf"].into_iter().filter_map(|keyword| schema[keyword].as_array()).flatten()
}

fn text(schema: &Value, keyword: &str) -> String {
    schema[keyword].as_str().unwrap_or_default().to_owned()
}

/// A value as it is written in the file.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if entries.is_empty() => "{}".into(),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key}: {}", inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The anchor that Markdown renderers give to a heading.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}
