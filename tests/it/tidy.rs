//! The tree keeps its own rules: dependencies are recorded, banned ones stay out, files say what
//! they are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read_toml(name: &str) -> toml::Table {
    fs::read_to_string(root().join(name))
        .unwrap()
        .parse()
        .unwrap()
}

fn sources(dir: &Path, end: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, end, out);
        } else if path.to_string_lossy().ends_with(end) {
            out.push(path);
        }
    }
}

#[test]
fn every_direct_dependency_is_recorded_with_its_reason() {
    let manifest = read_toml("Cargo.toml");
    let page = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let recorded: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|names| names.split(", "))
        .collect();
    for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
        for name in manifest[section].as_table().unwrap().keys() {
            assert!(
                recorded.contains(name.as_str()),
                "{name} has no line in docs/dependencies.md"
            );
        }
    }
}

#[test]
fn banned_crates_stay_out_and_duplicates_are_known() {
    let deny = read_toml("deny.toml");
    let bans = deny["bans"].as_table().unwrap();
    let names = |key: &str| -> BTreeSet<String> {
        let list = bans[key].as_array().unwrap();
        list.iter()
            .map(|ban| ban["crate"].as_str().unwrap().to_owned())
            .collect()
    };
    let (denied, skipped) = (names("deny"), names("skip"));
    let lock = read_toml("Cargo.lock");
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        *versions
            .entry(package["name"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    for name in &denied {
        assert!(
            !versions.contains_key(name),
            "{name} is banned by deny.toml"
        );
    }
    let twice: BTreeSet<String> = versions
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        twice, skipped,
        "crates in more than one version, against deny.toml"
    );
}

#[test]
fn every_source_file_says_what_it_is() {
    let mut files = Vec::new();
    sources(&root().join("src"), ".rs", &mut files);
    sources(&root().join("tests"), ".rs", &mut files);
    assert!(files.len() > 50);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} has no first line",
            file.display()
        );
    }
}

#[test]
fn no_secret_is_committed() {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git must be here");
    // Golden key files of fixed, published seeds are vectors, not secrets.
    let marker = ["-----BEGIN ", "PRIVATE KEY"].concat();
    let also = ["-----BEGIN ENCRYPTED ", "PRIVATE KEY"].concat();
    for name in String::from_utf8(listed.stdout).unwrap().split('\0') {
        if name.is_empty() || name.starts_with("tests/") || name.starts_with("src/") {
            continue;
        }
        let bytes = fs::read(root().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains(&marker) && !text.contains(&also),
            "{name} holds a private key"
        );
    }
}

#[test]
fn printing_happens_in_one_place() {
    let mut files = Vec::new();
    sources(&root().join("src"), ".rs", &mut files);
    for file in files {
        if file.ends_with("cli/print.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in ["println!(", "eprintln!(", "print!(", "eprint!("] {
            let found = code
                .lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains(call));
            assert!(!found, "{} prints by itself", file.display());
        }
    }
}
