//! Example authorities: from the library and from the script, refused unless it is allowed.

use liaison::link::files::{Files, MaterialError, parse_certificates};
use liaison::link::pki::{Authority, Leaf};
use liaison::link::tls::{ExchangeTls, TlsOptions};

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
