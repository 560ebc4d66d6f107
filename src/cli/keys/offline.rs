//! Keys that are not the node's own: officers', and the recovery key, which is kept offline.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::{Which, tell_stages};
use crate::cli::connect::Target;
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::{Screen, ask_secret};
use crate::cli::refused;
use crate::crypto::change;
use crate::crypto::history::StartKeys;
use crate::crypto::keys::{Loaded, NodeKey, OfficerKey, Protection, RecoveryKey, Use};
use crate::model::Origin;
use crate::node::keyring::public_head;
use crate::node::passphrase::PassphraseSource;
use crate::node::public_keys::{self, PUBLIC_FILE};
use crate::proto::v1::{self, KeyAction, KeyRole};

/// Officers who release messages.
#[derive(Debug, Subcommand)]
pub(crate) enum Officer {
    Add(AddOfficer),
    Retire(RetireOfficer),
}

/// Tells every peer an officer's key; makes it if the file is not there.
#[derive(Debug, Args)]
pub(crate) struct AddOfficer {
    /// The officer, as a lower-case label: linh.
    name: String,
    /// The officer's key file. It belongs to the officer, not to the node.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFlags,
}

/// Tells every peer that an officer's key ends.
#[derive(Debug, Args)]
pub(crate) struct RetireOfficer {
    /// The officer.
    name: String,
    /// Why, in one line; the peers read it, and it is never sealed. Name no person in it.
    #[arg(long, default_value = "")]
    reason: String,
}

/// The key that is kept offline.
#[derive(Debug, Subcommand)]
pub(crate) enum Recovery {
    Init(InitRecovery),
}

/// Makes the recovery key. Do it before the card is given to a peer: the card names it.
#[derive(Debug, Args)]
pub(crate) struct InitRecovery {
    /// Where the key file goes: a medium that leaves this machine.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFlags,
}

/// Ends a lost or stolen key by the word of the recovery key; a new one follows at once.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Which key.
    which: Which,
    /// The recovery key's file.
    #[arg(long, value_name = "FILE")]
    recovery: PathBuf,
    /// Why, in one line; the peers read it, and it is never sealed. Name no person in it.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    passphrase: PassphraseFlags,
}

/// How the key file is opened or kept.
#[derive(Debug, Clone, Args)]
struct PassphraseFlags {
    /// The passphrase is the first line of this file (mode 0600).
    #[arg(long, value_name = "FILE", conflicts_with = "unencrypted")]
    passphrase_file: Option<PathBuf>,
    /// The key file is not encrypted; for trials only.
    #[arg(long)]
    unencrypted: bool,
}

impl PassphraseFlags {
    fn get(&self, what: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        let source = match &self.passphrase_file {
            _ if self.unencrypted => PassphraseSource::None,
            Some(file) => PassphraseSource::File(file.clone()),
            None => PassphraseSource::Prompt,
        };
        source
            .get(None, || ask_secret(&format!("Passphrase of {what}")))
            .or_exit(Exit::Config)
    }

    fn protection(&self, what: &str) -> Result<Protection, Failure> {
        let first = self.get(what)?;
        if let (Some(first), None) = (&first, &self.passphrase_file) {
            let second = self.get("the same key again")?;
            if second.as_ref() != Some(first) {
                let what = "the two passphrases differ; nothing was made";
                return Err(Failure::new(Exit::Data, what));
            }
        }
        Ok(first.map_or(Protection::Unencrypted, Protection::Passphrase))
    }

    fn load<U: Use>(&self, file: &Path, what: &str) -> Result<NodeKey<U>, Failure> {
        let passphrase = self.get(what)?;
        let loaded = NodeKey::load_file(file, passphrase.as_ref()).or_exit(Exit::Config)?;
        let Loaded { key, encrypted } = loaded;
        if encrypted || self.unencrypted {
            Ok(key)
        } else {
            Err(
                Failure::new(Exit::Config, format!("{} is not encrypted", file.display()))
                    .remedy("encrypt it, or say --unencrypted if this is a trial"),
            )
        }
    }
}

fn origin_of(node: &str, peer: &str) -> Result<Origin, Failure> {
    Origin::parse(&format!("{node}/{peer}")).or_exit(Exit::Internal)
}

impl Officer {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Add(add) => add.run(target, screen).await,
            Self::Retire(retire) => retire.run(target, screen).await,
        }
    }
}

