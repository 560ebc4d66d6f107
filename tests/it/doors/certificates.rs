//! Every kind of wrong certificate, both ways.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use liaison::link::accept::AcceptLimits;
use liaison::link::dial::{DialError, DialLimits, dial_peer};
use liaison::link::files::MaterialError;
use liaison::link::pki::{Authority, Leaf, Validity};
use rustls::NamedGroup;

use super::house::*;

#[tokio::test]
async fn the_right_certificate_gets_in_over_a_post_quantum_key_exchange() {
    let mut house = House::new().await;
    let issued = house.hekou();
    let tls = house.caller(HEKOU, &issued);
    let dialled = house.dial(&tls).await;
    assert_eq!(dialled.key_exchange, Some(NamedGroup::X25519MLKEM768));
    assert_eq!(ask(&dialled, 32).await.unwrap(), 32);
    let info = house.laocai.next_seen().await;
    assert_eq!(peer_of(&info), HEKOU);
    assert_eq!(info.generation, 1);
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let mut house = House::new().await;
    let over = Validity {
        not_before_unix: now_unix() - 7_200,
        not_after_unix: now_unix() - 60,
    };
    let issued = house
        .hekou_ca
        .issue(&Leaf::node(&name(HEKOU)), over)
        .unwrap();
    assert_refused(house.knock(HEKOU, &issued).await);
}

#[tokio::test]
async fn a_certificate_of_an_expired_authority_is_refused() {
    // webpki does not look at the validity of what it is told to trust.
    let over = Validity {
        not_before_unix: now_unix() - 7_200,
        not_after_unix: now_unix() - 60,
    };
    let mut old = Authority::new("Border Office", "old authority", over).unwrap();
    let mut laocai_ca = authority(LAOCAI);
    let dir = tempfile::tempdir().unwrap();
    let own = laocai_ca
        .issue(&Leaf::node(&name(LAOCAI)), valid())
        .unwrap();
    let own = own_files(dir.path(), "laocai", &own);
    let tls = material(LAOCAI, own, vec![trust(HEKOU, &old, Vec::new())]).unwrap();
    let laocai = Listening::start(tls, AcceptLimits::exchange()).await;
    let issued = old.issue(&Leaf::node(&name(HEKOU)), valid()).unwrap();
    let own = own_files(dir.path(), "hekou", &issued);
    let tls = material(HEKOU, own, vec![trust(LAOCAI, &laocai_ca, Vec::new())]).unwrap();
    let limits = DialLimits::default();
    let outcome = match dial_peer(&tls, &name(LAOCAI), &[laocai.endpoint()], &limits).await {
        Ok(dialled) => ask(&dialled, 32).await,
        Err(error) => Err(tonic::Status::unavailable(error.to_string())),
    };
    assert_refused(outcome);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let mut house = House::new().await;
    let (lost, good) = (house.hekou(), house.hekou());
    let list = house.hekou_ca.revoke(&[&lost], valid()).unwrap();
    std::fs::write(&house.hekou_crl, list).unwrap();
    house.laocai.tls.reload().unwrap();
    assert_refused(house.knock(HEKOU, &lost).await);
    assert_eq!(house.knock(HEKOU, &good).await.unwrap(), 32);
}

#[tokio::test]
async fn a_certificate_of_a_foreign_authority_is_refused() {
    let house = House::new().await;
    let mut foreign = authority("nobody known");
    let issued = foreign.issue(&Leaf::node(&name(HEKOU)), valid()).unwrap();
    assert_refused(house.knock(HEKOU, &issued).await);
}

#[tokio::test]
async fn the_right_authority_with_an_unknown_name_is_refused() {
    let mut house = House::new().await;
    let other = "pingxiang.ni.cn.example";
    let issued = house
        .hekou_ca
        .issue(&Leaf::node(&name(other)), valid())
        .unwrap();
    assert_refused(house.knock(other, &issued).await);
}

