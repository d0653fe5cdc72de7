//! Writes the head of an answer: what the client gets to see, whoever made it.

use tidegate_core::snapshot::{Answers, ErrorPages};
use tidegate_lua::{Phase, Verdict};

use crate::{
    error::Error,
    excerpt::Mishap,
    exchange::{Commitment, Exchange},
    http::{
        body::Writer,
        fields::{Fields, Kind},
        status,
    },
    lua,
    site::Route,
    worker::Worker,
};

/// What is known of the body that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    Unknown,
}

/// Whether an answer to this request with this status has a body at all (RFC 9110, 6.4.1).
pub(crate) fn has_body(exchange: &Exchange) -> bool {
    let status = exchange.response.status;
    exchange.request.method() != b"HEAD" && status >= 200 && !matches!(status, 204 | 304)
}

/// Completes the head, lets `headerFilter` at it, and appends it to `output`. How the body is to be
/// written follows from it.
pub(crate) async fn begin(
    worker: &Worker,
    route: Option<&Route>,
    exchange: &mut Exchange,
    length: Length,
    output: &mut Vec<u8>,
) -> Result<Writer, Error> {
    filter_head(worker, route, exchange).await?;
    Ok(write_head(worker, exchange, length, output))
}

/// Lets `headerFilter` at the head. From then on the head cannot be changed.
pub(crate) async fn filter_head(
    worker: &Worker,
    route: Option<&Route>,
    exchange: &mut Exchange,
) -> Result<(), Error> {
    exchange.commitment = Commitment::Withheld;
    if let Some((route, filter)) = route.and_then(|route| Some((route, route.header_filter.as_ref()?))) {
        let verdict = match lua::run_detached(worker, route, filter, Phase::HeaderFilter, exchange).await {
            // It would break the report just as well, so that is made without it.
            Err(Error::Lua) => Verdict::Exit(500),
            verdict => verdict?,
        };
        if let Verdict::Exit(code @ 200..) = verdict {
            return Err(Error::Replaced(code));
        }
    }
    exchange.headers_sent = true;
    Ok(())
}

/// Appends the head to `output`. `exchange.request.keep_alive` says then whether the connection can be used again.
pub(crate) fn write_head(
    worker: &Worker,
    exchange: &mut Exchange,
    length: Length,
    output: &mut Vec<u8>,
) -> Writer {
    if worker.draining.get() {
        exchange.request.keep_alive = false;
    }
    if exchange.depth > 0 {
        return Writer::Plain; // Lua gets the head as it is.
    }
    let with_body = has_body(exchange);
    let chunked = with_body && length == Length::Unknown && exchange.request.is_11;
    if with_body && length == Length::Unknown && !chunked {
        exchange.request.keep_alive = false; // Only the end of the connection ends such a body.
    }
    let before = output.len();
    match &exchange.response.reason {
        Some(reason) => write_line(exchange.response.status, reason, output),
        None => write_status_line(exchange.response.status, output),
    }
    let mut dated = exchange.response.undated;
    for (kind, name, value) in exchange.response.fields.iter() {
        // The length of a body is the gateway's to say; where there is none (HEAD, 304) it is news.
        let stale = kind == Kind::ContentLength && (with_body || exchange.response.status == 204);
        let switches = exchange.response.status == 101 && kind == Kind::Upgrade;
        let dropped = (kind.is_hop_by_hop() && !switches) || stale;
        if !dropped {
            write_field(name, value, output);
        }
        dated |= kind == Kind::Date;
    }
    if !dated {
        output.extend_from_slice(worker.date_line().as_bytes());
    }
    match length {
        _ if chunked => write_field(b"Transfer-Encoding", b"chunked", output),
        Length::Known(length) if with_body => write_length(length, output),
        _ => {}
    }
    match (exchange.request.keep_alive, exchange.request.is_11) {
        _ if exchange.response.status == 101 => write_field(b"Connection", b"upgrade", output),
        (false, _) => write_field(b"Connection", b"close", output),
        (true, false) => write_field(b"Connection", b"keep-alive", output),
        (true, true) if exchange.is_framed_as_nginx() => write_field(b"Connection", b"keep-alive", output),
        (true, true) => {}
    }
    output.extend_from_slice(b"\r\n");
    exchange.head_bytes = (output.len() - before) as u64;
    if chunked { Writer::Chunked } else { Writer::Plain }
}

