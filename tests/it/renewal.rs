//! Certificates that change while two real nodes speak: renewed ones are used at once, by
//! replacing the files and by SIGHUP; a revoked one ends the session.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use liaison::exchange::clock::{Clock as _, SystemClock};
use liaison::link::pki::{Authority, Issued, Leaf, Validity, write_public, write_secret};
use liaison::model::NodeName;
use liaison::proto::v1;

use crate::nodes::{LEFT, Node, PATIENCE, RIGHT, letter};

/// An authority with the certificates that it issued to one node.
struct Pki {
    authority: Authority,
    node: NodeName,
}

impl Pki {
    /// Makes the authority and gives the node a first certificate of it.
    fn of(node: &Node) -> (Self, Issued) {
        let common_name = format!("authority of {}", node.name);
        let authority = Authority::example(&common_name, valid()).unwrap();
        let file = node.dir.join("tls/node-ca.pem");
        fs::remove_file(&file).unwrap();
        write_public(&file, &authority.certificate_pem()).unwrap();
        let mut pki = Self {
            authority,
            node: NodeName::parse(&node.name).unwrap(),
        };
        let issued = pki.renew(&node.dir);
        (pki, issued)
    }

    /// Puts a new certificate in place as an administrator does: the key, then the certificate.
    fn renew(&mut self, dir: &Path) -> Issued {
        let leaf = Leaf::node(&self.node);
        let issued = self.authority.issue(&leaf, valid()).unwrap();
        let (key, certificate) = (dir.join("tls/node.key"), dir.join("tls/node.pem"));
        fs::remove_file(&key).unwrap();
        write_secret(&key, &issued.key_pem).unwrap();
        fs::remove_file(&certificate).unwrap();
        write_public(&certificate, &issued.certificate_pem).unwrap();
        issued
    }

    /// Gives a peer the authority's revocation list.
    fn publish(&mut self, revoked: &[&Issued], at: &Node) {
        let list = self.authority.revoke(revoked, valid()).unwrap();
        // Renamed into place, so that it is never read half-written.
        let half = at.dir.join("links/half.crl");
        fs::write(&half, list).unwrap();
        fs::rename(half, at.dir.join("links/peer.crl")).unwrap();
    }
}

fn valid() -> Validity {
    Validity::days(SystemClock.unix_seconds(), 30)
}

fn is_up(link: &v1::LinkStatus) -> bool {
    link.state() == v1::LinkState::Up
}

/// How often a line stands in a node's log.
fn said(node: &Node, line: &str) -> usize {
    node.log().matches(line).count()
}

async fn until_said(node: &Node, line: &str, times: usize) {
    let deadline = Instant::now() + PATIENCE;
    while said(node, line) < times {
        assert!(
            Instant::now() < deadline,
            "{}: never {line:?} × {times}\n{}",
            node.name,
            node.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn submit(node: &mut Node, draft: v1::Draft) {
    let draft = Some(draft);
    let mut desk = node.desk().await;
    desk.submit(v1::SubmitRequest { draft }).await.unwrap();
}

const RELOADED: &str = "the TLS material was reloaded";
const UP: &str = "session up";

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_are_used_at_once_and_a_revoked_one_ends_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let mut left = Node::init(dir.path(), LEFT);
    let mut right = Node::init(dir.path(), RIGHT);
    let (mut left_pki, left_first) = Pki::of(&left);
    let (mut right_pki, right_first) = Pki::of(&right);
    left.add_peer(&right.card());
    right.add_peer(&left.card());
    for (node, pki, peer) in [
        (&left, &mut right_pki, RIGHT),
        (&right, &mut left_pki, LEFT),
    ] {
        pki.publish(&[], node);
        node.set_link(peer, "crls = [\"peer.crl\"]");
    }
    left.start();
    right.start();
    left.until(RIGHT, "up", is_up).await;
    right.until(LEFT, "up", is_up).await;

    // The files are replaced: noticed without being asked, and the session comes back.
    let ups = said(&left, UP);
    let left_second = left_pki.renew(&left.dir);
    until_said(&left, RELOADED, 1).await;
    until_said(&left, UP, ups + 1).await;
    left.until(RIGHT, "up again", is_up).await;

    // The other side is told by SIGHUP, which would end a program that does not listen to it.
    let ups = said(&right, UP);
    right_pki.renew(&right.dir);
    let pid = right.pid().to_string();
    let hangup = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(hangup.unwrap().success());
    until_said(&right, RELOADED, 1).await;
    until_said(&right, UP, ups + 1).await;
    right.until(LEFT, "up again", is_up).await;

    // Both first certificates are revoked: the nodes speak with the second ones, and go on.
    for (node, pki, first) in [
        (&left, &mut right_pki, &right_first),
        (&right, &mut left_pki, &left_first),
    ] {
        let reloads = said(node, RELOADED);
        pki.publish(&[first], node);
        until_said(node, RELOADED, reloads + 1).await;
    }
    submit(&mut left, letter(RIGHT, 1)).await;
    submit(&mut right, letter(LEFT, 2)).await;
    left.until(RIGHT, "delivered", |link| link.delivered_size == 1)
        .await;
    right
        .until(LEFT, "delivered", |link| link.delivered_size == 1)
        .await;

    // The certificate in use is revoked: the session is cut, and does not come back.
    left_pki.publish(&[&left_first, &left_second], &right);
    right
        .until(LEFT, "down", |link| link.state() == v1::LinkState::Down)
        .await;
    submit(&mut left, letter(RIGHT, 3)).await;
    until_said(&right, "Revoked", 1).await;
    let link = left
        .until(RIGHT, "down", |link| link.state() == v1::LinkState::Down)
        .await;
    assert_eq!((link.own_size, link.delivered_size), (2, 1), "{link:?}");

    // A third one, and all is well again.
    left_pki.renew(&left.dir);
    left.until(RIGHT, "delivered", |link| link.delivered_size == 2)
        .await;
    left.stop();
    right.stop();
}
