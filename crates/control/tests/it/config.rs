//! Configurations come and are refused.

use std::sync::Arc;

use tidegate_control::{ConfigSource, Control, LoadError, Options, view::FleetView};
use tidegate_core::InstanceId;

use crate::threads::Threads;
use crate::world::{Folder, PROGRAM, lua_config, run, until};

#[test]
fn a_first_configuration_must_be_right() {
    let folder = Folder::new("listeners: 3\nfleet: {}\n", "");
    let config = ConfigSource::File(folder.config());
    let error = Control::load(Options {
        config,
        program: PROGRAM.into(),
        threads: Arc::new(Threads),
        sources: Arc::new(tidegate_control::NoSources),
        state_dir: None,
    })
    .unwrap_err();
    let LoadError::Config(diagnostics) = error else { panic!("{error}") };
    assert!(diagnostics.len() >= 2, "{diagnostics:?}");
}

#[test]
fn a_configuration_can_be_built_in() {
    let config = ConfigSource::Text {
        name: "demo.yaml".into(),
        text: lua_config(1),
        scripts: [("app.lua".into(), "-- answer demo".into())].into(),
    };
    let control = Control::load(Options {
        config,
        program: PROGRAM.into(),
        threads: Arc::new(Threads),
        sources: Arc::new(tidegate_control::NoSources),
        state_dir: None,
    })
    .unwrap();
    assert_eq!(control.snapshots().borrow().fleets.len(), 1);
}

#[test]
fn a_bad_file_changes_nothing_but_what_is_known_of_it() {
    run(&lua_config(1), "", async |world| {
        let before = world.until_ready(1).await;
        world.folder.write("tidegate.yaml", "listeners: 3\n");
        world.handle.reload();
        until("refusal", || (world.handle.view().config.reloads.failed == 1).then_some(())).await;
        let config = world.handle.view().config.clone();
        let last = config.last_reload.unwrap();
        assert!(!last.ok && !last.diagnostics.is_empty());
        assert_eq!((config.generation, config.last_error_at), (1, Some(last.at)));
        assert_eq!(world.snapshots.borrow().generation, 1);
        world.configure(&lua_config(1)).await;
        let config = world.handle.view().config.clone();
        assert_eq!((config.generation, config.reloads.ok, config.reloads.failed), (2, 1, 1));
        assert_eq!(world.endpoints()[0].id, before[0].id, "nothing was changed, nothing was restarted");
    });
}

#[test]
fn a_changed_file_is_loaded_without_being_asked() {
    run(&lua_config(1), "-- answer old", async |world| {
        world.until_ready(1).await;
        world.folder.write("app.lua", "-- answer new");
        let new = InstanceId::new("f-2").unwrap();
        let only_new = |_: &FleetView| {
            let endpoints = world.endpoints();
            !endpoints.is_empty() && endpoints.iter().all(|one| one.id == new)
        };
        world.until("replacement", only_new).await;
        assert_eq!(world.snapshots.borrow().generation, 2, "{:#?}", world.handle.view());
    });
}

#[test]
fn a_hundred_reloads_at_once_take_the_last_file() {
    run(&lua_config(1), "", async |world| {
        for count in 1..=100 {
            world.folder.write("tidegate.yaml", &lua_config(1).replace("/*", &format!("/{count}/*")));
            world.handle.reload();
        }
        let mut snapshots = world.snapshots.clone();
        let last = |snapshot: &std::sync::Arc<tidegate_core::Snapshot>| {
            format!("{:?}", snapshot.routes[0].matcher.path).contains("/100/")
        };
        snapshots.wait_for(last).await.unwrap();
        assert!(world.snapshots.borrow().generation < 100, "wishes that came together are one reload");
    });
}

#[test]
fn what_needs_a_restart_is_said() {
    run(&lua_config(1), "", async |world| {
        world.configure(&lua_config(1).replace("fleets:", "workers: 3\nfleets:")).await;
        assert_eq!(world.handle.view().config.needs_restart, ["workers"]);
        world.configure(&lua_config(1)).await;
        assert!(world.handle.view().config.needs_restart.is_empty());
    });
}
