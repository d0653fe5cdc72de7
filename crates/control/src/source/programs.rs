//! Whether the programs of a configuration can be run. They are looked for as they will be when instances start.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Where programs are looked for if nothing says where.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why `program` cannot be run, if it cannot.
pub(super) fn why_not(program: &str) -> Option<String> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    // What stands in its place is known when it starts.
    if program.contains("{port}") { None } else { missed(program, env::split_paths(&path)) }
}

fn missed(program: &str, folders: impl Iterator<Item = PathBuf>) -> Option<String> {
    if program.contains('/') {
        return look(Path::new(program)).err();
    }
    let mut unfit = None;
    for folder in folders {
        match look(&folder.join(program)) {
            Ok(()) => return None,
            Err(why) if why == MISSING => {}
            Err(why) => unfit = unfit.or(Some(why)),
        }
    }
    Some(unfit.unwrap_or_else(|| "no folder of `PATH` has it".to_owned()))
}

const MISSING: &str = "there is no such file";

fn look(path: &Path) -> Result<(), String> {
    let about = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MISSING.to_owned(),
        _ => format!("{}: {error}", path.display()),
    })?;
    if !about.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    if about.permissions().mode() & 0o111 == 0 {
        return Err(format!("nobody may execute {} (`chmod +x`)", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_as_they_will_be_when_they_start() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["first", "second"] {
            fs::create_dir(at(name)).unwrap();
        }
        for (name, mode) in [("first/plain", 0o644), ("first/twice", 0o644), ("second/twice", 0o755)] {
            fs::write(at(name), "").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let missed = |program: &str| missed(program, ["none", "first", "second"].map(at).into_iter());
        let text = |name: &str| at(name).display().to_string();
        assert_eq!(missed("twice"), None, "the second can be run");
        assert_eq!(missed(&text("second/twice")), None);
        assert_eq!(missed("nowhere").unwrap(), "no folder of `PATH` has it");
        assert_eq!(missed(&text("nowhere")).unwrap(), MISSING);
        let plain = format!("nobody may execute {} (`chmod +x`)", text("first/plain"));
        assert_eq!([missed("plain"), missed(&text("first/plain"))], [Some(plain.clone()), Some(plain)]);
        assert_eq!(missed(&text("first")).unwrap(), format!("{} is no file", text("first")));
        assert_eq!(why_not("sh"), None);
        assert_eq!(why_not("./server-{port}"), None, "nobody knows yet");
    }
}
