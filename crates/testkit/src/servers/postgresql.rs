//! PostgreSQL, with a password.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Authority, Process, output, ready};
use crate::{port::free_port, wait::component};

#[derive(Debug)]
pub struct Postgresql {
    _process: Process,
    port: u16,
    programs: PathBuf,
    _folder: TempDir,
}

impl Postgresql {
    /// What it takes to get in.
    pub const PASSWORD: &str = "s3cret-of-this-test";

    /// `None`: it is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// One that also speaks TLS, with clients that `authority` knows.
    pub fn start_secure(authority: &Authority) -> Option<Self> {
        Self::start_with(Some(authority))
    }

    fn start_with(authority: Option<&Authority>) -> Option<Self> {
        let programs = programs().or_else(|| component("initdb").map(|path| path.with_file_name("")))?;
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary directory can be made"));
        let (data, password) = (folder.path().join("data"), folder.path().join("password"));
        fs::write(&password, Self::PASSWORD).expect("a file can be written");
        // It refuses to run as root.
        output(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()));
        let mut make = as_postgres(&programs.join("initdb"));
        make.args(["-U", "postgres", "-A", "scram-sha-256", "--no-sync", "-D"]).arg(&data);
        make.arg("--pwfile").arg(&password);
        output(&mut make).expect("initdb succeeds");
        let mut serve = as_postgres(&programs.join("postgres"));
        serve.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", "", "-F"]);
        if let Some(authority) = authority {
            authority.copy_to(&data);
            let access = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n\
                          hostnossl all all 127.0.0.1/32 scram-sha-256\n";
            fs::write(data.join("pg_hba.conf"), access).expect("a file can be written");
            output(Command::new("chown").args(["-R", "postgres"]).arg(&data));
            for option in
                ["ssl=on", "ssl_ca_file=ca.pem", "ssl_cert_file=server.pem", "ssl_key_file=server.key"]
            {
                serve.args(["-c", option]);
            }
        }
        let process = Process::start(&mut serve);
        let server = Self { _process: process, port, programs, _folder: folder };
        ready("postgresql", || server.try_query("select 1").is_some());
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("postgresql://127.0.0.1:{}/postgres", self.port)
    }

    pub fn query(&self, text: &str) -> String {
        self.try_query(text).unwrap_or_else(|| panic!("psql {text} failed"))
    }

    fn try_query(&self, text: &str) -> Option<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-Atqc", text]);
        output(command.env("PGPASSWORD", Self::PASSWORD).env("PGSSLMODE", "disable"))
    }
}

/// Debian keeps them by version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").exists()).max()
}

fn as_postgres(program: &Path) -> Command {
    if fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
        return command;
    }
    Command::new(program)
}
