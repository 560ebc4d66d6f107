//! Settings of the nodes that are measured.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use crate::nodes::Node;

/// Replaces the first line of each name in a node's settings, set or commented out.
pub(crate) fn set(node: &Node, changes: &[(&str, &str)]) {
    change(node, |mut text| {
        for (name, value) in changes {
            text = with(&text, 0, name, value);
        }
        text
    });
}

/// What is measured is the node, not how much one caller or peer may take of it.
pub(crate) fn without_quotas(node: &Node) {
    change(node, |mut text| {
        for section in ["[limits.desk]", "[limits.peer]"] {
            for (name, value) in [
                ("messages_per_second", "1000000"),
                ("burst_messages", "10000000"),
            ] {
                let from = text.find(&format!("\n{section}\n"));
                let from = from.unwrap_or_else(|| panic!("no section {section}"));
                text = with(&text, from, name, value);
            }
        }
        text
    });
}

fn change(node: &Node, how: impl FnOnce(String) -> String) {
    let path = node.dir.join("liaison.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, how(text)).unwrap();
}

/// The text with another line in place of the first of this name behind `from`.
fn with(text: &str, from: usize, name: &str, value: &str) -> String {
    let (before, after) = text.split_at(from);
    let start = format!("{name} =");
    let is_it = |line: &&str| line.trim_start_matches('#').starts_with(&start);
    let line = after.lines().find(is_it);
    let line = line.unwrap_or_else(|| panic!("no line {name}"));
    let after = after.replacen(line, &format!("{name} = {value}"), 1);
    format!("{before}{after}")
}
