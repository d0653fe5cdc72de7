//! Kafka, by a broker that is written down here byte by byte: no distribution has one that a test could start.
//!
//! It answers the versions that are asked for, as the protocol's description has them, and closes on any other.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tidegate_core::snapshot::{Kafka, Login, Server, System};
use tidegate_testkit::{Upstream, servers::Authority};

use crate::{Asked, tls::check};

fn text(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn count(of: usize) -> [u8; 4] {
    i32::try_from(of).unwrap().to_be_bytes()
}

/// Answers one connection. Two partitions from 10 to 110 and from 0 to 50; the group has committed 100 of the first.
fn serve(mut stream: impl Read + Write, port: u16, topic_error: i16) {
    let port = i32::from(port);
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
                put(&[&int(1)[..], &int(7), &text("localhost"), &int(port), &(-1_i16).to_be_bytes()].concat());
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
            (10, 0) => put(&[&[0, 0], &int(7)[..], &text("localhost"), &int(port)].concat()),
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

fn port(stream: &TcpStream) -> u16 {
    stream.local_addr().unwrap().port()
}

fn system(broker: &Upstream, tls: bool) -> System {
    let server = |port| Server { tls, host: "localhost".into(), port };
    System::Kafka(Kafka {
        servers: vec![server(1), server(broker.addr().port())],
        login: Login::default(),
        topic: "orders".into(),
        group: "workers".into(),
    })
}

/// What a broker with TLS is set up with: only clients that `authority` knows are let in.
fn secure(authority: &Authority) -> Arc<ServerConfig> {
    let certificates = |path| -> Vec<_> { CertificateDer::pem_file_iter(path).unwrap().flatten().collect() };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(authority.certificate()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let (certificate, key) = authority.server();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let builder = builder.with_client_cert_verifier(clients.build().unwrap());
    Arc::new(builder.with_single_cert(certificates(certificate), key).unwrap())
}

#[test]
fn the_lag_of_a_group_is_what_it_has_not_committed() {
    let broker = Upstream::start_raw(|stream, _| serve(&stream, port(&stream), 0));
    // 10 of the first partition; all 50 of the second, of which nothing was committed.
    Asked::new(system(&broker, false)).sees(60.0);
}

#[test]
fn a_topic_that_is_not_there_is_no_lag_of_zero() {
    let broker = Upstream::start_raw(|stream, _| serve(&stream, port(&stream), 3));
    let told = Asked::new(system(&broker, false)).fails();
    assert!(told.contains("no such topic"), "{told}");
}

#[test]
fn kafka_speaks_tls() {
    let Some(authority) = Authority::new() else { return };
    let config = secure(&authority);
    let broker = Upstream::start_raw(move |stream, _| {
        let (port, session) = (port(&stream), ServerConnection::new(Arc::clone(&config)).unwrap());
        serve(StreamOwned::new(session, stream), port, 0);
    });
    check(&authority, 60.0, &system(&broker, true));
}
