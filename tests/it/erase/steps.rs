//! A crash at any commit of an erasure leaves the body as it was, or gone and said once.

use liaison::store::Failure;

use super::*;

/// How a side stands: which own bodies are read, and how often it was said that one is gone.
fn standing(exchange: &Exchange) -> (BTreeSet<u64>, usize) {
    let link = link_of(exchange);
    let notices = (0..link.head().own_size)
        .filter(|index| shown(exchange, LogSide::Own, *index).kind() == v1::Kind::ErasureNotice)
        .count();
    (readable(exchange, LogSide::Own), notices)
}

#[tokio::test]
async fn a_crash_at_any_commit_leaves_it_readable_or_erased() {
    let mut crashes = 0;
    let mut seen = BTreeSet::new();
    for failure in [Failure::Before, Failure::Volatile, Failure::After] {
        for at in 0..20 {
            let (a, b, left, right, ids) = talked().await;
            a.store.fail_commit(at, failure);
            let done = erase(&left, ids[1]).await;
            crashes += usize::from(done.is_err());
            drop(left);
            a.store.crash();
            let left = a.open(&b);
            left.complete_erasures().await.unwrap();
            let (read, notices) = standing(&left);
            if read.contains(&1) {
                assert!(done.is_err(), "{failure:?} {at}");
                assert_eq!((read, notices), ([0, 1, 2].into(), 0), "{failure:?} {at}");
                seen.insert("readable");
            } else {
                assert_eq!((read, notices), ([0, 2, 3].into(), 1), "{failure:?} {at}");
                let told = shown(&left, LogSide::Own, 1).erasure.unwrap();
                assert_eq!(told.by, "admin/lan");
                seen.insert("erased");
            }
            // It goes on, and both have the same.
            let running = join(&left, &right);
            quiet(&left, &right).await;
            running.end().await;
            assert_same_logs(&left, &right);
            if done.is_ok() {
                break;
            }
        }
    }
    assert!(crashes > 8, "{crashes}");
    assert_eq!(seen, ["readable", "erased"].into());
}
