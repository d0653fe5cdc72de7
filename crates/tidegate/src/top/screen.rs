//! A gateway's fleets on a terminal.

use jiff::{ZonedDateTime, tz::TimeZone};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Text},
    widgets::{Block, Cell, Paragraph, Row, Table, TableState, Wrap},
};

use super::{
    picture::{Fleet, Picture},
    table,
};
use crate::screen::draw_course;

/// Fleets that have a line at most; others are scrolled to.
const FLEETS: u16 = 10;

pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let zone = ZonedDateTime::now().time_zone().clone();
    let fleets = u16::try_from(picture.shown.fleets.len()).unwrap_or(FLEETS).clamp(1, FLEETS) + 1;
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(fleets),
        Constraint::Length(5),
        Constraint::Min(3),
        Constraint::Length(5),
    ]);
    let [title, fleets, courses, instances, decision] = rows.areas(frame.area());
    draw_title(frame, title, picture);
    draw_fleets(frame, fleets, picture);
    let Some(fleet) = picture.chosen() else {
        return frame.render_widget("the configuration has no fleets", courses);
    };
    let [demand, ready] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(courses);
    let highest = |course: Vec<u64>| course.into_iter().max().unwrap_or(0).max(1);
    let text = format!(" {}: requests/s ", fleet.name);
    let columns = usize::from(u16::MAX);
    draw_course(
        frame,
        demand,
        &text,
        |width| picture.demand(width),
        highest(picture.demand(columns)),
        Color::Cyan,
    );
    let text = format!(" {}: ready instances ", fleet.name);
    draw_course(
        frame,
        ready,
        &text,
        |width| picture.ready(width),
        highest(picture.ready(columns)),
        Color::Green,
    );
    draw_instances(frame, instances, fleet, &zone);
    draw_decision(frame, decision, fleet, &zone);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let count = picture.shown.fleets.len();
    let text = format!(" Tidegate at {}: {count} fleet{}", picture.admin, if count == 1 { "" } else { "s" });
    frame.render_widget(Line::from(text).bold(), area);
    let end = match &picture.trouble {
        Some(trouble) => Line::from(format!("{trouble} ")).red().bold(),
        None => Line::from("↑↓ choose   q ends "),
    };
    frame.render_widget(end.right_aligned(), area);
}

fn draw_fleets(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let rows = picture.shown.fleets.iter().map(|fleet| cells(table::fleet(fleet)));
    let widths =
        [Constraint::Min(8)].into_iter().chain([7, 5, 8, 8, 6, 10, 4, 10, 7, 6, 6].map(Constraint::Length));
    let table = Table::new(rows, widths)
        .header(cells(table::FLEETS.map(str::to_owned)).bold())
        .row_highlight_style(Style::new().reversed());
    let mut state = TableState::default().with_selected(Some(picture.place()));
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_instances(frame: &mut Frame<'_>, area: Rect, fleet: &Fleet, zone: &TimeZone) {
    let rows = fleet.instances.iter().map(|one| {
        let [id, state, rest @ ..] = table::instance(one, zone);
        let figures = rest.into_iter().map(|figure| Cell::from(Text::from(figure).right_aligned()));
        Row::new([Cell::from(id), Cell::from(state)].into_iter().chain(figures))
    });
    let widths = [Constraint::Fill(1), Constraint::Fill(1)]
        .into_iter()
        .chain([9, 4, 6, 9, 24].map(Constraint::Length));
    let [id, state, rest @ ..] = table::INSTANCES;
    let header = rest.map(|name| Cell::from(Text::from(name).right_aligned()));
    let header = Row::new([Cell::from(id), Cell::from(state)].into_iter().chain(header)).bold();
    let block = Block::bordered().title(format!(" {}: instances ", fleet.name));
    frame.render_widget(Table::new(rows, widths).header(header).block(block), area);
}

fn draw_decision(frame: &mut Frame<'_>, area: Rect, fleet: &Fleet, zone: &TimeZone) {
    let (title, reasons) = match &fleet.last_decision {
        None => (" last decision ".to_owned(), vec![Line::from("none so far")]),
        Some(decision) => {
            let reasons = decision.reasons.iter().map(|reason| Line::from(reason.as_str())).collect();
            (format!(" {} ", table::last(decision, zone)), reasons)
        }
    };
    let block = Block::bordered().title(title);
    frame.render_widget(Paragraph::new(reasons).wrap(Wrap { trim: true }).block(block), area);
}

/// The first to the left, all others to the right.
fn cells<const N: usize>(texts: [String; N]) -> Row<'static> {
    let cell = |(column, text)| {
        let text = Text::from(text);
        Cell::from(if column == 0 { text } else { text.right_aligned() })
    };
    Row::new(texts.into_iter().enumerate().map(cell))
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::{
        super::picture::tests::{fleet, picture, shown},
        *,
    };

    fn drawn(picture: &Picture, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, picture)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_that_matters_is_on_a_terminal() {
        let mut picture = picture(&[fleet("orders", 3, 169.0), fleet("worker", 0, 0.0)]);
        for _ in 0..5 {
            picture.take(Ok(shown(&[fleet("orders", 3, 200.0), fleet("worker", 0, 0.0)])));
        }
        let text = drawn(&picture, 120, 24);
        for part in [
            "Tidegate at 127.0.0.1:9000: 2 fleets",
            "↑↓ choose   q ends",
            "requests/s",
            "200.0",
            "12.5 ms",
            "worker",
            "orders: requests/s",
            "orders: ready instances",
            "orders-1",
            "30 MiB",
            "orders-2 (spot)",
            "failed: exit status: 1",
            ": 1 → 2 instances",
            "target: much",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!text.contains("worker-1"), "{text}");
        picture.choose_next();
        assert!(drawn(&picture, 120, 24).contains("worker-1"));
    }

    #[test]
    fn trouble_is_told_and_any_size_can_be_drawn() {
        let mut picture = picture(&[fleet("orders", 3, 169.0)]);
        picture.trouble = Some("no gateway answers".into());
        assert!(drawn(&picture, 100, 24).contains("no gateway answers"));
        for (width, height) in [(1, 1), (10, 3), (30, 12), (300, 100)] {
            drawn(&picture, width, height);
        }
        picture.take(Ok(shown(&[])));
        assert!(drawn(&picture, 80, 24).contains("the configuration has no fleets"));
    }
}
