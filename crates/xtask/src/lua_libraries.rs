//! `cargo xtask lua-libraries`: libraries of others, unmodified, at work in a real `tidegate up`.
//!
//! The checkouts lie elsewhere. For each library there is a script that uses it for real: redis-server for lua-resty-redis,
//! the `openssl` command's server for HTTPS, the gateway's own routes for those that need a peer of HTTP. What comes out
//! is a table for the documentation.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tidegate_testkit::unused_address;

/// How long a program may take to listen, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(30);

macro_rules! scripts {
    ($folder:literal: $($name:literal),*) => {
        &[$(($name, include_str!(concat!("lua_libraries/", $folder, "/", $name, ".lua")))),*]
    };
}

/// Scripts that use a library each.
const USES: &[(&str, &str)] = scripts!("uses": "http", "jwt", "limit-traffic", "lock", "lrucache", "mlcache", "openidc", "redis",
    "session", "string", "template", "upload", "websocket");

/// What they speak to, by the path of its route.
const PEERS: &[(&str, &str)] = scripts!("peers": "echo", "jwks", "openidc", "session", "upload", "websocket");

const DICTIONARIES: [&str; 8] =
    ["caches", "caches_ipc", "discovery", "introspection", "jwks", "jwt_verification", "limits", "locks"];

/// Show that Lua libraries work unmodified.
#[derive(Debug, clap::Args)]
pub(crate) struct LuaLibraries {
    /// The folder with a checkout for each library, as `lua-resty-http`.
    #[arg(long, value_name = "FOLDER")]
    root: PathBuf,
    /// The program. Without it: the debug build, brought up to date.
    #[arg(long, value_name = "PATH")]
    tidegate: Option<PathBuf>,
}

impl LuaLibraries {
    /// Whether all of them work.
    pub(crate) fn run(&self, repository: &Path) -> Result<bool> {
        let root = self.root.canonicalize().with_context(|| format!("no folder {}", self.root.display()))?;
        let program = match &self.tidegate {
            Some(program) => program.clone(),
            None => build(repository)?,
        };
        let folder = env::temp_dir().join(format!("lua-libraries-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let outcome = run_all(&root, &program, &folder);
        fs::remove_dir_all(&folder)?;
        outcome
    }
}

fn build(repository: &Path) -> Result<PathBuf> {
    let built =
        Command::new(env!("CARGO")).args(["build", "-p", "tidegate"]).current_dir(repository).status()?;
    ensure!(built.success(), "tidegate does not build");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    Ok(target.join("debug/tidegate"))
}

fn run_all(root: &Path, program: &Path, folder: &Path) -> Result<bool> {
    let [redis, tls, gateway, admin] = std::array::from_fn(|_| unused_address());
    let _redis = Program::start(
        Command::new("redis-server")
            .args(["--save", "", "--port", &redis.port().to_string()])
            .current_dir(folder),
        redis,
    )?;
    let _tls = start_tls(folder, tls)?;
    let config = configuration(root, redis, tls, gateway, admin);
    let file = folder.join("tidegate.yaml");
    fs::write(&file, config.to_string())?;
    let _gateway = Program::start(Command::new(program).arg("up").arg(&file), gateway)?;
    let mut table = String::from("| library | at | outcome |\n| --- | --- | --- |\n");
    let mut all = true;
    for (name, _) in USES {
        let answer = get(gateway, &format!("/use/{name}")).unwrap_or_else(|error| format!("{error:#}"));
        all &= answer == "ok";
        let outcome = if answer == "ok" { "works" } else { &answer };
        let _ = writeln!(table, "| lua-resty-{name} | {} | {outcome} |", revision(root, name));
    }
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(all)
}

/// The commit that is checked out.
fn revision(root: &Path, name: &str) -> String {
    let checkout = root.join(format!("lua-resty-{name}"));
    let told = Command::new("git").args(["log", "-1", "--format=%h, %cs"]).current_dir(checkout).output();
    told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default()
}

fn configuration(
    root: &Path,
    redis: SocketAddr,
    tls: SocketAddr,
    gateway: SocketAddr,
    admin: SocketAddr,
) -> Value {
    let root_text = root.to_string_lossy();
    let fill = |script: &str| {
        script
            .replace("@ROOT@", &root_text)
            .replace("@REDIS@", &redis.port().to_string())
            .replace("@TLS@", &tls.port().to_string())
    };
    let route = |name: String, path: String, code: String| json!({ "name": name, "match": { "path": path }, "lua": { "content": code } });
    let uses = USES.iter().map(|(name, script)| {
        // Whatever a script raises is what the table shows.
        let code = format!(
            "local ok, why = pcall(function()\n{}\nend)\nngx.print(ok and 'ok' or tostring(why))\n",
            fill(script)
        );
        route(format!("use-{name}"), format!("/use/{name}"), code)
    });
    let peers =
        PEERS.iter().map(|(name, script)| route((*name).to_owned(), format!("/{name}"), fill(script)));
    let path: Vec<_> = USES
        .iter()
        .map(|(name, _)| {
            format!("{root_text}/lua-resty-{name}/lib/?.lua;{root_text}/lua-resty-{name}/lib/?/init.lua;")
        })
        .collect();
    let path = path.concat();
    let dictionaries: serde_json::Map<_, _> =
        DICTIONARIES.iter().map(|name| ((*name).to_owned(), json!("1MiB"))).collect();
    json!({
        "listeners": [{ "address": gateway.to_string() }],
        "admin": { "address": admin.to_string() },
        "workers": 1,
        "lua": { "packagePath": format!("{path};"), "sharedDicts": dictionaries },
        "routes": uses.chain(peers).collect::<Vec<_>>(),
    })
}

fn start_tls(folder: &Path, address: SocketAddr) -> Result<Program> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder)
        .output()
        .context("cannot run openssl")?;
    ensure!(made.status.success(), "openssl makes no certificate");
    let mut server = Command::new("openssl");
    server.args([
        "s_server",
        "-www",
        "-accept",
        &address.to_string(),
        "-cert",
        "certificate.pem",
        "-key",
        "key.pem",
    ]);
    Program::start(server.current_dir(folder), address)
}

/// A program that ends with this.
struct Program(Child);

impl Program {
    /// Starts it and waits until it listens.
    fn start(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut program = Self(child.with_context(|| format!("cannot run {name}"))?);
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = program.0.try_wait()? {
                bail!("{name} has ended ({status})");
            }
            ensure!(began.elapsed() < PATIENCE, "{name} does not listen on {address}");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(program)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The body of an answer.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    // The body is short and comes in one chunk, or with a length.
    let body = match body.split_once("\r\n") {
        Some((size, rest)) if usize::from_str_radix(size, 16).is_ok() => {
            rest.split("\r\n").next().unwrap_or_default()
        }
        _ => body,
    };
    Ok(body.trim().to_owned())
}
