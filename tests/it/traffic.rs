//! Two-way traffic between two real nodes while something happens to one of them, and the look at
//! everything that was promised afterwards. Shared by what kills processes and what breaks disks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use liaison::audit::reconcile::reconcile;
use liaison::audit::verify::verify_export;
use liaison::proto::v1;
use liaison::proto::v1::desk_service_client::DeskServiceClient;
use liaison::proto::v1::upload_attachment_request::Part;
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::nodes::{LEFT, Node, PATIENCE, RIGHT, letter, succeed};

/// A number from the environment, or what is usual.
pub(crate) fn number_from(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |number| number.parse().unwrap())
}

/// Two nodes that talk, and what their callers were told.
pub(crate) struct Traffic {
    pub(crate) left: Node,
    pub(crate) right: Node,
    dice: Dice,
    told: [BTreeSet<String>; 2],
    pending: [Vec<Letter>; 2],
    files: [Vec<(String, usize)>; 2],
    number: usize,
}

/// What was found in the end.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) notifications: usize,
    pub(crate) files: usize,
}

impl Traffic {
    /// Two nodes that run; `seed` chooses victims and moments.
    pub(crate) fn new(left: Node, right: Node, seed: u64) -> Self {
        Self {
            left,
            right,
            dice: Dice(seed),
            told: Default::default(),
            pending: Default::default(),
            files: Default::default(),
            number: 0,
        }
    }

    /// Letters go both ways; in their midst something happens to one side, of which its process
    /// dies. Says whether it was the left one; it must be started again.
    pub(crate) async fn storm(&mut self, strike: impl FnOnce(&Node)) -> bool {
        for (side, recipient) in [RIGHT, LEFT].into_iter().enumerate() {
            while self.pending[side].len() < 40 {
                self.number += 1;
                let letter = Letter::new(recipient, self.number);
                if letter.file.is_some() {
                    self.files[side].push((letter.draft.id.clone(), self.number));
                }
                self.pending[side].insert(0, letter);
            }
        }
        let mut left_desk = self.left.desk().await;
        let mut right_desk = self.right.desk().await;
        let moment = self.dice.below(30);
        let [pending_left, pending_right] = &mut self.pending;
        let [told_left, told_right] = &mut self.told;
        // The victim falls while both are being spoken to: its last answers race the strike.
        let victim_is_left = self.dice.below(2) == 0;
        let victim = if victim_is_left {
            &self.left
        } else {
            &self.right
        };
        let traffic = async {
            tokio::join!(
                submit_until(&mut left_desk, pending_left, told_left, 40),
                submit_until(&mut right_desk, pending_right, told_right, 40),
            );
        };
        let delay = Duration::from_micros(200 + 700 * moment);
        let striking = async {
            tokio::time::sleep(delay).await;
            strike(victim);
        };
        tokio::join!(traffic, striking);
        victim_is_left
    }

    /// One of the two.
    pub(crate) fn node(&mut self, is_left: bool) -> &mut Node {
        if is_left {
            &mut self.left
        } else {
            &mut self.right
        }
    }

