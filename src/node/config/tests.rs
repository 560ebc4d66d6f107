//! Every fault of a configuration, to the message.

use std::path::Path;

use super::*;
use crate::node::template::{ConfigSeed, default_config_text};

fn seed() -> ConfigSeed {
    ConfigSeed {
        node: NodeName::parse("laocai.bg.vn.example").unwrap(),
        time_zone: "Asia/Ho_Chi_Minh".to_owned(),
        listen: "0.0.0.0:7443".parse().unwrap(),
        endpoints: vec!["laocai.bg.vn.example:7443".to_owned()],
        desk_tcp: Some("127.0.0.1:7444".parse().unwrap()),
        passphrase: "prompt".to_owned(),
        example_ca: false,
    }
}

fn parse(text: &str) -> Result<Config, Fault> {
    Config::parse(&Document::from_text(
        Path::new("/etc/liaison/liaison.toml"),
        text,
    ))
}

const GOOD: &str = r#"node = "laocai.bg.vn.example"

[keys]
message = "keys/message.pem"
log = "keys/log.pem"
passphrase = "prompt"

[exchange]
certificate = "tls/node.pem"
key = "tls/node.key"
authority = "tls/ca.pem"
"#;

/// The message of the fault that a changed [`GOOD`] gives, without the file's name.
fn fault(from: &str, to: &str) -> String {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "nothing was changed");
    let fault = parse(&text).unwrap_err().to_string();
    fault
        .strip_prefix("/etc/liaison/liaison.toml")
        .unwrap()
        .to_owned()
}

#[test]
fn the_text_that_init_writes_is_valid() {
    let config = parse(&default_config_text(&seed())).unwrap();
    assert_eq!(config.node.as_str(), "laocai.bg.vn.example");
    assert_eq!(config.time_zone, "Asia/Ho_Chi_Minh");
    assert_eq!(config.data_dir, Path::new("/etc/liaison/data"));
    assert_eq!(config.desk.socket, Path::new("/etc/liaison/run/desk.sock"));
    assert_eq!(
        config.exchange.endpoints[0].to_string(),
        "laocai.bg.vn.example:7443"
    );
    assert!(config.desk.tcp.is_some());
    assert!(!config.allow_example_ca);
    assert_eq!(config.keys.passphrase, PassphraseSource::Prompt);
    assert_eq!(config.limits.cache_bytes, 16 << 20);
    assert_eq!(config.log.level, LevelFilter::INFO);

    let trial = ConfigSeed {
        passphrase: "none".to_owned(),
        example_ca: true,
        desk_tcp: None,
        endpoints: Vec::new(),
        ..seed()
    };
    let config = parse(&default_config_text(&trial)).unwrap();
    assert!(config.allow_example_ca && config.desk.tcp.is_none());
    assert_eq!(config.keys.passphrase, PassphraseSource::None);
}

#[test]
fn every_default_in_comments_is_valid_and_the_default() {
    // A key in a comment is `#key = value` without a space: take the mark away and read again.
    let text = default_config_text(&seed());
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let (plain, full) = (parse(&text).unwrap(), parse(&uncommented).unwrap());
    assert_eq!(plain.data_dir, full.data_dir);
    assert_eq!(plain.links_dir, full.links_dir);
    assert_eq!(plain.desk.socket, full.desk.socket);
    assert_eq!(plain.limits, full.limits);
    assert_eq!(plain.log, full.log);
    assert_eq!(plain.keys, full.keys);
    assert_eq!(full.desk.integrations[0].name, "radar");
    assert!(
        full.desk.integrations[0]
            .kinds
            .contains(&(v1::Kind::CrossingAlert as i32))
    );
}

#[test]
fn an_unknown_key_suggests_the_nearest() {
    assert_eq!(
        fault("[exchange]\n", "[exchange]\nlistn = \"0.0.0.0:7443\"\n"),
        ":9: exchange.listn: unknown key; did you mean listen?"
    );
    assert_eq!(
        fault("[keys]\n", "colour = \"blue\"\n[keys]\n"),
        ":3: colour: unknown key; known here: node, time_zone, data_dir, journal_dir, links_dir, \
         allow_example_ca, keys, at_rest, exchange, desk, retention, limits, log"
    );
    assert_eq!(
        fault("[exchange]\n", "[desc]\n[exchange]\n"),
        ":8: desc: unknown key; did you mean desk?"
    );
}

