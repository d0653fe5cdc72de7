//! Lists, and mappings whose keys are names that the user chooses.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::{
    decode::{Decode, Leaf, Located},
    report::{Place, Report},
    yaml::node::{Kind, Node},
};

/// Items in the order of the file; broken ones are holes, so that positions stay true.
#[derive(Debug)]
pub(crate) struct List<T>(pub(crate) Vec<Located<Option<T>>>);

impl<T> List<T> {
    /// All items through `check`, each of them even when an earlier one fails.
    pub(crate) fn resolve<U>(&self, mut check: impl FnMut(&T, Place) -> Option<U>) -> Option<Vec<U>> {
        let check =
            |item: &Located<Option<T>>| item.value.as_ref().and_then(|value| check(value, item.place));
        let all: Vec<Option<U>> = self.0.iter().map(check).collect();
        all.into_iter().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Decode> Decode for List<T> {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            let message = format!("expected a list, found {}", node.describe());
            report.error(
                node.visible(),
                message,
                "write it like `[a, b]`, or each item in a line of its own after `- `",
            );
            return None;
        };
        let decode = |item: &Node| Located { value: T::decode(item, report), place: item.place };
        Some(Self(items.iter().map(decode).collect()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": T::schema(generator) })
    }

    fn range() -> Option<String> {
        T::range()
    }
}

/// Entries in the order of the file.
#[derive(Debug)]
pub(crate) struct Map<K, T>(pub(crate) Vec<Named<K, T>>);

/// One entry of a [`Map`], at the place of its name.
#[derive(Debug)]
pub(crate) struct Named<K, T> {
    pub(crate) name: Option<K>,
    pub(crate) place: Place,
    pub(crate) value: Option<T>,
}

impl<K, T> Map<K, T> {
    /// Every name that can be referred to, whether what it names is right or not.
    pub(crate) fn names(&self) -> impl Iterator<Item = &K> {
        self.0.iter().filter_map(|entry| entry.name.as_ref())
    }

    /// All entries through `check`, each of them even when an earlier one fails.
    pub(crate) fn resolve<U>(
        &self,
        mut check: impl FnMut(&K, Place, &T) -> Option<U>,
    ) -> Option<BTreeMap<K, U>>
    where
        K: Ord + Clone,
    {
        let check = |entry: &Named<K, T>| {
            let (name, value) = entry.name.as_ref().zip(entry.value.as_ref())?;
            Some((name.clone(), check(name, entry.place, value)?))
        };
        let all: Vec<Option<_>> = self.0.iter().map(check).collect();
        all.into_iter().collect()
    }
}

impl<K: Leaf, T: Decode> Decode for Map<K, T> {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("expected a mapping, found {}", node.describe());
            report.error(node.visible(), message, "write a name, a colon and what it names");
            return None;
        };
        let mut named = Vec::with_capacity(entries.len());
        for entry in entries {
            let name = K::read(&entry.key);
            let name = name.map_err(|mistake| report.error(entry.place, mistake.message, mistake.help)).ok();
            named.push(Named { name, place: entry.place, value: T::decode(&entry.value, report) });
        }
        Some(Self(named))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let values = T::schema(generator);
        json_schema!({ "type": "object", "propertyNames": K::form(), "additionalProperties": values })
    }

    fn range() -> Option<String> {
        T::range()
    }
}
