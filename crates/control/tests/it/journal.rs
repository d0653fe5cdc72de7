//! What a running fleet decides can be decided again.

use tidegate_control::journal::Entry;
use tidegate_core::FleetId;

use crate::world::{config, run, until};

#[test]
fn busy_instances_are_joined_by_others_and_the_journal_replays_it() {
    let scale =
        "    scale: { min: 1, max: 3, triggers: [{ target: { metric: utilization, value: 40% } }] }\n";
    run(&config("{ lua: app.lua }", scale), "-- busy 0.9", async |world| {
        world.until_ready(3).await;
        let fleet = world.until("figures", |fleet| fleet.metrics.utilization.is_some()).await;
        assert!((fleet.metrics.utilization.unwrap() - 0.9).abs() < 0.01, "{:?}", fleet.metrics);
        assert_eq!(fleet.metrics.arrival_rate, Some(0.0));
        assert!(fleet.metrics.memory.unwrap() > 0.0 && fleet.metrics.cpu.is_some());
        let decision = fleet.last_decision.unwrap();
        assert_eq!(decision.decision.desired, 3);
        assert!(decision.reasons[0].contains("busy"), "{:?}", decision.reasons);
        assert!(fleet.start_up_seconds.unwrap() > 0.0 && fleet.instance_seconds > 0.0);
        let known = world.handle.decisions(&FleetId::new("f").unwrap(), None, 100).unwrap();
        let journal = world.folder.path().join("state/decisions.jsonl");
        let entries = until("journal", || {
            let text = std::fs::read_to_string(&journal).ok()?;
            let entries: Option<Vec<Entry>> =
                text.lines().map(|line| serde_json::from_str(line).ok()).collect();
            entries.filter(|all| all.iter().any(|one| one.record.decision.desired == 3))
        })
        .await;
        assert!(known.iter().all(|record| record.replay() == record.decision));
        assert!(entries.iter().all(|entry| entry.record.replay() == entry.record.decision));
    });
}
