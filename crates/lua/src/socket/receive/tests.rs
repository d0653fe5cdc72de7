use proptest::prelude::*;

use super::*;

fn until(pattern: &[u8], inclusive: bool, limit: Option<usize>) -> Want {
    Want::Until { pattern: pattern.into(), inclusive, limit }
}

/// What a receive comes to when `chunks` come one after the other, and what is then unread.
fn run(want: Want, chunks: &[&[u8]]) -> (Option<Vec<u8>>, Vec<u8>) {
    let mut receive = Receive::new(want);
    let mut unread = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        unread.extend_from_slice(chunk);
        match receive.look(&unread, index + 1 == chunks.len()) {
            Progress::More => {}
            Progress::Done { take, give, .. } => {
                return (Some(unread[..give].to_vec()), unread[take..].to_vec());
            }
            Progress::Closed => return (None, unread),
        }
    }
    panic!("the last chunk is the end")
}

fn check(want: Want, chunks: &[&[u8]], expected: Option<&[u8]>, rest: &[u8]) {
    let (given, unread) = run(want, chunks);
    assert_eq!((given.as_deref(), &*unread), (expected, rest));
}

#[test]
fn each_kind_takes_what_it_asks_for() {
    check(Want::Line, &[b"a", b"b\r", b"\nc"], Some(b"ab\r"), b"c");
    check(Want::Line, &[b"ab", b""], None, b"ab");
    check(Want::Exactly(3), &[b"a", b"bcd"], Some(b"abc"), b"d");
    check(Want::Exactly(3), &[b"ab"], None, b"ab");
    check(Want::Any(2), &[b"abc"], Some(b"ab"), b"c");
    check(Want::Any(9), &[b"", b"abc"], Some(b"abc"), b"");
    check(Want::Any(9), &[b""], None, b"");
    check(Want::All, &[b"a", b"b", b""], Some(b"ab"), b"");
    check(until(b"--", false, None), &[b"ab-", b"-c"], Some(b"ab"), b"c");
    check(until(b"--", true, None), &[b"ab-", b"-c"], Some(b"ab--"), b"c");
    check(until(b"--", false, None), &[b"ab-c"], None, b"ab-c");
}

#[test]
fn patterns_that_overlap_themselves_are_found_at_their_first_place() {
    check(until(b"aab", false, None), &[b"aaab"], Some(b"a"), b"");
    check(until(b"abcabd", false, None), &[b"abcabcabd"], Some(b"abc"), b"");
    check(until(b"--abc", false, None), &[b"---", b"-abc"], Some(b"--"), b"");
    check(until(b"abababc", true, None), &[b"abab", b"ababc!"], Some(b"ababababc"), b"!");
}

#[test]
fn what_may_begin_the_pattern_is_not_part_of_what_is_given_up() {
    let mut receive = Receive::new(until(b"--end", false, None));
    assert_eq!(receive.look(b"abc--e", false), Progress::More);
    assert_eq!(receive.partial(b"abc--e"), 3);
    let mut line = Receive::new(Want::Line);
    assert_eq!(line.look(b"abc\r", true), Progress::Closed);
    assert_eq!(line.partial(b"abc\r"), 4);
}

#[test]
fn a_limit_cuts_what_is_before_the_pattern_into_pieces() {
    let mut unread = &b"hello, world--rest"[..];
    let mut pieces = Vec::new();
    loop {
        let mut receive = Receive::new(until(b"--", false, Some(5)));
        match receive.look(unread, false) {
            Progress::Done { take, give, end } => {
                pieces.push(String::from_utf8(unread[..give].to_vec()).unwrap());
                unread = &unread[take..];
                if end == End::Complete {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pieces, ["hello", ", wor", "ld"]);
    assert_eq!(unread, b"rest");
}

#[test]
fn carriage_returns_are_removed_wherever_they_are() {
    let mut line = *b"\ra\r\rb\r";
    let length = without_returns(&mut line);
    assert_eq!(&line[..length], b"ab");
    assert_eq!(without_returns(&mut b"ab".to_owned()), 2);
}

/// The same by looking at everything at once: what is given, and the rest.
fn naive(want: &Want, bytes: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
    let split = |at: usize, skip: usize| (Some(bytes[..at].to_vec()), bytes[at + skip..].to_vec());
    let nothing = || (None, bytes.to_vec());
    match want {
        Want::Line => bytes.iter().position(|&byte| byte == b'\n').map_or_else(nothing, |at| split(at, 1)),
        Want::All => split(bytes.len(), 0),
        Want::Exactly(count) => {
            if bytes.len() >= *count {
                split(*count, 0)
            } else {
                nothing()
            }
        }
        Want::Any(_) => unreachable!("depends on the chunks"),
        Want::Until { pattern, inclusive, .. } => {
            let at = bytes.windows(pattern.len()).position(|window| *window == **pattern);
            at.map_or_else(nothing, |at| {
                if *inclusive { split(at + pattern.len(), 0) } else { split(at, pattern.len()) }
            })
        }
    }
}

fn wants() -> impl Strategy<Value = Want> {
    // Two letters make patterns overlap themselves and each other.
    let pattern = prop::collection::vec(prop::sample::select(b"ab\n".as_slice()), 1..7);
    prop_oneof![
        Just(Want::Line),
        Just(Want::All),
        (0_usize..40).prop_map(Want::Exactly),
        (pattern, any::<bool>()).prop_map(|(pattern, inclusive)| until(&pattern, inclusive, None)),
    ]
}

fn streams() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let chunk = prop::collection::vec(prop::sample::select(b"ab\n\r".as_slice()), 0..9);
    prop::collection::vec(chunk, 1..12)
}

proptest! {
    #[test]
    fn chunks_make_no_difference(want in wants(), chunks in streams()) {
        let mut receive = Receive::new(want.clone());
        let mut unread = Vec::new();
        let mut outcome = None;
        for (index, chunk) in chunks.iter().enumerate() {
            unread.extend_from_slice(chunk);
            if outcome.is_none() {
                match receive.look(&unread, index + 1 == chunks.len()) {
                    Progress::More => {}
                    Progress::Done { take, give, .. } => outcome = Some((Some(give), take)),
                    Progress::Closed => outcome = Some((None, 0)),
                }
            }
        }
        let (give, take) = outcome.unwrap();
        let given = give.map(|give| unread[..give].to_vec());
        prop_assert_eq!((given, unread[take..].to_vec()), naive(&want, &unread));
    }

    #[test]
    fn pieces_add_up_to_the_whole(
        pattern in prop::collection::vec(prop::sample::select(b"ab".as_slice()), 1..6),
        limit in 1_usize..6,
        chunks in streams(),
    ) {
        let mut receive = Receive::new(until(&pattern, false, Some(limit)));
        let (mut unread, mut given, mut found) = (Vec::new(), Vec::new(), false);
        for chunk in &chunks {
            unread.extend_from_slice(chunk);
            while !found {
                let Progress::Done { take, give, end } = receive.look(&unread, false) else { break };
                prop_assert!(give < limit + pattern.len());
                prop_assert!(end == End::Complete || give >= limit);
                given.extend_from_slice(&unread[..give]);
                unread.drain(..take);
                receive.restart();
                found = end == End::Complete;
            }
        }
        let all: Vec<u8> = chunks.concat();
        if let (Some(before), rest) = naive(&until(&pattern, false, None), &all) {
            prop_assert_eq!((found, given, unread), (true, before, rest));
        } else {
            prop_assert!(!found);
            given.extend_from_slice(&unread);
            prop_assert_eq!(given, all);
        }
    }
}
