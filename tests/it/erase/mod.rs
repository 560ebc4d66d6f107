//! Bodies destroyed for ever: what is gone, what stays, and what a crash, an old copy or the other side
//! can bring back, which is nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod nodes;
mod steps;
mod tampered;

use std::collections::BTreeSet;
use std::sync::Arc;

use liaison::exchange::erase::{EraseError, Erased, ErasureOrder};
use liaison::exchange::layout::Place;
use liaison::exchange::view::Detail;
use liaison::exchange::{Author, Exchange, LogSide};
use liaison::limits::LINE_BYTES_MAX;
use liaison::model::MessageId;
use liaison::proto::v1;
use sha2::{Digest as _, Sha256};

use crate::recover::{flag_as_lost, heal, lose_disk};
use crate::sides::{
    Side, assert_same_logs, flash, join, letter, link_of, quiet, sides, submit, up,
};

pub(crate) fn order() -> ErasureOrder {
    ErasureOrder {
        by: Author::new("admin/lan"),
        reason: "hết thời hạn lưu giữ".to_owned(),
        authority: "Decree 13/2023, art. 16".to_owned(),
    }
}

async fn erase(exchange: &Exchange, id: MessageId) -> Result<Erased, EraseError> {
    exchange.erase(&link_of(exchange), id, &order()).await
}

/// A message as `show` has it.
pub(crate) fn shown(exchange: &Exchange, side: LogSide, index: u64) -> v1::Message {
    let place = Place::Log(side, index);
    exchange
        .message(&link_of(exchange), place, Detail::Full)
        .unwrap()
}

/// Indices of a log whose bodies can be read.
fn readable(exchange: &Exchange, side: LogSide) -> BTreeSet<u64> {
    let link = link_of(exchange);
    let reader = exchange.reader(&link, side);
    let size = match side {
        LogSide::Own => link.head().own_size,
        LogSide::Mirror => link.head().mirror_size,
    };
    let is_here = |index: &u64| {
        let stored = reader.entry(*index).unwrap();
        reader.body(&stored).unwrap().is_some()
    };
    (0..size).filter(is_here).collect()
}

/// Puts a file where a message may name it, sealed.
fn bring(exchange: &Exchange, content: &[u8]) -> [u8; 32] {
    let digest = Sha256::digest(content).into();
    let blobs = exchange.blobs();
    blobs.write_at(&digest, 0, content).unwrap();
    blobs.finish(&digest, content.len() as u64).unwrap();
    digest
}

fn with_files(to: &Side, number: usize, contents: &[&[u8]]) -> v1::Draft {
    let mut draft = letter(to, number);
    if let Some(v1::body::Body::OfficialLetter(letter)) =
        draft.body.as_mut().and_then(|b| b.body.as_mut())
        && let Some(common) = &mut letter.common
    {
        let files = contents.iter().enumerate();
        common.attachments = files
            .map(|(number, content)| v1::Attachment {
                name: format!("ảnh {number}.jpg"),
                media_type: "image/jpeg".to_owned(),
                size: content.len() as u64,
                sha256: Sha256::digest(content).to_vec().into(),
                description: None,
            })
            .collect();
    }
    draft
}

/// Three letters each way, delivered.
async fn talked() -> (Side, Side, Arc<Exchange>, Arc<Exchange>, [MessageId; 3]) {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(submit(&left, letter(&b, number)).await.unwrap().id);
        submit(&right, letter(&a, number)).await.unwrap();
    }
    quiet(&left, &right).await;
    running.end().await;
    (a, b, left, right, ids.try_into().unwrap())
}