#[test]
fn a_missing_key_is_named_with_its_section() {
    let remedy = "liaison init writes a file that explains every key";
    assert_eq!(
        fault("node = \"laocai.bg.vn.example\"\n", ""),
        format!(":1: node: missing; {remedy}")
    );
    assert_eq!(
        fault("key = \"tls/node.key\"\n", ""),
        format!(":8: exchange.key: missing; {remedy}")
    );
    assert_eq!(
        fault(
            "[keys]\nmessage = \"keys/message.pem\"\nlog = \"keys/log.pem\"\npassphrase = \"prompt\"\n",
            ""
        ),
        format!(":1: keys: missing; {remedy}")
    );
}

#[test]
fn a_bad_value_is_named_with_reason_and_remedy() {
    for (from, to, message) in [
        (
            "node = \"laocai.bg.vn.example\"",
            "node = 5",
            ":1: node: invalid type: integer `5`, expected a string; liaison init writes a file that \
             explains every key",
        ),
        (
            "\"prompt\"",
            "\"none\"",
            ":6: keys.passphrase: keys without a passphrase are for trials only; use prompt, \
             file:PATH or credential:NAME, or set allow_unencrypted_keys = true",
        ),
        (
            "\"prompt\"",
            "\"credential:../etc/passwd\"",
            ":6: keys.passphrase: no such source; write prompt, file:PATH or credential:NAME",
        ),
        (
            "\"keys/message.pem\"",
            "\"pkcs11:token=t;object=o?module-path=/m.so&pin-value=1\"",
            ":4: keys.message: pin-value must not stand in a configuration; say where the PIN comes \
             from in keys.pin; docs/operations.md, The message key in a token, has an example",
        ),
        (
            "[keys]\n",
            "[keys]\npin = \"prompt\"\n",
            ":4: keys.pin: it goes with a message key in a token only; remove it, or write message \
             = \"pkcs11:…\"",
        ),
        (
            "[exchange]\n",
            "[exchange]\nlisten = \"border.example:7443\"\n",
            ":9: exchange.listen: not an address with a port; write address:port, such as \
             0.0.0.0:7443 or [::]:7443; names are not resolved here",
        ),
        (
            "[exchange]\n",
            "[exchange]\nendpoints = [\"border.example\"]\n",
            ":9: exchange.endpoints: not an endpoint; the port is missing; write host:port, such as \
             border.example:7443",
        ),
        (
            "[exchange]\n",
            "[limits]\ncache_mib = 1\n[exchange]\n",
            ":9: limits.cache_mib: 1 is out of range; choose from 16 to 4096",
        ),
        (
            "[exchange]\n",
            "[limits]\ndisk_floor_mib = 1\n[exchange]\n",
            ":9: limits.disk_floor_mib: 1 is out of range; choose from 64 to 1048576",
        ),
        (
            "[exchange]\n",
            "[log]\nlevel = \"loud\"\n[exchange]\n",
            ":9: log.level: no such level; it is error, warn, info, debug or trace",
        ),
        (
            "[keys]\n",
            "time_zone = \"Asia/Hekou\"\n[keys]\n",
            ":3: time_zone: no such time zone; use an IANA name such as Asia/Ho_Chi_Minh",
        ),
        (
            "[exchange]\n",
            "[[desk.integration]]\nname = \"Radar\"\n[exchange]\n",
            ":9: desk.integration.name: not 1 to 64 of a-z 0-9 - _ . beginning with a letter or \
             digit; use the name in its certificate's SPIFFE URI",
        ),
        (
            "[exchange]\n",
            "[[desk.integration]]\nname = \"radar\"\nkinds = [\"CROSSING_ALARM\"]\n[exchange]\n",
            ":10: desk.integration.kinds: no such kind; did you mean CROSSING_ALERT?",
        ),
        (
            "[exchange]\n",
            "[[desk.integration]]\nname = \"radar\"\nkinds = [\"HANDOVER_REPLY\"]\n[exchange]\n",
            ":10: desk.integration.kinds: only a person or the node itself says this; a program may \
             send: CROSSING_ALERT, CASE_NOTICE, VERIFICATION_REQUEST, HANDOVER_REQUEST, \
             OFFICIAL_LETTER, GATE_NOTICE, HAZARD_NOTICE, ACTIVITY_REPORT, WITHDRAWAL",
        ),
        (
            "[exchange]\n",
            "[[desk.integration]]\nname = \"a\"\n[[desk.integration]]\nname = \"a\"\n[exchange]\n",
            ":11: desk.integration.name: named twice; give each program one [[desk.integration]]",
        ),
    ] {
        assert_eq!(fault(from, to), message);
    }
    let allowed = INTEGRATION_KINDS.map(short_name);
    for number in 1..=255 {
        let Some(kind) = v1::Kind::try_from(number).ok().map(short_name) else {
            continue;
        };
        if !allowed.contains(&kind) {
            let rule = format!(
                "[[desk.integration]]\nname = \"radar\"\nkinds = [\"{kind}\"]\n[exchange]\n"
            );
            let told = fault("[exchange]\n", &rule);
            assert!(told.contains("only a person or the node"), "{kind}: {told}");
        }
    }
    let node = fault("node = \"laocai.bg.vn.example\"", "node = \"Lao Cai\"");
    assert!(node.starts_with(":1: node: "), "{node}");
    assert!(node.contains("such as laocai.bg.vn.example"), "{node}");
}

