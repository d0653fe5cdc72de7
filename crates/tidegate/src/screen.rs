//! The whole terminal as a canvas.
//!
//! While a screen is up the terminal is in raw mode: Ctrl-C arrives as a key and not as a signal.

use std::{io, time::Duration};

use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyModifiers},
    layout::Rect,
    style::{Color, Style},
    widgets::{Block, Sparkline},
};

/// A full-screen view, taken down when it is dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: DefaultTerminal,
}

/// What somebody pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// `q`, Escape or Ctrl-C.
    Leave,
    Up,
    Down,
}

impl Screen {
    pub(crate) fn open() -> io::Result<Self> {
        ratatui::try_init().map(|terminal| Self { terminal })
    }

    pub(crate) fn show(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// The next key that means something, if one was pressed. Does not wait.
    pub(crate) fn pressed() -> io::Result<Option<Key>> {
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else { continue };
            let known = match key.code {
                KeyCode::Char('c') if key.modifiers == KeyModifiers::CONTROL => Key::Leave,
                KeyCode::Char('q') | KeyCode::Esc => Key::Leave,
                KeyCode::Up | KeyCode::Char('k') => Key::Up,
                KeyCode::Down | KeyCode::Char('j') => Key::Down,
                _ => continue,
            };
            return Ok(Some(known));
        }
        Ok(None)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Values over time, from left to right, up to `highest`; `course` is asked for as many as there are columns.
pub(crate) fn draw_course(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    course: impl Fn(usize) -> Vec<u64>,
    highest: u64,
    color: Color,
) {
    let block = Block::bordered().title(title);
    let values = course(usize::from(block.inner(area).width));
    let sparkline = Sparkline::default().data(values).max(highest).style(Style::new().fg(color)).block(block);
    frame.render_widget(sparkline, area);
}