#[tokio::test]
async fn a_body_is_gone_and_all_else_holds() {
    let (a, b, left, right, ids) = talked().await;
    let before = left.reader(&link_of(&left), LogSide::Own).entry(1).unwrap();
    let erased = erase(&left, ids[1]).await.unwrap();
    assert!(erased.was_sealed && !erased.already);
    assert_eq!((erased.files, erased.kept_files), (0, 0));
    // The entry is what was signed, the body is nowhere.
    let after = left.reader(&link_of(&left), LogSide::Own).entry(1).unwrap();
    assert_eq!(after.entry, before.entry);
    assert_eq!(readable(&left, LogSide::Own), [0, 2, 3].into());
    assert_eq!(readable(&left, LogSide::Mirror), [0, 1, 2].into());
    let message = shown(&left, LogSide::Own, 1);
    assert!(message.body.is_none() && message.body_withheld);
    let told = message.erasure.clone().unwrap();
    assert_eq!(
        (told.by.as_str(), told.reason, told.authority),
        ("admin/lan", order().reason, order().authority)
    );
    assert_eq!(message.level(), v1::Level::Delivered);
    // The peer is told, and keeps its own.
    let running = join(&left, &right);
    quiet(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
    let theirs = shown(&right, LogSide::Mirror, 1);
    assert!(theirs.body.is_some() && theirs.erasure.is_none());
    assert_eq!(theirs.peer_erasure.unwrap().authority, order().authority);
    // A peer's message as well; and over there the own one is still read.
    let id = MessageId::parse(&shown(&left, LogSide::Mirror, 2).id).unwrap();
    erase(&left, id).await.unwrap();
    assert_eq!(readable(&left, LogSide::Mirror), [0, 1].into());
    // Once more: it is told who did it first.
    let other = ErasureOrder {
        by: Author::new("admin/khac"),
        ..order()
    };
    let again = left.erase(&link_of(&left), id, &other).await.unwrap();
    assert!(again.already);
    assert_eq!(again.erasure.by, "admin/lan");
    assert_eq!(link_of(&left).head().own_size, 3 + 2, "one notice each");
    // After a restart it is as it was.
    drop((left, right));
    let (left, _right) = (a.open(&b), b.open(&a));
    left.complete_erasures().await.unwrap();
    assert_eq!(readable(&left, LogSide::Own), [0, 2, 3, 4].into());
    assert_eq!(link_of(&left).head().own_size, 5);
    assert_eq!(
        shown(&left, LogSide::Own, 1).erasure.unwrap().by,
        "admin/lan"
    );
}

#[tokio::test]
async fn a_file_goes_with_the_last_message_that_names_it() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    up(&left, &right).await;
    let (one, both) = (&b"only here"[..], &b"in both"[..]);
    for content in [one, both] {
        bring(&left, content);
        bring(&right, content);
    }
    let first = submit(&left, with_files(&b, 1, &[one, both]))
        .await
        .unwrap();
    let second = submit(&left, with_files(&b, 2, &[both])).await.unwrap();
    quiet(&left, &right).await;
    // They are on their way until the peer has said that it has them.
    let error = erase(&left, first.id).await.unwrap_err();
    assert!(matches!(error, EraseError::FilesUnderWay { .. }), "{error}");
    assert_eq!(right.confirm_files(&link_of(&right)).await.unwrap(), 2);
    quiet(&left, &right).await;
    for (exchange, side) in [(&left, LogSide::Own), (&right, LogSide::Mirror)] {
        let digest = |content: &[u8]| Sha256::digest(content).into();
        let has = |content| exchange.blobs().has(&digest(content)).unwrap();
        let would = exchange.would_erase(&link_of(exchange), first.id).unwrap();
        assert_eq!((would.files, would.kept_files), (1, 1), "{side:?}");
        assert!(has(one) && has(both));
        let erased = erase(exchange, first.id).await.unwrap();
        assert_eq!((erased.files, erased.kept_files), (1, 1), "{side:?}");
        assert!(!has(one) && has(both), "{side:?}");
        let erased = erase(exchange, second.id).await.unwrap();
        assert_eq!((erased.files, erased.kept_files), (1, 0), "{side:?}");
        assert!(!has(one) && !has(both), "{side:?}");
        // Nor is it wanted any more, whoever brings it.
        let named = exchange.named_file(&link_of(exchange), side, &digest(one));
        assert_eq!(named.unwrap(), None);
    }
    quiet(&left, &right).await;
    running.end().await;
    assert_same_logs(&left, &right);
}

