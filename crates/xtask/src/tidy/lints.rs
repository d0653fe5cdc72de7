//! Every crate is under the same lints, and every file where it is looked for.

use super::{Finding, TextFile, floors};

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    // What is fuzzed is in the workspace; what links libFuzzer to it is not.
    let manifests =
        files.iter().filter(|file| file.path.ends_with("/Cargo.toml") && file.path != "fuzz/Cargo.toml");
    let mut findings: Vec<_> = manifests.filter_map(check_manifest).collect();
    findings.extend(files.iter().filter(|file| file.path.ends_with("/mod.rs")).map(|file| {
        Finding::new(&file.path, None, "a module lies in NAME.rs beside its folder, not in mod.rs")
    }));
    findings.extend(check_clippy(files));
    findings
}

fn check_manifest(file: &TextFile) -> Option<Finding> {
    let mut lines = file.text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let shared = lines.next() == Some("workspace = true");
    (!shared).then(|| Finding::new(&file.path, None, "[lints] is to begin with workspace = true"))
}

/// The one crate on a pure floor that may reach out here and there; [`super::purity`] says where.
const EXCUSED: &str = "lua";

/// Clippy reads the nearest `clippy.toml` only, so one of a crate has to repeat the common part, and
/// each of the pure crates needs one that bans clocks, files and sockets.
fn check_clippy(files: &[TextFile]) -> Vec<Finding> {
    let common: Vec<&str> = text_of(files, "clippy.toml").lines().filter(|line| *line != "]").collect();
    let pure = text_of(files, "crates/core/clippy.toml");
    let mut findings = Vec::new();
    for krate in crates(files) {
        let path = format!("crates/{krate}/clippy.toml");
        let own = text_of(files, &path);
        let missing = common.iter().find(|line| !own.lines().any(|own| own == **line));
        if let Some(line) = missing.filter(|_| !own.is_empty()) {
            findings.push(Finding::new(
                &path,
                None,
                format!("does not repeat this line of the common one: {line}"),
            ));
        }
        if krate != EXCUSED && floors::floor(krate).is_some_and(|floor| floor <= 1) && own != pure {
            findings.push(Finding::new(
                &path,
                None,
                "is to equal crates/core/clippy.toml, as on all pure floors",
            ));
        }
    }
    findings
}

fn crates(files: &[TextFile]) -> impl Iterator<Item = &str> {
    files.iter().filter_map(|file| file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"))
}

fn text_of<'a>(files: &'a [TextFile], path: &str) -> &'a str {
    files.iter().find(|file| file.path == path).map_or("", |file| &file.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINTS: &str = "[package]\n\n[lints]\nworkspace = true\n";

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> =
            files.iter().map(|&(path, text)| TextFile { path: path.into(), text: text.into() }).collect();
        check(&files).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_crate_under_the_shared_lints_is_fine() {
        assert!(messages(&[("crates/proxy/Cargo.toml", LINTS), ("crates/proxy/src/http.rs", "")]).is_empty());
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_not() {
        for text in
            ["[package]\n", "[lints]\n", "[lints.rust]\nworkspace = true\n", "[lints]\nworkspace = false\n"]
        {
            assert_eq!(messages(&[("bench/proxy/Cargo.toml", text)]).len(), 1, "{text}");
        }
    }

    #[test]
    fn mod_files_are_found() {
        assert_eq!(messages(&[("crates/proxy/src/http/mod.rs", "")]).len(), 1);
    }

    #[test]
    fn a_pure_crate_needs_the_bans_of_its_floor() {
        let (common, pure) = ("a = 1\nb = [\n]\n", "a = 1\nb = [\n    clock,\n]\n");
        let base =
            [("clippy.toml", common), ("crates/core/Cargo.toml", LINTS), ("crates/core/clippy.toml", pure)];
        assert!(messages(&base).is_empty());
        let traffic = ("crates/traffic/Cargo.toml", LINTS);
        assert_eq!(messages(&[&base[..], &[traffic]].concat()).len(), 1);
        assert!(messages(&[&base[..], &[traffic, ("crates/traffic/clippy.toml", pure)]].concat()).is_empty());
    }

    #[test]
    fn the_common_part_is_repeated() {
        let found = messages(&[
            ("clippy.toml", "a = 1\n"),
            ("crates/proxy/Cargo.toml", LINTS),
            ("crates/proxy/clippy.toml", "c = 1\n"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