#[tokio::test]
async fn the_authority_of_another_link_cannot_speak_for_this_name() {
    let mut house = House::new().await;
    let issued = house
        .mohan_ca
        .issue(&Leaf::node(&name(HEKOU)), valid())
        .unwrap();
    assert_refused(house.knock(HEKOU, &issued).await);
    let own = house
        .mohan_ca
        .issue(&Leaf::node(&name(MOHAN)), valid())
        .unwrap();
    assert_eq!(house.knock(MOHAN, &own).await.unwrap(), 32);
}

#[tokio::test]
async fn a_certificate_with_two_peers_names_is_refused() {
    let mut house = House::new().await;
    let mut leaf = Leaf::node(&name(HEKOU));
    leaf.dns_names.push(MOHAN.to_owned());
    let issued = house.hekou_ca.issue(&leaf, valid()).unwrap();
    assert_refused(house.knock(HEKOU, &issued).await);
    // A further name that is no peer's does no harm.
    leaf.dns_names[1] = "www.ni.cn.example".to_owned();
    let issued = house.hekou_ca.issue(&leaf, valid()).unwrap();
    assert_eq!(house.knock(HEKOU, &issued).await.unwrap(), 32);
}

#[tokio::test]
async fn a_wildcard_is_no_name() {
    let mut house = House::new().await;
    let mut leaf = Leaf::node(&name(HEKOU));
    leaf.dns_names = vec!["*.ni.cn.example".to_owned()];
    let issued = house.hekou_ca.issue(&leaf, valid()).unwrap();
    assert_refused(knock_raw(&house, &issued).await);
}

#[tokio::test]
async fn a_certificate_that_is_not_for_clients_is_refused() {
    let mut house = House::new().await;
    for client_auth in [false, true] {
        let leaf = Leaf {
            client_auth,
            server_auth: !client_auth,
            ..Leaf::node(&name(HEKOU))
        };
        let issued = house.hekou_ca.issue(&leaf, valid()).unwrap();
        let outcome = knock_raw(&house, &issued).await;
        assert_eq!(outcome.is_ok(), client_auth, "{outcome:?}");
    }
    // webpki would take a certificate without the extension for one that may do everything.
    let leaf = Leaf {
        client_auth: false,
        server_auth: false,
        ..Leaf::node(&name(HEKOU))
    };
    let issued = house.hekou_ca.issue(&leaf, valid()).unwrap();
    assert_refused(knock_raw(&house, &issued).await);
}

/// Knocks with material that a node would not even load for itself.
async fn knock_raw(
    house: &House,
    issued: &liaison::link::pki::Issued,
) -> Result<u64, tonic::Status> {
    super::abuse::raw_client(house, Some(issued))
        .await
        .map_err(|error| tonic::Status::unavailable(error.to_string()))
}

#[tokio::test]
async fn no_certificate_is_refused() {
    let house = House::new().await;
    super::abuse::raw_client(&house, None).await.unwrap_err();
}

#[tokio::test]
async fn the_node_that_answers_must_be_the_one_that_was_dialled() {
    let mut house = House::new().await;
    let issued = house.hekou();
    // Lao Cai answers, Mohan is expected: by its own authority, then by Lao Cai's.
    for expected in [&house.mohan_ca, &house.laocai_ca] {
        let own = own_files(house.dir.path(), "caller", &issued);
        let tls = material(HEKOU, own, vec![trust(MOHAN, expected, Vec::new())]).unwrap();
        let endpoints = [house.laocai.endpoint()];
        let error = within(dial_peer(
            &tls,
            &name(MOHAN),
            &endpoints,
            &DialLimits::default(),
        ))
        .await
        .unwrap_err();
        let DialError::Connect { reason, .. } = &error else {
            panic!("{error}")
        };
        let text = reason.to_string();
        assert!(text.contains("does not name mohan.ni.cn.example"), "{text}");
    }
    let tls = house.caller(HEKOU, &issued);
    let error = dial_peer(&tls, &name(HEKOU), &[], &DialLimits::default())
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::NoLink { .. }), "{error}");
}

