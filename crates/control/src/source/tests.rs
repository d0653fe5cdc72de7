use super::*;

/// A source whose files are on disk and whose content need not be right.
fn source(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let source = Source::new(ConfigSource::File(directory.path().join("tidegate.yaml")));
    (directory, source)
}

#[test]
fn a_file_that_is_not_there_is_a_diagnostic() {
    let (_directory, mut source) = source(&[]);
    let Loaded { snapshot, diagnostics, .. } = source.load();
    assert!(snapshot.is_none());
    assert!(diagnostics[0].message.starts_with("cannot read the configuration"), "{diagnostics:?}");
}

#[test]
fn a_change_counts_once_it_has_settled() {
    let (directory, mut source) = source(&[("tidegate.yaml", "a")]);
    source.load();
    assert!(!source.changed());
    fs::write(directory.path().join("tidegate.yaml"), "ab").unwrap();
    assert!(!source.changed());
    fs::write(directory.path().join("tidegate.yaml"), "abc").unwrap();
    assert!(!source.changed());
    assert!(source.changed());
    source.load();
    assert!(!source.changed());
}

#[test]
fn a_file_that_goes_and_comes_back_the_same_counts() {
    let (directory, mut source) = source(&[("tidegate.yaml", "a")]);
    source.load();
    let path = directory.path().join("tidegate.yaml");
    fs::rename(&path, directory.path().join("aside")).unwrap();
    fs::write(&path, "a").unwrap();
    assert!(!source.changed());
    assert!(source.changed(), "another inode, or at least another time");
}

#[test]
fn lua_that_does_not_compile_is_a_mistake_at_its_place() {
    let config = "listeners: [{ address: 127.0.0.1:0 }]\nroutes:\n  - match: { path: /a }\n    lua:\n      content: |\n        ngx.say('fine')\n        local x = = 1\n  - match: { path: /b }\n    lua: { content: b.lua }\n";
    let (directory, mut source) = source(&[("tidegate.yaml", config), ("b.lua", "ngx.say(\n")]);
    let Loaded { snapshot, diagnostics, broken } = source.load();
    assert!(snapshot.is_some() && broken.len() == 2, "routes need them, not the gateway");
    let [inline, file] = &diagnostics[..] else { panic!("{diagnostics:#?}") };
    assert!(inline.file.ends_with("tidegate.yaml"), "{inline}");
    assert_eq!((inline.line, inline.column, inline.excerpt.as_deref()), (7, 1, Some("local x = = 1")));
    assert_eq!(file.file, directory.path().join("b.lua").display().to_string());
    assert!(file.message.starts_with("this Lua does not compile: "), "{file}");
}

#[test]
fn what_everything_needs_has_to_work() {
    let config = "listeners: [{ address: 127.0.0.1:0 }]\nlua: { init: init.lua }\n";
    let (directory, mut source) = source(&[("tidegate.yaml", config)]);
    assert!(source.load().snapshot.is_none(), "it is not there");
    fs::write(directory.path().join("init.lua"), "x = = 1").unwrap();
    assert!(source.load().snapshot.is_none(), "it does not compile");
    fs::write(directory.path().join("init.lua"), "x = 1").unwrap();
    let loaded = source.load();
    assert!(loaded.snapshot.is_some() && loaded.broken.is_empty());
}

#[test]
fn a_broken_script_is_the_same_one_wherever_it_stands() {
    let route = "routes: [{ match: { path: /a }, lua: { content: a.lua, log: 'x = = 1' } }]\n";
    let head = "listeners: [{ address: 127.0.0.1:0 }]\n";
    let (directory, mut source) = source(&[("tidegate.yaml", &format!("{head}{route}"))]);
    let before = source.load().broken;
    assert_eq!(before.len(), 2);
    fs::write(directory.path().join("tidegate.yaml"), format!("{head}\n# more\n{route}")).unwrap();
    assert_eq!(source.load().broken, before);
    fs::write(directory.path().join("a.lua"), "y = = 1").unwrap();
    assert!(!source.load().broken.is_subset(&before), "broken in another way");
}

#[test]
fn modules_that_are_missing_or_broken_are_warned_of() {
    let config = "listeners: [{ address: 127.0.0.1:0 }]
lua:
  packagePath: $prefix/?.lua;;
  init: |
    local fine = require \"fine\"
    require \"nothing\"
    require \"cjson.safe\" require \"ngx.balancer\"
    if fine then require \"optional\" end
routes:
  - match: { path: /a }
    lua: { content: require 'nothing' }
  - match: { path: /b }
    lua: { content: b.lua }
";
    let broken = "local x = = 1";
    let files = [
        ("tidegate.yaml", config),
        ("fine.lua", "local b = require 'broken'"),
        ("broken.lua", broken),
        ("b.lua", "require(\"lost.one\")"),
    ];
    let (directory, mut source) = source(&files);
    let Loaded { snapshot, diagnostics, broken } = source.load();
    assert!(snapshot.is_some() && broken.is_empty(), "{diagnostics:#?}");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let seen: Vec<_> = diagnostics
        .iter()
        .map(|one| (one.severity, one.file.as_str(), one.line, one.message.as_str()))
        .collect();
    let (yaml, lua, bad) = (at("tidegate.yaml"), at("b.lua"), at("broken.lua"));
    let expected = [
        (Severity::Warning, yaml.as_str(), 6, "there is no module \"nothing\""),
        (Severity::Warning, yaml.as_str(), 11, "there is no module \"nothing\""),
        (Severity::Warning, lua.as_str(), 1, "there is no module \"lost.one\""),
        (Severity::Warning, bad.as_str(), 1, "this Lua does not compile: unexpected symbol near '='"),
    ];
    assert_eq!(seen, expected);
    assert!(diagnostics[3].help.as_ref().unwrap().contains("\"broken\""), "{}", diagnostics[3]);
}

#[test]
fn scripts_that_change_where_modules_are_looked_for_are_believed() {
    let config = "listeners: [{ address: 127.0.0.1:0 }]
lua:
  init: |
    package.path = '/elsewhere/?.lua;' .. package.path
routes: [{ lua: { content: require 'nothing' } }]
";
    let (_directory, mut source) = source(&[("tidegate.yaml", config)]);
    assert_eq!(source.load().diagnostics, []);
}
