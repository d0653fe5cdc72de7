//! Listeners that speak TLS: their certificates and keys.

use std::{io, path::Path};

use tidegate_config::Diagnostic;
use tidegate_core::{
    Snapshot,
    snapshot::{CertificateFiles, ServerTls},
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
