//! New certificates and revocation lists while connections are open.

use std::time::Duration;

use liaison::link::accept::AcceptLimits;
use liaison::link::pki::Leaf;
use liaison::link::reload::Reloaded;

use super::house::*;

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_old_connections_are_told_to_end() {
    let limits = AcceptLimits {
        retire_grace: Duration::from_millis(300),
        ..AcceptLimits::exchange()
    };
    let mut house = House::with(limits).await;
    let issued = house.hekou();
    let tls = house.caller(HEKOU, &issued);
    let old = house.dial(&tls).await;
    ask(&old, 1).await.unwrap();
    let served = house.laocai.next_seen().await;
    assert!(!served.ending.is_retiring());

    let renewed = house
        .laocai_ca
        .issue(&Leaf::node(&name(LAOCAI)), valid())
        .unwrap();
    own_files(house.dir.path(), "laocai", &renewed);
    let watching = tokio::spawn(
        house
            .laocai
            .tls
            .clone()
            .watch_files(Duration::from_millis(20)),
    );
    within(served.ending.retiring()).await;
    assert_eq!(house.laocai.tls.current().number, 2);
    within(served.ending.closed()).await; // after the grace
    assert!(ask(&old, 1).await.is_err());

    let new = house.dial(&tls).await;
    ask(&new, 1).await.unwrap();
    assert_eq!(house.laocai.next_seen().await.generation, 2);
    watching.abort();
}

#[tokio::test]
async fn a_revocation_cuts_the_connection_at_once() {
    let mut house = House::new().await; // its grace is ten seconds
    let (lost, good) = (
        house.hekou(),
        house
            .mohan_ca
            .issue(&Leaf::node(&name(MOHAN)), valid())
            .unwrap(),
    );
    let lost_tls = house.caller(HEKOU, &lost);
    let good_tls = house.caller(MOHAN, &good);
    let (lost_one, good_one) = (house.dial(&lost_tls).await, house.dial(&good_tls).await);
    ask(&lost_one, 1).await.unwrap();
    let lost_info = house.laocai.next_seen().await;
    ask(&good_one, 1).await.unwrap();
    let good_info = house.laocai.next_seen().await;

    let list = house.hekou_ca.revoke(&[&lost], valid()).unwrap();
    std::fs::write(&house.hekou_crl, list).unwrap();
    assert_eq!(
        house.laocai.tls.reload().unwrap(),
        Reloaded::Swapped { generation: 2 }
    );
    tokio::time::timeout(Duration::from_secs(5), lost_info.ending.closed())
        .await
        .unwrap();
    assert!(ask(&lost_one, 1).await.is_err());

    // The other one is asked to end, and still works.
    within(good_info.ending.retiring()).await;
    ask(&good_one, 1).await.unwrap();
}

#[tokio::test]
async fn the_dialling_side_is_told_too() {
    let mut house = House::new().await;
    let issued = house.hekou();
    let tls = house.caller(HEKOU, &issued);
    let dialled = house.dial(&tls).await;
    ask(&dialled, 1).await.unwrap();
    let renewed = house.hekou();
    own_files(house.dir.path(), "caller", &renewed);
    assert!(!dialled.info.ending.is_retiring());
    tls.reload().unwrap();
    within(dialled.info.ending.retiring()).await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing() {
    let mut house = House::new().await;
    let issued = house.hekou();
    std::fs::write(&house.hekou_crl, "-----BEGIN X509 CRL-----\nbroken").unwrap();
    let error = house.laocai.tls.reload().unwrap_err();
    assert!(error.to_string().contains("hekou.crl"), "{error}");
    assert_eq!(house.laocai.tls.current().number, 1);
    assert_eq!(house.knock(HEKOU, &issued).await.unwrap(), 32);
}
