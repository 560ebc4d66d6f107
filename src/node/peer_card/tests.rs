//! Cards read back, golden bytes, and every fault to the message.

use super::*;
use crate::crypto::keys::{LogKey, MessageKey};
use crate::link::pki::{Authority, Validity};

fn node() -> NodeName {
    NodeName::parse("hekou.ni.cn.example").unwrap()
}

/// A fixed certificate, so that the fingerprint can be a known answer.
const AUTHORITY: &str = include_str!("../../../tests/vectors/peer-card/authority.pem");

fn card() -> PeerCard {
    let node = node();
    let message = MessageKey::from_seed(&[1; 32]).verifier(&node);
    let log = LogKey::from_seed(&[2; 32]).cosigner_verifier(&node);
    PeerCard {
        node,
        time_zone: "Asia/Shanghai".to_owned(),
        endpoints: vec![Endpoint::parse("hekou.ni.cn.example:7443").unwrap()],
        keys: vec![
            CardKey::unbounded(KeyRole::Message, message),
            CardKey {
                valid_from_index: 7,
                valid_until_index: Some(9),
                valid_from: Some("2026-01-01T00:00:00Z".parse().unwrap()),
                valid_until: Some("2027-01-01T00:00:00Z".parse().unwrap()),
                ..CardKey::unbounded(KeyRole::Log, log)
            },
        ],
        authorities: parse_certificates(AUTHORITY.as_bytes()).unwrap(),
    }
}

fn parse(text: &str) -> Result<PeerCard, Fault> {
    PeerCard::parse(&Document::from_text(Path::new("peer.card.toml"), text))
}

/// The message for a card of which one thing was changed.
fn fault(from: &str, to: &str) -> String {
    let text = card().to_text();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed, "nothing was changed");
    parse(&changed).unwrap_err().to_string()
}

#[test]
fn a_card_round_trips() {
    let text = card().to_text();
    let again = parse(&text).unwrap();
    assert_eq!(again, card());
    assert_eq!(again.to_text(), text);
    assert!(!text.contains("PRIVATE"));
}

#[test]
fn the_file_and_the_fingerprint_never_change() {
    let golden = include_str!("../../../tests/vectors/peer-card/v1.toml");
    assert_eq!(card().to_text(), golden);
    assert_eq!(card().fingerprint().to_string(), FINGERPRINT);
    assert!(golden.contains(FINGERPRINT));
}

const FINGERPRINT: &str = "9747 1682 6946 4597 3832 0771 7642 5876";

#[test]
fn anything_that_changes_changes_the_fingerprint() {
    let first = card().fingerprint();
    let change = |change: &dyn Fn(&mut PeerCard)| {
        let mut card = card();
        change(&mut card);
        assert_ne!(card.fingerprint(), first);
    };
    change(&|card| card.node = NodeName::parse("hekou.ni.cn.example2").unwrap());
    change(&|card| card.time_zone = "Asia/Urumqi".to_owned());
    change(&|card| card.endpoints.clear());
    change(&|card| card.keys[0].valid_until_index = Some(3));
    change(&|card| card.keys[1].valid_until = None);
    change(&|card| card.keys.swap(0, 1));
    change(&|card| {
        let other = Authority::example("other", Validity::days(1_790_000_000, 1)).unwrap();
        card.authorities = parse_certificates(other.certificate_pem().as_bytes()).unwrap();
    });
}

#[test]
fn a_typed_fingerprint_is_compared_by_its_digits() {
    let fingerprint = card().fingerprint();
    let shown = fingerprint.to_string();
    assert_eq!(shown.split(' ').count(), 8);
    assert!(shown.split(' ').all(|group| group.len() == 4));
    assert!(fingerprint.matches(&shown));
    assert!(fingerprint.matches(&shown.replace(' ', "")));
    assert!(fingerprint.matches(&format!(" {}\n", shown.replace(' ', "-"))));
    assert!(!fingerprint.matches(""));
    assert!(!fingerprint.matches(&shown[..38]));
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let ask = "ask the peer for a correct card (liaison peer card)";
    assert_eq!(
        fault("version = 1", "version = 2"),
        "peer.card.toml:8: version: version 2 is not known; this node reads version 1; bring both \
         sides up to date"
    );
    assert_eq!(
        fault("time_zone =", "timezone ="),
        "peer.card.toml:10: timezone: unknown key; did you mean time_zone?"
    );
    assert_eq!(
        fault("role = \"log\"", "role = \"audit\""),
        "peer.card.toml:18: key.role: no such role; it is message, log, officer or recovery"
    );
    assert_eq!(
        fault(
            "node = \"hekou.ni.cn.example\"",
            "node = \"laocai.bg.vn.example\""
        ),
        format!(
            "peer.card.toml:15: key.vkey: the key is named hekou.ni.cn.example, not for \
             laocai.bg.vn.example; {ask}"
        )
    );
    assert_eq!(
        fault("role = \"message\"", "role = \"log\""),
        format!("peer.card.toml:15: key.vkey: a log key is of type 0x04; {ask}")
    );
    assert_eq!(
        fault("valid_until_index = 9", "valid_until_index = 6"),
        format!("peer.card.toml:21: key.valid_until_index: it ends before it begins; {ask}")
    );
    assert_eq!(
        fault("2026-01-01T00:00:00Z", "next week"),
        "peer.card.toml:22: key.valid_from: not a time; write it like 2027-01-31T00:00:00Z"
    );
    assert_eq!(
        fault("hekou.ni.cn.example:7443", "hekou.ni.cn.example"),
        format!(
            "peer.card.toml:11: endpoints: the port is missing; write host:port, such as \
             border.example:7443; {ask}"
        )
    );
    assert!(fault("-----BEGIN", "----BEGIN").contains("authority.certificate: no CERTIFICATE"));
}

#[test]
fn a_card_lacks_nothing() {
    let without = |change: &dyn Fn(&mut PeerCard)| {
        let mut card = card();
        change(&mut card);
        parse(&card.to_text()).unwrap_err().to_string()
    };
    assert!(without(&|card| card.keys.truncate(1)).contains("no log key"));
    assert!(without(&|card| drop(card.keys.remove(0))).contains("no message key"));
    assert!(without(&|card| card.authorities.clear()).contains("authority: missing"));
    let shared = without(&|card| {
        let public = *card.keys[0].vkey.public();
        card.keys[1].vkey =
            VerifierKey::new(card.node.as_str(), Algorithm::Cosignature, public).unwrap();
    });
    assert!(shared.contains("one public key has two roles"), "{shared}");
}

#[test]
fn the_key_of_a_log_is_derived() {
    let card = card();
    let laocai = NodeName::parse("laocai.bg.vn.example").unwrap();
    let origin = Origin::new(card.node.clone(), laocai);
    let key = card.log_keys().next().unwrap();
    let derived = PeerCard::log_verifier(key, &origin).unwrap();
    assert_eq!(derived, LogKey::from_seed(&[2; 32]).log_verifier(&origin));
    assert!(
        !key.is_valid_at(6) && key.is_valid_at(7) && key.is_valid_at(9) && !key.is_valid_at(10)
    );
}
