//! Which configuration is meant, and the way to the node's desk.

use std::path::{Path, PathBuf};

use clap::Args;
use tonic::transport::Channel;

use super::exit::{Exit, Failure, OrExit as _};
use crate::limits::DESK_MESSAGE_BYTES_MAX;
use crate::link::dial::{DialError, DialLimits, Endpoint, dial_desk, dial_local};
use crate::link::files::parse_certificates;
use crate::link::leaf::Facts;
use crate::link::tls::{ClientTls, OwnFiles, TlsOptions};
use crate::model::NodeName;
use crate::node::config::Config;
use crate::proto::v1::audit_service_client::AuditServiceClient;
use crate::proto::v1::backup_service_client::BackupServiceClient;
use crate::proto::v1::bundle_service_client::BundleServiceClient;
use crate::proto::v1::desk_service_client::DeskServiceClient;
use crate::proto::v1::erasure_service_client::ErasureServiceClient;
use crate::proto::v1::figures_service_client::FiguresServiceClient;
use crate::proto::v1::handling_service_client::HandlingServiceClient;
use crate::proto::v1::journal_service_client::JournalServiceClient;
use crate::proto::v1::key_copies_service_client::KeyCopiesServiceClient;
use crate::proto::v1::keys_service_client::KeysServiceClient;
use crate::proto::v1::link_service_client::LinkServiceClient;
use crate::proto::v1::retention_service_client::RetentionServiceClient;

/// The configuration in the working directory, where none is named.
const CONFIG_HERE: &str = "liaison.toml";

/// Which node is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The node's configuration; without it, liaison.toml in the working directory.
    #[arg(
        long,
        short,
        global = true,
        env = "LIAISON_CONFIG",
        value_name = "FILE"
    )]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    desk: DeskFlags,
}

/// The desk over the network instead of its socket.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Desk over the network")]
struct DeskFlags {
    /// Go to the desk at HOST:PORT over mutual TLS, not to the socket of the configuration.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "LIAISON_DESK",
        value_name = "HOST:PORT"
    )]
    desk: Option<String>,
    /// Own certificate (PEM); its URI names node, role and person or program.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "LIAISON_CERT",
        value_name = "FILE"
    )]
    cert: Option<PathBuf>,
    /// Its key (PEM, mode 0600).
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "LIAISON_KEY",
        value_name = "FILE"
    )]
    key: Option<PathBuf>,
    /// The authority of the desk's certificate (PEM).
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        env = "LIAISON_CA",
        value_name = "FILE"
    )]
    ca: Option<PathBuf>,
    /// Take certificates of the example generator; for trials only.
    #[arg(long, global = true, hide_short_help = true)]
    allow_example_ca: bool,
}

impl Target {
    /// The target that a configuration file is.
    pub(crate) fn of_config(config: &Path) -> Self {
        Self {
            config: Some(config.to_owned()),
            desk: DeskFlags {
                desk: None,
                cert: None,
                key: None,
                ca: None,
                allow_example_ca: false,
            },
        }
    }

