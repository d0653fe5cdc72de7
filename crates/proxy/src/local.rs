//! Answers that the gateway makes by itself: the same for everybody, and files.
//!
//! Both are put where Lua would write them, so filters see them and subrequests can take them. A file is read
//! whole, by another thread, within [`FILE_LIMIT`]. Deliberately absent: directory listings and more than one
//! range.

use std::{
    borrow::Cow,
    fs, io,
    io::{Read as _, Seek as _},
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use tidegate_core::snapshot::{FixedAnswer, Piece, StaticFiles, Template};
use tidegate_lua::Exchange as _;

use crate::{exchange::Exchange, script_log::ScriptLog, worker};

/// Largest file that is served, in bytes.
const FILE_LIMIT: u64 = 256 << 20;

pub(crate) fn fixed(exchange: &mut Exchange, answer: &FixedAnswer) {
    exchange.response.status = answer.status;
    for (name, value) in &answer.headers {
        let value = text(exchange, value);
        // A value that a variable makes unfit for a header is left out.
        let _ = exchange.response.fields.set(name.as_bytes(), &[&value]);
    }
    let body = text(exchange, &answer.body);
    exchange.written.extend_from_slice(&body);
}

/// A template with the variables of the request.
pub(crate) fn text(exchange: &Exchange, template: &Template) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in &template.pieces {
        match piece {
            Piece::Text(plain) => text.extend_from_slice(plain.as_bytes()),
            Piece::Variable(name) => text.extend_from_slice(&variable(exchange, name).unwrap_or_default()),
        }
    }
    text
}

/// Headers and arguments are the host's to find for Lua, and found here for everything else.
fn variable<'a>(exchange: &'a Exchange, name: &str) -> Option<Cow<'a, [u8]>> {
    if let Some(header) = name.strip_prefix("http_") {
        return exchange.request.fields.get(header.replace('_', "-").as_bytes()).map(Cow::Borrowed);
    }
    let Some(wanted) = name.strip_prefix("arg_") else { return exchange.variable(name.as_bytes()) };
    let mut arguments = exchange.request.query().unwrap_or_default().split(|&byte| byte == b'&');
    arguments.find_map(|argument| {
        let at = argument.iter().position(|&byte| byte == b'=')?;
        argument[..at].eq_ignore_ascii_case(wanted.as_bytes()).then(|| Cow::Borrowed(&argument[at + 1..]))
    })
}

/// What of a file is sent.
struct Part {
    bytes: Vec<u8>,
    /// First byte and length of the whole, if it is not the whole.
    of: Option<(u64, u64)>,
    modified: Option<SystemTime>,
    size: u64,
}

/// Puts the file that the request names into the answer; `Err` is the status to answer instead.
pub(crate) async fn file(exchange: &mut Exchange, files: &StaticFiles, log: &ScriptLog) -> Result<(), u16> {
    if !matches!(exchange.request.method(), b"GET" | b"HEAD" | b"POST") {
        return Err(405);
    }
    let path = locate(&files.root, exchange.request.path(), &files.index).ok_or(404_u16)?;
    let range = exchange.request.fields.get(b"range").and_then(byte_range);
    let kind = content_type(&path);
    let read = tokio::task::spawn_blocking(move || read(&path, range).map_err(|error| (error, path))).await;
    let part = match read {
        Ok(Ok(part)) => part,
        Ok(Err((error, path))) => {
            if error.kind() == io::ErrorKind::IsADirectory {
                return Err(redirect_into(exchange));
            }
            log.unopened(exchange, &path, &error);
            return Err(match error.kind() {
                io::ErrorKind::PermissionDenied => 403,
                io::ErrorKind::InvalidInput => 416,
                io::ErrorKind::FileTooLarge => 500,
                _ => 404,
            });
        }
        Err(_) => return Err(500),
    };
    answer(exchange, part, kind);
    Ok(())
}

/// Sends whoever asks for a folder to its own name, which ends in a slash.
fn redirect_into(exchange: &mut Exchange) -> u16 {
    let path = exchange.request.path();
    if path.ends_with(b"/") {
        return 403;
    }
    let mut place = tidegate_lua::escaped_path(path);
    place.push(b'/');
    if let Some(query) = exchange.request.query() {
        place.push(b'?');
        place.extend_from_slice(query);
    }
    exchange.response.fields.push(b"Location", &place);
    301
}

