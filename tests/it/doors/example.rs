//! Example authorities: from the library and from the script, refused unless it is allowed.

use std::path::Path;
use std::process::Command;

use liaison::link::files::{Files, MaterialError, parse_certificates};
use liaison::link::identity::{DeskIdentity, Identity, Role};
use liaison::link::pki::{Authority, Leaf};
use liaison::link::tls::{
    DeskFiles, DeskTls, ExchangeTls, OwnFiles, PeerTrust, ServerTls as _, TlsOptions,
};

use super::house::*;

#[test]
fn an_example_authority_is_refused_without_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let mut real = authority(LAOCAI);
    let mut example = Authority::example("example node CA", valid()).unwrap();
    let node = Leaf::node(&name(LAOCAI));
    let real_own = own_files(dir.path(), "real", &real.issue(&node, valid()).unwrap());
    let example_own = own_files(
        dir.path(),
        "example",
        &example.issue(&node, valid()).unwrap(),
    );
    let load = |own, of: &Authority, allow| {
        let mut peer = trust(HEKOU, of, Vec::new());
        peer.authorities = parse_certificates(of.certificate_pem().as_bytes()).unwrap();
        let options = TlsOptions::new(allow);
        ExchangeTls::load(&mut Files::new(), &name(LAOCAI), own, &[peer], &options).map(|_| ())
    };

    let error = load(&real_own, &example, false).unwrap_err();
    assert!(
        matches!(error, MaterialError::ExampleAuthority { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("allow_example_ca = true"),
        "{error}"
    );
    let error = load(&example_own, &real, false).unwrap_err();
    assert!(
        matches!(error, MaterialError::ExampleAuthority { .. }),
        "{error}"
    );
    load(&example_own, &example, true).unwrap();
    load(&real_own, &real, false).unwrap();
}

#[test]
fn the_script_makes_a_pki_that_works() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs-example/make-pki");
    let make = |nodes: &[&str]| {
        Command::new(&script)
            .arg(&pki)
            .args(nodes)
            .output()
            .unwrap()
    };
    let bad = make(&[LAOCAI, "Not A Node"]);
    assert!(!bad.status.success() && !pki.exists(), "{bad:?}");
    let long = format!("{}.{}.example", "a".repeat(63), "b".repeat(63));
    let made = make(&[LAOCAI, HEKOU, &long]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let again = make(&[LAOCAI]);
    assert!(
        !again.status.success(),
        "an existing directory is never touched"
    );

    for (node, peer) in [(LAOCAI, HEKOU), (HEKOU, LAOCAI), (&long, LAOCAI)] {
        let tls = pki.join(node).join("tls");
        let of_peer = pki.join(peer).join("tls");
        let own = |label: &str| OwnFiles {
            certificate: tls.join(format!("{label}.pem")),
            key: tls.join(format!("{label}.key")),
        };
        let trust = PeerTrust {
            peer: name(peer),
            authorities: parse_certificates(&std::fs::read(of_peer.join("node-ca.pem")).unwrap())
                .unwrap(),
            crls: vec![of_peer.join("node-ca.crl")],
        };
        let load = |allow| {
            let options = TlsOptions::new(allow);
            let files = &mut Files::new();
            ExchangeTls::load(
                files,
                &name(node),
                &own("node"),
                std::slice::from_ref(&trust),
                &options,
            )
        };
        let exchange = load(true).unwrap();
        assert!(
            exchange.expires().len() >= 3,
            "certificate, authority, revocation list"
        );
        let error = load(false).unwrap_err();
        assert!(
            matches!(error, MaterialError::ExampleAuthority { .. }),
            "{error}"
        );

        let desk = DeskFiles {
            own: own("desk"),
            client_ca: tls.join("desk-ca.pem"),
            crls: vec![tls.join("desk-ca.crl")],
        };
        let options = TlsOptions::new(true);
        let desk = DeskTls::load(&mut Files::new(), &name(node), &desk, &options).unwrap();
        for (role, client) in [
            (Role::Operator, "duty-1"),
            (Role::Integration, "radar"),
            (Role::Auditor, "inspector"),
            (Role::Admin, "machine"),
        ] {
            let file = pki.join(node).join(format!("clients/{role}-{client}.pem"));
            let chain = parse_certificates(&std::fs::read(file).unwrap()).unwrap();
            let now = desk.time().current_time().unwrap();
            let identity = desk.judge().judge(&chain[0], &[], now).unwrap();
            assert_eq!(
                identity,
                Identity::Desk(DeskIdentity::new(role, client).unwrap())
            );
        }
    }
}