    /// The path of the configuration.
    pub(crate) fn config_path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.config {
            return Ok(path.clone());
        }
        let here = PathBuf::from(CONFIG_HERE);
        if here.is_file() {
            return Ok(here);
        }
        Err(Failure::new(Exit::Config, "no configuration is named, and there is no liaison.toml here")
            .remedy("name one with --config FILE or LIAISON_CONFIG, or make one: liaison init DIR --name NODE"))
    }

    /// The configuration, read and checked.
    pub(crate) fn load_config(&self) -> Result<Config, Failure> {
        Config::load(&self.config_path()?).or_exit(Exit::Config)
    }

    /// Whether the node's own machine is meant, where its configuration is.
    pub(crate) fn is_local(&self) -> bool {
        self.desk.desk.is_none()
    }

    /// Connects to the desk.
    pub(crate) async fn connect(&self) -> Result<Desk, Failure> {
        let limits = DialLimits::default();
        if let Some(desk) = &self.desk.desk {
            return self.connect_tls(desk, &limits).await;
        }
        let config = self.load_config()?;
        let socket = config.desk.socket.clone();
        let dialled = dial_local(&socket, &limits).await.map_err(|error| {
            let exit = match &error {
                DialError::Socket { source, .. }
                    if source.kind() == std::io::ErrorKind::PermissionDenied =>
                {
                    Exit::NoPermission
                }
                _ => Exit::Unavailable,
            };
            let start = format!("liaison --config {} node run", quoted(&config.file));
            let (what, remedy) = if exit == Exit::NoPermission {
                (
                    "may not be spoken to by this user",
                    "run this as the node's user".to_owned(),
                )
            } else {
                (
                    "does not answer: is it running?",
                    format!("start it: {start}"),
                )
            };
            let error = match error {
                DialError::Socket { source, .. } => anyhow::Error::new(source),
                other => anyhow::Error::new(other),
            };
            Failure::of(exit, error)
                .while_doing(format!(
                    "the node {} {what} (socket {}, configuration {})",
                    config.node,
                    socket.display(),
                    config.file.display()
                ))
                .remedy(remedy)
        })?;
        Ok(Desk {
            channel: dialled.channel,
        })
    }

    async fn connect_tls(&self, desk: &str, limits: &DialLimits) -> Result<Desk, Failure> {
        let flags = &self.desk;
        let (Some(cert), Some(key), Some(ca)) = (&flags.cert, &flags.key, &flags.ca) else {
            return Err(Failure::new(
                Exit::Usage,
                "--desk needs --cert, --key and --ca",
            ));
        };
        let address = desk
            .strip_prefix("https://")
            .unwrap_or(desk)
            .trim_end_matches('/');
        let endpoint =
            Endpoint::parse(address).or_fail(Exit::Usage, || format!("--desk {desk}"))?;
        let node = node_of_certificate(cert)?;
        let own = OwnFiles {
            certificate: cert.clone(),
            key: key.clone(),
        };
        let options = TlsOptions::new(flags.allow_example_ca);
        let tls = ClientTls::desk(&node, &own, ca, &options).or_exit(Exit::Config)?;
        let dialled = dial_desk(&tls, &node, &[endpoint], limits)
            .await
            .or_fail(Exit::Unavailable, || {
                format!("the desk of {node} cannot be reached at {address}")
            })?;
        Ok(Desk {
            channel: dialled.channel,
        })
    }
}

/// The node that a desk certificate belongs to: the trust domain of its URI.
fn node_of_certificate(file: &Path) -> Result<NodeName, Failure> {
    let reading = || format!("the certificate {}", file.display());
    let text = std::fs::read(file).or_fail(Exit::Config, reading)?;
    let chain = parse_certificates(&text)
        .map_err(anyhow::Error::msg)
        .or_fail(Exit::Config, reading)?;
    let facts = Facts::read(&chain[0]).or_fail(Exit::Config, reading)?;
    let node = facts.uris.iter().find_map(|uri| {
        let (domain, _) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        NodeName::parse(domain).ok()
    });
    node.ok_or_else(|| {
        Failure::new(
            Exit::Config,
            format!("{} has no URI spiffe://NODE/role/ROLE/NAME", file.display()),
        )
        .remedy("ask for a desk certificate; certs-example/README.md says what must be in it")
    })
}

/// A path as it can be pasted into a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A connection to the desk.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    channel: Channel,
}

impl Desk {
    /// For messages.
    pub(crate) fn desk(&self) -> DeskServiceClient<Channel> {
        DeskServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For keys.
    pub(crate) fn keys(&self) -> KeysServiceClient<Channel> {
        KeysServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For retention and legal holds.
    pub(crate) fn retention(&self) -> RetentionServiceClient<Channel> {
        RetentionServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For copies of the files of keys.
    pub(crate) fn key_copies(&self) -> KeyCopiesServiceClient<Channel> {
        KeyCopiesServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// Bodies destroyed for ever.
    pub(crate) fn erasure(&self) -> ErasureServiceClient<Channel> {
        ErasureServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For the journal.
    pub(crate) fn journal(&self) -> JournalServiceClient<Channel> {
        JournalServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For links that are held.
    pub(crate) fn links(&self) -> LinkServiceClient<Channel> {
        LinkServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For everything that the node keeps.
    pub(crate) fn backup(&self) -> BackupServiceClient<Channel> {
        BackupServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For what the node counts of its own work.
    pub(crate) fn figures(&self) -> FiguresServiceClient<Channel> {
        FiguresServiceClient::new(self.channel.clone())
    }

    /// For what is carried by hand.
    pub(crate) fn bundle(&self) -> BundleServiceClient<Channel> {
        BundleServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For what handling codes restrict.
    pub(crate) fn handling(&self) -> HandlingServiceClient<Channel> {
        HandlingServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }

    /// For evidence.
    pub(crate) fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel.clone())
            .max_decoding_message_size(DESK_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(DESK_MESSAGE_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_pasted() {
        assert_eq!(quoted(Path::new("demo/a.toml")), "demo/a.toml");
        assert_eq!(quoted(Path::new("my demo/it's")), r"'my demo/it'\''s'");
    }
}
