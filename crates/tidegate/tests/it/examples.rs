//! The examples are right, and do what they say.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::TIDEGATE;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[test]
fn every_example_is_valid_and_without_warnings() {
    let files = std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(!files.is_empty());
    for file in files {
        let output = Command::new(TIDEGATE).arg("check").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", file.display());
        assert!(said.contains("0 errors, 0 warnings"), "{}: {said}", file.display());
    }
}