#[tokio::test]
async fn what_must_not_be_erased_is_left_as_it_is() {
    let (a, b) = sides();
    let left = a.open(&b);
    let recorded = submit(&left, letter(&b, 1)).await.unwrap();
    let error = erase(&left, recorded.id).await.unwrap_err();
    assert!(matches!(error, EraseError::NotDelivered { .. }), "{error}");
    assert!(error.to_string().contains("WITHDRAWAL"), "{error}");
    let nobody = MessageId::from_parts(1, [7; 10]);
    let error = erase(&left, nobody).await.unwrap_err();
    assert!(matches!(error, EraseError::NotFound { .. }), "{error}");
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    for text in ["", "  ", "two\nlines", "\u{202E}turned", &long] {
        for field in ["reason", "authority"] {
            let mut order = order();
            match field {
                "reason" => order.reason = text.to_owned(),
                _ => order.authority = text.to_owned(),
            }
            let error = left.erase(&link_of(&left), recorded.id, &order).await;
            match error.unwrap_err() {
                EraseError::Text { field: found, .. } => assert_eq!(found, field),
                error => panic!("{text:?}: {error}"),
            }
        }
    }
    assert_eq!(readable(&left, LogSide::Own), [0].into());
    // At the limit it is taken.
    let right = b.open(&a);
    let running = join(&left, &right);
    quiet(&left, &right).await;
    let mut full = order();
    full.reason = "x".repeat(LINE_BYTES_MAX);
    full.authority = "ữ".repeat(LINE_BYTES_MAX / 3);
    left.erase(&link_of(&left), recorded.id, &full)
        .await
        .unwrap();
    let told = shown(&left, LogSide::Own, 0).erasure.unwrap();
    assert_eq!((told.reason, told.authority), (full.reason, full.authority));
    // What nodes say themselves stays.
    let notice = MessageId::parse(&shown(&left, LogSide::Own, 1).id).unwrap();
    quiet(&left, &right).await;
    let error = erase(&left, notice).await.unwrap_err();
    assert!(matches!(error, EraseError::System { .. }), "{error}");
    running.end().await;
}

/// Either all of them can be erased, or none is.
#[tokio::test]
async fn several_are_erased_together_or_not_at_all() {
    let (_a, b, left, right, ids) = talked().await;
    let young = submit(&left, flash(&b, 9)).await.unwrap().id;
    let link = link_of(&left);
    let all = [ids[0], young, ids[2]];
    let error = left.erase_all(&link, &all, &order()).await.unwrap_err();
    assert!(matches!(error, EraseError::NotDelivered { id } if id == young));
    assert_eq!(readable(&left, LogSide::Own), [0, 1, 2, 3].into());
    let done = left.erase_all(&link, &[ids[0], ids[2]], &order()).await;
    assert_eq!(done.unwrap().len(), 2);
    assert_eq!(readable(&left, LogSide::Own), [1, 3, 4, 5].into());
    drop(right);
}

/// An old copy of the disk, under today's key files: the erased body does not open, the others do.
#[tokio::test]
async fn an_old_copy_of_the_disk_opens_nothing_that_was_erased() {
    let (mut a, b, left, right, ids) = talked().await;
    let old = a.snapshot();
    erase(&left, ids[1]).await.unwrap();
    let running = join(&left, &right);
    quiet(&left, &right).await;
    running.end().await;
    drop(left);
    a.restore(old);
    let left = a.open(&b);
    assert_eq!(readable(&left, LogSide::Own), [0, 2].into());
    assert!(shown(&left, LogSide::Own, 1).body_withheld);
    // With its records it gets back what it had said of it.
    let (_, running) = heal(&left, &right).await;
    left.note_files_back(&link_of(&left)).await.unwrap();
    running.end().await;
    assert_eq!(readable(&left, LogSide::Own), [0, 2, 3].into());
    let told = shown(&left, LogSide::Own, 1).erasure.unwrap();
    assert_eq!(told.authority, order().authority);
}

/// A store that was lost is fetched back from the peer, who still has the body. It is erased again.
#[tokio::test]
async fn what_the_peer_gives_back_of_an_erased_message_is_erased_again() {
    let (mut a, b, left, right, ids) = talked().await;
    erase(&left, ids[1]).await.unwrap();
    let theirs = MessageId::parse(&shown(&left, LogSide::Mirror, 0).id).unwrap();
    erase(&left, theirs).await.unwrap();
    let running = join(&left, &right);
    quiet(&left, &right).await;
    running.end().await;
    drop(left);
    lose_disk(&mut a);
    let left = a.open(&b);
    flag_as_lost(&left).await;
    let (_, running) = heal(&left, &right).await;
    assert!(left.note_files_back(&link_of(&left)).await.unwrap());
    quiet(&left, &right).await;
    running.end().await;
    assert_eq!(readable(&left, LogSide::Own), [0, 2, 3, 4].into());
    assert_eq!(readable(&left, LogSide::Mirror), [1, 2].into());
    assert_eq!(link_of(&left).head().own_size, 5, "it is not said again");
    let told = shown(&left, LogSide::Own, 1).erasure.unwrap();
    assert_eq!(told.authority, order().authority);
    assert_same_logs(&left, &right);
}

