//! The own card, and cards as they are shown.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::{Screen, ask_secret};
use crate::cli::table::{Style, pad};
use crate::cli::when;
use crate::crypto::keys::{LogKey, MessageKey};
use crate::link::files::parse_certificates;
use crate::link::leaf::Facts;
use crate::model::text;
use crate::node::config::Config;
use crate::node::document::Document;
use crate::node::passphrase::PassphraseSource;
use crate::node::peer_card::{CardKey, KeyRole, PeerCard};
use crate::node::public_keys::{self, PUBLIC_FILE};

/// The card of the node that a configuration describes.
pub(crate) fn own_card(config: &Config) -> Result<PeerCard, Failure> {
    let passphrase = match config.keys.passphrase.get(
        std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(PathBuf::from)
            .as_deref(),
        || ask_secret(&format!("Passphrase of the keys of {}", config.node)),
    ) {
        // Started by hand, not by systemd: a person may know it.
        Err(_) if matches!(config.keys.passphrase, PassphraseSource::Credential(_)) => {
            PassphraseSource::Prompt.get(None, || {
                ask_secret(&format!("Passphrase of the keys of {}", config.node))
            })
        }
        outcome => outcome,
    }
    .or_exit(Exit::Config)?;
    let message = match &config.keys.token {
        Some(token) => token
            .open(
                &config.node,
                passphrase.as_ref(),
                std::env::var_os("CREDENTIALS_DIRECTORY")
                    .map(PathBuf::from)
                    .as_deref(),
                || ask_secret(&format!("PIN of the token of {}", config.node)),
                // What the card is to say may not be known yet.
                false,
            )
            .or_exit(Exit::Config)?,
        None => {
            MessageKey::load_file(&config.keys.message, passphrase.as_ref())
                .or_exit(Exit::Config)?
                .key
        }
    };
    let log = LogKey::load_file(&config.keys.log, passphrase.as_ref()).or_exit(Exit::Config)?;

    let authority = &config.exchange.authority;
    let reading = || format!("the own authority's certificate {}", authority.display());
    let pem = std::fs::read(authority)
        .or_fail(Exit::Config, reading)
        .map_err(|failure| {
            failure.remedy("put the certificate of the authority there that signed the node's own")
        })?;
    let authorities = parse_certificates(&pem)
        .map_err(anyhow::Error::msg)
        .or_fail(Exit::Config, reading)?;
    let public = config.keys.message.with_file_name(PUBLIC_FILE);
    let public = public_keys::load(&public, &config.node).or_exit(Exit::Config)?;
    let public = public.unwrap_or_default();
    let mut keys = vec![
        CardKey::unbounded(KeyRole::Message, message.verifier(&config.node)),
        CardKey::unbounded(KeyRole::Log, log.key.cosigner_verifier(&config.node)),
    ];
    let officers = public.officers.into_iter();
    keys.extend(officers.map(|key| CardKey::unbounded(KeyRole::Officer, key)));
    let recovery = public.recovery.into_iter();
    keys.extend(recovery.map(|key| CardKey::unbounded(KeyRole::Recovery, key)));
    let card = PeerCard {
        node: config.node.clone(),
        time_zone: config.time_zone.clone(),
        endpoints: config.exchange.endpoints.clone(),
        keys,
        authorities,
    };
    // Whatever is wrong with it is found here, not by the peer.
    PeerCard::parse(&Document::from_text(Path::new("own card"), &card.to_text()))
        .or_exit(Exit::Config)
}

/// A card for programs.
pub(super) fn as_json(card: &PeerCard) -> serde_json::Value {
    let keys: Vec<_> = card
        .keys
        .iter()
        .map(|key| {
            json!({
                "role": key.role.as_str(),
                "vkey": key.vkey.to_string(),
                "keyid": key.vkey.keyid(),
                "validFromIndex": key.valid_from_index,
                "validUntilIndex": key.valid_until_index,
                "validFrom": key.valid_from.map(|at| at.to_string()),
                "validUntil": key.valid_until.map(|at| at.to_string()),
            })
        })
        .collect();
    json!({
        "node": card.node.as_str(),
        "timeZone": card.time_zone,
        "endpoints": card.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "keys": keys,
        "authorities": card.authorities.len(),
        "fingerprint": card.fingerprint().to_string(),
    })
}

/// A card for people.
pub(super) fn render(card: &PeerCard, screen: Screen) -> String {
    let mut out = String::new();
    let mut line = |name: &str, words: &str| {
        out.push_str(&Style::Dim.paint(&pad(name, 14), screen.colour));
        out.push_str(words);
        out.push('\n');
    };
    line(
        "node",
        &Style::Bold.paint(card.node.as_str(), screen.colour),
    );
    line("time zone", &text::escape(&card.time_zone));
    let endpoints: Vec<_> = card.endpoints.iter().map(ToString::to_string).collect();
    if endpoints.is_empty() {
        line("endpoints", "none: it dials only");
    }
    for (number, endpoint) in endpoints.iter().enumerate() {
        line(if number == 0 { "endpoints" } else { "" }, endpoint);
    }
    for key in &card.keys {
        line(
            &format!("{} key", key.role.as_str()),
            &text::escape(&key.vkey.to_string()),
        );
        if key.valid_from_index > 0 || key.valid_until_index.is_some() {
            let last = key
                .valid_until_index
                .map_or_else(|| "…".to_owned(), |index| index.to_string());
            line(
                "",
                &format!("valid for log indices {} to {last}", key.valid_from_index),
            );
        }
    }
    for authority in &card.authorities {
        if let Ok(facts) = Facts::read(authority) {
            let until = jiff::Timestamp::from_second(facts.not_after_unix)
                .map(when::full)
                .unwrap_or_default();
            let example = if facts.is_example {
                ", from the example generator: NOT FOR USE"
            } else {
                ""
            };
            line("authority", &format!("valid until {until}{example}"));
        }
    }
    line(
        "fingerprint",
        &Style::Bold.paint(&card.fingerprint().to_string(), screen.colour),
    );
    out
}
