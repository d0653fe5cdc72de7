use proptest::prelude::*;

use super::*;

fn read(input: &str) -> Result<Request, Refusal> {
    let mut request = Request::default();
    let limits = Limits { header_bytes: 600, header_count: 4, uri_bytes: 100, ..Limits::default() };
    request.read(input.as_bytes(), 0, &limits)?.map(|_| request).ok_or(refuse(0, "incomplete"))
}

fn refused(input: &str) -> u16 {
    read(input).map_or_else(|refusal| refusal.status, |request| panic!("accepted {input:?} as {request:?}"))
}

fn get(rest: &str) -> Request {
    read(&format!("GET {rest}")).unwrap_or_else(|refusal| panic!("{rest:?}: {}", refusal.reason))
}

#[test]
fn an_ordinary_request_is_understood() {
    let request = get("/a%20b?x=1 HTTP/1.1\r\nHost: a.com\r\nX-A:  b \r\n\r\n");
    assert_eq!(request.method(), b"GET");
    assert_eq!(request.target(), b"/a%20b?x=1");
    assert_eq!(request.path(), b"/a b");
    assert_eq!(request.query(), Some(&b"x=1"[..]));
    assert_eq!(request.host(), b"a.com");
    assert_eq!(request.fields.get(b"x-a"), Some(&b"b"[..]));
    assert_eq!(request.framing, Framing::None);
    assert!(request.keep_alive && request.is_11 && !request.upgrade && !request.expects_continue);
}

#[test]
fn ambiguous_framing_is_refused() {
    let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: +5",
        "Content-Length: 5x",
        "Content-Length:",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\u{b}chunked",
        "X: a\r\n b",
        "X: a\r\n\tb",
        " X: a",
        "X : a",
        "X\t: a",
        "X Y: a",
        "X\0Y: a",
        "X: a\0b",
        "X: a\rb",
        "X: a\nY: b",
        "X: a\r\r\nY: b",
        ": a",
        "X",
    ] {
        assert_eq!(refused(&head(fields)), 400, "{fields:?}");
    }
    assert_eq!(refused(&head("Transfer-Encoding: gzip, chunked")), 501);
    assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

#[test]
fn bare_line_feeds_are_refused_at_once() {
    assert_eq!(refused("GET / HTTP/1.1\nHost: a\n\n"), 400);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400);
    assert_eq!(refused("GET / HTTP/1.1\n"), 400);
}

#[test]
fn the_request_line_is_one_method_one_target_one_version() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET HTTP/1.1",
        "GET /",
        "GE(T / HTTP/1.1",
        "GET a HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET /%zz HTTP/1.1",
        "GET /../x HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
    ] {
        assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), 400, "{line:?}");
    }
    assert_eq!(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    assert_eq!(refused("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
    assert_eq!(refused("\u{16}\u{3}\u{1}"), 400);
}

#[test]
fn there_is_exactly_one_host() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    assert_eq!(get("/ HTTP/1.0\r\n\r\n").host(), b"");
    assert_eq!(get("/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").host(), b"[::1]:80");
}

#[test]
fn an_absolute_target_overrules_the_host() {
    let request = get("http://B.com/x?y HTTP/1.1\r\nHost: a.com\r\n\r\n");
    assert_eq!((request.host(), request.target(), request.path()), (&b"B.com"[..], &b"/x?y"[..], &b"/x"[..]));
    assert_eq!(request.fields.get(b"host"), Some(&b"B.com"[..]));
    let request = get("http://b.com HTTP/1.1\r\nHost: a.com\r\n\r\n");
    assert_eq!((request.target(), request.path()), (&b"/"[..], &b"/"[..]));
}

#[test]
fn limits_have_their_own_answers() {
    let long = "x".repeat(200);
    assert_eq!(refused(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")), 414);
    assert_eq!(refused(&format!("GET /{} HTTP/1.1", long.repeat(4))), 414);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long.repeat(4))), 431);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long.repeat(4))), 431);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(4))), 431);
}

