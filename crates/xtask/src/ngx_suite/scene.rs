//! Where one case is played: a scratch folder, a port, and what the placeholders of the case stand for.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, SystemTime},
};

use tidegate_testkit::is_free;

use super::case::{Text, UserFile};

/// A page for whoever asks for none in particular.
const INDEX: &str = "<html><head><title>It works!</title></head><body>It works!</body></html>";

#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) folder: PathBuf,
    /// The checkout that cases refer to.
    pub(crate) root: PathBuf,
    pub(crate) port: u16,
    fixed: Vec<(&'static str, String)>,
    /// Ports that a case asked for by name.
    ports: RefCell<HashMap<Vec<u8>, u16>>,
}

impl Scene {
    pub(crate) fn new(folder: PathBuf, root: &Path) -> io::Result<Self> {
        let port = free_port()?;
        let display = |path: &Path| path.display().to_string();
        let environment =
            |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let fixed = vec![
            ("TEST_NGINX_SERVER_PORT", port.to_string()),
            ("TEST_NGINX_PORT", port.to_string()),
            ("TEST_NGINX_CLIENT_PORT", port.to_string()),
            ("TEST_NGINX_SERVER_SSL_PORT", free_port()?.to_string()),
            ("TEST_NGINX_HTML_DIR", display(&folder.join("html"))),
            ("TEST_NGINX_NXSOCK", display(&folder.join("html"))),
            ("TEST_NGINX_SERVER_ROOT", display(&folder)),
            ("TEST_NGINX_SERVROOT", display(&folder)),
            ("TEST_NGINX_ERR_LOG", display(&folder.join("logs/error.log"))),
            ("TEST_NGINX_CWD", display(root)),
            ("TEST_NGINX_CERT_DIR", display(&root.join("t"))),
            ("TEST_NGINX_HOTLOOP", "10".into()),
            ("TEST_NGINX_SERVER_IP", environment("TEST_NGINX_SERVER_IP", "127.0.0.2")),
            ("TEST_NGINX_RESOLVER", "127.0.0.1".into()),
            ("TEST_NGINX_MEMCACHED_PORT", environment("TEST_NGINX_MEMCACHED_PORT", "11211")),
            ("TEST_NGINX_REDIS_PORT", environment("TEST_NGINX_REDIS_PORT", "6379")),
            ("TEST_NGINX_MYSQL_HOST", environment("TEST_NGINX_MYSQL_HOST", "127.0.0.1")),
            ("TEST_NGINX_MYSQL_PORT", environment("TEST_NGINX_MYSQL_PORT", "3306")),
            ("TEST_NGINX_MYSQL_PATH", environment("TEST_NGINX_MYSQL_PATH", "/run/mysqld/mysqld.sock")),
            ("TEST_NGINX_LUA_PACKAGE_PATH", "./lib/?.lua;;".into()),
            ("TEST_NGINX_USE_HTTP3", String::new()),
            // What a test of `os.getenv` sets by itself.
            ("TEST_NGINX_BAR", "world".into()),
        ];
        Ok(Self { folder, root: root.to_owned(), port, fixed, ports: RefCell::default() })
    }

    /// What a process of this scene finds in its environment.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let set = self.fixed.iter().filter(|(_, value)| !value.is_empty());
        set.map(|(name, value)| (*name, value.as_str()))
    }

    /// The text with its placeholders filled in; unknown ones stay.
    pub(crate) fn fill(&self, text: &Text) -> Vec<u8> {
        const MARK: &[u8] = b"$TEST_NGINX_";
        let mut rest = text.0.as_slice();
        let mut filled = Vec::with_capacity(rest.len());
        while let Some(at) = find(rest, MARK) {
            filled.extend_from_slice(&rest[..at]);
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let length = rest[at + 1..].iter().take_while(|byte| is_word(byte)).count();
            let name = &rest[at + 1..at + 1 + length];
            match self.value(name) {
                Some(value) => filled.extend_from_slice(value.as_bytes()),
                None => filled.extend_from_slice(&rest[at..at + 1 + length]),
            }
            rest = &rest[at + 1 + length..];
        }
        filled.extend_from_slice(rest);
        filled
    }

    pub(crate) fn fill_text(&self, text: &Text) -> String {
        String::from_utf8_lossy(&self.fill(text)).into_owned()
    }

    fn value(&self, name: &[u8]) -> Option<String> {
        if name.starts_with(b"TEST_NGINX_RAND_PORT_") {
            let mut ports = self.ports.borrow_mut();
            if let Some(port) = ports.get(name) {
                return Some(port.to_string());
            }
            let port = free_port().ok()?;
            ports.insert(name.to_vec(), port);
            return Some(port.to_string());
        }
        self.fixed.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("logs/error.log")
    }

    /// Makes the folders and the files of the case.
    pub(crate) fn furnish(&self, files: &[UserFile]) -> io::Result<()> {
        for folder in ["html", "logs", "conf"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        fs::write(self.folder.join("html/index.html"), INDEX)?;
        fs::write(self.log(), "")?;
        for file in files {
            // An absolute name replaces the folder.
            let path = self.folder.join("html").join(&file.name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, self.fill(&file.content))?;
            if let Some(seconds) = file.mtime {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds.max(0.0));
                fs::File::options().write(true).open(&path)?.set_modified(time)?;
            }
        }
        Ok(())
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing connections.
pub(crate) fn free_port() -> io::Result<u16> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runners on one machine should not go through the same ports in step.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (turn % COUNT + start) % COUNT;
        if is_free((Ipv4Addr::LOCALHOST, port).into()) {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port"))
}

/// Where `needle`, which is not empty, begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        Scene::new(PathBuf::from("/scratch"), Path::new("/checkout")).unwrap()
    }

    fn fill(scene: &Scene, text: &str) -> String {
        scene.fill_text(&Text(text.into()))
    }

    #[test]
    fn placeholders_become_what_they_stand_for() {
        let scene = scene();
        assert_eq!(fill(&scene, "a $TEST_NGINX_HTML_DIR/b"), "a /scratch/html/b");
        assert_eq!(fill(&scene, "$TEST_NGINX_SERVER_PORT"), scene.port.to_string());
    }

    #[test]
    fn what_is_no_placeholder_stays() {
        assert_eq!(fill(&scene(), "$TEST_NGINX_NOTHING $foo $"), "$TEST_NGINX_NOTHING $foo $");
    }

    #[test]
    fn a_named_port_stays_the_same_within_a_case() {
        let scene = scene();
        let first = fill(&scene, "$TEST_NGINX_RAND_PORT_1");
        assert_eq!(fill(&scene, "$TEST_NGINX_RAND_PORT_1"), first);
        assert_ne!(fill(&scene, "$TEST_NGINX_RAND_PORT_2"), first);
    }
}
