//! Secrets are read where they are referred to, each time a connection is made, so a new one is used at once.

use std::{env, fs};

use tidegate_core::snapshot::Secret;

use crate::error::{Error, Result};

pub(crate) fn read(secret: &Secret) -> Result<String> {
    match secret {
        Secret::Env(name) => env::var(name).map_err(|_| Error::NoVariable(name.clone())),
        Secret::File(path) => {
            let mut text = fs::read_to_string(path)
                .map_err(|source| Error::NoSecret { path: path.display().to_string(), source })?;
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            Ok(text)
        }
    }
}

pub(crate) fn maybe(secret: Option<&Secret>) -> Result<Option<String>> {
    secret.map(read).transpose()
}
