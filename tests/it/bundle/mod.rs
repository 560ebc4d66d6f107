//! Offline carriage: two sides, and a person with a file between them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod carried;
mod format;
mod hostile;
mod nodes;
mod storm;

use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use liaison::exchange::Exchange;
use liaison::exchange::bundle::{BundleError, Imported, Part, Since};
use tokio::sync::mpsc;

use crate::sides::{Side, join, letter, link_of, patiently, sides, submit, up};

/// A bundle for the one peer of a node.
async fn try_export(exchange: &Arc<Exchange>, since: Since) -> Result<Vec<u8>, BundleError> {
    let link = link_of(exchange);
    let (parts, mut queue) = mpsc::channel::<Part>(2);
    let making = exchange.export_bundle(&link, since, parts);
    let collecting = async {
        let mut file = Vec::new();
        while let Some(part) = queue.recv().await {
            file.extend(part.bytes);
        }
        file
    };
    let (made, file) = patiently(async { tokio::join!(making, collecting) }).await;
    made.map(|_| file)
}

pub(crate) async fn export(exchange: &Arc<Exchange>) -> Vec<u8> {
    try_export(exchange, Since::Receipt).await.unwrap()
}

/// Two nodes that have met, with a bundle of three letters from the first.
async fn three_letters() -> (Side, Side, Arc<Exchange>, Arc<Exchange>, Vec<u8>) {
    let (left, right) = sides();
    let (a, b) = (left.open(&right), right.open(&left));
    let running = join(&a, &b);
    up(&a, &b).await;
    running.end().await;
    for number in 0..3 {
        submit(&a, letter(&right, number)).await.unwrap();
    }
    let file = export(&a).await;
    (left, right, a, b, file)
}

/// Takes a bundle.
async fn try_import(exchange: &Arc<Exchange>, bytes: &[u8]) -> Result<Imported, BundleError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    patiently(exchange.import_bundle(file)).await
}

async fn import(exchange: &Arc<Exchange>, bytes: &[u8]) -> Imported {
    try_import(exchange, bytes).await.unwrap()
}
