//! The shape of the workspace, as ARCHITECTURE.md draws it: who may depend on whom, and on what.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use toml::Table;

/// The crates by floor, with whether they are pure. A crate depends on lower floors only.
const FLOORS: &[(&str, u8, bool)] = &[
    ("chorale-foundation", 0, false),
    ("chorale-types", 1, true),
    ("chorale-hotstuff", 2, true),
    ("chorale-dispersal", 2, true),
    ("chorale-mempool", 2, true),
    ("chorale-ledger", 2, true),
    ("chorale-evm", 2, true),
    ("chorale-light", 2, true),
    ("chorale-api", 3, false),
    ("chorale-engine", 3, false),
    ("chorale-client", 4, false),
    ("chorale-node", 5, false),
    ("chorale-rollup", 5, false),
    ("chorale-sim", 5, false),
    ("chorale-bench", 6, false),
    ("chorale", 6, false),
];

/// What only impure crates may use: runtimes, clocks, sockets, disks, threads, global randomness.
const IMPURE: &[&str] =
    &["tokio", "futures", "jsonrpsee", "axum", "tower", "redb", "tempfile", "rayon", "rand", "getrandom"];

fn workspace() -> &'static Path {
    // Tests run in the folder of their crate. Its path at the time of the build may be that of another clone: builds are
    // shared between clones.
    Path::new("../..")
}

fn read(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manifests of all crates by package name.
fn manifests() -> BTreeMap<String, Table> {
    let crates = std::fs::read_dir(workspace().join("crates")).unwrap();
    let manifest = |entry: std::io::Result<std::fs::DirEntry>| read(&entry.unwrap().path().join("Cargo.toml"));
    crates.map(manifest).map(|manifest| (manifest["package"]["name"].as_str().unwrap().to_owned(), manifest)).collect()
}

fn names(manifest: &Table, section: &str) -> Vec<String> {
    manifest
        .get(section)
        .and_then(|section| section.as_table())
        .map_or_else(Vec::new, |table| table.keys().cloned().collect())
}

fn floor(name: &str) -> u8 {
    let known = FLOORS.iter().find(|(crate_name, ..)| *crate_name == name);
    known.unwrap_or_else(|| panic!("{name} has no floor: add it to FLOORS and to ARCHITECTURE.md")).1
}

/// With a second binary among the default members, `cargo run`, as the README says it, did not know which one to run.
#[test]
fn cargo_run_runs_the_command_line() {
    let workspace = read(&workspace().join("Cargo.toml"));
    let members = workspace["workspace"]["default-members"].as_array().unwrap();
    assert_eq!(members.iter().map(|member| member.as_str().unwrap()).collect::<Vec<_>>(), ["crates/chorale"]);
}

#[test]
fn crates_depend_on_lower_floors_only() {
    for (name, manifest) in manifests() {
        for dependency in names(&manifest, "dependencies").iter().filter(|name| name.starts_with("chorale-")) {
            assert!(floor(dependency) < floor(&name), "{name} must not depend on {dependency}: same or higher floor");
        }
    }
}

#[test]
fn pure_crates_use_nothing_impure() {
    let manifests = manifests();
    for (name, ..) in FLOORS.iter().filter(|(name, _, pure)| *pure && manifests.contains_key(*name)) {
        let manifest = &manifests[*name];
        for dependency in names(manifest, "dependencies") {
            assert!(!IMPURE.contains(&dependency.as_str()), "{name} is pure and must not depend on {dependency}");
        }
        let foundation = manifest["dependencies"].get("chorale-foundation");
        let features = foundation.and_then(|foundation| foundation.get("features"));
        assert!(features.is_none(), "{name} is pure: no feature of chorale-foundation is for it");
    }
}

#[test]
fn commonware_is_imported_through_one_crate_only() {
    for (name, manifest) in manifests().iter().filter(|(name, _)| *name != "chorale-foundation") {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let direct = names(manifest, section).into_iter().find(|name| name.starts_with("commonware-"));
            assert_eq!(direct, None, "{name} imports a commonware crate; go through chorale-foundation");
        }
    }
}

/// They depend on each other with caret ranges over calendar versions: one that is not pinned moves to an
/// incompatible release.
#[test]
fn every_commonware_crate_in_the_lock_file_is_pinned_exactly() {
    let root = read(&workspace().join("Cargo.toml"));
    let pinned: BTreeMap<&str, &str> = root["workspace"]["dependencies"]
        .as_table()
        .unwrap()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.get("version")?.as_str()?)))
        .collect();
    let lock = read(&workspace().join("Cargo.lock"));
    let locked: BTreeSet<(String, String)> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["name"].as_str().unwrap().to_owned(), package["version"].as_str().unwrap().to_owned()))
        .filter(|(name, _)| name.starts_with("commonware-"))
        .collect();
    assert!(!locked.is_empty());
    for (name, version) in locked {
        assert_eq!(pinned.get(name.as_str()), Some(&format!("={version}").as_str()), "pin {name} in the workspace");
    }
}

#[test]
fn pure_crates_are_linted_as_pure() {
    let rules = std::fs::canonicalize(workspace().join("pure.clippy.toml")).unwrap();
    for (name, ..) in FLOORS.iter().filter(|(_, _, pure)| *pure) {
        let linked = workspace().join("crates").join(name.trim_start_matches("chorale-")).join("clippy.toml");
        let target = std::fs::canonicalize(&linked).unwrap_or_else(|error| panic!("{}: {error}", linked.display()));
        assert_eq!(target, rules, "{name} links its clippy.toml to pure.clippy.toml");
    }
}
