//! Files that are compared as a whole. `TIDEGATE_BLESS=1` rewrites them; the difference is then reviewed.

use std::{fs, path::PathBuf};

#[expect(clippy::disallowed_methods, reason = "golden files are read, and rewritten when asked for")]
pub(crate) fn check(path: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(actual.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(expected.lines().count().min(actual.lines().count()));
    assert!(
        expected == actual,
        "{} is out of date from line {} on:\n- {}\n+ {}\nrun the tests with TIDEGATE_BLESS=1 and review the difference",
        path.display(),
        line + 1,
        expected.lines().nth(line).unwrap_or_default(),
        actual.lines().nth(line).unwrap_or_default(),
    );
}
