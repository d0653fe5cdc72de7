//! A dictionary as the command line names it: `dogs`, or `dogs 10m` as nginx has it.

use std::str::FromStr;

use tidegate_core::DictName;

/// Room of one that does not say.
const BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedDict {
    pub(super) name: DictName,
    pub(super) bytes: u64,
}

impl FromStr for SharedDict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, size) = match text.trim().split_once(char::is_whitespace) {
            Some((name, size)) => (name, Some(size.trim())),
            None => (text.trim(), None),
        };
        let name = DictName::new(name).map_err(|error| error.to_string())?;
        let bytes = size.map_or(Ok(BYTES), |size| {
            bytes(size)
                .ok_or_else(|| format!("{size:?} is no size; write a number with k or m, as in 'dogs 10m'"))
        })?;
        Ok(Self { name, bytes })
    }
}

fn bytes(size: &str) -> Option<u64> {
    let lower = size.to_ascii_lowercase();
    let at = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(at);
    let factor = match unit {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_size() {
        let bytes = |text: &str| text.parse::<SharedDict>().map(|dict| (dict.name.to_string(), dict.bytes));
        let dogs = |bytes: u64| Ok(("dogs".to_owned(), bytes));
        assert_eq!(bytes("dogs"), dogs(1 << 20));
        assert_eq!(bytes("dogs 10m"), dogs(10 << 20));
        assert_eq!(bytes(" dogs  64K"), dogs(64 << 10));
        assert_eq!(bytes("dogs 2MiB"), dogs(2 << 20));
        assert_eq!(bytes("dogs 5000"), dogs(5_000));
        for wrong in ["", "dogs 1x", "dogs m", "dogs 0", "dogs 99999999999g", "no/name 1m"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert!(bytes("dogs 1x").unwrap_err().contains("'dogs 10m'"));
    }
}