pub(crate) fn write_status_line(code: u16, output: &mut Vec<u8>) {
    if code == 200 {
        return output.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    write_line(code, status::reason(code).as_bytes(), output);
}

fn write_line(code: u16, reason: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(b"HTTP/1.1 ");
    let digit = |divisor: u16| b'0' + (code / divisor % 10) as u8;
    output.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    output.extend_from_slice(reason);
    output.extend_from_slice(b"\r\n");
}

pub(crate) fn write_field(name: &[u8], value: &[u8], output: &mut Vec<u8>) {
    output.reserve(name.len() + value.len() + 4);
    output.extend_from_slice(name);
    output.extend_from_slice(b": ");
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

pub(crate) fn write_length(length: u64, output: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut start, mut rest) = (digits.len(), length);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    write_field(b"Content-Length", &digits[start..], output);
}

/// Says who made an answer, unless Lua has said something else.
pub(crate) fn sign(fields: &mut Fields, answers: &Answers) {
    if !fields.contains(Kind::Server) && !answers.server.is_empty() {
        fields.push_known(Kind::Server, b"Server", answers.server.as_bytes());
    }
}

/// Makes the answer an error report of the gateway. Says nothing about causes that are none of the
/// client's business.
pub(crate) fn report(exchange: &mut Exchange, code: u16, message: &str, answers: &Answers) -> Vec<u8> {
    let id = exchange.id().to_owned();
    let mishap = exchange.mishap.take();
    let response = &mut exchange.response;
    response.status = code;
    for name in [&b"Content-Type"[..], b"Content-Encoding", b"Content-Length", b"Transfer-Encoding"] {
        response.fields.remove(name);
    }
    sign(&mut response.fields, answers);
    let kind: &[u8] = match answers.errors {
        ErrorPages::Json => b"application/json",
        ErrorPages::Html => b"text/html",
    };
    response.fields.push(b"Content-Type", kind);
    if code == 503 {
        response.fields.push(b"Retry-After", exchange.retry_after.to_string().as_bytes());
    }
    if answers.errors == ErrorPages::Html {
        // Statuses without a phrase have no page either.
        let known = code >= 300 && status::reason(code) != status::reason(999);
        let page = page(code, &answers.server, mishap.as_ref());
        return if known { page.into_bytes() } else { Vec::new() };
    }
    let message = if message.is_empty() { status::reason(code) } else { message };
    let mut report = serde_json::json!({"error": {"status": code, "message": message, "requestId": id}});
    if let Some(Mishap { message, source, traceback }) = mishap {
        report["error"]["lua"] =
            serde_json::json!({"message": message, "source": source, "traceback": traceback});
    }
    let mut body = report.to_string().into_bytes();
    body.push(b'\n');
    body
}

/// Whether a status that Lua ends a request with is told by a page when nothing was written.
pub(crate) fn is_told(code: u16, answers: &Answers) -> bool {
    code >= 400 || (answers.errors == ErrorPages::Html && matches!(code, 301..=303 | 307 | 308))
}

/// A page like nginx's, for people and for what looks for their words.
fn page(code: u16, server: &str, mishap: Option<&Mishap>) -> String {
    // Some of nginx's phrases are older than the standard's.
    let phrase = match code {
        405 => "Not Allowed",
        408 => "Request Time-out",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        416 => "Requested Range Not Satisfiable",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        _ => status::reason(code).trim(),
    };
    let mishap = mishap.map_or_else(String::new, |Mishap { message, source, traceback }| {
        let source = source.as_deref().unwrap_or_default();
        format!("<pre>{}</pre>\r\n", escaped(&format!("{message}\n{source}\n{traceback}")))
    });
    format!(
        "<html>\r\n<head><title>{code} {phrase}</title></head>\r\n<body>\r\n<center><h1>{code} {phrase}</h1></center>\r\n\
         {mishap}<hr><center>{server}</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_status_phrase_and_server() {
        let page = page(405, "me", None);
        assert!(page.contains("<h1>405 Not Allowed</h1>") && page.contains("<center>me</center>"), "{page}");
        let html = Answers { errors: ErrorPages::Html, ..Answers::default() };
        assert!(is_told(302, &html) && !is_told(304, &html) && is_told(404, &html));
        assert!(!is_told(302, &Answers::default()) && is_told(404, &Answers::default()));
    }

    #[test]
    fn a_page_that_shows_code_shows_it_as_text() {
        let mishap =
            Mishap { message: "a < b".into(), source: Some("1 | <x>".into()), traceback: "&".into() };
        let page = page(500, "me", Some(&mishap));
        assert!(page.contains("<pre>a &lt; b\n1 | &lt;x&gt;\n&amp;</pre>"), "{page}");
    }

    #[test]
    fn lengths_are_written_in_full() {
        for length in [0, 7, 10, 65_536, u64::MAX] {
            let mut output = Vec::new();
            write_length(length, &mut output);
            assert_eq!(output, format!("Content-Length: {length}\r\n").into_bytes());
        }
    }

    #[test]
    fn a_status_line_has_three_digits_and_a_phrase() {
        let mut output = Vec::new();
        write_status_line(404, &mut output);
        assert_eq!(output, b"HTTP/1.1 404 Not Found\r\n");
    }
}
