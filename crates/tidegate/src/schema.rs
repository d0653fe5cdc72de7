//! `tidegate schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write};

use crate::exit::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&tidegate_config::schema()).map_err(Failure::environment)?;
    writeln!(io::stdout().lock(), "{schema}").map_err(Failure::environment)
}
