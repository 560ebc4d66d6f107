//! Every refusal, for the right reason.

use std::time::Duration;

use super::*;
use crate::link::files::parse_certificates;
use crate::link::identity::Role;
use crate::link::pki::{Authority, Leaf, Validity};
use crate::link::tls::{provider, reason};

const NOW: u64 = 1_790_000_000;

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn authority(common_name: &str) -> Authority {
    Authority::new("Border Office", common_name, Validity::days(NOW, 30)).unwrap()
}

fn trust(authority: &Authority, crl: Option<&str>) -> Arc<Trust> {
    use rustls::pki_types::pem::PemObject as _;
    let roots = parse_certificates(authority.certificate_pem().as_bytes()).unwrap();
    let crls: Vec<_> = crl
        .map(|pem| CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap())
        .into_iter()
        .collect();
    Arc::new(Trust::new(&roots, &crls, &provider()).unwrap())
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// What a judge says to a certificate, in the words of the log.
fn verdict(judge: &dyn Judge, pem: &str, seconds: u64) -> Result<Identity, String> {
    let chain = parse_certificates(pem.as_bytes()).unwrap();
    judge
        .judge(&chain[0], &chain[1..], at(seconds))
        .map_err(|error| reason(&error))
}

#[test]
fn a_peers_certificate_is_refused_for_the_right_reason() {
    let (hekou, mohan) = (name("hekou.ni.cn.example"), name("mohan.ni.cn.example"));
    let (mut of_hekou, mut of_mohan) = (authority("one"), authority("two"));
    let validity = Validity::days(NOW, 10);
    let node = Leaf::node(&hekou);
    let good = of_hekou.issue(&node, validity).unwrap();
    let lost = of_hekou.issue(&node, validity).unwrap();
    let crl = of_hekou.revoke(&[&lost], validity).unwrap();
    let judge = PeerJudge::new(BTreeMap::from([
        (hekou.clone(), trust(&of_hekou, Some(&crl))),
        (mohan.clone(), trust(&of_mohan, None)),
    ]));

    let known = Identity::Peer(PeerIdentity {
        node: hekou.clone(),
    });
    assert_eq!(verdict(&judge, &good.certificate_pem, NOW), Ok(known));
    let refused = |leaf: &Leaf, by: &mut Authority, seconds| {
        let issued = by.issue(leaf, validity).unwrap();
        verdict(&judge, &issued.certificate_pem, seconds).unwrap_err()
    };

    let text = verdict(&judge, &lost.certificate_pem, NOW).unwrap_err();
    assert!(text.contains("Revoked"), "{text}");
    let text = refused(&node, &mut of_mohan, NOW);
    assert!(text.contains("UnknownIssuer"), "{text}");
    let text = refused(&node, &mut of_hekou, NOW + 11 * 86_400);
    assert!(text.contains("expired"), "{text}");
    let text = refused(&node, &mut of_hekou, NOW - 86_400);
    assert!(
        text.contains("no authority pinned for it is valid now"),
        "{text}"
    );
    let text = refused(
        &Leaf {
            client_auth: false,
            ..node.clone()
        },
        &mut of_hekou,
        NOW,
    );
    assert!(
        text.contains("extended key usage lacks clientAuth"),
        "{text}"
    );
    let both = vec![hekou.to_string(), mohan.to_string()];
    let text = refused(
        &Leaf {
            dns_names: both,
            ..node.clone()
        },
        &mut of_hekou,
        NOW,
    );
    assert!(text.contains("names 2 known peers"), "{text}");
    let text = refused(
        &Leaf::node(&name("other.ni.cn.example")),
        &mut of_hekou,
        NOW,
    );
    assert!(
        text.contains("no known peer (dNSName other.ni.cn.example)"),
        "{text}"
    );
    let hostile = vec!["hekou.ni.cn.example\u{a}FAKE LOG LINE".to_owned()];
    let text = refused(
        &Leaf {
            dns_names: hostile,
            ..node.clone()
        },
        &mut of_hekou,
        NOW,
    );
    assert!(text.contains("(dNSName none)"), "{text}");
    // The same name twice is one name.
    let twice = vec![hekou.to_string(), hekou.to_string()];
    let issued = of_hekou
        .issue(
            &Leaf {
                dns_names: twice,
                ..node
            },
            validity,
        )
        .unwrap();
    verdict(&judge, &issued.certificate_pem, NOW).unwrap();
}

#[test]
fn two_authorities_overlap_while_one_succeeds_the_other() {
    let hekou = name("hekou.ni.cn.example");
    let (mut old, mut new) = (authority("one"), authority("two"));
    let both = format!("{}{}", old.certificate_pem(), new.certificate_pem());
    let roots = parse_certificates(both.as_bytes()).unwrap();
    let trust = Arc::new(Trust::new(&roots, &[], &provider()).unwrap());
    let judge = PinnedJudge::new(hekou.clone(), trust).unwrap();
    for issuer in [&mut old, &mut new] {
        let issued = issuer
            .issue(&Leaf::node(&hekou), Validity::days(NOW, 1))
            .unwrap();
        verdict(&judge, &issued.certificate_pem, NOW).unwrap();
        // Neither hides what the other has to say.
        let text = verdict(&judge, &issued.certificate_pem, NOW + 2 * 86_400).unwrap_err();
        assert!(text.contains("expired"), "{text}");
    }
    let text = verdict(&judge, &old.certificate_pem(), NOW).unwrap_err();
    assert!(text.contains("does not name hekou.ni.cn.example"), "{text}");
}

#[test]
fn the_desk_wants_one_uri() {
    let node = name("laocai.bg.vn.example");
    let mut own = authority("own");
    let judge = DeskJudge::new(node.clone(), trust(&own, None));
    let duty = DeskIdentity::new(Role::Operator, "duty-1").unwrap();
    let good = Leaf::desk_client(&node, &duty);
    let mut says = |leaf: &Leaf| {
        let issued = own.issue(leaf, Validity::days(NOW, 1)).unwrap();
        verdict(&judge, &issued.certificate_pem, NOW)
    };
    assert_eq!(says(&good), Ok(Identity::Desk(duty)));
    let text = says(&Leaf::node(&node)).unwrap_err();
    assert!(text.contains("has 0 URI alternative names"), "{text}");
    let text = says(&Leaf {
        client_auth: false,
        ..good.clone()
    })
    .unwrap_err();
    assert!(text.contains("lacks clientAuth"), "{text}");
    let other = DeskIdentity::new(Role::Admin, "someone").unwrap();
    let text = says(&Leaf::desk_client(&name("hekou.ni.cn.example"), &other)).unwrap_err();
    assert!(
        text.contains("trust domain") && !text.contains("someone"),
        "{text}"
    );
}