#[tokio::test]
async fn tls_1_2_is_not_spoken() {
    let mut house = House::new().await;
    let issued = house.hekou();
    let own = own_files(house.dir.path(), "openssl", &issued);
    let connect = |version: &'static str| {
        let (own, address) = (own.clone(), house.laocai.address);
        tokio::task::spawn_blocking(move || {
            Command::new("openssl")
                .args([
                    "s_client",
                    version,
                    "-alpn",
                    "h2",
                    "-connect",
                    &address.to_string(),
                ])
                .arg("-cert")
                .arg(&own.certificate)
                .arg("-key")
                .arg(&own.key)
                .stdin(Stdio::null())
                .output()
                .unwrap()
        })
    };
    let old = within(connect("-tls1_2")).await.unwrap();
    assert!(!old.status.success());
    assert!(
        String::from_utf8_lossy(&old.stderr).contains("protocol version"),
        "{old:?}"
    );
    let new = within(connect("-tls1_3")).await.unwrap();
    assert!(
        String::from_utf8_lossy(&new.stdout).contains("TLSv1.3"),
        "{new:?}"
    );
}

#[tokio::test]
async fn material_that_cannot_work_is_refused_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut ca = authority(LAOCAI);
    let hekou_ca = authority(HEKOU);
    let peers = || vec![trust(HEKOU, &hekou_ca, Vec::new())];
    let mut fault = |leaf: &Leaf| {
        let issued = ca.issue(leaf, valid()).unwrap();
        material(LAOCAI, own_files(dir.path(), "own", &issued), peers())
            .unwrap_err()
            .to_string()
    };
    let node = Leaf::node(&name(LAOCAI));
    let text = fault(&Leaf::node(&name(MOHAN)));
    assert!(
        text.contains("it lacks the dNSName laocai.bg.vn.example"),
        "{text}"
    );
    let text = fault(&Leaf {
        client_auth: false,
        ..node.clone()
    });
    assert!(text.contains("lacks clientAuth"), "{text}");
    let text = fault(&Leaf {
        server_auth: false,
        ..node.clone()
    });
    assert!(text.contains("lacks serverAuth"), "{text}");

    // The key of another certificate.
    let (one, two) = (
        ca.issue(&node, valid()).unwrap(),
        ca.issue(&node, valid()).unwrap(),
    );
    let mut mixed = own_files(dir.path(), "one", &one);
    mixed.key = own_files(dir.path(), "two", &two).key;
    let text = material(LAOCAI, mixed, peers()).unwrap_err().to_string();
    assert!(
        text.contains("do key and certificate belong together?"),
        "{text}"
    );

    // A key that others can read.
    let own = own_files(dir.path(), "own", &one);
    std::fs::set_permissions(&own.key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = material(LAOCAI, own.clone(), peers()).unwrap_err();
    assert!(
        matches!(error, MaterialError::KeyMode { mode: 0o640, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("chmod 600"), "{error}");

    // What an authority issued, in place of the authority.
    let own = own_files(dir.path(), "own", &one);
    let mut wrong = trust(HEKOU, &hekou_ca, Vec::new());
    wrong.authorities =
        liaison::link::files::parse_certificates(one.certificate_pem.as_bytes()).unwrap();
    let text = material(LAOCAI, own, vec![wrong]).unwrap_err().to_string();
    assert!(text.contains("give the CA, not what it issued"), "{text}");
}

#[tokio::test]
async fn connections_stay_open_in_peace() {
    // The opening limit must not cut what has opened.
    let limits = AcceptLimits {
        opening_time_max: Duration::from_millis(200),
        ..AcceptLimits::exchange()
    };
    let mut house = House::with(limits).await;
    let issued = house.hekou();
    let tls = house.caller(HEKOU, &issued);
    let dialled = house.dial(&tls).await;
    ask(&dialled, 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(ask(&dialled, 2).await.unwrap(), 2);
}

#[tokio::test]
async fn the_mode_of_a_key_is_put_right_without_a_restart() {
    let house = House::new().await;
    let key = house.dir.path().join("laocai.key");
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    assert!(house.laocai.tls.files_changed());
    house.laocai.tls.reload().unwrap_err();
    assert!(!house.laocai.tls.files_changed());
    mode(0o600).unwrap();
    assert!(house.laocai.tls.files_changed());
    house.laocai.tls.reload().unwrap();
}
