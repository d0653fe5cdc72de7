//! The body of a request that was read before it goes anywhere: in memory, or in a file beyond a limit.
//!
//! Files are written and read by other threads. One that was made here is removed with the request.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes that are read from a file at once.
const CHUNK: usize = 64 << 10;

#[derive(Debug)]
pub(crate) enum Body {
    Memory(Vec<u8>),
    File(Rc<Spool>),
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(spool) => spool.length,
        }
    }

    /// Its pieces, if it is in a file.
    pub(crate) fn pieces(&self) -> Option<Pieces> {
        match self {
            Self::Memory(_) => None,
            Self::File(spool) => Some(Pieces::new(spool.path())),
        }
    }

    /// The same body, for another request.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Memory(bytes) => Self::Memory(bytes.clone()),
            Self::File(spool) => Self::File(Rc::clone(spool)),
        }
    }

    /// The bytes in memory, or in a file that is written for them when there are more than `memory`.
    pub(crate) fn new(bytes: Vec<u8>, memory: usize) -> io::Result<Self> {
        if bytes.len() <= memory {
            return Ok(Self::Memory(bytes));
        }
        let (mut file, mut spool) = Spool::create()?;
        file.write_all(&bytes)?;
        spool.length = bytes.len() as u64;
        Ok(Self::File(Rc::new(spool)))
    }
}

/// A body in a file.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    length: u64,
    /// It goes when the request is over.
    temporary: bool,
}

impl Spool {
    fn create() -> io::Result<(File, Self)> {
        let name = format!("tidegate-body-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((file, Self { path, length: 0, temporary: true }))
    }

    /// A file that is there.
    pub(crate) fn of(path: &[u8], temporary: bool) -> io::Result<Self> {
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        let about = fs::metadata(&path)?;
        if !about.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self { path, length: about.len(), temporary })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.temporary {
            // Somebody may have taken it away already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A body on its way in: what is more than `memory` bytes goes to a file. Whoever waits for it may be given up: nothing is
/// lost with that.
#[derive(Debug)]
pub(crate) struct Intake {
    memory: usize,
    held: Vec<u8>,
    length: u64,
    file: Option<(File, Spool)>,
    /// Has the file meanwhile.
    writing: Option<JoinHandle<io::Result<(File, Spool)>>>,
}

impl Intake {
    pub(crate) const fn new(memory: usize) -> Self {
        Self { memory, held: Vec::new(), length: 0, file: None, writing: None }
    }

    pub(crate) fn take(&mut self, data: &[u8]) {
        self.length += data.len() as u64;
        self.held.extend_from_slice(data);
    }

    pub(crate) const fn len(&self) -> u64 {
        self.length
    }

    /// Writes what is held to the file if that is too much. To be called after some was taken.
    pub(crate) async fn settle(&mut self) -> io::Result<()> {
        self.written().await?;
        if self.held.len() > self.memory || (self.file.is_some() && self.held.len() >= CHUNK) {
            self.write();
            self.written().await?;
        }
        Ok(())
    }

    fn write(&mut self) {
        let (held, file) = (std::mem::take(&mut self.held), self.file.take());
        self.writing = Some(spawn_blocking(move || {
            let (mut file, mut spool) = file.map_or_else(Spool::create, Ok)?;
            file.write_all(&held)?;
            spool.length += held.len() as u64;
            Ok((file, spool))
        }));
    }

    /// Waits until what is being written has been.
    async fn written(&mut self) -> io::Result<()> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let written = writing.await;
        self.writing = None;
        self.file = Some(written.map_err(io::Error::other)??);
        Ok(())
    }

    /// The body, once; it has been taken whole.
    pub(crate) async fn finish(&mut self) -> io::Result<Body> {
        self.written().await?;
        if self.file.is_some() && !self.held.is_empty() {
            self.write();
            self.written().await?;
        }
        Ok(match self.file.take() {
            Some((_, spool)) => Body::File(Rc::new(spool)),
            None => Body::Memory(std::mem::take(&mut self.held)),
        })
    }
}

/// Reads a file piece by piece.
#[derive(Debug)]
pub(crate) struct Pieces {
    path: PathBuf,
    file: Option<File>,
}

impl Pieces {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None }
    }

    /// The next piece; empty at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Vec<u8>> {
        let (path, file) = (self.path.clone(), self.file.take());
        let read = spawn_blocking(move || {
            let mut file = file.map_or_else(|| File::open(path), Ok)?;
            let mut piece = Vec::with_capacity(CHUNK);
            (&mut file).take(CHUNK as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((file, piece))
        });
        let (file, piece) = read.await.map_err(io::Error::other)??;
        self.file = Some(file);
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_a_file_that_was_made_goes_with_it() {
        let body = Body::new(b"abc".to_vec(), 2).unwrap();
        let Body::File(spool) = &body else { panic!("three bytes are more than two") };
        let path = spool.path().to_owned();
        assert_eq!((fs::read(&path).unwrap(), body.len()), (b"abc".to_vec(), 3));
        drop(body);
        assert!(!path.exists());
        assert!(matches!(Body::new(b"ab".to_vec(), 2), Ok(Body::Memory(_))));
    }

    #[test]
    fn a_folder_is_no_body() {
        let folder = std::env::temp_dir();
        assert!(Spool::of(folder.as_os_str().as_bytes(), false).is_err());
        assert!(Spool::of(b"/no/such/file", false).is_err());
    }
}
