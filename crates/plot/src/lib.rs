//! Figures with several panels, as SVG that a browser, a README and a printer show well.
//!
//! A [`Figure`] is rows of [`Panel`]s, a panel is [`Mark`]s over two axes, and [`Figure::svg`] is the text of the
//! file. Colours are roles in a style sheet within it, so the same file is readable on light and on dark
//! ground. Series may be of any length: what is drawn is what a pixel can show.
//!
//! Invariant: whatever numbers are given, the text is well-formed and holds only finite coordinates; what is
//! not finite is a hole. Not here: what is worth drawing.

pub mod figure;

mod axis;
mod draw;
mod path;
mod style;

pub use crate::figure::{Axis, Colour, Figure, Mark, Panel, Row, Shape};
