//! What it costs to look for words in bodies that lie sealed. `cargo bench --bench search`.
//!
//! ```text
//! search   100,000 bodies: key derived, opened, looked through; on one core and on two
//! ```
//!
//! Half of them letters as a year has them, a quarter alerts, a quarter requests to hand over 10 persons.
//! Nothing is found, so that every text is looked at to its end.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

use std::time::{Duration, Instant};

use liaison::crypto::at_rest::{self, Context};
use liaison::crypto::storage_key::StorageKey;
use liaison::model::body;
use liaison::model::sample::{self, People, handover_batch};
use liaison::model::search::Words;
use liaison::store::{KeyAddress, Vault};

const BODIES: usize = 100_000;
const CONTEXT: Context<'static> = Context(&[b"body", b"0123456789abcdef0123456789abcdef"]);

struct Sealed {
    key: KeyAddress,
    schema: &'static str,
    bytes: Vec<u8>,
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let smoke = std::env::args().any(|arg| arg == "--test");
    let count = if smoke { 200 } else { BODIES };
    let dir = tempfile::tempdir().unwrap();
    let key = StorageKey::from_bytes(&[7; 32]);
    let vault = Vault::open(dir.path(), key, "a.example", || 1_795_000_000_000).unwrap();
    let content = |draft: liaison::proto::v1::Draft| draft.body.unwrap().body.unwrap();
    let kinds = [
        content(sample::find("official-letter").unwrap().draft().unwrap()),
        content(
            sample::find("crossing-alert-sensor")
                .unwrap()
                .draft()
                .unwrap(),
        ),
        content(sample::find("official-letter").unwrap().draft().unwrap()),
        content(handover_batch("b.example", People::Vietnamese, 10)),
    ];
    let kinds = kinds.map(|kind| (body::schema_of(&kind), body::encode(&kind)));
    let sealed: Vec<Sealed> = (0..count)
        .map(|number| {
            let (schema, bytes) = &kinds[number % kinds.len()];
            let (key, secret) = vault.take().unwrap();
            let bytes = at_rest::seal(&secret, CONTEXT, bytes).unwrap();
            Sealed { key, schema, bytes }
        })
        .collect();
    let bytes: usize = sealed.iter().map(|one| one.bytes.len()).sum();
    let words = Words::parse("không-ai-nói 没有人说").unwrap();
    let of = |cores: usize| {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for part in sealed.chunks(count.div_ceil(cores)) {
                let (vault, words) = (&vault, &words);
                scope.spawn(move || look(vault, words, part));
            }
        });
        begun.elapsed()
    };
    let each = |took: Duration| took / u32::try_from(count).unwrap();
    let (one, two) = (of(1), of(2));
    println!(
        "search    {count} bodies of {} bytes: {one:?} on one core ({:?} each), {two:?} on two",
        bytes / count,
        each(one)
    );
    let begun = Instant::now();
    for one in &sealed {
        at_rest::open(&vault.key(one.key).unwrap(), CONTEXT, &one.bytes).unwrap();
    }
    println!("          of it {:?} each to open", each(begun.elapsed()));
}

fn look(vault: &Vault, words: &Words, sealed: &[Sealed]) {
    for one in sealed {
        let key = vault.key(one.key).unwrap();
        let body = at_rest::open(&key, CONTEXT, &one.bytes).unwrap();
        assert!(!words.are_in(one.schema, &body));
    }
}
