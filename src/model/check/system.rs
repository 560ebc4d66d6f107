//! Rules for what a node says by itself.

use super::Faults;
use crate::proto::v1;
use crate::proto::v1::body::Body;

pub(super) fn check(content: &Body, at: &str, faults: &mut Faults) {
    match content {
        Body::Refusal(refusal) => check_refusal(refusal, at, faults),
        Body::AttachmentsReceived(received) => {
            if received.sha256.is_empty() {
                faults.add(
                    format!("{at}.sha256"),
                    "no attachment is named",
                    "name each attachment of the message",
                );
            }
            for (index, digest) in received.sha256.iter().enumerate() {
                check_digest(digest, &format!("{at}.sha256[{index}]"), faults);
            }
        }
        _ => {}
    }
}

fn check_refusal(refusal: &v1::Refusal, at: &str, faults: &mut Faults) {
    check_digest(&refusal.entry_digest, &format!("{at}.entryDigest"), faults);
    if refusal.reason == 0 {
        faults.add(format!("{at}.reason"), "is missing", "say why");
    }
}

fn check_digest(digest: &[u8], field: &str, faults: &mut Faults) {
    if digest.len() != 32 {
        faults.add(
            field,
            format!("has {} bytes, a SHA-256 has 32", digest.len()),
            "give the whole digest",
        );
    }
}