/// A hold that was put on between the question and the deed: it is asked again where nobody can come
/// between.
#[tokio::test]
async fn nothing_of_a_case_on_hold_is_erased() {
    let (_a, _b, left, _right, ids) = talked().await;
    let link = link_of(&left);
    let hold = liaison::exchange::retention::LegalHold {
        at_ms: 1,
        by: "admin/lan".to_owned(),
        reason: "court order 17/2027".to_owned(),
    };
    assert!(left.hold_case(&link, ids[1], &hold).await.unwrap());
    let error = left.erase_all(&link, &ids, &order()).await.unwrap_err();
    assert!(
        matches!(error, EraseError::Held { id } if id == ids[1]),
        "{error}"
    );
    assert_eq!(readable(&left, LogSide::Own), [0, 1, 2].into());
    left.lift_hold(&link, ids[1]).await.unwrap();
    erase(&left, ids[1]).await.unwrap();
    assert_eq!(readable(&left, LogSide::Own), [0, 2, 3].into());
}

/// `liaison recover`: holds and erasures of the lost store hold on, and what the peer gives back of an
/// erased message is erased again.
#[tokio::test]
async fn holds_and_erasures_outlive_the_store() {
    let (mut a, b, left, right, ids) = talked().await;
    let link = link_of(&left);
    let hold = liaison::exchange::retention::LegalHold {
        at_ms: 1,
        by: "admin/lan".to_owned(),
        reason: "court order 17/2027".to_owned(),
    };
    left.hold_case(&link, ids[0], &hold).await.unwrap();
    // The notice is not delivered: the old store alone knows of it.
    erase(&left, ids[1]).await.unwrap();
    drop((left, link));
    crate::keys_restored::salvage(&mut a, &b, &[], true);
    let left = a.open(&b);
    let (_, running) = heal(&left, &right).await;
    left.note_files_back(&link_of(&left)).await.unwrap();
    quiet(&left, &right).await;
    running.end().await;
    let link = link_of(&left);
    assert_eq!(left.hold_of(&link, ids[0]).unwrap(), Some(hold));
    assert_eq!(readable(&left, LogSide::Own), [0, 2, 3].into());
    let told = shown(&left, LogSide::Own, 1).erasure.unwrap();
    assert_eq!(told.by, "admin/lan");
    assert_eq!(link.head().own_size, 4, "said once");
    assert_same_logs(&left, &right);
}

/// The key files cannot be written: it is not told as done, and asked again it is done.
#[tokio::test]
async fn what_the_disk_refused_is_not_told_as_done() {
    let (a, b, left, _right, ids) = talked().await;
    let dir = a.body_keys_dir();
    let month = std::fs::read_dir(&dir).unwrap().find_map(|file| {
        let path = file.unwrap().path();
        path.extension().is_none().then_some(path).filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_str().unwrap().starts_with("20"))
        })
    });
    // A directory where the new file is to be.
    let in_the_way = month.unwrap().with_extension("new");
    std::fs::create_dir(&in_the_way).unwrap();
    let error = erase(&left, ids[1]).await.unwrap_err();
    assert!(matches!(error, EraseError::Keys(_)), "{error}");
    assert!(error.to_string().contains("tries again"), "{error}");
    std::fs::remove_dir(&in_the_way).unwrap();
    let erased = erase(&left, ids[1]).await.unwrap();
    assert!(!erased.already);
    // It is gone from the disk, and not from memory only.
    drop(left);
    let again = a.vault_on_disk();
    let key = |index: usize| {
        again.key(liaison::store::KeyAddress::decode([
            0x5f,
            2,
            0,
            0,
            0,
            u8::try_from(index).unwrap(),
        ]))
    };
    assert!((0..3).filter(|index| key(*index).is_err()).count() == 1);
    let left = a.open(&b);
    assert_eq!(readable(&left, LogSide::Own), [0, 2, 3].into());
}
