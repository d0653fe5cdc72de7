//! Instances that fail.

use std::time::Duration;

use tidegate_control::view::FleetView;

use crate::world::{command_config, config, is_alive, kill, lua_config, run, until};

#[test]
fn a_killed_instance_is_noticed_and_replaced() {
    run(&lua_config(2), "", async |world| {
        let before = world.until_ready(2).await;
        let victim = world.instances("ready").remove(0);
        kill(victim.pid.unwrap());
        until("roster without it", || world.endpoints().iter().all(|one| one.id != victim.id).then_some(()))
            .await;
        let after = world.until_ready(2).await;
        assert!(after.iter().any(|one| one.id == before[1].id));
        let fleet = world.fleet();
        assert_eq!(fleet.restarts, 1);
        let failure = fleet.last_failure.unwrap();
        assert_eq!((failure.instance, failure.reason.as_str()), (victim.id, "killed by signal 9 (SIGKILL)"));
    });
}

#[test]
fn an_app_that_never_starts_is_tried_less_and_less_often() {
    run(&lua_config(4), "-- say out of luck\n-- exit 3", async |world| {
        let fleet = world.until("failures", |fleet| fleet.states.failed == 4).await;
        assert_eq!(fleet.instances[0].reason.as_deref(), Some("exited with status 3: out of luck"));
        world.until("further tries", |fleet| fleet.restarts >= 3).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        // One at a time after 100, 200, 400, 800 ms …: never more than six within three seconds.
        assert!(world.fleet().restarts < 7, "{}", world.fleet().restarts);
        assert!(world.endpoints().is_empty());
        world.folder.write("app.lua", "");
        world.handle.reload();
        world.until_ready(4).await;
    });
}

#[test]
fn what_never_gets_ready_has_failed_and_says_why() {
    let check = |run_it: &str, expected: &'static str| {
        let rest = "    ready: { path: /never, timeout: 400ms }\n    scale: { min: 1, max: 1 }\n";
        let (config, app) = match run_it {
            "deaf" => (config("{ lua: app.lua }", rest), "-- deaf"),
            words => (command_config(words, rest), ""),
        };
        run(&config, app, async |world| {
            // On a slow machine it may take a few tries until it gets so far in time.
            let why = |fleet: &FleetView| fleet.last_failure.as_ref().map(|failure| failure.reason.clone());
            let fleet =
                world.until(expected, |fleet| why(fleet).is_some_and(|why| why.contains(expected))).await;
            let reason = why(&fleet).unwrap();
            assert!(reason.starts_with("not ready within 0.4s: "), "{reason}");
        });
    };
    check("deaf", "it did not say where it listens");
    check(r#"serve, "{port}", status 503"#, "GET /never answered 503");
    check("serve, 0", "refused");
}

#[test]
fn a_program_that_is_not_there_is_a_failure_like_any_other() {
    run(&config("{ command: [/nonexistent/program] }", ""), "", async |world| {
        let fleet = world.until("failure", |fleet| fleet.states.failed == 1).await;
        let reason = fleet.last_failure.unwrap().reason;
        assert!(reason.contains("/nonexistent/program"), "{reason}");
    });
}

#[test]
fn an_instance_that_does_not_end_is_killed_after_its_grace() {
    let stubborn =
        r#"{ command: [sh, -c, "trap '' TERM; \"$0\" serve $PORT & while :; do sleep 1; done", "PROGRAM"] }"#;
    let config =
        config(&stubborn.replace("PROGRAM", crate::world::PROGRAM), "").replace("grace: 5s", "grace: 1s");
    let mut pid = 0;
    run(&config, "", async |world| {
        world.until_ready(1).await;
        pid = world.instances("ready")[0].pid.unwrap();
    });
    assert!(!is_alive(pid));
}
