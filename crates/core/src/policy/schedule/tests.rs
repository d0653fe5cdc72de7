use super::*;

fn schedule(cron: &str, zone: &str, hours: u64) -> Schedule {
    Schedule {
        cron: cron.parse().unwrap(),
        zone: zone.parse().unwrap(),
        lasts: Duration::from_hours(hours),
        floor: Some(6),
        ceiling: None,
        except: Vec::new(),
    }
}

fn at(text: &str) -> Timestamp {
    serde_json::from_str(&format!("\"{text}\"")).unwrap()
}

/// When in `day` (UTC) a window opens or closes, as `HH:MM` of UTC; looked at every ten minutes.
fn turns(schedule: &Schedule, day: &str) -> Vec<String> {
    let midnight = at(&format!("{day}T00:00:00Z"));
    let open = |minute: u64| schedule.window(midnight + Duration::from_mins(minute)).is_some();
    let (mut was_open, mut turned) = (open(0), Vec::new());
    for minute in (10..1_440).step_by(10) {
        if open(minute) != was_open {
            turned.push(minute);
            was_open = !was_open;
        }
    }
    turned.into_iter().map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60)).collect()
}

#[test]
fn a_window_opens_by_the_clock_of_its_zone() {
    let office = schedule("0 8 * * MON-FRI", "Europe/Berlin", 10);
    assert_eq!(turns(&office, "2026-05-04"), ["06:00", "16:00"], "a Monday in summer");
    assert_eq!(turns(&office, "2026-01-05"), ["07:00", "17:00"], "a Monday in winter");
    assert!(turns(&office, "2026-05-03").is_empty(), "a Sunday");
    assert_eq!(office.window(at("2026-05-04T15:59:59Z")), Some(at("2026-05-04T16:00:00Z")));
    assert_eq!(office.window(at("2026-05-04T16:00:00Z")), None);
}

#[test]
fn what_falls_into_a_skipped_hour_begins_at_its_end() {
    // 02:00 to 03:00 does not exist in Berlin on 2026-03-29; 03:00 there is 01:00 in UTC.
    let night = schedule("30 2 * * *", "Europe/Berlin", 1);
    assert_eq!(turns(&night, "2026-03-28"), ["01:30", "02:30"]);
    assert_eq!(turns(&night, "2026-03-29"), ["01:00", "02:00"]);
    assert_eq!(turns(&night, "2026-03-30"), ["00:30", "01:30"]);
}

#[test]
fn what_falls_into_a_repeated_hour_begins_once() {
    // 02:00 to 03:00 comes twice in Berlin on 2026-10-25, the first time at 00:00 in UTC.
    let night = schedule("30 2 * * *", "Europe/Berlin", 1);
    assert_eq!(turns(&night, "2026-10-25"), ["00:30", "01:30"]);
    let york = schedule("30 1 * * *", "America/New_York", 1);
    assert_eq!(turns(&york, "2026-11-01"), ["05:30", "06:30"]);
}

#[test]
fn a_window_lasts_its_time_when_clocks_change_within_it() {
    let night = schedule("0 22 * * *", "Europe/Berlin", 8);
    assert_eq!(night.window(at("2026-03-28T22:00:00Z")), Some(at("2026-03-29T05:00:00Z")));
    assert_eq!(night.window(at("2026-10-24T21:00:00Z")), Some(at("2026-10-25T04:00:00Z")));
}

#[test]
fn no_window_begins_on_an_exception() {
    let mut daily = schedule("0 8 * * *", "Asia/Tokyo", 30);
    assert!(daily.window(at("2026-05-05T10:00:00Z")).is_some());
    daily.except = vec![civil::date(2026, 5, 5)];
    // It began at 08:00 in Tokyo, which is 23:00 the day before in UTC; the day before's still lasts.
    assert_eq!(daily.window(at("2026-05-05T04:00:00Z")), Some(at("2026-05-05T05:00:00Z")));
    assert_eq!(daily.window(at("2026-05-05T10:00:00Z")), None);
}

#[test]
fn names_ranges_steps_and_last_days_are_understood() {
    let opens = |cron: &str, time: &str| schedule(cron, "UTC", 1).window(at(time)).is_some();
    assert!(opens("*/15 9-17 * JAN,MAY mon-fri", "2026-05-04T09:59:00Z"));
    assert!(opens("0 0 L * *", "2026-02-28T00:30:00Z"));
    assert!(!opens("0 0 L * *", "2026-02-27T00:30:00Z"));
    assert!(opens("0 12 * * 7", "2026-05-03T12:00:00Z"), "7 is Sunday too");
    assert!(opens("0 12 * * FRI#2", "2026-05-08T12:00:00Z"));
}

#[test]
fn what_is_no_cron_expression_says_why() {
    let error = |text: &str| text.parse::<Cron>().unwrap_err().to_string();
    assert_eq!(error("0 8 * *"), "a cron expression has five fields, not 4");
    assert_eq!(error("0 0 8 * * *"), "a cron expression has five fields, not 6");
    assert_eq!(error("0 8 31 2 *"), "no day will ever match it");
    for text in ["61 8 * * *", "0 8 * * FUNDAY", "0 8 * * 1-", "x y z a b", "*/0 * * * *"] {
        assert!(matches!(text.parse::<Cron>(), Err(BadCron::Field(_))), "{text}");
    }
}

#[test]
fn zones_are_those_of_the_database_that_is_built_in() {
    assert_eq!("Europe/Berlin".parse::<Zone>().unwrap().name(), "Europe/Berlin");
    assert_eq!("UTC".parse::<Zone>().unwrap().name(), "UTC");
    assert!("Europe/Bärlin".parse::<Zone>().is_err());
    assert!("Mars/Olympus".parse::<Zone>().is_err());
}

#[test]
fn a_schedule_survives_the_journal() {
    let mut schedule = schedule("0 8 * * MON-FRI", "America/Sao_Paulo", 10);
    schedule.except = vec![civil::date(2026, 12, 25)];
    let json = serde_json::to_string(&schedule).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
}