#[test]
fn keep_alive_follows_the_version_and_the_connection_field() {
    let keeps = |rest: &str| get(rest).keep_alive;
    assert!(keeps("/ HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!keeps("/ HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
    assert!(!keeps("/ HTTP/1.0\r\n\r\n"));
    assert!(keeps("/ HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

#[test]
fn expectations_and_upgrades_are_noticed() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";
    assert!(read(post).unwrap().expects_continue);
    assert!(!get("/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").expects_continue);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), 417);
    assert!(get("/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
    assert!(!get("/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").upgrade);
    for offer in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.3", ""] {
        let request =
            get(&format!("/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {offer}\r\n\r\n"));
        assert!(!request.upgrade, "{offer:?} would carry requests past the gateway");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = Request::default().read(&input, 0, &Limits::default());
    }

    #[test]
    fn arriving_in_pieces_changes_nothing(
        head in "(GET|POST) /[a-z%.]{0,5} HTTP/1.[01]\r?\n(Host: [a ]\r?\n)?([A-Z ]{1,3}:? ?[a-z0-9\r]{0,4}\r\n){0,3}\r\n",
        cuts in prop::collection::vec(0..60_usize, 0..4),
    ) {
        let whole = Request::default().read(head.as_bytes(), 0, &Limits::default());
        let (mut request, mut seen, mut cuts) = (Request::default(), 0, cuts);
        cuts.sort_unstable();
        cuts.push(head.len());
        let mut outcome = Ok(None);
        for cut in cuts.into_iter().map(|cut| cut.min(head.len())) {
            outcome = request.read(&head.as_bytes()[..cut], seen, &Limits::default());
            seen = cut;
            if outcome != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(outcome.map_err(|refusal| refusal.status), whole.map_err(|refusal| refusal.status));
    }
}

/// All that is known of a request.
fn parts(request: &Request) -> String {
    let fields: Vec<_> = request.fields.iter().collect();
    let texts = [request.method(), request.target(), request.path(), request.host(), request.head()];
    let Request { framing, is_11, keep_alive, expects_continue, upgrade, is_rewritten, .. } = request;
    let flags = [is_11, keep_alive, expects_continue, upgrade, is_rewritten];
    format!("{texts:?} {:?} {fields:?} {framing:?} {flags:?}", request.query())
}

/// Heads that nearly are what clients send.
fn heads() -> impl Strategy<Value = String> {
    let method = prop::sample::select(vec!["GET", "POST", "PROPFIND", "get", "G-T", ""]);
    let target = "/[a-z%#?{}]{0,4}|[*]|http://a/b";
    let version = prop::sample::select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]);
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", " "]);
    let name = "[A-Za-z]{1,3}(-[a-z]{1,4})?|Host|Connection|[a-z]{0,2}[ \t(]?";
    let value = "[ \t]{0,2}[!-~]{0,20}([ \t]{1,2}[ -~\u{e4}]{1,9})?[ \t]{0,2}|close|.{0,3}";
    let field = (name, prop::sample::select(vec![":", ":", ":", ": ", ""]), value, end.clone());
    let fields = prop::collection::vec(field, 0..5);
    (method, target, version, end, fields).prop_map(|(method, target, version, end, fields)| {
        let line = format!("{method} {target} {version}{end}Host: a\r\n");
        let fields = fields
            .into_iter()
            .map(|(name, colon, value, end)| [name, colon.into(), value, end.into()].concat());
        line + &fields.collect::<String>() + "\r\n"
    })
}

proptest! {
    /// What is read in one pass is read in the same way by the parser that sees the rest.
    #[test]
    fn a_head_has_one_reading(text in heads()) {
        let limits = Limits::default();
        let mut quick = Request::default();
        let at_once = quick.read_whole(text.as_bytes(), &limits);
        let mut slow = Request::default();
        if at_once != Ok(None) {
            prop_assert_eq!(head::find(text.as_bytes(), 0), Head::Complete(text.len()));
            prop_assert_eq!(&slow.parse(text.as_bytes(), &limits).map(|()| Some(text.len())), &at_once);
        }
        if at_once.is_ok_and(|size| size.is_some()) {
            prop_assert_eq!(parts(&quick), parts(&slow));
        }
    }
}
