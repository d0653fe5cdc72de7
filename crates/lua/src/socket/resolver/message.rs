//! Questions to a name server and what its answers say, RFC 1035.
//!
//! Only what finding addresses takes: servers that resolve recursively put the addresses into the answer together with
//! the aliases that lead there, so names in answers are stepped over and not read.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{Error, Found};

/// Longest name there may be, with the lengths of its labels.
const LONGEST_NAME: usize = 255;
const HEADER: usize = 12;
/// Response; truncated; recursion desired.
const IS_RESPONSE: u8 = 0x80;
const IS_TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A = 1,
    Aaaa = 28,
}

/// A question; `None` for what is no name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend_from_slice(&id.to_be_bytes());
    message.extend_from_slice(&[RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    if message.len() - HEADER > LONGEST_NAME {
        return None;
    }
    message.extend_from_slice(&[0, kind as u8, 0, 1]);
    Some(message)
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Answer {
    Final(Result<Found, Error>),
    /// It did not fit; TCP has room.
    Truncated,
}

/// Reads the answer to `question`; `None` if it is not one.
pub(super) fn read(message: &[u8], question: &[u8]) -> Option<Answer> {
    let header = message.get(..HEADER)?;
    if header[..2] != question[..2] || header[2] & IS_RESPONSE == 0 {
        return None;
    }
    // The question comes back, in whatever case.
    let asked = &question[HEADER..];
    let is_same =
        message.get(HEADER..HEADER + asked.len()).is_some_and(|back| back.eq_ignore_ascii_case(asked));
    let code = header[3] & 0x0f;
    if !is_same {
        // A server that did not understand may leave the question out.
        return (code == 1 && header[4..6] == [0, 0]).then_some(Answer::Final(Err(Error::Format)));
    }
    if header[2] & IS_TRUNCATED != 0 {
        return Some(Answer::Truncated);
    }
    let error = match code {
        0 => return Some(Answer::Final(addresses(message, HEADER + asked.len(), u16_at(header, 6)?))),
        1 => Error::Format,
        3 => Error::NotFound,
        4 => Error::Unimplemented,
        5 => Error::Refused,
        _ => Error::Server,
    };
    Some(Answer::Final(Err(error)))
}

/// The addresses among `count` records. What is cut off or malformed counts as the server's failure.
fn addresses(message: &[u8], mut at: usize, count: u16) -> Result<Found, Error> {
    let mut found = Found { addresses: Vec::new(), valid: Duration::MAX };
    for _ in 0..count {
        let (address, valid, next) = record(message, at).ok_or(Error::Server)?;
        found.addresses.extend(address);
        found.valid = found.valid.min(valid);
        at = next;
    }
    if found.addresses.is_empty() { Err(Error::NotFound) } else { Ok(found) }
}

/// The address in the record at `at`, if that is what it has; how long it is valid; where the next one is.
fn record(message: &[u8], at: usize) -> Option<(Option<IpAddr>, Duration, usize)> {
    let at = after_name(message, at)?;
    let kind = u16_at(message, at)?;
    let seconds = u32::from_be_bytes(message.get(at + 4..at + 8)?.try_into().ok()?);
    let length = usize::from(u16_at(message, at + 8)?);
    let start = at + 10;
    let data = message.get(start..start + length)?;
    let address = match kind {
        1 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
        28 => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
        _ => None,
    };
    // RFC 2181, 8: a negative one is none.
    let seconds = if seconds > i32::MAX as u32 { 0 } else { seconds };
    Some((address, Duration::from_secs(seconds.into()), start + length))
}

fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            // The rest is somewhere before.
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer with these records: type, seconds, data.
    fn answer(question: &[u8], code: u8, records: &[(u16, u32, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] |= IS_RESPONSE;
        message[3] = 0x80 | code;
        message[7] = u8::try_from(records.len()).unwrap();
        for (kind, seconds, data) in records {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1]);
            message.extend_from_slice(&seconds.to_be_bytes());
            message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    fn outcome(code: u8, records: &[(u16, u32, &[u8])]) -> Result<(Vec<IpAddr>, u64), Error> {
        let question = question(7, "a.example", Kind::A).unwrap();
        match read(&answer(&question, code, records), &question) {
            Some(Answer::Final(outcome)) => outcome.map(|found| (found.addresses, found.valid.as_secs())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_are_found_behind_aliases_and_last_as_long_as_the_shortest_record() {
        let alias: &[u8] = b"\x01b\x07example\0";
        let found = outcome(0, &[(5, 20, alias), (1, 300, &[10, 0, 0, 1]), (1, 300, &[10, 0, 0, 2])]);
        assert_eq!(found, Ok((vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()], 20)));
    }

    #[test]
    fn failures_are_those_of_the_protocol() {
        assert_eq!(outcome(3, &[]), Err(Error::NotFound));
        assert_eq!(outcome(2, &[]), Err(Error::Server));
        assert_eq!(outcome(0, &[]), Err(Error::NotFound));
        assert_eq!(outcome(0, &[(1, 300, &[10, 0, 0])]), Err(Error::Server));
    }

    #[test]
    fn only_the_answer_to_the_question_is_read() {
        let asked = question(7, "a.example", Kind::A).unwrap();
        for other in [
            question(8, "a.example", Kind::A),
            question(7, "b.example", Kind::A),
            question(7, "a.example", Kind::Aaaa),
        ] {
            assert!(read(&answer(&other.unwrap(), 0, &[(1, 1, &[1, 2, 3, 4])]), &asked).is_none());
        }
        assert!(read(&asked, &asked).is_none());
    }

    #[test]
    fn what_is_no_name_cannot_be_asked_for() {
        for name in ["", "a..b", &"a".repeat(64), &["abcdefg"; 40].join(".")] {
            assert!(question(1, name, Kind::A).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(tail in prop::collection::vec(any::<u8>(), 0..80), count in any::<u8>(), cut in 0_usize..120) {
            let question = question(7, "a.example", Kind::A).unwrap();
            let mut message = answer(&question, 0, &[]);
            message[7] = count;
            message.extend_from_slice(&tail);
            message.truncate(cut);
            let _ = read(&message, &question);
        }
    }
}
