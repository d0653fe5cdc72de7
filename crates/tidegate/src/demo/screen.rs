//! The day on a terminal.
//!
//! Demand and instances are drawn one above the other over the same day, so that it can be seen how
//! one follows the other.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Stylize},
    text::Line,
    widgets::{Block, Paragraph, Wrap},
};

use super::{
    day::{PEAK, clock, fixed_instances},
    lines::step,
    scene::Scene,
    summary::millis,
};
use crate::screen::draw_course;

pub(crate) fn draw(frame: &mut Frame<'_>, scene: &Scene) {
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(4),
        Constraint::Min(4),
        Constraint::Length(4),
        Constraint::Length(6),
    ]);
    let [title, demand, instances, figures, decision] = rows.areas(frame.area());
    draw_title(frame, title, scene);
    let text = format!(" demand: {:.0} requests/s ", scene.load.offered_rate);
    // Random arrivals go a little beyond what was planned; the top of the box is for the plan.
    draw_course(frame, demand, &text, |width| scene.demand(width), PEAK as u64, Color::Cyan);
    draw_instances(frame, instances, scene);
    draw_figures(frame, figures, scene);
    draw_decision(frame, decision, scene);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let text = format!(" Tidegate: a day in {} seconds", scene.load.duration.as_secs());
    frame.render_widget(Line::from(text).bold(), area);
    let text = format!("{}   q ends ", clock(scene.moment()));
    frame.render_widget(Line::from(text).right_aligned(), area);
}

fn draw_instances(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let fleet = &scene.fleet;
    let failed = if fleet.failed == 0 { String::new() } else { format!(", {} failed", fleet.failed) };
    let text = format!(
        " instances: {} ready, {} starting, {} draining{failed} of {} desired ",
        fleet.ready, fleet.starting, fleet.draining, fleet.desired
    );
    let highest = u64::from(scene.peak_instances().max(fixed_instances()));
    draw_course(frame, area, &text, |width| scene.ready(width), highest, Color::Green);
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let load = &scene.load;
    let latency = format!("latency   p50 {}   p99 {}", millis(load.latency_p50), millis(load.latency_p99));
    let requests = format!("requests  {}   ", load.requests);
    let failed = format!("failed {}", load.failed);
    let failed = if load.failed == 0 { failed.green() } else { failed.red().bold() };
    let text = vec![Line::from(latency), Line::from(vec![requests.into(), failed])];
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" load ")), area);
}

fn draw_decision(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let (title, text) = match &scene.decision {
        None => (" last decision ".into(), vec![Line::from("none so far")]),
        Some(decision) => {
            let title = format!(" last decision, at {}: {} ", clock(decision.noticed), step(decision));
            (title, decision.reasons.iter().map(|reason| Line::from(reason.as_str())).collect())
        }
    };
    let block = Block::bordered().title(title);
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).block(block), area);
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::{super::scene::tests::Day, *};

    fn drawn(scene: &Scene, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, scene)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_that_matters_is_on_a_terminal_of_usual_size() {
        let mut day = Day::new();
        for minutes in (0..720).step_by(10) {
            day.at(minutes);
        }
        day.decide(1, 2);
        day.fleet().states.starting = 1;
        day.at(720);
        let text = drawn(&day.scene, 80, 24);
        let expected = [
            "a day in 1440 seconds",
            "12:00   q ends",
            "demand: 100 requests/s",
            "instances: 1 ready, 1 starting, 0 draining of 2 desired",
            "latency   p50 1.5 ms   p99 -",
            "requests  7   failed 0",
            "last decision, at 12:00: 1 → 2 instances",
            "target arrival rate: 100 requests/s",
            "pace: 2 instead of 1, slowly",
        ];
        for part in expected {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        // Half of the day is over, so half of the width is drawn.
        let row = text.lines().find(|line| line.contains('█')).unwrap();
        assert_eq!(row.matches('█').count(), 40, "{text}");
    }

    #[test]
    fn any_size_can_be_drawn() {
        let mut day = Day::new();
        day.at(0);
        for (width, height) in [(1, 1), (10, 3), (30, 12), (300, 100)] {
            drawn(&day.scene, width, height);
        }
    }
}
