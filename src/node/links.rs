//! The links directory: per peer one settings file `<peer>.link.toml` and the peer's card.
//!
//! A link is added by adding files and removed by removing them; `liaison peer add` does the
//! former.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::config::endpoints;
use super::document::{Document, Fault};
use super::peer_card::PeerCard;
use super::public_keys::START_SUFFIX;
use crate::limits::LINKS_MAX;
use crate::link::dial::Endpoint;
use crate::model::NodeName;
use crate::proto::v1;

/// The end of a settings file's name.
pub const LINK_SUFFIX: &str = ".link.toml";
/// The end of a card's name.
pub const CARD_SUFFIX: &str = ".card.toml";

/// A link as it is to be run.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The other node.
    pub peer: NodeName,
    /// What it gave us.
    pub card: PeerCard,
    /// Where that is; read again when TLS material is.
    pub card_file: PathBuf,
    /// This side dials.
    pub dial: bool,
    /// Where to; the card's unless overridden.
    pub endpoints: Vec<Endpoint>,
    /// The highest classification that may be sent.
    pub classification_max: v1::Classification,
    /// Revocation lists of the peer's authorities.
    pub crls: Vec<PathBuf>,
    /// Whether the two sides witness each other's journal.
    pub witness_journal: bool,
}

/// Reads every link of a directory; a missing directory holds none.
///
/// # Errors
///
/// The first [`Fault`].
pub fn load_all(directory: &Path, own: &NodeName) -> Result<Vec<LinkConfig>, Fault> {
    let whole = |reason: String| {
        Document::from_text(directory, "")
            .fault_whole(reason, "check links_dir in the configuration")
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(whole(format!("cannot be read: {error}"))),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| whole(format!("cannot be read: {error}")))?
            .path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(LINK_SUFFIX) && !name.starts_with('.') {
            files.push(path);
        }
    }
    if files.len() > LINKS_MAX {
        return Err(whole(format!("{} links, at most {LINKS_MAX}", files.len())));
    }
    files.sort();

    let mut links: Vec<LinkConfig> = Vec::new();
    for file in files {
        let document = Document::read(&file, "check its owner and mode")?;
        let link = LinkConfig::parse(&document, own)?;
        if links.iter().any(|other| other.peer == link.peer) {
            let reason = format!("a second link with {}", link.peer);
            return Err(document.fault_whole(reason, "remove one of the two files"));
        }
        links.push(link);
    }
    Ok(links)
}

impl LinkConfig {
    /// Where the keys stand with which the own log on this link began.
    #[must_use]
    pub fn start_file(&self) -> PathBuf {
        self.card_file
            .with_file_name(format!("{}{START_SUFFIX}", self.peer))
    }

    /// Checks one settings file and reads its card.
    ///
    /// # Errors
    ///
    /// The first [`Fault`], of this file or of the card.
    pub fn parse(document: &Document, own: &NodeName) -> Result<Self, Fault> {
        let RawFile { link: raw } = document.parse()?;
        let peer = NodeName::parse(raw.peer.get_ref())
            .map_err(|error| document.fault(&raw.peer, error, "write the peer's node name"))?;
        if peer == *own {
            return Err(document.fault(&raw.peer, "this is the own node", "name the peer"));
        }
        let card_file = document.path(raw.card.get_ref());
        let card = PeerCard::load(&card_file)?;
        if card.node != peer {
            let reason = format!("the card is of {}, the link with {peer}", card.node);
            return Err(document.fault(
                &raw.card,
                reason,
                "name the right card, or add it anew: liaison peer add FILE",
            ));
        }
        card.check_known_use().map_err(|reason| {
            document.fault(&raw.card, reason, "then add it anew: liaison peer add FILE")
        })?;
        let overridden = raw
            .endpoints
            .map(|texts| endpoints(document, &texts))
            .transpose()?;
        let endpoints = overridden.unwrap_or_else(|| card.endpoints.clone());
        let dial = match &raw.dial {
            None => !endpoints.is_empty(),
            Some(dial) if *dial.get_ref() && endpoints.is_empty() => {
                let remedy =
                    "give endpoints = [\"host:port\"], or set dial = false and let the peer dial";
                return Err(document.fault(dial, "there is no endpoint to dial", remedy));
            }
            Some(dial) => *dial.get_ref(),
        };
        let classification_max = match &raw.classification_max {
            None => v1::Classification::Restricted,
            Some(text) => classification(text.get_ref()).ok_or_else(|| {
                let remedy = "it is UNCLASSIFIED, INTERNAL, RESTRICTED or CONFIDENTIAL";
                document.fault(text, "no such classification", remedy)
            })?,
        };
        Ok(Self {
            peer,
            card,
            card_file,
            dial,
            endpoints,
            classification_max,
            crls: raw
                .crls
                .iter()
                .flatten()
                .map(|path| document.path(path))
                .collect(),
            witness_journal: raw.witness_journal.unwrap_or(true),
        })
    }
}

