//! What an auditor takes from a running node stands without it.

use liaison::audit::proof::verify_proof;
use liaison::audit::reconcile::reconcile;
use liaison::audit::verify::verify_export;
use liaison::crypto::vkey::VerifierKey;
use liaison::exchange::LogSide;
use liaison::store::Store as _;

use super::*;
use crate::sides::{Running, join, quiet};

/// Letters both ways, receipted.
async fn exchanged(counter: &Counter) -> Arc<Exchange> {
    let theirs = counter.peer.open(&counter.side);
    let running: Running = join(&counter.exchange, &theirs);
    for number in 0..300 {
        let letter = counter.letter(number);
        crate::sides::submit(&counter.exchange, letter)
            .await
            .unwrap();
    }
    for number in 0..5 {
        let letter = crate::sides::letter(&counter.side, number);
        crate::sides::submit(&theirs, letter).await.unwrap();
    }
    quiet(&counter.exchange, &theirs).await;
    drop(running.end().await);
    theirs
}

fn proof(id: &str) -> v1::ProofRequest {
    v1::ProofRequest {
        id: id.to_owned(),
        root_at: 0,
    }
}

#[tokio::test]
async fn a_receipt_verifies_offline_for_both_logs_and_not_before_delivery() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    let mut auditor = counter.auditor().await;
    let waiting = desk.submit(submission(counter.letter(1))).await.unwrap();
    let waiting = waiting.into_inner().id;
    let answer = auditor.proof(proof(&waiting)).await;
    assert_refused(answer, Code::FailedPrecondition, "NOT_DELIVERED");
    let answer = auditor.proof(proof(&id_of(99))).await;
    assert_refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");

    let theirs = exchanged(&counter).await;
    let own = [(0, waiting)];
    let from_peer = theirs.list(&v1::ListRequest::default(), |m| m.side() == v1::Side::Own);
    let from_peer = from_peer.unwrap().messages.into_iter();
    let all = own.into_iter().chain(from_peer.map(|m| (m.index, m.id)));
    for (index, id) in all {
        let receipt = auditor.proof(proof(&id)).await.unwrap().into_inner();
        let keys = receipt.vkeys.iter().map(|key| key.parse().unwrap());
        let keys: Vec<VerifierKey> = keys.collect();
        let judged = verify_proof(&receipt.tlog_proof, &receipt.entry, &keys);
        assert!(judged.verdict.clean, "{:?}", judged.verdict.findings);
        let proven = judged.proven.unwrap();
        assert_eq!((proven.index, proven.id), (index, Some(id)));
    }
}

/// Writes what Export streams into a folder, as the command line does.
async fn export(counter: &Counter, dir: &std::path::Path, request: v1::ExportRequest) -> u64 {
    let mut auditor = counter.auditor().await;
    let mut parts = auditor.export(request).await.unwrap().into_inner();
    let (mut files, mut total) = (0, 0);
    let mut content = Vec::new();
    while let Some(part) = parts.message().await.unwrap() {
        content.extend_from_slice(&part.chunk);
        total = part.files_total;
        if part.last {
            let path = dir.join(&part.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &content).unwrap();
            content.clear();
            files += 1;
        }
    }
    assert!(content.is_empty());
    assert_eq!(files, total, "a progress bar ends at its end");
    files
}

#[tokio::test]
async fn exports_of_both_sides_are_clean_and_agree() {
    let counter = Counter::open().await;
    let theirs = exchanged(&counter).await;
    let dir = tempfile::tempdir().unwrap();
    let (ours_dir, theirs_dir) = (dir.path().join("a"), dir.path().join("b"));
    let request = v1::ExportRequest {
        proofs: true,
        ..v1::ExportRequest::default()
    };
    export(&counter, &ours_dir, request.clone()).await;
    let Counter { side, peer, .. } = &counter;
    let other = Counter::before(
        Side::new(peer.name.as_str(), 2),
        Side::new(side.name.as_str(), 1),
        theirs,
    )
    .await;
    export(&other, &theirs_dir, request).await;
    for dir in [&ours_dir, &theirs_dir] {
        let verdict = verify_export(dir, None, &mut |_| ());
        assert!(verdict.clean, "{:#?}", verdict.findings);
        assert_eq!(verdict.counts.entries, 305);
        assert_eq!(verdict.counts.proofs, 305);
    }
    let verdict = reconcile(&ours_dir, &theirs_dir, &mut |_| ());
    assert!(verdict.clean, "{:#?}", verdict.findings);
}

#[tokio::test]
async fn an_export_without_bodies_is_clean_too() {
    let counter = Counter::open().await;
    exchanged(&counter).await;
    let dir = tempfile::tempdir().unwrap();
    let request = v1::ExportRequest {
        peer: counter.peer.name.to_string(),
        withhold_bodies: true,
        ..v1::ExportRequest::default()
    };
    export(&counter, dir.path(), request).await;
    let verdict = verify_export(dir.path(), None, &mut |_| ());
    assert!(verdict.clean, "{:#?}", verdict.findings);
    assert_eq!(verdict.counts.bodies, 0);

    let mut auditor = counter.auditor().await;
    let request = v1::ExportRequest {
        peer: "nowhere.example".to_owned(),
        ..v1::ExportRequest::default()
    };
    assert_field(auditor.export(request).await, "peer");
}

/// The story: the node falls between the flush of what it mirrored and keeping the cosignature
/// that it sent for it. Its own evidence must not rest on a note that nobody cosigned.
#[tokio::test]
async fn a_checkpoint_without_its_cosignature_is_no_receipt_until_it_is_made_again() {
    let counter = Counter::open().await;
    let theirs = exchanged(&counter).await;
    let link = crate::sides::link_of(&counter.exchange);
    let reader = counter.exchange.reader(&link, LogSide::Mirror);
    let (size, note) = reader.latest_checkpoint().unwrap().unwrap();
    assert!(link.mirror_verifier.receipt(&note).is_ok());

    // The last line is the cosignature.
    let (uncosigned, _) = note.trim_end().rsplit_once('\n').unwrap();
    let uncosigned = format!("{uncosigned}\n");
    assert!(link.mirror_verifier.checkpoint(&uncosigned).is_ok());
    let mut batch = liaison::store::Batch::new();
    let records = counter.side.store.records();
    for (key, value) in records
        .iter()
        .filter(|(_, value)| **value == note.as_bytes())
    {
        assert_eq!(value, note.as_bytes());
        batch.put(key.clone(), uncosigned.clone().into_bytes());
    }
    counter.side.store.commit(batch).unwrap();
    let reader = counter.exchange.reader(&link, LogSide::Mirror);
    let kept = reader.checkpoint(size).unwrap().unwrap();
    assert!(link.mirror_verifier.receipt(&kept).is_err());

    let last = theirs.list(&v1::ListRequest::default(), |m| m.side() == v1::Side::Own);
    let last = last.unwrap().messages.remove(0);
    assert_eq!(last.index + 1, size);
    let mut auditor = counter.auditor().await;
    let answer = auditor.proof(proof(&last.id)).await;
    assert_refused(answer, Code::FailedPrecondition, "NOT_DELIVERED");
    let dir = tempfile::tempdir().unwrap();
    export(&counter, dir.path(), v1::ExportRequest::default()).await;
    let verdict = verify_export(dir.path(), None, &mut |_| ());
    assert!(verdict.clean, "{:#?}", verdict.findings);

    let running = join(&counter.exchange, &theirs);
    crate::sides::up(&counter.exchange, &theirs).await;
    drop(running.end().await);
    auditor.proof(proof(&last.id)).await.unwrap();
}
