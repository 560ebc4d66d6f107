//! `liaison keys`: which keys hold, and changes of this node's own while it runs.

mod copies;
mod offline;
mod prune;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::connect::Target;
use super::exit::{Done, Exit, Failure};
use super::print::Screen;
use super::refused;
use super::table::{Cell, Fit, Style, Table};
use super::words;
use crate::proto::v1::{self, KeyRole, KeyStage};

/// Keys: of this node and its peers.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Lists every key, what it is for and where it holds.
    List,
    Rotate(Rotate),
    #[command(subcommand)]
    Officer(offline::Officer),
    #[command(subcommand)]
    Recovery(offline::Recovery),
    Revoke(offline::Revoke),
    Tls(Tls),
    Backup(copies::BackupKeys),
    Restore(copies::RestoreKeys),
    ChangeStorage(copies::ChangeStorage),
    Prune(prune::PruneKeys),
}

/// Makes a new key and takes it into use; the node goes on meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Which key.
    which: Which,
    /// Why, in one line; the peers read it, and it is never sealed. Name no person in it.
    #[arg(long, default_value = "")]
    reason: String,
}

/// A signing key of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Which {
    /// Signs entries.
    Message,
    /// Signs checkpoints and receipts.
    Log,
}

impl Which {
    pub(super) fn role(self) -> KeyRole {
        match self {
            Self::Message => KeyRole::Message,
            Self::Log => KeyRole::Log,
        }
    }
}

/// Shows the TLS certificates in use; announces the authority of a new one.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// Announce the authority in exchange.authority to every peer. They trust it once their
    /// operators have accepted it: liaison peer accept-authority.
    #[arg(long)]
    announce: bool,
    /// Why, in one line; the peers read it, and it is never sealed. Name no person in it.
    #[arg(long, default_value = "", requires = "announce")]
    reason: String,
}

impl Keys {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::List => list(target, screen).await,
            Self::Rotate(rotate) => rotate.run(target, screen).await,
            Self::Officer(officer) => officer.run(target, screen).await,
            Self::Recovery(recovery) => recovery.run(target, screen),
            Self::Revoke(revoke) => revoke.run(target, screen).await,
            Self::Tls(tls) => tls.run(target, screen).await,
            Self::Backup(backup) => backup.run(target, screen).await,
            Self::Restore(restore) => restore.run(target, screen),
            Self::ChangeStorage(change) => change.run(target, screen),
            Self::Prune(prune) => prune.run(target, screen).await,
        }
    }
}

async fn list(target: &Target, screen: Screen) -> Done {
    let desk = target.connect().await?;
    let known = refused::answer(desk.keys().list_keys(v1::ListKeysRequest {}).await)?;
    let copies = copies::known_to(&desk).await?;
    if screen.json {
        let links: Vec<_> = known.links.iter().map(link_json).collect();
        screen.json(&json!({
            "node": known.node,
            "links": links,
            "storageKey": copies.storage_key,
            "uncopied": copies.uncopied,
            "lost": copies.lost,
        }))?;
        return Ok(Exit::Ok);
    }
    if known.links.is_empty() {
        screen.note("no link yet, so no log in which a key could hold; add one: liaison peer add");
    }
    for link in &known.links {
        let mut table = Table::new(&[
            ("WHOSE", Fit::Down(12)),
            ("FOR", Fit::Whole),
            ("HOLDS", Fit::Whole),
            ("STANDING", Fit::Whole),
            ("FINGERPRINT", Fit::Whole),
        ]);
        screen.styled(&format!("link with {}", link.peer), Style::Bold)?;
        let mut authorities = Vec::new();
        for (whose, history) in [(&known.node, &link.own), (&link.peer, &link.mirror)] {
            let history = history.clone().unwrap_or_default();
            for key in &history.keys {
                let (standing, style) = standing(key);
                table.row([
                    whose.as_str().into(),
                    words::of_enum("KeyRole", key.role().as_str_name()).into(),
                    holds(key).into(),
                    Cell::styled(standing, style),
                    grouped(&key.fingerprint).into(),
                ]);
            }
            let announced = history.authorities.into_iter();
            authorities.extend(announced.map(|authority| (whose, authority)));
        }
        screen.table(&table)?;
        for (whose, authority) in authorities {
            screen.line(format!(
                "  {whose} announced a TLS authority at index {}: {}",
                authority.index,
                grouped(&authority.fingerprint)
            ))?;
        }
    }
    if copies.sealed {
        screen.line(format!("storage key {}", copies.storage_key))?;
    }
    let (text, style) = copies::standing(&copies);
    screen.styled(&text, style)?;
    Ok(Exit::Ok)
}

