//! Which crate may depend on which.
//!
//! A crate depends on lower floors only; the few edges on one floor are written down. Dependencies
//! for tests follow the same table, with `testkit` besides.

use cargo_metadata::{DependencyKind, Metadata, Package};

use super::Finding;

/// Every crate of the product that there is or may be, with its floor.
const FLOORS: [(&str, u8); 22] = [
    ("core", 0),
    ("tls", 0),
    ("scaler", 1),
    ("forecast", 1),
    ("sim", 1),
    ("plot", 1),
    ("traffic", 1),
    ("llm", 1),
    ("lua", 1),
    ("config", 1),
    ("proxy", 2),
    ("control", 2),
    ("load", 2),
    ("referee", 2),
    ("kube", 3),
    ("sources", 3),
    ("store", 3),
    ("admin", 3),
    ("tidegate", 4),
    // Never shipped: they are above everything, and nothing that ships may need them.
    ("testkit", UNSHIPPED),
    ("xtask", UNSHIPPED + 1),
    ("bench-proxy", UNSHIPPED + 1),
];

const UNSHIPPED: u8 = 5;

/// Edges between crates of one floor.
const SAME_FLOOR: [(&str, &str); 2] = [("scaler", "forecast"), ("sim", "scaler")];

/// Crates from elsewhere that bring a clock, randomness, files or sockets.
const IMPURE: [&str; 12] = [
    "axum",
    "crossterm",
    "fastrand",
    "getrandom",
    "hyper",
    "rand",
    "ratatui",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-util",
];

pub(super) fn floor(krate: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == krate).map(|&(_, floor)| floor)
}

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let packages = metadata.workspace_packages();
    let edges = packages.iter().flat_map(|package| edges(package));
    packages
        .iter()
        .flat_map(|package| check_package(package))
        .chain(edges.filter_map(|edge| check_edge(&edge)))
        .collect()
}

#[derive(Debug, Clone)]
struct Edge {
    /// Folder names under `crates/`, or package names where there is no such folder.
    from: String,
    to: String,
    kind: DependencyKind,
}

fn edges(package: &Package) -> impl Iterator<Item = Edge> {
    let edge = |dependency: &cargo_metadata::Dependency| Edge {
        from: folder(&package.name).to_owned(),
        to: folder(&dependency.name).to_owned(),
        kind: dependency.kind,
    };
    package.dependencies.iter().map(edge)
}

/// `tidegate-proxy` lies in `crates/proxy`; the binary and `xtask` have the name of their folder.
fn folder(package: &str) -> &str {
    package.strip_prefix("tidegate-").unwrap_or(package)
}

fn check_package(package: &Package) -> Vec<Finding> {
    let path = package.manifest_path.as_str();
    let Some(place) = path.rsplit_once("/crates/").and_then(|(_, rest)| rest.strip_suffix("/Cargo.toml"))
    else {
        return Vec::new();
    };
    let manifest = format!("crates/{place}/Cargo.toml");
    let mut findings = Vec::new();
    let name = folder(&package.name);
    if name != place {
        findings.push(Finding::new(&manifest, None, format!("the package is to be called tidegate-{place}")));
    }
    match floor(name) {
        None => findings.push(Finding::new(&manifest, None, "the crate has no floor; give it one in xtask")),
        Some(UNSHIPPED..) if package.publish.as_ref().is_none_or(|places| !places.is_empty()) => {
            findings.push(Finding::new(&manifest, None, "the crate is never shipped: publish = false"));
        }
        Some(_) => {}
    }
    findings
}

/// What the sockets of Lua are made of.
const SOCKETS: [(&str, &str); 4] =
    [("lua", "fastrand"), ("lua", "rustix"), ("lua", "socket2"), ("lua", "tokio")];

fn check_edge(edge: &Edge) -> Option<Finding> {
    let from = floor(&edge.from)?;
    let message = match floor(&edge.to) {
        None if from <= 1
            && edge.kind != DependencyKind::Development
            && IMPURE.contains(&edge.to.as_str())
            && !SOCKETS.contains(&(&edge.from, &edge.to)) =>
        {
            format!("floor {from} is pure and may not depend on {}", edge.to)
        }
        None => return None,
        Some(UNSHIPPED..) if edge.to == "testkit" && edge.kind == DependencyKind::Development => return None,
        Some(UNSHIPPED..) if from < UNSHIPPED => {
            format!("{} is never shipped and never depended upon", edge.to)
        }
        Some(to) if to < from || SAME_FLOOR.contains(&(&edge.from, &edge.to)) => return None,
        Some(to) => {
            format!(
                "{} (floor {from}) may not depend on {} (floor {to}): lower floors only",
                edge.from, edge.to
            )
        }
    };
    Some(Finding::new(&format!("crates/{}/Cargo.toml", edge.from), None, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(from: &str, to: &str, kind: DependencyKind) -> bool {
        check_edge(&Edge { from: from.into(), to: to.into(), kind }).is_none()
    }

    #[test]
    fn edges_lead_downwards() {
        let normal = DependencyKind::Normal;
        for (from, to) in [("proxy", "core"), ("tidegate", "admin"), ("admin", "control"), ("sim", "scaler")]
        {
            assert!(allowed(from, to, normal), "{from} -> {to}");
        }
        for (from, to) in [
            ("core", "traffic"),
            ("proxy", "control"),
            ("control", "proxy"),
            ("scaler", "sim"),
            ("config", "lua"),
            ("control", "admin"),
            ("load", "proxy"),
        ] {
            assert!(!allowed(from, to, normal), "{from} -> {to}");
            assert!(!allowed(from, to, DependencyKind::Development), "{from} -> {to} in tests");
        }
    }

    #[test]
    fn what_is_never_shipped_serves_tests_alone() {
        assert!(allowed("proxy", "testkit", DependencyKind::Development));
        assert!(!allowed("proxy", "testkit", DependencyKind::Normal));
        assert!(!allowed("tidegate", "xtask", DependencyKind::Development));
        assert!(!allowed("load", "bench-proxy", DependencyKind::Normal));
        assert!(allowed("testkit", "core", DependencyKind::Normal));
        assert!(allowed("bench-proxy", "testkit", DependencyKind::Normal));
        assert!(!allowed("testkit", "bench-proxy", DependencyKind::Normal));
    }

    #[test]
    fn the_lower_floors_take_nothing_impure_but_in_tests() {
        assert!(!allowed("traffic", "tokio", DependencyKind::Normal));
        assert!(!allowed("core", "rand", DependencyKind::Build));
        assert!(allowed("traffic", "tempfile", DependencyKind::Development));
        assert!(allowed("proxy", "tokio", DependencyKind::Normal));
        assert!(allowed("core", "serde", DependencyKind::Normal));
    }
}
