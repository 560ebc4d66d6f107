//! Which keys an auditor believes: files of verifier keys, or the cards of the sides.

use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::crypto::vkey::{Algorithm, VerifierKey};
use crate::limits::EXPORT_KEYS_MAX;
use crate::model::{NodeName, Origin};
use crate::node::peer_card::PeerCard;

/// Reads the keys of all files together.
///
/// A node signs its logs with the key that it cosigns with, under the name of each log. So from the
/// cosigner keys of two sides follow the keys of the logs between them, which no card names.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .or_fail(Exit::Data, || format!("the keys in {}", file.display()))?;
        let found = if is_card(&text) {
            of_card(file)?
        } else {
            of_lines(file, &text)?
        };
        keys.extend(found);
        refuse_too_many(&keys)?;
    }
    for key in of_logs(&keys)? {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn refuse_too_many(keys: &[VerifierKey]) -> Result<(), Failure> {
    if keys.len() <= EXPORT_KEYS_MAX {
        return Ok(());
    }
    let what = format!("more than {EXPORT_KEYS_MAX} keys");
    Err(Failure::new(Exit::Data, what))
}

fn is_card(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "[[key]]")
}

fn of_card(file: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let card = PeerCard::load(file).or_exit(Exit::Data)?;
    Ok(card.keys.iter().map(|key| key.vkey.clone()).collect())
}

/// One vkey a line; # begins a remark.
fn of_lines(file: &Path, text: &str) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = || format!("{}, line {}", file.display(), number + 1);
        keys.push(VerifierKey::parse(line).or_fail(Exit::Data, at)?);
        if keys.len() > EXPORT_KEYS_MAX {
            break; // The caller refuses them.
        }
    }
    if keys.is_empty() {
        return Err(
            Failure::new(Exit::Data, format!("{} names no key", file.display())).remedy(
                "write one vkey a line, as liaison peer show prints them, or name a side's card",
            ),
        );
    }
    Ok(keys)
}

fn of_logs(keys: &[VerifierKey]) -> Result<Vec<VerifierKey>, Failure> {
    let cosigners: Vec<(NodeName, &VerifierKey)> = keys
        .iter()
        .filter(|key| key.algorithm() == Algorithm::Cosignature)
        .filter_map(|key| Some((NodeName::parse(key.name()).ok()?, key)))
        .collect();
    let mut logs = Vec::new();
    for (sender, key) in &cosigners {
        for (recipient, _) in &cosigners {
            if sender == recipient {
                continue;
            }
            let origin = Origin::new(sender.clone(), recipient.clone()).to_string();
            let key = VerifierKey::new(&origin, Algorithm::Ed25519, *key.public());
            logs.push(key.or_exit(Exit::Internal)?);
        }
        refuse_too_many(&logs)?;
    }
    Ok(logs)
}
