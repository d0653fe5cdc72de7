//! Instances that are threads.

use tidegate_control::view::FleetView;

use crate::world::{config, get, run};

fn threads(rest: &str) -> String {
    config("{ lua: app.lua }", &format!("    driver: thread\n{rest}"))
}

fn in_state(fleet: &FleetView, state: &str) -> usize {
    fleet.instances.iter().filter(|one| one.state == state).count()
}

#[test]
fn threads_start_serve_report_and_are_gone_at_the_end() {
    let config = threads("    scale: { min: 3, max: 3 }\n");
    let handle = run(&config, "-- hello", async |world| {
        let fleet = world.until("3 ready", |fleet| in_state(fleet, "ready") == 3).await;
        assert!(fleet.instances.iter().all(|one| one.pid.is_none()), "{fleet:?}");
        for instance in &fleet.instances {
            assert_eq!(get(instance.endpoint.unwrap()).await, "-- hello");
        }
        world.until("they report", |fleet| fleet.instances.iter().all(|one| one.utilization.is_some())).await;
    });
    assert!(handle.view().fleets[0].instances.is_empty());
}

#[test]
fn a_thread_that_does_not_start_says_why() {
    run(&threads(""), "-- fail app.lua:1: no luck", async |world| {
        let fleet = world.until("failed", |fleet| in_state(fleet, "failed") == 1).await;
        assert_eq!(fleet.last_failure.unwrap().reason, "app.lua:1: no luck");
        assert!(world.roster.borrow().fleets.values().all(|fleet| fleet.is_empty()));
    });
}

#[test]
fn a_thread_that_ended_is_replaced() {
    run(&threads(""), "-- die", async |world| {
        let fleet = world.until("1 ready", |fleet| in_state(fleet, "ready") == 1).await;
        let first = fleet.instances[0].clone();
        get(first.endpoint.unwrap()).await;
        let other =
            |fleet: &FleetView| fleet.instances.iter().any(|one| one.state == "ready" && one.id != first.id);
        let fleet = world.until("another is ready", other).await;
        assert_eq!(
            (fleet.restarts, fleet.last_failure.unwrap().reason.as_str()),
            (1, "its thread has ended")
        );
    });
}

#[test]
fn a_fleet_moves_from_processes_to_threads_without_a_gap() {
    let processes = config("{ lua: app.lua }", "    scale: { min: 2, max: 2 }\n");
    run(&processes, "-- answer x", async |world| {
        world.until_ready(2).await;
        world.folder.write("tidegate.yaml", &threads("    scale: { min: 2, max: 2 }\n"));
        world.handle.reload();
        let moved = |fleet: &FleetView| {
            assert!(in_state(fleet, "ready") >= 2, "there were always enough: {fleet:?}");
            fleet.instances.len() == 2 && fleet.instances.iter().all(|one| one.pid.is_none())
        };
        world.until("both are threads", moved).await;
    });
}
