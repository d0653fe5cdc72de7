//! The tree that YAML is read into.

use crate::report::{Place, quote};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The key that it is the value of.
    pub(crate) key: Option<Place>,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Scalar,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

/// A text that is not interpreted yet.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes, so it may be a number, a truth value or nothing.
    pub(crate) plain: bool,
    /// Line of its first character.
    pub(crate) line: usize,
}

impl Node {
    pub(crate) fn new(place: Place, kind: Kind) -> Self {
        Self { place, key: None, kind }
    }

    /// Where something that should be inside, and is not, is told.
    pub(crate) fn owner(&self) -> Place {
        self.key.unwrap_or(self.place)
    }

    /// Where the value is shown: an empty value has no text of its own, so its key stands for it.
    pub(crate) fn visible(&self) -> Place {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.text.is_empty() && scalar.plain => self.owner(),
            _ => self.place,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.describe(),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
        }
    }

    /// Levels of nesting: 0 for a scalar.
    pub(crate) fn depth(&self) -> usize {
        let inner = match &self.kind {
            Kind::Scalar(_) => return 0,
            Kind::List(items) => items.iter().map(Self::depth).max(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.value.depth()).max(),
        };
        1 + inner.unwrap_or(0)
    }

    pub(crate) fn move_to(&mut self, place: Place) {
        (self.place, self.key) = (place, Some(place));
        match &mut self.kind {
            Kind::Scalar(_) => {}
            Kind::List(items) => items.iter_mut().for_each(|item| item.move_to(place)),
            Kind::Map(entries) => {
                for entry in entries {
                    entry.place = place;
                    entry.value.move_to(place);
                }
            }
        }
    }

    /// With every place.
    #[cfg(test)]
    pub(crate) fn show(&self) -> String {
        let text = match &self.kind {
            Kind::Scalar(scalar) if scalar.plain => scalar.text.clone(),
            Kind::Scalar(scalar) => format!("'{}'", scalar.text),
            Kind::List(items) => {
                format!("[{}]", items.iter().map(Self::show).collect::<Vec<_>>().join(", "))
            }
            Kind::Map(entries) => {
                let show = |entry: &Entry| format!("{}: {}", entry.key.text, entry.value.show());
                format!("{{{}}}", entries.iter().map(show).collect::<Vec<_>>().join(", "))
            }
        };
        format!("{text}@{}:{}", self.place.line, self.place.column)
    }
}

impl Entry {
    pub(crate) fn new(key: Scalar, place: Place, mut value: Node) -> Self {
        value.key = Some(place);
        Self { key, place, value }
    }
}

impl Scalar {
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The truth value it is by YAML's core schema.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        // `inf` and `nan` are words in YAML.
        self.plain && self.text.contains(|c: char| c.is_ascii_digit()) && self.text.parse::<f64>().is_ok()
    }

    pub(crate) fn describe(&self) -> String {
        if self.is_null() {
            "nothing".into()
        } else if self.truth().is_some() {
            quote(&self.text)
        } else if self.is_number() {
            format!("the number {}", quote(&self.text))
        } else {
            format!("the text {}", quote(&self.text))
        }
    }
}
