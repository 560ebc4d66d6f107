//! Signatures: of entries, and of checkpoints.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use liaison::crypto::checkpoint::{cosign, sign_checkpoint};
use liaison::crypto::dsse;
use liaison::crypto::history::KeyHistory;
use liaison::exchange::LogSide;
use liaison::model::body::{self, Decoded};
use liaison::model::header::body_digest;
use liaison::model::workflow::Facts;
use liaison::model::{Header, check};
use liaison::proto::v1;
use liaison::tlog::leaf_hash;

use crate::sides::{Side, link_of, sides, submit};

/// A letter as it lies in the log of its sender.
struct Letter {
    index: u64,
    entry: Bytes,
    salt: [u8; 32],
    body: Bytes,
}

/// A letter to the peer whose body has so many bytes.
pub(crate) fn letter(recipient: &Side, number: usize) -> v1::Draft {
    let mut draft = crate::sides::letter(recipient, number);
    let Some(v1::body::Body::OfficialLetter(letter)) =
        draft.body.as_mut().and_then(|body| body.body.as_mut())
    else {
        unreachable!("it is a letter");
    };
    let content = v1::body::Body::OfficialLetter(letter.clone());
    let text = letter.text.as_mut().unwrap().texts.get_mut("vi").unwrap();
    // Two lengths before the text may take one byte more each.
    let wanted = crate::BODY_BYTES - body::encode(&content).len() - 2;
    text.push_str(&"x".repeat(wanted));
    draft
}

fn recorded(a: &Side, b: &Side) -> Letter {
    let exchange = a.open(b);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let sent = runtime.unwrap().block_on(submit(&exchange, letter(b, 1)));
    let index = sent.unwrap().index;
    let link = link_of(&exchange);
    let reader = exchange.reader(&link, LogSide::Own);
    let stored = reader.entry(index).unwrap();
    let (salt, body) = reader.body(&stored).unwrap().unwrap();
    Letter {
        index,
        entry: stored.entry,
        salt,
        body,
    }
}

/// What the recipient of an entry does before it takes it, but for the look at the ids it has:
/// the steps of `exchange/admit.rs`.
fn judge(history: &KeyHistory, letter: &Letter) -> Facts {
    let (envelope, _) = history
        .verify_entry(letter.index, letter.entry.clone())
        .unwrap();
    let header = Header::parse(&envelope.payload).unwrap();
    assert_eq!(header.body_digest, body_digest(&letter.salt, &letter.body));
    let Ok(Decoded::Known(body)) = body::decode(header.kind, &header.schema, &letter.body) else {
        unreachable!("it was signed by this program");
    };
    let content = body.body.unwrap();
    assert!(check::over_limit(&content).is_none());
    Facts::of(&header, Some(&content))
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let (a, b) = sides();
    let sent = recorded(&a, &b);
    let (a_keys, b_keys) = (a.keys(), b.keys());
    let history = KeyHistory::start(a.origin_to(&b), &a.card_for(&b).start()).unwrap();
    let (envelope, _) = history
        .verify_entry(sent.index, sent.entry.clone())
        .unwrap();
    let payload = envelope.payload.clone();

    let mut group = criterion.benchmark_group("entry");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign", |bench| {
        bench.iter(|| dsse::sign(&a_keys.message, black_box(payload.clone())).unwrap());
    });
    group.bench_function("strict verify", |bench| {
        bench.iter(|| history.verify_entry(sent.index, black_box(sent.entry.clone())));
    });
    group.bench_function("judge", |bench| {
        bench.iter(|| judge(&history, black_box(&sent)));
    });
    group.finish();

    let (origin, verifier) = (a.origin_to(&b), a.verifier(&b));
    let root = leaf_hash(b"a tree of any size");
    let (size, at) = (1_000_000, 1_795_000_000);
    let sign = || sign_checkpoint(&a_keys.log, &origin, black_box(size), root, at);
    let signed = sign();
    let receipt = cosign(&b_keys.log, &b.name, &signed, at);

    let mut group = criterion.benchmark_group("checkpoint");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign", |bench| bench.iter(sign));
    group.bench_function("verify", |bench| {
        bench.iter(|| verifier.checkpoint(black_box(&signed.note)).unwrap());
    });
    group.bench_function("cosign", |bench| {
        bench.iter(|| cosign(&b_keys.log, &b.name, black_box(&signed), at));
    });
    group.bench_function("verify receipt", |bench| {
        bench.iter(|| verifier.receipt(black_box(&receipt.note)).unwrap());
    });
    group.finish();
}
