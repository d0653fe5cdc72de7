//! Kafka, by a broker that is written down here byte by byte: no distribution has one that a test could start.
//!
//! It answers the versions that are asked for, as the protocol's description has them, and closes on any other.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use tidegate_core::snapshot::{Kafka, Login, System};
use tidegate_testkit::Upstream;

use crate::{Asked, server};

fn text(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn count(of: usize) -> [u8; 4] {
    i32::try_from(of).unwrap().to_be_bytes()
}

/// Answers one connection. Two partitions from 10 to 110 and from 0 to 50; the group has committed 100 of the first.
fn serve(mut stream: TcpStream, topic_error: i16) {
    let port = i32::from(stream.local_addr().unwrap().port());
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut request = vec![0; i32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).unwrap();
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let mut body = request[4..8].to_vec();
        let mut put = |bytes: &[u8]| body.extend_from_slice(bytes);
        let int = i32::to_be_bytes;
        // The last timestamp asked for says whether the end or the beginning is meant.
        let of_end = request.ends_with(&(-1_i64).to_be_bytes());
        match (number(0), number(2)) {
            (3, 1) => {
                put(&[&int(1)[..], &int(7), &text("127.0.0.1"), &int(port), &(-1_i16).to_be_bytes()].concat());
                put(&[&int(7)[..], &int(1), &topic_error.to_be_bytes(), &text("orders"), &[0]].concat());
                put(&int(2));
                for partition in 0..2 {
                    put(&[&[0, 0], &int(partition)[..], &int(7), &int(1), &int(7), &int(1), &int(7)].concat());
                }
            }
            (2, 1) => {
                let asked = if of_end { [(0, 110_i64), (1, 50)].to_vec() } else { vec![(1, 0)] };
                put(&[&int(1)[..], &text("orders"), &count(asked.len())].concat());
                for (partition, offset) in asked {
                    put(&[&int(partition)[..], &[0, 0], &(-1_i64).to_be_bytes(), &offset.to_be_bytes()]
                        .concat());
                }
            }
            (10, 0) => put(&[&[0, 0], &int(7)[..], &text("127.0.0.1"), &int(port)].concat()),
            (9, 1) => {
                put(&[&int(1)[..], &text("orders"), &int(2)].concat());
                for (partition, offset) in [(0, 100_i64), (1, -1)] {
                    put(&[&int(partition)[..], &offset.to_be_bytes(), &text(""), &[0, 0]].concat());
                }
            }
            _ => return,
        }
        stream.write_all(&[&count(body.len())[..], &body].concat()).unwrap();
    }
}

fn asked(broker: &Upstream) -> Asked {
    Asked::new(System::Kafka(Kafka {
        servers: vec![server("kafka://127.0.0.1:1"), server(&format!("kafka://{}", broker.addr()))],
        login: Login::default(),
        topic: "orders".into(),
        group: "workers".into(),
    }))
}

#[test]
fn the_lag_of_a_group_is_what_it_has_not_committed() {
    let broker = Upstream::start_raw(|stream, _| serve(stream, 0));
    // 10 of the first partition; all 50 of the second, of which nothing was committed.
    asked(&broker).sees(60.0);
}

#[test]
fn a_topic_that_is_not_there_is_no_lag_of_zero() {
    let broker = Upstream::start_raw(|stream, _| serve(stream, 3));
    let told = asked(&broker).fails();
    assert!(told.contains("no such topic"), "{told}");
}
