use proptest::prelude::*;

use super::*;
use crate::accuracy::{Accuracy, Backtest, LEVELS};

fn settings(horizon: usize, season: usize) -> Settings {
    Settings { horizon, seasons: vec![season, 7 * season], levels: LEVELS.to_vec() }
}

/// Noise between -1 and 1 that is the same on every run.
fn noise() -> impl FnMut() -> f64 {
    let mut state = 12_345_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// `days` of `season` steps: a wave with noise, of a height of its own each day.
fn wavy(days: usize, season: usize, jitter: f64) -> Vec<f64> {
    let mut noise = noise();
    let mut values = Vec::new();
    for _ in 0..days {
        let height = 100.0 * (1.0 + 0.2 * noise());
        for step in 0..season {
            let phase = std::f64::consts::TAU * step as f64 / season as f64;
            values.push((height * (1.2 - phase.cos()) * (1.0 + jitter * noise())).max(0.0));
        }
    }
    values
}

/// The quiet and the wild take turns.
fn gusty(steps: usize) -> Vec<f64> {
    let mut noise = noise();
    let mut value = 500.0;
    let gust = |step: usize| if (step / 400).is_multiple_of(2) { 2.0 } else { 40.0 };
    let walk = |step: usize| {
        value = (value + gust(step) * noise()).clamp(100.0, 1_000.0);
        value
    };
    (0..steps).map(walk).collect()
}

/// How well `kinds` forecast a series with days of `season` steps, after the first of them.
fn assess(values: &[f64], horizon: usize, season: usize, kinds: &[Kind]) -> Accuracy {
    let values: Vec<_> = values.iter().copied().map(Some).collect();
    let test = Backtest { values: &values, horizon, season, warm_up: season };
    test.accuracy(&test.run(&[season, 7 * season], kinds)).unwrap()
}

#[test]
fn a_new_series_has_no_history_and_says_so() {
    let mut forecaster = Forecaster::new(settings(3, 10));
    assert_eq!(forecaster.forecast(), None);
    for _ in 0..8 {
        forecaster.observe(Some(5.0));
    }
    assert_eq!(forecaster.forecast(), None, "it cannot know yet how wrong it is");
}

#[test]
fn a_season_is_believed_where_it_pays() {
    let believed = |horizon: usize, values: &[f64]| {
        let mut forecaster = Forecaster::new(settings(horizon, 200));
        let mut seasonal = 0;
        for (step, &value) in values.iter().enumerate() {
            forecaster.observe(Some(value));
            let model = forecaster.forecast().map(|forecast| forecast.model);
            let from_season =
                matches!(model, Some(Kind::SeasonalNaive | Kind::SeasonalScaled | Kind::SeasonalMoved));
            seasonal += usize::from(step >= values.len() / 2 && from_season);
        }
        seasonal as f64 / (values.len() / 2) as f64
    };
    let share = believed(50, &wavy(12, 200, 0.05));
    assert!(share > 0.8, "a quarter of a season ahead: {share}");
    let share = believed(1, &gusty(3_000));
    assert!(share < 0.2, "a walk has no season: {share}");
}

#[test]
fn intervals_cover_what_they_promise_whatever_the_series_does() {
    for (name, values) in [("wavy", wavy(25, 200, 0.2)), ("gusty", gusty(6_000))] {
        for horizon in [1, 5, 20] {
            let coverage = assess(&values, horizon, 200, &Kind::ALL).coverage;
            assert!((0.86..=0.94).contains(&coverage), "{name} at {horizon}: {coverage}");
        }
    }
}

#[test]
fn the_choice_is_about_as_good_as_the_best_model_in_hindsight() {
    for values in [wavy(20, 200, 0.1), gusty(5_000)] {
        for horizon in [1, 5, 30] {
            let values: Vec<_> = values.iter().copied().map(Some).collect();
            let test = Backtest { values: &values, horizon, season: 200, warm_up: 200 };
            let choice = test.run(&[200, 1_400], &Kind::ALL);
            for kind in Kind::ALL {
                let single = test.run(&[200, 1_400], &[kind]);
                let (loss, moments) = test.relative_loss(&choice, &single).unwrap();
                assert!(loss <= 1.1, "{kind:?} at {horizon}, {moments} moments: {loss}");
            }
        }
    }
}

/// Parts of a series too short to tell models apart: who was best so far was mostly lucky.
#[test]
fn while_little_is_known_the_simple_is_believed() {
    let mut noise = noise();
    let values: Vec<f64> = (0..10_000).map(|_| 100.0 + 30.0 * noise()).collect();
    let mut relative = Vec::new();
    for part in values.chunks(400) {
        let values: Vec<_> = part.iter().copied().map(Some).collect();
        let test = Backtest { values: &values, horizon: 60, season: 1_440, warm_up: 120 };
        let choice = test.run(&[60, 1_440], &Kind::ALL);
        let level = test.run(&[60, 1_440], &[Kind::Level]);
        relative.extend(test.relative_loss(&choice, &level).map(|(loss, _)| loss));
    }
    let mean = relative.iter().sum::<f64>() / relative.len() as f64;
    assert!(mean <= 1.1, "{mean} of what the level alone lost: {relative:?}");
}

#[test]
fn a_restart_forgets_nothing() {
    let values = wavy(4, 100, 0.1);
    let (before, after) = values.split_at(250);
    let mut forecaster = Forecaster::new(settings(5, 100));
    for &value in before {
        forecaster.observe(Some(value));
    }
    let json = serde_json::to_string(&forecaster).unwrap();
    let mut restarted: Forecaster = serde_json::from_str(&json).unwrap();
    for &value in after {
        forecaster.observe(Some(value));
        restarted.observe(Some(value));
        assert_eq!(restarted.forecast(), forecaster.forecast());
    }
}

#[test]
fn another_horizon_keeps_the_series_and_earns_trust_anew() {
    let values = wavy(6, 100, 0.02);
    let mut forecaster = Forecaster::new(settings(5, 100));
    for &value in &values[..500] {
        forecaster.observe(Some(value));
    }
    let mut further = forecaster.at(settings(20, 100));
    assert_eq!(further.history(), forecaster.history());
    assert!(matches!(further.trust(), Trust::NoHistory { judged: 0, .. }));
    for &value in &values[500..] {
        further.observe(Some(value));
    }
    // Half a day was enough, where a new series would have had to see a day.
    let said = further.forecast().expect("it knows the days");
    let truth = wavy(7, 100, 0.02)[619];
    assert!((said.quantiles[1] / truth - 1.0).abs() < 0.5, "{said:?} for {truth}");
}

#[test]
fn what_is_remembered_of_a_week_is_small() {
    // Half minutes, six steps ahead: the largest that a trigger has but for the far horizons.
    let settings = Settings {
        horizon: 6,
        seasons: Settings::seasons_of(Duration::from_secs(30)),
        levels: vec![0.5, 0.9, 0.99],
    };
    let mut forecaster = Forecaster::new(settings);
    let mut noise = noise();
    for step in 0..25_000 {
        forecaster.observe(Some(100.0 + 50.0 * (f64::from(step) / 458.0).sin() + noise()));
    }
    let json = serde_json::to_string(&forecaster).unwrap();
    assert!(json.len() < 20 * 1024, "{} bytes", json.len());
}

#[test]
fn a_gap_is_forecast_through() {
    let values = wavy(6, 100, 0.02);
    let mut forecaster = Forecaster::new(settings(10, 100));
    for (step, &value) in values.iter().enumerate() {
        forecaster.observe((!(540..570).contains(&step)).then_some(value));
        if let Some(truth) = values.get(step + 10)
            && (540..560).contains(&step)
        {
            let forecast = forecaster.forecast().unwrap();
            assert!(forecast.quantiles[3] > truth * 0.5, "at {step}: {forecast:?} for {truth}");
        }
    }
}

/// Values as they may come: ordinary, none, nothing, huge, or no number.
fn anything() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        6 => (0.0..1e4_f64).prop_map(Some),
        1 => Just(None),
        1 => Just(Some(0.0)),
        1 => (1e12..1e15_f64).prop_map(Some),
        1 => (0.0..1e-6_f64).prop_map(Some),
        1 => any::<f64>().prop_map(Some),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn quantiles_ascend_from_zero_whatever_is_observed(
        values in prop::collection::vec(anything(), 1..300),
        horizon in 0..12_usize,
        season in 0..50_usize,
    ) {
        let mut forecaster = Forecaster::new(settings(horizon, season));
        for value in values {
            forecaster.observe(value);
            if let Some(forecast) = forecaster.forecast() {
                prop_assert_eq!(forecast.quantiles.len(), LEVELS.len());
                prop_assert!(forecast.quantiles.iter().all(|value| value.is_finite() && *value >= 0.0));
                prop_assert!(forecast.quantiles.is_sorted());
            }
        }
    }

    #[test]
    fn the_same_values_give_the_same_forecasts_bit_for_bit_across_restarts(
        values in prop::collection::vec(anything(), 2..200),
        restart in 0..200_usize,
        horizon in 1..8_usize,
        season in 0..20_usize,
    ) {
        let bits = |forecaster: &Forecaster| {
            let quantiles = forecaster.forecast().map(|forecast| forecast.quantiles);
            quantiles.map(|values| values.into_iter().map(f64::to_bits).collect::<Vec<_>>())
        };
        let mut forecaster = Forecaster::new(settings(horizon, season));
        let mut twin = Forecaster::new(settings(horizon, season));
        for (step, &value) in values.iter().enumerate() {
            if step == restart {
                let json = serde_json::to_string(&twin).unwrap();
                twin = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(&twin, &forecaster);
            }
            forecaster.observe(value);
            twin.observe(value);
            prop_assert_eq!(bits(&twin), bits(&forecaster));
        }
    }

    #[test]
    fn another_horizon_is_taken_at_any_moment(
        values in prop::collection::vec(anything(), 1..120),
        horizons in prop::collection::vec((1..10_usize, 0..30_usize), 1..6),
    ) {
        let mut forecaster = Forecaster::new(settings(1, 7));
        let stretch = values.len().div_ceil(horizons.len());
        for (values, (horizon, season)) in values.chunks(stretch).zip(horizons) {
            forecaster = forecaster.at(settings(horizon, season));
            for &value in values {
                forecaster.observe(value);
                prop_assert!(forecaster.forecast().is_none_or(|said| said.quantiles.is_sorted()));
            }
        }
    }
}