fn classification(text: &str) -> Option<v1::Classification> {
    v1::Classification::from_str_name(&format!("CLASSIFICATION_{text}"))
        .filter(|found| *found != v1::Classification::Unspecified)
}

/// The settings file that `liaison peer add` writes beside the card, every key explained.
#[must_use]
pub fn link_text(peer: &NodeName, card_file: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# The link with {peer}. Restart the node after a change here; revocation lists and the\n\
         # authorities in the card are read again while it runs.\n\
         \n\
         [link]\n\
         # The other node's name. It must be the one in its card and in its TLS certificate.\n\
         peer = \"{peer}\"\n\
         \n\
         # The card that the peer gave you. Replace it only after comparing fingerprints\n\
         # (liaison peer show FILE): whoever's keys stand in it speaks for the peer.\n\
         card = {card_file:?}\n\
         \n\
         # Whether this side dials. Default: yes if there is an endpoint. One side is enough; set it to\n\
         # false where a firewall lets nothing out.\n\
         #dial = true\n\
         \n\
         # Where to dial. Default: the endpoints in the card. The peer must show its own certificate\n\
         # whatever is written here.\n\
         #endpoints = [\"host.example:7443\"]\n\
         \n\
         # The highest classification that may be sent on this link: UNCLASSIFIED, INTERNAL, RESTRICTED\n\
         # or CONFIDENTIAL. Default: RESTRICTED. What the two sides may exchange is agreed in writing;\n\
         # set it to that.\n\
         #classification_max = \"RESTRICTED\"\n\
         \n\
         # Whether the two nodes witness each other's journal: they exchange hashes, so that neither side's\n\
         # administrators can rewrite what stands there. Nothing of its content is told.\n\
         #witness_journal = true\n\
         \n\
         # Revocation lists of the peer's authorities, PEM or DER. With any list given, the status of\n\
         # every certificate of the peer's chain must be known from one of them.\n\
         #crls = [\"{peer}.crl\"]\n",
    );
    text
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    link: RawLink,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLink {
    peer: Spanned<String>,
    card: Spanned<String>,
    dial: Option<Spanned<bool>>,
    endpoints: Option<Vec<Spanned<String>>>,
    classification_max: Option<Spanned<String>>,
    crls: Option<Vec<String>>,
    witness_journal: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::{LogKey, MessageKey};
    use crate::link::pki::{Authority, Validity};
    use crate::node::peer_card::{CardKey, KeyRole};

    const PEER: &str = "hekou.ni.cn.example";

    fn own() -> NodeName {
        NodeName::parse("laocai.bg.vn.example").unwrap()
    }

    /// A links directory with Hekou's card, and with `text` as its settings.
    fn directory(text: &str, endpoints: &[&str]) -> tempfile::TempDir {
        let node = NodeName::parse(PEER).unwrap();
        let authority = Authority::example("hekou", Validity::days(1_790_000_000, 30)).unwrap();
        let pem = authority.certificate_pem();
        let card = PeerCard {
            keys: vec![
                CardKey::unbounded(
                    KeyRole::Message,
                    MessageKey::from_seed(&[1; 32]).verifier(&node),
                ),
                CardKey::unbounded(
                    KeyRole::Log,
                    LogKey::from_seed(&[2; 32]).cosigner_verifier(&node),
                ),
            ],
            node,
            time_zone: "Asia/Shanghai".to_owned(),
            endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
            authorities: crate::link::files::parse_certificates(pem.as_bytes()).unwrap(),
        };
        let dir = tempfile::tempdir().unwrap();
        card.write(&dir.path().join("hekou.card.toml")).unwrap();
        std::fs::write(dir.path().join("hekou.link.toml"), text).unwrap();
        dir
    }

    fn good() -> String {
        link_text(&NodeName::parse(PEER).unwrap(), "hekou.card.toml")
    }

    #[test]
    fn the_text_that_peer_add_writes_is_valid() {
        let dir = directory(&good(), &["hekou.ni.cn.example:7443"]);
        let links = load_all(dir.path(), &own()).unwrap();
        assert_eq!(links.len(), 1);
        assert_eq!(links[0].peer.as_str(), PEER);
        assert!(links[0].dial);
        assert_eq!(links[0].classification_max, v1::Classification::Restricted);

        // Every key in a comment is valid too.
        let full = good()
            .replace("\n#dial", "\ndial")
            .replace("\n#endpoints", "\nendpoints");
        let full = full
            .replace("\n#class", "\nclass")
            .replace("\n#crls", "\ncrls");
        let dir = directory(&full, &[]);
        let links = load_all(dir.path(), &own()).unwrap();
        assert_eq!(links[0].endpoints[0].to_string(), "host.example:7443");
        assert_eq!(links[0].crls, [dir.path().join("hekou.ni.cn.example.crl")]);
        assert!(!good().contains("\ncrls") && full.contains("\ncrls"));
    }

    #[test]
    fn without_an_endpoint_the_peer_dials() {
        let dir = directory(&good(), &[]);
        assert!(!load_all(dir.path(), &own()).unwrap()[0].dial);
        assert!(
            load_all(&dir.path().join("missing"), &own())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let fault = |from: &str, to: &str| {
            let text = good().replacen(from, to, 1);
            assert_ne!(text, good(), "nothing was changed");
            let dir = directory(&text, &[]);
            let fault = load_all(dir.path(), &own()).unwrap_err().to_string();
            let start = format!("{}/hekou.link.toml:", dir.path().display());
            fault.strip_prefix(&start).expect(&fault).to_owned()
        };
        assert_eq!(
            fault("#dial = true", "dail = true"),
            "14: link.dail: unknown key; did you mean dial?"
        );
        assert_eq!(
            fault("#dial = true", "dial = true"),
            "14: link.dial: there is no endpoint to dial; give endpoints = [\"host:port\"], or set \
             dial = false and let the peer dial"
        );
        assert_eq!(
            fault(
                "#classification_max = \"RESTRICTED\"",
                "classification_max = \"SECRET\""
            ),
            "23: link.classification_max: no such classification; it is UNCLASSIFIED, INTERNAL, \
             RESTRICTED or CONFIDENTIAL"
        );
        assert_eq!(
            fault(
                "peer = \"hekou.ni.cn.example\"",
                "peer = \"mohan.ni.cn.example\""
            ),
            "10: link.card: the card is of hekou.ni.cn.example, the link with mohan.ni.cn.example; \
             name the right card, or add it anew: liaison peer add FILE"
        );
        assert_eq!(
            fault(
                "peer = \"hekou.ni.cn.example\"",
                "peer = \"laocai.bg.vn.example\""
            ),
            "6: link.peer: this is the own node; name the peer"
        );
    }

    #[test]
    fn a_card_that_this_version_cannot_keep_to_makes_no_link() {
        let told = |change: fn(&mut PeerCard, &NodeName)| {
            let dir = directory(&good(), &[]);
            let file = dir.path().join("hekou.card.toml");
            let mut card = PeerCard::load(&file).unwrap();
            let node = card.node.clone();
            change(&mut card, &node);
            std::fs::write(&file, card.to_text()).unwrap();
            load_all(dir.path(), &own()).unwrap_err().to_string()
        };
        let second = told(|card, node| {
            let key = LogKey::from_seed(&[3; 32]).cosigner_verifier(node);
            card.keys.push(CardKey::unbounded(KeyRole::Log, key));
        });
        assert!(second.contains("more than one log key"), "{second}");
        assert!(second.contains("hekou.link.toml:10: link.card"), "{second}");
        let bound = told(|card, _| card.keys[1].valid_from_index = 5);
        assert!(bound.contains("bound to indices"), "{bound}");
    }

    #[test]
    fn two_links_with_one_peer_are_refused() {
        let dir = directory(&good(), &[]);
        std::fs::write(dir.path().join("other.link.toml"), good()).unwrap();
        let fault = load_all(dir.path(), &own()).unwrap_err();
        assert!(
            fault
                .to_string()
                .contains("a second link with hekou.ni.cn.example"),
            "{fault}"
        );
    }
}
