//! Witnessing: only what extends what was cosigned is cosigned, and that is durable before it is.

use liaison::crypto::checkpoint::CheckpointError;
use liaison::crypto::journal::verify;
use liaison::crypto::keys::LogKey;
use liaison::crypto::vkey::VerifierKey;
use liaison::journal::{Journal, JournalError, Mode, Offer, Unwitnessed};
use liaison::limits::{JOURNAL_NOTE_BYTES_MAX, JOURNAL_PROOF_HASHES_MAX};
use liaison::tlog::Hash;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disk, read};

pub(super) fn key_of(seed: u8) -> LogKey {
    LogKey::from_seed(&[seed; 32])
}

pub(super) fn vkey(disk: &Disk, seed: u8) -> VerifierKey {
    key_of(seed).cosigner_verifier(&disk.node)
}

async fn note(journal: &Journal, range: std::ops::Range<u64>) {
    for number in range {
        journal.note(read(number)).await.unwrap();
    }
}

/// A journal, and the one that witnesses it.
struct Two {
    a: Disk,
    b: Disk,
    own: Journal,
    witness: Journal,
}

impl Two {
    async fn new(deeds: u64) -> Self {
        let (a, b) = (Disk::new("a.example"), Disk::new("b.example"));
        let own = a.open(Mode::Inline).unwrap();
        let witness = b.open(Mode::Inline).unwrap();
        note(&own, 0..deeds).await;
        Self { a, b, own, witness }
    }

    async fn judge(&self, offer: &Offer) -> Result<String, Unwitnessed> {
        let keys = [vkey(&self.a, 1)];
        let key = key_of(2);
        self.witness.witness(&self.a.node, offer, &keys, &key).await
    }

    /// Offers what there is now, and keeps the cosignature.
    async fn witnessed(&self) -> String {
        let last = self.own.last_cosigned(&self.b.node).unwrap();
        let old_size = last.map_or(0, |(size, _)| size);
        let offer = self.own.offer(&key_of(1), old_size).unwrap();
        let cosigned = self.judge(&offer).await.unwrap();
        let (own, by) = ([vkey(&self.a, 1)], [vkey(&self.b, 2)]);
        let kept = self.own.keep_cosigned(&self.b.node, &cosigned, &own, &by);
        assert_eq!(kept.await.unwrap().size, self.own.size());
        cosigned
    }
}

#[tokio::test]
async fn what_extends_is_cosigned_again_and_again() {
    let two = Two::new(3).await;
    for end in [3, 4, 255, 256, 257, 600] {
        note(&two.own, two.own.size()..end).await;
        let cosigned = two.witnessed().await;
        let (own, by) = ([vkey(&two.a, 1)], [vkey(&two.b, 2)]);
        let judged = verify(&two.a.node, &cosigned, &own, &by).unwrap();
        assert_eq!(judged.checkpoint.size, end);
        assert_eq!(judged.checkpoint.root, two.own.root());
        assert_eq!(judged.witnessed.len(), 1);
    }
    // One note of a day.
    assert_eq!(two.own.cosigned().unwrap().len(), 1);
    // The same once more.
    let offer = two.own.offer(&key_of(1), 600).unwrap();
    two.judge(&offer).await.unwrap();
}

#[tokio::test]
async fn who_is_wrong_about_the_old_size_is_told_it_with_the_note() {
    let two = Two::new(5).await;
    let cosigned = two.witnessed().await;
    note(&two.own, 5..9).await;
    let offer = two.own.offer(&key_of(1), 0).unwrap();
    match two.judge(&offer).await {
        Err(Unwitnessed::OtherSize { known, note, .. }) => {
            assert_eq!((known, note), (5, cosigned));
        }
        other => panic!("{other:?}"),
    }
    let offer = two.own.offer(&key_of(1), 5).unwrap();
    two.judge(&offer).await.unwrap();
}

/// Another journal of the same node and key.
async fn another(deeds: u64, first: u64) -> Journal {
    let journal = Disk::new("a.example").open(Mode::Inline).unwrap();
    note(&journal, first..first + deeds).await;
    journal
}

