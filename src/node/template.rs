//! The configuration file that `liaison init` writes: the manual of every key.

use std::net::SocketAddr;

use crate::model::NodeName;

/// What `init` knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSeed {
    /// The node's name.
    pub node: NodeName,
    /// IANA name.
    pub time_zone: String,
    /// For `[exchange]`.
    pub listen: SocketAddr,
    /// For the own card; empty writes a commented example.
    pub endpoints: Vec<String>,
    /// For `[desk.tcp]`; `None` writes it commented out.
    pub desk_tcp: Option<SocketAddr>,
    /// `prompt`, `file:PATH`, `credential:NAME` or `none`.
    pub passphrase: String,
    /// The TLS files were made by the example generator.
    pub example_ca: bool,
}

/// Where `init` puts what the text names, from the configuration's directory.
pub mod paths {
    /// The configuration itself.
    pub const CONFIG: &str = "liaison.toml";
    /// Store, bodies and attachments.
    pub const DATA: &str = "data";
    /// Who did what.
    pub const JOURNAL: &str = "journal";
    /// Cards and link settings.
    pub const LINKS: &str = "links";
    /// Signs entries.
    pub const MESSAGE_KEY: &str = "keys/message.pem";
    /// Signs checkpoints and cosignatures.
    pub const LOG_KEY: &str = "keys/log.pem";
    /// The storage key.
    pub const STORAGE_KEY: &str = "keys/storage.pem";
    /// The same, where a token wraps it.
    pub const STORAGE_WRAPPED: &str = "keys/storage.wrapped";
    /// The keys of what lies on the disk.
    pub const BODY_KEYS: &str = "body-keys";
    /// The operators' socket.
    pub const DESK_SOCKET: &str = "run/desk.sock";
    /// The node's TLS certificate.
    pub const NODE_CERTIFICATE: &str = "tls/node.pem";
    /// Its key.
    pub const NODE_KEY: &str = "tls/node.key";
    /// A request for it, where there is no certificate yet.
    pub const NODE_REQUEST: &str = "tls/node.csr";
    /// What peers pin.
    pub const NODE_AUTHORITY: &str = "tls/node-ca.pem";
    /// The desk listener's certificate.
    pub const DESK_CERTIFICATE: &str = "tls/desk.pem";
    /// Its key.
    pub const DESK_KEY: &str = "tls/desk.key";
    /// A request for it.
    pub const DESK_REQUEST: &str = "tls/desk.csr";
    /// The own side's authority for desk clients.
    pub const DESK_AUTHORITY: &str = "tls/desk-ca.pem";
}

