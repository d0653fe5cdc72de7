//! What a forecast reads.

use std::path::Path;

use anyhow::Context;
use tidegate_core::trace::Recording;

use crate::{exit::Failure, file};

/// How far ahead, or how long: up to a year.
pub(super) type Span = crate::span::Span<1, { 366 * 86_400 }>;

/// Reads one recording.
pub(super) fn recording(path: &Path) -> Result<Recording, Failure> {
    let name = path.display();
    let text = file::read(path, file::LARGEST_TRACE)?;
    Recording::parse(&text).with_context(|| format!("{name} is no recording")).map_err(Failure::Input)
}