#[tokio::test]
async fn a_fork_and_a_rollback_are_refused_with_both_notes() {
    let two = Two::new(10).await;
    let cosigned = two.witnessed().await;
    let cases = [
        // Shorter; of one size and another root; longer, and another from the beginning.
        (another(7, 0).await, "it is shorter"),
        (
            another(10, 100).await,
            "it has another root at the same size",
        ),
        (
            another(20, 100).await,
            "its proof of consistency does not hold",
        ),
    ];
    for (journal, expected) in cases {
        let offer = Offer {
            old_size: if journal.size() < 10 { 0 } else { 10 },
            ..journal.offer(&key_of(1), journal.size().min(10)).unwrap()
        };
        match two.judge(&offer).await {
            Err(Unwitnessed::Contradiction {
                known,
                why,
                evidence,
                ..
            }) => {
                assert_eq!((known, why), (10, expected));
                assert_eq!(evidence, [cosigned.clone(), offer.note.clone()]);
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    // The right one goes on.
    note(&two.own, 10..12).await;
    two.witnessed().await;
    // And until a person accepts it, no other one ever does; over restarts.
    let again = two.b.open(Mode::Inline).unwrap();
    let anew = another(3, 500).await;
    let offer = anew.offer(&key_of(1), 0).unwrap();
    let keys = [vkey(&two.a, 1)];
    let refused = again.witness(&two.a.node, &offer, &keys, &key_of(2)).await;
    assert!(matches!(
        refused,
        Err(Unwitnessed::Contradiction { known: 12, .. })
    ));
    let before = again.last_witnessed(&two.a.node).unwrap().unwrap();
    again.accept_anew(&two.a.node).await.unwrap();
    again
        .witness(&two.a.node, &offer, &keys, &key_of(2))
        .await
        .unwrap();
    // What was cosigned before is still there.
    let former = again.witnessed_before().unwrap();
    assert_eq!(former.len(), 1);
    assert_eq!((former[0].0.as_str(), &former[0].2), ("a.example", &before));
}

#[tokio::test]
async fn of_each_day_one_note_is_kept_on_both_sides_whatever_the_peer_adds_and_dates() {
    const DAY_MS: u64 = 86_400_000;
    let (a, b) = (Disk::new("a.example"), Disk::new("b.example"));
    let clock = Arc::new(AtomicU64::new(1_795_000_000_000));
    let open = |disk: &Disk| {
        let (mut ground, shown) = (disk.ground(), Arc::clone(&clock));
        ground.unix_ms = Arc::new(move || shown.load(Ordering::Relaxed));
        Journal::open(ground, Mode::Inline).unwrap()
    };
    let (own, witness) = (open(&a), open(&b));
    let (keys, by) = ([vkey(&a, 1)], [vkey(&b, 2)]);
    let padding = VerifierKey::parse(&vkey(&b, 9).to_string()).unwrap();
    for (number, days) in [(0, 0), (1, 0), (2, 1), (3, 0), (4, 1)] {
        clock.fetch_add(days * DAY_MS, Ordering::Relaxed);
        own.note(read(number)).await.unwrap();
        let old = own
            .last_cosigned(&b.node)
            .unwrap()
            .map_or(0, |(size, _)| size);
        let offer = own.offer(&key_of(1), old).unwrap();
        let cosigned = witness.witness(&a.node, &offer, &keys, &key_of(2)).await;
        let cosigned = cosigned.unwrap();
        // The peer dates it as it likes, and adds lines of keys that nobody knows.
        let signed = verify(&a.node, &cosigned, &keys, &[]).unwrap();
        let odd = (7_000 + number) * 86_400;
        let odd = liaison::crypto::journal::cosign(&key_of(2), &b.node, &signed, odd).unwrap();
        let mut sent = odd.clone();
        let line = format!(
            "\u{2014} {} {}\n",
            padding.name(),
            liaison_base64(&[&padding.key_id().to_be_bytes()[..], &[7; 72]].concat())
        );
        while sent.len() + line.len() < 3_000 {
            sent.push_str(&line.replacen("b.example", &format!("x{}.example", sent.len()), 1));
        }
        let kept = own.keep_cosigned(&b.node, &sent, &keys, &by).await.unwrap();
        assert_eq!(kept.size, number + 1);
        // Once more the same: nothing is added.
        own.keep_cosigned(&b.node, &sent, &keys, &by).await.unwrap();
        let (_, held) = own.last_cosigned(&b.node).unwrap().unwrap();
        assert_eq!(held, odd);
    }
    let sizes: Vec<_> = own
        .cosigned()
        .unwrap()
        .into_iter()
        .map(|row| row.1)
        .collect();
    assert_eq!(sizes, [2, 4, 5]);
    let before: Vec<_> = witness.witnessed_before().unwrap();
    let sizes: Vec<_> = before
        .iter()
        .map(|row| row.2.note.lines().nth(1).unwrap())
        .collect();
    assert_eq!(sizes, ["2", "4"]);
}

fn liaison_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn what_is_not_that_journal_by_a_key_that_holds_is_refused() {
    let two = Two::new(4).await;
    let refused = |offer: Offer| {
        let two = &two;
        async move {
            match two.judge(&offer).await {
                Err(Unwitnessed::Note { error, .. }) => error,
                other => panic!("{other:?}"),
            }
        }
    };
    // A key that nobody named.
    let offer = two.own.offer(&key_of(9), 0).unwrap();
    assert!(matches!(refused(offer).await, CheckpointError::Note(_)));
    // The journal of another node.
    let other = Disk::new("c.example").open(Mode::Inline).unwrap();
    note(&other, 0..4).await;
    let offer = other.offer(&key_of(1), 0).unwrap();
    assert!(matches!(refused(offer).await, CheckpointError::Note(_)));
    // A changed size, under the old signature.
    let mut offer = two.own.offer(&key_of(1), 0).unwrap();
    offer.note = offer.note.replacen("\n4\n", "\n5\n", 1);
    assert!(matches!(refused(offer).await, CheckpointError::Note(_)));
    // Nothing of it is remembered.
    two.witnessed().await;
}

#[tokio::test]
async fn the_largest_offer_is_looked_at_and_one_more_byte_is_not() {
    let two = Two::new(4).await;
    let good = two.own.offer(&key_of(1), 0).unwrap();
    let too_large = |offer: Offer| {
        let two = &two;
        async move { matches!(two.judge(&offer).await, Err(Unwitnessed::TooLarge { .. })) }
    };
    let note_of = |bytes: usize| Offer {
        note: "x".repeat(bytes),
        ..good.clone()
    };
    assert!(!too_large(note_of(JOURNAL_NOTE_BYTES_MAX)).await);
    assert!(too_large(note_of(JOURNAL_NOTE_BYTES_MAX + 1)).await);
    let proof_of = |hashes: usize| Offer {
        consistency: vec![Hash([0; 32]); hashes],
        ..good.clone()
    };
    assert!(!too_large(proof_of(JOURNAL_PROOF_HASHES_MAX)).await);
    assert!(too_large(proof_of(JOURNAL_PROOF_HASHES_MAX + 1)).await);
}

#[tokio::test]
async fn a_witness_that_falls_never_cosigns_two_trees() {
    let two = Two::new(4).await;
    // The mark is durable, the row with the note is not: the cosignature was not answered.
    two.b.store.fail_commit(0, liaison::store::Failure::Before);
    let offer = two.own.offer(&key_of(1), 0).unwrap();
    assert!(matches!(
        two.judge(&offer).await,
        Err(Unwitnessed::Journal(JournalError::Stopped { .. }))
    ));
    two.b.store.crash();
    let again = two.b.open(Mode::Inline).unwrap();
    let fork = another(4, 50).await.offer(&key_of(1), 0).unwrap();
    let keys = [vkey(&two.a, 1)];
    let judged = again.witness(&two.a.node, &fork, &keys, &key_of(2)).await;
    assert!(matches!(judged, Err(Unwitnessed::Contradiction { .. })));
    // The honest one learns the size, and goes on from there.
    let judged = again.witness(&two.a.node, &offer, &keys, &key_of(2)).await;
    let Err(Unwitnessed::OtherSize { known: 4, .. }) = judged else {
        panic!("{judged:?}");
    };
    let offer = two.own.offer(&key_of(1), 4).unwrap();
    again
        .witness(&two.a.node, &offer, &keys, &key_of(2))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_cosignature_of_another_journal_shows_that_this_one_was_set_back() {
    let two = Two::new(8).await;
    let cosigned = two.witnessed().await;
    let (own, by) = ([vkey(&two.a, 1)], [vkey(&two.b, 2)]);
    for journal in [another(5, 0).await, another(9, 40).await] {
        let kept = journal.keep_cosigned(&two.b.node, &cosigned, &own, &by);
        assert!(matches!(kept.await, Err(JournalError::SetBack { .. })));
    }
    // Without the witness's line it is no cosignature.
    let signed = two.own.sign(&key_of(1)).note.clone();
    let kept = two.own.keep_cosigned(&two.b.node, &signed, &own, &by).await;
    assert!(matches!(kept, Err(JournalError::Note(_))));
}
