//! `liaison init`: a new node's directory.

mod tls;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::connect::quoted;
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::{Screen, ask_secret};
use crate::crypto::keys::{KeyError, LogKey, MessageKey, Protection};
use crate::crypto::storage_key::StorageKey;
use crate::link::dial::Endpoint;
use crate::link::pki;
use crate::model::NodeName;
use crate::node::passphrase::PassphraseSource;
use crate::node::template::{ConfigSeed, default_config_text, paths};

/// The fewest characters of a passphrase. scrypt makes each guess cost 50 ms or so; this makes
/// them many.
const PASSPHRASE_CHARS_MIN: usize = 12;
/// Makes a new node: two signing keys, certificates or requests for them, an empty store, and a
/// configuration that explains every key.
///
/// Nothing that exists is ever overwritten.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The node's directory, which is made.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The node's name for ever: a lower-case host name such as laocai.bg.vn.example.
    #[arg(long, value_parser = NodeName::parse)]
    name: NodeName,
    /// Where peers are awaited.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:7443")]
    listen: SocketAddr,
    /// How peers reach this node; goes into its peer card. May be given several times.
    #[arg(long, value_name = "HOST:PORT", value_parser = Endpoint::parse)]
    endpoint: Vec<Endpoint>,
    /// Also open the desk over the network, here.
    #[arg(long, value_name = "ADDRESS:PORT")]
    desk_listen: Option<SocketAddr>,
    /// The post's time zone, an IANA name; else this machine's.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Encrypt the keys with the first line of this file (mode 0600); the node will read it there.
    #[arg(long, value_name = "FILE", conflicts_with = "unencrypted")]
    passphrase_file: Option<PathBuf>,
    /// Do not encrypt the keys. Whoever reads the disk then has them: for trials only.
    #[arg(long)]
    unencrypted: bool,
    /// Make a throw-away authority and certificates from it. Anyone can: for trials only.
    #[arg(long)]
    example_ca: bool,
    /// The organization in certificate requests; else the node's name.
    #[arg(long, value_name = "NAME", conflicts_with = "example_ca")]
    organization: Option<String>,
}

/// What is to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where.
    pub(crate) dir: PathBuf,
    /// What the configuration says.
    pub(crate) seed: ConfigSeed,
    /// How the key files keep the keys.
    pub(crate) protection: Protection,
    /// The organization in requests.
    pub(crate) organization: String,
}

impl Init {
    pub(crate) fn run(self, screen: Screen) -> Done {
        let (protection, passphrase) = self.protection()?;
        let time_zone = match self.time_zone {
            Some(zone) if TimeZone::get(&zone).is_err() => {
                return Err(
                    Failure::new(Exit::Usage, format!("there is no time zone {zone}"))
                        .remedy("use an IANA name such as Asia/Ho_Chi_Minh"),
                );
            }
            Some(zone) => zone,
            None => TimeZone::system().iana_name().unwrap_or("UTC").to_owned(),
        };
        let plan = Plan {
            dir: self.dir,
            organization: self.organization.unwrap_or_else(|| self.name.to_string()),
            seed: ConfigSeed {
                node: self.name,
                time_zone,
                listen: self.listen,
                endpoints: self.endpoint.iter().map(ToString::to_string).collect(),
                desk_tcp: self.desk_listen,
                passphrase,
                example_ca: self.example_ca,
            },
            protection,
        };
        let made = make(&plan)?;
        report(&plan, &made, screen)?;
        Ok(Exit::Ok)
    }

    /// How keys are kept, and what the configuration says about it.
    fn protection(&self) -> Result<(Protection, String), Failure> {
        if self.unencrypted {
            return Ok((Protection::Unencrypted, "none".to_owned()));
        }
        if let Some(file) = &self.passphrase_file {
            let file = std::path::absolute(file)
                .or_fail(Exit::Config, || format!("the path {}", file.display()))?;
            let passphrase = PassphraseSource::File(file.clone())
                .get(None, || Err(std::io::Error::other("nobody is asked")))
                .or_exit(Exit::Config)?
                .unwrap_or_default();
            check_passphrase(&passphrase)?;
            return Ok((
                Protection::Passphrase(passphrase),
                format!("file:{}", file.display()),
            ));
        }
        let no_terminal = |error: std::io::Error| {
            Failure::of(Exit::Usage, anyhow::Error::new(error))
                .while_doing("the passphrase for the keys could not be asked for")
                .remedy(
                    "without a terminal give --passphrase-file FILE, or --unencrypted for a trial",
                )
        };
        let first = ask_secret("Passphrase for the new keys").map_err(no_terminal)?;
        check_passphrase(&first)?;
        let second = ask_secret("The same again").map_err(no_terminal)?;
        if first != second {
            return Err(Failure::new(
                Exit::Data,
                "the two passphrases differ; nothing was made",
            ));
        }
        Ok((Protection::Passphrase(first), "prompt".to_owned()))
    }
}

fn check_passphrase(passphrase: &Zeroizing<String>) -> Result<(), Failure> {
    if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
        let what = format!("the passphrase has fewer than {PASSPHRASE_CHARS_MIN} characters");
        return Err(
            Failure::new(Exit::Data, what).remedy("four or five random words make a good one")
        );
    }
    Ok(())
}

