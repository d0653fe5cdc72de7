//! What an authority says of a certificate, for clients that ask.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use tidegate_testkit::{component, servers::Authority};

use crate::{
    node::Running,
    secure::{listener, scripted},
};

const ROUTES: &str = "routes: [{ lua: { content: ngx.print(1) } }]";

/// What a client of OpenSSL says that asks.
fn asked(addr: SocketAddr, authority: &Authority) -> String {
    let openssl = component("openssl").unwrap();
    let output = Command::new(openssl)
        .args(["s_client", "-status", "-servername", "localhost", "-connect", &addr.to_string(), "-CAfile"])
        .arg(authority.certificate())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_file_is_sent_to_who_asks() {
    let Some(authority) = Authority::new() else { return };
    let staple = authority.staple(&authority.server().0);
    let plain = listener(&[authority.server()]);
    let stapled = plain.replace(" }] }", &format!(", staple: \"{}\" }}] }}", staple.display()));
    assert_ne!(plain, stapled);
    let said = asked(Running::start(&(stapled + ROUTES)).addr(), &authority);
    assert!(said.contains("OCSP Response Status: successful"), "{said}");
    assert!(said.contains("Cert Status: good") && said.contains("Verify return code: 0"), "{said}");
    let said = asked(Running::start(&(plain + ROUTES)).addr(), &authority);
    assert!(said.contains("OCSP response: no response sent"), "{said}");
}

#[test]
fn a_script_asks_the_authority_and_passes_its_answer_on() {
    let Some(authority) = Authority::new() else { return };
    let told = ["-addext", "authorityInfoAccess=OCSP;URI:http://127.0.0.1:8888/status"];
    let (certificate, key) = authority.issue("told", "DNS:localhost", &told);
    let staple = authority.staple(&certificate);
    let read = |path: &Path| format!("io.open('{}'):read('*a')", path.display());
    let code = format!(
        "local ssl, ocsp = require 'ngx.ssl', require 'ngx.ocsp'
local own, authority = ssl.cert_pem_to_der({}), ssl.cert_pem_to_der({})
assert(ssl.clear_certs())
assert(ssl.set_der_cert(own))
assert(ssl.set_der_priv_key(ssl.priv_key_pem_to_der({})))
local chain = own .. authority
assert(ocsp.get_ocsp_responder_from_der_chain(chain) == 'http://127.0.0.1:8888/status')
assert(select(2, ocsp.get_ocsp_responder_from_der_chain(chain, 4)) == 'truncated')
assert(select(2, ocsp.get_ocsp_responder_from_der_chain(own .. own)) == 'issuer certificate not next to leaf')
assert(#ocsp.create_ocsp_request(chain) > 60)
local ok, next_time = assert(ocsp.validate_ocsp_response({}, chain))
assert(next_time > ngx.time() + 80000 and next_time < ngx.time() + 90000)
assert(select(2, ocsp.validate_ocsp_response({}, authority .. authority)) ~= nil)
assert(ocsp.set_ocsp_status_resp({}))",
        read(&certificate),
        read(&authority.certificate()),
        read(&key),
        read(&staple),
        read(&staple),
        read(&staple)
    );
    let running = Running::start(&scripted(&authority, &code, ROUTES));
    let said = asked(running.addr(), &authority);
    assert!(
        said.contains("Cert Status: good") && said.contains("CN = told") || said.contains("CN=told"),
        "{said}"
    );
}
