//! A naive reading of JSON Schema: the keywords that our schema uses, and a panic at any other.

use regex::Regex;
use serde_json::Value;

/// Why `value` is not what `schema` says; empty when it is.
pub(crate) fn check(schema: &Value, root: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let Value::Object(keywords) = schema else { panic!("{path}: a schema is an object, not {schema}") };
    for (keyword, rule) in keywords {
        let right = match keyword.as_str() {
            "title" | "description" | "default" | "examples" | "$schema" | "$defs" => true,
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                errors.extend(check(target, root, value, path));
                true
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|rule| check(rule, root, value, path).is_empty()),
            "oneOf" => {
                let fits = |rule: &&Value| check(rule, root, value, path).is_empty();
                rule.as_array().unwrap().iter().filter(fits).count() == 1
            }
            "allOf" => rule.as_array().unwrap().iter().all(|rule| check(rule, root, value, path).is_empty()),
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|rule| is(rule, value)),
                rule => is(rule, value),
            },
            "pattern" => {
                value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
            }
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap())
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minProperties" => {
                value.as_object().is_none_or(|object| object.len() as u64 >= rule.as_u64().unwrap())
            }
            "maxProperties" => {
                value.as_object().is_none_or(|object| object.len() as u64 <= rule.as_u64().unwrap())
            }
            "required" => value.as_object().is_none_or(|object| {
                rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    errors.extend(check(rule, root, item, &format!("{path}[{index}]")));
                }
                true
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        errors.extend(check(rule, root, value, &format!("{path}.{key}")));
                    }
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    errors.extend(check(rule, root, &key.as_str().into(), &format!("{path}.{key}")));
                }
                true
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let path = format!("{path}.{key}");
                    match rule {
                        _ if schema["properties"].get(key).is_some() => {}
                        Value::Bool(false) => errors.push(format!("{path}: unknown")),
                        rule => errors.extend(check(rule, root, value, &path)),
                    }
                }
                true
            }
            other => panic!("{path}: keyword {other} is not known to this test"),
        };
        if !right {
            errors.push(format!("{path}: {value} is not {keyword} {rule}"));
        }
    }
    errors
}

fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("unknown type {other}"),
    }
}
