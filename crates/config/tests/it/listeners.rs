//! TLS of listeners and of upstreams: certificates and keys.

use std::{io, path::Path};

use tidegate_config::Diagnostic;
use tidegate_core::{
    Snapshot,
    snapshot::{CertificateFiles, ServerTls, TlsVersions, UpstreamTls},
};

const EC: (&str, &str) =
    (include_str!("../../../tls/src/sample/ec.pem"), include_str!("../../../tls/src/sample/ec.key"));
const RSA: (&str, &str) =
    (include_str!("../../../tls/src/sample/rsa.pem"), include_str!("../../../tls/src/sample/rsa.key"));

fn read(path: &Path) -> io::Result<String> {
    let text = match path.to_str().unwrap() {
        "conf/ec.pem" => EC.0,
        "conf/ec.key" => EC.1,
        "conf/rsa.pem" => RSA.0,
        "conf/rsa.key" => RSA.1,
        "conf/cert.lua" => "-- fine",
        "conf/ec.ocsp" => return Err(io::ErrorKind::InvalidData.into()),
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(text.to_owned())
}

fn parse(listener: &str) -> (Option<Snapshot>, Vec<Diagnostic>) {
    let text = format!("listeners:\n- address: 0.0.0.0:8443\n  {listener}\n");
    tidegate_config::parse("conf/tidegate.yaml", &text, &read)
}

fn tls(listener: &str) -> ServerTls {
    let (snapshot, diagnostics) = parse(listener);
    let snapshot = snapshot.unwrap_or_else(|| panic!("{diagnostics:#?}"));
    snapshot.listeners[0].tls.clone().unwrap()
}

fn files(name: &str) -> CertificateFiles {
    CertificateFiles {
        certificate: format!("conf/{name}.pem").into(),
        key: format!("conf/{name}.key").into(),
        staple: None,
    }
}

#[test]
fn certificates_are_files_with_their_keys() {
    let ec = "{ certificate: ec.pem, key: ec.key }";
    assert_eq!(tls(&format!("tls: {ec}")).certificates, [files("ec")]);
    let both = format!("tls: [{ec}, {{ certificate: rsa.pem, key: rsa.key }}]");
    let both = tls(&both);
    assert_eq!(both.certificates, [files("ec"), files("rsa")]);
    assert!(both.ssl_certificate.is_none());
    let stapled = tls("tls: { certificate: ec.pem, key: ec.key, staple: ec.ocsp }");
    assert_eq!(stapled.certificates[0].staple.as_deref(), Some(Path::new("conf/ec.ocsp")));
    assert_eq!(stapled.versions, TlsVersions { tls12: true, tls13: true });
    let strict = tls("tls: { certificate: ec.pem, key: ec.key }\n  tlsProtocols: [TLSv1.3]");
    assert_eq!(strict.versions, TlsVersions { tls12: false, tls13: true });
    let by_script = tls("tls: []\n  lua: { sslCertificate: cert.lua }");
    assert!(by_script.certificates.is_empty());
    assert_eq!(&*by_script.ssl_certificate.unwrap().name, "conf/cert.lua");
}

#[test]
fn what_is_wrong_with_them_is_told_where_it_stands() {
    for (listener, expected) in [
        ("tls: { certificate: ec.pem, key: none.key }", "3:36 cannot read `none.key`: entity not found"),
        ("tls: { certificate: none.pem, key: ec.key }", "3:23 cannot read `none.pem`: entity not found"),
        (
            "tls: { certificate: ec.pem, key: rsa.key }",
            "3:36 `rsa.key`: the key is not that of the certificate",
        ),
        ("tls: { certificate: ec.key, key: ec.key }", "3:23 `ec.key`: there is no certificate in it"),
        (
            "tls: { certificate: ec.pem, key: ec.pem }",
            "3:36 `ec.pem`: there is no private key in it that is not encrypted",
        ),
        (
            "tls: { certificate: ec.pem, key: ec.key, staple: none.ocsp }",
            "3:52 cannot read `none.ocsp`: entity not found",
        ),
        (
            "tls: { certificate: ec.pem, key: ec.key, staple: ec.pem }",
            "3:52 `ec.pem`: it is no OCSP response",
        ),
        (
            "clientCertificates: { trustedCertificate: ec.pem }",
            "3:23 `clientCertificates` is for listeners with `tls`",
        ),
        ("lua: { sslClientHello: cert.lua }", "3:26 `sslClientHello` is for listeners with `tls`"),
        ("lua: { sslSessionFetch: cert.lua }", "3:27 `sslSessionFetch` is for listeners with `tls`"),
        ("lua: { sslSessionStore: cert.lua }", "3:27 `sslSessionStore` is for listeners with `tls`"),
        (
            "tls: { certificate: ec.pem, key: ec.key }\n  clientCertificates: { trustedCertificate: ec.key }",
            "4:45 `ec.key`: there is no certificate in it",
        ),
        ("tlsProtocols: [TLSv1.3]", "3:17 `tlsProtocols` is for listeners with `tls`"),
        ("tls: { certificate: ec.pem, key: ec.key }\n  tlsProtocols: []", "4:17 no version of TLS"),
        (
            "tls: { certificate: ec.pem, key: ec.key }\n  tlsProtocols: [TLSv1.1]",
            "4:18 `TLSv1.1` is not a version of TLS that is spoken; did you mean `TLSv1.2`?",
        ),
        ("tls: []", "3:8 no certificate"),
        ("tls: ec.pem", "3:8 expected certificates with their keys, found the text `ec.pem`"),
        ("lua: { sslCertificate: cert.lua }", "3:26 `sslCertificate` is for listeners with `tls`"),
    ] {
        let (snapshot, diagnostics) = parse(listener);
        assert!(snapshot.is_none(), "{listener}");
        let told: Vec<_> =
            diagnostics.iter().map(|one| format!("{}:{} {}", one.line, one.column, one.message)).collect();
        assert_eq!(told, [expected], "{listener}");
        assert!(diagnostics.iter().all(|one| one.help.is_some()));
    }
}

fn upstream(tls: &str) -> (Option<Snapshot>, Vec<String>) {
    let text = format!(
        "listeners: [{{ address: 0.0.0.0:80 }}]\nupstreams:\n  up: {{ endpoints: [a.test:443], tls: {tls} }}\n\
         routes: [{{ upstream: up }}]\n"
    );
    let (snapshot, diagnostics) = tidegate_config::parse("conf/tidegate.yaml", &text, &read);
    let told = diagnostics.iter().map(|one| format!("{}:{} {}", one.line, one.column, one.message));
    (snapshot, told.collect())
}

#[test]
fn an_upstream_says_whom_it_trusts_and_what_it_shows() {
    let read = |tls: &str| {
        let (snapshot, told) = upstream(tls);
        snapshot.unwrap_or_else(|| panic!("{told:?}")).upstreams.into_values().next().unwrap().tls.unwrap()
    };
    let plain = UpstreamTls { server_name: None, verify: true, trusted: None, identity: None };
    assert_eq!(read("{}"), plain);
    assert_eq!(
        read(
            "{ serverName: '[::1]', verify: false, trustedCertificate: rsa.pem, clientCertificate: ec.pem, clientKey: ec.key }"
        ),
        UpstreamTls {
            server_name: Some("::1".into()),
            verify: false,
            trusted: Some("conf/rsa.pem".into()),
            identity: Some(files("ec")),
        }
    );
}

#[test]
fn what_is_wrong_with_tls_of_an_upstream_is_told_where_it_stands() {
    for (tls, expected) in [
        ("{ serverName: 'https://a' }", "3:53 `https://a` is not the name of a host"),
        ("{ trustedCertificate: none.pem }", "3:61 cannot read `none.pem`: entity not found"),
        ("{ trustedCertificate: ec.key }", "3:61 `ec.key`: there is no certificate in it"),
        ("{ clientCertificate: ec.pem }", "3:60 `clientCertificate` is of no use without `clientKey`"),
        ("{ clientKey: ec.key }", "3:52 `clientKey` is of no use without `clientCertificate`"),
        (
            "{ clientCertificate: ec.pem, clientKey: rsa.key }",
            "3:79 `rsa.key`: the key is not that of the certificate",
        ),
    ] {
        let (snapshot, told) = upstream(tls);
        assert!(snapshot.is_none(), "{tls}");
        assert_eq!(told, [expected], "{tls}");
    }
}
