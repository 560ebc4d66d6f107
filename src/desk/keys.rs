//! Keys: which hold, and changes of this node's own.
//!
//! Changes are for administrators; and for whoever is on the Unix socket, since that is the node's
//! own user, who has the key files anyway.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use super::Desk;
use super::caller::{Caller, Method};
use super::errors::DeskError;
use super::service::{admit, answer};
use crate::crypto::history::{HeldKey, KeyHistory};
use crate::crypto::vkey::VerifierKey;
use crate::exchange::rotate::{RotateError, Stage};
use crate::exchange::{Link, LogSide};
use crate::journal::Act;
use crate::link::connection::ConnectInfo;
use crate::link::identity::Identity;
use crate::model::NodeName;
use crate::model::check::FieldFault;
use crate::proto::v1::keys_service_server::KeysService;
use crate::proto::v1::{self, KeyAction, KeyChange, KeyRole};

/// Changes the keys of a running node, files and logs.
#[tonic::async_trait]
pub trait KeyKeeper: Send + Sync + fmt::Debug {
    /// Makes a new key and takes it into use on every link.
    ///
    /// # Errors
    /// [`KeysError`]; what was begun goes on by itself.
    async fn rotate(&self, role: KeyRole, reason: &str) -> Result<(), KeysError>;

    /// Makes the key that follows a lost one, and what the recovery key must sign, by peer.
    ///
    /// # Errors
    /// [`KeysError`].
    async fn prepare_revocation(
        &self,
        role: KeyRole,
        reason: &str,
    ) -> Result<Vec<(String, KeyChange)>, KeysError>;

    /// Says revocations that the recovery key has signed.
    ///
    /// # Errors
    /// [`KeysError`].
    async fn revoke(
        &self,
        role: KeyRole,
        changes: Vec<(String, KeyChange)>,
    ) -> Result<(), KeysError>;

    /// The certificate of the authority of this node's TLS certificates, DER.
    ///
    /// # Errors
    /// [`KeysError::Files`].
    fn authority(&self) -> Result<Bytes, KeysError>;

    /// Keeps an officer's key for the card, or no longer.
    ///
    /// # Errors
    /// [`KeysError::Files`].
    fn note_officer(
        &self,
        node: &NodeName,
        vkey: &VerifierKey,
        begins: bool,
    ) -> Result<(), KeysError>;
}

/// Why keys were not changed, or not on every link.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// On a link.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// The files.
    #[error("{0}")]
    Files(String),
    /// A revocation is under way.
    #[error("a revocation of this key was begun; finish it first: liaison keys revoke")]
    Revoking,
    /// Nothing was prepared.
    #[error("no revocation was prepared; begin again: liaison keys revoke")]
    NotPrepared,
    /// No such link.
    #[error("there is no link with {peer}")]
    NoLink {
        /// Who was named.
        peer: String,
    },
    /// Only a whole node changes keys.
    #[error("this node's keys cannot be changed here")]
    NoKeeper,
}

impl From<crate::crypto::keys::KeyError> for KeysError {
    fn from(error: crate::crypto::keys::KeyError) -> Self {
        Self::Files(error.to_string())
    }
}

/// Who may change keys: an administrator, or the node's own user.
fn admit_change<T>(request: &Request<T>) -> Result<Caller, Status> {
    let info = request.extensions().get::<ConnectInfo>();
    let local = info.is_some_and(|info| matches!(info.identity, Identity::Unix(_)));
    match Caller::of(request.extensions()) {
        Some(caller) if local => Ok(caller),
        _ => admit(request, Method::ChangeKeys).map(|(caller, _)| caller),
    }
}

impl Desk {
    async fn note_keys(&self, caller: &Caller, what: String, why: &str) -> Result<(), DeskError> {
        let deed = Self::deed(caller, Act::KeysChanged).what(what).why(why);
        self.note(deed).await
    }

    fn keeper(&self) -> Result<&Arc<dyn KeyKeeper>, DeskError> {
        Ok(self.keeper.get().ok_or(KeysError::NoKeeper)?)
    }

    fn list_keys(&self) -> v1::ListKeysResponse {
        let links = self.exchange.links().map(|link| v1::LinkKeys {
            peer: link.peer.to_string(),
            own: Some(self.told(link, LogSide::Own)),
            mirror: Some(self.told(link, LogSide::Mirror)),
        });
        v1::ListKeysResponse {
            node: self.exchange.node().to_string(),
            links: links.collect(),
        }
    }

