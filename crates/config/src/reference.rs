//! The reference page, made from the JSON Schema.

/// The page in Markdown.
pub fn reference() -> String {
    String::new()
}