impl AddOfficer {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        if !change::is_officer_name(&self.name) || self.name == change::RECOVERY {
            let what = format!("{:?} is no name for an officer's key", self.name);
            let remedy = "use lower-case letters, digits and hyphens, at most 63: linh, duty-2";
            return Err(Failure::new(Exit::Usage, what).remedy(remedy));
        }
        let desk = target.connect().await?;
        let known = refused::answer(desk.keys().list_keys(v1::ListKeysRequest {}).await)?;
        let node = crate::model::NodeName::parse(&known.node).or_exit(Exit::Internal)?;
        let what = format!("the key of officer {}", self.name);
        if !self.key.exists() {
            let key = OfficerKey::generate().or_exit(Exit::Internal)?;
            let protection = self.passphrase.protection(&what)?;
            key.write_file(&self.key, &protection)
                .or_exit(Exit::CannotCreate)?;
            screen.note(format!("{what} is made: {}", self.key.display()));
        }
        let key: OfficerKey = self.passphrase.load(&self.key, &what)?;
        let vkey = key
            .verifier(&node, &self.name)
            .ok_or_else(|| Failure::new(Exit::Usage, "no name for an officer's key"))?;
        let mut changes = Vec::new();
        for link in &known.links {
            let own = link.own.clone().unwrap_or_default();
            let mut known = own.keys.iter();
            if known.any(|key| key.vkey == vkey.to_string() && !key.ended) {
                continue;
            }
            let mut change = v1::KeyChange {
                role: KeyRole::Officer as i32,
                action: KeyAction::Add as i32,
                number: own.next_number,
                new_vkey: vkey.to_string(),
                ..v1::KeyChange::default()
            };
            let origin = origin_of(node.as_str(), &link.peer)?;
            let signature = change::sign(&key, &origin, &change).or_exit(Exit::Internal)?;
            change.new_key_signature = signature.to_vec().into();
            changes.push(v1::PreparedChange {
                peer: link.peer.clone(),
                change: Some(change),
                origin: origin.to_string(),
            });
        }
        let request = v1::ChangeOfficerRequest { changes };
        refused::answer(desk.keys().change_officer(request).await)?;
        screen.line(format!("{vkey}"))?;
        screen.note(format!(
            "the peers know officer {} now; messages that this key has released show it",
            self.name
        ));
        Ok(Exit::Ok)
    }
}

impl RetireOfficer {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let known = refused::answer(desk.keys().list_keys(v1::ListKeysRequest {}).await)?;
        let name = format!("{}/{}+", known.node, self.name);
        let mut changes = Vec::new();
        for link in &known.links {
            let own = link.own.clone().unwrap_or_default();
            let ending = own.keys.iter();
            let ending = ending.filter(|key| key.vkey.starts_with(&name) && !key.ended);
            for (key, number) in ending.zip(own.next_number..) {
                changes.push(v1::PreparedChange {
                    peer: link.peer.clone(),
                    change: Some(v1::KeyChange {
                        role: KeyRole::Officer as i32,
                        action: KeyAction::Retire as i32,
                        number,
                        old_vkey: key.vkey.clone(),
                        reason: self.reason.clone(),
                        ..v1::KeyChange::default()
                    }),
                    origin: own.origin.clone(),
                });
            }
        }
        if changes.is_empty() {
            let what = format!("no key of an officer {} holds", self.name);
            return Err(Failure::new(Exit::Negative, what).remedy("liaison keys list"));
        }
        let request = v1::ChangeOfficerRequest { changes };
        refused::answer(desk.keys().change_officer(request).await)?;
        screen.note(format!("officer {} releases nothing any more", self.name));
        Ok(Exit::Ok)
    }
}

impl Recovery {
    pub(super) fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Init(init) => init.run(target, screen),
        }
    }
}

impl InitRecovery {
    fn run(self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        let file = config.keys.message.with_file_name(PUBLIC_FILE);
        let public = public_keys::load(&file, &config.node).or_exit(Exit::Config)?;
        let public = public.unwrap_or_default();
        if let Some(key) = &public.recovery {
            let what = format!("there is a recovery key already: {key}");
            let remedy = "a second one would shut out the first; keep that one";
            return Err(Failure::new(Exit::CannotCreate, what).remedy(remedy));
        }
        let key = RecoveryKey::generate().or_exit(Exit::Internal)?;
        let protection = self.passphrase.protection("the new recovery key")?;
        key.write_file(&self.out, &protection)
            .or_exit(Exit::CannotCreate)?;
        let public = StartKeys {
            recovery: Some(key.verifier(&config.node)),
            ..public
        };
        public_keys::save(&file, &public_head(&config.node), &public)
            .or_fail(Exit::CannotCreate, || format!("{}", file.display()))?;
        screen.line(format!(
            "The recovery key of {} is in {}.",
            config.node,
            self.out.display()
        ))?;
        screen.line(
            "\nIt can end and replace every other key of this node, whoever holds them. So:\n  \
             1. Take it off this machine: two copies on two media, in two safes, the passphrase \
             apart.\n  \
             2. Give the peers your card now: liaison peer card. It names the recovery key.\n  \
             3. When a key is lost or stolen: liaison keys revoke message --recovery FILE --reason …",
        )?;
        for link in &config.links {
            screen.note(format!(
                "the link with {} was made without it: nothing can be revoked there, until both \
                 sides set the link up anew",
                link.peer
            ));
        }
        Ok(Exit::Ok)
    }
}

impl Revoke {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let key: RecoveryKey = self.passphrase.load(&self.recovery, "the recovery key")?;
        let desk = target.connect().await?;
        let role = self.which.role() as i32;
        let request = v1::PrepareRevocationRequest {
            role,
            reason: self.reason,
        };
        let prepared = refused::answer(desk.keys().prepare_revocation(request).await)?;
        let mut changes = prepared.changes;
        for prepared in &mut changes {
            let origin = Origin::parse(&prepared.origin).or_exit(Exit::Internal)?;
            let mut change = prepared.change.take().unwrap_or_default();
            // Nothing but what was asked for is signed, whatever the node says.
            if change.role != role || change.action() != KeyAction::Revoke {
                let what = "the node asks for another signature than that of a revocation";
                return Err(Failure::new(Exit::Internal, what));
            }
            let signature = change::sign(&key, &origin, &change).or_exit(Exit::Internal)?;
            change.recovery_signature = signature.to_vec().into();
            prepared.change = Some(change);
        }
        let request = v1::RevokeKeyRequest { role, changes };
        let answer = refused::answer(desk.keys().revoke_key(request).await)?;
        tell_stages(&answer.links, screen)
    }
}