    fn told(&self, link: &Link, side: LogSide) -> v1::LogKeyHistory {
        let history = link.key_history(side);
        let in_use = match side {
            LogSide::Own => [
                self.exchange.message_key(link).map(|key| key.public()),
                self.exchange
                    .log_key(link, link.head().own_size)
                    .map(|key| key.public()),
            ],
            LogSide::Mirror => [None, None],
        };
        let keys = history.keys().iter().map(|key| {
            let public = Some(*key.vkey.public());
            known_key(key, in_use.contains(&public))
        });
        let authorities = history.authorities().iter();
        v1::LogKeyHistory {
            origin: history.origin().to_string(),
            keys: keys.collect(),
            authorities: authorities
                .map(|authority| v1::AnnouncedAuthority {
                    index: authority.at,
                    certificate: authority.certificate.clone(),
                    fingerprint: hex::encode(Sha256::digest(&authority.certificate)),
                })
                .collect(),
            next_number: history.next_number(false),
            next_revocation: history.next_number(true),
        }
    }

    fn stages(&self, role: KeyRole) -> Vec<v1::LinkKeyStage> {
        let newest = |history: &KeyHistory| {
            let mut keys = history.keys().iter().rev();
            keys.find(|key| key.role == role)
                .map(|key| key.vkey.public().to_bytes())
        };
        let stage = |link: &Link| {
            let history = link.key_history(LogSide::Own);
            let stage = newest(&history).map_or(Stage::Unknown, |public| {
                self.exchange.stage_of_key(link, &public, role)
            });
            match stage {
                Stage::Unknown | Stage::Ended => v1::KeyStage::Unknown,
                Stage::Announced => v1::KeyStage::Announced,
                Stage::Alone => v1::KeyStage::Alone,
            }
        };
        let links = self.exchange.links().map(|link| v1::LinkKeyStage {
            peer: link.peer.to_string(),
            stage: stage(link) as i32,
        });
        links.collect()
    }

    async fn change_officer(&self, request: v1::ChangeOfficerRequest) -> Result<(), DeskError> {
        let keeper = Arc::clone(self.keeper()?);
        let node = self.exchange.node();
        for prepared in request.changes {
            let change = prepared.change.unwrap_or_default();
            if change.role() != KeyRole::Officer {
                return Err(field("changes.change.role", "it is no officer's key"));
            }
            let begins = change.action() == KeyAction::Add;
            let vkey = if begins {
                &change.new_vkey
            } else {
                &change.old_vkey
            };
            let vkey = VerifierKey::parse(vkey)
                .map_err(|error| field("changes.change.vkey", &error.to_string()))?;
            let peer = prepared.peer;
            let link = self
                .exchange
                .link(&peer)
                .ok_or(KeysError::NoLink { peer })?;
            let changed = self.exchange.change_officer(link, change).await;
            changed.map_err(KeysError::from)?;
            keeper.note_officer(node, &vkey, begins)?;
        }
        Ok(())
    }

    async fn announce_authority(&self, reason: &str) -> Result<String, DeskError> {
        let certificate = self.keeper()?.authority()?;
        for link in self.exchange.links() {
            self.exchange
                .announce_authority(link, certificate.clone(), reason)
                .await
                .map_err(KeysError::from)?;
        }
        Ok(hex::encode(Sha256::digest(&certificate)))
    }
}

fn field(name: &str, reason: &str) -> DeskError {
    DeskError::Fields(vec![FieldFault {
        field: name.to_owned(),
        reason: reason.to_owned(),
        remedy: "use the command: liaison keys".to_owned(),
    }])
}

fn known_key(key: &HeldKey, in_use: bool) -> v1::KnownKey {
    v1::KnownKey {
        role: key.role as i32,
        vkey: key.vkey.to_string(),
        fingerprint: key.vkey.keyid().to_owned(),
        first_index: key.first,
        last_index: key.last,
        since_index: key.since,
        revoked: key.ended.is_some_and(|ended| ended.revoked),
        in_use,
        ended: !key.is_open(),
    }
}

/// Message or log.
fn signing_role(role: KeyRole) -> Result<KeyRole, DeskError> {
    match role {
        KeyRole::Message | KeyRole::Log => Ok(role),
        _ => Err(field("role", "it is neither message nor log")),
    }
}

