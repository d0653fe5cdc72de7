//! The style sheet: colours by role, on light and on dark ground.
//!
//! Every rule names its colour outright, as not all that shows SVG knows variables; what knows of a dark
//! ground reads the second half.

use std::fmt::Write as _;

/// What does not depend on the ground.
const SHAPES: &str = "\
svg{font-family:Inter,'Helvetica Neue',Helvetica,Arial,sans-serif;font-size:12px}\
.title{font-size:20px;font-weight:600}.subtitle{font-size:13px}.head{font-size:13px;font-weight:600}\
.end{text-anchor:end}.mid{text-anchor:middle}.grid,.base{stroke-width:1}\
.line,.bold,.dashed,.level{fill:none;stroke-width:1.25;stroke-linejoin:round;stroke-linecap:round}.bold{stroke-width:2.25}\
.dashed,.level{stroke-dasharray:4 4}.area{fill-opacity:.16}.band{fill-opacity:.28}.bar{fill-opacity:.75}";

/// Colours of the ground, of text, of text that matters less, of the grid, and of the roles.
struct Palette {
    ground: &'static str,
    text: &'static str,
    soft: &'static str,
    grid: &'static str,
    roles: [(&'static str, &'static str); 7],
}

const LIGHT: Palette = Palette {
    ground: "#ffffff",
    text: "#1f2933",
    soft: "#6b7785",
    grid: "#e6eaee",
    roles: [
        ("ink", "#1f2933"),
        ("grey", "#9aa5b1"),
        ("blue", "#2563eb"),
        ("teal", "#0d9488"),
        ("orange", "#ea7317"),
        ("violet", "#7c3aed"),
        ("red", "#dc2626"),
    ],
};

const DARK: Palette = Palette {
    ground: "#11161c",
    text: "#e4e9ee",
    soft: "#93a0ad",
    grid: "#252d36",
    roles: [
        ("ink", "#e4e9ee"),
        ("grey", "#66717d"),
        ("blue", "#60a5fa"),
        ("teal", "#2dd4bf"),
        ("orange", "#fb923c"),
        ("violet", "#a78bfa"),
        ("red", "#f87171"),
    ],
};

pub(crate) fn sheet() -> String {
    format!("{SHAPES}{}@media(prefers-color-scheme:dark){{{}}}", LIGHT.rules(), DARK.rules())
}

impl Palette {
    fn rules(&self) -> String {
        let Self { ground, text, soft, grid, .. } = self;
        let mut rules = format!(
            ".ground{{fill:{ground}}}text{{fill:{soft}}}.title,.head{{fill:{text}}}.grid{{stroke:{grid}}}.base{{stroke:{soft}}}"
        );
        for (role, colour) in self.roles {
            write!(rules, ".{role}{{stroke:{colour}}}.fill.{role}{{fill:{colour};stroke:none}}")
                .expect("a string takes everything");
        }
        rules
    }
}
