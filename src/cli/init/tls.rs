//! Certificates for a trial, or requests for them.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::{Made, Plan};
use crate::exchange::clock::{Clock as _, SystemClock};
use crate::link::identity::{DeskIdentity, Role};
use crate::link::pki::{self, Authority, Leaf, PkiError, Validity};
use crate::model::NodeName;
use crate::node::template::paths;

/// How long certificates of the example generator are valid.
const EXAMPLE_DAYS: u32 = 365;
/// Where the example generator puts certificates for people and programs of the desk.
const CLIENTS: &str = "tls/clients";

/// A throw-away authority for peers, and one for the desk; their keys are forgotten at once.
pub(super) fn example_certificates(plan: &Plan) -> Result<Vec<Made>, PkiError> {
    let Plan { dir, seed, .. } = plan;
    let node = &seed.node;
    let validity = Validity::days(SystemClock.unix_seconds(), EXAMPLE_DAYS);
    let mut made = Vec::new();

    let mut authority = Authority::example(&format!("example CA of {node}"), validity)?;
    let issued = authority.issue(&Leaf::node(node), validity)?;
    pki::write_public(
        &dir.join(paths::NODE_AUTHORITY),
        &authority.certificate_pem(),
    )?;
    pki::write_public(&dir.join(paths::NODE_CERTIFICATE), &issued.certificate_pem)?;
    pki::write_secret(&dir.join(paths::NODE_KEY), &issued.key_pem)?;
    made.push(Made {
        path: paths::NODE_AUTHORITY,
        what: "throw-away authority; its key is forgotten",
    });
    made.push(Made {
        path: paths::NODE_CERTIFICATE,
        what: "TLS certificate towards peers",
    });
    made.push(Made {
        path: paths::NODE_KEY,
        what: "its key; secret",
    });

    if seed.desk_tcp.is_some() {
        let mut authority = Authority::example(&format!("example desk CA of {node}"), validity)?;
        let issued = authority.issue(&Leaf::desk_server(node), validity)?;
        pki::write_public(
            &dir.join(paths::DESK_AUTHORITY),
            &authority.certificate_pem(),
        )?;
        pki::write_public(&dir.join(paths::DESK_CERTIFICATE), &issued.certificate_pem)?;
        pki::write_secret(&dir.join(paths::DESK_KEY), &issued.key_pem)?;
        made.push(Made {
            path: paths::DESK_AUTHORITY,
            what: "throw-away authority of the desk",
        });
        made.push(Made {
            path: paths::DESK_CERTIFICATE,
            what: "TLS certificate of the desk",
        });
        made.push(Made {
            path: paths::DESK_KEY,
            what: "its key; secret",
        });
        clients(dir, node, &mut authority, validity)?;
        made.push(Made {
            path: CLIENTS,
            what: "desk certificates, one for each role",
        });
    }
    Ok(made)
}

/// One certificate for each role of the desk, to try them.
fn clients(
    dir: &Path,
    node: &NodeName,
    authority: &mut Authority,
    validity: Validity,
) -> Result<(), PkiError> {
    let clients = dir.join(CLIENTS);
    let write = |source| PkiError::Write {
        file: clients.clone(),
        source,
    };
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&clients)
        .map_err(write)?;
    for role in Role::ALL {
        let Ok(identity) = DeskIdentity::new(role, "example") else {
            continue;
        };
        let issued = authority.issue(&Leaf::desk_client(node, &identity), validity)?;
        pki::write_public(
            &clients.join(format!("{role}.pem")),
            &issued.certificate_pem,
        )?;
        pki::write_secret(&clients.join(format!("{role}.key")), &issued.key_pem)?;
    }
    Ok(())
}

/// Keys, and requests for the side's own authority to sign.
pub(super) fn requests(plan: &Plan) -> Result<Vec<Made>, PkiError> {
    let Plan {
        dir,
        seed,
        organization,
        ..
    } = plan;
    let mut made = Vec::new();
    let request = pki::request(organization, &Leaf::node(&seed.node))?;
    pki::write_secret(&dir.join(paths::NODE_KEY), &request.key_pem)?;
    pki::write_public(&dir.join(paths::NODE_REQUEST), &request.request_pem)?;
    made.push(Made {
        path: paths::NODE_KEY,
        what: "TLS key towards peers; secret",
    });
    made.push(Made {
        path: paths::NODE_REQUEST,
        what: "request for its certificate",
    });
    if seed.desk_tcp.is_some() {
        let request = pki::request(organization, &Leaf::desk_server(&seed.node))?;
        pki::write_secret(&dir.join(paths::DESK_KEY), &request.key_pem)?;
        pki::write_public(&dir.join(paths::DESK_REQUEST), &request.request_pem)?;
        made.push(Made {
            path: paths::DESK_KEY,
            what: "TLS key of the desk; secret",
        });
        made.push(Made {
            path: paths::DESK_REQUEST,
            what: "request for its certificate",
        });
    }
    Ok(made)
}
