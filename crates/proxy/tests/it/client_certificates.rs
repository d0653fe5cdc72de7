//! Clients that show certificates of theirs.

use std::{fs, process::Command};

use tidegate_testkit::{component, servers::Authority};

use crate::{
    node::Running,
    secure::{Trusting, listener},
};

/// A listener that asks clients for certificates of that authority, and what it tells of them.
fn asking(authority: &Authority, of: &Authority, verify: &str, say: &str) -> Running {
    let listener = listener(&[authority.server()]);
    let asked = format!(
        "clientCertificates: {{ trustedCertificate: \"{}\", verify: {verify} }}",
        of.certificate().display()
    );
    let listener = listener.replace(" }]\n", &format!(", {asked} }}]\n"));
    let code = format!("local v = ngx.var ngx.print({say})");
    Running::with_workers(1, &(listener + &format!("routes: [{{ lua: {{ content: \"{code}\" }} }}]")))
}

const VERIFY: &str = "v.ssl_client_verify, ' ', v.ssl_session_reused";

/// What a client is told, and whether it is served.
fn told(running: &Running, trusting: &Trusting) -> (u16, String) {
    let answer = trusting.connect(running.addr()).get("/").unwrap();
    (answer.status, answer.text().to_owned())
}

#[test]
fn who_has_none_or_a_bad_one_is_told_so() {
    let Some(authority) = Authority::new() else { return };
    let Some(stranger) = Authority::new() else { return };
    let (good, bad) = (authority.client(), stranger.client());
    // The stranger goes by the same name as the authority, so it is the signature that gives it away.
    let why = "FAILED:certificate signature failure";
    for (verify, [nothing, shown, foreign]) in [
        (
            "required",
            [
                (400, "No required SSL certificate was sent"),
                (200, "SUCCESS"),
                (400, "The SSL certificate error"),
            ],
        ),
        ("optional", [(200, "NONE"), (200, "SUCCESS"), (400, "The SSL certificate error")]),
        ("optionalNoCa", [(200, "NONE"), (200, "SUCCESS"), (200, why)]),
    ] {
        let running = asking(&authority, &authority, verify, VERIFY);
        for (trusting, (status, text)) in [
            (Trusting::new(&authority), nothing),
            (Trusting::showing(&authority, good.clone()), shown),
            (Trusting::showing(&authority, bad.clone()), foreign),
        ] {
            let (is, said) = told(&running, &trusting);
            assert_eq!(is, status, "{verify}: {said}");
            assert!(said.contains(text), "{verify}: {said}");
        }
    }
}

#[test]
fn a_session_that_is_resumed_is_judged_again() {
    let Some(authority) = Authority::new() else { return };
    let Some(stranger) = Authority::new() else { return };
    let running = asking(&authority, &authority, "required", VERIFY);
    let trusting = Trusting::showing(&authority, authority.client());
    assert_eq!(told(&running, &trusting), (200, "SUCCESS .".into()));
    assert_eq!(told(&running, &trusting), (200, "SUCCESS r".into()));
    let mut running = running;
    let listener = listener(&[authority.server()]);
    let asked =
        format!("clientCertificates: {{ trustedCertificate: \"{}\" }}", stranger.certificate().display());
    running.reload(
        &(listener.replace(" }]\n", &format!(", {asked} }}]\n"))
            + "routes: [{ lua: { content: ngx.print(1) } }]"),
    );
    assert_eq!(told(&running, &trusting).0, 400);
}

#[test]
fn a_certificate_is_told_in_nginx_s_variables() {
    let Some(authority) = Authority::new() else { return };
    let Some(openssl) = component("openssl") else { return };
    let client = authority.issue("named", "DNS:c.test", &["-subj", "/C=DE/O=A, B/CN=c/emailAddress=c@d"]);
    let variables = ["s_dn", "i_dn", "serial", "fingerprint", "s_dn_legacy", "v_end", "v_remain", "raw_cert"];
    let say = variables.map(|name| format!("v.ssl_client_{name}")).join(", '|', ");
    let running = asking(&authority, &authority, "optional", &say);
    let (_, text) = told(&running, &Trusting::showing(&authority, client.clone()));
    let told: Vec<_> = text.split('|').collect();
    let shown = |words: &[&str]| {
        let output =
            Command::new(&openssl).args(["x509", "-noout", "-in"]).arg(&client.0).args(words).output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        output.trim().split_once('=').unwrap().1.to_owned()
    };
    assert_eq!(told[0], shown(&["-subject", "-nameopt", "rfc2253"]));
    assert_eq!(told[0], r"emailAddress=c@d,CN=c,O=A\, B,C=DE");
    assert_eq!(told[1], shown(&["-issuer", "-nameopt", "rfc2253"]));
    assert_eq!(told[2], shown(&["-serial"]));
    assert_eq!(told[3], shown(&["-fingerprint", "-sha1"]).replace(':', "").to_lowercase());
    assert_eq!(told[4], "/C=DE/O=A, B/CN=c/emailAddress=c@d");
    assert_eq!(told[5], shown(&["-enddate"]));
    assert!(["1", "2"].contains(&told[6]), "{}", told[6]);
    assert_eq!(told[7].trim(), fs::read_to_string(&client.0).unwrap().trim());
    let nothing = told_nothing(&running, &authority, variables.len());
    assert_eq!(nothing, vec!["nil"; variables.len()]);
}

/// The same variables without a certificate.
fn told_nothing(running: &Running, authority: &Authority, count: usize) -> Vec<String> {
    let (_, text) = told(running, &Trusting::new(authority));
    let parts: Vec<_> = text.split('|').map(str::to_owned).collect();
    assert_eq!(parts.len(), count);
    parts
}

#[test]
fn curl_shows_its_certificate() {
    let Some(authority) = Authority::new() else { return };
    let Some(curl) = component("curl") else { return };
    let running = asking(&authority, &authority, "required", "v.ssl_client_s_dn");
    let (certificate, key) = authority.client();
    let run = |more: &[&std::ffi::OsStr]| {
        let mut command = Command::new(&curl);
        command.args(["-s", "-w", " %{http_code}", "--cacert"]).arg(authority.certificate());
        let output = command.arg(format!("https://{}/", running.addr())).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = ["--cert".as_ref(), certificate.as_os_str(), "--key".as_ref(), key.as_os_str()];
    assert_eq!(run(&shown), format!("CN={} 200", Authority::CLIENT));
    assert!(run(&[]).ends_with(" 400"), "{}", run(&[]));
}
