//! Reading a file that somebody names on the command line, up to a size: it may be a device or a pipe without an end.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, anyhow};

use crate::exit::Failure;

/// Most bytes of recorded demand: a year of seconds, with columns to spare.
pub(crate) const LARGEST_TRACE: u64 = 1 << 30;

/// The text of a file of at most `most` bytes. What is no text is read as `�`: it is no number and no key either, and is
/// named with its line.
pub(crate) fn read(path: &Path, most: u64) -> Result<String, Failure> {
    let name = path.display();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {name}")).map_err(Failure::Environment)?;
    if bytes.len() as u64 > most {
        return Err(Failure::Input(anyhow!("{name} is larger than {}, the most that is read", size(most))));
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = UNITS.into_iter().find(|&(unit, _)| bytes >= unit && bytes.is_multiple_of(unit));
    whole.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read_to_it() {
        let refused = read(Path::new("/dev/zero"), 1 << 20);
        let Err(Failure::Input(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.to_string(), "/dev/zero is larger than 1 MiB, the most that is read");
    }

    #[test]
    fn what_fits_exactly_is_read_whole() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, b"ab\xffcd").unwrap();
        assert_eq!(read(&path, 5).unwrap(), "ab\u{fffd}cd");
        assert!(matches!(read(&path, 4), Err(Failure::Input(_))));
        assert!(matches!(read(&path.join("absent"), 4), Err(Failure::Environment(_))));
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        assert_eq!([1 << 30, 3 << 20, 1 << 10, 1_000].map(size), ["1 GiB", "3 MiB", "1 KiB", "1000 bytes"]);
    }
}