fn answer(exchange: &mut Exchange, part: Part, kind: &str) {
    let seconds = part
        .modified
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs());
    let modified = worker::http_date(tidegate_core::Timestamp::from_secs(seconds));
    let etag = format!("\"{seconds:x}-{:x}\"", part.size);
    let known = exchange.request.fields.get(b"if-none-match").map_or_else(
        || exchange.request.fields.get(b"if-modified-since") == Some(modified.as_bytes()),
        |tags| tags == b"*" || memchr::memmem::find(tags, etag.as_bytes()).is_some(),
    );
    let response = &mut exchange.response;
    response.fields.push(b"Last-Modified", modified.as_bytes());
    response.fields.push(b"ETag", etag.as_bytes());
    if known {
        response.status = 304;
        return;
    }
    if response.fields.get(b"content-type").is_none() {
        response.fields.push(b"Content-Type", kind.as_bytes());
    }
    response.fields.push(b"Accept-Ranges", b"bytes");
    response.status = 200;
    if let Some((first, length)) = part.of {
        response.status = 206;
        let range = format!("bytes {first}-{}/{}", first + length - 1, part.size);
        response.fields.push(b"Content-Range", range.as_bytes());
    }
    exchange.written = part.bytes;
}

/// The file of a normalized path; `None` when it would not be below the root.
fn locate(root: &Path, path: &[u8], index: &str) -> Option<PathBuf> {
    let relative = Path::new(std::ffi::OsStr::from_bytes(path.strip_prefix(b"/")?));
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    let mut full = root.join(relative);
    if path.ends_with(b"/") {
        full.push(index);
    }
    inside.then_some(full)
}

/// `bytes=first-last`, `bytes=first-` or `bytes=-length`; anything else asks for the whole file.
fn byte_range(value: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = std::str::from_utf8(value).ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| (!text.is_empty()).then(|| text.parse::<u64>().ok());
    match (number(first), number(last)) {
        (Some(None), _) | (_, Some(None)) | (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        (first, last) => Some((first.flatten(), last.flatten())),
    }
}

fn read(path: &Path, range: Option<(Option<u64>, Option<u64>)>) -> io::Result<Part> {
    let mut file = fs::File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let size = about.len();
    let (first, length) = match range {
        None => (0, size),
        Some((Some(first), _)) if first >= size => return Err(io::ErrorKind::InvalidInput.into()),
        Some((Some(first), last)) => {
            (first, last.map_or(size, |last| size.min(last.saturating_add(1))).saturating_sub(first))
        }
        Some((None, last)) => {
            let length = last.unwrap_or(0).min(size);
            (size - length, length)
        }
    };
    if length > FILE_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.seek(io::SeekFrom::Start(first))?;
    file.take(length).read_to_end(&mut bytes)?;
    let of = (range.is_some() && length > 0).then_some((first, length));
    Ok(Part { bytes, of, modified: about.modified().ok(), size })
}

/// What browsers need to be told; anything else is bytes.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "json" => "application/json",
        "txt" => "text/plain",
        "xml" => "text/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_below_its_root() {
        let root = Path::new("/srv");
        let found = |path: &str| locate(root, path.as_bytes(), "index.html");
        assert_eq!(found("/a/b.txt"), Some("/srv/a/b.txt".into()));
        assert_eq!(found("/a/"), Some("/srv/a/index.html".into()));
        assert_eq!(found("/"), Some("/srv/index.html".into()));
        assert_eq!(found("/../etc/passwd"), None);
        assert_eq!(found("//etc/passwd"), None);
        assert_eq!(found("*"), None);
    }

    #[test]
    fn a_range_that_makes_no_sense_asks_for_everything() {
        assert_eq!(byte_range(b"bytes=1-3"), Some((Some(1), Some(3))));
        assert_eq!(byte_range(b"bytes=1-"), Some((Some(1), None)));
        assert_eq!(byte_range(b"bytes=-5"), Some((None, Some(5))));
        assert_eq!(byte_range(b"bytes=-"), None);
        assert_eq!(byte_range(b"bytes=1-2,4-5"), None);
        assert_eq!(byte_range(b"lines=1-2"), None);
    }
}