fn holds(key: &v1::KnownKey) -> String {
    match key.last_index {
        Some(last) => format!("{} to {last}", key.first_index),
        None => format!("from {}", key.first_index),
    }
}

fn standing(key: &v1::KnownKey) -> (&'static str, Style) {
    match (key.revoked, key.ended, key.in_use) {
        (true, ..) => ("revoked", Style::Bad),
        (_, true, _) => ("retired", Style::Dim),
        (_, _, true) => ("signs", Style::Good),
        _ => ("holds", Style::Plain),
    }
}

/// The first half of a fingerprint, in groups of four: enough to compare by voice.
fn grouped(hex: &str) -> String {
    let half: Vec<char> = hex.chars().take(32).collect();
    let groups = half.chunks(4).map(|four| four.iter().collect::<String>());
    groups.collect::<Vec<_>>().join(" ")
}

fn link_json(link: &v1::LinkKeys) -> serde_json::Value {
    let history = |history: &Option<v1::LogKeyHistory>| {
        let history = history.clone().unwrap_or_default();
        let keys: Vec<_> = history
            .keys
            .iter()
            .map(|key| {
                json!({
                    "role": words::of_enum("KeyRole", key.role().as_str_name()),
                    "vkey": key.vkey,
                    "fingerprint": key.fingerprint,
                    "firstIndex": key.first_index,
                    "lastIndex": key.last_index,
                    "sinceIndex": key.since_index,
                    "standing": standing(key).0,
                })
            })
            .collect();
        let authorities: Vec<_> = history
            .authorities
            .iter()
            .map(|known| json!({ "index": known.index, "fingerprint": known.fingerprint }))
            .collect();
        json!({ "origin": history.origin, "keys": keys, "authorities": authorities })
    };
    json!({ "peer": link.peer, "own": history(&link.own), "peers": history(&link.mirror) })
}

impl Rotate {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = v1::RotateKeyRequest {
            role: self.which.role() as i32,
            reason: self.reason,
        };
        let answer = refused::answer(desk.keys().rotate_key(request).await)?;
        tell_stages(&answer.links, screen)
    }
}

/// How far a new key has come, and what happens next.
pub(super) fn tell_stages(links: &[v1::LinkKeyStage], screen: Screen) -> Done {
    if screen.json {
        let links: Vec<_> = links
            .iter()
            .map(|link| {
                let stage = words::of_enum("KeyStage", link.stage().as_str_name());
                json!({ "peer": link.peer, "stage": stage })
            })
            .collect();
        screen.json(&json!({ "links": links }))?;
        return Ok(Exit::Ok);
    }
    for link in links {
        let words = match link.stage() {
            KeyStage::Alone => "the new key signs, the old one is retired",
            KeyStage::Announced => {
                "announced; the old key signs until the peer has confirmed it. Nothing to do"
            }
            KeyStage::Unknown | KeyStage::Unspecified => "not announced yet; ask again",
        };
        screen.line(format!("{}: {words}", link.peer))?;
    }
    screen.note(
        "the old key file is kept as *.retired-DATE once no link needs it; make a copy of the new \
         one apart from this machine",
    );
    Ok(Exit::Ok)
}

impl Tls {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        if self.announce {
            let request = v1::AnnounceAuthorityRequest {
                reason: self.reason,
            };
            let answer = refused::answer(desk.keys().announce_authority(request).await)?;
            let fingerprint = answer.fingerprint;
            if screen.json {
                screen.json(&json!({ "fingerprint": fingerprint }))?;
            } else {
                screen.line(format!(
                    "announced to every peer. Tell them its fingerprint by voice:\n  {fingerprint}"
                ))?;
            }
            return Ok(Exit::Ok);
        }
        let status = refused::answer(desk.desk().status(v1::StatusRequest {}).await)?;
        if status.certificates.is_empty() {
            return Err(Failure::new(
                Exit::Negative,
                "the node shows no certificate",
            ));
        }
        let mut table = Table::new(&[
            ("CERTIFICATE", Fit::Whole),
            ("VALID UNTIL", Fit::Whole),
            ("DAYS LEFT", Fit::Whole),
        ]);
        for certificate in &status.certificates {
            table.row([
                certificate.r#use.as_str().into(),
                super::when::full_wire(certificate.not_after.as_ref()).into(),
                certificate.days_left.to_string().into(),
            ]);
        }
        if screen.json {
            let certificates: Vec<_> = status
                .certificates
                .iter()
                .map(|certificate| {
                    let until = super::when::full_wire(certificate.not_after.as_ref());
                    json!({ "use": certificate.r#use, "until": until })
                })
                .collect();
            screen.json(&json!({ "certificates": certificates }))?;
        } else {
            screen.table(&table)?;
        }
        Ok(Exit::Ok)
    }
}