fn role_word(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Message => "message key",
        _ => "log key",
    }
}

fn by_peer(changes: Vec<v1::PreparedChange>) -> Vec<(String, KeyChange)> {
    let changes = changes.into_iter();
    changes
        .map(|prepared| (prepared.peer, prepared.change.unwrap_or_default()))
        .collect()
}

#[tonic::async_trait]
impl KeysService for Arc<Desk> {
    async fn list_keys(
        &self,
        request: Request<v1::ListKeysRequest>,
    ) -> Result<Response<v1::ListKeysResponse>, Status> {
        let (caller, _) = admit(&request, Method::ListKeys)?;
        answer(&caller, Method::ListKeys, Ok(Desk::list_keys(self)))
    }

    async fn rotate_key(
        &self,
        request: Request<v1::RotateKeyRequest>,
    ) -> Result<Response<v1::RotateKeyResponse>, Status> {
        let caller = admit_change(&request)?;
        let request = request.into_inner();
        let rotate = async {
            let role = signing_role(request.role())?;
            self.note_keys(
                &caller,
                format!("rotate {}", role_word(role)),
                &request.reason,
            )
            .await?;
            self.keeper()?.rotate(role, &request.reason).await?;
            let links = self.stages(role);
            Ok(v1::RotateKeyResponse { links })
        };
        answer(&caller, Method::ChangeKeys, rotate.await)
    }

    async fn prepare_revocation(
        &self,
        request: Request<v1::PrepareRevocationRequest>,
    ) -> Result<Response<v1::PrepareRevocationResponse>, Status> {
        let caller = admit_change(&request)?;
        let request = request.into_inner();
        let prepare = async {
            let role = signing_role(request.role())?;
            let what = format!("prepare to revoke {}", role_word(role));
            self.note_keys(&caller, what, &request.reason).await?;
            let keeper = self.keeper()?;
            let changes = keeper.prepare_revocation(role, &request.reason).await?;
            let changes = changes.into_iter().map(|(peer, change)| {
                let link = self.exchange.link(&peer);
                let origin = link.map(|link| link.own.to_string()).unwrap_or_default();
                v1::PreparedChange {
                    peer,
                    change: Some(change),
                    origin,
                }
            });
            let changes = changes.collect();
            Ok(v1::PrepareRevocationResponse { changes })
        };
        answer(&caller, Method::ChangeKeys, prepare.await)
    }

    async fn revoke_key(
        &self,
        request: Request<v1::RevokeKeyRequest>,
    ) -> Result<Response<v1::RevokeKeyResponse>, Status> {
        let caller = admit_change(&request)?;
        let request = request.into_inner();
        let revoke = async {
            let role = signing_role(request.role())?;
            self.note_keys(&caller, format!("revoke {}", role_word(role)), "")
                .await?;
            self.keeper()?
                .revoke(role, by_peer(request.changes))
                .await?;
            let links = self.stages(role);
            Ok(v1::RevokeKeyResponse { links })
        };
        answer(&caller, Method::ChangeKeys, revoke.await)
    }

    async fn change_officer(
        &self,
        request: Request<v1::ChangeOfficerRequest>,
    ) -> Result<Response<v1::ChangeOfficerResponse>, Status> {
        let caller = admit_change(&request)?;
        let change = async {
            self.note_keys(&caller, "officer".to_owned(), "").await?;
            Desk::change_officer(self, request.into_inner()).await
        };
        let changed = change.await;
        let changed = changed.map(|()| v1::ChangeOfficerResponse {});
        answer(&caller, Method::ChangeKeys, changed)
    }

    async fn announce_authority(
        &self,
        request: Request<v1::AnnounceAuthorityRequest>,
    ) -> Result<Response<v1::AnnounceAuthorityResponse>, Status> {
        let caller = admit_change(&request)?;
        let reason = request.into_inner().reason;
        let announce = async {
            self.note_keys(&caller, "announce authority".to_owned(), &reason)
                .await?;
            Desk::announce_authority(self, &reason).await
        };
        let announced = announce.await;
        let announced = announced.map(|fingerprint| v1::AnnounceAuthorityResponse { fingerprint });
        answer(&caller, Method::ChangeKeys, announced)
    }
}
