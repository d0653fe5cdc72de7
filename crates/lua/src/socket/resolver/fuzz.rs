//! What holds for what name servers answer, and for the files of the system.

use super::{
    hosts,
    message::{self, Answer, Kind},
    system::{self, Configuration},
};

/// An answer to a question has no more addresses than fit into it.
pub(crate) fn answer(input: &[u8]) {
    let question = message::question(7, "a.example", Kind::A).expect("is a name");
    // So that what is behind the question is looked at, too.
    let behind = [&question[..2], &[0x80], &question[3..], input].concat();
    for message in [input, &behind] {
        if let Some(Answer::Final(Ok(found))) = message::read(message, &question) {
            assert!(!found.addresses.is_empty() && found.addresses.len() * 4 <= message.len());
        }
    }
}

/// Nothing in these files is too strange to be passed over.
pub(crate) fn files(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let configuration = Configuration::parse(text);
    assert!(configuration.servers.iter().all(|server| server.port() == system::PORT));
    let candidates = configuration.candidates("a.b");
    assert!(
        candidates.iter().any(|name| name == "a.b") && candidates.iter().all(|name| name.starts_with("a.b"))
    );
    let hosts = hosts::parse(text);
    assert!(hosts.keys().all(|name| !name.is_empty() && !name.contains(|c: char| c.is_ascii_whitespace())));
}
