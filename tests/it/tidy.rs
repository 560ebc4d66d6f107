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

/// The floor plan: the modules of `src/lib.rs`, in the order in which it lists them.
fn floors() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let listed: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! - [`")?.split_once("`]"))
        .map(|(name, _)| name.to_owned())
        .collect();
    let declared: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        declared,
        listed.iter().cloned().collect(),
        "src/lib.rs lists every module once"
    );
    listed
}

/// Modules of the crate that a file names: `crate::X`, and `use crate::{X, Y}`.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let parts: Vec<&str> = match rest.strip_prefix('{') {
            None => vec![rest],
            Some(list) => list.split('}').next().unwrap().split(',').collect(),
        };
        for part in parts {
            let name: String = part
                .trim_start()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            named.insert(name);
        }
    }
    named
}

#[test]
fn each_floor_uses_only_those_above_it() {
    let floors = floors();
    // What a floor may not use although it stands above: docs/architecture.md says why.
    let apart = [
        ("model", "tlog"),
        ("tlog", "model"),
        ("tlog", "proto"),
        ("store", "proto"),
        ("store", "model"),
        ("store", "tlog"),
        ("store", "audit"),
        ("store", "document"),
        ("journal", "audit"),
        ("journal", "document"),
        ("exchange", "audit"),
        ("exchange", "document"),
        ("link", "document"),
        ("link", "crypto"),
        ("link", "audit"),
    ];
    for (number, floor) in floors.iter().enumerate() {
        let mut files = Vec::new();
        let dir = root().join("src").join(floor);
        if dir.is_dir() {
            sources(&dir, ".rs", &mut files);
        } else {
            files.push(root().join(format!("src/{floor}.rs")));
        }
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let tests = file.ends_with("tests.rs");
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let code: String = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .flat_map(|line| [line, "\n"])
                .collect();
            for used in named_modules(&code) {
                let Some(position) = floors.iter().position(|floor| *floor == used) else {
                    continue; // a macro or a type of the file's own
                };
                assert!(
                    tests || position <= number,
                    "{} uses `{used}`, which is below `{floor}`",
                    file.display()
                );
                assert!(
                    tests || !apart.contains(&(floor, &used)),
                    "{} uses `{used}`, which `{floor}` does without",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn the_floor_plan_is_the_same_on_both_pages() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let plan = page
        .split("```text\n")
        .find(|block| block.starts_with(" ground floor"));
    let drawn: Vec<String> = plan
        .unwrap()
        .split("```")
        .next()
        .unwrap()
        .lines()
        .filter_map(|line| line.get(18..)?.split_whitespace().next())
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect();
    let mut listed = floors();
    listed.push("main".to_owned());
    assert_eq!(drawn, listed);
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
