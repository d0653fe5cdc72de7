//! What holds for any bytes that the servers of sources send; `fuzz/` looks for some for which it does not.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use crate::system::{kafka, nats, rabbitmq, redis::resp};

/// Values end where they end: what follows does not change them.
pub fn redis(input: &[u8]) {
    let (values, length) = now(resp::values(input));
    assert!(length <= input.len());
    assert_eq!(now(resp::values(&input[..length])), (values, length));
}

/// Events are taken out of what has come as soon as they are whole, and not before.
pub fn nats(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some((event, length))) = nats::wire::parse(rest) {
        assert!((1..=rest.len()).contains(&length));
        assert!(!matches!(nats::wire::parse(&rest[..length - 1]), Ok(Some(_))), "a part is {event:?}");
        rest = &rest[length..];
    }
}

/// The same for frames, whose values lie within them.
pub fn rabbitmq(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some((mut frame, length))) = rabbitmq::wire::parse(rest) {
        assert!((8..=rest.len()).contains(&length));
        assert!(matches!(rabbitmq::wire::parse(&rest[..length - 1]), Ok(None)), "a part is {frame:?}");
        let entries = frame.clone().table().map_or(0, |entries| entries.len());
        assert!(entries <= length && frame.rest().len() < length);
        rest = &rest[length..];
    }
}

/// No answer holds more than its bytes.
pub fn kafka(input: &[u8]) {
    assert!(kafka::read_as_all(input) <= input.len());
}

/// What `future` comes to. It reads from memory and never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const REDIS: &[&[u8]] =
        &[b"*3\r\n$5\r\nhello\r\n:-42\r\n*2\r\n$-1\r\n-ERR no\r\n+OK\r\n", b"*-1\r\n$0\r\n\r\n*0\r\n"];
    const NATS: &[&[u8]] = &[
        b"INFO {\"a\":1}\r\nMSG a.b 1 in.box 5\r\nhello\r\nPING\r\n+OK\r\n",
        b"HMSG i 1 r 30 34\r\nNATS/1.0 408 Timeout\r\nA: b\r\n\r\nbody\r\nPONG\r\n-ERR 'why'\r\n",
    ];
    const RABBITMQ: &[&[u8]] = &[
        b"\x01\0\x01\0\0\0\x04\0\x3c\0\x3c\xce\x08\0\0\0\0\0\0\xce",
        b"\x02\0\x01\0\0\0\x16\0\0\0\x12\x01nl\xff\xff\xff\xff\xff\xff\xff\xfb\x01tS\0\0\0\x01x\xce",
    ];
    const KAFKA: &[&[u8]] = &[
        b"\0\0\0\x01\0\0\0\x07\0\x01h\0\0\x23\x84\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01t\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0",
        b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x2a",
    ];

    proptest! {
        #[test]
        fn redis(input in mutated(REDIS)) {
            super::redis(&input);
        }

        #[test]
        fn nats(input in mutated(NATS)) {
            super::nats(&input);
        }

        #[test]
        fn rabbitmq(input in mutated(RABBITMQ)) {
            super::rabbitmq(&input);
        }

        #[test]
        fn kafka(input in mutated(KAFKA)) {
            super::kafka(&input);
        }
    }
}