/// A file that was made, and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    path: &'static str,
    what: &'static str,
}

/// Makes the node's directory. The configuration comes last: without it there is no node, so that
/// what was cut off half-way is not taken for one.
pub(crate) fn make(plan: &Plan) -> Result<Vec<Made>, Failure> {
    let dir = &plan.dir;
    refuse_existing(dir)?;
    let mut made = Vec::new();
    for sub in ["", "keys", "tls", paths::LINKS, paths::DATA] {
        let path = dir.join(sub);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .or_fail(Exit::CannotCreate, || {
                format!("the directory {}", path.display())
            })?;
    }
    let file = |path, what| Made { path, what };

    let key = |error: KeyError| Failure::of(Exit::CannotCreate, anyhow::Error::new(error));
    let (message, log) = (
        MessageKey::generate().map_err(key)?,
        LogKey::generate().map_err(key)?,
    );
    message
        .write_file(&dir.join(paths::MESSAGE_KEY), &plan.protection)
        .map_err(key)?;
    log.write_file(&dir.join(paths::LOG_KEY), &plan.protection)
        .map_err(key)?;
    made.push(file(
        paths::MESSAGE_KEY,
        "signs what this node says; secret",
    ));
    made.push(file(
        paths::LOG_KEY,
        "signs its log and its receipts; secret",
    ));
    StorageKey::create(&dir.join(paths::STORAGE_KEY), &plan.protection).map_err(key)?;
    made.push(file(
        paths::STORAGE_KEY,
        "opens what lies on the disk; secret",
    ));

    let tls = if plan.seed.example_ca {
        tls::example_certificates(plan)
    } else {
        tls::requests(plan)
    };
    made.extend(tls.or_exit(Exit::CannotCreate)?);

    let data = dir.join(paths::DATA);
    crate::node::create_store(&data).or_fail(Exit::CannotCreate, || {
        format!("the store in {}", data.display())
    })?;
    made.push(file(paths::DATA, "the store, empty"));

    pki::write_public(&dir.join(paths::CONFIG), &default_config_text(&plan.seed))
        .or_exit(Exit::CannotCreate)?;
    made.push(file(paths::CONFIG, "the configuration; read it once"));
    Ok(made)
}

fn refuse_existing(dir: &Path) -> Result<(), Failure> {
    let config = dir.join(paths::CONFIG);
    if config.exists() {
        return Err(Failure::new(
            Exit::CannotCreate,
            format!("there is a node in {} already", dir.display()),
        )
        .remedy("choose another directory; a node is never overwritten"));
    }
    for path in [paths::MESSAGE_KEY, paths::LOG_KEY, paths::DATA, "tls"] {
        let path = dir.join(path);
        if path.exists() {
            return Err(Failure::new(
                Exit::CannotCreate,
                format!("{} exists already", path.display()),
            )
            .remedy("choose another directory, or move away what an interrupted init has left"));
        }
    }
    Ok(())
}

/// What was made and what to do next.
fn report(plan: &Plan, made: &[Made], screen: Screen) -> Result<(), Failure> {
    let Plan { dir, seed, .. } = plan;
    screen.line(format!("The node {} is in {}:", seed.node, dir.display()))?;
    for Made { path, what } in made {
        screen.line(format!("  {path:<20} {what}"))?;
    }
    let config = quoted(&dir.join(paths::CONFIG));
    let mut steps = vec![format!(
        "Read {config}; every key is explained there.{}",
        if seed.endpoints.is_empty() {
            " Fill in exchange.endpoints, so that the peer can reach this node."
        } else {
            ""
        }
    )];
    if !seed.example_ca {
        steps.push(format!(
            "Have {} signed by your authority (certs-example/README.md says how).\n     Put the \
             certificate in {} and the authority's in {}.",
            paths::NODE_REQUEST,
            paths::NODE_CERTIFICATE,
            paths::NODE_AUTHORITY
        ));
        if seed.desk_tcp.is_some() {
            steps.push(format!(
                "Have {} signed by your authority for the desk: {} and {}.",
                paths::DESK_REQUEST,
                paths::DESK_CERTIFICATE,
                paths::DESK_AUTHORITY
            ));
        }
    }
    if seed.passphrase == "none" {
        steps.push("The keys are NOT encrypted: for trials only.".to_owned());
    } else {
        steps.push(format!(
            "Keep a copy of {}, {} and {} apart from this machine, and the passphrase apart from them.",
            paths::MESSAGE_KEY,
            paths::LOG_KEY,
            paths::STORAGE_KEY
        ));
    }
    steps.push(format!(
        "Give your card to the other side:  liaison --config {config} peer card"
    ));
    steps.push(format!(
        "Take theirs in:                    liaison --config {config} peer add FILE"
    ));
    steps.push(format!(
        "Start the node:                    liaison --config {config} node run"
    ));
    screen.line("\nNext:")?;
    for (number, step) in steps.iter().enumerate() {
        screen.line(format!("  {}. {step}", number + 1))?;
    }
    Ok(())
}
