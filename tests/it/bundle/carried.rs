//! What two sides come to when only files go between them: late, twice, out of order, or never.

use liaison::exchange::{Author, LogSide, RecorderMode};
use liaison::proto::v1::{self, FaultCode};

use super::*;
use crate::keys::{next_log, next_message, rotate};
use crate::sides::{assert_same_logs, flash, quiet};

#[tokio::test(start_paused = true)]
async fn letters_and_receipts_go_both_ways_by_bundles_alone() {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    for number in 0..3 {
        submit(&a, letter(&right, number)).await.unwrap();
    }
    submit(&a, flash(&right, 3)).await.unwrap();
    submit(&b, letter(&left, 4)).await.unwrap();

    // Neither has heard the other since it was started: nothing is signed, everything is shown.
    let first = export(&a).await;
    let taken = import(&b, &first).await;
    assert_eq!((taken.ahead, taken.recorded, taken.may_sign), (4, 0, false));
    assert_eq!(link_of(&b).head().express_waiting.entries, 4);

    // The answer shows what b holds of a's log, and that it is no old one: a may sign now.
    let second = export(&b).await;
    let taken = import(&a, &second).await;
    assert_eq!((taken.ahead, taken.recorded, taken.may_sign), (1, 0, true));

    let third = export(&a).await;
    let taken = import(&b, &third).await;
    assert_eq!((taken.ahead, taken.recorded, taken.may_sign), (0, 4, true));
    assert_eq!(link_of(&b).head().express_waiting.entries, 0);

    let fourth = export(&b).await;
    let taken = import(&a, &fourth).await;
    assert_eq!((taken.delivered, taken.recorded, taken.waiting), (4, 1, 0));

    let fifth = export(&a).await;
    let taken = import(&b, &fifth).await;
    assert_eq!((taken.delivered, taken.recorded, taken.waiting), (1, 0, 0));
    assert_same_logs(&a, &b);

    // Every one of them again, in any order: nothing changes.
    let before = (link_of(&a).head(), link_of(&b).head());
    for file in [&third, &first, &fifth] {
        let taken = import(&b, file).await;
        assert_eq!((taken.recorded, taken.ahead, taken.delivered), (0, 0, 0));
    }
    for file in [&fourth, &second] {
        let taken = import(&a, file).await;
        assert_eq!((taken.recorded, taken.ahead, taken.delivered), (0, 0, 0));
    }
    assert_eq!(before, (link_of(&a).head(), link_of(&b).head()));
    assert!(
        a.incidents(100).unwrap().is_empty(),
        "an old bundle is only old"
    );
    assert!(b.incidents(100).unwrap().is_empty());

    // Then the network comes back.
    submit(&a, letter(&right, 5)).await.unwrap();
    let running = join(&a, &b);
    up(&a, &b).await;
    quiet(&a, &b).await;
    assert_same_logs(&a, &b);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_session_one_bundle_each_way_is_enough() {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    let running = join(&a, &b);
    up(&a, &b).await;
    running.end().await;
    for number in 0..600 {
        submit(&a, letter(&right, number)).await.unwrap();
    }
    let there = import(&b, &export(&a).await).await;
    assert_eq!((there.recorded, there.ahead), (600, 0));
    let back = import(&a, &export(&b).await).await;
    assert_eq!((back.delivered, back.waiting), (600, 0));
    assert_same_logs(&a, &b);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_taken_while_a_session_is_up_is_safe() {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    submit(&a, letter(&right, 0)).await.unwrap();
    let file = export(&a).await;
    let running = join(&a, &b);
    up(&a, &b).await;
    submit(&a, letter(&right, 1)).await.unwrap();
    quiet(&a, &b).await;
    let overlapping = try_export(&a, Since::Index(0)).await.unwrap();
    submit(&a, letter(&right, 2)).await.unwrap();
    for bytes in [&file, &overlapping] {
        let taken = import(&b, bytes).await;
        assert_eq!((taken.recorded, taken.ahead), (0, 0));
    }
    // It stopped the session for it; another one goes on.
    running.ended().await;
    let running = join(&a, &b);
    up(&a, &b).await;
    quiet(&a, &b).await;
    running.end().await;
    assert_same_logs(&a, &b);
    assert_eq!(link_of(&a).head().own_size, 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_bundle_leaves_a_gap_that_is_told_and_nothing_else() {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    let running = join(&a, &b);
    up(&a, &b).await;
    running.end().await;
    for number in 0..5 {
        submit(&a, letter(&right, number)).await.unwrap();
    }
    let later = try_export(&a, Since::Index(2)).await.unwrap();
    let head = link_of(&b).head();
    let refused = try_import(&b, &later).await.unwrap_err();
    let told = refused.to_string();
    assert!(
        matches!(
            refused,
            BundleError::Gap {
                start_index: 2,
                mirror_size: 0,
                ..
            }
        ),
        "{told}"
    );
    assert!(told.contains("--from 0 -o FILE"), "{told}");
    assert_eq!(link_of(&b).head(), head);
    assert_eq!(import(&b, &export(&a).await).await.recorded, 5);
    let beyond = try_export(&a, Since::Index(6)).await.unwrap_err();
    assert!(
        matches!(beyond, BundleError::Beyond { own_size: 5, .. }),
        "{beyond}"
    );
}

/// An old copy of the store was put back; what it lacks was signed. An old bundle does not show that,
/// and so must not lead to a second tree of one size.
#[tokio::test(start_paused = true)]
async fn an_old_bundle_does_not_let_a_store_that_was_put_back_sign() {
    let (mut left, right) = sides();
    let b = right.open(&left);
    let a = left.open(&right);
    submit(&a, letter(&right, 0)).await.unwrap();
    import(&b, &export(&a).await).await;
    let old_answer = export(&b).await;
    assert!(import(&a, &old_answer).await.may_sign);
    let snapshot = left.snapshot();
    submit(&a, letter(&right, 1)).await.unwrap();
    import(&b, &export(&a).await).await;
    assert_eq!(link_of(&b).head().mirror_size, 2);
    drop(a);

    left.restore(snapshot);
    let a = left.open(&right);
    assert!(
        !import(&a, &old_answer).await.may_sign,
        "it may be of before"
    );
    submit(&a, letter(&right, 9)).await.unwrap();
    let unsigned = export(&a).await;
    // Ahead of its turn, and its turn has come with another entry: told apart, evidence kept.
    let refused = try_import(&b, &unsigned).await.unwrap_err();
    assert!(matches!(refused, BundleError::NowHeld { .. }), "{refused}");
    let b_link = link_of(&b);
    assert_eq!(
        b.held(&b_link).unwrap().code,
        FaultCode::ExpressMismatch as i32
    );
    // A held link neither makes nor takes bundles.
    let making = try_export(&b, Since::Receipt).await.unwrap_err();
    assert!(matches!(making, BundleError::Held { .. }), "{making}");
    let taking = try_import(&b, &unsigned).await.unwrap_err();
    assert!(matches!(taking, BundleError::Held { .. }), "{taking}");
    b.release(&b_link, "Mẫu", &Author::new("operator/mẫu"))
        .await
        .unwrap();
    // What b holds shows a that it was put back: nothing is signed, and it must fetch that back.
    let told = export(&b).await;
    for _ in 0..2 {
        let refused = try_import(&a, &told).await.unwrap_err();
        assert!(
            matches!(refused, BundleError::Restoring { .. }),
            "{refused}"
        );
    }
    let making = try_export(&a, Since::Receipt).await.unwrap_err();
    assert!(matches!(making, BundleError::Restoring { .. }), "{making}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_this_node_or_of_no_peer_is_refused() {
    let (left, right) = sides();
    let other = Side::new("mohan.ni.cn.example", 7);
    let (a, b) = (left.open(&right), right.open(&left));
    let stranger = other.open(&right);
    submit(&a, letter(&right, 0)).await.unwrap();
    let file = export(&a).await;
    let refused = try_import(&a, &file).await.unwrap_err();
    assert!(
        matches!(refused, BundleError::OtherRecipient { .. }),
        "{refused}"
    );
    let unknown = export(&stranger).await;
    let refused = try_import(&b, &unknown).await.unwrap_err();
    assert!(
        matches!(refused, BundleError::UnknownSender { .. }),
        "{refused}"
    );
    // Of the right name with another's keys.
    let impostor = Side::new(left.name.as_str(), 9);
    let forged = export(&impostor.open(&right)).await;
    let refused = try_import(&b, &forged).await.unwrap_err();
    assert!(refused.to_string().contains("signature"), "{refused}");
    // Sealed to another key of the right name.
    let twin = Side::new(right.name.as_str(), 11);
    let (card, mode) = (twin.card_for(&left), RecorderMode::Inline);
    let misled = left.try_open(&twin, card, mode);
    drop(misled);
    assert_eq!(link_of(&b).head().mirror_size, 0);
    assert!(
        b.reader(&link_of(&b), LogSide::Mirror)
            .all_expressed()
            .unwrap()
            .is_empty()
    );
}

/// A letter with a file, which lies at its sender.
async fn letter_with(exchange: &Exchange, to: &Side, content: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    let digest: [u8; 32] = sha2::Sha256::digest(content).into();
    exchange.blobs().put(&digest, content).unwrap();
    let mut draft = letter(to, 1);
    if let Some(v1::body::Body::OfficialLetter(letter)) =
        draft.body.as_mut().and_then(|b| b.body.as_mut())
        && let Some(common) = &mut letter.common
    {
        common.attachments = vec![v1::Attachment {
            name: "mẫu.bin".to_owned(),
            media_type: "application/octet-stream".to_owned(),
            size: content.len() as u64,
            sha256: digest.to_vec().into(),
            description: None,
        }];
    }
    submit(exchange, draft).await.unwrap();
    digest
}

/// What an attachment holds.
fn read(at: &Exchange, digest: &[u8; 32]) -> Vec<u8> {
    let held = at.blobs().read_at(digest, 0, usize::MAX);
    held.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn files_go_on_where_a_transfer_was_cut_and_are_checked() {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    let running = join(&a, &b);
    up(&a, &b).await;
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let cut = letter_with(&a, &right, &content).await;
    let spoilt = letter_with(&a, &right, &content[4..]).await;
    let whole = letter_with(&a, &right, &[7]).await;
    quiet(&a, &b).await;
    running.end().await;
    // A transfer over the network has brought a part of one, and of another something else.
    b.blobs().write_at(&cut, 0, &content[..300_001]).unwrap();
    b.blobs().write_at(&spoilt, 0, &[9; 1_000]).unwrap();

    let file = export(&a).await;
    let taken = import(&b, &file).await;
    assert_eq!(
        (taken.files_taken, taken.files_failed, taken.files_unwanted),
        (2, 1, 0)
    );
    assert_eq!(read(&b, &cut), content);
    assert!(b.blobs().has(&whole).unwrap());
    assert!(!b.blobs().has(&spoilt).unwrap(), "what is wrong is dropped");
    // The same bundle brings it.
    let taken = import(&b, &file).await;
    assert_eq!((taken.files_taken, taken.files_failed), (1, 0));
    assert_eq!(read(&b, &spoilt), content[4..]);
    assert_eq!(b.blobs().partials().unwrap(), []);
    // The node said so for each message, once; its word goes back by hand, and nothing is owed.
    assert_eq!(link_of(&b).head().own_size, 3);
    import(&a, &export(&b).await).await;
    let owed = (
        a.files_under_way(&link_of(&a)).unwrap(),
        b.files_under_way(&link_of(&b)).unwrap(),
    );
    assert_eq!(owed, ((0, 0), (0, 0)));
    let next = export(&a).await;
    assert!(next.len() < 100_000, "what was confirmed goes no more");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_full_takes_nothing_and_goes_on_afterwards() {
    let (_left, right, a, b, file) = three_letters().await;
    right.store.set_full(true);
    let refused = try_import(&b, &file).await.unwrap_err();
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    right.store.set_full(false);
    assert_eq!(import(&b, &file).await.recorded, 3);
    import(&a, &export(&b).await).await;
    assert_same_logs(&a, &b);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_from_before_changes_of_keys_is_taken_after_them_and_again() {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    let running = join(&a, &b);
    up(&a, &b).await;
    submit(&a, letter(&right, 0)).await.unwrap();
    quiet(&a, &b).await;
    running.end().await;
    submit(&a, letter(&right, 1)).await.unwrap();
    // Signed by a's first message key, sealed to b's first log key.
    let early = export(&a).await;
    // Of this one the signer ends in its own entries.
    let next = next_message(201);
    a.announce_key(&link_of(&a), &next, "").await.unwrap();
    a.retire_keys(&link_of(&a)).await.unwrap();
    submit(&a, letter(&right, 2)).await.unwrap();
    let with_change = export(&a).await;
    for recorded in [4, 0] {
        let taken = import(&b, &with_change).await;
        assert_eq!(taken.recorded, recorded);
    }
    let running = join(&a, &b);
    up(&a, &b).await;
    rotate(&a, &next).await;
    rotate(&b, &next_log(202)).await;
    quiet(&a, &b).await;
    running.end().await;
    let only = b.ring().log().last().unwrap().public();
    b.ring().keep_only(v1::KeyRole::Log, only.as_bytes());
    let before = link_of(&b).head();
    for file in [&early, &with_change] {
        let taken = import(&b, file).await;
        assert_eq!((taken.recorded, taken.ahead), (0, 0));
    }
    assert_eq!(link_of(&b).head().mirror_size, before.mirror_size);
    assert!(b.incidents(10).unwrap().is_empty());
}
