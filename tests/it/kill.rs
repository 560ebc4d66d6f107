//! SIGKILL at random moments of traffic: what a caller was told stays, once, in order, on both
//! sides.
//!
//! The moment of each kill is a number of answers drawn from a printed seed, so that a run can be
//! repeated as far as two racing processes can be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use liaison::audit::reconcile::reconcile;
use liaison::audit::verify::verify_export;
use liaison::proto::v1;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::nodes::{LEFT, Node, RIGHT, letter, pair, succeed};

/// xorshift64*, for choosing sides and moments.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

/// Submits until the node is gone; whatever was not answered is kept to be asked again.
async fn submit_until(
    desk: &mut DeskServiceClient<Channel>,
    pending: &mut Vec<v1::Draft>,
    told: &mut BTreeSet<String>,
    count: usize,
) {
    for _ in 0..count {
        let Some(draft) = pending.last().cloned() else {
            return;
        };
        let request = v1::SubmitRequest { draft: Some(draft) };
        match desk.submit(request).await {
            Ok(answer) => {
                told.insert(answer.into_inner().id);
                pending.pop();
            }
            Err(status) => {
                assert!(
                    matches!(
                        status.code(),
                        Code::Unavailable | Code::Unknown | Code::Cancelled
                    ),
                    "{status:?}"
                );
                return;
            }
        }
    }
}

async fn ids(node: &mut Node, side: v1::Side) -> Vec<String> {
    let mut desk = node.desk().await;
    let mut ids = Vec::new();
    let mut request = v1::ListRequest {
        side: side as i32,
        page_size: 500,
        ..v1::ListRequest::default()
    };
    loop {
        let page = desk.list(request.clone()).await.unwrap().into_inner();
        ids.extend(page.messages.into_iter().map(|m| (m.index, m.id)));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    ids.sort_unstable();
    for (place, (index, _)) in ids.iter().enumerate() {
        assert_eq!(place as u64, *index, "indices are without gap");
    }
    ids.into_iter().map(|(_, id)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_told_is_lost_or_doubled_when_either_side_is_killed() {
    let kills: u64 = std::env::var("LIAISON_KILLS").map_or(100, |n| n.parse().unwrap());
    let seed: u64 = std::env::var("LIAISON_SEED").map_or(20_260_101, |n| n.parse().unwrap());
    println!("kills {kills}, seed {seed}");
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let mut told = [BTreeSet::new(), BTreeSet::new()];
    let mut pending = [Vec::new(), Vec::new()];
    let mut number = 0;
    for _ in 0..kills {
        for (side, recipient) in [RIGHT, LEFT].into_iter().enumerate() {
            while pending[side].len() < 40 {
                number += 1;
                pending[side].insert(0, letter(recipient, number));
            }
        }
        let mut left_desk = left.desk().await;
        let mut right_desk = right.desk().await;
        let moment = dice.below(30);
        let [pending_left, pending_right] = &mut pending;
        let [told_left, told_right] = &mut told;
        // The victim falls while both are being spoken to: its last answers race the kill.
        let victim_is_left = dice.below(2) == 0;
        let victim = if victim_is_left {
            left.pid()
        } else {
            right.pid()
        };
        let traffic = async {
            tokio::join!(
                submit_until(&mut left_desk, pending_left, told_left, 40),
                submit_until(&mut right_desk, pending_right, told_right, 40),
            );
        };
        let delay = std::time::Duration::from_micros(200 + 700 * moment);
        let killing = async {
            tokio::time::sleep(delay).await;
            let pid = victim.to_string();
            std::process::Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap();
        };
        tokio::join!(traffic, killing);
        let fallen = if victim_is_left {
            &mut left
        } else {
            &mut right
        };
        fallen.kill();
        fallen.start();
    }
    // Everything still open is asked again, with the ids it had.
    for (side, node) in [&mut left, &mut right].into_iter().enumerate() {
        let mut desk = node.desk().await;
        submit_until(&mut desk, &mut pending[side], &mut told[side], usize::MAX).await;
        assert!(pending[side].is_empty());
    }
    for (node, peer) in [(&mut left, RIGHT), (&mut right, LEFT)] {
        node.until(peer, "delivered", |link| {
            link.delivered_size == link.own_size
        })
        .await;
    }
    let (left_own, right_own) = (
        ids(&mut left, v1::Side::Own).await,
        ids(&mut right, v1::Side::Own).await,
    );
    assert_eq!(left_own, ids(&mut right, v1::Side::Peer).await);
    assert_eq!(right_own, ids(&mut left, v1::Side::Peer).await);
    for (own, told) in [(&left_own, &told[0]), (&right_own, &told[1])] {
        let unique: BTreeSet<_> = own.iter().cloned().collect();
        assert_eq!(unique.len(), own.len(), "doubled");
        assert_eq!(unique, *told, "lost, or recorded without being told");
    }

    let exports: Vec<_> = [&left, &right]
        .into_iter()
        .map(|node| {
            let to = dir.path().join(format!("export-{}", node.name));
            let to_text = to.to_str().unwrap();
            succeed(&["--config", &node.config(), "audit", "export", to_text]);
            to
        })
        .collect();
    for export in &exports {
        let verdict = verify_export(export, None, &mut |_| ());
        assert!(verdict.clean, "{verdict:?}");
    }
    let verdict = reconcile(&exports[0], &exports[1], &mut |_| ());
    assert!(verdict.clean, "{verdict:?}");
    left.stop();
    right.stop();
    println!(
        "{kills} kills, {} notifications: 0 lost, 0 doubled",
        left_own.len() + right_own.len()
    );
}
