//! Reads a journal's files.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use super::{Entry, file, line};

/// A line longer than this is none of a journal's.
const LONGEST_LINE: usize = 16 << 20;

/// The entries of a journal, oldest first.
#[derive(Debug)]
pub struct Reader {
    /// Files that are yet to be read, the next one last.
    files: Vec<PathBuf>,
    open: Option<(PathBuf, BufReader<File>, usize)>,
    /// Lines that could not be read.
    broken: Vec<Broken>,
}

/// A line that was passed over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub place: Place,
    pub why: String,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl Reader {
    /// Of a single file, of a journal's folder, or of the state directory that it is in.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut files = if path.is_dir() {
            let inner = file::folder(path);
            file::paths(if inner.is_dir() { &inner } else { path })?
        } else {
            // Whether it is there is known now, and not when it is its turn.
            File::open(path)?;
            vec![path.to_owned()]
        };
        if files.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no journal in this folder"));
        }
        files.reverse();
        Ok(Self { files, open: None, broken: Vec::new() })
    }

    /// The lines that were passed over because they make no sense: what a crash or a bad disk left.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// The next entry, and where it stands.
    pub fn next_entry(&mut self) -> io::Result<Option<(Place, Entry)>> {
        let mut text = Vec::new();
        loop {
            let Some((path, file, line)) = &mut self.open else {
                let Some(path) = self.files.pop() else { return Ok(None) };
                // The oldest may have made room for newer ones meanwhile.
                match File::open(&path) {
                    Ok(file) => self.open = Some((path, BufReader::new(file), 0)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            text.clear();
            if file.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut text)? == 0 {
                self.open = None;
                continue;
            }
            *line += 1;
            let place = Place { file: path.clone(), line: *line };
            match line::read(&text) {
                Ok(entry) => return Ok(Some((place, entry))),
                Err(why) => self.broken.push(Broken { place, why: why.to_string() }),
            }
        }
    }
}
