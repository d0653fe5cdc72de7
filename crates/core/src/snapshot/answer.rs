//! Answers that the gateway gives by itself.

use std::path::PathBuf;

use crate::snapshot::Template;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAnswer {
    Fixed(FixedAnswer),
    Files(StaticFiles),
}

/// The same answer for everybody, but for the variables in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedAnswer {
    /// 200 to 599.
    pub status: u16,
    pub headers: Vec<(String, Template)>,
    pub body: Template,
}

/// Files of one folder, by the path of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticFiles {
    pub root: PathBuf,
    /// The file that stands for its folder.
    pub index: String,
}
