//! A certificate authority, for servers that speak TLS and clients that show who they are.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::output;
use crate::wait::component;

/// Signs one server, `localhost` and 127.0.0.1, and one client, `CLIENT`.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// What the client's certificate says it is.
    pub const CLIENT: &str = "tidegate-client";

    /// `None`: there is no `openssl` to make certificates with.
    pub fn new() -> Option<Self> {
        let openssl = component("openssl")?;
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        // Servers that run as somebody else read it, too.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let make = |words: &[&str]| {
            let mut command = Command::new(&openssl);
            command.current_dir(folder.path()).args(["req", "-x509", "-nodes", "-days", "2"]);
            command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]).args(words);
            output(&mut command).unwrap_or_else(|| panic!("openssl {words:?} failed"));
        };
        make(&["-subj", "/CN=authority of this test", "-keyout", "ca.key", "-out", "ca.pem"]);
        let sign = |name: &str, subject: &str, extra: &[&str]| {
            let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
            let signed =
                ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:false"];
            let named = ["-subj", subject, "-keyout", &key, "-out", &pem];
            make(&[&signed[..], &named, extra].concat());
        };
        sign("server", "/CN=localhost", &["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        sign("client", &format!("/CN={}", Self::CLIENT), &[]);
        for key in ["server.key", "client.key"] {
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(folder.path().join(key), mode).expect("it was made");
        }
        Some(Self { folder })
    }

    /// Another certificate, for these names as OpenSSL writes them (`DNS:a.test`), with more for `openssl req`; and its key.
    pub fn issue(&self, name: &str, names: &str, more: &[&str]) -> (PathBuf, PathBuf) {
        let openssl = component("openssl").expect("it was there before");
        let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
        let mut command = Command::new(openssl);
        command.current_dir(self.folder.path()).args(["req", "-x509", "-nodes", "-days", "2"]);
        command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        command.args(["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:false"]);
        command.args(["-addext", &format!("subjectAltName={names}"), "-subj", &format!("/CN={name}")]);
        command.args(["-keyout", &key, "-out", &pem]).args(more);
        output(&mut command).unwrap_or_else(|| panic!("no certificate for {names}"));
        (self.path(&pem), self.path(&key))
    }

    /// What it says of that certificate, which it has signed: that it is good, for a day.
    pub fn staple(&self, certificate: &Path) -> PathBuf {
        let openssl = component("openssl").expect("it was there before");
        let run = |command: &mut Command| {
            output(command.current_dir(self.folder.path())).unwrap_or_else(|| panic!("{command:?} failed"))
        };
        let number = run(Command::new(&openssl).args(["x509", "-noout", "-serial", "-in"]).arg(certificate));
        let number = number.trim_start_matches("serial=");
        fs::write(self.path("index"), format!("V\t491231235959Z\t\t{number}\tunknown\t/CN=it\n"))
            .expect("the folder is ours");
        let staple = certificate.with_extension("ocsp");
        let asked = ["ocsp", "-index", "index", "-CA", "ca.pem", "-issuer", "ca.pem", "-rsigner", "ca.pem"];
        let answered = ["-rkey", "ca.key", "-ndays", "1", "-noverify", "-cert"];
        let mut command = Command::new(&openssl);
        run(command.args(asked).args(answered).arg(certificate).arg("-respout").arg(&staple));
        staple
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The certificate of a server, and its key.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.path("server.pem"), self.path("server.key"))
    }

    /// The certificate of the client, and its key.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.path("client.pem"), self.path("client.key"))
    }

    /// Copies what a server needs that insists on owning it.
    pub(super) fn copy_to(&self, folder: &Path) {
        for name in ["ca.pem", "server.pem", "server.key"] {
            let copy = folder.join(name);
            fs::copy(self.path(name), &copy).expect("it can be copied");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
    }

    /// What programs are told of it, with the option for each of: authority, certificate, key.
    pub(super) fn options(
        &self,
        [ca, certificate, key]: [&str; 3],
        (of, private): (PathBuf, PathBuf),
    ) -> Vec<OsString> {
        [(ca, self.certificate()), (certificate, of), (key, private)]
            .into_iter()
            .flat_map(|(option, path)| [option.into(), path.into()])
            .collect()
    }
}