    /// Waits until all of it is delivered, and looks: nothing told is lost, nothing is doubled, the
    /// order is one on both sides, files are whole, and auditors find nothing wrong.
    pub(crate) async fn judge(mut self, dir: &Path) -> Found {
        let Self {
            left,
            right,
            told,
            pending,
            files,
            ..
        } = &mut self;
        // Everything still open is asked again, with the ids it had.
        for (side, node) in [&mut *left, &mut *right].into_iter().enumerate() {
            let mut desk = node.desk().await;
            submit_until(&mut desk, &mut pending[side], &mut told[side], usize::MAX).await;
            assert!(pending[side].is_empty());
        }
        for (node, peer) in [(&mut *left, RIGHT), (&mut *right, LEFT)] {
            node.until(peer, "delivered, with every file", |link| {
                link.delivered_size == link.own_size
                    && link.attachments_incoming == 0
                    && link.attachments_outgoing == 0
            })
            .await;
        }
        for (id, number) in &files[0] {
            assert!(has_file(right, id, *number).await, "file of {id}");
        }
        for (id, number) in &files[1] {
            assert!(has_file(left, id, *number).await, "file of {id}");
        }
        let noted = [&told[0], &told[1]].map(|told| told.last().unwrap().clone());
        acknowledge(right, left, &noted[0]).await;
        acknowledge(left, right, &noted[1]).await;
        for (node, peer) in [(&mut *left, RIGHT), (&mut *right, LEFT)] {
            node.until(peer, "delivered", |link| {
                link.delivered_size == link.own_size
            })
            .await;
        }
        let (left_own, right_own) = (
            ids(left, v1::Side::Own).await,
            ids(right, v1::Side::Own).await,
        );
        assert_eq!(left_own, ids(right, v1::Side::Peer).await);
        assert_eq!(right_own, ids(left, v1::Side::Peer).await);
        for ((own, of_people), told) in [(&left_own, &told[0]), (&right_own, &told[1])] {
            let unique: BTreeSet<_> = own.iter().collect();
            assert_eq!(unique.len(), own.len(), "doubled");
            let lost: Vec<_> = told.difference(of_people).collect();
            assert!(lost.is_empty(), "lost: {lost:?}");
            // The one more is the acknowledgement.
            assert_eq!(
                of_people.len(),
                told.len() + 1,
                "recorded without being told"
            );
        }

        let exports: Vec<_> = [&*left, &*right]
            .into_iter()
            .map(|node| {
                let to = dir.join(format!("export-{}", node.name));
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
        Found {
            notifications: left_own.0.len() + right_own.0.len(),
            files: files[0].len() + files[1].len(),
        }
    }
}

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

/// A letter, with a file every few letters.
struct Letter {
    draft: v1::Draft,
    file: Option<Vec<u8>>,
}

impl Letter {
    fn new(recipient: &str, number: usize) -> Self {
        let mut draft = letter(recipient, number);
        let file = number.is_multiple_of(FILE_EVERY).then(|| content(number));
        if let Some(content) = &file {
            let common = common_of(&mut draft);
            common.attachments = vec![v1::Attachment {
                name: format!("mẫu-{number}.pdf"),
                media_type: "application/pdf".to_owned(),
                size: content.len() as u64,
                sha256: Sha256::digest(content).to_vec().into(),
                description: None,
            }];
        }
        Self { draft, file }
    }
}

/// Letters of which one has a file.
const FILE_EVERY: usize = 8;

fn content(number: usize) -> Vec<u8> {
    let word = u64::try_from(number).unwrap().to_be_bytes();
    word.into_iter().cycle().take(50_000 + number).collect()
}

fn common_of(draft: &mut v1::Draft) -> &mut v1::Common {
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let v1::body::Body::OfficialLetter(letter) = body else {
        panic!("no letter");
    };
    letter.common.as_mut().unwrap()
}

async fn send(desk: &mut DeskServiceClient<Channel>, letter: &Letter) -> Result<String, Status> {
    if let Some(content) = &letter.file {
        let start = Part::Start(v1::UploadStart {
            sha256: Sha256::digest(content).to_vec().into(),
            size: content.len() as u64,
        });
        let chunk = Part::Chunk(content.clone().into());
        let parts = [start, chunk].map(|part| v1::UploadAttachmentRequest { part: Some(part) });
        desk.upload_attachment(tokio_stream::iter(parts)).await?;
    }
    let draft = Some(letter.draft.clone());
    let answer = desk.submit(v1::SubmitRequest { draft }).await?;
    Ok(answer.into_inner().id)
}

/// Submits until the node is gone; whatever was not answered is kept to be asked again.
async fn submit_until(
    desk: &mut DeskServiceClient<Channel>,
    pending: &mut Vec<Letter>,
    told: &mut BTreeSet<String>,
    count: usize,
) {
    for _ in 0..count {
        let Some(letter) = pending.last() else {
            return;
        };
        match send(desk, letter).await {
            Ok(id) => {
                told.insert(id);
                pending.pop();
            }
            Err(status) => {
                assert!(
                    matches!(
                        status.code(),
                        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DataLoss
                    ),
                    "{status:?}"
                );
                return;
            }
        }
    }
}

/// The ids of one log in its order; and those of them that a person said, not the node.
async fn ids(node: &mut Node, side: v1::Side) -> (Vec<String>, BTreeSet<String>) {
    let mut desk = node.desk().await;
    let mut ids = Vec::new();
    let mut request = v1::ListRequest {
        side: side as i32,
        page_size: 500,
        ..v1::ListRequest::default()
    };
    loop {
        let page = desk.list(request.clone()).await.unwrap().into_inner();
        ids.extend(page.messages.into_iter().map(|m| (m.index, m.kind(), m.id)));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    ids.sort_unstable();
    for (place, (index, _, _)) in ids.iter().enumerate() {
        assert_eq!(place as u64, *index, "indices are without gap");
    }
    let of_people = ids
        .iter()
        .filter(|(_, kind, _)| *kind != v1::Kind::AttachmentsReceived)
        .map(|(_, _, id)| id.clone())
        .collect();
    (ids.into_iter().map(|(_, _, id)| id).collect(), of_people)
}

/// A person takes note of a message; it is shown so at its sender.
async fn acknowledge(at: &mut Node, sender: &mut Node, id: &str) {
    let officer = v1::Officer {
        name: "陈示例".to_owned(),
        rank: "二级警督".to_owned(),
        office: "示例办公室".to_owned(),
        phone: String::new(),
    };
    let request = v1::AcknowledgeRequest {
        id: id.to_owned(),
        officer: Some(officer),
        ..v1::AcknowledgeRequest::default()
    };
    at.desk().await.acknowledge(request).await.unwrap();
    let mut desk = sender.desk().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = v1::GetRequest {
            id: id.to_owned(),
            ..v1::GetRequest::default()
        };
        let message = desk.get(request).await.unwrap().into_inner().message;
        if message.unwrap().level() == v1::Level::Acknowledged {
            return;
        }
        assert!(Instant::now() < deadline, "{id} is never acknowledged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a node gives out the file of a message as it was.
async fn has_file(node: &mut Node, id: &str, number: usize) -> bool {
    let content = content(number);
    let request = v1::DownloadAttachmentRequest {
        message_id: id.to_owned(),
        sha256: Sha256::digest(&content).to_vec().into(),
        ..v1::DownloadAttachmentRequest::default()
    };
    let mut desk = node.desk().await;
    let mut parts = desk
        .download_attachment(request)
        .await
        .unwrap()
        .into_inner();
    let mut got = Vec::new();
    while let Some(part) = parts.message().await.unwrap() {
        got.extend_from_slice(&part.chunk);
    }
    got == content
}
