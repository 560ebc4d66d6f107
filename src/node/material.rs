//! From the configuration to TLS material that reloads.
//!
//! Files are read anew at every reload: certificates, keys, revocation lists, and the authorities
//! in peer cards. New links, names and signing keys need a restart.

use std::sync::Arc;

use super::config::Config;
use super::document::Document;
use super::peer_card::PeerCard;
use crate::link::files::{Files, MaterialError};
use crate::link::reload::Reloader;
use crate::link::tls::{DeskTls, ExchangeTls, PeerTrust, TlsOptions};

/// The exchange's material.
///
/// # Errors
///
/// The first [`MaterialError`].
pub fn exchange(
    config: &Config,
    options: TlsOptions,
) -> Result<Arc<Reloader<ExchangeTls>>, MaterialError> {
    let config = config.clone();
    Reloader::new("exchange", move |files| {
        let peers = config
            .links
            .iter()
            .map(|link| {
                Ok(PeerTrust {
                    peer: link.peer.clone(),
                    authorities: card_again(files, link)?.authorities,
                    crls: link.crls.clone(),
                })
            })
            .collect::<Result<Vec<_>, MaterialError>>()?;
        ExchangeTls::load(files, &config.node, &config.exchange.own, &peers, &options)
    })
}

/// The desk's material; `None` if it does not listen on TCP.
///
/// # Errors
///
/// The first [`MaterialError`].
pub fn desk(
    config: &Config,
    options: TlsOptions,
) -> Result<Option<Arc<Reloader<DeskTls>>>, MaterialError> {
    let Some(tcp) = config.desk.tcp.clone() else {
        return Ok(None);
    };
    let node = config.node.clone();
    let load = move |files: &mut Files| DeskTls::load(files, &node, &tcp.files, &options);
    Reloader::new("desk", load).map(Some)
}

fn card_again(
    files: &mut Files,
    link: &super::links::LinkConfig,
) -> Result<PeerCard, MaterialError> {
    let bytes = files.read(&link.card_file)?;
    let content = |source: Box<dyn std::error::Error + Send + Sync>| MaterialError::Content {
        file: link.card_file.clone(),
        source,
    };
    let document =
        Document::from_bytes(&link.card_file, bytes).map_err(|fault| content(fault.into()))?;
    let card = PeerCard::parse(&document).map_err(|fault| content(fault.into()))?;
    if card.node != link.peer {
        let fault = document.fault_whole(
            format!("the card is of {}, the link with {}", card.node, link.peer),
            "put the peer's own card back",
        );
        return Err(content(fault.into()));
    }
    Ok(card)
}
