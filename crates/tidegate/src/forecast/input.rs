//! What a forecast reads.

use std::{fs, path::Path};

use anyhow::Context;
use tidegate_core::trace::Recording;

use crate::exit::Failure;

/// How far ahead, or how long: up to a year.
pub(super) type Span = crate::span::Span<1, { 366 * 86_400 }>;

/// Reads one recording.
pub(super) fn recording(path: &Path) -> Result<Recording, Failure> {
    let name = path.display();
    let bytes =
        fs::read(path).with_context(|| format!("cannot read {name}")).map_err(Failure::Environment)?;
    // Whatever is no text is no number either, and is named with its line.
    let text = String::from_utf8_lossy(&bytes);
    Recording::parse(&text).with_context(|| format!("{name} is no recording")).map_err(Failure::Input)
}