#[test]
fn broken_syntax_is_placed() {
    let message = fault("[exchange]", "[exchange");
    assert!(message.starts_with(":8: "), "{message}");
    let message = fault("\"keys/log.pem\"", "\"keys/log.pem");
    assert!(message.starts_with(":5: keys.log: "), "{message}");
}

#[test]
fn a_missing_file_says_what_to_do() {
    let fault = Config::load(Path::new("/nonexistent/liaison.toml")).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "/nonexistent/liaison.toml: cannot be read: No such file or directory (os error 2); check \
         the path (--config or LIAISON_CONFIG), or make one: liaison init DIR --name NODE"
    );
}

#[test]
fn the_storage_key_is_a_file_a_credential_or_in_a_token() {
    let with = |line: &str| {
        let keys = format!("log = \"keys/log.pem\"\n{line}");
        parse(&GOOD.replacen("log = \"keys/log.pem\"", &keys, 1))
    };
    let storage = |line: &str| with(line).unwrap().keys.storage;
    let file = |path: &str| StorageSource::File(path.into());
    assert_eq!(storage(""), file("/etc/liaison/keys/storage.pem"));
    assert_eq!(storage("storage = \"/k/s.pem\""), file("/k/s.pem"));
    assert_eq!(
        storage("storage = \"credential:storage\""),
        StorageSource::Credential("storage".to_owned())
    );
    let token = storage(
        "storage = \"pkcs11:token=t;object=o?module-path=/m.so\"\nstorage_pin = \"credential:pin\"",
    );
    let StorageSource::Token { pin, wrapped, .. } = &token else {
        panic!("{token:?}");
    };
    assert_eq!(*pin, Some(PassphraseSource::Credential("pin".to_owned())));
    assert_eq!(wrapped, Path::new("/etc/liaison/keys/storage.wrapped"));
    for (line, told) in [
        ("storage = \"credential:../x\"", "no such credential"),
        (
            "storage = \"pkcs11:object=o\"",
            "The storage key in a token",
        ),
        ("storage_pin = \"prompt\"", "a token wraps only"),
    ] {
        let fault = with(line).unwrap_err().to_string();
        assert!(fault.contains(told), "{fault}");
    }
}

#[test]
fn rules_of_retention_are_read_and_judged() {
    let with = |rules: &str| parse(&format!("{GOOD}\n{rules}"));
    let rule = |lines: &str| format!("[[retention]]\n{lines}\n");
    let good = [
        rule("kind = \"HANDOVER_REQUEST\"\nhandling = \"H2\"\nerase_body_after = \"24 months\""),
        rule("kind = \"CASE_NOTICE\"\nerase_body_after = \"never\""),
        rule("erase_body_after = \"5 years\""),
    ];
    let config = with(&good.concat()).unwrap();
    let rules: Vec<_> = config
        .retention
        .rules()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        rules,
        [
            "HANDOVER_REQUEST, H2: 24 months",
            "CASE_NOTICE: never",
            "every kind: 5 years"
        ]
    );
    assert!(parse(GOOD).unwrap().retention.is_idle());
    for (rules, told) in [
        (
            rule("kind = \"LETTER\"\nerase_body_after = \"1 year\""),
            "no such kind",
        ),
        (
            rule("kind = \"CALENDAR\"\nerase_body_after = \"1 year\""),
            "no rule erases this kind",
        ),
        (
            rule("handling = \"H9\"\nerase_body_after = \"1 year\""),
            "no such handling code",
        ),
        (rule("erase_body_after = \"2 weeks\""), "24 months"),
        (rule("kind = \"OFFICIAL_LETTER\""), "erase_body_after"),
        (
            [good[2].as_str(), &good[0]].concat(),
            "rule 2 never decides: whatever fits it fits rule 1 before it",
        ),
        (
            rule("kind = \"OFFICIAL_LETTER\"\nerase_body_after = \"1 year\"").repeat(65),
            "more than 64",
        ),
    ] {
        let fault = with(&rules).unwrap_err().to_string();
        assert!(fault.contains(told), "{fault}");
    }
}