/// The text of a new configuration; it parses to a valid one.
#[must_use]
pub fn default_config_text(seed: &ConfigSeed) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let endpoints = if seed.endpoints.is_empty() {
        "#endpoints = [\"border.example:7443\"]".to_owned()
    } else {
        let list: Vec<_> = seed
            .endpoints
            .iter()
            .map(|endpoint| quoted(endpoint))
            .collect();
        format!("endpoints = [{}]", list.join(", "))
    };
    let (desk_off, desk_listen) = match seed.desk_tcp {
        Some(listen) => ("", listen.to_string()),
        None => ("#", "127.0.0.1:7444".to_owned()),
    };
    let unencrypted = if seed.passphrase == "none" {
        "allow_unencrypted_keys = true"
    } else {
        "#allow_unencrypted_keys = false"
    };
    let example = if seed.example_ca {
        "allow_example_ca = true"
    } else {
        "#allow_example_ca = false"
    };
    format!(
        r#"# Configuration of the Liaison node {node}.
#
# Relative paths are taken from the directory of this file. A line that begins with # shows a key
# with its default; remove the # to change it. A key that does not exist is an error, not ignored.
# Certificates, TLS keys, revocation lists and the authorities in peer cards are read again while
# the node runs, within two seconds of a change or on SIGHUP. Everything else needs a restart.

# The node's name. It stands in every message, in the node's TLS certificate (dNSName) and in the
# names of its keys, so it can never be changed: a node with another name is another node.
node = {node_quoted}

# The time zone of this post, an IANA name; the other side shows local times with it.
time_zone = {zone}

# Store, bodies and attachments. Made by the node. Never copy it while the node runs, and never run
# two nodes on it.
#data_dir = "{data}"

# The journal: who read, exported, acknowledged, changed what on this node. Made by the node. Without it
# the node does not start, and what cannot be written there is refused. Better on another disk.
#journal_dir = "{journal}"

# One settings file and one card per peer. Add a link with: liaison peer add FILE
#links_dir = "{links}"

# Take certificates made by the example generator. Anyone can make those: for trials only.
{example}

[keys]
# Two signing keys, made by: liaison init. They are the node's word for ever: whoever has them can
# sign in its name. Mode 0600. Keep an encrypted copy apart from the machine.
message = "{message_key}"
log = "{log_key}"

# A third key opens what lies on the disk (see [at_rest]). It signs nothing. A file as the others, or
#   "credential:NAME"  a systemd credential of 64 hex digits
#   "pkcs11:…"         an AES key in a token wraps it; storage_pin says where the PIN comes from
# To change from one to another: liaison keys change-storage --from OLD
#storage = "{storage_key}"

# Or the message key lies in a PKCS#11 token (a program built with --features pkcs11):
# message = "pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so"
# Which key that must be, as the card has it; and where the PIN comes from, as below for the passphrase,
# which it is if this is left out.
# message_vkey = "NODE+HASH+KEY"
# pin = "credential:pin"

# Where the passphrase of the key files comes from:
#   "prompt"           a person types it at every start
#   "file:PATH"        the first line of a file of mode 0600; protects stolen backups, not the machine
#   "credential:NAME"  a systemd credential (LoadCredentialEncrypted=NAME:PATH)
#   "none"             the keys are not encrypted; needs allow_unencrypted_keys = true
passphrase = {passphrase}

# Take keys that are not encrypted. Whoever reads the disk then has them: for trials only.
{unencrypted}

[at_rest]
# Bodies and attachments lie sealed on the disk, each under a key of its own, so that a stolen disk or
# backup gives nobody a body, and a body can be erased for ever. Headers, logs and receipts stay readable.
#encrypt = true

# Where those keys are: small files, opened by the storage key. Without them every body here is lost.
# They are not part of `liaison backup`: see docs/operations.md, Keys of what lies on the disk.
#body_keys = "{body_keys}"

[exchange]
# Where peers are awaited. Leave it out if this node only dials.
listen = "{listen}"

# The node's TLS certificate (PEM, intermediates behind it) and key (PEM, not encrypted, mode 0600),
# for dialling and being dialled. The certificate needs the dNSName {node}
# and both serverAuth and clientAuth. See certs-example/README.md, or: liaison init makes a request.
certificate = "{node_certificate}"
key = "{node_key}"

# The authority that issued it. It goes into the own card and peers pin it, so choose one that issues
# to this node only as far as you can: whoever it gives this name can open the link (though not sign).
authority = "{node_authority}"

# How peers reach this node. Goes into the own card (liaison peer card). Default: none, the peer is
# dialled from here.
{endpoints}

[desk]
# The socket of operators on this machine. Whoever runs as the node's user, or as root, is an operator.
# It is made with mode 0600 in a directory of mode 0700. At most 107 bytes.
#socket = "{desk_socket}"

# The desk over the network, for people and programs with a certificate of the own side's authority.
# Their certificates have clientAuth and one URI: spiffe://{node}/role/ROLE/NAME
# with the role operator, integration, auditor or admin. Default: off.
{desk_off}[desk.tcp]
{desk_off}listen = "{desk_listen}"
{desk_off}certificate = "{desk_certificate}"   # dNSName {node}, serverAuth
{desk_off}key = "{desk_key}"
{desk_off}client_ca = "{desk_authority}"       # never the authority of a peer, nor a public one
#crls = ["tls/desk.crl"]          # PEM or DER; take a lost certificate out of use

# What a program may send; a program without a rule may send nothing. kinds are of CROSSING_ALERT,
# CASE_NOTICE, VERIFICATION_REQUEST, HANDOVER_REQUEST, OFFICIAL_LETTER, GATE_NOTICE, HAZARD_NOTICE,
# ACTIVITY_REPORT, WITHDRAWAL; everything else is a person's word. Default: alerts only.
#[[desk.integration]]
#name = "radar"                   # as in its certificate's URI
#kinds = ["CROSSING_ALERT"]
# It has the quota of [limits.desk] below, unless it is given its own here:
#messages_per_second = 100
#burst_messages = 1000
#mib_per_day = 1024
#disk_percent = 10
#in_flight = 64

# How long bodies are kept. The first rule that fits decides; the time counts from when the case was
# closed, and nothing of an open case or of one on hold (liaison hold) is erased. A period is of days,
# months or years, or "never". Try it: liaison retention list --at 2029-01-01. Default: kept.
#[[retention]]
#kind = "HANDOVER_REQUEST"        # every kind, if left out
#handling = "H2"                  # every code, if left out
#erase_body_after = "24 months"

[limits]
# The store's cache in MiB, 16 to 4096. Memory in use may be twice that for moments.
#cache_mib = 16

# Free disk space in MiB below which nothing more is recorded, at least 64. The node then says so, keeps
# serving what it has, and goes on by itself when there is space again.
#disk_floor_mib = 64

# What each person and each program of the desk may take, each by itself. Beyond it a call is refused
# with when to try again. What is FLASH or IMMEDIATE, and acknowledgements, have a quarter of each on
# top for themselves. Days are UTC days; a restart gives nothing back.
[limits.desk]
#messages_per_second = 1000       # on average
#burst_messages = 20000           # at once, after a pause
#mib_per_day = 16384              # messages and files, at least 64
#disk_percent = 25                # of the disk space that is free when the day begins
#in_flight = 1024                 # messages that are being recorded, at most 4096

# What each peer may take. Beyond it the node takes its ordinary messages more slowly, or no more of
# them that day; nothing is lost, its alerts and receipts still pass, and it is told.
[limits.peer]
#messages_per_second = 5000
#burst_messages = 100000
#mib_per_day = 32768
#disk_percent = 25

[log]
# error, warn, info, debug or trace. Contents of messages are never logged at any level.
#level = "info"

# text for people, json for collectors.
#format = "text"
"#,
        node = seed.node,
        node_quoted = quoted(seed.node.as_str()),
        zone = quoted(&seed.time_zone),
        data = paths::DATA,
        journal = paths::JOURNAL,
        links = paths::LINKS,
        message_key = paths::MESSAGE_KEY,
        log_key = paths::LOG_KEY,
        storage_key = paths::STORAGE_KEY,
        body_keys = paths::BODY_KEYS,
        passphrase = quoted(&seed.passphrase),
        listen = seed.listen,
        node_certificate = paths::NODE_CERTIFICATE,
        node_key = paths::NODE_KEY,
        node_authority = paths::NODE_AUTHORITY,
        desk_socket = paths::DESK_SOCKET,
        desk_certificate = paths::DESK_CERTIFICATE,
        desk_key = paths::DESK_KEY,
        desk_authority = paths::DESK_AUTHORITY,
    )
}
