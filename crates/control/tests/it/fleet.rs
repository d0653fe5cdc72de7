//! Instances come, are replaced, and go.

use std::time::Duration;

use tidegate_core::FleetId;

use crate::world::{command_config, config, get, gone, is_alive, lua_config, run, until};

#[test]
fn instances_of_an_app_start_serve_and_are_gone_at_the_end() {
    let mut pids = Vec::new();
    let handle = run(&lua_config(3), "-- answer hello", async |world| {
        for endpoint in &*world.until_ready(3).await {
            assert_eq!(get(endpoint.address.ip().unwrap()).await, "hello");
        }
        pids = world.instances("ready").iter().filter_map(|one| one.pid).collect();
        assert_eq!(pids.len(), 3);
    });
    assert!(pids.iter().all(|&pid| !is_alive(pid)));
    assert!(handle.view().stopping);
    assert!(handle.view().fleets[0].instances.is_empty());
}

#[test]
fn who_can_serve_is_published_only_where_that_changes() {
    run(&lua_config(2), "-- answer hello", async |world| {
        world.until_ready(2).await;
        let mut roster = world.roster.clone();
        roster.borrow_and_update();
        let steps = world.handle.view().rounds.count;
        until("two steps", || (world.handle.view().rounds.count > steps + 1).then_some(())).await;
        assert!(!roster.has_changed().unwrap());
        world.configure(&lua_config(1)).await;
        assert_eq!(world.until_ready(1).await.len(), 1);
        assert!(roster.has_changed().unwrap());
    });
}

#[test]
fn a_command_is_told_its_port_in_an_argument() {
    let scale = "    ready: { path: /healthz }\n    scale: { min: 2, max: 2 }\n";
    run(&command_config(r#"serve, "{port}", answer me"#, scale), "", async |world| {
        for endpoint in &*world.until_ready(2).await {
            assert_eq!(get(endpoint.address.ip().unwrap()).await, "me");
        }
    });
}

#[test]
fn a_command_is_told_its_port_in_the_environment() {
    let run_it = r#"{ command: [sh, -c, "exec \"$0\" serve $PORT", "PROGRAM"] }"#;
    let run_it = run_it.replace("PROGRAM", crate::world::PROGRAM);
    run(&config(&run_it, ""), "", async |world| {
        let endpoints = world.until_ready(1).await;
        assert_eq!(get(endpoints[0].address.ip().unwrap()).await, "");
    });
}

#[test]
fn a_stop_reaches_what_a_command_started() {
    let mut grandchild = 0;
    run(&command_config(r#"family, "{port}""#, ""), "", async |world| {
        grandchild = get(world.until_ready(1).await[0].address.ip().unwrap()).await.parse().unwrap();
        assert_ne!(world.instances("ready")[0].pid, Some(grandchild));
    });
    gone(grandchild);
}

#[test]
fn a_policy_grows_and_shrinks_the_fleet_and_running_requests_end_first() {
    let scale = |count| {
        config(
            "{ lua: app.lua }",
            &format!(
                "    scale: {{ min: {count}, max: {count}, behavior: {{ scaleIn: {{ stabilization: 0s }} }} }}\n"
            ),
        )
        .replace("grace: 5s", "grace: 2m")
    };
    run(&scale(1), "", async |world| {
        world.until_ready(1).await;
        world.configure(&scale(4)).await;
        let endpoints = world.until_ready(4).await;
        // The one that stays is the one that is busiest.
        let running: Vec<_> = endpoints.iter().map(|one| one.load.begin()).collect();
        let more = endpoints[2].load.begin();
        world.configure(&scale(1)).await;
        let draining = world.until("drain", |fleet| fleet.states.draining == 3).await;
        assert_eq!(world.endpoints()[0].id, endpoints[2].id);
        let pids: Vec<u32> = draining.instances.iter().filter_map(|one| one.pid).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(pids.iter().filter(|&&pid| is_alive(pid)).count(), 4, "they have requests to answer");
        drop((running, more));
        world.until_ready(1).await;
        assert_eq!(pids.iter().filter(|&&pid| is_alive(pid)).count(), 1);
    });
}

#[test]
fn a_changed_app_replaces_the_instances_and_enough_are_ready_all_the_time() {
    run(&lua_config(5), "-- answer old", async |world| {
        world.until_ready(5).await;
        let mut roster = world.roster.clone();
        let fleet = FleetId::new("f").unwrap();
        let fewest = async {
            let mut fewest = usize::MAX;
            loop {
                fewest = fewest.min(roster.borrow_and_update().fleets[&fleet].len());
                if tokio::time::timeout(Duration::from_secs(2), roster.changed()).await.is_err() {
                    return fewest;
                }
            }
        };
        let replace = async {
            world.folder.write("app.lua", "-- answer new");
            world.handle.reload();
            until("replacement", || {
                world.endpoints().iter().all(|one| number(one.id.as_str()) > 5).then_some(())
            })
            .await;
            for endpoint in &*world.until_ready(5).await {
                assert_eq!(get(endpoint.address.ip().unwrap()).await, "new");
            }
        };
        let (fewest, ()) = tokio::join!(fewest, replace);
        assert_eq!(fewest, 5);
    });
}

#[test]
fn an_app_that_does_not_start_replaces_nothing() {
    run(&lua_config(2), "-- answer old", async |world| {
        let before = world.until_ready(2).await;
        world.folder.write("app.lua", "-- fail app.lua:1: out of luck");
        world.handle.reload();
        let view = world.until("failure", |fleet| fleet.states.failed == 1).await;
        let failed = view.instances.iter().find(|one| one.state == "failed").unwrap();
        assert_eq!(failed.reason.as_deref(), Some("app.lua:1: out of luck"));
        let ids = |endpoints: &[tidegate_core::Endpoint]| {
            endpoints.iter().map(|one| one.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&world.endpoints()), ids(&before));
        world.folder.write("app.lua", "-- answer repaired");
        world.handle.reload();
        until("repair", || world.endpoints().iter().all(|one| number(one.id.as_str()) > 2).then_some(()))
            .await;
    });
}

#[test]
fn a_fleet_that_left_the_configuration_drains() {
    run(&lua_config(1), "", async |world| {
        let pid = world.until("ready", |fleet| fleet.states.ready == 1).await.instances[0].pid.unwrap();
        world.configure("listeners: [{ address: 127.0.0.1:0 }]\n").await;
        until("removal", || world.handle.view().fleets.is_empty().then_some(())).await;
        assert!(!is_alive(pid));
        assert!(world.roster.borrow().fleets.is_empty());
    });
}

fn number(id: &str) -> u64 {
    id.rsplit_once('-').unwrap().1.parse().unwrap()
}
